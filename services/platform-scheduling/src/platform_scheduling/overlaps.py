"""What a requester has on another platform at the same hour: asked about, and never barred.

A booking knows for which structure it is, and of its group only how many they are: whoever books says that it is another class.
Two places of one platform are one place, where a large group is together.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from common.overlaps import Overlap, ask
from common.transaction import Transaction
from platform_scheduling.state import Decision, Platform, Span


async def elsewhere(tx: Transaction, requester_id: UUID, platform_id: UUID, span: Span) -> list[Overlap]:
    """The live bookings of a requester on other platforms that share a moment with a slot."""
    rows = await tx.fetch_all(
        """SELECT b.booking_id, b.starts_at, b.ends_at, p.title, p.owner_title FROM booking b JOIN platform p USING (platform_id)
           WHERE b.requester_id = :requester_id AND b.platform_id <> :platform_id AND b.due_at > :now
             AND b.starts_at < :ends_at AND b.ends_at > :starts_at
           ORDER BY b.starts_at, b.booking_id""",
        requester_id=requester_id,
        platform_id=platform_id,
        now=await tx.now(),
        starts_at=span.starts_at,
        ends_at=span.ends_at,
    )
    return [
        Overlap("booking", row.booking_id, f"« {row.title} », {row.owner_title}", row.starts_at, row.ends_at)
        for row in rows
    ]


def unless(decision: Decision, before: Platform, others: Sequence[Overlap]) -> Decision:
    """What was decided, unless its requester has to be asked about what they have at the same hour."""
    refusal = decision.refusal or ask("vous", others)
    return decision if refusal is None else Decision(before, refusal=refusal)
