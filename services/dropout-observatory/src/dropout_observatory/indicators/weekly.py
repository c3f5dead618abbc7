"""Each Monday's release: begun by the process of the lake once the lake has everything published before, made in a child process.

A week that was missed is not made up; one that the attack refused is tried again the week after, or by an operator.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime, timedelta

from aiokafka import TopicPartition
from prometheus_client import CollectorRegistry, Counter, Gauge

from common.transaction import Database, Transaction
from dropout_observatory.indicators import releases
from dropout_observatory.indicators.computing import first_instant
from dropout_observatory.lake import ledger
from territory.working_time import PARIS

_log = logging.getLogger(__name__)
PUBLISHED, REFUSED, OVERTAKEN = 0, 3, 4
_WEEK = timedelta(days=7)


class WeeklyMetrics:
    """What the weekly release tells Prometheus."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.number = Gauge("estuaire_release_number", "The last release that was published.", registry=registry)
        self.known_on = Gauge(
            "estuaire_release_known_on_seconds", "The instant at which what it says was known.", registry=registry
        )
        self.refused = Counter("estuaire_releases_refused", "Releases that the attack refused.", registry=registry)


def monday_of(now: datetime) -> date:
    """The last Monday that has begun in Paris."""
    today = now.astimezone(PARIS).date()
    return today - timedelta(days=today.weekday())


class Weekly:
    """Looks whether a release is due, and has it made. `ends` says where the log ends now, of every partition of facts."""

    def __init__(
        self,
        database: Database,
        ends: Callable[[], Awaitable[Mapping[TopicPartition, int]]],
        metrics: WeeklyMetrics,
        make: Callable[[date], Awaitable[int]] | None = None,
    ) -> None:
        self._database, self._ends, self._metrics = database, ends, metrics
        self._make = make or in_a_child
        # The Monday that is due, and where the log ended at a time after it had begun.
        self._waits_for: tuple[date, Mapping[TopicPartition, int]] | None = None

    async def round(self) -> bool:
        """One look; whether a release was tried."""
        async with self._database.transaction() as tx:
            monday = monday_of(await tx.now())
            heads = await releases.heads(tx)
            tried = monday in await releases.refused(tx)
            anybody = await _anybody_known(tx, monday)
            told = await _all_told(tx, monday)
        last = heads[-1] if heads else None
        if last is not None:
            self._metrics.number.set(last.number)
            self._metrics.known_on.set(first_instant(last.known_on).timestamp())
        if tried or not anybody or (last is not None and last.known_on >= monday):
            return False
        if not told or not await self._written(monday):
            return False
        if last is not None and (missed := (monday - last.known_on) // _WEEK - 1) > 0:
            _log.warning("%d weeks since %s have no release; they are not made up", missed, last.known_on)
        status = await self._make(monday)
        self._waits_for = None
        if status == REFUSED:
            self._metrics.refused.inc()
            async with self._database.transaction() as tx:
                for reason in (await releases.refused(tx)).get(monday, []):
                    _log.error("no release of %s: %s", monday, reason)
        elif status not in (PUBLISHED, OVERTAKEN):
            _log.warning("the release of %s ended with %d; it is begun again", monday, status)
            return False
        return True

    async def _written(self, monday: date) -> bool:
        """Whether the lake has everything that was published before this Monday, and maybe more."""
        if self._waits_for is None or self._waits_for[0] != monday:
            self._waits_for = monday, await self._ends()
        async with self._database.transaction() as tx:
            stands = {(row["topic"], row["partition"]): row["next_offset"] for row in await ledger.positions(tx)}
        ends = self._waits_for[1]
        return all(stands.get((one.topic, one.partition), 0) >= end for one, end in ends.items())


async def in_a_child(known_on: date) -> int:
    """Makes a release in a process of its own, for it takes minutes; how it ended."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "dropout_observatory.indicators.release_process",
        known_on.isoformat(),
        env=dict(os.environ),
    )
    try:
        return await child.wait()
    except asyncio.CancelledError:
        child.terminate()
        await child.wait()
        raise


async def _anybody_known(tx: Transaction, monday: date) -> bool:
    """Whether a case was recorded by then; without one, no process is started for nothing."""
    row = await tx.fetch_one("SELECT 1 FROM case_facts WHERE recorded_at <= :at LIMIT 1", at=first_instant(monday))
    return row is not None


async def _all_told(tx: Transaction, monday: date) -> bool:
    """Whether the relay has published all that this service recorded by then."""
    return not await tx.fetch_one(
        """SELECT 1 FROM outbox WHERE published_at IS NULL AND parked_reason IS NULL
           AND (headers->>'ce_time')::timestamptz <= :at LIMIT 1""",
        at=first_instant(monday),
    )
