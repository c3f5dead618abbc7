"""Numbers and tells anew what the log is ahead of, after this database was restored to an earlier point."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from common.messages import Message
from common.reconcile import Aggregates, Told
from common.transaction import Transaction
from events import (
    ambassador_store,
    ambassadors,
    domain,
    event_store,
    kit_store,
    kits,
    lifecycle,
    planning,
    store,
)
from events.messages import (
    AmbassadorAnswered,
    AmbassadorAsked,
    AmbassadorDescribed,
    EventCancellationReason,
    EventCancelled,
    EventDescribed,
    KitDescribed,
    KitTakenOut,
    LoanEnded,
    LoanRequested,
    LoanReserved,
    LoansRestated,
    PlatformRequested,
    PlatformRequestWithdrawn,
    RegistrationEnded,
    RegistrationMade,
    RegistrationQueued,
    RegistrationResized,
    RegistrationsRestated,
    SeatsOffered,
    SessionCancelled,
    SessionDescribed,
    SessionHeld,
    VisitorsCheckedIn,
)
from waiting_list.rules import LIVE


async def restate_event(tx: Transaction, event_id: UUID, version: int, told: Told) -> None:
    """The event as this database has it; one that it forgot is cancelled, as nobody could find it."""
    event, now = await event_store.lock_event(tx, event_id), await tx.now()
    if event is None or event.state == "draft":
        gone = EventCancelled(occurred_at=now, reason=EventCancellationReason.CANCELLED_BY_ORGANISER)
        version = await tx.emit([gone], aggregate_id=event_id, version=version)
        await tx.execute("UPDATE event SET version = :v WHERE event_id = :id", id=event_id, v=version)
        return
    messages: list[Message] = [lifecycle.described(event, now)]
    if event.state == "cancelled" and event.cancelled_reason is not None:
        reason = EventCancellationReason(event.cancelled_reason)
        messages.append(EventCancelled(occurred_at=now, reason=reason))
    version = await tx.emit(messages, aggregate_id=event_id, version=version)
    await tx.execute("UPDATE event SET version = :v WHERE event_id = :id", id=event_id, v=version)


async def restate_session(tx: Transaction, session_id: UUID, version: int, told: Told) -> None:
    """The session and its live registrations as this database has them; registrations that it forgot are gone."""
    session, now = await store.lock_session(tx, session_id), await tx.now()
    if session is None:
        await tx.emit([SessionCancelled(occurred_at=now)], aggregate_id=session_id, version=version)
        return
    messages: list[Message] = [planning.described(session, now)]
    if session.state == "cancelled":
        messages.append(SessionCancelled(occurred_at=now))
    else:
        live = [one for one in await store.all_registrations(tx, session_id) if one.state in LIVE]
        messages.append(
            RegistrationsRestated(
                occurred_at=now,
                registration_ids=[one.registration_id for one in live],
                held=session.state == "held",
                attended_count=session.counts.attended,
                **session.counts.told(),
            )
        )
        messages += [domain.told(session, one, now) for one in live]
    version = await tx.emit(messages, aggregate_id=session_id, version=version)
    await tx.execute("UPDATE session SET version = :v WHERE session_id = :id", id=session_id, v=version)


async def restate_request(tx: Transaction, request_id: UUID, version: int, told: Told) -> None:
    """What platform scheduling was asked; what this database forgot is withdrawn, so that nothing stays booked for nobody."""
    row, now = await event_store.find_request(tx, request_id), await tx.now()
    if row is None:
        known: Any = next(iter(told.values()))
        gone = PlatformRequestWithdrawn(occurred_at=now, for_event_id=known.for_event_id, platform_id=known.platform_id)
        await tx.emit([gone], aggregate_id=request_id, version=version)
        return
    event = await event_store.lock_event(tx, row.event_id)
    assert event is not None
    need = event_store.need_of(row)
    message = lifecycle.withdrawn(event, need, now) if row.withdrawn else lifecycle.asked(event, need, now)
    version = await tx.emit([message], aggregate_id=request_id, version=version)
    await tx.execute("UPDATE platform_request SET version = :v WHERE request_id = :id", id=request_id, v=version)


async def restate_kit(tx: Transaction, kit_id: UUID, version: int, told: Told) -> None:
    """The kit and its loans as this database has them; loans that it forgot are over, a kit that it forgot is withdrawn."""
    kit, now = await kit_store.lock_kit(tx, kit_id), await tx.now()
    if kit is None:
        described = told.get(KitDescribed)
        gone = [described.model_copy(update={"occurred_at": now, "withdrawn": True})] if described else []
        await tx.emit([*gone, LoansRestated(occurred_at=now, loan_ids=[])], aggregate_id=kit_id, version=version)
        return
    ids = [loan.loan_id for loan in kit.loans]
    messages: list[Message] = [kits.described(kit, now), LoansRestated(occurred_at=now, loan_ids=ids)]
    for loan in kit.loans:
        messages.append(kits.told(loan, now))
        if loan.state == "out":
            messages.append(KitTakenOut(occurred_at=now, loan_id=loan.loan_id))
    await kit_store.save(tx, replace(kit, version=version), kits.KitDecision(kit, tuple(messages)))


async def restate_ambassador(tx: Transaction, ambassador_id: UUID, version: int, told: Told) -> None:
    """The directory's entry as this database has it; one that it forgot is withdrawn."""
    one, now = await ambassador_store.lock(tx, ambassador_id), await tx.now()
    if one is not None:
        message = ambassadors.described(one, now)
    elif (described := told.get(AmbassadorDescribed)) is not None:
        message = described.model_copy(update={"occurred_at": now, "withdrawn": True})
    else:
        return
    version = await tx.emit([message], aggregate_id=ambassador_id, version=version)
    await tx.execute("UPDATE ambassador SET version = :v WHERE ambassador_id = :id", id=ambassador_id, v=version)


# Events first: sessions and requests speak of one.
AGGREGATES = (
    Aggregates(
        topic="events.events.v1",
        messages=(EventDescribed, EventCancelled),
        versions=event_store.versions,
        restate=restate_event,
    ),
    Aggregates(
        topic="events.sessions.v1",
        messages=(
            SessionDescribed,
            RegistrationMade,
            RegistrationQueued,
            SeatsOffered,
            RegistrationResized,
            RegistrationEnded,
            VisitorsCheckedIn,
            SessionHeld,
            SessionCancelled,
            RegistrationsRestated,
        ),
        versions=event_store.session_versions,
        restate=restate_session,
    ),
    Aggregates(
        topic="events.platform-requests.v1",
        messages=(PlatformRequested, PlatformRequestWithdrawn),
        versions=event_store.request_versions,
        restate=restate_request,
    ),
    Aggregates(
        topic="events.kits.v1",
        messages=(KitDescribed, LoanRequested, LoanReserved, KitTakenOut, LoanEnded, LoansRestated),
        versions=kit_store.versions,
        restate=restate_kit,
    ),
    Aggregates(
        topic="events.ambassadors.v1",
        messages=(AmbassadorDescribed, AmbassadorAsked, AmbassadorAnswered),
        versions=ambassador_store.versions,
        restate=restate_ambassador,
    ),
)
