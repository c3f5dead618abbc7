"""HTTP of the projections: the seat board and the pipeline page, each as HTML and as JSON."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from common.app import Runtime
from projections import board_page, live, pipeline, region_map, seat_board
from projections.board_page import Filters
from projections.rows import Row
from projections.seat_board import AsOf
from territory import reference

_environment = Environment(
    loader=PackageLoader("projections"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.globals.update(
    ago=board_page.ago,
    clock=board_page.clock,
    count=board_page.count,
    day=board_page.day,
    duration=board_page.duration,
    long_day=board_page.long_day,
    change_text=board_page.change_text,
    KINDS=board_page.KINDS,
    CONDITIONS=board_page.CONDITIONS,
    SORTS=board_page.SORTS,
    LEVELS=board_page.LEVELS,
    shade=region_map.shade,
    state_of=live.state,
)
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_ASSETS = {
    path.name: (path.read_bytes(), _TYPES[path.suffix]) for path in Path(str(files("projections") / "static")).iterdir()
}

# The pages load nothing from elsewhere and run no inline script.
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


def routes(runtime: Runtime, hub: live.Hub) -> APIRouter:
    """Every route of the service."""
    router = APIRouter()

    @router.get("/static/{name}", include_in_schema=False)
    async def asset(name: str) -> Response:
        """Style, script and icon; read once per process."""
        if name not in _ASSETS:
            raise HTTPException(404, "Ce fichier n'existe pas.")
        content, media_type = _ASSETS[name]
        return Response(content, media_type=media_type, headers={"Cache-Control": "public, max-age=3600"})

    async def read_board() -> tuple[AsOf, list[Row]]:
        async with runtime.database.transaction() as tx:
            as_of = await seat_board.read_as_of(tx)
            return as_of, await seat_board.read_all(tx, as_of.now)

    @router.get("/", include_in_schema=False)
    async def home() -> Response:
        return RedirectResponse("/places", 307)

    @router.get("/places", include_in_schema=False)
    async def places(request: Request) -> Response:
        """The seat board; whole without JavaScript."""
        as_of, rows = await read_board()
        filters = Filters.read(request.query_params)
        page = _environment.get_template("board.html").render(
            **_board_context(as_of, rows, filters), **_frame(runtime, "places", as_of)
        )
        return HTMLResponse(page, headers=_PAGE_HEADERS)

    @router.get("/places/resume", include_in_schema=False)
    async def summary(request: Request) -> Response:
        """The parts of the board that depend on all its rows: totals, map, table, last changes."""
        as_of, rows = await read_board()
        page = _environment.get_template("summary.html").render(
            **_board_context(as_of, rows, Filters.read(request.query_params))
        )
        return HTMLResponse(page, headers=_PAGE_HEADERS)

    @router.get("/places/live", include_in_schema=False)
    async def stream(request: Request) -> Response:
        """Server-sent events: `board` with the changed cards, `reload` when the browser must start over.

        They follow `Last-Event-ID`, or `depuis`, the id that the page was rendered with.
        """
        return StreamingResponse(
            hub.events(request.headers.get("last-event-id") or request.query_params.get("depuis")),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    @router.get("/map.svg", include_in_schema=False)
    async def map_svg() -> Response:
        return Response(
            region_map.outlines_svg(),
            media_type="image/svg+xml",
            headers={"Cache-Control": "public, max-age=31536000, immutable"},
        )

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
        page = _environment.get_template("pipeline.html").render(health=health, **_frame(runtime, "pipeline", as_of))
        return HTMLResponse(page, headers=_PAGE_HEADERS)

    @router.get("/api/pipeline")
    async def pipeline_json() -> Response:
        """The same as JSON."""
        async with runtime.database.transaction() as tx:
            health = await pipeline.read(tx)
        return JSONResponse(_plain(health), headers={"Cache-Control": "no-store"})

    return router


def render_card(row: Row, as_of: AsOf) -> dict[str, Any]:
    """One changed programme for the live page: its card, and one line for screen readers."""
    card = _environment.get_template("card.html").render(row=row, now=as_of.now)
    said = f"{row['title']}, {row['commune']} : {board_page.count(row['countable_free_count'], 'place libre', 'places libres')}."
    return {"id": str(row["programme_id"]), "html": card, "say": said}


def _board_context(as_of: AsOf, rows: list[Row], filters: Filters) -> dict[str, Any]:
    found = board_page.board(rows, filters)
    return {
        "now": as_of.now,
        "filters": filters,
        "board": found,
        "commune_label": board_page.commune_label(filters.commune),
        "departments": reference.departments(),
        "epcis": _epcis_by_department(),
        "communes": _communes_with_programmes(rows),
        "outlines": region_map.outlines(),
        "map_address": f"/map.svg?v={region_map.outlines_version()}",
        "view_box": region_map.view_box(filters.territory),
        "labels": region_map.labels(found.territories),
        "epci_titles": {siren: epci.title for siren, epci in reference.epcis().items()},
        "fictitious": any(row["fictitious"] for row in rows),
    }


def _communes_with_programmes(rows: list[Row]) -> list[str]:
    """Suggestions for the commune: the towns of over 2,000 people, and those with a structure."""
    present = {row["commune_code"] for row in rows}
    return sorted(
        board_page.commune_label(c.code)
        for c in reference.communes().values()
        if c.population >= 2000 or c.code in present
    )


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


def _frame(runtime: Runtime, page: str, as_of: AsOf) -> dict[str, Any]:
    return {
        "page": page,
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
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    return (
        value.isoformat() if hasattr(value, "isoformat") else float(value) if hasattr(value, "as_tuple") else str(value)
    )
