"""The pages of the parents' cafés: a parent on a phone, a moved one, a coordinator, who runs the exchange; with and without JavaScript."""

from __future__ import annotations

import html
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from ical.calendar_stream import IcsCalendarStream
from playwright.async_api import Browser, Geolocation, Page, expect

from common.testing import Query, http_client
from parents_cafes import words
from tests.integration.browsing import WIDTHS, assert_accessible, link_sent_to, log_in, opened
from tests.integration.cafes import SERVICE, Cafes, days_before
from tests.integration.conftest import eventually
from tests.integration.forms import logged_in, problem_on
from tests.integration.test_cafes import cafes_token

# Cherbourg, where no other test holds a café; and a point in it.
_TOWN, _POINT = "50129", Geolocation(latitude=49.63, longitude=-1.62)


@asynccontextmanager
async def clock_at(query: Query, days: float) -> AsyncIterator[None]:
    """The service's clock so many days ahead; afterwards it is the true one again."""
    sql = """INSERT INTO development_clock (id, offset_seconds) VALUES (1, :seconds)
             ON CONFLICT (id) DO UPDATE SET offset_seconds = excluded.offset_seconds"""
    await query(SERVICE, sql, seconds=days * 86400)
    try:
        yield
    finally:
        await query(SERVICE, sql, seconds=0)


async def asked(page: Page, cafes: Cafes, cafe_id: UUID, email: str, parents: str = "1") -> None:
    """A parent asks for a café on its page, follows the mail's link, and confirms: on to the household's own page."""
    await page.goto(f"{cafes.url}/cafes/{cafe_id}")
    await page.get_by_label("Votre adresse mail").fill(email)
    await page.get_by_label("Combien de parents").select_option(parents)
    await page.get_by_label("Prénom à l’accueil").fill("Camille")
    await page.get_by_role("button", name="Recevoir mon lien").click()
    await expect(page.get_by_role("status")).to_contain_text("Regardez vos mails")
    await page.goto(cafes.url + await link_sent_to(cafes.stack, email, "Confirmez"))


def persona(role: str = "coordinator") -> dict[str, Any]:
    """Somebody who logs in."""
    sub = f"page-{role}-{uuid4().hex[:6]}"
    facts = {"label": f"Persona {sub}", "sub": sub, "roles": [role], "email": f"{sub}@example.org"}
    return {**facts, "name": f"Coordination {sub[-6:]}"}


def form_on(page: httpx.Response, action: str) -> str:
    """The form that goes there, with the head of the box that it is in."""
    before, _, after = html.unescape(page.text).partition(f'action="{action}"')
    return before.rpartition("<details")[2] + after.partition("</form>")[0]


async def test_a_parent_finds_a_cafe_in_three_taps(cafes: Cafes, browser: Browser) -> None:
    """On a phone that says where it is: around me, the café, its form. The place itself stands in no address."""
    async with await cafes.coordinator() as coordinator:
        cafe_id = await cafes.cafe(coordinator, commune_code=_TOWN, on=12, hour=9)
    context = await browser.new_context(
        viewport={"width": 390, "height": 844}, locale="fr-FR", geolocation=_POINT, permissions=["geolocation"]
    )
    page = await context.new_page()
    await page.goto(f"{cafes.url}/cafes")
    await page.get_by_role("button", name="Autour de moi").click()
    await page.wait_for_url("**/cafes?commune=*")
    assert "lat" not in page.url and "Cherbourg" in await page.get_by_label("Près de").input_value()
    await page.locator(f'a[href="/cafes/{cafe_id}"]').click()
    await expect(page.get_by_label("Votre adresse mail")).to_be_visible()
    # Somebody who is elsewhere, or says nothing, is told what to do.
    await context.set_geolocation({"latitude": 43.3, "longitude": 5.4})
    await page.goto(f"{cafes.url}/cafes")
    await page.get_by_role("button", name="Autour de moi").click()
    await expect(page.get_by_role("status")).to_contain_text("tapez le nom de votre commune")
    await context.close()


@pytest.mark.parametrize("width", WIDTHS)
async def test_a_parent_registers_changes_and_cancels(cafes: Cafes, browser: Browser, width: int) -> None:
    """Verified by mail, then one touch each: one parent more, another café, cancelled, erased; every page is accessible."""
    email = f"parent-{uuid4().hex[:8]}@example.org"
    async with await cafes.coordinator() as coordinator:
        cafe_id = await cafes.cafe(coordinator, commune_code=_TOWN, on=13, hour=9 + width // 640)
        other = await cafes.cafe(coordinator, commune_code=_TOWN, on=14, hour=9 + width // 640)
    async with opened(browser, width) as page:
        await page.goto(f"{cafes.url}/cafes?commune=Cherbourg-en-Cotentin+(50)&rayon=10")
        await assert_accessible(page)
        await page.goto(f"{cafes.url}/cafes/{cafe_id}")
        await assert_accessible(page)
        await asked(page, cafes, cafe_id, email)
        await assert_accessible(page)
        await page.get_by_role("button", name="Je confirme").click()
        await page.wait_for_url("**/mon-cafe/**")
        await expect(page.locator(".code")).to_be_visible()
        await assert_accessible(page)
        home = page.url
        await page.get_by_role("button", name="Nous serons 2").click()
        await expect(page.get_by_text("2 parents. À l’accueil")).to_be_visible()
        await page.get_by_text("Changer pour un autre café").click()
        await page.locator(f'form:has(input[value="{other}"]) button').click()
        await expect(page.get_by_role("status")).to_contain_text("votre nouveau café")
        answer = await page.request.get(f"{home}/agenda.ics")
        calendar = IcsCalendarStream.calendar_from_ics(await answer.text())
        assert len(calendar.events) == 1 and str(calendar.events[0].summary).startswith("Café des parents")
        told = await (await page.request.get(f"{home}/mes-donnees.json")).json()
        assert told["household"][0]["email"] == email and len(told["registrations"]) == 1
        await page.get_by_role("button", name="Annuler", exact=True).click()
        await expect(page.get_by_role("status")).to_contain_text("C’est annulé")
        # Known by its link, it asks for another café without a new mail.
        await expect(page.get_by_role("heading", name="Cafés de")).to_be_visible()
        await assert_accessible(page)
        again = page.locator(f'form:has(input[value="{cafe_id}"])')
        await again.get_by_label("Combien de parents").select_option("2")
        await again.get_by_role("button", name="Je m’inscris").click()
        await expect(page.locator(".code")).to_be_visible()
        await page.get_by_text("Mes données").click()
        await page.get_by_role("button", name="Tout effacer").click()
        await expect(page.get_by_role("heading", name="C’est effacé")).to_be_visible()
        await assert_accessible(page)
        assert (await page.request.get(home)).status == 404
    async with http_client(base_url=cafes.url) as client:
        shown = (await client.get(f"/v1/cafes/{other}")).json()
        assert shown["free_count"] == shown["capacity_count"]


async def test_a_full_cafe_offers_the_line_and_what_is_free_elsewhere(cafes: Cafes, browser: Browser) -> None:
    """Without JavaScript too: who did not want to wait learns that it is full, what is free near, and may wait after all."""
    async with await cafes.coordinator() as coordinator:
        full = await cafes.cafe(coordinator, commune_code=_TOWN, on=15, hour=9, capacity_count=1)
        await cafes.cafe(coordinator, commune_code=_TOWN, on=16, hour=9)
    async with opened(browser, javascript=False) as page:
        await asked(page, cafes, full, f"first-{uuid4().hex[:6]}@example.org")
        await page.get_by_role("button", name="Je confirme").click()
        await page.goto(f"{cafes.url}/cafes/{full}")
        email = f"second-{uuid4().hex[:6]}@example.org"
        await page.get_by_label("Votre adresse mail").fill(email)
        await page.get_by_label("Si c’est complet").uncheck()
        await page.get_by_role("button", name="Recevoir mon lien").click()
        await page.goto(cafes.url + await link_sent_to(cafes.stack, email))
        await page.get_by_role("button", name="Je confirme").click()
        await expect(page.get_by_role("alert")).to_contain_text("complet")
        await expect(page.get_by_role("heading", name="De la place ailleurs")).to_be_visible()
        await page.get_by_role("button", name="Me mettre en liste d’attente").click()
        await expect(page.get_by_text("En liste d’attente")).to_be_visible()


@pytest.mark.parametrize("width", WIDTHS)
async def test_a_moved_parent_keeps_in_one_touch_and_a_late_one_is_warned(
    cafes: Cafes, browser: Browser, query: Query, width: int
) -> None:
    """The mail of the merge leads to a page with three answers; two days before, leaving says what it costs."""
    hour, email = 13 + width // 640, f"moved-{uuid4().hex[:8]}@example.org"
    async with await cafes.coordinator() as coordinator:
        small = await cafes.cafe(coordinator, commune_code="61006", on=1, hour=hour)
        large = await cafes.cafe(coordinator, commune_code="61006", on=2, hour=hour)
    async with opened(browser, width) as page:
        await asked(page, cafes, small, email, "2")
        await page.get_by_role("button", name="Je confirme").click()
        await page.wait_for_url("**/mon-cafe/**")
        for n in range(4):
            await asked(page, cafes, large, f"large-{n}-{uuid4().hex[:6]}@example.org", "2")
            await page.get_by_role("button", name="Je confirme").click()
            await page.wait_for_url("**/mon-cafe/**")
        async with clock_at(query, days_before(6.8, of=1)):

            async def is_merged() -> bool:
                rows = await query(SERVICE, "SELECT state FROM cafe WHERE cafe_id = :id", id=small)
                return bool(rows[0].state == "merged")

            await eventually(is_merged)
            await page.goto(f"{cafes.url}/cafes/{small}")
            await expect(page.get_by_text("Ce café est réuni à un autre")).to_be_visible()
            await page.goto(cafes.url + await link_sent_to(cafes.stack, email, "change de lieu"))
            await expect(page.get_by_role("button", name="J’annule")).to_be_visible()
            await assert_accessible(page)
            await page.get_by_role("button", name="Je garde").click()
            await expect(page.get_by_role("status")).to_contain_text("vous venez")
        async with clock_at(query, days_before(1, of=2)):
            await page.reload()
            await page.locator("summary", has_text="Annuler").click()
            await expect(page.get_by_text("annuler maintenant vous fera passer après les autres")).to_be_visible()
            await assert_accessible(page)
            await page.get_by_role("button", name="J’annule quand même").click()
            await expect(page.get_by_role("status")).to_contain_text("C’est annulé")
        rows = await query(
            SERVICE,
            "SELECT r.end_reason FROM registration r JOIN household h ON h.household_id = r.holder_id WHERE h.email = :email",
            email=email,
        )
        assert [row.end_reason for row in rows] == ["CANCELLED_LATE"]


@pytest.mark.parametrize("width", WIDTHS)
async def test_a_coordinator_plans_opens_and_sees_what_the_pass_would_do(
    cafes: Cafes, browser: Browser, width: int
) -> None:
    """A venue, who runs it, a café, its opening; the season says by intercommunality what would be merged or cancelled."""
    somebody = persona()
    async with await cafes.coordinator(sub=somebody["sub"]) as coordinator:
        quiet = await cafes.cafe(coordinator, commune_code="14366", on=17, hour=9 + width // 640)
        rows = (await coordinator.get("/v1/cafes/mine")).json()
        period = f"{rows[0]['school_year']}-{rows[0]['period']}"
        starts_at = rows[0]["starts_at"]
    async with opened(browser, width) as page:
        await log_in(page, cafes.stack, cafes.url, f"/saison?periode={period}", somebody)
        await page.goto(f"{cafes.url}/saison?periode={period}")
        await expect(page.get_by_text("Serait annulé")).to_be_visible()
        await assert_accessible(page)
        await page.goto(f"{cafes.url}/lieux")
        title = f"Bar du port {uuid4().hex[:5]}"
        await page.locator("summary", has_text="Ajouter un lieu").click()
        form = page.locator("details[open] form").first
        await form.get_by_label("Nom du lieu").fill(title)
        await form.get_by_label("Commune").fill("Lisieux (14)")
        await form.get_by_role("button", name="Enregistrer").click()
        await expect(page.get_by_role("status")).to_contain_text("Enregistré")
        await assert_accessible(page)
        await page.locator("summary", has_text="Ajouter une personne").click()
        form = page.locator("details[open] form").last
        await form.get_by_label("Nom").fill(f"Dominique {title[-5:]}")
        await form.get_by_label("Adresse mail").fill(f"d-{title[-5:]}@example.org")
        await form.get_by_role("button", name="Enregistrer").click()
        await expect(page.get_by_role("status")).to_contain_text("Enregistré")
        await page.goto(f"{cafes.url}/saison/cafes/nouveau")
        await assert_accessible(page)
        await page.get_by_label("Lieu").select_option(label=f"{title}, Lisieux (14) (20)")
        await page.get_by_label("Qui anime").select_option(label=f"Dominique {title[-5:]}")
        await page.get_by_label("Jour").fill("2027-05-03")
        await page.get_by_role("button", name="Enregistrer").click()
        await expect(page.get_by_role("alert")).to_contain_text("Les cafés ont lieu")
        await page.get_by_label("Jour").fill(starts_at[:10])
        await page.get_by_role("button", name="Enregistrer").click()
        await expect(page.get_by_text("En préparation").first).to_be_visible()
        await page.get_by_role("button", name="Ouvrir les inscriptions").click()
        await expect(page.get_by_role("status")).to_contain_text("ouvertes")
        await page.goto(f"{cafes.url}/saison/cafes/{quiet}/liste")
        await expect(page.get_by_text("Personne n’est inscrit encore")).to_be_visible()
        await assert_accessible(page)
        other = persona()
        await page.context.clear_cookies()
        await log_in(page, cafes.stack, cafes.url, "/saison", other)
        answer = await page.request.get(f"{cafes.url}/saison/cafes/{quiet}/liste", headers={"Accept": "text/html"})
        assert answer.status == 403


async def test_a_form_of_a_coordinator_that_is_refused_keeps_what_was_typed(cafes: Cafes) -> None:
    """Each in its own box, which is open: a new venue, one that is there, a person, a café; and a list says who is not on it."""
    form = await logged_in(cafes.stack, cafes.url, "/lieux", persona())
    venue_id, person_id = uuid4(), uuid4()
    bar = {"title": "Bar du port", "genre": "CAFE", "commune": "Rouen (76)", "places": "12", "accessible": "1"}
    page = await form.send(f"/lieux/lieu/{venue_id}", **bar | {"places": "0"})
    assert page.status_code == 422 and "places assises : trop petit" in problem_on(page)
    box = form_on(page, f"/lieux/lieu/{venue_id}")
    for kept in (
        "open><summary><b>Ajouter un lieu",
        '"Bar du port"',
        '"CAFE" selected',
        '"Rouen (76)"',
        '"0"',
        "checked",
    ):
        assert kept in box, kept
    assert (await form.send(f"/lieux/lieu/{venue_id}", **bar)).status_code == 303
    page = await form.send(f"/lieux/lieu/{venue_id}", **bar | {"title": "", "rue": "Quai 3"})
    assert "Quai 3" in form_on(page, f"/lieux/lieu/{venue_id}") and page.text.count("Quai 3") == 1
    page = await form.send(f"/lieux/animation/{person_id}", title="Dominique", adresse="personne")
    assert page.status_code == 422 and "adresse mail" in problem_on(page)
    box = form_on(page, f"/lieux/animation/{person_id}")
    assert "open><summary><b>Ajouter une personne" in box and '"Dominique"' in box and '"personne"' in box
    assert page.text.count('"Dominique"') == 1
    planned = {"theme": "TRADES", "venue_id": venue_id, "facilitator_id": "x", "debut": "09:00", "fin": "10:00"}
    page = await form.send(f"/saison/cafes/{uuid4()}", **planned, jour="2027-01-04", places="7")
    assert page.status_code == 422 and "qui anime : n’existe pas" in problem_on(page)
    assert 'name="jour" required value="2027-01-04"' in page.text and 'value="7"' in page.text
    async with await cafes.coordinator() as other:
        cafe_id = await cafes.cafe(other, on=19, hour=9)
    page = await form.send(f"/saison/cafes/{cafe_id}/pointage", registration_id=uuid4(), venus="1")
    assert page.status_code == 403
    chief = await logged_in(cafes.stack, cafes.url, "/lieux", persona("agency"))
    page = await chief.send(f"/saison/cafes/{cafe_id}/pointage", registration_id="x", venus="1")
    assert page.status_code == 422 and "inscription : n’existe pas" in problem_on(page)
    for action, fields in (("pointage", {"venus": "1"}), ("desinscription", {})):
        page = await chief.send(f"/saison/cafes/{cafe_id}/{action}", registration_id=uuid4(), **fields)
        assert page.status_code == 404 and "Ce café ou cette inscription n’existe pas" in problem_on(page)


async def test_a_household_is_refused_alike_at_both_doors(cafes: Cafes) -> None:
    """By its link: one status and one sentence for each reason; what it had chosen is chosen still, or not chosen still."""
    async with await cafes.coordinator() as coordinator, cafes.family() as family:
        first, other = [await cafes.cafe(coordinator, on=day, hour=11, capacity_count=2) for day in (17, 18)]
        body = {"email": f"doors-{uuid4().hex[:8]}@example.org", "seat_count": 2}
        request_id = (await family.post(f"/v1/cafes/{first}/requests", json=body)).json()["request_id"]
        link = cafes_token(cafes, request_id)
        made = (await family.post(f"/v1/requests/{link}/confirmation", json={})).json()
        link, mine = made["household"], made["registration"]["registration_id"]
        nobody = str(uuid4())
        family.headers["Accept"] = "text/html"
        for api, form, status, asked, typed in (
            ("cancellation", "annulation", 404, {"registration_id": nobody}, {"registration_id": nobody}),
            ("acceptance", "acceptation", 409, {"registration_id": mine}, {"registration_id": mine}),
            ("change", "changement", 422, {"registration_id": mine}, {"registration_id": mine}),
            ("change", "changement", 404, {"registration_id": mine, "cafe_id": nobody}, {"registration_id": mine, "cafe_id": nobody}),
            ("size", "nombre", 409, {"registration_id": mine, "seat_count": 9}, {"registration_id": mine, "parents": "9"}),
        ):  # fmt: skip
            by_api = await family.post(f"/v1/households/{link}/{api}", json=asked, headers={"Accept": "*/*"})
            by_form = await family.post(f"/mon-cafe/{link}/{form}", data=typed)
            assert (by_api.status_code, by_form.status_code) == (status, status), (api, by_api.text)
            assert by_api.json()["detail"] in problem_on(by_form)
        wrong = await family.post(f"/mon-cafe/{link}/nombre", data={"registration_id": "x", "parents": "0"})
        assert wrong.status_code == 422
        assert "inscription : n’existe pas" in problem_on(wrong) and "nombre de parents : trop petit" in problem_on(
            wrong
        )
        assert (await family.post(f"/mon-cafe/{link[:-1]}/nombre", data={})).status_code == 403
        assert (await family.post(f"/mon-cafe/{link}/cadeau", data={})).status_code == 404
        refused = await family.post(f"/cafes/{other}", data={"adresse": "personne", "parents": "2"})
        assert refused.status_code == 422 and "adresse mail" in problem_on(refused)
        assert 'name="attente" value="1">' in refused.text and '<option value="2" selected>' in refused.text


async def test_who_runs_the_exchange_ticks_who_came(cafes: Cafes, browser: Browser, query: Query) -> None:
    """By the link of the mail, on the day: who is expected, how many came, and a mistake is corrected; nobody else's café."""
    async with await cafes.coordinator() as coordinator, cafes.family() as family:
        cafe_id = await cafes.cafe(coordinator, commune_code="27701", on=18, hour=9)
        async with opened(browser, 390) as page:
            await asked(page, cafes, cafe_id, f"came-{uuid4().hex[:6]}@example.org", "2")
            await page.get_by_role("button", name="Je confirme").click()
            await page.wait_for_url("**/mon-cafe/**")
            await query(
                SERVICE, "UPDATE cafe SET state = 'confirmed', review_at = NULL WHERE cafe_id = :id", id=cafe_id
            )
            rows = await query(SERVICE, "SELECT f.email FROM cafe JOIN facilitator f USING (facilitator_id) WHERE cafe_id = :id", id=cafe_id)  # fmt: skip
            async with clock_at(query, days_before(0.1, of=17.6)):
                link = await link_sent_to(cafes.stack, rows[0].email, "la liste")
                await page.goto(cafes.url + link)
                await expect(page.get_by_text("Camille", exact=True)).to_be_visible()
                await assert_accessible(page)
                await page.get_by_role("button", name="2 venus").click()
                await expect(page.get_by_role("status")).to_contain_text("Noté")
                await page.get_by_role("button", name="1 venu", exact=False).first.click()
                await expect(page.get_by_text("1 venu").first).to_be_visible()
                await page.get_by_role("button", name="Corriger").click()
                await page.get_by_role("button", name="2 venus").click()
                rows = await query(SERVICE, "SELECT visitor_count FROM registration WHERE cafe_id = :id", id=cafe_id)
                assert [row.visitor_count for row in rows] == [2]
                strange = {"cafe_id": str(uuid4()), "registration_id": str(uuid4()), "venus": "1"}
                assert (await family.post(link, data=strange)).status_code == 403
        assert (await family.get(link.replace("/animation/", "/mon-cafe/"))).status_code == 403


def test_periods_in_addresses_read_and_rubbish_does_not() -> None:
    """Codes go both ways; anything else is no period, and never an error."""
    for typed in (
        "",
        "x",
        "2026-2027",
        "2026-2028-OCTOBER",
        "2026-2027-UNKNOWN",
        "²026-²027-OCTOBER",
        "9999-0000-OCTOBER",
    ):
        assert words.period_typed(typed) is None, typed
    period = words.period_typed("2026-2027-FEBRUARY")
    assert period is not None and words.period_code(period) == "2026-2027-FEBRUARY"
    assert words.period_words(period) == "février 2027"
