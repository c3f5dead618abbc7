"""Five fictitious school years, a million messages by seed, from the log to the lake: as a ratio to reading and discarding them.

Starts a stack of its own, with Kafka, registry and PostgreSQL alone. MESSAGES=100000 for fewer.
"""

from __future__ import annotations

import asyncio
import io
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from fastavro import parse_schema, schemaless_writer
from fastavro.utils import generate_one

from common import contracts, migrations
from common.avro import Registry
from common.embedded.stack import Stack
from common.runtime import Runtime, build_runtime
from common.terminal import SCHEMAS
from common.testing import settings_for
from dropout_observatory.app import service
from dropout_observatory.lake import reading
from dropout_observatory.lake.columns import Dataset, datasets
from dropout_observatory.lake.files import Folder
from dropout_observatory.lake.sink import Sink
from measuring import started

MESSAGE_COUNT = int(os.environ.get("MESSAGES", "1000000"))
SEED, FIRST, YEARS = 5, datetime(2026, 9, 1, tzinfo=UTC), 5
# What a year is made of: many declarations and registrations, fewer holds, cases and what becomes of them.
SHARES = {
    "estuaire.remediation_seats.SeatsDeclared": 30,
    "estuaire.remediation_seats.SeatHeld": 15,
    "estuaire.remediation_seats.YoungPersonAdmitted": 5,
    "estuaire.dropout_observatory.CaseReported": 10,
    "estuaire.dropout_observatory.CaseFollowed": 10,
    "estuaire.events.RegistrationMade": 20,
    "estuaire.stage_matching.ApplicationSubmitted": 10,
}


async def writers(registry: Registry, known: dict[str, Dataset]) -> dict[str, Callable[[Any], bytes]]:
    """What encodes each record as its service does."""

    async def of(name: str) -> Callable[[Any], bytes]:
        schema_id = await registry.id_of(name, known[name].versions[-1])
        assert schema_id is not None
        head, schema = b"\0" + schema_id.to_bytes(4, "big"), parse_schema(known[name].versions[-1], named_schemas={})

        def write(value: Any) -> bytes:
            out = io.BytesIO()
            out.write(head)
            schemaless_writer(out, schema, value)
            return out.getvalue()

        return write

    return {name: await of(name) for name in SHARES}


def messages(known: dict[str, Dataset]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The history, the same for the same seed: each message in its instant, with identities of its own."""
    draw = random.Random(SEED)
    random.seed(SEED)
    shapes = {
        name: [generate_one(parse_schema(known[name].versions[-1], named_schemas={})) for _ in range(200)]
        for name in SHARES
    }
    names, weights = list(SHARES), list(SHARES.values())
    for number in range(MESSAGE_COUNT):
        (name,) = draw.choices(names, weights)
        identities = {
            key: str(UUID(int=draw.getrandbits(128))) for key in ("event_id", "aggregate_id", "correlation_id")
        }
        at = FIRST + timedelta(days=365 * YEARS) * (number / MESSAGE_COUNT)
        yield name, {**draw.choice(shapes[name]), **identities, "occurred_at": at, "aggregate_version": 1}


async def publish(stack: Stack, registry: Registry, known: dict[str, Dataset]) -> None:
    """Writes the history to the topics of facts, in turn to each partition."""
    write = await writers(registry, known)
    async with AIOKafkaProducer(bootstrap_servers=stack.bootstrap_servers, linger_ms=20, max_batch_size=200_000) as out:
        for number, (name, value) in enumerate(messages(known)):
            topic = known[name].topic
            sent = await out.send(
                topic.name, write[name](value), key=value["aggregate_id"].encode(), partition=number % topic.partitions
            )
            if number % 50_000 == 0:
                await sent
                print(f"\rpublished {number:,} of {MESSAGE_COUNT:,}", end="", file=sys.stderr)
    print(file=sys.stderr)


async def discard(stack: Stack, known: dict[str, Dataset]) -> float:
    """Seconds to read every message and do nothing with it."""
    topics = {known[name].topic.name: known[name].topic for name in SHARES}
    consumer = AIOKafkaConsumer(
        bootstrap_servers=stack.bootstrap_servers, enable_auto_commit=False, max_partition_fetch_bytes=8_000_000
    )
    await consumer.start()
    partitions = [TopicPartition(topic.name, n) for topic in topics.values() for n in range(topic.partitions)]
    consumer.assign(partitions)
    await consumer.seek_to_beginning()
    began, left = time.perf_counter(), MESSAGE_COUNT
    while left:
        left -= sum(map(len, (await consumer.getmany(timeout_ms=1000, max_records=5000)).values()))
    took = time.perf_counter() - began
    await consumer.stop()
    return took


async def write_lake(stack: Stack, runtime: Runtime, folder: Folder, known: dict[str, Dataset]) -> float:
    """Seconds until every message is in a file that counts."""
    sink = Sink(
        folder,
        known,
        database=runtime.database,
        registry=runtime.registry,
        contracts=runtime.contracts,
        bootstrap_servers=stack.bootstrap_servers,
        flush_count=50_000,
        flush_seconds=60,
        compact_seconds=3600,
        file_rows_max=1_000_000,
    )
    began = time.perf_counter()
    await sink.run(until=lambda: True)
    return time.perf_counter() - began


async def measure(stack: Stack, path: str) -> None:
    """Publishes, reads, writes, compares."""
    known, folder = datasets(contracts.load(SCHEMAS)), Folder(path)
    url = stack.postgres.url("dropout_observatory")
    await migrations.upgrade(url, "dropout_observatory")
    runtime = build_runtime(service, settings_for(stack, url))
    await publish(stack, runtime.registry, known)
    bare = await discard(stack, known)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    took = await write_lake(stack, runtime, folder, known)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3
    await runtime.close()
    with reading.opened(folder, known) as connection:
        checked = reading.counted(folder, connection)
    assert all(entry.holds for entry in checked) and sum(entry.row_count for entry in checked) == MESSAGE_COUNT
    size = sum(folder.found().values())
    print(
        f"{MESSAGE_COUNT:,} messages to the lake: {MESSAGE_COUNT / took:,.0f}/s; read and discarded: {MESSAGE_COUNT / bare:,.0f}/s; "
        f"ratio {took / bare:.1f}; {size / MESSAGE_COUNT:.0f} bytes a row on disk; {grown:.0f} MB more than before it"
    )


if __name__ == "__main__":
    with started(services=()) as started_stack, tempfile.TemporaryDirectory(prefix="estuaire-lake-") as lake:
        started_stack.postgres.create_databases(["dropout_observatory"])
        asyncio.run(measure(started_stack, lake))
