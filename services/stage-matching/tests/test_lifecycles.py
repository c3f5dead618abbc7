"""Every aggregate has a way out of every state at any date, and the README shows the table that is true."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, get_args
from uuid import uuid4

import pytest

from common.lifecycle import Lifecycle, written
from stage_matching import campaigns, lifecycles

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.parametrize("lifecycle", lifecycles.ALL, ids=lambda one: one.name)
def test_every_state_has_a_way_out(lifecycle: Lifecycle) -> None:
    """By somebody, in every phase; without any one act of its table that is the only exit of a state, that state is found."""
    assert lifecycle.problems() == []
    for (state, phase), by_role in lifecycle.acts.items():
        if state not in lifecycle.final:
            planted = replace(lifecycle, acts={k: v for k, v in lifecycle.acts.items() if k != (state, phase)})
            assert (state, phase) in planted.stuck(), by_role


@pytest.mark.parametrize(
    ("act", "state", "work"),
    list(product(get_args(campaigns.Act), get_args(campaigns.State), (None, "compute", "publish", "close"))),
)
def test_a_campaign_does_what_its_table_says(act: campaigns.Act, state: campaigns.State, work: str | None) -> None:
    """Every act of a leader in every state, at rest and while the job works."""

    class Row:
        """A campaign."""

        uai = None
        campaign_id = uuid4()

    row: Any = Row()
    row.state, row.work = state, work
    working = {
        ("frozen", "compute"): "computing",
        ("computed", "publish"): "publishing",
        ("published", "close"): "closing",
    }
    if work is not None and (state, work) not in working:
        return
    name = working[state, work] if work is not None else state
    allowed = act in lifecycles.CAMPAIGN.may(name, "leader", "always")
    assert (campaigns.why_not(row, act, None) is None) == allowed


def test_the_readme_shows_the_tables() -> None:
    """Run this file to write them anew."""
    told = README.read_text()
    assert told == written(told, tables())


def tables() -> str:
    """What the README has."""
    return "\n\n".join(one.table() for one in lifecycles.ALL)


if __name__ == "__main__":
    README.write_text(written(README.read_text(), tables()))
