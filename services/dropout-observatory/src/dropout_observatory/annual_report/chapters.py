"""The pages of the report, one idea each: a sentence that is computed from the numbers, a plot, and a table of the same.

Pure; published numbers only. A sentence says what is largest, smallest or how large a part is, and never whether that is much.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dropout_observatory.annual_report import way_back
from dropout_observatory.annual_report.edition import Edition
from dropout_observatory.annual_report.parts import (
    NOT_POSSIBLE,
    Bars,
    Cell,
    Chapter,
    Columns,
    Grid,
    Limits,
    Number,
    Picture,
    Scales,
    Sentence,
    joined,
    say,
)
from dropout_observatory.annual_report.reading import (
    HEADINGS,
    PERCENT,
    cell,
    items_of,
    largest,
    largest_first,
    listed,
    of_whole,
    page_of,
    picture_of,
    read,
    region_map,
    secret_words,
    shares,
    smallest,
    spread_of,
)
from dropout_observatory.indicators import shelf, shown
from dropout_observatory.indicators.catalogue import label
from dropout_observatory.indicators.expected import Ratio
from dropout_observatory.indicators.references import References, references
from dropout_observatory.indicators.shown import View
from dropout_observatory.release import SECRET


def chapters(edition: Edition) -> list[Chapter]:
    """Every page with figures, in order; of what the release has not got one that says so."""
    told = [_chapter(edition, name, tell) for name, tell in _PAGES.items()]
    told.insert(list(_PAGES).index("cases-by-context") + 1, observed_and_expected(edition))
    others = [_chapter(edition, name, _plain) for name in edition.views if name not in _PAGES and name not in _BESIDE]
    return [*told, *others, strategy(references())]


def _chapter(edition: Edition, name: str, tell: Callable[[Edition, View], Chapter]) -> Chapter:
    view = edition.views.get(name)
    if view is not None:
        return tell(edition, view)
    missing = f"Pas de relevé : le relevé {edition.release.number} n’a pas cet indicateur pour {edition.year}."
    return Chapter(name, HEADINGS[name], say(missing))


# -- pages


def _territory(edition: Edition, view: View) -> Chapter:
    items, whole = items_of(view, "territory"), cell(view)
    words = "Par département, de {a} ({low}) à {b} ({high})."
    spread = spread_of(words, items) if largest(items) != smallest(items) else None
    picture, hidden = region_map(view, "Situations par intercommunalité")
    words = "{n} jeunes sortis de formation sont connus en Normandie."
    said = joined(
        say(words if isinstance(whole, Number) else "Le nombre de la Normandie est dit « secret ».", n=whole),
        spread,
        hidden,
    )
    table = shares(items, whole, "Situations par département", "Département")
    return page_of(view, said, picture, table, "Toutes les intercommunalités sont en annexe.")


def _months(edition: Edition, view: View) -> Chapter:
    items, whole = items_of(view, "month"), cell(view)
    said = of_whole("Mois le plus fréquent de sortie de formation : {name},", items, whole)
    return page_of(
        view,
        said,
        picture_of(Columns(tuple(items)), "Sorties par mois", items),
        shares(items, whole, "Sorties par mois", "Mois"),
    )


def _factors(edition: Edition, view: View) -> Chapter:
    items, whole = largest_first(items_of(view, "factor")), cell(view)
    said = of_whole("Facteur le plus souvent cité : « {name} »,", items, whole)
    note = "Une situation a un facteur ou plusieurs : les parts ne s’additionnent pas."
    picture = picture_of(Bars(tuple(items)), "Situations par facteur", items)
    return page_of(view, said, picture, shares(items, whole, "Situations par facteur", "Facteur"), note)


def _levels(edition: Edition, view: View) -> Chapter:
    items, whole = items_of(view, "level"), cell(view)
    said = of_whole("Niveau le plus souvent quitté : « {name} »,", items, whole)
    factors = [code for code in view.codes("factor") if code != view.totals["factor"]]
    levels = [code for code in view.codes("level") if code != view.totals["level"]]
    rows = tuple(
        (label("factor", code), tuple(cell(view, level=level, factor=code) for level in levels)) for code in factors
    )
    everybody = ("Ensemble", tuple(cell(view, level=level) for level in levels))
    heads = ("Facteur", *(label("level", code) for code in levels))
    grid = Grid("Facteurs selon le niveau quitté", heads, (*rows, everybody))
    return page_of(view, said, picture_of(Bars(tuple(items)), "Situations par niveau quitté", items), grid)


def _contexts(edition: Edition, view: View) -> Chapter:
    pupils = edition.views.get("pupils-by-context")
    codes = [code for code in view.codes("context") if code != view.totals["context"]]

    def rate(code: str) -> Cell:
        cases, whole = cell(view, context=code), cell(pupils, context=code) if pupils else NOT_POSSIBLE
        if isinstance(cases, Number) and isinstance(whole, Number) and whole.value:
            return Number(1000 * cases.value / whole.value, 1, how="situations pour mille collégiens")
        return NOT_POSSIBLE

    items = [(label("context", code), rate(code)) for code in codes]
    said = spread_of("Pour mille collégiens, de {a} situations ({low}) à {b} ({high}).", items) or say(
        "Non calculé : un nombre qu’il faudrait est secret ou manque au relevé."
    )
    rows = tuple(
        (
            label("context", code),
            (cell(view, context=code), cell(pupils, context=code) if pupils else NOT_POSSIBLE, rate(code)),
        )
        for code in (*codes, view.totals["context"])
    )
    grid = Grid(
        "Situations selon le contexte scolaire de la commune", ("Contexte", "Jeunes", "Collégiens", "Pour mille"), rows
    )
    note = "Le contexte est celui d’un territoire, jamais d’un établissement ; les collégiens d’aujourd’hui ne sont pas les jeunes sortis de formation."
    picture = picture_of(Bars(tuple(items)), "Situations pour mille collégiens", items)
    return page_of(view, said, picture, grid, note, beside=("pupils-by-context",) if pupils else ())


def observed_and_expected(edition: Edition) -> Chapter:
    """What departments count against what their pupils' context lets expect."""
    view = edition.views.get("cases-by-context")
    found = shelf.beside(view, edition.shelf) if view is not None else []
    compared = [(one.label, one.ratio) for one in found if one.ratio is not None]
    if not compared:
        missing = "Non calculé : un nombre qu’il faudrait est secret, ou n’est pas dans ce relevé."
        return Chapter("observed-and-expected", _EXPECTED, say(missing))
    nothing = (SECRET, NOT_POSSIBLE, NOT_POSSIBLE, NOT_POSSIBLE, NOT_POSSIBLE)
    rows = tuple((one.label, _ratio_cells(one.ratio) if one.ratio else nothing) for one in found)
    drawn = tuple((one.label, (one.ratio.value, one.ratio.low, one.ratio.high) if one.ratio else None) for one in found)
    grid = Grid(
        "Situations observées et attendues", ("Département", "Observées", "Attendues", "Rapport", "De", "À"), rows
    )
    told = " ; ".join(f"{words} : {read(cells[2])}" for words, cells in rows)
    description = (
        f"Rapport des situations observées aux attendues. {told}. Les intervalles sont dans le tableau à côté."
    )
    names = tuple(one for one in ("cases-by-context", "pupils-by-context", "cases-by-epci") if one in edition.views)
    note = (
        "Attendu : ce que compterait le département si chaque contexte scolaire y donnait autant de situations par collégien que dans "
        "toute la région. Intervalle à 95\u202f% (Poisson). Par ordre alphabétique : ce n’est pas un classement."
    )
    picture = Picture(Limits(drawn), "Observé sur attendu, par département", description)
    said = _differing([words for words, ratio in compared if ratio.differs], len(compared))
    return Chapter("observed-and-expected", _EXPECTED, said, picture, (grid,), (note,), names)


def _differing(names: Sequence[str], among: int) -> Sentence:
    whole = Number(among, how="départements comparés")
    if not names:
        words = "Dans aucun des {n} départements comparés l’intervalle à 95\u202f% n’exclut 1 : le hasard seul peut faire ces écarts."
        return say(words, n=whole)
    count = Number(len(names), how="départements dont l’intervalle ne contient pas 1")
    words = f"Dans {{k}} des {{n}} départements comparés, l’intervalle à 95\u202f% ne contient pas 1 : {listed(names)}."
    return say(words, k=count, n=whole)


def _ratio_cells(ratio: Ratio) -> tuple[Cell, ...]:
    how = "rapport des situations observées aux attendues"
    return (
        Number(ratio.observed),
        Number(ratio.expected, how="situations attendues d’après les collégiens de chaque contexte"),
        Number(ratio.value, 2, how=how),
        Number(ratio.low, 2, how=f"{how}, borne basse à 95 %"),
        Number(ratio.high, 2, how=f"{how}, borne haute à 95 %"),
    )


def _plain(edition: Edition, view: View) -> Chapter:
    """An indicator that nobody wrote a page for: its parts and its whole."""
    dimension = view.table.dimensions[-1]
    items, whole = items_of(view, dimension), cell(view)
    said = joined(say("Ensemble : {n}.", n=whole), secret_words(items))
    first, unit = shown.DIMENSION_WORDS[dimension], view.definition.unit
    grid = Grid(
        view.definition.title,
        (first, unit.capitalize()),
        tuple((words, (one,)) for words, one in [*items, ("Ensemble", whole)]),
    )
    return page_of(view, said, picture_of(Bars(tuple(items)), view.definition.title, items), grid)


def strategy(known: References) -> Chapter:
    """The strategy's figures beside each other: they are of another thing than cases, and the page says so."""
    first = known.references[0]
    region, france = (Number(first.values[place], 1, PERCENT) for place in ("Normandie", "France"))
    said = say(
        "La stratégie régionale donne un taux de décrochage de {r} en Normandie et de {f} en France.",
        r=region,
        f=france,
    )
    rows = []
    for place, _ in first.table:
        values = [one.values.get(place) for one in known.references]
        rows.append((place, tuple("non précisé" if value is None else Number(value, 1, PERCENT) for value in values)))
    grid = Grid("Repères de la stratégie", ("Lieu", *(one.title for one in known.references)), tuple(rows))
    told = " ; ".join(
        f"{one.title} : " + ", ".join(f"{place} {shown.number(value, 1)}\u202f%" for place, value in one.values.items())
        for one in known.references
    )
    notes = (
        "Le taux de la stratégie est une part des jeunes ; les situations sont celles qui ont été signalées. L’un ne se déduit pas de l’autre.",
        f"{first.note} Source : {known.source}.",
    )
    return Chapter(
        "references",
        "Les repères de la stratégie",
        said,
        Picture(Scales(known), "Repères de la stratégie", f"{told}."),
        (grid,),
        notes,
    )


_EXPECTED = "Observé et attendu selon le contexte scolaire"
_PAGES: dict[str, Callable[[Edition, View], Chapter]] = {
    "cases-by-epci": _territory,
    "cases-by-month": _months,
    "cases-by-factor": _factors,
    "factors-by-level": _levels,
    "cases-by-context": _contexts,
    "path-by-department": way_back.path,
    "first-offer-delay": way_back.delay,
    "cases-waiting": way_back.waiting,
    "free-seats": way_back.seats,
    "presence-at-3-months": way_back.presence,
    "presence-at-6-months": way_back.presence,
    "outcomes": way_back.outcomes,
    "cases-linked": way_back.linked,
}
# Shown beside another one.
_BESIDE = ("pupils-by-context",)
