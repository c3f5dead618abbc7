"""What the rules speak of: a platform with its units and bookings, what is offered around a slot, the policy, a decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from common.failures import Refusal
from common.messages import Message
from platform_scheduling.messages import BookingApproval, BookingEndReason, BookingOrigin, BookingRefusalReason

BookingState = Literal["requested", "tentative", "approved", "done", "refused", "expired", "cancelled", "no_show"]

LIVE: frozenset[BookingState] = frozenset({"requested", "tentative", "approved"})
# These hold a unit: the database lets no two of them overlap on one.
HOLDING: frozenset[BookingState] = frozenset({"tentative", "approved"})


@dataclass(frozen=True, order=True)
class Span:
    """A slot of time, its end excluded; instants in UTC."""

    starts_at: datetime
    ends_at: datetime

    @property
    def minutes(self) -> int:
        """Real minutes, also on the days when the clocks change."""
        return round((self.ends_at - self.starts_at).total_seconds() / 60)

    def overlaps(self, other: Span) -> bool:
        """Whether the two share a moment; one that begins when the other ends does not."""
        return self.starts_at < other.ends_at and other.starts_at < self.ends_at


@dataclass(frozen=True)
class Policy:
    """Limits that the Region can change; read for the instant of the decision from the `policy` table."""

    horizon_days: int
    notice_hours: int
    length_minutes_min: int
    length_minutes_max: int
    gap_minutes: int
    answer_working_days: int
    bookings_per_requester_max: int
    late_cancellation_hours: int
    late_cancellations_max: int
    late_window_days: int
    no_show_days: int
    case_link_days: int

    def of(self, access: Mapping[str, int]) -> Policy:
        """With what one owner has set otherwise for a platform."""
        return replace(self, **access)


@dataclass(frozen=True)
class Description:
    """Public description of a platform; `capacity_count` people work in one unit."""

    owner_title: str
    title: str
    commune_code: str
    equipment_codes: tuple[str, ...]
    rncp_codes: tuple[str, ...]
    capacity_count: int
    accessible: bool
    habilitation_codes: tuple[str, ...]
    approval: BookingApproval
    access: Mapping[str, int]
    rules: str = ""
    withdrawn: bool = False
    fictitious: bool = False


@dataclass(frozen=True)
class Unit:
    """One of the places of a platform that can be booked side by side, numbered from 1."""

    unit_id: UUID
    number: int
    title: str


@dataclass(frozen=True)
class Busy:
    """Time that the owner keeps: of one unit, or of the whole platform."""

    span: Span
    unit_number: int | None = None


@dataclass(frozen=True)
class Booking:
    """A reservation. `occupied_until` is its end and the gap that the platform asks after it; `revision` counts its changes."""

    booking_id: UUID
    requester_id: UUID
    origin: BookingOrigin
    state: BookingState
    span: Span
    occupied_until: datetime
    group_size: int
    requested_at: datetime
    due_at: datetime | None
    unit_number: int | None = None
    request_id: UUID | None = None
    revision: int = 0
    late: bool = False
    refusal_reason: BookingRefusalReason | None = None
    ended_at: datetime | None = None
    end_reason: BookingEndReason | None = None
    # What its owner changed so that it ended, as codes of `commitments.Change`.
    broken_by: tuple[str, ...] = ()

    @property
    def occupied(self) -> Span:
        """What it takes of its unit."""
        return Span(self.span.starts_at, self.occupied_until)


@dataclass(frozen=True)
class Ask:
    """What somebody asks for; `in_line` means that they would wait behind another's option."""

    requester_id: UUID
    span: Span
    group_size: int
    habilitation_codes: frozenset[str] = frozenset()
    in_line: bool = False
    origin: BookingOrigin = BookingOrigin.PERSON
    request_id: UUID | None = None


@dataclass(frozen=True)
class Conduct:
    """What the policy looks at in a requester, who is locked: live bookings, late cancellations and no-shows of late."""

    live_count: int = 0
    late_count: int = 0


@dataclass(frozen=True)
class Platform:
    """The aggregate: a technical platform with its live bookings, oldest request first; one that ends stays until it is saved.

    `open` is what its windows offer around the slot that is asked for, `busy` what the owner keeps there.
    """

    platform_id: UUID
    owner_code: str
    description: Description
    units: tuple[Unit, ...]
    bookings: tuple[Booking, ...] = ()
    open: tuple[Span, ...] = ()
    busy: tuple[Busy, ...] = ()
    version: int = 0

    def offers(self, span: Span) -> bool:
        """Whether the windows cover a slot whole; windows that touch are as good as one."""
        reached = span.starts_at
        for window in sorted(self.open):
            if window.starts_at <= reached < window.ends_at:
                reached = window.ends_at
        return reached >= span.ends_at

    def free_unit(self, span: Span, occupied_until: datetime, *, but: UUID | None = None) -> int | None:
        """The first unit that nobody holds from a slot's begin until the gap after it is over, and that the owner does not keep."""
        wanted = Span(span.starts_at, occupied_until)
        held = {
            one.unit_number
            for one in self.bookings
            if one.state in HOLDING and one.booking_id != but and one.occupied.overlaps(wanted)
        }
        kept = {busy.unit_number for busy in self.busy if busy.span.overlaps(span)}
        if None in kept:
            return None
        return next((unit.number for unit in self.units if unit.number not in held | kept), None)


@dataclass(frozen=True)
class Decision:
    """A new state, the messages that tell of it, and a refusal when the rule said no (settling may still have changed things)."""

    platform: Platform
    messages: tuple[Message, ...] = ()
    refusal: Refusal | None = None
    # The one that was asked about; settling and moving up change others beside it.
    booking: Booking | None = None
    # Why a booking ended or is otherwise than it was made, by its id: what an owner changed under it.
    told: Mapping[UUID, str] = field(default_factory=dict)

    def after(self, earlier: Decision) -> Decision:
        """The same decision with what an earlier one told first."""
        return replace(self, messages=(*earlier.messages, *self.messages))
