"""Indicators: each number of the lake is what other code finds in the same files, as it was known on a day."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars
import pytest

import small_lakes
from dropout_observatory.indicators import computing
from dropout_observatory.indicators.catalogue import (
    LEVELS_SHOWN,
    Geography,
    catalogue,
    context_of_communes,
    label,
    territory,
)
from dropout_observatory.indicators.definitions import BadDefinitionError, Definition, definitions, load
from dropout_observatory.indicators.publishing import Before, RefusedError, prepared
from dropout_observatory.lake import reading
from dropout_observatory.lake.files import Folder
from dropout_observatory.publication import chained
from dropout_observatory.release import Cell, Key, Release, Sum
from territory import reference

PARIS = ZoneInfo("Europe/Paris")
YEARS = ("2025-2026", "2026-2027")
# In the middle of a year, after a first of September, on it.
DAYS = (date(2026, 9, 1), date(2026, 11, 30), date(2027, 6, 7))


# -- a recomputation by other code, from the Parquet files by Polars


def read(folder: Folder, name: str) -> list[dict[str, Any]]:
    """A dataset's rows."""
    paths = sorted(Path(folder.root).glob(f"{name}/*/*.parquet"))
    return polars.concat([polars.read_parquet(path, hive_partitioning=False) for path in paths]).to_dicts()


def known_cases(folder: Folder, day: date) -> list[dict[str, Any]]:
    """Case by case, message by message, as somebody would who has the log and a calendar."""
    until = datetime(day.year, day.month, day.day, tzinfo=PARIS)
    messages: dict[str, list[tuple[int, str, dict[str, Any]]]] = {}
    for name in ("CaseReported", "CaseCorrected", "CaseWithdrawn", "CaseFollowed"):
        for row in read(folder, name):
            if row["occurred_at"] <= until:
                messages.setdefault(row["aggregate_id"], []).append((row["aggregate_version"], name, row))
    cases = []
    for case_id, own in messages.items():
        case: dict[str, Any] = {"case_id": case_id, "counts": True, "steps": []}
        case["reported_on"] = min(row["occurred_at"] for _, _, row in own).astimezone(PARIS).date()
        for _, name, row in sorted(own, key=lambda one: one[0]):
            if name == "CaseWithdrawn":
                case["counts"] = False
            elif name == "CaseFollowed":
                case["steps"] = row["steps"]
            else:
                case |= {"counts": True, **row["facts"]}
        if case["counts"]:
            cases.append(case | derived(case, day))
    return cases


def derived(case: Mapping[str, Any], day: date) -> dict[str, Any]:
    """What tables ask of a case."""
    left, steps = case["left_month"], case["steps"]
    begins = left.year - (left.month < 9)
    days_of = {kind: [step["happened_on"] for step in steps if step["kind"] == kind] for kind in ("OFFERED", "ENDED")}
    offered = bool(days_of["OFFERED"])
    until = min(days_of["OFFERED"] or days_of["ENDED"] or [day])
    weeks = max(0, (until - max(case["reported_on"], left)).days) // 7
    span = next(
        name
        for name, after in (("0-2", 2), ("2-4", 4), ("4-8", 8), ("8-13", 13), ("13-26", 26), ("26+", 10**9))
        if weeks < after
    )
    kinds = [step["kind"] for step in steps]
    path = "reported"
    for reached, which in (
        ("accompanied", {"ACCOMPANIED"}),
        ("offered", {"OFFERED"}),
        ("admitted", {"ADMITTED", "CHECKED_AT_3_MONTHS", "CHECKED_AT_6_MONTHS"}),
        ("ended", {"ENDED"}),
    ):
        path = reached if which & set(kinds) else path

    def last(kind: str, field: str, otherwise: str) -> str:
        said = [step[field] for step in steps if step["kind"] == kind]
        return str(said[-1]) if said else otherwise

    return {
        "school_year": f"{begins}-{begins + 1}",
        "month": f"{left.month:02}",
        "level": case["level_left"],
        "factor": case["factors"],
        "path": path,
        "delay": f"{'offered' if offered else 'without'}:{span}",
        "presence": last("CHECKED_AT_3_MONTHS", "presence", "NOT_ASKED"),
        "presence_6": last("CHECKED_AT_6_MONTHS", "presence", "NOT_ASKED"),
        "outcome": last("ENDED", "outcome", "OPEN"),
        "context": context_of_communes()[case["commune_code"]],
        "people": 1,
        "counted": any(step["source"] != "PROFESSIONAL" for step in steps),
    }


def told_by(folder: Folder, day: date, *names: str) -> dict[str, list[dict[str, Any]]]:
    """What each aggregate has told of some kinds by a day, once and in its order; `is` says of which kind."""
    until = datetime(day.year, day.month, day.day, tzinfo=PARIS)
    rows = [row | {"is": name} for name in names for row in read(folder, name) if row["occurred_at"] <= until]
    found: dict[str, list[dict[str, Any]]] = {}
    for row in sorted({row["event_id"]: row for row in rows}.values(), key=lambda one: one["aggregate_version"]):
        found.setdefault(row["aggregate_id"], []).append(row)
    return found


def known_seats(folder: Folder, day: date, years: set[str]) -> list[dict[str, Any]]:
    """Programme by programme: what is free, and every intercommunality of which some commune is within thirty kilometres."""
    until = datetime(day.year, day.month, day.day, tzinfo=PARIS)
    homes = {
        structure: reference.communes()[told[-1]["commune_code"]]
        for structure, told in told_by(folder, day, "StructureDescribed").items()
    }
    found = []
    for told in told_by(folder, day, "ProgrammeDescribed", "SeatsDeclared", "SeatHeld").values():
        description = [one for one in told if one["is"] == "ProgrammeDescribed"][-1]
        seats = told[-1]["seats"]
        stale = seats["observed_at"] is None or until - seats["observed_at"] > timedelta(days=30)
        free = 0 if stale or not description["open"] else seats["free_count"]
        home = homes[description["structure_id"]]
        near = {one.epci_siren for one in reference.communes().values() if round(home.km_to(one), 1) <= 30}
        found += [{"school_year": year, "people": free, "reach": near} for year in years]
    return found


def at_school(uai: str, begins: date, people: int) -> list[dict[str, Any]]:
    """Pupils of a collège in the school year of a day, or nobody where it is no collège."""
    schools = [one for one in reference.schools() if one.uai == uai]
    first_year = begins.year - (begins.month < 9)
    return [
        {
            "school_year": f"{first_year}-{first_year + 1}",
            "uai": uai,
            "people": people,
            "counted": one.priority_education,
            "department_code": reference.communes()[one.commune_code].department_code,
            "epci_siren": reference.communes()[one.commune_code].epci_siren,
        }
        for one in schools
    ]


def known_internships(folder: Folder, day: date) -> list[dict[str, Any]]:
    """Application by application; no pupil of these lakes has two."""
    school_of = {campaign: told[0]["uai"] for campaign, told in told_by(folder, day, "CampaignOpened").items()}
    stands: dict[str, dict[str, Any]] = {}
    for told in told_by(folder, day, "ApplicationConfirmed", "ApplicationEnded").values():
        for one in told:
            stands[one["application_id"]] = stands.get(one["application_id"], {}) | one
    found = []
    for one in stands.values():
        if one["is"] == "ApplicationConfirmed" and (uai := school_of.get(one["campaign_id"])):
            found += at_school(uai, datetime.strptime(f"{one['iso_weeks'][0]}-1", "%G-W%V-%u").date(), 1)
    return found


def known_groups(folder: Folder, day: date) -> list[dict[str, Any]]:
    """Session by session, then group by group the most that it has in one of them."""
    groups: dict[tuple[str, str, date], int] = {}
    names = ("SessionDescribed", "RegistrationMade", "RegistrationResized", "RegistrationEnded")
    for told in told_by(folder, day, *names, "RegistrationsRestated", "SessionCancelled").values():
        live: dict[str, dict[str, Any]] = {}
        for one in told:
            if one["is"] in ("RegistrationMade", "RegistrationResized"):
                live[one["registration_id"]] = live.get(one["registration_id"], {}) | one
            elif one["is"] == "RegistrationEnded":
                live.pop(one["registration_id"])
            elif one["is"] == "RegistrationsRestated":
                live = {key: kept for key, kept in live.items() if key in one["registration_ids"]}
            elif one["is"] == "SessionCancelled":
                live = {}
        starts_on = [one["starts_at"] for one in told if one["is"] == "SessionDescribed"][-1].astimezone(PARIS).date()
        for one in live.values():
            if one["party_kind"] == "GROUP":
                group = one["party_id"], one["school_uai"], starts_on
                groups[group] = max(groups.get(group, 0), one["seat_count"])
    return [row for (_, uai, starts_on), people in groups.items() for row in at_school(uai, starts_on, people)]


def pupils(years: set[str]) -> list[dict[str, Any]]:
    """Those of each collège, the same in each year."""
    return [
        row | {"context": context_of_communes()[one.commune_code]}
        for one in reference.schools()
        for year in years
        for row in at_school(one.uai, date(int(year[:4]), 9, 1), one.pupil_count)
    ]


def counted_people(folder: Folder, day: date) -> dict[str, list[dict[str, Any]]]:
    """Of each measure those that it counts."""
    cases = known_cases(folder, day)
    years = {case["school_year"] for case in cases}
    internships, groups = known_internships(folder, day), known_groups(folder, day)
    return {
        "cases": cases,
        "linked": cases,
        "pupils": pupils(years),
        "free-seats": known_seats(folder, day, years),
        "internship-pupils": internships,
        "internship-priority": internships,
        "event-groups": groups,
        "event-priority": groups,
    }


def codes(case: Mapping[str, Any], dimension: str) -> set[str]:
    """Where somebody counts, of what may be shown."""
    if dimension == "territory":
        return {"region", f"dep:{case['department_code']}@2026", f"epci:{case['epci_siren']}@2026"}
    if dimension == "reach":
        return {"region", *(f"epci:{siren}@2026" for siren in case["reach"])}
    value = case[dimension]
    values = set(value) if isinstance(value, list) else {value}
    if dimension == "delay":
        values.add(value.partition(":")[0])
    if dimension == "path" and value in ("reported", "accompanied"):
        values.add("waiting")
    return {"all", *values}


def expected(cases: list[dict[str, Any]], definition: Definition, year: str) -> Counter[Key]:
    """How many are in each cell."""
    found: Counter[Key] = Counter()
    for case in cases:
        if case["school_year"] == year:
            for key in set(product(*(sorted(codes(case, name)) for name in definition.dimensions))):
                found[key] += case["people"]
    return found


@pytest.fixture(scope="module")
def history() -> small_lakes.History:
    """Two school years of cases, with corrections and withdrawals."""
    return small_lakes.drawn(random.Random(7), 250, 2025, 2, organisations=60, withdrawn=0.1)


@pytest.fixture(scope="module")
def folder(history: small_lakes.History, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Their lake; a tenth of the messages were sent twice."""
    rng, messages = random.Random(3), list(history.messages)
    messages += rng.sample(messages, len(messages) // 10)
    made = Folder(str(tmp_path_factory.mktemp("lake")))
    small_lakes.written(made, messages)
    return made


@pytest.fixture(params=DAYS, ids=str)
def counted(
    request: pytest.FixtureRequest, folder: Folder, history: small_lakes.History
) -> Iterator[tuple[date, computing.Counted]]:
    """All indicators, as known on a day."""
    day = request.param
    with reading.opened(folder, small_lakes.known_datasets()) as connection:
        computing.know(connection, day)
        yield (
            day,
            computing.count(connection, definitions().values(), catalogue(), YEARS, day, history.told_by),
        )


def test_every_number_is_what_other_code_finds(counted: tuple[date, computing.Counted], folder: Folder) -> None:
    """Each cell of each table equals a recomputation from the same files without SQL, at each instant of a corrected history."""
    day, found = counted
    people = counted_people(folder, day)
    compared: Counter[str] = Counter()
    for definition, year in product(definitions().values(), YEARS):
        cells, rule = found.cells[f"{definition.name}/{year}"], definition.secrecy
        everybody = expected(people[rule.measure], definition, year)
        if rule.kind == "rate":
            counts = expected([one for one in people[rule.measure] if one["counted"]], definition, year)
        for key, cell in cells.items():
            right = Cell(counts[key], of=everybody[key]) if rule.kind == "rate" else Cell(everybody[key])
            assert cell == right, (definition.name, year, key)
            compared[rule.measure] += cell.people > 0
    assert compared.total() > 500 and sum(case["school_year"] == YEARS[0] for case in people["cases"]) > 100
    assert compared.keys() == people.keys() and all(compared.values())


def test_an_organisation_is_known_to_know_what_it_told_of(
    counted: tuple[date, computing.Counted], folder: Folder, history: small_lakes.History
) -> None:
    """Those that told of most are attacked as themselves; every other one knows no more of any cell than the last reader does."""
    day, found = counted
    by_organisation: dict[str, Counter[str]] = {}
    told_by = {str(case_id): organisation for case_id, organisation in history.told_by.items()}
    for case in known_cases(folder, day):
        if case["school_year"] == YEARS[0]:
            by_organisation.setdefault(told_by[case["case_id"]], Counter())[f"dep:{case['department_code']}@2026"] += 1
    last = found.knowledge["another organisation"]
    readers = list(found.knowledge.values())
    for own in by_organisation.values():
        cells = {(f"cases/{YEARS[0]}", (("territory", code),)): n for code, n in own.items()}
        assert any(all(reader.get(cell, 0) >= n for cell, n in cells.items()) for reader in (*readers, last))


def test_a_school_is_known_to_know_its_own_groups(counted: tuple[date, computing.Counted], folder: Folder) -> None:
    """Whoever brings people subtracts them: some reader of the attack knows as many in the department as each school does."""
    day, found = counted
    own: Counter[tuple[str, str, str]] = Counter()
    for group in known_groups(folder, day):
        own[group["school_year"], f"dep:{group['department_code']}@2026", group["uai"]] += group["people"]
    assert own
    for (year, department, uai), people in own.items():
        cell = (f"event-groups/{year}", (("territory", department),))
        if year in YEARS:
            assert any(reader.get(cell, 0) >= people for reader in found.knowledge.values()), uai


def test_nobody_is_in_a_month_to_come(counted: tuple[date, computing.Counted]) -> None:
    """The table says which months these are, and has no cells of them."""
    day, found = counted
    (table,) = (one for one in found.tables if one.name == f"cases-by-month/{YEARS[1]}")
    to_come = {code for _, code in table.empty}
    assert {key[1] for key in found.cells[table.name]}.isdisjoint(to_come)
    assert ("05" in to_come) == (day < date(2027, 5, 2)) and ("09" in to_come) == (day == DAYS[0])


# -- releases of it


CHAINED = ("cases-by-month", "cases-linked", "event-groups", "event-priority", "free-seats")


@pytest.fixture(scope="module")
def chain(folder: Folder, history: small_lakes.History) -> list[Release]:
    """Three weeks of two indicators by department, each attacked together with those before it."""
    chosen = {name: definitions()[name] for name in CHAINED}
    texts: list[str] = []
    for week in range(3):
        day = date(2027, 3, 1) + timedelta(weeks=week)
        so_far = Before(tuple(texts), history.told_by)
        texts.append(prepared(folder, small_lakes.known_datasets(), day, so_far, print, chosen).text())
    return [Release.read(text) for text in texts]


def test_three_weeks_follow_each_other(chain: list[Release]) -> None:
    """Numbered, chained, of their days; what moved by few stays as it was."""
    chained(chain)
    assert [one.known_on for one in chain] == ["2027-03-01", "2027-03-08", "2027-03-15"]
    assert all("cases-by-month/2026-2027" in one.figures for one in chain)
    stayed = [figure.as_of for table in chain[2].figures.values() for figure in table.values() if figure.value]
    assert stayed and set(stayed) & {1, 2}


def test_free_seats_are_public_and_of_their_week(chain: list[Release]) -> None:
    """None is withheld and none stays from an older release, though they go up and down: they are things, and no reader of cases has use of them."""
    weeks = [one.figures["free-seats/2026-2027"] for one in chain]
    for number, figures in enumerate(weeks, 1):
        assert all(figure.value is not None and figure.as_of == number for figure in figures.values())
        whole = figures["region",].value or 0
        assert max(figure.value or 0 for figure in figures.values()) <= whole
    assert weeks[0]["region",].value != weeks[1]["region",].value
    tied = [table for table in chain[2].tables if "free-seats" in f"{table.measure} {table.of}"]
    assert {table.kind for table in tied} == {"public"}


def test_a_release_is_the_same_whoever_makes_it(
    chain: list[Release], folder: Folder, history: small_lakes.History
) -> None:
    """Byte for byte, also from messages that came in another order."""
    chosen = {name: definitions()[name] for name in CHAINED}
    told_by = dict(reversed(history.told_by.items()))
    again = prepared(folder, small_lakes.known_datasets(), date(2027, 3, 1), Before((), told_by), print, chosen)
    assert again.text() == chain[0].text()


def test_nobody_is_published_before_somebody_is_known(folder: Folder, history: small_lakes.History) -> None:
    """A lake without a case has no release."""
    with pytest.raises(RefusedError, match="nobody is known of"):
        prepared(folder, small_lakes.known_datasets(), date(2025, 9, 1), Before((), history.told_by), print)


# -- definitions


GOOD = (Path(computing.__file__).with_name("definitions") / "cases-by-month.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("  month: [all, month]", "  moon: [all]", "dimension 'moon' is none of territory, month"),
        ("[all, month]", "[all, year]", "month has no level 'year', only all, month"),
        ("version: 1\ntitle", "version: 2\ntitle", "changes must say what each version"),
        ("secrecy: {measure: cases}", "secrecy: {measure: cases, kind: rate}", "says what it is a share of"),
        ("secrecy: {measure: cases}", "secrecy: {measure: cases, people_min: 5}", "greater than or equal to 11"),
        ("name: cases-by-month", "name: other", "as its file must be"),
        ("unit: jeunes\n", "", "unit: Field required"),
        ("name: cases", "name: [cases", "is not YAML"),
    ],
)
def test_a_bad_definition_is_refused_in_clear_words(tmp_path: Path, before: str, after: str, said: str) -> None:
    """Planted mistakes, each named with its file."""
    assert before in GOOD
    (tmp_path / "cases-by-month.yaml").write_text(GOOD.replace(before, after, 1), encoding="utf-8")
    with pytest.raises(BadDefinitionError, match=r"cases-by-month\.yaml") as refused:
        load(tmp_path)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (", month FROM", " FROM", "has no column month"),
        ("FROM known_case", "FROM known_moon", "cannot be run"),
        ("commune_code AS territory", "'99999' AS territory", "territory has no code 99999"),
    ],
)
def test_sql_that_is_none_is_refused(folder: Folder, tmp_path: Path, before: str, after: str, said: str) -> None:
    """Planted: a column left out, a view that there is not, a code that the dimension has not."""
    assert before in GOOD
    (tmp_path / "cases-by-month.yaml").write_text(GOOD.replace(before, after, 1), encoding="utf-8")
    with reading.opened(folder, small_lakes.known_datasets()) as connection:
        computing.know(connection, DAYS[1])
        with pytest.raises((BadDefinitionError, computing.UnknownCodeError)) as refused:
            computing.count(connection, load(tmp_path).values(), catalogue(), YEARS, DAYS[1], {})
    assert said in str(refused.value)


def test_tables_that_close_a_circle_are_refused(tmp_path: Path) -> None:
    """Planted: A × B, B × C, C × A tell together of a cell that none of them has. Without one, or as one table, they do not."""
    pairs = {
        "cases-by-month": "territory month",
        "cases-by-factor": "territory factor",
        "factors-by-month": "month factor",
    }
    for name, pair in pairs.items():
        levels = {"territory": "[region]", "month": "[all, month]", "factor": "[all, factor]"}
        dimensions = "".join(f"\n  {dimension}: {levels[dimension]}" for dimension in pair.split())
        text = GOOD.replace("cases-by-month", name)
        begins, ends = text.index("dimensions:"), text.index("secrecy:")
        (tmp_path / f"{name}.yaml").write_text(
            f"{text[:begins]}dimensions:{dimensions}\n{text[ends:]}", encoding="utf-8"
        )
        if len(list(tmp_path.glob("*.yaml"))) < len(pairs):
            load(tmp_path)
    with pytest.raises(
        BadDefinitionError, match="cases-by-factor, cases-by-month, factors-by-month: together"
    ) as refused:
        load(tmp_path)
    assert "of cases" in str(refused.value)
    (tmp_path / "all.yaml").write_text(
        (tmp_path / "cases-by-month.yaml")
        .read_text(encoding="utf-8")
        .replace("cases-by-month", "all")
        .replace("  month:", "  factor: [all, factor]\n  month:"),
        encoding="utf-8",
    )
    assert len(load(tmp_path)) == 4


def test_a_definition_that_changes_has_another_hash(tmp_path: Path) -> None:
    """Whatever of it changes."""
    (tmp_path / "cases-by-month.yaml").write_text(GOOD.replace("case_id AS", "  case_id AS"), encoding="utf-8")
    assert load(tmp_path)["cases-by-month"].sha256 != definitions()["cases-by-month"].sha256


# -- codes


def test_every_code_has_french_words() -> None:
    """And every level that a definition may name has its codes."""
    for name, one in catalogue().items():
        assert tuple(one.levels) and set(one.levels) == set(LEVELS_SHOWN[name])
        for code in (code for level in one.levels.values() for code in level):
            assert code in one.labels and label(name, code)
        assert all(around[0] == one.dimension.total for around in one.members.values())


def test_a_boundary_that_moves_takes_another_code() -> None:
    """Of two years: who gained or lost a commune has two codes, everybody else one; both years' sums hold for the same parts."""
    before = Geography(2026, {"c1": ("A", "14"), "c2": ("A", "14"), "c3": ("B", "14"), "c4": ("C", "27")})
    after = Geography(2027, {**before.homes, "c2": ("B", "14")})
    found = territory([before, after], {"A": "Les A"})
    assert found.levels["epci"] == ("epci:A@2027", "epci:B@2027", "epci:C@2026")
    assert found.labels["epci:A@2026"] == found.labels["epci:A@2027"] == "Les A"
    assert set(found.members["c2"]) >= {"region", "dep:14@2026", "epci:A@2026", "epci:B@2027"}
    sums = {one.total: one.parts for one in found.dimension.sums}
    moved = "epci:A@2026/dep:14@2026/epci:B@2027"
    assert moved in sums["epci:A@2026"] and moved in sums["epci:B@2027"]
    region = [one for one in found.dimension.sums if one.total == "region"]
    assert Sum("region", ("epci:A@2026", "epci:B@2026", "epci:C@2026")) in region and len(region) == 3
