"""The pages of the partner and of the prescriber: their journeys on both widths, by keyboard, without JavaScript."""

from __future__ import annotations

import asyncio
import html
import io
import re
from typing import Any
from uuid import UUID

import httpx
import pytest
from openpyxl import Workbook
from playwright.async_api import Browser, Page, expect

from common.failures import Refusal
from common.testing import Query, add_persona, http_client
from remediation_seats.declarations import read_csv
from tests.integration.browsing import WIDTHS, assert_accessible, log_in, opened
from tests.integration.conftest import BoardOf, Seats, declare, eventually
from tests.integration.forms import logged_in
from tests.integration.test_partner_topics import new_partner

ROUEN = "76540"
NEAR = "commune=Rouen+(76)&rayon=10"


def prescriber(name: str) -> dict[str, Any]:
    """A persona who may search and hold."""
    return {
        "label": f"Prescriptrice {name}",
        "sub": f"page-{name}",
        "roles": ["prescriber"],
        "email": f"{name}@prescripteurs.example",
        "name": f"Prescriptrice {name}",
    }


def partner(structure_id: UUID) -> dict[str, Any]:
    """A persona who answers for a structure."""
    return {
        "label": f"Partenaire {structure_id}",
        "sub": f"page-partner-{structure_id}",
        "roles": ["partner"],
        "structure_id": str(structure_id),
        "email": f"{structure_id}@structures.example",
        "name": f"Partenaire {structure_id.hex[:6]}",
    }


async def mails_to(seats: Seats, recipient: str) -> list[dict[str, str]]:
    """What the caught-mail page has for an address; one that came twice under its identity, as a mailbox keeps it, once."""
    async with http_client() as client:
        answer = await client.get(f"http://127.0.0.1:{seats.stack.settings.mail_port}/api/mails")
    return list({mail["id"]: mail for mail in answer.json()["mails"] if mail["to"] == recipient}.values())


async def structure_with_contact(seats: Seats) -> tuple[UUID, httpx.AsyncClient]:
    """A structure that is reached by mail."""
    structure_id, client = await seats.structure()
    async with await seats.client("test-agency", "agency") as agency:
        body = {
            "structure_name": f"Structure {structure_id.hex[:6]}",
            "kind": "CFA",
            "commune_code": ROUEN,
            "fictitious": True,
            "contact_email": f"{structure_id}@structures.example",
        }
        assert (await agency.put(f"/v1/structures/{structure_id}", json=body)).status_code == 200
    return structure_id, client


@pytest.mark.parametrize("width", WIDTHS)
async def test_from_a_search_to_an_arrival(seats: Seats, browser: Browser, board: BoardOf, width: int) -> None:
    """A prescriber holds a place, the structure confirms and welcomes; each is told by mail, and the board follows."""
    structure_id, client = await structure_with_contact(seats)
    programme_id = await seats.programme(client, 9, 2)
    who = prescriber(f"camille-{width}")
    async with opened(browser, width) as page:
        await log_in(page, seats.stack, seats.url, f"/trouver?{NEAR}&parcours={programme_id}&age=17", who)
        await assert_accessible(page)
        card = page.locator(f"#p{programme_id}")
        await expect(card.locator(".free b")).to_have_text("7")
        await card.get_by_role("button", name="Retenir pour trois jours ouvrés").click()
        await expect(page.locator(".ticket .code")).to_have_text(re.compile(r"^[A-Z0-9]{5} [A-Z0-9]{5}$"))
        code = (await page.locator(".ticket .code").inner_text()).replace(" ", "")
        await assert_accessible(page)
    async with opened(browser, width) as page:
        await log_in(page, seats.stack, seats.url, "/mes-places", partner(structure_id))
        await expect(page.get_by_role("heading", name="retenue attend votre réponse")).to_be_visible()
        await assert_accessible(page)
        await page.get_by_role("button", name="Confirmer").click()
        await expect(page.get_by_role("status")).to_contain_text("confirmée")
        await page.get_by_role("button", name="Il est arrivé").click()
        await expect(page.get_by_role("status")).to_contain_text("accueilli")

    async def admitted() -> bool:
        row = (await board()).get(str(programme_id), {})
        return row.get("admitted_count") == 1 and row["free_count"] == 6

    await eventually(admitted)
    await eventually(lambda: _has(mails_to(seats, f"{structure_id}@structures.example"), 1))
    (asked,) = await mails_to(seats, f"{structure_id}@structures.example")
    assert code in asked["body"] and "/mes-places" in asked["body"]
    await eventually(lambda: _has(mails_to(seats, str(who["email"])), 1))
    (confirmed,) = await mails_to(seats, str(who["email"]))
    assert "confirmée" in confirmed["subject"] and "/mes-retenues" in confirmed["body"]


async def _has(mails: Any, count: int) -> bool:
    return len(await mails) >= count


async def test_the_board_leads_to_the_hold(seats: Seats, browser: Browser, stack_urls: dict[str, str]) -> None:
    """« Retenir » on the board: the login, then the search with that programme first and open."""
    _, client = await seats.structure()
    programme_id = await seats.programme(client, 940, 0)
    add_persona(seats.stack, prescriber("tableau"))
    async with opened(browser) as page:

        async def there() -> bool:
            await page.goto(stack_urls["projections"] + "/places?n=500")
            return await page.locator(f"#p{programme_id} .act a").count() == 1

        await eventually(there)
        await page.locator(f"#p{programme_id} .act a").click()
        await page.get_by_role("link", name="Prescriptrice tableau").click()
        await expect(page.locator("#places li").first).to_have_id(f"p{programme_id}")
        await expect(page.locator(f"#p{programme_id} form button")).to_be_visible()


@pytest.mark.parametrize("width", WIDTHS)
async def test_two_clicks_declare(seats: Seats, browser: Browser, board: BoardOf, width: int) -> None:
    """A partner changes a number and says that it is exact; more taken than there are is refused with what to do."""
    structure_id, client = await seats.structure()
    programme_id = await seats.programme(client, 9, 2)
    async with opened(browser, width, javascript=False) as page:
        await log_in(page, seats.stack, seats.url, "/mes-places", partner(structure_id))
        place = page.locator(f"#p{programme_id}")
        await place.get_by_label("Dont occupées").fill("5")
        await place.get_by_role("button").click()
        await expect(page.get_by_role("status")).to_contain_text("Places à jour.")
        await place.get_by_label("Dont occupées").fill("12")
        await place.get_by_role("button").click()
        await expect(page.get_by_role("alert")).to_contain_text("plus de places occupées que de places")

    async def shown() -> bool:
        return (await board()).get(str(programme_id), {}).get("taken_count") == 5

    await eventually(shown)


async def test_every_refusal_of_a_hold_tells_what_to_do(seats: Seats, browser: Browser) -> None:
    """A mistyped code, an unknown one, a full programme: the search stays, with the reason in words."""
    _, client = await seats.structure()
    programme_id = await seats.programme(client, 1, 0)
    async with opened(browser) as page:
        await log_in(page, seats.stack, seats.url, f"/trouver?{NEAR}&parcours={programme_id}", prescriber("refus"))
        card = page.locator(f"#p{programme_id}")
        for code, words in (("ABCDEFGHJK", "erreur de frappe"), ("2222222222", "n'est pas connu")):
            await card.get_by_label("Code du jeune").fill(code)
            await card.get_by_role("button", name="Retenir pour").click()
            await expect(page.get_by_role("alert")).to_contain_text(words)
            await expect(page.get_by_label("Commune du jeune")).to_have_value("Rouen (76)")
        await declare(client, programme_id, 1, 1)
        await card.get_by_role("button", name="Retenir pour").click()
        await expect(page.get_by_role("alert")).to_contain_text("plus de place libre")
        await assert_accessible(page)
        await expect(page.locator("#ecartes")).to_contain_text("Il n'y a pas de place libre")


async def test_a_second_click_holds_once(seats: Seats, browser: Browser, query: Query) -> None:
    """The same form sent twice, as a nervous finger does, is one hold."""
    _, client = await seats.structure()
    programme_id = await seats.programme(client, 5, 0)
    async with opened(browser, javascript=False) as page:
        await log_in(page, seats.stack, seats.url, f"/trouver?{NEAR}&parcours={programme_id}", prescriber("double"))
        form = page.locator(f"#p{programme_id} form")
        fields = await form.locator("input").evaluate_all("all => Object.fromEntries(all.map(i => [i.name, i.value]))")
        answers = await asyncio.gather(
            *(page.request.post(f"{seats.url}/trouver/retenue", form=fields, max_redirects=0) for _ in range(4))
        )
    assert {answer.status for answer in answers} == {303}
    assert len({answer.headers["location"] for answer in answers}) == 1
    ((count,),) = await query(
        "remediation-seats", "SELECT count(*) FROM hold WHERE programme_id = :id", id=programme_id
    )
    assert count == 1


async def test_the_whole_journey_by_keyboard(seats: Seats, browser: Browser) -> None:
    """Search, hold and give back with Tab, arrows, Space and Enter alone."""
    _, client = await seats.structure()
    programme_id = await seats.programme(client, 950, 0)  # the most seats in Rouen: first of the list
    async with opened(browser) as page:
        await log_in(page, seats.stack, seats.url, "/trouver", prescriber("clavier"))
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.className") == "skip"
        await _tab_to(page, "[name=commune]")
        await page.keyboard.type("Rouen (76)")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/trouver?commune=Rouen**")
        await _tab_to(page, f"#p{programme_id} summary")
        await page.keyboard.press("Enter")
        await _tab_to(page, f"#p{programme_id} form button")
        await page.keyboard.press("Space")
        await page.wait_for_url("**/mes-retenues?**")
        await _tab_to(page, "form[action$='/retrait'] button")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("status").first).to_contain_text("Place rendue.")


async def _tab_to(page: Page, selector: str) -> None:
    for _ in range(120):
        await page.keyboard.press("Tab")
        if await page.evaluate("s => document.activeElement.matches(s)", selector):
            return
    raise AssertionError(f"Tab never came to {selector}")


async def test_an_alert_writes_when_a_seat_opens_once(seats: Seats, browser: Browser) -> None:
    """Full, then open, closed and open again the same day: one mail, whose link finds the place."""
    _, client = await seats.structure()
    programme_id = await seats.programme(client, 4, 4)
    who = prescriber("alerte")
    async with opened(browser) as page:
        await log_in(page, seats.stack, seats.url, f"/trouver?{NEAR}&age=17", who)
        await page.get_by_role("button", name="M’écrire quand une place s’ouvre").click()
        await expect(page.get_by_role("status").first).to_contain_text("Alerte créée.")
        await assert_accessible(page)
        for taken in (3, 4, 2):
            await declare(client, programme_id, 4, taken)
        await eventually(lambda: _has(mails_to(seats, str(who["email"])), 1))
        await asyncio.sleep(3)
        mails = [m for m in await mails_to(seats, str(who["email"])) if f"{programme_id.hex[:6]}" in m["subject"]]
        assert len(mails) == 1, mails
        link = mails[0]["body"].split()[-1]
        await page.goto(f"{link}&parcours={programme_id}")
        await expect(page.locator(f"#p{programme_id} .free b")).to_have_text("2")
        await page.goto(f"{seats.url}/mes-retenues")
        await page.get_by_role("button", name="Supprimer").click()
        await expect(page.get_by_role("status").first).to_contain_text("Alerte supprimée.")


async def test_a_paused_topic_is_explained_and_resumed_on_the_page(
    seats: Seats, browser: Browser, query: Query
) -> None:
    """The partner reads why its software is no longer read, and lets it go on once repaired."""
    itself = await new_partner(seats)
    programme_id = await seats.programme(itself.http, 5)
    itself.send([b"{}"] * 120)
    await itself.answers(101)
    async with opened(browser) as page:
        await log_in(page, seats.stack, seats.url, "/mes-places", partner(itself.structure_id))
        banner = page.locator("section.say--no")
        await expect(banner).to_contain_text("suspendu")
        await expect(banner).to_contain_text("too_short")
        await assert_accessible(page)
        await page.get_by_role("button", name="Reprendre la lecture").click()
        await expect(page.get_by_role("status").first).to_contain_text("reprend")
    itself.declare(programme_id, 8, 1)
    assert (await itself.answers(122))[-1]["outcome"] == "ACCEPTED"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1252"])
async def test_a_table_is_rehearsed_then_sent(seats: Seats, browser: Browser, board: BoardOf, encoding: str) -> None:
    """The report says of each line what would become of it; nothing is kept before the second click."""
    structure_id, client = await seats.structure()
    programme_id = await seats.programme(client, 9, 2)
    _, other = await seats.structure()
    theirs = await seats.programme(other, 9, 2)
    async with opened(browser, javascript=False) as page:
        await log_in(page, seats.stack, seats.url, "/mes-places/tableau", partner(structure_id))
        await assert_accessible_without_javascript(page)
        template = await page.request.get(f"{seats.url}/mes-places/modele.csv")
        header = (await template.body()).decode("utf-8-sig").splitlines()
        assert header[0] == "parcours;intitule;places;occupees;observe_le" and str(programme_id) in header[1]
        # Sent back untouched it declares nothing: nobody has said when it was counted.
        assert header[1].endswith(";")
        (_, untouched), *_ = read_csv(await template.body())
        assert isinstance(untouched, Refusal) and "rien n’est déclaré" in untouched.detail
        lines = [
            "Parcours;Intitulé;Places;Occupées;Observé le",
            f"{programme_id};été;12;4;{_in_a_minute()}",
            f"{theirs};x;12;4;{_in_a_minute()}",
            f"{programme_id};x;douze;4;24/11/2026",
            "",
            f"{programme_id};x;12;4;",
        ]
        file = {"name": "places.csv", "mimeType": "text/csv", "buffer": "\r\n".join(lines).encode(encoding)}
        await page.set_input_files("input[type=file]", file)  # type: ignore[arg-type] # a FilePayload
        await page.get_by_role("button", name="Essayer").click()
        await expect(page.locator("main h2")).to_contain_text("Essai")
        rows = page.locator("tbody tr")
        assert [await rows.nth(n).locator("th").inner_text() for n in range(4)] == ["2", "3", "4", "6"]
        for number, words in enumerate(("acceptée", "autre structure", "nombre entier", "quand les places")):
            await expect(rows.nth(number)).to_contain_text(words)
        assert (await board())[str(programme_id)]["total_count"] == 9
        await page.get_by_role("button", name="Enregistrer").click()
        await expect(page.locator("main h2")).to_contain_text("Enregistré")

    async def shown() -> bool:
        return (await board()).get(str(programme_id), {}).get("total_count") == 12

    await eventually(shown)
    assert (await board())[str(theirs)]["total_count"] == 9


async def assert_accessible_without_javascript(page: Page) -> None:
    """Every form has a button, every field a label: what axe cannot look at here."""
    for form in await page.locator("main form").all():
        assert await form.locator("button").count() >= 1
    for field in await page.locator("main input:not([type=hidden]), main select").all():
        assert await field.evaluate("f => f.labels.length > 0")


def _in_a_minute() -> str:
    """Later than the declaration that the programme was opened with, and not too far ahead."""
    from datetime import UTC, datetime, timedelta
    from zoneinfo import ZoneInfo

    return (datetime.now(UTC) + timedelta(minutes=2)).astimezone(ZoneInfo("Europe/Paris")).strftime("%d/%m/%Y %H:%M")


async def test_a_workbook_declares_like_its_table(seats: Seats) -> None:
    """XLSX by the API and on the page, where what was tried is sent for good without the file."""
    structure_id, client = await seats.structure()
    programme_id = await seats.programme(client, 9)
    book, out = Workbook(), io.BytesIO()
    book.worksheets[0].append(["Parcours", "Places", "Occupées", "Observé le"])
    book.worksheets[0].append([str(programme_id), 12, 4.0, _in_a_minute()])
    book.save(out)
    tried = await client.post("/v1/declarations/csv", content=out.getvalue(), params={"dry_run": True})
    assert [one["status"] for one in tried.json()["receipts"]] == ["accepted"], tried.text
    person = await logged_in(seats.stack, seats.url, "/mes-places/tableau", partner(structure_id))
    page = await person.upload("/mes-places/tableau", "file", out.getvalue())
    content = html.unescape(re.search(r"<textarea[^>]*>(.*?)</textarea>", page.text, re.DOTALL)[1])  # type: ignore[index]
    assert "Essai" in page.text and str(programme_id) in content
    done = await person.send("/mes-places/tableau", step="send", content=content)
    assert done.status_code == 200 and "Enregistré" in done.text and "acceptée" in done.text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04", "classeur"),
        (b"", "Colonnes manquantes"),
        (b"a,b,c\n1,2,3", "points-virgules"),
        (b"parcours;places;occupees;observe_le\n", "aucune ligne"),
        ("parcours;places".encode("utf-16"), "UTF-16"),
        (b"\x81\x8d\x8f\x90\x9d", "pas un texte"),
        (b"parcours;places;occupees;observe_le\n" + b"x;1;1;24/11/2026\n" * 501, "500 au plus"),
        (b'parcours;places;occupees;observe_le\n"x;1;1;24/11/2026', "guillemets"),
    ],
)
async def test_a_file_that_is_no_table_says_what_to_do(seats: Seats, content: bytes, words: str) -> None:
    """422 with one sentence, by the API as on the page."""
    _, client = await seats.structure()
    answer = await client.post("/v1/declarations/csv", content=content, headers={"Content-Type": "text/csv"})
    assert answer.status_code == 422 and answer.json()["reason"] == "unreadable_table" and words in answer.text


async def test_strangers_and_wrong_roles_are_sent_the_right_way(seats: Seats, browser: Browser) -> None:
    """Without a session: the login and back; without the role, or for a page that is not there: a page in words."""
    async with opened(browser) as page:
        await page.goto(seats.url + "/")
        await assert_accessible(page)
        await log_in(page, seats.stack, seats.url, "/mes-retenues", prescriber("perdu"))
        assert page.url == seats.url + "/mes-retenues"
        for path, words in (("/mes-places", "n'a pas le rôle"), ("/nulle-part", "Introuvable")):
            await page.goto(seats.url + path)
            await expect(page.locator("main")).to_contain_text(words)
            await assert_accessible(page)
        answer = await page.request.post(seats.url + "/mes-places/" + str(UUID(int=0)), form={"csrf": "forged"})
        assert answer.status == 403
