"""Parents' cafés: a café of a season."""

from alembic import op

revision = "0006"
down_revision = "0005"

_TABLES = """
CREATE TABLE season_cafe (
    cafe_id UUID NOT NULL,
    school_year VARCHAR NOT NULL,
    period VARCHAR NOT NULL,
    theme VARCHAR NOT NULL,
    venue_title VARCHAR NOT NULL,
    venue_kind VARCHAR NOT NULL,
    commune_code VARCHAR NOT NULL,
    starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
    capacity_count INTEGER NOT NULL,
    target_count INTEGER NOT NULL,
    minimum_count INTEGER NOT NULL,
    status VARCHAR NOT NULL,
    opens_at TIMESTAMP WITH TIME ZONE,
    described_at TIMESTAMP WITH TIME ZONE NOT NULL,
    described_version BIGINT NOT NULL,
    fictitious BOOLEAN NOT NULL,
    registered_count INTEGER NOT NULL,
    offered_count INTEGER NOT NULL,
    waiting_count INTEGER NOT NULL,
    attended_count INTEGER NOT NULL,
    was_counted BOOLEAN NOT NULL,
    merged_into_id UUID,
    moved_seat_count INTEGER NOT NULL,
    offers JSONB NOT NULL,
    aggregate_version BIGINT NOT NULL,
    log_topic VARCHAR NOT NULL,
    log_partition INTEGER NOT NULL,
    log_offset BIGINT NOT NULL,
    PRIMARY KEY (cafe_id)
);
CREATE INDEX season_cafe_when ON season_cafe (starts_at);
"""


def upgrade() -> None:
    for statement in _TABLES.split(";"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)
