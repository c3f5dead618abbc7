"""Random lives of a few programmes against a model that only counts: every act, in any order, at any time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from remediation_seats import domain
from remediation_seats.messages import DeclarationWay, DeclineReason, EducationLevel
from remediation_seats.state import LIVE, Conditions, Decision, Declaration, Hold, Policy, Profile, Programme

POLICY = Policy(
    holds_per_young_person_max=2,
    holds_per_prescriber_max=4,
    hold_working_days=3,
    extensions_max=1,
    no_show_working_days=3,
    ageing_days=7,
    stale_days=30,
    observed_ahead_minutes_max=5,
    arrival_days_max=120,
    alerts_per_prescriber_max=10,
    alert_days=90,
    reminder_days=7,
    presence_reminders_max=2,
    presence_reminder_days=10,
    presence_days=30,
    case_link_days=365,
)
CONDITIONS = Conditions("Parcours", (), None, 15, 25, EducationLevel.NO_DIPLOMA, False, False, None)
PEOPLE = [UUID(int=number, version=4) for number in range(1, 5)]
PRESCRIBERS = ["p1", "p2"]


@dataclass
class Seen:
    """What the model knows of a hold: whose it is, where, and whether it lives."""

    programme: int
    person: UUID
    prescriber: str
    live: bool = True
    admitted_at: datetime | None = None


class SeatsMachine(RuleBasedStateMachine):
    """Three programmes, four young people, two prescribers, one clock that only goes forward."""

    @initialize()
    def begin(self) -> None:
        """Three programmes without a declaration."""
        self.now = datetime(2026, 3, 27, 9, 0, tzinfo=UTC)  # the clocks change on the 29th
        self.programmes = [Programme(uuid4(), uuid4(), CONDITIONS, version=1) for _ in range(3)]
        self.holds: dict[UUID, Seen] = {}
        self.admitted = [0, 0, 0]

    def act(self, number: int, decide: Any) -> Decision:
        """Settles, decides and keeps, as the handler does."""
        before = self.programmes[number]
        settled = domain.settle(before, self.now)
        assert domain.settle(settled.programme, self.now).messages == (), "settling twice changes nothing"
        decision: Decision = decide(settled.programme)
        if decision.refusal is not None:
            assert decision.programme == settled.programme and not decision.messages, "a refusal changes nothing"
        self.programmes[number] = decision.programme
        for message in (*settled.messages, *decision.messages):
            if message.record_name() in ("HoldEnded", "YoungPersonAdmitted"):
                ended = self.holds[message.hold_id]  # type: ignore[attr-defined]
                assert ended.live, "a hold ends once"
                ended.live = False
                if message.record_name() == "YoungPersonAdmitted":
                    ended.admitted_at = self.now
                    self.admitted[number] += 1
        last = (*settled.messages, *decision.messages)[-1:]
        assert all(message.seats == decision.programme.counts for message in last)  # type: ignore[attr-defined]
        return decision

    @rule(minutes=st.integers(1, 60 * 24 * 6))
    def wait(self, minutes: int) -> None:
        """Time passes; nothing else happens."""
        self.now += timedelta(minutes=minutes)

    @rule(number=st.integers(0, 2), total=st.integers(0, 6), taken=st.integers(0, 6), age_hours=st.integers(0, 200))
    def declare(self, number: int, total: int, taken: int, age_hours: int) -> None:
        """A declaration, late ones too."""
        declaration = Declaration(max(total, taken), taken, self.now - timedelta(hours=age_hours), DeclarationWay.HTTP)
        previous = self.programmes[number].declaration
        decision = self.act(number, lambda p: domain.declare(p, declaration, POLICY, self.now))
        newer = previous is None or declaration.observed_at > previous.observed_at
        assert decision.notes["status"] == ("accepted" if newer else "superseded")
        if newer:
            times = [seen.admitted_at for seen in self.holds.values() if seen.programme == number]
            self.admitted[number] = sum(at is not None and at > declaration.observed_at for at in times)

    @rule(number=st.integers(0, 2), person=st.sampled_from(PEOPLE), prescriber=st.sampled_from(PRESCRIBERS))
    def hold(self, number: int, person: UUID, prescriber: str) -> None:
        """Somebody asks for a seat; the model says by counting whether there is one."""
        due = {h.hold_id for p in self.programmes for h in p.live if h.due_at is not None and h.due_at <= self.now}
        living = [(hold_id, seen) for hold_id, seen in self.holds.items() if seen.live and hold_id not in due]
        of_person = sum(seen.person == person for _, seen in living)
        of_prescriber = sum(seen.prescriber == prescriber for _, seen in living)
        here = sum(seen.programme == number for _, seen in living)
        twice = any(seen.person == person and seen.programme == number for _, seen in living)
        programme = self.programmes[number]
        decision = self.act(
            number,
            lambda p: domain.hold_seat(
                p,
                young_person_id=person,
                prescriber_id=prescriber,
                profile=Profile(),
                live_of_young_person=of_person,
                live_of_prescriber=of_prescriber,
                policy=POLICY,
                now=self.now,
            ),
        )
        known = programme.declaration
        declared = known is not None and self.now - known.observed_at <= timedelta(days=30)
        room = known is not None and known.taken_count + programme.admitted_count + here < known.total_count
        allowed = declared and room and not twice and of_person < 2 and of_prescriber < 4
        assert (decision.refusal is None) == allowed, decision.refusal
        if decision.refusal is None:
            hold_id = decision.notes["hold_id"]
            assert isinstance(hold_id, UUID)
            self.holds[hold_id] = Seen(number, person, prescriber)

    @precondition(lambda self: self.holds)
    @rule(draw=st.data(), action=st.sampled_from(["extend", "withdraw", "decline", "admit", "confirm"]))
    def answer(self, draw: st.DataObject, action: str) -> None:
        """Anybody does anything to any hold, live or ended; a confirmation releases the person's other holds."""
        hold_id = list(self.holds)[draw.draw(st.integers(0, len(self.holds) - 1))]  # ids are random, their order is not
        seen = self.holds[hold_id]
        known = next((h for h in self.programmes[seen.programme].holds if h.hold_id == hold_id), None)
        if known is None:
            return  # ended, and no longer loaded with its programme
        decision = self.act(seen.programme, lambda p: self._decide(p, known, action))
        if action == "confirm" and decision.refusal is None:
            for number in {s.programme for s in self.holds.values() if s.live and s.person == seen.person}:
                self.act(number, lambda p: self._release_others(p, seen.person, hold_id))
            assert [i for i, s in self.holds.items() if s.live and s.person == seen.person] == [hold_id]

    def _decide(self, programme: Programme, known: Hold, action: str) -> Decision:
        hold = next(h for h in programme.holds if h.hold_id == known.hold_id)
        if action == "extend":
            return domain.extend(programme, hold, POLICY, self.now)
        if action == "withdraw":
            return domain.withdraw(programme, hold, self.now)
        if action == "decline":
            return domain.decline(programme, hold, DeclineReason.SEAT_TAKEN, self.now)
        if action == "admit":
            return domain.admit(programme, hold, self.now)
        return domain.confirm(programme, hold, self.now.date() + timedelta(days=4), POLICY, self.now)

    def _release_others(self, programme: Programme, person: UUID, but: UUID) -> Decision:
        decision = Decision(programme)
        for hold in programme.live:
            if hold.young_person_id == person and hold.hold_id != but:
                decision = domain.release(decision.programme, hold, self.now).then(decision.messages)
        return decision

    @invariant()
    def seats_add_up(self) -> None:
        """What the database's CHECK says, and what the model counts."""
        for number, programme in enumerate(getattr(self, "programmes", [])):
            counts = programme.counts
            assert min(counts.total_count, counts.taken_count, counts.admitted_count, counts.excess_count) >= 0
            occupied = counts.taken_count + counts.admitted_count + counts.held_count
            assert counts.excess_count == max(0, occupied - counts.total_count)
            assert counts.free_count == max(0, counts.total_count - occupied)
            assert counts.admitted_count == self.admitted[number], "admissions that the declaration cannot contain"
            assert counts.held_count == sum(s.live and s.programme == number for s in self.holds.values())
            people = [hold.young_person_id for hold in programme.live]
            assert len(people) == len(set(people)), "two live holds of one person"
            assert all((hold.state in LIVE) == (hold.due_at is not None) for hold in programme.holds)


def test_random_lives_of_seats_and_holds() -> None:
    """200 sequences of 50 steps."""
    run_state_machine_as_test(SeatsMachine, settings=settings(max_examples=200, stateful_step_count=50))


@pytest.mark.long
def test_many_random_lives_of_seats_and_holds() -> None:
    """2,000 sequences of 50 steps."""
    run_state_machine_as_test(SeatsMachine, settings=settings(max_examples=2000, stateful_step_count=50))
