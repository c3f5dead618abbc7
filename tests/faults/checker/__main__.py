"""Runs every invariant on a world at rest and prints the verdicts."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.faults.checker import cafes, cases, delivery, events, platforms, seats, stages
from tests.faults.checker.world import World, load

_SHOWN_MAX = 5
_RSS_BYTES_MAX = 400_000_000
_DESCRIPTORS_MAX = 300
_DEAD_TUPLES_MAX = 300_000


def i13_bounded(world: World) -> Iterator[str]:
    """Resident memory, file descriptors and dead tuples stay within bounds while faults are injected."""
    for entry in world.of("sample"):
        for process, (rss_bytes, descriptor_count) in entry["processes"].items():
            if rss_bytes > _RSS_BYTES_MAX:
                yield f"{process} used {rss_bytes / 1e6:.0f} MB"
            if descriptor_count > _DESCRIPTORS_MAX:
                yield f"{process} had {descriptor_count} descriptors"
        for table, count in entry.get("dead_tuples", {}).items():
            if count > _DEAD_TUPLES_MAX:
                yield f"{table} had {count} dead tuples"
    if not world.of("sample"):
        yield "the rig took no sample"


def the_fault_fired(world: World) -> Iterator[str]:
    """A cell whose fault did not provably fire has failed."""
    proofs = [entry for entry in world.of("fault") if entry.get("proof")]
    if not proofs:
        yield "no fault left a proof"
    yield from (f"{entry['fault']} left no proof" for entry in world.of("fault") if not entry.get("proof"))


INVARIANTS: dict[str, Callable[[World], Iterator[str]]] = {
    "fired": the_fault_fired,
    "I1": delivery.i1_no_loss,
    "I2": delivery.i2_no_ghost,
    "I3": delivery.i3_one_effect,
    "I4": delivery.i4_ordered_per_key,
    "I5": delivery.i5_positions_move_forward,
    "I6": seats.i6_no_overbooking,
    "I7": seats.i7_no_double_booking,
    "I8": seats.i8_one_confirmed,
    "I9": delivery.i9_projection_is_the_fold,
    "I10": delivery.i10_every_offset_has_one_verdict,
    "I11": delivery.i11_dead_letters_keep_their_bytes,
    "I12": delivery.i12_at_rest,
    "I13": i13_bounded,
    "I16": seats.i16_authority,
    "I18": seats.i18_one_booking_per_key,
    "S6": stages.s6_no_overbooking,
    "S7": stages.s7_table_and_log_agree,
    "S8": stages.s8_one_confirmed_a_week,
    "S9": stages.s9_market_is_the_fold,
    "S16": stages.s16_authority,
    "S18": stages.s18_one_effect_per_command,
    "S19": stages.s19_campaigns_give_each_seat_once,
    "P7": platforms.p7_no_double_booking,
    "P8": platforms.p8_table_and_log_agree,
    "P9": platforms.p9_use_is_the_fold,
    "P16": platforms.p16_authority,
    "P18": platforms.p18_one_effect_per_command,
    "P20": platforms.p20_requests_are_answered,
    "E6": events.e6_no_overbooking,
    "E7": events.e7_table_and_log_agree,
    "E8": events.e8_once_and_one_offer,
    "E9": events.e9_calendar_is_the_fold,
    "E16": events.e16_authority,
    "E18": events.e18_one_effect_per_command,
    "E20": events.e20_both_sides_end_alike,
    "C6": cafes.c6_no_overbooking,
    "C7": cafes.c7_table_and_log_agree,
    "C8": cafes.c8_one_cafe_a_period,
    "C9": cafes.c9_season_is_the_fold,
    "C16": cafes.c16_authority,
    "C18": cafes.c18_one_effect_per_command,
    "C21": cafes.c21_nobody_lost_in_a_merge,
    "D4": cases.d4_one_sequence,
    "D7": cases.d7_table_and_log_agree,
    "D16": cases.d16_authority,
    "D18": cases.d18_one_effect_per_command,
    "D22": cases.d22_no_topic_names_a_case,
    "D23": cases.d23_links_are_steps,
}


def main() -> int:
    """Returns 1 when an invariant is violated."""
    given: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    world = asyncio.run(load(given))
    violations = {}
    for name, invariant in INVARIANTS.items():
        if name not in world.waived and (found := list(invariant(world))):
            violations[name] = [
                *found[:_SHOWN_MAX],
                *([f"and {len(found) - _SHOWN_MAX} more"] * (len(found) > _SHOWN_MAX)),
            ]
    records = [record for topic in world.topics.values() for record in topic.records]
    ids = Counter(record.event_id for record in records if record.fields is not None)
    report = {
        "violations": violations,
        "waived": world.waived,
        "message_count": len(ids),
        "record_count": len(records),
        "duplicate_count": sum(ids.values()) - len(ids),
        "fault_count": sum(entry.get("count", 1) for entry in world.of("fault")),
        "command_count": len(world.of("invoke")),
        "ambiguous_count": len(world.of("info")),
        "hold_count": len(world.databases["remediation-seats"]["hold"]),
        "dead_letter_count": sum(len(database["dead_letter"]) for database in world.databases.values()),
    }
    print(json.dumps(report, indent=1, default=str))
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
