"""Generated from schemas/avro by `make schemas`; do not edit."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from common.messages import Message
from pydantic import AwareDatetime


class CafeCancellationReason(StrEnum):
    """
    Why a café does not take place.
    """

    UNKNOWN = 'UNKNOWN'
    UNDER_MINIMUM = 'UNDER_MINIMUM'
    CANCELLED_BY_COORDINATOR = 'CANCELLED_BY_COORDINATOR'


class CafeCancelled(Message):
    """
    The café does not take place; whoever had a seat or waited comes first in the next period.
    """

    namespace = "estuaire.parents_cafes"

    reason: CafeCancellationReason
    """
    Why.
    """


class CafeConfirmed(Message):
    """
    Seven days before, enough seats are taken: the café takes place.
    """

    namespace = "estuaire.parents_cafes"


class CafePeriod(StrEnum):
    """
    Key period of a school year.
    """

    UNKNOWN = 'UNKNOWN'
    OCTOBER = 'OCTOBER'
    DECEMBER = 'DECEMBER'
    FEBRUARY = 'FEBRUARY'


class CafeTheme(StrEnum):
    """
    What the exchange is about.
    """

    UNKNOWN = 'UNKNOWN'
    AFTER_GRADE_9 = 'AFTER_GRADE_9'
    AFTER_BACCALAUREATE = 'AFTER_BACCALAUREATE'
    VOCATIONAL_PATHS = 'VOCATIONAL_PATHS'
    TRADES = 'TRADES'
    SUPPORTING_A_TEENAGER = 'SUPPORTING_A_TEENAGER'
    STEREOTYPES = 'STEREOTYPES'
    DIGITAL_TOOLS = 'DIGITAL_TOOLS'


class VenueKind(StrEnum):
    """
    Kind of venue.
    """

    UNKNOWN = 'UNKNOWN'
    AGENCY = 'AGENCY'
    ASSOCIATION = 'ASSOCIATION'
    PUBLIC_SERVICE_HOUSE = 'PUBLIC_SERVICE_HOUSE'
    CAFE = 'CAFE'
    SCHOOL = 'SCHOOL'
    OTHER = 'OTHER'


class CafeStatus(StrEnum):
    """
    Whether registrations are taken, and whether it is certain.
    """

    UNKNOWN = 'UNKNOWN'
    PLANNED = 'PLANNED'
    OPEN = 'OPEN'
    CONFIRMED = 'CONFIRMED'


class CafeDescribed(Message):
    """
    A parents' café as everybody may know it: when, where, on what, its seats, whether it takes registrations.
    """

    namespace = "estuaire.parents_cafes"

    school_year: str
    """
    School year, `2026-2027`.
    """
    period: CafePeriod
    """
    Key period of the school year in which the café takes place.
    """
    theme: CafeTheme
    """
    What the exchange is about.
    """
    venue_id: UUID
    """
    The venue: a random id of this service.
    """
    venue_title: str
    """
    What the venue is called.
    """
    venue_kind: VenueKind
    """
    Kind of venue.
    """
    commune_code: str
    """
    INSEE code of the venue's commune.
    """
    starts_at: AwareDatetime
    """
    Beginning, UTC.
    """
    ends_at: AwareDatetime
    """
    End, UTC.
    """
    capacity_count: int
    """
    Seats of the café.
    """
    target_count: int
    """
    Seats that make a good group, by the policy then.
    """
    minimum_count: int
    """
    Seats below which the café does not take place, by the policy then.
    """
    status: CafeStatus
    """
    Planned, open to registrations, or confirmed seven days before.
    """
    opens_at: AwareDatetime | None = None
    """
    From when everybody may register; before it, only households that found no place in the period before. Null while planned.
    """
    fictitious: bool
    """
    Whether it is part of a demonstration.
    """
    registered_count: int
    """
    Seats of this café that are registered now, attended or not.
    """
    offered_count: int
    """
    Seats that are held by an offer to a household that waited.
    """
    waiting_count: int
    """
    Seats that those in line ask for.
    """


class CafeHeld(Message):
    """
    The café is over and its attendance is counted.
    """

    namespace = "estuaire.parents_cafes"

    attended_count: int | None = None
    """
    Parents who came; null when nobody counted them.
    """


class CafeMerged(Message):
    """
    Too few had registered seven days before: its households move to another café of the period, and this one does not take place.
    """

    namespace = "estuaire.parents_cafes"

    into_cafe_id: UUID
    """
    The café that receives them.
    """
    moved_seat_count: int
    """
    Seats that moved.
    """


class CafeSeatsOffered(Message):
    """
    Seats that came back are held for a household in line until it has answered.
    """

    namespace = "estuaire.parents_cafes"

    registration_id: UUID
    """
    The registration: one household in one café of a period; a merge moves it to another café.
    """
    household_id: UUID
    """
    The household: a random id of this service.
    """
    seat_count: int
    """
    Seats that the household takes, one or two, all or none.
    """
    expires_at: AwareDatetime
    """
    Until when they are held, UTC.
    """
    registered_count: int
    """
    Seats of this café that are registered now, attended or not.
    """
    offered_count: int
    """
    Seats that are held by an offer to a household that waited.
    """
    waiting_count: int
    """
    Seats that those in line ask for.
    """


class LeaveReason(StrEnum):
    """
    Why a registration is over.
    """

    UNKNOWN = 'UNKNOWN'
    CANCELLED_BY_HOUSEHOLD = 'CANCELLED_BY_HOUSEHOLD'
    CANCELLED_LATE = 'CANCELLED_LATE'
    CANCELLED_BY_COORDINATOR = 'CANCELLED_BY_COORDINATOR'
    MOVE_DECLINED = 'MOVE_DECLINED'
    CHANGED = 'CHANGED'
    OFFER_DECLINED = 'OFFER_DECLINED'
    OFFER_EXPIRED = 'OFFER_EXPIRED'
    NOT_SERVED = 'NOT_SERVED'


class HouseholdLeft(Message):
    """
    A household's registration, offer or place in line in this café is over.
    """

    namespace = "estuaire.parents_cafes"

    registration_id: UUID
    """
    The registration: one household in one café of a period; a merge moves it to another café.
    """
    reason: LeaveReason
    """
    Why.
    """
    registered_count: int
    """
    Seats of this café that are registered now, attended or not.
    """
    offered_count: int
    """
    Seats that are held by an offer to a household that waited.
    """
    waiting_count: int
    """
    Seats that those in line ask for.
    """


class MoveCause(StrEnum):
    """
    Why a household moved.
    """

    UNKNOWN = 'UNKNOWN'
    MERGED = 'MERGED'
    CHANGED = 'CHANGED'


class HouseholdMoved(Message):
    """
    A household has seats here that it had in another café of the period.
    """

    namespace = "estuaire.parents_cafes"

    registration_id: UUID
    """
    The registration: one household in one café of a period; a merge moves it to another café.
    """
    household_id: UUID
    """
    The household: a random id of this service.
    """
    seat_count: int
    """
    Seats that the household takes, one or two, all or none.
    """
    from_cafe_id: UUID
    """
    The café where it was.
    """
    cause: MoveCause
    """
    Its café was merged into this one, or it chose another.
    """
    answer_until: AwareDatetime | None = None
    """
    Until when it may change or cancel freely, the seats held; null when it chose.
    """
    registered_count: int
    """
    Seats of this café that are registered now, attended or not.
    """
    offered_count: int
    """
    Seats that are held by an offer to a household that waited.
    """
    waiting_count: int
    """
    Seats that those in line ask for.
    """


class HouseholdQueued(Message):
    """
    A household waits in line.
    """

    namespace = "estuaire.parents_cafes"

    registration_id: UUID
    """
    The registration: one household in one café of a period; a merge moves it to another café.
    """
    household_id: UUID
    """
    The household: a random id of this service.
    """
    seat_count: int
    """
    Seats that the household takes, one or two, all or none.
    """
    priority: int
    """
    Place in line: 2 the café was cancelled, 1 found no place, 0 nothing, less after late cancellations; higher first.
    """
    registered_count: int
    """
    Seats of this café that are registered now, attended or not.
    """
    offered_count: int
    """
    Seats that are held by an offer to a household that waited.
    """
    waiting_count: int
    """
    Seats that those in line ask for.
    """


class HouseholdRegistered(Message):
    """
    A household has its seats.
    """

    namespace = "estuaire.parents_cafes"

    registration_id: UUID
    """
    The registration: one household in one café of a period; a merge moves it to another café.
    """
    household_id: UUID
    """
    The household: a random id of this service.
    """
    seat_count: int
    """
    Seats that the household takes, one or two, all or none.
    """
    registered_count: int
    """
    Seats of this café that are registered now, attended or not.
    """
    offered_count: int
    """
    Seats that are held by an offer to a household that waited.
    """
    waiting_count: int
    """
    Seats that those in line ask for.
    """


class HouseholdResized(Message):
    """
    A household comes with one parent more, or fewer.
    """

    namespace = "estuaire.parents_cafes"

    registration_id: UUID
    """
    The registration: one household in one café of a period; a merge moves it to another café.
    """
    seat_count: int
    """
    Seats that the household takes, one or two, all or none.
    """
    registered_count: int
    """
    Seats of this café that are registered now, attended or not.
    """
    offered_count: int
    """
    Seats that are held by an offer to a household that waited.
    """
    waiting_count: int
    """
    Seats that those in line ask for.
    """


class HouseholdsRestated(Message):
    """
    After a restore: the households that this café has; others are over.
    """

    namespace = "estuaire.parents_cafes"

    registration_ids: list[UUID]
    """
    Registrations that are live, each told by the next messages.
    """
    held: bool
    """
    Whether the café is over.
    """
    attended_count: int
    """
    Parents who came so far.
    """
    registered_count: int
    """
    Seats of this café that are registered now, attended or not.
    """
    offered_count: int
    """
    Seats that are held by an offer to a household that waited.
    """
    waiting_count: int
    """
    Seats that those in line ask for.
    """


class ParentsCheckedIn(Message):
    """
    How many of a household came.
    """

    namespace = "estuaire.parents_cafes"

    registration_id: UUID
    """
    The registration: one household in one café of a period; a merge moves it to another café.
    """
    visitor_count: int
    """
    Parents of the household who came; zero corrects a mistake.
    """
    attended_count: int
    """
    Parents who came to this café so far.
    """
