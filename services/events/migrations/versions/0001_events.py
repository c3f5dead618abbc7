"""Events, sessions, parties, registrations, ambassadors, kits, policy; and the delivery core's tables."""

from alembic import op

from common.migrations import DELIVERY_1, DELIVERY_2

revision = "0001"
down_revision = None

# Ranges of uuid, so that core GiST can say that no two loans of a kit overlap: btree_gist is an extension.
_TABLES = """
CREATE TYPE uuidrange AS RANGE (subtype = uuid);
CREATE TABLE ambassador (
    ambassador_id UUID NOT NULL,
    email VARCHAR,
    title VARCHAR,
    kind VARCHAR NOT NULL,
    rome_codes VARCHAR[] NOT NULL,
    commune_code VARCHAR NOT NULL,
    radius_km INTEGER NOT NULL,
    host_siret VARCHAR,
    kit_id UUID,
    withdrawn BOOLEAN NOT NULL,
    fictitious BOOLEAN NOT NULL,
    asked_at TIMESTAMP WITH TIME ZONE,
    version BIGINT NOT NULL,
    PRIMARY KEY (ambassador_id)
);
CREATE TABLE kit (
    kit_id UUID NOT NULL,
    keeper VARCHAR NOT NULL,
    keeper_contact VARCHAR,
    title VARCHAR NOT NULL,
    contents VARCHAR NOT NULL,
    rome_codes VARCHAR[] NOT NULL,
    commune_code VARCHAR NOT NULL,
    withdrawn BOOLEAN NOT NULL,
    out_of_order BOOLEAN NOT NULL,
    fictitious BOOLEAN NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (kit_id)
);
CREATE INDEX kit_of_keeper ON kit (keeper);
CREATE TABLE organiser (
    organiser_id UUID NOT NULL,
    account VARCHAR,
    contact_email VARCHAR,
    PRIMARY KEY (organiser_id),
    UNIQUE (account)
);
CREATE TABLE person (
    person_id UUID NOT NULL,
    email VARCHAR,
    PRIMARY KEY (person_id),
    UNIQUE (email)
);
CREATE TABLE policy (
    valid_on DATE NOT NULL,
    limits JSONB NOT NULL,
    PRIMARY KEY (valid_on)
);
CREATE TABLE visit (
    visit_id UUID NOT NULL,
    asker VARCHAR NOT NULL,
    asker_title VARCHAR,
    asker_contact VARCHAR,
    event_id UUID,
    rome_code VARCHAR NOT NULL,
    kind VARCHAR,
    commune_code VARCHAR NOT NULL,
    visit_on DATE NOT NULL,
    details VARCHAR,
    state VARCHAR NOT NULL,
    ambassador_id UUID,
    due_at TIMESTAMP WITH TIME ZONE,
    asked UUID[] NOT NULL,
    PRIMARY KEY (visit_id),
    CONSTRAINT who_is_asked_has_a_date CHECK ((state = 'searching') = (due_at IS NOT NULL))
);
CREATE INDEX visit_due ON visit (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX visit_of_asker ON visit (asker);
CREATE TABLE event (
    event_id UUID NOT NULL,
    organiser_id UUID NOT NULL,
    state VARCHAR NOT NULL,
    description JSONB NOT NULL,
    need JSONB,
    cancelled_reason VARCHAR,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (event_id),
    FOREIGN KEY(organiser_id) REFERENCES organiser (organiser_id)
);
CREATE INDEX event_of_organiser ON event (organiser_id);
CREATE TABLE loan (
    loan_id UUID NOT NULL,
    kit_id UUID NOT NULL,
    borrower_id UUID NOT NULL,
    event_id UUID,
    first_on DATE NOT NULL,
    last_on DATE NOT NULL,
    free_on DATE NOT NULL,
    state VARCHAR NOT NULL,
    end_reason VARCHAR,
    late BOOLEAN NOT NULL,
    damaged BOOLEAN NOT NULL,
    reminder_count INTEGER NOT NULL,
    PRIMARY KEY (loan_id),
    CONSTRAINT no_double_loan EXCLUDE USING gist (uuidrange(kit_id, kit_id, '[]') WITH &&, daterange(first_on, free_on) WITH &&) WHERE (state IN ('reserved', 'out')),
    CONSTRAINT loan_lasts CHECK (first_on <= last_on AND last_on < free_on),
    FOREIGN KEY(kit_id) REFERENCES kit (kit_id),
    FOREIGN KEY(borrower_id) REFERENCES organiser (organiser_id),
    FOREIGN KEY(event_id) REFERENCES event (event_id)
);
CREATE UNIQUE INDEX loan_is_out ON loan (kit_id) WHERE state = 'out';
CREATE INDEX loan_of_borrower ON loan (borrower_id);
CREATE INDEX loan_of_event ON loan (event_id) WHERE event_id IS NOT NULL;
CREATE TABLE party (
    party_id UUID NOT NULL,
    event_id UUID NOT NULL,
    person_id UUID NOT NULL,
    kind VARCHAR NOT NULL,
    title VARCHAR,
    school_uai VARCHAR,
    female_count INTEGER NOT NULL,
    male_count INTEGER NOT NULL,
    code VARCHAR NOT NULL,
    mail_count INTEGER NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (party_id),
    CONSTRAINT people_are_counted CHECK (female_count >= 0 AND male_count >= 0),
    FOREIGN KEY(event_id) REFERENCES event (event_id),
    FOREIGN KEY(person_id) REFERENCES person (person_id),
    UNIQUE (code)
);
CREATE INDEX party_of_person ON party (person_id);
CREATE INDEX party_of_school ON party (school_uai) WHERE school_uai IS NOT NULL;
CREATE UNIQUE INDEX party_once ON party (event_id, person_id) WHERE kind = 'INDIVIDUAL';
CREATE TABLE platform_request (
    request_id UUID NOT NULL,
    event_id UUID NOT NULL,
    need JSONB NOT NULL,
    withdrawn BOOLEAN NOT NULL,
    answer VARCHAR,
    version BIGINT NOT NULL,
    PRIMARY KEY (request_id),
    FOREIGN KEY(event_id) REFERENCES event (event_id)
);
CREATE TABLE session (
    session_id UUID NOT NULL,
    event_id UUID NOT NULL,
    state VARCHAR NOT NULL,
    title VARCHAR NOT NULL,
    purpose VARCHAR NOT NULL,
    starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
    hall VARCHAR,
    speaker VARCHAR,
    online_url VARCHAR,
    admission VARCHAR NOT NULL,
    capacity_count INTEGER,
    taken_count INTEGER NOT NULL,
    allocation VARCHAR NOT NULL,
    draw_at TIMESTAMP WITH TIME ZONE,
    opens_at TIMESTAMP WITH TIME ZONE,
    seed VARCHAR NOT NULL,
    drawn_at TIMESTAMP WITH TIME ZONE,
    due_at TIMESTAMP WITH TIME ZONE,
    revision INTEGER NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (session_id),
    CONSTRAINT no_overbooking CHECK (taken_count BETWEEN 0 AND COALESCE(capacity_count, 0)),
    CONSTRAINT session_lasts CHECK (starts_at < ends_at),
    CONSTRAINT what_is_drawn_has_a_day CHECK ((allocation = 'LOTTERY') = (draw_at IS NOT NULL)),
    FOREIGN KEY(event_id) REFERENCES event (event_id)
);
CREATE INDEX session_due ON session (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX session_of_event ON session (event_id, starts_at);
CREATE INDEX session_when ON session (starts_at);
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
    session_id UUID NOT NULL,
    party_id UUID NOT NULL,
    party_kind VARCHAR NOT NULL,
    school_uai VARCHAR,
    visitor_count INTEGER,
    visitor_count_at TIMESTAMP WITH TIME ZONE,
    revision INTEGER NOT NULL,
    owed VARCHAR,
    PRIMARY KEY (registration_id),
    CONSTRAINT registration_takes_seats CHECK (seat_count > 0),
    CONSTRAINT registration_that_waits_ends CHECK ((state IN ('waiting', 'offered')) = (due_at IS NOT NULL)),
    CONSTRAINT registration_ends_once CHECK ((state = 'ended') = (ended_at IS NOT NULL)),
    CONSTRAINT who_came_is_counted CHECK ((state = 'attended') <= (visitor_count BETWEEN 1 AND seat_count)),
    FOREIGN KEY(session_id) REFERENCES session (session_id),
    FOREIGN KEY(party_id) REFERENCES party (party_id)
);
CREATE INDEX registration_due ON registration (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX registration_in_line ON registration (session_id, joined_at) WHERE state = 'waiting';
CREATE INDEX registration_of_party ON registration (party_id);
CREATE UNIQUE INDEX registration_once ON registration (session_id, holder_id) WHERE state IN ('waiting', 'offered', 'registered', 'attended', 'absent');
CREATE UNIQUE INDEX registration_one_offer ON registration (holder_id) WHERE state = 'offered';
CREATE INDEX registration_owed ON registration (party_id) WHERE owed IS NOT NULL;
CREATE INDEX registration_taking ON registration (session_id) INCLUDE (seat_count) WHERE state IN ('offered', 'registered', 'attended', 'absent');
"""

# The limits of the strategy's fiches and of the product, in force from the beginning.
_POLICY = """
INSERT INTO policy (valid_on, limits) VALUES (DATE '2020-01-01', '{
    "offer_hours": 48, "offer_hours_last": 12, "last_days": 3, "cut_off_hour": 18, "party_seats_max": 6,
    "registrations_per_person_max": 12, "absences_max": 2, "held_after_hours": 24, "check_in_days": 7,
    "ambassador_answer_working_days": 5, "kit_days_max": 21}')
"""


def upgrade() -> None:
    for statement in (DELIVERY_1 + DELIVERY_2 + _TABLES + _POLICY).split(";"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)
