"""Rows and constraints of the service's own tables. What is known of a case is never overwritten: see `CaseFactsRow`, `CaseStep`."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, MetaData, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel, String

from common.tables import instant

metadata = MetaData()


class ObservatoryTable(SQLModel):
    """Keeps this service's tables in a `MetaData` of their own."""

    metadata: ClassVar[MetaData] = metadata


class Platform(ObservatoryTable, table=True):
    """A platform that follows early leavers (PSAD): an organisation's account and its name."""

    __tablename__ = "psad"
    psad_id: UUID = Field(primary_key=True)
    title: str


class Territory(ObservatoryTable, table=True):
    """An intercommunality is followed by one platform."""

    __tablename__ = "psad_epci"
    epci_siren: str = Field(primary_key=True)
    psad_id: UUID = Field(foreign_key="psad.psad_id", index=True)


class DropoutCase(ObservatoryTable, table=True):
    """A case; its row's lock orders everything that happens to it. What is said of it is in the two tables below.

    `likeness` is a keyed hash of what two sources would say alike of the same person.
    """

    __tablename__ = "dropout_case"
    __table_args__ = (
        Index("case_of_account", "account"),
        Index("case_alike", "likeness"),
        Index("case_of_epci", "epci_siren"),
        CheckConstraint("withdrawn IS NOT NULL OR duplicate_of IS NULL", name="only_what_is_withdrawn_is_a_double"),
        CheckConstraint("duplicate_of <> case_id", name="nothing_is_its_own_double"),
    )
    case_id: UUID = Field(primary_key=True)
    code: str = Field(unique=True)
    account: str
    source: str
    reported_at: datetime = instant()
    last_news_at: datetime = instant()
    likeness: str
    epci_siren: str
    state: str
    withdrawn: str | None = None
    duplicate_of: UUID | None = None
    version: int = Field(sa_type=BigInteger)


class CaseFactsRow(ObservatoryTable, table=True):
    """What was known of a case from an instant on: valid in `left_month`, recorded at `recorded_at`. Rows are only added."""

    __tablename__ = "case_facts"
    __table_args__ = (
        Index("facts_by_month", "left_month"),
        CheckConstraint("extract(day FROM left_month) = 1", name="a_month_is_its_first_day"),
        CheckConstraint("cardinality(factors) > 0", name="some_factor_is_told"),
    )
    case_id: UUID = Field(primary_key=True, foreign_key="dropout_case.case_id")
    # 1, 2, 3… of the case.
    number: int = Field(primary_key=True)
    recorded_at: datetime = instant()
    # The case counts no more from here on; the facts are those before.
    withdrawn: bool
    left_month: date
    level_left: str
    school_kind: str
    school_uai: str | None = None
    age_band: str
    commune_code: str
    epci_siren: str
    department_code: str
    geography_year: int
    factors: list[str] = Field(sa_type=ARRAY(String))


class CaseStep(ObservatoryTable, table=True):
    """A step of the way back: true on a day, known from an instant on, until it was taken back, if it was."""

    __tablename__ = "case_step"
    __table_args__ = (
        Index("steps_of_case", "case_id"),
        Index(
            "one_end_each", "case_id", unique=True, postgresql_where=text("kind = 'ENDED' AND taken_back_at IS NULL")
        ),
        CheckConstraint("(kind = 'ACCOMPANIED') = (accompanier IS NOT NULL)", name="who_accompanies_is_told"),
        CheckConstraint("(kind LIKE 'CHECKED%') = (presence IS NOT NULL)", name="a_check_has_its_answer"),
        CheckConstraint("(kind = 'ENDED') = (outcome IS NOT NULL)", name="an_end_has_its_outcome"),
    )
    step_id: UUID = Field(primary_key=True)
    case_id: UUID = Field(foreign_key="dropout_case.case_id")
    kind: str
    happened_on: date
    source: str
    accompanier: str | None = None
    presence: str | None = None
    outcome: str | None = None
    # What it was learnt from, if it was: a hold, an application, a booking, a group.
    subject_id: UUID | None = None
    recorded_at: datetime = instant()
    taken_back_at: datetime | None = instant(nullable=True)


class Distinction(ObservatoryTable, table=True):
    """Two cases that look alike and that somebody said are two people."""

    __tablename__ = "distinction"
    __table_args__ = (CheckConstraint("case_id < other_case_id", name="the_pair_once"),)
    case_id: UUID = Field(primary_key=True, foreign_key="dropout_case.case_id")
    other_case_id: UUID = Field(primary_key=True, foreign_key="dropout_case.case_id")


class FollowedSubject(ObservatoryTable, table=True):
    """A hold, an application, a booking or a group: when it was offered, when somebody arrived, which case it is for.

    For whom, no topic of facts tells; `case_id` is none where no case is attached, and for a code that is nobody's.
    """

    __tablename__ = "followed_subject"
    subject_id: UUID = Field(primary_key=True)
    offered_on: date | None = None
    admitted_on: date | None = None
    code: str | None = None
    case_id: UUID | None = Field(default=None, foreign_key="dropout_case.case_id")


class PolicyRow(ObservatoryTable, table=True):
    """All limits, and the day (Paris) from which they hold; the newest row not in the future counts."""

    __tablename__ = "policy"
    valid_on: date = Field(primary_key=True)
    limits: dict[str, Any] = Field(sa_type=JSONB)


class LakePosition(ObservatoryTable, table=True):
    """Where the lake stands in a partition of a topic: everything from `first_offset` up to `next_offset` is in its files."""

    __tablename__ = "lake_position"
    topic: str = Field(primary_key=True)
    partition: int = Field(primary_key=True)
    first_offset: int = Field(sa_type=BigInteger)
    next_offset: int = Field(sa_type=BigInteger)


class LakePart(ObservatoryTable, table=True):
    """A file of the lake: what no row names is not part of it."""

    __tablename__ = "lake_part"
    __table_args__ = (Index("parts_of_partition", "topic", "partition"),)
    path: str = Field(primary_key=True)
    dataset: str
    # Version of the contract whose columns it has.
    version: int
    year: int
    topic: str
    partition: int
    first_offset: int = Field(sa_type=BigInteger)
    last_offset: int = Field(sa_type=BigInteger)
    row_count: int = Field(sa_type=BigInteger)
    byte_count: int = Field(sa_type=BigInteger)
    sha256: str


class LakeUnreadable(ObservatoryTable, table=True):
    """A record that the lake could not read, as it is in the log; tried again whenever the lake starts."""

    __tablename__ = "lake_unreadable"
    topic: str = Field(primary_key=True)
    partition: int = Field(primary_key=True)
    offset: int = Field(primary_key=True, sa_type=BigInteger)
    value: bytes | None
    reason: str
    detail: str


class LakeOwner(ObservatoryTable, table=True):
    """Who writes the lake: the process that started last. What another one still holds is refused."""

    __tablename__ = "lake_owner"
    owner_id: UUID = Field(primary_key=True)


class PublishedRelease(ObservatoryTable, table=True):
    """A weekly release as it was published: its text is never changed. Each has the hash of the one before."""

    __tablename__ = "published_release"
    __table_args__ = (CheckConstraint("(number = 1) = (previous IS NULL)", name="only_the_first_follows_none"),)
    number: int = Field(primary_key=True)
    # The Paris day at whose first instant everything in it was known.
    known_on: date = Field(unique=True)
    sha256: str = Field(unique=True)
    previous: str | None = Field(default=None, unique=True, foreign_key="published_release.sha256")
    text: str
    # Name of each definition that it was computed with to its version and hash.
    definitions: dict[str, Any] = Field(sa_type=JSONB)
    published_at: datetime = instant()


class RefusedRelease(ObservatoryTable, table=True):
    """A week without a release: what the attack found, by cell. The next week, or an operator, tries again."""

    __tablename__ = "refused_release"
    known_on: date = Field(primary_key=True)
    reasons: list[str] = Field(sa_type=JSONB)
    refused_at: datetime = instant()
