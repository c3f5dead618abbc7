"""Months on the calendar."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from territory.months import months_after, months_between


@given(st.dates(date(2020, 1, 1), date(2100, 1, 1)), st.integers(-40, 40))
def test_months_later_and_back(day: date, months: int) -> None:
    """The month is right, and the day is the same or the last of a shorter month."""
    found = months_after(day, months)
    assert months_between(day, found) == months
    assert found.day == day.day or (
        found.day < day.day and months_between(found, date.fromordinal(found.toordinal() + 1)) == 1
    )


def test_the_end_of_february() -> None:
    """Leap years and others."""
    assert months_after(date(2027, 11, 30), 3) == date(2028, 2, 29)
    assert months_after(date(2026, 11, 30), 3) == date(2027, 2, 28)
    assert months_after(date(2027, 3, 31), -1) == date(2027, 2, 28)
