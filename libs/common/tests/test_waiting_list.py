"""The rules of waiting lists: order, offers, cut-off, draw."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from waiting_list.rules import PARIS, Place, Terms, bound, lottery_key, served

TERMS = Terms(offer_hours=48, offer_hours_last=12, last_days=3, cut_off_hour=18)
BEGINS = datetime(2027, 2, 4, 9, tzinfo=PARIS).astimezone(UTC)
NOON = datetime(2027, 1, 4, 12, tzinfo=UTC)

places = st.lists(
    st.builds(
        Place,
        entry_id=st.uuids(),
        seat_count=st.integers(1, 6),
        joined_at=st.integers(0, 20).map(lambda n: NOON + timedelta(minutes=n)),
        priority=st.integers(0, 1),
        lottery_key=st.one_of(st.none(), st.sampled_from(("0a", "5f", "ff"))),
    ),
    max_size=12,
    unique_by=lambda place: place.entry_id,
)


def test_offers_hold_two_days_then_half_a_day_then_nothing() -> None:
    """48 h; 12 h in the last three days; never beyond 18:00 of the day before, and none from then on."""
    assert TERMS.offer_until(BEGINS, BEGINS - timedelta(days=10)) == BEGINS - timedelta(days=8)
    assert TERMS.offer_until(BEGINS, BEGINS - timedelta(days=2)) == BEGINS - timedelta(days=1, hours=12)
    closes = datetime(2027, 2, 3, 18, tzinfo=PARIS)
    assert TERMS.cut_off(BEGINS) == closes
    assert TERMS.offer_until(BEGINS, closes - timedelta(hours=1)) == closes
    assert TERMS.offer_until(BEGINS, closes) is None


def test_the_cut_off_keeps_its_clock_over_a_clock_change() -> None:
    """18:00 in Paris is an hour of the eve, whatever the night between does."""
    for day in (datetime(2027, 3, 28, 10, tzinfo=PARIS), datetime(2027, 10, 31, 10, tzinfo=PARIS)):
        closes = TERMS.cut_off(day.astimezone(UTC)).astimezone(PARIS)
        assert (closes.hour, closes.date()) == (18, day.date() - timedelta(days=1))


@given(places, st.integers(0, 12))
def test_nobody_is_served_beyond_the_seats_nor_passed_without_cause(line: list[Place], free: int) -> None:
    """What is given fits; who is passed over asks for more than was left when its turn came; no more could be given."""
    chosen = served(free, line)
    assert sum(one.seat_count for one in chosen) <= free
    left = free
    for one in sorted(line, key=lambda one: one.order):
        if one in chosen:
            left -= one.seat_count
        else:
            assert one.seat_count > left
    assert chosen == sorted(chosen, key=lambda one: one.order)


def test_priority_comes_before_the_draw_and_the_draw_before_arrival() -> None:
    """Who has priority, then who was drawn, then who came first; the id settles what is left."""
    first, late = NOON, NOON + timedelta(hours=1)
    order = [
        Place(UUID(int=9), 1, late, priority=1),
        Place(UUID(int=8), 1, late, lottery_key="00"),
        Place(UUID(int=7), 1, first, lottery_key="aa"),
        Place(UUID(int=5), 1, first),
        Place(UUID(int=6), 1, first),
        Place(UUID(int=4), 1, late),
    ]
    assert sorted(order, key=lambda one: one.order) == order


def test_anyone_can_redo_the_draw() -> None:
    """The same seed and entry give the same place; another seed gives another; the seed was bound before."""
    entry = uuid4()
    assert lottery_key("a seed", entry) == lottery_key("a seed", entry) != lottery_key("another", entry)
    assert bound("a seed") == hashlib.sha256(b"a seed").hexdigest()
