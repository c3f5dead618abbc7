"""The owner's week as a grid: seven days, the hours that are used, and what lies where, in percents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from common.pages import PARIS
from territory import school_calendar
from territory.working_time import public_holidays

_FIRST_HOUR, _LAST_HOUR = 8, 18


@dataclass(frozen=True)
class Piece:
    """What lies in a day: `top` and `tall` in percent of the column, `left` and `wide` among the units."""

    kind: str
    top: float
    tall: float
    left: float
    wide: float
    row: Any = None


@dataclass
class Day:
    """A column."""

    on: date
    holiday: str
    pieces: list[Piece] = field(default_factory=list)


@dataclass(frozen=True)
class Grid:
    """The hours that the columns show, and the columns."""

    hours: range
    days: list[Day]


def grid(monday: date, unit_count: int, opened: Sequence[Any], busy: Sequence[Any], bookings: Sequence[Any]) -> Grid:
    """Lays out windows, kept time and bookings; a piece over midnight shows in both days."""
    things = [("open", one, None) for one in opened] + [("busy", one, one.unit_number) for one in busy]
    things += [(f"book {one.state}", one, one.unit_number) for one in bookings]
    days = [monday + timedelta(days=n) for n in range(7)]
    hours = _hours(days, [one for _, one, _ in things])
    found = []
    for day in days:
        column = Day(day, _holiday(day))
        begin, end = (_paris(day, hour) for hour in (hours.start, hours.stop))
        total = (end - begin).total_seconds()
        for kind, one, unit in things:
            top, bottom = max(one.starts_at, begin), min(one.ends_at, end)
            if top >= bottom:
                continue
            wide = 100 if unit is None else 100 / unit_count
            left = 0 if unit is None else (unit - 1) * wide
            above = (top - begin).total_seconds()
            tall = (bottom - top).total_seconds()
            column.pieces.append(Piece(kind, 100 * above / total, 100 * tall / total, left, wide, one))
        found.append(column)
    return Grid(hours, found)


def _hours(days: Sequence[date], things: Sequence[Any]) -> range:
    """From the earliest to the latest hour that something takes in one of the days, at least a working day."""
    first, last = _FIRST_HOUR, _LAST_HOUR
    for one in things:
        begin, end = one.starts_at.astimezone(PARIS), one.ends_at.astimezone(PARIS)
        for day in days:
            if begin.date() <= day <= end.date():
                first = min(first, begin.hour if begin.date() == day else 0)
                last = max(last, end.hour + (end.minute > 0) if end.date() == day else 24)
    return range(first, last)


def _paris(day: date, hour: int) -> datetime:
    local = datetime.combine(day + timedelta(days=hour // 24), time(hour % 24), PARIS)
    return local.astimezone(UTC)


def _holiday(day: date) -> str:
    if day in public_holidays(day.year):
        return "férié"
    return (school_calendar.school_holiday(day) or "").replace("'", "’")
