"""What becomes of households' registrations when a café, where it is, or what it goes by changes: one cell for each.

Seats that are taken are never taken back by fewer seats; who waits for more seats than there will be waits for nothing, and is
told so. What has begun goes on as it is. What the pass seven days before decides was announced with the registration, and what a
household asks for by phone is its own: nobody is asked about either, and each household is told.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum

from common.commitments import Commitment, Table
from common.commitments import Fate as F
from common.transaction import Transaction
from parents_cafes import store
from parents_cafes.season import word_of
from parents_cafes.state import Cafe, Plan, Registration


class Change(StrEnum):
    """What may change under a household."""

    SEATS = "fewer_seats_than_a_household"
    MOVED = "another_day_or_venue"
    PERIOD = "day_in_another_period"
    THEME = "another_theme"
    CANCELLED = "cafe_cancelled"
    FOR_A_HOUSEHOLD = "cancelled_for_a_household"
    VENUE = "venue_elsewhere_or_not_accessible"
    VENUE_SMALLER = "venue_smaller_than_its_cafe"
    FACILITATOR = "another_facilitator"
    FACILITATOR_DESCRIBED = "facilitator_described_anew"
    ERASED = "facilitator_or_coordinator_erased"
    CONFIRMED = "confirmed_by_the_pass"
    MERGED = "merged_by_the_pass"
    UNDER_MINIMUM = "cancelled_by_the_pass"
    POLICY = "policy_of_the_Region"
    PERIODS = "periods_of_the_Region"


class Kind(StrEnum):
    """Registrations, by where they are in their life."""

    WAITING = "waiting"
    OFFERED = "offered"
    REGISTERED = "registered"
    BEGUN = "cafe_begun"


_KEPT = (F.STAYS, F.STAYS, F.STAYS, F.STAYS)
# The day, the place and the theme of what has begun are what they were.
_TOLD = (F.CHANGES, F.CHANGES, F.CHANGES, F.BARS)
TABLE = Table(
    Change,
    Kind,
    {
        # waiting, offered, registered, begun
        Change.SEATS: (F.ENDS, F.BARS, F.BARS, F.BARS),
        Change.MOVED: _TOLD,
        Change.PERIOD: (F.BARS, F.BARS, F.BARS, F.BARS),
        Change.THEME: _TOLD,
        # One that has begun is called off as long as nobody was there.
        Change.CANCELLED: (F.ENDS, F.ENDS, F.ENDS, F.ENDS),
        Change.FOR_A_HOUSEHOLD: (F.ENDS, F.ENDS, F.ENDS, F.BARS),
        Change.VENUE: (F.CHANGES, F.CHANGES, F.CHANGES, F.STAYS),
        Change.VENUE_SMALLER: (F.ENDS, F.BARS, F.BARS, F.STAYS),
        Change.FACILITATOR: _KEPT,
        Change.FACILITATOR_DESCRIBED: _KEPT,
        Change.ERASED: _KEPT,
        Change.CONFIRMED: _KEPT,
        Change.MERGED: (F.MOVES, F.MOVES, F.MOVES, F.STAYS),
        Change.UNDER_MINIMUM: (F.ENDS, F.ENDS, F.ENDS, F.STAYS),
        Change.POLICY: _KEPT,
        # A registration stays in the period for which it was made.
        Change.PERIODS: _KEPT,
    },
)
_STATES = {"waiting": "Liste d’attente", "offered": "Place proposée"}


async def registrations(
    tx: Transaction, cafe: Cafe, changes: Callable[[Registration], list[Change]], now: datetime
) -> list[Commitment]:
    """What a change means for who is in a café, which is locked and settled."""
    found = []
    for one in await store.live_registrations(tx, cafe.cafe_id):
        kind = Kind.BEGUN if cafe.has_begun(now) else Kind(one.state)
        what = f"{_STATES.get(one.state, 'Inscription')}, {one.seat_count} place{'s' if one.seat_count > 1 else ''}"
        fate = TABLE.fate_of(changes(one), kind)
        found.append(Commitment("registration", one.registration_id, cafe.plan.starts_at, what, fate))
    return found


def by_plan(before: Plan, after: Plan, smaller: Change = Change.SEATS) -> Callable[[Registration], list[Change]]:
    """What another plan changes for a registration; seats that are taken bar it before anybody is asked."""
    moved = (before.starts_at, before.ends_at, before.venue.venue_id) != (
        after.starts_at,
        after.ends_at,
        after.venue.venue_id,
    )
    elsewhere = not moved and word_of(before, after) in ("inaccessible", "changed")

    def changes(one: Registration) -> list[Change]:
        found = {
            smaller: one.state == "waiting" and one.seat_count > after.capacity_count,
            Change.MOVED: moved,
            Change.THEME: before.theme != after.theme,
            Change.VENUE: elsewhere,
        }
        return [change for change, is_so in found.items() if is_so]

    return changes
