"""A seeded workload on the events service: few seats, many who want them, and events that need workshops of platform scheduling."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from tests.faults.history import History
from tests.faults.workload import Commands
from tests.integration.events import SCHOOL, event_body

SERVICE = "events"


class EventsWorkload(Commands):
    """Tasks that register, cancel, change capacities, check in, ask for platforms, call off, and try what is forbidden."""

    def __init__(
        self, history: History, *, seed: int, endpoints: list[str], issuer_url: str, platforms: list[tuple[UUID, str]]
    ) -> None:
        super().__init__(history, seed=seed, endpoints=endpoints, issuer_url=issuer_url, service=SERVICE, processes=4)
        self.organisers = ["coordinator-a", "coordinator-b"]
        self._platforms = platforms
        self._events: list[tuple[UUID, str]] = []
        self._sessions: list[tuple[UUID, UUID, str]] = []
        self._groups: list[str] = []

    def _everybody(self) -> dict[str, dict[str, Any]]:
        everybody: dict[str, dict[str, Any]] = {name: {"roles": ["coordinator"]} for name in self.organisers}
        everybody |= {"family": {"roles": ["seeker"]}, "school": {"roles": ["school"], "structure_id": SCHOOL}}
        return everybody

    async def prepare(self) -> None:
        """Two events for each organiser, of two small sessions each; a door is open today."""
        for name in self.organisers:
            for _ in range(2):
                await self._event(name)

    async def _event(self, name: str) -> None:
        event_id = self._uuid()
        body = event_body(kind="FAMILY_CONFERENCES")
        await self._as(name, "PUT", f"/v1/events/{event_id}", body, op="event")
        begin = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=11)
        for number in range(2):
            session_id = self._uuid()
            self._sessions.append((session_id, event_id, name))
            await self._session(session_id, event_id, name, begin + timedelta(days=10 * number), 6)
        await self._as(name, "POST", f"/v1/events/{event_id}/publication", None, op="publication")
        self._events.append((event_id, name))
        del self._sessions[:-8], self._events[:-4]

    async def _session(self, session_id: UUID, event_id: UUID, name: str, begin: datetime, seats: int) -> None:
        body = {
            "title": "Soirée",
            "starts_at": begin.isoformat(),
            "ends_at": (begin + timedelta(hours=2)).isoformat(),
            "capacity_count": seats,
        }
        await self._as(name, "PUT", f"/v1/events/{event_id}/sessions/{session_id}", body, op="session")

    async def _one(self, draw: random.Random) -> None:
        session_id, event_id, name = draw.choice(self._sessions)
        chance = draw.random()
        if chance < 0.42:
            body: dict[str, Any] = {
                "email": f"family-{draw.randrange(80)}@example.org",
                "seat_count": draw.randint(1, 3),
                "session_ids": [str(session_id)],
                "wait": draw.random() < 0.7,
            }
            path = f"/v1/events/{event_id}/registrations"
            await self.command("family", "POST", path, body, role="seeker", op="register")
        elif chance < 0.52:
            # Whatever else the class has at that hour.
            body = {"title": "3e B", "seat_count": draw.randint(2, 6), "wait": True, "overlapping": True}
            body |= {"session_ids": [str(session_id)]}
            answer = await self.command(
                "school", "POST", f"/v1/events/{event_id}/groups", body, role="school", op="register"
            )
            self._groups += [one["registration_id"] for one in (answer or {}).get("registrations", ())]
            del self._groups[:-20]
        elif chance < 0.64 and self._groups:
            action = draw.choice(("cancellation", "acceptance"))
            path = f"/v1/groups/{draw.choice(self._groups)}/{action}"
            await self.command("school", "POST", path, None, role="school", op=f"group-{action}")
        elif chance < 0.82:
            await self._at_the_door(draw, session_id, name)
        elif chance < 0.9:
            await self._platform(draw)
        elif chance < 0.93 and len(self._events) > 1:
            event_id, name = draw.choice(self._events)
            await self._as(name, "POST", f"/v1/events/{event_id}/cancellation", None, op="event-cancellation")
            await self._event(name)
        else:
            stranger = next(other for other in self.organisers if other != name)
            path = f"/v1/sessions/{session_id}/cancellation"
            await self._as(stranger, "POST", path, None, op="session-cancellation", forbidden=True)

    async def _at_the_door(self, draw: random.Random, session_id: UUID, name: str) -> None:
        """The organiser reads the list; cancels somebody, or checks somebody in, twice in one batch."""
        path = f"/v1/sessions/{session_id}"
        rows: Any = await self._as(name, "GET", f"{path}/registrations", None, op="list")
        live = [row for row in rows or () if row["state"] in ("registered", "offered", "waiting", "attended")]
        if not live:
            return
        row = draw.choice(live)
        if draw.random() < 0.7:
            path = f"/v1/registrations/{row['registration_id']}/cancellation"
            await self._as(name, "POST", path, None, op="cancellation")
        else:
            reading = {"code": row["code"], "at": datetime.now(UTC).isoformat()}
            await self._as(name, "POST", f"{path}/check-ins", {"check_ins": [reading, reading]}, op="check-in")

    async def _platform(self, draw: random.Random) -> None:
        """An event needs a workshop, another one, or none."""
        event_id, name = draw.choice(self._events)
        path = f"/v1/events/{event_id}/platform"
        if draw.random() < 0.3:
            await self._as(name, "DELETE", path, None, op="drop")
            return
        platform_id, _ = draw.choice(self._platforms)
        begin = datetime.combine((datetime.now(UTC) + timedelta(days=7)).date(), datetime.min.time(), UTC)
        begin += timedelta(hours=draw.randrange(8, 15))
        need = {
            "platform_id": str(platform_id),
            "group_size": 5,
            "starts_at": begin.isoformat(),
            "ends_at": (begin + timedelta(hours=1)).isoformat(),
        }
        await self._as(name, "PUT", path, need, op="need")

    async def _as(self, name: str, method: str, path: str, body: Any, **facts: Any) -> Any:
        return await self.command(name, method, path, body, role="coordinator", organiser=f"person/{name}", **facts)

    def _effects(self, op: str, content: Any) -> dict[str, int]:
        first = {"registered": "RegistrationMade", "waiting": "RegistrationQueued"}
        match op:
            case "register":
                return {first[content["registrations"][0]["state"]]: 1}
            case "cancellation" | "group-cancellation":
                return {"RegistrationEnded": 1}
            case "group-acceptance":
                return {"RegistrationMade": 1}
            case "event-cancellation":
                return {"EventCancelled": 1}
        return {}
