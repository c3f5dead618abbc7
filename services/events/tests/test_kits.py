"""The rules of kits and their loans: every act in every state, the gap day, damage, lateness."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import get_args
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import kits
from events.kits import TRANSITIONS, Kit, KitDecision, KitDescription, Loan, LoanState
from events.messages import LoanEnded, LoanEndReason, LoanRequested, LoanReserved

NOW = datetime(2026, 11, 25, 9, tzinfo=UTC)
TODAY = NOW.date()
WHAT = KitDescription("Kit mécanique", "Un moteur à démonter", ("I1604",), "76540")


def kit(*loans: Loan) -> Kit:
    """A kit that is lent."""
    return Kit(uuid4(), "agency", WHAT, loans=loans, version=1)


def loan(first: int, last: int, state: LoanState = "reserved") -> Loan:
    """A loan, in days from today."""
    return Loan(uuid4(), uuid4(), TODAY + timedelta(days=first), TODAY + timedelta(days=last), state)


def ask(one: Kit, first: int, last: int, *, at_once: bool = False) -> KitDecision:
    """Somebody asks for the kit."""
    return kits.request(
        one,
        uuid4(),
        TODAY + timedelta(days=first),
        TODAY + timedelta(days=last),
        event_id=None,
        at_once=at_once,
        days_max=21,
        now=NOW,
        today=TODAY,
    )


@pytest.mark.parametrize("state", get_args(LoanState))
@pytest.mark.parametrize("actor", ["borrower", "event", "time", "keeper"])
def test_who_may_end_a_loan_before_it_is_out(actor: kits.Actor, state: LoanState) -> None:
    """Every actor in every state; what is out comes back, it is not ended."""
    one = loan(5, 6, state)
    decision = kits.end(kit(one), one, actor, NOW)
    if "ended" in TRANSITIONS.get((actor, state), frozenset()) and state != "out":
        assert isinstance(decision.messages[0], LoanEnded) and decision.loan is not None
        assert decision.loan.state == "ended"
    else:
        assert decision.refusal is not None and decision.refusal.reason == "loan_state"


def test_a_loan_is_asked_for_reserved_handed_over_and_returned() -> None:
    """Each step tells its message; one that nobody answered takes nothing from others."""
    asked = ask(kit(), 5, 6)
    assert isinstance(asked.messages[0], LoanRequested) and asked.loan is not None
    assert ask(asked.kit, 5, 6).refusal is None
    reserved = kits.reserve(asked.kit, asked.loan, NOW)
    assert isinstance(reserved.messages[0], LoanReserved) and reserved.loan is not None
    early = kits.take_out(reserved.kit, reserved.loan, TODAY, NOW).refusal
    assert early is not None and early.reason == "too_early"
    out = kits.take_out(reserved.kit, reserved.loan, TODAY + timedelta(days=5), NOW)
    assert out.loan is not None and out.loan.shown_as(TODAY + timedelta(days=7)) == "late"
    back = kits.give_back(out.kit, out.loan, damaged=False, today=TODAY + timedelta(days=7), now=NOW)
    (message,) = back.messages
    assert isinstance(message, LoanEnded) and (message.reason, message.late) == (LoanEndReason.RETURNED, True)


def test_a_day_between_two_loans() -> None:
    """The day after a loan is the kit's own: a loan that begins then is refused with the days, the next day it is not."""
    one = kit(loan(5, 6))
    taken = ask(one, 7, 8).refusal
    assert taken is not None and taken.reason == "kit_taken"
    assert taken.facts["free_on"] == TODAY + timedelta(days=8)
    assert ask(one, 8, 9).refusal is None
    before = ask(one, 2, 4).refusal
    assert before is not None and before.reason == "kit_taken"
    assert ask(one, 2, 3).refusal is None


def test_a_damaged_kit_is_lent_again_when_it_is_mended() -> None:
    """It says that it is out of order, refuses, is mended, and says that too."""
    out = loan(0, 2, "out")
    back = kits.give_back(kit(out), out, damaged=True, today=TODAY, now=NOW)
    assert [type(message).__name__ for message in back.messages] == ["LoanEnded", "KitDescribed"]
    refused = ask(back.kit, 10, 11).refusal
    assert refused is not None and refused.reason == "kit_unavailable"
    mended = kits.mend(back.kit, NOW)
    assert ask(mended.kit, 10, 11).refusal is None


def test_one_borrower_at_a_time() -> None:
    """While a kit is late, the next is not handed a kit that is not there."""
    late, following = loan(0, 1, "out"), loan(5, 6)
    refused = kits.take_out(kit(late, following), following, TODAY + timedelta(days=5), NOW).refusal
    assert refused is not None and refused.reason == "still_out"


def test_dates_that_make_no_loan() -> None:
    """Yesterday, the end before the begin, longer than the policy."""
    for first, last in ((-1, 2), (5, 4), (5, 26)):
        refused = ask(kit(), first, last).refusal
        assert refused is not None and refused.reason == "dates"


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 6)), max_size=25))
def test_no_two_agreed_loans_touch(wishes: list[tuple[int, int]]) -> None:
    """Whatever is asked in whatever order: between any two agreed loans of a kit there is a day."""
    one = kit()
    for first, length in wishes:
        one = ask(one, first, first + length, at_once=True).kit
    agreed = sorted((own.first_on, own.last_on) for own in one.loans)
    for (_, last), (first_on, _) in itertools.pairwise(agreed):
        assert first_on - last > timedelta(days=1)
