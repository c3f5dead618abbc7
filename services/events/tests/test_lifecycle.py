"""The saga of an event and its platform: every state, every step; and every interleaving of both sides ends alike."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from uuid import UUID, uuid4

import pytest

from events import kinds, lifecycle
from events.lifecycle import SAGA, Step
from events.messages import (
    AttendanceMode,
    EventAccess,
    EventCancelled,
    EventDescribed,
    EventKind,
    EventStatus,
    SessionPurpose,
)
from events.state import Description, Event, EventState, NeedState, Plan, PlatformNeed

NOW = datetime(2026, 11, 25, 9, tzinfo=UTC)
WHAT = Description(
    "Agence",
    EventKind.THEMATIC_DAY,
    "Les métiers de la mer",
    "Une journée.",
    EventAccess.OPEN,
    AttendanceMode.ON_SITE,
    commune_code="76540",
)
EVENT_STATES: tuple[EventState, ...] = get_args(EventState)
NEED_STATES: tuple[NeedState, ...] = get_args(NeedState)
STEPS: tuple[Step, ...] = get_args(Step)


def need(state: NeedState = "wanted") -> PlatformNeed:
    """A workshop on a morning."""
    begin = NOW + timedelta(days=30)
    request_id = None if state == "wanted" else uuid4()
    return PlatformNeed(uuid4(), begin, begin + timedelta(hours=3), 12, (), request_id, state)


def event(state: EventState = "draft", need_state: NeedState = "none") -> Event:
    """An event in a state, with a need in a state."""
    version = 0 if state == "draft" else 1
    return Event(uuid4(), uuid4(), WHAT, state, need(need_state) if need_state != "none" else None, version=version)


@pytest.mark.parametrize("what", STEPS)
@pytest.mark.parametrize("need_state", NEED_STATES)
@pytest.mark.parametrize("state", EVENT_STATES)
def test_every_step_in_every_state(state: EventState, need_state: NeedState, what: Step) -> None:
    """What the table has is done and told to the right readers; what it has not changes nothing and says so."""
    before = event(state, need_state)
    wanted = need()
    decision = lifecycle.step(before, what, NOW, need=wanted, reason="SLOT_TAKEN")
    to = SAGA.get((state, need_state, what))
    if to is None:
        assert decision.refusal is not None and decision.event == before
        assert (decision.messages, decision.asked, decision.withdrawn) == ((), None, None)
        return
    after = decision.event
    assert decision.refusal is None and (after.state, after.need_state) == to
    # A request that is alive is withdrawn when the organiser no longer wants it, and only then.
    is_alive = need_state in ("asked", "booked")
    assert (decision.withdrawn is not None) == (is_alive and what in ("need", "drop", "cancel"))
    # A new request has an id of its own.
    assert (decision.asked is not None) == (to[1] == "asked")
    if decision.asked is not None and before.need is not None:
        assert decision.asked.request_id != before.need.request_id
    # What everybody reads follows.
    told = [type(message) for message in decision.messages]
    if to[0] == "cancelled":
        assert told == ([EventCancelled] if before.version else [])
    elif to[0] == "confirmed" or before.version:
        assert set(told) <= {EventDescribed} and (told or after == before)
    else:
        assert told == []


class Platform:
    """Platform scheduling as its contract has it: one answer for a request, a release when what it booked is undone."""

    def __init__(self, verdict: str) -> None:
        self.verdict = verdict
        self.state: dict[UUID, str] = {}

    def asked(self, request_id: UUID) -> tuple[UUID, str]:
        """Its answer."""
        self.state[request_id] = self.verdict
        return request_id, self.verdict

    def withdrawn(self, request_id: UUID) -> tuple[UUID, str]:
        """Released, or refused when nobody had answered."""
        said = "released" if self.state.get(request_id) == "booked" else "refused"
        self.state[request_id] = said
        return request_id, said

    def lost(self) -> list[tuple[UUID, str]]:
        """Its owner takes back what is booked."""
        booked = [key for key, state in self.state.items() if state == "booked"]
        self.state |= dict.fromkeys(booked, "released")
        return [(key, "released") for key in booked]


@pytest.mark.parametrize("verdict", ["booked", "refused"])
@pytest.mark.parametrize("commands", list(itertools.permutations(("need", "drop", "cancel", "lost"), 3)))
def test_every_interleaving_ends_consistent(verdict: str, commands: tuple[str, ...]) -> None:
    """Published with a need; then commands cross with messages in flight, each link in order, each at any later time.

    At the end both say the same: a booking is held if and only if the event stands confirmed on it.
    """
    for schedule in itertools.product((0, 1, 2), repeat=3):
        ends_consistent(verdict, commands, schedule)


def ends_consistent(verdict: str, commands: tuple[str, ...], schedule: tuple[int, ...]) -> None:
    """One interleaving: how many messages arrive on each link between one command and the next."""
    platform = Platform(verdict)
    to_platform: list[tuple[str, UUID]] = []
    to_event: list[tuple[UUID, str]] = []
    current = event()

    def do(what: Step, **more: Any) -> None:
        nonlocal current
        decision = lifecycle.step(current, what, NOW, **more)
        current = replace(decision.event, version=decision.event.version + len(decision.messages))
        for told, name in ((decision.withdrawn, "withdrawn"), (decision.asked, "asked")):
            if told is not None and told.request_id is not None:
                to_platform.append((name, told.request_id))

    def deliver(count: int) -> None:
        for _ in range(count):
            if to_platform:
                name, request_id = to_platform.pop(0)
                to_event.append(platform.asked(request_id) if name == "asked" else platform.withdrawn(request_id))
            if to_event:
                request_id, said = to_event.pop(0)
                if current.need is not None and current.need.request_id == request_id:
                    do(said, reason="OWNER_REFUSED")  # type: ignore[arg-type]

    do("need", need=need())
    do("publish")
    for command, pause in zip(commands, schedule, strict=True):
        deliver(pause)
        if command == "lost":
            to_event.extend(platform.lost())
        else:
            do(command, need=need())  # type: ignore[arg-type]
    deliver(20)
    assert not to_platform and not to_event
    held = {key for key, state in platform.state.items() if state == "booked"}
    mine = {current.need.request_id} if current.need is not None and current.need_state == "booked" else set()
    assert held == mine
    assert (current.state == "confirmed") == (current.need_state in ("none", "booked") and current.state != "cancelled")
    assert current.need_state != "asked"


def test_an_event_is_told_as_it_stands() -> None:
    """Awaiting while its platform is asked for anew, confirmed with the platform that is booked."""
    asked = lifecycle.step(event("confirmed", "booked"), "need", NOW, need=need()).messages[0]
    assert isinstance(asked, EventDescribed) and asked.status == EventStatus.AWAITING_PLATFORM
    assert asked.platform_id is None
    booked = lifecycle.step(event("awaiting", "asked"), "booked", NOW).messages[0]
    assert isinstance(booked, EventDescribed) and booked.status == EventStatus.CONFIRMED
    assert booked.platform_id is not None
    same = event("confirmed")
    assert lifecycle.describe(same, WHAT, NOW).messages == ()


@pytest.mark.parametrize("kind", [kind for kind in EventKind if kind is not EventKind.UNKNOWN])
def test_every_kind_says_what_it_needs(kind: EventKind) -> None:
    """Of each kind: one that fits is taken; a wrong public, a wrong place, too many days, no session are named."""
    facts = kinds.KINDS[kind]
    plan = Plan("Séance", SessionPurpose.MEETING, NOW + timedelta(days=30), NOW + timedelta(days=30, hours=2))
    fits = replace(
        WHAT,
        kind=kind,
        access=facts.accesses[0],
        attendance_mode=facts.modes[0],
        online_url="https://salon.example/",
        host_siret="00000000000018" if facts.needs_host else None,
    )
    assert kinds.why_not(fits, [plan]) is None

    def field(what: Description, plans: list[Plan]) -> str | None:
        refusal = kinds.why_not(what, plans)
        return refusal.facts["field"] if refusal is not None else None

    assert field(fits, []) == "sessions"
    many = [replace(plan, starts_at=plan.starts_at + timedelta(days=n)) for n in range(facts.days_max + 1)]
    assert field(fits, many) == "sessions" and field(fits, many[:-1]) is None
    for access in EventAccess:
        if access is not EventAccess.UNKNOWN and access not in facts.accesses:
            assert field(replace(fits, access=access), [plan]) == "access"
    for mode in AttendanceMode:
        if mode is not AttendanceMode.UNKNOWN and mode not in facts.modes:
            assert field(replace(fits, attendance_mode=mode), [plan]) == "attendance_mode"
    if facts.needs_host:
        assert field(replace(fits, host_siret=None), [plan]) == "host_siret"
