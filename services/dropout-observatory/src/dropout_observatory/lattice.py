"""The cells that tables imply, shown or not, how they add up, and what linear programming says of them. For the publisher only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import inf

import highspy
import numpy as np
from numpy.typing import NDArray

from dropout_observatory.release import CellId, Dimension, Key, Release, Table, cell_id

# What HiGHS calls equal.
_TOLERANCE = 1e-6
# Stands for "no limit": far above every number of a release, so that a bound that reaches it says nothing.
_BEYOND = 1e6
# For one bound in whole numbers; a count of nodes and not of seconds: the same on every machine.
_WHOLE_NODES_MAX = 200


@dataclass(frozen=True)
class Row:
    """low ≤ Σ coefficient × cell ≤ high."""

    terms: tuple[tuple[int, float], ...]
    low: float
    high: float


@dataclass(frozen=True)
class Bound:
    """Between what a reader can place a cell, and the numbers without which they could not place it so, by side."""

    low: float
    high: float
    from_below: frozenset[int]
    from_above: frozenset[int]


class Lattice:
    """Every cell of every table of some releases, with those that no table shows: each combination of codes is one.

    Of each dimension a table has the codes that it shows and those that these add up to or from, in whatever other way: an
    intercommunality is no cell of a table of departments. (Nothing is lost of what tables show: margins that agree on their totals
    can always be filled. The cells inside are as wide as the least of the margins, which are eleven or more.)
    """

    def __init__(self, releases: Sequence[Release]) -> None:
        self.cells: dict[CellId, int] = {}
        rows: dict[Row, None] = {}
        added = set[tuple[str, tuple[Dimension, ...]]]()
        dimensions = _merged(releases)
        for release in releases:
            totals = {one.name: one.total for one in release.dimensions}
            for table in release.tables:
                told = [*release.figures.get(table.name, ()), *(() if not table.empty else _apart(table, totals))]
                reached = [
                    _reached(dimensions[name], {key[place] for key in told})
                    for place, name in enumerate(table.dimensions)
                ]
                for measure in filter(None, (table.measure, table.of)):
                    if (measure, tuple(reached)) not in added:
                        added.add((measure, tuple(reached)))
                        self._add(measure, reached, totals, rows)
            for table in (one for one in release.tables if one.kind == "rate"):
                for key in sorted(release.figures[table.name]):
                    part, whole = cell_id(release, table, key), cell_id(release, table, key, table.of)
                    others = (f"¬{table.measure}/{table.of}", part[1])
                    rows[Row(((self.column(whole), -1), (self.column(part), 1), (self.column(others), 1)), 0, 0)] = None
        self.public = {table.measure for release in releases for table in release.tables if table.kind == "public"}
        amounts = {table.measure for release in releases for table in release.tables if table.kind == "amount"}
        self.judged = {column for (measure, _), column in self.cells.items() if measure not in self.public}
        self.amounts = {column for (measure, _), column in self.cells.items() if measure in amounts}
        self.counts = {
            table.measure: table.of or "" for release in releases for table in release.tables if table.kind == "amount"
        }
        self.rows = tuple(rows)

    def column(self, cell: CellId) -> int:
        """The number of a cell."""
        return self.cells.setdefault(cell, len(self.cells))

    @cached_property
    def names(self) -> list[CellId]:
        """The cells by number."""
        return list(self.cells)

    def _add(
        self, measure: str, dimensions: Sequence[Dimension], totals: Mapping[str, str], rows: dict[Row, None]
    ) -> None:
        names = [one.name for one in dimensions]

        def at(key: Sequence[str]) -> int:
            codes = ((name, code) for name, code in zip(names, key, strict=True) if code != totals[name])
            return self.column((measure, tuple(sorted(codes))))

        for key in product(*(_codes(one) for one in dimensions)):
            for place, dimension in enumerate(dimensions):

                def of(code: str, key: tuple[str, ...] = key, place: int = place) -> int:
                    return at((*key[:place], code, *key[place + 1 :]))

                for one in dimension.sums:
                    if key[place] == one.total:
                        rows[Row(((at(key), -1), *((of(part), 1) for part in one.parts)), 0, 0)] = None
                for many in dimension.overlaps:
                    if key[place] == many.total:
                        for part in many.parts:
                            rows[Row(((at(key), -1), (of(part), 1), (of(f"¬{part}"), 1)), 0, 0)] = None
                        parts = tuple((of(part), 1) for part in many.parts)
                        rows[Row(((at(key), -many.least), *parts), 0, inf)] = None
                        if many.most is not None:
                            rows[Row(((at(key), -many.most), *parts), -inf, 0)] = None


def _apart(table: Table, totals: Mapping[str, str]) -> list[Key]:
    """Of each code of which a table says that nobody is in it, the cell that nothing else restricts."""
    return [tuple(code if own == name else totals[own] for own in table.dimensions) for name, code in table.empty]


def _reached(dimension: Dimension, shown: Set[str]) -> Dimension:
    """A dimension without what lies below all that is shown; the whole of it where nothing is."""
    if not shown:
        return dimension
    reached: set[str] = set()
    wider = {dimension.total, *shown}
    while wider != reached:
        reached = wider
        sums = tuple(one for one in dimension.sums if reached.intersection(one.parts))
        overlaps = tuple(one for one in dimension.overlaps if reached.intersection(one.parts))
        wider = reached.union(
            *((one.total, *one.parts) for one in sums), *((one.total, *one.parts) for one in overlaps)
        )
    return Dimension(dimension.name, dimension.total, sums, overlaps)


def _codes(dimension: Dimension) -> list[str]:
    codes = [dimension.total]
    for one in dimension.sums:
        codes += [one.total, *one.parts]
    for many in dimension.overlaps:
        codes += [many.total, *many.parts, *(f"¬{part}" for part in many.parts)]
    return list(dict.fromkeys(codes))


def _merged(releases: Sequence[Release]) -> dict[str, Dimension]:
    """What is known of the codes: every sum that any release tells."""
    merged: dict[str, Dimension] = {}
    for dimension in (one for release in releases for one in release.dimensions):
        known = merged.setdefault(dimension.name, dimension)
        if known.total != dimension.total:
            raise ValueError(f"the total of {dimension.name} is {known.total} and {dimension.total}")
        sums = tuple(dict.fromkeys((*known.sums, *dimension.sums)))
        overlaps = tuple(dict.fromkeys((*known.overlaps, *dimension.overlaps)))
        merged[dimension.name] = Dimension(known.name, known.total, sums, overlaps)
    return merged


# A row that holds, and the item that it would not hold without.
Told = Sequence[tuple[Row, int | None]]


class Reading:
    """What follows from some rows: the cells that they fix, and groups of the others that only hang together by what is not fixed."""

    def __init__(self, lattice: Lattice, told: Told) -> None:
        self.lattice = lattice
        self.known: dict[int, float] = {}
        self.known_from: dict[int, int | None] = {}
        rows: list[tuple[Row, int | None]] = [(row, None) for row in lattice.rows]
        for row, item in told:
            if len(row.terms) == 1 and row.low == row.high:
                self.known[row.terms[0][0]] = row.low
                self.known_from[row.terms[0][0]] = item
            else:
                rows.append((row, item))
        self._rows = rows

    def told(self, columns: Set[int]) -> dict[int, Bound]:
        """Those of some cells that are fixed, each by the number that says so; but of nobody where everybody knows that nobody is."""
        found = {}
        for column in self.known.keys() & columns:
            item, value = self.known_from[column], self.known[column]
            if item is not None or value:
                support = frozenset(() if item is None else (item,))
                found[column] = Bound(value, value, support, support)
        return found

    @cached_property
    def groups(self) -> list[Group]:
        """Cells that are not fixed, apart from those that they have no row in common with."""
        return self._grouped(self._rows)

    def small_rests(
        self, own: Mapping[int, int], people_min: int, percent: int
    ) -> Iterator[tuple[tuple[int, ...], float, frozenset[int]]]:
        """Sums that leave too little for the cells that are not fixed: few people besides the reader's, or of an amount so
        much of the reader's that all of it is nearly theirs. The cells, what is left for them, and the numbers that say so.

        No linear programme is needed for these, and they are nearly all there is to be found.
        """
        for row in self.lattice.rows:
            (total, factor), *parts = row.terms
            if factor != -1 or total not in self.known or (row.low, row.high) != (0, 0):
                continue
            free = tuple(part for part, _ in parts if part not in self.known)
            rest = self.known[total] - sum(self.known.get(part, 0) for part, _ in parts)
            mine = sum(own.get(part, 0) for part in free)
            narrowed = mine * 100 > percent * rest if total in self.lattice.amounts else rest - mine < people_min
            if free and narrowed:
                items = {self.known_from[column] for column, _ in row.terms if column in self.known}
                yield free, rest, frozenset(item for item in items if item is not None)

    def by_one_sum(self, column: int) -> float:
        """A cell as a sum tells it in which all else is known, whatever other numbers say; 0 where none does."""
        for row in self.lattice.rows:
            factors = dict(row.terms)
            if column in factors and row.low == row.high and self.known.keys() >= factors.keys() - {column}:
                rest = sum(factor * self.known[other] for other, factor in factors.items() if other != column)
                return (row.low - rest) / factors[column]
        return 0

    def _grouped(self, rows: Iterable[tuple[Row, int | None]]) -> list[Group]:
        parent: dict[int, int] = {}

        def root(column: int) -> int:
            while parent.setdefault(column, column) != column:
                parent[column] = column = parent[parent[column]]
            return column

        kept = []
        for row, item in rows:
            free = [column for column, _ in row.terms if column not in self.known]
            if free:
                kept.append((row, item, free[0]))
                for column in free[1:]:
                    parent[root(column)] = root(free[0])
        columns: dict[int, list[int]] = defaultdict(list)
        for column in self.lattice.cells.values():
            if column not in self.known:
                columns[root(column)].append(column)
        within: dict[int, list[tuple[Row, int | None]]] = defaultdict(list)
        for row, item, column in kept:
            within[root(column)].append((row, item))
        return [Group(self, tuple(members), tuple(within[each])) for each, members in columns.items()]


@dataclass(frozen=True)
class Group:
    """Cells that are not fixed, with every row that touches them."""

    reading: Reading
    columns: tuple[int, ...]
    rows: tuple[tuple[Row, int | None], ...]

    @property
    def signature(self) -> tuple[object, ...]:
        """Equal for two groups of which the same follows."""
        known, whence = self.reading.known, self.reading.known_from
        touched = {column for row, _ in self.rows for column, _ in row.terms if column in known}
        fixed = {column: (known[column], -1 if whence[column] is None else whence[column]) for column in touched}
        return self.columns, self.rows, tuple(sorted(fixed.items()))

    def bounds(
        self, judged: Set[int], own: Mapping[int, int], people_min: int, percent: int, exact: bool
    ) -> dict[int, Bound] | None:
        """What of the judged is narrow, or (if `exact`) certainly large; what is left out is wide. None: the rows contradict each other.

        `own` is what the reader told of themselves, which they subtract.
        """
        return _Programme(self, own, people_min, percent).bounds(judged, exact)


class _Programme:
    def __init__(self, group: Group, own: Mapping[int, int], people_min: int, percent: int) -> None:
        self.group, self.people_min, self.percent = group, people_min, percent
        self.known, self.known_from = group.reading.known, group.reading.known_from
        self.own = np.array([own.get(column, 0) for column in group.columns], dtype=float)
        self.place = {column: place for place, column in enumerate(group.columns)}
        # The first is only ever changed in its costs, so that it starts from where the last bound was.
        self.solver, self.in_whole_numbers = _highs(), _highs()
        self.prices: list[float] | None = None
        for mine in self.own:
            self.solver.addVar(mine, _BEYOND + mine)
        self.touching: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for number, (row, _) in enumerate(group.rows):
            constant, places, factors = 0.0, [], []
            for column, factor in row.terms:
                if column in self.place:
                    places.append(self.place[column])
                    factors.append(factor)
                else:
                    constant += factor * self.known[column]
                    if self.known_from[column] is not None:
                        self.touching[column].append((number, factor))
            self.solver.addRow(row.low - constant, row.high - constant, len(places), places, factors)
        self.every = list(range(len(group.columns)))
        self.in_whole_numbers.passModel(self.solver.getModel())
        self.in_whole_numbers.changeColsIntegrality(
            len(self.every), self.every, np.ones(len(self.every), dtype=np.uint8)
        )
        self.seen_low = np.full(len(group.columns), inf)
        self.seen_high = np.full(len(group.columns), -inf)

    def bounds(self, judged: Set[int], exact: bool) -> dict[int, Bound] | None:
        wanted = [place for column, place in self.place.items() if column in judged]
        # One solution shows many cells to be wide: their least together, and their most; then those of the cells that are left.
        left, before = wanted, len(wanted) + 1
        while len(left) < before:
            if not (self._optimise(left, False) and self._optimise(left, True)):
                return None
            left, before = [place for place in left if not self._wide(place)], len(left)
        found: dict[int, Bound] = {}
        for place in left:
            if not self._wide(place):
                self._optimise([place], False)
                from_below = self._without()
                large = (
                    self.seen_low[place] >= self.people_min
                    and self.group.columns[place] not in self.group.reading.lattice.amounts
                )
                if not self._wide(place) and (exact or not large):
                    self._optimise([place], True)
                    bound = Bound(
                        float(self.seen_low[place]), float(self.seen_high[place]), from_below, self._without()
                    )
                    if not self._wide(place):
                        found[self.group.columns[place]] = bound
        return found

    def _wide(self, place: int) -> bool:
        amount = self.group.columns[place] in self.group.reading.lattice.amounts
        return is_wide(self.seen_low[place], self.seen_high[place], amount, self.people_min, self.percent)

    def _optimise(self, places: Sequence[int], maximise: bool) -> bool:
        costs = np.zeros(len(self.own))
        costs[list(places)] = -1.0 if maximise else 1.0
        values, self.prices = self._solved(self.solver, costs)
        if values is None:
            return False
        if (np.abs(values - np.rint(values)) > _TOLERANCE).any():
            # People are whole. What only that shows has no prices: it rests on all that is told.
            whole, _ = self._solved(self.in_whole_numbers, costs)
            values, self.prices = (whole, None) if whole is not None else (values, self.prices)
        self.seen_low = np.minimum(self.seen_low, np.ceil(values - self.own - _TOLERANCE))
        self.seen_high = np.maximum(self.seen_high, np.floor(values - self.own + _TOLERANCE))
        return True

    def _solved(
        self, solver: highspy.Highs, costs: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64] | None, list[float] | None]:
        solver.changeColsCost(len(costs), self.every, costs)
        solver.run()
        if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return None, None
        solution = solver.getSolution()
        return np.array(solution.col_value), list(solution.row_dual)

    def _without(self) -> frozenset[int]:
        """The numbers that the last bound rests on: while none of them is withheld, the same proof holds (duality)."""
        prices = self.prices
        used = {item for _, item in self.group.rows} | {self.known_from[column] for column in self.touching}
        if prices is not None:
            used = {item for price, (_, item) in zip(prices, self.group.rows, strict=True) if abs(price) > _TOLERANCE}
            for column, places in self.touching.items():
                if abs(sum(prices[place] * factor for place, factor in places)) > _TOLERANCE:
                    used.add(self.known_from[column])
        return frozenset(item for item in used if item is not None)


def _highs() -> highspy.Highs:
    solver = highspy.Highs()  # type: ignore[no-untyped-call]  # it says nothing of its types
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("mip_max_nodes", _WHOLE_NODES_MAX)
    return solver


def is_wide(low: float, high: float, amount: bool, people_min: int, percent: int) -> bool:
    """Whether the interval leaves open what is to be left open: eleven numbers, of which one may be published; of an amount,
    as much as one that may be published leaves open of its largest contributor."""
    if amount:
        return high > 0 and high * percent >= low * 100
    return high >= people_min and high - low + 1 >= people_min


def few(apart: tuple[float, float], people_min: int) -> bool:
    """Whether it is certain that somebody came or went, and it may be less than eleven, and there is little doubt how many."""
    low, high = apart
    return not low <= 0 <= high and min(abs(low), abs(high)) < people_min and high - low + 1 < people_min
