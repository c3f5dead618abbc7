"""The stage market equals an independent fold of the raw topics, before and after a rebuild."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any
from uuid import uuid4

import pytest

from common.embedded.stack import Stack
from common.secrecy import PEOPLE_MIN, shown
from common.testing import Query, estuaire, http_client, url_of
from tests.integration.byte_stores import found_in
from tests.integration.conftest import eventually
from tests.integration.referee import Record, read_topic
from tests.integration.stages import LATER, NEXT, Stages, apply, request_body
from tests.integration.test_rebuild import rebuild

OFFERS, HOSTS, REQUESTS = (f"stage-matching.{name}.v1" for name in ("offers", "hosts", "requests"))


@pytest.fixture
def stages(stack: Stack) -> Stages:
    """The service of the running stack."""
    return Stages(stack)


async def some_life(stages: Stages) -> None:
    """Applications that end in every way."""
    _, host = await stages.host()
    offer_id = await stages.offer(host, {NEXT: 3, LATER: 2})
    await host.post("/v1/host/charter", json={"commitments": ["INTERNS"]})
    for end in ("nothing", "seen", "refused", "withdrawn", "accepted", "confirmed"):
        seeker = await stages.seeker()
        one = (await apply(seeker, offer_id)).json()["application_id"]
        received, own = f"/v1/received-applications/{one}", f"/v1/applications/{one}"
        match end:
            case "seen":
                await host.post(f"{received}/view")
            case "refused":
                await host.post(f"{received}/refusal", json={"reason": "DATES"})
            case "withdrawn":
                await seeker.post(f"{own}/withdrawal")
            case "accepted" | "confirmed":
                await host.post(f"{received}/acceptance")
        if end == "confirmed":
            assert (await seeker.post(f"{own}/confirmation")).status_code == 200


def folded(records: list[Record]) -> tuple[dict[str, Any], dict[str, str]]:
    """By the raw log: each offer's version and weeks, and each application's state."""
    weeks: dict[str, Any] = {}
    states: dict[str, str] = {}
    for record in records:
        fields = record.fields
        assert fields is not None
        if fields["aggregate_version"] <= weeks.get(record.key, (0,))[0]:
            continue
        seats = sorted((w["iso_week"], w["seats_count"], w["taken_count"], w["free_count"]) for w in fields["weeks"])
        weeks[record.key] = fields["aggregate_version"], seats
        if record.name != "OfferDescribed":
            states[str(fields["application_id"])] = {
                "ApplicationSubmitted": "submitted",
                "ApplicationSeen": "seen",
                "ApplicationAccepted": "accepted",
                "ApplicationConfirmed": "confirmed",
                "ApplicationEnded": "ended",
            }[record.name]
    return weeks, states


async def market(query: Query) -> tuple[dict[str, Any], dict[str, str]]:
    """The same from the read model."""
    offers = await query("projections", "SELECT offer_id, aggregate_version, weeks FROM market_offer")
    applications = await query("projections", "SELECT application_id, state FROM market_application")
    weeks = {
        str(row.offer_id): (
            row.aggregate_version,
            sorted((w["iso_week"], w["seats_count"], w["taken_count"], w["free_count"]) for w in row.weeks),
        )
        for row in offers
    }
    return weeks, {str(row.application_id): row.state for row in applications}


async def test_the_market_is_the_fold_of_the_log_before_and_after_a_rebuild(
    stack: Stack, stages: Stages, query: Query
) -> None:
    """Every offer's weeks and every application's state; then the same rows from the first offset."""
    await some_life(stages)

    async def published() -> bool:
        rows = await query("stage-matching", "SELECT count(*) AS n FROM outbox WHERE published_at IS NULL")
        return bool(rows[0].n == 0)

    await eventually(published)
    expected = folded(await asyncio.to_thread(read_topic, stack, OFFERS))

    async def same() -> bool:
        return await market(query) == expected

    await eventually(same)
    assert {"submitted", "seen", "accepted", "confirmed", "ended"} <= set(expected[1].values())
    status, said = await rebuild(stack, model="stage-market")
    assert status == 0 and "is switched" in said, said
    assert await market(query) == expected
    async with http_client() as client:
        answer = (await client.get(f"{url_of(stack, 'projections')}/api/stage-market")).json()
    taken = Counter[str]()
    for _, weeks in expected[0].values():
        taken.update({week: count for week, _, count, _ in weeks})
    assert answer["answers"]["answered_count"] >= 3 and sum(trade["seats_count"] for trade in answer["trades"]) > 0
    assert all(host["confirmed_count"] > 0 for host in answer["hosts"])


def test_few_people_are_not_counted() -> None:
    """Ten people are not said, eleven are."""
    assert PEOPLE_MIN == 11 and [shown(n) for n in (0, 10, 11)] == [None, None, 11]


async def test_no_personal_attribute_is_on_the_topics(stack: Stack, stages: Stages) -> None:
    """What a seeker told of their age, sex, commune, mail and letter stays in the service."""
    _, host = await stages.host()
    seeker = await stages.seeker(age=47, audience="PUPIL", sex="FEMALE", commune_code="76485")
    offer_id = await stages.offer(host, {NEXT: 1})
    letter = "Lettre très personnelle"
    body = {"offer_id": str(offer_id), "iso_weeks": [NEXT], "letter": letter}
    answer = await seeker.post("/v1/applications", json=body)
    assert answer.status_code == 201
    records: list[Record] = []

    async def told() -> bool:
        records[:] = [
            one for topic in (OFFERS, REQUESTS, HOSTS) for one in await asyncio.to_thread(read_topic, stack, topic)
        ]
        return any(answer.json()["application_id"] in str(record.fields) for record in records)

    await eventually(told)
    for record in records:
        text = str(record.fields)
        # Quoted: five digits may stand in any random id.
        assert letter not in text and "'76485'" not in text and "@example.org" not in text
        assert not {"age", "sex", "email", "letter"} & set(record.fields or {})


async def test_an_erased_person_is_in_no_store(stack: Stack, stages: Stages, query: Query) -> None:
    """By one command: no table, no topic and no log has their address, account or letter; others' rows are as they were."""
    mark = uuid4().hex
    account, letter = f"erased-{mark}", f"Lettre-{mark}"
    _, host = await stages.host()
    offers = [await stages.offer(host, {NEXT: 1, LATER: 1}) for _ in range(3)]
    seeker = await stages.client(account, "seeker")
    neighbour = await stages.seeker()
    await apply(neighbour, offers[0])
    assert (await seeker.put("/v1/request", json=request_body())).status_code == 200
    for number, offer_id in enumerate(offers):
        body = {"offer_id": str(offer_id), "iso_weeks": [NEXT], "letter": letter}
        answer = await seeker.post("/v1/applications", json=body, headers={"Idempotency-Key": f"{mark}{number}"})
        one = answer.json()["application_id"]
        if number:
            key = {"Idempotency-Key": f"host-{mark}{number}"}
            await host.post(f"/v1/received-applications/{one}/acceptance", headers=key)
    assert await found_in(stack, query, mark, "stage-matching")
    erase = "seekers", "erase", f"{account}@example.org"
    status, said = await estuaire(stack, "stage-matching", *erase)
    assert status == 0 and "erased; 3 applications" in said, said
    assert await found_in(stack, query, mark, "stage-matching") == []
    status, said = await estuaire(stack, "stage-matching", *erase)
    assert status == 1 and "nobody is known" in said
    seats = await query("stage-matching", "SELECT taken_count FROM offer_week WHERE offer_id = ANY(:ids)", ids=offers)
    assert {row.taken_count for row in seats} == {0}
    assert (await neighbour.get("/v1/applications")).json()[0]["state"] == "submitted"
