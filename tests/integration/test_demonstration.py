"""The cast: real places, fictitious structures, the same for the same seed."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from datetime import date
from pathlib import Path

import httpx
import pytest

from common.embedded.stack import EmbeddedSettings, Stack
from common.testing import url_of
from demonstration import cast
from demonstration.play import Demonstration
from territory import reference


def test_sixty_structures_over_the_five_departments_the_same_every_time() -> None:
    """Deterministic by seed; every department has some; every commune exists."""
    structures = cast.structures()
    assert structures == cast.structures() and structures != cast.structures(77)
    assert len(structures) == 60 and len({s.structure_id for s in structures}) == 60
    departments = Counter(reference.communes()[s.commune_code].department_code for s in structures)
    assert set(departments) == set(reference.departments())


def test_everything_invented_says_so() -> None:
    """Each persona's label says « fictif »; addresses are of reserved domains."""
    personas = cast.personas(cast.structures())
    assert all("(fictif)" in persona["label"] for persona in personas.values())
    assert all(persona.get("email", "x.example").endswith(".example") for persona in personas.values())
    assert len(cast.programmes(cast.structures(), date(2026, 11, 24))) > 90


@pytest.mark.long
def test_the_same_seed_plays_the_same_year() -> None:
    """Two empty systems, sixty days each: the same counts for every programme."""
    played = []
    for _ in range(2):
        home = Path(tempfile.mkdtemp(prefix="estuaire-play-"))
        home.chmod(0o755)
        stack = Stack(EmbeddedSettings.on_free_ports(home))
        player = Demonstration(stack, lambda _: None, history_days=60)
        player.write_personas()
        stack.start()
        try:
            player.play_history()
            time.sleep(5)
            rows = httpx.get(f"{url_of(stack, 'projections')}/api/seats", timeout=30).json()["programmes"]
        finally:
            stack.stop()
            shutil.rmtree(home, ignore_errors=True)
        played.append(
            {
                row["programme_id"]: (
                    row["total_count"],
                    row["taken_count"],
                    row["admitted_count"],
                    row["held_count"],
                    row["aggregate_version"],
                )
                for row in rows
            }
        )
    assert len(played[0]) > 90
    assert played[0] == played[1]
