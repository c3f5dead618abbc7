"""Does what time made due, one item a transaction: an item that fails is set aside and holds up no other.

Sweepers only make visible earlier what every decision takes into account anyway.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from common.failures import forever, is_unavailable
from common.runtime import Runtime
from common.transaction import Transaction

_log = logging.getLogger(__name__)
_PAGE_COUNT = 50
# Of one item in a row. A part that is away is no failure; an item that finds it away this often has a reason of its own.
_AWAY_COUNT_MAX = 5
NIL = UUID(int=0)


@dataclass(frozen=True)
class Sweeper:
    """A piece of work that comes due by time: how its items are found, and what is done with one.

    `find(tx, after, limit)` names at most so many items in ascending order, only those after `after`; it locks nothing.
    `one(tx, item)` does one, in a transaction of its own. It takes its locks itself and looks again under them: since the
    item was found, another replica or a command may have been faster. It says True to be called again for the same item
    before the next, with its locks given back.
    """

    name: str
    find: Callable[[Transaction, Any, int], Awaitable[Sequence[Any]]]
    one: Callable[[Transaction, Any], Awaitable[Any]]
    first: Any = NIL


@dataclass(frozen=True)
class Aside:
    """An item that failed: how often in a row, and from when (seconds of the monotonic clock) it is tried again."""

    failed_count: int
    until: float


class Rounds:
    """One sweeper in one process: a round goes through all that is due, in order, once."""

    def __init__(self, sweeper: Sweeper, runtime: Runtime) -> None:
        self._sweeper = sweeper
        self._database = runtime.database
        self._settings = runtime.settings
        self._failures = runtime.metrics.sweep_failures.labels(sweeper.name)
        self.aside: dict[Any, Aside] = {}

    async def run(self) -> int:
        """One round; how many items were done. It ends early when a part is away; the next begins anew."""
        after, done_count, found_aside = self._sweeper.first, 0, {}
        while True:
            async with self._database.transaction() as tx:
                found = await self._sweeper.find(tx, after, _PAGE_COUNT)
            if not found:
                break
            for item in found:
                aside = self.aside.get(item)
                if aside is None or aside.until <= time.monotonic():
                    if not await self._do(item):
                        return done_count
                    aside = self.aside.get(item)
                if aside is not None:
                    found_aside[item] = aside
                else:
                    done_count += 1
            after = found[-1]
        # What is due no more is forgotten.
        self.aside = found_aside
        return done_count

    async def _do(self, item: Any) -> bool:
        """Does one item, or sets it aside; False when a part is away."""
        try:
            while await self._database.run(lambda tx: self._sweeper.one(tx, item)):
                pass
        except Exception as error:
            away = is_unavailable(error)
            before = self.aside.get(item)
            failed_count = 1 + (before.failed_count if before is not None else 0)
            seconds = min(
                self._settings.sweep_retry_seconds_min * 2.0 ** min(failed_count - 1, 30),
                self._settings.sweep_retry_seconds_max,
            )
            self.aside[item] = Aside(failed_count, time.monotonic() + seconds)
            if not away or failed_count >= _AWAY_COUNT_MAX:
                self._failures.inc()
                _log.exception("%s: %s failed; set aside for %.0f s", self._sweeper.name, item, seconds)
            return not away
        self.aside.pop(item, None)
        return True


def sweeping(runtime: Runtime, *sweepers: Sweeper, seconds: float | None = None) -> list[Callable[[], Awaitable[None]]]:
    """Background tasks, one a sweeper: a round every so many seconds, or as the settings say."""
    every = runtime.settings.sweep_seconds if seconds is None else seconds
    return [partial(forever, Rounds(sweeper, runtime).run, seconds=every) for sweeper in sweepers]
