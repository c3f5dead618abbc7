"""What an operator does with dead letters; works on a service's database whether the service runs or not."""

from __future__ import annotations

import getpass
import importlib
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import create_async_engine

from common.contracts import Topic
from common.failures import Malformed
from common.letters import StoredRecord
from common.transaction import Database, Transaction
from common.verdicts import HandlerFailed

if TYPE_CHECKING:
    from common.runtime import Runtime


async def _query(url: str, sql: str, **values: Any) -> list[Row[Any]]:
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            return list((await connection.execute(text(sql), values)).all())
    finally:
        await engine.dispose()


async def listing(url: str, *, include_resolved: bool) -> list[str]:
    """Lines: dead letters, stopped partitions, parked keys."""
    letters = await _query(
        url, "SELECT * FROM dead_letter WHERE :all OR status = 'open' ORDER BY created_at, id", all=include_resolved
    )
    stopped = await _query(
        url, "SELECT * FROM consumer_position WHERE stopped_reason IS NOT NULL ORDER BY topic, partition"
    )
    parked = await _query(
        url,
        "SELECT topic, key, count(*) AS waiting, min(version) AS first FROM parked_message GROUP BY topic, key ORDER BY topic, key",
    )
    return [
        *(
            f"{row.id}  {row.status:9} {row.topic}/{row.partition}/{row.offset}  {row.reason}  {row.detail}"
            for row in letters
        ),
        *(f"stopped   {row.topic}/{row.partition} at {row.next_offset}: {row.stopped_reason}" for row in stopped),
        *(f"parked    {row.topic} {row.key}: {row.waiting} wait, the first is version {row.first}" for row in parked),
    ]


async def show(url: str, letter_id: str) -> list[str]:
    """Everything about one dead letter; nothing when this service does not have it."""
    rows = await _query(url, "SELECT * FROM dead_letter WHERE id = :id", id=_uuid(letter_id))
    lines = []
    for row in rows:
        lines += [
            f"{name:12} {getattr(row, name)}"
            for name in (
                "id",
                "status",
                "topic",
                "partition",
                "offset",
                "reason",
                "detail",
                "created_at",
                "resolved_at",
                "headers",
            )
        ]
        lines += [f"key          {bytes(row.key or b'')!r}", f"value        {bytes(row.value or b'').hex()}"]
    return lines


async def replay(service: str, url: str, letter_id: str) -> str:
    """Applies the same bytes through the same guard; raises `Malformed` when they still fail, and changes nothing then."""
    return await _resolve(service, url, letter_id, "replayed")


async def discard(service: str, url: str, letter_id: str) -> str:
    """Gives the record up and lets go on what waited behind it; a rebuild gives it up too.

    Raises `Malformed` while an earlier letter of the same key is open.
    """
    return await _resolve(service, url, letter_id, "discarded")


def runtime_of(service: str, url: str) -> AbstractAsyncContextManager[Runtime]:
    """The service's own table of topics and handlers, as its process has it."""
    from common.repair import for_repair

    return for_repair(importlib.import_module(f"{service.replace('-', '_')}.app").service, url)


async def _resolve(service: str, url: str, letter_id: str, status: str) -> str:
    refused: dict[int, Malformed] = {}
    async with runtime_of(service, url) as runtime:
        while True:
            try:
                return await _resolved(runtime, letter_id, status, refused)
            except HandlerFailed as failed:
                # One that waited behind the letter fails: it is the next dead letter, and this one is resolved all the same.
                if failed.offset in refused:
                    raise
                refused[failed.offset] = failed.malformed


async def _resolved(runtime: Runtime, letter_id: str, status: str, refused: Mapping[int, Malformed]) -> str:
    assert runtime.inbox is not None, f"{runtime.service} consumes nothing"
    async with runtime.database.transaction() as tx:
        row = await tx.fetch_one("SELECT * FROM dead_letter WHERE id = :id FOR UPDATE", id=_uuid(letter_id))
        if row is None or row.status != "open":
            raise Malformed("no_such_dead_letter", f"{letter_id} is not an open dead letter of {runtime.service}")
        record = StoredRecord.of(row)
        # The consumer cannot apply the same partition meanwhile: both need its position's lock.
        await tx.fetch_one(
            "SELECT 1 FROM consumer_position WHERE topic = :t AND partition = :p FOR UPDATE",
            t=row.topic,
            p=row.partition,
        )
        batch = runtime.inbox.batch(tx, row.topic)
        if status == "replayed":
            if row.offset in refused:
                raise refused[row.offset]
            await batch.again(record, refused)
        else:
            await batch.release(record, refused, others=await _later_letters(tx, row))
        await tx.execute(
            "UPDATE dead_letter SET status = :status, resolved_at = clock_timestamp() WHERE id = :id",
            status=status,
            id=row.id,
        )
        await tx.execute(
            "INSERT INTO dead_letter_audit (action, subject, actor) VALUES (:action, :subject, :actor)",
            action=status,
            subject=f"{row.topic}/{row.partition}/{row.offset}",
            actor=getpass.getuser(),
        )
    return f"{letter_id} {status}: {batch.verdicts or 'nothing waited behind it'}"


async def _later_letters(tx: Transaction, row: Row[Any]) -> list[StoredRecord]:
    """The open letters of the same key behind this one; raises `Malformed` while one stands before it.

    Discarding steps over a gap, which must be this letter's. A later one may be replayed before: it then waits.
    """
    letters = await tx.fetch_all(
        """SELECT * FROM dead_letter WHERE topic = :topic AND partition = :partition AND key = :key
             AND status = 'open' AND id <> :id ORDER BY "offset" """,
        topic=row.topic,
        partition=row.partition,
        key=row.key,
        id=row.id,
    )
    if letters and letters[0].offset < row.offset:
        place = f"{row.topic}/{row.partition}/{letters[0].offset}"
        raise Malformed("earlier_letter_open", f"{letters[0].id} at {place} is of the same key and comes first")
    return [StoredRecord.of(letter) for letter in letters]


async def resume(service: str, url: str, topic: str, partition: int) -> str:
    """Clears the stop of a partition; the limits count from its next offset on."""
    async with runtime_of(service, url) as runtime, runtime.database.transaction() as tx:
        if not await let_go_on(tx, topic, partition, getpass.getuser()):
            raise Malformed("not_stopped", f"{topic}/{partition} is not stopped")
    return f"{topic}/{partition} goes on"


async def let_go_on(tx: Transaction, topic: str, partition: int, actor: str) -> bool:
    """Clears the stop of a partition and notes who did; False when it is not stopped."""
    cleared = await tx.execute(
        """UPDATE consumer_position SET stopped_reason = NULL, limits_from_offset = next_offset
           WHERE topic = :topic AND partition = :partition AND stopped_reason IS NOT NULL""",
        topic=topic,
        partition=partition,
    )
    if cleared:
        await tx.execute(
            "INSERT INTO dead_letter_audit (action, subject, actor) VALUES ('resumed', :subject, :actor)",
            subject=f"{topic}/{partition}",
            actor=actor,
        )
    return bool(cleared)


async def prune_foreign(database: Database, family: Topic) -> None:
    """Forgets what partners wrote and nobody could read, after their topic's own retention; runs until cancelled."""
    await database.prune(
        """DELETE FROM dead_letter WHERE id IN (
               SELECT id FROM dead_letter WHERE topic ~ :pattern
                 AND created_at < clock_timestamp() - make_interval(days => :days) LIMIT :limit)""",
        pattern=family.pattern,
        days=family.retention_days,
    )


def _uuid(letter_id: str) -> UUID:
    try:
        return UUID(letter_id)
    except ValueError:
        raise Malformed(
            "no_such_dead_letter", f"{letter_id!r} is no identifier; see `estuaire dead-letters list`"
        ) from None
