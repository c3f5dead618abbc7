"""HTTP: parse, handler, answer. Whose host, seeker or school is acting comes from the token, never from the body."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Query, Request

from common.commands import command
from common.failures import Refusal
from common.http import Answer, answer, database_of
from common.identity import Principal, caller, caller_as
from common.mail import reachable, unreached
from common.transaction import Transaction
from stage_matching import claims, handlers, hosts, requests, search, store
from stage_matching.bodies import (
    ApplicationBody,
    CharterBody,
    HostBody,
    IsoWeek,
    LabelEndBody,
    OfferBody,
    RefusalBody,
    RequestBody,
    checked_uai,
)
from stage_matching.handlers import Acting
from stage_matching.messages import Audience
from territory.places import CommuneCode

Agency = Annotated[Principal, Depends(caller_as("agency"))]
Host = Annotated[Principal, Depends(caller_as("host"))]
Caller = Annotated[Principal, Depends(caller)]

router = APIRouter(prefix="/v1")


# -- organisations


@command("host", api=router.put("/host"))
async def describe_host(tx: Transaction, principal: Principal, body: HostBody) -> Answer:
    """An organisation registers or changes its own description; 202 when a table has brought it and somebody must say yes."""
    host_id = await host_of(tx, principal)
    asked = await claims.ask(tx, host_id, body.siret, principal.contact)
    if isinstance(asked, Refusal):
        return answer(asked, None)
    if asked is not None:
        return 202, asked
    return answer(await hosts.describe(tx, host_id, body.identity(), principal.contact), {"host_id": host_id})


@router.get("/hosts")
async def list_hosts(request: Request, principal: Agency) -> list[dict[str, Any]]:
    """Every organisation, for the agency."""
    async with database_of(request).transaction() as tx:
        return [dict(row._mapping) for row in await hosts.listed(tx)]


@command("host", api=router.post("/host/charter"))
async def sign_charter(tx: Transaction, principal: Principal, body: CharterBody) -> Answer:
    """The organisation signs the charter of engagement, from today on."""
    host_id = await host_of(tx, principal)
    return answer(await hosts.sign_charter(tx, host_id, body.commitments), {"host_id": host_id})


@command("host", api=router.post("/host/reinstatement"))
async def reinstate_oneself(tx: Transaction, principal: Principal) -> Answer:
    """An organisation that was suspended for its silence says that it answers again."""
    host_id = await host_of(tx, principal)
    return answer(await hosts.reinstate(tx, host_id, by_agency=False), {"host_id": host_id})


@command("agency", api=router.post("/hosts/{host_id}/label-withdrawal"))
async def withdraw_label(tx: Transaction, principal: Principal, host_id: UUID, body: LabelEndBody) -> Answer:
    """The agency withdraws the label."""
    return answer(await hosts.withdraw_label(tx, host_id, body.reason), {"host_id": host_id})


@command("agency", api=router.post("/hosts/{host_id}/suspension"), asks=True)
async def suspend_host(tx: Transaction, principal: Principal, host_id: UUID) -> Answer:
    """The agency takes an organisation's offers out of sight, and ends what waits there."""
    return answer(await handlers.suspend_host(tx, host_id), {"host_id": host_id})


@command("agency", api=router.post("/hosts/{host_id}/{action}"))
async def act_on_host(
    tx: Transaction, principal: Principal, host_id: UUID, action: Literal["label", "reinstatement"]
) -> Answer:
    """The agency awards the label, or reinstates."""
    acts = hosts.award_label if action == "label" else partial(hosts.reinstate, by_agency=True)
    return answer(await acts(tx, host_id), {"host_id": host_id})


# -- claims on organisations that a table brought


@router.get("/host-claims")
async def list_claims(request: Request, principal: Agency) -> list[dict[str, Any]]:
    """Every claim that nobody has answered, for the agency."""
    async with database_of(request).transaction() as tx:
        return [dict(row._mapping) for row in await claims.waiting(tx)]


@command("agency", api=router.post("/host-claims/{claim_id}/{action}"))
async def answer_claim(
    tx: Transaction, principal: Principal, claim_id: UUID, action: Literal["acceptance", "refusal"]
) -> Answer:
    """The agency says whether an account is the organisation's own."""
    return answer(await claims.decide(tx, claim_id, accepted=action == "acceptance"), {"claim_id": claim_id})


# -- offers


@command("host", api=router.put("/offers/{offer_id}"), asks=True)
async def describe_offer(tx: Transaction, principal: Principal, offer_id: UUID, body: OfferBody) -> Answer:
    """A host publishes, changes or suspends an offer; `seats` replaces the seats of every week."""
    host_id = await host_of(tx, principal)
    if await hosts.find(tx, host_id) is None:
        return answer(hosts.NOT_REGISTERED, None)
    refusal = await handlers.describe_offer(tx, host_id, offer_id, body.description(), body.seats)
    return answer(refusal, {"offer_id": offer_id})


@router.get("/offers/mine")
async def my_offers(request: Request, principal: Host) -> list[dict[str, Any]]:
    """The host's offers with their weeks."""
    async with database_of(request).transaction() as tx:
        return [search.shown(row) for row in await store.offers_of(tx, await host_of(tx, principal))]


@router.get("/offers")
async def find_offers(
    request: Request,
    commune_code: CommuneCode,
    radius_km: Annotated[int, Query(ge=1, le=200)] = 30,
    rome: Annotated[str, Query(pattern=r"^[A-N]?([0-9]{2}){0,2}$")] = "",
    iso_week: IsoWeek | None = None,
    audience: Audience | None = None,
) -> dict[str, Any]:
    """Offers with a seat left around a commune, nearest first; open to everyone."""
    async with database_of(request).transaction() as tx:
        return await search.offers(
            tx, commune_code, radius_km, rome=rome, iso_week=iso_week, audience=audience and audience.value
        )


# -- applications


@command("seeker", api=router.put("/request"))
async def file_request(tx: Transaction, principal: Principal, body: RequestBody) -> Answer:
    """A seeker tells who they are, as far as hosts need to know, and what they look for."""
    wish = body.wish()
    refusal = await requests.why_not_guardian(tx, principal.subject, principal.contact, wish)
    if refusal is not None:
        return answer(refusal, None)
    request_id = await handlers.file_request(tx, principal.subject, principal.contact, wish, principal.display)
    return 200, {"request_id": request_id}


@command("seeker", api=router.delete("/request"))
async def withdraw_request(tx: Transaction, principal: Principal) -> Answer:
    """A seeker looks for nothing any longer."""
    return answer(await handlers.withdraw_request(tx, principal.subject), {})


@command("seeker", api=router.post("/applications"))
async def apply(tx: Transaction, principal: Principal, body: ApplicationBody) -> Answer:
    """Applies for an offer: 201 with the application, 409 with the reason."""
    result = await handlers.apply(tx, principal.subject, body.offer_id, tuple(body.iso_weeks), body.letter)
    if isinstance(result, Refusal):
        return answer(result, None)
    return 201, await shown_application(tx, result)


@router.get("/applications")
async def my_applications(request: Request, principal: Caller) -> list[dict[str, Any]]:
    """A seeker's applications, or those that a host received; `reachable`: whether mail gets to the other side."""
    async with database_of(request).transaction() as tx:
        if "host" in principal.roles:
            rows, other = await store.applications_of(tx, host_id=await host_of(tx, principal)), "seeker_email"
        else:
            seeker_id = await store.lock_seeker(tx, account=principal.require("seeker").subject)
            rows, other = await store.applications_of(tx, seeker_id=seeker_id), "host_email"
        lost = await unreached(tx, (getattr(row, other) for row in rows))
        return [_shown(row) | {"reachable": reachable(getattr(row, other), lost)} for row in rows]


@command("seeker", "school", api=router.post("/applications/{application_id}/{action}"))
async def seeker_acts(
    tx: Transaction, principal: Principal, application_id: UUID, action: Literal["confirmation", "withdrawal"]
) -> Answer:
    """The seeker, or the school of a pupil, confirms, which releases the others for these weeks, or withdraws."""
    handler = {"confirmation": handlers.confirm, "withdrawal": handlers.withdraw}[action]
    refusal = await handler(tx, acting(principal), application_id)
    return answer(refusal, await shown_application(tx, application_id))


@command("host", api=router.post("/received-applications/{application_id}/refusal"))
async def refuse(tx: Transaction, principal: Principal, application_id: UUID, body: RefusalBody) -> Answer:
    """The host refuses with a closed reason."""
    refusal = await handlers.refuse(tx, await host_of(tx, principal), application_id, body.reason)
    return answer(refusal, await shown_application(tx, application_id))


@command("host", api=router.post("/received-applications/{application_id}/{action}"))
async def host_acts(
    tx: Transaction, principal: Principal, application_id: UUID, action: Literal["view", "acceptance"]
) -> Answer:
    """The host opens an application, or accepts it: a seat is taken in each of its weeks."""
    handler = {"view": handlers.see, "acceptance": handlers.accept}[action]
    refusal = await handler(tx, await host_of(tx, principal), application_id)
    return answer(refusal, await shown_application(tx, application_id))


# -- what routes share


def acting(principal: Principal) -> Acting:
    """For whom a caller may act: a school for its pupils, a seeker for themselves."""
    if "school" in principal.roles:
        return Acting(uai=school_of(principal))
    return Acting(account=principal.require("seeker").subject, display_name=principal.display)


async def host_of(tx: Transaction, principal: Principal) -> UUID:
    """The organisation that a host's account acts for; 403 when it belongs to none."""
    return await claims.host_of_account(tx, structure_of(principal))


def structure_of(principal: Principal) -> UUID:
    """The id of an account's organisation, as the issuer gives it; 403 when it belongs to none."""
    try:
        return UUID(str(principal.structure_id))
    except ValueError:
        raise HTTPException(403, "Ce compte n'est rattaché à aucun organisme.") from None


def school_of(principal: Principal) -> str:
    """The school that an account belongs to; 403 when it belongs to none."""
    try:
        return checked_uai(str(principal.structure_id))
    except ValueError:
        raise HTTPException(403, "Ce compte n'est rattaché à aucun établissement.") from None


async def shown_application(tx: Transaction, application_id: UUID) -> dict[str, Any]:
    """An application as JSON, or nothing when there is none."""
    rows = await store.applications_of(tx, application_id=application_id)
    return _shown(rows[0]) if rows else {}


def _shown(row: Any) -> dict[str, Any]:
    names = (
        "application_id",
        "offer_id",
        "title",
        "host_name",
        "state",
        "origin",
        "campaign_id",
        "iso_weeks",
        "submitted_at",
        "seen_at",
        "due_at",
        "ended_at",
        "refusal_reason",
        "audience",
        "letter",
        "agreement_id",
        "agreement_state",
        "terms_version",
        "terms_sha256",
    )
    return {name: getattr(row, name) for name in names}
