"""The way back as other services tell it: seats held for a case, admissions, who is still there.

A professional attached the case's code; which hold it is for is told apart from the hold itself, so that either may come first. What is
learnt here is noted as a step beside what professionals note.
"""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row

from common.generated import CaseLinked, CaseUnlinked
from common.pages import PARIS
from common.transaction import Transaction
from common.verdicts import Consumes
from dropout_observatory import domain, handlers, store
from dropout_observatory.messages import (
    Presence,
    PresenceAnswered,
    SeatHeld,
    StepKind,
    StepSource,
    YoungPersonAdmitted,
)
from dropout_observatory.state import Step

_CHECKS = {months: kind for kind, months in domain.CHECKS.items()}


async def seat_held(tx: Transaction, message: SeatHeld) -> None:
    """A seat is held for somebody: noted whether a case is attached or not, as that may be told later."""
    held_on = message.occurred_at.astimezone(PARIS).date()
    known = await store.note_subject(tx, message.hold_id, offered_on=held_on)
    await _learn(tx, known, StepKind.OFFERED, held_on)


async def admitted(tx: Transaction, message: YoungPersonAdmitted) -> None:
    """Somebody arrived."""
    admitted_on = message.occurred_at.astimezone(PARIS).date()
    known = await store.note_subject(tx, message.hold_id, admitted_on=admitted_on)
    await _learn(tx, known, StepKind.ADMITTED, admitted_on)


async def linked(tx: Transaction, message: CaseLinked) -> None:
    """A case is attached to a hold, perhaps another one than before: what is known of the hold is known of the case."""
    await _detach(tx, message.aggregate_id)
    await store.link(tx, message.aggregate_id, message.case_code)
    known = await store.note_subject(tx, message.aggregate_id)
    await _learn(tx, known, StepKind.OFFERED, known.offered_on)
    await _learn(tx, known, StepKind.ADMITTED, known.admitted_on)


async def unlinked(tx: Transaction, message: CaseUnlinked) -> None:
    """No case is attached any more: what was learnt from the hold is taken back."""
    await _detach(tx, message.aggregate_id)
    await store.link(tx, message.aggregate_id, None)


async def presence_answered(tx: Transaction, message: PresenceAnswered) -> None:
    """Whether they are still there; another answer replaces the one before."""
    known = await store.note_subject(tx, message.aggregate_id)
    if kind := _CHECKS.get(message.after_months):
        await _learn(tx, known, kind, message.happened_on, Presence(message.presence.value))


async def _learn(
    tx: Transaction, known: Row[Any], kind: StepKind, day: date | None, presence: Presence | None = None
) -> None:
    if known.case_id is not None and day is not None:
        source = StepSource.STRUCTURE_ANSWER if presence else StepSource.SEAT_HOLD
        step = Step(uuid4(), kind, day, source, presence=presence, subject_id=known.subject_id)
        await handlers.learn(tx, known.case_id, step)


async def _detach(tx: Transaction, hold_id: UUID) -> None:
    known = await store.note_subject(tx, hold_id)
    if known.case_id is not None:
        await handlers.forget(tx, known.case_id, hold_id)


CONSUMES = {
    "remediation-seats.programmes.v1": Consumes(handlers={SeatHeld: seat_held, YoungPersonAdmitted: admitted}),
    "remediation-seats.case-links.v1": Consumes(
        handlers={CaseLinked: linked, CaseUnlinked: unlinked, PresenceAnswered: presence_answered}
    ),
}
