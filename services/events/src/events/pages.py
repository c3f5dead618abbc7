"""Every page of the service, and which desk serves it. Whole without JavaScript, but for reading codes without a network."""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from common.desk import Desk, Routes, page_routes
from common.runtime import Runtime
from events.door_pages import DoorDesk
from events.http import ORGANISERS
from events.lending_pages import LendingDesk
from events.organiser_pages import OrganiserDesk
from events.public_pages import PublicDesk
from events.school_pages import SchoolDesk
from events.words import pages
from territory import maps
from territory.places import suggestions


def routes(runtime: Runtime) -> APIRouter:
    """The pages, their assets, and the login."""
    hall, public, organiser = Hall(runtime, pages), PublicDesk(runtime, pages), OrganiserDesk(runtime, pages)
    door = DoorDesk(runtime, pages)
    school, lending = SchoolDesk(runtime, pages), LendingDesk(runtime, pages)
    shown: Routes = {
        "/": hall.home,
        "/map.svg": maps.outlines_svg,
        "/communes": suggestions,
        "/pointage-sw.js": hall.worker,
        "/evenements": public.find,
        "/programme": public.programme,
        "/evenements/{event_id}": public.event,
        "/inscription/{token}": public.party,
        "/inscription/{token}/agenda.ics": public.calendar,
        "/inscription/{token}/mes-donnees.json": public.data,
        "/mes-groupes": school.groups,
        "/mes-evenements": organiser.mine,
        "/mes-evenements/nouveau": organiser.edit,
        "/mes-evenements/{event_id}": organiser.edit,
        "/seances/{session_id}": organiser.session,
        "/seances/{session_id}/inscrits.csv": organiser.table,
        "/seances/{session_id}/pointage": door.door,
        "/kits": lending.kits,
        "/ambassadeurs": lending.ambassadors,
        "/ambassadeur/{token}": lending.asked,
    }
    sent: Routes = {
        **public.forms(),
        **school.forms(),
        **organiser.forms(),
        **door.forms(),
        **lending.forms(),
    }
    return page_routes(runtime, pages, shown=shown, sent=sent)


class Hall(Desk):
    """The way in."""

    async def home(self, request: Request) -> Response:
        """Where a person's own work is; a stranger sees what is on."""
        principal = self.identity.session(request)
        organises = principal is not None and not principal.roles.isdisjoint(ORGANISERS)
        is_school = principal is not None and "school" in principal.roles
        return RedirectResponse("/mes-groupes" if is_school else "/mes-evenements" if organises else "/evenements", 303)

    async def worker(self, request: Request) -> Response:
        """The service worker of the door, at the root so that it may keep the pages of sessions."""
        content = (files("events") / "static" / "pointage-sw.js").read_bytes()
        return Response(content, media_type="text/javascript", headers={"Cache-Control": "no-cache"})
