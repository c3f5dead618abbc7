"""Start here: the remediation seats service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from fastapi import APIRouter

from common.app import Runtime, Service, run
from common.failures import forever
from remediation_seats.handlers import settle_due
from remediation_seats.http import router
from remediation_seats.notices import remind_silent
from remediation_seats.pages import routes as page_routes
from remediation_seats.partner_topics import CONSUMES
from remediation_seats.restate import AGGREGATES

_SETTLED_PER_TRANSACTION_MAX = 50


def background(runtime: Runtime) -> list[Callable[[], Awaitable[None]]]:
    """The sweeper, which only makes visible earlier what every read and decision takes into account anyway."""

    async def sweep() -> bool:
        async with runtime.database.transaction() as tx:
            return await settle_due(tx, _SETTLED_PER_TRANSACTION_MAX) > 0

    async def remind() -> bool:
        async with runtime.database.transaction() as tx:
            return await remind_silent(tx, _SETTLED_PER_TRANSACTION_MAX) > 0

    return [partial(forever, work, seconds=runtime.settings.sweep_seconds) for work in (sweep, remind)]


def routes(runtime: Runtime) -> APIRouter:
    """The API and the pages."""
    both = APIRouter()
    both.include_router(router)
    both.include_router(page_routes(runtime))
    return both


service = Service(
    name="remediation-seats",
    routes=routes,
    consumes=CONSUMES,
    aggregates=AGGREGATES,
    background=background,
)


def main() -> None:
    """The process."""
    run(service)
