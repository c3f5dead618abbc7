"""What is particular to each kind of event: for whom, where, how long, what it needs. Source: domain of the strategy's fiches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from common.failures import Refusal
from events.messages import AttendanceMode, EventAccess, EventKind
from events.state import Description, Plan
from waiting_list.rules import PARIS

_ALL = tuple(one for one in AttendanceMode if one is not AttendanceMode.UNKNOWN)
_ON_SITE, _ONLINE = AttendanceMode.ON_SITE, AttendanceMode.ONLINE
_OPEN, _CLOSED = EventAccess.OPEN, EventAccess.INVITATION


@dataclass(frozen=True)
class Kind:
    """A kind of event: its French title and fiche, whom it may be for, where, on how many days, and what it must have."""

    title: str
    fiche: str
    accesses: tuple[EventAccess, ...] = (_OPEN,)
    modes: tuple[AttendanceMode, ...] = _ALL
    days_max: int = 1
    needs_host: bool = False
    # One registration for the whole, or for a part of it.
    is_cycle: bool = False


KINDS: dict[EventKind, Kind] = {
    EventKind.REGIONAL_FAIR: Kind("Salon régional", "2-1", modes=(_ON_SITE, AttendanceMode.MIXED), days_max=3),
    EventKind.THEMATIC_DAY: Kind("Une journée, un thème", "2-2"),
    EventKind.COMPANY_VISIT: Kind("Visite d’entreprise", "2-3", modes=(_ON_SITE,), days_max=5, needs_host=True),
    EventKind.CAREERS_FORUM: Kind("Forum des métiers", "2-3", days_max=2),
    EventKind.OPEN_DAY: Kind("Porte ouverte", "2-4", days_max=3),
    EventKind.VIRTUAL_FAIR: Kind("Salon virtuel", "2-5", modes=(_ONLINE,), days_max=10),
    EventKind.PROFESSIONAL_WORKSHOP: Kind(
        "Atelier pour les professionnels", "3-1", accesses=(EventAccess.PROFESSIONALS,), days_max=2
    ),
    EventKind.IMMERSION_DAY: Kind(
        "Journée d’immersion des professionnels", "3-2", accesses=(EventAccess.PROFESSIONALS,), modes=(_ON_SITE,)
    ),
    EventKind.FAMILY_CONFERENCES: Kind("Cycle de conférences pour les familles", "3-6", days_max=30, is_cycle=True),
    EventKind.PSAD_GROUP: Kind("Groupe projet PSAD", "5-2", accesses=(_CLOSED,), days_max=30),
    EventKind.COMMITTEE: Kind("Comité", "5-2", accesses=(_CLOSED,), days_max=3),
    EventKind.PLENARY: Kind("Plénière annuelle", "5-2", accesses=(_CLOSED, EventAccess.PROFESSIONALS)),
    EventKind.HIGHLIGHT: Kind("Temps fort annuel", "5-3", accesses=(_OPEN, EventAccess.PROFESSIONALS), days_max=3),
    EventKind.ACQUAINTANCE_MEETING: Kind(
        "Rencontre d’interconnaissance", "5-3", accesses=(EventAccess.PROFESSIONALS, _CLOSED)
    ),
}


def why_not(what: Description, plans: Sequence[Plan]) -> Refusal | None:
    """Why a description and its sessions do not make an event of their kind; None when they do. Checked before it is told."""
    kind = KINDS[what.kind]
    days = {plan.starts_at.astimezone(PARIS).date() for plan in plans}
    problems = [
        (what.access not in kind.accesses, "access", "n’est pas proposé à ce public"),
        (what.attendance_mode not in kind.modes, "attendance_mode", "ne se tient pas ainsi"),
        (what.attendance_mode != _ONLINE and not what.commune_code, "commune_code", "a besoin d’une commune"),
        (what.attendance_mode != _ON_SITE and not what.online_url, "online_url", "a besoin d’un lien"),
        (kind.needs_host and not what.host_siret, "host_siret", "a besoin du SIRET de l’organisme visité"),
        (not plans, "sessions", "a besoin d’au moins une séance"),
        (len(days) > kind.days_max, "sessions", f"dure {kind.days_max} jour{'s' if kind.days_max > 1 else ''} au plus"),
    ]
    for wrong, field, problem in problems:
        if wrong:
            return Refusal("kind", f"{kind.title} : {problem}.", {"field": field})
    return None
