"""The rules of households' registrations: state in, new state and messages out. No clock, no database, no HTTP.

Source: fiche 3-4 of the Region's strategy, and the product's policy (see docs/glossary.md). Who is served when seats come
back is the kernel's (`waiting_list`); the season's rules, the pass seven days before among them, are in `season`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import uuid4

from common.failures import Refusal
from common.messages import Message
from parents_cafes.messages import (
    CafeHeld,
    CafeSeatsOffered,
    HouseholdLeft,
    HouseholdMoved,
    HouseholdQueued,
    HouseholdRegistered,
    HouseholdResized,
    LeaveReason,
    MoveCause,
    ParentsCheckedIn,
)
from parents_cafes.state import Ask, Cafe, Conduct, Decision, EndReason, Outcome, Policy, Registration
from waiting_list.rules import SEATED, STATES_FR, RegistrationState

Actor = Literal["household", "coordinator", "facilitator", "time", "freed"]

# Who may bring a registration from where to where. "freed" are seats that came back; a facilitator says who is there.
TRANSITIONS: dict[tuple[Actor, RegistrationState], frozenset[RegistrationState]] = {
    ("household", "waiting"): frozenset({"ended"}),
    ("household", "offered"): frozenset({"registered", "ended"}),
    ("household", "registered"): frozenset({"registered", "ended"}),
    ("coordinator", "waiting"): frozenset({"ended"}),
    ("coordinator", "offered"): frozenset({"ended"}),
    ("coordinator", "registered"): frozenset({"ended"}),
    ("facilitator", "registered"): frozenset({"attended"}),
    ("facilitator", "attended"): frozenset({"attended", "registered"}),
    ("facilitator", "absent"): frozenset({"attended"}),
    ("time", "waiting"): frozenset({"ended"}),
    ("time", "offered"): frozenset({"ended"}),
    ("time", "registered"): frozenset({"absent", "ended"}),
    ("freed", "waiting"): frozenset({"offered"}),
}

# What a household is owed that found no place, through no choice of its own: how far ahead of the others it comes.
_CREDITS: dict[EndReason, int] = {"CAFE_CANCELLED": 2, "MOVE_DECLINED": 2, "NOT_SERVED": 1}


# -- priority


def credit_of(recent: Sequence[Outcome]) -> int:
    """What a household is owed from this period and the one before: its newest outcome counts that was not its own choice."""
    for one in recent:
        if one.state in SEATED:
            return 0
        if one.end_reason in _CREDITS:
            return _CREDITS[one.end_reason]
    return 0


def priority_of(conduct: Conduct) -> int:
    """2 when its café was cancelled or it declined a merge, 1 when no seat came back; one less after leaving late. Nobody is excluded."""
    return credit_of(conduct.recent) - (1 if conduct.late_count else 0)


# -- what time makes due


def settle(cafe: Cafe, now: datetime) -> Decision:
    """Ends offers that nobody took and places in line that nobody served; `occurred_at` is the instant that made it due."""
    decision = Decision(cafe)
    due = [one for one in cafe.registrations if one.due_at is not None and one.due_at <= now]
    for one in sorted(due, key=lambda one: (one.due_at, one.registration_id)):
        assert one.due_at is not None
        reason: EndReason = "OFFER_EXPIRED" if one.state == "offered" else "NOT_SERVED"
        decision = _end(decision.cafe, one, reason, one.due_at).after(decision)
    return decision


def over_at(cafe: Cafe, policy: Policy) -> datetime | None:
    """When its attendance is counted; None when it does not take place, or is."""
    return cafe.plan.ends_at + timedelta(hours=policy.held_after_hours) if cafe.takes_registrations else None


def hold(cafe: Cafe, policy: Policy) -> Decision:
    """The café is over. Where nobody was checked in, attendance is unknown and nobody is absent."""
    at = over_at(cafe, policy)
    assert at is not None
    attended = cafe.counts.attended
    return Decision(
        replace(cafe, state="held", review_at=None), (CafeHeld(occurred_at=at, attended_count=attended or None),)
    )


# -- seats that came back


def seats_to_give(cafe: Cafe, policy: Policy, now: datetime) -> int:
    """Seats that the line may have now: none after the cut-off, none once it does not take place."""
    closed = not cafe.takes_registrations or cafe.counts.waiting == 0
    return 0 if closed or now >= policy.terms.cut_off(cafe.plan.starts_at) else cafe.free_count


def offer(cafe: Cafe, one: Registration, until: datetime, now: datetime) -> Decision:
    """Holds seats that came back for a household in line, until it has answered."""
    return become(cafe, one, "offered", now, due_at=until)


# -- registering


def register(cafe: Cafe, ask: Ask, conduct: Conduct, policy: Policy, now: datetime) -> Decision:
    """A household asks for seats: registered when they are free, in line if it wishes, or refused with why."""
    priority = priority_of(conduct)
    refusal = why_closed(cafe, priority, now) or _why_not_ask(cafe, ask, conduct, policy)
    if refusal is not None:
        return Decision(cafe, refusal=refusal)
    one = Registration(uuid4(), ask.household_id, ask.seat_count, "waiting", now, priority)
    if ask.seat_count <= cafe.free_count:
        return become(cafe, one, "registered", now)
    closes_at = policy.terms.cut_off(cafe.plan.starts_at)
    if ask.wait and now < closes_at:
        return become(cafe, one, "waiting", now, due_at=closes_at)
    return Decision(cafe, refusal=_full(cafe, can_wait=now < closes_at))


def _full(cafe: Cafe, *, can_wait: bool) -> Refusal:
    left = cafe.free_count
    detail = "Ce café est complet." if left == 0 else "Il ne reste qu’une place, et vous êtes deux."
    if can_wait:
        detail += " Mettez-vous en liste d’attente : si des places reviennent, elles vous sont gardées ; sinon, vous passez avant la prochaine fois."
    return Refusal("full", detail, facts_of(cafe, free_count=left, can_wait=can_wait))


def why_closed(cafe: Cafe, priority: int, now: datetime) -> Refusal | None:
    """Why a café takes no registration now, or None; before everybody's opening, those with priority may come."""
    facts = facts_of(cafe)
    if cafe.state in ("cancelled", "merged"):
        return Refusal("cafe_cancelled", "Ce café n’a pas lieu.", facts)
    if cafe.state == "held" or now >= cafe.plan.starts_at:
        return Refusal("cafe_over", "Ce café est passé ou a commencé.", facts)
    if cafe.state == "planned":
        return Refusal("not_open_yet", "Les inscriptions à ce café ne sont pas encore ouvertes.", facts)
    if cafe.opens_at is not None and now < cafe.opens_at and priority <= 0:
        detail = "Les familles qui n’avaient pas trouvé de place la dernière fois s’inscrivent d’abord ; revenez un peu plus tard."
        return Refusal("not_open_yet", detail, facts_of(cafe, opens_at=cafe.opens_at))
    return None


def _why_not_ask(cafe: Cafe, ask: Ask, conduct: Conduct, policy: Policy) -> Refusal | None:
    if conduct.is_in_period:
        detail = "Vous avez déjà un café dans cette période : le lien reçu par mail permet d’en changer."
        return Refusal("already_registered", detail, facts_of(cafe))
    return too_many(ask.seat_count, policy)


def too_many(seat_count: int, policy: Policy) -> Refusal | None:
    """Why so many parents of one household are too many, or None."""
    if seat_count > policy.household_seats_max:
        most = policy.household_seats_max
        return Refusal(
            "household_too_large", f"Au plus {most} parents par famille, pour que chacun parle.", {"max": most}
        )
    return None


def accept(cafe: Cafe, one: Registration, now: datetime) -> Decision:
    """A household takes the seats that it was offered."""
    if one.state != "offered":
        return Decision(cafe, refusal=state_refusal(one))
    return become(cafe, one, "registered", now)


def keep(cafe: Cafe, one: Registration, now: datetime) -> Decision:
    """A household that a merge moved, or whose café changed, says that it comes. Saying nothing keeps the seats too."""
    if one.state != "registered" or (one.moved_from_id is None and one.moved_until is None):
        return Decision(cafe, refusal=state_refusal(one))
    if one.moved_until is None:
        return Decision(cafe, registration=one)
    kept = replace(one, moved_until=None, revision=one.revision + 1)
    return Decision(cafe.with_(one, kept), registration=kept)


def is_late(cafe: Cafe, one: Registration, policy: Policy, now: datetime) -> bool:
    """Whether leaving now is late: the seats are held and nobody else can use them well any longer."""
    near = now >= cafe.plan.starts_at - timedelta(hours=policy.late_hours)
    return one.state == "registered" and near and not one.may_choose(now)


def cancel(
    cafe: Cafe,
    one: Registration,
    by: Literal["household", "coordinator"],
    policy: Policy,
    now: datetime,
    *,
    warned: bool = False,
) -> Decision:
    """A household or the coordinator gives a registration, an offer or a place in line up, before the café begins.

    A household that leaves late is warned first, and comes after the others next time.
    """
    if (refusal := _why_not_leave(cafe, one, by, now)) is not None:
        return Decision(cafe, refusal=refusal)
    late = by == "household" and is_late(cafe, one, policy, now)
    if late and not warned:
        return Decision(cafe, refusal=_warning(cafe, policy))
    reason: EndReason = "CANCELLED_LATE" if late else "CANCELLED_BY_HOUSEHOLD"
    if by == "coordinator":
        reason = "CANCELLED_BY_COORDINATOR"
    elif one.state == "offered":
        reason = "OFFER_DECLINED"
    elif one.may_choose(now):
        reason = "MOVE_DECLINED"
    return _end(cafe, one, reason, now)


def outgrow(cafe: Cafe, one: Registration, now: datetime) -> Decision:
    """A café has fewer seats than a party in line asks for: it is not served, and comes before others next time as was promised."""
    return _end(cafe, one, "NOT_SERVED", now)


def _why_not_leave(cafe: Cafe, one: Registration, by: Actor, now: datetime) -> Refusal | None:
    if "ended" not in TRANSITIONS.get((by, one.state), frozenset()):
        return state_refusal(one)
    if now >= cafe.plan.starts_at:
        return Refusal("cafe_over", "Ce café a commencé.", facts_of(cafe))
    return None


def _warning(cafe: Cafe, policy: Policy) -> Refusal:
    detail = (
        f"Le café est dans moins de {policy.late_hours} heures : si vous partez maintenant, vous passerez après les autres "
        "la prochaine fois. Vous pourrez toujours vous inscrire."
    )
    return Refusal("late_warning", detail, facts_of(cafe))


def resize(cafe: Cafe, one: Registration, seat_count: int, policy: Policy, now: datetime) -> Decision:
    """One parent more, if a seat is free, or one fewer, whose seat goes to those in line."""
    if one.state not in ("waiting", "registered"):
        return Decision(cafe, refusal=state_refusal(one))
    if now >= cafe.plan.starts_at:
        return Decision(cafe, refusal=Refusal("cafe_over", "Ce café a commencé.", facts_of(cafe)))
    if (refusal := too_many(seat_count, policy)) is not None:
        return Decision(cafe, refusal=refusal)
    if one.state == "registered" and seat_count - one.seat_count > cafe.free_count:
        return Decision(cafe, refusal=Refusal("full", "Il ne reste pas d’autre place à ce café.", facts_of(cafe)))
    if seat_count == one.seat_count:
        return Decision(cafe, registration=one)
    changed = replace(one, seat_count=seat_count, revision=one.revision + 1)
    cafe = cafe.with_(one, changed)
    message = HouseholdResized(
        occurred_at=now, registration_id=one.registration_id, seat_count=seat_count, **cafe.counts.fields()
    )
    return Decision(cafe, (message,), registration=changed)


def change(
    source: Cafe, one: Registration, target: Cafe, policy: Policy, now: datetime, *, warned: bool = False
) -> tuple[Decision, Decision]:
    """A household goes to another café of the same period that has its seats free: out of the one and into the other, or neither.

    Leaving late is leaving late, wherever one goes.
    """
    refusal = _why_not_leave(source, one, "household", now)
    if refusal is None and (target.period != source.period or target.cafe_id == source.cafe_id):
        refusal = Refusal("other_period", "Choisissez un autre café de la même période.", facts_of(target))
    if refusal is None:
        refusal = why_closed(target, one.priority, now)
    if refusal is None and one.seat_count > target.free_count:
        refusal = Refusal("full", "Ce café n’a plus assez de places : choisissez-en un autre.", facts_of(target))
    if refusal is None and is_late(source, one, policy, now) and not warned:
        refusal = _warning(source, policy)
    if refusal is not None:
        return Decision(source, refusal=refusal), Decision(target)
    if is_late(source, one, policy, now):
        # It leaves late, and is registered anew: what it did stays to be read.
        again = Registration(uuid4(), one.holder_id, one.seat_count, "waiting", now, one.priority)
        return _end(source, one, "CANCELLED_LATE", now), become(target, again, "registered", now)
    left = source.with_(one, None)
    message = HouseholdLeft(
        occurred_at=now, registration_id=one.registration_id, reason=LeaveReason.CHANGED, **left.counts.fields()
    )
    return Decision(left, (message,)), receive(target, one, source, MoveCause.CHANGED, None, now)


def receive(
    cafe: Cafe, one: Registration, source: Cafe, cause: MoveCause, until: datetime | None, now: datetime
) -> Decision:
    """A household comes from another café with what it had there: seats, an offer, or its place in line."""
    # Its calendar adds the café's changes to its own: those of the café that it leaves stay counted, or the sum would go down.
    revision = one.revision + source.revision + 1
    moved = replace(one, moved_from_id=source.cafe_id, moved_until=until, revision=revision)
    if cause == MoveCause.CHANGED:
        moved = replace(moved, state="registered", due_at=None)
    cafe = cafe.with_(None, moved)
    message = state_message(cafe, moved, now)
    if moved.state == "registered":
        message = HouseholdMoved(
            **_facts(cafe, moved, now), from_cafe_id=source.cafe_id, cause=cause, answer_until=until
        )
    return Decision(cafe, (message,), registration=moved)


# -- the day itself


def check_in_window(cafe: Cafe, policy: Policy) -> tuple[datetime, datetime]:
    """From when until when who came may be noted."""
    return cafe.plan.starts_at - timedelta(hours=12), cafe.plan.ends_at + timedelta(days=policy.check_in_days)


def check_in(cafe: Cafe, one: Registration, visitor_count: int, policy: Policy, now: datetime) -> Decision:
    """The facilitator says how many of a household came; zero corrects a mistake."""
    from_at, until_at = check_in_window(cafe, policy)
    if now < from_at:
        return Decision(cafe, refusal=Refusal("not_begun", "Le pointage ouvre douze heures avant le café."))
    if now > until_at:
        return Decision(
            cafe, refusal=Refusal("too_late", f"Le pointage se fait dans les {policy.check_in_days} jours.")
        )
    counted = min(visitor_count, one.seat_count)
    if counted == (one.visitor_count or 0) and one.state in ("attended", "registered"):
        return Decision(cafe, registration=one)
    to: RegistrationState = "attended" if counted else "registered"
    if to not in TRANSITIONS.get(("facilitator", one.state), frozenset()):
        return Decision(cafe, refusal=state_refusal(one))
    changed = replace(one, state=to, visitor_count=counted or None, revision=one.revision + 1)
    cafe = cafe.with_(one, changed)
    message = ParentsCheckedIn(
        occurred_at=now,
        registration_id=one.registration_id,
        visitor_count=counted,
        attended_count=cafe.counts.attended,
    )
    return Decision(cafe, (message,), registration=changed)


# -- what the rules share


def state_message(cafe: Cafe, one: Registration, now: datetime) -> Message:
    """A live registration, whole, in the message of its state."""
    facts = _facts(cafe, one, now)
    match one.state:
        case "waiting":
            return HouseholdQueued(**facts, priority=one.priority)
        case "offered":
            assert one.due_at is not None
            return CafeSeatsOffered(**facts, expires_at=one.due_at)
        case _:
            return HouseholdRegistered(**facts)


def _facts(cafe: Cafe, one: Registration, now: datetime) -> dict[str, Any]:
    return {
        "occurred_at": now,
        "registration_id": one.registration_id,
        "household_id": one.holder_id,
        "seat_count": one.seat_count,
        **cafe.counts.fields(),
    }


def become(
    cafe: Cafe, one: Registration, state: RegistrationState, now: datetime, *, due_at: datetime | None = None
) -> Decision:
    """A registration in a new live state, told."""
    changed = replace(one, state=state, due_at=due_at, revision=one.revision + 1)
    cafe = cafe.with_(cafe.known(one.registration_id), changed)
    return Decision(cafe, (state_message(cafe, changed, now),), registration=changed)


def _end(cafe: Cafe, one: Registration, reason: EndReason, at: datetime) -> Decision:
    changed = replace(one, state="ended", end_reason=reason, ended_at=at, due_at=None, revision=one.revision + 1)
    cafe = cafe.with_(one, changed)
    message = HouseholdLeft(
        occurred_at=at, registration_id=one.registration_id, reason=LeaveReason(reason), **cafe.counts.fields()
    )
    return Decision(cafe, (message,), registration=changed)


def facts_of(cafe: Cafe, **more: Any) -> dict[str, Any]:
    """What a refusal says beside its reason: which café, and what the rule looked at."""
    return {"cafe_id": str(cafe.cafe_id), **more}


def state_refusal(one: Registration) -> Refusal:
    """The registration is not where the act would be possible."""
    detail = f"Cette inscription est « {STATES_FR[one.state]} » : l’action n’est plus possible."
    return Refusal("registration_state", detail, {"state": one.state})
