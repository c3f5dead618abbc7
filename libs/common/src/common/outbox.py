"""The relay: publishes committed messages in order per key, at least once, whatever dies around it."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import InvalidTopicError, KafkaError, MessageSizeTooLargeError
from sqlalchemy import Row

from common import failpoints
from common.failures import is_unavailable
from common.reconcile import LOG_AHEAD, LOG_BEHIND, Agreement
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
_LOOK_AGAIN_SECONDS = 1
_ADVICE = {
    LOG_AHEAD: "the log has messages that this database does not know: was it restored? run `estuaire reconcile`",
    LOG_BEHIND: "the log lacks messages that this database published: was it wiped? run `estuaire reconcile`",
}


class Relay:
    """Reads `published_at IS NULL` in id order, sends a page, marks it; only while it holds the lease.

    There is no cursor, so a transaction that commits late with a low id is published all the same. Any produce error
    ends the producer: an idempotent producer whose batch expired has used a sequence number that nothing gives back
    (aiokafka #1017), so a new one is built and the outbox is read again.

    Before the first page, and again whenever the lease or the producer is new, the log is compared with the database:
    while they disagree nothing is published and nothing more is accepted, until `estuaire reconcile`.
    """

    def __init__(self, database: Database, settings: Settings, metrics: Metrics, agreement: Agreement) -> None:
        self._database = database
        self._agreement = agreement
        self._agreed_epoch: int | None = None
        self.disagreement: str | None = None
        # Whether a start has tried to compare: a broker that is away keeps nobody from being ready.
        self.has_looked = False
        self._settings = settings
        self._metrics = metrics
        # Of two processes with one ordinal the earlier is dead: a start does not wait for its lease to end.
        self._owner = f"{settings.instance}/{uuid4().hex}"
        self._inherits = True
        self._epoch: int | None = None
        self._last_epoch = 0
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
                more = await self._hold_lease() and await self._agrees() and await self._publish_page()
            except Exception as error:
                await self._drop_producer()
                if not is_unavailable(error) and not isinstance(error, KafkaError):
                    _log.exception("relay failed; it tries again")
                else:
                    _log.warning("relay waits: %s", type(error).__name__)
                if stopping:
                    break
                self.has_looked = True
                await asyncio.sleep(0.5)
                continue
            # A produce error drops the producer: what is left stays committed for the next relay.
            if stopping and (not more or self._producer is None):
                break
            if not more:
                await self._rest()
        await self._give_up_lease()
        await self._drop_producer()

    async def _rest(self) -> None:
        if self.disagreement and not self._stopping:
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        else:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._settings.outbox_poll_seconds)

    def stop(self) -> None:
        """Ends `run` once what was committed before is published, or something fails."""
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
            row = await tx.fetch_one(
                _TAKE_LEASE,
                owner=self._owner,
                instance=self._settings.instance if self._inherits else None,
                seconds=self._settings.outbox_lease_seconds,
                last_epoch=self._last_epoch,
            )
        self._inherits = False
        self._epoch = int(row[0]) if row else None
        self._last_epoch = self._epoch or self._last_epoch
        self._lease_ends = asked + self._settings.outbox_lease_seconds
        self._metrics.relay_leader.set(1 if row else 0)
        if row is None:
            # Someone else's: their lease may end within its length.
            await self._drop_producer()
            if not self.has_looked or self.disagreement:
                await self._compare()
        return row is not None

    async def _agrees(self) -> bool:
        if self._agreed_epoch == self._epoch and self._producer is not None:
            return True
        await self._compare()
        if self.disagreement is None:
            self._agreed_epoch = self._epoch
            await self._ensure_producer()
        return self.disagreement is None

    async def _compare(self) -> None:
        """Looks whether the log and the database agree; the outlet is closed while they do not."""
        disagreement = await self._agreement.disagreement()
        if disagreement != self.disagreement:
            _log.error("%s", (disagreement and _ADVICE[disagreement]) or "the log and the database agree again")
        self._set_disagreement(disagreement)

    def _set_disagreement(self, disagreement: str | None) -> None:
        self.has_looked = True
        self.disagreement = disagreement
        self._database.outlet.closed_reason = disagreement
        self._metrics.log_disagrees.set(1 if disagreement else 0)

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
        sent, failed, acknowledged = await self._send(page)
        if failpoints.ARMED:
            await failpoints.reach("relay.after_ack")
        never = [(row, error) for row, error in failed if isinstance(error, _NEVER_SENDABLE)]
        async with self._database.transaction() as tx:
            if failpoints.ARMED:
                await failpoints.reach("relay.before_mark")
            await self._mark(tx, sent, acknowledged)
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
        # A stop does not wait for what others go on to commit: the next holder of the lease is there for that.
        return bool(failed) or len(page) == self._settings.outbox_page_count_max

    async def _send(
        self, page: Any
    ) -> tuple[list[Row[Any]], list[tuple[Row[Any], BaseException]], dict[TopicPartition, int]]:
        """Rows acknowledged, rows that failed, and the offset after the last acknowledged one of each partition."""
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
        acknowledged: dict[TopicPartition, int] = {}
        for row, outcome in zip(rows, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                failed.append((row, outcome))
            else:
                sent.append(row)
                if row.topic in self._agreement.topics:
                    place = outcome.topic_partition
                    acknowledged[place] = max(acknowledged.get(place, 0), outcome.offset + 1)
                self._metrics.outbox_published.labels(row.topic).inc()
        return sent, failed, acknowledged

    async def _mark(self, tx: Transaction, sent: list[Row[Any]], acknowledged: dict[TopicPartition, int]) -> None:
        if sent:
            places = sorted(acknowledged)
            marks = await tx.fetch_all(
                _MARK,
                ids=[row.id for row in sent],
                topics=[place.topic for place in places],
                partitions=[place.partition for place in places],
                offsets=[acknowledged[place] for place in places],
                owner=self._owner,
                epoch=self._epoch,
            )
            if any(row.next_offset > acknowledged[TopicPartition(row.topic, row.partition)] for row in marks):
                # Acknowledged before the mark: the topic was made anew under our feet. Look again before the next page.
                self._agreed_epoch = None

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


# The epoch changes with the holder, so a holder that slept through its lease can tell. It is none that the same process has
# held before: of a database that was restored under it the row would count up to that again, and nothing would be compared.
_TAKE_LEASE = """
INSERT INTO outbox_lease AS l (id, owner, epoch, expires_at)
VALUES (1, :owner, CAST(:last_epoch AS bigint) + 1, clock_timestamp() + make_interval(secs => :seconds))
ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, expires_at = excluded.expires_at,
    epoch = CASE WHEN l.owner = excluded.owner AND l.expires_at > clock_timestamp() THEN l.epoch
        ELSE GREATEST(l.epoch, CAST(:last_epoch AS bigint)) + 1 END
WHERE l.owner = excluded.owner OR split_part(l.owner, '/', 1) = :instance OR l.expires_at <= clock_timestamp()
RETURNING epoch
"""

# A relay that lost its lease while it slept marks nothing; the new holder sends the page again. Returned are the marks
# of partitions, which stay as they are when they stand higher.
_MARK = """
WITH holder AS (SELECT 1 FROM outbox_lease WHERE id = 1 AND owner = :owner AND epoch = :epoch),
     published AS (UPDATE outbox SET published_at = clock_timestamp()
                   WHERE id = ANY(:ids) AND published_at IS NULL AND EXISTS (SELECT FROM holder))
INSERT INTO outbox_mark AS m (topic, partition, next_offset)
SELECT * FROM unnest(CAST(:topics AS text[]), CAST(:partitions AS int[]), CAST(:offsets AS bigint[]))
WHERE EXISTS (SELECT FROM holder)
ON CONFLICT (topic, partition) DO UPDATE SET next_offset = GREATEST(m.next_offset, excluded.next_offset)
RETURNING topic, partition, next_offset
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
