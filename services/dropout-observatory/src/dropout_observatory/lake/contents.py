"""What is in the lake, by the contracts alone: a dataset for each record of a topic of facts. It needs no library of columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from common.contracts import Contracts, Schema, Topic, full_name

# Where a row stands in the log; `kafka_offset` is unique in a topic's partition.
PLACES = ("kafka_topic", "kafka_partition", "kafka_offset")


@dataclass(frozen=True)
class Record:
    """One record: its name, the topic that has it, and all versions of its contract, the newest last."""

    name: str
    topic: Topic
    versions: tuple[Schema, ...]

    @property
    def record(self) -> str:
        """Full name of the record."""
        return full_name(self.versions[-1])

    @property
    def version(self) -> int:
        """The newest version of the contract; every row has its columns."""
        return len(self.versions)


def records(contracts: Contracts) -> dict[str, Record]:
    """Full name to record, of every record of a topic that is kept for ever.

    Raises `ValueError` for two records of one name: each would be looked for in the other's folder.
    """
    found: dict[str, Record] = {}
    names: set[str] = set()
    for topic in contracts.topics.values():
        for path in topic.records if topic.is_facts else ():
            one = Record(path.rpartition("/")[2], topic, tuple(contracts.versions(path)))
            if one.name.lower() in names:
                raise ValueError(f"two records of the topics of facts are named {one.name}")
            names.add(one.name.lower())
            found[one.record] = one
    return found


def fields_of(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """Every field of a record, nested ones with their path in dots (`seats.free_count`, `steps[].kind`), in its order."""
    yield from _fields(schema, "", {})


def _fields(schema: Schema, path: str, named: dict[str, Schema]) -> Iterator[tuple[str, Schema]]:
    for field in schema["fields"]:
        here = f"{path}{field['name']}"
        yield here, field
        kind, _ = without_null(field["type"])
        while isinstance(kind, dict) and kind.get("type") == "array":
            here, (kind, _) = f"{here}[]", without_null(kind["items"])
        kind = resolved(kind, named)
        if isinstance(kind, dict) and kind["type"] == "record":
            yield from _fields(kind, f"{here}.", named)


def resolved(kind: Any, named: dict[str, Schema]) -> Any:
    """A type that was defined before is referred to by its name."""
    if isinstance(kind, dict) and "name" in kind:
        named[kind["name"]] = kind
    return named.get(kind, kind) if isinstance(kind, str) else kind


def without_null(kind: Any) -> tuple[Any, bool]:
    """The type that a field has when it has a value, and whether it may have none. Contracts know no other union."""
    if not isinstance(kind, list):
        return kind, False
    (other,) = [branch for branch in kind if branch != "null"]
    return other, True
