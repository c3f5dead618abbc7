"""The lake as DuckDB shows it: a view for each record, over the files that the manifest names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from dropout_observatory.lake.columns import Dataset
from dropout_observatory.lake.files import Folder

# A message that was sent twice is twice in the log, under one event_id: a fact counts once.
_ONCE = "QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY kafka_offset) = 1"


def opened(folder: Folder, datasets: Mapping[str, Dataset], database: str = ":memory:") -> duckdb.DuckDBPyConnection:
    """DuckDB with a view for each record (`SeatHeld`: each fact once) and one as the log has it (`log.SeatHeld`).

    `database` is a file that keeps the views, for a notebook to open. Instants are in UTC. Raises `FileNotFoundError`
    where there is no lake.
    """
    manifest = folder.manifest()["datasets"]
    connection = duckdb.connect(database)
    if not folder.is_local:
        connection.register_filesystem(folder.filesystem)
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("CREATE SCHEMA IF NOT EXISTS log")
    for dataset in datasets.values():
        files = [folder.address(entry["path"]) for entry in manifest.get(dataset.name, {"files": []})["files"]]
        rows = (
            f"SELECT * FROM read_parquet({files!r}, union_by_name = true)" if files else _nothing(connection, dataset)
        )
        connection.execute(f'CREATE OR REPLACE VIEW log."{dataset.name}" AS {rows}')
        connection.execute(
            f'CREATE OR REPLACE VIEW "{dataset.name}" AS SELECT * EXCLUDE (year) FROM log."{dataset.name}" {_ONCE}'
        )
    return connection


def _nothing(connection: duckdb.DuckDBPyConnection, dataset: Dataset) -> str:
    """No row, of the columns that rows will have."""
    connection.register("_empty", dataset.columns.empty_table())
    columns = connection.execute("DESCRIBE _empty").fetchall()
    connection.unregister("_empty")
    typed = ", ".join(f'CAST(NULL AS {column[1]}) AS "{column[0]}"' for column in columns)
    return f"SELECT {typed}, CAST(NULL AS BIGINT) AS year WHERE false"


@dataclass(frozen=True)
class Checked:
    """A partition in the lake: what the log has of it from its first offset on, and what the files have."""

    topic: str
    partition: int
    offset_count: int
    row_count: int
    unreadable_count: int

    @property
    def holds(self) -> bool:
        """Whether nothing is lost and nothing is there twice."""
        return self.offset_count == self.row_count + self.unreadable_count


def damaged(folder: Folder) -> Iterator[str]:
    """Paths of the files that are not the bytes that were written, one after the other."""
    for dataset in folder.manifest()["datasets"].values():
        for entry in dataset["files"]:
            try:
                sha256 = hashlib.sha256(folder.read(entry["path"])).hexdigest()
            except FileNotFoundError:
                sha256 = ""
            if sha256 != entry["sha256"]:
                yield entry["path"]


def counted(folder: Folder, connection: duckdb.DuckDBPyConnection) -> list[Checked]:
    """Of each partition, the offsets that are taken against the rows that DuckDB finds."""
    manifest = folder.manifest()
    found: dict[tuple[str, int], int] = {}
    for name in manifest["datasets"]:
        query = f'SELECT kafka_topic, kafka_partition, count(*) FROM log."{name}" GROUP BY ALL'
        for topic, partition, rows in connection.execute(query).fetchall():
            found[topic, partition] = found.get((topic, partition), 0) + rows
    return [_checked(position, found) for position in manifest["positions"]]


def _checked(position: Mapping[str, Any], found: Mapping[tuple[str, int], int]) -> Checked:
    topic, partition = position["topic"], position["partition"]
    return Checked(
        topic,
        partition,
        position["next_offset"] - position["first_offset"],
        found.get((topic, partition), 0),
        position["unreadable_count"],
    )
