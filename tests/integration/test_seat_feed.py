"""The open feed of seats: split, conditional, readable from any site, in the field's words, without a person."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from common.testing import http_client
from tests.integration.conftest import Seats, declare, eventually


@pytest.fixture
async def feed(stack_urls: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    """A client of another site."""
    headers = {"Origin": "https://elsewhere.example"}
    async with http_client(base_url=stack_urls["projections"], headers=headers) as client:
        yield client


async def programme_in(feed: httpx.AsyncClient, name: str, programme_id: Any) -> dict[str, Any]:
    """One programme of a part; empty while it is not there."""
    content = (await feed.get(f"/feed/{name}.json")).json()
    return next((p for p in content["data"]["programmes"] if p["programme_id"] == str(programme_id)), {})


async def test_the_two_parts_tell_one_programme(seats: Seats, feed: httpx.AsyncClient) -> None:
    """What it is, and its seats now; a declaration changes the status alone."""
    _, partner = await seats.structure()
    programme_id = await seats.programme(partner, 9, 2)

    async def there() -> bool:
        return bool(
            (await programme_in(feed, "seat_status", programme_id)).get("service_capacity", {}).get("available")
        )

    await eventually(there)
    index = (await feed.get("/feed/seats.json")).json()
    assert [part["name"] for part in index["data"]["feeds"]] == ["seat_information", "seat_status"]
    for part in index["data"]["feeds"]:
        answer = await feed.get(part["url"])
        assert answer.status_code == 200 and {"version", "last_updated", "ttl", "data"} <= answer.json().keys()
    told = await programme_in(feed, "seat_information", programme_id)
    assert told["structure"]["commune_code"] == "76540" and told["eligibility"]["minimum_age"] == 15
    assert (await programme_in(feed, "seat_status", programme_id))["status"] == "free"
    before = (await feed.get("/feed/seat_information.json")).headers["etag"]
    await declare(partner, programme_id, 9, 9)

    async def busy() -> bool:
        return bool((await programme_in(feed, "seat_status", programme_id))["status"] == "busy")

    await eventually(busy)
    assert (await feed.get("/feed/seat_information.json")).headers["etag"] == before


async def test_it_is_conditional_and_open_to_any_site(feed: httpx.AsyncClient) -> None:
    """304 while nothing changed; CORS for scripts, with the preflight of a conditional request."""
    first = await feed.get("/feed/seat_information.json")
    assert first.headers["access-control-allow-origin"] == "*" and "max-age=3600" in first.headers["cache-control"]
    again = await feed.get("/feed/seat_information.json", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    asked = await feed.options("/feed/seat_information.json")
    assert asked.status_code == 204 and "If-None-Match" in asked.headers["access-control-allow-headers"]
    assert (await feed.get("/feed/nothing.json")).status_code == 422


async def test_no_person_and_no_contact_is_in_it(seats: Seats, feed: httpx.AsyncClient) -> None:
    """A hold changes numbers; neither code, id nor address of anybody appears."""
    _, partner = await seats.structure()
    programme_id = await seats.programme(partner, 9, 2)
    async with await seats.client("feed-prescriber", "prescriber") as prescriber:
        held = (await prescriber.post("/v1/holds", json={"programme_id": str(programme_id), "age": 17})).json()

    async def seen() -> bool:
        return (await programme_in(feed, "seat_status", programme_id)).get("held") == 1

    await eventually(seen)
    text = "".join([(await feed.get(f"/feed/{name}.json")).text for name in ("seat_information", "seat_status")])
    for secret in (held["young_person_code"], held["hold_id"], "feed-prescriber", "@"):
        assert secret not in text
