"""What is at the same hour is said in one sentence, listed, and asked about only where there is something."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from common.overlaps import OVERLAPPING, OVERLAPS, Overlap, ask

NINE = datetime(2027, 2, 4, 8, tzinfo=UTC)


def at_nine(what: str) -> Overlap:
    """Something from nine to ten in Paris."""
    return Overlap("session", uuid4(), what, NINE, NINE + timedelta(hours=1))


def test_nothing_at_the_same_hour_asks_nothing() -> None:
    """Nothing is no question."""
    assert ask("vous", []) is None


def test_what_is_at_the_same_hour_is_said_and_listed() -> None:
    """A closed reason, a sentence for whom it is, what software needs, and how to go on."""
    one = at_nine("« Atelier bois »")
    refusal = ask("« 3e B »", [one])
    assert refusal is not None and refusal.reason == OVERLAPS
    assert refusal.detail == "À la même heure, pour « 3e B » : « Atelier bois », jeudi 4 février à 09:00 → 10:00."
    assert refusal.facts["overlaps"] == [one.shown] and one.shown["id"] == str(one.id)
    assert refusal.facts["confirmed_by"] == f"{OVERLAPPING}=true"


def test_the_first_few_are_said_and_all_are_listed() -> None:
    """A sentence stays one."""
    refusal = ask("vous", [at_nine(f"« {number} »") for number in range(5)])
    assert refusal is not None and refusal.detail.endswith("« 2 », jeudi 4 février à 09:00 → 10:00 et 2 de plus.")
    assert len(refusal.facts["overlaps"]) == 5 and "« 3 »" not in refusal.detail
