"""Observed against expected: what a place would count if each class of it counted as often as in the whole Region.

Pure; published counts only. It says what a context explains, not who does well: whoever shows it ranks nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import exp, lgamma, log

_TAIL = 0.025
# Halving an interval so often leaves less of it than a double can tell.
_HALVINGS = 200


@dataclass(frozen=True)
class Ratio:
    """Observed over expected, and what holds it 19 times out of 20 if counts vary by chance alone (Poisson, exact)."""

    observed: int
    expected: float
    low: float
    high: float

    @property
    def value(self) -> float:
        """1 is as many as expected."""
        return self.observed / self.expected

    @property
    def differs(self) -> bool:
        """Whether chance alone would rarely do."""
        return not self.low <= 1 <= self.high


def expected_count(
    region: Mapping[str, float | None], region_of: Mapping[str, float | None], here_of: Mapping[str, float | None]
) -> float | None:
    """Indirect standardisation: of each class the Region's cases per pupil, times the pupils here. None where a number is secret."""
    total = 0.0
    for name, here in here_of.items():
        cases, pupils = region.get(name), region_of.get(name)
        if here == 0:
            continue
        if here is None or cases is None or not pupils:
            return None
        total += here * cases / pupils
    return total


def ratio(observed: float | None, expected: float | None) -> Ratio | None:
    """None where the observed count is secret, or nothing is expected."""
    if observed is None or not expected:
        return None
    low, high = poisson_limits(int(observed))
    return Ratio(int(observed), expected, low / expected, high / expected)


def poisson_limits(count: int) -> tuple[float, float]:
    """The exact 95 % limits of a Poisson mean of which `count` were seen (Garwood 1936)."""
    top = count + 10 + 10 * (count + 1) ** 0.5
    low = 0.0 if count == 0 else _solve(lambda mean: 1 - _at_most(count - 1, mean), _TAIL, top)
    return low, _solve(lambda mean: -_at_most(count, mean), -_TAIL, top)


def _solve(rising: Callable[[float], float], level: float, top: float) -> float:
    bottom = 0.0
    for _ in range(_HALVINGS):
        middle = (bottom + top) / 2
        bottom, top = (middle, top) if rising(middle) < level else (bottom, middle)
    return (bottom + top) / 2


def _at_most(count: int, mean: float) -> float:
    """The chance that a Poisson variable is at most `count`."""
    if mean <= 0:
        return 1.0
    return min(1.0, sum(exp(k * log(mean) - mean - lgamma(k + 1)) for k in range(count + 1)))
