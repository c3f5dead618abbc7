"""What becomes of households' registrations when a coordinator changes a café or where it is: one cell for each.

Seats that are taken are never taken back by fewer seats; who waits for more seats than there will be waits for nothing, and is
told so. What the pass seven days before decides (to merge, to cancel) was announced with the registration, and is not asked here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from common.commitments import Commitment, Fate, Table
from common.commitments import Fate as F
from common.transaction import Transaction
from parents_cafes.state import Plan


class Change(StrEnum):
    """What a coordinator may change under a household."""

    SEATS = "fewer_seats_than_a_household"
    MOVED = "another_day_or_venue"
    THEME = "another_theme"
    CANCELLED = "cafe_cancelled"
    VENUE = "venue_elsewhere_or_not_accessible"
    VENUE_SMALLER = "venue_smaller_than_its_cafe"
    FACILITATOR = "another_facilitator"
    POLICY = "policy_of_the_Region"


class Kind(StrEnum):
    """Registrations, by where they are in their life."""

    WAITING = "waiting"
    OFFERED = "offered"
    REGISTERED = "registered"
    BEGUN = "cafe_begun"


_TOLD = (F.CHANGES, F.CHANGES, F.CHANGES, F.CHANGES)
_KEPT = (F.STAYS, F.STAYS, F.STAYS, F.STAYS)
TABLE = Table(
    Change,
    Kind,
    {
        # waiting, offered, registered, begun
        Change.SEATS: (F.ENDS, F.BARS, F.BARS, F.BARS),
        Change.MOVED: _TOLD,
        Change.THEME: _TOLD,
        # One that has begun is called off as long as nobody was there.
        Change.CANCELLED: (F.ENDS, F.ENDS, F.ENDS, F.ENDS),
        Change.VENUE: _TOLD,
        Change.VENUE_SMALLER: (F.ENDS, F.BARS, F.BARS, F.BARS),
        Change.FACILITATOR: _KEPT,
        Change.POLICY: _KEPT,
    },
)
_STATES = {"waiting": "Liste d’attente", "offered": "Place proposée", "registered": "Inscription"}


async def registrations(
    tx: Transaction, cafe_ids: Sequence[UUID], changes: Callable[[Any], list[Change]], now: datetime
) -> list[Commitment]:
    """What a change means for who is in some cafés, which are locked; `changes` reads a registration's row."""
    rows = await tx.fetch_all(
        """SELECT r.registration_id, r.cafe_id, r.state, r.seat_count, c.starts_at FROM registration r JOIN cafe c USING (cafe_id)
           WHERE r.cafe_id = ANY(:ids) AND r.state IN ('waiting', 'offered', 'registered') AND (r.due_at IS NULL OR r.due_at > :now)""",
        ids=list(cafe_ids),
        now=now,
    )
    found = []
    for row in rows:
        kind = Kind.BEGUN if row.starts_at <= now else Kind(row.state)
        what = f"{_STATES[row.state]}, {row.seat_count} place{'s' if row.seat_count > 1 else ''}"
        fate = TABLE.fate_of(changes(row), kind)
        if fate is not Fate.BARS:
            found.append(Commitment("registration", row.registration_id, row.starts_at, what, fate))
    return found


def by_plan(before: Plan, after: Plan, smaller: Change = Change.SEATS) -> Callable[[Any], list[Change]]:
    """What another plan changes for a registration; seats that are taken bar it before anybody is asked."""
    moved = (before.starts_at, before.ends_at, before.venue.venue_id) != (
        after.starts_at,
        after.ends_at,
        after.venue.venue_id,
    )
    there, here = before.venue, after.venue
    elsewhere = (there.title, there.kind, there.commune_code, there.address) != (
        here.title,
        here.kind,
        here.commune_code,
        here.address,
    )
    elsewhere = (elsewhere or (there.accessible and not here.accessible)) and there.venue_id == here.venue_id

    def changes(row: Any) -> list[Change]:
        found = {
            smaller: row.state == "waiting" and row.seat_count > after.capacity_count,
            Change.MOVED: moved,
            Change.THEME: before.theme != after.theme,
            Change.VENUE: elsewhere,
        }
        return [change for change, is_so in found.items() if is_so]

    return changes
