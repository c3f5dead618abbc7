"""Compares the log with the database after one of the two was restored or lost, and makes them agree again.

Each knows what the other should hold: `outbox_mark` says up to where a partition was published, the log says which
messages it has. A message beyond the mark that the outbox does not know means a database restored to an earlier point;
an end before the mark means a topic wiped or cut short.
"""

from __future__ import annotations

import getpass
import importlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from aiokafka import ConsumerRecord, TopicPartition

from common import generated
from common.avro import Decoded, validated
from common.contracts import Contracts, Schema, full_name
from common.failures import Malformed, Unavailable
from common.log_view import LogView, why_unreadable
from common.messages import Message, by_full_name, last_version_of
from common.schema_ids import SchemaIds
from common.transaction import Database, Transaction

_log = logging.getLogger(__name__)

LOG_AHEAD = "log_ahead_of_database"
LOG_BEHIND = "log_behind_database"

Say = Callable[[str], None]
M = TypeVar("M", bound=Message)


class LastMessages(dict[type[Message], Message]):
    """What the log alone tells of an aggregate: the last message of each class."""

    def of(self, cls: type[M]) -> M | None:
        """The last message of one class."""
        message = self.get(cls)
        return message if isinstance(message, cls) else None


@dataclass(frozen=True)
class Aggregates:
    """The aggregates of one topic: the table that has their versions, and how one of them is told anew.

    `restate` gives the messages that tell an aggregate as this database has it, or that it is over when the database forgot
    it. It may bring back from the last messages what was forgotten; it neither emits nor numbers anything. `described` are
    the messages whose version the table keeps in `described_version`, where it has that column.
    """

    topic: str
    table: str
    restate: Callable[[Transaction, UUID, LastMessages], Awaitable[Sequence[Message]]]
    key: str = ""
    described: tuple[type[Message], ...] = ()

    @property
    def key_column(self) -> str:
        """Where the table has an aggregate's id: `<table>_id`, unless `key` says otherwise."""
        return self.key or f"{self.table}_id"

    async def versions(self, tx: Transaction) -> dict[UUID, int]:
        """The version of every aggregate that this database has."""
        rows = await tx.fetch_all(f"SELECT {self.key_column} AS id, version FROM {self.table}")
        return {row.id: row.version for row in rows}

    async def tell_anew(self, tx: Transaction, aggregate_id: UUID, version: int, last: LastMessages) -> None:
        """Emits an aggregate as it is, from the log's version on; its row, if there is one, goes on from there."""
        messages = await self.restate(tx, aggregate_id, last)
        version = await tx.emit(messages, aggregate_id=aggregate_id, version=version)
        await tx.execute(
            f"UPDATE {self.table} SET version = :version WHERE {self.key_column} = :id",
            id=aggregate_id,
            version=version,
        )
        if told := last_version_of(self.described, messages, version, otherwise=0):
            await tx.execute(
                f"UPDATE {self.table} SET described_version = :told WHERE {self.key_column} = :id",
                id=aggregate_id,
                told=told,
            )


@dataclass
class _Difference:
    """What the log and the database of one service do not have in common."""

    marks: dict[TopicPartition, int]
    ends: dict[TopicPartition, int]
    behind: list[TopicPartition] = field(default_factory=list)
    unknown: list[tuple[ConsumerRecord, Decoded]] = field(default_factory=list)
    present: set[UUID] = field(default_factory=set)
    versions: Counter[tuple[str, str]] = field(default_factory=Counter)
    first_versions: dict[tuple[str, str], int] = field(default_factory=dict)


class Agreement:
    """Whether the topics that a service owns hold what its database says, and the way back when they do not."""

    def __init__(
        self,
        service: str,
        *,
        database: Database,
        contracts: Contracts,
        schema_ids: SchemaIds,
        bootstrap_servers: str,
        aggregates: Sequence[Aggregates] = (),
    ) -> None:
        self._database = database
        self._schema_ids = schema_ids
        self._log_view = LogView(bootstrap_servers)
        self._aggregates = aggregates
        self._classes = messages_of(service) if aggregates else {}
        # Families are left out: they carry answers to partners, and no facts.
        topics = [topic for topic in contracts.topics.values() if topic.owner == service]
        self._partitions = [TopicPartition(topic.name, n) for topic in topics for n in range(topic.partitions)]
        # Record names by topic.
        self.topics = {topic.name: {full_name(contracts.latest(path)) for path in topic.records} for topic in topics}

    async def disagreement(self) -> str | None:
        """`LOG_AHEAD`, `LOG_BEHIND` or None; reads what stands beyond the marks, usually nothing."""
        if not self._partitions:
            return None
        try:
            difference = await self._compare(everything=False)
        finally:
            await self._log_view.drop()
        return LOG_BEHIND if difference.behind else LOG_AHEAD if difference.unknown else None

    async def _compare(self, *, everything: bool) -> _Difference:
        """The difference; `everything` reads whole topics when one is behind, and lists all that is unknown."""
        async with self._database.transaction() as tx:
            marks = await self._marks(tx)
        # In this order: a message is committed before it is sent, and marked after.
        starts, ends = await self._log_view.bounds(self._partitions)
        found = _Difference(marks, ends, [p for p in self._partitions if ends[p] < marks[p]])
        if found.behind and not everything:
            return found
        first = {p: starts[p] if found.behind else max(starts[p], min(marks[p], ends[p])) for p in self._partitions}
        async for records in self._log_view.records(first, ends):
            await self._look_at(records, found)
            if found.unknown and not everything:
                break
        # The broker hands partitions out in any order; the same difference is listed the same way each time.
        found.unknown.sort(key=lambda pair: (pair[0].topic, pair[0].partition, pair[0].offset))
        return found

    async def _marks(self, tx: Transaction) -> dict[TopicPartition, int]:
        rows = await tx.fetch_all("SELECT topic, partition, next_offset FROM outbox_mark")
        stored = {TopicPartition(row.topic, row.partition): row.next_offset for row in rows}
        return {partition: stored.get(partition, 0) for partition in self._partitions}

    async def _look_at(self, records: Sequence[ConsumerRecord], found: _Difference) -> None:
        beyond: dict[UUID, tuple[ConsumerRecord, Decoded]] = {}
        for record in records:
            decoded = await self._decoded(record)
            if decoded is None:
                continue  # no service of ours wrote it: its consumers set it aside
            event_id, version = decoded.fields["event_id"], decoded.fields["aggregate_version"]
            place = record.topic, str(decoded.fields["aggregate_id"])
            found.present.add(event_id)
            found.versions[place] = max(found.versions[place], version)
            found.first_versions[place] = min(found.first_versions.get(place, version), version)
            if record.offset >= found.marks[TopicPartition(record.topic, record.partition)]:
                beyond.setdefault(event_id, (record, decoded))
        async with self._database.transaction() as tx:
            known = await tx.fetch_all(
                """SELECT event_id FROM outbox WHERE event_id = ANY(:ids)
                   UNION SELECT event_id FROM unknown_message WHERE event_id = ANY(:ids)""",
                ids=list(beyond),
            )
        for row in known:
            del beyond[row.event_id]
        already = {decoded.fields["event_id"] for _, decoded in found.unknown}
        found.unknown += [pair for event_id, pair in beyond.items() if event_id not in already]

    async def _decoded(self, record: ConsumerRecord) -> Decoded | None:
        """A message of ours, or None for bytes that no relay of ours can have sent."""
        try:
            # Decoded only when the schema is one of the topic's own: those of strangers may kill the interpreter.
            schema = await self._schema_ids.raw_schema(record.value)
            if not isinstance(schema, dict) or _name(schema) not in self.topics[record.topic]:
                return None
            decoded = self._schema_ids.codec.decode(record.value)
        except Malformed:
            return None
        return decoded if str(decoded.fields["aggregate_id"]).encode() == record.key else None

    # -- the way back

    async def reconcile(self, say: Say, *, apply: bool) -> bool:
        """Lists the exact difference and, with `apply`, ends it; True when nothing is left to do.

        Log ahead: the unknown messages are listed and kept in `unknown_message`, their aggregates are numbered above
        them and restated. Log behind: what the outbox still has is published again, what is older is listed. A
        consumer's position that its topic no longer holds goes back to the start of the topic.
        """
        try:
            found = await self._compare(everything=True) if self._partitions else _Difference({}, {})
            async with self._database.transaction() as tx:
                agreed = await self._reconcile_topics(tx, found, say, apply=apply)
                positions = await self._reset_positions(tx, say, apply=apply)
        finally:
            await self._log_view.drop()
        return agreed and positions

    async def _reconcile_topics(self, tx: Transaction, found: _Difference, say: Say, *, apply: bool) -> bool:
        if not found.unknown and not found.behind:
            return True
        # The lease's row keeps every relay from taking it meanwhile; a mark that moved says that one was at work.
        await tx.fetch_one("SELECT 1 FROM outbox_lease WHERE id = 1 FOR UPDATE")
        if await self._marks(tx) != found.marks:
            raise Unavailable("messages were published meanwhile; run it again")
        lost = await self._lost(tx, found) if found.behind else []
        for record, decoded in found.unknown:
            say(
                f"unknown   {record.topic}/{record.partition}/{record.offset}  {decoded.record.rpartition('.')[2]}"
                f" version {decoded.fields['aggregate_version']} of {decoded.fields['aggregate_id']}"
                f"  {decoded.fields['event_id']}"
            )
        for partition in found.behind:
            say(
                f"behind    {partition.topic}/{partition.partition} ends at {found.ends[partition]},"
                f" published up to {found.marks[partition]}"
            )
        if lost:
            say(f"lost      {len(lost)} messages are in the outbox and not in the log")
        if found.behind:
            await self._say_what_is_older(tx, found, say)
        if apply:
            await self._publish_again(tx, lost)
            await self._adopt(tx, found, say)
            await self._set_marks(tx, found.ends)
            if lost:
                say(f"published again: {len(lost)} messages, by the relay, in their order")
        return apply

    async def _lost(self, tx: Transaction, found: _Difference) -> list[int]:
        """Outbox ids of what was published and is not in the log, in order."""
        rows = await tx.fetch_all(
            "SELECT id, topic, key, aggregate_version, event_id FROM outbox WHERE topic = ANY(:topics) ORDER BY id",
            topics=list(self.topics),
        )
        for row in rows:
            place = row.topic, row.key
            version = row.aggregate_version
            found.first_versions[place] = min(found.first_versions.get(place, version), version)
        return [row.id for row in rows if row.event_id not in found.present]

    async def _say_what_is_older(self, tx: Transaction, found: _Difference, say: Say) -> None:
        """Versions that neither the log nor the outbox has any longer: a rebuild of a consumer waits for them."""
        for aggregates in self._aggregates:
            for aggregate_id, version in sorted((await aggregates.versions(tx)).items()):
                first = found.first_versions.get((aggregates.topic, str(aggregate_id)), version + 1)
                if first > 1:
                    say(
                        f"older     {aggregates.topic} {aggregate_id}: versions 1 to {first - 1} are nowhere any longer"
                    )

    async def _publish_again(self, tx: Transaction, lost: Sequence[int]) -> None:
        await tx.execute("UPDATE outbox SET published_at = NULL WHERE id = ANY(:ids)", ids=list(lost))

    async def _adopt(self, tx: Transaction, found: _Difference, say: Say) -> None:
        """Keeps the list, and lets every aggregate that the log is ahead of go on above it."""
        await tx.execute(
            "UPDATE outbox SET published_at = clock_timestamp() WHERE published_at IS NULL AND event_id = ANY(:ids)",
            ids=list(found.present),
        )
        last: dict[tuple[str, str], LastMessages] = {}
        for record, decoded in found.unknown:
            key = str(decoded.fields["aggregate_id"])
            await tx.execute(
                """INSERT INTO unknown_message (event_id, topic, partition, "offset", key, version, record)
                   VALUES (:event_id, :topic, :partition, :offset, :key, :version, :record) ON CONFLICT DO NOTHING""",
                event_id=decoded.fields["event_id"],
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                key=key,
                version=decoded.fields["aggregate_version"],
                record=decoded.record,
            )
            if decoded.record in self._classes:
                message = validated(decoded, self._classes)
                last.setdefault((record.topic, key), LastMessages())[type(message)] = message
        for aggregates in self._aggregates:
            for topic, key in sorted(last):
                if topic == aggregates.topic:
                    version = await self._renumber(tx, topic, key, found.versions[topic, key])
                    await aggregates.tell_anew(tx, UUID(key), version, last[topic, key])
                    say(f"restated  {topic} {key} from version {version + 1}")

    async def _renumber(self, tx: Transaction, topic: str, key: str, version: int) -> int:
        """What was committed since the restore and not published goes on above the log's version; the last version."""
        codec = self._schema_ids.codec
        rows = await tx.fetch_all(
            "SELECT id, value FROM outbox WHERE topic = :topic AND key = :key AND published_at IS NULL ORDER BY id",
            topic=topic,
            key=key,
        )
        for row in rows:
            version += 1
            message = validated(codec.decode(bytes(row.value)), self._classes)
            await tx.execute(
                "UPDATE outbox SET aggregate_version = :version, value = :value WHERE id = :id",
                version=version,
                value=codec.encode(message.model_copy(update={"aggregate_version": version})),
                id=row.id,
            )
        return version

    async def _set_marks(self, tx: Transaction, ends: Mapping[TopicPartition, int]) -> None:
        for partition, end in ends.items():
            await tx.execute(
                """INSERT INTO outbox_mark (topic, partition, next_offset) VALUES (:topic, :partition, :end)
                   ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset""",
                topic=partition.topic,
                partition=partition.partition,
                end=end,
            )

    # -- what this service consumes

    async def _reset_positions(self, tx: Transaction, say: Say, *, apply: bool) -> bool:
        rows = await tx.fetch_all("SELECT * FROM consumer_position ORDER BY topic, partition FOR UPDATE")
        stored = {TopicPartition(row.topic, row.partition): row for row in rows}
        if not stored:
            return True
        starts, ends = await self._log_view.bounds(list(stored))
        after = await self._log_view.first_after({p: row.complete_at for p, row in stored.items()})
        agreed = True
        for partition, row in stored.items():
            reason = why_unreadable(row.next_offset, starts[partition], ends[partition], after[partition])
            if reason is None:
                continue
            say(f"position  {partition.topic}/{partition.partition} at {row.next_offset}: {reason}")
            agreed = apply
            if apply:
                await _reset_position(tx, partition, starts[partition])
                say(f"position  {partition.topic}/{partition.partition} goes on from {starts[partition]}")
        return agreed


def messages_of(service: str) -> dict[str, type[Message]]:
    """The classes in a service's generated `messages`, and those that all share, by the full names of their records."""
    modules = generated, importlib.import_module(f"{service.replace('-', '_')}.messages")
    found = (one for module in modules for one in vars(module).values())
    return by_full_name(one for one in found if isinstance(one, type) and issubclass(one, Message))


def _name(schema: Schema) -> str:
    return f"{schema.get('namespace')}.{schema.get('name')}"


async def _reset_position(tx: Transaction, partition: TopicPartition, start: int) -> None:
    """The partition is read from its start; what was kept under an offset of the old log moves below zero.

    There it no longer stands in the way of the new record with the same offset. The version guard drops what was
    applied already.
    """
    place: dict[str, Any] = {"topic": partition.topic, "partition": partition.partition}
    await tx.execute(
        """UPDATE consumer_position SET next_offset = :start, limits_from_offset = :start, stopped_reason = NULL,
               complete_at = NULL WHERE topic = :topic AND partition = :partition""",
        start=start,
        **place,
    )
    for table in ("dead_letter", "parked_message"):
        await tx.execute(
            f"""UPDATE {table} SET "offset" = (SELECT LEAST(0, min("offset")) FROM {table}
                    WHERE topic = :topic AND partition = :partition) - 1 - "offset"
                WHERE topic = :topic AND partition = :partition AND "offset" >= 0""",
            **place,
        )
    await tx.execute(
        "INSERT INTO dead_letter_audit (action, subject, actor) VALUES ('position_reset', :subject, :actor)",
        subject=f"{partition.topic}/{partition.partition}",
        actor=getpass.getuser(),
    )
