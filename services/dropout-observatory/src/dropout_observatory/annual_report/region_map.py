"""The map of intercommunalities as one SVG: the outlines and labels of the pages' map. What is secret is hatched, never tinted as zero."""

from __future__ import annotations

from html import escape

from dropout_observatory.annual_report.palette import LIGHT, SHADES, STRONG_SHADE
from dropout_observatory.annual_report.parts import RegionMap
from dropout_observatory.indicators import shown
from dropout_observatory.release import SECRET
from territory import maps, outlines, reference

# Map units: the outlines are 2,000 wide. Below them stands the legend.
SILHOUETTE_WORDS = "La Normandie et ses cinq départements"
_WIDTH, _LEGEND_HEIGHT, _TEXT, _SMALL = 2000, 150, 36, 30


def draw(plot: RegionMap) -> str:
    """The map with its legend; every place says its name and number to whoever points at it."""
    shapes = outlines.outlines()
    known = {siren: one.value for siren, one in plot.figures.items() if one.value is not None}
    bounds = shown.bounds(list(known.values()))
    strong_from = bounds[STRONG_SHADE - 1] if len(bounds) >= STRONG_SHADE else 1_000_000
    dark = {siren for siren, value in known.items() if value >= strong_from}
    places = "".join(_place(siren, plot, bounds) for siren in shapes.epcis)
    borders = "".join(
        f'<path d="{outlines.path(shape)}" fill="none" stroke="{LIGHT["dept-line"]}" stroke-width="5"/>'
        for shape in shapes.departments.values()
    )
    names = plot.old or {siren: title for siren, title in maps.SHORT_NAMES.items() if siren in known}
    labels = maps.labels({siren: round(value) for siren, value in known.items()}, dark, names)
    height = shapes.height + _LEGEND_HEIGHT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"><defs><pattern id="secret" width="22" height="22" '
        f'patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="22" height="22" fill="{LIGHT["land"]}"/>'
        f'<path d="M0 0V22" stroke="{LIGHT["land-line"]}" stroke-width="9"/></pattern></defs>'
        f"{places}{borders}{''.join(map(_label, labels))}{_legend(bounds, shapes.height, any(one.value is None for one in plot.figures.values()))}</svg>"
    )


def silhouette() -> str:
    """The departments as white lines, for the first page."""
    shapes = outlines.outlines()
    paths = "".join(f'<path d="{outlines.path(shape)}"/>' for shape in shapes.departments.values())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {shapes.height}" role="img"><title>{SILHOUETTE_WORDS}</title>'
        f'<g fill="#ffffff" fill-opacity="0.08" stroke="#ffffff" stroke-opacity="0.5" stroke-width="4">{paths}</g></svg>'
    )


def _place(siren: str, plot: RegionMap, bounds: list[int]) -> str:
    figure = plot.figures.get(siren)
    title = reference.epcis()[siren].title if siren in reference.epcis() else siren
    if figure is None:
        fill, said = LIGHT["land"], "hors du relevé"
    elif figure.value is None:
        fill, said = "url(#secret)", SECRET
    else:
        value = figure.value
        fill, said = LIGHT[SHADES[sum(value >= bound for bound in bounds)]], f"{shown.number(value)} {plot.unit}"
        said += f", du relevé {plot.old[siren]}" if siren in plot.old else ""
    path = outlines.path(outlines.outlines().epcis[siren])
    return f'<path d="{path}" fill="{fill}" stroke="{LIGHT["land-line"]}" stroke-width="3"><title>{escape(title)} : {said}</title></path>'


def _label(one: maps.Label) -> str:
    colour = LIGHT["high" if one.strong else "low"]
    said = f'<text x="{one.x}" y="{one.y + 13}" font-size="{_TEXT}" font-weight="700" text-anchor="middle" fill="{colour}">{one.text}</text>'
    # The name of a town is wider than its intercommunality.
    halo = (
        f' stroke="{LIGHT["q5"]}" stroke-width="8" stroke-linejoin="round" paint-order="stroke"' if one.strong else ""
    )
    if one.name:
        said += f'<text x="{one.x}" y="{one.y + 44}" font-size="{_SMALL}" text-anchor="middle" fill="{colour}"{halo}>{escape(one.name)}</text>'
    return said


def _legend(bounds: list[int], top: int, secret: bool) -> str:
    items = [(LIGHT[shade], words) for shade, words in zip(SHADES, shown.classes(bounds), strict=False)]
    items += [("url(#secret)", SECRET)] if secret else []
    width = (_WIDTH - 100) / max(5, len(items))
    return "".join(
        f'<rect x="{50 + place * width:.0f}" y="{top + 40}" width="56" height="44" fill="{fill}" stroke="{LIGHT["land-line"]}" stroke-width="3"/>'
        f'<text x="{118 + place * width:.0f}" y="{top + 75}" font-size="{_TEXT}" fill="{LIGHT["ink"]}">{words}</text>'
        for place, (fill, words) in enumerate(items)
    )
