"""What is shown of an indicator in a release, on its page, as JSON and as a table: one reading of the frozen text for all three.

Pure. It knows the figures of releases only, so that nothing here can give anybody away that a release does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from itertools import pairwise
from math import inf

from dropout_observatory.indicators import expected, life_table, quality, signals
from dropout_observatory.indicators.catalogue import WEEKS, catalogue, label
from dropout_observatory.indicators.definitions import Definition
from dropout_observatory.indicators.expected import Ratio
from dropout_observatory.indicators.life_table import LifeTable, Quantile, Span
from dropout_observatory.indicators.signals import Month, Watched
from dropout_observatory.release import Figure, Key, Release, Table

# What the address of a page calls the dimension of which one code is looked at.
CHOICES = {"territory": "territoire", "level": "niveau"}
CHOICE_WORDS = {"territory": "Territoire", "level": "Niveau quitté"}
DIMENSION_WORDS = {
    **CHOICE_WORDS,
    "month": "Mois de sortie",
    "factor": "Facteur",
    "path": "Étape",
    "delay": "Délai",
    "presence": "Présence",
    "presence_6": "Présence",
    "outcome": "Issue",
    "context": "Contexte",
    "reach": "À portée de",
}
# The dimensions that a map shows.
_PLACES = ("territory", "reach")
# What counts those who left, and not what there is in the year.
_LEAVERS = ("cases", "linked")
_SECTIONS = {"region": "Région", "dep": "Départements", "epci": "Intercommunalités"}
# The number that stands first, where it is not the whole.
FIRST = {"cases-waiting": {"path": "waiting"}}
_THERE, _ANSWERS = "THERE", ("THERE", "LEFT", "NOT_KNOWN")


def week(known_on: str | date) -> str:
    """ "S47": the week that had ended when a release was frozen."""
    day = date.fromisoformat(known_on) if isinstance(known_on, str) else known_on
    return f"S{(day - timedelta(days=1)).isocalendar().week}"


@dataclass(frozen=True)
class Row:
    """A line of the table: a code of the first dimension, and a figure for each column."""

    code: str
    label: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Bar:
    """A figure of a plot with its words; `expected` is drawn as a mark on it."""

    code: str
    label: str
    figure: Figure
    expected: float | None = None


@dataclass(frozen=True)
class First:
    """The number that a page begins with: a figure of the release, or one that is computed from some (`text`, None: not possible)."""

    figure: Figure | None
    text: str | None
    unit: str
    about: str
    note: str = ""


@dataclass(frozen=True)
class View:
    """An indicator in one school year of a release. `weeks`: of each release by number, "S47"."""

    definition: Definition
    release: Release
    year: str
    weeks: Mapping[int, str]

    @cached_property
    def table(self) -> Table:
        """Its shape in the release, which may be older than the definition."""
        return next(one for one in self.release.tables if one.name == f"{self.definition.name}/{self.year}")

    @property
    def figures(self) -> Mapping[Key, Figure]:
        """Every figure by its codes."""
        return self.release.figures[self.table.name]

    @cached_property
    def totals(self) -> dict[str, str]:
        """The total of each of its dimensions."""
        return {one.name: one.total for one in self.release.dimensions if one.name in self.table.dimensions}

    def at(self, **codes: str) -> Figure:
        """The figure of some codes, of everybody in the other dimensions; a number that no table has is secret."""
        key = tuple(codes.get(name, self.totals[name]) for name in self.table.dimensions)
        return self.figures.get(key, Figure())

    def codes(self, dimension: str) -> list[str]:
        """The codes that it shows, the total first, places by name; those that nobody knows any more last."""
        place = self.table.dimensions.index(dimension)
        shown = dict.fromkeys(key[place] for key in self.figures)
        known = {code: rank for rank, code in enumerate(catalogue()[dimension].labels)}
        order = list(_SECTIONS)
        if dimension in _PLACES:
            return sorted(
                shown, key=lambda code: (order.index(code.partition(":")[0]), _folded(label(dimension, code)))
            )
        return sorted(shown, key=lambda code: (known.get(code, len(known)), code))

    @property
    def place(self) -> str | None:
        """The dimension of its places."""
        return next((name for name in self.table.dimensions if name in _PLACES), None)

    def by_epci(self) -> dict[str, Figure]:
        """The number that stands first for each intercommunality that it shows, by SIREN."""
        at, place = FIRST.get(self.definition.name, {}), self.place
        codes = self.codes(place) if place else []
        return {siren_of(code): self.at(**{str(place): code}, **at) for code in codes if siren_of(code)}

    @property
    def period(self) -> str:
        """Of which school year it is, in words."""
        year, measure = f"année scolaire {self.year}", self.table.measure.partition("/")[0]
        if self.place == "reach":
            return f"face aux sorties de l’{year}"
        return f"sorties de l’{year}" if measure in _LEAVERS else year

    @property
    def choice(self) -> str | None:
        """The dimension of which one code is looked at: the first of two."""
        first = self.table.dimensions[0]
        return first if len(self.table.dimensions) > 1 and first in CHOICES else None

    @property
    def choosable(self) -> list[str]:
        """The codes that may be looked at; of the intercommunalities the map and the table tell."""
        return [code for code in self.codes(self.choice) if not code.startswith("epci:")] if self.choice else []

    def is_old(self, figure: Figure) -> bool:
        """Whether a number stayed from an older release."""
        return figure.as_of is not None and figure.as_of != self.release.number

    @property
    def old_count(self) -> int:
        """How many of its numbers are of older releases."""
        return sum(self.is_old(figure) for figure in self.figures.values())

    @property
    def secret_count(self) -> int:
        """How many of its numbers are withheld."""
        return sum(figure.value is None for figure in self.figures.values())


def view(definition: Definition, release: Release, weeks: Mapping[int, str], year: str = "") -> View | None:
    """The indicator in a school year, the last one where none is asked for; None where the release has not got it."""
    years = school_years(definition.name, release)
    if not years or (year and year not in years):
        return None
    return View(definition, release, year or years[0], weeks)


def school_years(name: str, release: Release) -> list[str]:
    """Those of which a release has an indicator, the last one first."""
    found = (one.name.rpartition("/") for one in release.tables)
    return sorted((year for own, _, year in found if own == name), reverse=True)


def _folded(text: str) -> str:
    return text.translate(str.maketrans("ÉÈÊÀÂÎÔÇéèêàâîôç", "EEEAAIOCeeeaaioc")).lower()


def number(value: float, decimals: int = 0) -> str:
    """ "1 234" or "5,3": as French writes a number."""
    return f"{value:,.{decimals}f}".replace(",", "\u202f").replace(".", ",")


# -- the table


def columns(one: View) -> list[str]:
    """The codes of its second dimension, or none."""
    return one.codes(one.table.dimensions[1]) if len(one.table.dimensions) > 1 else []


def sections(one: View) -> list[tuple[str, list[Row]]]:
    """Every number, in lines: of a territory under its kind, in the order of the alphabet."""
    first = one.table.dimensions[0]
    found: dict[str, list[Row]] = {}
    for code in one.codes(first):
        keys: list[Key] = [(code, column) for column in columns(one)] or [(code,)]
        row = Row(code, label(first, code), tuple(one.figures.get(key, Figure()) for key in keys))
        found.setdefault(_SECTIONS[code.partition(":")[0]] if first in _PLACES else "", []).append(row)
    return list(found.items())


def records(one: View) -> list[dict[str, str | float | int | None]]:
    """The same, a line for each number, for programs: `value` is None and `status` secret where it is withheld."""
    return [
        {
            "indicator": one.definition.name,
            "school_year": one.year,
            **dict(zip(one.table.dimensions, key, strict=True)),
            **{f"{name}_label": label(name, code) for name, code in zip(one.table.dimensions, key, strict=True)},
            "value": figure.value,
            "status": "secret" if figure.value is None else "published",
            "as_of": figure.as_of,
            "release": one.release.number,
            "known_on": one.release.known_on,
        }
        for key, figure in sorted(one.figures.items())
    ]


# -- the first number, and the plot


def first(one: View, chosen: str) -> First:
    """What a page begins with; `chosen` is the code that is looked at."""
    at = {one.choice: chosen} if one.choice else {}
    name = one.definition.name
    if "delay" in one.table.dimensions:
        return _median_words(delays(one, chosen))
    presence = next((each for each in ("presence", "presence_6") if each in one.table.dimensions), None)
    if presence:
        answers = [one.at(**at, **{presence: code}).value for code in _ANSWERS]
        asked = None if None in answers else sum(each or 0 for each in answers)
        share = 100 * (answers[0] or 0) / asked if asked else None
        about = f"encore là, sur {number(asked)} de qui la réponse est due" if asked else "encore là"
        note = "" if asked else "Non calculé : un nombre qu’il faudrait est secret, ou personne n’est concerné encore."
        return First(None, None if share is None else number(share), "%", about, note)
    figure = one.at(**at, **FIRST.get(name, {}))
    about = label("path", "waiting").lower() if name in FIRST else "libres" if one.place == "reach" else ""
    return First(figure, None, one.definition.unit, about)


def _median_words(table: LifeTable | None) -> First:
    about = "médiane, du signalement à la première proposition"
    median = table.quantile(0.5) if table else None
    if table is None or median is None:
        return First(None, None, "semaines", about, "Non calculée : des nombres secrets laissent trop de possibilités.")
    if median.at is None:
        return First(None, None, "semaines", about, not_reached(table))
    return First(None, found_at(median), "semaines", about, interval(median))


def found_at(found: Quantile) -> str:
    """ "4,3", or "≈ 4,3" where secret numbers leave it open."""
    near = "≈\u202f" if found.near else ""
    return near + number(found.at or 0, 1)


def not_reached(table: LifeTable) -> str:
    """Why there is no median."""
    return f"Pas atteinte : plus de la moitié attend encore après {number(table.until)} semaines."


def interval(found: Quantile) -> str:
    """Between which weeks a quantile lies."""
    low = number(found.low or 0, 1)
    return f"{f'De {low} à {number(found.high, 1)}' if found.high is not None else f'{low} ou plus'} (intervalle à 95\u202f%)"


def bars(one: View, chosen: str) -> list[Bar]:
    """The parts of what is looked at, the total left out; of a plain table of territories the departments."""
    names = one.table.dimensions
    shown, at = names[-1], {one.choice: chosen} if one.choice else {}
    codes = [code for code in one.codes(shown) if code != one.totals[shown] and not code.startswith("epci:")]
    course = _course(one, chosen) if shown == "month" else {}
    return [Bar(code, label(shown, code), one.at(**at, **{shown: code}), course.get(code)) for code in codes]


def _course(one: View, chosen: str) -> dict[str, float]:
    """What each month of a territory would count if it went as the whole Region."""
    here, everybody = one.at(territory=chosen).value, one.at().value
    if chosen == one.totals["territory"] or not here or not everybody:
        return {}
    months = {code: one.at(month=code).value for code in one.codes("month")}
    return {code: here * value / everybody for code, value in months.items() if value is not None}


# -- statistics


def delays(one: View, territory: str) -> LifeTable | None:
    """The life table of a territory, from the counts of its classes."""

    def figure(code: str) -> Figure:
        return one.at(territory=territory, delay=code)

    def hidden(fate: str) -> float | None:
        classes = [figure(f"{fate}:{name}") for name in names]
        known = [each for each in (figure(fate), *classes) if each.value is not None]
        if len(known) == 1 + len(classes):
            return 0
        # Of several releases they are of several days, and what they leave is nobody's number.
        of_one_day = figure(fate).value is not None and len({each.as_of for each in known}) == 1
        return max(0.0, (figure(fate).value or 0) - sum(each.value or 0 for each in classes)) if of_one_day else None

    names = [f"{begins}-{after}" if after else f"{begins}+" for begins, after in WEEKS]
    spans = [
        Span(begins, after or inf, figure(f"offered:{name}").value, figure(f"without:{name}").value)
        for name, (begins, after) in zip(names, WEEKS, strict=True)
    ]
    people = figure(one.totals["delay"]).value
    return life_table.life_table(people, spans, hidden("offered"), hidden("without"))


def watched(one: View, before: View | None) -> dict[str, Watched]:
    """What early signals there are: of each department against the Region, of the Region against the year before, if it has one.

    Whole months only: the last one may still be told of.
    """
    known_on, begins = date.fromisoformat(one.release.known_on), int(one.year[:4])
    region = one.totals["territory"]
    months = [code for code in one.codes("month") if code.isdigit() and _ended(code, begins, known_on)]
    found: dict[str, Watched] = {}
    for code in one.choosable:
        if code != region:
            told = [Month(m, one.at(territory=code, month=m).value, one.at(month=m).value) for m in months]
            found[code] = signals.watch(told)
        elif before is not None:
            pairs = [(m, one.at(month=m).value, before.at(month=m).value) for m in months]
            found[code] = signals.watch(
                [Month(m, now, None if now is None or then is None else now + then) for m, now, then in pairs]
            )
    return found


def _ended(code: str, begins: int, known_on: date) -> bool:
    begun = quality.month_of_code(code, begins)
    return (begun + timedelta(days=32)).replace(day=1) <= known_on


@dataclass(frozen=True)
class Compared:
    """What a department counts, and what its pupils' context lets expect; None: a number that it needs is secret."""

    code: str
    label: str
    ratio: Ratio | None


def compared(contexts: View, pupils: View | None, cases: View | None) -> list[Compared]:
    """Observed against expected by department, in the order of the alphabet and no other."""
    if pupils is None or cases is None or pupils.year != contexts.year or cases.year != contexts.year:
        return []
    codes = [code for code in contexts.codes("context") if code != contexts.totals["context"]]
    region = {code: contexts.at(context=code).value for code in codes}
    region_of = {code: pupils.at(context=code).value for code in codes}
    found = []
    for place in pupils.codes("territory"):
        if place.startswith("dep:"):
            here = {code: pupils.at(territory=place, context=code).value for code in codes}
            wanted = expected.expected_count(region, region_of, here)
            found.append(
                Compared(place, label("territory", place), expected.ratio(cases.at(territory=place).value, wanted))
            )
    return found


# -- what to know


def messages(
    one: View,
    used: Mapping[str, Mapping[str, str]],
    before: Mapping[str, Mapping[str, str]],
    today: date,
    *,
    newest: bool,
) -> list[quality.Message]:
    """What a reader should know; `used` and `before` say of which definitions this release and the one before it are."""
    name = one.definition.name
    mine = {"version": one.definition.version, "sha256": one.definition.sha256}
    found = quality.of_day(date.fromisoformat(one.release.known_on), today, newest)
    found += quality.of_definition(name, used.get(name), before.get(name))
    if used.get(name) and dict(used[name]) != mine:
        text = f"Ce relevé est de la version {used[name]['version']} de la définition ; celle qui est montrée ici est plus récente."
        found.append(quality.Message("definition", text))
    return found + quality.of_table(one.release, one.table, label, lambda number: one.weeks.get(number, str(number)))


def said(signal: signals.Signal, place: str, of: str) -> str:
    """An early signal in words."""
    since, until = label("month", signal.since), label("month", signal.until)
    when = f"En {since}" if since == until else f"De {since} à {until}"
    rare = "moins d’une fois en cent ans" if signal.years >= 100 else f"au plus une fois en {signal.years} ans"
    return (
        f"{when}, {number(signal.observed)} situations contre {number(signal.expected)} attendues {of}. "
        f"Une alerte comme celle-ci arrive par hasard {rare} {place}."
    )


def siren_of(code: str) -> str:
    """Of `epci:242700573@2026`; empty for what is no intercommunality."""
    kind, _, rest = code.partition(":")
    return rest.partition("@")[0] if kind == "epci" else ""


def bounds(values: Sequence[float]) -> list[int]:
    """Where up to five classes of a map begin, the first one left out: fifths of the numbers, rounded down to what one remembers.

    None at all is a class of its own.
    """
    nice = [
        1,
        2,
        3,
        5,
        8,
        11,
        15,
        20,
        25,
        30,
        40,
        50,
        60,
        80,
        100,
        125,
        150,
        200,
        250,
        300,
        400,
        500,
        600,
        800,
        1000,
        1500,
        2000,
    ]
    ordered = sorted(values)
    if not ordered:
        return []
    if some := [value for value in ordered if value] if not ordered[0] else []:
        return [1, *bounds(some)[-3:]]
    fifths = [ordered[len(ordered) * step // 5] for step in range(1, 5)]
    rounded = {max((one for one in nice if one <= value), default=1) for value in fifths}
    return sorted(one for one in rounded if one > ordered[0])


def classes(bounds: Sequence[int]) -> list[str]:
    """The words of each class of a map."""
    if not bounds:
        return ["publié"]
    between = [f"{low} à {high - 1}" for low, high in pairwise(bounds)]
    return [f"moins de {bounds[0]}" if bounds[0] > 1 else "aucune", *between, f"{bounds[-1]} et plus"]
