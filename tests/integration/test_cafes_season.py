"""A season of cafés simulated with the clock: its log, judged by an independent fold, equals the database and the read model."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from common.avro import validated
from common.failures import Refusal
from common.runtime import Runtime
from common.testing import FreshRuntime, accepting, never_in_a_circle, set_clock, swept
from common.verdicts import Delivery
from parents_cafes import handlers, household_store, season_handlers
from parents_cafes.handlers import Registered
from parents_cafes.state import Coordinator
from projections import cafe_season
from tests.faults.checker import cafes as judge
from tests.faults.checker.log import Record
from tests.integration.cafes import (
    AGENCY,
    TOPIC,
    cafe_body,
    days_before,
    household,
    opened,
    planned,
    registered,
    registration_of,
)
from tests.integration.referee import decode

_SEASON_DAYS, _HOUSEHOLDS, _CAFES, _WANTED = 24, 240, 12, 4
_TOWNS = ("76540", "76575", "76498", "76322", "76351", "27229")


class Season:
    """Random lives of the cafés of a period, day after day."""

    def __init__(self, runtime: Runtime, seed: int) -> None:
        self.runtime = runtime
        self.draw = random.Random(seed)
        self.cafes: list[UUID] = []
        self.refused: Counter[str] = Counter()

    async def prepare(self) -> None:
        """Twelve cafés within four weeks around Rouen, Le Havre and Évreux: four small ones that many want, and quiet ones."""
        for number in range(_CAFES):
            self.cafes.append(
                await opened(
                    self.runtime,
                    commune_code=_TOWNS[number % len(_TOWNS)],
                    on=self.draw.randrange(_SEASON_DAYS),
                    hour=self.draw.randint(9, 18),
                    capacity_count=self.draw.randint(4, 9) if number < _WANTED else 20,
                )
            )

    async def live(self) -> None:
        """From ten days before the first to after the last, some acts each day; the sweepers at random moments only."""
        for day in range(-10, _SEASON_DAYS + 3):
            await set_clock(self.runtime, days_before(0, of=day) + self.draw.random() * 0.9)
            for _ in range(45):
                await self.act()
            if self.draw.random() < 0.6:
                await self.sweep()
        await set_clock(self.runtime, days_before(0, of=_SEASON_DAYS + 5))
        await self.sweep()

    async def sweep(self) -> None:
        """The pass, and all that time made due."""
        await swept(
            self.runtime, season_handlers.review_due, handlers.settle_due, season_handlers.remind, handlers.heal
        )

    async def act(self) -> None:
        """Somebody does something."""
        cafe_id = self.draw.choice(self.cafes)
        what = self.draw.choices(
            ("register", "cancel", "accept", "keep", "change", "resize", "door", "plan", "off", "coordinator", "pass"),
            (40, 16, 14, 4, 12, 6, 14, 3, 0.5, 2, 1),
        )[0]
        refusal: Any = None
        match what:
            case "register":
                cafe_id = self.draw.choices(self.cafes, [6] * _WANTED + [1] * (_CAFES - _WANTED))[0]
                who, seats = f"h{self.draw.randrange(_HOUSEHOLDS)}", self.draw.randint(1, 2)
                refusal = await registered(self.runtime, cafe_id, who, seats, wait=self.draw.random() < 0.8)
                if isinstance(refusal, Registered):
                    refusal = refusal.refusal
            case "plan":
                refusal = await self.plan(cafe_id)
            case "off":
                async with self.runtime.database.transaction() as tx:
                    refusal = await accepting(tx, partial(season_handlers.call_off, tx, AGENCY, cafe_id))
            case "pass":
                await swept(self.runtime, season_handlers.review_due)
            case _:
                refusal = await self.on_somebody(cafe_id, what)
        if isinstance(refusal, Refusal):
            self.refused[refusal.reason] += 1

    async def plan(self, cafe_id: UUID) -> Refusal | None:
        """The coordinator changes a café's seats, or its hour."""
        async with self.runtime.database.transaction() as tx:
            row = await tx.fetch_one("SELECT * FROM cafe WHERE cafe_id = :id", id=cafe_id)
        assert row is not None
        shift = timedelta(hours=self.draw.choice((0, 0, 1, -1, 24)))
        body = cafe_body(
            row.venue_id,
            row.facilitator_id,
            starts_at=(row.starts_at + shift).isoformat(),
            ends_at=(row.ends_at + shift).isoformat(),
            capacity_count=min(20, max(1, row.capacity_count + self.draw.randint(-2, 4))),
        )
        return await planned(self.runtime, cafe_id, body)

    async def on_somebody(self, cafe_id: UUID, what: str) -> Any:
        """A household of the café acts, or is acted upon."""
        async with self.runtime.database.transaction() as tx:
            rows = await household_store.registrations(tx, cafe_id=cafe_id)
            if not rows:
                return None
            row = self.draw.choice(rows)
            ids = (row.holder_id, row.registration_id)
            match what:
                case "cancel":
                    return await handlers.cancel(tx, *ids, warned=self.draw.random() < 0.7)
                case "accept":
                    return await handlers.accept(tx, *ids)
                case "keep":
                    return await handlers.keep(tx, *ids)
                case "change":
                    other = self.draw.choice(self.cafes)
                    return await handlers.change(tx, *ids, other, warned=self.draw.random() < 0.7)
                case "resize":
                    return await handlers.resize(tx, *ids, self.draw.randint(1, 3))
                case "coordinator":
                    return await season_handlers.cancel_for(tx, Coordinator("agency"), row.registration_id)
                case _:
                    return await season_handlers.check_in(tx, cafe_id, row.registration_id, self.draw.randint(0, 2))


async def log_of(runtime: Runtime, parts: Any) -> tuple[list[Record], list[bytes]]:
    """Every message on cafés in the order of the outbox, read by the referee; and its bytes."""
    async with runtime.database.transaction() as tx:
        rows = await tx.fetch_all("SELECT topic, key, value FROM outbox WHERE topic = :topic ORDER BY id", topic=TOPIC)
    records = []
    for offset, row in enumerate(rows):
        name, fields = decode(parts, row.value)
        assert fields is not None
        records.append(Record(row.topic, 0, offset, row.key.encode(), row.value, [], name, fields))
    return records, [row.value for row in rows]


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_season_equals_its_fold(fresh_runtime: FreshRuntime, parts: Any, seed: int) -> None:
    """Registrations, changes, cancellations, moves, merges, attendance; nobody lost, nobody in two cafés of the period."""
    async with fresh_runtime("parents_cafes", development=True) as runtime, fresh_runtime("projections") as other:
        season = Season(runtime, seed)
        await season.prepare()
        await season.live()
        records, values = await log_of(runtime, parts)
        names = Counter(record.name for record in records)
        assert {
            "CafeConfirmed",
            "CafeMerged",
            "HouseholdMoved",
            "CafeSeatsOffered",
            "HouseholdLeft",
            "HouseholdResized",
            "ParentsCheckedIn",
            "CafeHeld",
        } <= set(names), (names, season.refused)
        assert list(judge.wrong_counts(records)) == [] and list(judge.lost_in_merges(records)) == []
        async with runtime.database.transaction() as tx:
            rows = [dict(row._mapping) for row in await tx.fetch_all("SELECT * FROM registration")]
            cafes = await tx.fetch_all("SELECT * FROM cafe")
        # The database says of each registration what the log says, and nobody is twice in the period.
        assert judge.LISTS.in_log(records) == judge.LISTS.in_table(rows)
        live = [row for row in rows if row["state"] != "ended"]
        assert len({row["holder_id"] for row in live}) == len(live)
        assert not any(row["state"] in ("waiting", "offered") for row in rows), "the season is over"
        assert {row.state for row in cafes} <= {"held", "merged", "cancelled"}
        # Whatever befell a household, its log says why it is where it is: nobody is lost.
        everybody = {str(r.fields["household_id"]) for r in records if r.fields and "household_id" in r.fields}
        assert everybody == {str(row["holder_id"]) for row in rows}
        await same_in_read_model(other, values, cafes, rows, seed)


async def same_in_read_model(other: Runtime, values: list[bytes], cafes: Any, rows: Any, seed: int) -> None:
    """The season, folded in batches of any size, shows the same states and counts."""
    lot = random.Random(seed)
    classes = {f"{cls.namespace}.{cls.record_name()}": cls for cls in cafe_season.MESSAGES}
    left = [
        Delivery(validated(other.schema_ids.codec.decode(value), classes), TOPIC, 0, offset)
        for offset, value in enumerate(values)
    ]
    while left:
        size = lot.randint(1, 40)
        async with other.database.transaction() as tx:
            await cafe_season.fold(tx, left[:size])
        left = left[size:]
    async with other.database.transaction() as tx:
        shown = {row.cafe_id: row for row in await tx.fetch_all("SELECT * FROM season_cafe")}
    assert set(shown) == {row.cafe_id for row in cafes}
    for row in cafes:
        mine = [one for one in rows if one["cafe_id"] == row.cafe_id and one["state"] != "ended"]
        came = sum(one["visitor_count"] or 0 for one in mine if one["state"] == "attended")
        found = shown[row.cafe_id]
        seats = sum(one["seat_count"] for one in mine)
        assert (found.registered_count, found.attended_count, found.offers) == (seats, came, {})
        assert (found.status.lower(), found.aggregate_version) == (row.state, row.version)
        assert found.merged_into_id == row.merged_into_id


async def test_a_household_acts_while_the_pass_moves_it(fresh_runtime: FreshRuntime) -> None:
    """Keeps, cancels and changes race with merges: nobody waits in a circle, and the sums are true."""
    async with fresh_runtime("parents_cafes", development=True) as runtime:
        ids = [await opened(runtime, commune_code=_TOWNS[n % 4], on=n % 3) for n in range(8)]
        people = [(cafe_id, f"r{n}-{k}") for n, cafe_id in enumerate(ids) for k in range(1 + n % 4)]
        for cafe_id, who in people:
            await registered(runtime, cafe_id, who)
        await set_clock(runtime, days_before(4.5))

        async def passes() -> None:
            await swept(runtime, season_handlers.review_due)

        async def acts(who: str, other: UUID) -> Any:
            row = await registration_of(runtime, who)
            # As the edge does when the pass has moved it meanwhile; a deadlock is no such case.
            return await runtime.database.run(
                never_in_a_circle(
                    lambda tx: handlers.change(tx, row.holder_id, row.registration_id, other, warned=True)
                )
            )

        await asyncio.gather(passes(), passes(), *(acts(who, ids[n % len(ids)]) for n, (_, who) in enumerate(people)))
        async with runtime.database.transaction() as tx:
            rows = await tx.fetch_all(
                """SELECT c.cafe_id, c.taken_count, (SELECT COALESCE(sum(seat_count), 0) FROM registration r
                       WHERE r.cafe_id = c.cafe_id AND r.state IN ('registered', 'offered')) AS there FROM cafe c"""
            )
            found = await tx.fetch_one("SELECT count(*) AS n FROM registration")
        assert all(row.taken_count == row.there for row in rows)
        assert found is not None and found.n == len(people)
        assert await household(runtime, "r0-0")
