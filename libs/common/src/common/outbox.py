"""The relay: publishes committed messages in order per key, at least once, whatever dies around it."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaProducer
from aiokafka.errors import InvalidTopicError, KafkaError, MessageSizeTooLargeError
from sqlalchemy import Row

from common import failpoints
from common.failures import is_unavailable
from common.settings import Settings
from common.telemetry import Metrics
from common.transaction import Database, Transaction

_log = logging.getLogger(__name__)

# What no later attempt can send: its key is parked, the others flow.
_NEVER_SENDABLE = (MessageSizeTooLargeError, InvalidTopicError)
# What is larger travels alone. Every topic must take batches of this size.
_BATCH_BYTES = 16_384
_PRUNE_EVERY_SECONDS = 60
_PRUNE_COUNT = 1000


class Relay:
    """Reads `published_at IS NULL` in id order, sends a page, marks it; only while it holds the lease.

    There is no cursor, so a transaction that commits late with a low id is published all the same. Any produce error
    ends the producer: an idempotent producer whose batch expired has used a sequence number that nothing gives back
    (aiokafka #1017), so a new one is built and the outbox is read again.
    """

    def __init__(self, database: Database, settings: Settings, metrics: Metrics) -> None:
        self._database = database
        self._settings = settings
        self._metrics = metrics
        self._owner = uuid4().hex
        self._epoch: int | None = None
        self._lease_ends = 0.0
        self._wake = asyncio.Event()
        self._stopping = False
        self._producer: AIOKafkaProducer | None = None
        self._prune_at = time.monotonic() + _PRUNE_EVERY_SECONDS
        database.after_emit.append(self._wake.set)

    async def run(self) -> None:
        """Publishes until `stop`, and then what is still committed; never raises for what may heal."""
        while True:
            stopping = self._stopping
            self._wake.clear()
            try:
                more = await self._hold_lease() and await self._publish_page()
            except Exception as error:
                await self._drop_producer()
                if not is_unavailable(error) and not isinstance(error, KafkaError):
                    _log.exception("relay failed; it tries again")
                else:
                    _log.warning("relay waits: %s", type(error).__name__)
                if stopping:
                    break
                await asyncio.sleep(0.5)
                continue
            # A produce error drops the producer: what is left stays committed for the next relay.
            if stopping and (not more or self._producer is None):
                break
            if not more:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), self._settings.outbox_poll_seconds)
        await self._give_up_lease()
        await self._drop_producer()

    def stop(self) -> None:
        """Ends `run` once nothing is left to publish, or something fails."""
        self._stopping = True
        self._wake.set()

    async def _hold_lease(self) -> bool:
        """Takes or renews the lease by the database's clock; True while it is ours."""
        if (
            self._epoch is not None
            and time.monotonic() < self._lease_ends - self._settings.outbox_lease_seconds * 2 / 3
        ):
            return True
        asked = time.monotonic()
        async with self._database.transaction() as tx:
            row = await tx.fetch_one(_TAKE_LEASE, owner=self._owner, seconds=self._settings.outbox_lease_seconds)
        self._epoch = int(row[0]) if row else None
        self._lease_ends = asked + self._settings.outbox_lease_seconds
        self._metrics.relay_leader.set(1 if row else 0)
        if row is None:
            # Someone else's: their lease may end within its length.
            await self._drop_producer()
        return row is not None

    async def _publish_page(self) -> bool:
        """Sends and marks one page; True when there may be more."""
        async with self._database.transaction() as tx:
            page = await tx.fetch_all(_NEXT_PAGE, limit=self._settings.outbox_page_count_max)
            if time.monotonic() > self._prune_at:
                self._prune_at = time.monotonic() + _PRUNE_EVERY_SECONDS
                await tx.execute(_PRUNE, days=self._settings.outbox_retention_days, limit=_PRUNE_COUNT)
        if not page:
            return False
        if failpoints.ARMED:
            await failpoints.reach("relay.after_select")
        sent, failed = await self._send(page)
        if failpoints.ARMED:
            await failpoints.reach("relay.after_ack")
        never = [(row, error) for row, error in failed if isinstance(error, _NEVER_SENDABLE)]
        async with self._database.transaction() as tx:
            if failpoints.ARMED:
                await failpoints.reach("relay.before_mark")
            await self._mark(tx, sent)
            for row, error in never:
                _log.error(
                    "message %s can never be sent (%s): key %s of %s is parked",
                    row.event_id,
                    type(error).__name__,
                    row.key,
                    row.topic,
                )
                await tx.execute(
                    "UPDATE outbox SET parked_reason = :reason WHERE id = :id", reason=type(error).__name__, id=row.id
                )
        if failpoints.ARMED:
            await failpoints.reach("relay.after_mark")
        if failed:
            first = failed[0][1]
            _log.warning("produce failed (%s); the producer is rebuilt", type(first).__name__)
            self._metrics.producer_rebuilds.inc()
            await self._drop_producer()
            if not never:
                await asyncio.sleep(0.2)
        return True

    async def _send(self, page: Any) -> tuple[list[Row[Any]], list[tuple[Row[Any], BaseException]]]:
        producer = await self._ensure_producer()
        rows: list[Row[Any]] = []
        pending: list[asyncio.Future[Any]] = []
        failed: list[tuple[Row[Any], BaseException]] = []
        refused_keys: set[str] = set()
        for row in page:
            if row.key in refused_keys:
                continue
            try:
                # The trace context stored with the row travels as is; nothing overwrites it on this path.
                headers = [(name, value.encode()) for name, value in row.headers.items()]
                future = await producer.send(row.topic, key=row.key.encode(), value=bytes(row.value), headers=headers)
                if len(row.value) >= _BATCH_BYTES:
                    # A batch of its own, which the topic may refuse: later rows of its key must not overtake it.
                    await asyncio.wait([future])
                    if future.exception() is not None:
                        refused_keys.add(row.key)
                pending.append(future)
                rows.append(row)
            except _NEVER_SENDABLE as error:
                failed.append((row, error))
                refused_keys.add(row.key)
        if failpoints.ARMED:
            await failpoints.reach("relay.after_send")
        outcomes = await asyncio.gather(*pending, return_exceptions=True)
        sent = []
        for row, outcome in zip(rows, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                failed.append((row, outcome))
            else:
                sent.append(row)
                self._metrics.outbox_published.labels(row.topic).inc()
        return sent, failed

    async def _mark(self, tx: Transaction, sent: list[Row[Any]]) -> None:
        if sent:
            # A relay that lost its lease while it slept marks nothing; the new holder sends the page again.
            await tx.execute(
                """UPDATE outbox SET published_at = clock_timestamp() WHERE id = ANY(:ids) AND published_at IS NULL
                   AND EXISTS (SELECT 1 FROM outbox_lease WHERE id = 1 AND owner = :owner AND epoch = :epoch)""",
                ids=[row.id for row in sent],
                owner=self._owner,
                epoch=self._epoch,
            )

    async def _ensure_producer(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._settings.kafka_bootstrap_servers,
                enable_idempotence=True,
                acks="all",
                request_timeout_ms=int(self._settings.produce_timeout_seconds * 1000),
                linger_ms=1,
                max_batch_size=_BATCH_BYTES,
                max_request_size=1_048_576,
                compression_type=None,
            )
            try:
                await asyncio.wait_for(producer.start(), self._settings.produce_timeout_seconds)
            except BaseException:
                with suppress(Exception):
                    await asyncio.wait_for(producer.stop(), 1)
                raise
            self._producer = producer
        return self._producer

    async def _drop_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(Exception):
                await asyncio.wait_for(producer.stop(), 2)

    async def _give_up_lease(self) -> None:
        if self._epoch is not None:
            with suppress(Exception):
                async with self._database.transaction() as tx:
                    await tx.execute(
                        "UPDATE outbox_lease SET expires_at = clock_timestamp() WHERE id = 1 AND owner = :owner AND epoch = :epoch",
                        owner=self._owner,
                        epoch=self._epoch,
                    )


# The epoch changes with the holder, so a holder that slept through its lease can tell.
_TAKE_LEASE = """
INSERT INTO outbox_lease AS l (id, owner, epoch, expires_at)
VALUES (1, :owner, 1, clock_timestamp() + make_interval(secs => :seconds))
ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, expires_at = excluded.expires_at,
    epoch = CASE WHEN l.owner = excluded.owner AND l.expires_at > clock_timestamp() THEN l.epoch ELSE l.epoch + 1 END
WHERE l.owner = excluded.owner OR l.expires_at <= clock_timestamp()
RETURNING epoch
"""

_NEXT_PAGE = """
SELECT id, topic, key, event_id, value, headers FROM outbox
WHERE published_at IS NULL AND key NOT IN (SELECT key FROM outbox WHERE parked_reason IS NOT NULL)
ORDER BY id LIMIT :limit
"""

# Only what was published is ever deleted, and little at a time.
_PRUNE = """
DELETE FROM outbox WHERE id IN (
    SELECT id FROM outbox WHERE published_at < clock_timestamp() - make_interval(days => :days) ORDER BY published_at LIMIT :limit)
"""
