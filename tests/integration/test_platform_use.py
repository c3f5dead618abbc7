"""Platform use equals an independent fold of the raw topic, before and after a rebuild, and its page moves by itself."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from common.embedded.stack import Stack
from common.testing import FreshRuntime, Query, http_client, url_of
from common.verdicts import Delivery
from projections import platform_use
from projections.messages import BookingEnded, BookingEndReason, BookingHeld, BookingOrigin, BookingsRestated
from tests.integration.conftest import eventually
from tests.integration.platforms import Platforms, at, book, slot
from tests.integration.referee import Record, read_topic
from tests.integration.test_rebuild import rebuild


async def some_life(platforms: Platforms) -> UUID:
    """Bookings that end in every way, in a commune where nobody else has a platform; how many hours are booked: six of 3 × 10 a day."""
    _, owner = await platforms.owner()
    requester = await platforms.requester()
    platform_id = await platforms.platform(
        owner, commune_code="50502", units=["A", "B", "C"], equipment_codes=["soudage", "usinage"]
    )
    made = []
    for hour in (8, 10, 12, 14):
        made.append((await book(requester, platform_id, slot(3, hour))).json()["booking_id"])
    one, two, three, four = made
    for approved in (one, two, three):
        await owner.post(f"/v1/received-bookings/{approved}/approval")
    await owner.post(f"/v1/received-bookings/{two}/move", json=slot(4, 8, 4))
    await requester.post(f"/v1/bookings/{three}/cancellation")
    await owner.post(f"/v1/received-bookings/{four}/refusal", json={"reason": "SAFETY"})
    await owner.put(f"/v1/platforms/{platform_id}/blocks/{uuid4()}", json={**slot(5, 8, 5), "unit_number": 3})
    return platform_id


def folded(records: list[Record]) -> tuple[dict[str, Any], dict[str, Any]]:
    """By the raw log: each platform's version and offered weeks, each booking's state and slot."""
    offered: dict[str, Any] = {}
    bookings: dict[str, Any] = {}
    for record in records:
        fields = record.fields
        assert fields is not None
        version, weeks = offered.get(record.key, (0, {}))
        if fields["aggregate_version"] <= version:
            continue
        if record.name == "TimeOffered":
            weeks = weeks | {week["iso_week"]: week["offered_minutes"] for week in fields["weeks"]}
        offered[record.key] = fields["aggregate_version"], weeks
        if not record.name.startswith("Booking"):
            continue
        key = str(fields["booking_id"])
        slot_now = (fields["starts_at"], fields["ends_at"]) if "starts_at" in fields else bookings[key][1]
        state = {"BookingRequested": "requested", "BookingHeld": "tentative", "BookingApproved": "approved"}.get(
            record.name
        )
        if record.name == "BookingMoved":
            state = "approved" if fields["expires_at"] is None else "tentative"
        bookings[key] = (state or fields["reason"], slot_now)
    return offered, bookings


async def kept(query: Query) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same from the read model."""
    platforms = await query("projections", "SELECT platform_id, aggregate_version, offered FROM use_platform")
    bookings = await query("projections", "SELECT * FROM use_booking")
    return (
        {str(row.platform_id): (row.aggregate_version, row.offered) for row in platforms},
        {str(row.booking_id): (row.end_reason or row.state, (row.starts_at, row.ends_at)) for row in bookings},
    )


async def test_use_is_the_fold_of_the_log_before_and_after_a_rebuild(
    stack: Stack, platforms: Platforms, query: Query
) -> None:
    """Every platform's weeks, every booking; then the same rows from the first offset."""
    await some_life(platforms)

    async def published() -> bool:
        rows = await query("platform-scheduling", "SELECT count(*) AS n FROM outbox WHERE published_at IS NULL")
        return bool(rows[0].n == 0)

    await eventually(published)
    expected = folded(await asyncio.to_thread(read_topic, stack, platform_use.TOPIC))

    async def same() -> bool:
        return await kept(query) == expected

    await eventually(same)
    assert {"approved", "CANCELLED_BY_REQUESTER", "REFUSED"} <= {state for state, _ in expected[1].values()}
    status, said = await rebuild(stack, model="platform-use")
    assert status == 0 and "is switched" in said, said
    assert await kept(query) == expected


async def test_the_figures_of_a_territory(stack: Stack, platforms: Platforms, query: Query) -> None:
    """Rate over the units and weeks to come, cancellations subtracted, by equipment and intercommunality; wrong filters are left out."""
    made = await some_life(platforms)
    async with http_client(base_url=url_of(stack, "projections")) as client:

        async def use(**query: str) -> dict[str, Any]:
            answer = await client.get("/api/platform-use", params={"periode": "avenir", **query})
            assert answer.status_code == 200, answer.text
            return dict(answer.json())

        async def arrived() -> bool:
            (there,) = await query(
                "platform-scheduling", "SELECT version FROM platform WHERE platform_id = :id", id=made
            )
            here = await query(
                "projections", "SELECT aggregate_version AS v FROM use_platform WHERE platform_id = :id", id=made
            )
            return [row.v for row in here] == [there.version]

        await eventually(arrived)
        found = await use(territoire="50")
        number = found["total"]["platform_count"]  # some_life may have run before
        week_days = 8 * 7
        assert found["total"]["used_minutes"] == number * (2 + 4) * 60
        assert (
            found["total"]["offered_minutes"]
            == number * (3 * week_days * 600 - 5 * 60) - number * 3 * 600 * _days_gone()
        )
        assert (found["cancelled_count"], found["late_count"] <= number) == (number, True)
        assert {one["code"]: one["used_minutes"] for one in found["by_equipment"]} == dict.fromkeys(
            ("soudage", "usinage"), number * 360
        )
        (epci,) = found["by_epci"].values()
        assert epci["platform_count"] == number and found["by_territory"][0]["code"] == epci["code"]
        assert sum(week["used_minutes"] for week in found["by_week"]) == number * 360
        assert (await use(territoire="nowhere"))["total"]["platform_count"] >= number
        assert (await client.get("/usage-plateaux?periode=x&territoire=%00")).status_code == 200
        page = await client.get("/usage-plateaux?periode=avenir&territoire=50")
        assert "Soudage" in page.text and "Saint-Lô" in page.text


def _days_gone() -> int:
    """Days of this week before today: the windows begin today."""
    return at(0, 12).astimezone().weekday()


async def test_a_restated_platform_forgets_the_bookings_that_are_not_told_anew(fresh_runtime: FreshRuntime) -> None:
    """After a restore of the other side: those in the list stay, the rest is over, what had ended is not touched."""
    async with fresh_runtime("projections") as runtime:
        platform_id, bookings = uuid4(), [uuid4() for _ in range(3)]
        begin = at(3, 9)

        def held(number: int) -> BookingHeld:
            facts = {
                "booking_id": bookings[number],
                "requester_id": uuid4(),
                "origin": BookingOrigin.PERSON,
                "unit_number": 1,
            }
            slots = {"starts_at": begin, "ends_at": begin + timedelta(hours=1), "expires_at": begin, "group_size": 5}
            return BookingHeld.model_validate({**facts, **slots, "aggregate_id": platform_id})

        ended = BookingEnded(
            aggregate_id=platform_id, booking_id=bookings[2], reason=BookingEndReason.REFUSED, late=False
        )
        restated = BookingsRestated(aggregate_id=platform_id, booking_ids=[bookings[0]])
        lots: list[list[Any]] = [[held(0), held(1), held(2), ended], [restated, held(0)]]
        for lot in lots:
            async with runtime.database.transaction() as tx:
                await platform_use.fold(
                    tx, [Delivery(message, platform_use.TOPIC, 0, n) for n, message in enumerate(lot)]
                )
        async with runtime.database.transaction() as tx:
            rows = await tx.fetch_all("SELECT booking_id, state, end_reason FROM use_booking")
        assert {row.booking_id: (row.state, row.end_reason) for row in rows} == {
            bookings[0]: ("tentative", None),
            bookings[1]: ("ended", "RESTATED"),
            bookings[2]: ("ended", "REFUSED"),
        }


@pytest.mark.parametrize("period", ["4", "12", "52", "avenir"])
def test_weeks_of_a_period(period: platform_use.Period) -> None:
    """Past ones end with last week, those to come begin with this one; over the turn of a year too."""
    for days in (0, 3, 40, 200):
        now = at(days, 12)
        chosen = platform_use.weeks_of(period, now)
        year, number, _ = now.isocalendar()
        this_week = f"{year}-W{number:02d}"
        assert len(chosen) == (8 if period == "avenir" else int(period))
        assert (this_week == chosen[0]) if period == "avenir" else (this_week not in chosen and chosen[-1] < this_week)
