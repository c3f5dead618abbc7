"""What the pages share: who is logged in, the form that they sent, the frame around what they see.

A form ends in the same handler as the API; its hidden key makes a second click harmless.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from common.app import Runtime
from common.http import Answer, execute
from common.identity import Principal, Role
from common.pages import Pages
from common.transaction import Transaction
from remediation_seats.messages import DeclineReason

KINDS = {
    "ECOLE_DE_PRODUCTION": "École de production",
    "MICRO_LYCEE": "Micro-lycée",
    "E2C": "École de la 2e chance",
    "EPIDE": "EPIDE",
    "MISSION_LOCALE": "Mission locale",
    "CFA": "CFA",
}
LEVELS = {
    "NO_DIPLOMA": "Sans diplôme",
    "BREVET": "Brevet",
    "CAP": "CAP",
    "BACCALAUREAT": "Baccalauréat",
}
DECLINES = {
    DeclineReason.CONDITIONS_NOT_MET: "Conditions d’entrée non remplies",
    DeclineReason.SEAT_TAKEN: "Place déjà prise",
    DeclineReason.PROGRAMME_POSTPONED: "Entrée reportée",
    DeclineReason.OTHER: "Autre raison",
}
STATES = {
    "held": "En attente de réponse",
    "confirmed": "Confirmée",
    "admitted": "Jeune accueilli",
    "no_show": "Jeune non venu",
    "declined": "Déclinée",
    "expired": "Expirée sans réponse",
    "withdrawn": "Rendue",
    "released": "Rendue : confirmé ailleurs",
}
RADII_KM = (10, 20, 30, 50, 100)

pages = Pages(
    "remediation_seats",
    {"KINDS": KINDS, "LEVELS": LEVELS, "DECLINES": DECLINES, "STATES": STATES, "RADII_KM": RADII_KM},
)

Form = Mapping[str, str]


class Desk:
    """Pages over one runtime; a subclass for each kind of person."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.database = runtime.database
        self.identity = runtime.identity

    # -- who, and with what form

    def who(self, request: Request, role: Role) -> Principal | Response:
        """The person logged in, who must have the role; or the way to the login, and back here."""
        principal = self.identity.session(request)
        if principal is None:
            back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/login?{urlencode({'next': back})}", 303)
        return principal.require(role)

    async def posted(self, request: Request, role: Role) -> tuple[Principal, Form]:
        """The person who sent a form of ours, who must have the role, and its fields."""
        principal, form = await self.identity.checked_form(request)
        return principal.require(role), form

    async def execute(
        self, request: Request, principal: Principal, form: Form, command: Callable[[Transaction], Awaitable[Answer]]
    ) -> tuple[int, Any]:
        """Runs what a form asks for, once for its key: status and content, as of the API."""
        facts = sorted((name, value) for name, value in form.items() if name != "csrf")
        asked = f"{request.method} {request.url.path}\n{facts}"
        status, content, _ = await execute(self.database, principal, form.get("key") or None, asked, command)
        return status, content

    def page(
        self, request: Request, template: str, principal: Principal | None, status: int = 200, **facts: Any
    ) -> Response:
        """A page in its frame."""
        return pages.page(
            template,
            status,
            path=request.url.path,
            navigation=self.runtime.settings.navigation,
            principal=principal,
            key=lambda: uuid4().hex,
            **facts,
        )
