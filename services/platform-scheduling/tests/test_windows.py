"""Offered windows on the Paris clock: clock changes, holidays, leap days, midnight, and rules that are not taken."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from dateutil.rrule import DAILY, MO, MONTHLY, rrule

from platform_scheduling.state import Span
from platform_scheduling.windows import Window, checked_rule, occurrences
from territory import school_calendar
from territory.working_time import PARIS


def window(begin: str, minutes: int, rule: str | None = "FREQ=DAILY", **changes: bool) -> Window:
    """A window that also takes place in holidays, unless told otherwise."""
    given = {"in_school_holidays": True, "in_public_holidays": True, **changes}
    return Window(UUID(int=1), datetime.fromisoformat(begin), minutes, rule, **given)


def days(one: Window, first: str, last: str) -> list[str]:
    """The Paris days on which it takes place."""
    found = occurrences(one, date.fromisoformat(first), date.fromisoformat(last))
    return [span.starts_at.astimezone(PARIS).date().isoformat() for span in found]


def test_a_window_keeps_its_wall_clock_when_the_clocks_change() -> None:
    """8:00 in Paris before and after 28 March and 31 October 2027: an hour earlier or later in UTC."""
    spans = occurrences(window("2027-01-01T08:00", 600), date(2027, 3, 27), date(2027, 3, 29))
    assert [span.starts_at.hour for span in spans] == [7, 6, 6]
    spans = occurrences(window("2027-01-01T08:00", 600), date(2027, 10, 30), date(2027, 11, 1))
    assert [span.starts_at.hour for span in spans] == [6, 7, 7]
    assert all(span.minutes == 600 for span in spans)


def test_over_midnight_and_over_the_night_of_the_change() -> None:
    """From 22:00 to 6:00: eight hours of the clock are seven, eight or nine real ones."""
    found = occurrences(window("2027-01-01T22:00", 480), date(2027, 3, 26), date(2027, 3, 27))
    assert [span.minutes for span in found] == [480, 420]
    found = occurrences(window("2027-01-01T22:00", 480), date(2027, 10, 30), date(2027, 10, 31))
    assert [span.minutes for span in found] == [540, 480]


def test_an_hour_that_does_not_exist_and_one_that_exists_twice() -> None:
    """2:30 on 28 March is read an hour later; what lies whole in the missing hour is left out; 2:30 in October is the first."""
    (spring,) = occurrences(window("2027-03-28T02:30", 120, None), date(2027, 3, 28), date(2027, 3, 28))
    assert spring == Span(datetime(2027, 3, 28, 1, 30, tzinfo=UTC), datetime(2027, 3, 28, 2, 30, tzinfo=UTC))
    assert occurrences(window("2027-03-28T02:15", 45, None), date(2027, 3, 28), date(2027, 3, 28)) == []
    (autumn,) = occurrences(window("2027-10-31T02:30", 30, None), date(2027, 10, 31), date(2027, 10, 31))
    assert autumn.starts_at == datetime(2027, 10, 31, 0, 30, tzinfo=UTC)


def test_the_29th_of_february() -> None:
    """A yearly rhythm of months meets it in leap years alone; a daily one passes through it."""
    assert days(window("2024-02-29T08:00", 60, "FREQ=MONTHLY;INTERVAL=12"), "2024-01-01", "2033-01-01") == [
        "2024-02-29",
        "2028-02-29",
        "2032-02-29",
    ]
    assert days(window("2028-02-01T08:00", 60), "2028-02-28", "2028-03-01") == [
        "2028-02-28",
        "2028-02-29",
        "2028-03-01",
    ]


def test_school_holidays_of_zone_b_and_public_holidays() -> None:
    """Winter holidays 2027 of Normandy, from 20 February to 7 March; 1 May and Ascension."""
    in_school = window("2027-01-04T08:00", 60, "FREQ=WEEKLY;BYDAY=MO,TH", in_school_holidays=False)
    assert days(in_school, "2027-02-15", "2027-03-12") == ["2027-02-15", "2027-02-18", "2027-03-08", "2027-03-11"]
    at_work = window("2027-04-30T08:00", 60, in_public_holidays=False)
    assert "2027-05-01" not in days(at_work, "2027-04-30", "2027-05-09")
    assert "2027-05-06" not in days(at_work, "2027-04-30", "2027-05-09")
    assert school_calendar.school_holiday(date(2027, 2, 25)) == "Vacances d'hiver"
    assert school_calendar.school_holiday(date(2027, 2, 15)) is None  # zone A and C, not ours


def test_beyond_the_published_calendar_a_window_of_school_days_is_closed() -> None:
    """Nobody knows the holidays of a year that the ministry has not published."""
    known = school_calendar.known_until()
    open_days = days(
        window("2026-01-01T08:00", 60, in_school_holidays=False), str(known), str(known + timedelta(days=60))
    )
    assert open_days == []
    assert len(days(window("2026-01-01T08:00", 60), str(known), str(known + timedelta(days=60)))) == 61


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("FREQ=MONTHLY;BYDAY=1MO", rrule(MONTHLY, dtstart=datetime(2027, 1, 4, 8), byweekday=MO(1))),
        ("FREQ=DAILY;INTERVAL=3;COUNT=5", rrule(DAILY, interval=3, count=5, dtstart=datetime(2027, 1, 4, 8))),
        (
            "FREQ=DAILY;UNTIL=20270110",
            rrule(DAILY, until=datetime(2027, 1, 10, 23, 59), dtstart=datetime(2027, 1, 4, 8)),
        ),
        ("RRULE:FREQ=DAILY;UNTIL=20270110T070000Z", rrule(DAILY, count=7, dtstart=datetime(2027, 1, 4, 8))),
    ],
)
def test_rules_mean_what_the_standard_says(rule: str, expected: rrule) -> None:
    """Against dateutil's own objects; an end in UTC is read on the Paris clock."""
    found = days(window("2027-01-04T08:00", 60, checked_rule(rule)), "2027-01-01", "2027-06-30")
    assert found == [at.date().isoformat() for at in expected.between(datetime(2027, 1, 1), datetime(2027, 7, 1))]


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=SECONDLY",
        "FREQ=YEARLY",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;INTERVAL=7;BYDAY=TU",
        "FREQ=WEEKLY;BYDAY=2MO",
        "FREQ=WEEKLY;COUNT=2;UNTIL=20270101",
        "FREQ=WEEKLY;UNTIL=20271399",
        "FREQ=WEEKLY;FREQ=DAILY",
        "FREQ=WEEKLY;INTERVAL=0",
        "FREQ=WEEKLY;INTERVAL=1000000000",
        "INTERVAL=2",
        "",
        "DTSTART:20270101\nRRULE:FREQ=DAILY",
    ],
)
def test_a_rule_that_could_keep_a_process_busy_or_means_nothing_is_refused(rule: str) -> None:
    """In words, before any library computes it."""
    with pytest.raises(ValueError):
        checked_rule(rule)


@pytest.mark.parametrize(
    "rule", ["FREQ=MONTHLY;INTERVAL=99", "FREQ=MONTHLY;BYDAY=-4SU,4MO", "FREQ=WEEKLY;INTERVAL=99;BYDAY=SU"]
)
def test_what_is_taken_comes_to_an_end(rule: str) -> None:
    """The sparsest rules, of which one meets no day at all for decades: the test's timeout is what would fail."""
    found = occurrences(window("2020-01-31T08:00", 60, checked_rule(rule)), date(2090, 1, 1), date(2100, 12, 31))
    assert len(found) <= 22 * 12
