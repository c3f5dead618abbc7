"""The writer of the analysts' lake, killed at each of its failpoints while everything else goes on."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path

from common import contracts
from common.embedded.processes import Child, free_port
from common.failpoints import EXIT_STATUS
from common.testing import PATIENCE_SECONDS
from dropout_observatory.lake import reading
from dropout_observatory.lake.columns import datasets
from dropout_observatory.lake.files import Folder
from dropout_observatory.lake.iceberg import Tables, catalogue_address
from tests.faults.cells.registry import cell
from tests.faults.rig import OBSERVATORY, Cell, Rig

_POINTS = (
    "after_files",
    "after_commit",
    "after_merge",
    "before_commit",
    "after_merge_commit",
    "after_manifest",
    "after_table",
)


@cell("48", "kill -9 of the lake's writer at each failpoint, while everything else goes on", processes=1)
async def kill_lake(cell: Cell) -> None:
    """DuckDB's count is the offsets, and the Iceberg tables name the same files, as if nobody had died."""
    home = cell.rig.settings.home / "lake-of-cell-48"
    shutil.rmtree(home, ignore_errors=True)
    async with cell.running():
        for number in range(min(cell.kills, len(_POINTS))):
            await _death(cell, home, _POINTS[number], cell.draw.randrange(1, 4))
    # Everything is at rest: the last one takes what is left.
    ends = await asyncio.to_thread(cell.ends)
    last = _writer(cell.rig, home)
    await asyncio.to_thread(last.start)
    try:
        reached = await cell.eventually(
            OBSERVATORY,
            "SELECT coalesce(sum(next_offset), 0) >= $1 FROM lake_position WHERE topic = ANY($2)",
            sum(ends.values()),
            sorted({topic for topic, _ in ends}),
        )
        assert reached, f"the lake does not come to the end of the log: {last.last_log_line()}"
    finally:
        await asyncio.to_thread(last.stop, 15)
    _check(cell.rig, home, ends)


async def _death(cell: Cell, home: Path, point: str, nth: int) -> None:
    """A writer runs until it dies at a failpoint, under load."""
    writer = _writer(cell.rig, home, FAILPOINT=f"lake.{point}:exit:{nth}")
    await asyncio.to_thread(writer.start)
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        while writer.running and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        line = f"failpoint lake.{point} exit {nth}"
        died = not writer.running and writer.process is not None and writer.process.returncode == EXIT_STATUS
        said = line in writer.log_path.read_text(errors="replace")
        cell.fired(f"the lake's writer dies at {point}", f"'{line}' in its log" if died and said else None)
    finally:
        await asyncio.to_thread(writer.kill)


def _writer(rig: Rig, home: Path, **extra: str) -> Child:
    return Child(
        "dropout-observatory-lake",
        ["dropout_observatory.lake.app:main"],
        home=rig.settings.home,
        env={
            **rig.environment(rig.spec(OBSERVATORY)),
            "ESTUAIRE_HTTP_PORT": str(free_port()),
            "ESTUAIRE_LAKE_URL": str(home),
            "ESTUAIRE_LAKE_FLUSH_COUNT": "200",
            "ESTUAIRE_LAKE_FLUSH_SECONDS": "0.2",
            "ESTUAIRE_LAKE_COMPACT_SECONDS": "1",
            "ESTUAIRE_LAKE_TABLES_SECONDS": "0",
            "ESTUAIRE_RELEASE_WEEKLY": "false",
            **extra,
        },
        forks=rig.forks,
    )


def _check(rig: Rig, home: Path, ends: dict[tuple[str, int], int]) -> None:
    folder, known = Folder(str(home)), datasets(contracts.load(rig.schemas_dir))
    with reading.opened(folder, known) as connection:
        checked = reading.counted(folder, connection)
    lost = [entry for entry in checked if not entry.holds or entry.unreadable_count]
    assert not lost, lost
    stands = {(row["topic"], row["partition"]): row["next_offset"] for row in folder.manifest()["positions"]}
    short = {place: (stands.get(place), end) for place, end in ends.items() if stands.get(place) != end}
    assert not short and sum(entry.row_count for entry in checked) > 0, short
    assert not list(reading.damaged(folder))
    assert not Tables(catalogue_address(None, folder), folder, known).differences(folder.manifest())
