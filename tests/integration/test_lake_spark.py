"""Spark reads the lake's files and its Iceberg table as they are, and finds what DuckDB finds; from an environment of its own."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from common.embedded import parts
from common.embedded.processes import EmbeddedError
from common.embedded.stack import Stack
from common.testing import FreshRuntime
from tests.integration.lake import Lake

HELD = "estuaire.remediation_seats.SeatHeld"
UV = Path(__file__).parents[2] / ".uv/bin/uv"
JOB = Path(__file__).with_name("spark")


def environment_of_spark(home: Path) -> Path:
    """An interpreter that has pyspark and nothing of ours, by its own lock; skips the test where that cannot be had."""
    venv = home / "venv"
    subprocess.run([UV, "venv", "-q", "--python", sys.executable, venv], check=True)
    # It is published as source only: what builds it is pinned by hashes too.
    locks: list[str | Path] = ["--build-constraints", JOB / "build.lock", JOB / "requirements.lock"]
    installed = subprocess.run(
        [UV, "pip", "sync", "-q", "--require-hashes", *locks],
        env={**os.environ, "VIRTUAL_ENV": str(venv)},
        capture_output=True,
        text=True,
        check=False,
    )
    if installed.returncode and "Failed to fetch" in installed.stderr:
        pytest.skip(installed.stderr.strip().splitlines()[-1])
    assert installed.returncode == 0, installed.stderr
    return venv / "bin" / "python"


def jars() -> str:
    """Iceberg's and its catalogue's, by their SHA-256; none where they cannot be had, with a word on why."""
    try:
        return ",".join(map(str, parts.fetch("spark", print)))
    except EmbeddedError as error:
        print(f"the table is not asked: {error}")
        return ""


@pytest.mark.long
async def test_spark_finds_what_duckdb_finds(stack: Stack, fresh_runtime: FreshRuntime, tmp_path: Path) -> None:
    """A count, a sum of a nested column and the latest instant, by two local workers, after lots and a merge."""
    if not shutil.which("java"):
        pytest.skip("this machine has no java")
    python, of_table = await asyncio.to_thread(environment_of_spark, tmp_path), await asyncio.to_thread(jars)
    async with fresh_runtime("dropout_observatory") as runtime:
        lake = await Lake.make(stack, runtime, tmp_path / "lake", HELD)
        for _ in range(9):
            await lake.published(HELD, 300)
            await lake.written()
        asked = "SELECT count(*), sum(seats.free_count)::BIGINT, epoch_us(max(occurred_at)) FROM {SeatHeld}"
        of_duckdb = list(lake.sql(asked)[0])
    ran = await asyncio.to_thread(
        subprocess.run,
        [python, JOB / "job.py", lake.folder.root, of_table],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    expected = {"files": of_duckdb} | ({"table": of_duckdb} if of_table else {})
    assert json.loads(ran.stdout) == expected and of_duckdb[0] == 2700
