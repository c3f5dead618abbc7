"""What a release gives away: nothing when it was protected, and every leak that is planted is found."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import small_releases as small
from dropout_observatory.attacker import Finding, audit
from dropout_observatory.publication import NotPublishedError, chained, next_release, publishable
from dropout_observatory.release import Cell, CellId, Dimension, Figure, Key, Overlap, Release, Rules, Sum, Table
from dropout_observatory.secrecy import protect

_rngs = st.integers(0, 2**32).map(random.Random)
S = Figure()


# -- random releases


def weeks(rng: random.Random, count: int) -> list[Release]:
    """Successive releases of the same tables while people come, are corrected and go."""
    everybody, shapes = small.people(rng), small.tables(rng)
    releases: list[Release] = []
    for _ in range(count):
        texts = [one.text() for one in releases]
        cells, knowledge = small.counted(shapes, everybody), small.known(shapes, everybody)
        day = f"2027-03-{len(releases) + 1:02}"
        releases.append(next_release(texts, day, small.DIMENSIONS, shapes, cells, Rules(), knowledge, {}))
        everybody = small.moved(rng, everybody)
    return releases


@given(_rngs)
@settings(max_examples=8, phases=(Phase.generate,))  # a seed does not shrink
def test_no_random_release_is_narrowed(rng: random.Random) -> None:
    """Two weeks of each: the attack, on every marginal, both releases and what each organisation knows, finds nothing."""
    chained(weeks(rng, 2))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(250))
def test_none_of_five_hundred_random_releases_is_narrowed(seed: int) -> None:
    """As above, 250 pairs."""
    chained(weeks(random.Random(f"secrecy {seed}"), 2))


@given(_rngs)
@settings(max_examples=5, phases=(Phase.generate,))
def test_the_same_numbers_give_the_same_bytes(rng: random.Random) -> None:
    """Whatever the order in which they come."""
    everybody, shapes = small.people(rng), small.tables(rng)
    cells, knowledge = small.counted(shapes, everybody), small.known(shapes, everybody)
    head = small.head(1, shapes)
    first = protect(head, cells, [], knowledge)
    turned = {name: dict(reversed(one.items())) for name, one in reversed(cells.items())}
    again = protect(head, turned, [], {name: dict(reversed(one.items())) for name, one in knowledge.items()})
    assert first.text() == again.text()
    assert Release.read(first.text()).text() == first.text()
    assert Release.read(first.text()).sha256 == first.sha256


@given(_rngs)
@settings(max_examples=5, phases=(Phase.generate,))
def test_no_secondary_secret_is_one_too_many(rng: random.Random) -> None:
    """Of a single table, every number that is withheld though it has eleven people is needed: shown alone, something is narrowed."""
    everybody, shapes = small.people(rng), (Table("t", "cases", ("territory", "level")),)
    cells, knowledge = small.counted(shapes, everybody), small.known(shapes, everybody)
    release = protect(small.head(1, shapes), cells, [], knowledge)
    for key, figure in release.figures["t"].items():
        if figure.value is None and cells["t"][key].people >= 11:
            shown = {**release.figures["t"], key: Figure(cells["t"][key].people, 1)}
            assert audit([replace(release, figures={"t": shown}).text()], knowledge), key


def test_the_number_of_all_is_withheld_last() -> None:
    """Of three tables that begin with the same number, each withholds one of its own rather than all of them that one."""
    names = ("level", "factor", "month")
    dimensions = tuple(Dimension(name, "all", (Sum("all", ("a", "b", "c")),)) for name in names)
    tables = tuple(Table(name, "cases", (name,)) for name in names)
    count: dict[Key, Cell] = {("all",): Cell(83), ("a",): Cell(3), ("b",): Cell(30), ("c",): Cell(50)}
    release = protect(Release(1, "2027-03-01", None, dimensions, tables), dict.fromkeys(names, count), [])
    for name in names:
        assert release.figures[name] == {("all",): n(83), ("a",): S, ("b",): S, ("c",): n(50)}


# -- planted leaks

ROW = Dimension("level", "all", (Sum("all", ("a", "b", "c", "d")),))


def told(figures: Mapping[str, Figure], number: int = 1, dimension: Dimension = ROW, **shape: object) -> Release:
    """A release with one table of one dimension."""
    table = replace(Table("t", "cases", (dimension.name,)), **shape)  # type: ignore[arg-type]
    cells: Mapping[Key, Figure] = {(code,): figure for code, figure in figures.items()}
    return Release(number, "2027-03-01", None, (dimension,), (table,), figures={"t": cells})


def found(*releases: Release, knowledge: Mapping[str, Mapping[CellId, int]] | None = None) -> dict[str, Finding]:
    """What the attack finds, by cell."""
    return {one.cell: one for one in audit([release.text() for release in releases], knowledge)}


def n(value: float, as_of: int = 1) -> Figure:
    return Figure(value, as_of)


def at(code: str, measure: str = "cases") -> CellId:
    return measure, (("level", code),)


SAFE = {"all": n(80), "a": n(30), "b": n(24), "c": S, "d": S}


def test_what_is_safe_is_left_alone() -> None:
    """Two cells withheld whose sum is 26."""
    assert found(told(SAFE)) == {}


def test_a_missing_secondary_cell_is_found() -> None:
    """Planted: only the small one is withheld."""
    assert found(told(SAFE | {"d": n(23)}))["cases, level c"].high == 3


def test_what_everybody_knows_to_be_empty_hides_nothing() -> None:
    """Planted: one person came, and only months to come could have them instead."""
    weeks = (
        {"all": n(40), "a": n(28), "b": n(12)},
        {"all": n(52, 2), "a": n(39, 2), "b": n(12, 1)},
    )
    to_come = (("level", "c"), ("level", "d"))
    first, second = (told(one, number, empty=to_come) for number, one in enumerate(weeks, 1))
    assert found(first, second)["cases, level b"].low == 1
    assert "cases, level b" not in found(*(told(one, number) for number, one in enumerate(weeks, 1)))
    assert Release.read(second.text()) == second
    # A month that has come since had nobody then: that numbers of then say so is no news, but that it has one now is.
    stays = {"all": n(40), "a": n(28), "b": n(12)}
    assert found(first, told(stays, 2, empty=to_come[1:])) == {}
    assert (
        found(first, told(stays | {"all": n(51, 2), "a": n(38, 2)}, 2, empty=to_come[1:]))["cases, level c"].high == 1
    )
    # Of itself, a code that is known to be empty is no finding.
    assert found(told({"all": n(40), "a": n(28), "b": n(12)}, empty=to_come)) == {}


def test_numbers_of_before_a_month_came_say_nothing_of_it() -> None:
    """They are of several days, and leave two for a month in which nobody could be: that no release could ever follow was the fault.

    Planted: two numbers of the release itself leave three for it.
    """
    row = Dimension("level", "all", (Sum("all", ("a", "b", "e", "c", "d")),))
    to_come = (("level", "c"), ("level", "d"))
    first = told({"all": n(60), "a": n(20), "b": n(20), "e": n(20)}, 1, row, empty=to_come)
    stayed = {"all": n(76, 2), "a": n(34, 2), "b": n(20), "e": n(20)}
    second = told(stayed, 2, row, empty=to_come)
    assert found(first, second) == {}
    third = told(stayed | {"c": S}, 3, row, empty=to_come[1:])
    assert found(first, second, third) == {}
    people = line(all=78, a=34, b=21, e=21, c=2)
    assert protect(replace(third, figures={}), people, [first, second]).figures == third.figures
    moved = told(stayed | {"all": n(88, 3), "a": n(45, 3), "c": S}, 3, row, empty=to_come[1:])
    assert found(first, second, moved)["cases, level c"].high == 3
    kept = protect(replace(moved, figures={}), line(all=88, a=45, b=20, e=20, c=3), [first, second])
    assert found(first, second, kept) == {} and kept.figures != moved.figures


def test_a_number_below_eleven_is_found() -> None:
    """Planted: a small cell is shown."""
    assert found(told(SAFE | {"c": n(10)}))["cases, level c"].low == 10


def test_two_releases_one_case_apart_are_found() -> None:
    """Planted: everything moves by one person."""
    moved = told({"all": n(81, 2), "a": n(31, 2), "b": n(24, 2), "c": S, "d": S}, 2)
    assert {"cases", "cases, level a"} <= found(told(SAFE), moved).keys()
    assert found(told(SAFE), told({"all": n(80), "a": n(30), "b": n(24, 2), "c": S, "d": S}, 2)) == {}


def test_a_hidden_cell_of_two_releases_together_is_found() -> None:
    """Planted: nothing moved, and the second release withholds another secondary cell than the first."""
    switched = told({"all": n(80, 2), "a": S, "b": n(24, 2), "c": S, "d": n(22, 2)}, 2)
    assert found(switched) == {}
    assert found(told(SAFE), switched)["cases, level c"].high == 4


def test_a_rate_of_another_day_hides_nothing() -> None:
    """Planted: as above, beside two rates that cannot be of the same day; a reader takes the counts and leaves the rates."""
    rate = Table("rate", "linked", ("level",), kind="rate", of="cases")

    def with_rates(release: Release, **rates: Figure) -> Release:
        cells: dict[Key, Figure] = {(code,): rates.get(code, S) for code in ("all", "a", "b", "c", "d")}
        return replace(release, tables=(*release.tables, rate), figures={**release.figures, "rate": cells})

    first = with_rates(told(SAFE), all=n(25))
    stays = {"all": n(80), "b": n(24)}
    second = with_rates(told({**stays, "a": S, "c": S, "d": n(22, 2)}, 2), all=n(25), b=n(96, 2))
    assert found(first) == {} and found(second) == {}
    assert found(first, second)["cases, level c"].high == 4


def test_nested_geography_is_found() -> None:
    """Planted: a department less the intercommunalities that are wholly in it is the few of one that straddles its border."""
    dimension = small.DIMENSIONS[0]
    shown = {"region": n(100), "14": n(43), "27": n(57), "E1": n(40), "E2": S, "E3": S}
    assert found(told(shown, dimension=dimension))["cases, territory E2/14"].low == 3


def test_a_row_of_zeros_is_found() -> None:
    """Planted: the zeros are withheld, and the one cell that has everybody is shown beside its total."""
    zeros = found(told({"all": n(30), "a": n(30), "b": S, "c": S, "d": S}))
    assert {one.high for one in zeros.values()} == {0}


def test_a_hundred_per_cent_is_found() -> None:
    """Planted: everybody of a place has the same factor, so that nobody has it not."""
    factors = Dimension("factor", "all", overlaps=(Overlap("all", ("health", "money")),))
    assert "cases, factor not health" in found(told({"all": n(30), "health": n(30), "money": S}, dimension=factors))


def test_a_rate_with_a_known_denominator_is_found() -> None:
    """Planted: 5 % of the 60 pupils that everybody can look up."""
    schools = Dimension("school", "all", (Sum("all", ("one", "two")),))
    pupils = Table("pupils", "pupils", ("school",), kind="public")
    rate = Table("rate", "cases", ("school",), kind="rate", of="pupils", people_min=20)
    figures: dict[str, dict[Key, Figure]] = {"pupils": {("one",): n(60)}, "rate": {("one",): n(5)}}
    release = Release(1, "2027-03-01", None, (schools,), (pupils, rate), figures=figures)
    assert found(release)["cases, school one"].high == 3


def test_linked_tables_whose_difference_is_a_hidden_cell_are_found() -> None:
    """Planted: sdcTools/UserSupport 136, the totals of two tables differ by what one of them withholds."""
    grouped = replace(ROW, sums=(*ROW.sums, Sum("a and b", ("a", "b")), Sum("to c", ("a", "b", "c"))))
    one = told({"all": n(80), "a and b": n(54), "c": S, "d": S}, dimension=grouped)
    assert found(one) == {}
    two = Table("u", "cases", ("level",))
    linked = replace(one, tables=(*one.tables, two), figures={**one.figures, "u": {("to c",): n(59)}})
    assert found(linked)["cases, level c"].low == 5


def test_a_contributor_who_knows_their_own_part_is_found() -> None:
    """Planted: the same thread, singletons. Six of the fourteen that are withheld are all one school's."""
    release = told({"all": n(68), "a": n(30), "b": n(24), "c": S, "d": S})
    assert found(release) == {}
    finding = found(release, knowledge={"school": {at("c"): 6}})["cases, level d"]
    assert (finding.reader, finding.high) == ("school", 8)


def test_a_hidden_set_dominated_by_one_is_found() -> None:
    """Planted: sdcTools/UserSupport 160. Of what is withheld together, one organisation has nine tenths."""
    release = told(SAFE | {"all": n(1000), "a": n(500), "b": n(400)}, kind="amount", measure="days", of="cases")
    finding = found(release, knowledge={"cfa": {at("c", "days"): 60, at("d", "days"): 30}})["days, level c"]
    assert "mostly that of cfa" in str(finding)
    assert found(release, knowledge={"cfa": {at("c", "days"): 40, at("d", "days"): 30}}).get("days, level c") is None


def test_an_amount_that_is_mostly_one_organisations_is_found() -> None:
    """Planted: shown though nine tenths of it are one's."""
    release = told(SAFE, kind="amount", measure="days", of="cases")
    assert "days, level a" in found(release, knowledge={"cfa": {at("a", "days"): 28}})


def test_an_amount_that_moves_with_few_people_is_found() -> None:
    """Planted: the days of a place go up while its count stays."""
    first = told({"a": n(300), "c": S}, kind="amount", measure="days", of="cases")
    second = told({"a": n(340, 2), "c": S}, 2, kind="amount", measure="days", of="cases")
    assert "days, level a" in found(first, second)


def test_a_small_sum_of_hidden_cells_is_found() -> None:
    """Planted: opensafely-core/ehrql 1666. A total that everybody knows, less what is shown, leaves five."""
    assert found(told(SAFE | {"all": n(59)}))["cases, level d"].high == 5


def test_what_only_grows_is_bounded_by_what_it_was() -> None:
    """Planted: fifteen once, so fifteen at least now that it is withheld."""
    first = told({"all": S, "c": n(15)}, grows=True)
    second = told({"all": n(74, 2), "a": n(30, 2), "b": n(24, 2), "c": S, "d": S}, 2, grows=True)
    assert found(second) == {}
    assert found(first, second)["cases, level d"].high == 5


def test_a_leak_is_not_published_and_the_message_says_which_cell() -> None:
    """The gate itself, on a planted text."""
    with pytest.raises(NotPublishedError, match="release 1, t, cases, level c: everybody knows that it is 3"):
        publishable([told(SAFE | {"d": n(23)}).text()], {})
    publishable([told(SAFE).text()], {})


def test_a_release_follows_the_one_before_as_it_was_published() -> None:
    """Planted: one number of the first is changed afterwards."""
    first = told(SAFE)
    chained([first, replace(told(SAFE, 2), previous=first.sha256)])
    changed = told(SAFE | {"a": n(31)})
    with pytest.raises(ValueError, match="release 2 does not follow"):
        chained([changed, replace(told(SAFE, 2), previous=first.sha256)])


# -- what is shown


def line(**people: int) -> dict[str, dict[Key, Cell]]:
    """The people of some codes of a table of one dimension."""
    return {"t": {(code,): Cell(count) for code, count in people.items()}}


def test_a_number_stays_until_another_may_take_its_place() -> None:
    """Five more: the number of the first release, and its date. Eleven more: the new one."""
    head = told({})
    first = protect(head, line(a=30, b=40), [])
    second = protect(replace(head, number=2), line(a=35, b=40), [first])
    third = protect(replace(head, number=3), line(a=41, b=40), [first, second])
    assert [one.figures["t"][("a",)] for one in (first, second, third)] == [n(30), n(30), n(41, 3)]
    assert second.figures["t"][("b",)] == n(40, 2)


def test_a_rate_of_a_school_needs_twenty_and_what_is_rounded_is() -> None:
    """Nineteen are too few for a rate, and enough for a count; where a table asks for it, fives."""
    rates = Table("r", "returned", ("level",), kind="rate", of="cases", people_min=20)
    counts = Table("t", "cases", ("level",))
    head = Release(1, "2027-03-01", None, (ROW,), (counts, rates))
    cells: dict[str, dict[Key, Cell]] = {
        "t": {("a",): Cell(25), ("b",): Cell(24)},
        "r": {("a",): Cell(12, of=25), ("b",): Cell(12, of=24)},
    }
    assert protect(head, cells, []).figures["r"] == {("a",): n(48), ("b",): n(50)}
    cells["t"][("b",)], cells["r"][("b",)] = Cell(19), Cell(8, of=19)
    assert protect(head, cells, []).figures["r"][("b",)] == S
    assert protect(told({}, rounding=5), line(a=33), []).figures["t"][("a",)] == n(35)


# -- the referee


@pytest.mark.parametrize("seed", range(3))
def test_tau_argus_withholds_as_much(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its optimum of a single table is no more costly than ours by a quarter, and our attack leaves its small cells alone."""
    from pytauargus import HiTaSCtrl

    monkeypatch.chdir(tmp_path)  # it writes its logs where it stands
    rng = random.Random(seed)
    rows, columns = ("r1", "r2", "r3", "r4"), ("c1", "c2", "c3")
    inner = {(r, c): rng.choice((3, 8, 14, 20, 33)) for r in rows for c in columns}
    people = {
        (r, c): sum(inner[x, y] for x in (rows if r == "all" else (r,)) for y in (columns if c == "all" else (c,)))
        for r in (*rows, "all")
        for c in (*columns, "all")
    }
    dimensions = (Dimension("r", "all", (Sum("all", rows),)), Dimension("c", "all", (Sum("all", columns),)))
    head = Release(1, "2027-03-01", None, dimensions, (Table("t", "cases", ("r", "c")),))
    ours = protect(head, {"t": {key: Cell(count) for key, count in people.items()}}, []).figures["t"]

    keys = list(people)
    lines = ["0", str(len(keys))]
    for place, key in enumerate(keys):
        count, needs = people[key], people[key] < 11
        lines.append(
            f"{place} {count} {_cost(key, count)} {'u' if needs else 's'} 0 9999 0 {11 - count if needs else 0} {10 * needs}"
        )
    sums = [(("all", c), [(r, c) for r in rows]) for c in (*columns, "all")]
    sums += [((r, "all"), [(r, c) for c in columns]) for r in (*rows, "all")]
    lines.append(str(len(sums)))
    for total, parts in sums:
        terms = [f"{keys.index(total)} (-1)", *(f"{keys.index(part)} (1)" for part in parts)]
        lines.append(f"0 {len(terms)} : {' '.join(terms)} ")
    Path("in.jj").write_text("\n".join(lines) + "\n")
    assert HiTaSCtrl().full_jj(in_file_jj="in.jj", out_file="out.jj", max_time=1) == 0
    secondary = {keys[int(line.split()[0])] for line in Path("out.jj").read_text().splitlines()}
    theirs: dict[Key, Figure] = {key: S if people[key] < 11 or key in secondary else n(people[key]) for key in keys}

    def cost(figures: Mapping[Key, Figure]) -> int:
        return sum(_cost(key, people[key]) for key in keys if figures[key].value is None)

    assert cost(theirs) <= cost(ours) <= cost(theirs) * 1.25
    narrowed = {one.cell for one in audit([replace(head, figures={"t": theirs}).text()])}
    small_ones = {f"cases, c {c}, r {r}" for (r, c), count in inner.items() if count < 11}
    assert not narrowed & small_ones


def _cost(key: Key, count: int) -> int:
    return (1 + int(count**0.5)) * (30 if set(key) == {"all"} else 1)
