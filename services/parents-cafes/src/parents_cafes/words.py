"""The words of this service's pages and mails."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any

from common.pages import PARIS, Pages, day
from parents_cafes import season
from parents_cafes.messages import CafePeriod, CafeTheme, VenueKind
from parents_cafes.state import Period
from territory import places, reference

THEMES = {
    CafeTheme.AFTER_GRADE_9: "Après la troisième",
    CafeTheme.AFTER_BACCALAUREATE: "Après le bac, Parcoursup",
    CafeTheme.VOCATIONAL_PATHS: "Voie professionnelle et apprentissage",
    CafeTheme.TRADES: "Les métiers et ceux qui les font",
    CafeTheme.SUPPORTING_A_TEENAGER: "Accompagner son adolescent",
    CafeTheme.STEREOTYPES: "Des métiers sans clichés",
    CafeTheme.DIGITAL_TOOLS: "S’y retrouver sur les sites d’orientation",
}
VENUE_KINDS = {
    VenueKind.AGENCY: "Locaux de l’agence",
    VenueKind.ASSOCIATION: "Association",
    VenueKind.PUBLIC_SERVICE_HOUSE: "Maison France services",
    VenueKind.CAFE: "Café",
    VenueKind.SCHOOL: "Établissement scolaire",
    VenueKind.OTHER: "Autre lieu",
}
PERIODS = {
    CafePeriod.OCTOBER: "octobre",
    CafePeriod.DECEMBER: "décembre",
    CafePeriod.FEBRUARY: "février",
}
STATES = {
    "waiting": "En liste d’attente",
    "offered": "Des places sont à vous : répondez",
    "registered": "Inscription confirmée",
    "attended": "Venu",
    "absent": "Absent",
    "ended": "Close",
}
END_REASONS = {
    "CANCELLED_BY_HOUSEHOLD": "annulée par vous",
    "CANCELLED_LATE": "annulée par vous, tard",
    "CANCELLED_BY_COORDINATOR": "annulée à votre demande",
    "MOVE_DECLINED": "annulée par vous après un changement de votre café ; vous passerez avant la prochaine fois",
    "OFFER_DECLINED": "places laissées à d’autres",
    "OFFER_EXPIRED": "l’offre n’a pas eu de réponse à temps, les places sont passées au suivant",
    "NOT_SERVED": "aucune place n’est revenue ; vous passerez avant la prochaine fois",
    "CAFE_CANCELLED": "le café n’a pas lieu ; vous passerez en premier la prochaine fois",
}
VERDICTS = {
    "confirm": "Aura lieu",
    "merge": "Serait réuni à un autre",
    "cancel": "Serait annulé",
    "later": "Regardé à nouveau demain",
}


def period_words(period: Period) -> str:
    """ "décembre 2026"."""
    first = int(period.school_year[:4])
    year = first + 1 if period.name == CafePeriod.FEBRUARY else first
    return f"{PERIODS[CafePeriod(period.name)]} {year}"


def period_code(period: Period) -> str:
    """ "2026-2027-DECEMBER", in addresses."""
    return f"{period.school_year}-{period.name}"


def period_typed(typed: str) -> Period | None:
    """The period of a code in an address, or None."""
    school_year, _, name = typed.rpartition("-")
    first, _, second = school_year.partition("-")
    if not (first.isdecimal() and second.isdecimal() and len(school_year) == 9 and int(second) == int(first) + 1):
        return None
    known = {one.value: one for one in PERIODS}
    return Period(school_year, known[name]) if name in known else None


def where(row: Any) -> str:
    """Where one goes, in a line."""
    return ", ".join(filter(None, (row.venue_title, row.address, reference.commune_label(row.commune_code))))


def parents(seat_count: int) -> str:
    """ "1 parent", "2 parents"."""
    return f"{seat_count} parent{'s' if seat_count > 1 else ''}"


def paris(day_typed: str, hour_typed: str) -> datetime:
    """A wall clock in Paris as a form has it, in UTC; `ValueError` when it does not read."""
    return datetime.combine(date.fromisoformat(day_typed), time.fromisoformat(hour_typed), PARIS).astimezone(UTC)


def seats_words(row: Any, now: datetime) -> str:
    """What is left in a café, in a few words."""
    if row.state in ("cancelled", "merged"):
        return season.STATES_FR[row.state]
    if row.ends_at <= now:
        return "passé"
    if row.free_count:
        return f"{row.free_count} place{'s' if row.free_count > 1 else ''} sur {row.capacity_count}"
    return "complet" + (f", {row.waiting} en attente" if row.waiting else "")


pages = Pages(
    "parents_cafes",
    {
        "PARIS": PARIS,
        "THEMES": THEMES,
        "VENUE_KINDS": VENUE_KINDS,
        "STATES": STATES,
        "CAFE_STATES": season.STATES_FR,
        "END_REASONS": END_REASONS,
        "VERDICTS": VERDICTS,
        "where": where,
        "parents": parents,
        "period_words": period_words,
        "period_code": period_code,
        "seats_words": seats_words,
        "day_of": day,
        "commune_label": reference.commune_label,
        "find_place": places.find,
    },
    shared=("territory",),
)
