"""Two things at one hour for one person, one class, one structure: a warning at both doors that can be overridden, and leaks nothing."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from playwright.async_api import Browser, expect

from common.overlaps import OVERLAPS
from common.testing import FreshRuntime
from events import notices
from territory import reference
from tests.integration.browsing import WIDTHS, assert_accessible, link_sent_to, log_in, opened
from tests.integration.events import (
    SCHOOL,
    Events,
    mails_of,
    planned,
    prepared,
    register,
    registered,
    state_of,
)
from tests.integration.forms import logged_in, offered_again, problem_on
from tests.integration.platforms import Platforms, book, slot

HTML = {"Accept": "text/html"}


def persona(role: str, **facts: Any) -> dict[str, Any]:
    """Somebody who logs in."""
    sub = f"overlap-{role}-{uuid4().hex[:8]}"
    return {"label": sub, "sub": sub, "roles": [role], "email": f"{sub}@example.org", "name": f"Nom de {sub}", **facts}


def asked(answer: httpx.Response, *others: UUID | str) -> str:
    """What a question lists is this; its sentence."""
    told = answer.json()
    assert (answer.status_code, told["reason"]) == (409, OVERLAPS), answer.text
    assert [one["id"] for one in told["overlaps"]] == [str(one) for one in others]
    assert told["confirmed_by"] == "overlapping=true"
    return str(told["detail"])


# -- a person


async def test_who_types_an_address_learns_nothing_of_where_its_person_goes(events: Events) -> None:
    """The same answer, by the API and by the page, whether the address has something then or nothing, without a login or with another's."""
    email, free = (f"{name}-{uuid4().hex[:8]}@example.org" for name in ("prise", "libre"))
    async with (
        await events.organiser() as organiser,
        events.family() as family,
        await events.client(f"pro-{uuid4().hex[:8]}", "prescriber") as stranger,
    ):
        first, (there,) = await events.event(organiser, {"title": "Atelier secret"})
        second, (here,) = await events.event(organiser, {"hour": 15})
        third, (also,) = await events.event(organiser, {"hour": 15})
        assert (await register(family, first, [there], email)).status_code == 201
        for client, event_id, session_id in ((family, second, here), (stranger, third, also)):
            told = [await register(client, event_id, [session_id], one) for one in (email, free)]
            shown = [one.json()["registrations"][0] | {"registration_id": ""} for one in told]
            assert [one.status_code for one in told] == [201, 201] and shown[0] == shown[1]
        fourth, (again,) = await events.event(organiser, {"hour": 15})
        form = {"adresse": email, "seance": str(again)}
        page = await family.post(f"/evenements/{fourth}", data=form, headers=HTML)
        assert page.status_code == 201 and "Atelier secret" not in page.text and "même heure" not in page.text


async def test_who_has_shown_that_an_address_is_theirs_is_asked(events: Events) -> None:
    """409 with the other session for a token of the address, and on the page of who is logged in; the same with `overlapping` goes on."""
    who = persona("prescriber")
    async with (
        await events.organiser() as organiser,
        events.family() as family,
        await events.client(who["sub"], "prescriber", email=who["email"]) as mine,
    ):
        first, (there,) = await events.event(organiser, {"title": "Atelier bois"}, title="Salon du bois")
        second, (here, after) = await events.event(organiser, {"hour": 13}, {"hour": 16})
        assert (await register(family, first, [there], who["email"])).status_code == 201
        detail = asked(await register(mine, second, [here], who["email"]), there)
        assert detail.startswith("À la même heure, pour vous : « Atelier bois », Salon du bois, ")
        # What begins when the other ends is after it.
        assert (await register(mine, second, [after], who["email"])).status_code == 201
        form = await logged_in(events.stack, events.url, "/ambassadeurs", who)
        typed = {"adresse": who["email"], "seance": str(here), "nom": "Avec Zoé", "personnes": "2"}
        page = await form.send(f"/evenements/{second}", **typed)
        assert page.status_code == 409 and detail in problem_on(page), page.text
        assert "Garder tel quel" in page.text and 'value="Avec Zoé"' in page.text
        assert page.text.count("À la même heure") == 1
        assert (await who_is_in(organiser, here)) == []
        done = await form.client.post(f"/evenements/{second}", data=offered_again(page))
        assert done.status_code == 201 and "C’est noté" in done.text, done.text
        (row,) = await who_is_in(organiser, here)
        assert (row["title"], row["seat_count"]) == ("Avec Zoé", 2)
        third, (also,) = await events.event(organiser, {"hour": 13})
        assert (await register(mine, third, [also], who["email"], overlapping=True)).status_code == 201


async def who_is_in(organiser: httpx.AsyncClient, session_id: UUID) -> list[dict[str, Any]]:
    """Who is in a session."""
    return list((await organiser.get(f"/v1/sessions/{session_id}/registrations")).json())


async def test_two_sessions_at_one_hour_in_one_request_are_asked_about(events: Events) -> None:
    """Of anybody: they say so themselves. Nothing is registered before; the entry of the event is beside what is in it."""
    email = f"deux-{uuid4().hex[:8]}@example.org"
    async with await events.organiser() as organiser, events.family() as family:
        event_id, (entry, one, other) = await events.event(
            organiser,
            {"title": "Entrée", "purpose": "OPENING", "hour": 9, "hours": 9},
            {"title": "Bois"},
            {"title": "Fer", "hour": 15},
        )
        detail = asked(await register(family, event_id, [entry, one, other], email), one, other)
        assert "« Bois »" in detail and "« Fer »" in detail and "Entrée" not in detail
        assert await who_is_in(organiser, entry) == []
        form = {"adresse": email, "seance": [str(one), str(other)], "attente": "1"}
        page = await family.post(f"/evenements/{event_id}", data=form, headers=HTML)
        assert page.status_code == 409 and detail in problem_on(page)
        again = offered_again(page)
        assert again["seance"] == [str(one), str(other)] and again["attente"] == ["1"]
        done = await family.post(f"/evenements/{event_id}", data=again, headers=HTML)
        assert done.status_code == 201, done.text
        assert (await register(family, event_id, [entry], email)).status_code == 201


async def test_the_mail_and_the_ticket_say_it_and_lead_to_either(fresh_runtime: FreshRuntime) -> None:
    """What only the address receives names the other session and leads to its ticket; no longer when one is given up."""
    async with fresh_runtime("events", development=True) as runtime:
        first, (there,) = await prepared(runtime, {"title": "Atelier bois"}, title="Salon du bois")
        second, (here, later) = await prepared(runtime, {"title": "Atelier fer", "hour": 15}, {"hour": 18})
        await registered(runtime, first, [there], "zoe", 2)
        assert "même heure" not in (await mails_of(runtime, "zoe"))[-1][1]
        await registered(runtime, second, [later], "zoe")
        assert "même heure" not in (await mails_of(runtime, "zoe"))[-1][1]
        await registered(runtime, second, [here], "zoe")
        _, body = (await mails_of(runtime, "zoe"))[-1]
        assert "À la même heure, pour vous aussi : « Atelier bois », Salon du bois, " in body
        links = re.findall(r"/inscription/(\S+)", body)
        async with runtime.database.transaction() as tx:
            rows = await tx.fetch_all("SELECT party_id, event_id FROM party")
            parties = {row.event_id: str(row.party_id) for row in rows}
            assert [tx.subject_of(notices.PARTY_LINK, link) for link in links] == [parties[first], parties[second]]
        # Moved by its organiser onto the hour of another, a session is told with it.
        assert await planned(runtime, second, later, title="Soirée", hour=14) is None
        _, body = (await mails_of(runtime, "zoe"))[-1]
        assert "nouvel horaire" in body and "« Atelier bois »" in body and "« Atelier fer »" in body
        assert (await state_of(runtime, here))["zoe"] == "registered"


async def test_a_ticket_shows_what_is_at_its_hour_and_where_to_give_it_up(events: Events) -> None:
    """Each of the two tickets leads to the other, until one is given up there."""
    email = f"billet-{uuid4().hex[:8]}@example.org"
    async with await events.organiser() as organiser, events.family() as family:
        first, (there,) = await events.event(organiser, {"title": "Atelier bois"})
        second, (here,) = await events.event(organiser, {"title": "Atelier fer", "hour": 15}, title="Salon du fer")
        assert (await register(family, first, [there], email)).status_code == 201
        assert (await register(family, second, [here], email)).status_code == 201
        ticket = await link_sent_to(events.stack, email, "Salon du fer")
        page = await family.get(ticket, headers=HTML)
        assert "À la même heure, pour vous aussi : « Atelier bois »" in page.text
        (other,) = set(re.findall(r'href="(/inscription/[^"/]+)"', page.text))
        theirs = await family.get(other, headers=HTML)
        assert "À la même heure, pour vous aussi : « Atelier fer », Salon du fer, " in theirs.text
        (found,) = re.findall(r'name="registration_id" value="([^"]+)"><button class="btn btn--s">Annuler', theirs.text)
        gone = await family.post(f"{other}/annulation", data={"registration_id": found})
        assert gone.status_code == 303
        assert "même heure" not in (await family.get(ticket, headers=HTML)).text


# -- a class


async def test_a_class_at_two_workshops_is_asked_about(events: Events) -> None:
    """409 with the other one for the same class of the same school, by whoever of its staff; another class or school is not asked."""
    name = f"3e {uuid4().hex[:6]}"
    who = persona("school", structure_id=SCHOOL)
    async with (
        await events.organiser() as organiser,
        await events.school() as school,
        await events.school(next(one.uai for one in reference.schools() if one.uai != SCHOOL)) as neighbour,
    ):
        first, (there,) = await events.event(organiser, {"title": "Atelier bois"}, title="Salon du bois")
        second, (here,) = await events.event(organiser, {"hour": 15, "capacity_count": 60})

        async def group(client: httpx.AsyncClient, title: str, **more: Any) -> httpx.Response:
            body = {"title": title, "seat_count": 5, "session_ids": [str(here)], **more}
            return await client.post(f"/v1/events/{second}/groups", json=body)

        body = {"title": name, "seat_count": 5, "session_ids": [str(there)]}
        assert (await school.post(f"/v1/events/{first}/groups", json=body)).status_code == 201
        detail = asked(await group(school, name), there)
        assert detail.startswith(f"À la même heure, pour « {name} » : « Atelier bois », Salon du bois, ")
        asked(await group(school, name.upper().replace(" ", "")), there)
        assert (await group(neighbour, name)).status_code == 201
        assert (await group(school, f"{name} bis")).status_code == 201
        # Another of the staff, on the page: what was typed is kept, and the second button goes on with all of it.
        form = await logged_in(events.stack, events.url, "/mes-groupes", who)
        typed = {"evenement": str(second), "creneau": str(here), "groupe": name, "personnes": "7", "filles": "3"}
        page = await form.send("/mes-groupes", **typed)
        assert page.status_code == 409 and detail in problem_on(page), page.text
        assert "Garder tel quel" in page.text and f'value="{name}"' in page.text
        done = await form.client.post("/mes-groupes", data=offered_again(page))
        assert done.status_code == 303, done.text
        listed = [row for row in (await school.get("/v1/groups")).json() if row["title"] == name]
        assert sorted((row["session_id"], row["seat_count"]) for row in listed) == sorted(
            [(str(there), 5), (str(here), 7)]
        )
        shown = await form.client.get("/mes-groupes")
        assert shown.text.count("À la même heure, pour vous aussi : « Atelier bois »") == 1
        asked(await group(school, name), there, here)
        assert (await group(school, name, overlapping=True)).status_code == 201


# -- a structure and its platforms


async def test_a_structure_on_two_platforms_is_asked_about(platforms: Platforms) -> None:
    """Booked or moved, by the API: not two places of one platform, not what begins after, not another's; owners ask nobody."""
    _, owner = await platforms.owner()
    first, second = [await platforms.platform(owner, title=title, units=["A", "B"]) for title in ("Bois", "Fer")]
    mine, other = await platforms.requester(), await platforms.requester()
    held = (await book(mine, first, slot(6, 9))).json()["booking_id"]
    assert (await book(mine, first, slot(6, 9))).status_code == 201
    both = [one["booking_id"] for one in (await mine.get("/v1/bookings")).json()["bookings"]]
    detail = asked(await book(mine, second, slot(6, 10)), *sorted(both))
    assert detail.startswith("À la même heure, pour vous : « Bois », Lycée d’essai, ")
    assert (await book(other, second, slot(6, 10))).status_code == 201
    after = await book(mine, second, slot(6, 11))
    assert after.status_code == 201
    path = f"/v1/bookings/{after.json()['booking_id']}/move"
    asked(await mine.post(path, json=slot(6, 10)), *sorted(both))
    assert (await mine.post(path, json={**slot(6, 10), "overlapping": True})).status_code == 200
    assert (await owner.post(f"/v1/received-bookings/{held}/move", json=slot(6, 12))).status_code == 200
    asked(await book(mine, second, slot(6, 13)), held)
    assert (await book(mine, second, slot(6, 13), overlapping=True)).status_code == 201
    # A slot that is not free is said first: there is nothing to go on with.
    assert (await book(other, second, slot(6, 13))).status_code == 201
    assert (await book(mine, second, slot(6, 13))).json()["reason"] == "slot_taken"


@pytest.mark.parametrize("moved", [False, True])
async def test_the_pages_of_platforms_ask_too(platforms: Platforms, moved: bool) -> None:
    """The same words as the API, what was typed is kept, two buttons; the second books, or moves."""
    _, owner = await platforms.owner()
    first, second = await platforms.platform(owner, title="Bois"), await platforms.platform(owner, title="Fer")
    who = persona("host", structure_id=str(uuid4()))
    mine = await platforms.client(who["sub"], "host", structure_id=who["structure_id"], email=who["email"])
    assert (await book(mine, first, slot(6, 9))).status_code == 201
    when = slot(6, 10)
    typed = {"jour": when["starts_at"][:10], "debut": "10:00", "duree": "120"}
    path = f"/plateaux/{second}"
    if moved:
        booking_id = (await book(mine, second, slot(6, 14))).json()["booking_id"]
        path = f"/mes-reservations/{booking_id}/deplacement"
    else:
        typed |= {"personnes": "6", "projet": "Un banc & une table"}
    form = await logged_in(platforms.stack, platforms.url, "/mes-reservations", who)
    shown = await form.send(path, **typed)
    assert shown.status_code == 409 and "À la même heure, pour vous : « Bois »" in problem_on(shown), shown.text
    assert "Garder tel quel" in shown.text
    again = offered_again(shown)
    assert {name: again[name] for name in typed} == {name: [value] for name, value in typed.items()}
    done = await form.client.post(path, data=again)
    assert done.status_code == 303, done.text
    rows = (await mine.get("/v1/bookings")).json()["bookings"]
    assert [row["title"] for row in rows] == ["Bois", "Fer"]


# -- as people see it


@pytest.mark.parametrize("width", WIDTHS)
async def test_what_is_at_the_same_hour_is_said_before_and_after(events: Events, browser: Browser, width: int) -> None:
    """A class at two workshops at one hour: asked about with two buttons, then said beside each; a family's ticket leads to the other."""
    mark, school = uuid4().hex[:6], persona("school", structure_id=SCHOOL)
    email = f"deux-{mark}@example.org"
    async with await events.organiser() as organiser, events.family() as family:
        for title in (f"Bois {mark}", f"Fer {mark}"):
            event_id, (session_id,) = await events.event(organiser, title=title)
            assert (await register(family, event_id, [session_id], email)).status_code == 201
    async with opened(browser, width) as page:
        await log_in(page, events.stack, events.url, "/mes-groupes", school)
        for title in (f"Bois {mark}", f"Fer {mark}"):
            form = page.locator("details", has_text=title)
            await form.locator("summary").click()
            await form.get_by_label("Classe ou groupe").fill(f"3e {mark}")
            await form.get_by_label("Personnes, adultes compris").fill("5")
            await form.get_by_role("button", name="Inscrire ce groupe").click()
            said = "Groupe inscrit" if title.startswith("Bois") else f"À la même heure, pour « 3e {mark} »"
            await expect(page.locator("[role=alert],[role=status]").first).to_contain_text(said)
        await expect(page.locator("li.hold", has_text=mark)).to_have_count(1)
        await assert_accessible(page)
        await page.get_by_role("button", name="Continuer quand même").click()
        await expect(page.get_by_role("status")).to_contain_text("Groupe inscrit")
        await expect(page.locator("li.hold", has_text=mark).get_by_text("À la même heure")).to_have_count(2)
        await assert_accessible(page)
    async with opened(browser, width) as page:
        await page.goto(events.url + await link_sent_to(events.stack, email, f"Fer {mark}"))
        await assert_accessible(page)
        await page.get_by_role("link", name="Voir ou annuler l’autre").click()
        await expect(page.get_by_role("heading", name=f"Bois {mark}")).to_be_visible()
