"""The samples for anyone's consumer, run as they are: each counts what DuckDB counts in the lake."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from common.embedded.stack import Stack
from common.testing import FreshRuntime
from tests.integration.lake import Lake

SAMPLES = Path(__file__).parents[2] / "samples"
HELD, DECLARED = (f"estuaire.remediation_seats.{name}" for name in ("SeatHeld", "SeatsDeclared"))


@pytest.fixture
async def lake(stack: Stack, fresh_runtime: FreshRuntime, tmp_path: Path) -> AsyncIterator[Lake]:
    """A lake of a topic with two records."""
    async with fresh_runtime("dropout_observatory") as runtime:
        lake = await Lake.make(stack, runtime, tmp_path / "lake", HELD, DECLARED)
        await lake.published(HELD, 150)
        await lake.published(DECLARED, 30)
        await lake.published(DECLARED, 30, version=1)
        await lake.written()
        yield lake


def copied(language: str, home: Path) -> Path:
    """The sample in a folder where it may be built."""
    return shutil.copytree(SAMPLES / language, home / language, ignore=shutil.ignore_patterns("node_modules", "target"))


def tools(*names: str) -> list[str]:
    """Where these commands are; skips the test where one is not."""
    found = [shutil.which(name) for name in names]
    if missing := [name for name, path in zip(names, found, strict=True) if path is None]:
        pytest.skip(f"this machine has no {missing[0]}")
    return [path for path in found if path]


async def said(lake: Lake, folder: Path, *command: str, away: str = "") -> str:
    """What a command says; skips the test where it fails because a registry of packages is away, by the words in `away`."""
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": lake.stack.bootstrap_servers,
        "REGISTRY_URL": lake.runtime.settings.registry_url,
    }
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, errors = (text.decode() for text in await process.communicate())
    if process.returncode and away and (found := re.search(away, out + errors)):
        pytest.skip(f"{command[0]}: {found[0]}")
    assert process.returncode == 0, out + errors
    return re.sub(r"\x1b\[\d*m", "", out)  # Maven resets its colours


def check(lake: Lake, out: str) -> None:
    """The sample's count is DuckDB's, and its record is one of the lake's."""
    count, record = out.strip().splitlines()
    of_duckdb = sum(lake.sql(f"SELECT count(*) FROM {{{name}}}")[0][0] for name in ("SeatHeld", "SeatsDeclared"))
    assert int(count) == of_duckdb == 210
    ids = lake.sql("SELECT event_id FROM {SeatHeld} UNION ALL SELECT event_id FROM {SeatsDeclared}")
    assert UUID(json.loads(record)["event_id"]) in {UUID(one) for (one,) in ids}


async def test_python(lake: Lake) -> None:
    """With what the project has already."""
    topic = lake.datasets[HELD].topic.name
    check(lake, await said(lake, SAMPLES / "python", sys.executable, "facts.py", topic))


async def test_node(lake: Lake, tmp_path: Path) -> None:
    """With its two packages, pinned by their hashes."""
    node, npm = tools("node", "npm")
    folder, topic = copied("node", tmp_path), lake.datasets[HELD].topic.name
    away = r"(ENOTFOUND|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|E40\d).*"
    await said(lake, folder, npm, "ci", "--no-audit", "--no-fund", away=away)
    check(lake, await said(lake, folder, node, "facts.js", topic))


@pytest.mark.long
async def test_java(lake: Lake, tmp_path: Path) -> None:
    """With Maven; long, as it fetches what it is built with."""
    _, maven = tools("java", "mvn")
    folder, topic = copied("java", tmp_path), lake.datasets[HELD].topic.name
    away = r"(Could not transfer|Could not find) artifact.*"
    check(lake, await said(lake, folder, maven, "-q", "-B", "compile", "exec:java", f"-Dexec.args={topic}", away=away))
