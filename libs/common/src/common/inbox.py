"""The consumer: batches of raw records from FastStream, applied in few transactions, each with its position.

The stored offset is the fencing token: a batch commits only if nobody moved it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import FAKE_CONSUMER, KafkaMessage
from faststream.kafka.opentelemetry import KafkaTelemetryMiddleware
from faststream.kafka.prometheus import KafkaPrometheusMiddleware
from faststream.kafka.subscriber.usecase import LogicSubscriber

from common import failpoints
from common.contracts import Contracts
from common.decode_guard import DecodeGuard
from common.failures import Malformed, ended, is_unavailable, retried
from common.log_view import LogView
from common.positions import Positions
from common.schema_ids import SchemaIds, unknown_schema_ids
from common.settings import Settings
from common.telemetry import Metrics
from common.transaction import Database
from common.verdicts import BatchOfPartition, Consumes, Fenced, HandlerFailed

_log = logging.getLogger(__name__)

_OBSERVE_EVERY_SECONDS = 0.5
_CHECK_LOG_EVERY_SECONDS = 5.0
_SESSION_TIMEOUT_MILLISECONDS = 6_000
_HEARTBEAT_MILLISECONDS = 1_000
_METADATA_MAX_AGE_MILLISECONDS = 10_000


class Inbox:
    """Consumes the topics of one service. `start` returns at once; connecting goes on until it succeeds."""

    def __init__(
        self,
        service: str,
        consumes: Mapping[str, Consumes],
        *,
        database: Database,
        contracts: Contracts,
        schema_ids: SchemaIds,
        settings: Settings,
        metrics: Metrics,
    ) -> None:
        self.service = service
        self._consumes = consumes
        self._database = database
        self._contracts = contracts
        self._schema_ids = schema_ids
        self._settings = settings
        self._metrics = metrics
        families = [contracts.families[name] for name in consumes if name in contracts.families]
        if families and len(consumes) > 1:
            raise ValueError(f"{service} consumes a family of topics and something else: a group has one subscription")
        self.family = families[0] if families else None
        # Subscribed to by name, so that a topic that was not assigned is seen.
        self._topics = [] if self.family else list(consumes)
        self._joined = self._must_rejoin = self._stopping = False
        self._guard = DecodeGuard(settings.decode_memory_bytes_max)
        self._guarded: set[TopicPartition] = set()
        self._reread: dict[TopicPartition, int] = {}
        self._broker: KafkaBroker | None = None
        self._subscriber: LogicSubscriber[Any] | None = None
        self._log_view = LogView(settings.kafka_bootstrap_servers)
        self.positions = Positions(lambda: self.consumer, database=database, log_view=self._log_view, metrics=metrics)
        self._tasks: list[asyncio.Task[None]] = []
        self._attempted_at = time.monotonic()
        self._log_checked_at = 0.0
        self._look = asyncio.Event()  # set when partitions were assigned, which wait for their positions
        self.assignment_seen = False
        self.position_known = True

    # -- life

    async def start(self) -> None:
        """Begins to connect, to position and to consume, in tasks of its own."""
        self._tasks = [
            asyncio.create_task(self._connect(), name="inbox-connect"),
            asyncio.create_task(self._observe(), name="inbox-observe"),
        ]

    async def stop(self) -> None:
        """Finishes the transaction at hand, then leaves the group."""
        self._stopping = True
        await ended(self._tasks)
        if self._broker is not None:
            with suppress(Exception):
                await asyncio.wait_for(self._broker.stop(), self._settings.drain_seconds_max)
        await self._log_view.drop()
        await self._guard.close()

    @property
    def consumer(self) -> AIOKafkaConsumer | None:
        """The group's consumer once FastStream has started it."""
        return self._subscriber.consumer if self._subscriber is not None else None

    def build_broker(self) -> KafkaBroker:
        """The FastStream broker with every default that loses messages set otherwise (see docs/decisions/0002)."""
        broker = KafkaBroker(
            self._settings.kafka_bootstrap_servers,
            client_id=self.service,
            consumer_only=True,
            allow_auto_create_topics=False,
            # A topic that was deleted and made anew is assigned again after this time, not after five minutes.
            metadata_max_age_ms=_METADATA_MAX_AGE_MILLISECONDS,
            acks="all",
            ack_policy=AckPolicy.MANUAL,
            graceful_timeout=self._settings.drain_seconds_max,
            apply_types=False,
            logger=logging.getLogger("faststream"),
            middlewares=(
                KafkaPrometheusMiddleware(registry=self._metrics.registry, app_name=self.service),
                KafkaTelemetryMiddleware(),
            ),
        )
        subscriber = broker.subscriber(
            *self._topics,
            group_id=self.service,
            group_instance_id=f"{self.service}-{self._settings.instance}",
            session_timeout_ms=_SESSION_TIMEOUT_MILLISECONDS,
            heartbeat_interval_ms=_HEARTBEAT_MILLISECONDS,
            batch=True,
            max_records=self._settings.consume_batch_count_max,
            batch_timeout_ms=200,
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="none",
            listener=_Listener(self),
            parser=self._keep_raw,
            decoder=_identity,
            no_reply=True,
        )
        subscriber(self._on_batch)
        self._subscriber = subscriber
        return broker

    async def _connect(self) -> None:
        while True:
            broker = None
            try:
                if self.family is not None:
                    self._topics = await self._log_view.topics(self.family.pattern)
                if not self._topics:
                    self.assignment_seen = True  # no partner yet: nothing to read, and ready
                    await asyncio.sleep(1)
                    continue
                self._joined = False
                broker = self.build_broker()
                await broker.start()
            except Exception as error:
                _log.warning("the broker is away (%s); trying again", type(error).__name__)
                self._metrics.unavailable.inc()
                await self._log_view.drop()
                if broker is not None:
                    with suppress(Exception):
                        await broker.stop()
                await asyncio.sleep(1)
                continue
            self._broker = broker
            _log.info("consuming %s", ", ".join(self._topics))
            return

    async def _follow_family(self) -> None:
        """Subscribes anew when a topic of the family was made or deleted."""
        if self.family is not None and self.consumer is not None:  # before that, `_connect` asks for the topics itself
            topics = await self._log_view.topics(self.family.pattern)
            if topics and topics != self._topics:
                self._topics, self._must_rejoin = topics, True

    def _rejoin_if_needed(self) -> None:
        if self._must_rejoin and self.consumer is not None:
            self._must_rejoin = False
            self.consumer.subscribe(topics=self._topics, listener=_Listener(self))
            _log.info("joining the group again for %d topics", len(self._topics))

    def assigned(self, partitions: set[TopicPartition]) -> None:
        """Called by the rebalance listener, which must not wait: records arrive while it does (aiokafka #738)."""
        if not self._joined:
            # The broker gives a static member that comes back its old assignment, whatever it now subscribes to
            # (run: Kafka 4.4.0): a topic that is new since its death would be read by nobody.
            self._joined = True
            self._must_rejoin = not set(self._topics) <= {partition.topic for partition in partitions}
        self.positions.assigned(partitions)
        self.assignment_seen = True
        self._look.set()

    async def _keep_raw(self, records: tuple[ConsumerRecord, ...]) -> KafkaMessage:
        """Hands untouched records on: FastStream's own parser drops a batch of 500 for one null header."""
        return KafkaMessage(
            body=[record.value or b"" for record in records],
            raw_message=records,
            headers={},
            batch_headers=[],
            consumer=FAKE_CONSUMER,
            message_id=f"{records[0].topic}-{records[0].offset}",
        )

    # -- batches

    async def _on_batch(self, records: Sequence[ConsumerRecord]) -> None:
        self._attempted_at = time.monotonic()
        by_partition: dict[TopicPartition, list[ConsumerRecord]] = {}
        for record in records:
            by_partition.setdefault(TopicPartition(record.topic, record.partition), []).append(record)
        try:
            for partition, batch in by_partition.items():
                await self._take(partition, batch)
        finally:
            # One child for all the partitions of a batch: each start costs a fifth of a second.
            await self._guard.close()

    async def _take(self, partition: TopicPartition, records: list[ConsumerRecord]) -> None:
        expected = self.positions.expected.get(partition)
        if expected is None:
            return
        records = [record for record in records if record.offset >= expected]
        if not records:
            return
        if records[0].offset > expected and self._reread.get(partition) != expected:
            # Fetched before our seek: read again once. Still above means a foreign producer's control records.
            self._reread[partition] = expected
            self.positions.seek(partition, expected)
            return
        try:
            await self._work_through(partition, records, expected)
        except Fenced:
            self._metrics.fenced.inc()
            self.positions.forget(partition)
        except Exception as error:
            # Only Unavailable gets here: the order is kept by reading the same records again. Where from, the database
            # must say: a transaction whose end nobody saw may have committed, and what comes back may be a restored one.
            self._metrics.unavailable.inc()
            self.position_known = False
            _log.warning("%s/%d waits: %s", partition.topic, partition.partition, type(error).__name__)
            self.positions.forget(partition)
            await asyncio.sleep(0.5)

    async def _work_through(self, partition: TopicPartition, records: list[ConsumerRecord], expected: int) -> None:
        """All that was fetched, in as many transactions as it takes; a bug of ours stops the partition."""
        try:
            refused = await self._killers(partition, records)
            while records and not self._stopping:
                expected = await self._apply(partition, records, refused, expected)
                self.position_known = True
                if not self._still(partition, expected):
                    break
                records = [record for record in records if record.offset >= expected]
            self._guarded.add(partition)
        except Exception as error:
            if not _is_bug(error):
                raise
            # Not even setting the record aside succeeded. It may neither be skipped nor be tried for ever in silence:
            # an operator resumes the partition once the bug is repaired.
            at = self.positions.expected.get(partition, expected)
            _log.exception("%s/%d cannot go on from %d", partition.topic, partition.partition, at)
            self._metrics.consumer_failures.labels(partition.topic).inc()
            await self.positions.stop(partition, "consumer_failed")

    def _still(self, partition: TopicPartition, expected: int) -> bool:
        """Whether the partition is read and stands where we left it: it may have been stopped or taken away meanwhile."""
        return self.positions.expected.get(partition) == expected

    async def _apply(
        self,
        partition: TopicPartition,
        records: Sequence[ConsumerRecord],
        refused: Mapping[int, Malformed],
        expected: int,
    ) -> int:
        """As many records as one transaction takes; when that fails for another reason than Unavailable, one by one.

        Returns what is expected next.
        """
        self._attempted_at = time.monotonic()  # a batch of slow commands is many attempts
        try:
            return await self._attempt(partition, records, refused, expected)
        except Exception as error:
            if not _is_bug(error):
                raise
            _log.warning(
                "a batch of %s failed (%s); its records are tried one by one", partition.topic, type(error).__name__
            )
            for record in records:
                if self._still(partition, expected) and not self._stopping:
                    expected = await self._apply_one(partition, record, refused, expected)
            return expected

    async def _apply_one(
        self, partition: TopicPartition, record: ConsumerRecord, refused: Mapping[int, Malformed], expected: int
    ) -> int:
        """One record, and what waited behind it; whichever of them fails three times is set aside, not the one before it."""
        tries: Counter[int] = Counter()
        while True:
            try:
                return await self._attempt(partition, [record], refused, expected)
            except Exception as error:
                if not _is_bug(error):
                    raise
                failed = error if isinstance(error, HandlerFailed) else HandlerFailed(record.offset, error)
                if failed.offset in refused:
                    raise
                tries[failed.offset] += 1
                attempt = tries[failed.offset]
                _log.exception(
                    "handling %s/%d/%d failed, try %d", record.topic, record.partition, failed.offset, attempt
                )
                if attempt == self._settings.handler_attempt_count_max:
                    refused = {**refused, failed.offset: failed.malformed}
                await asyncio.sleep(0.05 * attempt)

    async def _attempt(
        self,
        partition: TopicPartition,
        records: Sequence[ConsumerRecord],
        refused: Mapping[int, Malformed],
        expected: int,
    ) -> int:
        return await retried(
            lambda: self._transact(partition, records, refused, expected),
            when=is_unavailable,
            attempts_max=self._settings.retry_count_max,
            delay_seconds_max=self._settings.retry_delay_seconds_max,
        )

    async def _transact(
        self,
        partition: TopicPartition,
        records: Sequence[ConsumerRecord],
        refused: Mapping[int, Malformed],
        expected: int,
    ) -> int:
        for schema_id in unknown_schema_ids(records, self._schema_ids.codec):
            await self._schema_ids.learn(schema_id)
        if failpoints.ARMED:
            await failpoints.reach("consumer.before_tx")
        with self._metrics.handling_seconds.labels(partition.topic).time():
            async with self._database.transaction() as tx:
                batch = self.batch(tx, partition.topic)
                next_offset, stopped_reason = await batch.run(records, refused, expected=expected)
                if failpoints.ARMED:
                    await failpoints.reach("consumer.before_commit")
        if failpoints.ARMED:
            await failpoints.reach("consumer.after_commit")
        batch.report(self._metrics)
        if stopped_reason:
            await self.positions.stop(partition, stopped_reason)
        elif self._still(partition, expected):
            self.positions.expected[partition] = next_offset
        return next_offset

    def batch(self, tx: Any, topic: str, *, again: bool = False) -> BatchOfPartition:
        """The pass over a partition's records, also used by the dead-letters commands.

        `again` is the pass of a rebuild: it says nothing to others and knows no limit, for all was judged before.
        """
        unlimited = {"dead_letter_run_max": 2**31, "dead_letter_window_ratio_max": 2.0**31}
        return BatchOfPartition(
            tx,
            self._contracts.topic(topic),
            self._consumes[self.family.name if self.family else topic],
            service=self.service,
            codec=self._schema_ids.codec,
            contracts=self._contracts,
            settings=self._settings.model_copy(update=unlimited) if again else self._settings,
            # Foreign bytes may hold anything: they stay in this database.
            emits_dead_letters=not again
            and self.family is None
            and "estuaire.common.RecordDeadLettered" in self._contracts.emitted_by(self.service),
        )

    async def _killers(self, partition: TopicPartition, records: Sequence[ConsumerRecord]) -> dict[int, Malformed]:
        """In the first batch after a start: the records on which a decoding child process dies."""
        if partition in self._guarded:
            return {}
        refused = {}
        for record in records:
            with suppress(Malformed):
                writer = await self._schema_ids.raw_schema(record.value)
                if writer is not None and not await self._guard.survives(writer, record.value):
                    refused[record.offset] = Malformed("kills_the_interpreter", "the decoding child process died on it")
        return refused

    # -- watching

    async def _observe(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), _OBSERVE_EVERY_SECONDS)
            self._look.clear()
            try:
                self._rejoin_if_needed()
                await self.positions.resume_what_an_operator_resumed()
                if self.positions.missing:
                    self._attempted_at = time.monotonic()
                    await self.positions.find()
                await self.positions.note_completeness()
                if time.monotonic() > self._log_checked_at + _CHECK_LOG_EVERY_SECONDS:
                    self._log_checked_at = time.monotonic()
                    await self._follow_family()
                    await self.positions.check_log()
                    await self.positions.commit_for_display()
            except Exception as error:
                # Waiting for a part that is away is an attempt too: a database outage must not restart every pod.
                self._attempted_at = time.monotonic()
                if not is_unavailable(error) and not isinstance(error, KafkaError):
                    _log.exception("observing the consumer failed")
                await self._log_view.drop()

    @property
    def frozen(self) -> bool:
        """Lag, and not even an attempt for a minute: aiokafka can hang without a word (#1154, #703)."""
        return (
            self.positions.lag > 0
            and time.monotonic() - self._attempted_at > self._settings.frozen_after_seconds
            and not self.positions.stopped
        )

    @property
    def ready(self) -> bool:
        """Whether the group has assigned us something (or nothing, to a spare replica) and positions are readable."""
        return self.assignment_seen and self.position_known


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Forwards without waiting; an exception here would only be logged.

    Coroutines, because FastStream calls plain functions in another thread, where no consumer may be touched.
    """

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._inbox.assigned(assigned)

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self._inbox.positions.revoked(revoked)


def _is_bug(error: Exception) -> bool:
    """Whether it is ours: neither a position that moved under us nor a part that is away."""
    return not isinstance(error, Fenced) and not is_unavailable(error)


async def _identity(message: KafkaMessage) -> Any:
    return message.raw_message
