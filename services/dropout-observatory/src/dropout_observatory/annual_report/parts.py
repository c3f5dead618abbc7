"""What a page of the report is made of, whatever prints it: numbers, sentences, tables, plots. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from string import Formatter

from common.pages import MONTHS
from dropout_observatory.indicators.life_table import LifeTable
from dropout_observatory.indicators.references import References
from dropout_observatory.indicators.shown import number
from dropout_observatory.release import SECRET, Figure


@dataclass(frozen=True)
class Number:
    """A number as it is printed, rounded. `how`: how it is computed from published ones, or nothing where it is published as it is.

    `week`: the older release that it stayed from. `near`: it is between, as secret numbers leave it open.
    """

    value: float
    decimals: int = 0
    unit: str = ""
    how: str = ""
    week: str = ""
    near: bool = False

    @property
    def text(self) -> str:
        """As French writes it, with its unit."""
        said = number(self.value, self.decimals) + (f"\u202f{self.unit}" if self.unit else "")
        return f"≈\u202f{said}" if self.near else said

    @property
    def plain(self) -> str:
        """As a table for programs writes it: what is printed and no digit more."""
        return f"{self.value:.{self.decimals}f}"


def day(of: date) -> str:
    """« 1er septembre 2027 »."""
    return f"{'1er' if of.day == 1 else of.day} {MONTHS[of.month - 1]} {of.year}"


def typeset(text: str) -> str:
    """French spaces that no line breaks at."""
    for plain, kept in ((" :", "\u00a0:"), (" ;", "\u202f;"), (" ?", "\u202f?"), ("« ", "«\u00a0"), (" »", "\u00a0»")):
        text = text.replace(plain, kept)
    return text


# What stands in a table: a number, or the word that says why there is none.
Cell = Number | str
NOT_POSSIBLE = "non calculé"


@dataclass(frozen=True)
class Sentence:
    """Words with numbers in between."""

    parts: tuple[str | Number, ...]

    @property
    def text(self) -> str:
        """Read aloud."""
        return "".join(one if isinstance(one, str) else one.text for one in self.parts)

    @property
    def numbers(self) -> list[Number]:
        """Those in it."""
        return [one for one in self.parts if isinstance(one, Number)]


def say(words: str, **given: Cell) -> Sentence:
    """Words with `{name}` where something stands."""
    parts: list[str | Number] = []
    for text, name, _, _ in Formatter().parse(words):
        parts += [text, given[name]] if name is not None else [text]
    return Sentence(tuple(part for part in parts if part != ""))


def joined(*sentences: Sentence | None) -> Sentence:
    """One after the other."""
    said = [one for one in sentences if one is not None]
    parts: list[str | Number] = []
    for one in said:
        parts += [" ", *one.parts] if parts else one.parts
    return Sentence(tuple(parts))


@dataclass(frozen=True)
class Grid:
    """A table: a line for each label, under `head`, whose first word is of the labels."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]

    @property
    def numbers(self) -> Iterator[Number]:
        """Every one of them."""
        return (cell for _, cells in self.rows for cell in cells if isinstance(cell, Number))


# -- plots: what is drawn, and by whom it may be (`drawing.py`, `region_map.py`)


@dataclass(frozen=True)
class Bars:
    """A bar for each label, as long as its number; hatched where it is secret. `full`: the length of the whole, else of the longest."""

    items: tuple[tuple[str, Cell], ...]
    full: float | None = None


@dataclass(frozen=True)
class Columns:
    """The same, upright, for months."""

    items: tuple[tuple[str, Cell], ...]


@dataclass(frozen=True)
class Curve:
    """What share still waits, week after week."""

    table: LifeTable | None


@dataclass(frozen=True)
class Limits:
    """A ratio with its interval for each label, against 1."""

    items: tuple[tuple[str, tuple[float, float, float] | None], ...]


@dataclass(frozen=True)
class Scales:
    """The strategy's figures, each on its scale."""

    references: References


@dataclass(frozen=True)
class RegionMap:
    """A number for each intercommunality by SIREN."""

    figures: Mapping[str, Figure]
    unit: str
    old: Mapping[str, str] = field(default_factory=dict)


Plot = Bars | Columns | Curve | Limits | Scales | RegionMap


@dataclass(frozen=True)
class Picture:
    """A plot with what is read aloud in its place."""

    plot: Plot
    title: str
    description: str


@dataclass(frozen=True)
class Chapter:
    """One idea on one page. `names`: the indicators that its numbers are of; without picture and tables, it says why."""

    key: str
    heading: str
    said: Sentence
    picture: Picture | None = None
    grids: tuple[Grid, ...] = ()
    notes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def numbers(self) -> Iterator[Number]:
        """Every number that it shows."""
        yield from self.said.numbers
        for grid in self.grids:
            yield from grid.numbers


def secret_or(figure: Figure, decimals: int = 0, unit: str = "", week: str = "") -> Cell:
    """A figure of a release as a cell."""
    return SECRET if figure.value is None else Number(figure.value, decimals, unit, week=week)
