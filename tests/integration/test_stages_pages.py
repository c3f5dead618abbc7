"""The pages of internships: a seeker, a host, a parent, a school; on both widths, without JavaScript, refusals in words."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID, uuid4

import pytest
from playwright.async_api import Browser, FilePayload, expect

from common.embedded.stack import Stack
from common.testing import Query, http_client, url_of
from tests.integration.browsing import WIDTHS, assert_accessible, link_sent_to, log_in, opened
from tests.integration.stages import LATER, NEXT, SCHOOL, Stages, apply, born, siret
from tests.integration.test_campaigns import HEADER, pupil


@pytest.fixture
def stages(stack: Stack) -> Stages:
    """The service of the running stack."""
    return Stages(stack)


def persona(role: str, name: str, **claims: Any) -> dict[str, Any]:
    """Somebody who logs in."""
    sub = f"page-{role}-{name}"
    return {
        "label": f"Persona {sub}",
        "sub": sub,
        "roles": [role],
        "email": f"{sub}@example.org",
        "name": name,
        **claims,
    }


@pytest.mark.parametrize("width", WIDTHS)
async def test_from_an_offer_to_the_parent_signature(stages: Stages, browser: Browser, width: int) -> None:
    """A host publishes, a pupil finds, applies and confirms, a parent signs by a link without an account."""
    parent = f"parent-{uuid4().hex[:8]}@example.org"
    title, host = f"Atelier {uuid4().hex[:6]}", persona("host", uuid4().hex[:6], structure_id=str(uuid4()))
    seeker = persona("seeker", uuid4().hex[:6])
    async with opened(browser, width) as page:
        await log_in(page, stages.stack, stages.url, "/mes-offres", host)
        await assert_accessible(page)
        await page.get_by_label("SIRET").fill("123")
        await page.get_by_label("Nom").fill("Atelier du Bassin")
        await page.get_by_label("Commune").fill("Dieppe (76)")
        await page.get_by_role("button", name="Enregistrer").click()
        await expect(page.get_by_role("alert")).to_contain_text("SIRET incorrect")
        await page.get_by_label("Nom").fill("Atelier du Bassin")
        await page.get_by_label("SIRET").fill(siret())
        await page.get_by_label("Commune").fill("Dieppe (76)")
        await page.get_by_role("button", name="Enregistrer").click()
        await expect(page.get_by_role("status")).to_contain_text("enregistré")
        await page.get_by_role("link", name="Nouvelle offre").click()
        await assert_accessible(page)
        await page.get_by_label("Intitulé").fill(title)
        await page.get_by_label("Métiers montrés").fill("H2206")
        await page.get_by_label("Commune").fill("Dieppe (76)")
        await page.locator(f"input[name=seats_{LATER}]").fill("2")
        await page.get_by_role("button", name="Enregistrer l’offre").click()
        await expect(page.get_by_role("heading", name=title)).to_be_visible()
    async with opened(browser, width) as page:
        search = "/stages?commune=Dieppe+(76)&rayon=5&metier=H22&n=400"
        await page.goto(stages.url + search)
        await assert_accessible(page)
        await log_in(page, stages.stack, stages.url, "/mes-candidatures", seeker)
        await assert_accessible(page)
        await page.get_by_label("Ma situation").select_option("PUPIL")
        year, month = born(14).split("-")
        await page.get_by_label("Mon mois de naissance").select_option(str(int(month)))
        await page.get_by_label("Mon année de naissance").fill(year)
        await page.get_by_label("Ma commune").fill("Dieppe (76)")
        await page.get_by_label("mon premier vœu").select_option("H22")
        # An address of the pupil's own does not stand for their parent.
        await page.get_by_label("Adresse mail d’un parent").fill(str(seeker["email"]).replace("@", "+maman@"))
        await page.get_by_role("button", name="Enregistrer").click()
        await expect(page.get_by_role("alert")).to_contain_text("pas la vôtre")
        await page.get_by_label("Adresse mail d’un parent").fill(parent)
        await page.get_by_role("button", name="Enregistrer").click()
        await expect(page.get_by_role("status")).to_be_visible()
        await page.goto(stages.url + search)
        card = page.locator("li.prog", has_text=title)
        await card.locator("summary").click()
        await card.get_by_label("À partir du").select_option(LATER)
        # A number of weeks that the list does not offer is refused in words, whatever its size.
        await card.locator("select[name=duree] option").first.evaluate("option => option.value = '99999999'")
        await card.get_by_role("button", name="Envoyer").click()
        await expect(page.get_by_role("alert")).to_contain_text("semaine de la liste")
        await page.goto(stages.url + search)
        await card.locator("summary").click()
        await card.get_by_label("À partir du").select_option(LATER)
        await card.get_by_label("Quelques mots").fill("J’aime le bois.")
        await card.get_by_role("button", name="Envoyer").click()
        await expect(page.get_by_role("status")).to_contain_text("envoyée")
        await assert_accessible(page)
    async with opened(browser, width) as page:
        await log_in(page, stages.stack, stages.url, "/mes-offres", host)
        await expect(page.get_by_text("J’aime le bois.")).to_be_visible()
        await assert_accessible(page)
        await page.get_by_role("button", name="Accepter").click()
        await expect(page.get_by_role("status")).to_contain_text("acceptée")
        await page.get_by_text("accueillir des stagiaires").click()
        await page.get_by_role("button", name="Signer la charte").click()
        await expect(page.get_by_role("status")).to_contain_text("Charte signée")
    async with opened(browser, width) as page:
        await log_in(page, stages.stack, stages.url, "/mes-candidatures", seeker)
        # A click four times is one confirmation.
        await page.get_by_role("button", name="Je confirme").click(click_count=4)
        await expect(page.get_by_role("status")).to_contain_text("confirmé")
        await page.get_by_role("button", name="Signer la convention").click()
        await expect(page.get_by_role("status")).to_contain_text("signée")
        await assert_accessible(page)
        await page.get_by_role("link", name="Lire la convention").click()
        await expect(page.get_by_text("empreinte SHA-256")).to_be_visible()
        await assert_accessible(page)
        # No page shows the pupil what stands for their parent.
        assert "/convention/" not in await page.content()
    link = stages.url + await link_sent_to(stages.stack, parent)
    async with opened(browser, width, javascript=False) as page:
        await page.goto(link)
        await page.get_by_role("button", name="je signe").click()
        await expect(page.get_by_text("Vous avez signé")).to_be_visible()
    async with http_client() as client:
        forged = await client.get(link[:-4] + "AAAA", headers={"accept": "text/html"})
        posted = await client.post(link[:-4] + "AAAA")
    assert forged.status_code == posted.status_code == 403 and "périmé" in forged.text


@pytest.mark.parametrize(("width", "javascript"), [(1280, True), (390, False)])
async def test_a_class_from_its_table_to_why(
    stages: Stages, browser: Browser, query: Query, width: int, javascript: bool
) -> None:
    """A wrong line is shown and the good are kept; frozen, computed, published, listed, printed; each pupil is told why."""
    _, host = await stages.host()
    first = await stages.offer(host, {LATER: 1}, title=f"Premier {uuid4().hex[:6]}")
    second = await stages.offer(host, {LATER: 1}, title=f"Second {uuid4().hex[:6]}")
    wishes, school = f"{first}, {second}", persona("school", uuid4().hex[:6], structure_id=SCHOOL)
    lines = [HEADER, *(pupil(f"p{n}", wishes) for n in range(3)), pupil("p3", "H29", semaine="2027-W54")]
    table: FilePayload = {"name": "eleves.csv", "mimeType": "text/csv", "buffer": "\n".join(lines).encode()}
    title = f"Troisième {uuid4().hex[:6]}"
    async with opened(browser, width, javascript=javascript) as page:
        await log_in(page, stages.stack, stages.url, "/campagnes", school)
        await page.get_by_label("Titre").fill(title)
        await page.get_by_role("button", name="Ouvrir").click()
        await expect(page.get_by_role("heading", name=title)).to_be_visible()
        if javascript:
            await assert_accessible(page)
        await page.get_by_label("Envoyez-le").set_input_files(table)
        await page.get_by_role("button", name="Essayer").click()
        await expect(page.get_by_text("n’a pas de semaine 54")).to_be_visible()
        if javascript:
            await assert_accessible(page)
        await page.get_by_role("button", name="Garder les 3 bonnes lignes").click()
        await expect(page.get_by_role("status")).to_contain_text(re.compile("3.élèves enregistrés"))
        await page.get_by_role("button", name="Geler et calculer").click()
        await expect(page.get_by_role("heading", name="Résultat vérifié")).to_be_visible()
        if javascript:
            await assert_accessible(page)
        await page.get_by_role("button", name="Publier").click()
        await page.get_by_role("link", name="Voir les listes").click()
        await expect(page.get_by_role("row", name=re.compile("^p"))).to_have_count(3)
        if javascript:
            await assert_accessible(page)
        unlucky = page.get_by_role("row").filter(has_text="Pas de place")
        await unlucky.get_by_role("link").click()
        await expect(page.get_by_text("tirage au sort (votre rang")).to_have_count(2)
        if javascript:
            await assert_accessible(page)
            await page.emulate_media(media="print")
            assert not await page.locator("nav.nav, nav.sub").first.is_visible()
        campaign_url = page.url.rsplit("/eleves", 1)[0]
        (row,) = await query(
            "stage-matching",
            """SELECT r.request_id FROM request r JOIN campaign c USING (campaign_id) JOIN campaign_offer o USING (campaign_id)
               WHERE c.title = :title AND o.offer_id = :first AND o.number = r.obtained_offer""",
            title=title,
            first=first,
        )
        await page.emulate_media(media="screen")
        await page.goto(f"{campaign_url}/eleves/{row.request_id}")
        await page.get_by_role("button", name="Confirmer").click()
        await expect(page.get_by_role("status")).to_be_visible()
        await expect(page.get_by_text("Confirmée", exact=True)).to_be_visible()
    async with opened(browser, width, javascript=javascript) as page:
        stranger = persona("school", uuid4().hex[:6], structure_id="0760172Z")
        await log_in(page, stages.stack, stages.url, "/campagnes", stranger)
        for path in (campaign_url, f"{campaign_url}/listes", f"{campaign_url}/eleves/{row.request_id}"):
            answer = await page.goto(path)
            assert answer is not None and answer.status == 404


@pytest.mark.parametrize("width", WIDTHS)
async def test_the_agency_suspends_a_host_on_a_page(stages: Stages, browser: Browser, width: int) -> None:
    """What it breaks is listed first, and nothing is done; then who waited is released, and the page says so."""
    _, host = await stages.host()
    name = f"Scierie {uuid4().hex[:6]}"
    body = {"host_name": name, "siret": siret(), "kind": "COMPANY", "commune_code": "76540"}
    assert (await host.put("/v1/host", json=body)).status_code == 200
    seeker = await stages.seeker()
    assert (await apply(seeker, await stages.offer(host, {NEXT: 1}))).status_code == 201
    async with opened(browser, width) as page:
        await log_in(page, stages.stack, stages.url, "/organismes", persona("agency", uuid4().hex[:6]))
        await page.get_by_label("Nom ou SIRET").fill(name.lower())
        await page.get_by_role("button", name="Chercher").click()
        await assert_accessible(page)
        await page.get_by_role("button", name=f"Suspendre : {name}").click()
        await expect(page.get_by_role("alert")).to_contain_text("1 engagement serait rompu")
        await expect(page.get_by_role("alert")).to_contain_text("Candidature en attente de réponse")
        await assert_accessible(page)
        ((waiting,),) = [(await seeker.get("/v1/applications")).json()]
        assert waiting["state"] == "submitted"
        await page.get_by_role("button", name="Continuer et prévenir").click()
        await expect(page.get_by_role("status")).to_contain_text("suspendues")
        await page.goto(f"{stages.url}/organismes?q={name}")
        await expect(page.get_by_text("Suspendu par l’agence")).to_be_visible()
        await page.get_by_role("button", name=f"Proposer à nouveau : {name}").click()
        await expect(page.get_by_role("status")).to_contain_text("proposées à nouveau")
    ((ended,),) = [(await seeker.get("/v1/applications")).json()]
    assert ended["state"] == "released"


async def test_every_form_refuses_rubbish_in_words(stages: Stages) -> None:
    """No session, no form; wrong ids and values are the caller's mistake, never a 500."""
    async with http_client(base_url=stages.url, headers={"accept": "text/html"}) as client:
        for path in (
            "/stages?commune=Atlantis&rayon=x&metier=%00&semaine=2027-W99&n=-1&public=X",
            "/stages?commune=" + "x" * 3000,
            "/convention/x.y.z",
            "/mes-offres/not-a-uuid",
            f"/campagnes/{uuid4()}",
            "/campagnes/modele.csv",
        ):
            answer = await client.get(path)
            assert answer.status_code < 500, path
        for path in ("/stages/candidature", "/mes-offres/organisme", "/campagnes", f"/campagnes/{UUID(int=0)}/gel"):
            answer = await client.post(path, data={"csrf": "x"})
            assert answer.status_code in (303, 401, 403), path


@pytest.mark.parametrize("width", WIDTHS)
async def test_the_market_moves_by_itself(stages: Stages, browser: Browser, width: int) -> None:
    """The page of the stage market is accessible, and its totals follow an offer without a reload."""
    async with opened(browser, width) as page:
        await page.goto(url_of(stages.stack, "projections") + "/marche?territoire=61")
        await assert_accessible(page)
        await expect(page.locator("[data-label]")).to_have_text("En direct")
        free = page.locator(".hero").first
        before = int("".join(filter(str.isdigit, await free.inner_text())))
        _, host = await stages.host()
        await stages.offer(host, {LATER: 7}, commune_code="61001")
        await expect(free).to_have_text(re.compile(rf"^{before + 7}$"))
