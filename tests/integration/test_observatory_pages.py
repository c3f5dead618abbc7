"""The observatory's pages: a referent on a phone, a platform that follows, a table, plenary figures; with and without JavaScript."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from playwright.async_api import Browser, Page, expect

from common.embedded.stack import Stack
from common.testing import http_client, url_of
from territory import reference
from tests.integration.browsing import WIDTHS, assert_accessible, log_in, opened
from tests.integration.forms import logged_in, problem_on
from tests.integration.observatory import SERVICE, Observatory, month, report_body, reported, towns


@pytest.fixture
def observatory(stack: Stack) -> Observatory:
    """The service of the running stack."""
    return Observatory(stack, url_of(stack, SERVICE))


def persona(role: str = "referent", account: str = "") -> dict[str, Any]:
    """Somebody who logs in."""
    sub = f"page-{role}-{uuid4().hex[:6]}"
    facts = {"label": f"Persona {sub}", "sub": sub, "roles": [role], "email": f"{sub}@example.org"}
    return {**facts, "name": f"Personne {sub[-6:]}", "structure_id": account or f"org-{sub}"}


async def fill(page: Page, town: str, age: str = "17 ans") -> None:
    """Fills the form of a report."""
    await page.get_by_label("Âge à la sortie").select_option(label=age)
    await page.get_by_label("Il préparait").select_option(label="CAP")
    await page.get_by_label("Établissement quitté").select_option(label="Lycée professionnel")
    await page.get_by_label("Commune du jeune").fill(town)
    await page.get_by_label("Mobilité").check()


@pytest.mark.parametrize("javascript", [True, False])
async def test_a_referent_reports_on_a_phone(observatory: Observatory, browser: Browser, javascript: bool) -> None:
    """One form, a code; the same again is asked about, and is another person."""
    async with opened(browser, 390, javascript=javascript) as page:
        await log_in(page, observatory.stack, observatory.url, "/signaler", persona())
        if javascript:
            await assert_accessible(page)
        await fill(page, "Bayeux (14)")
        await page.get_by_role("button", name="Signaler", exact=True).click()
        await expect(page.get_by_role("status")).to_contain_text("Situation signalée")
        if javascript:
            await assert_accessible(page)
        await page.goto(f"{observatory.url}/signaler")
        await fill(page, "Bayeux (14)")
        await page.get_by_role("button", name="Signaler", exact=True).click()
        await expect(page.get_by_role("alert")).to_contain_text("La même personne, ou une autre ?")
        if javascript:
            await assert_accessible(page)
        await page.get_by_role("button", name="C’est une autre personne").click()
        await expect(page.get_by_role("status")).to_contain_text("Situation signalée")
        await page.goto(f"{observatory.url}/situations")
        await expect(page.locator("li.card")).to_have_count(2)


async def test_a_refused_report_keeps_what_was_chosen(observatory: Observatory, browser: Browser) -> None:
    """Under sixteen, where to turn; a commune of several names, which one."""
    async with opened(browser) as page:
        await log_in(page, observatory.stack, observatory.url, "/signaler", persona())
        await fill(page, "Fontenay", age="Moins de 16 ans")
        await page.get_by_role("button", name="Signaler", exact=True).click()
        await expect(page.get_by_role("alert")).to_contain_text("commune")
        await expect(page.get_by_label("Mobilité")).to_be_checked()
        await page.get_by_role("radio").first.check()
        await page.get_by_role("button", name="Signaler", exact=True).click()
        await expect(page.get_by_role("alert")).to_contain_text("l’instruction est obligatoire")
        await assert_accessible(page)


@pytest.mark.parametrize("width", WIDTHS)
async def test_a_platform_follows_a_case(observatory: Observatory, browser: Browser, width: int) -> None:
    """Steps with their days, a mistake taken back, a correction, doubles, closed; each page looked at by axe."""
    psad_id = uuid4()
    commune = towns()[-1 - WIDTHS.index(width)]
    async with await observatory.agency() as agency:
        body = {"title": "PSAD", "epcis": [reference.communes()[commune].epci_siren]}
        assert (await agency.put(f"/v1/psads/{psad_id}", json=body)).status_code == 200
    async with await observatory.reporter() as referent, await observatory.reporter("cfa") as cfa:
        case_id, _ = await reported(referent, commune_code=commune)
        await reported(cfa, commune_code=commune)
    async with opened(browser, width) as page:
        await log_in(page, observatory.stack, observatory.url, "/situations", persona("psad", str(psad_id)))
        await expect(page.get_by_text("Peut-être signalée deux fois")).to_have_count(2)
        await assert_accessible(page)
        await page.goto(f"{observatory.url}/situations/{case_id}")
        await expect(page.get_by_role("heading", name="Peut-être la même personne")).to_be_visible()
        await assert_accessible(page)
        await page.get_by_role("button", name="Deux personnes").click()
        await expect(page.get_by_role("heading", name="Peut-être la même personne")).to_have_count(0)
        for summary, choose in (("Accompagné", ("Par", "Mission locale")), ("Entré dans une solution", None)):
            details = page.locator("details", has=page.locator("summary", has_text=summary))
            await details.locator("summary").click()
            if choose:
                await details.get_by_label(choose[0]).select_option(label=choose[1])
            await details.get_by_role("button", name="Noter").click()
            await expect(page.get_by_role("status")).to_contain_text("Étape notée")
        await expect(page.get_by_text("Accompagnement commencé : Mission locale")).to_be_visible()
        await page.get_by_role("button", name="Retirer l’étape Entrée").click()
        await expect(page.get_by_role("status")).to_contain_text("Étape retirée")
        await page.locator("summary", has_text="Corriger").click()
        await page.get_by_label("Âge à la sortie").select_option(label="18 à 20 ans")
        await page.get_by_role("button", name="Enregistrer la correction").click()
        await expect(page.get_by_role("heading", name="Ce qui était su avant")).to_be_visible()
        await assert_accessible(page)
        await page.goto(f"{observatory.url}/pleniere")
        await expect(page.get_by_text("2 situations")).to_be_visible()
        await assert_accessible(page)


async def test_a_table_is_tried_and_then_kept(observatory: Observatory) -> None:
    """Without a browser: a rehearsal, the question about what is known, for good."""
    person = await logged_in(observatory.stack, observatory.url, "/situations/tableau", persona("cfa"))
    row = f"{month(1)};CAP;CFA;17;Vire Normandie;Travail"
    content = f"mois;niveau;etablissement;age;commune;facteurs\n{row}\n{row}\n"
    tried = await person.upload("/situations/tableau", "file", content.encode())
    assert "Essai : 2" in tried.text.replace("\u202f", " ")
    kept = await person.send("/situations/tableau", content=content, step="send", repeated="ask")
    assert "Enregistré : 2" in kept.text.replace("\u202f", " ")
    again = await person.send("/situations/tableau", content=content)
    assert "Ce sont les mêmes personnes" in again.text
    left = await person.send("/situations/tableau", content=content, repeated="skip")
    assert "2 déjà connues" in left.text.replace("\u202f", " ")
    nothing = await person.upload("/situations/tableau", "file", b"a;b\n")
    assert nothing.status_code == 422
    assert "Colonnes manquantes" in problem_on(nothing)


async def test_its_pages_have_their_style(observatory: Observatory) -> None:
    """A service without files of its own serves those that all share."""
    async with http_client(base_url=observatory.url) as client:
        for name in ("estuaire.css", "desk.js"):
            assert (await client.get(f"/static/{name}")).status_code == 200
        assert (await client.get("/static/observatory.js")).status_code == 404


async def test_a_strangers_case_is_not_there(observatory: Observatory) -> None:
    """The page of a case that one does not see is not found, and neither are its forms."""
    async with await observatory.reporter() as referent:
        case_id, _ = await reported(referent, **{"commune_code": report_body()["commune_code"]})
    person = await logged_in(observatory.stack, observatory.url, "/signaler", persona())
    assert (await person.client.get(f"/situations/{case_id}")).status_code == 404
    for path in ("", "/retrait", "/retablissement", "/etapes"):
        answer = await person.send(
            f"/situations/{case_id}{path}", reason="MISTAKE", kind="OFFERED", happened_on=f"{month(1)}-02"
        )
        assert answer.status_code in (404, 422), path
