"""Every service says in its README what becomes of what stands behind a change: the table that its code goes by, whole."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from common.commitments import Table

SERVICES = Path(__file__).parents[2] / "services"
FOUND = sorted(path for path in SERVICES.glob("*/src/*/commitments.py"))


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.parent.name)
def test_the_readme_has_the_table_of_the_code(path: Path) -> None:
    """A cell that somebody changes or forgets is seen here; what to write is what the failure shows."""
    table: Table[Any, Any] = importlib.import_module(f"{path.parent.name}.commitments").TABLE
    assert table.missing == []
    assert {len(row) for row in table.rows.values()} == {len(table.cells) // len(table.rows)}
    readme = (SERVICES / path.parts[len(SERVICES.parts)] / "README.md").read_text()
    assert table.markdown() in readme, f"write this into README.md:\n\n{table.markdown()}"
