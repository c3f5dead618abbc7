"""The figures of an indicator as files: what the routes let one take away, and what lies beside the annual report."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import date

from common.spreadsheet import written_table
from dropout_observatory.indicators import shown
from dropout_observatory.indicators.shown import View

Line = dict[str, str | float | int | None]


def lines(views: Sequence[View]) -> list[Line]:
    """A line for each number of an indicator, in one school year or several."""
    return [line for one in views for line in shown.records(one)]


def csv(found: Sequence[Line]) -> bytes:
    """UTF-8 with its mark, semicolons, decimal commas: as a French spreadsheet opens it."""
    text = written_table(list(found[0]), [[_cell(value) for value in line.values()] for line in found])
    return f"\ufeff{text}".encode()


def _cell(value: str | float | int | None) -> str | int:
    if value is None:
        return ""
    if isinstance(value, float):
        return int(value) if value.is_integer() else str(value).replace(".", ",")
    return value


def parquet(found: Sequence[Line]) -> bytes:
    """The lines as typed columns. pyarrow is loaded at the first download: the pages do without it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"value": pa.float64(), "as_of": pa.int32(), "release": pa.int32(), "known_on": pa.date32()}
    columns: dict[str, Sequence[object]] = {name: [line[name] for line in found] for name in found[0]}
    if "known_on" in columns:
        columns |= {"known_on": [date.fromisoformat(str(line["known_on"])) for line in found]}
    table = pa.table({name: pa.array(values, types.get(name, pa.string())) for name, values in columns.items()})
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()
