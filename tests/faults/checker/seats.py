"""The invariants of seats: I6, I7, I8, I16, I18, from the log, the tables, the referee's triggers and the history."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from tests.faults.checker.judged import disagreements, first_occurrences, not_refused, told_by_command
from tests.faults.checker.log import Record
from tests.faults.checker.world import PROGRAMMES, SEATS, Row, World

_LIVE = ("held", "confirmed")
_ENDED = {
    "DECLINED": "declined",
    "EXPIRED": "expired",
    "WITHDRAWN": "withdrawn",
    "RELEASED": "released",
    "NO_SHOW": "no_show",
}


def _committed(world: World) -> list[Record]:
    """Each committed message of a programme once, per key in version order."""
    ghosts = {str(row["event_id"]) for row in world.databases[SEATS]["unknown_message"]}
    return first_occurrences(world, PROGRAMMES, ghosts)


def i6_no_overbooking(world: World) -> Iterator[str]:
    """At every commit, as a deferred trigger saw it, and in every message, no seat is taken that is not there."""
    if not world.databases[SEATS]["hold"]:
        yield "the workload held no seat"
    before: dict[str, Row] = {}
    for row in world.databases[SEATS]["seat_history"]:
        key = str(row["programme_id"])
        yield from (f"{key}: {name} is {row[name]}" for name in _COUNTS if row[name] < 0)
        if row["held_count"] != row["live_count"]:
            yield f"{key}: held_count {row['held_count']}, but {row['live_count']} holds are live"
        occupied = row["taken_count"] + row["admitted_count"] + row["held_count"]
        if occupied > row["total_count"] + row["excess_count"]:
            yield f"{key}: {occupied} seats taken of {row['total_count']}, excess {row['excess_count']}"
        last = before.get(key)
        if last is not None and row["held_count"] > last["held_count"] and occupied > row["total_count"]:
            yield f"{key}: a hold took a seat that was not free ({occupied} of {row['total_count']})"
        before[key] = row
    for record in _committed(world):
        assert record.fields is not None
        seats = record.fields["seats"]
        occupied = seats["taken_count"] + seats["admitted_count"] + seats["held_count"]
        if seats["free_count"] != max(0, seats["total_count"] - occupied):
            yield f"{record.key_text} v{record.version}: free_count {seats['free_count']} does not add up"
        if record.name == "SeatHeld" and occupied > seats["total_count"]:
            yield f"{record.key_text} v{record.version}: SeatHeld with {occupied} of {seats['total_count']}"


_COUNTS = ("total_count", "taken_count", "admitted_count", "held_count", "excess_count")


def _holds(world: World) -> dict[str, dict[str, Any]]:
    """Each hold's life as the log tells it."""
    holds: dict[str, dict[str, Any]] = {}
    for record in _committed(world):
        fields = record.fields
        assert fields is not None
        if "hold_id" not in fields:
            continue
        hold_id = str(fields["hold_id"])
        if record.name == "SeatHeld":
            holds[hold_id] = {
                "programme": record.key_text,
                "person": str(fields["young_person_id"]),
                "from": fields["occurred_at"],
                "to": None,
                "state": "held",
            }
        elif hold_id not in holds:
            continue  # its beginning is lost: the service's table then has a hold that the log does not tell
        elif record.name == "HoldConfirmed":
            holds[hold_id] |= {"state": "confirmed", "confirmed_at": fields["occurred_at"]}
        elif record.name == "YoungPersonAdmitted":
            holds[hold_id] |= {"state": "admitted", "to": fields["occurred_at"]}
        elif record.name == "HoldEnded":
            holds[hold_id] |= {"state": _ENDED[fields["reason"]], "to": fields["occurred_at"]}
    return holds


def i7_no_double_booking(world: World) -> Iterator[str]:
    """Sweep: one young person never has two live holds on one programme; the table has the states that the log tells."""
    holds = _holds(world)
    by_pair: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for hold in holds.values():
        by_pair[hold["programme"], hold["person"]].append(hold)
    for pair, mine in by_pair.items():
        mine.sort(key=lambda h: h["from"])
        for earlier, later in pairwise(mine):
            if earlier["to"] is None or earlier["to"] > later["from"]:
                yield f"{pair[1]} has two live holds on {pair[0]}"
    table = {str(row["hold_id"]): row["state"] for row in world.databases[SEATS]["hold"]}
    told = {hold_id: hold["state"] for hold_id, hold in holds.items()}
    yield from disagreements("hold", table, told)


def i8_one_confirmed(world: World) -> Iterator[str]:
    """A confirmation ends every other hold that the young person had; nobody has two confirmed places at a time."""
    by_person: dict[str, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
    for hold_id, hold in _holds(world).items():
        by_person[hold["person"]].append((hold_id, hold))
    for person, mine in by_person.items():
        for hold_id, hold in mine:
            at = hold.get("confirmed_at")
            for other_id, other in mine:
                if at is None or other_id == hold_id or other["from"] >= at:
                    continue
                # Each programme reads the clock under its own lock, so the release may be stamped a moment later.
                if other["to"] is None or (other["to"] - at).total_seconds() > 10:
                    yield f"{person}: hold {other_id} outlived the confirmation of {hold_id}"


def i16_authority(world: World) -> Iterator[str]:
    """Every message that a command caused is about the caller's own structure or hold; forbidden commands were refused."""
    owner = {str(row["programme_id"]): str(row["structure_id"]) for row in world.databases[SEATS]["programme"]}
    holder = {str(row["hold_id"]): row["prescriber_id"] for row in world.databases[SEATS]["hold"]}
    ops = {entry["trace_id"]: entry for entry in world.of("invoke") if not entry.get("service")}
    for record in _committed(world):
        assert record.fields is not None
        op = ops.get(record.fields["correlation_id"].hex)
        if op is None or record.fields.get("reason") in ("EXPIRED", "NO_SHOW", "RELEASED"):
            continue
        if op["role"] == "partner" and op["structure_id"] != owner[record.key_text]:
            yield f"{record.name} about {record.key_text} was caused by the structure {op['structure_id']}"
        if op["role"] == "prescriber" and holder[str(record.fields["hold_id"])] != op["subject"]:
            yield f"{record.name} of hold {record.fields['hold_id']} was caused by {op['subject']}"
    yield from not_refused(world, ops.values())


def i18_one_booking_per_key(world: World) -> Iterator[str]:
    """Each command had, once, exactly the effect that its answer says, however often it was sent; none stays unanswered."""
    answers = {entry["op_id"]: entry for entry in world.of("ok")}
    told = told_by_command(_committed(world))
    kept = {row["key"]: row for row in world.databases[SEATS]["idempotency_key"]}
    lost_keys = {entry["key"] for entry in world.of("restored_away")}
    held = set()
    for op in (entry for entry in world.of("invoke") if not entry.get("service")):
        answer = answers.get(op["op_id"])
        if answer is None:
            yield f"{op['op']} {op['op_id']} never got an answer"
            continue
        if op["key"] in lost_keys:
            continue
        row = kept.get(op["key"])
        if (row["status"] if row else None) != answer["status"] and answer["status"] not in (401, 422):
            yield f"{op['op']} {op['op_id']} was answered {answer['status']}, the table says {row and row['status']}"
        if answer.get("hold_id") and op["op"] == "hold":
            held.add(answer["hold_id"])
        messages = told[op["trace_id"]]
        for name in ("SeatsDeclared", "SeatHeld", "HoldExtended", "HoldConfirmed", "YoungPersonAdmitted"):
            expected = answer["effects"].get(name, 0)
            if messages[name] != expected:
                yield f"{op['op']} {op['op_id']} caused {messages[name]} × {name}, its answer says {expected}"
    holds = {str(row["hold_id"]) for row in world.databases[SEATS]["hold"]}
    if not lost_keys:
        for hold_id in sorted(holds ^ held):
            yield f"hold {hold_id} is {'in the table and in no answer' if hold_id in holds else 'answered and not in the table'}"
