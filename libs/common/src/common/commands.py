"""A command and its two doors: what software asks by the API, a person asks by a form of a page.

Both check the same body, ask for the same roles, take from the same budget, and refuse with the same status and reason.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi import Form as FormField
from fastapi.responses import Response
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData

from common.http import Answer, run_command, run_once
from common.identity import Identity, Principal, Role, caller_as
from common.spreadsheet import refused_line

Endpoint = Callable[..., Awaitable[Response]]
Form = Mapping[str, str]
INVALID = "invalid_request"


@dataclass(frozen=True)
class Sent:
    """A form that a person sent, and what became of it: a refusal's page shows again what was typed."""

    principal: Principal
    # The path's parameters by name, and those that a field has in its place.
    path: Mapping[str, Any]
    fields: FormData
    status: int = 200
    content: Mapping[str, Any] = field(default_factory=dict)

    @property
    def typed(self) -> Form:
        """The fields that are texts; of those that come several times, the last."""
        return {name: value for name, value in self.fields.items() if isinstance(value, str)}

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
        then: Callable[[Sent], Response],
        refused: Callable[..., Awaitable[Response]],
        read: Callable[[Sent], Mapping[str, Any]] | None = None,
        words: Words = Words(),  # it is frozen
        where: Mapping[str, type] | None = None,
        hidden: Mapping[str, str] | None = None,
        **fixed: Any,
    ) -> Endpoint:
        """The route for a form: on success `then`, else the page `refused(request, principal, sent=…, **path)`.

        `read` makes the body's fields of the form's, where they have other names; a `ValueError` of it says what to do.
        `fixed` are parameters of `run` that the path does not have; `where`, those of the path that `run` does not have;
        `hidden`, those that a hidden field has instead of the path, with its name.
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
                if "body" in given.parameters:
                    asked["body"] = _body(given.parameters["body"].annotation, sent, read)
            except ValidationError as error:
                detail = refused_line(error, words.fields, words.problems).detail
                sent = replace(sent, status=422, content={"reason": INVALID, "detail": detail})
            except ValueError as error:
                sent = replace(sent, status=422, content={"reason": INVALID, "detail": str(error)})
            else:
                facts = sorted((name, value) for name, value in sent.typed.items() if name != "csrf")
                status, content, headers = await run_once(
                    request, principal, sent.typed.get("key") or None, facts, partial(self.run, **asked)
                )
                sent = replace(sent, status=status, content=content)
            answered = await refused(request, principal, sent=sent, **path) if sent.status >= 400 else then(sent)
            answered.headers.update(headers)
            return answered

        in_field = {name: FormField(alias=alias) for name, alias in (hidden or {}).items()}
        path_only = [
            one.replace(annotation=Annotated[one.annotation, in_field[one.name]]) if one.name in in_field else one
            for one in _asked(given)
            if one.name != "body" and one.name not in fixed
        ]
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


def _body(model: type[BaseModel], sent: Sent, read: Callable[[Sent], Mapping[str, Any]] | None) -> BaseModel:
    typed = sent.typed
    found = read(sent) if read else {name: typed[name] for name in model.model_fields if name in typed}
    return model.model_validate(found)


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
