"""Tells anew what the log is ahead of, after this database was restored to an earlier point."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from common import case_links
from common.messages import Message
from common.reconcile import Aggregates, LastMessages
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
    AmbassadorDescribed,
    EventCancellationReason,
    EventCancelled,
    KitDescribed,
    KitTakenOut,
    LoansRestated,
    PlatformRequestWithdrawn,
    RegistrationsRestated,
    SessionCancelled,
)
from waiting_list.rules import LIVE


async def restate_event(tx: Transaction, event_id: UUID, last: LastMessages) -> Sequence[Message]:
    """The event as this database has it; one that it forgot is cancelled, as nobody could find it."""
    event, now = await event_store.lock_event(tx, event_id), await tx.now()
    if event is None or event.state == "draft":
        return [EventCancelled(occurred_at=now, reason=EventCancellationReason.CANCELLED_BY_ORGANISER)]
    messages: list[Message] = [lifecycle.described(event, now)]
    if event.state == "cancelled" and event.cancelled_reason is not None:
        reason = EventCancellationReason(event.cancelled_reason)
        messages.append(EventCancelled(occurred_at=now, reason=reason))
    return messages


async def restate_session(tx: Transaction, session_id: UUID, last: LastMessages) -> Sequence[Message]:
    """The session and its live registrations as this database has them; registrations that it forgot are gone."""
    session, now = await store.lock_session(tx, session_id), await tx.now()
    if session is None:
        return [SessionCancelled(occurred_at=now)]
    described = planning.described(session, now)
    if session.state == "cancelled":
        return [described, SessionCancelled(occurred_at=now)]
    live = [one for one in await store.all_registrations(tx, session_id) if one.state in LIVE]
    registrations = RegistrationsRestated(
        occurred_at=now,
        registration_ids=[one.registration_id for one in live],
        held=session.state == "held",
        attended_count=session.counts.attended,
        **session.counts.fields(),
    )
    return [described, registrations, *(domain.state_message(session, one, now) for one in live)]


async def restate_request(tx: Transaction, request_id: UUID, last: LastMessages) -> Sequence[Message]:
    """What platform scheduling was asked; what this database forgot is withdrawn, so that nothing stays booked for nobody."""
    row, now = await event_store.find_request(tx, request_id), await tx.now()
    if row is None:
        known: Any = next(iter(last.values()))
        return [
            PlatformRequestWithdrawn(occurred_at=now, for_event_id=known.for_event_id, platform_id=known.platform_id)
        ]
    event = await event_store.lock_event(tx, row.event_id)
    assert event is not None
    need = event_store.need_of(row)
    return [lifecycle.withdrawn(event, need, now) if row.withdrawn else lifecycle.asked(event, need, now)]


async def restate_kit(tx: Transaction, kit_id: UUID, last: LastMessages) -> Sequence[Message]:
    """The kit and its loans as this database has them; loans that it forgot are over, a kit that it forgot is withdrawn."""
    kit, now = await kit_store.lock_kit(tx, kit_id), await tx.now()
    if kit is None:
        return [*_withdrawn(last.of(KitDescribed), now), LoansRestated(occurred_at=now, loan_ids=[])]
    ids = [loan.loan_id for loan in kit.loans]
    messages: list[Message] = [kits.described(kit, now), LoansRestated(occurred_at=now, loan_ids=ids)]
    for loan in kit.loans:
        messages.append(kits.state_message(loan, now))
        if loan.state == "out":
            messages.append(KitTakenOut(occurred_at=now, loan_id=loan.loan_id))
    return messages


async def restate_ambassador(tx: Transaction, ambassador_id: UUID, last: LastMessages) -> Sequence[Message]:
    """The directory's entry as this database has it; one that it forgot is withdrawn."""
    one, now = await ambassador_store.lock(tx, ambassador_id), await tx.now()
    return [ambassadors.described(one, now)] if one is not None else _withdrawn(last.of(AmbassadorDescribed), now)


def _withdrawn(described: KitDescribed | AmbassadorDescribed | None, now: datetime) -> list[Message]:
    """What was described last, and is offered no longer; nothing of what the log has no description of."""
    return [described.model_copy(update={"occurred_at": now, "withdrawn": True})] if described else []


# Events first: sessions and requests speak of one.
AGGREGATES = (
    Aggregates("events.events.v1", table="event", restate=restate_event),
    Aggregates("events.sessions.v1", table="session", restate=restate_session, described=store.DESCRIBED),
    Aggregates("events.platform-requests.v1", table="platform_request", key="request_id", restate=restate_request),
    Aggregates("events.kits.v1", table="kit", restate=restate_kit),
    Aggregates("events.ambassadors.v1", table="ambassador", restate=restate_ambassador),
    Aggregates("events.case-links.v1", table="case_link", key="subject_id", restate=case_links.restate),
)
