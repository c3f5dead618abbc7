"""Start here: the events service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter

from common.app import run
from common.runtime import Runtime, Service
from common.sweepers import sweeping
from common.verdicts import Consumes
from events import (
    ambassador_handlers,
    event_handlers,
    handlers,
    http,
    kit_handlers,
    lending_http,
    notices,
    organiser_http,
    pages,
)
from events.messages import PlatformBooked, PlatformRefused, PlatformReleased
from events.restate import AGGREGATES
from events.settings import EventsSettings


def background(runtime: Runtime) -> list[Callable[[], Awaitable[None]]]:
    """What time makes due, and what people have to be told."""
    assert isinstance(runtime.settings, EventsSettings)
    return [
        *sweeping(
            runtime,
            handlers.settle_due,
            handlers.release_after_absences,
            handlers.forget_case_codes,
            kit_handlers.end_unanswered,
            kit_handlers.write_of_late,
            ambassador_handlers.pass_over_silent,
        ),
        *sweeping(runtime, notices.write_owed, seconds=runtime.settings.notice_seconds),
        *sweeping(runtime, handlers.heal, seconds=runtime.settings.heal_seconds),
    ]


def routes(runtime: Runtime) -> APIRouter:
    """The API, the calendars and the pages."""
    both = APIRouter()
    # Before the event of an id, the ones that are mine.
    both.include_router(organiser_http.router)
    both.include_router(http.router)
    both.include_router(lending_http.router)
    both.include_router(http.feeds)
    both.include_router(pages.routes(runtime))
    return both


service = Service(
    name="events",
    routes=routes,
    consumes={
        "platform-scheduling.requests.v1": Consumes(
            handlers={
                PlatformBooked: event_handlers.platform_answered,
                PlatformRefused: event_handlers.platform_answered,
                PlatformReleased: event_handlers.platform_answered,
            }
        )
    },
    aggregates=AGGREGATES,
    background=background,
    settings=EventsSettings,
)


def main() -> None:
    """The process."""
    run(service)
