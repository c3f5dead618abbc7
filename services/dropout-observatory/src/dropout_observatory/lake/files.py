"""The files of the lake: a folder, or any address that fsspec knows. Which of them count, the database says (`ledger.py`)."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dropout_observatory.lake.columns import Dataset

MANIFEST = "manifest.json"
_SUFFIX = ".parquet"


@dataclass(frozen=True)
class Part:
    """A file: rows of one dataset, one partition of one topic, one year (UTC, of `occurred_at`), in the order of the log.

    Its name says of which offsets; `path` is below the lake's address.
    """

    dataset: str
    version: int
    year: int
    topic: str
    partition: int
    first_offset: int
    last_offset: int
    row_count: int
    byte_count: int
    sha256: str

    @property
    def path(self) -> str:
        """`SeatHeld/year=2027/<topic>-<partition>-<first>-<last>.v1.parquet`, with the version of its columns."""
        name = f"{self.topic}-{self.partition}-{self.first_offset}-{self.last_offset}.v{self.version}{_SUFFIX}"
        return f"{self.dataset}/year={self.year}/{name}"


def parts_of(dataset: Dataset, table: pa.Table) -> list[tuple[Part, bytes]]:
    """A table of one partition's rows, in the order of the log, as files: one for each year."""
    years = pc.year(table["occurred_at"])
    return [_part(dataset, year, table.filter(pc.equal(years, year))) for year in sorted(pc.unique(years).to_pylist())]


def _part(dataset: Dataset, year: int, table: pa.Table) -> tuple[Part, bytes]:
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd")
    data = out.getvalue()
    offsets = table["kafka_offset"]
    part = Part(
        dataset=dataset.name,
        version=dataset.version,
        year=year,
        topic=table["kafka_topic"][0].as_py(),
        partition=table["kafka_partition"][0].as_py(),
        first_offset=offsets[0].as_py(),
        last_offset=offsets[-1].as_py(),
        row_count=table.num_rows,
        byte_count=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )
    return part, data


class Folder:
    """Where the files are."""

    def __init__(self, address: str) -> None:
        """A path of this machine, or an address such as `s3://bucket/lake`; raises `ValueError` for one that nobody knows."""
        try:
            self.filesystem, self.root = fsspec.core.url_to_fs(address)
        except (ImportError, ValueError) as error:
            raise ValueError(f"the lake's address {address!r} cannot be used: {error}") from None
        protocols = self.filesystem.protocol
        self.is_local = "file" in ((protocols,) if isinstance(protocols, str) else protocols)

    def full(self, path: str) -> str:
        """The path as the file system has it."""
        return f"{self.root}/{path}"

    def address(self, path: str) -> str:
        """The path as other engines are given it."""
        return self.full(path) if self.is_local else self.uri(path)

    def uri(self, path: str) -> str:
        """The path with its protocol, `file://` too, as a table names it."""
        return str(self.filesystem.unstrip_protocol(self.full(path)))

    def write(self, path: str, data: bytes) -> None:
        """Writes a new file that lasts once this returns; half a file is one that no row names."""
        full = self.full(path)
        self.filesystem.makedirs(str(PurePosixPath(full).parent), exist_ok=True)
        self.filesystem.pipe_file(full, data)
        if self.is_local:
            _outlasts_a_power_cut(full)

    def replace(self, path: str, data: bytes) -> None:
        """Writes a file of which readers see the old or the new, never half."""
        if not self.is_local:
            self.filesystem.pipe_file(self.full(path), data)
            return
        self.write(f"{path}.new", data)
        os.replace(self.full(f"{path}.new"), self.full(path))

    def read(self, path: str) -> bytes:
        """A file's bytes; raises `FileNotFoundError`."""
        return bytes(self.filesystem.cat_file(self.full(path)))

    def table(self, path: str) -> pa.Table:
        """A file's rows."""
        return pq.read_table(io.BytesIO(self.read(path)))

    def remove(self, path: str) -> None:
        """Takes a file away, if it is there."""
        if self.filesystem.exists(self.full(path)):
            self.filesystem.rm_file(self.full(path))

    def keep_only(self, path: str, names: set[str]) -> None:
        """Takes away every file of a folder whose name is not among these."""
        for full in self.filesystem.find(self.full(path)):
            if PurePosixPath(full).name not in names:
                self.filesystem.rm_file(full)

    def found(self) -> dict[str, int]:
        """Path to size of every data file that is there."""
        if not self.filesystem.exists(self.root):
            return {}
        below = self.filesystem.find(self.root, detail=True)
        return {
            path.removeprefix(f"{self.root}/"): entry["size"] for path, entry in below.items() if path.endswith(_SUFFIX)
        }

    def manifest(self) -> dict[str, Any]:
        """What the lake has, as its writer said last; raises `FileNotFoundError` where nobody has written yet."""
        content: dict[str, Any] = json.loads(self.read(MANIFEST))
        return content


def _outlasts_a_power_cut(path: str) -> None:
    for name in (path, os.path.dirname(path)):
        descriptor = os.open(name, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def manifest_of(parts: list[Part], positions: list[Mapping[str, Any]], columns: Mapping[str, Dataset]) -> bytes:
    """The manifest: each dataset's files with rows and SHA-256, and how far each partition is in them. Sorted, no clock."""
    datasets: dict[str, Any] = {}
    for part in sorted(parts, key=lambda part: part.path):
        version = columns[part.dataset].version if part.dataset in columns else part.version
        entry = datasets.setdefault(part.dataset, {"version": version, "row_count": 0, "files": []})
        entry["row_count"] += part.row_count
        entry["files"].append({"path": part.path} | {k: v for k, v in asdict(part).items() if k != "dataset"})
    return json.dumps({"datasets": datasets, "positions": positions}, ensure_ascii=False, indent=1).encode()
