"""The invariants of the parents' cafés can fail: a small true world passes, and each planted lie is found by its invariant."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.faults.checker import cafes
from tests.faults.checker.consumed import Consumed
from tests.faults.checker.log import Record, Topic
from tests.faults.checker.world import Database, World
from tests.faults.lies import planted, violated
from tests.faults.test_stages_checker import record as made_record

SMALL, LARGE, OWNER = "small", "large", "person/a"
UNTIL = datetime(2027, 2, 1, tzinfo=UTC)
DESCRIBED: dict[str, Any] = dict.fromkeys(("school_year", "period", "theme", "venue_title", "venue_kind", "commune_code"), "t") | {
    "starts_at": 8, "ends_at": 9, "capacity_count": 3, "target_count": 3, "minimum_count": 2, "opens_at": None, "status": "OPEN", "fictitious": True,
}  # fmt: skip


class _Elsewhere:
    hex = "elsewhere"


class _Pass:
    hex = "pass"


class _Confirming:
    hex = "trace"


def counts(registered: int, offered: int, waiting: int) -> dict[str, Any]:
    """As messages carry them."""
    return {"registered_count": registered, "offered_count": offered, "waiting_count": waiting}


def record(version: int, name: str, key: str = LARGE, **fields: Any) -> Record:
    """One message of a café; told by nobody's command unless it says so."""
    return made_record(cafes.CAFES, version, name, key, **{"correlation_id": _Elsewhere, **fields})


def true_world() -> World:
    """One household of a small café was moved to a large one of three seats, where one is offered to who waited."""
    one: dict[str, Any] = {"registration_id": "a", "household_id": "ha", "seat_count": 2}
    two: dict[str, Any] = {"registration_id": "b", "household_id": "hb", "seat_count": 1}
    log = [
        record(1, "CafeDescribed", SMALL, **DESCRIBED, **counts(0, 0, 0)),
        record(2, "HouseholdRegistered", SMALL, **one, correlation_id=_Confirming, **counts(2, 0, 0)),
        record(3, "CafeMerged", SMALL, into_cafe_id=LARGE, moved_seat_count=2, correlation_id=_Pass),
        record(1, "CafeDescribed", **DESCRIBED, **counts(0, 0, 0)),
        record(2, "HouseholdQueued", **two, priority=0, **counts(0, 0, 1)),
        record(3, "CafeSeatsOffered", **two, expires_at=UNTIL, **counts(0, 1, 0)),
        record(4, "HouseholdMoved", **one, from_cafe_id=SMALL, cause="MERGED", answer_until=UNTIL, correlation_id=_Pass, **counts(2, 1, 0)),
        record(5, "CafeConfirmed"),
    ]  # fmt: skip
    period = {"school_year": "y", "period": "p"}
    facts: dict[str, Any] = {"coordinator_id": "o", "capacity_count": 3, "starts_at": 8, "ends_at": 9}
    service: dict[str, list[dict[str, Any]]] = {
        "coordinator": [{"coordinator_id": "o", "account": OWNER}],
        "cafe": [
            {"cafe_id": SMALL, "state": "merged", "taken_count": 0, "venue_id": "v", "facilitator_id": "f", **facts},
            {"cafe_id": LARGE, "state": "confirmed", "taken_count": 3, "venue_id": "w", "facilitator_id": "g", **facts},
        ],
        "registration": [
            {"registration_id": "a", "cafe_id": LARGE, "holder_id": "ha", "state": "registered", "seat_count": 2, **period},
            {"registration_id": "b", "cafe_id": LARGE, "holder_id": "hb", "state": "offered", "seat_count": 1, **period},
        ],
    }  # fmt: skip
    history: list[dict[str, Any]] = [
        {"kind": "invoke", "op_id": "1", "op": "confirm", "trace_id": "trace", "service": cafes.SERVICE, "role": "coordinator", "coordinator": OWNER},
        {"kind": "ok", "op_id": "1", "status": 201, "effects": {"HouseholdRegistered": 1}},
    ]  # fmt: skip
    topics = {cafes.CAFES: Topic(cafes.CAFES, "", "version", log, {}, {})}
    databases = {cafes.SERVICE: Database(service), "projections": Database(shown())}
    return World(topics, databases, history, {("projections", cafes.CAFES): Consumed(accepted=log)}, {})


def shown() -> dict[str, list[dict[str, Any]]]:
    """The read model, written down by hand."""
    same = DESCRIBED | {"attended_count": 0, "was_counted": False, "log_topic": cafes.CAFES, "log_partition": 0}
    small: dict[str, Any] = {
        "cafe_id": SMALL,
        "status": "MERGED",
        "merged_into_id": LARGE,
        "moved_seat_count": 2,
        "offers": {},
    }
    small |= {**counts(0, 0, 0), "described_at": 3, "described_version": 3, "aggregate_version": 3, "log_offset": 3}
    large: dict[str, Any] = {"cafe_id": LARGE, "status": "CONFIRMED", "merged_into_id": None, "moved_seat_count": 0}
    large |= {"offers": {"b": {"seats": 1, "until": UNTIL.isoformat()}}, **counts(2, 1, 0)}
    large |= {"described_at": 1, "described_version": 1, "aggregate_version": 5, "log_offset": 5}
    return {"season_cafe": [same | small, same | large]}


def row(world: World, table: str, number: int = 0, service: str = cafes.SERVICE) -> dict[str, Any]:
    """A row of a table."""
    return world.databases[service][table][number]


def lie_in(number: int, **fields: Any) -> Callable[[World], Any]:
    """Another field in one of the messages."""
    return lambda w: w.topics[cafes.CAFES].records[number].fields.update(fields)  # type: ignore[union-attr]


def without(number: int) -> Callable[[World], Any]:
    """A message that was never told."""
    return lambda w: w.topics[cafes.CAFES].records.pop(number)


LIES: dict[str, tuple[str, Callable[[World], Any]]] = {
    "more seats than there are": ("C6", lie_in(3, capacity_count=2)),
    "a count that is not the sum": ("C6", lie_in(4, waiting_count=0)),
    "the table counts wrongly": ("C6", lambda w: row(w, "cafe", 1).update(taken_count=2)),
    "the table has more seats": ("C6", lambda w: row(w, "registration").update(seat_count=9)),
    "the table lost an offer": ("C7", lambda w: row(w, "registration", 1).update(state="waiting")),
    "a registration that nobody told": ("C7", lambda w: row(w, "registration").update(registration_id="x")),
    "another household has the seats": ("C7", lambda w: row(w, "registration").update(holder_id="hc")),
    "confirmed and not told": ("C7", without(7)),
    "twice in one period": ("C8", lambda w: row(w, "registration", 1).update(holder_id="ha")),
    "two cafés in one venue": ("C8", lambda w: [row(w, "cafe", n).update(venue_id="v", state="open", ends_at=9 + n) for n in (0, 1)]),
    "one person in two cafés": ("C8", lambda w: [row(w, "cafe", n).update(facilitator_id="f", state="open") for n in (0, 1)]),
    "the season has another count": ("C9", lambda w: row(w, "season_cafe", 1, "projections").update(registered_count=3)),
    "the season keeps an offer": ("C9", lambda w: row(w, "season_cafe", 0, "projections").update(offers={"x": {}})),
    "the season did not hear of the merge": ("C9", lambda w: row(w, "season_cafe", 0, "projections").update(status="OPEN")),
    "another coordinator's command": ("C16", lambda w: w.history[0].update(coordinator="person/b")),
    "the forbidden was allowed": ("C16", lambda w: w.history[0].update(forbidden=True)),
    "a command had no effect": ("C18", lambda w: w.history[1].update(effects={"HouseholdRegistered": 2})),
    "registered though it was refused": ("C18", lambda w: w.history[1].update(effects={})),
    "a command without an answer": ("C18", lambda w: w.history.pop()),
    "lost in the merge": ("C21", without(6)),
    "fewer seats after the merge": ("C21", lie_in(6, seat_count=1)),
    "moved seats that were not there": ("C21", lie_in(2, moved_seat_count=7)),
    "decided twice": ("C21", lambda w: w.topics[cafes.CAFES].records.append(record(4, "CafeConfirmed", SMALL))),
}  # fmt: skip


def test_a_true_world_passes() -> None:
    """Nothing is found where nothing is wrong."""
    assert violated(true_world(), "C") == set()


@pytest.mark.parametrize("lie", LIES)
def test_each_lie_is_found(lie: str) -> None:
    """By the invariant that is there for it."""
    name, plant = LIES[lie]
    assert name in violated(planted(true_world(), plant), "C")
