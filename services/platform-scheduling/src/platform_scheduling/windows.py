"""Windows in which an owner offers a platform: a wall-clock time in Paris, repeated by an RFC 5545 rule, or once.

Only rules whose next date is always near are taken, so that no rule can keep a process busy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from dateutil.rrule import rrulestr

from platform_scheduling.state import Span
from territory import school_calendar
from territory.working_time import PARIS, public_holidays

LENGTH_MINUTES_MAX = 24 * 60
_FREQUENCIES = {"DAILY", "WEEKLY", "MONTHLY"}
_PARTS = {
    "FREQ": re.compile(r"[A-Z]+"),
    "INTERVAL": re.compile(r"[1-9][0-9]?"),
    "BYDAY": re.compile(r"(-?[1-4]|)(MO|TU|WE|TH|FR|SA|SU)(,(-?[1-4]|)(MO|TU|WE|TH|FR|SA|SU)){0,13}"),
    "UNTIL": re.compile(r"[0-9]{8}(T[0-9]{6}Z?)?"),
    "COUNT": re.compile(r"[1-9][0-9]{0,3}"),
    "WKST": re.compile(r"MO"),
}


@dataclass(frozen=True)
class Window:
    """`starts_at_local` is a Paris wall clock without a zone; the rule, if any, repeats it."""

    window_id: UUID
    starts_at_local: datetime
    length_minutes: int
    rrule: str | None = None
    in_school_holidays: bool = False
    in_public_holidays: bool = False


def checked_rule(text: str) -> str:
    """A recurrence rule of ours; `ValueError` says in French what is wrong."""
    rule = text.strip().upper().removeprefix("RRULE:")
    parts = dict(part.partition("=")[::2] for part in rule.split(";"))
    if len(parts) != len(rule.split(";")):
        raise ValueError("une partie de la règle est répétée")
    for name, value in parts.items():
        if name not in _PARTS or not _PARTS[name].fullmatch(value):
            raise ValueError(f"règle de répétition : « {name[:20]}={value[:40]} » n’est pas pris en charge")
    if parts.get("FREQ") not in _FREQUENCIES:
        raise ValueError("règle de répétition : FREQ=DAILY, WEEKLY ou MONTHLY")
    if parts["FREQ"] != "MONTHLY" and re.search(r"[0-9]", parts.get("BYDAY", "")):
        raise ValueError("un rang de jour (2MO) ne va qu’avec FREQ=MONTHLY")
    if parts["FREQ"] == "DAILY" and "BYDAY" in parts and parts.get("INTERVAL", "1") != "1":
        raise ValueError("avec FREQ=DAILY et un INTERVAL, pas de BYDAY : prenez FREQ=WEEKLY")
    if "UNTIL" in parts and "COUNT" in parts:
        raise ValueError("UNTIL ou COUNT, pas les deux")
    if "UNTIL" in parts:
        _until(parts["UNTIL"])
    return rule


def occurrences(window: Window, first: date, last: date) -> list[Span]:
    """What a window offers from one day to another, both included, by the day on which each occurrence begins.

    A wall clock that does not exist (the night in March) is read an hour later, one that exists twice is the first.
    """
    if window.rrule is None:
        starts = [window.starts_at_local]
    else:
        rule = rrulestr(_local_until(window.rrule), dtstart=window.starts_at_local)
        starts = rule.between(datetime.combine(first, time(0)), datetime.combine(last, time.max), inc=True)
    spans = [
        wall_clock_span(start, window.length_minutes)
        for start in starts
        if first <= start.date() <= last and _is_on(window, start.date())
    ]
    # What lies whole in the hour that March leaves out does not take place.
    return [span for span in spans if span.starts_at < span.ends_at]


def _is_on(window: Window, day: date) -> bool:
    if not window.in_public_holidays and day in public_holidays(day.year):
        return False
    if window.in_school_holidays:
        return True
    # Beyond the published calendar nobody knows whether there is school.
    return day <= school_calendar.known_until() and school_calendar.school_holiday(day) is None


def wall_clock_span(start: datetime, length_minutes: int) -> Span:
    """From a Paris clock time to the one that the clock shows so many minutes later: what lies between may be an hour more or less."""
    end = start + timedelta(minutes=length_minutes)
    return Span(start.replace(tzinfo=PARIS).astimezone(UTC), end.replace(tzinfo=PARIS).astimezone(UTC))


def _until(text: str) -> datetime:
    """The last moment of a rule on the Paris clock; a date alone is the whole day."""
    try:
        if len(text) == 8:
            return datetime.combine(datetime.strptime(text, "%Y%m%d").date(), time(23, 59, 59))
        if text.endswith("Z"):
            return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).astimezone(PARIS).replace(tzinfo=None)
        return datetime.strptime(text, "%Y%m%dT%H%M%S")
    except (ValueError, OverflowError):
        raise ValueError(f"règle de répétition : UNTIL={text} n’est pas une date") from None


def _local_until(rule: str) -> str:
    return re.sub(r"UNTIL=([0-9TZ]+)", lambda found: f"UNTIL={_until(found[1]):%Y%m%dT%H%M%S}", rule)
