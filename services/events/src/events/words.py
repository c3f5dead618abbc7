"""The words of this service's pages and mails."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any
from uuid import uuid4

from common.pages import PARIS, Pages, day
from events import kits, overlaps
from events.ambassadors import STATES_FR as VISIT_STATES
from events.kinds import KINDS
from events.messages import AttendanceMode, SessionPurpose
from events.state import Description
from territory import places, reference, rome

STATES = {
    "waiting": "En liste d’attente",
    "offered": "Une place est à vous : répondez",
    "registered": "Inscription confirmée",
    "attended": "Venu",
    "absent": "Absent",
    "ended": "Close",
}
EVENT_STATES = {
    "draft": "En préparation",
    "awaiting": "Attend le plateau technique",
    "confirmed": "Confirmé",
    "cancelled": "Annulé",
}
END_REASONS = {
    "CANCELLED_BY_REGISTRANT": "annulée par vous",
    "CANCELLED_BY_ORGANISER": "annulée par l’organisateur",
    "OFFER_DECLINED": "place laissée à d’autres",
    "OFFER_EXPIRED": "l’offre n’a pas eu de réponse à temps, la place est passée au suivant",
    "ABSENCES": "rendue après des absences sans nouvelles ; inscrivez-vous à nouveau si vous venez",
    "NOT_SERVED": "aucune place n’est revenue, nous le regrettons",
    "SESSION_CANCELLED": "la séance n’a pas lieu",
}
NEED_STATES = {
    "wanted": "sera demandé à la publication",
    "asked": "demandé, la réponse est attendue",
    "booked": "réservé",
    "refused": "refusé",
    "released": "repris par son propriétaire",
}
PLATFORM_REASONS = {
    "PLATFORM_UNKNOWN": "ce plateau n’est plus proposé",
    "NOT_OFFERED": "il n’est pas proposé à ce moment",
    "SLOT_TAKEN": "le créneau est pris",
    "GROUP_TOO_LARGE": "le groupe est trop grand",
    "HABILITATION_MISSING": "une habilitation manque",
    "OUTSIDE_LIMITS": "hors des règles du plateau",
    "OWNER_REFUSED": "son propriétaire a refusé",
    "OWNER_SILENT": "son propriétaire n’a pas répondu",
    "OWNER_CANCELLED": "son propriétaire a annulé",
    "REQUEST_WITHDRAWN": "la demande est retirée",
}
PURPOSES = {
    SessionPurpose.OPENING: "Entrée",
    SessionPurpose.CONFERENCE: "Conférence",
    SessionPurpose.WORKSHOP: "Atelier",
    SessionPurpose.VISIT: "Visite",
    SessionPurpose.ARRIVAL: "Arrivée de groupes",
    SessionPurpose.MEETING: "Réunion",
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
MODES = {
    AttendanceMode.ON_SITE: "Sur place",
    AttendanceMode.ONLINE: "En ligne",
    AttendanceMode.MIXED: "Sur place et en ligne",
}
ACCESSES = {"OPEN": "Tout le monde", "PROFESSIONALS": "Professionnels", "INVITATION": "Sur invitation"}
ADMISSIONS = {"EVERYONE": "Individuels et groupes", "INDIVIDUALS": "Individuels", "GROUPS": "Groupes scolaires"}
AMBASSADOR_KINDS = {"AMBASSADOR": "Ambassadeur d’un métier", "PARENT_WITNESS": "Parent qui raconte son métier"}
_WEEKDAYS = ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche")


def ended(row: Any) -> str:
    """Why a party's registration is over, from its row with its session's; a party outgrew a session that has fewer seats now."""
    outgrown = row.capacity_count is not None and row.seat_count > row.capacity_count
    if row.end_reason == "CANCELLED_BY_ORGANISER" and outgrown:
        return "la séance a désormais moins de places que vous n’en demandiez"
    return END_REASONS.get(row.end_reason, STATES["ended"])


def where(what: Description) -> str:
    """Where one goes, in a line."""
    place = ", ".join(
        filter(None, (what.place_title, reference.commune_label(what.commune_code) if what.commune_code else None))
    )
    return " · ".join(filter(None, (place, "en ligne" if what.attendance_mode != AttendanceMode.ON_SITE else "")))


def long_date(value: date) -> str:
    """ "jeudi 4 février 2027"."""
    return f"{_WEEKDAYS[value.weekday()]} {day(value)} {value.year}"


def paris(day_typed: str, hour_typed: str) -> datetime:
    """A wall clock in Paris as a form has it, in UTC; `ValueError` says what to write."""
    try:
        return datetime.combine(date.fromisoformat(day_typed), time.fromisoformat(hour_typed), PARIS).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("Écrivez le jour, le début et la fin, et un nombre de places.") from None


def seats_words(row: Any, now: datetime) -> str:
    """What is left in a session, in a few words."""
    if row.state == "cancelled":
        return "annulé"
    if row.ends_at <= now:
        return "passé"
    if row.capacity_count is None:
        return "entrée libre"
    if row.free_count:
        return f"{row.free_count} place{'s' if row.free_count > 1 else ''} sur {row.capacity_count}"
    return "complet" + (f", {row.waiting} en attente" if row.waiting else "")


pages = Pages(
    "events",
    {
        "PARIS": PARIS,
        "STATES": STATES,
        "EVENT_STATES": EVENT_STATES,
        "ended": ended,
        "NEED_STATES": NEED_STATES,
        "PLATFORM_REASONS": PLATFORM_REASONS,
        "PURPOSES": PURPOSES,
        "AUDIENCES": AUDIENCES,
        "MODES": MODES,
        "ACCESSES": ACCESSES,
        "ADMISSIONS": ADMISSIONS,
        "AMBASSADOR_KINDS": AMBASSADOR_KINDS,
        "VISIT_STATES": VISIT_STATES,
        "LOAN_STATES": kits.STATES_FR,
        "KINDS": KINDS,
        "new_id": uuid4,
        "said_of": overlaps.said,
        "where": where,
        "long_date": long_date,
        "seats_words": seats_words,
        "rome_label": rome.label,
        "ROME_FAMILIES": rome.FAMILIES,
        "communes": reference.communes,
        "commune_label": reference.commune_label,
        "find_place": places.find,
    },
    shared=("territory",),
)
