"""What is at the same hour: a class by its school and its name, a person by their address; the entry of an event is beside it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.messages import PartyKind, SessionPurpose
from events.overlaps import Hours, beside, class_name, why_not_yet

NINE = datetime(2027, 2, 4, 8, tzinfo=UTC)


def hours(begin: int = 0, end: int = 60, purpose: SessionPurpose = SessionPurpose.WORKSHOP) -> Hours:
    """Seats in a session of an event of its own, so many minutes after nine."""
    starts_at, ends_at = (NINE + timedelta(minutes=minutes) for minutes in (begin, end))
    return Hours(
        uuid4(), uuid4(), "Salon", "Atelier", purpose, starts_at, ends_at, "", registration_id=uuid4(), party_id=uuid4()
    )


@pytest.mark.parametrize(
    ("begin", "end", "overlap"),
    [
        (0, 60, True),
        (59, 120, True),
        (-30, 1, True),
        (10, 20, True),
        (-60, 120, True),
        (60, 90, False),
        (-30, 0, False),
    ],
)
def test_what_shares_a_minute_is_at_the_same_hour(begin: int, end: int, overlap: bool) -> None:
    """What begins when the other ends is after it."""
    assert hours(0, 60).overlaps(hours(begin, end)) is overlap


@given(st.tuples(*[st.integers(0, 20)] * 4), st.booleans())
def test_both_say_the_same_of_each_other(ends: tuple[int, int, int, int], one_event: bool) -> None:
    """Whoever is asked first; and it is what a walk minute by minute finds."""
    one, other = hours(ends[0], ends[0] + ends[1] + 1), hours(ends[2], ends[2] + ends[3] + 1)
    if one_event:
        other = replace(other, event_id=one.event_id)
    walked = set(range(ends[0], ends[0] + ends[1] + 1)) & set(range(ends[2], ends[2] + ends[3] + 1))
    assert one.overlaps(other) == other.overlaps(one) == bool(walked)


def test_the_entry_of_an_event_is_beside_what_is_in_it() -> None:
    """Who has entered a fair goes to its workshops; the entry of another fair is somewhere else."""
    entry, workshop = hours(0, 600, SessionPurpose.OPENING), hours(60, 120)
    assert entry.overlaps(workshop)
    inside = replace(workshop, event_id=entry.event_id)
    assert not entry.overlaps(inside) and not inside.overlaps(entry)
    assert inside.overlaps(replace(inside, session_id=uuid4()))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("3e B", "3E b", True),
        ("3e B", " 3eB ", True),
        ("3e B", "3e\u00a0B", True),
        ("3e B", "3e C", False),
        ("3e B", "", False),
    ],
)
def test_a_class_is_known_by_its_name(one: str, other: str, same: bool) -> None:
    """Case and blanks do not make another class; another name does. What a family is called says nothing of who they are."""
    names = [class_name(PartyKind.GROUP, text) for text in (one, other)]
    assert (names[0] == names[1]) is same
    first, second = (replace(hours(), class_name=name) for name in names)
    assert first.overlaps(second) is same
    assert class_name(PartyKind.INDIVIDUAL, one) == ""


def test_what_is_asked_for_twice_is_asked_about_too() -> None:
    """Each other one once, by their begin; nothing where nothing is."""
    had, asked, twice, alone = hours(), hours(30, 90), hours(45, 60), hours(300, 360)
    assert why_not_yet([asked, alone], [], "vous") is None
    assert why_not_yet([alone], [had], "vous") is None
    refusal = why_not_yet([asked, twice, alone], [had, alone], "vous")
    assert refusal is not None
    listed = [one["id"] for one in refusal.facts["overlaps"]]
    assert listed == [str(one.session_id) for one in (had, asked, twice, alone)]


def test_beside_each_registration_is_what_is_at_its_hour() -> None:
    """Where nothing is, it is not named."""
    one, other, later = hours(), hours(30, 90), hours(90, 120)
    assert beside([one, other, later]) == {one.registration_id: [other], other.registration_id: [one]}
