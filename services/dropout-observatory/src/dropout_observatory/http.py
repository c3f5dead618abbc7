"""HTTP: parse, handler, answer. For whom somebody acts comes from their token, never from the body."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from datetime import date
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import Response
from pydantic import AfterValidator, AwareDatetime, Field, model_validator

from common.bodies import Body, Day, Text, known
from common.codes import normalised_code
from common.commands import command
from common.failures import Refusal
from common.http import Answer, answer, database_of, problem, run_command
from common.identity import Principal, caller_as
from common.spreadsheet import TABLE_BODY, UnreadableTable
from common.transaction import Transaction
from dropout_observatory import handlers, reports, store
from dropout_observatory.handlers import Repeated
from dropout_observatory.messages import (
    Accompanier,
    Outcome,
    Presence,
    ReportSource,
    ReportWay,
    StepKind,
    WithdrawalReason,
)
from dropout_observatory.reports import LINES_MAX, ReportBody
from dropout_observatory.state import Step
from dropout_observatory.store import Viewer
from dropout_observatory.words import STATES
from territory import reference

# Who reports, and as what.
REPORTERS = {"referent": ReportSource.REFERENT, "cfa": ReportSource.CFA, "psad": ReportSource.PSAD}
FOLLOWERS = (*REPORTERS, "agency")


class PsadBody(Body):
    """A platform and the intercommunalities that it follows, by SIREN."""

    title: Text
    epcis: list[str] = Field(min_length=1, max_length=100)

    @model_validator(mode="after")
    def _all_known(self) -> PsadBody:
        unknown = sorted(set(self.epcis) - reference.epcis().keys())
        if unknown:
            raise ValueError(f"SIREN d’aucune intercommunalité de Normandie : {', '.join(unknown)[:100]}")
        return self


class BulkBody(Body):
    """Many reports; each gets its own receipt, so that a wrong one does not stop the others."""

    reports: list[dict[str, Any]] = Field(min_length=1, max_length=LINES_MAX)
    repeated: Repeated = Repeated.ASK


class TableBody(Body):
    """The lines of a table, each with its number."""

    lines: list[tuple[int, Any]]
    dry_run: bool
    repeated: Repeated = Repeated.ASK


class NewCaseBody(ReportBody):
    """A report, and what to do with what this organisation has reported in the same words."""

    repeated: Repeated = Repeated.ASK


class WithdrawalBody(Body):
    """Why a case counts no more; `duplicate_of` is the case that stays, for a double."""

    reason: Annotated[WithdrawalReason, AfterValidator(known)]
    duplicate_of: UUID | None = None


class DistinctionBody(Body):
    """The case that is another person."""

    other_case_id: UUID


class StepBody(Body):
    """A step of the way back; `accompanier`, `presence` and `outcome` for the steps that have one."""

    kind: Annotated[StepKind, AfterValidator(known)]
    happened_on: Day
    accompanier: Annotated[Accompanier, AfterValidator(known)] | None = None
    presence: Annotated[Presence, AfterValidator(known)] | None = None
    outcome: Annotated[Outcome, AfterValidator(known)] | None = None

    @model_validator(mode="after")
    def _what_it_needs(self) -> StepBody:
        needs = {
            "accompanier": self.kind == StepKind.ACCOMPANIED,
            "presence": self.kind in (StepKind.CHECKED_AT_3_MONTHS, StepKind.CHECKED_AT_6_MONTHS),
            "outcome": self.kind == StepKind.ENDED,
        }
        for name, needed in needs.items():
            if needed != (getattr(self, name) is not None):
                raise ValueError(
                    f"{reports.FIELDS[name]} : {'manque pour cette étape' if needed else 'n’est pas pour cette étape'}"
                )
        return self

    def step(self) -> Step:
        """As the domain has it."""
        return Step(uuid4(), **dict(self))


Reporter = Annotated[Principal, Depends(caller_as(*REPORTERS))]
Follower = Annotated[Principal, Depends(caller_as(*FOLLOWERS))]
State = Literal["reported", "accompanied", "offered", "admitted", "ended", "withdrawn"]

router = APIRouter(prefix="/v1")


@command("agency", api=router.put("/psads/{psad_id}"))
async def describe_psad(tx: Transaction, principal: Principal, psad_id: UUID, body: PsadBody) -> Answer:
    """The agency names a platform (PSAD) and its territory; its members see and follow the cases there."""
    refusal = await handlers.describe_psad(tx, psad_id, body.title, dict.fromkeys(body.epcis))
    return answer(refusal, {"psad_id": psad_id})


@router.get("/psads")
async def list_psads(request: Request, principal: Follower) -> list[dict[str, Any]]:
    """The platforms with their territories."""
    async with database_of(request).transaction() as tx:
        return [dict(row._mapping) for row in await store.psads(tx)]


@command(*REPORTERS, api=router.post("/cases"))
async def report(tx: Transaction, principal: Principal, body: NewCaseBody) -> Answer:
    """Reports somebody who left school: 201 with the case and the code to keep, 409 with the reason."""
    return await _reported(tx, principal, body, ReportWay.HTTP)


@command(*REPORTERS)
async def report_now(tx: Transaction, principal: Principal, body: NewCaseBody) -> Answer:
    """The same by a page."""
    return await _reported(tx, principal, body, ReportWay.PAGE)


async def _reported(tx: Transaction, principal: Principal, body: NewCaseBody, way: ReportWay) -> Answer:
    facts = body.facts(await handlers.policy(tx))
    if isinstance(facts, Refusal):
        return answer(facts, None)
    result = await handlers.report(tx, viewer_of(principal), source_of(principal), facts, way, body.repeated)
    if isinstance(result, Refusal):
        return answer(result, None)
    return 200 if result.known else 201, handlers.answered(result)


@command(*REPORTERS, api=router.post("/cases/bulk"))
async def report_bulk(tx: Transaction, principal: Principal, body: BulkBody) -> Answer:
    """Many reports, one receipt for each in the same order."""
    lines = [reports.checked(one) for one in body.reports]
    viewer, source = viewer_of(principal), source_of(principal)
    receipts = await reports.report_each(tx, viewer, source, lines, ReportWay.HTTP, body.repeated)
    return 200, {"receipts": [{"line": number, **receipt} for number, receipt in enumerate(receipts, 1)]}


@command(*REPORTERS)
async def report_table(tx: Transaction, principal: Principal, body: TableBody) -> Answer:
    """All the lines of a table or none, with a receipt for each."""
    viewer, source = viewer_of(principal), source_of(principal)
    return 200, await reports.report_table(tx, viewer, source, body.lines, body.repeated, dry_run=body.dry_run)


@router.post("/cases/csv", openapi_extra=TABLE_BODY)
async def report_csv(
    request: Request, principal: Reporter, dry_run: bool = False, repeated: Repeated = Repeated.ASK
) -> Response:
    """A table `mois;niveau;etablissement;age;commune;facteurs`, CSV or XLSX: all lines or none, a receipt for each.

    `commune` is as people write it; columns `commune_insee` and `uai` may stand beside it. `repeated` says what becomes of lines
    that this organisation has reported in the same words: `ask` refuses them, `skip` knows them, `report` means other people.
    A dry run does the same to the end and undoes it. 422 for an unreadable file.
    """
    content = await request.body()
    try:
        table = TableBody(lines=reports.read_reports(content), dry_run=dry_run, repeated=repeated)
    except UnreadableTable as error:
        return problem(422, str(error), reason="unreadable_table")
    facts = {"sha256": hashlib.sha256(content).hexdigest(), "dry_run": dry_run, "repeated": repeated}
    return await run_command(request, principal, facts, partial(report_table.run, principal=principal, body=table))


@router.get("/cases")
async def list_cases(
    request: Request,
    principal: Follower,
    state: Annotated[list[State] | None, Query()] = None,
    due: bool = False,
    case_code: Annotated[str, Query(max_length=20)] = "",
) -> list[dict[str, Any]]:
    """The cases that the caller reported, or that are in its territory; without news for longest first, 500 at most.

    `due`: those without news for as long as the policy says.
    """
    async with database_of(request).transaction() as tx:
        since = await handlers.silent_since(tx) if due else None
        open_ones = [one for one in STATES if one != "withdrawn" and not (due and one == "ended")]
        code = normalised_code(case_code) or "-" if case_code else ""
        rows = await store.listed(tx, viewer_of(principal), states=state or open_ones, silent_since=since, code=code)
    return [shown(row) for row in rows]


@router.get("/cases/counts")
async def count_cases(
    request: Request,
    principal: Follower,
    first_month: reports.Month,
    last_month: reports.Month,
    by: Literal[
        "state",
        "level_left",
        "school_kind",
        "age_band",
        "factor",
        "epci_siren",
        "department_code",
        "left_month",
        "source",
    ] = "state",
    known_at: AwareDatetime | None = None,
) -> dict[str, Any]:
    """How many of the caller's cases left in these months, by one dimension, as it was known at an instant: now, or any before.

    They are the caller's own cases, for its own work; what is published is the observatory's releases.
    """
    async with database_of(request).transaction() as tx:
        now = await tx.now()
        at = min(known_at or now, now)
        first, last = (date.fromisoformat(f"{month}-01") for month in (first_month, last_month))
        rows = await store.counts(tx, viewer_of(principal), by=by, first=first, last=last, known_at=at)
    return {"known_at": at, "by": by, "counts": {row.value: row.n for row in rows}}


@router.get("/cases/{case_id}")
async def one_case(request: Request, principal: Follower, case_id: UUID) -> dict[str, Any]:
    """A case as it is known now, with its steps, and what was known of it before."""
    async with database_of(request).transaction() as tx:
        found = await store.find(tx, case_id, viewer_of(principal))
        if found is None:
            raise HTTPException(404, handlers.NOT_FOUND.detail)
        case, row = found
        history, taken_back = await store.history(tx, case_id), await store.steps_taken_back(tx, case_id)
        alike = await store.alike(tx, case_id)
    return {
        "case_id": case_id,
        "case_code": row.code,
        "state": case.state,
        "withdrawn": case.withdrawn,
        "duplicate_of": case.duplicate_of,
        "facts": asdict(case.facts) if case.facts else None,
        "steps": [asdict(step) for step in case.steps],
        "history": [dict(one._mapping) for one in history],
        "steps_taken_back": [dict(one._mapping) for one in taken_back],
        "alike": [{"case_id": one.case_id, "source": one.source, "reported_at": one.reported_at} for one in alike],
    }


@command(*FOLLOWERS, api=router.put("/cases/{case_id}"))
async def correct(tx: Transaction, principal: Principal, case_id: UUID, body: ReportBody) -> Answer:
    """Other facts are known from now on; what was known before stays to be asked."""
    facts = body.facts(await handlers.policy(tx))
    refusal = facts if isinstance(facts, Refusal) else await handlers.correct(tx, viewer_of(principal), case_id, facts)
    return answer(refusal, {"case_id": case_id})


@command(*FOLLOWERS, api=router.post("/cases/{case_id}/withdrawal"))
async def withdraw(tx: Transaction, principal: Principal, case_id: UUID, body: WithdrawalBody) -> Answer:
    """A case counts no more from now on."""
    refusal = await handlers.withdraw(tx, viewer_of(principal), case_id, body.reason, body.duplicate_of)
    return answer(refusal, {"case_id": case_id})


@command(*FOLLOWERS, api=router.post("/cases/{case_id}/reinstatement"))
async def reinstate(tx: Transaction, principal: Principal, case_id: UUID) -> Answer:
    """A case that was withdrawn by mistake counts again."""
    return answer(await handlers.reinstate(tx, viewer_of(principal), case_id), {"case_id": case_id})


@command(*FOLLOWERS, api=router.post("/cases/{case_id}/distinction"))
async def distinguish(tx: Transaction, principal: Principal, case_id: UUID, body: DistinctionBody) -> Answer:
    """Two cases that look alike are two people: they are shown as alike no more."""
    refusal = await handlers.distinguish(tx, viewer_of(principal), case_id, body.other_case_id)
    return answer(refusal, {"case_id": case_id})


@command(*FOLLOWERS, api=router.post("/cases/{case_id}/steps"))
async def follow(tx: Transaction, principal: Principal, case_id: UUID, body: StepBody) -> Answer:
    """A step of the way back; the same told again changes nothing."""
    refusal = await handlers.follow(tx, viewer_of(principal), case_id, body.step())
    return answer(refusal, {"case_id": case_id})


@command(*FOLLOWERS, api=router.delete("/cases/{case_id}/steps/{step_id}"))
async def take_back(tx: Transaction, principal: Principal, case_id: UUID, step_id: UUID) -> Answer:
    """A step that was recorded by mistake is taken back; that it was known stays known."""
    return answer(await handlers.take_back(tx, viewer_of(principal), case_id, step_id), {"case_id": case_id})


def viewer_of(principal: Principal) -> Viewer:
    """What somebody may see: their organisation's cases; a platform's member, those of its territory too; the agency, all."""
    psad_id = None
    if "psad" in principal.roles:
        try:
            psad_id = UUID(str(principal.structure_id))
        except ValueError:
            raise HTTPException(403, "Ce compte n’est rattaché à aucune plateforme.") from None
    return Viewer(principal.account, psad_id, "agency" in principal.roles)


def source_of(principal: Principal) -> ReportSource:
    """As what somebody reports."""
    return next(source for role, source in REPORTERS.items() if role in principal.roles)


def shown(row: Any) -> dict[str, Any]:
    """A case in a list."""
    return {
        ("case_code" if name == "code" else name): value for name, value in row._mapping.items() if name != "account"
    }
