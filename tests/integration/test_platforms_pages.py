"""The pages of technical platforms: an owner and a requester on both widths, without JavaScript, refusals in words."""

from __future__ import annotations

import io
import re
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest
from PIL import Image
from playwright.async_api import Browser, FilePayload, Page, expect

from common.testing import Query, add_persona
from tests.integration.browsing import WIDTHS, assert_accessible, log_in, opened
from tests.integration.platforms import PARIS, SERVICE, Platforms, at, book, slot, window
from tests.integration.stages import siret
from tests.integration.test_platform_calendars import calendar


def persona(role: str, structure_id: str) -> dict[str, Any]:
    """Somebody who logs in."""
    sub = f"page-{role}-{uuid4().hex[:6]}"
    facts = {"label": f"Persona {sub}", "sub": sub, "roles": [role], "email": f"{sub}@example.org"}
    return {**facts, "name": f"Structure {sub[-6:]}", "structure_id": structure_id}


def next_monday(weeks: int = 2) -> date:
    """A Monday to come, of a week in which nobody else has anything."""
    today = at(0, 12).astimezone(PARIS).date()
    return today - timedelta(days=today.weekday()) + timedelta(weeks=weeks)


async def draw(page: Page, day: date, first: str, last: str) -> None:
    """Pulls the mouse over a day of the grid, from one clock time to another."""
    column = page.locator(f".wkg__c[data-day='{day}']")
    await column.scroll_into_view_if_needed()
    box, start = await column.bounding_box(), int(await column.get_attribute("data-first") or 0)
    hours = int(await column.get_attribute("data-hours") or 1)
    assert box is not None

    def y(clock: str) -> float:
        hour, minute = clock.split(":")
        return float(box["y"] + box["height"] * (int(hour) + int(minute) / 60 - start) / hours)

    await page.mouse.move(box["x"] + 40, y(first))
    await page.mouse.down()
    await page.mouse.move(box["x"] + 45, y(last), steps=4)
    await page.mouse.up()


@pytest.mark.parametrize("width", WIDTHS)
async def test_from_a_new_platform_to_a_moved_booking(platforms: Platforms, browser: Browser, width: int) -> None:
    """An owner describes and offers time, a school finds, books and moves, the owner answers in the week."""
    title, monday = f"Atelier {uuid4().hex[:6]}", next_monday(3)
    owner, school = persona("owner", siret()), persona("school", "0760017F")
    async with opened(browser, width) as page:
        await log_in(page, platforms.stack, platforms.url, "/mes-plateaux", owner)
        await assert_accessible(page)
        await page.get_by_role("link", name="Nouveau plateau").click()
        await assert_accessible(page)
        await page.get_by_label("Nom du plateau").fill(title)
        await page.get_by_label("Commune").fill("Nulle Part (76)")
        await page.get_by_label("Certifications").fill("37489")
        await page.get_by_role("button", name="Enregistrer").click()
        await expect(page.get_by_role("alert")).to_contain_text("commune")
        await expect(page.get_by_label("Nom du plateau")).to_have_value(title)
        await page.get_by_label("Commune").fill("Dieppe (76)")
        await page.get_by_role("button", name="Enregistrer").click()
        await expect(page.get_by_role("alert")).to_contain_text("équipements")
        await page.get_by_text("Soudage et tuyauterie").click()
        await page.get_by_label("Certifications").fill("RNCP37489")
        await page.get_by_role("button", name="Enregistrer").click()
        await expect(page.get_by_role("status")).to_contain_text("enregistré")
        await expect(page.get_by_text("Rien n’est proposé encore")).to_be_visible()
        await assert_accessible(page)
        await page.get_by_role("link", name="Voir la semaine").click()
        await page.goto(
            re.sub(r"\?.*|#.*", "", page.url) + f"?semaine={monday.isocalendar().year}-W{monday.isocalendar().week:02d}"
        )
        if width > 900:
            await draw(page, monday, "09:00", "12:30")
            await expect(page.get_by_label("Jour", exact=True)).to_have_value(str(monday))
            await expect(page.get_by_label("De", exact=True)).to_have_value("09:00")
            await expect(page.get_by_label("À", exact=True)).to_have_value("12:30")
        else:
            await page.get_by_label("Jour", exact=True).fill(str(monday))
            await page.get_by_label("De", exact=True).fill("09:00")
            await page.get_by_label("À", exact=True).fill("12:30")
        await page.get_by_text("Aussi pendant les vacances").click()
        await page.get_by_text("Aussi les jours fériés").click()
        await page.get_by_role("button", name="Enregistrer").click()
        await expect(page.get_by_role("status")).to_contain_text("Temps proposé")
        await expect(page.locator(".pc.open")).to_have_count(1)
        await assert_accessible(page)
    async with opened(browser, width) as page:
        search = f"/plateaux?commune=Dieppe+(76)&rayon=5&equipement=soudage&jour={monday}&personnes=8"
        await page.goto(f"{platforms.url}{search}")
        await assert_accessible(page)
        await page.locator("li.prog", has_text=title).get_by_role("link").click()
        await assert_accessible(page)
        await page.get_by_role("link", name="Se connecter pour réserver").click()
        await log_in_here(page, platforms, school)
        await page.get_by_label("Début").select_option("10:00")
        await page.get_by_label("Durée").select_option("180")
        await page.get_by_label("Personnes").fill("8")
        await page.get_by_label("Votre projet").fill("Une classe de troisième découvre le soudage.")
        await page.get_by_role("button", name="Demander ce créneau").click()
        await expect(page.get_by_role("alert")).to_contain_text("n’est pas proposé à ce moment")
        await expect(page.get_by_label("Votre projet")).to_have_value("Une classe de troisième découvre le soudage.")
        await page.get_by_label("Durée").select_option("120")
        await page.get_by_role("button", name="Demander ce créneau").click()
        await expect(page.get_by_role("status")).to_contain_text("Créneau gardé")
        await expect(page.locator("li.hold b", has_text="10:00 → 12:00")).to_be_visible()
        await assert_accessible(page)
    async with opened(browser, width) as page:
        await log_in(page, platforms.stack, platforms.url, "/mes-plateaux", owner)
        await expect(page.get_by_role("heading", name="1 demande attend votre réponse")).to_be_visible()
        await expect(page.get_by_text("découvre le soudage")).to_be_visible()
        await assert_accessible(page)
        await page.get_by_role("link", name=re.compile("La semaine")).click()
        await page.goto(page.url + f"?semaine={monday.isocalendar().year}-W{monday.isocalendar().week:02d}")
        await expect(page.locator(".pc.book.tentative")).to_have_count(1)
        await assert_accessible(page)
        await page.get_by_role("button", name="Accepter").click()
        await expect(page.get_by_role("status")).to_contain_text("acceptée")
        await expect(page.locator(".pc.book.approved")).to_have_count(1)
        await assert_accessible(page)
    async with opened(browser, width) as page:
        await log_in(page, platforms.stack, platforms.url, "/mes-reservations", school)
        card = page.locator("li.hold", has_text=title)
        await card.get_by_text("Déplacer", exact=False).first.click()
        await card.get_by_label("Début").fill("09:30")
        await card.get_by_role("button", name="Déplacer").click()
        await expect(page.get_by_role("status")).to_contain_text("déplacée")
        await expect(page.locator("li.hold", has_text=title)).to_contain_text("09:30 → 11:30")
        await expect(page.locator("li.hold", has_text=title)).to_contain_text("Attend la réponse")
        await page.locator("li.hold", has_text=title).get_by_role("button", name="Annuler").click()
        await expect(page.get_by_role("status")).to_contain_text("annulée")


async def log_in_here(page: Page, platforms: Platforms, who: dict[str, Any]) -> None:
    """Chooses a persona on the issuer's page that one was sent to, and comes back to where one was."""
    add_persona(platforms.stack, who)
    await page.reload()
    await page.get_by_role("link", name=who["label"], exact=True).click()
    await page.wait_for_url(platforms.url + "/plateaux/**")


async def test_who_comes_too_late_waits_in_line(platforms: Platforms, browser: Browser) -> None:
    """A taken slot offers the line when it is only an option; moved up, it is shown as held."""
    _, owner = await platforms.owner()
    first = await platforms.requester()
    platform_id = await platforms.platform(owner)
    booked = await book(first, platform_id, slot(9, 9))
    day = at(9, 9).astimezone(PARIS).date()
    who = persona("host", str(uuid4()))
    async with opened(browser) as page:
        await log_in(page, platforms.stack, platforms.url, "/mes-reservations", who)
        await expect(page.get_by_text("Rien de réservé")).to_be_visible()
        await page.goto(f"{platforms.url}/plateaux/{platform_id}?jour={day}")
        await page.get_by_label("Début").select_option("08:00")  # free until nine, two hours are not
        await page.get_by_label("Personnes").fill("5")
        await page.get_by_role("button", name="Demander ce créneau").click()
        await expect(page.get_by_role("alert")).to_contain_text("déjà pris")
        await assert_accessible(page)
        await page.get_by_role("button", name="Me mettre en file").click()
        await expect(page.get_by_role("status")).to_contain_text("en file")
        await expect(page.locator("li.hold")).to_contain_text("En file d’attente")
        await first.post(f"/v1/bookings/{booked.json()['booking_id']}/cancellation")
        await page.reload()
        await expect(page.locator("li.hold")).to_contain_text("Attend la réponse")


async def test_whole_without_javascript(platforms: Platforms, browser: Browser, query: Query) -> None:
    """Search, booking, keeping time and giving it back by plain forms."""
    code, owner = await platforms.owner()
    platform_id = await platforms.platform(owner)
    monday = next_monday()
    async with opened(browser, javascript=False) as page:
        await log_in(page, platforms.stack, platforms.url, "/mes-plateaux", persona("owner", code))
        await page.goto(f"{platforms.url}/mes-plateaux/{platform_id}/semaine")
        await page.get_by_text("Garder pour moi").click()
        await page.get_by_label("Jour", exact=True).fill(str(monday))
        await page.get_by_label("Note pour vous").fill("Maintenance")
        await page.get_by_role("button", name="Enregistrer").click()
        await expect(page.get_by_role("status")).to_contain_text("Temps gardé")
    rows = await query(SERVICE, "SELECT note FROM busy_time WHERE platform_id = :id", id=platform_id)
    assert [row.note for row in rows] == ["Maintenance"]
    async with opened(browser, javascript=False) as page:
        who = persona("school", "0760017F")
        await log_in(page, platforms.stack, platforms.url, "/mes-reservations", who)
        await page.goto(f"{platforms.url}/plateaux/{platform_id}?jour={monday}")
        # The block from 8 to 12 has made the day begin at noon.
        await page.get_by_label("Début").select_option("12:00")
        await page.get_by_label("Personnes").fill("5")
        await page.get_by_role("button", name="Demander ce créneau").click()
        await expect(page.get_by_role("status")).to_contain_text("Créneau gardé")


async def test_photos_calendar_and_wrong_files(platforms: Platforms, browser: Browser) -> None:
    """A photo is shown to everybody; an agenda takes time away and says what is in its way; wrong files are refused in words."""
    code, owner = await platforms.owner()
    platform_id = await platforms.platform(owner)
    requester = await platforms.requester()
    await book(requester, platform_id, slot(5, 9))
    begin = at(5, 8)
    event = f"DTSTART:{begin:%Y%m%dT%H%M%SZ}\nDTEND:{begin + timedelta(hours=3):%Y%m%dT%H%M%SZ}"
    picture = io.BytesIO()
    Image.new("RGB", (640, 480), "teal").save(picture, "PNG")
    async with opened(browser) as page:
        await log_in(page, platforms.stack, platforms.url, "/mes-plateaux", persona("owner", code))
        edit = f"{platforms.url}/mes-plateaux/{platform_id}"
        await page.goto(edit)
        wrong = FilePayload(name="x.png", mimeType="image/png", buffer=b"no picture")
        await page.get_by_label("Photo (5 Mo au plus)").set_input_files(wrong)
        await page.get_by_label("Ce qu’on y voit").fill("Le tour")
        await page.get_by_role("button", name="Ajouter").click()
        await expect(page.get_by_role("alert")).to_contain_text("illisible")
        good = FilePayload(name="x.png", mimeType="image/png", buffer=picture.getvalue())
        await page.get_by_label("Photo (5 Mo au plus)").set_input_files(good)
        await page.get_by_label("Ce qu’on y voit").fill("Le tour")
        await page.get_by_role("button", name="Ajouter").click()
        await expect(page.get_by_role("status")).to_contain_text("Photo ajoutée")
        await expect(page.get_by_alt_text("Le tour")).to_be_visible()
        await page.get_by_label("Fichier .ics").set_input_files(
            FilePayload(name="x.ics", mimeType="text/calendar", buffer=b"x")
        )
        await page.get_by_role("button", name="Lire l’agenda").click()
        await expect(page.get_by_role("alert")).to_contain_text("n’est pas un calendrier")
        await page.get_by_label("Fichier .ics").set_input_files(
            FilePayload(name="x.ics", mimeType="text/calendar", buffer=calendar(event))
        )
        await page.get_by_role("button", name="Lire l’agenda").click()
        await expect(page.get_by_role("status")).to_contain_text("1\u202fréservation tombe dessus")
        await page.goto(f"{platforms.url}/mes-plateaux")
        await expect(page.get_by_text("Votre agenda importé est occupé")).to_be_visible()
        await page.goto(edit)
        empty = FilePayload(name="x.ics", mimeType="text/calendar", buffer=calendar())
        await page.get_by_label("Fichier .ics").set_input_files(empty)
        await page.get_by_role("button", name="Lire l’agenda").click()
        await expect(page.get_by_role("alert")).to_contain_text("il effacerait 3 h occupées")
        await assert_accessible(page)
        await page.get_by_label("Fichier .ics").set_input_files(empty)
        await page.get_by_label("effacer alors les 3 h occupées").check()
        await page.get_by_role("button", name="Lire l’agenda").click()
        await expect(page.get_by_role("status")).to_contain_text("0 créneaux occupés")
        await page.goto(f"{platforms.url}/plateaux/{platform_id}")
        shown = page.get_by_alt_text("Le tour")
        await expect(shown).to_be_visible()
        assert await shown.evaluate("image => image.naturalWidth") == 640
        await assert_accessible(page)


async def test_the_week_prints_on_one_sheet(platforms: Platforms, browser: Browser) -> None:
    """Landscape A4: one page, without buttons and forms."""
    code, owner = await platforms.owner()
    platform_id = await platforms.platform(owner, units=["A", "B"])
    requester = await platforms.requester()
    for hour in (8, 10, 14):
        await book(requester, platform_id, slot(5, hour))
    async with opened(browser) as page:
        await log_in(page, platforms.stack, platforms.url, "/mes-plateaux", persona("owner", code))
        year, week, _ = at(5, 12).isocalendar()
        await page.goto(f"{platforms.url}/mes-plateaux/{platform_id}/semaine?semaine={year}-W{week:02d}")
        printed = await page.pdf(format="A4", landscape=True)
        assert len(re.findall(rb"/Type\s*/Page[^s]", printed)) == 1
        await page.emulate_media(media="print")
        assert not await page.get_by_role("button").first.is_visible()
        assert not await page.locator("#proposer").is_visible()


async def test_another_owners_pages_are_not_there(platforms: Platforms, browser: Browser) -> None:
    """404 for another's platform and week; forms sent to it are refused; a requester has no owner's page."""
    _, owner = await platforms.owner()
    code, _ = await platforms.owner()
    platform_id = await platforms.platform(owner)
    await window(owner, platform_id)
    async with opened(browser) as page:
        await log_in(page, platforms.stack, platforms.url, "/mes-plateaux", persona("owner", code))
        for path in ("", "/semaine"):
            answer = await page.goto(f"{platforms.url}/mes-plateaux/{platform_id}{path}")
            assert answer is not None and answer.status == 404
        await page.goto(f"{platforms.url}/mes-plateaux/nouveau")
        csrf = await page.locator("main input[name=csrf]").first.input_value()
        for path in ("semaine/plage", "plage-retrait"):
            sent = await page.request.post(
                f"{platforms.url}/mes-plateaux/{platform_id}/{path}",
                form={
                    "csrf": csrf,
                    "jour": str(next_monday()),
                    "debut": "08:00",
                    "fin": "09:00",
                    "window_id": str(uuid4()),
                },
            )
            assert sent.status in (403, 404), (path, sent.status)
    async with opened(browser) as page:
        await log_in(page, platforms.stack, platforms.url, "/mes-reservations", persona("school", "0760017F"))
        answer = await page.goto(f"{platforms.url}/mes-plateaux")
        assert answer is not None and answer.status == 403


async def test_what_is_kept_on_the_night_of_a_clock_change_ends_when_the_form_says(
    platforms: Platforms, browser: Browser, query: Query
) -> None:
    """Midnight to six is seven hours on 31 October 2027 and five on 28 March."""
    code, owner = await platforms.owner()
    platform_id = await platforms.platform(owner)
    async with opened(browser) as page:
        await log_in(page, platforms.stack, platforms.url, "/mes-plateaux", persona("owner", code))
        await page.goto(f"{platforms.url}/mes-plateaux/nouveau")
        csrf = await page.locator("main input[name=csrf]").first.input_value()
        for night in ("2027-10-31", "2027-03-28"):
            sent = await page.request.post(
                f"{platforms.url}/mes-plateaux/{platform_id}/semaine/plage",
                form={"csrf": csrf, "quoi": "garder", "jour": night, "debut": "00:00", "fin": "06:00"},
            )
            assert sent.status == 200, await sent.text()
    kept = await query(
        SERVICE,
        "SELECT extract(epoch FROM ends_at - starts_at)::int / 3600 AS hours FROM busy_time WHERE platform_id = :id ORDER BY starts_at",
        id=platform_id,
    )
    assert [row.hours for row in kept] == [5, 7]


async def test_links_with_anything_in_them_never_fail(platforms: Platforms, browser: Browser) -> None:
    """Old or hand-made links show the page, with what could be understood."""
    _, owner = await platforms.owner()
    platform_id = await platforms.platform(owner)
    async with opened(browser) as page:
        for query in (
            "jour=9999-12-31",
            "jour=x&duree=-1&personnes=0",
            "commune=Nulle+part",
            "equipement=%00&rayon=1e9",
            "semaine=1999-W99",
            "jour=2026-02-30&semaine=2026-W54",
        ):
            for path in ("/plateaux", f"/plateaux/{platform_id}"):
                answer = await page.goto(f"{platforms.url}{path}?{query}")
                assert answer is not None and answer.status == 200, (path, query)
