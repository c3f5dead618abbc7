"""What the map of the board shows on the outlines: classes of free seats, numbers and names that do not touch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from territory.outlines import Point, heart, outlines

# Two numbers closer than this (map units) would touch on a desktop; on a phone, twice that.
_CLEAR_X, _CLEAR_Y, _PHONE = 52.0, 39.0, 2.1
_SHORT_NAMES = {
    "200023414": "Rouen",
    "200065597": "Caen",
    "200084952": "Le Havre",
    "200067205": "Cherbourg",
    "200071454": "Évreux",
    "246100663": "Alençon",
    "247600786": "Dieppe",
    "200066389": "Saint-Lô",
    "200069532": "Lisieux",
}


@dataclass(frozen=True)
class Territory:
    """What the map shows of one intercommunality."""

    free_count: int
    structure_count: int
    stale_only: bool


@dataclass(frozen=True)
class Label:
    """A number on the map, with a town's name below it; `minor` ones are left out on a phone, where they would touch."""

    x: int
    y: int
    text: str
    strong: bool
    minor: bool
    name: str
    name_minor: bool


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


def labels(territories: Mapping[str, Territory]) -> list[Label]:
    """Numbers stand in their territory, the greatest first, names below the largest towns; what would touch stays in the table."""
    shown = [
        (siren, territory.free_count)
        for siren, territory in territories.items()
        if territory.free_count and siren in outlines().epcis
    ]
    placed: list[Point] = []
    found: list[Label] = []
    for siren, free_count in sorted(shown, key=lambda item: (-item[1], item[0])):
        x, y = heart(siren)
        if not _clear(placed, x, y, 1):
            continue
        name = _SHORT_NAMES.get(siren, "")
        named = bool(name) and _clear(placed, x, y + _CLEAR_Y, 1.5)
        found.append(
            Label(
                round(x),
                round(y),
                str(free_count),
                free_count > 9,
                not _clear(placed, x, y, _PHONE),
                name if named else "",
                False,
            )
        )
        placed += [(x, y), (x, y + _CLEAR_Y)] if named else [(x, y)]
    return [
        replace(
            label,
            name_minor=not _clear(
                [(o.x, o.y) for o in found if o is not label], label.x, label.y + _CLEAR_Y, 1.5 * _PHONE
            ),
        )
        for label in found
    ]


def _clear(placed: list[Point], x: float, y: float, factor: float) -> bool:
    """Whether a label here would touch none of those placed."""
    return all(abs(x - px) > _CLEAR_X * factor or abs(y - py) > _CLEAR_Y * factor for px, py in placed)
