"""What the pages of a person at work share: who is logged in, the form that they sent, the frame around what they see.

A form ends in the same handler as the API; its hidden key makes a second click harmless.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from common.http import Answer, execute
from common.identity import Principal, Role
from common.pages import Pages
from common.runtime import Runtime
from common.transaction import Transaction

Form = Mapping[str, str]
# Path to what answers it.
Routes = Mapping[str, Callable[..., Any]]


class Desk:
    """Pages over one runtime; a subclass for each kind of person."""

    def __init__(self, runtime: Runtime, pages: Pages) -> None:
        self.runtime = runtime
        self.database = runtime.database
        self.identity = runtime.identity
        self._pages = pages

    # -- who, and with what form

    def who(self, request: Request, *roles: Role) -> Principal | Response:
        """The person logged in, who must have one of the roles; or the way to the login, and back here."""
        principal = self.identity.session(request)
        if principal is None:
            back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/login?{urlencode({'next': back})}", 303)
        return principal.require(*roles)

    async def posted(self, request: Request, *roles: Role) -> tuple[Principal, Form]:
        """The person who sent a form of ours, who must have one of the roles, and its fields."""
        principal, form = await self.identity.checked_form(request)
        return principal.require(*roles), form

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
        return self._pages.page(
            template,
            status,
            path=request.url.path,
            navigation=self.runtime.settings.navigation,
            principal=principal,
            key=lambda: uuid4().hex,
            **facts,
        )


def page_routes(runtime: Runtime, pages: Pages, *, shown: Routes, sent: Routes) -> APIRouter:
    """The pages that are shown and the forms that are sent, with the pages' assets and the login."""
    router = APIRouter(include_in_schema=False)
    router.include_router(pages.assets())
    router.include_router(runtime.identity.router())
    for method, table in (("GET", shown), ("POST", sent)):
        for path, endpoint in table.items():
            router.add_api_route(path, endpoint, methods=[method])
    return router


def done(path: str, said: str, anchor: str = "") -> Response:
    """Back to a page, which says what was done."""
    joint = "&" if "?" in path else "?"
    return RedirectResponse(f"{path}{joint}{urlencode({'fait': said})}{f'#{anchor}' if anchor else ''}", 303)
