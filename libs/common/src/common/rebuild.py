"""Fills read models anew from the first offset, beside the live ones, and switches when both are the same.

The new rows are made by the same folds, in a schema of the model's own that is all of the search path, so no fold knows of it
and none can touch a live table. The end is one transaction: it stops the consumer for an instant by its positions' locks, folds what is left,
compares, and renames. Readers see the old rows until it commits.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlmodel import SQLModel

from common import failpoints
from common.failures import Malformed, sqlstate
from common.inbox import Inbox
from common.letters import StoredRecord
from common.log_view import LogView
from common.transaction import Database, Transaction
from common.verdicts import Consumes, Fenced

# The consumer's own tables: the new rows come with positions and guards of their own, which are compared and thrown away.
_GUARDS = ("consumer_position", "aggregate_seen", "parked_message")
_UNDEFINED_TABLE = "42P01"
# What may be left to fold while the live consumer waits; more is caught up with first.
_LEFT_COUNT_MAX = 1000
_LISTED_MAX = 20

Say = Callable[[str], None]
Progress = Callable[[int, int], None]
Positions = Mapping[TopicPartition, int]


@dataclass(frozen=True)
class ReadModel:
    """Tables that are folded from topics and nothing else; in the order in which the queries of their pages lock them."""

    tables: tuple[type[SQLModel], ...]
    # How each topic is folded into them.
    folds: Mapping[str, Consumes]

    @property
    def topics(self) -> tuple[str, ...]:
        """What the model is folded from."""
        return tuple(self.folds)


class Rebuild:
    """One rebuild of one read model; run again after a death, it goes on where it was."""

    def __init__(
        self, name: str, model: ReadModel, *, database: Database, inbox: Inbox, bootstrap_servers: str, lot_count: int
    ) -> None:
        self._name = name
        # Of one model each: one that was interrupted is not in another's way.
        self._shadow, self._retired = (f"{use}_{name.replace('-', '_')}" for use in ("rebuild", "retired"))
        self._model = model
        self._database = database
        self._inbox = inbox
        self._log_view = LogView(bootstrap_servers)
        self._lot_count = lot_count
        self._tables: list[Table] = [table.__table__ for table in model.tables]  # type: ignore[attr-defined]

    async def run(self, say: Say, progress: Progress, *, accept_differences: bool) -> bool:
        """Rebuilds and switches; False when the rows differ, which are then listed, and the live ones stay."""
        try:
            await self._begin(say)
            while True:
                target = await self._live_positions()
                await self._catch_up(target, progress)
                finished = await self._finish(say, progress, accept_differences=accept_differences)
                if finished is not None:
                    return finished
        finally:
            await self._log_view.drop()

    async def discard(self) -> None:
        """Throws the new rows away."""
        async with self._database.transaction() as tx:
            await tx.execute(f"DROP SCHEMA IF EXISTS {self._shadow} CASCADE")

    # -- filling

    async def _begin(self, say: Say) -> None:
        live = await self._live_positions()
        if not live:
            raise ValueError(f"{self._name} has not read anything yet: start the service first")
        starts, _ = await self._log_view.bounds(sorted(live))
        cut = [f"{p.topic}/{p.partition} begins at {start}" for p, start in sorted(starts.items()) if start]
        if cut:
            raise ValueError(f"the log no longer has everything, so nothing can be folded from it: {', '.join(cut)}")
        async with self._database.transaction() as tx:
            if await tx.fetch_one("SELECT 1 FROM pg_namespace WHERE nspname = :name", name=self._shadow):
                say("going on with the rebuild that was interrupted")
            else:
                await self._create(tx)
            for partition in sorted(live):
                await tx.execute(
                    f"""INSERT INTO {self._shadow}.consumer_position (topic, partition, next_offset)
                        VALUES (:topic, :partition, 0) ON CONFLICT DO NOTHING""",
                    topic=partition.topic,
                    partition=partition.partition,
                )

    async def _create(self, tx: Transaction) -> None:
        """The shadow: the guards, what the core reads of dead letters, and the model's tables, which are all that its folds find."""
        await tx.execute(f"CREATE SCHEMA {self._shadow}")
        for guard in _GUARDS:
            await tx.execute(f"CREATE TABLE {self._shadow}.{guard} (LIKE public.{guard} INCLUDING ALL)")
        await tx.execute(f"CREATE VIEW {self._shadow}.dead_letter AS SELECT * FROM public.dead_letter")
        await self._in_shadow(tx)
        for table in self._tables:
            await tx.execute(str(CreateTable(table).compile(dialect=postgresql.dialect())))  # type: ignore[no-untyped-call]
            for index in table.indexes:
                await tx.execute(str(CreateIndex(index).compile(dialect=postgresql.dialect())))  # type: ignore[no-untyped-call]

    async def _in_shadow(self, tx: Transaction) -> None:
        """Without `public`: a fold that uses a table which its model does not list fails, instead of changing live rows."""
        await tx.execute(f"SET LOCAL search_path = {self._shadow}")

    async def _live_positions(self) -> Positions:
        async with self._database.transaction() as tx:
            return await self._positions(tx, "public")

    async def _positions(self, tx: Transaction, schema: str, *, locked: bool = False) -> Positions:
        rows = await tx.fetch_all(
            f"""SELECT topic, partition, next_offset FROM {schema}.consumer_position WHERE topic = ANY(:topics)
                ORDER BY topic, partition {"FOR UPDATE" if locked else ""}""",
            topics=list(self._model.topics),
        )
        return {TopicPartition(row.topic, row.partition): row.next_offset for row in rows}

    async def _catch_up(self, target: Positions, progress: Progress) -> None:
        """Folds up to the live positions, a transaction for each lot of each partition."""
        async with self._database.transaction() as tx:
            stands = dict(await self._positions(tx, self._shadow))
        progress(sum(stands.values()), sum(target.values()))
        async for records in self._log_view.records(stands, target):
            for partition, lot in self._lots(records, target):
                async with self._database.transaction() as tx:
                    stands[partition] = await self._fold(tx, partition, lot, stands[partition])
                progress(sum(stands.values()), sum(target.values()))
                if failpoints.ARMED:
                    await failpoints.reach("rebuild.after_lot")

    def _lots(
        self, records: Sequence[ConsumerRecord], target: Positions
    ) -> Iterator[tuple[TopicPartition, list[ConsumerRecord]]]:
        by_partition: dict[TopicPartition, list[ConsumerRecord]] = {}
        for record in records:
            partition = TopicPartition(record.topic, record.partition)
            if record.offset < target[partition]:  # what is later, nobody has judged yet
                by_partition.setdefault(partition, []).append(record)
        for partition, found in by_partition.items():
            for start in range(0, len(found), self._lot_count):
                yield partition, found[start : start + self._lot_count]

    async def _fold(
        self, tx: Transaction, partition: TopicPartition, records: Sequence[ConsumerRecord], expected: int
    ) -> int:
        """The same pass as the consumer's, on the new tables; what it had set aside is set aside here too.

        Returns where the new rows then stand.
        """
        letters = await tx.fetch_all(
            """SELECT "offset", reason FROM public.dead_letter
               WHERE topic = :topic AND partition = :partition AND "offset" = ANY(:offsets) AND status <> 'replayed'""",
            topic=partition.topic,
            partition=partition.partition,
            offsets=[record.offset for record in records],
        )
        await self._in_shadow(tx)
        batch = self._inbox.batch(tx, partition.topic, again=True)
        try:
            refused = {row.offset: Malformed(row.reason) for row in letters}
            next_offset, _ = await batch.run(records, refused, expected=expected)
        except Fenced:
            raise ValueError("another rebuild is at work on the same rows; wait for it, or end it") from None
        except DBAPIError as error:
            if sqlstate(error) != _UNDEFINED_TABLE:
                raise
            raise ValueError(
                f"a fold of {self._name} uses a table that its read model does not list: {error}"
            ) from error
        return next_offset

    # -- the end

    async def _finish(self, say: Say, progress: Progress, *, accept_differences: bool) -> bool | None:
        """Compares and switches under the locks of the live positions; None when too much is left to fold first."""
        async with self._database.transaction() as tx:
            live = await self._positions(tx, "public", locked=True)
            stands = dict(await self._positions(tx, self._shadow))
            if sum(live.values()) - sum(stands.values()) > _LEFT_COUNT_MAX:
                return None
            async for records in self._log_view.records(stands, live):
                for partition, lot in self._lots(records, live):
                    stands[partition] = await self._fold(tx, partition, lot, stands[partition])
            await self._release_what_was_discarded(tx)
            progress(sum(live.values()), sum(live.values()))
            same = await self._compare(tx, say)
            if same or accept_differences:
                await self._switch(tx)
                say(f"{self._name} is switched" + ("" if same else ", with the differences listed"))
            else:
                say("the live rows stay; look, then run it again with --accept-differences or --discard")
            return same or accept_differences

    async def _release_what_was_discarded(self, tx: Transaction) -> None:
        """An operator gave these records up: what waits behind their versions goes on, as it did in the live rows."""
        letters = await tx.fetch_all(
            """SELECT * FROM public.dead_letter WHERE topic = ANY(:topics) AND status = 'discarded'
               ORDER BY topic, partition, "offset" """,
            topics=list(self._model.topics),
        )
        await self._in_shadow(tx)
        for row in letters:
            batch = self._inbox.batch(tx, row.topic, again=True)
            await batch.release(StoredRecord.of(row), {})

    async def _compare(self, tx: Transaction, say: Say) -> bool:
        same = True
        for table in self._tables:
            for row in await tx.fetch_all(_HASHES.format(table=table.name, shadow=self._shadow)):
                equal = (row.live_count, row.live_hash) == (row.new_count, row.new_hash)
                same &= equal
                say(
                    f"{'same' if equal else 'DIFFERS':8} {table.name} {row.log_topic}/{row.log_partition}:"
                    f" {row.new_count} rows, {row.new_hash}"
                    + ("" if equal else f" (live: {row.live_count} rows, {row.live_hash})")
                )
            key = ", ".join(column.name for column in table.primary_key)
            for row in await tx.fetch_all(
                _DIFFERENCES.format(table=table.name, shadow=self._shadow, key=key), limit=_LISTED_MAX
            ):
                say(f"differs  {table.name} {_words(row.live, row.new, key)}")
        for guard, columns in (
            ("aggregate_seen", "topic, key, version, event_id"),
            ("parked_message", "topic, key, version"),
        ):
            for row in await tx.fetch_all(
                _GUARD_DIFFERENCES.format(table=guard, shadow=self._shadow, columns=columns),
                topics=list(self._model.topics),
            ):
                same = False
                say(f"differs  {guard}: {tuple(row)}")
        return same

    async def _switch(self, tx: Transaction) -> None:
        await tx.execute(f"CREATE SCHEMA {self._retired}")
        for table in self._tables:
            await tx.execute(f"ALTER TABLE public.{table.name} SET SCHEMA {self._retired}")
            await tx.execute(f"ALTER TABLE {self._shadow}.{table.name} SET SCHEMA public")
        for guard in ("aggregate_seen", "parked_message"):
            await tx.execute(f"DELETE FROM public.{guard} WHERE topic = ANY(:topics)", topics=list(self._model.topics))
            await tx.execute(f"INSERT INTO public.{guard} SELECT * FROM {self._shadow}.{guard}")
        await tx.execute(f"DROP SCHEMA {self._retired} CASCADE")
        await tx.execute(f"DROP SCHEMA {self._shadow} CASCADE")
        await tx.execute(
            "INSERT INTO public.dead_letter_audit (action, subject, actor) VALUES ('rebuilt', :name, :actor)",
            name=self._name,
            actor=getpass.getuser(),
        )


def _words(live: Mapping[str, Any] | None, new: Mapping[str, Any] | None, key: str) -> str:
    if live is None or new is None:
        row = live or new
        assert row is not None
        return f"{row[key]}: only in the {'live' if new is None else 'rebuilt'} rows"
    changes = [f"{name} {live[name]} → {new[name]}" for name in live if live[name] != new[name]]
    return f"{live[key]}: {', '.join(changes)}"


# Free of order: the exclusive or of the rows' hashes, beside their count. Rows carry no clock and no surrogate id, so equal folds give equal rows.
_HASHES = """
SELECT log_topic, log_partition, COALESCE(l.count, 0) AS live_count, COALESCE(n.count, 0) AS new_count,
       to_hex(COALESCE(l.hash, 0)) AS live_hash, to_hex(COALESCE(n.hash, 0)) AS new_hash
FROM (SELECT log_topic, log_partition, count(*), bit_xor(hashtextextended(t::text, 0)) AS hash
      FROM (SELECT * FROM public.{table}) t GROUP BY 1, 2) l
FULL JOIN (SELECT log_topic, log_partition, count(*), bit_xor(hashtextextended(t::text, 0)) AS hash
      FROM (SELECT * FROM {shadow}.{table}) t GROUP BY 1, 2) n USING (log_topic, log_partition)
ORDER BY 1, 2
"""

_DIFFERENCES = """
SELECT to_jsonb(l) AS live, to_jsonb(n) AS new FROM public.{table} l FULL JOIN {shadow}.{table} n USING ({key})
WHERE to_jsonb(l) IS DISTINCT FROM to_jsonb(n) ORDER BY {key} LIMIT :limit
"""

_GUARD_DIFFERENCES = """
(SELECT 'live' AS only_in, {columns} FROM public.{table} WHERE topic = ANY(:topics)
 EXCEPT ALL SELECT 'live', {columns} FROM {shadow}.{table})
UNION ALL
(SELECT 'rebuilt', {columns} FROM {shadow}.{table}
 EXCEPT ALL SELECT 'rebuilt', {columns} FROM public.{table} WHERE topic = ANY(:topics)) LIMIT 20
"""
