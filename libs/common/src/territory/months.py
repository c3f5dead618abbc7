"""Months on the Paris calendar, each by its first day."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from territory.working_time import PARIS


def month_of(now: datetime) -> date:
    """The first day of the month that an instant is in, in Paris."""
    return now.astimezone(PARIS).date().replace(day=1)


def months_between(first: date, last: date) -> int:
    """How many months lie between two."""
    return (last.year - first.year) * 12 + last.month - first.month


def months_after(day: date, months: int) -> date:
    """The same day so many months later, or earlier; the last of a month that is too short for it."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    next_year, next_month = divmod(year * 12 + month + 1, 12)
    last = date(next_year, next_month + 1, 1) - timedelta(days=1)
    return last.replace(day=min(day.day, last.day))
