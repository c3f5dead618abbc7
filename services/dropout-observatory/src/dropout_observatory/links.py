"""The way back as other services tell it: seats held for a case and admissions, who is still there; internships, workshops, events.

A professional attached the case's code; what it is for is told apart from the thing itself, so that either may come first. What is
learnt here is noted as a step beside what professionals note. Admitted is who entered a solution: a seat, an internship. A workshop
that is booked or an event that a group came to was offered, and is no entry.
"""

from __future__ import annotations

from datetime import date, datetime
from functools import partial
from typing import Any, Literal
from uuid import UUID, uuid4

from sqlalchemy import Row

from common.generated import CaseLinked, CaseUnlinked
from common.pages import PARIS
from common.transaction import Transaction
from common.verdicts import Consumes
from dropout_observatory import domain, handlers, store
from dropout_observatory.messages import (
    ApplicationAccepted,
    ApplicationConfirmed,
    ApplicationEnded,
    ApplicationEndReason,
    ApplicationOrigin,
    ApplicationSubmitted,
    BookingApproved,
    BookingOrigin,
    PartyKind,
    Presence,
    PresenceAnswered,
    RegistrationMade,
    SeatHeld,
    StepKind,
    StepSource,
    VisitorsCheckedIn,
    YoungPersonAdmitted,
)
from dropout_observatory.state import Step

_CHECKS = {months: kind for kind, months in domain.CHECKS.items()}


# -- seats


async def seat_held(tx: Transaction, message: SeatHeld) -> None:
    """A seat is held for somebody: noted whether a case is attached or not, as that may be told later."""
    await _offered(tx, StepSource.SEAT_HOLD, message.hold_id, message.occurred_at)


async def admitted(tx: Transaction, message: YoungPersonAdmitted) -> None:
    """Somebody arrived."""
    await _admitted(tx, StepSource.SEAT_HOLD, message.hold_id, message.occurred_at)


async def presence_answered(tx: Transaction, message: PresenceAnswered) -> None:
    """Whether they are still there; another answer replaces the one before."""
    known = await store.note_subject(tx, message.aggregate_id)
    if kind := _CHECKS.get(message.after_months):
        presence = Presence(message.presence.value)
        await _learn(tx, known, StepSource.STRUCTURE_ANSWER, kind, message.happened_on, presence)


# -- internships


async def applied(tx: Transaction, message: ApplicationSubmitted) -> None:
    """Somebody applied for an internship."""
    await _offered(tx, StepSource.APPLICATION, message.application_id, message.occurred_at)


async def matched(tx: Transaction, message: ApplicationAccepted) -> None:
    """A campaign proposed an internship; of who applied themselves it is known."""
    if message.origin is ApplicationOrigin.CAMPAIGN:
        await _offered(tx, StepSource.APPLICATION, message.application_id, message.occurred_at)


async def confirmed(tx: Transaction, message: ApplicationConfirmed) -> None:
    """Host and seeker have both said yes."""
    await _admitted(tx, StepSource.APPLICATION, message.application_id, message.occurred_at)


async def application_ended(tx: Transaction, message: ApplicationEnded) -> None:
    """An agreement was cancelled before its first day: nobody entered."""
    if message.reason is ApplicationEndReason.AGREEMENT_CANCELLED:
        await _taken_back(tx, StepSource.APPLICATION, message.application_id, "admitted_on")


# -- workshops and events


async def booking_approved(tx: Transaction, message: BookingApproved) -> None:
    """Somebody may come to a technical platform."""
    if message.origin is BookingOrigin.PERSON:
        await _offered(tx, StepSource.BOOKING, message.booking_id, message.occurred_at)


async def group_registered(tx: Transaction, message: RegistrationMade) -> None:
    """A group may have a case; families have none, and are not noted."""
    if message.party_kind is PartyKind.GROUP:
        await store.note_subject(tx, message.registration_id)


async def visitors_checked_in(tx: Transaction, message: VisitorsCheckedIn) -> None:
    """A group is there, or was counted by mistake."""
    if not await store.is_followed(tx, message.registration_id):
        return
    if message.visitor_count:
        await _offered(tx, StepSource.GROUP_REGISTRATION, message.registration_id, message.occurred_at)
    else:
        await _taken_back(tx, StepSource.GROUP_REGISTRATION, message.registration_id, "offered_on")


# -- which case something is for


async def linked(tx: Transaction, message: CaseLinked, *, source: StepSource) -> None:
    """A case is attached to something, perhaps another one than before: what is known of it is known of the case."""
    await _detach(tx, message.aggregate_id)
    await store.link(tx, message.aggregate_id, message.case_code)
    await _learn_days(tx, await store.note_subject(tx, message.aggregate_id), source)


async def unlinked(tx: Transaction, message: CaseUnlinked) -> None:
    """No case is attached any more: what was learnt from it is taken back."""
    await _detach(tx, message.aggregate_id)
    await store.link(tx, message.aggregate_id, None)


# -- the lines around each


async def _offered(tx: Transaction, source: StepSource, subject_id: UUID, at: datetime) -> None:
    await _learn_days(tx, await store.note_subject(tx, subject_id, offered_on=at.astimezone(PARIS).date()), source)


async def _admitted(tx: Transaction, source: StepSource, subject_id: UUID, at: datetime) -> None:
    await _learn_days(tx, await store.note_subject(tx, subject_id, admitted_on=at.astimezone(PARIS).date()), source)


async def _taken_back(
    tx: Transaction, source: StepSource, subject_id: UUID, name: Literal["offered_on", "admitted_on"]
) -> None:
    await _detach(tx, subject_id)
    await store.take_back_day(tx, subject_id, name)
    await _learn_days(tx, await store.note_subject(tx, subject_id), source)


async def _learn_days(tx: Transaction, known: Row[Any], source: StepSource) -> None:
    await _learn(tx, known, source, StepKind.OFFERED, known.offered_on)
    await _learn(tx, known, source, StepKind.ADMITTED, known.admitted_on)


async def _learn(
    tx: Transaction,
    known: Row[Any],
    source: StepSource,
    kind: StepKind,
    day: date | None,
    presence: Presence | None = None,
) -> None:
    if known.case_id is not None and day is not None:
        step = Step(uuid4(), kind, day, source, presence=presence, subject_id=known.subject_id)
        await handlers.learn(tx, known.case_id, step)


async def _detach(tx: Transaction, subject_id: UUID) -> None:
    known = await store.note_subject(tx, subject_id)
    if known.case_id is not None:
        await handlers.forget(tx, known.case_id, subject_id)


def _links(source: StepSource) -> Consumes:
    return Consumes(handlers={CaseLinked: partial(linked, source=source), CaseUnlinked: unlinked})


CONSUMES = {
    "remediation-seats.programmes.v1": Consumes(handlers={SeatHeld: seat_held, YoungPersonAdmitted: admitted}),
    "remediation-seats.case-links.v1": Consumes(
        handlers={**_links(StepSource.SEAT_HOLD).handlers, PresenceAnswered: presence_answered}
    ),
    "stage-matching.offers.v1": Consumes(
        handlers={
            ApplicationSubmitted: applied,
            ApplicationAccepted: matched,
            ApplicationConfirmed: confirmed,
            ApplicationEnded: application_ended,
        }
    ),
    "stage-matching.case-links.v1": _links(StepSource.APPLICATION),
    "platform-scheduling.platforms.v1": Consumes(handlers={BookingApproved: booking_approved}),
    "platform-scheduling.case-links.v1": _links(StepSource.BOOKING),
    "events.sessions.v1": Consumes(
        handlers={RegistrationMade: group_registered, VisitorsCheckedIn: visitors_checked_in}
    ),
    "events.case-links.v1": _links(StepSource.GROUP_REGISTRATION),
}
