"""Campaigns: tables with wrong lines, freeze, computation in its own process, publication, seats that come back."""

from __future__ import annotations

import asyncio
import io
import random
from collections import Counter
from typing import Any
from uuid import UUID, uuid4

import httpx
import psutil
import pytest
from openpyxl import Workbook

from common.embedded.stack import Stack
from common.testing import Query
from stage_matching.matching import lottery
from tests.integration.forms import logged_in
from tests.integration.stages import LATER, NEXT, OTHER_SCHOOL, SCHOOL, Stages, offer_body, siret

HEADER = "uai;classe;eleve;sexe;age;commune;rayon_km;semaine;duree;voeux"
OFFERS = "siret;organisme;type;intitule;nature;rome;commune;publics;age_min;places"


@pytest.fixture
def stages(stack: Stack) -> Stages:
    """The service of the running stack."""
    return Stages(stack)


async def school_of(stages: Stages, uai: str = SCHOOL) -> httpx.AsyncClient:
    """A school's client."""
    return await stages.client(f"school-{uai}", "school", structure_id=uai)


async def opened(client: httpx.AsyncClient, scope: str = "CLASS") -> UUID:
    """A new campaign."""
    campaign_id = uuid4()
    answer = await client.put(f"/v1/campaigns/{campaign_id}", json={"title": "Troisième A", "scope": scope})
    assert answer.status_code == 200, answer.text
    return campaign_id


def pupil(code: str, wishes: str, **changes: Any) -> str:
    """One line of a table."""
    cells = {
        "uai": SCHOOL,
        "classe": "3A",
        "eleve": code,
        "sexe": "F",
        "age": 14,
        "commune": "Rouen (76)",
        "rayon_km": 30,
        "semaine": LATER,
        "duree": 1,
        "voeux": wishes,
    } | changes
    return ";".join(str(cell) for cell in cells.values())


async def sent(client: httpx.AsyncClient, campaign_id: UUID, lines: list[str], **params: Any) -> httpx.Response:
    """A table of pupils."""
    content = "\n".join([HEADER, *lines]).encode()
    return await client.post(
        f"/v1/campaigns/{campaign_id}/pupils",
        content=content,
        params=params,
        headers={"content-type": "text/csv"},
    )


async def until(client: httpx.AsyncClient, campaign_id: UUID, state: str, seconds: float = 60) -> dict[str, Any]:
    """The campaign once it is in a state and nothing runs."""
    for _ in range(int(seconds * 5)):
        found: dict[str, Any] = (await client.get(f"/v1/campaigns/{campaign_id}")).json()
        if found["state"] == state and found["work"] is None:
            return found
        assert not found["problems"], found["problems"]
        await asyncio.sleep(0.2)
    raise AssertionError(f"not {state} within {seconds} s: {found}")


async def act(client: httpx.AsyncClient, campaign_id: UUID, action: str) -> httpx.Response:
    """Any act on a campaign."""
    return await client.post(f"/v1/campaigns/{campaign_id}/{action}")


async def test_wrong_lines_are_reported_one_by_one(stages: Stages) -> None:
    """Pupils: week 54, unknown commune, a pupil twice, a hundred wishes, another school; the caller chooses what is kept."""
    school = await school_of(stages)
    campaign_id = await opened(school)
    lines = [
        pupil("1", "H29, M18"),
        pupil("2", "H29", semaine="2027-W54"),
        pupil("3", "H29", commune="Atlantis"),
        pupil("1", "M18"),
        pupil("5", ", ".join(f"H{n}{m}" for n in range(10, 60) for m in ("01", "02"))),
        pupil("6", "H29, H29"),
        pupil("7", "chocolat"),
        pupil("8", "H29", uai=OTHER_SCHOOL),
        pupil("9", "H29", uai="0760017A"),
        pupil("10", "H29", age="quatorze"),
        pupil("11", "H29", sexe="X"),
        pupil("12", "H29", semaine=NEXT),
        "0760017F;3A",
        pupil("14", "M1805"),
    ]
    report = (await sent(school, campaign_id, lines, dry_run=True)).json()
    wrong = {line["line"]: line["detail"] for line in report["refused"]}
    assert sorted(wrong) == [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]
    assert "pas de semaine 54" in wrong[3] and "Atlantis" in wrong[4] and "déjà à la ligne 2" in wrong[5]
    assert "dix vœux" in wrong[6] and "répété" in wrong[7] and "chocolat" in wrong[8]
    assert "autre établissement" in wrong[9] and "UAI" in wrong[10] and "nombre entier" in wrong[11]
    assert "une seule fois" in wrong[13] and "colonnes" in wrong[14]
    assert (report["good_count"], report["kept_count"]) == (2, 0)
    nothing = (await sent(school, campaign_id, lines)).json()
    assert (nothing["kept_count"], len(nothing["refused"])) == (0, 12)
    assert (await school.get(f"/v1/campaigns/{campaign_id}")).json()["seeker_count"] == 0
    kept = (await sent(school, campaign_id, lines, keep="good")).json()
    assert kept["kept_count"] == 2
    again = (await sent(school, campaign_id, [pupil("14", "H29")], replace=True)).json()  # the same pupil, other wishes
    assert again["kept_count"] == 1
    assert (await school.get(f"/v1/campaigns/{campaign_id}")).json()["seeker_count"] == 2
    unreadable = await school.post(f"/v1/campaigns/{campaign_id}/pupils", content=b"a;b\n1;2")
    assert (unreadable.status_code, unreadable.json()["reason"]) == (422, "unreadable_table")
    stranger = await school_of(stages, OTHER_SCHOOL)
    assert (await stranger.get(f"/v1/campaigns/{campaign_id}")).status_code == 404
    assert (await sent(stranger, campaign_id, [pupil("1", "H29", uai=OTHER_SCHOOL)])).status_code == 403
    assert (await act(stranger, campaign_id, "freeze")).status_code == 403
    assert (await act(school, campaign_id, "cancellation")).status_code == 200
    assert (await act(school, campaign_id, "freeze")).json()["reason"] == "campaign_state"


async def test_wrong_offers_are_reported_one_by_one(stages: Stages) -> None:
    """A bad SIRET, an unknown commune, week 54, an unknown trade; sending the good again changes nothing."""
    agency, number = await stages.client("agency", "agency"), siret()
    good = f"{number};Atelier;artisan;Découverte {uuid4().hex[:6]};observation;H2913;Rouen (76);élève;14;{LATER}:2"
    lines = [
        good,
        good.replace(number, "12345678901234"),
        good.replace("Rouen (76)", "Atlantis"),
        good.replace(LATER, "2027-W54"),
        good.replace("H2913", "Z9"),
        good.replace("artisan", "magicien"),
    ]
    content = "\n".join([OFFERS, *lines]).encode("cp1252")
    report = (await agency.post("/v1/offers/csv", content=content)).json()
    wrong = {line["line"]: line["detail"] for line in report["refused"]}
    assert sorted(wrong) == [3, 4, 5, 6, 7] and report["kept_count"] == 0
    assert "Luhn" in wrong[3] and "Atlantis" in wrong[4] and "54" in wrong[5] and "magicien" in wrong[7]
    kept = (await agency.post("/v1/offers/csv", content=content, params={"keep": "good"})).json()
    assert kept["kept_count"] == 1
    host = await stages.client("somebody", "host", structure_id=str(uuid4()))
    assert (await host.post("/v1/offers/csv", content=content)).status_code == 403


async def test_another_class_does_not_replace_the_first(stages: Stages, query: Query) -> None:
    """Class 3B numbers its pupils from 1, too: nobody of 3A is lost without a yes; how it was typed is no change."""
    school = await school_of(stages)
    campaign_id = await opened(school, "SCHOOL")
    first = [pupil(f"{n}", "H29", classe="3ème A") for n in (1, 2, 3)]
    assert (await sent(school, campaign_id, first)).json()["kept_count"] == 3
    other = [pupil(f"{n}", "M18", classe="3ème B") for n in (1, 2, 3)] + [pupil("4", "M18", classe="3ème B")]
    rehearsed = (await sent(school, campaign_id, other, dry_run=True)).json()
    real = (await sent(school, campaign_id, other)).json()
    assert rehearsed | {"dry_run": False} == real
    assert [one["line"] for one in real["refused"]] == [2, 3, 4] and real["kept_count"] == 0
    assert {one["reason"] for one in real["refused"]} == {"would_replace"}
    for said in ("classe : « 3ème A » deviendrait « 3ème B »", "voeux : « H29 » deviendrait « M18 »", "autre code"):
        assert said in real["refused"][0]["detail"]

    async def classes() -> list[str]:
        rows = await query(
            "stage-matching",
            "SELECT class_group FROM request WHERE campaign_id = :id ORDER BY pupil_code",
            id=campaign_id,
        )
        return [row.class_group for row in rows]

    assert await classes() == ["3ème A"] * 3
    good = (await sent(school, campaign_id, other, keep="good")).json()
    assert good["kept_count"] == 1 and await classes() == ["3ème A"] * 3 + ["3ème B"]
    # The same again, with decomposed accents and other blanks: nothing changes, nothing is refused.
    same = [line.replace("è", "e\u0300").replace(" A", "\u00a0A") for line in first]
    assert (await sent(school, campaign_id, same)).json() == {
        "lines_count": 3,
        "good_count": 3,
        "kept_count": 3,
        "dry_run": False,
        "replaced": [],
        "refused": [],
    }
    yes = (await sent(school, campaign_id, other, replace=True)).json()
    assert [one["line"] for one in yes["replaced"]] == [2, 3, 4] and yes["kept_count"] == 4 and not yes["refused"]
    assert await classes() == ["3ème B"] * 4


async def test_a_span_that_only_the_database_knows_is_told_by_the_rehearsal(stages: Stages) -> None:
    """What refuses a line when it is sent refuses it when it is tried."""
    school = await school_of(stages)
    campaign_id = await opened(school)
    assert (await sent(school, campaign_id, [pupil("1", "H29")])).json()["kept_count"] == 1
    later = [pupil("2", "H29", semaine=NEXT)]
    rehearsed = (await sent(school, campaign_id, later, dry_run=True)).json()
    real = (await sent(school, campaign_id, later, keep="good")).json()
    assert rehearsed | {"dry_run": False} == real
    assert [(one["line"], one["reason"]) for one in real["refused"]] == [(2, "another_span")]
    assert (await act(school, campaign_id, "cancellation")).status_code == 200
    for dry_run in (True, False):
        over = await sent(school, campaign_id, [pupil("2", "H29")], dry_run=dry_run)
        assert (over.status_code, over.json()["reason"]) == (409, "campaign_state")


def offer(number: str, title: str, seats: str, **changes: str) -> str:
    """One line of a table of offers."""
    cells = {
        "siret": number,
        "organisme": "Atelier",
        "type": "artisan",
        "intitule": title,
        "nature": "observation",
        "rome": "H2913",
        "commune": "Rouen (76)",
        "publics": "élève",
        "age_min": "14",
        "places": seats,
    } | changes
    return ";".join(cells.values())


async def offers_sent(client: httpx.AsyncClient, lines: list[str], **params: Any) -> dict[str, Any]:
    """The report on a table of offers."""
    answer = await client.post("/v1/offers/csv", content="\n".join([OFFERS, *lines]).encode(), params=params)
    assert answer.status_code == 200, answer.text
    report: dict[str, Any] = answer.json()
    return report


async def test_all_or_nothing_is(stages: Stages, query: Query) -> None:
    """A rule refuses the second line: of the first nothing is left; the rehearsal said so."""
    agency = await stages.client("agency", "agency")
    host_id, _ = await stages.host()
    (theirs,) = await query("stage-matching", "SELECT siret FROM host WHERE host_id = :id", id=host_id)
    number = siret()
    lines = [offer(number, "Premier", f"{LATER}:2"), offer(theirs.siret, "Second", f"{LATER}:1")]

    async def known() -> int:
        sql = "SELECT count(*) FROM host LEFT JOIN offer USING (host_id) WHERE siret = :siret"
        return int((await query("stage-matching", sql, siret=number))[0][0])

    rehearsed = await offers_sent(agency, lines, dry_run=True)
    real = await offers_sent(agency, lines)
    assert rehearsed | {"dry_run": False} == real
    assert [(one["line"], one["reason"]) for one in real["refused"]] == [(3, "siret_taken")]
    assert (real["good_count"], real["kept_count"], await known()) == (1, 0, 0)
    kept = await offers_sent(agency, lines, keep="good")
    assert (kept["kept_count"], kept["refused"], await known()) == (1, real["refused"], 1)


async def test_a_refused_line_leaves_nothing_behind(stages: Stages, query: Query) -> None:
    """Beside a good line that is kept, one that is refused after its organisation was written has not renamed it either."""
    agency, number = await stages.client("agency", "agency"), siret()
    line = offer(number, "Atelier bois", f"{LATER}:2", organisme="Scierie")
    assert (await offers_sent(agency, [line]))["kept_count"] == 1
    sql = "UPDATE offer_week SET taken_count = 2 WHERE offer_id = (SELECT offer_id FROM offer JOIN host USING (host_id) WHERE siret = :siret)"
    await query("stage-matching", sql, siret=number)
    fewer = offer(number, "Atelier bois", f"{LATER}:1", organisme="Scierie du Bassin")
    report = await offers_sent(agency, [fewer, offer(siret(), "Autre", f"{LATER}:1")], keep="good", replace=True)
    assert (report["kept_count"], [one["reason"] for one in report["refused"]]) == (1, ["seats_below_taken"])
    (host,) = await query("stage-matching", "SELECT host_name FROM host WHERE siret = :siret", siret=number)
    assert host.host_name == "Scierie"


async def test_an_offer_of_another_table_changes_with_a_yes(stages: Stages, query: Query) -> None:
    """Other seats or another name need one; another apostrophe is the same offer; two lines for one offer are one too many."""
    agency, number = await stages.client("agency", "agency"), siret()
    title = f"Atelier d'usinage {uuid4().hex[:6]}"
    assert (await offers_sent(agency, [offer(number, title, f"{LATER}:2")]))["kept_count"] == 1
    typed = title.replace("'", "’").replace(" ", "\u00a0", 1)
    same = await offers_sent(agency, [offer(number, typed, f"{LATER}:2")])
    assert (same["kept_count"], same["replaced"], same["refused"]) == (1, [], [])
    other = [offer(number, typed, f"{LATER}:5", organisme="Atelier & fils")]
    asked = await offers_sent(agency, other)
    (line,) = asked["refused"]
    assert line["reason"] == "would_replace" and asked["kept_count"] == 0
    assert f"places : « {LATER}:2 » deviendrait « {LATER}:5 »" in line["detail"]
    assert "organisme : « Atelier » deviendrait « Atelier & fils »" in line["detail"]

    async def offered() -> list[tuple[str, int]]:
        sql = """SELECT h.host_name, w.seats_count FROM host h JOIN offer USING (host_id) JOIN offer_week w USING (offer_id)
                 WHERE h.siret = :siret"""
        return [tuple(row) for row in await query("stage-matching", sql, siret=number)]

    assert await offered() == [("Atelier", 2)]
    yes = await offers_sent(agency, other, replace=True)
    assert (yes["kept_count"], [one["line"] for one in yes["replaced"]]) == (1, [2])
    assert await offered() == [("Atelier & fils", 5)]
    another = [offer(number, "Un", f"{LATER}:1", organisme="Autre"), offer(number, "Deux", f"{LATER}:1")]
    twice = [offer(number, typed, f"{LATER}:5", organisme="Atelier & fils"), offer(number, title, f"{NEXT}:1")]
    for lines, reason in ((another, "another_host"), (twice, "duplicate_offer")):
        report = await offers_sent(agency, lines, replace=True)
        assert [(one["line"], one["reason"]) for one in report["refused"]] == [(3, reason)]
    assert await offered() == [("Atelier & fils", 5)]


async def test_tables_are_read_as_workbooks_too(stages: Stages) -> None:
    """Pupils and offers as XLSX, numbers as a spreadsheet keeps them."""
    school, agency = await school_of(stages), await stages.client("agency", "agency")
    campaign_id = await opened(school)

    def sheet(header: str, line: str) -> bytes:
        book, out = Workbook(), io.BytesIO()
        book.worksheets[0].append(header.split(";"))
        book.worksheets[0].append([int(cell) if cell.isdigit() else cell for cell in line.split(";")])
        book.save(out)
        return out.getvalue()

    for client, path, content in (
        (school, f"/v1/campaigns/{campaign_id}/pupils", sheet(HEADER, pupil("1", "H29, M18"))),
        (agency, "/v1/offers/csv", sheet(OFFERS, offer(siret(), "Atelier", f"{LATER}:2"))),
    ):
        report = (await client.post(path, content=content)).json()
        assert (report["kept_count"], report["refused"]) == (1, [])


async def _campaign(
    stages: Stages, people: int, offers: int, seats: int = 1
) -> tuple[httpx.AsyncClient, UUID, list[UUID], dict[UUID, httpx.AsyncClient]]:
    """A class of some pupils who all wish for the same offers, in the same order."""
    school, hosts = await school_of(stages), {}
    for _ in range(offers):
        _, host = await stages.host()
        hosts[await stages.offer(host, {LATER: seats}, commune_code="76540")] = host
    campaign_id = await opened(school)
    wishes = ", ".join(str(offer_id) for offer_id in hosts)
    kept = (await sent(school, campaign_id, [pupil(str(n), wishes) for n in range(people)])).json()
    assert kept["kept_count"] == people
    return school, campaign_id, list(hosts), hosts


async def test_a_class_from_its_table_to_published_lists(stages: Stages, query: Query) -> None:
    """Freeze, compute, publish: seats in the order of the published lottery, everybody told why, seats kept meanwhile."""
    school, campaign_id, offers, hosts = await _campaign(stages, people=5, offers=3)
    assert (await act(school, campaign_id, "publication")).json()["reason"] == "campaign_state"
    assert (await act(school, campaign_id, "freeze")).status_code == 200
    computed = await until(school, campaign_id, "computed")
    # Until the publication the seats are the campaign's: nobody else gets them, and the host cannot take them back.
    passer_by = await stages.seeker(iso_weeks=[LATER])
    refused = await passer_by.post("/v1/applications", json={"offer_id": str(offers[0]), "iso_weeks": [LATER]})
    assert refused.json()["reason"] == "no_free_seat"
    assert computed["figures"]["served_count"] == 3 and computed["figures"]["rank_counts"] == [1, 1, 1]
    assert computed["figures"]["most_served"]["served_count"] == 3
    assert (await act(school, campaign_id, "publication")).status_code == 200
    await until(school, campaign_id, "published")
    results = (await school.get(f"/v1/campaigns/{campaign_id}/results")).json()
    rows = await query(
        "stage-matching", "SELECT seeker_id, pupil_code FROM request WHERE campaign_id = :id", id=campaign_id
    )
    places = lottery(computed["seed"], [str(row.seeker_id) for row in rows])
    order = sorted(rows, key=lambda row: places[str(row.seeker_id)])
    by_code = {one["pupil_code"]: one for one in results}
    for place, row in enumerate(order):
        one = by_code[row.pupil_code]
        assert one["offer_id"] == (str(offers[place]) if place < 3 else None)
        assert [o["outcome"] for o in one["explanation"]] == ["full"] * min(place, 3) + (
            ["obtained"] + ["not_needed"] * (2 - place) if place < 3 else []
        )
        assert all(o["obstacles"] == {"lottery": 1} for o in one["explanation"] if o["outcome"] == "full")
    seats = await query(
        "stage-matching",
        "SELECT taken_count, campaign_count FROM offer_week WHERE offer_id = ANY(:ids)",
        ids=offers,
    )
    assert [(row.taken_count, row.campaign_count) for row in seats] == [(1, 0)] * 3
    told = Counter(
        row.record.rsplit(".", 1)[1]
        for row in await query(
            "stage-matching",
            "SELECT record FROM outbox WHERE key = :id ORDER BY id",
            id=str(campaign_id),
        )
    )
    assert told == dict.fromkeys(["CampaignOpened", "CampaignFrozen", "CampaignComputed", "CampaignPublished"], 1)
    mails = await query(
        "stage-matching", "SELECT recipient FROM mail WHERE message_key LIKE :key", key=f"campaign:{campaign_id}:%"
    )
    assert len(mails) == len({row.recipient for row in mails}) == len(hosts)


async def test_lists_show_what_was_proposed_and_hours_leave_out_who_is_too_young(stages: Stages, query: Query) -> None:
    """What a host writes after the freeze is not in the lists; an offer of eight hours a day is for nobody of fourteen, and it says why."""
    school = await school_of(stages)
    _, host = await stages.host()
    # For pupils of one other department only: no other test's offers are within reach.
    where = {"commune_code": "61001", "rome_codes": ["H2206"]}
    eight = [{"weekday": 1, "starts": a, "ends": b} for a, b in (("08:00", "12:00"), ("13:00", "17:00"))]
    title, usual = f"Atelier {uuid4().hex[:6]}", await stages.offer(host, {LATER: 1}, **where)
    assert (await host.put(f"/v1/offers/{usual}", json=offer_body({LATER: 1}, title=title, **where))).status_code == 200
    long = await stages.offer(host, {LATER: 2}, placement={"hours": eight}, **where)
    campaign_id = await opened(school)
    there = {"commune": "Alençon (61)", "rayon_km": 1}
    lines = [pupil("p14", f"{long}, {usual}", **there), pupil("p16", f"{long}, {usual}", age=16, **there)]
    assert (await sent(school, campaign_id, lines)).json()["kept_count"] == 2
    assert (await act(school, campaign_id, "freeze")).status_code == 200
    await until(school, campaign_id, "computed")
    # The seats that it keeps are not given other hours, which a pupil's age may forbid.
    barred = await host.put(
        f"/v1/offers/{usual}", json=offer_body({LATER: 1}, title=title, placement={"hours": eight}, **where)
    )
    assert (barred.status_code, barred.json()["reason"]) == (409, "hours_forbidden")
    assert (await act(school, campaign_id, "publication")).status_code == 200
    await until(school, campaign_id, "published")
    changed = offer_body({LATER: 1}, title="Tout autre chose", **where)
    assert (await host.put(f"/v1/offers/{usual}", json=changed)).status_code == 200
    young, older = (await school.get(f"/v1/campaigns/{campaign_id}/results")).json()
    assert (young["offer_id"], young["title"]) == (str(usual), title)
    assert [(one["outcome"], one.get("reason")) for one in young["explanation"]] == [
        ("dropped", "hours"),
        ("obtained", None),
    ]
    assert older["offer_id"] == str(long)
    facts = {"label": "lists", "sub": f"lists-{uuid4().hex[:6]}", "roles": ["school"], "structure_id": SCHOOL}
    person = await logged_in(
        stages.stack, stages.url, "/campagnes", facts | {"email": "l@example.org", "name": "Collège"}
    )
    (row,) = await query(
        "stage-matching",
        "SELECT request_id FROM request WHERE campaign_id = :id AND pupil_code = 'p14'",
        id=campaign_id,
    )
    for path in ("listes", f"eleves/{row.request_id}"):
        page = (await person.client.get(f"/campagnes/{campaign_id}/{path}")).text
        assert title in page and "Tout autre chose" not in page
    assert "horaires ne sont pas permis à cet âge" in page


async def test_a_withdrawn_match_is_proposed_to_the_next(stages: Stages, query: Query) -> None:
    """The best seat comes back: the one who ranks it above theirs gets it beside theirs, and may keep either; then the chain goes on."""
    school, campaign_id, offers, _ = await _campaign(stages, people=4, offers=2)
    await act(school, campaign_id, "freeze")
    computed = await until(school, campaign_id, "computed")
    await act(school, campaign_id, "publication")
    await until(school, campaign_id, "published")
    rows = await query("stage-matching", "SELECT seeker_id FROM request WHERE campaign_id = :id", id=campaign_id)
    places = lottery(computed["seed"], [str(row.seeker_id) for row in rows])
    first, second, third, _ = sorted((row.seeker_id for row in rows), key=lambda one: places[str(one)])

    async def live() -> dict[UUID, set[tuple[UUID, str]]]:
        found: dict[UUID, set[tuple[UUID, str]]] = {}
        for row in await query(
            "stage-matching",
            "SELECT seeker_id, offer_id, state, application_id FROM application WHERE campaign_id = :id AND state IN ('accepted', 'confirmed')",
            id=campaign_id,
        ):
            found.setdefault(row.seeker_id, set()).add((row.offer_id, row.state))
        return found

    async def application(seeker: UUID, offer: UUID) -> UUID:
        (row,) = await query(
            "stage-matching",
            "SELECT application_id FROM application WHERE seeker_id = :s AND offer_id = :o AND state = 'accepted'",
            s=seeker,
            o=offer,
        )
        found: UUID = row.application_id
        return found

    async def settled(expected: dict[UUID, set[tuple[UUID, str]]]) -> None:
        for _ in range(150):
            if await live() == expected:
                return
            await asyncio.sleep(0.2)
        raise AssertionError(await live())

    best, other = offers
    assert await live() == {first: {(best, "accepted")}, second: {(other, "accepted")}}
    withdrawn = await school.post(f"/v1/applications/{await application(first, best)}/withdrawal")
    assert withdrawn.status_code == 200, withdrawn.text
    await settled({second: {(best, "accepted"), (other, "accepted")}})
    confirmed = await school.post(f"/v1/applications/{await application(second, best)}/confirmation")
    assert confirmed.json()["state"] == "confirmed"
    # Whoever gave the best seat back still waits for another, and was drawn first.
    await settled({second: {(best, "confirmed")}, first: {(other, "accepted")}})
    await school.post(f"/v1/applications/{await application(first, other)}/withdrawal")
    await settled({second: {(best, "confirmed")}, third: {(other, "accepted")}})
    stranger = await school_of(stages, OTHER_SCHOOL)
    refused = await stranger.post(f"/v1/applications/{await application(third, other)}/withdrawal")
    assert refused.status_code == 403
    assert (await act(school, campaign_id, "closing")).status_code == 200
    await until(school, campaign_id, "closed")
    await school.post(f"/v1/applications/{await application(third, other)}/withdrawal")
    for _ in range(100):
        seats = await query("stage-matching", "SELECT * FROM offer_week WHERE offer_id = :id", id=other)
        if (seats[0].taken_count, seats[0].campaign_count) == (0, 0):
            break
        await asyncio.sleep(0.2)
    else:
        raise AssertionError("the seat of a closed campaign is not everybody's again")


async def test_a_killed_computation_is_begun_again_and_a_stopped_one_is_not(stages: Stages, query: Query) -> None:
    """kill -9 of the job's process: another one comes to the same result. Stopped: frozen until it is asked again."""
    agency = await stages.client("agency", "agency")
    rng = random.Random(7)
    rome = ["H2913", "M1805", "J1506", "K1304", "G1602"]
    lines = []
    for n in range(150):
        places = f"{LATER}:{rng.randint(1, 3)}"
        lines.append(
            f"{siret()};Hôte {n};entreprise;Offre {uuid4().hex[:8]};observation;{rng.choice(rome)};Louviers (27);élève;14;{places}"
        )
    content = "\n".join([OFFERS, *lines]).encode()
    assert (await agency.post("/v1/offers/csv", content=content, params={"fictitious": True})).json()[
        "kept_count"
    ] == 150
    campaign_id = await opened(agency, "TERRITORY")
    pupils = [
        pupil(
            f"p{n}",
            ", ".join(dict.fromkeys(rng.choice(rome)[:3] for _ in range(5))),
            commune="Louviers (27)",
            rayon_km=10,
        )
        for n in range(2500)
    ]
    assert (await sent(agency, campaign_id, pupils)).json()["kept_count"] == 2500
    assert (await act(agency, campaign_id, "freeze")).status_code == 200

    async def job() -> psutil.Process:
        for _ in range(600):
            for process in psutil.process_iter(["cmdline"]):
                if str(campaign_id) in (process.info["cmdline"] or []):
                    return process
            await asyncio.sleep(0.05)
        raise AssertionError("no job was seen")

    (await job()).kill()
    killed = (await agency.get(f"/v1/campaigns/{campaign_id}")).json()
    assert killed["state"] == "frozen" and killed["work"] == "compute"
    await job()
    assert (await act(agency, campaign_id, "stop")).status_code == 200
    await asyncio.sleep(3)
    stopped = (await agency.get(f"/v1/campaigns/{campaign_id}")).json()
    assert (stopped["state"], stopped["work"]) == ("frozen", None)
    assert (await act(agency, campaign_id, "computation")).status_code == 200
    first = await until(agency, campaign_id, "computed")
    sql = "SELECT pupil_code, obtained_offer, explanation FROM request WHERE campaign_id = :id ORDER BY pupil_code"
    before = await query("stage-matching", sql, id=campaign_id)
    assert (await act(agency, campaign_id, "publication")).status_code == 200
    for _ in range(3):
        process = await job()
        await asyncio.sleep(1.2)
        if process.is_running():
            process.kill()
        if (await agency.get(f"/v1/campaigns/{campaign_id}")).json()["state"] == "published":
            break
    published = await until(agency, campaign_id, "published")
    assert published["figures"] == first["figures"] and await query("stage-matching", sql, id=campaign_id) == before
    counts = await query(
        "stage-matching",
        """SELECT (SELECT count(*) FROM application WHERE campaign_id = :id AND state = 'accepted') AS given,
                  (SELECT count(*) FROM request WHERE campaign_id = :id AND obtained_offer IS NOT NULL) AS obtained,
                  (SELECT sum(campaign_count) FROM offer_week JOIN campaign_offer USING (offer_id) WHERE campaign_id = :id) AS kept""",
        id=campaign_id,
    )
    assert counts[0].given == counts[0].obtained == first["figures"]["served_count"] and counts[0].kept == 0
