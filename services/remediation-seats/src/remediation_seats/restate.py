"""Tells anew what the log is ahead of, after this database was restored to an earlier point."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from common import case_links
from common.messages import Message
from common.reconcile import Aggregates, LastMessages
from common.transaction import Transaction
from remediation_seats import domain, store
from remediation_seats.messages import ProgrammeDescribed, StructureDescribed
from remediation_seats.state import Conditions


async def restate_structure(tx: Transaction, structure_id: UUID, last: LastMessages) -> Sequence[Message]:
    """The structure as it is, or as the log last described it; its contact, which no topic has, must be given again."""
    if (described := last.of(StructureDescribed)) is not None:
        await store.insert_structure(tx, structure_id, described)
    return [await store.described_structure(tx, structure_id)]


async def restate_programme(tx: Transaction, programme_id: UUID, last: LastMessages) -> Sequence[Message]:
    """The programme with the seats that this database knows; one that it forgot comes back without a declaration."""
    if (described := last.of(ProgrammeDescribed)) is not None:
        conditions = Conditions(
            title=described.title,
            rome_codes=tuple(described.rome_codes),
            rncp_code=described.rncp_code,
            age_min=described.age_min,
            age_max=described.age_max,
            level_min=described.level_min,
            boarding=described.boarding,
            wheelchair_accessible=described.wheelchair_accessible,
            intake_on=described.intake_on,
            open=described.open,
        )
        await store.insert_programme(tx, programme_id, described.structure_id, conditions)
    programme = await store.lock_programme(tx, programme_id)
    assert programme is not None, f"no message describes the programme {programme_id}"
    return [domain.described(programme, await tx.now())]


# Structures first: a programme that comes back belongs to one.
AGGREGATES = (
    Aggregates("remediation-seats.structures.v1", table="structure", restate=restate_structure),
    Aggregates("remediation-seats.programmes.v1", table="programme", restate=restate_programme),
    Aggregates("remediation-seats.case-links.v1", table="case_link", key="subject_id", restate=case_links.restate),
)
