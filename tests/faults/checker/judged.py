"""What the invariants of several services have in common: messages once, tables beside a fold, and who caused what."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from tests.faults.checker.log import Record
from tests.faults.checker.world import Row, World


def first_occurrences(world: World, topic: str, ghosts: Collection[str] = ()) -> list[Record]:
    """Each message once, in version order per key."""
    firsts: dict[str, Record] = {}
    for record in world.topics[topic].records:
        if record.fields is not None and record.event_id not in ghosts:
            firsts.setdefault(record.event_id, record)
    return sorted(firsts.values(), key=lambda r: (r.key_text, r.version))


def told_by_command(records: Iterable[Record]) -> dict[str, Counter[str]]:
    """How many messages of each name every command caused, by its trace."""
    told: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        assert record.fields is not None
        told[record.fields["correlation_id"].hex][record.name] += 1
    return told


def one_effect_per_command(
    world: World,
    service: str,
    records: Iterable[Record],
    *,
    exactly: Collection[str] = (),
    once: Mapping[str, Collection[str]],
) -> Iterator[str]:
    """Each command on a service had the effect that its answer says, however often it was sent; none stays unanswered.

    At least: what comes back goes to somebody else under the same command. Of messages named in `exactly`, neither more nor
    fewer; of an op in `once`, all its messages together are no more than its answer says.
    """
    told = told_by_command(records)
    answers = {entry["op_id"]: entry for entry in world.of("ok")}
    lost = Counter(entry["op_id"] for entry in world.of("info"))
    for op in world.of("invoke"):
        if op.get("service") != service:
            continue
        what, answer = f"{op['op']} {op['op_id']}", answers.get(op["op_id"])
        if answer is None:
            yield f"{what} never got an answer"
            continue
        effects, counts = answer["effects"], told[op["trace_id"]]
        for name in {*effects, *exactly}:
            expected = effects.get(name, 0)
            if counts[name] < expected or (name in exactly and counts[name] > expected):
                sent = (
                    f"{answer['status']} after {lost[op['op_id']]} attempts without an answer, and told {dict(counts)}"
                )
                yield f"{what} caused {counts[name]} × {name}, its answer says {expected}: {sent}"
        if sum(counts[name] for name in once.get(op["op"], ())) > sum(effects.values()):
            yield f"{what} caused more than its answer says: {dict(counts)}"


def _plain(row: Row, skipped: Collection[str] = ()) -> Row:
    """A row so that what SQL gave and what Avro gave can be compared."""
    return {name: _text(value) for name, value in row.items() if name not in skipped}


def shown_and_folded(
    world: World, table: str, key: str, expected: Mapping[str, Row], skipped: Collection[str] = ()
) -> tuple[dict[str, Row], dict[str, Row]]:
    """A table of the projections beside an independent fold, both plain."""
    shown = {str(row[key]): _plain(row, skipped) for row in world.databases["projections"][table]}
    return shown, {one: _plain(row, skipped) for one, row in expected.items()}


def placed(record: Record) -> Row:
    """Where the newest message of a row is, as the projections keep it."""
    return {"log_topic": record.topic, "log_partition": record.partition, "log_offset": record.offset}


def stamped(record: Record) -> Row:
    """The same, with the version that its aggregate has by it."""
    return placed(record) | {"aggregate_version": record.version}


def differences(table: str, shown: Mapping[str, Row], folded: Mapping[str, Row]) -> Iterator[str]:
    """Every row that is not what it should be, both ways."""
    for one in sorted(shown.keys() | folded.keys()):
        mine, wanted = shown.get(one), folded.get(one)
        if mine is None or wanted is None:
            yield f"{table} {one}: shown {mine and 'present'}, folded {wanted and 'present'}"
        elif mine != wanted:
            names = [name for name in sorted(mine.keys() | wanted.keys()) if mine.get(name) != wanted.get(name)]
            told = ", ".join(f"{name}={mine.get(name)!r} (folded {wanted.get(name)!r})" for name in names)
            yield f"{table} {one}: shown {told}"


def disagreements(what: str, table: Mapping[str, Any], told: Mapping[str, Any]) -> Iterator[str]:
    """What is otherwise in a table than the log tells it, both ways."""
    for one in sorted(told.keys() | table.keys()):
        if told.get(one) != table.get(one):
            yield f"{what} {one} is {table.get(one)}, the log tells {told.get(one)}"


def beyond_authority(
    world: World, service: str, records: Iterable[Record], role: str, named: str, owner: Mapping[str, str]
) -> Iterator[str]:
    """Messages about what belongs to one party that a command of another, of the same role, caused; what should have been refused."""
    ops = {entry["trace_id"]: entry for entry in world.of("invoke") if entry.get("service") == service}
    for record in records:
        assert record.fields is not None
        op = ops.get(record.fields["correlation_id"].hex)
        if op is not None and op["role"] == role and op[named] != owner[record.key_text]:
            yield f"{record.name} about {record.key_text} was caused by the {role} {op[named]}"
    yield from not_refused(world, ops.values())


def not_refused(world: World, ops: Iterable[Row]) -> Iterator[str]:
    """Forbidden commands that were answered as if they were not."""
    answers = {entry["op_id"]: entry for entry in world.of("ok")}
    for op in ops:
        answer = answers.get(op["op_id"])
        if op.get("forbidden") and answer is not None and answer["status"] not in (403, 404):
            yield f"{op['op']} of what belongs to another was answered with {answer['status']}"


def _text(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(("[", "{")):  # JSON columns come as text
        try:
            return json.loads(value)
        except ValueError:
            return value
    if isinstance(value, bool | int | str | type(None) | dict):
        return value
    if isinstance(value, list):
        return [_text(item) for item in value]
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
