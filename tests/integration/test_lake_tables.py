"""The lake's Iceberg tables: whatever happens, they come to say what the manifest says, over the same files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from common.embedded.stack import Stack
from common.testing import FreshRuntime, estuaire
from dropout_observatory.lake import ledger
from dropout_observatory.lake.files import Part
from dropout_observatory.lake.iceberg import catalogue_address, table_name
from tests.integration.lake import SERVICE, Lake

HELD, DECLARED = (f"estuaire.remediation_seats.{name}" for name in ("SeatHeld", "SeatsDeclared"))


@pytest.fixture
async def lake(stack: Stack, fresh_runtime: FreshRuntime, tmp_path: Path) -> AsyncIterator[Lake]:
    """A lake of two records of one topic."""
    async with fresh_runtime("dropout_observatory") as runtime:
        yield await Lake.make(stack, runtime, tmp_path / "lake", HELD, DECLARED)


async def parts(lake: Lake) -> list[Part]:
    """The files that count."""
    async with lake.runtime.database.transaction() as tx:
        return await ledger.parts(tx)


def agree(lake: Lake, address: str | None = None) -> bool:
    """Whether the tables name the manifest's files and no other, and all rows can be read by them."""
    manifest = lake.folder.manifest()
    found = {name: len(lake.rows_of_table(table_name(name), address)) for name in manifest["datasets"]}
    return not lake.tables(address).differences(manifest) and found == {
        name: entry["row_count"] for name, entry in manifest["datasets"].items()
    }


async def test_tables_say_what_the_manifest_says(lake: Lake) -> None:
    """After lots and after a merge, with the values of every type; a file is named once, and those merged no more."""
    held = await lake.published(HELD, 40)
    await lake.written()
    assert agree(lake)
    for _ in range(7):
        held += await lake.published(HELD, 12)
        await lake.written()
        assert agree(lake)
    few = lake.folder.found()
    await lake.written()
    assert lake.folder.found() != few and agree(lake)
    rows = {row["event_id"]: row for row in lake.rows_of_table("seat_held")}
    assert rows.keys() == {value["event_id"] for value in held}
    assert all(rows[value["event_id"]]["seats"]["free_count"] == value["seats"]["free_count"] for value in held)


async def test_a_field_that_a_contract_gains(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table has the column as soon as the lake knows the contract, and nothing where nobody wrote it."""
    newest = lake.datasets[DECLARED]
    lake.datasets[DECLARED] = replace(newest, versions=newest.versions[:1])
    await lake.published(DECLARED, 5, version=1)
    await lake.written()
    assert "source" not in lake.rows_of_table("seats_declared")[0]
    lake.datasets[DECLARED] = newest
    await lake.published(DECLARED, 4, source="PERSON")
    with monkeypatch.context() as before_the_merge:
        before_the_merge.setattr("dropout_observatory.lake.sink.to_merge", lambda *_: [])
        await lake.written()
    assert {Path(path).name.rpartition(".v")[2] for path in lake.folder.found()} == {"1.parquet", "2.parquet"}
    # Until the merge, which the new writer begins with, pyiceberg itself cannot put both into one Arrow table; Spark can.
    table = SqlCatalog("estuaire", uri=catalogue_address(None, lake.folder)).load_table(("lake", "seats_declared"))
    assert table.scan().count() == 9 and "source" in table.schema().column_names
    assert not lake.tables().differences(lake.folder.manifest())
    await lake.written()
    found = [row["source"] for row in lake.rows_of_table("seats_declared")]
    assert agree(lake) and (found.count(None), len(found)) == (5, 9)


async def test_without_its_catalogue_the_lake_goes_on(lake: Lake, tmp_path: Path) -> None:
    """What is written meanwhile, and merged, is in the tables once the catalogue is back; until then no file goes that they name."""
    address = f"sqlite:///{tmp_path}/elsewhere/catalogue.db"
    (tmp_path / "elsewhere").mkdir()
    for _ in range(8):
        await lake.published(HELD, 12)
        await lake.written(tables=lake.tables(address))
    before = lake.folder.found().keys()
    (tmp_path / "elsewhere").rename(tmp_path / "away")
    tables = lake.tables(address)
    await lake.written(tables=tables)
    assert "unable to open" in tables.problem
    counted = {part.path for part in await parts(lake)}
    assert counted and not counted & before and lake.folder.found().keys() == before | counted
    (tmp_path / "away").rename(tmp_path / "elsewhere")
    assert [entry.extra_count for entry in lake.tables(address).differences(lake.folder.manifest())] == [len(before)]
    await lake.written(tables=tables)
    assert not tables.problem and agree(lake, address) and lake.folder.found().keys() == counted


async def test_a_catalogue_in_postgresql(lake: Lake) -> None:
    """Any that SQLAlchemy knows does as well."""
    address = lake.runtime.settings.database_url.replace("+asyncpg", "+psycopg")
    for _ in range(2):
        await lake.published(HELD, 12)
        await lake.written(tables=lake.tables(address))
        assert agree(lake, address)
    assert not (Path(lake.folder.root) / "catalog.db").exists()


async def test_what_was_overtaken_is_refused(lake: Lake) -> None:
    """Two writers at once: the one that was second at the catalogue changes nothing, and then sees what the first wrote."""
    await lake.published(HELD, 12)
    await lake.written()
    slow, old = lake.tables(), await parts(lake)
    await slow.load()
    await lake.published(HELD, 12)
    await lake.written()
    assert not await slow.follow(old[1:]) and slow.problem
    assert agree(lake)
    await slow.load()
    assert await slow.follow(await parts(lake)) and not slow.problem


async def test_tables_whose_files_are_lost_are_made_anew(lake: Lake) -> None:
    """They say nothing that the database does not."""
    await lake.published(HELD, 12)
    await lake.written()
    for path in Path(lake.folder.root).glob("_iceberg/seat_held/metadata/*.json"):
        path.unlink()
    await lake.written()
    assert agree(lake)


async def test_what_tables_said_long_ago_is_forgotten(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of old states go, the table stays."""
    for _ in range(4):
        await lake.published(HELD, 4)
        await lake.written()
    metadata = Path(lake.folder.root) / "_iceberg/seat_held/metadata"
    many = len(list(metadata.glob("snap-*")))
    monkeypatch.setattr("dropout_observatory.lake.iceberg._SNAPSHOT_HOURS", -1)
    await lake.written()
    assert many == 4 and len(list(metadata.glob("snap-*"))) == 1 and agree(lake)


async def test_operators_see_whether_tables_agree(lake: Lake) -> None:
    """`estuaire lake verify` says so, and names the table that does not."""
    address = {"ESTUAIRE_LAKE_URL": lake.folder.root}
    await lake.published(HELD, 12)
    await lake.written(tables=lake.tables(""))
    status, said = await estuaire(lake.stack, SERVICE, "lake", "verify", **address)
    assert status == 0 and "no Iceberg tables" in said
    await lake.written()
    status, said = await estuaire(lake.stack, SERVICE, "lake", "verify", **address)
    assert status == 0 and "the Iceberg tables name the same files" in said
    await lake.published(HELD, 12)
    await lake.written(tables=lake.tables(""))
    status, said = await estuaire(lake.stack, SERVICE, "lake", "verify", **address)
    assert status == 1 and "seat_held: 4 files are missing, 0 are too many" in said
