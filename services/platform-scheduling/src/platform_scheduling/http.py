"""HTTP: parse, handler, answer. Whose platform or booking it is comes from the token, never from the body."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request
from fastapi.responses import Response

from common.bodies import YEARS
from common.case_links import CaseBody
from common.commands import command
from common.failures import Refusal
from common.http import Answer, answer, database_of, tagged
from common.identity import Principal, caller_as
from common.transaction import Database, Transaction
from platform_scheduling import busy_calendar, calendar_feed, handlers, photos, search, store, time_store
from platform_scheduling.bodies import CAPACITY_MAX, BookingBody, MoveBody, SlotBody, checked_owner
from platform_scheduling.handlers import Acting
from platform_scheduling.state import Booking, Span
from territory.equipment import EQUIPMENT
from territory.places import CommuneCode

# Professionals book: schools, hosts, partner structures, prescribers, owners themselves, the agency.
REQUESTERS = ("school", "host", "partner", "prescriber", "owner", "agency")
FEED_PAST, CALENDAR_AHEAD = timedelta(days=90), timedelta(days=400)
FREE_DAYS_MAX = 31

Requester = Annotated[Principal, Depends(caller_as(*REQUESTERS))]
PhotoNumber = Annotated[int, Path(ge=1, le=photos.PHOTOS_MAX)]

router = APIRouter(prefix="/v1")
feeds = APIRouter()


# -- the catalogue


@router.get("/equipment")
async def list_equipment() -> list[dict[str, Any]]:
    """Every kind of equipment: code, French title, ROME codes."""
    return [one.__dict__ for one in EQUIPMENT.values()]


@router.get("/free-slots")
async def find_free_slots(
    request: Request,
    commune_code: CommuneCode,
    on: date,
    radius_km: Annotated[int, Query(ge=1, le=200)] = 30,
    equipment: str | None = None,
    group_size: Annotated[int, Query(ge=1, le=CAPACITY_MAX)] = 1,
    minutes: Annotated[int, Query(ge=15, le=1440)] = 60,
    accessible: bool = False,
) -> dict[str, Any]:
    """Platforms with free time on a day around a commune, nearest first; open to everyone."""
    if equipment is not None and equipment not in EQUIPMENT:
        raise HTTPException(422, f"Équipement inconnu ; connus : {', '.join(EQUIPMENT)}.")
    async with database_of(request).transaction() as tx:
        found = await search.platforms(
            tx,
            commune_code,
            radius_km,
            _sensible(on),
            minutes=minutes,
            group_size=group_size,
            equipment=equipment,
            accessible=accessible,
        )
    for one in found["platforms"]:
        one["free"] = [slot.__dict__ for slot in one["free"]]
    return found


@router.get("/platforms/{platform_id}")
async def show_platform(request: Request, platform_id: UUID) -> dict[str, Any]:
    """A platform as everybody may see it."""
    async with database_of(request).transaction() as tx:
        row = await published(tx, platform_id)
        units = await store.units_of(tx, platform_id)
        return search.shown(row) | {"units": [{"number": unit.number, "title": unit.title} for unit in units]}


@router.get("/platforms/{platform_id}/free")
async def free_time(
    request: Request, platform_id: UUID, on: date, days: Annotated[int, Query(ge=1, le=FREE_DAYS_MAX)] = 7
) -> dict[str, Any]:
    """The free time of one platform over some days; why the rest is not free stays hidden."""
    async with database_of(request).transaction() as tx:
        row = await published(tx, platform_id)
        found = await search.free_of(tx, row, search.day_span(_sensible(on), days))
        return {"as_of": await tx.now(), "free": [slot.__dict__ for slot in found]}


# -- the requester's side


@command(*REQUESTERS, api=router.post("/bookings"))
async def book(tx: Transaction, principal: Principal, body: BookingBody) -> Answer:
    """Asks for a slot: 201 with the booking, approved, tentative or in line; 409 with the reason.

    `overlaps` lists what the requester has on other platforms at the same hour; the same request with `overlapping` goes on.
    """
    result = await book_as(tx, principal, body)
    if isinstance(result, Refusal):
        return answer(result, None)
    return 201, await shown_booking_of(tx, result.booking_id)


@router.get("/bookings")
async def my_bookings(request: Request, principal: Requester) -> dict[str, Any]:
    """The requester's bookings, and the address of their calendar once they have booked."""
    async with database_of(request).transaction() as tx:
        requester = await store.find_requester(tx, account_of(principal))
        if requester is None:
            return {"bookings": [], "calendar": None}
        rows = await store.bookings(tx, requester_id=requester.requester_id, since=await tx.now() - FEED_PAST)
        return {
            "bookings": [shown_booking(row) for row in rows],
            "calendar": tx.address(f"/calendriers/{requester.feed_secret}.ics"),
        }


@command(*REQUESTERS, api=router.post("/bookings/{booking_id}/cancellation"))
async def requester_cancels(tx: Transaction, principal: Principal, booking_id: UUID) -> Answer:
    """The requester gives a booking up; late ones are counted."""
    refusal = await handlers.cancel(tx, Acting(account=account_of(principal)), booking_id)
    return answer(refusal, await shown_booking_of(tx, booking_id))


@command(*REQUESTERS, api=router.post("/bookings/{booking_id}/move"))
async def requester_moves(tx: Transaction, principal: Principal, booking_id: UUID, body: MoveBody) -> Answer:
    """The requester moves a booking; the owner answers anew unless the platform approves by itself. 409 `overlaps` as for a booking."""
    return await moved(tx, booking_id, body, Acting(account=account_of(principal)), overlapping=body.overlapping)


@command(*REQUESTERS, api=router.put("/bookings/{booking_id}/case"))
async def attach_case(tx: Transaction, principal: Principal, booking_id: UUID, body: CaseBody) -> Answer:
    """Which case of the dropout observatory a booking is for; null for none. The observatory alone is told."""
    refusal = await handlers.attach_case(tx, account_of(principal), booking_id, body.case_code)
    return answer(refusal, {"booking_id": booking_id})


async def moved(tx: Transaction, booking_id: UUID, body: SlotBody, who: Acting, *, overlapping: bool = False) -> Answer:
    """Moves a booking for one of its parties."""
    refusal = await handlers.move(tx, who, booking_id, body.span(), overlapping=overlapping)
    return answer(refusal, await shown_booking_of(tx, booking_id))


# -- what anybody's software may fetch


@feeds.get("/calendriers/{secret}.ics", include_in_schema=False)
async def calendar(request: Request, secret: UUID) -> Response:
    """A platform's bookings, or a requester's: whoever has the address may read it, nobody can guess it."""
    async with database_of(request).transaction() as tx:
        since = await tx.now() - FEED_PAST
        platform = await store.platform_of_feed(tx, secret)
        requester = await store.requester_of_feed(tx, secret)
        if platform is not None:
            rows = await store.bookings(tx, platform_id=platform.platform_id, since=since, limit=5000)
            # Who waits in line takes nothing of the owner's time yet.
            content = calendar_feed.feed(
                platform.title, [row for row in rows if row.state != "requested"], for_owner=True
            )
        elif requester is not None:
            rows = await store.bookings(tx, requester_id=requester.requester_id, since=since, limit=5000)
            content = calendar_feed.feed("Plateaux réservés", rows, for_owner=False)
        else:
            raise HTTPException(404, "Ce calendrier n'existe pas ou son adresse a changé.")
    headers = {"Cache-Control": "private, max-age=60", "X-Robots-Tag": "noindex"}
    return tagged(request, content, "text/calendar", headers)


@feeds.get("/plateaux/{platform_id}/photos/{number}", include_in_schema=False)
async def photo(request: Request, platform_id: UUID, number: PhotoNumber) -> Response:
    """A photo of a platform."""
    async with database_of(request).transaction() as tx:
        content = await time_store.photo_content(tx, platform_id, number)
    if content is None:
        raise HTTPException(404, "Cette photo n'existe pas.")
    headers = {"Cache-Control": "public, max-age=3600", "X-Content-Type-Options": "nosniff"}
    return Response(content, media_type="image/jpeg", headers=headers)


# -- what routes and pages share


async def book_as(tx: Transaction, principal: Principal, body: BookingBody) -> Refusal | Booking:
    """Books for a person: the structure that they belong to, or themselves."""
    return await handlers.book(
        tx,
        account=account_of(principal),
        title=principal.display or "Sans nom",
        contact=principal.contact,
        platform_id=body.platform_id,
        ask=body.ask(),
        purpose=body.purpose,
        overlapping=body.overlapping,
        case_code=body.case_code,
    )


async def busy_spans(database: Database, content: bytes) -> list[tuple[Span, str]]:
    """What an imported calendar keeps from now on; raises `Unreadable`."""
    async with database.transaction() as tx:
        now = await tx.now()
    return await busy_calendar.read(content, now, now + CALENDAR_AHEAD)


async def published(tx: Transaction, platform_id: UUID) -> Any:
    """A platform that everybody may see; 404 otherwise."""
    row = await store.find_platform(tx, platform_id)
    if row is None:
        raise HTTPException(404, "Ce plateau n'existe pas.")
    return row


def account_of(principal: Principal) -> str:
    """For whom a person books: their structure, so that colleagues see the same bookings, or themselves."""
    return principal.structure_id or principal.subject


def owner_of(principal: Principal) -> str:
    """The owner that an account belongs to; 403 when it belongs to none."""
    try:
        return checked_owner(str(principal.structure_id))
    except ValueError:
        raise HTTPException(403, "Ce compte n'est rattaché à aucun propriétaire de plateaux (UAI ou SIRET).") from None


def shown_booking(row: Any) -> dict[str, Any]:
    """A booking as both sides may see it."""
    names = (
        "booking_id",
        "platform_id",
        "title",
        "owner_title",
        "commune_code",
        "unit_title",
        "state",
        "origin",
        "starts_at",
        "ends_at",
        "group_size",
        "requested_at",
        "due_at",
        "ended_at",
        "end_reason",
        "refusal_reason",
        "broken_by",
        "late",
        "revision",
    )
    return {name: getattr(row, name) for name in names}


async def shown_booking_of(tx: Transaction, booking_id: UUID) -> dict[str, Any]:
    """A booking as JSON, or nothing when there is none."""
    rows = await store.bookings(tx, booking_id=booking_id)
    return shown_booking(rows[0]) if rows else {}


def _sensible(day: date) -> date:
    if day.year not in YEARS:
        raise HTTPException(422, f"L'année va de {YEARS[0]} à {YEARS[-1]}.")
    return day
