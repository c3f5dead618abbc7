"""The cast: real places, fictitious structures, the same for the same seed."""

from __future__ import annotations

from collections import Counter
from datetime import date

from demonstration import cast
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
