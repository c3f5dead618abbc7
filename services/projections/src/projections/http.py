"""HTTP of the projections: the seat board and the pipeline page, each as HTML and as JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from common.http import tagged
from common.pages import count
from common.runtime import Runtime
from projections import board_page, calendar, live, pipeline, region_map, seat_board, seat_feed, totals
from projections.as_of import AsOf
from projections.board_page import Filters
from projections.frame import event_stream, frame, pages, plain
from projections.rows import Row
from projections.totals import TotalsPage
from territory import maps, reference
from territory.places import TypedCommune, suggestions

# Where pages of other services are, by the end of their address in the navigation.
_EVENTS, _CAFES, _HOLDS = "/evenements", "/cafes", "/trouver"


def routes(runtime: Runtime, board_hub: live.Hub, hubs: Mapping[TotalsPage, live.Hub]) -> APIRouter:
    """Every route of the service."""
    router = APIRouter()
    router.include_router(pages.assets())
    for page, hub in hubs.items():
        router.include_router(totals.routes(runtime, page, hub))
    router.include_router(_calendar_feed(runtime))

    async def read_board() -> tuple[AsOf, list[Row]]:
        async with runtime.database.transaction() as tx:
            as_of = await seat_board.read_as_of(tx)
            return as_of, await seat_board.read_all(tx, as_of.now)

    router.include_router(_feed(runtime, read_board))

    @router.get("/", include_in_schema=False)
    async def home() -> Response:
        return RedirectResponse("/places", 307)

    @router.get("/places", include_in_schema=False)
    async def places(request: Request) -> Response:
        """The seat board; whole without JavaScript."""
        as_of, rows = await read_board()
        filters = Filters.read(request.query_params)
        return pages.page("board.html", **_board_context(as_of, rows, filters), **frame(runtime, "/places", as_of))

    @router.get("/places/resume", include_in_schema=False)
    async def summary(request: Request) -> Response:
        """The parts of the board that depend on all its rows: totals, map, table, last changes."""
        as_of, rows = await read_board()
        return pages.page("summary.html", **_board_context(as_of, rows, Filters.read(request.query_params)))

    @router.get("/places/live", include_in_schema=False)
    async def stream(request: Request) -> Response:
        """Server-sent events: `board` with the changed cards, `reload` when the browser must start over.

        They follow `Last-Event-ID`, or `depuis`, the id that the page was rendered with.
        """
        return event_stream(board_hub, request)

    @router.get("/evenement/{event_id}", include_in_schema=False)
    async def event(event_id: UUID) -> Response:
        """To the page of the service that has the event."""
        return _elsewhere(runtime, _EVENTS, f"/{event_id}")

    @router.get("/cafe/{cafe_id}", include_in_schema=False)
    async def cafe(cafe_id: UUID) -> Response:
        """To the page of the service that has the café."""
        return _elsewhere(runtime, _CAFES, f"/{cafe_id}")

    @router.get("/retenir/{programme_id}", include_in_schema=False)
    async def hold(programme_id: UUID) -> Response:
        """To the page of the service that holds seats."""
        return _elsewhere(runtime, _HOLDS, f"?parcours={programme_id}#p{programme_id}")

    router.add_api_route("/map.svg", maps.outlines_svg, include_in_schema=False)
    router.add_api_route("/communes", suggestions, include_in_schema=False)

    @router.get("/api/seats")
    async def seats(request: Request, commune: TypedCommune = None) -> Response:
        """The board as JSON, with the same filters as the page (`territoire`, `commune`, `age`, `genre`, `condition`).

        `commune` is as people write it, so that an address of the page is one of this; 422 with the choices if it is not sure.
        """
        as_of, rows = await read_board()
        filters = Filters.read(request.query_params)
        found = board_page.board(rows, replace(filters, shown=len(rows)))
        lag = as_of.lag_seconds
        return JSONResponse(
            {
                "as_of": as_of.as_of.isoformat() if as_of.as_of else None,
                "lag_seconds": None if lag is None else round(lag, 3),
                "programmes": [_public(row) for row in found.programmes],
            },
            headers={"Cache-Control": "no-store"},
        )

    @router.get("/pipeline", include_in_schema=False)
    async def pipeline_page() -> Response:
        """What operators look at first: lag, outbox age, dead letters, parked keys."""
        async with runtime.database.transaction() as tx:
            as_of, health = await seat_board.read_as_of(tx), await pipeline.read(tx)
        return pages.page("pipeline.html", health=health, **frame(runtime, "/pipeline", as_of))

    @router.get("/api/pipeline")
    async def pipeline_json() -> Response:
        """The same as JSON."""
        async with runtime.database.transaction() as tx:
            health = await pipeline.read(tx)
        return JSONResponse(plain(health), headers={"Cache-Control": "no-store"})

    return router


def _calendar_feed(runtime: Runtime) -> APIRouter:
    """The calendar of any filter, for whoever subscribes."""
    router = APIRouter()

    @router.get("/calendrier.ics", include_in_schema=False)
    async def feed(request: Request) -> Response:
        """Sessions of the last month and to come, for the query of the page; conditional by ETag."""
        async with runtime.database.transaction() as tx:
            now = await tx.now()
            since, until = now - timedelta(days=31), now + timedelta(days=500)
            asked = calendar.Asked.read(request.query_params)
            found = await calendar.sessions(tx, now, asked, since=since, until=until, called_off=True)
        events, cafes = _address(runtime, _EVENTS), _address(runtime, _CAFES)

        def address_of(row: Row) -> str:
            address = cafes if row["kind"] == calendar.CAFE else events
            return f"{address}/{row['event_id']}" if address else ""

        content = calendar.ical(found, address_of)
        headers = {"Cache-Control": "public, max-age=300", "Access-Control-Allow-Origin": "*"}
        return tagged(request, content, "text/calendar", headers)

    return router


def _address(runtime: Runtime, end: str) -> str:
    """Where another service has a page, which the navigation names; empty when it has none."""
    return next((link.address for link in runtime.settings.navigation if link.address.endswith(end)), "")


def _elsewhere(runtime: Runtime, end: str, rest: str) -> Response:
    if address := _address(runtime, end):
        return RedirectResponse(f"{address}{rest}", 303)
    raise HTTPException(404, "Le service de cette page n'est pas relié à ces tableaux.")


def _feed(runtime: Runtime, read_board: Callable[[], Awaitable[tuple[AsOf, list[Row]]]]) -> APIRouter:
    """The open feed's routes."""
    router = APIRouter()

    @router.options("/feed/{name}.json", include_in_schema=False)
    async def feed_preflight(name: str) -> Response:
        """Another site's script may ask with If-None-Match."""
        allowed = {"Access-Control-Allow-Methods": "GET", "Access-Control-Allow-Headers": "If-None-Match"}
        return Response(status_code=204, headers={"Access-Control-Allow-Origin": "*", **allowed})

    @router.get("/feed/{name}.json")
    async def feed(request: Request, name: Literal["seats", "seat_information", "seat_status"]) -> Response:
        """The open feed: `seats` lists the two parts; conditional by ETag, readable from any site."""
        as_of, rows = await read_board()
        match name:
            case "seats":
                content = seat_feed.index(as_of, runtime.settings.public_url)
            case "seat_information":
                content = seat_feed.information(as_of, rows)
            case _:
                content = seat_feed.status(as_of, rows)
        body = json.dumps(plain(content["data"]), ensure_ascii=False, sort_keys=True).encode()
        etag = f'W/"{hashlib.sha256(body).hexdigest()[:24]}"'
        headers = {
            "ETag": etag,
            "Cache-Control": f"public, max-age={content['ttl']}",
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Expose-Headers": "ETag",
        }
        # The instant moves with every look, the data do not: the tag is of the data.
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return JSONResponse(plain(content), headers=headers)

    return router


def render_card(row: Row, as_of: AsOf) -> dict[str, Any]:
    """One changed programme for the live page: its card, and one line for screen readers."""
    card = pages.text("card.html", row=row, now=as_of.now)
    said = f"{row['title']}, {row['commune']} : {count(row['countable_free_count'], 'place libre', 'places libres')}."
    return {"id": str(row["programme_id"]), "html": card, "say": said}


def _board_context(as_of: AsOf, rows: list[Row], filters: Filters) -> dict[str, Any]:
    found = board_page.board(rows, filters)
    return {
        "now": as_of.now,
        "filters": filters,
        "board": found,
        "departments": reference.departments(),
        **maps.region(filters.territory),
        "labels": region_map.labels(found.territories),
        "fictitious": any(row["fictitious"] for row in rows),
    }


def _public(row: Row) -> dict[str, Any]:
    kept = {name: value for name, value in row.items() if not name.startswith("log_")}
    return {**plain(kept), **({"distance_km": round(row["distance_km"], 1)} if "distance_km" in row else {})}
