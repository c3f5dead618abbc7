"""Loads and saves households and what was asked before an address was verified; nothing of it leaves this database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row

from common.transaction import Transaction
from parents_cafes.state import Conduct, Outcome, Period, Policy
from waiting_list.rules import ORDER
from waiting_list.tables import LIVE

_HASHED = "household"
_SEATED = "state IN ('registered', 'attended', 'absent')"
# Outcomes that give priority, and those that end what gave it.
_FOUND_NO_PLACE = "end_reason IN ('CAFE_CANCELLED', 'MOVE_DECLINED', 'NOT_SERVED')"


def hashed(tx: Transaction, email: str) -> str:
    """What stands for an address for good: a hash that nobody makes without the service's secret."""
    return tx.keyed_hash(_HASHED, email.strip().lower())


# -- households


async def household_for(tx: Transaction, email: str, title: str | None) -> UUID:
    """The household of a verified address, made the first time, its row locked: orders everything that it asks for."""
    row = await tx.fetch_one(
        """INSERT INTO household (household_id, email_hash, email, title, mail_count, created_at)
           VALUES (:id, :hash, :email, :title, 0, :now)
           ON CONFLICT (email_hash) DO UPDATE SET email = excluded.email, title = COALESCE(excluded.title, household.title)
           RETURNING household_id""",
        id=uuid4(),
        hash=hashed(tx, email),
        email=email,
        title=title,
        now=await tx.now(),
    )
    assert row is not None
    household_id: UUID = row.household_id
    return household_id


async def lock_household(tx: Transaction, household_id: UUID) -> Any:
    """A household, its row locked; None when it does not exist or was erased."""
    return await tx.fetch_one(
        "SELECT * FROM household WHERE household_id = :id AND email_hash IS NOT NULL FOR UPDATE", id=household_id
    )


async def find_household(tx: Transaction, household_id: UUID) -> Any:
    """A household, or None when it does not exist or was erased; unlocked."""
    return await tx.fetch_one(
        "SELECT * FROM household WHERE household_id = :id AND email_hash IS NOT NULL", id=household_id
    )


async def conduct_of(tx: Transaction, household_id: UUID, period: Period, policy: Policy, now: datetime) -> Conduct:
    """What the policy looks at in a household, which is locked, when it asks for a café of a period."""
    rows = await tx.fetch_all(
        """SELECT state, end_reason, ended_at, due_at, school_year, period FROM registration WHERE holder_id = :id
           ORDER BY joined_at DESC""",
        id=household_id,
    )
    seen = [(Period(row.school_year, row.period), row) for row in rows]
    recent = [row for of, row in seen if of in (period, period.before)]
    since = now - timedelta(days=policy.late_memory_days)
    return Conduct(
        tuple(Outcome(row.state, row.end_reason) for row in recent),
        late_count=sum(row.state == "absent" for row in recent)
        + sum(row.end_reason == "CANCELLED_LATE" and row.ended_at > since for row in rows),
        # An offer or a place in line whose time is over is none, whether it was settled or not.
        is_in_period=any(
            of == period and row.state != "ended" and not (row.due_at is not None and row.due_at <= now)
            for of, row in seen
        ),
    )


async def lapsed_elsewhere(tx: Transaction, household_id: UUID, cafe_id: UUID, now: datetime) -> list[UUID]:
    """Other cafés where time ended an offer or a place in line of a household, which is locked, and nobody has settled it yet."""
    rows = await tx.fetch_all(
        "SELECT cafe_id FROM registration WHERE holder_id = :id AND cafe_id <> :cafe_id AND due_at <= :now",
        id=household_id,
        cafe_id=cafe_id,
        now=now,
    )
    return [row.cafe_id for row in rows]


async def awaited(tx: Transaction, period: Period) -> Sequence[Row[Any]]:
    """Households that come first in a period and are not in it: who they are, where they looked for a place, and who follows it."""
    return await tx.fetch_all(
        f"""SELECT h.household_id, h.email, v.commune_code, o.account AS coordinator_account FROM
                (SELECT DISTINCT ON (holder_id) * FROM registration
                 WHERE (school_year, period) IN ((:school_year, :period), (:school_year_before, :period_before))
                   AND ({_SEATED} OR {_FOUND_NO_PLACE}) ORDER BY holder_id, joined_at DESC) r
                JOIN household h ON h.household_id = r.holder_id JOIN cafe c USING (cafe_id) JOIN venue v USING (venue_id)
                JOIN coordinator o ON o.coordinator_id = c.coordinator_id
            WHERE r.{_FOUND_NO_PLACE} AND h.email IS NOT NULL AND NOT EXISTS
                (SELECT 1 FROM registration l WHERE l.holder_id = h.household_id AND l.school_year = :school_year
                     AND l.period = :period AND l.{LIVE})
            ORDER BY h.household_id""",
        school_year=period.school_year,
        period=period.name.value,
        school_year_before=period.before.school_year,
        period_before=period.before.name.value,
    )


async def registrations(
    tx: Transaction, *, household_id: UUID | None = None, cafe_id: UUID | None = None
) -> Sequence[Row[Any]]:
    """Registrations with their household, café and venue: a household's newest first, a café's as its line has them."""
    return await tx.fetch_all(
        f"""SELECT r.*, h.email, h.title AS household_title, c.starts_at, c.ends_at, c.theme, c.state AS cafe_state,
                   c.merged_into_id, c.revision AS cafe_revision, c.changed_at, v.title AS venue_title, v.commune_code, v.address, v.accessible
            FROM registration r JOIN household h ON h.household_id = r.holder_id JOIN cafe c USING (cafe_id)
                JOIN venue v USING (venue_id)
            WHERE (CAST(:household_id AS uuid) IS NULL OR holder_id = :household_id)
              AND (CAST(:cafe_id AS uuid) IS NULL OR cafe_id = :cafe_id)
            ORDER BY CASE WHEN CAST(:cafe_id AS uuid) IS NULL THEN c.starts_at END DESC, {ORDER}""",
        household_id=household_id,
        cafe_id=cafe_id,
    )


async def find_registration(tx: Transaction, registration_id: UUID) -> Any:
    """Whose a registration is, or None; in which café, only its lock can say."""
    return await tx.fetch_one("SELECT holder_id FROM registration WHERE registration_id = :id", id=registration_id)


async def has_registered_since(tx: Transaction, household_id: UUID, since: datetime) -> bool:
    """Whether a household, which is locked, has registered or stood in line since an instant."""
    row = await tx.fetch_one(
        "SELECT 1 FROM registration WHERE holder_id = :id AND joined_at >= :since LIMIT 1", id=household_id, since=since
    )
    return row is not None


# -- what was asked before an address was verified


async def file_request(
    tx: Transaction, *, cafe_id: UUID, email: str, title: str | None, seat_count: int, wait: bool, hours: int
) -> UUID:
    """Keeps what somebody asked for until the address is verified."""
    request_id, now = uuid4(), await tx.now()
    await tx.execute(
        """INSERT INTO request (request_id, cafe_id, email_hash, email, title, seat_count, wait, asked_at, expires_at)
           VALUES (:id, :cafe_id, :hash, :email, :title, :seat_count, :wait, :now, :expires_at)""",
        id=request_id,
        cafe_id=cafe_id,
        hash=hashed(tx, email),
        email=email,
        title=title,
        seat_count=seat_count,
        wait=wait,
        now=now,
        expires_at=now + timedelta(hours=hours),
    )
    return request_id


async def requests_of_the_day(tx: Transaction, email: str, now: datetime) -> int:
    """How often an address was written to in the last 24 hours because somebody asked for a café; it stays so until the commit."""
    address = hashed(tx, email)
    # Requests for one address that come at once: each counts those before it.
    await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended(:hash, 0))", hash=address)
    row = await tx.fetch_one(
        "SELECT count(*) FROM request WHERE email_hash = :hash AND asked_at > :since",
        hash=address,
        since=now - timedelta(days=1),
    )
    return int(row[0]) if row is not None else 0


async def lock_request(tx: Transaction, request_id: UUID) -> Any:
    """What was asked, its row locked; None when it is gone."""
    return await tx.fetch_one("SELECT * FROM request WHERE request_id = :id FOR UPDATE", id=request_id)


async def lock_requests(
    tx: Transaction, *, household_id: UUID | None = None, email_hash: str | None = None, email: str | None = None
) -> None:
    """All that was asked by a household or from an address, by id: whoever erases them comes in the order of who confirms one."""
    await tx.fetch_all(
        """SELECT 1 FROM request WHERE household_id = :household_id OR email_hash = :email_hash OR email = :email
           ORDER BY request_id FOR UPDATE""",
        household_id=household_id,
        email_hash=email_hash,
        email=email,
    )


async def close_request(tx: Transaction, request_id: UUID, household_id: UUID) -> None:
    """The address is verified: it is the household's from now on."""
    await tx.execute(
        "UPDATE request SET household_id = :household_id, email = NULL, title = NULL WHERE request_id = :id",
        id=request_id,
        household_id=household_id,
    )


# -- forgetting


_REQUEST_IS_OLD = "expires_at < CAST(:now AS timestamptz) - interval '2 days'"
# No café before or behind it. One that comes first in the next period is kept until that has passed.
_HOUSEHOLD_IS_OLD = f"""h.email IS NOT NULL AND h.created_at < :since AND NOT EXISTS
    (SELECT 1 FROM registration r JOIN cafe c USING (cafe_id) WHERE r.holder_id = h.household_id
         AND (c.ends_at > :since AND (r.{LIVE} OR r.ended_at > :since) OR r.owed IS NOT NULL
              OR (r.{_FOUND_NO_PLACE} AND (r.school_year, r.period) IN
                  ((:school_year_0, :period_0), (:school_year_1, :period_1), (:school_year_2, :period_2)))))"""


async def never_verified(tx: Transaction, after: UUID, limit: int) -> list[UUID]:
    """Requests whose link has run out for some days."""
    rows = await tx.fetch_all(
        f"SELECT request_id FROM request WHERE {_REQUEST_IS_OLD} AND request_id > :after ORDER BY request_id LIMIT :limit",
        now=await tx.now(),
        after=after,
        limit=limit,
    )
    return [row.request_id for row in rows]


async def forget_request(tx: Transaction, request_id: UUID) -> None:
    """A request whose link has run out is gone, with its address."""
    await tx.execute(
        f"DELETE FROM request WHERE request_id = :id AND {_REQUEST_IS_OLD}", id=request_id, now=await tx.now()
    )


async def of_no_more_use(tx: Transaction, policy: Policy, now: datetime, after: UUID, limit: int) -> list[UUID]:
    """Households whose address is of no more use."""
    rows = await tx.fetch_all(
        f"""SELECT household_id FROM household h WHERE {_HOUSEHOLD_IS_OLD} AND household_id > :after
            ORDER BY household_id LIMIT :limit""",
        after=after,
        limit=limit,
        **_kept(policy, now),
    )
    return [row.household_id for row in rows]


async def forget(tx: Transaction, policy: Policy, now: datetime, household_id: UUID) -> None:
    """A household's address and words are gone when they are of no more use; its hash is kept for good."""
    await tx.execute(
        f"UPDATE household h SET email = NULL, title = NULL WHERE household_id = :id AND {_HOUSEHOLD_IS_OLD}",
        id=household_id,
        **_kept(policy, now),
    )


def _kept(policy: Policy, now: datetime) -> dict[str, Any]:
    """Since when, and of which periods, a household is still known by its address."""
    period = policy.period_at(now.date())
    values: dict[str, Any] = {"since": now - timedelta(days=policy.contact_days)}
    for n, one in enumerate((period, period.before, period.before.before)):
        values |= {f"school_year_{n}": one.school_year, f"period_{n}": one.name.value}
    return values
