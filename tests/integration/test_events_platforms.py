"""An event that needs a technical platform, by Kafka between two running services: every order ends consistent."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from common.testing import FreshRuntime, Query, accepting
from events import event_handlers, event_store
from events.bodies import NeedBody
from events.messages import PlatformBooked, PlatformReleased, PlatformReleaseReason
from tests.integration.conftest import eventually
from tests.integration.events import Events, mails_of, prepared, register, registered, state_of
from tests.integration.platforms import Platforms, slot


async def mine(organiser: httpx.AsyncClient, event_id: UUID) -> dict[str, Any]:
    """An event as its organiser sees it."""
    answer = await organiser.get("/v1/events/mine")
    return next(dict(one) for one in answer.json() if one["event_id"] == str(event_id))


async def becomes(organiser: httpx.AsyncClient, event_id: UUID, state: str, need: str | None) -> dict[str, Any]:
    """Waits until an event and its need are in a state."""
    found: dict[str, Any] = {}

    async def there() -> bool:
        found.update(await mine(organiser, event_id))
        return found["state"] == state and (found["platform"] or {}).get("state") == need

    await eventually(there)
    return found


async def booking_states(query: Query, event_id: UUID) -> list[str]:
    """What platform scheduling has of the bookings of an event, oldest first."""
    rows = await query(
        "platform-scheduling",
        """SELECT b.state FROM booking b JOIN platform_request r USING (request_id) WHERE r.for_event_id = :id
           ORDER BY b.requested_at""",
        id=event_id,
    )
    return [row.state for row in rows]


async def test_confirmed_when_booked_and_undone_with_it(events: Events, platforms: Platforms, query: Query) -> None:
    """Registration opens with the booking; the owner who cancels undoes the event, and who was registered is told."""
    _, owner = await platforms.owner()
    platform_id = await platforms.platform(owner, approval="AUTOMATIC")
    async with await events.organiser() as organiser, events.family() as family:
        event_id, (session_id,) = await events.event(organiser, {"days": 20}, publish=False)
        need = {"platform_id": str(platform_id), "group_size": 8, **slot(20, 9)}
        assert (await organiser.put(f"/v1/events/{event_id}/platform", json=need)).status_code == 200
        assert (await mine(organiser, event_id))["platform"]["state"] == "wanted"
        assert await booking_states(query, event_id) == []
        await organiser.post(f"/v1/events/{event_id}/publication")
        await becomes(organiser, event_id, "confirmed", "booked")
        assert await booking_states(query, event_id) == ["approved"]
        email = f"plateau-{event_id.hex[:6]}@example.org"
        assert (await register(family, event_id, [session_id], email)).status_code == 201
        (booking,) = await query(
            "platform-scheduling",
            "SELECT booking_id FROM booking JOIN platform_request r USING (request_id) WHERE r.for_event_id = :id",
            id=event_id,
        )
        answer = await owner.post(f"/v1/received-bookings/{booking.booking_id}/cancellation")
        assert answer.status_code == 200
        found = await becomes(organiser, event_id, "cancelled", "released")
        assert found["cancelled_reason"] == "PLATFORM_RELEASED"

        async def told() -> bool:
            rows = await query("events", "SELECT subject FROM mail WHERE recipient = :to", to=email)
            return any(row.subject.startswith("Annulé") for row in rows)

        await eventually(told)


async def test_refused_then_another_then_called_off(events: Events, platforms: Platforms, query: Query) -> None:
    """A platform that is taken: nobody registers, the organiser reads why, asks another; calling off frees it."""
    _, owner = await platforms.owner()
    first = await platforms.platform(owner, approval="AUTOMATIC")
    second = await platforms.platform(owner, approval="AUTOMATIC")
    requester = await platforms.requester()
    taken = {"platform_id": str(first), "group_size": 8, **slot(21, 9)}
    assert (await requester.post("/v1/bookings", json=taken)).status_code == 201
    async with await events.organiser() as organiser, events.family() as family:
        event_id, (session_id,) = await events.event(organiser, {"days": 21}, publish=False)
        await organiser.put(f"/v1/events/{event_id}/platform", json=taken)
        await organiser.post(f"/v1/events/{event_id}/publication")
        found = await becomes(organiser, event_id, "awaiting", "refused")
        assert found["platform"]["reason"] == "SLOT_TAKEN"
        refused = await register(family, event_id, [session_id], "x@example.org")
        assert (refused.status_code, refused.json()["reason"]) == (409, "not_confirmed")
        other = taken | {"platform_id": str(second)}
        assert (await organiser.put(f"/v1/events/{event_id}/platform", json=other)).status_code == 200
        await becomes(organiser, event_id, "confirmed", "booked")
        assert (await organiser.post(f"/v1/events/{event_id}/cancellation")).status_code == 200

        async def freed() -> bool:
            return await booking_states(query, event_id) == ["cancelled"]

        await eventually(freed)


async def test_changes_of_mind_in_a_row_leave_one_booking(events: Events, platforms: Platforms, query: Query) -> None:
    """Asked, given up, asked, another: whatever crosses on the way, one booking is held, and the event stands on it."""
    _, owner = await platforms.owner()
    ids = [await platforms.platform(owner, approval="AUTOMATIC") for _ in range(3)]
    async with await events.organiser() as organiser:
        event_id, _ = await events.event(organiser, {"days": 22})
        for platform_id in ids:
            need = {"platform_id": str(platform_id), "group_size": 8, **slot(22, 9)}
            assert (await organiser.put(f"/v1/events/{event_id}/platform", json=need)).status_code == 200
            if platform_id == ids[1]:
                assert (await organiser.delete(f"/v1/events/{event_id}/platform")).status_code == 200
        found = await becomes(organiser, event_id, "confirmed", "booked")
        assert found["platform"]["platform_id"] == str(ids[2])

        async def one_is_held() -> bool:
            states = await booking_states(query, event_id)
            return sorted(states) == ["approved", "cancelled", "cancelled"]

        await eventually(one_is_held)


@pytest.mark.parametrize("late", [True, False])
async def test_an_answer_about_an_earlier_request_changes_nothing(fresh_runtime: FreshRuntime, late: bool) -> None:
    """Booked or released of a request that was withdrawn: the event stands as it is, also a cancelled one."""
    async with fresh_runtime("events", development=True) as runtime:
        event_id, (session_id,) = await prepared(runtime, {"days": 20})
        await registered(runtime, event_id, [session_id], "family")
        body = NeedBody.model_validate({"platform_id": str(uuid4()), "group_size": 5, **slot(20, 9)})
        async with runtime.database.transaction() as tx:
            assert await event_handlers.need_platform(tx, "agency", event_id, body.need()) is None
            event = await event_store.find_event(tx, event_id)
            assert event is not None and event.need is not None and event.state == "awaiting"
            asked = event.need.request_id
            assert asked is not None
            await event_handlers.drop_platform(tx, "agency", event_id)
            if late:
                await accepting(tx, partial(event_handlers.cancel, tx, "agency", event_id))
        facts: dict[str, Any] = {"aggregate_id": asked, "for_event_id": event_id, "platform_id": body.platform_id}
        booked = PlatformBooked(booking_id=uuid4(), starts_at=body.starts_at, ends_at=body.ends_at, **facts)
        released = PlatformReleased(booking_id=uuid4(), reason=PlatformReleaseReason.REQUEST_WITHDRAWN, **facts)
        async with runtime.database.transaction() as tx:
            await event_handlers.platform_answered(tx, booked)
            await event_handlers.platform_answered(tx, released)
            event = await event_store.find_event(tx, event_id)
            request = await event_store.find_request(tx, asked)
        assert event is not None and (event.state, event.need) == ("cancelled" if late else "confirmed", None)
        assert request.withdrawn and request.answer.startswith("PlatformReleased")
        assert (await state_of(runtime, session_id))["family"] == ("ended" if late else "registered")


async def test_who_is_registered_stays_so_while_a_platform_is_asked_for(fresh_runtime: FreshRuntime) -> None:
    """A confirmed event that wants another workshop awaits: nobody new registers, nobody loses a seat, the answer opens it."""
    async with fresh_runtime("events", development=True) as runtime:
        event_id, (session_id,) = await prepared(runtime, {"days": 20})
        await registered(runtime, event_id, [session_id], "before")
        body = NeedBody.model_validate({"platform_id": str(uuid4()), "group_size": 5, **slot(20, 9)})
        async with runtime.database.transaction() as tx:
            await event_handlers.need_platform(tx, "agency", event_id, body.need())
            event = await event_store.find_event(tx, event_id)
        assert event is not None and event.need is not None and event.need.request_id is not None
        refused = await registered(runtime, event_id, [session_id], "during")
        assert getattr(refused, "reason", None) == "not_confirmed"
        assert await state_of(runtime, session_id) == {"before": "registered"}
        booked = PlatformBooked(
            aggregate_id=event.need.request_id,
            for_event_id=event_id,
            platform_id=body.platform_id,
            booking_id=uuid4(),
            starts_at=body.starts_at,
            ends_at=body.ends_at,
        )
        async with runtime.database.transaction() as tx:
            await event_handlers.platform_answered(tx, booked)
        await registered(runtime, event_id, [session_id], "after")
        assert await state_of(runtime, session_id) == {"before": "registered", "after": "registered"}
        assert len(await mails_of(runtime, "before")) == 1
