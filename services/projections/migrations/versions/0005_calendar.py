"""Calendar: events and their sessions."""

from alembic import op

revision = "0005"
down_revision = "0004"

_TABLES = """
CREATE TABLE calendar_event (
    event_id UUID NOT NULL,
    organiser_title VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    title VARCHAR NOT NULL,
    summary VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    access VARCHAR NOT NULL,
    attendance_mode VARCHAR NOT NULL,
    place_title VARCHAR,
    commune_code VARCHAR,
    audiences JSONB NOT NULL,
    rome_codes JSONB NOT NULL,
    under_represented BOOLEAN NOT NULL,
    fictitious BOOLEAN NOT NULL,
    aggregate_version BIGINT NOT NULL,
    log_topic VARCHAR NOT NULL,
    log_partition INTEGER NOT NULL,
    log_offset BIGINT NOT NULL,
    PRIMARY KEY (event_id)
);
CREATE TABLE calendar_session (
    session_id UUID NOT NULL,
    event_id UUID NOT NULL,
    title VARCHAR NOT NULL,
    purpose VARCHAR NOT NULL,
    starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
    hall VARCHAR,
    described_at TIMESTAMP WITH TIME ZONE NOT NULL,
    described_version BIGINT NOT NULL,
    admission VARCHAR NOT NULL,
    capacity_count INTEGER,
    state VARCHAR NOT NULL,
    registered_count INTEGER NOT NULL,
    offered_count INTEGER NOT NULL,
    waiting_count INTEGER NOT NULL,
    attended_count INTEGER NOT NULL,
    was_counted BOOLEAN NOT NULL,
    female_count INTEGER,
    male_count INTEGER,
    offers JSONB NOT NULL,
    aggregate_version BIGINT NOT NULL,
    log_topic VARCHAR NOT NULL,
    log_partition INTEGER NOT NULL,
    log_offset BIGINT NOT NULL,
    PRIMARY KEY (session_id)
);
CREATE INDEX calendar_session_event ON calendar_session (event_id);
CREATE INDEX calendar_session_when ON calendar_session (starts_at);
"""


def upgrade() -> None:
    for statement in _TABLES.split(";"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)
