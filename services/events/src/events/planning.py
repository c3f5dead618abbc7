"""The rules of an organiser's sessions: planned, opened with their event, suspended while it waits, called off."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from common.failures import Refusal
from events.domain import facts_of
from events.messages import Allocation, SessionCancelled, SessionDescribed
from events.state import Decision, Plan, Policy, Session
from waiting_list.rules import Counts


def describe(session: Session, plan: Plan, policy: Policy, now: datetime) -> Decision:
    """A new session, or one that changes; more seats go to those in line, and never fewer than are taken."""
    if session.state in ("held", "cancelled"):
        return Decision(session, refusal=Refusal("session_over", "Cette séance est passée ou annulée."))
    if (session.version == 0 or plan.starts_at != session.plan.starts_at) and plan.starts_at <= now:
        return Decision(session, refusal=Refusal("in_the_past", "Une séance commence dans l’avenir."))
    if session.plan.starts_at <= now and plan != session.plan and session.version > 0:
        return Decision(session, refusal=Refusal("session_over", "Cette séance a commencé : elle ne change plus."))
    counts = session.counts
    if counts.attended and plan.when_and_where != session.plan.when_and_where:
        # The door opens hours before: for who has come, it has begun.
        detail = "Des personnes sont déjà entrées : l’heure et la salle ne changent plus."
        return Decision(session, refusal=Refusal("session_over", detail))
    if counts.taken > (plan.capacity_count or 0):
        detail = f"{counts.taken} places sont prises : annulez des inscriptions d’abord, ou gardez au moins autant."
        return Decision(session, refusal=Refusal("seats_taken", detail, {"taken_count": counts.taken}))
    if plan.allocation != session.plan.allocation and (counts.taken or counts.waiting):
        detail = "Des personnes sont inscrites : la façon de donner les places ne change plus."
        return Decision(session, refusal=Refusal("allocation_fixed", detail))
    if (
        plan.allocation == Allocation.LOTTERY
        and session.drawn_at is None
        and plan.draw_at is not None
        and plan.draw_at > policy.terms.cut_off(plan.starts_at)
    ):
        detail = "Le tirage a lieu avant la veille de la séance, pour que chacun sache à temps."
        return Decision(session, refusal=Refusal("draw_too_late", detail))
    changed = replace(session, plan=plan)
    if session.version > 0 and changed == session:
        return Decision(session)
    changed = replace(changed, revision=session.revision + 1)
    # A session of an event that is not confirmed is not told yet.
    return Decision(changed, (described(changed, now),) if session.state == "open" else ())


def open_(session: Session, now: datetime) -> Decision:
    """The event is confirmed: its session is told, and one may register."""
    if session.state != "planned":
        return Decision(session)
    opened = replace(session, state="open")
    return Decision(opened, (described(opened, now),))


def suspend(session: Session, now: datetime) -> Decision:
    """The event awaits an answer for its platform: who is registered stays so, nobody else registers."""
    if session.state != "open":
        return Decision(session)
    planned = replace(session, state="planned")
    return Decision(planned, (described(planned, now),))


def call_off(session: Session, now: datetime) -> Decision:
    """The session does not take place; every registration in it is over."""
    if session.state in ("held", "cancelled"):
        return Decision(session)
    if session.plan.ends_at <= now:
        return Decision(session, refusal=Refusal("session_over", "Cette séance est passée.", facts_of(session)))
    told = (SessionCancelled(occurred_at=now),) if session.version > 0 else ()
    cancelled = replace(session, state="cancelled", counts=Counts(), registrations=(), revision=session.revision + 1)
    return Decision(cancelled, told)


def described(session: Session, now: datetime) -> SessionDescribed:
    """The whole public description of a session."""
    plan = session.plan
    return SessionDescribed(
        occurred_at=now,
        for_event_id=session.event_id,
        title=plan.title,
        purpose=plan.purpose,
        starts_at=plan.starts_at,
        ends_at=plan.ends_at,
        hall=plan.hall,
        admission=plan.admission,
        capacity_count=plan.capacity_count,
        allocation=plan.allocation,
        open=session.state == "open",
        **session.counts.fields(),
    )
