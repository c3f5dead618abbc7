"""Technical platforms in the play: fictitious workshops in real communes, schools that book them, owners who answer or forget."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from demonstration import cast, region
from demonstration.caller import Caller
from territory import reference
from territory.equipment import EQUIPMENT
from territory.school_calendar import school_holiday
from territory.working_time import PARIS, public_holidays

SERVICE = "platform-scheduling"
OWNER_COUNT, GROUP_COUNT = 14, 16
_HABILITATIONS = {"electricite": "electrique", "soudage": "sst", "engins": "caces-r489", "cuisine": "hygiene"}
_PROJECTS = (
    "Découverte des métiers, une classe de troisième",
    "Séance d’essai avant les vœux d’orientation",
    "Module de formation, machines que nous n’avons pas",
    "Atelier de remobilisation, six jeunes et leur éducatrice",
)


@dataclass(frozen=True)
class Workshop:
    """A fictitious platform: its owner's persona, what it has, on which days of the week it is offered; how rarely its owner answers."""

    platform_id: UUID
    persona: str
    owner_title: str
    title: str
    equipment_codes: tuple[str, ...]
    commune_code: str
    weekdays: tuple[int, ...]
    units: int
    automatic: bool
    silence: float


@dataclass(frozen=True)
class Group:
    """A real collège in whose name a fictitious class books."""

    persona: str
    uai: str
    title: str
    commune_code: str


def workshops(seed: int = cast.SEED) -> list[Workshop]:
    """One or two platforms for each owner, more where more people live."""
    draw = random.Random(seed + 7)  # noqa: S311 - a play, not a secret
    towns = [c for c in reference.communes().values() if c.population >= 4000]
    codes = list(EQUIPMENT)
    draw.shuffle(codes)
    found = []
    for owner in range(1, OWNER_COUNT + 1):
        (town,) = draw.choices(towns, [c.population**0.6 for c in towns])
        kind = ("Lycée des métiers", "CFA", "Lycée professionnel", "Plateforme technologique")[owner % 4]
        for number in range(1 + owner % 2):
            code = codes[(2 * owner + number) % len(codes)]
            pair = (code, codes[(2 * owner + 9) % len(codes)]) if owner % 5 == 0 else (code,)
            found.append(
                Workshop(
                    cast.identity("platform", seed, owner, number),
                    f"owner-{owner:02d}",
                    f"{kind} de {town.title}",
                    EQUIPMENT[code].title,
                    pair,
                    town.code,
                    tuple(sorted(draw.sample(range(5), draw.randint(2, 4)))),
                    draw.choice((1, 1, 1, 2, 3)),
                    owner % 4 == 0,
                    draw.random() * 0.6,
                )
            )
    return found


def groups(seed: int = cast.SEED) -> list[Group]:
    """Collèges of the region, drawn by seed."""
    draw = random.Random(seed + 8)  # noqa: S311
    chosen = draw.sample([one for one in reference.schools() if one.grade9_count > 60], GROUP_COUNT)
    return [Group(f"group-{n:02d}", one.uai, one.title, one.commune_code) for n, one in enumerate(chosen, 1)]


def personas(seed: int = cast.SEED) -> dict[str, dict[str, Any]]:
    """Accounts of owners and of the classes that book."""
    accounts: dict[str, dict[str, Any]] = {}
    for one in workshops(seed):
        number = int(one.persona.removeprefix("owner-"))
        accounts[one.persona] = {
            "label": f"Propriétaire de plateaux : {one.owner_title} (fictif)",
            "sub": one.persona,
            "roles": ["owner"],
            "structure_id": region.siret(800_000 + number),
            "email": f"{one.persona}@plateaux.example",
            "name": one.owner_title,
        }
    for group in groups(seed):
        accounts[group.persona] = {
            "label": f"{group.title}, une classe qui réserve (fictif)",
            "sub": group.persona,
            "roles": ["school"],
            "structure_id": group.uai,
            "email": f"{group.persona}@ecoles.example",
            "name": f"{group.title} (fictif)",
        }
    return accounts


class Workshops:
    """What happens around platforms, day by day."""

    def __init__(self, caller: Caller, seed: int = cast.SEED) -> None:
        self._caller = caller
        self._draw = random.Random(seed + 9)  # noqa: S311
        self._workshops, self._groups = workshops(seed), groups(seed)
        self._open: list[dict[str, Any]] = []
        # What a case may be attached to since the last time: who may, and where.
        self.attachable: list[tuple[str, str]] = []

    async def register(self, first_day: date) -> None:
        """Every owner describes its platforms and offers time, on school days only."""
        await asyncio.gather(*(self._register(one, first_day) for one in self._workshops))

    async def _register(self, one: Workshop, first_day: date) -> None:
        code = one.equipment_codes[0]
        body = {
            "owner_title": one.owner_title,
            "title": one.title,
            "commune_code": one.commune_code,
            "equipment_codes": list(one.equipment_codes),
            "capacity_count": 12 if one.units > 1 else 16,
            "units": [f"Poste {n}" for n in range(1, one.units + 1)] if one.units > 1 else ["Atelier"],
            "accessible": self._draw.random() < 0.5,
            "habilitation_codes": [_HABILITATIONS[code]] if code in _HABILITATIONS else [],
            "approval": "AUTOMATIC" if one.automatic else "OWNER",
            "rules": "Chaussures fermées, cheveux attachés. Se présenter à l’accueil dix minutes avant.",
            "fictitious": True,
        }
        path = f"/v1/platforms/{one.platform_id}"
        await self._call(one.persona, "PUT", path, body)
        for weekday in one.weekdays:
            begin = first_day + timedelta(days=(weekday - first_day.weekday()) % 7)
            offered = {
                "starts_at_local": f"{begin}T{'13:30' if weekday == 2 else '08:00'}",
                "length_minutes": 210 if weekday == 2 else 300,
                "rrule": "FREQ=WEEKLY",
            }
            window_id = cast.identity("window", str(one.platform_id), weekday)
            await self._call(one.persona, "PUT", f"{path}/windows/{window_id}", offered)

    async def play_days(self, day: date) -> None:
        """Owners and classes answer first, then new bookings; one after the other, so that the machine changes nothing."""
        for booking in list(self._open):
            await self._answer(booking, day)
        if day.month not in (7, 8):
            for _ in range(self._draw.randint(5, 11)):
                await self._book(day)

    async def _book(self, day: date) -> None:
        one, group = self._draw.choice(self._workshops), self._draw.choice(self._groups)
        weekday, weeks_ahead, early = (
            self._draw.choice(one.weekdays),
            self._draw.randint(1, 5),
            self._draw.random() < 0.5,
        )
        on = day + timedelta(days=(weekday - day.weekday()) % 7 + 7 * weeks_ahead)
        hours = self._draw.choice((2, 3, 3, 4))
        if school_holiday(on) or on in public_holidays(on.year):
            return
        begin = datetime.combine(on, time(14) if weekday == 2 else time(8 if early else 10), PARIS)
        hours = min(hours, 3)
        code = one.equipment_codes[0]
        body = {
            "platform_id": str(one.platform_id),
            "starts_at": begin.isoformat(),
            "ends_at": (begin + timedelta(hours=hours)).isoformat(),
            "group_size": self._draw.randint(6, 12),
            "habilitation_codes": [_HABILITATIONS[code]] if code in _HABILITATIONS else [],
            "purpose": self._draw.choice(_PROJECTS),
            "in_line": self._draw.random() < 0.3,
            # A school has several classes.
            "overlapping": True,
        }
        answer = await self._call(group.persona, "POST", "/v1/bookings", body)
        if answer is not None:
            self.attachable.append((group.persona, f"/v1/bookings/{answer['booking_id']}/case"))
            self._open.append(
                {"id": answer["booking_id"], "on": on, "one": one, "group": group, "answered": one.automatic}
            )

    async def _answer(self, booking: dict[str, Any], day: date) -> None:
        chance, one, path = self._draw.random(), booking["one"], f"/v1/received-bookings/{booking['id']}"
        if booking["on"] < day:
            self._open.remove(booking)
            if booking["answered"] and chance < 0.04:
                await self._call(one.persona, "POST", f"{path}/no-show")
        elif not booking["answered"]:
            if chance < 0.8 * (1 - one.silence):
                booking["answered"] = True
                await self._call(one.persona, "POST", f"{path}/approval")
            elif chance < 0.88 * (1 - one.silence):
                self._open.remove(booking)
                reason = self._draw.choice(("MAINTENANCE", "SUPERVISION", "PURPOSE"))
                await self._call(one.persona, "POST", f"{path}/refusal", {"reason": reason})
        elif chance < 0.012:
            self._open.remove(booking)
            await self._call(booking["group"].persona, "POST", f"/v1/bookings/{booking['id']}/cancellation")

    async def _call(self, persona: str, method: str, path: str, body: Any = None) -> Any:
        return await self._caller.call(SERVICE, persona, method, path, body)
