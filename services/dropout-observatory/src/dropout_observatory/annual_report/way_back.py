"""What became of them: the pages on the way back, from the step reached last to how a case was closed. Pure; published numbers only."""

from __future__ import annotations

from collections.abc import Callable

from dropout_observatory.annual_report.edition import Edition
from dropout_observatory.annual_report.parts import (
    NOT_POSSIBLE,
    Bars,
    Cell,
    Chapter,
    Curve,
    Grid,
    Number,
    Sentence,
    day,
    joined,
    say,
)
from dropout_observatory.annual_report.reading import (
    PERCENT,
    among_known,
    by_department,
    cell,
    items_of,
    largest,
    largest_first,
    listed,
    of_whole,
    page_of,
    picture_of,
    region_map,
    secret_words,
    share,
    shares,
)
from dropout_observatory.indicators import shown
from dropout_observatory.indicators.catalogue import label
from dropout_observatory.indicators.life_table import Quantile
from dropout_observatory.indicators.mismatch import Mismatch, mismatch
from dropout_observatory.indicators.shown import View

# So many intercommunalities fill the table beside a map.
_PLACES_SHOWN, _NAMED_MAX = 11, 5
_ANSWERS = ("THERE", "LEFT", "NOT_KNOWN")


def path(edition: Edition, view: View) -> Chapter:
    items, whole = items_of(view, "path"), cell(view)
    said = of_whole("Étape la plus souvent atteinte en dernier : « {name} »,", items, whole)
    codes = [code for code in view.codes("path") if code not in (view.totals["path"], "waiting")]
    grid = by_department(
        view,
        [(label("path", code), _getter(view, "path", code)) for code in codes],
        "Dernière étape atteinte, par département",
    )
    return page_of(view, said, picture_of(Bars(tuple(items)), "Dernière étape atteinte, Normandie", items), grid)


def _getter(view: View, dimension: str, code: str) -> Callable[[str], Cell]:
    return lambda place: cell(view, territory=place, **{dimension: code})


def delay(edition: Edition, view: View) -> Chapter:
    table = shown.delays(view, view.totals["territory"])
    median = table.quantile(0.5) if table else None
    if table is None or median is None:
        said = say("Le délai médian n’est pas calculé : des nombres secrets laissent trop de possibilités.")
    elif median.at is None:
        until = Number(table.until, how="dernière semaine connue")
        said = say(
            "Plus de la moitié des jeunes attendent encore une première proposition après {n} semaines.", n=until
        )
    else:
        low, high = _week(median.low or 0, "borne basse"), _week(median.high, "borne haute")
        words = "La moitié des jeunes ont reçu une première proposition en {n} semaines (intervalle à 95\u202f% : {between})."
        between = "de {low} à {high}" if isinstance(high, Number) else "{low} ou plus"
        said = say(words.replace("{between}", between), n=median_of(median), low=low, high=high)
    columns = [("Médiane", 0), ("De", 1), ("À", 2)]
    medians = by_department(
        view, [(words, _quantile_getter(view, place)) for words, place in columns], "Délai médian, en semaines"
    )
    how = "part des jeunes encore sans proposition"
    points = table.points[1:] if table else ()
    curve = tuple(
        (
            f"{one.at:.0f} semaines",
            tuple(Number(100 * each, 1, PERCENT, how) for each in (one.share, one.low, one.high)),
        )
        for one in points
    )
    shares = Grid("Part encore sans proposition", ("Après", "Part", "De", "À"), curve)
    note = (
        "Qui attend encore compte avec le temps déjà attendu (table de survie) ; la bande est l’intervalle à 95\u202f%. « ≈ » : le milieu de "
        "ce que des nombres secrets laissent possible, que l’intervalle contient."
    )
    picture = picture_of(
        Curve(table),
        "Part des jeunes sans proposition, par semaine depuis le signalement",
        description=f"{said.text} Les mêmes nombres sont dans le tableau à côté.",
    )
    return page_of(view, said, picture, (shares, medians) if curve else medians, note)


def _week(value: float | None, which: str) -> Cell:
    return "non connu" if value is None else Number(value, 1, how=f"délai en semaines, {which}")


def median_of(found: Quantile) -> Number:
    """A median that there is, as it is printed."""
    return Number(found.at or 0, 1, how="délai en semaines, médiane", near=found.near)


def _quantile_getter(view: View, column: int) -> Callable[[str], Cell]:
    def of(place: str) -> Cell:
        table = shown.delays(view, place)
        found = table.quantile(0.5) if table else None
        if found is None:
            return NOT_POSSIBLE
        if found.at is None:
            return "non atteint" if column == 0 else "non connu"
        if column == 0:
            return median_of(found)
        return _week(found.low or 0, "borne basse") if column == 1 else _week(found.high, "borne haute")

    return of


def waiting(edition: Edition, view: View) -> Chapter:
    waiting, whole = cell(view, path="waiting"), cell(view)
    part = share(waiting, whole)
    words = f"Au {day(edition.shelf.head.known_on)}, {{n}} jeunes sur {{whole}} ({{part}}) n’ont encore reçu aucune proposition."
    said = (
        say(words, n=waiting, whole=whole, part=part)
        if isinstance(part, Number)
        else say("Le nombre de jeunes en attente est dit « secret ».")
    )
    picture, hidden = region_map(view, "Jeunes en attente, par intercommunalité")
    columns: list[tuple[str, Callable[[str], Cell]]] = [
        ("En attente", lambda place: cell(view, territory=place, path="waiting")),
        ("Connues", lambda place: cell(view, territory=place)),
        ("Part", lambda place: share(cell(view, territory=place, path="waiting"), cell(view, territory=place))),
    ]
    return page_of(
        view,
        joined(said, hidden),
        picture,
        by_department(view, columns, "Situations en attente, par département"),
        "Toutes les intercommunalités sont en annexe.",
    )


def seats(edition: Edition, view: View) -> Chapter:
    """Seats that are free within reach of those who wait, where most wait."""
    queue = edition.views.get("cases-waiting")
    free, found = cell(view), mismatch(view, queue)
    picture, _ = region_map(view, "Places libres à portée, par intercommunalité")
    if found is None or queue is None:
        said = say("{n} places de remédiation étaient libres. Ce relevé ne dit pas qui attend.", n=free)
        return page_of(view, said, picture, Grid("Places libres", ("Lieu", "Places"), (("Normandie", (free,)),)))

    def waits(code: str) -> Cell:
        return cell(queue, territory=code, path="waiting")

    everywhere = view.totals["reach"]
    count = Number(
        len(found.both), how="intercommunalités où des places libres sont à portée et où des jeunes attendent"
    )
    said = joined(
        say(
            "{n} places de remédiation étaient libres, face à {w} jeunes en attente."
            if isinstance(waits(everywhere), Number)
            else "{n} places de remédiation étaient libres ; le nombre de jeunes en attente est dit « secret ».",
            n=free,
            w=waits(everywhere),
        ),
        say("Dans {k} intercommunalités, des jeunes attendent et des places libres sont à portée.", k=count),
        _without(found),
    )
    rows = [(one.label, (waits(one.code), cell(view, reach=one.code))) for one in found.wait[:_PLACES_SHOWN]]
    grid = Grid(
        "Là où le plus de jeunes attendent",
        ("Lieu", "En attente", "Places à portée"),
        (*rows, ("Normandie", (waits(everywhere), free))),
    )
    note = "Qui attend : la page d’avant. Toutes les intercommunalités sont en annexe."
    return page_of(view, said, picture, grid, note, beside=("cases-waiting",))


def _without(found: Mismatch) -> Sentence | None:
    names = [one.label for one in found.without]
    if len(names) > _NAMED_MAX:
        count = Number(len(names), how="intercommunalités où des jeunes attendent sans place libre à portée")
        return say("Dans {k} autres, aucune place libre n’est à portée.", k=count)
    return say(f"Sans aucune place libre à portée : {listed(names)}.") if names else None


def presence_share(view: View, dimension: str, place: str) -> tuple[Cell, Cell]:
    """What share is still there, and of how many whose answer is due."""
    answers = [cell(view, territory=place, **{dimension: code}) for code in _ANSWERS]
    known = [one for one in answers if isinstance(one, Number)]
    if len(known) < len(answers):
        return NOT_POSSIBLE, NOT_POSSIBLE
    due = Number(sum(one.value for one in known), how="jeunes dont la réponse est due")
    return share(known[0], due, "part encore présente de ceux dont la réponse est due"), due


def presence(edition: Edition, view: View) -> Chapter:
    dimension, months = view.table.dimensions[-1], "6" if view.table.dimensions[-1].endswith("6") else "3"
    items = [(label(dimension, code), cell(view, **{dimension: code})) for code in _ANSWERS]
    part, due = presence_share(view, dimension, view.totals["territory"])
    words = (
        f"{months} mois après leur entrée dans une solution, {{n}} jeunes sur {{due}} dont la réponse est due sont encore là "
        "({part}) ; de {silent}, la structure n’a rien dit."
    )
    said = (
        say(words, n=items[0][1], due=due, part=part, silent=items[2][1])
        if isinstance(part, Number)
        else say(
            "La part encore présente n’est pas calculée : un nombre qu’il faudrait est secret, ou la réponse n’est due pour personne."
        )
    )
    columns: list[tuple[str, Callable[[str], Cell]]] = [
        *((label(dimension, code), _getter(view, dimension, code)) for code in _ANSWERS),
        ("Part présente", lambda place: presence_share(view, dimension, place)[0]),
    ]
    grid = by_department(view, columns, f"Présence {months} mois après l’entrée, par département")
    return page_of(view, said, picture_of(Bars(tuple(items)), f"Présence à {months} mois, Normandie", items), grid)


def outcomes(edition: Edition, view: View) -> Chapter:
    items, whole, still_open = largest_first(items_of(view, "outcome")), cell(view), cell(view, outcome="OPEN")
    closed = [(words, one) for words, one in items if words != label("outcome", "OPEN")]
    found = largest(closed)
    ended: Cell = NOT_POSSIBLE
    if isinstance(whole, Number) and isinstance(still_open, Number):
        ended = Number(whole.value - still_open.value, how="situations closes : toutes moins les ouvertes")
    said = say("{n} situations sur {whole} sont closes.", n=ended, whole=whole) if isinstance(ended, Number) else None
    most = (
        say(among_known("Issue la plus fréquente : « {name} », {n}.", closed), name=found[0], n=found[1])
        if found
        else None
    )
    grid = shares(items, whole, "Issues des situations", "Issue")
    return page_of(
        view,
        joined(said, most, secret_words(items)),
        picture_of(Bars(tuple(closed)), "Issues des situations closes", closed),
        grid,
    )


def linked(edition: Edition, view: View) -> Chapter:
    items, whole = items_of(view, "territory"), cell(view)
    said = (
        say(
            "Pour {n} des situations, une étape au moins a été apprise d’une démarche du système, et non saisie à la main.",
            n=whole,
        )
        if isinstance(whole, Number)
        else say("La part des situations jointes à une démarche est dite « secret ».")
    )
    grid = Grid(
        "Part des situations jointes à une démarche",
        ("Département", "Part"),
        tuple((words, (one,)) for words, one in [*items, ("Normandie", whole)]),
    )
    return page_of(
        view,
        joined(said, secret_words(items)),
        picture_of(Bars(tuple(items), 100), "Part jointe, par département", items),
        grid,
    )
