"""Start here: the stage matching service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from fastapi import APIRouter

from common.app import run
from common.runtime import Runtime, Service
from common.sweepers import sweeping
from stage_matching import (
    agreement_handlers,
    agreement_http,
    campaign_http,
    campaign_job,
    campaigns,
    handlers,
    hosts,
    http,
    notices,
    pages,
)
from stage_matching.restate import AGGREGATES
from stage_matching.settings import MatchingSettings


def background(runtime: Runtime) -> list[Callable[[], Awaitable[None]]]:
    """What time makes due; and the campaigns' jobs."""
    return [
        *sweeping(
            runtime,
            handlers.settle_due,
            agreement_handlers.complete_due,
            agreement_handlers.forget_case_codes,
            handlers.release_of_suspended,
            campaigns.end_left_behind,
            notices.remind,
            hosts.suspend_silent,
        ),
        # Somebody waits for a seat that came back: no longer than a page takes.
        *sweeping(runtime, campaigns.propose_freed, seconds=1.0),
        partial(campaign_job.watch, runtime),
    ]


def routes(runtime: Runtime) -> APIRouter:
    """The API and the pages."""
    both = APIRouter()
    both.include_router(http.router)
    both.include_router(agreement_http.router)
    both.include_router(campaign_http.router)
    both.include_router(pages.routes(runtime))
    return both


service = Service(
    name="stage-matching",
    routes=routes,
    aggregates=AGGREGATES,
    background=background,
    settings=MatchingSettings,
)


def main() -> None:
    """The process."""
    run(service)
