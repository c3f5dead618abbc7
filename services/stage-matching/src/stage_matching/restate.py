"""Tells anew what the log is ahead of, after this database was restored to an earlier point."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from common import case_links
from common.messages import Message
from common.reconcile import Aggregates, LastMessages
from common.transaction import Transaction
from stage_matching import agreement_store, campaign_store, domain, hosts, requests, store
from stage_matching.messages import (
    AgreementEnded,
    AgreementOutcome,
    AgreementValidated,
    CampaignCancelled,
    OfferDescribed,
    RequestEnded,
    RequestEndReason,
    RequestFiled,
)
from stage_matching.state import Description


async def restate_offer(tx: Transaction, offer_id: UUID, last: LastMessages) -> Sequence[Message]:
    """The offer with the seats that this database knows; one that it forgot comes back with its seats, all free."""
    seats: dict[str, int] = {}
    if (described := last.of(OfferDescribed)) is not None:
        description = Description(
            title=described.title,
            kind=described.kind,
            rome_codes=tuple(described.rome_codes),
            commune_code=described.commune_code,
            audiences=tuple(one.value for one in described.audiences),
            age_min=described.age_min,
            reserved={one.category.value: one.seats_count for one in described.reserved},
            partner_uais=tuple(described.partner_uais),
            suspended=described.suspended,
        )
        seats = {week.iso_week: week.seats_count for week in described.weeks}
        await store.insert_offer(tx, offer_id, described.host_id, description)
    offer = await store.lock_offer(tx, offer_id)
    assert offer is not None, f"no message describes the offer {offer_id}"
    now = await tx.now()
    if offer.version == 0:
        decision = domain.describe(offer, offer.description, seats, now)
        await store.save_weeks(tx, offer, decision.offer)
        return decision.messages
    return [domain.described(offer, now)]


async def restate_request(tx: Transaction, request_id: UUID, last: LastMessages) -> Sequence[Message]:
    """The request as it is; one that this database forgot is over."""
    row = await tx.fetch_one("SELECT * FROM request WHERE request_id = :id FOR UPDATE", id=request_id)
    now = await tx.now()
    if row is not None:
        return [requests.filed(row.seeker_id, row.campaign_id, requests.wish_of(row), now)]
    known = last.of(RequestFiled) or last.of(RequestEnded)
    assert known is not None
    reason = RequestEndReason.WITHDRAWN
    return [RequestEnded(occurred_at=now, seeker_id=known.seeker_id, campaign_id=known.campaign_id, reason=reason)]


async def restate_campaign(tx: Transaction, campaign_id: UUID, last: LastMessages) -> Sequence[Message]:
    """The campaign in the state in which this database has it; one that it forgot is given up."""
    row = await campaign_store.lock(tx, campaign_id)
    now = await tx.now()
    return [CampaignCancelled(occurred_at=now) if row is None else await campaign_store.state_message(tx, row, now)]


async def restate_agreement(tx: Transaction, agreement_id: UUID, last: LastMessages) -> Sequence[Message]:
    """The agreement in its state; one that this database forgot is cancelled."""
    now = await tx.now()
    if await agreement_store.find(tx, agreement_id) is None:
        return [AgreementEnded(occurred_at=now, outcome=AgreementOutcome.CANCELLED)]
    agreement = await agreement_store.lock(tx, agreement_id)
    one = await store.find_application(tx, agreement.application_id)
    assert one is not None
    messages: list[Message] = [agreement_store.drafted(agreement, one, now)]
    if agreement.state == "validated":
        messages.append(AgreementValidated(occurred_at=now))
    elif agreement.state in ("completed", "interrupted", "cancelled"):
        messages.append(AgreementEnded(occurred_at=now, outcome=AgreementOutcome[agreement.state.upper()]))
    return messages


# Hosts first: an offer that comes back belongs to one.
AGGREGATES = (
    Aggregates("stage-matching.hosts.v1", table="host", restate=hosts.restate),
    Aggregates("stage-matching.offers.v1", table="offer", restate=restate_offer),
    Aggregates("stage-matching.campaigns.v1", table="campaign", restate=restate_campaign),
    Aggregates("stage-matching.requests.v1", table="request", restate=restate_request),
    Aggregates("stage-matching.agreements.v1", table="agreement", restate=restate_agreement),
    Aggregates("stage-matching.case-links.v1", table="case_link", key="subject_id", restate=case_links.restate),
)
