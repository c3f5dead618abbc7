"""The rows of waiting lists: who is looked at under a list's lock, who is next in line, what is saved, what time made due, who is owed a mail.

A list is a row of a service's own table, with seats; whoever reads or writes its registrations has locked it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import Row

from waiting_list.rules import ORDER, Counts
from waiting_list.tables import LIVE, counts_sql

DUE_COUNT_MAX, LINE_COUNT_MAX = 500, 50


class Transaction(Protocol):
    """What is needed of one."""

    async def execute(self, sql: str, **values: Any) -> int:
        """Runs a statement; returns the number of rows that it touched."""

    async def execute_unless_taken(self, sql: str, **values: Any) -> bool:
        """Runs a statement that a unique constraint may refuse; False when it does."""

    async def fetch_all(self, sql: str, **values: Any) -> Sequence[Row[Any]]:
        """All rows of a query."""

    async def now(self) -> datetime:
        """The clock."""


@dataclass(frozen=True)
class Lists:
    """Where a service keeps its lists and the registrations in them."""

    # Whose rows have the seats, and the column that names one, there and in `registration`.
    table: str
    key: str
    # Of a registration, those that the service's rules know.
    columns: Sequence[str]
    # In which states seats that come back are given to the line, and the column that says when time ends one.
    open_states: Sequence[str]
    due_at: str
    # Who is written to: a table whose rows count their mails, keyed by `<party>_id`, and the column of `registration` that names one.
    party: str
    party_column: str

    async def looked_at(
        self, tx: Transaction, list_id: UUID, *, holder_id: UUID | None, registration_id: UUID | None
    ) -> Sequence[Row[Any]]:
        """Registrations of a list that are due, of a holder, or of an id."""
        columns = ", ".join(self.columns)
        return await tx.fetch_all(
            f"""(SELECT {columns} FROM registration
                 WHERE {self.key} = :id AND due_at <= :now ORDER BY due_at, registration_id LIMIT {DUE_COUNT_MAX})
                UNION SELECT {columns} FROM registration
                 WHERE {self.key} = :id AND (registration_id = :registration_id OR (holder_id = :holder_id AND {LIVE}))""",
            id=list_id,
            now=await tx.now(),
            holder_id=holder_id,
            registration_id=registration_id,
        )

    async def counts(self, tx: Transaction, list_id: UUID) -> Counts:
        """Seats by what became of them, summed from the rows."""
        (row,) = await tx.fetch_all(counts_sql("registration", f"{self.key} = :id"), id=list_id)
        return Counts(*row)

    async def line(
        self, tx: Transaction, list_id: UUID, free_count: int, passed: Collection[UUID]
    ) -> Sequence[Row[Any]]:
        """The first in line whom the free seats would fit, in order; without those who were passed over."""
        return await tx.fetch_all(
            f"""SELECT {", ".join(self.columns)} FROM registration
                WHERE {self.key} = :id AND state = 'waiting' AND seat_count <= :free AND NOT registration_id = ANY(:passed)
                ORDER BY {ORDER} LIMIT {LINE_COUNT_MAX}""",
            id=list_id,
            free=free_count,
            passed=list(passed),
        )

    async def save(self, tx: Transaction, values: Mapping[str, Any], *, owed: str | None, **once: Any) -> None:
        """Writes a registration, and as what its change is owed to be told; `once` are columns that stay as they were."""
        names = [*values, "owed", *once]
        await tx.execute(
            f"""INSERT INTO registration ({", ".join(names)}) VALUES ({", ".join(":" + name for name in names)})
                ON CONFLICT (registration_id) DO UPDATE SET owed = COALESCE(excluded.owed, registration.owed),
                    {", ".join(f"{name} = excluded.{name}" for name in values if name != "registration_id")}""",
            **values,
            owed=owed,
            **once,
        )

    async def end_all(self, tx: Transaction, list_id: UUID, reason: str) -> None:
        """What has the seats does not take place: whoever is in its list is told so, once."""
        await tx.execute(
            f"""UPDATE registration SET state = 'ended', end_reason = '{reason}', ended_at = :now, due_at = NULL,
                    revision = revision + 1, owed = 'cancelled' WHERE {self.key} = :id AND {LIVE}""",
            id=list_id,
            now=await tx.now(),
        )

    async def miss_all(self, tx: Transaction, list_id: UUID) -> None:
        """It has taken place, and whoever came is known: the others were absent."""
        await tx.execute(
            f"UPDATE registration SET state = 'absent' WHERE {self.key} = :id AND state = 'registered'", id=list_id
        )

    async def due(self, tx: Transaction, after: UUID, limit: int) -> list[UUID]:
        """Lists in which time made something due that nobody has settled yet."""
        rows = await tx.fetch_all(
            f"""SELECT {self.key} FROM {self.table} WHERE {self.due_at} <= :now AND {self.key} > :after
                UNION SELECT {self.key} FROM registration WHERE due_at <= :now AND {self.key} > :after
                ORDER BY {self.key} LIMIT :limit""",
            now=await tx.now(),
            after=after,
            limit=limit,
        )
        return [row[0] for row in rows]

    async def with_free_seats_and_a_line(self, tx: Transaction, after: UUID, limit: int) -> list[UUID]:
        """Lists in which somebody waits whom the free seats would fit."""
        states = ", ".join(f"'{state}'" for state in self.open_states)
        rows = await tx.fetch_all(
            f"""SELECT {self.key} FROM {self.table} l WHERE state IN ({states}) AND starts_at > :now AND {self.key} > :after
                    AND EXISTS (SELECT 1 FROM registration r WHERE r.{self.key} = l.{self.key} AND r.state = 'waiting'
                                    AND r.seat_count <= l.capacity_count - l.taken_count)
                ORDER BY {self.key} LIMIT :limit""",
            now=await tx.now(),
            after=after,
            limit=limit,
        )
        return [row[0] for row in rows]

    async def owed(self, tx: Transaction, after: UUID, limit: int) -> list[UUID]:
        """Parties that have yet to be written something."""
        rows = await tx.fetch_all(
            f"""SELECT DISTINCT {self.party_column} FROM registration WHERE owed IS NOT NULL AND {self.party_column} > :after
                ORDER BY {self.party_column} LIMIT :limit""",
            after=after,
            limit=limit,
        )
        return [row[0] for row in rows]

    async def take_owed(self, tx: Transaction, party_id: UUID) -> dict[UUID, str]:
        """What a party is owed to be written, by registration, once: the note is gone, and one mail more is counted.

        Nothing when somebody else writes to the party just now. What is noted meanwhile is in it, or stays for the next mail.
        """
        if not await tx.fetch_all(
            f"""SELECT 1 FROM {self.party} WHERE {self.party}_id = :id AND EXISTS
                    (SELECT 1 FROM registration WHERE {self.party_column} = :id AND owed IS NOT NULL) FOR UPDATE SKIP LOCKED""",
            id=party_id,
        ):
            return {}
        rows = await tx.fetch_all(
            f"""WITH taken AS (SELECT registration_id, owed FROM registration WHERE {self.party_column} = :id AND owed IS NOT NULL FOR UPDATE)
                UPDATE registration r SET owed = NULL FROM taken WHERE r.registration_id = taken.registration_id
                RETURNING taken.registration_id, taken.owed""",
            id=party_id,
        )
        await tx.execute(
            f"UPDATE {self.party} SET mail_count = mail_count + 1 WHERE {self.party}_id = :id", id=party_id
        )
        return {row.registration_id: row.owed for row in rows}


async def claim(tx: Transaction, registration_id: UUID, until: datetime) -> bool:
    """Marks a place in line as offered; False when its holder has a pending offer elsewhere."""
    return await tx.execute_unless_taken(
        "UPDATE registration SET state = 'offered', due_at = :until WHERE registration_id = :id",
        id=registration_id,
        until=until,
    )
