"""A map of dots around a place, for pages: the outlines are fetched once by the browser and referred to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi.responses import Response

from territory import outlines, reference


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
