"""Maps for pages: of dots around a place, of numbers by intercommunality. The outlines are fetched once by the browser and referred to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from fastapi.responses import Response

from territory import outlines, reference
from territory.outlines import Point, heart

# Two numbers closer than this (map units) would touch on a desktop; on a phone, twice that.
_CLEAR_X, _CLEAR_Y, _PHONE = 52.0, 39.0, 2.1
SHORT_NAMES = {
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
class Label:
    """A number on a map, with a town's name below it; `minor` ones are left out on a phone, where they would touch."""

    x: int
    y: int
    text: str
    strong: bool
    minor: bool
    name: str
    name_minor: bool


def labels(numbers: Mapping[str, int], dark: Set[str], below: Mapping[str, str] | None = None) -> list[Label]:
    """Numbers stand in their intercommunality (SIREN), the greatest first, below them the names of towns, or what `below` says.

    What would touch stays in the table. `dark`: where the ground is.
    """
    names = SHORT_NAMES if below is None else below
    shown = [(siren, number) for siren, number in numbers.items() if number and siren in outlines.outlines().epcis]
    placed: list[Point] = []
    found: list[Label] = []
    for siren, number in sorted(shown, key=lambda item: (-item[1], item[0])):
        x, y = heart(siren)
        if not _clear(placed, x, y, 1):
            continue
        name = names.get(siren, "")
        named = bool(name) and _clear(placed, x, y + _CLEAR_Y, 1.5)
        minor = not _clear(placed, x, y, _PHONE)
        town = name if named else ""
        found.append(Label(round(x), round(y), str(number), siren in dark, minor, town, False))
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


def marks(sirens: Sequence[str], beside: Sequence[Label], dark: Set[str]) -> list[tuple[int, int, bool, bool]]:
    """Where a small sign stands in each of these intercommunalities, if it touches nothing; whether it would on a phone, and is on a dark ground."""
    placed: list[Point] = [(label.x, label.y + below) for label in beside for below in (0.0, _CLEAR_Y)]
    found: list[tuple[int, int, bool, bool]] = []
    for siren in sirens:
        x, y = heart(siren)
        if _clear(placed, x, y, 0.7):
            found.append((round(x), round(y), not _clear(placed, x, y, 0.7 * _PHONE), siren in dark))
            placed.append((x, y))
    return found


def _clear(placed: list[Point], x: float, y: float, factor: float) -> bool:
    """Whether a label here would touch none of those placed."""
    return all(abs(x - px) > _CLEAR_X * factor or abs(y - py) > _CLEAR_Y * factor for px, py in placed)


@cache
def epcis_by_department() -> dict[str, list[tuple[str, str]]]:
    """Title and SIREN of the intercommunalities, each in the department where most of its people live."""
    found: dict[str, set[tuple[str, str]]] = {code: set() for code in reference.departments()}
    heaviest: dict[str, dict[str, int]] = {}
    for commune in reference.communes().values():
        weight = heaviest.setdefault(commune.epci_siren, {})
        weight[commune.department_code] = weight.get(commune.department_code, 0) + commune.population
    for siren, weight in heaviest.items():
        if siren in reference.epcis():
            found[max(weight, key=lambda code: weight[code])].add((reference.epcis()[siren].title, siren))
    return {code: sorted(members) for code, members in found.items()}


def region(territory: str) -> dict[str, Any]:
    """What `region.html` needs of a page that has the map of intercommunalities and lets one choose a territory."""
    found = {
        "departments": reference.departments(),
        "epcis": epcis_by_department(),
        "outlines": outlines.outlines(),
        "map_address": f"/map.svg?v={outlines.version()}",
        "view_box": outlines.view_box(territory),
        "epci_titles": {siren: epci.title for siren, epci in reference.epcis().items()},
    }
    # As names of the page, and whole for the macros.
    return {**found, "facts": found}


def around(counts: Mapping[str, int], home: str, radius_km: float) -> dict[str, Any]:
    """What `map.html` draws: a dot with its count in each commune, and a circle of a radius around one, if any."""
    shapes, communes = outlines.outlines(), reference.communes()
    dots = [
        {"x": x, "y": y, "count": count, "title": communes[code].title}
        for code, count in sorted(counts.items(), key=lambda item: item[1])
        if code in communes
        for x, y in [shapes.place(communes[code])]
    ]
    centre = shapes.place(communes[home]) if home else None
    radius = radius_km * 1000 * shapes.scale
    return {
        "address": f"/map.svg?v={outlines.version()}",
        "box": _box(centre, radius) if centre else outlines.view_box(""),
        "departments": list(shapes.departments),
        "epcis": list(shapes.epcis),
        "dots": dots,
        "home": centre,
        "radius": round(radius) if centre else 0,
    }


def _box(centre: tuple[int, int], radius: float) -> str:
    """A view box, three by two, that shows a circle whole."""
    height = radius * 2.3
    return f"{centre[0] - height * 0.75:.0f} {centre[1] - height / 2:.0f} {height * 1.5:.0f} {height:.0f}"


async def outlines_svg() -> Response:
    """`/map.svg`: every outline; its address changes when they do."""
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(outlines.svg(), media_type="image/svg+xml", headers=headers)
