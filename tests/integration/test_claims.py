"""Organisations that a table brought: applications reach their contact or are refused, and an account that is theirs takes them over."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from playwright.async_api import Browser, expect

from common.embedded.stack import Stack
from common.testing import Query, http_client
from tests.integration.browsing import assert_accessible, link_sent_to, log_in, opened
from tests.integration.stages import NEXT, Stages, apply, siret
from tests.integration.test_campaigns import OFFERS, offer

SERVICE = "stage-matching"


@pytest.fixture
def stages(stack: Stack) -> Stages:
    """The service of the running stack."""
    return Stages(stack)


async def brought(stages: Stages, query: Query, contact: str = "") -> tuple[str, UUID, UUID]:
    """An organisation with one offer that the agency's table brought: its SIRET and both ids."""
    agency, number = await stages.client("agency", "agency"), siret()
    line = offer(number, f"Atelier {uuid4().hex[:6]}", f"{NEXT}:3") + f";{contact}"
    report = (await agency.post("/v1/offers/csv", content=f"{OFFERS};contact\n{line}".encode())).json()
    assert report["kept_count"] == 1, report
    sql = "SELECT host_id, offer_id FROM host JOIN offer USING (host_id) WHERE siret = :siret"
    ((host_id, offer_id),) = await query(SERVICE, sql, siret=number)
    return number, host_id, offer_id


def described(number: str) -> dict[str, Any]:
    """What an account says of its organisation."""
    return {"host_name": "Atelier", "siret": number, "kind": "CRAFTSMAN", "commune_code": "76540"}


async def new_host(stages: Stages) -> tuple[UUID, httpx.AsyncClient]:
    """An account of an organisation that has said nothing yet."""
    structure_id = uuid4()
    return structure_id, await stages.client(f"host-{structure_id.hex[:8]}", "host", structure_id=str(structure_id))


async def test_nobody_applies_where_nobody_reads(stages: Stages, query: Query) -> None:
    """Without account and address an application is refused in words; with an address it goes there, and waits."""
    _, _, unreachable = await brought(stages, query)
    contact = f"contact-{uuid4().hex[:8]}@example.org"
    _, host_id, reachable = await brought(stages, query, contact)
    seeker = await stages.seeker()
    refused = await apply(seeker, unreachable)
    assert (refused.status_code, refused.json()["reason"]) == (409, "host_unreachable")
    assert "appelez-le" in refused.json()["detail"]
    # Nor is anybody invited to: where it is found, it is said before a letter is written.
    near: dict[str, Any] = {"commune_code": "76540", "radius_km": 200}
    listed = (await seeker.get("/v1/offers", params=near)).json()["offers"]
    told = {one["offer_id"]: one["reachable"] for one in listed}
    assert (told[str(unreachable)], told[str(reachable)]) == (False, True)
    assert (await apply(seeker, reachable)).status_code == 201
    link = await link_sent_to(stages.stack, contact, "Candidature")
    # Another account may not take it over without the link, nor with a link that was changed.
    _, account = await new_host(stages)
    assert (await account.get("/v1/offers/mine")).json() == []
    (row,) = await query(SERVICE, "SELECT claimable FROM host WHERE host_id = :id", id=host_id)
    assert row.claimable and link


async def test_the_contact_says_whose_account_it_is(stages: Stages, query: Query, browser: Browser) -> None:
    """An account gives the SIRET of a table: asked of the contact by a link; yes gives it offers and applications, and is told."""
    contact = f"contact-{uuid4().hex[:8]}@example.org"
    number, host_id, offer_id = await brought(stages, query, contact)
    seeker = await stages.seeker()
    application_id = (await apply(seeker, offer_id)).json()["application_id"]
    structure_id, account = await new_host(stages)
    asked = await account.put("/v1/host", json=described(number))
    assert (asked.status_code, asked.json()["asked"]) == (202, "contact")
    again = await account.put("/v1/host", json=described(number))
    assert again.json()["claim_id"] == asked.json()["claim_id"]
    assert (await account.get("/v1/offers/mine")).json() == []
    link = stages.url + await link_sent_to(stages.stack, contact, "Qui gère")
    async with opened(browser, 390, javascript=False) as page:
        await page.goto(link)
        await page.get_by_role("button", name="quelqu’un de chez nous").click()
        await expect(page.get_by_text("Accepté")).to_be_visible()
    assert [row["offer_id"] for row in (await account.get("/v1/offers/mine")).json()] == [str(offer_id)]
    received = (await account.get("/v1/applications")).json()
    assert [row["application_id"] for row in received] == [application_id]
    accepted = await account.post(f"/v1/received-applications/{application_id}/acceptance")
    assert accepted.status_code == 200, accepted.text
    changed = await account.put("/v1/host", json=described(number) | {"host_name": "Atelier à nous"})
    assert changed.json() == {"host_id": str(host_id)} and structure_id != host_id
    # What has an account is not changed by a table any more, nor claimed again.
    agency = await stages.client("agency", "agency")
    line = offer(number, "Autre", f"{NEXT}:9", organisme="Atelier à nous")
    report = (
        await agency.post("/v1/offers/csv", content=f"{OFFERS}\n{line}".encode(), params={"replace": True})
    ).json()
    assert [one["reason"] for one in report["refused"]] == ["host_has_account"]
    _, stranger = await new_host(stages)
    assert (await stranger.put("/v1/host", json=described(number))).json()["reason"] == "siret_taken"
    async with http_client() as client:
        for path in (link, link[:-4] + "AAAA"):
            refused = await client.post(f"{path}/non")
            assert refused.status_code == (409 if path == link else 403)


async def test_the_agency_decides_where_no_address_is_known(stages: Stages, query: Query) -> None:
    """Two accounts claim: one is taken, the other is told no, and an account with its own organisation may not claim."""
    number, _, offer_id = await brought(stages, query)
    (_, first), (_, second) = [await new_host(stages) for _ in range(2)]
    ids = []
    for account in (first, second):
        asked = (await account.put("/v1/host", json=described(number))).json()
        assert asked["asked"] == "agency"
        ids.append(asked["claim_id"])
    _, registered = await stages.host()
    refused = await registered.put("/v1/host", json=described(number))
    assert (refused.status_code, refused.json()["reason"]) == (409, "account_has_host")
    agency, school = (
        await stages.client("agency", "agency"),
        await stages.client("s", "school", structure_id="0760017F"),
    )
    listed = [row["claim_id"] for row in (await agency.get("/v1/host-claims")).json()]
    assert set(ids) <= set(listed)
    assert (await school.get("/v1/host-claims")).status_code == 403
    assert (await first.post(f"/v1/host-claims/{ids[0]}/acceptance")).status_code == 403
    for _ in range(2):
        assert (await agency.post(f"/v1/host-claims/{ids[0]}/acceptance")).status_code == 200
    assert (await agency.post(f"/v1/host-claims/{ids[1]}/acceptance")).json()["reason"] == "claim_over"
    assert (await agency.post(f"/v1/host-claims/{uuid4()}/refusal")).status_code == 404
    assert [row["offer_id"] for row in (await first.get("/v1/offers/mine")).json()] == [str(offer_id)]
    assert (await second.get("/v1/offers/mine")).json() == []
    states = await query(SERVICE, "SELECT state FROM host_claim WHERE claim_id = ANY(:ids) ORDER BY state", ids=ids)
    assert [row.state for row in states] == ["accepted", "refused"]


@pytest.mark.parametrize("width", [1280, 390])
async def test_an_account_takes_over_by_the_link_of_an_application(
    stages: Stages, query: Query, browser: Browser, width: int
) -> None:
    """The contact of a table follows the link of an application with its own account, and answers; the agency sees who asks."""
    contact = f"contact-{uuid4().hex[:8]}@example.org"
    _, _, offer_id = await brought(stages, query, contact)
    assert (await apply(await stages.seeker(), offer_id)).status_code == 201
    link = await link_sent_to(stages.stack, contact, "Candidature")
    structure_id, name = str(uuid4()), f"reprise-{uuid4().hex[:6]}"
    who = {"label": name, "sub": name, "roles": ["host"], "structure_id": structure_id, "email": contact, "name": name}
    async with opened(browser, width) as page:
        await log_in(page, stages.stack, stages.url, link, who)
        await assert_accessible(page)
        await page.get_by_role("button", name="le reprendre").click()
        await expect(page.get_by_role("status")).to_contain_text("gérez désormais")
        await page.get_by_role("button", name="Accepter").click()
        await expect(page.get_by_role("status")).to_contain_text("acceptée")
    number, _, _ = await brought(stages, query)
    _, account = await new_host(stages)
    assert (await account.put("/v1/host", json=described(number))).status_code == 202
    who = {"label": "agence", "sub": f"agence-{name}", "roles": ["agency"], "email": "a@example.org", "name": "Agence"}
    async with opened(browser, width) as page:
        await log_in(page, stages.stack, stages.url, "/reprises", who)
        await assert_accessible(page)
        item = page.get_by_role("listitem").filter(has_text=number)
        await item.get_by_role("button", name="Refuser").click()
        await expect(page.get_by_role("status")).to_contain_text("Refusé")
