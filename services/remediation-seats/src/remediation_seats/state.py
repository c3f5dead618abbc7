"""What the rules speak of: the programme with its holds and its last declaration, and what a decision is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Literal
from uuid import UUID

from common.failures import Refusal
from common.messages import Message
from remediation_seats.messages import DeclarationSource, DeclarationWay, DeclineReason, EducationLevel, SeatCounts

HoldState = Literal["held", "confirmed", "admitted", "no_show", "declined", "expired", "withdrawn", "released"]

LIVE: frozenset[HoldState] = frozenset({"held", "confirmed"})


@dataclass(frozen=True)
class Policy:
    """Limits that the law or the Region can change; read for the instant of the decision from the `policy` table."""

    holds_per_young_person_max: int
    holds_per_prescriber_max: int
    hold_working_days: int
    extensions_max: int
    no_show_working_days: int
    ageing_days: int
    stale_days: int
    observed_ahead_minutes_max: int
    arrival_days_max: int
    alerts_per_prescriber_max: int
    alert_days: int
    reminder_days: int
    presence_reminders_max: int
    presence_reminder_days: int
    presence_days: int
    case_link_days: int


@dataclass(frozen=True)
class Hold:
    """A seat kept for a young person."""

    hold_id: UUID
    programme_id: UUID
    young_person_id: UUID
    prescriber_id: str
    state: HoldState
    held_at: datetime
    expires_at: datetime
    extension_count: int = 0
    arrival_on: date | None = None
    no_show_at: datetime | None = None
    admitted_at: datetime | None = None
    ended_at: datetime | None = None
    decline_reason: DeclineReason | None = None

    @property
    def due_at(self) -> datetime | None:
        """When time will end this hold if nobody acts."""
        return {"held": self.expires_at, "confirmed": self.no_show_at}.get(self.state)


@dataclass(frozen=True)
class Declaration:
    """What a structure saw: absolute total and taken, as of `observed_at`. `source` is told, and no rule needs it after."""

    total_count: int
    taken_count: int
    observed_at: datetime
    way: DeclarationWay
    sequence: int | None = None
    source: DeclarationSource | None = None


@dataclass(frozen=True)
class Conditions:
    """Public description of a programme and its entry conditions; ages in years, bounds included."""

    title: str
    rome_codes: tuple[str, ...]
    rncp_code: str | None
    age_min: int
    age_max: int
    level_min: EducationLevel
    boarding: bool
    wheelchair_accessible: bool
    intake_on: date | None
    open: bool = True


@dataclass(frozen=True)
class Profile:
    """What a prescriber tells of a young person's situation in order to find a place; never stored."""

    age: int | None = None
    level: EducationLevel | None = None
    needs_boarding: bool = False
    needs_wheelchair_access: bool = False
    intake_by: date | None = None


@dataclass(frozen=True)
class Programme:
    """The aggregate: a pool of seats, its holds, its last declaration.

    `holds` has every live hold, and those admitted after the declaration. `admitted_count` counts admissions that the
    declaration cannot contain; `excess_count` live holds that a lower declaration left without a seat.
    """

    programme_id: UUID
    structure_id: UUID
    conditions: Conditions
    declaration: Declaration | None = None
    admitted_count: int = 0
    excess_count: int = 0
    holds: tuple[Hold, ...] = ()
    version: int = 0

    @property
    def live(self) -> tuple[Hold, ...]:
        """Held or confirmed, oldest first."""
        return tuple(hold for hold in self.holds if hold.state in LIVE)

    @property
    def counts(self) -> SeatCounts:
        """The counts that every message carries."""
        total = self.declaration.total_count if self.declaration else 0
        taken = self.declaration.taken_count if self.declaration else 0
        return SeatCounts(
            total_count=total,
            taken_count=taken,
            admitted_count=self.admitted_count,
            held_count=len(self.live),
            free_count=max(0, total - taken - self.admitted_count - len(self.live)),
            excess_count=self.excess_count,
            observed_at=self.declaration.observed_at if self.declaration else None,
        )

    def hold(self, hold_id: UUID) -> Hold:
        """One of its holds."""
        return next(hold for hold in self.holds if hold.hold_id == hold_id)


@dataclass(frozen=True)
class Decision:
    """A new state, the messages that tell of it, and a refusal when the rule said no (settling may still have changed things)."""

    programme: Programme
    messages: tuple[Message, ...] = ()
    refusal: Refusal | None = None
    notes: dict[str, object] = field(default_factory=dict)

    def then(self, messages: Sequence[Message]) -> Decision:
        """The same decision, with earlier messages first."""
        return replace(self, messages=(*messages, *self.messages))
