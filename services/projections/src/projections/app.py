"""Start here: the projections service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache

from fastapi import APIRouter

from common.app import run
from common.runtime import Runtime, Service
from common.verdicts import Consumes
from projections import cafe_season, calendar, pipeline, platform_use, seat_board, stage_market, totals
from projections.http import render_card, routes
from projections.live import Hub, LiveModel

_MODELS = {
    "seat-board": seat_board.MODEL,
    "stage-market": stage_market.MODEL,
    "platform-use": platform_use.MODEL,
    "calendar": calendar.MODEL,
    "cafe-season": cafe_season.MODEL,
}
_BOARD = LiveModel(seat_board.read_as_of, seat_board.read_changed, render_card)
_PAGES = {page: LiveModel(page.read_as_of) for page in totals.PAGES}


def _routes(runtime: Runtime) -> APIRouter:
    return routes(runtime, _hub(runtime, _BOARD), {page: _hub(runtime, model) for page, model in _PAGES.items()})


def _background(runtime: Runtime) -> list[Callable[[], Awaitable[None]]]:
    return [_hub(runtime, model).run for model in (_BOARD, *_PAGES.values())]


@cache
def _hub(runtime: Runtime, model: LiveModel) -> Hub:
    """One hub per process and live page, shared by the routes and the task that feeds it."""
    return Hub(runtime.database, model)


service = Service(
    name="projections",
    routes=_routes,
    background=_background,
    read_models=_MODELS,
    consumes={topic: consumes for model in _MODELS.values() for topic, consumes in model.folds.items()}
    | dict.fromkeys(pipeline.topics(), Consumes(messages=pipeline.MESSAGES, fold=pipeline.fold)),
)


def main() -> None:
    """The process."""
    run(service)
