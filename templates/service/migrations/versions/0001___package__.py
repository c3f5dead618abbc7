"""The delivery core's tables."""

from alembic import op

from common.migrations import DELIVERY_1, DELIVERY_2

revision = "0001"
down_revision = None


def upgrade() -> None:
    for statement in (DELIVERY_1 + DELIVERY_2).split(";"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)
