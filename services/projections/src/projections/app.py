"""Start here: the projections service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache

from fastapi import APIRouter

from common.app import Runtime, Service, run
from common.rebuild import ReadModel
from common.verdicts import Consumes
from projections import pipeline, seat_board
from projections.http import render_card, routes
from projections.live import Hub
from projections.tables import BoardProgramme, BoardStructure


def _routes(runtime: Runtime) -> APIRouter:
    return routes(runtime, _hub(runtime))


def _background(runtime: Runtime) -> list[Callable[[], Awaitable[None]]]:
    return [_hub(runtime).run]


@cache
def _hub(runtime: Runtime) -> Hub:
    """One hub per process, shared by the routes and the task that feeds it."""
    return Hub(runtime.database, render_card)


service = Service(
    name="projections",
    routes=_routes,
    background=_background,
    read_models={
        "seat-board": ReadModel(topics=seat_board.BOARD_TOPICS, tables=(BoardProgramme, BoardStructure)),
    },
    consumes={
        "remediation-seats.structures.v1": Consumes(
            messages=seat_board.STRUCTURE_MESSAGES, fold=seat_board.fold_structures
        ),
        "remediation-seats.programmes.v1": Consumes(
            messages=seat_board.PROGRAMME_MESSAGES, fold=seat_board.fold_programmes
        ),
        "remediation-seats.pipeline.v1": Consumes(messages=pipeline.MESSAGES, fold=pipeline.fold),
        "projections.pipeline.v1": Consumes(messages=pipeline.MESSAGES, fold=pipeline.fold),
    },
)


def main() -> None:
    """The process."""
    run(service)
