"""What becomes of registrations, loans and visits when an event, a session, a kit or the directory changes: one cell for each.

What somebody was promised holds, and a change of time or place is told to them; it ends where nothing is left to come to. Seats
that are taken are never taken back by fewer seats; who waits for more seats than there will be waits for nothing, and is told so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from common.commitments import Commitment, Table
from common.commitments import Fate as F
from common.transaction import Transaction
from events.kits import KitDescription, Loan
from events.state import Plan


class Change(StrEnum):
    """What an organiser or a keeper may change under somebody."""

    SEATS = "fewer_seats_than_a_party"
    MOVED = "another_time_or_hall"
    SESSION_CANCELLED = "session_cancelled"
    PLACE = "event_at_another_place"
    ACCESS = "another_audience_or_admission"
    PLATFORM = "platform_needed_anew"
    EVENT_CANCELLED = "event_cancelled"
    KIT_WITHDRAWN = "kit_withdrawn"
    KIT_PLACE = "kit_kept_elsewhere"
    AMBASSADOR_WITHDRAWN = "ambassador_withdrawn"
    POLICY = "policy_of_the_Region"


class Kind(StrEnum):
    """What was promised: seats, a kit, somebody who comes."""

    WAITING = "waiting"
    OFFERED = "offered"
    REGISTERED = "registered"
    BEGUN = "session_begun"
    LOAN_ASKED = "loan_asked"
    LOAN = "loan_agreed"
    LOAN_OUT = "loan_out"
    VISIT_ASKED = "visit_asked"
    VISIT = "visit_agreed"


_REST = (F.STAYS,) * 5
_ALL = (F.STAYS,) * 9
TABLE = Table(
    Change,
    Kind,
    {
        # waiting, offered, registered, begun; then loan asked, agreed, out; visit asked, agreed
        Change.SEATS: (F.ENDS, F.BARS, F.BARS, F.BARS, *_REST),
        Change.MOVED: (F.CHANGES, F.CHANGES, F.CHANGES, F.BARS, *_REST),
        Change.SESSION_CANCELLED: (F.ENDS, F.ENDS, F.ENDS, F.ENDS, *_REST),
        Change.PLACE: (F.CHANGES, F.CHANGES, F.CHANGES, F.CHANGES, *_REST),
        # Who was admitted stays so.
        Change.ACCESS: _ALL,
        # Who is registered, offered or waiting stays so while the event waits for its platform, and is told if it falls.
        Change.PLATFORM: _ALL,
        # A kit that is out comes back as agreed.
        Change.EVENT_CANCELLED: (F.ENDS, F.ENDS, F.ENDS, F.ENDS, F.ENDS, F.ENDS, F.STAYS, F.ENDS, F.ENDS),
        Change.KIT_WITHDRAWN: (*_ALL[:4], F.ENDS, F.ENDS, F.STAYS, F.STAYS, F.STAYS),
        Change.KIT_PLACE: (*_ALL[:4], F.CHANGES, F.CHANGES, F.STAYS, F.STAYS, F.STAYS),
        # The next of the directory is asked.
        Change.AMBASSADOR_WITHDRAWN: (*_ALL[:7], F.MOVES, F.MOVES),
        Change.POLICY: _ALL,
    },
)
_STATES = {"waiting": "Liste d’attente", "offered": "Place proposée", "registered": "Inscription"}
_LOANS = {"requested": Kind.LOAN_ASKED, "reserved": Kind.LOAN, "out": Kind.LOAN_OUT}


# -- registrations


async def registrations(
    tx: Transaction, session_ids: Sequence[UUID], changes: Callable[[Any], list[Change]], now: datetime
) -> list[Commitment]:
    """What a change means for who is in some sessions, which are locked; `changes` reads a registration's row."""
    rows = await tx.fetch_all(
        """SELECT r.registration_id, r.state, r.seat_count, s.starts_at, s.title FROM registration r JOIN session s USING (session_id)
           WHERE r.session_id = ANY(:ids) AND s.state IN ('open', 'planned') AND s.ends_at > :now
             AND r.state IN ('waiting', 'offered', 'registered', 'attended') AND (r.due_at IS NULL OR r.due_at > :now)""",
        ids=list(session_ids),
        now=now,
    )
    found = []
    for row in rows:
        # The door opens hours before: for who has come, it has begun.
        begun = row.starts_at <= now or row.state == "attended"
        kind = Kind.BEGUN if begun else Kind(row.state)
        seats = f"{row.seat_count} place{'s' if row.seat_count > 1 else ''}"
        what = f"{_STATES.get(row.state, 'Inscription')}, {seats}, « {row.title} »"
        fate = TABLE.fate_of(changes(row), kind)
        found.append(Commitment("registration", row.registration_id, row.starts_at, what, fate))
    return found


def by_plan(before: Plan, after: Plan) -> Callable[[Any], list[Change]]:
    """What another plan changes for a registration; seats that are taken bar it before anybody is asked."""
    moved = before.when_and_where != after.when_and_where

    def changes(row: Any) -> list[Change]:
        outgrown = row.state == "waiting" and row.seat_count > (after.capacity_count or 0)
        return [*([Change.SEATS] if outgrown else []), *([Change.MOVED] if moved else [])]

    return changes


async def of_event(tx: Transaction, event_id: UUID, session_ids: Sequence[UUID], now: datetime) -> list[Commitment]:
    """All that ends with an event: its sessions are locked."""
    found = await registrations(tx, session_ids, lambda _: [Change.EVENT_CANCELLED], now)
    loans = await tx.fetch_all(
        "SELECT l.*, k.title FROM loan l JOIN kit k USING (kit_id) WHERE event_id = :id AND state <> 'ended'",
        id=event_id,
    )
    for row in loans:
        found.append(_loan(row.loan_id, row.state, row.first_on, row.title, [Change.EVENT_CANCELLED]))
    visits = await tx.fetch_all(
        "SELECT * FROM visit WHERE event_id = :id AND state IN ('searching', 'accepted')", id=event_id
    )
    for row in visits:
        found.append(_visit(row, Change.EVENT_CANCELLED))
    return found


# -- kits and the directory


def of_kit(loans: Sequence[Loan], title: str, before: KitDescription, after: KitDescription) -> list[Commitment]:
    """What another description of a kit means for its loans."""
    changes = []
    if after.withdrawn and not before.withdrawn:
        changes.append(Change.KIT_WITHDRAWN)
    if after.commune_code != before.commune_code:
        changes.append(Change.KIT_PLACE)
    return [_loan(one.loan_id, one.state, one.first_on, title, changes) for one in loans]


async def of_ambassador(tx: Transaction, ambassador_id: UUID, today: date) -> list[Commitment]:
    """The visits to come of somebody who leaves the directory."""
    rows = await tx.fetch_all(
        """SELECT * FROM visit WHERE ambassador_id = :id AND state IN ('searching', 'accepted') AND visit_on >= :today
           ORDER BY visit_id FOR UPDATE""",
        id=ambassador_id,
        today=today,
    )
    return [_visit(row, Change.AMBASSADOR_WITHDRAWN) for row in rows]


def _loan(loan_id: UUID, state: str, first_on: date, title: str, changes: Sequence[Change]) -> Commitment:
    kind = _LOANS[state]
    asked = {Kind.LOAN_ASKED: "Prêt demandé", Kind.LOAN: "Prêt réservé", Kind.LOAN_OUT: "Prêt sorti"}[kind]
    return Commitment("loan", loan_id, first_on, f"{asked}, « {title} »", TABLE.fate_of(changes, kind))


def _visit(row: Any, change: Change) -> Commitment:
    kind = Kind.VISIT if row.state == "accepted" else Kind.VISIT_ASKED
    what = "Visite acceptée" if kind is Kind.VISIT else "Visite demandée"
    return Commitment("visit", row.visit_id, row.visit_on, what, TABLE.fate(change, kind))
