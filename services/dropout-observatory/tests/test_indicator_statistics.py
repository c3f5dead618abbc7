"""Statistics of published counts: against worked examples that were published, by what they promise, and silent where a number is secret."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date
from itertools import pairwise
from math import inf
from statistics import NormalDist

import numpy as np
import pytest

from dropout_observatory.indicators import quality, shown
from dropout_observatory.indicators.definitions import definitions
from dropout_observatory.indicators.expected import expected_count, poisson_limits, ratio
from dropout_observatory.indicators.life_table import LifeTable, Span, life_table
from dropout_observatory.indicators.shown import View
from dropout_observatory.indicators.signals import FALSE_ALERTS_A_YEAR, Month, Signal, log_likelihood_ratio, watch
from dropout_observatory.release import Dimension, Figure, Key, Release, Sum, Table

# 2,418 men with angina pectoris, by years after the diagnosis: deaths, and those last seen alive. Parker et al. (1946), in Lee and
# Wang, Statistical Methods for Survival Data Analysis, table 4.7; the results are those of SAS/STAT, LIFETEST, example "Life-Table
# Estimates for Males with Angina Pectoris".
DEATHS = (456, 226, 152, 171, 135, 125, 83, 74, 51, 42, 43, 34, 18, 9, 6, 0)
WITHDRAWN = (0, 39, 22, 23, 24, 107, 133, 102, 68, 64, 45, 53, 33, 27, 23, 30)
SURVIVAL = (1, 0.8114, 0.7170, 0.6524, 0.5786, 0.5193, 0.4611, 0.4172, 0.3712, 0.3342, 0.2987, 0.2557, 0.2136, 0.1839)
ERRORS = (0, 0.00796, 0.00918, 0.00973, 0.0101, 0.0103, 0.0104, 0.0105, 0.0106, 0.0107, 0.0109, 0.0111, 0.0114, 0.0118)


def angina(**changes: float | None) -> LifeTable:
    """The published example, some of its spans without a number."""
    spans = [
        Span(year, year + 1 if year < 15 else inf, *numbers)
        for year, numbers in enumerate(zip(DEATHS, WITHDRAWN, strict=True))
    ]
    for name, value in changes.items():
        spans[int(name[1:])] = replace(spans[int(name[1:])], happened=value)
    table = life_table(2418, spans)
    assert table is not None
    return table


# -- how long until


def test_the_life_table_is_that_of_the_published_example() -> None:
    """Survival to four places and Greenwood's errors to three figures."""
    table = angina()
    assert [round(point.share, 4) for point in table.points[: len(SURVIVAL)]] == [round(one, 4) for one in SURVIVAL]
    assert [point.error for point in table.points[: len(ERRORS)]] == pytest.approx(ERRORS, rel=0.006)


def test_the_median_is_that_of_the_published_example() -> None:
    """5.3313 years; between limits of which each is where its own curve is at one half."""
    median = angina().quantile(0.5)
    assert median is not None and median.at == pytest.approx(5.3313, abs=5e-5)
    # SAS gives the standard error 0.1749; the log-log limits are not symmetric, and near its 1.96 times.
    assert median.low == pytest.approx(5.3313 - NormalDist().inv_cdf(0.975) * 0.1749, abs=0.03)
    assert median.high == pytest.approx(5.3313 + NormalDist().inv_cdf(0.975) * 0.1749, abs=0.03)


def test_what_is_not_reached_is_not_said() -> None:
    """Of a hundred people ten were offered something, and the rest was last seen without at the end."""
    table = life_table(100, [Span(0, 2, 4, 0), Span(2, 4, 6, 10), Span(4, inf, 0, 80)])
    assert table is not None
    median, tenth = table.quantile(0.5), table.quantile(0.05)
    assert median is not None and (median.at, median.high) == (None, None)
    assert tenth is not None and tenth.at == pytest.approx(2 + 2 * 0.01 / (0.96 * 6 / 91))


def test_after_a_secret_number_nothing_is_computed() -> None:
    """What was reached before it still is; the median, which would need it, is None, and not a number that leaves it out."""
    table = angina(_4=None)
    first = table.quantile(0.25)
    assert table.secret_from == 4 and table.until == 4
    assert first is not None and first.at == pytest.approx(1.6505, abs=1e-4)
    assert table.quantile(0.5) is None
    assert life_table(None, [Span(0, 2, 1, 1)]) is None and life_table(0, [Span(0, 2, 0, 0)]) is None


def test_the_curve_is_between_the_two_that_secret_numbers_leave_possible() -> None:
    """Whatever was hidden of three hundred drawn tables; of a quantile that is said, so is its time, and half of the interval is chance."""
    rng, said, open_ones = random.Random(11), 0, 0
    ends = (0, 2, 4, 8, 13, 26, inf)

    def cell(number: float | None) -> float | None:
        return None if (number or 0) < 25 and rng.random() < 0.25 else number

    for _ in range(300):
        whole = [Span(begins, after, rng.randint(0, 90), rng.randint(0, 90)) for begins, after in pairwise(ends)]
        people = sum((one.happened or 0) + (one.left or 0) for one in whole)
        cut = [replace(one, happened=cell(one.happened), left=cell(one.left)) for one in whole]
        hidden = [
            sum(getattr(full, name) - (getattr(rest, name) or 0) for full, rest in zip(whole, cut, strict=True))
            for name in ("happened", "left")
        ]
        # Which numbers are left for one kind may not be known; then it may be anybody.
        hidden = [None if number and rng.random() < 0.2 else number for number in hidden]
        truth, told = life_table(people, whole, 0, 0), life_table(people, cut, *hidden)
        assert truth and told
        for true, fast, slow in zip(truth.points, told.fastest, told.slowest, strict=False):
            assert fast.share <= true.share + 1e-12 and true.share <= slow.share + 1e-12
        for true, point in zip(truth.points, told.points, strict=False):
            assert abs(true.share - point.share) <= 0.025 + 1e-12
        for share in (0.25, 0.5):
            found, real = told.quantile(share), truth.quantile(share)
            if found is not None and found.at is not None:
                assert real is not None and real.at is not None and found.low is not None
                assert abs(found.at - real.at) <= found.within + 1e-9
                said += 1
                open_ones += found.within > 0.05
                assert not found.within or (found.high is not None and 4 * found.within <= found.high - found.low)
    assert said > 150 and open_ones > 30


def test_numbers_of_several_days_leave_nobody_knows_how_many() -> None:
    """A class is withheld: what the others leave of one day bounds it, and of two days it may be anybody."""
    counts = {"all": 296, "offered": 156, "offered:0-2": 60, "offered:2-4": 50, "offered:8-13": 40, "without": 140}
    counts |= {f"without:{span}": 28 for span in ("0-2", "2-4", "4-8", "8-13", "13-26")} | {"without:26+": 0}

    def told(stayed: str) -> LifeTable:
        figures: dict[Key, Figure] = {
            ("region", code): Figure(n, 1 if code == stayed else 2) for code, n in counts.items()
        }
        dimensions = Dimension("territory", "region"), Dimension("delay", "all")
        table = Table("first-offer-delay/2026-2027", "cases/2026-2027", ("territory", "delay"))
        release = Release(2, "2027-03-01", None, dimensions, (table,), figures={table.name: figures})
        found = shown.delays(View(definitions()["first-offer-delay"], release, "2026-2027", {}), "region")
        assert found is not None
        return found

    # Six are left for the class that is withheld, and those after it.
    assert told("").until == 13 and told("").quantile(0.5) is not None
    for stayed in ("offered", "offered:2-4"):
        assert told(stayed).secret_from == 4 and told(stayed).quantile(0.5) is None
    assert told("without:2-4").until == 13


def test_who_still_waits_makes_the_median_longer() -> None:
    """A mean of the finished delays is the same for both; the median is not."""
    offered = [Span(0, 2, 40, 0), Span(2, 4, 20, 0), Span(4, 8, 10, 0), Span(8, inf, 0, 0)]
    waiting = [*offered[:-1], Span(8, inf, 0, 30)]
    without, with_them = life_table(70, offered), life_table(100, waiting)
    assert without and with_them
    short, long = without.quantile(0.5), with_them.quantile(0.5)
    assert short and long and short.at is not None and long.at is not None
    assert (round(short.at, 2), round(long.at, 2)) == (1.75, 3.0)


# -- observed and expected


@pytest.mark.parametrize(
    ("count", "low", "high"),
    # Garwood (1936), as printed in every table of exact Poisson limits; 30 is also Beaumont and Breslow's worked example.
    [
        (0, 0, 3.689),
        (1, 0.0253, 5.572),
        (5, 1.623, 11.668),
        (10, 4.795, 18.390),
        (30, 20.24, 42.83),
        (100, 81.36, 121.63),
    ],
)
def test_limits_are_those_of_the_printed_table(count: int, low: float, high: float) -> None:
    """Exact 95 % limits of a Poisson mean."""
    assert poisson_limits(count) == pytest.approx((low, high), rel=5e-4, abs=5e-4)


def test_a_ratio_has_its_interval() -> None:
    """30 observed, 15.21 expected: 1.97, between 1.33 and 2.82."""
    found = ratio(30, 15.21)
    assert found is not None and found.differs
    assert (round(found.value, 2), round(found.low, 2), round(found.high, 2)) == (1.97, 1.33, 2.82)
    same = ratio(15, 15.21)
    assert same is not None and not same.differs


def test_expected_is_the_regions_rate_times_the_pupils_here() -> None:
    """Two classes by hand: 40 of 1,000 and 10 of 2,000; here 100 and 600 pupils."""
    region, pupils = {"low": 40.0, "high": 10.0}, {"low": 1000.0, "high": 2000.0}
    assert expected_count(region, pupils, {"low": 100.0, "high": 600.0}) == pytest.approx(4 + 3)
    assert expected_count(region, pupils, pupils) == pytest.approx(50)
    assert expected_count({**region, "low": None}, pupils, {"low": 100.0, "high": 600.0}) is None
    assert expected_count({**region, "low": None}, pupils, {"low": 0.0, "high": 600.0}) == pytest.approx(3)
    assert ratio(None, 7) is None and ratio(3, None) is None


# -- early signals


def months(here: list[int], everywhere: list[int]) -> list[Month]:
    """A school year from its counts."""
    codes = ("09", "10", "11", "12", "01", "02", "03", "04", "05", "06", "07", "08")
    return [Month(code, one, of) for code, one, of in zip(codes, here, everywhere, strict=False)]


SEASON = np.array([420, 380, 260, 190, 210, 160, 130, 110, 90, 60, 20, 30])


def test_false_alerts_are_as_rare_as_it_says() -> None:
    """Four hundred school years without any change, seeded: no more alerts than one in ten."""
    rng = np.random.default_rng(21)
    alerts = 0
    for _ in range(400):
        everywhere = rng.poisson(SEASON)
        alerts += watch(months(rng.binomial(everywhere, 0.18).tolist(), everywhere.tolist())).signal is not None
    # Three standard errors above what is promised would be 58.
    assert alerts <= 400 * FALSE_ALERTS_A_YEAR + 3 * (400 * 0.1 * 0.9) ** 0.5


def test_a_rise_is_found_where_it_begins() -> None:
    """Twice its part from January on; the words need both numbers, and how rare it is."""
    here = [76, 68, 47, 34, 76, 58]
    everywhere = [420, 380, 260, 190, 248, 189]
    signal = watch(months(here, everywhere)).signal
    assert signal is not None
    assert (signal.since, signal.until, signal.observed) == ("01", "02", 134)
    assert signal.expected == pytest.approx(sum(here) * (248 + 189) / sum(everywhere))
    assert signal.years >= 1 / FALSE_ALERTS_A_YEAR


def test_a_season_is_no_signal() -> None:
    """Whoever follows the Region has no alert, however steep its year."""
    assert watch(months([round(0.2 * one) for one in SEASON], list(SEASON))).signal is None


def test_secret_months_are_left_out_and_named() -> None:
    """With too few of them nothing is said."""
    some = [Month("09", 40, 400), Month("10", None, 300), Month("11", 20, 200), Month("12", 15, 150)]
    found = watch(some)
    assert (found.secret, found.months, found.too_few) == (("10",), ("09", "11", "12"), False)
    assert watch(some[:3]).too_few
    # A number that stayed from an older release may be more than its sum: nothing breaks.
    assert isinstance(watch([Month("09", 40, 30), Month("10", 30, 31), Month("11", 20, 20)]).signal, Signal | None)


def test_the_score_is_kulldorffs() -> None:
    """Of one window by the plain formula: 34 of 100, 19 expected."""
    assert log_likelihood_ratio(34, 19, 100) == pytest.approx(34 * np.log(34 / 19) + 66 * np.log(66 / 81))


# -- what to know of the numbers

TERRITORY = Dimension("territory", "region", (Sum("region", ("a", "b")),))
MONTH = Dimension("month", "all", (Sum("all", ("09", "10", "02")),))


def release(
    figures: dict[tuple[str, ...], Figure], *, number: int = 9, dimensions: tuple[str, ...] = ("territory",)
) -> Release:
    """One table of cases."""
    table = Table("cases/2026-2027", "cases/2026-2027", dimensions)
    return Release(number, "2026-12-07", None, (TERRITORY, MONTH), (table,), figures={table.name: figures})


def said(one: Release) -> list[tuple[str, bool]]:
    """Kind and fault of every message."""
    found = quality.of_table(one, one.tables[0], lambda _, code: code.upper(), lambda number: f"S{40 + number}")
    return [(message.kind, message.fault) for message in found]


def test_sums_that_differ_are_said() -> None:
    """Of an older number it is explained; of numbers of one release it is a fault; a secret part says nothing."""
    whole: dict[Key, Figure] = {("region",): Figure(50, 9)}
    a: dict[Key, Figure] = {("a",): Figure(30, 9)}
    assert said(release({**whole, **a, ("b",): Figure(20, 9)})) == []
    assert said(release({**whole, **a, ("b",): Figure(24, 8)})) == [("sum", False)]
    assert said(release({**whole, **a, ("b",): Figure(24, 9)})) == [("sum", True)]
    assert said(release({**whole, **a, ("b",): Figure()})) == []
    found = quality.of_table(
        release({**whole, **a, ("b",): Figure(24, 8)}), release({}).tables[0], lambda _, code: code.upper(), str
    )
    assert "REGION : 50, la somme des parties 54" in found[0].text


def test_a_silence_is_said() -> None:
    """A whole that stayed for six releases."""
    assert said(release({("region",): Figure(50, 3)})) == [("silence", False)]
    assert said(release({("region",): Figure(50, 4)})) == []


def test_a_month_to_come_is_said() -> None:
    """Of a release of December nobody left in February."""
    both = ("territory", "month")
    assert said(release({("region", "02"): Figure(12, 9)}, dimensions=both)) == [("date", True)]
    assert said(release({("region", "10"): Figure(12, 9), ("region", "02"): Figure()}, dimensions=both)) == []


def test_a_definition_that_changed_is_said() -> None:
    """By its version; in silence it is a fault."""
    one = {"version": 1, "sha256": "a"}
    assert quality.of_definition("x", one, one) == quality.of_definition("x", one, None) == []
    assert [m.fault for m in quality.of_definition("x", {"version": 2, "sha256": "b"}, one)] == [False]
    assert [m.fault for m in quality.of_definition("x", {"version": 1, "sha256": "b"}, one)] == [True]


def test_a_day_that_cannot_be_and_a_week_that_is_missing_are_said() -> None:
    """Of the newest release only: an older one is not late."""
    monday = date(2026, 11, 30)
    assert quality.of_day(monday, date(2026, 12, 7), newest=True) == []
    assert [m.kind for m in quality.of_day(monday, date(2026, 12, 8), newest=True)] == ["late"]
    assert quality.of_day(monday, date(2027, 12, 8), newest=False) == []
    assert [m.fault for m in quality.of_day(monday, date(2026, 11, 29), newest=True)] == [True]
