"""Bookings that the events service asks for by Kafka: its contract, with a foreign producer and a foreign reader."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product
from typing import Any
from uuid import UUID, uuid4

import pytest
from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient, record_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from common.embedded.stack import Stack
from common.runtime import Runtime
from common.testing import FreshRuntime, Query, envelope, set_clock, swept
from platform_scheduling import handlers, platform_requests
from platform_scheduling.messages import BookingRefusalReason, PlatformRequested, PlatformRequestWithdrawn
from tests.integration.conftest import eventually
from tests.integration.platforms import SERVICE, Platforms, at, book, prepared, slot
from tests.integration.referee import Record, read_topic

ASKED, ANSWERS = "events.platform-requests.v1", "platform-scheduling.requests.v1"


class Events:
    """The events service, as far as its topic says: confluent-kafka and the registry, nothing of ours."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        registry = SchemaRegistryClient({"url": f"http://127.0.0.1:{stack.settings.registry_port}/apis/ccompat/v7"})
        conf: Any = {"auto.register.schemas": False, "subject.name.strategy": record_subject_name_strategy}
        self._serializers = {
            name: AvroSerializer(
                registry, registry.get_latest_version(f"estuaire.events.{name}").schema.schema_str, conf=conf
            )
            for name in ("PlatformRequested", "PlatformRequestWithdrawn")
        }
        self._producer = Producer({"bootstrap.servers": stack.bootstrap_servers})

    def ask(self, platform_id: UUID, *, days: int = 10, **more: Any) -> UUID:
        """An event needs a platform from 9 to 11."""
        request_id = uuid4()
        fields = {
            "for_event_id": str(uuid4()),
            "platform_id": str(platform_id),
            "organiser_id": str(uuid4()),
            "starts_at": at(days, 9),
            "ends_at": at(days, 11),
            "group_size": 10,
            "habilitation_codes": [],
            **more,
        }
        self._send("PlatformRequested", request_id, 1, fields)
        return request_id

    def withdraw(self, request_id: UUID, platform_id: UUID, version: int = 2) -> None:
        """The event no longer needs it."""
        fields = {"for_event_id": str(uuid4()), "platform_id": str(platform_id)}
        self._send("PlatformRequestWithdrawn", request_id, version, fields)

    def _send(self, name: str, request_id: UUID, version: int, fields: dict[str, Any]) -> None:
        datum = envelope(request_id, version) | fields
        value = self._serializers[name](datum, SerializationContext(ASKED, MessageField.VALUE))
        self._producer.produce(ASKED, value, key=str(request_id))
        assert self._producer.flush(10) == 0

    def answers(self, request_id: UUID) -> list[Record]:
        """What the log answers, in order."""
        return [record for record in read_topic(self._stack, ANSWERS) if record.key == str(request_id)]

    async def told(self, request_id: UUID, *names: str) -> list[Record]:
        """Waits for so many answers, and checks which they are and their numbers."""

        async def there() -> bool:
            return len(self.answers(request_id)) >= len(names)

        await eventually(there)
        records = self.answers(request_id)
        facts = [record.fields for record in records]
        assert [record.name for record in records] == list(names)
        assert [fact and fact["aggregate_version"] for fact in facts] == list(range(1, len(names) + 1))
        return records


@pytest.fixture
def events(stack: Stack) -> Events:
    """A stand-in for a service that is not written yet, by its published contract alone."""
    return Events(stack)


async def test_booked_at_once_then_withdrawn(platforms: Platforms, events: Events, query: Query) -> None:
    """An automatic platform answers PlatformBooked; the withdrawal frees the slot and is answered."""
    _, owner = await platforms.owner()
    requester = await platforms.requester()
    platform_id = await platforms.platform(owner, approval="AUTOMATIC")
    request_id = events.ask(platform_id)
    (booked,) = await events.told(request_id, "PlatformBooked")
    assert booked.fields is not None and booked.fields["starts_at"] == at(10, 9)
    taken = await book(requester, platform_id, slot(10, 9))
    assert taken.json()["reason"] == "slot_taken"
    # What follows the request of another service is not moved, and only the event or the owner gives it up.
    rows = await query(SERVICE, "SELECT booking_id, requester_id FROM booking WHERE request_id = :id", id=request_id)
    assert (await owner.post(f"/v1/received-bookings/{rows[0].booking_id}/move", json=slot(11, 9))).status_code == 409
    events.withdraw(request_id, platform_id)
    *_, released = await events.told(request_id, "PlatformBooked", "PlatformReleased")
    assert released.fields is not None and released.fields["reason"] == "REQUEST_WITHDRAWN"
    assert (await book(requester, platform_id, slot(10, 9))).status_code == 201


async def test_the_owner_answers_and_cancels(platforms: Platforms, events: Events, query: Query) -> None:
    """Nothing is answered before the owner; refused is told with why; cancelling what was booked releases it."""
    _, owner = await platforms.owner()
    platform_id = await platforms.platform(owner)
    asked = {days: events.ask(platform_id, days=days) for days in (10, 11)}

    async def held() -> bool:
        rows = await query(
            SERVICE, "SELECT 1 FROM booking WHERE platform_id = :id AND state = 'tentative'", id=platform_id
        )
        return len(rows) == 2

    await eventually(held)
    bookings = {
        row.request_id: row.booking_id
        for row in await query(
            SERVICE, "SELECT request_id, booking_id FROM booking WHERE platform_id = :id", id=platform_id
        )
    }
    assert all(events.answers(request_id) == [] for request_id in asked.values())
    refused = await owner.post(f"/v1/received-bookings/{bookings[asked[10]]}/refusal", json={"reason": "MAINTENANCE"})
    assert refused.json()["state"] == "refused"
    (answer,) = await events.told(asked[10], "PlatformRefused")
    assert answer.fields is not None and answer.fields["reason"] == "OWNER_REFUSED"
    assert (await owner.post(f"/v1/received-bookings/{bookings[asked[11]]}/approval")).json()["state"] == "approved"
    await events.told(asked[11], "PlatformBooked")
    assert (await owner.post(f"/v1/received-bookings/{bookings[asked[11]]}/cancellation")).json()[
        "state"
    ] == "cancelled"
    *_, released = await events.told(asked[11], "PlatformBooked", "PlatformReleased")
    assert released.fields is not None and released.fields["reason"] == "OWNER_CANCELLED"
    # The event gives up what it has already lost: nothing more to say.
    events.withdraw(asked[11], platform_id)
    again = events.ask(platform_id, days=11)
    await eventually(lambda: _booked(query, again))
    await events.told(asked[11], "PlatformBooked", "PlatformReleased")


async def _booked(query: Query, request_id: UUID) -> bool:
    return bool(await query(SERVICE, "SELECT 1 FROM booking WHERE request_id = :id", id=request_id))


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"group_size": 13}, "GROUP_TOO_LARGE"),
        ({"group_size": 0}, "OUTSIDE_LIMITS"),
        ({"starts_at": at(10, 6), "ends_at": at(10, 8)}, "NOT_OFFERED"),
        ({"starts_at": at(10, 11), "ends_at": at(10, 9)}, "OUTSIDE_LIMITS"),
        ({"starts_at": at(300, 9), "ends_at": at(300, 11)}, "OUTSIDE_LIMITS"),
        (
            {"starts_at": datetime(9999, 12, 31, 22, tzinfo=UTC), "ends_at": datetime(9999, 12, 31, 23, tzinfo=UTC)},
            "OUTSIDE_LIMITS",
        ),
        ({"starts_at": datetime(1, 1, 1, tzinfo=UTC), "ends_at": datetime(1, 1, 1, 2, tzinfo=UTC)}, "OUTSIDE_LIMITS"),
    ],
)
async def test_refused_with_the_reason(platforms: Platforms, events: Events, more: dict[str, Any], why: str) -> None:
    """One answer, nothing booked, no dead letter."""
    _, owner = await platforms.owner()
    platform_id = await platforms.platform(owner)
    for asked, expected in ((platform_id, why), (uuid4(), "PLATFORM_UNKNOWN")):
        (answer,) = await events.told(events.ask(asked, **more), "PlatformRefused")
        assert answer.fields is not None and answer.fields["reason"] == expected


async def test_the_first_of_two_requests_for_one_slot_has_it(platforms: Platforms, events: Events) -> None:
    """The second hears that the slot is taken."""
    _, owner = await platforms.owner()
    platform_id = await platforms.platform(owner, approval="AUTOMATIC", habilitation_codes=["sst"])
    holds: dict[str, Any] = {"habilitation_codes": ["sst"]}
    missing = events.ask(platform_id)
    (refused,) = await events.told(missing, "PlatformRefused")
    assert refused.fields is not None and refused.fields["reason"] == "HABILITATION_MISSING"
    first = events.ask(platform_id, **holds)
    await events.told(first, "PlatformBooked")
    (refused,) = await events.told(events.ask(platform_id, **holds), "PlatformRefused")
    assert refused.fields is not None and refused.fields["reason"] == "SLOT_TAKEN"


# -- the saga, exhaustively: what the events service asks against what happens to the booking meanwhile

HAPPENS = ("nothing", "approved", "refused", "approved, cancelled", "lapsed", "approved, over", "over, nobody came")
FIRST = {
    "nothing": [],
    "approved": ["PlatformBooked"],
    "refused": ["PlatformRefused OWNER_REFUSED"],
    "approved, cancelled": ["PlatformBooked", "PlatformReleased OWNER_CANCELLED"],
    "lapsed": ["PlatformRefused OWNER_SILENT"],
    "approved, over": ["PlatformBooked"],
    "over, nobody came": ["PlatformBooked"],
}
AFTER_WITHDRAWAL = {
    "nothing": ["PlatformRefused REQUEST_WITHDRAWN"],
    "approved": ["PlatformReleased REQUEST_WITHDRAWN"],
    "refused": [],
    "approved, cancelled": [],
    "lapsed": [],
    "approved, over": ["PlatformReleased REQUEST_WITHDRAWN"],
    "over, nobody came": ["PlatformReleased REQUEST_WITHDRAWN"],
}


@pytest.mark.parametrize(("happens", "withdrawn"), list(product(HAPPENS, (False, True))))
async def test_every_order_ends_consistent(fresh_runtime: FreshRuntime, happens: str, withdrawn: bool) -> None:
    """Each history has its answers, numbered without a gap, and the slot is held by nobody once it is given up."""
    async with fresh_runtime("platform_scheduling", development=True) as runtime:
        (owner_code, platform_id), request_id = await prepared(runtime), uuid4()
        asked = PlatformRequested(
            aggregate_id=request_id,
            for_event_id=uuid4(),
            platform_id=platform_id,
            organiser_id=uuid4(),
            starts_at=at(10, 9),
            ends_at=at(10, 11),
            group_size=10,
            habilitation_codes=[],
        )
        async with runtime.database.transaction() as tx:
            await handlers.book_for_event(tx, asked)
            row = await platform_requests.find(tx, request_id)
        await _happen(runtime, happens, owner_code, row.booking_id)
        if withdrawn:
            async with runtime.database.transaction() as tx:
                gone = PlatformRequestWithdrawn(
                    aggregate_id=request_id, for_event_id=asked.for_event_id, platform_id=platform_id
                )
                await handlers.withdraw_request(tx, gone)
        async with runtime.database.transaction() as tx:
            told = await tx.fetch_all(
                "SELECT record, aggregate_version FROM outbox WHERE key = :key ORDER BY id", key=str(request_id)
            )
            now = await platform_requests.find(tx, request_id)
            (booking,) = await tx.fetch_all("SELECT state FROM booking")
        expected = FIRST[happens] + (AFTER_WITHDRAWAL[happens] if withdrawn else [])
        assert [row.record.rsplit(".", 1)[1] for row in told] == [one.split()[0] for one in expected]
        assert [row.aggregate_version for row in told] == list(range(1, len(expected) + 1))
        assert now.reason == (expected[-1].split()[1] if expected and " " in expected[-1] else None)
        assert (
            now.state
            == {
                "": "pending",
                "PlatformBooked": "booked",
                "PlatformRefused": "refused",
                "PlatformReleased": "released",
            }[expected[-1].split()[0] if expected else ""]
        )
        if now.state in ("refused", "released") and "over" not in happens:
            assert booking.state not in ("requested", "tentative", "approved")
        # Told again with the same id, as after a restore of the other side: the same answer, once more, and one booking.
        async with runtime.database.transaction() as tx:
            await handlers.book_for_event(tx, asked)
            again = await tx.fetch_all("SELECT record FROM outbox WHERE key = :key ORDER BY id", key=str(request_id))
            assert len(await tx.fetch_all("SELECT 1 FROM booking")) == 1
        assert [row.record for row in again[len(told) :]] == [row.record for row in told[-1:]]


async def _happen(runtime: Runtime, happens: str, owner_code: str, booking_id: UUID) -> None:
    """Brings the booking there, time included."""
    async with runtime.database.transaction() as tx:
        if "approved" in happens or "over" in happens:
            assert await handlers.approve(tx, owner_code, booking_id) is None
        if happens == "refused":
            assert await handlers.refuse(tx, owner_code, booking_id, BookingRefusalReason.SAFETY) is None
        if "cancelled" in happens:
            assert await handlers.cancel(tx, handlers.Acting(owner_code=owner_code), booking_id) is None
    if happens == "lapsed" or "over" in happens:
        await set_clock(runtime, 9.9 if happens == "lapsed" else 11)
        await swept(runtime, handlers.settle_due)
    if "nobody" in happens:
        async with runtime.database.transaction() as tx:
            assert await handlers.miss(tx, owner_code, booking_id) is None
