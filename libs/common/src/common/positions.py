"""Where each partition of one service stands: stored in PostgreSQL with what was applied, watched against the log.

A stored position is the only truth about where to read on; Kafka's committed offset is written for lag displays alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from common import failpoints
from common.log_view import LogView, why_unreadable
from common.telemetry import Metrics
from common.transaction import Database

_log = logging.getLogger(__name__)


class Positions:
    """Of the partitions assigned to one consumer: those with a known position are read, the stopped wait for an operator.

    `consumer` answers with the group's consumer, or None while there is none.
    """

    def __init__(
        self,
        consumer: Callable[[], AIOKafkaConsumer | None],
        *,
        database: Database,
        log_view: LogView,
        metrics: Metrics,
    ) -> None:
        self._consumer = consumer
        self._database = database
        self._log_view = log_view
        self._metrics = metrics
        self._assigned: set[TopicPartition] = set()
        self.expected: dict[TopicPartition, int] = {}  # the next offset to apply
        self.stopped: set[TopicPartition] = set()
        self.lag = 0  # records published and not applied, at the last look

    # -- what the group gives and takes

    def assigned(self, partitions: set[TopicPartition]) -> None:
        """Nothing is fetched before `find` has found out from where; a partition without any position would raise."""
        consumer = self._consumer()
        assert consumer is not None
        consumer.pause(*partitions)
        for partition in partitions:
            consumer.seek(partition, 0)
        self._assigned |= partitions

    def revoked(self, partitions: set[TopicPartition]) -> None:
        """Forgets the partitions: records of theirs are dropped from now on."""
        self._assigned -= partitions
        for partition in partitions:
            self.expected.pop(partition, None)
            self.stopped.discard(partition)

    def forget(self, partition: TopicPartition) -> None:
        """The database may know another position than we do: it is asked again, and until then nothing is fetched."""
        if self.expected.pop(partition, None) is not None:
            self._pause(partition)

    def _pause(self, partition: TopicPartition) -> None:
        consumer = self._consumer()
        if consumer is not None and partition in consumer.assignment():
            consumer.pause(partition)

    @property
    def missing(self) -> list[TopicPartition]:
        """Assigned, and neither read nor stopped yet."""
        return sorted(self._assigned - self.expected.keys() - self.stopped)

    async def find(self) -> None:
        """Seeks every missing partition to its stored offset, or stops it where the log no longer has that."""
        missing, consumer = self.missing, self._consumer()
        if not missing or consumer is None:
            return
        starts, ends = await self._log_view.bounds(missing)
        async with self._database.transaction() as tx:
            for partition in missing:
                await tx.execute(
                    """INSERT INTO consumer_position (topic, partition, next_offset) VALUES (:topic, :partition, :start)
                       ON CONFLICT DO NOTHING""",
                    topic=partition.topic,
                    partition=partition.partition,
                    start=starts[partition],
                )
        stored = await self._stored(missing)
        after = await self._log_view.first_after({p: stored[p].complete_at for p in missing})
        for partition in missing:
            row = stored[partition]
            reason = row.stopped_reason or why_unreadable(
                row.next_offset, starts[partition], ends[partition], after[partition]
            )
            if partition not in self._assigned:
                continue
            if reason:
                await self.stop(partition, reason)
            else:
                consumer.seek(partition, row.next_offset)
                consumer.resume(partition)
                self.expected[partition] = row.next_offset

    async def _stored(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, Any]:
        async with self._database.transaction() as tx:
            rows = await tx.fetch_all("SELECT * FROM consumer_position")
        found = {TopicPartition(row.topic, row.partition): row for row in rows}
        return {partition: found[partition] for partition in partitions if partition in found}

    # -- moving and stopping

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Reads on from there, where the partition is still ours."""
        consumer = self._consumer()
        if consumer is not None and partition in consumer.assignment():
            consumer.seek(partition, offset)

    async def stop(self, partition: TopicPartition, reason: str) -> None:
        """Reads a partition no further until an operator has resumed it; the others go on."""
        repair = "dead-letters list" if reason in ("dead_letter_limit", "consumer_failed") else "reconcile"
        _log.error("%s/%d is stopped: %s; see `estuaire %s`", partition.topic, partition.partition, reason, repair)
        self.expected.pop(partition, None)
        self.stopped.add(partition)
        self._pause(partition)
        async with self._database.transaction() as tx:
            await tx.execute(
                "UPDATE consumer_position SET stopped_reason = :reason WHERE topic = :topic AND partition = :partition",
                reason=reason,
                topic=partition.topic,
                partition=partition.partition,
            )

    async def resume_what_an_operator_resumed(self) -> None:
        """What no reason stops any longer is missing again, and found anew."""
        if not self.stopped:
            return
        async with self._database.transaction() as tx:
            rows = await tx.fetch_all("SELECT topic, partition FROM consumer_position WHERE stopped_reason IS NULL")
        self.stopped -= {TopicPartition(row.topic, row.partition) for row in rows}

    # -- watching

    async def note_completeness(self) -> None:
        """Stores up to which instant everything published is applied: the last answer of the broker, when caught up."""
        consumer = self._consumer()
        if consumer is None:
            return
        complete: dict[TopicPartition, float] = {}
        for partition, expected in self.expected.items():
            if partition not in consumer.assignment():
                continue
            highwater, polled_ms = consumer.highwater(partition), consumer.last_poll_timestamp(partition)
            if highwater is not None and highwater <= expected and polled_ms is not None:
                complete[partition] = max(0.0, time.time() - polled_ms / 1000)
        if complete:
            async with self._database.transaction() as tx:
                await tx.execute(
                    """UPDATE consumer_position p SET complete_at = GREATEST(p.complete_at, clock_timestamp() - make_interval(secs => c.age))
                       FROM unnest(CAST(:topics AS text[]), CAST(:partitions AS int[]), CAST(:offsets AS bigint[]), CAST(:ages AS float8[]))
                            AS c(topic, partition, next_offset, age)
                       WHERE p.topic = c.topic AND p.partition = c.partition AND p.next_offset = c.next_offset""",
                    topics=[p.topic for p in complete],
                    partitions=[p.partition for p in complete],
                    offsets=[self.expected[p] for p in complete],
                    ages=list(complete.values()),
                )
        for partition in self.expected:
            self._metrics.freshness_seconds.labels(partition.topic, partition.partition).set(
                complete.get(partition, float("nan"))
            )

    async def check_log(self) -> None:
        """Lag by a second consumer's eyes; an offset that the log has lost, or never had, stops the partition.

        A position that fell behind ours is one of a database restored under us, and asked for again.
        """
        believed = dict(self.expected)
        known = await self._stored(believed)
        for partition in believed.keys() & self.expected.keys():
            if partition not in known or known[partition].next_offset < believed[partition]:
                self.forget(partition)
        if not known:
            return
        starts, ends = await self._log_view.bounds(sorted(known))
        after = await self._log_view.first_after({p: row.complete_at for p, row in known.items()})
        self.lag = 0
        for partition, row in known.items():
            current = self.expected.get(partition)
            if current is None:
                continue
            reason = why_unreadable(row.next_offset, starts[partition], ends[partition], after[partition])
            if reason:
                await self.stop(partition, reason)
                continue
            lag = max(0, ends[partition] - current)
            self.lag += lag
            self._metrics.consumer_lag.labels(partition.topic, partition.partition).set(lag)

    async def commit_for_display(self) -> None:
        """Tells Kafka's own displays where we are."""
        consumer = self._consumer()
        if consumer is not None and self.expected:
            assignment = consumer.assignment()
            with suppress(KafkaError):
                await consumer.commit({p: offset for p, offset in self.expected.items() if p in assignment})
            if failpoints.ARMED:
                await failpoints.reach("consumer.after_offset")
