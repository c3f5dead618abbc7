"""What a release of figures is: its dimensions, tables and numbers, its one canonical text with a hash, the chain to the one before.

Pure. Everything here is public but `Cell`, which has the true numbers that a table is made of.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

SECRET = "secret"  # noqa: S105 - the public word

# The codes of a cell in the order of its table's dimensions.
Key = tuple[str, ...]
# What a cell counts, whatever table shows it: a measure, and the codes that restrict it; totals are left out.
CellId = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class Sum:
    """A total is its parts, and nobody is in two of them. One total may have several: departments, and intercommunalities."""

    total: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Overlap:
    """Each of a total's people is in `least` to `most` of these: a case has one factor or several."""

    total: str
    parts: tuple[str, ...]
    least: int = 1
    most: int | None = None


@dataclass(frozen=True)
class Dimension:
    """Codes and how they add up. A code means the same people in every release: who moves a boundary takes another code."""

    name: str
    total: str
    sums: tuple[Sum, ...] = ()
    overlaps: tuple[Overlap, ...] = ()


@dataclass(frozen=True)
class Table:
    """The shape of a table. A rate is `measure` per `of`, in per cent; people_min of them, at least.

    `public` numbers are known anyway (pupils of a school). Of a measure that `grows` nothing is ever taken back.
    `empty`: codes, each with its dimension, of which everybody knows that nobody is in them: a month that has not come. It has no
    cells of these, and they hide nothing.
    """

    name: str
    measure: str
    dimensions: tuple[str, ...]
    kind: Literal["count", "amount", "rate", "public"] = "count"
    rounding: int = 1
    of: str | None = None
    decimals: int = 0
    people_min: int = 0
    grows: bool = False
    empty: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Cell:
    """The true numbers: people; of an amount, how much; of a rate, `people` in the numerator and `of` in the denominator."""

    people: int
    amount: int = 0
    of: int = 0


@dataclass(frozen=True)
class Figure:
    """What is shown: a number and the release that it is of, or None for « secret »."""

    value: float | None = None
    as_of: int | None = None


@dataclass(frozen=True)
class Rules:
    """Policy. `dominance_percent`: of an amount, no organisation has more (Insee: 85)."""

    people_min: int = 11
    dominance_percent: int = 85


@dataclass(frozen=True)
class Release:
    """Frozen: its bytes never change. `known_on` is the day whose knowledge it has; `previous` the hash of the one before.

    `definitions`: of each table's indicator `{"version": …, "sha256": …}`, so that what was counted is as frozen as the numbers.
    """

    number: int
    known_on: str
    previous: str | None
    dimensions: tuple[Dimension, ...]
    tables: tuple[Table, ...]
    rules: Rules = field(default_factory=Rules)
    figures: Mapping[str, Mapping[Key, Figure]] = field(default_factory=dict)
    definitions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def text(self) -> str:
        """Canonical JSON: what anybody reads, and what the hash is of."""
        plain = {
            "release": self.number,
            "known_on": self.known_on,
            "previous": self.previous,
            "people_min": self.rules.people_min,
            "dominance_percent": self.rules.dominance_percent,
            "definitions": dict(self.definitions),
            "dimensions": {one.name: _plain_dimension(one) for one in self.dimensions},
            "tables": [_plain_table(table, self.figures.get(table.name, {})) for table in self.tables],
        }
        return json.dumps(plain, ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n"

    @property
    def sha256(self) -> str:
        """Of the text in UTF-8."""
        return hashlib.sha256(self.text().encode()).hexdigest()

    @classmethod
    def read(cls, text: str) -> Release:
        """The release that a text is."""
        plain = json.loads(text)
        tables, figures = [], {}
        for one in plain["tables"]:
            shape = {name: value for name, value in one.items() if name != "cells"}
            empty = tuple((name, code) for name, code in one["empty"])
            tables.append(Table(**shape | {"dimensions": tuple(one["dimensions"]), "empty": empty}))
            figures[one["name"]] = {
                tuple(cell["at"]): Figure() if cell["value"] == SECRET else Figure(cell["value"], cell["as_of"])
                for cell in one["cells"]
            }
        return cls(
            plain["release"],
            plain["known_on"],
            plain["previous"],
            tuple(_read_dimension(name, one) for name, one in plain["dimensions"].items()),
            tuple(tables),
            Rules(plain["people_min"], plain["dominance_percent"]),
            figures,
            plain["definitions"],
        )


def cell_id(release: Release, table: Table, key: Key, measure: str | None = None) -> CellId:
    """What a cell of a table counts."""
    totals = {one.name: one.total for one in release.dimensions}
    at = ((name, code) for name, code in zip(table.dimensions, key, strict=True) if code != totals[name])
    return measure or table.measure, tuple(sorted(at))


def _plain_dimension(one: Dimension) -> dict[str, Any]:
    return {
        "total": one.total,
        "sums": [{"total": each.total, "parts": list(each.parts)} for each in one.sums],
        "overlaps": [
            {"total": each.total, "parts": list(each.parts), "least": each.least, "most": each.most}
            for each in one.overlaps
        ],
    }


def _read_dimension(name: str, one: dict[str, Any]) -> Dimension:
    sums = tuple(Sum(each["total"], tuple(each["parts"])) for each in one["sums"])
    overlaps = tuple(Overlap(**each | {"parts": tuple(each["parts"])}) for each in one["overlaps"])
    return Dimension(name, one["total"], sums, overlaps)


def _plain_table(table: Table, figures: Mapping[Key, Figure]) -> dict[str, Any]:
    cells = [
        {"at": list(key), "value": SECRET}
        if figure.value is None
        else {"at": list(key), "value": figure.value, "as_of": figure.as_of}
        for key, figure in sorted(figures.items())
    ]
    shape = {name: getattr(table, name) for name in Table.__dataclass_fields__}
    empty = [list(one) for one in table.empty]
    return shape | {"dimensions": list(table.dimensions), "empty": empty, "cells": cells}
