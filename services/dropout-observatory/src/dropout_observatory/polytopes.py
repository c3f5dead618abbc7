"""Everything that cells may be, given clues: the attacker's geometry. For the attacker only; it knows no release."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from math import inf

import highspy
import numpy as np
from numpy.typing import NDArray

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
        self.own = np.array([own.get(column, 0) for column in columns], dtype=float)
        # One programme that stays as it was solved last, from where the next bound is near, and one in whole numbers.
        self.relaxed, self.whole = _solver(), _solver()
        self.whole.setOptionValue("mip_max_nodes", _WHOLE_NODES_MAX)
        place = {column: number for number, column in enumerate(columns)}
        for mine in self.own:
            self.relaxed.addVar(mine, _ENDLESS + mine)
        for clue in clues:
            told = sum(factor * certain[column] for column, factor in clue.factors if column in certain)
            free = [(place[column], factor) for column, factor in clue.factors if column not in certain]
            low, high = (side if abs(side) == inf else side - told for side in (clue.low, clue.high))
            self.relaxed.addRow(low, high, len(free), [number for number, _ in free], [factor for _, factor in free])
        self.every = list(range(len(columns)))
        self.whole.passModel(self.relaxed.getModel())
        self.whole.changeColsIntegrality(len(columns), self.every, np.ones(len(columns), dtype=np.uint8))
        self.least, self.most = np.full(len(columns), inf), np.full(len(columns), -inf)

    def narrow(self, judged: Set[int]) -> dict[int, Interval] | None:
        """Those of the group that are not left open, with their bounds; None where the clues contradict each other."""
        closed = [place for place, column in enumerate(self.columns) if column in judged]
        # Many at once, for as long as that opens some: what one solution shows to be possible needs no bound of its own.
        more = True
        while closed and more:
            if not (self._extreme(closed, 1) and self._extreme(closed, -1)):
                return None
            left = [place for place in closed if not self._is_open(place)]
            more, closed = len(left) < len(closed), left
        for place in closed:
            for sense in (1, -1):
                if not self._is_open(place) and not self._extreme([place], sense):
                    return None
        return {
            self.columns[place]: (float(self.least[place]), float(self.most[place]))
            for place in closed
            if not self._is_open(place)
        }

    def _is_open(self, place: int) -> bool:
        return self.is_open(self.columns[place], self.least[place], self.most[place])

    def _extreme(self, places: Sequence[int], sense: int) -> bool:
        """The solution with the least or the most of some cells, in whole numbers if HiGHS has it in time; False if there is none."""
        costs = np.zeros(len(self.columns))
        costs[list(places)] = -1.0 * sense
        values = self._solved(self.relaxed, costs)
        if values is None:
            return False
        if (np.abs(values - np.rint(values)) > _EPSILON).any():
            whole = self._solved(self.whole, costs)
            values = values if whole is None else whole
            if self.whole.getModelStatus() == highspy.HighsModelStatus.kInfeasible:
                return False
        rest = values - self.own
        self.least = np.minimum(self.least, np.ceil(rest - _EPSILON))
        self.most = np.maximum(self.most, np.floor(rest + _EPSILON))
        return True

    def _solved(self, solver: highspy.Highs, costs: NDArray[np.float64]) -> NDArray[np.float64] | None:
        solver.changeColsCost(len(costs), self.every, costs)
        solver.run()
        if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return None
        return np.array(solver.getSolution().col_value)


def _solver() -> highspy.Highs:
    solver = highspy.Highs()  # type: ignore[no-untyped-call]  # it says nothing of its types
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    return solver
