"""The pages on which a professional attaches a case: what was mistyped stays beside its field; nobody else finds the form."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from playwright.async_api import Browser, expect

from common.codes import new_code
from common.embedded.stack import Stack
from tests.integration.browsing import WIDTHS, assert_accessible, log_in, opened
from tests.integration.events import SCHOOL, Events
from tests.integration.observatory import mistyped
from tests.integration.platforms import Platforms
from tests.integration.stages import NEXT, OTHER_SCHOOL, Stages, apply


@pytest.fixture
def stages(stack: Stack) -> Stages:
    """Stage matching of the running stack."""
    return Stages(stack)


def persona(role: str, structure_id: str) -> dict[str, Any]:
    """Somebody who logs in."""
    sub = f"link-{role}-{uuid4().hex[:6]}"
    facts = {"label": f"Persona {sub}", "sub": sub, "roles": [role], "email": f"{sub}@example.org"}
    return {**facts, "name": f"Structure {sub[-6:]}", "structure_id": structure_id}


async def attached_on_its_page(page: Any, name: str) -> None:
    """Mistyped, it comes back beside its field as it was typed; then it is shown, and detached."""
    code = new_code()
    card = page.locator("details.base", has_text=name)
    await card.locator("summary").click()
    await card.get_by_label("Code de la situation").fill(mistyped(code))
    await card.get_by_role("button", name="Enregistrer").click()
    await expect(page.get_by_role("alert")).to_contain_text("code de la situation")
    field = card.get_by_label("Code de la situation")
    await expect(field).to_have_value(mistyped(code))
    await expect(field).to_have_attribute("aria-invalid", "true")
    await expect(field).to_be_visible()
    await expect(card.get_by_text("relisez le code")).to_be_visible()
    await assert_accessible(page)
    await field.fill(code)
    await card.get_by_role("button", name="Enregistrer").click()
    await expect(page.get_by_text(f"{code[:5]} {code[5:]}")).to_be_visible()
    await assert_accessible(page)
    await card.locator("summary").click()
    await card.get_by_label("Code de la situation").fill("")
    await card.get_by_role("button", name="Enregistrer").click()
    await expect(page.get_by_role("status")).to_be_visible()
    await expect(page.get_by_text(f"{code[:5]} {code[5:]}")).to_have_count(0)


@pytest.mark.parametrize("width", WIDTHS)
async def test_the_page_of_bookings(platforms: Platforms, browser: Browser, width: int) -> None:
    """Typed as one books, kept beside a mistake; changed and detached where the booking is."""
    _, owner = await platforms.owner()
    title = f"Atelier {uuid4().hex[:6]}"
    platform_id = await platforms.platform(owner, title=title)
    async with opened(browser, width) as page:
        who = persona("partner", str(uuid4()))
        await log_in(page, platforms.stack, platforms.url, "/mes-reservations", who)
        await page.goto(f"{platforms.url}/plateaux/{platform_id}")
        await page.get_by_label("Personnes").fill("4")
        await page.get_by_label("Code d’une situation").fill("ABCDEFGHJ2")
        await page.get_by_role("button", name="Demander ce créneau").click()
        await expect(page.get_by_role("alert")).to_contain_text("code de la situation")
        await expect(page.get_by_label("Code d’une situation")).to_have_value("ABCDEFGHJ2")
        await expect(page.get_by_label("Code d’une situation")).to_have_attribute("aria-invalid", "true")
        await assert_accessible(page)
        await page.get_by_label("Code d’une situation").fill("")
        await page.get_by_role("button", name="Demander ce créneau").click()
        await attached_on_its_page(page, title)


@pytest.mark.parametrize("width", WIDTHS)
async def test_the_page_of_groups(events: Events, browser: Browser, width: int) -> None:
    """Typed as a school registers, kept beside a mistake; changed and detached where the group is."""
    title, group = f"Salon {uuid4().hex[:6]}", f"Relais {uuid4().hex[:6]}"
    async with await events.organiser() as organiser:
        event_id, _ = await events.event(organiser, {"hour": 10, "days": 41 if width == 390 else 43}, title=title)
    async with opened(browser, width) as page:
        path = f"/mes-groupes?evenement={event_id}"
        await log_in(page, events.stack, events.url, path, persona("school", OTHER_SCHOOL))
        form = page.locator("details.card", has_text=title)
        await form.get_by_label("Classe ou groupe").fill(group)
        await form.get_by_label("Personnes").fill("3")
        await form.get_by_label("Code d’une situation").fill("ABCDEFGHJ2")
        await form.get_by_role("button", name="Inscrire ce groupe").click()
        await expect(page.get_by_role("alert")).to_contain_text("code de la situation")
        await expect(form.get_by_label("Code d’une situation")).to_have_value("ABCDEFGHJ2")
        await expect(form.get_by_label("Code d’une situation")).to_have_attribute("aria-invalid", "true")
        await assert_accessible(page)
        await form.get_by_label("Code d’une situation").fill("")
        await form.get_by_role("button", name="Inscrire ce groupe").click()
        await attached_on_its_page(page, group)


@pytest.mark.parametrize("width", WIDTHS)
async def test_the_page_of_an_agreement(stages: Stages, browser: Browser, width: int) -> None:
    """The school that accompanies attaches it there; for the host there is no such form, and no code."""
    host_id, host = await stages.host()
    title = f"Menuiserie {uuid4().hex[:6]}"
    offer_id = await stages.offer(host, {NEXT: 1}, title=title)
    seeker = await stages.seeker(age=18, uai=SCHOOL)
    one = (await apply(seeker, offer_id)).json()["application_id"]
    assert (await host.post(f"/v1/received-applications/{one}/acceptance")).is_success
    agreement_id = (await seeker.post(f"/v1/applications/{one}/confirmation")).json()["agreement_id"]
    path = f"/conventions/{agreement_id}"
    async with opened(browser, width) as page:
        await log_in(page, stages.stack, stages.url, path, persona("school", SCHOOL))
        await attached_on_its_page(page, title)
    async with opened(browser, width) as page:
        await log_in(page, stages.stack, stages.url, path, persona("host", str(host_id)))
        await expect(page.get_by_role("heading", name="Convention de stage")).to_be_visible()
        await expect(page.get_by_text("Situation de décrochage")).to_have_count(0)
