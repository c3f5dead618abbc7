"""The analysts' notebook does what it says, over a real lake."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from common.embedded.stack import Stack
from common.testing import FreshRuntime
from tests.integration.lake import Lake

NOTEBOOK = Path(__file__).parents[2] / "docs/notebooks/lake.ipynb"
REPORTED = "estuaire.dropout_observatory.CaseReported"
HELD, ENDED = (f"estuaire.remediation_seats.{name}" for name in ("SeatHeld", "HoldEnded"))
NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)


async def test_every_cell_runs(
    stack: Stack, fresh_runtime: FreshRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answers are those of what was published; nobody's results are kept in it."""
    async with fresh_runtime("dropout_observatory") as runtime:
        lake = await Lake.make(stack, runtime, tmp_path / "lake", REPORTED, HELD, ENDED)
        cases = await lake.published(REPORTED, 40)
        for number in range(3):
            (hold,) = await lake.published(HELD, 1, occurred_at=NOON)
            if number:
                end = NOON + timedelta(hours=2 * number)
                await lake.published(ENDED, 1, hold_id=hold["hold_id"], occurred_at=end)
        await lake.written()
    monkeypatch.setenv("ESTUAIRE_LAKE_URL", lake.folder.root)
    names: dict[str, Any] = {}
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    for cell in cells:
        assert not cell["outputs"] and cell["execution_count"] is None
        exec("".join(cell["source"]), names)
    levels, months = names["levels"].fetchall(), names["months"].fetchall()
    assert sum(count for _, count, _ in levels) == sum(count for _, count, _ in months) == len(cases)
    assert max(months, key=lambda row: row[1])[2] == "█" * 40
    assert names["lengths"].to_dicts() == [{"holds": 3, "ended": 2, "median_hours": 3.0}]
