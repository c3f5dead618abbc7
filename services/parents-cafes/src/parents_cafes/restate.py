"""Tells anew what the log is ahead of, after this database was restored to an earlier point."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from common.messages import Message
from common.reconcile import Aggregates, LastMessages
from common.transaction import Transaction
from parents_cafes import domain, season, store
from parents_cafes.messages import CafeCancellationReason, CafeCancelled, CafeMerged, HouseholdsRestated


async def restate_cafe(tx: Transaction, cafe_id: UUID, last: LastMessages) -> Sequence[Message]:
    """The café and its live registrations as this database has them; a café that it forgot does not take place."""
    cafe, now = await store.lock_cafe(tx, cafe_id), await tx.now()
    cancelled = CafeCancelled(occurred_at=now, reason=CafeCancellationReason.CANCELLED_BY_COORDINATOR)
    if cafe is None:
        return [cancelled]
    described = season.described(cafe, await store.policy_at(tx, now), now)
    if cafe.state == "cancelled":
        return [described, cancelled]
    if cafe.state == "merged" and cafe.merged_into_id is not None:
        return [described, CafeMerged(occurred_at=now, into_cafe_id=cafe.merged_into_id, moved_seat_count=0)]
    live = await store.live_registrations(tx, cafe_id)
    registrations = HouseholdsRestated(
        occurred_at=now,
        registration_ids=[one.registration_id for one in live],
        held=cafe.state == "held",
        attended_count=cafe.counts.attended,
        **cafe.counts.fields(),
    )
    return [described, registrations, *(domain.state_message(cafe, one, now) for one in live)]


AGGREGATES = (Aggregates("parents-cafes.cafes.v1", table="cafe", restate=restate_cafe),)
