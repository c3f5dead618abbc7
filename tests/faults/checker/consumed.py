"""What a consumer should have made of a topic up to its position, worked out again from the bytes alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.faults.checker.log import Record, Topic

Place = tuple[int, int]


@dataclass
class Consumed:
    """Every offset before the position is in exactly one of these."""

    accepted: list[Record] = field(default_factory=list)
    duplicate: set[Place] = field(default_factory=set)
    dead: set[Place] = field(default_factory=set)
    parked: set[Place] = field(default_factory=set)
    versions: Counter[str] = field(default_factory=Counter)


def consumed(topic: Topic, positions: dict[int, int], letters: dict[Place, Any]) -> Consumed:
    """Walks the topic as the rules say: the next version is applied, an older one dropped, a later one waits.

    `letters` are the consumer's dead letters: those of readable records are taken from it (a handler failed, which no
    byte shows); a replayed one counts as applied, a discarded one as stepped over.
    """
    result = Consumed()
    waiting: dict[str, list[Record]] = {}

    def apply(record: Record) -> None:
        result.accepted.append(record)
        result.versions[record.key_text] = record.version

    def drain(key: str) -> None:
        queue = sorted(waiting.pop(key, []), key=lambda r: (r.version, r.offset))
        while queue and queue[0].version <= result.versions[key] + 1:
            record = queue.pop(0)
            if record.version == result.versions[key] + 1:
                apply(record)
            else:
                result.duplicate.add(record.place)
        if queue:
            waiting[key] = queue

    last_time: dict[str, Any] = {}
    for record in topic.records:
        if record.offset >= positions.get(record.partition, 0):
            continue
        letter = letters.get(record.place)
        if record.fields is None or (letter is not None and letter["status"] == "open"):
            result.dead.add(record.place)
            continue
        key = record.key_text
        if topic.guard == "latest":
            if key in last_time and record.fields["occurred_at"] <= last_time[key]:
                result.duplicate.add(record.place)
            else:
                last_time[key] = record.fields["occurred_at"]
                result.accepted.append(record)
        elif letter is not None and letter["status"] == "discarded":
            result.dead.add(record.place)
            result.versions[key] = max(result.versions[key], record.version)
            drain(key)
        elif record.version <= result.versions[key]:
            result.duplicate.add(record.place)
        elif record.version > result.versions[key] + 1:
            waiting.setdefault(key, []).append(record)
        else:
            apply(record)
            drain(key)
    result.parked = {record.place for records in waiting.values() for record in records}
    return result


def board(structures: list[Record], programmes: list[Record]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The seat board's two tables folded from accepted records, rows by id."""
    by_structure: dict[str, Any] = {}
    for record in structures:
        assert record.fields is not None
        names = ("structure_name", "kind", "commune_code", "fictitious")
        row = {name: record.fields[name] for name in names}
        by_structure[record.key_text] = row | {"structure_id": record.key_text} | _place(record)
    by_programme: dict[str, Any] = {}
    for record in programmes:
        assert record.fields is not None
        fields, before = record.fields, by_programme.get(record.key_text, {})
        described = {}
        if record.name == "ProgrammeDescribed":
            envelope = (
                "event_id",
                "occurred_at",
                "aggregate_id",
                "aggregate_version",
                "correlation_id",
                "causation_id",
            )
            described = {name: value for name, value in fields.items() if name not in (*envelope, "seats")}
        by = before.get("declared_way"), before.get("declared_source")
        if record.name == "SeatsDeclared":
            by = fields["way"], fields.get("source")
        elif fields["seats"]["observed_at"] != before.get("observed_at"):
            by = None, None  # restated after a restore, of a declaration that nobody told of
        by_programme[record.key_text] = {
            **before,
            **described,
            **fields["seats"],
            "programme_id": record.key_text,
            "declared_way": by[0],
            "declared_source": by[1],
            "last_record": record.name,
            "last_occurred_at": fields["occurred_at"],
            "free_change": fields["seats"]["free_count"] - before.get("free_count", 0),
            "aggregate_version": record.version,
            **_place(record),
        }
    return by_structure, by_programme


def _place(record: Record) -> dict[str, Any]:
    return {"log_topic": record.topic, "log_partition": record.partition, "log_offset": record.offset}
