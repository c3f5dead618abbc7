"""Reads a season: cafés with their seats as of an instant, what time made due, which café the pass looks at next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from common.transaction import Transaction
from parents_cafes.season import Candidate
from parents_cafes.state import Cafe, Period
from parents_cafes.store import WHOLE, cafe_of
from territory import reference
from waiting_list.rules import Counts
from waiting_list.tables import counts_sql

# Seats as they are at `:now`, whether time was settled or not: a lapsed offer holds nothing.
_SEATS = f"({counts_sql('registration', 'cafe_id = c.cafe_id', lapsing=True)})"


async def cafes(
    tx: Transaction,
    now: datetime,
    *,
    cafe_ids: Sequence[UUID] | None = None,
    period: Period | None = None,
    facilitator_id: UUID | None = None,
    only_public: bool = False,
) -> Sequence[Row[Any]]:
    """Cafés with venue, facilitator, coordinator and seats as of an instant, by date; public ones are those to come that are announced."""
    return await tx.fetch_all(
        f"""SELECT {WHOLE}, s.*, f.title AS facilitator_title, o.account AS coordinator_account,
                   GREATEST(0, c.capacity_count - s.registered - s.offered) AS free_count
            FROM cafe c JOIN venue v USING (venue_id) JOIN facilitator f USING (facilitator_id)
                JOIN coordinator o ON o.coordinator_id = c.coordinator_id, LATERAL {_SEATS} s
            WHERE (CAST(:cafe_ids AS uuid[]) IS NULL OR cafe_id = ANY(:cafe_ids))
              AND (CAST(:school_year AS text) IS NULL OR (school_year = :school_year AND period = :period))
              AND (CAST(:facilitator_id AS uuid) IS NULL OR c.facilitator_id = :facilitator_id)
              AND (NOT :only_public OR (state IN ('open', 'confirmed') AND starts_at > :now))
            ORDER BY starts_at, cafe_id""",
        now=now,
        cafe_ids=cafe_ids and list(cafe_ids),
        school_year=period and period.school_year,
        period=period and period.name.value,
        facilitator_id=facilitator_id,
        only_public=only_public,
    )


def with_seats(row: Row[Any]) -> Cafe:
    """The café in a row of `cafes`, with its seats as of that reading."""
    return replace(cafe_of(row), counts=Counts(row.registered, row.offered, row.waiting, row.attended))


# -- what is due


async def next_to_review(tx: Transaction, after: tuple[date, UUID], _: int) -> list[tuple[date, UUID]]:
    """The first café that the pass has yet to look at, with its date: one at a time, since each decides on what the next finds."""
    rows = await tx.fetch_all(
        """SELECT starts_on, cafe_id FROM (SELECT cafe_id, (starts_at AT TIME ZONE 'Europe/Paris')::date AS starts_on
               FROM cafe WHERE review_at <= :now) due
           WHERE (starts_on, cafe_id) > (CAST(:date AS date), :cafe_id) ORDER BY starts_on, cafe_id LIMIT 1""",
        now=await tx.now(),
        date=after[0],
        cafe_id=after[1],
    )
    return [(row.starts_on, row.cafe_id) for row in rows]


async def lock_pass(tx: Transaction) -> None:
    """Nobody else's pass goes on until this transaction ends."""
    await tx.execute("SELECT 1 FROM review_pass WHERE id = 1 FOR UPDATE")


async def candidates(tx: Transaction, cafe: Cafe, now: datetime) -> list[Candidate]:
    """Cafés of the same period that take registrations, with their distance; unlocked: whoever merges looks again."""
    rows = await tx.fetch_all(
        f"""SELECT cafe_id, starts_at, c.capacity_count - s.registered - s.offered AS free_count, v.commune_code
            FROM cafe c JOIN venue v USING (venue_id), LATERAL {_SEATS} s
            WHERE school_year = :school_year AND period = :period AND state IN ('open', 'confirmed') AND cafe_id <> :id""",
        now=now,
        id=cafe.cafe_id,
        school_year=cafe.period.school_year,
        period=cafe.period.name.value,
    )
    home = cafe.plan.venue.commune_code
    return [
        Candidate(row.cafe_id, reference.km_between(home, row.commune_code), row.starts_at, row.free_count)
        for row in rows
    ]
