"""Filters, sorts, words and the map: pure functions over rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from starlette.datastructures import QueryParams

from common.pages import ago
from common.verdicts import Delivery
from projections import board_page, region_map, seat_board
from projections.board_page import Filters
from projections.messages import DeclarationSource, DeclarationWay, SeatCounts, SeatHeld, SeatsDeclared
from projections.region_map import Territory
from territory import reference
from territory.outlines import outlines

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
ENVELOPE: dict[str, Any] = {"occurred_at": NOW, "event_id": uuid4(), "aggregate_id": uuid4(), "correlation_id": uuid4()}


def row(**changes: Any) -> dict[str, Any]:
    """A fresh programme in Rouen with five free seats."""
    base = {
        "programme_id": uuid4(),
        "structure_id": uuid4(),
        "title": "CAP Menuisier",
        "structure_name": "S",
        "kind": "CFA",
        "commune_code": "76540",
        "commune": "Rouen",
        "department_code": "76",
        "epci_siren": "200023414",
        "age_min": 15,
        "age_max": 18,
        "level_min": "NO_DIPLOMA",
        "boarding": False,
        "wheelchair_accessible": True,
        "intake_on": None,
        "free_count": 5,
        "countable_free_count": 5,
        "freshness": "fresh",
        "observed_at": NOW,
        "last_record": "SeatsDeclared",
        "free_change": 2,
        "last_occurred_at": NOW,
        "fictitious": True,
    }
    return base | changes


def filters(query: str) -> Filters:
    return Filters.read(QueryParams(query))


def test_an_address_reads_back_as_the_same_filters() -> None:
    """A shared link shows the same board."""
    read = filters("territoire=76&commune=Rouen+(76)&age=17&genre=CFA&condition=internat&tri=fraicheur&n=16")
    assert (read.territory, read.commune.code, read.age, read.kinds, read.conditions, read.sort, read.shown) == (
        "76",
        "76540",
        17,
        ("CFA",),
        ("internat",),
        "fraicheur",
        16,
    )
    assert filters(read.address()[1:]) == read


@pytest.mark.parametrize(
    "query",
    [
        "territoire=99",
        "age=abc",
        "age=-3",
        "age=٣٣",
        "n=1e9",
        "genre=X",
        "tri=x",
        "age=99999999999999999999",
        "n=000",
    ],
)
def test_unknown_values_are_dropped(query: str) -> None:
    """An old or mistyped link never fails."""
    assert filters(query) == Filters()


def test_a_place_that_is_not_understood_is_kept_and_nothing_is_near_it() -> None:
    """The board of a mistyped link says so; it never passes the whole Region off as near."""
    asked = filters("commune=Atlantide")
    board = board_page.board([row()], asked)
    assert "Atlantide" in asked.commune.problem and asked.address() == "?commune=Atlantide"
    assert (board.programmes, board.free_count, board.open_count) == ([], 0, 0)


def test_each_exclusion_is_counted_and_the_empty_board_offers_one_filter_to_lift() -> None:
    """The reader learns why, and what to change."""
    rows = [row(), row(age_min=20, age_max=25), row(kind="EPIDE"), row(boarding=True)]
    board = board_page.board(rows, filters("age=17&genre=CFA&condition=internat"))
    assert (board.free_count, board.excluded) == (
        5,
        ["1 d’un autre type", "1 hors âge", "1 sans la condition demandée"],
    )
    empty = board_page.board(rows, filters("age=40"))
    assert empty.programmes == [] and [(label, seats) for label, _, seats in empty.lifts] == [
        ("Sans condition d’âge", 20)
    ]


def test_sorting_by_distance_from_the_young_persons_commune() -> None:
    """Nearest first, as the crow flies."""
    board = board_page.board(
        [row(commune_code="50129"), row(commune_code="76540"), row(commune_code="76351")], filters("commune=Rouen")
    )
    assert [r["commune_code"] for r in board.programmes] == ["76540", "76351", "50129"]
    assert board.programmes[0]["distance_km"] == 0


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (timedelta(days=7), "fresh"),
        (timedelta(days=7, seconds=1), "ageing"),
        (timedelta(days=30), "ageing"),
        (timedelta(days=30, seconds=1), "stale"),
    ],
)
def test_freshness_is_derived_when_read(age: timedelta, expected: str) -> None:
    """Fresh to 7 days, ageing to 30, then stale; never declared is unknown."""
    assert seat_board.freshness(NOW - age, NOW) == expected
    assert seat_board.freshness(None, NOW) == "unknown"


def told(message: Any, before: dict[str, Any] | None = None) -> dict[str, Any]:
    """A row after one more message."""
    return seat_board.apply(before, Delivery(message, "t", 0, 0))


def seats(observed_at: datetime | None) -> SeatCounts:
    """Counts as of an instant."""
    return SeatCounts(
        total_count=9,
        taken_count=4,
        admitted_count=0,
        held_count=0,
        free_count=5,
        excess_count=0,
        observed_at=observed_at,
    )


def declared(way: DeclarationWay, source: DeclarationSource | None) -> SeatsDeclared:
    """A declaration of now."""
    return SeatsDeclared(**ENVELOPE, way=way, source=source, seats=seats(NOW))


@pytest.mark.parametrize(
    ("way", "source", "words"),
    [
        (DeclarationWay.PAGE, DeclarationSource.PERSON, "une personne de la structure, sur sa page"),
        (DeclarationWay.CSV, DeclarationSource.PERSON, "une personne de la structure, par un tableau"),
        (DeclarationWay.CSV, DeclarationSource.SYSTEM, "le logiciel de la structure, par un tableau"),
        (DeclarationWay.HTTP, DeclarationSource.SYSTEM, "le logiciel de la structure, par l’API"),
        (DeclarationWay.TOPIC, DeclarationSource.SYSTEM, "le logiciel de la structure, par son flux Kafka"),
        # Of an earlier version, which told the way alone; of a later one, with words that this one does not know.
        (DeclarationWay.TOPIC, None, "le logiciel de la structure, par son flux Kafka"),
        (DeclarationWay.PAGE, DeclarationSource.UNKNOWN, "une personne de la structure, sur sa page"),
        (DeclarationWay.CSV, None, "la structure, par un tableau"),
        (DeclarationWay.UNKNOWN, DeclarationSource.PERSON, None),
    ],
)
def test_a_row_says_who_said_so_and_by_which_way(
    way: DeclarationWay, source: DeclarationSource | None, words: str | None
) -> None:
    """Also after a hold, which declares nothing; a declaration that nobody told of is nobody's."""
    row_ = told(declared(way, source))
    assert seat_board.declared_by(row_) == words
    held = SeatHeld(**ENVELOPE, hold_id=uuid4(), young_person_id=uuid4(), expires_at=NOW, seats=seats(NOW))
    assert seat_board.declared_by(told(held, row_)) == words
    restated = held.model_copy(update={"seats": seats(NOW - timedelta(days=9))})
    assert seat_board.declared_by(told(restated, row_)) is None
    assert seat_board.declared_by(told(held.model_copy(update={"seats": seats(None)}))) is None


def test_stale_seats_are_counted_nowhere() -> None:
    """Neither in the total nor on the map, where the territory is hatched."""
    board = board_page.board([row(freshness="stale", countable_free_count=0)], Filters())
    assert board.free_count == 0 and board.territories["200023414"].stale_only
    assert region_map.shade(board.territories["200023414"]) == "cs"


@pytest.mark.parametrize(
    ("free", "shade"), [(0, "c1"), (1, "c2"), (4, "c2"), (5, "c3"), (9, "c3"), (10, "c4"), (15, "c4"), (16, "c5")]
)
def test_the_map_has_five_classes(free: int, shade: str) -> None:
    """0, 1–4, 5–9, 10–15, 16 and more; blank without a structure."""
    assert region_map.shade(Territory(free, 1, False)) == shade
    assert region_map.shade(None) == ""


def test_the_map_has_every_territory_and_labels_that_do_not_touch() -> None:
    """71 intercommunalities and 5 departments; numbers stand apart."""
    shapes = outlines()
    assert set(shapes.epcis) == set(reference.epcis()) and set(shapes.departments) == {"14", "27", "50", "61", "76"}
    labels = region_map.labels({siren: Territory(3, 1, False) for siren in shapes.epcis})
    assert len(labels) > 40
    for index, one in enumerate(labels):
        assert all(abs(one.x - other.x) > 51 or abs(one.y - other.y) > 38 for other in labels[:index])


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "à l’instant"),
        (61, "il y a 1\u202fmin"),
        (7200, "il y a 2\u202fh"),
        (86400, "il y a 1\u202fjour"),
        (5 * 86400, "il y a 5\u202fjours"),
    ],
)
def test_ages_are_said_as_people_say_them(seconds: int, words: str) -> None:
    """French, with the unit that a person would use."""
    assert ago(NOW - timedelta(seconds=seconds), NOW) == words
