"""The stage matching service as its users see it: hosts with offers, seekers, schools, the agency."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx

from common.embedded.stack import Stack
from common.testing import client_of, url_of
from territory.identifiers import siret_is_valid
from territory.weeks import monday, span, week_of

NEXT = week_of((datetime.now(UTC) + timedelta(weeks=6)).date())
LATER = span(NEXT, 3)[2]
# Collège le Cèdre at Canteleu, of priority education, and Collège Jean Lecanuet at Rouen.
SCHOOL, OTHER_SCHOOL = "0760017F", "0760172Z"


def siret() -> str:
    """A fictitious SIRET with a right key."""
    head = f"9{random.randrange(10**12):012d}"
    return next(head + str(n) for n in range(10) if siret_is_valid(head + str(n)))


@dataclass
class Stages:
    """Clients and what tests make with them."""

    stack: Stack

    @property
    def url(self) -> str:
        """Where the service listens."""
        return url_of(self.stack, "stage-matching")

    async def client(self, sub: str, role: str, **claims: Any) -> httpx.AsyncClient:
        """A client that carries a token."""
        return await client_of(self.stack, self.url, sub, role, **claims)

    async def host(self) -> tuple[UUID, httpx.AsyncClient]:
        """A registered organisation and its client."""
        host_id = uuid4()
        client = await self.client(f"host-{host_id.hex[:8]}", "host", structure_id=str(host_id))
        body = {
            "host_name": f"Atelier {host_id.hex[:6]}",
            "siret": siret(),
            "kind": "CRAFTSMAN",
            "commune_code": "76540",
            "fictitious": True,
        }
        answer = await client.put("/v1/host", json=body)
        assert answer.status_code == 200, answer.text
        return host_id, client

    async def offer(self, host: httpx.AsyncClient, seats: dict[str, int], **changes: Any) -> UUID:
        """A published offer in Rouen."""
        offer_id = uuid4()
        answer = await host.put(f"/v1/offers/{offer_id}", json=offer_body(seats, **changes))
        assert answer.status_code == 200, answer.text
        return offer_id

    async def seeker(self, **changes: Any) -> httpx.AsyncClient:
        """A pupil of Rouen who has told what they look for."""
        client = await self.client(f"seeker-{uuid4().hex[:8]}", "seeker")
        answer = await client.put("/v1/request", json=request_body(**changes))
        assert answer.status_code == 200, answer.text
        return client


def offer_body(seats: dict[str, int], **changes: Any) -> dict[str, Any]:
    """An offer for pupils."""
    return {
        "title": "Découverte de l’atelier",
        "kind": "OBSERVATION",
        "rome_codes": ["H2913"],
        "commune_code": "76540",
        "audiences": ["PUPIL"],
        "seats": seats,
        **changes,
    }


def born(age: int, week: str = NEXT) -> str:
    """The month of birth of somebody who is so old on the first day of a week, and in the week before and after it."""
    first = monday(week) - timedelta(days=180)
    return f"{first.year - age}-{first.month:02}"


def born_typed(age: int) -> dict[str, str]:
    """The same as the fields of the form."""
    year, month = born(age).split("-")
    return {"naissance_mois": str(int(month)), "naissance_annee": year}


def request_body(**changes: Any) -> dict[str, Any]:
    """A pupil of Rouen who wishes for industry; or somebody of another `age`."""
    if "age" in changes:
        changes["birth_month"] = born(changes.pop("age"))
    return {
        "audience": "PUPIL",
        "birth_month": born(14),
        "commune_code": "76540",
        "radius_km": 30,
        "iso_weeks": [NEXT],
        "wishes": ["H29"],
        **changes,
    }


async def apply(seeker: httpx.AsyncClient, offer_id: UUID, *weeks: str) -> httpx.Response:
    """An application."""
    return await seeker.post("/v1/applications", json={"offer_id": str(offer_id), "iso_weeks": list(weeks or (NEXT,))})
