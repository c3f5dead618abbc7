"""The rules of the directory of ambassadors and parent witnesses: who is asked for a visit, one at a time, and what follows.

accepted ends the search; refused and silent go to the next: trade first, then distance, then who was asked longest ago.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Literal
from uuid import UUID

from common.failures import Refusal
from common.messages import Message
from events.messages import AmbassadorAnswer, AmbassadorDescribed, AmbassadorKind
from territory import reference

VisitState = Literal["searching", "accepted", "exhausted", "cancelled"]
STATES_FR: dict[VisitState, str] = {
    "searching": "recherche en cours",
    "accepted": "acceptée",
    "exhausted": "personne n’a pu",
    "cancelled": "annulée",
}


@dataclass(frozen=True)
class AmbassadorDescription:
    """Whom a school may ask for; name and address stay in the service."""

    kind: AmbassadorKind
    rome_codes: tuple[str, ...]
    commune_code: str
    radius_km: int
    host_siret: str | None = None
    kit_id: UUID | None = None
    withdrawn: bool = False
    fictitious: bool = False


@dataclass(frozen=True)
class Ambassador:
    """The aggregate: one person who tells of a trade."""

    ambassador_id: UUID
    description: AmbassadorDescription
    asked_at: datetime | None = None
    version: int = 0


@dataclass(frozen=True)
class Visit:
    """What a school or an organiser wishes for: somebody of a trade, on a day, at a place; who was asked so far."""

    visit_id: UUID
    asker: str
    rome_code: str
    kind: AmbassadorKind | None
    commune_code: str
    visit_on: date
    state: VisitState = "searching"
    ambassador_id: UUID | None = None
    due_at: datetime | None = None
    asked: tuple[UUID, ...] = ()


@dataclass(frozen=True)
class Answered:
    """A visit after an answer, or why not; what the ambassador's log is told."""

    visit: Visit
    answer: AmbassadorAnswer | None = None
    refusal: Refusal | None = None


def described(one: Ambassador, now: datetime) -> Message:
    """What everybody may know: a trade and a department."""
    what = one.description
    return AmbassadorDescribed(
        occurred_at=now,
        kind=what.kind,
        rome_codes=list(what.rome_codes),
        department_code=reference.communes()[what.commune_code].department_code,
        host_siret=what.host_siret,
        withdrawn=what.withdrawn,
        fictitious=what.fictitious,
    )


def next_to_ask(visit: Visit, directory: Sequence[Ambassador]) -> Ambassador | None:
    """Who is asked now: the very trade before its family, then the nearest, then who was asked longest ago; nobody twice."""

    def rank(one: Ambassador) -> tuple[bool, float, str, UUID]:
        exact = visit.rome_code in one.description.rome_codes
        km = reference.km_between(one.description.commune_code, visit.commune_code)
        return (not exact, round(km), one.asked_at.isoformat() if one.asked_at else "", one.ambassador_id)

    return min((one for one in directory if _may_be_asked(visit, one)), key=rank, default=None)


def _may_be_asked(visit: Visit, one: Ambassador) -> bool:
    what = one.description
    family = any(code[:3] == visit.rome_code[:3] for code in what.rome_codes)
    near = reference.km_between(what.commune_code, visit.commune_code) <= what.radius_km
    return (
        not what.withdrawn
        and family
        and near
        and one.ambassador_id not in visit.asked
        and visit.kind in (None, what.kind)
    )


def answer(visit: Visit, ambassador_id: UUID, said: AmbassadorAnswer) -> Answered:
    """The one who was asked answers, or did not in time."""
    if visit.state != "searching" or visit.ambassador_id != ambassador_id:
        detail = "Cette demande n’attend plus votre réponse : elle est passée à quelqu’un d’autre, ou annulée."
        return Answered(visit, refusal=Refusal("visit_state", detail, {"state": visit.state}))
    if said == AmbassadorAnswer.ACCEPTED:
        return Answered(replace(visit, state="accepted", due_at=None), said)
    return Answered(replace(visit, ambassador_id=None, due_at=None), said)


def ask(visit: Visit, one: Ambassador | None, until: datetime) -> Visit:
    """The next is asked; with nobody left the search ends."""
    if one is None:
        return replace(visit, state="exhausted", ambassador_id=None, due_at=None)
    return replace(visit, ambassador_id=one.ambassador_id, due_at=until, asked=(*visit.asked, one.ambassador_id))


def lose(visit: Visit) -> Visit:
    """Who was asked, or had accepted, leaves the directory: the search goes on."""
    return replace(visit, state="searching", ambassador_id=None, due_at=None)


def cancel(visit: Visit) -> Answered:
    """Whoever asked gives up; an ambassador who was asked or had accepted is told."""
    if visit.state in ("cancelled", "exhausted"):
        return Answered(visit, refusal=Refusal("visit_state", "Cette demande est déjà close.", {"state": visit.state}))
    said = AmbassadorAnswer.CANCELLED if visit.ambassador_id is not None else None
    return Answered(replace(visit, state="cancelled", due_at=None), said)
