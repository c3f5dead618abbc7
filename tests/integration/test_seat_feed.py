"""The open feed of seats: split, conditional, readable from any site, in the field's words, without a person."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from common.testing import http_client
from tests.integration.conftest import Seats, declare, eventually
from tests.integration.forms import logged_in
from tests.integration.test_seats_pages import partner as partner_of


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


async def test_a_row_says_whose_word_it_is(seats: Seats, feed: httpx.AsyncClient) -> None:
    """By the API and by a table it is the structure's software, at the page and by a table there a person; a description changes neither."""
    structure_id, partner = await seats.structure()
    form = await logged_in(seats.stack, seats.url, "/mes-places", partner_of(structure_id))
    programme_id = await seats.programme(partner, 9, 2)

    async def says(source: str, way: str, by: str, total: int) -> None:
        async def there() -> bool:
            told = await programme_in(feed, "seat_status", programme_id)
            return bool(told.get("service_capacity", {}).get("maximum") == total)

        await eventually(there)
        told = await programme_in(feed, "seat_status", programme_id)
        assert told["declared"] == {"source": source, "way": way, "by": f"{by} de la structure, {_WAYS[way]}"}
        rows = (await feed.get("/api/seats")).json()["programmes"]
        (row,) = (row for row in rows if row["programme_id"] == str(programme_id))
        assert row["declared_by"] == told["declared"]["by"]
        page = await feed.get("/places", params={"n": "500"})
        assert f"Déclaré par {row['declared_by']}." in page.text

    def table(total: int) -> bytes:
        now = datetime.now(UTC).isoformat()
        return f"parcours;places;occupees;observe_le\n{programme_id};{total};2;{now}\n".encode()

    person, software = "une personne", "le logiciel"
    await says("SYSTEM", "HTTP", software, 9)
    sent = await form.send(f"/mes-places/{programme_id}", total_count="10", taken_count="2")
    assert sent.status_code == 303
    await says("PERSON", "PAGE", person, 10)
    body = {"title": "Un autre titre", "age_min": 15, "age_max": 25}
    assert (await partner.put(f"/v1/programmes/{programme_id}", json=body)).status_code == 200
    await says("PERSON", "PAGE", person, 10)
    answer = await partner.post("/v1/declarations/csv", content=table(11), headers={"Content-Type": "text/csv"})
    assert answer.status_code == 200
    await says("SYSTEM", "CSV", software, 11)
    uploaded = await form.upload("/mes-places/tableau", "file", table(12), step="send")
    assert uploaded.status_code == 200, uploaded.text
    await says("PERSON", "CSV", person, 12)


_WAYS = {"PAGE": "sur sa page", "CSV": "par un tableau", "HTTP": "par l’API"}


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
