"""Platforms, units, windows, offered and busy time, requesters, bookings, requests of events, policy; and the delivery core's tables."""

from alembic import op

from common.migrations import DELIVERY_1, DELIVERY_2

revision = "0001"
down_revision = None

# Ranges of uuid, so that core GiST can say that no two bookings overlap on one unit: btree_gist is an extension.
_TABLES = """
CREATE TYPE uuidrange AS RANGE (subtype = uuid);
CREATE TABLE platform (
    platform_id UUID NOT NULL,
    owner_code VARCHAR NOT NULL,
    owner_contact VARCHAR,
    owner_title VARCHAR NOT NULL,
    title VARCHAR NOT NULL,
    commune_code VARCHAR NOT NULL,
    equipment_codes VARCHAR[] NOT NULL,
    rncp_codes VARCHAR[] NOT NULL,
    capacity_count INTEGER NOT NULL,
    accessible BOOLEAN NOT NULL,
    habilitation_codes VARCHAR[] NOT NULL,
    approval VARCHAR NOT NULL,
    access JSONB NOT NULL,
    rules VARCHAR NOT NULL,
    withdrawn BOOLEAN NOT NULL,
    fictitious BOOLEAN NOT NULL,
    opened_until DATE,
    feed_secret UUID NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (platform_id),
    CONSTRAINT somebody_fits CHECK (capacity_count > 0),
    UNIQUE (feed_secret)
);
CREATE INDEX platform_by_commune ON platform (commune_code);
CREATE INDEX platform_of_owner ON platform (owner_code);
CREATE TABLE platform_request (
    request_id UUID NOT NULL,
    for_event_id UUID NOT NULL,
    platform_id UUID NOT NULL,
    state VARCHAR NOT NULL,
    reason VARCHAR,
    version BIGINT NOT NULL,
    PRIMARY KEY (request_id)
);
CREATE TABLE policy (
    valid_on DATE NOT NULL,
    limits JSONB NOT NULL,
    PRIMARY KEY (valid_on)
);
CREATE TABLE requester (
    requester_id UUID NOT NULL,
    account VARCHAR,
    requester_title VARCHAR NOT NULL,
    contact_email VARCHAR,
    feed_secret UUID NOT NULL,
    PRIMARY KEY (requester_id),
    UNIQUE (account),
    UNIQUE (feed_secret)
);
CREATE TABLE busy_time (
    busy_id UUID NOT NULL,
    platform_id UUID NOT NULL,
    unit_number INTEGER,
    source VARCHAR NOT NULL,
    starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
    note VARCHAR NOT NULL,
    PRIMARY KEY (busy_id),
    CONSTRAINT busy_time_lasts CHECK (starts_at < ends_at),
    FOREIGN KEY(platform_id) REFERENCES platform (platform_id)
);
CREATE INDEX busy_time_of_platform ON busy_time (platform_id, starts_at);
CREATE TABLE offer_window (
    window_id UUID NOT NULL,
    platform_id UUID NOT NULL,
    starts_at_local TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    length_minutes INTEGER NOT NULL,
    rrule VARCHAR,
    in_school_holidays BOOLEAN NOT NULL,
    in_public_holidays BOOLEAN NOT NULL,
    PRIMARY KEY (window_id),
    FOREIGN KEY(platform_id) REFERENCES platform (platform_id)
);
CREATE INDEX offer_window_of_platform ON offer_window (platform_id);
CREATE TABLE offered_week (
    platform_id UUID NOT NULL,
    iso_week VARCHAR NOT NULL,
    offered_minutes BIGINT NOT NULL,
    PRIMARY KEY (platform_id, iso_week),
    FOREIGN KEY(platform_id) REFERENCES platform (platform_id)
);
CREATE TABLE open_time (
    window_id UUID NOT NULL,
    starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
    platform_id UUID NOT NULL,
    PRIMARY KEY (window_id, starts_at),
    CONSTRAINT open_time_lasts CHECK (starts_at < ends_at),
    FOREIGN KEY(platform_id) REFERENCES platform (platform_id)
);
CREATE INDEX open_time_of_platform ON open_time (platform_id, starts_at);
CREATE INDEX open_time_when ON open_time (starts_at) INCLUDE (ends_at, platform_id);
CREATE TABLE photo (
    platform_id UUID NOT NULL,
    number INTEGER NOT NULL,
    caption VARCHAR NOT NULL,
    content BYTEA NOT NULL,
    PRIMARY KEY (platform_id, number),
    FOREIGN KEY(platform_id) REFERENCES platform (platform_id)
);
CREATE TABLE unit (
    unit_id UUID NOT NULL,
    platform_id UUID NOT NULL,
    number INTEGER NOT NULL,
    title VARCHAR NOT NULL,
    PRIMARY KEY (unit_id),
    FOREIGN KEY(platform_id) REFERENCES platform (platform_id)
);
CREATE UNIQUE INDEX unit_of_platform ON unit (platform_id, number);
CREATE TABLE booking (
    booking_id UUID NOT NULL,
    platform_id UUID NOT NULL,
    unit_id UUID,
    requester_id UUID NOT NULL,
    origin VARCHAR NOT NULL,
    request_id UUID,
    state VARCHAR NOT NULL,
    starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
    occupied_until TIMESTAMP WITH TIME ZONE NOT NULL,
    group_size INTEGER NOT NULL,
    requested_at TIMESTAMP WITH TIME ZONE NOT NULL,
    due_at TIMESTAMP WITH TIME ZONE,
    revision INTEGER NOT NULL,
    late BOOLEAN NOT NULL,
    refusal_reason VARCHAR,
    ended_at TIMESTAMP WITH TIME ZONE,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    purpose VARCHAR,
    reminder_count INTEGER DEFAULT 0 NOT NULL,
    PRIMARY KEY (booking_id),
    CONSTRAINT no_double_booking
        EXCLUDE USING gist (uuidrange(unit_id, unit_id, '[]') WITH &&, tstzrange(starts_at, occupied_until) WITH &&) WHERE (state IN ('tentative', 'approved')),
    CONSTRAINT booking_lasts CHECK (starts_at < ends_at AND ends_at <= occupied_until),
    CONSTRAINT what_is_held_has_a_unit CHECK ((state IN ('tentative', 'approved')) <= (unit_id IS NOT NULL)),
    CONSTRAINT whatever_waits_ends CHECK ((state IN ('requested', 'tentative', 'approved')) = (due_at IS NOT NULL)),
    FOREIGN KEY(platform_id) REFERENCES platform (platform_id),
    FOREIGN KEY(unit_id) REFERENCES unit (unit_id),
    FOREIGN KEY(requester_id) REFERENCES requester (requester_id)
);
CREATE INDEX booking_due ON booking (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX booking_of_platform ON booking (platform_id, starts_at);
CREATE INDEX booking_when ON booking (starts_at) WHERE state IN ('tentative', 'approved');
CREATE UNIQUE INDEX booking_of_request ON booking (request_id) WHERE request_id IS NOT NULL;
CREATE INDEX booking_of_requester ON booking (requester_id, starts_at);
"""

# The limits of the strategy's fiche 1-5 and of the product, in force from the beginning.
_POLICY = """
INSERT INTO policy (valid_on, limits) VALUES (DATE '2020-01-01', '{
    "horizon_days": 180, "notice_hours": 24, "length_minutes_min": 30, "length_minutes_max": 600, "gap_minutes": 0,
    "answer_working_days": 5, "bookings_per_requester_max": 10, "late_cancellation_hours": 48,
    "late_cancellations_max": 3, "late_window_days": 365, "no_show_days": 7}')
"""


def upgrade() -> None:
    for statement in (DELIVERY_1 + DELIVERY_2 + _TABLES + _POLICY).split(";"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)
