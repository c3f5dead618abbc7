"""A command's two doors: who may, what is read, what is refused, and one budget, with a login and without."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from joserfc import jwt
from joserfc.jwk import OctKey
from pydantic import Field

from common.bodies import Body
from common.budget import Budget
from common.commands import Command, Sent, command
from common.embedded.stack import Stack
from common.failures import Refusal
from common.http import Answer, add_problem_handlers, answer
from common.identity import Principal
from common.runtime import Runtime
from common.testing import FreshRuntime, token_of
from common.transaction import Transaction

CSRF = "what the form carries"
PERSON = {"label": "Camille", "sub": "camille-doors", "roles": ["host"], "email": "c@example.org", "name": "Camille"}

router = APIRouter()


class CountBody(Body):
    """How many, and for which address."""

    count: int = Field(ge=1)
    email: str = ""


async def by_link(request: Request, token: str) -> Principal:
    """Knows the caller by the path."""
    if token != "good":
        raise HTTPException(403, "Ce lien n'est pas le bon.")
    return Principal("link/7", frozenset())


async def by_address(request: Request, body: CountBody) -> Principal:
    """Knows the caller by the body."""
    return Principal(f"address/{body.email}", frozenset())


@command("host", api=router.post("/things/{thing_id}"))
async def change(tx: Transaction, principal: Principal, thing_id: int, body: CountBody) -> Answer:
    """Needs a login with a role."""
    return 200, {"who": principal.subject, "thing": thing_id, "count": body.count}


@command(who=by_link, api=router.post("/links/{token}/things/{thing_id}"))
async def act(tx: Transaction, principal: Principal, thing_id: int, body: CountBody) -> Answer:
    """Needs a link."""
    if thing_id == 0:
        return answer(Refusal("not_found", "Il n'y a rien."), None)
    return 200, {"who": principal.subject, "thing": thing_id, "count": body.count}


@command(who=by_address, api=router.post("/requests"))
async def ask(tx: Transaction, principal: Principal, body: CountBody) -> Answer:
    """Needs nothing but an address."""
    return 201, {"who": principal.subject}


class FileBody(Body):
    """What was read of a file."""

    content: bytes


@command("host")
async def keep(tx: Transaction, principal: Principal, body: FileBody) -> Answer:
    """Needs a file."""
    return 200, {"who": principal.subject, "size": len(body.content)}


async def read_file(sent: Sent) -> dict[str, Any]:
    """Takes its time."""
    return {"content": await sent.file("file")}


async def unseen(request: Request, principal: Principal | None, *, sent: Sent, **path: Any) -> Response:
    """A page that is not for whom sent the form."""
    raise HTTPException(404, "Cette page n'existe pas.")


async def page(request: Request, principal: Principal | None, *, sent: Sent, **path: Any) -> Response:
    """What a page would show."""
    shown = {"logged in": principal and principal.subject, "problem": sent.problem, "typed": sent.typed, **sent.content}
    return JSONResponse(shown, sent.status)


def then(sent: Sent) -> Response:
    """Where one goes, with the path and what was answered."""
    return RedirectResponse(f"/done?{sent.path}&{sent.content['who']}", 303)


@pytest.fixture
async def runtime(fresh_runtime: FreshRuntime) -> AsyncIterator[Runtime]:
    """A service with a database of its own."""
    async with fresh_runtime("projections") as made:
        yield made


@pytest.fixture
async def client(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody before both doors of the three commands."""
    app = FastAPI()
    app.state.runtime = runtime
    app.include_router(router)
    forms: dict[str, tuple[Command, dict[str, Any]]] = {
        "/choses/{thing_id}": (change, {"then": then}),
        "/chose": (change, {"then": then, "hidden": {"thing_id": "chose"}}),
        "/liens/{token}": (act, {"then": then, "hidden": {"thing_id": "chose"}}),
        "/demandes": (ask, {}),
        "/fichiers": (keep, {"read": read_file}),
        "/cachees/{thing_id}": (change, {"refused": unseen}),
    }
    for path, (one, how) in forms.items():
        app.add_api_route(path, one.form(**{"refused": page} | how), methods=["POST"])
    add_problem_handlers(app)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as made:
        yield made


def log_in(client: httpx.AsyncClient, runtime: Runtime, *roles: str) -> None:
    """A session as the login makes it."""
    claims = {"use": "session", "sub": "camille", "roles": list(roles), "csrf": CSRF, "exp": int(time.time()) + 60}
    key = OctKey.import_key(runtime.settings.session_secret)
    client.cookies.set("estuaire_session", jwt.encode({"alg": "HS256"}, claims, key))


async def test_a_login_is_asked_for_by_both_doors(client: httpx.AsyncClient, runtime: Runtime, parts: Stack) -> None:
    """A token with the role, or a session with the role and the form's own secret."""
    form = {"count": "2", "csrf": CSRF}
    assert (await client.post("/things/5", json={"count": 2})).status_code == 401
    assert (await client.post("/choses/5", data=form)).status_code == 401
    log_in(client, runtime, "owner")
    assert (await client.post("/choses/5", data=form)).status_code == 403
    log_in(client, runtime, "host")
    assert (await client.post("/choses/5", data=form | {"csrf": "forged"})).status_code == 403
    assert (await client.post("/choses/5", data={"count": "2"})).status_code == 403
    sent = await client.post("/choses/5", data=form)
    assert sent.status_code == 303 and "camille" in sent.headers["location"]
    headers = {"Authorization": f"Bearer {await token_of(parts, PERSON)}"}
    told = (await client.post("/things/5", json={"count": 2}, headers=headers)).json()
    assert told == {"who": "camille-doors", "thing": 5, "count": 2}


async def test_a_hidden_field_stands_for_a_parameter_of_the_path(client: httpx.AsyncClient, runtime: Runtime) -> None:
    """It is read as the path's would be, and refused with the same status."""
    log_in(client, runtime, "host")
    sent = await client.post("/chose", data={"count": "2", "chose": "5", "csrf": CSRF})
    assert sent.status_code == 303 and "thing_id" in sent.headers["location"]
    for wrong in ({}, {"chose": ""}, {"chose": "x"}):
        assert (await client.post("/chose", data={"count": "2", "csrf": CSRF, **wrong})).status_code == 422


async def test_both_doors_know_the_caller_by_one_link(client: httpx.AsyncClient) -> None:
    """No login, no CSRF token: the link says who it is, at both doors, and what is refused is refused alike."""
    for token, thing, count, status in (
        ("good", 5, 2, 200),
        ("bad", 5, 2, 403),
        ("good", 0, 2, 404),
        ("good", 5, 0, 422),
    ):
        by_api = await client.post(f"/links/{token}/things/{thing}", json={"count": count})
        by_form = await client.post(f"/liens/{token}", data={"chose": thing, "count": count})
        assert (by_api.status_code, by_form.status_code) == (status, 303 if status == 200 else status)
        if status == 200:
            assert by_api.json()["who"] == "link/7" and "link/7" in by_form.headers["location"]
        if status == 404:
            assert by_api.json()["detail"] == by_form.json()["problem"] and by_form.json()["typed"]["count"] == "2"


async def test_without_a_place_to_go_the_page_comes_back(client: httpx.AsyncClient, runtime: Runtime) -> None:
    """With what was answered and its status, and whoever is logged in."""
    sent = await client.post("/demandes", data={"count": "1", "email": "a"})
    assert (sent.status_code, sent.json()["who"], sent.json()["logged in"]) == (201, "address/a", None)
    log_in(client, runtime, "host")
    refused = await client.post("/demandes", data={"count": "0", "email": "a"})
    assert (refused.status_code, refused.json()["logged in"]) == (422, "camille") and refused.json()["problem"]


async def test_a_file_is_part_of_what_a_form_asks(client: httpx.AsyncClient, runtime: Runtime) -> None:
    """A second click is answered as the first; another file under the same key is not; without one, it says to choose."""
    log_in(client, runtime, "host")
    form = {"csrf": CSRF, "key": "one"}
    answers = [
        await client.post("/fichiers", data=form, files={"file": ("a", content)})
        for content in (b"abc", b"abc", b"xyz")
    ]
    assert [one.status_code for one in answers] == [200, 200, 422]
    assert answers[1].headers["idempotent-replay"] == "true" and answers[1].json()["size"] == 3
    none = await client.post("/fichiers", data={"csrf": CSRF}, files={"file": ("", b"")})
    assert (none.status_code, none.json()["problem"]) == (422, "Choisissez un fichier.")


async def test_a_form_that_has_served_asks_before_it_serves_again(
    client: httpx.AsyncClient, runtime: Runtime, parts: Stack
) -> None:
    """Back, another number, sent again: asked in a person's words; under a new key it is done, and once."""
    log_in(client, runtime, "host")
    form = {"count": "2", "csrf": CSRF, "key": "one"}
    assert (await client.post("/choses/5", data=form)).status_code == 303
    changed = form | {"count": "3"}
    asked = await client.post("/choses/5", data=changed)
    assert asked.status_code == 422 and asked.json()["typed"]["count"] == "3"
    assert "déjà été envoyé" in asked.json()["problem"] and "Idempotency" not in asked.json()["problem"]
    answers = [await client.post("/choses/5", data=changed | {"key": "two"}) for _ in range(2)]
    assert [one.status_code for one in answers] == [303, 303]
    assert [one.headers.get("idempotent-replay") for one in answers] == [None, "true"]
    headers = {"Authorization": f"Bearer {await token_of(parts, PERSON)}", "Idempotency-Key": "three"}
    assert (await client.post("/things/5", json={"count": 2}, headers=headers)).status_code == 200
    refused = await client.post("/things/5", json={"count": 3}, headers=headers)
    assert (refused.status_code, refused.json()["reason"]) == (422, "idempotency_key_reused")
    assert refused.json()["answered_status"] == 200 and "nouvelle clé" in refused.json()["detail"]


async def test_a_form_that_was_refused_first_is_sent_again_without_a_question(client: httpx.AsyncClient) -> None:
    """Nothing came of it, so that nothing can be done twice; a second click of what was changed is answered as the first."""
    form = {"chose": "0", "count": "2", "key": "one"}
    assert (await client.post("/liens/good", data=form)).status_code == 404
    answers = [await client.post("/liens/good", data=form | {"chose": "5"}) for _ in range(2)]
    assert [one.status_code for one in answers] == [303, 303]
    assert [one.headers.get("idempotent-replay") for one in answers] == [None, "true"]


async def test_who_may_not_see_the_page_is_told_why_the_form_was_refused(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    """With the status of the refusal, not with that of the page."""
    log_in(client, runtime, "host")
    refused = await client.post("/cachees/5", data={"count": "0", "csrf": CSRF})
    assert refused.status_code == 422 and "count" in refused.json()["detail"]
    runtime.budget = Budget(0.01, 0)
    refused = await client.post("/cachees/5", data={"count": "1", "csrf": CSRF})
    assert refused.status_code == 429 and "retry-after" in refused.headers


async def test_a_caller_without_a_login_has_one_budget_and_one_answer_for_a_key(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    """Both doors take from the budget of the address; another has its own; a second click is answered as the first."""
    clicked = [await client.post("/demandes", data={"count": "1", "email": "k", "key": "one"}) for _ in range(2)]
    assert [one.status_code for one in clicked] == [201, 201]
    assert clicked[1].headers["idempotent-replay"] == "true"
    runtime.budget = Budget(0.01, 2)
    answers = [
        await client.post("/requests", json={"count": 1, "email": "a"}),
        await client.post("/demandes", data={"count": "1", "email": "a"}),
        await client.post("/demandes", data={"count": "1", "email": "a"}),
        await client.post("/requests", json={"count": 1, "email": "a"}),
        await client.post("/requests", json={"count": 1, "email": "b"}),
    ]
    assert [one.status_code for one in answers] == [201, 201, 429, 429, 201]
    assert int(answers[2].headers["retry-after"]) >= 1


def test_a_path_is_documented_once_for_who_and_what() -> None:
    """The parameters of `who` and of `run` are one signature: the link, what it is about, one body."""
    app = FastAPI()
    app.include_router(router)
    paths = app.openapi()["paths"]
    (documented,) = paths["/links/{token}/things/{thing_id}"].values()
    assert [one["name"] for one in documented["parameters"]] == ["token", "thing_id"]
    assert "parameters" not in paths["/requests"]["post"]
    assert paths["/requests"]["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith(
        "CountBody"
    )
