"""What each indicator means: a file with its words, its SQL over the lake, what it may show, and how it has changed.

Read by the pages and by whoever computes; it counts nothing and opens no lake.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Set
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from dropout_observatory.indicators.catalogue import LEVELS_SHOWN, empty
from dropout_observatory.release import Table

_FOLDER = Path(__file__).with_name("definitions")
_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
# A row of a definition's SQL is somebody in a cell: who, how many they are, in which school year, then a code of each dimension.
COLUMNS = ("subject_id", "people", "school_year")
# Of a rate also whether they are among those that it counts.
COUNTED = "counted"


class BadDefinitionError(ValueError):
    """A file that is no definition; the message says which and what to change."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Secrecy(_Frozen):
    """How its numbers are protected: see `release.Table`. Measures are of one school year each; `{measure}/2026-2027` in a release.

    `public`: what everybody may know, and what counts nobody. Free seats are: the open feed and the board tell them live, programme
    by programme. Beside those who wait they tell nothing of them. No sum, rate or overlap has both, so that no bound on a case
    has a seat in it. A seat that was taken since the last release is a hold, which may be for somebody who is no case; which
    case a hold is for is on no public topic; and the number of those who wait moves by eleven or stays.
    """

    measure: _Text
    kind: Literal["count", "rate", "public"] = "count"
    of: _Text | None = None
    people_min: int = Field(default=11, ge=11)
    rounding: int = Field(default=1, ge=1)
    decimals: int = Field(default=0, ge=0, le=1)

    @model_validator(mode="after")
    def _rate_of_something(self) -> Secrecy:
        if (self.kind == "rate") != (self.of is not None):
            raise ValueError("a rate says what it is a share of by `of`, and nothing else does")
        return self


class Change(_Frozen):
    """What another version counts otherwise."""

    version: int = Field(ge=1)
    since: date
    what: _Text


class Definition(_Frozen):
    """One indicator. `dimensions`: of each, which levels of its codes are shown (see `catalogue.py`). Title and glossary are French."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$")]
    version: int = Field(ge=1)
    title: _Text
    glossary: _Text
    unit: _Text
    dimensions: dict[str, tuple[str, ...]]
    secrecy: Secrecy
    owner: _Text
    changes: tuple[Change, ...] = Field(min_length=1)
    sql: _Text

    @model_validator(mode="after")
    def _speaks_of_what_there_is(self) -> Definition:
        for dimension, levels in self.dimensions.items():
            if dimension not in LEVELS_SHOWN:
                raise ValueError(f"dimension {dimension!r} is none of {', '.join(LEVELS_SHOWN)}")
            for level in levels:
                if level not in LEVELS_SHOWN[dimension]:
                    raise ValueError(f"{dimension} has no level {level!r}, only {', '.join(LEVELS_SHOWN[dimension])}")
        versions = [change.version for change in self.changes]
        if versions != list(range(1, self.version + 1)):
            raise ValueError(f"version {self.version}: changes must say what each version from 1 on changed, in order")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """What its SQL must return."""
        return (*COLUMNS, *self.dimensions, *((COUNTED,) if self.secrecy.kind == "rate" else ()))

    @property
    def sha256(self) -> str:
        """Of all that it says: another hash under the same version is a definition that changed in silence."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def table(self, school_year: str, known_on: date) -> Table:
        """Its table of one school year, as of a day."""
        rule = self.secrecy
        nobody = [(name, code) for name in self.dimensions for code in empty(name, school_year, known_on)]
        return Table(
            f"{self.name}/{school_year}",
            measure_of(rule.measure, school_year),
            tuple(self.dimensions),
            kind=rule.kind,
            rounding=rule.rounding,
            of=None if rule.of is None else measure_of(rule.of, school_year),
            decimals=rule.decimals,
            people_min=rule.people_min,
            empty=tuple(nobody),
        )


def measure_of(measure: str, school_year: str) -> str:
    """The measure of one school year: nobody is in two of them, and no number adds them up."""
    return f"{measure}/{school_year}"


@cache
def definitions() -> dict[str, Definition]:
    """Every indicator by name; raises `BadDefinitionError`."""
    return load(_FOLDER)


def load(folder: Path) -> dict[str, Definition]:
    """The definitions of a folder, sorted by name; raises `BadDefinitionError`."""
    found = [_read(path) for path in sorted(folder.glob("*.yaml"))]
    for measure in {one.secrecy.of or one.secrecy.measure for one in found}:
        about = {one.name: one.dimensions.keys() for one in found if measure in (one.secrecy.measure, one.secrecy.of)}
        if circle := _circle(about):
            raise BadDefinitionError(
                f"{', '.join(circle)}: together they tell of {measure} more than each does, which the attack does not see; "
                "leave one out, or make one table of all their dimensions"
            )
    return {definition.name: definition for definition in found}


def _circle(dimensions: Mapping[str, Set[str]]) -> list[str]:
    """The tables of which the joint cells, which none of them shows, cannot always be filled: A × B, B × C and C × A.

    Graham's reduction: what is left when a dimension of one table alone, and a table within another, are taken away again and again.
    """
    left = {name: set(own) for name, own in dimensions.items()}
    while True:
        tables = Counter(dimension for own in left.values() for dimension in own)
        smaller = {name: {one for one in own if tables[one] > 1} for name, own in left.items()}
        for name in list(smaller):
            if any(smaller[name] <= own for other, own in smaller.items() if other != name):
                del smaller[name]
        if smaller == left:
            return sorted(left) if len(left) > 1 else []
        left = smaller


def _read(path: Path) -> Definition:
    try:
        definition = Definition.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise BadDefinitionError(f"{path.name} is not YAML: {error}") from None
    except ValidationError as error:
        said = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}" if one["loc"] else one["msg"] for one in error.errors()
        )
        raise BadDefinitionError(f"{path.name}: {said}") from None
    if path.stem != definition.name:
        raise BadDefinitionError(f"{path.name}: is named {definition.name!r}, as its file must be")
    return definition
