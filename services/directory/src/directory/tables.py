"""Rows and constraints of the service's own tables. People's names and addresses are in these tables and nowhere else."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, MetaData, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel, String

from common.tables import instant

metadata = MetaData()


class DirectoryTable(SQLModel):
    """Keeps this service's tables in a `MetaData` of their own."""

    metadata: ClassVar[MetaData] = metadata


class OrganisationRow(DirectoryTable, table=True):
    """An organisation; its row's lock orders everything that happens to it, and to who acts for it."""

    __tablename__ = "organisation"
    __table_args__ = (
        # A SIRET may stand for several; of a school there is one.
        Index(
            "one_open_organisation_has_an_uai",
            "uai",
            unique=True,
            postgresql_where=text("state IN ('REGISTERED', 'VERIFIED')"),
        ),
        Index("organisations_of_siret", "siret"),
        Index("sites_of", "part_of"),
        CheckConstraint("siret IS NOT NULL OR uai IS NOT NULL", name="some_number_is_told"),
        CheckConstraint("cardinality(kinds) > 0", name="it_is_something"),
        CheckConstraint("(state = 'MERGED') = (merged_into IS NOT NULL)", name="another_stands_for_what_is_merged"),
        CheckConstraint(
            "part_of <> organisation_id AND merged_into <> organisation_id", name="nothing_is_its_own_part"
        ),
    )
    organisation_id: UUID = Field(primary_key=True)
    title: str
    kinds: list[str] = Field(sa_type=ARRAY(String))
    commune_code: str
    siret: str | None = None
    uai: str | None = None
    part_of: UUID | None = Field(default=None, foreign_key="organisation.organisation_id")
    fictitious: bool
    state: str
    was_verified: bool
    merged_into: UUID | None = Field(default=None, foreign_key="organisation.organisation_id")
    registered_at: datetime = instant()
    version: int = Field(sa_type=BigInteger)


class Person(DirectoryTable, table=True):
    """Somebody who came here with the issuer's word for who they are; kept while they may act for anybody, or asked to."""

    __tablename__ = "person"
    subject_hash: str = Field(primary_key=True)
    # An address that the issuer has verified, and the name that it gives.
    email: str | None = None
    display_name: str | None = None
    seen_at: datetime = instant()


class MembershipRow(DirectoryTable, table=True):
    """Somebody acts for an organisation in a role."""

    __tablename__ = "membership"
    __table_args__ = (
        Index(
            "one_membership_each",
            "organisation_id",
            "subject_hash",
            "role",
            unique=True,
            postgresql_where=text("ended IS NULL"),
        ),
        Index("memberships_of", "subject_hash"),
        CheckConstraint("until_on >= since_on", name="days_in_order"),
    )
    membership_id: UUID = Field(primary_key=True)
    organisation_id: UUID = Field(foreign_key="organisation.organisation_id")
    subject_hash: str
    role: str
    since_on: date
    until_on: date | None = None
    manager: bool
    ended: str | None = None
    moved_from: UUID | None = Field(default=None, foreign_key="organisation.organisation_id")
    version: int = Field(sa_type=BigInteger)


class Invitation(DirectoryTable, table=True):
    """Somebody is invited by mail to act for an organisation; an address has one that waits, for each role."""

    __tablename__ = "invitation"
    __table_args__ = (
        Index(
            "one_invitation_waits",
            "organisation_id",
            "email",
            "role",
            unique=True,
            postgresql_where=text("state = 'sent'"),
        ),
        Index("invitations_to", "email"),
        CheckConstraint("(state = 'accepted') = (membership_id IS NOT NULL)", name="what_is_accepted_is_a_membership"),
    )
    invitation_id: UUID = Field(primary_key=True)
    organisation_id: UUID = Field(foreign_key="organisation.organisation_id")
    email: str
    role: str
    manager: bool
    until_on: date | None = None
    # sent, accepted, declined, withdrawn; one that has expired is still sent, and may be sent again.
    state: str
    sent_at: datetime = instant()
    expires_at: datetime = instant()
    membership_id: UUID | None = Field(default=None, foreign_key="membership.membership_id")


class AccessRequest(DirectoryTable, table=True):
    """Somebody asks to act for an organisation: its managers or the agency answer."""

    __tablename__ = "access_request"
    __table_args__ = (
        Index(
            "one_request_waits",
            "organisation_id",
            "subject_hash",
            "role",
            unique=True,
            postgresql_where=text("state = 'asked'"),
        ),
        Index("requests_of", "subject_hash"),
    )
    access_request_id: UUID = Field(primary_key=True)
    organisation_id: UUID = Field(foreign_key="organisation.organisation_id")
    subject_hash: str = Field(foreign_key="person.subject_hash")
    role: str
    # asked, accepted, refused, withdrawn
    state: str
    asked_at: datetime = instant()
    answered_at: datetime | None = instant(nullable=True)


class PolicyRow(DirectoryTable, table=True):
    """All limits, and the day (Paris) from which they hold; the newest row not in the future counts."""

    __tablename__ = "policy"
    valid_on: date = Field(primary_key=True)
    limits: dict[str, Any] = Field(sa_type=JSONB)
