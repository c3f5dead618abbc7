"""Since when a programme is described: one that has never been declared is silent from then on."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.get_bind().exec_driver_sql(
        "ALTER TABLE programme ADD COLUMN described_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL"
    )
