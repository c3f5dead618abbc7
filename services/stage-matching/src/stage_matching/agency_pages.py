"""The agency's page of organisations: their label, and their suspension, with what that breaks shown first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from fastapi import Request
from fastapi.responses import Response

from common.commands import Sent, Words
from common.desk import Desk, Routes, done
from common.identity import Principal
from stage_matching import hosts, http

_SHOWN_COUNT = 50


class AgencyDesk(Desk):
    """The routes of the agency."""

    def forms(self) -> Routes:
        """What the agency may decide of an organisation, and what is said when it is done."""
        refused, words = self.listed, Words({"reason": "raison"})
        return {
            "/organismes/{host_id}/suspension": http.suspend_host.form(
                then=_told("Offres suspendues : chaque personne concernée est prévenue."), refused=refused
            ),
            "/organismes/{host_id}/reprise": http.act_on_host.form(
                then=_told("Offres proposées à nouveau."), refused=refused, action="reinstatement"
            ),
            "/organismes/{host_id}/label": http.act_on_host.form(
                then=_told("Label attribué."), refused=refused, action="label"
            ),
            "/organismes/{host_id}/retrait-label": http.withdraw_label.form(
                then=_told("Label retiré : l’organisme est prévenu."), refused=refused, words=words
            ),
        }

    async def hosts(self, request: Request) -> Response:
        """Organisations by name, or those that are looked for."""
        return await self.listed(request, self.who(request, "agency"))

    async def listed(
        self, request: Request, principal: Principal, host_id: UUID | None = None, *, sent: Sent | None = None
    ) -> Response:
        """The page, or the same after a form that was refused."""
        wanted = request.query_params.get("q", "").replace("\x00", "")[:200]
        async with self.database.transaction() as tx:
            found: list[Any] = await hosts.listed(tx, wanted, _SHOWN_COUNT + 1)
        return self.page(
            request,
            "hosts.html",
            principal,
            sent=sent,
            wanted=wanted,
            rows=found[:_SHOWN_COUNT],
            more=len(found) > _SHOWN_COUNT,
        )


def _told(said: str) -> Callable[[Sent], Response]:
    return lambda _: done("/organismes", said)
