"""HTTP of coordinators: venues, facilitators, their season. A coordinator touches its own only; the agency may help everywhere."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Request

from common.commands import command
from common.http import Answer, answer, database_of
from common.identity import Principal, caller_as
from common.mail import reachable, unreached
from common.transaction import Transaction
from parents_cafes import household_store, season_handlers, season_store, store, venue_store, words
from parents_cafes.bodies import CafeBody, CheckInBody, FacilitatorBody, VenueBody
from parents_cafes.http import shown_cafe
from parents_cafes.state import Coordinator

COORDINATORS = ("coordinator", "agency")
Caller = Annotated[Principal, Depends(caller_as(*COORDINATORS))]

router = APIRouter(prefix="/v1")


@command(*COORDINATORS, api=router.put("/venues/{venue_id}"), asks=True)
async def put_venue(tx: Transaction, principal: Principal, venue_id: UUID, body: VenueBody) -> Answer:
    """Describes a venue, whole."""
    refusal = await season_handlers.describe_venue(tx, coordinator_of(principal), body.venue(venue_id))
    return answer(refusal, {"venue_id": venue_id})


@router.get("/venues")
async def list_venues(request: Request, principal: Caller) -> list[dict[str, Any]]:
    """Every venue."""
    async with database_of(request).transaction() as tx:
        rows = await venue_store.venues(tx)
    names = ("venue_id", "title", "kind", "commune_code", "address", "capacity_count", "accessible")
    return [{name: getattr(row, name) for name in names} for row in rows]


@command(*COORDINATORS, api=router.put("/facilitators/{facilitator_id}"))
async def put_facilitator(tx: Transaction, principal: Principal, facilitator_id: UUID, body: FacilitatorBody) -> Answer:
    """Describes who runs exchanges."""
    who = coordinator_of(principal)
    refusal = await season_handlers.describe_facilitator(tx, who, facilitator_id, body.title, body.email)
    return answer(refusal, {"facilitator_id": facilitator_id})


@router.get("/cafes/mine")
async def my_cafes(request: Request, principal: Caller) -> list[dict[str, Any]]:
    """The caller's cafés, planned ones too, with their seats."""
    async with database_of(request).transaction() as tx:
        rows = await season_store.cafes(tx, await tx.now())
    return [dict(shown_cafe(row)) for row in rows if row.coordinator_account == coordinator_of(principal).account]


@command(*COORDINATORS, api=router.put("/cafes/{cafe_id}"), asks=True)
async def put_cafe(tx: Transaction, principal: Principal, cafe_id: UUID, body: CafeBody) -> Answer:
    """Plans a café, or changes one; its day gives its period."""
    venue = await venue_store.find_venue(tx, body.venue_id)
    if venue is None:
        return answer(season_handlers.NO_VENUE, None)
    refusal = await season_handlers.plan_cafe(tx, coordinator_of(principal), cafe_id, body.plan(venue))
    return answer(refusal, {"cafe_id": cafe_id})


@command(*COORDINATORS, api=router.post("/cafes/{cafe_id}/opening"))
async def open_cafe(tx: Transaction, principal: Principal, cafe_id: UUID) -> Answer:
    """Opens registrations."""
    return answer(await season_handlers.open_cafe(tx, coordinator_of(principal), cafe_id), {"id": cafe_id})


@command(*COORDINATORS, api=router.post("/cafes/{cafe_id}/cancellation"), asks=True)
async def cancel_cafe(tx: Transaction, principal: Principal, cafe_id: UUID) -> Answer:
    """Calls a café off; every household is told, and comes first next time."""
    return answer(await season_handlers.call_off(tx, coordinator_of(principal), cafe_id), {"id": cafe_id})


@router.get("/cafes/{cafe_id}/registrations")
async def list_registrations(request: Request, cafe_id: UUID, principal: Caller) -> list[dict[str, Any]]:
    """Who is registered, who waits in which order, whom mail does not reach; the caller's own cafés only."""
    async with database_of(request).transaction() as tx:
        await mine(tx, principal, cafe_id)
        rows = await household_store.registrations(tx, cafe_id=cafe_id)
        lost = await unreached(tx, (row.email for row in rows))
    names = (
        "registration_id",
        "state",
        "seat_count",
        "priority",
        "joined_at",
        "due_at",
        "moved_until",
        "visitor_count",
    )
    return [
        {name: getattr(row, name) for name in (*names, "end_reason", "code", "household_title")}
        | {"reachable": reachable(row.email, lost)}
        for row in rows
    ]


@command(*COORDINATORS, api=router.post("/cafes/{cafe_id}/check-ins"))
async def check_in(tx: Transaction, principal: Principal, cafe_id: UUID, body: CheckInBody) -> Answer:
    """How many of a household came."""
    await mine(tx, principal, cafe_id)
    refusal = await season_handlers.check_in(tx, cafe_id, body.registration_id, body.visitor_count)
    return answer(refusal, {"registration_id": body.registration_id})


@command(*COORDINATORS, api=router.post("/registrations/{registration_id}/cancellation"))
async def cancel_registration(tx: Transaction, principal: Principal, registration_id: UUID) -> Answer:
    """Cancels for a household that phoned."""
    refusal = await season_handlers.cancel_for(tx, coordinator_of(principal), registration_id)
    return answer(refusal, {"id": registration_id})


@router.get("/season")
async def season_of(request: Request, principal: Caller, period: str = "") -> dict[str, Any]:
    """A period (`2026-2027-DECEMBER`; the present or next one by itself): every café, and what the pass would make of it now."""
    async with database_of(request).transaction() as tx:
        now = await tx.now()
        policy = await store.policy_at(tx, now)
        chosen = words.period_typed(period) or policy.period_at(now.date())
        rows = await season_store.cafes(tx, now, period=chosen)
        verdicts = await season_handlers.forecast(tx, chosen, policy, now)
    return {
        "as_of": now,
        "period": words.period_code(chosen),
        "cafes": [
            {**shown_cafe(row), "forecast": verdicts[row.cafe_id].__dict__ if row.cafe_id in verdicts else None}
            for row in rows
        ],
    }


# -- what routes and pages share


async def mine(tx: Transaction, principal: Principal, cafe_id: UUID) -> Any:
    """A café of the caller's; 404 when there is none, 403 when it is another's."""
    rows = await season_store.cafes(tx, await tx.now(), cafe_ids=[cafe_id])
    if not rows:
        raise HTTPException(404, "Ce café n'existe pas.")
    who = coordinator_of(principal)
    if not who.may_all and rows[0].coordinator_account != who.account:
        raise HTTPException(403, "Ce café est suivi par quelqu'un d'autre.")
    return rows[0]


def coordinator_of(principal: Principal) -> Coordinator:
    """Who acts on a season; the agency may help everywhere."""
    return Coordinator(principal.account, principal.contact, may_all="agency" in principal.roles)
