"""The case that a hold is for, and whether somebody is still there."""

from common.case_links import CASE_LINK_1
from common.migrations import run_each

revision = "0006"
down_revision = "0005"

_PRESENCE = """
CREATE TABLE presence_question (
    hold_id UUID NOT NULL,
    after_months INTEGER NOT NULL,
    asked_at TIMESTAMP WITH TIME ZONE NOT NULL,
    reminder_count INTEGER NOT NULL,
    answered_at TIMESTAMP WITH TIME ZONE,
    presence VARCHAR,
    PRIMARY KEY (hold_id, after_months),
    CONSTRAINT what_is_answered_has_an_answer CHECK ((answered_at IS NULL) = (presence IS NULL)),
    FOREIGN KEY(hold_id) REFERENCES hold (hold_id)
);
CREATE INDEX presence_open ON presence_question (asked_at) WHERE answered_at IS NULL;
UPDATE policy SET limits = limits || '{"presence_reminders_max": 2, "presence_reminder_days": 10, "presence_days": 30}'
"""


def upgrade() -> None:
    run_each(CASE_LINK_1 + _PRESENCE)
