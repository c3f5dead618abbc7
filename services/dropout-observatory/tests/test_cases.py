"""The rules of cases, every act tried in every state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import product
from pathlib import Path
from typing import get_args
from uuid import uuid4

import pytest

from common.failures import Refusal
from common.lifecycle import ALWAYS, Attempt, Lifecycle, observed, written
from dropout_observatory import domain
from dropout_observatory.messages import (
    Accompanier,
    AgeBand,
    CaseCorrected,
    CaseFollowed,
    CaseReported,
    CaseWithdrawn,
    DropoutFactor,
    LevelLeft,
    Outcome,
    Presence,
    ReportSource,
    ReportWay,
    SchoolKind,
    StepKind,
    WithdrawalReason,
)
from dropout_observatory.state import Case, CaseState, Decision, Facts, Policy, Step

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
POLICY = Policy(age_min=16, age_max=29, report_months_max=36, news_days=30, check_tolerance_days=15)
FACTS = Facts(
    date(2026, 3, 1),
    LevelLeft.CAP,
    SchoolKind.VOCATIONAL_LYCEE,
    None,
    AgeBand.AGE_17,
    "76540",
    "200023414",
    "76",
    2026,
    (DropoutFactor.MOBILITY,),
)
STEPS = {
    StepKind.ACCOMPANIED: Step(uuid4(), StepKind.ACCOMPANIED, date(2026, 4, 1), accompanier=Accompanier.PSAD),
    StepKind.OFFERED: Step(uuid4(), StepKind.OFFERED, date(2026, 4, 10)),
    StepKind.ADMITTED: Step(uuid4(), StepKind.ADMITTED, date(2026, 5, 1)),
    StepKind.CHECKED_AT_3_MONTHS: Step(
        uuid4(), StepKind.CHECKED_AT_3_MONTHS, date(2026, 8, 1), presence=Presence.THERE
    ),
    StepKind.CHECKED_AT_6_MONTHS: Step(
        uuid4(), StepKind.CHECKED_AT_6_MONTHS, date(2026, 11, 1), presence=Presence.NOT_KNOWN
    ),
    StepKind.ENDED: Step(uuid4(), StepKind.ENDED, date(2026, 11, 2), outcome=Outcome.TRAINING),
}
REACHED: dict[CaseState, tuple[StepKind, ...]] = {
    "reported": (),
    "accompanied": (StepKind.ACCOMPANIED,),
    "offered": (StepKind.ACCOMPANIED, StepKind.OFFERED),
    "admitted": (StepKind.OFFERED, StepKind.ADMITTED),
    "ended": (StepKind.ADMITTED, StepKind.ENDED),
    "withdrawn": (StepKind.ACCOMPANIED,),
}


def case_in(state: CaseState) -> Case:
    """A case in a state, with the steps that led there."""
    case = Case(uuid4(), "org", ReportSource.REFERENT, FACTS, tuple(STEPS[kind] for kind in REACHED[state]), version=3)
    case = replace(case, withdrawn=WithdrawalReason.MISTAKE) if state == "withdrawn" else case
    assert case.state == state
    return case


def other(step: Step) -> Step:
    """The same kind of step on another day, so that it is none that is known."""
    return replace(step, step_id=uuid4(), happened_on=date(2026, 11, 10))


ACTS: dict[str, Callable[[Case], Decision]] = {
    "correct": lambda case: domain.correct(case, replace(FACTS, age_band=AgeBand.AGE_16), POLICY, NOW),
    "withdraw": lambda case: domain.withdraw(case, WithdrawalReason.NOT_A_DROPOUT, None, NOW),
    "reinstate": lambda case: domain.reinstate(case, NOW),
    "note accompanied": lambda case: domain.follow(case, other(STEPS[StepKind.ACCOMPANIED]), POLICY, NOW),
    "note offered": lambda case: domain.follow(case, other(STEPS[StepKind.OFFERED]), POLICY, NOW),
    "note admitted": lambda case: domain.follow(case, other(STEPS[StepKind.ADMITTED]), POLICY, NOW),
    "note presence": lambda case: domain.follow(case, STEPS[StepKind.CHECKED_AT_3_MONTHS], POLICY, NOW),
    "close": lambda case: domain.follow(case, STEPS[StepKind.ENDED], POLICY, NOW),
    "take back": lambda case: domain.take_back(case, case.steps[-1].step_id if case.steps else uuid4(), NOW),
}
# What may be done, and what it leads to; everything else is refused or changes nothing.
LEADS: dict[tuple[str, CaseState], CaseState] = {
    **{("correct", state): state for state in get_args(CaseState) if state != "withdrawn"},
    **{("withdraw", state): "withdrawn" for state in get_args(CaseState) if state != "withdrawn"},
    ("reinstate", "withdrawn"): "accompanied",
    **{("note accompanied", state): state for state in ("accompanied", "offered", "admitted")},
    ("note accompanied", "reported"): "accompanied",
    **{("note offered", state): "offered" for state in ("reported", "accompanied", "offered")},
    ("note offered", "admitted"): "admitted",
    **{("note admitted", state): "admitted" for state in ("reported", "accompanied", "offered", "admitted")},
    ("note presence", "admitted"): "admitted",
    **{("close", state): "ended" for state in ("reported", "accompanied", "offered", "admitted")},
    ("take back", "accompanied"): "reported",
    ("take back", "offered"): "accompanied",
    ("take back", "admitted"): "offered",
    ("take back", "ended"): "admitted",
}


@pytest.mark.parametrize(("act", "state"), list(product(ACTS, get_args(CaseState))))
def test_every_act_in_every_state_is_as_the_table_says(act: str, state: CaseState) -> None:
    """One message that leads where the table says; or a refusal, or nothing, and the case as it was."""
    before = case_in(state)
    decision = ACTS[act](before)
    if (act, state) in LEADS:
        assert decision.refusal is None
        assert len(decision.messages) == 1
        assert decision.case.state == LEADS[act, state]
    else:
        assert decision.messages == ()
        assert decision.case == before


def test_a_report_tells_its_facts() -> None:
    """All of them, with the source and the way."""
    case = Case(uuid4(), "org", ReportSource.CFA)
    decision = domain.report(case, FACTS, ReportWay.TABLE, POLICY, NOW)
    (message,) = decision.messages
    assert isinstance(message, CaseReported)
    assert (message.source, message.way) == (ReportSource.CFA, ReportWay.TABLE)
    assert message.facts == domain.told_facts(FACTS)
    assert decision.case.state == "reported"


@pytest.mark.parametrize(
    ("left_month", "reason"),
    [
        (date(2026, 12, 1), "month_to_come"),
        (date(2026, 11, 1), None),
        (date(2023, 11, 1), None),
        (date(2023, 10, 1), "too_long_ago"),
    ],
)
def test_a_month_of_the_last_three_years(left_month: date, reason: str | None) -> None:
    """The month that runs and the 36 before it."""
    case = Case(uuid4(), "org", ReportSource.PSAD)
    refusal = domain.report(case, replace(FACTS, left_month=left_month), ReportWay.PAGE, POLICY, NOW).refusal
    assert (refusal and refusal.reason) == reason


@pytest.mark.parametrize(
    ("age", "band"),
    [
        (0, "under_age"),
        (15, "under_age"),
        (16, AgeBand.AGE_16),
        (17, AgeBand.AGE_17),
        (18, AgeBand.AGE_18_TO_20),
        (20, AgeBand.AGE_18_TO_20),
        (21, AgeBand.AGE_21_TO_25),
        (25, AgeBand.AGE_21_TO_25),
        (26, AgeBand.AGE_26_TO_29),
        (29, AgeBand.AGE_26_TO_29),
        (30, "over_age"),
    ],
)
def test_who_is_under_sixteen_is_refused_at_the_door(age: int, band: AgeBand | str) -> None:
    """The band of an age, or where to turn."""
    found = domain.age_band(age, POLICY)
    assert (found.reason if isinstance(found, Refusal) else found) == band


def test_a_double_names_the_case_that_stays() -> None:
    """A double without it, itself, or another reason with it are refused."""
    case, stays = case_in("reported"), uuid4()
    decision = domain.withdraw(case, WithdrawalReason.DUPLICATE, stays, NOW)
    (message,) = decision.messages
    assert isinstance(message, CaseWithdrawn)
    assert (message.duplicate_of, decision.case.duplicate_of) == (stays, stays)
    for reason, of in (
        (WithdrawalReason.DUPLICATE, None),
        (WithdrawalReason.DUPLICATE, case.case_id),
        (WithdrawalReason.MISTAKE, stays),
    ):
        refusal = domain.withdraw(case, reason, of, NOW).refusal
        assert refusal is not None
        assert refusal.reason == "which_duplicate"


@pytest.mark.parametrize(
    ("state", "step", "reason"),
    [
        ("reported", replace(STEPS[StepKind.OFFERED], happened_on=date(2026, 11, 25)), "day_to_come"),
        ("reported", replace(STEPS[StepKind.OFFERED], happened_on=date(2026, 2, 28)), "before_leaving"),
        ("offered", STEPS[StepKind.CHECKED_AT_3_MONTHS], "not_admitted"),
        ("admitted", replace(STEPS[StepKind.CHECKED_AT_3_MONTHS], happened_on=date(2026, 7, 16)), "too_early"),
        ("admitted", replace(STEPS[StepKind.CHECKED_AT_3_MONTHS], happened_on=date(2026, 7, 17)), None),
        ("admitted", replace(STEPS[StepKind.CHECKED_AT_6_MONTHS], happened_on=date(2026, 10, 16)), "too_early"),
        ("ended", STEPS[StepKind.OFFERED], "ended"),
        ("withdrawn", STEPS[StepKind.OFFERED], "withdrawn"),
    ],
)
def test_why_a_step_is_not_recorded(state: CaseState, step: Step, reason: str | None) -> None:
    """Each reason, and the first day on which a presence may be told."""
    refusal = domain.follow(case_in(state), step, POLICY, NOW).refusal
    assert (refusal and refusal.reason) == reason


def test_the_same_step_told_again_says_nothing() -> None:
    """By whomever it is told; a presence that is told otherwise is refused."""
    case = case_in("admitted")
    assert domain.follow(case, replace(STEPS[StepKind.ADMITTED], step_id=uuid4()), POLICY, NOW).messages == ()
    case = domain.follow(case, STEPS[StepKind.CHECKED_AT_3_MONTHS], POLICY, NOW).case
    otherwise = replace(STEPS[StepKind.CHECKED_AT_3_MONTHS], step_id=uuid4(), presence=Presence.LEFT)
    refusal = domain.follow(case, otherwise, POLICY, NOW).refusal
    assert refusal is not None
    assert refusal.reason == "already_checked"
    # The admission that it is about stays while it does.
    refusal = domain.take_back(case, STEPS[StepKind.ADMITTED].step_id, NOW).refusal
    assert refusal is not None
    assert refusal.reason == "still_checked"


def test_a_correction_may_not_pass_a_step() -> None:
    """Nobody is accompanied before they left."""
    later = replace(FACTS, left_month=date(2026, 5, 1))
    refusal = domain.correct(case_in("accompanied"), later, POLICY, NOW).refusal
    assert refusal is not None
    assert refusal.reason == "steps_before"


def test_every_step_is_in_every_message_that_follows() -> None:
    """By day, so that the last message alone tells the way back."""
    case = case_in("admitted")
    for kind in (StepKind.CHECKED_AT_6_MONTHS, StepKind.ACCOMPANIED):
        decision = domain.follow(case, STEPS[kind], POLICY, NOW)
        (message,) = decision.messages
        assert isinstance(message, CaseFollowed)
        case = decision.case
    assert isinstance(message, CaseFollowed)
    assert [step.kind for step in message.steps] == [
        StepKind.ACCOMPANIED,
        StepKind.OFFERED,
        StepKind.ADMITTED,
        StepKind.CHECKED_AT_6_MONTHS,
    ]


@pytest.mark.parametrize("state", get_args(CaseState))
def test_a_case_told_anew_is_whole(state: CaseState) -> None:
    """Its facts, its steps, and that it counts no more when it does not."""
    case = case_in(state)
    corrected, followed, *rest = domain.restated(case, NOW)
    assert isinstance(corrected, CaseCorrected)
    assert isinstance(followed, CaseFollowed)
    assert corrected.facts == domain.told_facts(FACTS)
    assert [step.step_id for step in followed.steps] == [step.step_id for step in case.steps]
    assert [type(one) for one in rest] == ([CaseWithdrawn] if state == "withdrawn" else [])


# -- a way out of every state

README = Path(__file__).parents[1] / "README.md"


def case_life() -> Lifecycle:
    """As the rules have it; who reported, the platform of the territory and the agency may do the same."""

    def tried(act: str) -> Attempt:
        def attempt(state: str, _: str) -> str | None:
            decision = ACTS[act](case_in(state))  # type: ignore[arg-type]
            return decision.case.state if decision.messages else None

        return attempt

    attempts = {("professional", act): tried(act) for act in ACTS}
    return observed("case", get_args(CaseState), ["ended", "withdrawn"], attempts, phases=ALWAYS)


def test_every_state_has_a_way_out() -> None:
    """At any date."""
    assert case_life().problems() == []


def test_the_readme_shows_the_table() -> None:
    """Run this file as a script to write it anew."""
    assert README.read_text() == written(README.read_text(), case_life().table())


if __name__ == "__main__":
    README.write_text(written(README.read_text(), case_life().table()))
