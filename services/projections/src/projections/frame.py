"""What the pages of the projections share: their words, their frame with as-of time and lag, their streams."""

from __future__ import annotations

from datetime import date
from typing import Any

from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from common.pages import Pages, day, grouped
from common.runtime import Runtime
from projections import board_page, cafe_season, calendar, live, region_map
from projections.as_of import AsOf
from territory import places, reference


def percent(share: float | None) -> str:
    """ "12 %", or a dash when there is nothing to divide by."""
    return "–" if share is None else f"{100 * share:.0f}\u202f%"


def hours(minutes: int) -> str:
    """ "1 240 h"."""
    return f"{grouped(round(minutes / 60))}\u202fh"


def month_words(month: date) -> str:
    """ "février 2027"."""
    return f"{day(month).split(' ', 1)[1]} {month.year}"


pages = Pages(
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
        "find_place": places.find,
        "percent": percent,
        "hours": hours,
        "CALENDAR_KINDS": calendar.KINDS,
        "AUDIENCES": calendar.AUDIENCES,
        "SEASON_THEMES": cafe_season.THEMES,
        "SEASON_STATUSES": cafe_season.STATUSES,
        "period_words": cafe_season.period_words,
        "month_words": month_words,
    },
    shared=("territory",),
)


def frame(runtime: Runtime, path: str, as_of: AsOf) -> dict[str, Any]:
    """What stands around every page."""
    return {
        "path": path,
        "navigation": runtime.settings.navigation,
        "as_of": as_of,
        "state": live.state(as_of.lag_seconds),
        "development": runtime.settings.development,
    }


def event_stream(hub: live.Hub, request: Request) -> Response:
    """Server-sent events for one browser, from its last id or the one that its page was rendered with."""
    return StreamingResponse(
        hub.events(request.headers.get("last-event-id") or request.query_params.get("depuis")),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    return (
        value.isoformat() if hasattr(value, "isoformat") else float(value) if hasattr(value, "as_tuple") else str(value)
    )
