"""The invariants of technical platforms: P7, P8, P9, P16, P18, P20. Each function yields what it found wrong, in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from tests.faults.checker.judged import (
    beyond_authority,
    differences,
    disagreements,
    first_occurrences,
    one_effect_per_command,
    placed,
    shown_and_folded,
    stamped,
)
from tests.faults.checker.log import Record
from tests.faults.checker.world import Row, World

SERVICE = "platform-scheduling"
PLATFORMS, ANSWERS = "platform-scheduling.platforms.v1", "platform-scheduling.requests.v1"
ASKED = "events.platform-requests.v1"
_ENDED = {
    "DONE": "done",
    "REFUSED": "refused",
    "EXPIRED": "expired",
    "CANCELLED_BY_REQUESTER": "cancelled",
    "CANCELLED_BY_OWNER": "cancelled",
    "CANCELLED_BY_EVENT": "cancelled",
    "NO_SHOW": "no_show",
}
_TELLS = ("BookingRequested", "BookingHeld", "BookingApproved", "BookingMoved", "BookingEnded")


def _lives(world: World) -> dict[str, list[Record]]:
    """The messages of each booking, in version order."""
    found: dict[str, list[Record]] = defaultdict(list)
    for record in first_occurrences(world, PLATFORMS):
        assert record.fields is not None
        if record.name in _TELLS:
            found[str(record.fields["booking_id"])].append(record)
    return found


def _state(record: Record) -> str:
    fields = record.fields or {}
    match record.name:
        case "BookingRequested":
            return "requested"
        case "BookingHeld":
            return "tentative"
        case "BookingApproved":
            return "approved"
        case "BookingMoved":
            return "approved" if fields["expires_at"] is None else "tentative"
        case _:
            return _ENDED[fields["reason"]]


def p7_no_double_booking(world: World) -> Iterator[str]:
    """An independent sweep: at no version of the log, and in no table, do two bookings overlap on one unit."""
    held: dict[str, dict[str, tuple[Any, Any, int]]] = defaultdict(dict)
    for record in first_occurrences(world, PLATFORMS):
        fields = record.fields or {}
        if record.name not in _TELLS:
            continue
        one, mine = str(fields["booking_id"]), held[record.key_text]
        if record.name in ("BookingRequested", "BookingEnded"):
            mine.pop(one, None)
            continue
        mine[one] = fields["starts_at"], fields["ends_at"], fields["unit_number"]
        for other, (begin, end, unit) in mine.items():
            if other != one and unit == mine[one][2] and begin < mine[one][1] and mine[one][0] < end:
                yield f"{record.key_text} v{record.version}: {one} and {other} overlap on unit {unit}"
    by_unit: dict[str, list[tuple[Any, Any, str]]] = defaultdict(list)
    for row in world.databases[SERVICE]["booking"]:
        if row["state"] in ("tentative", "approved"):
            by_unit[str(row["unit_id"])].append((row["starts_at"], row["ends_at"], str(row["booking_id"])))
    for unit_id, spans in by_unit.items():
        for (_, end, one), (begin, _, other) in pairwise(sorted(spans)):
            if begin < end:
                yield f"table: {one} and {other} overlap on unit {unit_id}"


def p8_table_and_log_agree(world: World) -> Iterator[str]:
    """Every booking is in the state and the slot that the log tells."""
    told = {}
    for one, records in _lives(world).items():
        slots = [r.fields for r in records if r.fields and "starts_at" in r.fields]
        told[one] = (_state(records[-1]), slots[-1]["starts_at"], slots[-1]["ends_at"]) if slots else ("?", None, None)
    rows = world.databases[SERVICE]["booking"]
    table = {str(row["booking_id"]): (row["state"], row["starts_at"], row["ends_at"]) for row in rows}
    yield from disagreements("booking", table, told)


def p9_use_is_the_fold(world: World) -> Iterator[str]:
    """Platform use's two tables equal an independent fold of what the consumer accepted, every column."""
    platforms: dict[str, Row] = {}
    bookings: dict[str, Row] = {}
    for record in world.consumed["projections", PLATFORMS].accepted:
        fields, key = record.fields or {}, record.key_text
        row = platforms.get(key, {"platform_id": key, "offered": {}})
        if record.name == "PlatformDescribed":
            names = ("owner_title", "title", "commune_code", "capacity_count", "unit_count", "withdrawn", "fictitious")
            row |= {name: fields[name] for name in names}
            row["equipment"] = [{"code": e["equipment_code"], "title": e["title"]} for e in fields["equipment"]]
        elif record.name == "TimeOffered":
            row["offered"] = row["offered"] | {w["iso_week"]: w["offered_minutes"] for w in fields["weeks"]}
        else:
            one = str(fields["booking_id"])
            before = bookings.get(one, {"booking_id": one, "platform_id": key, "late": False, "end_reason": None})
            now: Row = {n: fields[n] for n in ("origin", "starts_at", "ends_at", "group_size") if n in fields}
            ended = record.name == "BookingEnded"
            now |= {"late": fields["late"], "end_reason": fields["reason"]} if ended else {}
            bookings[one] = before | now | {"state": "ended" if ended else _state(record)} | placed(record)
        platforms[key] = row | stamped(record)
    for table, key, expected in (("use_platform", "platform_id", platforms), ("use_booking", "booking_id", bookings)):
        yield from differences(table, *shown_and_folded(world, table, key, expected))


def p16_authority(world: World) -> Iterator[str]:
    """An owner's command changed its own platforms only; forbidden ones were refused."""
    owner = {str(row["platform_id"]): row["owner_code"] for row in world.databases[SERVICE]["platform"]}
    yield from beyond_authority(world, SERVICE, first_occurrences(world, PLATFORMS), "owner", "owner_code", owner)


def p18_one_effect_per_command(world: World) -> Iterator[str]:
    """Each command had, once, the effect that its answer says; what moves up when a slot comes back is told under it too."""
    yield from one_effect_per_command(
        world,
        SERVICE,
        first_occurrences(world, PLATFORMS),
        exactly=("BookingRequested", "BookingMoved"),
        once={"book": ("BookingHeld", "BookingApproved", "BookingRequested")},
    )


def p20_requests_are_answered(world: World) -> Iterator[str]:
    """Every request of the events service ends consistent: its answers in their order, and a slot held only while it is booked."""
    asked: dict[str, list[str]] = defaultdict(list)
    for record in world.consumed[SERVICE, ASKED].accepted:
        asked[record.key_text].append(record.name)
    answers: dict[str, list[str]] = defaultdict(list)
    for record in first_occurrences(world, ANSWERS):
        answers[record.key_text].append(record.name)
    bookings = {
        str(row["request_id"]): row["state"] for row in world.databases[SERVICE]["booking"] if row["request_id"]
    }
    for key in sorted(asked.keys() | answers.keys()):
        names, state, withdrawn = answers.get(key, []), bookings.get(key), "PlatformRequestWithdrawn" in asked[key]
        if names not in ([], ["PlatformRefused"], ["PlatformBooked"], ["PlatformBooked", "PlatformReleased"]):
            yield f"request {key} was answered {names}"
        if key not in asked:
            yield f"request {key} was answered and never asked"
        if withdrawn and names[-1:] not in (["PlatformRefused"], ["PlatformReleased"]):
            yield f"request {key} was withdrawn, its answers are {names}"
        live = state in ("requested", "tentative", "approved", "done", "no_show")
        expected = {"PlatformBooked": ("approved", "done", "no_show"), "": ("requested", "tentative")}
        last = names[-1] if names else ""
        if last in expected and state not in expected[last]:
            yield f"request {key} stands at {names}, its booking is {state}"
        if last in ("PlatformRefused", "PlatformReleased") and live and state not in ("done", "no_show"):
            yield f"request {key} was given up, its booking is {state}"
