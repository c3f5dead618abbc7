"""Structures, programmes, young people, prescribers, holds, policy; and the delivery core's tables."""

from alembic import op

from common.migrations import DELIVERY_1

revision = "0001"
down_revision = None

_TABLES = """
CREATE TABLE policy (
    valid_on DATE NOT NULL,
    limits JSONB NOT NULL,
    PRIMARY KEY (valid_on)
);
CREATE TABLE prescriber (
    prescriber_id VARCHAR NOT NULL,
    contact_email VARCHAR,
    PRIMARY KEY (prescriber_id)
);
CREATE TABLE structure (
    structure_id UUID NOT NULL,
    structure_name VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    commune_code VARCHAR NOT NULL,
    contact_email VARCHAR,
    fictitious BOOLEAN NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (structure_id)
);
CREATE TABLE young_person (
    young_person_id UUID NOT NULL,
    code VARCHAR NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (young_person_id),
    UNIQUE (code)
);
CREATE TABLE programme (
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
    excess_count INTEGER NOT NULL,
    observed_at TIMESTAMP WITH TIME ZONE,
    declared_way VARCHAR,
    declared_sequence BIGINT,
    declared_at TIMESTAMP WITH TIME ZONE,
    version BIGINT NOT NULL,
    PRIMARY KEY (programme_id),
    CONSTRAINT counts_are_natural CHECK (total_count >= 0 AND taken_count >= 0 AND admitted_count >= 0 AND held_count >= 0 AND excess_count >= 0),
    CONSTRAINT no_overbooking CHECK (taken_count + admitted_count + held_count <= total_count + excess_count),
    CONSTRAINT ages_in_order CHECK (age_min BETWEEN 0 AND age_max),
    FOREIGN KEY(structure_id) REFERENCES structure (structure_id)
);
CREATE INDEX programme_of_structure ON programme (structure_id);
CREATE TABLE hold (
    hold_id UUID NOT NULL,
    programme_id UUID NOT NULL,
    young_person_id UUID NOT NULL,
    prescriber_id VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    held_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    extension_count INTEGER NOT NULL,
    arrival_on DATE,
    no_show_at TIMESTAMP WITH TIME ZONE,
    admitted_at TIMESTAMP WITH TIME ZONE,
    ended_at TIMESTAMP WITH TIME ZONE,
    decline_reason VARCHAR,
    due_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (hold_id),
    CONSTRAINT every_live_hold_ends CHECK ((state IN ('held', 'confirmed')) = (due_at IS NOT NULL)),
    FOREIGN KEY(programme_id) REFERENCES programme (programme_id),
    FOREIGN KEY(young_person_id) REFERENCES young_person (young_person_id),
    FOREIGN KEY(prescriber_id) REFERENCES prescriber (prescriber_id)
);
CREATE INDEX hold_admitted ON hold (programme_id, admitted_at) WHERE state = 'admitted';
CREATE INDEX hold_due ON hold (due_at) WHERE state IN ('held', 'confirmed');
CREATE INDEX hold_live_of_prescriber ON hold (prescriber_id) WHERE state IN ('held', 'confirmed');
CREATE INDEX hold_live_of_young_person ON hold (young_person_id) WHERE state IN ('held', 'confirmed');
CREATE UNIQUE INDEX hold_one_live_each ON hold (programme_id, young_person_id) WHERE state IN ('held', 'confirmed');
"""

# The limits of the strategy's fiche 5-4 and of the product, in force from the beginning.
_POLICY = """
INSERT INTO policy (valid_on, limits) VALUES (DATE '2020-01-01', '{
    "holds_per_young_person_max": 2, "holds_per_prescriber_max": 5, "hold_working_days": 3, "extensions_max": 1,
    "no_show_working_days": 3, "ageing_days": 7, "stale_days": 30, "observed_ahead_minutes_max": 5, "arrival_days_max": 120}')
"""


def upgrade() -> None:
    for statement in (DELIVERY_1 + _TABLES + _POLICY).split(";"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)
