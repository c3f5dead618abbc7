"""Rows and constraints of the service's own tables; seats, pending offers and loans are kept by constraints, not by hope."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, MetaData, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, ExcludeConstraint
from sqlmodel import Field, SQLModel, String

from common.tables import CaseLinkColumns, instant
from waiting_list.tables import Queued, queue_constraints

metadata = MetaData()


class EventsTable(SQLModel):
    """Keeps this service's tables in a `MetaData` of their own."""

    metadata: ClassVar[MetaData] = metadata


class Organiser(EventsTable, table=True):
    """Who organises: an account; the id that stands for it on Kafka is random."""

    __tablename__ = "organiser"
    organiser_id: UUID = Field(primary_key=True)
    account: str | None = Field(default=None, unique=True)
    contact_email: str | None = None


class EventRow(EventsTable, table=True):
    """An outreach event. Its row's lock orders its description, its state and its need for a platform."""

    __tablename__ = "event"
    __table_args__ = (Index("event_of_organiser", "organiser_id"),)
    event_id: UUID = Field(primary_key=True)
    organiser_id: UUID = Field(foreign_key="organiser.organiser_id")
    state: str
    description: dict[str, Any] = Field(sa_type=JSONB)
    # The platform that it needs, and what was answered.
    need: dict[str, Any] | None = Field(default=None, sa_type=JSONB)
    cancelled_reason: str | None = None
    changed_at: datetime = instant()
    version: int = Field(sa_type=BigInteger)


class PlatformRequestRow(EventsTable, table=True):
    """What platform scheduling was asked for an event; an aggregate of its own, told once or twice."""

    __tablename__ = "platform_request"
    request_id: UUID = Field(primary_key=True)
    event_id: UUID = Field(foreign_key="event.event_id")
    need: dict[str, Any] = Field(sa_type=JSONB)
    withdrawn: bool
    answer: str | None = None
    version: int = Field(sa_type=BigInteger)


class SessionRow(EventsTable, table=True):
    """A time slot of an event. Its row's lock orders everything that happens to its seats."""

    __tablename__ = "session"
    __table_args__ = (
        # Never more than there are, under any concurrency: `taken_count` is the sum of the rows, in the same statement.
        CheckConstraint("taken_count BETWEEN 0 AND COALESCE(capacity_count, 0)", name="no_overbooking"),
        CheckConstraint("starts_at < ends_at", name="session_lasts"),
        CheckConstraint("(allocation = 'LOTTERY') = (draw_at IS NOT NULL)", name="what_is_drawn_has_a_day"),
        Index("session_of_event", "event_id", "starts_at"),
        Index("session_when", "starts_at"),
        Index("session_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    )
    session_id: UUID = Field(primary_key=True)
    event_id: UUID = Field(foreign_key="event.event_id")
    state: str
    title: str
    purpose: str
    starts_at: datetime = instant()
    ends_at: datetime = instant()
    hall: str | None = None
    speaker: str | None = None
    online_url: str | None = None
    admission: str
    capacity_count: int | None = None
    taken_count: int = 0
    allocation: str
    draw_at: datetime | None = instant(nullable=True)
    opens_at: datetime | None = instant(nullable=True)
    seed: str
    drawn_at: datetime | None = instant(nullable=True)
    due_at: datetime | None = instant(nullable=True)
    revision: int
    # Of the last message that described the session or called it off; a registration does not raise it.
    described_version: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    changed_at: datetime = instant()
    version: int = Field(sa_type=BigInteger)


class Person(EventsTable, table=True):
    """Who registers, by the address that they write from; nothing of it leaves this database."""

    __tablename__ = "person"
    person_id: UUID = Field(primary_key=True)
    email: str | None = Field(default=None, unique=True)


class Party(EventsTable, table=True):
    """Who comes together to an event: a person with those who come along, or a group of a school."""

    __tablename__ = "party"
    __table_args__ = (
        Index("party_of_person", "person_id"),
        # A person has one link for an event, whatever they register for.
        Index("party_once", "event_id", "person_id", unique=True, postgresql_where=text("kind = 'INDIVIDUAL'")),
        Index("party_of_school", "school_uai", postgresql_where=text("school_uai IS NOT NULL")),
        CheckConstraint("female_count >= 0 AND male_count >= 0", name="people_are_counted"),
    )
    party_id: UUID = Field(primary_key=True)
    event_id: UUID = Field(foreign_key="event.event_id")
    person_id: UUID = Field(foreign_key="person.person_id")
    kind: str
    title: str | None = None
    school_uai: str | None = None
    female_count: int
    male_count: int
    code: str = Field(unique=True)
    mail_count: int = 0
    created_at: datetime = instant()


class RegistrationRow(Queued, EventsTable, table=True):
    """A party in a session, on the kernel's columns; `owed` is what its people have yet to be told."""

    __tablename__ = "registration"
    __table_args__ = (
        *queue_constraints("registration", "session_id"),
        CheckConstraint("(state = 'attended') <= (visitor_count BETWEEN 1 AND seat_count)", name="who_came_is_counted"),
        Index("registration_of_party", "party_id"),
        Index("registration_owed", "party_id", postgresql_where=text("owed IS NOT NULL")),
    )
    session_id: UUID = Field(foreign_key="session.session_id")
    party_id: UUID = Field(foreign_key="party.party_id")
    party_kind: str
    school_uai: str | None = None
    visitor_count: int | None = None
    visitor_count_at: datetime | None = instant(nullable=True)
    revision: int
    owed: str | None = None


class ReadingRow(EventsTable, table=True):
    """What a device read at a door and we have counted: the same reading counts once, however often it is sent."""

    __tablename__ = "reading"
    __table_args__ = (Index("reading_of_registration", "registration_id"),)
    session_id: UUID = Field(primary_key=True)
    reading_id: UUID = Field(primary_key=True)
    registration_id: UUID = Field(foreign_key="registration.registration_id", ondelete="CASCADE")


class KitRow(EventsTable, table=True):
    """A trade kit. Its row's lock orders its loans."""

    __tablename__ = "kit"
    __table_args__ = (Index("kit_of_keeper", "keeper"),)
    kit_id: UUID = Field(primary_key=True)
    keeper: str
    keeper_contact: str | None = None
    title: str
    contents: str
    rome_codes: list[str] = Field(sa_type=ARRAY(String))
    commune_code: str
    withdrawn: bool
    out_of_order: bool
    fictitious: bool
    version: int = Field(sa_type=BigInteger)


class LoanRow(EventsTable, table=True):
    """A loan of a kit; the day after it belongs to it."""

    __tablename__ = "loan"
    __table_args__ = (
        ExcludeConstraint(
            (text("uuidrange(kit_id, kit_id, '[]')"), "&&"),
            (text("daterange(first_on, free_on)"), "&&"),
            where=text("state IN ('reserved', 'out')"),
            using="gist",
            name="no_double_loan",
        ),
        CheckConstraint("first_on <= last_on AND last_on < free_on", name="loan_lasts"),
        Index("loan_is_out", "kit_id", unique=True, postgresql_where=text("state = 'out'")),
        Index("loan_of_borrower", "borrower_id"),
        Index("loan_of_event", "event_id", postgresql_where=text("event_id IS NOT NULL")),
    )
    loan_id: UUID = Field(primary_key=True)
    kit_id: UUID = Field(foreign_key="kit.kit_id")
    borrower_id: UUID = Field(foreign_key="organiser.organiser_id")
    event_id: UUID | None = Field(default=None, foreign_key="event.event_id")
    first_on: date
    last_on: date
    free_on: date
    state: str
    end_reason: str | None = None
    late: bool
    damaged: bool
    reminder_count: int = 0


class AmbassadorRow(EventsTable, table=True):
    """An ambassador or a parent witness; name and address never leave this database."""

    __tablename__ = "ambassador"
    ambassador_id: UUID = Field(primary_key=True)
    email: str | None = None
    title: str | None = None
    kind: str
    rome_codes: list[str] = Field(sa_type=ARRAY(String))
    commune_code: str
    radius_km: int
    host_siret: str | None = None
    kit_id: UUID | None = None
    withdrawn: bool
    fictitious: bool
    asked_at: datetime | None = instant(nullable=True)
    version: int = Field(sa_type=BigInteger)


class VisitRow(EventsTable, table=True):
    """What a school or an organiser wishes for of an ambassador; one is asked at a time."""

    __tablename__ = "visit"
    __table_args__ = (
        CheckConstraint("(state = 'searching') = (due_at IS NOT NULL)", name="who_is_asked_has_a_date"),
        Index("visit_of_asker", "asker"),
        Index("visit_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    )
    visit_id: UUID = Field(primary_key=True)
    asker: str
    asker_title: str | None = None
    asker_contact: str | None = None
    event_id: UUID | None = None
    rome_code: str
    kind: str | None = None
    commune_code: str
    visit_on: date
    details: str | None = None
    state: str
    ambassador_id: UUID | None = None
    due_at: datetime | None = instant(nullable=True)
    asked: list[UUID] = Field(sa_type=ARRAY(Uuid))


class CaseLinkRow(EventsTable, CaseLinkColumns, table=True):
    """Which case of the dropout observatory a group is for."""

    __tablename__ = "case_link"


class PolicyRow(EventsTable, table=True):
    """All limits, and the day (Paris) from which they hold; the newest row not in the future counts."""

    __tablename__ = "policy"
    valid_on: date = Field(primary_key=True)
    limits: dict[str, Any] = Field(sa_type=JSONB)
