"""The instruments themselves: the checker stands alone, a failpoint does what it is told, a seeded bug fits its module."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.mutated import BUGS

HERE = Path(__file__).parent
_ALLOWED = {"asyncpg", "confluent_kafka", "fastavro", "yaml"}


def _imports(source: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def _foreign(source: str) -> set[str]:
    """What a checker's module imports beside the standard library, its drivers and its own package."""
    return {
        name
        for name in _imports(source)
        if name.partition(".")[0] not in _ALLOWED | set(sys.stdlib_module_names)
        and not name.startswith("tests.faults.checker")
    }


def test_the_checker_imports_nothing_of_ours() -> None:
    """Only the standard library, the drivers and its own modules; a planted import is seen."""
    for path in sorted((HERE / "checker").glob("*.py")):
        assert _foreign(path.read_text()) == set(), path.name
    assert _foreign("from common.avro import Codec\nimport tests.faults.rig") == {"common.avro", "tests.faults.rig"}


def test_every_text_that_a_seeded_bug_replaces_is_there_once() -> None:
    """A bug that no longer fits would quietly be none."""
    assert len(BUGS) == 12
    for name, bug in BUGS.items():
        sources: dict[str, str] = {}
        for module, text, changed in bug.replacements:
            if module not in sources:
                found = importlib.util.find_spec(module)
                assert found is not None and found.origin is not None
                sources[module] = Path(found.origin).read_text()
            assert sources[module].count(text) == 1, (name, text)
            sources[module] = sources[module].replace(text, changed)
        for module, source in sources.items():
            compile(source, module, "exec")


def _run(failpoint: str, code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", f"import asyncio\nfrom common import failpoints\n{code}"],
        env={**os.environ, "FAILPOINT": failpoint},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


_REACH = "async def go():\n    for n in range(5):\n        await failpoints.reach('relay.after_send')\n        print(n)\nasyncio.run(go())"


def test_a_failpoint_fires_at_its_nth_arrival() -> None:
    """`exit` ends the process with 137 at the third arrival, and says so."""
    ended = _run("relay.after_send:exit:3", _REACH)
    assert (ended.returncode, ended.stdout.split()) == (137, ["0", "1"])
    assert "failpoint relay.after_send exit 3" in ended.stderr
    assert _run("relay.after_send:raise:2", _REACH).stderr.strip().endswith("FailpointError: relay.after_send")
    waited = _run("relay.after_send:delay=0.01:4+", _REACH)
    assert waited.returncode == 0 and waited.stderr.count("failpoint") == 2


@pytest.mark.parametrize(
    "text", ["relay.after_send", "relay.nowhere:exit:1", "relay.after_send:explode:1", "relay.after_send:exit:x"]
)
def test_a_wrong_failpoint_stops_the_start(text: str) -> None:
    """EX_CONFIG and one line, not a failpoint that never fires."""
    stopped = _run(text, "print('started')")
    assert (stopped.returncode, stopped.stdout) == (78, "") and "FAILPOINT" in stopped.stderr


def test_a_production_process_refuses_a_failpoint() -> None:
    """A FAILPOINT that a pod inherited stops it at the start."""
    stopped = _run("relay.after_send:exit:1", "failpoints.check(development=False)")
    assert stopped.returncode == 78 and "fault suite" in stopped.stderr
    assert _run("", "failpoints.check(development=False)").returncode == 0
