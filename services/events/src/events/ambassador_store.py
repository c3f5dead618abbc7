"""Loads and saves the directory of ambassadors and the visits that are wished for, and all their SQL. Locks: visit, then ambassador."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from common.messages import Message
from common.transaction import Transaction
from events.ambassadors import Ambassador, AmbassadorDescription, Visit
from events.messages import AmbassadorKind

_DESCRIPTION_COLUMNS = (
    "kind",
    "rome_codes",
    "commune_code",
    "radius_km",
    "host_siret",
    "kit_id",
    "withdrawn",
    "fictitious",
)


@dataclass(frozen=True)
class Asker:
    """Who asks for a visit: their account, what the ambassador may know of them, and what they wrote."""

    account: str
    title: str | None = None
    contact: str | None = None
    details: str = ""
    event_id: UUID | None = None


async def insert(tx: Transaction, ambassador_id: UUID, description: AmbassadorDescription) -> None:
    """Makes room for somebody new, so that their row can be locked; who is there stays as they are."""
    values = _description_values(description)
    await tx.execute(
        f"""INSERT INTO ambassador (ambassador_id, version, {", ".join(values)}) VALUES (:id, 0, {", ".join(":" + n for n in values)})
            ON CONFLICT DO NOTHING""",
        id=ambassador_id,
        **values,
    )


async def name(tx: Transaction, ambassador_id: UUID, email: str, title: str) -> None:
    """Who it is and how to write to them; never leaves this database."""
    await tx.execute(
        "UPDATE ambassador SET email = :email, title = :title WHERE ambassador_id = :id",
        id=ambassador_id,
        email=email,
        title=title,
    )


async def due_visits(tx: Transaction, after: UUID, limit: int) -> list[UUID]:
    """Visits in which somebody has been silent too long."""
    rows = await tx.fetch_all(
        "SELECT visit_id FROM visit WHERE due_at <= :now AND visit_id > :after ORDER BY visit_id LIMIT :limit",
        now=await tx.now(),
        after=after,
        limit=limit,
    )
    return [row.visit_id for row in rows]


async def visits_of_event(tx: Transaction, event_id: UUID) -> list[UUID]:
    """Visits for an event that somebody still hopes for, in the order in which they are locked."""
    rows = await tx.fetch_all(
        "SELECT visit_id FROM visit WHERE event_id = :id AND state IN ('searching', 'accepted') ORDER BY visit_id",
        id=event_id,
    )
    return [row.visit_id for row in rows]


async def directory(tx: Transaction) -> list[Ambassador]:
    """Everybody who may be asked."""
    rows = await tx.fetch_all("SELECT * FROM ambassador WHERE NOT withdrawn AND email IS NOT NULL AND version > 0")
    return [_ambassador(row) for row in rows]


async def people(tx: Transaction) -> Sequence[Row[Any]]:
    """The directory as its coordinators read it."""
    return await tx.fetch_all(
        "SELECT * FROM ambassador WHERE version > 0 AND email IS NOT NULL ORDER BY title, ambassador_id"
    )


async def lock(tx: Transaction, ambassador_id: UUID) -> Ambassador | None:
    """One person of the directory, their row locked."""
    row = await tx.fetch_one("SELECT * FROM ambassador WHERE ambassador_id = :id FOR UPDATE", id=ambassador_id)
    return _ambassador(row) if row is not None else None


async def lock_visit(tx: Transaction, visit_id: UUID) -> Visit | None:
    """A visit that is wished for, its row locked."""
    row = await tx.fetch_one("SELECT * FROM visit WHERE visit_id = :id FOR UPDATE", id=visit_id)
    return visit_of(row) if row is not None else None


async def visits(tx: Transaction, *, asker: str | None = None, visit_id: UUID | None = None) -> Sequence[Row[Any]]:
    """Visits by their day, with who comes once they have accepted."""
    return await tx.fetch_all(
        """SELECT v.*, CASE WHEN v.state = 'accepted' THEN a.title END AS ambassador_title,
                  CASE WHEN v.state = 'accepted' THEN a.email END AS ambassador_email, cardinality(v.asked) AS asked_count
           FROM visit v LEFT JOIN ambassador a USING (ambassador_id)
           WHERE (CAST(:asker AS text) IS NULL OR v.asker = :asker) AND (CAST(:visit_id AS uuid) IS NULL OR v.visit_id = :visit_id)
           ORDER BY v.visit_on, v.visit_id LIMIT 500""",
        asker=asker,
        visit_id=visit_id,
    )


def visit_of(row: Row[Any]) -> Visit:
    """The visit in a row."""
    kind = AmbassadorKind(row.kind) if row.kind else None
    return Visit(
        row.visit_id,
        row.asker,
        row.rome_code,
        kind,
        row.commune_code,
        row.visit_on,
        row.state,
        row.ambassador_id,
        row.due_at,
        tuple(row.asked),
    )


async def insert_visit(tx: Transaction, asker: Asker, visit: Visit) -> None:
    # A moment in the past: the first is asked in this transaction, or the search ends.
    await tx.execute(
        """INSERT INTO visit (visit_id, asker, asker_title, asker_contact, event_id, rome_code, kind, commune_code, visit_on, details, state, due_at, asked)
           VALUES (:id, :asker, :title, :contact, :event_id, :rome_code, :kind, :commune_code, :visit_on, :details, 'searching', clock_timestamp(), '{}')
           ON CONFLICT DO NOTHING""",
        id=visit.visit_id,
        asker=asker.account,
        title=asker.title,
        contact=asker.contact,
        event_id=asker.event_id,
        rome_code=visit.rome_code,
        kind=visit.kind and visit.kind.value,
        commune_code=visit.commune_code,
        visit_on=visit.visit_on,
        details=asker.details,
    )


async def save_visit(tx: Transaction, visit: Visit) -> None:
    await tx.execute(
        """UPDATE visit SET state = :state, ambassador_id = :ambassador_id, asked = :asked,
               due_at = :due_at
           WHERE visit_id = :id""",
        id=visit.visit_id,
        state=visit.state,
        ambassador_id=visit.ambassador_id,
        asked=list(visit.asked),
        # Of a search between two people: the next is asked in this transaction.
        due_at=visit.due_at or (await tx.now() if visit.state == "searching" else None),
    )


async def save(tx: Transaction, one: Ambassador, messages: Sequence[Message]) -> None:
    version = await tx.emit(messages, aggregate_id=one.ambassador_id, version=one.version)
    values = _description_values(one.description)
    await tx.execute(
        f"""UPDATE ambassador SET version = :version, asked_at = :asked_at, {", ".join(f"{n} = :{n}" for n in values)}
            WHERE ambassador_id = :id""",
        id=one.ambassador_id,
        version=version,
        asked_at=one.asked_at,
        **values,
    )


def _ambassador(row: Row[Any]) -> Ambassador:
    values = {name: getattr(row, name) for name in _DESCRIPTION_COLUMNS}
    typed = {"kind": AmbassadorKind(row.kind), "rome_codes": tuple(row.rome_codes)}
    return Ambassador(row.ambassador_id, AmbassadorDescription(**values | typed), row.asked_at, row.version)


def _description_values(description: AmbassadorDescription) -> dict[str, Any]:
    values = {name: getattr(description, name) for name in _DESCRIPTION_COLUMNS}
    return values | {"rome_codes": list(description.rome_codes), "kind": description.kind.value}
