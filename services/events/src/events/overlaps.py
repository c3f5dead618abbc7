"""What a person, or a class of a school, has at the same hour: asked about, written of, shown on the ticket, and never barred.

Who types an address has not shown that it is theirs, and learns nothing of where its person goes: the mail that it receives says it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import Any
from unicodedata import normalize
from uuid import UUID

from common import overlaps
from common.failures import Refusal
from common.overlaps import Overlap
from common.transaction import Transaction
from events.messages import PartyKind, SessionPurpose
from events.state import Description, Session


@dataclass(frozen=True)
class Hours:
    """Seats in a session, had or asked for. Of a school, who has them is a class by its name; a person is one, whatever they are called."""

    session_id: UUID
    event_id: UUID
    event_title: str
    title: str
    purpose: str
    starts_at: datetime
    ends_at: datetime
    class_name: str = ""
    registration_id: UUID | None = None
    party_id: UUID | None = None

    def overlaps(self, other: Hours) -> bool:
        """Whether nobody can be at both: the entry of an event is open beside all that is in it; what begins at the end of another is after it."""
        apart = self.ends_at <= other.starts_at or other.ends_at <= self.starts_at
        entered = self.event_id == other.event_id and SessionPurpose.OPENING in (self.purpose, other.purpose)
        return self.class_name == other.class_name and not apart and not entered

    @property
    def shown(self) -> Overlap:
        """As it is said and listed."""
        of_event = f", {self.event_title}" if self.event_title != self.title else ""
        return Overlap("session", self.session_id, f"« {self.title} »{of_event}", self.starts_at, self.ends_at)


def class_name(kind: str, title: str | None) -> str:
    """By what a class is the same as another of its school: « 3e B » is « 3E b » and « 3eB »."""
    return "".join(normalize("NFKC", title or "").casefold().split()) if kind == PartyKind.GROUP else ""


def asked_of(session: Session, what: Description, name: str) -> Hours:
    """What is asked of a session."""
    plan = session.plan
    return Hours(
        session.session_id, session.event_id, what.title, plan.title, plan.purpose, plan.starts_at, plan.ends_at, name
    )


async def had_by(
    tx: Transaction, now: datetime, *, person_id: UUID | None = None, school_uai: str | None = None
) -> list[Hours]:
    """What a person, or each class of a school, has to come: registered, offered or in line."""
    rows = await tx.fetch_all(
        """SELECT r.registration_id, r.party_id, p.kind, p.title AS party_title, s.session_id, s.event_id, s.title, s.purpose,
                  s.starts_at, s.ends_at, e.description ->> 'title' AS event_title
           FROM party p JOIN registration r USING (party_id) JOIN session s USING (session_id) JOIN event e ON e.event_id = s.event_id
           WHERE (p.kind = 'INDIVIDUAL' AND p.person_id = CAST(:person_id AS uuid) OR p.school_uai = CAST(:school_uai AS text))
             AND r.state IN ('waiting', 'offered', 'registered') AND (r.due_at IS NULL OR r.due_at > :now) AND s.ends_at > :now
           ORDER BY s.starts_at, r.registration_id""",
        person_id=person_id,
        school_uai=school_uai,
        now=now,
    )
    return [
        Hours(
            row.session_id,
            row.event_id,
            row.event_title,
            row.title,
            row.purpose,
            row.starts_at,
            row.ends_at,
            class_name(row.kind, row.party_title),
            row.registration_id,
            row.party_id,
        )
        for row in rows
    ]


async def had_by_party(tx: Transaction, now: datetime, party: Any) -> list[Hours]:
    """What the person of a party, or its school, has to come; the party's own is among it."""
    group = party.kind == PartyKind.GROUP
    return await had_by(
        tx, now, person_id=None if group else party.person_id, school_uai=party.school_uai if group else None
    )


def why_not_yet(asked: Sequence[Hours], had: Sequence[Hours], whom: str) -> Refusal | None:
    """Asks about what they have at the hour of what is asked for, and about what is asked for twice at one hour."""
    already = [other for other in had if any(other.overlaps(one) for one in asked)]
    twice = dict.fromkeys(one for pair in combinations(asked, 2) if pair[0].overlaps(pair[1]) for one in pair)
    found = sorted((*already, *twice), key=lambda one: one.starts_at)
    return overlaps.ask(whom, [one.shown for one in found])


def said(others: Sequence[Hours], whom: str = "vous aussi") -> str:
    """What is at the same hour, in a sentence."""
    return overlaps.sentence(whom, [one.shown for one in others])


def beside(had: Sequence[Hours]) -> dict[UUID, list[Hours]]:
    """What is at the same hour as each registration, where something is."""
    found = {
        one.registration_id: [other for other in had if other is not one and other.overlaps(one)]
        for one in had
        if one.registration_id is not None
    }
    return {registration_id: others for registration_id, others in found.items() if others}
