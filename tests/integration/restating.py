"""What a service tells of an aggregate that the log has further than its database, which was restored."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from common.messages import Message
from common.reconcile import Aggregates, LastMessages
from common.runtime import Runtime


async def restated(
    runtime: Runtime, aggregates: Sequence[Aggregates], topic: str, aggregate_id: UUID, *told: Message
) -> list[tuple[str, int]]:
    """Of an aggregate that the log has at version 40, and of which it alone has told this: record and version of each message."""
    (of_topic,) = (one for one in aggregates if one.topic == topic)
    async with runtime.database.transaction() as tx:
        await of_topic.tell_anew(tx, aggregate_id, 40, LastMessages({type(message): message for message in told}))
    async with runtime.database.transaction() as tx:
        rows = await tx.fetch_all(
            "SELECT record, aggregate_version FROM outbox WHERE key = :key AND aggregate_version > 40 ORDER BY id",
            key=str(aggregate_id),
        )
    return [(row.record.rsplit(".", 1)[1], row.aggregate_version) for row in rows]
