"""What the lake has: its files, where it stands, what it could not read, who writes it."""

from common.migrations import run_each

revision = "0002"
down_revision = "0001"

_TABLES = """
CREATE TABLE lake_owner (
    owner_id UUID NOT NULL,
    PRIMARY KEY (owner_id)
);
CREATE TABLE lake_part (
    path VARCHAR NOT NULL,
    dataset VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    year INTEGER NOT NULL,
    topic VARCHAR NOT NULL,
    partition INTEGER NOT NULL,
    first_offset BIGINT NOT NULL,
    last_offset BIGINT NOT NULL,
    row_count BIGINT NOT NULL,
    byte_count BIGINT NOT NULL,
    sha256 VARCHAR NOT NULL,
    PRIMARY KEY (path)
);
CREATE INDEX parts_of_partition ON lake_part (topic, partition);
CREATE TABLE lake_position (
    topic VARCHAR NOT NULL,
    partition INTEGER NOT NULL,
    first_offset BIGINT NOT NULL,
    next_offset BIGINT NOT NULL,
    PRIMARY KEY (topic, partition)
);
CREATE TABLE lake_unreadable (
    topic VARCHAR NOT NULL,
    partition INTEGER NOT NULL,
    "offset" BIGINT NOT NULL,
    value BYTEA,
    reason VARCHAR NOT NULL,
    detail VARCHAR NOT NULL,
    PRIMARY KEY (topic, partition, "offset")
);
"""


def upgrade() -> None:
    run_each(_TABLES)
