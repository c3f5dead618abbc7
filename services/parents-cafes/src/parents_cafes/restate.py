"""Numbers and tells anew what the log is ahead of, after this database was restored to an earlier point."""

from __future__ import annotations

from uuid import UUID

from common.messages import Message
from common.reconcile import Aggregates, Told
from common.transaction import Transaction
from parents_cafes import domain, season, season_store, store
from parents_cafes.messages import (
    CafeCancellationReason,
    CafeCancelled,
    CafeConfirmed,
    CafeDescribed,
    CafeHeld,
    CafeMerged,
    CafeSeatsOffered,
    HouseholdLeft,
    HouseholdMoved,
    HouseholdQueued,
    HouseholdRegistered,
    HouseholdResized,
    HouseholdsRestated,
    ParentsCheckedIn,
)


async def restate_cafe(tx: Transaction, cafe_id: UUID, version: int, told: Told) -> None:
    """The café and its live registrations as this database has them; a café that it forgot does not take place."""
    cafe, now = await store.lock_cafe(tx, cafe_id), await tx.now()
    if cafe is None:
        gone = CafeCancelled(occurred_at=now, reason=CafeCancellationReason.CANCELLED_BY_COORDINATOR)
        await tx.emit([gone], aggregate_id=cafe_id, version=version)
        return
    messages: list[Message] = [season.described(cafe, await store.policy_at(tx, now), now)]
    if cafe.state == "cancelled":
        messages.append(CafeCancelled(occurred_at=now, reason=CafeCancellationReason.CANCELLED_BY_COORDINATOR))
    elif cafe.state == "merged" and cafe.merged_into_id is not None:
        messages.append(CafeMerged(occurred_at=now, into_cafe_id=cafe.merged_into_id, moved_seat_count=0))
    else:
        live = await store.live_registrations(tx, cafe_id)
        messages.append(
            HouseholdsRestated(
                occurred_at=now,
                registration_ids=[one.registration_id for one in live],
                held=cafe.state == "held",
                attended_count=cafe.counts.attended,
                **cafe.counts.told(),
            )
        )
        messages += [domain.told(cafe, one, now) for one in live]
    version = await tx.emit(messages, aggregate_id=cafe_id, version=version)
    await tx.execute("UPDATE cafe SET version = :v WHERE cafe_id = :id", id=cafe_id, v=version)


AGGREGATES = (
    Aggregates(
        topic="parents-cafes.cafes.v1",
        messages=(
            CafeDescribed,
            CafeConfirmed,
            CafeMerged,
            CafeCancelled,
            CafeHeld,
            HouseholdRegistered,
            HouseholdQueued,
            CafeSeatsOffered,
            HouseholdMoved,
            HouseholdResized,
            HouseholdLeft,
            ParentsCheckedIn,
            HouseholdsRestated,
        ),
        versions=season_store.versions,
        restate=restate_cafe,
    ),
)
