"""The invariants of events: E6, E7, E8, E9, E16, E18, E20. Each function yields what it found wrong, in words."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from tests.faults.checker.judged import (
    caused_by_others,
    differences,
    first_occurrences,
    not_refused,
    one_effect_per_command,
    shown_and_folded,
)
from tests.faults.checker.world import Row, World

SERVICE, PLATFORM_SERVICE = "events", "platform-scheduling"
EVENTS, SESSIONS = "events.events.v1", "events.sessions.v1"
ASKED, ANSWERS = "events.platform-requests.v1", "platform-scheduling.requests.v1"
_STATES = {"RegistrationMade": "registered", "RegistrationQueued": "waiting", "SeatsOffered": "offered"}
_COUNTED = ("registered", "offered", "waiting")


def _lives(world: World) -> Iterator[tuple[str, Any, dict[str, tuple[str, int]], dict[str, int]]]:
    """After each message of a session: its key, the message, who is what with how many seats, and the capacity of every session."""
    known: dict[str, dict[str, tuple[str, int]]] = defaultdict(dict)
    capacity: dict[str, int] = {}
    for record in first_occurrences(world, SESSIONS):
        fields, key = record.fields or {}, record.key_text
        mine, one = known[key], str(fields.get("registration_id"))
        if record.name == "SessionDescribed":
            capacity[key] = fields["capacity_count"] or 0
        elif record.name in _STATES:
            mine[one] = _STATES[record.name], fields["seat_count"]
        elif record.name == "RegistrationResized":
            mine[one] = mine[one][0], fields["seat_count"]
        elif record.name == "RegistrationEnded":
            mine.pop(one, None)
        elif record.name == "SessionCancelled":
            mine.clear()
        yield key, record, mine, capacity


def e6_no_overbooking(world: World) -> Iterator[str]:
    """At no version of the log, and in no table, are more seats taken than there are; every message's counts are the sums."""
    for key, record, mine, capacity in _lives(world):
        sums = Counter[str]()
        for state, seats in mine.values():
            sums[state] += seats
        if sums["registered"] + sums["offered"] > capacity.get(key, 0):
            yield f"{key} v{record.version}: {sums['registered'] + sums['offered']} of {capacity.get(key)} seats are taken"
        fields = record.fields or {}
        if "registered_count" in fields:
            told = tuple(fields[f"{name}_count"] for name in _COUNTED)
            if told != tuple(sums[name] for name in _COUNTED):
                yield f"{key} v{record.version} tells {told}, the sums are {[sums[name] for name in _COUNTED]}"
    taken: Counter[str] = Counter()
    for row in world.databases[SERVICE]["registration"]:
        if row["state"] in ("registered", "offered", "attended", "absent"):
            taken[str(row["session_id"])] += row["seat_count"]
    for row in world.databases[SERVICE]["session"]:
        key = str(row["session_id"])
        if taken[key] != row["taken_count"] or taken[key] > (row["capacity_count"] or 0):
            yield f"table: {key} has {row['taken_count']} taken, its rows have {taken[key]} of {row['capacity_count']}"


def e7_table_and_log_agree(world: World) -> Iterator[str]:
    """Every live registration is in the state and has the seats that the log tells."""
    told: dict[str, tuple[str, int]] = {}
    last: dict[str, dict[str, tuple[str, int]]] = {}
    for key, _, mine, _ in _lives(world):
        last[key] = mine
    for mine in last.values():
        told |= mine
    table = {
        str(row["registration_id"]): (
            "registered" if row["state"] in ("attended", "absent") else row["state"],
            row["seat_count"],
        )
        for row in world.databases[SERVICE]["registration"]
        if row["state"] != "ended"
    }
    for one in sorted(told.keys() | table.keys()):
        if told.get(one) != table.get(one):
            yield f"registration {one} is {table.get(one)}, the log tells {told.get(one)}"


def e8_once_and_one_offer(world: World) -> Iterator[str]:
    """Nobody is twice in a session, and nobody holds two pending offers."""
    places: Counter[tuple[str, str]] = Counter()
    offers: Counter[str] = Counter()
    for row in world.databases[SERVICE]["registration"]:
        if row["state"] != "ended":
            places[str(row["session_id"]), str(row["holder_id"])] += 1
        offers[str(row["holder_id"])] += row["state"] == "offered"
    yield from (f"{holder} is {n} times in {key}" for (key, holder), n in places.items() if n > 1)
    yield from (f"{holder} holds {n} offers" for holder, n in offers.items() if n > 1)


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
        events[key] = row | _place(record)
    sessions: dict[str, Row] = {}
    for record in world.consumed["projections", SESSIONS].accepted:
        fields, key = record.fields or {}, record.key_text
        row = sessions.get(
            key, {"session_id": key, "attended_count": 0, "was_counted": False, "female_count": None, "male_count": None, "offers": {}}
        )  # fmt: skip
        offers, one = dict(row["offers"]), str(fields.get("registration_id"))
        if record.name != "VisitorsCheckedIn":
            offers.pop(one, None)
        row |= {f"{n}_count": fields[f"{n}_count"] for n in _COUNTED if f"{n}_count" in fields}
        if record.name == "SessionDescribed":
            same = ("title", "purpose", "starts_at", "ends_at", "hall", "admission", "capacity_count")
            row |= {n: fields[n] for n in same} | {"event_id": fields["for_event_id"]}
            row["state"] = "open" if fields["open"] else "planned"
        elif record.name == "SeatsOffered":
            offers[one] = {"seats": fields["seat_count"], "until": fields["expires_at"].isoformat()}
        elif record.name == "SessionCancelled":
            offers = {}
            row |= {"state": "cancelled", **{f"{n}_count": 0 for n in _COUNTED}}
        elif record.name == "VisitorsCheckedIn":
            row["attended_count"] = fields["attended_count"]
        if record.name in ("SessionDescribed", "SessionCancelled"):
            row |= {"described_at": fields["occurred_at"], "described_version": record.version}
        sessions[key] = row | {"offers": offers} | _place(record)
    for table, key, expected in (("calendar_event", "event_id", events), ("calendar_session", "session_id", sessions)):
        yield from differences(table, *shown_and_folded(world, table, key, expected))


def e16_authority(world: World) -> Iterator[str]:
    """An organiser's command changed its own events only; forbidden ones were refused."""
    accounts = {str(row["organiser_id"]): row["account"] for row in world.databases[SERVICE]["organiser"]}
    owner = {str(row["event_id"]): accounts[str(row["organiser_id"])] for row in world.databases[SERVICE]["event"]}
    owner |= {str(row["session_id"]): owner[str(row["event_id"])] for row in world.databases[SERVICE]["session"]}
    ops = {entry["trace_id"]: entry for entry in world.of("invoke") if entry.get("service") == SERVICE}
    for topic in (EVENTS, SESSIONS):
        yield from caused_by_others(first_occurrences(world, topic), ops, "coordinator", "organiser", owner)
    yield from not_refused(world, ops.values())


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


def _place(record: Any) -> Row:
    return {
        "aggregate_version": record.version,
        "log_topic": record.topic,
        "log_partition": record.partition,
        "log_offset": record.offset,
    }
