"""Plots as SVG by matplotlib, which nothing else imports: not the service, nor what only reads a report.

Everything is placed in inches of one plane, texts on their baseline: no font of the machine moves anything.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dropout_observatory.annual_report.palette import LIGHT
from dropout_observatory.annual_report.parts import Bars, Cell, Columns, Curve, Limits, Number, Plot, RegionMap, Scales
from dropout_observatory.annual_report.region_map import draw as draw_map
from dropout_observatory.indicators.shown import number
from dropout_observatory.release import SECRET

_WIDTH, _LABELS, _NUMBERS = 6.2, 2.6, 0.8
# As tall as a page leaves room for.
_TALL = 4.6
_ROW, _ROW_MAX, _SECRET_LENGTH = 0.4, 0.75, 0.5
_SHORT_MONTHS = {
    "septembre": "sept.",
    "octobre": "oct.",
    "novembre": "nov.",
    "décembre": "déc.",
    "janvier": "janv.",
    "février": "févr.",
    "avril": "avr.",
    "juillet": "juil.",
}
_STYLE: Any = {
    "svg.fonttype": "none",
    # Identifiers are hashes of what they name, not random.
    "svg.hashsalt": "estuaire",
    "font.family": ["DejaVu Sans"],
    "font.size": 11,
    "hatch.linewidth": 1.2,
    "path.simplify": False,
}


def draw(plot: Plot) -> str:
    """The SVG of a plot, from its root element on."""
    match plot:
        case RegionMap():
            return draw_map(plot)
        case Bars():
            return _drawn(0.12 + _row(plot.items) * len(plot.items), lambda axes: _bars(axes, plot))
        case Columns():
            return _drawn(_TALL, lambda axes: _columns(axes, plot))
        case Curve():
            return _drawn(_TALL, lambda axes: _curve(axes, plot))
        case Limits():
            return _drawn(0.6 + _row(plot.items) * len(plot.items), lambda axes: _limits(axes, plot))
        case Scales():
            return _drawn(1.55 * len(plot.references.references), lambda axes: _scales(axes, plot))


def _drawn(height: float, paint: Callable[[Axes], None]) -> str:
    with _plane(height) as (figure, axes):
        paint(axes)
        out = io.BytesIO()
        figure.savefig(
            out, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    text = out.getvalue().decode()
    return text[text.index("<svg") :]


@contextmanager
def _plane(height: float) -> Iterator[tuple[Figure, Axes]]:
    """Inches from the upper left."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, height))
        FigureCanvasSVG(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, _WIDTH)
        axes.set_ylim(height, 0)
        yield figure, axes


def _say(axes: Axes, x: float, y: float, text: str, colour: str = "ink", **how: Any) -> None:
    axes.text(x, y, text, color=LIGHT[colour], va="baseline", **how)


def _line(
    axes: Axes, xs: tuple[float, ...], ys: tuple[float, ...], colour: str, width: float = 1.0, **how: Any
) -> None:
    axes.plot(xs, ys, color=LIGHT[colour], linewidth=width, **how)


def _bar(axes: Axes, x: float, y: float, width: float, height: float) -> None:
    axes.add_patch(Rectangle((x, y), width, height, facecolor=LIGHT["tide"], linewidth=0))


def _hidden(axes: Axes, x: float, y: float, width: float, height: float) -> None:
    """Of a size that tells nothing."""
    axes.add_patch(
        Rectangle((x, y), width, height, facecolor="none", edgecolor=LIGHT["land-line"], linewidth=0.8, hatch="/////")
    )


def _row(items: Sequence[object]) -> float:
    """How tall a line is: few of them have more air."""
    return max(_ROW, min(_ROW_MAX, _TALL / max(1, len(items))))


def _most(items: tuple[tuple[str, Cell], ...]) -> float:
    return max((one.value for _, one in items if isinstance(one, Number)), default=0.0) or 1.0


def _bars(axes: Axes, plot: Bars) -> None:
    full, room = plot.full or _most(plot.items), _WIDTH - _LABELS - _NUMBERS
    row = _row(plot.items)
    for place, (label, one) in enumerate(plot.items):
        top, thick = 0.06 + place * row, row * 0.62
        words = top + row / 2 + 0.055
        _say(axes, 0.03, words, label)
        if isinstance(one, Number):
            length = room * one.value / full
            _bar(axes, _LABELS, top + row * 0.19, length, thick)
            _say(axes, _LABELS + length + 0.08, words, one.text, weight="bold")
        else:
            _hidden(axes, _LABELS, top + row * 0.19, _SECRET_LENGTH, thick)
            _say(axes, _LABELS + _SECRET_LENGTH + 0.08, words, one, "ink-2")
    _line(axes, (_LABELS, _LABELS), (0.06, 0.06 + row * len(plot.items)), "dept-line")


def _columns(axes: Axes, plot: Columns) -> None:
    step, ground, tall = _WIDTH / len(plot.items), _TALL - 0.4, _TALL - 0.8
    most = _most(plot.items)
    for place, (label, one) in enumerate(plot.items):
        left, middle = place * step + 0.07, place * step + step / 2
        if isinstance(one, Number):
            height = tall * one.value / most
            _bar(axes, left, ground - height, step - 0.14, height)
            _say(axes, middle, ground - height - 0.08, one.text, weight="bold", ha="center")
        else:
            _hidden(axes, left, ground - 0.35, step - 0.14, 0.35)
            _say(axes, middle, ground - 0.43, one, "ink-2", ha="center", size=8)
        _say(axes, middle, ground + 0.22, _SHORT_MONTHS.get(label, label), "ink-2", ha="center", size=9)
    _line(axes, (0, _WIDTH), (ground, ground), "dept-line")


def _curve(axes: Axes, plot: Curve) -> None:
    left, right, top, ground, weeks = 0.62, _WIDTH - 0.15, 0.15, _TALL - 0.6, 26

    def x(week: float) -> float:
        return left + (right - left) * week / weeks

    def y(share: float) -> float:
        return ground - (ground - top) * share

    for percent in (0, 25, 50, 75, 100):
        _line(axes, (left, right), (y(percent / 100),) * 2, "line" if percent else "dept-line")
        _say(axes, left - 0.1, y(percent / 100) + 0.05, f"{percent}\u202f%", "ink-2", ha="right", size=9)
    for week in (0, 2, 4, 8, 13, 26):
        _line(axes, (x(week),) * 2, (ground, ground + 0.05), "dept-line")
        _say(axes, x(week), ground + 0.23, str(week), "ink-2", ha="center", size=9)
    _say(axes, (left + right) / 2, ground + 0.48, "semaines depuis le signalement", "ink-2", ha="center", size=9)
    if plot.table is None or len(plot.table.points) == 1:
        _say(axes, (left + right) / 2, (top + ground) / 2, SECRET, "ink-2", ha="center")
        return
    points = plot.table.points
    xs = tuple(x(one.at) for one in points)
    axes.fill_between(
        xs, [y(one.low) for one in points], [y(one.high) for one in points], color=LIGHT["band"], linewidth=0
    )
    _line(axes, xs, tuple(y(one.share) for one in points), "tide", 2.2)
    for one in points:
        axes.plot([x(one.at)], [y(one.share)], "o", color=LIGHT["tide"], markersize=4.5)
    median = plot.table.quantile(0.5)
    if median is not None and median.at is not None:
        _line(
            axes, (left, x(median.at), x(median.at)), (y(0.5), y(0.5), ground), "dept-line", 1.2, linestyle=(0, (4, 3))
        )
        _say(axes, x(median.at) + 0.12, y(0.5) - 0.14, f"la moitié à {number(median.at, 1)} semaines", weight="bold")
    last = points[-1]
    if plot.table.secret_from is not None:
        _hidden(axes, x(last.at), ground - 0.35, right - x(last.at), 0.35)
        _say(axes, (x(last.at) + right) / 2, ground - 0.43, SECRET, "ink-2", ha="center")


def _limits(axes: Axes, plot: Limits) -> None:
    known = [one for _, one in plot.items if one is not None]
    first = min([0.75, *(low for _, low, _ in known)]) - 0.03
    last = max([1.25, *(high for _, _, high in known)]) + 0.03
    left, right, row = _LABELS - 0.7, _WIDTH - 0.65, _row(plot.items)
    ground = 0.15 + row * len(plot.items)

    def x(value: float) -> float:
        return left + (right - left) * (value - first) / (last - first)

    _line(axes, (x(1), x(1)), (0.05, ground), "dept-line", 1.2, linestyle=(0, (4, 3)))
    _line(axes, (left, right), (ground, ground), "dept-line")
    _say(axes, x(1), ground + 0.22, "1 : autant qu’attendu", "ink-2", ha="center", size=9)
    _say(axes, left, ground + 0.22, "moins", "ink-2", size=9)
    _say(axes, right, ground + 0.22, "plus", "ink-2", ha="right", size=9)
    for place, (label, one) in enumerate(plot.items):
        middle = 0.15 + (place + 0.5) * row
        _say(axes, 0.03, middle + 0.05, label)
        if one is None:
            _hidden(axes, x(1) - 0.4, middle - 0.12, 0.8, 0.24)
            _say(axes, x(1) + 0.5, middle + 0.05, SECRET, "ink-2")
            continue
        value, low, high = one
        _line(axes, (x(low), x(high)), (middle, middle), "tide", 2.2)
        for end in (low, high):
            _line(axes, (x(end), x(end)), (middle - 0.07, middle + 0.07), "tide", 2.2)
        axes.plot([x(value)], [middle], "o", color=LIGHT["tide"], markersize=8)
        _say(axes, x(high) + 0.1, middle + 0.05, number(value, 2), weight="bold")


def _scales(axes: Axes, plot: Scales) -> None:
    left, right = 0.5, _WIDTH - 0.5
    for place, one in enumerate(plot.references.references):
        middle = 0.95 + place * 1.55
        _say(axes, 0.03, middle - 0.68, f"{one.title} ({one.unit})", weight="bold")
        _line(axes, (left, right), (middle, middle), "land-line", 1.5)
        for at, end in zip((left, right), one.scale, strict=True):
            _line(axes, (at, at), (middle - 0.05, middle + 0.05), "land-line", 1.5)
            _say(axes, at, middle + 0.25, number(end), "ink-2", ha="center", size=9)
        for turn, (where, value) in enumerate(sorted(one.values.items(), key=lambda item: item[1])):
            at = left + (right - left) * one.at(value) / 100
            marker = {"France": "D", "Normandie": "o"}.get(where, "s")
            axes.plot([at], [middle], marker, color=LIGHT["tide" if where == "Normandie" else "ink-2"], markersize=9)
            _say(axes, at, middle + (0.3 if turn % 2 else -0.18), f"{where} {number(value, 1)}", ha="center", size=9)
