"""Seat board and pipeline read models; and the delivery core's tables."""

from alembic import op

from common.migrations import DELIVERY_1

revision = "0001"
down_revision = None

_TABLES = """
CREATE TABLE board_programme (
    programme_id UUID NOT NULL,
    structure_id UUID NOT NULL,
    title VARCHAR NOT NULL,
    rome_codes VARCHAR[] NOT NULL,
    rncp_code VARCHAR,
    age_min INTEGER NOT NULL,
    age_max INTEGER NOT NULL,
    level_min VARCHAR NOT NULL,
    boarding BOOLEAN NOT NULL,
    wheelchair_accessible BOOLEAN NOT NULL,
    intake_on DATE,
    open BOOLEAN NOT NULL,
    total_count INTEGER NOT NULL,
    taken_count INTEGER NOT NULL,
    admitted_count INTEGER NOT NULL,
    held_count INTEGER NOT NULL,
    free_count INTEGER NOT NULL,
    excess_count INTEGER NOT NULL,
    observed_at TIMESTAMP WITH TIME ZONE,
    last_record VARCHAR NOT NULL,
    last_occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
    free_change INTEGER NOT NULL,
    aggregate_version BIGINT NOT NULL,
    log_topic VARCHAR NOT NULL,
    log_partition INTEGER NOT NULL,
    log_offset BIGINT NOT NULL,
    PRIMARY KEY (programme_id)
);
CREATE INDEX board_programme_log ON board_programme (log_partition, log_offset);
CREATE TABLE board_structure (
    structure_id UUID NOT NULL,
    structure_name VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    commune_code VARCHAR NOT NULL,
    fictitious BOOLEAN NOT NULL,
    log_topic VARCHAR NOT NULL,
    log_partition INTEGER NOT NULL,
    log_offset BIGINT NOT NULL,
    PRIMARY KEY (structure_id)
);
CREATE TABLE pipeline_dead_letter (
    dead_letter_id UUID NOT NULL,
    service VARCHAR NOT NULL,
    source_topic VARCHAR NOT NULL,
    source_partition INTEGER NOT NULL,
    source_offset BIGINT NOT NULL,
    reason VARCHAR NOT NULL,
    size_bytes BIGINT NOT NULL,
    occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
    log_topic VARCHAR NOT NULL,
    log_partition INTEGER NOT NULL,
    log_offset BIGINT NOT NULL,
    PRIMARY KEY (dead_letter_id)
);
CREATE TABLE pipeline_service (
    service VARCHAR NOT NULL,
    occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
    outbox_depth BIGINT NOT NULL,
    outbox_age_seconds FLOAT NOT NULL,
    lag_count BIGINT NOT NULL,
    dead_letter_count BIGINT NOT NULL,
    parked_key_count BIGINT NOT NULL,
    stopped_partition_count INTEGER NOT NULL,
    log_topic VARCHAR NOT NULL,
    log_partition INTEGER NOT NULL,
    log_offset BIGINT NOT NULL,
    PRIMARY KEY (service)
);
"""


def upgrade() -> None:
    for statement in (DELIVERY_1 + _TABLES).split(";"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)
