"""A season of events simulated with the clock: its log, judged by an independent fold, equals the database and the calendar."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from common.avro import validated
from common.failures import Refusal
from common.runtime import Runtime
from common.testing import FreshRuntime, accepting, set_clock, swept
from common.verdicts import Delivery
from events import event_handlers, handlers, party_store
from events.state import CheckIn
from projections import calendar
from tests.integration.events import planned, prepared, registered
from tests.integration.referee import decode

_SEASON_DAYS, _PEOPLE = 40, 60
_MADE = {"RegistrationMade": "registered", "RegistrationQueued": "waiting", "SeatsOffered": "offered"}


class Season:
    """Random lives of some events, day after day."""

    def __init__(self, runtime: Runtime, seed: int) -> None:
        self.runtime = runtime
        self.draw = random.Random(seed)
        self.sessions: list[UUID] = []
        self.events: dict[UUID, UUID] = {}
        self.refused: Counter[str] = Counter()

    async def prepare(self) -> None:
        """Five events: cycles, slots for groups, a draw; sessions all over the season."""
        for number in range(5):
            kind = "FAMILY_CONFERENCES" if number % 2 else "OPEN_DAY"
            begins = self.draw.sample(range(3, _SEASON_DAYS), 4 if number % 2 else 1)
            sessions: list[dict[str, Any]] = [
                {"days": days, "hour": self.draw.randint(9, 18), "capacity_count": self.draw.randint(3, 12)}
                for days in sorted(begins)
            ]
            if number == 0:
                sessions = [{"days": 20, "capacity_count": 6, "allocation": "LOTTERY", "draw_at": None}]
                sessions[0]["draw_at"] = (await self.now() + timedelta(days=9)).isoformat()
            event_id, ids = await prepared(self.runtime, *sessions, kind=kind)
            self.sessions += ids
            self.events |= dict.fromkeys(ids, event_id)

    async def now(self) -> Any:
        """The rules' clock."""
        async with self.runtime.database.transaction() as tx:
            return await tx.now()

    async def live(self) -> None:
        """Forty days, some acts each, the sweepers at random moments only."""
        for day in range(_SEASON_DAYS + 3):
            await set_clock(self.runtime, day + self.draw.random() * 0.9)
            for _ in range(30):
                await self.act()
            if self.draw.random() < 0.5:
                await self.sweep()
        await set_clock(self.runtime, _SEASON_DAYS + 5)
        await self.sweep()

    async def sweep(self) -> None:
        """All that time made due."""
        await swept(self.runtime, handlers.settle_due, handlers.release_after_absences, handlers.heal)

    async def act(self) -> None:
        """Somebody does something."""
        session_id = self.draw.choice(self.sessions)
        what = self.draw.choices(
            (
                "register",
                "group",
                "cycle",
                "cancel",
                "accept",
                "resize",
                "capacity",
                "door",
                "move",
                "off",
                "organiser",
            ),
            (30, 4, 6, 12, 14, 5, 3, 14, 1, 0.4, 3),
        )[0]
        refusal: Any = None
        match what:
            case "register":
                who, seats = f"p{self.draw.randrange(_PEOPLE)}", self.draw.randint(1, 3)
                wait = self.draw.random() < 0.8
                refusal = await registered(self.runtime, self.events[session_id], [session_id], who, seats, wait=wait)
            case "group":
                refusal = await registered(
                    self.runtime, self.events[session_id], [session_id], "school", self.draw.randint(2, 9), group=True
                )
            case "cycle":
                event_id = self.events[session_id]
                ids = [one for one, of in self.events.items() if of == event_id]
                who = f"p{self.draw.randrange(_PEOPLE)}"
                refusal = await registered(self.runtime, event_id, ids, who, self.draw.randint(1, 3))
            case "capacity":
                refusal = await self.change(session_id, capacity=self.draw.randint(-1, 4))
            case "move":
                refusal = await self.change(session_id, hours=self.draw.choice((-2, 3, 26)))
            case "off":
                async with self.runtime.database.transaction() as tx:
                    refusal = await accepting(tx, partial(event_handlers.cancel_session, tx, "agency", session_id))
            case _:
                refusal = await self.on_somebody(session_id, what)
        if isinstance(refusal, Refusal):
            self.refused[refusal.reason] += 1

    async def change(self, session_id: UUID, *, capacity: int = 0, hours: int = 0) -> Refusal | None:
        """The organiser changes a session."""
        async with self.runtime.database.transaction() as tx:
            row = await tx.fetch_one("SELECT * FROM session WHERE session_id = :id", id=session_id)
            assert row is not None
        shift = timedelta(hours=hours)
        return await planned(
            self.runtime,
            row.event_id,
            session_id,
            starts_at=(row.starts_at + shift).isoformat(),
            ends_at=(row.ends_at + shift).isoformat(),
            capacity_count=max(1, row.capacity_count + capacity),
            allocation=row.allocation,
            draw_at=row.draw_at.isoformat() if row.draw_at else None,
        )

    async def on_somebody(self, session_id: UUID, what: str) -> Any:
        """A party of the session acts, or is acted upon."""
        async with self.runtime.database.transaction() as tx:
            rows = await party_store.registrations(tx, session_id=session_id)
            if not rows:
                return None
            row = self.draw.choice(rows)
            ids = {"party_id": row.party_id, "registration_id": row.registration_id}
            match what:
                case "cancel":
                    return await handlers.cancel(tx, **ids)
                case "accept":
                    return await handlers.accept(tx, **ids)
                case "resize":
                    return await handlers.resize(tx, **ids, seat_count=self.draw.randint(1, 4))
                case "organiser":
                    return await handlers.cancel_for(tx, "agency", row.registration_id)
                case _:
                    reading = CheckIn(row.code, self.draw.choice((None, 0, 1, 2)), await tx.now())
                    return await handlers.check_in(tx, "agency", session_id, [reading, reading])


async def log_of(runtime: Runtime) -> list[tuple[str, bytes]]:
    """Every message of sessions, in the order of the outbox."""
    async with runtime.database.transaction() as tx:
        rows = await tx.fetch_all("SELECT topic, value FROM outbox ORDER BY id")
    return [(row.topic, row.value) for row in rows]


def judge(records: list[tuple[str, dict[str, Any]]]) -> dict[str, dict[str, tuple[str, int]]]:
    """Each session's registrations by the log alone; every message's counts are the sums after it, nothing is overbooked."""
    known: dict[str, dict[str, tuple[str, int]]] = defaultdict(dict)
    capacity: dict[str, int] = {}
    versions: Counter[str] = Counter()
    for name, fields in records:
        key = str(fields["aggregate_id"])
        versions[key] += 1
        assert fields["aggregate_version"] == versions[key], (name, key)
        mine = known[key]
        one = str(fields.get("registration_id"))
        match name:
            case "SessionDescribed":
                capacity[key] = fields["capacity_count"] or 0
            case "RegistrationMade" | "RegistrationQueued" | "SeatsOffered":
                before = mine.get(one, ("", 0))[0]
                # Only who waited is offered, only who is new or in line or drawn or offered is registered.
                assert before in {"RegistrationQueued": {""}, "SeatsOffered": {"waiting"}}.get(
                    name, {"", "waiting", "offered"}
                )
                mine[one] = (_MADE[name], fields["seat_count"])
            case "RegistrationResized":
                mine[one] = (mine[one][0], fields["seat_count"])
            case "RegistrationEnded":
                assert mine.pop(one)
            case "SessionCancelled":
                mine.clear()
        sums = Counter[str]()
        for state, seats in mine.values():
            sums[state] += seats
        if "registered_count" in fields:
            told = tuple(fields[f"{state}_count"] for state in ("registered", "offered", "waiting"))
            assert told == (sums["registered"], sums["offered"], sums["waiting"]), (name, key)
        assert sums["registered"] + sums["offered"] <= capacity.get(key, 0), (name, key)
    return known


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_season_equals_its_fold(fresh_runtime: FreshRuntime, parts: Any, seed: int) -> None:
    """Registrations, groups, cycles, a draw, cancellations, moves, absences; then log, database and calendar say the same."""
    async with fresh_runtime("events", development=True) as runtime, fresh_runtime("projections") as other:
        season = Season(runtime, seed)
        await season.prepare()
        await season.live()
        log = await log_of(runtime)
        records = []
        for topic, value in log:
            name, fields = decode(parts, value)
            assert fields is not None
            if topic == calendar.SESSIONS_TOPIC:
                records.append((name, fields))
        told = judge(records)
        names = Counter(name for name, _ in records)
        assert {"SeatsOffered", "RegistrationEnded", "VisitorsCheckedIn", "SessionHeld", "RegistrationResized"} <= set(
            names
        )
        # The database says of each registration what the log says.
        async with runtime.database.transaction() as tx:
            rows = await tx.fetch_all("SELECT * FROM registration WHERE state <> 'ended'")
            sessions = await tx.fetch_all("SELECT * FROM session")
            double = await tx.fetch_all(
                "SELECT 1 FROM registration WHERE state <> 'ended' GROUP BY session_id, holder_id HAVING count(*) > 1"
            )
        stored: dict[str, dict[str, tuple[str, int]]] = defaultdict(dict)
        for row in rows:
            state = "registered" if row.state in ("attended", "absent") else row.state
            stored[str(row.session_id)][str(row.registration_id)] = (state, row.seat_count)
        assert {key: one for key, one in told.items() if one} == dict(stored) and not double
        assert not any(row.state in ("waiting", "offered") for row in rows), "the season is over"
        # The calendar, folded in batches of any size, shows the same counts.
        random_lot = random.Random(seed)
        deliveries = []
        for offset, (topic, value) in enumerate(log):
            if topic in (calendar.EVENTS_TOPIC, calendar.SESSIONS_TOPIC):
                read = other.schema_ids.codec.decode(value)
                classes = {
                    f"{cls.namespace}.{cls.record_name()}": cls
                    for cls in (*calendar.EVENT_MESSAGES, *calendar.SESSION_MESSAGES)
                }
                deliveries.append(Delivery(validated(read, classes), topic, 0, offset))
        for topic, fold in (
            (calendar.EVENTS_TOPIC, calendar.fold_events),
            (calendar.SESSIONS_TOPIC, calendar.fold_sessions),
        ):
            left = [one for one in deliveries if one.topic == topic]
            while left:
                size = random_lot.randint(1, 40)
                async with other.database.transaction() as tx:
                    await fold(tx, left[:size])
                left = left[size:]
        async with other.database.transaction() as tx:
            shown = {row.session_id: row for row in await tx.fetch_all("SELECT * FROM calendar_session")}
        assert set(shown) == {row.session_id for row in sessions}
        for row in sessions:
            mine = [one for one in rows if one.session_id == row.session_id]
            came = sum(one.visitor_count or 0 for one in mine if one.state == "attended")
            seats = sum(one.seat_count for one in mine)
            found = shown[row.session_id]
            assert (found.registered_count, found.attended_count, found.offers) == (seats, came, {})
            assert (found.state, found.aggregate_version) == (row.state, row.version)


def test_the_judge_finds_what_it_is_for() -> None:
    """A gap, a wrong count, an overbooked session, somebody offered who did not wait: each is found."""
    described = {"aggregate_id": "s", "aggregate_version": 1, "capacity_count": 1}
    counts = {"registered_count": 1, "offered_count": 0, "waiting_count": 0}
    made = {"aggregate_id": "s", "aggregate_version": 2, "registration_id": "a", "seat_count": 1, **counts}
    fine = [("SessionDescribed", described), ("RegistrationMade", made)]
    judge(fine)
    over = made | {"aggregate_version": 3, "registration_id": "b", "registered_count": 2}
    for wrong in (
        [fine[0], ("RegistrationMade", made | {"aggregate_version": 3})],
        [fine[0], ("RegistrationMade", made | {"registered_count": 0})],
        [*fine, ("RegistrationMade", over)],
        [fine[0], ("SeatsOffered", made | {"registered_count": 0, "offered_count": 1})],
    ):
        with pytest.raises(AssertionError):
            judge(wrong)
