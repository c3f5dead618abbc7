"""HTTP of owners: their platforms, the time that they offer and keep, and the bookings that they received."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from common.commands import command
from common.failures import Refusal
from common.http import Answer, answer, database_of, problem, run_command
from common.identity import Principal, caller_as
from common.mail import reachable, unreached
from common.transaction import Transaction
from platform_scheduling import handlers, photos, search, store, time_store
from platform_scheduling.bodies import BlockBody, CalendarBody, PlatformBody, RefusalBody, SlotBody, WindowBody
from platform_scheduling.busy_calendar import Unreadable
from platform_scheduling.handlers import Acting
from platform_scheduling.http import (
    FEED_PAST,
    PhotoNumber,
    busy_spans,
    moved,
    owner_of,
    shown_booking,
    shown_booking_of,
)

Owner = Annotated[Principal, Depends(caller_as("owner"))]

router = APIRouter(prefix="/v1")


@router.get("/platforms/mine")
async def my_platforms(request: Request, principal: Owner) -> list[dict[str, Any]]:
    """The owner's platforms with their windows, and the address of each one's calendar."""
    async with database_of(request).transaction() as tx:
        return [
            search.shown(row)
            | {
                "unit_count": row.unit_count,
                "withdrawn": row.withdrawn,
                "access": row.access,
                "windows": [window.__dict__ for window in await time_store.windows_of(tx, row.platform_id)],
                "calendar": tx.address(f"/calendriers/{row.feed_secret}.ics"),
            }
            for row in await store.platforms_of(tx, owner_of(principal))
        ]


@command("owner", api=router.put("/platforms/{platform_id}"), asks=True)
async def describe_platform(tx: Transaction, principal: Principal, platform_id: UUID, body: PlatformBody) -> Answer:
    """An owner publishes, changes or withdraws a platform; `units` are the titles of its places, in order."""
    owner = owner_of(principal)
    refusal = await handlers.describe_platform(
        tx, owner, principal.contact, platform_id, body.description(), body.units
    )
    return answer(refusal, {"platform_id": platform_id})


@command("owner", api=router.put("/platforms/{platform_id}/windows/{window_id}"), asks=True)
async def put_window(
    tx: Transaction, principal: Principal, platform_id: UUID, window_id: UUID, body: WindowBody
) -> Answer:
    """The owner offers time."""
    refusal = await handlers.put_window(tx, owner_of(principal), platform_id, body.window(window_id))
    return answer(refusal, {"window_id": window_id})


@command("owner", api=router.delete("/platforms/{platform_id}/windows/{window_id}"), asks=True)
async def drop_window(tx: Transaction, principal: Principal, platform_id: UUID, window_id: UUID) -> Answer:
    """The owner no longer offers it; what is held stays, who waits in line for it does not."""
    refusal = await handlers.drop_window(tx, owner_of(principal), platform_id, window_id)
    return answer(refusal, {"window_id": window_id})


@command("owner", api=router.put("/platforms/{platform_id}/blocks/{block_id}"), asks=True)
async def put_block(
    tx: Transaction, principal: Principal, platform_id: UUID, block_id: UUID, body: BlockBody
) -> Answer:
    """The owner keeps time for itself."""
    refusal = await handlers.block(tx, owner_of(principal), platform_id, block_id, body.busy(), body.note)
    return answer(refusal, {"block_id": block_id})


@command("owner", api=router.delete("/platforms/{platform_id}/blocks/{block_id}"))
async def drop_block(tx: Transaction, principal: Principal, platform_id: UUID, block_id: UUID) -> Answer:
    """The owner gives kept time back."""
    refusal = await handlers.unblock(tx, owner_of(principal), platform_id, block_id)
    return answer(refusal, {"block_id": block_id})


@command("owner")
async def take_calendar(tx: Transaction, principal: Principal, platform_id: UUID, body: CalendarBody) -> Answer:
    """What the owner's own calendar keeps, in place of what the one before did."""
    result = await handlers.import_calendar(
        tx, owner_of(principal), platform_id, body.spans, replace_with_nothing=body.replace_with_nothing
    )
    if isinstance(result, Refusal):
        return answer(result, None)
    return 200, {"span_count": len(body.spans), "bookings_in_the_way": result}


@router.put("/platforms/{platform_id}/calendar")
async def import_calendar(
    request: Request, platform_id: UUID, principal: Owner, replace_with_nothing: bool = False
) -> Response:
    """The owner's own calendar (text/calendar), which replaces the one before; bookings in its way are named and stay.

    One with nothing busy is refused (409, `nothing_busy`) where it would erase what was, unless `replace_with_nothing` is true.
    """
    try:
        spans = await busy_spans(database_of(request), await request.body())
    except Unreadable as error:
        return problem(422, str(error), reason=error.reason)
    body = CalendarBody(spans=spans, replace_with_nothing=replace_with_nothing)
    facts = hashlib.sha256(repr(body).encode()).hexdigest()
    run = partial(take_calendar.run, principal=principal, platform_id=platform_id, body=body)
    return await run_command(request, principal, facts, run)


@router.put("/platforms/{platform_id}/photos/{number}")
async def put_photo(
    request: Request,
    platform_id: UUID,
    number: PhotoNumber,
    principal: Owner,
    caption: Annotated[str, Query(max_length=120)] = "",
) -> Response:
    """A photo (JPEG, PNG, WebP), written anew at 1,280 pixels; `caption` says what is on it to those who do not see it."""
    try:
        content = await photos.rewritten(await request.body())
    except ValueError as error:
        return problem(422, str(error), reason="unreadable_photo")

    async def run(tx: Transaction) -> Answer:
        refusal = await handlers.put_photo(tx, owner_of(principal), platform_id, number, caption, content)
        return answer(refusal, {"photo": f"/plateaux/{platform_id}/photos/{number}"})

    return await run_command(request, principal, hashlib.sha256(content).hexdigest(), run)


@command("owner", api=router.delete("/platforms/{platform_id}/photos/{number}"))
async def drop_photo(tx: Transaction, principal: Principal, platform_id: UUID, number: PhotoNumber) -> Answer:
    """Takes a photo away."""
    return answer(await handlers.drop_photo(tx, owner_of(principal), platform_id, number), {"number": number})


@router.get("/received-bookings")
async def received_bookings(request: Request, principal: Owner) -> list[dict[str, Any]]:
    """Bookings of the owner's platforms that are not over, and those of the last days; `reachable`: whether mail gets there."""
    async with database_of(request).transaction() as tx:
        rows = await store.bookings(tx, owner_code=owner_of(principal), since=await tx.now() - FEED_PAST)
        lost = await unreached(tx, (row.contact_email for row in rows))
        return [
            shown_booking(row)
            | {
                "requester_title": row.requester_title,
                "purpose": row.purpose,
                "reachable": reachable(row.contact_email, lost),
            }
            for row in rows
        ]


@command("owner", api=router.post("/received-bookings/{booking_id}/refusal"))
async def refuse(tx: Transaction, principal: Principal, booking_id: UUID, body: RefusalBody) -> Answer:
    """The owner refuses with a closed reason."""
    refusal = await handlers.refuse(tx, owner_of(principal), booking_id, body.reason)
    return answer(refusal, await shown_booking_of(tx, booking_id))


@command("owner", api=router.post("/received-bookings/{booking_id}/move"))
async def owner_moves(tx: Transaction, principal: Principal, booking_id: UUID, body: SlotBody) -> Answer:
    """The owner moves a booking; what was approved stays so."""
    return await moved(tx, booking_id, body, Acting(owner_code=owner_of(principal)))


@command("owner", api=router.post("/received-bookings/{booking_id}/{action}"))
async def owner_acts(
    tx: Transaction, principal: Principal, booking_id: UUID, action: Literal["approval", "cancellation", "no-show"]
) -> Answer:
    """The owner approves, cancels, or says that nobody came."""
    owner = owner_of(principal)
    match action:
        case "approval":
            refusal = await handlers.approve(tx, owner, booking_id)
        case "cancellation":
            refusal = await handlers.cancel(tx, Acting(owner_code=owner), booking_id)
        case _:
            refusal = await handlers.miss(tx, owner, booking_id)
    return answer(refusal, await shown_booking_of(tx, booking_id))
