"""The edge of HTTP: RFC 9457 problems, idempotent commands, probes, one trace from the request on."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from opentelemetry import trace
from pydantic import BaseModel
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common import failpoints
from common.bodies import choices_of, problem_words
from common.failures import Refusal, is_unavailable, until_it_stands
from common.identity import Principal
from common.pages import Pages
from common.settings import Settings
from common.telemetry import Metrics, span
from common.transaction import Database, MessageTooLarge, Transaction

_log = logging.getLogger(__name__)
_IDEMPOTENCY_KEY_MAX = 200
KEY_REUSED = "idempotency_key_reused"
# An id has 36 characters, a signed link more than a hundred.
_SEGMENT_LENGTH_SHOWN = 64
_COME_BACK = {"Retry-After": "2"}
_TITLES = {
    400: "Requête illisible",
    401: "Identification nécessaire",
    403: "Accès refusé",
    404: "Introuvable",
    405: "Méthode non permise",
    409: "Refusé par une règle",
    413: "Requête trop volumineuse",
    415: "Format non pris en charge",
    422: "Données incorrectes",
    429: "Trop de requêtes",
    500: "Erreur interne",
    503: "Service momentanément indisponible",
}

Answer = tuple[int, Any]


def problem(
    status: int, detail: str, *, reason: str | None = None, headers: dict[str, str] | None = None, **members: Any
) -> JSONResponse:
    """An RFC 9457 problem; `reason` is the closed code that callers branch on, `detail` says what to do.

    Whoever is told 503 is also told when to come back.
    """
    if status == 503:
        headers = _COME_BACK | (headers or {})
    content = {
        "type": f"urn:estuaire:problem:{quote(reason)}" if reason else "about:blank",
        "title": _TITLES.get(status, "Erreur"),
        "status": status,
        "detail": detail,
        **({"reason": reason} if reason else {}),
        **members,
    }
    return JSONResponse(content, status, headers, media_type="application/problem+json")


_error_pages = Pages("common", {})


def failure(
    settings: Settings,
    scope: Scope,
    status: int,
    detail: str,
    *,
    reason: str | None = None,
    headers: dict[str, str] | None = None,
    again: str | None = None,
    **members: Any,
) -> Response:
    """A problem for software, a page that says the same for a browser; who is not logged in is sent to the login.

    Where somebody tries `again` what was away is the same address, unless it is given; a form is sent again from its page.
    """
    asked = Headers(scope=scope)
    if "text/html" not in asked.get("accept", ""):
        return problem(status, detail, reason=reason, headers=headers, **members)
    path = quote(scope["path"]) + (f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else "")
    # Where a link may lead back to; the address of a form answers nobody who follows one.
    back = path if scope["method"] == "GET" else ""
    if status == 401:
        return RedirectResponse(f"/login?next={quote(back or '/')}", 303)
    page = _error_pages.page(
        "error.html",
        status,
        heading=_TITLES.get(status, "Erreur"),
        detail=detail,
        again=(again or back) if status == 503 else None,
        path=path,
        navigation=settings.navigation,
    )
    page.headers.update(headers or {})
    return page


def tagged(request: Request, content: bytes, media_type: str, headers: dict[str, str]) -> Response:
    """Content with its ETag, or 304 for who has it already."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:24]}"'
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers={"ETag": tag, **headers})
    return Response(content, media_type=media_type, headers={"ETag": tag, **headers})


def database_of(request: Request) -> Database:
    """The database of the service that answers."""
    database: Database = request.app.state.runtime.database
    return database


def answer(refusal: Refusal | None, content: Any, *, status: int = 200) -> Answer:
    """The content with its status, or a refusal with the status of its reason."""
    return (status, content) if refusal is None else (status_of(refusal.reason), refusal)


def status_of(reason: str) -> int:
    """What is not there is 404, what is somebody else's (`not_yours`, `not_your_…`) 403, what a rule refuses 409."""
    if reason == "not_found":
        return 404
    return 403 if reason.startswith("not_your") else 409


async def run_command(
    request: Request,
    principal: Principal,
    body: BaseModel | Mapping[str, Any] | str | None,
    command: Callable[[Transaction], Awaitable[Answer]],
    accepted: str | None = None,
) -> Response:
    """Runs a command of an API and answers in JSON; its `Idempotency-Key`, if any, is a header."""
    asked: Any = body.model_dump(mode="json") if isinstance(body, BaseModel) else body
    if accepted is not None:
        asked = [asked, accepted]
    key = request.headers.get("idempotency-key")
    status, content, headers = await run_once(request, principal, key, asked, command, accepted)
    if status >= 400:
        facts = dict(content)
        return problem(status, facts.pop("detail"), reason=facts.pop("reason"), headers=headers, **facts)
    return JSONResponse(content, status, headers)


async def run_once(
    request: Request,
    principal: Principal,
    key: str | None,
    asked: Any,
    command: Callable[[Transaction], Awaitable[Answer]],
    accepted: str | None = None,
) -> tuple[int, Any, dict[str, str]]:
    """Runs a command of an API or a form, once for its key: status, content as JSON, headers.

    `accepted` are the broken commitments that its caller was shown. 429 with Retry-After for a caller who sends more than its budget.
    """
    if wait := request.app.state.runtime.budget.seconds_to_wait(principal.subject):
        detail = f"Trop de demandes : réessayez dans {wait} s, ou envoyez plusieurs déclarations à la fois."
        return 429, {"reason": "too_many_requests", "detail": detail}, {"Retry-After": str(wait)}
    digest = f"{request.method} {request.url.path}\n{json.dumps(asked, sort_keys=True, default=str)}"

    async def accepting(tx: Transaction) -> Answer:
        tx.accepted = accepted
        return await command(tx)

    status, content, repeated = await execute(database_of(request), principal, key, digest, accepting)
    return status, content, {"Idempotent-Replay": "true"} if repeated else {}


async def execute(
    database: Database,
    principal: Principal,
    key: str | None,
    asked: str,
    command: Callable[[Transaction], Awaitable[Answer]],
) -> tuple[int, Any, bool]:
    """Runs a command in one transaction: (status, content as JSON, whether it was answered before).

    A refusal keeps what settling wrote; its content has `reason` and `detail`. With a key, the answer is stored in the
    same transaction: a repeated request gets the same answer and changes nothing; the same key with something else
    asked is refused, with the `answered_status` of what was asked first.
    """
    if key is not None and not 1 <= len(key) <= _IDEMPOTENCY_KEY_MAX:
        detail = f"Idempotency-Key : de 1 à {_IDEMPOTENCY_KEY_MAX} caractères."
        return 422, {"reason": "idempotency_key_length", "detail": detail}, False
    digest = hashlib.sha256(asked.encode()).hexdigest()

    async def attempt() -> tuple[int, Any, bool]:
        async with database.transaction(correlation_id=_correlation_id()) as tx:
            if key is not None:
                # Two requests with one key wait for each other here, by the primary key.
                fresh = await tx.execute(
                    """INSERT INTO idempotency_key (caller, key, request_sha256, status) VALUES (:caller, :key, :digest, 0)
                       ON CONFLICT DO NOTHING""",
                    caller=principal.subject,
                    key=key,
                    digest=digest,
                )
                if not fresh:
                    row = await tx.fetch_one(
                        "SELECT request_sha256, status, answer FROM idempotency_key WHERE caller = :caller AND key = :key",
                        caller=principal.subject,
                        key=key,
                    )
                    assert row is not None
                    if row.request_sha256 != digest:
                        detail = "Cette Idempotency-Key a déjà servi à une autre demande : envoyez celle-ci avec une nouvelle clé."
                        return 422, {"reason": KEY_REUSED, "detail": detail, "answered_status": row.status}, False
                    return row.status, row.answer, True
            status, content = await command(tx)
            content = _refused(content) if isinstance(content, Refusal) else _jsonable(content)
            if key is not None:
                await tx.execute(
                    "UPDATE idempotency_key SET status = :status, answer = CAST(:answer AS jsonb) WHERE caller = :caller AND key = :key",
                    status=status,
                    answer=json.dumps(content),
                    caller=principal.subject,
                    key=key,
                )
            if failpoints.ARMED:
                await failpoints.reach("http.before_commit")
        if failpoints.ARMED:
            await failpoints.reach("http.after_commit")
        return status, content, False

    try:
        return await until_it_stands(attempt)
    except MessageTooLarge as large:
        return 422, _refused(large.refusal), False


async def prune_idempotency_keys(database: Database, days: int) -> None:
    """Forgets answers older than this, a lot at a time; runs until cancelled."""
    await database.prune(
        """DELETE FROM idempotency_key WHERE (caller, key) IN (
               SELECT caller, key FROM idempotency_key WHERE created_at < clock_timestamp() - make_interval(days => :days) LIMIT :limit)""",
        days=days,
    )


def _refused(refusal: Refusal) -> dict[str, Any]:
    return {"reason": refusal.reason, "detail": refusal.detail, **_jsonable(refusal.facts)}


def _jsonable(content: Any) -> Any:
    return json.loads(json.dumps(content, default=_text))


def _text(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _correlation_id() -> UUID:
    """The trace id is the correlation id: one identity from the request to the last consumer."""
    context = trace.get_current_span().get_span_context()
    return UUID(int=context.trace_id) if context.is_valid else uuid4()


def _without_secrets(path: str) -> str:
    """A path for traces and logs: a signed link, which opens what is somebody's, is longer than any id and is left out."""
    return "/".join(part if len(part) <= _SEGMENT_LENGTH_SHOWN else "…" for part in path.split("/"))


def add_problem_handlers(app: FastAPI) -> None:
    """Every failure of every route becomes a problem; a caller's mistake is never a 500."""

    settings: Settings = app.state.runtime.settings

    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return failure(settings, request.scope, error.status_code, str(error.detail), headers=dict(error.headers or {}))

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        # The value itself is not repeated: it may be personal, and answers are logged by proxies.
        errors = [
            {
                "field": ".".join(str(part) for part in e["loc"][1:]) or "body",
                "problem": problem_words(e, exact=True),
            }
            for e in error.errors()
        ]
        detail = " ; ".join(f"{e['field']} : {e['problem']}" for e in errors[:5])
        members = {"errors": errors[:50], **choices_of(error.errors())}
        return failure(settings, request.scope, 422, detail, reason="invalid_request", **members)

    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(RequestValidationError, invalid)


class Edge:
    """ASGI: bounds the body, opens the request's span, counts answers, and turns what is Unavailable into 503."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        received, answered = 0, False
        limit = self._settings.request_bytes_max

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise HTTPException(413, self._too_large_detail)
            return message

        async def counted(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                route = getattr(scope.get("route"), "path", "unmatched")
                self._metrics.requests.labels(route, str(message["status"])).inc()
            await send(message)

        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > limit:
            return await problem(413, self._too_large_detail, reason="request_too_large")(scope, receive, counted)
        path = _without_secrets(scope["path"])
        with span(f"{scope['method']} {path}", headers if "traceparent" in headers else None):
            try:
                await self._app(scope, bounded, counted)
            except Exception as error:
                if answered:
                    raise
                if is_unavailable(error):
                    away = failure(
                        self._settings,
                        scope,
                        503,
                        "Réessayez dans quelques secondes ; rien n'a été perdu.",
                        reason="unavailable",
                        headers=_COME_BACK,
                        again=getattr(error, "again", None),
                    )
                    await away(scope, receive, counted)
                else:
                    _log.error("unhandled error on %s", path, exc_info=error)
                    incident = "L'incident est enregistré ; réessayez plus tard."
                    await failure(self._settings, scope, 500, incident, reason="internal_error")(
                        scope, receive, counted
                    )

    @property
    def _too_large_detail(self) -> str:
        return f"Au plus {self._settings.request_bytes_max // 1000} ko par requête ; découpez l'envoi."
