"""Registrations at once on one session of 300 seats, and one after the other on many: over HTTP, as a ratio to the bare SQL.

The bare SQL is one INSERT and the conditional update that the constraint looks at. Starts a stack of its own.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import psutil
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from common.embedded.stack import EmbeddedSettings, Stack
from common.testing import token_of, url_of

BURST_COUNT, SEATS, CALM_COUNT, PARALLEL = 1_000, 300, 1_000, 4
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


async def registering(client: httpx.AsyncClient, event_id: UUID, session_id: UUID, number: int) -> tuple[float, int]:
    """One family registers: seconds, status."""
    body = {
        "email": f"banc-{event_id.hex[:6]}-{number}@example.org",
        "session_ids": [str(session_id)],
        "wait": True,
    }
    began = time.perf_counter()
    answer = await client.post(f"/v1/events/{event_id}/registrations", json=body)
    return time.perf_counter() - began, answer.status_code


async def bare(engine: AsyncEngine, session_id: UUID) -> float:
    """The same seat by two statements: seconds."""
    began = time.perf_counter()
    async with engine.begin() as connection:
        await connection.execute(
            sqlalchemy.text("SELECT 1 FROM session WHERE session_id = :id FOR UPDATE"), {"id": session_id}
        )
        await connection.execute(sqlalchemy.text(_INSERT), {"holder": uuid4(), "session_id": session_id})
        await connection.execute(sqlalchemy.text(_UPDATE), {"session_id": session_id})
    return time.perf_counter() - began


def quantiles(seconds: list[float]) -> tuple[float, float]:
    """Median and 99th percentile, in milliseconds."""
    cut = statistics.quantiles(seconds, n=100)
    return 1000 * cut[49], 1000 * cut[98]


async def measured(stack: Stack) -> None:
    """Runs both and prints them."""
    persona = {"label": "Banc", "sub": "bench", "roles": ["agency"], "email": "bench@example.org"}
    headers = {"Authorization": f"Bearer {await token_of(stack, persona)}"}
    url = url_of(stack, "events")
    limits = httpx.Limits(max_connections=100)
    engine = create_async_engine(stack.postgres.url("events"), pool_size=PARALLEL)
    async with (
        httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as agency,
        httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as family,
    ):
        event_id, (session_id,) = await an_event(agency, 1, SEATS)
        began = time.perf_counter()
        burst = await asyncio.gather(*(registering(family, event_id, session_id, n) for n in range(BURST_COUNT)))
        took = time.perf_counter() - began
        assert {status for _, status in burst} == {201}
        shown: Any = (await family.get(f"/v1/events/{event_id}")).json()["sessions"][0]
        print(f"{BURST_COUNT} at once on {SEATS} seats: {took:.1f} s, {BURST_COUNT / took:.0f} a second;", end=" ")
        print(f"{shown['capacity_count'] - shown['free_count']} seats taken, {shown['waiting_count']} in line")
        event_id, ids = await an_event(agency, 40, 1000)
        slots = asyncio.Semaphore(PARALLEL)

        async def calm(number: int) -> float:
            async with slots:
                return (await registering(family, event_id, ids[number % len(ids)], number))[0]

        async def calm_bare(number: int) -> float:
            async with slots:
                return await bare(engine, ids[number % len(ids)])

        ours = quantiles(await asyncio.gather(*(calm(n) for n in range(CALM_COUNT))))
        theirs = quantiles(await asyncio.gather(*(calm_bare(n) for n in range(CALM_COUNT))))
    await engine.dispose()
    print(f"a registration over HTTP, {PARALLEL} at a time: p50 {ours[0]:.1f} ms, p99 {ours[1]:.1f} ms")
    print(f"its bare SQL:                        p50 {theirs[0]:.1f} ms, p99 {theirs[1]:.1f} ms")
    print(f"ratio {ours[0] / theirs[0]:.1f} / {ours[1] / theirs[1]:.1f}")
    process = stack.children["events"].process
    assert process is not None
    print(f"memory of the service: {psutil.Process(process.pid).memory_info().rss / 1e6:.0f} MB")


def main() -> None:
    """Starts a stack, measures, throws it away."""
    os.environ["ESTUAIRE_COMMANDS_PER_SECOND_MAX"] = "1000000"
    home = Path(tempfile.mkdtemp(prefix="estuaire-bench-"))
    home.chmod(0o755)
    stack = Stack(EmbeddedSettings.on_free_ports(home))
    stack.start()
    try:
        asyncio.run(measured(stack))
    finally:
        stack.stop()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
