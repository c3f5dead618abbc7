"""The public pages of the indicators, of a release that the real publisher made: every way says the same, and what is withheld nowhere."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import random
from datetime import date
from pathlib import Path
from typing import Any

import polars
import pytest
from playwright.async_api import Browser

import small_lakes
from common.embedded.stack import Stack
from common.testing import FreshRuntime, Query, http_client, url_of
from dropout_observatory.indicators import publishing, shown
from dropout_observatory.indicators.catalogue import label
from dropout_observatory.indicators.definitions import definitions
from dropout_observatory.lake.files import Folder
from dropout_observatory.release import Key, Release
from tests.integration.browsing import WIDTHS, assert_accessible, opened
from tests.integration.lake import SERVICE

DAY, YEAR = date(2026, 6, 1), "2025-2026"
# By department: small enough to be protected within seconds.
NAMES = ("cases-by-month", "first-offer-delay", "free-seats", "event-groups")
PUBLISHED = (*NAMES, "cases-waiting", "event-priority")


@pytest.fixture
async def release(
    stack: Stack, fresh_runtime: FreshRuntime, query: Query, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Release:
    """The release that the running service shows: published by the real publisher in a database beside, once."""
    known = await query(SERVICE, "SELECT text FROM published_release")
    if known:
        return Release.read(known[0].text)
    folder = Folder(str(tmp_path / "lake"))
    small_lakes.written(folder, small_lakes.drawn(random.Random(7), 400, 2025, 1).messages)
    monkeypatch.setattr(publishing, "definitions", lambda: {name: definitions()[name] for name in PUBLISHED})
    async with fresh_runtime("dropout_observatory") as runtime:
        made = await publishing.publish(runtime.database, folder, small_lakes.known_datasets(), DAY, print)
        async with runtime.database.transaction() as tx:
            (row,) = await tx.fetch_all("SELECT * FROM published_release")
    await query(
        SERVICE,
        """INSERT INTO published_release (number, known_on, sha256, previous, text, definitions, published_at)
           VALUES (:number, :known_on, :sha256, :previous, :text, CAST(:definitions AS jsonb), :published_at)""",
        **{**row._mapping, "definitions": json.dumps(row.definitions)},
    )
    return made


def view_of(release: Release, name: str) -> shown.View:
    """An indicator of the release, as the pages read it."""
    found = shown.view(definitions()[name], release, {release.number: "S22"}, YEAR)
    assert found is not None
    return found


async def test_before_the_first_release(stack: Stack, query: Query, browser: Browser) -> None:
    """The pages say that there is none, and promise no day; software is told so with a reason."""
    await query(SERVICE, "DELETE FROM published_release")
    url = url_of(stack, SERVICE)
    async with opened(browser, 390) as page:
        for path in ("/indicateurs", "/indicateurs/cases-by-month", "/"):
            await page.goto(f"{url}{path}")
            await assert_accessible(page)
        await page.goto(f"{url}/indicateurs")
        assert "Aucun relevé n’est encore publié" in await page.inner_text("main")
    async with http_client(base_url=url) as client:
        assert (await client.get("/v1/indicators")).json()["release"] is None
        assert (await client.get("/v1/releases")).json() == {"releases": []}
        missing = await client.get("/v1/indicators/cases-by-month")
        assert (missing.status_code, missing.json()["reason"]) == (404, "no_release")


@pytest.mark.parametrize("name", NAMES)
async def test_every_way_says_the_same_and_nothing_withheld(
    stack: Stack, release: Release, browser: Browser, name: str
) -> None:
    """Page, JSON, CSV and Parquet have each number of the frozen text, and where it is withheld the word."""
    view, url = view_of(release, name), url_of(stack, SERVICE)
    assert len(view.figures) > view.secret_count and bool(view.secret_count) == name.startswith(("cases", "first"))
    truth = {key: figure.value for key, figure in view.figures.items()}
    asked: dict[str, Any] = {"release": release.number, "school_year": YEAR}
    async with http_client(base_url=url) as client:
        told = (await client.get(f"/v1/indicators/{name}", params=asked)).json()
        table = (await client.get(f"/v1/indicators/{name}.csv", params=asked)).text
        parquet = (await client.get(f"/v1/indicators/{name}.parquet", params=asked)).content
    (one,) = told["tables"]
    cells = {tuple(cell["at"]): cell["value"] for cell in one["cells"]}
    assert cells == {key: "secret" if value is None else value for key, value in truth.items()}
    lines = list(csv.DictReader(io.StringIO(table.removeprefix("\ufeff")), delimiter=";"))
    assert {_key(view, line): line["value"] for line in lines} == {
        key: "" if value is None else f"{value:g}" for key, value in truth.items()
    }
    rows = polars.read_parquet(io.BytesIO(parquet)).to_dicts()
    assert {_key(view, row): row["value"] for row in rows} == truth
    assert all((row["status"] == "secret") == (row["value"] is None) for row in rows)
    async with opened(browser) as page:
        await page.goto(f"{url}/indicateurs/{name}?annee={YEAR}")
        read = await page.evaluate(
            "[...document.querySelectorAll('.all tbody tr:not(.grp)')].map(r => [...r.cells].map(c => c.innerText.trim()))"
        )
    expected = [row for _, rows in shown.sections(view) for row in rows]
    assert [line[0] for line in read] == [row.label for row in expected]
    for line, row in zip(read, expected, strict=True):
        for text, figure in zip(line[1 : 1 + len(row.figures)], row.figures, strict=True):
            assert text == ("secret" if figure.value is None else shown.number(figure.value)), (row.label, text)


async def test_free_seats_stand_beside_those_who_wait(stack: Stack, release: Release, browser: Browser) -> None:
    """By intercommunality: in the table, on the map, in words where both are, and for programs; who waits in secret stays secret."""
    url, seats, waiting = url_of(stack, SERVICE), view_of(release, "free-seats"), view_of(release, "cases-waiting")
    wait = {code: waiting.at(territory=code, path="waiting").value for code in seats.codes("reach")}
    free = {code: seats.at(reach=code).value for code in wait}
    both = {label("reach", code) for code in wait if code != "region" and wait[code] and free[code]}
    assert both and None in wait.values()
    async with http_client(base_url=url) as client:
        (table,) = (await client.get("/v1/indicators/free-seats", params={"school_year": YEAR})).json()["tables"]
    told = {one["at"]: one["value"] for one in table["waiting"]}
    assert told == {code: "secret" if value is None else value for code, value in wait.items()}
    async with opened(browser) as page:
        await page.goto(f"{url}/indicateurs/free-seats")
        column = await page.evaluate(
            "[...document.querySelectorAll('.all tbody tr:not(.grp)')].map(r => [r.cells[0], r.cells[2]].map(c => c.innerText.trim()))"
        )
        on_map = await page.evaluate(
            "Object.fromEntries([...document.querySelectorAll('#carte [data-e]')].map(e => [e.dataset.e, e.dataset.t]))"
        )
        named = await page.locator("section:has(#h-plot) tbody th").all_inner_texts()
    words = {code: "secret" if value is None else shown.number(value) for code, value in wait.items()}
    assert column == [[label("reach", code), words[code]] for code in wait]
    assert set(named) == both
    for code, text in words.items():
        if siren := shown.siren_of(code):
            assert on_map[siren] == f"{shown.number(free[code] or 0)} places libres à portée ; en attente : {text}"


def _key(view: shown.View, line: dict[str, Any]) -> Key:
    """The codes of a line of a table."""
    return tuple(line[name] for name in view.table.dimensions)


async def test_a_release_is_frozen_and_its_bytes_are_what_it_says(stack: Stack, release: Release) -> None:
    """The text has the hash that the chain tells; who has a copy is told that nothing moved; what is not there is a clear 404."""
    async with http_client(base_url=url_of(stack, SERVICE)) as client:
        (head,) = (await client.get("/v1/releases")).json()["releases"]
        text = await client.get(f"/v1/releases/{release.number}")
        assert hashlib.sha256(text.content).hexdigest() == head["sha256"] == release.sha256
        for path in (f"/v1/releases/{release.number}", "/v1/indicators", "/v1/indicators/cases-by-month.csv"):
            first = await client.get(path)
            again = await client.get(path, headers={"If-None-Match": first.headers["etag"]})
            assert (first.status_code, again.status_code, again.content) == (200, 304, b""), path
        for path, reason in (
            ("/v1/releases/9", "unknown_release"),
            ("/v1/indicators/nothing", "unknown_indicator"),
            ("/v1/indicators/cases-by-month?release=9", "unknown_release"),
            ("/v1/indicators/cases-by-month?school_year=1999-2000", "not_in_release"),
        ):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["reason"]) == (404, reason), path
        for path in ("/indicateurs/nothing", "/indicateurs?releve=9", "/indicateurs/cases-by-month?annee=1999-2000"):
            assert (await client.get(path)).status_code == 404, path


@pytest.mark.long
@pytest.mark.parametrize("width", WIDTHS)
async def test_whoever_comes_reads_the_indicators(stack: Stack, release: Release, browser: Browser, width: int) -> None:
    """Without a login, on a phone and a desk: the list, each indicator, the dictionary, the first page."""
    url = url_of(stack, SERVICE)
    async with opened(browser, width) as page:
        for path in ("/indicateurs", *(f"/indicateurs/{name}" for name in NAMES), "/dictionnaire", "/"):
            await page.goto(f"{url}{path}")
            await assert_accessible(page)
        await page.goto(f"{url}/")
        await page.get_by_role("link", name=definitions()["first-offer-delay"].title).first.click()
        assert await page.inner_text("h1") == definitions()["first-offer-delay"].title
