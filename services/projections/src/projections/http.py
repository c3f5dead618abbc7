"""HTTP of the projections: the seat board and the pipeline page, each as HTML and as JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse

from common.app import Runtime
from common.http import tagged
from common.pages import PARIS, Pages, count, day, grouped
from common.transaction import Transaction
from projections import (
    board_page,
    calendar,
    live,
    pipeline,
    platform_use,
    region_map,
    seat_board,
    seat_feed,
    stage_market,
)
from projections.as_of import AsOf
from projections.board_page import Filters
from projections.rows import Row
from territory import maps, outlines, reference


def percent(share: float | None) -> str:
    """ "12 %", or a dash when there is nothing to divide by."""
    return "–" if share is None else f"{100 * share:.0f}\u202f%"


def hours(minutes: int) -> str:
    """ "1 240 h"."""
    return f"{grouped(round(minutes / 60))}\u202fh"


def month_words(month: date) -> str:
    """ "février 2027"."""
    return f"{day(month).split(' ', 1)[1]} {month.year}"


_pages = Pages(
    "projections",
    {
        "change_text": board_page.change_text,
        "KINDS": board_page.KINDS,
        "CONDITIONS": board_page.CONDITIONS,
        "SORTS": board_page.SORTS,
        "LEVELS": board_page.LEVELS,
        "shade": region_map.shade,
        "state_of": live.state,
        "commune_label": reference.commune_label,
        "rate_shade": region_map.rate_shade,
        "percent": percent,
        "hours": hours,
        "CALENDAR_KINDS": calendar.KINDS,
        "AUDIENCES": calendar.AUDIENCES,
        "session_shade": region_map.session_shade,
        "month_words": month_words,
    },
)


def routes(
    runtime: Runtime, board_hub: live.Hub, market_hub: live.Hub, use_hub: live.Hub, calendar_hub: live.Hub
) -> APIRouter:
    """Every route of the service."""
    router = APIRouter()
    router.include_router(_pages.assets())
    router.include_router(_totals(runtime, _MARKET_PAGE, market_hub))
    router.include_router(_totals(runtime, _USE_PAGE, use_hub))
    router.include_router(_totals(runtime, _CALENDAR_PAGE, calendar_hub))
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
        return _pages.page("board.html", **_board_context(as_of, rows, filters), **_frame(runtime, "/places", as_of))

    @router.get("/places/resume", include_in_schema=False)
    async def summary(request: Request) -> Response:
        """The parts of the board that depend on all its rows: totals, map, table, last changes."""
        as_of, rows = await read_board()
        return _pages.page("summary.html", **_board_context(as_of, rows, Filters.read(request.query_params)))

    @router.get("/places/live", include_in_schema=False)
    async def stream(request: Request) -> Response:
        """Server-sent events: `board` with the changed cards, `reload` when the browser must start over.

        They follow `Last-Event-ID`, or `depuis`, the id that the page was rendered with.
        """
        return _stream(board_hub, request)

    @router.get("/evenement/{event_id}", include_in_schema=False)
    async def event(event_id: UUID) -> Response:
        """To the page of the service that has the event, which the navigation names."""
        if address := _events_address(runtime):
            return RedirectResponse(f"{address}/{event_id}", 303)
        raise HTTPException(404, "Aucun service d'évènements n'est relié à ce calendrier.")

    @router.get("/retenir/{programme_id}", include_in_schema=False)
    async def hold(programme_id: UUID) -> Response:
        """To the page of the service that holds seats, which the navigation names."""
        for link in runtime.settings.navigation:
            if link.address.endswith("/trouver"):
                return RedirectResponse(f"{link.address}?parcours={programme_id}#p{programme_id}", 303)
        raise HTTPException(404, "Aucun service de retenue n'est relié à ce tableau.")

    router.add_api_route("/map.svg", maps.outlines_svg, include_in_schema=False)

    @router.get("/api/seats")
    async def seats(request: Request) -> Response:
        """The board as JSON, with the same filters as the page (`territoire`, `commune`, `age`, `genre`, `condition`)."""
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
        return _pages.page("pipeline.html", health=health, **_frame(runtime, "/pipeline", as_of))

    @router.get("/api/pipeline")
    async def pipeline_json() -> Response:
        """The same as JSON."""
        async with runtime.database.transaction() as tx:
            health = await pipeline.read(tx)
        return JSONResponse(_plain(health), headers={"Cache-Control": "no-store"})

    return router


def _stream(hub: live.Hub, request: Request) -> Response:
    return StreamingResponse(
        hub.events(request.headers.get("last-event-id") or request.query_params.get("depuis")),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _read_market(tx: Transaction, now: datetime, query: Mapping[str, str]) -> dict[str, Any]:
    department = query.get("territoire", "")
    department = department if department in reference.departments() else ""
    return {"market": await stage_market.read(tx, now, department), "department": department}


async def _read_use(tx: Transaction, now: datetime, query: Mapping[str, str]) -> dict[str, Any]:
    territory, period = query.get("territoire", ""), query.get("periode", "")
    known = {*reference.departments(), *reference.epcis()}
    territory = territory if territory in known else ""
    chosen: platform_use.Period = next((one for one in platform_use.PERIODS if one == period), "12")
    use = await platform_use.read(tx, now, territory, chosen)
    return {
        "use": use,
        "territory": territory,
        "period": chosen,
        "periods": platform_use.PERIODS,
        "epcis": _epcis_by_department(),
        "outlines": outlines.outlines(),
        "map_address": f"/map.svg?v={outlines.version()}",
        "view_box": outlines.view_box(territory),
        "epci_titles": {siren: epci.title for siren, epci in reference.epcis().items()},
    }


async def _read_calendar(tx: Transaction, now: datetime, query: Mapping[str, str]) -> dict[str, Any]:
    asked = calendar.Asked.read(query)
    filters = {"territoire": asked.territory, "genre": asked.kind, "public": asked.audience}
    return {
        "calendar": await calendar.read(tx, now, asked),
        "asked": asked,
        "filters": urlencode({name: value for name, value in filters.items() if value}),
        "now": now,
        "epcis": _epcis_by_department(),
        "outlines": outlines.outlines(),
        "map_address": f"/map.svg?v={outlines.version()}",
        "view_box": outlines.view_box(asked.territory),
        "epci_titles": {siren: epci.title for siren, epci in reference.epcis().items()},
    }


@dataclass(frozen=True)
class _TotalsPage:
    """A page of totals: where it is, what it reads for a query, the name of that and of its moving part's template."""

    path: str
    api_path: str
    template: str
    part: str
    subject: str
    read_as_of: Callable[[Transaction], Awaitable[AsOf]]
    read: Callable[[Transaction, datetime, Mapping[str, str]], Awaitable[dict[str, Any]]]


_MARKET_PAGE = _TotalsPage(
    "/marche", "/api/stage-market", "market", "marche", "market", stage_market.read_as_of, _read_market
)
_USE_PAGE = _TotalsPage(
    "/usage-plateaux", "/api/platform-use", "use", "usage", "use", platform_use.read_as_of, _read_use
)
_CALENDAR_PAGE = _TotalsPage(
    "/calendrier", "/api/calendar", "calendar", "calendrier", "calendar", calendar.read_as_of, _read_calendar
)


def _totals(runtime: Runtime, page: _TotalsPage, hub: live.Hub) -> APIRouter:
    """A page of totals, its moving part, its stream, and JSON."""
    router = APIRouter()

    async def read(request: Request) -> dict[str, Any]:
        async with runtime.database.transaction() as tx:
            as_of = await page.read_as_of(tx)
            found = await page.read(tx, as_of.now, request.query_params)
        return {
            **found,
            "departments": reference.departments(),
            "today": as_of.now.astimezone(PARIS).date(),
            **_frame(runtime, page.path, as_of),
        }

    @router.get(page.path, include_in_schema=False)
    async def whole(request: Request) -> Response:
        """Whole without JavaScript."""
        return _pages.page(f"{page.template}.html", **await read(request))

    @router.get(f"{page.path}/resume", include_in_schema=False)
    async def parts(request: Request) -> Response:
        """What moves in the page."""
        text = _pages.text(f"{page.template}_parts.html", **await read(request))
        return HTMLResponse(f'<div data-part="{page.part}">{text}</div>', headers={"Cache-Control": "no-store"})

    @router.get(f"{page.path}/live", include_in_schema=False)
    async def stream(request: Request) -> Response:
        """Server-sent events: `board` with `moved` when the totals are to be asked for anew."""
        return _stream(hub, request)

    @router.get(page.api_path)
    async def as_json(request: Request) -> Response:
        """The same as JSON, for the same query; people are counted from eleven up."""
        found = await read(request)
        as_of = found["as_of"]
        facts = {**asdict(found[page.subject]), "as_of": as_of.as_of, "lag_seconds": as_of.lag_seconds}
        return JSONResponse(_plain(facts), headers={"Cache-Control": "no-store"})

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
        content = calendar.ical(found, _events_address(runtime))
        headers = {"Cache-Control": "public, max-age=300", "Access-Control-Allow-Origin": "*"}
        return tagged(request, content, "text/calendar", headers)

    return router


def _events_address(runtime: Runtime) -> str:
    """Where the events service shows its events, which the navigation names."""
    return next((link.address for link in runtime.settings.navigation if link.address.endswith("/evenements")), "")


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
        body = json.dumps(_plain(content["data"]), ensure_ascii=False, sort_keys=True).encode()
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
        return JSONResponse(_plain(content), headers=headers)

    return router


def render_card(row: Row, as_of: AsOf) -> dict[str, Any]:
    """One changed programme for the live page: its card, and one line for screen readers."""
    card = _pages.text("card.html", row=row, now=as_of.now)
    said = f"{row['title']}, {row['commune']} : {count(row['countable_free_count'], 'place libre', 'places libres')}."
    return {"id": str(row["programme_id"]), "html": card, "say": said}


def _board_context(as_of: AsOf, rows: list[Row], filters: Filters) -> dict[str, Any]:
    found = board_page.board(rows, filters)
    return {
        "now": as_of.now,
        "filters": filters,
        "board": found,
        "commune_label": reference.commune_label(filters.commune),
        "departments": reference.departments(),
        "epcis": _epcis_by_department(),
        "communes": reference.suggestions({row["commune_code"] for row in rows}),
        "outlines": outlines.outlines(),
        "map_address": f"/map.svg?v={outlines.version()}",
        "view_box": outlines.view_box(filters.territory),
        "labels": region_map.labels(found.territories),
        "epci_titles": {siren: epci.title for siren, epci in reference.epcis().items()},
        "fictitious": any(row["fictitious"] for row in rows),
    }


def _epcis_by_department() -> dict[str, list[tuple[str, str]]]:
    found: dict[str, set[tuple[str, str]]] = {code: set() for code in reference.departments()}
    heaviest: dict[str, dict[str, int]] = {}
    for commune in reference.communes().values():
        weight = heaviest.setdefault(commune.epci_siren, {})
        weight[commune.department_code] = weight.get(commune.department_code, 0) + commune.population
    for siren, weight in heaviest.items():
        if siren in reference.epcis():
            found[max(weight, key=lambda code: weight[code])].add((reference.epcis()[siren].title, siren))
    return {code: sorted(members) for code, members in found.items()}


def _frame(runtime: Runtime, path: str, as_of: AsOf) -> dict[str, Any]:
    return {
        "path": path,
        "navigation": runtime.settings.navigation,
        "as_of": as_of,
        "state": live.state(as_of.lag_seconds),
        "development": runtime.settings.development,
    }


def _public(row: Row) -> dict[str, Any]:
    kept = {name: value for name, value in row.items() if not name.startswith("log_")}
    return {**_plain(kept), **({"distance_km": round(row["distance_km"], 1)} if "distance_km" in row else {})}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    return (
        value.isoformat() if hasattr(value, "isoformat") else float(value) if hasattr(value, "as_tuple") else str(value)
    )
