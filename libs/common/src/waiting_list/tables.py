"""The columns and constraints of a table of registrations with a waiting list; a service adds its own beside them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlmodel import Field, SQLModel

_INSTANT: Any = TIMESTAMP(timezone=True)
WAITING = "state IN ('waiting', 'offered')"
# These take seats.
TAKING = "state IN ('offered', 'registered', 'attended', 'absent')"
LIVE = "state IN ('waiting', 'offered', 'registered', 'attended', 'absent')"


def counts_sql(table: str, listed: str, *, lapsing: bool = False) -> str:
    """Seats of a list by what became of them, summed from its rows; `listed` says which rows those are.

    `lapsing` counts as of `:now`, whether time was settled or not: a lapsed offer holds nothing.
    """
    due = " AND due_at > :now" if lapsing else ""
    return f"""SELECT COALESCE(sum(seat_count) FILTER (WHERE state IN ('registered', 'attended', 'absent')), 0)::int AS registered,
               COALESCE(sum(seat_count) FILTER (WHERE state = 'offered'{due}), 0)::int AS offered,
               COALESCE(sum(seat_count) FILTER (WHERE state = 'waiting'{due}), 0)::int AS waiting,
               COALESCE(sum(visitor_count) FILTER (WHERE state = 'attended'), 0)::int AS attended
        FROM {table} WHERE {listed} AND state <> 'ended'"""


class Queued(SQLModel):
    """One party's registration for one thing with seats: waiting → offered → registered → attended or absent; or ended.

    `holder_id` is whoever may hold one pending offer at a time: a person, a household, a group.
    """

    registration_id: UUID = Field(primary_key=True)
    holder_id: UUID
    seat_count: int
    state: str
    joined_at: datetime = Field(sa_type=_INSTANT)
    priority: int = 0
    lottery_key: str | None = None
    # Until when it waits or is offered: whatever waits ends.
    due_at: datetime | None = Field(default=None, sa_type=_INSTANT)
    end_reason: str | None = None
    ended_at: datetime | None = Field(default=None, sa_type=_INSTANT)


def queue_constraints(table: str, listed_by: str) -> tuple[Any, ...]:
    """What the database keeps of every list, whatever the code above does; `listed_by` is the column that names the list."""
    return (
        CheckConstraint("seat_count > 0", name=f"{table}_takes_seats"),
        CheckConstraint(f"({WAITING}) = (due_at IS NOT NULL)", name=f"{table}_that_waits_ends"),
        CheckConstraint("(state = 'ended') = (ended_at IS NOT NULL)", name=f"{table}_ends_once"),
        # One live registration of a party in a list, one pending offer of a holder anywhere.
        Index(f"{table}_once", listed_by, "holder_id", unique=True, postgresql_where=text(LIVE)),
        Index(f"{table}_one_offer", "holder_id", unique=True, postgresql_where=text("state = 'offered'")),
        Index(f"{table}_taking", listed_by, postgresql_include=["seat_count"], postgresql_where=text(TAKING)),
        Index(f"{table}_in_line", listed_by, "joined_at", postgresql_where=text("state = 'waiting'")),
        Index(f"{table}_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    )
