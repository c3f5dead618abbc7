"""Of an indicator what a page takes: cells, tables, who has most, words. Pure; published numbers only."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dropout_observatory.annual_report.parts import (
    NOT_POSSIBLE,
    Cell,
    Chapter,
    Grid,
    Number,
    Picture,
    Plot,
    RegionMap,
    Sentence,
    joined,
    say,
    secret_or,
)
from dropout_observatory.indicators.catalogue import label
from dropout_observatory.indicators.shown import View
from dropout_observatory.release import SECRET

PERCENT = "%"
SHARE = "part du total"
Item = tuple[str, Cell]


def cell(view: View, **codes: str) -> Cell:
    """A figure of an indicator."""
    figure = view.at(**codes)
    unit = PERCENT if view.table.kind == "rate" else ""
    week = view.weeks.get(figure.as_of or 0, "") if view.is_old(figure) else ""
    return secret_or(figure, view.table.decimals, unit, week)


def share(part: Cell, whole: Cell, how: str = SHARE) -> Cell:
    """Per cent, to one decimal; not possible where one of both is secret."""
    if isinstance(part, Number) and isinstance(whole, Number) and whole.value:
        return Number(100 * part.value / whole.value, 1, PERCENT, how)
    return NOT_POSSIBLE


def items_of(view: View, dimension: str, **at: str) -> list[Item]:
    codes = [code for code in view.codes(dimension) if code != view.totals[dimension] and not code.startswith("epci:")]
    return [(label(dimension, code), cell(view, **at, **{dimension: code})) for code in codes]


def shares(items: Sequence[Item], whole: Cell, caption: str, first: str, unit: str = "jeunes") -> Grid:
    """The items and what part of the whole each is, the whole last."""
    rows = [(words, (one, share(one, whole))) for words, one in items]
    return Grid(caption, (first, unit.capitalize(), "Part"), (*rows, ("Ensemble", (whole, ""))))


def by_department(view: View, columns: Sequence[tuple[str, Callable[[str], Cell]]], caption: str) -> Grid:
    """A line for each department, the Region last; each column says the cell of a place."""
    region = view.totals["territory"]
    places = [code for code in view.codes("territory") if code.startswith("dep:")]
    rows = [(label("territory", code), tuple(of(code) for _, of in columns)) for code in [*places, region]]
    return Grid(caption, ("Département", *(words for words, _ in columns)), tuple(rows))


def listed(words: Sequence[str]) -> str:
    return " et ".join((", ".join(words[:-1]), words[-1])) if len(words) > 1 else "".join(words)


def secret_words(items: Sequence[Item]) -> Sentence | None:
    """Which of them are withheld."""
    hidden = [words for words, one in items if one == SECRET]
    return say(f"Dits « secret » : {listed(hidden)}.") if hidden else None


def among_known(words: str, items: Sequence[Item]) -> str:
    """Words that say who has most or least; where one is missing that is only so of those that are published."""
    if all(isinstance(one, Number) for _, one in items):
        return words
    return f"Parmi les nombres publiés, {words[0].lower()}{words[1:]}"


def largest(items: Sequence[Item]) -> tuple[str, Number] | None:
    """Who has most, several where they are equal; None where nothing is published."""
    known = [(words, one) for words, one in items if isinstance(one, Number)]
    if not known:
        return None
    most = max(one.value for _, one in known)
    return listed([words for words, one in known if one.value == most]), next(
        one for _, one in known if one.value == most
    )


def smallest(items: Sequence[Item]) -> tuple[str, Number] | None:
    found = largest([(words, Number(-one.value)) for words, one in items if isinstance(one, Number)])
    if found is None:
        return None
    return found[0], next(one for _, one in items if isinstance(one, Number) and one.value == -found[1].value)


def spread_of(words: str, items: Sequence[Item]) -> Sentence | None:
    """Words with `{a}` of who has least (`{low}`) and `{b}` of who has most (`{high}`); None where nothing is published."""
    most, least = largest(items), smallest(items)
    if most is None or least is None:
        return None
    return say(among_known(words, items), a=least[1], low=least[0], b=most[1], high=most[0])


def of_whole(words: str, items: Sequence[Item], whole: Cell, **given: Cell) -> Sentence:
    """« {words} : {n} sur {total} ({part}). » of the largest item, and what is secret."""
    found = largest(items)
    if found is None:
        return say("Aucun nombre n’est publié : tous sont dits « secret ».")
    part, words = share(found[1], whole), among_known(words, items)
    text = (
        f"{words} {{n}} situations sur {{whole}} ({{part}})."
        if isinstance(part, Number)
        else f"{words} {{n}} situations."
    )
    return joined(say(text, name=found[0], n=found[1], whole=whole, part=part, **given), secret_words(items))


def picture_of(plot: Plot, title: str, items: Sequence[Item] = (), description: str = "") -> Picture:
    told = " ; ".join(f"{words} : {read(one)}" for words, one in items)
    return Picture(plot, title, description or f"{told}. Les mêmes nombres sont dans le tableau à côté.")


def read(one: Cell) -> str:
    return one if isinstance(one, str) else one.text


def largest_first(items: Sequence[Item]) -> list[Item]:
    """The largest first; what is secret last, in its own order, so that its place tells nothing."""
    return sorted(items, key=lambda one: -one[1].value if isinstance(one[1], Number) else 1.0)


def region_map(view: View, title: str) -> tuple[Picture, Sentence | None]:
    """The map of intercommunalities, and how many of them are secret."""
    figures = view.by_epci()
    old = {siren: view.weeks.get(one.as_of or 0, "") for siren, one in figures.items() if view.is_old(one)}
    hidden = sum(one.value is None for one in figures.values())
    count, all_of_them = (Number(n, how="intercommunalités comptées") for n in (hidden, len(figures)))
    words = "Le nombre de {k} intercommunalités sur {n} est dit « secret »."
    said = say(words, k=count, n=all_of_them) if hidden else None
    told = f"Carte des {len(figures)} intercommunalités, teintées par classe ; {hidden} sont hachurées : leur nombre est secret. Tous les nombres sont dans l’annexe."
    return Picture(RegionMap(figures, view.definition.unit, old), title, told), said


def page_of(
    view: View, said: Sentence, picture: Picture, grids: Grid | Sequence[Grid], *notes: str, beside: Sequence[str] = ()
) -> Chapter:
    name, tables = view.definition.name, (grids,) if isinstance(grids, Grid) else tuple(grids)
    old = any(one.week for grid in tables for one in grid.numbers)
    stayed = ("S… après un nombre : il est resté de ce relevé plus ancien.",) if old else ()
    heading = HEADINGS.get(name, view.definition.title)
    return Chapter(name, heading, said, picture, tables, (*notes, *stayed), (name, *beside))


# The heading of each page by its indicator.
HEADINGS = {
    "cases-by-epci": "Où : les situations par territoire",
    "cases-by-month": "Quand : les situations par mois de sortie",
    "cases-by-factor": "Pourquoi : les facteurs",
    "factors-by-level": "D’où : le niveau quitté",
    "cases-by-context": "Le contexte scolaire de la commune",
    "path-by-department": "Ce qu’elles sont devenues",
    "first-offer-delay": "Le temps avant une première proposition",
    "cases-waiting": "Qui attend encore",
    "free-seats": "Des places libres, et des jeunes qui attendent",
    "presence-at-3-months": "Toujours là à 3 mois",
    "presence-at-6-months": "Toujours là à 6 mois",
    "outcomes": "Comment elles se sont closes",
    "cases-linked": "Ce que le suivi sait",
}
