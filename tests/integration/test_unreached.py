"""Whoever counts on somebody sees beside the name that their latest mail could not be delivered: on the page and in the API."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from common.embedded.stack import Stack
from common.links import signed_link
from common.testing import Query, client_of, url_of
from parents_cafes.notices import FACILITATOR_LINK
from tests.integration.cafes import Cafes
from tests.integration.conftest import Seats, declare
from tests.integration.events import Events, register
from tests.integration.forms import Sender, logged_in
from tests.integration.platforms import Platforms, book, slot
from tests.integration.stages import NEXT, Stages, apply, request_body, siret
from tests.integration.test_cafes import cafes_token


@dataclass(frozen=True)
class Scene:
    """Somebody who counts on another: where they see them, and the other's address."""

    service: str
    address: str
    api: httpx.AsyncClient
    listed: str
    person: Sender
    page: str
    badge: str = "courriel non remis"


async def _who(stack: Stack, service: str, role: str, home: str, structure_id: str = "") -> tuple[Any, Sender]:
    """Somebody at both doors of a service."""
    sub, url = f"reach-{uuid4().hex[:8]}", url_of(stack, service)
    facts = {"name": f"Nom de {sub}", "structure_id": structure_id}
    persona = {"label": sub, "sub": sub, "roles": [role], "email": f"{sub}@example.org", **facts}
    return await client_of(stack, url, sub, role, **facts), await logged_in(stack, url, home, persona)


async def _of_events(stack: Stack, page: str = "/seances/{session_id}", **more: str) -> Scene:
    """An organiser and a family."""
    events = Events(stack, url_of(stack, "events"))
    api, person = await _who(stack, "events", "coordinator", "/mes-evenements")
    address = f"famille-{uuid4().hex[:8]}@example.org"
    event_id, (session_id,) = await events.event(api)
    async with events.family() as family:
        assert (await register(family, event_id, [session_id], address)).status_code == 201
    listed, page = f"/v1/sessions/{session_id}/registrations", page.format(session_id=session_id)
    return Scene("events", address, api, listed, person, page, **more)


async def _of_a_door(stack: Stack) -> Scene:
    """The same at the door."""
    return await _of_events(stack, "/seances/{session_id}/pointage")


async def _of_a_table(stack: Stack) -> Scene:
    """The same in a table for a spreadsheet."""
    return await _of_events(stack, "/seances/{session_id}/inscrits.csv", badge="non remis")


async def _of_cafes(stack: Stack, seats: int = 1, hour: int = 9) -> Scene:
    """A coordinator and a household that comes; or that waits, when it is more than the one seat that there is."""
    cafes = Cafes(stack, url_of(stack, "parents-cafes"))
    api, person = await _who(stack, "parents-cafes", "coordinator", "/lieux")
    address = f"foyer-{uuid4().hex[:8]}@example.org"
    cafe_id = await cafes.cafe(api, commune_code="50129", on=25, hour=hour, capacity_count=1)
    async with cafes.family() as family:
        body = {"email": address, "seat_count": seats}
        asked = await family.post(f"/v1/cafes/{cafe_id}/requests", json=body)
        token = cafes_token(cafes, asked.json()["request_id"])
        made = await family.post(f"/v1/requests/{token}/confirmation", json={})
        assert made.json()["registration"]["state"] == ("registered" if seats == 1 else "waiting"), made.text
    listed = f"/v1/cafes/{cafe_id}/registrations"
    return Scene("parents-cafes", address, api, listed, person, f"/saison/cafes/{cafe_id}/liste")


async def _of_a_line(stack: Stack) -> Scene:
    """A coordinator and a household in line."""
    return await _of_cafes(stack, seats=2, hour=11)


async def _of_an_exchange(stack: Stack) -> Scene:
    """Who runs it sees the list of tomorrow, by the link of their mail."""
    scene = await _of_cafes(stack, hour=14)
    cafe_id = scene.page.split("/")[3]
    tomorrow = f"""UPDATE cafe SET state = 'confirmed', review_at = NULL, starts_at = now() + interval '24 hours',
                       ends_at = now() + interval '25 hours' WHERE cafe_id = '{cafe_id}' RETURNING facilitator_id"""
    facilitator_id = await asyncio.to_thread(stack.postgres.psql, tomorrow, "parents_cafes")
    secret = (stack.settings.home / "session.secret").read_text()
    link = signed_link(secret, FACILITATOR_LINK, facilitator_id.strip(), 2)
    return replace(scene, page=f"/animation/{link}")


async def _of_platforms(stack: Stack, page: str = "/mes-plateaux") -> Scene:
    """An owner and whoever asked for its platform."""
    platforms, code = Platforms(stack, url_of(stack, "platform-scheduling")), siret()
    api, person = await _who(stack, "platform-scheduling", "owner", "/mes-plateaux/nouveau", code)
    platform_id = await platforms.platform(api)
    structure_id = str(uuid4())
    requester = await platforms.client(f"reach-{structure_id}", "host", structure_id=structure_id)
    asked = slot(12, 9)
    assert (await book(requester, platform_id, asked)).status_code == 201
    week = datetime.fromisoformat(asked["starts_at"]).isocalendar()
    page = page.format(platform_id=platform_id, week=f"{week.year}-W{week.week:02}")
    address = f"reach-{structure_id}@example.org"
    return Scene("platform-scheduling", address, api, "/v1/received-bookings", person, page)


async def _of_a_week(stack: Stack) -> Scene:
    """The same in the week."""
    return await _of_platforms(stack, "/mes-plateaux/{platform_id}/semaine?semaine={week}")


async def _of_stages(stack: Stack) -> Scene:
    """A host and somebody who applied."""
    stages = Stages(stack)
    structure_id = str(uuid4())
    api, person = await _who(stack, "stage-matching", "host", "/mes-offres", structure_id)
    body = {"host_name": "Atelier", "siret": siret(), "kind": "CRAFTSMAN", "commune_code": "76540"}
    assert (await api.put("/v1/host", json=body)).status_code == 200
    offer_id = await stages.offer(api, {NEXT: 2})
    sub = f"reach-{uuid4().hex[:8]}"
    seeker = await stages.client(sub, "seeker")
    asked = {"audience": "PUPIL", "age": 14, "commune_code": "76540", "radius_km": 30, "iso_weeks": [NEXT]}
    assert (await seeker.put("/v1/request", json=asked | {"wishes": ["H29"]})).status_code == 200
    assert (await apply(seeker, offer_id)).status_code == 201
    return Scene("stage-matching", f"{sub}@example.org", api, "/v1/applications", person, "/mes-offres")


async def _of_a_host(stack: Stack) -> Scene:
    """Somebody who applied, and the host who has to answer."""
    stages = Stages(stack)
    host_id, host = await stages.host()
    offer_id = await stages.offer(host, {NEXT: 1})
    api, person = await _who(stack, "stage-matching", "seeker", "/mes-candidatures")
    assert (await api.put("/v1/request", json=request_body())).status_code == 200
    assert (await apply(api, offer_id)).status_code == 201
    return Scene(
        "stage-matching", f"host-{host_id.hex[:8]}@example.org", api, "/v1/applications", person, "/mes-candidatures"
    )


async def _of_seats(stack: Stack) -> tuple[Scene, Scene]:
    """A structure and a prescriber, each of whom counts on the other."""
    seats = Seats(stack, url_of(stack, "remediation-seats"))
    structure_id, _ = await seats.structure()
    address = f"structure-{structure_id.hex[:8]}@example.org"
    async with await seats.client("test-agency", "agency") as agency:
        body = {"structure_name": "Structure", "kind": "CFA", "commune_code": "76540", "contact_email": address}
        assert (await agency.put(f"/v1/structures/{structure_id}", json=body)).status_code == 200
    partner, theirs = await _who(stack, "remediation-seats", "partner", "/mes-places", str(structure_id))
    programme_id = await seats.programme(partner, 3)
    assert (await declare(partner, programme_id, 3, 0)).status_code == 200
    prescriber, mine = await _who(stack, "remediation-seats", "prescriber", "/trouver")
    held = await prescriber.post("/v1/holds", json={"programme_id": str(programme_id)})
    contact = (await partner.get("/v1/holds")).json()[0]["prescriber_contact"]
    assert held.status_code == 201 and contact
    return (
        Scene("remediation-seats", contact, partner, "/v1/holds", theirs, "/mes-places"),
        Scene("remediation-seats", address, prescriber, "/v1/holds", mine, "/mes-retenues"),
    )


async def _of_a_structure(stack: Stack) -> Scene:
    """What a structure sees."""
    return (await _of_seats(stack))[0]


async def _of_a_prescriber(stack: Stack) -> Scene:
    """What a prescriber sees."""
    return (await _of_seats(stack))[1]


@pytest.mark.parametrize(
    "of",
    [
        _of_events,
        _of_a_door,
        _of_a_table,
        _of_cafes,
        _of_a_line,
        _of_an_exchange,
        _of_platforms,
        _of_a_week,
        _of_stages,
        _of_a_host,
        _of_a_structure,
        _of_a_prescriber,
    ],
)
async def test_a_name_that_mail_does_not_reach_is_marked(stack: Stack, query: Query, of: Any) -> None:
    """Nothing is said of who is reached; after a failure the badge and `reachable: false`; after a later success neither."""
    scene = await of(stack)

    async def seen() -> tuple[set[bool], bool]:
        rows = (await scene.api.get(scene.listed)).json()
        page = await scene.person.client.get(scene.page)
        assert rows and page.status_code == 200, page.text
        return {row["reachable"] for row in rows}, scene.badge in page.text

    async def written(column: str, value: Any) -> None:
        # Its id makes it the latest, whatever the service writes meanwhile.
        sql = f"""INSERT INTO mail (id, message_key, recipient, subject, body, attempt_count, {column})
                  VALUES (:id, :key, :recipient, 'x', '', 1, :value)"""
        key = f"reach:{uuid4()}"
        await query(scene.service, sql, id=time.time_ns(), key=key, recipient=scene.address, value=value)

    assert await seen() == ({True}, False)
    await written("failed_reason", "permanent_failure")
    assert await seen() == ({False}, True)
    await written("sent_at", datetime.now(UTC) + timedelta(seconds=1))
    assert await seen() == ({True}, False)
