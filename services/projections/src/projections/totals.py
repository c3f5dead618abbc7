"""Pages of totals: each is whole without JavaScript, moves when something was heard, and says the same as JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from common.pages import PARIS, count
from common.runtime import Runtime
from common.transaction import Transaction
from projections import cafe_season, calendar, live, platform_use, region_map, stage_market
from projections.as_of import AsOf
from projections.frame import event_stream, frame, pages, percent, plain
from territory import maps, reference


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
        "tints": {
            siren: (
                region_map.rate_shade(one.rate),
                f"{percent(one.rate)} du temps offert, {count(one.platform_count, 'plateau', 'plateaux')}",
            )
            for siren, one in use.by_epci.items()
        },
        "territory": territory,
        "period": chosen,
        "periods": platform_use.PERIODS,
        **maps.region(territory),
    }


async def _read_calendar(tx: Transaction, now: datetime, query: Mapping[str, str]) -> dict[str, Any]:
    asked = calendar.Asked.read(query)
    filters = {"territoire": asked.territory, "genre": asked.kind, "public": asked.audience}
    found = await calendar.read(tx, now, asked)
    return {
        "calendar": found,
        "tints": {siren: (region_map.session_shade(n), count(n, "séance")) for siren, n in found.by_epci.items()},
        "asked": asked,
        "filters": urlencode({name: value for name, value in filters.items() if value}),
        "now": now,
        **maps.region(asked.territory),
    }


async def _read_season(tx: Transaction, now: datetime, query: Mapping[str, str]) -> dict[str, Any]:
    asked = cafe_season.Asked.read(query)
    season = await cafe_season.read(tx, now, asked)
    filters = {"periode": asked.period, "territoire": asked.territory, "theme": asked.theme}
    return {
        "season": season,
        "asked": asked,
        "filters": urlencode({name: value for name, value in filters.items() if value}),
        "tints": {
            siren: (
                region_map.rate_shade(one.rate),
                f"{one.taken_count} places prises sur {one.capacity_count}, {count(one.cafe_count, 'café')}",
            )
            for siren, one in season.by_epci.items()
        },
        "now": now,
        **maps.region(asked.territory),
    }


@dataclass(frozen=True)
class TotalsPage:
    """A page of totals: where it is, what it reads for a query, the name of that and of its moving part's template."""

    path: str
    api_path: str
    template: str
    part: str
    subject: str
    read_as_of: Callable[[Transaction], Awaitable[AsOf]]
    read: Callable[[Transaction, datetime, Mapping[str, str]], Awaitable[dict[str, Any]]]


MARKET_PAGE = TotalsPage(
    "/marche", "/api/stage-market", "market", "marche", "market", stage_market.read_as_of, _read_market
)
USE_PAGE = TotalsPage("/usage-plateaux", "/api/platform-use", "use", "usage", "use", platform_use.read_as_of, _read_use)
CALENDAR_PAGE = TotalsPage(
    "/calendrier", "/api/calendar", "calendar", "calendrier", "calendar", calendar.read_as_of, _read_calendar
)
SEASON_PAGE = TotalsPage(
    "/saison-cafes", "/api/cafe-season", "season", "saison", "season", cafe_season.read_as_of, _read_season
)
PAGES = (MARKET_PAGE, USE_PAGE, CALENDAR_PAGE, SEASON_PAGE)


def routes(runtime: Runtime, page: TotalsPage, hub: live.Hub) -> APIRouter:
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
            **frame(runtime, page.path, as_of),
        }

    @router.get(page.path, include_in_schema=False)
    async def whole(request: Request) -> Response:
        """Whole without JavaScript."""
        return pages.page(f"{page.template}.html", **await read(request))

    @router.get(f"{page.path}/resume", include_in_schema=False)
    async def parts(request: Request) -> Response:
        """What moves in the page."""
        text = pages.text(f"{page.template}_parts.html", **await read(request))
        return HTMLResponse(f'<div data-part="{page.part}">{text}</div>', headers={"Cache-Control": "no-store"})

    @router.get(f"{page.path}/live", include_in_schema=False)
    async def stream(request: Request) -> Response:
        """Server-sent events: `board` with `moved` when the totals are to be asked for anew."""
        return event_stream(hub, request)

    @router.get(page.api_path)
    async def as_json(request: Request) -> Response:
        """The same as JSON, for the same query; people are counted from eleven up."""
        found = await read(request)
        as_of = found["as_of"]
        facts = {**asdict(found[page.subject]), "as_of": as_of.as_of, "lag_seconds": as_of.lag_seconds}
        return JSONResponse(plain(facts), headers={"Cache-Control": "no-store"})

    return router
