"""The annual report on the command line: of a release in a real database, the same bytes each time, or a word on what to do."""

from __future__ import annotations

import random
from datetime import date
from pathlib import Path

import pytest

import small_lakes
from common.embedded.stack import Stack
from common.testing import FreshRuntime, estuaire
from dropout_observatory.indicators import publishing
from dropout_observatory.indicators.definitions import definitions
from dropout_observatory.lake.files import Folder
from tests.integration.lake import SERVICE


async def test_a_report_by_hand(
    stack: Stack, fresh_runtime: FreshRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing before there is a release, nor of a year or a day that it has not; then the files, twice the same, and their hash."""
    chosen = {"cases-by-month": definitions()["cases-by-month"]}
    monkeypatch.setattr(publishing, "definitions", lambda: chosen)
    async with fresh_runtime("dropout_observatory") as runtime:
        address = {"ESTUAIRE_DATABASE_URL": runtime.settings.database_url}

        async def report(year: str, as_of: str, to: str) -> tuple[int, str]:
            options = ("--school-year", year, "--as-of", as_of, "--to", str(tmp_path / to))
            return await estuaire(stack, SERVICE, "observatory", "report", *options, **address)

        status, said = await report("2025-2026", "2026-09-01", "none")
        assert status == 1 and "no release known on 2026-09-01" in said and "observatory release --known-on" in said
        lake = Folder(str(tmp_path / "lake"))
        small_lakes.written(lake, small_lakes.drawn(random.Random(5), 120, 2025, 1).messages)
        made = await publishing.publish(
            runtime.database, lake, small_lakes.known_datasets(), date(2026, 8, 31), lambda _: None
        )
        for year, as_of, word in (
            ("2024-2025", "2026-09-01", "has the school year"),
            ("2025-2026", "2026-08-30", "no release"),
            ("2025-2026", "2999-01-01", "has not come yet"),
            ("2025", "2026-09-01", "is no school year"),
        ):
            status, said = await report(year, as_of, "none")
            assert status == 1 and word in said, said
        assert not (tmp_path / "none").exists()
        status, said = await report("2025-2026", "2026-09-01", "one")
        assert status == 0 and made.sha256 in said and "SHA256SUMS has" in said, said
        status, _ = await report("2025-2026", "2026-09-01", "two")
        one, two = (
            {path.relative_to(tmp_path / to).as_posix(): path.read_bytes() for path in (tmp_path / to).rglob("*.*")}
            for to in ("one", "two")
        )
        assert status == 0 and one == two and {"rapport.html", "rapport.pdf", "figures/cases-by-month.csv"} <= set(one)
        assert made.sha256.encode() in one["rapport.html"]
