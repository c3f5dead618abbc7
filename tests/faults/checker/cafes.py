"""The invariants of the parents' cafés: C6, C7, C8, C9, C16, C18, C21. Each function yields what it found wrong, in words."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from tests.faults.checker.judged import (
    beyond_authority,
    differences,
    first_occurrences,
    one_effect_per_command,
    shown_and_folded,
)
from tests.faults.checker.log import Record
from tests.faults.checker.waiting_lists import Lists
from tests.faults.checker.world import Row, World

SERVICE, CAFES = "parents-cafes", "parents-cafes.cafes.v1"
LISTS = Lists(
    SERVICE,
    CAFES,
    table="cafe",
    key="cafe_id",
    described="CafeDescribed",
    states={
        "HouseholdRegistered": "registered",
        "HouseholdMoved": "registered",
        "HouseholdQueued": "waiting",
        "CafeSeatsOffered": "offered",
    },
    resized="HouseholdResized",
    left="HouseholdLeft",
    emptied=("CafeMerged", "CafeCancelled"),
    checked_in="ParentsCheckedIn",
    once_in=("school_year", "period"),
    holder="household_id",
)


def wrong_counts(records: Iterable[Record]) -> Iterator[str]:
    """More seats taken than there are at some version; counts that are not the sums; a version that is missing."""
    records, versions = list(records), Counter[str]()
    for record in records:
        versions[record.key_text] += 1
        if record.version != versions[record.key_text]:
            yield f"{record.key_text}: v{record.version} comes {versions[record.key_text]}th"
    yield from LISTS.wrong_counts(records)


def lost_in_merges(records: Iterable[Record]) -> Iterator[str]:
    """A household of a café that was merged is not told in the one that receives it, or with other seats."""
    received: dict[tuple[str, str], dict[str, tuple[str, int]]] = defaultdict(dict)
    merged = []
    for record, before, _, _ in LISTS.lives(records):
        fields = record.fields or {}
        if record.name in LISTS.states:
            told = LISTS.states[record.name], fields["seat_count"]
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


def c6_no_overbooking(world: World) -> Iterator[str]:
    """At no version of the log, and in no table, are more seats taken than there are; every message's counts are the sums."""
    yield from wrong_counts(first_occurrences(world, CAFES))
    yield from LISTS.wrong_rows(world)


def c7_table_and_log_agree(world: World) -> Iterator[str]:
    """Every live registration is where, and what, the log tells; every café is in the state that it was told to be in."""
    yield from LISTS.table_and_log_disagree(world)
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
    yield from LISTS.twice(world)
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
        match record.name:
            case "CafeDescribed":
                same = (
                    "school_year", "period", "theme", "venue_title", "venue_kind", "commune_code", "starts_at", "ends_at",
                    "capacity_count", "target_count", "minimum_count", "opens_at", "status", "fictitious",
                )  # fmt: skip
                row |= {n: fields[n] for n in same}
            case "CafeConfirmed":
                row["status"] = "CONFIRMED"
            case "CafeMerged":
                row |= {"status": "MERGED", "merged_into_id": fields["into_cafe_id"]}
                row["moved_seat_count"] = fields["moved_seat_count"]
            case "CafeCancelled":
                row["status"] = "CANCELLED"
            case "CafeHeld":
                row |= {"status": "HELD", "was_counted": fields["attended_count"] is not None}
        cafes[key] = LISTS.folded(row, record)
    yield from differences("season_cafe", *shown_and_folded(world, "season_cafe", "cafe_id", cafes))


def c16_authority(world: World) -> Iterator[str]:
    """A coordinator's command changed its own cafés only, but for those that the pass moves; forbidden ones were refused."""
    accounts = {str(row["coordinator_id"]): row["account"] for row in world.databases[SERVICE]["coordinator"]}
    owner = {str(row["cafe_id"]): accounts[str(row["coordinator_id"])] for row in world.databases[SERVICE]["cafe"]}
    yield from beyond_authority(world, SERVICE, first_occurrences(world, CAFES), "coordinator", "coordinator", owner)


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
