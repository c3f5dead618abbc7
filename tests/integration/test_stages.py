"""Internships by HTTP: offers, applications to the signed agreement, silence, and the last place under concurrency."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import product
from typing import Any
from uuid import UUID, uuid4

import pytest

from common.embedded.stack import Stack
from common.failures import Refusal
from common.testing import FreshRuntime, Query, sent_accepting, set_clock, swept, until_it_waits
from common.transaction import Transaction
from stage_matching import handlers, hosts, notices
from stage_matching.handlers import Acting
from stage_matching.messages import RefusalReason
from tests.integration.stages import LATER, NEXT, Stages, apply, offer_body, request_body, siret


@pytest.fixture
def stages(stack: Stack) -> Stages:
    """The service of the running stack."""
    return Stages(stack)


async def test_from_the_offer_to_the_signed_agreement(stages: Stages, query: Query) -> None:
    """Search, apply, accept, confirm, sign by each party, validate; the other application for the week is released."""
    _, host = await stages.host()
    _, rival = await stages.host()
    offer_id = await stages.offer(host, {NEXT: 2, LATER: 1}, title=f"Atelier {uuid4().hex[:6]}")
    other_id = await stages.offer(rival, {NEXT: 1})
    seeker = await stages.seeker(uai="0760017F")
    found = (await seeker.get("/v1/offers", params={"commune_code": "76540", "rome": "H29", "iso_week": NEXT})).json()
    assert str(offer_id) in {one["offer_id"] for one in found["offers"]}
    application = (await apply(seeker, offer_id)).json()
    waiting = (await apply(seeker, other_id)).json()
    assert application["state"] == "submitted"
    one = f"/v1/received-applications/{application['application_id']}"
    assert (await rival.post(f"{one}/acceptance")).status_code == 403
    assert (await host.post(f"{one}/view")).json()["state"] == "seen"
    assert (await host.post(f"{one}/acceptance")).json()["state"] == "accepted"
    confirmed = await seeker.post(f"/v1/applications/{application['application_id']}/confirmation")
    assert confirmed.json()["state"] == "confirmed", confirmed.text
    states = {a["application_id"]: a["state"] for a in (await seeker.get("/v1/applications")).json()}
    assert states[waiting["application_id"]] == "released"

    agreement = f"/v1/agreements/{confirmed.json()['agreement_id']}"
    school = await stages.client("school-a", "school", structure_id="0760017F")
    stranger = await stages.client("school-b", "school", structure_id="0760172Z")
    assert (await stranger.post(f"{agreement}/signature")).status_code == 403
    assert (await rival.post(f"{agreement}/signature")).status_code == 403
    for party in (seeker, host, school):
        assert (await party.post(f"{agreement}/signature")).status_code == 200
    too_early = await school.post(f"{agreement}/validation")
    assert too_early.json()["reason"] == "agreement_state"  # the guardian of a minor has yet to sign
    rows = await query(
        "stage-matching",
        "SELECT parties, signed FROM agreement WHERE agreement_id = :id",
        id=UUID(confirmed.json()["agreement_id"]),
    )
    assert set(rows[0].parties) - set(rows[0].signed) == {"GUARDIAN"}

    cancelled = await host.post(f"{agreement}/cancellation")
    assert cancelled.status_code == 200, cancelled.text
    seats = await query("stage-matching", "SELECT taken_count FROM offer_week WHERE offer_id = :id", id=offer_id)
    assert {row.taken_count for row in seats} == {0}
    weeks = await query(
        "stage-matching",
        "SELECT count(*) AS n FROM confirmed_week WHERE application_id = :id",
        id=UUID(application["application_id"]),
    )
    assert weeks[0].n == 0


async def test_an_offer_of_weeks_that_are_over_is_refused_and_leaves_nothing(stages: Stages, query: Query) -> None:
    """Nobody would ever see it. One that had weeks to come may keep those alone that are over."""
    _, host = await stages.host()
    offer_id, over = uuid4(), {"2025-W10": 2, "2025-W11": 1}
    refused = await host.put(f"/v1/offers/{offer_id}", json=offer_body(over))
    assert (refused.status_code, refused.json()["reason"]) == (409, "weeks_over")
    assert await query("stage-matching", "SELECT 1 FROM offer WHERE offer_id = :id", id=offer_id) == []
    for seats in (over | {NEXT: 1}, over):
        assert (await host.put(f"/v1/offers/{offer_id}", json=offer_body(seats))).status_code == 200


async def test_two_hundred_clients_on_the_last_place_of_a_week(stages: Stages, query: Query) -> None:
    """One acceptance and 199 refusals with the reason; without the rule, the database would still keep the seat."""
    _, host = await stages.host()
    offer_id = await stages.offer(host, {NEXT: 1})
    seekers = [await stages.seeker() for _ in range(200)]
    sent = await asyncio.gather(*(apply(seeker, offer_id) for seeker in seekers))
    ids = [answer.json()["application_id"] for answer in sent]
    answers = await asyncio.gather(*(host.post(f"/v1/received-applications/{one}/acceptance") for one in ids))
    outcomes = Counter((answer.status_code, answer.json().get("reason")) for answer in answers)
    assert outcomes == {(200, None): 1, (409, "no_free_seat"): 199}
    rows = await query(
        "stage-matching", "SELECT taken_count, seats_count FROM offer_week WHERE offer_id = :id", id=offer_id
    )
    assert [(row.taken_count, row.seats_count) for row in rows] == [(1, 1)]
    late = await apply(await stages.seeker(), offer_id)
    assert (late.status_code, late.json()["reason"]) == (409, "no_free_seat")
    with pytest.raises(Exception, match="no_overbooking"):
        await query("stage-matching", "UPDATE offer_week SET taken_count = 2 WHERE offer_id = :id", id=offer_id)


async def test_one_seeker_confirms_one_internship_a_week(stages: Stages, query: Query) -> None:
    """Ten accepted applications for one week, ten confirmations at once: one wins, the rest are refused and released."""
    seeker = await stages.seeker()
    ids = []
    for _ in range(10):
        _, host = await stages.host()
        application = (await apply(seeker, await stages.offer(host, {NEXT: 1}))).json()["application_id"]
        assert (await host.post(f"/v1/received-applications/{application}/acceptance")).status_code == 200
        ids.append(application)
    refused = await apply(seeker, await stages.offer((await stages.host())[1], {NEXT: 1}))
    assert refused.json()["reason"] == "seeker_limit"
    answers = await asyncio.gather(*(seeker.post(f"/v1/applications/{one}/confirmation") for one in ids))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 9}
    states = Counter(one["state"] for one in (await seeker.get("/v1/applications")).json())
    assert states == {"confirmed": 1, "released": 9}
    again = await apply(seeker, await stages.offer((await stages.host())[1], {NEXT: 1}))
    assert again.json()["reason"] == "already_confirmed"


async def test_what_ends_while_another_command_waits_for_it_stays_ended(fresh_runtime: FreshRuntime) -> None:
    """The second command read the application before it got the locks; what it decides on is the application as it is after."""
    from stage_matching.bodies import HostBody, OfferBody, RequestBody

    wish = RequestBody.model_validate(request_body(iso_weeks=[LATER])).wish()
    offer = OfferBody.model_validate(offer_body({LATER: 1}))
    body = {"host_name": "H", "siret": siret(), "kind": "COMPANY", "commune_code": "76540"}
    host_id = uuid4()
    commands: dict[str, Callable[[Transaction, str, UUID, UUID], Awaitable[Refusal | None]]] = {
        "confirmation": lambda tx, account, one, _: handlers.confirm(tx, Acting(account=account), one),
        "confirmation elsewhere": lambda tx, account, _, other: handlers.confirm(tx, Acting(account=account), other),
        "withdrawal": lambda tx, account, one, _: handlers.withdraw(tx, Acting(account=account), one),
        "refusal": lambda tx, _, one, __: handlers.refuse(tx, host_id, one, RefusalReason.DATES),
        "acceptance": lambda tx, _, one, __: handlers.accept(tx, host_id, one),
    }
    ended = {"withdrawal": "withdrawn", "refusal": "refused", "confirmation elsewhere": "released"}

    async with fresh_runtime("stage_matching", development=True) as runtime:
        async with runtime.database.transaction() as tx:
            await hosts.describe(tx, host_id, HostBody.model_validate(body).identity(), None)
        for first, second in product(["confirmation", "withdrawal", "refusal", "confirmation elsewhere"], commands):
            account, offers = f"{first}, {second}", [uuid4(), uuid4()]
            ids = []
            async with runtime.database.transaction() as tx:
                await handlers.file_request(tx, account, None, wish)
                for offer_id in offers:
                    await handlers.describe_offer(tx, host_id, offer_id, offer.description(), offer.seats)
                    applied = await handlers.apply(tx, account, offer_id, (LATER,), None)
                    assert isinstance(applied, UUID) and await handlers.accept(tx, host_id, applied) is None
                    ids.append(applied)

            async def act(name: str, account: str, one: UUID, other: UUID) -> Refusal | None:
                async with runtime.database.transaction() as tx:
                    return await commands[name](tx, account, one, other)

            async with runtime.database.transaction() as tx:
                assert await commands[first](tx, account, *ids) is None
                later = asyncio.create_task(act(second, account, *ids))
                await until_it_waits(tx, later)
            refusal = await later
            # Who gave this one up may still confirm the other.
            if second == "confirmation elsewhere" and first in ("withdrawal", "refusal"):
                assert refusal is None, account
                confirmed = ids[1:]
            else:
                assert refusal is not None and refusal.reason in ("application_state", "already_confirmed"), account
                confirmed = {"confirmation": ids[:1], "confirmation elsewhere": ids[1:]}.get(first, [])
            async with runtime.database.transaction() as tx:
                rows = await tx.fetch_all(
                    "SELECT record FROM outbox WHERE key = ANY(:ids)", ids=[str(i) for i in offers]
                )
                (one,) = await tx.fetch_all("SELECT state FROM application WHERE application_id = :id", id=ids[0])
                weeks = await tx.fetch_all("SELECT * FROM confirmed_week WHERE application_id = ANY(:ids)", ids=ids)
            told = Counter(row.record.rsplit(".", 1)[1] for row in rows)
            assert one.state == ended.get(first, "confirmed"), account
            assert [row.application_id for row in weeks] == confirmed, account
            assert (told["ApplicationConfirmed"], told["ApplicationEnded"]) == (len(confirmed), 1), account


async def test_refusals_say_what_to_do(stages: Stages) -> None:
    """Each rule of an application, and each field of an offer, answers with its reason and never a 500."""
    host_id, host = await stages.host()
    offer_id = await stages.offer(host, {NEXT: 1, LATER: 1}, age_min=16)
    stranger = await stages.client("seeker-without-request", "seeker")
    assert (await apply(stranger, offer_id)).json()["reason"] == "no_request"
    for changes, weeks, reason in (
        ({}, (NEXT,), "age"),
        ({"age": 17, "audience": "STUDENT"}, (NEXT,), "audience"),
        ({"age": 17}, ("2020-W10",), "week_not_offered"),
    ):
        seeker = await stages.seeker(**changes)
        assert (await apply(seeker, offer_id, *weeks)).json()["reason"] == reason
    seeker = await stages.seeker(age=17)
    assert (await apply(seeker, uuid4())).status_code == 404
    for wrong_weeks in (("2027-W54",), ("0001-W01",), ("9999-W51", "9999-W52", "9999-W52")):
        assert (await apply(seeker, offer_id, *wrong_weeks)).status_code == 422, wrong_weeks
    assert (await apply(seeker, offer_id)).status_code == 201
    assert (await apply(seeker, offer_id)).json()["reason"] == "already_applied"
    wrong: tuple[dict[str, Any], ...] = (
        {"rome_codes": ["Z9999"]},
        {"commune_code": "75056"},
        {"audiences": ["UNKNOWN"]},
        {"seats": {"2027-W54": 1}},
        {"seats": {"0001-W01": 1}},
        {"seats": {NEXT: -1}},
        {"reserved": {"OTHER": 1}},
        {"partner_uais": ["0760017A"]},
        {"title": "a\x00b"},
        {"surprise": 1},
    )
    for mistake in wrong:
        answer = await host.put(f"/v1/offers/{uuid4()}", json=offer_body({NEXT: 1}) | mistake)
        assert answer.status_code == 422, (mistake, answer.text)
    taken = await sent_accepting(host, "PUT", f"/v1/offers/{offer_id}", json=offer_body({LATER: 1}))
    assert taken.status_code == 200, taken.text  # an application that waits has taken no seat
    other_id, other = await stages.host()
    assert (await other.put(f"/v1/offers/{offer_id}", json=offer_body({NEXT: 1}))).status_code == 403
    body = {"host_name": "X", "siret": "12345678901234", "kind": "COMPANY", "commune_code": "76540"}
    assert (await host.put("/v1/host", json=body)).status_code == 422
    number = siret()
    assert (await host.put("/v1/host", json=body | {"siret": number})).status_code == 200
    assert (await other.put("/v1/host", json=body | {"siret": number})).json()["reason"] == "siret_taken"
    assert host_id != other_id


async def test_the_label_follows_the_charter(stages: Stages, query: Query) -> None:
    """No label without a charter in force; signed, awarded, withdrawn; a suspended host gets none; each time it is told."""
    host_id, host = await stages.host()
    agency = await stages.client("agency", "agency")
    label = f"/v1/hosts/{host_id}/label"
    assert (await agency.post(label)).json()["reason"] == "no_charter"
    assert (await host.post("/v1/host/charter", json={"commitments": ["INTERNS"]})).status_code == 200
    assert (await host.post(label)).status_code == 403
    assert (await agency.post(label)).status_code == 200
    assert (await agency.post(f"/v1/hosts/{host_id}/suspension")).status_code == 200
    assert (await host.post("/v1/host/reinstatement")).json()["reason"] == "suspended_by_agency"
    assert (await agency.post(f"/v1/hosts/{host_id}/reinstatement")).status_code == 200
    assert (await agency.post(f"{label}-withdrawal", json={"reason": "AGENCY"})).status_code == 200
    assert (await agency.post(f"{label}-withdrawal", json={"reason": "AGENCY"})).json()["reason"] == "no_label"
    sql = "SELECT subject FROM mail WHERE message_key LIKE :key ORDER BY id"
    told = [row.subject for row in await query("stage-matching", sql, key=f"host:{host_id}:%")]
    assert told == ["Vos offres sont suspendues", "Votre label est retiré"]
    listed = {one["host_id"]: one for one in (await agency.get("/v1/hosts")).json()}
    assert listed[str(host_id)]["label_ends_on"] is None and listed[str(host_id)]["charter_ends_on"]


async def test_a_silent_host_is_reminded_then_suspended_and_its_seekers_sent_elsewhere(
    fresh_runtime: FreshRuntime,
) -> None:
    """Reminders at 7 and 14 days, each once; expiry at 15; five silences suspend; those who still wait are released."""
    from stage_matching.bodies import HostBody, OfferBody, RequestBody

    async with fresh_runtime("stage_matching", development=True) as runtime:
        host_id, offers = uuid4(), [uuid4() for _ in range(6)]
        applications = []
        async with runtime.database.transaction() as tx:
            body = {"host_name": "Muet", "siret": siret(), "kind": "COMPANY", "commune_code": "76540"}
            identity = HostBody.model_validate(body).identity()
            assert await hosts.describe(tx, host_id, identity, "host@example.org") is None
            for offer_id in offers:
                offer = OfferBody.model_validate(offer_body({LATER: 1}))
                assert await handlers.describe_offer(tx, host_id, offer_id, offer.description(), offer.seats) is None
            for number in range(6):
                wish = RequestBody.model_validate(request_body(iso_weeks=[LATER])).wish()
                await handlers.file_request(tx, f"person-{number}", f"person-{number}@example.org", wish)
        for number, offer_id in enumerate(offers[:5]):
            async with runtime.database.transaction() as tx:
                applications.append(await handlers.apply(tx, f"person-{number}", offer_id, (LATER,), None))

        async def sweep() -> None:
            for work in (notices.remind, handlers.settle_due, hosts.suspend_silent, handlers.release_of_suspended):
                for _ in range(2):
                    await swept(runtime, work)

        async def mails() -> Counter[str]:
            async with runtime.database.transaction() as tx:
                rows = await tx.fetch_all("SELECT subject, recipient FROM mail WHERE subject LIKE 'Rappel%'")
            return Counter(row.recipient for row in rows)

        await set_clock(runtime, 8)
        await sweep()
        assert await mails() == {"host@example.org": 5}
        async with runtime.database.transaction() as tx:
            late = await handlers.apply(tx, "person-5", offers[5], (LATER,), None)
        await set_clock(runtime, 14.5)
        await sweep()
        assert await mails() == {"host@example.org": 10}
        await set_clock(runtime, 15.5)
        await sweep()
        async with runtime.database.transaction() as tx:
            states = {
                row.application_id: (row.state, row.seat)
                for row in await tx.fetch_all("SELECT application_id, state, accepted_at AS seat FROM application")
            }
            (host,) = await tx.fetch_all("SELECT * FROM host")
            records = Counter(row.record.rsplit(".", 1)[1] for row in await tx.fetch_all("SELECT record FROM outbox"))
            ended = await tx.fetch_all("SELECT recipient FROM mail WHERE subject LIKE 'Candidature close%'")
        assert host.suspended_reason == "SILENCE"
        assert {states[one][0] for one in applications} == {"expired"} and states[late][0] == "released"
        assert records["HostSuspended"] == 1 and records["ApplicationEnded"] == 6
        assert Counter(row.recipient for row in ended) == {f"person-{n}@example.org": 1 for n in range(6)}
        async with runtime.database.transaction() as tx:
            assert await hosts.reinstate(tx, host_id, by_agency=False) is None
        await sweep()
        async with runtime.database.transaction() as tx:
            (host,) = await tx.fetch_all("SELECT * FROM host")
        assert host.suspended_reason is None  # what was silent before no longer counts


async def test_a_seeker_who_does_not_confirm_gives_the_seat_back(fresh_runtime: FreshRuntime) -> None:
    """Settled before any decision, whether swept or not: the next seeker gets the seat the moment it is due."""
    from stage_matching.bodies import HostBody, OfferBody, RequestBody

    async with fresh_runtime("stage_matching", development=True) as runtime:
        host_id, offer_id = uuid4(), uuid4()
        async with runtime.database.transaction() as tx:
            body = {"host_name": "H", "siret": siret(), "kind": "COMPANY", "commune_code": "76540"}
            await hosts.describe(tx, host_id, HostBody.model_validate(body).identity(), None)
            offer = OfferBody.model_validate(offer_body({LATER: 1}))
            await handlers.describe_offer(tx, host_id, offer_id, offer.description(), offer.seats)
            for name in ("first", "second"):
                wish = RequestBody.model_validate(request_body(iso_weeks=[LATER])).wish()
                await handlers.file_request(tx, name, None, wish)
        async with runtime.database.transaction() as tx:
            first = await handlers.apply(tx, "first", offer_id, (LATER,), None)
        async with runtime.database.transaction() as tx:
            assert isinstance(first, UUID) and await handlers.accept(tx, host_id, first) is None
        async with runtime.database.transaction() as tx:
            refusal = await handlers.apply(tx, "second", offer_id, (LATER,), None)
        assert not isinstance(refusal, UUID) and refusal.reason == "no_free_seat"
        await set_clock(runtime, 15.1)
        async with runtime.database.transaction() as tx:
            second = await handlers.apply(tx, "second", offer_id, (LATER,), None)
        assert isinstance(second, UUID)
        async with runtime.database.transaction() as tx:
            late = await handlers.confirm(tx, Acting(account="first"), first)
        assert late is not None and late.reason == "application_state"


async def test_rubbish_on_every_route_is_a_clear_problem_and_never_a_500(stages: Stages) -> None:
    """Every route of the OpenAPI document, as every role, with ids that exist and not, and bodies that make no sense."""
    host_id, host = await stages.host()
    offer_id = await stages.offer(host, {NEXT: 1})
    agency = await stages.client("rubbish-agency", "agency")
    school = await stages.client("rubbish-school", "school", structure_id="0760017F")
    campaign_id = uuid4()
    opened = await school.put(f"/v1/campaigns/{campaign_id}", json={"title": "C", "scope": "CLASS"})
    assert opened.status_code == 200
    callers = [host, agency, school, await stages.seeker(), await stages.client("rubbish-partner", "partner")]
    described = (await agency.get("/openapi.json")).json()["paths"]
    bodies = (
        b"",
        b"{",
        b"[]",
        b"null",
        b"[" * 50_000,
        b"\x00\xff\xfe" * 100,
        b'{"title": "\\ud800", "seats": {"2027-W54": 1}}',
        b'{"iso_weeks": ["2027-W06", "2027-W08"], "wishes": ["\\u0000"], "age": 1e999}',
        b'{"commitments": ["INTERNS", "INTERNS"], "reason": "UNKNOWN", "seats": {"%s": 99999999999}}' % NEXT.encode(),
    )
    refused = 0
    for path, methods in described.items():
        for method in methods:
            for one in (str(uuid4()), str(offer_id), str(campaign_id), str(host_id), "x"):
                url = path
                for name in ("host_id", "offer_id", "application_id", "agreement_id", "campaign_id"):
                    url = url.replace(f"{{{name}}}", one)
                # The campaign is used up by its first real command, and rubbish must not find that one.
                url = url.replace("{action}", "nonsense" if "campaigns" in path else "withdrawal")
                for number, caller in enumerate(callers):
                    body = bodies[(number + len(url)) % len(bodies)] if method != "get" else b""
                    headers = {"Content-Type": "application/json"}
                    answer = await caller.request(method.upper(), url, content=body, headers=headers)
                    assert answer.status_code < 500, (method, url, body[:60], answer.text)
                    if answer.status_code >= 400:
                        refused += 1
                        assert answer.headers["content-type"] == "application/problem+json"
                        assert answer.json()["detail"]
    assert refused > 200
    for query in ("commune_code=%00", "commune_code=76540&rome=Z99", "commune_code=76540&radius_km=nan", "commune_code=76540&iso_week=2027-W54"):  # fmt: skip
        assert (await agency.get(f"/v1/offers?{query}")).status_code == 422
