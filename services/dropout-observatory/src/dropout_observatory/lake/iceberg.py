"""The same files as Iceberg tables, for Trino, Spark and whoever reads such tables; a table says again what the ledger says.

No row is written twice and none read: a table names the files of the lake. It follows the ledger and is never asked what
the lake has, so that a catalogue which is away, or a kill anywhere, costs nothing but the time until it follows again.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from common import failpoints
from dropout_observatory.lake.columns import Dataset
from dropout_observatory.lake.files import Folder, Part

if TYPE_CHECKING:  # a second to import, and of no use to a lake without tables
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

# Bytes and rows of each file by its address: what an engine reads it by.
Files = dict[str, tuple[int, int]]

_log = logging.getLogger(__name__)
# `estuaire.lake.seat_held`: the catalogue's name, the namespace, the table.
CATALOGUE, NAMESPACE = "estuaire", "lake"
_FOLDER, _SQLITE = "_iceberg", "catalog.db"
# Who reads an older state of a table has so long to come to an end; the files of a merge go at once.
_SNAPSHOT_HOURS = 1
_PROPERTIES = {
    "format-version": "2",
    "commit.manifest-merge.enabled": "true",
    # Who was overtaken reads the ledger anew: what it had in hand may be older than what the other one wrote.
    "commit.retry.num-retries": "0",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "10",
}


def catalogue_address(given: str | None, folder: Folder) -> str:
    """SQLAlchemy's address of the catalogue: as given, else SQLite beside a local lake; empty where there are no tables."""
    if given is not None:
        return given
    return f"sqlite:///{folder.full(_SQLITE)}" if folder.is_local else ""


def table_name(dataset: str) -> str:
    """`seat_held` of `SeatHeld`: Trino knows lower case only."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", dataset).lower()


@dataclass(frozen=True)
class Disagreement:
    """A table that does not say what the manifest says: how many files it lacks, and how many it has too many."""

    table: str
    missing_count: int
    extra_count: int


class Tables:
    """The tables of one lake, by their catalogue; `follow` is called by the lake's one writer."""

    def __init__(self, address: str, folder: Folder, datasets: Mapping[str, Dataset]) -> None:
        """`address` is SQLAlchemy's, such as `postgresql+psycopg://…`; with an empty one nothing is ever done."""
        self._address = address
        self._folder = folder
        # By the table's name, as everything here.
        self._datasets = {table_name(dataset.name): dataset for dataset in datasets.values()}
        self._catalog: SqlCatalog | None = None
        self._tables: dict[str, Table] = {}
        # Whose columns were seen to.
        self._shaped: set[str] = set()
        self._files: dict[str, Files] = {}
        # Why the tables are behind, for whoever looks; empty while they follow.
        self.problem = ""

    async def load(self) -> None:
        """Reads what the tables say, unless it is known. Before the ledger is read: what is compared is then never newer."""
        if not self._address or self._catalog is not None:
            return
        try:
            await asyncio.to_thread(self._load)
        except Exception as error:  # whatever a catalogue may answer: the lake goes on without
            self._stand_back(error)

    async def follow(self, parts: Sequence[Part]) -> bool:
        """Each table names these files and no other, by one transaction each; whether all do now."""
        if not self._address:
            return True
        if self._catalog is None:
            return False
        wanted = self._by_table(parts)
        try:
            for name in sorted(wanted.keys() & self._datasets.keys() | self._tables.keys()):
                if await asyncio.to_thread(self._follow, name, wanted.get(name, {})) and failpoints.ARMED:
                    await failpoints.reach("lake.after_table")
        except Exception as error:
            self._stand_back(error)
            return False
        self.problem = ""
        return True

    async def tidy(self) -> None:
        """Forgets what the tables said long ago, and takes away the files that said it."""
        try:
            for name in sorted(self._tables):
                await asyncio.to_thread(self._tidy, name)
        except Exception as error:
            self._stand_back(error)

    def exist(self) -> bool:
        """Whether there is a catalogue to ask."""
        beside = catalogue_address(None, self._folder)
        return bool(self._address) and (
            self._address != beside or self._folder.filesystem.exists(self._folder.full(_SQLITE))
        )

    def differences(self, manifest: Mapping[str, Any]) -> list[Disagreement]:
        """Tables that do not name the files of this manifest; changes nothing, raises what the catalogue raises."""
        has = {name: files for name, _, files in self._read(self._open(init_catalog_tables="false"))}
        found = []
        for record, entry in sorted(manifest["datasets"].items()):
            name = table_name(record)
            should = {
                self._folder.uri(file["path"]): (file["byte_count"], file["row_count"]) for file in entry["files"]
            }
            missing, extra = should.items() - has.get(name, {}).items(), has.get(name, {}).items() - should.items()
            if missing or extra:
                found.append(Disagreement(name, len(missing), len(extra)))
        return found

    def _stand_back(self, error: Exception) -> None:
        if not self.problem:
            _log.warning("the Iceberg tables are behind, the lake goes on: %s", error)
        self.problem = str(error) or type(error).__name__
        self._catalog, self._tables, self._files, self._shaped = None, {}, {}, set()

    def _by_table(self, parts: Sequence[Part]) -> dict[str, Files]:
        found: dict[str, Files] = {}
        for part in parts:
            found.setdefault(table_name(part.dataset), {})[self._folder.uri(part.path)] = (
                part.byte_count,
                part.row_count,
            )
        return found

    def _open(self, **properties: str) -> SqlCatalog:
        from pyiceberg.catalog.sql import SqlCatalog

        # It says of each enum of each file that it will be read as text, which is what is wanted.
        logging.getLogger("pyiceberg.io.pyarrow").setLevel(logging.ERROR)
        return SqlCatalog(CATALOGUE, uri=self._address, warehouse=self._folder.uri(_FOLDER), **properties)

    def _read(self, catalog: SqlCatalog) -> Iterator[tuple[str, Table | None, Files]]:
        """Every table and the files that it names; None for one whose own files are lost."""
        for _, name in catalog.list_tables(NAMESPACE):
            try:
                table = catalog.load_table((NAMESPACE, name))
                files = {task.file.file_path: _size(task.file) for task in table.scan().plan_files()}
            except FileNotFoundError:
                yield name, None, {}
            else:
                yield name, table, files

    def _load(self) -> None:
        catalog = self._open()
        catalog.create_namespace_if_not_exists(NAMESPACE)
        for name, table, files in self._read(catalog):
            if table is None:
                # The lake was moved, or the power was cut. A table says nothing that the ledger does not: it is made anew.
                catalog.drop_table((NAMESPACE, name))
            else:
                self._tables[name], self._files[name] = table, files
        self._catalog = catalog

    def _follow(self, name: str, wanted: Files) -> bool:
        """Makes one table say what is wanted, by one commit of the catalogue; whether it did not yet."""
        if name in self._datasets and name not in self._shaped:
            self._shape(name, self._datasets[name])
        table, has = self._tables[name], self._files[name]
        gone = {path for path, size in has.items() if wanted.get(path) != size}
        new = [path for path, size in wanted.items() if has.get(path) != size]
        if not gone and not new:
            return False
        with table.transaction() as tx:
            if gone:
                with tx.update_snapshot().overwrite() as overwrite:
                    for task in table.scan().plan_files():
                        if task.file.file_path in gone:
                            overwrite.delete_data_file(task.file)
            if new:
                tx.add_files(new, check_duplicate_files=False)
        self._files[name] = dict(wanted)
        return True

    def _shape(self, name: str, dataset: Dataset) -> None:
        """Makes the table, or gives it the columns that it lacks: those of every version, as files may have any."""
        assert self._catalog is not None
        if name not in self._tables:
            self._tables[name] = self._catalog.create_table(
                (NAMESPACE, name),
                _columns(dataset),
                location=f"{self._folder.uri(_FOLDER)}/{name}",
                properties={**_PROPERTIES, "comment": dataset.versions[-1].get("doc", "")},
            )
            self._files[name] = {}
        with self._tables[name].update_schema() as shape:
            for version in range(1, dataset.version + 1):
                shape.union_by_name(_columns(replace(dataset, versions=dataset.versions[:version])))
        self._shaped.add(name)

    def _tidy(self, name: str) -> None:
        table = self._tables[name]
        before = datetime.now(UTC) - timedelta(hours=_SNAPSHOT_HOURS)
        past = table.snapshots()[:-1]
        if not past or past[0].timestamp_ms >= before.timestamp() * 1000:
            return  # each commit is files of its own: none for nothing
        table.maintenance.expire_snapshots().older_than(before).commit()
        named = {table.metadata_location, *(entry.metadata_file for entry in table.metadata.metadata_log)}
        for snapshot in table.snapshots():
            named |= {snapshot.manifest_list, *(manifest.manifest_path for manifest in snapshot.manifests(table.io))}
        self._folder.keep_only(f"{_FOLDER}/{name}/metadata", {PurePosixPath(path).name for path in named})


def _size(file: DataFile) -> tuple[int, int]:
    return file.file_size_in_bytes, file.record_count


def _columns(dataset: Dataset) -> pa.Schema:
    """The dataset's columns as a table may have them: none is required, since older files lack the newer ones."""
    docs = {field["name"]: field.get("doc", "") for field in dataset.versions[-1]["fields"]}
    return pa.schema(_column(field).with_metadata({"doc": docs.get(field.name, "")}) for field in dataset.columns)


def _column(field: pa.Field) -> pa.Field:
    kind = field.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    elif pa.types.is_struct(kind):
        kind = pa.struct([_column(inner) for inner in kind])
    elif pa.types.is_list(kind):
        kind = pa.list_(_column(kind.value_field))
    return pa.field(field.name, kind, nullable=True)
