"""Start here: the platform scheduling service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter

from common.app import run
from common.runtime import Runtime, Service
from common.sweepers import sweeping
from common.verdicts import Consumes
from platform_scheduling import handlers, http, notices, owner_http, pages
from platform_scheduling.messages import PlatformRequested, PlatformRequestWithdrawn
from platform_scheduling.restate import AGGREGATES
from platform_scheduling.settings import SchedulingSettings


def background(runtime: Runtime) -> list[Callable[[], Awaitable[None]]]:
    """What time makes due."""
    return sweeping(runtime, handlers.settle_due, handlers.open_further, handlers.forget_case_codes, notices.remind)


def routes(runtime: Runtime) -> APIRouter:
    """The API, the calendars and the pages."""
    both = APIRouter()
    # Before the platform of an id, the ones that are mine.
    both.include_router(owner_http.router)
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
