"""Every page of the service, and which desk serves it. Whole without JavaScript."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from common.desk import Desk, Routes, page_routes
from common.runtime import Runtime
from remediation_seats.partner_pages import PartnerDesk
from remediation_seats.prescriber_pages import PrescriberDesk
from remediation_seats.words import pages
from territory import maps
from territory.places import suggestions


def routes(runtime: Runtime) -> APIRouter:
    """The pages, their assets, and the login."""
    hall, prescriber, partner = Hall(runtime, pages), PrescriberDesk(runtime, pages), PartnerDesk(runtime, pages)
    shown: Routes = {
        "/": hall.home,
        "/map.svg": maps.outlines_svg,
        "/communes": suggestions,
        "/trouver": prescriber.find,
        "/mes-retenues": prescriber.my_holds,
        "/mes-places": partner.my_places,
        "/mes-places/tableau": partner.table,
        "/presence/{token}": partner.presence,
        "/mes-places/modele.csv": partner.table_template,
    }
    return page_routes(runtime, pages, shown=shown, sent={**prescriber.forms(), **partner.forms()})


class Hall(Desk):
    """The way in."""

    async def home(self, request: Request) -> Response:
        """Where a person's own work is; a stranger is told what there is."""
        principal = self.identity.session(request)
        if principal is None:
            return self.page(request, "welcome.html", None)
        return RedirectResponse("/mes-places" if "partner" in principal.roles else "/trouver", 303)
