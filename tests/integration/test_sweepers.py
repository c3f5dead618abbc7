"""Sweepers on real PostgreSQL: an item that can never be done holds up no other, is told of, and is tried again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import pytest

from common.failures import Unavailable
from common.runtime import Runtime
from common.sweepers import Rounds, Sweeper
from common.testing import FreshRuntime, set_clock, until_it_waits
from common.transaction import Transaction
from events import notices
from events.store import SESSIONS
from parents_cafes import season_handlers
from tests.integration.cafes import cafe_row, days_before, filled, opened
from tests.integration.events import mails_of, prepared
from tests.integration.events import registered as registered_for_event

_POISON_COUNT, _SOUND_COUNT = 51, 3


class Jobs:
    """A table of jobs in a service's database, the poisoned ones with the lowest ids."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.tried: list[int] = []
        self.error: Exception = KeyError("poison")
        self.rounds = Rounds(Sweeper("jobs", self.find, self.one, first=0), runtime)

    async def fill(self, poison_count: int = _POISON_COUNT) -> None:
        """So many that fail, more than a page if not said otherwise, then three that do not."""
        async with self.runtime.database.transaction() as tx:
            await tx.execute(
                "CREATE TABLE job (id int PRIMARY KEY, poisoned boolean, done boolean NOT NULL DEFAULT false)"
            )
            await tx.execute(
                "INSERT INTO job SELECT n, n <= :poisoned FROM generate_series(1, :count) n",
                poisoned=poison_count,
                count=poison_count + _SOUND_COUNT,
            )

    async def find(self, tx: Transaction, after: int, limit: int) -> Sequence[int]:
        rows = await tx.fetch_all(
            "SELECT id FROM job WHERE NOT done AND id > :after ORDER BY id LIMIT :limit", after=after, limit=limit
        )
        return [row.id for row in rows]

    async def one(self, tx: Transaction, number: int) -> None:
        self.tried.append(number)
        row = await tx.fetch_one("UPDATE job SET done = true WHERE id = :id RETURNING poisoned", id=number)
        assert row is not None
        if row.poisoned:
            raise self.error

    async def cure(self) -> None:
        """What was wrong is mended."""
        async with self.runtime.database.transaction() as tx:
            await tx.execute("UPDATE job SET poisoned = false")

    @property
    def failures(self) -> float:
        """What the alert looks at."""
        value = self.runtime.metrics.registry.get_sample_value("estuaire_sweep_failures_total", {"sweeper": "jobs"})
        assert value is not None
        return value


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock by which items are set aside, moved by the test."""
    now = [1000.0]
    monkeypatch.setattr("common.sweepers.time.monotonic", lambda: now[0])
    return now


async def test_items_that_fail_hold_up_no_other(
    fresh_runtime: FreshRuntime, clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """More than a page of them with the lowest ids; each is told of with its id, waits twice as long each time, and is done once cured."""
    async with fresh_runtime("remediation_seats") as runtime:
        jobs = Jobs(runtime)
        assert jobs.failures == 0
        await jobs.fill()
        with caplog.at_level(logging.ERROR):
            assert await jobs.rounds.run() == _SOUND_COUNT
        assert len(jobs.tried) == _POISON_COUNT + _SOUND_COUNT and jobs.failures == _POISON_COUNT
        assert "jobs: 17 failed; set aside for 30 s" in caplog.text and "KeyError: 'poison'" in caplog.text
        # What a failed transaction wrote is not there.
        assert len(jobs.rounds.aside) == _POISON_COUNT

        jobs.tried.clear()
        for later, tried in ((29, 0), (1, _POISON_COUNT), (59, 0), (1, _POISON_COUNT), (119, 0)):
            clock[0] += later
            assert await jobs.rounds.run() == 0 and len(jobs.tried) == tried, later
            jobs.tried.clear()
        await jobs.cure()
        clock[0] += 1
        assert await jobs.rounds.run() == _POISON_COUNT and jobs.rounds.aside == {}
        assert jobs.failures == 3 * _POISON_COUNT


async def test_what_fails_for_ever_is_tried_each_hour(fresh_runtime: FreshRuntime, clock: list[float]) -> None:
    """The time between two tries grows to the limit that the settings give; what is due no more is forgotten."""
    async with fresh_runtime("remediation_seats") as runtime:
        jobs = Jobs(runtime)
        await jobs.fill(2)
        for _ in range(20):
            await jobs.rounds.run()
            clock[0] += runtime.settings.sweep_retry_seconds_max
        assert jobs.failures == 20 * 2
        async with runtime.database.transaction() as tx:
            await tx.execute("DELETE FROM job")
        assert await jobs.rounds.run() == 0 and jobs.rounds.aside == {}


async def test_a_part_that_is_away_ends_the_round(fresh_runtime: FreshRuntime, clock: list[float]) -> None:
    """It is no failure of the item: the next round begins with the others; one that finds it away each time is told of."""
    async with fresh_runtime("remediation_seats") as runtime:
        jobs = Jobs(runtime)
        await jobs.fill()
        jobs.error = Unavailable("away")
        assert await jobs.rounds.run() == 0 and jobs.tried == [1]
        assert await jobs.rounds.run() == 0 and jobs.tried == [1, 2]
        assert jobs.failures == 0
        async with runtime.database.transaction() as tx:
            await tx.execute("UPDATE job SET poisoned = id = 1")
        for failures in (0, 0, 0, 1):
            clock[0] += 3600
            await jobs.rounds.run()
            assert jobs.failures == failures


async def test_one_party_that_cannot_be_told_silences_nobody(
    fresh_runtime: FreshRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    """The description of its event is damaged; the others read their mail, and the log names the party, not the person."""
    async with fresh_runtime("events", development=True) as runtime:
        damaged, (one,) = await prepared(runtime, {})
        sound, (other,) = await prepared(runtime, {})
        await registered_for_event(runtime, damaged, [one], "anne")
        await registered_for_event(runtime, sound, [other], "bruno")
        async with runtime.database.transaction() as tx:
            await tx.execute("""UPDATE event SET description = '{"title": 1}' WHERE event_id = :id""", id=damaged)
            (party,) = await tx.fetch_all("SELECT party_id FROM party WHERE event_id = :id", id=damaged)
        rounds = Rounds(notices.write_owed, runtime)
        assert await rounds.run() == 1
        assert list(rounds.aside) == [party.party_id]
        assert str(party.party_id) in caplog.text and "anne" not in caplog.text
        assert len(await _mails(runtime, "bruno@example.org")) == 1
        assert await _mails(runtime, "anne@example.org") == []


async def test_what_is_noted_while_a_party_is_told_is_not_lost(fresh_runtime: FreshRuntime) -> None:
    """A session is called off in the moment in which somebody is told of a place in it: the mail says what came last."""
    async with fresh_runtime("events", development=True) as runtime:
        event_id, (session_id,) = await prepared(runtime, {})
        await registered_for_event(runtime, event_id, [session_id], "anne")
        async with runtime.database.transaction() as tx:
            await SESSIONS.end_all(tx, session_id, "SESSION_CANCELLED")
            telling = asyncio.create_task(mails_of(runtime, "anne"))
            await until_it_waits(tx, telling)
        assert [subject.partition(" ")[0] for subject, _ in await telling] == ["Annulé"]


async def test_one_cafe_that_cannot_be_reviewed_stops_no_pass(fresh_runtime: FreshRuntime) -> None:
    """The pass goes on behind it in the same order, and comes back to it when it is mended."""
    async with fresh_runtime("parents_cafes", development=True) as runtime:
        ids = [await opened(runtime, on=n) for n in range(3)]
        for cafe_id in ids:
            await filled(runtime, cafe_id, 8)
        await set_clock(runtime, days_before(3))
        async with runtime.database.transaction() as tx:
            await tx.execute("ALTER TABLE cafe DROP CONSTRAINT IF EXISTS cafe_theme_check")
            (row,) = await tx.fetch_all("SELECT theme FROM cafe WHERE cafe_id = :id", id=ids[0])
            await tx.execute("UPDATE cafe SET theme = 'no such theme' WHERE cafe_id = :id", id=ids[0])
        rounds = Rounds(season_handlers.review_due, runtime)
        assert await rounds.run() == 2
        assert [(await cafe_row(runtime, one)).state for one in ids] == ["open", "confirmed", "confirmed"]
        async with runtime.database.transaction() as tx:
            await tx.execute("UPDATE cafe SET theme = :theme WHERE cafe_id = :id", id=ids[0], theme=row.theme)
        assert await Rounds(season_handlers.review_due, runtime).run() == 1
        assert (await cafe_row(runtime, ids[0])).state == "confirmed"


async def _mails(runtime: Runtime, address: str) -> list[Any]:
    async with runtime.database.transaction() as tx:
        return list(await tx.fetch_all("SELECT 1 FROM mail WHERE recipient = :to", to=address))
