"""Contracts as columns: whatever a record may say is in its file as an Avro reader of its own would say it."""

from __future__ import annotations

import io
import json
import random
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.utils import generate_one

from common import contracts
from common.terminal import SCHEMAS
from dropout_observatory.lake import dictionary
from dropout_observatory.lake.columns import PLACE, Dataset, datasets, plain
from dropout_observatory.lake.compaction import merged
from dropout_observatory.lake.contents import fields_of
from dropout_observatory.lake.files import parts_of

CONTRACTS = contracts.load(SCHEMAS)
DATASETS = datasets(CONTRACTS)


def test_every_record_of_a_topic_of_facts_has_a_dataset() -> None:
    """And no other record: what is kept for some days only is not the analysts', nor is who may do what."""
    topics = [one for one in CONTRACTS.topics.values() if one.retention_days < 0 and one.data_class != "access"]
    kept = {path for topic in topics for path in topic.records}
    assert {contracts.full_name(CONTRACTS.latest(path)) for path in kept} == DATASETS.keys()
    assert not any("CaseLinked" in name or "Membership" in name for name in DATASETS)


def as_python(value: Any) -> Any:
    """A decoded value as a column gives it: a UUID is its text."""
    if isinstance(value, dict):
        return {name: as_python(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [as_python(inner) for inner in value]
    return value if value is None or isinstance(value, (bool, int, float, str, bytes, date, Decimal)) else str(value)


def written(schema: Any, value: Any) -> bytes:
    """The datum of a value."""
    out = io.BytesIO()
    schemaless_writer(out, parse_schema(schema, named_schemas={}), value)
    return out.getvalue()


def in_columns(dataset: Dataset, data: list[bytes]) -> pa.Table:
    """Datums by the lake's way."""
    schema = parse_schema(plain(dataset.versions[-1]), named_schemas={})
    rows: list[Any] = [schemaless_reader(io.BytesIO(datum), schema, None) for datum in data]
    return dataset.table([(dataset.topic.name, 0, offset) for offset in range(len(rows))], rows)


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_a_row_says_what_the_record_says(name: str) -> None:
    """Through Parquet and back, against an Avro reader that keeps every logical type."""
    dataset, schema = DATASETS[name], parse_schema(DATASETS[name].versions[-1], named_schemas={})
    random.seed(name)
    now = datetime(2027, 3, 1, tzinfo=UTC)
    some = [written(schema, generate_one(schema) | {"occurred_at": now}) for _ in range(20)]
    # Once more, so that a UUID is written as we write it.
    data = [written(schema, schemaless_reader(io.BytesIO(datum), schema, None)) for datum in some]
    table = in_columns(dataset, data)
    ((part, content),) = parts_of(dataset, table)
    assert (part.row_count, part.year, part.first_offset, part.last_offset) == (20, 2027, 0, 19)
    found = pa.parquet.read_table(io.BytesIO(content))
    assert found.schema.equals(dataset.columns)
    wanted = [as_python(schemaless_reader(io.BytesIO(datum), schema, None)) for datum in data]
    assert [{k: v for k, v in row.items() if not k.startswith("kafka_")} for row in found.to_pylist()] == wanted


def test_rows_of_two_years_are_two_files() -> None:
    """By the instant of the fact in UTC; each is named after its own offsets."""
    dataset = DATASETS["estuaire.remediation_seats.SeatHeld"]
    schema = dataset.versions[-1]
    eve = [
        datetime(2026, 12, 31, 23, 59, tzinfo=UTC),
        datetime(2027, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 1, tzinfo=UTC),
    ]
    data = [written(schema, generate_one(parse_schema(schema, named_schemas={})) | {"occurred_at": at}) for at in eve]
    paths = [part.path.partition("/")[2] for part, _ in parts_of(dataset, in_columns(dataset, data))]
    topic = dataset.topic.name
    assert paths == [f"year=2026/{topic}-0-0-2.v1.parquet", f"year=2027/{topic}-0-1-1.v1.parquet"]


MONEY = {
    "type": "record",
    "name": "Paid",
    "namespace": "estuaire.test",
    "fields": [
        {"name": "occurred_at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
        {"name": "paid_on", "type": ["null", {"type": "int", "logicalType": "date"}], "default": None},
        {
            "name": "kind",
            "type": {"type": "enum", "name": "Kind", "symbols": ["UNKNOWN", "CASH"], "default": "UNKNOWN"},
        },
        {"name": "again", "type": {"type": "array", "items": "Kind"}},
    ],
}


def test_amounts_dates_and_enums_have_their_types() -> None:
    """A decimal is exact; an enum that is named again is the same; a decimal that is none is never made of one."""
    dataset = replace(DATASETS["estuaire.remediation_seats.SeatHeld"], versions=(MONEY,))
    value = {
        "occurred_at": datetime(2027, 1, 1, tzinfo=UTC),
        "amount": Decimal("1234567890.12"),
        "paid_on": None,
        "kind": "CASH",
        "again": ["CASH"],
    }
    table = in_columns(dataset, [written(MONEY, value), written(MONEY, value | {"paid_on": date(2027, 2, 3)})])
    enum = pa.dictionary(pa.int32(), pa.string())
    types = [field.type for field in table.schema][len(PLACE) :]
    assert types[1:4] == [pa.decimal128(12, 2), pa.date32(), enum] and types[4].value_type == enum
    assert table["amount"].to_pylist() == [Decimal("1234567890.12")] * 2
    assert table["paid_on"].to_pylist() == [None, date(2027, 2, 3)]


def test_a_merge_gives_old_rows_the_new_columns() -> None:
    """Also inside a record and inside a list: with the default that the contract states."""

    def grown(schema: Any) -> Any:
        inner = {
            **schema["fields"][1]["type"],
            "fields": [*schema["fields"][1]["type"]["fields"], {"name": "why", "type": "string", "default": "?"}],
        }
        new = {"name": "by", "type": "string", "default": "nobody"}
        return {
            **schema,
            "fields": [schema["fields"][0], {**schema["fields"][1], "type": inner}, schema["fields"][2], new],
        }

    line = {"type": "record", "name": "Line", "fields": [{"name": "x", "type": "int"}]}
    first = {
        "type": "record",
        "name": "Told",
        "namespace": "estuaire.test",
        "fields": [
            {"name": "occurred_at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
            {"name": "one", "type": line},
            {"name": "lines", "type": {"type": "array", "items": "Line"}},
        ],
    }
    old = replace(DATASETS["estuaire.remediation_seats.SeatHeld"], versions=(first,))
    new = replace(old, versions=(first, grown(first)))
    value = {"occurred_at": datetime(2027, 1, 1, tzinfo=UTC), "one": {"x": 1}, "lines": [{"x": 2}]}
    table = merged(new, [in_columns(old, [written(first, value)])])
    assert table.schema.equals(new.columns)
    (row,) = table.to_pylist()
    assert (row["one"], row["lines"], row["by"]) == ({"x": 1, "why": "?"}, [{"x": 2, "why": "?"}], "nobody")


def test_two_records_of_one_name_are_refused() -> None:
    """Their rows would be in one folder."""
    (topic, *_) = (topic for topic in CONTRACTS.topics.values() if topic.retention_days < 0)
    twice = replace(CONTRACTS, topics={topic.name: replace(topic, records=topic.records * 2)})
    with pytest.raises(ValueError, match="two records"):
        datasets(twice)


def test_nested_fields_have_their_path() -> None:
    """As the dictionary and the classes of personal data name them."""
    paths = [path for path, _ in fields_of(DATASETS["estuaire.dropout_observatory.CaseFollowed"].versions[-1])]
    assert {"steps", "steps[].kind", "steps[].happened_on"} <= set(paths)


def test_every_field_is_in_the_dictionary_with_its_class() -> None:
    """An identifier's name says of itself whether it stands for somebody; whatever a record tells of somebody is marked."""
    for dataset in DATASETS.values():
        found = {entry.path: entry for entry in dictionary.entries(dataset)}
        assert all(entry.doc for entry in found.values())
        names = {path.rpartition(".")[2].removesuffix("[]") for path in found}
        unclassed = {name for name in names if name.endswith(("_id", "_ids"))} - _CLASSED
        assert not unclassed, f"{dataset.name}: is it somebody's? {unclassed}"
        assert dataset.columns.names == [path for path in found if "." not in path]
    case = {entry.path: entry.personal_data for entry in dictionary.entries(DATASETS[CASE])}
    assert (case["event_id"], case["aggregate_id"], case["facts.age_band"]) == (
        "technical",
        "pseudonym",
        "pseudonymous",
    )
    held = {entry.path: entry.personal_data for entry in dictionary.entries(DATASETS[HELD])}
    assert (held["young_person_id"], held["aggregate_id"]) == ("pseudonym", "none")


CASE, HELD = "estuaire.dropout_observatory.CaseReported", "estuaire.remediation_seats.SeatHeld"
_CLASSED = {*dictionary.PSEUDONYMS, *dictionary.THINGS, "event_id", "correlation_id", "causation_id"}


def test_the_dictionary_is_read_by_people_and_programs() -> None:
    """Every dataset, with the values of its closed lists."""
    page, data = dictionary.as_html(DATASETS), json.loads(dictionary.as_json(DATASETS))
    assert all(f'id="{name}"' in page for name in data["datasets"]) and len(data["datasets"]) == len(DATASETS)
    assert "VOCATIONAL_LYCEE" in page
