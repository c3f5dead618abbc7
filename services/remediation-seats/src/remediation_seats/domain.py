"""The rules of free seats and holds: state in, new state and messages out. No clock, no database, no HTTP.

Source: fiche 5-4 of the Region's strategy, and the product's policy (see docs/glossary.md).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Literal
from uuid import UUID, uuid4

from common.failures import Refusal
from common.messages import Message
from remediation_seats.messages import (
    DeclineReason,
    EducationLevel,
    HoldConfirmed,
    HoldEnded,
    HoldEndReason,
    HoldExtended,
    ProgrammeDescribed,
    SeatHeld,
    SeatsDeclared,
    YoungPersonAdmitted,
)
from remediation_seats.state import Conditions, Decision, Declaration, Hold, HoldState, Policy, Profile, Programme
from territory.working_time import add_working_days, end_of_day

Actor = Literal["prescriber", "structure", "time", "release"]

# Who may bring a hold from where to where. "release" is the confirmation of another hold of the same young person.
TRANSITIONS: dict[tuple[Actor, HoldState], frozenset[HoldState]] = {
    ("prescriber", "held"): frozenset({"held", "withdrawn"}),  # held to held is the extension
    ("prescriber", "confirmed"): frozenset({"withdrawn"}),
    ("structure", "held"): frozenset({"confirmed", "declined"}),
    ("structure", "confirmed"): frozenset({"admitted", "declined"}),
    ("time", "held"): frozenset({"expired"}),
    ("time", "confirmed"): frozenset({"no_show"}),
    ("release", "held"): frozenset({"released"}),
    ("release", "confirmed"): frozenset({"released"}),
}

LEVELS = (EducationLevel.NO_DIPLOMA, EducationLevel.BREVET, EducationLevel.CAP, EducationLevel.BACCALAUREAT)

_END_REASONS: dict[HoldState, HoldEndReason] = {
    "declined": HoldEndReason.DECLINED,
    "expired": HoldEndReason.EXPIRED,
    "withdrawn": HoldEndReason.WITHDRAWN,
    "released": HoldEndReason.RELEASED,
    "no_show": HoldEndReason.NO_SHOW,
}


def settle(programme: Programme, now: datetime) -> Decision:
    """Everything that time made due, each at its own instant, earliest first."""
    due = sorted(
        (hold for hold in programme.live if hold.due_at is not None and hold.due_at <= now),
        key=lambda h: (h.due_at, h.hold_id),
    )
    messages: list[Message] = []
    for hold in due:
        assert hold.due_at is not None
        programme, message = _end(programme, hold, "expired" if hold.state == "held" else "no_show", hold.due_at)
        messages.append(message)
    return Decision(programme, tuple(messages))


def describe(programme: Programme, conditions: Conditions, now: datetime) -> Decision:
    """A structure opens, changes or closes its programme; repeating a description says nothing new."""
    if programme.version > 0 and programme.conditions == conditions:
        return Decision(programme)
    programme = replace(programme, conditions=conditions)
    return Decision(programme, (described(programme, now),))


def described(programme: Programme, now: datetime) -> ProgrammeDescribed:
    """The whole description of a programme, with its seats."""
    conditions = programme.conditions
    return ProgrammeDescribed(
        occurred_at=now,
        structure_id=programme.structure_id,
        title=conditions.title,
        rome_codes=list(conditions.rome_codes),
        rncp_code=conditions.rncp_code,
        age_min=conditions.age_min,
        age_max=conditions.age_max,
        level_min=conditions.level_min,
        boarding=conditions.boarding,
        wheelchair_accessible=conditions.wheelchair_accessible,
        intake_on=conditions.intake_on,
        open=conditions.open,
        seats=programme.counts,
    )


def declare(programme: Programme, declaration: Declaration, policy: Policy, now: datetime) -> Decision:
    """A structure declares its seats. The newest `observed_at` wins whatever the way in; a late one changes nothing and says so."""
    if declaration.observed_at > now + timedelta(minutes=policy.observed_ahead_minutes_max):
        return Decision(
            programme,
            refusal=Refusal(
                "observed_in_the_future",
                "La date d'observation est dans le futur : vérifiez l'horloge de votre logiciel.",
                {"now": now},
            ),
        )
    current = programme.declaration
    if current is not None and not _newer(declaration, current):
        return Decision(programme, notes={"status": "superseded", "current_observed_at": current.observed_at})
    # Admissions that the structure could not see yet stay counted beside what it declared.
    unseen = sum(
        1 for hold in programme.holds if hold.admitted_at is not None and hold.admitted_at > declaration.observed_at
    )
    excess = max(0, declaration.taken_count + unseen + len(programme.live) - declaration.total_count)
    programme = replace(programme, declaration=declaration, admitted_count=unseen, excess_count=excess)
    message = SeatsDeclared(
        occurred_at=now,
        way=declaration.way,
        sequence=declaration.sequence,
        seats=programme.counts,
        source=declaration.source,
    )
    without_seat = [hold.hold_id for hold in programme.live][len(programme.live) - min(excess, len(programme.live)) :]
    return Decision(
        programme,
        (message,),
        notes={"status": "accepted", **({"holds_without_seat": without_seat} if without_seat else {})},
    )


def _newer(declaration: Declaration, current: Declaration) -> bool:
    if declaration.observed_at != current.observed_at:
        return declaration.observed_at > current.observed_at
    same_way = declaration.way == current.way
    return (
        same_way
        and declaration.sequence is not None
        and current.sequence is not None
        and declaration.sequence > current.sequence
    )


def freshness(
    observed_at: datetime | None, policy: Policy, now: datetime
) -> Literal["unknown", "fresh", "ageing", "stale"]:
    """How far a declaration can be trusted: ageing after 7 days, stale (not counted as free) after 30."""
    if observed_at is None:
        return "unknown"
    age = now - observed_at
    if age > timedelta(days=policy.stale_days):
        return "stale"
    return "ageing" if age > timedelta(days=policy.ageing_days) else "fresh"


def misfits(conditions: Conditions, profile: Profile) -> list[Refusal]:
    """Why a programme does not fit a young person: one reason per condition, empty when it fits."""
    reasons = []
    if not conditions.open:
        reasons.append(Refusal("programme_closed", "Le parcours est fermé."))
    if profile.age is not None and not conditions.age_min <= profile.age <= conditions.age_max:
        reasons.append(
            Refusal(
                "age",
                f"Le parcours accueille de {conditions.age_min} à {conditions.age_max} ans.",
                {"age_min": conditions.age_min, "age_max": conditions.age_max},
            )
        )
    if profile.level is not None and LEVELS.index(profile.level) < LEVELS.index(conditions.level_min):
        reasons.append(
            Refusal("level", "Le parcours demande un niveau plus élevé.", {"level_min": conditions.level_min})
        )
    if profile.needs_boarding and not conditions.boarding:
        reasons.append(Refusal("boarding", "Le parcours n'a pas d'internat."))
    if profile.needs_wheelchair_access and not conditions.wheelchair_accessible:
        reasons.append(Refusal("wheelchair_access", "Le parcours n'est pas accessible en fauteuil."))
    if profile.intake_by is not None and conditions.intake_on is not None and conditions.intake_on > profile.intake_by:
        reasons.append(Refusal("intake", "La prochaine entrée est plus tard.", {"intake_on": conditions.intake_on}))
    return reasons


def hold_seat(
    programme: Programme,
    *,
    young_person_id: UUID,
    prescriber_id: str,
    profile: Profile,
    live_of_young_person: int,
    live_of_prescriber: int,
    policy: Policy,
    now: datetime,
) -> Decision:
    """A prescriber holds a seat. The caller has locked the young person and the prescriber, so the two counts cannot grow meanwhile."""
    refusal = _why_not_hold(programme, young_person_id, profile, live_of_young_person, live_of_prescriber, policy, now)
    if refusal is not None:
        return Decision(programme, refusal=refusal)
    hold = Hold(
        uuid4(),
        programme.programme_id,
        young_person_id,
        prescriber_id,
        "held",
        now,
        add_working_days(now, policy.hold_working_days),
    )
    programme = replace(programme, holds=(*programme.holds, hold))
    message = SeatHeld(
        occurred_at=now,
        hold_id=hold.hold_id,
        young_person_id=young_person_id,
        expires_at=hold.expires_at,
        seats=programme.counts,
    )
    return Decision(programme, (message,), notes={"hold_id": hold.hold_id})


def _why_not_hold(
    programme: Programme,
    young_person_id: UUID,
    profile: Profile,
    live_of_young_person: int,
    live_of_prescriber: int,
    policy: Policy,
    now: datetime,
) -> Refusal | None:
    mismatch = misfits(programme.conditions, profile)
    if mismatch:
        return Refusal(
            f"does_not_fit_{mismatch[0].reason}",
            " ".join(reason.detail for reason in mismatch),
            {"misfits": [r.reason for r in mismatch]},
        )
    state = freshness(programme.declaration.observed_at if programme.declaration else None, policy, now)
    if state in ("unknown", "stale"):
        return Refusal(
            f"declaration_{state}", "La structure n'a pas déclaré ses places récemment : demandez-lui une mise à jour."
        )
    if any(hold.young_person_id == young_person_id for hold in programme.live):
        return Refusal("already_held", "Une place est déjà retenue ici pour ce jeune.")
    if live_of_young_person >= policy.holds_per_young_person_max:
        return Refusal(
            "young_person_limit",
            f"Ce jeune a déjà {live_of_young_person} places retenues : retirez-en une.",
            {"live_count": live_of_young_person, "max": policy.holds_per_young_person_max},
        )
    if live_of_prescriber >= policy.holds_per_prescriber_max:
        return Refusal(
            "prescriber_limit",
            f"Vous avez déjà {live_of_prescriber} retenues en cours : retirez-en une.",
            {"live_count": live_of_prescriber, "max": policy.holds_per_prescriber_max},
        )
    if programme.counts.free_count < 1:
        return Refusal(
            "no_free_seat", "Il n'y a plus de place libre : créez une alerte ou cherchez à côté.", {"free_count": 0}
        )
    return None


def extend(programme: Programme, hold: Hold, policy: Policy, now: datetime) -> Decision:
    """A prescriber asks for more time, once."""
    refusal = _not_allowed("prescriber", hold, "held")
    if refusal is None and hold.extension_count >= policy.extensions_max:
        refusal = Refusal("already_extended", "Cette retenue a déjà été prolongée une fois.")
    if refusal is not None:
        return Decision(programme, refusal=refusal)
    longer = replace(
        hold,
        expires_at=add_working_days(hold.expires_at, policy.hold_working_days),
        extension_count=hold.extension_count + 1,
    )
    programme = _with(programme, longer)
    return Decision(
        programme,
        (HoldExtended(occurred_at=now, hold_id=hold.hold_id, expires_at=longer.expires_at, seats=programme.counts),),
    )


def confirm(programme: Programme, hold: Hold, arrival_on: date, policy: Policy, now: datetime) -> Decision:
    """The structure says yes and agrees on a day of arrival; the young person's other holds are released by the handler."""
    refusal = _not_allowed("structure", hold, "confirmed")
    days = (arrival_on - now.date()).days
    if refusal is None and not 0 <= days <= policy.arrival_days_max:
        refusal = Refusal(
            "arrival_out_of_range",
            f"Le jour d'arrivée doit être dans les {policy.arrival_days_max} jours qui viennent.",
        )
    if refusal is not None:
        return Decision(programme, refusal=refusal)
    no_show_at = add_working_days(end_of_day(arrival_on), policy.no_show_working_days)
    programme = _with(programme, replace(hold, state="confirmed", arrival_on=arrival_on, no_show_at=no_show_at))
    return Decision(
        programme,
        (
            HoldConfirmed(
                occurred_at=now,
                hold_id=hold.hold_id,
                young_person_id=hold.young_person_id,
                arrival_on=arrival_on,
                no_show_at=no_show_at,
                seats=programme.counts,
            ),
        ),
    )


def admit(programme: Programme, hold: Hold, now: datetime) -> Decision:
    """The young person arrived: the hold becomes a taken seat, so the free count stays what it was."""
    refusal = _not_allowed("structure", hold, "admitted")
    if refusal is not None:
        return Decision(programme, refusal=refusal)
    programme = _with(programme, replace(hold, state="admitted", admitted_at=now, ended_at=now))
    programme = replace(programme, admitted_count=programme.admitted_count + 1)
    return Decision(
        programme,
        (
            YoungPersonAdmitted(
                occurred_at=now, hold_id=hold.hold_id, young_person_id=hold.young_person_id, seats=programme.counts
            ),
        ),
    )


def decline(programme: Programme, hold: Hold, reason: DeclineReason, now: datetime) -> Decision:
    """The structure says no, with a closed reason."""
    return _end_by("structure", programme, replace(hold, decline_reason=reason), "declined", now)


def withdraw(programme: Programme, hold: Hold, now: datetime) -> Decision:
    """The prescriber gives the seat back."""
    return _end_by("prescriber", programme, hold, "withdrawn", now)


def release(programme: Programme, hold: Hold, now: datetime) -> Decision:
    """Another hold of the same young person was confirmed."""
    return _end_by("release", programme, hold, "released", now)


def _end_by(actor: Actor, programme: Programme, hold: Hold, state: HoldState, now: datetime) -> Decision:
    refusal = _not_allowed(actor, hold, state)
    if refusal is not None:
        return Decision(programme, refusal=refusal)
    programme, message = _end(programme, hold, state, now)
    return Decision(programme, (message,))


def _end(programme: Programme, hold: Hold, state: HoldState, at: datetime) -> tuple[Programme, HoldEnded]:
    programme = _with(programme, replace(hold, state=state, ended_at=at))
    # A hold that ends first gives its seat to those that a lower declaration left without one.
    programme = replace(programme, excess_count=max(0, programme.excess_count - 1))
    return programme, HoldEnded(
        occurred_at=at,
        hold_id=hold.hold_id,
        young_person_id=hold.young_person_id,
        reason=_END_REASONS[state],
        decline_reason=hold.decline_reason,
        seats=programme.counts,
    )


def _not_allowed(actor: Actor, hold: Hold, to: HoldState) -> Refusal | None:
    if to in TRANSITIONS.get((actor, hold.state), frozenset()):
        return None
    return Refusal(
        "hold_state",
        f"Cette retenue est « {_STATES_FR[hold.state]} » : l'action n'est plus possible.",
        {"state": hold.state},
    )


_STATES_FR: dict[HoldState, str] = {
    "held": "en attente de réponse",
    "confirmed": "confirmée",
    "admitted": "admission faite",
    "no_show": "jeune non venu",
    "declined": "refusée",
    "expired": "expirée",
    "withdrawn": "retirée",
    "released": "libérée",
}


def _with(programme: Programme, hold: Hold) -> Programme:
    return replace(
        programme, holds=tuple(hold if other.hold_id == hold.hold_id else other for other in programme.holds)
    )
