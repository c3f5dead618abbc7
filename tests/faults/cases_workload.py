"""A seeded workload on the dropout observatory: cases that are reported, corrected, withdrawn, followed and told apart."""

from __future__ import annotations

import random
from typing import Any

from territory import reference
from tests.faults.history import History
from tests.faults.workload import Commands
from tests.integration.observatory import ROUEN, SERVICE, month, report_body

_ELSEWHERE = "76351"
_REPEATED = ("ask", "report", "skip")
_CASES_MAX, _CODES_MAX = 40, 20


class CasesWorkload(Commands):
    """Tasks that report one or many, correct, withdraw, reinstate, note and take back steps, and try what is forbidden."""

    def __init__(self, history: History, *, seed: int, endpoints: list[str], issuer_url: str) -> None:
        super().__init__(history, seed=seed, endpoints=endpoints, issuer_url=issuer_url, service=SERVICE, processes=4)
        # Whoever calls, with their role and the account that they act for; each platform follows one of the two towns.
        self._platforms = {str(self._uuid()): reference.communes()[town].epci_siren for town in (ROUEN, _ELSEWHERE)}
        platforms = {f"psad-{n}": ("psad", psad_id) for n, psad_id in enumerate(self._platforms)}
        reporters = {"referent-a": ("referent", "org-a"), "cfa-b": ("cfa", "org-b"), **platforms}
        self._people = {**reporters, "cases-agency": ("agency", "person/cases-agency")}
        self._reporters = sorted(reporters)
        self._cases: list[dict[str, str]] = []
        # Of cases that nobody acts upon any more, for whoever attaches them to what they hold.
        self.codes: list[str] = []

    def _everybody(self) -> dict[str, dict[str, Any]]:
        return {
            name: {"roles": [role], **({"structure_id": account} if role != "agency" else {})}
            for name, (role, account) in self._people.items()
        }

    async def prepare(self) -> None:
        """The platforms with their territories."""
        for number, (psad_id, epci) in enumerate(self._platforms.items()):
            body = {"title": f"PSAD {number}", "epcis": [epci]}
            await self._as("cases-agency", "PUT", f"/v1/psads/{psad_id}", body, op="psad")

    async def _one(self, draw: random.Random) -> None:
        chance = draw.random()
        if chance < 0.3 or len(self._cases) < 4:
            name, body = draw.choice(self._reporters), _body(draw)
            path = "/v1/cases"
            made = await self._as(name, "POST", path, body | {"repeated": draw.choice(_REPEATED)}, op="report")
            self._keep(draw, name, body, made)
        elif chance < 0.38:
            await self._many(draw)
        elif chance < 0.93:
            await self._act(draw, draw.choice(self._cases))
        else:
            await self._try_the_forbidden(draw, draw.choice(self._cases))

    async def _many(self, draw: random.Random) -> None:
        """Lines of which some are alike, as two people may be, and some say what was said before."""
        name = draw.choice(self._reporters)
        lines = [_body(draw) for _ in range(3)]
        lines += draw.choices(lines, k=3)
        body = {"reports": lines, "repeated": draw.choice(_REPEATED)}
        made = await self._as(name, "POST", "/v1/cases/bulk", body, op="bulk")
        for line, receipt in zip(lines, made["receipts"] if made else (), strict=bool(made)):
            self._keep(draw, name, line, receipt)

    def _keep(self, draw: random.Random, name: str, body: dict[str, Any], made: dict[str, Any] | None) -> None:
        if made is None or made["status"] != "reported":
            return
        if len(self.codes) < _CODES_MAX and draw.random() < 0.3:
            self.codes.append(made["case_code"])
            return
        self._cases.append({"case_id": made["case_id"], "by": name, "town": body["commune_code"]})
        del self._cases[:-_CASES_MAX]

    async def _act(self, draw: random.Random, case: dict[str, str]) -> None:
        """As who reported it, as the platform of where they live, or as the agency."""
        platform = f"psad-{(ROUEN, _ELSEWHERE).index(case['town'])}"
        name, case_id = draw.choice((case["by"], case["by"], platform, "cases-agency")), case["case_id"]
        path = f"/v1/cases/{case_id}"
        acts = (
            "correct",
            "correct",
            "withdrawal",
            "reinstatement",
            "reinstatement",
            "step",
            "step",
            "step",
            "take-back",
            "distinction",
        )
        match draw.choice(acts):
            case "correct":
                body = _body(draw)
                says = {name: body[name] for name in ("commune_code", "level_left", "school_kind")}
                says |= {"left_month": f"{body['left_month']}-01", "withdrawn": False}
                if await self._as(name, "PUT", path, body, op="correct", case_id=case_id, says=says) is not None:
                    case["town"] = body["commune_code"]
            case "withdrawal":
                other = draw.choice(self._cases)["case_id"]
                body = draw.choice(({"reason": "MISTAKE"}, {"reason": "DUPLICATE", "duplicate_of": other}))
                await self._as(
                    name, "POST", f"{path}/withdrawal", body, op="withdrawal", case_id=case_id, says={"withdrawn": True}
                )
            case "reinstatement":
                await self._as(name, "POST", f"{path}/reinstatement", None, op="reinstatement", case_id=case_id)
            case "step":
                body = _step(draw)
                await self._as(name, "POST", f"{path}/steps", body, op="step", case_id=case_id, says=body)
            case "take-back":
                seen = await self._as(name, "GET", path, None, op="look")
                if seen and seen["steps"]:
                    step_id = draw.choice(seen["steps"])["step_id"]
                    await self._as(name, "DELETE", f"{path}/steps/{step_id}", None, op="take-back", case_id=case_id)
            case "distinction":
                body = {"other_case_id": draw.choice(self._cases)["case_id"]}
                await self._as(
                    "cases-agency", "POST", f"{path}/distinction", body, op="distinction", case_id=case_id, **body
                )

    async def _try_the_forbidden(self, draw: random.Random, case: dict[str, str]) -> None:
        """Another organisation, which has no territory either; and the agency, which follows and does not report."""
        if draw.random() < 0.2:
            await self._as("cases-agency", "POST", "/v1/cases", _body(draw), op="report", forbidden=True)
            return
        stranger = next(name for name in ("referent-a", "cfa-b") if name != case["by"])
        facts: dict[str, Any] = {"case_id": case["case_id"], "forbidden": True}
        path, body = f"/v1/cases/{case['case_id']}", _step(draw)
        match draw.choice(("correct", "withdrawal", "step", "look")):
            case "correct":
                await self._as(stranger, "PUT", path, _body(draw), op="correct", **facts)
            case "withdrawal":
                await self._as(stranger, "POST", f"{path}/withdrawal", {"reason": "MISTAKE"}, op="withdrawal", **facts)
            case "step":
                await self._as(stranger, "POST", f"{path}/steps", body, op="step", **facts)
            case "look":
                await self._as(stranger, "GET", path, None, op="look", **facts)

    async def _as(self, name: str, method: str, path: str, body: Any, **facts: Any) -> Any:
        role, account = self._people[name]
        return await self.command(name, method, path, body, role=role, account=account, **facts)

    def _effects(self, op: str, content: Any) -> dict[str, int]:
        match op:
            case "report":
                return {"CaseReported": int(content["status"] == "reported")}
            case "bulk":
                return {"CaseReported": sum(receipt["status"] == "reported" for receipt in content["receipts"])}
            case "take-back":
                return {"CaseFollowed": 1}
        return {}


def _body(draw: random.Random) -> dict[str, Any]:
    """Few words, so that many say the same."""
    return report_body(
        left_month=month(draw.choice((2, 3))),
        level_left=draw.choice(("CAP", "COLLEGE")),
        age=draw.choice((16, 17, 19, 22)),
        commune_code=draw.choice((ROUEN, _ELSEWHERE)),
    )


def _step(draw: random.Random) -> dict[str, str]:
    """After any month of leaving."""
    kind = draw.choice(("ACCOMPANIED", "OFFERED", "OFFERED", "ADMITTED", "ADMITTED", "ENDED"))
    body = {"kind": kind, "happened_on": f"{month(1)}-{draw.randint(1, 28):02}"}
    more = {"ACCOMPANIED": {"accompanier": "MISSION_LOCALE"}, "ENDED": {"outcome": "TRAINING"}}
    return body | more.get(kind, {})
