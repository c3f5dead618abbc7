"""Early leavers in the play: referents and platforms report over the year, platforms follow; everybody is fictitious, by seed."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from demonstration import cast
from demonstration.caller import Caller
from territory import reference
from territory.months import months_after

SERVICE = "dropout-observatory"
_A_DAY = 0.6
# Of what is booked, confirmed or registered, what is for a case.
_ATTACHED = 0.05
# Twice a year the ministry's lists of who is enrolled nowhere any more are compared: so many are reported at once, about so many
# of whom are found again and followed. The play is shorter than a year: each list only has who left in the last months.
_LISTED, _LISTED_IN, _LISTED_MONTHS, _FOUND = 900, (3, 10), 7, 0.4
# Most leave in autumn, hardly anybody in summer.
_BY_MONTH = (1.0, 1.1, 1.2, 0.9, 0.7, 0.5, 0.2, 0.2, 1.0, 1.6, 1.6, 1.0)
_LEVELS = (
    ("CAP", 30, 16),
    ("VOCATIONAL_BACCALAUREATE", 45, 16),
    ("GENERAL_BACCALAUREATE", 15, 16),
    ("COLLEGE", 8, 16),
    ("OTHER", 2, 18),
)
_SCHOOLS = {
    "CAP": ("VOCATIONAL_LYCEE", "CFA", "MFR"),
    "VOCATIONAL_BACCALAUREATE": ("VOCATIONAL_LYCEE", "VOCATIONAL_LYCEE", "AGRICULTURAL_LYCEE"),
    "GENERAL_BACCALAUREATE": ("GENERAL_LYCEE",),
    "COLLEGE": ("COLLEGE",),
    "OTHER": ("OTHER",),
}
_FACTORS = {
    "ORIENTATION_NOT_CHOSEN": 30,
    "MOBILITY": 22,
    "HEALTH": 14,
    "FAMILY": 18,
    "SCHOOL_CLIMATE": 16,
    "MONEY": 8,
    "HOUSING": 6,
    "WORK": 8,
    "OTHER": 4,
}
_ACCOMPANIERS = ("PSAD", "MISSION_LOCALE", "MISSION_LOCALE", "MLDS", "GUIDANCE_CENTRE")
_OUTCOMES = ("BACK_IN_SCHOOL", "TRAINING", "APPRENTICESHIP", "WORK", "CIVIC_SERVICE", "CONTACT_LOST")
# What may come next, how likely it is on a day of the play, and after how many days at the earliest.
_NEXT = {
    "reported": (("ACCOMPANIED", 0.25, 3),),
    "accompanied": (("OFFERED", 0.08, 10), ("ENDED", 0.01, 40)),
    "offered": (("ADMITTED", 0.12, 5), ("ENDED", 0.01, 30)),
    "admitted": (("CHECKED_AT_3_MONTHS", 0.2, 92),),
    "checked": (("ENDED", 0.05, 60),),
}
_AFTER = {"ACCOMPANIED": "accompanied", "OFFERED": "offered", "ADMITTED": "admitted", "CHECKED_AT_3_MONTHS": "checked"}


def personas() -> dict[str, dict[str, Any]]:
    """A platform and a referent for each department, and a CFA."""
    found = {}
    for code, department in sorted(reference.departments().items()):
        found[f"psad-{code}"] = _persona(
            f"psad-{code}", "psad", f"Plateforme de suivi (PSAD) {department.title}", str(_psad(code))
        )
        found[f"referent-{code}"] = _persona(
            f"referent-{code}", "referent", f"Référente décrochage, lycée du {department.title}", f"lycee-{code}"
        )
    return found | {
        "cfa-observatory": _persona("cfa-observatory", "cfa", "CFA du Grand Quai, suivi des ruptures", "cfa-grand-quai")
    }


def _persona(key: str, role: str, title: str, account: str) -> dict[str, Any]:
    return {
        "label": f"{title} (fictif)",
        "sub": key,
        "roles": [role],
        "structure_id": account,
        "email": f"{key}@observatoire.example",
        "name": title,
    }


def _psad(department_code: str) -> Any:
    return cast.identity("psad", department_code)


@dataclass
class Case:
    """Somebody of the play on their way."""

    number: int
    case_id: str
    department_code: str
    state: str
    since: date


@dataclass
class Dropouts:
    """What happens around the cases, day by day."""

    caller: Caller
    seed: int = cast.SEED
    _cases: list[Case] = field(default_factory=list)
    # Of those who may be sought a seat for.
    codes: list[str] = field(default_factory=list)
    _number: int = 0
    _listed: set[tuple[int, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._draw = random.Random(self.seed + 51)  # noqa: S311 - a play, not a secret
        # Out of the way of who is drawn for the towns.
        self._towns = [one for one in reference.communes().values() if one.population > 0]
        self._weights = [one.population for one in self._towns]

    async def register(self) -> None:
        """A platform for each department; an intercommunality on a border is followed where most of its people live."""
        largest: dict[str, Any] = {}
        for commune in reference.communes().values():
            known = largest.get(commune.epci_siren)
            if commune.epci_siren in reference.epcis() and (known is None or commune.population > known.population):
                largest[commune.epci_siren] = commune
        for code, department in reference.departments().items():
            epcis = sorted(siren for siren, commune in largest.items() if commune.department_code == code)
            body = {"title": f"PSAD {department.title} (fictif)", "epcis": epcis}
            await self._call("agency", "PUT", f"/v1/psads/{_psad(code)}", body)

    async def play_days(self, day: date) -> None:
        """Who left is reported, mostly once; then each goes a step further, or does not. All is drawn before anything is asked."""
        expected = 2 * _A_DAY * _BY_MONTH[day.month - 1]
        count = int(expected) + (self._draw.random() < expected % 1)
        reports = [self._drawn(day) for _ in range(count)]
        steps = [(case, step) for case in self._cases if (step := self._next(case, day)) is not None]
        await asyncio.gather(
            *(self._report(*report, day) for report in reports),
            *(self._follow(case, step, day) for case, step in steps),
        )
        if day.month in _LISTED_IN and (day.year, day.month) not in self._listed:
            self._listed.add((day.year, day.month))
            await self._report_list(day)
        self._cases.sort(key=lambda case: case.number)

    async def _report_list(self, day: date) -> None:
        """Schools and platforms report those of their lists, each in one go."""
        lists: dict[str, list[tuple[int, str, bool, dict[str, Any]]]] = {}
        begins = months_after(day.replace(day=1), -_LISTED_MONTHS)
        months = [months_after(begins, n) for n in range(_LISTED_MONTHS)]
        for _ in range(_LISTED):
            number, code, _, body = self._drawn(day)
            (left,) = self._draw.choices(months, [_BY_MONTH[month.month - 1] for month in months])
            reporter, found = self._draw.choice((f"referent-{code}", f"psad-{code}")), self._draw.random() < _FOUND
            line = {name: value for name, value in body.items() if name != "repeated"} | {"left_month": f"{left:%Y-%m}"}
            lists.setdefault(reporter, []).append((number, code, found, line))
        for reporter, lines in sorted(lists.items()):
            body = {"reports": [line for *_, line in lines], "repeated": "report"}
            answer = await self._call(reporter, "POST", "/v1/cases/bulk", body) or {"receipts": []}
            for (number, code, found, _), receipt in zip(lines, answer["receipts"], strict=False):
                if found and "case_id" in receipt:
                    self._cases.append(Case(number, receipt["case_id"], code, "reported", day))
                    self.codes.append(receipt["case_code"])

    async def attach(self, service: str, attachable: list[tuple[str, str]]) -> None:
        """Now and then a professional says which case something of another service is for."""
        for persona, path in attachable:
            chance = self._draw.random()
            if chance < _ATTACHED and self.codes:
                code = self.codes.pop(int(chance / _ATTACHED * len(self.codes)))
                await self.caller.call(service, persona, "PUT", path, {"case_code": code})
        attachable.clear()

    def _drawn(self, day: date) -> tuple[int, str, list[str], dict[str, Any]]:
        """Number, department, who reports it, what is said; two sources tell of the same person now and then."""
        self._number += 1
        (town,) = self._draw.choices(self._towns, self._weights)
        ((level, _, age_min),) = self._draw.choices(_LEVELS, [share for _, share, _ in _LEVELS])
        factors = self._draw.choices(list(_FACTORS), list(_FACTORS.values()), k=self._draw.choice((1, 2, 2, 3)))
        left = day.replace(day=1) - timedelta(days=self._draw.choice((0, 0, 1, 32)))
        code = town.department_code
        reporter = self._draw.choice((f"referent-{code}", f"psad-{code}", "cfa-observatory"))
        reporters = [reporter, *([f"psad-{code}"] if self._draw.random() < 0.06 and reporter != f"psad-{code}" else [])]
        body = {
            "left_month": f"{left:%Y-%m}",
            "level_left": level,
            "school_kind": self._draw.choice(_SCHOOLS[level]),
            "age": age_min + self._draw.choice((0, 0, 1, 1, 1, 2, 3)),
            "commune_code": town.code,
            "factors": sorted(set(factors)),
            "repeated": "report",
        }
        return self._number, code, reporters, body

    def _next(self, case: Case, day: date) -> dict[str, Any] | None:
        for kind, chance, days in _NEXT[case.state]:
            if (day - case.since).days >= days and self._draw.random() < 2 * chance:
                step: dict[str, Any] = {"kind": kind, "happened_on": day.isoformat()}
                if kind == "ACCOMPANIED":
                    step["accompanier"] = self._draw.choice(_ACCOMPANIERS)
                if kind == "CHECKED_AT_3_MONTHS":
                    (step["presence"],) = self._draw.choices(("THERE", "LEFT", "NOT_KNOWN"), (70, 15, 15))
                if kind == "ENDED":
                    step["outcome"] = self._draw.choice(_OUTCOMES)
                return step
        return None

    async def _report(self, number: int, code: str, reporters: list[str], body: dict[str, Any], day: date) -> None:
        answers = [await self._call(reporter, "POST", "/v1/cases", body) for reporter in reporters]
        if answers[0] is not None:
            self._cases.append(Case(number, answers[0]["case_id"], code, "reported", day))
            self.codes.append(answers[0]["case_code"])

    async def _follow(self, case: Case, step: dict[str, Any], day: date) -> None:
        # An intercommunality on a border may be another platform's: the agency notes for it.
        await self._call("agency", "POST", f"/v1/cases/{case.case_id}/steps", step)
        case.since = day
        if step["kind"] == "ENDED":
            self._cases.remove(case)
        else:
            case.state = _AFTER[step["kind"]]

    async def _call(self, persona: str, method: str, path: str, body: Any) -> Any:
        return await self.caller.call(SERVICE, persona, method, path, body)
