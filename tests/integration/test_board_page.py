"""The seat board in a real browser: it moves by itself, pauses, works without JavaScript, fits a phone."""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from playwright.async_api import Browser, Page, Route, expect

from common.embedded.stack import Stack
from common.testing import Query, http_client
from tests.integration.browsing import assert_accessible, opened
from tests.integration.conftest import BoardOf, Seats, declare, eventually
from tests.integration.stages import NEXT, Stages


@pytest.fixture
async def quiet_page(browser: Browser) -> AsyncIterator[Page]:
    """A page that fails the test when the console says anything."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900}, locale="fr-FR")
    page = await context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    yield page
    await context.close()
    assert said == []


async def test_the_board_moves_by_itself_and_pauses(seats: Seats, stack_urls: dict[str, str], quiet_page: Page) -> None:
    """A declaration changes the card in place and the totals; in pause it is counted, then applied."""
    _, partner = await seats.structure()
    programme_id = await seats.programme(partner, 900, 100)  # the most seats of all: on the first page
    async with http_client() as client:

        async def shown() -> bool:
            return f"p{programme_id}" in (await client.get(stack_urls["projections"] + "/places")).text

        await eventually(shown)
    await quiet_page.goto(stack_urls["projections"] + "/places")
    card = quiet_page.locator(f"#p{programme_id}")
    await expect(card.locator(".free b")).to_have_text("800")
    await expect(quiet_page.locator("[data-label]")).to_have_text("En direct")
    await declare(partner, programme_id, 900, 150)
    await expect(card.locator(".free b")).to_have_text("750")
    await expect(card.locator(".badge")).to_contain_text("À jour")
    await expect(quiet_page.locator(".bilan b").first).to_contain_text("places libres")
    pause = quiet_page.locator("[data-pause]")
    await pause.click()
    await expect(quiet_page.locator("[data-label]")).to_have_text("En pause")
    await declare(partner, programme_id, 900, 160)
    await expect(quiet_page.locator("[data-waiting]")).to_have_text("1 mise à jour en attente")
    await expect(card.locator(".free b")).to_have_text("750")
    await pause.click()
    await expect(card.locator(".free b")).to_have_text("740")


async def test_a_page_of_totals_says_after_a_pause_what_has_changed_meanwhile(
    stack: Stack, stack_urls: dict[str, str], quiet_page: Page
) -> None:
    """In pause nothing moves; « Reprendre » shows what stands now, without waiting for the next change."""
    stages = Stages(stack)
    _, host = await stages.host()
    await stages.offer(host, {NEXT: 3})

    async def now() -> str:
        """The first figure as a page shows it that is opened now."""
        async with http_client() as client:
            page = (await client.get(f"{stack_urls['projections']}/marche")).text
        return str(re.findall(r'class="hero num">([^<]*)<', page)[0])

    async def offered() -> bool:
        return await now() != "0"

    await eventually(offered)
    await quiet_page.goto(f"{stack_urls['projections']}/marche")
    figure, pause = quiet_page.locator(".hero").first, quiet_page.locator("[data-pause]")
    await expect(quiet_page.locator("[data-label]")).to_have_text("En direct")
    await pause.click()
    shown = await figure.text_content()
    await stages.offer(host, {NEXT: 5})

    async def counted() -> bool:
        return await now() != shown

    async def agrees() -> bool:
        return await figure.text_content() == await now()

    await eventually(counted)
    # The page hears of it too: its clock goes on in pause.
    clock = quiet_page.locator("[data-clock]")
    heard = await clock.get_attribute("datetime")
    await expect(clock).not_to_have_attribute("datetime", heard or "")
    assert await figure.text_content() == shown
    await pause.click()
    await eventually(agrees)


async def test_what_did_not_come_after_a_pause_is_asked_for_again(
    stack: Stack, stack_urls: dict[str, str], browser: Browser
) -> None:
    """The first request fails on its way: without another change the totals are those that stand now all the same."""
    stages = Stages(stack)
    _, host = await stages.host()
    await stages.offer(host, {NEXT: 2})
    async with opened(browser) as page:
        failed, resumed = 0, False

        async def fail_once(route: Route) -> None:
            nonlocal failed
            failed += resumed
            await (route.abort() if failed == 1 else route.continue_())

        await page.goto(f"{stack_urls['projections']}/marche")
        await expect(page.locator("[data-label]")).to_have_text("En direct")
        await page.locator("[data-pause]").click()
        clock = page.locator("[data-clock]")
        heard = await clock.get_attribute("datetime")
        await stages.offer(host, {NEXT: 4})
        await expect(clock).not_to_have_attribute("datetime", heard or "")
        await page.route("**/marche/resume*", fail_once)
        # What the first offer made the page ask for may still be under way: only what is asked after the pause counts.
        resumed = True
        async with page.expect_response(lambda answer: "/marche/resume" in answer.url and failed > 1):
            await page.locator("[data-pause]").click()
        assert failed == 2


async def test_a_page_that_must_start_over_waits_for_the_end_of_a_pause(
    stack_urls: dict[str, str], quiet_page: Page, query: Query
) -> None:
    """Too much has changed, or the board was rebuilt: whoever reads in pause goes on reading, and is told."""
    await quiet_page.goto(stack_urls["projections"] + "/places")
    await expect(quiet_page.locator("[data-label]")).to_have_text("En direct")
    await quiet_page.locator("[data-pause]").click()
    await quiet_page.evaluate("window.before = true")
    # As a rebuild notes that it has switched.
    await query(
        "projections", "INSERT INTO dead_letter_audit (action, subject, actor) VALUES ('rebuilt', 'seat-board', 'test')"
    )
    await expect(quiet_page.locator("[data-waiting]")).to_have_text("Beaucoup de mises à jour en attente")
    await expect(quiet_page.locator("[data-label]")).to_have_text("En pause")
    assert await quiet_page.evaluate("window.before")
    await quiet_page.locator("[data-pause]").click()
    await quiet_page.wait_for_function("window.before === undefined")
    await expect(quiet_page.locator("[data-label]")).to_have_text("En direct")


async def test_filters_work_by_keyboard_and_keep_a_shareable_address(
    stack_urls: dict[str, str], quiet_page: Page
) -> None:
    """Changing a filter reloads with a GET address; the reader is told what was excluded."""
    await quiet_page.goto(stack_urls["projections"] + "/places")
    await quiet_page.locator("input[name=age]").focus()
    await quiet_page.keyboard.type("40")
    await quiet_page.keyboard.press("Tab")
    await quiet_page.wait_for_url("**/places?age=40")
    await expect(quiet_page.locator(".bilan")).to_contain_text("hors âge")
    await expect(quiet_page.locator(".vide")).to_contain_text("Sans condition d’âge")
    await quiet_page.locator(".vide a").first.click()
    await quiet_page.wait_for_url(re.compile(r"/places\?$|/places$"))


async def test_the_board_is_whole_without_javascript(browser: Browser, stack_urls: dict[str, str]) -> None:
    """Cards, map, table and a submit button that filters."""
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(stack_urls["projections"] + "/places")
    assert await page.locator("#places > li").count() > 0
    await expect(page.locator("#carte")).to_be_visible()
    await page.locator("input[name=age]").fill("17")
    await page.get_by_role("button", name="Appliquer").click()
    assert "age=17" in page.url
    assert await page.locator("#places > li").count() > 0
    await context.close()


@pytest.mark.parametrize("path", ["/places", "/pipeline"])
@pytest.mark.parametrize("width", [390, 1280])
async def test_pages_fit_their_width(
    browser: Browser, stack_urls: dict[str, str], path: str, width: int, tmp_path: Path
) -> None:
    """axe-core finds nothing, nothing overflows sideways on a phone or a desktop; touch targets are large enough."""
    context = await browser.new_context(viewport={"width": width, "height": 844})
    page = await context.new_page()
    await page.goto(stack_urls["projections"] + path)
    # The operators' page loads itself anew every few seconds, on a slow machine while it is being looked at.
    await page.evaluate("for (let timer = setTimeout(() => {}); timer; timer--) clearTimeout(timer)")
    await assert_accessible(page)
    small = await page.evaluate(
        "[...document.querySelectorAll('button, select, .chip, nav a')].filter(e => e.offsetParent && e.getBoundingClientRect().height < 36).map(e => e.outerHTML)"
    )
    assert small == []
    await context.close()


async def test_the_pipeline_page_tells_of_the_mails_of_each_service(stack_urls: dict[str, str], query: Query) -> None:
    """How many wait and how many were given up, from the service's own table by Kafka; one that is discarded is over."""
    failed = """INSERT INTO mail (id, message_key, recipient, subject, body, attempt_count, failed_reason)
                VALUES (:id, 'pipeline', 'a@example.org', 'x', '', 1, 'technical_failure')"""
    mail_id = time.time_ns()
    async with http_client(base_url=stack_urls["projections"]) as client:

        async def failed_count() -> int:
            services = (await client.get("/api/pipeline")).json()["services"]
            return next((int(row["undelivered_count"]) for row in services if row["service"] == "events"), -1)

        async def is_known() -> bool:
            return await failed_count() >= 0

        await eventually(is_known)
        before = await failed_count()
        await query("events", failed, id=mail_id)

        async def one_more() -> bool:
            return await failed_count() == before + 1

        await eventually(one_more)
        page = (await client.get("/pipeline")).text
        assert "Courriels à envoyer" in page and f'<td class="n">{before + 1}</td></tr>' in page
        await query("events", "UPDATE mail SET failed_reason = 'discarded' WHERE id = :id", id=mail_id)

        async def as_before() -> bool:
            return await failed_count() == before

        await eventually(as_before)


async def test_the_pages_say_so_when_the_data_are_late(
    stack: Stack, browser: Browser, stack_urls: dict[str, str]
) -> None:
    """A stopped broker: within a minute the line is no longer « En direct », and says since when."""
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(stack_urls["projections"] + "/places")
    await expect(page.locator("[data-label]")).to_have_text("En direct")
    assert stack.kafka is not None
    stack.kafka.child.kill()
    try:
        await expect(page.locator("[data-label]")).to_have_text("En retard")
        await expect(page.locator(".note")).to_contain_text("retenue reste vérifiée")
    finally:
        stack.kafka.start()
        stack.kafka.wait()
    await expect(page.locator("[data-label]")).to_have_text("En direct")
    await context.close()


async def read_events(
    url: str, last_id: str | None, count: int, *, query: str = ""
) -> list[tuple[str, str, dict[str, Any]]]:
    """The first events of the live stream: (id, event, data)."""
    headers = {"Last-Event-ID": last_id} if last_id else {}
    found: list[tuple[str, str, dict[str, Any]]] = []
    async with (
        http_client() as client,
        client.stream("GET", f"{url}/places/live{query}", headers=headers) as answer,
    ):
        fields: dict[str, str] = {}
        async for line in answer.aiter_lines():
            name, _, value = line.partition(": ")
            if line:
                fields[name] = value
            elif "event" in fields:
                found.append((fields["id"], fields["event"], json.loads(fields["data"])))
                fields = {}
                if len(found) == count:
                    break
    return found


async def test_a_browser_that_reconnects_gets_what_it_missed(
    seats: Seats, stack_urls: dict[str, str], board: BoardOf
) -> None:
    """The SSE id is the position vector; one of another generation, shape or log makes the page start over."""
    _, partner = await seats.structure()
    programme_id = await seats.programme(partner, 7)
    await eventually(lambda: _shows(board, programme_id, 7))
    ((seen, _, _),) = await read_events(stack_urls["projections"], None, 1)
    await declare(partner, programme_id, 7, 1)
    await eventually(lambda: _shows(board, programme_id, 6))
    ((_, event, data),) = await read_events(stack_urls["projections"], seen, 1)
    assert event == "board" and str(programme_id) in [changed["id"] for changed in data["changed"]]
    assert "6 places libres" in next(
        changed["say"] for changed in data["changed"] if changed["id"] == str(programme_id)
    ).replace("\u202f", " ")
    for stale in ("2-1.2.3.4", "1-1.2", "rubbish", "1-" + ".".join(["9" * 30] * 4), "1-9999999.0.0.0"):
        assert (await read_events(stack_urls["projections"], stale, 1))[0][1] == "reload"


async def test_what_changes_between_a_page_and_its_stream_is_shown(
    seats: Seats, stack_urls: dict[str, str], board: BoardOf
) -> None:
    """The page names the positions that it shows, and its first event has everything since."""
    _, partner = await seats.structure()
    programme_id = await seats.programme(partner, 7)
    await eventually(lambda: _shows(board, programme_id, 7))
    async with http_client(base_url=stack_urls["projections"]) as client:
        page = (await client.get("/places")).text
    shown = re.search(r'data-from="([^"]+)"', page)
    assert shown is not None
    await declare(partner, programme_id, 7, 2)
    await eventually(lambda: _shows(board, programme_id, 5))
    ((_, event, data),) = await read_events(stack_urls["projections"], None, 1, query=f"?depuis={shown[1]}")
    assert event == "board" and str(programme_id) in [changed["id"] for changed in data["changed"]]


async def _shows(board: BoardOf, programme_id: UUID, free: int) -> bool:
    return (await board()).get(str(programme_id), {}).get("free_count") == free
