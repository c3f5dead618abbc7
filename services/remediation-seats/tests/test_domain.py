"""The rules of seats and holds, each transition generated from its table."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import get_args
from uuid import UUID, uuid4

import holidays
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common import codes
from common.lifecycle import AFTER, BEFORE, Attempt, Lifecycle, observed, written
from remediation_seats import domain
from remediation_seats.domain import TRANSITIONS, Actor
from remediation_seats.messages import DeclarationWay, DeclineReason, EducationLevel, HoldEnded, HoldEndReason
from remediation_seats.state import LIVE, Conditions, Decision, Declaration, Hold, HoldState, Policy, Profile, Programme
from territory.working_time import PARIS, add_working_days, public_holidays

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
POLICY = Policy(2, 5, 3, 1, 3, 7, 30, 5, 120, 10, 90, 7, 2, 10, 30, 365)
OPEN = Conditions("CAP Menuisier", ("H2206",), None, 15, 18, EducationLevel.NO_DIPLOMA, False, True, None)


def programme(
    total: int = 10, taken: int = 4, *, observed_at: datetime = NOW - timedelta(hours=1), holds: tuple[Hold, ...] = ()
) -> Programme:
    return Programme(
        uuid4(), uuid4(), OPEN, Declaration(total, taken, observed_at, DeclarationWay.HTTP), holds=holds, version=1
    )


def hold_in(state: HoldState, programme_id: UUID | None = None) -> Hold:
    return Hold(
        uuid4(),
        programme_id or uuid4(),
        uuid4(),
        "p1",
        state,
        NOW - timedelta(hours=2),
        NOW + timedelta(days=3),
        arrival_on=date(2026, 11, 30) if state != "held" else None,
        no_show_at=NOW + timedelta(days=9) if state == "confirmed" else None,
    )


def take(state: Programme, **changes: object) -> Decision:
    values = {
        "young_person_id": uuid4(),
        "prescriber_id": "p1",
        "profile": Profile(),
        "live_of_young_person": 0,
        "live_of_prescriber": 0,
        "policy": POLICY,
        "now": NOW,
    }
    return domain.hold_seat(state, **(values | changes))  # type: ignore[arg-type]


ACTS = {
    ("prescriber", "held"): lambda p, h: domain.extend(p, h, POLICY, NOW),
    ("prescriber", "withdrawn"): lambda p, h: domain.withdraw(p, h, NOW),
    ("structure", "confirmed"): lambda p, h: domain.confirm(p, h, NOW.date() + timedelta(days=2), POLICY, NOW),
    ("structure", "declined"): lambda p, h: domain.decline(p, h, DeclineReason.OTHER, NOW),
    ("structure", "admitted"): lambda p, h: domain.admit(p, h, NOW),
    ("release", "released"): lambda p, h: domain.release(p, h, NOW),
}
CASES = [(actor, to, state) for (actor, to), state in product(ACTS, get_args(HoldState))]


@pytest.mark.parametrize(("actor", "to", "state"), CASES)
def test_every_act_from_every_state_is_allowed_exactly_as_the_table_says(
    actor: Actor, to: HoldState, state: HoldState
) -> None:
    """All acts × all states, split by the table into allowed and forbidden; both sides are run."""
    hold = hold_in(state)
    before = programme(holds=(hold,))
    decision = ACTS[actor, to](before, hold)
    if to in TRANSITIONS.get((actor, state), frozenset()):
        assert decision.refusal is None
        assert decision.programme.hold(hold.hold_id).state == to
        assert len(decision.messages) == 1
    else:
        assert decision.refusal is not None and decision.refusal.reason == "hold_state"
        assert decision.programme == before and decision.messages == ()


def test_every_live_state_has_an_exit_by_time() -> None:
    """No hold can stay for ever: each live state has a due instant, and time may end it."""
    for state in LIVE:
        assert hold_in(state).due_at is not None
        assert TRANSITIONS["time", state]


def test_free_seats_follow_the_strategys_formula() -> None:
    """Free = total − taken − admitted after the declaration − live holds, never below 0."""
    state = programme(10, 4)
    for expected in (5, 4, 3):
        state = take(state).programme
        assert state.counts.free_count == expected
    assert programme(5, 5).counts.free_count == 0


def test_held_confirmed_admitted_never_raises_the_free_count() -> None:
    """Admission turns a hold into a taken seat, even when the declaration's clock was a little ahead."""
    state = programme(3, 1, observed_at=NOW + timedelta(minutes=4))
    state = take(state).programme
    frees = [state.counts.free_count]
    hold = state.holds[0]
    state = domain.confirm(state, state.hold(hold.hold_id), NOW.date(), POLICY, NOW).programme
    frees.append(state.counts.free_count)
    state = domain.admit(state, state.hold(hold.hold_id), NOW).programme
    frees.append(state.counts.free_count)
    assert frees == [1, 1, 1]


def test_a_late_or_repeated_declaration_changes_nothing_and_says_so() -> None:
    """Declarations are ordered by observed_at whatever the way in."""
    state = programme()
    assert state.declaration is not None
    for late in (
        state.declaration,
        replace(state.declaration, observed_at=NOW - timedelta(days=1), total_count=99, way=DeclarationWay.CSV),
    ):
        decision = domain.declare(state, late, POLICY, NOW)
        assert decision.notes["status"] == "superseded"
        assert decision.programme == state and not decision.messages


def test_sequence_only_breaks_ties_inside_one_way_in() -> None:
    """Same instant: a higher sequence of the same way wins; of another way it does not."""
    first = Declaration(10, 4, NOW, DeclarationWay.HTTP, 1)
    state = replace(programme(), declaration=first)
    assert domain.declare(state, replace(first, sequence=2, taken_count=5), POLICY, NOW).notes["status"] == "accepted"
    assert (
        domain.declare(state, replace(first, sequence=2, way=DeclarationWay.CSV), POLICY, NOW).notes["status"]
        == "superseded"
    )


def test_an_observation_more_than_five_minutes_ahead_is_refused() -> None:
    """A wrong clock must not freeze a programme in the future."""
    ahead = Declaration(10, 4, NOW + timedelta(minutes=5, seconds=1), DeclarationWay.HTTP)
    refusal = domain.declare(programme(), ahead, POLICY, NOW).refusal
    assert refusal is not None and refusal.reason == "observed_in_the_future"
    assert (
        domain.declare(programme(), replace(ahead, observed_at=NOW + timedelta(minutes=5)), POLICY, NOW).refusal is None
    )


def test_a_declaration_below_the_live_holds_is_accepted_and_flags_the_excess() -> None:
    """Nothing is silently dropped: the holds stay, the youngest are named as without a seat."""
    state = programme(10, 4)
    for _ in range(3):
        state = take(state).programme
    decision = domain.declare(state, Declaration(10, 9, NOW, DeclarationWay.HTTP), POLICY, NOW)
    assert decision.notes["status"] == "accepted"
    assert decision.programme.counts.excess_count == 2
    assert decision.notes["holds_without_seat"] == [hold.hold_id for hold in state.live[1:]]
    withdrawn = domain.withdraw(decision.programme, decision.programme.live[0], NOW).programme
    assert withdrawn.counts.excess_count == 1 and withdrawn.counts.free_count == 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"profile": Profile(age=14)}, "does_not_fit_age"),
        ({"profile": Profile(age=19)}, "does_not_fit_age"),
        ({"profile": Profile(needs_boarding=True)}, "does_not_fit_boarding"),
        ({"live_of_young_person": 2}, "young_person_limit"),
        ({"live_of_prescriber": 5}, "prescriber_limit"),
        ({"now": NOW + timedelta(days=31)}, "declaration_stale"),
    ],
)
def test_a_hold_is_refused_with_its_reason(changes: dict[str, object], reason: str) -> None:
    """Every refusal carries a closed code and a sentence."""
    refusal = take(programme(), **changes).refusal
    assert refusal is not None and refusal.reason == reason and refusal.detail.endswith(".")


def test_a_full_programme_a_closed_one_and_a_second_hold_are_refused() -> None:
    """No free seat, closed, already held: three more reasons."""
    person = uuid4()
    held = take(programme(), young_person_id=person).programme
    decisions = [
        take(programme(4, 4)),
        take(replace(programme(), conditions=replace(OPEN, open=False))),
        take(held, young_person_id=person),
    ]
    reasons = [decision.refusal.reason for decision in decisions if decision.refusal]
    assert reasons == ["no_free_seat", "does_not_fit_programme_closed", "already_held"]


def test_a_hold_lasts_three_working_days_and_is_extended_once() -> None:
    """Friday 16:00 to Wednesday 16:00, then three more, then no more."""
    friday = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)  # 16:00 in Paris
    state = take(programme(observed_at=friday), now=friday).programme
    hold = state.holds[0]
    assert hold.expires_at == datetime(2026, 12, 2, 15, 0, tzinfo=UTC)
    longer = domain.extend(state, hold, POLICY, friday).programme
    assert longer.hold(hold.hold_id).expires_at == datetime(2026, 12, 7, 15, 0, tzinfo=UTC)
    refusal = domain.extend(longer, longer.hold(hold.hold_id), POLICY, friday).refusal
    assert refusal is not None and refusal.reason == "already_extended"


def test_settle_ends_what_is_due_at_its_own_instant() -> None:
    """Reading late changes nothing: the messages carry the due instants, earliest first."""
    state = take(take(programme()).programme, now=NOW + timedelta(hours=3)).programme
    due = [hold.expires_at for hold in state.holds]
    decision = domain.settle(state, NOW + timedelta(days=20))
    assert [message.occurred_at for message in decision.messages] == sorted(due)
    assert all(
        isinstance(message, HoldEnded) and message.reason == HoldEndReason.EXPIRED for message in decision.messages
    )
    assert decision.programme.counts.free_count == programme().counts.free_count


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("2026-11-27T16:00", "2026-12-02T16:00"),  # over a week-end
        ("2026-11-28T10:00", "2026-12-03T00:00"),  # from a Saturday: Monday 00:00 plus three
        ("2026-12-24T09:00", "2026-12-30T09:00"),  # Christmas and a week-end
        ("2026-10-23T09:00", "2026-10-28T09:00"),  # the clock goes back on the 25th: the wall clock counts
        ("2027-03-26T09:00", "2027-04-01T09:00"),  # the clock goes forward on the 28th, Easter Monday on the 29th
        ("2028-02-28T09:00", "2028-03-02T09:00"),  # 29 February is a working day
    ],
)
def test_working_days_skip_weekends_and_holidays_on_the_paris_clock(start: str, expected: str) -> None:
    """Three working days of 24 h, Monday to Friday, no public holiday, daylight saving included."""
    instant = datetime.fromisoformat(start).replace(tzinfo=PARIS)
    assert add_working_days(instant, 3) == datetime.fromisoformat(expected).replace(tzinfo=PARIS).astimezone(UTC)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.integers(0, 2**32))
@settings(max_examples=150)
def test_no_sequence_of_acts_breaks_the_arithmetic(acts: list[int], seed: int) -> None:
    """Whatever happens: free is never negative, a hold never takes a seat that is not there, every message carries the counts after it."""
    draw, now, state = random.Random(seed), NOW, programme(6, 2)
    for act in acts:
        now += timedelta(hours=draw.randint(0, 40))
        settled = domain.settle(state, now)
        state, holds, before = settled.programme, settled.programme.live, settled.programme.counts
        if act <= 3 or not holds:
            decision = take(state, now=now)
            if decision.refusal is None:
                assert before.free_count >= 1
        elif act == 4:
            declared = Declaration(draw.randint(0, 8), 0, now, DeclarationWay.HTTP)
            decision = domain.declare(
                state, replace(declared, taken_count=draw.randint(0, declared.total_count)), POLICY, now
            )
        else:
            hold = draw.choice(holds)
            decision = _act_on(state, hold, act, now)
            if hold.state == "confirmed" and act == 6:
                assert decision.programme.counts.free_count <= before.free_count
        state = decision.programme
        counts = state.counts
        assert counts.free_count >= 0
        assert (
            counts.taken_count + counts.admitted_count + counts.held_count <= counts.total_count + counts.excess_count
        )
        if decision.messages:
            assert decision.messages[-1].seats == counts  # type: ignore[attr-defined]


def test_public_holidays_are_those_of_the_holidays_library() -> None:
    """The independent referee agrees on every year of three decades."""
    for year in range(2020, 2051):
        assert public_holidays(year) == set(holidays.country_holidays("FR", years=year))


def _act_on(state: Programme, hold: Hold, act: int, now: datetime) -> Decision:
    return {
        5: lambda: domain.confirm(state, hold, now.date(), POLICY, now),
        6: lambda: domain.admit(state, hold, now),
        7: lambda: domain.withdraw(state, hold, now),
        8: lambda: domain.decline(state, hold, DeclineReason.OTHER, now),
        9: lambda: domain.extend(state, hold, POLICY, now),
    }[act]()


def test_a_code_survives_handwriting() -> None:
    """One wrong character, or two neighbours swapped, is always noticed; spaces, dashes and case are not errors."""
    code = codes.new_code()
    assert codes.normalised_code(f" {code[:5].lower()}-{code[5:]} ") == code
    for position in range(codes.CODE_LENGTH):
        for other in "23456789ABCDEFGHJKMNPQRSTUVWXYZ":
            if other != code[position]:
                assert codes.normalised_code(code[:position] + other + code[position + 1 :]) is None
        if position and code[position] != code[position - 1]:
            assert (
                codes.normalised_code(code[: position - 1] + code[position] + code[position - 1] + code[position + 1 :])
                is None
            )


# -- a way out of every state

README = Path(__file__).parents[1] / "README.md"
# Before and after the instant at which a hold, or the arrival of who was confirmed, is due.
AT = {BEFORE: NOW, AFTER: NOW + timedelta(days=30)}


def tried(rule: Callable[[Programme, Hold, str], Decision]) -> Attempt:
    """A person's act, once what is due is settled, as every handler does."""

    def attempt(state: str, phase: str) -> str | None:
        one = hold_in(state)  # type: ignore[arg-type]
        before = programme(holds=(one,))
        if domain.settle(before, AT[phase]).messages:
            return None
        decision = rule(before, one, phase)
        return None if decision.refusal is not None else decision.programme.hold(one.hold_id).state

    return attempt


def settled_by(state: str, phase: str) -> str | None:
    """What is due by then."""
    one = hold_in(state)  # type: ignore[arg-type]
    settled = domain.settle(programme(holds=(one,)), AT[phase])
    return settled.programme.hold(one.hold_id).state if settled.messages else None


def hold_life() -> Lifecycle:
    """As the rules have it."""
    day = timedelta(days=1)
    attempts: dict[tuple[str, str], Attempt] = {
        ("prescriber", "extend"): tried(lambda p, h, at: domain.extend(p, h, POLICY, AT[at])),
        ("prescriber", "withdraw"): tried(lambda p, h, at: domain.withdraw(p, h, AT[at])),
        ("structure", "confirm"): tried(lambda p, h, at: domain.confirm(p, h, (AT[at] + day).date(), POLICY, AT[at])),
        ("structure", "decline"): tried(lambda p, h, at: domain.decline(p, h, DeclineReason.OTHER, AT[at])),
        ("structure", "admit"): tried(lambda p, h, at: domain.admit(p, h, AT[at])),
        ("release", "release"): tried(lambda p, h, at: domain.release(p, h, AT[at])),
        ("time", "settle"): settled_by,
    }
    states = get_args(HoldState)
    final = [state for state in states if state not in LIVE]
    return observed("hold", states, final, attempts, phases=tuple(AT))


def test_every_state_has_a_way_out() -> None:
    """Before what is due, and after."""
    assert hold_life().problems() == []


def test_the_readme_shows_the_table() -> None:
    """Run this file as a script to write it anew."""
    assert README.read_text() == written(README.read_text(), hold_life().table())


if __name__ == "__main__":
    README.write_text(written(README.read_text(), hold_life().table()))
