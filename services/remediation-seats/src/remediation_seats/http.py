"""HTTP: parse, handler, answer. A partner's structure comes from its token, never from the body."""

from __future__ import annotations

import hashlib
from datetime import date
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import Response
from pydantic import AfterValidator, EmailStr, Field, StringConstraints, model_validator

from common.bodies import Body, Text, known
from common.case_links import CaseBody, CaseCode
from common.codes import CODE_LENGTH, normalised_code
from common.commands import command
from common.failures import Refusal
from common.http import Answer, answer, database_of, problem, run_command
from common.identity import Principal, caller, caller_as
from common.links import subject_of
from common.mail import reachable, unreached
from common.spreadsheet import TABLE_BODY, UnreadableTable
from common.transaction import Transaction
from remediation_seats import declarations, handlers, presence, search, store
from remediation_seats.declarations import LINES_MAX, DeclarationLine, SeatCount
from remediation_seats.messages import (
    DeclarationSource,
    DeclarationWay,
    DeclineReason,
    EducationLevel,
    PresenceReply,
    StructureKind,
)
from remediation_seats.state import Conditions, Profile
from territory.places import CommuneCode

Age = Annotated[int, Field(ge=14, le=99)]
Level = Annotated[EducationLevel, AfterValidator(known)]
Kind = Annotated[StructureKind, AfterValidator(known)]


class StructureBody(Body):
    """Identity of a structure, written by the agency."""

    structure_name: Text
    kind: Kind
    commune_code: CommuneCode
    contact_email: EmailStr | None = None
    fictitious: bool = False


class ProgrammeBody(Body):
    """Public description and entry conditions of a programme; ages in years."""

    title: Text
    rome_codes: list[Annotated[str, StringConstraints(pattern=r"^[A-N][0-9]{4}$")]] = Field(
        default_factory=list, max_length=20
    )
    rncp_code: Annotated[str, StringConstraints(pattern=r"^RNCP[0-9]{2,6}$")] | None = None
    age_min: int = Field(ge=14, le=99)
    age_max: int = Field(ge=14, le=99)
    level_min: Level = EducationLevel.NO_DIPLOMA
    boarding: bool = False
    wheelchair_accessible: bool = False
    intake_on: date | None = Field(default=None, ge=date(2020, 1, 1), le=date(2100, 1, 1))
    open: bool = True

    @model_validator(mode="after")
    def _ages_in_order(self) -> ProgrammeBody:
        if self.age_min > self.age_max:
            raise ValueError("age_min est plus grand que age_max")
        return self

    def conditions(self) -> Conditions:
        """As the domain has it."""
        return Conditions(**self.model_dump() | {"rome_codes": tuple(self.rome_codes)})


class SeatCounts(Body):
    """Seats as somebody sees them at this moment."""

    total_count: SeatCount
    taken_count: SeatCount

    @model_validator(mode="after")
    def _taken_within_total(self) -> SeatCounts:
        declarations.taken_within_total(self.total_count, self.taken_count)
        return self


class BulkBody(Body):
    """Many declarations; each line gets its own receipt, so a wrong line does not stop the others."""

    declarations: list[dict[str, Any]] = Field(min_length=1, max_length=LINES_MAX)


class TableBody(Body):
    """The lines of a table, each with its number and read on its own; of a dry run nothing is kept."""

    lines: list[tuple[int, Any]]
    dry_run: bool
    source: DeclarationSource = DeclarationSource.SYSTEM


class HoldBody(Body):
    """A seat to hold. Without a code, a new young person is created and the answer has their code, once."""

    programme_id: UUID
    young_person_code: str | None = Field(default=None, max_length=CODE_LENGTH * 2)
    age: Age | None = None
    level: Level | None = None
    needs_boarding: bool = False
    needs_wheelchair_access: bool = False
    # Of the dropout observatory, where the young person is one of its cases.
    case_code: CaseCode | None = None


class ConfirmationBody(Body):
    """The agreed day of arrival."""

    arrival_on: date


class PresenceBody(Body):
    """Whether somebody is still there; a structure that does not know says so."""

    presence: Annotated[PresenceReply, AfterValidator(known)]


class DeclineBody(Body):
    """Why the structure declines."""

    reason: Annotated[DeclineReason, AfterValidator(known)]


MISTYPED_CODE = Refusal("mistyped_code", "Ce code comporte une erreur de frappe : vérifiez les dix caractères.")

Partner = Annotated[Principal, Depends(caller_as("partner"))]
Prescriber = Annotated[Principal, Depends(caller_as("prescriber"))]
Agency = Annotated[Principal, Depends(caller_as("agency"))]

router = APIRouter(prefix="/v1")


@command("agency", api=router.put("/structures/{structure_id}"), asks=True)
async def describe_structure(tx: Transaction, principal: Principal, structure_id: UUID, body: StructureBody) -> Answer:
    """The agency registers or changes a structure."""
    changed = await handlers.describe_structure(tx, structure_id, **dict(body))
    refusal = changed if isinstance(changed, Refusal) else None
    return answer(refusal, {"structure_id": structure_id, "changed": changed})


@router.get("/structures")
async def list_structures(request: Request, principal: Agency) -> list[dict[str, Any]]:
    """All structures, for the agency."""
    async with database_of(request).transaction() as tx:
        return [dict(row._mapping) for row in await store.structures(tx)]


@command("partner", api=router.put("/programmes/{programme_id}"), asks=True)
async def describe_programme(tx: Transaction, principal: Principal, programme_id: UUID, body: ProgrammeBody) -> Answer:
    """A structure opens, changes or closes (`open: false`) one of its programmes."""
    refusal = await handlers.describe_programme(tx, structure_of(principal), programme_id, body.conditions())
    return answer(refusal, {"programme_id": programme_id})


@router.get("/programmes/mine")
async def my_programmes(request: Request, principal: Partner) -> list[dict[str, Any]]:
    """The structure's programmes with their counts and freshness."""
    async with database_of(request).transaction() as tx:
        policy, now = await store.policy_at(tx, await tx.now()), await tx.now()
        rows = await store.catalogue(tx, structure_id=structure_of(principal))
        return [search.own(row, policy, now) for row in rows]


@command("partner", api=router.post("/declarations"))
async def declare(tx: Transaction, principal: Principal, body: DeclarationLine) -> Answer:
    """One declaration: 200 with a receipt (accepted or superseded), 409 when refused."""
    return await _declared(tx, principal, body.model_dump(), DeclarationWay.HTTP, DeclarationSource.SYSTEM)


@command("partner")
async def declare_now(tx: Transaction, principal: Principal, programme_id: UUID, body: SeatCounts) -> Answer:
    """The structure says what it sees now."""
    line = {"programme_id": programme_id, **dict(body), "observed_at": await tx.now()}
    return await _declared(tx, principal, line, DeclarationWay.PAGE, DeclarationSource.PERSON)


async def _declared(
    tx: Transaction, principal: Principal, line: dict[str, Any], way: DeclarationWay, source: DeclarationSource
) -> Answer:
    (receipt,) = await declarations.declare(tx, structure_of(principal), [line], way, source)
    if receipt["status"] == "refused":
        return answer(Refusal(receipt["reason"], receipt["detail"]), None)
    return 200, receipt


@command("partner", api=router.post("/declarations/bulk"))
async def declare_bulk(tx: Transaction, principal: Principal, body: BulkBody) -> Answer:
    """Many declarations, one receipt per line in the same order."""
    way, source = DeclarationWay.HTTP, DeclarationSource.SYSTEM
    receipts = await declarations.declare(tx, structure_of(principal), body.declarations, way, source)
    return 200, {"receipts": [{"line": number, **receipt} for number, receipt in enumerate(receipts, 1)]}


@command("partner")
async def declare_table(tx: Transaction, principal: Principal, body: TableBody) -> Answer:
    """The report on a table, a receipt per line."""
    structure_id = structure_of(principal)
    return 200, await declarations.declare_table(tx, structure_id, body.lines, body.source, dry_run=body.dry_run)


@router.post("/declarations/csv", openapi_extra=TABLE_BODY)
async def declare_csv(request: Request, principal: Partner, dry_run: bool = False) -> Response:
    """A table `parcours;places;occupees;observe_le`, CSV or XLSX: one receipt per line; with `dry_run` nothing is kept of it.

    422 when the file as a whole cannot be read.
    """
    content = await request.body()
    try:
        table = TableBody(lines=declarations.read_csv(content), dry_run=dry_run)
    except UnreadableTable as error:
        return problem(422, str(error), reason="unreadable_table")
    facts = {"sha256": hashlib.sha256(content).hexdigest(), "dry_run": dry_run}
    return await run_command(request, principal, facts, partial(declare_table.run, principal=principal, body=table))


@router.get("/places")
async def find_places(
    request: Request,
    principal: Prescriber,
    age: Annotated[int | None, Query(ge=14, le=99)] = None,
    level: Level | None = None,
    commune_code: CommuneCode | None = None,
    radius_km: Annotated[float, Query(gt=0, le=300)] = 30,
    boarding: bool = False,
    wheelchair: bool = False,
    intake_by: date | None = None,
    kind: StructureKind | None = None,
) -> dict[str, Any]:
    """Places that fit, nearest first, then those that do not and why."""
    profile = Profile(age, level, boarding, wheelchair, intake_by)
    async with database_of(request).transaction() as tx:
        now = await tx.now()
        policy = await store.policy_at(tx, now)
        return search.places(
            await store.catalogue(tx),
            profile,
            policy,
            now,
            commune_code=commune_code,
            radius_km=radius_km,
            kind=kind,
        )


@command("prescriber", api=router.post("/holds"))
async def hold_seat(tx: Transaction, principal: Principal, body: HoldBody) -> Answer:
    """Holds a seat: 201 with the hold and the young person's code, 409 with the reason."""
    code = normalised_code(body.young_person_code) if body.young_person_code is not None else None
    if body.young_person_code is not None and code is None:
        return 422, MISTYPED_CODE
    result = await handlers.hold_seat(
        tx,
        programme_id=body.programme_id,
        code=code,
        prescriber_id=principal.subject,
        contact_email=principal.contact,
        profile=Profile(body.age, body.level, body.needs_boarding, body.needs_wheelchair_access),
        case_code=body.case_code,
    )
    if isinstance(result, Refusal):
        return answer(result, None)
    return 201, await _shown_hold(tx, result["hold_id"]) | {"young_person_code": result["young_person_code"]}


@router.get("/holds")
async def my_holds(request: Request) -> list[dict[str, Any]]:
    """A prescriber's holds, or those that a structure received; `reachable`: whether mail gets to the other side."""
    principal = await caller(request)
    async with database_of(request).transaction() as tx:
        if "partner" in principal.roles:
            rows, other = await store.holds_of(tx, structure_id=structure_of(principal)), "contact_email"
        else:
            rows = await store.holds_of(tx, prescriber_id=principal.require("prescriber").subject)
            other = "structure_email"
        lost = await unreached(tx, (getattr(row, other) for row in rows))
        return [_shown(row) | {"reachable": reachable(getattr(row, other), lost)} for row in rows]


@command("prescriber", api=router.post("/holds/{hold_id}/{action}"))
async def prescriber_acts(
    tx: Transaction, principal: Principal, hold_id: UUID, action: Literal["extension", "withdrawal"]
) -> Answer:
    """The prescriber extends, once, or withdraws."""
    handler = {"extension": handlers.extend_hold, "withdrawal": handlers.withdraw_hold}[action]
    return answer(await handler(tx, hold_id, principal.subject), await _shown_hold(tx, hold_id))


@command("prescriber", api=router.put("/holds/{hold_id}/case"))
async def attach_case(tx: Transaction, principal: Principal, hold_id: UUID, body: CaseBody) -> Answer:
    """Which case of the dropout observatory a hold is for; null for none. The observatory alone is told."""
    refusal = await handlers.attach_case(tx, hold_id, principal.subject, body.case_code)
    return answer(refusal, {"hold_id": hold_id, "case_code": body.case_code})


@command("partner", api=router.post("/received-holds/{hold_id}/confirmation"))
async def confirm(tx: Transaction, principal: Principal, hold_id: UUID, body: ConfirmationBody) -> Answer:
    """The structure confirms; the young person's other holds are released."""
    refusal = await handlers.confirm_hold(tx, hold_id, structure_of(principal), body.arrival_on)
    return answer(refusal, await _shown_hold(tx, hold_id))


@command("partner", api=router.post("/received-holds/{hold_id}/decline"))
async def decline(tx: Transaction, principal: Principal, hold_id: UUID, body: DeclineBody) -> Answer:
    """The structure declines with a closed reason."""
    refusal = await handlers.decline_hold(tx, hold_id, structure_of(principal), body.reason)
    return answer(refusal, await _shown_hold(tx, hold_id))


@command("partner", api=router.post("/received-holds/{hold_id}/admission"))
async def admit(tx: Transaction, principal: Principal, hold_id: UUID) -> Answer:
    """The young person arrived."""
    refusal = await handlers.admit_young_person(tx, hold_id, structure_of(principal))
    return answer(refusal, await _shown_hold(tx, hold_id))


@router.get("/presence-questions")
async def presence_questions(request: Request, principal: Partner) -> list[dict[str, Any]]:
    """Young people who were admitted months ago, and of whom the structure is asked whether they are still there."""
    async with database_of(request).transaction() as tx:
        rows = await presence.open_questions(tx, structure_of(principal))
    return [
        {
            "hold_id": row.hold_id,
            "after_months": row.after_months,
            "title": row.title,
            "young_person_code": row.code,
            "admitted_on": row.admitted_on,
        }
        for row in rows
    ]


@command("partner", api=router.put("/presence-questions/{hold_id}/{after_months}"))
async def answer_presence(
    tx: Transaction, principal: Principal, hold_id: UUID, after_months: int, body: PresenceBody
) -> Answer:
    """The structure says whether they are still there; a later answer replaces an earlier one."""
    refusal = await presence.answer(tx, hold_id, after_months, body.presence, structure_of(principal))
    return answer(refusal, {"hold_id": hold_id, "presence": body.presence})


async def by_presence_link(request: Request, token: str) -> Principal:
    """Stands for the question that a link is for; what is sent for it has one budget."""
    return Principal(f"presence/{presence_subject(request, token)}", frozenset())


@command(who=by_presence_link)
async def answer_by_link(tx: Transaction, principal: Principal, body: PresenceBody) -> Answer:
    """The same by the link of the mail."""
    hold_id, months = presence.asked_in(principal.subject.removeprefix("presence/"))
    return answer(await presence.answer(tx, hold_id, months, body.presence, None), {"presence": body.presence})


def presence_subject(request: Request, token: str) -> str:
    """Which question a link is for; 403 when it is not ours, not for this, or too old."""
    found = subject_of(request.app.state.runtime.settings.session_secret, presence.LINK, token)
    if found is None:
        raise HTTPException(403, "Ce lien n'est pas le bon ou n'est plus valable : répondez depuis « Mes places ».")
    return found


def structure_of(principal: Principal) -> UUID:
    """The structure that a partner's account belongs to; 403 when it belongs to none."""
    try:
        return UUID(str(principal.structure_id))
    except ValueError:
        raise HTTPException(403, "Ce compte n'est rattaché à aucune structure.") from None


async def _shown_hold(tx: Transaction, hold_id: UUID) -> dict[str, Any]:
    rows = await store.holds_of(tx, hold_id=hold_id)
    return _shown(rows[0]) if rows else {}


def _shown(row: Any) -> dict[str, Any]:
    """A hold as both sides may see it: the professional's contact and the code, no person."""
    names = (
        "hold_id",
        "programme_id",
        "title",
        "structure_name",
        "state",
        "held_at",
        "expires_at",
        "extension_count",
        "arrival_on",
        "ended_at",
        "decline_reason",
    )
    return {name: getattr(row, name) for name in names} | {
        "young_person_code": row.code,
        "prescriber_contact": row.contact_email,
    }
