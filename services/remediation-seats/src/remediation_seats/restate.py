"""Numbers and tells anew what the log is ahead of, after this database was restored to an earlier point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

from common.reconcile import Aggregates, Told
from common.transaction import Transaction
from remediation_seats import domain, store
from remediation_seats.messages import (
    HoldConfirmed,
    HoldEnded,
    HoldExtended,
    ProgrammeDescribed,
    SeatHeld,
    SeatsDeclared,
    StructureDescribed,
    YoungPersonAdmitted,
)
from remediation_seats.state import Conditions, Decision


async def structure_versions(tx: Transaction) -> Mapping[UUID, int]:
    """Version of every structure."""
    return await store.versions(tx, "structure")


async def programme_versions(tx: Transaction) -> Mapping[UUID, int]:
    """Version of every programme."""
    return await store.versions(tx, "programme")


async def restate_structure(tx: Transaction, structure_id: UUID, version: int, told: Told) -> None:
    """The structure as it is, or as the log last described it; its contact, which no topic has, must be given again."""
    for message in told.values():
        assert isinstance(message, StructureDescribed)
        await store.insert_structure(tx, structure_id, message)
    await store.tell_structure(tx, structure_id, version=version)


async def restate_programme(tx: Transaction, programme_id: UUID, version: int, told: Told) -> None:
    """The programme with the seats that this database knows; one that it forgot comes back without a declaration."""
    for message in told.values():
        if isinstance(message, ProgrammeDescribed):
            conditions = Conditions(
                title=message.title,
                rome_codes=tuple(message.rome_codes),
                rncp_code=message.rncp_code,
                age_min=message.age_min,
                age_max=message.age_max,
                level_min=message.level_min,
                boarding=message.boarding,
                wheelchair_accessible=message.wheelchair_accessible,
                intake_on=message.intake_on,
                open=message.open,
            )
            await store.insert_programme(tx, programme_id, message.structure_id, conditions)
    programme = await store.lock_programme(tx, programme_id)
    assert programme is not None, f"no message describes the programme {programme_id}"
    before = replace(programme, version=version)
    await store.save(tx, before, Decision(before, (domain.described(before, await tx.now()),)))


# Structures first: a programme that comes back belongs to one.
AGGREGATES = (
    Aggregates(
        topic="remediation-seats.structures.v1",
        messages=(StructureDescribed,),
        versions=structure_versions,
        restate=restate_structure,
    ),
    Aggregates(
        topic="remediation-seats.programmes.v1",
        messages=(
            ProgrammeDescribed,
            SeatsDeclared,
            SeatHeld,
            HoldExtended,
            HoldConfirmed,
            YoungPersonAdmitted,
            HoldEnded,
        ),
        versions=programme_versions,
        restate=restate_programme,
    ),
)
