"""The rules of sessions and registrations: every act in every state, random lives, and what each refusal says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, get_args
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.lifecycle import AFTER, ALWAYS, BEFORE, DURING, Attempt, Lifecycle, observed, written
from events import ambassadors, domain, kits, planning
from events.ambassadors import Visit, VisitState
from events.domain import TRANSITIONS, Actor, Attendance, Conduct
from events.kits import Kit, KitDecision, KitDescription, Loan, LoanState
from events.lifecycle import SAGA
from events.messages import (
    Admission,
    Allocation,
    AmbassadorAnswer,
    PartyKind,
    RegistrationEnded,
    RegistrationEndReason,
    RegistrationMade,
    SeatsOffered,
    SessionDescribed,
    SessionPurpose,
    VisitorsCheckedIn,
)
from events.state import Ask, Decision, Plan, Policy, Registration, Session
from waiting_list.rules import LIVE, PARIS, Counts, RegistrationState, served

POLICY = Policy(48, 12, 3, 18, 6, 12, 2, 24, 7, 5, 21, 365)
BEGINS = datetime(2027, 2, 4, 14, tzinfo=PARIS).astimezone(UTC)
NOW = BEGINS - timedelta(days=20)
PLAN = Plan("Conférence", SessionPurpose.CONFERENCE, BEGINS, BEGINS + timedelta(hours=2), capacity_count=10)
STATES: tuple[RegistrationState, ...] = get_args(RegistrationState)


def session(**more: Any) -> Session:
    """An open session with ten seats."""
    facts: dict[str, Any] = {"plan": PLAN, "state": "open", "version": 1, "seed": "s", **more}
    return Session(uuid4(), uuid4(), **facts)


def ask(seats: int = 1, **more: Any) -> Ask:
    """Somebody asks for seats."""
    facts: dict[str, Any] = {"party_kind": PartyKind.INDIVIDUAL, "seat_count": seats, **more}
    return Ask(uuid4(), uuid4(), **facts)


def registered(one: Session, request: Ask, now: datetime = NOW) -> Decision:
    """What becomes of a request."""
    return domain.register(one, request, Conduct(), POLICY, now)


def in_state(state: RegistrationState) -> tuple[Session, Registration]:
    """A session with one registration in a state."""
    one = Registration(
        uuid4(),
        uuid4(),
        uuid4(),
        PartyKind.INDIVIDUAL,
        2,
        state,
        NOW,
        due_at=BEGINS - timedelta(days=1) if state in ("waiting", "offered") else None,
        visitor_count=2 if state == "attended" else None,
    )
    seated = 2 * (state in ("registered", "attended", "absent"))
    counts = Counts(seated, 2 * (state == "offered"), 2 * (state == "waiting"), 2 * (state == "attended"))
    return session(registrations=(one,), counts=counts), one


def act(actor: Actor, to: RegistrationState, one: Session, of: Registration) -> Decision:
    """The command by which an actor would bring a registration somewhere."""
    at = BEGINS + timedelta(minutes=5)
    match actor, to:
        case "registrant", "registered":
            return domain.accept(one, of, NOW)
        case "registrant", "ended":
            return domain.cancel(one, of, "registrant", NOW)
        case "organiser", "ended":
            return domain.cancel(one, of, "organiser", NOW)
        case "door", "attended":
            return domain.check_in(one, of, 1 if of.visitor_count == 2 else 2, at, at)
        case "door", "registered":
            return domain.check_in(one, of, 0, at, at)
        case _:
            raise AssertionError("brought about by time and by freed seats, below")


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(
    ("actor", "to"),
    [
        ("registrant", "registered"),
        ("registrant", "ended"),
        ("organiser", "ended"),
        ("door", "attended"),
        ("door", "registered"),
    ],
)
def test_who_may_do_what(actor: Actor, to: RegistrationState, state: RegistrationState) -> None:
    """Every act in every state: allowed by the table and done, or refused with the state and nothing changed."""
    one, of = in_state(state)
    decision = act(actor, to, one, of)
    if actor == "door" and to == "registered" and state != "attended":
        # Zero of a party that nobody checked in corrects nothing.
        assert decision.refusal is None and not decision.messages
    elif to in TRANSITIONS.get((actor, state), frozenset()):
        assert decision.refusal is None and decision.registration is not None
        assert decision.registration.state == to and decision.messages
    else:
        assert decision.refusal is not None and decision.refusal.reason == "registration_state"
        assert decision.session == one and not decision.messages


def test_a_party_that_takes_its_offer_has_its_seats_and_one_that_leaves_it_is_out() -> None:
    """The reason says which of the two it was; a declined offer is not a cancelled registration."""
    one, of = in_state("offered")
    taken = domain.accept(one, of, NOW)
    assert isinstance(taken.messages[0], RegistrationMade) and taken.session.counts == Counts(registered=2)
    left = domain.cancel(one, of, "registrant", NOW)
    assert isinstance(left.messages[0], RegistrationEnded)
    assert left.messages[0].reason == RegistrationEndReason.OFFER_DECLINED and left.session.counts == Counts()


def test_time_ends_what_waits() -> None:
    """An offer expires, a place in line is not served: each at the instant that made it due, whoever looks later."""
    for state, reason in (("offered", "OFFER_EXPIRED"), ("waiting", "NOT_SERVED")):
        one, of = in_state(state)  # type: ignore[arg-type]
        assert of.due_at is not None
        assert domain.settle(one, of.due_at - timedelta(seconds=1)).session == one
        settled = domain.settle(one, of.due_at + timedelta(days=3))
        (message,) = settled.messages
        assert isinstance(message, RegistrationEnded)
        assert (message.reason.value, message.occurred_at) == (reason, of.due_at)
        assert settled.session.counts == Counts()


def test_a_full_session_refuses_or_puts_in_line() -> None:
    """Ten seats: the eleventh is refused with what is left and whether one may wait; who waits takes nothing."""
    one = registered(session(), ask(6)).session
    refused = registered(one, ask(5)).refusal
    assert refused is not None and refused.reason == "full"
    assert (refused.facts["free_count"], refused.facts["can_wait"]) == (4, True)
    waiting = registered(one, ask(5, wait=True))
    assert waiting.registration is not None and waiting.registration.state == "waiting"
    assert waiting.session.counts == Counts(registered=6, waiting=5)
    late = registered(one, ask(5, wait=True), BEGINS - timedelta(hours=2)).refusal
    assert late is not None and late.facts["can_wait"] is False


@pytest.mark.parametrize(
    ("changes", "request_", "at", "reason"),
    [
        ({"state": "cancelled"}, ask(), NOW, "session_cancelled"),
        ({"state": "held"}, ask(), NOW, "session_over"),
        ({}, ask(), BEGINS, "session_over"),
        ({"state": "planned"}, ask(), NOW, "not_confirmed"),
        ({"plan": replace(PLAN, opens_at=NOW + timedelta(days=1))}, ask(), NOW, "not_open_yet"),
        ({"plan": replace(PLAN, capacity_count=None)}, ask(), NOW, "no_registration"),
        ({"plan": replace(PLAN, admission=Admission.GROUPS)}, ask(), NOW, "not_admitted"),
        (
            {"plan": replace(PLAN, admission=Admission.INDIVIDUALS)},
            ask(party_kind=PartyKind.GROUP),
            NOW,
            "not_admitted",
        ),
        ({}, ask(11, party_kind=PartyKind.GROUP), NOW, "group_too_large"),
        ({}, ask(7), NOW, "party_too_large"),
    ],
)
def test_what_is_refused_says_why(changes: dict[str, Any], request_: Ask, at: datetime, reason: str) -> None:
    """A session in the past, called off, not confirmed; a group over the slot; who is not admitted."""
    decision = registered(session(**changes), request_, at)
    assert decision.refusal is not None and decision.refusal.reason == reason and not decision.messages


def test_a_party_is_registered_once() -> None:
    """The second request of the same address is refused while the first lives, also in line; after it ended, not."""
    first = ask()
    one = registered(session(), first).session
    again = replace(first, party_id=uuid4())
    refused = registered(one, again).refusal
    assert refused is not None and refused.reason == "already_registered"
    ended = domain.cancel(one, one.registrations[0], "registrant", NOW).session
    assert registered(ended, again).refusal is None
    busy = domain.register(session(), ask(), Conduct(live_count=12), POLICY, NOW).refusal
    assert busy is not None and busy.reason == "too_many_registrations"


def test_more_seats_only_as_far_as_they_are_free() -> None:
    """Fewer always, more while there are; a refusal changes nothing."""
    one = registered(session(), ask(2)).session
    one = registered(one, ask(6)).session
    mine = one.registrations[0]
    assert domain.resize(one, mine, 5, POLICY, NOW).refusal is not None
    more = domain.resize(one, mine, 4, POLICY, NOW)
    assert more.session.counts.registered == 10
    less = domain.resize(more.session, more.session.registrations[0], 1, POLICY, NOW)
    assert less.session.counts.registered == 7 and less.session.free_count == 3


def test_readings_at_the_door_come_in_any_order() -> None:
    """The latest by the device's clock counts, however often and in whatever order readings arrive."""
    one, of = in_state("registered")
    readings = [(BEGINS + timedelta(minutes=n), count) for n, count in ((1, 1), (2, 2), (3, 2), (4, 1))]
    for order in (readings, readings[::-1], readings * 2, [readings[2], readings[0], readings[3], readings[1]]):
        state, current = one, of
        for at, count in order:
            decision = domain.check_in(state, current, count, at, BEGINS + timedelta(hours=1))
            state = decision.session
            assert decision.registration is not None
            current = decision.registration
        assert (current.visitor_count, state.counts.attended) == (1, 1)


def test_nobody_is_absent_where_nobody_counted() -> None:
    """Attendance is told where people were checked in; by sex from eleven up only."""
    one, of = in_state("registered")
    told = domain.hold(one, Attendance(), POLICY)
    assert told.messages[0].attended_count is None  # type: ignore[attr-defined]
    came = domain.check_in(one, of, 2, BEGINS, BEGINS)
    assert isinstance(came.messages[0], VisitorsCheckedIn)
    (held,) = domain.hold(came.session, Attendance(11, 10), POLICY).messages
    assert (held.attended_count, held.female_count, held.male_count) == (2, 11, None)  # type: ignore[attr-defined]


def test_a_session_is_told_when_it_is_confirmed_and_never_loses_seats() -> None:
    """A plan of an event in preparation is nobody's to read; fewer seats than are taken are refused."""
    draft = session(state="planned", version=0)
    planned = planning.describe(draft, replace(PLAN, title="Autre titre"), POLICY, NOW)
    assert not planned.messages and planned.session.plan.title == "Autre titre"
    (message,) = planning.open_(planned.session, NOW).messages
    assert isinstance(message, SessionDescribed) and message.open
    full = registered(session(), ask(6)).session
    less = planning.describe(full, replace(PLAN, capacity_count=5), POLICY, NOW).refusal
    assert less is not None and less.reason == "seats_taken"
    past = planning.describe(session(version=0), replace(PLAN, starts_at=NOW - timedelta(days=1)), POLICY, NOW).refusal
    assert past is not None and past.reason == "in_the_past"


@pytest.mark.parametrize(
    ("change", "barred"),
    [
        ({"starts_at": BEGINS - timedelta(hours=1)}, True),
        ({"starts_at": BEGINS + timedelta(hours=1)}, True),
        ({"ends_at": BEGINS + timedelta(hours=3)}, True),
        ({"hall": "Hall 2"}, True),
        ({"capacity_count": 12}, False),
        ({"speaker": "Une autre"}, False),
    ],
)
def test_a_session_into_which_people_have_come_keeps_its_hours_and_its_hall(
    change: dict[str, Any], barred: bool
) -> None:
    """Before its hour, too, as the door opens earlier; more seats and another speaker are nobody's loss. A correction gives both back."""
    one, of = in_state("attended")
    now, plan = BEGINS - timedelta(hours=2), replace(PLAN, **change)
    refusal = planning.describe(one, plan, POLICY, now).refusal
    assert (refusal is not None and refusal.reason == "session_over") is barred, refusal
    corrected = domain.check_in(one, of, 0, now, now).session
    assert planning.describe(corrected, plan, POLICY, now).refusal is None


def test_before_a_draw_everybody_waits() -> None:
    """Nobody has a seat before the draw, and none is given; after it, first come first served."""
    plan = replace(PLAN, allocation=Allocation.LOTTERY, draw_at=NOW + timedelta(days=2))
    decision = registered(session(plan=plan), ask(2))
    assert decision.registration is not None and decision.registration.state == "waiting"
    assert domain.seats_to_give(decision.session, POLICY, NOW) == 0
    assert not domain.draw_is_due(decision.session, NOW) and domain.draw_is_due(decision.session, NOW + timedelta(3))
    drawn = domain.drawn(decision.session)
    assert domain.seats_to_give(drawn, POLICY, NOW + timedelta(days=3)) == 10
    given = domain.give(drawn, drawn.registrations[0], NOW)
    assert isinstance(given.messages[0], RegistrationMade) and given.session.counts == Counts(registered=2)


# -- random lives


@st.composite
def lives(draw: st.DrawFn) -> list[tuple[str, int, int, int]]:
    """Acts (name, who, how many, hours that pass)."""
    acts = st.sampled_from(("register", "wait", "group", "cancel", "accept", "resize", "raise", "pass", "organiser"))
    return draw(st.lists(st.tuples(acts, st.integers(0, 9), st.integers(1, 6), st.integers(0, 40)), max_size=40))


def serve(one: Session, now: datetime) -> Session:
    """What the handler does after each change, in memory."""
    until = POLICY.terms.offer_until(one.plan.starts_at, now)
    while until is not None and (free := domain.seats_to_give(one, POLICY, now)):
        line = {r.registration_id: r for r in one.registrations if r.state == "waiting"}
        chosen = served(free, [r.place for r in line.values()])
        if not chosen:
            break
        one = domain.offer(one, line[chosen[0].entry_id], until, now).session
    return one


def counted(one: Session) -> Counts:
    """Counts summed anew from the registrations."""
    return Counts(
        sum(r.seat_count for r in one.registrations if r.state in ("registered", "attended", "absent")),
        sum(r.seat_count for r in one.registrations if r.state == "offered"),
        sum(r.seat_count for r in one.registrations if r.state == "waiting"),
        sum(r.visitor_count or 0 for r in one.registrations if r.state == "attended"),
    )


@settings(max_examples=300)
@given(lives())
def test_whatever_happens_seats_are_kept_and_nobody_is_forgotten(acts: list[tuple[str, int, int, int]]) -> None:
    """After every act: counts are the sum of the rows, never more than there are, nobody waits whom free seats fit."""
    one, now = session(), NOW
    holders = [uuid4() for _ in range(10)]
    for name, who, seats, hours in acts:
        now += timedelta(hours=hours)
        one = serve(domain.settle(one, now).session, now)
        live = next((r for r in one.registrations if r.holder_id == holders[who] and r.state in LIVE), None)
        kind = PartyKind.GROUP if name == "group" else PartyKind.INDIVIDUAL
        match name:
            case "register" | "wait" | "group":
                request = Ask(uuid4(), holders[who], kind, seats, wait=name != "register")
                decision = registered(one, request, now)
                assert (decision.refusal is None) <= (live is None)
            case "cancel" | "organiser" if live is not None:
                decision = domain.cancel(one, live, "registrant" if name == "cancel" else "organiser", now)
            case "accept" if live is not None:
                decision = domain.accept(one, live, now)
            case "resize" if live is not None:
                decision = domain.resize(one, live, seats, POLICY, now)
            case "raise":
                plan = replace(one.plan, capacity_count=(one.plan.capacity_count or 0) + 1)
                decision = planning.describe(one, plan, POLICY, now)
            case _:
                decision = Decision(one)
        one = serve(decision.session, now)
        assert one.counts == counted(one)
        assert one.counts.taken <= (one.plan.capacity_count or 0)
        assert len({r.holder_id for r in one.registrations if r.state in LIVE}) == sum(
            r.state in LIVE for r in one.registrations
        )
        if now < POLICY.terms.cut_off(one.plan.starts_at):
            assert all(r.seat_count > one.free_count for r in one.registrations if r.state == "waiting")
        else:
            settled = domain.settle(one, now).session
            assert not any(r.state in ("waiting", "offered") for r in settled.registrations)


def test_an_offer_carries_what_is_left() -> None:
    """Each message carries the counts after it: a reader needs no memory."""
    one = registered(registered(session(), ask(6)).session, ask(4)).session
    waiting = registered(one, ask(3, wait=True))
    gone = domain.cancel(waiting.session, waiting.session.registrations[1], "registrant", NOW)
    one = gone.session
    waiter = next(r for r in one.registrations if r.state == "waiting")
    offer = domain.offer(one, waiter, NOW + timedelta(hours=48), NOW)
    (message,) = offer.messages
    assert isinstance(message, SeatsOffered)
    assert (message.registered_count, message.offered_count, message.waiting_count) == (6, 3, 0)


# -- a way out of every state

README = Path(__file__).parents[1] / "README.md"
AT = {BEFORE: NOW, DURING: BEGINS + timedelta(minutes=5), AFTER: BEGINS + timedelta(days=4)}


def registration_life() -> Lifecycle:
    """Every act on a registration, once what is due is settled, as every handler does."""

    def tried(rule: Callable[[Session, Registration, datetime], Decision]) -> Attempt:
        def attempt(state: str, phase: str) -> str | None:
            one, of = in_state(state)  # type: ignore[arg-type]
            if settled_by(state, phase) is not None:
                return None
            decision = rule(one, of, AT[phase])
            return None if decision.refusal or decision.registration is None else decision.registration.state

        return attempt

    def settled_by(state: str, phase: str) -> str | None:
        one, _ = in_state(state)  # type: ignore[arg-type]
        if domain.settle(one, AT[phase]).messages:
            return "ended"
        return "absent" if state == "registered" and domain.is_over(one, POLICY, AT[phase]) else None

    attempts: dict[tuple[str, str], Attempt] = {
        ("registrant", "accept"): tried(domain.accept),
        ("registrant", "cancel"): tried(lambda one, of, at: domain.cancel(one, of, "registrant", at)),
        ("organiser", "cancel"): tried(lambda one, of, at: domain.cancel(one, of, "organiser", at)),
        ("door", "check in"): tried(lambda one, of, at: domain.check_in(one, of, 2, at, at)),
        ("time", "settle"): settled_by,
    }
    return observed("registration", STATES, ("attended", "absent", "ended"), attempts)


def loan_life() -> Lifecycle:
    """Every act on a loan, on days before, during and after it."""
    first = date(2027, 2, 8)
    days = {BEFORE: first - timedelta(days=9), DURING: first, AFTER: first + timedelta(days=9)}
    what = KitDescription("Kit", "Un moteur", ("I1604",), "76540")

    def tried(rule: Callable[[Kit, Loan, date], KitDecision]) -> Attempt:
        def attempt(state: str, phase: str) -> str | None:
            one = Loan(uuid4(), uuid4(), first, first + timedelta(days=2), state)  # type: ignore[arg-type]
            if settled_by(state, phase) is not None:
                return None
            decision = rule(Kit(uuid4(), "agency", what, loans=(one,), version=1), one, days[phase])
            return None if decision.refusal is not None or decision.loan is None else decision.loan.state

        return attempt

    def settled_by(state: str, phase: str) -> str | None:
        return "ended" if phase != BEFORE and ("time", state) in kits.TRANSITIONS else None

    attempts: dict[tuple[str, str], Attempt] = {
        ("borrower", "give up"): tried(lambda kit, one, _: kits.end(kit, one, "borrower", NOW)),
        ("keeper", "reserve"): tried(lambda kit, one, _: kits.reserve(kit, one, NOW)),
        ("keeper", "refuse"): tried(lambda kit, one, _: kits.end(kit, one, "keeper", NOW)),
        ("keeper", "hand over"): tried(lambda kit, one, day: kits.take_out(kit, one, day, NOW)),
        ("keeper", "take back"): tried(
            lambda kit, one, day: kits.give_back(kit, one, damaged=False, today=day, now=NOW)
        ),
        ("event", "give up"): tried(lambda kit, one, _: kits.end(kit, one, "event", NOW)),
        ("time", "settle"): settled_by,
    }
    return observed("loan", get_args(LoanState), ("ended",), attempts)


def visit_life() -> Lifecycle:
    """Every answer to an ambassador's visit; its rules have no dates."""
    asked = uuid4()

    def visit(state: str) -> Visit:
        known = asked if state in ("searching", "accepted") else None
        return Visit(uuid4(), "school", "I1604", None, "76540", date(2027, 2, 8), state, known)  # type: ignore[arg-type]

    def said(answer: AmbassadorAnswer) -> Attempt:
        def attempt(state: str, _: str) -> str | None:
            answered = ambassadors.answer(visit(state), asked, answer)
            if answered.refusal is not None:
                return None
            # With nobody left to ask.
            after = answered.visit
            return after.state if after.state != "searching" else ambassadors.ask(after, None, NOW).state

        return attempt

    def given_up(state: str, _: str) -> str | None:
        answered = ambassadors.cancel(visit(state))
        return None if answered.refusal is not None else answered.visit.state

    attempts: dict[tuple[str, str], Attempt] = {
        ("asker", "give up"): given_up,
        ("ambassador", "accept"): said(AmbassadorAnswer.ACCEPTED),
        ("ambassador", "refuse"): said(AmbassadorAnswer.REFUSED),
        ("time", "say nothing"): said(AmbassadorAnswer.SILENT),
    }
    return observed("visit", get_args(VisitState), ("exhausted", "cancelled"), attempts, phases=ALWAYS)


def event_life() -> Lifecycle:
    """An event and its need of a platform, step by step as `SAGA` has it; it has no dates."""
    states = tuple(dict.fromkeys(f"{state}, {need}" for state, need in [*(key[:2] for key in SAGA), *SAGA.values()]))
    ours = ("publish", "need", "drop", "cancel")

    def step(what: Any) -> Attempt:
        def attempt(named: str, _: str) -> str | None:
            state, need = named.split(", ")
            to = SAGA.get((state, need, what))  # type: ignore[arg-type]
            return ", ".join(to) if to is not None else None

        return attempt

    attempts = {("organiser", what): step(what) for what in ours}
    attempts |= {("platform", what): step(what) for what in ("booked", "refused", "released")}
    final = [state for state in states if state.startswith("cancelled")]
    return observed("event", states, final, attempts, phases=ALWAYS)


LIVES = (registration_life, loan_life, visit_life, event_life)


@pytest.mark.parametrize("life", LIVES)
def test_every_state_has_a_way_out(life: Callable[[], Lifecycle]) -> None:
    """Before, during and after, where there are dates."""
    assert life().problems() == []


def tables() -> str:
    """What the README has."""
    return "\n\n".join(life().table() for life in LIVES)


def test_the_readme_shows_the_tables() -> None:
    """Run this file as a script to write them anew."""
    assert README.read_text() == written(README.read_text(), tables())


if __name__ == "__main__":
    README.write_text(written(README.read_text(), tables()))
