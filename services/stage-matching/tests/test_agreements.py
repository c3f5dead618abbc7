"""The rules of agreements by generation: each cell of the table, exits at every date, terms as a copy with a hash, hours by age."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import product
from types import SimpleNamespace
from typing import Any, get_args
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.lifecycle import AFTER, BEFORE, DURING
from stage_matching import agreements, terms
from stage_matching.agreements import LATE_FOR, LIFECYCLE, Act, Agreement, AgreementState, Role
from stage_matching.messages import AgreementParty
from stage_matching.requests import age_in, age_on
from stage_matching.terms import USUAL_HOURS, Hours, HoursLimit, Party, Placement, Terms

FIRST, LAST = date(2027, 2, 8), date(2027, 2, 19)
DAYS = {BEFORE: date(2027, 1, 10), DURING: date(2027, 2, 19), AFTER: date(2027, 2, 20)}
PARTY_SETS = [
    agreements.parties_of(14, 18),
    agreements.parties_of(14, 18, AgreementParty.AGENCY),
    agreements.parties_of(19, 18, AgreementParty.PRESCRIBER),
    agreements.parties_of(40, 18, None),
]


def agreement(state: AgreementState, parties: tuple[AgreementParty, ...] = PARTY_SETS[0]) -> Agreement:
    """An agreement of two weeks; signed by all but when it is drafted."""
    now = datetime.combine(DAYS[BEFORE], time(9), UTC)
    signed = {} if state == "drafted" else {party.value: now for party in parties}
    return Agreement(uuid4(), uuid4(), parties, FIRST, LAST, state, signed, terms_sha256="a" * 64)


def done(before: Agreement, role: Role, act: Act, phase: str, *, reason: Any = None) -> tuple[Agreement, Any]:
    """Somebody does something on a day of the phase: what the agreement is then, and why it was refused."""
    day = DAYS[phase]
    now = datetime.combine(day, time(9), UTC)
    match act:
        case "sign":
            after, _, refusal = agreements.sign(before, role, now, reason=reason)
        case "record paper":
            after, _, refusal = agreements.sign(before, role, now, reason=reason, paper_of="guardian")
        case "validate":
            after, _, refusal = agreements.validate(before, role, now, reason=reason)
        case "change terms":
            after, refusal = agreements.change_terms(before, role, "b" * 64, now)
        case "cancel" | "interrupt":
            outcome = "cancelled" if act == "cancel" else "interrupted"
            after, _, refusal = agreements.end(before, role, outcome, day, now, reason)  # type: ignore[arg-type]
        case "complete":
            after, refusal = agreements.settle(before, now)[0], None
    return after, refusal


CELLS = [
    (*cell, act) for cell in LIFECYCLE.cells() for act in get_args(Act) if (act == "complete") == (cell[1] == "time")
]


@pytest.mark.parametrize(("state", "role", "phase", "act"), CELLS)
def test_every_act_in_every_cell(state: AgreementState, role: Role, phase: str, act: Act) -> None:
    """The table says what is possible, by every role, in every state, before, during and after; all else changes nothing."""
    before = agreement(state)
    reasons = LATE_FOR.get("sign" if act == "record paper" else act, ())
    after, refusal = done(before, role, act, phase, reason=reasons[0] if phase == AFTER and reasons else None)
    if act in LIFECYCLE.may(state, role, phase):
        assert refusal is None and after != before
        assert after.state in {*LIFECYCLE.leads[act], *(["completed"] if act == "validate" and phase == AFTER else [])}
    else:
        assert after == before and (refusal is not None or act in ("complete", "sign", "record paper"))


def test_every_state_has_a_way_out() -> None:
    """Of every state that is not final, before, during and after; a state planted without one is found."""
    assert LIFECYCLE.problems() == []
    for cell in (("drafted", AFTER), ("signed", DURING), ("validated", AFTER)):
        planted = replace(LIFECYCLE, acts={key: value for key, value in LIFECYCLE.acts.items() if key != cell})
        assert planted.stuck() == [cell]


@pytest.mark.parametrize(("parties", "phase"), list(product(PARTY_SETS, DAYS)))
def test_everybody_can_leave_whoever_the_parties_are(parties: tuple[AgreementParty, ...], phase: str) -> None:
    """Also where nobody accompanies: somebody ends a draft and what all have signed, at any date."""
    for state in ("drafted", "signed", "validated"):
        ways = set()
        for role, act in product(get_args(Role), get_args(Act)):
            before = agreement(state, parties)
            reasons = LATE_FOR.get(act, ())
            after, _ = done(before, role, act, phase, reason=reasons[0] if phase == AFTER and reasons else None)
            if after.state in LIFECYCLE.final:
                ways.add((role, act))
        assert ways, (state, parties, phase)


@pytest.mark.parametrize(
    ("role", "act"), list(product(get_args(Role), ("sign", "record paper", "validate", "interrupt")))
)
def test_nothing_after_the_last_day_without_a_reason(role: Role, act: Act) -> None:
    """Neither without one, nor with one of another act."""
    for state in ("drafted", "signed"):
        before = agreement(state)
        own = LATE_FOR.get("sign" if act == "record paper" else act, ())
        for reason in (None, *(one for one in get_args(agreements.LateReason) if one not in own)):
            after, refusal = done(before, role, act, AFTER, reason=reason)
            assert after == before
            if act in LIFECYCLE.may(state, role, AFTER):
                assert (
                    refusal is not None and refusal.reason == "reason_needed" and refusal.facts["reasons"] == list(own)
                )


@pytest.mark.parametrize("parties", PARTY_SETS)
def test_every_audience_can_complete_an_agreement(parties: tuple[AgreementParty, ...]) -> None:
    """All sign, whoever accompanies validates, time completes; where nobody accompanies the last signature validates."""
    one = agreement("drafted", parties)
    for role in ("seeker", "guardian", "host", "school"):
        if one.party_of(role) is not None:
            one, refusal = done(one, role, "sign", BEFORE)
            assert refusal is None
    if one.accompanied:
        assert one.state == "signed"
        one, _ = done(one, "school", "validate", BEFORE)
    assert one.state == "validated"
    assert done(one, "time", "complete", AFTER)[0].state == "completed"


def test_who_accompanies_follows_from_the_audience() -> None:
    """The first candidate that there is; a minor always has somebody."""
    candidates = ("PRESCRIBER", "SCHOOL", "NOBODY")
    facts = {"minor": False, "school": False, "prescriber": False}
    for changes, expected in (
        ({}, None),
        ({"minor": True}, AgreementParty.AGENCY),
        ({"school": True}, AgreementParty.SCHOOL),
        ({"school": True, "prescriber": True}, AgreementParty.PRESCRIBER),
    ):
        assert agreements.accompanying(candidates, **facts | changes) == expected
    assert agreements.accompanying(("SCHOOL", "AGENCY"), **facts) == AgreementParty.AGENCY


def test_changed_terms_let_every_signature_fall() -> None:
    """A new version under another hash; whoever saw the old one cannot sign the new; the same terms change nothing."""
    before = agreement("validated")
    assert agreements.change_terms(before, "host", before.terms_sha256, datetime(2027, 1, 5, tzinfo=UTC)) == (
        before,
        None,
    )
    after, refusal = done(before, "host", "change terms", BEFORE)
    assert refusal is None
    assert (after.state, after.signed, after.terms_version, after.terms_sha256) == ("drafted", {}, 2, "b" * 64)
    now = datetime(2027, 1, 5, tzinfo=UTC)
    refused = agreements.sign(after, "seeker", now, seen_sha256="a" * 64)[2]
    assert refused is not None and refused.reason == "terms_changed"
    _, (told,), refused = agreements.sign(after, "seeker", now, seen_sha256="b" * 64)
    assert refused is None and (told.terms_version, told.terms_sha256) == (2, "b" * 64)  # type: ignore[attr-defined]


TERMS = Terms(
    "Atelier bois", "OBSERVATION", "Scierie", "9" * 14, "14118", "Caen (14)", ("2027-W06", "2027-W07"), FIRST, LAST,
    "PUPIL", 15, (Party("SEEKER", "s", "Élève", "e@example.org"), Party("HOST", "h", "Scierie")),
)  # fmt: skip


@given(
    st.text(st.characters(codec="utf-8"), max_size=40),
    st.text(st.characters(codec="utf-8"), max_size=40),
)
def test_the_canonical_text_is_one(title: str, tasks: str) -> None:
    """Reading it back gives the same text and hash; another word gives another hash."""
    one = replace(TERMS, title=title, placement=Placement(tasks=tasks))
    again = terms.parsed(one.canonical)
    assert (again.canonical, again.sha256) == (one.canonical, one.sha256)
    bare = json.dumps(json.loads(one.canonical), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    assert bare == one.canonical, "anybody can write it again with any JSON library"
    assert replace(one, siret="8" * 14).sha256 != one.sha256


def test_what_changed_is_told_in_words() -> None:
    """Each term that differs, and no other."""
    after = terms.changed_by(TERMS, {"title": "Manutention de nuit", "tutor_name": "M. Lenoir", "hours": USUAL_HOURS})
    assert terms.what_changed(TERMS, after) == [
        ("intitulé", "Atelier bois", "Manutention de nuit"),
        ("tuteur", "", "M. Lenoir"),
    ]
    monday = terms.changed_by(TERMS, {"hours": (Hours(1, "09:00", "12:00"),)})
    assert terms.what_changed(TERMS, monday)[0][2] == "lundi 09:00-12:00"


LIMITS = (HoursLimit(15, 420, 1800, "06:00", "20:00"), HoursLimit(18, 480, 2100), HoursLimit(None, 600, 2880))


@pytest.mark.parametrize(
    ("hours", "age", "allowed"),
    [
        (USUAL_HOURS, 14, True),
        ((Hours(1, "08:00", "16:00"),), 14, False),
        ((Hours(1, "08:00", "16:00"),), 15, True),
        (tuple(Hours(day, "08:00", "15:00") for day in range(1, 6)), 14, False),
        (tuple(Hours(day, "08:00", "15:00") for day in range(1, 6)), 17, True),
        ((Hours(1, "19:00", "21:00"),), 14, False),
        ((Hours(1, "19:00", "21:00"),), 40, True),
        (tuple(Hours(day, "08:00", "18:00") for day in range(1, 6)), 40, False),
        ((Hours(1, "09:00", "12:00"), Hours(1, "11:00", "13:00")), 40, False),
        ((Hours(1, "12:00", "09:00"),), 40, False),
        ((), 40, False),
        ((Hours(7, "09:00", "12:00"),), 17, False),
        ((Hours(7, "09:00", "12:00"),), 40, True),
    ],
)
def test_hours_by_age(hours: tuple[Hours, ...], age: int, allowed: bool) -> None:
    """The most in a day and a week, and between which hours, for the lowest age above."""
    assert (terms.why_not_hours(hours, terms.limit_for(age, LIMITS)) is None) == allowed


# With the rest that the law gives the young.
RESTED = (
    HoursLimit(16, 420, 2100, "06:00", "20:00", 270, 14 * 60, 2), HoursLimit(18, 480, 2100, "06:00", "22:00", 270, 12 * 60, 2),
    HoursLimit(None, 600, 2880, "00:00", "23:59"),
)  # fmt: skip


def day(weekday: int, *spans: str) -> tuple[Hours, ...]:
    """The stretches of a day."""
    return tuple(Hours(weekday, *span.split("-")) for span in spans)


@pytest.mark.parametrize(
    ("hours", "lawful_from"),
    [
        (USUAL_HOURS, 0),
        (day(1, "08:00-12:30"), 0),
        # No pause within four and a half hours; one of a quarter of an hour is none.
        (day(1, "08:00-12:31"), 18),
        (day(1, "08:00-10:15", "10:30-12:45"), 18),
        (day(1, "08:00-10:15", "10:45-13:00"), 0),
        # From one day to the next.
        (day(1, "16:00-20:00") + day(2, "09:00-12:00"), 16),
        (day(1, "16:00-20:00") + day(2, "10:00-12:00"), 0),
        (day(1, "18:00-22:00") + day(2, "09:00-12:00"), 18),
        (day(1, "18:00-22:00") + day(3, "06:00-09:00"), 16),
        # Saturday or Monday is free.
        (day(1, "09:00-12:00") + day(6, "09:00-12:00"), 18),
        (day(2, "09:00-12:00") + day(6, "09:00-12:00"), 0),
        (day(7, "09:00-12:00"), 18),
        (day(1, "08:00-12:00", "13:00-17:00"), 16),
        (tuple(one for weekday in range(1, 6) for one in day(weekday, "08:00-18:00")), 100),
    ],
)
def test_the_age_from_which_hours_are_lawful(hours: tuple[Hours, ...], lawful_from: int) -> None:
    """Whoever is younger is refused them, whoever is as old is not; for nobody where they are too long for adults."""
    assert terms.age_from(hours, RESTED) == lawful_from
    for age in (13, 14, 15, 16, 17, 18, 40):
        assert (terms.why_not_hours(hours, terms.limit_for(age, RESTED)) is None) == (age >= lawful_from), age


def test_presence_is_written_for_the_database() -> None:
    """Stretches of every week, on their days."""
    assert terms.presence(("2027-W06", "2027-W07"), (Hours(2, "09:00", "12:00"),)) == (
        "{[2027-02-09T09:00,2027-02-09T12:00),[2027-02-16T09:00,2027-02-16T12:00)}"
    )


@pytest.mark.parametrize(
    ("birth", "day", "age"),
    [("2012-06", "2027-02-08", 14), ("2012-02", "2027-02-08", 14), ("2012-01", "2027-02-08", 15)],
)
def test_the_age_of_a_month_of_birth(birth: str, day: str, age: int) -> None:
    """On the first day; in the very month, the younger one, whom the law protects more."""
    assert age_on(birth, date.fromisoformat(day)) == age


def test_the_age_is_that_of_the_weeks_in_question() -> None:
    """By the month of birth; as it was told where none is known."""
    born: Any = SimpleNamespace(birth_month="2011-08", age=12)
    assert (age_in(born, "2027-W06"), age_in(born, "2027-W40")) == (15, 16)
    assert age_in(SimpleNamespace(birth_month=None, age=12), "2027-W40") == 12


def test_hours_collide_when_they_share_a_moment() -> None:
    """Two part-time placements may stand side by side."""
    morning, afternoon = (Hours(1, "09:00", "12:00"),), (Hours(1, "12:00", "15:00"), Hours(2, "09:00", "12:00"))
    assert not terms.collide(morning, afternoon) and terms.collide(morning, (Hours(1, "11:59", "12:30"),))
    assert not terms.collide(morning, (Hours(2, "09:00", "12:00"),))


def test_a_validated_agreement_is_over_after_its_last_day() -> None:
    """Neither interrupted nor changed once time has completed it."""
    late = datetime.combine(LAST + timedelta(days=1), time(9), UTC)
    settled = agreements.settle(agreement("validated"), late)[0]
    assert settled.state == "completed"
    assert agreements.end(settled, "host", "interrupted", late.date(), late, "BROKEN_OFF")[2] is not None
