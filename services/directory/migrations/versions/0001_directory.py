"""Organisations, people, memberships, invitations, requests, policy; and the delivery core's tables."""

from common.migrations import DELIVERY_1, DELIVERY_2, DELIVERY_3, run_each

revision = "0001"
down_revision = None

_TABLES = """
CREATE TABLE organisation (
    organisation_id UUID NOT NULL,
    title VARCHAR NOT NULL,
    kinds VARCHAR[] NOT NULL,
    commune_code VARCHAR NOT NULL,
    siret VARCHAR,
    uai VARCHAR,
    part_of UUID,
    fictitious BOOLEAN NOT NULL,
    state VARCHAR NOT NULL,
    was_verified BOOLEAN NOT NULL,
    merged_into UUID,
    registered_at TIMESTAMP WITH TIME ZONE NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (organisation_id),
    CONSTRAINT some_number_is_told CHECK (siret IS NOT NULL OR uai IS NOT NULL),
    CONSTRAINT it_is_something CHECK (cardinality(kinds) > 0),
    CONSTRAINT another_stands_for_what_is_merged CHECK ((state = 'MERGED') = (merged_into IS NOT NULL)),
    CONSTRAINT nothing_is_its_own_part CHECK (part_of <> organisation_id AND merged_into <> organisation_id),
    FOREIGN KEY(part_of) REFERENCES organisation (organisation_id),
    FOREIGN KEY(merged_into) REFERENCES organisation (organisation_id)
);
CREATE UNIQUE INDEX one_open_organisation_has_an_uai ON organisation (uai) WHERE state IN ('REGISTERED', 'VERIFIED');
CREATE INDEX organisations_of_siret ON organisation (siret);
CREATE INDEX sites_of ON organisation (part_of);
CREATE TABLE person (
    subject_hash VARCHAR NOT NULL,
    email VARCHAR,
    display_name VARCHAR,
    seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (subject_hash)
);
CREATE TABLE policy (
    valid_on DATE NOT NULL,
    limits JSONB NOT NULL,
    PRIMARY KEY (valid_on)
);
CREATE TABLE access_request (
    access_request_id UUID NOT NULL,
    organisation_id UUID NOT NULL,
    subject_hash VARCHAR NOT NULL,
    role VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    asked_at TIMESTAMP WITH TIME ZONE NOT NULL,
    answered_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (access_request_id),
    FOREIGN KEY(organisation_id) REFERENCES organisation (organisation_id),
    FOREIGN KEY(subject_hash) REFERENCES person (subject_hash)
);
CREATE UNIQUE INDEX one_request_waits ON access_request (organisation_id, subject_hash, role) WHERE state = 'asked';
CREATE INDEX requests_of ON access_request (subject_hash);
CREATE TABLE membership (
    membership_id UUID NOT NULL,
    organisation_id UUID NOT NULL,
    subject_hash VARCHAR NOT NULL,
    role VARCHAR NOT NULL,
    since_on DATE NOT NULL,
    until_on DATE,
    manager BOOLEAN NOT NULL,
    ended VARCHAR,
    moved_from UUID,
    version BIGINT NOT NULL,
    PRIMARY KEY (membership_id),
    CONSTRAINT days_in_order CHECK (until_on >= since_on),
    FOREIGN KEY(organisation_id) REFERENCES organisation (organisation_id),
    FOREIGN KEY(moved_from) REFERENCES organisation (organisation_id)
);
CREATE INDEX memberships_of ON membership (subject_hash);
CREATE UNIQUE INDEX one_membership_each ON membership (organisation_id, subject_hash, role) WHERE ended IS NULL;
CREATE TABLE invitation (
    invitation_id UUID NOT NULL,
    organisation_id UUID NOT NULL,
    email VARCHAR NOT NULL,
    role VARCHAR NOT NULL,
    manager BOOLEAN NOT NULL,
    until_on DATE,
    state VARCHAR NOT NULL,
    sent_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    membership_id UUID,
    PRIMARY KEY (invitation_id),
    CONSTRAINT what_is_accepted_is_a_membership CHECK ((state = 'accepted') = (membership_id IS NOT NULL)),
    FOREIGN KEY(organisation_id) REFERENCES organisation (organisation_id),
    FOREIGN KEY(membership_id) REFERENCES membership (membership_id)
);
CREATE INDEX invitations_to ON invitation (email);
CREATE UNIQUE INDEX one_invitation_waits ON invitation (organisation_id, email, role) WHERE state = 'sent';
"""

# Each public school of the academy has the address ce.<uai>@ac-normandie.fr.
_POLICY = """
INSERT INTO policy (valid_on, limits) VALUES (DATE '2020-01-01', '{
    "invitation_days": 14, "contact_days": 60, "school_contact": "ce.{uai}@ac-normandie.fr"}')
"""


def upgrade() -> None:
    run_each(DELIVERY_1 + DELIVERY_2 + DELIVERY_3 + _TABLES + _POLICY)
