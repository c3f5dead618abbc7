"""Start here: the remediation seats service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from common.app import Runtime, Service, run
from common.failures import forever
from remediation_seats.handlers import settle_due
from remediation_seats.http import router
from remediation_seats.partner_topics import CONSUMES
from remediation_seats.restate import AGGREGATES

_SETTLED_PER_TRANSACTION_MAX = 50


def background(runtime: Runtime) -> list[Callable[[], Awaitable[None]]]:
    """The sweeper, which only makes visible earlier what every read and decision takes into account anyway."""

    async def sweep() -> bool:
        async with runtime.database.transaction() as tx:
            return await settle_due(tx, _SETTLED_PER_TRANSACTION_MAX) > 0

    return [lambda: forever(sweep, seconds=runtime.settings.sweep_seconds)]


service = Service(
    name="remediation-seats",
    routes=lambda _: router,
    consumes=CONSUMES,
    aggregates=AGGREGATES,
    background=background,
)


def main() -> None:
    """The process."""
    run(service)
