"""Request bodies: parsed and checked once, before any rule."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints, field_validator, model_validator

from common.bodies import Body, Text, known, near
from common.case_links import CaseCode
from platform_scheduling.messages import BookingApproval, BookingRefusalReason
from platform_scheduling.state import Ask, Busy, Description, Span
from platform_scheduling.windows import LENGTH_MINUTES_MAX, Window, checked_rule
from territory.equipment import EQUIPMENT, checked_habilitation
from territory.identifiers import siret_is_valid, uai_is_valid
from territory.places import CommuneCode

UNITS_MAX, CAPACITY_MAX = 30, 500
# What an owner may set for a platform of its own.
_ACCESS_MAX = {
    "horizon_days": 365,
    "notice_hours": 24 * 60,
    "length_minutes_min": 600,
    "length_minutes_max": 1440,
    "gap_minutes": 240,
}
_NIL = UUID(int=0)

Paragraph = Annotated[
    str, StringConstraints(max_length=1000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$", strip_whitespace=True)
]


def checked_owner(value: str) -> str:
    """An owner's identifier, a UAI or a SIRET; `ValueError` when its check does not fit."""
    if not (uai_is_valid(value) or siret_is_valid(value)):
        raise ValueError("identifiant incorrect : un UAI ou un SIRET dont la clé est juste")
    return value


def _equipment(value: str) -> str:
    if value not in EQUIPMENT:
        raise ValueError(f"équipement inconnu : {value[:40]}")
    return value


def _to_the_minute(value: datetime) -> datetime:
    if near(value).second or value.microsecond:
        raise ValueError("à la minute près")
    return value


def _utc(value: datetime) -> datetime:
    return _to_the_minute(value).astimezone(UTC)


Note = Annotated[str, StringConstraints(max_length=120, pattern=r"^[^\x00-\x1f\x7f]*$")]
Instant = Annotated[AwareDatetime, AfterValidator(_utc)]
Habilitation = Annotated[str, AfterValidator(checked_habilitation)]


class PlatformBody(Body):
    """A technical platform: what, where, for how many, and what may be set otherwise than the Region's policy."""

    owner_title: Text
    title: Text
    commune_code: CommuneCode
    equipment_codes: list[Annotated[str, AfterValidator(_equipment)]] = Field(min_length=1, max_length=10)
    rncp_codes: list[Annotated[str, StringConstraints(pattern=r"^RNCP[0-9]{1,6}$")]] = Field(
        default_factory=list, max_length=20
    )
    capacity_count: int = Field(ge=1, le=CAPACITY_MAX)
    units: list[Text] = Field(default_factory=lambda: ["Plateau"], min_length=1, max_length=UNITS_MAX)
    accessible: bool = False
    habilitation_codes: list[Habilitation] = Field(default_factory=list, max_length=10)
    approval: Annotated[BookingApproval, AfterValidator(known)] = BookingApproval.OWNER
    access: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    rules: Paragraph = ""
    withdrawn: bool = False
    fictitious: bool = False

    @field_validator("access")
    @classmethod
    def _within_bounds(cls, value: dict[str, int]) -> dict[str, int]:
        for name, number in value.items():
            if name not in _ACCESS_MAX:
                raise ValueError(f"règle d’accès inconnue : {name[:40]}")
            if number > _ACCESS_MAX[name] or (number == 0 and name in ("horizon_days", "length_minutes_max")):
                raise ValueError(f"{name} : {_ACCESS_MAX[name]} au plus")
        if value.get("length_minutes_min", 0) > value.get("length_minutes_max", LENGTH_MINUTES_MAX):
            raise ValueError("la durée minimale dépasse la maximale")
        return value

    def description(self) -> Description:
        """As the rules have it."""
        facts = {name: getattr(self, name) for name in type(self).model_fields if name != "units"}
        lists = {
            name: tuple(dict.fromkeys(facts[name])) for name in ("equipment_codes", "rncp_codes", "habilitation_codes")
        }
        return Description(**{**facts, **lists})


class WindowBody(Body):
    """Time that is offered: a Paris wall clock, its length, and an RFC 5545 rule that repeats it."""

    starts_at_local: Annotated[datetime, AfterValidator(_to_the_minute)]
    length_minutes: int = Field(ge=15, le=LENGTH_MINUTES_MAX)
    rrule: Annotated[str, StringConstraints(max_length=200), AfterValidator(checked_rule)] | None = None
    in_school_holidays: bool = False
    in_public_holidays: bool = False

    @field_validator("starts_at_local")
    @classmethod
    def _is_a_wall_clock(cls, value: datetime) -> datetime:
        if value.tzinfo is not None:
            raise ValueError("heure de Paris, sans fuseau")
        return value

    def window(self, window_id: UUID) -> Window:
        """As the rules have it."""
        return Window(window_id, **dict(self))


class SlotBody(Body):
    """A slot of time."""

    starts_at: Instant
    ends_at: Instant

    @model_validator(mode="after")
    def _it_lasts(self) -> SlotBody:
        if self.starts_at >= self.ends_at:
            raise ValueError("la fin doit suivre le début")
        return self

    def span(self) -> Span:
        """As the rules have it."""
        return Span(self.starts_at, self.ends_at)


class MoveBody(SlotBody):
    """Another slot for a booking of the requester's own; `overlapping`: also beside what they have elsewhere at the same hour."""

    overlapping: bool = False


class BlockBody(SlotBody):
    """Time that the owner keeps, for the whole platform or one unit."""

    unit_number: int | None = Field(default=None, ge=1, le=UNITS_MAX)
    note: Note = ""

    def busy(self) -> Busy:
        """As the rules have it."""
        return Busy(self.span(), self.unit_number)


class CalendarBody(Body):
    """What the owner's own calendar keeps, with a note each; nothing at all replaces something only when told to."""

    spans: list[tuple[Span, str]]
    replace_with_nothing: bool = False


class BookingBody(MoveBody):
    """A booking that is asked for; `in_line` waits behind another's option, `overlapping` as for a move."""

    platform_id: UUID
    group_size: int = Field(ge=1, le=CAPACITY_MAX)
    habilitation_codes: list[Habilitation] = Field(default_factory=list, max_length=10)
    purpose: Paragraph = ""
    in_line: bool = False
    # Of the dropout observatory, where it is for one of its cases.
    case_code: CaseCode | None = None

    def ask(self) -> Ask:
        """As the rules have it; the handler fills in who asks."""
        return Ask(_NIL, self.span(), self.group_size, frozenset(self.habilitation_codes), self.in_line)


class RefusalBody(Body):
    """Why the owner refuses."""

    reason: Annotated[BookingRefusalReason, AfterValidator(known)]
