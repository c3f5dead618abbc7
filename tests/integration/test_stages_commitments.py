"""What stands behind an offer or its host: every change × every kind of application, on a real database; what people are told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from common.commitments import ACCEPTS, ASKED, WOULD_BREAK, Fate
from common.embedded.stack import Stack
from common.failures import Moved, Refusal
from common.runtime import Runtime
from common.testing import FreshRuntime
from common.transaction import Transaction
from stage_matching import campaign_store, campaigns, domain, handlers, hosts, imports, requests, store
from stage_matching.bodies import HostBody, OfferBody, RequestBody
from stage_matching.commitments import SAID, TABLE, Change, Kind
from stage_matching.messages import CampaignScope, LabelEndReason, SuspensionReason
from tests.integration.forms import logged_in, offered_again, problem_on
from tests.integration.stages import LATER, NEXT, SCHOOL, Stages, apply, offer_body, request_body, siret

CELLS = [pytest.param(*cell, id="-".join(cell)) for cell in TABLE.cells]


@dataclass
class Behind:
    """An offer of two weeks with one application for the first; or with a seat of it that a campaign keeps."""

    host_id: UUID = field(default_factory=uuid4)
    offer_id: UUID = field(default_factory=uuid4)
    account: str = field(default_factory=lambda: f"seeker-{uuid4().hex[:8]}")
    application_id: UUID | None = None
    campaign_id: UUID | None = None

    @property
    def address(self) -> str:
        """Where the seeker is written to."""
        return f"{self.account}@example.org"


async def with_a_pupil(tx: Transaction, behind: Behind) -> UUID:
    """A campaign that is still open, of one pupil who wishes for the offer."""
    campaign_id = uuid4()
    assert await campaigns.open_campaign(tx, campaign_id, title="3A", scope=CampaignScope.CLASS, uai=SCHOOL) is None
    cells = {
        "uai": SCHOOL,
        "classe": "3A",
        "eleve": "1",
        "sexe": "F",
        "age": "14",
        "commune": "Rouen (76)",
        "commune_insee": "",
    }
    cells |= {"rayon_km": "30", "semaine": NEXT, "duree": "1", "voeux": str(behind.offer_id)}
    lines, _ = await campaigns.add_pupils(tx, campaign_id, SCHOOL, imports.pupils([(1, cells)]), replace=False)  # type: ignore[misc]
    assert isinstance(lines[0][1], imports.PupilLine), lines
    return campaign_id


async def computed(tx: Transaction, behind: Behind) -> UUID:
    """The same, frozen and computed: it keeps a seat."""
    campaign_id = await with_a_pupil(tx, behind)
    assert await campaigns.freeze(tx, campaign_id, SCHOOL) is None
    row = await campaign_store.lock(tx, campaign_id)
    await campaign_store.save(tx, row, None, state="computed", work=None)
    return campaign_id


async def made(tx: Transaction, kind: Kind) -> Behind:
    """One promise of a kind."""
    behind = Behind()
    host = {"host_name": "Organisme", "siret": siret(), "kind": "COMPANY", "commune_code": "76540"}
    await hosts.describe(tx, behind.host_id, HostBody.model_validate(host).identity(), "host@example.org")
    assert await describing()(tx, behind) is None
    if kind is Kind.CAMPAIGN:
        behind.campaign_id = await computed(tx, behind)
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


async def suspending(tx: Transaction, behind: Behind) -> Refusal | None:
    """The agency suspends the host."""
    return await handlers.suspend_host(tx, behind.host_id)


async def silent(tx: Transaction, behind: Behind) -> Refusal | None:
    """Time suspends the host, then its sweeper comes."""
    refusal = await hosts.suspend(tx, behind.host_id, SuspensionReason.SILENCE)
    await handlers.release_of_suspended.one(tx, behind.offer_id)
    return refusal


async def unlabelled(tx: Transaction, behind: Behind) -> Refusal | None:
    """The agency awards the label and withdraws it."""
    await hosts.sign_charter(tx, behind.host_id, [])
    assert await hosts.award_label(tx, behind.host_id) is None
    return await hosts.withdraw_label(tx, behind.host_id, LabelEndReason.RULE_NOT_MET)


# Ten hours on a Monday, with pauses: lawful for adults only.
LONG = [{"weekday": 1, "starts": a, "ends": b} for a, b in (("08:00", "12:00"), ("13:00", "17:00"), ("18:00", "20:00"))]
CHANGES: dict[Change, Does] = {
    Change.WEEK: describing({LATER: 2}),
    Change.SEATS: fewer_seats,
    Change.PLACE: describing(commune_code="76351"),
    Change.TRADE: describing(rome_codes=["H2913"]),
    Change.PLACEMENT: describing(placement={"address": "2 quai des Docks", "tasks": "Manutention"}),
    Change.AUDIENCE: describing(audiences=["STUDENT"], age_min=18),
    Change.HOURS: describing(placement={"hours": LONG}),
    Change.RESERVED: describing(reserved={"PRIORITY_EDUCATION": 1}),
    Change.SUSPENDED: describing(suspended=True),
    Change.HOST: suspending,
    Change.SILENCE: silent,
    Change.LABEL: unlabelled,
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
    """The application as it is; of a campaign, its state and the seat that it keeps."""
    if behind.application_id is not None:
        return await store.find_application(tx, behind.application_id)
    return await tx.fetch_one(
        """SELECT c.state, c.work, w.campaign_count, o.seats FROM campaign_offer o JOIN campaign c USING (campaign_id) JOIN offer_week w USING (offer_id)
           WHERE campaign_id = :campaign AND offer_id = :id AND iso_week = :week""",
        campaign=behind.campaign_id,
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
        # Time asks nobody.
        if fate in ASKED and change is not Change.SILENCE:
            assert refusal is not None and refusal.reason == WOULD_BREAK, refusal
            (shown,) = refusal.facts["commitments"]
            assert (shown["id"], shown["becomes"]) == (str(behind.application_id or behind.campaign_id), fate)
            assert await promised(tx, behind) == before
            tx.accepted = refusal.facts[ACCEPTS]
            refusal = await CHANGES[change](tx, behind)
        if fate is Fate.BARS:
            barred = "hours_forbidden" if change is Change.HOURS else "seats_below_taken"
            assert refusal is not None and refusal.reason == barred, refusal
        else:
            assert refusal is None, refusal
        after, mails = await promised(tx, behind), await mails_of(tx, behind)
        if fate is Fate.ENDS and kind is Kind.CAMPAIGN:
            assert (after.state, after.work, after.campaign_count, after.seats) == ("frozen", "compute", 0, {})
            return
        if fate is Fate.ENDS:
            assert after.state == ("released" if change in (Change.HOST, Change.SILENCE) else "refused")
        else:
            assert after == before
        assert len(mails) - told == (fate in ASKED)
        if fate in ASKED:
            assert SAID[change] in mails[-1].body
            assert ("/conventions/" if kind is Kind.CONFIRMED else "/stages?") in mails[-1].body


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


async def test_a_change_that_excludes_nobody_breaks_nothing(runtime: Runtime) -> None:
    """Another audience beside the seeker's, a lower age: nobody is asked about it, nor written to."""
    async with runtime.database.transaction() as tx, tx.undone():
        behind = await made(tx, Kind.WAITING)
        told = await mails_of(tx, behind)
        assert await describing(audiences=["PUPIL", "STUDENT"], age_min=12)(tx, behind) is None
        assert await mails_of(tx, behind) == told


async def test_the_parties_of_an_agreement_are_told_of_a_suspended_host(runtime: Runtime) -> None:
    """The guardian by their link, who accompanies, and the host, each once; what is over already is not asked about."""
    async with runtime.database.transaction() as tx, tx.undone():
        behind = Behind()
        await tx.execute("INSERT INTO accompanist VALUES (:uai, 'Collège', 'college@example.org')", uai=SCHOOL)
        host = {"host_name": "Organisme", "siret": siret(), "kind": "COMPANY", "commune_code": "76540"}
        await hosts.describe(tx, behind.host_id, HostBody.model_validate(host).identity(), "patron@example.org")
        assert await describing()(tx, behind) is None
        wish = request_body(iso_weeks=[NEXT], uai=SCHOOL, guardian_email="parent@example.org")
        await handlers.file_request(tx, behind.account, behind.address, RequestBody.model_validate(wish).wish())
        one = await handlers.apply(tx, behind.account, behind.offer_id, (NEXT,), None)
        assert isinstance(one, UUID)
        assert await handlers.accept(tx, behind.host_id, one) is None
        assert await handlers.confirm(tx, handlers.Acting(account=behind.account), one) is None
        asked = await suspending(tx, behind)
        assert asked is not None
        tx.accepted = asked.facts[ACCEPTS]
        assert await suspending(tx, behind) is None
        rows = await tx.fetch_all(
            "SELECT recipient, subject, body FROM mail WHERE subject LIKE 'L’offre change%' OR subject LIKE 'Vos offres%' ORDER BY recipient"
        )
        told = {row.recipient: row.body for row in rows}
        assert (
            set(told) == {behind.address, "college@example.org", "parent@example.org", "patron@example.org"}
            and len(rows) == 4
        )
        assert "/convention/" in told["parent@example.org"] and "/convention/" not in told[behind.address]
        # The sweeper says it to nobody a second time, nor does the agency; and the agency's own is not taken back by the host.
        await handlers.release_of_suspended.one(tx, behind.offer_id)
        assert await suspending(tx, behind) is None
        again = await tx.fetch_all(
            "SELECT 1 FROM mail WHERE recipient = :who AND subject LIKE 'L’offre change%'", who=behind.address
        )
        assert len(again) == 1
        refused = await hosts.reinstate(tx, behind.host_id, by_agency=False)
        assert refused is not None and refused.reason == "suspended_by_agency"


async def test_the_agency_suspends_a_host_that_time_had_suspended(runtime: Runtime) -> None:
    """Its word stands above silence: the host cannot take it back."""
    async with runtime.database.transaction() as tx, tx.undone():
        behind = await made(tx, Kind.ACCEPTED)
        assert await silent(tx, behind) is None
        asked = await suspending(tx, behind)
        assert asked is not None
        tx.accepted = asked.facts[ACCEPTS]
        assert await suspending(tx, behind) is None
        row = await hosts.find(tx, behind.host_id)
        assert row.suspended_reason == "AGENCY"


async def test_a_school_is_told_of_a_seat_that_the_agency_ends(runtime: Runtime) -> None:
    """A pupil of a campaign has no address: their school is written to, with the page of this pupil; nobody gets the seat instead."""
    async with runtime.database.transaction() as tx, tx.undone():
        await tx.execute("INSERT INTO accompanist VALUES (:uai, 'Collège', 'college@example.org')", uai=SCHOOL)
        behind = await made(tx, Kind.CAMPAIGN)
        (pupil,) = await tx.fetch_all("SELECT * FROM request WHERE campaign_id = :id", id=behind.campaign_id)
        # Another pupil would rather have it than nothing.
        assert behind.campaign_id is not None
        await campaign_store.add_pupils(tx, behind.campaign_id, [replace(requests.wish_of(pupil), pupil_code="2")])
        await tx.execute("UPDATE request SET ranked_offers = '{0}' WHERE campaign_id = :id", id=behind.campaign_id)
        await _published(tx, behind, pupil.seeker_id)
        asked = await suspending(tx, behind)
        assert asked is not None and asked.facts["count"] == 1
        tx.accepted = asked.facts[ACCEPTS]
        assert await suspending(tx, behind) is None
        (mail,) = await tx.fetch_all("SELECT * FROM mail WHERE recipient = 'college@example.org'")
        assert "élève 1 (3A)" in mail.body and SAID[Change.HOST] in mail.body
        (freed,) = await tx.fetch_all("SELECT application_id FROM freed_seat")
        assert await campaigns.propose_freed.one(tx, freed.application_id) is False
        rows = await tx.fetch_all("SELECT state FROM application WHERE campaign_id = :id", id=behind.campaign_id)
        assert [row.state for row in rows] == ["released"]
        (week,) = await tx.fetch_all(
            "SELECT * FROM offer_week WHERE offer_id = :id AND iso_week = :week", id=behind.offer_id, week=NEXT
        )
        assert (week.taken_count, week.campaign_count) == (0, 0)


async def _published(tx: Transaction, behind: Behind, seeker_id: UUID) -> None:
    """The campaign gave its seat to the pupil."""
    assert behind.campaign_id is not None
    offer = await store.lock_offer(tx, behind.offer_id)
    assert offer is not None
    now = await tx.now()
    policy = await store.policy_at(tx, now)
    await store.save(tx, offer, domain.match(offer, seeker_id, behind.campaign_id, (NEXT,), policy, now))
    row = await campaign_store.lock(tx, behind.campaign_id)
    await campaign_store.save(tx, row, None, state="published", work=None)


async def test_a_freeze_and_a_suspension_at_once(fresh_runtime: FreshRuntime) -> None:
    """Whichever is first, the other waits for its locks and reads again: nothing of the host is kept unseen."""
    async with fresh_runtime("stage_matching", development=True) as runtime:

        async def opened() -> tuple[Behind, UUID]:
            async with runtime.database.transaction() as tx:
                behind = Behind()
                host = {"host_name": "Organisme", "siret": siret(), "kind": "COMPANY", "commune_code": "76540"}
                await hosts.describe(tx, behind.host_id, HostBody.model_validate(host).identity(), None)
                assert await describing()(tx, behind) is None
                return behind, await with_a_pupil(tx, behind)

        async def within(act: Callable[[Transaction], Awaitable[Refusal | None]]) -> Refusal | None:
            async with runtime.database.transaction() as tx:
                return await act(tx)

        suspended, opened_first = await opened()
        async with runtime.database.transaction() as tx:
            assert await suspending(tx, suspended) is None
            second = asyncio.create_task(within(lambda tx: campaigns.freeze(tx, opened_first, SCHOOL)))
            await asyncio.sleep(0.5)
            assert not second.done()
        assert await second is None
        async with runtime.database.transaction() as tx:
            assert await tx.fetch_all("SELECT 1 FROM campaign_offer") == []

        behind, campaign_id = await opened()
        async with runtime.database.transaction() as tx:
            assert await campaigns.freeze(tx, campaign_id, SCHOOL) is None
            second = asyncio.create_task(within(lambda tx: suspending(tx, behind)))
            await asyncio.sleep(0.5)
            assert not second.done()
        with pytest.raises(Moved):
            await second
        asked = await within(lambda tx: suspending(tx, behind))
        assert asked is not None and asked.facts["commitments"][0]["id"] == str(campaign_id)


async def test_a_host_is_asked_on_its_page_before_it_pauses_an_offer(stack: Stack) -> None:
    """Who waits is listed; nothing is done before the yes; the seeker may withdraw, and the host may still answer."""
    stages, structure_id, sub = Stages(stack), str(uuid4()), f"pause-{uuid4().hex[:8]}"
    host = await stages.client(sub, "host", structure_id=structure_id)
    body = {"host_name": "Atelier", "siret": siret(), "kind": "CRAFTSMAN", "commune_code": "76540"}
    assert (await host.put("/v1/host", json=body)).status_code == 200
    offer_id = await stages.offer(host, {NEXT: 1})
    seeker = await stages.seeker()
    one = (await apply(seeker, offer_id)).json()["application_id"]
    who = {"label": sub, "sub": sub, "roles": ["host"], "email": f"{sub}@example.org", "structure_id": structure_id}
    person = await logged_in(stack, stages.url, "/mes-offres", who | {"name": "Atelier"})
    page = await person.send(f"/mes-offres/{offer_id}/suspension")
    assert page.status_code == 409 and "1 engagement changerait" in problem_on(page)
    (row,) = (await host.get("/v1/offers/mine")).json()
    assert row["suspended"] is False
    (accepted,) = offered_again(page)[ACCEPTS]
    done = await person.send(f"/mes-offres/{offer_id}/suspension", **{ACCEPTS: accepted})
    assert done.status_code == 303, problem_on(done)
    (row,) = (await host.get("/v1/offers/mine")).json()
    assert row["suspended"] is True
    # To show it again, or to pause it again with nobody waiting, is no question.
    assert (await host.post(f"/v1/received-applications/{one}/acceptance")).status_code == 200
    for act in ("reprise", "suspension"):
        assert (await person.send(f"/mes-offres/{offer_id}/{act}")).status_code == 303
