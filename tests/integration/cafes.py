"""What the tests of the parents' cafés share: days of a period, coordinators with cafés, households, and a client for each."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, partial
from typing import Any
from uuid import UUID, uuid4

import httpx

from common.embedded.stack import Stack
from common.failures import Refusal
from common.runtime import Runtime
from common.testing import accepting, client_of, http_client, mails_to, swept
from parents_cafes import handlers, household_store, notices, season_handlers, venue_store
from parents_cafes.bodies import CafeBody, VenueBody
from parents_cafes.handlers import Registered
from parents_cafes.state import Coordinator
from waiting_list.rules import PARIS

SERVICE, TOPIC = "parents-cafes", "parents-cafes.cafes.v1"
AGENCY = Coordinator("agency", "agency@example.org")
# As the first policy has them; a period of the tests has room for four weeks of cafés.
_PERIODS = (((9, 20), (11, 5)), ((11, 15), (12, 31)), ((1, 10), (3, 10)))
_ROOM_DAYS, _SOONEST_DAYS = 28, 20


@cache
def first_day() -> date:
    """The first day from twenty days ahead from which a period goes on for four weeks."""
    day = datetime.now(PARIS).date() + timedelta(days=_SOONEST_DAYS)
    while not any(
        date(day.year, *first) <= day and day + timedelta(days=_ROOM_DAYS) <= date(day.year, *last)
        for first, last in _PERIODS
    ):
        day += timedelta(days=1)
    return day


def days_before(count: float, *, of: float = 0) -> float:
    """How many days from now it is so many days before a café on the tests' day `of`, at its hour."""
    at = datetime.combine(first_day(), time(18), PARIS) + timedelta(days=of - count)
    return (at - datetime.now(UTC)) / timedelta(days=1)


def cafe_body(venue_id: UUID, facilitator_id: UUID, on: float = 0, hour: int = 18, **more: Any) -> dict[str, Any]:
    """A café of twenty seats on the tests' day `on`."""
    begin = datetime.combine(first_day() + timedelta(days=int(on)), time(hour), PARIS)
    return {
        "theme": "SUPPORTING_A_TEENAGER",
        "venue_id": str(venue_id),
        "facilitator_id": str(facilitator_id),
        "starts_at": begin.isoformat(),
        "ends_at": (begin + timedelta(minutes=90)).isoformat(),
        "capacity_count": 20,
        "fictitious": True,
        **more,
    }


# -- as users see it


@dataclass
class Cafes:
    """The service as its users see it."""

    stack: Stack
    url: str

    async def coordinator(self, role: str = "coordinator", sub: str = "") -> httpx.AsyncClient:
        """Somebody who plans a season."""
        sub = sub or f"{role}-{uuid4().hex[:8]}"
        return await client_of(self.stack, self.url, sub, role, name=f"Nom de {sub}")

    def family(self) -> httpx.AsyncClient:
        """Somebody without an account."""
        return http_client(base_url=self.url)

    async def cafe(
        self, coordinator: httpx.AsyncClient, *, commune_code: str = "76540", opened: bool = True, **more: Any
    ) -> UUID:
        """A café in a venue of its own, open."""
        venue_id, facilitator_id, cafe_id = uuid4(), uuid4(), uuid4()
        venue = {"title": "Médiathèque", "kind": "PUBLIC_SERVICE_HOUSE", "commune_code": commune_code}
        person = {"title": "Anima Trice", "email": f"anime-{uuid4().hex[:8]}@example.org"}
        for path, body in (
            (f"/v1/venues/{venue_id}", venue),
            (f"/v1/facilitators/{facilitator_id}", person),
            (f"/v1/cafes/{cafe_id}", cafe_body(venue_id, facilitator_id, **more)),
        ):
            answer = await coordinator.put(path, json=body)
            assert answer.status_code == 200, answer.text
        if opened:
            answer = await coordinator.post(f"/v1/cafes/{cafe_id}/opening")
            assert answer.status_code == 200, answer.text
            # Other tests leave households that come first near here for two days; what is tested is for everybody.
            sql = f"UPDATE cafe SET opens_at = LEAST(opens_at, now()) WHERE cafe_id = '{cafe_id}'"
            await asyncio.to_thread(self.stack.postgres.psql, sql, "parents_cafes")
        return cafe_id


# -- in the test's own process


async def opened(
    runtime: Runtime, *, commune_code: str = "76540", open_it: bool = True, capacity_count: int = 20, **more: Any
) -> UUID:
    """A café of the agency's in a venue of its own, open."""
    venue_id, facilitator_id, cafe_id = uuid4(), uuid4(), uuid4()
    async with runtime.database.transaction() as tx:
        venue = VenueBody.model_validate(
            {"title": "Médiathèque", "kind": "ASSOCIATION", "commune_code": commune_code, "capacity_count": 100}
        ).venue(venue_id)
        assert await season_handlers.describe_venue(tx, AGENCY, venue) is None
        assert (
            await season_handlers.describe_facilitator(tx, AGENCY, facilitator_id, "Anima", "anima@example.org") is None
        )
    body = cafe_body(venue_id, facilitator_id, capacity_count=capacity_count, **more)
    assert await planned(runtime, cafe_id, body) is None
    if open_it:
        async with runtime.database.transaction() as tx:
            assert await season_handlers.open_cafe(tx, AGENCY, cafe_id) is None
    return cafe_id


async def planned(
    runtime: Runtime, cafe_id: UUID, body: dict[str, Any], *, who: Coordinator = AGENCY
) -> Refusal | None:
    """A coordinator, or the agency, plans a café, or changes one."""
    plan = CafeBody.model_validate(body)
    async with runtime.database.transaction() as tx:
        venue = await venue_store.find_venue(tx, plan.venue_id)
        assert venue is not None
        act = partial(season_handlers.plan_cafe, tx, who, cafe_id, plan.plan(venue))
        refusal: Refusal | None = await accepting(tx, act)
        return refusal


async def household(runtime: Runtime, who: str) -> UUID:
    """The household of a verified address."""
    async with runtime.database.transaction() as tx:
        return await household_store.household_for(tx, f"{who}@example.org", who)


async def registered(
    runtime: Runtime, cafe_id: UUID, who: str, seats: int = 1, *, wait: bool = True
) -> Refusal | Registered:
    """A household with a verified address registers, in line where it is full."""
    household_id = await household(runtime, who)
    async with runtime.database.transaction() as tx:
        return await handlers.register(tx, household_id, cafe_id, seats, wait=wait)


async def filled(runtime: Runtime, cafe_id: UUID, seats: int, name: str = "") -> None:
    """So many parents, each alone."""
    for n in range(seats):
        result = await registered(runtime, cafe_id, f"{name or cafe_id.hex[:6]}-{n}")
        assert isinstance(result, Registered) and result.registration is not None, result


async def reviewed(runtime: Runtime) -> int:
    """The pass, until nothing is due; how many cafés it decided on."""
    return await swept(runtime, season_handlers.review_due)


async def settled(runtime: Runtime) -> None:
    """The sweeper, until nothing is due."""
    await swept(runtime, handlers.settle_due)


async def cafe_row(runtime: Runtime, cafe_id: UUID) -> Any:
    """A café's row."""
    async with runtime.database.transaction() as tx:
        return await tx.fetch_one("SELECT * FROM cafe WHERE cafe_id = :id", id=cafe_id)


async def states_of(runtime: Runtime, cafe_id: UUID) -> dict[str, str]:
    """Who is what in a café, by the name before the address; the last registration of each."""
    async with runtime.database.transaction() as tx:
        rows = await household_store.registrations(tx, cafe_id=cafe_id)
    return {str(row.household_title): row.state for row in sorted(rows, key=lambda row: row.joined_at)}


async def registration_of(runtime: Runtime, who: str) -> Any:
    """The newest registration of a household."""
    household_id = await household(runtime, who)
    async with runtime.database.transaction() as tx:
        rows = await household_store.registrations(tx, household_id=household_id)
    return max(rows, key=lambda row: row.joined_at)


async def mails_of(runtime: Runtime, who: str) -> list[tuple[str, str]]:
    """Subject and body of what somebody was written, after the sweeper has told all that is owed."""
    return await mails_to(runtime, notices.write_owed, f"{who}@example.org")


def link_in(body: str) -> str:
    """The path of the signed link in a mail."""
    found = re.search(r"(/(?:confirmer|mon-cafe|animation)/\S+)", body)
    assert found is not None, body
    return found[1]
