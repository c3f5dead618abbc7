"""Tells anew what the log is ahead of, after this database was restored to an earlier point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from common.messages import Message
from common.reconcile import Aggregates, LastMessages
from common.transaction import Transaction
from dropout_observatory import domain, handlers, store
from dropout_observatory.messages import CaseCorrected, CaseFollowed, CaseReported, CaseWithdrawn, ReportSource
from dropout_observatory.state import Case

# Who reported a case and the code that stands for it are on no topic: its platform and the agency see one that comes back.
_NOBODY = "restored"


async def restate_case(tx: Transaction, case_id: UUID, last: LastMessages) -> Sequence[Message]:
    """The case as the log last told it, which this database takes over: nothing that was said of it is lost."""
    before = (await store.lock(tx, [case_id])).get(case_id)
    now = await tx.now()
    after = _as_told(before or Case(case_id, _NOBODY, ReportSource.UNKNOWN), last)
    assert after.facts is not None
    likeness = handlers.likeness_of(tx, after.facts)
    if before is None:
        await store.insert(tx, after, likeness, now)
    await store.write(tx, before or Case(case_id, after.account, after.source), after, likeness, now)
    return domain.restated(after, now)


def _as_told(case: Case, last: LastMessages) -> Case:
    """A case with what its unknown messages say, each of which has the whole of what it speaks of."""
    reported, corrected, withdrawn = last.of(CaseReported), last.of(CaseCorrected), last.of(CaseWithdrawn)
    if reported is not None:
        case = replace(case, source=reported.source, facts=store.facts_of(reported.facts))
    if corrected is not None:
        case = replace(case, facts=store.facts_of(corrected.facts), withdrawn=None, duplicate_of=None)
    # A correction after a withdrawal says that the case counts again.
    if withdrawn is not None and not (corrected and corrected.aggregate_version > withdrawn.aggregate_version):
        case = replace(case, withdrawn=withdrawn.reason, duplicate_of=withdrawn.duplicate_of)
    if (followed := last.of(CaseFollowed)) is not None:
        case = replace(case, steps=tuple(store.step_of(step) for step in followed.steps))
    return case


AGGREGATES = (Aggregates("dropout-observatory.cases.v1", table="dropout_case", key="case_id", restate=restate_case),)
