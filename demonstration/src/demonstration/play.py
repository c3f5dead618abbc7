"""The play: a school year of declarations and holds while the development clock walks to today, then a gentle trickle."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from common import clock
from common.embedded.stack import Stack
from demonstration import cast, dropouts, internships, outreach
from demonstration import workshops as platforms
from demonstration.caller import Caller
from demonstration.cast import Programme
from demonstration.dropouts import Dropouts
from demonstration.internships import Internships, hosts, personas
from demonstration.outreach import Outreach
from demonstration.parents import ParentsCafes
from demonstration.workshops import Workshops
from territory.working_time import is_working_day

HISTORY_DAYS = 300
_STEP_DAYS = 2
_TRICKLE_SECONDS = (2.0, 6.0)
_SEATS = "remediation-seats"


class Demonstration:
    """Talks to the development issuer, to the services' HTTP and to the clock; to nothing else."""

    def __init__(
        self, stack: Stack, say: Callable[[str], None], *, seed: int = cast.SEED, history_days: int = HISTORY_DAYS
    ) -> None:
        self._stack = stack
        self._say = say
        self._history_days = history_days
        self._draw = random.Random(seed + 2)  # noqa: S311 - a play, not a secret
        self._seed = seed
        self._structures = cast.structures(seed)
        self._programmes: list[Programme] = []
        self._holds: list[dict[str, Any]] = []
        self._codes: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._caller = Caller(stack, say)
        self._internships = Internships(self._caller, seed)
        self._workshops = Workshops(self._caller, seed)
        self._outreach = Outreach(self._caller, seed)
        self._dropouts = Dropouts(self._caller, seed)
        mails_url = f"http://127.0.0.1:{stack.settings.mail_port}/api/mails"
        self._parents = ParentsCafes(self._caller, mails_url, seed)
        self._done = stack.settings.home / "demonstration.done"
        self._offset_seconds = 0.0

    # -- what `estuaire up` calls

    def write_personas(self) -> None:
        """Gives the development issuer its accounts."""
        self._stack.settings.home.mkdir(parents=True, exist_ok=True)
        (self._stack.settings.home / "personas.json").write_text(
            json.dumps(
                cast.personas(self._structures)
                | personas(hosts(self._seed))
                | platforms.personas(self._seed)
                | outreach.personas()
                | dropouts.personas(),
                ensure_ascii=False,
                indent=1,
            )
        )

    def play_history(self) -> None:
        """Plays the year the first time; later starts only learn what there is."""
        today = datetime.now(UTC).date()
        self._programmes = cast.programmes(self._structures, today)
        if self._done.exists():
            self._run(self._recall())
            return
        self._say(
            f"playing a school year: {len(self._structures)} fictitious structures, {len(self._programmes)} programmes"
        )
        self._run(self._play(today))
        self._done.write_text(today.isoformat())

    def trickle(self) -> None:
        """One thing happens, then a pause of a few seconds."""
        self._run(self._one_thing())
        time.sleep(random.uniform(*_TRICKLE_SECONDS))  # noqa: S311

    # -- the year

    async def _play(self, today: date) -> None:
        await self._set_clock(-self._history_days)
        await asyncio.gather(*(self._register(structure) for structure in self._structures))
        await asyncio.gather(*(self._describe(programme) for programme in self._programmes))
        first_day = today - timedelta(days=self._history_days)
        await asyncio.gather(
            self._internships.register(first_day),
            self._workshops.register(first_day),
            self._outreach.register(first_day, today),
            self._parents.register(first_day, today),
            self._dropouts.register(),
        )
        with Progress(
            TextColumn("          {task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f} %"),
            TimeRemainingColumn(),
            console=Console(highlight=False),
        ) as bar:
            task = bar.add_task("school year", total=self._history_days)
            for back in range(self._history_days, 0, -_STEP_DAYS):
                # A broker that dies now would else be away until the year is over.
                self._stack.heal()
                await self._set_clock(-back)
                day = today - timedelta(days=back)
                # Services that know nothing of each other: what happens in one cannot change another's play.
                await asyncio.gather(
                    self._play_days(day, last=back <= _STEP_DAYS),
                    self._internships.play_days(day),
                    self._workshops.play_days(day),
                    self._outreach.play_days(day),
                    self._parents.play_days(day),
                    self._dropouts.play_days(day),
                )
                for service, play in (
                    (internships.SERVICE, self._internships),
                    (platforms.SERVICE, self._workshops),
                    (outreach.SERVICE, self._outreach),
                ):
                    await self._dropouts.attach(service, play.attachable)
                bar.update(task, advance=_STEP_DAYS, description=f"{today - timedelta(days=back):%d/%m/%Y}  ")
        await self._set_clock(0)
        await asyncio.gather(
            self._internships.campaign(today), self._outreach.play_today(today), self._parents.play_today(today)
        )
        # Something fresh on the first screen, whatever day of the week the play is given.
        await asyncio.gather(
            *(
                self._declare(programme)
                for programme in self._programmes
                if self._draw.random() < 0.35 and programme.structure.silence < 0.5
            )
        )

    async def _play_days(self, day: date, *, last: bool) -> None:
        """What a partner and a prescriber did in these days: answers first, then declarations, then new holds."""
        rate = 0.05 if day.month in (7, 8) else 1.0
        # One after the other: which of two holds gets the last seat must not depend on the machine.
        for hold in list(self._holds):
            await self._answer(hold)
        declaring = [p for p in self._programmes if self._draw.random() < rate * 0.34 * (1 - p.structure.silence) ** 2]
        for programme in declaring:
            self._drift(programme)
        await asyncio.gather(*(self._declare(programme) for programme in declaring))
        if is_working_day(day) or last:
            await self._hold_some(int(self._draw.randint(2, 7) * rate) + (12 if last else 0))

    def _drift(self, programme: Programme) -> None:
        programme.taken_count = max(
            0, min(programme.total_count, programme.taken_count + self._draw.choice((-2, -1, -1, 0, 0, 1, 1, 2)))
        )

    async def _hold_some(self, count: int) -> None:
        for _ in range(count):
            await self._hold(
                self._draw.choice(self._programmes), self._draw.randint(1, cast.PRESCRIBER_COUNT), self._draw.random()
            )

    async def _one_thing(self) -> None:
        """The live trickle: mostly declarations, some holds and answers."""
        chance = random.random()  # noqa: S311 - after the year, time itself differs from run to run
        if chance < 0.5 or not self._holds:
            programme = random.choice([p for p in self._programmes if p.structure.silence < 0.6])  # noqa: S311
            self._drift(programme)
            await self._declare(programme)
        elif chance < 0.75:
            await self._hold(random.choice(self._programmes), random.randint(1, cast.PRESCRIBER_COUNT), random.random())  # noqa: S311
        else:
            await self._answer(random.choice(self._holds))  # noqa: S311

    # -- single acts, each by the public interface

    async def _register(self, structure: cast.Structure) -> None:
        await self._call(
            "agency",
            "PUT",
            f"/v1/structures/{structure.structure_id}",
            {
                "structure_name": structure.structure_name,
                "kind": structure.kind,
                "commune_code": structure.commune_code,
                "contact_email": f"{structure.persona}@structures.example",
                "fictitious": True,
            },
        )

    async def _describe(self, programme: Programme) -> None:
        await self._call(programme.structure.persona, "PUT", f"/v1/programmes/{programme.programme_id}", programme.body)

    async def _declare(self, programme: Programme) -> None:
        await self._call(
            programme.structure.persona,
            "POST",
            "/v1/declarations",
            {
                "programme_id": str(programme.programme_id),
                "total_count": programme.total_count,
                "taken_count": programme.taken_count,
                "observed_at": (datetime.now(UTC) + timedelta(seconds=self._offset_seconds)).isoformat(),
            },
        )

    async def _hold(self, programme: Programme, prescriber: int, chance: float) -> None:
        code = self._codes[int(chance * len(self._codes))] if self._codes and chance < 0.2 else None
        # A new young person may be a case of the observatory.
        cases = self._dropouts.codes
        case_code = cases.pop(int(chance * len(cases))) if cases and chance > 0.6 else None
        answer = await self._call(
            f"prescriber-{prescriber:02d}",
            "POST",
            "/v1/holds",
            {
                "programme_id": str(programme.programme_id),
                "young_person_code": code,
                "age": (programme.body["age_min"] + programme.body["age_max"]) // 2,
                "level": programme.body["level_min"],
                "case_code": case_code,
            },
        )
        if answer is not None:
            self._codes = [*self._codes[-50:], answer["young_person_code"]]
            self._holds.append(
                {
                    "hold_id": answer["hold_id"],
                    "programme": programme,
                    "prescriber": f"prescriber-{prescriber:02d}",
                    "state": "held",
                }
            )

    async def _answer(self, hold: dict[str, Any]) -> None:
        """A structure confirms, declines or forgets; a confirmed young person mostly arrives."""
        chance, programme = self._draw.random(), hold["programme"]
        if hold["state"] == "confirmed":
            self._holds.remove(hold)
            if (
                chance < 0.85
                and await self._act(hold, programme.structure.persona, "received-holds", "admission") is not None
            ):
                programme.taken_count = min(programme.total_count, programme.taken_count + 1)
        elif chance < 0.5:
            today = (datetime.now(UTC) + timedelta(seconds=self._offset_seconds)).date()
            hold["state"] = "confirmed"
            if (
                await self._act(
                    hold,
                    programme.structure.persona,
                    "received-holds",
                    "confirmation",
                    {"arrival_on": (today + timedelta(days=3)).isoformat()},
                )
                is None
            ):
                self._holds.remove(hold)
        elif chance < 0.65:
            self._holds.remove(hold)
            await self._act(
                hold, programme.structure.persona, "received-holds", "decline", {"reason": "CONDITIONS_NOT_MET"}
            )
        elif chance < 0.75:
            self._holds.remove(hold)
            await self._act(hold, hold["prescriber"], "holds", "withdrawal")

    async def _act(
        self, hold: dict[str, Any], persona: str, collection: str, action: str, body: dict[str, Any] | None = None
    ) -> dict[str, Any] | None:
        return await self._call(persona, "POST", f"/v1/{collection}/{hold['hold_id']}/{action}", body)

    async def _call(self, persona: str, method: str, path: str, body: Any = None) -> dict[str, Any] | None:
        result: dict[str, Any] | None = await self._caller.call(_SEATS, persona, method, path, body)
        return result

    async def _recall(self) -> None:
        """After a restart: what the structures last declared, so that the trickle goes on from there."""
        known = {
            UUID(p["programme_id"]): p for structure in self._structures for p in await self._mine(structure.persona)
        }
        for programme in self._programmes:
            if programme.programme_id in known:
                programme.taken_count = known[programme.programme_id]["taken_count"]

    async def _mine(self, persona: str) -> list[dict[str, Any]]:
        mine: list[dict[str, Any]] | None = await self._caller.call(_SEATS, persona, "GET", "/v1/programmes/mine")
        return mine or []

    async def _set_clock(self, days: float) -> None:
        self._offset_seconds = days * 86400
        await clock.write(
            [self._stack.postgres.url(service.package) for service in self._stack.services], self._offset_seconds
        )

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        async def with_client() -> None:
            async with self._caller:
                await work

        self._loop.run_until_complete(with_client())
