"""The observatory and the writer of its lake, each killed at each of its failpoints while everything else goes on."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from common.embedded.processes import Child, free_port
from common.failpoints import EXIT_STATUS
from common.runtime import build_runtime
from common.testing import PATIENCE_SECONDS
from dropout_observatory.lake import reading
from dropout_observatory.lake.app import SERVICE, LakeMetrics, LakeSettings, sink_of
from dropout_observatory.lake.iceberg import Tables, catalogue_address
from dropout_observatory.lake.sink import Sink
from tests.faults.cases_workload import CasesWorkload
from tests.faults.cells.registry import cell
from tests.faults.rig import OBSERVATORY, Cell, Rig

_LAKE_POINTS = (
    "after_files",
    "after_commit",
    "after_merge",
    "before_commit",
    "after_merge_commit",
    "after_manifest",
    "after_table",
)
_SERVICE_POINTS = (
    "http.before_commit",
    "consumer.before_commit",
    "relay.after_send",
    "consumer.after_commit",
    "http.after_commit",
    "relay.before_mark",
    "consumer.before_tx",
)


@cell(
    "48",
    "kill -9 of the observatory and of its lake's writer at each failpoint, while everything else goes on",
    short=True,
    processes=1,
)
async def kill_observatory(cell: Cell) -> None:
    """Cases are in the tables as in the log, and the lake has every offset and names the same files, as if nobody had died."""
    rig, cell.also = cell.rig, {OBSERVATORY}
    home = rig.settings.home / "lake-of-cell-48"
    shutil.rmtree(home, ignore_errors=True)
    async with cell.running():
        load = CasesWorkload(
            cell.history, seed=cell.seed, endpoints=[rig.url_of(OBSERVATORY)], issuer_url=rig.issuer_url
        )
        await cell.join({OBSERVATORY: load})
        cell.workload.case_codes = load.codes
        load.start(per_second=cell.commands_per_second)
        count = min(cell.kills, len(_LAKE_POINTS))
        writers = asyncio.create_task(
            _writers(cell, home, [(one, cell.draw.randrange(1, 4)) for one in _LAKE_POINTS[:count]])
        )
        try:
            await cell.deaths([(OBSERVATORY, one, cell.draw.randrange(1, 12)) for one in _SERVICE_POINTS[:count]])
            await writers
            await load.stop()
        finally:
            writers.cancel()
            await load.cancel()
    await _last_writer(cell, home)


async def _writers(cell: Cell, home: Path, plan: Sequence[tuple[str, int]]) -> None:
    for point, nth in plan:
        await _death(cell, home, point, nth)


async def _last_writer(cell: Cell, home: Path) -> None:
    """Everything is at rest: the last one is killed by nobody and takes what is left."""
    given = _settings(cell.rig, home)
    runtime = build_runtime(SERVICE, given)
    try:
        last = sink_of(runtime, given, LakeMetrics())
        await asyncio.wait_for(last.run(until=lambda: True), PATIENCE_SECONDS)
    finally:
        await runtime.close()
    topics = {dataset.topic.name for dataset in last.datasets.values()}
    _check(last, await asyncio.to_thread(cell.ends, topics))


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
    entry, environment = ["dropout_observatory.lake.app:main"], _environment(rig, home) | extra
    return Child("dropout-observatory-lake", entry, home=rig.settings.home, env=environment, forks=rig.forks)


def _settings(rig: Rig, home: Path) -> LakeSettings:
    """What a writer's process would read from its environment."""
    given = {name.removeprefix("ESTUAIRE_").lower(): value for name, value in _environment(rig, home).items()}
    return LakeSettings.model_validate(
        {name: json.loads(value) if value.startswith("[") else value for name, value in given.items()}
    )


def _environment(rig: Rig, home: Path) -> dict[str, str]:
    return {
        **rig.environment(rig.spec(OBSERVATORY)),
        "ESTUAIRE_HTTP_PORT": str(free_port()),
        "ESTUAIRE_LAKE_URL": str(home),
        "ESTUAIRE_LAKE_FLUSH_COUNT": "200",
        "ESTUAIRE_LAKE_FLUSH_SECONDS": "0.2",
        "ESTUAIRE_LAKE_COMPACT_SECONDS": "1",
        "ESTUAIRE_LAKE_TABLES_SECONDS": "0",
        "ESTUAIRE_RELEASE_WEEKLY": "false",
    }


def _check(last: Sink, ends: Mapping[tuple[str, int], int]) -> None:
    """The manifest has every offset, DuckDB a row for each, no file is hurt, and the Iceberg tables name the same ones."""
    folder, manifest = last.folder, last.folder.manifest()
    with reading.opened(folder, last.datasets) as connection:
        checked = reading.counted(folder, connection)
    lost = [entry for entry in checked if not entry.holds or entry.unreadable_count]
    assert not lost, lost
    stands = {(row["topic"], row["partition"]): row["next_offset"] for row in manifest["positions"]}
    short = {place: (stands.get(place), end) for place, end in ends.items() if stands.get(place) != end}
    assert not short and sum(entry.row_count for entry in checked) > 0, short
    assert not list(reading.damaged(folder))
    assert not Tables(catalogue_address(None, folder), folder, last.datasets).differences(manifest)
