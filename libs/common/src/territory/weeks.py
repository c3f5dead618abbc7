"""ISO weeks as text, `2027-W06`, and spans of consecutive ones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, timedelta

# Far from where a calendar ends, so that no span, term or time zone steps over its edge.
_YEARS = range(2000, 2101)
_WEEK = re.compile(r"([0-9]{4})-W([0-9]{2})")


def monday(week: str) -> date:
    """The first day of a week; `ValueError` for one that no calendar has, such as week 54, or of another century."""
    found = _WEEK.fullmatch(week)
    if found is None:
        raise ValueError(f"semaine « {week[:20]} » : écrivez par exemple 2027-W06")
    year, number = int(found[1]), int(found[2])
    if year not in _YEARS:
        raise ValueError(f"semaine « {week} » : l’année va de {_YEARS[0]} à {_YEARS[-1]}")
    try:
        return date.fromisocalendar(year, number, 1)
    except ValueError:
        raise ValueError(f"l’année {year} n’a pas de semaine {number}") from None


def week_of(day: date) -> str:
    """The ISO week of a day."""
    year, number, _ = day.isocalendar()
    return f"{year}-W{number:02d}"


def span(first: str, count: int) -> tuple[str, ...]:
    """So many consecutive weeks from the first on."""
    start = monday(first)
    return tuple(week_of(start + timedelta(weeks=n)) for n in range(count))


def consecutive(weeks: Sequence[str]) -> bool:
    """Whether these are a run of weeks without a hole, in order."""
    return tuple(weeks) == span(weeks[0], len(weeks)) if weeks else False


def following(day: date) -> str:
    """The first week that has not begun on a day."""
    return week_of(day + timedelta(days=7))
