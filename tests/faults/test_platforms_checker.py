"""The invariants of technical platforms can fail: a small true world passes, and each planted lie is found by its invariant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.checker import platforms
from tests.faults.checker.consumed import Consumed
from tests.faults.checker.log import Record, Topic
from tests.faults.checker.world import Database, World
from tests.faults.lies import planted, violated
from tests.faults.test_stages_checker import record as made_record

PLATFORM, OWNER, REQUEST = "platform", "owner", "request"


DESCRIBED: dict[str, Any] = dict.fromkeys(("owner_title", "title", "commune_code"), "t") | {
    "capacity_count": 5,
    "unit_count": 1,
    "withdrawn": False,
    "fictitious": True,
    "equipment": [],
}


class _Elsewhere:
    hex = "elsewhere"


class _Booking:
    hex = "trace"


def record(version: int, name: str, topic: str = platforms.PLATFORMS, key: str = PLATFORM, **fields: Any) -> Record:
    """One message of a platform, or of a request; told by nobody's command unless it says so."""
    return made_record(topic, version, name, key, **{"correlation_id": _Elsewhere, **fields})


def true_world() -> World:
    """One unit; a booking that is held and approved, an event's after it, which is booked."""
    held: dict[str, Any] = {"origin": "PERSON", "unit_number": 1, "group_size": 5}
    log = [
        record(1, "PlatformDescribed", **DESCRIBED),
        record(2, "TimeOffered", weeks=[{"iso_week": "2027-W06", "offered_minutes": 600}]),
        record(3, "BookingHeld", correlation_id=_Booking, booking_id="a", starts_at=8, ends_at=10, expires_at=7, **held),
        record(4, "BookingApproved", booking_id="a", starts_at=8, ends_at=10, **held),
        record(5, "BookingApproved", booking_id="b", starts_at=10, ends_at=12, **held | {"origin": "EVENT"}),
    ]  # fmt: skip
    asked = [record(1, "PlatformRequested", platforms.ASKED, REQUEST)]
    answers = [record(1, "PlatformBooked", platforms.ANSWERS, REQUEST)]
    service: dict[str, list[dict[str, Any]]] = {
        "platform": [{"platform_id": PLATFORM, "owner_code": OWNER}],
        "booking": [
            {"booking_id": one, "unit_id": "u", "state": "approved", "starts_at": begin, "ends_at": begin + 2, "request_id": request}
            for one, begin, request in (("a", 8, None), ("b", 10, REQUEST))
        ],
    }  # fmt: skip
    history: list[dict[str, Any]] = [
        {"kind": "invoke", "op_id": "1", "op": "book", "trace_id": "trace", "service": platforms.SERVICE, "role": "owner", "owner_code": OWNER},
        {"kind": "ok", "op_id": "1", "status": 201, "effects": {"BookingHeld": 1}},
    ]  # fmt: skip
    topics = {
        name: Topic(name, "", "version", records, {}, {})
        for name, records in ((platforms.PLATFORMS, log), (platforms.ANSWERS, answers), (platforms.ASKED, asked))
    }
    consumed = {
        ("projections", platforms.PLATFORMS): Consumed(accepted=log),
        (platforms.SERVICE, platforms.ASKED): Consumed(accepted=asked),
    }
    world = World(topics, {platforms.SERVICE: Database(service)}, history, consumed, {})
    world.databases["projections"] = Database(shown(log))
    return world


def shown(log: list[Record]) -> dict[str, list[dict[str, Any]]]:
    """The read model, written down by hand."""
    place = {"log_topic": platforms.PLATFORMS, "log_partition": 0}
    platform = {"platform_id": PLATFORM, **DESCRIBED, "offered": {"2027-W06": 600}, "aggregate_version": 5}
    facts: dict[str, Any] = {"platform_id": PLATFORM, "state": "approved", "group_size": 5, "end_reason": None}
    bookings = [
        {"booking_id": one, "origin": origin, "starts_at": begin, "ends_at": begin + 2, "late": False}
        | {**facts, "log_offset": offset, **place}
        for one, origin, begin, offset in (("a", "PERSON", 8, 4), ("b", "EVENT", 10, 5))
    ]
    platform |= {"log_offset": 5, **place}
    return {"use_platform": [platform], "use_booking": bookings}


def used(world: World, table: str) -> dict[str, Any]:
    """The first row of a table of the read model."""
    return world.databases["projections"][table][0]


def answer(version: int, name: str) -> Record:
    """What the events service is told."""
    return record(version, name, platforms.ANSWERS, REQUEST)


def answers_of(world: World) -> list[Record]:
    """All of it."""
    return world.topics[platforms.ANSWERS].records


def asked_of(world: World) -> list[Record]:
    """What the events service has asked."""
    return world.consumed[platforms.SERVICE, platforms.ASKED].accepted


WITHDRAWN = record(2, "PlatformRequestWithdrawn", platforms.ASKED, REQUEST)


def log_of(world: World) -> list[Record]:
    """The platform's messages."""
    return world.topics[platforms.PLATFORMS].records


def booking(world: World, number: int) -> dict[str, Any]:
    """A booking's row."""
    return world.databases[platforms.SERVICE]["booking"][number]


LIES: dict[str, tuple[str, Callable[[World], Any]]] = {
    "two bookings overlap in the log": ("P7", lambda w: log_of(w)[4].fields.update(starts_at=9)),  # type: ignore[union-attr]
    "two bookings overlap in the table": ("P7", lambda w: booking(w, 1).update(starts_at=9)),
    "the table lost an approval": ("P8", lambda w: booking(w, 0).update(state="tentative")),
    "a booking that the log does not tell": ("P8", lambda w: booking(w, 0).update(booking_id="x")),
    "the use has another slot": ("P9", lambda w: used(w, "use_booking").update(ends_at=11)),
    "the use forgot a week": ("P9", lambda w: used(w, "use_platform").update(offered={})),
    "another owner's command": ("P16", lambda w: w.history[0].update(owner_code="stranger")),
    "the forbidden was allowed": ("P16", lambda w: w.history[0].update(forbidden=True)),
    "a command had no effect": ("P18", lambda w: w.history[1].update(effects={"BookingHeld": 2})),
    "a command without an answer": ("P18", lambda w: w.history.pop()),
    "a request was answered twice": ("P20", lambda w: answers_of(w).append(answer(2, "PlatformBooked"))),
    "booked, and the booking is gone": ("P20", lambda w: booking(w, 1).update(state="cancelled")),
    "refused, and the slot is held": ("P20", lambda w: answers_of(w).__setitem__(0, answer(1, "PlatformRefused"))),
    "withdrawn, and not answered": ("P20", lambda w: asked_of(w).append(WITHDRAWN)),
}


def test_a_true_world_passes() -> None:
    """Nothing is found where nothing is wrong."""
    assert violated(true_world(), "P") == set()


@pytest.mark.parametrize("lie", LIES)
def test_each_lie_is_found(lie: str) -> None:
    """By the invariant that is there for it."""
    name, plant = LIES[lie]
    assert name in violated(planted(true_world(), plant), "P")
