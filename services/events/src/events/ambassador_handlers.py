"""One function per command on the directory of ambassadors and the visits that are wished for: lock, decide, ask the next."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time
from uuid import UUID

from common.commitments import Commitment
from common.commitments import ask as ask_about
from common.failures import Refusal
from common.pages import PARIS
from common.sweepers import Sweeper
from common.transaction import Transaction
from events import ambassador_store, ambassadors, commitments, notices, store
from events.ambassador_store import Asker
from events.ambassadors import AmbassadorDescription, Answered, Visit
from events.messages import AmbassadorAnswer, AmbassadorAnswered, AmbassadorAsked
from territory.working_time import add_working_days

NOT_FOUND = Refusal("not_found", "Cette personne ou cette demande n’existe pas.")
NOT_YOURS = Refusal("not_yours", "Cette demande appartient à quelqu’un d’autre.")


async def describe(
    tx: Transaction, ambassador_id: UUID, email: str, title: str, description: AmbassadorDescription
) -> Refusal | None:
    """A coordinator adds somebody to the directory, or changes what it says; of who leaves it, the visits go to the next."""
    now = await tx.now()
    broken: list[Commitment] = []
    if description.withdrawn:
        broken = await commitments.of_ambassador(tx, ambassador_id, now.astimezone(PARIS).date())
        if refusal := ask_about(broken, tx.accepted):
            return refusal
    await ambassador_store.insert(tx, ambassador_id, description)
    await ambassador_store.name(tx, ambassador_id, email, title)
    one = await ambassador_store.lock(tx, ambassador_id)
    assert one is not None
    changed = replace(one, description=description)
    if one.version == 0 or changed != one:
        await ambassador_store.save(tx, changed, [ambassadors.described(changed, now)])
    for each in broken:
        visit = await ambassador_store.lock_visit(tx, each.id)
        assert visit is not None
        lost = ambassadors.lose(visit)
        await ambassador_store.save_visit(tx, lost)
        await notices.write_of_withdrawal(tx, lost)
        await _ask_next(tx, lost, now)
    return None


async def ask_for(tx: Transaction, asker: Asker, visit: Visit) -> Refusal | Visit:
    """A school or an organiser wishes for somebody; the first who fits is asked at once."""
    now = await tx.now()
    if visit.visit_on <= now.astimezone(PARIS).date():
        return Refusal("in_the_past", "Une visite se demande pour un jour à venir.")
    await ambassador_store.insert_visit(tx, asker, visit)
    locked = await ambassador_store.lock_visit(tx, visit.visit_id)
    assert locked is not None
    visit = await _ask_next(tx, locked, now)
    if visit.state == "exhausted":
        return Refusal(
            "nobody_fits", "Personne dans l’annuaire pour ce métier près de chez vous : essayez un métier voisin."
        )
    return visit


async def answer(tx: Transaction, ambassador_id: UUID, visit_id: UUID, said: AmbassadorAnswer) -> Refusal | None:
    """The one who was asked comes, or cannot; then the next is asked."""
    visit = await ambassador_store.lock_visit(tx, visit_id)
    if visit is None:
        return NOT_FOUND
    now = await tx.now()
    visit = await _settled(tx, visit, now)
    return await _after(tx, visit, ambassador_id, ambassadors.answer(visit, ambassador_id, said), now)


async def cancel(tx: Transaction, account: str, visit_id: UUID) -> Refusal | None:
    """Whoever asked gives up."""
    visit = await ambassador_store.lock_visit(tx, visit_id)
    if visit is None:
        return NOT_FOUND
    if visit.asker != account:
        return NOT_YOURS
    now = await tx.now()
    visit = await _settled(tx, visit, now)
    return await _after(tx, visit, visit.ambassador_id, ambassadors.cancel(visit), now)


async def release_for(tx: Transaction, event_id: UUID) -> None:
    """An event that is called off needs nobody to come: who was asked or had accepted is told."""
    for visit_id in await ambassador_store.visits_of_event(tx, event_id):
        visit = await ambassador_store.lock_visit(tx, visit_id)
        assert visit is not None
        await _after(tx, visit, visit.ambassador_id, ambassadors.cancel(visit), await tx.now())


async def _pass_over(tx: Transaction, visit_id: UUID) -> None:
    """Asks the next where somebody was silent; nothing that decides depends on its having run."""
    visit = await ambassador_store.lock_visit(tx, visit_id)
    assert visit is not None
    await _settled(tx, visit, await tx.now())


pass_over_silent = Sweeper("pass_over_silent", ambassador_store.due_visits, _pass_over)


async def _settled(tx: Transaction, visit: Visit, now: datetime) -> Visit:
    """The visit with who was silent passed over, and the next asked; after its day nobody is."""
    if visit.state != "searching" or visit.due_at is None or visit.due_at > now or visit.ambassador_id is None:
        return visit
    silent = ambassadors.answer(visit, visit.ambassador_id, AmbassadorAnswer.SILENT)
    await _after(tx, visit, visit.ambassador_id, silent, visit.due_at, asked_at=now)
    again = await ambassador_store.lock_visit(tx, visit.visit_id)
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
        one = await ambassador_store.lock(tx, ambassador_id)
        assert one is not None
        told = AmbassadorAnswered(occurred_at=at, visit_id=visit.visit_id, answer=answered.answer)
        await ambassador_store.save(tx, one, [told])
    await ambassador_store.save_visit(tx, visit)
    await notices.write_of_answer(tx, visit, before.ambassador_id, answered.answer)
    if visit.state == "searching":
        await _ask_next(tx, visit, asked_at or at)
    return None


async def _ask_next(tx: Transaction, visit: Visit, now: datetime) -> Visit:
    begin_of_day = datetime.combine(visit.visit_on, time(0), PARIS).astimezone(UTC)
    days = (await store.policy_at(tx, now)).ambassador_answer_working_days
    until = min(add_working_days(now, days), begin_of_day)
    one = ambassadors.next_to_ask(visit, await ambassador_store.directory(tx)) if now < begin_of_day else None
    visit = ambassadors.ask(visit, one, until)
    await ambassador_store.save_visit(tx, visit)
    if one is None:
        # Whoever asks for somebody who is not there learns it at once, by the refusal.
        if visit.asked:
            await notices.write_that_nobody_comes(tx, visit)
        return visit
    locked = await ambassador_store.lock(tx, one.ambassador_id)
    assert locked is not None
    told = AmbassadorAsked(occurred_at=now, visit_id=visit.visit_id, visit_on=visit.visit_on, expires_at=until)
    await ambassador_store.save(tx, replace(locked, asked_at=now), [told])
    await notices.ask_ambassador(tx, visit, one.ambassador_id)
    return visit
