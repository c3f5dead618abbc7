"""A school year of Mondays: each has its release, whatever the ones before have said."""

from __future__ import annotations

import random
from datetime import date, timedelta
from pathlib import Path

import pytest

import small_lakes
from dropout_observatory.indicators.definitions import definitions
from dropout_observatory.indicators.publishing import Before, prepared
from dropout_observatory.lake.files import Folder
from dropout_observatory.publication import chained
from dropout_observatory.release import Release

# Codes of both come into being over the year: months, and weeks that somebody may have waited.
NAMES = ("cases-by-month", "first-offer-delay")


@pytest.mark.long
def test_each_monday_of_a_year_has_its_release(tmp_path: Path) -> None:
    """None is refused from September to July, each follows the one before, and at the end most numbers are of this year."""
    folder, history = Folder(str(tmp_path)), small_lakes.drawn(random.Random(7), 1000, 2024, 3)
    small_lakes.written(folder, history.messages)
    chosen = {name: definitions()[name] for name in NAMES}
    texts: list[str] = []
    for week in range(45):
        known_on = date(2026, 8, 31) + timedelta(weeks=week)
        before = Before(tuple(texts), history.told_by)
        made = prepared(folder, small_lakes.known_datasets(), known_on, before, lambda _: None, chosen)
        texts.append(made.text())
    chained([Release.read(text) for text in texts])
    last = [figure for name, its in made.figures.items() if name.endswith("/2026-2027") for figure in its.values()]
    assert sum(figure.value is not None for figure in last) > len(last) / 2
