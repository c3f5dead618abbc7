"""The version in which a session was last described or called off, from which calendars count its changes."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    connection = op.get_bind()
    connection.exec_driver_sql("ALTER TABLE session ADD COLUMN described_version BIGINT DEFAULT 0 NOT NULL")
    # The last version may be of a registration; it is none that a calendar has seen a higher one of.
    connection.exec_driver_sql("UPDATE session SET described_version = version")
