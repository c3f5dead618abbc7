"""Rows of the read models. Each carries the place in the log (topic, partition, offset) of its last change."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, Column, Index, MetaData, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP
from sqlmodel import Field, SQLModel, String

from common.tables import instant

metadata = MetaData()


class ReadModel(SQLModel):
    """Keeps the read models in a `MetaData` of their own."""

    metadata: ClassVar[MetaData] = metadata


class BoardStructure(ReadModel, table=True):
    """Seat board: a structure."""

    __tablename__ = "board_structure"
    structure_id: UUID = Field(primary_key=True)
    structure_name: str
    kind: str
    commune_code: str
    fictitious: bool
    log_topic: str
    log_partition: int
    log_offset: int = Field(sa_type=BigInteger)


class BoardProgramme(ReadModel, table=True):
    """Seat board: a programme with its counts. Stores instants only; "stale" is derived when read."""

    __tablename__ = "board_programme"
    __table_args__ = (Index("board_programme_log", "log_partition", "log_offset"),)
    programme_id: UUID = Field(primary_key=True)
    structure_id: UUID
    title: str
    rome_codes: list[str] = Field(sa_type=ARRAY(String))
    rncp_code: str | None = None
    age_min: int
    age_max: int
    level_min: str
    boarding: bool
    wheelchair_accessible: bool
    intake_on: date | None = None
    open: bool
    total_count: int
    taken_count: int
    admitted_count: int
    held_count: int
    free_count: int
    excess_count: int
    observed_at: datetime | None = instant(nullable=True)
    last_record: str
    last_occurred_at: datetime = instant()
    free_change: int
    aggregate_version: int = Field(sa_type=BigInteger)
    log_topic: str
    log_partition: int
    log_offset: int = Field(sa_type=BigInteger)
    # By which way, and whose word, the seats of `observed_at` came; null where that is not known. Last, as a migration that
    # adds a column puts it: a rebuilt table with another order breaks what is prepared for the live one.
    declared_way: str | None = None
    declared_source: str | None = None


class MarketHost(ReadModel, table=True):
    """Stage market: an organisation that takes interns."""

    __tablename__ = "market_host"
    host_id: UUID = Field(primary_key=True)
    host_name: str = ""
    kind: str = ""
    commune_code: str = ""
    fictitious: bool = False
    charter_ends_on: date | None = None
    label_ends_on: date | None = None
    suspended_reason: str | None = None
    aggregate_version: int = Field(sa_type=BigInteger)
    log_topic: str
    log_partition: int
    log_offset: int = Field(sa_type=BigInteger)


class MarketOffer(ReadModel, table=True):
    """Stage market: an offer and its weeks, as its last message has them."""

    __tablename__ = "market_offer"
    offer_id: UUID = Field(primary_key=True)
    host_id: UUID
    title: str
    kind: str
    rome_codes: list[str] = Field(sa_type=ARRAY(String))
    commune_code: str
    audiences: list[str] = Field(sa_type=ARRAY(String))
    suspended: bool
    weeks: list[Any] = Field(sa_type=JSONB)
    aggregate_version: int = Field(sa_type=BigInteger)
    log_topic: str
    log_partition: int
    log_offset: int = Field(sa_type=BigInteger)


class MarketApplication(ReadModel, table=True):
    """Stage market: an application, its answer and its end. The seeker's id stands for nobody outside its service."""

    __tablename__ = "market_application"
    __table_args__ = (Index("market_application_seeker", "seeker_id"), Index("market_application_offer", "offer_id"))
    application_id: UUID = Field(primary_key=True)
    offer_id: UUID
    seeker_id: UUID
    origin: str
    state: str
    submitted_at: datetime | None = instant(nullable=True)
    answered_at: datetime | None = instant(nullable=True)
    ended_at: datetime | None = instant(nullable=True)
    end_reason: str | None = None
    log_topic: str
    log_partition: int
    log_offset: int = Field(sa_type=BigInteger)


class MarketRequest(ReadModel, table=True):
    """Stage market: what somebody looks for, in closed codes."""

    __tablename__ = "market_request"
    __table_args__ = (Index("market_request_seeker", "seeker_id"),)
    request_id: UUID = Field(primary_key=True)
    seeker_id: UUID
    campaign_id: UUID | None = None
    audience: str
    department_code: str
    rome_codes: list[str] = Field(sa_type=ARRAY(String))
    filed_at: datetime = instant()
    end_reason: str | None = None
    aggregate_version: int = Field(sa_type=BigInteger)
    log_topic: str
    log_partition: int
    log_offset: int = Field(sa_type=BigInteger)


class UsePlatform(ReadModel, table=True):
    """Platform use: a technical platform and the minutes that it was offered, by ISO week, over its units."""

    __tablename__ = "use_platform"
    platform_id: UUID = Field(primary_key=True)
    owner_title: str = ""
    title: str = ""
    commune_code: str = ""
    equipment: list[Any] = Field(default_factory=list, sa_type=JSONB)
    capacity_count: int = 0
    unit_count: int = 0
    withdrawn: bool = False
    fictitious: bool = False
    offered: dict[str, int] = Field(default_factory=dict, sa_type=JSONB)
    aggregate_version: int = Field(sa_type=BigInteger)
    log_topic: str
    log_partition: int
    log_offset: int = Field(sa_type=BigInteger)


class UseBooking(ReadModel, table=True):
    """Platform use: a booking, its slot, and how it ended. Who booked is not kept."""

    __tablename__ = "use_booking"
    __table_args__ = (Index("use_booking_when", "starts_at"), Index("use_booking_platform", "platform_id"))
    booking_id: UUID = Field(primary_key=True)
    platform_id: UUID
    origin: str
    state: str
    starts_at: datetime = instant()
    ends_at: datetime = instant()
    group_size: int
    end_reason: str | None = None
    late: bool
    log_topic: str
    log_partition: int
    log_offset: int = Field(sa_type=BigInteger)


class CalendarEvent(ReadModel, table=True):
    """Calendar: an outreach event as it was last described."""

    __tablename__ = "calendar_event"
    event_id: UUID = Field(primary_key=True)
    organiser_title: str = ""
    kind: str = "UNKNOWN"
    title: str = ""
    summary: str = ""
    status: str = "UNKNOWN"
    access: str = "INVITATION"
    attendance_mode: str = "UNKNOWN"
    place_title: str | None = None
    commune_code: str | None = None
    audiences: list[Any] = Field(default_factory=list, sa_type=JSONB)
    rome_codes: list[Any] = Field(default_factory=list, sa_type=JSONB)
    under_represented: bool = False
    fictitious: bool = False
    aggregate_version: int = Field(sa_type=BigInteger)
    log_topic: str
    log_partition: int
    log_offset: int = Field(sa_type=BigInteger)


class CalendarSession(ReadModel, table=True):
    """Calendar: a session with its seats; `offers` are those not answered yet, each with the instant at which it ends."""

    __tablename__ = "calendar_session"
    __table_args__ = (Index("calendar_session_when", "starts_at"), Index("calendar_session_event", "event_id"))
    session_id: UUID = Field(primary_key=True)
    event_id: UUID | None = Field(default=None, sa_column=Column(Uuid, nullable=False))
    title: str = ""
    purpose: str = "UNKNOWN"
    starts_at: datetime | None = Field(default=None, sa_column=Column(TIMESTAMP(timezone=True), nullable=False))
    ends_at: datetime | None = Field(default=None, sa_column=Column(TIMESTAMP(timezone=True), nullable=False))
    hall: str | None = None
    # Of the last description, for calendars that subscribe.
    described_at: datetime | None = Field(default=None, sa_column=Column(TIMESTAMP(timezone=True), nullable=False))
    described_version: int = Field(default=0, sa_type=BigInteger)
    admission: str = "UNKNOWN"
    capacity_count: int | None = None
    state: str = "planned"
    registered_count: int = 0
    offered_count: int = 0
    waiting_count: int = 0
    attended_count: int = 0
    was_counted: bool = False
    female_count: int | None = None
    male_count: int | None = None
    offers: dict[str, Any] = Field(default_factory=dict, sa_type=JSONB)
    aggregate_version: int = Field(sa_type=BigInteger)
    log_topic: str
    log_partition: int
    log_offset: int = Field(sa_type=BigInteger)


class SeasonCafe(ReadModel, table=True):
    """Parents' cafés: a café with its seats; an offer is kept with the instant at which it ends."""

    __tablename__ = "season_cafe"
    __table_args__ = (Index("season_cafe_when", "starts_at"),)
    cafe_id: UUID = Field(primary_key=True)
    school_year: str
    period: str
    theme: str
    venue_title: str
    venue_kind: str
    commune_code: str
    # Null only while its description has not been folded; such a row is not written.
    starts_at: datetime | None = Field(default=None, sa_column=Column(TIMESTAMP(timezone=True), nullable=False))
    ends_at: datetime = instant()
    capacity_count: int
    target_count: int
    minimum_count: int
    status: str
    opens_at: datetime | None = instant(nullable=True)
    described_at: datetime = instant()
    described_version: int = Field(sa_type=BigInteger)
    fictitious: bool
    registered_count: int = 0
    offered_count: int = 0
    waiting_count: int = 0
    attended_count: int = 0
    was_counted: bool = False
    merged_into_id: UUID | None = None
    moved_seat_count: int = 0
    offers: dict[str, Any] = Field(default_factory=dict, sa_type=JSONB)
    aggregate_version: int = Field(sa_type=BigInteger)
    log_topic: str
    log_partition: int
    log_offset: int = Field(sa_type=BigInteger)


class PipelineService(ReadModel, table=True):
    """Pipeline health: what each service last said of itself."""

    __tablename__ = "pipeline_service"
    service: str = Field(primary_key=True)
    occurred_at: datetime = instant()
    outbox_depth: int = Field(sa_type=BigInteger)
    outbox_age_seconds: float
    lag_count: int = Field(sa_type=BigInteger)
    dead_letter_count: int = Field(sa_type=BigInteger)
    parked_key_count: int = Field(sa_type=BigInteger)
    stopped_partition_count: int
    unsent_count: int = Field(sa_type=BigInteger)
    unsent_age_seconds: float
    undelivered_count: int = Field(sa_type=BigInteger)
    log_topic: str
    log_partition: int
    log_offset: int = Field(sa_type=BigInteger)


class PipelineDeadLetter(ReadModel, table=True):
    """Pipeline health: records that services set aside, newest kept for display."""

    __tablename__ = "pipeline_dead_letter"
    dead_letter_id: UUID = Field(primary_key=True)
    service: str
    source_topic: str
    source_partition: int
    source_offset: int = Field(sa_type=BigInteger)
    reason: str
    size_bytes: int = Field(sa_type=BigInteger)
    occurred_at: datetime = instant()
    log_topic: str
    log_partition: int
    log_offset: int = Field(sa_type=BigInteger)
