"""Bookings as an iCalendar feed (RFC 5545): UID is the booking's id, SEQUENCE counts its changes, what is undone says so."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from icalendar import Calendar, Event, vDuration

from common.calendars import entry
from territory import reference

_STATUS = {
    "requested": "TENTATIVE",
    "tentative": "TENTATIVE",
    "approved": "CONFIRMED",
    "done": "CONFIRMED",
    "no_show": "CONFIRMED",
}
_REFRESH = timedelta(minutes=15)


def feed(title: str, rows: Sequence[Any], *, for_owner: bool) -> bytes:
    """A calendar of bookings; times in UTC, so that no time zone has to travel with it."""
    calendar = Calendar()
    calendar.add("prodid", "-//Estuaire//Plateaux techniques//FR")
    calendar.add("version", "2.0")
    calendar.add("calscale", "GREGORIAN")
    calendar.add("name", title)
    calendar.add("x-wr-calname", title)
    calendar.add("refresh-interval", vDuration(_REFRESH), parameters={"VALUE": "DURATION"})
    calendar.add("x-published-ttl", vDuration(_REFRESH))
    for row in rows:
        calendar.add_component(_event(row, for_owner=for_owner))
    content: bytes = calendar.to_ical()
    return content


def _event(row: Any, *, for_owner: bool) -> Event:
    event = entry(row.booking_id, row.revision, changed_at=row.changed_at)
    event.add("created", row.requested_at)
    event.add("dtstart", row.starts_at)
    event.add("dtend", row.ends_at)
    status = _STATUS.get(row.state, "CANCELLED")
    event.add("status", status)
    event.add("transp", "TRANSPARENT" if status == "CANCELLED" or row.state == "requested" else "OPAQUE")
    who = row.requester_title if for_owner else row.owner_title
    event.add("summary", f"{row.title} ({who})")
    where = reference.communes().get(row.commune_code)
    event.add("location", ", ".join(filter(None, (row.owner_title, row.unit_title, where.title if where else None))))
    if where is not None:
        event.add("geo", (round(where.latitude, 4), round(where.longitude, 4)))
    event.add("description", f"{row.group_size} personnes")
    return event
