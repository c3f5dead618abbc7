"""Loads and saves events, their organisers and what platform scheduling was asked. Locks: event, then sessions by id."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from pydantic import TypeAdapter
from sqlalchemy import Row

from common.transaction import Transaction
from events import lifecycle
from events.state import Description, Event, EventDecision, Plan, PlatformNeed
from events.store import SEATS, plan_of

_description: TypeAdapter[Description] = TypeAdapter(Description)
_need: TypeAdapter[PlatformNeed] = TypeAdapter(PlatformNeed)


async def organiser(tx: Transaction, account: str, contact: str | None) -> UUID:
    """The random id that stands for an account, made the first time."""
    row = await tx.fetch_one(
        """INSERT INTO organiser (organiser_id, account, contact_email) VALUES (:id, :account, :contact)
           ON CONFLICT (account) DO UPDATE SET contact_email = COALESCE(excluded.contact_email, organiser.contact_email)
           RETURNING organiser_id""",
        id=uuid4(),
        account=account,
        contact=contact,
    )
    assert row is not None
    organiser_id: UUID = row.organiser_id
    return organiser_id


async def insert_event(tx: Transaction, event_id: UUID, organiser_id: UUID, description: Description) -> None:
    """Makes room for a new event, so that its row can be locked; an existing one stays as it is."""
    await tx.execute(
        """INSERT INTO event (event_id, organiser_id, state, description, changed_at, version)
           VALUES (:id, :organiser_id, 'draft', CAST(:description AS jsonb), clock_timestamp(), 0) ON CONFLICT DO NOTHING""",
        id=event_id,
        organiser_id=organiser_id,
        description=_description.dump_json(description).decode(),
    )


async def lock_event(tx: Transaction, event_id: UUID) -> Event | None:
    """An event, its row locked."""
    row = await tx.fetch_one("SELECT * FROM event WHERE event_id = :id FOR UPDATE", id=event_id)
    return event_of(row) if row is not None else None


async def find_event(tx: Transaction, event_id: UUID) -> Event | None:
    """An event as it is, unlocked: its sessions say under their own lock whether one may register."""
    row = await tx.fetch_one("SELECT * FROM event WHERE event_id = :id", id=event_id)
    return event_of(row) if row is not None else None


async def is_organised_by(tx: Transaction, event_id: UUID, account: str) -> bool:
    """Whether an event belongs to an account."""
    row = await tx.fetch_one(
        "SELECT 1 FROM event JOIN organiser USING (organiser_id) WHERE event_id = :id AND account = :account",
        id=event_id,
        account=account,
    )
    return row is not None


async def save(tx: Transaction, before: Event, decision: EventDecision) -> Event:
    """Writes what a decision changed, emits its messages, and tells platform scheduling what it is asked or spared."""
    after = decision.event
    version = await tx.emit(decision.messages, aggregate_id=after.event_id, version=before.version)
    await tx.execute(
        """UPDATE event SET state = :state, description = CAST(:description AS jsonb), need = CAST(:need AS jsonb),
               cancelled_reason = :reason, version = :version,
               changed_at = CASE WHEN CAST(:changed AS boolean) THEN clock_timestamp() ELSE changed_at END WHERE event_id = :id""",
        id=after.event_id,
        state=after.state,
        description=_description.dump_json(after.description).decode(),
        need=_need.dump_json(after.need).decode() if after.need is not None else None,
        reason=after.cancelled_reason,
        version=version,
        changed=after != before,
    )
    now = await tx.now()
    if decision.withdrawn is not None:
        request_id = decision.withdrawn.request_id
        assert request_id is not None
        await _tell_request(tx, request_id, lifecycle.withdrawn(after, decision.withdrawn, now), withdrawn=True)
    if decision.asked is not None:
        assert decision.asked.request_id is not None
        await insert_request(tx, after.event_id, decision.asked, version=0)
        await _tell_request(tx, decision.asked.request_id, lifecycle.asked(after, decision.asked, now), withdrawn=False)
    return replace(after, version=version)


async def insert_request(tx: Transaction, event_id: UUID, need: PlatformNeed, *, version: int) -> None:
    """A request for a platform, asked."""
    await tx.execute(
        """INSERT INTO platform_request (request_id, event_id, need, withdrawn, version)
           VALUES (:id, :event_id, CAST(:need AS jsonb), false, :version) ON CONFLICT DO NOTHING""",
        id=need.request_id,
        event_id=event_id,
        need=_need.dump_json(need).decode(),
        version=version,
    )


async def find_request(tx: Transaction, request_id: UUID) -> Any:
    """A request for a platform, with what it was for, or None."""
    return await tx.fetch_one("SELECT * FROM platform_request WHERE request_id = :id", id=request_id)


async def note_answer(tx: Transaction, request_id: UUID, answer: str) -> None:
    """What platform scheduling last said of a request, for whoever looks at it."""
    await tx.execute(
        "UPDATE platform_request SET answer = :answer WHERE request_id = :id", id=request_id, answer=answer
    )


async def _tell_request(tx: Transaction, request_id: UUID, message: Any, *, withdrawn: bool) -> None:
    row = await find_request(tx, request_id)
    version = await tx.emit([message], aggregate_id=request_id, version=row.version)
    await tx.execute(
        "UPDATE platform_request SET version = :version, withdrawn = :withdrawn WHERE request_id = :id",
        id=request_id,
        version=version,
        withdrawn=withdrawn,
    )


async def session_ids(tx: Transaction, event_id: UUID) -> list[UUID]:
    """The sessions of an event, in the order in which they are locked."""
    rows = await tx.fetch_all("SELECT session_id FROM session WHERE event_id = :id ORDER BY session_id", id=event_id)
    return [row.session_id for row in rows]


async def plans_of(tx: Transaction, event_id: UUID, *, but: UUID | None = None) -> list[Plan]:
    """The plans of an event's sessions that are not cancelled, without one that is about to change."""
    rows = await tx.fetch_all(
        "SELECT * FROM session WHERE event_id = :id AND state <> 'cancelled' AND session_id IS DISTINCT FROM :but",
        id=event_id,
        but=but,
    )
    return [plan_of(row) for row in rows]


async def event_of_session(tx: Transaction, session_id: UUID) -> UUID | None:
    """The event that a session belongs to, or None."""
    row = await tx.fetch_one("SELECT event_id FROM session WHERE session_id = :id", id=session_id)
    return row.event_id if row is not None else None


async def drop_unplanned_session(tx: Transaction, session_id: UUID) -> None:
    """Takes the room away that was made for a session which was refused."""
    await tx.execute("DELETE FROM session WHERE session_id = :id AND revision = 0", id=session_id)


# -- reading


async def sessions(
    tx: Transaction,
    now: datetime,
    *,
    event_id: UUID | None = None,
    session_id: UUID | None = None,
    organiser_account: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    only_public: bool = False,
    limit: int = 2000,
) -> Sequence[Row[Any]]:
    """Sessions by their begin, with their event and their seats as they are at `now`."""
    return await tx.fetch_all(
        f"""SELECT s.*, e.description, e.state AS event_state, e.changed_at AS event_changed_at, e.version AS event_version, o.account AS organiser_account,
                   c.registered, c.offered, c.waiting, c.attended,
                   GREATEST(0, s.capacity_count - c.registered - c.offered - c.waiting) AS free_count
            FROM session s JOIN event e USING (event_id) JOIN organiser o USING (organiser_id), LATERAL {SEATS} c
            WHERE (CAST(:event_id AS uuid) IS NULL OR s.event_id = :event_id)
              AND (CAST(:session_id AS uuid) IS NULL OR s.session_id = :session_id)
              AND (CAST(:account AS text) IS NULL OR o.account = :account)
              AND (CAST(:since AS timestamptz) IS NULL OR s.ends_at > :since)
              AND (CAST(:until AS timestamptz) IS NULL OR s.starts_at < :until)
              AND (NOT :only_public OR (e.state IN ('confirmed', 'cancelled') AND e.version > 0 AND e.description ->> 'access' <> 'INVITATION'))
            ORDER BY s.starts_at, s.session_id LIMIT :limit""",
        now=now,
        event_id=event_id,
        session_id=session_id,
        account=organiser_account,
        since=since,
        until=until,
        only_public=only_public,
        limit=limit,
    )


async def events_of(tx: Transaction, account: str) -> Sequence[Row[Any]]:
    """An organiser's events, the next to begin first, those without a session before them."""
    return await tx.fetch_all(
        """SELECT e.*, (SELECT min(starts_at) FROM session s WHERE s.event_id = e.event_id) AS starts_at,
                  (SELECT max(ends_at) FROM session s WHERE s.event_id = e.event_id) AS ends_at
           FROM event e JOIN organiser o USING (organiser_id) WHERE o.account = :account
           ORDER BY starts_at NULLS FIRST, event_id""",
        account=account,
    )


def event_of(row: Row[Any]) -> Event:
    """The event in a row."""
    return Event(
        row.event_id,
        row.organiser_id,
        description_of(row),
        row.state,
        _need.validate_json(json.dumps(row.need)) if row.need is not None else None,
        row.cancelled_reason,
        row.version,
    )


def description_of(row: Row[Any]) -> Description:
    """The description in a row that has one."""
    return _description.validate_json(json.dumps(row.description))


def need_of(row: Row[Any]) -> PlatformNeed:
    """What a request for a platform was for."""
    return _need.validate_json(json.dumps(row.need))
