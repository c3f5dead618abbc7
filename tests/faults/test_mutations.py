"""Mutation proof: each of the seeded bugs is caught by the checker, in the cell that is named for it."""

from __future__ import annotations

import pytest

from tests.faults import table
from tests.faults.cells import CELLS
from tests.faults.mutated import BUGS
from tests.faults.rig import Cell, Rig


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", BUGS)
async def test_the_seeded_bug_is_caught(rig: Rig, name: str, record_property: table.Record) -> None:
    """With this bug in every service, the cell does not pass."""
    bug = BUGS[name]
    fault = CELLS[bug.cell]
    rig.mutation = name
    cell = Cell(rig, bug.cell, 1, kills=10, bulk=fault.bulk, processes=fault.processes)
    failed_in_the_cell = ""
    try:
        await fault.run(cell)
    except AssertionError as error:
        failed_in_the_cell = str(error)
    finally:
        rig.mutation = ""
    report = await cell.check()
    caught = sorted(report["violations"])
    table.add(
        record_property,
        bug.cell,
        f"seeded bug {name}: {bug.title}",
        1,
        report,
        [],
        cell.rest_seconds,
        verdict=f"caught by {' '.join(caught)}" if caught else "MISSED",
    )
    # A world that never came to life violates something too, and proves nothing.
    assert report["command_count"] and report["message_count"], f"nothing happened: {failed_in_the_cell!r}"
    assert set(caught) - {"fired", "I12", "I13"}, f"no invariant saw it; the cell said: {failed_in_the_cell!r}"
