"""The rules of a season: cafés planned, opened, called off; and the pass seven days before, which confirms, merges or cancels.

The pass looks at cafés by date, then id, one at a time (see docs/decisions/0016). It may run late or twice: it decides by what
it finds then, and a café that it has confirmed, dissolved or cancelled is not looked at again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from common.failures import Refusal
from common.messages import Message
from parents_cafes.domain import facts_of, receive
from parents_cafes.messages import (
    CafeCancellationReason,
    CafeCancelled,
    CafeConfirmed,
    CafeDescribed,
    CafeMerged,
    CafeStatus,
    MoveCause,
)
from parents_cafes.state import Cafe, CafeState, Decision, Plan, Policy, Registration, Venue, Word
from waiting_list.rules import LIVE, PARIS, Counts

# From where to where a café goes, and who brings it there.
TRANSITIONS: dict[tuple[Literal["coordinator", "pass", "time"], CafeState], frozenset[CafeState]] = {
    ("coordinator", "planned"): frozenset({"open", "cancelled"}),
    ("coordinator", "open"): frozenset({"cancelled"}),
    ("coordinator", "confirmed"): frozenset({"cancelled"}),
    ("pass", "open"): frozenset({"confirmed", "merged", "cancelled"}),
    ("time", "open"): frozenset({"held"}),
    ("time", "confirmed"): frozenset({"held"}),
}
STATES_FR: dict[CafeState, str] = {
    "planned": "en préparation",
    "open": "ouvert",
    "confirmed": "confirmé",
    "held": "passé",
    "merged": "réuni à un autre",
    "cancelled": "annulé",
}
_STATUS: dict[CafeState, CafeStatus] = {
    "planned": CafeStatus.PLANNED,
    "open": CafeStatus.OPEN,
    "confirmed": CafeStatus.CONFIRMED,
}


# -- the coordinator


def describe(cafe: Cafe, plan: Plan, policy: Policy, now: datetime) -> Decision:
    """A new café, or one that changes: its day gives its period; households keep their seats and are told of another day or place."""
    if not cafe.stands:
        return _refused(cafe, "cafe_over", f"Ce café est {STATES_FR[cafe.state]} : il ne change plus.")
    # Whoever is there came for this; only somebody who is ill is replaced at the last minute.
    if cafe.has_begun(now) and replace(plan, facilitator_id=cafe.plan.facilitator_id) != cafe.plan:
        return _refused(cafe, "cafe_over", "Ce café a commencé : seul peut changer qui l’anime.")
    moves = cafe.version == 0 or plan.starts_at != cafe.plan.starts_at
    period = policy.period_of(plan.starts_at.astimezone(PARIS).date()) if moves else cafe.period
    if period is None:
        return _refused(cafe, "outside_periods", f"Les cafés ont lieu {_periods(policy)}.")
    if moves and plan.starts_at < now + timedelta(days=policy.lead_days):
        detail = f"Un café se prévoit au moins {policy.lead_days} jours avant : sept jours avant, il est confirmé ou réuni à un autre."
        return _refused(cafe, "too_soon", detail)
    if period != cafe.period and cafe.state != "planned" and cafe.version:
        return _refused(
            cafe, "other_period", "Des familles sont inscrites pour cette période : prévoyez un autre café."
        )
    most = min(policy.capacity_max, plan.venue.capacity_count)
    # One that is where it was keeps the seats that it has, whatever holds for new ones by now.
    keeps = cafe.version > 0 and plan.venue == cafe.plan.venue and plan.capacity_count <= cafe.plan.capacity_count
    if plan.capacity_count > most and not keeps:
        return _refused(
            cafe,
            "too_many_seats",
            f"Au plus {most} places : {policy.capacity_max} par café, et ce que le lieu contient.",
        )
    if cafe.counts.taken > plan.capacity_count:
        return _refused(cafe, "seats_taken", f"{cafe.counts.taken} places sont prises : gardez-en au moins autant.")
    changed = replace(cafe, plan=plan, period=period)
    if cafe.version > 0 and changed == cafe:
        return Decision(cafe)
    if cafe.state == "open" and moves:
        changed = replace(changed, review_at=policy.review_at(plan.starts_at))
    changed = replace(changed, revision=cafe.revision + 1)
    return Decision(changed, (described(changed, policy, now),))


def word_of(before: Plan, after: Plan) -> Word | None:
    """What households of a café that is planned otherwise are told, what matters most first; None when nothing of theirs changes."""
    if before.venue.accessible and not after.venue.accessible:
        return "inaccessible"
    if (before.starts_at, before.ends_at, _place(before)) != (after.starts_at, after.ends_at, _place(after)):
        return "changed"
    return "theme" if before.theme != after.theme else None


def _place(plan: Plan) -> Venue:
    """Where one goes, whoever it has room for."""
    return replace(plan.venue, capacity_count=0, accessible=True)


def open_(cafe: Cafe, policy: Policy, now: datetime, *, awaited: bool) -> Decision:
    """Registrations begin: at once, or, where households wait that found no place before, for them first."""
    if cafe.state in ("open", "confirmed"):
        return Decision(cafe)
    if "open" not in TRANSITIONS.get(("coordinator", cafe.state), frozenset()):
        return _refused(cafe, "cafe_over", f"Ce café est {STATES_FR[cafe.state]}.")
    review_at = policy.review_at(cafe.plan.starts_at)
    if review_at <= now:
        return _refused(cafe, "too_soon", "Ce café est dans moins de sept jours : changez sa date.")
    opens_at = now + timedelta(hours=policy.early_hours) if awaited else now
    opened = replace(cafe, state="open", opens_at=min(opens_at, review_at), review_at=review_at)
    return Decision(opened, (described(opened, policy, now),))


def call_off(cafe: Cafe, reason: CafeCancellationReason, now: datetime) -> Decision:
    """The café does not take place; every household in it comes first in the next period."""
    if cafe.state == "cancelled":
        return Decision(cafe)
    if not cafe.takes_registrations and cafe.state != "planned":
        return _refused(cafe, "cafe_over", f"Ce café est {STATES_FR[cafe.state]}.")
    # Once it has begun, it is called off as long as nobody was there: the facilitator fell ill, the door was closed.
    if cafe.state != "planned" and (now >= cafe.plan.ends_at or (now >= cafe.plan.starts_at and cafe.counts.attended)):
        return _refused(cafe, "cafe_over", "Ce café a eu lieu.")
    cancelled = replace(
        cafe, state="cancelled", counts=Counts(), registrations=(), review_at=None, revision=cafe.revision + 1
    )
    return Decision(cancelled, (CafeCancelled(occurred_at=now, reason=reason),))


def described(cafe: Cafe, policy: Policy, now: datetime) -> CafeDescribed:
    """The whole public description of a café."""
    plan = cafe.plan
    return CafeDescribed(
        occurred_at=now,
        school_year=cafe.period.school_year,
        period=cafe.period.name,
        theme=plan.theme,
        venue_id=plan.venue.venue_id,
        venue_title=plan.venue.title,
        venue_kind=plan.venue.kind,
        commune_code=plan.venue.commune_code,
        starts_at=plan.starts_at,
        ends_at=plan.ends_at,
        capacity_count=plan.capacity_count,
        target_count=min(policy.target_count, plan.capacity_count),
        minimum_count=min(policy.minimum_count, plan.capacity_count),
        status=_STATUS.get(cafe.state, CafeStatus.CONFIRMED),
        opens_at=cafe.opens_at,
        fictitious=plan.fictitious,
        **cafe.counts.fields(),
    )


# -- the pass


@dataclass(frozen=True)
class Candidate:
    """A café that might receive another's households."""

    cafe_id: UUID
    km: float
    starts_at: datetime
    free_count: int


@dataclass(frozen=True)
class Verdict:
    """What the pass makes of a café: `into_id` is the café that receives its households."""

    kind: Literal["confirm", "merge", "cancel", "later"]
    into_id: UUID | None = None
    km: float = 0.0


def review(cafe: Cafe, candidates: Sequence[Candidate], policy: Policy, now: datetime) -> Verdict:
    """Enough seats taken: it takes place. Else the nearest café with room for all, far enough ahead, receives them; else it is cancelled.

    A café that received households is not dissolved by the same day's pass; nothing is dissolved that has begun.
    """
    if cafe.counts.taken >= min(policy.minimum_count, cafe.plan.capacity_count) or now >= cafe.plan.starts_at:
        return Verdict("confirm")
    if cafe.received_on == now.astimezone(PARIS).date():
        return Verdict("later")
    ahead = now + timedelta(hours=policy.merge_ahead_hours)
    fit = [
        one
        for one in candidates
        if one.starts_at >= ahead and one.km <= policy.merge_km_max and one.free_count >= cafe.counts.taken
    ]
    # Nobody is to be moved: an empty café needs no other.
    if not fit or cafe.counts.taken == 0:
        return Verdict("cancel")
    nearest = min(fit, key=lambda one: (one.km, one.starts_at, one.cafe_id))
    return Verdict("merge", nearest.cafe_id, nearest.km)


def forecast(
    cafes: Sequence[Cafe], km_between: Callable[[str, str], float], policy: Policy, now: datetime
) -> dict[UUID, Verdict]:
    """What the passes would make of each open café if nobody came or went: by the same rule, in the same order, one after the other."""
    left = {one.cafe_id: one for one in cafes if one.takes_registrations}
    found: dict[UUID, Verdict] = {}
    at = now
    while due := [one for one in left.values() if one.review_at is not None]:
        one = min(due, key=lambda one: (one.review_at, one.plan.starts_at, one.cafe_id))
        assert one.review_at is not None
        at = max(at, one.review_at)
        home = one.plan.venue.commune_code
        others = [
            Candidate(
                other.cafe_id, km_between(home, other.plan.venue.commune_code), other.plan.starts_at, other.free_count
            )
            for other in left.values()
            if other.cafe_id != one.cafe_id and other.period == one.period
        ]
        verdict = review(one, others, policy, at)
        if verdict.kind == "later":
            left[one.cafe_id] = postpone(one, at).cafe
            continue
        found[one.cafe_id] = verdict
        left[one.cafe_id] = replace(one, review_at=None)
        if verdict.kind in ("merge", "cancel"):
            del left[one.cafe_id]
        if verdict.into_id is not None:
            target = left[verdict.into_id]
            counts = replace(target.counts, registered=target.counts.registered + one.counts.taken)
            left[verdict.into_id] = replace(target, counts=counts, received_on=at.astimezone(PARIS).date())
    return found


def confirm(cafe: Cafe) -> Decision:
    """It takes place; told as of the instant at which the pass was due."""
    assert cafe.review_at is not None
    confirmed = replace(cafe, state="confirmed", review_at=None)
    return Decision(confirmed, (CafeConfirmed(occurred_at=cafe.review_at),))


def postpone(cafe: Cafe, now: datetime) -> Decision:
    """The next day's pass looks at it."""
    assert cafe.review_at is not None
    return Decision(replace(cafe, review_at=max(cafe.review_at, now) + timedelta(days=1)))


def merge(
    source: Cafe, households: Sequence[Registration], target: Cafe, policy: Policy, now: datetime
) -> tuple[Decision, Decision]:
    """All households of one café move to another, in the order in which they came, with what they have: seats, offers, places in line.

    Their seats are held; until `moved_until` they change or cancel freely, and saying nothing keeps the seats.
    """
    moved = sum(one.seat_count for one in households if one.state in ("registered", "offered"))
    gone = replace(
        source,
        state="merged",
        merged_into_id=target.cafe_id,
        counts=Counts(),
        registrations=(),
        review_at=None,
        revision=source.revision + 1,
    )
    closes_at = policy.terms.cut_off(target.plan.starts_at)
    until = min(now + timedelta(hours=policy.move_answer_hours), target.plan.starts_at)
    received = Decision(replace(target, received_on=now.astimezone(PARIS).date()))
    for one in sorted(households, key=lambda one: (one.joined_at, one.registration_id)):
        assert one.state in LIVE
        due_at = {"waiting": closes_at, "offered": min(one.due_at or closes_at, closes_at)}.get(one.state)
        seated = until if one.state == "registered" else None
        received = receive(received.cafe, replace(one, due_at=due_at), source, MoveCause.MERGED, seated, now).after(
            received
        )
    told: Message = CafeMerged(occurred_at=now, into_cafe_id=target.cafe_id, moved_seat_count=moved)
    return Decision(gone, (told,)), received


def _refused(cafe: Cafe, reason: str, detail: str) -> Decision:
    return Decision(cafe, refusal=Refusal(reason, detail, facts_of(cafe)))


def _periods(policy: Policy) -> str:
    """The periods in words: "du 20/09 au 05/11, …"."""
    spans = [f"du {first[3:]}/{first[:2]} au {last[3:]}/{last[:2]}" for first, last in policy.periods.values()]
    return ", ".join(spans)
