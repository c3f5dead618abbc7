"""One function per command on agreements: lock as everybody does, settle, decide, save, ask whoever has to sign."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

from common import case_links
from common.failures import Refusal
from common.sweepers import Sweeper
from common.transaction import Transaction
from stage_matching import agreement_store, agreements, domain, notices, store, terms
from stage_matching.agreement_store import By
from stage_matching.agreements import Agreement, Role
from stage_matching.handlers import NOT_FOUND, NOT_YOURS, decide_on
from stage_matching.messages import AgreementParty
from stage_matching.state import Application, Offer
from territory import weeks
from territory.working_time import PARIS

_NOBODY_NAMED = By()


async def act_on_agreement(
    tx: Transaction,
    agreement_id: UUID,
    role: Role,
    action: Literal["sign", "validate", "interrupt", "cancel"],
    party_id: str | UUID | None,
    by: By = _NOBODY_NAMED,
    *,
    seen_sha256: str | None = None,
    paper_of: Role | None = None,
) -> Refusal | None:
    """A party signs, records a signature on paper, validates, interrupts or cancels. `party_id` is as whom the caller acts."""
    locked = await _lock_agreement(tx, agreement_id, role, party_id)
    if isinstance(locked, Refusal):
        return locked
    one, offer, agreement = locked
    now = await tx.now()
    today = now.astimezone(PARIS).date()
    agreement, told, _ = agreements.settle(agreement, now)
    match action:
        case "sign":
            if paper_of is not None and (refusal := await _why_not_paper(tx, agreement, paper_of)) is not None:
                return refusal
            agreement, more, refusal = agreements.sign(
                agreement, role, now, reason=by.reason, seen_sha256=seen_sha256, paper_of=paper_of
            )
        case "validate":
            agreement, more, refusal = agreements.validate(
                agreement, role, now, reason=by.reason, seen_sha256=seen_sha256
            )
        case "interrupt":
            agreement, more, refusal = agreements.end(agreement, role, "interrupted", today, now, by.reason)
        case _:
            agreement, more, refusal = agreements.end(agreement, role, "cancelled", today, now)
    await agreement_store.save(tx, agreement, (*told, *more))
    if more:
        party = agreement.party_of(paper_of or role)
        assert party is not None
        await agreement_store.record(tx, agreement, action, party.value, by)
        if agreement.state in ("interrupted", "cancelled"):
            await notices.write_of_its_end(tx, agreement, await agreement_store.terms_of(tx, agreement), party)
    if refusal is None and agreement.state == "interrupted":
        # Who left, or was sent home, may find another host for the weeks to come.
        await store.free_weeks(tx, one.application_id, weeks.following(today))
    if refusal is None and agreement.state == "cancelled":
        await store.free_weeks(tx, one.application_id)
        await decide_on(tx, offer, one, lambda locked, known, _, at: domain.cancel(locked, known, at))
    return refusal


async def change_terms(
    tx: Transaction,
    agreement_id: UUID,
    role: Role,
    party_id: str | UUID,
    wanted: Mapping[str, Any],
    acted_by: str = "",
) -> Refusal | None:
    """The host, or whoever accompanies, proposes other terms: a new version, every signature falls, each party is asked again."""
    locked = await _lock_agreement(tx, agreement_id, role, party_id)
    if isinstance(locked, Refusal):
        return locked
    one, _, agreement = locked
    now = await tx.now()
    before = await agreement_store.terms_of(tx, agreement)
    after = terms.changed_by(before, wanted)
    policy = await store.policy_at(tx, now)
    if "hours" in wanted:
        age = before.age_below - 1 if before.age_below is not None else policy.minor_age
        problem = terms.why_not_hours(after.placement.hours, terms.limit_for(age, policy.hours))
        if any(each.weekday > before.ends_on.isoweekday() for each in after.placement.hours):
            problem = problem or f"Le stage finit un {terms.DAYS_FR[before.ends_on.weekday()]}."
        if problem is not None:
            return Refusal("hours", problem)
    agreement, told, _ = agreements.settle(agreement, now)
    changed, refusal = agreements.change_terms(agreement, role, after.sha256, now)
    if refusal is not None or changed == agreement:
        await agreement_store.save(tx, agreement, told)
        return refusal
    if after.placement.hours != before.placement.hours and not await store.move_hours(tx, one, after.placement.hours):
        return Refusal("already_confirmed", "Un autre stage est déjà confirmé à ces heures.")
    await agreement_store.keep_terms(tx, changed, after, made_by=acted_by or role)
    await agreement_store.save(tx, changed, (*told, agreement_store.drafted(changed, one, now)))
    await notices.write_of_changed_terms(tx, changed, before, after)
    return None


async def _lock_agreement(
    tx: Transaction, agreement_id: UUID, role: Role, party_id: str | UUID | None
) -> tuple[Application, Offer, Agreement] | Refusal:
    """An agreement that the caller may act on, in the order of everybody's locks."""
    found = await agreement_store.find(tx, agreement_id)
    if found is None:
        return NOT_FOUND
    if party_id is not None and party_id not in found.parties_by_id[role]:
        return NOT_YOURS
    one = await store.find_application(tx, found.application_id)
    assert one is not None
    # Cancelling frees the seat, so the locks are those of an application: seeker, offer, then the agreement.
    await store.lock_seeker_id(tx, one.seeker_id)
    offer = await store.lock_offer(tx, one.offer_id)
    assert offer is not None
    return one, offer, await agreement_store.lock(tx, agreement_id)


async def write_to_guardian(tx: Transaction, agreement_id: UUID, role: Role, party_id: str | UUID) -> Refusal | None:
    """A party asks that the guardian be written to again: to their own address and to no other, once a day."""
    locked = await _lock_agreement(tx, agreement_id, role, party_id)
    if isinstance(locked, Refusal):
        return locked
    _, _, agreement = locked
    known = (await agreement_store.terms_of(tx, agreement)).party("GUARDIAN")
    if known is None or known.email is None:
        return Refusal(
            "no_guardian_address", "Aucune adresse n’est connue : l’établissement recueille la signature sur papier."
        )
    if AgreementParty.GUARDIAN not in agreement.missing or agreement.state != "drafted":
        return Refusal("agreement_state", "Cette convention n’attend pas la signature du parent.")
    today = (await tx.now()).astimezone(PARIS).date()
    if not await notices.write_to_guardian(tx, agreement, known.email, on=today):
        return Refusal(
            "written_today",
            "Le lien est déjà reparti aujourd’hui à l’adresse du parent : demain, il peut l’être encore.",
        )
    return None


async def _why_not_paper(tx: Transaction, agreement: Agreement, paper_of: Role) -> Refusal | None:
    """Paper stands for whom no account and no link can stand for."""
    if paper_of == "guardian":
        return None
    one = await store.find_application(tx, agreement.application_id)
    assert one is not None
    row = await tx.fetch_one("SELECT account FROM seeker WHERE seeker_id = :id", id=one.seeker_id)
    if paper_of == "seeker" and row is not None and row.account is None:
        return None
    return Refusal("signs_here", "Cette personne a un compte : elle signe elle-même.")


async def _complete(tx: Transaction, agreement_id: UUID) -> None:
    """Ends a validated agreement whose last day has ended."""
    settled, messages, _ = agreements.settle(await agreement_store.lock(tx, agreement_id), await tx.now())
    await agreement_store.save(tx, settled, messages)


async def attach_case(tx: Transaction, acts_as: str, application_id: UUID, case_code: str | None) -> Refusal | None:
    """Whoever accompanies says which case of the observatory an application is for, or that it is for none; whatever became of it."""
    one = await store.find_application(tx, application_id)
    if one is None:
        return NOT_FOUND
    await store.lock_seeker_id(tx, one.seeker_id)
    if acts_as not in await agreement_store.accompanying(tx, application_id):
        return NOT_YOURS
    await case_links.attach(tx, application_id, case_code)
    return None


_OVER = """SELECT a.application_id AS subject_id,
        CASE WHEN a.state = 'confirmed' THEN CAST(g.ends_on + 1 AS timestamp) AT TIME ZONE 'Europe/Paris' ELSE a.ended_at END AS over_at
    FROM application a LEFT JOIN agreement g USING (application_id)"""
forget_case_codes = case_links.forgetting(_OVER, store.policy_at)
complete_due = Sweeper("complete_due", agreement_store.agreements_due, _complete)
