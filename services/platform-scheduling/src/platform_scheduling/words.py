"""The words of this service's pages, and how they say slots."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

from common.bodies import YEARS
from common.pages import PARIS, Pages, day
from platform_scheduling import commitments
from platform_scheduling.messages import BookingRefusalReason
from platform_scheduling.state import Span
from platform_scheduling.windows import LENGTH_MINUTES_MAX
from territory import places, reference
from territory.equipment import EQUIPMENT, HABILITATIONS, equipment_title

STATES = {
    "requested": "En file d’attente",
    "tentative": "Attend la réponse du plateau",
    "approved": "Acceptée",
    "done": "Passée",
    "refused": "Refusée",
    "expired": "Expirée sans réponse",
    "cancelled": "Annulée",
    "no_show": "Personne n’est venu",
}
# Of those states that may be somebody's doing, whose it was.
ENDS = {
    "CANCELLED_BY_REQUESTER": "Annulée par vous",
    "CANCELLED_BY_OWNER": "Annulée par le plateau",
    "CANCELLED_BY_EVENT": "Annulée, l’évènement n’en a plus besoin",
}
REFUSALS = {
    BookingRefusalReason.MAINTENANCE: "Maintenance ou travaux",
    BookingRefusalReason.SUPERVISION: "Personne pour encadrer",
    BookingRefusalReason.SAFETY: "Sécurité",
    BookingRefusalReason.PURPOSE: "Usage qui ne convient pas au plateau",
    BookingRefusalReason.OTHER: "Autre raison",
}
APPROVALS = {"OWNER": "Je réponds à chaque demande", "AUTOMATIC": "Un créneau libre est accepté aussitôt"}
DURATIONS = (30, 60, 90, 120, 180, 240, 300, 360, 420, 480, 600)
RADII_KM = (5, 10, 20, 30, 50, 100)
CODES = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_DAYS = ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche")
RULES = {
    "": "Une seule fois",
    "WEEKLY": "Chaque semaine",
    "FORTNIGHTLY": "Une semaine sur deux",
    "WORKDAYS": "Du lundi au vendredi",
    "MONTHLY": "Chaque mois, le même jour de la semaine",
}


def hours(minutes: int) -> str:
    """ "2 h", "1 h 30", "45 min"."""
    if minutes < 60:
        return f"{minutes}\u202fmin"
    return f"{minutes // 60}\u202fh" + (f"\u202f{minutes % 60:02d}" if minutes % 60 else "")


def starts_in(free: Sequence[Span], minutes: int, step: int = 30) -> list[str]:
    """The clock times, every half hour and at the begin of each free slot, from which so many minutes are free."""
    found: dict[str, None] = {}
    for span in free:
        begin = span.starts_at
        while begin + timedelta(minutes=minutes) <= span.ends_at:
            found[f"{begin.astimezone(PARIS):%H:%M}"] = None
            begin += timedelta(minutes=step - begin.minute % step)
    return list(found)


def paris_span(day_typed: str, begin_typed: str, minutes_typed: str) -> Span:
    """A slot as a form has it: a day, a Paris clock, a length; `ValueError` when one of them does not read."""
    begin = datetime.combine(date.fromisoformat(day_typed), time.fromisoformat(begin_typed), PARIS)
    if begin.year not in YEARS or not 1 <= int(minutes_typed) <= LENGTH_MINUTES_MAX:
        raise ValueError("hors du calendrier")
    begin = begin.astimezone(UTC)
    return Span(begin, begin + timedelta(minutes=int(minutes_typed)))


def rule_words(rule: str | None, begin: datetime) -> str:
    """A recurrence rule as an owner would say it; without days it follows the one on which it begins."""
    if rule is None:
        return "une fois"
    parts = dict(part.split("=", 1) for part in rule.split(";"))
    codes = parts.get("BYDAY", "") or (CODES[begin.weekday()] if parts["FREQ"] == "WEEKLY" else "")
    days = ", ".join(_DAYS[CODES.index(one[-2:])] for one in codes.split(",") if one)
    every = {"DAILY": "chaque jour", "WEEKLY": "chaque semaine", "MONTHLY": "chaque mois"}[parts["FREQ"]]
    if (interval := parts.get("INTERVAL", "1")) != "1":
        unit = {"DAILY": "jours", "WEEKLY": "semaines", "MONTHLY": "mois"}[parts["FREQ"]]
        every = f"tous les {interval} {unit}" if unit != "semaines" else f"toutes les {interval} semaines"
    until = parts.get("UNTIL", "")[:8]
    end = f", jusqu’au {day(date(int(until[:4]), int(until[4:6]), int(until[6:])))} {until[:4]}" if until else ""
    end = f", {parts['COUNT']} fois" if "COUNT" in parts else end
    return f"{every}{f', {days}' if days else ''}{end}"


pages = Pages(
    "platform_scheduling",
    {
        "PARIS": PARIS,
        "STATES": STATES,
        "REFUSALS": REFUSALS,
        "ENDS": ENDS,
        "broken_by": commitments.said,
        "APPROVALS": APPROVALS,
        "DURATIONS": DURATIONS,
        "RADII_KM": RADII_KM,
        "RULES": RULES,
        "EQUIPMENT": EQUIPMENT,
        "HABILITATIONS": HABILITATIONS,
        "equipment_title": equipment_title,
        "hours": hours,
        "starts_in": starts_in,
        "rule_words": rule_words,
        "communes": reference.communes,
        "commune_label": reference.commune_label,
        "find_place": places.find,
    },
    shared=("territory",),
)
