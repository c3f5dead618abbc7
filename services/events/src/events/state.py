"""What the rules speak of: an event, its sessions and their registrations, the need for a platform, the policy, a decision."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal
from uuid import UUID, uuid5

from common.failures import Refusal
from common.messages import Message
from events.messages import (
    Admission,
    Allocation,
    AttendanceMode,
    EventAccess,
    EventKind,
    PartyKind,
    RegistrationEndReason,
    SessionPurpose,
)
from waiting_list.rules import Counts, Place, RegistrationState, Terms

EventState = Literal["draft", "awaiting", "confirmed", "cancelled"]
SessionState = Literal["planned", "open", "held", "cancelled"]
_BY_CONTENT = UUID("6e1f6c0b-3d39-4c53-9f0a-0f2a4b7d9c11")


@dataclass(frozen=True)
class Policy:
    """Limits that the Region can change; read for the instant of the decision from the `policy` table."""

    offer_hours: int
    offer_hours_last: int
    last_days: int
    cut_off_hour: int
    party_seats_max: int
    registrations_per_person_max: int
    absences_max: int
    held_after_hours: int
    check_in_days: int
    ambassador_answer_working_days: int
    kit_days_max: int
    case_link_days: int

    @property
    def terms(self) -> Terms:
        """Those of the waiting lists."""
        return Terms(self.offer_hours, self.offer_hours_last, self.last_days, self.cut_off_hour)


# -- events


@dataclass(frozen=True)
class Stand:
    """A stand of a fair; of a virtual one, with its links."""

    title: str
    hall: str = ""
    rome_codes: tuple[str, ...] = ()
    url: str = ""
    chat_url: str = ""


@dataclass(frozen=True)
class Description:
    """Public description of an event; links of online events are shown to whom they concern, and not told on Kafka."""

    organiser_title: str
    kind: EventKind
    title: str
    summary: str
    access: EventAccess
    attendance_mode: AttendanceMode
    place_title: str | None = None
    commune_code: str | None = None
    audiences: tuple[str, ...] = ()
    rome_codes: tuple[str, ...] = ()
    under_represented: bool = False
    host_siret: str | None = None
    online_url: str | None = None
    chat_url: str | None = None
    test_url: str | None = None
    stands: tuple[Stand, ...] = ()
    fictitious: bool = False


NeedState = Literal["none", "wanted", "asked", "booked", "refused", "released"]


@dataclass(frozen=True)
class PlatformNeed:
    """The technical platform that an event needs, and what platform scheduling has answered; `request_id` once asked."""

    platform_id: UUID
    starts_at: datetime
    ends_at: datetime
    group_size: int
    habilitation_codes: tuple[str, ...] = ()
    request_id: UUID | None = None
    state: NeedState = "wanted"
    reason: str | None = None


@dataclass(frozen=True)
class Event:
    """The aggregate of an event's description and state; its sessions are aggregates of their own."""

    event_id: UUID
    organiser_id: UUID
    description: Description
    state: EventState = "draft"
    need: PlatformNeed | None = None
    cancelled_reason: str | None = None
    version: int = 0

    @property
    def need_state(self) -> NeedState:
        """Where the need for a platform stands."""
        return self.need.state if self.need is not None else "none"


@dataclass(frozen=True)
class EventDecision:
    """A new state of an event, the messages that tell of it, and what the request for a platform tells."""

    event: Event
    messages: tuple[Message, ...] = ()
    # Requests to tell, by id: asked or withdrawn; each is an aggregate of its own.
    asked: PlatformNeed | None = None
    withdrawn: PlatformNeed | None = None
    refusal: Refusal | None = None


# -- sessions


@dataclass(frozen=True)
class Plan:
    """Description of a session. Without `capacity_count` one comes without registering."""

    title: str
    purpose: SessionPurpose
    starts_at: datetime
    ends_at: datetime
    hall: str | None = None
    speaker: str | None = None
    online_url: str | None = None
    admission: Admission = Admission.EVERYONE
    capacity_count: int | None = None
    allocation: Allocation = Allocation.FIRST_COME
    draw_at: datetime | None = None
    opens_at: datetime | None = None

    @property
    def when_and_where(self) -> tuple[datetime, datetime, str | None]:
        """What somebody who comes has to know; another one is told to them."""
        return self.starts_at, self.ends_at, self.hall


@dataclass(frozen=True)
class Registration:
    """One party in one session. `revision` counts its changes."""

    registration_id: UUID
    party_id: UUID
    holder_id: UUID
    party_kind: PartyKind
    seat_count: int
    state: RegistrationState
    joined_at: datetime
    school_uai: str | None = None
    priority: int = 0
    lottery_key: str | None = None
    due_at: datetime | None = None
    visitor_count: int | None = None
    visitor_count_at: datetime | None = None
    end_reason: RegistrationEndReason | None = None
    ended_at: datetime | None = None
    revision: int = 0

    @property
    def place(self) -> Place:
        """As the waiting list sees it."""
        return Place(self.registration_id, self.seat_count, self.joined_at, self.priority, self.lottery_key)


@dataclass(frozen=True)
class Session:
    """The aggregate: a session with its counts, and those registrations that are looked at: due ones, and the one acted upon."""

    session_id: UUID
    event_id: UUID
    plan: Plan
    state: SessionState
    counts: Counts = field(default_factory=Counts)
    seed: str = ""
    drawn_at: datetime | None = None
    registrations: tuple[Registration, ...] = ()
    revision: int = 0
    version: int = 0

    @property
    def free_count(self) -> int:
        """Seats that nobody has and nobody is offered; those in line come before a newcomer."""
        return max(0, (self.plan.capacity_count or 0) - self.counts.taken)

    def known(self, registration_id: UUID) -> Registration | None:
        """One of the registrations that were loaded."""
        return next((one for one in self.registrations if one.registration_id == registration_id), None)

    def draws(self) -> bool:
        """Whether seats are still to be drawn: until then, everybody is in line."""
        return self.plan.allocation == Allocation.LOTTERY and self.drawn_at is None


@dataclass(frozen=True)
class Ask:
    """What a party asks of a session; `wait` means that it would stand in line."""

    party_id: UUID
    holder_id: UUID
    party_kind: PartyKind
    seat_count: int
    school_uai: str | None = None
    wait: bool = False


@dataclass(frozen=True)
class Decision:
    """A new state of a session, the messages that tell of it, and a refusal when the rule said no."""

    session: Session
    messages: tuple[Message, ...] = ()
    refusal: Refusal | None = None
    # The one that was asked about.
    registration: Registration | None = None

    def after(self, earlier: Decision) -> Decision:
        """The same decision with what an earlier one told first."""
        return replace(self, messages=(*earlier.messages, *self.messages))


@dataclass(frozen=True)
class CheckIn:
    """Somebody at the door read a party's code: how many came, by the clock of the device."""

    code: str
    visitor_count: int | None
    at: datetime
    reading_id: UUID | None = None

    @property
    def identity(self) -> UUID:
        """Its own id; of a device that gives none, what it says: a code, a number and an instant that come again are one."""
        return self.reading_id or uuid5(_BY_CONTENT, f"{self.code}:{self.visitor_count}:{self.at.timestamp()}")


@dataclass(frozen=True)
class Receipt:
    """What became of one check-in of a batch."""

    code: str
    outcome: Literal["accepted", "unchanged", "refused"]
    reason: str | None = None
    detail: str = ""
    visitor_count: int | None = None
