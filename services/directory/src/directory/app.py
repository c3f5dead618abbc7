"""Start here: the directory of organisations, and of who acts for them."""

from __future__ import annotations

from fastapi import APIRouter

from common.app import run
from common.runtime import Runtime, Service
from directory.http import router
from directory.pages import routes as page_routes
from directory.restate import AGGREGATES


def routes(runtime: Runtime) -> APIRouter:
    """The API and the pages."""
    both = APIRouter()
    both.include_router(router)
    both.include_router(page_routes(runtime))
    return both


service = Service(name="directory", routes=routes, aggregates=AGGREGATES)


def main() -> None:
    """The process."""
    run(service)
