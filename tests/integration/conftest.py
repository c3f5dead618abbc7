"""What the integration tests share: a partner with its structure, prescribers, and a client for each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from playwright.async_api import Browser, async_playwright, expect

from common.embedded.stack import Stack
from common.runtime import Runtime
from common.testing import PATIENCE_SECONDS, FreshRuntime, client_of, http_client, url_of
from tests.integration import cafes as cafes_module
from tests.integration import events as events_module
from tests.integration.browsing import FLAGS, chromium
from tests.integration.cafes import Cafes
from tests.integration.events import Events
from tests.integration.platforms import SERVICE, Platforms


@dataclass
class Seats:
    """The remediation seats service as its users see it."""

    stack: Stack
    url: str

    async def client(self, sub: str, role: str, **claims: Any) -> httpx.AsyncClient:
        """A client that carries a token."""
        return await client_of(self.stack, self.url, sub, role, **claims)

    async def structure(self) -> tuple[UUID, httpx.AsyncClient]:
        """A registered structure and its partner's client."""
        structure_id = uuid4()
        async with await self.client("test-agency", "agency") as agency:
            body = {
                "structure_name": f"Structure {structure_id.hex[:6]}",
                "kind": "CFA",
                "commune_code": "76540",
                "fictitious": True,
            }
            assert (await agency.put(f"/v1/structures/{structure_id}", json=body)).status_code == 200
        return structure_id, await self.client(f"partner-{structure_id}", "partner", structure_id=str(structure_id))

    async def programme(self, partner: httpx.AsyncClient, total: int, taken: int = 0) -> UUID:
        """An open programme that has declared its seats."""
        programme_id = uuid4()
        body = {"title": f"Parcours {programme_id.hex[:6]}", "age_min": 15, "age_max": 25}
        answer = await partner.put(f"/v1/programmes/{programme_id}", json=body)
        assert answer.status_code == 200, answer.text
        assert (await declare(partner, programme_id, total, taken)).status_code == 200
        return programme_id


async def declare(
    partner: httpx.AsyncClient, programme_id: UUID, total: int, taken: int, **more: Any
) -> httpx.Response:
    """Declares seats as seen now."""
    body = {
        "programme_id": str(programme_id),
        "total_count": total,
        "taken_count": taken,
        "observed_at": datetime.now(UTC).isoformat(),
        **more,
    }
    return await partner.post("/v1/declarations", json=body)


@pytest.fixture
def seats(stack: Stack) -> Seats:
    """The service of the running stack."""
    return Seats(stack, url_of(stack, "remediation-seats"))


@pytest.fixture
def platforms(stack: Stack) -> Platforms:
    """Platform scheduling of the running stack."""
    return Platforms(stack, url_of(stack, SERVICE))


@pytest.fixture
def events(stack: Stack) -> Events:
    """The events service of the running stack."""
    return Events(stack, url_of(stack, events_module.SERVICE))


@pytest.fixture
def cafes(stack: Stack) -> Cafes:
    """The parents' cafés service of the running stack."""
    return Cafes(stack, url_of(stack, cafes_module.SERVICE))


@pytest.fixture
async def cafes_runtime(fresh_runtime: FreshRuntime) -> AsyncIterator[Runtime]:
    """The parents' cafés service on a database of its own, its clock in the test's hand."""
    async with fresh_runtime("parents_cafes", development=True) as made:
        yield made


BoardOf = Callable[[], Awaitable[dict[str, dict[str, Any]]]]


@pytest.fixture
async def board(stack: Stack) -> AsyncIterator[BoardOf]:
    """The board's programmes by id, as its JSON gives them."""
    async with http_client(base_url=url_of(stack, "projections")) as client:

        async def read() -> dict[str, dict[str, Any]]:
            answer = await client.get("/api/seats")
            answer.raise_for_status()
            return {row["programme_id"]: row for row in answer.json()["programmes"]}

        yield read


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Waits for a condition that another process brings about; fails when it does not come."""
    for _ in range(PATIENCE_SECONDS * 10):
        try:
            if await condition():
                return
        except httpx.HTTPError:
            pass
        await asyncio.sleep(0.1)
    raise AssertionError(f"did not happen within {PATIENCE_SECONDS} s")


@pytest.fixture
def stack_urls(stack: Stack) -> dict[str, str]:
    """Service name to address."""
    return {service.name: url_of(stack, service.name) for service in stack.services}


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One headless browser for the run."""
    expect.set_options(timeout=PATIENCE_SECONDS * 1000)
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield started
        await started.close()
