"""How long until something happens, from counts by class of time with those to whom it has not happened yet: the actuarial life table.

Pure; reads published counts only, so that what it finds has no secret of its own. A mean of those to whom it has happened would
flatter: who waits longest is not among them yet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, inf, isinf, log, sqrt
from statistics import NormalDist

_Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Span:
    """A class of time, its ends in one unit, the last one without: to how many it happened in it, how many were last seen in it without.

    None: the number is secret.
    """

    first: float
    after: float
    happened: float | None
    left: float | None


@dataclass(frozen=True)
class Point:
    """What share is still without at a time, and between which shares that lies 19 times out of 20."""

    at: float
    share: float
    low: float
    high: float
    error: float


@dataclass(frozen=True)
class Quantile:
    """By when it has happened to a share of everybody. None: not by the end of what is known.

    `low` and `high` hold it 19 times out of 20 (Brookmeyer and Crowley, with log-log limits); `high` None: no upper end is known.
    """

    share: float
    at: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class LifeTable:
    """Everybody at the start, the curve from 1 down, and up to when it is known; `until` ends before a class with a secret number."""

    people: int
    points: tuple[Point, ...]
    secret_from: float | None

    @property
    def until(self) -> float:
        """Up to when the curve is known."""
        return self.points[-1].at

    def quantile(self, share: float) -> Quantile | None:
        """By when it has happened to `share` of them, straight between two points; None where secret numbers stand before it."""
        remaining = 1 - share
        at = _crossing(self.points, remaining, lambda point: point.share)
        if at is None and self.secret_from is not None:
            return None
        low = _crossing(self.points, remaining, lambda point: point.low)
        return Quantile(share, at, low, _crossing(self.points, remaining, lambda point: point.high))


def life_table(people: float | None, spans: Sequence[Span]) -> LifeTable | None:
    """The table of `people`, classes in order; None where their number is secret, or there is nobody.

    Who was last seen in a class counts half in it (Cutler and Ederer 1958); errors are Greenwood's; of the class without an end
    nothing can be said. Who is not in any class is with those of the last.
    """
    if not people:
        return None
    at_risk, share, spread, points = float(people), 1.0, 0.0, [Point(spans[0].first, 1.0, 1.0, 1.0, 0.0)]
    for span in spans:
        if isinf(span.after):
            break
        if span.happened is None or span.left is None:
            return LifeTable(int(people), tuple(points), span.first)
        exposed = at_risk - span.left / 2
        # Numbers of several releases may not add up: nobody is left, and nothing more is said.
        if exposed <= 0:
            break
        risk = min(1.0, span.happened / exposed)
        share *= 1 - risk
        spread = spread + risk / (exposed * (1 - risk)) if risk < 1 else inf
        at_risk -= span.happened + span.left
        points.append(_point(span.after, share, spread))
    return LifeTable(int(people), tuple(points), None)


def _point(at: float, share: float, spread: float) -> Point:
    """`spread` is the sum of Greenwood's formula; the limits are those of log(-log(share)), which stay between 0 and 1."""
    if share <= 0:
        return Point(at, 0.0, 0.0, 0.0, 0.0)
    error = share * sqrt(spread)
    if share >= 1:
        return Point(at, 1.0, 1.0, 1.0, 0.0)
    width = _Z * sqrt(spread) / -log(share)
    return Point(at, share, share ** exp(width), share ** exp(-width), error)


def _crossing(points: Sequence[Point], level: float, of: Callable[[Point], float]) -> float | None:
    """When a falling curve first reaches a level; None where it does not."""
    for before, after in pairwise(points):
        high, low = of(before), of(after)
        if low <= level:
            return after.at if high <= low else before.at + (after.at - before.at) * (high - level) / (high - low)
    return None
