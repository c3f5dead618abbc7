"""True numbers from the lake, as it was known at an instant: every cell of every definition, and what each organisation told of.

Secret until `publication.py` has protected them. DuckDB counts; nothing here decides what is shown.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from itertools import product
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pyarrow as pa

from dropout_observatory.indicators.catalogue import Codes, context_of_communes, within_reach
from dropout_observatory.indicators.definitions import BadDefinitionError, Definition, measure_of
from dropout_observatory.release import Cell, CellId, Dimension, Key, Table
from territory import reference
from territory.working_time import PARIS

_VIEWS = Path(__file__).with_name("views.sql").read_text(encoding="utf-8")
# So many organisations are attacked as one each; of all others whoever told of most in each cell: see `_merged`.
_ORGANISATIONS_MAX = 12


class UnknownCodeError(ValueError):
    """A definition counts somebody in a code that its dimension does not have: nothing is published without them in silence."""


@dataclass(frozen=True)
class Counted:
    """What a release is made of: see `publication.next_release`."""

    dimensions: tuple[Dimension, ...]
    tables: tuple[Table, ...]
    cells: Mapping[str, Mapping[Key, Cell]]
    knowledge: Mapping[str, Mapping[CellId, int]]


def first_instant(known_on: date) -> datetime:
    """What was recorded by the first instant of this day in Paris is known on it."""
    return datetime.combine(known_on, time(), PARIS)


def school_year_of(day: date) -> str:
    """`2026-2027`, from 1 September on."""
    begins = day.year if day.month >= 9 else day.year - 1
    return f"{begins}-{begins + 1}"


def know(connection: duckdb.DuckDBPyConnection, known_on: date) -> None:
    """Makes the lake's views what was known on a day; `views.sql` says what definitions may count from."""
    connection.execute("SET VARIABLE known_at = $1::TIMESTAMPTZ", [first_instant(known_on)])
    connection.execute("SET VARIABLE known_on = $1::DATE", [known_on])
    connection.register("commune", _communes())
    connection.register("school", _schools())
    connection.register("within_reach", _within_reach(connection))
    connection.execute(_VIEWS)


def school_years(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Those in which somebody is known to have left, the first one first."""
    return [year for (year,) in connection.execute("SELECT DISTINCT school_year FROM known_case ORDER BY 1").fetchall()]


def checked(connection: duckdb.DuckDBPyConnection, definition: Definition) -> None:
    """Raises `BadDefinitionError` where the SQL cannot be run, or has not the columns that it must have."""
    try:
        found = [row[0] for row in connection.execute(f"DESCRIBE {definition.sql}").fetchall()]
    except duckdb.Error as error:
        raise BadDefinitionError(f"{definition.name}: its SQL cannot be run: {error}") from None
    if missing := [name for name in definition.columns if name not in found]:
        raise BadDefinitionError(f"{definition.name}: its SQL has no column {', '.join(missing)}")


def count(
    connection: duckdb.DuckDBPyConnection,
    definitions: Iterable[Definition],
    catalogue: Mapping[str, Codes],
    school_years: Sequence[str],
    known_on: date,
    told_by: Mapping[UUID, str],
) -> Counted:
    """Every cell of the definitions in some school years, by the views that `know` made for the day.

    `told_by`: of each case the organisation that reported it. Raises `BadDefinitionError` and `UnknownCodeError`.
    """
    _register(connection, catalogue, told_by)
    tables: list[Table] = []
    cells: dict[str, dict[Key, Cell]] = {}
    known: dict[str, Counter[CellId]] = defaultdict(Counter)
    used: dict[str, None] = {}
    for definition in definitions:
        checked(connection, definition)
        used |= dict.fromkeys(definition.dimensions)
        _complete(connection, definition)
        shown = [_shown(catalogue[name], levels) for name, levels in definition.dimensions.items()]
        found = {tuple(row[:-2]): (row[-2], row[-1]) for row in _counted(connection, definition)}
        for year in school_years:
            table = definition.table(year, known_on)
            tables.append(table)
            each = {key: found.get((year, *key), (0, 0)) for key in product(*shown)}
            nobody = {
                key for key in each if any(code in table.empty for code in zip(table.dimensions, key, strict=True))
            }
            if wrong := [key for key in nobody if each[key] != (0, 0)]:
                raise UnknownCodeError(f"{table.name}: somebody is in {' × '.join(wrong[0])}, where nobody can be yet")
            cells[table.name] = {key: _cell(definition, *each[key]) for key in each if key not in nobody}
        if definition.secrecy.kind == "count":
            totals = {name: catalogue[name].dimension.total for name in definition.dimensions}
            for organisation, year, *key, people in _counted_by_organisation(connection, definition):
                if year in school_years:
                    at = ((name, code) for name, code in zip(totals, key, strict=True) if code != totals[name])
                    known[organisation][measure_of(definition.secrecy.measure, year), tuple(sorted(at))] = people
    return Counted(tuple(catalogue[name].dimension for name in used), tuple(tables), cells, _merged(known))


def _shown(codes: Codes, levels: Sequence[str]) -> list[str]:
    return [code for level in levels for code in codes.levels[level]]


def _cell(definition: Definition, everybody: int, counted: int) -> Cell:
    return Cell(counted, of=everybody) if definition.secrecy.kind == "rate" else Cell(everybody)


# -- SQL


def _communes() -> pa.Table:
    contexts, pupils = context_of_communes(), Counter[str]()
    for school in reference.schools():
        pupils[school.commune_code] += school.pupil_count
    return pa.table(
        {
            "commune_code": list(contexts),
            "context": list(contexts.values()),
            "pupil_count": [pupils[code] for code in contexts],
        }
    )


def _schools() -> pa.Table:
    schools = reference.schools()
    return pa.table(
        {
            "uai": [one.uai for one in schools],
            "commune_code": [one.commune_code for one in schools],
            "priority": [one.priority_education for one in schools],
        }
    )


def _within_reach(connection: duckdb.DuckDBPyConnection) -> pa.Table:
    """Of each commune where there is a structure the intercommunalities that get there; of all of them it would take long."""
    there = connection.execute("SELECT DISTINCT commune_code FROM StructureDescribed ORDER BY 1").fetchall()
    rows = [(commune, code) for (commune,) in there for code in within_reach(commune)]
    columns = {"commune_code": [commune for commune, _ in rows], "reach": [code for _, code in rows]}
    return pa.table(columns, schema=pa.schema([(name, pa.string()) for name in columns]))


def _register(
    connection: duckdb.DuckDBPyConnection, catalogue: Mapping[str, Codes], told_by: Mapping[UUID, str]
) -> None:
    rows = [
        (name, atom, code)
        for name, codes in catalogue.items()
        for atom, around in codes.members.items()
        for code in around
    ]
    dimensions, atoms, codes = zip(*rows, strict=True)
    connection.register("_member", pa.table({"dimension": dimensions, "atom": atoms, "code": codes}))
    subjects = pa.array([str(case_id) for case_id in told_by], pa.string())
    organisations = pa.array(list(told_by.values()), pa.string())
    connection.register("_reported_by", pa.table({"subject_id": subjects, "organisation": organisations}))
    connection.execute("CREATE OR REPLACE TEMP VIEW _told_by AS FROM _reported_by UNION ALL BY NAME FROM teller")


def _complete(connection: duckdb.DuckDBPyConnection, definition: Definition) -> None:
    """Keeps a definition's rows, with the codes that include each."""
    connection.execute(f"CREATE OR REPLACE TEMP TABLE _row AS {definition.sql}")
    for name in definition.dimensions:
        stray = connection.execute(
            f'SELECT DISTINCT "{name}" FROM _row ANTI JOIN _member m ON m.dimension = $1 AND m.atom = _row."{name}" LIMIT 3',
            [name],
        ).fetchall()
        if stray:
            raise UnknownCodeError(f"{definition.name}: {name} has no code {', '.join(str(one) for (one,) in stray)}")
    places = "".join(f', "{name}".code AS "{name}"' for name in definition.dimensions)
    joins = "".join(
        f' JOIN _member AS "{name}" ON "{name}".dimension = \'{name}\' AND "{name}".atom = _row."{name}"'
        for name in definition.dimensions
    )
    # Of a code that includes several of somebody's, they are once in it.
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE _place AS
            SELECT DISTINCT _row.subject_id::VARCHAR AS subject_id, people, {_is_counted(definition)} AS counted, school_year{places}
            FROM _row{joins}"""
    )


def _is_counted(definition: Definition) -> str:
    return "counted" if definition.secrecy.kind == "rate" else "true"


def _columns(definition: Definition) -> str:
    return ", ".join(("school_year", *(f'"{name}"' for name in definition.dimensions)))


def _counted(connection: duckdb.DuckDBPyConnection, definition: Definition) -> Iterator[tuple[Any, ...]]:
    """School year, codes, people, and how many of them are counted."""
    yield from connection.execute(
        f"""SELECT {_columns(definition)}, sum(people)::BIGINT, coalesce(sum(people) FILTER (counted), 0)::BIGINT
            FROM _place GROUP BY ALL"""
    ).fetchall()


def _counted_by_organisation(
    connection: duckdb.DuckDBPyConnection, definition: Definition
) -> Iterator[tuple[Any, ...]]:
    """Organisation, school year, codes, and the people that it told of."""
    yield from connection.execute(
        f"SELECT organisation, {_columns(definition)}, sum(people)::BIGINT FROM _place JOIN _told_by USING (subject_id) GROUP BY ALL"
    ).fetchall()


def _merged(known: Mapping[str, Counter[CellId]]) -> dict[str, dict[CellId, int]]:
    """The organisations that told of most, each by itself, and the others as one that told in each cell as many as any of them.

    Of each kind of people by itself (cases of whatever year, pupils in groups): no number has to do with two kinds, and
    a school that brings forty pupils takes no place from one that told of thirty cases.

    Whatever stays open to that one stays open to each: who subtracts less knows less, cell by cell. (x − o is open for an
    o ≥ o′ only if x − o′ is: its values are the same, all of them higher by the constant o − o′, and others besides.)
    """
    merged: dict[str, dict[CellId, int]] = defaultdict(dict)
    for kind in sorted({_kind(cell) for cells in known.values() for cell in cells}):
        own = {
            name: Counter({cell: n for cell, n in cells.items() if _kind(cell) == kind})
            for name, cells in known.items()
        }
        ranked = sorted(filter(own.get, own), key=lambda name: (-max(own[name].values()), name))
        for place, name in enumerate(ranked[:_ORGANISATIONS_MAX], 1):
            merged[f"organisation {place}"] |= own[name]
        for name in ranked[_ORGANISATIONS_MAX:]:
            others = Counter(merged["another organisation"]) | own[name]
            merged["another organisation"] |= others
    return dict(merged)


def _kind(cell: CellId) -> str:
    """A measure without its school year."""
    return cell[0].partition("/")[0]
