"""The rules of a season: planning, opening, and the pass seven days before; the passes of random seasons lose nobody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, get_args
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parents_cafes import domain, season
from parents_cafes.messages import (
    CafeCancellationReason,
    CafeMerged,
    CafePeriod,
    CafeStatus,
    CafeTheme,
    HouseholdMoved,
    HouseholdQueued,
    VenueKind,
)
from parents_cafes.season import TRANSITIONS, Candidate, Verdict
from parents_cafes.state import Cafe, CafeState, Plan, Registration
from small_cafes import NOW, PERIOD, POLICY, STARTS, cafe, registration
from waiting_list.rules import PARIS

DUE = datetime(2026, 12, 8, 8, tzinfo=PARIS)


def of(seats: int, received_on: date | None = None) -> Cafe:
    """An open café whose pass is due, with so many parents, each alone."""
    return replace(cafe(*(registration() for _ in range(seats))), review_at=DUE, received_on=received_on)


def as_candidate(one: Cafe, km: float = 5.0) -> Candidate:
    """How another café sees it."""
    return Candidate(one.cafe_id, km, one.plan.starts_at, one.free_count)


# -- planning


def test_the_pass_is_due_in_the_morning_seven_days_before() -> None:
    """At the hour of the policy on the Paris clock, whatever the hour of the café; also over the change of the hour."""
    assert POLICY.review_at(STARTS) == DUE
    march = datetime(2027, 3, 30, 18, tzinfo=PARIS)
    assert POLICY.review_at(march) == datetime(2027, 3, 23, 8, tzinfo=PARIS)


@pytest.mark.parametrize(
    ("on", "reason"),
    [
        (datetime(2026, 12, 8, 18, tzinfo=PARIS), "too_soon"),
        (datetime(2026, 12, 9, 18, tzinfo=PARIS), None),
        (datetime(2027, 1, 9, 18, tzinfo=PARIS), "outside_periods"),
        (datetime(2027, 1, 10, 18, tzinfo=PARIS), None),
    ],
)
def test_a_cafe_is_planned_in_time_and_in_a_period(on: datetime, reason: str | None) -> None:
    """Its day gives its period; less than eight days ahead nobody could be moved or told in time."""
    new = replace(cafe(state="planned"), version=0)
    decision = season.describe(
        new, replace(new.plan, starts_at=on, ends_at=on + timedelta(hours=1)), POLICY, NOW.replace(hour=5)
    )
    assert (decision.refusal and decision.refusal.reason) == reason
    if reason is None:
        assert decision.cafe.period == POLICY.period_of(on.date())
        (message,) = decision.messages
        assert message.status == CafeStatus.PLANNED  # type: ignore[attr-defined]


def test_an_open_cafe_keeps_its_period_and_its_seats() -> None:
    """Households registered for a period stay in it; fewer seats than are taken are refused; more than the policy's or the venue's too."""
    one = of(10)
    february = datetime(2027, 2, 2, 18, tzinfo=PARIS)
    for plan, reason in (
        (replace(one.plan, starts_at=february, ends_at=february + timedelta(hours=1)), "other_period"),
        (replace(one.plan, capacity_count=9), "seats_taken"),
        (replace(one.plan, capacity_count=21), "too_many_seats"),
        (replace(one.plan, venue=replace(one.plan.venue, capacity_count=15), capacity_count=16), "too_many_seats"),
    ):
        refused = season.describe(one, plan, POLICY, NOW)
        assert refused.refusal is not None and refused.refusal.reason == reason and refused.cafe == one
    later = replace(one.plan, starts_at=STARTS + timedelta(days=2), ends_at=STARTS + timedelta(days=2, hours=1))
    moved = season.describe(one, later, POLICY, NOW)
    assert moved.refusal is None and moved.cafe.review_at == DUE + timedelta(days=2)
    assert season.describe(moved.cafe, later, POLICY, NOW).messages == (), "what is the same is not told again"


_ELSEWHERE: dict[str, Callable[[Plan], Plan]] = {
    "day": lambda plan: replace(
        plan, starts_at=STARTS + timedelta(days=2), ends_at=STARTS + timedelta(days=2, hours=1)
    ),
    "end": lambda plan: replace(plan, ends_at=plan.ends_at + timedelta(minutes=15)),
    "venue": lambda plan: replace(plan, venue=replace(plan.venue, venue_id=uuid4())),
    "theme": lambda plan: replace(plan, theme=CafeTheme.STEREOTYPES),
    "seats": lambda plan: replace(plan, capacity_count=12),
    "facilitator": lambda plan: replace(plan, facilitator_id=uuid4()),
}


@pytest.mark.parametrize("change", _ELSEWHERE)
@pytest.mark.parametrize("state", get_args(CafeState))
def test_what_has_begun_stays_what_it_was(state: CafeState, change: str) -> None:
    """From its hour on, or once somebody is there: nothing but who runs it; what is over not even that. A plan that nobody saw may move."""
    before, came = cafe(state=state), cafe(registration("attended"), state=state)
    for one, now in ((before, NOW), (before, STARTS), (came, NOW)):
        begun = now == STARTS or one is came
        refused = season.describe(one, _ELSEWHERE[change](one.plan), POLICY, now).refusal
        stands = state in ("planned", "open", "confirmed")
        # The day that this planned one is moved to is too near by then: that is another reason.
        barred = not stands or (begun and state != "planned" and change != "facilitator")
        assert (refused is not None and refused.reason == "cafe_over") == barred, refused


def test_a_cafe_keeps_its_seats_though_new_ones_may_have_fewer() -> None:
    """The policy allows ten by now: another theme is no reason to lose seats, and more than it has are refused."""
    one, fewer = of(12), replace(POLICY, capacity_max=10)
    assert season.describe(one, replace(one.plan, theme=CafeTheme.STEREOTYPES), fewer, NOW).refusal is None
    moved = season.describe(one, _ELSEWHERE["venue"](one.plan), fewer, NOW)
    assert moved.refusal is not None and moved.refusal.reason == "too_many_seats"


def test_households_are_told_what_matters_most() -> None:
    """Of a place where no wheelchair gets in before its day, of its day or place before its theme; of what is not theirs nothing."""
    plan = replace(cafe().plan, venue=replace(cafe().plan.venue, accessible=True))
    steps = replace(plan, venue=replace(plan.venue, accessible=False))
    assert season.word_of(plan, _ELSEWHERE["day"](steps)) == "inaccessible"
    assert season.word_of(steps, plan) is None, "nobody has to be told that it is better"
    for change in ("day", "end", "venue"):
        assert season.word_of(plan, _ELSEWHERE["theme"](_ELSEWHERE[change](plan))) == "changed"
    places: list[dict[str, Any]] = [
        {"title": "Annexe"},
        {"address": "2 rue du Port"},
        {"commune_code": "76351"},
        {"kind": VenueKind.CAFE},
    ]
    for place in places:
        assert season.word_of(plan, replace(plan, venue=replace(plan.venue, **place))) == "changed"
    assert season.word_of(plan, _ELSEWHERE["theme"](plan)) == "theme"
    for change in ("seats", "facilitator"):
        assert season.word_of(plan, _ELSEWHERE[change](plan)) is None


@pytest.mark.parametrize("awaited", [False, True])
def test_opening_lets_those_first_who_found_no_place(awaited: bool) -> None:
    """At once for everybody, or 48 hours later when somebody near waits since the last period."""
    planned = replace(cafe(state="planned"), opens_at=None)
    opened = season.open_(planned, POLICY, NOW, awaited=awaited).cafe
    assert opened.opens_at == NOW + timedelta(hours=48 if awaited else 0)
    assert opened.review_at == DUE
    late = season.open_(planned, POLICY, STARTS - timedelta(days=6), awaited=awaited)
    assert late.refusal is not None and late.refusal.reason == "too_soon"


@pytest.mark.parametrize("state", get_args(CafeState))
def test_the_table_says_what_a_coordinator_may_do(state: CafeState) -> None:
    """Opening and calling off, from every state."""
    one = cafe(state=state)
    may = TRANSITIONS.get(("coordinator", state), frozenset())
    opened = season.open_(one, POLICY, NOW, awaited=False)
    assert (opened.refusal is None) == ("open" in may or state in ("open", "confirmed"))
    off = season.call_off(one, CafeCancellationReason.CANCELLED_BY_COORDINATOR, NOW)
    assert (off.refusal is None) == ("cancelled" in may or state == "cancelled")
    assert len(off.messages) == ("cancelled" in may)


# -- the pass


def test_enough_seats_confirm() -> None:
    """Eight do, seven do not; seats held by an offer are taken too."""
    assert season.review(of(8), [], POLICY, DUE).kind == "confirm"
    assert season.review(of(7), [], POLICY, DUE).kind == "cancel"
    held = replace(cafe(*(registration() for _ in range(7)), registration("offered")), review_at=DUE)
    assert season.review(held, [], POLICY, DUE).kind == "confirm"


def test_the_nearest_with_room_for_all_and_far_enough_ahead_receives() -> None:
    """Distance, then date, then id; not within 72 hours, not beyond the policy's distance, not where one seat is missing."""
    source = of(7)
    near, far, full, soon, away = of(3), of(3), of(14), of(3), of(3)
    ahead = DUE + timedelta(hours=72)
    found = [
        Candidate(full.cafe_id, 1.0, STARTS, full.free_count),
        Candidate(soon.cafe_id, 2.0, ahead - timedelta(seconds=1), 17),
        Candidate(far.cafe_id, 9.0, ahead, 17),
        Candidate(near.cafe_id, 8.0, ahead, 17),
        Candidate(away.cafe_id, 51.0, STARTS, 20),
    ]
    assert season.review(source, found, POLICY, DUE) == Verdict("merge", near.cafe_id, 8.0)
    without = [one for one in found if one.cafe_id not in (near.cafe_id, far.cafe_id)]
    assert season.review(source, without, POLICY, DUE) == Verdict("cancel")


def test_seven_and_fourteen_do_not_merge() -> None:
    """Twenty-one do not fit: the seven's café is cancelled, the fourteen's takes place."""
    seven, fourteen = of(7), of(14)
    assert season.review(seven, [as_candidate(fourteen)], POLICY, DUE).kind == "cancel"
    assert season.review(fourteen, [as_candidate(seven)], POLICY, DUE).kind == "confirm"


def test_who_received_is_not_dissolved_by_the_same_pass() -> None:
    """It is looked at again the next day, and then like any other."""
    received = of(6, received_on=DUE.date())
    target = of(2)
    assert season.review(received, [as_candidate(target)], POLICY, DUE).kind == "later"
    postponed = season.postpone(received, DUE).cafe
    assert postponed.review_at == DUE + timedelta(days=1)
    assert season.review(postponed, [as_candidate(target)], POLICY, DUE + timedelta(days=1)).kind == "merge"


def test_a_pass_that_comes_after_the_beginning_dissolves_nothing() -> None:
    """However late it is, nobody is sent home."""
    assert season.review(of(1), [], POLICY, STARTS).kind == "confirm"


def test_everybody_moves_with_what_they_have() -> None:
    """Seats, an offer, a place in line, priority and order; the seated have 48 hours to choose."""
    seated = [replace(registration(seats=2), joined_at=NOW - timedelta(hours=9 - n)) for n in range(3)]
    offered, waits = registration("offered"), registration("waiting", priority=1)
    source = replace(cafe(*seated, offered, waits), review_at=DUE)
    gone, received = season.merge(source, [*seated, offered, waits], of(9), POLICY, DUE)
    assert (gone.cafe.state, gone.cafe.counts.taken, gone.cafe.review_at) == ("merged", 0, None)
    assert gone.messages == (CafeMerged(occurred_at=DUE, into_cafe_id=gone.cafe.merged_into_id, moved_seat_count=7),)
    assert received.cafe.counts.taken == 16 and received.cafe.counts.waiting == 1
    assert received.cafe.received_on == DUE.date()
    assert Counter(type(one).__name__ for one in received.messages) == {
        "HouseholdMoved": 3,
        "CafeSeatsOffered": 1,
        "HouseholdQueued": 1,
    }
    moved = [one for one in received.messages if isinstance(one, HouseholdMoved)]
    assert [one.registration_id for one in moved] == [one.registration_id for one in seated]
    assert {one.answer_until for one in moved} == {DUE + timedelta(hours=48)}
    (queued,) = (one for one in received.messages if isinstance(one, HouseholdQueued))
    assert queued.priority == 1


@pytest.mark.parametrize("changes", [(0, 0), (5, 0), (0, 5), (7, 3)])
def test_an_entry_of_a_calendar_is_never_older_after_a_move(changes: tuple[int, int]) -> None:
    """SEQUENCE is the sum of a household's changes and its café's: it rises, however often the café that it left had changed."""
    left, entered = changes
    one = replace(registration(), revision=2)
    source, target = replace(cafe(one, revision=left), review_at=DUE), cafe(revision=entered)
    _, by_choice = domain.change(source, one, target, POLICY, NOW)
    _, by_merge = season.merge(source, [one], target, POLICY, DUE)
    for received in (by_choice, by_merge):
        assert received.refusal is None
        (moved,) = received.cafe.registrations
        assert moved.registration_id == one.registration_id
        assert moved.revision + received.cafe.revision > one.revision + source.revision


def test_a_small_cafe_needs_no_more_than_its_seats() -> None:
    """A room for six takes place with six."""
    assert season.review(replace(cafe(*(registration() for _ in range(6)), capacity=6), review_at=DUE), [], POLICY, DUE).kind == "confirm"  # fmt: skip


def test_the_forecast_is_what_the_passes_do_in_turn() -> None:
    """Three and four on one evening: the first by id goes to the second, which is looked at the next day and then goes to the third."""
    one, two = sorted((of(3), of(4)), key=lambda one: one.cafe_id)
    later = replace(
        of(9), plan=replace(one.plan, starts_at=STARTS + timedelta(days=4)), review_at=DUE + timedelta(days=4)
    )
    near = season.forecast([one, two, later], lambda _, __: 7.0, POLICY, NOW)
    assert near[one.cafe_id] == Verdict("merge", two.cafe_id, 7.0)
    assert near[two.cafe_id] == Verdict("merge", later.cafe_id, 7.0)
    assert near[later.cafe_id].kind == "confirm"
    alone = season.forecast([one, two], lambda _, __: 51.0, POLICY, NOW)
    assert {verdict.kind for verdict in alone.values()} == {"cancel"}


# -- whole passes, by a model of the sweeper


def run_pass(cafes: dict[UUID, Cafe], at: datetime, people: dict[UUID, list[Registration]]) -> list[str]:
    """What the sweeper does at an instant, on values: cafés by date, then id; every café to the right of all others is as near."""
    said: list[str] = []
    while due := [one for one in cafes.values() if one.review_at is not None and one.review_at <= at]:
        one = min(due, key=lambda one: (one.plan.starts_at.date(), one.cafe_id))
        others = [
            as_candidate(other, abs(other.cafe_id.int - one.cafe_id.int) % 97 / 2)
            for other in cafes.values()
            if other.cafe_id != one.cafe_id and other.takes_registrations
        ]
        verdict = season.review(one, others, POLICY, at)
        said.append(verdict.kind)
        match verdict.kind:
            case "confirm":
                cafes[one.cafe_id] = season.confirm(one).cafe
            case "later":
                cafes[one.cafe_id] = season.postpone(one, at).cafe
            case "cancel":
                cafes[one.cafe_id] = season.call_off(one, CafeCancellationReason.UNDER_MINIMUM, at).cafe
                people[one.cafe_id] = []
            case "merge":
                assert verdict.into_id is not None
                target = cafes[verdict.into_id]
                gone, received = season.merge(one, people[one.cafe_id], target, POLICY, at)
                cafes[one.cafe_id], cafes[verdict.into_id] = gone.cafe, received.cafe
                people[verdict.into_id] += people.pop(one.cafe_id)
                people[one.cafe_id] = []
    return said


def season_of(*groups: tuple[int, int]) -> tuple[dict[UUID, Cafe], dict[UUID, list[Registration]]]:
    """Cafés of a period: parents, and days after the first."""
    cafes, people = {}, {}
    for seats, days in groups:
        households = [registration() for _ in range(seats)]
        begin = STARTS + timedelta(days=days)
        plan = replace(cafe().plan, starts_at=begin, ends_at=begin + timedelta(hours=2))
        one = replace(cafe(*households), plan=plan, review_at=DUE + timedelta(days=days))
        cafes[one.cafe_id], people[one.cafe_id] = one, households
    return cafes, people


@pytest.mark.parametrize("days", [(0, 0, 0), (0, 1, 2), (2, 0, 1)])
def test_cafes_of_seven_six_and_five_become_one_of_eighteen(days: tuple[int, int, int]) -> None:
    """Whether they are on one day or on three."""
    cafes, people = season_of(*zip((7, 6, 5), days, strict=True))
    for day in range(4):
        run_pass(cafes, DUE + timedelta(days=day), people)
    assert sorted(one.counts.taken for one in cafes.values()) == [0, 0, 18]
    assert sorted(one.state for one in cafes.values()) == ["confirmed", "merged", "merged"]


@settings(max_examples=200)
@given(
    groups=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 6)), min_size=1, max_size=12),
    late=st.integers(0, 5),
)
def test_no_pass_loses_anybody(groups: list[tuple[int, int]], late: int) -> None:
    """Any season, passes on time or days late: nobody lost or doubled, never more than twenty, every café is decided once."""
    cafes, people = season_of(*groups)
    everybody = {one.registration_id for households in people.values() for one in households}
    cancelled = 0
    for day in range(late, 14):
        before = sum(one.counts.taken for one in cafes.values())
        said = run_pass(cafes, DUE + timedelta(days=day), people)
        cancelled += before - sum(one.counts.taken for one in cafes.values())
        assert len(said) <= 2 * len(cafes)
    seated = Counter(
        one.registration_id for c in cafes.values() for one in c.registrations if one.state == "registered"
    )
    assert all(count == 1 for count in seated.values()), "nobody is in two cafés"
    assert len(seated) == len(everybody) - cancelled and seated.keys() <= everybody
    assert all(0 <= one.counts.taken <= 20 for one in cafes.values())
    assert all(one.review_at is None and one.state != "open" for one in cafes.values())
    on_time = late == 0
    assert not on_time or all(one.state != "confirmed" or one.counts.taken >= 8 for one in cafes.values())
    # Whoever dissolved a café of theirs is confirmed or dissolved in turn, never cancelled behind its back.
    for one in cafes.values():
        if one.state == "merged":
            assert one.merged_into_id in cafes and one.merged_into_id != one.cafe_id


def test_the_period_of_a_day() -> None:
    """Windows of the policy; days between them belong to none, and the next one is found."""
    assert POLICY.period_of(STARTS.date()) == PERIOD
    assert POLICY.period_of(datetime(2027, 1, 5, tzinfo=PARIS).date()) is None
    assert POLICY.period_at(datetime(2027, 1, 5, tzinfo=PARIS).date()).name == CafePeriod.FEBRUARY
    assert POLICY.period_at(datetime(2027, 6, 1, tzinfo=PARIS).date()).school_year == "2027-2028"
