"""Loads and saves agreements."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from common.messages import Message
from common.transaction import Transaction
from stage_matching.agreements import Agreement, Role
from stage_matching.messages import AgreementDrafted, AgreementParty
from stage_matching.state import Application
from territory import weeks
from territory.working_time import PARIS


@dataclass(frozen=True)
class Found:
    """Whose an agreement is: for each role, the ids under which a caller may act."""

    application_id: UUID
    parties_by_id: dict[Role, frozenset[str | UUID]]


async def find(tx: Transaction, agreement_id: UUID) -> Found | None:
    """An agreement's application and parties, unlocked."""
    row = await tx.fetch_one(
        """SELECT g.application_id, a.seeker_id, o.host_id, r.uai FROM agreement g JOIN application a USING (application_id)
               JOIN offer o USING (offer_id) LEFT JOIN request r ON r.seeker_id = a.seeker_id AND r.campaign_id IS NOT DISTINCT FROM a.campaign_id
           WHERE g.agreement_id = :id""",
        id=agreement_id,
    )
    if row is None:
        return None
    schools = frozenset({row.uai}) if row.uai else frozenset()
    seeker: frozenset[str | UUID] = frozenset({row.seeker_id})
    return Found(
        row.application_id,
        {"seeker": seeker, "guardian": seeker, "host": frozenset({row.host_id}), "school": schools},
    )


async def draw_up(tx: Transaction, one: Application, parties: tuple[AgreementParty, ...]) -> None:
    """A new agreement for an application that was just confirmed: from its first Monday to its last Friday."""
    agreement = Agreement(
        uuid4(),
        one.application_id,
        parties,
        weeks.monday(one.iso_weeks[0]),
        weeks.monday(one.iso_weeks[-1]) + timedelta(days=4),
    )
    await tx.execute(
        """INSERT INTO agreement (agreement_id, application_id, parties, starts_on, ends_on, state, signed, version)
           VALUES (:id, :application_id, :parties, :starts_on, :ends_on, 'drafted', '{}', 0)""",
        id=agreement.agreement_id,
        application_id=one.application_id,
        parties=[party.value for party in parties],
        starts_on=agreement.starts_on,
        ends_on=agreement.ends_on,
    )
    await save(tx, agreement, (drafted(agreement, one, await tx.now()),))


def drafted(agreement: Agreement, one: Application, now: datetime) -> AgreementDrafted:
    """The whole agreement, before its signatures."""
    return AgreementDrafted(
        occurred_at=now,
        offer_id=one.offer_id,
        application_id=one.application_id,
        seeker_id=one.seeker_id,
        iso_weeks=list(one.iso_weeks),
        parties=list(agreement.parties),
    )


async def lock(tx: Transaction, agreement_id: UUID) -> Agreement:
    """An agreement that exists, its row locked."""
    row = await tx.fetch_one("SELECT * FROM agreement WHERE agreement_id = :id FOR UPDATE", id=agreement_id)
    return _agreement(row)


async def agreements_due(tx: Transaction, after: UUID, limit: int) -> list[UUID]:
    """Validated agreements whose last day has ended."""
    rows = await tx.fetch_all(
        """SELECT agreement_id FROM agreement WHERE state = 'validated' AND ends_on < :today AND agreement_id > :after
           ORDER BY agreement_id LIMIT :limit""",
        today=(await tx.now()).astimezone(PARIS).date(),
        after=after,
        limit=limit,
    )
    return [row.agreement_id for row in rows]


async def save(tx: Transaction, agreement: Agreement, messages: Sequence[Message]) -> Agreement:
    """Writes an agreement and tells what happened to it; one that nothing happened to is left alone."""
    if not messages:
        return agreement
    version = await tx.emit(messages, aggregate_id=agreement.agreement_id, version=agreement.version)
    await tx.execute(
        """UPDATE agreement SET state = :state, signed = CAST(:signed AS jsonb), version = :version WHERE agreement_id = :id""",
        id=agreement.agreement_id,
        state=agreement.state,
        signed=json.dumps({party: at.isoformat() for party, at in agreement.signed.items()}),
        version=version,
    )
    return replace(agreement, version=version)


def _agreement(row: Any) -> Agreement:
    return Agreement(
        row.agreement_id,
        row.application_id,
        tuple(AgreementParty(party) for party in row.parties),
        row.starts_on,
        row.ends_on,
        row.state,
        {party: datetime.fromisoformat(at) for party, at in row.signed.items()},
        row.version,
    )
