"""Each command of the events by its two doors: what one refuses, the other refuses, with the same status and words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx

from common.commitments import ACCEPTS
from common.testing import url_of
from tests.integration.browsing import link_sent_to
from tests.integration.events import SCHOOL, SERVICE, Events, register, session_body
from tests.integration.forms import Sender, logged_in, offered_again, problem_on
from tests.integration.platforms import at
from tests.integration.test_doors import small

NOBODY = str(UUID(int=7))
DAY = f"{at(20, 12):%Y-%m-%d}"


@dataclass
class Doors:
    """A person at both doors."""

    api: httpx.AsyncClient
    form: Sender


async def at_both_doors(events: Events, role: str, structure_id: str, page: str) -> Doors:
    """Somebody new of a structure."""
    sub = f"doors-{uuid4().hex[:8]}"
    facts = {"structure_id": structure_id, "name": "Aux deux portes"}
    who = {"label": sub, "sub": sub, "roles": [role], "email": f"{sub}@example.org", **facts}
    api = await events.client(sub, role, **facts)
    return Doors(api, await logged_in(events.stack, url_of(events.stack, SERVICE), page, who))


@dataclass(frozen=True)
class Refused:
    """A request that both doors refuse; in paths and bodies, `{event}` and others stand for those of the scene."""

    who: str
    api: tuple[str, str, dict[str, Any] | None]
    form: tuple[str, dict[str, Any]]
    status: int
    # Whether the page says the rule's own words; one that shows what is another's says so itself.
    same_words: bool = True


def refused(who: str, status: int, api: str, form: str, body: dict[str, Any] | None = None, **fields: Any) -> Refused:
    """A request in a line: `PUT /v1/…`, the form's path and fields."""
    method, _, path = api.partition(" ")
    own = form.startswith("/seances/") and status != 422
    return Refused(who, (method, path, body), (form, fields), status, not own)


SESSION = {**session_body(), "title": "Séance"}
SESSION_FIELDS = {"session_id": "{session}", "title": "Séance", "jour": DAY, "debut": "14:00", "fin": "16:00"}
NEED = {"platform_id": NOBODY, "starts_at": f"{at(20, 9):%FT%TZ}", "ends_at": f"{at(20, 11):%FT%TZ}", "group_size": 5}
NEED_FIELDS = {"platform": NOBODY, "jour": DAY, "debut": "09:00", "fin": "11:00", "personnes": "5"}
EVENT = {"organiser_title": "Agence", "kind": "THEMATIC_DAY", "title": "Les métiers"}
READ = {"code": "ABCDEFGHJK", "at": f"{at(0, 9):%FT%TZ}"}
KIT = {"title": "Kit", "rome_codes": ["I1604"], "commune_code": "76540"}
KIT_FIELDS = {"title": "Kit", "rome": "I1604", "commune": "Rouen (76)"}
SOMEBODY = {"email": "a@example.org", "title": "A", "rome_codes": ["H2206"], "commune_code": "76540"}
SOMEBODY_FIELDS = {"adresse": "a@example.org", "nom": "A", "rome": "H2206", "commune": "Rouen (76)"}


def of_event(who: str, event: str, session: str, status: int) -> list[Refused]:
    """What an organiser does with an event."""
    page, fields = f"/mes-evenements/{event}", SESSION_FIELDS | {"session_id": session}
    return [
        refused(who, status, f"PUT /v1/events/{event}/sessions/{session}", f"{page}/seance", SESSION, **fields),
        refused(who, status, f"PUT /v1/events/{event}/platform", f"{page}/plateau", NEED, **NEED_FIELDS),
        refused(who, status, f"DELETE /v1/events/{event}/platform", f"{page}/plateau-retrait"),
        refused(who, status, f"POST /v1/events/{event}/publication", f"{page}/publication"),
        refused(who, status, f"POST /v1/events/{event}/cancellation", f"{page}/annulation"),
        refused(
            who, status, f"POST /v1/sessions/{session}/cancellation", f"{page}/seance-annulation", session_id=session
        ),
    ]


def of_loan(who: str, loan: str, status: int) -> list[Refused]:
    """What a keeper does with a loan."""
    answers = {"reservation": "reservation", "refusal": "refus", "hand-over": "sortie"}
    return [
        *(
            refused(who, status, f"POST /v1/loans/{loan}/{api}", f"/prets/{loan}/{form}")
            for api, form in answers.items()
        ),
        refused(who, status, f"POST /v1/loans/{loan}/return", f"/prets/{loan}/retour", {}),
        refused(who, status, f"POST /v1/loans/{loan}/return", f"/prets/{loan}/retour-abime", {"damaged": True}),
    ]


REFUSED = [
    refused("other", 403, "PUT /v1/events/{event}", "/mes-evenements/{event}", EVENT, **EVENT),
    *of_event("other", "{event}", "{session}", 403),
    *of_event("mine", NOBODY, NOBODY, 404),
    *of_event("school", "{event}", "{session}", 403),
    refused(
        "other",
        403,
        "POST /v1/registrations/{registration}/cancellation",
        "/seances/{session}/annulation",
        registration_id="{registration}",
    ),
    refused(
        "mine",
        404,
        f"POST /v1/registrations/{NOBODY}/cancellation",
        "/seances/{session}/annulation",
        registration_id=NOBODY,
    ),
    refused(
        "mine", 422, "PUT /v1/events/{event}", "/mes-evenements/{event}", EVENT | {"kind": "UNKNOWN"}, kind="UNKNOWN"
    ),
    refused(
        "mine",
        422,
        "PUT /v1/events/{event}/sessions/{session}",
        "/mes-evenements/{event}/seance",
        SESSION | {"ends_at": SESSION["starts_at"]},
        **SESSION_FIELDS | {"fin": "14:00"},
    ),
    refused(
        "mine",
        422,
        "PUT /v1/events/{event}/sessions/x",
        "/mes-evenements/{event}/seance",
        SESSION,
        **SESSION_FIELDS | {"session_id": "x"},
    ),
    refused(
        "mine",
        422,
        "PUT /v1/events/{event}/platform",
        "/mes-evenements/{event}/plateau",
        NEED | {"platform_id": "x"},
        **NEED_FIELDS | {"platform": "x"},
    ),
    *(
        refused(
            who,
            status,
            f"POST /v1/sessions/{session}/check-ins",
            f"/seances/{session}/pointage",
            {"check_ins": [READ | api]},
            **form,
        )
        for who, status, session, api, form in (
            ("other", 403, "{session}", {}, {"code": "ABCDEFGHJK"}),
            ("mine", 404, NOBODY, {}, {"code": "ABCDEFGHJK"}),
            ("mine", 422, "{session}", {"code": "A" * 41}, {"code": "A" * 41}),
            ("mine", 422, "{session}", {"visitor_count": "deux"}, {"code": "ABCDEFGHJK", "personnes": "deux"}),
        )
    ),
    *of_loan("other", "{loan}", 403),
    *of_loan("mine", NOBODY, 404),
    *of_loan("school", "{loan}", 403),
    refused("other", 403, "POST /v1/loans/{loan}/cancellation", "/prets/{loan}/annulation"),
    refused("other", 403, "PUT /v1/kits/{kit}", "/kits/{kit}", KIT, **KIT_FIELDS),
    refused("school", 403, "PUT /v1/kits/{kit}", "/kits/{kit}", KIT, **KIT_FIELDS),
    refused("mine", 422, "PUT /v1/kits/{kit}", "/kits/{kit}", KIT | {"rome_codes": []}, **KIT_FIELDS | {"rome": ""}),
    refused("other", 403, "POST /v1/kits/{kit}/repair", "/kits/{kit}/remise-en-etat"),
    refused(
        "mine",
        422,
        f"PUT /v1/ambassadors/{NOBODY}",
        f"/ambassadeurs/{NOBODY}",
        SOMEBODY | {"kind": "UNKNOWN"},
        **SOMEBODY_FIELDS | {"qui": "UNKNOWN"},
    ),
    refused("school", 403, f"PUT /v1/ambassadors/{NOBODY}", f"/ambassadeurs/{NOBODY}", SOMEBODY, **SOMEBODY_FIELDS),
    *(
        refused("other school", 403, f"POST /v1/groups/{{group}}/{api}", f"/mes-groupes/{{group}}/{form}")
        for api, form in (("cancellation", "annulation"), ("acceptance", "acceptation"))
    ),
    refused("school", 404, f"POST /v1/groups/{NOBODY}/cancellation", f"/mes-groupes/{NOBODY}/annulation"),
    refused(
        "school",
        409,
        "POST /v1/events/{event}/groups",
        "/mes-groupes",
        {"title": "3e A", "seat_count": 99, "session_ids": ["{session}"]},
        evenement="{event}",
        creneau="{session}",
        groupe="3e A",
        personnes="99",
    ),
]


async def scene_of(events: Events) -> tuple[dict[str, Doors], dict[str, str]]:
    """Two organisers and two schools; the first organiser's event, somebody registered, a group, a kit and a loan."""
    people = {
        "mine": await at_both_doors(events, "coordinator", str(uuid4()), "/mes-evenements/nouveau"),
        "other": await at_both_doors(events, "coordinator", str(uuid4()), "/mes-evenements/nouveau"),
        "school": await at_both_doors(events, "school", SCHOOL, "/ambassadeurs"),
        "other school": await at_both_doors(events, "school", "0271234A", "/ambassadeurs"),
    }
    mine, school = people["mine"].api, people["school"].api
    event_id, (session_id,) = await events.event(mine, {"capacity_count": 30})
    async with events.family() as family:
        made = await register(family, event_id, [session_id], f"doors-{uuid4().hex[:6]}@example.org")
    # A class of its own: one that has another session at this hour is asked about.
    group = {"title": f"3e {uuid4().hex[:6]}", "seat_count": 5, "session_ids": [str(session_id)]}
    of_school = (await school.post(f"/v1/events/{event_id}/groups", json=group)).json()
    kit_id = str(uuid4())
    assert (await mine.put(f"/v1/kits/{kit_id}", json=KIT)).status_code == 200
    days = {"first_on": f"{at(5, 9).date()}", "last_on": f"{at(5, 9).date() + timedelta(days=1)}"}
    loan = (await school.post(f"/v1/kits/{kit_id}/loans", json=days)).json()
    return people, {
        "event": str(event_id),
        "session": str(session_id),
        "registration": made.json()["registrations"][0]["registration_id"],
        "group": of_school["registrations"][0]["registration_id"],
        "kit": kit_id,
        "loan": loan["loan_id"],
    }


async def test_both_doors_refuse_the_same_for_the_same_reason(events: Events) -> None:
    """Every command with what it must refuse: one status; a rule's words are those of the API."""
    people, ids = await scene_of(events)

    def filled(value: Any) -> Any:
        if isinstance(value, list):
            return [filled(one) for one in value]
        return value.format(**ids) if isinstance(value, str) else value

    wrong: list[Any] = []
    for case in REFUSED:
        doors, (method, path, body) = people[case.who], case.api
        asked = body and {name: filled(value) for name, value in body.items()}
        by_api = await doors.api.request(method, filled(path), json=asked)
        path, fields = case.form
        by_form = await doors.form.send(filled(path), **{name: filled(value) for name, value in fields.items()})
        if (by_api.status_code, by_form.status_code) != (case.status, case.status):
            wrong.append((case, by_api.status_code, by_form.status_code))
        elif case.status == 422 or not case.same_words:
            assert problem_on(by_form), case
        elif by_api.json()["detail"] not in problem_on(by_form):
            wrong.append((case, by_api.json()["detail"], problem_on(by_form)))
    assert not wrong, wrong


async def test_a_form_that_was_refused_keeps_what_was_typed(events: Events) -> None:
    """An event, a session, a platform, a code, a group and a kit are still there, beside the reason."""
    people, ids = await scene_of(events)
    mine, school, page = people["mine"].form, people["school"].form, f"/mes-evenements/{ids['event']}"
    for form, path, fields, typed in (
        (mine, page, {"title": "Un autre titre", "kind": "UNKNOWN"}, "Un autre titre"),
        (mine, f"{page}/seance", SESSION_FIELDS | {"hall": "Hall 7", "fin": "13:00"}, "Hall 7"),
        (mine, f"{page}/plateau", NEED_FIELDS | {"personnes": "501"}, "501"),
        (mine, f"/seances/{ids['session']}/pointage", {"code": "ABCDEFGHJK", "personnes": "deux"}, "ABCDEFGHJK"),
        (mine, f"/kits/{uuid4()}", KIT_FIELDS | {"title": "Kit à moi", "rome": ""}, "Kit à moi"),
        (
            school,
            "/mes-groupes",
            {"evenement": ids["event"], "creneau": ids["session"], "groupe": "3e C", "personnes": "0"},
            "3e C",
        ),
    ):
        answer = await form.send(path, **{name: value.format(**ids) for name, value in fields.items()})
        assert answer.status_code == 422 and problem_on(answer), answer.text
        assert f'value="{typed}"' in answer.text, (path, answer.text)


async def test_a_form_that_has_served_offers_to_send_what_was_changed(events: Events) -> None:
    """Back, another title and other publics, sent again: the page keeps all of it, and asks; then it is done."""
    people, ids = await scene_of(events)
    mine, page, key = people["mine"].form, f"/mes-evenements/{ids['event']}", uuid4().hex
    public = f"/v1/events/{ids['event']}"

    async def described() -> tuple[str, list[str]]:
        shown = (await mine.client.get(public)).json()
        return shown["title"], shown["audiences"]

    def fields(title: str) -> dict[str, Any]:
        return EVENT | {"commune": "Rouen (76)", "title": title, "audience": ["familles", "adultes"]}

    # The place is another, which somebody who is registered is to be told: that is accepted first.
    (accepted,) = offered_again(await mine.send(page, **fields("Premier titre")))[ACCEPTS]
    sent = await mine.send(page, **fields("Premier titre"), key=key, **{ACCEPTS: accepted})
    assert sent.status_code == 303
    before = await described()
    asked = await mine.send(page, **fields("Second & « titre »"), key=key)
    assert asked.status_code == 422 and "Envoyer quand même ?" in problem_on(asked)
    assert await described() == before
    again = offered_again(asked)
    assert again["title"] == ["Second & « titre »"] and again["audience"] == ["familles", "adultes"]
    assert again["key"] != [key]
    assert (await mine.client.post(page, data=again)).status_code == 303
    assert await described() == ("Second & « titre »", ["familles", "adultes"])


async def test_the_door_tells_without_javascript_what_it_read(events: Events) -> None:
    """One code typed: the page that comes back says what became of it; a device gets receipts, or why there are none."""
    people, ids = await scene_of(events)
    mine, path = people["mine"].form, f"/seances/{ids['session']}/pointage"
    answer = await mine.send(path, code="ABCDEFGHJK")
    told = await mine.client.get(answer.headers["location"])
    assert "Le pointage ouvre douze heures avant la séance." in told.text
    read = await mine.send(path, lectures='[{"code": "ABCDEFGHJK", "at": "2027-01-04T08:00:00Z"}]')
    assert read.json()["receipts"][0]["reason"] == "not_begun"
    unreadable = await mine.send(path, lectures="[")
    assert (unreadable.status_code, unreadable.json()["reason"]) == (422, "invalid_request")


async def test_a_code_typed_again_is_another_reading(events: Events) -> None:
    """Two came, no, three, no, two: each form that is filled in counts; the same form sent twice counts once."""
    organiser = await at_both_doors(events, "coordinator", "", "/mes-evenements")
    begin = datetime.now(UTC) + timedelta(hours=2)
    async with events.family() as family:
        when = {"starts_at": begin.isoformat(), "ends_at": (begin + timedelta(hours=2)).isoformat()}
        event_id, (session_id,) = await events.event(organiser.api, when)
        await register(family, event_id, [session_id], f"tape-{uuid4().hex[:6]}@example.org", seat_count=4)
    path = f"/v1/sessions/{session_id}/registrations"
    (row,) = (await organiser.api.get(path)).json()
    first = uuid4().hex
    for count, key, expected in ((2, first, 2), (3, uuid4().hex, 3), (2, first, 3), (2, uuid4().hex, 2)):
        form = {"code": row["code"], "personnes": str(count), "key": key}
        sent = await organiser.form.send(f"/seances/{session_id}/pointage", **form)
        assert sent.status_code == 303, sent.text
        (row,) = (await organiser.api.get(path)).json()
        assert row["visitor_count"] == expected


async def test_who_needs_no_account_is_refused_alike(events: Events) -> None:
    """A registration by the API and by the page's form: one status for one reason, and what was typed is still there."""
    async with await events.organiser() as organiser, events.family() as family:
        event_id, (session_id,) = await events.event(organiser, {"capacity_count": 3})
        closed, (inside,) = await events.event(organiser, kind="IMMERSION_DAY", access="PROFESSIONALS")
        email = f"doors-{uuid4().hex[:6]}@example.org"
        for event, session, more, typed, status in (
            (event_id, session_id, {"email": "x"}, {"adresse": "x"}, 422),
            (event_id, session_id, {"seat_count": 0}, {"personnes": "0"}, 422),
            (event_id, session_id, {"female_count": 2}, {"femmes": "2"}, 422),
            (event_id, inside, {}, {}, 404),
            (event_id, session_id, {"seat_count": 4}, {"personnes": "4"}, 409),
            (
                event_id,
                session_id,
                {"invitation": "forged", "seat_count": 4},
                {"personnes": "4", "invitation": "x"},
                409,
            ),
            (closed, inside, {}, {}, 409),
        ):
            body = {"email": email, "session_ids": [str(session)], **more}
            by_api = await family.post(f"/v1/events/{event}/registrations", json=body)
            form = {"adresse": email, "seance": str(session), "nom": "Une famille", **typed}
            by_form = await family.post(f"/evenements/{event}", data=form, headers={"Accept": "text/html"})
            assert (by_api.status_code, by_form.status_code) == (status, status), (more, by_api.text, by_form.text)
            if status != 422:
                assert by_api.json()["detail"] in problem_on(by_form)
            if event == event_id:
                assert 'value="Une famille"' in by_form.text
        form = {"adresse": email, "seance": str(session_id), "key": uuid4().hex}
        made = [await family.post(f"/evenements/{event_id}", data=form) for _ in range(2)]
        assert [one.status_code for one in made] == [201, 201] and "C’est noté" in made[1].text
        assert made[1].headers["idempotent-replay"] == "true"


async def by_links(events: Events) -> tuple[str, str, str]:
    """The pages of a party and of somebody who is asked for a visit, and the party's registration."""
    async with await events.organiser() as organiser, await events.school() as school, events.family() as family:
        event_id, (session_id,) = await events.event(organiser, {"capacity_count": 3})
        email = f"link-{uuid4().hex[:6]}@example.org"
        assert (await register(family, event_id, [session_id], email)).status_code == 201
        link = await link_sent_to(events.stack, email)
        (row,) = (await organiser.get(f"/v1/sessions/{session_id}/registrations")).json()
        somebody = {"email": f"a-{email}", "title": "A", "rome_codes": ["K1601"], "commune_code": "50129"}
        assert (await organiser.put(f"/v1/ambassadors/{uuid4()}", json=somebody)).status_code == 200
        wish = {"rome_code": "K1601", "commune_code": "50129", "visit_on": f"{at(40, 9).date()}"}
        assert (await school.post("/v1/visits", json=wish)).status_code == 201
        return link, await link_sent_to(events.stack, f"a-{email}"), row["registration_id"]


async def test_a_link_is_refused_by_reason_and_takes_from_its_own_budget(events: Events) -> None:
    """What is not there is 404, what is no number 422, a forged link 403; beyond its budget a link waits, without a login."""
    party, ambassador, registration_id = await by_links(events)
    own, html = {"registration_id": registration_id}, {"Accept": "text/html"}
    async with events.family() as family:
        for path, fields, status in (
            (f"{party}/nombre", own | {"personnes": "deux"}, 422),
            (f"{party}/nombre", own | {"personnes": "0"}, 422),
            (f"{party}/nombre", own | {"personnes": "4"}, 409),
            (f"{party}/nombre", {"registration_id": NOBODY, "personnes": "2"}, 404),
            (f"{party}/acceptation", own, 409),
            (f"{party}/acceptation", {"registration_id": NOBODY}, 404),
            (f"{party}/annulation", {"registration_id": "x"}, 422),
            (f"{party}x/annulation", own, 403),
            (f"{party}/nombre", own | {"personnes": "2"}, 303),
            (f"{ambassador}x/oui", {}, 403),
            (f"{ambassador}/oui", {}, 200),
            (f"{ambassador}/oui", {}, 409),
        ):
            answer = await family.post(path, data=fields, headers=html)
            assert answer.status_code == status, (path, fields, answer.text)
            assert status in (200, 303) or problem_on(answer)
        assert "Vous venez. Merci." in (await family.get(ambassador)).text
    client = httpx.AsyncClient(transport=small(events.stack, SERVICE), base_url="http://test", headers=html)
    for path in (f"{party}/annulation", f"{ambassador}/non"):
        first, second = [await client.post(path, data=own) for _ in range(2)]
        assert first.status_code != 429 and second.status_code == 429, (path, first.status_code)
        assert int(second.headers["retry-after"]) >= 1 and "Trop de demandes" in problem_on(second)
