"""Avro contracts as columns of Parquet: one dataset for each record of a topic of facts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from common.contracts import Contracts, Schema
from dropout_observatory.lake.contents import PLACES, Record, records, resolved, without_null

UTC_MICROSECONDS = pa.timestamp("us", tz="UTC")
PLACE = tuple(
    pa.field(name, kind, nullable=False)
    for name, kind in zip(PLACES, (pa.dictionary(pa.int32(), pa.string()), pa.int32(), pa.int64()), strict=True)
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
class Dataset(Record):
    """The rows of one record, as columns."""

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
    """Full name of the record to its dataset, of every record of a topic that is kept for ever; see `contents.records`."""
    return {name: Dataset(one.name, one.topic, one.versions) for name, one in records(contracts).items()}


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


def _column(field: Schema, named: dict[str, Schema]) -> pa.Field:
    kind, nullable = without_null(field["type"])
    return pa.field(field["name"], _type(kind, named), nullable=nullable)


def _type(kind: Any, named: dict[str, Schema]) -> pa.DataType:
    kind = resolved(kind, named)
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
            item, nullable = without_null(kind["items"])
            return pa.list_(pa.field("element", _type(item, named), nullable=nullable))
        case other:
            return _type(other, named)
