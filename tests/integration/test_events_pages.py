"""The pages of events: a family, a school, an organiser, the door; on both widths, without JavaScript, without a network."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from ical.calendar_stream import IcsCalendarStream
from playwright.async_api import Browser, expect

from common.codes import new_code
from common.embedded.processes import free_port
from common.links import signed_link
from common.testing import Query, http_client, token_of
from tests.faults.proxy import Proxy
from tests.integration.browsing import WIDTHS, assert_accessible, link_sent_to, log_in, opened
from tests.integration.conftest import eventually
from tests.integration.events import SCHOOL, Events, put_session, register
from tests.integration.platforms import at


def persona(role: str, structure_id: str | None = None) -> dict[str, Any]:
    """Somebody who logs in."""
    sub = f"page-{role}-{uuid4().hex[:6]}"
    facts = {"label": f"Persona {sub}", "sub": sub, "roles": [role], "email": f"{sub}@example.org"}
    return {**facts, "name": f"Structure {sub[-6:]}", **({"structure_id": structure_id} if structure_id else {})}


@pytest.mark.parametrize("width", WIDTHS)
async def test_a_family_finds_registers_changes_and_cancels(events: Events, browser: Browser, width: int) -> None:
    """From the list to a seat in under a minute without an account; the link of the mail shows, changes, cancels, erases."""
    title, email = f"Salon {uuid4().hex[:6]}", f"famille-{uuid4().hex[:6]}@example.org"
    async with await events.organiser() as organiser:
        await events.event(
            organiser, {"capacity_count": 4}, {"hour": 17, "title": "Atelier"}, title=title, commune_code="76217"
        )
    async with opened(browser, width) as page:
        await page.goto(f"{events.url}/evenements?commune=Dieppe+(76)&rayon=10")
        await assert_accessible(page)
        begun = datetime.now(UTC)
        await page.get_by_role("link", name=title).click()
        await assert_accessible(page)
        await page.get_by_text("Conférence (4 places sur 4)").click()
        await page.get_by_label("Votre adresse mail").fill(email)
        await page.get_by_label("Combien viennent").fill("2")
        await page.get_by_role("button", name="M’inscrire").click()
        await expect(page.get_by_role("status")).to_contain_text("inscription confirmée")
        assert datetime.now(UTC) - begun < timedelta(seconds=60)
        await assert_accessible(page)
        link = await link_sent_to(events.stack, email)
        await page.goto(events.url + link)
        await expect(page.locator(".pass svg")).to_be_visible()
        await expect(page.locator(".code")).to_have_text(re.compile(r"^[2-9A-HJ-NP-Z]{10}$"))
        await assert_accessible(page)
        await page.get_by_text("Changer le nombre").click()
        await page.get_by_label("Nous serons").fill("9")
        # The browser says itself that six is the most; what is sent all the same is refused in words.
        await page.get_by_label("Nous serons").evaluate("e => e.removeAttribute('max')")
        await page.get_by_role("button", name="Enregistrer").click()
        await expect(page.get_by_role("alert")).to_contain_text("accueille 4 personnes")
        await page.get_by_text("Changer le nombre").click()
        await page.get_by_label("Nous serons").fill("3")
        await page.get_by_role("button", name="Enregistrer").click()
        await expect(page.get_by_role("status")).to_contain_text("changé")
        await expect(page.locator("li.hold")).to_contain_text("3")
        await page.get_by_role("button", name=re.compile("Annuler :")).click()
        await expect(page.get_by_role("status")).to_contain_text("C’est annulé")
        await expect(page.get_by_text("Annulée par vous")).to_be_visible()
        await assert_accessible(page)
        await page.get_by_text("Mes données").click()
        await page.get_by_role("button", name="Tout effacer").click()
        await expect(page.get_by_role("heading", name="C’est effacé")).to_be_visible()
        await page.goto(events.url + link)
        await expect(page.get_by_role("alert")).to_contain_text("n'existe plus")


@pytest.mark.parametrize("width", WIDTHS)
async def test_who_waits_is_offered_a_seat_and_takes_it(events: Events, browser: Browser, width: int) -> None:
    """Full: the page says so and offers the line; the seat that comes back is taken by the link."""
    mark = uuid4().hex[:6]
    async with await events.organiser() as organiser, events.family() as family:
        event_id, (session_id,) = await events.event(organiser, {"capacity_count": 1}, title=f"Visite {mark}")
        first = f"first-{mark}@example.org"
        assert (await register(family, event_id, [session_id], first)).status_code == 201
        async with opened(browser, width, javascript=False) as page:
            await page.goto(f"{events.url}/evenements/{event_id}")
            await page.get_by_label("Votre adresse mail").fill(f"waits-{mark}@example.org")
            await page.get_by_role("button", name="M’inscrire").click()
            await expect(page.get_by_role("alert")).to_contain_text("complet")
            await expect(page.get_by_label("Votre adresse mail")).to_have_value(f"waits-{mark}@example.org")
            await page.get_by_role("button", name="M’inscrire").click()
            await expect(page.get_by_role("status")).to_contain_text("en liste d’attente")
        rows = (await organiser.get(f"/v1/sessions/{session_id}/registrations")).json()
        gone = next(row for row in rows if row["email"] == first)
        answer = await organiser.post(f"/v1/registrations/{gone['registration_id']}/cancellation")
        assert answer.status_code == 200
        async with opened(browser, width) as page:

            async def offered() -> bool:
                await page.goto(events.url + await link_sent_to(events.stack, f"waits-{mark}@example.org"))
                return await page.get_by_role("button", name="Je prends").count() == 1

            await eventually(offered)
            await assert_accessible(page)
            await page.get_by_role("button", name="Je prends").click()
            await expect(page.get_by_role("status")).to_contain_text("Les places sont à vous")
            await expect(page.locator(".pass")).to_be_visible()


async def test_a_forged_link_opens_nothing(events: Events, browser: Browser) -> None:
    """Another secret, another use, another party, an ambassador's link: 403 in words, on every page and form."""
    async with await events.organiser("agency") as agency, events.family() as family:
        event_id, _ = await events.event(agency, kind="COMMITTEE", access="INVITATION")
        invitation = next(
            one["invitation"]
            for one in (await agency.get("/v1/events/mine")).json()
            if one["event_id"] == str(event_id)
        )
        forged = signed_link("another secret, thirty-two characters", "party", str(uuid4()), 5)
        for token in (forged, invitation, "x", forged[:-2]):
            for path in ("", "/agenda.ics", "/mes-donnees.json"):
                assert (await family.get(f"/inscription/{token}{path}")).status_code == 403
            assert (await family.post(f"/inscription/{token}/effacement")).status_code == 403
            assert (await family.get(f"/ambassadeur/{token}")).status_code == 403
    async with opened(browser) as page:
        await page.goto(f"{events.url}/inscription/{forged}")
        await expect(page.get_by_role("alert")).to_contain_text("Ce lien n'est pas le bon")
        await assert_accessible(page)


@pytest.mark.parametrize("width", WIDTHS)
async def test_an_organiser_from_a_draft_to_the_door(events: Events, browser: Browser, width: int) -> None:
    """Describes, adds a session, is told what is missing, publishes, watches the fill, exports, prints a list."""
    title, organiser = f"Forum {uuid4().hex[:6]}", persona("coordinator")
    async with opened(browser, width) as page:
        await log_in(page, events.stack, events.url, "/mes-evenements", organiser)
        await assert_accessible(page)
        await page.get_by_role("link", name="Nouvel évènement").click()
        await assert_accessible(page)
        await page.get_by_label("Titre").fill(title)
        await page.get_by_label("Organisateur affiché").fill("Agence")
        await page.get_by_label("Commune").fill("Nulle Part (76)")
        await page.get_by_label("Présentation").fill("Quarante métiers & des <démonstrations>.")
        await page.get_by_role("button", name="Enregistrer").click()
        # A place that nobody knows is not passed over; without one, the event may be written and not announced.
        await expect(page.get_by_role("alert")).to_contain_text("Nulle Part (76)")
        await expect(page.get_by_label("Commune")).to_have_value("Nulle Part (76)")
        await page.get_by_label("Commune").fill("")
        await page.get_by_role("button", name="Enregistrer").click()
        await expect(page.get_by_role("status")).to_contain_text("enregistré")
        await page.get_by_role("button", name="Publier").click()
        await expect(page.get_by_role("alert")).to_contain_text("a besoin d’une commune")
        await page.get_by_label("Commune").fill("Évreux (27)")
        await page.locator("#description").get_by_role("button", name="Enregistrer").click()
        await expect(page.get_by_role("status")).to_contain_text("enregistré")
        session = page.locator("#seances")
        await session.get_by_label("Jour").fill(f"{at(20, 12):%Y-%m-%d}")
        await session.get_by_label("Places").fill("30")
        await session.get_by_role("button", name="Enregistrer").click()
        await expect(page.get_by_role("status")).to_contain_text("Séance enregistrée")
        await assert_accessible(page)
        await page.get_by_role("button", name="Publier").click()
        await expect(page.get_by_role("status")).to_contain_text("publié")
        await assert_accessible(page)
        address = await page.get_by_role("link", name="Voir la page publique").get_attribute("href")
        await page.goto(f"{events.url}/mes-evenements")
        await expect(page.locator("li.hold", has_text=title)).to_contain_text("0 / 30")
        await assert_accessible(page)
        await page.locator("li.hold", has_text=title).get_by_role("link", name=re.compile("Inscrits")).click()
        await expect(page.get_by_text("Personne n’est inscrit encore")).to_be_visible()
        await assert_accessible(page)
        await page.goto(f"{events.url}{address}")
        await expect(page.get_by_text("Quarante métiers & des <démonstrations>.")).to_be_visible()
        document = json.loads(await page.locator("script[type='application/ld+json']").inner_text())
        assert (document["@type"], document["name"]) == ("Event", title)
        assert document["subEvent"][0]["remainingAttendeeCapacity"] == 30


@pytest.mark.parametrize("width", WIDTHS)
async def test_who_comes_is_read_on_a_phone(events: Events, browser: Browser, query: Query, width: int) -> None:
    """Registered, offered, in line, one whom no mail reaches: each table scrolls in its box, and the page stays as wide as the screen."""
    organiser, mark = persona("coordinator"), uuid4().hex[:8]
    headers = {"Authorization": f"Bearer {await token_of(events.stack, organiser)}"}
    async with http_client(base_url=events.url, headers=headers) as client, events.family() as family:
        event_id, (session_id,) = await events.event(client, {"capacity_count": 3})
        people = [
            (f"{name}-{mark}@example.org", seats)
            for name, seats in (("lost", 2), ("gone", 1), ("next", 1), ("last", 1))
        ]
        for email, seats in people:
            more = {"seat_count": seats, "title": f"Famille {email.split('-')[0]}", "wait": True}
            assert (await register(family, event_id, [session_id], email, **more)).status_code == 201
        rows = (await client.get(f"/v1/sessions/{session_id}/registrations")).json()
        gone = next(row["registration_id"] for row in rows if row["title"] == "Famille gone")
        assert (await client.post(f"/v1/registrations/{gone}/cancellation")).status_code == 200
    await query(
        "events",
        """INSERT INTO mail (id, message_key, recipient, subject, body, attempt_count, failed_reason)
           VALUES (:id, :key, :recipient, 'x', '', 1, 'permanent_failure')""",
        id=time.time_ns(),
        key=f"lost:{mark}",
        recipient=people[0][0],
    )
    async with opened(browser, width) as page:
        await log_in(page, events.stack, events.url, f"/seances/{session_id}", organiser)
        for title, name in (("Inscrits", "lost"), ("Places proposées", "next"), ("Liste d’attente", "last")):
            table = page.get_by_role("region", name=f"Tableau : {title}")
            await expect(table.get_by_role("row", name=f"Famille {name}")).to_have_count(1)
            hidden = await table.evaluate("box => box.scrollWidth - box.clientWidth")
            assert (hidden > 0) == (width == WIDTHS[0]), (title, hidden)
        await expect(page.get_by_text("courriel non remis")).to_have_count(1)
        await assert_accessible(page)
        await page.goto(f"{events.url}/seances/{session_id}/pointage")
        await expect(page.locator("li", has_text="Famille lost")).to_contain_text("courriel non remis")
        await assert_accessible(page)


@pytest.mark.parametrize("width", WIDTHS)
async def test_the_door_reads_codes_without_a_network(events: Events, browser: Browser, width: int) -> None:
    """A code typed, one touched, one unknown; the network goes, the page is opened again, reads on, and sends when it is back."""
    organiser = persona("coordinator")
    begin = datetime.now(UTC) + timedelta(hours=1)
    when = {"starts_at": begin.isoformat(), "ends_at": (begin + timedelta(hours=2)).isoformat()}
    token = await token_of(events.stack, organiser)
    headers = {"Authorization": f"Bearer {token}"}
    async with http_client(base_url=events.url, headers=headers) as client, events.family() as family:
        event_id, (session_id,) = await events.event(client, when)
        for n, name in enumerate(("Alice", "Bruno", "Chloé")):
            email = f"porte-{n}-{uuid4().hex[:6]}@example.org"
            answer = await register(family, event_id, [session_id], email, seat_count=2, title=name)
            assert answer.status_code == 201
        rows = {row["title"]: row for row in (await client.get(f"/v1/sessions/{session_id}/registrations")).json()}

        async def came() -> dict[str, int]:
            answer = await client.get(f"/v1/sessions/{session_id}/registrations")
            return {row["title"]: row["visitor_count"] or 0 for row in answer.json()}

        proxy = Proxy(free_port(), urlsplit(events.url).port or 0)
        path = f"/seances/{session_id}/pointage"
        async with opened(browser, width) as page, proxy.running():
            await log_in(page, events.stack, events.url, path, organiser)
            # The cookie is good for every port: from here on, what the device sends goes through bad weather.
            await page.goto(f"http://127.0.0.1:{proxy.port}{path}")
            await assert_accessible(page)
            await page.evaluate("navigator.serviceWorker.ready")
            await page.reload()
            await page.get_by_label("Code du billet").fill(rows["Alice"]["code"].lower())
            await page.get_by_label("Personnes").fill("1")
            await page.get_by_role("button", name="Pointer", exact=True).click()
            await expect(page.locator("[data-verdict]")).to_contain_text("Alice : 1")

            async def alice_is_there() -> bool:
                return (await came())["Alice"] == 1

            await eventually(alice_is_there)
            # The device knows it, too: what it has not heard, it keeps.
            await expect(page.locator("[data-queue]")).to_have_text("0")
            # Connections stay open and nothing comes through: the worst of networks.
            proxy.weather.half_open = True
            await page.locator("li", has_text="Bruno").get_by_role("button").click()
            await expect(page.locator("[data-verdict]")).to_contain_text("Bruno : 2")
            await expect(page.locator("[data-net-text]")).to_contain_text("hors réseau")
            await page.reload()
            await expect(page.get_by_role("heading", name="Attendus")).to_be_visible()
            await expect(page.locator("[data-queue]")).to_have_text("1")
            await page.get_by_label("Code du billet").fill(new_code())
            await page.get_by_role("button", name="Pointer", exact=True).click()
            await expect(page.locator("[data-verdict]")).to_contain_text("inconnu")
            assert (await came())["Bruno"] == 0
            proxy.weather.half_open = False

            async def bruno_is_there() -> bool:
                return (await came())["Bruno"] == 2

            await eventually(bruno_is_there)
            await expect(page.locator("[data-queue]")).to_have_text("0")
            await expect(page.locator("[data-verdict]")).to_contain_text("n’a pas d’inscription")
        async with opened(browser, width, javascript=False) as page:
            await log_in(page, events.stack, events.url, f"/seances/{session_id}/pointage", organiser)
            await page.get_by_label("Code du billet").fill(rows["Chloé"]["code"])
            await page.get_by_role("button", name="Pointer", exact=True).click()
            await page.wait_for_url("**fait=*")
        assert await came() == {"Alice": 1, "Bruno": 2, "Chloé": 2}


@pytest.mark.parametrize("width", WIDTHS)
async def test_a_school_registers_groups_by_slot(events: Events, browser: Browser, width: int) -> None:
    """Slots with a limit each; a group over the slot, a full slot and the line, in words."""
    mark = uuid4().hex[:6]
    title, school = f"Salon {mark}", persona("school", SCHOOL)
    async with await events.organiser() as organiser:
        slots = [
            {
                "title": f"Arrivée {hour} h",
                "purpose": "ARRIVAL",
                "admission": "GROUPS",
                "hour": hour,
                "capacity_count": 60,
            }
            for hour in (9, 10)
        ]
        await events.event(organiser, *slots, title=title)
    async with opened(browser, width) as page:
        await log_in(page, events.stack, events.url, "/mes-groupes", school)
        await assert_accessible(page)
        form = page.locator("details", has_text=title)
        await form.locator("summary").click()
        for people, said in (("61", "accueille 60"), ("40", "Groupe inscrit"), ("30", "n’a plus que 20 places")):
            form = page.locator("details", has_text=title)
            if not await form.evaluate("e => e.open"):
                await form.locator("summary").click()
            await form.get_by_label("Classe ou groupe").fill(f"{mark} {people}")
            await form.get_by_label("Personnes, adultes compris").fill(people)
            await form.get_by_role("button", name="Inscrire ce groupe").click()
            await expect(page.locator("[role=alert],[role=status]").first).to_contain_text(said)
        await assert_accessible(page)
        await page.get_by_role("button", name="Mettre le groupe en liste d’attente").click()
        await expect(page.get_by_role("status")).to_contain_text("liste d’attente")
        await expect(page.locator("li.hold", has_text=f"{mark} 30")).to_contain_text("En liste d’attente")
        await page.locator("li.hold", has_text=f"{mark} 40").get_by_role("button").click()
        await expect(page.get_by_role("status")).to_contain_text("Groupe annulé")
        await expect(page.locator("li.hold", has_text=f"{mark} 30")).to_contain_text("Une place est à vous")
        await page.locator("li.hold", has_text=f"{mark} 30").get_by_role("button", name=re.compile("Prendre")).click()
        await expect(page.get_by_role("status")).to_contain_text("sont à vous")
        await assert_accessible(page)


@pytest.mark.parametrize("width", WIDTHS)
async def test_kits_and_ambassadors(events: Events, browser: Browser, width: int) -> None:
    """A keeper adds a kit and somebody; a school asks for both; the keeper lends, the ambassador answers by the link."""
    mark = uuid4().hex[:6]
    # Another trade on each width: nobody of an earlier run is asked instead.
    family = "B11" if width == WIDTHS[0] else "B13"
    keeper, school = persona("coordinator"), persona("school", SCHOOL)
    async with opened(browser, width) as page:
        await page.goto(f"{events.url}/kits")
        await assert_accessible(page)
        await log_in(page, events.stack, events.url, "/mes-evenements", keeper)
        await page.goto(f"{events.url}/kits")
        await page.get_by_text("Ajouter un kit").click()
        await page.get_by_label("Nom").fill(f"Kit {mark}")
        await page.get_by_label("Métiers").fill("I1604")
        await page.get_by_label("Gardé à").fill("Rouen (76)")
        await page.get_by_role("button", name="Ajouter").click()
        await expect(page.get_by_role("status")).to_contain_text("Kit enregistré")
        await assert_accessible(page)
        await page.goto(f"{events.url}/ambassadeurs")
        await page.get_by_text("Ajouter quelqu’un").click()
        await page.get_by_label("Nom").fill(f"Ambassadrice {mark}")
        await page.get_by_label("Adresse mail").fill(f"amb-{mark}@example.org")
        await page.get_by_label("Métiers (codes ROME)").fill(f"{family}01")
        await page.locator("#annuaire").get_by_label("Commune").fill("Lisieux (14)")
        await page.get_by_role("button", name="Ajouter").click()
        await expect(page.get_by_role("status")).to_contain_text("Annuaire mis à jour")
        await assert_accessible(page)
    async with opened(browser, width) as page:
        await log_in(page, events.stack, events.url, "/ambassadeurs", school)
        await assert_accessible(page)
        await page.locator("select[name=metier]").select_option(family)
        await page.get_by_label("Où").fill("Lisieux (14)")
        await page.get_by_label("Quand").fill(f"{at(40, 12):%Y-%m-%d}")
        await page.get_by_role("button", name="Demander").click()
        await expect(page.get_by_role("status")).to_contain_text("Demande envoyée")
        await assert_accessible(page)
        await page.goto(f"{events.url}/kits")
        card = page.locator("li.hold", has_text=f"Kit {mark}")
        await card.locator("summary").click()
        await card.get_by_label("Du").fill(f"{at(10, 12):%Y-%m-%d}")
        await card.get_by_label("Au").fill(f"{at(12, 12):%Y-%m-%d}")
        await card.get_by_role("button", name="Demander").click()
        await expect(page.get_by_role("status")).to_contain_text("Demande envoyée")
        await assert_accessible(page)
    async with opened(browser, width) as page:
        await log_in(page, events.stack, events.url, "/mes-evenements", keeper)
        await page.goto(f"{events.url}/kits")
        await page.locator("#prets li", has_text=f"Kit {mark}").get_by_role("button", name="Réserver").click()
        await expect(page.locator("li.hold", has_text=f"Kit {mark}")).to_contain_text("Pris du")
        await assert_accessible(page)
    async with opened(browser, width) as page:
        link = await link_sent_to(events.stack, f"amb-{mark}@example.org")
        await page.goto(events.url + link)
        await assert_accessible(page)
        await page.get_by_role("button", name="Oui, je viens").click()
        await expect(page.get_by_text("Vous venez. Merci.")).to_be_visible()


async def test_calendars_and_json_for_other_sites(events: Events) -> None:
    """iCalendar read by a library that is not ours: same UID, SEQUENCE that rises, CANCELLED; OpenAgenda's shape; JSON-LD."""
    mark = uuid4().hex[:6]
    async with await events.organiser() as organiser, events.family() as family:
        event_id, (session_id,) = await events.event(organiser, title=f"Porte ouverte {mark}")

        async def component() -> Any:
            answer = await family.get(f"/evenements/{event_id}.ics")
            assert answer.headers["content-type"].startswith("text/calendar")
            (one,) = IcsCalendarStream.calendar_from_ics(answer.text).events
            return one

        first = await component()
        assert (first.uid, first.status) == (str(session_id), "CONFIRMED")
        await put_session(organiser, event_id, session_id=session_id, hour=16)
        moved = await component()
        assert moved.uid == first.uid and moved.sequence > first.sequence and moved.dtstart != first.dtstart
        listed = (await family.get("/v1/events")).json()
        mine = next(one for one in listed["events"] if one["uid"] == str(event_id))
        assert mine["title"] == {"fr": f"Porte ouverte {mark}"} and mine["location"]["insee"] == "76540"
        assert len(mine["timings"]) == 1 and mine["status"] == 1
        document = (await family.get(f"/evenements/{event_id}.jsonld")).json()
        assert document["eventStatus"] == "https://schema.org/EventScheduled"
        await organiser.post(f"/v1/events/{event_id}/cancellation")
        assert (await component()).status == "CANCELLED"
        document = (await family.get(f"/evenements/{event_id}.jsonld")).json()
        assert document["eventStatus"] == "https://schema.org/EventCancelled"


async def test_what_is_for_professionals_says_so(events: Events, browser: Browser) -> None:
    """Everybody sees the day and its programme of the year; the form is for those who are logged in, the API for their tokens."""
    mark = uuid4().hex[:6]
    async with await events.organiser() as organiser, events.family() as family:
        event_id, (session_id,) = await events.event(
            organiser, kind="IMMERSION_DAY", access="PROFESSIONALS", title=f"Immersion {mark}"
        )
        refused = await register(family, event_id, [session_id], f"x-{mark}@example.org")
        assert (refused.status_code, refused.json()["reason"]) == (409, "not_for_you")
        async with await events.client(f"prescriber-{mark}", "prescriber") as prescriber:
            made = await register(prescriber, event_id, [session_id], f"y-{mark}@example.org")
            assert made.status_code == 201
    async with opened(browser) as page:
        await page.goto(f"{events.url}/programme?genre=IMMERSION_DAY&annee={school_year()}")
        await assert_accessible(page)
        await page.get_by_role("link", name=f"Immersion {mark}").click()
        await expect(page.get_by_role("button", name="M’inscrire")).to_have_count(0)
        await expect(page.get_by_role("link", name="Se connecter pour s’inscrire")).to_be_visible()
        await assert_accessible(page)
        await log_in(page, events.stack, events.url, "/mes-groupes", persona("school", SCHOOL))
        await page.goto(f"{events.url}/evenements/{event_id}")
        await page.get_by_role("button", name="M’inscrire").click()
        await expect(page.get_by_role("status")).to_contain_text("inscription confirmée")


def school_year() -> int:
    """The year in which the school year of a day a month from now began."""
    day = at(30, 14)
    return day.year - (day.month < 9)
