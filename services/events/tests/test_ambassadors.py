"""The rules of the directory: who is asked, in which order, and how a search ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from events import ambassadors
from events.ambassadors import Ambassador, AmbassadorDescription, Visit
from events.messages import AmbassadorAnswer, AmbassadorKind

NOW = datetime(2026, 11, 25, 9, tzinfo=UTC)
ROUEN, CAEN, SOTTEVILLE = "76540", "14118", "76681"


def somebody(number: int, rome: str = "H2206", commune: str = ROUEN, **more: Any) -> Ambassador:
    """Somebody of the directory."""
    asked_at = more.pop("asked_at", None)
    facts: dict[str, Any] = {"radius_km": 30, **more}
    return Ambassador(
        UUID(int=number), AmbassadorDescription(AmbassadorKind.AMBASSADOR, (rome,), commune, **facts), asked_at, 1
    )


def visit(**more: Any) -> Visit:
    """A school in Rouen wishes to hear a carpenter."""
    return replace(Visit(uuid4(), "0760017F", "H2206", None, ROUEN, date(2027, 1, 20)), **more)


def test_the_very_trade_then_the_nearest_then_who_was_asked_longest_ago() -> None:
    """One after the other: nobody is asked twice, and who is not of the family, too far, or withdrawn never is."""
    exact_far = somebody(1, commune=SOTTEVILLE)
    exact_near_recent = somebody(2, asked_at=NOW)
    exact_near = somebody(3, asked_at=NOW - timedelta(days=30))
    family = somebody(4, rome="H2207")
    never = [somebody(5, rome="J1501"), somebody(6, commune=CAEN), somebody(7, withdrawn=True)]
    directory = [family, exact_near_recent, *never, exact_far, exact_near]
    asked: list[int] = []
    search = visit()
    while (one := ambassadors.next_to_ask(search, directory)) is not None:
        asked.append(one.ambassador_id.int)
        search = ambassadors.ask(search, one, NOW)
        search = ambassadors.answer(search, one.ambassador_id, AmbassadorAnswer.REFUSED).visit
    assert asked == [3, 2, 1, 4]
    assert ambassadors.ask(search, None, NOW).state == "exhausted"


def test_a_parent_is_asked_where_a_parent_is_wished_for() -> None:
    """The kind that is wished for is the only one asked."""
    parent = somebody(2)
    parent = replace(parent, description=replace(parent.description, kind=AmbassadorKind.PARENT_WITNESS))
    found = ambassadors.next_to_ask(visit(kind=AmbassadorKind.PARENT_WITNESS), [somebody(1), parent])
    assert found == parent


@pytest.mark.parametrize("said", [AmbassadorAnswer.ACCEPTED, AmbassadorAnswer.REFUSED, AmbassadorAnswer.SILENT])
def test_only_the_one_who_is_asked_answers(said: AmbassadorAnswer) -> None:
    """An answer that comes after the next was asked, or after the search ended, is refused and changes nothing."""
    one = somebody(1)
    search = ambassadors.ask(visit(), one, NOW)
    answered = ambassadors.answer(search, one.ambassador_id, said)
    assert answered.refusal is None
    assert answered.visit.state == ("accepted" if said == AmbassadorAnswer.ACCEPTED else "searching")
    for too_late in (answered.visit, replace(search, state="cancelled"), ambassadors.ask(search, somebody(2), NOW)):
        refused = ambassadors.answer(too_late, one.ambassador_id, AmbassadorAnswer.ACCEPTED)
        assert refused.refusal is not None and refused.visit == too_late


def test_whoever_asked_may_give_up_and_who_was_asked_is_told() -> None:
    """While searching and after somebody accepted; not when it is over."""
    search = ambassadors.ask(visit(), somebody(1), NOW)
    assert ambassadors.cancel(search).answer == AmbassadorAnswer.CANCELLED
    accepted = ambassadors.answer(search, UUID(int=1), AmbassadorAnswer.ACCEPTED).visit
    given_up = ambassadors.cancel(accepted)
    assert (given_up.answer, given_up.visit.state) == (AmbassadorAnswer.CANCELLED, "cancelled")
    assert ambassadors.cancel(given_up.visit).refusal is not None
