"""Rows and constraints of the service's own tables; seats are kept by CHECKs and keys, not by hope."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSMULTIRANGE, ExcludeConstraint
from sqlmodel import Field, SQLModel, String

from common.tables import CaseLinkColumns, instant

metadata = MetaData()


class MatchingTable(SQLModel):
    """Keeps this service's tables in a `MetaData` of their own."""

    metadata: ClassVar[MetaData] = metadata


class HostRow(MatchingTable, table=True):
    """An organisation that takes interns; its contact never leaves this database."""

    __tablename__ = "host"
    host_id: UUID = Field(primary_key=True)
    host_name: str
    siret: str = Field(unique=True)
    kind: str
    commune_code: str
    contact_email: str | None = None
    fictitious: bool
    # A table brought it: no account stands behind it until one is shown to be its own.
    claimable: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    suspended_reason: str | None = None
    # The silence before this instant no longer counts: the host was reinstated.
    answers_from: datetime | None = instant(nullable=True)
    charter_signed_on: date | None = None
    charter_ends_on: date | None = None
    label_ends_on: date | None = None
    version: int = Field(sa_type=BigInteger)


class HostAccount(MatchingTable, table=True):
    """Which organisation an account acts for, where a table had brought it under an id of its own."""

    __tablename__ = "host_account"
    structure_id: UUID = Field(primary_key=True)
    host_id: UUID = Field(foreign_key="host.host_id", unique=True)


class HostClaim(MatchingTable, table=True):
    """An account asks to act for an organisation that a table brought; the contact of that, or the agency, says yes or no."""

    __tablename__ = "host_claim"
    __table_args__ = (
        Index("host_claim_open", "host_id", "structure_id", unique=True, postgresql_where=text("state = 'asked'")),
        Index("host_claim_of_structure", "structure_id", "asked_at"),
    )
    claim_id: UUID = Field(primary_key=True)
    host_id: UUID = Field(foreign_key="host.host_id")
    structure_id: UUID
    contact_email: str | None = None
    state: str
    asked_at: datetime = instant()


class OfferRow(MatchingTable, table=True):
    """An offer. The row's lock orders everything that happens to its seats and applications."""

    __tablename__ = "offer"
    __table_args__ = (
        CheckConstraint("age_min BETWEEN 0 AND 99", name="age_of_a_person"),
        Index("offer_of_host", "host_id"),
    )
    offer_id: UUID = Field(primary_key=True)
    host_id: UUID = Field(foreign_key="host.host_id")
    title: str
    kind: str
    rome_codes: list[str] = Field(sa_type=ARRAY(String))
    commune_code: str
    audiences: list[str] = Field(sa_type=ARRAY(String))
    age_min: int
    reserved: dict[str, int] = Field(sa_type=JSONB)
    partner_uais: list[str] = Field(sa_type=ARRAY(String))
    # Days, hours, tasks, tutor, rules and address: only agreements copy them, they are never told on Kafka.
    placement: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False, server_default=text("'{}'")))
    suspended: bool
    version: int = Field(sa_type=BigInteger)


class OfferWeek(MatchingTable, table=True):
    """Seats of one ISO week of an offer."""

    __tablename__ = "offer_week"
    __table_args__ = (
        CheckConstraint("seats_count >= 0 AND taken_count >= 0 AND campaign_count >= 0", name="counts_are_natural"),
        CheckConstraint("taken_count + campaign_count <= seats_count", name="no_overbooking"),
        Index("offer_week_by_week", "iso_week"),
    )
    offer_id: UUID = Field(primary_key=True, foreign_key="offer.offer_id")
    iso_week: str = Field(primary_key=True)
    seats_count: int
    taken_count: int
    campaign_count: int


class SeekerRow(MatchingTable, table=True):
    """A seeker: their account, or the code that a school gave a pupil; the id that stands for them on Kafka is random."""

    __tablename__ = "seeker"
    seeker_id: UUID = Field(primary_key=True)
    account: str | None = Field(default=None, unique=True)
    contact_email: str | None = None
    display_name: str | None = None


class Request(MatchingTable, table=True):
    """What internship a seeker looks for, filed by them or, in a campaign, by a school."""

    __tablename__ = "request"
    __table_args__ = (
        Index("request_of_seeker", "seeker_id", unique=True, postgresql_where=text("campaign_id IS NULL")),
        Index("request_of_pupil", "campaign_id", "uai", "pupil_code", unique=True),
        # Who in a campaign would rather have a seat that has become free.
        Index("request_ranked_offers", "ranked_offers", postgresql_using="gin"),
        ForeignKeyConstraint(["campaign_id"], ["campaign.campaign_id"]),
    )
    request_id: UUID = Field(primary_key=True)
    seeker_id: UUID = Field(foreign_key="seeker.seeker_id")
    campaign_id: UUID | None = None
    uai: str | None = None
    class_group: str | None = None
    pupil_code: str | None = None
    audience: str
    sex: str
    age: int
    priority_education: bool
    commune_code: str
    radius_km: int
    iso_weeks: list[str] = Field(sa_type=ARRAY(String))
    wishes: list[str] = Field(sa_type=ARRAY(String))
    # Of a campaign that was computed: its offers by number, best first; the one obtained; the wish that named it.
    ranked_offers: list[int] | None = Field(default=None, sa_column=Column(ARRAY(Integer)))
    obtained_offer: int | None = None
    obtained_wish: int | None = None
    explanation: list[Any] | None = Field(default=None, sa_column=Column(JSONB))
    ended_reason: str | None = None
    # The guardian's own address, which no page shows; who accompanies beside a school; the month of birth (YYYY-MM), by which
    # `age` is what it is on the first day asked for.
    guardian_email: str | None = None
    prescriber_id: str | None = None
    birth_month: str | None = None
    version: int = Field(sa_type=BigInteger)


class ApplicationRow(MatchingTable, table=True):
    """A candidature, live or ended."""

    __tablename__ = "application"
    __table_args__ = (
        Index(
            "application_one_live_each",
            "offer_id",
            "seeker_id",
            unique=True,
            postgresql_where=text("state IN ('submitted', 'seen', 'accepted', 'confirmed')"),
        ),
        Index("application_of_seeker", "seeker_id"),
        Index("application_of_campaign", "campaign_id", postgresql_where=text("campaign_id IS NOT NULL")),
        Index("application_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index("application_of_offer", "offer_id", "submitted_at"),
        CheckConstraint(
            "(state IN ('submitted', 'seen', 'accepted')) = (due_at IS NOT NULL)", name="whatever_waits_ends"
        ),
    )
    application_id: UUID = Field(primary_key=True)
    offer_id: UUID = Field(foreign_key="offer.offer_id")
    seeker_id: UUID = Field(foreign_key="seeker.seeker_id")
    iso_weeks: list[str] = Field(sa_type=ARRAY(String))
    state: str
    submitted_at: datetime = instant()
    due_at: datetime | None = instant(nullable=True)
    origin: str
    campaign_id: UUID | None = Field(default=None, foreign_key="campaign.campaign_id")
    seen_at: datetime | None = instant(nullable=True)
    accepted_at: datetime | None = instant(nullable=True)
    confirmed_at: datetime | None = instant(nullable=True)
    ended_at: datetime | None = instant(nullable=True)
    refusal_reason: str | None = None
    letter: str | None = None
    reminder_count: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})


class ConfirmedWeek(MatchingTable, table=True):
    """One confirmed internship per seeker and moment: the constraint says so, whatever the code above does.

    `during` are the stretches of presence of the week, on the Paris clock.
    """

    __tablename__ = "confirmed_week"
    __table_args__ = (
        # An identity of 128 bits is written as an IPv6 address: the equality that GiST knows without any extension.
        ExcludeConstraint(
            (
                text(
                    r"CAST(regexp_replace(replace(CAST(seeker_id AS text), '-', ''), '(....)(?=.)', '\1:', 'g') AS inet) inet_ops"
                ),
                "=",
            ),
            ("during", "&&"),
            name="nobody_is_in_two_places",
        ),
        Index("confirmed_week_of_application", "application_id"),
    )
    seeker_id: UUID = Field(primary_key=True, foreign_key="seeker.seeker_id")
    iso_week: str = Field(primary_key=True)
    application_id: UUID = Field(primary_key=True, foreign_key="application.application_id")
    during: Any = Field(sa_column=Column(TSMULTIRANGE, nullable=False, server_default=text("'{}'")))


class AgreementRow(MatchingTable, table=True):
    """The convention of a confirmed application."""

    __tablename__ = "agreement"
    agreement_id: UUID = Field(primary_key=True)
    application_id: UUID = Field(foreign_key="application.application_id", unique=True)
    parties: list[str] = Field(sa_type=ARRAY(String))
    starts_on: date
    ends_on: date
    state: str
    # Of the current terms; all signatures, those that fell too, are in `agreement_act`.
    signed: dict[str, str] = Field(sa_type=JSONB)
    version: int = Field(sa_type=BigInteger)
    terms_version: int = Field(default=1, sa_column_kwargs={"server_default": text("1")})
    terms_sha256: str = Field(default="", sa_column_kwargs={"server_default": text("''")})
    # As whom the accompanying party acts, as its terms fixed it: to find what waits for somebody.
    accompanied_by: str | None = Field(default=None, index=True)


class AgreementTerms(MatchingTable, table=True):
    """A version of everything that is signed, as canonical JSON, and its hash; never changed but to forget a person."""

    __tablename__ = "agreement_terms"
    __table_args__ = (
        CheckConstraint(
            "erased_at IS NOT NULL OR sha256 = encode(sha256(convert_to(content, 'UTF8')), 'hex')",
            name="hash_of_the_copy",
        ),
        UniqueConstraint("agreement_id", "version", "sha256", name="one_copy_one_hash"),
    )
    agreement_id: UUID = Field(primary_key=True, foreign_key="agreement.agreement_id")
    version: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    sha256: str
    content: str
    made_at: datetime = instant()
    made_by: str
    erased_at: datetime | None = instant(nullable=True)


class AgreementAct(MatchingTable, table=True):
    """Who did what with an agreement, on which terms: the key refuses a signature under a hash that no terms have."""

    __tablename__ = "agreement_act"
    __table_args__ = (
        ForeignKeyConstraint(
            ["agreement_id", "terms_version", "terms_sha256"],
            ["agreement_terms.agreement_id", "agreement_terms.version", "agreement_terms.sha256"],
        ),
    )
    agreement_id: UUID = Field(primary_key=True)
    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    act: str
    party: str
    acted_by: str
    how: str
    terms_version: int
    terms_sha256: str
    acted_at: datetime = instant()
    reason: str | None = None


class Accompanist(MatchingTable, table=True):
    """A school, prescriber or agency that has come here once: how it is called and written to."""

    __tablename__ = "accompanist"
    acts_as: str = Field(primary_key=True)
    display_name: str
    contact_email: str | None = None


class Campaign(MatchingTable, table=True):
    """A matching campaign, and the job that works on it under a lease by the database's clock."""

    __tablename__ = "campaign"
    __table_args__ = (Index("campaign_work", "work", postgresql_where=text("work IS NOT NULL")),)
    campaign_id: UUID = Field(primary_key=True)
    title: str
    scope: str
    uai: str | None = None
    state: str
    seed: str
    limits: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB))
    opened_at: datetime = instant()
    published_at: datetime | None = instant(nullable=True)
    # What the job has to do: compute, publish or close; null when there is nothing.
    work: str | None = None
    step: str | None = None
    done_count: int = 0
    total_count: int = 0
    problems: list[str] | None = Field(default=None, sa_column=Column(JSONB))
    figures: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB))
    lease_epoch: int = Field(default=0, sa_type=BigInteger)
    lease_expires_at: datetime | None = instant(nullable=True)
    version: int = Field(sa_type=BigInteger)


class CampaignOffer(MatchingTable, table=True):
    """An offer as a campaign froze it; `seats` are those that it keeps, by week."""

    __tablename__ = "campaign_offer"
    __table_args__ = (Index("campaign_offer_by_id", "campaign_id", "offer_id", unique=True),)
    campaign_id: UUID = Field(primary_key=True, foreign_key="campaign.campaign_id")
    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    offer_id: UUID = Field(foreign_key="offer.offer_id")
    commune_code: str
    rome_codes: list[str] = Field(sa_type=ARRAY(String))
    audiences: list[str] = Field(sa_type=ARRAY(String))
    age_min: int
    seats: dict[str, int] = Field(sa_type=JSONB)
    reserved: dict[str, int] = Field(sa_type=JSONB)
    partner_uais: list[str] = Field(sa_type=ARRAY(String))
    # What was proposed, whatever its host writes later; and from which age on the law forbids its hours to nobody.
    title: str
    host_name: str
    hours_age_min: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    published: bool = False


class PupilTable(MatchingTable, table=True):
    """A table of pupils that was tried on the page and waits to be sent for good."""

    __tablename__ = "pupil_table"
    campaign_id: UUID = Field(primary_key=True, foreign_key="campaign.campaign_id")
    content: bytes = Field(sa_type=LargeBinary)


class FreedSeat(MatchingTable, table=True):
    """A seat of a published campaign that came back: it waits to be proposed to the next, or let go."""

    __tablename__ = "freed_seat"
    application_id: UUID = Field(primary_key=True, foreign_key="application.application_id")
    campaign_id: UUID = Field(foreign_key="campaign.campaign_id")
    offer_id: UUID = Field(foreign_key="offer.offer_id")
    iso_weeks: list[str] = Field(sa_type=ARRAY(String))


class CaseLinkRow(MatchingTable, CaseLinkColumns, table=True):
    """Which case of the dropout observatory an application is for."""

    __tablename__ = "case_link"


class PolicyRow(MatchingTable, table=True):
    """All limits, and the day (Paris) from which they hold; the newest row not in the future counts."""

    __tablename__ = "policy"
    valid_on: date = Field(primary_key=True)
    limits: dict[str, Any] = Field(sa_type=JSONB)
