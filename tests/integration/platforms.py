"""What the tests of platform scheduling share: owners with platforms and windows, requesters, and a client for each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import httpx

from common.embedded.stack import Stack
from common.runtime import Runtime
from common.testing import client_of
from platform_scheduling import handlers
from platform_scheduling.bodies import PlatformBody, WindowBody
from platform_scheduling.state import Ask, Span
from tests.integration.stages import siret

SERVICE = "platform-scheduling"
PARIS = ZoneInfo("Europe/Paris")


def at(days: int, hour: int, minute: int = 0) -> datetime:
    """A wall clock in Paris, so many days from today, as UTC."""
    day = datetime.now(PARIS).date() + timedelta(days=days)
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=PARIS).astimezone(UTC)


def slot(days: int, hour: int, hours: float = 2) -> dict[str, str]:
    """A slot as JSON."""
    begin = at(days, hour)
    return {"starts_at": begin.isoformat(), "ends_at": (begin + timedelta(hours=hours)).isoformat()}


@dataclass
class Platforms:
    """The platform scheduling service as its users see it."""

    stack: Stack
    url: str

    async def client(self, sub: str, role: str, **claims: Any) -> httpx.AsyncClient:
        """A client that carries a token."""
        return await client_of(self.stack, self.url, sub, role, **{"name": f"Nom de {sub}", **claims})

    async def owner(self) -> tuple[str, httpx.AsyncClient]:
        """An owner by its SIRET, and its client."""
        code = siret()
        return code, await self.client(f"owner-{code}", "owner", structure_id=code)

    async def requester(self) -> httpx.AsyncClient:
        """A host organisation that books."""
        host_id = str(uuid4())
        return await self.client(f"host-{host_id}", "host", structure_id=host_id)

    async def platform(self, owner: httpx.AsyncClient, *, opened: bool = True, **more: Any) -> UUID:
        """A published platform, offered every day from 8 to 18 unless told otherwise."""
        platform_id = uuid4()
        facts = {"owner_title": "Lycée d’essai", "title": f"Atelier {platform_id.hex[:6]}", "fictitious": True}
        body = platform_body(**{**facts, **more})
        answer = await owner.put(f"/v1/platforms/{platform_id}", json=body)
        assert answer.status_code == 200, answer.text
        if opened:
            await window(owner, platform_id)
        return platform_id


async def window(owner: httpx.AsyncClient, platform_id: UUID, **more: Any) -> UUID:
    """The owner offers every day from 8 to 18, holidays included, unless told otherwise."""
    window_id, today = uuid4(), datetime.now(PARIS).date()
    body = window_body(**{"starts_at_local": f"{today}T08:00", **more})
    answer = await owner.put(f"/v1/platforms/{platform_id}/windows/{window_id}", json=body)
    assert answer.status_code == 200, answer.text
    return window_id


async def book(client: httpx.AsyncClient, platform_id: UUID, when: dict[str, str], **more: Any) -> httpx.Response:
    """Asks for a slot."""
    return await client.post("/v1/bookings", json={"platform_id": str(platform_id), "group_size": 8, **when, **more})


def platform_body(**more: Any) -> dict[str, Any]:
    """A platform as its owner describes it."""
    return {
        "owner_title": "Lycée",
        "title": "Atelier",
        "commune_code": "76540",
        "equipment_codes": ["usinage"],
        "capacity_count": 12,
        **more,
    }


def window_body(**more: Any) -> dict[str, Any]:
    """Every day from 8 to 18, holidays included."""
    return {
        "starts_at_local": "2026-01-05T08:00",
        "length_minutes": 600,
        "rrule": "FREQ=DAILY",
        "in_school_holidays": True,
        "in_public_holidays": True,
        **more,
    }


# -- in the test's own process


async def prepared(runtime: Runtime, **more: Any) -> tuple[str, UUID]:
    """An owner and an open platform, in the test's own process."""
    owner_code, platform_id = siret(), uuid4()
    async with runtime.database.transaction() as tx:
        body = PlatformBody.model_validate(platform_body(**more))
        refusal = await handlers.describe_platform(
            tx, owner_code, "owner@example.org", platform_id, body.description(), body.units
        )
        assert refusal is None
        opened = WindowBody.model_validate(window_body()).window(uuid4())
        assert await handlers.put_window(tx, owner_code, platform_id, opened) is None
    return owner_code, platform_id


async def booked_by(runtime: Runtime, platform_id: UUID, account: str, days: int, hour: int = 9, **more: Any) -> Any:
    """Books in the test's own process, for an account."""
    span = Span(at(days, hour), at(days, hour + 2))
    async with runtime.database.transaction() as tx:
        return await handlers.book(
            tx,
            account=account,
            title=account,
            contact=f"{account}@example.org",
            platform_id=platform_id,
            ask=Ask(uuid4(), span, 8, **more),
            purpose="",
        )
