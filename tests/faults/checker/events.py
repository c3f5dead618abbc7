"""The invariants of events: E6, E7, E8, E9, E16, E18, E20. Each function yields what it found wrong, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.faults.checker.judged import (
    beyond_authority,
    differences,
    first_occurrences,
    one_effect_per_command,
    shown_and_folded,
    stamped,
)
from tests.faults.checker.waiting_lists import Lists
from tests.faults.checker.world import Row, World

SERVICE, PLATFORM_SERVICE = "events", "platform-scheduling"
EVENTS, SESSIONS = "events.events.v1", "events.sessions.v1"
ASKED, ANSWERS = "events.platform-requests.v1", "platform-scheduling.requests.v1"
_LISTS = Lists(
    SERVICE,
    SESSIONS,
    table="session",
    key="session_id",
    described="SessionDescribed",
    states={"RegistrationMade": "registered", "RegistrationQueued": "waiting", "SeatsOffered": "offered"},
    resized="RegistrationResized",
    left="RegistrationEnded",
    emptied=("SessionCancelled",),
    checked_in="VisitorsCheckedIn",
    once_in=("session_id",),
)


def e6_no_overbooking(world: World) -> Iterator[str]:
    """At no version of the log, and in no table, are more seats taken than there are; every message's counts are the sums."""
    yield from _LISTS.wrong_counts(first_occurrences(world, SESSIONS))
    yield from _LISTS.wrong_rows(world)


def e7_table_and_log_agree(world: World) -> Iterator[str]:
    """Every live registration is in the state and has the seats that the log tells."""
    yield from _LISTS.table_and_log_disagree(world)


def e8_once_and_one_offer(world: World) -> Iterator[str]:
    """Nobody is twice in a session, and nobody holds two pending offers."""
    yield from _LISTS.twice(world)


def e9_calendar_is_the_fold(world: World) -> Iterator[str]:
    """The calendar's two tables equal an independent fold of what the consumer accepted, every column."""
    events: dict[str, Row] = {}
    for record in world.consumed["projections", EVENTS].accepted:
        fields, key = record.fields or {}, record.key_text
        names = (
            "organiser_title", "kind", "title", "summary", "status", "access", "attendance_mode", "place_title",
            "commune_code", "audiences", "rome_codes", "under_represented", "fictitious",
        )  # fmt: skip
        row = events.get(key, {"event_id": key})
        row |= {n: fields[n] for n in names} if record.name == "EventDescribed" else {"status": "CANCELLED"}
        events[key] = row | stamped(record)
    sessions: dict[str, Row] = {}
    for record in world.consumed["projections", SESSIONS].accepted:
        fields, key = record.fields or {}, record.key_text
        row = sessions.get(
            key, {"session_id": key, "attended_count": 0, "was_counted": False, "female_count": None, "male_count": None, "offers": {}}
        )  # fmt: skip
        if record.name == "SessionDescribed":
            same = ("title", "purpose", "starts_at", "ends_at", "hall", "admission", "capacity_count")
            row |= {n: fields[n] for n in same} | {"event_id": fields["for_event_id"]}
            row["state"] = "open" if fields["open"] else "planned"
        elif record.name == "SessionCancelled":
            row["state"] = "cancelled"
        sessions[key] = _LISTS.folded(row, record)
    for table, key, expected in (("calendar_event", "event_id", events), ("calendar_session", "session_id", sessions)):
        yield from differences(table, *shown_and_folded(world, table, key, expected))


def e16_authority(world: World) -> Iterator[str]:
    """An organiser's command changed its own events only; forbidden ones were refused."""
    accounts = {str(row["organiser_id"]): row["account"] for row in world.databases[SERVICE]["organiser"]}
    owner = {str(row["event_id"]): accounts[str(row["organiser_id"])] for row in world.databases[SERVICE]["event"]}
    owner |= {str(row["session_id"]): owner[str(row["event_id"])] for row in world.databases[SERVICE]["session"]}
    records = [*first_occurrences(world, EVENTS), *first_occurrences(world, SESSIONS)]
    yield from beyond_authority(world, SERVICE, records, "coordinator", "organiser", owner)


def e18_one_effect_per_command(world: World) -> Iterator[str]:
    """Each command had, once, the effect that its answer says; seats that come back are offered under it too."""
    told = [*first_occurrences(world, SESSIONS), *first_occurrences(world, EVENTS)]
    once = {"register": ("RegistrationMade", "RegistrationQueued")}
    yield from one_effect_per_command(world, SERVICE, told, once=once)


def e20_both_sides_end_alike(world: World) -> Iterator[str]:
    """A platform is held for an event if and only if the event stands confirmed on it; what nobody waits for is asked of nobody."""
    held = {
        str(row["request_id"])
        for row in world.databases[PLATFORM_SERVICE]["booking"]
        if row["request_id"] and row["state"] in ("requested", "tentative", "approved")
    }
    stands: dict[str, str] = {}
    for row in world.databases[SERVICE]["event"]:
        need = json.loads(row["need"]) if isinstance(row["need"], str) else row["need"]
        if need is not None and need["request_id"]:
            stands[need["request_id"]] = need["state"]
        state, needed = row["state"], need["state"] if need else "none"
        if state == "confirmed" and needed not in ("none", "booked"):
            yield f"event {row['event_id']} is confirmed, its platform is {needed}"
        if state == "cancelled" and needed not in ("none", "released"):
            yield f"event {row['event_id']} is cancelled, its platform is {needed}"
    booked = {request for request, state in stands.items() if state == "booked"}
    waited_for = {request for request, state in stands.items() if state == "asked"}
    yield from (
        f"request {one}: a platform is held, no event stands on it" for one in sorted(held - booked - waited_for)
    )
    yield from (f"request {one}: an event stands on a platform that is not held" for one in sorted(booked - held))
    requests = {record.key_text for record in first_occurrences(world, ASKED)}
    yield from (f"request {one} was never told" for one in sorted(set(stands) - requests))
