"""What the tests of the dropout observatory share: who reports and follows, and a report."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID, uuid4

import httpx

from common.embedded.stack import Stack
from common.testing import client_of
from territory import reference
from territory.months import month_of, months_after

SERVICE, TOPIC = "dropout-observatory", "dropout-observatory.cases.v1"
ROUEN = "76540"


def month(back: int = 0) -> str:
    """The month that runs, or one before it."""
    return f"{months_after(month_of(datetime.now(UTC)), -back):%Y-%m}"


def report_body(**changes: Any) -> dict[str, Any]:
    """Somebody of 17 from a vocational lycée in Rouen."""
    return {
        "left_month": month(2),
        "level_left": "CAP",
        "school_kind": "VOCATIONAL_LYCEE",
        "age": 17,
        "commune_code": ROUEN,
        "factors": ["MOBILITY", "ORIENTATION_NOT_CHOSEN"],
        **changes,
    }


@cache
def towns() -> tuple[str, ...]:
    """Communes of as many intercommunalities, so that each test has a territory of its own."""
    of_epci: dict[str, str] = {}
    for code, commune in sorted(reference.communes().items()):
        of_epci.setdefault(commune.epci_siren, code)
    return tuple(of_epci.values())


@dataclass
class Observatory:
    """The service as its users see it."""

    stack: Stack
    url: str

    async def reporter(self, role: str = "referent", account: str = "") -> httpx.AsyncClient:
        """Somebody of an organisation that reports."""
        return await client_of(
            self.stack, self.url, f"{role}-{uuid4().hex[:8]}", role, structure_id=account or f"org-{uuid4().hex[:8]}"
        )

    async def agency(self) -> httpx.AsyncClient:
        """The agency."""
        return await client_of(self.stack, self.url, "test-agency", "agency")

    async def platform(self, *epcis: str) -> httpx.AsyncClient:
        """A member of a platform that follows these intercommunalities, of which no other test uses one."""
        psad_id = uuid4()
        async with await self.agency() as agency:
            body = {"title": f"PSAD {psad_id.hex[:6]}", "epcis": list(epcis)}
            answer = await agency.put(f"/v1/psads/{psad_id}", json=body)
            assert answer.status_code == 200, answer.text
        return await self.reporter("psad", str(psad_id))


def mistyped(code: str) -> str:
    """A code with one character wrong, which is always seen; turned round, one code in 31 is one again."""
    return code[:-1] + ("3" if code[-1] == "2" else "2")


async def reported(client: httpx.AsyncClient, **changes: Any) -> tuple[UUID, str]:
    """A case: its id and code."""
    answer = await client.post("/v1/cases", json=report_body(**changes))
    assert answer.status_code == 201, answer.text
    return UUID(answer.json()["case_id"]), answer.json()["case_code"]
