"""The rig as a fixture, the options of the tiers, and the table at the end."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.testing import throw_away
from tests.faults.rig import Rig
from tests.faults.table import PROPERTY, lines


@pytest.fixture(scope="session")
def rig() -> Iterator[Rig]:
    """One broker, registry and PostgreSQL for all cells; each cell gets fresh databases and topics."""
    home = Path(tempfile.mkdtemp(prefix="estuaire-faults-", dir=os.environ.get("ESTUAIRE_TEST_DIR")))
    home.chmod(0o755)  # PostgreSQL runs under an account of its own when the tests run as root
    started = Rig(home)
    started.start()
    yield started
    throw_away(started)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints one line per cell."""
    reports = [report for name in ("passed", "failed") for report in terminalreporter.stats.get(name, [])]
    rows = [row for report in reports for name, row in report.user_properties if name == PROPERTY]
    if rows:
        terminalreporter.section("fault cells")
        for line in lines(sorted(rows, key=lambda row: row["cell"])):
            terminalreporter.write_line(line)
