"""The rules of sessions and registrations: state in, new state and messages out. No clock, no database, no HTTP.

Source: fiches 2-1 to 5-3 of the Region's strategy, and the product's policy (see docs/glossary.md). Who is served when
seats come back is the kernel's (`waiting_list`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import uuid4

from common.failures import Refusal
from common.messages import Message
from common.secrecy import shown
from events.messages import (
    Admission,
    PartyKind,
    RegistrationEnded,
    RegistrationEndReason,
    RegistrationMade,
    RegistrationQueued,
    RegistrationResized,
    SeatsOffered,
    SessionHeld,
    VisitorsCheckedIn,
)
from events.state import Ask, Decision, Policy, Registration, Session
from waiting_list.rules import LIVE, STATES_FR, RegistrationState

Actor = Literal["registrant", "organiser", "door", "time", "freed"]

# Who may bring a registration from where to where. "freed" are seats that came back, "door" reads the code of who comes.
TRANSITIONS: dict[tuple[Actor, RegistrationState], frozenset[RegistrationState]] = {
    ("registrant", "waiting"): frozenset({"ended"}),
    ("registrant", "offered"): frozenset({"registered", "ended"}),
    ("registrant", "registered"): frozenset({"ended"}),
    ("organiser", "waiting"): frozenset({"ended"}),
    ("organiser", "offered"): frozenset({"ended"}),
    ("organiser", "registered"): frozenset({"ended"}),
    ("door", "registered"): frozenset({"attended"}),
    ("door", "attended"): frozenset({"attended", "registered"}),
    ("door", "absent"): frozenset({"attended"}),
    ("time", "waiting"): frozenset({"ended"}),
    ("time", "offered"): frozenset({"ended"}),
    ("time", "registered"): frozenset({"absent", "ended"}),
    ("freed", "waiting"): frozenset({"offered", "registered"}),
}


@dataclass(frozen=True)
class Conduct:
    """What the policy looks at in a person, who is locked: registrations to come, in all events."""

    live_count: int = 0


@dataclass(frozen=True)
class Attendance:
    """Who came to a session that is over, by sex where their party said so."""

    female_count: int = 0
    male_count: int = 0


# -- what time makes due


def settle(session: Session, now: datetime) -> Decision:
    """Ends offers that nobody took and places in line that nobody served; `occurred_at` is the instant that made it due."""
    decision = Decision(session)
    if session.state not in ("open", "planned"):
        return decision
    due = [one for one in session.registrations if one.due_at is not None and one.due_at <= now]
    for one in sorted(due, key=lambda one: (one.due_at, one.registration_id)):
        assert one.due_at is not None
        reason = RegistrationEndReason.OFFER_EXPIRED if one.state == "offered" else RegistrationEndReason.NOT_SERVED
        decision = _end(decision.session, one, reason, one.due_at).after(decision)
    return decision


def draw_is_due(session: Session, now: datetime) -> bool:
    """Whether the seats are to be drawn now."""
    at = session.plan.draw_at
    return session.state == "open" and session.draws() and at is not None and at <= now


def drawn(session: Session) -> Session:
    """After the draw; whom it serves is told by `give`."""
    return replace(session, drawn_at=session.plan.draw_at)


def is_over(session: Session, policy: Policy, now: datetime) -> bool:
    """Whether attendance is to be counted now."""
    return session.state == "open" and session.plan.ends_at + timedelta(hours=policy.held_after_hours) <= now


def hold(session: Session, attendance: Attendance, policy: Policy) -> Decision:
    """The session is over. Where nobody was checked in, attendance is unknown and nobody is absent."""
    counted = session.counts.attended > 0
    message = SessionHeld(
        occurred_at=session.plan.ends_at + timedelta(hours=policy.held_after_hours),
        attended_count=session.counts.attended if counted else None,
        female_count=shown(attendance.female_count) if counted else None,
        male_count=shown(attendance.male_count) if counted else None,
    )
    return Decision(replace(session, state="held"), (message,))


def due_at(session: Session, policy: Policy) -> datetime | None:
    """When time next makes something due in the session itself; its registrations have their own."""
    if session.state != "open":
        return None
    over_at = session.plan.ends_at + timedelta(hours=policy.held_after_hours)
    return min(over_at, session.plan.draw_at) if session.draws() and session.plan.draw_at else over_at


# -- seats that came back


def seats_to_give(session: Session, policy: Policy, now: datetime) -> int:
    """Seats that the line may have now: none before a draw, none after the cut-off, none once it is cancelled."""
    closed = session.state != "open" or session.draws() or session.counts.waiting == 0
    return 0 if closed or now >= policy.terms.cut_off(session.plan.starts_at) else session.free_count


def offer(session: Session, one: Registration, until: datetime, now: datetime) -> Decision:
    """Holds seats that came back for a party in line, until it has answered."""
    return _become(session, one, "offered", now, due_at=until)


def give(session: Session, one: Registration, now: datetime) -> Decision:
    """Gives seats to a party that was drawn."""
    return _become(session, one, "registered", now)


# -- registering


def register(session: Session, ask: Ask, conduct: Conduct, policy: Policy, now: datetime) -> Decision:
    """A party asks for seats: registered when they are free, in line if it wishes, or refused with why."""
    refusal = _why_not(session, now) or _why_not_ask(session, ask, conduct, policy)
    if refusal is not None:
        return Decision(session, refusal=refusal)
    closes_at = policy.terms.cut_off(session.plan.starts_at)
    one = Registration(
        uuid4(), ask.party_id, ask.holder_id, ask.party_kind, ask.seat_count, "waiting", now, ask.school_uai
    )
    if session.draws():
        draw_at = session.plan.draw_at
        assert draw_at is not None
        return _become(session, one, "waiting", now, due_at=max(closes_at, draw_at + timedelta(minutes=1)))
    if ask.seat_count <= session.free_count:
        return _become(session, one, "registered", now)
    can_wait = now < closes_at
    if ask.wait and can_wait:
        return _become(session, one, "waiting", now, due_at=closes_at)
    advice = " Vous pouvez vous mettre en liste d’attente." if can_wait else ""
    left = session.free_count
    detail = (
        f"« {session.plan.title} » est complet.{advice}"
        if left == 0
        else f"« {session.plan.title} » n’a plus {f'que {left} places' if left > 1 else 'qu’une place'}.{advice}"
    )
    return Decision(session, refusal=Refusal("full", detail, facts_of(session, free_count=left, can_wait=can_wait)))


def _why_not(session: Session, now: datetime) -> Refusal | None:
    title = session.plan.title
    if session.state == "cancelled":
        return Refusal("session_cancelled", f"« {title} » est annulé.", facts_of(session))
    if session.state == "held" or now >= session.plan.starts_at:
        return Refusal("session_over", f"« {title} » est passé ou a commencé.", facts_of(session))
    if session.state == "planned":
        return Refusal("not_confirmed", f"« {title} » n’est pas encore confirmé : revenez bientôt.", facts_of(session))
    if session.plan.opens_at is not None and now < session.plan.opens_at:
        facts = facts_of(session, opens_at=session.plan.opens_at)
        return Refusal("not_open_yet", f"Les inscriptions à « {title} » ne sont pas encore ouvertes.", facts)
    if session.plan.capacity_count is None:
        return Refusal("no_registration", f"« {title} » se visite sans inscription : venez.", facts_of(session))
    return None


def _why_not_ask(session: Session, ask: Ask, conduct: Conduct, policy: Policy) -> Refusal | None:
    if any(one.holder_id == ask.holder_id and one.state in LIVE for one in session.registrations):
        detail = f"Cette adresse a déjà une inscription à « {session.plan.title} » : le lien reçu par mail la change."
        return Refusal("already_registered", detail, facts_of(session))
    admitted = {Admission.INDIVIDUALS: PartyKind.INDIVIDUAL, Admission.GROUPS: PartyKind.GROUP}
    if ask.party_kind != admitted.get(session.plan.admission, ask.party_kind):
        whom = "aux groupes d’établissements" if ask.party_kind == PartyKind.INDIVIDUAL else "aux individuels"
        return Refusal("not_admitted", f"« {session.plan.title} » est réservé {whom}.", facts_of(session))
    if conduct.live_count >= policy.registrations_per_person_max and ask.party_kind == PartyKind.INDIVIDUAL:
        most = policy.registrations_per_person_max
        detail = f"Vous avez déjà {conduct.live_count} inscriptions à venir, le plus permis est {most}."
        return Refusal("too_many_registrations", detail, {"live_count": conduct.live_count, "max": most})
    return _too_large(session, ask.party_kind, ask.seat_count, policy)


def _too_large(session: Session, kind: PartyKind, seat_count: int, policy: Policy) -> Refusal | None:
    capacity = session.plan.capacity_count or 0
    if seat_count > capacity:
        detail = f"« {session.plan.title} » accueille {capacity} personnes : faites plusieurs groupes, un par créneau."
        return Refusal("group_too_large", detail, facts_of(session, capacity_count=capacity))
    if kind == PartyKind.INDIVIDUAL and seat_count > policy.party_seats_max:
        detail = f"Au plus {policy.party_seats_max} places par inscription ; une école inscrit un groupe."
        return Refusal("party_too_large", detail, {"max": policy.party_seats_max})
    return None


def accept(session: Session, one: Registration, now: datetime) -> Decision:
    """A party takes the seats that it was offered."""
    refusal = _not_allowed("registrant", one, "registered")
    if refusal is not None:
        return Decision(session, refusal=refusal)
    return _become(session, one, "registered", now)


def cancel(session: Session, one: Registration, by: Literal["registrant", "organiser"], now: datetime) -> Decision:
    """A party or the organiser gives a registration, an offer or a place in line up, before the session begins."""
    refusal = _not_allowed(by, one, "ended")
    if refusal is None and now >= session.plan.starts_at:
        refusal = Refusal("session_over", f"« {session.plan.title} » a commencé.", facts_of(session))
    if refusal is not None:
        return Decision(session, refusal=refusal)
    reason = RegistrationEndReason.CANCELLED_BY_REGISTRANT
    if by == "organiser":
        reason = RegistrationEndReason.CANCELLED_BY_ORGANISER
    elif one.state == "offered":
        reason = RegistrationEndReason.OFFER_DECLINED
    return _end(session, one, reason, now)


def release(session: Session, one: Registration, now: datetime) -> Decision:
    """Takes back what a party holds that missed too many sessions of the same event without a word."""
    if one.state not in ("waiting", "offered", "registered") or now >= session.plan.starts_at:
        return Decision(session)
    return _end(session, one, RegistrationEndReason.ABSENCES, now)


def resize(session: Session, one: Registration, seat_count: int, policy: Policy, now: datetime) -> Decision:
    """A party comes with more people, as far as seats are free, or with fewer, whose seats go to those in line."""
    if one.state not in ("waiting", "registered"):
        return Decision(session, refusal=_state_refusal(one))
    if now >= session.plan.starts_at:
        refusal = Refusal("session_over", f"« {session.plan.title} » a commencé.", facts_of(session))
        return Decision(session, refusal=refusal)
    if (too_large := _too_large(session, one.party_kind, seat_count, policy)) is not None:
        return Decision(session, refusal=too_large)
    if one.state == "registered" and seat_count - one.seat_count > session.free_count:
        detail = f"Il reste {session.free_count} places à « {session.plan.title} » en plus des vôtres."
        return Decision(session, refusal=Refusal("full", detail, facts_of(session, free_count=session.free_count)))
    if seat_count == one.seat_count:
        return Decision(session, registration=one)
    changed = replace(one, seat_count=seat_count, revision=one.revision + 1)
    session = _with(session, one, changed)
    message = RegistrationResized(
        occurred_at=now, registration_id=one.registration_id, seat_count=seat_count, **session.counts.fields()
    )
    return Decision(session, (message,), registration=changed)


# -- at the door


def check_in(session: Session, one: Registration, visitor_count: int | None, at: datetime, now: datetime) -> Decision:
    """Somebody of a party is there. The latest reading by the device's clock counts, whatever order a bad network brings.

    None are all of the party; zero corrects a mistake.
    """
    counted = min(one.seat_count if visitor_count is None else visitor_count, one.seat_count)
    if one.visitor_count_at is not None and at <= one.visitor_count_at:
        return Decision(session, registration=one)
    if counted == (one.visitor_count or 0):
        known = replace(one, visitor_count_at=at)
        return Decision(_with(session, one, known), registration=known)
    to: RegistrationState = "attended" if counted else "registered"
    refusal = _not_allowed("door", one, to)
    if refusal is not None:
        return Decision(session, refusal=refusal)
    changed = replace(
        one, state=to, visitor_count=counted or None, visitor_count_at=at, due_at=None, revision=one.revision + 1
    )
    session = _with(session, one, changed)
    message = VisitorsCheckedIn(
        occurred_at=now,
        registration_id=one.registration_id,
        visitor_count=counted,
        attended_count=session.counts.attended,
    )
    return Decision(session, (message,), registration=changed)


# -- what the rules share


def state_message(session: Session, one: Registration, now: datetime) -> Message:
    """A live registration, whole, in the message of its state."""
    facts: dict[str, Any] = {
        "occurred_at": now,
        "registration_id": one.registration_id,
        "party_id": one.party_id,
        "party_kind": one.party_kind,
        "school_uai": one.school_uai,
        "seat_count": one.seat_count,
        **session.counts.fields(),
    }
    match one.state:
        case "waiting":
            return RegistrationQueued.model_validate(facts)
        case "offered":
            return SeatsOffered.model_validate({**facts, "expires_at": one.due_at})
        case _:
            return RegistrationMade.model_validate(facts)


def _become(
    session: Session, one: Registration, state: RegistrationState, now: datetime, *, due_at: datetime | None = None
) -> Decision:
    changed = replace(one, state=state, due_at=due_at, revision=one.revision + 1)
    session = _with(session, session.known(one.registration_id), changed)
    return Decision(session, (state_message(session, changed, now),), registration=changed)


def _end(session: Session, one: Registration, reason: RegistrationEndReason, at: datetime) -> Decision:
    changed = replace(one, state="ended", end_reason=reason, ended_at=at, due_at=None, revision=one.revision + 1)
    session = _with(session, one, changed)
    message = RegistrationEnded(
        occurred_at=at, registration_id=one.registration_id, reason=reason, **session.counts.fields()
    )
    return Decision(session, (message,), registration=changed)


def _with(session: Session, before: Registration | None, after: Registration) -> Session:
    """The session with a registration in its new state, and the counts that follow."""
    known = {one.registration_id: one for one in session.registrations} | {after.registration_id: after}
    return replace(session, registrations=tuple(known.values()), counts=session.counts.changed(before, after))


def facts_of(session: Session, **more: Any) -> dict[str, Any]:
    """What a refusal says beside its reason: which session, and what the rule looked at."""
    return {"session_id": str(session.session_id), **more}


def _not_allowed(actor: Actor, one: Registration, to: RegistrationState) -> Refusal | None:
    return None if to in TRANSITIONS.get((actor, one.state), frozenset()) else _state_refusal(one)


def _state_refusal(one: Registration) -> Refusal:
    detail = f"Cette inscription est « {STATES_FR[one.state]} » : l’action n’est plus possible."
    return Refusal("registration_state", detail, {"state": one.state})
