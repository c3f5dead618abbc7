"""The directory of ambassadors and the visits that are wished for: lock the visit, decide, ask the next; and their SQL.

Locks: visit, then ambassador.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from common.failures import Refusal
from common.messages import Message
from common.pages import PARIS
from common.transaction import Transaction
from events import ambassadors, notices, store
from events.ambassadors import Ambassador, AmbassadorDescription, Answered, Visit
from events.messages import AmbassadorAnswer, AmbassadorAnswered, AmbassadorAsked, AmbassadorKind
from territory.working_time import add_working_days

NOT_FOUND = Refusal("not_found", "Cette personne ou cette demande n’existe pas.")
NOT_YOURS = Refusal("not_yours", "Cette demande appartient à quelqu’un d’autre.")
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


async def describe(
    tx: Transaction, ambassador_id: UUID, email: str, title: str, description: AmbassadorDescription
) -> Refusal | None:
    """A coordinator adds somebody to the directory, or changes what it says."""
    values = _description_values(description)
    await tx.execute(
        f"""INSERT INTO ambassador (ambassador_id, version, {", ".join(values)}) VALUES (:id, 0, {", ".join(":" + n for n in values)})
            ON CONFLICT DO NOTHING""",
        id=ambassador_id,
        **values,
    )
    one = await lock(tx, ambassador_id)
    assert one is not None
    await tx.execute(
        "UPDATE ambassador SET email = :email, title = :title WHERE ambassador_id = :id",
        id=ambassador_id,
        email=email,
        title=title,
    )
    changed = replace(one, description=description)
    if one.version == 0 or changed != one:
        await _save(tx, changed, [ambassadors.described(changed, await tx.now())])
    return None


async def ask_for(tx: Transaction, asker: Asker, visit: Visit) -> Refusal | Visit:
    """A school or an organiser wishes for somebody; the first who fits is asked at once."""
    now = await tx.now()
    if visit.visit_on <= now.astimezone(PARIS).date():
        return Refusal("in_the_past", "Une visite se demande pour un jour à venir.")
    await _insert_visit(tx, asker, visit)
    locked = await lock_visit(tx, visit.visit_id)
    assert locked is not None
    visit = await _ask_next(tx, locked, now)
    if visit.state == "exhausted":
        return Refusal(
            "nobody_fits", "Personne dans l’annuaire pour ce métier près de chez vous : essayez un métier voisin."
        )
    return visit


async def answer(tx: Transaction, ambassador_id: UUID, visit_id: UUID, said: AmbassadorAnswer) -> Refusal | None:
    """The one who was asked comes, or cannot; then the next is asked."""
    visit = await lock_visit(tx, visit_id)
    if visit is None:
        return NOT_FOUND
    now = await tx.now()
    visit = await _settled(tx, visit, now)
    return await _after(tx, visit, ambassador_id, ambassadors.answer(visit, ambassador_id, said), now)


async def cancel(tx: Transaction, account: str, visit_id: UUID) -> Refusal | None:
    """Whoever asked gives up."""
    visit = await lock_visit(tx, visit_id)
    if visit is None:
        return NOT_FOUND
    if visit.asker != account:
        return NOT_YOURS
    now = await tx.now()
    visit = await _settled(tx, visit, now)
    return await _after(tx, visit, visit.ambassador_id, ambassadors.cancel(visit), now)


async def settle_due(tx: Transaction, limit: int) -> int:
    """Asks the next where somebody was silent; nothing that decides depends on its having run."""
    now = await tx.now()
    rows = await tx.fetch_all(
        "SELECT visit_id FROM visit WHERE due_at <= :now ORDER BY visit_id LIMIT :limit", now=now, limit=limit
    )
    for row in rows:
        visit = await lock_visit(tx, row.visit_id)
        assert visit is not None
        await _settled(tx, visit, now)
    return len(rows)


async def _settled(tx: Transaction, visit: Visit, now: datetime) -> Visit:
    """The visit with who was silent passed over, and the next asked; after its day nobody is."""
    if visit.state != "searching" or visit.due_at is None or visit.due_at > now or visit.ambassador_id is None:
        return visit
    silent = ambassadors.answer(visit, visit.ambassador_id, AmbassadorAnswer.SILENT)
    await _after(tx, visit, visit.ambassador_id, silent, visit.due_at, asked_at=now)
    again = await lock_visit(tx, visit.visit_id)
    assert again is not None
    return again


async def _after(
    tx: Transaction,
    before: Visit,
    ambassador_id: UUID | None,
    answered: Answered,
    at: datetime,
    *,
    asked_at: datetime | None = None,
) -> Refusal | None:
    if answered.refusal is not None:
        return answered.refusal
    visit = answered.visit
    if answered.answer is not None and ambassador_id is not None:
        one = await lock(tx, ambassador_id)
        assert one is not None
        told = AmbassadorAnswered(occurred_at=at, visit_id=visit.visit_id, answer=answered.answer)
        await _save(tx, one, [told])
    await _save_visit(tx, visit)
    await notices.tell_of_answer(tx, visit, before.ambassador_id, answered.answer)
    if visit.state == "searching":
        await _ask_next(tx, visit, asked_at or at)
    return None


async def _ask_next(tx: Transaction, visit: Visit, now: datetime) -> Visit:
    begin_of_day = datetime.combine(visit.visit_on, time(0), PARIS).astimezone(UTC)
    days = (await store.policy_at(tx, now)).ambassador_answer_working_days
    until = min(add_working_days(now, days), begin_of_day)
    one = ambassadors.next_to_ask(visit, await directory(tx)) if now < begin_of_day else None
    visit = ambassadors.ask(visit, one, until)
    await _save_visit(tx, visit)
    if one is None:
        # Whoever asks for somebody who is not there learns it at once, by the refusal.
        if visit.asked:
            await notices.tell_exhausted(tx, visit)
        return visit
    locked = await lock(tx, one.ambassador_id)
    assert locked is not None
    told = AmbassadorAsked(occurred_at=now, visit_id=visit.visit_id, visit_on=visit.visit_on, expires_at=until)
    await _save(tx, replace(locked, asked_at=now), [told])
    await notices.ask_ambassador(tx, visit, one.ambassador_id)
    return visit


# -- the store


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


async def versions(tx: Transaction) -> dict[UUID, int]:
    """Version of every person of the directory."""
    rows = await tx.fetch_all("SELECT ambassador_id, version FROM ambassador")
    return {row.ambassador_id: row.version for row in rows}


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


async def _insert_visit(tx: Transaction, asker: Asker, visit: Visit) -> None:
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


async def _save_visit(tx: Transaction, visit: Visit) -> None:
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


async def _save(tx: Transaction, one: Ambassador, messages: Sequence[Message]) -> None:
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
