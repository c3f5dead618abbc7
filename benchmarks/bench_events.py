"""Registrations at once on one session of 300 seats, and one after the other on many: over HTTP, as a ratio to the bare SQL.

The bare SQL is one INSERT and the conditional update that the constraint looks at. Starts a stack of its own.
"""

from __future__ import annotations

import asyncio
import os
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from common.embedded.stack import Stack
from common.testing import client_of, url_of
from measuring import PARALLEL, print_ratio, resident_megabytes, started, timed

BURST_COUNT, SEATS, CALM_COUNT = 1_000, 300, 1_000
_INSERT = """
INSERT INTO registration (registration_id, holder_id, seat_count, state, joined_at, priority, session_id, party_id, party_kind, revision)
SELECT gen_random_uuid(), :holder, 1, 'registered', clock_timestamp(), 0, :session_id, party_id, 'INDIVIDUAL', 1 FROM party LIMIT 1"""
_UPDATE = """
UPDATE session SET version = version + 1, taken_count = (SELECT COALESCE(sum(seat_count), 0) FROM registration
    WHERE session_id = :session_id AND state IN ('offered', 'registered', 'attended', 'absent')) WHERE session_id = :session_id"""


async def an_event(agency: httpx.AsyncClient, session_count: int, seats: int) -> tuple[UUID, list[UUID]]:
    """A confirmed cycle of sessions a month from now."""
    event_id, ids = uuid4(), [uuid4() for _ in range(session_count)]
    begin = (datetime.now(UTC) + timedelta(days=30)).replace(microsecond=0)
    body = {"organiser_title": "Banc d’essai", "kind": "OPEN_DAY", "title": "Porte ouverte", "commune_code": "76540"}
    (await agency.put(f"/v1/events/{event_id}", json=body)).raise_for_status()
    for number, session_id in enumerate(ids):
        at = begin + timedelta(minutes=number)
        session = {
            "title": "Visite",
            "starts_at": at.isoformat(),
            "ends_at": (at + timedelta(hours=1)).isoformat(),
            "capacity_count": seats,
        }
        (await agency.put(f"/v1/events/{event_id}/sessions/{session_id}", json=session)).raise_for_status()
    (await agency.post(f"/v1/events/{event_id}/publication")).raise_for_status()
    return event_id, ids


async def registering(client: httpx.AsyncClient, event_id: UUID, session_id: UUID, number: int) -> int:
    """One family registers; the status."""
    body = {
        "email": f"banc-{event_id.hex[:6]}-{number}@example.org",
        "session_ids": [str(session_id)],
        "wait": True,
    }
    return (await client.post(f"/v1/events/{event_id}/registrations", json=body)).status_code


async def bare(engine: AsyncEngine, session_id: UUID) -> None:
    """The same seat by two statements."""
    async with engine.begin() as connection:
        await connection.execute(
            sqlalchemy.text("SELECT 1 FROM session WHERE session_id = :id FOR UPDATE"), {"id": session_id}
        )
        await connection.execute(sqlalchemy.text(_INSERT), {"holder": uuid4(), "session_id": session_id})
        await connection.execute(sqlalchemy.text(_UPDATE), {"session_id": session_id})


async def measured(stack: Stack) -> None:
    """Runs both and prints them."""
    url = url_of(stack, "events")
    limits = httpx.Limits(max_connections=100)
    engine = create_async_engine(stack.postgres.url("events"), pool_size=PARALLEL)
    async with (
        await client_of(stack, url, "bench", "agency") as agency,
        httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as family,
    ):
        event_id, (session_id,) = await an_event(agency, 1, SEATS)
        began = time.perf_counter()
        burst = await asyncio.gather(*(registering(family, event_id, session_id, n) for n in range(BURST_COUNT)))
        took = time.perf_counter() - began
        assert set(burst) == {201}
        shown: Any = (await family.get(f"/v1/events/{event_id}")).json()["sessions"][0]
        print(f"{BURST_COUNT} at once on {SEATS} seats: {took:.1f} s, {BURST_COUNT / took:.0f} a second;", end=" ")
        print(f"{shown['capacity_count'] - shown['free_count']} seats taken, {shown['waiting_count']} in line")
        event_id, ids = await an_event(agency, 40, 1000)

        async def by_http(number: int) -> None:
            await registering(family, event_id, ids[number % len(ids)], number)

        async def by_sql(number: int) -> None:
            await bare(engine, ids[number % len(ids)])

        print_ratio("registration", await timed(CALM_COUNT, by_http), await timed(CALM_COUNT, by_sql))
    await engine.dispose()
    print(f"resident memory of the service: {resident_megabytes(stack, 'events'):.0f} MB")


def main() -> None:
    """Starts a stack, measures, throws it away."""
    os.environ["ESTUAIRE_COMMANDS_PER_SECOND_MAX"] = "1000000"
    with started() as stack:
        asyncio.run(measured(stack))


if __name__ == "__main__":
    main()
