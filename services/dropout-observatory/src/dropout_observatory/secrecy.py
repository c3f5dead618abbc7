"""Statistical secrecy, the publisher's side: which numbers of a release are withheld so that the others do not give them away.

Pure: true numbers in, a release out. `attacker.py` judges what comes out and shares no code with any of this. Secondary suppression
is a least-cost choice of numbers under cuts that linear programming proves (after Fischetti & Salazar 2001; Hundepool et al.,
Statistical Disclosure Control, 2012, chapter 4). See decision 0036.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from math import ceil, floor, inf, isqrt

from dropout_observatory.lattice import Bound, Lattice, Reading, Row, few
from dropout_observatory.release import Cell, CellId, Figure, Key, Release, Table, cell_id

_ROUNDS_MAX = 1000
# After so many what is withheld stays so, which makes an end of it, and a few numbers more than the least are spared afterwards.
_FREE_ROUNDS_MAX = 12
_SPARED_MAX = 300
_TOLERANCE = 1e-9
# Withholding what nothing restricts, with which every page begins, costs as much as so many numbers of as many people. Dearer ones
# by what restricts them gained one number in 684, and took a quarter longer.
_WHOLE_COST = 30
# Of CP-SAT's own clock, the same on every machine. What it has by then is a valid choice, perhaps not the least: of the thirteen
# tables of a school year a proof that it is the least takes twenty times as long, in each round.
_CHOICE_SECONDS_MAX = 1.0

# How many people, or how much of an amount, each organisation told of, by cell; a cell that is left out: nobody.
Knowledge = Mapping[str, Mapping[CellId, int]]
# A number wherever it is shown: of a rate its table and cell, else only the cell.
ItemKey = tuple[str, CellId]
# Of these numbers one is withheld, if the one that this protects is.
Cut = tuple[frozenset[int], int | None]


class UnprotectableError(Exception):
    """However much is withheld, a cell stays narrowed: earlier releases give it away."""


@dataclass(frozen=True)
class _Item:
    """A number that may be shown. `must` hide it, or may; withholding it costs."""

    key: ItemKey
    column: int
    figure: Figure
    rows: tuple[Row, ...]
    must: bool
    cost: int
    # Shown only where this count is: of a rate what it is a share of, of an amount that moved since these releases its people.
    follows: ItemKey | None = None
    since: frozenset[int] = frozenset()


@dataclass(frozen=True)
class _View:
    """One way to read what is public: rows that hold anyway, and those of a number when it is shown, or is not."""

    name: str
    lattice: Lattice
    fixed: tuple[Row, ...]
    shown: Mapping[int, tuple[Row, ...]]
    withheld: Mapping[int, tuple[Row, ...]]
    of_this: bool = True
    # Whether numbers of before stand for those of now.
    is_old: bool = False
    # The items that are rates, and what those say that are no item any more.
    rates: frozenset[int] = frozenset()
    fixed_rates: tuple[Row, ...] = ()

    def reading(self, hidden: frozenset[int], rates: bool = True) -> Reading:
        """What it says when these numbers are withheld, with its rates or without."""
        told: list[tuple[Row, int | None]] = [
            (row, None) for row in (*self.fixed, *(self.fixed_rates if rates else ()))
        ]
        for item, rows in self.shown.items():
            told += [(row, item) for row in rows] if item not in hidden and (rates or item not in self.rates) else []
        for item in hidden:
            told += [(row, None) for row in self.withheld.get(item, ()) if rates or item not in self.rates]
        return Reading(self.lattice, told)


def protect(
    head: Release,
    cells: Mapping[str, Mapping[Key, Cell]],
    earlier: Sequence[Release],
    knowledge: Knowledge | None = None,
) -> Release:
    """The release `head` with its figures: each number of `cells` (by table), or the last one that was public, or « secret ».

    `earlier` is every release before it. Raises `UnprotectableError`.
    """
    return _Protection(head, cells, _tied(head, earlier), knowledge or {}).release()


def _tied(head: Release, earlier: Sequence[Release]) -> list[Release]:
    """The tables of earlier releases whose measure has to do with one of this, by whatever rates and amounts tie them."""
    pairs = [{table.measure, table.of or table.measure} for one in (*earlier, head) for table in one.tables]
    measures = {table.measure for table in head.tables}
    while more := {measure for pair in pairs if pair & measures for measure in pair} - measures:
        measures |= more
    cut = (replace(one, tables=tuple(table for table in one.tables if table.measure in measures)) for one in earlier)
    return [one for one in cut if one.tables]


@dataclass
class _Past:
    """An earlier release as it is read by itself: what of it is certain, among the cells that were looked at so far."""

    reading: Reading
    looked: set[int] = field(default_factory=set)
    certain: dict[int, Bound] = field(default_factory=dict)


class _Protection:
    def __init__(
        self,
        head: Release,
        cells: Mapping[str, Mapping[Key, Cell]],
        earlier: Sequence[Release],
        knowledge: Knowledge,
    ) -> None:
        figures = {
            table.name: {key: Figure(_number(table, cell), head.number) for key, cell in cells[table.name].items()}
            for table in head.tables
        }
        self.true = replace(head, figures=figures)
        self.rules, self.earlier, self.knowledge = head.rules, earlier, knowledge
        self.lattice = Lattice([*earlier, self.true])
        self.history: dict[ItemKey, list[tuple[Figure, tuple[Row, ...]]]] = {}
        for past in earlier:
            for table, key, figure in _figures(past):
                if figure.value is not None and figure.as_of == past.number:
                    rows = _rows(self.lattice, past, table, key, figure)
                    self.history.setdefault(_item_key(past, table, key), []).append((figure, rows))
        self.items = self._items(cells)
        self.number = {item.key: place for place, item in enumerate(self.items)}
        self.of_column = {item.column: place for place, item in enumerate(self.items) if not item.key[0]}
        # Known to be empty once, and not any more: that old numbers say so still is no news.
        once = {row.terms[0][0] for past in earlier for row in _empty(self.lattice, past)}
        self.opened = once - {row.terms[0][0] for row in _empty(self.lattice, self.true)}
        self.views = self._views()
        self.memory: dict[object, dict[int, Bound] | None] = {}
        self.past = [_Past(_strict(self.lattice, past, earlier).reading(frozenset())) for past in earlier]
        self.cuts: dict[Cut, None] = {}

    # -- what may be shown

    def _items(self, cells: Mapping[str, Mapping[Key, Cell]]) -> list[_Item]:
        items: dict[ItemKey, _Item] = {}
        for table, key, figure in _figures(self.true):
            if table.kind == "public":
                continue
            cell = cells[table.name][key]
            item = self._item(table, key, cell, figure)
            if items.setdefault(item.key, item).figure != item.figure:
                raise ValueError(f"two tables differ on {item.key[1]}")
        return [replace(item, must=item.must or self._moved_alone(item, items)) for item in items.values()]

    def _moved_alone(self, item: _Item, items: Mapping[ItemKey, _Item]) -> bool:
        """Whether an amount that moved is that of few people: its count, shown both times, did not."""
        if not item.since or item.follows is None:
            return False
        if item.follows not in items:
            return True
        count = items[item.follows].figure.value
        return not item.since <= {old.as_of for old, _ in self.history.get(item.follows, []) if old.value != count}

    def _item(self, table: Table, key: Key, cell: Cell, figure: Figure) -> _Item:
        item_key, column = _item_key(self.true, table, key), self.lattice.column(cell_id(self.true, table, key))
        rows, before = (
            _rows(self.lattice, self.true, table, key, figure),
            self.history.get(_item_key(self.true, table, key), []),
        )
        people_min = max(self.rules.people_min, table.people_min)
        must, others = cell.people < people_min, frozenset[int]()
        follows: ItemKey | None = None
        if table.kind == "rate":
            must = min(cell.people, cell.of - cell.people) < self.rules.people_min or cell.of < people_min
            # Beside the number that it is a share of, or not at all: without it, only number theory says what it tells.
            whole = cell_id(self.true, table, key, table.of)
            must = must or not _told(self.true, whole)
            follows = None if whole[0] in self.lattice.public else ("", whole)
        elif table.kind == "amount":
            largest = max((known.get(item_key[1], 0) for known in self.knowledge.values()), default=0)
            must = must or largest * 100 > self.rules.dominance_percent * cell.amount
            others = frozenset(old.as_of for old, _ in before if old.as_of and old.value != figure.value)
            follows = ("", cell_id(self.true, table, key, table.of)) if others else None
        else:
            must = must or any(few(_apart(rows[0], old[0]), self.rules.people_min) for _, old in before)
        cost = (1 + isqrt(cell.people)) * (1 if item_key[1][1] else _WHOLE_COST)
        return _Item(item_key, column, figure, rows, must, cost, follows, others)

    # -- how it may be read

    def _views(self) -> list[_View]:
        shown = {place: item.rows for place, item in enumerate(self.items)}
        known = tuple(
            row
            for table, key, figure in _figures(self.true)
            if table.kind == "public"
            for row in _rows(self.lattice, self.true, table, key, figure)
        )
        empty = _empty(self.lattice, self.true)
        grown = _grown(self.lattice, self.true, self.earlier)
        views = [_View("now", self.lattice, (*known, *empty, *grown), shown, {})]
        if self.earlier:
            last = {key: numbers[-1][1] for key, numbers in self.history.items()}
            withheld = {self.number[key]: rows for key, rows in last.items() if key in self.number}
            gone = {key: rows for key, rows in last.items() if key not in self.number}
            counts, rates = (
                tuple(row for key in gone if bool(key[0]) == rate for row in gone[key]) for rate in (False, True)
            )
            views.append(
                _View(
                    "as if nothing had moved",
                    self.lattice,
                    (*known, *empty, *counts),
                    shown,
                    withheld,
                    is_old=True,
                    rates=frozenset(place for place, item in enumerate(self.items) if item.key[0]),
                    fixed_rates=rates,
                )
            )
        for past in self.earlier:
            rising = {place: _at_most(self.lattice, past, item) for place, item in enumerate(self.items)}
            if any(rising.values()):
                old = _strict(self.lattice, past, self.earlier)
                views.append(replace(old, shown=rising))
        return views

    # -- what must be withheld

    def release(self) -> Release:
        hidden: frozenset[int] = frozenset()
        for turn in range(_ROUNDS_MAX):
            hidden = self._chosen(hidden if turn > _FREE_ROUNDS_MAX else frozenset())
            cuts = next((found for found in self._looked(hidden) if found), None)
            if cuts is None:
                return self._published(self._spared(hidden) if turn > _FREE_ROUNDS_MAX else hidden)
            self.cuts |= dict.fromkeys(cuts)
        raise UnprotectableError(f"no choice after {_ROUNDS_MAX} rounds")

    def _chosen(self, kept: frozenset[int]) -> frozenset[int]:
        """The least costly choice with these under the cuts so far: of each, one is withheld, if what it protects is."""
        from ortools.sat.python import cp_model

        model = cp_model.CpModel()
        withheld = [model.new_bool_var("") for _ in self.items]
        for place, item in enumerate(self.items):
            if item.must or place in kept:
                model.add(withheld[place] == 1)
            elif item.follows is not None:
                model.add_implication(withheld[self.number[item.follows]], withheld[place])
        for support, protects in self.cuts:
            model.add_bool_or(
                *(withheld[place] for place in sorted(support)),
                *([] if protects is None else [withheld[protects].negated()]),
            )
        model.minimize(sum(item.cost * chosen for item, chosen in zip(self.items, withheld, strict=True)))
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.max_deterministic_time = _CHOICE_SECONDS_MAX
        if solver.solve(model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            raise UnprotectableError("what must be withheld contradicts itself")
        return frozenset(place for place, chosen in enumerate(withheld) if solver.value(chosen))

    def _spared(self, hidden: frozenset[int]) -> frozenset[int]:
        """The same without those that need not be withheld after all, the dearest first; of so many at most that it ends."""
        may = sorted((-self.items[place].cost, place) for place in hidden if not self.items[place].must)
        for _, place in may[:_SPARED_MAX]:
            follows = self.items[place].follows
            fewer = hidden - {place}
            if (follows is None or self.number[follows] not in fewer) and not any(self._looked(fewer)):
                hidden = fewer
        return hidden

    def _looked(self, hidden: frozenset[int]) -> Iterator[list[Cut]]:
        """A cut for each cell that somebody narrows; what is easily seen first, and more only where there is none of it."""
        readings = [(view, view.reading(hidden)) for view in self.views]
        # An organisation subtracts what it told of by now: only numbers of now are of the same day.
        each = [("", *one) for one in readings] + [(reader, *readings[0]) for reader in self.knowledge]
        yield [cut for reader, view, reading in each for cut in self._small_rests(hidden, view, reading, reader)]
        for stage in (each[: len(readings)], each[len(readings) :]):
            yield [cut for reader, view, reading in stage for cut in self._levels(hidden, view, reading, reader)]
        yield list(self._movements(hidden))

    def _small_rests(self, hidden: frozenset[int], view: _View, reading: Reading, reader: str) -> Iterator[Cut]:
        for columns, rest, support in reading.small_rests(
            self._own(reader), self.rules.people_min, self.rules.dominance_percent
        ):
            for column in columns:
                place = self.of_column.get(column)
                # Of a cell that could not have anybody once: nobody in it, or what numbers of before say alone of a day without it.
                no_news = view.is_old and column in self.opened and (rest == 0 or not support)
                if column in self.lattice.judged and not no_news and not (reader and place not in hidden):
                    yield self._cut(support, place if view.of_this else None, column)

    def _levels(self, hidden: frozenset[int], view: _View, reading: Reading, reader: str) -> Iterator[Cut]:
        # Whether an amount is that of eleven needs to know which counts certainly are.
        exact = bool(self.lattice.amounts)
        bounds, contradicted = self.bounds(reading, view.name, reader, exact)
        if contradicted:
            # A rate is of another day than a count beside it: a reader goes by the counts.
            again, _ = self.bounds(view.reading(hidden, rates=False), f"{view.name}, but rates", reader, exact)
            bounds |= {column: bound for column, bound in again.items() if column in contradicted}
        people_min = self.rules.people_min
        for column, bound in bounds.items():
            place = self.of_column.get(column)
            amount = column in self.lattice.amounts
            if (reader and place not in hidden) or (bound.low >= people_min and not amount):
                continue
            if view.is_old and bound.low == bound.high == 0 and column in self.opened:
                continue
            if amount and place is None and self._enough(column, reading, bounds):
                continue
            # Where the top is what fails, only what lifts it helps.
            top = not amount and bound.high < people_min
            support = bound.from_above if top else bound.from_above | bound.from_below
            if view.is_old and column in self.opened and not support:
                # The top is what numbers of before say alone, of days on which nobody could be there.
                support = bound.from_below
                if not support:
                    continue
            yield self._cut(support, place if view.of_this else None, column)

    def _enough(self, column: int, reading: Reading, bounds: Mapping[int, Bound]) -> bool:
        """Whether an amount that no table shows is certainly that of eleven people."""
        measure, at = self.lattice.names[column]
        count = self.lattice.cells.get((self.lattice.counts[measure], at))
        if count is None:
            return False
        least = reading.known.get(count, bounds[count].low if count in bounds else reading.by_one_sum(count))
        return least >= self.rules.people_min

    def _movements(self, hidden: frozenset[int]) -> Iterator[Cut]:
        """A cut for each cell of which two releases together tell that a few people came or went."""
        now = self._certain(self.views[0].reading(hidden))
        for past in self.past:
            before = self._certain_then(past, now.keys())
            for column in now.keys() & before.keys():
                apart = now[column].low - before[column].high, now[column].high - before[column].low
                if column not in self.lattice.amounts and few(apart, self.rules.people_min):
                    yield self._cut(now[column].from_below | now[column].from_above, None, column)

    def _certain(self, reading: Reading) -> dict[int, Bound]:
        """The cells that anybody can place within less than eleven numbers, and by which numbers of the release."""
        certain, _ = self.bounds(reading, "now", "", exact=True)
        return certain | reading.told(self.lattice.judged)

    def _certain_then(self, past: _Past, columns: Set[int]) -> dict[int, Bound]:
        """The same of an earlier release, of these cells only: whatever is wide now has not moved for certain."""
        if wanted := (columns & self.lattice.judged) - past.looked:
            past.looked |= wanted
            past.certain |= past.reading.told(wanted)
            for group in past.reading.groups:
                if not wanted.isdisjoint(group.columns):
                    rules = self.rules.people_min, self.rules.dominance_percent
                    past.certain |= group.bounds(wanted, {}, *rules, exact=True) or {}
        return past.certain

    def _cut(self, support: frozenset[int], protects: int | None, column: int) -> Cut:
        if not support:
            raise UnprotectableError(f"{self.lattice.names[column]}: earlier releases give it away")
        return support, None if protects is None or self.items[protects].must else protects

    def bounds(
        self, reading: Reading, view: str, reader: str, exact: bool = False
    ) -> tuple[dict[int, Bound], set[int]]:
        """Of every cell that is not wide, and the cells of which the numbers contradict each other; one reader at a time, and each
        group of cells only once while nothing changes in it."""
        found: dict[int, Bound] = {}
        contradicted = set[int]()
        own = self._own(reader)
        judged = self.of_column.keys() if reader else self.lattice.judged
        for group in reading.groups:
            if reader and not any(own.get(column) for column in group.columns):
                continue
            signature = (view, reader, exact, group.signature)
            if signature not in self.memory:
                self.memory[signature] = group.bounds(
                    judged, own, self.rules.people_min, self.rules.dominance_percent, exact
                )
            bounds = self.memory[signature]
            found |= bounds or {}
            contradicted |= set(group.columns if bounds is None else ())
        return found, contradicted

    def _own(self, reader: str) -> dict[int, int]:
        cells = self.lattice.cells
        return {cells[cell]: count for cell, count in self.knowledge.get(reader, {}).items() if cell in cells and count}

    def _published(self, hidden: frozenset[int]) -> Release:
        figures: dict[str, dict[Key, Figure]] = {table.name: {} for table in self.true.tables}
        for table, key, figure in _figures(self.true):
            item = _item_key(self.true, table, key)
            if table.kind != "public" and self.number[item] in hidden:
                # A number once public stays, with the release that it is of, until another may take its place.
                numbers = self.history.get(item)
                figures[table.name][key] = numbers[-1][0] if numbers else Figure()
            else:
                figures[table.name][key] = figure
        return replace(self.true, figures=figures)


# -- numbers and what they say


def _number(table: Table, cell: Cell) -> float:
    if table.kind == "amount":
        return cell.amount
    if table.kind == "rate":
        if not cell.of:
            return 0
        scale: int = 10**table.decimals
        units = (200 * scale * cell.people + cell.of) // (2 * cell.of)
        return float(units / scale) if table.decimals else units
    return (2 * cell.people + table.rounding) // (2 * table.rounding) * table.rounding


def _rows(lattice: Lattice, release: Release, table: Table, key: Key, figure: Figure) -> tuple[Row, ...]:
    """What a number says: of a rate, between which shares of the whole; of a rounded one, between which numbers."""
    column, value = lattice.column(cell_id(release, table, key)), figure.value
    assert value is not None
    if table.kind == "rate":
        whole, half = _told(release, cell_id(release, table, key, table.of)), 0.5 / 10**table.decimals
        least, most = ((value + side) / 100 * whole for side in (-half, half))
        return (Row(((column, 1),), max(0, ceil(least - _TOLERANCE)), floor(most + _TOLERANCE)),)
    if table.rounding == 1:
        return (Row(((column, 1),), value, value),)
    low, high = ceil(value - table.rounding / 2), ceil(value + table.rounding / 2) - 1
    return (Row(((column, 1),), max(low, release.rules.people_min), high),)


def _told(release: Release, cell: CellId) -> float:
    """The number that a release has for a cell, to the unit; 0 if it has none."""
    for table, key, figure in _figures(release):
        if table.kind in ("count", "public") and table.rounding == 1 and cell_id(release, table, key) == cell:
            return figure.value or 0
    return 0


def _figures(release: Release) -> Iterator[tuple[Table, Key, Figure]]:
    for table in release.tables:
        for key, figure in sorted(release.figures[table.name].items()):
            yield table, key, figure


def _item_key(release: Release, table: Table, key: Key) -> ItemKey:
    return (table.name if table.kind == "rate" else ""), cell_id(release, table, key)


def _apart(new: Row, old: Row) -> tuple[float, float]:
    return new.low - old.high, new.high - old.low


def _strict(lattice: Lattice, release: Release, others: Sequence[Release]) -> _View:
    """What a release says of its own day, with what the others add where numbers only grow."""
    rows = [
        row
        for table, key, figure in _figures(release)
        if figure.value is not None and figure.as_of == release.number
        for row in _rows(lattice, release, table, key, figure)
    ]
    fixed = (*rows, *_empty(lattice, release), *_grown(lattice, release, others))
    return _View(f"release {release.number}", lattice, fixed, {}, {}, of_this=False)


def _empty(lattice: Lattice, release: Release) -> tuple[Row, ...]:
    """Nobody is there, as everybody knows."""
    empty = {(table.measure, code) for table in release.tables for code in table.empty}
    measures = {measure for measure, _ in empty}
    return tuple(
        Row(((column, 1),), 0, 0)
        for (measure, at), column in lattice.cells.items()
        if measure in measures and any((measure, code) in empty for code in at)
    )


def _grown(lattice: Lattice, release: Release, others: Sequence[Release]) -> tuple[Row, ...]:
    """Where nothing is ever taken back, a number of before is a least, and one of after a most."""
    rows = []
    for other in others:
        for table, key, figure in _figures(other):
            if table.grows and other.number != release.number and figure.as_of == other.number:
                (row,) = _rows(lattice, other, table, key, figure)
                earlier = other.number < release.number
                rows.append(replace(row, high=inf) if earlier else replace(row, low=-inf))
    return tuple(rows)


def _at_most(lattice: Lattice, past: Release, item: _Item) -> tuple[Row, ...]:
    """What a number shown now adds to a release of before, if its measure only grows."""
    grows = any(table.grows and table.measure == item.key[1][0] for table in past.tables)
    return tuple(replace(row, low=-inf) for row in item.rows) if grows and not item.key[0] else ()
