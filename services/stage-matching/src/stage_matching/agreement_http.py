"""HTTP of agreements: each party acts in its turn, on the terms whose hash it names."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query, Request

from common.case_links import CaseBody
from common.commands import command
from common.http import Answer, answer, database_of
from common.identity import Principal
from common.transaction import Transaction
from stage_matching import agreement_handlers, agreement_store, store
from stage_matching.agreement_store import By
from stage_matching.agreements import LateReason, Role
from stage_matching.bodies import TermsBody
from stage_matching.handlers import NOT_FOUND
from stage_matching.http import Caller, host_of, school_of

# Who may be a party of an agreement.
SIGNATORIES = ("host", "school", "seeker", "prescriber", "agency")
# Which terms are shown; without it the current ones.
Version = Annotated[int | None, Query(ge=1, le=2**31 - 1)]

router = APIRouter(prefix="/v1")


@command(*SIGNATORIES, api=router.put("/agreements/{agreement_id}/terms"))
async def change_terms(tx: Transaction, principal: Principal, agreement_id: UUID, body: TermsBody) -> Answer:
    """The host, or whoever accompanies, changes terms: what was signed falls, each party is told what changed and asked again."""
    role, party_id = await party_of(tx, principal)
    refusal = await agreement_handlers.change_terms(tx, agreement_id, role, party_id, body.wanted(), principal.subject)
    return answer(refusal, {"agreement_id": agreement_id})


@router.get("/agreements")
async def accompanied_agreements(request: Request, principal: Caller) -> list[dict[str, Any]]:
    """What a school, a prescriber or the agency accompanies; from then on seekers may name the prescriber."""
    principal.require("school", "prescriber", "agency")
    async with database_of(request).transaction() as tx:
        acts_as = (await party_of(tx, principal))[1]
        return [shown_agreement(row, []) for row in await agreement_store.accompanied(tx, str(acts_as))]


@router.get("/agreements/{agreement_id}")
async def agreement(request: Request, agreement_id: UUID, principal: Caller, version: Version = None) -> dict[str, Any]:
    """The signed copy, or one of an earlier version, its hash, and who did what, for its parties."""
    async with database_of(request).transaction() as tx:
        row = await agreement_of(tx, principal, agreement_id, version)
        acts = await agreement_store.acts_of(tx, agreement_id)
    return shown_agreement(row, acts)


@command(*SIGNATORIES, api=router.post("/agreements/{agreement_id}/guardian-link"))
async def write_to_guardian(tx: Transaction, principal: Principal, agreement_id: UUID) -> Answer:
    """The guardian is sent the link again: to their own address and no other, at most once a day."""
    role, party_id = await party_of(tx, principal)
    return answer(
        await agreement_handlers.write_to_guardian(tx, agreement_id, role, party_id), {"agreement_id": agreement_id}
    )


@command("school", "prescriber", "agency", api=router.post("/agreements/{agreement_id}/paper-signature"))
async def record_paper(
    tx: Transaction,
    principal: Principal,
    agreement_id: UUID,
    party: Literal["guardian", "seeker"],
    sha256: str | None = None,
    reason: LateReason | None = None,
) -> Answer:
    """Whoever accompanies has on paper the signature of a guardian, or of a pupil who has no account."""
    role, party_id = await party_of(tx, principal)
    by = By(principal.subject, "paper", reason)
    refusal = await agreement_handlers.act_on_agreement(
        tx, agreement_id, role, "sign", party_id, by, seen_sha256=sha256 or None, paper_of=party
    )
    return answer(refusal, {"agreement_id": agreement_id})


@command(*SIGNATORIES, api=router.post("/agreements/{agreement_id}/{action}"))
async def act_on_agreement(
    tx: Transaction,
    principal: Principal,
    agreement_id: UUID,
    action: Literal["signature", "validation", "interruption", "cancellation"],
    sha256: str | None = None,
    reason: LateReason | None = None,
) -> Answer:
    """A party signs the terms whose hash it names, validates, interrupts, or cancels before the first day.

    After the last day each of them needs a `reason`, which is kept.
    """
    acts: dict[str, Literal["sign", "validate", "interrupt", "cancel"]] = {
        "signature": "sign",
        "validation": "validate",
        "interruption": "interrupt",
        "cancellation": "cancel",
    }
    role, party_id = await party_of(tx, principal)
    by = By(principal.subject, reason=reason)
    refusal = await agreement_handlers.act_on_agreement(
        tx, agreement_id, role, acts[action], party_id, by, seen_sha256=sha256 or None
    )
    return answer(refusal, {"agreement_id": agreement_id})


@command("school", "prescriber", "agency", api=router.put("/applications/{application_id}/case"))
async def attach_case(tx: Transaction, principal: Principal, application_id: UUID, body: CaseBody) -> Answer:
    """Which case of the dropout observatory an application is for; null for none. The observatory alone is told.

    Whoever accompanies the internship says so, or the school of a campaign's pupil.
    """
    acts_as = accompanist_of(principal)
    refusal = await agreement_handlers.attach_case(tx, acts_as, application_id, body.case_code)
    return answer(refusal, {"application_id": application_id})


@command("host", "seeker")
async def sign(tx: Transaction, principal: Principal, application_id: UUID, sha256: str | None = None) -> Answer:
    """A party signs the agreement of an application."""
    rows = await store.applications_of(tx, application_id=application_id)
    if not rows or rows[0].agreement_id is None:
        return answer(NOT_FOUND, None)
    return await act_on_agreement.run(tx, principal, rows[0].agreement_id, "signature", sha256)


# -- what routes and pages share


async def party_of(tx: Transaction, principal: Principal) -> tuple[Role, UUID | str]:
    """As whom a caller acts on agreements: a host, a seeker, or whoever accompanies: a school, a prescriber, the agency."""
    if "host" in principal.roles:
        return "host", await host_of(tx, principal)
    if "seeker" in principal.roles:
        return "seeker", await store.lock_seeker(tx, account=principal.subject)
    acts_as = accompanist_of(principal)
    name = principal.display or acts_as
    await agreement_store.know_accompanist(tx, acts_as, name, principal.contact)
    return "school", acts_as


def accompanist_of(principal: Principal) -> str:
    """As whom a caller accompanies: a school's UAI, a prescriber's structure or account, the agency."""
    if "school" in principal.roles:
        return school_of(principal)
    if "agency" in principal.roles:
        return agreement_store.AGENCY
    return f"prescriber/{principal.require('prescriber').account}"


async def agreement_of(tx: Transaction, principal: Principal, agreement_id: UUID, version: int | None = None) -> Any:
    """An agreement for one of its parties, on its current terms or those of a version; 404 for everybody else."""
    role, party_id = await party_of(tx, principal)
    found = await agreement_store.find(tx, agreement_id)
    if found is None or party_id not in found.parties_by_id[role]:
        raise HTTPException(404, NOT_FOUND.detail)
    return found_version(await agreement_store.whole(tx, agreement_id, version))


def found_version(row: Any) -> Any:
    """The row of an agreement on the terms of a version; 404 where it has none such."""
    if row is None:
        raise HTTPException(404, "Cette version de la convention n’existe pas.")
    return row


def shown_agreement(row: Any, acts: Any) -> dict[str, Any]:
    """An agreement as JSON. Whose address and account it was stays inside."""
    terms = json.loads(row.content)
    for party in terms["parties"]:
        del party["email"], party["acts_as"]
    names = (
        "agreement_id",
        "application_id",
        "state",
        "parties",
        "starts_on",
        "ends_on",
        "current_version",
        "terms_version",
        "terms_sha256",
    )
    kept = ("act", "party", "how", "terms_version", "terms_sha256", "acted_at", "reason")
    return {name: getattr(row, name) for name in names} | {
        "terms": terms,
        "signed": row.signed,
        "acts": [{name: getattr(one, name) for name in kept} for one in acts],
    }
