"""A seeded workload on the parents' cafés: a season that is planned, filled, changed, merged and left, while its clock walks."""

from __future__ import annotations

import random
from typing import Any
from uuid import UUID

from common.links import signed_link
from parents_cafes.notices import REQUEST_LINK
from tests.faults.history import History
from tests.faults.workload import Commands
from tests.integration.cafes import SERVICE, cafe_body

_TOWNS = ("76540", "76575", "76498", "76322")
_CAFES_MAX = 14


class CafesWorkload(Commands):
    """Tasks that ask, confirm, take offers, change, leave, call off, check in, and try what is forbidden."""

    def __init__(self, history: History, *, seed: int, endpoints: list[str], issuer_url: str, secret: str) -> None:
        super().__init__(history, seed=seed, endpoints=endpoints, issuer_url=issuer_url, service=SERVICE, processes=4)
        self.coordinators = ["coordinator-a", "coordinator-b"]
        self._secret = secret
        self._places: dict[str, list[tuple[UUID, UUID]]] = {}
        self._cafes: list[tuple[UUID, str]] = []
        self._households: list[dict[str, Any]] = []
        # The tests' day on which the next cafés are; the cell moves it on with the clock.
        self.day = 0

    def _everybody(self) -> dict[str, dict[str, Any]]:
        everybody: dict[str, dict[str, Any]] = {name: {"roles": ["coordinator"]} for name in self.coordinators}
        everybody |= {"family": {"roles": ["seeker"]}}
        return everybody

    async def prepare(self) -> None:
        """Venues and facilitators for each coordinator, and the first cafés."""
        for name in self.coordinators:
            for town in _TOWNS:
                venue_id, facilitator_id = self._uuid(), self._uuid()
                venue = {"title": "Salle", "kind": "ASSOCIATION", "commune_code": town}
                person = {"title": "Anima", "email": f"{facilitator_id.hex[:8]}@example.org"}
                await self._as(name, "PUT", f"/v1/venues/{venue_id}", venue, op="venue")
                await self._as(name, "PUT", f"/v1/facilitators/{facilitator_id}", person, op="facilitator")
                self._places.setdefault(name, []).append((venue_id, facilitator_id))
        for number in range(8):
            await self._cafe(self.coordinators[number % 2], number // 2, number % 4 + 10)

    async def _cafe(self, name: str, place: int, hour: int) -> None:
        venue_id, facilitator_id = self._places[name][place % len(_TOWNS)]
        cafe_id = self._uuid()
        body = cafe_body(venue_id, facilitator_id, on=self.day, hour=hour, capacity_count=12)
        await self._as(name, "PUT", f"/v1/cafes/{cafe_id}", body, op="plan")
        await self._as(name, "POST", f"/v1/cafes/{cafe_id}/opening", None, op="opening")
        self._cafes.append((cafe_id, name))
        del self._cafes[:-_CAFES_MAX]

    async def _one(self, draw: random.Random) -> None:
        cafe_id, name = draw.choice(self._cafes)
        chance = draw.random()
        if chance < 0.45:
            await self._register(draw, cafe_id)
        elif chance < 0.8 and self._households:
            one = draw.choice(self._households)
            action = draw.choice(("acceptance", "acceptance", "cancellation", "change", "change", "size", "keeping"))
            body = {
                "registration_id": one["registration_id"],
                "cafe_id": str(cafe_id),
                "seat_count": draw.randint(1, 2),
                "warned": True,
            }
            path = f"/v1/households/{one['household']}/{action}"
            await self.command("family", "POST", path, body, role="seeker", op=action)
        elif chance < 0.88:
            await self._on_list(draw, cafe_id, name)
        elif chance < 0.93:
            await self._cafe(name, draw.randrange(4), draw.randint(9, 18))
        else:
            stranger = next(other for other in self.coordinators if other != name)
            path = f"/v1/cafes/{cafe_id}/{draw.choice(('cancellation', 'opening'))}"
            await self._as(stranger, "POST", path, None, op="of-another", forbidden=True)

    async def _register(self, draw: random.Random, cafe_id: UUID) -> None:
        """A household asks, follows its link, and may be in line."""
        # Never an address that asked before: a second click is answered with what is there, and tells nothing.
        body = {"email": f"family-{self._uuid().hex}@example.org", "seat_count": draw.randint(1, 2)}
        path = f"/v1/cafes/{cafe_id}/requests"
        asked = await self.command("family", "POST", path, body, role="seeker", op="ask")
        if asked is None:
            return
        token = signed_link(self._secret, REQUEST_LINK, asked["request_id"], 2)
        path = f"/v1/requests/{token}/confirmation"
        made = await self.command("family", "POST", path, {}, role="seeker", op="confirm")
        if made is not None and made["registration"] is not None:
            self._households.append({"household": made["household"], **made["registration"]})
            del self._households[:-60]

    async def _on_list(self, draw: random.Random, cafe_id: UUID, name: str) -> None:
        """The coordinator reads the list, and cancels for somebody who phoned."""
        rows: Any = await self._as(name, "GET", f"/v1/cafes/{cafe_id}/registrations", None, op="list")
        live = [row for row in rows or () if row["state"] in ("registered", "offered", "waiting")]
        if live:
            path = f"/v1/registrations/{draw.choice(live)['registration_id']}/cancellation"
            await self._as(name, "POST", path, None, op="cancellation-for")

    async def _as(self, name: str, method: str, path: str, body: Any, **facts: Any) -> Any:
        return await self.command(name, method, path, body, role="coordinator", coordinator=f"person/{name}", **facts)

    def _effects(self, op: str, content: Any) -> dict[str, int]:
        first = {"registered": "HouseholdRegistered", "waiting": "HouseholdQueued"}
        match op:
            case "confirm":
                one = content["registration"]
                return {first[one["state"]]: 1} if one is not None else {}
            case "cancellation" | "cancellation-for":
                return {"HouseholdLeft": 1}
            case "acceptance":
                return {"HouseholdRegistered": 1}
            case "change":
                return {"HouseholdLeft": 1}
        return {}
