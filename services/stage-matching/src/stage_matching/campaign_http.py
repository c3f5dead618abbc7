"""HTTP of campaigns: a school acts on its own, the agency on all; tables of pupils and offers with a report line by line."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import Response

from common.bodies import Body, Text
from common.commands import command
from common.failures import Refusal
from common.http import Answer, answer, database_of, problem, run_command
from common.identity import Principal
from common.spreadsheet import TABLE_BODY, UnreadableTable, read_table
from common.transaction import Transaction
from stage_matching import campaign_store, campaigns, handlers, hosts, imports, store
from stage_matching.http import Agency, Caller, school_of
from stage_matching.imports import (
    BIRTH_MONTH,
    OFFER_COLUMNS,
    OFFER_LINES_MAX,
    OFFER_OPTIONAL_COLUMNS,
    OPTIONAL_COLUMNS,
    PUPIL_COLUMNS,
    PUPIL_LINES_MAX,
    PupilLine,
)
from stage_matching.messages import CampaignScope

LEADERS = ("school", "agency")
OTHER_SCOPE = Refusal(
    "scope", "Un établissement ouvre une campagne de classe ou d’établissement, l’agence une campagne de territoire."
)

router = APIRouter(prefix="/v1")
Keep = Literal["all_or_nothing", "good"]


class CampaignBody(Body):
    """A new campaign; a school's is for a class or the school, the agency's for a territory."""

    title: Text
    scope: Literal["CLASS", "SCHOOL", "TERRITORY"]


@command(*LEADERS, api=router.put("/campaigns/{campaign_id}"))
async def open_campaign(tx: Transaction, principal: Principal, campaign_id: UUID, body: CampaignBody) -> Answer:
    """Opens a campaign."""
    uai = opener(principal)
    if (uai is None) != (body.scope == "TERRITORY"):
        return 422, OTHER_SCOPE
    scope = CampaignScope(body.scope)
    refusal = await campaigns.open_campaign(tx, campaign_id, title=body.title, scope=scope, uai=uai)
    return answer(refusal, {"campaign_id": campaign_id})


@router.get("/campaigns")
async def list_campaigns(request: Request, principal: Caller) -> list[dict[str, Any]]:
    """A school's campaigns, or all for the agency."""
    async with database_of(request).transaction() as tx:
        return [shown(row) for row in await campaign_store.listed(tx, opener(principal))]


@router.get("/campaigns/{campaign_id}")
async def campaign(request: Request, campaign_id: UUID, principal: Caller) -> dict[str, Any]:
    """One campaign: its state, what runs and how far, its figures."""
    async with database_of(request).transaction() as tx:
        return shown(await readable(tx, campaign_id, opener(principal)))


@router.get("/campaigns/{campaign_id}/results")
async def results(
    request: Request,
    campaign_id: UUID,
    principal: Caller,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    after: Annotated[int, Query(ge=0)] = 0,
) -> list[dict[str, Any]]:
    """What each pupil obtained and why: a school's own pupils, or all for the agency. Empty before the computation."""
    uai = opener(principal)
    async with database_of(request).transaction() as tx:
        row = await readable(tx, campaign_id, uai)
        if not may_see_results(row, uai):
            return []
        return [shown_result(one) for one in await campaign_store.results(tx, campaign_id, uai, limit, after)]


@router.post("/campaigns/{campaign_id}/pupils", openapi_extra=TABLE_BODY)
async def add_pupils(
    request: Request,
    campaign_id: UUID,
    principal: Caller,
    keep: Keep = "all_or_nothing",
    dry_run: bool = False,
    replace: bool = False,
) -> Response:
    """A table `uai;classe;eleve;sexe;age;commune;rayon_km;semaine;duree;voeux`, CSV or XLSX: every wrong line is reported.

    `commune` is as people write it (name, postal code); a column `commune_insee` may stand beside it or in its place.
    A column `naissance` (2012-05), from the school's register, stands for the age on the first day.
    With `keep=good` the good lines are kept; with `all_or_nothing` none is when one is wrong. A line that would change a pupil
    whom an earlier table brought is refused (`would_replace`) unless `replace` says yes. A dry run does the same to the end and
    undoes it. 422 for an unreadable file.
    """
    content, uai = await request.body(), opener(principal)
    try:
        checked = await asyncio.to_thread(checked_pupils, content, uai)
    except UnreadableTable as error:
        return problem(422, str(error), reason="unreadable_table")

    async def run(tx: Transaction) -> Answer:
        return await pupils_added(tx, campaign_id, uai, checked, keep=keep, dry_run=dry_run, replace=replace)

    return await _table_command(
        request, principal, content, {"keep": keep, "dry_run": dry_run, "replace": replace}, run
    )


@command(*LEADERS, api=router.post("/campaigns/{campaign_id}/{action}"))
async def act(
    tx: Transaction,
    principal: Principal,
    campaign_id: UUID,
    action: Literal["freeze", "computation", "stop", "publication", "closing", "cancellation"],
) -> Answer:
    """Freezes (and begins to compute), computes again, stops the computation, publishes, closes, gives up."""
    acts = {
        "freeze": campaigns.freeze,
        "computation": campaigns.compute,
        "stop": campaigns.stop_work,
        "publication": campaigns.publish,
        "closing": campaigns.close,
        "cancellation": campaigns.give_up,
    }
    return answer(await acts[action](tx, campaign_id, opener(principal)), {"campaign_id": campaign_id})


@router.post("/offers/csv", openapi_extra=TABLE_BODY)
async def add_offers(
    request: Request,
    principal: Agency,
    keep: Keep = "all_or_nothing",
    dry_run: bool = False,
    replace: bool = False,
    fictitious: bool = False,
) -> Response:
    """A table `siret;organisme;type;intitule;nature;rome;commune;publics;age_min;places` from the agency, CSV or XLSX.

    `commune` is as people write it (name, postal code); a column `commune_insee` may stand beside it or in its place. A column
    `contact` gives the address to which applications go until the organisation has an account. `keep`, `dry_run` and `replace` as
    for pupils.
    """
    content = await request.body()
    try:
        lines = await asyncio.to_thread(
            read_table, content, OFFER_COLUMNS, lines_max=OFFER_LINES_MAX, optional=OFFER_OPTIONAL_COLUMNS
        )
    except UnreadableTable as error:
        return problem(422, str(error), reason="unreadable_table")
    checked = await asyncio.to_thread(imports.offers, lines)

    async def run(tx: Transaction) -> Answer:
        async def add(read: imports.OfferRead) -> Refusal | str:
            return await _offer_added(tx, read, replace=replace, fictitious=fictitious)

        return 200, await _lines_added(tx, checked, add, keep=keep, dry_run=dry_run)

    facts = {"keep": keep, "dry_run": dry_run, "replace": replace, "fictitious": fictitious}
    return await _table_command(request, principal, content, facts, run)


async def _offer_added(tx: Transaction, read: imports.OfferRead, *, replace: bool, fictitious: bool) -> Refusal | str:
    """Publishes an offer of a table; says what it changed of another table's, which needs a yes."""
    line, offer_id, body = read
    host_id, identity = line.host(fictitious=fictitious)
    known_host, known = await hosts.lock(tx, host_id), await store.lock_offer(tx, offer_id)
    changes = []
    if known_host is not None:
        identity = dataclasses.replace(identity, commune_code=known_host.commune_code, fictitious=known_host.fictitious)
        before = hosts.identity_of(known_host)
        changes.append(imports.host_changes(before, known_host.contact_email, identity, line.contact))
    if known is not None:
        seats = {week: one.seats_count for week, one in known.weeks.items()}
        changes.append(imports.offer_changes(known.description, seats, body.description(), body.seats))
    said = " ; ".join(one for one in changes if one)
    if said and not replace:
        return Refusal("would_replace", said)
    if known is not None and not said and (line.contact is None or line.contact == known_host.contact_email):
        return ""
    description = body.description()
    if known is not None:
        # A table says nothing of days, tasks and tutor: what the host wrote stays.
        description = dataclasses.replace(description, placement=known.description.placement)
    refusal = await hosts.describe(tx, host_id, identity, line.contact, by_table=True)
    return refusal or await handlers.describe_offer(tx, host_id, offer_id, description, body.seats) or said


async def _lines_added(
    tx: Transaction,
    checked: Sequence[tuple[int, Any]],
    add: Callable[[Any], Awaitable[Refusal | str]],
    *,
    keep: Keep,
    dry_run: bool,
) -> dict[str, Any]:
    """Adds line by line what was read and reports; what a refused line wrote is undone, and so is all where all or nothing is asked."""
    lines, replaced = list(checked), []
    async with tx.step() as whole:
        for place, (number, read) in enumerate(checked):
            if isinstance(read, Refusal):
                continue
            async with tx.step() as step:
                added = await add(read)
                step.undo = isinstance(added, Refusal)
            if isinstance(added, Refusal):
                lines[place] = number, added
            elif added:
                replaced.append({"line": number, "detail": added})
        report = _report(lines, replaced, keep=keep, dry_run=dry_run)
        whole.undo = report["kept_count"] == 0
    return report


def _report(
    lines: Sequence[tuple[int, Any]], replaced: Sequence[Mapping[str, Any]], *, keep: Keep, dry_run: bool
) -> dict[str, Any]:
    """What a table comes to: `good_count` lines can be kept, `kept_count` are."""
    refused = imports.report(lines)
    good_count = len(lines) - len(refused)
    return {
        "lines_count": len(lines),
        "good_count": good_count,
        "kept_count": good_count if not dry_run and (keep == "good" or not refused) else 0,
        "dry_run": dry_run,
        "replaced": list(replaced),
        "refused": refused,
    }


# -- shared with the pages


def checked_pupils(content: bytes, uai: str | None) -> list[imports.Checked]:
    """Every line of a table of pupils; a school's may only name the school. Raises `UnreadableTable`."""
    checked = imports.pupils(
        read_table(content, PUPIL_COLUMNS, lines_max=PUPIL_LINES_MAX, optional=(*OPTIONAL_COLUMNS, BIRTH_MONTH))
    )
    strange = Refusal("another_school", "uai : cette ligne est d’un autre établissement")
    return [
        (number, strange if isinstance(line, PupilLine) and uai is not None and line.uai != uai else line)
        for number, line in checked
    ]


async def pupils_added(
    tx: Transaction,
    campaign_id: UUID,
    uai: str | None,
    checked: Sequence[imports.Checked],
    *,
    keep: Keep,
    dry_run: bool,
    replace: bool,
) -> Answer:
    """Adds the good lines as the caller chose, and reports the others; a rehearsal is the same, undone."""
    async with tx.step() as whole:
        added = await campaigns.add_pupils(tx, campaign_id, uai, checked, replace=replace)
        if isinstance(added, Refusal):
            return answer(added, None)
        lines, replaced = added
        report = _report(lines, replaced, keep=keep, dry_run=dry_run)
        whole.undo = report["kept_count"] == 0
    return 200, report


def opener(principal: Principal) -> str | None:
    """The school as which a caller acts, or None for the agency; 403 for anybody else."""
    return None if "agency" in principal.roles else school_of(principal.require("school"))


async def readable(tx: Transaction, campaign_id: UUID, uai: str | None) -> Any:
    """A campaign that the caller may read: its own, or a territory's that has its pupils; 404 otherwise."""
    row = await campaign_store.find(tx, campaign_id)
    if row is not None and (uai is None or row.uai == uai):
        return row
    if row is not None and uai in await campaign_store.spans_of_schools(tx, campaign_id):
        return row
    raise HTTPException(404, campaigns.NOT_FOUND.detail)


def may_see_results(row: Any, uai: str | None) -> bool:
    """Whoever leads a campaign sees its result once computed, the schools in it once published."""
    leads = uai is None or row.uai == uai
    return row.state in ("published", "closed") or (row.state == "computed" and leads)


def shown(row: Any) -> dict[str, Any]:
    """A campaign as JSON; the seed once it is frozen."""
    names = (
        "campaign_id",
        "title",
        "scope",
        "uai",
        "state",
        "seeker_count",
        "opened_at",
        "published_at",
        "work",
        "step",
        "done_count",
        "total_count",
        "problems",
        "figures",
    )
    seed = {"seed": row.seed} if row.state not in ("open", "cancelled") else {}
    return {name: getattr(row, name) for name in names} | seed


def shown_result(row: Any) -> dict[str, Any]:
    """One pupil's result as JSON, with why."""
    names = (
        "uai",
        "class_group",
        "pupil_code",
        "seeker_id",
        "iso_weeks",
        "wishes",
        "obtained_wish",
        "explanation",
        "offer_id",
        "title",
        "offer_commune",
        "host_name",
        "application_id",
        "state",
    )
    return {name: getattr(row, name) for name in names}


async def _table_command(
    request: Request,
    principal: Principal,
    content: bytes,
    facts: dict[str, Any],
    run: Callable[[Transaction], Awaitable[Answer]],
) -> Response:
    digest = {"sha256": hashlib.sha256(content).hexdigest(), **facts}
    return await run_command(request, principal, digest, run)
