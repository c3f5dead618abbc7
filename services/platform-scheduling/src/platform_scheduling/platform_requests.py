"""Requests of the events service: what was asked by Kafka, what was answered, and the answer that follows a booking.

pending → booked | refused, booked → released. Each is an aggregate of its own, keyed by the request's id.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from common.failures import Refusal
from common.messages import Message
from common.reconcile import LastMessages
from common.transaction import Transaction
from platform_scheduling import store
from platform_scheduling.messages import (
    BookingApproved,
    BookingEnded,
    BookingEndReason,
    PlatformBooked,
    PlatformRefusalReason,
    PlatformRefused,
    PlatformReleased,
    PlatformReleaseReason,
    PlatformRequested,
    PlatformRequestWithdrawn,
)
from platform_scheduling.state import Booking, Decision

_REFUSED = {
    "platform_withdrawn": PlatformRefusalReason.PLATFORM_UNKNOWN,
    "not_offered": PlatformRefusalReason.NOT_OFFERED,
    "slot_taken": PlatformRefusalReason.SLOT_TAKEN,
    "group_too_large": PlatformRefusalReason.GROUP_TOO_LARGE,
    "habilitation_missing": PlatformRefusalReason.HABILITATION_MISSING,
}
# How the end of a booking is told to the event: before it was booked, and after. What took place is told by nobody.
_ENDED: dict[BookingEndReason, tuple[PlatformRefusalReason, PlatformReleaseReason]] = {
    BookingEndReason.REFUSED: (PlatformRefusalReason.OWNER_REFUSED, PlatformReleaseReason.OWNER_CANCELLED),
    BookingEndReason.EXPIRED: (PlatformRefusalReason.OWNER_SILENT, PlatformReleaseReason.OWNER_CANCELLED),
    BookingEndReason.CANCELLED_BY_OWNER: (PlatformRefusalReason.OWNER_REFUSED, PlatformReleaseReason.OWNER_CANCELLED),
    BookingEndReason.CANCELLED_BY_EVENT: (
        PlatformRefusalReason.REQUEST_WITHDRAWN,
        PlatformReleaseReason.REQUEST_WITHDRAWN,
    ),
}


def reason_of(refusal: Refusal) -> PlatformRefusalReason:
    """Why a rule refused, in the words of the contract."""
    return _REFUSED.get(refusal.reason, PlatformRefusalReason.OUTSIDE_LIMITS)


async def register(tx: Transaction, message: PlatformRequested | PlatformRequestWithdrawn) -> Any:
    """Notes a request the first time; its state, and the booking that was made for it, if any."""
    await tx.execute(
        """INSERT INTO platform_request (request_id, for_event_id, platform_id, state, version)
           VALUES (:id, :for_event_id, :platform_id, 'pending', 0) ON CONFLICT DO NOTHING""",
        id=message.aggregate_id,
        for_event_id=message.for_event_id,
        platform_id=message.platform_id,
    )
    return await find(tx, message.aggregate_id)


async def find(tx: Transaction, request_id: UUID) -> Any:
    """A request as it is, or None."""
    return await tx.fetch_one(
        """SELECT r.*, b.booking_id, b.starts_at, b.ends_at
           FROM platform_request r LEFT JOIN booking b ON b.request_id = r.request_id WHERE r.request_id = :id""",
        id=request_id,
    )


async def organiser(tx: Transaction, organiser_id: UUID) -> UUID:
    """The requester that stands for an organiser of events."""
    return await store.lock_requester(tx, account=f"events/{organiser_id}", title="Service Évènements", contact=None)


async def refuse(tx: Transaction, request_id: UUID, reason: PlatformRefusalReason) -> None:
    """Nothing is booked."""
    await _move(tx, request_id, "refused", reason.value)


async def withdraw(tx: Transaction, request_id: UUID) -> None:
    """The event gave up. What the end of the booking has not answered yet is answered here; what was refused stays so."""
    await _give_up(tx, request_id, *_ENDED[BookingEndReason.CANCELLED_BY_EVENT])


async def answer(tx: Transaction, decision: Decision) -> None:
    """Tells the events service what a saved decision means for its requests."""
    known: dict[UUID, Booking] = {one.booking_id: one for one in decision.platform.bookings}
    for message in decision.messages:
        if not isinstance(message, BookingApproved | BookingEnded):
            continue
        request_id = known[message.booking_id].request_id
        if request_id is None:
            continue
        if isinstance(message, BookingApproved):
            await _move(tx, request_id, "booked", None)
        elif message.reason in _ENDED:
            await _give_up(tx, request_id, *_ENDED[message.reason])


async def _give_up(
    tx: Transaction, request_id: UUID, before: PlatformRefusalReason, after: PlatformReleaseReason
) -> None:
    """Refuses what was not answered yet, releases what was booked; what is over stays as it was told."""
    row = await find(tx, request_id)
    if row.state == "pending":
        await _move(tx, request_id, "refused", before.value)
    elif row.state == "booked":
        await _move(tx, request_id, "released", after.value)


async def repeat(tx: Transaction, request_id: UUID) -> None:
    """The same answer again, if there was one."""
    row = await find(tx, request_id)
    if row.state != "pending":
        await _emit(tx, row)


async def restate(tx: Transaction, request_id: UUID, last: LastMessages) -> Sequence[Message]:
    """The answer as this database has it; a request that it forgot holds nothing."""
    row, now = await find(tx, request_id), await tx.now()
    if row is not None:
        return _answers(row, now)
    known: Any = next(iter(last.values()))
    asked = {"occurred_at": now, "for_event_id": known.for_event_id, "platform_id": known.platform_id}
    if isinstance(known, PlatformBooked | PlatformReleased):
        reason = PlatformReleaseReason.OWNER_CANCELLED
        return [PlatformReleased(**asked, booking_id=known.booking_id, reason=reason)]
    return [PlatformRefused(**asked, reason=PlatformRefusalReason.OWNER_REFUSED)]


async def _move(tx: Transaction, request_id: UUID, state: str, reason: str | None) -> None:
    await tx.execute(
        "UPDATE platform_request SET state = :state, reason = :reason WHERE request_id = :id",
        id=request_id,
        state=state,
        reason=reason,
    )
    row = await find(tx, request_id)
    await _emit(tx, row)


def _answers(row: Any, now: datetime) -> list[Message]:
    """What was answered to a request; nothing yet to one that is pending."""
    asked = {"occurred_at": now, "for_event_id": row.for_event_id, "platform_id": row.platform_id}
    match row.state:
        case "booked":
            return [PlatformBooked(**asked, booking_id=row.booking_id, starts_at=row.starts_at, ends_at=row.ends_at)]
        case "refused":
            return [PlatformRefused(**asked, reason=PlatformRefusalReason(row.reason))]
        case "released":
            reason = PlatformReleaseReason(row.reason)
            return [PlatformReleased(**asked, booking_id=row.booking_id, reason=reason)]
    return []


async def _emit(tx: Transaction, row: Any) -> None:
    version = await tx.emit(_answers(row, await tx.now()), aggregate_id=row.request_id, version=row.version)
    await tx.execute(
        "UPDATE platform_request SET version = :version WHERE request_id = :id", id=row.request_id, version=version
    )
