"""A seeded workload on stage matching: hosts, seekers and one school's campaign, few seats and many who want them."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx

from territory.weeks import week_of
from tests.faults.history import History
from tests.faults.workload import Commands
from tests.integration.stages import SCHOOL, siret

SERVICE = "stage-matching"
_OFFERS_PER_HOST, _WEEKS, _PUPILS = 3, 4, 60
_HEADER = "uai;classe;eleve;sexe;age;commune_insee;rayon_km;semaine;duree;voeux"


class StagesWorkload(Commands):
    """`processes` tasks that apply, see, accept, refuse, confirm, withdraw, change seats, and try what is forbidden."""

    def __init__(self, history: History, *, seed: int, endpoints: list[str], issuer_url: str) -> None:
        super().__init__(history, seed=seed, endpoints=endpoints, issuer_url=issuer_url, service=SERVICE, processes=4)
        self.hosts = [self._uuid() for _ in range(4)]
        self.seekers = [f"seeker-{n}" for n in range(16)]
        self.offers: list[tuple[UUID, UUID]] = []
        begin = datetime.now(UTC) + timedelta(weeks=6)
        self.weeks = [week_of(begin + timedelta(weeks=n)) for n in range(_WEEKS)]
        self.campaign_week = week_of(begin + timedelta(weeks=_WEEKS))
        self._applications: list[dict[str, Any]] = []

    def _everybody(self) -> dict[str, dict[str, Any]]:
        everybody: dict[str, dict[str, Any]] = {
            f"host-{host}": {"roles": ["host"], "structure_id": str(host)} for host in self.hosts
        }
        everybody |= {name: {"roles": ["seeker"]} for name in self.seekers}
        everybody["school"] = {"roles": ["school"], "structure_id": SCHOOL}
        return everybody

    async def prepare(self) -> None:
        """Hosts, their offers, and what every seeker looks for."""
        for host in self.hosts:
            body: Any = {"host_name": "Atelier", "siret": siret(), "kind": "COMPANY", "commune_code": "76540"}
            await self._as_host(host, "PUT", "/v1/host", body, op="host")
            for _ in range(_OFFERS_PER_HOST):
                offer_id = self._uuid()
                self.offers.append((offer_id, host))
                await self._describe(offer_id, host, 2)
        for name in self.seekers:
            body = {
                "audience": "PUPIL",
                "age": 15,
                "commune_code": "76540",
                "iso_weeks": self.weeks[:1],
                "wishes": ["H"],
            }
            await self._as_seeker(name, "PUT", "/v1/request", body, op="request")

    async def _describe(self, offer_id: UUID, host: UUID, seats: int) -> None:
        body = {
            "title": f"Offre {offer_id.hex[:6]}",
            "kind": "OBSERVATION",
            "rome_codes": ["H2913"],
            "commune_code": "76540",
            "audiences": ["PUPIL"],
            "seats": dict.fromkeys([*self.weeks, self.campaign_week], seats),
        }
        await self._as_host(host, "PUT", f"/v1/offers/{offer_id}", body, op="offer")

    async def _one(self, draw: random.Random) -> None:
        offer_id, host = draw.choice(self.offers)
        one = draw.choice(self._applications) if self._applications else None
        chance = draw.random()
        if one is None or chance < 0.35:
            seeker = draw.choice(self.seekers)
            start = draw.randrange(_WEEKS)
            weeks = self.weeks[start : start + draw.choice((1, 1, 2))]
            body: Any = {"offer_id": str(offer_id), "iso_weeks": weeks}
            answer = await self._as_seeker(seeker, "POST", "/v1/applications", body, op="apply")
            if answer is not None:
                self._applications.append({"id": answer["application_id"], "host": host, "seeker": seeker})
                del self._applications[:-60]
        elif chance < 0.65:
            action = draw.choice(("view", "acceptance", "acceptance", "refusal"))
            body = {"reason": "DATES"} if action == "refusal" else None
            path = f"/v1/received-applications/{one['id']}/{action}"
            await self._as_host(one["host"], "POST", path, body, op=action)
        elif chance < 0.92:
            action = draw.choice(("confirmation", "confirmation", "withdrawal"))
            path = f"/v1/applications/{one['id']}/{action}"
            await self._as_seeker(one["seeker"], "POST", path, None, op=action)
        elif chance < 0.97:
            await self._describe(offer_id, host, draw.choice((1, 2, 3)))
        else:
            stranger = next(other for other in self.hosts if other != one["host"])
            path = f"/v1/received-applications/{one['id']}/acceptance"
            await self._as_host(stranger, "POST", path, None, op="acceptance", forbidden=True)

    async def campaign(self) -> UUID:
        """One school's campaign from its table to its publication, whatever dies meanwhile; then some matches come back."""
        campaign_id, path = self._uuid(), ""
        path = f"/v1/campaigns/{campaign_id}"
        await self._as_school("PUT", path, {"title": "Faute", "scope": "CLASS"}, op="campaign")
        lines = [
            f"{SCHOOL};3A;p{n};F;14;76540;30;{self.campaign_week};1;{', '.join(self._wishes())}" for n in range(_PUPILS)
        ]
        await self._as_school("POST", f"{path}/pupils", "\n".join([_HEADER, *lines]).encode(), op="pupils")
        await self._as_school("POST", f"{path}/freeze", None, op="freeze")
        await self._reached(path, "computed")
        await self._as_school("POST", f"{path}/publication", None, op="publication")
        await self._reached(path, "published")
        results = await self._get(f"{path}/results")
        for row in [row for row in results if row["application_id"]][:6]:
            action = self._draw.choice(("confirmation", "withdrawal"))
            await self._as_school("POST", f"/v1/applications/{row['application_id']}/{action}", None, op=action)
        return campaign_id

    def _wishes(self) -> list[str]:
        return [str(offer_id) for offer_id, _ in self._draw.sample(self.offers, 5)]

    async def _reached(self, path: str, state: str, *, seconds_max: float = 90) -> None:
        deadline = asyncio.get_running_loop().time() + seconds_max
        while asyncio.get_running_loop().time() < deadline:
            found = await self._get(path)
            if found["state"] == state and found["work"] is None:
                return
            await asyncio.sleep(0.3)
        raise AssertionError(f"the campaign was not {state} within {seconds_max:.0f} s")

    async def _get(self, path: str) -> Any:
        while True:
            with suppress(httpx.HTTPError):
                token = await self._token("school", "school", {})
                answer = await self._client.get(self.endpoints[0] + path, headers={"Authorization": f"Bearer {token}"})
                if answer.status_code == 200:
                    return answer.json()
            await asyncio.sleep(0.2)

    async def _as_host(self, host: UUID, method: str, path: str, body: Any, **facts: Any) -> Any:
        return await self.command(f"host-{host}", method, path, body, role="host", host_id=str(host), **facts)

    async def _as_seeker(self, name: str, method: str, path: str, body: Any, **facts: Any) -> Any:
        return await self.command(name, method, path, body, role="seeker", **facts)

    async def _as_school(self, method: str, path: str, body: Any, **facts: Any) -> Any:
        return await self.command("school", method, path, body, role="school", **facts)

    def _effects(self, op: str, content: Any) -> dict[str, int]:
        names = {
            "apply": "ApplicationSubmitted",
            "acceptance": "ApplicationAccepted",
            "confirmation": "ApplicationConfirmed",
        }
        return {names[op]: 1} if op in names else {}
