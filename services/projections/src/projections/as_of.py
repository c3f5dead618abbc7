"""How complete a read model is: up to which instant, from which positions of the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from common.transaction import Transaction

Place = tuple[str, int]
"""Topic and partition."""


@dataclass(frozen=True)
class AsOf:
    """Up to which instant a read model is complete (business time), the business time now, and how late that is."""

    now: datetime
    as_of: datetime | None
    positions: dict[Place, int]
    generation: int = 1

    @property
    def lag_seconds(self) -> float | None:
        """None before the first answer of the broker."""
        return None if self.as_of is None else max(0.0, (self.now - self.as_of).total_seconds())

    @property
    def vector(self) -> str:
        """The positions as an SSE id: generation, then offset per topic and partition; empty before there are any."""
        offsets = ".".join(str(offset) for _, offset in sorted(self.positions.items()))
        return f"{self.generation}-{offsets}" if offsets else ""


async def read_as_of(tx: Transaction, topics: Sequence[str], followed: Sequence[str] | None = None) -> AsOf:
    """From the consumer's own positions: complete up to the least complete partition; a page moves with those of `followed`, or with all."""
    now = await tx.now()
    row = await tx.fetch_one(
        """SELECT clock_timestamp() AS clock, min(complete_at) AS complete_at, bool_and(complete_at IS NOT NULL) AS known,
                  (SELECT 1 + count(*) FROM dead_letter_audit WHERE action = 'rebuilt') AS generation
           FROM consumer_position WHERE topic = ANY(:topics)""",
        topics=list(topics),
    )
    positions = await tx.fetch_all(
        "SELECT topic, partition, next_offset FROM consumer_position WHERE topic = ANY(:topics)",
        topics=list(topics if followed is None else followed),
    )
    assert row is not None
    as_of = row.complete_at + (now - row.clock) if row.known and row.complete_at is not None else None
    return AsOf(now, as_of, {(one.topic, one.partition): one.next_offset for one in positions}, row.generation)
