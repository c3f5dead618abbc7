"""The forms of every service refuse as its API does: one status for one reason, closed enumerations, one budget."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from common.app import build_app
from common.embedded.stack import Stack
from common.testing import client_of, service_named, settings_for, url_of
from tests.integration.cafes import Cafes
from tests.integration.forms import Sender, logged_in, problem_on
from tests.integration.platforms import Platforms, book, slot
from tests.integration.stages import SCHOOL, Stages, request_body, siret

NOBODY = UUID(int=7)


@dataclass(frozen=True)
class Refused:
    """One command by its API and by its form, and the status that both give; in paths, `{nobody}` is what is not there."""

    service: str
    role: str
    page: str
    api: tuple[str, str, dict[str, Any] | None]
    form: tuple[str, dict[str, Any]]
    status: int

    @property
    def structure_id(self) -> str:
        """For whom somebody with this role acts."""
        return {"owner": siret(), "school": SCHOOL}.get(self.role, str(uuid4()))


def owner(api: str, form: str, status: int, body: dict[str, Any] | None = None, **fields: Any) -> Refused:
    """What an owner does with a booking."""
    where = ("POST", f"/v1/received-bookings/{{nobody}}/{api}", body)
    return Refused(
        "platform-scheduling",
        "owner",
        "/mes-plateaux",
        where,
        (f"/reservations-recues/{{nobody}}/{form}", fields),
        status,
    )


def host(api: str, form: str, status: int, body: dict[str, Any] | None = None, **fields: Any) -> Refused:
    """What a host does with an application."""
    where = ("POST", f"/v1/received-applications/{{nobody}}/{api}", body)
    return Refused(
        "stage-matching", "host", "/mes-offres", where, (f"/candidatures-recues/{{nobody}}/{form}", fields), status
    )


def event(api: tuple[str, str, dict[str, Any] | None], form: str, status: int, **fields: Any) -> Refused:
    """What somebody who organises does."""
    return Refused("events", "coordinator", "/mes-evenements", api, (form, fields), status)


def charter(*commitments: str) -> Refused:
    """A charter that cannot be signed."""
    api = ("POST", "/v1/host/charter", {"commitments": list(commitments)})
    form = ("/mes-offres/engagement/charte", {"commitment": list(commitments)})
    return Refused("stage-matching", "host", "/mes-offres", api, form, 422)


SLOT = {"starts_at": "2027-01-04T08:00:00Z", "ends_at": "2027-01-04T09:00:00Z"}
CASES = [
    owner("approval", "acceptation", 404),
    owner("cancellation", "annulation", 404),
    owner("no-show", "absence", 404),
    owner("move", "deplacement", 404, SLOT, jour="2027-01-04", debut="09:00", duree="60"),
    owner("move", "deplacement", 422, {"starts_at": "x", "ends_at": "x"}, jour="x", debut="09:00", duree="60"),
    owner("refusal", "refus", 404, {"reason": "SAFETY"}, raison="SAFETY"),
    owner("refusal", "refus", 422, {"reason": "UNKNOWN"}, raison="UNKNOWN"),
    owner("refusal", "refus", 422, {"reason": "CAPRICE"}, raison="CAPRICE"),
    Refused(
        "platform-scheduling",
        "school",
        "/mes-reservations",
        ("POST", "/v1/bookings/{nobody}/cancellation", None),
        ("/mes-reservations/{nobody}/annulation", {}),
        404,
    ),
    host("view", "vue", 404),
    host("acceptance", "acceptation", 404),
    host("refusal", "refus", 404, {"reason": "SAFETY"}, reason="SAFETY"),
    host("refusal", "refus", 422, {"reason": "UNKNOWN"}, reason="UNKNOWN"),
    host("refusal", "refus", 422, {"reason": "CAPRICE"}, reason="CAPRICE"),
    charter("UNKNOWN"),
    charter("INTERNS", "CAPRICE"),
    charter(),
    event(("POST", "/v1/loans/{nobody}/cancellation", None), "/prets/{nobody}/annulation", 404),
    event(("POST", "/v1/kits/{nobody}/repair", None), "/kits/{nobody}/remise-en-etat", 404),
    event(
        ("POST", "/v1/kits/{nobody}/loans", {"first_on": "2027-01-04", "last_on": "2027-01-05"}),
        "/kits/{nobody}/prets",
        404,
        du="2027-01-04",
        au="2027-01-05",
    ),
    event(
        ("POST", "/v1/visits/{nobody}/cancellation", None),
        "/ambassadeurs/visites/{nobody}/annulation",
        404,
    ),
]


def cafe(api: tuple[str, str, dict[str, Any] | None], form: str, status: int, **fields: Any) -> Refused:
    """What somebody who plans parents' cafés does."""
    return Refused("parents-cafes", "coordinator", "/saison", api, (form, fields), status)


PLANNED = {**SLOT, "theme": "TRADES", "venue_id": str(NOBODY), "facilitator_id": str(NOBODY)}
PLANNED_FORM = {"venue_id": NOBODY, "facilitator_id": NOBODY, "jour": "2027-01-04", "debut": "09:00", "fin": "10:00"}
CAME = {"registration_id": str(NOBODY), "visitor_count": 1}
VENUE = {"title": "Bar du port", "commune_code": "76540"}
CAFES = [
    cafe(("POST", "/v1/cafes/{nobody}/opening", None), "/saison/cafes/{nobody}/ouverture", 404),
    cafe(("POST", "/v1/cafes/{nobody}/cancellation", None), "/saison/cafes/{nobody}/annulation", 404),
    cafe(
        ("POST", "/v1/cafes/{nobody}/check-ins", CAME),
        "/saison/cafes/{nobody}/pointage",
        404,
        registration_id=NOBODY,
        venus="1",
    ),
    *(
        cafe(
            ("PUT", "/v1/cafes/{nobody}", PLANNED | {"theme": theme}),
            "/saison/cafes/{nobody}",
            status,
            **PLANNED_FORM | {"theme": theme, "places": "20"},
        )
        for theme, status in (("TRADES", 404), ("UNKNOWN", 422), ("CAPRICE", 422))
    ),
    # A day that the calendar has, before any that a clock of Paris can say in UTC.
    cafe(
        ("PUT", "/v1/cafes/{nobody}", PLANNED | {"starts_at": "0001-01-01T00:00:00Z"}),
        "/saison/cafes/{nobody}",
        422,
        **PLANNED_FORM | {"jour": "0001-01-01", "debut": "00:00", "theme": "TRADES", "places": "20"},
    ),
    *(
        cafe(
            ("PUT", "/v1/venues/{nobody}", VENUE | {"kind": kind}),
            "/lieux/lieu/{nobody}",
            422,
            title="Bar du port",
            commune="Rouen (76)",
            genre=kind,
            places="20",
        )
        for kind in ("UNKNOWN", "CAPRICE")
    ),
    cafe(
        ("PUT", "/v1/facilitators/{nobody}", {"title": "Dominique", "email": "personne"}),
        "/lieux/animation/{nobody}",
        422,
        title="Dominique",
        adresse="personne",
    ),
]


@dataclass
class Doors:
    """A person at both doors, one for each role of a service."""

    made: dict[tuple[str, str], tuple[httpx.AsyncClient, Sender]] = field(default_factory=dict)

    async def of(self, stack: Stack, case: Refused) -> tuple[httpx.AsyncClient, Sender]:
        """The client and the forms of somebody with the role of a case."""
        if (case.service, case.role) not in self.made:
            sub, url = f"doors-{uuid4().hex[:8]}", url_of(stack, case.service)
            claims = {"structure_id": case.structure_id, "name": "Aux deux portes"}
            api = await client_of(stack, url, sub, case.role, **claims)
            who = {"label": sub, "sub": sub, "roles": [case.role], "email": f"{sub}@example.org", **claims}
            if case.role == "seeker":
                assert (await api.put("/v1/request", json=request_body())).status_code == 200
            if case.role == "host":
                body = {"host_name": "Atelier", "siret": siret(), "kind": "CRAFTSMAN", "commune_code": "76540"}
                assert (await api.put("/v1/host", json=body)).status_code == 200
            self.made[case.service, case.role] = api, await logged_in(stack, url, case.page, who)
        return self.made[case.service, case.role]


async def refused_otherwise(stack: Stack, cases: Sequence[Refused]) -> list[tuple[Refused, int, int]]:
    """Which cases either door answers with another status, with both statuses; a rule's words are the same at both."""
    doors, wrong = Doors(), []
    for case in cases:
        api, form = await doors.of(stack, case)
        method, path, body = case.api
        by_api = await api.request(method, path.format(nobody=NOBODY), json=body)
        path, fields = case.form
        by_form = await form.send(path.format(nobody=NOBODY), **fields)
        if (by_api.status_code, by_form.status_code) != (case.status, case.status):
            wrong.append((case, by_api.status_code, by_form.status_code))
        elif case.status == 404:
            assert by_api.json()["detail"] in problem_on(by_form), case
    return wrong


async def test_both_doors_refuse_with_one_status(stack: Stack) -> None:
    """What is not there is 404 and what is no value of a closed list 422, by a form as by the API."""
    assert not await refused_otherwise(stack, [*CASES, *CAFES])


async def test_what_is_anothers_is_refused_alike(stack: Stack, platforms: Platforms) -> None:
    """403 at both doors, for an owner and for a requester who have nothing to do with a booking."""
    _, owner_api = await platforms.owner()
    platform_id = await platforms.platform(owner_api)
    booking_id = (await book(await platforms.requester(), platform_id, slot(6, 9))).json()["booking_id"]
    doors = Doors()
    for case, api_path, form_path in (
        (CASES[0], "received-bookings/{}/cancellation", "reservations-recues/{}/annulation"),
        (CASES[8], "bookings/{}/cancellation", "mes-reservations/{}/annulation"),
    ):
        api, form = await doors.of(stack, case)
        by_api = await api.post(f"/v1/{api_path.format(booking_id)}")
        by_form = await form.send(f"/{form_path.format(booking_id)}")
        assert (by_api.status_code, by_form.status_code) == (403, 403)
        assert by_api.json()["detail"] in problem_on(by_form)


def small(stack: Stack, service: str) -> httpx.ASGITransport:
    """The service in this process, on its own database, with a budget of one command."""
    package = service_named(stack, service).package
    made = importlib.import_module(f"{package}.app").service
    given = settings_for(
        stack,
        stack.postgres.url(package),
        commands_burst_max=1,
        commands_per_second_max=0.01,
        session_secret=(stack.settings.home / "session.secret").read_text(),
        subject_secret=(stack.settings.home / "subject.secret").read_text(),
    )
    # A service's own settings may be more than those of every service.
    return httpx.ASGITransport(build_app(made, made.settings(**given.model_dump())))


BUDGETED = [CASES[0], CASES[9], CASES[17], CASES[-1], CAFES[0]]


@pytest.mark.parametrize("case", BUDGETED, ids=lambda case: f"{case.service}-{case.form[0]}")
async def test_a_form_takes_from_the_budget(stack: Stack, case: Refused) -> None:
    """429 with Retry-After, as a page, beyond what one caller may send."""
    _, form = await Doors().of(stack, case)
    form = form.through(small(stack, case.service))
    path, fields = case.form
    first, second = [await form.send(path.format(nobody=NOBODY), **fields) for _ in range(2)]
    assert (first.status_code, second.status_code) == (case.status, 429)
    assert int(second.headers["retry-after"]) >= 1 and "Trop de demandes" in problem_on(second)


async def test_a_form_without_a_login_takes_from_the_budget_of_its_address(stack: Stack, cafes: Cafes) -> None:
    """One address has one budget, another has its own."""
    async with await cafes.coordinator() as coordinator:
        cafe_id = await cafes.cafe(coordinator, on=5)
    client = httpx.AsyncClient(
        transport=small(stack, "parents-cafes"), base_url="http://test", headers={"Accept": "text/html"}
    )
    asked = [
        await client.post(f"/cafes/{cafe_id}", data={"adresse": f"{name}-{cafe_id}@example.org"}) for name in "aab"
    ]
    assert asked[1].status_code == 429 and "Trop de demandes" in problem_on(asked[1])
    assert asked[0].status_code == asked[2].status_code != 429


async def test_stages_knows_no_other_scope_than_its_own(stack: Stack) -> None:
    """A campaign of a school is for a class or the school, whatever a form says."""
    stages = Stages(stack)
    who = {"label": "Portes de l’école", "sub": f"doors-{uuid4().hex[:6]}", "roles": ["school"], "structure_id": SCHOOL}
    form = await logged_in(stack, stages.url, "/campagnes", {**who, "email": "x@example.org", "name": "École"})
    for scope in ("UNKNOWN", "TERRITORY"):
        answer = await form.send("/campagnes", title="Troisièmes", scope=scope)
        assert answer.status_code == 422 and "classe" in problem_on(answer)
