"""Generated from schemas/avro by `make schemas`; do not edit."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from uuid import UUID

from common.messages import Message, Part
from pydantic import AwareDatetime


class DeclareSeats(Message):
    """
    A partner's software declares the seats of one of its programmes, on the partner's own topic. Who declares is in the topic's name, not here.
    """

    namespace = "estuaire.partners"

    programme_id: UUID
    """
    The programme, as the structure described it to the agency.
    """
    total_count: int
    """
    All seats of the programme when observed_at, 0 to 10,000.
    """
    taken_count: int
    """
    Seats taken when observed_at, at most total_count.
    """
    observed_at: AwareDatetime
    """
    When the structure saw these counts, UTC; never the instant of sending. The newest one wins, whatever the way in.
    """
    sequence: int | None = None
    """
    Breaks a tie between two declarations of the same instant on this topic; null when there is none.
    """


class DeclarationOutcome(StrEnum):
    """
    What became of the record. UNREADABLE: set aside as it is, nothing else changed. PAUSED: too many were unreadable, nothing more is read until somebody lets the topic go on.
    """

    UNKNOWN = 'UNKNOWN'
    ACCEPTED = 'ACCEPTED'
    SUPERSEDED = 'SUPERSEDED'
    REFUSED = 'REFUSED'
    UNREADABLE = 'UNREADABLE'
    PAUSED = 'PAUSED'


class DeclarationAnswered(Message):
    """
    What became of one record of a partner's own topic; on the partner's topic of answers, in the order of its records.
    """

    namespace = "estuaire.remediation_seats"

    offset: int
    """
    Offset of the record in the partner's topic, whose only partition is 0.
    """
    outcome: DeclarationOutcome
    """
    What became of the record.
    """
    programme_id: UUID | None = None
    """
    The programme that the record named; null when it could not be read.
    """
    reason: str | None = None
    """
    Closed code, when the outcome is neither ACCEPTED nor SUPERSEDED.
    """
    advice: str | None = None
    """
    One French sentence that says what to do about it.
    """
    free_count: int | None = None
    """
    Free seats of the programme after the record, live holds deducted; null when nothing was declared.
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
