"""Start here: the dropout observatory."""

from __future__ import annotations

from fastapi import APIRouter

from common.app import run
from common.runtime import Runtime, Service
from dropout_observatory.http import router
from dropout_observatory.links import CONSUMES
from dropout_observatory.pages import routes as page_routes
from dropout_observatory.restate import AGGREGATES


def routes(runtime: Runtime) -> APIRouter:
    """The API and the pages."""
    both = APIRouter()
    both.include_router(router)
    both.include_router(page_routes(runtime))
    return both


service = Service(name="dropout-observatory", routes=routes, consumes=CONSUMES, aggregates=AGGREGATES)


def main() -> None:
    """The process."""
    run(service)
