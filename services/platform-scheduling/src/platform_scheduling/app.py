"""Start here: the platform scheduling service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from fastapi import APIRouter

from common.app import Runtime, Service, run
from common.failures import forever
from common.verdicts import Consumes
from platform_scheduling import handlers, http, notices, pages
from platform_scheduling.messages import PlatformRequested, PlatformRequestWithdrawn
from platform_scheduling.restate import AGGREGATES
from platform_scheduling.settings import SchedulingSettings

_LOT_COUNT_MAX = 50


def background(runtime: Runtime) -> list[Callable[[], Awaitable[None]]]:
    """Sweepers, which only make visible earlier what every decision takes into account anyway."""

    def sweeper(work: Callable[..., Awaitable[int]]) -> Callable[[], Awaitable[None]]:
        async def sweep() -> bool:
            async with runtime.database.transaction() as tx:
                return await work(tx, _LOT_COUNT_MAX) > 0

        sweep.__qualname__ = work.__name__
        return partial(forever, sweep, seconds=runtime.settings.sweep_seconds)

    return [sweeper(work) for work in (handlers.settle_due, handlers.open_further, notices.remind)]


def routes(runtime: Runtime) -> APIRouter:
    """The API, the calendars and the pages."""
    both = APIRouter()
    both.include_router(http.router)
    both.include_router(http.feeds)
    both.include_router(pages.routes(runtime))
    return both


service = Service(
    name="platform-scheduling",
    routes=routes,
    consumes={
        "events.platform-requests.v1": Consumes(
            handlers={
                PlatformRequested: handlers.book_for_event,
                PlatformRequestWithdrawn: handlers.withdraw_request,
            }
        )
    },
    aggregates=AGGREGATES,
    background=background,
    settings=SchedulingSettings,
)


def main() -> None:
    """The process."""
    run(service)
