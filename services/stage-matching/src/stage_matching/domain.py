"""The rules of offers and applications: state in, new state and messages out. No clock, no database, no HTTP.

Source: fiche 1-4 of the Region's strategy, and the product's policy (see docs/glossary.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

from common.failures import Refusal
from common.messages import Message
from stage_matching.messages import (
    ApplicationAccepted,
    ApplicationConfirmed,
    ApplicationEnded,
    ApplicationEndReason,
    ApplicationOrigin,
    ApplicationSeen,
    ApplicationSubmitted,
    Audience,
    OfferDescribed,
    RefusalReason,
    ReserveCategory,
    ReservedSeats,
)
from stage_matching.state import (
    LIVE,
    SEATED,
    WAITING,
    Application,
    ApplicationState,
    Decision,
    Description,
    Offer,
    Policy,
    Seeker,
    Week,
)
from stage_matching.terms import limit_for, why_not_hours
from territory import reference, weeks
from territory.working_time import PARIS

Actor = Literal["host", "seeker", "time", "confirmation", "suspension", "agreement"]

# Who may bring an application from where to where. "confirmation" is that of another application of the same seeker.
TRANSITIONS: dict[tuple[Actor, ApplicationState], frozenset[ApplicationState]] = {
    ("host", "submitted"): frozenset({"seen", "accepted", "refused"}),
    ("host", "seen"): frozenset({"accepted", "refused"}),
    ("host", "accepted"): frozenset({"refused"}),
    ("seeker", "submitted"): frozenset({"withdrawn"}),
    ("seeker", "seen"): frozenset({"withdrawn"}),
    ("seeker", "accepted"): frozenset({"confirmed", "withdrawn"}),
    ("time", "submitted"): frozenset({"expired"}),
    ("time", "seen"): frozenset({"expired"}),
    ("time", "accepted"): frozenset({"expired"}),
    ("confirmation", "submitted"): frozenset({"released"}),
    ("confirmation", "seen"): frozenset({"released"}),
    ("confirmation", "accepted"): frozenset({"released"}),
    ("suspension", "submitted"): frozenset({"released"}),
    ("suspension", "seen"): frozenset({"released"}),
    ("suspension", "accepted"): frozenset({"released"}),
    ("agreement", "confirmed"): frozenset({"cancelled"}),
}

_STATES_FR: dict[ApplicationState, str] = {
    "submitted": "envoyée",
    "seen": "vue",
    "accepted": "acceptée",
    "confirmed": "confirmée",
    "refused": "refusée",
    "expired": "expirée",
    "withdrawn": "retirée",
    "released": "close",
    "cancelled": "annulée",
}


def settle(offer: Offer, now: datetime) -> Decision:
    """Everything that time made due, each at its own instant, earliest first."""
    due = sorted(
        (one for one in offer.applications if one.state in LIVE and one.due_at is not None and one.due_at <= now),
        key=lambda one: (one.due_at, one.application_id),
    )
    messages: list[Message] = []
    for one in due:
        assert one.due_at is not None
        reason = ApplicationEndReason.HOST_SILENT if one.state in WAITING else ApplicationEndReason.SEEKER_SILENT
        offer, message = _end(offer, one, "expired", reason, one.due_at)
        messages.append(message)
    return Decision(offer, tuple(messages))


# -- offers


def describe(offer: Offer, description: Description, seats: Mapping[str, int], now: datetime) -> Decision:
    """A host publishes, changes or suspends an offer; repeating a description says nothing new."""
    changed: dict[str, Week] = {}
    for week in sorted({*offer.weeks, *seats}):
        known = offer.weeks.get(week, Week(0))
        in_use = known.taken_count + known.campaign_count
        if seats.get(week, 0) < in_use:
            detail = f"En {week}, {in_use} places sont déjà données ou promises : refusez d’abord des candidatures, ou gardez {in_use} places."
            return Decision(
                offer, refusal=Refusal("seats_below_taken", detail, {"iso_week": week, "taken_count": in_use})
            )
        if week in seats or in_use:
            changed[week] = replace(known, seats_count=seats.get(week, 0))
    if offer.version > 0 and offer.description == description and dict(offer.weeks) == changed:
        return Decision(offer)
    offer = replace(offer, description=description, weeks=changed)
    return Decision(offer, (described(offer, now),))


def why_not_begun(offer: Offer, seats: Mapping[str, int], now: datetime) -> Refusal | None:
    """A new offer has a week to come: with past ones alone nobody would ever see it."""
    this_week = weeks.week_of(now.astimezone(PARIS).date())
    if offer.version > 0 or not seats or max(seats) >= this_week:
        return None
    return Refusal("weeks_over", "Toutes ces semaines sont passées : proposez des semaines à venir.")


def described(offer: Offer, now: datetime) -> OfferDescribed:
    """The whole description of an offer, with its seats."""
    what = offer.description
    return OfferDescribed(
        occurred_at=now,
        host_id=offer.host_id,
        title=what.title,
        kind=what.kind,
        rome_codes=list(what.rome_codes),
        commune_code=what.commune_code,
        audiences=[Audience(one) for one in what.audiences],
        age_min=what.age_min,
        reserved=[
            ReservedSeats(category=ReserveCategory(category), seats_count=count)
            for category, count in sorted(what.reserved.items())
        ],
        partner_uais=list(what.partner_uais),
        suspended=what.suspended,
        weeks=offer.week_seats,
    )


# -- applications


def submit(
    offer: Offer,
    seeker: Seeker,
    iso_weeks: tuple[str, ...],
    *,
    live_of_seeker: int,
    confirmed_weeks: frozenset[str],
    policy: Policy,
    now: datetime,
) -> Decision:
    """A seeker applies. The caller has locked the seeker, so that neither count can grow meanwhile."""
    if refusal := _why_not_submit(offer, seeker, iso_weeks, live_of_seeker, confirmed_weeks, policy, now):
        return Decision(offer, refusal=refusal)
    due_at = _no_later_than_start(now + timedelta(days=policy.answer_days), iso_weeks)
    one = Application(uuid4(), offer.offer_id, seeker.seeker_id, iso_weeks, "submitted", now, due_at)
    offer = replace(offer, applications=(*offer.applications, one))
    message = ApplicationSubmitted(
        occurred_at=now,
        application_id=one.application_id,
        seeker_id=seeker.seeker_id,
        audience=Audience(seeker.audience),
        department_code=reference.communes()[seeker.commune_code].department_code,
        iso_weeks=list(iso_weeks),
        answer_due_at=due_at,
        weeks=offer.week_seats,
    )
    return Decision(offer, (message,), notes={"application_id": one.application_id})


def _why_not_submit(
    offer: Offer,
    seeker: Seeker,
    iso_weeks: tuple[str, ...],
    live_of_seeker: int,
    confirmed_weeks: frozenset[str],
    policy: Policy,
    now: datetime,
) -> Refusal | None:
    if offer.description.suspended or offer.host_suspended:
        return Refusal("offer_suspended", "Cette offre n’est plus proposée pour l’instant : cherchez à côté.")
    if not weeks.consecutive(iso_weeks) or len(iso_weeks) > policy.span_weeks_max:
        return Refusal("weeks", f"Choisissez de 1 à {policy.span_weeks_max} semaines qui se suivent.")
    if (missing := [week for week in iso_weeks if week not in offer.weeks]) != []:
        detail = f"L’organisme n’accueille pas en {', '.join(missing)}."
        return Refusal("week_not_offered", detail, {"iso_weeks": missing})
    if _start(iso_weeks) <= now:
        return Refusal("week_begun", "Ces semaines ont commencé ou sont passées.")
    if refusal := why_not_admitted(offer.description, seeker, policy):
        return refusal
    if confirmed_weeks & set(iso_weeks):
        return Refusal("already_confirmed", "Un stage est déjà confirmé à certaines de ces heures.")
    if any(one.seeker_id == seeker.seeker_id and one.state in LIVE for one in offer.applications):
        return Refusal("already_applied", "Une candidature est déjà en cours pour cette offre.")
    if live_of_seeker >= policy.applications_per_seeker_max:
        detail = f"Vous avez déjà {live_of_seeker} candidatures en cours : retirez-en une."
        return Refusal(
            "seeker_limit", detail, {"live_count": live_of_seeker, "max": policy.applications_per_seeker_max}
        )
    return _no_free_seat(offer, iso_weeks)


def why_not_admitted(what: Description, seeker: Seeker, policy: Policy) -> Refusal | None:
    """Why an offer as it is described is not for somebody: their audience, their age, or its hours at their age."""
    if seeker.audience not in what.audiences:
        return Refusal("audience", "Cette offre est destinée à un autre public.", {"audience": seeker.audience})
    if seeker.age < what.age_min:
        return Refusal("age", f"Il faut avoir {what.age_min} ans pour cette offre.", {"age_min": what.age_min})
    if problem := why_not_hours(what.placement.hours, limit_for(seeker.age, policy.hours)):
        return Refusal("hours", f"Les horaires de cette offre ne sont pas possibles à votre âge. {problem}")
    return None


def see(offer: Offer, one: Application, now: datetime) -> Decision:
    """The host opens an application; opening it again says nothing new."""
    if one.state == "seen":
        return Decision(offer)
    if refusal := _not_allowed("host", one, "seen"):
        return Decision(offer, refusal=refusal)
    offer = _with(offer, replace(one, state="seen", seen_at=now))
    message = ApplicationSeen(occurred_at=now, application_id=one.application_id, weeks=offer.week_seats)
    return Decision(offer, (message,))


def accept(offer: Offer, one: Application, policy: Policy, now: datetime) -> Decision:
    """The host says yes: the application takes a seat in each of its weeks, if every one has a seat left."""
    if refusal := _not_allowed("host", one, "accepted") or _no_free_seat(offer, one.iso_weeks):
        return Decision(offer, refusal=refusal)
    return _seat(offer, one, policy, now)


def match(
    offer: Offer, seeker_id: UUID, campaign_id: UUID, iso_weeks: tuple[str, ...], policy: Policy, now: datetime
) -> Decision:
    """A published campaign gives a seat that it kept; the host accepted by offering, the seeker has yet to confirm."""
    one = Application(
        uuid4(),
        offer.offer_id,
        seeker_id,
        iso_weeks,
        "submitted",
        now,
        None,
        origin=ApplicationOrigin.CAMPAIGN,
        campaign_id=campaign_id,
    )
    kept = {
        week: replace(seats, campaign_count=seats.campaign_count - (week in iso_weeks))
        for week, seats in offer.weeks.items()
    }
    offer = replace(offer, weeks=kept, applications=(*offer.applications, one))
    return _seat(offer, one, policy, now)


def confirm(offer: Offer, one: Application, now: datetime) -> Decision:
    """The seeker says yes; the handler releases their other applications for these weeks and draws up the agreement."""
    if refusal := _not_allowed("seeker", one, "confirmed"):
        return Decision(offer, refusal=refusal)
    offer = _with(offer, replace(one, state="confirmed", confirmed_at=now, due_at=None))
    message = ApplicationConfirmed(
        occurred_at=now,
        application_id=one.application_id,
        seeker_id=one.seeker_id,
        origin=one.origin,
        campaign_id=one.campaign_id,
        iso_weeks=list(one.iso_weeks),
        weeks=offer.week_seats,
    )
    return Decision(offer, (message,))


def refuse(offer: Offer, one: Application, reason: RefusalReason, now: datetime) -> Decision:
    """The host says no, with a closed reason; also after it had accepted, until the seeker confirms."""
    refused = replace(one, refusal_reason=reason)
    return _end_by("host", offer, refused, "refused", ApplicationEndReason.REFUSED, now)


def withdraw(offer: Offer, one: Application, now: datetime) -> Decision:
    """The seeker takes the application back."""
    return _end_by("seeker", offer, one, "withdrawn", ApplicationEndReason.WITHDRAWN, now)


def release(offer: Offer, one: Application, now: datetime) -> Decision:
    """The seeker confirmed another internship for the same weeks."""
    return _end_by("confirmation", offer, one, "released", ApplicationEndReason.CONFIRMED_ELSEWHERE, now)


def give_back(offer: Offer, one: Application, now: datetime) -> Decision:
    """The host was suspended: whoever waits for its answer waits no longer; by the agency, a place that it gave is not kept either."""
    return _end_by("suspension", offer, one, "released", ApplicationEndReason.HOST_SUSPENDED, now)


def cancel(offer: Offer, one: Application, now: datetime) -> Decision:
    """The agreement of a confirmed application was cancelled before the internship began."""
    return _end_by("agreement", offer, one, "cancelled", ApplicationEndReason.AGREEMENT_CANCELLED, now)


# -- the seats under them


def let_go(offer: Offer, seats: Mapping[str, int]) -> Offer:
    """Seats that a campaign kept, by week, are everybody's again."""
    changed: dict[str, Week] = dict(offer.weeks)
    for week, count in seats.items():
        changed[week] = replace(changed[week], campaign_count=changed[week].campaign_count - count)
    return replace(offer, weeks=changed)


def _seat(offer: Offer, one: Application, policy: Policy, now: datetime) -> Decision:
    due_at = _no_later_than_start(now + timedelta(days=policy.confirm_days), one.iso_weeks)
    offer = _with(_taken(offer, one, +1), replace(one, state="accepted", accepted_at=now, due_at=due_at))
    message = ApplicationAccepted(
        occurred_at=now,
        application_id=one.application_id,
        seeker_id=one.seeker_id,
        origin=one.origin,
        campaign_id=one.campaign_id,
        iso_weeks=list(one.iso_weeks),
        confirm_due_at=due_at,
        weeks=offer.week_seats,
    )
    return Decision(offer, (message,), notes={"application_id": one.application_id})


def _end_by(
    actor: Actor,
    offer: Offer,
    one: Application,
    state: ApplicationState,
    reason: ApplicationEndReason,
    now: datetime,
) -> Decision:
    if refusal := _not_allowed(actor, one, state):
        return Decision(offer, refusal=refusal)
    offer, message = _end(offer, one, state, reason, now)
    return Decision(offer, (message,))


def _end(
    offer: Offer, one: Application, state: ApplicationState, reason: ApplicationEndReason, at: datetime
) -> tuple[Offer, ApplicationEnded]:
    seat_freed = one.state in SEATED
    if seat_freed:
        offer = _taken(offer, one, -1)
    offer = _with(offer, replace(one, state=state, ended_at=at, due_at=None))
    return offer, ApplicationEnded(
        occurred_at=at,
        application_id=one.application_id,
        seeker_id=one.seeker_id,
        origin=one.origin,
        campaign_id=one.campaign_id,
        reason=reason,
        refusal_reason=one.refusal_reason,
        seat_freed=seat_freed,
        weeks=offer.week_seats,
    )


def _taken(offer: Offer, one: Application, change: Literal[1, -1]) -> Offer:
    """Takes or frees the seats of an application. What a campaign gave goes back to it, for those who wait in it."""
    to_campaign = change < 0 and one.origin == ApplicationOrigin.CAMPAIGN
    changed: dict[str, Any] = dict(offer.weeks)
    for week in one.iso_weeks:
        seats = offer.weeks[week]
        changed[week] = replace(
            seats, taken_count=seats.taken_count + change, campaign_count=seats.campaign_count + to_campaign
        )
    return replace(offer, weeks=changed)


def _no_free_seat(offer: Offer, iso_weeks: tuple[str, ...]) -> Refusal | None:
    full = [week for week in iso_weeks if offer.weeks[week].free_count < 1]
    if not full:
        return None
    return Refusal("no_free_seat", f"Il n’y a plus de place en {', '.join(full)}.", {"iso_weeks": full})


def _not_allowed(actor: Actor, one: Application, to: ApplicationState) -> Refusal | None:
    if to in TRANSITIONS.get((actor, one.state), frozenset()):
        return None
    return Refusal(
        "application_state",
        f"Cette candidature est « {_STATES_FR[one.state]} » : l’action n’est plus possible.",
        {"state": one.state},
    )


def _with(offer: Offer, one: Application) -> Offer:
    known = tuple(one if other.application_id == one.application_id else other for other in offer.applications)
    return replace(offer, applications=known)


def _start(iso_weeks: tuple[str, ...]) -> datetime:
    return datetime.combine(weeks.monday(iso_weeks[0]), time(0), PARIS)


def _no_later_than_start(due_at: datetime, iso_weeks: tuple[str, ...]) -> datetime:
    return min(due_at, _start(iso_weeks).astimezone(due_at.tzinfo))
