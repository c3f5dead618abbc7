"""Generated from schemas/avro by `make schemas`; do not edit."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from common.messages import Message, Part
from pydantic import AwareDatetime


class PlatformRequestWithdrawn(Message):
    """
    The event no longer needs the platform; platform scheduling answers with PlatformReleased or PlatformRefused unless it has refused before. The key is the request's id.
    """

    namespace = "estuaire.events"

    for_event_id: UUID
    """
    The outreach event that needs the platform.
    """
    platform_id: UUID
    """
    The technical platform.
    """


class PlatformRequested(Message):
    """
    An event needs a technical platform; platform scheduling answers once with PlatformBooked or PlatformRefused. The key is the request's id.
    """

    namespace = "estuaire.events"

    for_event_id: UUID
    """
    The outreach event that needs the platform.
    """
    platform_id: UUID
    """
    The technical platform.
    """
    organiser_id: UUID
    """
    Who organises the event: a random id of the events service.
    """
    starts_at: AwareDatetime
    """
    Begin of the slot, UTC.
    """
    ends_at: AwareDatetime
    """
    End of the slot, UTC; after its begin.
    """
    group_size: int
    """
    People who come, at least one.
    """
    habilitation_codes: list[str]
    """
    Safety habilitations that the person in charge of the group holds.
    """


class BookingOrigin(StrEnum):
    """
    How a booking came.
    """

    UNKNOWN = 'UNKNOWN'
    PERSON = 'PERSON'
    EVENT = 'EVENT'


class BookingApproved(Message):
    """
    A booking is approved.
    """

    namespace = "estuaire.platform_scheduling"

    booking_id: UUID
    """
    The booking.
    """
    requester_id: UUID
    """
    Who books: a random id of this service that stands for an account or for an organiser of events.
    """
    origin: BookingOrigin
    """
    Whether a person asked on a page or by the API, or the events service for an event.
    """
    unit_number: int
    """
    Unit of the platform that it takes, from 1 on.
    """
    starts_at: AwareDatetime
    """
    Begin of the slot, UTC.
    """
    ends_at: AwareDatetime
    """
    End of the slot, UTC; after its begin.
    """
    group_size: int
    """
    People who come, at least one.
    """


class BookingEndReason(StrEnum):
    """
    Why a booking ended.
    """

    UNKNOWN = 'UNKNOWN'
    DONE = 'DONE'
    REFUSED = 'REFUSED'
    EXPIRED = 'EXPIRED'
    CANCELLED_BY_REQUESTER = 'CANCELLED_BY_REQUESTER'
    CANCELLED_BY_OWNER = 'CANCELLED_BY_OWNER'
    CANCELLED_BY_EVENT = 'CANCELLED_BY_EVENT'
    NO_SHOW = 'NO_SHOW'


class BookingRefusalReason(StrEnum):
    """
    Why the owner refused.
    """

    UNKNOWN = 'UNKNOWN'
    MAINTENANCE = 'MAINTENANCE'
    SUPERVISION = 'SUPERVISION'
    SAFETY = 'SAFETY'
    PURPOSE = 'PURPOSE'
    OTHER = 'OTHER'


class BookingEnded(Message):
    """
    A booking takes its slot no longer, or has taken place. A no-show may follow the end of a booking that was taken for done.
    """

    namespace = "estuaire.platform_scheduling"

    booking_id: UUID
    """
    The booking.
    """
    reason: BookingEndReason
    """
    Why it ended.
    """
    refusal_reason: BookingRefusalReason | None = None
    """
    Why the owner refused; null otherwise.
    """
    late: bool
    """
    Whether it was cancelled later than the policy asks.
    """


class BookingHeld(Message):
    """
    A booking holds its slot until the owner has answered.
    """

    namespace = "estuaire.platform_scheduling"

    booking_id: UUID
    """
    The booking.
    """
    requester_id: UUID
    """
    Who books: a random id of this service that stands for an account or for an organiser of events.
    """
    origin: BookingOrigin
    """
    Whether a person asked on a page or by the API, or the events service for an event.
    """
    unit_number: int
    """
    Unit of the platform that it takes, from 1 on.
    """
    starts_at: AwareDatetime
    """
    Begin of the slot, UTC.
    """
    ends_at: AwareDatetime
    """
    End of the slot, UTC; after its begin.
    """
    group_size: int
    """
    People who come, at least one.
    """
    expires_at: AwareDatetime
    """
    When it ends by itself if the owner is silent, UTC.
    """


class BookingMoved(Message):
    """
    A booking was moved to another slot.
    """

    namespace = "estuaire.platform_scheduling"

    booking_id: UUID
    """
    The booking.
    """
    unit_number: int
    """
    Unit of the platform that it takes, from 1 on.
    """
    starts_at: AwareDatetime
    """
    Begin of the slot, UTC.
    """
    ends_at: AwareDatetime
    """
    End of the slot, UTC; after its begin.
    """
    group_size: int
    """
    People who come, at least one.
    """
    expires_at: AwareDatetime | None = None
    """
    When it ends by itself if the owner is silent about the new slot, UTC; null when it stays approved.
    """


class BookingRequested(Message):
    """
    A booking waits in line: somebody else's option holds the slot, and this one takes nothing yet.
    """

    namespace = "estuaire.platform_scheduling"

    booking_id: UUID
    """
    The booking.
    """
    requester_id: UUID
    """
    Who books: a random id of this service that stands for an account or for an organiser of events.
    """
    origin: BookingOrigin
    """
    Whether a person asked on a page or by the API, or the events service for an event.
    """
    starts_at: AwareDatetime
    """
    Begin of the slot, UTC.
    """
    ends_at: AwareDatetime
    """
    End of the slot, UTC; after its begin.
    """
    group_size: int
    """
    People who come, at least one.
    """
    expires_at: AwareDatetime
    """
    When it ends by itself, UTC.
    """


class BookingsRestated(Message):
    """
    After this service's database was restored to an earlier point: these are the live bookings of the platform, each told anew next; any other that was told of is gone.
    """

    namespace = "estuaire.platform_scheduling"

    booking_ids: list[UUID]
    """
    The live bookings.
    """


class PlatformBooked(Message):
    """
    A request of the events service has its platform. The key is the request's id.
    """

    namespace = "estuaire.platform_scheduling"

    for_event_id: UUID
    """
    The outreach event that needs the platform.
    """
    platform_id: UUID
    """
    The technical platform.
    """
    booking_id: UUID
    """
    The booking.
    """
    starts_at: AwareDatetime
    """
    Begin of the slot, UTC.
    """
    ends_at: AwareDatetime
    """
    End of the slot, UTC; after its begin.
    """


class Equipment(Part):
    """
    A kind of equipment.
    """

    equipment_code: str
    """
    Code in the glossary's list of equipment, such as usinage.
    """
    title: str
    """
    French title of the equipment.
    """
    rome_codes: list[str]
    """
    ROME codes of the trades that use it.
    """


class BookingApproval(StrEnum):
    """
    Who approves a booking.
    """

    UNKNOWN = 'UNKNOWN'
    OWNER = 'OWNER'
    AUTOMATIC = 'AUTOMATIC'


class PlatformDescribed(Message):
    """
    A technical platform was published or its description changed; carries the whole description.
    """

    namespace = "estuaire.platform_scheduling"

    owner_uai: str | None = None
    """
    UAI of the school that owns it; null when the owner is not a school.
    """
    owner_siret: str | None = None
    """
    SIRET of the organisation that owns it; null when the owner is a school.
    """
    owner_title: str
    """
    Public title of the owner.
    """
    title: str
    """
    Public title of the platform.
    """
    commune_code: str
    """
    INSEE code of its commune.
    """
    equipment: list[Equipment]
    """
    What it is equipped for.
    """
    rncp_codes: list[str]
    """
    Certifications (RNCP) that it serves, as the owner gave them.
    """
    capacity_count: int
    """
    People whom one unit takes at a time.
    """
    unit_count: int
    """
    Units that can be booked side by side.
    """
    accessible: bool
    """
    Whether a wheelchair user can work there.
    """
    habilitation_codes: list[str]
    """
    Safety habilitations that the person in charge of a group must hold.
    """
    approval: BookingApproval
    """
    Whether the owner answers each request or a free slot is approved at once.
    """
    withdrawn: bool
    """
    Whether it is no longer offered.
    """
    fictitious: bool
    """
    Whether it is part of a demonstration.
    """


class PlatformRefusalReason(StrEnum):
    """
    Why a request was refused.
    """

    UNKNOWN = 'UNKNOWN'
    PLATFORM_UNKNOWN = 'PLATFORM_UNKNOWN'
    NOT_OFFERED = 'NOT_OFFERED'
    SLOT_TAKEN = 'SLOT_TAKEN'
    GROUP_TOO_LARGE = 'GROUP_TOO_LARGE'
    HABILITATION_MISSING = 'HABILITATION_MISSING'
    OUTSIDE_LIMITS = 'OUTSIDE_LIMITS'
    OWNER_REFUSED = 'OWNER_REFUSED'
    OWNER_SILENT = 'OWNER_SILENT'
    REQUEST_WITHDRAWN = 'REQUEST_WITHDRAWN'


class PlatformRefused(Message):
    """
    A request of the events service does not get its platform; nothing is booked. The key is the request's id.
    """

    namespace = "estuaire.platform_scheduling"

    for_event_id: UUID
    """
    The outreach event that needs the platform.
    """
    platform_id: UUID
    """
    The technical platform.
    """
    reason: PlatformRefusalReason
    """
    Why.
    """


class PlatformReleaseReason(StrEnum):
    """
    Why a booked platform was released.
    """

    UNKNOWN = 'UNKNOWN'
    OWNER_CANCELLED = 'OWNER_CANCELLED'
    REQUEST_WITHDRAWN = 'REQUEST_WITHDRAWN'


class PlatformReleased(Message):
    """
    The platform that a request had is free again. The key is the request's id.
    """

    namespace = "estuaire.platform_scheduling"

    for_event_id: UUID
    """
    The outreach event that needs the platform.
    """
    platform_id: UUID
    """
    The technical platform.
    """
    booking_id: UUID
    """
    The booking.
    """
    reason: PlatformReleaseReason
    """
    Who gave it up.
    """


class OfferedWeek(Part):
    """
    Time offered in one ISO week.
    """

    iso_week: str
    """
    ISO week, such as 2027-W06, of Paris time.
    """
    offered_minutes: int
    """
    Minutes of the owner's windows less what the owner blocked, summed over the units.
    """


class TimeOffered(Message):
    """
    The time that the owner offers has changed in some weeks; weeks that are not listed are unchanged. Why it changed stays hidden.
    """

    namespace = "estuaire.platform_scheduling"

    weeks: list[OfferedWeek]
    """
    The weeks that changed.
    """
