"""The stage market: hosts, offers, applications, requests."""

from alembic import op

revision = "0003"
down_revision = "0002"

_TABLES = """
CREATE TABLE market_application (
    application_id UUID NOT NULL,
    offer_id UUID NOT NULL,
    seeker_id UUID NOT NULL,
    origin VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    submitted_at TIMESTAMP WITH TIME ZONE,
    answered_at TIMESTAMP WITH TIME ZONE,
    ended_at TIMESTAMP WITH TIME ZONE,
    end_reason VARCHAR,
    log_topic VARCHAR NOT NULL,
    log_partition INTEGER NOT NULL,
    log_offset BIGINT NOT NULL,
    PRIMARY KEY (application_id)
);
CREATE INDEX market_application_offer ON market_application (offer_id);
CREATE INDEX market_application_seeker ON market_application (seeker_id);
CREATE TABLE market_host (
    host_id UUID NOT NULL,
    host_name VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    commune_code VARCHAR NOT NULL,
    fictitious BOOLEAN NOT NULL,
    charter_ends_on DATE,
    label_ends_on DATE,
    suspended_reason VARCHAR,
    aggregate_version BIGINT NOT NULL,
    log_topic VARCHAR NOT NULL,
    log_partition INTEGER NOT NULL,
    log_offset BIGINT NOT NULL,
    PRIMARY KEY (host_id)
);
CREATE TABLE market_offer (
    offer_id UUID NOT NULL,
    host_id UUID NOT NULL,
    title VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    rome_codes VARCHAR[] NOT NULL,
    commune_code VARCHAR NOT NULL,
    audiences VARCHAR[] NOT NULL,
    suspended BOOLEAN NOT NULL,
    weeks JSONB NOT NULL,
    aggregate_version BIGINT NOT NULL,
    log_topic VARCHAR NOT NULL,
    log_partition INTEGER NOT NULL,
    log_offset BIGINT NOT NULL,
    PRIMARY KEY (offer_id)
);
CREATE TABLE market_request (
    request_id UUID NOT NULL,
    seeker_id UUID NOT NULL,
    campaign_id UUID,
    audience VARCHAR NOT NULL,
    department_code VARCHAR NOT NULL,
    rome_codes VARCHAR[] NOT NULL,
    filed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    end_reason VARCHAR,
    aggregate_version BIGINT NOT NULL,
    log_topic VARCHAR NOT NULL,
    log_partition INTEGER NOT NULL,
    log_offset BIGINT NOT NULL,
    PRIMARY KEY (request_id)
);
CREATE INDEX market_request_seeker ON market_request (seeker_id);
"""


def upgrade() -> None:
    for statement in _TABLES.split(";"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)
