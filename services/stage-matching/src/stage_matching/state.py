"""What the rules speak of: an offer with its weeks and applications, the policy, and what a decision is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from common.failures import Refusal
from common.messages import Message
from stage_matching.frozen import CampaignPolicy
from stage_matching.messages import ApplicationOrigin, OfferKind, RefusalReason, SuspensionReason, WeekSeats
from stage_matching.terms import HoursLimit, Placement

ApplicationState = Literal[
    "submitted", "seen", "accepted", "confirmed", "refused", "expired", "withdrawn", "released", "cancelled"
]

WAITING: frozenset[ApplicationState] = frozenset({"submitted", "seen"})
SEATED: frozenset[ApplicationState] = frozenset({"accepted", "confirmed"})
LIVE = WAITING | SEATED


@dataclass(frozen=True)
class Policy:
    """Limits that the law or the Region can change; read for the instant of the decision from the `policy` table."""

    answer_days: int
    confirm_days: int
    reminder_days: tuple[int, ...]
    applications_per_seeker_max: int
    span_weeks_max: int
    silence_days: int
    silence_expired_count: int
    label_months: int
    minor_age: int
    case_link_days: int
    campaign: CampaignPolicy
    # By audience, who accompanies: the first that the seeker named; AGENCY is always there, NOBODY for adults only.
    accompanied_by: Mapping[str, Sequence[str]] = field(default_factory=dict)
    hours: tuple[HoursLimit, ...] = ()


@dataclass(frozen=True)
class Week:
    """Seats of one ISO week: offered, taken by accepted and confirmed applications, kept by campaigns being computed."""

    seats_count: int
    taken_count: int = 0
    campaign_count: int = 0

    @property
    def free_count(self) -> int:
        """Seats that an application can take now."""
        return self.seats_count - self.taken_count - self.campaign_count


@dataclass(frozen=True)
class Description:
    """Public description of an offer; `reserved` counts the seats kept for a category in campaigns."""

    title: str
    kind: OfferKind
    rome_codes: tuple[str, ...]
    commune_code: str
    audiences: tuple[str, ...]
    age_min: int
    reserved: Mapping[str, int]
    partner_uais: tuple[str, ...] = ()
    suspended: bool = False
    placement: Placement = field(default_factory=Placement)


@dataclass(frozen=True)
class Seeker:
    """Who applies, as far as rules need to know; how old they are in the first week that they apply for."""

    seeker_id: UUID
    audience: str
    age: int
    commune_code: str


@dataclass(frozen=True)
class Application:
    """A seeker's candidature for a run of weeks of one offer."""

    application_id: UUID
    offer_id: UUID
    seeker_id: UUID
    iso_weeks: tuple[str, ...]
    state: ApplicationState
    submitted_at: datetime
    due_at: datetime | None
    origin: ApplicationOrigin = ApplicationOrigin.DIRECT
    campaign_id: UUID | None = None
    seen_at: datetime | None = None
    accepted_at: datetime | None = None
    confirmed_at: datetime | None = None
    ended_at: datetime | None = None
    refusal_reason: RefusalReason | None = None


@dataclass(frozen=True)
class Offer:
    """The aggregate: an offer, its weeks, and its live applications, oldest first."""

    offer_id: UUID
    host_id: UUID
    description: Description
    weeks: Mapping[str, Week]
    applications: tuple[Application, ...] = ()
    host_suspended: SuspensionReason | None = None
    version: int = 0

    @property
    def week_seats(self) -> list[WeekSeats]:
        """What every message carries; seats that a campaign keeps while it computes are not yet taken."""
        return [
            WeekSeats(
                iso_week=week,
                seats_count=seats.seats_count,
                taken_count=seats.taken_count,
                free_count=seats.seats_count - seats.taken_count,
            )
            for week, seats in sorted(self.weeks.items())
        ]


@dataclass(frozen=True)
class Decision:
    """A new state, the messages that tell of it, and a refusal when the rule said no (settling may still have changed things)."""

    offer: Offer
    messages: tuple[Message, ...] = ()
    refusal: Refusal | None = None
    notes: dict[str, object] = field(default_factory=dict)

    def then(self, messages: Sequence[Message]) -> Decision:
        """The same decision, with earlier messages first."""
        return replace(self, messages=(*messages, *self.messages))
