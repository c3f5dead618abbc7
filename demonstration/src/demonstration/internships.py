"""Internships in the play: hosts with offers, pupils who apply, answers and silences, and one class's campaign."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from common.spreadsheet import written_table
from demonstration import cast, region
from demonstration.caller import Caller
from territory import reference
from territory.weeks import week_of

SERVICE = "stage-matching"
HOST_COUNT, SEEKER_COUNT = 36, 30
SCHOOL = "0760017F"  # Collège le Cèdre, Canteleu, of priority education
_FIRST_TABLE_COUNT = 400
_WEEKS_AHEAD = 70


@dataclass
class Host:
    """A fictitious organisation with one offer; `silence` is how rarely it answers."""

    host_id: UUID
    offer_id: UUID
    host_name: str
    title: str
    rome_code: str
    commune_code: str
    number: int
    silence: float

    @property
    def persona(self) -> str:
        """Its account at the development issuer."""
        return f"host-{self.number:02d}"


def hosts(seed: int = cast.SEED) -> list[Host]:
    """Hosts of the trades of the region, more where more people live; a few hardly ever answer."""
    draw = random.Random(seed + 5)  # noqa: S311 - a play, not a secret
    towns = [c for c in reference.communes().values() if c.population >= 3000]
    found = []
    for number in range(1, HOST_COUNT + 1):
        ((title, rome_code, *_),) = draw.choices(region.TRADES, [trade[3] for trade in region.TRADES])
        (town,) = draw.choices(towns, [c.population**0.75 for c in towns])
        silence = 0.97 if number % 9 == 0 else draw.random() * 0.5
        found.append(
            Host(
                cast.identity("host", seed, number),
                cast.identity("offer", seed, number),
                f"{title} {town.title}",
                f"Découverte : {title.lower()}",
                rome_code,
                town.code,
                number,
                silence,
            )
        )
    return found


def personas(found: list[Host]) -> dict[str, dict[str, Any]]:
    """Accounts of hosts, pupils, and one school."""
    accounts: dict[str, dict[str, Any]] = {
        host.persona: {
            "label": f"Organisme d’accueil : {host.host_name} (fictif)",
            "sub": host.persona,
            "roles": ["host"],
            "structure_id": str(host.host_id),
            "email": f"{host.persona}@organismes.example",
            "name": host.host_name,
        }
        for host in found
    }
    for number in range(1, SEEKER_COUNT + 1):
        key = f"seeker-{number:02d}"
        accounts[key] = {
            "label": f"Élève {number:02d} qui cherche un stage (fictif)",
            "sub": key,
            "roles": ["seeker"],
            "email": f"{key}@eleves.example",
            "name": f"Élève {number:02d}",
        }
    school = next(one for one in reference.schools() if one.uai == SCHOOL)
    accounts["school"] = {
        "label": f"{school.title}, secrétariat (fictif)",
        "sub": "school",
        "roles": ["school"],
        "structure_id": SCHOOL,
        "email": "secretariat@ecoles.example",
        "name": school.title,
    }
    return accounts


class Internships:
    """What happens around internships, day by day."""

    def __init__(self, caller: Caller, seed: int = cast.SEED) -> None:
        self._caller = caller
        self._draw = random.Random(seed + 6)  # noqa: S311
        self._hosts = {str(host.offer_id): host for host in hosts(seed)}
        self._open: list[dict[str, Any]] = []
        self._next_seeker = 0
        # What a case may be attached to since the last time: who may, and where.
        self.attachable: list[tuple[str, str]] = []

    async def register(self, first_day: date) -> None:
        """Every organisation describes itself and its offer for more than a year; most sign the charter."""
        await asyncio.gather(*(self._register(host, first_day) for host in self._hosts.values()))

    async def _register(self, host: Host, first_day: date) -> None:
        body = {
            "host_name": host.host_name,
            "siret": region.siret(900_000 + host.number),
            "kind": ("COMPANY", "CRAFTSMAN", "ADMINISTRATION", "ASSOCIATION")[host.number % 4],
            "commune_code": host.commune_code,
            "fictitious": True,
        }
        await self._call(host.persona, "PUT", "/v1/host", body)
        monday = first_day - timedelta(days=first_day.weekday())
        seats = {
            week_of(monday + timedelta(weeks=n)): 1 + (n + host.number) % 3
            for n in range(1, _WEEKS_AHEAD)
            if (n + host.number) % 4 < 3
        }
        offer = {
            "title": host.title,
            "kind": "OBSERVATION",
            "rome_codes": [host.rome_code],
            "commune_code": host.commune_code,
            "audiences": ["PUPIL", "STUDENT"],
            "seats": dict(list(seats.items())[:60]),
            "reserved": {"PRIORITY_EDUCATION": 1} if host.number % 5 == 0 else {},
        }
        await self._call(host.persona, "PUT", f"/v1/offers/{host.offer_id}", offer)
        if host.silence < 0.35:
            await self._call(host.persona, "POST", "/v1/host/charter", {"commitments": ["INTERNS", "VISITS"]})
            if host.number % 2:
                await self._call("agency", "POST", f"/v1/hosts/{host.host_id}/label")

    async def play_days(self, day: date) -> None:
        """Answers first, then new applications; one after the other, so that the machine changes nothing."""
        for application in list(self._open):
            await self._answer(application)
        if day.month not in (7, 8):
            for _ in range(self._draw.randint(1, 3)):
                await self._apply(day)

    async def _apply(self, day: date) -> None:
        self._next_seeker = self._next_seeker % SEEKER_COUNT + 1
        persona = f"seeker-{self._next_seeker:02d}"
        host = self._draw.choice(list(self._hosts.values()))
        near = reference.communes_within(host.commune_code, 15)
        week = week_of(day + timedelta(weeks=self._draw.randint(4, 9)))
        request = {
            "audience": "PUPIL",
            "age": self._draw.choice((14, 14, 15)),
            "commune_code": self._draw.choice(near)[1],
            "radius_km": 30,
            "iso_weeks": [week],
            "wishes": list(dict.fromkeys((host.rome_code[:3], self._draw.choice(region.TRADES)[2]))),
        }
        await self._call(persona, "PUT", "/v1/request", request)
        body = {
            "offer_id": str(host.offer_id),
            "iso_weeks": [week],
            "letter": "Bonjour, ce métier m’intéresse, j’aimerais le découvrir.",
        }
        answer = await self._call(persona, "POST", "/v1/applications", body)
        if answer is not None:
            self._open.append({"id": answer["application_id"], "host": host, "seeker": persona, "state": "submitted"})

    async def _answer(self, application: dict[str, Any]) -> None:
        chance, host = self._draw.random(), application["host"]
        one = application["id"]
        if application["state"] == "accepted":
            self._open.remove(application)
            action = "confirmation" if chance < 0.85 else "withdrawal"
            done = await self._call(application["seeker"], "POST", f"/v1/applications/{one}/{action}")
            if done is not None and action == "confirmation":
                self.attachable.append(("agency", f"/v1/applications/{one}/case"))
        elif chance < (1 - host.silence) * 0.35:
            if self._draw.random() < 0.7:
                done = await self._call(host.persona, "POST", f"/v1/received-applications/{one}/acceptance")
                application["state"] = "accepted"
                if done is None:
                    self._open.remove(application)
            else:
                self._open.remove(application)
                body = {"reason": self._draw.choice(("NO_TUTOR", "DATES", "ACTIVITY"))}
                await self._call(host.persona, "POST", f"/v1/received-applications/{one}/refusal", body)

    async def campaign(self, today: date) -> None:
        """A class of a real collège, its pupils fictitious: from the table to the published lists."""
        offers = written_table(region.OFFER_COLUMNS, list(region.offers(today, _FIRST_TABLE_COUNT))).encode()
        params = {"fictitious": "true", "keep": "good", "replace": "true"}
        await self._call("agency", "POST", "/v1/offers/csv", content=offers, params=params)
        campaign_id = cast.identity("campaign", today.isoformat())
        title = {"title": "Stage de troisième, classe 3A (fictif)", "scope": "CLASS"}
        await self._call("school", "PUT", f"/v1/campaigns/{campaign_id}", title)
        lines = [line for line in region.pupils(today) if line[0] == SCHOOL and line[1] == "3A"]
        table = written_table(region.PUPIL_COLUMNS, lines).encode()
        await self._call("school", "POST", f"/v1/campaigns/{campaign_id}/pupils", content=table)
        await self._call("school", "POST", f"/v1/campaigns/{campaign_id}/freeze")
        if await self._reached(campaign_id, "computed"):
            await self._call("school", "POST", f"/v1/campaigns/{campaign_id}/publication")
            await self._reached(campaign_id, "published")

    async def _reached(self, campaign_id: UUID, state: str) -> bool:
        for _ in range(120):
            found = await self._call("school", "GET", f"/v1/campaigns/{campaign_id}")
            if found is not None and found["state"] == state and found["work"] is None:
                return True
            await asyncio.sleep(0.5)
        return False

    async def _call(self, persona: str, method: str, path: str, body: Any = None, **more: Any) -> Any:
        return await self._caller.call(SERVICE, persona, method, path, body, **more)
