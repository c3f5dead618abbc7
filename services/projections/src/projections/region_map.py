"""What the maps of the dashboards show on the outlines: classes, and numbers that do not touch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from territory import maps


@dataclass(frozen=True)
class Territory:
    """What the map shows of one intercommunality."""

    free_count: int
    structure_count: int
    stale_only: bool


def shade(territory: Territory | None) -> str:
    """CSS class of an intercommunality: five classes of free seats, hatched when only stale declarations, blank when none."""
    if territory is None:
        return ""
    if territory.free_count == 0:
        return "cs" if territory.stale_only else "c1"
    return next(name for least, name in ((16, "c5"), (10, "c4"), (5, "c3"), (1, "c2")) if territory.free_count >= least)


def rate_shade(rate: float | None) -> str:
    """CSS class of a rate of use: five classes, blank when nothing is offered."""
    if rate is None:
        return ""
    return next(
        name for least, name in ((0.6, "c5"), (0.4, "c4"), (0.2, "c3"), (0.05, "c2"), (0.0, "c1")) if rate >= least
    )


def session_shade(count: int) -> str:
    """CSS class of an intercommunality by its sessions of a month: four classes, blank when there are none."""
    return next((name for least, name in ((16, "c5"), (6, "c4"), (2, "c3"), (1, "c2")) if count >= least), "")


def labels(territories: Mapping[str, Territory]) -> list[maps.Label]:
    """The free seats of each, as numbers on the map."""
    numbers = {siren: territory.free_count for siren, territory in territories.items()}
    return maps.labels(numbers, {siren for siren, number in numbers.items() if number >= 10})
