"""From the log to the files: read in lots, write the files, then note them and the position in one transaction.

Killed anywhere, it goes on where the database says; a file that no row names is taken away at the next start. Only our
own published contracts are ever decoded with, so that no bytes can hold the interpreter up.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pyarrow as pa
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from common import failpoints
from common.avro import Codec, Registry
from common.contracts import Contracts
from common.failures import Malformed, Unavailable
from common.log_view import LogView, why_unreadable
from common.schema_ids import SchemaIds, unknown_schema_ids
from common.transaction import Database
from dropout_observatory.lake import ledger
from dropout_observatory.lake.columns import Dataset, plain
from dropout_observatory.lake.compaction import Merge, merged, to_merge
from dropout_observatory.lake.files import MANIFEST, Folder, Part, manifest_of, parts_of
from dropout_observatory.lake.iceberg import Tables
from dropout_observatory.lake.ledger import Unreadable

_log = logging.getLogger(__name__)
# What a broker sends at once: large lots, as the files are.
_FETCH_BYTES = 8_000_000
_FETCH_COUNT = 5_000
_POLL_MILLISECONDS = 500
# So many in a row that none of them is to blame: the registry is not the one that wrote them, or the contracts are old.
_UNREADABLE_RUN_MAX = 100
_OURS = "estuaire."


class PlainCodec(Codec):
    """Decodes to plain values (see `columns.plain`), and with published versions of the datasets' contracts only."""

    def __init__(self, datasets: Mapping[str, Dataset]) -> None:
        super().__init__({name: plain(dataset.versions[-1]) for name, dataset in datasets.items()})
        self._datasets = datasets
        # Schemas of ours that the contracts of this process do not have, by their ids.
        self.newer: dict[int, str] = {}

    def learn(self, schema_id: int, schema: Any, *, write_as: str | None = None) -> None:
        """Makes an id known if it stands for a version of a dataset's contract; notes it if for a newer one."""
        name = f"{schema.get('namespace')}.{schema.get('name')}" if isinstance(schema, dict) else ""
        if name in self._datasets and schema in self._datasets[name].versions:
            super().learn(schema_id, plain(schema), write_as=None)
        elif name.startswith(_OURS):
            self.newer[schema_id] = name


@dataclass
class Read:
    """What lots of records became: files, and what could not be read."""

    files: list[tuple[Part, bytes]] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)


class Sink:
    """The writer of one lake; `run` until cancelled."""

    def __init__(
        self,
        folder: Folder,
        datasets: Mapping[str, Dataset],
        *,
        database: Database,
        registry: Registry,
        contracts: Contracts,
        bootstrap_servers: str,
        flush_count: int,
        flush_seconds: float,
        compact_seconds: float,
        file_rows_max: int,
        tables: Tables | None = None,
        tables_seconds: float = 300,
        told: Callable[[int, int], None] = lambda row_count, lag: None,
    ) -> None:
        """`tables` follow the manifest, at most so many seconds behind.

        `told` hears again and again how many rows were written since, and how many records are left.
        """
        self.folder = folder
        self.datasets = datasets
        self._by_name = {dataset.name: dataset for dataset in datasets.values()}
        self._topics = {dataset.topic.name: dataset.topic for dataset in datasets.values()}
        self._database = database
        self._bootstrap_servers = bootstrap_servers
        self._flush_count, self._flush_seconds = flush_count, flush_seconds
        self._compact_seconds, self._file_rows_max = compact_seconds, file_rows_max
        self.tables, self._tables_seconds = tables or Tables("", folder, datasets), tables_seconds
        self._told = told
        self.codec = PlainCodec(datasets)
        self.schema_ids = SchemaIds(
            self.codec,
            database=database,
            registry=registry,
            contracts=contracts,
            written=(),
            read=tuple(sorted(datasets)),
        )
        self._owner_id: UUID | None = None
        self._consumer: AIOKafkaConsumer | None = None
        self._log_view = LogView(bootstrap_servers)
        self._expected: dict[TopicPartition, int] = {}
        self._ends: dict[TopicPartition, int] = {}
        self._behind, self._followed_at = True, -math.inf
        # Files that no row names any more, and that a table may name still.
        self._gone: set[str] = set()
        # Why it does not go on, for whoever looks; empty while it does.
        self.problem = "it has not started yet"

    async def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Takes the lake over and writes it until cancelled, or `until` says so once everything published is written.

        Raises `Fenced` when another process has taken it over, `Unavailable` for what time or an operator may mend.
        """
        await self.schema_ids.load()
        await self.schema_ids.agree_with_registry()
        async with self._database.transaction() as tx:
            if self._owner_id is None:
                self._owner_id = await ledger.take_over(tx)
            # Once: a process that had to start again, and was replaced meanwhile, does not take the lake back.
            await ledger.still_ours(tx, self._owner_id)
        await self._tidy()
        await self._try_again()
        consumer = self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap_servers,
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=_FETCH_BYTES,
        )
        try:
            await consumer.start()
            await self._position()
            self.problem = ""
            await self._go(until)
        finally:
            await consumer.stop()
            await self._log_view.drop()

    # -- start

    async def _tidy(self) -> None:
        """Takes away files that no row names; raises `Unavailable` where one that a row names is missing or cut."""
        async with self._database.transaction() as tx:
            known = {part.path: part for part in await ledger.parts(tx)}
        await self._write_manifest()
        found = await asyncio.to_thread(self.folder.found)
        damaged = [path for path, part in known.items() if found.get(path) != part.byte_count]
        if damaged:
            raise Unavailable(
                f"{len(damaged)} files of the lake are missing or cut, the first is {damaged[0]}: "
                "put them back, or write the whole lake anew with `estuaire lake restart`"
            )
        await self._let_tables_follow(gone=found.keys() - known.keys(), now=True)

    async def _try_again(self) -> None:
        """What could not be read before may be now, by what this process knows."""
        async with self._database.transaction() as tx:
            aside = await ledger.unreadable(tx)
        for record in aside:
            await self._learn([record])
            read = await asyncio.to_thread(self._read, {TopicPartition(record.topic, record.partition): [record]})
            if read.files:
                await self._commit(read, {}, readable=[record])

    async def _position(self) -> None:
        """Assigns every partition of the topics of facts and seeks to where the files end."""
        consumer = self._consumer
        assert consumer is not None
        partitions = await self.partitions()
        starts, self._ends = await self._log_view.bounds(partitions)
        async with self._database.transaction() as tx:
            await ledger.begin(tx, starts)
            rows = await ledger.positions(tx)
        stands = {TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in rows}
        for partition in partitions:
            reason = why_unreadable(stands[partition], starts[partition], self._ends[partition], None)
            if reason:
                raise Unavailable(
                    f"the lake cannot go on in {partition.topic}/{partition.partition} at {stands[partition]}: {reason}; "
                    "was the topic made anew? `estuaire lake restart` writes the lake from the log as it is"
                )
        consumer.assign(partitions)
        for partition in partitions:
            consumer.seek(partition, stands[partition])
        self._expected = {partition: stands[partition] for partition in partitions}

    async def partitions(self) -> list[TopicPartition]:
        """Every partition of the topics of facts, as the broker has them now; raises `Unavailable` where a topic is missing."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap_servers)
        await admin.start()
        try:
            answers = await admin.describe_topics(sorted(self._topics))
        finally:
            await admin.close()
        if missing := [answer["topic"] for answer in answers if answer["error_code"]]:
            raise Unavailable(f"there is no topic {missing[0]}; `estuaire topics create` makes it")
        return sorted(
            TopicPartition(answer["topic"], entry["partition"]) for answer in answers for entry in answer["partitions"]
        )

    # -- the loop

    async def _go(self, until: Callable[[], bool]) -> None:
        consumer = self._consumer
        assert consumer is not None
        buffer: dict[TopicPartition, list[ConsumerRecord]] = {}
        flushed_at, compacted_at = time.monotonic(), -math.inf
        while True:
            lots = await consumer.getmany(
                *self._wanted(), timeout_ms=_POLL_MILLISECONDS, max_records=min(_FETCH_COUNT, self._flush_count)
            )
            for partition, records in lots.items():
                buffer.setdefault(partition, []).extend(records)
            count = sum(len(records) for records in buffer.values())
            now = time.monotonic()
            self._told(0, self._lag())
            done = until() and not lots and self._lag() == count
            if count >= self._flush_count or (count and (now - flushed_at >= self._flush_seconds or done)):
                await self._flush(buffer)
                buffer, flushed_at = {}, time.monotonic()
            if now - compacted_at >= self._compact_seconds:
                await self.compact()
                compacted_at = time.monotonic()
                if await self._look_for_partitions():
                    buffer = {}  # everything since the stored positions is read again
            if self._behind and now - self._followed_at >= self._tables_seconds:
                await self._let_tables_follow()
            if done:
                return

    def _wanted(self) -> Sequence[TopicPartition]:
        """While much is left, one partition at a time: long runs make large files."""
        behind = max(self._expected, key=self._left, default=None)
        return [behind] if behind is not None and self._left(behind) > self._flush_count else []

    def _left(self, partition: TopicPartition) -> int:
        assert self._consumer is not None
        end = max(self._consumer.highwater(partition) or 0, self._ends[partition])
        return end - self._expected[partition]

    def _lag(self) -> int:
        return sum(map(self._left, self._expected))

    async def _look_for_partitions(self) -> bool:
        """A topic may be given more partitions; then everything is assigned anew, at what is stored. Whether it was."""
        grown = bool(set(await self.partitions()) - self._expected.keys())
        if grown:
            await self._position()
        return grown

    async def _flush(self, buffer: Mapping[TopicPartition, list[ConsumerRecord]]) -> None:
        for records in buffer.values():
            await self._learn(records)
        read = await asyncio.to_thread(self._read, buffer)
        await self._commit(read, {partition: records[-1].offset + 1 for partition, records in buffer.items()})
        self._told(sum(part.row_count for part, _ in read.files), self._lag())

    async def _learn(self, records: Sequence[ConsumerRecord]) -> None:
        """Learns the ids of these records' schemas; raises `Unavailable` for a contract newer than this process."""
        for schema_id in sorted(unknown_schema_ids(records, self.codec)):
            if schema_id not in self.codec.newer:
                await self.schema_ids.learn(schema_id)
            if schema_id in self.codec.newer:
                raise Unavailable(
                    f"{self.codec.newer[schema_id]} was written by a contract that this lake does not have yet: "
                    "deploy the lake's new version; nothing is lost, it goes on where it stands"
                )

    def _read(self, lots: Mapping[TopicPartition, Sequence[ConsumerRecord]]) -> Read:
        """Decodes lots and makes their files, in a thread: most of it is done without Python's lock."""
        read = Read()
        for partition, records in lots.items():
            rows: dict[str, tuple[list[tuple[str, int, int]], list[dict[str, Any]]]] = {}
            run = 0
            for record in records:
                try:
                    decoded = self.codec.decode(record.value)
                except Malformed as bad:
                    read.unreadable.append(
                        Unreadable(record.topic, record.partition, record.offset, record.value, bad.reason, bad.detail)
                    )
                    run += 1
                    if run > _UNREADABLE_RUN_MAX:
                        raise Unavailable(
                            f"{run} records in a row of {partition.topic}/{partition.partition} cannot be read, the last for "
                            f"{bad}: is this the registry that they were written with?"
                        ) from None
                    continue
                run = 0
                places, fields = rows.setdefault(decoded.record, ([], []))
                places.append((record.topic, record.partition, record.offset))
                fields.append(decoded.fields)
            for name, (places, fields) in rows.items():
                read.files += parts_of(self.datasets[name], self.datasets[name].table(places, fields))
        return read

    async def _commit(
        self, read: Read, stands: Mapping[TopicPartition, int], *, readable: Sequence[Unreadable] = ()
    ) -> None:
        """Writes the files; then they, the positions and what could not be read count together."""
        assert self._owner_id is not None
        await asyncio.to_thread(self._write, read.files)
        await _reach("lake.after_files")
        async with self._database.transaction() as tx:
            await ledger.still_ours(tx, self._owner_id)
            for partition, next_offset in sorted(stands.items()):
                await ledger.advance(tx, partition, self._expected[partition], next_offset)
            await ledger.add(tx, [part for part, _ in read.files])
            await ledger.set_aside(tx, read.unreadable)
            await ledger.take_back(tx, readable)
            await _reach("lake.before_commit")
        await _reach("lake.after_commit")
        self._expected |= stands
        await self._write_manifest()
        await self._let_tables_follow()

    def _write(self, files: Sequence[tuple[Part, bytes]]) -> None:
        for part, data in files:
            self.folder.write(part.path, data)

    async def _write_manifest(self) -> None:
        async with self._database.transaction() as tx:
            content = manifest_of(await ledger.parts(tx), await ledger.positions(tx), self._by_name)
        await asyncio.to_thread(self.folder.replace, MANIFEST, content)
        await _reach("lake.after_manifest")

    async def _let_tables_follow(self, *, gone: Collection[str] = (), now: bool = False) -> None:
        """After the manifest, the tables: at once where files are gone, else in time. What neither names any more is removed.

        Whoever reads one of them finds every file that it names; who lists the folder sees a row twice meanwhile.
        """
        self._gone.update(gone)
        self._behind = True
        due = now or time.monotonic() - self._followed_at >= self._tables_seconds
        if not due and (not gone or self.tables.problem):
            return
        self._followed_at = time.monotonic()
        await self.tables.load()
        async with self._database.transaction() as tx:
            parts = await ledger.parts(tx)
        if not await self.tables.follow(parts):
            return
        for path in self._gone - {part.path for part in parts}:
            await asyncio.to_thread(self.folder.remove, path)
        self._gone.clear()
        self._behind = False

    # -- compaction

    async def compact(self) -> None:
        """Makes few large files of many small ones, with the newest columns; no row changes."""
        assert self._owner_id is not None
        async with self._database.transaction() as tx:
            known = await ledger.parts(tx)
        for merge in to_merge(known, self._by_name, self._file_rows_max):
            await self._merge(merge)
        await self.tables.tidy()

    async def _merge(self, merge: Merge) -> None:
        assert self._owner_id is not None
        tables: list[pa.Table] = [await asyncio.to_thread(self.folder.table, part.path) for part in merge.parts]
        files = await asyncio.to_thread(lambda: parts_of(merge.dataset, merged(merge.dataset, tables)))
        await asyncio.to_thread(self._write, files)
        await _reach("lake.after_merge")
        async with self._database.transaction() as tx:
            await ledger.still_ours(tx, self._owner_id)
            await ledger.drop(tx, merge.parts)
            await ledger.add(tx, [part for part, _ in files])
        await _reach("lake.after_merge_commit")
        await self._write_manifest()
        await self._let_tables_follow(gone=[part.path for part in merge.parts])


async def _reach(name: str) -> None:
    if failpoints.ARMED:
        await failpoints.reach(name)
