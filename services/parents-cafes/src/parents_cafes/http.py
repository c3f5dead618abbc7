"""HTTP of everybody and of households: parse, handler, answer. Families need no account: a verified address and a signed link."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query, Request

from common.commands import Who, command
from common.failures import Refusal
from common.http import Answer, answer, database_of
from common.identity import Principal
from common.links import subject_of
from common.transaction import Transaction
from parents_cafes import handlers, notices, season_store
from parents_cafes.bodies import ActBody, ConfirmationBody, RequestBody
from parents_cafes.handlers import Registered
from parents_cafes.messages import CafeTheme
from territory import reference
from territory.places import CommuneCode

Action = Literal["acceptance", "keeping", "cancellation", "size", "change", "registration"]
_LINK_DAYS = 400

router = APIRouter(prefix="/v1")


# -- what everybody may read


@router.get("/cafes")
async def list_cafes(
    request: Request,
    commune_code: CommuneCode | None = None,
    radius_km: Annotated[int, Query(ge=1, le=200)] = 30,
    theme: CafeTheme | None = None,
) -> dict[str, Any]:
    """Cafés to come that take registrations, with what is left in each; open to everyone."""
    async with database_of(request).transaction() as tx:
        now = await tx.now()
        rows = await season_store.cafes(tx, now, only_public=True)
    near = {code: km for km, code in reference.communes_within(commune_code, radius_km)} if commune_code else None
    kept = [
        row
        for row in rows
        if (near is None or row.commune_code in near) and (theme is None or row.theme == theme.value)
    ]
    return {"as_of": now, "cafes": [shown_cafe(row) for row in kept]}


@router.get("/cafes/{cafe_id}")
async def show_cafe(request: Request, cafe_id: UUID) -> dict[str, Any]:
    """One café that is announced."""
    async with database_of(request).transaction() as tx:
        row = await announced(tx, cafe_id)
    return shown_cafe(row)


# -- families


async def by_address(request: Request, body: RequestBody) -> Principal:
    """Stands for an address that nobody has verified."""
    return public(body.email)


def by_link(kind: str, use: str) -> Who:
    """Stands for the request, the household or the facilitator that a link is for: what each sends has one budget."""

    async def who(request: Request, token: str) -> Principal:
        return Principal(f"{kind}/{subject(request, use, token)}", frozenset())

    return who


@command(who=by_address, api=router.post("/cafes/{cafe_id}/requests"))
async def ask(tx: Transaction, principal: Principal, cafe_id: UUID, body: RequestBody) -> Answer:
    """Somebody asks for a café: 202, and a link goes to the address; the answer is the same whoever it is."""
    result = await handlers.ask(tx, cafe_id, body.email, body.title or None, body.seat_count, wait=body.wait)
    # The id opens nothing by itself.
    return answer(result, None) if isinstance(result, Refusal) else (202, {"request_id": result})


@command(who=by_link("request", notices.REQUEST_LINK), api=router.post("/requests/{token}/confirmation"))
async def confirm(tx: Transaction, principal: Principal, body: ConfirmationBody) -> Answer:
    """The link was followed: 201 with the registration and the household's own link, or why there is none."""
    result = await handlers.confirm(tx, id_of(principal), wait=body.wait)
    return answer(result, None) if isinstance(result, Refusal) else _outcome(tx, result)


@command(who=by_link("household", notices.HOUSEHOLD_LINK), api=router.post("/households/{token}/{action}"))
async def act(tx: Transaction, principal: Principal, action: Action, body: ActBody) -> Answer:
    """What a household does with its registration, by its link; `registration` asks for another café without a new mail."""
    if body.cafe_id is None and action in ("change", "registration"):
        return 422, Refusal("invalid_request", "Choisissez un café.")
    refusal: Refusal | None = None
    household_id, one = id_of(principal), body.registration_id
    match action:
        case "acceptance":
            refusal = await handlers.accept(tx, household_id, one)
        case "keeping":
            refusal = await handlers.keep(tx, household_id, one)
        case "cancellation":
            refusal = await handlers.cancel(tx, household_id, one, warned=body.warned)
        case "size":
            refusal = await handlers.resize(tx, household_id, one, body.seat_count)
        case "change":
            assert body.cafe_id is not None
            refusal = await handlers.change(tx, household_id, one, body.cafe_id, warned=body.warned)
        case "registration":
            assert body.cafe_id is not None
            made = await handlers.register(tx, household_id, body.cafe_id, body.seat_count, wait=True)
            return answer(made, None) if isinstance(made, Refusal) else _outcome(tx, made)
    return answer(refusal, {"registration_id": one})


def _outcome(tx: Transaction, result: Registered) -> Answer:
    """What became of a request, with the household's link: its address is verified, also where a rule refuses."""
    token = tx.signed_link(notices.HOUSEHOLD_LINK, str(result.household_id), _LINK_DAYS)
    if result.refusal is not None:
        facts = {**result.refusal.facts, "household": token}
        return 409, Refusal(result.refusal.reason, result.refusal.detail, facts)
    one = result.registration
    shown = {"registration_id": one.registration_id, "state": one.state, "seat_count": one.seat_count} if one else None
    return 201, {"household": token, "cafe_id": result.cafe_id, "registration": shown}


# -- what routes and pages share


async def announced(tx: Transaction, cafe_id: UUID) -> Any:
    """A café with its seats; 404 while it is only planned."""
    rows = await season_store.cafes(tx, await tx.now(), cafe_ids=[cafe_id])
    if not rows or rows[0].state == "planned":
        raise HTTPException(404, "Ce café n'existe pas, ou n'est pas encore annoncé.")
    return rows[0]


def subject(request: Request, use: str, token: str) -> UUID:
    """For whom a link is; 403 when it is not ours, not for this, or too old."""
    found = subject_of(request.app.state.runtime.settings.session_secret, use, token)
    if found is None:
        raise HTTPException(403, "Ce lien n'est pas le bon ou n'est plus valable : reprenez celui du dernier mail.")
    return UUID(found)


def public(email: str) -> Principal:
    """Stands for an address without an account, so that a repeated request is answered once."""
    return Principal(f"public/{hashlib.sha256(email.encode()).hexdigest()}", frozenset())


def id_of(principal: Principal) -> UUID:
    """Which request, household or facilitator a link is for."""
    return UUID(principal.subject.partition("/")[2])


def shown_cafe(row: Any) -> dict[str, Any]:
    """A café as everybody may see it; who runs it is not in it."""
    names = (
        "cafe_id",
        "school_year",
        "period",
        "theme",
        "state",
        "starts_at",
        "ends_at",
        "opens_at",
        "venue_title",
        "address",
        "commune_code",
        "accessible",
        "capacity_count",
        "free_count",
        "fictitious",
    )
    return {name: getattr(row, name) for name in names} | {"waiting_count": row.waiting}
