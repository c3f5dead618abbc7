"""The invariants of delivery: I1–I5, I9–I12. Each function yields what it found wrong, in words."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.faults.checker.consumed import board
from tests.faults.checker.judged import differences, shown_and_folded
from tests.faults.checker.world import PROGRAMMES, STRUCTURES, Row, World, letters


def committed(world: World, owner: str) -> list[Row]:
    """Rows of an owner's outbox; of an owner that is not there, the rig plays it, none."""
    return world.databases[owner]["outbox"] if owner in world.databases else []


def i1_no_loss(world: World) -> Iterator[str]:
    """Committed outbox ids are in their topic; a row that can never be sent is one that the rig planted.

    Of a topic whose oldest records were deleted, as retention does, only what is kept can be looked for.
    """
    cut = {entry["topic"] for entry in world.of("records_deleted")}
    unsendable = {entry["event_id"] for entry in world.of("planted_unsendable")}
    for name, topic in world.topics.items():
        if name in cut:
            continue
        published = {record.event_id for record in topic.records if record.fields is not None}
        for row in committed(world, topic.owner):
            if row["topic"] != name or str(row["event_id"]) in published:
                continue
            if row["parked_reason"] is None or str(row["event_id"]) not in unsendable:
                yield f"{name}: committed {row['record']} {row['event_id']} (outbox {row['id']}) is not in the topic"


def i2_no_ghost(world: World) -> Iterator[str]:
    """What is in a topic was committed, planted by the rig, or listed by `estuaire reconcile`."""
    for name, topic in world.topics.items():
        known = {str(row["event_id"]) for row in committed(world, topic.owner)}
        if topic.owner in world.databases:
            known |= {str(row["event_id"]) for row in world.databases[topic.owner]["unknown_message"]}
        for record in topic.records:
            if topic.owner not in world.databases and (name, *record.place) in world.planted:
                continue
            if record.fields is not None and record.event_id not in known:
                yield f"{name}/{record.partition}/{record.offset}: {record.name} {record.event_id} was never committed"
            elif record.fields is None and (name, *record.place) not in world.planted:
                yield f"{name}/{record.partition}/{record.offset}: nobody planted this unreadable record"


def i3_one_effect(world: World) -> Iterator[str]:
    """Per consumer, the effects are the distinct accepted messages: the ledger's rows and sums, everybody's last versions."""
    for (service, name), made in world.consumed.items():
        database, topic = world.databases[service], world.topics[name]
        if topic.guard != "version":
            continue
        seen = {row["key"]: row["version"] for row in database["aggregate_seen"] if row["topic"] == name}
        expected = {key: version for key, version in made.versions.items() if version}
        for key in sorted(seen.keys() | expected.keys()):
            if seen.get(key) != expected.get(key):
                yield f"{service}: {name} {key} stands at version {seen.get(key)}, the log says {expected.get(key)}"
        if service != "ledger":
            continue
        effects = Counter(str(row["event_id"]) for row in database["effect"])
        accepted = {record.event_id for record in made.accepted}
        for event_id, count in effects.items():
            if count != 1 or event_id not in accepted:
                yield f"ledger: {event_id} had {count} effects, the log says {int(event_id in accepted)}"
        for event_id in accepted - effects.keys():
            yield f"ledger: {event_id} had no effect"
        sums = {row["key"]: row["count"] for row in database["tally"]}
        counted = Counter(record.key_text for record in made.accepted)
        for key in sums.keys() | counted.keys():
            if sums.get(key, 0) != counted[key]:
                yield f"ledger: key {key} was counted {sums.get(key, 0)} times, the log says {counted[key]}"


def i4_ordered_per_key(world: World) -> Iterator[str]:
    """First occurrences of a key's versions are 1, 2, 3 … in offset order, and one version has one event id."""
    for name, topic in world.topics.items():
        if topic.guard != "version":
            continue
        last: Counter[str] = Counter()
        ids: dict[tuple[str, int], str] = {}
        homes: dict[str, int] = {}
        for record in topic.records:
            if record.fields is None:
                continue
            key, version = record.key_text, record.version
            if homes.setdefault(key, record.partition) != record.partition:
                yield f"{name}: key {key} is in partitions {homes[key]} and {record.partition}"
            if ids.setdefault((key, version), record.event_id) != record.event_id:
                yield f"{name}: version {version} of {key} has two event ids"
            if version == last[key] + 1:
                last[key] = version
            elif version > last[key]:
                yield f"{name}/{record.partition}/{record.offset}: version {version} of {key} came after {last[key]}"
                last[key] = version


def i5_positions_move_forward(world: World) -> Iterator[str]:
    """Every committed move of every position, as a trigger saw it, goes up from where it stood; resets are audited."""
    for (service, name), _ in world.consumed.items():
        database, topic = world.databases[service], world.topics[name]
        resets = {row["subject"] for row in database["dead_letter_audit"] if row["action"] == "position_reset"}
        stands: dict[int, int] = {}
        for move in (row for row in database["position_history"] if row["topic"] == name):
            number, before, after = move["partition"], move["before"], move["after"]
            if before is not None and number in stands and before != stands[number]:
                yield f"{service}: {name}/{number} moved from {before}, but stood at {stands[number]}"
            if before is not None and after <= before and f"{name}/{number}" not in resets:
                yield f"{service}: {name}/{number} moved back from {before} to {after}"
            stands[number] = after
        for number, position in stands.items():
            if position > topic.ends[number]:
                yield f"{service}: {name}/{number} stands at {position}, beyond the end {topic.ends[number]}"


def i9_projection_is_the_fold(world: World) -> Iterator[str]:
    """The board's rows equal an independent fold of the raw topics, every column, both ways, and by hash."""
    folded = board(
        world.consumed["projections", STRUCTURES].accepted, world.consumed["projections", PROGRAMMES].accepted
    )
    skipped = ("log_topic", "log_partition", "log_offset") if "I9.place" in world.waived else ()
    for table, key, expected in (
        ("board_structure", "structure_id", folded[0]),
        ("board_programme", "programme_id", folded[1]),
    ):
        shown, wanted = shown_and_folded(world, table, key, expected, skipped)
        yield from differences(table, shown, wanted)
        if _hash(shown) != _hash(wanted):
            yield f"{table}: hashes differ"


def i10_every_offset_has_one_verdict(world: World) -> Iterator[str]:
    """Consumed offsets are applied, dropped, parked or dead, one of them; the consumer's dead and parked rows agree."""
    for (service, name), made in world.consumed.items():
        database, topic = world.databases[service], world.topics[name]
        positions = {r["partition"]: r["next_offset"] for r in database["consumer_position"] if r["topic"] == name}
        verdicts: dict[tuple[int, int], list[str]] = defaultdict(list)
        for record in made.accepted:
            verdicts[record.place].append("accepted")
        for word, places in (("duplicate", made.duplicate), ("dead", made.dead), ("parked", made.parked)):
            for place in places:
                verdicts[place].append(word)
        for record in topic.records:
            if record.offset < positions.get(record.partition, 0) and len(verdicts[record.place]) != 1:
                yield f"{service}: {name} {record.place} has the verdicts {verdicts[record.place]}"
        kept = letters(database, name)
        open_letters = {place for place, row in kept.items() if row["status"] != "replayed" and place[1] >= 0}
        for place in sorted(made.dead ^ open_letters):
            yield f"{service}: {name} {place} is {'not ' if place in made.dead else ''}a dead letter"
        waiting = {(r["partition"], r["offset"]) for r in database["parked_message"] if r["topic"] == name}
        for place in sorted(made.parked ^ {place for place in waiting if place[1] >= 0}):
            yield f"{service}: {name} {place} is {'not ' if place in made.parked else ''}parked"


def i11_dead_letters_keep_their_bytes(world: World) -> Iterator[str]:
    """Key, value and headers of each dead letter are those of the topic; when the rig repaired, none is left open."""
    for service, name in world.consumed:
        records = {record.place: record for record in world.topics[name].records}
        for place, row in letters(world.databases[service], name).items():
            record = records.get(place)
            if record is None:
                continue
            headers = [[header, value.hex() if value is not None else None] for header, value in record.headers]
            kept = (row["key"] or None, row["value"] or None, json.loads(row["headers"]))
            if kept != (record.key or None, record.value or None, headers):
                yield f"{service}: the dead letter {name} {place} differs from the record"
    if world.of("repaired"):
        for service, database in world.databases.items():
            count = sum(row["status"] == "open" for row in database["dead_letter"])
            if count:
                yield f"{service}: {count} dead letters are open after the repair"


def i12_at_rest(world: World) -> Iterator[str]:
    """The backlog came to nothing within the time allowed, and every fault's recovery was in time, without a human."""
    for entry in world.of("quiesced"):
        if entry["seconds"] > entry["seconds_max"]:
            yield f"the backlog took {entry['seconds']:.1f} s of {entry['seconds_max']} s: {entry.get('left')}"
    for entry in world.of("recovered"):
        if entry["seconds"] > entry["seconds_max"]:
            yield f"after {entry['fault']}, recovery took {entry['seconds']:.1f} s of {entry['seconds_max']} s"
    if not world.of("quiesced"):
        yield "the rig did not wait for the end of the backlog"


def _hash(rows: dict[str, Row]) -> str:
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()
