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
