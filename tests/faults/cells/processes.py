"""Processes that die, stop, come and go: services, broker, PostgreSQL."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import suppress

import httpx
import psutil

from tests.faults.cells.registry import cell
from tests.faults.rig import LEDGER, PROJECTIONS, SEATS, SHORT_TIER_SECONDS, Cell


@cell("01", "kill -9 of the HTTP service at each failpoint", short=True)
async def kill_http(cell: Cell) -> None:
    """Clients get no answer, or a lost one; the same key gives exactly one booking."""
    points = ("http.before_commit", "http.after_commit")
    async with cell.running():
        await cell.deaths([(SEATS, points[n % 2], nth(cell)) for n in range(cell.kills)])


@cell("02", "kill -9 of the relay at each failpoint, in the middle of a page", short=True, bulk=20)
async def kill_relay(cell: Cell) -> None:
    """At most one page is sent twice per kill; nobody applies it twice."""
    points = ("relay.after_select", "relay.after_send", "relay.after_ack", "relay.before_mark", "relay.after_mark")
    async with cell.running():
        await cell.deaths([(SEATS, points[n % len(points)], nth(cell)) for n in range(cell.kills)])


@cell("03", "kill -9 of a consumer at each failpoint", short=True)
async def kill_consumer(cell: Cell) -> None:
    """It reads again what it had not committed, and nothing has a second effect."""
    points = ("before_decode", "before_tx", "before_commit", "after_commit", "after_offset")
    plan = []
    for number in range(cell.kills):
        point = points[number % len(points)]
        name = (PROJECTIONS, LEDGER)[number // len(points) % 2]
        plan.append((name, f"consumer.{point}", 1 if point == "after_offset" else nth(cell)))
    async with cell.running():
        await cell.deaths(plan)


def nth(cell: Cell) -> int:
    """Sometimes at once after a start, mostly after a while."""
    return cell.draw.choice(
        (cell.draw.randrange(1, 10), cell.draw.randrange(10, 30) if cell.short else cell.draw.randrange(20, 60))
    )


@cell("04", "kill -9 of a rebuild at 10, 50 and 90 %, and of the projection beside it", bulk=20)
async def kill_rebuild(cell: Cell) -> None:
    """It goes on where it was, the old rows are served meanwhile, and the new ones are the same."""
    async with cell.running():
        await asyncio.sleep(10)
        end = sum(cell.ends().values())
        for share in (0.1, 0.5, 0.9):
            # Small lots, so that there is a way to be killed on.
            process = await cell.estuaire_process(
                PROJECTIONS, "rebuild", "seat-board", ESTUAIRE_CONSUME_BATCH_COUNT_MAX="5"
            )
            row = await cell.eventually(
                PROJECTIONS,
                "SELECT sum(next_offset) >= $1, sum(next_offset) FROM rebuild_seat_board.consumer_position",
                int(end * share),
            )
            process.kill()
            status = await process.wait()
            left = await cell.rig.query(PROJECTIONS, "SELECT 1 FROM pg_namespace WHERE nspname = 'rebuild_seat_board'")
            proof = f"ended with {status} at {row[1]} of {end} records" if row is not None and left else None
            cell.fired(f"rebuild killed at {share:.0%}", proof)
            cell.healed("rebuild killed")
            await cell.shown()
        await asyncio.to_thread(cell.rig.children[PROJECTIONS].kill)
        said = await cell.estuaire(PROJECTIONS, "rebuild", "seat-board")
        same = "going on with the rebuild" in said and "seat-board is switched" in said and "DIFFERS" not in said
        cell.fired("rebuilt beside a projection that was killed", "the same rows, switched" if same else None)
        cell.healed("projection killed beside its rebuild")
        await cell.shown()


@cell("05", "kill -9 of the broker under load", short=True, processes=2)
async def kill_broker(cell: Cell) -> None:
    """The outbox absorbs; the producer is rebuilt; nobody waits for a human."""
    async with cell.running():
        for _ in range(5 if cell.short else cell.kills):
            await _broker_away(cell, cell.draw.choice((0.2, 1, 2)))
            await cell.shown()


@cell("08-leaderless", "partitions without a leader for longer than the request time-out")
async def leaderless(cell: Cell) -> None:
    """The cluster answers, nobody leads: batches expire with their sequence numbers, and only a new producer goes on."""
    cell.long_fault = True
    async with (
        cell.rig.two_brokers() as second,
        cell.running(**{SEATS: {"ESTUAIRE_PRODUCE_TIMEOUT_SECONDS": "3"}}),
    ):
        for _ in range(2):
            before = await metric(cell, SEATS, "estuaire_producer_rebuilds")
            await asyncio.to_thread(second.child.kill)
            await asyncio.sleep(25)
            rebuilt = await metric(cell, SEATS, "estuaire_producer_rebuilds") - before
            cell.fired("no leader for 25 s", f"{rebuilt:.0f} producers rebuilt" if rebuilt else None)
            await asyncio.to_thread(second.start)
            await asyncio.to_thread(second.wait)
            cell.healed("no leader for 25 s")
            await cell.shown()


async def _broker_away(cell: Cell, seconds: float, *, waited: float = 0) -> None:
    """Kills the broker, starts it again after a while; a message must have waited in the outbox for `waited` seconds."""
    kafka = cell.rig.kafka
    assert kafka is not None and kafka.child.process is not None
    await asyncio.to_thread(kafka.child.kill)
    status = kafka.child.process.returncode
    await asyncio.sleep(seconds)
    proof = f"broker ended with {status}" if status == -9 else None
    if waited and await cell.eventually(SEATS, _WAITED, waited, seconds_max=1) is None:
        proof = None
    cell.fired(f"broker away for {seconds} s", proof)
    await asyncio.to_thread(kafka.start)
    await asyncio.to_thread(kafka.wait)
    cell.healed(f"broker away for {seconds} s")


_WAITED = "SELECT EXISTS (SELECT FROM outbox WHERE published_at IS NULL AND created_at < clock_timestamp() - make_interval(secs => $1))"


@cell("07", "broker stopped for 5, 15 and 45 s", bulk=5)
async def broker_stopped(cell: Cell) -> None:
    """Shorter and longer than a session and than a request: everything goes on by itself."""
    cell.long_fault = True
    async with cell.running():
        kafka = cell.rig.kafka
        assert kafka is not None and kafka.child.process is not None
        process = psutil.Process(kafka.child.process.pid)
        for seconds in (5, 15, 45):
            process.suspend()
            await asyncio.sleep(seconds)
            cell.fired(f"broker stopped {seconds} s", process.status() if process.status() == "stopped" else None)
            process.resume()
            cell.healed(f"broker stopped {seconds} s")
            await cell.shown()


@cell("08", "broker away for longer than the request time-out", short=True)
async def no_leader(cell: Cell) -> None:
    """The relay lives through it with batches in its hands; nothing is jammed when the broker comes back."""
    async with cell.running(**{SEATS: {"ESTUAIRE_PRODUCE_TIMEOUT_SECONDS": "3"}}):
        for _ in range(2):
            await _broker_away(cell, 8, waited=3.5)
            await cell.shown()


@cell("09", "a consumer stopped beyond its session, resumed after another took over", short=True)
async def zombie_consumer(cell: Cell) -> None:
    """The zombie holds a batch that somebody else has applied: the stored offset rejects it."""
    async with cell.running():
        cell.rig.start_service(PROJECTIONS, ordinal=1)
        await cell.rig.ready(PROJECTIONS, 1)
        for _ in range(2):
            cell.supervised = False
            await asyncio.to_thread(cell.rig.children[PROJECTIONS].stop)
            zombie = cell.rig.start_service(PROJECTIONS, FAILPOINT="consumer.before_tx:stop:40")
            assert zombie.process is not None
            process = psutil.Process(zombie.process.pid)
            while process.status() != psutil.STATUS_STOPPED:
                await asyncio.sleep(0.05)
            cell.healed("consumer stopped")
            await cell.shown()
            process.resume()
            fenced = 0.0
            for _ in range(100):
                fenced = fenced or await metric(cell, PROJECTIONS, "estuaire_fenced")
                await asyncio.sleep(0.05)
            cell.fired(
                "zombie consumer", f"stopped at consumer.before_tx, {fenced:.0f} batches fenced" if fenced else None
            )
            cell.supervised = True
        await cell.shown()


async def metric(cell: Cell, name: str, prefix: str) -> float:
    """The sum of a service's metric."""
    with suppress(httpx.HTTPError):
        async with httpx.AsyncClient(timeout=1) as client:
            text = (await client.get(f"{cell.rig.url_of(name)}/metrics")).text
        return sum(
            float(line.split()[-1]) for line in text.splitlines() if line.startswith(prefix) and "created" not in line
        )
    return 0.0


@cell("10", "a relay stopped while it holds the lease", bulk=20)
async def zombie_relay(cell: Cell) -> None:
    """Another replica takes the lease over; the zombie wakes with a page in its hands and marks nothing."""
    rig = cell.rig
    urls = [rig.url_of(SEATS, ordinal) for ordinal in (0, 1)]
    async with cell.running():
        for point in ("relay.before_mark", "relay.after_select"):
            cell.supervised = False
            await asyncio.to_thread(rig.children[SEATS].stop)
            zombie = rig.start_service(SEATS, FAILPOINT=f"{point}:stop:40")
            await rig.ready(SEATS)
            cell.workload.endpoints[:] = [urls[1]]  # a stopped process answers nobody
            if f"{SEATS}-1" in rig.children:
                await asyncio.to_thread(rig.children[f"{SEATS}-1"].stop)  # gives the lease up
            # Else the new replica may be quicker, and the other never gets to its failpoint. The seeded bug knows no lease.
            assert rig.mutation or await cell.eventually(SEATS, "SELECT owner LIKE '0/%' FROM outbox_lease")
            rig.start_service(SEATS, ordinal=1)
            assert zombie.process is not None
            process = psutil.Process(zombie.process.pid)
            while process.status() != psutil.STATUS_STOPPED:
                await asyncio.sleep(0.02)
            cell.healed("relay stopped")
            cell.fired(f"relay stopped at {point}", "the process is stopped; its lease is not expired")
            await cell.shown()
            await asyncio.sleep(8)
            process.resume()
            await asyncio.sleep(2)
            cell.supervised = True
        await cell.shown()


@cell("11", "kill -9 of PostgreSQL, and its sessions ended at random")
async def kill_database(cell: Cell) -> None:
    """Commits whose answer was lost are resolved by their key; every pool comes back."""
    postgres = cell.rig.postgres
    async with cell.running():
        for _ in range(max(2, cell.kills // 4)):
            for _ in range(20):
                row = await cell.eventually(
                    SEATS, _END_A_SESSION, [f"%{name}" for name in ("seats", "ctions", "ledger")]
                )
                await asyncio.sleep(0.05)
            cell.fired("sessions ended", "pg_terminate_backend said true" if row else None, count=20)
            await cell.shown()
            assert postgres.child is not None and postgres.child.process is not None
            await asyncio.to_thread(postgres.child.kill)
            status = postgres.child.process.returncode
            cell.fired("PostgreSQL killed", f"ended with {status}" if status == -signal.SIGKILL else None)
            await asyncio.sleep(1)  # its sessions notice, and leave the shared memory
            await asyncio.to_thread(postgres.start)
            await asyncio.to_thread(postgres.wait)
            cell.healed("PostgreSQL killed")
            await cell.shown()


_END_A_SESSION = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname LIKE ANY($1) AND usename <> 'postgres' ORDER BY random() LIMIT 1
"""


@cell("12", "PostgreSQL stopped for 30 s")
async def database_stopped(cell: Cell) -> None:
    """Callers get 503 and try again; nothing piles up, and the pools recover."""
    cell.long_fault = True
    async with cell.running():
        child = cell.rig.postgres.child
        assert child is not None and child.process is not None
        postmaster = psutil.Process(child.process.pid)
        processes = [postmaster, *postmaster.children(recursive=True)]
        for process in processes:
            process.suspend()
        await asyncio.sleep(30)
        stopped = sum(process.status() == psutil.STATUS_STOPPED for process in processes)
        refused = sum("unavailable" in text for text in cell.workload.unanswered)
        proof = f"{stopped} processes stopped, {refused} × 503" if stopped == len(processes) and refused else None
        cell.fired("PostgreSQL stopped 30 s", proof)
        for process in processes:
            process.resume()
        cell.healed("PostgreSQL stopped 30 s")
        await cell.shown()


@cell("18", "a member that joins and leaves every 3 s")
async def rebalance_storm(cell: Cell) -> None:
    """Partitions go to and fro; the log is applied on and on, once."""
    cell.long_fault = True
    async with cell.running():
        cell.supervised = False
        for number in range(max(4, cell.kills)):
            child = cell.rig.start_service(PROJECTIONS, ordinal=1)
            await asyncio.sleep(3)
            await asyncio.to_thread(child.kill if number % 2 else child.stop)
            status = child.process.returncode if child.process is not None else None
            cell.fired("member joins and leaves", f"ended with {status}" if status is not None else None)
        del cell.rig.children[f"{PROJECTIONS}-1"]
        cell.healed("rebalance storm")
        cell.supervised = True
        await cell.shown()


@cell("40", "SIGTERM in a rolling deployment under load", short=True, processes=3)
async def rolling(cell: Cell) -> None:
    """Two replicas stop and start in turn: no user sees an error, each drains within 20 s."""
    rig, workload = cell.rig, cell.workload
    async with cell.running():
        for name in (SEATS, PROJECTIONS, LEDGER):
            rig.start_service(name, ordinal=1)
            await rig.ready(name, 1)
        urls = [rig.url_of(SEATS, ordinal) for ordinal in (0, 1)]
        workload.endpoints.append(urls[1])
        cell.supervised = False
        for number in range(cell.kills):
            name, ordinal = (SEATS, PROJECTIONS, SEATS, LEDGER)[number % 4], number // 2 % 2
            child = rig.children[name if ordinal == 0 else f"{name}-{ordinal}"]
            if name == SEATS:
                workload.endpoints.remove(urls[ordinal])  # Kubernetes takes it out of the service first
                await asyncio.sleep(0.2)
            began = time.monotonic()
            await asyncio.to_thread(child.stop, SHORT_TIER_SECONDS if cell.short else 30)
            took = time.monotonic() - began
            status = child.process.returncode if child.process is not None else None
            drained = status not in (None, -signal.SIGKILL) and (cell.short or took < 20)
            cell.fired(f"SIGTERM of {name}-{ordinal}", f"ended with {status} in {took:.1f} s" if drained else None)
            rig.start_service(name, ordinal=ordinal)
            cell.healed(f"SIGTERM of {name}-{ordinal}")
            await rig.ready(name, ordinal)
            if name == SEATS:
                workload.endpoints.append(urls[ordinal])
        cell.supervised = True
        await cell.shown()
    assert not workload.unanswered, f"{len(workload.unanswered)} errors to users: {workload.unanswered[:3]}"
