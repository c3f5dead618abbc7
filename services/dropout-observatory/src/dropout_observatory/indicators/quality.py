"""What a reader should know of the numbers of a release: sums that differ, a silence, a date that cannot be, a definition that changed.

Pure; it reads releases and nothing else, so that what it says is no secret. What only the lake can tell is not here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

from dropout_observatory.release import Figure, Key, Release, Table

# A Monday's release is late from the second day on, when the morning of the day after has passed too.
LATE_DAYS = 8
# The whole is expected to move by eleven people or more within so many weeks of a school year.
SILENT_RELEASES = 6
_EXAMPLES_MAX = 3

Kind = Literal["sum", "silence", "date", "definition", "late"]
# The French words of a code of a dimension, and of a release by its number.
Words = Callable[[str, str], str]
Week = Callable[[int], str]


@dataclass(frozen=True)
class Message:
    """One thing to know, in French. `fault`: it should not be, and somebody has to look."""

    kind: Kind
    text: str
    fault: bool = False


def of_table(release: Release, table: Table, words: Words, week: Week) -> list[Message]:
    """What the numbers of one table say of themselves."""
    return [*_sums(release, table, words), *_silence(release, table, week), *_impossible_months(release, table, words)]


def of_definition(name: str, used: Mapping[str, Any] | None, before: Mapping[str, Any] | None) -> list[Message]:
    """Whether an indicator counts otherwise than in the release before: `used` and `before` have its `version` and `sha256`."""
    if used is None or before is None or used == before:
        return []
    if used["version"] != before["version"]:
        text = f"La définition a changé : version {used['version']} ici, version {before['version']} au relevé d’avant. Ne pas comparer sans lire ce qui change."
        return [Message("definition", text)]
    text = f"La définition {name} n’est plus la même qu’au relevé d’avant, sous le même numéro de version : à signaler."
    return [Message("definition", text, fault=True)]


def of_day(known_on: date, today: date, newest: bool) -> list[Message]:
    """Whether the day of a release can be, and whether the one after it should be there."""
    if known_on > today:
        text = "Ce relevé porte un jour qui n’est pas encore venu : à signaler."
        return [Message("date", text, fault=True)]
    if newest and today >= known_on + timedelta(days=LATE_DAYS):
        text = "Le relevé de cette semaine manque : celui-ci est le dernier publié."
        return [Message("late", text)]
    return []


# -- sums


def _sums(release: Release, table: Table, words: Words) -> Iterator[Message]:
    """Where every part and the total are shown, and differ."""
    if table.kind not in ("count", "public") or table.rounding > 1:
        return
    old: list[str] = []
    wrong: list[str] = []
    for key, figure, parts in _shown_sums(release, table):
        difference = sum(part.value or 0 for part in parts) - (figure.value or 0)
        if difference:
            said = f"{_place(table, key, words)} : {_number(figure.value)}, la somme des parties {_number((figure.value or 0) + difference)}"
            (old if len({figure.as_of, *(part.as_of for part in parts)}) > 1 else wrong).append(said)
    if old:
        text = (
            f"Des parties ne font pas leur total, parce qu’un nombre est resté d’un relevé plus ancien. {_listed(old)}"
        )
        yield Message("sum", text)
    if wrong:
        yield Message(
            "sum", f"Des parties ne font pas leur total, sans raison connue : à signaler. {_listed(wrong)}", True
        )


def _shown_sums(release: Release, table: Table) -> Iterator[tuple[Key, Figure, list[Figure]]]:
    figures = release.figures.get(table.name, {})
    dimensions = {one.name: one for one in release.dimensions}
    for place, name in enumerate(table.dimensions):
        for one in dimensions[name].sums:
            for key, figure in figures.items():
                if key[place] == one.total and figure.value is not None:
                    parts = [figures.get((*key[:place], part, *key[place + 1 :])) for part in one.parts]
                    found = [part for part in parts if part is not None and part.value is not None]
                    if found and len(found) == len(parts):
                        yield key, figure, found


def _listed(said: Sequence[str]) -> str:
    more = f" ; et {len(said) - _EXAMPLES_MAX} autres" if len(said) > _EXAMPLES_MAX else ""
    return f"{' ; '.join(said[:_EXAMPLES_MAX])}{more}."


def _place(table: Table, key: Key, words: Words) -> str:
    return ", ".join(words(name, code) for name, code in zip(table.dimensions, key, strict=True))


def _number(value: float | None) -> str:
    return f"{value:,.0f}".replace(",", "\u202f")


# -- silence and dates


def _silence(release: Release, table: Table, week: Week) -> Iterator[Message]:
    """The whole has not moved for long, or parts of it were there and ceased to move."""
    totals = {one.name: one.total for one in release.dimensions}
    whole = release.figures.get(table.name, {}).get(tuple(totals[name] for name in table.dimensions))
    if table.kind != "count" or whole is None or whole.as_of is None:
        return
    if release.number - whole.as_of >= SILENT_RELEASES:
        text = f"Le total n’a pas bougé de onze personnes depuis le relevé {week(whole.as_of)} : une source se tait peut-être."
        yield Message("silence", text)


def _impossible_months(release: Release, table: Table, words: Words) -> Iterator[Message]:
    """Somebody counted in a month that had not begun."""
    if "month" not in table.dimensions:
        return
    place, known_on = table.dimensions.index("month"), date.fromisoformat(release.known_on)
    begins = int(table.name.rpartition("/")[2][:4])
    coming = [
        words("month", key[place])
        for key, figure in release.figures.get(table.name, {}).items()
        if key[place].isdigit() and figure.value and month_of_code(key[place], begins) > known_on
    ]
    if coming:
        months = ", ".join(dict.fromkeys(coming))
        yield Message("date", f"Des situations sont comptées dans un mois à venir ({months}) : à signaler.", fault=True)


def month_of_code(code: str, begins: int) -> date:
    """The month of a code (`09`) in the school year that begins in a year."""
    month = int(code)
    return date(begins if month >= 9 else begins + 1, month, 1)
