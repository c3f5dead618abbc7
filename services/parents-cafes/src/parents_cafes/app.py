"""Start here: the parents' cafés service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter

from common.app import run
from common.runtime import Runtime, Service
from common.sweepers import sweeping
from parents_cafes import handlers, http, notices, pages, season_handlers, season_http
from parents_cafes.restate import AGGREGATES
from parents_cafes.settings import CafesSettings


def background(runtime: Runtime) -> list[Callable[[], Awaitable[None]]]:
    """What time makes due, and what people have to be told."""
    assert isinstance(runtime.settings, CafesSettings)
    return [
        *sweeping(runtime, season_handlers.review_due, handlers.settle_due, season_handlers.remind),
        *sweeping(runtime, notices.write_owed, seconds=runtime.settings.notice_seconds),
        *sweeping(
            runtime,
            handlers.heal,
            handlers.forget_requests,
            handlers.forget_households,
            seconds=runtime.settings.heal_seconds,
        ),
    ]


def routes(runtime: Runtime) -> APIRouter:
    """The API and the pages."""
    both = APIRouter()
    # Before the café of an id, the ones of a season.
    both.include_router(season_http.router)
    both.include_router(http.router)
    both.include_router(pages.routes(runtime))
    return both


service = Service(
    name="parents-cafes", routes=routes, aggregates=AGGREGATES, background=background, settings=CafesSettings
)


def main() -> None:
    """The process."""
    run(service)
