"""Every other write service under its own workload, killed at each of its failpoints."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import psutil

from tests.faults.cafes_workload import CafesWorkload
from tests.faults.cells.processes import nth
from tests.faults.cells.registry import cell
from tests.faults.events_workload import EventsWorkload
from tests.faults.platforms_workload import PlatformsWorkload
from tests.faults.rig import CAFES, EVENTS, PLATFORMS, SHORT_TIER_SECONDS, STAGES, Cell, Rig
from tests.faults.stages_workload import StagesWorkload
from tests.integration.cafes import days_before


@cell("41", "kill -9 of stage matching at each failpoint, and of a campaign's job", short=True, processes=1)
async def kill_stages(cell: Cell) -> None:
    """Seats of a week, one internship a week, a campaign's gifts and the market are the same as if nobody had died."""
    points = ("http.before_commit", "http.after_commit", "relay.after_send", "relay.before_mark")
    rig = cell.rig
    async with cell.running():
        load = StagesWorkload(cell.history, seed=cell.seed, endpoints=[rig.url_of(STAGES)], issuer_url=rig.issuer_url)
        await cell.join({STAGES: load})
        load.start(per_second=cell.commands_per_second)
        try:
            campaign = asyncio.create_task(load.campaign())
            for _ in range(2):
                job = await _job_of_a_campaign(rig)
                job.kill()
                cell.fired("a campaign's job killed", f"process {job.pid} was alive")
            await campaign
            await cell.deaths([(STAGES, points[n % len(points)], nth(cell)) for n in range(min(cell.kills, 8))])
            await load.stop()
            # A seat that came back is proposed within a second; then nothing moves any longer.
            settled = "SELECT count(*) = 0 FROM freed_seat"
            assert await cell.eventually(STAGES, settled), "seats that came back stay with nobody"
        finally:
            await load.cancel()


async def _job_of_a_campaign(rig: Rig, *, seconds_max: float = SHORT_TIER_SECONDS) -> psutil.Process:
    """The job's process, once it has worked for a moment."""
    deadline = time.monotonic() + seconds_max
    while time.monotonic() < deadline:
        service = rig.children[STAGES].process
        assert service is not None
        with suppress(psutil.NoSuchProcess):
            for process in psutil.Process(service.pid).children():
                if "stage_matching.campaign_process" in process.cmdline():
                    await asyncio.sleep(0.3)
                    if process.is_running():
                        return process
        await asyncio.sleep(0.02)
    raise AssertionError("no campaign was ever worked on")


@cell(
    "43",
    "kill -9 of platform scheduling at each failpoint, as HTTP service, relay and consumer",
    short=True,
    processes=1,
)
async def kill_platforms(cell: Cell) -> None:
    """No unit is held twice, every request of an event has its answer once, and the use is the fold, as if nobody had died."""
    points = (
        "http.before_commit",
        "consumer.before_commit",
        "relay.after_send",
        "consumer.after_commit",
        "http.after_commit",
        "relay.before_mark",
        "consumer.before_tx",
    )
    rig = cell.rig
    cell.waived["E20"] = "the rig plays the events service"
    async with cell.running():
        load = PlatformsWorkload(
            cell.history, seed=cell.seed, endpoints=[rig.url_of(PLATFORMS)], issuer_url=rig.issuer_url
        )
        await cell.join({PLATFORMS: load})
        load.start(per_second=cell.commands_per_second)

        taken = "SELECT sum(next_offset) >= $1 FROM consumer_position"

        async def events() -> None:
            while not load.stopping:
                await asyncio.to_thread(load.ask_for_events, cell, 4)
                await asyncio.sleep(0.2)
                # As every client of the rig: so many are under way at once, and no more are begun before.
                await cell.eventually(PLATFORMS, taken, load.asked_count - 60)

        asking = asyncio.create_task(events())
        try:
            plan = [
                (PLATFORMS, points[n % len(points)], cell.draw.randrange(1, 12)) for n in range(min(cell.kills, 10))
            ]
            await cell.deaths(plan)
            await load.stop()
            await asking
        finally:
            asking.cancel()
            await load.cancel()


@cell(
    "44",
    "kill -9 of events and of platform scheduling at each failpoint, while events ask for platforms",
    short=True,
    processes=1,
)
async def kill_events(cell: Cell) -> None:
    """No session is overbooked, nobody is in it twice, and a platform is held if and only if an event stands on it."""
    points = (
        (EVENTS, "http.before_commit"),
        (PLATFORMS, "consumer.before_commit"),
        (EVENTS, "relay.after_send"),
        (EVENTS, "consumer.after_commit"),
        (PLATFORMS, "relay.before_mark"),
        (EVENTS, "http.after_commit"),
        (EVENTS, "consumer.before_tx"),
        (PLATFORMS, "relay.after_send"),
    )
    rig, cell.also = cell.rig, {EVENTS}
    async with cell.running():
        workshops = PlatformsWorkload(
            cell.history, seed=cell.seed, endpoints=[rig.url_of(PLATFORMS)], issuer_url=rig.issuer_url
        )
        load = EventsWorkload(
            cell.history,
            seed=cell.seed,
            endpoints=[rig.url_of(EVENTS)],
            issuer_url=rig.issuer_url,
            platforms=workshops.platforms,
        )
        await cell.join({PLATFORMS: workshops, EVENTS: load})
        workshops.start(per_second=cell.commands_per_second / 2)
        load.start(per_second=cell.commands_per_second)
        try:
            await cell.deaths(
                [(*points[n % len(points)], cell.draw.randrange(1, 8)) for n in range(min(cell.kills, 8))]
            )
            await load.stop()
            await workshops.stop()
            # Whatever was asked is answered, and nothing moves any longer.
            answered = "SELECT count(*) = 0 FROM event WHERE need ->> 'state' = 'asked' AND state = 'awaiting'"
            held = (
                "SELECT count(*) = 0 FROM booking WHERE state IN ('requested', 'tentative') AND request_id IS NOT NULL"
            )
            for name, sql in ((EVENTS, answered), (PLATFORMS, held)):
                await cell.eventually(name, sql, seconds_max=5)
        finally:
            await load.cancel()
            await workshops.cancel()


@cell(
    "45",
    "kill -9 of the parents' cafés at each failpoint, while a season's clock walks through its passes",
    short=True,
    processes=1,
)
async def kill_cafes(cell: Cell) -> None:
    """No café is overbooked, nobody is in two of a period, nobody is lost in a merge; each café is decided once."""
    points = ("http.before_commit", "relay.after_send", "http.after_commit", "relay.before_mark")
    rig = cell.rig
    async with cell.running():
        load = CafesWorkload(
            cell.history,
            seed=cell.seed,
            endpoints=[rig.url_of(CAFES)],
            issuer_url=rig.issuer_url,
            secret=(rig.settings.home / "session.secret").read_text(),
        )
        await _clock(cell, days_before(12))
        await cell.join({CAFES: load})
        load.start(per_second=cell.commands_per_second)

        async def two_days_on(death_count: int) -> None:
            """Passes come due while it dies, and the next cafés are planned behind the last."""
            load.day = 2 * death_count
            await _clock(cell, days_before(12 - 2 * death_count))

        try:
            plan = [(CAFES, points[n % len(points)], cell.draw.randrange(1, 40)) for n in range(min(cell.kills, 8))]
            await cell.deaths(plan, then=two_days_on)
            await load.stop()
            await _clock(cell, days_before(-25))
            decided = "SELECT count(*) = 0 FROM cafe WHERE state IN ('open', 'confirmed')"
            assert await cell.eventually(CAFES, decided), "the season does not come to its end"
            merged = "SELECT bool_or(state = 'merged') AND bool_or(state = 'held') FROM cafe"
            assert await cell.eventually(CAFES, merged, seconds_max=1), "no café was merged, or none was held"
        finally:
            await load.cancel()


async def _clock(cell: Cell, days: float) -> None:
    """Moves the cafés' own clock."""
    await cell.rig.query(
        CAFES,
        """INSERT INTO development_clock (id, offset_seconds) VALUES (1, $1)
           ON CONFLICT (id) DO UPDATE SET offset_seconds = excluded.offset_seconds""",
        days * 86400,
    )
