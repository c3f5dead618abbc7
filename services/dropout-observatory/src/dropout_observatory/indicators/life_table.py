"""How long until something happens, from counts by class of time with those to whom it has not happened yet: the actuarial life table.

Pure; reads published counts only, so that what it finds has no secret of its own. A mean of those to whom it has happened would
flatter: who waits longest is not among them yet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile
from math import exp, inf, isinf, log, sqrt
from statistics import NormalDist

_Z = NormalDist().inv_cdf(0.975)
# What secret numbers may leave open of a share of people.
_OPEN_MAX = 0.05


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
    """What share is still without at a time, and between which shares that lies 19 times out of 20.

    Secret numbers may leave the share open; it is the middle then, and `low` and `high` are those of its two ends.
    """

    at: float
    share: float
    low: float
    high: float
    error: float


@dataclass(frozen=True)
class Quantile:
    """By when it has happened to a share of everybody. None: not by the end of what is known.

    `within`: how far to either side of `at` it may lie, as secret numbers leave it open; 0 where it needs none of them.
    `low` and `high` hold it 19 times out of 20 (Brookmeyer and Crowley, with log-log limits); `high` None: no upper end is known.
    """

    share: float
    at: float | None
    low: float | None
    high: float | None
    within: float = 0

    @property
    def near(self) -> bool:
        """Whether secret numbers leave it open by more than is seen in a number of one decimal."""
        return self.within >= 0.05


@dataclass(frozen=True)
class LifeTable:
    """Everybody at the start, the curve from 1 down, and up to when it is known: secret numbers leave too much open from `secret_from` on.

    Whatever they are, the curve lies between `fastest` and `slowest`.
    """

    people: int
    points: tuple[Point, ...]
    secret_from: float | None
    fastest: tuple[Point, ...]
    slowest: tuple[Point, ...]

    @property
    def until(self) -> float:
        """Up to when the curve is known."""
        return self.points[-1].at

    def quantile(self, share: float) -> Quantile | None:
        """By when it has happened to `share` of them, straight between two points.

        None where more of the interval would be due to secret numbers than to chance.
        """
        remaining = 1 - share
        first = _crossing(self.fastest, remaining, lambda point: point.share)
        last = _crossing(self.slowest, remaining, lambda point: point.share)
        low = _crossing(self.fastest, remaining, lambda point: point.low)
        high = _crossing(self.slowest, remaining, lambda point: point.high)
        if first is None and last is None and self.secret_from is None:
            return Quantile(share, None, low, high)
        if first is None or last is None:
            return None
        within = (last - first) / 2
        if within and (low is None or high is None or 4 * within > high - low):
            return None
        return Quantile(share, first + within, low, high, within)


def life_table(
    people: float | None, spans: Sequence[Span], hidden_happened: float | None = None, hidden_left: float | None = None
) -> LifeTable | None:
    """The table of `people`, classes in order; None where their number is secret, or there is nobody.

    `hidden_happened` and `hidden_left`: how many the secret numbers of each kind are together, none: it is not known.
    Who was last seen in a class counts half in it (Cutler and Ederer 1958); errors are Greenwood's; of the class without an end
    nothing can be said. Who is not in any class is with those of the last.
    """
    if not people:
        return None
    happened, left = (people if one is None else one for one in (hidden_happened, hidden_left))
    slowest = _curve(people, spans, 0, 0)
    fastest = _curve(people, spans, happened, left)
    near = list(takewhile(lambda pair: pair[1].share - pair[0].share <= _OPEN_MAX, zip(fastest, slowest, strict=False)))
    points = tuple(Point(a.at, (a.share + b.share) / 2, a.low, b.high, max(a.error, b.error)) for a, b in near)
    secret_from = points[-1].at if len(points) < len(slowest) else None
    return LifeTable(int(people), points, secret_from, fastest, slowest)


def _curve(people: float, spans: Sequence[Span], happened: float, left: float) -> tuple[Point, ...]:
    """The curve if each secret number is all of `happened` or of `left`, and those who are in one are gone after the first that may have them."""
    at_risk, share, spread, points = people, 1.0, 0.0, [Point(spans[0].first, 1.0, 1.0, 1.0, 0.0)]
    gone_happened, gone_left = 0.0, 0.0
    for span in spans:
        if isinf(span.after):
            break
        exposed = at_risk - gone_happened - gone_left - (left if span.left is None else span.left) / 2
        # Nobody is left, and nothing more is said.
        if exposed <= 0:
            break
        risk = min(1.0, (happened if span.happened is None else span.happened) / exposed)
        share *= 1 - risk
        spread = spread + risk / (exposed * (1 - risk)) if risk < 1 else inf
        at_risk -= (span.happened or 0) + (span.left or 0)
        gone_happened = happened if span.happened is None else gone_happened
        gone_left = left if span.left is None else gone_left
        points.append(_point(span.after, share, spread))
    return tuple(points)


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
