"""Whose word the seats of a programme are, and by which way it came.

Rows that are there do not know: `estuaire rebuild seat-board --accept-differences` folds them anew from the log.
"""

from common.migrations import run_each

revision = "0009"
down_revision = "0008"

_COLUMNS = """
ALTER TABLE board_programme ADD COLUMN declared_way VARCHAR;
ALTER TABLE board_programme ADD COLUMN declared_source VARCHAR;
"""


def upgrade() -> None:
    run_each(_COLUMNS)
