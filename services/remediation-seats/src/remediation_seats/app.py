"""Start here: the remediation seats service."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from common.app import Runtime, Service, run
from common.failures import is_unavailable
from remediation_seats.handlers import settle_due
from remediation_seats.http import router
from remediation_seats.restate import AGGREGATES

_log = logging.getLogger(__name__)
_SETTLED_PER_TRANSACTION_MAX = 50


def background(runtime: Runtime) -> list[Callable[[], Awaitable[None]]]:
    """The sweeper, which only makes visible earlier what every read and decision takes into account anyway."""

    async def sweep() -> None:
        while True:
            try:
                async with runtime.database.transaction() as tx:
                    settled = await settle_due(tx, _SETTLED_PER_TRANSACTION_MAX)
            except Exception as error:
                if not is_unavailable(error):
                    _log.exception("the sweeper failed")
                settled = 0
            await asyncio.sleep(0 if settled else runtime.settings.sweep_seconds)

    return [sweep]


service = Service(name="remediation-seats", routes=lambda _: router, aggregates=AGGREGATES, background=background)


def main() -> None:
    """The process."""
    run(service)
