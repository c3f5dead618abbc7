"""The relay on real Kafka and PostgreSQL: no cursor, one leader, order per key, parked keys, rebuilt producers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from common.embedded.stack import Stack
from common.outbox import Relay
from common.reconcile import Agreement
from common.runtime import Runtime
from common.telemetry import Metrics
from common.testing import FreshRuntime
from common.transaction import Transaction


@pytest.fixture
async def topic(parts: Stack) -> AsyncIterator[str]:
    """A topic of this test alone, which refuses what is over 20 kB."""
    name = f"test.{uuid4().hex}"
    admin = AIOKafkaAdminClient(bootstrap_servers=parts.bootstrap_servers)
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1, topic_configs={"max.message.bytes": "20000"})])
    while name not in await admin.list_topics():
        await asyncio.sleep(0.05)
    yield name
    await admin.close()


@pytest.fixture
async def runtime(fresh_runtime: FreshRuntime) -> AsyncIterator[Runtime]:
    """A service whose relay does not run by itself."""
    async with fresh_runtime(
        "remediation_seats", outbox_lease_seconds=1.0, produce_timeout_seconds=3.0, outbox_page_count_max=50
    ) as made:
        yield made


async def put(tx: Transaction, topic: str, key: str, version: int, value: bytes = b"x") -> None:
    """An outbox row as `emit` writes it."""
    await tx.execute(
        """INSERT INTO outbox (topic, key, aggregate_version, event_id, record, value, headers)
           VALUES (:topic, :key, :version, :event_id, 'r', :value, CAST('{"traceparent": "00-1-2-01"}' AS jsonb))""",
        topic=topic,
        key=key,
        version=version,
        event_id=uuid4(),
        value=value + str(version).encode(),
    )
    tx.emitted_count += 1


async def published(parts: Stack, topic: str, count: int, seconds: float = 20) -> list[tuple[str, str]]:
    """(key, value) of the first `count` records; fails when they do not come."""
    consumer = AIOKafkaConsumer(bootstrap_servers=parts.bootstrap_servers)
    await consumer.start()
    consumer.assign([TopicPartition(topic, 0)])
    await consumer.seek_to_beginning()
    found: list[Any] = []
    try:
        async with asyncio.timeout(seconds):
            while len(found) < count:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += records
    finally:
        await consumer.stop()
    assert all(dict(record.headers)["traceparent"] == b"00-1-2-01" for record in found)
    return [(record.key.decode(), record.value.decode()) for record in found]


def relay_of(runtime: Runtime, instance: str = "0") -> Relay:
    """A replica's relay that compares nothing: the running stack fills the service's own topics from another database."""
    stranger = Agreement(
        "nobody",
        database=runtime.database,
        contracts=runtime.contracts,
        schema_ids=runtime.schema_ids,
        bootstrap_servers=runtime.settings.kafka_bootstrap_servers,
    )
    settings = runtime.settings.model_copy(update={"instance": instance})
    return Relay(runtime.database, settings, Metrics(), stranger)


class Running:
    """Runs a relay while the block lasts."""

    def __init__(self, runtime: Runtime, instance: str = "0") -> None:
        self.relay = relay_of(runtime, instance)

    async def __aenter__(self) -> Relay:
        self.task = asyncio.create_task(self.relay.run())
        return self.relay

    async def __aexit__(self, *_: object) -> None:
        self.relay.stop()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.task, 10)


async def test_a_late_commit_with_a_lower_id_is_published(runtime: Runtime, parts: Stack, topic: str) -> None:
    """Ids are taken before the commit: a cursor would skip the first row for ever, and an open transaction must stall nobody."""
    async with Running(runtime):
        async with runtime.database.transaction() as early:
            await put(early, topic, "early", 1)
            async with runtime.database.transaction() as late:
                await put(late, topic, "late", 1)
            assert await published(parts, topic, 1) == [("late", "x1")]
        assert await published(parts, topic, 2) == [("late", "x1"), ("early", "x1")]


async def test_order_per_key_is_the_order_of_versions(runtime: Runtime, parts: Stack, topic: str) -> None:
    """1,000 messages of 10 keys over many pages: each key's versions in order."""
    async with runtime.database.transaction() as tx:
        for version in range(1, 101):
            for key in range(10):
                await put(tx, topic, f"k{key}", version, b"")
    async with Running(runtime):
        records = await published(parts, topic, 1000)
    for key in range(10):
        assert [int(value) for name, value in records if name == f"k{key}"] == list(range(1, 101))


async def test_two_relays_one_leader_and_a_quick_takeover(runtime: Runtime, parts: Stack, topic: str) -> None:
    """Only the lease's holder publishes; when it stops without a word, the other takes over when the lease ends."""
    async with Running(runtime) as first:
        await asyncio.sleep(0.5)
        async with Running(runtime, "1") as second:
            async with runtime.database.transaction() as tx:
                await put(tx, topic, "k", 1)
            await published(parts, topic, 1)
            async with asyncio.timeout(5), runtime.database.transaction() as tx:
                while await tx.fetch_one("SELECT 1 FROM outbox WHERE published_at IS NULL"):
                    await asyncio.sleep(0.02)
            assert (first._epoch, second._epoch) == (1, None)
            # As a stopped process would: no renewal, no goodbye.
            first._stopping = True
            first._epoch = None
            async with asyncio.timeout(5):
                while second._epoch is None:
                    await asyncio.sleep(0.05)
            async with runtime.database.transaction() as tx:
                await put(tx, topic, "k", 2)
            assert await published(parts, topic, 2) == [("k", "x1"), ("k", "x2")]
            assert second._epoch == 2


async def test_a_process_inherits_the_lease_of_its_predecessor(runtime: Runtime, parts: Stack, topic: str) -> None:
    """Killed and started again, a replica publishes at once; who comes back from a long sleep takes nothing back."""
    dead = relay_of(runtime, "1")
    assert await dead._hold_lease() and dead._epoch == 1
    assert not await relay_of(runtime, "0")._hold_lease()
    heir = relay_of(runtime, "1")
    assert await heir._hold_lease() and heir._epoch == 2
    dead._lease_ends = 0.0
    assert not await dead._hold_lease() and await heir._hold_lease() and heir._epoch == 2


async def test_a_relay_knows_that_its_database_was_restored(runtime: Runtime) -> None:
    """The lease is its predecessor's again, as at the backup: its own epoch is another then, and it compares before it sends."""
    columns = "owner = :owner, epoch = :epoch, expires_at = :expires_at"
    before, relay = relay_of(runtime), relay_of(runtime)
    assert await before._hold_lease()
    await before._give_up_lease()
    async with runtime.database.transaction() as tx:
        (backup,) = await tx.fetch_all("SELECT owner, epoch, expires_at FROM outbox_lease")
    assert await relay._hold_lease() and await relay._agrees() and relay._agreed_epoch == 2
    async with runtime.database.transaction() as tx:
        await tx.execute(f"UPDATE outbox_lease SET {columns}", **backup._mapping)
    relay._lease_ends = 0.0
    assert await relay._hold_lease() and relay._epoch != relay._agreed_epoch
    await relay._drop_producer()


async def test_a_relay_that_lost_its_lease_marks_nothing(runtime: Runtime, parts: Stack, topic: str) -> None:
    """The zombie's page is sent again by the new holder: duplicates are allowed, a lost mark is not."""
    zombie = relay_of(runtime)
    assert await zombie._hold_lease()
    async with runtime.database.transaction() as tx:
        await put(tx, topic, "k", 1)
        await tx.execute("UPDATE outbox_lease SET owner = 'another', epoch = epoch + 1")
    await zombie._publish_page()
    await zombie._drop_producer()
    async with runtime.database.transaction() as tx:
        row = await tx.fetch_one("SELECT published_at FROM outbox")
    assert row is not None and row.published_at is None
    assert await published(parts, topic, 1) == [("k", "x1")]


async def test_a_stop_does_not_wait_for_what_others_go_on_to_commit(runtime: Runtime, parts: Stack, topic: str) -> None:
    """Of a relay told to stop, all that was committed before is published; a neighbour under load keeps it from nothing."""
    relay = relay_of(runtime)
    async with runtime.database.transaction() as tx:
        for number in range(120):  # two full pages and a short one
            await put(tx, topic, f"before{number}", 1)
    busy = asyncio.Event()

    async def neighbour() -> None:
        number = 0
        while not busy.is_set():
            number += 1
            async with runtime.database.transaction() as tx:
                await put(tx, topic, f"after{number}", 1)
            await asyncio.sleep(0.01)

    async def held_up(page: Any) -> Any:
        await asyncio.sleep(0.05)  # so that a page never finds nothing
        return await send(page)

    send, relay._send = relay._send, held_up  # type: ignore[method-assign]
    beside = asyncio.create_task(neighbour())
    relay.stop()
    try:
        await asyncio.wait_for(relay.run(), 10)
    finally:
        busy.set()
        await beside
    keys = {key for key, _ in await published(parts, topic, 120)}
    assert {f"before{number}" for number in range(120)} <= keys


async def test_a_row_that_can_never_be_sent_parks_its_key_alone(runtime: Runtime, parts: Stack, topic: str) -> None:
    """Too large for the topic: that key waits for an operator, the others flow, the producer is rebuilt without a jam."""
    async with runtime.database.transaction() as tx:
        await put(tx, topic, "big", 1, b"y" * 50_000)
        await put(tx, topic, "big", 2)
        await put(tx, topic, "small", 1)
    async with Running(runtime):
        async with asyncio.timeout(20):
            while True:
                async with runtime.database.transaction() as tx:
                    rows = await tx.fetch_all(
                        "SELECT key, aggregate_version, published_at IS NOT NULL AS sent, parked_reason FROM outbox ORDER BY id"
                    )
                if rows[2].sent and rows[0].parked_reason:
                    break
                await asyncio.sleep(0.1)
        async with runtime.database.transaction() as tx:
            await put(tx, topic, "small", 2)
        async with asyncio.timeout(20):
            while [value for key, value in await published(parts, topic, 2) if key == "small"][-1] != "x2":
                await asyncio.sleep(0.1)
    assert [(row.key, row.sent) for row in rows] == [("big", False), ("big", False), ("small", True)]
    assert rows[0].parked_reason == "MessageSizeTooLargeError"


async def test_published_rows_are_pruned_and_unpublished_ones_never(runtime: Runtime, topic: str) -> None:
    """Seven days after their publication, in small lots; age alone deletes nothing."""
    async with runtime.database.transaction() as tx:
        for version in (1, 2, 3):
            await put(tx, "no.such.topic", "k", version)
        await tx.execute("UPDATE outbox SET created_at = created_at - interval '30 days'")
        await tx.execute(
            "UPDATE outbox SET published_at = clock_timestamp() - interval '8 days' WHERE aggregate_version = 1"
        )
        await tx.execute(
            "UPDATE outbox SET published_at = clock_timestamp() - interval '6 days' WHERE aggregate_version = 2"
        )
    relay = relay_of(runtime)
    relay._prune_at = 0
    with suppress(Exception):
        await asyncio.wait_for(relay._publish_page(), 1)
    async with runtime.database.transaction() as tx:
        assert [
            row.aggregate_version for row in await tx.fetch_all("SELECT aggregate_version FROM outbox ORDER BY 1")
        ] == [2, 3]
