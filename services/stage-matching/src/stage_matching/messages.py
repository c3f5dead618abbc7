"""Generated from schemas/avro by `make schemas`; do not edit."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from uuid import UUID

from common.messages import Message, Part
from pydantic import AwareDatetime


class AgreementParty(StrEnum):
    """
    Who signs an agreement.
    """

    UNKNOWN = 'UNKNOWN'
    SEEKER = 'SEEKER'
    GUARDIAN = 'GUARDIAN'
    HOST = 'HOST'
    SCHOOL = 'SCHOOL'
    PRESCRIBER = 'PRESCRIBER'
    AGENCY = 'AGENCY'


class AgreementDrafted(Message):
    """
    An internship agreement was drawn up after a confirmation, or anew when its terms changed, by which every signature fell.
    """

    namespace = "estuaire.stage_matching"

    offer_id: UUID
    """
    The offer.
    """
    application_id: UUID
    """
    Identity of the application.
    """
    seeker_id: UUID
    """
    Random identity that this service gave the seeker; stands for nobody elsewhere.
    """
    iso_weeks: list[str]
    """
    The consecutive ISO weeks of the internship.
    """
    parties: list[AgreementParty]
    """
    Who must sign.
    """
    terms_version: int | None = None
    """
    Which version of the terms, counted from 1; null in messages of version 1.
    """
    terms_sha256: str | None = None
    """
    SHA-256 in hexadecimal of the canonical JSON of these terms, which stay inside.
    """


class AgreementOutcome(StrEnum):
    """
    How an agreement ended.
    """

    UNKNOWN = 'UNKNOWN'
    COMPLETED = 'COMPLETED'
    INTERRUPTED = 'INTERRUPTED'
    CANCELLED = 'CANCELLED'


class AgreementEnded(Message):
    """
    An agreement came to its end, or was broken off or cancelled.
    """

    namespace = "estuaire.stage_matching"

    outcome: AgreementOutcome
    """
    How.
    """


class AgreementSigned(Message):
    """
    One party signed a version of the terms.
    """

    namespace = "estuaire.stage_matching"

    party: AgreementParty
    """
    Who.
    """
    terms_version: int | None = None
    """
    Which version of the terms, counted from 1; null in messages of version 1.
    """
    terms_sha256: str | None = None
    """
    SHA-256 in hexadecimal of the canonical JSON of these terms, which stay inside.
    """


class AgreementValidated(Message):
    """
    All have signed and the school or the prescriber validated the agreement.
    """

    namespace = "estuaire.stage_matching"


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


class CampaignCancelled(Message):
    """
    A campaign was given up before its publication.
    """

    namespace = "estuaire.stage_matching"


class CampaignClosed(Message):
    """
    A campaign is over: what nobody confirmed is free again.
    """

    namespace = "estuaire.stage_matching"

    confirmed_count: int
    """
    Internships confirmed.
    """


class CampaignComputed(Message):
    """
    The official result was computed and an independent verifier found no fault in it.
    """

    namespace = "estuaire.stage_matching"

    served_count: int
    """
    Seekers with a seat.
    """
    seeker_count: int
    """
    Seekers.
    """


class CampaignFrozen(Message):
    """
    Wishes and seats of a campaign were fixed.
    """

    namespace = "estuaire.stage_matching"

    seeker_count: int
    """
    Seekers.
    """
    offer_count: int
    """
    Offers with a seat for it.
    """
    seed: str
    """
    Seed of the lottery: a seeker's place is the order of SHA-256 of seed:seeker_id.
    """


class CampaignScope(StrEnum):
    """
    Whom a campaign is for.
    """

    UNKNOWN = 'UNKNOWN'
    CLASS = 'CLASS'
    SCHOOL = 'SCHOOL'
    TERRITORY = 'TERRITORY'


class CampaignOpened(Message):
    """
    A matching campaign was opened.
    """

    namespace = "estuaire.stage_matching"

    scope: CampaignScope
    """
    Whom it is for.
    """
    uai: str | None = None
    """
    The school that opened it; null for a territory.
    """
    seed_sha256: str
    """
    SHA-256 of the lottery's seed, so that the seed cannot be chosen after the wishes.
    """


class CampaignPublished(Message):
    """
    The result of a campaign was published.
    """

    namespace = "estuaire.stage_matching"

    seeker_count: int
    """
    Seekers.
    """
    served_count: int
    """
    Seekers with a seat.
    """
    most_served_count: int
    """
    Seekers whom the alternative that serves most would serve.
    """
    rank_counts: list[int]
    """
    How many obtained their first wish, second wish, and so on.
    """
    mean_km: float | None = None
    """
    Mean distance of the served, as the crow flies.
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
