"""Working days in France: Monday to Friday, no public holiday, days of 24 hours on the Paris clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import holidays

PARIS = ZoneInfo("Europe/Paris")


@cache
def _public_holidays(year: int) -> frozenset[date]:
    return frozenset(holidays.country_holidays("FR", years=year))


def is_working_day(day: date) -> bool:
    """Whether people are at work on this day."""
    return day.weekday() < 5 and day not in _public_holidays(day.year)


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
