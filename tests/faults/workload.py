"""A seeded workload on the public HTTP interface; every command is repeated with its key until it has an answer."""

from __future__ import annotations

import asyncio
import math
import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from aiokafka.partitioner import murmur2

from common.commitments import ACCEPTS
from tests.faults.history import History

PARTITIONS = 4
_ATTEMPT_SECONDS_MAX = 40
_ANSWER_SECONDS_MAX = 180


class Commands:
    """Sends commands of many people; each is repeated with its key until it is answered, and the history has all of it."""

    def __init__(
        self,
        history: History,
        *,
        seed: int,
        endpoints: list[str],
        issuer_url: str,
        service: str = "",
        processes: int = 6,
    ) -> None:
        self.endpoints = endpoints  # the rig takes an address out before it stops the replica behind it
        self.command_count = 0
        self.unanswered: list[str] = []
        self._history = history
        self._seed = seed
        self._draw = random.Random(f"{seed}{service}") if service else random.Random(seed)
        self._issuer_url = issuer_url
        # Marks the entries of another service than the seats'.
        self._facts: dict[str, Any] = {"service": service} if service else {}
        self._processes = processes
        self._tokens: dict[str, str] = {}
        self._op_number = 0
        self._interval_seconds = self._next_at = 0.0
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._client = httpx.AsyncClient(timeout=_ATTEMPT_SECONDS_MAX, limits=httpx.Limits(max_connections=50))

    def personas(self) -> dict[str, dict[str, Any]]:
        """Everybody who calls, for the development issuer."""
        return {
            name: {"label": name, "sub": name, "email": f"{name}@example.org", **facts}
            for name, facts in self._everybody().items()
        }

    def _everybody(self) -> dict[str, dict[str, Any]]:
        """Roles and structure of whoever calls, by name."""
        raise NotImplementedError

    async def prepare(self) -> None:
        """Makes what the commands are about."""
        raise NotImplementedError

    def start(self, *, per_second: float = math.inf) -> None:
        """Lets the processes run, with at most so many commands a second in all."""
        self._interval_seconds = 1 / per_second
        self._tasks = [asyncio.create_task(self._run(number)) for number in range(self._processes)]

    async def _run(self, number: int) -> None:
        draw = random.Random(self._seed * 1000 + number)
        while not self._stopping.is_set():
            await self._one(draw)
            await asyncio.sleep(max(draw.random() * 0.02, self._turn()))

    def _turn(self) -> float:
        """In how many seconds the next command may go; what was missed while nobody answered is not made up for."""
        now = time.monotonic()
        self._next_at = max(now, self._next_at) + self._interval_seconds
        return self._next_at - now

    async def _one(self, draw: random.Random) -> None:
        raise NotImplementedError

    @property
    def stopping(self) -> bool:
        """Whether the cell comes to its end."""
        return self._stopping.is_set()

    async def stop(self) -> None:
        """Ends the processes after the command at hand, which each gets answered."""
        self._stopping.set()
        await asyncio.gather(*self._tasks)

    async def cancel(self) -> None:
        """Ends what still runs in a cell that failed."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.aclose()

    async def command(
        self, persona: str, method: str, path: str, body: Any, *, op: str, role: str = "agency", **facts: Any
    ) -> dict[str, Any] | None:
        """Sends a command until it is answered; returns the answer of a 2xx, else None."""
        self._op_number += 1
        op_id = f"{self._facts.get('service', '')}op-{self._op_number}"
        key, trace_id = self._uuid().hex, self._uuid().hex
        where = path.partition("?")[0]
        self._history.add(
            "invoke", op_id=op_id, op=op, role=role, key=key, trace_id=trace_id, path=where, **self._facts, **facts
        )
        deadline = asyncio.get_running_loop().time() + _ANSWER_SECONDS_MAX
        while asyncio.get_running_loop().time() < deadline:
            answer = await self._attempt(persona, role, method, path, body, key, trace_id, op_id, facts)
            if answer is None:
                await asyncio.sleep(0.1)
                continue
            self.command_count += 1
            content = answer.json()
            effects = self._effects(op, content) if answer.is_success else {}
            self._history.add(
                "ok", op_id=op_id, op=op, status=answer.status_code, effects=effects, **self._facts,
                hold_id=content.get("hold_id") if isinstance(content, dict) else None,
            )  # fmt: skip
            if answer.status_code == 409 and ACCEPTS in content:
                # Shown what it would break: it goes on, as a command of its own.
                accepting = f"{where}?{ACCEPTS}={content[ACCEPTS]}"
                return await self.command(persona, method, accepting, body, op=op, role=role, **facts)
            return content if answer.is_success else None
        return None

    async def _attempt(
        self,
        persona: str,
        role: str,
        method: str,
        path: str,
        body: Any,
        key: str,
        trace_id: str,
        op_id: str,
        facts: Any,
    ) -> httpx.Response | None:
        """One try; None when nobody can say what came of it, or nothing did."""
        if not self.endpoints:
            return None
        url = self._draw.choice(self.endpoints) + path
        try:
            headers = {
                "Authorization": f"Bearer {await self._token(persona, role, facts)}",
                "Idempotency-Key": key,
                "traceparent": f"00-{trace_id}-00f067aa0ba902b7-01",
            }
            sent: dict[str, Any] = {"content": body} if isinstance(body, bytes) else {"json": body}
            answer = await self._client.request(method, url, headers=headers, **sent)
        except httpx.HTTPError as error:
            self.unanswered.append(repr(error))
            self._history.add("info", op_id=op_id, error=type(error).__name__)
            return None
        if answer.status_code == 401:
            self._tokens.pop(persona, None)
            return None
        if answer.status_code >= 500:
            self.unanswered.append(answer.text)
            self._history.add("info", op_id=op_id, error=str(answer.status_code), body=answer.text[:200])
            return None
        return answer

    async def _token(self, persona: str, role: str, facts: dict[str, Any]) -> str:
        if persona not in self._tokens:
            answer = await self._client.post(
                f"{self._issuer_url}/token", data={"grant_type": "client_credentials", "client_id": persona}
            )
            self._tokens[persona] = str(answer.json()["access_token"])
        return self._tokens[persona]

    def _effects(self, op: str, content: Any) -> dict[str, int]:
        """Which messages the answer of a 2xx promises."""
        raise NotImplementedError

    def _uuid(self) -> UUID:
        return UUID(int=self._draw.getrandbits(128), version=4)


class Workload(Commands):
    """`processes` tasks that declare, hold, extend, confirm, decline, withdraw, admit, and try what is forbidden."""

    def __init__(
        self, history: History, *, seed: int, endpoints: list[str], issuer_url: str, bulk: int = 0, processes: int = 6, structures: int = 4,
    ) -> None:  # fmt: skip
        super().__init__(history, seed=seed, endpoints=endpoints, issuer_url=issuer_url, processes=processes)
        self.programmes: list[tuple[UUID, UUID]] = []
        self.sentinels: list[UUID] = []
        self.structures = [self._uuid() for _ in range(structures)]
        self._bulk = bulk
        # Of cases of the observatory, where a cell has some: each is attached to one hold.
        self.case_codes: list[str] = []
        self._holds: list[dict[str, Any]] = []
        self._attached: list[dict[str, Any]] = []
        self._codes: list[str] = []

    async def prepare(self, *, programmes: int = 4) -> None:
        """Registers the structures, opens their programmes, and one programme on each partition for the sentinels."""
        for structure_id in self.structures:
            await self._register(structure_id)
        for number in range(len(self.structures) * programmes):
            structure_id = self.structures[number % len(self.structures)]
            self.programmes.append((await self.open_programme(structure_id), structure_id))
        for partition in range(PARTITIONS):
            self.sentinels.append(await self.open_programme(self.structures[0], partition=partition))

    async def _register(self, structure_id: UUID) -> None:
        body = {"structure_name": f"Structure {structure_id.hex[:6]}", "kind": "CFA", "commune_code": "76540"}
        await self.command("agency", "PUT", f"/v1/structures/{structure_id}", body, op="structure")

    async def register(self, *, partition: int) -> UUID:
        """A further structure, told on one partition of its topic."""
        structure_id = self._uuid()
        while partition_of(str(structure_id)) != partition:
            structure_id = self._uuid()
        await self._register(structure_id)
        return structure_id

    async def open_programme(
        self, structure_id: UUID, *, partition: int | None = None, title: str = "Parcours"
    ) -> UUID:
        """Describes a programme and declares its seats."""
        programme_id = self._uuid()
        while partition is not None and partition_of(str(programme_id)) != partition:
            programme_id = self._uuid()
        body = {"title": f"{title} {programme_id.hex[:6]}", "age_min": 15, "age_max": 25}
        await self._as_partner(structure_id, "PUT", f"/v1/programmes/{programme_id}", body, op="describe")
        await self.declare(programme_id, structure_id, 8, 2)
        return programme_id

    # -- what a process does

    async def _one(self, draw: random.Random) -> None:
        programme_id, structure_id = draw.choice(self.programmes)
        prescriber = f"prescriber-{draw.randrange(12)}"
        hold = draw.choice(self._holds) if self._holds else None
        choice = draw.random()
        if self._attached and draw.random() < 0.1:
            await self._detach(self._attached.pop(draw.randrange(len(self._attached))))
        if self._bulk and choice < 0.5:
            await self._declare_many(draw, structure_id)
        elif choice < 0.35:
            total = draw.randrange(3, 14)
            await self.declare(programme_id, structure_id, total, draw.randrange(0, total // 2 + 1))
        elif choice < 0.70 or hold is None:
            await self._hold(draw, programme_id, prescriber)
        elif choice < 0.97:
            await self._act(draw, hold)
        else:
            await self._try_the_forbidden(draw, programme_id, structure_id, hold)

    async def declare(self, programme_id: UUID, structure_id: UUID, total: int, taken: int) -> dict[str, Any] | None:
        """One declaration as seen now; its answer."""
        return await self._as_partner(
            structure_id, "POST", "/v1/declarations", _line(programme_id, total, taken), op="declare"
        )

    async def _declare_many(self, draw: random.Random, structure_id: UUID) -> None:
        mine = [programme_id for programme_id, owner in self.programmes if owner == structure_id]
        lines = [_line(draw.choice(mine), 14, draw.randrange(0, 5), later=n) for n in range(self._bulk)]
        await self._as_partner(
            structure_id, "POST", "/v1/declarations/bulk", {"declarations": lines}, op="declare_many"
        )

    async def _hold(self, draw: random.Random, programme_id: UUID, prescriber: str) -> None:
        body: dict[str, Any] = {"programme_id": str(programme_id), "age": 18}
        if self._codes and draw.random() < 0.4:
            body["young_person_code"] = draw.choice(self._codes)
        if self.case_codes:
            body["case_code"] = self.case_codes.pop()
        answer = await self.command(
            prescriber, "POST", "/v1/holds", body, op="hold", role="prescriber", subject=prescriber
        )
        if answer is not None:
            owner = next(owner for known, owner in self.programmes if known == programme_id)
            hold = {"id": answer["hold_id"], "structure_id": owner, "prescriber": prescriber}
            self._holds.append(hold)
            if "case_code" in body:
                self._attached.append(hold)
            self._codes.append(answer["young_person_code"])
            del self._holds[:-60], self._codes[:-30]

    async def _detach(self, hold: dict[str, Any]) -> None:
        await self.command(
            hold["prescriber"], "PUT", f"/v1/holds/{hold['id']}/case", {"case_code": None},
            op="case", role="prescriber", subject=hold["prescriber"],
        )  # fmt: skip

    async def _act(self, draw: random.Random, hold: dict[str, Any]) -> None:
        action = draw.choice(
            ("extension", "withdrawal", "withdrawal", "confirmation", "decline", "admission", "admission")
        )
        if action in ("extension", "withdrawal"):
            await self.command(
                hold["prescriber"], "POST", f"/v1/holds/{hold['id']}/{action}", None,
                op=action, role="prescriber", subject=hold["prescriber"],
            )  # fmt: skip
            return
        bodies: dict[str, Any] = {
            "confirmation": {"arrival_on": str((datetime.now(UTC) + timedelta(days=3)).date())},
            "decline": {"reason": "CONDITIONS_NOT_MET"},
        }
        path = f"/v1/received-holds/{hold['id']}/{action}"
        await self._as_partner(hold["structure_id"], "POST", path, bodies.get(action), op=action)

    async def _try_the_forbidden(
        self, draw: random.Random, programme_id: UUID, structure_id: UUID, hold: dict[str, Any]
    ) -> None:
        other = next(other for other in self.structures if other != structure_id)
        if draw.random() < 0.5:
            await self._as_partner(
                other, "POST", "/v1/declarations", _line(programme_id, 9999, 0), op="declare", forbidden=True
            )
        else:
            stranger = "prescriber-stranger"
            await self.command(
                stranger, "POST", f"/v1/holds/{hold['id']}/withdrawal", None,
                op="withdrawal", role="prescriber", subject=stranger, forbidden=True,
            )  # fmt: skip

    async def _as_partner(
        self, structure_id: UUID, method: str, path: str, body: Any, **facts: Any
    ) -> dict[str, Any] | None:
        name = f"partner-{structure_id}"
        return await self.command(name, method, path, body, role="partner", structure_id=str(structure_id), **facts)

    async def refused(self, structure_id: UUID, method: str, path: str, body: Any) -> int:
        """The status of a partner's request that has no effect; the history does not have it."""
        facts = {"structure_id": str(structure_id)}
        token = await self._token(f"partner-{structure_id}", "partner", facts)
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": self._uuid().hex}
        answer = await self._client.request(method, self.endpoints[0] + path, json=body, headers=headers)
        assert answer.headers["content-type"] == "application/problem+json", answer.text
        return answer.status_code

    def _everybody(self) -> dict[str, dict[str, Any]]:
        everybody: dict[str, dict[str, Any]] = {"agency": {"roles": ["agency"]}}
        for structure_id in self.structures:
            everybody[f"partner-{structure_id}"] = {"roles": ["partner"], "structure_id": str(structure_id)}
        for name in (*(f"prescriber-{n}" for n in range(12)), "prescriber-stranger"):
            everybody[name] = {"roles": ["prescriber"]}
        return everybody

    def _effects(self, op: str, content: Any) -> dict[str, int]:
        if op == "declare":
            return {"SeatsDeclared": int(content["status"] == "accepted")}
        if op == "declare_many":
            return {"SeatsDeclared": sum(receipt["status"] == "accepted" for receipt in content["receipts"])}
        names = {
            "hold": "SeatHeld",
            "extension": "HoldExtended",
            "confirmation": "HoldConfirmed",
            "admission": "YoungPersonAdmitted",
        }
        return {names[op]: 1} if op in names else {}


def partition_of(key: str) -> int:
    """Where the relay's producer puts a key."""
    return int(murmur2(key.encode()) & 0x7FFFFFFF) % PARTITIONS


def _line(programme_id: UUID, total: int, taken: int, *, later: int = 0) -> dict[str, Any]:
    seen = datetime.now(UTC) + timedelta(microseconds=later)
    return {
        "programme_id": str(programme_id),
        "total_count": total,
        "taken_count": taken,
        "observed_at": seen.isoformat(),
    }
