"""Early signals: months in which a territory counts more than its part of what is counted everywhere.

Pure; published counts only. A rise that all territories share is no signal of one of them. The null hypothesis is that the
territory's cases fall on months as all of them do; given both sums its counts are then multivariate hypergeometric, whatever the
season, and the threshold is exact up to a seeded simulation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import floor, log

import numpy as np

# Looked at once a month, in twelve months; a territory is given this many alerts a year by chance, at most.
LOOKS_A_YEAR = 12
FALSE_ALERTS_A_YEAR = 0.1
# Before this many months nothing is said: there is no course yet that could have changed.
MONTHS_MIN = 3
_DRAWS, _SEED = 4_999, 20_260_901
# What a single window reaches by chance twice in a hundred looks is not drawn for: the best of several reaches it more often.
_SCORE_MIN = 2.0
_YEARS_SAID_MAX = 100


@dataclass(frozen=True)
class Month:
    """A month's count in a territory, and in everything that it is compared with, itself included. None: secret."""

    code: str
    here: float | None
    everywhere: float | None


@dataclass(frozen=True)
class Signal:
    """From `since` to `until` (codes of months) `observed` were counted where `expected` were to be.

    By chance alone an alert as strong comes once in `years`, at most.
    """

    since: str
    until: str
    observed: int
    expected: float
    years: int


@dataclass(frozen=True)
class Watched:
    """What was looked at: the months with both numbers, those left out as secret, and the last alert if there is one.

    `too_few`: nothing was said, because of too few months.
    """

    months: tuple[str, ...]
    secret: tuple[str, ...]
    too_few: bool
    signal: Signal | None


def watch(months: Sequence[Month]) -> Watched:
    """Looks once after each month, as somebody would have done who watched, each time at all windows that end there."""
    known = [
        (one.code, int(one.here), int(one.everywhere))
        for one in months
        if one.here is not None and one.everywhere is not None
    ]
    secret = tuple(one.code for one in months if one.here is None or one.everywhere is None)
    codes = tuple(code for code, _, _ in known)
    if len(known) < MONTHS_MIN:
        return Watched(codes, secret, too_few=True, signal=None)
    found = None
    for last in range(MONTHS_MIN, len(known) + 1):
        found = (
            _look(codes[:last], tuple(one for _, one, _ in known[:last]), tuple(one for _, _, one in known[:last]))
            or found
        )
    return Watched(codes, secret, too_few=False, signal=found)


@lru_cache(maxsize=4096)
def _look(codes: tuple[str, ...], here: tuple[int, ...], everywhere: tuple[int, ...]) -> Signal | None:
    """The window that ends with the last month and is least like chance, if it is rare enough."""
    # A number that stayed from an older release may be more than the sum it is a part of.
    everywhere = tuple(max(pair) for pair in zip(here, everywhere, strict=True))
    total, all_of_it = sum(here), sum(everywhere)
    if not 0 < total < all_of_it:
        return None
    scores = _scores(np.array([here]), np.array(everywhere))[0]
    best = int(scores.argmax())
    if scores[best] < _SCORE_MIN:
        return None
    drawn = np.random.default_rng(_SEED).multivariate_hypergeometric(everywhere, total, size=_DRAWS, method="marginals")
    by_chance = (1 + int((_scores(drawn, np.array(everywhere)).max(axis=1) >= scores[best] - 1e-9).sum())) / (
        _DRAWS + 1
    )
    # Each look has its part of the year's false alerts (Bonferroni): together they have no more, whatever one tells of another.
    if by_chance > FALSE_ALERTS_A_YEAR / LOOKS_A_YEAR:
        return None
    since = best + 1
    expected = total * sum(everywhere[since:]) / all_of_it
    years = min(_YEARS_SAID_MAX, floor(1 / (by_chance * LOOKS_A_YEAR) + 1e-9))
    return Signal(codes[since], codes[-1], sum(here[since:]), expected, years)


def _scores(here: np.ndarray, everywhere: np.ndarray) -> np.ndarray:
    """Of each row the log likelihood ratio (Kulldorff 1997) of every window from the second month on; 0 where it is no rise."""
    total = here.sum(axis=1, keepdims=True).astype(float)
    inside = here[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:].astype(float)
    expected = total * (everywhere[::-1].cumsum()[::-1][1:] / everywhere.sum())
    outside, left = total - inside, total - expected
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(inside > 0, inside * np.log(inside / expected), 0.0) + np.where(
            outside > 0, outside * np.log(outside / left), 0.0
        )
    return np.where(inside > expected, np.nan_to_num(ratio), 0.0)


def log_likelihood_ratio(observed: float, expected: float, total: float) -> float:
    """Of one window: how much likelier it is that it counts more than its part; the plain formula, for tests and readers."""
    rest = total - observed
    return observed * log(observed / expected) + (rest * log(rest / (total - expected)) if rest else 0.0)
