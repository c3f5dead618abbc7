"""What each service says of its mails: how many wait, how long, how many were given up."""

from common.migrations import run_each

revision = "0008"
down_revision = "0007"

_COLUMNS = """
ALTER TABLE pipeline_service ADD COLUMN unsent_count BIGINT DEFAULT 0 NOT NULL;
ALTER TABLE pipeline_service ADD COLUMN unsent_age_seconds FLOAT DEFAULT 0 NOT NULL;
ALTER TABLE pipeline_service ADD COLUMN undelivered_count BIGINT DEFAULT 0 NOT NULL;
"""


def upgrade() -> None:
    run_each(_COLUMNS)
