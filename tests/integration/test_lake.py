"""The lake: everything published is in its files once, typed, wherever its writer is killed."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import polars
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from common.embedded.processes import free_port
from common.embedded.stack import Stack
from common.failures import Unavailable
from common.runtime import Runtime
from common.terminal import SCHEMAS
from common.testing import FreshRuntime, estuaire, http_client, service_named
from dropout_observatory.lake import ledger, reading
from dropout_observatory.lake.columns import Dataset
from dropout_observatory.lake.files import Folder
from tests.integration.conftest import eventually
from tests.integration.lake import SERVICE, Lake

HELD, DECLARED, ADMITTED = (
    f"estuaire.remediation_seats.{name}" for name in ("SeatHeld", "SeatsDeclared", "YoungPersonAdmitted")
)
_PLACES = "SELECT kafka_topic, kafka_partition, kafka_offset FROM"


@pytest.fixture
async def lake(stack: Stack, fresh_runtime: FreshRuntime, tmp_path: Path) -> AsyncIterator[Lake]:
    """A lake of three records of one topic."""
    async with fresh_runtime("dropout_observatory") as runtime:
        yield await Lake.make(stack, runtime, tmp_path / "lake", HELD, DECLARED, ADMITTED)


def rows(lake: Lake, name: str) -> list[dict[str, Any]]:
    """A dataset's rows as Polars reads them, in the order of the log."""
    found = polars.read_parquet(f"{lake.folder.root}/{name}/*/*.parquet", hive_partitioning=False)
    return found.sort("kafka_partition", "kafka_offset").to_dicts()


async def stands(runtime: Runtime) -> dict[int, tuple[int, int]]:
    """Of each partition of the only topic, the next offset and how many records are set aside."""
    async with runtime.database.transaction() as tx:
        found = await ledger.positions(tx)
    return {row["partition"]: (row["next_offset"], row["unreadable_count"]) for row in found}


async def test_everything_published_is_written_once(lake: Lake) -> None:
    """The same rows by their values, each at its place in the log; a writer that starts again adds what is new alone."""
    held = await lake.published(HELD, 50)
    await lake.written()
    held += await lake.published(HELD, 2500)
    declared = await lake.published(DECLARED, 70)
    await lake.written()
    found = lake.sql("SELECT event_id, seats.free_count FROM {SeatHeld}")
    assert sorted(found) == sorted((row["event_id"], row["seats"]["free_count"]) for row in held)
    assert lake.sql("SELECT count(*) FROM {SeatsDeclared}") == [(len(declared),)]
    both = f"{_PLACES} {{SeatHeld}} UNION ALL {_PLACES} {{SeatsDeclared}}"
    total = len(held) + len(declared)
    assert lake.sql(f"SELECT count(*), count(DISTINCT places) FROM ({both}) AS places") == [(total, total)]
    assert lake.folder.manifest()["datasets"]["SeatHeld"]["row_count"] == len(held)


async def test_old_versions_are_read_with_the_newest(lake: Lake) -> None:
    """A lake that does not know the newest contract waits and loses nothing; the one after it gives all rows its columns."""
    await lake.published(DECLARED, 9, version=1)
    newest = lake.datasets[DECLARED]
    lake.datasets[DECLARED] = replace(newest, versions=newest.versions[:1])
    await lake.written()
    assert "source" not in rows(lake, "SeatsDeclared")[0]
    before = await stands(lake.runtime)
    await lake.published(DECLARED, 3, source=symbol_of(newest))
    with pytest.raises(Unavailable, match="does not have yet"):
        await lake.written()
    assert await stands(lake.runtime) == before
    lake.datasets[DECLARED] = newest
    await lake.written()
    await lake.written()
    found = rows(lake, "SeatsDeclared")
    assert [row["source"] for row in found].count(None) == 9 and len(found) == 12
    assert {Path(path).name.rpartition(".v")[2] for path in lake.folder.found()} == {"2.parquet"}


def symbol_of(dataset: Dataset) -> str:
    """A value of the enum that version 2 of SeatsDeclared added."""
    field = next(field for field in dataset.versions[-1]["fields"] if field["name"] == "source")
    return str(field["type"][1]["symbols"][-1])


async def test_what_cannot_be_read_is_kept_and_tried_again(lake: Lake) -> None:
    """Its bytes and the reason are kept, the rest goes on; what the next start can read is then in its place."""
    good = (await lake.writer(HELD))((await lake.published(HELD, 4))[0])
    junk = [None, b"x", b"\1" + good[1:], b"\0\x7f\xff\xff\xff" + good[5:], good[:-3], good + b"more"]
    await lake.produced(HELD, [*junk, good])
    await lake.written()
    async with lake.runtime.database.transaction() as tx:
        aside = await ledger.unreadable(tx)
        assert sorted(record.reason for record in aside) == sorted(
            ["empty_value", "too_short", "no_magic_byte", "unknown_schema_id", "undecodable", "trailing_bytes"]
        )
        assert {record.value for record in aside} == set(junk)
        # As if the registry had not known it at first.
        spoilt = next(record for record in aside if record.reason == "unknown_schema_id")
        await tx.execute("UPDATE lake_unreadable SET value = :good WHERE reason = 'unknown_schema_id'", good=good)
    await lake.written()
    found = [row for row in rows(lake, "SeatHeld") if row["kafka_offset"] == spoilt.offset]
    assert spoilt.partition in {row["kafka_partition"] for row in found}
    assert sum(count for _, count in (await stands(lake.runtime)).values()) == 5
    with reading.opened(lake.folder, lake.datasets) as connection:
        checked = reading.counted(lake.folder, connection)
    assert len(checked) == 4 and all(entry.holds for entry in checked)


async def test_a_flood_of_what_cannot_be_read_holds_it_up(lake: Lake) -> None:
    """So many in a row are no records' fault: nothing is set aside, somebody is told."""
    await lake.produced(HELD, [b"\0\x7f\xff\xff\xff"] * 500)
    with pytest.raises(Unavailable, match="is this the registry"):
        await lake.written()
    assert set((await stands(lake.runtime)).values()) == {(0, 0)}


async def test_a_merge_changes_no_row(lake: Lake) -> None:
    """Many small files become few; the rows are the same, in the order of the log, and the old files are gone."""
    for _ in range(8):
        await lake.published(HELD, 12)
        await lake.published(ADMITTED, 4)
        await lake.written()
    before = {name: rows(lake, name) for name in ("SeatHeld", "YoungPersonAdmitted")}
    many = lake.folder.found()
    await lake.written()
    assert {name: rows(lake, name) for name in before} == before
    few = lake.folder.found()
    assert len(many) > 60 and len(few) < 20, (len(many), len(few))
    assert not list(reading.damaged(lake.folder))
    # None is written a second time for nothing.
    await lake.written()
    assert lake.folder.found() == few


async def test_who_was_replaced_writes_no_more(lake: Lake) -> None:
    """The process that started last has the lake; what the other had in its hands changes nothing."""
    await lake.published(HELD, 40)
    first = lake.sink(flush_seconds=0.1)
    task = asyncio.create_task(first.run())

    async def has_written() -> bool:
        return bool(lake.folder.found())

    await eventually(has_written)
    await lake.written()
    await lake.published(HELD, 40)
    with pytest.raises(ledger.Fenced):
        await task
    with pytest.raises(ledger.Fenced):
        await first.run()
    await lake.written()
    assert len({(row["kafka_partition"], row["kafka_offset"]) for row in rows(lake, "SeatHeld")}) == 80
    assert len(rows(lake, "SeatHeld")) == 80


async def test_a_file_that_is_lost_or_altered_is_named(lake: Lake) -> None:
    """A start says which and what to do; `restart` then writes everything anew."""
    await lake.published(HELD, 40)
    await lake.written()
    path = sorted(lake.folder.found())[0]
    data = lake.folder.read(path)
    lake.folder.write(path, data[:-1] + bytes([data[-1] ^ 1]))
    assert list(reading.damaged(lake.folder)) == [path]
    lake.folder.remove(path)
    assert list(reading.damaged(lake.folder)) == [path]
    with pytest.raises(Unavailable, match=Path(path).name):
        await lake.written()
    async with lake.runtime.database.transaction() as tx:
        await ledger.restart(tx)
    await lake.written()
    assert len(rows(lake, "SeatHeld")) == 40


async def test_a_topic_that_was_made_anew_holds_it_up(lake: Lake) -> None:
    """Its offsets are other facts: nobody guesses."""
    await lake.published(HELD, 8)
    await lake.written()
    async with lake.runtime.database.transaction() as tx:
        await tx.execute("UPDATE lake_position SET next_offset = 99 WHERE partition = 2")
    with pytest.raises(Unavailable, match="made anew"):
        await lake.written()


async def test_a_partition_that_comes_later_is_read(lake: Lake) -> None:
    """A topic is given more partitions while the writer runs."""
    topic = lake.datasets[HELD].topic
    task = asyncio.create_task(lake.sink(flush_seconds=0.1, compact_seconds=0).run())
    admin = AIOKafkaAdminClient(bootstrap_servers=lake.stack.bootstrap_servers)
    await admin.start()
    await admin.create_partitions({topic.name: NewPartitions(6)})
    await admin.close()
    lake.datasets[HELD] = replace(lake.datasets[HELD], topic=replace(topic, partitions=6))

    async def all_six() -> bool:
        await lake.published(HELD, 6)
        return bool(lake.folder.found()) and {row["kafka_partition"] for row in rows(lake, "SeatHeld")} == set(range(6))

    await eventually(all_six)
    task.cancel()


async def test_what_was_read_before_it_came_is_written_once(lake: Lake) -> None:
    """Lots that are in hand when everything is assigned anew are read again, not twice."""
    topic, done = lake.datasets[HELD].topic, False
    await lake.published(HELD, 40)
    sink = lake.sink(flush_seconds=3600, compact_seconds=0)
    task = asyncio.create_task(sink.run(until=lambda: done))

    async def knows(count: int) -> bool:
        return len(sink._expected) == count

    await eventually(lambda: knows(4))
    await asyncio.sleep(3)  # lots are in hand by now; where they are not, the test says less
    admin = AIOKafkaAdminClient(bootstrap_servers=lake.stack.bootstrap_servers)
    await admin.start()
    await admin.create_partitions({topic.name: NewPartitions(6)})
    await admin.close()
    await eventually(lambda: knows(6))
    lake.datasets[HELD] = replace(lake.datasets[HELD], topic=replace(topic, partitions=6))
    await lake.published(HELD, 12)
    done = True
    await task
    found = rows(lake, "SeatHeld")
    assert len(found) == len({(row["kafka_partition"], row["kafka_offset"]) for row in found}) == 52


async def test_views_have_each_fact_once(lake: Lake) -> None:
    """A message that was sent twice is twice in the log and once among the facts; a record without rows has its columns."""
    (value,) = await lake.published(HELD, 1)
    body = (await lake.writer(HELD))(value)
    await lake.produced(HELD, [body, body])
    await lake.written()
    with reading.opened(lake.folder, lake.datasets) as connection:
        for view, count in (('log."SeatHeld"', 3), ("SeatHeld", 1), ("YoungPersonAdmitted", 0)):
            assert connection.sql(f"SELECT count(*) FROM {view}").fetchall() == [(count,)]
        found = connection.sql("SELECT event_id, seats.free_count, kafka_topic FROM SeatHeld").fetchall()
        assert found == [(value["event_id"], value["seats"]["free_count"], lake.datasets[HELD].topic.name)]
        assert "occurred_at" in connection.sql("SELECT * FROM YoungPersonAdmitted").columns


async def test_a_lake_elsewhere(lake: Lake) -> None:
    """Any address that fsspec knows does as well; one that nobody knows is said so."""
    lake.folder = Folder(f"memory://{lake.datasets[HELD].topic.name}")
    await lake.published(HELD, 30)
    await lake.written()
    await lake.published(HELD, 30)
    await lake.written()
    with reading.opened(lake.folder, lake.datasets) as connection:
        assert connection.sql("SELECT count(*) FROM SeatHeld").fetchall() == [(60,)]
        assert all(entry.holds for entry in reading.counted(lake.folder, connection))
    with pytest.raises(ValueError, match="cannot be used"):
        Folder("nowhere-known://bucket/lake")


# -- the process itself


class Writer:
    """The process `dropout-observatory lake`, with contracts that declare this test's topic alone."""

    def __init__(self, lake: Lake, home: Path) -> None:
        self._lake, self._log = lake, home / "log"
        self._schemas = shutil.copytree(SCHEMAS, home / "schemas")
        topics = {dataset.topic.name: dataset.topic for dataset in lake.datasets.values()}
        declared = {name: {k: v for k, v in asdict(topic).items() if k != "name"} for name, topic in topics.items()}
        (self._schemas / "topics.yaml").write_text(json.dumps(declared))
        self.port = free_port()

    def start(self, **environment: str) -> Any:
        """The process, running."""
        stack = self._lake.stack
        assert stack.forks is not None
        environment = {
            **stack.environment(service_named(stack, SERVICE)),
            "ESTUAIRE_DATABASE_URL": self._lake.runtime.settings.database_url,
            "ESTUAIRE_SCHEMAS_DIR": str(self._schemas),
            "ESTUAIRE_HTTP_PORT": str(self.port),
            "ESTUAIRE_LAKE_URL": self._lake.folder.root,
            "ESTUAIRE_LAKE_FLUSH_COUNT": "50",
            "ESTUAIRE_LAKE_FLUSH_SECONDS": "0.1",
            "ESTUAIRE_LAKE_COMPACT_SECONDS": "0.1",
            "ESTUAIRE_LAKE_FILE_ROWS_MAX": "10000",
            "ESTUAIRE_LAKE_TABLES_SECONDS": "0",
            **environment,
        }
        with self._log.open("wb") as log:
            return stack.forks.start("dropout_observatory.lake.app:main", env=environment, log=log)

    async def died_at(self, failpoint: str) -> str:
        """Starts it and waits for its death; what it said."""
        process = self.start(FAILPOINT=f"{failpoint}:exit:2")
        assert await asyncio.to_thread(process.wait) == 137
        return self._log.read_text()

    async def until_it_has(self, offset_count: int) -> None:
        """Runs it until so many offsets are taken, then kills it."""
        process = self.start()

        async def has() -> bool:
            async with http_client() as client:
                ready = await client.get(f"http://127.0.0.1:{self.port}/readyz")
            taken = sum(next_offset for next_offset, _ in (await stands(self._lake.runtime)).values())
            return ready.status_code == 200 and taken == offset_count

        try:
            await eventually(has)
        finally:
            process.send_signal(signal.SIGKILL)
            await asyncio.to_thread(process.wait)


FAILPOINTS = (
    *("after_files", "before_commit", "after_commit", "after_manifest", "after_table"),
    *("after_merge", "after_merge_commit"),
)


async def test_killed_anywhere_it_loses_and_repeats_nothing(lake: Lake, tmp_path: Path) -> None:
    """Killed at each point in turn: the rows of the files are the offsets of the log, to DuckDB and to Polars."""
    writer = Writer(lake, tmp_path)
    published = []
    for failpoint in FAILPOINTS:
        published += await lake.published(HELD, 600)
        assert f"failpoint lake.{failpoint} exit 2" in await writer.died_at(f"lake.{failpoint}")
        # Whatever the kill left: no row is there twice that counts.
        with reading.opened(lake.folder, lake.datasets) as connection:
            counts = f'SELECT count(*), count(DISTINCT place) FROM ({_PLACES} log."SeatHeld") AS place'
            ((row_count, place_count),) = connection.sql(counts).fetchall()
            assert row_count == place_count > 0
        # A table names files that are there, none twice, and never more than the lake has.
        places = [(row["kafka_partition"], row["kafka_offset"]) for row in lake.rows_of_table("seat_held")]
        assert len(set(places)) == len(places) <= row_count
    await writer.until_it_has(len(published))
    with reading.opened(lake.folder, lake.datasets) as connection:
        checked = reading.counted(lake.folder, connection)
    assert [entry.holds for entry in checked] == [True] * 4
    # Once it starts again, what no row names is gone: the folder alone has each row once.
    await lake.written()
    found = rows(lake, "SeatHeld")
    assert sorted(row["event_id"] for row in found) == sorted(value["event_id"] for value in published)
    assert len({(row["kafka_partition"], row["kafka_offset"]) for row in found}) == len(published)
    assert [row["event_id"] for row in lake.rows_of_table("seat_held")] == [row["event_id"] for row in found]


async def test_operators_ask_and_verify(lake: Lake) -> None:
    """By the command line: a question, the counts, and a file that was altered."""
    address = {"ESTUAIRE_LAKE_URL": lake.folder.root}
    status, said = await estuaire(lake.stack, SERVICE, "lake", "sql", "SELECT 1", **address)
    assert status == 1 and "has no lake yet" in said and "make run" in said
    await lake.published(HELD, 25)
    await lake.written()
    status, said = await estuaire(
        lake.stack, SERVICE, "lake", "sql", "--csv", "SELECT count(*) AS n FROM SeatHeld", **address
    )
    assert (status, said.split()) == (0, ["n", "25"])
    status, said = await estuaire(lake.stack, SERVICE, "lake", "sql", "SELECT * FROM Nothing", **address)
    assert status == 1 and "Nothing" in said and "Traceback" not in said
    status, said = await estuaire(lake.stack, SERVICE, "lake", "status", **address)
    assert status == 0 and "SeatHeld" in said and "25" in said
    status, said = await estuaire(lake.stack, SERVICE, "lake", "verify", **address)
    assert status == 0 and "every offset is there once" in said
    path = sorted(lake.folder.found())[0]
    lake.folder.write(path, lake.folder.read(path) + b"x")
    status, said = await estuaire(lake.stack, SERVICE, "lake", "verify", **address)
    assert status == 1 and path in said
