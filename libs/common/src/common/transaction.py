"""The one transaction: state, outgoing messages, mails and consumer position commit together or not at all."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID, uuid4

from sqlalchemy import Row, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from common.avro import Codec
from common.contracts import Topic
from common.failures import Refusal, Unavailable, forever, sqlstate, until_it_stands
from common.links import keyed_hash, signed_link, subject_of
from common.messages import Message
from common.telemetry import carried

T = TypeVar("T")
# Nothing that a command does may wait longer than this for a lock: the caller gets an answer instead.
_LOCK_TIMEOUT_MILLISECONDS = 5_000
_STATEMENT_TIMEOUT_MILLISECONDS = 20_000
# When hundreds come at the same minute they queue for a connection: rather a slow answer than "try again".
_POOL_TIMEOUT_SECONDS = 15
# unique_violation, exclusion_violation
_TAKEN = ("23505", "23P01")
_PRUNE_COUNT, _PRUNE_EVERY_SECONDS = 1000, 600
# A process that was stopped in the middle of a transaction keeps its locks no longer than this.
_IDLE_IN_TRANSACTION_TIMEOUT_MILLISECONDS = 8_000


class MessageTooLarge(Exception):
    """A message that Kafka would refuse; the command that wanted it is refused instead."""

    def __init__(self, record: str, size_bytes: int) -> None:
        super().__init__(f"{record} of {size_bytes} bytes")
        self.refusal = Refusal(
            "message_too_large", "La demande produit un message trop volumineux ; raccourcissez ses textes."
        )


@dataclass
class Step:
    """A part of a transaction; whoever runs it says whether it is undone."""

    undo: bool = False


class Transaction:
    """What a handler is given: SQL, the clock, `emit` and `mail`. It cannot commit; the edge does."""

    def __init__(
        self, connection: AsyncConnection, outlet: Outlet, *, correlation_id: UUID, causation_id: UUID | None
    ) -> None:
        self._connection = connection
        self._outlet = outlet
        self.correlation_id = correlation_id
        self.causation_id = causation_id
        self.emitted_count = 0
        self.mailed_count = 0
        # The broken commitments that the caller of a command was shown and goes on with (common.commitments).
        self.accepted: str | None = None

    async def execute(self, sql: str, **values: Any) -> int:
        """Runs a statement; returns the number of rows that it touched."""
        result = await self._connection.execute(text(sql), values)
        return result.rowcount

    async def fetch_all(self, sql: str, **values: Any) -> Sequence[Row[Any]]:
        """All rows of a query."""
        return (await self._connection.execute(text(sql), values)).all()

    async def fetch_one(self, sql: str, **values: Any) -> Row[Any] | None:
        """The first row of a query, or None."""
        return (await self._connection.execute(text(sql), values)).first()

    def address(self, path: str) -> str:
        """Where a page of this service is reached, for mails."""
        return self._outlet.public_url + path

    def signed_address(self, path: str, use: str, subject: str, days: int) -> str:
        """Where somebody without an account finds what is theirs: the page's path, then a link for one use and one subject."""
        return self.address(f"{path}/{self.signed_link(use, subject, days)}")

    def signed_link(self, use: str, subject: str, days: int) -> str:
        """The end of such an address."""
        return signed_link(self._outlet.link_secret, use, subject, days)

    def subject_of(self, use: str, link: str) -> str | None:
        """For whom a signed link is, if it is ours, made for this use, and still good."""
        return subject_of(self._outlet.link_secret, use, link)

    def keyed_hash(self, use: str, text: str) -> str:
        """What stands for a text that is not kept: see `common.links`."""
        return keyed_hash(self._outlet.link_secret, use, text)

    async def now(self) -> datetime:
        """The database's clock, read now: call it after the lock, so that it orders with what others did."""
        row = await self.fetch_one(self._outlet.clock_sql)
        assert row is not None
        instant: datetime = row[0]
        return instant

    async def emit(
        self, messages: Sequence[Message], *, aggregate_id: UUID, version: int, topic: str | None = None
    ) -> int:
        """Stores messages of one aggregate, numbered from `version + 1`; returns the new version.

        They go to the topic that `topics.yaml` gives their record; of a family of topics, the caller names the one.

        The caller holds the lock on the aggregate's row, so that the order in the outbox is the order of versions.
        Raises `MessageTooLarge`, which rolls the transaction back and refuses the command.
        """
        rows: list[dict[str, Any]] = []
        for message in messages:
            version += 1
            full = message.model_copy(
                update={
                    "event_id": uuid4(),
                    "aggregate_id": aggregate_id,
                    "aggregate_version": version,
                    "correlation_id": self.correlation_id,
                    "causation_id": self.causation_id,
                }
            )
            rows.append(self._outlet.row(full, topic))
        if rows:
            await self._connection.execute(_INSERT_OUTBOX, rows)
            self.emitted_count += len(rows)
        return version

    @asynccontextmanager
    async def step(self) -> AsyncIterator[Step]:
        """What is done in this block is undone at its end where it fails, or says `undo`: by a savepoint of the database."""
        counts, savepoint, step = (self.emitted_count, self.mailed_count), await self._connection.begin_nested(), Step()
        done = False
        try:
            yield step
            done = not step.undo
        finally:
            if done:
                await savepoint.commit()
            else:
                await savepoint.rollback()
                self.emitted_count, self.mailed_count = counts

    @asynccontextmanager
    async def undone(self) -> AsyncIterator[None]:
        """What is done in this block is undone at its end: a rehearsal by the same code, rules and constraints."""
        async with self.step() as step:
            step.undo = True
            yield

    async def execute_unless_taken(self, sql: str, **values: Any) -> bool:
        """Runs a statement that a unique constraint may refuse: waits for whoever was first, then does nothing and says False.

        The rest of the transaction goes on.
        """
        savepoint = await self._connection.begin_nested()
        try:
            await self.execute(sql, **values)
        except IntegrityError as error:
            await savepoint.rollback()
            if sqlstate(error) not in _TAKEN:
                raise
            return False
        await savepoint.commit()
        return True

    async def mail(self, *, message_key: str, recipient: str, subject: str, body: str) -> bool:
        """Stores one mail and says so; a second one with the same key and recipient is dropped."""
        stored_count = await self.execute(
            """INSERT INTO mail (message_key, recipient, subject, body, attempt_count)
               VALUES (:message_key, :recipient, :subject, :body, 0) ON CONFLICT (message_key, recipient) DO NOTHING""",
            message_key=message_key,
            recipient=recipient,
            subject=subject,
            body=body,
        )
        self.mailed_count += 1
        return stored_count == 1


_INSERT_OUTBOX = text(
    """INSERT INTO outbox (topic, key, aggregate_version, event_id, record, value, headers)
       VALUES (:topic, :key, :aggregate_version, :event_id, :record, :value, CAST(:headers AS jsonb))"""
)


class Outlet:
    """What a transaction needs to know to turn a message into an outbox row."""

    def __init__(
        self,
        *,
        source: str,
        codec: Codec,
        topics: Mapping[str, Topic],
        message_bytes_max: int,
        development: bool,
        public_url: str = "",
        link_secret: str = "",
    ) -> None:
        self._source = source
        self.public_url = public_url
        self.link_secret = link_secret
        self._codec = codec
        self._topics = topics
        self._message_bytes_max = message_bytes_max
        self.clock_sql = _DEVELOPMENT_CLOCK if development else "SELECT clock_timestamp()"
        # Why nothing may be emitted now: the versions that we would give are taken, or their past is lost.
        self.closed_reason: str | None = None

    def row(self, message: Message, topic: str | None = None) -> dict[str, Any]:
        """The outbox row of a message with its envelope filled, headers as CloudEvents in binary mode.

        Raises `Unavailable` while the log and the database disagree.
        """
        if self.closed_reason is not None:
            raise Unavailable(self.closed_reason)
        record = f"{message.namespace}.{message.record_name()}"
        value = self._codec.encode(message)
        if len(value) > self._message_bytes_max:
            raise MessageTooLarge(record, len(value))
        headers = {
            "ce_specversion": "1.0",
            "ce_id": str(message.event_id),
            "ce_type": record,
            "ce_source": f"/{self._source}",
            "ce_subject": str(message.aggregate_id),
            "ce_time": message.occurred_at.isoformat(),
            "content-type": "application/avro",
            **carried(),
        }
        return {
            "topic": topic or self._topics[record].name,
            "key": str(message.aggregate_id),
            "event_id": message.event_id,
            "aggregate_version": message.aggregate_version,
            "record": record,
            "value": value,
            "headers": json.dumps(headers),
        }


_DEVELOPMENT_CLOCK = """SELECT clock_timestamp()
    + make_interval(secs => COALESCE((SELECT offset_seconds FROM development_clock WHERE id = 1), 0))"""


class Database:
    """The service's own database: hands out transactions and wakes the relay after those that emitted."""

    def __init__(self, url: str, outlet: Outlet, *, pool_max: int) -> None:
        self.engine: AsyncEngine = create_async_engine(
            url,
            pool_size=pool_max,
            max_overflow=0,
            pool_timeout=_POOL_TIMEOUT_SECONDS,
            pool_pre_ping=False,
            pool_recycle=900,
            connect_args={
                "timeout": 5,
                "command_timeout": _STATEMENT_TIMEOUT_MILLISECONDS / 1000 + 5,
                "server_settings": {
                    "lock_timeout": str(_LOCK_TIMEOUT_MILLISECONDS),
                    "statement_timeout": str(_STATEMENT_TIMEOUT_MILLISECONDS),
                    "idle_in_transaction_session_timeout": str(_IDLE_IN_TRANSACTION_TIMEOUT_MILLISECONDS),
                    "timezone": "UTC",
                    # Our statements are short: the just-in-time compiler would cost more than it saves.
                    "jit": "off",
                },
            },
        )
        self.outlet = outlet
        self.after_emit: list[Callable[[], None]] = []
        self.after_mail: list[Callable[[], None]] = []

    @asynccontextmanager
    async def transaction(
        self, *, correlation_id: UUID | None = None, causation_id: UUID | None = None
    ) -> AsyncIterator[Transaction]:
        """Commits at the end of the block, rolls back when it raises."""
        async with self.engine.begin() as connection:
            tx = Transaction(
                connection, self.outlet, correlation_id=correlation_id or uuid4(), causation_id=causation_id
            )
            yield tx
        for count, waiting in ((tx.emitted_count, self.after_emit), (tx.mailed_count, self.after_mail)):
            for wake in waiting if count else ():
                wake()

    async def run(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Runs a piece of work in one transaction, and anew when it was given up for the sake of another."""

        async def attempt() -> T:
            async with self.transaction() as tx:
                return await work(tx)

        return await until_it_stands(attempt)

    async def prune(self, delete: str, **values: Any) -> None:
        """Runs a DELETE of at most `:limit` rows again and again, a lot at a time, until cancelled."""

        async def lot() -> bool:
            async with self.transaction() as tx:
                return await tx.execute(delete, limit=_PRUNE_COUNT, **values) == _PRUNE_COUNT

        await forever(lot, seconds=_PRUNE_EVERY_SECONDS)

    async def close(self) -> None:
        """Closes every connection."""
        await self.engine.dispose()
