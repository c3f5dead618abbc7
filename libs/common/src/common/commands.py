"""A command and its two doors: what software asks by the API, a person asks by a form of a page.

Both check the same body, ask for the same roles or know the caller without a login by the same address or link, take from the
same budget, and refuse with the same status and reason.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Query, Request
from fastapi import Form as FormField
from fastapi.responses import Response
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile

from common.commitments import ACCEPTS
from common.http import KEY_REUSED, Answer, run_command, run_once
from common.identity import Identity, Principal, caller_as
from common.overlaps import OVERLAPS
from common.query import texts
from common.spreadsheet import refused_line
from common.transaction import Transaction

Endpoint = Callable[..., Awaitable[Response]]
Form = Mapping[str, str]
Who = Callable[..., Awaitable[Principal]]
# The fields of a body.
Read = Mapping[str, Any]
INVALID = "invalid_request"
# How software accepts what it was shown; a form has a hidden field of the same name.
Accepted = Annotated[
    str | None,
    Query(
        max_length=64, description="`broken_commitments` of the refusal `would_break_commitments`, to go on with it."
    ),
]
_HAS_SERVED = "Ce formulaire a déjà été envoyé, avec d’autres réponses : celles-ci ne sont pas encore enregistrées."


@dataclass(frozen=True)
class Sent:
    """A form that a person sent, and what became of it: a refusal's page shows again what was typed."""

    # Who is logged in; nobody has to be, where `who` of the command knows the caller.
    principal: Principal | None
    # The path's parameters by name, and those that a field has in its place.
    path: Mapping[str, Any]
    fields: FormData
    status: int = 200
    content: Mapping[str, Any] = field(default_factory=dict)

    @property
    def typed(self) -> Form:
        """The fields that are texts."""
        return texts(self.fields)

    async def file(self, name: str) -> bytes:
        """What is in a file that was chosen; `ValueError` says to choose one."""
        chosen = self.fields.get(name)
        if not isinstance(chosen, UploadFile) or not chosen.filename:
            raise ValueError("Choisissez un fichier.")
        await chosen.seek(0)
        return await chosen.read()

    @property
    def problem(self) -> str:
        """Why it was refused, as a sentence."""
        return str(self.content["detail"]) if self.status >= 400 else ""

    @property
    def has_served(self) -> bool:
        """Whether the same form was sent before with other content, and did something: its page asks before it does more."""
        return self.status >= 400 and self.content["reason"] == KEY_REUSED

    @property
    def would_break(self) -> str | None:
        """What goes on with it, where a form would break commitments: its page lists them and asks."""
        return self.content.get(ACCEPTS) if self.status >= 400 else None

    @property
    def overlaps(self) -> bool:
        """Whether something is at the same hour: its page says what, and asks."""
        return self.status >= 400 and self.content["reason"] == OVERLAPS

    @property
    def has_file(self) -> bool:
        """Whether a file was chosen, which only the person can choose again."""
        return any(isinstance(value, UploadFile) and value.filename for value in self.fields.values())

    @property
    def repeated(self) -> list[tuple[str, str]]:
        """What to send again under another key: every text, in the order of the form."""
        texts = [(name, value) for name, value in self.fields.multi_items() if isinstance(value, str)]
        return [(name, value) for name, value in texts if name not in ("key", ACCEPTS)]


@dataclass(frozen=True)
class Words:
    """How a page names the fields of a body, and what it says of a kind of mistake otherwise than every page."""

    fields: Mapping[str, str] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Command:
    """What somebody may ask for. `run(tx, principal, …)` names the path's parameters and, if there is one, the `body`."""

    run: Callable[..., Awaitable[Answer]]
    roles: tuple[str, ...] = ()
    # Who calls, where no login is needed: `who(request, …)` names what it needs of the path and the `body`.
    who: Who | None = None
    # Whether it may break commitments (common.commitments), and goes on when its caller accepts those that it was shown.
    asks: bool = False

    def api(self) -> Endpoint:
        """The route for software; its documentation is made from the names, types and docstring of `run`."""

        async def endpoint(request: Request, **asked: Any) -> Response:
            if self.who is not None:
                asked["principal"] = await self.who(request, **_named_by(self.who, asked))
            command = partial(self.run, **_named_by(self.run, asked))
            return await run_command(request, asked["principal"], asked.get("body"), command, asked.get(ACCEPTS))

        login = _parameter("principal", Annotated[Principal, Depends(caller_as(*self.roles))])
        accepted = [_parameter(ACCEPTS, Accepted).replace(default=None)] if self.asks else []
        return _named_as(self.run, endpoint, [*_request(), *([] if self.who else [login]), *self._asked(), *accepted])

    def form(
        self,
        *,
        then: Callable[[Sent], Response] | None = None,
        refused: Callable[..., Awaitable[Response]],
        read: Callable[[Sent], Read | Awaitable[Read]] | None = None,
        words: Words = Words(),  # it is frozen
        where: Mapping[str, type] | None = None,
        hidden: Mapping[str, str] | None = None,
        **fixed: Any,
    ) -> Endpoint:
        """The route for a form: on success `then`, else the page `refused(request, principal, sent=…, **path)`.

        Without `then` that page comes back on success, too. Its principal is who is logged in, if anybody.
        `read` makes the body's fields of the form's, where they have other names; a `ValueError` of it says what to do.
        `fixed` are parameters of `run` that the path does not have; `where`, those of the path that `run` does not have;
        `hidden`, those that a hidden field has instead of the path, with its name.
        """
        parameters = {one.name: one for one in self._asked()}

        async def endpoint(request: Request, **path: Any) -> Response:
            logged_in = await self._logged_in(request)
            sent = Sent(logged_in, path, await request.form())
            asked: dict[str, Any] = path | fixed
            headers: Mapping[str, str] = {}
            if "body" in parameters:
                asked["body"] = await _body(parameters["body"].annotation, sent, read, words)
            if isinstance(asked.get("body"), Sent):
                sent = asked["body"]
            else:
                caller = await self.who(request, **_named_by(self.who, asked)) if self.who else logged_in
                assert caller is not None
                command = partial(self.run, **_named_by(self.run, asked | {"principal": caller}))
                status, content, headers = await _run_form(request, caller, sent, command)
                sent = replace(sent, status=status, content=content)
            done = then(sent) if then and sent.status < 400 else None
            try:
                answered = done or await refused(request, logged_in, sent=sent, **path)
            except HTTPException as unseen:
                if sent.status < 400:
                    raise
                # They may not see the page either: all that they are told is why the form was refused.
                raise HTTPException(sent.status, sent.problem, headers) from unseen
            answered.headers.update(headers)
            return answered

        in_field = {name: FormField(alias=alias) for name, alias in (hidden or {}).items()}
        path_only = [
            one.replace(annotation=Annotated[one.annotation, in_field[one.name]]) if one.name in in_field else one
            for one in parameters.values()
            if one.name != "body" and one.name not in fixed
        ]
        path_only += [_parameter(name, kind) for name, kind in (where or {}).items()]
        return _named_as(self.run, endpoint, [*_request(), *path_only])

    def _asked(self) -> list[inspect.Parameter]:
        """What a request must give: the parameters of `who`, then those of `run`, each once."""
        signatures = [inspect.signature(one, eval_str=True) for one in (self.who, self.run) if one is not None]
        given = {one.name: one for signature in signatures for one in signature.parameters.values()}
        kept = [one for name, one in given.items() if name not in ("request", "tx", "principal")]
        return [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in kept]

    async def _logged_in(self, request: Request) -> Principal | None:
        """Who sent a form of ours: with a role and its CSRF token, or, where no login is needed, whoever it is."""
        identity: Identity = request.app.state.runtime.identity
        if self.who is not None:
            return identity.session(request)
        principal, _ = await identity.checked_form(request)
        return principal.require(*self.roles)


def command(
    *roles: str, who: Who | None = None, api: Callable[[Endpoint], Any] | None = None, asks: bool = False
) -> Callable[[Callable[..., Any]], Command]:
    """Makes a command of a function, for who has one of the roles, or for whoever `who` knows without a login.

    `api` is a router's decorator, `router.post("/…")`; a command that `asks` may break commitments.
    """

    def made(run: Callable[..., Awaitable[Answer]]) -> Command:
        whole = Command(run, roles, who, asks)
        if api is not None:
            api(whole.api())
        return whole

    return made


async def _run_form(
    request: Request, caller: Principal, sent: Sent, command: Callable[[Transaction], Awaitable[Answer]]
) -> tuple[int, Any, Mapping[str, str]]:
    """Runs it once for the form's key. Of a form that has served with other content, says so in a person's words (decision 0029)."""
    key, facts, accepted = sent.typed.get("key") or None, await _facts(sent), sent.typed.get(ACCEPTS)
    status, content, headers = await run_once(request, caller, key, facts, command, accepted)
    if status < 400 or content["reason"] != KEY_REUSED:
        return status, content, headers
    if content["answered_status"] >= 400:
        # Nothing came of what was sent first, so that there is nothing to ask: the key stands for this content, too.
        key = hashlib.sha256(json.dumps([key, facts]).encode()).hexdigest()
        return await run_once(request, caller, key, facts, command, accepted)
    return status, {**content, "detail": _HAS_SERVED}, headers


async def _facts(sent: Sent) -> list[tuple[str, str]]:
    """What a form says, by which a second click is told from another request: all fields, and of a file its digest."""
    facts = []
    for name, value in sent.fields.multi_items():
        if isinstance(value, UploadFile):
            await value.seek(0)
            facts.append((name, hashlib.sha256(await value.read()).hexdigest()))
        elif name != "csrf":
            facts.append((name, value))
    return sorted(facts)


async def _body(
    model: type[BaseModel], sent: Sent, read: Callable[[Sent], Read | Awaitable[Read]] | None, words: Words
) -> BaseModel | Sent:
    """The body that a form makes, or the form with what is wrong with it."""
    typed = sent.typed
    try:
        found = read(sent) if read else {name: typed[name] for name in model.model_fields if name in typed}
        return model.model_validate(found if isinstance(found, Mapping) else await found)
    except ValidationError as error:
        refusal = refused_line(error, words.fields, words.problems)
        content = {"detail": refusal.detail, **refusal.facts}
    except ValueError as error:
        content = {"detail": str(error)}
    return replace(sent, status=422, content={"reason": INVALID, **content})


def _request() -> list[inspect.Parameter]:
    return [_parameter("request", Request)]


def _named_by(function: Callable[..., Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    names = _names(function)
    return {name: value for name, value in asked.items() if name in names}


@cache
def _names(function: Callable[..., Any]) -> frozenset[str]:
    """The names of a function's parameters, read once and not with every request."""
    return frozenset(inspect.signature(function).parameters)


def _parameter(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation)


def _named_as(run: Callable[..., Any], endpoint: Any, parameters: list[inspect.Parameter]) -> Endpoint:
    """The endpoint with the signature that FastAPI reads, and the name and words of what it runs."""
    endpoint.__signature__ = inspect.Signature(parameters, return_annotation=Response)
    endpoint.__name__, endpoint.__doc__ = run.__name__, run.__doc__
    made: Endpoint = endpoint
    return made
