"""Loads and saves sessions and the registrations in them. Locks: person, then event, then sessions by id, then kits."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row

from common.messages import last_version_of
from common.policy import limits_at
from common.transaction import Transaction
from events import domain
from events.domain import Attendance
from events.messages import (
    Admission,
    Allocation,
    PartyKind,
    RegistrationEndReason,
    SessionCancelled,
    SessionDescribed,
    SessionPurpose,
)
from events.state import Decision, Plan, Policy, Registration, Session
from waiting_list.rules import ORDER, lottery_key
from waiting_list.store import Lists
from waiting_list.tables import TAKING, counts_sql

_PLAN_COLUMNS = (
    "title",
    "purpose",
    "starts_at",
    "ends_at",
    "hall",
    "speaker",
    "online_url",
    "admission",
    "capacity_count",
    "allocation",
    "draw_at",
    "opens_at",
)
REGISTRATION_COLUMNS = (
    "registration_id",
    "party_id",
    "holder_id",
    "party_kind",
    "seat_count",
    "state",
    "joined_at",
    "school_uai",
    "priority",
    "lottery_key",
    "due_at",
    "visitor_count",
    "visitor_count_at",
    "end_reason",
    "ended_at",
    "revision",
)
SESSIONS = Lists(
    "session",
    "session_id",
    REGISTRATION_COLUMNS,
    open_states=("open",),
    due_at="due_at",
    party="party",
    party_column="party_id",
)
# What a reader of a calendar sees of a session.
DESCRIBED = (SessionDescribed, SessionCancelled)
# Seats as they are at `:now`, whether time was settled or not: a lapsed offer holds nothing.
SEATS = f"({counts_sql('registration', 'session_id = s.session_id', lapsing=True)})"


async def policy_at(tx: Transaction, now: datetime) -> Policy:
    """The limits in force at an instant."""
    return Policy(**await limits_at(tx, now))


# -- sessions


async def insert_session(tx: Transaction, session_id: UUID, event_id: UUID, plan: Plan) -> None:
    """Makes room for a new session, so that its row can be locked; an existing one stays as it is."""
    values = _plan_values(plan)
    await tx.execute(
        f"""INSERT INTO session (session_id, event_id, state, seed, taken_count, revision, changed_at, version, {", ".join(values)})
            VALUES (:session_id, :event_id, 'planned', :seed, 0, 0, clock_timestamp(), 0, {", ".join(":" + name for name in values)})
            ON CONFLICT DO NOTHING""",
        session_id=session_id,
        event_id=event_id,
        seed=uuid4().hex,
        **values,
    )


async def lock_session(
    tx: Transaction, session_id: UUID, *, holder_id: UUID | None = None, registration_id: UUID | None = None
) -> Session | None:
    """A session, its row locked, with its counts and those registrations that are due, of a holder, or of an id."""
    row = await tx.fetch_one("SELECT * FROM session WHERE session_id = :id FOR UPDATE", id=session_id)
    if row is None:
        return None
    rows = await SESSIONS.looked_at(tx, session_id, holder_id=holder_id, registration_id=registration_id)
    return Session(
        session_id,
        row.event_id,
        plan_of(row),
        row.state,
        await SESSIONS.counts(tx, session_id),
        row.seed,
        row.drawn_at,
        tuple(_registration(one) for one in rows),
        row.revision,
        row.version,
    )


async def attendance_of(tx: Transaction, session_id: UUID) -> Attendance:
    """Who came, by sex as far as their parties said so."""
    row = await tx.fetch_one(
        """SELECT COALESCE(sum(LEAST(p.female_count, r.visitor_count)), 0)::int AS female,
                  COALESCE(sum(LEAST(p.male_count, r.visitor_count)), 0)::int AS male
           FROM registration r JOIN party p USING (party_id) WHERE r.session_id = :id AND r.state = 'attended'""",
        id=session_id,
    )
    assert row is not None
    return Attendance(row.female, row.male)


async def save(tx: Transaction, before: Session, decision: Decision, policy: Policy) -> Decision:
    """Writes what a decision changed, emits its messages in version order; returns the decision with the new version."""
    after = decision.session
    version = await tx.emit(decision.messages, aggregate_id=after.session_id, version=before.version)
    if after == before and not decision.messages:
        return decision
    known = {one.registration_id: one for one in before.registrations}
    for one in after.registrations:
        if known.get(one.registration_id) != one:
            await _save_registration(tx, after.session_id, known.get(one.registration_id), one)
    await _save_all_registrations(tx, before, after, policy)
    values = _plan_values(after.plan)
    # The seats are summed in the statement that the constraint looks at: what is stored is what is true.
    await tx.execute(
        f"""UPDATE session SET state = :state, version = :version, revision = :revision, drawn_at = :drawn_at, due_at = :due_at,
                described_version = GREATEST(described_version, :described_version),
                changed_at = CASE WHEN CAST(:changed AS boolean) THEN clock_timestamp() ELSE changed_at END,
                taken_count = (SELECT COALESCE(sum(seat_count), 0) FROM registration WHERE session_id = :id AND {TAKING}),
                {", ".join(f"{name} = :{name}" for name in values)} WHERE session_id = :id""",
        id=after.session_id,
        state=after.state,
        version=version,
        revision=after.revision,
        described_version=last_version_of(DESCRIBED, decision.messages, version, otherwise=0),
        drawn_at=after.drawn_at,
        due_at=domain.due_at(after, policy),
        changed=(after.revision, after.state) != (before.revision, before.state),
        **values,
    )
    return replace(decision, session=replace(after, version=version))


async def _save_registration(tx: Transaction, session_id: UUID, before: Registration | None, one: Registration) -> None:
    # Where the draw has put somebody is the draw's to write: who was read before it does not know.
    values = {name: getattr(one, name) for name in REGISTRATION_COLUMNS if name != "lottery_key"} | {
        "session_id": session_id,
        "party_kind": one.party_kind.value,
        "end_reason": one.end_reason and one.end_reason.value,
    }
    # Who checks in is not written to; who was registered, offered, put in line, resized or ended is, once.
    tells = one.state not in ("attended", "absent") and (before is None or before.state != "attended")
    tells = tells and (before is None or before.revision != one.revision)
    await SESSIONS.save(tx, values, owed=one.state if tells else None)


async def _save_all_registrations(tx: Transaction, before: Session, after: Session, policy: Policy) -> None:
    """What the session's own change means for every registration in it, in one statement each."""
    if after.state == "cancelled" and before.state != "cancelled":
        await SESSIONS.end_all(tx, after.session_id, "SESSION_CANCELLED")
    if after.state == "held" and before.state != "held" and after.counts.attended:
        await SESSIONS.miss_all(tx, after.session_id)
    then, now = before.plan, after.plan
    if before.version == 0 or then.when_and_where == now.when_and_where:
        return
    await owe_the_move(tx, after.session_id)
    if then.starts_at != now.starts_at:
        closes_at = policy.terms.cut_off(now.starts_at)
        await tx.execute(
            """UPDATE registration SET due_at = CASE state WHEN 'waiting' THEN :closes_at ELSE LEAST(due_at, :closes_at) END
               WHERE session_id = :id AND state IN ('waiting', 'offered')""",
            id=after.session_id,
            closes_at=closes_at,
        )


async def owe(tx: Transaction, registration_id: UUID, what: str) -> None:
    """A party is to be told this of its registration, in place of what its state says."""
    await tx.execute("UPDATE registration SET owed = :what WHERE registration_id = :id", what=what, id=registration_id)


async def owe_the_move(tx: Transaction, session_id: UUID) -> None:
    """Everybody who comes, has come already, or hopes to, is to be told of another time or place."""
    await tx.execute(
        """UPDATE registration SET owed = 'moved', revision = revision + 1
           WHERE session_id = :id AND state IN ('waiting', 'offered', 'registered', 'attended')""",
        id=session_id,
    )


# -- the line


async def line(tx: Transaction, session_id: UUID, free_count: int, passed: Collection[UUID]) -> list[Registration]:
    """The first in line whom the free seats would fit, in order; without those who were passed over."""
    return [_registration(row) for row in await SESSIONS.line(tx, session_id, free_count, passed)]


async def draw(tx: Transaction, session_id: UUID, seed: str) -> None:
    """Puts everybody in line where the draw has them."""
    rows = await tx.fetch_all(
        "SELECT registration_id FROM registration WHERE session_id = :id AND state = 'waiting'", id=session_id
    )
    ids = [row.registration_id for row in rows]
    await tx.execute(
        """UPDATE registration SET lottery_key = drawn.key
           FROM unnest(CAST(:ids AS uuid[]), CAST(:keys AS text[])) AS drawn(id, key) WHERE registration_id = drawn.id""",
        ids=ids,
        keys=[lottery_key(seed, one) for one in ids],
    )


async def all_registrations(tx: Transaction, session_id: UUID) -> list[Registration]:
    """Every registration of a session, which is locked."""
    rows = await tx.fetch_all(
        f"SELECT {', '.join(REGISTRATION_COLUMNS)} FROM registration WHERE session_id = :id ORDER BY {ORDER}",
        id=session_id,
    )
    return [_registration(row) for row in rows]


# -- rows


def plan_of(row: Row[Any]) -> Plan:
    """The plan in a row of `session`."""
    values = {name: getattr(row, name) for name in _PLAN_COLUMNS}
    return Plan(
        **values
        | {
            "purpose": SessionPurpose(row.purpose),
            "admission": Admission(row.admission),
            "allocation": Allocation(row.allocation),
        }
    )


def _plan_values(plan: Plan) -> dict[str, Any]:
    values = {name: getattr(plan, name) for name in _PLAN_COLUMNS}
    return values | {
        "purpose": plan.purpose.value,
        "admission": plan.admission.value,
        "allocation": plan.allocation.value,
    }


def _registration(row: Row[Any]) -> Registration:
    values = {name: getattr(row, name) for name in REGISTRATION_COLUMNS}
    return Registration(
        **values
        | {
            "party_kind": PartyKind(row.party_kind),
            "end_reason": RegistrationEndReason(row.end_reason) if row.end_reason else None,
        }
    )
