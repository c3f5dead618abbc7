"""Rows and constraints of the service's own tables; seats, one café per period, venues and facilitators are kept by constraints."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, MetaData, text
from sqlalchemy.dialects.postgresql import JSONB, ExcludeConstraint
from sqlmodel import Field, SQLModel

from common.tables import instant
from waiting_list.tables import LIVE, Queued, queue_constraints

metadata = MetaData()
_STANDS = "state IN ('planned', 'open', 'confirmed', 'held')"


class CafesTable(SQLModel):
    """Keeps this service's tables in a `MetaData` of their own."""

    metadata: ClassVar[MetaData] = metadata


class CoordinatorRow(CafesTable, table=True):
    """Who plans cafés: an account."""

    __tablename__ = "coordinator"
    coordinator_id: UUID = Field(primary_key=True)
    account: str | None = Field(default=None, unique=True)
    contact_email: str | None = None


class VenueRow(CafesTable, table=True):
    """Where cafés take place."""

    __tablename__ = "venue"
    venue_id: UUID = Field(primary_key=True)
    keeper_id: UUID = Field(foreign_key="coordinator.coordinator_id")
    title: str
    kind: str
    commune_code: str
    address: str
    capacity_count: int
    accessible: bool


class FacilitatorRow(CafesTable, table=True):
    """Who runs the exchange; name and address never leave this database."""

    __tablename__ = "facilitator"
    facilitator_id: UUID = Field(primary_key=True)
    keeper_id: UUID = Field(foreign_key="coordinator.coordinator_id")
    title: str | None = None
    email: str | None = None


class CafeRow(CafesTable, table=True):
    """A café. Its row's lock orders everything that happens to its seats."""

    __tablename__ = "cafe"
    __table_args__ = (
        # Never more than there are, under any concurrency: `taken_count` is the sum of the rows, in the same statement.
        CheckConstraint("taken_count BETWEEN 0 AND capacity_count", name="no_overbooking"),
        CheckConstraint("starts_at < ends_at", name="cafe_lasts"),
        CheckConstraint("review_at IS NULL OR state = 'open'", name="only_open_cafes_are_reviewed"),
        CheckConstraint("(state = 'merged') = (merged_into_id IS NOT NULL)", name="what_is_merged_has_a_target"),
        *(
            ExcludeConstraint(
                (text(f"uuidrange({column}, {column}, '[]')"), "&&"),
                (text("tstzrange(starts_at, ends_at)"), "&&"),
                where=text(_STANDS),
                using="gist",
                name=name,
            )
            for column, name in (("venue_id", "no_double_venue"), ("facilitator_id", "no_double_facilitator"))
        ),
        Index("cafe_when", "starts_at"),
        Index("cafe_of_coordinator", "coordinator_id"),
        Index("cafe_to_review", "review_at", postgresql_where=text("review_at IS NOT NULL")),
        Index("cafe_over", "over_at", postgresql_where=text("over_at IS NOT NULL")),
        Index("cafe_to_remind", "starts_at", postgresql_where=text("reminded_at IS NULL")),
    )
    cafe_id: UUID = Field(primary_key=True)
    coordinator_id: UUID = Field(foreign_key="coordinator.coordinator_id")
    school_year: str
    period: str
    state: str
    theme: str
    venue_id: UUID = Field(foreign_key="venue.venue_id")
    facilitator_id: UUID = Field(foreign_key="facilitator.facilitator_id")
    starts_at: datetime = instant()
    ends_at: datetime = instant()
    capacity_count: int
    taken_count: int = 0
    opens_at: datetime | None = instant(nullable=True)
    review_at: datetime | None = instant(nullable=True)
    received_on: date | None = None
    merged_into_id: UUID | None = Field(default=None, foreign_key="cafe.cafe_id")
    over_at: datetime | None = instant(nullable=True)
    reminded_at: datetime | None = instant(nullable=True)
    fictitious: bool
    revision: int
    changed_at: datetime = instant()
    version: int = Field(sa_type=BigInteger)


class Household(CafesTable, table=True):
    """One or two parents behind one verified address: known for good by its keyed hash, its words kept while they are needed."""

    __tablename__ = "household"
    household_id: UUID = Field(primary_key=True)
    # Null once erased: nobody is found by it again.
    email_hash: str | None = Field(default=None, unique=True)
    email: str | None = None
    title: str | None = None
    mail_count: int = 0
    created_at: datetime = instant()


class RequestRow(CafesTable, table=True):
    """What somebody asked for whose address is not verified yet; it takes no seat."""

    __tablename__ = "request"
    __table_args__ = (Index("request_of_address", "email_hash"), Index("request_expires", "expires_at"))
    request_id: UUID = Field(primary_key=True)
    cafe_id: UUID = Field(foreign_key="cafe.cafe_id")
    email_hash: str
    email: str | None = None
    title: str | None = None
    seat_count: int
    wait: bool
    asked_at: datetime = instant()
    expires_at: datetime = instant()
    household_id: UUID | None = Field(default=None, foreign_key="household.household_id")


class RegistrationRow(Queued, CafesTable, table=True):
    """A household in a café, on the kernel's columns (`holder_id` is the household); `owed` is what it has yet to be told."""

    __tablename__ = "registration"
    __table_args__ = (
        *queue_constraints("registration", "cafe_id"),
        # Nobody is in two cafés of a period, whatever moves or changes.
        Index(
            "registration_once_a_period",
            "holder_id",
            "school_year",
            "period",
            unique=True,
            postgresql_where=text(LIVE),
        ),
        CheckConstraint("(state = 'attended') <= (visitor_count BETWEEN 1 AND seat_count)", name="who_came_is_counted"),
        Index("registration_of_household", "holder_id", "joined_at"),
        Index("registration_owed", "holder_id", postgresql_where=text("owed IS NOT NULL")),
    )
    cafe_id: UUID = Field(foreign_key="cafe.cafe_id")
    school_year: str
    period: str
    visitor_count: int | None = None
    moved_from_id: UUID | None = Field(default=None, foreign_key="cafe.cafe_id")
    moved_until: datetime | None = instant(nullable=True)
    code: str = Field(unique=True)
    revision: int
    owed: str | None = None


class ReviewPass(CafesTable, table=True):
    """One row: its lock gives the pass to one replica at a time, so that cafés are looked at by date, then id."""

    __tablename__ = "review_pass"
    id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})


class PolicyRow(CafesTable, table=True):
    """All limits, and the day (Paris) from which they hold; the newest row not in the future counts."""

    __tablename__ = "policy"
    valid_on: date = Field(primary_key=True)
    limits: dict[str, Any] = Field(sa_type=JSONB)
