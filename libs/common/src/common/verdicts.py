"""Applies one batch of one partition inside one transaction: decode, version guard, handlers, dead letters, position."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from aiokafka import ConsumerRecord
from sqlalchemy import Row

from common import failpoints
from common.avro import Codec, Decoded, validated
from common.contracts import Contracts, Topic, full_name
from common.failures import Malformed, is_unavailable
from common.letters import Letters, StoredRecord, key_of
from common.messages import Message, by_full_name
from common.settings import Settings
from common.telemetry import Metrics, span
from common.transaction import Transaction

_log = logging.getLogger(__name__)
# A transaction costs about as much as a handler does: some ten handlers share it on an idle machine.
HANDLING_SECONDS = 0.1
# So many records' keys are looked up at once for them.
_GUARD_COUNT = 50


@dataclass(frozen=True)
class Delivery:
    """A message that passed the guard, and where it stands in the log."""

    message: Message
    topic: str
    partition: int
    offset: int


Handler = Callable[[Transaction, Any], Awaitable[None]]
Fold = Callable[[Transaction, Sequence[Delivery]], Awaitable[None]]


@dataclass(frozen=True)
class Consumes:
    """What a service does with one topic: a handler per message, or one fold for whole batches of the listed messages.

    Where the guard is `none`, a handler gets the `Delivery`: who wrote it is in the name of its topic.
    """

    handlers: Mapping[type[Message], Handler] = field(default_factory=dict)
    messages: tuple[type[Message], ...] = ()
    fold: Fold | None = None
    # Called for each record that is set aside, in the same transaction: a partner is told what was wrong.
    tell: Callable[[Transaction, ConsumerRecord, Malformed], Awaitable[None]] | None = None

    @property
    def classes(self) -> dict[str, type[Message]]:
        """Full record name to class, for every message that this service uses."""
        return by_full_name((*self.handlers, *self.messages))


class Fenced(Exception):
    """The position is not where it was believed to be: everything of this batch is rolled back."""


class HandlerFailed(Exception):
    """A handler has a bug; `offset` says on which record, for that may be one that waited behind the record at hand."""

    def __init__(self, offset: int, error: Exception) -> None:
        super().__init__(f"{type(error).__name__} at offset {offset}")
        self.offset = offset
        self.error = error
        self.malformed = Malformed("handler_failed", type(error).__name__)


@contextmanager
def _naming(offset: int) -> Iterator[None]:
    """Says of a bug on which record it showed."""
    try:
        yield
    except Exception as error:
        if isinstance(error, Malformed) or is_unavailable(error):
            raise
        raise HandlerFailed(offset, error) from error


@dataclass
class _Seen:
    version: int
    event_id: UUID | None
    occurred_at: datetime | None
    changed: bool = False


class BatchOfPartition:
    """One pass over records of one partition. Build, `run`, throw away."""

    def __init__(
        self,
        tx: Transaction,
        topic: Topic,
        consumes: Consumes,
        *,
        service: str,
        codec: Codec,
        contracts: Contracts,
        settings: Settings,
        emits_dead_letters: bool,
    ) -> None:
        self._tx = tx
        self._topic = topic
        self._consumes = consumes
        self._codec = codec
        self._classes = consumes.classes
        self._listed = {full_name(contracts.latest(path)) for path in topic.records}
        self._seen: dict[str, _Seen] = {}
        self._waiting: set[str] = set()
        self._refused: Mapping[int, Malformed] = {}
        self._fold: list[Delivery] = []
        self._letters = Letters(tx, service=service, settings=settings, emits=emits_dead_letters)
        self.verdicts: dict[str, int] = {}

    async def run(
        self, records: Sequence[ConsumerRecord], refused: Mapping[int, Malformed], *, expected: int
    ) -> tuple[int, str | None]:
        """Applies records in order; `refused` are the offsets already known as malformed.

        `expected` is where the caller believes the position to be; raises `Fenced` when the database knows otherwise.
        Returns the new position, and why the partition stopped there if it did. What handlers lock, people wait for: after
        `HANDLING_SECONDS` they leave the rest to the next transaction. Folds take all.
        """
        partition = records[0].partition
        position = await self._tx.fetch_one(
            "SELECT next_offset, limits_from_offset, stopped_reason FROM consumer_position WHERE topic = :topic AND partition = :partition FOR UPDATE",
            topic=self._topic.name,
            partition=partition,
        )
        # Not compared with the first record, which may stand above: control records of a foreign producer leave holes.
        # A position below what we believe means a database restored under us: what is between must be read again.
        if position is None or position.next_offset != expected or position.stopped_reason:
            raise Fenced
        self._refused = refused
        last, stopped_reason = await self._apply_all(records, position.limits_from_offset)
        await self._finish(alone=len(records) == 1)
        await self._tx.execute(
            """UPDATE consumer_position SET next_offset = :next, stopped_reason = :stopped,
                   complete_at = GREATEST(complete_at, to_timestamp(:published_ms / 1000.0))
               WHERE topic = :topic AND partition = :partition""",
            next=last.offset + 1,
            stopped=stopped_reason,
            published_ms=max(record.timestamp for record in records if record.offset <= last.offset),
            topic=self._topic.name,
            partition=partition,
        )
        return last.offset + 1, stopped_reason

    async def _apply_all(
        self, records: Sequence[ConsumerRecord], limits_from: int
    ) -> tuple[ConsumerRecord, str | None]:
        """Applies record by record; returns the last one that it got to, and why the partition stops there if it does."""
        began = time.monotonic()
        # Handlers leave the rest to the next transaction after a while: what they do not get to is not looked up.
        lot = _GUARD_COUNT if self._consumes.fold is None else len(records)
        for number, record in enumerate(records):
            if number % lot == 0:
                keys = [key_of(one) for one in records[number : number + lot]]
                await self._load_guard([key for key in keys if key not in self._seen])
            try:
                if record.offset in self._refused:
                    raise self._refused[record.offset]
                await self._apply(record)
            except Malformed as malformed:
                await self._set_aside(record, malformed)
                if await self._letters.over_the_limit(record, limits_from):
                    if self._consumes.tell is not None:
                        await self._consumes.tell(self._tx, record, Malformed("dead_letter_limit"))
                    return record, "dead_letter_limit"
            if self._consumes.fold is None and time.monotonic() > began + HANDLING_SECONDS:
                return record, None
        return records[-1], None

    async def _apply(self, record: ConsumerRecord) -> None:
        if failpoints.ARMED:
            await failpoints.reach("consumer.before_decode")
        decoded = self._codec.decode(record.value)
        if decoded.record not in self._listed:
            raise Malformed("unexpected_record", decoded.record)
        if self._topic.guard == "none":
            await self._accept(decoded, record.partition, record.offset, dict(record.headers))
            return
        key = key_of(record)
        if str(decoded.fields.get("aggregate_id")) != key:
            raise Malformed("key_is_not_the_aggregate", decoded.record)
        await self._guarded(decoded, record, key)
        if key in self._waiting:
            await self._drain(key, record.partition)

    async def _guarded(self, decoded: Decoded, record: ConsumerRecord, key: str) -> None:
        version = int(decoded.fields["aggregate_version"])
        event_id, occurred_at = decoded.fields["event_id"], decoded.fields["occurred_at"]
        seen = self._seen.setdefault(key, _Seen(0, None, None))
        if self._topic.guard == "latest":
            if seen.occurred_at is not None and occurred_at <= seen.occurred_at:
                self._count("duplicate")
                return
        elif version <= seen.version:
            if version == seen.version and event_id != seen.event_id:
                _log.error("version %d of %s came under two event ids: the log is ahead of its database", version, key)
                self._count("conflict")
            self._count("duplicate")
            return
        elif version > seen.version + 1:
            if decoded.record in self._classes:
                validated(decoded, self._classes)  # what is malformed is a dead letter now, not when the key is drained
            await self._park(record, key, version)
            return
        await self._accept(decoded, record.partition, record.offset, dict(record.headers))
        self._seen[key] = _Seen(version, event_id, occurred_at, changed=True)

    async def _accept(self, decoded: Decoded, partition: int, offset: int, headers: Mapping[str, bytes | None]) -> None:
        if decoded.record not in self._classes:
            self._count("unused")
            return
        message = validated(decoded, self._classes)
        delivery = Delivery(message, self._topic.name, partition, offset)
        if self._consumes.fold is None:
            carrier = {"traceparent": (headers.get("traceparent") or b"").decode("ascii", "replace")}
            with span(f"consume {decoded.record}", carrier):
                self._tx.correlation_id, self._tx.causation_id = message.correlation_id, message.event_id
                with _naming(offset):
                    await self._consumes.handlers[type(message)](
                        self._tx, delivery if self._topic.guard == "none" else message
                    )
        else:
            self._fold.append(delivery)
        self._count("accepted")

    async def _park(self, record: ConsumerRecord, key: str, version: int) -> None:
        if key not in self._waiting:
            _log.error(
                "a message is missing before version %d of %s in %s: the key is parked", version, key, self._topic.name
            )
        await self._tx.execute(
            """INSERT INTO parked_message (topic, partition, "offset", key, version, value)
               VALUES (:topic, :partition, :offset, :key, :version, :value) ON CONFLICT DO NOTHING""",
            topic=self._topic.name,
            partition=record.partition,
            offset=record.offset,
            key=key,
            version=version,
            value=record.value,
        )
        self._waiting.add(key)
        self._count("parked")

    async def _drain(self, key: str, partition: int) -> None:
        """Applies what waited behind the version just applied, as far as versions follow each other."""
        rows = await self._tx.fetch_all(
            'SELECT "offset", version, value FROM parked_message WHERE topic = :topic AND key = :key ORDER BY version, "offset"',
            topic=self._topic.name,
            key=key,
        )
        done = []
        for row in rows:
            following = self._seen[key].version + 1
            if row.version > following:
                break
            done.append(row.offset)
            if row.version == following and not await self._unpark(row, key, partition):
                break
        if done:
            await self._tx.execute(
                'DELETE FROM parked_message WHERE topic = :topic AND partition = :partition AND "offset" = ANY(:offsets)',
                topic=self._topic.name,
                partition=partition,
                offsets=done,
            )
        if len(done) == len(rows):
            self._waiting.discard(key)

    async def _unpark(self, row: Row[Any], key: str, partition: int) -> bool:
        """Applies one that waited. False when it is a dead letter now: what waits behind it goes on waiting."""
        record = StoredRecord(self._topic.name, partition, row.offset, key.encode(), bytes(row.value), ())
        try:
            if row.offset in self._refused:
                raise self._refused[row.offset]
            decoded = self._codec.decode(record.value)
            await self._accept(decoded, partition, row.offset, {})
        except Malformed as malformed:
            await self._set_aside(record, malformed)
            return False
        self._seen[key] = _Seen(row.version, decoded.fields["event_id"], decoded.fields["occurred_at"], changed=True)
        return True

    async def release(
        self, record: StoredRecord, refused: Mapping[int, Malformed], *, others: Sequence[StoredRecord] = ()
    ) -> None:
        """Steps over the version of a record that is given up, then applies what waited behind it (`dead-letters discard`).

        What nobody can read has no version: then everything is stepped over up to what waits, or up to the first of
        `others`, the key's later letters, which an operator has yet to judge.
        """
        if self._topic.guard != "version":
            return
        self._refused = refused
        key = key_of(record)
        await self._load_guard([key])
        version = self._version_of(record)
        if version is None:
            parked = await self._tx.fetch_one(
                "SELECT min(version) FROM parked_message WHERE topic = :topic AND key = :key",
                topic=self._topic.name,
                key=key,
            )
            following = [parked[0] if parked else None, *(self._version_of(other) for other in others)]
            version = min((one for one in following if one is not None), default=1) - 1
        seen = self._seen.setdefault(key, _Seen(0, None, None))
        if version > seen.version:
            event_id, occurred_at = seen.event_id or UUID(int=0), seen.occurred_at or datetime.fromtimestamp(0, UTC)
            self._seen[key] = _Seen(version, event_id, occurred_at, changed=True)
            await self._drain(key, record.partition)
            await self._finish(alone=True)

    def _version_of(self, record: StoredRecord) -> int | None:
        """Of its own aggregate; None when nobody can read it, or when its key is another's."""
        try:
            fields = self._codec.decode(record.value).fields
        except Malformed:
            return None
        return int(fields["aggregate_version"]) if str(fields.get("aggregate_id")) == key_of(record) else None

    async def again(self, record: ConsumerRecord, refused: Mapping[int, Malformed]) -> None:
        """Runs one record of the past through the same guard (`dead-letters replay`); raises `Malformed` when it still fails."""
        self._refused = refused
        await self._load_guard([key_of(record)])
        await self._apply(record)
        await self._finish(alone=True)

    async def _finish(self, *, alone: bool) -> None:
        """Folds and saves. One record `alone` is folded apart from what waited behind it, so that a bug has one offset."""
        if self._consumes.fold:
            for lot in [[delivery] for delivery in self._fold] if alone else [self._fold] if self._fold else []:
                with _naming(lot[0].offset):
                    await self._consumes.fold(self._tx, lot)
        await self._save_guard()
        await self._letters.save()

    async def _set_aside(self, record: ConsumerRecord | StoredRecord, malformed: Malformed) -> None:
        self._count("malformed")
        self._letters.add(record, malformed)
        if self._consumes.tell is not None:
            await self._consumes.tell(self._tx, record, malformed)

    async def _load_guard(self, keys: Sequence[str]) -> None:
        wanted = sorted(set(keys))
        for row in await self._tx.fetch_all(
            "SELECT key, version, event_id, occurred_at FROM aggregate_seen WHERE topic = :topic AND key = ANY(:keys)",
            topic=self._topic.name,
            keys=wanted,
        ):
            self._seen[row.key] = _Seen(row.version, row.event_id, row.occurred_at)
        for row in await self._tx.fetch_all(
            "SELECT DISTINCT key FROM parked_message WHERE topic = :topic AND key = ANY(:keys)",
            topic=self._topic.name,
            keys=wanted,
        ):
            self._waiting.add(row.key)

    async def _save_guard(self) -> None:
        changed = sorted((key, seen) for key, seen in self._seen.items() if seen.changed)
        if changed:
            await self._tx.execute(
                """INSERT INTO aggregate_seen (topic, key, version, event_id, occurred_at)
                   SELECT :topic, * FROM unnest(CAST(:keys AS text[]), CAST(:versions AS bigint[]), CAST(:event_ids AS uuid[]), CAST(:instants AS timestamptz[]))
                   ON CONFLICT (topic, key) DO UPDATE SET version = excluded.version, event_id = excluded.event_id, occurred_at = excluded.occurred_at""",
                topic=self._topic.name,
                keys=[key for key, _ in changed],
                versions=[seen.version for _, seen in changed],
                event_ids=[seen.event_id for _, seen in changed],
                instants=[seen.occurred_at for _, seen in changed],
            )

    def _count(self, verdict: str) -> None:
        self.verdicts[verdict] = self.verdicts.get(verdict, 0) + 1

    def report(self, metrics: Metrics) -> None:
        """Adds this batch's verdicts to the metrics; called after the commit only."""
        for verdict, count in self.verdicts.items():
            if verdict == "conflict":
                metrics.version_conflicts.labels(self._topic.name).inc(count)
            else:
                metrics.verdicts.labels(self._topic.name, verdict).inc(count)
