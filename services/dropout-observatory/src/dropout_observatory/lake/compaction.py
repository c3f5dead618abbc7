"""Which files are merged, and how: the rows of several, in the order of the log, with the newest columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pyarrow as pa

from dropout_observatory.lake.columns import PLACE, Dataset
from dropout_observatory.lake.files import Part

# Fewer are left as they are: rows would be written again and again.
_FILES_MIN = 8


@dataclass(frozen=True)
class Merge:
    """Files of one dataset, partition and year, to be replaced by one."""

    dataset: Dataset
    parts: Sequence[Part]


def to_merge(parts: Sequence[Part], datasets: Mapping[str, Dataset], rows_max: int) -> Iterator[Merge]:
    """Runs of small files in the order of the log, and every file whose columns are of an older version."""
    for (name, *_), group in groupby(sorted(parts, key=_place), key=lambda part: _place(part)[:4]):
        if name not in datasets:
            continue  # a record that is published no more keeps its files as they are
        dataset = datasets[name]
        for run in _runs(list(group), rows_max):
            if len(run) >= _FILES_MIN or any(part.version < dataset.version for part in run):
                yield Merge(dataset, run)


def _place(part: Part) -> tuple[str, str, int, int, int]:
    return part.dataset, part.topic, part.partition, part.year, part.first_offset


def _runs(parts: Sequence[Part], rows_max: int) -> Iterator[list[Part]]:
    """Neighbours that have at most so many rows together."""
    run: list[Part] = []
    for part in parts:
        if run and sum(one.row_count for one in run) + part.row_count > rows_max:
            yield run
            run = []
        run.append(part)
    if run:
        yield run


def merged(dataset: Dataset, tables: Sequence[pa.Table]) -> pa.Table:
    """The rows of all tables in the order of the log, with the newest columns."""
    table = pa.concat_tables([_with_newest_columns(dataset, table) for table in tables])
    return table.sort_by("kafka_offset").unify_dictionaries().combine_chunks()


def _with_newest_columns(dataset: Dataset, table: pa.Table) -> pa.Table:
    if table.schema.equals(dataset.columns):
        return table
    rows = table.to_pylist()
    places = [tuple(row[field.name] for field in PLACE) for row in rows]
    return dataset.table(places, [_filled(row, dataset.versions[-1], {}) for row in rows])


def _filled(value: Any, kind: Any, named: dict[str, Any]) -> Any:
    """A value with the defaults of the fields that it was written without."""
    if isinstance(kind, list):
        return None if value is None else _filled(value, next(branch for branch in kind if branch != "null"), named)
    if isinstance(kind, dict) and "name" in kind:
        named[kind["name"]] = kind
    kind = named.get(kind, kind) if isinstance(kind, str) else kind
    if isinstance(kind, dict) and kind["type"] == "record":
        return {
            field["name"]: _filled(value.get(field["name"], field.get("default")), field["type"], named)
            for field in kind["fields"]
        }
    if isinstance(kind, dict) and kind["type"] == "array":
        return [_filled(item, kind["items"], named) for item in value]
    return value
