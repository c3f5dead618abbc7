"""What the pages of a person at work share: who is logged in, the frame around what they see, where a form leads.

A form is the second door of a command; its hidden key makes a second click harmless.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from common.commands import Sent
from common.identity import Principal, unauthorized
from common.pages import Pages
from common.runtime import Runtime

# Path to what answers it.
Routes = Mapping[str, Callable[..., Any]]


class Desk:
    """Pages over one runtime; a subclass for each kind of person."""

    def __init__(self, runtime: Runtime, pages: Pages) -> None:
        self.runtime = runtime
        self.database = runtime.database
        self.identity = runtime.identity
        self._pages = pages

    def who(self, request: Request, *roles: str) -> Principal:
        """The person logged in, who must have one of the roles; nobody is sent to the login, and back here."""
        principal = self.identity.session(request)
        if principal is None:
            raise unauthorized("Connectez-vous pour voir cette page.")
        return principal.require(*roles)

    def page(
        self,
        request: Request,
        template: str,
        principal: Principal | None,
        status: int = 200,
        *,
        sent: Sent | None = None,
        **facts: Any,
    ) -> Response:
        """A page in its frame: what was done just now, or what was `sent` and why it was refused, or whether to go on with it."""
        served = sent if sent and sent.has_served else None
        broken = sent if sent and sent.would_break else None
        overlapping = sent if sent and sent.overlaps else None
        told = {
            "said": request.query_params.get("fait", ""),
            "problem": sent.problem if sent and not (served or broken or overlapping) else "",
            "typed": sent.typed if sent else {},
            "served": served,
            "broken": broken,
            "overlapping": overlapping,
            "came_from": _came_from(request),
            "address": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        }
        return self._pages.page(
            template,
            sent.status if sent else status,
            path=request.url.path,
            navigation=self.runtime.settings.navigation,
            principal=principal,
            key=lambda: uuid4().hex,
            **told | facts,
        )


def _came_from(request: Request) -> str:
    """The page of ours that a form was on, for who leaves all as it is; its own address often answers nobody who follows a link."""
    page = urlsplit(request.headers.get("referer", ""))
    ours = page.netloc == request.url.netloc and page.path.startswith("/") and not page.path.startswith("//")
    return (page.path + (f"?{page.query}" if page.query else "")) if ours else "/"


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


def table_file(name: str, text: str) -> Response:
    """A table to open in a spreadsheet, which its first character tells that it is UTF-8."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(f"\ufeff{text}", media_type="text/csv; charset=utf-8", headers=headers)
