"""HTTP of organisers: their events and sessions, who is registered, the door."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Request

from common.commands import command
from common.failures import Refusal
from common.http import Answer, answer, database_of
from common.identity import Principal, caller_as
from common.mail import reachable, unreached
from common.transaction import Transaction
from events import event_handlers, event_store, handlers, party_store
from events.bodies import CheckInsBody, EventBody, NeedBody, SessionBody
from events.event_store import description_of, event_of
from events.http import ORGANISERS, invitation_of, shown_registration, shown_session
from events.messages import EventAccess

Organiser = Annotated[Principal, Depends(caller_as(*ORGANISERS))]

router = APIRouter(prefix="/v1")


@router.get("/events/mine")
async def my_events(request: Request, principal: Organiser) -> list[dict[str, Any]]:
    """The caller's events with their sessions, their platform, and the invitation of closed ones."""
    async with database_of(request).transaction() as tx:
        now, account = await tx.now(), principal.account
        sessions: dict[UUID, list[Any]] = {}
        for row in await event_store.sessions(tx, now, organiser_account=account):
            sessions.setdefault(row.event_id, []).append(shown_session(row))
        return [
            {
                "event_id": row.event_id,
                "state": row.state,
                "title": description_of(row).title,
                "kind": description_of(row).kind,
                "platform": need.__dict__ if (need := event_of(row).need) else None,
                "cancelled_reason": row.cancelled_reason,
                "invitation": invitation_of(request, row.event_id)
                if description_of(row).access == EventAccess.INVITATION
                else None,
                "sessions": sessions.get(row.event_id, []),
            }
            for row in await event_store.events_of(tx, account)
        ]


@command(*ORGANISERS, api=router.put("/events/{event_id}"), asks=True)
async def describe_event(tx: Transaction, principal: Principal, event_id: UUID, body: EventBody) -> Answer:
    """An organiser writes or changes an event."""
    refusal = await event_handlers.describe_event(
        tx, principal.account, principal.contact, event_id, body.description()
    )
    return answer(refusal, {"event_id": event_id})


@command(*ORGANISERS, api=router.put("/events/{event_id}/sessions/{session_id}"), asks=True)
async def put_session(
    tx: Transaction, principal: Principal, event_id: UUID, session_id: UUID, body: SessionBody
) -> Answer:
    """An organiser adds or changes a session."""
    refusal = await event_handlers.put_session(tx, principal.account, event_id, session_id, body.plan())
    return answer(refusal, {"session_id": session_id})


@command(*ORGANISERS, api=router.put("/events/{event_id}/platform"))
async def need_platform(tx: Transaction, principal: Principal, event_id: UUID, body: NeedBody) -> Answer:
    """The event needs a technical platform: it is confirmed when platform scheduling has booked it."""
    refusal = await event_handlers.need_platform(tx, principal.account, event_id, body.need())
    return answer(refusal, {"event_id": event_id})


@command(*ORGANISERS, api=router.delete("/events/{event_id}/platform"))
async def drop_platform(tx: Transaction, principal: Principal, event_id: UUID) -> Answer:
    """The event needs no platform any more."""
    return answer(await event_handlers.drop_platform(tx, principal.account, event_id), {"event_id": event_id})


@command(*ORGANISERS, api=router.post("/events/{event_id}/publication"))
async def publish(tx: Transaction, principal: Principal, event_id: UUID) -> Answer:
    """The event is announced: confirmed at once, or when its platform is booked."""
    return answer(await event_handlers.publish(tx, principal.account, event_id), {"event_id": event_id})


@command(*ORGANISERS, api=router.post("/events/{event_id}/cancellation"), asks=True)
async def cancel_event(tx: Transaction, principal: Principal, event_id: UUID) -> Answer:
    """The event is called off; whoever is registered is told once."""
    return answer(await event_handlers.cancel(tx, principal.account, event_id), {"event_id": event_id})


@command(*ORGANISERS, api=router.post("/sessions/{session_id}/cancellation"), asks=True)
async def cancel_session(tx: Transaction, principal: Principal, session_id: UUID) -> Answer:
    """One session is called off."""
    return answer(await event_handlers.cancel_session(tx, principal.account, session_id), {"session_id": session_id})


@router.get("/sessions/{session_id}/registrations")
async def registrations(request: Request, session_id: UUID, principal: Organiser) -> list[dict[str, Any]]:
    """Who is registered, in the order of the line: for the organiser alone.

    `reachable` is false where the latest mail failed, null where there is no address to write to.
    """
    async with database_of(request).transaction() as tx:
        row = await organised_session(tx, principal, session_id)
        rows = await party_store.registrations(tx, session_id=row.session_id)
        lost = await unreached(tx, (one.email for one in rows))
        return [
            shown_registration(one)
            | {
                "title": one.party_title,
                "email": one.email,
                "code": one.code,
                "reachable": reachable(one.email, lost),
            }
            for one in rows
        ]


@command(*ORGANISERS, api=router.post("/registrations/{registration_id}/cancellation"))
async def cancel_registration(tx: Transaction, principal: Principal, registration_id: UUID) -> Answer:
    """The organiser cancels a registration; its party is told."""
    refusal = await handlers.cancel_for(tx, principal.account, registration_id)
    return answer(refusal, {"registration_id": registration_id})


@command(*ORGANISERS, api=router.post("/sessions/{session_id}/check-ins"))
async def check_in(tx: Transaction, principal: Principal, session_id: UUID, body: CheckInsBody) -> Answer:
    """What a device at the door has read, as often as it likes: one receipt for each reading."""
    result = await handlers.check_in(tx, principal.account, session_id, [one.reading() for one in body.check_ins])
    if isinstance(result, Refusal):
        return answer(result, None)
    return 200, {"receipts": [one.__dict__ for one in result]}


async def organised_session(tx: Transaction, principal: Principal, session_id: UUID) -> Any:
    """A session of one of the caller's events; 404 or 403 otherwise."""
    rows = await event_store.sessions(tx, await tx.now(), session_id=session_id)
    if not rows:
        raise HTTPException(404, "Cette séance n'existe pas.")
    if rows[0].organiser_account != principal.account:
        raise HTTPException(403, "Cette séance est d'un autre organisateur.")
    return rows[0]
