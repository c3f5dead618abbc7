"""One function per command: lock, settle, decide, save. Nothing here commits, publishes or catches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime
from functools import partial
from typing import Any
from uuid import UUID

from common import case_links
from common.commitments import Fate, ask
from common.failures import Refusal
from common.sweepers import Sweeper
from common.transaction import Transaction
from remediation_seats import commitments, domain, notices, store
from remediation_seats.messages import DeclineReason
from remediation_seats.state import Conditions, Decision, Declaration, Hold, Policy, Profile, Programme

NOT_FOUND = Refusal("not_found", "Ce parcours ou cette retenue n'existe pas.")
NOT_YOURS = Refusal("not_your_structure", "Ce parcours appartient à une autre structure.")
NOT_YOUR_HOLD = Refusal("not_your_hold", "Cette retenue a été faite par quelqu'un d'autre.")

Rule = Callable[[Programme, Policy, datetime], Decision]


async def describe_programme(
    tx: Transaction, structure_id: UUID, programme_id: UUID, conditions: Conditions
) -> Refusal | None:
    """A structure opens, changes or closes one of its programmes."""
    if await store.structure(tx, structure_id) is None:
        return Refusal("unknown_structure", "Votre structure n'est pas encore enregistrée : écrivez à l'agence.")
    await store.insert_programme(tx, programme_id, structure_id, conditions)
    programme = await store.lock_programme(tx, programme_id)
    assert programme is not None
    if programme.structure_id != structure_id:
        return NOT_YOURS
    decision = await _decide(tx, programme, lambda settled, _, now: _described(settled, conditions, now, tx.accepted))
    return decision.refusal


def _described(programme: Programme, conditions: Conditions, now: datetime, accepted: str | None) -> Decision:
    """Another description, once what it breaks is accepted: holds in a programme that closes are declined."""
    broken = commitments.broken(programme, commitments.changes_of(programme.conditions, conditions))
    if refusal := ask([one.commitment for one in broken], accepted):
        return Decision(programme, refusal=refusal)
    decision = domain.describe(programme, conditions, now)
    for one in broken:
        if one.fate is Fate.ENDS:
            ended = domain.decline(decision.programme, one.hold, DeclineReason.OTHER, now)
            decision = ended.then(decision.messages)
    return replace(decision, notes={**decision.notes, "told": {one.hold.hold_id: one.said for one in broken}})


async def describe_structure(tx: Transaction, structure_id: UUID, **described: Any) -> Refusal | bool:
    """The agency registers or changes a structure; whether anything public changed. Who holds a seat is told of another place."""
    known = await store.structure(tx, structure_id)
    moved = known is not None and known.commune_code not in ("", described["commune_code"])
    told = []
    if moved:
        ids = await store.programmes_of(tx, structure_id)
        for programme in (await store.lock_programmes(tx, ids)).values():
            told += commitments.broken(programme, [commitments.Change.PLACE])
        if refusal := ask([one.commitment for one in told], tx.accepted):
            return refusal
    changed = await store.save_structure(tx, structure_id, **described)
    for one in told:
        await notices.write_of_change(tx, one.hold.hold_id, one.said)
    return changed


async def declare_seats(
    tx: Transaction, structure_id: UUID, lines: Sequence[tuple[UUID, Declaration]]
) -> list[dict[str, Any]]:
    """One receipt per line, in the order of the lines: accepted, superseded, or refused with the reason. Lines do not hinder each other."""
    programmes = await store.lock_programmes(tx, [programme_id for programme_id, _ in lines])
    receipts: list[dict[str, Any]] = []
    for programme_id, declaration in lines:
        programme = programmes.get(programme_id)
        receipt: dict[str, Any] = {"programme_id": programme_id}
        refusal = NOT_FOUND if programme is None else NOT_YOURS if programme.structure_id != structure_id else None
        if programme is not None and refusal is None:
            decision = await _decide(tx, programme, partial(_declare, declaration))
            programmes[programme_id] = decision.programme
            refusal = decision.refusal
            receipt |= {**decision.notes, "seats": decision.programme.counts.model_dump()}
        if refusal is not None:
            receipt |= {"status": "refused", "reason": refusal.reason, "detail": refusal.detail}
        receipts.append(receipt)
    return receipts


def _declare(declaration: Declaration, programme: Programme, policy: Policy, now: datetime) -> Decision:
    return domain.declare(programme, declaration, policy, now)


async def hold_seat(
    tx: Transaction,
    *,
    programme_id: UUID,
    code: str | None,
    prescriber_id: str,
    contact_email: str | None,
    profile: Profile,
    case_code: str | None = None,
) -> Refusal | dict[str, Any]:
    """Holds a seat; without a code, a new young person is created and their code given back, once. A case may be attached."""
    young_person_id = await store.young_person_of_code(tx, code) if code else None
    if code and young_person_id is None:
        return Refusal(
            "unknown_code", "Ce code n'est pas connu : vérifiez-le, ou laissez vide pour un premier contact."
        )
    first = young_person_id is None
    if young_person_id is None:
        young_person_id, code = await store.create_young_person(tx, await tx.now())
    await store.lock_prescriber(tx, prescriber_id, contact_email)
    programme = await store.lock_programme(tx, programme_id)
    if programme is None:
        await _forget_if(tx, first, young_person_id)
        return NOT_FOUND
    of_person, of_prescriber = await store.live_counts(tx, young_person_id, prescriber_id, await tx.now())
    decision = await _decide(
        tx,
        programme,
        lambda settled, policy, now: domain.hold_seat(
            settled,
            young_person_id=young_person_id,
            prescriber_id=prescriber_id,
            profile=profile,
            live_of_young_person=of_person,
            live_of_prescriber=of_prescriber,
            policy=policy,
            now=now,
        ),
    )
    if decision.refusal is not None:
        await _forget_if(tx, first, young_person_id)
        return decision.refusal
    hold_id = decision.notes["hold_id"]
    assert isinstance(hold_id, UUID)
    await case_links.attach(tx, hold_id, case_code)
    return {"hold_id": hold_id, "young_person_code": code}


async def _forget_if(tx: Transaction, first: bool, young_person_id: UUID) -> None:
    if first:
        await store.forget_young_person(tx, young_person_id)


async def extend_hold(tx: Transaction, hold_id: UUID, prescriber_id: str) -> Refusal | None:
    """The prescriber asks for more time."""
    return await _on_own_hold(tx, hold_id, prescriber_id, domain.extend)


async def withdraw_hold(tx: Transaction, hold_id: UUID, prescriber_id: str) -> Refusal | None:
    """The prescriber gives the seat back."""
    return await _on_own_hold(
        tx, hold_id, prescriber_id, lambda programme, hold, _, now: domain.withdraw(programme, hold, now)
    )


async def attach_case(tx: Transaction, hold_id: UUID, prescriber_id: str, case_code: str | None) -> Refusal | None:
    """The prescriber says which case of the observatory a hold is for, or that it is for none; whatever became of the hold."""
    hold = await store.find_hold(tx, hold_id)
    if hold is None:
        return NOT_FOUND
    if hold.prescriber_id != prescriber_id:
        return NOT_YOUR_HOLD
    await store.lock_programme(tx, hold.programme_id)
    await case_links.attach(tx, hold_id, case_code)
    return None


async def decline_hold(tx: Transaction, hold_id: UUID, structure_id: UUID, reason: DeclineReason) -> Refusal | None:
    """The structure says no."""
    return await _on_received_hold(
        tx, hold_id, structure_id, lambda programme, hold, _, now: domain.decline(programme, hold, reason, now)
    )


async def admit_young_person(tx: Transaction, hold_id: UUID, structure_id: UUID) -> Refusal | None:
    """The young person arrived."""
    return await _on_received_hold(
        tx, hold_id, structure_id, lambda programme, hold, _, now: domain.admit(programme, hold, now)
    )


async def confirm_hold(tx: Transaction, hold_id: UUID, structure_id: UUID, arrival_on: date) -> Refusal | None:
    """The structure says yes; the young person's other live holds are released in the same transaction."""
    hold = await store.find_hold(tx, hold_id)
    if hold is None:
        return NOT_FOUND
    # The person's lock keeps the set of their live holds from growing while the programmes are locked by ascending id.
    await store.lock_young_person(tx, hold.young_person_id)
    others = await store.programmes_of_live_holds(tx, hold.young_person_id)
    programmes = await store.lock_programmes(tx, [hold.programme_id, *others])
    if programmes[hold.programme_id].structure_id != structure_id:
        return NOT_YOURS
    # It may have ended while we waited for the locks.
    ended = await store.find_hold(tx, hold_id)
    assert ended is not None
    decision = await _decide(
        tx,
        programmes.pop(hold.programme_id),
        lambda settled, policy, now: domain.confirm(settled, _current(settled, ended), arrival_on, policy, now),
    )
    if decision.refusal is not None:
        return decision.refusal
    for other in programmes.values():
        await _decide(tx, other, lambda settled, _, now: _release_all(settled, hold.young_person_id, now))
    return None


async def _settle(tx: Transaction, programme_id: UUID) -> None:
    programme = await store.lock_programme(tx, programme_id)
    assert programme is not None
    await _decide(tx, programme, lambda settled, _, __: Decision(settled))


settle_due = Sweeper("settle_due", store.programmes_due, _settle)
# An admission ends a hold, too; within these days the questions that follow it have been answered.
forget_case_codes = case_links.forgetting(
    "SELECT hold_id AS subject_id, ended_at AS over_at FROM hold", store.policy_at
)


def _release_all(programme: Programme, young_person_id: UUID, now: datetime) -> Decision:
    decision = Decision(programme)
    for hold in programme.live:
        if hold.young_person_id == young_person_id:
            decision = domain.release(decision.programme, hold, now).then(decision.messages)
    return decision


async def _on_own_hold(
    tx: Transaction, hold_id: UUID, prescriber_id: str, rule: Callable[[Programme, Hold, Policy, datetime], Decision]
) -> Refusal | None:
    hold = await store.find_hold(tx, hold_id)
    if hold is None:
        return NOT_FOUND
    if hold.prescriber_id != prescriber_id:
        return NOT_YOUR_HOLD
    return await _on_hold(tx, hold, rule)


async def _on_received_hold(
    tx: Transaction, hold_id: UUID, structure_id: UUID, rule: Callable[[Programme, Hold, Policy, datetime], Decision]
) -> Refusal | None:
    hold = await store.find_hold(tx, hold_id)
    if hold is None:
        return NOT_FOUND
    return await _on_hold(tx, hold, rule, structure_id)


async def _on_hold(
    tx: Transaction,
    hold: Hold,
    rule: Callable[[Programme, Hold, Policy, datetime], Decision],
    structure_id: UUID | None = None,
) -> Refusal | None:
    programme = await store.lock_programme(tx, hold.programme_id)
    assert programme is not None
    if structure_id is not None and programme.structure_id != structure_id:
        return NOT_YOURS
    # What we read before the lock may have changed since, except for holds that had already ended.
    ended = await store.find_hold(tx, hold.hold_id)
    assert ended is not None
    decision = await _decide(
        tx, programme, lambda settled, policy, now: rule(settled, _current(settled, ended), policy, now)
    )
    return decision.refusal


def _current(programme: Programme, known: Hold) -> Hold:
    """The hold as the locked and settled programme has it; one that ended before is not loaded with it."""
    return next((hold for hold in programme.holds if hold.hold_id == known.hold_id), known)


async def _decide(tx: Transaction, programme: Programme, rule: Rule) -> Decision:
    """Settles what time made due, decides, saves both, writes to whom it concerns: the lines around every rule."""
    now = await tx.now()
    policy = await store.policy_at(tx, now)
    settled = domain.settle(programme, now)
    decision = await store.save(tx, programme, rule(settled.programme, policy, now).then(settled.messages))
    await notices.follow(tx, programme, decision, policy, now)
    return decision
