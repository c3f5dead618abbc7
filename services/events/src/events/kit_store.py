"""Loads and saves kits and their loans, and all their SQL. Locks: kit; its event before it, where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from common.pages import PARIS
from common.transaction import Transaction
from events.kits import Kit, KitDecision, KitDescription, Loan
from events.messages import LoanEndReason

_DESCRIPTION_COLUMNS = ("title", "contents", "rome_codes", "commune_code", "withdrawn", "fictitious")
_LOAN_COLUMNS = ("loan_id", "borrower_id", "first_on", "last_on", "state", "event_id", "end_reason", "late", "damaged")


async def insert_kit(
    tx: Transaction, kit_id: UUID, keeper: str, contact: str | None, description: KitDescription
) -> None:
    """Makes room for a new kit, so that its row can be locked; of an existing one, only its keeper's contact changes."""
    values = _description_values(description)
    await tx.execute(
        f"""INSERT INTO kit (kit_id, keeper, keeper_contact, out_of_order, version, {", ".join(values)})
            VALUES (:kit_id, :keeper, :contact, false, 0, {", ".join(":" + name for name in values)})
            ON CONFLICT (kit_id) DO UPDATE SET keeper_contact = COALESCE(excluded.keeper_contact, kit.keeper_contact)
                WHERE kit.keeper = excluded.keeper""",
        kit_id=kit_id,
        keeper=keeper,
        contact=contact,
        **values,
    )


async def lock_kit(tx: Transaction, kit_id: UUID) -> Kit | None:
    """A kit with its loans that are not over, its row locked."""
    row = await tx.fetch_one("SELECT * FROM kit WHERE kit_id = :id FOR UPDATE", id=kit_id)
    if row is None:
        return None
    loans = await tx.fetch_all(
        "SELECT * FROM loan WHERE kit_id = :id AND state <> 'ended' ORDER BY first_on, loan_id", id=kit_id
    )
    return Kit(
        kit_id, row.keeper, description_of(row), row.out_of_order, tuple(loan_of(one) for one in loans), row.version
    )


async def save(tx: Transaction, before: Kit, decision: KitDecision) -> KitDecision:
    """Writes what a decision changed, emits its messages in version order."""
    after = decision.kit
    version = await tx.emit(decision.messages, aggregate_id=after.kit_id, version=before.version)
    if after == before and not decision.messages:
        return decision
    values = _description_values(after.description)
    await tx.execute(
        f"UPDATE kit SET version = :version, out_of_order = :out_of_order, {', '.join(f'{n} = :{n}' for n in values)} WHERE kit_id = :id",
        id=after.kit_id,
        version=version,
        out_of_order=after.out_of_order,
        **values,
    )
    known = {one.loan_id: one for one in before.loans}
    for one in after.loans:
        if known.get(one.loan_id) == one:
            continue
        columns = {name: getattr(one, name) for name in _LOAN_COLUMNS} | {
            "kit_id": after.kit_id,
            "free_on": one.free_on,
            "end_reason": one.end_reason and one.end_reason.value,
            "reminder_count": 0,
        }
        await tx.execute(
            f"""INSERT INTO loan ({", ".join(columns)}) VALUES ({", ".join(":" + name for name in columns)})
                ON CONFLICT (loan_id) DO UPDATE SET {", ".join(f"{n} = excluded.{n}" for n in columns if n not in ("loan_id", "reminder_count"))}""",
            **columns,
        )
    return replace(decision, kit=replace(after, version=version))


async def find_kits(tx: Transaction, *, keeper: str | None = None) -> Sequence[Row[Any]]:
    """Kits that are lent, or all of a keeper, by title."""
    return await tx.fetch_all(
        """SELECT * FROM kit WHERE version > 0 AND (CAST(:keeper AS text) IS NULL OR keeper = :keeper)
               AND (CAST(:keeper AS text) IS NOT NULL OR NOT withdrawn) ORDER BY title, kit_id""",
        keeper=keeper,
    )


async def loans(
    tx: Transaction,
    *,
    keeper: str | None = None,
    borrower: str | None = None,
    kit_ids: Sequence[UUID] | None = None,
    event_id: UUID | None = None,
) -> Sequence[Row[Any]]:
    """Loans by their first day, with their kit and what the keeper may know of the borrower."""
    return await tx.fetch_all(
        """SELECT l.*, k.title, k.keeper, k.commune_code, o.account AS borrower, o.contact_email FROM loan l JOIN kit k USING (kit_id)
               JOIN organiser o ON o.organiser_id = l.borrower_id
           WHERE (CAST(:keeper AS text) IS NULL OR k.keeper = :keeper) AND (CAST(:borrower AS text) IS NULL OR o.account = :borrower)
             AND (CAST(:kit_ids AS uuid[]) IS NULL OR l.kit_id = ANY(:kit_ids))
             AND (CAST(:event_id AS uuid) IS NULL OR l.event_id = :event_id)
           ORDER BY l.first_on, l.loan_id LIMIT 1000""",
        keeper=keeper,
        borrower=borrower,
        kit_ids=list(kit_ids) if kit_ids is not None else None,
        event_id=event_id,
    )


async def find_loan(tx: Transaction, loan_id: UUID) -> Any:
    """A loan with its borrower's account, or None; unlocked: only its identity may be relied on."""
    return await tx.fetch_one(
        """SELECT l.*, o.account AS borrower FROM loan l JOIN organiser o ON o.organiser_id = l.borrower_id
           WHERE loan_id = :id""",
        id=loan_id,
    )


async def loans_of_event(tx: Transaction, event_id: UUID) -> list[UUID]:
    """Loans for an event that have not begun, in the order in which their kits are locked."""
    rows = await tx.fetch_all(
        "SELECT loan_id FROM loan WHERE event_id = :id AND state IN ('requested', 'reserved') ORDER BY kit_id, loan_id",
        id=event_id,
    )
    return [row.loan_id for row in rows]


_LATE = "state = 'out' AND last_on < :today AND reminder_count = 0"


async def unanswered(tx: Transaction, after: UUID, limit: int) -> list[UUID]:
    """Loans that nobody had answered before their first day."""
    return await _loans(tx, "state = 'requested' AND first_on < :today", after, limit)


async def late(tx: Transaction, after: UUID, limit: int) -> list[UUID]:
    """Loans that are out after their last day and whose borrower has not been told."""
    return await _loans(tx, _LATE, after, limit)


async def note_reminder(tx: Transaction, loan_id: UUID) -> Any:
    """Notes on a late loan that its borrower is reminded, and says whom to write to; None when they have been already."""
    return await tx.fetch_one(
        f"""UPDATE loan l SET reminder_count = 1 FROM kit k, organiser o
            WHERE l.loan_id = :id AND {_LATE} AND k.kit_id = l.kit_id AND o.organiser_id = l.borrower_id
            RETURNING l.loan_id, l.last_on, k.title, o.contact_email""",
        id=loan_id,
        today=await _today(tx),
    )


async def _loans(tx: Transaction, which: str, after: UUID, limit: int) -> list[UUID]:
    rows = await tx.fetch_all(
        f"SELECT loan_id FROM loan WHERE {which} AND loan_id > :after ORDER BY loan_id LIMIT :limit",
        today=await _today(tx),
        after=after,
        limit=limit,
    )
    return [row.loan_id for row in rows]


async def _today(tx: Transaction) -> date:
    return (await tx.now()).astimezone(PARIS).date()


def loan_of(row: Row[Any]) -> Loan:
    """The loan in a row."""
    values = {name: getattr(row, name) for name in _LOAN_COLUMNS}
    return Loan(**values | {"end_reason": LoanEndReason(row.end_reason) if row.end_reason else None})


def description_of(row: Row[Any]) -> KitDescription:
    """The description in a row of `kit`."""
    values = {name: getattr(row, name) for name in _DESCRIPTION_COLUMNS}
    return KitDescription(**values | {"rome_codes": tuple(row.rome_codes)})


def _description_values(description: KitDescription) -> dict[str, Any]:
    values = {name: getattr(description, name) for name in _DESCRIPTION_COLUMNS}
    return values | {"rome_codes": list(description.rome_codes)}
