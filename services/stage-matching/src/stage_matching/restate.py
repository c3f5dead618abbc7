"""Numbers and tells anew what the log is ahead of, after this database was restored to an earlier point."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from uuid import UUID

from common.messages import Message
from common.reconcile import Aggregates, Told
from common.transaction import Transaction
from stage_matching import agreement_store, campaign_store, domain, hosts, requests, store
from stage_matching.messages import (
    AgreementDrafted,
    AgreementEnded,
    AgreementOutcome,
    AgreementSigned,
    AgreementValidated,
    ApplicationAccepted,
    ApplicationConfirmed,
    ApplicationEnded,
    ApplicationSeen,
    ApplicationSubmitted,
    CampaignCancelled,
    CampaignClosed,
    CampaignComputed,
    CampaignFrozen,
    CampaignOpened,
    CampaignPublished,
    CharterSigned,
    HostDescribed,
    HostReinstated,
    HostSuspended,
    LabelAwarded,
    LabelWithdrawn,
    OfferDescribed,
    RequestEnded,
    RequestEndReason,
    RequestFiled,
)
from stage_matching.state import Decision, Description


async def restate_host(tx: Transaction, host_id: UUID, version: int, told: Told) -> None:
    """The organisation as it is, or as the log last described it."""
    await hosts.restate(tx, host_id, version, told.values())


async def restate_offer(tx: Transaction, offer_id: UUID, version: int, told: Told) -> None:
    """The offer with the seats that this database knows; one that it forgot comes back with its seats, all free."""
    seats: dict[str, int] = {}
    for message in told.values():
        if isinstance(message, OfferDescribed):
            description = Description(
                title=message.title,
                kind=message.kind,
                rome_codes=tuple(message.rome_codes),
                commune_code=message.commune_code,
                audiences=tuple(one.value for one in message.audiences),
                age_min=message.age_min,
                reserved={one.category.value: one.seats_count for one in message.reserved},
                partner_uais=tuple(message.partner_uais),
                suspended=message.suspended,
            )
            seats = {week.iso_week: week.seats_count for week in message.weeks}
            await store.insert_offer(tx, offer_id, message.host_id, description)
    offer = await store.lock_offer(tx, offer_id)
    assert offer is not None, f"no message describes the offer {offer_id}"
    before, now = replace(offer, version=version), await tx.now()
    if offer.version == 0:
        await store.save(tx, before, domain.describe(replace(before, version=0), before.description, seats, now))
    else:
        await store.save(tx, before, Decision(before, (domain.described(before, now),)))


async def restate_request(tx: Transaction, request_id: UUID, version: int, told: Told) -> None:
    """The request as it is; one that this database forgot is over."""
    row = await tx.fetch_one("SELECT * FROM request WHERE request_id = :id FOR UPDATE", id=request_id)
    now = await tx.now()
    if row is not None:
        message: Message = requests.filed(row.seeker_id, row.campaign_id, requests.wish_of(row), now)
    else:
        (known, *_) = (one for one in told.values() if isinstance(one, RequestFiled | RequestEnded))
        reason = RequestEndReason.WITHDRAWN
        message = RequestEnded(occurred_at=now, seeker_id=known.seeker_id, campaign_id=known.campaign_id, reason=reason)
    version = await tx.emit([message], aggregate_id=request_id, version=version)
    await tx.execute("UPDATE request SET version = :version WHERE request_id = :id", id=request_id, version=version)


async def restate_campaign(tx: Transaction, campaign_id: UUID, version: int, told: Told) -> None:
    """The campaign in the state in which this database has it; one that it forgot is given up."""
    row = await campaign_store.lock(tx, campaign_id)
    now = await tx.now()
    message = CampaignCancelled(occurred_at=now) if row is None else await campaign_store.state_message(tx, row, now)
    version = await tx.emit([message], aggregate_id=campaign_id, version=version)
    await tx.execute("UPDATE campaign SET version = :version WHERE campaign_id = :id", id=campaign_id, version=version)


async def restate_agreement(tx: Transaction, agreement_id: UUID, version: int, told: Told) -> None:
    """The agreement in its state; one that this database forgot is cancelled."""
    now = await tx.now()
    if await agreement_store.find(tx, agreement_id) is None:
        ended = AgreementEnded(occurred_at=now, outcome=AgreementOutcome.CANCELLED)
        await tx.emit([ended], aggregate_id=agreement_id, version=version)
        return
    agreement = replace(await agreement_store.lock(tx, agreement_id), version=version)
    one = await store.find_application(tx, agreement.application_id)
    assert one is not None
    messages: list[Message] = [agreement_store.drafted(agreement, one, now)]
    if agreement.state == "validated":
        messages.append(AgreementValidated(occurred_at=now))
    elif agreement.state in ("completed", "interrupted", "cancelled"):
        messages.append(AgreementEnded(occurred_at=now, outcome=AgreementOutcome[agreement.state.upper()]))
    await agreement_store.save(tx, agreement, messages)


# Hosts first: an offer that comes back belongs to one.
AGGREGATES = (
    Aggregates(
        topic="stage-matching.hosts.v1",
        messages=(HostDescribed, CharterSigned, LabelAwarded, LabelWithdrawn, HostSuspended, HostReinstated),
        versions=partial(store.versions, table="host"),
        restate=restate_host,
    ),
    Aggregates(
        topic="stage-matching.offers.v1",
        messages=(
            OfferDescribed,
            ApplicationSubmitted,
            ApplicationSeen,
            ApplicationAccepted,
            ApplicationConfirmed,
            ApplicationEnded,
        ),
        versions=partial(store.versions, table="offer"),
        restate=restate_offer,
    ),
    Aggregates(
        topic="stage-matching.campaigns.v1",
        messages=(
            CampaignOpened,
            CampaignFrozen,
            CampaignComputed,
            CampaignPublished,
            CampaignClosed,
            CampaignCancelled,
        ),
        versions=partial(store.versions, table="campaign"),
        restate=restate_campaign,
    ),
    Aggregates(
        topic="stage-matching.requests.v1",
        messages=(RequestFiled, RequestEnded),
        versions=partial(store.versions, table="request"),
        restate=restate_request,
    ),
    Aggregates(
        topic="stage-matching.agreements.v1",
        messages=(AgreementDrafted, AgreementSigned, AgreementValidated, AgreementEnded),
        versions=partial(store.versions, table="agreement"),
        restate=restate_agreement,
    ),
)
