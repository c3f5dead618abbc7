"""Rows and constraints of the service's own tables; the seats' arithmetic is kept by CHECKs, not by hope."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, MetaData, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel, String

from common.tables import CaseLinkColumns, instant

metadata = MetaData()


class SeatsTable(SQLModel):
    """Keeps this service's tables in a `MetaData` of their own."""

    metadata: ClassVar[MetaData] = metadata


class Structure(SeatsTable, table=True):
    """A remediation structure; its contact never leaves this database."""

    __tablename__ = "structure"
    structure_id: UUID = Field(primary_key=True)
    structure_name: str
    kind: str
    commune_code: str
    contact_email: str | None = None
    fictitious: bool
    version: int = Field(sa_type=BigInteger)


class Programme(SeatsTable, table=True):
    """A pool of seats. The row's lock orders everything that happens to its holds."""

    __tablename__ = "programme"
    __table_args__ = (
        CheckConstraint(
            "total_count >= 0 AND taken_count >= 0 AND admitted_count >= 0 AND held_count >= 0 AND excess_count >= 0",
            name="counts_are_natural",
        ),
        # A hold may never take a seat that is not there; only a declaration, which cannot be refused, raises excess_count.
        CheckConstraint(
            "taken_count + admitted_count + held_count <= total_count + excess_count", name="no_overbooking"
        ),
        CheckConstraint("age_min BETWEEN 0 AND age_max", name="ages_in_order"),
        Index("programme_of_structure", "structure_id"),
    )
    programme_id: UUID = Field(primary_key=True)
    structure_id: UUID = Field(foreign_key="structure.structure_id")
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
    excess_count: int
    observed_at: datetime | None = instant(nullable=True)
    declared_way: str | None = None
    declared_sequence: int | None = Field(default=None, sa_type=BigInteger)
    declared_at: datetime | None = instant(nullable=True)
    described_at: datetime = instant(default=True)
    version: int = Field(sa_type=BigInteger)


class YoungPerson(SeatsTable, table=True):
    """A code on paper and the random id that stands for it on Kafka; nothing else is known of the person."""

    __tablename__ = "young_person"
    young_person_id: UUID = Field(primary_key=True)
    code: str = Field(unique=True)
    created_at: datetime = instant()


class Prescriber(SeatsTable, table=True):
    """A prescriber's professional contact, shown to the structures that they hold with."""

    __tablename__ = "prescriber"
    prescriber_id: str = Field(primary_key=True)
    contact_email: str | None = None


class Hold(SeatsTable, table=True):
    """A seat kept for a young person, live or ended."""

    __tablename__ = "hold"
    __table_args__ = (
        # One live hold of a young person on a programme, whatever the code above does.
        Index(
            "hold_one_live_each",
            "programme_id",
            "young_person_id",
            unique=True,
            postgresql_where=text("state IN ('held', 'confirmed')"),
        ),
        Index("hold_live_of_young_person", "young_person_id", postgresql_where=text("state IN ('held', 'confirmed')")),
        Index("hold_live_of_prescriber", "prescriber_id", postgresql_where=text("state IN ('held', 'confirmed')")),
        Index("hold_due", "due_at", postgresql_where=text("state IN ('held', 'confirmed')")),
        Index("hold_admitted", "programme_id", "admitted_at", postgresql_where=text("state = 'admitted'")),
        CheckConstraint("(state IN ('held', 'confirmed')) = (due_at IS NOT NULL)", name="every_live_hold_ends"),
    )
    hold_id: UUID = Field(primary_key=True)
    programme_id: UUID = Field(foreign_key="programme.programme_id")
    young_person_id: UUID = Field(foreign_key="young_person.young_person_id")
    prescriber_id: str = Field(foreign_key="prescriber.prescriber_id")
    state: str
    held_at: datetime = instant()
    expires_at: datetime = instant()
    extension_count: int
    arrival_on: date | None = None
    no_show_at: datetime | None = instant(nullable=True)
    admitted_at: datetime | None = instant(nullable=True)
    ended_at: datetime | None = instant(nullable=True)
    decline_reason: str | None = None
    due_at: datetime | None = instant(nullable=True)


class CaseLinkRow(SeatsTable, CaseLinkColumns, table=True):
    """Which case of the dropout observatory a hold is for."""

    __tablename__ = "case_link"


class PresenceQuestion(SeatsTable, table=True):
    """A structure is asked whether somebody is still there, three and six months after the admission; once each."""

    __tablename__ = "presence_question"
    __table_args__ = (
        Index("presence_open", "asked_at", postgresql_where=text("answered_at IS NULL")),
        CheckConstraint("(answered_at IS NULL) = (presence IS NULL)", name="what_is_answered_has_an_answer"),
    )
    hold_id: UUID = Field(primary_key=True, foreign_key="hold.hold_id")
    after_months: int = Field(primary_key=True)
    asked_at: datetime = instant()
    reminder_count: int
    answered_at: datetime | None = instant(nullable=True)
    presence: str | None = None


class AlertRow(SeatsTable, table=True):
    """A prescriber's wish to be told when a seat opens; a profile of criteria, tied to nobody."""

    __tablename__ = "alert"
    __table_args__ = (Index("alert_of_prescriber", "prescriber_id"),)
    alert_id: UUID = Field(primary_key=True)
    prescriber_id: str = Field(foreign_key="prescriber.prescriber_id")
    commune_code: str
    radius_km: float
    age: int | None = None
    level: str | None = None
    needs_boarding: bool
    needs_wheelchair_access: bool
    kind: str | None = None
    created_at: datetime = instant()
    ends_at: datetime = instant()


class PolicyRow(SeatsTable, table=True):
    """All limits, and the day (Paris) from which they hold; the newest row not in the future counts."""

    __tablename__ = "policy"
    valid_on: date = Field(primary_key=True)
    limits: dict[str, Any] = Field(sa_type=JSONB)
