"""What was read at a door, each reading once: a batch that is sent again changes nothing, whatever the device's clock says."""

from common.migrations import run_each

revision = "0004"
down_revision = "0003"

_READINGS = """
CREATE TABLE reading (
    session_id UUID NOT NULL,
    reading_id UUID NOT NULL,
    registration_id UUID NOT NULL,
    PRIMARY KEY (session_id, reading_id),
    FOREIGN KEY (registration_id) REFERENCES registration (registration_id) ON DELETE CASCADE
);
CREATE INDEX reading_of_registration ON reading (registration_id);
"""


def upgrade() -> None:
    run_each(_READINGS)
