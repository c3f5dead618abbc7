"""HTTP of kits and of the directory of ambassadors: those who keep them, those who ask."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, HTTPException, Request

from common.commands import command
from common.failures import Refusal
from common.http import Answer, answer, database_of
from common.identity import Principal, caller_as
from common.pages import PARIS
from common.transaction import Transaction
from events import ambassador_handlers, ambassador_store, event_store, kit_handlers, kit_store, kits
from events.ambassador_store import Asker
from events.ambassadors import Visit
from events.bodies import AmbassadorBody, KitBody, LoanBody, ReturnBody, VisitBody
from events.http import PROFESSIONALS
from events.kit_handlers import OnLoan

# The agency and the territories' coordinators keep kits and the directory.
KEEPERS = ("agency", "coordinator")

Keeper = Annotated[Principal, Depends(caller_as(*KEEPERS))]
Professional = Annotated[Principal, Depends(caller_as(*PROFESSIONALS))]

router = APIRouter(prefix="/v1")


def keeps(principal: Principal | None) -> bool:
    """Whether somebody is one of those who keep kits and the directory."""
    return principal is not None and not principal.roles.isdisjoint(KEEPERS)


# -- kits


@router.get("/kits")
async def list_kits(request: Request) -> list[dict[str, Any]]:
    """Every kit that is lent, with the days on which it is taken; open to everyone."""
    async with database_of(request).transaction() as tx:
        rows = await kit_store.find_kits(tx)
        taken = await taken_days(tx, [row.kit_id for row in rows])
        names = ("kit_id", "title", "contents", "rome_codes", "commune_code", "out_of_order", "fictitious")
        return [{name: getattr(row, name) for name in names} | {"taken": taken.get(row.kit_id, [])} for row in rows]


async def taken_days(tx: Transaction, kit_ids: list[UUID]) -> dict[UUID, list[dict[str, Any]]]:
    """When kits are reserved or out, the day of looking over included; who has them stays hidden."""
    found: dict[UUID, list[dict[str, Any]]] = {}
    today = (await tx.now()).astimezone(PARIS).date()
    for row in await kit_store.loans(tx, kit_ids=kit_ids):
        if row.state in ("reserved", "out") and row.free_on >= today:
            found.setdefault(row.kit_id, []).append({"first_on": row.first_on, "free_on": row.free_on})
    return found


@command(*KEEPERS, api=router.put("/kits/{kit_id}"), asks=True)
async def describe_kit(tx: Transaction, principal: Principal, kit_id: UUID, body: KitBody) -> Answer:
    """A keeper adds, changes or withdraws a kit."""
    refusal = await kit_handlers.describe_kit(tx, principal.account, principal.contact, kit_id, body.description())
    return answer(refusal, {"kit_id": kit_id})


@command(*PROFESSIONALS, api=router.post("/kits/{kit_id}/loans"))
async def ask_for_kit(tx: Transaction, principal: Principal, kit_id: UUID, body: LoanBody) -> Answer:
    """Somebody asks for a kit: 201 with the loan, asked for or reserved; 409 with the days that are taken."""
    result = await kit_handlers.ask(
        tx,
        principal.account,
        principal.contact,
        kit_id,
        body.first_on,
        body.last_on,
        event_id=body.event_id,
        keeps_kits=keeps(principal),
    )
    if isinstance(result, Refusal):
        return answer(result, None)
    return 201, {"loan_id": result.loan_id, "state": result.state}


@router.get("/loans")
async def my_loans(request: Request, principal: Professional) -> dict[str, Any]:
    """Loans that the caller asked for, and those of the kits that it keeps."""
    async with database_of(request).transaction() as tx:
        today = (await tx.now()).astimezone(PARIS).date()
        names = ("loan_id", "kit_id", "title", "first_on", "last_on", "event_id")
        account = principal.account
        sides = {
            "borrowed": await kit_store.loans(tx, borrower=account),
            "lent": await kit_store.loans(tx, keeper=account),
        }
        return {
            side: [
                {name: getattr(row, name) for name in names} | {"state": kit_store.loan_of(row).shown_as(today)}
                for row in rows
            ]
            for side, rows in sides.items()
        }


# What a keeper does with a loan.
KEEPER_ACTIONS: dict[str, OnLoan] = {
    "reservation": lambda kit, loan, now, _: kits.reserve(kit, loan, now),
    "refusal": lambda kit, loan, now, _: kits.end(kit, loan, "keeper", now),
    "hand-over": lambda kit, loan, now, today: kits.take_out(kit, loan, today, now),
}


@command(*KEEPERS, api=router.post("/loans/{loan_id}/return"))
async def return_kit(tx: Transaction, principal: Principal, loan_id: UUID, body: ReturnBody) -> Answer:
    """A kit came back, damaged or not."""
    refusal = await kit_handlers.answer(
        tx,
        principal.account,
        loan_id,
        lambda kit, loan, now, today: kits.give_back(kit, loan, damaged=body.damaged, today=today, now=now),
    )
    return answer(refusal, {"loan_id": loan_id})


@command(*PROFESSIONALS, api=router.post("/loans/{loan_id}/cancellation"))
async def give_loan_up(tx: Transaction, principal: Principal, loan_id: UUID) -> Answer:
    """A borrower no longer needs it."""
    return answer(await kit_handlers.give_up(tx, principal.account, loan_id), {"loan_id": loan_id})


@command(*KEEPERS, api=router.post("/loans/{loan_id}/{action}"))
async def answer_loan(tx: Transaction, principal: Principal, loan_id: UUID, action: str) -> Answer:
    """A keeper reserves, refuses, hands over."""
    if action not in KEEPER_ACTIONS:
        raise HTTPException(404, f"Actions possibles : {', '.join(KEEPER_ACTIONS)}, return, cancellation.")
    refusal = await kit_handlers.answer(tx, principal.account, loan_id, KEEPER_ACTIONS[action])
    return answer(refusal, {"loan_id": loan_id})


@command(*KEEPERS, api=router.post("/kits/{kit_id}/repair"))
async def repair_kit(tx: Transaction, principal: Principal, kit_id: UUID) -> Answer:
    """A damaged kit is in order again."""
    return answer(await kit_handlers.mend(tx, principal.account, kit_id), {"kit_id": kit_id})


# -- ambassadors


@router.get("/ambassadors")
async def list_ambassadors(request: Request, principal: Keeper) -> list[dict[str, Any]]:
    """The directory, for those who keep it."""
    names = ("ambassador_id", "title", "email", "kind", "rome_codes", "commune_code", "radius_km", "withdrawn")
    async with database_of(request).transaction() as tx:
        return [{name: getattr(row, name) for name in names} for row in await ambassador_store.people(tx)]


@command(*KEEPERS, api=router.put("/ambassadors/{ambassador_id}"), asks=True)
async def describe_ambassador(
    tx: Transaction, principal: Principal, ambassador_id: UUID, body: AmbassadorBody
) -> Answer:
    """A coordinator adds somebody who agreed to be in the directory, or changes what it says."""
    refusal = await ambassador_handlers.describe(tx, ambassador_id, body.email, body.title, body.description())
    return answer(refusal, {"ambassador_id": ambassador_id})


@command(*PROFESSIONALS, api=router.post("/visits"))
async def ask_for_visit(tx: Transaction, principal: Principal, body: VisitBody) -> Answer:
    """A school or an organiser wishes to hear somebody: 201, the first who fits is asked; 409 when nobody does."""
    account = principal.account
    if body.event_id is not None and not await event_store.is_organised_by(tx, body.event_id, account):
        return answer(ambassador_handlers.NOT_YOURS, None)
    asker = Asker(account, principal.display, principal.contact, body.details, body.event_id)
    visit = Visit(uuid4(), account, body.rome_code, body.kind, body.commune_code, body.visit_on)
    result = await ambassador_handlers.ask_for(tx, asker, visit)
    if isinstance(result, Refusal):
        return answer(result, None)
    return 201, {"visit_id": result.visit_id, "state": result.state, "due_at": result.due_at}


@router.get("/visits")
async def my_visits(request: Request, principal: Professional) -> list[dict[str, Any]]:
    """Visits that the caller asked for; who comes is told once they have accepted."""
    names = (
        "visit_id",
        "rome_code",
        "visit_on",
        "commune_code",
        "state",
        "asked_count",
        "due_at",
        "ambassador_title",
        "ambassador_email",
    )
    async with database_of(request).transaction() as tx:
        rows = await ambassador_store.visits(tx, asker=principal.account)
        return [{name: getattr(row, name) for name in names} for row in rows]


@command(*PROFESSIONALS, api=router.post("/visits/{visit_id}/cancellation"))
async def cancel_visit(tx: Transaction, principal: Principal, visit_id: UUID) -> Answer:
    """Whoever asked gives up; who was to come is told."""
    return answer(await ambassador_handlers.cancel(tx, principal.account, visit_id), {"visit_id": visit_id})
