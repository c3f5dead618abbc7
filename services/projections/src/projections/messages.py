"""Generated from schemas/avro by `make schemas`; do not edit."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from uuid import UUID

from common.messages import Message, Part
from pydantic import AwareDatetime


class EventCancellationReason(StrEnum):
    """
    Why an event does not take place.
    """

    UNKNOWN = 'UNKNOWN'
    CANCELLED_BY_ORGANISER = 'CANCELLED_BY_ORGANISER'
    PLATFORM_RELEASED = 'PLATFORM_RELEASED'


class EventCancelled(Message):
    """
    The event does not take place; its sessions are cancelled with it.
    """

    namespace = "estuaire.events"

    reason: EventCancellationReason
    """
    Why.
    """


class EventKind(StrEnum):
    """
    Kinds of outreach events of the Region's strategy.
    """

    UNKNOWN = 'UNKNOWN'
    REGIONAL_FAIR = 'REGIONAL_FAIR'
    THEMATIC_DAY = 'THEMATIC_DAY'
    COMPANY_VISIT = 'COMPANY_VISIT'
    CAREERS_FORUM = 'CAREERS_FORUM'
    OPEN_DAY = 'OPEN_DAY'
    VIRTUAL_FAIR = 'VIRTUAL_FAIR'
    PROFESSIONAL_WORKSHOP = 'PROFESSIONAL_WORKSHOP'
    IMMERSION_DAY = 'IMMERSION_DAY'
    FAMILY_CONFERENCES = 'FAMILY_CONFERENCES'
    PSAD_GROUP = 'PSAD_GROUP'
    COMMITTEE = 'COMMITTEE'
    PLENARY = 'PLENARY'
    HIGHLIGHT = 'HIGHLIGHT'
    ACQUAINTANCE_MEETING = 'ACQUAINTANCE_MEETING'


class EventStatus(StrEnum):
    """
    Whether an event takes place.
    """

    UNKNOWN = 'UNKNOWN'
    AWAITING_PLATFORM = 'AWAITING_PLATFORM'
    CONFIRMED = 'CONFIRMED'


class EventAccess(StrEnum):
    """
    Whom an event is for.
    """

    UNKNOWN = 'UNKNOWN'
    OPEN = 'OPEN'
    PROFESSIONALS = 'PROFESSIONALS'
    INVITATION = 'INVITATION'


class AttendanceMode(StrEnum):
    """
    Where one takes part.
    """

    UNKNOWN = 'UNKNOWN'
    ON_SITE = 'ON_SITE'
    ONLINE = 'ONLINE'
    MIXED = 'MIXED'


class EventDescribed(Message):
    """
    The whole public description of an outreach event, from its first confirmation on.
    """

    namespace = "estuaire.events"

    organiser_id: UUID
    """
    Who organises it: a random id of this service.
    """
    organiser_title: str
    """
    The organisation that the public reads as organiser.
    """
    kind: EventKind
    """
    What kind of event it is.
    """
    title: str
    """
    Public title.
    """
    summary: str
    """
    Public text of a few lines.
    """
    status: EventStatus
    """
    Awaits an answer for its technical platform, or is confirmed.
    """
    access: EventAccess
    """
    Everyone, professionals, or those who were invited; the last are shown to nobody else.
    """
    attendance_mode: AttendanceMode
    """
    On the spot, by a link, or both.
    """
    place_title: str | None = None
    """
    Where it is, as visitors know it.
    """
    commune_code: str | None = None
    """
    INSEE code of the commune; null when it is only online.
    """
    audiences: list[str]
    """
    Whom it speaks to: eleves, etudiants, familles, jeunes, adultes, professionnels, groupes.
    """
    rome_codes: list[str]
    """
    Trades that are shown (ROME 4.0).
    """
    under_represented: bool
    """
    Whether it shows trades to the sex that is rare in them.
    """
    host_siret: str | None = None
    """
    SIRET of the organisation that opens its doors.
    """
    stand_count: int
    """
    Stands that are announced.
    """
    platform_id: UUID | None = None
    """
    The technical platform that is booked for it.
    """
    fictitious: bool
    """
    Whether it belongs to a demonstration.
    """


class RegistrationEndReason(StrEnum):
    """
    Why a registration ended.
    """

    UNKNOWN = 'UNKNOWN'
    CANCELLED_BY_REGISTRANT = 'CANCELLED_BY_REGISTRANT'
    CANCELLED_BY_ORGANISER = 'CANCELLED_BY_ORGANISER'
    OFFER_DECLINED = 'OFFER_DECLINED'
    OFFER_EXPIRED = 'OFFER_EXPIRED'
    ABSENCES = 'ABSENCES'
    NOT_SERVED = 'NOT_SERVED'
    SESSION_CANCELLED = 'SESSION_CANCELLED'


class RegistrationEnded(Message):
    """
    A registration, an offer or a place in line is over before the session.
    """

    namespace = "estuaire.events"

    registration_id: UUID
    """
    The registration.
    """
    reason: RegistrationEndReason
    """
    Given up by its party, by the organiser; an offer declined or not answered; released after absences in the same cycle; nobody left a seat before the cut-off; ended with its session, which SessionCancelled tells.
    """
    registered_count: int
    """
    Seats of this session that are registered now, attended or not.
    """
    offered_count: int
    """
    Seats that are held by an offer to somebody who waited.
    """
    waiting_count: int
    """
    Seats that those in line ask for.
    """


class PartyKind(StrEnum):
    """
    Who comes together.
    """

    UNKNOWN = 'UNKNOWN'
    INDIVIDUAL = 'INDIVIDUAL'
    GROUP = 'GROUP'


class RegistrationMade(Message):
    """
    A party has its seats, at once, by the draw, or by accepting an offer.
    """

    namespace = "estuaire.events"

    registration_id: UUID
    """
    The registration: one party in one session.
    """
    party_id: UUID
    """
    Who comes together, in all sessions of the event: a random id of this service.
    """
    party_kind: PartyKind
    """
    A person with those who come along, or a group of a school.
    """
    school_uai: str | None = None
    """
    UAI of the group's school; null for individuals.
    """
    seat_count: int
    """
    Seats that the party takes, all or none.
    """
    registered_count: int
    """
    Seats of this session that are registered now, attended or not.
    """
    offered_count: int
    """
    Seats that are held by an offer to somebody who waited.
    """
    waiting_count: int
    """
    Seats that those in line ask for.
    """


class RegistrationQueued(Message):
    """
    A party waits in line.
    """

    namespace = "estuaire.events"

    registration_id: UUID
    """
    The registration: one party in one session.
    """
    party_id: UUID
    """
    Who comes together, in all sessions of the event: a random id of this service.
    """
    party_kind: PartyKind
    """
    A person with those who come along, or a group of a school.
    """
    school_uai: str | None = None
    """
    UAI of the group's school; null for individuals.
    """
    seat_count: int
    """
    Seats that the party takes, all or none.
    """
    registered_count: int
    """
    Seats of this session that are registered now, attended or not.
    """
    offered_count: int
    """
    Seats that are held by an offer to somebody who waited.
    """
    waiting_count: int
    """
    Seats that those in line ask for.
    """


class RegistrationResized(Message):
    """
    A party comes with more or fewer people.
    """

    namespace = "estuaire.events"

    registration_id: UUID
    """
    The registration.
    """
    seat_count: int
    """
    Seats that it takes from now on.
    """
    registered_count: int
    """
    Seats of this session that are registered now, attended or not.
    """
    offered_count: int
    """
    Seats that are held by an offer to somebody who waited.
    """
    waiting_count: int
    """
    Seats that those in line ask for.
    """


class RegistrationsRestated(Message):
    """
    Which registrations the session has, after its database was restored; others that were told are gone.
    """

    namespace = "estuaire.events"

    registration_ids: list[UUID]
    """
    Registrations, offers and places in line.
    """
    held: bool
    """
    Whether its attendance was counted.
    """
    attended_count: int
    """
    People checked in.
    """
    registered_count: int
    """
    Seats of this session that are registered now, attended or not.
    """
    offered_count: int
    """
    Seats that are held by an offer to somebody who waited.
    """
    waiting_count: int
    """
    Seats that those in line ask for.
    """


class SeatsOffered(Message):
    """
    Seats that came back are held for a party that waited.
    """

    namespace = "estuaire.events"

    registration_id: UUID
    """
    The registration: one party in one session.
    """
    party_id: UUID
    """
    Who comes together, in all sessions of the event: a random id of this service.
    """
    party_kind: PartyKind
    """
    A person with those who come along, or a group of a school.
    """
    school_uai: str | None = None
    """
    UAI of the group's school; null for individuals.
    """
    seat_count: int
    """
    Seats that the party takes, all or none.
    """
    expires_at: AwareDatetime
    """
    Until when the offer holds them, UTC.
    """
    registered_count: int
    """
    Seats of this session that are registered now, attended or not.
    """
    offered_count: int
    """
    Seats that are held by an offer to somebody who waited.
    """
    waiting_count: int
    """
    Seats that those in line ask for.
    """


class SessionCancelled(Message):
    """
    The session does not take place; every registration in it is over.
    """

    namespace = "estuaire.events"


class SessionPurpose(StrEnum):
    """
    What one does in a session.
    """

    UNKNOWN = 'UNKNOWN'
    OPENING = 'OPENING'
    CONFERENCE = 'CONFERENCE'
    WORKSHOP = 'WORKSHOP'
    VISIT = 'VISIT'
    ARRIVAL = 'ARRIVAL'
    MEETING = 'MEETING'


class Admission(StrEnum):
    """
    Who may register.
    """

    UNKNOWN = 'UNKNOWN'
    EVERYONE = 'EVERYONE'
    INDIVIDUALS = 'INDIVIDUALS'
    GROUPS = 'GROUPS'


class Allocation(StrEnum):
    """
    How seats are given.
    """

    UNKNOWN = 'UNKNOWN'
    FIRST_COME = 'FIRST_COME'
    LOTTERY = 'LOTTERY'


class SessionDescribed(Message):
    """
    A time slot of an event, whole: when, for whom, how many seats. The key is the session's id.
    """

    namespace = "estuaire.events"

    for_event_id: UUID
    """
    The event that it belongs to.
    """
    title: str
    """
    Public title.
    """
    purpose: SessionPurpose
    """
    Opening hours, a conference, a workshop, a visit, an arrival slot of school groups, or a meeting.
    """
    starts_at: AwareDatetime
    """
    Begin, UTC.
    """
    ends_at: AwareDatetime
    """
    End, UTC; after its begin.
    """
    hall: str | None = None
    """
    Room or hall.
    """
    admission: Admission
    """
    Everyone, individuals only, or groups of schools only.
    """
    capacity_count: int | None = None
    """
    Seats; null when one comes without registering.
    """
    allocation: Allocation
    """
    First come first served, or by a draw.
    """
    open: bool
    """
    Whether one may register: the event is confirmed.
    """
    registered_count: int
    """
    Seats of this session that are registered now, attended or not.
    """
    offered_count: int
    """
    Seats that are held by an offer to somebody who waited.
    """
    waiting_count: int
    """
    Seats that those in line ask for.
    """


class SessionHeld(Message):
    """
    The session is over and its attendance is counted.
    """

    namespace = "estuaire.events"

    attended_count: int | None = None
    """
    People who came; null when nobody counted them.
    """
    female_count: int | None = None
    """
    Women and girls among them where the party said so; null when too few to be told.
    """
    male_count: int | None = None
    """
    Men and boys among them where the party said so; null when too few to be told.
    """


class VisitorsCheckedIn(Message):
    """
    People of a party are there; a later message of the same registration replaces the number.
    """

    namespace = "estuaire.events"

    registration_id: UUID
    """
    The registration.
    """
    visitor_count: int
    """
    How many of its people came; none corrects a mistake.
    """
    attended_count: int
    """
    People checked in to the session, in all.
    """


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


class SeatCounts(Part):
    """
    State of a programme's seats after the message that carries it.
    """

    total_count: int
    """
    Seats of the programme, as last declared; 0 before the first declaration.
    """
    taken_count: int
    """
    Seats taken when observed_at, as last declared.
    """
    admitted_count: int
    """
    Young people admitted through a hold after observed_at, hence not in taken_count.
    """
    held_count: int
    """
    Live holds: held or confirmed.
    """
    free_count: int
    """
    max(0, total - taken - admitted - held).
    """
    excess_count: int
    """
    Live holds that a lower declaration left without a seat; none is dropped.
    """
    observed_at: AwareDatetime | None = None
    """
    When the structure saw total and taken; null before the first declaration. Freshness counts from here.
    """


class HoldConfirmed(Message):
    """
    The structure confirmed a hold and agreed on an arrival.
    """

    namespace = "estuaire.remediation_seats"

    hold_id: UUID
    """
    Identity of the hold.
    """
    young_person_id: UUID
    """
    Random identity that this service gave the young person; stands for nobody elsewhere.
    """
    arrival_on: date
    """
    Agreed day of arrival, Europe/Paris.
    """
    no_show_at: AwareDatetime
    """
    When the seat comes back if the young person never arrives.
    """
    seats: SeatCounts
    """
    Counts after this message.
    """


class HoldEndReason(StrEnum):
    """
    Why a hold ended. RELEASED: another hold of the same young person was confirmed.
    """

    UNKNOWN = 'UNKNOWN'
    DECLINED = 'DECLINED'
    EXPIRED = 'EXPIRED'
    WITHDRAWN = 'WITHDRAWN'
    RELEASED = 'RELEASED'
    NO_SHOW = 'NO_SHOW'


class DeclineReason(StrEnum):
    """
    Why a structure declined a hold.
    """

    UNKNOWN = 'UNKNOWN'
    CONDITIONS_NOT_MET = 'CONDITIONS_NOT_MET'
    SEAT_TAKEN = 'SEAT_TAKEN'
    PROGRAMME_POSTPONED = 'PROGRAMME_POSTPONED'
    OTHER = 'OTHER'


class HoldEnded(Message):
    """
    A hold ended without an admission and gave its seat back.
    """

    namespace = "estuaire.remediation_seats"

    hold_id: UUID
    """
    Identity of the hold.
    """
    young_person_id: UUID
    """
    Random identity that this service gave the young person; stands for nobody elsewhere.
    """
    reason: HoldEndReason
    """
    Why the hold ended.
    """
    decline_reason: DeclineReason | None = None
    """
    Set when reason is DECLINED.
    """
    seats: SeatCounts
    """
    Counts after this message.
    """


class HoldExtended(Message):
    """
    A prescriber extended a hold, once.
    """

    namespace = "estuaire.remediation_seats"

    hold_id: UUID
    """
    Identity of the hold.
    """
    expires_at: AwareDatetime
    """
    The new end of the hold.
    """
    seats: SeatCounts
    """
    Counts after this message.
    """


class EducationLevel(StrEnum):
    """
    Highest diploma held, in ascending order.
    """

    UNKNOWN = 'UNKNOWN'
    NO_DIPLOMA = 'NO_DIPLOMA'
    BREVET = 'BREVET'
    CAP = 'CAP'
    BACCALAUREAT = 'BACCALAUREAT'


class ProgrammeDescribed(Message):
    """
    A programme was opened, changed or closed; carries the whole description.
    """

    namespace = "estuaire.remediation_seats"

    structure_id: UUID
    """
    The structure that runs the programme.
    """
    title: str
    """
    Public title of the programme.
    """
    rome_codes: list[str]
    """
    ROME codes of the trades prepared; empty when none in particular.
    """
    rncp_code: str | None = None
    """
    RNCP code of the certification prepared; null when there is none.
    """
    age_min: int
    """
    Youngest age accepted, in years.
    """
    age_max: int
    """
    Oldest age accepted, in years.
    """
    level_min: EducationLevel
    """
    Lowest level accepted.
    """
    boarding: bool
    """
    Whether boarding is offered.
    """
    wheelchair_accessible: bool
    """
    Whether a wheelchair user can follow the programme.
    """
    intake_on: date | None = None
    """
    Next intake date; null when people join at any time.
    """
    open: bool
    """
    False once the structure has closed the programme.
    """
    seats: SeatCounts
    """
    Counts after this message.
    """


class SeatHeld(Message):
    """
    A prescriber holds a seat for a young person.
    """

    namespace = "estuaire.remediation_seats"

    hold_id: UUID
    """
    Identity of the hold.
    """
    young_person_id: UUID
    """
    Random identity that this service gave the young person; stands for nobody elsewhere.
    """
    expires_at: AwareDatetime
    """
    When the hold lapses unless the structure answers.
    """
    seats: SeatCounts
    """
    Counts after this message.
    """


class DeclarationWay(StrEnum):
    """
    How a declaration came in.
    """

    UNKNOWN = 'UNKNOWN'
    HTTP = 'HTTP'
    CSV = 'CSV'
    PAGE = 'PAGE'
    TOPIC = 'TOPIC'


class DeclarationSource(StrEnum):
    """
    Who of a structure declared.
    """

    UNKNOWN = 'UNKNOWN'
    PERSON = 'PERSON'
    SYSTEM = 'SYSTEM'


class SeatsDeclared(Message):
    """
    The structure declared its seats as it saw them at seats.observed_at.
    """

    namespace = "estuaire.remediation_seats"

    way: DeclarationWay
    """
    How the declaration came in.
    """
    sequence: int | None = None
    """
    Sender's sequence number; only breaks ties inside one way in.
    """
    seats: SeatCounts
    """
    Counts after this message.
    """
    source: DeclarationSource | None = None
    """
    Whose word it is: a person of the structure, at a page, or its software; null in earlier versions.
    """


class StructureKind(StrEnum):
    """
    Kind of remediation structure.
    """

    UNKNOWN = 'UNKNOWN'
    ECOLE_DE_PRODUCTION = 'ECOLE_DE_PRODUCTION'
    MICRO_LYCEE = 'MICRO_LYCEE'
    EPIDE = 'EPIDE'
    E2C = 'E2C'
    MISSION_LOCALE = 'MISSION_LOCALE'
    CFA = 'CFA'


class StructureDescribed(Message):
    """
    A remediation structure was registered or its description changed; carries the whole description.
    """

    namespace = "estuaire.remediation_seats"

    structure_name: str
    """
    Public name of the organisation.
    """
    kind: StructureKind
    """
    Kind of structure.
    """
    commune_code: str
    """
    INSEE code of the commune (COG 2026).
    """
    fictitious: bool
    """
    True for the structures of the demonstration, which do not exist.
    """


class YoungPersonAdmitted(Message):
    """
    The young person arrived; the hold became a taken seat.
    """

    namespace = "estuaire.remediation_seats"

    hold_id: UUID
    """
    Identity of the hold.
    """
    young_person_id: UUID
    """
    Random identity that this service gave the young person; stands for nobody elsewhere.
    """
    seats: SeatCounts
    """
    Counts after this message.
    """


class ApplicationOrigin(StrEnum):
    """
    How an application came about.
    """

    UNKNOWN = 'UNKNOWN'
    DIRECT = 'DIRECT'
    CAMPAIGN = 'CAMPAIGN'


class WeekSeats(Part):
    """
    Seats of one ISO week of an offer, after the message that carries it.
    """

    iso_week: str
    """
    ISO week, as 2027-W06.
    """
    seats_count: int
    """
    Seats that the host offers in this week.
    """
    taken_count: int
    """
    Seats of accepted and confirmed applications.
    """
    free_count: int
    """
    seats - taken.
    """


class ApplicationAccepted(Message):
    """
    A host accepted an application, or a campaign matched a seeker: a seat is taken in each week until the seeker confirms.
    """

    namespace = "estuaire.stage_matching"

    application_id: UUID
    """
    Identity of the application.
    """
    seeker_id: UUID
    """
    Random identity that this service gave the seeker; stands for nobody elsewhere.
    """
    origin: ApplicationOrigin
    """
    How the application came about.
    """
    campaign_id: UUID | None = None
    """
    The campaign that made the match; null for a direct application.
    """
    iso_weeks: list[str]
    """
    The consecutive ISO weeks of the internship.
    """
    confirm_due_at: AwareDatetime
    """
    When the seat is given back unless the seeker confirms.
    """
    weeks: list[WeekSeats]
    """
    Every week of the offer after this message.
    """


class ApplicationConfirmed(Message):
    """
    The seeker confirmed: the internship will take place.
    """

    namespace = "estuaire.stage_matching"

    application_id: UUID
    """
    Identity of the application.
    """
    seeker_id: UUID
    """
    Random identity that this service gave the seeker; stands for nobody elsewhere.
    """
    origin: ApplicationOrigin
    """
    How the application came about.
    """
    campaign_id: UUID | None = None
    """
    The campaign that made the match; null for a direct application.
    """
    iso_weeks: list[str]
    """
    The consecutive ISO weeks of the internship.
    """
    weeks: list[WeekSeats]
    """
    Every week of the offer after this message.
    """


class ApplicationEndReason(StrEnum):
    """
    Why an application ended before its internship.
    """

    UNKNOWN = 'UNKNOWN'
    REFUSED = 'REFUSED'
    HOST_SILENT = 'HOST_SILENT'
    SEEKER_SILENT = 'SEEKER_SILENT'
    WITHDRAWN = 'WITHDRAWN'
    CONFIRMED_ELSEWHERE = 'CONFIRMED_ELSEWHERE'
    HOST_SUSPENDED = 'HOST_SUSPENDED'
    AGREEMENT_CANCELLED = 'AGREEMENT_CANCELLED'


class RefusalReason(StrEnum):
    """
    Why a host refuses.
    """

    UNKNOWN = 'UNKNOWN'
    NO_TUTOR = 'NO_TUTOR'
    ACTIVITY = 'ACTIVITY'
    DATES = 'DATES'
    SAFETY = 'SAFETY'
    SEATS_TAKEN = 'SEATS_TAKEN'
    OTHER = 'OTHER'


class ApplicationEnded(Message):
    """
    An application ended; a seat that it had taken is free again.
    """

    namespace = "estuaire.stage_matching"

    application_id: UUID
    """
    Identity of the application.
    """
    seeker_id: UUID
    """
    Random identity that this service gave the seeker; stands for nobody elsewhere.
    """
    origin: ApplicationOrigin
    """
    How the application came about.
    """
    campaign_id: UUID | None = None
    """
    The campaign that made the match; null for a direct application.
    """
    reason: ApplicationEndReason
    """
    Why.
    """
    refusal_reason: RefusalReason | None = None
    """
    The host's reason when it refused.
    """
    seat_freed: bool
    """
    True when the application had taken a seat.
    """
    weeks: list[WeekSeats]
    """
    Every week of the offer after this message.
    """


class ApplicationSeen(Message):
    """
    The host opened an application.
    """

    namespace = "estuaire.stage_matching"

    application_id: UUID
    """
    Identity of the application.
    """
    weeks: list[WeekSeats]
    """
    Every week of the offer after this message.
    """


class Audience(StrEnum):
    """
    Situation of a seeker.
    """

    UNKNOWN = 'UNKNOWN'
    PUPIL = 'PUPIL'
    STUDENT = 'STUDENT'
    YOUNG_IN_INSERTION = 'YOUNG_IN_INSERTION'
    ADULT_IN_RETRAINING = 'ADULT_IN_RETRAINING'
    JOB_SEEKER = 'JOB_SEEKER'


class ApplicationSubmitted(Message):
    """
    A seeker applied for an offer; no seat is taken yet.
    """

    namespace = "estuaire.stage_matching"

    application_id: UUID
    """
    Identity of the application.
    """
    seeker_id: UUID
    """
    Random identity that this service gave the seeker; stands for nobody elsewhere.
    """
    audience: Audience
    """
    The seeker's situation.
    """
    department_code: str
    """
    Department where the seeker lives.
    """
    iso_weeks: list[str]
    """
    The consecutive ISO weeks of the internship.
    """
    answer_due_at: AwareDatetime
    """
    When the application lapses unless the host answers.
    """
    weeks: list[WeekSeats]
    """
    Every week of the offer after this message.
    """


class Commitment(StrEnum):
    """
    What an organisation that signs the charter commits to (fiche 4-1).
    """

    UNKNOWN = 'UNKNOWN'
    INTERNS = 'INTERNS'
    VISITS = 'VISITS'
    AMBASSADORS = 'AMBASSADORS'
    PLATFORMS = 'PLATFORMS'


class CharterSigned(Message):
    """
    An organisation signed the charter of engagement (fiche 4-1).
    """

    namespace = "estuaire.stage_matching"

    signed_on: date
    """
    Day of the signature.
    """
    ends_on: date
    """
    Last day of the commitments.
    """
    commitments: list[Commitment]
    """
    What it commits to.
    """


class HostKind(StrEnum):
    """
    Kind of organisation that takes interns.
    """

    UNKNOWN = 'UNKNOWN'
    COMPANY = 'COMPANY'
    ADMINISTRATION = 'ADMINISTRATION'
    CRAFTSMAN = 'CRAFTSMAN'
    ASSOCIATION = 'ASSOCIATION'


class HostDescribed(Message):
    """
    An organisation that takes interns was registered or its description changed; carries the whole description.
    """

    namespace = "estuaire.stage_matching"

    host_name: str
    """
    Public name of the organisation.
    """
    siret: str
    """
    SIRET of the establishment, 14 digits.
    """
    kind: HostKind
    """
    Kind of organisation.
    """
    commune_code: str
    """
    INSEE code of the commune (COG 2026).
    """
    fictitious: bool
    """
    True for the organisations of the demonstration, which do not exist.
    """


class HostReinstated(Message):
    """
    The offers of an organisation can be seen again.
    """

    namespace = "estuaire.stage_matching"


class SuspensionReason(StrEnum):
    """
    Why an organisation's offers are out of sight.
    """

    UNKNOWN = 'UNKNOWN'
    SILENCE = 'SILENCE'
    AGENCY = 'AGENCY'


class HostSuspended(Message):
    """
    The offers of an organisation went out of sight.
    """

    namespace = "estuaire.stage_matching"

    reason: SuspensionReason
    """
    Why.
    """
    expired_count: int
    """
    Applications that it left without an answer within the policy's days; 0 when the agency decided.
    """


class LabelAwarded(Message):
    """
    The agency awarded the label to an organisation that keeps its charter.
    """

    namespace = "estuaire.stage_matching"

    ends_on: date
    """
    Last day of the label.
    """


class LabelEndReason(StrEnum):
    """
    Why the label ended.
    """

    UNKNOWN = 'UNKNOWN'
    CHARTER_ENDED = 'CHARTER_ENDED'
    RULE_NOT_MET = 'RULE_NOT_MET'
    AGENCY = 'AGENCY'
    ORGANISATION = 'ORGANISATION'


class LabelWithdrawn(Message):
    """
    An organisation no longer has the label.
    """

    namespace = "estuaire.stage_matching"

    reason: LabelEndReason
    """
    Why.
    """


class OfferKind(StrEnum):
    """
    Kind of internship.
    """

    UNKNOWN = 'UNKNOWN'
    OBSERVATION = 'OBSERVATION'
    IMMERSION = 'IMMERSION'
    MINI_STAGE = 'MINI_STAGE'
    TRAINING_PLACEMENT = 'TRAINING_PLACEMENT'


class ReserveCategory(StrEnum):
    """
    Under what a seat can be reserved, in the order in which reserved seats are filled.
    """

    UNKNOWN = 'UNKNOWN'
    PRIORITY_EDUCATION = 'PRIORITY_EDUCATION'
    JOB_SEEKER = 'JOB_SEEKER'
    UNDERREPRESENTED_SEX = 'UNDERREPRESENTED_SEX'


class ReservedSeats(Part):
    """
    Seats of an offer kept for one category in campaigns.
    """

    category: ReserveCategory
    """
    The category.
    """
    seats_count: int
    """
    How many seats.
    """


class OfferDescribed(Message):
    """
    An offer was published or its description changed; carries the whole description.
    """

    namespace = "estuaire.stage_matching"

    host_id: UUID
    """
    The organisation.
    """
    title: str
    """
    Public title.
    """
    kind: OfferKind
    """
    Kind of internship.
    """
    rome_codes: list[str]
    """
    ROME codes of the trades shown.
    """
    commune_code: str
    """
    INSEE code of the commune where it takes place.
    """
    audiences: list[Audience]
    """
    Who may apply.
    """
    age_min: int
    """
    Least age in years, by the law or by the host.
    """
    reserved: list[ReservedSeats]
    """
    Seats kept for a category in campaigns.
    """
    partner_uais: list[str]
    """
    Schools whose pupils the host takes first in campaigns.
    """
    suspended: bool
    """
    True while the host takes no applications for it.
    """
    weeks: list[WeekSeats]
    """
    Every week of the offer after this message.
    """


class RequestEndReason(StrEnum):
    """
    Why a request is over.
    """

    UNKNOWN = 'UNKNOWN'
    SERVED = 'SERVED'
    WITHDRAWN = 'WITHDRAWN'
    UNSERVED = 'UNSERVED'
    CAMPAIGN_CANCELLED = 'CAMPAIGN_CANCELLED'


class RequestEnded(Message):
    """
    A request is over.
    """

    namespace = "estuaire.stage_matching"

    seeker_id: UUID
    """
    Random identity that this service gave the seeker; stands for nobody elsewhere.
    """
    campaign_id: UUID | None = None
    """
    The campaign that made the match; null for a direct application.
    """
    reason: RequestEndReason
    """
    How it ended.
    """
    wish_rank: int | None = None
    """
    Rank of the wish that was obtained, from 1; null without one.
    """


class RequestFiled(Message):
    """
    A seeker told what internship they look for, or a school did for a pupil.
    """

    namespace = "estuaire.stage_matching"

    seeker_id: UUID
    """
    Random identity that this service gave the seeker; stands for nobody elsewhere.
    """
    campaign_id: UUID | None = None
    """
    The campaign that made the match; null for a direct application.
    """
    audience: Audience
    """
    The seeker's situation.
    """
    department_code: str
    """
    Department where the seeker lives.
    """
    radius_km: int
    """
    How far they travel, in kilometres.
    """
    iso_weeks: list[str]
    """
    The consecutive ISO weeks of the internship.
    """
    rome_codes: list[str]
    """
    ROME domains, families or codes wished for, best first; without the wishes for one offer.
    """
    offer_wish_count: int
    """
    Wishes for one offer.
    """
