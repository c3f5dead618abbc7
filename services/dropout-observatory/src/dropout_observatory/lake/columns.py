"""Avro contracts as columns of Parquet: one dataset for each record of a topic of facts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from common.contracts import Contracts, Schema, Topic, full_name

UTC_MICROSECONDS = pa.timestamp("us", tz="UTC")
# Where a row stands in the log; `kafka_offset` is unique in a topic's partition.
PLACE = (
    pa.field("kafka_topic", pa.dictionary(pa.int32(), pa.string()), nullable=False),
    pa.field("kafka_partition", pa.int32(), nullable=False),
    pa.field("kafka_offset", pa.int64(), nullable=False),
)
_PRIMITIVES = {
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "string": pa.string(),
    "bytes": pa.binary(),
}
# What stays a plain value of its Avro type until the columns are made: three times as fast as an object for each.
_PLAIN = {
    "uuid": pa.string(),
    "date": pa.date32(),
    "timestamp-millis": pa.timestamp("ms", tz="UTC"),
    "timestamp-micros": UTC_MICROSECONDS,
}


@dataclass(frozen=True)
class Dataset:
    """The rows of one record: its name, the topic that has it, and all versions of its contract, the newest last."""

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

    @cached_property
    def columns(self) -> pa.Schema:
        """The record's fields as typed columns, after the place in the log."""
        named: dict[str, Schema] = {}
        fields = [_column(field, named) for field in self.versions[-1]["fields"]]
        return pa.schema([*PLACE, *fields])

    def table(self, places: list[tuple[str, int, int]], rows: list[dict[str, Any]]) -> pa.Table:
        """Decoded rows (see `plain`) with the topic, partition and offset of each, as a table of these columns."""
        of_place = list(zip(*places, strict=True)) or [(), (), ()]
        arrays = [pa.array(values, field.type) for values, field in zip(of_place, PLACE, strict=True)]
        arrays += [
            pa.array([row[field.name] for row in rows], field.type) for field in list(self.columns)[len(PLACE) :]
        ]
        return pa.Table.from_arrays(arrays, schema=self.columns)


def datasets(contracts: Contracts) -> dict[str, Dataset]:
    """Full name of the record to its dataset, of every record of a topic that is kept for ever.

    Raises `ValueError` for two records of one name: each would be looked for in the other's folder.
    """
    found: dict[str, Dataset] = {}
    names: set[str] = set()
    for topic in contracts.topics.values():
        for path in topic.records if topic.is_facts else ():
            dataset = Dataset(path.rpartition("/")[2], topic, tuple(contracts.versions(path)))
            if dataset.name.lower() in names:
                raise ValueError(f"two records of the topics of facts are named {dataset.name}")
            names.add(dataset.name.lower())
            found[dataset.record] = dataset
    return found


def plain(schema: Any) -> Any:
    """The same schema without the logical types that `Dataset.table` understands by itself: they decode as their Avro type."""
    if isinstance(schema, list):
        return [plain(branch) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("logicalType") in _PLAIN:
        return schema["type"]
    if schema["type"] == "record":
        return {**schema, "fields": [{**field, "type": plain(field["type"])} for field in schema["fields"]]}
    if schema["type"] == "array":
        return {**schema, "items": plain(schema["items"])}
    return schema


def fields_of(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """Every field of a record, nested ones with their path in dots (`seats.free_count`, `steps[].kind`), in its order."""
    yield from _fields(schema, "", {})


def _fields(schema: Schema, path: str, named: dict[str, Schema]) -> Iterator[tuple[str, Schema]]:
    for field in schema["fields"]:
        here = f"{path}{field['name']}"
        yield here, field
        kind, _ = _without_null(field["type"])
        while isinstance(kind, dict) and kind.get("type") == "array":
            here, (kind, _) = f"{here}[]", _without_null(kind["items"])
        kind = _resolved(kind, named)
        if isinstance(kind, dict) and kind["type"] == "record":
            yield from _fields(kind, f"{here}.", named)


def _column(field: Schema, named: dict[str, Schema]) -> pa.Field:
    kind, nullable = _without_null(field["type"])
    return pa.field(field["name"], _type(kind, named), nullable=nullable)


def _type(kind: Any, named: dict[str, Schema]) -> pa.DataType:
    kind = _resolved(kind, named)
    if isinstance(kind, str):
        return _PRIMITIVES[kind]
    if (logical := kind.get("logicalType")) in _PLAIN:
        return _PLAIN[logical]
    if logical == "decimal":
        return pa.decimal128(kind["precision"], kind.get("scale", 0))
    match kind["type"]:
        case "enum":
            return pa.dictionary(pa.int32(), pa.string())
        case "record":
            return pa.struct([_column(field, named) for field in kind["fields"]])
        case "array":
            item, nullable = _without_null(kind["items"])
            return pa.list_(pa.field("element", _type(item, named), nullable=nullable))
        case other:
            return _type(other, named)


def _resolved(kind: Any, named: dict[str, Schema]) -> Any:
    """A type that was defined before is referred to by its name."""
    if isinstance(kind, dict) and "name" in kind:
        named[kind["name"]] = kind
    return named.get(kind, kind) if isinstance(kind, str) else kind


def _without_null(kind: Any) -> tuple[Any, bool]:
    """The type that a field has when it has a value, and whether it may have none. Contracts know no other union."""
    if not isinstance(kind, list):
        return kind, False
    (other,) = [branch for branch in kind if branch != "null"]
    return other, True
