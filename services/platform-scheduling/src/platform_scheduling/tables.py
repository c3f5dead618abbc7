"""Rows and constraints of the service's own tables; that no two bookings overlap is a constraint, not a hope."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, LargeBinary, MetaData, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP, ExcludeConstraint
from sqlmodel import Field, SQLModel, String

from common.tables import CaseLinkColumns, instant

metadata = MetaData()


class SchedulingTable(SQLModel):
    """Keeps this service's tables in a `MetaData` of their own."""

    metadata: ClassVar[MetaData] = metadata


class PlatformRow(SchedulingTable, table=True):
    """A technical platform. The row's lock orders everything that happens to its time and bookings."""

    __tablename__ = "platform"
    __table_args__ = (
        CheckConstraint("capacity_count > 0", name="somebody_fits"),
        Index("platform_of_owner", "owner_code"),
        Index("platform_by_commune", "commune_code"),
    )
    platform_id: UUID = Field(primary_key=True)
    owner_code: str
    owner_contact: str | None = None
    owner_title: str
    title: str
    commune_code: str
    equipment_codes: list[str] = Field(sa_type=ARRAY(String))
    rncp_codes: list[str] = Field(sa_type=ARRAY(String))
    capacity_count: int
    accessible: bool
    habilitation_codes: list[str] = Field(sa_type=ARRAY(String))
    approval: str
    access: dict[str, int] = Field(sa_type=JSONB)
    rules: str
    withdrawn: bool
    fictitious: bool
    # Windows are written out up to this day; the owner's calendar feed is found by its secret.
    opened_until: date | None = None
    feed_secret: UUID = Field(unique=True)
    version: int = Field(sa_type=BigInteger)


class Photo(SchedulingTable, table=True):
    """A photo of a platform, as we wrote it anew."""

    __tablename__ = "photo"
    platform_id: UUID = Field(primary_key=True, foreign_key="platform.platform_id")
    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    caption: str
    content: bytes = Field(sa_type=LargeBinary)


class UnitRow(SchedulingTable, table=True):
    """A place of a platform that can be booked beside the others."""

    __tablename__ = "unit"
    __table_args__ = (Index("unit_of_platform", "platform_id", "number", unique=True),)
    unit_id: UUID = Field(primary_key=True)
    platform_id: UUID = Field(foreign_key="platform.platform_id")
    number: int
    title: str


class WindowRow(SchedulingTable, table=True):
    """When an owner offers a platform: a wall clock in Paris and its rule."""

    __tablename__ = "offer_window"
    __table_args__ = (Index("offer_window_of_platform", "platform_id"),)
    window_id: UUID = Field(primary_key=True)
    platform_id: UUID = Field(foreign_key="platform.platform_id")
    starts_at_local: datetime = Field(sa_column=Column(TIMESTAMP(timezone=False), nullable=False))
    length_minutes: int
    rrule: str | None = None
    in_school_holidays: bool
    in_public_holidays: bool


class OpenTime(SchedulingTable, table=True):
    """One occurrence of a window, written out so that a search is one query."""

    __tablename__ = "open_time"
    __table_args__ = (
        CheckConstraint("starts_at < ends_at", name="open_time_lasts"),
        Index("open_time_of_platform", "platform_id", "starts_at"),
        # A search reads the windows of a day from the index alone.
        Index("open_time_when", "starts_at", postgresql_include=["ends_at", "platform_id"]),
    )
    window_id: UUID = Field(primary_key=True)
    starts_at: datetime = Field(sa_column=Column(TIMESTAMP(timezone=True), primary_key=True))
    ends_at: datetime = instant()
    platform_id: UUID = Field(foreign_key="platform.platform_id")


class BusyTime(SchedulingTable, table=True):
    """Time that the owner keeps, by hand or from an imported calendar; its note never leaves this database."""

    __tablename__ = "busy_time"
    __table_args__ = (
        CheckConstraint("starts_at < ends_at", name="busy_time_lasts"),
        Index("busy_time_of_platform", "platform_id", "starts_at"),
    )
    busy_id: UUID = Field(primary_key=True)
    platform_id: UUID = Field(foreign_key="platform.platform_id")
    unit_number: int | None = None
    source: str
    starts_at: datetime = instant()
    ends_at: datetime = instant()
    note: str


class OfferedWeekRow(SchedulingTable, table=True):
    """What the log was last told of a week's offered time."""

    __tablename__ = "offered_week"
    platform_id: UUID = Field(primary_key=True, foreign_key="platform.platform_id")
    iso_week: str = Field(primary_key=True)
    offered_minutes: int = Field(sa_type=BigInteger)


class Requester(SchedulingTable, table=True):
    """Who books: an account, or an organiser of events; the id that stands for them on Kafka is random."""

    __tablename__ = "requester"
    requester_id: UUID = Field(primary_key=True)
    account: str | None = Field(default=None, unique=True)
    requester_title: str
    contact_email: str | None = None
    feed_secret: UUID = Field(unique=True)


class BookingRow(SchedulingTable, table=True):
    """A reservation, live or ended."""

    __tablename__ = "booking"
    __table_args__ = (
        # A unit is held once at a time, whatever the code above does.
        ExcludeConstraint(
            (text("uuidrange(unit_id, unit_id, '[]')"), "&&"),
            (text("tstzrange(starts_at, occupied_until)"), "&&"),
            where=text("state IN ('tentative', 'approved')"),
            using="gist",
            name="no_double_booking",
        ),
        CheckConstraint("starts_at < ends_at AND ends_at <= occupied_until", name="booking_lasts"),
        CheckConstraint(
            "(state IN ('tentative', 'approved')) <= (unit_id IS NOT NULL)", name="what_is_held_has_a_unit"
        ),
        CheckConstraint(
            "(state IN ('requested', 'tentative', 'approved')) = (due_at IS NOT NULL)", name="whatever_waits_ends"
        ),
        Index("booking_when", "starts_at", postgresql_where=text("state IN ('tentative', 'approved')")),
        Index("booking_of_platform", "platform_id", "starts_at"),
        Index("booking_of_requester", "requester_id", "starts_at"),
        Index("booking_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index("booking_of_request", "request_id", unique=True, postgresql_where=text("request_id IS NOT NULL")),
    )
    booking_id: UUID = Field(primary_key=True)
    platform_id: UUID = Field(foreign_key="platform.platform_id")
    unit_id: UUID | None = Field(default=None, foreign_key="unit.unit_id")
    requester_id: UUID = Field(foreign_key="requester.requester_id")
    origin: str
    request_id: UUID | None = None
    state: str
    starts_at: datetime = instant()
    ends_at: datetime = instant()
    occupied_until: datetime = instant()
    group_size: int
    requested_at: datetime = instant()
    due_at: datetime | None = instant(nullable=True)
    revision: int
    late: bool
    refusal_reason: str | None = None
    ended_at: datetime | None = instant(nullable=True)
    end_reason: str | None = None
    broken_by: list[str] = Field(sa_column=Column(ARRAY(String), nullable=False, server_default=text("'{}'")))
    changed_at: datetime = instant()
    purpose: str | None = None
    reminder_count: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})


class PlatformRequest(SchedulingTable, table=True):
    """A request of the events service and what it was answered; an aggregate of its own."""

    __tablename__ = "platform_request"
    request_id: UUID = Field(primary_key=True)
    for_event_id: UUID
    platform_id: UUID
    state: str
    reason: str | None = None
    version: int = Field(sa_type=BigInteger)


class CaseLinkRow(SchedulingTable, CaseLinkColumns, table=True):
    """Which case of the dropout observatory a booking is for."""

    __tablename__ = "case_link"


class PolicyRow(SchedulingTable, table=True):
    """All limits, and the day (Paris) from which they hold; the newest row not in the future counts."""

    __tablename__ = "policy"
    valid_on: date = Field(primary_key=True)
    limits: dict[str, Any] = Field(sa_type=JSONB)
