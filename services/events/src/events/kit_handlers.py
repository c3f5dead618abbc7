"""Kits and their loans: lock the kit, decide, save; and the SQL of both, which nothing else needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from common.failures import Refusal
from common.pages import PARIS
from common.transaction import Transaction
from events import event_store, kits, store
from events.kits import Kit, KitDecision, KitDescription, Loan
from events.messages import LoanEndReason

NOT_FOUND = Refusal("not_found", "Ce kit ou ce prêt n’existe pas.")
NOT_YOURS = Refusal("not_yours", "Ce kit ou ce prêt appartient à quelqu’un d’autre.")
_DESCRIPTION_COLUMNS = ("title", "contents", "rome_codes", "commune_code", "withdrawn", "fictitious")
_LOAN_COLUMNS = ("loan_id", "borrower_id", "first_on", "last_on", "state", "event_id", "end_reason", "late", "damaged")

OnLoan = Callable[[Kit, Loan, datetime, date], KitDecision]


async def describe_kit(
    tx: Transaction, keeper: str, contact: str | None, kit_id: UUID, description: KitDescription
) -> Refusal | None:
    """A keeper adds, changes or withdraws a kit."""
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
    kit = await lock_kit(tx, kit_id)
    assert kit is not None
    if kit.keeper != keeper:
        return NOT_YOURS
    return (await save(tx, kit, kits.describe(kit, description, await tx.now()))).refusal


async def ask(
    tx: Transaction,
    account: str,
    contact: str | None,
    kit_id: UUID,
    first_on: date,
    last_on: date,
    *,
    event_id: UUID | None,
    keeps_kits: bool,
) -> Refusal | Loan:
    """Somebody asks for a kit, for an event of theirs or not; an event of those who keep kits has it at once."""
    borrower_id = await event_store.organiser(tx, account, contact)
    if event_id is not None:
        event = await event_store.lock_event(tx, event_id)
        if event is None or event.organiser_id != borrower_id:
            return NOT_YOURS
        if event.state == "cancelled":
            return Refusal("event_state", "Cet évènement est annulé.", {"state": "cancelled"})
    kit = await lock_kit(tx, kit_id)
    if kit is None or kit.version == 0:
        return NOT_FOUND
    now = await tx.now()
    decision = kits.request(
        kit,
        borrower_id,
        first_on,
        last_on,
        event_id=event_id,
        at_once=event_id is not None and keeps_kits,
        days_max=(await store.policy_at(tx, now)).kit_days_max,
        now=now,
        today=now.astimezone(PARIS).date(),
    )
    decision = await save(tx, kit, decision)
    if decision.refusal is not None:
        return decision.refusal
    assert decision.loan is not None
    return decision.loan


async def answer(tx: Transaction, keeper: str, loan_id: UUID, rule: OnLoan) -> Refusal | None:
    """A keeper reserves, refuses, hands over, takes back."""
    return await _on_loan(tx, loan_id, rule, keeper=keeper)


async def give_up(tx: Transaction, account: str, loan_id: UUID) -> Refusal | None:
    """A borrower no longer needs it."""
    return await _on_loan(tx, loan_id, lambda kit, loan, now, _: kits.end(kit, loan, "borrower", now), borrower=account)


async def mend(tx: Transaction, keeper: str, kit_id: UUID) -> Refusal | None:
    """The kit is in order again."""
    kit = await lock_kit(tx, kit_id)
    if kit is None:
        return NOT_FOUND
    if kit.keeper != keeper:
        return NOT_YOURS
    return (await save(tx, kit, kits.mend(kit, await tx.now()))).refusal


async def release_for(tx: Transaction, event_id: UUID) -> None:
    """An event that is called off needs its kits no longer; what is out comes back as agreed."""
    rows = await tx.fetch_all(
        "SELECT loan_id FROM loan WHERE event_id = :id AND state IN ('requested', 'reserved') ORDER BY kit_id, loan_id",
        id=event_id,
    )
    for row in rows:
        await _on_loan(tx, row.loan_id, lambda kit, loan, now, _: kits.end(kit, loan, "event", now))


async def settle_due(tx: Transaction, limit: int) -> int:
    """Ends requests that nobody answered before their first day; kits that are late are told of once."""
    today = (await tx.now()).astimezone(PARIS).date()
    rows = await tx.fetch_all(
        "SELECT loan_id FROM loan WHERE state = 'requested' AND first_on < :today ORDER BY kit_id, loan_id LIMIT :limit",
        today=today,
        limit=limit,
    )
    for row in rows:
        await _on_loan(tx, row.loan_id, lambda kit, loan, now, _: kits.end(kit, loan, "time", now))
    late = await tx.fetch_all(
        """SELECT l.loan_id, l.last_on, k.title, o.contact_email FROM loan l JOIN kit k USING (kit_id)
               JOIN organiser o ON o.organiser_id = l.borrower_id
           WHERE l.state = 'out' AND l.last_on < :today AND l.reminder_count = 0 LIMIT :limit FOR UPDATE OF l SKIP LOCKED""",
        today=today,
        limit=limit,
    )
    for row in late:
        await tx.execute("UPDATE loan SET reminder_count = 1 WHERE loan_id = :id", id=row.loan_id)
        if row.contact_email is not None:
            await tx.mail(
                message_key=f"late:{row.loan_id}",
                recipient=row.contact_email,
                subject=f"Kit à rendre : {row.title}",
                body=f"Le prêt s’est terminé le {row.last_on:%d/%m/%Y}. D’autres l’attendent : rapportez-le.\n\n{tx.address('/kits')}",
            )
    return len(rows) + len(late)


# -- the store


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


async def versions(tx: Transaction) -> dict[UUID, int]:
    """Version of every kit."""
    return {row.kit_id: row.version for row in await tx.fetch_all("SELECT kit_id, version FROM kit")}


def loan_of(row: Row[Any]) -> Loan:
    """The loan in a row."""
    values = {name: getattr(row, name) for name in _LOAN_COLUMNS}
    return Loan(**values | {"end_reason": LoanEndReason(row.end_reason) if row.end_reason else None})


def description_of(row: Row[Any]) -> KitDescription:
    """The description in a row of `kit`."""
    values = {name: getattr(row, name) for name in _DESCRIPTION_COLUMNS}
    return KitDescription(**values | {"rome_codes": tuple(row.rome_codes)})


async def _on_loan(
    tx: Transaction, loan_id: UUID, rule: OnLoan, *, keeper: str | None = None, borrower: str | None = None
) -> Refusal | None:
    row = await tx.fetch_one(
        """SELECT l.*, o.account AS borrower FROM loan l JOIN organiser o ON o.organiser_id = l.borrower_id
           WHERE loan_id = :id""",
        id=loan_id,
    )
    if row is None:
        return NOT_FOUND
    kit = await lock_kit(tx, row.kit_id)
    assert kit is not None
    if (keeper is not None and kit.keeper != keeper) or (borrower is not None and row.borrower != borrower):
        return NOT_YOURS
    # One that has ended before is not loaded with its kit.
    loan = next((one for one in kit.loans if one.loan_id == loan_id), replace(loan_of(row), state="ended"))
    now = await tx.now()
    return (await save(tx, kit, rule(kit, loan, now, now.astimezone(PARIS).date()))).refusal


def _description_values(description: KitDescription) -> dict[str, Any]:
    values = {name: getattr(description, name) for name in _DESCRIPTION_COLUMNS}
    return values | {"rome_codes": list(description.rome_codes)}
