"""Free slots among 2,000 platforms with 100,000 bookings: search and booking over HTTP, each as a ratio to its bare SQL.

Then a sweep that shares no code with the service looks for two bookings of one unit at a time. Starts a stack of its own.
"""

from __future__ import annotations

import asyncio
import random
import time
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import httpx
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from common.embedded.stack import Stack
from common.repair import for_repair
from common.testing import client_of, url_of
from measuring import PARALLEL, print_ratio, resident_megabytes, started, timed
from platform_scheduling import handlers
from platform_scheduling.app import service
from platform_scheduling.bodies import PlatformBody, WindowBody
from platform_scheduling.search import FREE_TIMES, day_span
from territory import reference
from territory.equipment import EQUIPMENT
from territory.identifiers import siret_is_valid
from territory.working_time import PARIS

PLATFORM_COUNT, BOOKING_COUNT = 2_000, 100_000
SEARCH_COUNT, BOOK_COUNT = 1_000, 1_000
_LOT = 20_000


def owner_code(number: int) -> str:
    """A SIRET with a right key."""
    return next(f"9{number:012d}{key}" for key in range(10) if siret_is_valid(f"9{number:012d}{key}"))


async def furnish(url: str, draw: random.Random) -> None:
    """Platforms by the service's own handlers, bookings by one statement each lot: the constraint refuses what overlaps."""
    communes = [c for c in reference.communes().values() if c.population >= 1500]
    places = draw.choices(communes, [c.population**0.8 for c in communes], k=PLATFORM_COUNT)
    today = datetime.now(PARIS).date()
    async with for_repair(service, url) as runtime:
        for number, place in enumerate(places):
            body = PlatformBody.model_validate(
                {
                    "owner_title": "Banc d’essai",
                    "title": f"Atelier {number}",
                    "commune_code": place.code,
                    "equipment_codes": draw.sample(list(EQUIPMENT), draw.randint(1, 2)),
                    "capacity_count": draw.choice((8, 12, 16, 24)),
                    "units": ["A", "B"][: draw.choice((1, 1, 2))],
                    "approval": "AUTOMATIC",
                    "fictitious": True,
                }
            )
            opened = WindowBody.model_validate(
                {
                    "starts_at_local": f"{today}T08:00",
                    "length_minutes": 600,
                    "rrule": "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR",
                }
            )
            async with runtime.database.transaction() as tx:
                platform_id, code = uuid4(), owner_code(number)
                await handlers.describe_platform(tx, code, None, platform_id, body.description(), body.units)
                await handlers.put_window(tx, code, platform_id, opened.window(uuid4()))
        async with runtime.database.transaction() as tx:
            await tx.execute(
                """INSERT INTO requester (requester_id, account, requester_title, feed_secret)
                   SELECT gen_random_uuid(), 'bench/' || n, 'Banc', gen_random_uuid() FROM generate_series(1, 20000) n"""
            )
        while await _booked(runtime.database.engine) < BOOKING_COUNT:
            async with runtime.database.transaction() as tx:
                await tx.execute(
                    """INSERT INTO booking (booking_id, platform_id, unit_id, requester_id, origin, state, starts_at, ends_at,
                           occupied_until, group_size, requested_at, due_at, revision, late, changed_at)
                       SELECT gen_random_uuid(), u.platform_id, u.unit_id, r.requester_id, 'PERSON', 'approved', o.begins,
                              o.begins + o.hours, o.begins + o.hours, 8, now(), o.begins + o.hours, 1, false, now()
                       FROM (SELECT platform_id, starts_at + make_interval(hours => (random() * 7)::int) AS begins,
                                    make_interval(hours => 1 + (random() * 2)::int) AS hours, 'bench/' || (1 + (random() * 19999)::int) AS account
                             FROM open_time WHERE starts_at > now() + interval '2 days' ORDER BY random() LIMIT :lot) o
                            JOIN requester r USING (account)
                            CROSS JOIN LATERAL (SELECT * FROM unit WHERE unit.platform_id = o.platform_id ORDER BY random() LIMIT 1) u
                       ON CONFLICT DO NOTHING""",
                    lot=_LOT,
                )
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(sqlalchemy.text("VACUUM ANALYZE"))
    await engine.dispose()


async def _booked(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return int((await connection.execute(sqlalchemy.text("SELECT count(*) FROM booking"))).scalar_one())


async def search(stack: Stack, url: str, draw: random.Random) -> tuple[list[float], list[float], float]:
    """The same questions by HTTP and by the bare statement, in turns; and how many platforms an answer has on average."""
    towns = [c.code for c in reference.communes().values() if c.population >= 5000]
    today = datetime.now(PARIS).date()
    asked = [
        (
            draw.choice(towns),
            draw.choice((10, 30, 50)),
            today + timedelta(days=draw.randint(3, 120)),
            draw.choice([None, *EQUIPMENT]),
        )
        for _ in range(SEARCH_COUNT)
    ]
    engine, found = create_async_engine(url, pool_size=PARALLEL), 0
    async with httpx.AsyncClient(base_url=url_of(stack, "platform-scheduling"), timeout=60) as client:

        async def by_http(number: int) -> None:
            nonlocal found
            commune, radius, day, equipment = asked[number]
            query: dict[str, Any] = {
                "commune_code": commune,
                "radius_km": radius,
                "on": str(day),
                "minutes": 120,
                "group_size": 8,
            }
            answer = await client.get("/v1/free-slots", params=query | ({"equipment": equipment} if equipment else {}))
            found += len(answer.raise_for_status().json()["platforms"])

        async def by_sql(number: int) -> None:
            commune, radius, day, equipment = asked[number]
            span = day_span(day)
            values = {
                "communes": [code for _, code in reference.communes_within(commune, radius)],
                "since": span.starts_at,
                "until": span.ends_at,
                "now": datetime.now(PARIS),
                "minutes": 120,
                "group_size": 8,
                "equipment": equipment,
                "accessible": False,
                "platform_id": None,
                "horizon_days": 180,
                "notice_hours": 24,
                "gap_minutes": 0,
                "length_minutes_min": 30,
            }
            async with engine.connect() as connection:
                (await connection.execute(sqlalchemy.text(FREE_TIMES), values)).all()

        await timed(20, by_http)
        found = 0
        http, sql = await timed(SEARCH_COUNT, by_http), await timed(SEARCH_COUNT, by_sql)
    await engine.dispose()
    return http, sql, found / SEARCH_COUNT


async def book(stack: Stack, url: str, draw: random.Random) -> tuple[list[float], list[float]]:
    """Bookings of free slots by HTTP, and as many rows by a bare INSERT into the same table, constraint and commit included."""
    engine = create_async_engine(url, pool_size=PARALLEL)
    async with engine.connect() as connection:
        statement = """SELECT o.platform_id, u.unit_id, o.starts_at FROM open_time o JOIN unit u USING (platform_id)
            WHERE o.starts_at BETWEEN now() + interval '3 days' AND now() + interval '150 days' AND u.number = 1
              AND NOT EXISTS (SELECT 1 FROM booking b WHERE b.unit_id = u.unit_id AND b.starts_at < o.ends_at AND b.ends_at > o.starts_at)
            ORDER BY random() LIMIT :count"""
        free = (await connection.execute(sqlalchemy.text(statement), {"count": BOOK_COUNT})).all()
        requester = (
            await connection.execute(sqlalchemy.text("SELECT requester_id FROM requester LIMIT 1"))
        ).scalar_one()
    base = url_of(stack, "platform-scheduling")
    clients = [
        await client_of(stack, base, f"bench-{n}", "host", structure_id=str(UUID(int=n + 1))) for n in range(110)
    ]

    async def by_http(number: int) -> None:
        row = free[number]
        body = {
            "platform_id": str(row.platform_id),
            "starts_at": row.starts_at.isoformat(),
            "ends_at": (row.starts_at + timedelta(hours=2)).isoformat(),
            "group_size": 8,
            # A client stands for several classes.
            "overlapping": True,
        }
        (await clients[number % len(clients)].post("/v1/bookings", json=body)).raise_for_status()

    insert = """INSERT INTO booking (booking_id, platform_id, unit_id, requester_id, origin, state, starts_at, ends_at, occupied_until,
            group_size, requested_at, due_at, revision, late, changed_at)
        VALUES (:id, :platform_id, :unit_id, :requester, 'PERSON', 'approved', :begins, :ends, :ends, 8, now(), :ends, 1, false, now())"""

    async def by_sql(number: int) -> None:
        row = free[number]
        begins = row.starts_at + timedelta(hours=3)
        values = {"id": uuid4(), "platform_id": row.platform_id, "unit_id": row.unit_id, "requester": requester}
        async with engine.begin() as connection:
            await connection.execute(
                sqlalchemy.text(insert), {**values, "begins": begins, "ends": begins + timedelta(hours=2)}
            )

    count = min(len(free), BOOK_COUNT)
    http, sql = await timed(count, by_http), await timed(count, by_sql)
    for client in clients:
        await client.aclose()
    await engine.dispose()
    return http, sql


async def sweep(url: str) -> tuple[int, int]:
    """Bookings that hold a unit, and how many of them begin before the one before them on their unit ends."""
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        rows = (
            await connection.execute(
                sqlalchemy.text(
                    "SELECT unit_id, starts_at, ends_at FROM booking WHERE state IN ('tentative', 'approved')"
                )
            )
        ).all()
    await engine.dispose()
    ordered = sorted(rows, key=lambda row: (str(row.unit_id), row.starts_at))
    return len(rows), sum(a.unit_id == b.unit_id and b.starts_at < a.ends_at for a, b in pairwise(ordered))


async def measure(stack: Stack) -> None:
    """Furnishes, asks, books, sweeps."""
    draw, url = random.Random(1), stack.postgres.url("platform_scheduling")
    began = time.perf_counter()
    await furnish(url, draw)
    print(f"{PLATFORM_COUNT} platforms, {BOOKING_COUNT} bookings: {time.perf_counter() - began:.0f} s to furnish")
    http, sql, found = await search(stack, url, draw)
    print_ratio(f"search of free slots ({found:.0f} platforms found)", http, sql)
    print_ratio("booking", *await book(stack, url, draw))
    held, overlapping = await sweep(url)
    print(f"independent sweep: {held} bookings hold a unit, {overlapping} overlap")
    print(f"resident memory of the service: {resident_megabytes(stack, 'platform-scheduling'):.0f} MB")


def main() -> None:
    """Starts, measures, prints."""
    with started() as stack:
        asyncio.run(measure(stack))


if __name__ == "__main__":
    main()
