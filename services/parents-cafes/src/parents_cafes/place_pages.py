"""Venues, and who runs exchanges, as coordinators describe them."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from fastapi import Request
from fastapi.responses import Response

from common.commands import Sent, Words
from common.desk import Desk, Routes, done
from common.identity import Principal
from parents_cafes import season_http, venue_store
from parents_cafes.season_http import COORDINATORS, coordinator_of
from territory.places import find

WORDS = Words(
    {
        "title": "nom",
        "kind": "genre",
        "commune_code": "commune",
        "address": "adresse",
        "capacity_count": "places assises",
        "email": "adresse mail",
    }
)


class PlaceDesk(Desk):
    """The routes of venues and of who runs exchanges."""

    def forms(self) -> Routes:
        """What a coordinator may send, and what is said when it is done."""
        return {
            "/lieux/lieu/{venue_id}": season_http.put_venue.form(
                read=_venue_typed, then=_saved, refused=self.described, words=WORDS
            ),
            "/lieux/animation/{facilitator_id}": season_http.put_facilitator.form(
                read=_facilitator_typed, then=_saved, refused=self.described, words=WORDS
            ),
        }

    async def places(self, request: Request) -> Response:
        """Venues, and who runs exchanges."""
        return await self.described(request, self.who(request, *COORDINATORS))

    async def described(
        self,
        request: Request,
        principal: Principal,
        *,
        venue_id: UUID | None = None,
        facilitator_id: UUID | None = None,
        sent: Sent | None = None,
    ) -> Response:
        """The page, or the same after the form of a venue or a person was refused, with what was typed of it."""
        async with self.database.transaction() as tx:
            venues, facilitators = await venue_store.venues(tx), await venue_store.facilitators(tx)
        return self.page(
            request,
            "places.html",
            principal,
            sent=sent,
            asked=venue_id or facilitator_id,
            venues=venues,
            facilitators=facilitators,
            new_venue_id=_new(venue_id, {row.venue_id for row in venues}),
            new_facilitator_id=_new(facilitator_id, {row.facilitator_id for row in facilitators}),
            who=coordinator_of(principal),
        )


def _saved(_: Sent) -> Response:
    return done("/lieux", "Enregistré.")


def _new(asked: UUID | None, known: set[UUID]) -> UUID:
    """The id of who or what may be added: that of a form that was refused, sent again, is still the same one."""
    return uuid4() if asked is None or asked in known else asked


def _venue_typed(sent: Sent) -> dict[str, Any]:
    typed = sent.typed
    return {
        "title": typed.get("title", ""),
        "kind": typed.get("genre", ""),
        "commune_code": find(typed.get("commune", "")),
        "address": typed.get("rue", ""),
        "capacity_count": typed.get("places", ""),
        "accessible": typed.get("accessible") == "1",
    }


def _facilitator_typed(sent: Sent) -> dict[str, Any]:
    return {"title": sent.typed.get("title", ""), "email": sent.typed.get("adresse", "")}
