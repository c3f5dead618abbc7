"""The season of cafés in the projections: the fold of the raw topic before and after a rebuild, its figures, the calendar, its live page."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from playwright.async_api import Browser, expect

from common.embedded.stack import Stack
from common.testing import FreshRuntime, Query, http_client, url_of
from common.verdicts import Delivery
from projections import cafe_season
from projections.messages import CafeHeld, CafeSeatsOffered, HouseholdsRestated
from tests.integration.browsing import WIDTHS, assert_accessible, opened
from tests.integration.cafes import SERVICE, TOPIC, Cafes
from tests.integration.conftest import eventually
from tests.integration.referee import read_topic
from tests.integration.test_cafes import cafes_token
from tests.integration.test_rebuild import rebuild

# Granville, whose intercommunality no other test fills.
_TOWN, _EPCI = "50218", "200042604"


async def registered(family: httpx.AsyncClient, cafes: Cafes, cafe_id: UUID, parents: int) -> dict[str, Any]:
    """A household that is verified and has its seats, or waits."""
    body = {"email": f"s-{uuid4().hex[:8]}@example.org", "seat_count": parents}
    asked = await family.post(f"/v1/cafes/{cafe_id}/requests", json=body)
    token = cafes_token(cafes, asked.json()["request_id"])
    made = await family.post(f"/v1/requests/{token}/confirmation", json={})
    assert made.status_code == 201, made.text
    return dict(made.json())


async def some_life(cafes: Cafes) -> tuple[UUID, UUID]:
    """A full café in Granville with one in line, and one that is called off."""
    hour = 8 + uuid4().int % 12
    async with await cafes.coordinator() as coordinator, cafes.family() as family:
        cafe_id = await cafes.cafe(coordinator, commune_code=_TOWN, on=21, hour=hour, capacity_count=3, theme="TRADES")
        gone = await cafes.cafe(coordinator, commune_code=_TOWN, on=22, hour=hour)
        for parents in (1, 2, 2):
            await registered(family, cafes, cafe_id, parents)
        assert (await coordinator.post(f"/v1/cafes/{gone}/cancellation")).status_code == 200
    return cafe_id, gone


def folded(records: Any) -> dict[str, dict[str, Any]]:
    """By the raw log: each café's version, status and counts."""
    statuses = {"CafeConfirmed": "CONFIRMED", "CafeMerged": "MERGED", "CafeCancelled": "CANCELLED", "CafeHeld": "HELD"}
    found: dict[str, dict[str, Any]] = {}
    for record in records:
        fields = record.fields
        row = found.setdefault(record.key, {"version": 0, "registered_count": 0, "waiting_count": 0})
        if fields["aggregate_version"] <= row["version"]:
            continue
        row["version"] = fields["aggregate_version"]
        row |= {name: fields[name] for name in ("registered_count", "waiting_count") if name in fields}
        row["status"] = fields.get("status") or statuses.get(record.name, row.get("status"))
        if record.name in ("CafeMerged", "CafeCancelled"):
            row |= {"registered_count": 0, "waiting_count": 0}
    return found


async def kept(query: Query) -> dict[str, dict[str, Any]]:
    """The same from the read model."""
    names = ("registered_count", "waiting_count", "status")
    return {
        str(row.cafe_id): {"version": row.aggregate_version, **{name: getattr(row, name) for name in names}}
        for row in await query("projections", "SELECT * FROM season_cafe")
    }


async def test_the_season_is_the_fold_of_the_log_before_and_after_a_rebuild(
    stack: Stack, cafes: Cafes, query: Query
) -> None:
    """Every café's status and counts; then the same rows from the first offset."""
    await some_life(cafes)

    async def published() -> bool:
        rows = await query(SERVICE, "SELECT count(*) AS n FROM outbox WHERE published_at IS NULL")
        return bool(rows[0].n == 0)

    await eventually(published)
    expected = folded(await asyncio.to_thread(read_topic, stack, TOPIC))

    async def same() -> bool:
        return await kept(query) == expected

    await eventually(same)
    status, said = await rebuild(stack, model="cafe-season")
    assert status == 0 and "is switched" in said, said
    assert await kept(query) == expected


async def test_figures_by_territory_and_theme_and_cafes_in_the_calendar(stack: Stack, cafes: Cafes) -> None:
    """Seats and those who wait where they are; nobody is counted below eleven; the calendar has cafés by kind, and who subscribes too."""
    cafe_id, gone = await some_life(cafes)
    async with (
        http_client(base_url=url_of(stack, "projections")) as client,
        cafes.family() as family,
    ):
        shown = (await family.get(f"/v1/cafes/{cafe_id}")).json()
        period = f"{shown['school_year']}-{shown['period']}"
        query = {"periode": period, "territoire": _EPCI, "theme": "TRADES"}

        async def read() -> dict[str, Any]:
            return dict((await client.get("/api/cafe-season", params=query)).json())

        async def heard() -> bool:
            found = await read()
            mine = [one for one in found["cafes"] if one["cafe_id"] == str(cafe_id)]
            return bool(mine and mine[0]["waiting_count"] == 2)

        await eventually(heard)
        found = await read()
        assert list(found["by_epci"]) == [_EPCI] and found["attended_count"] is None and found["fictitious"]
        assert found["by_epci"][_EPCI]["taken_count"] == 3 * len(found["cafes"])
        assert [one["code"] for one in found["by_theme"]] == ["TRADES"]
        assert "household" not in str(found) and found["as_of"]
        month = shown["starts_at"][:7]
        days = {"mois": month, "genre": "PARENTS_CAFE", "territoire": _EPCI}
        calendar = (await client.get("/api/calendar", params=days)).json()
        ids = {one["session_id"] for one in calendar["sessions"]}
        assert str(cafe_id) in ids and str(gone) not in ids
        text = (await client.get("/calendrier.ics", params=days)).text
        assert str(cafe_id) in text and "STATUS:CANCELLED" in text
        answer = await client.get(f"/cafe/{cafe_id}")
        assert answer.status_code == 303 and answer.headers["location"] == f"{cafes.url}/cafes/{cafe_id}"
        for rubbish in ("x", "2026-2027-NEVER", "-", "9999-0000-OCTOBER", "%00"):
            assert (await client.get(f"/saison-cafes?periode={rubbish}")).status_code == 200


@pytest.mark.parametrize("width", WIDTHS)
async def test_the_page_moves_by_itself_and_is_accessible(
    stack: Stack, cafes: Cafes, browser: Browser, width: int
) -> None:
    """A registration is on the page without a reload; both widths; whole without JavaScript."""
    cafe_id, _ = await some_life(cafes)
    async with cafes.family() as family, await cafes.coordinator() as coordinator:
        shown = (await family.get(f"/v1/cafes/{cafe_id}")).json()
        address = f"{url_of(stack, 'projections')}/saison-cafes?periode={shown['school_year']}-{shown['period']}"
        hour = 8 + uuid4().int % 12
        other = await cafes.cafe(coordinator, commune_code=_TOWN, on=23, hour=hour, capacity_count=17)
        async with opened(browser, width) as page:
            await page.goto(f"{address}&territoire={_EPCI}")
            await expect(page.get_by_text("0 / 17").first).to_be_visible()
            await assert_accessible(page)
            await registered(family, cafes, other, 2)
            await expect(page.get_by_text("2 / 17").first).to_be_visible()
            # The calendar moves with cafés too, though it begins with events.
            month = (await family.get(f"/v1/cafes/{other}")).json()["starts_at"][:7]
            await page.goto(
                f"{url_of(stack, 'projections')}/calendrier?genre=PARENTS_CAFE&territoire={_EPCI}&mois={month}"
            )
            await expect(page.get_by_text("15 places libres sur 17").first).to_be_visible()
            await registered(family, cafes, other, 1)
            await expect(page.get_by_text("14 places libres sur 17").first).to_be_visible()
        async with opened(browser, width, javascript=False) as page:
            await page.goto(address)
            await expect(page.get_by_role("heading", name="Par thème")).to_be_visible()


def delivered(message: Any, offset: int = 1) -> Delivery:
    """A message as the consumer hands it over."""
    return Delivery(message, TOPIC, 0, offset)


async def test_an_offer_that_lapsed_takes_nothing_and_a_restated_cafe_has_none(fresh_runtime: FreshRuntime) -> None:
    """Derived when read, from the instant in the message."""
    before: dict[str, Any] = {"offers": {}}
    offered = CafeSeatsOffered.model_validate(
        {
            "registration_id": str(uuid4()),
            "household_id": str(uuid4()),
            "seat_count": 2,
            "expires_at": "2027-01-01T00:00:00Z",
            "registered_count": 1,
            "offered_count": 2,
            "waiting_count": 0,
        }
    )
    row = cafe_season.apply(before, delivered(offered))
    assert row["offers"][str(offered.registration_id)]["seats"] == 2
    counts = {"registered_count": 1, "offered_count": 0, "waiting_count": 0}
    again = HouseholdsRestated(registration_ids=[], held=True, attended_count=1, **counts)
    assert cafe_season.apply(before | row, delivered(again)) | {} == {
        **counts,
        "status": "HELD",
        "offers": {},
        "attended_count": 1,
    }
    assert cafe_season.apply(before, delivered(CafeHeld(attended_count=None)))["was_counted"] is False
    async with fresh_runtime("projections") as made, made.database.transaction() as tx:
        await cafe_season.fold(tx, [delivered(offered)])
        assert await tx.fetch_all("SELECT 1 FROM season_cafe") == [], "of a café without a beginning nothing is known"
