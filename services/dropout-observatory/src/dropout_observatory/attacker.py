"""An attack on our own releases, by somebody who has read all of them and may know what one organisation told of.

It reads the published JSON and nothing else of the publisher's; it shares no code with it. Every cell,
shown or not, is bounded in whole numbers under all that is public at once. What it can narrow is a finding; what has one is not published.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import inf
from typing import Any

from dropout_observatory.polytopes import Clue, Interval, Polytope, parted

# A measure, and the codes that restrict it, sorted by dimension; whoever is in the total of a dimension is not restricted by it.
Cell = tuple[str, tuple[tuple[str, str], ...]]
Knowledge = Mapping[str, Mapping[Cell, int]]


@dataclass(frozen=True)
class Finding:
    """A cell that somebody can place too well."""

    release: int
    table: str
    cell: str
    low: float
    high: float
    reader: str
    why: str

    def __str__(self) -> str:
        between = f"{self.low:g}" if self.low == self.high else f"between {self.low:g} and {self.high:g}"
        return (
            f"release {self.release}, {self.table}, {self.cell}: {self.reader} knows that it is {between} ({self.why})"
        )


def audit(releases: Sequence[str], knowledge: Knowledge | None = None) -> list[Finding]:
    """What is wrong with the last of these texts, all those before it included in the attack; empty when it may be published.

    `knowledge`: what each organisation told of by itself, which it subtracts.
    """
    attack = _Attack(_tied([json.loads(text) for text in releases]), knowledge or {})
    found: dict[tuple[str, str, str], Finding] = {}
    for finding in attack.findings():
        found.setdefault((finding.table, finding.cell, finding.reader), finding)
    return list(found.values())


def _tied(releases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The last release, and of those before it the tables whose measure has to do with one of its own, however far round.

    Only a rate or an amount ties measures. Where nothing does (two school years), no number of one says anything of the other.
    """
    pairs = {frozenset({table["measure"], table["of"]} - {None}) for one in releases for table in one["tables"]}
    tied = {table["measure"] for table in releases[-1]["tables"]}
    while more := {measure for pair in pairs if pair & tied for measure in pair} - tied:
        tied |= more
    cut = [one | {"tables": [table for table in one["tables"] if table["measure"] in tied]} for one in releases]
    return [one for one in cut if one["tables"] or one is cut[-1]]


class _Attack:
    def __init__(self, releases: list[dict[str, Any]], knowledge: Knowledge) -> None:
        self.releases, self.last, self.knowledge = releases, releases[-1], knowledge
        self.people_min: int = self.last["people_min"]
        self.dominance: int = self.last["dominance_percent"]
        self.index: dict[Cell, int] = {}
        self.kinds = {
            table["measure"]: table["kind"] for one in releases for table in one["tables"] if table["kind"] != "rate"
        }
        self.counts = {
            table["measure"]: table["of"] for one in releases for table in one["tables"] if table["kind"] == "amount"
        }
        self.sums = list(self._sums())
        self.names = list(self.index)
        self.sensitive = {
            column for column, (measure, _) in enumerate(self.names) if self.kinds.get(measure) != "public"
        }

    # -- what is public

    @cached_property
    def dimensions(self) -> dict[str, dict[str, Any]]:
        """Every way in which any release says that codes add up: departments, intercommunalities, those of last year."""
        union: dict[str, dict[str, Any]] = {}
        for name, one in ((name, one) for release in self.releases for name, one in release["dimensions"].items()):
            known = union.setdefault(name, {"total": one["total"], "sums": [], "overlaps": []})
            for way in ("sums", "overlaps"):
                known[way] += [each for each in one[way] if each not in known[way]]
        return union

    def at(self, measure: str, places: Mapping[str, str]) -> int:
        """The number of a cell."""
        inside = sorted((name, code) for name, code in places.items() if code != self.dimensions[name]["total"])
        return self.index.setdefault((measure, tuple(inside)), len(self.index))

    def _column(self, table: dict[str, Any], cell: dict[str, Any], measure: str | None = None) -> int:
        return self.at(measure or table["measure"], dict(zip(table["dimensions"], cell["at"], strict=True)))

    def _sums(self) -> Iterator[Clue]:
        spaces = {
            (measure, tuple((name, self._near(table, name)) for name in table["dimensions"]))
            for release in self.releases
            for table in release["tables"]
            for measure in (table["measure"], table["of"])
            if measure
        }
        for measure, axes in sorted(spaces):
            for combination in product(*(codes for _, codes in axes)):
                places = {name: code for (name, _), code in zip(axes, combination, strict=True)}
                self.at(measure, places)
                for name, codes in axes:
                    yield from self._sums_of(measure, places, name, codes)
        for _, table, cell in self._cells():
            if table["kind"] == "rate":
                part, whole = self._column(table, cell), self._column(table, cell, table["of"])
                rest = self._column(table, cell, f"{table['of']} less {table['measure']}")
                yield Clue(((whole, 1), (part, -1), (rest, -1)), 0, 0)

    def _sums_of(self, measure: str, places: dict[str, str], name: str, codes: Sequence[str]) -> Iterator[Clue]:
        whole = self.at(measure, places)
        for one in self.dimensions[name]["sums"]:
            if one["total"] == places[name] and set(one["parts"]) <= set(codes):
                yield Clue(
                    ((whole, 1), *((self.at(measure, places | {name: part}), -1) for part in one["parts"])), 0, 0
                )
        for one in self.dimensions[name]["overlaps"]:
            if one["total"] == places[name] and set(one["parts"]) <= set(codes):
                inside = [self.at(measure, places | {name: part}) for part in one["parts"]]
                for part, column in zip(one["parts"], inside, strict=True):
                    yield Clue(((whole, 1), (column, -1), (self.at(measure, places | {name: f"not {part}"}), -1)), 0, 0)
                yield Clue((*((column, 1) for column in inside), (whole, -one["least"])), 0, inf)
                if one["most"] is not None:
                    yield Clue((*((column, 1) for column in inside), (whole, -one["most"])), -inf, 0)

    def _near(self, table: dict[str, Any], name: str) -> tuple[str, ...]:
        """The codes of a dimension that have to do with those of a table's cells: totals, and whatever adds up with one of them.

        Communes are not near a table of departments: how people are spread over them leaves its numbers as they are.
        """
        one, place = self.dimensions[name], table["dimensions"].index(name)
        ways = [*one["sums"], *one["overlaps"]]
        near = {cell["at"][place] for cell in table["cells"]} | {code for own, code in table["empty"] if own == name}
        if not near:
            near = {code for way in ways for code in way["parts"]}
        near.add(one["total"])
        while True:
            more = {code for way in ways if not near.isdisjoint(way["parts"]) for code in (way["total"], *way["parts"])}
            if more <= near:
                break
            near |= more
        parts = {part for way in one["overlaps"] for part in way["parts"] if part in near}
        return tuple(sorted(near | {f"not {part}" for part in parts}))

    def _cells(self) -> Iterator[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
        for release in self.releases:
            for table in release["tables"]:
                for cell in table["cells"]:
                    yield release, table, cell

    def _said(self, table: dict[str, Any], cell: dict[str, Any]) -> list[Clue]:
        """What a number tells."""
        value = cell["value"]
        if table["kind"] == "rate":
            part, whole = self._column(table, cell), self._column(table, cell, table["of"])
            half = 0.5 * 10.0 ** -table["decimals"]
            at_least = Clue(((part, 100), (whole, half - value)), 0, inf)
            return [at_least, Clue(((part, 100), (whole, -half - value)), -inf, 0)]
        column = self._column(table, cell)
        base = table["rounding"]
        if base == 1:
            return [Clue(((column, 1),), value, value)]
        # Halves are rounded up, and what is shown is at least eleven.
        numbers = [n for n in range(int(value) - base, int(value) + base + 1) if (n + base / 2) // base * base == value]
        return [Clue(((column, 1),), max(numbers[0], self.people_min), numbers[-1])]

    # -- ways to read it

    def _nobody(self, release: dict[str, Any]) -> set[int]:
        """The cells of which a release says itself that nobody can be in them yet."""
        told = {(table["measure"], name, code) for table in release["tables"] for name, code in table["empty"]}
        measures = {measure for measure, _, _ in told}
        return {
            column
            for column, (measure, inside) in enumerate(self.names)
            if measure in measures and any((measure, name, code) in told for name, code in inside)
        }

    @cached_property
    def _opened(self) -> set[int]:
        """The cells that were known to be empty once and may not be now: that old numbers say so still is no news."""
        return {column for past in self.releases for column in self._nobody(past)} - self._nobody(self.last)

    def _of_its_day(self, release: dict[str, Any]) -> list[Clue]:
        """Only what is said of the day of one release, and limits from the others where numbers never fall."""
        clues = [Clue(((column, 1),), 0, 0) for column in self._nobody(release)]
        for other, table, cell in self._cells():
            if cell["value"] == "secret" or cell["as_of"] != other["release"]:
                continue
            if other is release:
                clues += self._said(table, cell)
            elif table["grows"]:
                before = other["release"] < release["release"]
                clues += [
                    Clue(one.factors, one.low if before else -inf, inf if before else one.high)
                    for one in self._said(table, cell)
                ]
        return clues

    def _if_nothing_moved(self) -> tuple[list[Clue], list[Clue], list[Clue]]:
        """The newest number of every cell, whatever release it is of, and the newest rates; of an old one, the people that it was of then.

        Last, those of both that no number of the last release is among.
        """
        newest: dict[tuple[str, int], tuple[bool, list[Clue]]] = {}
        for release, table, cell in self._cells():
            if cell["value"] == "secret" or cell["as_of"] != release["release"]:
                continue
            key = (table["name"] if table["kind"] == "rate" else "", self._column(table, cell))
            said = self._said(table, cell)
            if table["kind"] == "rate" and release is not self.last:
                whole = self._told(release).get(self._column(table, cell, table["of"]))
                said = [] if whole is None else [clue.of(key[1], whole) for clue in said]
            newest[key] = release is self.last, said
        nobody = [Clue(((column, 1),), 0, 0) for column in self._nobody(self.last)]
        return (
            [*nobody, *(clue for (rate, _), (_, said) in newest.items() if not rate for clue in said)],
            [clue for (rate, _), (_, said) in newest.items() if rate for clue in said],
            [*nobody, *(clue for is_new, said in newest.values() if not is_new for clue in said)],
        )

    def _told(self, release: dict[str, Any]) -> dict[int, float]:
        return _certain(self._of_its_day(release))

    # -- what it gives away

    def findings(self) -> Iterator[Finding]:
        """In the order in which they are looked for."""
        yield from self._dominated()
        today, sensitive = self._of_its_day(self.last), self.sensitive - self._nobody(self.last)
        now = self._bounds(today, sensitive)
        yield from self._levels(now, "everybody", "from this release")
        if len(self.releases) > 1:
            numbers, rates, old = self._if_nothing_moved()
            bounds = self._bounds(numbers, sensitive, rates=rates)
            # Nobody could be there on the days of the numbers of before: what those say alone is no news of it.
            stale = self._bounds(old, self._opened & bounds.keys())
            bounds = {column: bound for column, bound in bounds.items() if stale.get(column) != bound}
            why = "with the releases before, if nothing moved between them"
            yield from self._levels(bounds, "everybody", why, of_its_day=False)
        # What a release said of its own day stood the attack then: only numbers that never fall say more of it now.
        again = sensitive if any(table["grows"] for table in self.last["tables"]) else now.keys()
        for past in self.releases[:-1]:
            before = self._bounds(self._of_its_day(past), again - self._nobody(past))
            yield from self._levels(before, "everybody", "with what was published after it", past)
            yield from self._movements(before, now, past["release"])
        for reader, cells in self.knowledge.items():
            own = {self.index[cell]: count for cell, count in cells.items() if cell in self.index and count}
            bounds = self._bounds(today, self._cells_of(self.last, shown=False), own)
            yield from self._levels(bounds, reader, "of others than it told of itself")
            yield from self._dominated_together(today, reader, own)

    def _cells_of(self, release: dict[str, Any], *, shown: bool, of_its_day: bool = True) -> set[int]:
        """The cells whose number a release tells, or those of which it has a cell and no number, or none of its own day."""
        return {
            self._column(table, cell)
            for other, table, cell in self._cells()
            if other is release
            and table["kind"] in ("count", "amount")
            and shown == (cell["value"] != "secret" and not (of_its_day and cell["as_of"] != release["release"]))
        }

    def _levels(
        self,
        bounds: Mapping[int, Interval],
        reader: str,
        why: str,
        release: dict[str, Any] | None = None,
        of_its_day: bool = True,
    ) -> Iterator[Finding]:
        release = release or self.last
        withheld = self._cells_of(release, shown=False, of_its_day=of_its_day)
        shown = self._cells_of(release, shown=True, of_its_day=of_its_day)
        for column, (low, high) in bounds.items():
            if self._is_amount(column):
                # One that no table shows may be known where it is certainly that of eleven people.
                measure, inside = self.names[column]
                count = self._count_of(self.index.get((self.counts[measure], inside), -1), bounds)
                narrowed = column in withheld or (column not in shown and count[0] < self.people_min)
            else:
                narrowed = low < self.people_min
            if narrowed and not (not of_its_day and low == high == 0 and column in self._opened):
                yield self._finding(column, low, high, reader, why, release)

    def _count_of(self, column: int, bounds: Mapping[int, Interval]) -> Interval:
        """The bounds of a count; where numbers of several days contradict each other, what one sum says in which it alone is not told."""
        if column in bounds:
            return bounds[column]
        told = {cell: low for cell, (low, high) in bounds.items() if low == high}
        for clue in self.sums:
            factors = dict(clue.factors)
            if column in factors and clue.low == clue.high and told.keys() >= factors.keys() - {column}:
                rest = sum(factor * told[cell] for cell, factor in factors.items() if cell != column)
                return ((clue.low - rest) / factors[column],) * 2
        return 0, 0

    def _movements(self, before: Mapping[int, Interval], now: Mapping[int, Interval], number: int) -> Iterator[Finding]:
        """Cells of which it is certain that a few came or went between two releases."""
        for column in before.keys() & now.keys():
            if self._is_amount(column):
                continue
            low, high = now[column][0] - before[column][1], now[column][1] - before[column][0]
            if (
                (low > 0 or high < 0)
                and min(abs(low), abs(high)) < self.people_min
                and high - low < self.people_min - 1
            ):
                yield self._finding(column, low, high, "everybody", f"what it moved by since release {number}")

    def _dominated(self) -> Iterator[Finding]:
        """Amounts that are one organisation's, and those that moved though their count is not seen to have moved by eleven."""
        for release, table, cell in self._cells():
            if release is self.last and table["kind"] == "amount" and cell.get("as_of") == release["release"]:
                column = self._column(table, cell)
                for reader, cells in self.knowledge.items():
                    if cells.get(self.names[column], 0) * 100 > self.dominance * cell["value"]:
                        yield self._finding(
                            column, cell["value"], cell["value"], "everybody", f"mostly that of {reader}"
                        )
                yield from self._moved_alone(table, cell, column)

    def _dominated_together(self, clues: Sequence[Clue], reader: str, own: Mapping[int, int]) -> Iterator[Finding]:
        """Amounts withheld of which the sum is known, and is mostly that of one organisation (sdcTools/UserSupport 160)."""
        told = _certain(clues)
        withheld = self._cells_of(self.last, shown=False)
        for clue in self.sums:
            (whole, _), *parts = clue.factors
            rest = [column for column, _ in parts if column not in told]
            if whole in told and clue.low == clue.high and self._is_amount(whole) and withheld.intersection(rest):
                left = told[whole] - sum(told.get(column, 0) for column, _ in parts)
                if sum(own.get(column, 0) for column in rest) * 100 > self.dominance * left:
                    column = next(column for column in rest if column in withheld)
                    yield self._finding(
                        column, 0, left, "everybody", f"with those withheld beside it, mostly that of {reader}"
                    )

    def _moved_alone(self, table: dict[str, Any], cell: dict[str, Any], column: int) -> Iterator[Finding]:
        counts = {one["release"]: self._count_beside(one, table, cell) for one in self.releases}
        for past, other, old in self._cells():
            same = other["name"] == table["name"] and old["at"] == cell["at"]
            if past is self.last or not same or old["value"] in ("secret", cell["value"]):
                continue
            first, second = counts[old["as_of"]], counts[cell["as_of"]]
            if first is None or second is None or abs(first - second) < self.people_min:
                yield self._finding(
                    column,
                    cell["value"],
                    cell["value"],
                    "everybody",
                    f"another than in release {past['release']}, for few people",
                )

    def _count_beside(self, release: dict[str, Any], table: dict[str, Any], cell: dict[str, Any]) -> int | None:
        for other in release["tables"]:
            if (
                other["kind"] == "count"
                and other["measure"] == table["of"]
                and other["dimensions"] == table["dimensions"]
            ):
                for one in other["cells"]:
                    if one["at"] == cell["at"] and one.get("as_of") == release["release"]:
                        return int(one["value"])
        return None

    def _is_amount(self, column: int) -> bool:
        return self.kinds.get(self.names[column][0]) == "amount"

    def _finding(
        self, column: int, low: float, high: float, reader: str, why: str, release: dict[str, Any] | None = None
    ) -> Finding:
        release = release or self.last
        measure, inside = self.names[column]
        tables = [
            table["name"]
            for table in release["tables"]
            if any(self._column(table, cell) == column for cell in table["cells"])
        ]
        cell = ", ".join((measure, *(f"{name} {code}" for name, code in inside)))
        return Finding(release["release"], tables[0] if tables else "in no table", cell, low, high, reader, why)

    # -- bounds

    def _bounds(
        self,
        clues: Sequence[Clue],
        judged: Set[int],
        own: Mapping[int, int] | None = None,
        rates: Sequence[Clue] = (),
    ) -> dict[int, Interval]:
        """The judged cells that are not left open to a reader, of `own` after it subtracts that; else what is told is among them.

        Where `rates` contradict the rest they are of another day, and a reader goes by the rest.
        """
        told = [*clues, *rates]
        certain = _certain(told)
        loose = [*self.sums, *(clue for clue in told if not (len(clue.factors) == 1 and clue.low == clue.high))]
        bounds: dict[int, Interval] = {}
        if own is None:
            bounds = {column: (value, value) for column, value in certain.items() if column in judged}
        contradicted = set[int]()
        for columns, touching in parted(len(self.names), loose, certain):
            if own is None or any(column in own for column in columns):
                narrowed = Polytope(columns, touching, certain, own or {}, self.is_open).narrow(judged)
                bounds |= narrowed or {}
                contradicted.update(columns if narrowed is None else ())
        return bounds | (self._bounds(clues, judged & contradicted) if rates and contradicted else {})

    def is_open(self, column: int, low: float, high: float) -> bool:
        """Whether it may be eleven or more, and could be at least eleven numbers; of an amount, whether it is as uncertain as
        a published one leaves its largest contributor."""
        if self._is_amount(column):
            return high > 0 and high * self.dominance >= low * 100
        return high >= self.people_min and high - low + 1 >= self.people_min


def _certain(clues: Sequence[Clue]) -> dict[int, float]:
    return {clue.factors[0][0]: clue.low for clue in clues if len(clue.factors) == 1 and clue.low == clue.high}
