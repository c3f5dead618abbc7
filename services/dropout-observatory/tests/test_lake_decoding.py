"""Processes that decode for the lake: the same files whoever does it, nothing lost with a process, none that stays behind."""

from __future__ import annotations

import asyncio
import io
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from fastavro import parse_schema, schemaless_writer
from fastavro.utils import generate_one

from common import contracts
from common.failures import Unavailable
from common.terminal import SCHEMAS
from common.testing import PATIENCE_SECONDS
from dropout_observatory.lake import decoding
from dropout_observatory.lake.columns import datasets
from dropout_observatory.lake.decoding import Decoders, Lot, PlainCodec, Read

DATASETS = datasets(contracts.load(SCHEMAS))
HELD = "estuaire.remediation_seats.SeatHeld"
SCHEMA_ID = 7


def codec() -> PlainCodec:
    """One that knows who wrote with the id."""
    made = PlainCodec(DATASETS)
    made.learn(SCHEMA_ID, DATASETS[HELD].versions[-1])
    return made


def lots() -> list[Lot]:
    """Two partitions, one with much, each with something that cannot be read."""
    random.seed(5)
    schema = parse_schema(DATASETS[HELD].versions[-1], named_schemas={})

    def value() -> bytes:
        out = io.BytesIO()
        out.write(b"\0" + SCHEMA_ID.to_bytes(4, "big"))
        schemaless_writer(out, schema, generate_one(schema) | {"occurred_at": 1_800_000_000_000_000})
        return out.getvalue()

    return [
        Lot(
            DATASETS[HELD].topic.name,
            partition,
            [(offset, b"x" if offset == 3 else value()) for offset in range(count)],
        )
        for partition, count in enumerate((900, 40))
    ]


def rows(read: Read) -> dict[int, list[tuple[int, int]]]:
    """By partition: first offset and rows of each file, put together where one goes on from another."""
    found: dict[int, list[tuple[int, int]]] = {}
    for part, _ in sorted(read.files, key=lambda one: (one[0].partition, one[0].first_offset)):
        found.setdefault(part.partition, []).append((part.first_offset, part.row_count))
    return found


@pytest.fixture
async def decoders(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Decoders]:
    """Two processes, for however little."""
    monkeypatch.setattr(decoding, "_SHARED_MIN", 1)
    made = Decoders(DATASETS, 2)
    yield made
    made.rest()


async def test_the_same_rows_whoever_decodes(decoders: Decoders) -> None:
    """The large lot is shared by two; every row is in one file, and what cannot be read is told."""
    alone = await Decoders(DATASETS, 1).read(codec(), lots())
    shared = await decoders.read(codec(), lots())
    assert rows(alone) == {0: [(0, 899)], 1: [(0, 39)]}
    assert rows(shared) == {0: [(0, 469), (470, 430)], 1: [(0, 39)]}
    assert shared.unreadable == alone.unreadable and len(alone.unreadable) == 2


async def test_a_process_that_is_killed_loses_nothing(decoders: Decoders) -> None:
    """Whoever reads hears that it has to read again, and can."""
    await decoders.read(codec(), lots())
    assert decoders._pool is not None
    for pid in list(decoders._pool._processes):
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(Unavailable, match="read again"):
        await decoders.read(codec(), lots())
    assert sum(count for each in rows(await decoders.read(codec(), lots())).values() for _, count in each) == 938


async def test_what_nobody_can_read_is_said_by_a_process_too(decoders: Decoders) -> None:
    """A flood of it holds the lake up, as it does without processes."""
    flood = [Lot(DATASETS[HELD].topic.name, 0, [(offset, b"x") for offset in range(500)])]
    with pytest.raises(Unavailable, match="is this the registry"):
        await decoders.read(codec(), flood)


async def test_no_process_outlives_the_writer() -> None:
    """Killed by -9, its decoders end by themselves."""
    text = (
        "import asyncio, sys, test_lake_decoding as t\n"
        "from dropout_observatory.lake import decoding\n"
        "async def work():\n"
        "    decoding._SHARED_MIN = 1\n"
        "    decoders = decoding.Decoders(t.DATASETS, 2)\n"
        "    await decoders.read(t.codec(), t.lots())\n"
        "    print(*decoders._pool._processes, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "if __name__ == '__main__':\n"
        "    asyncio.run(work())\n"
    )
    here = os.path.dirname(__file__)
    writer = subprocess.Popen(
        [sys.executable, "-c", text], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": here}
    )
    assert writer.stdout is not None
    pids = [int(one) for one in (await asyncio.to_thread(writer.stdout.readline)).split()]
    assert len(pids) == 2 and all(map(_lives, pids))
    writer.kill()
    writer.wait()

    deadline = time.monotonic() + PATIENCE_SECONDS
    while any(map(_lives, pids)) and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    assert not any(map(_lives, pids))


def _lives(pid: int) -> bool:
    with suppress(ProcessLookupError, FileNotFoundError), open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        return stat.read().rpartition(") ")[2][0] != "Z"
    return False
