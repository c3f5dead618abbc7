"""What the rules speak of: periods, a café with its households' registrations, what is known of a household, the policy, a decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from typing import Literal, get_args
from uuid import UUID

from common.failures import Refusal
from common.messages import Message
from parents_cafes.messages import CafePeriod, CafeTheme, VenueKind
from waiting_list.rules import PARIS, Counts, Place, RegistrationState, Terms

CafeState = Literal["planned", "open", "confirmed", "held", "merged", "cancelled"]
# Why a registration is over: the reasons that are told, and those that the café's own end tells for all.
EndReason = Literal[
    "CANCELLED_BY_HOUSEHOLD",
    "CANCELLED_LATE",
    "CANCELLED_BY_COORDINATOR",
    "MOVE_DECLINED",
    "OFFER_DECLINED",
    "OFFER_EXPIRED",
    "NOT_SERVED",
    "CAFE_CANCELLED",
]
# What households are told of a café that is planned otherwise, what matters most first.
Word = Literal["inaccessible", "changed", "theme"]
WORDS: tuple[Word, ...] = get_args(Word)
_PERIODS = (CafePeriod.OCTOBER, CafePeriod.DECEMBER, CafePeriod.FEBRUARY)
_FIRST_MONTH = 9


@dataclass(frozen=True)
class Period:
    """A key period of a school year (`2026-2027`)."""

    school_year: str
    name: CafePeriod

    @property
    def before(self) -> Period:
        """The period before it, perhaps of the school year before."""
        nth = _PERIODS.index(self.name)
        if nth:
            return Period(self.school_year, _PERIODS[nth - 1])
        first = int(self.school_year[:4]) - 1
        return Period(f"{first}-{first + 1}", _PERIODS[-1])

    @property
    def after(self) -> Period:
        """The period after it, perhaps of the school year after."""
        nth = _PERIODS.index(self.name) + 1
        if nth < len(_PERIODS):
            return Period(self.school_year, _PERIODS[nth])
        first = int(self.school_year[:4]) + 1
        return Period(f"{first}-{first + 1}", _PERIODS[0])

    @property
    def order(self) -> tuple[str, int]:
        """Sorts periods by time."""
        return (self.school_year, _PERIODS.index(self.name))


@dataclass(frozen=True)
class Policy:
    """Limits that the Region can change; read for the instant of the decision from the `policy` table."""

    offer_hours: int
    offer_hours_last: int
    last_days: int
    cut_off_hour: int
    capacity_max: int
    target_count: int
    minimum_count: int
    household_seats_max: int
    # The pass: so many days before, at an hour of the Paris day; how far ahead and how near a café that receives must be.
    review_days: int
    review_hour: int
    merge_ahead_hours: int
    merge_km_max: int
    move_answer_hours: int
    late_hours: int
    late_memory_days: int
    reminder_hours: int
    early_hours: int
    near_km: int
    lead_days: int
    held_after_hours: int
    check_in_days: int
    request_hours: int
    requests_per_day_max: int
    # How long after a household's last café its address is kept; while it has priority, it is.
    contact_days: int
    # Period to its first and last day of the year (`MM-DD`), none over a turn of the year.
    periods: Mapping[str, tuple[str, str]]

    @property
    def terms(self) -> Terms:
        """Those of the waiting lists."""
        return Terms(self.offer_hours, self.offer_hours_last, self.last_days, self.cut_off_hour)

    def period_of(self, on: date) -> Period | None:
        """In which period a day is, if any."""
        for name in _PERIODS:
            first, last = self.periods[name.value]
            if first <= f"{on:%m-%d}" <= last:
                year = on.year - (on.month < _FIRST_MONTH)
                return Period(f"{year}-{year + 1}", name)
        return None

    def period_at(self, on: date) -> Period:
        """The period of a day, or the next one."""
        while (found := self.period_of(on)) is None:
            on += timedelta(days=1)
        return found

    def review_at(self, starts_at: datetime) -> datetime:
        """When the pass looks at a café."""
        on = starts_at.astimezone(PARIS).date() - timedelta(days=self.review_days)
        return datetime.combine(on, time(self.review_hour), PARIS)


@dataclass(frozen=True)
class Coordinator:
    """Who acts on a season: an account, where it is written to, and whether it may help every coordinator, as the agency does."""

    account: str
    contact_email: str | None = None
    may_all: bool = False


@dataclass(frozen=True)
class Venue:
    """Where cafés take place."""

    venue_id: UUID
    title: str
    kind: VenueKind
    commune_code: str
    capacity_count: int
    address: str = ""
    accessible: bool = False


@dataclass(frozen=True)
class Plan:
    """Description of a café, without what follows from it."""

    theme: CafeTheme
    venue: Venue
    facilitator_id: UUID
    starts_at: datetime
    ends_at: datetime
    capacity_count: int
    fictitious: bool = False


@dataclass(frozen=True)
class Registration:
    """One household in one café of a period. `revision` counts its changes; `moved_until` is when the free choice after a merge or a change ends."""

    registration_id: UUID
    holder_id: UUID
    seat_count: int
    state: RegistrationState
    joined_at: datetime
    priority: int = 0
    due_at: datetime | None = None
    visitor_count: int | None = None
    moved_from_id: UUID | None = None
    moved_until: datetime | None = None
    end_reason: EndReason | None = None
    ended_at: datetime | None = None
    revision: int = 0

    @property
    def place(self) -> Place:
        """As the waiting list sees it."""
        return Place(self.registration_id, self.seat_count, self.joined_at, self.priority)

    def may_choose(self, now: datetime) -> bool:
        """Whether a merge moved it, or its café changed, and it may still change or cancel freely."""
        return self.moved_until is not None and now < self.moved_until


@dataclass(frozen=True)
class Cafe:
    """The aggregate: a café with its counts, and those registrations that are looked at: due ones, and the one acted upon."""

    cafe_id: UUID
    coordinator_id: UUID
    plan: Plan
    period: Period
    state: CafeState
    counts: Counts = field(default_factory=Counts)
    opens_at: datetime | None = None
    # When the pass looks at it next; None when it has, or when registrations are not open.
    review_at: datetime | None = None
    # The day (Paris) on which it last received households: the pass of that day does not dissolve it.
    received_on: date | None = None
    # When who runs it was sent the list of the day; another day is told anew.
    reminded_at: datetime | None = None
    merged_into_id: UUID | None = None
    registrations: tuple[Registration, ...] = ()
    revision: int = 0
    version: int = 0

    @property
    def free_count(self) -> int:
        """Seats that nobody has and nobody is offered; those in line come before a newcomer."""
        return max(0, self.plan.capacity_count - self.counts.taken)

    @property
    def takes_registrations(self) -> bool:
        """Whether it is announced and not over."""
        return self.state in ("open", "confirmed")

    @property
    def stands(self) -> bool:
        """Whether it is planned or announced, and not over: what may still be changed."""
        return self.state == "planned" or self.takes_registrations

    def has_begun(self, now: datetime) -> bool:
        """Whether its hour has come, or somebody who came before it was checked in; what was never announced does not begin."""
        return self.state != "planned" and (now >= self.plan.starts_at or self.counts.attended > 0)

    def known(self, registration_id: UUID) -> Registration | None:
        """One of the registrations that were loaded."""
        return next((one for one in self.registrations if one.registration_id == registration_id), None)

    def with_(self, before: Registration | None, after: Registration | None) -> Cafe:
        """The café with a registration that came, went or changed, and the counts that follow."""
        known = {one.registration_id: one for one in self.registrations}
        if before is not None:
            known.pop(before.registration_id, None)
        if after is not None:
            known[after.registration_id] = after
        return replace(self, registrations=tuple(known.values()), counts=self.counts.changed(before, after))


@dataclass(frozen=True)
class Outcome:
    """What became of one registration of a household, newest first in a list of them."""

    state: RegistrationState
    end_reason: EndReason | None


@dataclass(frozen=True)
class Conduct:
    """What the policy looks at in a household, which is locked."""

    # Of this period and the one before, newest first.
    recent: tuple[Outcome, ...] = ()
    # Late cancellations and absences that are still remembered.
    late_count: int = 0
    # Whether it is registered or waits in the period already.
    is_in_period: bool = False


@dataclass(frozen=True)
class Ask:
    """What a household asks of a café; `wait` means that it would stand in line."""

    household_id: UUID
    seat_count: int
    wait: bool = False


@dataclass(frozen=True)
class Decision:
    """A new state of a café, the messages that tell of it, and a refusal when the rule said no."""

    cafe: Cafe
    messages: tuple[Message, ...] = ()
    refusal: Refusal | None = None
    # The one that was asked about.
    registration: Registration | None = None

    def after(self, earlier: Decision) -> Decision:
        """The same decision with what an earlier one told first."""
        return replace(self, messages=(*earlier.messages, *self.messages))
