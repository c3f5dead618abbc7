"""Alerts of prescribers, and the limits that they and the reminders to silent structures obey."""

from alembic import op

revision = "0003"
down_revision = "0002"

_STATEMENTS = """
CREATE TABLE alert (
    alert_id UUID NOT NULL,
    prescriber_id VARCHAR NOT NULL,
    commune_code VARCHAR NOT NULL,
    radius_km FLOAT NOT NULL,
    age INTEGER,
    level VARCHAR,
    needs_boarding BOOLEAN NOT NULL,
    needs_wheelchair_access BOOLEAN NOT NULL,
    kind VARCHAR,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (alert_id),
    FOREIGN KEY(prescriber_id) REFERENCES prescriber (prescriber_id)
);
CREATE INDEX alert_of_prescriber ON alert (prescriber_id);
UPDATE policy SET limits = limits || '{"alerts_per_prescriber_max": 10, "alert_days": 90, "reminder_days": 7}'
"""


def upgrade() -> None:
    for statement in _STATEMENTS.split(";"):
        op.get_bind().exec_driver_sql(statement)
