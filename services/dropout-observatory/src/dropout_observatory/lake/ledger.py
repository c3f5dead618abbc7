"""What the lake has, in the service's database: files, positions and what could not be read change in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID, uuid4

from aiokafka import TopicPartition

from common.failures import Unavailable
from common.transaction import Transaction
from dropout_observatory.lake.files import Part

_COLUMNS = tuple(field.name for field in fields(Part))


class Fenced(Exception):
    """Another process writes this lake since: this one has nothing more to say."""


@dataclass(frozen=True)
class Unreadable:
    """A record that could not be read, its bytes as they are in the log."""

    topic: str
    partition: int
    offset: int
    value: bytes | None
    reason: str
    detail: str


async def take_over(tx: Transaction) -> UUID:
    """Makes the caller the writer; returns who it is now."""
    owner_id = uuid4()
    await tx.execute("LOCK TABLE lake_owner IN EXCLUSIVE MODE")
    await tx.execute("DELETE FROM lake_owner")
    await tx.execute("INSERT INTO lake_owner (owner_id) VALUES (:owner_id)", owner_id=owner_id)
    return owner_id


async def still_ours(tx: Transaction, owner_id: UUID) -> None:
    """Keeps the lake for the rest of the transaction; raises `Fenced`."""
    if not await tx.fetch_one("SELECT 1 FROM lake_owner WHERE owner_id = :id FOR UPDATE", id=owner_id):
        raise Fenced("another process writes this lake")


async def positions(tx: Transaction) -> list[Mapping[str, Any]]:
    """Of each partition: from which offset on it is in the lake, the next one to take, what of it could not be read."""
    rows = await tx.fetch_all(
        """SELECT topic, partition, first_offset, next_offset,
                  (SELECT count(*) FROM lake_unreadable u WHERE (u.topic, u.partition) = (p.topic, p.partition)) AS unreadable_count
           FROM lake_position p ORDER BY topic, partition"""
    )
    return [dict(row._mapping) for row in rows]


async def begin(tx: Transaction, starts: Mapping[TopicPartition, int]) -> None:
    """A position for each partition that has none: the first offset that the log still has."""
    for partition, start in sorted(starts.items()):
        await tx.execute(
            """INSERT INTO lake_position (topic, partition, first_offset, next_offset)
               VALUES (:topic, :partition, :start, :start) ON CONFLICT DO NOTHING""",
            topic=partition.topic,
            partition=partition.partition,
            start=start,
        )


async def advance(tx: Transaction, partition: TopicPartition, expected: int, next_offset: int) -> None:
    """Moves a position; raises `Unavailable` when it is not where the caller saw it: the database was restored, or the lake restarted."""
    moved = await tx.execute(
        """UPDATE lake_position SET next_offset = :next_offset
           WHERE topic = :topic AND partition = :partition AND next_offset = :expected""",
        topic=partition.topic,
        partition=partition.partition,
        next_offset=next_offset,
        expected=expected,
    )
    if not moved:
        raise Unavailable(
            f"the lake is no longer at {expected} in {partition.topic}/{partition.partition}; it is read again"
        )


async def parts(tx: Transaction) -> list[Part]:
    """Every file, those of a partition in the order of the log."""
    rows = await tx.fetch_all(
        f"SELECT {', '.join(_COLUMNS)} FROM lake_part ORDER BY dataset, topic, partition, year, first_offset"
    )
    return [Part(**row._mapping) for row in rows]


async def add(tx: Transaction, new: Sequence[Part]) -> None:
    """Files that count from now on."""
    names = ("path", *_COLUMNS)
    for part in new:
        await tx.execute(
            f"INSERT INTO lake_part ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)})",
            **{name: getattr(part, name) for name in names},
        )


async def drop(tx: Transaction, old: Sequence[Part]) -> None:
    """Files that count no more; raises `Unavailable` when one did not."""
    gone = await tx.execute("DELETE FROM lake_part WHERE path = ANY(:paths)", paths=[part.path for part in old])
    if gone != len(old):
        raise Unavailable("a file that was to be replaced is no longer of this lake; it is read again")


async def set_aside(tx: Transaction, found: Sequence[Unreadable]) -> None:
    """Records that could not be read."""
    for record in found:
        await tx.execute(
            """INSERT INTO lake_unreadable (topic, partition, "offset", value, reason, detail)
               VALUES (:topic, :partition, :offset, :value, :reason, :detail)
               ON CONFLICT (topic, partition, "offset") DO UPDATE SET reason = excluded.reason, detail = excluded.detail""",
            **vars(record),
        )


async def unreadable(tx: Transaction) -> list[Unreadable]:
    """What could not be read so far."""
    rows = await tx.fetch_all('SELECT * FROM lake_unreadable ORDER BY topic, partition, "offset"')
    return [Unreadable(**row._mapping) for row in rows]


async def take_back(tx: Transaction, readable: Sequence[Unreadable]) -> None:
    """Records that can be read after all."""
    for record in readable:
        await tx.execute(
            'DELETE FROM lake_unreadable WHERE topic = :topic AND partition = :partition AND "offset" = :offset',
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
        )


async def restart(tx: Transaction) -> None:
    """The lake has nothing: its writer begins at the start of the log, and takes the files away that are there."""
    for table in ("lake_part", "lake_position", "lake_unreadable"):
        await tx.execute(f"DELETE FROM {table}")
