"""Platform use: platforms with their offered weeks, and bookings."""

from alembic import op

revision = "0004"
down_revision = "0003"

_TABLES = """
CREATE TABLE use_platform (
    platform_id UUID NOT NULL,
    owner_title VARCHAR NOT NULL,
    title VARCHAR NOT NULL,
    commune_code VARCHAR NOT NULL,
    equipment JSONB NOT NULL,
    capacity_count INTEGER NOT NULL,
    unit_count INTEGER NOT NULL,
    withdrawn BOOLEAN NOT NULL,
    fictitious BOOLEAN NOT NULL,
    offered JSONB NOT NULL,
    aggregate_version BIGINT NOT NULL,
    log_topic VARCHAR NOT NULL,
    log_partition INTEGER NOT NULL,
    log_offset BIGINT NOT NULL,
    PRIMARY KEY (platform_id)
);
CREATE TABLE use_booking (
    booking_id UUID NOT NULL,
    platform_id UUID NOT NULL,
    origin VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
    group_size INTEGER NOT NULL,
    end_reason VARCHAR,
    late BOOLEAN NOT NULL,
    log_topic VARCHAR NOT NULL,
    log_partition INTEGER NOT NULL,
    log_offset BIGINT NOT NULL,
    PRIMARY KEY (booking_id)
);
CREATE INDEX use_booking_platform ON use_booking (platform_id);
CREATE INDEX use_booking_when ON use_booking (starts_at);
"""


def upgrade() -> None:
    for statement in _TABLES.split(";"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)
