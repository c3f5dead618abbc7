"""`make service NAME=x` makes a whole service: in a copy of the repository, installed there, without another hand."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from common import services

ROOT = Path(__file__).parents[2]
NAME, PACKAGE = "test-of-growth", "test_of_growth"


def run(copy: Path, script: str, *arguments: str, status: int = 0) -> str:
    """The command's output, run in the copy from the environment of the copy."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ESTUAIRE_")}
    done = subprocess.run(
        [copy / ".venv/bin" / script, *arguments],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository with a new service, every member of it installed in an environment of its own."""
    copy = tmp_path_factory.mktemp("grown")
    copy.chmod(0o755)
    left = shutil.ignore_patterns(".git", ".venv", ".uv", "__pycache__", ".*_cache", ".hypothesis")
    shutil.copytree(ROOT, copy, ignore=left, dirs_exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", copy / ".venv"], check=True)
    (packages,) = copy.glob(".venv/lib/python*/site-packages")
    # The libraries of this run after the copy's own packages: nothing is fetched.
    (packages / "libraries.pth").write_text(os.path.dirname(os.path.dirname(pytest.__file__)) + "\n")
    (copy / ".venv/bin/datamodel-codegen").symlink_to(Path(sys.executable).with_name("datamodel-codegen"))
    members = ["libs/common", "demonstration", *(f"services/{service.name}" for service in services.load())]
    install(copy, *members)
    run(copy, "estuaire", "services", "new", NAME)
    install(copy, f"services/{NAME}")
    return copy


def install(copy: Path, *members: str) -> None:
    """As install.sh does, by the same tool."""
    editable = [part for member in members for part in ("-e", member)]
    tool = str(ROOT / ".uv/bin/uv")
    command = [tool, "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index", *editable]
    subprocess.run(command, cwd=copy, env=os.environ | {"VIRTUAL_ENV": str(copy / ".venv")}, check=True)


def test_what_is_generated_agrees_and_the_rules_hold(grown: Path) -> None:
    """Nothing is left to write; import-linter knows the new package, and a planted import in it is found."""
    assert run(grown, "estuaire", "services", "generate") == ""
    assert run(grown, "estuaire", "schemas", "generate") == ""
    assert "no problem" in run(grown, "estuaire", "schemas", "check")
    run(grown, "python", "-c", f"from {PACKAGE}.app import service; assert service.name == {NAME!r}")
    run(grown, "python", "-m", "ruff", "check", ".")
    run(grown, "python", "-m", "ruff", "format", "--check", ".")
    lint = "from importlinter.cli import lint_imports_command; lint_imports_command(['--no-cache'])"
    assert ", 0 broken" in run(grown, "python", "-c", lint)
    page = grown / "services" / NAME / "src" / PACKAGE / "pages.py"
    page.write_text("import events\nimport sqlmodel\n")
    broken = run(grown, "python", "-c", lint, status=1).split("Broken contracts")[1]
    page.unlink()
    assert "Services never import each other" in broken and "Only tables" in broken
    assert f"{NAME}-database" in (grown / "deploy/k8s/base/services.yaml").read_text()
    assert run(grown, "python", "-m", "pytest", "-q", "tests/integration/test_manifests.py", "--timeout", "300")


def test_a_second_one_of_the_name_is_refused(grown: Path) -> None:
    """As is a name that is a library's, or no name of a service."""
    for name in (NAME, "json", "Not-Kebab"):
        run(grown, "estuaire", "services", "new", name, status=1)


@pytest.mark.long
def test_it_starts_and_is_seen_on_the_pipeline_page(grown: Path) -> None:
    """Its own test passes, which starts the whole system with it."""
    assert "1 passed" in run(grown, "python", "-m", "pytest", "-q", f"services/{NAME}/tests")
