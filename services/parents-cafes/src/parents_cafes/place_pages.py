"""Venues, and who runs exchanges, as coordinators describe them."""

from __future__ import annotations

from uuid import UUID

from fastapi import HTTPException, Request
from fastapi.responses import Response
from pydantic import ValidationError

from common.commands import Form
from common.desk import Desk, done
from common.http import Answer, answer
from common.identity import Principal
from common.spreadsheet import refused_line
from common.transaction import Transaction
from parents_cafes import season_handlers, venue_store
from parents_cafes.bodies import FacilitatorBody, VenueBody
from parents_cafes.season_http import COORDINATORS, coordinator_of
from territory import reference

FIELDS = {
    "title": "nom",
    "kind": "genre",
    "commune_code": "commune",
    "address": "adresse",
    "capacity_count": "places assises",
    "email": "adresse mail",
}


class PlaceDesk(Desk):
    """The routes of venues and of who runs exchanges."""

    async def places(self, request: Request) -> Response:
        """Venues, and who runs exchanges."""
        principal = self.who(request, *COORDINATORS)
        return await self._places(request, principal, said=request.query_params.get("fait", ""))

    async def _places(
        self,
        request: Request,
        principal: Principal,
        *,
        status: int = 200,
        said: str = "",
        problem: str = "",
        typed: Form | None = None,
    ) -> Response:
        async with self.database.transaction() as tx:
            venues, facilitators = await venue_store.venues(tx), await venue_store.facilitators(tx)
        return self.page(
            request,
            "places.html",
            principal,
            status,
            venues=venues,
            facilitators=facilitators,
            who=coordinator_of(principal),
            suggestions=reference.suggestions(),
            typed=typed or {},
            said=said,
            problem=problem,
        )

    async def save_place(self, request: Request, kind: str, key: UUID) -> Response:
        """Describes a venue, or who runs exchanges."""
        principal, form = await self.posted(request, *COORDINATORS)
        if kind not in ("lieu", "animation"):
            raise HTTPException(404, "Cette page n'existe pas.")
        who = coordinator_of(principal)
        try:
            venue = _venue_body(form) if kind == "lieu" else None
            person = (
                FacilitatorBody.model_validate({"title": form.get("title", ""), "email": form.get("adresse", "")})
                if kind == "animation"
                else None
            )
        except ValidationError as error:
            problem = refused_line(error, FIELDS, {}).detail
            return await self._places(request, principal, status=422, problem=problem, typed=form)

        async def run(tx: Transaction) -> Answer:
            if venue is not None:
                return answer(await season_handlers.describe_venue(tx, who, venue.venue(key)), {})
            assert person is not None
            return answer(await season_handlers.describe_facilitator(tx, who, key, person.title, person.email), {})

        status, content = await self.execute(request, principal, form, run)
        if status >= 400:
            return await self._places(request, principal, status=status, problem=content["detail"], typed=form)
        return done("/lieux", "Enregistré.")


def _venue_body(form: Form) -> VenueBody:
    return VenueBody.model_validate(
        {
            "title": form.get("title", ""),
            "kind": form.get("genre", ""),
            "commune_code": reference.commune_code(form.get("commune", "")),
            "address": form.get("rue", ""),
            "capacity_count": form.get("places", ""),
            "accessible": form.get("accessible") == "1",
        }
    )
