"""The calendar: the fold of the raw topics before and after a rebuild, its figures and filters, iCalendar, and its live page."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from ical.calendar_stream import IcsCalendarStream
from playwright.async_api import Browser, expect

from common.embedded.stack import Stack
from common.testing import FreshRuntime, Query, http_client, url_of
from common.verdicts import Delivery
from projections import calendar
from projections.messages import (
    Admission,
    Allocation,
    PartyKind,
    RegistrationsRestated,
    SeatsOffered,
    SessionDescribed,
    SessionPurpose,
)
from tests.integration.browsing import WIDTHS, assert_accessible, link_sent_to, opened
from tests.integration.conftest import eventually
from tests.integration.events import Events, event_body, put_session, register
from tests.integration.platforms import at
from tests.integration.referee import Record, read_topic
from tests.integration.test_rebuild import rebuild

_COUNTS = ("registered_count", "waiting_count", "attended_count")


async def some_life(events: Events) -> tuple[UUID, UUID]:
    """An event in Granville with a full session, one that is called off, and one in line."""
    async with await events.organiser() as organiser, events.family() as family:
        event_id, (session_id, gone) = await events.event(
            organiser,
            {"capacity_count": 2},
            {"hour": 17},
            kind="OPEN_DAY",
            commune_code="50218",
            title=f"Porte ouverte {uuid4().hex[:6]}",
        )
        for n, seats in enumerate((1, 1, 2)):
            email = f"cal-{n}-{event_id.hex[:6]}@example.org"
            answer = await register(family, event_id, [session_id], email, seat_count=seats, wait=True)
            assert answer.status_code == 201
        await organiser.post(f"/v1/sessions/{gone}/cancellation")
    return event_id, session_id


def folded(records: list[Record]) -> dict[str, dict[str, Any]]:
    """By the raw log: each session's version, state and counts."""
    found: dict[str, dict[str, Any]] = {}
    for record in records:
        fields = record.fields
        assert fields is not None
        row = found.setdefault(record.key, {"version": 0, "state": "planned", **dict.fromkeys(_COUNTS, 0)})
        if fields["aggregate_version"] <= row["version"]:
            continue
        row["version"] = fields["aggregate_version"]
        row |= {name: fields[name] for name in _COUNTS if fields.get(name) is not None and record.name != "SessionHeld"}
        if record.name == "SessionDescribed":
            row["state"] = "open" if fields["open"] else "planned"
        elif record.name == "SessionCancelled":
            row |= {"state": "cancelled", "registered_count": 0, "waiting_count": 0}
        elif record.name == "SessionHeld":
            row["state"] = "held"
    return found


async def kept(query: Query) -> dict[str, dict[str, Any]]:
    """The same from the read model."""
    rows = await query("projections", "SELECT * FROM calendar_session")
    return {
        str(row.session_id): {
            "version": row.aggregate_version,
            "state": row.state,
            **{name: getattr(row, name) for name in _COUNTS},
        }
        for row in rows
    }


async def test_the_calendar_is_the_fold_of_the_log_before_and_after_a_rebuild(
    stack: Stack, events: Events, query: Query
) -> None:
    """Every session's state and counts; then the same rows from the first offset."""
    await some_life(events)

    async def published() -> bool:
        rows = await query("events", "SELECT count(*) AS n FROM outbox WHERE published_at IS NULL")
        return bool(rows[0].n == 0)

    await eventually(published)
    expected = folded(await asyncio.to_thread(read_topic, stack, calendar.SESSIONS_TOPIC))

    async def same() -> bool:
        return await kept(query) == expected

    await eventually(same)
    assert {"open", "cancelled"} <= {row["state"] for row in expected.values()}
    status, said = await rebuild(stack, model="calendar")
    assert status == 0 and "is switched" in said, said
    assert await kept(query) == expected


async def test_figures_filters_and_icalendar(stack: Stack, events: Events) -> None:
    """By territory, kind, public and month; what is by invitation is not there; who subscribed sees what was called off."""
    event_id, session_id = await some_life(events)
    async with await events.organiser("agency") as agency:
        closed, _ = await events.event(agency, kind="COMMITTEE", access="INVITATION", commune_code="50218")
    month = f"{at(30, 14):%Y-%m}"
    async with http_client(base_url=url_of(stack, "projections")) as client:

        async def found(**query: str) -> dict[str, Any]:
            answer = await client.get("/api/calendar", params={"mois": month, "territoire": "50", **query})
            assert answer.status_code == 200, answer.text
            return dict(answer.json())

        async def arrived() -> bool:
            rows = {row["session_id"]: row for row in (await found())["sessions"]}
            mine = rows.get(str(session_id), {})
            return (mine.get("registered_count"), mine.get("waiting_count")) == (2, 2)

        await eventually(arrived)
        rows = {row["session_id"]: row for row in (await found())["sessions"]}
        mine = rows[str(session_id)]
        assert (mine["registered_count"], mine["waiting_count"], mine["free_count"], mine["is_full"]) == (2, 2, 0, True)
        assert str(closed) not in {row["event_id"] for row in rows.values()}
        for query, there in (
            ({"genre": "OPEN_DAY"}, True),
            ({"genre": "COMPANY_VISIT"}, False),
            ({"public": "familles"}, True),
            ({"public": "etudiants"}, False),
            ({"territoire": "76"}, False),
            ({"territoire": "nowhere", "genre": "x", "public": "\x00"}, True),
        ):
            shown = {row["session_id"] for row in (await found(**query))["sessions"]}
            assert (str(session_id) in shown) is there, query
        answer = await client.get("/calendrier.ics", params={"territoire": "50", "genre": "OPEN_DAY"})
        components = {one.uid: one for one in IcsCalendarStream.calendar_from_ics(answer.text).events}
        assert components[str(session_id)].status == "CONFIRMED"
        assert {one.status for one in components.values()} == {"CONFIRMED", "CANCELLED"}
        again = await client.get(
            "/calendrier.ics",
            params={"territoire": "50", "genre": "OPEN_DAY"},
            headers={"If-None-Match": answer.headers["etag"]},
        )
        assert again.status_code == 304
        sent = await client.get(f"/evenement/{event_id}")
        assert sent.status_code == 303 and sent.headers["location"] == f"{events.url}/evenements/{event_id}"


async def test_one_uid_has_one_sequence_wherever_it_is_published(stack: Stack, events: Events) -> None:
    """An event's own calendar, a party's, and that of the Region: equal, whoever registers, and higher after each change."""
    email, month = f"sequence-{uuid4().hex[:6]}@example.org", f"{at(30, 14):%Y-%m}"
    async with (
        await events.organiser() as organiser,
        events.family() as family,
        http_client(base_url=url_of(stack, "projections")) as region,
    ):
        event_id, (session_id,) = await events.event(organiser, commune_code="50218")
        assert (await register(family, event_id, [session_id], email)).status_code == 201
        mine = await link_sent_to(stack, email)

        async def published() -> list[tuple[int | None, str | None]]:
            found = []
            for client, path in (
                (family, f"/evenements/{event_id}.ics"),
                (family, f"{mine}/agenda.ics"),
                (region, "/calendrier.ics?territoire=50"),
            ):
                entries = IcsCalendarStream.calendar_from_ics((await client.get(path)).text).events
                found += [(one.sequence, one.summary) for one in entries if one.uid == str(session_id)]
            return found

        async def told() -> tuple[int, str]:
            """What all three say, once the Region's has what the others have."""

            async def agreed() -> bool:
                found = await published()
                return len(found) == 3 and len(set(found)) == 1

            await eventually(agreed)
            sequence, summary = (await published())[0]
            assert sequence is not None and summary is not None
            return sequence, summary

        async def registered(count: int) -> None:
            async def shown() -> bool:
                rows = (await region.get("/api/calendar", params={"mois": month, "territoire": "50"})).json()
                return any(
                    (row["session_id"], row["registered_count"]) == (str(session_id), count) for row in rows["sessions"]
                )

            await eventually(shown)

        first, _ = await told()
        assert (await register(family, event_id, [session_id], f"x{email}")).status_code == 201
        await registered(2)
        assert (await told())[0] == first
        await put_session(organiser, event_id, session_id=session_id, hour=16)
        moved, _ = await told()
        assert moved > first
        renamed = event_body(commune_code="50218", title="Un titre tout neuf")
        assert (await organiser.put(f"/v1/events/{event_id}", json=renamed)).status_code == 200

        async def renewed() -> bool:
            return all("Un titre tout neuf" in str(summary) for _, summary in await published())

        await eventually(renewed)
        last, _ = await told()
        assert last > moved


@pytest.mark.parametrize("width", WIDTHS)
async def test_the_page_moves_by_itself(stack: Stack, events: Events, browser: Browser, width: int) -> None:
    """Somebody registers elsewhere, and what is left changes on the page within seconds; whole without JavaScript too."""
    title = f"Forum {uuid4().hex[:6]}"
    async with await events.organiser() as organiser, events.family() as family:
        event_id, (session_id,) = await events.event(
            organiser, {"capacity_count": 10}, title=title, commune_code="61001"
        )
        path = f"{url_of(stack, 'projections')}/calendrier?territoire=61&mois={at(30, 14):%Y-%m}"
        async with opened(browser, width) as page:

            async def there() -> bool:
                await page.goto(path)
                return await page.get_by_role("link", name=title).count() == 1

            await eventually(there)
            row = page.locator("li", has_text=title)
            await expect(row).to_contain_text("10 places libres sur 10")
            await assert_accessible(page)
            await register(family, event_id, [session_id], f"live-{event_id.hex[:6]}@example.org", seat_count=3)
            await expect(row).to_contain_text("7 places libres sur 10")
            await put_session(organiser, event_id, session_id=session_id, capacity_count=20)
            await expect(row).to_contain_text("17 places libres sur 20")
        async with opened(browser, width, javascript=False) as page:
            await page.goto(path)
            await expect(page.locator("li", has_text=title)).to_contain_text("17 places libres")


async def test_an_offer_that_lapsed_holds_nothing_whoever_has_told_it(fresh_runtime: FreshRuntime) -> None:
    """The read model stores the instant and derives the rest when read; a restated session forgets offers that are not told anew."""
    async with fresh_runtime("projections", development=True) as runtime:
        now = datetime.now(UTC)
        session_id, event_id = uuid4(), uuid4()
        counts = {"registered_count": 0, "offered_count": 3, "waiting_count": 0}
        described = SessionDescribed(
            aggregate_id=session_id,
            for_event_id=event_id,
            title="Atelier",
            purpose=SessionPurpose.WORKSHOP,
            starts_at=now + timedelta(days=9),
            ends_at=now + timedelta(days=9, hours=1),
            admission=Admission.EVERYONE,
            capacity_count=5,
            allocation=Allocation.FIRST_COME,
            open=True,
            **counts,
        )

        def offered(minutes: int) -> SeatsOffered:
            return SeatsOffered(
                aggregate_id=session_id,
                registration_id=uuid4(),
                party_id=uuid4(),
                party_kind=PartyKind.INDIVIDUAL,
                seat_count=1 if minutes < 0 else 2,
                expires_at=now + timedelta(minutes=minutes),
                **counts,
            )

        restated = RegistrationsRestated(
            aggregate_id=session_id, registration_ids=[], held=False, attended_count=0, **counts
        )
        async with runtime.database.transaction() as tx:
            lot: list[Any] = [described, offered(-5), offered(5)]
            await calendar.fold_sessions(tx, [Delivery(m, calendar.SESSIONS_TOPIC, 0, n) for n, m in enumerate(lot)])
            await tx.execute(
                """INSERT INTO calendar_event (event_id, organiser_title, kind, title, summary, status, access, attendance_mode, audiences,
                       rome_codes, under_represented, fictitious, aggregate_version, log_topic, log_partition, log_offset)
                   VALUES (:id, '', 'OPEN_DAY', 'x', '', 'CONFIRMED', 'OPEN', 'ON_SITE', '[]', '[]', false, true, 1, 't', 0, 0)""",
                id=event_id,
            )
            asked: dict[str, Any] = {"since": now, "until": now + timedelta(days=30)}
            (row,) = await calendar.sessions(tx, now, calendar.Asked(), **asked)
            assert (row["held_count"], row["free_count"]) == (2, 3)
            await calendar.fold_sessions(tx, [Delivery(restated, calendar.SESSIONS_TOPIC, 0, 9)])
            (row,) = await calendar.sessions(tx, now, calendar.Asked(), **asked)
            assert (row["held_count"], row["free_count"]) == (0, 5)
