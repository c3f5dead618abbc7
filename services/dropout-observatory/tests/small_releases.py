"""Small releases, drawn: people with a commune, factors, a level, a month and who told of them, as tables count them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

from dropout_observatory.release import Cell, CellId, Dimension, Key, Overlap, Release, Sum, Table, cell_id

# Two departments; the second intercommunality straddles them, and has one commune beyond the Region, of whose people nobody knows.
COMMUNES = {
    "c1": ("E1", "14"),
    "c2": ("E1", "14"),
    "c3": ("E2", "14"),
    "c4": ("E2", "27"),
    "c5": ("E3", "27"),
    "c6": ("E3", "27"),
}
FACTORS = ("health", "money")
LEVELS = ("cap", "college")
MONTHS = ("2027-01", "2027-02")
ORGANISATIONS = ("lycée", "cfa", "psad")


def _territory() -> Dimension:
    departments = sorted({department for _, department in COMMUNES.values()})
    homes = {epci: sorted({home[1] for home in COMMUNES.values() if home[0] == epci}) for epci, _ in COMMUNES.values()}
    parts: dict[str, list[str]] = {}
    within: dict[str, dict[str, None]] = {department: {} for department in departments}
    for commune, (epci, department) in COMMUNES.items():
        part = epci if len(homes[epci]) == 1 else f"{epci}/{department}"
        parts.setdefault(part, []).append(commune)
        within[department][part] = None
    return Dimension(
        "territory",
        "region",
        (
            Sum("region", tuple(departments)),
            Sum("region", tuple(homes)),
            *(Sum(department, tuple(inside)) for department, inside in within.items()),
            *(Sum(epci, tuple(f"{epci}/{one}" for one in places)) for epci, places in homes.items() if len(places) > 1),
            *(Sum(part, tuple(communes)) for part, communes in parts.items()),
        ),
    )


DIMENSIONS = (
    _territory(),
    Dimension("factor", "all", overlaps=(Overlap("all", FACTORS),)),
    Dimension("level", "all", (Sum("all", LEVELS),)),
    Dimension("month", "all", (Sum("all", MONTHS),)),
)


@dataclass(frozen=True)
class Person:
    """Somebody who left."""

    commune: str
    factors: frozenset[str]
    level: str
    month: str
    organisation: str
    days: int

    def codes(self, dimension: str) -> set[str]:
        """Where this person counts."""
        if dimension == "territory":
            return {"region", *COMMUNES[self.commune], self.commune}
        return {"all", *self.factors} if dimension == "factor" else {"all", getattr(self, dimension)}


def person(rng: random.Random, sizes: Sequence[float]) -> Person:
    """Somebody, in communes of unequal size."""
    factors = frozenset(rng.sample(FACTORS, rng.choice((1, 1, 2))))
    return Person(
        rng.choices(list(COMMUNES), sizes)[0],
        factors,
        rng.choices(LEVELS, (3, 1))[0],
        rng.choice(MONTHS),
        rng.choices(ORGANISATIONS, (5, 3, 1))[0],
        rng.randint(1, 90),
    )


def people(rng: random.Random) -> list[Person]:
    """A population of some dozens to some hundreds."""
    sizes = [rng.choice((0.05, 0.3, 1, 4)) for _ in COMMUNES]
    return [person(rng, sizes) for _ in range(rng.choice((15, 40, 80, 150, 300)))]


def moved(rng: random.Random, before: Sequence[Person]) -> list[Person]:
    """The same a week later: some were withdrawn, some corrected, some are new."""
    after = [one for one in before if rng.random() > 0.02]
    after = [replace(one, level=rng.choice(LEVELS)) if rng.random() < 0.03 else one for one in after]
    sizes = [rng.choice((0.05, 0.3, 1, 4)) for _ in COMMUNES]
    return after + [person(rng, sizes) for _ in range(rng.choice((0, 0, 1, 2, 5, 15, 40)))]


SHOWN = {
    "territory": ("region", "14", "27", "E1", "E2", "E3"),
    "factor": ("all", *FACTORS),
    "level": ("all", *LEVELS),
    "month": ("all", *MONTHS),
}


def tables(rng: random.Random) -> tuple[Table, ...]:
    """One to three tables that are linked by what they share."""
    shapes: list[tuple[str, ...]] = [
        ("territory", "factor"),
        ("territory", "level"),
        ("territory", "month"),
        ("factor", "month"),
    ]
    drawn = rng.sample(shapes, rng.choice((1, 2)))
    if rng.random() < 0.15:
        drawn = [("territory", "level", "month")]
    rounding = 5 if rng.random() < 0.2 else 1
    drawn_tables = [Table(" × ".join(shape), "cases", shape, rounding=rounding) for shape in drawn]
    if rng.random() < 0.3:
        drawn_tables.append(Table("days", "days", drawn[0], kind="amount", of="cases"))
    if rng.random() < 0.3:
        drawn_tables.append(
            Table("share of levels", "college", ("territory",), kind="rate", of="cases", decimals=rng.choice((0, 1)))
        )
    return tuple(drawn_tables)


def counted(shapes: Sequence[Table], everybody: Sequence[Person]) -> dict[str, dict[Key, Cell]]:
    """The true numbers of every cell that the tables show, communes left out."""
    return {
        table.name: {key: _cell(table, key, everybody) for key in product(*(SHOWN[name] for name in table.dimensions))}
        for table in shapes
    }


def _cell(table: Table, key: Key, everybody: Sequence[Person]) -> Cell:
    inside = [
        one
        for one in everybody
        if all(code in one.codes(name) for name, code in zip(table.dimensions, key, strict=True))
    ]
    if table.kind == "rate":
        return Cell(sum(one.level == "college" for one in inside), of=len(inside))
    return Cell(len(inside), amount=sum(one.days for one in inside))


def known(shapes: Sequence[Table], everybody: Sequence[Person]) -> dict[str, dict[CellId, int]]:
    """What each organisation knows of its own, in every cell that the tables show or imply."""
    release = head(1, shapes)
    knowledge: dict[str, Counter[CellId]] = {one: Counter() for one in ORGANISATIONS}
    for table in shapes:
        measured: dict[str, dict[CellId, int]] = {one: {} for one in ORGANISATIONS}
        for one in everybody:
            for key in product(*(sorted(one.codes(name)) for name in table.dimensions)):
                if table.kind != "rate":
                    cell = cell_id(release, table, key)
                    so_far = measured[one.organisation].get(cell, 0)
                    measured[one.organisation][cell] = so_far + (one.days if table.kind == "amount" else 1)
        for organisation, cells in measured.items():
            knowledge[organisation] |= Counter(cells)
    return {organisation: dict(cells) for organisation, cells in knowledge.items()}


def head(number: int, shapes: Sequence[Table], previous: str | None = None) -> Release:
    """A release without figures."""
    return Release(number, f"2027-03-{number:02}", previous, DIMENSIONS, tuple(shapes))
