"""Releases of figures: one after the other whoever publishes, none that the attack refuses, each Monday by the service's clock."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import date, timedelta
from uuid import uuid4

import pytest
from aiokafka import TopicPartition
from prometheus_client import CollectorRegistry
from sqlalchemy.exc import DBAPIError

import small_lakes
from common.embedded.stack import Stack
from common.runtime import Runtime
from common.testing import FreshRuntime, estuaire, service_named, set_clock
from dropout_observatory import publication
from dropout_observatory.indicators import publishing, releases
from dropout_observatory.indicators.definitions import definitions
from dropout_observatory.indicators.weekly import (
    OVERTAKEN,
    PUBLISHED,
    REFUSED,
    Weekly,
    WeeklyMetrics,
    in_a_child,
    monday_of,
)
from dropout_observatory.lake import ledger
from dropout_observatory.lake.files import Folder
from dropout_observatory.release import Cell, Dimension, Figure, Key, Release, Sum, Table
from tests.integration.lake import SERVICE


def made(number: int, known_on: str, previous: str | None, value: float = 40) -> Release:
    """A release of one number."""
    dimension = Dimension("level", "all", (Sum("all", ("a", "b")),))
    figures: dict[str, dict[Key, Figure]] = {"t": {("all",): Figure(value, number)}}
    return Release(
        number,
        known_on,
        previous,
        (dimension,),
        (Table("t", "cases/2026-2027", ("level",)),),
        figures=figures,
        definitions={"t": {"version": 1, "sha256": "…"}},
    )


@pytest.fixture
async def runtime(fresh_runtime: FreshRuntime) -> AsyncIterator[Runtime]:
    """The observatory's database."""
    async with fresh_runtime("dropout_observatory") as started:
        yield started


async def add(runtime: Runtime, release: Release) -> None:
    """Publishes as a process does, in a transaction of its own."""
    async with runtime.database.transaction() as tx:
        await releases.add(tx, release, await tx.now())


async def test_of_publishers_at_once_one_publishes(runtime: Runtime) -> None:
    """Twenty follow the same release, each with other numbers: one is the next, the others hear of it."""
    first = made(1, "2027-03-01", None)
    await add(runtime, first)
    rivals = [made(2, "2027-03-08", first.sha256, 40 + n) for n in range(20)]
    ends = await asyncio.gather(*(add(runtime, one) for one in rivals), return_exceptions=True)
    assert sorted(type(end).__name__ for end in ends) == ["NoneType"] + ["OvertakenError"] * 19
    async with runtime.database.transaction() as tx:
        last, texts, heads = await releases.latest(tx), await releases.all_texts(tx), await releases.heads(tx)
        assert await releases.text_of(tx, 2) == texts[1] and await releases.text_of(tx, 3) is None
    assert last == rivals[ends.index(None)] and texts == [first.text(), last.text()]
    assert [(head.number, head.previous) for head in heads] == [(1, None), (2, first.sha256)]
    assert heads[1].definitions == {"t": {"version": 1, "sha256": "…"}}


async def test_only_what_follows_is_added(runtime: Runtime) -> None:
    """Not a second first, not one after a gap, none of another past, none of a day that has one; the database says so itself too."""
    first = made(1, "2027-03-01", None)
    await add(runtime, first)
    wrong = [
        made(1, "2027-03-08", None),
        made(3, "2027-03-08", first.sha256),
        made(2, "2027-03-08", "0" * 64),
        made(2, "2027-03-01", first.sha256),
    ]
    for one in wrong:
        with pytest.raises(releases.OvertakenError):
            await add(runtime, one)
    for values in ("(2, '2027-03-08', 'x', 'nothing')", "(2, '2027-03-08', 'x', NULL)"):
        with pytest.raises(DBAPIError):
            async with runtime.database.transaction() as tx:
                await tx.execute(
                    f"""INSERT INTO published_release (number, known_on, sha256, previous, text, definitions, published_at)
                        SELECT v.*, '', '{{}}', now() FROM (VALUES {values}) AS v(n, d, s, p)""".replace(
                        "SELECT v.*", "SELECT v.n, v.d::date, v.s, v.p"
                    )
                )


# -- from the lake


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A lake of one school year."""
    made = Folder(str(tmp_path_factory.mktemp("lake")))
    small_lakes.written(made, small_lakes.drawn(random.Random(5), 120, 2025, 1).messages)
    return made


async def test_what_a_broken_publisher_lets_out_reaches_nobody(
    runtime: Runtime, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: one that withholds nothing. The attack names the cells, which are noted, and there is no release."""

    def let_out(head: Release, cells: Mapping[str, Mapping[Key, Cell]], *_: object) -> Release:
        shown = {
            name: {key: Figure(cell.people, head.number) for key, cell in one.items()} for name, one in cells.items()
        }
        return replace(head, figures=shown)

    chosen = {"cases-by-month": definitions()["cases-by-month"]}
    monkeypatch.setattr(publishing, "definitions", lambda: chosen)
    known = small_lakes.known_datasets()
    monkeypatch.setattr(publication, "protect", let_out)
    with pytest.raises(publishing.RefusedError, match="territory dep:61@2026"):
        await publishing.publish(runtime.database, folder, known, date(2026, 6, 1), print)
    async with runtime.database.transaction() as tx:
        assert await releases.latest(tx) is None
        (reasons,) = (await releases.refused(tx)).values()
    assert any("month" in reason and "everybody knows" in reason for reason in reasons)
    monkeypatch.undo()
    monkeypatch.setattr(publishing, "definitions", lambda: chosen)
    made = await publishing.publish(runtime.database, folder, known, date(2026, 6, 1), print)
    with pytest.raises(releases.OvertakenError):
        await publishing.publish(runtime.database, folder, known, date(2026, 6, 1), print)
    async with runtime.database.transaction() as tx:
        assert await releases.all_texts(tx) == [made.text()] and not await releases.refused(tx)


# To attack the tables of intercommunalities takes minutes where they are almost empty.
@pytest.mark.long
async def test_by_hand_and_by_the_weekly_process(stack: Stack, runtime: Runtime, folder: Folder) -> None:
    """Made, listed and attacked anew on the command line; the next by the process that the lake starts."""
    address = {"ESTUAIRE_DATABASE_URL": runtime.settings.database_url, "ESTUAIRE_LAKE_URL": folder.root}
    status, said = await estuaire(stack, SERVICE, "observatory", "release", "--known-on", "2030-01-07", **address)
    assert status == 1 and "has not begun" in said
    status, said = await estuaire(stack, SERVICE, "observatory", "release", "--known-on", "2026-06-01", **address)
    assert status == 0 and "release 1 of 2026-06-01" in said, said
    environment = {**stack.environment(service_named(stack, SERVICE)), **address, "ESTUAIRE_HTTP_PORT": "1"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        assert await in_a_child(date(2026, 6, 8)) == PUBLISHED
        assert await in_a_child(date(2026, 6, 8)) == OVERTAKEN
    status, said = await estuaire(stack, SERVICE, "observatory", "releases", **address)
    assert status == 0 and "2026-06-01" in said and "2026-06-08" in said, said
    status, said = await estuaire(stack, SERVICE, "observatory", "verify", **address)
    assert status == 0 and "2 releases follow each other" in said, said
    async with runtime.database.transaction() as tx:
        await tx.execute("UPDATE published_release SET text = replace(text, 'secret', '12') WHERE number = 2")
    status, said = await estuaire(stack, SERVICE, "observatory", "verify", **address)
    assert status == 1 and "release 2 is not as it was published" in said, said


# -- each Monday


async def reported(runtime: Runtime, days_ago: float) -> None:
    """A case that the database has since then."""
    case_id = uuid4()
    async with runtime.database.transaction() as tx:
        at = await tx.now() - timedelta(days=days_ago)
        await tx.execute(
            """INSERT INTO dropout_case (case_id, code, account, source, reported_at, last_news_at, likeness, epci_siren, state, version)
               VALUES (:id, :code, 'school', 'REFERENT', :at, :at, 'x', '200023414', 'reported', 1)""",
            id=case_id,
            code=case_id.hex[:10],
            at=at,
        )
        await tx.execute(
            """INSERT INTO case_facts (case_id, number, recorded_at, withdrawn, left_month, level_left, school_kind, age_band,
                   commune_code, epci_siren, department_code, geography_year, factors)
               VALUES (:id, 1, :at, false, '2026-09-01', 'CAP', 'CFA', 'AGE_17', '76540', '200023414', '76', 2026, ARRAY['WORK'])""",
            id=case_id,
            at=at,
        )


class Clockwork:
    """The weekly release with a log of one partition; what it has made, and how the next ends."""

    def __init__(self, runtime: Runtime) -> None:
        self.made: list[date] = []
        self.ends_with = PUBLISHED
        self.end = 0
        self.registry = CollectorRegistry()
        self._runtime = runtime
        self.weekly = Weekly(runtime.database, self._ends, WeeklyMetrics(self.registry), self._make)

    async def _ends(self) -> Mapping[TopicPartition, int]:
        return {TopicPartition("facts", 0): self.end}

    async def _make(self, known_on: date) -> int:
        self.made.append(known_on)
        if self.ends_with == PUBLISHED:
            async with self._runtime.database.transaction() as tx:
                last = await releases.latest(tx)
            number, previous = (last.number + 1, last.sha256) if last else (1, None)
            await add(self._runtime, made(number, known_on.isoformat(), previous))
        elif self.ends_with == REFUSED:
            async with self._runtime.database.transaction() as tx:
                await releases.refuse(tx, known_on, ["cases, territory dep:61@2026"], await tx.now())
        return self.ends_with


async def test_each_monday_once_and_no_week_is_made_up(runtime: Runtime, caplog: pytest.LogCaptureFixture) -> None:
    """By the database's clock, once the lake has what the log had; four weeks later there is one release and a word on the others."""
    clockwork = Clockwork(runtime)
    await clockwork.weekly.round()
    assert not clockwork.made, "nobody was known of"
    await reported(runtime, 30)
    clockwork.end = 7
    async with runtime.database.transaction() as tx:
        await ledger.begin(tx, {TopicPartition("facts", 0): 0})
    await clockwork.weekly.round()
    assert not clockwork.made, "the lake was behind"
    async with runtime.database.transaction() as tx:
        await ledger.advance(tx, TopicPartition("facts", 0), 0, 7)
        monday = monday_of(await tx.now())
    clockwork.end = 9  # What came later is not waited for.
    await clockwork.weekly.round()
    await clockwork.weekly.round()
    assert clockwork.made == [monday]
    clockwork.end = 7
    await set_clock(runtime, 28)
    await clockwork.weekly.round()
    assert clockwork.made == [monday, monday + timedelta(days=28)]
    assert "3 weeks" in caplog.text and "not made up" in caplog.text
    assert clockwork.registry.get_sample_value("estuaire_release_number") == 1
    await clockwork.weekly.round()
    assert clockwork.registry.get_sample_value("estuaire_release_number") == 2


async def test_what_the_attack_refuses_is_said_and_tried_a_week_later(
    runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    """Its cells are logged, the metric counts it, nothing is published; not again that week, also by a process that starts anew."""
    await reported(runtime, 30)
    clockwork = Clockwork(runtime)
    clockwork.ends_with = REFUSED
    await clockwork.weekly.round()
    await Clockwork(runtime).weekly.round()
    assert len(clockwork.made) == 1 and "dep:61@2026" in caplog.text
    assert clockwork.registry.get_sample_value("estuaire_releases_refused_total") == 1
    clockwork.ends_with = OVERTAKEN
    await set_clock(runtime, 7)
    await clockwork.weekly.round()
    assert len(clockwork.made) == 2
    async with runtime.database.transaction() as tx:
        assert await releases.heads(tx) == [] and len(await releases.refused(tx)) == 1
