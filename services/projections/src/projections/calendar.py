"""Read model of the calendar: events and their sessions, what is left in each, who came; by territory, kind, public and day.

A pure fold of the events service's messages; parents' cafés are read beside them. Who is registered is not kept; an offer is, with the instant at which it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from icalendar import Calendar as ICalendar

from common import secrecy
from common.calendars import entry
from common.pages import PARIS
from common.rebuild import ReadModel
from common.transaction import Transaction
from common.verdicts import Consumes, Delivery
from projections import as_of, cafe_season, rows
from projections.as_of import AsOf
from projections.messages import (
    EventCancelled,
    EventDescribed,
    RegistrationEnded,
    RegistrationMade,
    RegistrationQueued,
    RegistrationResized,
    RegistrationsRestated,
    SeatsOffered,
    SessionCancelled,
    SessionDescribed,
    SessionHeld,
    VisitorsCheckedIn,
)
from projections.rows import Row
from projections.tables import CalendarEvent, CalendarSession
from territory import reference

EVENTS_TOPIC, SESSIONS_TOPIC = "events.events.v1", "events.sessions.v1"
EVENT_MESSAGES = (EventDescribed, EventCancelled)
SESSION_MESSAGES = (
    SessionDescribed,
    RegistrationMade,
    RegistrationQueued,
    SeatsOffered,
    RegistrationResized,
    RegistrationEnded,
    VisitorsCheckedIn,
    SessionHeld,
    SessionCancelled,
    RegistrationsRestated,
)
# Cafés stand in the calendar beside events, from their own read model.
CAFE = "PARENTS_CAFE"
KINDS = {
    "REGIONAL_FAIR": "Salon régional",
    "THEMATIC_DAY": "Une journée, un thème",
    "COMPANY_VISIT": "Visite d’entreprise",
    "CAREERS_FORUM": "Forum des métiers",
    "OPEN_DAY": "Porte ouverte",
    "VIRTUAL_FAIR": "Salon virtuel",
    "PROFESSIONAL_WORKSHOP": "Atelier pour les professionnels",
    "IMMERSION_DAY": "Journée d’immersion des professionnels",
    "FAMILY_CONFERENCES": "Conférences pour les familles",
    "HIGHLIGHT": "Temps fort annuel",
    "PLENARY": "Plénière annuelle",
    "ACQUAINTANCE_MEETING": "Rencontre d’interconnaissance",
    CAFE: "Café des parents",
}
AUDIENCES = {
    "eleves": "Élèves",
    "etudiants": "Étudiants",
    "familles": "Familles",
    "jeunes": "Jeunes en insertion",
    "adultes": "Adultes",
    "professionnels": "Professionnels",
    "groupes": "Groupes scolaires",
}
_DESCRIBED = (
    "organiser_title",
    "title",
    "summary",
    "place_title",
    "commune_code",
    "under_represented",
    "fictitious",
)
_ENUMS = ("kind", "status", "access", "attendance_mode")
_COUNTS = ("registered_count", "offered_count", "waiting_count")
_YEAR = timedelta(days=365)


# -- the fold


async def fold_events(tx: Transaction, deliveries: Sequence[Delivery]) -> None:
    """Descriptions and cancellations; an event that is described after it was cancelled takes place again."""
    known = await rows.load(tx, CalendarEvent, [delivery.message.aggregate_id for delivery in deliveries])
    for delivery in deliveries:
        message: Any = delivery.message
        changed: Row = {"status": "CANCELLED"}
        if isinstance(message, EventDescribed):
            changed = {name: getattr(message, name) for name in _DESCRIBED}
            changed |= {name: getattr(message, name).value for name in _ENUMS}
            changed |= {"audiences": list(message.audiences), "rome_codes": list(message.rome_codes)}
        before = known.get(message.aggregate_id) or rows.blank(CalendarEvent)
        known[message.aggregate_id] = before | changed | rows.stamp(delivery, "event_id")
    await rows.save(tx, CalendarEvent, list(known.values()))


async def fold_sessions(tx: Transaction, deliveries: Sequence[Delivery]) -> None:
    """Loads the sessions of a batch, applies each message in order, writes them back."""
    known = await rows.load(tx, CalendarSession, [delivery.message.aggregate_id for delivery in deliveries])
    for delivery in deliveries:
        key = delivery.message.aggregate_id
        before = known.get(key) or rows.blank(CalendarSession)
        known[key] = before | apply(before, delivery) | rows.stamp(delivery, "session_id")
    # Of a session that the log no longer begins, nothing is known.
    await rows.save(tx, CalendarSession, [row for row in known.values() if row["event_id"] is not None])


def apply(before: Row, delivery: Delivery) -> Row:
    """What one message changes in a session; every message carries the counts after it."""
    message: Any = delivery.message
    counts = {name: getattr(message, name) for name in _COUNTS if hasattr(message, name)}
    match message:
        case SessionDescribed():
            names = ("title", "starts_at", "ends_at", "hall", "capacity_count")
            changed: Row = {name: getattr(message, name) for name in names} | {"event_id": message.for_event_id}
            changed |= {"purpose": message.purpose.value, "admission": message.admission.value}
            changed |= {"described_at": message.occurred_at, "described_version": message.aggregate_version}
            return changed | counts | {"state": "open" if message.open else "planned"}
        case SeatsOffered():
            offer = {"seats": message.seat_count, "until": message.expires_at.isoformat()}
            return counts | {"offers": {**before["offers"], str(message.registration_id): offer}}
        case RegistrationsRestated():
            state = {"state": "held"} if message.held else {}
            return counts | state | {"offers": {}, "attended_count": message.attended_count}
        case SessionCancelled():
            told = {"described_at": message.occurred_at, "described_version": message.aggregate_version}
            return told | {"state": "cancelled", "offers": {}, **dict.fromkeys(_COUNTS, 0)}
        case SessionHeld():
            counted = {name: getattr(message, name) for name in ("female_count", "male_count")}
            return {"state": "held", "was_counted": message.attended_count is not None, **counted}
        case VisitorsCheckedIn():
            return {"attended_count": message.attended_count}
        case _:
            left = {key: one for key, one in before["offers"].items() if key != str(message.registration_id)}
            return counts | {"offers": left}


MODEL = ReadModel(
    tables=(CalendarEvent, CalendarSession),
    folds={
        EVENTS_TOPIC: Consumes(messages=EVENT_MESSAGES, fold=fold_events),
        SESSIONS_TOPIC: Consumes(messages=SESSION_MESSAGES, fold=fold_sessions),
    },
)


# -- reading


@dataclass(frozen=True)
class Asked:
    """What a page is asked for: a territory (department or intercommunality), a kind, a public, a month (`2027-02`)."""

    territory: str = ""
    kind: str = ""
    audience: str = ""
    month: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Asked:
        """From a query string; what is unknown is left out, so that an old link never fails."""
        territories = {*reference.departments(), *reference.epcis()}
        territory, kind, audience = (query.get(name, "") for name in ("territoire", "genre", "public"))
        return cls(
            territory if territory in territories else "",
            kind if kind in KINDS else "",
            audience if audience in AUDIENCES else "",
            query.get("mois", "") if _month(query.get("mois", "")) else "",
        )


@dataclass(frozen=True)
class Calendar:
    """What the page shows: a month day by day, the sessions to come in it, and the last twelve months in figures."""

    month: date
    days: list[tuple[date, list[Row]]]
    sessions: list[Row]
    event_count: int
    free_count: int
    by_epci: dict[str, int]
    past_session_count: int
    attended_count: int | None
    female_share: float | None
    under_represented_share: float | None
    fictitious: bool
    months: list[date] = field(default_factory=list)


async def read_as_of(tx: Transaction) -> AsOf:
    """How complete the read model is."""
    return await as_of.read_as_of(tx, (*MODEL.topics, cafe_season.TOPIC))


async def read(tx: Transaction, now: datetime, asked: Asked) -> Calendar:
    """The calendar of a month, and what became of the last twelve."""
    today = now.astimezone(PARIS).date()
    month = _month(asked.month) or today.replace(day=1)
    first = month - timedelta(days=month.weekday())
    following = (month + timedelta(days=32)).replace(day=1)
    last = following + timedelta(days=-following.weekday() % 7)
    shown = await sessions(tx, now, asked, since=_midnight(first), until=_midnight(last))
    by_day: dict[date, list[Row]] = {first + timedelta(days=n): [] for n in range((last - first).days)}
    for row in shown:
        by_day.setdefault(row["starts_at"].astimezone(PARIS).date(), []).append(row)
    in_month = [row for row in shown if row["starts_at"].astimezone(PARIS).date().replace(day=1) == month]
    coming = [row for row in in_month if row["ends_at"] > now]
    epcis: dict[str, int] = {}
    for row in in_month:
        place = reference.communes().get(row["commune_code"] or "")
        if place is not None:
            epcis[place.epci_siren] = epcis.get(place.epci_siren, 0) + 1
    past = await sessions(tx, now, asked, since=now - _YEAR, until=now)
    counted = [row for row in past if row["was_counted"]]
    events = [row for row in past if row["kind"] != CAFE]
    women, men = (sum(row[name] or 0 for row in counted) for name in ("female_count", "male_count"))
    return Calendar(
        month=month,
        days=list(by_day.items()),
        sessions=coming,
        event_count=len({row["event_id"] for row in coming}),
        free_count=sum(row["free_count"] for row in coming),
        by_epci=epcis,
        past_session_count=len(past),
        attended_count=secrecy.shown(sum(row["attended_count"] for row in counted)),
        female_share=women / (women + men) if women + men else None,
        under_represented_share=sum(row["under_represented"] for row in events) / len(events) if events else None,
        fictitious=any(row["fictitious"] for row in shown),
        months=[(month.replace(day=15) + timedelta(days=30 * n)).replace(day=1) for n in (-1, 1)],
    )


async def sessions(
    tx: Transaction, now: datetime, asked: Asked, *, since: datetime, until: datetime, called_off: bool = False
) -> list[Row]:
    """Sessions that end after an instant and begin before another, with their event; by invitation are nobody's to read here."""
    found = await tx.fetch_all(
        """SELECT s.*, e.kind, e.title AS event_title, e.summary, e.organiser_title, e.attendance_mode, e.place_title,
                  e.commune_code, e.status, e.audiences, e.under_represented, e.fictitious, e.aggregate_version AS event_version,
                  COALESCE((SELECT sum((one ->> 'seats')::int) FROM jsonb_each(s.offers) AS o(key, one)
                            WHERE (one ->> 'until')::timestamptz > :now), 0)::int AS held_count
           FROM calendar_session s JOIN calendar_event e USING (event_id)
           WHERE s.ends_at > :since AND s.starts_at < :until AND e.access <> 'INVITATION'
             AND (:called_off OR (s.state IN ('open', 'held') AND e.status = 'CONFIRMED'))
             AND (:kind = '' OR e.kind = :kind) AND (:audience = '' OR jsonb_exists(e.audiences, :audience))
           ORDER BY s.starts_at, s.session_id""",
        now=now,
        since=since,
        until=until,
        kind=asked.kind,
        audience=asked.audience,
        called_off=called_off,
    )
    kept = [dict(row._mapping) for row in found]
    if asked.kind in ("", CAFE) and asked.audience in ("", "familles"):
        kept += await _cafes(tx, now, since=since, until=until, called_off=called_off)
        kept.sort(key=lambda row: (row["starts_at"], row["session_id"]))
    for row in kept:
        capacity = row["capacity_count"]
        taken = row["registered_count"] + row["held_count"]
        # Those in line come before a newcomer.
        row["free_count"] = max(0, capacity - taken - row["waiting_count"]) if capacity is not None else 0
        row["is_full"] = capacity is not None and row["free_count"] == 0
    return [row for row in kept if _is_in(asked.territory, row["commune_code"])]


async def _cafes(tx: Transaction, now: datetime, *, since: datetime, until: datetime, called_off: bool) -> list[Row]:
    """Parents' cafés that are announced, as sessions of an event of their own."""
    stands = {"OPEN": "open", "CONFIRMED": "open", "HELD": "held"}
    return [
        row
        | {
            "session_id": row["cafe_id"],
            "event_id": row["cafe_id"],
            "event_version": 0,
            "kind": CAFE,
            "event_title": cafe_season.THEMES.get(row["theme"], "Café des parents"),
            "title": cafe_season.THEMES.get(row["theme"], "Café des parents"),
            "summary": "Une heure et demie entre parents, avec quelqu’un qui connaît l’orientation.",
            "place_title": row["venue_title"],
            "hall": None,
            "attendance_mode": "ON_SITE",
            "status": "CONFIRMED",
            "state": stands.get(row["status"], "cancelled"),
            "audiences": ["familles"],
            "under_represented": False,
            "female_count": None,
            "male_count": None,
        }
        for row in await cafe_season.cafes(tx, now)
        if row["ends_at"] > since
        and row["starts_at"] < until
        and row["status"] != "PLANNED"
        and (called_off or row["status"] in stands)
    ]


def ical(found: Sequence[Row], address_of: Callable[[Row], str]) -> bytes:
    """Sessions as iCalendar; what was called off says so, so that who subscribed sees it go."""
    calendar = ICalendar()
    calendar.add("prodid", "-//Estuaire//Calendrier//FR")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", "Évènements de l’orientation")
    for row in found:
        versions = row["described_version"], row["event_version"]
        one = entry(row["session_id"], *versions, changed_at=row["described_at"])
        one.add("dtstart", row["starts_at"])
        one.add("dtend", row["ends_at"])
        same = row["title"] == row["event_title"]
        one.add("summary", row["title"] if same else f"{row['event_title']} : {row['title']}")
        one.add("description", row["summary"])
        commune = reference.communes().get(row["commune_code"] or "")
        place = (row["hall"], row["place_title"], commune.title if commune else "en ligne")
        one.add("location", ", ".join(part for part in place if part))
        off = row["state"] != "open" and row["state"] != "held"
        one.add("status", "CANCELLED" if off or row["status"] != "CONFIRMED" else "CONFIRMED")
        one.add("transp", "TRANSPARENT")
        if address := address_of(row):
            one.add("url", address)
        calendar.add_component(one)
    content: bytes = calendar.to_ical()
    return content


def _is_in(territory: str, commune_code: str | None) -> bool:
    if not territory:
        return True
    place = reference.communes().get(commune_code or "")
    return place is not None and territory in (place.department_code, place.epci_siren)


def _month(typed: str) -> date | None:
    try:
        found = datetime.strptime(typed, "%Y-%m").replace(tzinfo=UTC).date()
    except ValueError:
        return None
    return found if found.year in range(2020, 2101) else None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(0), PARIS).astimezone(UTC)
