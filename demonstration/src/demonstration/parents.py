"""Parents' cafés in the play: three periods a year in real towns; households verified by mail, merges, waiting lists, who came."""

from __future__ import annotations

import asyncio
import random
import re
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import httpx

from demonstration import cast
from demonstration.caller import Caller
from territory.school_calendar import school_holiday
from territory.working_time import PARIS, is_working_day

SERVICE = "parents-cafes"
# First and last day of a period's cafés, as the policy allows them and a coordinator would choose.
_PERIODS = (((1, 14), (3, 8)), ((9, 24), (11, 4)), ((11, 20), (12, 18)))
_OPEN_DAYS, _WAVE_DAYS, _AHEAD_DAYS = 30, 8, 100
_EVENINGS, _CAFES_AN_EVENING = 5, 4
_TOWNS = {
    "14": ("14118", "14366", "14047"),
    "27": ("27229", "27701", "27056"),
    "50": ("50502", "50218", "50129"),
    "61": ("61001", "61006", "61214"),
    "76": ("76540", "76351", "76217", "76575"),
}
_VENUES = (
    ("AGENCY", "Agence de l’orientation"),
    ("ASSOCIATION", "Maison des associations"),
    ("PUBLIC_SERVICE_HOUSE", "Maison France services"),
    ("CAFE", "Café de la Place"),
)
_THEMES = (
    "AFTER_GRADE_9",
    "AFTER_BACCALAUREATE",
    "VOCATIONAL_PATHS",
    "TRADES",
    "SUPPORTING_A_TEENAGER",
    "STEREOTYPES",
    "DIGITAL_TOOLS",
)
_MAIL_SECONDS_MAX, _PASS_SECONDS_MAX = 20.0, 6.0
_LINK = re.compile(r"/confirmer/(\S+)")


@dataclass
class Cafe:
    """A café of the play: who follows it, when it opens, how many parents would come."""

    cafe_id: UUID
    persona: str
    body: dict[str, Any]
    on: date
    opens_on: date
    wanted: float
    is_planned: bool = False
    is_open: bool = False


@dataclass
class Household:
    """A household with its link, and what it asked for last."""

    token: str
    registration_id: str
    waits: bool
    looks_left: int = 6


@dataclass
class ParentsCafes:
    """What happens around the cafés, day by day."""

    caller: Caller
    mails_url: str
    seed: int = cast.SEED
    _cafes: list[Cafe] = field(default_factory=list)
    _households: list[Household] = field(default_factory=list)
    _number: int = 0

    def __post_init__(self) -> None:
        self._draw = random.Random(self.seed + 23)  # noqa: S311 - a play, not a secret

    # -- what is planned

    async def register(self, first_day: date, today: date) -> None:
        """Venues and who runs exchanges are there from the first day; every evening of every period is known."""
        await asyncio.gather(*(self._places(code) for code in _TOWNS))
        for year in (first_day.year, today.year, today.year + 1):
            for first, last in _PERIODS:
                self._plan(date(year, *first), date(year, *last), first_day, today)

    async def _places(self, code: str) -> None:
        persona = f"coordinator-{code}"
        for n, town in enumerate(_TOWNS[code]):
            for kind, title in (_VENUES[n % len(_VENUES)], _VENUES[(n + 1) % len(_VENUES)]):
                body = {
                    "title": title,
                    "kind": kind,
                    "commune_code": town,
                    "address": f"{3 + n} place du Marché",
                    "capacity_count": 30,
                    "accessible": kind != "CAFE",
                }
                await self._call(persona, "PUT", f"/v1/venues/{self._venue(town, kind)}", body)
            person = {
                "title": f"Animation {code}-{n + 1} (fictif)",
                "email": f"animation-{code}-{n + 1}@agence.example",
            }
            await self._call(persona, "PUT", f"/v1/facilitators/{self._facilitator(code, n)}", person)

    def _plan(self, first: date, last: date, first_day: date, today: date) -> None:
        known = {one.on for one in self._cafes}
        step = (last - first) // (_EVENINGS + 1)
        for evening in range(1, _EVENINGS + 1):
            on = first + step * evening
            while not is_working_day(on) or school_holiday(on):
                on += timedelta(days=1)
            if on in known or not first_day + timedelta(days=12) < on < today + timedelta(days=_AHEAD_DAYS):
                continue
            known.add(on)
            # Two departments an evening, so that whoever is too few has a neighbour.
            for code in self._draw.sample(sorted(_TOWNS), 2):
                for n, town in enumerate(self._draw.sample(_TOWNS[code], _CAFES_AN_EVENING // 2)):
                    self._cafes.append(self._cafe(code, n, town, on, first_day))

    def _cafe(self, code: str, nth: int, town: str, on: date, first_day: date) -> Cafe:
        begin = datetime.combine(on, time(18), PARIS)
        place = _TOWNS[code].index(town)
        body = {
            "theme": self._draw.choice(_THEMES),
            "venue_id": str(self._venue(town, _VENUES[(place + nth % 2) % len(_VENUES)][0])),
            "facilitator_id": str(self._facilitator(code, nth)),
            "starts_at": begin.isoformat(),
            "ends_at": (begin + timedelta(minutes=90)).isoformat(),
            "capacity_count": self._draw.choice((16, 20, 20)),
            "fictitious": True,
        }
        opens_on = max(first_day, on - timedelta(days=_OPEN_DAYS))
        wanted = self._draw.choice((0.25, 0.4, 0.8, 1.2, 1.8))
        return Cafe(self._id("cafe"), f"coordinator-{code}", body, on, opens_on, wanted)

    def _venue(self, town: str, kind: str) -> UUID:
        return cast.identity("cafe-venue", self.seed, town, kind)

    def _facilitator(self, code: str, nth: int) -> UUID:
        return cast.identity("facilitator", self.seed, code, nth)

    def _id(self, kind: str) -> UUID:
        self._number += 1
        return cast.identity(kind, self.seed, self._number)

    # -- day by day

    async def play_days(self, day: date) -> None:
        """Cafés open, households ask and verify their address, take offers or leave; the pass comes, and who came is noted."""
        for cafe in self._cafes:
            if not cafe.is_planned and cafe.opens_on - timedelta(days=45) <= day:
                cafe.is_planned = True
                await self._call(cafe.persona, "PUT", f"/v1/cafes/{cafe.cafe_id}", cafe.body)
            if not cafe.is_open and cafe.opens_on <= day < cafe.on - timedelta(days=8):
                cafe.is_open = True
                await self._call(cafe.persona, "POST", f"/v1/cafes/{cafe.cafe_id}/opening")
        asking = []
        for cafe in self._cafes:
            # All ask on the same days, so that the play waits for mails as seldom as it can.
            if cafe.is_open and day < cafe.on - timedelta(days=3) and day.toordinal() % _WAVE_DAYS < 2:
                seats = cafe.body["capacity_count"] * cafe.wanted * _WAVE_DAYS / _OPEN_DAYS
                count = round(seats / 1.4 + self._draw.random() - 0.5)
                asking += [(cafe.cafe_id, self._email(), self._draw.choice((1, 1, 2))) for _ in range(count)]
        await self._ask(asking)
        await self._answer()
        if any(cafe.is_open and 5 <= (cafe.on - day).days <= 7 for cafe in self._cafes):
            await self._pass_is_over()
        for cafe in self._cafes:
            if cafe.is_open and day - timedelta(days=2) <= cafe.on < day:
                await self._tick(cafe)

    async def play_today(self, today: date) -> None:
        """What is open on the last day."""
        await self.play_days(today)

    def _email(self) -> str:
        self._number += 1
        return f"parents-{self._number:05d}@familles.example"

    async def _ask(self, asking: list[tuple[UUID, str, int]]) -> None:
        """Each asks, reads its mail, and confirms by its link."""
        if not asking:
            return
        asked = await asyncio.gather(
            *(
                self._call(
                    "",
                    "POST",
                    f"/v1/cafes/{cafe_id}/requests",
                    {"email": email, "seat_count": seats, "title": f"Famille {email[8:13]}"},
                )
                for cafe_id, email, seats in asking
            )
        )
        expected = {email for (_, email, _), answer in zip(asking, asked, strict=True) if answer is not None}
        tokens = await self._links_to(expected)
        made = await asyncio.gather(
            *(self._call("", "POST", f"/v1/requests/{tokens[email]}/confirmation", {}) for email in sorted(tokens))
        )
        for answer in made:
            if answer is not None and answer["registration"] is not None:
                one = answer["registration"]
                waits = one["state"] == "waiting"
                self._households.append(Household(answer["household"], one["registration_id"], waits))

    async def _links_to(self, emails: set[str]) -> dict[str, str]:
        """The tokens of the links that addresses were sent, as soon as all have come."""
        found: dict[str, str] = {}
        deadline = asyncio.get_running_loop().time() + _MAIL_SECONDS_MAX
        async with httpx.AsyncClient(timeout=10) as client:
            while emails - found.keys() and asyncio.get_running_loop().time() < deadline:
                for mail in (await client.get(self.mails_url)).json()["mails"]:
                    link = _LINK.search(mail["body"]) if mail["to"] in emails else None
                    if link is not None:
                        found[mail["to"]] = link[1]
                await asyncio.sleep(0.1)
        return found

    async def _answer(self) -> None:
        """Who waits looks a few times whether seats are held for it; some leave early."""
        self._households = [one for one in self._households if one.looks_left > 0]
        for one in self._households:
            body, one.looks_left = {"registration_id": one.registration_id}, one.looks_left - 1
            if one.waits and await self._act(one, "acceptance", body) is not None:
                one.waits = False
            elif self._draw.random() < 0.02:
                one.looks_left = 0
                await self._act(one, "cancellation", body | {"warned": True})

    async def _act(self, one: Household, action: str, body: dict[str, Any]) -> Any:
        return await self._call("", "POST", f"/v1/households/{one.token}/{action}", body)

    async def _pass_is_over(self) -> None:
        """The sweeper looks every other second, and the clock of the play runs fast: it waits for the pass that is due."""
        deadline = asyncio.get_running_loop().time() + _PASS_SECONDS_MAX
        while asyncio.get_running_loop().time() < deadline:
            season = await self._call("agency", "GET", "/v1/season") or {"cafes": [], "as_of": ""}
            now = datetime.fromisoformat(season["as_of"]) if season["as_of"] else None
            due = [
                one
                for one in season["cafes"]
                if now is not None
                and one["state"] == "open"
                and _eight_o_clock(datetime.fromisoformat(one["starts_at"])) <= now
            ]
            if not due:
                return
            await asyncio.sleep(0.2)

    async def _tick(self, cafe: Cafe) -> None:
        """Most of those who are registered came."""
        path = f"/v1/cafes/{cafe.cafe_id}"
        for row in await self._call(cafe.persona, "GET", f"{path}/registrations") or []:
            if row["state"] == "registered" and self._draw.random() < 0.85:
                body = {"registration_id": row["registration_id"], "visitor_count": row["seat_count"]}
                await self._call(cafe.persona, "POST", f"{path}/check-ins", body)

    async def _call(self, persona: str, method: str, path: str, body: Any = None) -> Any:
        return await self.caller.call(SERVICE, persona, method, path, body)


def _eight_o_clock(starts_at: datetime) -> datetime:
    """When the pass looks at a café: in the morning, seven days before."""
    return datetime.combine(starts_at.astimezone(PARIS).date() - timedelta(days=7), time(8), PARIS)
