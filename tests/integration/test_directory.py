"""Organisations and who acts for them in the running system: who may do what, by API, page and link; what is kept of whom."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from playwright.async_api import Browser

from common.embedded.stack import Stack
from common.runtime import Runtime
from common.testing import FreshRuntime, Query, envelope, http_client, token_of, url_of
from directory import handlers, store
from directory.handlers import Actor
from directory.messages import MemberRole, MembershipEnded, MembershipEndReason, OrganisationKind
from directory.personal_data import erase_address, export_address
from directory.restate import AGGREGATES
from directory.state import Identity
from tests.integration.browsing import WIDTHS, assert_accessible, link_sent_to, log_in, opened
from tests.integration.restating import restated

NAME = "directory"
_numbers = count(1)
_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"


def uai() -> str:
    """One that no other test uses."""
    digits = f"076{next(_numbers) + 5000:04}"
    return digits + _LETTERS[int(digits) % 23]


def siret() -> str:
    """One that no other test uses: its last digit makes the sum right (Luhn)."""
    digits = f"8{next(_numbers):012}"
    total = sum(sum(divmod(int(one) * (2 if place % 2 == 0 else 1), 10)) for place, one in enumerate(reversed(digits)))
    return digits + str(-total % 10)


def school(**changes: Any) -> dict[str, Any]:
    """A school that nobody has told of."""
    return {"title": "Lycée de la Baie", "kinds": ["SCHOOL"], "commune_code": "76540", "uai": uai(), **changes}


@dataclass
class Directory:
    """The service as its users see it."""

    stack: Stack
    url: str

    async def person(self, name: str = "", *roles: str) -> httpx.AsyncClient:
        """Somebody whom the issuer knows, with an address that it has verified."""
        sub = name or f"person-{uuid4().hex[:8]}"
        persona = {"label": sub, "sub": sub, "roles": list(roles), "email": f"{sub}@example.org", "name": sub.title()}
        token = await token_of(self.stack, persona)
        return http_client(base_url=self.url, headers={"Authorization": f"Bearer {token}"})

    async def agency(self) -> httpx.AsyncClient:
        """Of whom the issuer says that they work for the agency."""
        return await self.person("directory-agency", "agency")

    async def registered(self, by: httpx.AsyncClient, *, verified: bool = True, **changes: Any) -> UUID:
        """A school that somebody registered and manages."""
        organisation_id = uuid4()
        body = school(role="SCHOOL", **changes)
        answer = await by.post(f"/v1/organisations/{organisation_id}", json=body)
        assert answer.status_code == 201, answer.text
        if verified:
            async with await self.agency() as agency:
                assert (await agency.post(f"/v1/organisations/{organisation_id}/verification")).status_code == 200
        return organisation_id


@pytest.fixture
def directory(stack: Stack) -> Directory:
    """The service of the running stack."""
    return Directory(stack, url_of(stack, NAME))


@pytest.fixture
async def runtime(fresh_runtime: FreshRuntime) -> Any:
    """The service on a database of its own."""
    async with fresh_runtime("directory") as made:
        yield made


async def test_it_is_ready_and_on_the_pipeline_page(stack: Stack) -> None:
    """It answers, and what it says of itself reaches the page of all services."""
    async with http_client() as client:
        assert (await client.get(f"{url_of(stack, NAME)}/readyz")).status_code == 200
        page = f"{url_of(stack, 'projections')}/pipeline"
        async with asyncio.timeout(120):
            while NAME not in (await client.get(page)).text:
                await asyncio.sleep(0.5)


# -- organisations


async def test_who_registers_waits_for_the_agency(directory: Directory) -> None:
    """Found by nobody else until the agency has verified it; then its first member manages it."""
    async with (
        await directory.person() as founder,
        await directory.person() as other,
        await directory.agency() as agency,
    ):
        title = f"Lycée {uuid4().hex[:8]}"
        one = await directory.registered(founder, verified=False, title=title)
        (mine,) = (await founder.get("/v1/me")).json()["memberships"]
        assert (mine["state"], mine["role"], mine["manager"]) == ("REGISTERED", "SCHOOL", True)
        assert (await other.get("/v1/organisations", params={"text": title})).json() == []
        assert (await other.get(f"/v1/organisations/{one}")).status_code == 404
        assert (await other.get("/v1/organisations", params={"state": "REGISTERED"})).status_code == 403
        assert (await founder.post(f"/v1/organisations/{one}/verification")).status_code == 403
        assert (await agency.post(f"/v1/organisations/{one}/verification")).status_code == 200
        (found,) = (await other.get("/v1/organisations", params={"text": title})).json()
        assert found["organisation_id"] == str(one)
        assert (await other.get(f"/v1/organisations/{one}")).json()["members"] == []


async def test_a_number_that_is_there_already(directory: Directory) -> None:
    """A UAI stands for one; a SIRET is asked about, and may stand for another."""
    async with await directory.person() as founder:
        number, code = siret(), uai()
        one = await directory.registered(founder, uai=code, siret=number)
        same = await founder.post(f"/v1/organisations/{uuid4()}", json=school(uai=code, role="SCHOOL", another=True))
        assert (same.status_code, same.json()["reason"]) == (409, "uai_taken")
        company = {"title": "Atelier", "kinds": ["HOST"], "commune_code": "76540", "siret": number, "role": "HOST"}
        asked = await founder.post(f"/v1/organisations/{uuid4()}", json=company)
        assert (asked.status_code, asked.json()["reason"]) == (409, "same_siret")
        assert [each["organisation_id"] for each in asked.json()["organisations"]] == [str(one)]
        answer = await founder.post(f"/v1/organisations/{uuid4()}", json=company | {"another": True})
        assert answer.status_code == 201


async def test_one_of_twenty_at_once_has_the_uai(directory: Directory, query: Query) -> None:
    """And the others are told whose it is."""
    async with await directory.person() as founder:
        body = school(role="SCHOOL")
        answers = await asyncio.gather(*(founder.post(f"/v1/organisations/{uuid4()}", json=body) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19
    assert {answer.json()["reason"] for answer in answers if answer.status_code == 409} == {"uai_taken"}
    (row,) = await query(NAME, "SELECT count(*) AS n FROM organisation WHERE uai = :uai", uai=body["uai"])
    assert row.n == 1


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"uai": "0760001Z"}, 422, None),
        ({"siret": "12345678901234"}, 422, None),
        ({"kinds": []}, 422, None),
        ({"kinds": ["UNKNOWN"]}, 422, None),
        ({"commune_code": "75056"}, 422, None),
        ({"role": "AGENCY"}, 409, "role_not_given"),
        ({"role": None}, 409, "no_role"),
        ({"kinds": ["SCHOOL"], "uai": None, "siret": siret()}, 409, "no_uai"),
        ({"part_of": str(uuid4())}, 409, "unknown_whole"),
    ],
)
async def test_what_is_no_organisation_writes_nothing(
    directory: Directory, query: Query, changes: dict[str, Any], status: int, reason: str | None
) -> None:
    """Refused with what is wrong."""
    organisation_id = uuid4()
    async with await directory.person() as founder:
        answer = await founder.post(f"/v1/organisations/{organisation_id}", json=school(role="SCHOOL") | changes)
    assert (answer.status_code, answer.json().get("reason", reason)) == (status, reason or answer.json().get("reason"))
    assert await query(NAME, "SELECT 1 FROM organisation WHERE organisation_id = :id", id=organisation_id) == []


async def test_described_twice_merged_and_apart_again(runtime: Runtime) -> None:
    """Members go to the other, once each; reopened, they are back as they were, and the log tells each step."""
    agency, people = Actor("agency", agency=True), [f"person-{n}" for n in range(3)]
    one, other = uuid4(), uuid4()
    async with runtime.database.transaction() as tx:
        for organisation_id, members in ((one, people[:2]), (other, people[1:])):
            identity = Identity("Lycée", frozenset({OrganisationKind.SCHOOL}), "76540", None, uai())
            assert await handlers.register(tx, agency, organisation_id, identity, None, another=False) is None
            for person in members:
                result = await handlers.invite(
                    tx, agency, organisation_id, f"{person}@example.org", MemberRole.SCHOOL, None, manager=False
                )
                assert isinstance(result, dict)
                accepted = await handlers.accept(tx, Actor(person), result["invitation_id"])
                assert isinstance(accepted, dict)

    async def members_of(organisation_id: UUID) -> list[str]:
        async with runtime.database.transaction() as tx:
            return sorted(each.subject_hash for each in await store.of_organisation(tx, organisation_id))

    async with runtime.database.transaction() as tx:
        assert await handlers.merge(tx, agency, one, other) is None
    assert (await members_of(one), await members_of(other)) == ([], people)
    async with runtime.database.transaction() as tx:
        assert await handlers.reopen(tx, agency, one) is None
    assert (await members_of(one), await members_of(other)) == (people[:2], people[1:])
    async with runtime.database.transaction() as tx:
        rows = await tx.fetch_all(
            "SELECT key, array_agg(aggregate_version ORDER BY id) AS versions FROM outbox GROUP BY key"
        )
        assert all(row.versions == list(range(1, len(row.versions) + 1)) for row in rows) and len(rows) == 6


async def test_a_school_says_by_its_own_address_who_acts_for_it(
    directory: Directory, query: Query, browser: Browser
) -> None:
    """A public school's address, which policy gives, receives a link; yes verifies it. Of a private one the agency decides."""
    await query(
        NAME, "UPDATE policy SET limits = limits || jsonb_build_object('school_contact', 'ce.{uai}@example.org')"
    )
    async with await directory.person() as founder:
        one = await directory.registered(founder, verified=False, uai="0140008H", title="Collège Val de Souleuvre")
        asked = await founder.put(f"/v1/organisations/{one}/contact-question")
        assert asked.json() == {"asked": "ce.0140008h@example.org", "sent": True}
        assert (await founder.put(f"/v1/organisations/{one}/contact-question")).json()["sent"] is False
        private = await directory.registered(founder, verified=False)
        refused = await founder.put(f"/v1/organisations/{private}/contact-question")
        assert (refused.status_code, refused.json()["reason"]) == (409, "no_contact")
        link = directory.url + await link_sent_to(directory.stack, "ce.0140008h@example.org", "Qui agit")
        async with opened(browser, WIDTHS[1]) as page:
            await page.goto(link)
            await assert_accessible(page)
            await page.get_by_role("button", name="Ce sont des gens de chez nous").click()
            await page.get_by_text("Confirmé.").wait_for()
        memberships = (await founder.get("/v1/me")).json()["memberships"]
        assert {each["organisation_id"]: each["state"] for each in memberships}[str(one)] == "VERIFIED"


# -- who acts for them


async def test_invited_by_mail_and_accepted_by_link(directory: Directory, browser: Browser) -> None:
    """The link is for whoever holds it, once; a colleague who has the address verified chooses on their account."""
    async with await directory.person() as founder, await directory.person() as guest:
        one = await directory.registered(founder)
        address = f"guest-{uuid4().hex[:8]}@example.org"
        invited = await founder.put(
            f"/v1/organisations/{one}/invitations", json={"email": address, "role": "PRESCRIBER"}
        )
        assert invited.json()["sent"] is True
        again = await founder.put(f"/v1/organisations/{one}/invitations", json={"email": address, "role": "PRESCRIBER"})
        assert (again.json()["sent"], again.json()["invitation_id"]) == (False, invited.json()["invitation_id"])
        stolen = await guest.post(f"/v1/invitations/{invited.json()['invitation_id']}/acceptance")
        assert stolen.status_code == 404
        link = await link_sent_to(directory.stack, address, "Rejoindre")
        sub = f"holder-{uuid4().hex[:8]}"
        persona = {"label": sub, "sub": sub, "roles": [], "name": "Camille Ozenne", "email": f"{sub}@example.org"}
        async with opened(browser, WIDTHS[1]) as page:
            await log_in(page, directory.stack, directory.url, link, persona)
            await assert_accessible(page)
            await page.get_by_role("button", name="Accepter").click()
            await page.get_by_text("Accepté : vous agissez pour cet organisme.").wait_for()
            await assert_accessible(page)
            await page.goto(directory.url + link)
            await page.get_by_text("Cette invitation a déjà reçu sa réponse.").wait_for()
        members = (await founder.get(f"/v1/organisations/{one}")).json()["members"]
        mine = [each["display_name"] for each in members if each["role"] == "PRESCRIBER"]
        assert mine == ["Camille Ozenne"]


async def test_every_act_is_for_whom_it_is_for(directory: Directory) -> None:
    """By a stranger, a member, a manager and the agency: what each may do, and nobody's access is anybody else's to change."""
    async with (
        await directory.person() as manager,
        await directory.person() as member,
        await directory.person() as stranger,
        await directory.agency() as agency,
    ):
        one = await directory.registered(manager)
        at = f"/v1/organisations/{one}"
        asked = await member.put(f"{at}/access-requests", json={"role": "SCHOOL"})
        assert asked.json()["asked"] == "managers"
        request_id = asked.json()["access_request_id"]
        for caller, status in ((stranger, 403), (member, 403), (manager, 200), (agency, 200)):
            assert (await caller.post(f"/v1/access-requests/{request_id}/acceptance")).status_code == status
        members = (await agency.get(at)).json()["members"]
        (theirs,) = [each["membership_id"] for each in members if not each["manager"]]
        guest = {"email": f"{uuid4().hex[:8]}@example.org", "role": "SCHOOL"}
        for caller, status in ((stranger, 403), (member, 200), (manager, 200), (agency, 200)):
            assert (await caller.put(f"{at}/invitations", json=guest)).status_code == status
        boss = {"email": f"{uuid4().hex[:8]}@example.org", "role": "SCHOOL", "manager": True}
        for caller, status in ((stranger, 403), (member, 403), (manager, 200), (agency, 200)):
            assert (await caller.put(f"{at}/invitations", json=boss)).status_code == status
        (first, *_) = (await manager.get(at)).json()["invitations"]
        for caller, status in ((stranger, 403), (member, 403), (manager, 200)):
            assert (await caller.delete(f"/v1/invitations/{first['invitation_id']}")).status_code == status
        described = school(title="Autre nom")
        del described["uai"]
        described["uai"] = (await agency.get(at)).json()["uai"]
        for caller, status in ((stranger, 403), (member, 403), (manager, 200), (agency, 200)):
            assert (await caller.put(at, json=described)).status_code == status
        for caller, status in ((stranger, 403), (member, 403), (manager, 200), (agency, 200)):
            assert (await caller.put(f"/v1/memberships/{theirs}", json={"manager": False})).status_code == status
        for act in ("doubt", "verification", "reopening"):
            for caller, status in ((stranger, 403), (member, 403), (manager, 403), (agency, 200)):
                assert (await caller.post(f"{at}/{act}")).status_code == status, act
        assert (await stranger.delete(f"/v1/memberships/{theirs}")).status_code == 403
        assert (await member.delete(f"/v1/memberships/{theirs}")).status_code == 200
        assert (await member.get("/v1/me")).json()["memberships"] == []
        assert (await member.get(at)).json()["members"] == []
        for caller, status in ((stranger, 403), (member, 403), (manager, 200)):
            assert (await caller.post(f"{at}/closing")).status_code == status


async def test_two_accept_at_once_and_one_acts(runtime: Runtime) -> None:
    """One invitation is one membership, whoever holds its link."""
    agency, one = Actor("agency", agency=True), uuid4()
    async with runtime.database.transaction() as tx:
        identity = Identity("Lycée", frozenset({OrganisationKind.SCHOOL}), "76540", None, uai())
        await handlers.register(tx, agency, one, identity, None, another=False)
        result = await handlers.invite(tx, agency, one, "a@example.org", MemberRole.SCHOOL, None, manager=False)
        assert isinstance(result, dict)
    answers = await asyncio.gather(
        *(
            runtime.database.run(lambda tx, who=f"p{n}": handlers.accept(tx, Actor(who), result["invitation_id"]))  # type: ignore[misc]
            for n in range(8)
        )
    )
    assert sum(isinstance(answer, dict) for answer in answers) == 1
    async with runtime.database.transaction() as tx:
        assert len(await store.of_organisation(tx, one)) == 1


# -- what is kept of whom


async def test_the_log_knows_nobody_and_an_erasure_leaves_nobody(runtime: Runtime) -> None:
    """Neither address nor name nor the issuer's word is on a topic; erased, nothing of them is in any table but the version's count."""
    one, person = uuid4(), Actor("f" * 64, "camille.ozenne@example.org", "Camille Ozenne")
    async with runtime.database.transaction() as tx:
        await store.note_person(tx, person.subject_hash, person.email, person.display_name)
        identity = Identity("Lycée", frozenset({OrganisationKind.SCHOOL}), "76540", None, uai())
        assert await handlers.register(tx, person, one, identity, MemberRole.SCHOOL, another=False) is None
        await handlers.invite(tx, person, one, "camille.ozenne@example.org", MemberRole.REFERENT, None, manager=False)
        rows = await tx.fetch_all("SELECT value, headers::text AS headers FROM outbox")
        told = b"".join(bytes(row.value) + row.headers.encode() for row in rows)
        assert b"amille" not in told and b"example.org" not in told and person.subject_hash.encode() in told
        assert await export_address(tx, "Camille.Ozenne@example.org") is not None
        assert await erase_address(tx, "camille.ozenne@example.org") == 1
        assert await export_address(tx, "camille.ozenne@example.org") is None
        for table in (
            "organisation",
            "membership",
            "person",
            "invitation",
            "access_request",
            "mail",
            "idempotency_key",
        ):
            for row in await tx.fetch_all(f"SELECT t::text AS line FROM {table} t"):
                assert "amille" not in row.line and person.subject_hash not in row.line
        assert await erase_address(tx, "camille.ozenne@example.org") is None


async def test_what_the_database_forgot_comes_back(runtime: Runtime) -> None:
    """Restored to before it all, organisation and membership are again as the log told them; who had left stays away."""
    agency, one = Actor("agency", agency=True), uuid4()
    async with runtime.database.transaction() as tx:
        identity = Identity("Lycée", frozenset({OrganisationKind.SCHOOL}), "76540", None, uai())
        await handlers.register(tx, agency, one, identity, MemberRole.SCHOOL, another=False)
        (known,) = await store.of_organisation(tx, one)
        await handlers.end_membership(tx, agency, known.membership_id)
        before = await store.find(tx, one)
        await tx.execute("UPDATE membership SET ended = NULL WHERE membership_id = :id", id=known.membership_id)
    left = MembershipEnded(**envelope(known.membership_id, 40), reason=MembershipEndReason.LEFT)
    assert [name for name, _ in await restated(runtime, AGGREGATES, "directory.organisations.v1", one)] == [
        "OrganisationDescribed"
    ]
    told = await restated(runtime, AGGREGATES, "directory.memberships.v1", known.membership_id, left)
    assert told == [("MembershipGranted", 41), ("MembershipEnded", 42)]
    async with runtime.database.transaction() as tx:
        after, mine = await store.find(tx, one), await store.membership(tx, known.membership_id)
    assert (
        after is not None and before is not None and after.identity == before.identity and after.state is before.state
    )
    assert mine is not None and mine.ended is not None


# -- pages


@pytest.mark.parametrize("width", WIDTHS)
async def test_somebody_registers_invites_and_is_verified(directory: Directory, browser: Browser, width: int) -> None:
    """All by pages: refused with what was typed kept, registered, verified by the agency, a colleague invited, left."""
    sub = f"founder-{uuid4().hex[:8]}"
    persona = {"label": sub, "sub": sub, "roles": [], "name": "Dominique Lefèvre", "email": f"{sub}@example.org"}
    agency = {"label": "directory-agency", "sub": "directory-agency", "roles": ["agency"], "name": "Agence"}
    async with opened(browser, width) as page, opened(browser, width) as other:
        await log_in(page, directory.stack, directory.url, "/mon-compte", persona)
        await assert_accessible(page)
        await page.get_by_role("link", name="En inscrire un").click()
        await page.get_by_label("Nom, comme on l’appelle").fill("Lycée du Grand Port")
        await page.get_by_label("Établissement scolaire", exact=True).check()
        await page.get_by_label("UAI, pour un établissement scolaire").fill("0760001Z")
        await page.get_by_label("Commune", exact=True).fill("Rouen (76)")
        await page.get_by_label("Vous y faites").select_option("SCHOOL")
        await page.get_by_role("button", name="Inscrire").click()
        await page.get_by_text("ce n’est pas un UAI").wait_for()
        assert await page.get_by_label("Établissement scolaire", exact=True).is_checked()
        await page.get_by_label("UAI, pour un établissement scolaire").fill(uai())
        await page.get_by_role("button", name="Inscrire").click()
        await page.get_by_text("Organisme inscrit.").wait_for()
        await assert_accessible(page)
        path = page.url.partition("?")[0].removeprefix(directory.url)
        await log_in(other, directory.stack, directory.url, path, agency)
        await other.get_by_role("button", name="C’est bien lui").click()
        await other.get_by_text("Vérifié : ses membres peuvent agir.").wait_for()
        await other.goto(f"{directory.url}/organismes?nom=Grand+Port")
        await assert_accessible(other)
        await page.goto(directory.url + path)
        await page.get_by_label("Adresse").fill(f"collegue-{uuid4().hex[:8]}@example.org")
        await page.get_by_role("button", name="Inviter").click()
        await page.get_by_text("Invitation envoyée.").wait_for()
        await page.goto(f"{directory.url}/mon-compte")
        await page.get_by_text("Quitter", exact=True).click()
        await page.get_by_role("button", name="Quitter Lycée du Grand Port").click()
        await page.get_by_text("Vous n’agissez plus pour cet organisme.").wait_for()
