"""Cafés, households, registrations, requests, venues, facilitators, policy; and the delivery core's tables."""

from alembic import op

from common.migrations import DELIVERY_1, DELIVERY_2

revision = "0001"
down_revision = None

# Ranges of uuid, so that core GiST can say that a venue or a facilitator is in one place at a time: btree_gist is an extension.
_TABLES = """
CREATE TYPE uuidrange AS RANGE (subtype = uuid);
CREATE TABLE coordinator (
    coordinator_id UUID NOT NULL,
    account VARCHAR,
    contact_email VARCHAR,
    PRIMARY KEY (coordinator_id),
    UNIQUE (account)
);
CREATE TABLE household (
    household_id UUID NOT NULL,
    email_hash VARCHAR,
    email VARCHAR,
    title VARCHAR,
    mail_count INTEGER NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (household_id),
    UNIQUE (email_hash)
);
CREATE TABLE policy (
    valid_on DATE NOT NULL,
    limits JSONB NOT NULL,
    PRIMARY KEY (valid_on)
);
CREATE TABLE review_pass (
    id INTEGER NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE facilitator (
    facilitator_id UUID NOT NULL,
    keeper_id UUID NOT NULL,
    title VARCHAR,
    email VARCHAR,
    PRIMARY KEY (facilitator_id),
    FOREIGN KEY(keeper_id) REFERENCES coordinator (coordinator_id)
);
CREATE TABLE venue (
    venue_id UUID NOT NULL,
    keeper_id UUID NOT NULL,
    title VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    commune_code VARCHAR NOT NULL,
    address VARCHAR NOT NULL,
    capacity_count INTEGER NOT NULL,
    accessible BOOLEAN NOT NULL,
    PRIMARY KEY (venue_id),
    FOREIGN KEY(keeper_id) REFERENCES coordinator (coordinator_id)
);
CREATE TABLE cafe (
    cafe_id UUID NOT NULL,
    coordinator_id UUID NOT NULL,
    school_year VARCHAR NOT NULL,
    period VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    theme VARCHAR NOT NULL,
    venue_id UUID NOT NULL,
    facilitator_id UUID NOT NULL,
    starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
    capacity_count INTEGER NOT NULL,
    taken_count INTEGER NOT NULL,
    opens_at TIMESTAMP WITH TIME ZONE,
    review_at TIMESTAMP WITH TIME ZONE,
    received_on DATE,
    merged_into_id UUID,
    over_at TIMESTAMP WITH TIME ZONE,
    reminded_at TIMESTAMP WITH TIME ZONE,
    fictitious BOOLEAN NOT NULL,
    revision INTEGER NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (cafe_id),
    CONSTRAINT no_overbooking CHECK (taken_count BETWEEN 0 AND capacity_count),
    CONSTRAINT cafe_lasts CHECK (starts_at < ends_at),
    CONSTRAINT only_open_cafes_are_reviewed CHECK (review_at IS NULL OR state = 'open'),
    CONSTRAINT what_is_merged_has_a_target CHECK ((state = 'merged') = (merged_into_id IS NOT NULL)),
    CONSTRAINT no_double_venue
        EXCLUDE USING gist (uuidrange(venue_id, venue_id, '[]') WITH &&, tstzrange(starts_at, ends_at) WITH &&)
        WHERE (state IN ('planned', 'open', 'confirmed', 'held')),
    CONSTRAINT no_double_facilitator
        EXCLUDE USING gist (uuidrange(facilitator_id, facilitator_id, '[]') WITH &&, tstzrange(starts_at, ends_at) WITH &&)
        WHERE (state IN ('planned', 'open', 'confirmed', 'held')),
    FOREIGN KEY(coordinator_id) REFERENCES coordinator (coordinator_id),
    FOREIGN KEY(venue_id) REFERENCES venue (venue_id),
    FOREIGN KEY(facilitator_id) REFERENCES facilitator (facilitator_id),
    FOREIGN KEY(merged_into_id) REFERENCES cafe (cafe_id)
);
CREATE INDEX cafe_of_coordinator ON cafe (coordinator_id);
CREATE INDEX cafe_over ON cafe (over_at) WHERE over_at IS NOT NULL;
CREATE INDEX cafe_to_remind ON cafe (starts_at) WHERE reminded_at IS NULL;
CREATE INDEX cafe_to_review ON cafe (review_at) WHERE review_at IS NOT NULL;
CREATE INDEX cafe_when ON cafe (starts_at);
CREATE TABLE registration (
    registration_id UUID NOT NULL,
    holder_id UUID NOT NULL,
    seat_count INTEGER NOT NULL,
    state VARCHAR NOT NULL,
    joined_at TIMESTAMP WITH TIME ZONE NOT NULL,
    priority INTEGER NOT NULL,
    lottery_key VARCHAR,
    due_at TIMESTAMP WITH TIME ZONE,
    end_reason VARCHAR,
    ended_at TIMESTAMP WITH TIME ZONE,
    cafe_id UUID NOT NULL,
    school_year VARCHAR NOT NULL,
    period VARCHAR NOT NULL,
    visitor_count INTEGER,
    moved_from_id UUID,
    moved_until TIMESTAMP WITH TIME ZONE,
    code VARCHAR NOT NULL,
    revision INTEGER NOT NULL,
    owed VARCHAR,
    PRIMARY KEY (registration_id),
    CONSTRAINT registration_takes_seats CHECK (seat_count > 0),
    CONSTRAINT registration_that_waits_ends CHECK ((state IN ('waiting', 'offered')) = (due_at IS NOT NULL)),
    CONSTRAINT registration_ends_once CHECK ((state = 'ended') = (ended_at IS NOT NULL)),
    CONSTRAINT who_came_is_counted CHECK ((state = 'attended') <= (visitor_count BETWEEN 1 AND seat_count)),
    FOREIGN KEY(cafe_id) REFERENCES cafe (cafe_id),
    FOREIGN KEY(moved_from_id) REFERENCES cafe (cafe_id),
    UNIQUE (code)
);
CREATE INDEX registration_due ON registration (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX registration_in_line ON registration (cafe_id, joined_at) WHERE state = 'waiting';
CREATE INDEX registration_of_household ON registration (holder_id, joined_at);
CREATE UNIQUE INDEX registration_once ON registration (cafe_id, holder_id) WHERE state IN ('waiting', 'offered', 'registered', 'attended', 'absent');
CREATE UNIQUE INDEX registration_once_a_period ON registration (holder_id, school_year, period) WHERE state IN ('waiting', 'offered', 'registered', 'attended', 'absent');
CREATE UNIQUE INDEX registration_one_offer ON registration (holder_id) WHERE state = 'offered';
CREATE INDEX registration_owed ON registration (holder_id) WHERE owed IS NOT NULL;
CREATE INDEX registration_taking ON registration (cafe_id) INCLUDE (seat_count) WHERE state IN ('offered', 'registered', 'attended', 'absent');
CREATE TABLE request (
    request_id UUID NOT NULL,
    cafe_id UUID NOT NULL,
    email_hash VARCHAR NOT NULL,
    email VARCHAR,
    title VARCHAR,
    seat_count INTEGER NOT NULL,
    wait BOOLEAN NOT NULL,
    asked_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    household_id UUID,
    PRIMARY KEY (request_id),
    FOREIGN KEY(cafe_id) REFERENCES cafe (cafe_id),
    FOREIGN KEY(household_id) REFERENCES household (household_id)
);
CREATE INDEX request_expires ON request (expires_at);
CREATE INDEX request_of_address ON request (email_hash);
INSERT INTO review_pass (id) VALUES (1);
"""

# The limits of the strategy's fiche 3-4 and of the product, in force from the beginning.
_POLICY = """
INSERT INTO policy (valid_on, limits) VALUES (DATE '2020-01-01', '{
    "offer_hours": 48, "offer_hours_last": 12, "last_days": 3, "cut_off_hour": 18, "capacity_max": 20, "target_count": 15,
    "minimum_count": 8, "household_seats_max": 2, "review_days": 7, "review_hour": 8, "merge_ahead_hours": 72,
    "merge_km_max": 50, "move_answer_hours": 48, "late_hours": 48, "late_memory_days": 365, "reminder_hours": 48,
    "early_hours": 48, "near_km": 30, "lead_days": 8, "held_after_hours": 24, "check_in_days": 3, "request_hours": 48,
    "requests_per_day_max": 5, "contact_days": 30,
    "periods": {"OCTOBER": ["09-20", "11-05"], "DECEMBER": ["11-15", "12-31"], "FEBRUARY": ["01-10", "03-10"]}}')
"""


def upgrade() -> None:
    for statement in (DELIVERY_1 + DELIVERY_2 + _TABLES + _POLICY).split(";"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)
