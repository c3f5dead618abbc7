"""What each service says of its mails: how many wait, how long, how many were given up."""

from common.migrations import run_each

revision = "0008"
down_revision = "0007"

_COLUMNS = """
ALTER TABLE pipeline_service ADD COLUMN mail_waiting_count BIGINT DEFAULT 0 NOT NULL;
ALTER TABLE pipeline_service ADD COLUMN mail_waiting_seconds FLOAT DEFAULT 0 NOT NULL;
ALTER TABLE pipeline_service ADD COLUMN mail_failed_count BIGINT DEFAULT 0 NOT NULL;
"""


def upgrade() -> None:
    run_each(_COLUMNS)
