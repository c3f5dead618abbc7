"""The rules of an event: drafted, awaiting its technical platform, confirmed, cancelled. State in, new state and messages out.

The need for a platform is asked of platform scheduling by Kafka; whatever order its answers and our changes take, both
sides end alike: `SAGA` lists every step.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Literal
from uuid import uuid4

from common.failures import Refusal
from events.messages import (
    EventCancellationReason,
    EventCancelled,
    EventDescribed,
    EventStatus,
    PlatformRequested,
    PlatformRequestWithdrawn,
)
from events.state import Description, Event, EventDecision, EventState, NeedState, PlatformNeed

Step = Literal["publish", "need", "drop", "cancel", "booked", "refused", "released"]

# (event, need) --step--> (event, need). A command that is not here is refused; an answer that is not here changes
# nothing: it is about a request that was withdrawn, and platform scheduling releases what it had booked for it.
SAGA: dict[tuple[EventState, NeedState, Step], tuple[EventState, NeedState]] = {
    ("draft", "none", "publish"): ("confirmed", "none"),
    ("draft", "wanted", "publish"): ("awaiting", "asked"),
    ("draft", "none", "need"): ("draft", "wanted"),
    ("draft", "wanted", "need"): ("draft", "wanted"),
    ("draft", "wanted", "drop"): ("draft", "none"),
    ("draft", "none", "cancel"): ("cancelled", "none"),
    ("draft", "wanted", "cancel"): ("cancelled", "none"),
    ("awaiting", "asked", "need"): ("awaiting", "asked"),
    ("awaiting", "asked", "drop"): ("confirmed", "none"),
    ("awaiting", "asked", "cancel"): ("cancelled", "none"),
    ("awaiting", "asked", "booked"): ("confirmed", "booked"),
    ("awaiting", "asked", "refused"): ("awaiting", "refused"),
    ("awaiting", "refused", "need"): ("awaiting", "asked"),
    ("awaiting", "refused", "drop"): ("confirmed", "none"),
    ("awaiting", "refused", "cancel"): ("cancelled", "none"),
    ("confirmed", "none", "need"): ("awaiting", "asked"),
    ("confirmed", "none", "cancel"): ("cancelled", "none"),
    ("confirmed", "booked", "need"): ("awaiting", "asked"),
    ("confirmed", "booked", "drop"): ("confirmed", "none"),
    ("confirmed", "booked", "cancel"): ("cancelled", "none"),
    ("confirmed", "booked", "released"): ("cancelled", "released"),
}
STATES_FR: dict[EventState, str] = {
    "draft": "en préparation",
    "awaiting": "en attente du plateau technique",
    "confirmed": "confirmé",
    "cancelled": "annulé",
}


def step(
    event: Event,
    what: Step,
    now: datetime,
    *,
    need: PlatformNeed | None = None,
    reason: str | None = None,
) -> EventDecision:
    """One step of the table; `need` is the platform that is wished for, `reason` why platform scheduling said no."""
    to = SAGA.get((event.state, event.need_state, what))
    if to is None:
        detail = f"Cet évènement est {STATES_FR[event.state]} : l’action n’est pas possible."
        return EventDecision(event, refusal=Refusal("event_state", detail, {"state": event.state}))
    state, need_state = to
    live = event.need if event.need_state in ("asked", "booked") else None
    withdrawn = live if what in ("need", "drop", "cancel") else None
    wanted = need if what == "need" else event.need
    if need_state == "asked" and wanted is not None:
        wanted = replace(wanted, state="asked", request_id=uuid4(), reason=None)
    elif wanted is not None:
        wanted = None if need_state == "none" else replace(wanted, state=need_state, reason=reason)
    after = replace(event, state=state, need=wanted)
    if state == "cancelled":
        why = (
            EventCancellationReason.PLATFORM_RELEASED
            if what == "released"
            else EventCancellationReason.CANCELLED_BY_ORGANISER
        )
        after = replace(after, cancelled_reason=why.value)
        told = (EventCancelled(occurred_at=now, reason=why),) if event.version > 0 else ()
        return EventDecision(after, told, withdrawn=withdrawn)
    # What was never confirmed is nobody's to read yet.
    is_told = state == "confirmed" or event.version > 0
    messages = (described(after, now),) if is_told and after != event else ()
    return EventDecision(after, messages, asked=wanted if need_state == "asked" else None, withdrawn=withdrawn)


def describe(event: Event, description: Description, now: datetime) -> EventDecision:
    """The organiser writes or changes the description; repeating it says nothing new."""
    if event.state == "cancelled":
        return EventDecision(event, refusal=Refusal("event_state", "Cet évènement est annulé.", {"state": "cancelled"}))
    changed = replace(event, description=description)
    told = (described(changed, now),) if event.version > 0 and changed != event else ()
    return EventDecision(changed, told)


def described(event: Event, now: datetime) -> EventDescribed:
    """The whole public description of an event; links stay here, for those whom they concern."""
    what = event.description
    return EventDescribed(
        occurred_at=now,
        organiser_id=event.organiser_id,
        organiser_title=what.organiser_title,
        kind=what.kind,
        title=what.title,
        summary=what.summary,
        status=EventStatus.CONFIRMED if event.state == "confirmed" else EventStatus.AWAITING_PLATFORM,
        access=what.access,
        attendance_mode=what.attendance_mode,
        place_title=what.place_title,
        commune_code=what.commune_code,
        audiences=list(what.audiences),
        rome_codes=list(what.rome_codes),
        under_represented=what.under_represented,
        host_siret=what.host_siret,
        stand_count=len(what.stands),
        platform_id=event.need.platform_id if event.need is not None and event.need_state == "booked" else None,
        fictitious=what.fictitious,
    )


def asked(event: Event, need: PlatformNeed, now: datetime) -> PlatformRequested:
    """What platform scheduling is asked."""
    return PlatformRequested(
        occurred_at=now,
        for_event_id=event.event_id,
        platform_id=need.platform_id,
        organiser_id=event.organiser_id,
        starts_at=need.starts_at,
        ends_at=need.ends_at,
        group_size=need.group_size,
        habilitation_codes=list(need.habilitation_codes),
    )


def withdrawn(event: Event, need: PlatformNeed, now: datetime) -> PlatformRequestWithdrawn:
    """What platform scheduling is told when the event no longer needs it."""
    return PlatformRequestWithdrawn(occurred_at=now, for_event_id=event.event_id, platform_id=need.platform_id)
