"""The boundaries hold, and their guards can fail: a planted violation is found."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from common import services

ROOT = Path(__file__).parents[2]
MEMBERS = ["libs/common/src", "demonstration/src", *(f"services/{service.name}/src" for service in services.load())]
LINT = Path(sys.executable).with_name("lint-imports")


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        (
            "services/remediation-seats/src/remediation_seats/search.py",
            "import projections",
            "Services never import each other",
        ),
        ("libs/common/src/common/messages.py", "import remediation_seats", "import no service"),
        ("services/remediation-seats/src/remediation_seats/domain.py", "import sqlalchemy", "Rules are pure"),
        # Through another module of the service, and in one that no list names.
        ("services/events/src/events/messages.py", "import sqlalchemy", "Rules are pure"),
        ("services/projections/src/projections/live.py", "import sqlmodel", "Only tables"),
        ("services/parents-cafes/src/parents_cafes/place_pages.py", "import sqlmodel", "Only tables"),
        ("services/parents-cafes/src/parents_cafes/state.py", "import events", "Services never import each other"),
        (
            "services/stage-matching/src/stage_matching/verifier.py",
            "from stage_matching.matching import choose",
            "The verifier shares no code",
        ),
    ],
)
def test_a_planted_import_is_found(tmp_path: Path, file: str, line: str, contract: str) -> None:
    """import-linter on a copy of the sources with one forbidden line."""
    for member in MEMBERS:
        shutil.copytree(ROOT / member, tmp_path / member, ignore=shutil.ignore_patterns("__pycache__", "data"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    planted = tmp_path / file
    planted.write_text(planted.read_text() + f"\n{line}\n")
    done = subprocess.run(
        [LINT, "--no-cache"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ":".join(str(tmp_path / member) for member in MEMBERS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and ", 0 broken" not in done.stdout, done.stdout
    assert f"{contract}" in done.stdout.split("Broken contracts")[1]


def test_no_index_address_and_no_path_of_a_machine_is_tracked() -> None:
    """The lock pins with hashes and names no index; nothing tracked names somebody's folders."""
    lock = (ROOT / "requirements.lock").read_text()
    assert "--hash=sha256:" in lock
    assert "index-url" not in lock and "https://" not in lock
    assert all("==" in line for line in lock.splitlines() if line and not line.startswith((" ", "#")))
