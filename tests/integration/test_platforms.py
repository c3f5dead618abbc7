"""Technical platforms as their owners and requesters use them: real HTTP, real PostgreSQL, many at once."""

from __future__ import annotations

import asyncio
import io
import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from PIL import Image
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine

from common.embedded.stack import Stack
from common.failures import Refusal
from common.testing import FreshRuntime, Query, estuaire, http_client, set_clock, swept
from platform_scheduling import handlers, notices, search
from platform_scheduling.bodies import WindowBody
from platform_scheduling.messages import BookingApproval
from platform_scheduling.state import Busy, Span
from tests.integration.byte_stores import found_in
from tests.integration.platforms import (
    PARIS,
    SERVICE,
    Platforms,
    at,
    book,
    booked_by,
    platform_body,
    prepared,
    slot,
    window,
    window_body,
)


def reason(answer: httpx.Response) -> str:
    """Why a rule refused."""
    assert answer.status_code == 409, answer.text
    return str(answer.json()["reason"])


async def test_a_booking_from_its_request_to_its_end(platforms: Platforms, query: Query) -> None:
    """Held, approved, moved, cancelled late; each side sees its own; a rival owner and a stranger touch nothing."""
    _, owner = await platforms.owner()
    _, rival = await platforms.owner()
    requester, stranger = await platforms.requester(), await platforms.requester()
    platform_id = await platforms.platform(owner, habilitation_codes=["electrique"])

    assert reason(await book(requester, platform_id, slot(3, 9))) == "habilitation_missing"
    held = {"habilitation_codes": ["electrique"], "purpose": "Découverte, 3e B"}
    booked = await book(requester, platform_id, slot(3, 9), **held)
    assert booked.status_code == 201, booked.text
    one = f"received-bookings/{booked.json()['booking_id']}"
    mine = f"bookings/{booked.json()['booking_id']}"
    assert booked.json()["state"] == "tentative"
    for path in (f"{one}/approval", f"{one}/cancellation", f"{one}/no-show"):
        assert (await rival.post(f"/v1/{path}")).status_code == 403
        assert (await requester.post(f"/v1/{path}")).status_code == 403
    assert (await stranger.post(f"/v1/{mine}/cancellation")).status_code == 403
    assert (await stranger.post(f"/v1/{mine}/move", json=slot(4, 9))).status_code == 403
    assert (await rival.put(f"/v1/platforms/{platform_id}/windows/{uuid4()}", json=window_body())).status_code == 403
    assert (await rival.put(f"/v1/platforms/{platform_id}", json=platform_body())).status_code == 403
    assert (
        await rival.put(f"/v1/platforms/{platform_id}/calendar", content=b"BEGIN:VCALENDAR\nEND:VCALENDAR")
    ).status_code == 403
    seen = (await owner.get("/v1/received-bookings")).json()
    assert [(row["purpose"], row["group_size"]) for row in seen] == [("Découverte, 3e B", 8)]
    assert (await rival.get("/v1/received-bookings")).json() == []

    assert (await owner.post(f"/v1/{one}/approval")).json()["state"] == "approved"
    assert reason(await owner.post(f"/v1/{one}/approval")) == "booking_state"
    assert reason(await requester.post(f"/v1/{mine}/move", json=slot(0, 20))) == "too_late"
    moved = await requester.post(f"/v1/{mine}/move", json=slot(9, 10))
    assert (moved.json()["state"], moved.json()["revision"]) == ("tentative", 2)
    assert (await owner.post(f"/v1/{one}/approval")).json()["revision"] == 3
    assert reason(await owner.post(f"/v1/{one}/no-show")) == "not_begun"
    cancelled = await requester.post(f"/v1/{mine}/cancellation")
    assert (cancelled.json()["state"], cancelled.json()["late"]) == ("cancelled", False)
    rows = await query(
        SERVICE,
        "SELECT record, aggregate_version FROM outbox WHERE key = :key ORDER BY id",
        key=str(platform_id),
    )
    assert [row.record.rsplit(".", 1)[1] for row in rows] == [
        "PlatformDescribed",
        "TimeOffered",
        "BookingHeld",
        "BookingApproved",
        "BookingMoved",
        "BookingApproved",
        "BookingEnded",
    ]
    assert [row.aggregate_version for row in rows] == [1, 2, 3, 4, 5, 6, 7]


async def test_two_hundred_clients_on_one_slot(platforms: Platforms, stack: Stack, query: Query) -> None:
    """One booking and 199 refusals with the reason; without the rule, the database would still keep the unit."""
    _, owner = await platforms.owner()
    platform_id = await platforms.platform(owner)
    clients = [await platforms.requester() for _ in range(200)]
    answers = await asyncio.gather(*(book(client, platform_id, slot(5, 9)) for client in clients))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 199}
    assert {reason(answer) for answer in answers if answer.status_code == 409} == {"slot_taken"}
    held = await query(SERVICE, "SELECT * FROM booking WHERE platform_id = :id", id=platform_id)
    assert [row.state for row in held] == ["tentative"]
    engine = create_async_engine(stack.postgres.url("platform_scheduling"))
    columns = ", ".join(f"b.{name}" for name in held[0]._mapping if name != "booking_id")
    copy = f"INSERT INTO booking (booking_id, {columns.replace('b.', '')}) SELECT gen_random_uuid(), {columns} FROM booking b WHERE booking_id = :id"
    with pytest.raises(IntegrityError, match="no_double_booking"):
        async with engine.begin() as connection:
            await connection.execute(text(copy), {"id": held[0].booking_id})
    await engine.dispose()


async def test_several_units_are_booked_side_by_side(platforms: Platforms, query: Query) -> None:
    """A hundred clients on three units: three; on overlapping slots, never two of one unit at once."""
    _, owner = await platforms.owner()
    platform_id = await platforms.platform(owner, units=["Poste 1", "Poste 2", "Poste 3"], approval="AUTOMATIC")
    clients = [await platforms.requester() for _ in range(100)]
    answers = await asyncio.gather(*(book(client, platform_id, slot(5, 14)) for client in clients))
    assert Counter(answer.status_code for answer in answers) == {201: 3, 409: 97}
    draw = random.Random(7)
    asked = [slot(6, draw.randint(8, 16), draw.choice((1, 1.5, 2))) for _ in range(300)]
    await asyncio.gather(*(book(clients[n % 100], platform_id, one) for n, one in enumerate(asked)))
    rows = await query(
        SERVICE,
        "SELECT unit_id, starts_at, ends_at FROM booking WHERE platform_id = :id AND state IN ('tentative', 'approved')",
        id=platform_id,
    )
    assert len(rows) > 12
    assert overlaps(rows) == []
    assert overlaps([*rows, rows[0]]) != []


def overlaps(rows: list[Any]) -> list[Any]:
    """An independent sweep: bookings of one unit by begin, each against the end of the one before."""
    found: list[Any] = []
    reached: dict[Any, Any] = {}
    for row in sorted(rows, key=lambda row: (str(row.unit_id), row.starts_at)):
        if row.starts_at < reached.get(row.unit_id, row.starts_at):
            found.append(row)
        reached[row.unit_id] = max(row.ends_at, reached.get(row.unit_id, row.ends_at))
    return found


async def test_a_lapsed_option_blocks_nobody_though_no_sweeper_ran(fresh_runtime: FreshRuntime) -> None:
    """Search shows the slot free, another books it, the log tells the lapse at its own instant; the next in line had it first."""
    async with fresh_runtime("platform_scheduling", development=True) as runtime:
        _, platform_id = await prepared(runtime)
        first = await booked_by(runtime, platform_id, "first", 30)
        waiting = await booked_by(runtime, platform_id, "second", 40, 14)
        behind = await booked_by(runtime, platform_id, "third", 40, 14, in_line=True)
        assert (first.state, waiting.state, behind.state) == ("tentative", "tentative", "requested")
        await set_clock(runtime, 10)
        async with runtime.database.transaction() as tx:
            free = await search.free_slots(tx, communes=["76540"], span=search.day_span(at(30, 9).date()), minutes=60)
        assert [(one.starts_at, one.ends_at) for one in free[platform_id]] == [(at(30, 8), at(30, 18))]
        again = await booked_by(runtime, platform_id, "fourth", 30)
        assert again.state == "tentative"
        async with runtime.database.transaction() as tx:
            rows = await tx.fetch_all("SELECT booking_id, state, ended_at, due_at FROM booking ORDER BY requested_at")
        states = {row.booking_id: (row.state, row.ended_at) for row in rows}
        assert states[first.booking_id] == ("expired", first.due_at)
        assert states[waiting.booking_id] == ("expired", waiting.due_at)
        assert states[behind.booking_id][0] == "tentative"
        assert await swept(runtime, handlers.settle_due) == 0


async def test_mails_and_one_reminder(fresh_runtime: FreshRuntime) -> None:
    """The owner is asked, reminded once two days before the option ends; the requester hears the answer, and of a lapse."""
    async with fresh_runtime("platform_scheduling", development=True) as runtime:
        owner_code, platform_id = await prepared(runtime)
        answered = await booked_by(runtime, platform_id, "anne", 30)
        silent = await booked_by(runtime, platform_id, "bruno", 31)
        async with runtime.database.transaction() as tx:
            assert await handlers.approve(tx, owner_code, answered.booking_id) is None

        async def sweep(days: float) -> None:
            await set_clock(runtime, days)
            for _ in range(2):
                await swept(runtime, notices.remind, handlers.settle_due)

        lapse = (silent.due_at - datetime.now(UTC)) / timedelta(days=1)
        for days in (lapse - 3, lapse - 1.5, lapse - 1, lapse + 0.1):
            await sweep(max(days, 0))
        async with runtime.database.transaction() as tx:
            rows = await tx.fetch_all("SELECT recipient, subject FROM mail ORDER BY id")
        mails = Counter((row.recipient.split("@")[0], row.subject.split(" :")[0]) for row in rows)
        assert mails == {
            ("owner", "Réservation à accepter"): 2,
            ("anne", "Créneau gardé"): 1,
            ("bruno", "Créneau gardé"): 1,
            ("anne", "Réservation acceptée"): 1,
            ("owner", "Réservation"): 1,
            ("owner", "Rappel, réservation à accepter"): 1,
            ("bruno", "Réservation close"): 1,
        }


async def test_late_cancellations_leave_one_booking_at_a_time(fresh_runtime: FreshRuntime) -> None:
    """Three within a year; the refusal says why."""
    async with fresh_runtime("platform_scheduling", development=True) as runtime:
        _, platform_id = await prepared(runtime, approval="AUTOMATIC")
        booked = [await booked_by(runtime, platform_id, "late", 3, hour) for hour in (8, 10, 12)]
        await set_clock(runtime, 2)
        for one in booked:
            async with runtime.database.transaction() as tx:
                assert await handlers.cancel(tx, handlers.Acting(account="late"), one.booking_id) is None
        assert not isinstance(await booked_by(runtime, platform_id, "late", 5), Refusal)
        refused = await booked_by(runtime, platform_id, "late", 6)
        assert isinstance(refused, Refusal) and refused.reason == "too_many_bookings" and refused.facts["max"] == 1


async def test_what_the_owner_offers_and_keeps(platforms: Platforms, query: Query) -> None:
    """Blocks need free time, hide what they cut, and are told as fewer minutes alone; dropping a window keeps bookings."""
    _, owner = await platforms.owner()
    requester = await platforms.requester()
    platform_id = await platforms.platform(owner, opened=False, units=["A", "B"])
    window_id = await window(owner, platform_id, length_minutes=240)
    path = f"/v1/platforms/{platform_id}"

    async def free(days: int) -> list[tuple[int, int]]:
        answer = await requester.get(f"{path}/free", params={"on": str(at(days, 12).date()), "days": 1})
        spans = [
            (datetime.fromisoformat(s["starts_at"]), datetime.fromisoformat(s["ends_at"]))
            for s in answer.json()["free"]
        ]
        return [(begin.astimezone(PARIS).hour, end.astimezone(PARIS).hour) for begin, end in spans]

    assert await free(5) == [(8, 12)]
    booked = await book(requester, platform_id, slot(5, 9, 1))
    assert reason(await owner.put(f"{path}/blocks/{uuid4()}", json=slot(5, 8, 4))) == "booked"
    block = uuid4()
    kept = {**slot(5, 8, 2), "unit_number": 2, "note": "Maintenance du tour"}
    assert (await owner.put(f"{path}/blocks/{block}", json=kept)).status_code == 200
    assert await free(5) == [(8, 9), (10, 12)]  # the first hour of one unit alone
    assert (await owner.put(f"{path}/blocks/{uuid4()}", json={**slot(5, 8, 1), "unit_number": 9})).status_code == 409
    assert (await owner.delete(f"{path}/blocks/{block}")).status_code == 200
    assert (await owner.delete(f"{path}/blocks/{block}")).status_code == 404
    assert await free(5) == [(8, 12)]
    assert (await owner.delete(f"{path}/windows/{window_id}")).status_code == 200
    assert await free(5) == []
    held = await owner.post(f"/v1/received-bookings/{booked.json()['booking_id']}/approval")
    assert held.json()["state"] == "approved"
    rows = await query(
        SERVICE, "SELECT sum(offered_minutes) AS n FROM offered_week WHERE platform_id = :id", id=platform_id
    )
    assert rows[0].n == 0
    told = await query(SERVICE, "SELECT value FROM outbox WHERE key = :key", key=str(platform_id))
    assert not any(b"Maintenance" in row.value for row in told)


async def test_offered_minutes_are_those_of_the_windows_less_what_is_kept(fresh_runtime: FreshRuntime) -> None:
    """By ISO week on the Paris clock, against a count minute by minute, through a change of the clocks."""
    async with fresh_runtime("platform_scheduling", development=True) as runtime:
        code, platform_id = await prepared(runtime, units=["A", "B"])
        start = datetime.now(PARIS).date()
        spring = date(start.year + 1 if start.month > 3 else start.year, 3, 28)
        async with runtime.database.transaction() as tx:
            night = WindowBody.model_validate(
                window_body(starts_at_local="2026-01-04T22:00", length_minutes=480, rrule="FREQ=WEEKLY;BYDAY=SA")
            )
            assert await handlers.put_window(tx, code, platform_id, night.window(uuid4())) is None
            busy = Span(at(8, 6), at(8, 12))
            assert await handlers.block(tx, code, platform_id, uuid4(), Busy(busy, 2), "") is None
            opened = await tx.fetch_all(
                "SELECT starts_at, ends_at FROM open_time WHERE platform_id = :id", id=platform_id
            )
            weeks = await tx.fetch_all(
                "SELECT iso_week, offered_minutes FROM offered_week WHERE platform_id = :id", id=platform_id
            )
        expected: Counter[str] = Counter()
        for unit in (1, 2):
            minutes = set()
            for row in opened:
                moment = row.starts_at
                while moment < row.ends_at:
                    if unit == 1 or not busy.starts_at <= moment < busy.ends_at:
                        minutes.add(moment)
                    moment += timedelta(minutes=1)
            for moment in minutes:
                year, number, _ = moment.astimezone(PARIS).isocalendar()
                expected[f"{year}-W{number:02d}"] += 1
        found = {row.iso_week: row.offered_minutes for row in weeks if row.offered_minutes}
        assert found == dict(expected)
        assert (spring - start).days > 200 or any(row.starts_at.astimezone(PARIS).date() == spring for row in opened)


async def test_free_slots_agree_with_a_plain_count(fresh_runtime: FreshRuntime) -> None:
    """Random windows, blocks and bookings over many platforms: the query finds what a walk minute by minute finds."""
    draw = random.Random(11)
    async with fresh_runtime("platform_scheduling", development=True) as runtime:
        made = []
        for number in range(12):
            gap = draw.choice((0, 0, 15))
            more: dict[str, Any] = {
                "units": ["A", "B"][: draw.randint(1, 2)],
                "access": {"gap_minutes": gap},
                "approval": "AUTOMATIC",
            }
            commune = draw.choice(("76540", "27229", "14118"))
            code, platform_id = await prepared(runtime, commune_code=commune, **more)
            made.append((platform_id, len(more["units"]), gap, commune))
            async with runtime.database.transaction() as tx:
                for _ in range(draw.randint(0, 2)):
                    begin = draw.randint(8, 15)
                    kept = Busy(Span(at(5, begin), at(5, begin + draw.randint(1, 2))), draw.choice((None, 1)))
                    await handlers.block(tx, code, platform_id, uuid4(), kept, "")
            for n in range(4):
                begin = draw.randint(8, 15)
                await booked_by(runtime, platform_id, f"r{number}-{n}", 5, begin)
        async with runtime.database.transaction() as tx:
            found = await search.free_slots(
                tx, communes=["76540", "27229"], span=search.day_span(at(5, 9).date()), minutes=45
            )
            for platform_id, units, gap, commune in made:
                expected = await _plainly_free(tx, platform_id, units, gap, 45) if commune != "14118" else []
                assert [(one.starts_at, one.ends_at) for one in found.get(platform_id, [])] == expected
        assert len(found) >= 4


async def _plainly_free(
    tx: Any, platform_id: UUID, units: int, gap: int, minutes: int
) -> list[tuple[datetime, datetime]]:
    opened = await tx.fetch_all("SELECT * FROM open_time WHERE platform_id = :id", id=platform_id)
    busy = await tx.fetch_all("SELECT * FROM busy_time WHERE platform_id = :id", id=platform_id)
    booked = await tx.fetch_all(
        "SELECT b.*, u.number FROM booking b JOIN unit u USING (unit_id) WHERE b.platform_id = :id", id=platform_id
    )
    pieces: list[tuple[datetime, datetime]] = []
    for unit in range(1, units + 1):
        run: list[datetime] = []
        for n in range(24 * 60 + 1):
            moment = at(5, 0) + timedelta(minutes=n)
            free = any(o.starts_at <= moment < o.ends_at for o in opened)
            free &= not any(b.unit_number in (None, unit) and b.starts_at <= moment < b.ends_at for b in busy)
            free &= not any(
                b.number == unit and b.starts_at - timedelta(minutes=gap) <= moment < b.occupied_until for b in booked
            )
            if free:
                run.append(moment)
            elif run:
                pieces.append((run[0], run[-1] + timedelta(minutes=1)))
                run = []
    long_enough = sorted({p for p in pieces if p[1] - p[0] >= timedelta(minutes=minutes)})
    return [p for p in long_enough if not any(o != p and o[0] <= p[0] and p[1] <= o[1] for o in long_enough)]


async def test_what_is_free_begins_on_a_quarter_of_an_hour_after_the_notice(fresh_runtime: FreshRuntime) -> None:
    """Whatever the minute now."""
    async with fresh_runtime("platform_scheduling", development=True) as runtime:
        code, platform_id = await prepared(runtime, access={"notice_hours": 1})
        async with runtime.database.transaction() as tx:
            opened = WindowBody.model_validate(window_body(starts_at_local="2026-01-05T00:00", length_minutes=1440))
            await handlers.put_window(tx, code, platform_id, opened.window(uuid4()))
        for minutes in (0, 7, 14, 29):
            await set_clock(runtime, minutes / 1440)
            async with runtime.database.transaction() as tx:
                now = await tx.now()
                free = await search.free_slots(
                    tx, communes=["76540"], span=Span(now, now + timedelta(hours=5)), minutes=30
                )
            begin = free[platform_id][0].starts_at
            assert begin.minute % 15 == 0 and begin.second == 0
            assert timedelta(hours=1) <= begin - now < timedelta(hours=1, minutes=15)


async def test_windows_are_written_out_further_as_days_go_by(fresh_runtime: FreshRuntime) -> None:
    """After two months nobody has touched the platform: the sweeper opens what may be booked now, and tells the weeks."""
    async with fresh_runtime("platform_scheduling", development=True) as runtime:
        _, platform_id = await prepared(runtime)
        # Owners who let book less far, or further, than the policy.
        for days in (20, 365):
            await prepared(runtime, access={"horizon_days": days})
        assert await swept(runtime, handlers.open_further) == 0
        await set_clock(runtime, 70)
        assert await swept(runtime, handlers.open_further) == 3
        assert await swept(runtime, handlers.open_further) == 0
        async with runtime.database.transaction() as tx:
            free = await search.free_slots(
                tx, communes=["76540"], span=search.day_span(at(70 + 179, 9).date()), minutes=60
            )
        assert free[platform_id]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"equipment_codes": ["fusion"]}, "equipment_codes"),
        ({"equipment_codes": []}, "equipment_codes"),
        ({"capacity_count": 0}, "capacity_count"),
        ({"commune_code": "99999"}, "commune_code"),
        ({"habilitation_codes": ["vol"]}, "habilitation_codes"),
        ({"rncp_codes": ["37489"]}, "rncp_codes"),
        ({"approval": "UNKNOWN"}, "approval"),
        ({"access": {"horizon_days": 4000}}, "access"),
        ({"access": {"answer_working_days": 1}}, "access"),
        ({"units": []}, "units"),
        ({"title": "a\x00b"}, "title"),
        ({"owner": "0760017F"}, "owner"),
    ],
)
async def test_a_wrong_platform_is_refused_in_words(platforms: Platforms, change: dict[str, Any], field: str) -> None:
    """422 that names the field."""
    _, owner = await platforms.owner()
    answer = await owner.put(f"/v1/platforms/{uuid4()}", json=platform_body(**change))
    assert answer.status_code == 422, answer.text
    assert any(error["field"].startswith(field) for error in answer.json()["errors"])


async def test_wrong_slots_windows_and_accounts_are_never_a_500(platforms: Platforms) -> None:
    """Ends before begins, dates at the edge of the calendar, naive times, unknown ids, accounts without an owner."""
    _, owner = await platforms.owner()
    requester = await platforms.requester()
    platform_id = await platforms.platform(owner)
    path = f"/v1/platforms/{platform_id}"
    good = slot(5, 9)
    wrong_slots: list[dict[str, Any]] = [
        {"starts_at": good["ends_at"], "ends_at": good["starts_at"]},
        {"starts_at": good["starts_at"], "ends_at": good["starts_at"]},
        {"starts_at": "0001-01-01T00:00:00Z", "ends_at": "0001-01-01T02:00:00Z"},
        {"starts_at": "9999-12-31T22:00:00Z", "ends_at": "9999-12-31T23:59:00Z"},
        {"starts_at": "2027-01-01T09:00:00", "ends_at": "2027-01-01T10:00:00"},
        {"starts_at": "2027-01-01T09:00:30Z", "ends_at": "2027-01-01T10:00:00Z"},
    ]
    for wrong in wrong_slots:
        assert (await book(requester, platform_id, wrong)).status_code == 422, wrong
        assert (await owner.put(f"{path}/blocks/{uuid4()}", json=wrong)).status_code == 422, wrong
    for more in ({"group_size": 0}, {"group_size": 10**12}, {"habilitation_codes": ["vol"]}, {"purpose": "\x00"}):
        assert (await book(requester, platform_id, good, **more)).status_code == 422, more
    for wrong in (
        {"starts_at_local": "2027-01-01T08:00:00Z"},
        {"starts_at_local": "0001-01-01T00:00"},
        {"starts_at_local": "9999-12-31T23:00"},
        {"length_minutes": 1441},
        {"rrule": "FREQ=SECONDLY"},
        {"rrule": "FREQ=DAILY;UNTIL=20279999"},
    ):
        answer = await owner.put(f"{path}/windows/{uuid4()}", json=window_body(**wrong))
        assert answer.status_code == 422, (wrong, answer.text)
    assert (await book(requester, uuid4(), good)).status_code == 404
    assert (await owner.post(f"/v1/received-bookings/{uuid4()}/approval")).status_code == 404
    assert (await owner.get("/v1/platforms/nothing")).status_code == 422
    for query in (
        "on=2027-02-30&commune_code=76540",
        "on=0001-01-01&commune_code=76540",
        "on=9999-12-31&commune_code=76540",
        "on=2027-01-01&commune_code=00000",
        "on=2027-01-01&commune_code=76540&equipment=x",
    ):
        assert (await requester.get(f"/v1/free-slots?{query}")).status_code == 422, query
    assert (await requester.get(f"{path}/free?on=9999-12-31")).status_code == 422
    nobody = await platforms.client(f"nobody-{uuid4()}", "owner", structure_id="not-an-owner")
    assert (await nobody.put(f"/v1/platforms/{uuid4()}", json=platform_body())).status_code == 403
    pupil = await platforms.client(f"pupil-{uuid4()}", "seeker")
    assert (await book(pupil, platform_id, good)).status_code == 403


async def test_photos_are_written_anew(platforms: Platforms) -> None:
    """Smaller, upright, without what the camera added; what is no picture, or a bomb of pixels, is refused."""
    _, owner = await platforms.owner()
    platform_id = await platforms.platform(owner, opened=False)
    path = f"/v1/platforms/{platform_id}/photos"
    picture, exif = Image.new("RGB", (3000, 1000), "teal"), Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "chez Marie Dupont"  # to be turned; a description
    out = io.BytesIO()
    picture.save(out, "JPEG", exif=exif)
    assert (await owner.put(f"{path}/1", content=out.getvalue(), params={"caption": "Le tour"})).status_code == 200
    async with http_client(base_url=platforms.url) as anyone:
        shown = await anyone.get(f"/plateaux/{platform_id}/photos/1")
        assert (await anyone.get(f"/plateaux/{platform_id}/photos/2")).status_code == 404
    assert b"Dupont" in out.getvalue() and b"Dupont" not in shown.content
    assert Image.open(io.BytesIO(shown.content)).size == (427, 1280)
    bomb = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
    for wrong in (b"", b"<svg onload=alert(1)>", bomb.getvalue(), out.getvalue()[:500]):
        answer = await owner.put(f"{path}/2", content=wrong)
        assert (answer.status_code, answer.json()["reason"]) == (422, "unreadable_photo"), wrong[:20]
    assert (await owner.put(f"{path}/9", content=out.getvalue())).status_code == 422
    assert (await owner.delete(f"{path}/1")).status_code == 200


async def test_automatic_approval_and_what_an_owner_sets_otherwise(platforms: Platforms) -> None:
    """Approved at once; the platform's own notice, length and horizon, in the search too."""
    _, owner = await platforms.owner()
    requester = await platforms.requester()
    access = {"notice_hours": 72, "length_minutes_min": 120, "horizon_days": 20}
    platform_id = await platforms.platform(owner, approval=BookingApproval.AUTOMATIC.value, access=access)
    assert (await book(requester, platform_id, slot(5, 9))).json()["state"] == "approved"
    assert reason(await book(requester, platform_id, slot(2, 9))) == "too_late"
    assert reason(await book(requester, platform_id, slot(21, 9))) == "too_early"
    assert reason(await book(requester, platform_id, slot(5, 12, 1))) == "length"
    for days, free in ((2, False), (5, True), (22, False)):
        answer = await requester.get(
            f"/v1/platforms/{platform_id}/free", params={"on": str(at(days, 12).date()), "days": 1}
        )
        assert bool(answer.json()["free"]) is free, days


async def test_an_erased_requester_is_in_no_store(platforms: Platforms, query: Query) -> None:
    """By one command: no table, topic, log or metric has their account, name, address or project; the slot is free again."""
    mark = uuid4().hex
    _, owner = await platforms.owner()
    platform_id = await platforms.platform(owner)
    requester = await platforms.client(f"person-{mark}", "prescriber")
    for days in (5, 6):
        body = {"platform_id": str(platform_id), "group_size": 8, "purpose": f"Projet {mark}", **slot(days, 9)}
        answer = await requester.post("/v1/bookings", json=body, headers={"Idempotency-Key": f"{mark}{days}"})
        assert answer.status_code == 201, answer.text
    assert (await book(requester, platform_id, slot(5, 9))).status_code == 409
    assert await found_in(platforms.stack, query, mark, SERVICE)
    erase = "requesters", "erase", f"person-{mark}@example.org"
    status, said = await estuaire(platforms.stack, SERVICE, *erase)
    assert status == 0 and "erased; 2 bookings" in said, said
    assert await found_in(platforms.stack, query, mark, SERVICE) == []
    status, said = await estuaire(platforms.stack, SERVICE, *erase)
    assert status == 1 and "nobody is known" in said
    neighbour = await platforms.requester()
    assert (await book(neighbour, platform_id, slot(5, 9))).status_code == 201
