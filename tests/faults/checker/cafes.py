"""The invariants of the parents' cafés: C6, C7, C8, C9, C16, C18, C21. Each function yields what it found wrong, in words."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
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

SERVICE, CAFES = "parents-cafes", "parents-cafes.cafes.v1"
STATES = {
    "HouseholdRegistered": "registered",
    "HouseholdMoved": "registered",
    "HouseholdQueued": "waiting",
    "CafeSeatsOffered": "offered",
}
_COUNTED = ("registered", "offered", "waiting")
# Registration to its household, where it stands, and its seats.
Live = dict[str, tuple[str, str, int]]


def lives(records: Iterable[Any]) -> Iterator[tuple[Any, Live, Live, int]]:
    """After each message of a café: the message, who is what there before it and after it, and the café's seats."""
    known: dict[str, Live] = defaultdict(dict)
    capacity: dict[str, int] = {}
    for record in records:
        fields, key = record.fields or {}, record.key_text
        before = dict(known[key])
        mine, one = known[key], str(fields.get("registration_id"))
        if record.name == "CafeDescribed":
            capacity[key] = fields["capacity_count"]
        elif record.name in STATES:
            mine[one] = str(fields["household_id"]), STATES[record.name], fields["seat_count"]
        elif record.name == "HouseholdResized":
            mine[one] = (*mine[one][:2], fields["seat_count"])
        elif record.name == "HouseholdLeft":
            mine.pop(one, None)
        elif record.name in ("CafeMerged", "CafeCancelled"):
            mine.clear()
        yield record, before, mine, capacity.get(key, 0)


def wrong_counts(records: Iterable[Any]) -> Iterator[str]:
    """More seats taken than there are at some version; counts that are not the sums; a version that is missing."""
    versions: Counter[str] = Counter()
    for record, _, mine, capacity in lives(records):
        versions[record.key_text] += 1
        if record.version != versions[record.key_text]:
            yield f"{record.key_text}: v{record.version} comes {versions[record.key_text]}th"
        sums = Counter[str]()
        for _, state, seats in mine.values():
            sums[state] += seats
        if sums["registered"] + sums["offered"] > capacity:
            yield f"{record.key_text} v{record.version}: {sums['registered'] + sums['offered']} of {capacity} seats are taken"
        fields = record.fields or {}
        if "registered_count" in fields:
            told = tuple(fields[f"{name}_count"] for name in _COUNTED)
            if told != tuple(sums[name] for name in _COUNTED):
                yield f"{record.key_text} v{record.version} tells {told}, the sums are {[sums[name] for name in _COUNTED]}"


def lost_in_merges(records: Iterable[Any]) -> Iterator[str]:
    """A household of a café that was merged is not told in the one that receives it, or with other seats."""
    received: dict[tuple[str, str], dict[str, tuple[str, int]]] = defaultdict(dict)
    merged = []
    for record, before, _, _ in lives(records):
        fields = record.fields or {}
        if record.name in STATES:
            told = STATES[record.name], fields["seat_count"]
            received[record.key_text, str(fields["correlation_id"])][str(fields["registration_id"])] = told
        elif record.name == "CafeMerged":
            merged.append((record, before))
    for record, before in merged:
        fields = record.fields or {}
        there = received[str(fields["into_cafe_id"]), str(fields["correlation_id"])]
        for one, (_, state, seats) in before.items():
            if there.get(one) != (state, seats):
                yield f"{one}, {state} with {seats} in {record.key_text}, is {there.get(one)} where it was merged"
        moved = sum(seats for _, state, seats in before.values() if state in ("registered", "offered"))
        if moved != fields["moved_seat_count"]:
            yield f"{record.key_text} tells {fields['moved_seat_count']} seats moved, it had {moved}"


def now(records: Iterable[Any]) -> Live:
    """Every live registration at the end of the log."""
    last: dict[str, Live] = {}
    for record, _, mine, _ in lives(records):
        last[record.key_text] = mine
    return {one: facts for mine in last.values() for one, facts in mine.items()}


def live_rows(rows: Iterable[Row]) -> Live:
    """The same from the table."""
    return {
        str(row["registration_id"]): (
            str(row["holder_id"]),
            "registered" if row["state"] in ("attended", "absent") else row["state"],
            row["seat_count"],
        )
        for row in rows
        if row["state"] != "ended"
    }


def c6_no_overbooking(world: World) -> Iterator[str]:
    """At no version of the log, and in no table, are more seats taken than there are; every message's counts are the sums."""
    yield from wrong_counts(first_occurrences(world, CAFES))
    taken: Counter[str] = Counter()
    for row in world.databases[SERVICE]["registration"]:
        if row["state"] in ("registered", "offered", "attended", "absent"):
            taken[str(row["cafe_id"])] += row["seat_count"]
    for row in world.databases[SERVICE]["cafe"]:
        key = str(row["cafe_id"])
        if taken[key] != row["taken_count"] or taken[key] > row["capacity_count"]:
            yield f"table: {key} has {row['taken_count']} taken, its rows have {taken[key]} of {row['capacity_count']}"


def c7_table_and_log_agree(world: World) -> Iterator[str]:
    """Every live registration is where, and what, the log tells; every café is in the state that it was told to be in."""
    told, table = now(first_occurrences(world, CAFES)), live_rows(world.databases[SERVICE]["registration"])
    for one in sorted(told.keys() | table.keys()):
        if told.get(one) != table.get(one):
            yield f"registration {one} is {table.get(one)}, the log tells {told.get(one)}"
    states = {"CafeConfirmed": "confirmed", "CafeMerged": "merged", "CafeCancelled": "cancelled", "CafeHeld": "held"}
    stands: dict[str, str] = {}
    for record in first_occurrences(world, CAFES):
        if record.name == "CafeDescribed":
            stands[record.key_text] = str((record.fields or {})["status"]).lower()
        elif record.name in states:
            stands[record.key_text] = states[record.name]
    for row in world.databases[SERVICE]["cafe"]:
        if stands.get(str(row["cafe_id"])) != row["state"]:
            yield f"café {row['cafe_id']} is {row['state']}, the log tells {stands.get(str(row['cafe_id']))}"


def c8_one_cafe_a_period(world: World) -> Iterator[str]:
    """Nobody is in two cafés of a period, nobody holds two pending offers, no venue or facilitator is in two places."""
    places: Counter[tuple[str, str, str]] = Counter()
    offers: Counter[str] = Counter()
    for row in world.databases[SERVICE]["registration"]:
        if row["state"] != "ended":
            places[row["school_year"], row["period"], str(row["holder_id"])] += 1
        offers[str(row["holder_id"])] += row["state"] == "offered"
    yield from (f"{key[2]} is {n} times in {key[1]}" for key, n in places.items() if n > 1)
    yield from (f"{holder} holds {n} offers" for holder, n in offers.items() if n > 1)
    stand = [row for row in world.databases[SERVICE]["cafe"] if row["state"] not in ("cancelled", "merged")]
    for what in ("venue_id", "facilitator_id"):
        until: dict[str, Any] = {}
        for row in sorted(stand, key=lambda row: row["starts_at"]):
            who = str(row[what])
            if who in until and until[who] > row["starts_at"]:
                yield f"{what} {who} is in two places at {row['starts_at']}"
            until[who] = max(until.get(who, row["ends_at"]), row["ends_at"])


def c9_season_is_the_fold(world: World) -> Iterator[str]:
    """The season's table equals an independent fold of what the consumer accepted, every column."""
    cafes: dict[str, Row] = {}
    for record in world.consumed["projections", CAFES].accepted:
        fields, key = record.fields or {}, record.key_text
        row = cafes.get(
            key,
            {"cafe_id": key, "attended_count": 0, "was_counted": False, "merged_into_id": None, "moved_seat_count": 0, "offers": {}},
        )  # fmt: skip
        offers, one = dict(row["offers"]), str(fields.get("registration_id"))
        if record.name != "ParentsCheckedIn":
            offers.pop(one, None)
        row |= {f"{n}_count": fields[f"{n}_count"] for n in _COUNTED if f"{n}_count" in fields}
        match record.name:
            case "CafeDescribed":
                same = (
                    "school_year", "period", "theme", "venue_title", "venue_kind", "commune_code", "starts_at", "ends_at",
                    "capacity_count", "target_count", "minimum_count", "opens_at", "status", "fictitious",
                )  # fmt: skip
                row |= {n: fields[n] for n in same}
            case "CafeConfirmed":
                row["status"] = "CONFIRMED"
            case "CafeMerged" | "CafeCancelled":
                offers = {}
                row |= {f"{n}_count": 0 for n in _COUNTED}
                row["status"] = "MERGED" if record.name == "CafeMerged" else "CANCELLED"
                if record.name == "CafeMerged":
                    row |= {"merged_into_id": fields["into_cafe_id"], "moved_seat_count": fields["moved_seat_count"]}
            case "CafeHeld":
                row |= {"status": "HELD", "was_counted": fields["attended_count"] is not None}
            case "CafeSeatsOffered":
                offers[one] = {"seats": fields["seat_count"], "until": fields["expires_at"].isoformat()}
            case "ParentsCheckedIn":
                row["attended_count"] = fields["attended_count"]
        if record.name in ("CafeDescribed", "CafeMerged", "CafeCancelled"):
            row |= {"described_at": fields["occurred_at"], "described_version": record.version}
        place = {"log_topic": record.topic, "log_partition": record.partition, "log_offset": record.offset}
        cafes[key] = row | {"offers": offers, "aggregate_version": record.version} | place
    yield from differences("season_cafe", *shown_and_folded(world, "season_cafe", "cafe_id", cafes))


def c16_authority(world: World) -> Iterator[str]:
    """A coordinator's command changed its own cafés only, but for those that the pass moves; forbidden ones were refused."""
    accounts = {str(row["coordinator_id"]): row["account"] for row in world.databases[SERVICE]["coordinator"]}
    owner = {str(row["cafe_id"]): accounts[str(row["coordinator_id"])] for row in world.databases[SERVICE]["cafe"]}
    ops = {entry["trace_id"]: entry for entry in world.of("invoke") if entry.get("service") == SERVICE}
    yield from caused_by_others(first_occurrences(world, CAFES), ops, "coordinator", "coordinator", owner)
    yield from not_refused(world, ops.values())


def c18_one_effect_per_command(world: World) -> Iterator[str]:
    """Each command had, once, the effect that its answer says; seats that come back are offered under it too."""
    once = {"confirm": ("HouseholdRegistered", "HouseholdQueued")}
    yield from one_effect_per_command(world, SERVICE, first_occurrences(world, CAFES), once=once)


def c21_nobody_lost_in_a_merge(world: World) -> Iterator[str]:
    """Everybody in a café that was merged is told in the one that received it, with the same seats; the pass decides once."""
    yield from lost_in_merges(first_occurrences(world, CAFES))
    decided: Counter[str] = Counter()
    for record in first_occurrences(world, CAFES):
        decided[record.key_text] += record.name in ("CafeMerged", "CafeConfirmed")
    yield from (f"{key} was decided {n} times" for key, n in decided.items() if n > 1)
