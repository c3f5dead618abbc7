"""The forms of internships beside their API: one status for one reason, what was typed comes back, a link has its budget."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import httpx
import pytest

from common.embedded.stack import Stack
from common.testing import Query, http_client
from tests.integration.browsing import link_sent_to
from tests.integration.forms import Sender, logged_in, problem_on
from tests.integration.stages import (
    LATER,
    NEXT,
    OTHER_SCHOOL,
    SCHOOL,
    Stages,
    apply,
    born_typed,
    offer_body,
    request_body,
)
from tests.integration.test_campaigns import HEADER, pupil
from tests.integration.test_doors import NOBODY, Doors, Refused, refused_otherwise, small

SERVICE = "stage-matching"


@pytest.fixture
def stages(stack: Stack) -> Stages:
    """The service of the running stack."""
    return Stages(stack)


def refused(role: str, api: tuple[str, str, dict[str, Any] | None], form: str, status: int, **fields: Any) -> Refused:
    """What somebody with a role may not do."""
    page = {"seeker": "/mes-candidatures", "host": "/mes-offres/nouvelle", "school": "/campagnes"}[role]
    return Refused(SERVICE, role, page, api, (form, fields), status)


def applied(status: int, body: dict[str, Any], **fields: Any) -> Refused:
    """An application."""
    asked = {"offer_id": str(NOBODY), "iso_weeks": [NEXT], **body}
    typed = {"offer_id": str(NOBODY), "premiere": NEXT, "duree": "1", "commune": "Rouen (76)", **fields}
    return refused("seeker", ("POST", "/v1/applications", asked), "/stages/candidature", status, **typed)


def told(status: int, body: dict[str, Any], **fields: Any) -> Refused:
    """What a seeker tells of themselves."""
    typed = {
        "public": "PUPIL",
        **born_typed(14),
        "commune": "Rouen (76)",
        "premiere": NEXT,
        "duree": "1",
        "v1": "H29",
        **fields,
    }
    return refused("seeker", ("PUT", "/v1/request", request_body(**body)), "/mes-candidatures/moi", status, **typed)


def offered(status: int, body: dict[str, Any], **fields: Any) -> Refused:
    """An offer."""
    api = ("PUT", "/v1/offers/{nobody}", offer_body({LATER: 1}) | body)
    typed: dict[str, Any] = {
        "title": "Atelier",
        "kind": "OBSERVATION",
        "rome": "H2913",
        "commune": "Rouen (76)",
        "audience": "PUPIL",
    }
    typed |= {f"seats_{LATER}": 1, **fields}
    return refused("host", api, "/mes-offres/{nobody}", status, **typed)


def led(act: str, form: str) -> Refused:
    """An act on a campaign that is not there."""
    return refused("school", ("POST", f"/v1/campaigns/{{nobody}}/{act}", None), f"/campagnes/{{nobody}}/{form}", 404)


def campaign(status: int, **body: Any) -> Refused:
    """A new campaign."""
    return refused("school", ("PUT", f"/v1/campaigns/{uuid4()}", body), "/campagnes", status, **body)


CASES = [
    *(
        refused("seeker", ("POST", f"/v1/{api}", None), f"/mes-candidatures/{{nobody}}/{form}", 404)
        for api, form in (
            ("applications/{nobody}/confirmation", "confirmation"),
            ("applications/{nobody}/withdrawal", "retrait"),
            ("agreements/{nobody}/signature", "signature"),
        )
    ),
    applied(404, {}),
    applied(422, {"offer_id": "x"}, offer_id="x"),
    applied(422, {"iso_weeks": ["2027-W54"]}, premiere="2027-W54"),
    applied(422, {"letter": "x" * 2001}, lettre="x" * 2001),
    told(422, {"audience": "UNKNOWN"}, public="UNKNOWN"),
    told(422, {"age": 9}, **born_typed(9)),
    told(422, {"birth_month": "2012-13"}, naissance_mois="13"),
    told(422, {"birth_month": None}, naissance_annee=""),
    told(422, {"commune_code": "00000"}, commune="Nulle Part"),
    told(422, {"wishes": ["chocolat"]}, v1="chocolat"),
    offered(422, {"kind": "UNKNOWN"}, kind="UNKNOWN"),
    offered(422, {"seats": {"2027-W54": 1}}, **{"seats_2027-W54": 1}),
    *(
        led(act, form)
        for act, form in (
            ("freeze", "gel"),
            ("computation", "calcul"),
            ("stop", "arret"),
            ("publication", "publication"),
            ("closing", "cloture"),
            ("cancellation", "abandon"),
        )
    ),
    campaign(422, title="", scope="CLASS"),
    campaign(422, title="x" * 201, scope="CLASS"),
    campaign(422, title="Troisièmes", scope="TERRITORY"),
    campaign(422, title="Troisièmes", scope="UNKNOWN"),
    *(
        refused(
            "school",
            ("POST", f"/v1/applications/{{nobody}}/{act}", None),
            f"/campagnes/{{nobody}}/eleves/{{nobody}}/{form}",
            404,
            application_id=str(NOBODY),
        )
        for act, form in (("confirmation", "confirmation"), ("withdrawal", "retrait"))
    ),
    refused(
        "school",
        ("POST", "/v1/applications/x/withdrawal", None),
        "/campagnes/{nobody}/eleves/{nobody}/retrait",
        422,
        application_id="x",
    ),
]


async def test_both_doors_refuse_with_one_status(stack: Stack) -> None:
    """Every form of a seeker, a host's offer and a school has the status of its JSON route."""
    assert not await refused_otherwise(stack, CASES)


async def test_an_action_that_does_not_exist_is_not_there(stack: Stack) -> None:
    """404 as for any other address."""
    for role, path in (
        ("seeker", "/mes-candidatures/{nobody}/chocolat"),
        ("school", "/campagnes/{nobody}/chocolat"),
        ("school", "/campagnes/{nobody}/eleves/{nobody}/chocolat"),
    ):
        _, form = await Doors().of(stack, refused(role, ("POST", "", None), path, 404))
        assert (await form.send(path.format(nobody=NOBODY))).status_code == 404, path


async def seeker_of(stages: Stages, **changes: Any) -> tuple[httpx.AsyncClient, Sender]:
    """A pupil of Rouen at both doors, who has told what they look for."""
    api, form = await Doors().of(stages.stack, refused("seeker", ("POST", "", None), "", 404))
    assert (await api.put("/v1/request", json=request_body(**changes))).status_code == 200
    return api, form


async def school_of(stages: Stages, uai: str) -> Sender:
    """Somebody of a school, at its forms."""
    sub = f"doors-{uuid4().hex[:8]}"
    who = {"label": sub, "sub": sub, "roles": ["school"], "email": f"{sub}@example.org", "name": "École"}
    return await logged_in(stages.stack, stages.url, "/campagnes", {**who, "structure_id": uai})


async def test_an_application_keeps_what_was_typed(stages: Stages) -> None:
    """The search comes back with the offer first and open, the letter and the weeks in it."""
    _, host = await stages.host()
    offer_id = await stages.offer(host, {NEXT: 1, LATER: 1})
    _, form = await seeker_of(stages)
    fields = {"offer_id": str(offer_id), "premiere": LATER, "duree": "3", "commune": "Rouen (76)", "rayon": "30"}
    answer = await form.send("/stages/candidature", **fields, lettre="J’aime le bois & le fer.")
    assert answer.status_code == 409, answer.text
    first = answer.text.split('<li class="prog card"')[1]
    assert f'id="o{offer_id}"' in first and '<details class="base ask" open>' in first
    assert "J’aime le bois &amp; le fer." in first and f'<option value="{LATER}" selected>' in first
    assert '<option value="3" selected>' in first


async def test_the_lines_of_a_letter_are_counted_as_they_were_typed(stages: Stages) -> None:
    """A browser sends two characters for the end of a line, of which its own limit counts one."""
    _, host = await stages.host()
    offer_id = await stages.offer(host, {NEXT: 1})
    api, form = await seeker_of(stages)
    fields = {"offer_id": str(offer_id), "premiere": NEXT, "duree": "1", "commune": "Rouen (76)"}
    answer = await form.send("/stages/candidature", **fields, lettre="x" * 1000 + "\r\n" + "y" * 999)
    assert answer.status_code == 303, problem_on(answer)
    (application,) = (await api.get("/v1/applications")).json()
    assert len(application["letter"]) == 2000


async def test_what_a_seeker_a_host_or_a_school_typed_comes_back(stages: Stages) -> None:
    """Refused, the form has what was typed, not what is stored; boxes too."""
    _, seeker = await seeker_of(stages)
    typed = {
        "public": "STUDENT",
        "naissance_mois": "5",
        "naissance_annee": "1929",
        "commune": "Dieppe (76)",
        "rayon": "50",
        "premiere": LATER,
        "duree": "2",
    }
    answer = await seeker.send("/mes-candidatures/moi", **typed, v1="M18", v2="H22", uai="0760017A")
    assert answer.status_code == 422 and "naissance" in problem_on(answer)
    for value in ("STUDENT", "5", "50", LATER, "2", "M18", "H22"):
        assert f'<option value="{value}" selected>' in answer.text, value
    for value in ("1929", "Dieppe (76)", "0760017A"):
        assert f'value="{value}"' in answer.text, value

    _, host = await Doors().of(stages.stack, next(one for one in CASES if one.role == "host"))
    fields = {"title": "Menuiserie", "kind": "IMMERSION", "rome": "Z9", "commune": "Dieppe (76)", "age_min": "16"}
    seats = {f"seats_{LATER}": "7", "partners": "0760017F"}
    answer = await host.send(f"/mes-offres/{uuid4()}", **fields, **seats, audience=["STUDENT", "YOUNG_IN_INSERTION"])
    assert answer.status_code == 422 and "M1805" in problem_on(answer)
    for value in ("Menuiserie", "Z9", "Dieppe (76)", "16", "7", "0760017F"):
        assert f'value="{value}"' in answer.text, value
    assert re.findall(r'name="audience" value="([A-Z_]+)" checked', answer.text) == ["STUDENT", "YOUNG_IN_INSERTION"]
    answer = await host.send("/mes-offres/organisme", host_name="Scierie", siret="123", commune="Dieppe (76)")
    assert 'value="Scierie"' in answer.text and 'value="123"' in answer.text

    school = await school_of(stages, SCHOOL)
    answer = await school.send("/campagnes", title="x" * 201, scope="SCHOOL")
    assert "x" * 201 in answer.text and '<option value="SCHOOL" selected>' in answer.text


async def test_who_has_not_told_who_they_are_is_asked_that_first(stages: Stages) -> None:
    """An application without a request leads to the form of the request."""
    _, host = await stages.host()
    offer_id = await stages.offer(host, {NEXT: 1})
    sub = f"doors-{uuid4().hex[:8]}"
    who = {"label": sub, "sub": sub, "roles": ["seeker"], "email": f"{sub}@example.org", "name": "Élève"}
    form = await logged_in(stages.stack, stages.url, "/mes-candidatures", who)
    answer = await form.send("/stages/candidature", offer_id=str(offer_id), premiere=NEXT, duree="1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/mes-candidatures?dabord=1#moi")


async def test_the_link_of_a_parent_has_its_budget(stages: Stages) -> None:
    """A parent signs once for all; beyond the budget the link answers 429, as a login's forms do.

    Only their own address has the link: no page shows it to the seeker.
    """
    _, host = await stages.host()
    offer_id = await stages.offer(host, {NEXT: 1})
    address = f"parent-{uuid4().hex[:8]}@example.org"
    api, form = await seeker_of(stages, guardian_email=address)
    application_id = (await apply(api, offer_id)).json()["application_id"]
    assert (await host.post(f"/v1/received-applications/{application_id}/acceptance")).status_code == 200
    assert (await form.send(f"/mes-candidatures/{application_id}/confirmation")).status_code == 303
    page = await form.client.get("/mes-candidatures")
    assert not re.findall(r'href="[^"]*(/convention/[^"]+)"', page.text)
    link = await link_sent_to(stages.stack, address)
    async with http_client(base_url=stages.url) as client:
        assert (await client.post(link)).status_code == 200
    parent = httpx.AsyncClient(
        transport=small(stages.stack, SERVICE), base_url="http://test", headers={"Accept": "text/html"}
    )
    # Signing again changes nothing.
    first, second = [await parent.post(link) for _ in range(2)]
    assert first.status_code == 200 and "Vous avez signé" in first.text
    assert second.status_code == 429 and int(second.headers["retry-after"]) >= 1


async def test_nobody_else_touches_a_table_that_was_tried(stages: Stages, query: Query) -> None:
    """A school neither replaces nor takes the table of a campaign that it does not lead, not even one that has its pupils."""
    agency = await stages.client("agency", "agency")
    campaign_id = uuid4()
    opened = {"title": "Toute la Normandie", "scope": "TERRITORY"}
    assert (await agency.put(f"/v1/campaigns/{campaign_id}", json=opened)).status_code == 200
    table = "\n".join([HEADER, pupil("1", "H29")]).encode()
    kept = await agency.post(f"/v1/campaigns/{campaign_id}/pupils", content=table)
    assert kept.json()["kept_count"] == 1
    sub = f"doors-{uuid4().hex[:8]}"
    who = {"label": sub, "sub": sub, "roles": ["agency"], "email": f"{sub}@example.org", "name": "Agence"}
    leader = await logged_in(stages.stack, stages.url, "/campagnes", who)
    path = f"/campagnes/{campaign_id}/eleves"
    tried = await leader.upload(path, "file", table)
    assert tried.status_code == 200 and re.search("Essai : 1.ligne bonne", tried.text)
    for uai in (SCHOOL, OTHER_SCHOOL):
        school = await school_of(stages, uai)
        other = "\n".join([HEADER, pupil("2", "M18", uai=uai)]).encode()
        assert (await school.upload(path, "file", other)).status_code == 403
        assert (await school.send(f"{path}/envoi")).status_code == 403
        assert (await school.send(f"/campagnes/{campaign_id}/gel")).status_code == 403
    (row,) = await query(SERVICE, "SELECT content FROM pupil_table WHERE campaign_id = :id", id=campaign_id)
    assert bytes(row.content) == table
    assert (await leader.send(f"{path}/envoi")).status_code == 303
    # A line that changes a pupil of another table is shown as such, and is kept where its box is ticked.
    for code, box in (("1", {}), ("1", {"replace": "true"})):
        tried = await leader.upload(path, "file", "\n".join([HEADER, pupil(code, "M18"), pupil("2", "J15")]).encode())
        assert (
            "Changerait ce qu’un autre tableau a apporté" in tried.text
        ) and "« H29 » deviendrait « M18 »" in tried.text
        assert (await leader.send(f"{path}/envoi", **box)).status_code == 303
        (one,) = await query(
            SERVICE, "SELECT wishes FROM request WHERE campaign_id = :id AND pupil_code = '1'", id=campaign_id
        )
        assert one.wishes == (["M18"] if box else ["H29"])
    gone = await leader.send(f"{path}/envoi")
    assert gone.status_code == 409 and "plus là" in problem_on(gone)
    wrong = await leader.upload(path, "file", b"a;b\n1;2")
    assert wrong.status_code == 422 and "Colonnes manquantes" in problem_on(wrong)
