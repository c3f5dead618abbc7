"""Start here: the projections service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache

from fastapi import APIRouter

from common.app import run
from common.rebuild import ReadModel
from common.runtime import Runtime, Service
from common.verdicts import Consumes
from projections import cafe_season, calendar, pipeline, platform_use, seat_board, stage_market, totals
from projections.http import render_card, routes
from projections.live import Hub, LiveModel
from projections.tables import (
    BoardProgramme,
    BoardStructure,
    CalendarEvent,
    CalendarSession,
    MarketApplication,
    MarketHost,
    MarketOffer,
    MarketRequest,
    SeasonCafe,
    UseBooking,
    UsePlatform,
)

_BOARD = LiveModel(seat_board.read_as_of, seat_board.read_changed, render_card)
_PAGES = {
    page: LiveModel(page.read_as_of)
    for page in (totals.MARKET_PAGE, totals.USE_PAGE, totals.CALENDAR_PAGE, totals.SEASON_PAGE)
}


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
    read_models={
        "seat-board": ReadModel(topics=seat_board.BOARD_TOPICS, tables=(BoardProgramme, BoardStructure)),
        "stage-market": ReadModel(
            topics=stage_market.MARKET_TOPICS, tables=(MarketOffer, MarketHost, MarketApplication, MarketRequest)
        ),
        "platform-use": ReadModel(topics=(platform_use.TOPIC,), tables=(UsePlatform, UseBooking)),
        "calendar": ReadModel(
            topics=(calendar.EVENTS_TOPIC, calendar.SESSIONS_TOPIC), tables=(CalendarEvent, CalendarSession)
        ),
        "cafe-season": ReadModel(topics=(cafe_season.TOPIC,), tables=(SeasonCafe,)),
    },
    consumes={
        **dict.fromkeys(pipeline.topics(), Consumes(messages=pipeline.MESSAGES, fold=pipeline.fold)),
        cafe_season.TOPIC: Consumes(messages=cafe_season.MESSAGES, fold=cafe_season.fold),
        calendar.EVENTS_TOPIC: Consumes(messages=calendar.EVENT_MESSAGES, fold=calendar.fold_events),
        calendar.SESSIONS_TOPIC: Consumes(messages=calendar.SESSION_MESSAGES, fold=calendar.fold_sessions),
        platform_use.TOPIC: Consumes(messages=platform_use.MESSAGES, fold=platform_use.fold),
        stage_market.HOSTS_TOPIC: Consumes(messages=stage_market.HOST_MESSAGES, fold=stage_market.fold_hosts),
        stage_market.OFFERS_TOPIC: Consumes(messages=stage_market.OFFER_MESSAGES, fold=stage_market.fold_offers),
        stage_market.REQUESTS_TOPIC: Consumes(messages=stage_market.REQUEST_MESSAGES, fold=stage_market.fold_requests),
        "remediation-seats.structures.v1": Consumes(
            messages=seat_board.STRUCTURE_MESSAGES, fold=seat_board.fold_structures
        ),
        "remediation-seats.programmes.v1": Consumes(
            messages=seat_board.PROGRAMME_MESSAGES, fold=seat_board.fold_programmes
        ),
    },
)


def main() -> None:
    """The process."""
    run(service)
