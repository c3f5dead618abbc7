"""Every door of every service that takes a place: searches, forms, tables, the API. One understands it as the other, none guesses."""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest
from playwright.async_api import Browser, Locator, Page, expect

from common.embedded.stack import Stack
from common.testing import http_client, url_of
from territory.reference import communes
from tests.integration.browsing import assert_accessible, log_in, opened
from tests.integration.forms import Sender
from tests.integration.platforms import at, platform_body
from tests.integration.stages import LATER, NEXT, SCHOOL, Stages, born_typed, offer_body, request_body, siret
from tests.integration.test_doors import NOBODY, Doors, Refused
from tests.integration.test_seats_pages import prescriber

# One commune of today (76) and a part of another (50): what has this name is never guessed.
AMBIGUOUS, CHOICES = "Martigny", {"Martigny (76)": "76413", "Martigny (50)": "50391"}
UNKNOWN = "Atlantis"
# As people write it, and what it is.
WRITTEN = {
    "76600": "Le Havre (76)",
    "L’Aigle": "L'Aigle (61)",
    "SAINT-LO": "Saint-Lô (50)",
    "St-Étienne-du-Rouvray": "Saint-Étienne-du-Rouvray (76)",
    unicodedata.normalize("NFD", "Saint-Lô"): "Saint-Lô (50)",
}
SEARCHES = {
    "stage-matching": "/stages",
    "platform-scheduling": "/plateaux",
    "events": "/evenements",
    "parents-cafes": "/cafes",
    "remediation-seats": "/trouver",
    "projections": "/places",
}


@dataclass(frozen=True)
class Form:
    """A form with a place in it: whose, on which page, where it goes, what else it has."""

    service: str
    role: str
    page: str
    path: str
    fields: dict[str, Any]
    # What it answers once the place is understood.
    status: int = 303


FORMS = [
    Form(
        "stage-matching",
        "seeker",
        "/mes-candidatures",
        "/mes-candidatures/moi",
        {"public": "PUPIL", **born_typed(14), "premiere": NEXT, "duree": "1", "v1": "H29"},
    ),
    Form(
        "stage-matching",
        "host",
        "/mes-offres",
        "/mes-offres/organisme",
        {"host_name": "Scierie", "siret": siret(), "kind": "CRAFTSMAN"},
    ),
    Form(
        "stage-matching",
        "host",
        "/mes-offres",
        f"/mes-offres/{uuid4()}",
        {"title": "Atelier", "kind": "OBSERVATION", "rome": "H2913", "audience": "PUPIL", f"seats_{LATER}": 1},
    ),
    Form(
        "platform-scheduling",
        "owner",
        "/mes-plateaux",
        f"/mes-plateaux/{uuid4()}",
        {
            "title": "Atelier",
            "owner_title": "Lycée",
            "equipment": "usinage",
            "capacity_count": "12",
            "units": "A",
            "approval": "OWNER",
        },
    ),
    Form(
        "events",
        "coordinator",
        "/mes-evenements",
        f"/mes-evenements/{uuid4()}",
        {"organiser_title": "Agence", "kind": "THEMATIC_DAY", "title": "Les métiers"},
    ),
    Form("events", "coordinator", "/mes-evenements", f"/kits/{uuid4()}", {"title": "Kit", "rome": "I1604"}),
    Form(
        "events",
        "coordinator",
        "/mes-evenements",
        "/ambassadeurs/visites",
        {"metier": "H22", "jour": f"{at(40, 9):%F}"},
        409,  # nobody of the directory can come there
    ),
    Form(
        "events",
        "coordinator",
        "/mes-evenements",
        f"/ambassadeurs/{uuid4()}",
        {"nom": "A", "adresse": "a@example.org", "qui": "AMBASSADOR", "rome": "H2206"},
    ),
    Form(
        "parents-cafes",
        "coordinator",
        "/lieux",
        f"/lieux/lieu/{uuid4()}",
        {"title": "Bar du port", "genre": "CAFE", "places": "12"},
    ),
    Form("remediation-seats", "prescriber", "/trouver", "/alertes", {"rayon": "30"}),
]
# The queries and bodies of the API that have a place, by who asks.
QUERIES = [
    ("stage-matching", "seeker", "/v1/offers"),
    ("platform-scheduling", "owner", f"/v1/free-slots?on={at(20, 9):%F}"),
    ("events", "coordinator", "/v1/events"),
    ("parents-cafes", "coordinator", "/v1/cafes"),
    ("remediation-seats", "prescriber", "/v1/places"),
]
BODIES: list[tuple[str, str, str, str, dict[str, Any]]] = [
    ("stage-matching", "seeker", "PUT", "/v1/request", request_body()),
    ("stage-matching", "host", "PUT", "/v1/host", {"host_name": "A", "siret": siret(), "kind": "CRAFTSMAN"}),
    ("stage-matching", "host", "PUT", f"/v1/offers/{uuid4()}", offer_body({LATER: 1})),
    ("platform-scheduling", "owner", "PUT", f"/v1/platforms/{uuid4()}", platform_body()),
    (
        "events",
        "coordinator",
        "PUT",
        f"/v1/events/{uuid4()}",
        {"organiser_title": "Agence", "kind": "THEMATIC_DAY", "title": "Les métiers"},
    ),
    ("events", "coordinator", "PUT", f"/v1/kits/{uuid4()}", {"title": "Kit", "rome_codes": ["I1604"]}),
    (
        "events",
        "coordinator",
        "PUT",
        f"/v1/ambassadors/{uuid4()}",
        {"email": "a@example.org", "title": "A", "kind": "AMBASSADOR", "rome_codes": ["H2206"]},
    ),
    ("events", "coordinator", "POST", "/v1/visits", {"rome_code": "H22", "visit_on": f"{at(40, 9):%F}"}),
    (
        "parents-cafes",
        "coordinator",
        "PUT",
        f"/v1/venues/{uuid4()}",
        {"title": "Bar", "kind": "CAFE", "capacity_count": 12},
    ),
    ("remediation-seats", "agency", "PUT", f"/v1/structures/{uuid4()}", {"structure_name": "S", "kind": "CFA"}),
]


async def doors_of(doors: Doors, stack: Stack, service: str, role: str, page: str) -> tuple[httpx.AsyncClient, Sender]:
    """Somebody with this role at both doors of a service."""
    return await doors.of(stack, Refused(service, role, page, ("POST", "", None), ("", {}), 404))


def fields_on(page: httpx.Response) -> list[tuple[str, bool, set[str]]]:
    """The fields for a place: the text in each, whether it is marked as wrong, and the choices that need no script."""
    found = []
    for part in html.unescape(page.text).split('<div class="fld place-f">')[1:]:
        field = re.search(r'<input id="[^"]*" name="commune" value="([^"]*)"', part)
        assert field, part[:300]
        choices = set(re.findall(r'type="radio" name="commune" value="([^"]*)"', part))
        found.append((field[1], 'aria-invalid="true"' in part.partition(">")[2].partition("</span>")[0], choices))
    assert found, page.text[:2000]
    return found


async def reader(stack: Stack, service: str) -> httpx.AsyncClient:
    """Who may search."""
    if service == "remediation-seats":
        _, form = await doors_of(Doors(), stack, service, "prescriber", "/trouver")
        return form.client
    return http_client(base_url=url_of(stack, service), headers={"Accept": "text/html"})


@pytest.mark.parametrize("service", SEARCHES)
async def test_every_search_reads_a_place_or_asks(stack: Stack, service: str) -> None:
    """However it is written; what is ambiguous or unknown stays in the field, with choices, and nothing is passed off as near."""
    path, client = SEARCHES[service], await reader(stack, service)
    for text, label in WRITTEN.items():
        page = await client.get(path, params={"commune": text})
        assert (page.status_code, fields_on(page)) == (200, [(label, False, set())]), text
    former = await client.get(path, params={"commune": "Airan"})
    assert fields_on(former)[0][1] is False and "aujourd’hui partie de Valambray (14)" in html.unescape(former.text)
    for text, choices in ((AMBIGUOUS, set(CHOICES)), (UNKNOWN, set()), ("Ruoen", {"Rouen (76)"}), ("75001", set())):
        page = await client.get(path, params={"commune": text})
        assert (page.status_code, fields_on(page)) == (200, [(text, True, choices)]), text
        assert (
            "Quelle commune ?" in page.text and 'class="prog card"' not in page.text and "km autour de" not in page.text
        )
    # The chosen one is sent beside the text, and comes last.
    chosen = await client.get(path, params={"commune": [AMBIGUOUS, "Martigny (50)"]})
    assert fields_on(chosen) == [("Martigny (50)", False, set())]
    # Without a script a tick stays when another text is written: what was written last is what is meant.
    asked = {"commune-avant": AMBIGUOUS}
    for text, label in ((AMBIGUOUS, "Martigny (50)"), ("Le Havre", "Le Havre (76)"), (" ", "Martigny (50)")):
        page = await client.get(path, params=asked | {"commune": [text, "Martigny (50)"]})
        assert fields_on(page) == [(label, False, set())], text
    nothing = await client.get(path, params={"commune": "\x00 "})
    assert fields_on(nothing) == [("", False, set())]


@pytest.mark.parametrize("service", SEARCHES)
async def test_every_service_proposes_while_one_types(stack: Stack, service: str) -> None:
    """The same proposals everywhere, and each is a text that the field understands."""
    async with http_client(base_url=url_of(stack, service)) as client:
        found = (await client.get("/communes", params={"q": "saint lo"})).json()
        assert found[0] == {"value": "Saint-Lô (50)", "text": "Saint-Lô (50)"}
        martigny = (await client.get("/communes", params={"q": AMBIGUOUS})).json()
        assert {one["value"] for one in martigny} >= set(CHOICES)
        assert (await client.get("/communes", params={"q": "\x00" * 500})).json() == []
        assert (await client.get("/communes")).json() == []
        assert (await client.get("/static/combobox.js")).status_code == 200


async def test_every_form_keeps_what_was_typed_and_offers_choices(stack: Stack) -> None:
    """422 with the text in its field and the choices beside it, no script needed; then the chosen one, and a postal code, pass."""
    doors = Doors()
    for form in FORMS:
        _, sender = await doors_of(doors, stack, form.service, form.role, form.page)
        for text, choices in ((AMBIGUOUS, set(CHOICES)), (UNKNOWN, set())):
            page = await sender.send(form.path, **form.fields, commune=text)
            assert page.status_code == 422, (form.path, page.text)
            assert (text, True, choices) in fields_on(page), (form.path, fields_on(page))
            assert (f'name="commune-avant" value="{html.escape(text)}"' in page.text) is bool(choices), form.path
        rewritten = {"commune-avant": AMBIGUOUS, "commune": [UNKNOWN, "Martigny (50)"]}
        page = await sender.send(form.path, **form.fields, **rewritten)
        assert (page.status_code, (UNKNOWN, True, set()) in fields_on(page)) == (422, True), form.path
        for texts in ([AMBIGUOUS, "Martigny (50)"], "76600"):
            answer = await sender.send(form.path, **form.fields, commune=texts)
            assert answer.status_code == form.status, (form.path, texts, answer.text)


async def test_what_a_form_stores_is_the_commune_that_was_meant(stack: Stack) -> None:
    """76600 on a page is Le Havre; the page says so when it comes back."""
    _, sender = await doors_of(Doors(), stack, "stage-matching", "host", "/mes-offres")
    (form,) = (one for one in FORMS if one.path == "/mes-offres/organisme")
    fields = form.fields | {"siret": siret()}
    for text, label in WRITTEN.items():
        assert (await sender.send(form.path, **fields, commune=text)).status_code == 303, text
        assert fields_on(await sender.client.get(form.page))[0][0] == label


async def test_every_route_of_the_api_takes_a_code_in_force_or_says_which(stack: Stack) -> None:
    """422 with the choices as a member for what people write; 76600 stays the INSEE code of Saint-Léonard."""
    doors, stages = Doors(), Stages(stack)
    agency = {"remediation-seats": "test-agency"}

    async def client_for(service: str, role: str) -> httpx.AsyncClient:
        if role == "agency":
            return await stages.client(agency[service], role)
        pages = {one.service: one.page for one in FORMS if one.role == role}
        return (await doors_of(doors, stack, service, role, pages[service]))[0]

    async def asked(service: str, role: str, text: str) -> list[tuple[str, httpx.Response]]:
        client, url = await client_for(service, role), url_of(stack, service)
        queries = [one for one in QUERIES if one[:2] == (service, role)]
        answers = [
            (path, await client.get(url + path, params={**httpx.URL(path).params, "commune_code": text}))
            for _, _, path in queries
        ]
        for its, who, method, path, body in BODIES:
            if (its, who) == (service, role):
                answers.append((path, await client.request(method, url + path, json=body | {"commune_code": text})))
        return answers

    seen = set()
    people = [*((service, role) for service, role, _ in QUERIES), *((one[0], one[1]) for one in BODIES)]
    for service, role in dict.fromkeys(people):
        for text, codes in ((AMBIGUOUS, set(CHOICES.values())), (UNKNOWN, set()), ("14002", {"14150"})):
            for path, answer in await asked(service, role, text):
                told = answer.json()
                assert (answer.status_code, told["reason"]) == (422, "invalid_request"), (path, answer.text)
                assert {one["commune_code"] for one in told.get("choices", ())} == codes, (path, told)
                assert told["errors"][0]["field"].endswith("commune_code"), told
                assert UNKNOWN not in told["detail"] and answer.headers["content-type"] == "application/problem+json"
        for path, answer in await asked(service, role, "76600"):
            seen.add(path)
            assert answer.is_success or (answer.status_code, path) == (409, "/v1/visits"), (path, answer.text)
    assert len(seen) == len(QUERIES) + len(BODIES)


async def test_the_board_as_json_reads_a_place_as_its_page_does(stack: Stack) -> None:
    """The address of the page is that of the JSON; where the page asks, 422 has the choices."""
    async with http_client(base_url=url_of(stack, "projections")) as client:
        for text in (*WRITTEN, "", "Airan"):
            assert (await client.get("/api/seats", params={"commune": text})).status_code == 200, text
        answer = await client.get("/api/seats", params={"commune": AMBIGUOUS})
        assert answer.status_code == 422
        assert {one["commune_code"] for one in answer.json()["choices"]} == set(CHOICES.values())
        assert (await client.get("/api/seats", params={"commune": UNKNOWN})).status_code == 422
        # The part of the live page that follows is not refused: it says the same as the page.
        assert (await client.get("/places/resume", params={"commune": AMBIGUOUS})).status_code == 200


async def test_a_table_refuses_the_line_with_its_choices(stack: Stack) -> None:
    """Pupils and offers: names and postal codes in `commune`, INSEE codes in `commune_insee`; a line that leaves a doubt says which."""
    stages = Stages(stack)
    school = await stages.client(f"school-{SCHOOL}", "school", structure_id=SCHOOL)
    campaign_id = uuid4()
    body = {"title": "Troisième A", "scope": "CLASS"}
    assert (await school.put(f"/v1/campaigns/{campaign_id}", json=body)).status_code == 200
    number = siret()

    def pupil(n: int, *places: str) -> str:
        return ";".join((SCHOOL, "3A", f"p{n}", "F", "14", "30", LATER, "1", "H29", *places))

    def offer(n: int, *places: str) -> str:
        what = ("Scierie", "artisan", f"Atelier {n}", "observation", "H2206", "eleve", "14", f"{LATER}:1")
        return ";".join((number, *what, *places))

    agency = await stages.client("agency", "agency")
    for client, path, header, line in (
        (
            school,
            f"/v1/campaigns/{campaign_id}/pupils",
            "uai;classe;eleve;sexe;age;rayon_km;semaine;duree;voeux",
            pupil,
        ),
        (agency, "/v1/offers/csv", "siret;organisme;type;intitule;nature;rome;publics;age_min;places", offer),
    ):
        both = [
            *((text, "") for text in WRITTEN if text != "76600"),
            ("76600", "76351"),
            ("", "76600"),
            (AMBIGUOUS, "50391"),
        ]
        doubtful = [
            (AMBIGUOUS, ""),
            (UNKNOWN, ""),
            ("76600", ""),
            ("Ruoen", ""),
            ("Rouen", "76351"),
            ("", "99999"),
            ("", ""),
        ]
        lines = [line(n, *places) for n, places in enumerate(both + doubtful)]
        content = "\n".join([f"{header};commune;commune_insee", *lines]).encode()
        report = (await client.post(path, content=content, params={"dry_run": True})).json()
        told = {one["line"] - 2 - len(both): one for one in report["refused"]}
        assert sorted(told) == list(range(len(doubtful))), report
        choices = {n: {one["commune_code"] for one in told[n].get("choices", ())} for n in told}
        assert choices == {
            0: set(CHOICES.values()),
            1: set(),
            2: {"76351", "76600"},
            3: {"76540"},
            4: {"76540", "76351"},
            5: set(),
            6: set(),
        }
        assert AMBIGUOUS in told[0]["detail"] and "Grandparigny (50)" in told[0]["detail"]
        assert (
            UNKNOWN in told[1]["detail"] and "commune_insee" in told[2]["detail"] and "Rouen (76)" in told[3]["detail"]
        )
        # Either column alone is enough.
        for column, value in (("commune", "rouen"), ("commune_insee", "76540")):
            content = f"{header};{column}\n{line(1, value)}".encode()
            alone = (await client.post(path, content=content, params={"dry_run": True})).json()
            assert alone["refused"] == [], alone


async def test_the_field_proposes_and_is_worked_by_keyboard_on_a_phone(stack: Stack, browser: Browser) -> None:
    """Type, arrow down, enter: the place is in the field, and the search finds around it; open or closed, it is accessible."""
    url = url_of(stack, "parents-cafes")
    async with opened(browser, 390) as page:
        await page.goto(f"{url}/cafes")
        field = page.get_by_role("combobox", name="Près de")
        await field.press_sequentially("le hav")
        options = page.get_by_role("option")
        await expect(options.first).to_have_text("Le Havre (76)")
        await expect(field).to_have_attribute("aria-expanded", "true")
        await assert_accessible(page)
        await field.press("ArrowDown")
        await expect(options.first).to_have_attribute("aria-selected", "true")
        await assert_accessible(page)
        await field.press("Escape")
        await expect(field).to_have_attribute("aria-expanded", "false")
        assert await field.input_value() == "le hav"
        await field.press("ArrowDown")
        await expect(options.first).to_be_visible()
        await field.press("ArrowUp")
        await field.press("ArrowDown")
        await field.press("ArrowDown")
        await field.press("Enter")
        await expect(field).to_have_value("Le Havre (76)")
        await expect(page.get_by_role("listbox")).to_be_hidden()
        await field.press("Enter")
        await page.wait_for_url("**commune=Le+Havre*")
        await expect(page.get_by_role("heading", level=2).first).to_contain_text("de Le Havre (76)")
        # By finger, too.
        await field.fill("")
        await field.press_sequentially("76130")
        await page.get_by_role("option", name="Mont-Saint-Aignan (76)").click()
        await expect(field).to_have_value("Mont-Saint-Aignan (76)")
        # Typed to its end, nothing is proposed: the list would lie over the button that is clicked next.
        async with page.expect_response("**/communes*"):
            await field.fill("Dieppe (76)")
        await expect(page.get_by_role("listbox")).to_be_hidden()
        await page.get_by_role("button", name="Chercher").click()
        await page.wait_for_url("**commune=Dieppe*")


@pytest.mark.parametrize("javascript", [True, False])
async def test_an_ambiguous_place_is_chosen_from_a_list(stack: Stack, browser: Browser, javascript: bool) -> None:
    """With JavaScript and without: the error is beside the field, what was typed is in it, one touch chooses."""
    url = url_of(stack, "remediation-seats")
    async with opened(browser, 390, javascript=javascript) as page:
        await log_in(page, stack, url, "/trouver", prescriber(uuid4().hex[:8]))
        field = page.get_by_label("Commune du jeune", exact=True)
        await field.fill(AMBIGUOUS)
        await page.get_by_role("button", name="Chercher").click()
        await expect(field).to_have_value(AMBIGUOUS)
        await expect(field).to_have_attribute("aria-invalid", "true")
        await expect(page.get_by_text("peut être plusieurs communes : dites laquelle")).to_be_visible()
        if javascript:
            await assert_accessible(page)
        await page.get_by_label("Martigny, aujourd’hui Grandparigny (50)").check()
        await page.get_by_role("button", name="Chercher").click()
        await expect(field).to_have_value("Martigny (50)")
        await expect(page.get_by_text("Martigny fait aujourd’hui partie de Grandparigny (50)")).to_be_visible()
        if javascript:
            await assert_accessible(page)


async def test_the_board_applies_a_place_when_it_is_chosen(stack: Stack, browser: Browser) -> None:
    """Its filters apply as they change: a proposal is whole when it is touched; on a phone the question is not folded away."""
    url = url_of(stack, "projections")
    async with opened(browser, 390) as page:
        await page.goto(f"{url}/places?commune=Ruoen")
        await expect(page.get_by_text("Vouliez-vous dire")).to_be_visible()
        await assert_accessible(page)
        await page.get_by_role("radio", name="Rouen (76)").click()
        await expect(field_on(page)).to_have_value("Rouen (76)")
        await expect(field_on(page)).not_to_have_attribute("aria-invalid", "true")
    async with opened(browser) as page:
        await page.goto(f"{url}/places")
        await field_on(page).press_sequentially("14 000")
        await page.get_by_role("option", name="Caen (14)", exact=True).click()
        await page.wait_for_url("**commune=Caen*")
        await expect(field_on(page)).to_have_value("Caen (14)")


def field_on(page: Page) -> Locator:
    """The board's field for a place."""
    return page.get_by_label("Commune du jeune", exact=True)


def test_the_examples_are_what_they_are_taken_for() -> None:
    """The reference data still has the homonyms that these tests stand on."""
    assert {label: communes()[code].title for label, code in CHOICES.items()} == {
        "Martigny (76)": "Martigny",
        "Martigny (50)": "Grandparigny",
    }
    assert "76600" in communes() and NOBODY
