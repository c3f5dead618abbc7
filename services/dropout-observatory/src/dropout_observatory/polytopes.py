"""Everything that cells may be, given clues: the attacker's geometry. For the attacker only; it knows no release."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from math import ceil, floor, inf

import highspy
import numpy as np

Interval = tuple[float, float]

# Far above every number of a release: reaching it means that there is no bound.
_ENDLESS = 1e6
_EPSILON = 1e-6
# For one bound in whole numbers. After so many nodes the bound of the relaxation counts, which is a true one, only perhaps wider.
_WHOLE_NODES_MAX = 200


@dataclass(frozen=True)
class Clue:
    """Σ factor × cell lies in the interval."""

    factors: tuple[tuple[int, float], ...]
    low: float
    high: float

    def of(self, column: int, rest: float) -> Clue:
        """What it says of one cell where the other is known."""
        own = dict(self.factors)[column]
        told = sum(factor for other, factor in self.factors if other != column) * rest
        return Clue(((column, own),), self.low - told, self.high - told)


def parted(size: int, clues: Sequence[Clue], certain: Mapping[int, float]) -> Iterator[tuple[list[int], list[Clue]]]:
    """The cells that are not certain, in groups which have no clue in common."""
    of_column: list[list[int]] = [[] for _ in range(size)]
    for number, clue in enumerate(clues):
        for column, _ in clue.factors:
            if column not in certain:
                of_column[column].append(number)
    seen_columns, seen_clues = set(certain), set[int]()
    for start in range(size):
        if start in seen_columns:
            continue
        seen_columns.add(start)
        group, touching, waiting = [], [], [start]
        while waiting:
            column = waiting.pop()
            group.append(column)
            for number in of_column[column]:
                if number in seen_clues:
                    continue
                seen_clues.add(number)
                touching.append(clues[number])
                for other, _ in clues[number].factors:
                    if other not in seen_columns:
                        seen_columns.add(other)
                        waiting.append(other)
        yield sorted(group), touching


class Polytope:
    """Everything that a group of cells may be, given the clues. With `own`, of what others told of."""

    def __init__(
        self,
        columns: Sequence[int],
        clues: Sequence[Clue],
        certain: Mapping[int, float],
        own: Mapping[int, int],
        is_open: Callable[[int, float, float], bool],
    ) -> None:
        self.columns, self.is_open = columns, is_open
        self.own = [own.get(column, 0) for column in columns]
        self.highs = highspy.Highs()  # type: ignore[no-untyped-call]  # it says nothing of its types
        self.highs.setOptionValue("output_flag", False)
        self.highs.setOptionValue("threads", 1)
        self.highs.setOptionValue("mip_max_nodes", _WHOLE_NODES_MAX)
        place = {column: number for number, column in enumerate(columns)}
        for mine in self.own:
            self.highs.addVar(mine, _ENDLESS + mine)
        for clue in clues:
            told = sum(factor * certain[column] for column, factor in clue.factors if column in certain)
            free = [(place[column], factor) for column, factor in clue.factors if column not in certain]
            low, high = (side if abs(side) == inf else side - told for side in (clue.low, clue.high))
            self.highs.addRow(low, high, len(free), [number for number, _ in free], [factor for _, factor in free])
        self.least, self.most = [inf] * len(columns), [-inf] * len(columns)

    def narrow(self, judged: Set[int]) -> dict[int, Interval]:
        """Those of the group that are not left open, with their bounds; nothing where the clues contradict each other."""
        wanted = [place for place, column in enumerate(self.columns) if column in judged]
        # Many at once first: what one solution shows to be possible needs no bound of its own.
        for sense in (1, -1):
            if not self._extreme(wanted, sense):
                return {}
        found = {}
        for place in wanted:
            for sense in (1, -1):
                if not self._is_open(place) and not self._extreme([place], sense):
                    return {}
            if not self._is_open(place):
                found[self.columns[place]] = self.least[place], self.most[place]
        return found

    def _is_open(self, place: int) -> bool:
        return self.is_open(self.columns[place], self.least[place], self.most[place])

    def _extreme(self, places: Sequence[int], sense: int) -> bool:
        """The solution with the least or the most of some cells, in whole numbers if HiGHS has it in time."""
        size = len(self.columns)
        costs = [0.0] * size
        for place in places:
            costs[place] = -1.0 * sense
        every = list(range(size))
        self.highs.changeColsCost(size, every, costs)
        self.highs.run()
        values = self._values()
        if values is None:
            return False
        if any(abs(value - round(value)) > _EPSILON for value in values):
            self.highs.changeColsIntegrality(size, every, np.ones(size, dtype=np.uint8))
            self.highs.run()
            impossible = self.highs.getModelStatus() == highspy.HighsModelStatus.kInfeasible
            values = self._values() or values
            self.highs.changeColsIntegrality(size, every, np.zeros(size, dtype=np.uint8))
            if impossible:
                return False
        for place, value in enumerate(values):
            rest = value - self.own[place]
            self.least[place] = min(self.least[place], ceil(rest - _EPSILON))
            self.most[place] = max(self.most[place], floor(rest + _EPSILON))
        return True

    def _values(self) -> list[float] | None:
        if self.highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return None
        return list(self.highs.getSolution().col_value)
