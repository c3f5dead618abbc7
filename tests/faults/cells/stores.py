"""Stores that come back with another past: a restored database, a wiped topic."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from common.embedded.processes import Child
from tests.faults import plant
from tests.faults.cells.processes import metric
from tests.faults.cells.registry import cell
from tests.faults.rig import (
    CONSUMERS,
    LEDGER,
    PROGRAMMES,
    PROJECTIONS,
    RTO_AFTER_LONG_SECONDS,
    SEATS,
    STRUCTURES,
    Cell,
)


@cell("35-restored", "PostgreSQL restored to an earlier point: the log is ahead")
async def database_restored(cell: Cell) -> None:
    """Not ready until `estuaire reconcile` has listed exactly what the database forgot, and told its state anew."""
    rig = cell.rig
    async with cell.running():
        cell.supervised = False
        await asyncio.sleep(5)
        await asyncio.to_thread(rig.children[SEATS].kill)  # some of the backup's outbox is not published yet
        rig.copy_database(SEATS)
        rig.start_service(SEATS)
        await rig.ready(SEATS)
        await cell.workload.open_programme(cell.workload.structures[0], title="forgotten")
        await asyncio.sleep(5)
        await asyncio.to_thread(rig.children[SEATS].stop)
        questions = ("SELECT event_id AS it FROM outbox", "SELECT key AS it FROM idempotency_key")
        before = [{str(row["it"]) for row in await rig.query(SEATS, question)} for question in questions]
        rig.restore_database(SEATS)
        after = [{str(row["it"]) for row in await rig.query(SEATS, question)} for question in questions]
        forgotten, lost_keys = before[0] - after[0], before[1] - after[1]
        for key in lost_keys:
            cell.history.add("restored_away", key=key)
        rig.start_service(SEATS)
        await cell.not_ready(SEATS, "log_ahead_of_database")
        listed = _ids(await cell.estuaire(SEATS, "reconcile", status=1))
        exact = listed == forgotten and bool(forgotten)
        await cell.not_ready(SEATS, "log_ahead_of_database")  # listing alone changes nothing
        applied = _ids(await cell.estuaire(SEATS, "reconcile", "--apply"))
        proof = f"{len(listed)} messages unknown, as many as were forgotten; {len(lost_keys)} answers forgotten"
        cell.fired("database restored", proof if exact and applied == listed else None)
        cell.healed("database restored")
        await rig.ready(SEATS)
        await cell.estuaire(SEATS, "reconcile")  # agrees
        cell.supervised = True
        await cell.shown()
    await _the_board_tells_the_database(cell)


def _ids(listing: str) -> set[str]:
    """The last words of the lines that list unknown messages."""
    return {line.split()[-1] for line in listing.splitlines() if " unknown " in line}


async def _the_board_tells_the_database(cell: Cell) -> None:
    """Every programme that the service knows is shown with its seats, those that it had forgotten too."""
    columns = "programme_id, title, total_count, taken_count, admitted_count, held_count"
    known = {tuple(row) for row in await cell.rig.query(SEATS, f"SELECT {columns} FROM programme")}
    shown = {tuple(row) for row in await cell.rig.query(PROJECTIONS, f"SELECT {columns} FROM board_programme")}
    assert known == shown, known ^ shown


@cell("35-wiped", "topics deleted and made anew: the database is ahead")
async def log_wiped(cell: Cell) -> None:
    """What the outbox still has is published again; positions of the old log are reset, and nothing is applied twice."""
    rig = cell.rig
    cell.waived = {"I9.place": "rows keep the places of the old log until a rebuild"}
    async with cell.running():
        cell.supervised = False
        await asyncio.sleep(8)
        await asyncio.to_thread(rig.children[SEATS].stop)
        before = sum(cell.ends().values())
        await rig.wipe_topics([PROGRAMMES, STRUCTURES])
        rig.start_service(SEATS)
        await cell.not_ready(SEATS, "log_behind_database")
        listing = await cell.estuaire(SEATS, "reconcile", status=1)
        await cell.estuaire(SEATS, "reconcile", "--apply")
        await rig.ready(SEATS)
        await asyncio.sleep(10)  # the topics are longer than before when their consumers look
        for name in (PROJECTIONS, LEDGER):
            stopped = await cell.eventually(
                name, "SELECT count(*) > 0, min(stopped_reason) FROM consumer_position WHERE stopped_reason IS NOT NULL"
            )
            proof = f"{before} records wiped, {name} stopped: {stopped and stopped[1]}"
            cell.fired("topics wiped", proof if stopped and " behind " in listing else None)
            await cell.estuaire(name, "reconcile", "--apply")
        cell.healed("topics wiped")
        cell.supervised = True
        await cell.shown()


@cell("49", "a consumer's database restored while it runs")
async def restored_under_a_consumer(cell: Cell) -> None:
    """It goes on from where the restored database stands, not from where it remembers to be: nothing is skipped."""
    rig = cell.rig
    # The rig's triggers are restored with it, so the history of its positions is the restored one's: nothing is waived.
    positions = "SELECT partition, next_offset FROM consumer_position WHERE topic = $1 ORDER BY partition"
    async with cell.running():
        cell.supervised = False
        await asyncio.sleep(5)
        await asyncio.to_thread(rig.children[LEDGER].stop)
        rig.copy_database(LEDGER)
        rig.start_service(LEDGER)
        await rig.ready(LEDGER)
        backup = {row["partition"]: row["next_offset"] for row in await rig.query(LEDGER, positions, PROGRAMMES)}
        await cell.eventually(
            LEDGER,
            "SELECT sum(next_offset) > $1 FROM consumer_position WHERE topic = $2",
            sum(backup.values()) + 200,
            PROGRAMMES,
        )
        process = rig.children[LEDGER].process
        before = {row["partition"]: row["next_offset"] for row in await rig.query(LEDGER, positions, PROGRAMMES)}
        await asyncio.to_thread(rig.restore_database, LEDGER)
        went_on = await cell.eventually(
            LEDGER,
            "SELECT sum(next_offset) > $1 FROM consumer_position WHERE topic = $2",
            sum(before.values()),
            PROGRAMMES,
            seconds_max=RTO_AFTER_LONG_SECONDS,
        )
        lost = sum(before.values()) - sum(backup.values())
        survived = rig.children[LEDGER].process is process and rig.children[LEDGER].running
        cell.fired("restored under a consumer", f"{lost} records back" if went_on and survived and lost > 0 else None)
        cell.healed("restored under a consumer")
        await cell.shown()
        # Its own topic is ahead of what it now knows to have said, as in cell 35.
        await cell.estuaire(LEDGER, "reconcile", "--apply")
        cell.supervised = True
        await cell.shown()


@cell("31", "a full disk: the broker's, PostgreSQL's")
async def disk_full(cell: Cell) -> None:
    """Writes are refused; with space again everything goes on, and nobody deletes a segment by hand."""
    cell.long_fault = True
    rig = cell.rig
    kafka, postgres = rig.kafka, rig.postgres
    assert kafka is not None
    async with cell.running():
        for name, part, folder in (("the broker", kafka, "kafka"), ("PostgreSQL", postgres, "postgres")):
            assert part.child is not None
            await asyncio.to_thread(part.child.stop)
            with _small_disk(rig.settings.home / folder, 80_000_000) as filler:
                await asyncio.to_thread(part.start)
                await asyncio.to_thread(part.wait)
                await cell.shown()
                said = _spaceless(part.child)
                await asyncio.to_thread(_fill, filler)
                for _ in range(300):
                    if _spaceless(part.child) > said or not part.child.running:
                        break
                    await asyncio.sleep(0.1)
                await asyncio.sleep(5)
                lines = _spaceless(part.child) - said
                proof = f"{lines} × 'No space left' in its log, it {'runs' if part.child.running else 'ended'}"
                cell.fired(f"disk of {name} full", proof if lines else None)
                filler.unlink()
                if not part.child.running:
                    await asyncio.to_thread(part.start)
                await asyncio.to_thread(part.wait)
                cell.healed(f"disk of {name} full")
                await cell.shown(seconds_max=90)
                await asyncio.to_thread(part.child.stop)
            await asyncio.to_thread(part.start)
            await asyncio.to_thread(part.wait)
            await cell.shown(seconds_max=90)


@contextmanager
def _small_disk(folder: Path, free_bytes: int) -> Iterator[Path]:
    """Moves a folder that nobody uses to a disk with so much space left; yields the path of a file that may fill it."""
    aside = folder.with_name(f"{folder.name}.aside")
    used = sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))
    folder.rename(aside)
    shutil.copytree(aside, folder, ignore=lambda *_: os.listdir(aside))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={used + free_bytes}", "tmpfs", folder], check=True)
    try:
        subprocess.run(["cp", "-a", f"{aside}/.", folder], check=True)
        yield folder / "filler"
        shutil.rmtree(aside)
        subprocess.run(["cp", "-a", folder, aside], check=True)
    finally:
        subprocess.run(["umount", folder], check=True)
        folder.rmdir()
        aside.rename(folder)


def _fill(filler: Path) -> None:
    """Takes every byte that is left."""
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(65_536))


def _spaceless(child: Child) -> int:
    return child.log_path.read_text(errors="replace").count("No space left")


@cell("32", "a slow consumer under a burst; records deleted before they were read", bulk=40)
async def slow_consumer(cell: Cell) -> None:
    """The lag is told before anything is lost; an offset that the log no longer has stops the partition, never skips."""
    cell.long_fault = True
    rig = cell.rig
    topic = "remediation-seats.pipeline.v1"
    async with cell.running():
        cell.supervised = False
        await asyncio.to_thread(rig.children[LEDGER].stop)
        rig.start_service(LEDGER, FAILPOINT="consumer.before_tx:delay=0.5:1+", ESTUAIRE_CONSUME_BATCH_COUNT_MAX="1")
        lag = 0.0
        for _ in range(240):
            lag = max(lag, await metric(cell, LEDGER, "estuaire_consumer_lag"))
            if lag > 10_000:
                break
            await asyncio.sleep(0.5)
        cell.fired("slow consumer", f"its own metric says {lag:.0f} records of lag" if lag > 1000 else None)
        await asyncio.to_thread(rig.children[LEDGER].stop)
        rig.start_service(LEDGER)
        await asyncio.to_thread(rig.children[PROJECTIONS].stop)
        await asyncio.sleep(8)  # several health reports that nobody reads
        end = await asyncio.to_thread(plant.delete_records, rig, topic)
        cell.history.add("records_deleted", topic=topic)
        rig.start_service(PROJECTIONS)
        stopped = await cell.eventually(
            PROJECTIONS,
            "SELECT stopped_reason = 'offset_below_log_start', next_offset FROM consumer_position WHERE topic = $1",
            topic,
        )
        proof = f"stopped at {stopped[1]}, the log begins at {end}" if stopped else None
        cell.fired("records deleted before they were read", proof)
        cell.healed("records deleted before they were read")
        await cell.shown()  # its other partitions go on
        assert not await rig.query(
            PROJECTIONS, "SELECT 1 FROM consumer_position WHERE topic = $1 AND next_offset >= $2", topic, end
        )
        await cell.estuaire(PROJECTIONS, "reconcile", "--apply")
        cell.supervised = True
        await cell.eventually(
            PROJECTIONS, "SELECT next_offset > $1 FROM consumer_position WHERE topic = $2", end, topic
        )
        await cell.shown()


@cell("33", "the group's offsets deleted, and moved to the end")
async def group_offsets(cell: Cell) -> None:
    """Positions live in the database: whatever Kafka keeps for the group, nothing is read twice and nothing skipped."""
    rig = cell.rig
    async with cell.running():
        for kind in ("deleted", "moved to the end", "moved to the start"):
            cell.supervised = False
            for name in (PROJECTIONS, LEDGER):
                await asyncio.to_thread(rig.children[name].stop)
            await asyncio.sleep(3)  # what is published meanwhile must not be skipped
            said = [
                await asyncio.to_thread(plant.group_offsets, rig, name, CONSUMERS[name], kind)
                for name in (PROJECTIONS, LEDGER)
            ]
            cell.fired(f"group offsets {kind}", "; ".join(said) if all(said) else None, count=2)
            for name in (PROJECTIONS, LEDGER):
                rig.start_service(name)
            cell.healed(f"group offsets {kind}")
            cell.supervised = True
            await cell.shown()


@cell("34", "topics deleted and made anew while everything runs")
async def topic_deleted(cell: Cell) -> None:
    """The relay stops and says so, the consumers stop; reconciled, the topic has again what the outbox has."""
    rig = cell.rig
    cell.long_fault = True
    cell.waived = {
        "I9.place": "rows keep the places of the old log until a rebuild",
        "I4": "a page may land on the new topic before the relay can see that it is new",
    }
    async with cell.running():
        await asyncio.sleep(8)
        before = sum(cell.ends().values())
        await rig.wipe_topics([PROGRAMMES, STRUCTURES])
        await cell.not_ready(SEATS, "log_behind_database")
        refused = sum("unavailable" in text for text in cell.workload.unanswered)
        cell.fired("topics deleted", f"{before} records gone, {refused} × 503 until reconciled" if refused else None)
        for name in (PROJECTIONS, LEDGER):
            stopped = await cell.eventually(
                name, "SELECT count(*) > 0, min(stopped_reason) FROM consumer_position WHERE stopped_reason IS NOT NULL"
            )
            cell.fired("topics deleted", f"{name} stopped: {stopped[1]}" if stopped else None)
        for name in (SEATS, PROJECTIONS, LEDGER):
            await cell.estuaire(name, "reconcile", "--apply")
        cell.healed("topics deleted")
        await rig.ready(SEATS)
        await cell.shown()


@cell("37", "the schema registry away at a start and in between; another registry's ids")
async def registry_away(cell: Cell) -> None:
    """Ids that the service has stored are enough; ids that the registry contradicts stop it."""
    rig = cell.rig
    registry = rig.registry
    assert registry is not None
    async with cell.running():
        await cell.shown()
        await asyncio.to_thread(registry.child.kill)
        cell.healed("registry killed")
        await cell.shown()
        cell.supervised = False
        for name in (SEATS, PROJECTIONS, LEDGER):
            await asyncio.to_thread(rig.children[name].stop)
            rig.start_service(name)
            await rig.ready(name)
            cell.fired(f"{name} started without a registry", None if registry.child.running else "it is ready")
        cell.healed("started without a registry")
        await cell.shown()
        await asyncio.to_thread(registry.start)
        await asyncio.to_thread(registry.wait)
        await asyncio.to_thread(rig.children[LEDGER].stop)
        await rig.execute(LEDGER, "UPDATE known_schema SET schema_id = schema_id + 5000 WHERE write_as IS NOT NULL")
        child = rig.start_service(LEDGER)
        for _ in range(300):
            if not child.running:
                break
            await asyncio.sleep(0.1)
        said = "another registry" in child.log_path.read_text(errors="replace")
        cell.fired("another registry's ids", "it stopped and said so" if said and not child.running else None)
        await rig.execute(LEDGER, "UPDATE known_schema SET schema_id = schema_id - 5000 WHERE write_as IS NOT NULL")
        rig.start_service(LEDGER)
        await rig.ready(LEDGER)
        cell.supervised = True
        cell.healed("another registry's ids")
        await cell.shown()
