"""One function per command on kits and their loans: lock the kit, decide, save."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from uuid import UUID

from common.commitments import Fate
from common.commitments import ask as ask_about
from common.failures import Refusal
from common.pages import PARIS
from common.sweepers import Sweeper
from common.transaction import Transaction
from events import commitments, event_store, kit_store, kits, notices, store
from events.kits import Kit, KitDecision, KitDescription, Loan
from territory import reference

NOT_FOUND = Refusal("not_found", "Ce kit ou ce prêt n’existe pas.")
NOT_YOURS = Refusal("not_yours", "Ce kit ou ce prêt appartient à quelqu’un d’autre.")

OnLoan = Callable[[Kit, Loan, datetime, date], KitDecision]


async def describe_kit(
    tx: Transaction, keeper: str, contact: str | None, kit_id: UUID, description: KitDescription
) -> Refusal | None:
    """A keeper adds, changes or withdraws a kit."""
    await kit_store.insert_kit(tx, kit_id, keeper, contact, description)
    kit = await kit_store.lock_kit(tx, kit_id)
    assert kit is not None
    if kit.keeper != keeper:
        return NOT_YOURS
    broken = commitments.of_kit(kit.loans, kit.description.title, kit.description, description)
    if refusal := ask_about(broken, tx.accepted):
        return refusal
    await kit_store.save(tx, kit, kits.describe(kit, description, await tx.now()))
    where = reference.commune_label(description.commune_code)
    told = {
        Fate.ENDS: "Le kit n’est plus prêté : ce prêt est annulé. D’autres kits sont ici :",
        Fate.CHANGES: f"Le kit se retire désormais à un autre endroit : {where}. Le prêt tient ; vous pouvez y renoncer ici :",
    }
    for one in broken:
        if one.becomes in told:
            await notices.write_of_loan(tx, one.id, told[one.becomes])
    return None


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
    kit = await kit_store.lock_kit(tx, kit_id)
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
    decision = await kit_store.save(tx, kit, decision)
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
    kit = await kit_store.lock_kit(tx, kit_id)
    if kit is None:
        return NOT_FOUND
    if kit.keeper != keeper:
        return NOT_YOURS
    return (await kit_store.save(tx, kit, kits.mend(kit, await tx.now()))).refusal


async def release_for(tx: Transaction, event_id: UUID) -> None:
    """An event that is called off needs its kits no longer; what is out comes back as agreed."""
    for loan_id in await kit_store.loans_of_event(tx, event_id):
        await _on_loan(tx, loan_id, lambda kit, loan, now, _: kits.end(kit, loan, "event", now))
        what = "L’évènement est annulé : le prêt l’est aussi, le kit est libre ces jours-là."
        await notices.write_of_loan(tx, loan_id, what, to_keeper=True)


# -- sweepers


async def _end_unanswered(tx: Transaction, loan_id: UUID) -> None:
    """Ends a request that nobody answered before its first day."""
    await _on_loan(tx, loan_id, lambda kit, loan, now, _: kits.end(kit, loan, "time", now))


async def _write_of_late(tx: Transaction, loan_id: UUID) -> None:
    """Whoever has a kit that is late is reminded of it, once."""
    row = await kit_store.note_reminder(tx, loan_id)
    if row is not None:
        await notices.remind_of_kit(tx, row)


end_unanswered = Sweeper("end_unanswered", kit_store.unanswered, _end_unanswered)
write_of_late = Sweeper("write_of_late", kit_store.late, _write_of_late)


# -- the lines around every rule


async def _on_loan(
    tx: Transaction, loan_id: UUID, rule: OnLoan, *, keeper: str | None = None, borrower: str | None = None
) -> Refusal | None:
    row = await kit_store.find_loan(tx, loan_id)
    if row is None:
        return NOT_FOUND
    kit = await kit_store.lock_kit(tx, row.kit_id)
    assert kit is not None
    if (keeper is not None and kit.keeper != keeper) or (borrower is not None and row.borrower != borrower):
        return NOT_YOURS
    # One that has ended before is not loaded with its kit.
    loan = next((one for one in kit.loans if one.loan_id == loan_id), replace(kit_store.loan_of(row), state="ended"))
    now = await tx.now()
    return (await kit_store.save(tx, kit, rule(kit, loan, now, now.astimezone(PARIS).date()))).refusal
