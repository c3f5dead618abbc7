"""Calendars out, read by two libraries that we did not write; busy calendars in, friendly and hostile."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import vobject
from ical.calendar_stream import IcsCalendarStream

from common.testing import Query, http_client
from platform_scheduling import busy_calendar
from platform_scheduling.busy_calendar import Unreadable
from tests.integration.platforms import PARIS, SERVICE, Platforms, at, book, slot


async def subscribed(address: str) -> dict[str, Any]:
    """What a calendar program has after fetching an address: each booking by its UID, with both libraries of one mind."""
    async with http_client() as anyone:
        answer = await anyone.get(address)
        again = await anyone.get(address, headers={"If-None-Match": answer.headers["etag"]})
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/calendar")
    assert again.status_code == 304
    calendar = IcsCalendarStream.calendar_from_ics(answer.text)
    other = vobject.readOne(answer.text)
    if calendar.events:
        other.validate(raiseException=True)
        seen = {
            one.uid.value: (int(one.sequence.value), one.status.value, one.dtstart.value) for one in other.vevent_list
        }
        assert seen == {
            event.uid: (event.sequence, str(event.status and event.status.value), event.dtstart)
            for event in calendar.events
        }
    assert all(len(line.encode()) <= 75 for line in answer.text.split("\r\n"))
    return {event.uid: event for event in calendar.events}


async def test_a_move_and_a_cancellation_reach_a_subscriber(platforms: Platforms) -> None:
    """TENTATIVE, CONFIRMED, moved, CANCELLED: UID stays, SEQUENCE grows by one each time; both sides' calendars."""
    _, owner = await platforms.owner()
    requester = await platforms.requester()
    long_title = "Atelier d’usinage à commande numérique, tournage ; fraisage, contrôle ✓ et métrologie dimensionnelle"
    platform_id = await platforms.platform(owner, title=long_title)
    booking_id = (await book(requester, platform_id, slot(5, 9))).json()["booking_id"]
    mine = (await requester.get("/v1/bookings")).json()["calendar"]
    theirs = next(one["calendar"] for one in (await owner.get("/v1/platforms/mine")).json())
    assert mine != theirs

    async def both() -> tuple[int, str, datetime]:
        found = [(await subscribed(address))[booking_id] for address in (mine, theirs)]
        facts = {(event.sequence, event.status.value, event.dtstart) for event in found}
        assert len(facts) == 1 and all(event.summary.startswith(long_title) for event in found)
        return facts.pop()

    assert await both() == (0, "TENTATIVE", at(5, 9))
    await owner.post(f"/v1/received-bookings/{booking_id}/approval")
    assert await both() == (1, "CONFIRMED", at(5, 9))
    await owner.post(f"/v1/received-bookings/{booking_id}/move", json=slot(6, 14))
    assert await both() == (2, "CONFIRMED", at(6, 14))
    await requester.post(f"/v1/bookings/{booking_id}/cancellation")
    assert await both() == (3, "CANCELLED", at(6, 14))


async def test_a_calendar_is_found_by_its_secret_alone(platforms: Platforms) -> None:
    """Another secret, a platform's id, or no secret at all: 404 or 422, and nothing said."""
    _, owner = await platforms.owner()
    platform_id = await platforms.platform(owner)
    async with http_client(base_url=platforms.url) as anyone:
        for name, status in ((str(uuid4()), 404), (str(platform_id), 404), ("x", 422)):
            assert (await anyone.get(f"/calendriers/{name}.ics")).status_code == status


# -- busy calendars

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
UNTIL = NOW + timedelta(days=400)


def calendar(*events: str, zones: str = "") -> bytes:
    """A calendar of events given by their lines."""
    inside = "".join(
        f"BEGIN:VEVENT\nUID:{n}\nDTSTAMP:20260101T000000Z\n{event}\nEND:VEVENT\n" for n, event in enumerate(events)
    )
    return f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//T//T//FR\n{zones}{inside}END:VCALENDAR\n".replace(
        "\n", "\r\n"
    ).encode()


def paris(text: str) -> datetime:
    """A Paris wall clock."""
    return datetime.fromisoformat(text).replace(tzinfo=PARIS).astimezone(UTC)


async def spans(content: bytes) -> Any:
    """Begin and end of each, in UTC; or why not."""
    try:
        found = await busy_calendar.read(content, NOW, UNTIL)
    except Unreadable as error:
        return error.reason
    return [(span.starts_at, span.ends_at) for span, _ in found]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ("DTSTART:20261201T090000Z\nDTEND:20261201T100000Z", [("2026-12-01T10:00", "2026-12-01T11:00")]),
        ("DTSTART;TZID=Europe/Paris:20261201T090000\nDURATION:PT90M", [("2026-12-01T09:00", "2026-12-01T10:30")]),
        (
            "DTSTART;TZID=Romance Standard Time:20261201T090000\nDTEND;TZID=Romance Standard Time:20261201T100000",
            [("2026-12-01T09:00", "2026-12-01T10:00")],
        ),
        (
            "DTSTART;TZID=America/Montreal:20261201T090000\nDTEND;TZID=America/Montreal:20261201T100000",
            [("2026-12-01T15:00", "2026-12-01T16:00")],
        ),
        ("DTSTART:20261201T090000\nDTEND:20261201T100000", [("2026-12-01T09:00", "2026-12-01T10:00")]),
        ("DTSTART;VALUE=DATE:20270328\nDTEND;VALUE=DATE:20270329", [("2027-03-28T00:00", "2027-03-29T00:00")]),
        ("DTSTART;VALUE=DATE:20261201", [("2026-12-01T00:00", "2026-12-02T00:00")]),
        ("DTSTART:20261201T090000Z\nDTEND:20261201T100000Z\nTRANSP:TRANSPARENT", []),
        ("DTSTART:20261201T090000Z\nDTEND:20261201T100000Z\nSTATUS:CANCELLED", []),
        ("DTSTART:20251201T090000Z\nDTEND:20251201T100000Z", []),
        # An end before its begin: the library reads the two the other way round, and the time is kept.
        ("DTSTART:20261201T100000Z\nDTEND:20261201T090000Z", [("2026-12-01T10:00", "2026-12-01T11:00")]),
        (
            "DTSTART;TZID=Europe/Paris:20261207T080000\nDTEND;TZID=Europe/Paris:20261207T090000\nRRULE:FREQ=WEEKLY;COUNT=3\nEXDATE;TZID=Europe/Paris:20261214T080000",
            [("2026-12-07T08:00", "2026-12-07T09:00"), ("2026-12-21T08:00", "2026-12-21T09:00")],
        ),
        # It is 13:00 in Paris: over for an hour by this clock, though not if these were hours of UTC.
        ("DTSTART:20261125T113000\nDTEND:20261125T120000", []),
        ("DTSTART:20261125T123000\nDTEND:20261125T133000", [("2026-11-25T13:00", "2026-11-25T13:30")]),
        # Longer than what is worked out at a time.
        ("DTSTART;VALUE=DATE:20261201\nDTEND;VALUE=DATE:20270301", [("2026-12-01T00:00", "2027-03-01T00:00")]),
    ],
)
async def test_what_a_busy_calendar_keeps(event: str, expected: list[tuple[str, str]]) -> None:
    """UTC, named zones, Windows' names, no zone, whole days through a clock change, repetitions and exceptions."""
    assert await spans(calendar(event)) == [(paris(begin), paris(end)) for begin, end in expected]


async def test_what_is_only_said_to_be_busy_is_kept() -> None:
    """A file of VFREEBUSY alone: periods by their end or length, one or several on a line; what is free is not."""
    inside = (
        "BEGIN:VFREEBUSY\nUID:f\nDTSTAMP:20260101T000000Z\n"
        "FREEBUSY;FBTYPE=BUSY-TENTATIVE:20261201T080000Z/20261201T090000Z,20261202T080000Z/PT1H\n"
        "FREEBUSY:20261203T080000Z/20261203T090000Z\nFREEBUSY:20251203T080000Z/20251203T090000Z\n"
        "FREEBUSY;FBTYPE=FREE:20261204T080000Z/20261204T090000Z\nEND:VFREEBUSY\n"
    )
    expected = [(datetime(2026, 12, n, 8, tzinfo=UTC), datetime(2026, 12, n, 9, tzinfo=UTC)) for n in (1, 2, 3)]
    assert await spans(calendar(zones=inside)) == expected
    event = "DTSTART:20261205T080000Z\nDTEND:20261205T090000Z"
    both = [*expected, (datetime(2026, 12, 5, 8, tzinfo=UTC), datetime(2026, 12, 5, 9, tzinfo=UTC))]
    assert await spans(calendar(event, zones=inside)) == both


async def test_a_school_s_whole_calendar_is_read() -> None:
    """Forty courses twice a week since 2023, and two thousand single events: what a workshop of a lycée has."""
    courses = [
        f"DTSTART;TZID=Europe/Paris:20230904T0{n % 10}0000\nDTEND;TZID=Europe/Paris:20230904T1{n % 10}0000\n"
        "RRULE:FREQ=WEEKLY;BYDAY=MO,TU"
        for n in range(40)
    ]
    singles = [f"DTSTART:2026{1 + n % 12:02}{1 + n % 28:02}T090000Z\nDURATION:PT1H\nSUMMARY:{n}" for n in range(2000)]
    weeks = 57
    assert len(await spans(calendar(*courses))) == 40 * 2 * weeks
    assert len(await spans(calendar(*courses, *singles))) == 40 * 2 * weeks + 189


HOSTILE = {
    "a rule for a hundred years": (
        calendar("DTSTART:20200101T090000Z\nDTEND:20200101T100000Z\nRRULE:FREQ=DAILY;UNTIL=21200101T000000Z"),
        400,
    ),
    "every second": (
        calendar("DTSTART:20200101T090000Z\nDTEND:20200101T090001Z\nRRULE:FREQ=SECONDLY"),
        "too_many",
    ),
    "every second, long past": (
        calendar("DTSTART:19000101T090000Z\nDTEND:19000101T090001Z\nRRULE:FREQ=SECONDLY"),
        "too_many",
    ),
    "every hour": (
        calendar("DTSTART:20200101T090000Z\nDTEND:20200101T093000Z\nRRULE:FREQ=HOURLY"),
        "too_many",
    ),
    "days that never come": (
        calendar(*["DTSTART:20200101T090000Z\nDTEND:20200101T100000Z\nRRULE:FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30"] * 60),
        "too_heavy",
    ),
    "fifty megabytes": (
        calendar("DTSTART:20261201T090000Z\nDTEND:20261201T100000Z\nDESCRIPTION:" + "x" * 50_000_000),
        "too_large",
    ),
    "ten thousand events": (calendar(*["DTSTART:20261201T090000Z\nDTEND:20261201T100000Z"] * 10_000), "too_many"),
    "an unknown zone": (
        calendar("DTSTART;TZID=Mars/Olympus:20261201T090000\nDTEND;TZID=Mars/Olympus:20261201T100000"),
        "unknown_zone",
    ),
    "no calendar": (b"\x89PNG\r\n", "not_a_calendar"),
    "nothing": (b"", "not_a_calendar"),
    "half a calendar": (calendar("DTSTART:20261201T090000Z")[:80], "not_a_calendar bad_event"),
    "a broken rule": (
        calendar("DTSTART:20261201T090000Z\nDTEND:20261201T100000Z\nRRULE:FREQ=NEVER"),
        "bad_event",
    ),
    "no begin": (calendar("SUMMARY:x"), "not_a_calendar bad_event"),
    "nested without end": (b"BEGIN:VCALENDAR\r\n" * 50_000, "not_a_calendar"),
    "a year that no calendar has": (
        calendar("DTSTART:99991231T235959Z\nDTEND:99991231T235959Z\nRRULE:FREQ=DAILY"),
        "0",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_calendar_is_read_or_refused_and_nothing_else_happens(name: str) -> None:
    """In a process of its own, with an end; meanwhile this one answers others: it spends next to nothing between two beats."""
    content, allowed = HOSTILE[name]
    late = 0.0

    async def beat() -> None:
        nonlocal late
        while True:
            # Of processor time: how long a busy machine lets this process wait says nothing.
            spent = time.process_time()
            await asyncio.sleep(0.01)
            late = max(late, time.process_time() - spent)

    heart = asyncio.create_task(beat())
    found = await spans(content)
    heart.cancel()
    outcome = found if isinstance(found, str) else str(len(found))
    assert outcome in str(allowed).split(), outcome
    assert late < 2, "the event loop stood still"


async def test_an_imported_calendar_takes_time_away_and_names_what_is_in_its_way(
    platforms: Platforms, query: Query
) -> None:
    """The import replaces the one before; bookings stay; what it says is told to nobody; a bad file changes nothing."""
    _, owner = await platforms.owner()
    requester = await platforms.requester()
    platform_id = await platforms.platform(owner)
    path = f"/v1/platforms/{platform_id}"
    booking_id = (await book(requester, platform_id, slot(5, 9))).json()["booking_id"]

    def lesson(days: int) -> str:
        begin, end = at(days, 8), at(days, 10)
        return f"SUMMARY:Cours de Mme Martin\nDTSTART:{begin:%Y%m%dT%H%M%SZ}\nDTEND:{end:%Y%m%dT%H%M%SZ}"

    answer = await owner.put(f"{path}/calendar", content=calendar(lesson(5), lesson(6)))
    assert answer.json() == {"span_count": 2, "bookings_in_the_way": [booking_id]}
    assert (await book(requester, platform_id, slot(6, 9))).json()["reason"] == "slot_taken"
    assert (await owner.put(f"{path}/calendar", content=b"rubbish")).json()["reason"] == "not_a_calendar"
    assert (await book(requester, platform_id, slot(6, 9))).json()["reason"] == "slot_taken"
    assert (await owner.put(f"{path}/calendar", content=b"x" * 5_000_000)).json()["reason"] == "too_large"
    assert (await owner.put(f"{path}/calendar", content=b"x" * 7_000_000)).status_code == 413
    assert (await owner.put(f"{path}/calendar", content=calendar(lesson(7)))).json()["span_count"] == 1
    assert (await book(requester, platform_id, slot(6, 9))).status_code == 201
    told = await query(SERVICE, "SELECT value FROM outbox WHERE key = :key", key=str(platform_id))
    assert told and not any(b"Martin" in row.value for row in told)
    free = await requester.get(f"{path}/free", params={"on": str(at(7, 12).date()), "days": 1})
    assert "Martin" not in free.text


@pytest.mark.parametrize(
    "inside",
    [
        [],
        ["DTSTART:20261201T090000Z\nDTEND:20261201T100000Z\nTRANSP:TRANSPARENT"],
        ["DTSTART:20251201T090000Z\nDTEND:20251201T100000Z"],
    ],
)
async def test_nothing_replaces_something_only_when_told_to(platforms: Platforms, inside: list[str]) -> None:
    """A file without events, or with free or past ones: 409 that says what would go and how to go on; nothing has changed."""
    _, owner = await platforms.owner()
    requester = await platforms.requester()
    platform_id = await platforms.platform(owner)
    path, empty = f"/v1/platforms/{platform_id}/calendar", calendar(*inside)
    assert (await owner.put(path, content=empty)).json() == {"span_count": 0, "bookings_in_the_way": []}
    busy = [f"DTSTART:{at(6, hour):%Y%m%dT%H%M%SZ}\nDTEND:{at(6, hour + 2):%Y%m%dT%H%M%SZ}" for hour in (8, 9)]
    assert (await owner.put(path, content=calendar(*busy))).json()["span_count"] == 2
    refused = await owner.put(path, content=empty)
    assert refused.status_code == 409 and refused.headers["content-type"].startswith("application/problem+json")
    problem = refused.json()
    assert (problem["reason"], problem["busy_count"], problem["busy_hours"]) == ("nothing_busy", 2, 3)
    assert "effacerait 3 h occupées" in problem["detail"]
    assert (await book(requester, platform_id, slot(6, 9))).json()["reason"] == "slot_taken"
    told = await owner.put(f"{path}?{problem['confirmed_by']}", content=empty)
    assert told.json() == {"span_count": 0, "bookings_in_the_way": []}
    assert (await book(requester, platform_id, slot(6, 9))).status_code == 201
