"""Reads an owner's calendar (RFC 5545) into the time that it keeps, in a child process with little memory and time.

A foreign file may hold a rule for a hundred years, or one that a library never stops computing: it ends the child alone.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from platform_scheduling.state import Span
from territory.working_time import PARIS

BYTES_MAX = 2_000_000
_SPANS_MAX = 5000
# Of processor time, which others' work does not take: the fullest calendar that is taken needs 2 to 3 s where this was
# written, the rest is for slower machines. On a busy one it takes its time; the other limit ends a child that stands still.
_CPU_SECONDS_MAX, _WALL_SECONDS_MAX = 20, 180
# So much of the period is worked out at a time: a calendar of too many spans is known by its first months.
_STRETCH = timedelta(days=30)
# A rule by the second or the minute is no calendar of a workshop.
_TOO_OFTEN = {"SECONDLY", "MINUTELY"}
_TIMING = {"DTSTART", "DTEND", "DURATION", "RRULE", "EXDATE", "RDATE", "RECURRENCE-ID", None}
_MEMORY_BYTES_MAX = 400_000_000
_NOTE_MAX = 120
# Each child may take the memory above: so many at a time, whoever sends them.
_READING = asyncio.Semaphore(2)


class Unreadable(ValueError):
    """Why a calendar was not taken: `reason` is a closed code, the text a French sentence that says what to do."""

    def __init__(self, reason: str) -> None:
        super().__init__(_UNREADABLE[reason])
        self.reason = reason


_UNREADABLE = {
    "not_a_calendar": "Ce fichier n’est pas un calendrier iCalendar (.ics) lisible.",
    "bad_event": "Les dates d’un évènement du fichier ne se lisent pas : exportez-le à nouveau, sans cet évènement.",
    "unknown_zone": "Un fuseau horaire du fichier n’est pas connu : exportez-le en heure de Paris ou en UTC.",
    "too_many": f"Plus de {_SPANS_MAX} évènements, répétitions comprises : exportez une période plus courte.",
    "too_heavy": "Ce calendrier est trop lourd à lire (une répétition sans fin ?) : simplifiez-le puis recommencez.",
    "too_large": f"Au plus {BYTES_MAX // 1_000_000} Mo : exportez une période plus courte.",
}


async def read(content: bytes, since: datetime, until: datetime) -> list[tuple[Span, str]]:
    """Busy spans between two instants with a short note each, as the file has them; raises `Unreadable`."""
    if len(content) > BYTES_MAX:
        raise Unreadable("too_large")
    async with _READING:
        told = await _told_by_a_child(content, since, until)
    answer: dict[str, Any] = json.loads(told)
    if "reason" in answer:
        raise Unreadable(answer["reason"])
    return [
        (Span(datetime.fromisoformat(begin), datetime.fromisoformat(end)), note) for begin, end, note in answer["spans"]
    ]


async def _told_by_a_child(content: bytes, since: datetime, until: datetime) -> bytes:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "platform_scheduling.busy_calendar",
        since.isoformat(),
        until.isoformat(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        told, _ = await asyncio.wait_for(child.communicate(content), _WALL_SECONDS_MAX)
    except TimeoutError:
        raise Unreadable("too_heavy") from None
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()
    if child.returncode != 0:
        raise Unreadable("too_heavy")
    return told


# -- in the child


class _Refused(Exception):
    """Carries the reason."""


def _spans(content: bytes, since: datetime, until: datetime) -> list[tuple[str, str, str]]:
    import recurring_ical_events
    from icalendar import Calendar

    if content.count(b"BEGIN:VEVENT") > _SPANS_MAX:
        raise _Refused("too_many")
    try:
        calendar = Calendar.from_ical(content)
    except (ValueError, IndexError, KeyError, UnicodeDecodeError):
        raise _Refused("not_a_calendar") from None
    if calendar.name != "VCALENDAR":
        raise _Refused("not_a_calendar")
    for event in calendar.walk("VEVENT"):
        _check(event)
    events = recurring_ical_events.of(calendar)
    found: dict[tuple[str, datetime, datetime], tuple[str, str, str]] = {}
    # A day of margin: the library takes a time without a zone for one in UTC.
    for begins_at in _stretches(since, until + timedelta(days=1)):
        for event in events.between(begins_at, begins_at + _STRETCH):
            begin, end = _instant(event["DTSTART"].dt), _instant(event["DTEND"].dt)
            within = max(begin, since), min(end, until)
            is_free = event.get("TRANSP", "OPAQUE") == "TRANSPARENT" or event.get("STATUS") == "CANCELLED"
            if is_free or within[0] >= within[1]:
                continue
            # What reaches over the edge of a stretch is in both.
            note = str(event.get("SUMMARY", ""))[:_NOTE_MAX]
            found[(str(event.get("UID", "")), begin, end)] = (within[0].isoformat(), within[1].isoformat(), note)
        if len(found) > _SPANS_MAX:
            raise _Refused("too_many")
    for number, (begin, end) in enumerate(_free_busy(calendar)):
        within = max(begin, since), min(end, until)
        if within[0] < within[1]:
            found[(f"free-busy {number}", begin, end)] = (within[0].isoformat(), within[1].isoformat(), "")
    if len(found) > _SPANS_MAX:
        raise _Refused("too_many")
    return sorted(found.values())


def _free_busy(calendar: Any) -> Iterator[tuple[datetime, datetime]]:
    """What a calendar that tells no events says is taken: many programs export nothing else (RFC 5545, VFREEBUSY)."""
    for part in calendar.walk("VFREEBUSY"):
        periods = part.get("FREEBUSY", [])
        for period in periods if isinstance(periods, list) else [periods]:
            if period.params.get("FBTYPE", "BUSY") != "FREE":
                yield _instant(period.start), _instant(period.end)


def _stretches(since: datetime, until: datetime) -> Iterator[datetime]:
    """Where each begins."""
    while since < until:
        yield since
        since += _STRETCH


def _check(event: Any) -> None:
    if any(name in _TIMING for name, _ in event.errors):
        raise _Refused("bad_event")
    rules = event.get("RRULE") or []
    for rule in rules if isinstance(rules, list) else [rules]:
        if not _TOO_OFTEN.isdisjoint(str(one).upper() for one in rule.get("FREQ", [])):
            raise _Refused("too_many")
    for name in ("DTSTART", "DTEND"):
        at = event.get(name)
        if at is not None and "TZID" in at.params and isinstance(at.dt, datetime) and at.dt.tzinfo is None:
            raise _Refused("unknown_zone")


def _instant(value: date | datetime) -> datetime:
    """A day alone begins at midnight in Paris, a time without a zone is a Paris clock."""
    if not isinstance(value, datetime):
        value = datetime.combine(value, time(0))
    return (value.replace(tzinfo=PARIS) if value.tzinfo is None else value).astimezone(UTC)


def _child() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES_MAX, _MEMORY_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS_MAX, _CPU_SECONDS_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    since, until = (datetime.fromisoformat(text) for text in sys.argv[1:3])
    try:
        answer: dict[str, Any] = {"spans": _spans(sys.stdin.buffer.read(), since, until)}
    except _Refused as refused:
        answer = {"reason": str(refused)}
    except Exception:
        # Whatever a foreign file makes a library raise is the file's fault.
        answer = {"reason": "bad_event"}
    print(json.dumps(answer))


if __name__ == "__main__":
    _child()
