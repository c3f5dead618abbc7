"""The case that an application is for, and how long its code is kept."""

from common.case_links import CASE_LINK_1, CASE_LINK_2
from common.migrations import run_each

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    run_each(CASE_LINK_1 + CASE_LINK_2)
