"""Generated from schemas/avro by `make schemas`; do not edit."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from uuid import UUID

from common.messages import Message, Part
from pydantic import AwareDatetime


class LevelLeft(StrEnum):
    """
    What somebody was preparing when they left; closed list.
    """

    UNKNOWN = 'UNKNOWN'
    COLLEGE = 'COLLEGE'
    CAP = 'CAP'
    VOCATIONAL_BACCALAUREATE = 'VOCATIONAL_BACCALAUREATE'
    GENERAL_BACCALAUREATE = 'GENERAL_BACCALAUREATE'
    OTHER = 'OTHER'


class SchoolKind(StrEnum):
    """
    Kind of school that was left; closed list.
    """

    UNKNOWN = 'UNKNOWN'
    COLLEGE = 'COLLEGE'
    GENERAL_LYCEE = 'GENERAL_LYCEE'
    VOCATIONAL_LYCEE = 'VOCATIONAL_LYCEE'
    AGRICULTURAL_LYCEE = 'AGRICULTURAL_LYCEE'
    CFA = 'CFA'
    MFR = 'MFR'
    OTHER = 'OTHER'


class AgeBand(StrEnum):
    """
    Age when leaving, in bands; nobody under 16 is ever recorded.
    """

    UNKNOWN = 'UNKNOWN'
    AGE_16 = 'AGE_16'
    AGE_17 = 'AGE_17'
    AGE_18_TO_20 = 'AGE_18_TO_20'
    AGE_21_TO_25 = 'AGE_21_TO_25'
    AGE_26_TO_29 = 'AGE_26_TO_29'


class DropoutFactor(StrEnum):
    """
    What played a part in leaving, as a professional sees it; closed list.
    """

    UNKNOWN = 'UNKNOWN'
    MOBILITY = 'MOBILITY'
    HOUSING = 'HOUSING'
    HEALTH = 'HEALTH'
    MONEY = 'MONEY'
    ORIENTATION_NOT_CHOSEN = 'ORIENTATION_NOT_CHOSEN'
    FAMILY = 'FAMILY'
    SCHOOL_CLIMATE = 'SCHOOL_CLIMATE'
    WORK = 'WORK'
    OTHER = 'OTHER'


class CaseFacts(Part):
    """
    What is said of a case: closed values only, true for the month of leaving.
    """

    left_month: date
    """
    First day of the month in which they left.
    """
    level_left: LevelLeft
    """
    What they were preparing.
    """
    school_kind: SchoolKind
    """
    Kind of school that they left.
    """
    school_uai: str | None = None
    """
    UAI of that school; null when it is not told.
    """
    age_band: AgeBand
    """
    Age when leaving.
    """
    commune_code: str
    """
    INSEE code of the commune where they lived in that month.
    """
    epci_siren: str
    """
    SIREN of its intercommunality, of the same geography.
    """
    department_code: str
    """
    Its department.
    """
    geography_year: int
    """
    Year of the official geographic code that the three codes are of.
    """
    factors: list[DropoutFactor]
    """
    Factors, each once, in the order of the list; at least one.
    """


class CaseCorrected(Message):
    """
    Other facts than were known: what was true stays in the month of leaving, what was known changes from now on. Also tells that a withdrawn case counts again.
    """

    namespace = "estuaire.dropout_observatory"

    facts: CaseFacts
    """
    All the facts, as they are known from now on.
    """


class StepKind(StrEnum):
    """
    A dated step of the way back.
    """

    UNKNOWN = 'UNKNOWN'
    ACCOMPANIED = 'ACCOMPANIED'
    OFFERED = 'OFFERED'
    ADMITTED = 'ADMITTED'
    CHECKED_AT_3_MONTHS = 'CHECKED_AT_3_MONTHS'
    CHECKED_AT_6_MONTHS = 'CHECKED_AT_6_MONTHS'
    ENDED = 'ENDED'


class StepSource(StrEnum):
    """
    Where a step was learnt.
    """

    UNKNOWN = 'UNKNOWN'
    PROFESSIONAL = 'PROFESSIONAL'
    SEAT_HOLD = 'SEAT_HOLD'
    STRUCTURE_ANSWER = 'STRUCTURE_ANSWER'
    APPLICATION = 'APPLICATION'
    BOOKING = 'BOOKING'
    GROUP_REGISTRATION = 'GROUP_REGISTRATION'


class Accompanier(StrEnum):
    """
    Who accompanies; kinds only, no organisation is named.
    """

    UNKNOWN = 'UNKNOWN'
    PSAD = 'PSAD'
    MISSION_LOCALE = 'MISSION_LOCALE'
    MLDS = 'MLDS'
    SCHOOL = 'SCHOOL'
    GUIDANCE_CENTRE = 'GUIDANCE_CENTRE'
    REMEDIATION_STRUCTURE = 'REMEDIATION_STRUCTURE'
    SOCIAL_SERVICES = 'SOCIAL_SERVICES'
    OTHER = 'OTHER'


class Presence(StrEnum):
    """
    Whether somebody admitted is still there; what nobody answered is NOT_KNOWN and counts as such.
    """

    UNKNOWN = 'UNKNOWN'
    THERE = 'THERE'
    LEFT = 'LEFT'
    NOT_KNOWN = 'NOT_KNOWN'


class Outcome(StrEnum):
    """
    How a case ended.
    """

    UNKNOWN = 'UNKNOWN'
    BACK_IN_SCHOOL = 'BACK_IN_SCHOOL'
    TRAINING = 'TRAINING'
    APPRENTICESHIP = 'APPRENTICESHIP'
    WORK = 'WORK'
    CIVIC_SERVICE = 'CIVIC_SERVICE'
    OTHER_SOLUTION = 'OTHER_SOLUTION'
    MOVED_AWAY = 'MOVED_AWAY'
    CONTACT_LOST = 'CONTACT_LOST'


class Step(Part):
    """
    A dated step, as it is known now.
    """

    step_id: UUID
    """
    Identity of the step.
    """
    kind: StepKind
    """
    What happened.
    """
    happened_on: date
    """
    Day on which it was true (valid time), Paris; when it was recorded is the message's occurred_at.
    """
    source: StepSource
    """
    Where it was learnt.
    """
    accompanier: Accompanier | None = None
    """
    Who accompanies; for ACCOMPANIED only.
    """
    presence: Presence | None = None
    """
    The answer; for the two checks only.
    """
    outcome: Outcome | None = None
    """
    How it ended; for ENDED only.
    """


class CaseFollowed(Message):
    """
    The way back of a case changed: a step was recorded, or one recorded by mistake was taken back.
    """

    namespace = "estuaire.dropout_observatory"

    steps: list[Step]
    """
    Every step as known from now on, by day; a step that is missing here was taken back.
    """


class ReportSource(StrEnum):
    """
    Who reports; kinds only.
    """

    UNKNOWN = 'UNKNOWN'
    REFERENT = 'REFERENT'
    CFA = 'CFA'
    PSAD = 'PSAD'


class ReportWay(StrEnum):
    """
    How it came in.
    """

    UNKNOWN = 'UNKNOWN'
    PAGE = 'PAGE'
    HTTP = 'HTTP'
    TABLE = 'TABLE'


class CaseReported(Message):
    """
    Somebody of 16 or more left school without a qualification: a pseudonymous case, of closed values.
    """

    namespace = "estuaire.dropout_observatory"

    source: ReportSource
    """
    Kind of who reported it.
    """
    way: ReportWay
    """
    How it came in.
    """
    facts: CaseFacts
    """
    What is said of it.
    """


class WithdrawalReason(StrEnum):
    """
    Why a case counts no more.
    """

    UNKNOWN = 'UNKNOWN'
    MISTAKE = 'MISTAKE'
    DUPLICATE = 'DUPLICATE'
    NOT_A_DROPOUT = 'NOT_A_DROPOUT'
    OTHER = 'OTHER'


class CaseWithdrawn(Message):
    """
    A case that counts no more from now on; what was known before stays known.
    """

    namespace = "estuaire.dropout_observatory"

    reason: WithdrawalReason
    """
    Why.
    """
    duplicate_of: UUID | None = None
    """
    The case that stays, where two sources told the same; null for other reasons.
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


class PresenceReply(StrEnum):
    """
    Whether somebody admitted is still there; what nobody answered is NOT_KNOWN and counts as such.
    """

    UNKNOWN = 'UNKNOWN'
    THERE = 'THERE'
    LEFT = 'LEFT'
    NOT_KNOWN = 'NOT_KNOWN'


class PresenceAnswered(Message):
    """
    Whether a young person whose case is attached is still where they were admitted, as the structure answers; the last answer counts.
    """

    namespace = "estuaire.remediation_seats"

    after_months: int
    """
    How many months after the admission was asked about: 3 or 6.
    """
    happened_on: date
    """
    Day of the answer, Paris; of an answer that did not come, the day on which it was given up.
    """
    presence: PresenceReply
    """
    The answer.
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
