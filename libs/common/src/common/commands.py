"""A command and its two doors: what software asks by the API, a person asks by a form of a page.

Both check the same body, ask for the same roles, take from the same budget, and refuse with the same status and reason.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Request
from fastapi.responses import Response
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.datastructures import FormData, UploadFile

from common.http import Answer, run_command, run_once
from common.identity import Identity, Principal, Role, caller_as
from common.spreadsheet import refused_line

Endpoint = Callable[..., Awaitable[Response]]
Form = Mapping[str, str]
# The fields of a body.
Read = Mapping[str, Any]
INVALID = "invalid_request"


@dataclass(frozen=True)
class Sent:
    """A form that a person sent, and what became of it: a refusal's page shows again what was typed."""

    principal: Principal
    # The path's parameters, by name.
    path: Mapping[str, Any]
    fields: FormData
    status: int = 200
    content: Mapping[str, Any] = field(default_factory=dict)

    @property
    def typed(self) -> Form:
        """The fields that are texts; of those that come several times, the last."""
        return {name: value for name, value in self.fields.items() if isinstance(value, str)}

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


@dataclass(frozen=True)
class Words:
    """How a page names the fields of a body, and what it says of a kind of mistake otherwise than every page."""

    fields: Mapping[str, str] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Command:
    """What somebody may ask for. `run(tx, principal, …)` names the path's parameters and, if there is one, the `body`."""

    run: Callable[..., Awaitable[Answer]]
    roles: tuple[Role, ...]

    def api(self) -> Endpoint:
        """The route for software; its documentation is made from the names, types and docstring of `run`."""

        async def endpoint(request: Request, principal: Principal, **asked: Any) -> Response:
            return await run_command(
                request, principal, asked.get("body"), partial(self.run, principal=principal, **asked)
            )

        given = inspect.signature(self.run, eval_str=True)
        who = Annotated[Principal, Depends(caller_as(*self.roles))]
        return _named_as(self.run, endpoint, [*_request(), _parameter("principal", who), *_asked(given)])

    def form(
        self,
        *,
        then: Callable[[Sent], Response] | None = None,
        refused: Callable[..., Awaitable[Response]],
        read: Callable[[Sent], Read | Awaitable[Read]] | None = None,
        words: Words = Words(),  # it is frozen
        where: Mapping[str, type] | None = None,
        typed: Collection[str] = (),
        **fixed: Any,
    ) -> Endpoint:
        """The route for a form: on success `then`, else the page `refused(request, principal, sent=…, **path)`.

        Without `then` the page is shown either way: it has room for what was found. `read` makes the body's fields of the
        form's, where they have other names; a `ValueError` of it says what to do. Of the parameters of `run`, the path does
        not have those that are `fixed`, nor those that are `typed` in fields of the same name; `where` are those of the path
        that `run` does not have.
        """
        given = inspect.signature(self.run, eval_str=True)

        async def endpoint(request: Request, **path: Any) -> Response:
            identity: Identity = request.app.state.runtime.identity
            principal, _ = await identity.checked_form(request)
            sent = Sent(principal.require(*self.roles), path, await request.form())
            of_run = {name: value for name, value in path.items() if name in given.parameters}
            asked: dict[str, Any] = {"principal": principal, **of_run, **fixed}
            headers: Mapping[str, str] = {}
            try:
                for name in typed:
                    kind = TypeAdapter(given.parameters[name].annotation)
                    asked[name] = kind.validate_python(sent.typed.get(name, ""))
                if "body" in given.parameters:
                    asked["body"] = await _body(given.parameters["body"].annotation, sent, read)
            except ValidationError as error:
                detail = refused_line(error, words.fields, words.problems).detail
                sent = replace(sent, status=422, content={"reason": INVALID, "detail": detail})
            except ValueError as error:
                sent = replace(sent, status=422, content={"reason": INVALID, "detail": str(error)})
            else:
                status, content, headers = await run_once(
                    request, principal, sent.typed.get("key") or None, await _facts(sent), partial(self.run, **asked)
                )
                sent = replace(sent, status=status, content=content)
            try:
                if then is not None and sent.status < 400:
                    answered = then(sent)
                else:
                    answered = await refused(request, principal, sent=sent, **path)
            except HTTPException as unseen:
                # They may not see the page either: all that they are told is why the form was refused.
                raise HTTPException(sent.status, sent.problem, headers) from unseen
            answered.headers.update(headers)
            return answered

        path_only = [one for one in _asked(given) if one.name not in ("body", *typed, *fixed)]
        path_only += [_parameter(name, kind) for name, kind in (where or {}).items()]
        return _named_as(self.run, endpoint, [*_request(), *path_only])


def command(*roles: Role, api: Callable[[Endpoint], Any] | None = None) -> Callable[[Callable[..., Any]], Command]:
    """Makes a command of a function, for who has one of the roles; `api` is a router's decorator, `router.post("/…")`."""

    def made(run: Callable[..., Awaitable[Answer]]) -> Command:
        whole = Command(run, roles)
        if api is not None:
            api(whole.api())
        return whole

    return made


async def _body(model: type[BaseModel], sent: Sent, read: Callable[[Sent], Read | Awaitable[Read]] | None) -> BaseModel:
    typed = sent.typed
    found = read(sent) if read else {name: typed[name] for name in model.model_fields if name in typed}
    return model.model_validate(found if isinstance(found, Mapping) else await found)


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


def _request() -> list[inspect.Parameter]:
    return [_parameter("request", Request)]


def _asked(given: inspect.Signature) -> list[inspect.Parameter]:
    kept = [one for one in given.parameters.values() if one.name not in ("tx", "principal")]
    return [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in kept]


def _parameter(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation)


def _named_as(run: Callable[..., Any], endpoint: Any, parameters: list[inspect.Parameter]) -> Endpoint:
    """The endpoint with the signature that FastAPI reads, and the name and words of what it runs."""
    endpoint.__signature__ = inspect.Signature(parameters, return_annotation=Response)
    endpoint.__name__, endpoint.__doc__ = run.__name__, run.__doc__
    made: Endpoint = endpoint
    return made
