"""What the tests of the events service share: organisers with events and sessions, families, schools, and a client for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import httpx

from common.embedded.stack import Stack
from common.failures import Refusal
from common.runtime import Runtime
from common.testing import accepting, client_of, http_client, mails_to, sent_accepting
from events import event_handlers, handlers, notices, party_store
from events.bodies import EventBody, SessionBody
from events.handlers import Applicant, Registered
from events.messages import PartyKind
from tests.integration.platforms import at

SERVICE = "events"
SCHOOL = "0760017F"


@dataclass
class Events:
    """The events service as its users see it."""

    stack: Stack
    url: str

    async def client(self, sub: str, role: str, **claims: Any) -> httpx.AsyncClient:
        """A client that carries a token."""
        return await client_of(self.stack, self.url, sub, role, **{"name": f"Nom de {sub}", **claims})

    async def organiser(self, role: str = "coordinator") -> httpx.AsyncClient:
        """Somebody who organises."""
        return await self.client(f"{role}-{uuid4().hex[:8]}", role)

    async def school(self, uai: str = SCHOOL) -> httpx.AsyncClient:
        """A school's account."""
        return await self.client(f"school-{uai}", "school", structure_id=uai)

    def family(self) -> httpx.AsyncClient:
        """Somebody without an account."""
        return http_client(base_url=self.url)

    async def event(
        self, organiser: httpx.AsyncClient, *sessions: dict[str, Any], publish: bool = True, **more: Any
    ) -> tuple[UUID, list[UUID]]:
        """An event with its sessions, announced."""
        event_id = uuid4()
        answer = await organiser.put(f"/v1/events/{event_id}", json=event_body(**more))
        assert answer.status_code == 200, answer.text
        ids = [await put_session(organiser, event_id, **one) for one in sessions or ({},)]
        if publish:
            answer = await organiser.post(f"/v1/events/{event_id}/publication")
            assert answer.status_code == 200, answer.text
        return event_id, ids


async def put_session(
    organiser: httpx.AsyncClient, event_id: UUID, *, session_id: UUID | None = None, **more: Any
) -> UUID:
    """The organiser adds a session, or changes one."""
    session_id = session_id or uuid4()
    path = f"/v1/events/{event_id}/sessions/{session_id}"
    answer = await sent_accepting(organiser, "PUT", path, json=session_body(**more))
    assert answer.status_code == 200, answer.text
    return session_id


async def register(
    client: httpx.AsyncClient, event_id: UUID, session_ids: Sequence[UUID], email: str, **more: Any
) -> httpx.Response:
    """A family registers."""
    body = {"email": email, "session_ids": [str(one) for one in session_ids], **more}
    return await client.post(f"/v1/events/{event_id}/registrations", json=body)


async def seats_of(client: httpx.AsyncClient, event_id: UUID) -> list[dict[str, Any]]:
    """The sessions of an event as everybody reads them."""
    answer = await client.get(f"/v1/events/{event_id}")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["sessions"])


def event_body(**more: Any) -> dict[str, Any]:
    """A one-day event in Rouen."""
    return {
        "organiser_title": "Agence",
        "kind": "THEMATIC_DAY",
        "title": "Les métiers de la mer",
        "summary": "Une journée pour découvrir quarante métiers.",
        "commune_code": "76540",
        "place_title": "Parc des expositions",
        "audiences": ["familles"],
        "fictitious": True,
        **more,
    }


def session_body(days: float = 30, hour: int = 14, hours: float = 2, **more: Any) -> dict[str, Any]:
    """A conference with ten seats, so many days from today."""
    begin = at(int(days), hour)
    return {
        "title": "Conférence",
        "starts_at": begin.isoformat(),
        "ends_at": (begin + timedelta(hours=hours)).isoformat(),
        "capacity_count": 10,
        **more,
    }


# -- in the test's own process


async def prepared(runtime: Runtime, *sessions: dict[str, Any], **more: Any) -> tuple[UUID, list[UUID]]:
    """An announced event with its sessions; its organiser's account is `agency`."""
    event_id = uuid4()
    async with runtime.database.transaction() as tx:
        what = EventBody.model_validate(event_body(**more)).description()
        assert await event_handlers.describe_event(tx, "agency", "agency@example.org", event_id, what) is None
    ids = []
    for one in sessions or ({},):
        session_id = uuid4()
        assert await planned(runtime, event_id, session_id, **one) is None
        ids.append(session_id)
    async with runtime.database.transaction() as tx:
        assert await event_handlers.publish(tx, "agency", event_id) is None
    return event_id, ids


async def planned(runtime: Runtime, event_id: UUID, session_id: UUID, **more: Any) -> Refusal | None:
    """The organiser adds or changes a session."""
    async with runtime.database.transaction() as tx:
        plan = SessionBody.model_validate(session_body(**more)).plan()
        act = partial(event_handlers.put_session, tx, "agency", event_id, session_id, plan)
        refusal: Refusal | None = await accepting(tx, act)
        return refusal


async def registered(
    runtime: Runtime,
    event_id: UUID,
    session_ids: Sequence[UUID],
    who: str,
    seats: int = 1,
    *,
    wait: bool = True,
    group: bool = False,
    overlapping: bool = True,
    **more: Any,
) -> Refusal | Registered:
    """Somebody registers, in line where it is full, and whatever else they have at that hour."""
    applicant = Applicant(
        f"{who}@example.org",
        who,
        PartyKind.GROUP if group else PartyKind.INDIVIDUAL,
        SCHOOL if group else None,
        **more,
    )
    async with runtime.database.transaction() as tx:
        asked = dict.fromkeys(session_ids, seats)
        return await handlers.register(tx, applicant, event_id, asked, wait=wait, overlapping=overlapping)


async def state_of(runtime: Runtime, session_id: UUID) -> dict[str, str]:
    """Who is what in a session, by the name before the address; the last registration of each."""
    async with runtime.database.transaction() as tx:
        rows = await party_store.registrations(tx, session_id=session_id)
    latest = sorted(rows, key=lambda row: row.joined_at)
    return {str(row.party_title): row.state for row in latest}


async def mails_of(runtime: Runtime, who: str) -> list[tuple[str, str]]:
    """Subject and body of what somebody was written, after the sweeper has told all that is owed."""
    return await mails_to(runtime, notices.write_owed, f"{who}@example.org")
