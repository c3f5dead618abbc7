"""The rules of bookings: every act in every state, what time does, who moves up, and random lives of a platform."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations, product
from pathlib import Path
from typing import Any, get_args
from uuid import UUID, uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from common.lifecycle import AFTER, BEFORE, DURING, Attempt, Lifecycle, observed, written
from platform_scheduling import domain
from platform_scheduling.messages import (
    BookingApproval,
    BookingApproved,
    BookingEnded,
    BookingEndReason,
    BookingHeld,
    BookingMoved,
    BookingOrigin,
    BookingRefusalReason,
    BookingRequested,
)
from platform_scheduling.state import (
    HOLDING,
    LIVE,
    Ask,
    Booking,
    BookingState,
    Busy,
    Conduct,
    Decision,
    Description,
    Platform,
    Policy,
    Span,
    Unit,
)

# A Monday; with five working days to answer, an option of that day ends the Monday after.
NOW = datetime(2027, 1, 4, 9, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
POLICY = Policy(
    horizon_days=180,
    notice_hours=24,
    length_minutes_min=30,
    length_minutes_max=600,
    gap_minutes=0,
    answer_working_days=5,
    bookings_per_requester_max=10,
    late_cancellation_hours=48,
    late_cancellations_max=3,
    late_window_days=365,
    no_show_days=7,
    case_link_days=365,
)
DESCRIPTION = Description(
    "Lycée", "Atelier", "76540", ("usinage",), (), 12, True, ("electrique",), BookingApproval.OWNER, {}
)
HABILITATIONS = frozenset({"electrique"})
SLOT = Span(NOW + 20 * DAY, NOW + 20 * DAY + 2 * HOUR)


def platform(*bookings: Booking, units: int = 1, **changes: Any) -> Platform:
    """A platform that is open the whole year."""
    places = tuple(Unit(UUID(int=n), n, f"Place {n}") for n in range(1, units + 1))
    description = replace(DESCRIPTION, **changes)
    opened = (Span(NOW - 30 * DAY, NOW + 400 * DAY),)
    return Platform(uuid4(), "0760017F", description, places, bookings, opened, version=1)


def booking(state: BookingState, span: Span = SLOT, **changes: Any) -> Booking:
    """A booking of the first unit."""
    due = {"requested": span.starts_at, "tentative": NOW + 7 * DAY, "approved": span.ends_at}.get(state)
    unit = None if state == "requested" else 1
    one = Booking(uuid4(), uuid4(), BookingOrigin.PERSON, state, span, span.ends_at, 8, NOW, due, unit)
    return replace(one, **changes)


def ask(span: Span = SLOT, **changes: Any) -> Ask:
    """Eight people with the habilitation."""
    return replace(Ask(uuid4(), span, 8, HABILITATIONS), **changes)


def request(one: Platform, asked: Ask | None = None, now: datetime = NOW, **conduct: int) -> Decision:
    """Asks for a slot."""
    return domain.request(one, asked or ask(), Conduct(**conduct), POLICY, now)


def reason(decision: Decision) -> str | None:
    """Why it was refused."""
    return decision.refusal.reason if decision.refusal else None


# Acts on a booking whose slot lies ahead, and on one that is under way.
ACTS: dict[tuple[domain.Actor, BookingState], Callable[[Platform, Booking], Decision]] = {
    ("requester", "cancelled"): lambda p, b: domain.cancel(p, b, "requester", POLICY, NOW),
    ("owner", "cancelled"): lambda p, b: domain.cancel(p, b, "owner", POLICY, NOW),
    ("event", "cancelled"): lambda p, b: domain.cancel(p, b, "event", POLICY, NOW),
    ("owner", "approved"): lambda p, b: domain.approve(p, b, NOW),
    ("owner", "refused"): lambda p, b: domain.refuse(p, b, BookingRefusalReason.SAFETY, POLICY, NOW),
    ("owner", "no_show"): lambda p, b: domain.miss(p, b, POLICY, b.span.starts_at + HOUR),
}


@pytest.mark.parametrize(("act", "state"), list(product(ACTS, get_args(BookingState))))
def test_every_act_in_every_state(act: tuple[domain.Actor, BookingState], state: BookingState) -> None:
    """The table says what is possible; all else is refused, changes nothing and tells nothing."""
    one = booking(state)
    before = platform(one)
    decision = ACTS[act](before, one)
    actor, to = act
    if to in domain.TRANSITIONS.get((actor, state), frozenset()):
        assert decision.refusal is None
        assert decision.booking is not None
        assert (decision.booking.state, decision.booking.revision) == (to, one.revision + 1)
        assert len(decision.messages) == 1
        assert (decision.booking.due_at is None) == (to not in LIVE)
    else:
        assert reason(decision) == "booking_state"
        assert (decision.platform, decision.messages) == (before, ())


def test_a_free_slot_is_held_until_the_owner_answers_or_approved_at_once() -> None:
    """Five working days to answer, never beyond the begin of the slot; an automatic platform approves."""
    held = request(platform())
    assert held.booking is not None and held.booking.state == "tentative"
    assert held.booking.due_at == NOW + 7 * DAY
    assert isinstance(held.messages[0], BookingHeld)
    near = Span(NOW + 2 * DAY, NOW + 2 * DAY + HOUR)
    soon = request(platform(), ask(near))
    assert soon.booking is not None and soon.booking.due_at == near.starts_at
    at_once = request(platform(approval=BookingApproval.AUTOMATIC))
    assert at_once.booking is not None
    assert (at_once.booking.state, at_once.booking.due_at) == ("approved", SLOT.ends_at)
    assert isinstance(at_once.messages[0], BookingApproved)


@pytest.mark.parametrize(
    ("asked", "changes", "why"),
    [
        (ask(), {"withdrawn": True}, "platform_withdrawn"),
        (ask(group_size=13), {}, "group_too_large"),
        (ask(habilitation_codes=frozenset()), {}, "habilitation_missing"),
        (ask(Span(SLOT.starts_at, SLOT.starts_at + timedelta(minutes=29))), {}, "length"),
        (ask(Span(SLOT.starts_at, SLOT.starts_at + timedelta(minutes=601))), {}, "length"),
        (ask(Span(NOW + 23 * HOUR, NOW + 25 * HOUR)), {}, "too_late"),
        (ask(Span(NOW - 3 * HOUR, NOW - HOUR)), {}, "too_late"),
        (ask(Span(NOW + 180 * DAY - HOUR, NOW + 180 * DAY + HOUR)), {}, "too_early"),
        (ask(Span(NOW + 20 * DAY, NOW + 20 * DAY + 2 * HOUR)), {"access": {"horizon_days": 10}}, "too_early"),
        (ask(Span(NOW + 20 * DAY, NOW + 20 * DAY + 2 * HOUR)), {"access": {"length_minutes_max": 60}}, "length"),
    ],
)
def test_what_is_asked_is_refused_with_the_reason(asked: Ask, changes: dict[str, Any], why: str) -> None:
    """Limits of the platform, of the policy, and of what the owner has set otherwise."""
    assert reason(request(platform(**changes), asked)) == why


def test_a_slot_must_lie_whole_in_what_is_offered() -> None:
    """Windows that touch are as good as one; a hole of a minute, or an end beyond, is not offered."""
    begin, middle, end = SLOT.starts_at, SLOT.starts_at + HOUR, SLOT.ends_at
    two = replace(platform(), open=(Span(middle, end), Span(begin - HOUR, middle)))
    assert request(two).refusal is None
    hole = replace(platform(), open=(Span(begin, middle), Span(middle + timedelta(minutes=1), end)))
    assert reason(request(hole)) == "not_offered"
    assert reason(request(replace(platform(), open=(Span(begin, end - timedelta(minutes=1)),)))) == "not_offered"
    assert reason(request(replace(platform(), open=()))) == "not_offered"


def test_a_taken_slot_and_what_the_owner_keeps() -> None:
    """Another unit is taken instead; when all are taken or kept, it is refused; slots that touch do not collide."""
    one = booking("approved")
    assert reason(request(platform(one))) == "slot_taken"
    beside = request(platform(one, units=2))
    assert beside.booking is not None and beside.booking.unit_number == 2
    kept = replace(platform(one, units=2), busy=(Busy(SLOT, 2),))
    assert reason(request(kept)) == "slot_taken"
    closed = replace(platform(units=2), busy=(Busy(Span(SLOT.ends_at - HOUR, SLOT.ends_at + HOUR)),))
    assert reason(request(closed)) == "slot_taken"
    after = ask(Span(SLOT.ends_at, SLOT.ends_at + HOUR))
    assert request(platform(one), after).refusal is None


def test_the_gap_is_kept_on_both_sides() -> None:
    """A platform that wants 30 minutes between groups refuses what begins or ends too near."""
    gap: dict[str, Any] = {"access": {"gap_minutes": 30}}
    first = request(platform(**gap)).platform
    for minutes, refused in ((29, True), (30, False)):
        later = Span(SLOT.ends_at + timedelta(minutes=minutes), SLOT.ends_at + 2 * HOUR)
        earlier = Span(SLOT.starts_at - 2 * HOUR, SLOT.starts_at - timedelta(minutes=minutes))
        assert (reason(request(first, ask(later))) == "slot_taken") is refused
        assert (reason(request(first, ask(earlier))) == "slot_taken") is refused


def test_one_requester_has_so_many_and_fewer_after_late_cancellations() -> None:
    """Ten live bookings; after three late cancellations or absences, one."""
    assert request(platform(), live_count=9).refusal is None
    assert reason(request(platform(), live_count=10)) == "too_many_bookings"
    assert reason(request(platform(), live_count=1, late_count=3)) == "too_many_bookings"
    assert request(platform(), live_count=0, late_count=3).refusal is None
    of_an_event = ask(origin=BookingOrigin.EVENT)
    assert request(platform(), of_an_event, live_count=50).refusal is None


def test_who_waits_in_line_moves_up_when_the_option_goes() -> None:
    """Only behind an option; first come first served; by refusal, cancellation, lapse or move; at the instant that freed it."""
    held = booking("tentative", requested_at=NOW - HOUR)
    assert reason(request(platform(booking("approved")), ask(in_line=True))) == "slot_taken"
    waiting = request(platform(held), ask(in_line=True))
    assert waiting.booking is not None and waiting.booking.state == "requested"
    assert isinstance(waiting.messages[0], BookingRequested)
    line = request(waiting.platform, ask(in_line=True), NOW + HOUR).platform
    for free in (
        domain.refuse(line, held, BookingRefusalReason.SAFETY, POLICY, NOW + 2 * HOUR),
        domain.cancel(line, held, "requester", POLICY, NOW + 2 * HOUR),
        domain.settle(line, POLICY, NOW + 8 * DAY),
        domain.move(line, held, Span(SLOT.ends_at, SLOT.ends_at + HOUR), "owner", POLICY, NOW + 2 * HOUR),
    ):
        states = [one.state for one in free.platform.bookings]
        assert states[1:] == ["tentative", "requested"]
        assert isinstance(free.messages[0], BookingEnded | BookingMoved)
        assert isinstance(free.messages[1], BookingHeld)
        assert free.messages[1].occurred_at == free.messages[0].occurred_at


def test_time_ends_what_waits_each_at_its_instant() -> None:
    """A lapsed option, a waiting one whose slot begins, an approved one that is over; a later look says the same."""
    held, waiting = booking("tentative"), booking("requested")
    over = booking("approved", Span(NOW - 3 * HOUR, NOW - HOUR))
    before = platform(held, waiting, over)
    decision = domain.settle(before, POLICY, NOW + 30 * DAY)
    told = [(m.reason, m.occurred_at) if isinstance(m, BookingEnded) else m.record_name() for m in decision.messages]
    assert told == [
        (BookingEndReason.DONE, NOW - HOUR),
        (BookingEndReason.EXPIRED, NOW + 7 * DAY),
        "BookingHeld",
        (BookingEndReason.EXPIRED, NOW + 7 * DAY + 7 * DAY),
    ]
    assert domain.settle(decision.platform, POLICY, NOW + 60 * DAY).messages == ()
    steps = before
    for hours in range(0, 31 * 24, 5):
        steps = domain.settle(steps, POLICY, NOW + timedelta(hours=hours)).platform
    assert steps == decision.platform


def test_cancelling_is_late_from_the_policys_hours_on_and_too_late_from_the_begin() -> None:
    """Only what was approved and cancelled by its requester counts as late."""
    one = booking("approved")
    before = platform(one)
    for hours, late in ((49, False), (47, True)):
        decision = domain.cancel(before, one, "requester", POLICY, SLOT.starts_at - timedelta(hours=hours))
        assert decision.booking is not None and decision.booking.late is late
    by_owner = domain.cancel(before, one, "owner", POLICY, SLOT.starts_at - HOUR)
    assert by_owner.booking is not None and not by_owner.booking.late
    option = booking("tentative", due_at=SLOT.starts_at)
    undecided = domain.cancel(platform(option), option, "requester", POLICY, SLOT.starts_at - HOUR)
    assert undecided.booking is not None and not undecided.booking.late
    assert reason(domain.cancel(before, one, "requester", POLICY, SLOT.starts_at)) == "begun"
    assert domain.cancel(before, one, "event", POLICY, SLOT.starts_at).refusal is None


def test_nobody_came() -> None:
    """From the begin until a week after the end, also when time has already said done."""
    one = booking("approved")
    assert reason(domain.miss(platform(one), one, POLICY, SLOT.starts_at - HOUR)) == "not_begun"
    done = booking("done")
    assert domain.miss(platform(), done, POLICY, SLOT.ends_at + 7 * DAY).refusal is None
    assert reason(domain.miss(platform(), done, POLICY, SLOT.ends_at + 8 * DAY)) == "too_late"


def test_moving() -> None:
    """A requester's move is answered anew, an owner's or an automatic platform's stays; an event's is not moved."""
    one = booking("approved")
    other = Span(SLOT.starts_at + HOUR, SLOT.ends_at + HOUR)  # over its own old slot
    asked = domain.move(platform(one), one, other, "requester", POLICY, NOW)
    assert asked.booking is not None
    assert (asked.booking.state, asked.booking.span, asked.booking.revision) == ("tentative", other, 1)
    for stays in (
        domain.move(platform(one), one, other, "owner", POLICY, NOW),
        domain.move(platform(one, approval=BookingApproval.AUTOMATIC), one, other, "requester", POLICY, NOW),
    ):
        assert stays.booking is not None and stays.booking.state == "approved"
        assert isinstance(stays.messages[0], BookingMoved) and stays.messages[0].expires_at is None
    taken = booking("approved", Span(SLOT.ends_at, SLOT.ends_at + HOUR))
    assert reason(domain.move(platform(one, taken), one, other, "owner", POLICY, NOW)) == "slot_taken"
    of_an_event = booking("approved", origin=BookingOrigin.EVENT)
    assert reason(domain.move(platform(of_an_event), of_an_event, other, "owner", POLICY, NOW)) == "belongs_to_event"
    assert reason(domain.move(platform(), booking("requested"), other, "owner", POLICY, NOW)) == "booking_state"
    assert reason(domain.move(platform(one), one, other, "owner", POLICY, SLOT.starts_at)) == "begun"


def test_describing_adds_units_and_takes_away_only_what_is_free() -> None:
    """Units keep their numbers; the same description again says nothing."""
    before = platform(units=2)
    same = domain.describe(before, before.description, ["Place 1", "Place 2"], NOW)
    assert same.messages == ()
    more = domain.describe(before, before.description, ["Tour", "Place 2", "Fraiseuse"], NOW)
    assert [(unit.number, unit.title) for unit in more.platform.units] == [
        (1, "Tour"),
        (2, "Place 2"),
        (3, "Fraiseuse"),
    ]
    assert more.platform.units[0].unit_id == before.units[0].unit_id
    held = booking("approved", unit_number=2)
    assert reason(domain.describe(platform(held, units=2), DESCRIPTION, ["Place 1"], NOW)) == "unit_in_use"
    assert (
        domain.describe(platform(booking("done", unit_number=2), units=2), DESCRIPTION, ["Place 1"], NOW).refusal
        is None
    )


class PlatformMachine(RuleBasedStateMachine):
    """Two units, one clock that only goes forward, and every act in any order."""

    @initialize(automatic=st.booleans())
    def begin(self, automatic: bool) -> None:
        approval = BookingApproval.AUTOMATIC if automatic else BookingApproval.OWNER
        self.platform = platform(units=2, approval=approval, access={"gap_minutes": 15})
        self.now = NOW
        self.told: dict[UUID, list[str]] = {}

    def _do(self, rule: Callable[[Platform], Decision]) -> Decision:
        settled = domain.settle(self.platform, POLICY, self.now)
        decision = rule(settled.platform).after(settled)
        self.platform = decision.platform
        for message in decision.messages:
            self.told.setdefault(message.booking_id, []).append(message.record_name())  # type: ignore[attr-defined]
        return decision

    def _one(self, index: int) -> Booking | None:
        known = self.platform.bookings
        return known[index % len(known)] if known else None

    @rule(hours=st.integers(0, 60), day=st.integers(1, 6), length=st.integers(1, 4), in_line=st.booleans())
    def ask(self, hours: int, day: int, length: int, in_line: bool) -> None:
        begin = self.now.replace(minute=0) + day * DAY + hours % 8 * HOUR
        self._do(lambda p: request(p, ask(Span(begin, begin + length * HOUR), in_line=in_line), self.now))

    @rule(index=st.integers(0, 40), who=st.sampled_from(("requester", "owner", "event")))
    def cancel(self, index: int, who: Any) -> None:
        if one := self._one(index):
            self._do(lambda p: domain.cancel(p, _in(p, one), who, POLICY, self.now))

    @rule(index=st.integers(0, 40), yes=st.booleans())
    def answer(self, index: int, yes: bool) -> None:
        if one := self._one(index):
            if yes:
                self._do(lambda p: domain.approve(p, _in(p, one), self.now))
            else:
                self._do(lambda p: domain.refuse(p, _in(p, one), BookingRefusalReason.OTHER, POLICY, self.now))

    @rule(index=st.integers(0, 40), hours=st.integers(1, 30), by=st.sampled_from(("requester", "owner")))
    def move(self, index: int, hours: int, by: Any) -> None:
        if one := self._one(index):
            span = Span(one.span.starts_at + hours * HOUR, one.span.ends_at + hours * HOUR)
            self._do(lambda p: domain.move(p, _in(p, one), span, by, POLICY, self.now))

    @rule(hours=st.integers(1, 100))
    def wait(self, hours: int) -> None:
        self.now += hours * HOUR
        self._do(Decision)

    @invariant()
    def no_two_hold_one_unit_at_once(self) -> None:
        held = [one for one in self.platform.bookings if one.state in HOLDING]
        for one, other in combinations(held, 2):
            assert one.unit_number != other.unit_number or not one.occupied.overlaps(other.occupied)

    @invariant()
    def whatever_waits_ends_and_nobody_waits_for_a_free_unit(self) -> None:
        for one in self.platform.bookings:
            assert (one.due_at is not None) == (one.state in LIVE)
            assert one.due_at is None or one.due_at > self.now - 100 * HOUR
            if one.state == "requested" and one.span.starts_at > self.now:
                assert self.platform.free_unit(one.span, one.occupied_until) is None

    @invariant()
    def what_is_told_is_what_is(self) -> None:
        last = {"requested": {"BookingRequested"}, "tentative": {"BookingHeld", "BookingMoved"}}
        last["approved"] = {"BookingApproved", "BookingMoved"}
        for one in self.platform.bookings:
            assert self.told[one.booking_id][-1] in last.get(one.state, {"BookingEnded"})


def _in(one: Platform, known: Booking) -> Booking:
    return next(other for other in one.bookings if other.booking_id == known.booking_id)


@pytest.mark.parametrize("steps", [40])
def test_random_lives(steps: int) -> None:
    """Hypothesis finds no order of acts that breaks an invariant."""
    given = settings(max_examples=60, stateful_step_count=steps)
    run_state_machine_as_test(PlatformMachine, settings=given)


# -- a way out of every state

README = Path(__file__).parents[1] / "README.md"
AT = {BEFORE: NOW, DURING: SLOT.starts_at + HOUR, AFTER: SLOT.ends_at + DAY}


def tried(rule: Callable[[Platform, Booking, str], Decision]) -> Attempt:
    """A person's act, once what is due is settled, as every handler does."""

    def attempt(state: str, phase: str) -> str | None:
        one = booking(state)  # type: ignore[arg-type]
        before = platform(one)
        if domain.settle(before, POLICY, AT[phase]).messages:
            return None
        decision = rule(before, one, phase)
        return None if decision.refusal is not None or decision.booking is None else decision.booking.state

    return attempt


def settled_by(state: str, phase: str) -> str | None:
    """What is due by then."""
    (to,) = domain.TRANSITIONS.get(("time", state), {""})  # type: ignore[arg-type]
    one = platform(booking(state))  # type: ignore[arg-type]
    return to if to and domain.settle(one, POLICY, AT[phase]).messages else None


def booking_life() -> Lifecycle:
    """As the rules have it."""
    attempts: dict[tuple[str, str], Attempt] = {
        ("requester", "cancel"): tried(lambda p, b, at: domain.cancel(p, b, "requester", POLICY, AT[at])),
        ("owner", "approve"): tried(lambda p, b, at: domain.approve(p, b, AT[at])),
        ("owner", "refuse"): tried(lambda p, b, at: domain.refuse(p, b, BookingRefusalReason.SAFETY, POLICY, AT[at])),
        ("owner", "cancel"): tried(lambda p, b, at: domain.cancel(p, b, "owner", POLICY, AT[at])),
        ("owner", "miss"): tried(lambda p, b, at: domain.miss(p, b, POLICY, AT[at])),
        ("event", "cancel"): tried(lambda p, b, at: domain.cancel(p, b, "event", POLICY, AT[at])),
        ("time", "settle"): settled_by,
    }
    states = get_args(BookingState)
    return observed("booking", states, [state for state in states if state not in LIVE], attempts)


def test_every_state_has_a_way_out() -> None:
    """Before, during and after its slot."""
    assert booking_life().problems() == []


def test_the_readme_shows_the_table() -> None:
    """Run this file as a script to write it anew."""
    assert README.read_text() == written(README.read_text(), booking_life().table())


if __name__ == "__main__":
    README.write_text(written(README.read_text(), booking_life().table()))
