"""Outlines of the region, its departments and its 71 intercommunalities, drawn once into a cached SVG.

Map units: Lambert-93 scaled to a width of 2000, north up.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from territory import reference

Point = tuple[float, float]
Ring = list[Point]
Shape = list[Ring]  # outer rings only: no Norman intercommunality has a hole

_WIDTH, _MARGIN = 2000, 90


def _lambert_93(longitude: float, latitude: float) -> Point:
    """Lambert-93 in metres (IGN, NTG 71): the projection French readers know the region in."""
    n, c, xs, ys, origin, eccentricity = (
        0.7256077650,
        11754255.426,
        700000.0,
        12655612.050,
        math.radians(3),
        0.08181919106,
    )
    phi = math.radians(latitude)
    sine = eccentricity * math.sin(phi)
    isometric = math.log(math.tan(math.pi / 4 + phi / 2) * ((1 - sine) / (1 + sine)) ** (eccentricity / 2))
    radius, angle = c * math.exp(-n * isometric), n * (math.radians(longitude) - origin)
    return xs + radius * math.sin(angle), ys - radius * math.cos(angle)


def _read(name: str, key: str) -> dict[str, Shape]:
    shapes: dict[str, Shape] = {}
    for feature in json.loads(reference.contours(name).read_text())["features"]:
        geometry = feature["geometry"]
        polygons = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
        shapes[str(feature["properties"][key])] = [
            [_lambert_93(*point[:2]) for point in polygon[0]] for polygon in polygons
        ]
    return shapes


@dataclass(frozen=True)
class Outlines:
    """All shapes in map units, the height of the map, and what brings a projected point into it."""

    epcis: dict[str, Shape]
    departments: dict[str, Shape]
    height: int
    left: float
    top: float
    scale: float

    def place(self, commune: reference.Commune) -> tuple[int, int]:
        """Where a commune stands on the map."""
        x, y = _lambert_93(commune.longitude, commune.latitude)
        return round(_MARGIN + (x - self.left) * self.scale), round(_MARGIN + (self.top - y) * self.scale)


@cache
def outlines() -> Outlines:
    """Reads and projects the contours once per process."""
    epcis, departments = _read("epci", "epci"), _read("departments", "code")
    points = [point for shape in epcis.values() for ring in shape for point in ring]
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    bottom, top = min(y for _, y in points), max(y for _, y in points)
    scale = (_WIDTH - 2 * _MARGIN) / (right - left)

    def scaled(shapes: dict[str, Shape]) -> dict[str, Shape]:
        return {
            key: [[(_MARGIN + (x - left) * scale, _MARGIN + (top - y) * scale) for x, y in ring] for ring in shape]
            for key, shape in shapes.items()
        }

    height = round((top - bottom) * scale + 2 * _MARGIN)
    return Outlines(scaled(epcis), scaled(departments), height, left, top, scale)


def path(shape: Shape) -> str:
    """Whole-unit relative path: 71 outlines in about 40 kB."""
    out = []
    for ring in shape:
        parts: list[str] = []
        last: tuple[int, int] | None = None
        for x, y in ring:
            here = round(x), round(y)
            if last is None:
                parts.append(f"M{here[0]} {here[1]}")
            elif here != last:
                parts.append(f"l{here[0] - last[0]} {here[1] - last[1]}")
            last = here
        if len(parts) > 3:
            out.append("".join(parts) + "z")
    return "".join(out)


@cache
def svg() -> str:
    """The SVG that holds the outlines; pages refer to it with `<use>`, so a browser fetches it once."""
    shapes = outlines()
    paths = [
        f'<path id="e{key}" vector-effect="non-scaling-stroke" d="{path(shape)}"/>'
        for key, shape in shapes.epcis.items()
    ]
    paths += [
        f'<path id="d{key}" vector-effect="non-scaling-stroke" d="{path(shape)}"/>'
        for key, shape in shapes.departments.items()
    ]
    coast = "".join(path(shape) for shape in shapes.departments.values())
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {shapes.height}"><path id="coast" d="{coast}"/>{"".join(paths)}</svg>'


@cache
def version() -> str:
    """Changes when the outlines do; part of their address, so that it can be cached for ever."""
    return hashlib.sha256(svg().encode()).hexdigest()[:12]


@cache
def heart(siren: str) -> Point:
    """A point well inside the largest outline, where a number can stand."""
    ring = max(outlines().epcis[siren], key=len)
    xs, ys = [x for x, _ in ring], [y for _, y in ring]

    def inside(x: float, y: float) -> bool:
        odd = False
        for (ax, ay), (bx, by) in pairwise(ring):
            if (ay > y) != (by > y) and x < (bx - ax) * (y - ay) / (by - ay) + ax:
                odd = not odd
        return odd

    candidates = [
        (min(xs) + (max(xs) - min(xs)) * i / 18, min(ys) + (max(ys) - min(ys)) * j / 18)
        for i in range(1, 18)
        for j in range(1, 18)
    ]
    return max((p for p in candidates if inside(*p)), key=lambda p: min(math.dist(p, corner) for corner in ring))


def view_box(territory: str) -> str:
    """The whole region, or the box around one department or intercommunality, three by two."""
    shapes = outlines()
    shape = shapes.departments.get(territory) or shapes.epcis.get(territory)
    if shape is None:
        return f"0 0 {_WIDTH} {shapes.height}"
    air = 1.1 if territory in shapes.departments else 2.2
    xs, ys = [x for ring in shape for x, _ in ring], [y for ring in shape for _, y in ring]
    width = max((max(xs) - min(xs)) * air, (max(ys) - min(ys)) * air * 1.5)
    return f"{(max(xs) + min(xs) - width) / 2:.0f} {(max(ys) + min(ys) - width / 1.5) / 2:.0f} {width:.0f} {width / 1.5:.0f}"
