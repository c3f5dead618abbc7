"""The colours of the report: by day as they are drawn, by night as the page draws them anew. The PDF is always of the day."""

from __future__ import annotations

LIGHT = {
    "ground": "#ffffff",
    "sunken": "#eef3f2",
    "ink": "#10252c",
    "ink-2": "#435961",
    "line": "#d3dcdb",
    "tide": "#0b5566",
    "band": "#cfe3e4",
    "sea": "#e3edf1",
    "land": "#fbfaf6",
    "land-line": "#9fb2b4",
    "dept-line": "#35515a",
    "q1": "#d8ebe2",
    "q2": "#a9d4c9",
    "q3": "#6cb2ad",
    "q4": "#27747d",
    "q5": "#0a4656",
    "low": "#10252d",
    "high": "#fefefe",
}
DARK = {
    "ground": "#11222a",
    "sunken": "#0a161b",
    "ink": "#e7efef",
    "ink-2": "#a9bec4",
    "line": "#2c4853",
    "tide": "#7bccd3",
    "band": "#1d4450",
    "sea": "#0c1e28",
    "land": "#1c2f37",
    "land-line": "#4d6a74",
    "dept-line": "#9fb8be",
    "q1": "#1f4548",
    "q2": "#256062",
    "q3": "#317d7c",
    "q4": "#74c2b6",
    "q5": "#c1f0e2",
    "low": "#fdfdfd",
    "high": "#06222a",
}
SHADES = ("q1", "q2", "q3", "q4", "q5")
# On the two darkest shades numbers are drawn light.
STRONG_SHADE = 3
_NAMES = {value: name for name, value in LIGHT.items()}


def by_name(svg: str) -> str:
    """An SVG whose colours are those of the page that it stands in."""
    for value, name in _NAMES.items():
        svg = svg.replace(value, f"var(--{name})")
    return svg


def css(colours: dict[str, str]) -> str:
    """As declarations of a style sheet."""
    return "".join(f"--{name}:{value};" for name, value in colours.items())
