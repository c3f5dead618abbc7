"""Request bodies: parsed and checked once, before any rule."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from common.bodies import Body, Email, Instant, Text, known
from parents_cafes.messages import CafeTheme, VenueKind
from parents_cafes.state import Plan, Venue
from territory.places import CommuneCode

HOURS_MAX = 6

Short = Annotated[str, StringConstraints(max_length=60, pattern=r"^[^\x00-\x1f\x7f]*$", strip_whitespace=True)]


Seats = Annotated[int, Field(ge=1, le=1000)]


class RequestBody(Body):
    """Somebody asks for a café: an address, how many parents, whether they would wait; what to call them there is theirs to say."""

    email: Email
    title: Short = ""
    seat_count: Seats = 1
    wait: bool = True


class ConfirmationBody(Body):
    """The link was followed; `wait` when it is full and they would stand in line after all."""

    wait: bool | None = None


class ActBody(Body):
    """What a household does with its registration: `warned` when it leaves late all the same."""

    registration_id: UUID
    seat_count: Seats = 1
    cafe_id: UUID | None = None
    warned: bool = False


class VenueBody(Body):
    """A venue."""

    title: Text
    kind: Annotated[VenueKind, AfterValidator(known)]
    commune_code: CommuneCode
    address: Annotated[
        str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$", strip_whitespace=True)
    ] = ""
    capacity_count: Seats = 20
    accessible: bool = False

    def venue(self, venue_id: UUID) -> Venue:
        """As the rules have it."""
        return Venue(venue_id, **self.model_dump())


class FacilitatorBody(Body):
    """Who runs exchanges."""

    title: Text
    email: Email


class CafeBody(Body):
    """A café as its coordinator plans it."""

    theme: Annotated[CafeTheme, AfterValidator(known)]
    venue_id: UUID
    facilitator_id: UUID
    starts_at: Instant
    ends_at: Instant
    capacity_count: Seats = 20
    fictitious: bool = False

    @model_validator(mode="after")
    def _lasts(self) -> CafeBody:
        hours = (self.ends_at - self.starts_at).total_seconds() / 3600
        if not 0 < hours <= HOURS_MAX:
            raise ValueError(f"un café finit après son début, {HOURS_MAX} heures plus tard au plus")
        return self

    def plan(self, venue: Venue) -> Plan:
        """As the rules have it."""
        return Plan(
            self.theme,
            venue,
            self.facilitator_id,
            self.starts_at,
            self.ends_at,
            self.capacity_count,
            self.fictitious,
        )


class CheckInBody(Body):
    """How many of a household came; zero corrects a mistake."""

    registration_id: UUID
    visitor_count: Annotated[int, Field(ge=0, le=100)]
