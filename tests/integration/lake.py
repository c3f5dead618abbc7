"""What the tests of the lake share: topics of their own with a history, a writer, and the files as DuckDB finds them."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
from aiokafka import AIOKafkaProducer
from fastavro import parse_schema, schemaless_writer
from fastavro.utils import generate_one
from pyiceberg.catalog.sql import SqlCatalog

from common.embedded.stack import Stack
from common.runtime import Runtime
from common.topics import create_topics
from dropout_observatory.lake.columns import Dataset, datasets
from dropout_observatory.lake.files import Folder
from dropout_observatory.lake.iceberg import Tables, catalogue_address
from dropout_observatory.lake.sink import Sink

SERVICE = "dropout-observatory"


@dataclass
class Lake:
    """A lake over topics that only its test writes to."""

    stack: Stack
    runtime: Runtime
    folder: Folder
    datasets: dict[str, Dataset]

    @classmethod
    async def make(cls, stack: Stack, runtime: Runtime, path: Path, *records: str) -> Lake:
        """Copies of the topics of these records, under names of their own."""
        known = datasets(runtime.contracts)
        renamed = {
            known[record].topic.name: replace(known[record].topic, name=f"lake-{uuid4().hex[:8]}.v1")
            for record in records
        }
        await create_topics(stack.bootstrap_servers, list(renamed.values()))
        chosen = {record: replace(known[record], topic=renamed[known[record].topic.name]) for record in records}
        return cls(stack, runtime, Folder(str(path)), chosen)

    def sink(self, **changes: Any) -> Sink:
        """A writer, not started."""
        return Sink(
            self.folder,
            self.datasets,
            **{
                "database": self.runtime.database,
                "registry": self.runtime.registry,
                "contracts": self.runtime.contracts,
                "bootstrap_servers": self.stack.bootstrap_servers,
                "flush_count": 1000,
                "flush_seconds": 3600,
                "compact_seconds": 3600,
                "file_rows_max": 100_000,
                "tables": self.tables(),
                "tables_seconds": 0,
                **changes,
            },
        )

    def tables(self, address: str | None = None) -> Tables:
        """The lake's Iceberg tables, with SQLite beside it unless said otherwise."""
        return Tables(catalogue_address(address, self.folder), self.folder, self.datasets)

    def rows_of_table(self, name: str, address: str | None = None) -> list[dict[str, Any]]:
        """An Iceberg table's rows as whoever has the catalogue reads them, in the order of the log."""
        catalog = SqlCatalog("estuaire", uri=catalogue_address(address, self.folder))
        rows = catalog.load_table(("lake", name)).scan().to_arrow()
        found: list[dict[str, Any]] = rows.sort_by(
            [("kafka_partition", "ascending"), ("kafka_offset", "ascending")]
        ).to_pylist()
        return found

    async def written(self, **changes: Any) -> None:
        """A writer runs until everything published is written."""
        await self.sink(**changes).run(until=lambda: True)

    async def writer(self, record: str, version: int = 0) -> Callable[[Any], bytes]:
        """What writes a record as its producer does, with a version of its contract; the newest, if none is named."""
        schema = self.runtime.contracts.versions(record)[version - 1]
        schema_id = await self.runtime.registry.id_of(record, schema)
        assert schema_id is not None
        parsed = parse_schema(schema, named_schemas={})

        def write(value: Any) -> bytes:
            out = io.BytesIO()
            out.write(b"\0" + schema_id.to_bytes(4, "big"))
            schemaless_writer(out, parsed, value)
            return out.getvalue()

        return write

    async def published(self, record: str, count: int, *, version: int = 0, **changes: Any) -> list[dict[str, Any]]:
        """So many records of random values, spread over the partitions; what was published."""
        parsed = parse_schema(self.runtime.contracts.versions(record)[version - 1], named_schemas={})
        changes = {"occurred_at": datetime(2027, 3, 1, tzinfo=UTC), **changes}
        values: list[dict[str, Any]] = [generate_one(parsed) | changes for _ in range(count)]
        await self.produced(record, list(map(await self.writer(record, version), values)))
        return values

    async def produced(self, record: str, bodies: Sequence[bytes | None]) -> None:
        """Bytes as they are, on the record's topic, in turn to each partition."""
        topic = self.datasets[record].topic
        async with AIOKafkaProducer(bootstrap_servers=self.stack.bootstrap_servers) as producer:
            for number, body in enumerate(bodies):
                await producer.send(topic.name, body, key=b"k", partition=number % topic.partitions)

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        """What DuckDB finds in the folder, whatever the manifest says; `{Record}` stands for a dataset's files."""
        for dataset in self.datasets.values():
            files = f"read_parquet('{self.folder.root}/{dataset.name}/*/*.parquet')"
            query = query.replace(f"{{{dataset.name}}}", files)
        with duckdb.connect() as connection:
            return connection.sql(query).fetchall()
