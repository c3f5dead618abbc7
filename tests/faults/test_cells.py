"""Runs the cells: the short ones in `make test`, all of them in `make faults`."""

from __future__ import annotations

import os

import pytest

from tests.faults import table
from tests.faults.cells import CELLS
from tests.faults.rig import Cell, Rig

SEEDS = tuple(int(seed) for seed in os.environ.get("SEEDS", "1").split(","))
# Each failpoint, most of them twice; `make faults` has 20.
KILLS = int(os.environ.get("KILLS", "10"))
# The bounds of recovery are judged where a cell has all its kills, on a machine that does nothing else.
SHORT = KILLS < 20


@pytest.mark.cell
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "number",
    [
        pytest.param(c.number, marks=[] if c.short else [pytest.mark.long])
        for c in sorted(CELLS.values(), key=lambda c: c.number)
    ],
)
async def test_cell(rig: Rig, number: str, seed: int, record_property: table.Record) -> None:
    """Under this fault nothing is lost, nothing has two effects, and everything recovers without a human."""
    fault = CELLS[number]
    cell = Cell(rig, number, seed, kills=KILLS, bulk=fault.bulk, processes=fault.processes, short=SHORT)
    await fault.run(cell)
    report = await cell.check()
    table.add(record_property, number, fault.title, seed, report, cell.recoveries, cell.rest_seconds)
    assert not report["violations"], report["violations"]
