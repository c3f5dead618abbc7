"""Each command of the seats by its two doors: what one refuses, the other refuses, with the same status for the same reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from common.app import build_app
from common.testing import Query, settings_for
from remediation_seats.app import service
from tests.integration.conftest import Seats
from tests.integration.forms import Sender, logged_in, problem_on
from tests.integration.test_seats_pages import partner, prescriber

NOBODY = UUID(int=7)
TODAY = date.today()


@dataclass
class Doors:
    """A person at both doors."""

    api: httpx.AsyncClient
    form: Sender


@dataclass
class Scene:
    """A structure with a programme that a prescriber holds a seat of, and two who have nothing to do with it."""

    programme_id: UUID
    hold_id: str
    who: dict[str, Doors] = field(default_factory=dict)


async def scene_of(seats: Seats) -> Scene:
    """One scene per test, with new people."""
    people: dict[str, Doors] = {}
    for name in ("partner", "other partner"):
        structure_id, api = await seats.structure()
        form = await logged_in(seats.stack, seats.url, "/mes-places", partner(structure_id))
        people[name] = Doors(api, form)
    for name in ("prescriber", "other prescriber"):
        persona = prescriber(uuid4().hex[:8])
        api = await seats.client(persona["sub"], "prescriber")
        people[name] = Doors(api, await logged_in(seats.stack, seats.url, "/trouver", persona))
    programme_id = await seats.programme(people["partner"].api, 9, 2)
    held = await people["prescriber"].api.post("/v1/holds", json={"programme_id": str(programme_id)})
    return Scene(programme_id, held.json()["hold_id"], people)


@dataclass(frozen=True)
class Refused:
    """A request that both doors refuse; `{programme}` and `{hold}` stand for those of the scene."""

    who: str
    api: tuple[str, dict[str, Any] | None]
    form: tuple[str, dict[str, Any]]
    status: int
    reason: str


def counts(programme: str, total: Any, taken: Any) -> dict[str, Any]:
    """A declaration as software sends it."""
    return {
        "programme_id": programme,
        "total_count": total,
        "taken_count": taken,
        "observed_at": f"{TODAY - timedelta(days=1)}T00:00:00Z",
    }


def declared(who: str, programme: str, total: Any, taken: Any, status: int, reason: str) -> Refused:
    """A declaration at both doors."""
    form = (f"/mes-places/{programme}", {"total_count": total, "taken_count": taken})
    return Refused(who, ("/v1/declarations", counts(programme, total, taken)), form, status, reason)


def held(
    who: str, status: int, reason: str, *, programme: str = "{programme}", **both: tuple[str, str, Any]
) -> Refused:
    """A hold at both doors; each field by its name of the API, its name in the form, its value."""
    asked = {"programme_id": programme} | {api: value for api, _, value in both.values()}
    typed = {"programme_id": programme} | {form: value for _, form, value in both.values()}
    return Refused(who, ("/v1/holds", asked), ("/trouver/retenue", typed), status, reason)


def acted(who: str, hold: str, api: str, form: str, body: dict[str, Any], status: int, reason: str) -> Refused:
    """What is done with a hold, at both doors."""
    where = "holds" if "prescriber" in who else "received-holds"
    page = "mes-retenues" if "prescriber" in who else "retenues-recues"
    return Refused(who, (f"/v1/{where}/{hold}/{api}", body or None), (f"/{page}/{hold}/{form}", body), status, reason)


ARRIVAL, LATE = {"arrival_on": str(TODAY + timedelta(days=3))}, {"arrival_on": str(TODAY + timedelta(days=900))}
WHY = {"reason": "OTHER"}
ACTS = [("confirmation", "confirmation", ARRIVAL), ("decline", "refus", WHY), ("admission", "accueil", {})]
OWN: list[tuple[str, str, dict[str, str]]] = [("extension", "prolongation", {}), ("withdrawal", "retrait", {})]
REFUSED = [
    declared("partner", str(NOBODY), 5, 1, 404, "not_found"),
    declared("other partner", "{programme}", 5, 1, 403, "not_your_structure"),
    declared("partner", "{programme}", 5, 8, 422, "invalid_request"),
    declared("partner", "{programme}", "douze", 8, 422, "invalid_request"),
    declared("partner", "{programme}", 5, -1, 422, "invalid_request"),
    declared("partner", "x", 5, 1, 422, "invalid_request"),
    held("prescriber", 404, "not_found", programme=str(NOBODY)),
    held("prescriber", 422, "invalid_request", programme="x"),
    held("prescriber", 409, "already_held", code=("young_person_code", "code", "{code}")),
    held("prescriber", 422, "mistyped_code", code=("young_person_code", "code", "ABCDEFGHJK")),
    held("prescriber", 409, "unknown_code", code=("young_person_code", "code", "2222222222")),
    held("prescriber", 422, "invalid_request", age=("age", "age", 5)),
    held("prescriber", 422, "invalid_request", level=("level", "niveau", "UNKNOWN")),
    held("prescriber", 409, "does_not_fit_age", age=("age", "age", 60)),
    *(acted("partner", str(NOBODY), *one, 404, "not_found") for one in ACTS),
    *(acted("other partner", "{hold}", *one, 403, "not_your_structure") for one in ACTS),
    *(acted("partner", "x", *one, 422, "invalid_request") for one in ACTS),
    acted("partner", "{hold}", "confirmation", "confirmation", LATE, 409, "arrival_out_of_range"),
    acted("partner", "{hold}", "confirmation", "confirmation", {"arrival_on": "demain"}, 422, "invalid_request"),
    acted("partner", "{hold}", "confirmation", "confirmation", {"arrival_on": ""}, 422, "invalid_request"),
    acted("partner", "{hold}", "decline", "refus", {"reason": "UNKNOWN"}, 422, "invalid_request"),
    acted("partner", "{hold}", "decline", "refus", {"reason": "CAPRICE"}, 422, "invalid_request"),
    acted("partner", "{hold}", "admission", "accueil", {}, 409, "hold_state"),
    *(acted("prescriber", str(NOBODY), *one, 404, "not_found") for one in OWN),
    *(acted("other prescriber", "{hold}", *one, 403, "not_your_hold") for one in OWN),
]


async def test_both_doors_refuse_the_same_for_the_same_reason(seats: Seats, query: Query) -> None:
    """Every command with what it must refuse: one status; a rule's words are those of the API."""
    scene = await scene_of(seats)
    code = (await scene.who["prescriber"].api.get("/v1/holds")).json()[0]["young_person_code"]

    def filled(value: Any) -> Any:
        return (
            value.format(programme=scene.programme_id, hold=scene.hold_id, code=code)
            if isinstance(value, str)
            else value
        )

    wrong = []
    for case in REFUSED:
        doors = scene.who[case.who]
        path, body = case.api
        by_api = await doors.api.post(filled(path), json=body and {name: filled(value) for name, value in body.items()})
        path, fields = case.form
        by_form = await doors.form.send(filled(path), **{name: filled(value) for name, value in fields.items()})
        said = by_api.json()
        answered = (by_api.status_code, by_form.status_code, said.get("reason"))
        if answered != (case.status, case.status, case.reason):
            wrong.append((case, answered))
        elif case.reason != "invalid_request":
            assert said["detail"] in problem_on(by_form), case
        else:
            assert problem_on(by_form), case
    assert not wrong, wrong
    counted = "SELECT total_count, (SELECT count(*) FROM hold h WHERE h.programme_id = p.programme_id AND h.state = 'held') FROM programme p WHERE programme_id = :id"
    assert [tuple(row) for row in await query("remediation-seats", counted, id=scene.programme_id)] == [(9, 1)]


async def test_a_form_that_was_refused_keeps_what_was_typed(seats: Seats) -> None:
    """Counts, a day and a code are still there, beside the reason."""
    scene = await scene_of(seats)
    partner_form, prescriber_form = scene.who["partner"].form, scene.who["prescriber"].form
    page = await partner_form.send(f"/mes-places/{scene.programme_id}", total_count="5", taken_count="8")
    assert 'name="total_count"' in page.text and 'required value="5"' in page.text and 'required value="8"' in page.text
    page = await partner_form.send(f"/retenues-recues/{scene.hold_id}/confirmation", **LATE)
    assert f'value="{LATE["arrival_on"]}"' in page.text
    page = await prescriber_form.send(
        "/trouver/retenue", programme_id=str(scene.programme_id), code="ABCDEFGHJK", commune="Rouen (76)", rayon="10"
    )
    assert 'value="ABCDEFGHJK"' in page.text and 'value="Rouen (76)"' in page.text


@pytest.mark.parametrize(
    "path", ["/alertes", "/alertes/{alert}/fin", "/mes-retenues/{alert}/retrait", "/trouver/retenue"]
)
async def test_a_form_beyond_the_budget_waits_as_the_api_does(seats: Seats, path: str) -> None:
    """429 with Retry-After, as a page; API and forms take from one budget."""
    secret = (seats.stack.settings.home / "session.secret").read_text()
    small = settings_for(
        seats.stack,
        seats.stack.postgres.url("remediation_seats"),
        commands_burst_max=2,
        commands_per_second_max=0.01,
        session_secret=secret,
        subject_secret=secret,
    )
    transport = httpx.ASGITransport(build_app(service, small))
    persona = prescriber(uuid4().hex[:8])
    form = (await logged_in(seats.stack, seats.url, "/trouver", persona)).through(transport)
    fields = {"commune": "Rouen (76)", "rayon": "10", "programme_id": str(NOBODY)}
    answers = [await form.send(path.format(alert=NOBODY), **fields) for _ in range(3)]
    assert [answer.status_code == 429 for answer in answers] == [False, False, True]
    assert int(answers[2].headers["retry-after"]) >= 1 and "Trop de demandes" in problem_on(answers[2])
    token = (await seats.client(persona["sub"], "prescriber")).headers
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=token) as client:
        refused = await client.post(f"/v1/holds/{NOBODY}/withdrawal")
    assert refused.status_code == 429 and refused.json()["reason"] == "too_many_requests"


async def test_a_repeated_form_is_answered_as_before(seats: Seats) -> None:
    """One key, one command: the second click of a withdrawal is no refusal."""
    scene = await scene_of(seats)
    path = f"/mes-retenues/{scene.hold_id}/retrait"
    answers = [await scene.who["prescriber"].form.send(path, key="one") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 303]
    assert answers[1].headers["idempotent-replay"] == "true"
