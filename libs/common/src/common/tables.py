"""The tables of the delivery core, present in the database of every service beside the service's own."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, Column, Index, LargeBinary, MetaData, UniqueConstraint, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlmodel import Field, SQLModel

metadata = MetaData()

# clock_timestamp, not now(): several rows of one transaction keep their true order.
_CLOCK = text("clock_timestamp()")


def instant(*, nullable: bool = False, default: bool = False) -> Any:
    """A `timestamptz` column, optionally filled by the database's clock."""
    return Field(
        sa_column=Column(TIMESTAMP(timezone=True), nullable=nullable, server_default=_CLOCK if default else None)
    )


class CaseLinkColumns(SQLModel):
    """A case of the dropout observatory that a professional attached to what is theirs; see `common.case_links`."""

    subject_id: UUID = Field(primary_key=True)
    case_code: str | None = None
    # Of the table of each service, so that it names no column, but the type of one.
    attached_at: datetime = Field(sa_type=TIMESTAMP(timezone=True))
    version: int = Field(sa_type=BigInteger)


class DeliveryTable(SQLModel):
    """Keeps these tables in a `MetaData` of their own, apart from any service's."""

    metadata: ClassVar[MetaData] = metadata


class Outbox(DeliveryTable, table=True):
    """Messages committed with the state that they tell of; `published_at` is null until Kafka acknowledged."""

    __tablename__ = "outbox"
    __table_args__ = (
        # The relay reads what is unpublished, without a cursor: a late commit with a low id is never skipped.
        Index("outbox_unpublished", "id", postgresql_where=text("published_at IS NULL")),
        Index("outbox_published", "published_at", postgresql_where=text("published_at IS NOT NULL")),
        Index("outbox_parked", "key", postgresql_where=text("parked_reason IS NOT NULL")),
    )
    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    topic: str
    key: str
    aggregate_version: int = Field(sa_type=BigInteger)
    event_id: UUID = Field(unique=True)
    record: str
    value: bytes = Field(sa_type=LargeBinary)
    headers: dict[str, str] = Field(sa_type=JSONB)
    created_at: datetime = instant(default=True)
    published_at: datetime | None = instant(nullable=True)
    parked_reason: str | None = None


class OutboxLease(DeliveryTable, table=True):
    """One row: which relay may publish, until when, by the database's clock."""

    __tablename__ = "outbox_lease"
    id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    owner: str
    epoch: int = Field(sa_type=BigInteger)
    expires_at: datetime = instant()


class OutboxMark(DeliveryTable, table=True):
    """Up to where a partition holds what this database knows to be published: after a restore, the log tells otherwise."""

    __tablename__ = "outbox_mark"
    topic: str = Field(primary_key=True)
    partition: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    next_offset: int = Field(sa_type=BigInteger)


class UnknownMessage(DeliveryTable, table=True):
    """A message that `estuaire reconcile` found in the log and not in the database, which had been restored."""

    __tablename__ = "unknown_message"
    event_id: UUID = Field(primary_key=True)
    topic: str
    partition: int
    offset: int = Field(sa_type=BigInteger)
    key: str
    version: int = Field(sa_type=BigInteger)
    record: str
    found_at: datetime = instant(default=True)


class ConsumerPosition(DeliveryTable, table=True):
    """The next offset to apply; moved by compare-and-set in the transaction of the effects."""

    __tablename__ = "consumer_position"
    topic: str = Field(primary_key=True)
    partition: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    next_offset: int = Field(sa_type=BigInteger)
    # Everything published before this instant (real time) is applied; no applied record has a later timestamp.
    complete_at: datetime | None = instant(nullable=True)
    stopped_reason: str | None = None
    # The limits on dead letters count from here: `dead-letters resume` moves it.
    limits_from_offset: int = Field(sa_type=BigInteger, default=0, sa_column_kwargs={"server_default": text("0")})


class AggregateSeen(DeliveryTable, table=True):
    """The last version applied of each aggregate of a consumed topic."""

    __tablename__ = "aggregate_seen"
    topic: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    version: int = Field(sa_type=BigInteger)
    event_id: UUID
    occurred_at: datetime = instant()


class ParkedMessage(DeliveryTable, table=True):
    """A record that waits because an earlier version of its key has not been applied."""

    __tablename__ = "parked_message"
    topic: str = Field(primary_key=True)
    partition: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    offset: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    key: str
    version: int = Field(sa_type=BigInteger)
    value: bytes = Field(sa_type=LargeBinary)
    parked_at: datetime = instant(default=True)


class DeadLetter(DeliveryTable, table=True):
    """A record set aside with its original bytes and the reason."""

    __tablename__ = "dead_letter"
    __table_args__ = (UniqueConstraint("topic", "partition", "offset"),)
    id: UUID = Field(primary_key=True)
    topic: str
    partition: int
    offset: int = Field(sa_type=BigInteger)
    key: bytes | None = Field(default=None, sa_type=LargeBinary)
    value: bytes | None = Field(default=None, sa_type=LargeBinary)
    headers: list[list[str | None]] = Field(sa_type=JSONB)
    reason: str
    detail: str
    status: str = "open"
    created_at: datetime = instant(default=True)
    resolved_at: datetime | None = instant(nullable=True)


class DeadLetterAudit(DeliveryTable, table=True):
    """Who replayed, discarded or resumed what, and when."""

    __tablename__ = "dead_letter_audit"
    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    action: str
    subject: str
    actor: str
    at: datetime = instant(default=True)


class IdempotencyKey(DeliveryTable, table=True):
    """The answer that a caller's key already got; written in the transaction of the effect."""

    __tablename__ = "idempotency_key"
    __table_args__ = (Index("idempotency_key_age", "created_at"),)
    caller: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    request_sha256: str
    status: int
    answer: dict[str, Any] | None = Field(default=None, sa_type=JSONB)
    created_at: datetime = instant(default=True)


class KnownSchema(DeliveryTable, table=True):
    """Schema ids seen so far, so that a start does not wait for the registry."""

    __tablename__ = "known_schema"
    schema_id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    write_as: str | None = None
    avro: str


class Mail(DeliveryTable, table=True):
    """One message to one recipient, sent after the commit of what it tells of."""

    __tablename__ = "mail"
    __table_args__ = (
        UniqueConstraint("message_key", "recipient"),
        Index("mail_recipient", "recipient", "id"),
        Index("mail_unsent", "next_attempt_at", postgresql_where=text("sent_at IS NULL AND failed_reason IS NULL")),
    )
    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    message_id: UUID = Field(sa_column=Column(Uuid, nullable=False, server_default=text("gen_random_uuid()")))
    message_key: str
    recipient: str
    subject: str
    body: str
    attempt_count: int = 0
    next_attempt_at: datetime = instant(default=True)
    sent_at: datetime | None = instant(nullable=True)
    failed_reason: str | None = None
    detail: str = Field(default="", sa_column_kwargs={"server_default": ""})
    created_at: datetime = instant(default=True)


class DevelopmentClock(DeliveryTable, table=True):
    """At most one row: what `estuaire clock` adds to `Transaction.now`; read only under the development issuer."""

    __tablename__ = "development_clock"
    id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    offset_seconds: float
