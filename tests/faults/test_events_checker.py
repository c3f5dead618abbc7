"""The invariants of events can fail: a small true world passes, and each planted lie is found by its invariant."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.faults.checker import events
from tests.faults.checker.consumed import Consumed
from tests.faults.checker.log import Record, Topic
from tests.faults.checker.world import Database, World
from tests.faults.lies import planted, violated
from tests.faults.test_stages_checker import record as made_record

EVENT, SESSION, REQUEST, OWNER = "event", "session", "request", "person/a"
UNTIL = datetime(2027, 2, 1, tzinfo=UTC)
DESCRIBED: dict[str, Any] = dict.fromkeys(
    ("organiser_title", "kind", "title", "summary", "access", "attendance_mode", "place_title", "commune_code"), "t"
) | {"status": "CONFIRMED", "audiences": [], "rome_codes": [], "under_represented": False, "fictitious": True}
PLANNED: dict[str, Any] = {
    "title": "t",
    "purpose": "VISIT",
    "starts_at": 8,
    "ends_at": 9,
    "hall": None,
    "admission": "EVERYONE",
    "capacity_count": 2,
}


class _Elsewhere:
    hex = "elsewhere"


class _Registering:
    hex = "trace"


def counts(registered: int, offered: int, waiting: int) -> dict[str, Any]:
    """As messages carry them."""
    return {"registered_count": registered, "offered_count": offered, "waiting_count": waiting}


def record(version: int, name: str, topic: str = events.SESSIONS, key: str = SESSION, **fields: Any) -> Record:
    """One message of a session; told by nobody's command unless it says so."""
    return made_record(topic, version, name, key, **{"correlation_id": _Elsewhere, **fields})


def true_world() -> World:
    """Two seats: one is registered and came, one is offered to who waited; the event stands on a platform that is held."""
    log = [
        record(1, "SessionDescribed", for_event_id=EVENT, open=True, **PLANNED, **counts(0, 0, 0)),
        record(
            2, "RegistrationMade", registration_id="a", seat_count=1, correlation_id=_Registering, **counts(1, 0, 0)
        ),
        record(3, "RegistrationQueued", registration_id="b", seat_count=1, **counts(1, 0, 1)),
        record(4, "SeatsOffered", registration_id="b", seat_count=1, expires_at=UNTIL, **counts(1, 1, 0)),
        record(5, "VisitorsCheckedIn", registration_id="a", visitor_count=1, attended_count=1),
    ]
    told = [record(1, "EventDescribed", events.EVENTS, EVENT, **DESCRIBED)]
    asked = [record(1, "PlatformRequested", events.ASKED, REQUEST)]
    service: dict[str, list[dict[str, Any]]] = {
        "organiser": [{"organiser_id": "o", "account": OWNER}],
        "event": [
            {"event_id": EVENT, "organiser_id": "o", "state": "confirmed", "need": {"request_id": REQUEST, "state": "booked"}}
        ],
        "session": [{"session_id": SESSION, "event_id": EVENT, "taken_count": 2, "capacity_count": 2}],
        "registration": [
            {"registration_id": one, "session_id": SESSION, "holder_id": one, "state": state, "seat_count": 1}
            for one, state in (("a", "attended"), ("b", "offered"))
        ],
    }  # fmt: skip
    history: list[dict[str, Any]] = [
        {"kind": "invoke", "op_id": "1", "op": "register", "trace_id": "trace", "service": "events", "role": "coordinator", "organiser": OWNER},
        {"kind": "ok", "op_id": "1", "status": 201, "effects": {"RegistrationMade": 1}},
    ]  # fmt: skip
    topics = {
        name: Topic(name, "", "version", records, {}, {})
        for name, records in ((events.SESSIONS, log), (events.EVENTS, told), (events.ASKED, asked))
    }
    consumed = {
        ("projections", events.SESSIONS): Consumed(accepted=log),
        ("projections", events.EVENTS): Consumed(accepted=told),
    }
    held = {"booking": [{"request_id": REQUEST, "state": "approved"}]}
    databases = {events.SERVICE: Database(service), events.PLATFORM_SERVICE: Database(held)}
    return World(topics, databases | {"projections": Database(shown())}, history, consumed, {})


def shown() -> dict[str, list[dict[str, Any]]]:
    """The read model, written down by hand."""
    event = {"event_id": EVENT, **DESCRIBED, "aggregate_version": 1, "log_topic": events.EVENTS, "log_partition": 0}
    session = {
        "session_id": SESSION,
        "event_id": EVENT,
        **PLANNED,
        **counts(1, 1, 0),
        "state": "open",
        "attended_count": 1,
        "was_counted": False,
        "female_count": None,
        "male_count": None,
        "offers": {"b": {"seats": 1, "until": UNTIL.isoformat()}},
        "described_at": 1,
        "described_version": 1,
        "aggregate_version": 5,
        "log_topic": events.SESSIONS,
        "log_partition": 0,
        "log_offset": 5,
    }
    return {"calendar_event": [event | {"log_offset": 1}], "calendar_session": [session]}


def log_of(world: World) -> list[Record]:
    """The session's messages."""
    return world.topics[events.SESSIONS].records


def row(world: World, table: str, number: int = 0, service: str = events.SERVICE) -> dict[str, Any]:
    """A row of a table."""
    return world.databases[service][table][number]


def lie_in(number: int, **fields: Any) -> Callable[[World], Any]:
    """Another field in one of the session's messages."""
    return lambda w: log_of(w)[number].fields.update(fields)  # type: ignore[union-attr]


LIES: dict[str, tuple[str, Callable[[World], Any]]] = {
    "more seats than there are": ("E6", lie_in(1, seat_count=2)),
    "a count that is not the sum": ("E6", lie_in(2, waiting_count=0)),
    "the table counts wrongly": ("E6", lambda w: row(w, "session").update(taken_count=1)),
    "the table has more seats": ("E6", lambda w: row(w, "registration").update(seat_count=3)),
    "the table lost an offer": ("E7", lambda w: row(w, "registration", 1).update(state="waiting")),
    "a registration that nobody told": ("E7", lambda w: row(w, "registration").update(registration_id="x")),
    "twice in one session": ("E8", lambda w: row(w, "registration", 1).update(holder_id="a")),
    "two pending offers": (
        "E8",
        lambda w: w.databases["events"]["registration"].append(row(w, "registration", 1) | {"session_id": "other"}),
    ),
    "the calendar has another count": ("E9", lambda w: row(w, "calendar_session", 0, "projections").update(waiting_count=4)),
    "the calendar keeps an offer": ("E9", lambda w: row(w, "calendar_session", 0, "projections").update(offers={})),
    "the calendar did not hear of it": ("E9", lambda w: row(w, "calendar_event", 0, "projections").update(status="CANCELLED")),
    "another organiser's command": ("E16", lambda w: w.history[0].update(organiser="person/b")),
    "the forbidden was allowed": ("E16", lambda w: w.history[0].update(forbidden=True)),
    "a command had no effect": ("E18", lambda w: w.history[1].update(effects={"RegistrationMade": 2})),
    "registered though it was refused": ("E18", lambda w: w.history[1].update(effects={})),
    "a command without an answer": ("E18", lambda w: w.history.pop()),
    "confirmed on a platform that was given away": ("E20", lambda w: row(w, "booking", 0, "platform-scheduling").update(state="cancelled")),
    "a platform is held for nobody": ("E20", lambda w: row(w, "event").update(need=None)),
    "confirmed without its platform": ("E20", lambda w: row(w, "event").update(need={"request_id": REQUEST, "state": "refused"})),
    "called off, the platform is not": ("E20", lambda w: row(w, "event").update(state="cancelled")),
    "a request that was never told": ("E20", lambda w: w.topics[events.ASKED].records.clear()),
}  # fmt: skip


def test_a_true_world_passes() -> None:
    """Nothing is found where nothing is wrong."""
    assert violated(true_world(), "E") == set()


@pytest.mark.parametrize("lie", LIES)
def test_each_lie_is_found(lie: str) -> None:
    """By the invariant that is there for it."""
    name, plant = LIES[lie]
    assert name in violated(planted(true_world(), plant), "E")
