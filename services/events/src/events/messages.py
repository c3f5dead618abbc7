"""Generated from schemas/avro by `make schemas`; do not edit."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from uuid import UUID

from common.messages import Message
from pydantic import AwareDatetime


class AmbassadorAnswer(StrEnum):
    """
    What an ambassador answered.
    """

    UNKNOWN = 'UNKNOWN'
    ACCEPTED = 'ACCEPTED'
    REFUSED = 'REFUSED'
    SILENT = 'SILENT'
    CANCELLED = 'CANCELLED'


class AmbassadorAnswered(Message):
    """
    They answered, or did not in time.
    """

    namespace = "estuaire.events"

    visit_id: UUID
    """
    The visit that is wished for.
    """
    answer: AmbassadorAnswer
    """
    Comes; cannot; did not answer in time, the next is asked; whoever asked gave up.
    """


class AmbassadorAsked(Message):
    """
    A school or an organiser wishes for them.
    """

    namespace = "estuaire.events"

    visit_id: UUID
    """
    The visit that is wished for.
    """
    visit_on: date
    """
    Day.
    """
    expires_at: AwareDatetime
    """
    Until when they may answer, UTC.
    """


class AmbassadorKind(StrEnum):
    """
    Who tells of a trade.
    """

    UNKNOWN = 'UNKNOWN'
    AMBASSADOR = 'AMBASSADOR'
    PARENT_WITNESS = 'PARENT_WITNESS'


class AmbassadorDescribed(Message):
    """
    Somebody who tells of a trade; who it is stays in the service.
    """

    namespace = "estuaire.events"

    kind: AmbassadorKind
    """
    An ambassador of a trade, or a parent who tells their job.
    """
    rome_codes: list[str]
    """
    Trades (ROME 4.0).
    """
    department_code: str
    """
    Department in which they go.
    """
    host_siret: str | None = None
    """
    SIRET of the organisation that sends them.
    """
    withdrawn: bool
    """
    No longer available.
    """
    fictitious: bool
    """
    Whether it belongs to a demonstration.
    """


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


class KitDescribed(Message):
    """
    A trade kit that is lent: what it shows, where it is kept.
    """

    namespace = "estuaire.events"

    title: str
    """
    Public title.
    """
    rome_codes: list[str]
    """
    Trades that it shows (ROME 4.0).
    """
    commune_code: str
    """
    INSEE code of the commune where it is kept.
    """
    withdrawn: bool
    """
    No longer lent.
    """
    out_of_order: bool
    """
    Came back damaged and is not mended yet.
    """
    fictitious: bool
    """
    Whether it belongs to a demonstration.
    """


class KitTakenOut(Message):
    """
    A borrower has the kit.
    """

    namespace = "estuaire.events"

    loan_id: UUID
    """
    The loan.
    """


class LoanEndReason(StrEnum):
    """
    How a loan ended.
    """

    UNKNOWN = 'UNKNOWN'
    RETURNED = 'RETURNED'
    REFUSED = 'REFUSED'
    CANCELLED = 'CANCELLED'
    EXPIRED = 'EXPIRED'


class LoanEnded(Message):
    """
    A loan is over.
    """

    namespace = "estuaire.events"

    loan_id: UUID
    """
    The loan.
    """
    reason: LoanEndReason
    """
    Returned; refused by its keeper; given up before; nobody answered in time.
    """
    late: bool
    """
    It came back after its last day.
    """
    damaged: bool
    """
    It came back damaged.
    """


class LoanRequested(Message):
    """
    Somebody asks for a kit; it takes nothing yet.
    """

    namespace = "estuaire.events"

    loan_id: UUID
    """
    The loan.
    """
    borrower_id: UUID
    """
    Who borrows: a random id of this service.
    """
    for_event_id: UUID | None = None
    """
    The event that it is for.
    """
    first_on: date
    """
    First day.
    """
    last_on: date
    """
    Last day.
    """


class LoanReserved(Message):
    """
    A kit is reserved, and the day after with it.
    """

    namespace = "estuaire.events"

    loan_id: UUID
    """
    The loan.
    """
    borrower_id: UUID
    """
    Who borrows: a random id of this service.
    """
    for_event_id: UUID | None = None
    """
    The event that it is for.
    """
    first_on: date
    """
    First day.
    """
    last_on: date
    """
    Last day.
    """


class LoansRestated(Message):
    """
    Which loans a kit has, after its database was restored; others that were told are over.
    """

    namespace = "estuaire.events"

    loan_ids: list[UUID]
    """
    Loans that are asked for, agreed or out.
    """


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
