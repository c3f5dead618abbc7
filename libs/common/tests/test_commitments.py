"""What a change would break is shown, counted, and accepted as it was shown; what came since is asked about anew."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from enum import StrEnum
from uuid import UUID, uuid4

import pytest

from common.commitments import ACCEPTS, WOULD_BREAK, Commitment, Fate, Table, ask

DAY = datetime(2027, 1, 4, 9, tzinfo=UTC)


def one(becomes: Fate = Fate.ENDS, when: datetime | date | None = DAY) -> Commitment:
    """Something promised."""
    return Commitment("booking", uuid4(), when, "Réservation acceptée, 10 personnes", becomes)


def test_nothing_broken_asks_nothing() -> None:
    """What stays is not asked about, nor is nothing."""
    assert ask([], None) is None
    assert ask([one(Fate.STAYS)], None) is None


def test_what_would_break_is_listed_and_accepted_as_shown() -> None:
    """A closed reason, the list by time, the count; the digest of the list goes on, whatever its order, and nothing else does."""
    later, sooner = one(), one(when=datetime(2027, 1, 3, 9, tzinfo=UTC))
    refusal = ask([later, sooner], None)
    assert refusal is not None and refusal.reason == WOULD_BREAK
    assert refusal.facts["count"] == 2
    assert [each["id"] for each in refusal.facts["commitments"]] == [str(sooner.id), str(later.id)]
    assert set(refusal.facts["commitments"][0]) == {"kind", "id", "when", "what", "becomes"}
    accepted = refusal.facts[ACCEPTS]
    assert ask([sooner, later], accepted) is None
    assert ask([sooner, later], "accept") is not None


@pytest.mark.parametrize("since", [one(), one(Fate.CHANGES), one(when=None), one(when=date(2027, 1, 5))])
def test_what_came_since_is_asked_about_anew(since: Commitment) -> None:
    """One more than was shown: another question, which lists it too."""
    first = one()
    shown = ask([first], None)
    assert shown is not None
    again = ask([first, since], shown.facts[ACCEPTS])
    assert again is not None and again.facts["count"] == 2
    assert ask([first, since], again.facts[ACCEPTS]) is None


def test_hundreds_are_counted_and_the_first_are_listed() -> None:
    """The list is bounded; its digest is not: one that is not listed counts as well."""
    many = sorted((one() for _ in range(250)), key=lambda each: str(each.id))
    refusal = ask(many, None)
    assert refusal is not None
    assert (refusal.facts["count"], len(refusal.facts["commitments"])) == (250, 100)
    assert ask([*many[:-1], replace(many[-1], id=UUID(int=2**128 - 1))], refusal.facts[ACCEPTS]) is not None


@pytest.mark.parametrize(
    ("fates", "said"),
    [
        ([Fate.ENDS], "1 engagement serait rompu."),
        ([Fate.ENDS] * 3, "3 engagements seraient rompus."),
        ([Fate.CHANGES], "1 engagement changerait."),
        ([Fate.MOVES, Fate.CHANGES], "2 engagements changeraient."),
        ([Fate.ENDS, Fate.ENDS, Fate.CHANGES], "2 engagements seraient rompus, 1 changerait."),
        ([Fate.ENDS, Fate.STAYS], "1 engagement serait rompu."),
    ],
)
def test_it_is_said_in_one_sentence(fates: list[Fate], said: str) -> None:
    """How many end, how many hold otherwise."""
    refusal = ask([one(fate) for fate in fates], None)
    assert refusal is not None and refusal.detail == said


class Change(StrEnum):
    """Two changes."""

    LESS = "less_room"
    GONE = "gone"


class Kind(StrEnum):
    """Two commitments."""

    HOLD = "hold"
    SEAT = "seat"


def test_a_missing_cell_is_seen() -> None:
    """A row that is too short, a row that is not there; the worst of several changes counts; README text says how many cells."""
    whole = Table(Change, Kind, {Change.LESS: (Fate.STAYS, Fate.CHANGES), Change.GONE: (Fate.ENDS, Fate.ENDS)})
    assert whole.missing == []
    assert whole.fate_of([], Kind.SEAT) is Fate.STAYS
    assert whole.fate_of([Change.LESS, Change.GONE], Kind.SEAT) is Fate.ENDS
    assert whole.markdown() == (
        "2 changes × 2 commitments, 4 cells:\n\n|  | hold | seat |\n|---|---|---|\n"
        "| less room | stays | changes |\n| gone | ends | ends |"
    )
    short = Table(Change, Kind, {Change.LESS: (Fate.STAYS,)})
    assert short.missing == [(Change.LESS, Kind.SEAT), (Change.GONE, Kind.HOLD), (Change.GONE, Kind.SEAT)]
