"""Hosts, offers, seekers, requests, applications, agreements, campaigns, policy; and the delivery core's tables."""

from alembic import op

from common.migrations import DELIVERY_1, DELIVERY_2

revision = "0001"
down_revision = None

_TABLES = """
CREATE TABLE campaign (
    campaign_id UUID NOT NULL,
    title VARCHAR NOT NULL,
    scope VARCHAR NOT NULL,
    uai VARCHAR,
    state VARCHAR NOT NULL,
    seed VARCHAR NOT NULL,
    limits JSONB,
    opened_at TIMESTAMP WITH TIME ZONE NOT NULL,
    published_at TIMESTAMP WITH TIME ZONE,
    work VARCHAR,
    step VARCHAR,
    done_count INTEGER NOT NULL,
    total_count INTEGER NOT NULL,
    problems JSONB,
    figures JSONB,
    lease_epoch BIGINT NOT NULL,
    lease_expires_at TIMESTAMP WITH TIME ZONE,
    version BIGINT NOT NULL,
    PRIMARY KEY (campaign_id)
);
CREATE INDEX campaign_work ON campaign (work) WHERE work IS NOT NULL;
CREATE TABLE host (
    host_id UUID NOT NULL,
    host_name VARCHAR NOT NULL,
    siret VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    commune_code VARCHAR NOT NULL,
    contact_email VARCHAR,
    fictitious BOOLEAN NOT NULL,
    suspended_reason VARCHAR,
    answers_from TIMESTAMP WITH TIME ZONE,
    charter_signed_on DATE,
    charter_ends_on DATE,
    label_ends_on DATE,
    version BIGINT NOT NULL,
    PRIMARY KEY (host_id),
    UNIQUE (siret)
);
CREATE TABLE policy (
    valid_on DATE NOT NULL,
    limits JSONB NOT NULL,
    PRIMARY KEY (valid_on)
);
CREATE TABLE seeker (
    seeker_id UUID NOT NULL,
    account VARCHAR,
    contact_email VARCHAR,
    PRIMARY KEY (seeker_id),
    UNIQUE (account)
);
CREATE TABLE offer (
    offer_id UUID NOT NULL,
    host_id UUID NOT NULL,
    title VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    rome_codes VARCHAR[] NOT NULL,
    commune_code VARCHAR NOT NULL,
    audiences VARCHAR[] NOT NULL,
    age_min INTEGER NOT NULL,
    reserved JSONB NOT NULL,
    partner_uais VARCHAR[] NOT NULL,
    suspended BOOLEAN NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (offer_id),
    CONSTRAINT age_of_a_person CHECK (age_min BETWEEN 0 AND 99),
    FOREIGN KEY(host_id) REFERENCES host (host_id)
);
CREATE INDEX offer_of_host ON offer (host_id);
CREATE TABLE pupil_table (
    campaign_id UUID NOT NULL,
    content BYTEA NOT NULL,
    PRIMARY KEY (campaign_id),
    FOREIGN KEY(campaign_id) REFERENCES campaign (campaign_id)
);
CREATE TABLE request (
    request_id UUID NOT NULL,
    seeker_id UUID NOT NULL,
    campaign_id UUID,
    uai VARCHAR,
    class_group VARCHAR,
    pupil_code VARCHAR,
    audience VARCHAR NOT NULL,
    sex VARCHAR NOT NULL,
    age INTEGER NOT NULL,
    priority_education BOOLEAN NOT NULL,
    commune_code VARCHAR NOT NULL,
    radius_km INTEGER NOT NULL,
    iso_weeks VARCHAR[] NOT NULL,
    wishes VARCHAR[] NOT NULL,
    ranked_offers INTEGER[],
    obtained_offer INTEGER,
    obtained_wish INTEGER,
    explanation JSONB,
    ended_reason VARCHAR,
    version BIGINT NOT NULL,
    PRIMARY KEY (request_id),
    FOREIGN KEY(campaign_id) REFERENCES campaign (campaign_id),
    FOREIGN KEY(seeker_id) REFERENCES seeker (seeker_id)
);
CREATE UNIQUE INDEX request_of_pupil ON request (campaign_id, uai, pupil_code);
CREATE UNIQUE INDEX request_of_seeker ON request (seeker_id) WHERE campaign_id IS NULL;
CREATE INDEX request_ranked_offers ON request USING gin (ranked_offers);
CREATE TABLE application (
    application_id UUID NOT NULL,
    offer_id UUID NOT NULL,
    seeker_id UUID NOT NULL,
    iso_weeks VARCHAR[] NOT NULL,
    state VARCHAR NOT NULL,
    submitted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    due_at TIMESTAMP WITH TIME ZONE,
    origin VARCHAR NOT NULL,
    campaign_id UUID,
    seen_at TIMESTAMP WITH TIME ZONE,
    accepted_at TIMESTAMP WITH TIME ZONE,
    confirmed_at TIMESTAMP WITH TIME ZONE,
    ended_at TIMESTAMP WITH TIME ZONE,
    refusal_reason VARCHAR,
    letter VARCHAR,
    reminder_count INTEGER DEFAULT 0 NOT NULL,
    PRIMARY KEY (application_id),
    CONSTRAINT whatever_waits_ends CHECK ((state IN ('submitted', 'seen', 'accepted')) = (due_at IS NOT NULL)),
    FOREIGN KEY(offer_id) REFERENCES offer (offer_id),
    FOREIGN KEY(seeker_id) REFERENCES seeker (seeker_id),
    FOREIGN KEY(campaign_id) REFERENCES campaign (campaign_id)
);
CREATE INDEX application_due ON application (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX application_of_campaign ON application (campaign_id) WHERE campaign_id IS NOT NULL;
CREATE INDEX application_of_offer ON application (offer_id, submitted_at);
CREATE INDEX application_of_seeker ON application (seeker_id);
CREATE UNIQUE INDEX application_one_live_each ON application (offer_id, seeker_id) WHERE state IN ('submitted', 'seen', 'accepted', 'confirmed');
CREATE TABLE campaign_offer (
    campaign_id UUID NOT NULL,
    number INTEGER NOT NULL,
    offer_id UUID NOT NULL,
    commune_code VARCHAR NOT NULL,
    rome_codes VARCHAR[] NOT NULL,
    audiences VARCHAR[] NOT NULL,
    age_min INTEGER NOT NULL,
    seats JSONB NOT NULL,
    reserved JSONB NOT NULL,
    partner_uais VARCHAR[] NOT NULL,
    published BOOLEAN NOT NULL,
    PRIMARY KEY (campaign_id, number),
    FOREIGN KEY(campaign_id) REFERENCES campaign (campaign_id),
    FOREIGN KEY(offer_id) REFERENCES offer (offer_id)
);
CREATE UNIQUE INDEX campaign_offer_by_id ON campaign_offer (campaign_id, offer_id);
CREATE TABLE offer_week (
    offer_id UUID NOT NULL,
    iso_week VARCHAR NOT NULL,
    seats_count INTEGER NOT NULL,
    taken_count INTEGER NOT NULL,
    campaign_count INTEGER NOT NULL,
    PRIMARY KEY (offer_id, iso_week),
    CONSTRAINT counts_are_natural CHECK (seats_count >= 0 AND taken_count >= 0 AND campaign_count >= 0),
    CONSTRAINT no_overbooking CHECK (taken_count + campaign_count <= seats_count),
    FOREIGN KEY(offer_id) REFERENCES offer (offer_id)
);
CREATE INDEX offer_week_by_week ON offer_week (iso_week);
CREATE TABLE agreement (
    agreement_id UUID NOT NULL,
    application_id UUID NOT NULL,
    parties VARCHAR[] NOT NULL,
    starts_on DATE NOT NULL,
    ends_on DATE NOT NULL,
    state VARCHAR NOT NULL,
    signed JSONB NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (agreement_id),
    UNIQUE (application_id),
    FOREIGN KEY(application_id) REFERENCES application (application_id)
);
CREATE TABLE confirmed_week (
    seeker_id UUID NOT NULL,
    iso_week VARCHAR NOT NULL,
    application_id UUID NOT NULL,
    PRIMARY KEY (seeker_id, iso_week),
    FOREIGN KEY(seeker_id) REFERENCES seeker (seeker_id),
    FOREIGN KEY(application_id) REFERENCES application (application_id)
);
CREATE TABLE freed_seat (
    application_id UUID NOT NULL,
    campaign_id UUID NOT NULL,
    offer_id UUID NOT NULL,
    iso_weeks VARCHAR[] NOT NULL,
    PRIMARY KEY (application_id),
    FOREIGN KEY(application_id) REFERENCES application (application_id),
    FOREIGN KEY(campaign_id) REFERENCES campaign (campaign_id),
    FOREIGN KEY(offer_id) REFERENCES offer (offer_id)
);
"""

# The limits of the strategy's fiche 1-4 and of the product, in force from the beginning. Which sex is rare in which
# trades: the strategy's figures (girls 15 % in digital training and 27 % of engineers, boys 15 % in paramedical training).
_POLICY = """
INSERT INTO policy (valid_on, limits) VALUES (DATE '2020-01-01', '{
    "answer_days": 15, "confirm_days": 15, "reminder_days": [7, 14], "applications_per_seeker_max": 10, "span_weeks_max": 12,
    "silence_days": 60, "silence_expired_count": 5, "label_months": 36, "minor_age": 18,
    "campaign": {"wishes_max": 10, "offers_per_family_max": 10, "distance_bands_km": [10, 30],
        "underrepresented": {"F": "FEMALE", "H": "FEMALE", "I": "FEMALE", "M18": "FEMALE", "N41": "FEMALE",
                             "J": "MALE", "K12": "MALE", "K13": "MALE"}}}')
"""


def upgrade() -> None:
    for statement in (DELIVERY_1 + DELIVERY_2 + _TABLES + _POLICY).split(";"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)
