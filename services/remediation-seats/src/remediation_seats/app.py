"""Start here: the remediation seats service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter

from common.app import run
from common.runtime import Runtime, Service
from common.sweepers import sweeping
from remediation_seats.handlers import forget_case_codes, settle_due
from remediation_seats.http import router
from remediation_seats.notices import remind_silent
from remediation_seats.pages import routes as page_routes
from remediation_seats.partner_topics import CONSUMES
from remediation_seats.presence import ask_presence, give_up
from remediation_seats.restate import AGGREGATES


def background(runtime: Runtime) -> list[Callable[[], Awaitable[None]]]:
    """What time makes due."""
    return sweeping(runtime, settle_due, remind_silent, ask_presence, give_up, forget_case_codes)


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
