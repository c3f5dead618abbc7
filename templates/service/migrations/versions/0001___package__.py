"""The delivery core's tables."""

from common.migrations import DELIVERY_1, DELIVERY_2, DELIVERY_3, run_each

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_each(DELIVERY_1 + DELIVERY_2 + DELIVERY_3)
