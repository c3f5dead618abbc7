"""Small cafés for the tests of the rules: the policy in force, a café of December, its registrations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from parents_cafes.messages import CafePeriod, CafeTheme, VenueKind
from parents_cafes.state import Cafe, Period, Plan, Policy, Registration, Venue
from waiting_list.rules import RegistrationState

NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)
STARTS = datetime(2026, 12, 15, 17, tzinfo=UTC)
POLICY = Policy(
    offer_hours=48,
    offer_hours_last=12,
    last_days=3,
    cut_off_hour=18,
    capacity_max=20,
    target_count=15,
    minimum_count=8,
    household_seats_max=2,
    review_days=7,
    review_hour=8,
    merge_ahead_hours=72,
    merge_km_max=50,
    move_answer_hours=48,
    late_hours=48,
    late_memory_days=365,
    reminder_hours=48,
    early_hours=48,
    near_km=30,
    lead_days=8,
    held_after_hours=24,
    check_in_days=3,
    request_hours=48,
    requests_per_day_max=5,
    contact_days=30,
    periods={"OCTOBER": ("09-20", "11-05"), "DECEMBER": ("11-15", "12-31"), "FEBRUARY": ("01-10", "03-10")},
)
PERIOD = Period("2026-2027", CafePeriod.DECEMBER)


def cafe(*registrations: Registration, state: Any = "open", capacity: int = 20, **more: Any) -> Cafe:
    """A café with some registrations; its counts are their sums."""
    venue = Venue(uuid4(), "Médiathèque", VenueKind.ASSOCIATION, "76540", 100)
    plan = Plan(CafeTheme.TRADES, venue, uuid4(), more.pop("starts_at", STARTS), STARTS + timedelta(days=20), capacity)
    made = Cafe(uuid4(), uuid4(), plan, PERIOD, state, opens_at=NOW - timedelta(days=9), version=1, **more)
    for one in registrations:
        made = made.with_(None, one)
    return made


def registration(state: RegistrationState = "registered", seats: int = 1, **more: Any) -> Registration:
    """A registration in a state."""
    due = STARTS - timedelta(days=1) if state in ("waiting", "offered") else None
    came = 1 if state == "attended" else None
    reason = {"end_reason": "CANCELLED_BY_HOUSEHOLD", "ended_at": NOW} if state == "ended" else {}
    return Registration(
        uuid4(), uuid4(), seats, state, NOW - timedelta(days=2), due_at=due, visitor_count=came, **{**reason, **more}
    )
