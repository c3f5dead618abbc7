"""After a restore, platforms and the answers to events are numbered above the log and told anew, or told to be over."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from common.testing import FreshRuntime
from platform_scheduling import handlers
from platform_scheduling.messages import (
    BookingApproval,
    Equipment,
    PlatformBooked,
    PlatformDescribed,
    PlatformRefusalReason,
    PlatformRefused,
    PlatformRequested,
)
from platform_scheduling.restate import AGGREGATES
from tests.integration.platforms import at, booked_by, prepared
from tests.integration.restating import restated

BY_TOPIC = {aggregates.topic: aggregates for aggregates in AGGREGATES}
PLATFORMS, ANSWERS = (f"platform-scheduling.{name}.v1" for name in ("platforms", "requests"))
NOW = datetime(2026, 11, 25, tzinfo=UTC)


def requested(platform_id: UUID, days: int = 10) -> PlatformRequested:
    """An event asks for a slot."""
    facts: dict[str, Any] = {
        "for_event_id": uuid4(),
        "organiser_id": uuid4(),
        "habilitation_codes": [],
        "group_size": 5,
    }
    slot = {"starts_at": at(days, 9), "ends_at": at(days, 11)}
    return PlatformRequested(aggregate_id=uuid4(), platform_id=platform_id, **facts, **slot)


async def test_a_platform_is_told_with_its_live_bookings(fresh_runtime: FreshRuntime) -> None:
    """Description, offered weeks, the list of what lives, then each of them; what came after goes on from there."""
    async with fresh_runtime("platform_scheduling") as runtime:
        owner_code, platform_id = await prepared(runtime)
        held = await booked_by(runtime, platform_id, "one", 10)
        approved = await booked_by(runtime, platform_id, "two", 11)
        gone = await booked_by(runtime, platform_id, "three", 12)
        async with runtime.database.transaction() as tx:
            assert await handlers.approve(tx, owner_code, approved.booking_id) is None
            assert await handlers.cancel(tx, handlers.Acting(account="three"), gone.booking_id) is None
        told = await restated(runtime, AGGREGATES, PLATFORMS, platform_id)
        names = ["PlatformDescribed", "TimeOffered", "BookingsRestated", "BookingHeld", "BookingApproved"]
        assert told == [(name, 41 + n) for n, name in enumerate(names)]
        async with runtime.database.transaction() as tx:
            assert await handlers.approve(tx, owner_code, held.booking_id) is None
            row = await tx.fetch_one("SELECT version FROM platform WHERE platform_id = :id", id=platform_id)
        assert row is not None and row.version == 46


async def test_a_platform_that_the_database_forgot_comes_back_withdrawn(fresh_runtime: FreshRuntime) -> None:
    """With what the log last described, nothing offered and no booking; its owner may open it again."""
    async with fresh_runtime("platform_scheduling") as runtime:
        platform_id = uuid4()
        described = PlatformDescribed(
            owner_uai="0760017F",
            owner_title="Lycée",
            title="Atelier",
            commune_code="76540",
            equipment=[Equipment(equipment_code="usinage", title="Usinage", rome_codes=["H2903"])],
            rncp_codes=[],
            capacity_count=8,
            unit_count=1,
            accessible=False,
            habilitation_codes=[],
            approval=BookingApproval.OWNER,
            withdrawn=False,
            fictitious=True,
        )
        told = await restated(runtime, AGGREGATES, PLATFORMS, platform_id, described)
        assert told == [("PlatformDescribed", 41), ("BookingsRestated", 42)]
        async with runtime.database.transaction() as tx:
            row = await tx.fetch_one("SELECT * FROM platform WHERE platform_id = :id", id=platform_id)
        assert row is not None and (row.withdrawn, row.owner_code, row.version) == (True, "0760017F", 42)


async def test_answers_to_events_are_told_as_they_stand(fresh_runtime: FreshRuntime) -> None:
    """Booked stays booked, refused refused; of a request that the database forgot, nothing is held."""
    async with fresh_runtime("platform_scheduling") as runtime:
        _, platform_id = await prepared(runtime, approval="AUTOMATIC")
        first, second = requested(platform_id), requested(platform_id)
        async with runtime.database.transaction() as tx:
            await handlers.book_for_event(tx, first)
            await handlers.book_for_event(tx, second)
        assert await restated(runtime, AGGREGATES, ANSWERS, first.aggregate_id) == [("PlatformBooked", 41)]
        assert await restated(runtime, AGGREGATES, ANSWERS, second.aggregate_id) == [("PlatformRefused", 41)]
        facts: dict[str, Any] = {"for_event_id": uuid4(), "platform_id": platform_id}
        booked = PlatformBooked(booking_id=uuid4(), starts_at=NOW, ends_at=NOW, **facts)
        refused = PlatformRefused(reason=PlatformRefusalReason.SLOT_TAKEN, **facts)
        assert await restated(runtime, AGGREGATES, ANSWERS, uuid4(), booked) == [("PlatformReleased", 41)]
        assert await restated(runtime, AGGREGATES, ANSWERS, uuid4(), refused) == [("PlatformRefused", 41)]
        async with runtime.database.transaction() as tx:
            versions = await BY_TOPIC[ANSWERS].versions(tx)
        assert versions == {first.aggregate_id: 41, second.aggregate_id: 41}
