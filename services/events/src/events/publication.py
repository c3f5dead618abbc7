"""Events for other sites: schema.org Event (JSON-LD), JSON in the shape of OpenAgenda, iCalendar. What is by invitation is not in them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from icalendar import Calendar, Event, vDuration

from common.calendars import entry
from common.pages import PARIS
from events import words
from events.event_store import description_of
from events.kinds import KINDS
from events.messages import AttendanceMode
from events.state import Description
from territory import reference

_SCHEMA = "https://schema.org"
_MODES = {
    AttendanceMode.ON_SITE: ("OfflineEventAttendanceMode", 1),
    AttendanceMode.ONLINE: ("OnlineEventAttendanceMode", 2),
    AttendanceMode.MIXED: ("MixedEventAttendanceMode", 3),
}
_REFRESH = timedelta(minutes=15)


def by_event(rows: Sequence[Any]) -> dict[UUID, list[Any]]:
    """Sessions under their event, in the order of each event's first session."""
    found: dict[UUID, list[Any]] = {}
    for row in rows:
        found.setdefault(row.event_id, []).append(row)
    return found


def json_ld(event_id: UUID, rows: Sequence[Any], address: str) -> dict[str, Any]:
    """An event as schema.org has it: its sessions are sub-events, seats are offers without a price."""
    what = description_of(rows[0])
    live = [row for row in rows if row.state != "cancelled"] or list(rows)
    return {
        "@context": _SCHEMA,
        **_thing(what, what.title, live[0].starts_at, max(row.ends_at for row in live), address),
        "@id": f"{address}#event",
        "identifier": str(event_id),
        "eventStatus": f"{_SCHEMA}/{_status(rows[0].event_state)}",
        "description": what.summary or what.title,
        "inLanguage": "fr",
        "isAccessibleForFree": True,
        "organizer": {"@type": "Organization", "name": what.organiser_title},
        "subEvent": [
            {
                **_thing(what, row.title, row.starts_at, row.ends_at, address),
                "identifier": str(row.session_id),
                "eventStatus": f"{_SCHEMA}/{_status('cancelled' if row.state == 'cancelled' else rows[0].event_state)}",
                **({"performer": {"@type": "Person", "name": row.speaker}} if row.speaker else {}),
                **_seats(row, address),
            }
            for row in rows
        ],
    }


def _thing(what: Description, title: str, starts_at: Any, ends_at: Any, address: str) -> dict[str, Any]:
    return {
        "@type": "Event",
        "name": title,
        "startDate": starts_at.astimezone(PARIS).isoformat(),
        "endDate": ends_at.astimezone(PARIS).isoformat(),
        "eventAttendanceMode": f"{_SCHEMA}/{_MODES[what.attendance_mode][0]}",
        "location": _locations(what, address),
        "url": address,
    }


def _locations(what: Description, address: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if what.commune_code:
        commune = reference.communes()[what.commune_code]
        found.append(
            {
                "@type": "Place",
                "name": what.place_title or commune.title,
                "address": {"@type": "PostalAddress", "addressLocality": commune.title, "addressCountry": "FR"},
                "geo": {"@type": "GeoCoordinates", "latitude": commune.latitude, "longitude": commune.longitude},
            }
        )
    if what.attendance_mode != AttendanceMode.ON_SITE:
        found.append({"@type": "VirtualLocation", "url": address})
    return found


def _seats(row: Any, address: str) -> dict[str, Any]:
    if row.capacity_count is None:
        return {}
    availability = "InStock" if row.free_count else "SoldOut"
    return {
        "maximumAttendeeCapacity": row.capacity_count,
        "remainingAttendeeCapacity": row.free_count,
        "offers": {
            "@type": "Offer",
            "price": 0,
            "priceCurrency": "EUR",
            "availability": f"{_SCHEMA}/{availability}",
            "url": address,
        },
    }


def _status(state: str) -> str:
    return "EventCancelled" if state == "cancelled" else "EventScheduled"


def embedded(document: Mapping[str, Any]) -> str:
    """The document for a script element: nothing in a title can end it."""
    return json.dumps(document, ensure_ascii=False).replace("<", "\\u003c").replace("&", "\\u0026")


def open_agenda(rows: Sequence[Any], address_of: Any) -> dict[str, Any]:
    """Events in the shape of OpenAgenda's API (v2): texts by language, one timing for each session."""
    events = []
    for event_id, sessions in by_event(rows).items():
        what = description_of(sessions[0])
        mode = _MODES[what.attendance_mode][1]
        cancelled = sessions[0].event_state == "cancelled"
        events.append(
            {
                "uid": str(event_id),
                "slug": str(event_id),
                "title": {"fr": what.title},
                "description": {"fr": what.summary[:200]},
                "longDescription": {"fr": what.summary},
                "keywords": {"fr": [KINDS[what.kind].title, *(words.AUDIENCES[one] for one in what.audiences)]},
                "attendanceMode": mode,
                # OpenAgenda: 1 as planned, 3 postponed, 5 full, 6 cancelled.
                "status": 6 if cancelled else 5 if _is_full(sessions) else 1,
                "timings": [
                    {
                        "begin": one.starts_at.astimezone(PARIS).isoformat(),
                        "end": one.ends_at.astimezone(PARIS).isoformat(),
                    }
                    for one in sessions
                    if one.state != "cancelled" or cancelled
                ],
                "location": _agenda_location(what),
                "registration": [{"type": "link", "value": address_of(event_id)}],
                "canonicalUrl": address_of(event_id),
                "updatedAt": max(sessions[0].event_changed_at, *(one.changed_at for one in sessions)).isoformat(),
            }
        )
    return {"total": len(events), "events": events}


def _is_full(sessions: Sequence[Any]) -> bool:
    return all(one.capacity_count is not None and not one.free_count for one in sessions)


def _agenda_location(what: Description) -> dict[str, Any] | None:
    if not what.commune_code:
        return None
    commune = reference.communes()[what.commune_code]
    return {
        "name": what.place_title or commune.title,
        "city": commune.title,
        "insee": commune.code,
        "department": reference.departments()[commune.department_code].title,
        "latitude": commune.latitude,
        "longitude": commune.longitude,
        "countryCode": "FR",
    }


def calendar(title: str, rows: Sequence[Any], address_of: Any, *, mine: bool = False) -> bytes:
    """Sessions as iCalendar: UID is the session's id, SEQUENCE rises with it and its event, what is called off says so.

    `mine` are rows of registrations: they carry the link of an online session, which is for those who come.
    """
    found = Calendar()
    found.add("prodid", "-//Estuaire//Évènements//FR")
    found.add("version", "2.0")
    found.add("calscale", "GREGORIAN")
    found.add("name", title)
    found.add("x-wr-calname", title)
    found.add("refresh-interval", vDuration(_REFRESH), parameters={"VALUE": "DURATION"})
    for row in rows:
        found.add_component(_component(row, address_of(row.event_id), mine=mine))
    content: bytes = found.to_ical()
    return content


def _component(row: Any, address: str, *, mine: bool) -> Event:
    what = description_of(row)
    changed_at = max(row.changed_at, row.event_changed_at)
    one = entry(row.session_id, row.described_version, row.event_version, changed_at=changed_at)
    one.add("dtstart", row.starts_at)
    one.add("dtend", row.ends_at)
    one.add("summary", row.title if row.title == what.title else f"{what.title} : {row.title}")
    one.add("status", "CANCELLED" if row.state == "cancelled" or row.event_state == "cancelled" else "CONFIRMED")
    one.add("transp", "OPAQUE" if mine else "TRANSPARENT")
    one.add("location", ", ".join(filter(None, (row.hall, words.where(what)))))
    one.add("url", address)
    if what.commune_code:
        commune = reference.communes()[what.commune_code]
        one.add("geo", (round(commune.latitude, 4), round(commune.longitude, 4)))
    link = row.online_url or what.online_url
    one.add("description", "\n".join(filter(None, (what.summary, link if mine else None))))
    return one
