"""Working days in France: Monday to Friday, no public holiday, days of 24 hours on the Paris clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from dateutil.easter import easter

PARIS = ZoneInfo("Europe/Paris")


# Code du travail, article L3133-1. The library `holidays` agrees, as a test checks, but costs a process 24 MB.
_FIXED = ((1, 1), (5, 1), (5, 8), (7, 14), (8, 15), (11, 1), (11, 11), (12, 25))
_DAYS_AFTER_EASTER = (1, 39, 50)  # Easter Monday, Ascension, Whit Monday


@cache
def public_holidays(year: int) -> frozenset[date]:
    """The eleven public holidays of metropolitan France outside Alsace-Moselle."""
    sunday = easter(year)
    return frozenset(
        [date(year, month, day) for month, day in _FIXED]
        + [sunday + timedelta(days=days) for days in _DAYS_AFTER_EASTER]
    )


def is_working_day(day: date) -> bool:
    """Whether people are at work on this day."""
    return day.weekday() < 5 and day not in public_holidays(day.year)


def add_working_days(instant: datetime, count: int) -> datetime:
    """The instant `count` working days of 24 h later, UTC: Friday 16:00 plus three is Wednesday 16:00, Paris time.

    Time outside working days does not run: from a Saturday the count starts on Monday at 00:00.
    """
    local = instant.astimezone(PARIS)
    day, clock = local.date(), local.timetz().replace(tzinfo=None)
    if not is_working_day(day):
        clock = time(0)
        while not is_working_day(day):
            day += timedelta(days=1)
    for _ in range(count):
        day += timedelta(days=1)
        while not is_working_day(day):
            day += timedelta(days=1)
    return datetime.combine(day, clock, PARIS).astimezone(UTC)


def end_of_day(day: date) -> datetime:
    """Midnight that ends a day in Paris, UTC."""
    return datetime.combine(day + timedelta(days=1), time(0), PARIS).astimezone(UTC)
