"""The rules of households' registrations: every act from every state, priority, late leaving, changing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args
from uuid import UUID, uuid4

import pytest

from common.lifecycle import AFTER, BEFORE, DURING, Attempt, Lifecycle, observed, written
from parents_cafes import domain, season
from parents_cafes.domain import TRANSITIONS, Actor
from parents_cafes.messages import CafeCancellationReason, CafePeriod, HouseholdMoved, LeaveReason
from parents_cafes.state import Ask, Cafe, CafeState, Conduct, Decision, Outcome, Period, Registration
from small_cafes import NOW, PERIOD, POLICY, STARTS, cafe, registration
from waiting_list.rules import RegistrationState

STATES: tuple[RegistrationState, ...] = get_args(RegistrationState)


ACTS: dict[tuple[Actor, RegistrationState], Any] = {
    ("household", "ended"): lambda c, one, at: domain.cancel(c, one, "household", POLICY, at, warned=True),
    ("household", "registered"): domain.accept,
    ("coordinator", "ended"): lambda c, one, at: domain.cancel(c, one, "coordinator", POLICY, at),
    ("facilitator", "attended"): lambda c, one, at: domain.check_in(c, one, 2, POLICY, at),
    ("facilitator", "registered"): lambda c, one, at: domain.check_in(c, one, 0, POLICY, at),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(("actor", "to"), ACTS)
def test_the_table_says_who_may_do_what(actor: Actor, to: RegistrationState, state: RegistrationState) -> None:
    """Each act on each state: what the table allows leads there, what it does not changes nothing and says why."""
    at = STARTS - timedelta(hours=1) if actor == "facilitator" else NOW
    one = registration(state, 2)
    before = cafe(one)
    decision: Decision = ACTS[actor, to](before, one, at)
    allowed = to in TRANSITIONS.get((actor, state), frozenset())
    if (actor, to, state) == ("household", "registered", "registered"):
        # Keeping, not accepting, is what a registered household does.
        decision = domain.keep(before, replace(one, moved_from_id=uuid4(), moved_until=STARTS), at)
        assert decision.registration is not None and decision.registration.moved_until is None
    elif (actor, to, state) == ("facilitator", "registered", "registered"):
        assert decision.refusal is None and decision.messages == ()
    elif allowed:
        assert decision.refusal is None and decision.registration is not None
        assert decision.registration.state == to and len(decision.messages) == 1
        assert decision.registration.revision == one.revision + 1
    else:
        assert decision.refusal is not None and decision.refusal.reason == "registration_state"
        assert (decision.cafe, decision.messages) == (before, ())


@pytest.mark.parametrize("state", STATES)
def test_time_ends_what_waits_and_nothing_else(state: RegistrationState) -> None:
    """An offer lapses, a place in line is not served; told as of the instant that made it due."""
    one = registration(state)
    settled = domain.settle(cafe(one), STARTS)
    ends = state in ("waiting", "offered")
    assert (len(settled.messages) == 1) is ends
    if ends:
        (message,) = settled.messages
        reason = {"waiting": LeaveReason.NOT_SERVED, "offered": LeaveReason.OFFER_EXPIRED}[state]
        assert (message.occurred_at, message.reason) == (one.due_at, reason)  # type: ignore[attr-defined]
        assert settled.cafe.counts.taken == 0 and settled.cafe.counts.waiting == 0


# -- registering


def ask(seats: int = 1, *, wait: bool = False) -> Ask:
    """Somebody else asks."""
    return Ask(uuid4(), seats, wait)


def test_seats_are_given_while_there_are_some_all_or_none() -> None:
    """Two parents need two seats; who would wait stands in line with its priority."""
    nineteen = cafe(*(registration() for _ in range(19)))
    one = domain.register(nineteen, ask(1), Conduct(), POLICY, NOW)
    assert one.registration is not None and one.registration.state == "registered" and one.cafe.free_count == 0
    two = domain.register(nineteen, ask(2), Conduct(), POLICY, NOW)
    assert two.refusal is not None and two.refusal.reason == "full" and two.refusal.facts["can_wait"] is True
    missed = Conduct((Outcome("ended", "NOT_SERVED"),))
    queued = domain.register(nineteen, ask(2, wait=True), missed, POLICY, NOW)
    assert queued.registration is not None
    assert (queued.registration.state, queued.registration.priority) == ("waiting", 1)
    assert queued.registration.due_at == datetime(2026, 12, 14, 17, tzinfo=UTC), "18:00 in Paris on the eve"


def test_nobody_is_twice_in_a_period_and_three_parents_are_too_many() -> None:
    """Whoever is registered or waits in the period already is told how to change."""
    again = domain.register(cafe(), ask(), Conduct(is_in_period=True), POLICY, NOW)
    assert again.refusal is not None and again.refusal.reason == "already_registered"
    three = domain.register(cafe(), ask(3), Conduct(), POLICY, NOW)
    assert three.refusal is not None and three.refusal.reason == "household_too_large"


@pytest.mark.parametrize(
    ("state", "at", "reason"),
    [
        ("planned", NOW, "not_open_yet"),
        ("cancelled", NOW, "cafe_cancelled"),
        ("merged", NOW, "cafe_cancelled"),
        ("held", NOW, "cafe_over"),
        ("open", STARTS, "cafe_over"),
        ("confirmed", NOW, None),
    ],
)
def test_a_cafe_that_takes_nobody_says_why(state: str, at: datetime, reason: str | None) -> None:
    """By its state and the hour."""
    refusal = domain.register(cafe(state=state), ask(), Conduct(), POLICY, at).refusal
    assert (refusal and refusal.reason) == reason


def test_who_found_no_place_comes_before_everybody_may() -> None:
    """Until `opens_at` only those with priority register; from then on everybody."""
    early = replace(cafe(), opens_at=NOW + timedelta(hours=48))
    missed = Conduct((Outcome("ended", "CAFE_CANCELLED"),))
    stranger = domain.register(early, ask(), Conduct(), POLICY, NOW)
    assert stranger.refusal is not None and stranger.refusal.reason == "not_open_yet"
    assert domain.register(early, ask(), missed, POLICY, NOW).refusal is None
    assert domain.register(early, ask(), Conduct(), POLICY, NOW + timedelta(hours=48)).refusal is None


# -- priority


def outcome(state: RegistrationState, reason: Any = None) -> Outcome:
    """One of a household's registrations."""
    return Outcome(state, reason)


@pytest.mark.parametrize(
    ("recent", "late", "priority"),
    [
        ((), 0, 0),
        ((outcome("ended", "NOT_SERVED"),), 0, 1),
        ((outcome("ended", "CAFE_CANCELLED"),), 0, 2),
        ((outcome("ended", "MOVE_DECLINED"),), 0, 2),
        ((outcome("ended", "OFFER_EXPIRED"),), 0, 0),
        ((outcome("ended", "CANCELLED_BY_HOUSEHOLD"), outcome("ended", "NOT_SERVED")), 0, 1),
        ((outcome("attended"), outcome("ended", "NOT_SERVED")), 0, 0),
        ((outcome("ended", "NOT_SERVED"), outcome("attended")), 0, 1),
        ((), 1, -1),
        ((), 7, -1),
        ((outcome("ended", "NOT_SERVED"),), 1, 0),
        ((outcome("ended", "CAFE_CANCELLED"),), 1, 1),
    ],
)
def test_priority_is_what_a_household_is_owed_less_one_for_leaving_late(
    recent: tuple[Outcome, ...], late: int, priority: int
) -> None:
    """The newest outcome that was not its own choice counts; leaving late lowers, and never excludes."""
    conduct = Conduct(recent, late)
    assert domain.priority_of(conduct) == priority
    assert domain.register(cafe(), ask(), conduct, POLICY, NOW).refusal is None


# -- leaving


def test_leaving_late_is_warned_of_first() -> None:
    """Within 48 hours the first try changes nothing and says what it means; the second one counts as late."""
    one = registration()
    here, late = cafe(one), STARTS - timedelta(hours=47)
    first = domain.cancel(here, one, "household", POLICY, late)
    assert first.refusal is not None and first.refusal.reason == "late_warning" and first.cafe == here
    second = domain.cancel(here, one, "household", POLICY, late, warned=True)
    assert second.registration is not None and second.registration.end_reason == "CANCELLED_LATE"
    # Who is early, who only waits, whom a coordinator helps, whom a merge moved: not late.
    early = domain.cancel(here, one, "household", POLICY, STARTS - timedelta(hours=49))
    assert early.registration is not None and early.registration.end_reason == "CANCELLED_BY_HOUSEHOLD"
    waits = registration("waiting")
    assert domain.cancel(cafe(waits), waits, "household", POLICY, late).refusal is None
    assert domain.cancel(here, one, "coordinator", POLICY, late).refusal is None
    moved = replace(one, moved_from_id=uuid4(), moved_until=STARTS)
    declined = domain.cancel(cafe(moved), moved, "household", POLICY, late)
    assert declined.registration is not None and declined.registration.end_reason == "MOVE_DECLINED"


def test_nobody_leaves_what_has_begun() -> None:
    """From its beginning on, who came is what counts."""
    one = registration()
    decision = domain.cancel(cafe(one), one, "household", POLICY, STARTS, warned=True)
    assert decision.refusal is not None and decision.refusal.reason == "cafe_over"


# -- changing


def test_changing_takes_seats_there_and_frees_them_here_or_does_neither() -> None:
    """One message in each café; a full one, another period, a closed one change nothing."""
    one = registration(seats=2)
    source, target = cafe(one, registration()), cafe(*(registration() for _ in range(18)))
    left, received = domain.change(source, one, target, POLICY, NOW)
    assert left.refusal is None and (left.cafe.counts.taken, received.cafe.counts.taken) == (1, 20)
    (message,) = received.messages
    assert isinstance(message, HouseholdMoved) and message.from_cafe_id == source.cafe_id
    assert received.registration is not None and received.registration.registration_id == one.registration_id
    full = cafe(*(registration() for _ in range(19)))
    for there, reason in (
        (full, "full"),
        (replace(target, period=PERIOD.after), "other_period"),
        (replace(target, state="planned"), "not_open_yet"),
        (replace(target, state="merged"), "cafe_cancelled"),
    ):
        refused, untouched = domain.change(source, one, there, POLICY, NOW)
        assert refused.refusal is not None and refused.refusal.reason == reason
        assert (refused.cafe, untouched.cafe, untouched.messages) == (source, there, ())


def test_changing_late_is_leaving_late() -> None:
    """It is warned of, then ends here as late and begins anew there; what a merge moved is free to go."""
    one = registration(seats=2)
    soon, later = cafe(one), cafe(starts_at=STARTS + timedelta(days=3))
    at = STARTS - timedelta(hours=5)
    warned, untouched = domain.change(soon, one, later, POLICY, at)
    assert warned.refusal is not None and warned.refusal.reason == "late_warning" and untouched.cafe == later
    left, received = domain.change(soon, one, later, POLICY, at, warned=True)
    assert left.registration is not None and left.registration.end_reason == "CANCELLED_LATE"
    assert received.registration is not None and received.registration.registration_id != one.registration_id
    assert (received.registration.state, received.cafe.counts.taken) == ("registered", 2)
    moved = replace(one, moved_from_id=uuid4(), moved_until=STARTS)
    free, _ = domain.change(cafe(moved), moved, later, POLICY, at)
    assert free.refusal is None and free.registration is None


def test_whoever_waits_and_changes_to_free_seats_has_them() -> None:
    """A place in line or an offer becomes seats elsewhere."""
    for state in ("waiting", "offered"):
        one = registration(state)
        left, received = domain.change(cafe(one), one, cafe(), POLICY, NOW)
        assert left.refusal is None and received.registration is not None
        assert (received.registration.state, received.registration.due_at) == ("registered", None)


# -- one parent more


def test_one_parent_more_needs_a_free_seat() -> None:
    """As far as seats are free; nobody brings a third."""
    one = registration()
    full = cafe(one, *(registration() for _ in range(19)))
    assert domain.resize(full, one, 2, POLICY, NOW).refusal is not None
    more = domain.resize(cafe(one), one, 2, POLICY, NOW)
    assert more.refusal is None and more.cafe.counts.taken == 2
    fewer = domain.resize(more.cafe, more.cafe.registrations[0], 1, POLICY, NOW)
    assert fewer.cafe.counts.taken == 1
    third = domain.resize(cafe(one), one, 3, POLICY, NOW)
    assert third.refusal is not None and third.refusal.reason == "household_too_large"


def test_periods_follow_each_other_over_school_years() -> None:
    """October, December, February, and October again."""
    seen = [Period("2026-2027", CafePeriod.OCTOBER)]
    for _ in range(3):
        seen.append(seen[-1].after)
    assert [(one.school_year, one.name.value) for one in seen] == [
        ("2026-2027", "OCTOBER"),
        ("2026-2027", "DECEMBER"),
        ("2026-2027", "FEBRUARY"),
        ("2027-2028", "OCTOBER"),
    ]
    assert [one.before for one in seen[1:]] == seen[:-1] and sorted(seen, key=lambda one: one.order) == seen


def test_a_registration_has_one_identity_wherever_it_goes() -> None:
    """Moved, offered, resized: the id stays, the revision grows."""
    one = registration("waiting")
    here = cafe(one)
    offered = domain.offer(here, one, STARTS - timedelta(days=2), NOW).registration
    assert offered is not None
    taken = domain.accept(here.with_(one, offered), offered, NOW).registration
    assert taken is not None
    assert isinstance(taken.registration_id, UUID) and taken.registration_id == one.registration_id
    assert taken.revision == one.revision + 2


# -- a way out of every state

README = Path(__file__).parents[1] / "README.md"
AT = {BEFORE: NOW, DURING: STARTS + timedelta(hours=1), AFTER: STARTS + timedelta(days=30)}


def registration_life() -> Lifecycle:
    """Every act on a household's registration, once what is due is settled, as every handler does."""

    def tried(rule: Callable[[Cafe, Registration, datetime], Decision]) -> Attempt:
        def attempt(state: str, phase: str) -> str | None:
            one = registration(state, 2)  # type: ignore[arg-type]
            if settled_by(state, phase) is not None:
                return None
            decision = rule(cafe(one), one, AT[phase])
            return None if decision.refusal or decision.registration is None else decision.registration.state

        return attempt

    def settled_by(state: str, phase: str) -> str | None:
        before = cafe(registration(state, 2))  # type: ignore[arg-type]
        if domain.settle(before, AT[phase]).messages:
            return "ended"
        over_at = domain.over_at(before, POLICY)
        return "absent" if state == "registered" and over_at is not None and over_at <= AT[phase] else None

    attempts: dict[tuple[str, str], Attempt] = {
        ("household", "accept"): tried(domain.accept),
        ("household", "leave"): tried(lambda c, one, at: domain.cancel(c, one, "household", POLICY, at, warned=True)),
        ("coordinator", "cancel"): tried(lambda c, one, at: domain.cancel(c, one, "coordinator", POLICY, at)),
        ("facilitator", "check in"): tried(lambda c, one, at: domain.check_in(c, one, 2, POLICY, at)),
        ("time", "settle"): settled_by,
    }
    return observed("registration", STATES, ("attended", "absent", "ended"), attempts)


def cafe_life() -> Lifecycle:
    """What becomes of a café."""

    def tried(rule: Callable[[Cafe, datetime], Decision]) -> Attempt:
        def attempt(state: str, phase: str) -> str | None:
            before = cafe(state=state)
            decision = rule(before, AT[phase])
            gone = settled_by(state, phase) is not None or decision.refusal is not None or decision.cafe == before
            return None if gone else decision.cafe.state

        return attempt

    def settled_by(state: str, phase: str) -> str | None:
        over_at = domain.over_at(cafe(state=state), POLICY)
        is_over = state in ("open", "confirmed") and over_at is not None and over_at <= AT[phase]
        return "held" if is_over else None

    cancelled = CafeCancellationReason.CANCELLED_BY_COORDINATOR
    attempts: dict[tuple[str, str], Attempt] = {
        ("coordinator", "open"): tried(lambda c, at: season.open_(c, POLICY, at, awaited=False)),
        ("coordinator", "call off"): tried(lambda c, at: season.call_off(c, cancelled, at)),
        ("time", "hold"): settled_by,
    }
    return observed("cafe", get_args(CafeState), ("held", "merged", "cancelled"), attempts)


@pytest.mark.parametrize("life", [registration_life, cafe_life])
def test_every_state_has_a_way_out(life: Callable[[], Lifecycle]) -> None:
    """Before, during and after."""
    assert life().problems() == []


def tables() -> str:
    """What the README has."""
    return f"{registration_life().table()}\n\n{cafe_life().table()}"


def test_the_readme_shows_the_tables() -> None:
    """Run this file as a script to write them anew."""
    assert README.read_text() == written(README.read_text(), tables())


if __name__ == "__main__":
    README.write_text(written(README.read_text(), tables()))
