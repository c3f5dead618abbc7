"""The whole report before it is printed: title, key figures, pages, what to know of the numbers, method, definitions, limits, annex. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml

from dropout_observatory.annual_report import chapters, way_back
from dropout_observatory.annual_report.edition import Edition
from dropout_observatory.annual_report.parts import NOT_POSSIBLE, Cell, Chapter, Grid, Number, Sentence, say
from dropout_observatory.annual_report.reading import cell, share
from dropout_observatory.indicators import downloads, shelf, shown
from dropout_observatory.indicators.catalogue import label
from dropout_observatory.indicators.definitions import Definition
from dropout_observatory.indicators.downloads import Line
from dropout_observatory.indicators.references import references

_METHOD = Path(__file__).with_name("method.yaml")


@dataclass(frozen=True)
class Key:
    """A number that the report begins with."""

    title: str
    number: Cell
    about: Sentence


@dataclass(frozen=True)
class Known:
    """What to know of an indicator's numbers. `fault`: it should not be, and somebody has to look."""

    indicator: str
    title: str
    kind: str
    text: str
    fault: bool


@dataclass(frozen=True)
class Defined:
    """A definition, and the version and SHA-256 of the one that the release used; None where it does not say."""

    definition: Definition
    version: int | None
    sha256: str | None

    @property
    def differs(self) -> bool:
        """Whether the release was counted by another text than the one that is printed."""
        return self.sha256 != self.definition.sha256


@dataclass(frozen=True)
class Document:
    """A report of one edition."""

    edition: Edition

    @property
    def title(self) -> str:
        """On its first page."""
        return "Le décrochage en Normandie"

    @cached_property
    def chapters(self) -> list[Chapter]:
        """The pages with figures."""
        return chapters.chapters(self.edition)

    @cached_property
    def keys(self) -> list[Key]:
        """The numbers that everybody reads, even who reads nothing else."""
        return list(_keys(self.edition))

    @cached_property
    def known(self) -> list[Known]:
        """Messages of quality, and early signals."""
        return list(_known(self.edition))

    @cached_property
    def defined(self) -> list[Defined]:
        """The definitions of all indicators that are shown."""
        used = self.edition.shelf.head.definitions
        return [
            Defined(one.definition, used.get(name, {}).get("version"), used.get(name, {}).get("sha256"))
            for name, one in self.edition.views.items()
        ]

    @cached_property
    def annex(self) -> Grid | None:
        """Every intercommunality, by name."""
        known = [(one, words, at) for one, words, at in _ANNEXED if one in self.edition.views]
        if not known:
            return None
        views = [(self.edition.views[name], at) for name, _, at in known]
        places = [code for code in views[0][0].codes(str(views[0][0].place)) if code.startswith("epci:")]
        rows = tuple(
            (label("territory", code), tuple(cell(view, **{str(view.place): code}, **at) for view, at in views))
            for code in places
        )
        return Grid("Nombres par intercommunalité", ("Intercommunalité", *(words for _, words, _ in known)), rows)

    @property
    def method(self) -> list[tuple[str, str]]:
        """How the numbers are made."""
        return [(one["name"], one["text"]) for one in _words()["method"]]

    @property
    def limits(self) -> list[str]:
        """What the numbers do not say."""
        figures = [figure for view in self.edition.views.values() for figure in view.figures.values()]
        hidden, old = (
            sum(one.value is None for one in figures),
            sum(view.old_count for view in self.edition.views.values()),
        )
        return [
            f"{shown.number(hidden)} des {shown.number(len(figures))} nombres du relevé pour cette année scolaire sont dits « secret » ; "
            "aucun n’est montré comme un zéro, et le mot ne dit pas pourquoi l’un est retenu.",
            f"Un nombre qui bouge de moins de onze personnes reste celui d’un relevé plus ancien (nombres dans ce cas ici : {shown.number(old)}). "
            "Des parties peuvent alors ne pas faire leur total.",
            *_words()["limits"],
        ]

    # -- as files

    def figures(self) -> Iterator[tuple[str, list[Line]]]:
        """The name and the lines of each table that lies beside the report: of every indicator, then of all that is computed."""
        for name, view in self.edition.views.items():
            yield name, downloads.lines([view])
        for name, lines in (
            ("computed", self._computed()),
            ("messages", self._messages()),
            ("references", _references()),
        ):
            if lines:
                yield name, lines

    def _computed(self) -> list[Line]:
        own: Line = {
            "school_year": self.edition.year,
            "release": self.edition.release.number,
            "known_on": self.edition.release.known_on,
        }
        found: list[Line] = []
        for key, place, one in self._numbers():
            if one.how:
                found.append({"page": key, "place": place, "how": one.how, "value": float(one.plain), **own})
        return found

    def _numbers(self) -> Iterator[tuple[str, str, Number]]:
        for one in self.keys:
            for cell_ in (one.number, *one.about.numbers):
                if isinstance(cell_, Number):
                    yield "key-figures", one.title, cell_
        for chapter in self.chapters:
            for number in chapter.said.numbers:
                yield chapter.key, "phrase", number
            for grid in chapter.grids:
                for words, cells in grid.rows:
                    for head, each in zip(grid.head[1:], cells, strict=True):
                        if isinstance(each, Number):
                            yield chapter.key, f"{words}, {head}", each

    def _messages(self) -> list[Line]:
        return [
            {"indicator": one.indicator, "kind": one.kind, "text": one.text, "known_on": self.edition.release.known_on}
            for one in self.known
        ]


def _references() -> list[Line]:
    known = references()
    return [
        {"reference": one.title, "place": place, "value": value, "unit": one.unit, "source": known.source}
        for one in known.references
        for place, value in one.values.items()
    ]


# -- key figures


def _keys(edition: Edition) -> Iterator[Key]:
    views = edition.views
    if view := views.get("cases-by-epci"):
        yield Key("Situations connues", cell(view), say("jeunes sortis de formation dans l’année scolaire"))
    if view := views.get("cases-waiting"):
        waiting, part = cell(view, path="waiting"), share(cell(view, path="waiting"), cell(view))
        yield Key(
            "En attente",
            waiting,
            say("sans aucune proposition, {p} du total" if part != NOT_POSSIBLE else "sans aucune proposition", p=part),
        )
    if view := views.get("first-offer-delay"):
        yield _delay(view)
    for months, name in (("3", "presence-at-3-months"), ("6", "presence-at-6-months")):
        if view := views.get(name):
            part, due = way_back.presence_share(view, view.table.dimensions[-1], view.totals["territory"])
            about = (
                "encore là, sur {n} jeunes dont la réponse est due"
                if isinstance(due, Number)
                else "un nombre qu’il faudrait est secret"
            )
            yield Key(f"Présence à {months} mois", part, say(about, n=due))
    if view := views.get("outcomes"):
        whole, still = cell(view), cell(view, outcome="OPEN")
        ended = (
            Number(whole.value - still.value, how="situations closes")
            if isinstance(whole, Number) and isinstance(still, Number)
            else NOT_POSSIBLE
        )
        part = share(ended, whole)
        yield Key(
            "Situations closes",
            ended,
            say(
                "quelle qu’en soit l’issue, {p} du total"
                if part != NOT_POSSIBLE
                else "un nombre qu’il faudrait est secret",
                p=part,
            ),
        )
    if view := views.get("cases-linked"):
        yield Key("Jointes à une démarche", cell(view), say("part dont le système apprend les étapes"))
    rates = references().references[0].values
    yield Key(
        "Repère de la stratégie",
        Number(rates["Normandie"], 1, "%"),
        say("taux de décrochage selon la stratégie de 2019, {f} en France", f=Number(rates["France"], 1, "%")),
    )


def _delay(view: shown.View) -> Key:
    table = shown.delays(view, view.totals["territory"])
    median = table.quantile(0.5) if table else None
    title = "Première proposition"
    if median is None:
        return Key(title, NOT_POSSIBLE, say("un nombre qu’il faudrait est secret"))
    if median.at is None:
        return Key(title, "pas atteinte", say("plus de la moitié attend encore à la fin de ce qui est connu"))
    number = way_back.median_of(median)
    if median.high is None:
        return Key(title, number, say("semaines, délai médian ; la borne haute n’est pas connue"))
    low, high = (
        Number(each or 0, 1, how=f"délai en semaines, {which}")
        for each, which in ((median.low, "borne basse"), (median.high, "borne haute"))
    )
    return Key(title, number, say("semaines, délai médian ; de {a} à {b} (95\u202f%)", a=low, b=high))


# -- what to know


def _known(edition: Edition) -> Iterator[Known]:
    at = edition.shelf
    for name, view in edition.views.items():
        title = view.definition.title
        for one in shown.messages(view, at.head.definitions, at.before, at.today, newest=at.newest):
            yield Known(name, title, one.kind, one.text, one.fault)
        if "month" in view.table.dimensions:
            for code, watched in shown.watched(view, shelf.year_before(view, at)).items():
                if watched.signal is not None:
                    region = code == view.totals["territory"]
                    place, of = (
                        ("dans la région", "d’après l’année d’avant")
                        if region
                        else ("dans ce département", "au rythme de la Région")
                    )
                    yield Known(
                        name,
                        title,
                        "signal",
                        f"{label('territory', code)}. {shown.said(watched.signal, place, of)}",
                        fault=False,
                    )


_ANNEXED: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("cases-by-epci", "Situations", {}),
    ("cases-waiting", "En attente", {"path": "waiting"}),
    ("free-seats", "Places libres à portée", {}),
)


@cache
def _words() -> Any:
    return yaml.safe_load(_METHOD.read_text(encoding="utf-8"))
