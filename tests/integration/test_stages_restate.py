"""After a restore, every aggregate of stage matching is numbered above the log and told anew, or told to be over."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from common.runtime import Runtime
from common.testing import FreshRuntime
from stage_matching import campaigns, handlers, hosts
from stage_matching.bodies import HostBody, OfferBody, RequestBody
from stage_matching.handlers import Acting
from stage_matching.messages import (
    AgreementDrafted,
    CampaignOpened,
    CampaignScope,
    HostDescribed,
    HostSuspended,
    LabelAwarded,
    OfferDescribed,
    RequestFiled,
    SuspensionReason,
)
from stage_matching.restate import AGGREGATES
from tests.integration.restating import restated
from tests.integration.stages import LATER, offer_body, request_body, siret

BY_TOPIC = {aggregates.topic: aggregates for aggregates in AGGREGATES}
NOW = datetime(2026, 11, 25, tzinfo=UTC)


async def lived(runtime: Runtime) -> dict[str, UUID]:
    """One of each: a host, its offer, a seeker's request, a campaign, the agreement of a confirmed application."""
    ids = {name: uuid4() for name in ("hosts", "offers", "campaigns")}
    async with runtime.database.transaction() as tx:
        body = {"host_name": "H", "siret": siret(), "kind": "COMPANY", "commune_code": "76540"}
        await hosts.describe(tx, ids["hosts"], HostBody.model_validate(body).identity(), None)
        offer = OfferBody.model_validate(offer_body({LATER: 1}))
        await handlers.describe_offer(tx, ids["hosts"], ids["offers"], offer.description(), offer.seats)
        wish = RequestBody.model_validate(request_body(iso_weeks=[LATER])).wish()
        ids["requests"] = await handlers.file_request(tx, "seeker", None, wish)
        await campaigns.open_campaign(tx, ids["campaigns"], title="C", scope=CampaignScope.CLASS, uai="0760017F")
        one = await handlers.apply(tx, "seeker", ids["offers"], (LATER,), None)
        assert isinstance(one, UUID)
        assert await handlers.accept(tx, ids["hosts"], one) is None
        assert await handlers.confirm(tx, Acting(account="seeker"), one) is None
        row = await tx.fetch_one("SELECT agreement_id FROM agreement")
        assert row is not None
        ids["agreements"] = row.agreement_id
    return ids


@pytest.mark.parametrize(
    ("name", "records"),
    [
        ("hosts", ["HostDescribed"]),
        ("offers", ["OfferDescribed"]),
        ("requests", ["RequestFiled"]),
        ("campaigns", ["CampaignOpened"]),
        ("agreements", ["AgreementDrafted"]),
    ],
)
async def test_what_the_database_has_is_told_anew(fresh_runtime: FreshRuntime, name: str, records: list[str]) -> None:
    """Numbered after the log's last version, and the row takes that number."""
    async with fresh_runtime("stage_matching") as runtime:
        ids, topic = await lived(runtime), f"stage-matching.{name}.v1"
        told = await restated(runtime, AGGREGATES, topic, ids[name])
        assert told == [(record, 41 + number) for number, record in enumerate(records)]
        async with runtime.database.transaction() as tx:
            assert (await BY_TOPIC[topic].versions(tx))[ids[name]] == told[-1][1]


async def test_what_the_database_forgot_comes_back_or_is_over(fresh_runtime: FreshRuntime) -> None:
    """Hosts and offers from their description, what the log told beyond it withdrawn; the rest ends."""
    host_id, offer_id = uuid4(), uuid4()
    known: dict[str, Any] = {"occurred_at": NOW, "aggregate_version": 40}
    described = HostDescribed(
        **known, host_name="H", siret=siret(), kind="COMPANY", commune_code="76540", fictitious=True
    )
    suspended = HostSuspended(**known, reason=SuspensionReason.SILENCE, expired_count=5)
    labelled = LabelAwarded(**known, ends_on=NOW.date())
    offer = OfferDescribed(
        **known, host_id=host_id, title="T", kind="OBSERVATION", rome_codes=["H2913"], commune_code="76540",
        audiences=["PUPIL"], age_min=14, reserved=[], partner_uais=[], suspended=False,
        weeks=[{"iso_week": LATER, "seats_count": 3, "taken_count": 2, "free_count": 1}],
    )  # fmt: skip
    request = RequestFiled(
        **known, seeker_id=uuid4(), audience="PUPIL", department_code="76", radius_km=30, iso_weeks=[LATER],
        rome_codes=["H"], offer_wish_count=0,
    )  # fmt: skip
    campaign = CampaignOpened(**known, scope=CampaignScope.CLASS, uai="0760017F", seed_sha256="0" * 64)
    agreement = AgreementDrafted(
        **known, offer_id=offer_id, application_id=uuid4(), seeker_id=uuid4(), iso_weeks=[LATER], parties=[]
    )
    async with fresh_runtime("stage_matching") as runtime:
        for name, aggregate_id, messages, records in (
            ("hosts", host_id, (described, suspended, labelled), ["HostDescribed", "LabelWithdrawn", "HostReinstated"]),
            ("offers", offer_id, (offer,), ["OfferDescribed"]),
            ("requests", uuid4(), (request,), ["RequestEnded"]),
            ("campaigns", uuid4(), (campaign,), ["CampaignCancelled"]),
            ("agreements", uuid4(), (agreement,), ["AgreementEnded"]),
        ):
            found = await restated(runtime, AGGREGATES, f"stage-matching.{name}.v1", aggregate_id, *messages)
            assert [record for record, _ in found] == records, name
        async with runtime.database.transaction() as tx:
            row = await tx.fetch_one("SELECT * FROM offer_week WHERE offer_id = :id", id=offer_id)
        assert row is not None and (row.seats_count, row.taken_count) == (3, 0)
