"""Start here: the dropout observatory."""

from __future__ import annotations

import sys

from fastapi import APIRouter

from common.app import run
from common.runtime import Runtime, Service
from dropout_observatory.http import router
from dropout_observatory.indicators.http import router as indicator_router
from dropout_observatory.links import CONSUMES
from dropout_observatory.pages import routes as page_routes
from dropout_observatory.restate import AGGREGATES


def routes(runtime: Runtime) -> APIRouter:
    """The API and the pages."""
    both = APIRouter()
    both.include_router(router)
    both.include_router(indicator_router)
    both.include_router(page_routes(runtime))
    return both


service = Service(name="dropout-observatory", routes=routes, consumes=CONSUMES, aggregates=AGGREGATES)


def main() -> None:
    """The process; `dropout-observatory lake` is the one that writes the lake."""
    match sys.argv[1:]:
        case []:
            run(service)
        case ["lake"]:
            # Its libraries are large, and of no use to the pages.
            from dropout_observatory.lake.app import main as write_lake

            write_lake()
        case other:
            sys.exit(f"dropout-observatory: {' '.join(other)!r} is none of its processes; there is `lake`, or nothing")
