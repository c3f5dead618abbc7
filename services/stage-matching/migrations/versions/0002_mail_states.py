"""What became of each mail: its identity, the relay's last code, since when it waits."""

from common.migrations import DELIVERY_3, run_each

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    run_each(DELIVERY_3)
