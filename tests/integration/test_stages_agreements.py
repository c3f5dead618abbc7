"""A signed agreement is a copy: nobody's edit changes it, other terms are a new version, everybody who is due can sign or leave."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from typing import Any, Literal
from uuid import UUID, uuid4

import httpx
import pytest

from common.embedded.stack import Stack
from common.runtime import Runtime
from common.testing import FreshRuntime, Query, set_clock
from common.transaction import Transaction
from stage_matching import agreement_handlers, agreement_store, handlers, hosts
from stage_matching.agreement_store import By
from stage_matching.bodies import HostBody, OfferBody, RequestBody, TermsBody
from stage_matching.handlers import Acting
from stage_matching.personal_data import erase_seeker
from territory.weeks import span
from tests.integration.forms import logged_in
from tests.integration.stages import LATER, NEXT, OTHER_SCHOOL, SCHOOL, Stages, apply, offer_body, request_body, siret

SERVICE = "stage-matching"
HOST = uuid4()


@pytest.fixture
def stages(stack: Stack) -> Stages:
    """The service of the running stack."""
    return Stages(stack)


async def confirmed(
    stages: Stages, *, offer: dict[str, Any] | None = None, **request: Any
) -> tuple[httpx.AsyncClient, httpx.AsyncClient, UUID, dict[str, Any]]:
    """A seeker and a host with an agreement between them: both, the offer, the application."""
    _, host = await stages.host()
    audience = {"audiences": [request["audience"]]} if "audience" in request else {}
    offer_id = await stages.offer(host, {NEXT: 1}, **audience, **(offer or {}))
    seeker = await stages.seeker(**request)
    one = (await apply(seeker, offer_id)).json()["application_id"]
    assert (await host.post(f"/v1/received-applications/{one}/acceptance")).status_code == 200
    answer = await seeker.post(f"/v1/applications/{one}/confirmation")
    assert answer.status_code == 200, answer.text
    return seeker, host, offer_id, answer.json()


async def test_what_all_signed_is_what_all_read(stages: Stages, query: Query) -> None:
    """The host edits the offer, its own name and place, the pupil their school: the agreement, its pages and its right stay."""
    seeker, host, offer_id, one = await confirmed(stages, offer={"title": "Atelier bois"}, age=18, uai=SCHOOL)
    agreement = f"/v1/agreements/{one['agreement_id']}"
    school = await stages.client("copy-school", "school", structure_id=SCHOOL)
    other = await stages.client("copy-other", "school", structure_id=OTHER_SCHOOL)
    seen = (await school.get(agreement)).json()
    for party in (seeker, host, school):
        signed = await party.post(f"{agreement}/signature", params={"sha256": seen["terms_sha256"]})
        assert signed.status_code == 200, signed.text
    edited = offer_body({NEXT: 1}) | {"title": "Manutention de nuit", "commune_code": "76351"}
    assert (await host.put(f"/v1/offers/{offer_id}", json=edited)).status_code == 200
    known = {"host_name": "Autre nom", "siret": siret(), "kind": "COMPANY", "commune_code": "76351"}
    assert (await host.put("/v1/host", json=known)).status_code == 200
    moved = request_body(age=18, uai=OTHER_SCHOOL)
    assert (await seeker.put("/v1/request", json=moved)).status_code == 200
    for party in (seeker, host, school):
        after = (await party.get(agreement)).json()
        assert (after["terms"], after["terms_sha256"]) == (seen["terms"], seen["terms_sha256"])
        assert after["state"] == "signed" and set(after["signed"]) == {"SEEKER", "HOST", "SCHOOL"}
    (listed,) = (await seeker.get("/v1/applications")).json()
    assert listed["title"] == "Atelier bois" and listed["host_name"] != "Autre nom"
    assert (await other.get(agreement)).status_code == 404
    assert (await other.post(f"{agreement}/validation")).status_code == 403
    assert (await school.post(f"{agreement}/validation")).status_code == 200
    (row,) = await query(
        SERVICE, "SELECT content, sha256 FROM agreement_terms WHERE agreement_id = :id", id=UUID(one["agreement_id"])
    )
    assert hashlib.sha256(row.content.encode()).hexdigest() == row.sha256 == seen["terms_sha256"]
    acts = await query(
        SERVICE, "SELECT * FROM agreement_act WHERE agreement_id = :id ORDER BY number", id=UUID(one["agreement_id"])
    )
    assert [(act.act, act.party, act.how, act.terms_version) for act in acts] == [
        ("sign", "SEEKER", "account", 1),
        ("sign", "HOST", "account", 1),
        ("sign", "SCHOOL", "account", 1),
        ("validate", "SCHOOL", "account", 1),
    ]


async def test_the_database_keeps_copy_hash_and_signature_together(stages: Stages, query: Query) -> None:
    """Another text under the same hash, or a signature under a hash that no terms have, is refused below all code."""
    _, _, _, one = await confirmed(stages, age=18)
    known = {"id": UUID(one["agreement_id"])}
    with pytest.raises(Exception, match="hash_of_the_copy"):
        await query(SERVICE, "UPDATE agreement_terms SET content = '{}' WHERE agreement_id = :id", **known)
    with pytest.raises(Exception, match="agreement_act_agreement_id_terms_version_terms_sha256_fkey"):
        await query(
            SERVICE,
            """INSERT INTO agreement_act (agreement_id, number, act, party, acted_by, how, terms_version, terms_sha256, acted_at)
               VALUES (:id, 1, 'sign', 'HOST', 'x', 'account', 1, 'forged', now())""",
            **known,
        )


async def test_changed_terms_are_asked_again(stages: Stages) -> None:
    """The host changes a term: version 2, signatures fall, each party is mailed what changed; a stale page cannot sign."""
    seeker, host, _, one = await confirmed(stages, offer={"title": "Atelier bois"}, age=18, uai=SCHOOL)
    agreement = f"/v1/agreements/{one['agreement_id']}"
    first = (await seeker.get(agreement)).json()["terms_sha256"]
    assert (await seeker.post(f"{agreement}/signature", params={"sha256": first})).status_code == 200
    changed = await host.put(f"{agreement}/terms", json={"title": "Atelier métal", "tutor_name": "Mme Roux"})
    assert changed.status_code == 200, changed.text
    after = (await seeker.get(agreement)).json()
    assert (after["state"], after["signed"], after["terms_version"]) == ("drafted", {}, 2)
    assert after["terms"]["title"] == "Atelier métal" and after["terms_sha256"] != first
    stale = await host.post(f"{agreement}/signature", params={"sha256": first})
    assert (stale.status_code, stale.json()["reason"]) == (409, "terms_changed")
    assert (await host.post(f"{agreement}/signature", params={"sha256": after["terms_sha256"]})).status_code == 200
    assert (await host.put(f"{agreement}/terms", json={"title": "Atelier métal"})).status_code == 200
    assert (await seeker.get(agreement)).json()["terms_version"] == 2  # nothing changed, nothing falls
    refused = await host.put(f"{agreement}/terms", json={"hours": [{"weekday": 1, "starts": "06:00", "ends": "20:00"}]})
    assert refused.json()["reason"] == "hours"
    # What was signed first stays readable, by its parties alone, and nobody acts on it.
    before = (await seeker.get(agreement, params={"version": 1})).json()
    assert (before["terms"]["title"], before["terms_sha256"]) == ("Atelier bois", first)
    assert (before["terms_version"], before["current_version"]) == (1, 2)
    assert (await seeker.get(agreement, params={"version": 3})).status_code == 404
    desk = await stages.client("terms-school", "school", structure_id=SCHOOL)
    listed = {each["agreement_id"]: each for each in (await desk.get("/v1/agreements")).json()}
    assert listed[one["agreement_id"]]["terms_version"] == listed[one["agreement_id"]]["current_version"] == 2
    path = f"/conventions/{one['agreement_id']}"
    school = await logged_in(stages.stack, stages.url, path, somebody("school", SCHOOL))
    page = (await school.client.get(f"{path}?version=1")).text
    assert "Atelier bois" in page and "Ancienne version" in page and "/signature" not in page
    current = (await school.client.get(path)).text
    assert "Atelier métal" in current and "Ancienne version" not in current and "/signature" in current
    printed = await school.client.get(f"{path}/convention.pdf?version=1")
    assert printed.status_code == 200 and "convention-v1.pdf" in printed.headers["content-disposition"]
    rival = await logged_in(stages.stack, stages.url, "/campagnes", somebody("school", OTHER_SCHOOL))
    assert (await rival.client.get(f"{path}?version=1")).status_code == 404


async def test_nobody_but_host_and_who_accompanies_changes_terms(stages: Stages) -> None:
    """A seeker, a stranger, a stranger's school."""
    seeker, _, _, one = await confirmed(stages, age=18, uai=SCHOOL)
    path = f"/v1/agreements/{one['agreement_id']}/terms"
    _, rival = await stages.host()
    other = await stages.client("terms-other", "school", structure_id=OTHER_SCHOOL)
    assert (await seeker.put(path, json={"title": "À moi"})).status_code == 409
    for stranger in (rival, other):
        assert (await stranger.put(path, json={"title": "À moi"})).status_code == 403


@pytest.mark.parametrize("audience", ["JOB_SEEKER", "ADULT_IN_RETRAINING", "YOUNG_IN_INSERTION"])
async def test_who_has_no_school_completes_an_agreement(stages: Stages, audience: str) -> None:
    """An adult alone with the host; a young person with the agency when they name no prescriber."""
    seeker, host, _, one = await confirmed(stages, audience=audience, age=22)
    agreement = f"/v1/agreements/{one['agreement_id']}"
    for party in (seeker, host):
        assert (await party.post(f"{agreement}/signature")).status_code == 200
    shown = (await seeker.get(agreement)).json()
    if audience != "YOUNG_IN_INSERTION":
        assert (shown["state"], shown["parties"]) == ("validated", ["SEEKER", "HOST"])
        return
    assert shown["parties"] == ["SEEKER", "HOST", "AGENCY"]
    agency = await stages.client("agency", "agency")
    assert (await agency.post(f"{agreement}/signature")).status_code == 200
    assert (await agency.post(f"{agreement}/validation")).status_code == 200
    assert (await host.get(agreement)).json()["state"] == "validated"


async def test_a_prescriber_accompanies_who_names_them(stages: Stages) -> None:
    """They sign and validate; another prescriber sees nothing."""
    prescriber = await stages.client("ml-rouen", "prescriber", structure_id="mission-locale-rouen")
    assert (await prescriber.get("/v1/agreements")).json() == []
    other = await stages.client("ml-caen", "prescriber", structure_id="mission-locale-caen")
    named = "prescriber/mission-locale-rouen"
    seeker, host, _, one = await confirmed(stages, audience="YOUNG_IN_INSERTION", age=19, prescriber_id=named)
    agreement = f"/v1/agreements/{one['agreement_id']}"
    assert (await other.get(agreement)).status_code == 404
    assert (await other.post(f"{agreement}/signature")).status_code == 403
    for party in (seeker, host, prescriber):
        assert (await party.post(f"{agreement}/signature")).status_code == 200
    assert (await prescriber.post(f"{agreement}/validation")).status_code == 200


MORNINGS = [{"weekday": day, "starts": "09:00", "ends": "12:00"} for day in range(1, 6)]
AFTERNOONS = [{"weekday": day, "starts": "13:00", "ends": "16:00"} for day in range(1, 6)]


async def test_two_part_time_placements_share_a_week(stages: Stages, query: Query) -> None:
    """Mornings at one host, afternoons at another, for two weeks; a third at the same hours is refused, by the database too."""
    seeker, ids = await stages.seeker(age=17, uai=SCHOOL), []
    both = {NEXT: 1, span(NEXT, 2)[1]: 1}
    for hours in (MORNINGS, AFTERNOONS):
        _, host = await stages.host()
        offer_id = await stages.offer(host, both, placement={"hours": hours})
        ids.append((await apply(seeker, offer_id, *both)).json()["application_id"])
        assert (await host.post(f"/v1/received-applications/{ids[-1]}/acceptance")).status_code == 200
    for one in ids:
        confirmed = await seeker.post(f"/v1/applications/{one}/confirmation")
        assert confirmed.status_code == 200, confirmed.text
    states = {one["application_id"]: one["state"] for one in (await seeker.get("/v1/applications")).json()}
    assert states == dict.fromkeys(ids, "confirmed")
    _, third = await stages.host()
    refused = await apply(seeker, await stages.offer(third, both, placement={"hours": MORNINGS[:1]}), *both)
    assert refused.json()["reason"] == "already_confirmed"
    with pytest.raises(Exception, match="nobody_is_in_two_places"):
        await query(
            SERVICE,
            """UPDATE confirmed_week SET during = (SELECT during FROM confirmed_week o
                   WHERE o.application_id = :other AND o.iso_week = confirmed_week.iso_week) WHERE application_id = :id""",
            id=UUID(ids[0]),
            other=UUID(ids[1]),
        )


async def test_hours_that_an_age_forbids(stages: Stages) -> None:
    """Eight hours a day are for nobody of fourteen, and for whoever is of age."""
    _, host = await stages.host()
    long = [{"weekday": 1, "starts": a, "ends": b} for a, b in (("08:00", "12:00"), ("12:30", "16:30"))]
    offer_id = await stages.offer(host, {NEXT: 2}, placement={"hours": long})
    young = await apply(await stages.seeker(age=14), offer_id)
    assert (young.status_code, young.json()["reason"]) == (409, "hours")
    assert (await apply(await stages.seeker(age=17), offer_id)).status_code == 201
    wrong = await host.put(
        f"/v1/offers/{offer_id}", json=offer_body({NEXT: 2}, placement={"hours": [long[0] | {"ends": "07:00"}]})
    )
    assert wrong.status_code == 422


async def test_the_age_is_that_of_the_month_of_birth(stages: Stages, query: Query) -> None:
    """Whatever number is stored beside it: who is fourteen in that week may not apply from sixteen on, and a guardian signs."""
    _, host = await stages.host()
    seeker = await stages.seeker(age=14)
    me = (await seeker.put("/v1/request", json=request_body(age=14))).json()["request_id"]
    await query(SERVICE, "UPDATE request SET age = 40 WHERE request_id = :id", id=UUID(me))
    offer_id = await stages.offer(host, {NEXT: 1}, age_min=16)
    assert (await apply(seeker, offer_id)).json()["reason"] == "age"
    assert (await host.put(f"/v1/offers/{offer_id}", json=offer_body({NEXT: 1}))).status_code == 200
    one = (await apply(seeker, offer_id)).json()["application_id"]
    assert (await host.post(f"/v1/received-applications/{one}/acceptance")).status_code == 200
    assert (await seeker.post(f"/v1/applications/{one}/confirmation")).status_code == 200
    (row,) = await query(SERVICE, "SELECT parties FROM agreement WHERE application_id = :id", id=UUID(one))
    assert "GUARDIAN" in row.parties


async def test_the_printed_agreement(stages: Stages) -> None:
    """A tagged PDF for the school, the copy and its hash on the page; nothing for a stranger."""
    _, _, _, one = await confirmed(stages, offer={"title": "Atelier #bois [un]"}, uai=SCHOOL)
    path = f"/conventions/{one['agreement_id']}"
    school = await logged_in(stages.stack, stages.url, "/campagnes", somebody("school", SCHOOL))
    page = await school.client.get(path)
    assert "Atelier #bois [un]" in page.text and one["terms_sha256"] in page.text
    printed = await school.client.get(f"{path}/convention.pdf")
    assert printed.status_code == 200 and printed.content.startswith(b"%PDF")
    assert b"/StructTreeRoot" in printed.content and b"pdfuaid" in printed.content
    listed = await school.client.get("/conventions")
    assert path in listed.text
    other = await logged_in(stages.stack, stages.url, "/campagnes", somebody("school", OTHER_SCHOOL))
    assert (await other.client.get(path)).status_code == 404
    assert (await other.client.get(f"{path}/convention.pdf")).status_code == 404


def somebody(role: str, structure_id: str) -> dict[str, Any]:
    """Who logs in for a structure."""
    sub = f"copy-{uuid4().hex[:8]}"
    who = {"label": sub, "sub": sub, "roles": [role], "email": f"{sub}@example.org", "name": sub}
    return {**who, "structure_id": structure_id}


async def test_a_guardian_without_address_signs_on_paper(stages: Stages) -> None:
    """The school records it by its page; an address of the pupil's own is refused; nobody but who accompanies records paper."""
    pupil, host, _, one = await confirmed(stages, uai=SCHOOL)
    path = f"/conventions/{one['agreement_id']}"
    school = await logged_in(stages.stack, stages.url, path, somebody("school", SCHOOL))
    answer = await school.send(f"{path}/papier", party="guardian", sha256=one["terms_sha256"])
    assert answer.status_code == 303, answer.text
    shown = (await pupil.get(f"/v1{path.replace('conventions', 'agreements')}")).json()
    assert [(act["party"], act["how"]) for act in shown["acts"]] == [("GUARDIAN", "paper")]
    api = f"/v1/agreements/{one['agreement_id']}"
    for stranger in (pupil, host):
        assert (await stranger.post(f"{api}/paper-signature", params={"party": "guardian"})).status_code == 403
    desk = await stages.client("paper-school", "school", structure_id=SCHOOL)
    own = await desk.post(f"{api}/paper-signature", params={"party": "seeker"})
    assert own.json()["reason"] == "signs_here"
    assert (await pupil.post(f"{api}/guardian-link")).json()["reason"] == "no_guardian_address"
    me = await stages.client("own-parent", "seeker")
    refused = await me.put("/v1/request", json=request_body(guardian_email="own-parent+papa@example.org"))
    assert refused.json()["reason"] == "guardian_is_seeker"


async def test_who_asks_for_the_link_twice_a_day_is_told_that_it_left(stages: Stages, query: Query) -> None:
    """To the parent's address, once a day; the second asker is refused with when, since nothing is written."""
    parent = f"parent-{uuid4().hex[:8]}@example.org"
    pupil, _, _, one = await confirmed(stages, uai=SCHOOL, guardian_email=parent)
    link = f"/v1/agreements/{one['agreement_id']}/guardian-link"
    assert (await pupil.post(link)).status_code == 200
    again = await pupil.post(link)
    assert (again.status_code, again.json()["reason"]) == (409, "written_today")
    # The first was sent when the agreement was drawn up.
    assert len(await query(SERVICE, "SELECT 1 FROM mail WHERE recipient = :parent", parent=parent)) == 2


async def test_a_forgotten_seeker_leaves_the_hash(fresh_runtime: FreshRuntime) -> None:
    """Names and addresses go from the terms and the mails; hash, acts and states stay."""
    async with fresh_runtime("stage_matching") as runtime:
        async with runtime.database.transaction() as tx:
            agreement_id = await lived(tx, guardian_email="parent@example.org")
            assert (await tx.fetch_all("SELECT 1 FROM mail WHERE recipient = 'parent@example.org'")) != []
        async with runtime.database.transaction() as tx:
            assert await erase_seeker(tx, "seeker") == 1
            row = await agreement_store.whole(tx, agreement_id)
            assert row is not None and "@" not in row.content.replace("host@example.org", "")
            assert row.erased_at is not None and row.terms_sha256 != hashlib.sha256(row.content.encode()).hexdigest()
            assert (await tx.fetch_all("SELECT 1 FROM mail WHERE recipient = 'parent@example.org'")) == []


async def lived(tx: Transaction, **request: Any) -> UUID:
    """An agreement of the week `LATER` in a database of its own, drawn up by the rules."""
    body = {"host_name": "H", "siret": siret(), "kind": "COMPANY", "commune_code": "76540"}
    await hosts.describe(tx, HOST, HostBody.model_validate(body).identity(), "host@example.org")
    weeks = tuple(request.pop("iso_weeks", [LATER]))
    offer_id, offer = uuid4(), OfferBody.model_validate(offer_body(dict.fromkeys(weeks, 1)))
    await handlers.describe_offer(tx, HOST, offer_id, offer.description(), offer.seats)
    wish = RequestBody.model_validate(request_body(iso_weeks=list(weeks), uai=SCHOOL, **request)).wish()
    await handlers.file_request(tx, "seeker", "seeker@example.org", wish)
    one = await handlers.apply(tx, "seeker", offer_id, weeks, None)
    assert isinstance(one, UUID)
    assert await handlers.accept(tx, HOST, one) is None
    assert await handlers.confirm(tx, Acting(account="seeker"), one) is None
    row = await tx.fetch_one("SELECT agreement_id FROM agreement")
    assert row is not None
    agreement_id: UUID = row.agreement_id
    return agreement_id


async def test_an_interrupted_internship_leaves_the_weeks_to_come(fresh_runtime: FreshRuntime) -> None:
    """The week that has begun stays taken, those after it are the seeker's again."""
    three = span(LATER, 3)
    async with fresh_runtime("stage_matching") as runtime:
        async with runtime.database.transaction() as tx:
            agreement_id = await lived(tx, iso_weeks=three)
        await at(runtime, agreement_id, -16)
        async with runtime.database.transaction() as tx:
            assert await agreement_handlers.act_on_agreement(tx, agreement_id, "seeker", "interrupt", None) is None
            rows = await tx.fetch_all("SELECT iso_week FROM confirmed_week")
            assert [row.iso_week for row in rows] == [three[0]]


@pytest.mark.parametrize(("act", "days", "unread"), [("cancel", -30, "host"), ("interrupt", -2, None)])
async def test_who_ends_an_agreement_tells_the_others(
    fresh_runtime: FreshRuntime, act: Literal["cancel", "interrupt"], days: int, unread: str | None
) -> None:
    """School, parent and host read who ended it and where; the host of a cancelled one reads of its seat. A second act tells nobody."""
    async with fresh_runtime("stage_matching") as runtime:
        async with runtime.database.transaction() as tx:
            agreement_id = await lived(tx, guardian_email="parent@example.org")
        await at(runtime, agreement_id, days)
        async with runtime.database.transaction() as tx:
            # Known only since the agreement was drawn up: it is written to all the same.
            await agreement_store.know_accompanist(tx, SCHOOL, "Lycée", "school@example.org")
        for _ in range(2):
            async with runtime.database.transaction() as tx:
                await agreement_handlers.act_on_agreement(tx, agreement_id, "seeker", act, None)
        async with runtime.database.transaction() as tx:
            found = await tx.fetch_all("SELECT recipient, body FROM mail WHERE message_key LIKE 'ended:%'")
            told = {row.recipient: row.body for row in found}
            assert len(found) == len(told)
            assert told.keys() == {f"{who}@example.org" for who in {"school", "parent", "host"} - {unread}}
            assert all("(par : stagiaire)" in body for body in told.values())
            assert "/convention/" in told["parent@example.org"]
            assert await erase_seeker(tx, "seeker") == 1
            left = await tx.fetch_all(
                "SELECT recipient FROM mail WHERE recipient IN ('seeker@example.org', 'parent@example.org')"
            )
            assert left == []


async def at(runtime: Runtime, agreement_id: UUID, days: int) -> None:
    """The clock stands so many days after the agreement's last."""
    async with runtime.database.transaction() as tx:
        row = await tx.fetch_one(
            "SELECT ends_on - CAST(now() AS date) AS days FROM agreement WHERE agreement_id = :id", id=agreement_id
        )
        assert row is not None
    await set_clock(runtime, row.days + days)


async def test_begun_and_not_complete_it_can_be_ended(fresh_runtime: FreshRuntime) -> None:
    """During, by the seeker; after its last day nothing is signed without a reason, which is kept."""
    async with fresh_runtime("stage_matching") as runtime:
        async with runtime.database.transaction() as tx:
            agreement_id = await lived(tx)
        await at(runtime, agreement_id, 3)
        async with runtime.database.transaction() as tx:
            late = await agreement_handlers.act_on_agreement(tx, agreement_id, "host", "sign", HOST)
            assert late is not None and late.reason == "reason_needed"
            kept = By("somebody", reason="PAPER_SIGNED_IN_TIME")
            assert await agreement_handlers.act_on_agreement(tx, agreement_id, "host", "sign", HOST, kept) is None
            gone = By("school", reason="DID_NOT_TAKE_PLACE")
            assert (
                await agreement_handlers.act_on_agreement(tx, agreement_id, "school", "interrupt", SCHOOL, gone) is None
            )
            acts = await agreement_store.acts_of(tx, agreement_id)
            assert [(act.act, act.acted_by, act.reason) for act in acts] == [
                ("sign", "somebody", "PAPER_SIGNED_IN_TIME"),
                ("interrupt", "school", "DID_NOT_TAKE_PLACE"),
            ]


async def test_the_agreement_of_before_gets_its_copy(fresh_runtime: FreshRuntime) -> None:
    """What the migration writes of an agreement that had no terms is read, hashed and signed as any other."""
    import importlib.util

    import sqlalchemy

    import stage_matching
    from common.migrations import folder_of

    path = folder_of(stage_matching) / "versions" / "0004_signed_copies.py"
    spec = importlib.util.spec_from_file_location("signed_copies", path)
    assert spec is not None and spec.loader is not None
    migration = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(migration)
    async with fresh_runtime("stage_matching") as runtime:
        async with runtime.database.transaction() as tx:
            agreement_id = await lived(tx)
            assert await agreement_handlers.act_on_agreement(tx, agreement_id, "host", "sign", HOST) is None
            await tx.execute("DELETE FROM agreement_act")
            await tx.execute("DELETE FROM agreement_terms")
        async with runtime.database.engine.begin() as connection:

            def copy(sync: sqlalchemy.Connection) -> None:
                for row in sync.execute(sqlalchemy.text(migration._LIVE)).all():
                    migration._copy(sync, row)

            await connection.run_sync(copy)
        async with runtime.database.transaction() as tx:
            agreement = await agreement_store.lock(tx, agreement_id)
            terms = await agreement_store.terms_of(tx, agreement)
            assert terms.sha256 == agreement.terms_sha256
            assert json.loads(terms.canonical)["title"] == "Découverte de l’atelier"
            (act,) = await agreement_store.acts_of(tx, agreement_id)
            assert (act.act, act.party) == ("sign", "HOST")
            assert await agreement_handlers.act_on_agreement(tx, agreement_id, "school", "sign", SCHOOL) is None
            wanted = TermsBody(title="Autre").wanted()
            assert await agreement_handlers.change_terms(tx, agreement_id, "host", HOST, wanted) is None
            assert (await agreement_store.lock(tx, agreement_id)).terms_version == 2
            mails = await tx.fetch_all("SELECT * FROM mail WHERE message_key LIKE 'terms:%' ORDER BY recipient")
            assert all("« Découverte de l’atelier » devient « Autre »" in mail.body for mail in mails)
            assert [mail.recipient for mail in mails] == ["host@example.org", "seeker@example.org"]
            assert date.today() < terms.starts_on
