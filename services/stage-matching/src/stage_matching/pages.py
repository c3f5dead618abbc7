"""Every page of the service, and which desk serves it. Whole without JavaScript."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from common.desk import Desk, Routes, page_routes
from common.runtime import Runtime
from stage_matching.agency_pages import AgencyDesk
from stage_matching.agreement_pages import AgreementDesk
from stage_matching.campaign_pages import CampaignDesk
from stage_matching.claim_pages import ClaimDesk
from stage_matching.host_pages import HostDesk
from stage_matching.seeker_pages import SeekerDesk
from stage_matching.words import pages
from territory import maps
from territory.places import suggestions


def routes(runtime: Runtime) -> APIRouter:
    """The pages, their assets, and the login."""
    hall, seeker = Hall(runtime, pages), SeekerDesk(runtime, pages)
    host, leader = HostDesk(runtime, pages), CampaignDesk(runtime, pages)
    claim, agency = ClaimDesk(runtime, pages), AgencyDesk(runtime, pages)
    signing = AgreementDesk(runtime, pages)
    shown: Routes = {
        "/": hall.home,
        "/map.svg": maps.outlines_svg,
        "/communes": suggestions,
        "/stages": seeker.find,
        "/mes-candidatures": seeker.applications,
        "/convention/{token}": seeker.guardian,
        "/convention/{token}/convention.pdf": seeker.guardian_print,
        "/conventions": signing.agreements,
        "/conventions/{agreement_id}": signing.agreement,
        "/conventions/{agreement_id}/convention.pdf": signing.printed,
        "/mes-offres": host.offers,
        "/mes-offres/nouvelle": host.edit,
        "/mes-offres/{offer_id}": host.edit,
        "/organismes": agency.hosts,
        "/reprendre/{link}": claim.offer,
        "/reprises": claim.list,
        "/reprises/{link}": claim.claim,
        "/campagnes": leader.campaigns,
        "/campagnes/modele.csv": leader.table_template,
        "/campagnes/{campaign_id}": leader.campaign,
        "/campagnes/{campaign_id}/avancement": leader.progress,
        "/campagnes/{campaign_id}/listes": leader.lists,
        "/campagnes/{campaign_id}/eleves/{request_id}": leader.pupil,
    }
    desks = (seeker, host, leader, claim, agency, signing)
    sent: Routes = {path: form for desk in desks for path, form in desk.forms().items()}
    return page_routes(runtime, pages, shown=shown, sent=sent)


class Hall(Desk):
    """The way in."""

    async def home(self, request: Request) -> Response:
        """Where a person's own work is; a stranger is told what there is."""
        principal = self.identity.session(request)
        if principal is None:
            return self.page(request, "welcome.html", None)
        own = {
            "host": "/mes-offres",
            "school": "/campagnes",
            "agency": "/campagnes",
            "seeker": "/mes-candidatures",
            "prescriber": "/conventions",
        }
        return RedirectResponse(next((path for role, path in own.items() if role in principal.roles), "/stages"), 303)
