"""What stands behind an offer: every change × every kind of application, on a real database; what seekers are told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import pytest

from common.commitments import ACCEPTS, ASKED, WOULD_BREAK, Fate
from common.embedded.stack import Stack
from common.failures import Refusal
from common.runtime import Runtime
from common.testing import FreshRuntime
from common.transaction import Transaction
from stage_matching import handlers, hosts, store
from stage_matching.bodies import HostBody, OfferBody, RequestBody
from stage_matching.commitments import TABLE, Change, Kind
from tests.integration.stages import LATER, NEXT, Stages, apply, offer_body, request_body, siret

CELLS = [pytest.param(*cell, id="-".join(cell)) for cell in TABLE.cells]


@dataclass
class Behind:
    """An offer of two weeks with one application for the first; or with a seat of it that a campaign keeps."""

    host_id: UUID = field(default_factory=uuid4)
    offer_id: UUID = field(default_factory=uuid4)
    account: str = field(default_factory=lambda: f"seeker-{uuid4().hex[:8]}")
    application_id: UUID | None = None

    @property
    def address(self) -> str:
        """Where the seeker is written to."""
        return f"{self.account}@example.org"


async def made(tx: Transaction, kind: Kind) -> Behind:
    """One promise of a kind."""
    behind = Behind()
    host = {"host_name": "Organisme", "siret": siret(), "kind": "COMPANY", "commune_code": "76540"}
    await hosts.describe(tx, behind.host_id, HostBody.model_validate(host).identity(), "host@example.org")
    assert await describing()(tx, behind) is None
    if kind is Kind.CAMPAIGN:
        await tx.execute(
            "UPDATE offer_week SET campaign_count = 1 WHERE offer_id = :id AND iso_week = :week",
            id=behind.offer_id,
            week=NEXT,
        )
        return behind
    wish = RequestBody.model_validate(request_body(iso_weeks=[NEXT])).wish()
    await handlers.file_request(tx, behind.account, behind.address, wish)
    found = await handlers.apply(tx, behind.account, behind.offer_id, (NEXT,), None)
    assert isinstance(found, UUID), found
    behind.application_id = found
    if kind is not Kind.WAITING:
        assert await handlers.accept(tx, behind.host_id, found) is None
    if kind is Kind.CONFIRMED:
        assert await handlers.confirm(tx, handlers.Acting(account=behind.account), found) is None
    return behind


Does = Callable[[Transaction, Behind], Awaitable[Refusal | None]]


def describing(seats: dict[str, int] | None = None, **changes: Any) -> Does:
    """The offer, or another description of it."""

    async def does(tx: Transaction, behind: Behind) -> Refusal | None:
        body = offer_body(
            {NEXT: 2, LATER: 2} if seats is None else seats, **{"rome_codes": ["H2913", "H2903"], **changes}
        )
        offer = OfferBody.model_validate(body)
        return await handlers.describe_offer(tx, behind.host_id, behind.offer_id, offer.description(), offer.seats)

    return does


async def fewer_seats(tx: Transaction, behind: Behind) -> Refusal | None:
    """One seat fewer than are given or promised; of who waits, one of two."""
    row = await tx.fetch_one(
        "SELECT taken_count + campaign_count AS used FROM offer_week WHERE offer_id = :id AND iso_week = :week",
        id=behind.offer_id,
        week=NEXT,
    )
    assert row is not None
    return await describing({NEXT: row.used - 1 if row.used else 1, LATER: 2})(tx, behind)


async def new_policy(tx: Transaction, _: Behind) -> None:
    """From today on, one application for each."""
    row = await tx.fetch_one("SELECT limits FROM policy ORDER BY valid_on DESC LIMIT 1")
    assert row is not None
    await tx.execute(
        """INSERT INTO policy (valid_on, limits) VALUES ((CAST(:now AS timestamptz) AT TIME ZONE 'Europe/Paris')::date, CAST(:limits AS jsonb))
           ON CONFLICT (valid_on) DO UPDATE SET limits = excluded.limits""",
        now=await tx.now(),
        limits=json.dumps({**row.limits, "applications_per_seeker_max": 1, "answer_days": 1}),
    )


CHANGES: dict[Change, Does] = {
    Change.WEEK: describing({LATER: 2}),
    Change.SEATS: fewer_seats,
    Change.PLACE: describing(commune_code="76351"),
    Change.TRADE: describing(rome_codes=["H2913"]),
    Change.PLACEMENT: describing(placement={"address": "2 quai des Docks", "tasks": "Manutention"}),
    Change.AUDIENCE: describing(audiences=["STUDENT"], age_min=18),
    Change.RESERVED: describing(reserved={"PRIORITY_EDUCATION": 1}),
    Change.SUSPENDED: describing(suspended=True),
    Change.POLICY: new_policy,
}


def test_no_cell_is_missing() -> None:
    """Each change is tried here, and its row has a fate for each kind of application."""
    assert TABLE.missing == []
    assert set(CHANGES) == set(Change)


@pytest.fixture(scope="module")
async def runtime(fresh_runtime: FreshRuntime) -> AsyncIterator[Runtime]:
    """The service on a database of its own, for all cells."""
    async with fresh_runtime("stage_matching", development=True) as built:
        yield built


async def mails_of(tx: Transaction, behind: Behind) -> list[Any]:
    """What the seeker was sent."""
    return list(
        await tx.fetch_all("SELECT subject, body FROM mail WHERE recipient = :who ORDER BY id", who=behind.address)
    )


async def promised(tx: Transaction, behind: Behind) -> Any:
    """The application as it is; of a campaign, the seat that it keeps."""
    if behind.application_id is not None:
        return await store.find_application(tx, behind.application_id)
    return await tx.fetch_one(
        "SELECT campaign_count FROM offer_week WHERE offer_id = :id AND iso_week = :week",
        id=behind.offer_id,
        week=NEXT,
    )


@pytest.mark.parametrize(("change", "kind"), CELLS)
async def test_every_cell(runtime: Runtime, change: Change, kind: Kind) -> None:
    """What is asked about is not done before it is accepted; then each application is what its cell says, and its seeker knows."""
    fate = TABLE.fate(change, kind)
    async with runtime.database.transaction() as tx, tx.undone():
        behind = await made(tx, kind)
        before, told = await promised(tx, behind), len(await mails_of(tx, behind))
        refusal = await CHANGES[change](tx, behind)
        if fate in ASKED:
            assert refusal is not None and refusal.reason == WOULD_BREAK, refusal
            (shown,) = refusal.facts["commitments"]
            assert (shown["id"], shown["becomes"]) == (str(behind.application_id), fate)
            assert await promised(tx, behind) == before
            tx.accepted = refusal.facts[ACCEPTS]
            refusal = await CHANGES[change](tx, behind)
        if fate is Fate.BARS:
            assert refusal is not None and refusal.reason == "seats_below_taken", refusal
        else:
            assert refusal is None, refusal
        after, mails = await promised(tx, behind), await mails_of(tx, behind)
        if fate is Fate.ENDS:
            assert after.state == "refused"
            assert "n’accueille plus" in mails[-1].body and "/stages" in mails[-1].body
        else:
            assert after == before
        assert len(mails) - told == (fate in ASKED)


async def test_software_is_shown_who_has_applied_for_a_week_that_goes(stack: Stack) -> None:
    """409 with the list, which names nobody; nothing is done before; then who applied is refused."""
    stages = Stages(stack)
    _, host = await stages.host()
    offer_id = await stages.offer(host, {NEXT: 1, LATER: 1})
    seeker = await stages.seeker()
    application = (await apply(seeker, offer_id)).json()
    path, without = f"/v1/offers/{offer_id}", offer_body({LATER: 1})
    asked = await host.put(path, json=without)
    assert (asked.status_code, asked.json()["reason"], asked.json()["count"]) == (409, WOULD_BREAK, 1)
    assert asked.json()["commitments"][0]["id"] == application["application_id"]
    done = await host.put(path, json=without, params={ACCEPTS: asked.json()[ACCEPTS]})
    assert done.status_code == 200, done.text
    (mine,) = (await seeker.get("/v1/applications")).json()
    assert mine["state"] == "refused"
