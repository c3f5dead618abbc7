"""What `estuaire reconcile` needs: marks of what was published, and the list of unknown messages."""

from alembic import op

from common.migrations import DELIVERY_2

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    for statement in DELIVERY_2.split(";"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)
