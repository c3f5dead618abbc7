"""A seeded workload on platform scheduling: few platforms, many who want them, and an events service that asks by Kafka."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from common.testing import envelope
from tests.faults import plant
from tests.faults.history import History
from tests.faults.rig import Cell
from tests.faults.workload import Commands, partition_of
from tests.integration.stages import siret

SERVICE, ASKED = "platform-scheduling", "events.platform-requests.v1"
_HOURS = range(8, 18)


class PlatformsWorkload(Commands):
    """Tasks that book, approve, refuse, move, cancel, block, change windows, and try what is forbidden."""

    def __init__(self, history: History, *, seed: int, endpoints: list[str], issuer_url: str) -> None:
        super().__init__(history, seed=seed, endpoints=endpoints, issuer_url=issuer_url, service=SERVICE, processes=4)
        self.owners = [siret() for _ in range(3)]
        self.requesters = [f"requester-{n}" for n in range(12)]
        self.platforms: list[tuple[UUID, str]] = []
        self.first_day = (datetime.now(UTC) + timedelta(days=5)).date()
        self._bookings: list[dict[str, Any]] = []
        self._asked: list[tuple[UUID, UUID]] = []
        self.asked_count = 0  # records sent on the events service's topic
        self._schemas: dict[str, tuple[int, dict[str, Any]]] = {}

    def _everybody(self) -> dict[str, dict[str, Any]]:
        everybody: dict[str, dict[str, Any]] = {
            f"owner-{code}": {"roles": ["owner"], "structure_id": code} for code in self.owners
        }
        everybody |= {name: {"roles": ["host"]} for name in self.requesters}
        return everybody

    async def prepare(self) -> None:
        """Two platforms for each owner, of one or two units, half of them automatic, open every day."""
        for code in self.owners:
            for number in range(2):
                platform_id = self._uuid()
                self.platforms.append((platform_id, code))
                body = {
                    "owner_title": "Lycée",
                    "title": f"Atelier {platform_id.hex[:6]}",
                    "commune_code": "76540",
                    "equipment_codes": ["usinage"],
                    "capacity_count": 12,
                    "units": ["A", "B"][: number + 1],
                    "approval": "AUTOMATIC" if number else "OWNER",
                }
                await self._as_owner(code, "PUT", f"/v1/platforms/{platform_id}", body, op="platform")
                await self._window(platform_id, code, 600)

    async def _window(self, platform_id: UUID, code: str, minutes: int) -> None:
        body = {
            "starts_at_local": f"{self.first_day}T08:00",
            "length_minutes": minutes,
            "rrule": "FREQ=DAILY",
            "in_school_holidays": True,
            "in_public_holidays": True,
        }
        await self._as_owner(code, "PUT", f"/v1/platforms/{platform_id}/windows/{platform_id}", body, op="window")

    def _slot(self, draw: random.Random) -> dict[str, str]:
        begin = datetime.combine(self.first_day, datetime.min.time(), UTC)
        begin += timedelta(days=draw.randrange(3), hours=draw.choice(_HOURS) - 1)
        return {"starts_at": begin.isoformat(), "ends_at": (begin + timedelta(hours=draw.choice((1, 2)))).isoformat()}

    async def _one(self, draw: random.Random) -> None:
        platform_id, code = draw.choice(self.platforms)
        one = draw.choice(self._bookings) if self._bookings else None
        chance = draw.random()
        if one is None or chance < 0.4:
            name = draw.choice(self.requesters)
            body = {
                "platform_id": str(platform_id),
                "group_size": 5,
                "in_line": draw.random() < 0.5,
                "overlapping": True,
                **self._slot(draw),
            }
            answer = await self._as_requester(name, "POST", "/v1/bookings", body, op="book")
            if answer is not None:
                self._bookings.append({"id": answer["booking_id"], "owner": code, "requester": name})
                del self._bookings[:-60]
        elif chance < 0.65:
            action = draw.choice(("approval", "approval", "refusal", "cancellation"))
            body = {"reason": "SAFETY"} if action == "refusal" else None  # type: ignore[assignment]
            await self._as_owner(one["owner"], "POST", f"/v1/received-bookings/{one['id']}/{action}", body, op=action)
        elif chance < 0.85:
            action = draw.choice(("cancellation", "move"))
            moved = {**self._slot(draw), "overlapping": True} if action == "move" else None
            path = f"/v1/bookings/{one['id']}/{action}"
            await self._as_requester(one["requester"], "POST", path, moved, op=f"requester-{action}")
        elif chance < 0.9:
            await self._as_owner(
                code, "PUT", f"/v1/platforms/{platform_id}/blocks/{self._uuid()}", self._slot(draw), op="block"
            )
        elif chance < 0.95:
            await self._window(platform_id, code, draw.choice((540, 600)))
        else:
            stranger = next(other for other in self.owners if other != one["owner"])
            path = f"/v1/received-bookings/{one['id']}/approval"
            await self._as_owner(stranger, "POST", path, None, op="approval", forbidden=True)

    def ask_for_events(self, cell: Cell, count: int) -> None:
        """The events service, as the rig plays it: requests and withdrawals, some sent twice, on its own topic."""
        raw: list[plant.Raw] = []
        facts: dict[str, Any]
        for _ in range(count):
            if self._asked and self._draw.random() < 0.35:
                request_id, platform_id = self._asked.pop(self._draw.randrange(len(self._asked)))
                facts = {"for_event_id": str(uuid4()), "platform_id": str(platform_id)}
                value = self._encoded(cell, "PlatformRequestWithdrawn", request_id, 2, facts)
            else:
                request_id, (platform_id, _) = self._uuid(), self._draw.choice(self.platforms)
                self._asked.append((request_id, platform_id))
                slot = {name: datetime.fromisoformat(text) for name, text in self._slot(self._draw).items()}
                facts = {
                    "for_event_id": str(uuid4()),
                    "platform_id": str(platform_id),
                    "organiser_id": str(uuid4()),
                    "group_size": self._draw.choice((5, 5, 50)),
                    "habilitation_codes": [],
                    **slot,
                }
                value = self._encoded(cell, "PlatformRequested", request_id, 1, facts)
            key = str(request_id).encode()
            raw += [(partition_of(str(request_id)), key, value, [])] * self._draw.choice((1, 1, 2))
        plant.records(cell, ASKED, raw)
        self.asked_count += len(raw)

    def _encoded(self, cell: Cell, name: str, request_id: UUID, version: int, facts: dict[str, Any]) -> bytes:
        if name not in self._schemas:
            self._schemas[name] = plant.latest(cell.rig, f"estuaire.events.{name}")
        return plant.encoded(*self._schemas[name], envelope(request_id, version) | facts)

    async def _as_owner(self, code: str, method: str, path: str, body: Any, **facts: Any) -> Any:
        return await self.command(f"owner-{code}", method, path, body, role="owner", owner_code=code, **facts)

    async def _as_requester(self, name: str, method: str, path: str, body: Any, **facts: Any) -> Any:
        return await self.command(name, method, path, body, role="host", **facts)

    def _effects(self, op: str, content: Any) -> dict[str, int]:
        first = {"requested": "BookingRequested", "tentative": "BookingHeld", "approved": "BookingApproved"}
        match op:
            case "book":
                return {first[content["state"]]: 1}
            case "requester-move":
                return {"BookingMoved": 1}
            case "refusal" | "cancellation" | "requester-cancellation":
                return {"BookingEnded": 1}
        return {}
