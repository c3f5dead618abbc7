"""Platforms, cases, what was known of them, their steps, policy; and the delivery core's tables."""

from common.migrations import DELIVERY_1, DELIVERY_2, DELIVERY_3, run_each

revision = "0001"
down_revision = None

_TABLES = """
CREATE TABLE policy (
    valid_on DATE NOT NULL,
    limits JSONB NOT NULL,
    PRIMARY KEY (valid_on)
);
CREATE TABLE psad (
    psad_id UUID NOT NULL,
    title VARCHAR NOT NULL,
    PRIMARY KEY (psad_id)
);
CREATE TABLE psad_epci (
    epci_siren VARCHAR NOT NULL,
    psad_id UUID NOT NULL,
    PRIMARY KEY (epci_siren),
    FOREIGN KEY(psad_id) REFERENCES psad (psad_id)
);
CREATE INDEX ix_psad_epci_psad_id ON psad_epci (psad_id);
CREATE TABLE dropout_case (
    case_id UUID NOT NULL,
    code VARCHAR NOT NULL,
    account VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    reported_at TIMESTAMP WITH TIME ZONE NOT NULL,
    last_news_at TIMESTAMP WITH TIME ZONE NOT NULL,
    likeness VARCHAR NOT NULL,
    epci_siren VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    withdrawn VARCHAR,
    duplicate_of UUID,
    version BIGINT NOT NULL,
    PRIMARY KEY (case_id),
    CONSTRAINT only_what_is_withdrawn_is_a_double CHECK (withdrawn IS NOT NULL OR duplicate_of IS NULL),
    CONSTRAINT nothing_is_its_own_double CHECK (duplicate_of <> case_id),
    UNIQUE (code)
);
CREATE INDEX case_alike ON dropout_case (likeness);
CREATE INDEX case_of_account ON dropout_case (account);
CREATE INDEX case_of_epci ON dropout_case (epci_siren);
CREATE TABLE case_facts (
    case_id UUID NOT NULL,
    number INTEGER NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    withdrawn BOOLEAN NOT NULL,
    left_month DATE NOT NULL,
    level_left VARCHAR NOT NULL,
    school_kind VARCHAR NOT NULL,
    school_uai VARCHAR,
    age_band VARCHAR NOT NULL,
    commune_code VARCHAR NOT NULL,
    epci_siren VARCHAR NOT NULL,
    department_code VARCHAR NOT NULL,
    geography_year INTEGER NOT NULL,
    factors VARCHAR[] NOT NULL,
    PRIMARY KEY (case_id, number),
    CONSTRAINT a_month_is_its_first_day CHECK (extract(day FROM left_month) = 1),
    CONSTRAINT some_factor_is_told CHECK (cardinality(factors) > 0),
    FOREIGN KEY(case_id) REFERENCES dropout_case (case_id)
);
CREATE INDEX facts_by_month ON case_facts (left_month);
CREATE TABLE case_step (
    step_id UUID NOT NULL,
    case_id UUID NOT NULL,
    kind VARCHAR NOT NULL,
    happened_on DATE NOT NULL,
    source VARCHAR NOT NULL,
    accompanier VARCHAR,
    presence VARCHAR,
    outcome VARCHAR,
    subject_id UUID,
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    taken_back_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (step_id),
    CONSTRAINT who_accompanies_is_told CHECK ((kind = 'ACCOMPANIED') = (accompanier IS NOT NULL)),
    CONSTRAINT a_check_has_its_answer CHECK ((kind LIKE 'CHECKED%') = (presence IS NOT NULL)),
    CONSTRAINT an_end_has_its_outcome CHECK ((kind = 'ENDED') = (outcome IS NOT NULL)),
    FOREIGN KEY(case_id) REFERENCES dropout_case (case_id)
);
CREATE UNIQUE INDEX one_end_each ON case_step (case_id) WHERE kind = 'ENDED' AND taken_back_at IS NULL;
CREATE INDEX steps_of_case ON case_step (case_id);
CREATE TABLE distinction (
    case_id UUID NOT NULL,
    other_case_id UUID NOT NULL,
    PRIMARY KEY (case_id, other_case_id),
    CONSTRAINT the_pair_once CHECK (case_id < other_case_id),
    FOREIGN KEY(case_id) REFERENCES dropout_case (case_id),
    FOREIGN KEY(other_case_id) REFERENCES dropout_case (case_id)
);
CREATE TABLE followed_subject (
    subject_id UUID NOT NULL,
    offered_on DATE,
    admitted_on DATE,
    code VARCHAR,
    case_id UUID,
    PRIMARY KEY (subject_id),
    FOREIGN KEY(case_id) REFERENCES dropout_case (case_id)
);
"""

# The end of compulsory schooling (code de l'éducation, L131-1), the ages and delays of the platforms, and the product's own.
_POLICY = """
INSERT INTO policy (valid_on, limits) VALUES (DATE '2020-01-01', '{
    "age_min": 16, "age_max": 29, "report_months_max": 36, "news_days": 30, "check_tolerance_days": 15}')
"""


def upgrade() -> None:
    run_each(DELIVERY_1 + DELIVERY_2 + DELIVERY_3 + _TABLES + _POLICY)
