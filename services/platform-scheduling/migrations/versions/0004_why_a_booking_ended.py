"""Why a booking ended, and what its owner changed under it; of those that had ended before, nothing is known but their state."""

from common.migrations import run_each

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    run_each("""
ALTER TABLE booking ADD COLUMN end_reason VARCHAR;
ALTER TABLE booking ADD COLUMN broken_by VARCHAR[] DEFAULT '{}' NOT NULL
""")
