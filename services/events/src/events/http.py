"""HTTP: parse, handler, answer. Whose event or group it is comes from the token; families need none."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import JSONResponse, Response

from common.case_links import CaseBody
from common.commands import command
from common.failures import Refusal
from common.http import Answer, answer, database_of, tagged
from common.identity import Identity, Principal, caller_as
from common.links import signed_link
from common.transaction import Transaction
from events import event_store, handlers, party_store, publication
from events.bodies import GroupBody, PeopleBody, RegistrationBody
from events.event_store import description_of
from events.handlers import Applicant
from events.messages import EventAccess, EventKind, PartyKind
from territory import reference
from territory.identifiers import uai_is_valid
from territory.places import CommuneCode
from waiting_list.rules import bound

ORGANISERS = ("agency", "coordinator", "host", "school", "owner", "partner")
PROFESSIONALS = (*ORGANISERS, "prescriber", "operator")
INVITATION = "invitation"
AHEAD_MAX = timedelta(days=500)

School = Annotated[Principal, Depends(caller_as("school"))]

router = APIRouter(prefix="/v1")
feeds = APIRouter()


# -- what everybody may read


@router.get("/events")
async def list_events(
    request: Request,
    since: datetime | None = None,
    until: datetime | None = None,
    kind: EventKind | None = None,
    commune_code: CommuneCode | None = None,
    radius_km: Annotated[int, Query(ge=1, le=200)] = 30,
    audience: str | None = None,
) -> dict[str, Any]:
    """Public events to come, in the shape of OpenAgenda's API; open to everyone."""
    async with database_of(request).transaction() as tx:
        now = await tx.now()
        rows = await event_store.sessions(
            tx, now, since=aware(since) or now, until=aware(until) or now + AHEAD_MAX, only_public=True
        )
        near = {code for _, code in reference.communes_within(commune_code, radius_km)} if commune_code else None
        kept = [row for row in rows if _wanted(row, kind, near, audience)]
        return {"as_of": now, **publication.open_agenda(kept, lambda one: tx.address(f"/evenements/{one}"))}


def _wanted(row: Any, kind: EventKind | None, near: set[str] | None, audience: str | None) -> bool:
    what = row.description
    return (
        (kind is None or what["kind"] == kind.value)
        and (near is None or what["commune_code"] in near)
        and (audience is None or audience in what["audiences"])
    )


@router.get("/events/{event_id}")
async def show_event(request: Request, event_id: UUID, invitation: str | None = None) -> dict[str, Any]:
    """An event with its sessions and seats; one that is by invitation needs its invitation."""
    async with database_of(request).transaction() as tx:
        now = await tx.now()
        rows = await visible(request, tx, event_id, invitation, now)
        what = description_of(rows[0])
        return {
            "as_of": now,
            "event_id": event_id,
            "state": rows[0].event_state,
            **{
                name: getattr(what, name)
                for name in (
                    "kind",
                    "title",
                    "summary",
                    "access",
                    "attendance_mode",
                    "place_title",
                    "commune_code",
                    "audiences",
                    "rome_codes",
                    "organiser_title",
                    "fictitious",
                )
            },
            "sessions": [shown_session(row) for row in rows],
        }


@feeds.get("/evenements/{event_id}.jsonld", include_in_schema=False)
async def event_json_ld(request: Request, event_id: UUID) -> Response:
    """One event as schema.org has it."""
    async with database_of(request).transaction() as tx:
        rows = await visible(request, tx, event_id, None, await tx.now())
        document = publication.json_ld(event_id, rows, tx.address(f"/evenements/{event_id}"))
    return JSONResponse(document, media_type="application/ld+json", headers=OPEN_HEADERS)


@feeds.get("/evenements/{event_id}.ics", include_in_schema=False)
async def event_calendar(request: Request, event_id: UUID) -> Response:
    """The sessions of one event."""
    async with database_of(request).transaction() as tx:
        rows = await visible(request, tx, event_id, None, await tx.now())
        title = description_of(rows[0]).title
        content = publication.calendar(title, rows, lambda one: tx.address(f"/evenements/{one}"))
    return calendar_response(request, content)


# -- families


async def registrant(request: Request, body: RegistrationBody) -> Principal:
    """Stands for an address; a token, or a session on the pages, says whose it is, and opens what is for professionals."""
    identity: Identity = request.app.state.runtime.identity
    known = await identity.bearer(request) if "authorization" in request.headers else identity.session(request)
    asking = public(body.email)
    return replace(asking, roles=known.roles, contact=known.contact) if known is not None else asking


@command(who=registrant, api=router.post("/events/{event_id}/registrations"))
async def register(tx: Transaction, principal: Principal, event_id: UUID, body: RegistrationBody) -> Answer:
    """A family registers, without an account: 201 with each session's state; the link to change it goes by mail only.

    A professional's token opens what is for professionals. 409 `overlaps` lists sessions at the same hour, and the same request with
    `overlapping` goes on; what the address has already is listed for a token of that address alone, and for others in its mail.
    """
    applicant = Applicant(
        body.email,
        body.title or None,
        female_count=body.female_count,
        male_count=body.male_count,
        professional=is_professional(principal),
        invited=is_invited(tx, event_id, body.invitation),
        known=principal.contact is not None and principal.contact.lower() == body.email,
    )
    return await _registered(tx, event_id, body, applicant)


async def _registered(
    tx: Transaction, event_id: UUID, body: PeopleBody, applicant: Applicant, case_code: str | None = None
) -> Answer:
    """Registers an applicant: 201 with what became of each session, or why not."""
    result = await handlers.register(
        tx,
        applicant,
        event_id,
        dict.fromkeys(body.session_ids, body.seat_count),
        wait=body.wait,
        overlapping=body.overlapping,
        case_code=case_code,
    )
    if isinstance(result, Refusal):
        return answer(result, None)
    shown = [
        {"registration_id": one.registration_id, "session_id": key, "state": one.state, "seat_count": one.seat_count}
        for key, one in result.registrations.items()
    ]
    return 201, {"registrations": shown}


# -- schools


@command("school", api=router.post("/events/{event_id}/groups"))
async def register_group(tx: Transaction, principal: Principal, event_id: UUID, body: GroupBody) -> Answer:
    """A school registers a group for an arrival slot or a session: all of it, or none.

    409 `overlaps` lists what the class of this name has at the same hour; the same request with `overlapping` goes on.
    """
    return await _registered(tx, event_id, body, _group_of(principal, body), body.case_code)


@router.get("/groups")
async def my_groups(request: Request, principal: School) -> list[dict[str, Any]]:
    """The groups of the caller's school."""
    async with database_of(request).transaction() as tx:
        rows = await party_store.registrations(tx, school_uai=uai_of(principal))
        return [shown_registration(row) | {"title": row.party_title, "event_id": row.event_id} for row in rows]


@command("school", api=router.post("/groups/{registration_id}/cancellation"))
async def cancel_group(tx: Transaction, principal: Principal, registration_id: UUID) -> Answer:
    """A school gives a group up."""
    return await _on_group(tx, principal, registration_id, handlers.cancel)


@command("school", api=router.post("/groups/{registration_id}/acceptance"))
async def accept_group(tx: Transaction, principal: Principal, registration_id: UUID) -> Answer:
    """A school takes the seats that its group was offered."""
    return await _on_group(tx, principal, registration_id, handlers.accept)


@command("school", api=router.put("/groups/{registration_id}/case"))
async def attach_case(tx: Transaction, principal: Principal, registration_id: UUID, body: CaseBody) -> Answer:
    """Which case of the dropout observatory a group is for; null for none. The observatory alone is told."""
    return await _on_group(tx, principal, registration_id, partial(handlers.attach_case, case_code=body.case_code))


async def _on_group(
    tx: Transaction,
    principal: Principal,
    registration_id: UUID,
    act: Callable[[Transaction, UUID, UUID], Awaitable[Refusal | None]],
) -> Answer:
    """Does something with a group, if it is of the caller's school."""
    row = await party_store.find_registration(tx, registration_id)
    if row is None:
        return answer(handlers.NOT_FOUND, None)
    if row.school_uai != uai_of(principal):
        return answer(handlers.NOT_YOURS, None)
    return answer(await act(tx, row.party_id, registration_id), {"registration_id": registration_id})


# -- what routes and pages share

OPEN_HEADERS = {"Access-Control-Allow-Origin": "*", "Cache-Control": "public, max-age=60"}


def calendar_response(request: Request, content: bytes, *, private: bool = False) -> Response:
    """A calendar, conditional by ETag."""
    headers = {"Cache-Control": f"{'private' if private else 'public'}, max-age=60"}
    return tagged(request, content, "text/calendar", headers)


async def visible(
    request: Request, tx: Transaction, event_id: UUID, invitation: str | None, now: datetime
) -> list[Any]:
    """The sessions of an event that the caller may see; 404 otherwise: what is closed does not even say that it is there."""
    rows = list(await event_store.sessions(tx, now, event_id=event_id))
    if not rows or rows[0].event_state == "draft":
        raise HTTPException(404, "Cet évènement n'existe pas, ou n'est pas encore annoncé.")
    closed = description_of(rows[0]).access == EventAccess.INVITATION
    if closed and not is_invited(tx, event_id, invitation):
        principal = request.app.state.runtime.identity.session(request)
        if principal is None or principal.account != rows[0].organiser_account:
            raise HTTPException(404, "Cet évènement n'existe pas, ou n'est pas encore annoncé.")
    return rows


def is_professional(principal: Principal | None) -> bool:
    """Whether somebody has an account of those who work in guidance."""
    return principal is not None and not principal.roles.isdisjoint(PROFESSIONALS)


def is_invited(tx: Transaction, event_id: UUID, invitation: str | None) -> bool:
    """Whether somebody shows the invitation of an event."""
    return bool(invitation) and tx.subject_of(INVITATION, str(invitation)) == str(event_id)


def invitation_of(request: Request, event_id: UUID) -> str:
    """The invitation of an event, for its organiser to pass on."""
    return signed_link(request.app.state.runtime.settings.session_secret, INVITATION, str(event_id), AHEAD_MAX.days)


def public(email: str) -> Principal:
    """Stands for an address without an account, so that a repeated request is answered once."""
    return Principal(f"public/{hashlib.sha256(email.encode()).hexdigest()}", frozenset())


def _group_of(principal: Principal, body: GroupBody) -> Applicant:
    """A group of the caller's school."""
    if principal.contact is None:
        raise HTTPException(422, "Ce compte n'a pas d'adresse mail : elle sert à prévenir le groupe.")
    return Applicant(
        principal.contact.lower(),
        body.title,
        PartyKind.GROUP,
        uai_of(principal),
        body.female_count,
        body.male_count,
        professional=True,
        known=True,
    )


def uai_of(principal: Principal) -> str:
    """The school of an account; 403 when it has none."""
    if not uai_is_valid(str(principal.structure_id)):
        raise HTTPException(403, "Ce compte n'est rattaché à aucun établissement (UAI).")
    return str(principal.structure_id)


def shown_session(row: Any) -> dict[str, Any]:
    """A session as everybody may see it."""
    names = (
        "session_id",
        "title",
        "purpose",
        "state",
        "starts_at",
        "ends_at",
        "hall",
        "speaker",
        "admission",
        "capacity_count",
        "free_count",
        "waiting",
        "allocation",
        "draw_at",
        "opens_at",
    )
    found = {name: getattr(row, name) for name in names}
    return found | {"waiting_count": found.pop("waiting"), **shown_lottery(row)}


def shown_lottery(row: Any) -> dict[str, Any]:
    """What binds to a draw before it, and the seed after it."""
    if row.draw_at is None:
        return {}
    return {"seed_sha256": bound(row.seed), "seed": row.seed if row.drawn_at else None}


def shown_registration(row: Any) -> dict[str, Any]:
    """A registration as its party and its organiser may see it."""
    names = (
        "registration_id",
        "session_id",
        "session_title",
        "starts_at",
        "ends_at",
        "state",
        "seat_count",
        "due_at",
        "visitor_count",
        "end_reason",
    )
    return {name: getattr(row, name) for name in names}


def aware(value: datetime | None) -> datetime | None:
    """An instant of a query; 422 without an offset, or out of the calendar."""
    if value is None:
        return None
    if value.tzinfo is None or not 2000 <= value.year <= 2100:
        raise HTTPException(422, "Écrivez l'instant avec son fuseau : 2027-02-04T09:00:00+01:00.")
    return value
