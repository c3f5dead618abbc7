"""Every page of the service, and which desk serves it. Whole without JavaScript."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from common.desk import Desk, Routes, page_routes
from common.runtime import Runtime
from parents_cafes.family_pages import FamilyDesk
from parents_cafes.place_pages import PlaceDesk
from parents_cafes.season_http import COORDINATORS
from parents_cafes.season_pages import SeasonDesk
from parents_cafes.words import pages
from territory import maps
from territory.places import suggestions


def routes(runtime: Runtime) -> APIRouter:
    """The pages, their assets, and the login."""
    hall, family = Hall(runtime, pages), FamilyDesk(runtime, pages)
    season, places = SeasonDesk(runtime, pages), PlaceDesk(runtime, pages)
    shown: Routes = {
        "/": hall.home,
        "/map.svg": maps.outlines_svg,
        "/communes": suggestions,
        "/cafes": family.find,
        "/pres-de-moi": family.near_me,
        "/cafes/{cafe_id}": family.cafe,
        "/confirmer/{token}": family.verify,
        "/mon-cafe/{token}": family.mine,
        "/mon-cafe/{token}/agenda.ics": family.calendar,
        "/mon-cafe/{token}/mes-donnees.json": family.data,
        "/saison": season.season,
        "/saison/cafes/nouveau": season.edit,
        "/saison/cafes/{cafe_id}": season.edit,
        "/saison/cafes/{cafe_id}/liste": season.listed,
        "/lieux": places.places,
        "/animation/{token}": season.facilitator,
    }
    return page_routes(runtime, pages, shown=shown, sent={**family.forms(), **season.forms(), **places.forms()})


class Hall(Desk):
    """The way in."""

    async def home(self, request: Request) -> Response:
        """A coordinator's own work; a stranger sees where the next café is."""
        principal = self.identity.session(request)
        works = principal is not None and not principal.roles.isdisjoint(COORDINATORS)
        return RedirectResponse("/saison" if works else "/cafes", 303)
