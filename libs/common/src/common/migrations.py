"""Database migrations: the tables of the delivery core as fixed SQL, and how a service runs its own with Alembic."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from alembic import command, context, op
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

_MIGRATION_LOCK = 7_015_482

# Fixed text, not metadata.create_all: a migration that has run somewhere never changes. A test compares the outcome
# with tables.py.
DELIVERY_1 = """
CREATE TABLE aggregate_seen (
    topic VARCHAR NOT NULL,
    key VARCHAR NOT NULL,
    version BIGINT NOT NULL,
    event_id UUID NOT NULL,
    occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (topic, key)
);
CREATE TABLE consumer_position (
    topic VARCHAR NOT NULL,
    partition INTEGER NOT NULL,
    next_offset BIGINT NOT NULL,
    complete_at TIMESTAMP WITH TIME ZONE,
    stopped_reason VARCHAR,
    limits_from_offset BIGINT DEFAULT 0 NOT NULL,
    PRIMARY KEY (topic, partition)
);
CREATE TABLE dead_letter (
    id UUID NOT NULL,
    topic VARCHAR NOT NULL,
    partition INTEGER NOT NULL,
    "offset" BIGINT NOT NULL,
    key BYTEA,
    value BYTEA,
    headers JSONB NOT NULL,
    reason VARCHAR NOT NULL,
    detail VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    resolved_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    UNIQUE (topic, partition, "offset")
);
CREATE TABLE dead_letter_audit (
    id BIGSERIAL NOT NULL,
    action VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,
    actor VARCHAR NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE development_clock (
    id INTEGER NOT NULL,
    offset_seconds FLOAT NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE idempotency_key (
    caller VARCHAR NOT NULL,
    key VARCHAR NOT NULL,
    request_sha256 VARCHAR NOT NULL,
    status INTEGER NOT NULL,
    answer JSONB,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    PRIMARY KEY (caller, key)
);
CREATE INDEX idempotency_key_age ON idempotency_key (created_at);
CREATE TABLE known_schema (
    schema_id INTEGER NOT NULL,
    write_as VARCHAR,
    avro VARCHAR NOT NULL,
    PRIMARY KEY (schema_id)
);
CREATE TABLE mail (
    id BIGSERIAL NOT NULL,
    message_key VARCHAR NOT NULL,
    recipient VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,
    body VARCHAR NOT NULL,
    attempt_count INTEGER NOT NULL,
    next_attempt_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    sent_at TIMESTAMP WITH TIME ZONE,
    failed_reason VARCHAR,
    PRIMARY KEY (id),
    UNIQUE (message_key, recipient)
);
CREATE INDEX mail_unsent ON mail (next_attempt_at) WHERE sent_at IS NULL AND failed_reason IS NULL;
CREATE TABLE outbox (
    id BIGSERIAL NOT NULL,
    topic VARCHAR NOT NULL,
    key VARCHAR NOT NULL,
    aggregate_version BIGINT NOT NULL,
    event_id UUID NOT NULL,
    record VARCHAR NOT NULL,
    value BYTEA NOT NULL,
    headers JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    published_at TIMESTAMP WITH TIME ZONE,
    parked_reason VARCHAR,
    PRIMARY KEY (id),
    UNIQUE (event_id)
);
CREATE INDEX outbox_parked ON outbox (key) WHERE parked_reason IS NOT NULL;
CREATE INDEX outbox_published ON outbox (published_at) WHERE published_at IS NOT NULL;
CREATE INDEX outbox_unpublished ON outbox (id) WHERE published_at IS NULL;
CREATE TABLE outbox_lease (
    id INTEGER NOT NULL,
    owner VARCHAR NOT NULL,
    epoch BIGINT NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE parked_message (
    topic VARCHAR NOT NULL,
    partition INTEGER NOT NULL,
    "offset" BIGINT NOT NULL,
    key VARCHAR NOT NULL,
    version BIGINT NOT NULL,
    value BYTEA NOT NULL,
    parked_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    PRIMARY KEY (topic, partition, "offset")
);
"""

DELIVERY_2 = """
CREATE TABLE outbox_mark (
    topic VARCHAR NOT NULL,
    partition INTEGER NOT NULL,
    next_offset BIGINT NOT NULL,
    PRIMARY KEY (topic, partition)
);
CREATE TABLE unknown_message (
    event_id UUID NOT NULL,
    topic VARCHAR NOT NULL,
    partition INTEGER NOT NULL,
    "offset" BIGINT NOT NULL,
    key VARCHAR NOT NULL,
    version BIGINT NOT NULL,
    record VARCHAR NOT NULL,
    found_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    PRIMARY KEY (event_id)
);
"""

DELIVERY_3 = """
ALTER TABLE mail ADD COLUMN message_id UUID DEFAULT gen_random_uuid() NOT NULL;
ALTER TABLE mail ADD COLUMN detail VARCHAR DEFAULT '' NOT NULL;
ALTER TABLE mail ADD COLUMN created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL;
CREATE INDEX mail_recipient ON mail (recipient, id);
"""


def run_each(statements: str) -> None:
    """Runs fixed SQL in a migration, a statement at a time: the driver prepares one only."""
    for statement in statements.split(";"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)


def folder_of(package: ModuleType) -> Path:
    """`services/<service>/migrations`, beside the `src` that holds the package."""
    assert package.__file__ is not None
    return Path(package.__file__).parents[2] / "migrations"


async def upgrade(database_url: str, package_name: str) -> None:
    """Brings the database of a service to its newest version; does nothing when it is there."""
    config = Config()
    config.set_main_option("script_location", str(folder_of(importlib.import_module(package_name))))
    engine = create_async_engine(database_url)

    def run(connection: Connection) -> None:
        # Two deploy jobs at once: the second waits, then finds nothing to do.
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    async with engine.begin() as connection:
        await connection.run_sync(run)
    await engine.dispose()


def run_environment() -> None:
    """The whole of a service's `migrations/env.py`."""
    context.configure(connection=context.config.attributes["connection"], target_metadata=None)
    with context.begin_transaction():
        context.run_migrations()
