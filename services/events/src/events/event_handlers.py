"""One function per command on events and their sessions, and per answer of platform scheduling: lock, decide, save."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from common.commitments import Commitment, Fate, ask
from common.failures import Refusal
from common.transaction import Transaction
from events import (
    ambassador_handlers,
    commitments,
    domain,
    event_store,
    kinds,
    kit_handlers,
    lifecycle,
    notices,
    planning,
    store,
)
from events.commitments import Change
from events.handlers import NOT_FOUND, NOT_YOURS, decide, on_registration
from events.messages import PlatformBooked, PlatformRefused, PlatformReleased
from events.state import Decision, Description, Event, EventDecision, Plan, PlatformNeed, Policy, Registration, Session

_SESSIONS_MAX = 200


async def describe_event(
    tx: Transaction, account: str, contact: str | None, event_id: UUID, description: Description
) -> Refusal | None:
    """An organiser writes or changes an event; another place is told to whoever is registered, once each."""
    organiser_id = await event_store.organiser(tx, account, contact)
    await event_store.insert_event(tx, event_id, organiser_id, description)
    event = await _owned(tx, account, event_id)
    if isinstance(event, Refusal):
        return event
    if (
        event.state != "draft"
        and (refusal := kinds.why_not(description, await event_store.plans_of(tx, event_id))) is not None
    ):
        return refusal
    before = event.description
    decision = lifecycle.describe(event, description, await tx.now())
    if decision.refusal is not None:
        return decision.refusal
    where = (before.place_title, before.commune_code, before.attendance_mode)
    moved = where != (description.place_title, description.commune_code, description.attendance_mode)
    if moved and (refusal := await _asked(tx, event_id, Change.PLACE)):
        return refusal
    await event_store.save(tx, event, decision)
    if moved:
        for session_id in await event_store.session_ids(tx, event_id):
            session = await store.lock_session(tx, session_id)
            if session is not None and session.state in ("open", "planned") and session.plan.ends_at > await tx.now():
                await store.owe_the_move(tx, session_id)
    return None


async def put_session(tx: Transaction, account: str, event_id: UUID, session_id: UUID, plan: Plan) -> Refusal | None:
    """An organiser adds or changes a session; more seats reach those in line, another time is told, once each.

    A party in line for more seats than there will be waits for nothing: its place ends.
    """
    event = await _owned(tx, account, event_id)
    if isinstance(event, Refusal):
        return event
    if event.state == "cancelled":
        return Refusal("event_state", "Cet évènement est annulé.", {"state": "cancelled"})
    plans = await event_store.plans_of(tx, event_id, but=session_id)
    if len(plans) >= _SESSIONS_MAX:
        return Refusal("too_many_sessions", f"Au plus {_SESSIONS_MAX} séances par évènement.")
    if event.state != "draft" and (refusal := kinds.why_not(event.description, [*plans, plan])) is not None:
        return refusal
    await store.insert_session(tx, session_id, event_id, plan)
    session = await store.lock_session(tx, session_id)
    if session is None or session.event_id != event_id:
        return NOT_YOURS
    session = (await decide(tx, session, lambda one, _, __: Decision(one))).session
    changes = commitments.by_plan(session.plan, plan)
    broken = await commitments.registrations(tx, [session_id], changes, await tx.now())
    decision = await decide(
        tx, session, lambda one, *when: _unless(planning.describe(one, plan, *when), one, broken, tx)
    )
    if decision.refusal is not None:
        if session.revision == 0:
            await event_store.drop_unplanned_session(tx, session_id)
        return decision.refusal
    for each in broken:
        if each.becomes is Fate.ENDS:
            await _outgrown(tx, session_id, each.id)
    if event.state == "confirmed":
        await decide(tx, decision.session, lambda one, _, now: planning.open_(one, now))
    return None


async def cancel_session(tx: Transaction, account: str, session_id: UUID) -> Refusal | None:
    """An organiser calls one session off; whoever is registered is told, once each."""
    event_id = await event_store.event_of_session(tx, session_id)
    if event_id is None:
        return NOT_FOUND
    event = await _owned(tx, account, event_id)
    if isinstance(event, Refusal):
        return event
    session = await store.lock_session(tx, session_id)
    assert session is not None
    broken = await commitments.registrations(tx, [session_id], lambda _: [Change.SESSION_CANCELLED], await tx.now())
    decision = await decide(tx, session, lambda one, _, now: _unless(planning.call_off(one, now), one, broken, tx))
    return decision.refusal


async def publish(tx: Transaction, account: str, event_id: UUID) -> Refusal | None:
    """An organiser tells of an event: confirmed at once, or as soon as its technical platform is booked."""
    event = await _owned(tx, account, event_id)
    if isinstance(event, Refusal):
        return event
    if event.state == "draft":
        plans = await event_store.plans_of(tx, event_id)
        if (refusal := kinds.why_not(event.description, plans)) is not None:
            return refusal
        if max(plan.ends_at for plan in plans) <= await tx.now():
            return Refusal("in_the_past", "Toutes les séances de cet évènement sont passées.")
    return await _step(tx, event, lambda one, now: lifecycle.step(one, "publish", now))


async def need_platform(tx: Transaction, account: str, event_id: UUID, need: PlatformNeed) -> Refusal | None:
    """An organiser needs a technical platform, or another one: the event is confirmed when it is booked."""
    event = await _owned(tx, account, event_id)
    if isinstance(event, Refusal):
        return event
    if need.starts_at <= await tx.now():
        return Refusal("in_the_past", "Le plateau se réserve pour un moment à venir.")
    return await _step(tx, event, lambda one, now: lifecycle.step(one, "need", now, need=need))


async def drop_platform(tx: Transaction, account: str, event_id: UUID) -> Refusal | None:
    """An organiser no longer needs the platform."""
    event = await _owned(tx, account, event_id)
    if isinstance(event, Refusal):
        return event
    return await _step(tx, event, lambda one, now: lifecycle.step(one, "drop", now))


async def cancel(tx: Transaction, account: str, event_id: UUID) -> Refusal | None:
    """An organiser calls the event off: sessions, registrations, platform and kits with it."""
    event = await _owned(tx, account, event_id)
    if isinstance(event, Refusal):
        return event
    now = await tx.now()
    plans = await event_store.plans_of(tx, event_id)
    if event.state != "draft" and plans and max(plan.ends_at for plan in plans) <= now:
        return Refusal("event_over", "Cet évènement est passé.")
    if event.state != "cancelled" and (refusal := await _asked(tx, event_id, Change.EVENT_CANCELLED)):
        return refusal
    return await _step(tx, event, lambda one, at: lifecycle.step(one, "cancel", at))


# -- platform scheduling answers


async def platform_answered(tx: Transaction, message: PlatformBooked | PlatformRefused | PlatformReleased) -> None:
    """Booked, refused or released: of the request that the event has now; of an earlier one, nothing changes."""
    event = await event_store.lock_event(tx, message.for_event_id)
    if event is None:
        return
    reason = None if isinstance(message, PlatformBooked) else message.reason.value
    await event_store.note_answer(tx, message.aggregate_id, f"{message.record_name()} {reason or ''}".strip())
    if event.need is None or event.need.request_id != message.aggregate_id:
        return
    step: lifecycle.Step = "booked"
    if isinstance(message, PlatformRefused):
        step = "refused"
    elif isinstance(message, PlatformReleased):
        step = "released"
    refusal = await _step(tx, event, lambda one, now: lifecycle.step(one, step, now, reason=reason))
    if refusal is None and step != "booked":
        await notices.write_to_organiser(tx, event, step, reason)


# -- what stands behind them


async def _asked(tx: Transaction, event_id: UUID, change: Change) -> Refusal | None:
    """Asks about what a change of the event breaks in its sessions, which are locked for it; of one that falls, all of it."""
    ids = await event_store.session_ids(tx, event_id)
    for session_id in ids:
        await store.lock_session(tx, session_id)
    now = await tx.now()
    if change is Change.EVENT_CANCELLED:
        return ask(await commitments.of_event(tx, event_id, ids, now), tx.accepted)
    return ask(await commitments.registrations(tx, ids, lambda _: [change], now), tx.accepted)


def _unless(decision: Decision, before: Session, broken: list[Commitment], tx: Transaction) -> Decision:
    """What was decided, unless somebody has to be asked about what it breaks."""
    refusal = decision.refusal or ask(broken, tx.accepted)
    return decision if refusal is None else Decision(before, refusal=refusal)


async def _outgrown(tx: Transaction, session_id: UUID, registration_id: UUID) -> None:
    """Ends the place in line of a party that no longer fits, and says why."""

    def rule(one: Session, registration: Registration, _: Policy, now: datetime) -> Decision:
        return domain.cancel(one, registration, "organiser", now)

    if await on_registration(tx, session_id, registration_id, rule) is None:
        await store.owe(tx, registration_id, "outgrown")


# -- the lines around every rule


async def _owned(tx: Transaction, account: str, event_id: UUID) -> Event | Refusal:
    event = await event_store.lock_event(tx, event_id)
    if event is None:
        return NOT_FOUND
    return event if await event_store.is_organised_by(tx, event_id, account) else NOT_YOURS


async def _step(tx: Transaction, event: Event, rule: Callable[[Event, datetime], EventDecision]) -> Refusal | None:
    """One step of the event's life, and what it means for its sessions and kits."""
    decision = rule(event, await tx.now())
    if decision.refusal is not None:
        return decision.refusal
    after = await event_store.save(tx, event, decision)
    if after.state == event.state:
        return None
    follow = {"confirmed": planning.open_, "awaiting": planning.suspend, "cancelled": planning.call_off}[after.state]
    for session_id in await event_store.session_ids(tx, event.event_id):
        session = await store.lock_session(tx, session_id)
        assert session is not None
        await decide(tx, session, lambda one, _, now: follow(one, now))
    if after.state == "cancelled":
        await kit_handlers.release_for(tx, event.event_id)
        await ambassador_handlers.release_for(tx, event.event_id)
    return None
