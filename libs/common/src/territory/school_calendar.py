"""School holidays of zone B, to which the académie de Normandie belongs. Source: the ministry's calendar, as the library gives it."""

from __future__ import annotations

from datetime import date
from functools import cache

from vacances_scolaires_france import SchoolHolidayDates

_ZONE = "B"


@cache
def _known() -> dict[date, str]:
    source = SchoolHolidayDates()
    return {
        day: str(holiday["nom_vacances"])
        for day, holiday in source.data.items()
        if holiday[f"vacances_zone_{_ZONE.lower()}"]
    }


def school_holiday(day: date) -> str | None:
    """The French name of the holiday that a day belongs to, or None on a day of school."""
    return _known().get(day)


@cache
def known_until() -> date:
    """The last day that the published calendar speaks of; what comes after, nobody knows yet."""
    return max(_known())
