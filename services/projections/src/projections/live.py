"""Live pages: one task polls the positions and fans out; each browser has a bounded queue."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from common.failures import forever
from common.transaction import Database, Transaction
from projections.as_of import AsOf, Place
from projections.rows import Row

POLL_SECONDS = 0.25
STATUS_EVERY_SECONDS = 1.0
_QUEUE_MAX = 200
# When more has changed at once than anybody would follow, a page is read anew.
_CHANGED_MAX = 500
LATE_SECONDS, BROKEN_SECONDS = 10.0, 60.0


@dataclass(frozen=True)
class LiveModel:
    """What a hub follows: how complete the read model is, its rows that changed between two places, and how one is shown.

    A page of totals has no rows to change: it asks for them anew when it hears that something moved.
    """

    read_as_of: Callable[[Transaction], Awaitable[AsOf]]
    read_changed: Callable[[Transaction, dict[Place, int], AsOf, int], Awaitable[list[Row]]] | None = None
    render: Callable[[Row, AsOf], dict[str, Any]] = lambda _, __: {}


def state(lag_seconds: float | None) -> str:
    """`live`, `retard` (the projection is late) or `panne` (no news for a minute)."""
    if lag_seconds is None or lag_seconds > BROKEN_SECONDS:
        return "panne"
    return "retard" if lag_seconds > LATE_SECONDS else "live"


class Hub:
    """Reads what changed once for all browsers."""

    def __init__(self, database: Database, model: LiveModel) -> None:
        self._database = database
        self._model = model
        self._queues: set[asyncio.Queue[str | None]] = set()
        self._positions: dict[Place, int] = {}
        self._generation = 0
        # Set while there are positions from which a new browser's queue misses nothing.
        self._following = asyncio.Event()
        self._said_at = 0.0

    async def run(self) -> None:
        """Polls until cancelled; a database that is away leaves the pages with what they have."""
        await forever(self._poll, seconds=POLL_SECONDS)

    async def _poll(self) -> None:
        if not self._queues:
            self._positions = {}
            self._following.clear()
            return
        followed = bool(self._positions)
        async with self._database.transaction() as tx:
            as_of = await self._model.read_as_of(tx)
            went_back = _is_ahead(self._positions, as_of) or self._generation != as_of.generation
            moved = bool(self._positions) and as_of.positions != self._positions
            changed = await self._changed(tx, self._positions, as_of) if moved and not went_back else []
        self._positions, self._generation = as_of.positions, as_of.generation
        self._following.set()
        if followed and (went_back or changed is None):
            self._publish(_reload(as_of))
        now = asyncio.get_running_loop().time()
        if moved or now >= self._said_at + STATUS_EVERY_SECONDS:
            self._said_at = now
            self._publish(_event(as_of, [self._model.render(row, as_of) for row in changed or ()], moved=moved))

    async def _changed(self, tx: Transaction, since: dict[Place, int], as_of: AsOf) -> list[Row] | None:
        """What changed since; None when that is too much to send row by row."""
        if self._model.read_changed is None:
            return []
        found = await self._model.read_changed(tx, since, as_of, _CHANGED_MAX + 1)
        return found if len(found) <= _CHANGED_MAX else None

    def _publish(self, event: str) -> None:
        for queue in list(self._queues):
            try:
                queue.put_nowait(event)
            except asyncio.QueueFull:
                # Too slow to follow: it reconnects and reads everything that it missed from its last id.
                self._queues.discard(queue)
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(None)

    async def events(self, last_id: str | None) -> AsyncIterator[str]:
        """SSE text for one browser: first what changed since its page or its last event, then every change."""
        queue: asyncio.Queue[str | None] = asyncio.Queue(_QUEUE_MAX)
        self._queues.add(queue)
        try:
            yield "retry: 2000\n\n"
            # What is read here overlaps what the queue gets: a change twice is harmless, one never would not be.
            await self._following.wait()
            async with self._database.transaction() as tx:
                as_of = await self._model.read_as_of(tx)
                since = _positions(last_id, as_of)
                missed = await self._changed(tx, since, as_of) if since else []
            if (last_id and since is None) or missed is None:
                yield _reload(as_of)
            yield _event(
                as_of, [self._model.render(row, as_of) for row in missed or ()], moved=since != as_of.positions
            )
            while (event := await queue.get()) is not None:
                yield event
        finally:
            self._queues.discard(queue)


def _positions(last_id: str | None, as_of: AsOf) -> dict[Place, int] | None:
    """The positions in an id of the same generation and shape, as far as the log still has them, or None."""
    generation, _, offsets = (last_id or "").partition("-")
    parts = offsets.split(".")
    if (
        generation != str(as_of.generation)
        or len(parts) != len(as_of.positions)
        or not all(part.isascii() and part.isdigit() and len(part) < 16 for part in parts)
    ):
        return None
    since = dict(zip(sorted(as_of.positions), (int(part) for part in parts), strict=True))
    return None if _is_ahead(since, as_of) else since


def _is_ahead(positions: dict[Place, int], as_of: AsOf) -> bool:
    """Whether positions of before stand above those of now: the topic was made anew, and they mean nothing."""
    return any(as_of.positions.get(place, 0) < offset for place, offset in positions.items())


def _reload(as_of: AsOf) -> str:
    return f"id: {as_of.vector}\nevent: reload\ndata: {{}}\n\n"


def _event(as_of: AsOf, changed: list[dict[str, Any]], *, moved: bool) -> str:
    lag = as_of.lag_seconds
    data = {
        "as_of": as_of.as_of.isoformat() if as_of.as_of else None,
        "lag_seconds": None if lag is None else round(lag, 1),
        "state": state(lag),
        "changed": changed,
        "moved": moved,
    }
    return f"id: {as_of.vector}\nevent: board\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
