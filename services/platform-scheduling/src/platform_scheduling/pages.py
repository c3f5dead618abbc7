"""Every page of the service, and which desk serves it. Whole without JavaScript."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from common.desk import Desk, Routes, page_routes
from common.runtime import Runtime
from platform_scheduling.owner_pages import OwnerDesk
from platform_scheduling.requester_pages import RequesterDesk
from platform_scheduling.week_pages import WeekDesk
from platform_scheduling.words import pages
from territory import maps
from territory.places import suggestions


def routes(runtime: Runtime) -> APIRouter:
    """The pages, their assets, and the login."""
    hall, requester, owner = Hall(runtime, pages), RequesterDesk(runtime, pages), OwnerDesk(runtime, pages)
    week = WeekDesk(runtime, pages)
    shown: Routes = {
        "/": hall.home,
        "/map.svg": maps.outlines_svg,
        "/communes": suggestions,
        "/plateaux": requester.find,
        "/plateaux/{platform_id}": requester.platform,
        "/mes-reservations": requester.bookings,
        "/mes-plateaux": owner.mine,
        "/mes-plateaux/nouveau": owner.edit,
        "/mes-plateaux/{platform_id}": owner.edit,
        "/mes-plateaux/{platform_id}/semaine": week.week,
    }
    sent: Routes = {**requester.forms(), **owner.forms(), **week.forms()}
    return page_routes(runtime, pages, shown=shown, sent=sent)


class Hall(Desk):
    """The way in."""

    async def home(self, request: Request) -> Response:
        """Where a person's own work is; a stranger may search."""
        principal = self.identity.session(request)
        is_owner = principal is not None and "owner" in principal.roles
        return RedirectResponse("/mes-plateaux" if is_owner else "/plateaux", 303)
