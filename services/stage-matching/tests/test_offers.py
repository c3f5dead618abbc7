"""The rules of offers, applications and agreements: every act in every state, seats that are never overdrawn."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import Any, get_args
from uuid import uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from small_campaigns import POLICY as CAMPAIGN
from stage_matching import agreements, domain
from stage_matching.agreements import Agreement, AgreementState, Role
from stage_matching.messages import AgreementParty, ApplicationOrigin, OfferKind, RefusalReason
from stage_matching.state import (
    LIVE,
    SEATED,
    Application,
    ApplicationState,
    Decision,
    Description,
    Offer,
    Policy,
    Seeker,
    Week,
)
from territory.weeks import span

NOW = datetime(2027, 1, 4, 12, tzinfo=UTC)
WEEKS = span("2027-W06", 3)
POLICY = Policy(
    answer_days=15,
    confirm_days=15,
    reminder_days=(7, 14),
    applications_per_seeker_max=10,
    span_weeks_max=12,
    silence_days=60,
    silence_expired_count=5,
    case_link_days=365,
    label_months=36,
    minor_age=18,
    campaign=CAMPAIGN,
)
DESCRIPTION = Description("Atelier", OfferKind.OBSERVATION, ("H2913",), "76540", ("PUPIL",), 14, {})


def offer(seats: int = 1, *applications: Application, taken: int = 0) -> Offer:
    """An offer of three weeks."""
    weeks = {week: Week(seats, taken) for week in WEEKS}
    return Offer(uuid4(), uuid4(), DESCRIPTION, weeks, applications, version=1)


def application(state: ApplicationState, **changes: Any) -> Application:
    """An application for the first week."""
    due_at = NOW + timedelta(days=15) if state in ("submitted", "seen", "accepted") else None
    return replace(Application(uuid4(), uuid4(), uuid4(), WEEKS[:1], state, NOW, due_at), **changes)


ACTS: dict[tuple[str, ApplicationState], Callable[[Offer, Application], Decision]] = {
    ("host", "seen"): lambda o, a: domain.see(o, a, NOW),
    ("host", "accepted"): lambda o, a: domain.accept(o, a, POLICY, NOW),
    ("host", "refused"): lambda o, a: domain.refuse(o, a, RefusalReason.DATES, NOW),
    ("seeker", "confirmed"): lambda o, a: domain.confirm(o, a, NOW),
    ("seeker", "withdrawn"): lambda o, a: domain.withdraw(o, a, NOW),
    ("confirmation", "released"): lambda o, a: domain.release(o, a, NOW),
    ("suspension", "released"): lambda o, a: domain.give_back(o, a, NOW),
    ("agreement", "cancelled"): lambda o, a: domain.cancel(o, a, NOW),
}


@pytest.mark.parametrize(("act", "state"), list(product(ACTS, get_args(ApplicationState))))
def test_every_act_in_every_state(act: tuple[str, ApplicationState], state: ApplicationState) -> None:
    """The table says what is possible; all else is refused, changes nothing and tells nothing."""
    one = application(state)
    before = offer(2, one, taken=int(state in SEATED))
    decision = ACTS[act](before, one)
    actor, to = act
    if to in domain.TRANSITIONS.get((actor, state), frozenset()):  # type: ignore[arg-type]
        (after,) = decision.offer.applications
        assert after.state == to and len(decision.messages) == 1
        assert decision.offer.weeks[WEEKS[0]].taken_count == int(to in SEATED)
        assert (after.due_at is None) == (to not in ("seen", "accepted", "submitted"))
    elif act == ("host", "seen") and state == "seen":
        assert decision == Decision(before)
    else:
        assert decision.refusal is not None and decision.refusal.reason == "application_state"
        assert decision.offer == before and decision.messages == ()


@pytest.mark.parametrize("state", get_args(ApplicationState))
def test_time_ends_whatever_waits(state: ApplicationState) -> None:
    """At its own instant, and gives the seat back; what does not wait stays."""
    one = application(state)
    before = offer(1, one, taken=int(state in SEATED))
    assert domain.settle(before, NOW + timedelta(days=14)) == Decision(before)
    after = domain.settle(before, NOW + timedelta(days=30))
    if ("time", state) in domain.TRANSITIONS:
        (message,) = after.messages
        assert message.occurred_at == one.due_at and after.offer.applications[0].state == "expired"
        assert after.offer.weeks[WEEKS[0]].taken_count == 0
    else:
        assert after == Decision(before)


def test_an_answer_is_due_before_the_week_begins() -> None:
    """Fifteen days, or the first Monday in Paris when it is nearer."""
    seeker = Seeker(uuid4(), "PUPIL", 14, "76540")
    near = datetime(2027, 2, 3, 12, tzinfo=UTC)
    arguments: dict[str, Any] = {"live_of_seeker": 0, "confirmed_weeks": frozenset(), "policy": POLICY}
    far = domain.submit(offer(), seeker, WEEKS[:1], now=NOW, **arguments)
    soon = domain.submit(offer(), seeker, WEEKS[:1], now=near, **arguments)
    assert far.offer.applications[0].due_at == NOW + timedelta(days=15)
    assert soon.offer.applications[0].due_at == datetime(2027, 2, 7, 23, tzinfo=UTC)
    late = domain.submit(offer(), seeker, WEEKS[:1], now=near + timedelta(days=6), **arguments)
    assert late.refusal is not None and late.refusal.reason == "week_begun"


def test_seats_cannot_be_lowered_below_those_given() -> None:
    """Neither taken by applications nor kept by a campaign."""
    before = offer(3, taken=2)
    before = replace(before, weeks={**before.weeks, WEEKS[1]: Week(3, 0, 2)})
    assert domain.describe(before, DESCRIPTION, {WEEKS[0]: 2, WEEKS[1]: 2, WEEKS[2]: 2}, NOW).refusal is None
    for seats in ({WEEKS[0]: 1, WEEKS[1]: 3, WEEKS[2]: 3}, {WEEKS[0]: 3, WEEKS[2]: 3}):
        refusal = domain.describe(before, DESCRIPTION, seats, NOW).refusal
        assert refusal is not None and refusal.reason == "seats_below_taken"


def test_a_seat_that_a_campaign_gave_comes_back_to_it() -> None:
    """For those who wait there, and not to whoever passes by."""
    before = replace(offer(1), weeks={week: Week(1, 0, 1) for week in WEEKS})
    matched = domain.match(before, uuid4(), uuid4(), WEEKS, POLICY, NOW)
    assert {week: (w.taken_count, w.campaign_count) for week, w in matched.offer.weeks.items()} == dict.fromkeys(
        WEEKS, (1, 0)
    )
    (one,) = matched.offer.applications
    assert (one.state, one.origin) == ("accepted", ApplicationOrigin.CAMPAIGN)
    back = domain.withdraw(matched.offer, one, NOW).offer
    assert all((w.taken_count, w.campaign_count, w.free_count) == (0, 1, 0) for w in back.weeks.values())
    free = domain.let_go(back, dict.fromkeys(WEEKS, 1))
    assert all(w.free_count == 1 for w in free.weeks.values())


ROLES, STATES = get_args(Role), get_args(AgreementState)


def agreement(state: AgreementState) -> Agreement:
    """An agreement of February 2027 of a minor, signed by all but those who still must."""
    parties = agreements.parties_of(14, 18)
    signed = {} if state == "drafted" else {party.value: NOW for party in parties}
    return Agreement(uuid4(), uuid4(), parties, date(2027, 2, 8), date(2027, 2, 12), state, signed)


@pytest.mark.parametrize(("role", "state"), list(product(ROLES, STATES)))
def test_every_role_in_every_state_of_an_agreement(role: Role, state: AgreementState) -> None:
    """Signature, validation, interruption and cancellation, as the table says and no other."""
    before = agreement(state)
    allowed = agreements.TRANSITIONS.get((role, state), frozenset())
    during, today = date(2027, 2, 9), date(2027, 1, 10)
    if role != "time":
        after, told, refusal = agreements.sign(before, role, NOW)
        assert bool(told) == (state == "drafted") and (refusal is not None) == (
            state != "drafted" and not before.signed
        )
        assert after.state == ("drafted" if state == "drafted" else state)
        for outcome, day in (("cancelled", today), ("interrupted", during)):
            after, told, refusal = agreements.end(before, role, outcome, day, NOW)  # type: ignore[arg-type]
            assert (refusal is None) == (outcome in allowed) == bool(told)
            assert after.state == (outcome if outcome in allowed else state)
        after, told, refusal = agreements.validate(before, role, NOW)
        assert (refusal is None) == ("validated" in allowed)
    settled, told, _ = agreements.settle(before, datetime(2027, 2, 13, 12, tzinfo=UTC))
    assert (settled.state == "completed") == (state in ("validated", "completed"))
    assert all(message.occurred_at == datetime(2027, 2, 12, 23, tzinfo=UTC) for message in told)


def test_the_last_signature_makes_it_signed() -> None:
    """A guardian signs for a minor and is nobody for an adult; the order does not matter."""
    one = agreement("drafted")
    roles: list[Role] = ["seeker", "guardian", "host", "school"]
    random.Random(1).shuffle(roles)
    for number, role in enumerate(roles):
        one, _, refusal = agreements.sign(one, role, NOW)
        assert refusal is None and (one.state == "signed") == (number == 3)
    assert AgreementParty.GUARDIAN not in agreements.parties_of(18, 18)
    adult = replace(agreement("drafted"), parties=agreements.parties_of(30, 18))
    assert agreements.sign(adult, "guardian", NOW)[2] is not None


class Seats(RuleBasedStateMachine):
    """Any order of applications, answers, matches, time and new seat counts."""

    def __init__(self) -> None:
        super().__init__()
        self.offer, self.now = offer(2), NOW
        self.campaign = uuid4()

    def _do(self, decision: Decision) -> None:
        assert decision.refusal is None or decision.offer == self.offer
        self.offer = decision.offer

    @rule(weeks=st.sampled_from([WEEKS[:1], WEEKS[1:], WEEKS]), live=st.integers(0, 10))
    def submit(self, weeks: tuple[str, ...], live: int) -> None:
        """Somebody new applies."""
        seeker = Seeker(uuid4(), "PUPIL", 15, "76540")
        arguments: dict[str, Any] = {"live_of_seeker": live, "confirmed_weeks": frozenset(), "policy": POLICY}
        self._do(domain.submit(self.offer, seeker, weeks, now=self.now, **arguments))

    @precondition(lambda self: self.offer.applications)
    @rule(act=st.sampled_from(sorted(ACTS)), which=st.integers(0, 50))
    def act(self, act: tuple[str, ApplicationState], which: int) -> None:
        """Anybody does anything to any application."""
        self._do(ACTS[act](self.offer, self.offer.applications[which % len(self.offer.applications)]))

    @rule(seats=st.integers(0, 4))
    def describe(self, seats: int) -> None:
        """The host changes its seats."""
        self._do(domain.describe(self.offer, DESCRIPTION, dict.fromkeys(WEEKS, seats), self.now))

    @rule()
    def keep_and_match(self) -> None:
        """A campaign keeps what is free in the first week and gives one of it."""
        first = self.offer.weeks.get(WEEKS[0])
        if first is not None and first.free_count:
            kept = replace(first, campaign_count=first.campaign_count + 1)
            self.offer = replace(self.offer, weeks={**self.offer.weeks, WEEKS[0]: kept})
            self._do(domain.match(self.offer, uuid4(), self.campaign, WEEKS[:1], POLICY, self.now))

    @rule(days=st.integers(1, 20))
    def wait(self, days: int) -> None:
        """Time goes by."""
        self.now += timedelta(days=days)
        self._do(domain.settle(self.offer, self.now))

    @invariant()
    def seats_are_kept(self) -> None:
        """Never more taken than offered, and exactly what accepted and confirmed applications take."""
        for week, seats in self.offer.weeks.items():
            seated = sum(a.state in SEATED and week in a.iso_weeks for a in self.offer.applications)
            assert seats.taken_count == seated and seats.campaign_count >= 0 and seats.free_count >= 0
        assert all(a.state not in LIVE or a.ended_at is None for a in self.offer.applications)


TestSeats = Seats.TestCase
TestSeats.settings = settings(max_examples=150, stateful_step_count=30)
