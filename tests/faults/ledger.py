"""A consumer of the core whose effect is "+1": a second effect of a message shows, where an idempotent fold would hide it.

Started by the rig as a process; its database has, beside the core's tables, one row per effect and a sum per key.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from fastapi import APIRouter

from common.app import run
from common.repair import reconcile
from common.runtime import Service
from common.transaction import Transaction
from common.verdicts import Consumes
from remediation_seats import messages

TABLES = """
CREATE TABLE effect (event_id UUID NOT NULL, key VARCHAR NOT NULL, version BIGINT NOT NULL);
CREATE TABLE tally (key VARCHAR NOT NULL PRIMARY KEY, count BIGINT NOT NULL);
"""


async def record(tx: Transaction, message: Any) -> None:
    """Writes the effect without any protection of its own: only the core keeps it from happening twice."""
    await tx.execute(
        "INSERT INTO effect (event_id, key, version) VALUES (:event_id, :key, :version)",
        event_id=message.event_id,
        key=str(message.aggregate_id),
        version=message.aggregate_version,
    )
    await tx.execute(
        "INSERT INTO tally (key, count) VALUES (:key, 1) ON CONFLICT (key) DO UPDATE SET count = tally.count + 1",
        key=str(message.aggregate_id),
    )


service = Service(
    name="ledger",
    routes=lambda _: APIRouter(),
    consumes={
        "remediation-seats.programmes.v1": Consumes(
            handlers=dict.fromkeys(
                (
                    messages.ProgrammeDescribed,
                    messages.SeatsDeclared,
                    messages.SeatHeld,
                    messages.HoldExtended,
                    messages.HoldConfirmed,
                    messages.YoungPersonAdmitted,
                    messages.HoldEnded,
                ),
                record,
            )
        )
    },
)


def main() -> None:
    """The process."""
    run(service)


if __name__ == "__main__":
    if sys.argv[1:] == ["reconcile"]:
        names = ("DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS", "REGISTRY_URL")
        addresses = [os.environ[f"ESTUAIRE_{name}"] for name in names]
        asyncio.run(reconcile(service, addresses[0], addresses[1], addresses[2], print, apply=True))
    else:
        main()
