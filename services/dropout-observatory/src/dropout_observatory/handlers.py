"""One function per command: lock, decide, save. Nothing here commits, publishes or catches."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from common.failures import Refusal
from common.transaction import Transaction
from dropout_observatory import domain, store
from dropout_observatory.messages import ReportSource, ReportWay, WithdrawalReason
from dropout_observatory.state import Case, Decision, Facts, Policy, Step
from dropout_observatory.store import Viewer
from territory import reference

NOT_FOUND = Refusal("not_found", "Cette situation n’existe pas, ou n’est pas suivie par votre organisme.")

Rule = Callable[[Case, Policy, datetime], Decision]


class Repeated(StrEnum):
    """What to do with what an organisation has reported in the same words before."""

    ASK = "ask"
    REPORT = "report"  # somebody else in the same situation
    SKIP = "skip"  # the same person


@dataclass(frozen=True)
class Reported:
    """A case that was reported, or that is known already: then `known`, and the code of the one that is."""

    case_id: UUID
    code: str
    known: bool = False
    # Whether another organisation has told of what may be the same person.
    alike: bool = False


async def describe_psad(tx: Transaction, psad_id: UUID, title: str, epcis: Collection[str]) -> Refusal | None:
    """The agency names a platform and the intercommunalities that it follows; each is followed by one."""
    taken = await store.save_psad(tx, psad_id, title, epcis)
    if taken is None:
        return None
    name = reference.epcis()[taken].title
    return Refusal("followed_by_another", f"{name} est suivie par une autre plateforme : retirez-la d’abord là-bas.")


async def report(
    tx: Transaction, viewer: Viewer, source: ReportSource, facts: Facts, way: ReportWay, repeated: Repeated
) -> Refusal | Reported:
    """A new case. What the same organisation has reported in the same words is asked about: the same person, or another?"""
    likeness = likeness_of(tx, facts)
    await store.lock_likeness(tx, viewer.account, likeness)
    known = await store.reported_alike(tx, viewer.account, likeness)
    if known and repeated is Repeated.SKIP:
        return Reported(known[0].case_id, known[0].code, known=True)
    if known and repeated is Repeated.ASK:
        return Refusal(
            "same_facts",
            "Votre organisme a déjà signalé une situation avec les mêmes faits : est-ce la même personne, ou une autre ?",
            {"known": [{"case_id": row.case_id, "case_code": row.code} for row in known]},
        )
    now = await tx.now()
    case = Case(uuid4(), viewer.account, source)
    decision = domain.report(case, facts, way, await store.policy_at(tx, now), now)
    if decision.refusal is not None:
        return decision.refusal
    code = await store.insert(tx, decision.case, likeness, now)
    await store.save(tx, case, decision, likeness, now)
    return Reported(case.case_id, code, alike=bool(await store.alike(tx, case.case_id)))


async def correct(tx: Transaction, viewer: Viewer, case_id: UUID, facts: Facts) -> Refusal | None:
    """Other facts are known of a case."""
    return await _decide(tx, viewer, case_id, lambda case, policy, now: domain.correct(case, facts, policy, now))


async def withdraw(
    tx: Transaction, viewer: Viewer, case_id: UUID, reason: WithdrawalReason, duplicate_of: UUID | None
) -> Refusal | None:
    """A case counts no more; of a double, the case that stays is one that counts."""
    if duplicate_of is None:
        return await _decide(tx, viewer, case_id, lambda case, _, now: domain.withdraw(case, reason, None, now))
    # Both locked, so that no two cases become each other's double, and neither goes out of sight meanwhile.
    cases = await store.lock(tx, [case_id, duplicate_of])
    if await store.find(tx, duplicate_of, viewer) is None:
        return NOT_FOUND
    if cases[duplicate_of].withdrawn is not None:
        return Refusal("withdrawn", "La situation qui resterait est elle-même retirée.")
    return await _decide(tx, viewer, case_id, lambda case, _, now: domain.withdraw(case, reason, duplicate_of, now))


async def reinstate(tx: Transaction, viewer: Viewer, case_id: UUID) -> Refusal | None:
    """A case that was withdrawn by mistake counts again."""
    return await _decide(tx, viewer, case_id, lambda case, _, now: domain.reinstate(case, now))


async def follow(tx: Transaction, viewer: Viewer, case_id: UUID, step: Step) -> Refusal | None:
    """A step of the way back."""
    return await _decide(tx, viewer, case_id, lambda case, policy, now: domain.follow(case, step, policy, now))


async def take_back(tx: Transaction, viewer: Viewer, case_id: UUID, step_id: UUID) -> Refusal | None:
    """A step that was recorded by mistake."""
    return await _decide(tx, viewer, case_id, lambda case, _, now: domain.take_back(case, step_id, now))


async def distinguish(tx: Transaction, viewer: Viewer, case_id: UUID, other_case_id: UUID) -> Refusal | None:
    """Two cases that look alike are two people."""
    if case_id == other_case_id or await store.find(tx, case_id, viewer) is None:
        return NOT_FOUND
    if await store.find(tx, other_case_id, viewer) is None:
        return NOT_FOUND
    await store.distinguish(tx, case_id, other_case_id)
    return None


async def learn(tx: Transaction, case_id: UUID, step: Step) -> None:
    """A step that another service told."""
    await _learn(tx, case_id, lambda case, now: domain.learn(case, step, now))


async def forget(tx: Transaction, case_id: UUID, subject_id: UUID) -> None:
    """Steps that were learnt from something that is attached no more."""
    await _learn(tx, case_id, lambda case, now: domain.forget(case, subject_id, now))


async def _learn(tx: Transaction, case_id: UUID, rule: Callable[[Case, datetime], Decision]) -> None:
    case = (await store.lock(tx, [case_id]))[case_id]
    now = await tx.now()
    decision = rule(case, now)
    assert decision.case.facts is not None
    await store.save(tx, case, decision, likeness_of(tx, decision.case.facts), now)


async def policy(tx: Transaction) -> Policy:
    """The limits in force now."""
    return await store.policy_at(tx, await tx.now())


async def silent_since(tx: Transaction) -> datetime:
    """Cases whose last news is before this instant are due."""
    now = await tx.now()
    return now - timedelta(days=(await store.policy_at(tx, now)).news_days)


async def reported_counts(tx: Transaction, viewer: Viewer, facts: Sequence[Facts]) -> dict[str, int]:
    """How many cases an organisation has reported in the words of each, nobody adding one meanwhile; locked in one order."""
    counts = {}
    for words, one in sorted({one.likeness: one for one in facts}.items(), key=lambda pair: pair[0]):
        likeness = likeness_of(tx, one)
        await store.lock_likeness(tx, viewer.account, likeness)
        counts[words] = len(await store.reported_alike(tx, viewer.account, likeness))
    return counts


def likeness_of(tx: Transaction, facts: Facts) -> str:
    """What stands for a case in the search of doubles."""
    return tx.keyed_hash("case", facts.likeness)


async def _decide(tx: Transaction, viewer: Viewer, case_id: UUID, rule: Rule) -> Refusal | None:
    """The lines around every rule: whoever does not see a case is told that there is none."""
    # Locked first: what moves it out of somebody's sight comes before or after this, and not between.
    cases = await store.lock(tx, [case_id])
    if await store.find(tx, case_id, viewer) is None:
        return NOT_FOUND
    case = cases[case_id]
    now = await tx.now()
    decision = rule(case, await store.policy_at(tx, now), now)
    if decision.refusal is not None:
        return decision.refusal
    assert decision.case.facts is not None
    await store.save(tx, case, decision, likeness_of(tx, decision.case.facts), now)
    return None


def answered(reported: Reported) -> dict[str, Any]:
    """What whoever reported is told."""
    return {
        "status": "known" if reported.known else "reported",
        "case_id": reported.case_id,
        "case_code": reported.code,
        "alike": reported.alike,
    }
