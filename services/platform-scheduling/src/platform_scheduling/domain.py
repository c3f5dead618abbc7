"""The rules of platforms and bookings: state in, new state and messages out. No clock, no database, no HTTP.

Source: fiche 1-5 of the Region's strategy, and the product's policy (see docs/glossary.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal
from uuid import uuid4

from common.commitments import Fate, ask
from common.failures import Refusal
from platform_scheduling import commitments
from platform_scheduling.commitments import Broken
from platform_scheduling.messages import (
    BookingApproval,
    BookingApproved,
    BookingEnded,
    BookingEndReason,
    BookingHeld,
    BookingMoved,
    BookingOrigin,
    BookingRefusalReason,
    BookingRequested,
    Equipment,
    OfferedWeek,
    PlatformDescribed,
    TimeOffered,
)
from platform_scheduling.state import (
    HOLDING,
    Ask,
    Booking,
    BookingState,
    Conduct,
    Decision,
    Description,
    Platform,
    Policy,
    Span,
    Unit,
)
from territory.equipment import EQUIPMENT
from territory.working_time import add_working_days

Actor = Literal["requester", "owner", "event", "time", "freed"]

# Who may bring a booking from where to where. "freed" is a slot that came back to those who wait in line for it.
TRANSITIONS: dict[tuple[Actor, BookingState], frozenset[BookingState]] = {
    ("requester", "requested"): frozenset({"cancelled"}),
    ("requester", "tentative"): frozenset({"cancelled"}),
    ("requester", "approved"): frozenset({"cancelled"}),
    ("event", "requested"): frozenset({"cancelled"}),
    ("event", "tentative"): frozenset({"cancelled"}),
    ("event", "approved"): frozenset({"cancelled"}),
    ("owner", "requested"): frozenset({"refused"}),
    ("owner", "tentative"): frozenset({"approved", "refused"}),
    ("owner", "approved"): frozenset({"cancelled", "no_show"}),
    ("owner", "done"): frozenset({"no_show"}),
    ("time", "requested"): frozenset({"expired"}),
    ("time", "tentative"): frozenset({"expired"}),
    ("time", "approved"): frozenset({"done"}),
    ("freed", "requested"): frozenset({"tentative", "approved"}),
}

STATES_FR: dict[BookingState, str] = {
    "requested": "en file d’attente",
    "tentative": "en attente de réponse",
    "approved": "acceptée",
    "done": "passée",
    "refused": "refusée",
    "expired": "expirée",
    "cancelled": "annulée",
    "no_show": "personne n’est venu",
}

_CANCELLED_BY: dict[Actor, BookingEndReason] = {
    "requester": BookingEndReason.CANCELLED_BY_REQUESTER,
    "owner": BookingEndReason.CANCELLED_BY_OWNER,
    "event": BookingEndReason.CANCELLED_BY_EVENT,
}


def settle(platform: Platform, policy: Policy, now: datetime) -> Decision:
    """Everything that time made due, each at its own instant, earliest first; what an option frees goes to who waits."""
    decision = Decision(platform)
    while due := _next_due(decision.platform, now):
        assert due.due_at is not None
        at = due.due_at
        state, reason = (
            ("done", BookingEndReason.DONE) if due.state == "approved" else ("expired", BookingEndReason.EXPIRED)
        )
        decision = _end(decision.platform, due, state, reason, at).after(decision)  # type: ignore[arg-type]
        if state == "expired":
            decision = _promote(decision, policy, at)
    return decision


def _next_due(platform: Platform, now: datetime) -> Booking | None:
    due = [one for one in platform.bookings if one.due_at is not None and one.due_at <= now]
    return min(due, key=lambda one: (one.due_at, one.requested_at, one.booking_id), default=None)


# -- the platform


def describe(
    platform: Platform, description: Description, units: Sequence[str], now: datetime, accepted: str | None = None
) -> Decision:
    """An owner publishes or changes a platform; repeating a description says nothing new. Units keep their numbers.

    The bookings that it breaks are shown first; when they are `accepted` they end.
    """
    kept = tuple(replace(unit, title=title) for unit, title in zip(platform.units, units, strict=False))
    added = tuple(Unit(uuid4(), number, title) for number, title in enumerate(units[len(kept) :], len(kept) + 1))
    gone = {unit.number for unit in platform.units[len(units) :]}
    if held := [one for one in platform.bookings if one.state in HOLDING and one.unit_number in gone]:
        detail = f"{len(held)} réservations occupent ce que vous retirez : déplacez-les ou annulez-les d’abord."
        return Decision(
            platform, refusal=Refusal("unit_in_use", detail, {"bookings": [str(one.booking_id) for one in held]})
        )
    broken = commitments.by_description(platform, description, now)
    if refusal := ask([one.commitment for one in broken], accepted):
        return Decision(platform, refusal=refusal)
    changed = replace(platform, description=description, units=(*kept, *added))
    if platform.version > 0 and changed == platform:
        return Decision(platform)
    return give_up(Decision(changed, (described(changed, now),)), broken, now)


def give_up(decision: Decision, broken: Sequence[Broken], now: datetime) -> Decision:
    """Ends what a change breaks, as an owner refuses or cancels; why is told with it, and with what is only otherwise.

    Nobody moves up yet: first everything ends that has to.
    """
    for one in broken:
        if one.fate is Fate.ENDS:
            booking = replace(one.booking, broken_by=tuple(change.value for change in one.changes))
            reason = BookingEndReason.CANCELLED_BY_OWNER
            if booking.state != "approved":
                booking, reason = (
                    replace(booking, refusal_reason=BookingRefusalReason.OTHER),
                    BookingEndReason.REFUSED,
                )
            state: BookingState = "cancelled" if reason is BookingEndReason.CANCELLED_BY_OWNER else "refused"
            decision = _end(decision.platform, booking, state, reason, now).after(decision)
    return replace(decision, booking=None, told={one.booking.booking_id: one.said for one in broken})


def reopen(platform: Platform, offered: Mapping[str, int], policy: Policy, now: datetime) -> Decision:
    """The time that is offered, or what the owner keeps, has changed: minutes by ISO week, and who waits in line moves up."""
    listed = [OfferedWeek(iso_week=week, offered_minutes=minutes) for week, minutes in sorted(offered.items())]
    messages = (TimeOffered(occurred_at=now, weeks=listed),) if listed else ()
    return _promote(Decision(platform, messages), policy, now)


def described(platform: Platform, now: datetime) -> PlatformDescribed:
    """The whole public description of a platform."""
    what = platform.description
    is_school = len(platform.owner_code) == 8
    return PlatformDescribed(
        occurred_at=now,
        owner_uai=platform.owner_code if is_school else None,
        owner_siret=None if is_school else platform.owner_code,
        owner_title=what.owner_title,
        title=what.title,
        commune_code=what.commune_code,
        equipment=[
            Equipment(equipment_code=one.code, title=one.title, rome_codes=list(one.rome_codes))
            for one in (EQUIPMENT[code] for code in what.equipment_codes)
        ],
        rncp_codes=list(what.rncp_codes),
        capacity_count=what.capacity_count,
        unit_count=len(platform.units),
        accessible=what.accessible,
        habilitation_codes=list(what.habilitation_codes),
        approval=what.approval,
        withdrawn=what.withdrawn,
        fictitious=what.fictitious,
    )


# -- bookings


def request(platform: Platform, ask: Ask, conduct: Conduct, policy: Policy, now: datetime) -> Decision:
    """Somebody asks for a slot: approved or held at once when a unit is free, in line if they wish, or refused with why."""
    limits = policy.of(platform.description.access)
    refusal = _why_not_ask(platform, ask, conduct, limits, now) or _why_not_then(platform, ask.span, limits, now)
    if refusal is not None:
        return Decision(platform, refusal=refusal)
    one = Booking(
        uuid4(),
        ask.requester_id,
        ask.origin,
        "requested",
        ask.span,
        ask.span.ends_at + timedelta(minutes=limits.gap_minutes),
        ask.group_size,
        now,
        ask.span.starts_at,
        request_id=ask.request_id,
    )
    unit_number = platform.free_unit(one.span, one.occupied_until)
    if unit_number is not None:
        return _take(platform, one, unit_number, limits, now)
    if not ask.in_line or not _is_only_optioned(platform, one):
        return Decision(platform, refusal=_slot_taken(platform, ask.span))
    platform = replace(platform, bookings=(*platform.bookings, one))
    return Decision(platform, (state_message(one, now),), booking=one)


def _why_not_ask(platform: Platform, ask: Ask, conduct: Conduct, limits: Policy, now: datetime) -> Refusal | None:
    what = platform.description
    if what.withdrawn:
        return Refusal("platform_withdrawn", "Ce plateau n’est plus proposé : cherchez à côté.")
    if ask.group_size > what.capacity_count:
        detail = f"Ce plateau accueille {what.capacity_count} personnes à la fois."
        return Refusal("group_too_large", detail, {"capacity_count": what.capacity_count})
    if missing := sorted(set(what.habilitation_codes) - ask.habilitation_codes):
        detail = "La personne qui encadre doit avoir les habilitations demandées par ce plateau."
        return Refusal("habilitation_missing", detail, {"habilitation_codes": missing})
    if ask.origin == BookingOrigin.EVENT:
        return None
    most = 1 if conduct.late_count >= limits.late_cancellations_max else limits.bookings_per_requester_max
    if conduct.live_count >= most:
        why = f" ({conduct.late_count} annulations tardives ou absences récentes)" if most == 1 else ""
        running = "réservation" if conduct.live_count == 1 else "réservations"
        detail = f"Vous avez {conduct.live_count} {running} en cours, le plus permis est {most}{why}."
        return Refusal("too_many_bookings", detail, {"live_count": conduct.live_count, "max": most})
    return None


def _why_not_then(platform: Platform, span: Span, limits: Policy, now: datetime) -> Refusal | None:
    """Whether a slot can be asked for at all, whoever holds it."""
    if not limits.length_minutes_min <= span.minutes <= limits.length_minutes_max:
        detail = f"Une réservation dure de {limits.length_minutes_min} à {limits.length_minutes_max} minutes."
        facts = {"length_minutes_min": limits.length_minutes_min, "length_minutes_max": limits.length_minutes_max}
        return Refusal("length", detail, facts)
    if span.starts_at < now + timedelta(hours=limits.notice_hours):
        detail = (
            f"Réservez au moins {limits.notice_hours} h à l’avance."
            if span.starts_at > now
            else "Ce créneau est passé."
        )
        return Refusal("too_late", detail, {"notice_hours": limits.notice_hours})
    if span.ends_at > now + timedelta(days=limits.horizon_days):
        detail = f"Les réservations sont ouvertes pour les {limits.horizon_days} jours qui viennent."
        return Refusal("too_early", detail, {"horizon_days": limits.horizon_days})
    if not platform.offers(span):
        return Refusal("not_offered", "Le plateau n’est pas proposé à ce moment : choisissez un créneau affiché.")
    return None


def _slot_taken(platform: Platform, span: Span) -> Refusal:
    optioned = any(one.state == "tentative" and one.span.overlaps(span) for one in platform.bookings)
    advice = " Une réservation attend encore une réponse : vous pouvez vous mettre en file." if optioned else ""
    return Refusal("slot_taken", f"Ce créneau est déjà pris.{advice}", {"can_wait": optioned})


def _is_only_optioned(platform: Platform, one: Booking) -> bool:
    """Whether a unit would be free if every option lapsed; behind what is approved or kept by the owner nobody waits."""
    firm = tuple(other for other in platform.bookings if other.state == "approved")
    return replace(platform, bookings=firm).free_unit(one.span, one.occupied_until) is not None


def approve(platform: Platform, one: Booking, now: datetime) -> Decision:
    """The owner says yes."""
    refusal = _not_allowed("owner", one, "approved")
    if refusal is not None:
        return Decision(platform, refusal=refusal)
    one = replace(one, state="approved", due_at=one.span.ends_at, revision=one.revision + 1)
    return Decision(_with(platform, one), (state_message(one, now),), booking=one)


def refuse(platform: Platform, one: Booking, reason: BookingRefusalReason, policy: Policy, now: datetime) -> Decision:
    """The owner says no, with a closed reason."""
    refusal = _not_allowed("owner", one, "refused")
    if refusal is not None:
        return Decision(platform, refusal=refusal)
    decision = _end(platform, replace(one, refusal_reason=reason), "refused", BookingEndReason.REFUSED, now)
    return _promote(decision, policy, now)


def cancel(platform: Platform, one: Booking, by: Actor, policy: Policy, now: datetime) -> Decision:
    """Requester, owner or event gives a booking up before it begins; late when the policy's hours have begun."""
    refusal = _not_allowed(by, one, "cancelled")
    if refusal is None and one.span.starts_at <= now and by != "event":
        refusal = Refusal("begun", "Le créneau a commencé : il ne peut plus être annulé.")
    if refusal is not None:
        return Decision(platform, refusal=refusal)
    hours = timedelta(hours=policy.of(platform.description.access).late_cancellation_hours)
    late = by == "requester" and one.state == "approved" and one.span.starts_at - hours < now
    decision = _end(platform, replace(one, late=late), "cancelled", _CANCELLED_BY[by], now)
    return _promote(decision, policy, now)


def miss(platform: Platform, one: Booking, policy: Policy, now: datetime) -> Decision:
    """The owner says that nobody came: from the begin of the slot until some days after its end."""
    refusal = _not_allowed("owner", one, "no_show")
    if refusal is None and now < one.span.starts_at:
        refusal = Refusal("not_begun", "Le créneau n’a pas encore commencé.")
    if refusal is None and now > one.span.ends_at + timedelta(days=policy.no_show_days):
        detail = f"Une absence se signale dans les {policy.no_show_days} jours."
        refusal = Refusal("too_late", detail, {"no_show_days": policy.no_show_days})
    if refusal is not None:
        return Decision(platform, refusal=refusal)
    return _end(platform, one, "no_show", BookingEndReason.NO_SHOW, now)


def move(
    platform: Platform, one: Booking, span: Span, by: Literal["requester", "owner"], policy: Policy, now: datetime
) -> Decision:
    """Another slot for a booking. The owner approves anew what a requester moves, unless the platform approves by itself."""
    limits = policy.of(platform.description.access)
    refusal = _why_not_move(platform, one, span, limits, now)
    if refusal is not None:
        return Decision(platform, refusal=refusal)
    occupied_until = span.ends_at + timedelta(minutes=limits.gap_minutes)
    unit_number = platform.free_unit(span, occupied_until, but=one.booking_id)
    if unit_number is None:
        return Decision(platform, refusal=_slot_taken(platform, span))
    stays = one.state == "approved" and (by == "owner" or platform.description.approval == BookingApproval.AUTOMATIC)
    one = replace(
        one,
        state="approved" if stays else "tentative",
        span=span,
        occupied_until=occupied_until,
        unit_number=unit_number,
        due_at=span.ends_at if stays else _answer_due(span, limits, now),
        revision=one.revision + 1,
    )
    message = BookingMoved(
        occurred_at=now,
        booking_id=one.booking_id,
        unit_number=unit_number,
        starts_at=span.starts_at,
        ends_at=span.ends_at,
        group_size=one.group_size,
        expires_at=None if stays else one.due_at,
    )
    decision = Decision(_with(platform, one), (message,), booking=one)
    return _promote(decision, policy, now)


def _why_not_move(platform: Platform, one: Booking, span: Span, limits: Policy, now: datetime) -> Refusal | None:
    if one.state not in HOLDING:
        return _state_refusal(one)
    if one.origin == BookingOrigin.EVENT:
        return Refusal("belongs_to_event", "Cette réservation suit un évènement : refusez-la ou annulez-la.")
    if one.span.starts_at <= now:
        return Refusal("begun", "Le créneau a commencé : il ne peut plus être déplacé.")
    return _why_not_then(platform, span, limits, now)


# -- what the rules share


def _take(platform: Platform, one: Booking, unit_number: int, limits: Policy, now: datetime) -> Decision:
    """A booking takes a free unit: approved at once where the owner wished so, an option otherwise."""
    automatic = platform.description.approval == BookingApproval.AUTOMATIC
    one = replace(
        one,
        unit_number=unit_number,
        state="approved" if automatic else "tentative",
        due_at=one.span.ends_at if automatic else _answer_due(one.span, limits, now),
    )
    return Decision(_with(platform, one), (state_message(one, now),), booking=one)


def _promote(decision: Decision, policy: Policy, now: datetime) -> Decision:
    """Those who wait in line take what is free now, first come first served."""
    limits = policy.of(decision.platform.description.access)
    for one in decision.platform.bookings:
        if one.state != "requested" or one.span.starts_at <= now:
            continue
        unit_number = decision.platform.free_unit(one.span, one.occupied_until)
        if unit_number is not None:
            raised = replace(one, revision=one.revision + 1)
            taken = _take(decision.platform, raised, unit_number, limits, now).after(decision)
            decision = replace(taken, booking=decision.booking)
    return decision


def _answer_due(span: Span, limits: Policy, now: datetime) -> datetime:
    """Until when the owner may answer: working days, and never beyond the begin of the slot."""
    return min(add_working_days(now, limits.answer_working_days), span.starts_at)


def _end(platform: Platform, one: Booking, state: BookingState, reason: BookingEndReason, at: datetime) -> Decision:
    one = replace(one, state=state, ended_at=at, due_at=None, end_reason=reason, revision=one.revision + 1)
    message = BookingEnded(
        occurred_at=at, booking_id=one.booking_id, reason=reason, refusal_reason=one.refusal_reason, late=one.late
    )
    return Decision(_with(platform, one), (message,), booking=one)


def state_message(one: Booking, now: datetime) -> BookingRequested | BookingHeld | BookingApproved:
    """A live booking, whole, in the message of its state."""
    facts = {
        "occurred_at": now,
        "booking_id": one.booking_id,
        "requester_id": one.requester_id,
        "origin": one.origin,
        "starts_at": one.span.starts_at,
        "ends_at": one.span.ends_at,
        "group_size": one.group_size,
    }
    match one.state:
        case "approved":
            return BookingApproved.model_validate({**facts, "unit_number": one.unit_number})
        case "tentative":
            return BookingHeld.model_validate({**facts, "unit_number": one.unit_number, "expires_at": one.due_at})
        case _:
            return BookingRequested.model_validate({**facts, "expires_at": one.due_at})


def _not_allowed(actor: Actor, one: Booking, to: BookingState) -> Refusal | None:
    return None if to in TRANSITIONS.get((actor, one.state), frozenset()) else _state_refusal(one)


def _state_refusal(one: Booking) -> Refusal:
    detail = f"Cette réservation est « {STATES_FR[one.state]} » : l’action n’est plus possible."
    return Refusal("booking_state", detail, {"state": one.state})


def _with(platform: Platform, one: Booking) -> Platform:
    known = {other.booking_id: other for other in platform.bookings} | {one.booking_id: one}
    return replace(platform, bookings=tuple(known.values()))
