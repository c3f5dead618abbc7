"""Loads and saves platforms and their bookings. Locks: requester, then platform, then request of the events service."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row

from common.policy import limits_at
from common.transaction import Transaction
from platform_scheduling import time_store
from platform_scheduling.messages import BookingApproval, BookingEndReason, BookingOrigin, BookingRefusalReason
from platform_scheduling.state import Booking, Busy, Conduct, Decision, Description, Platform, Policy, Span, Unit

_LISTS = ("equipment_codes", "rncp_codes", "habilitation_codes")
_DESCRIPTION_COLUMNS = (
    "owner_title",
    "title",
    "commune_code",
    *_LISTS,
    "capacity_count",
    "accessible",
    "approval",
    "access",
    "rules",
    "withdrawn",
    "fictitious",
)
_BOOKING_COLUMNS = (
    "booking_id",
    "requester_id",
    "origin",
    "state",
    "occupied_until",
    "group_size",
    "requested_at",
    "due_at",
    "request_id",
    "revision",
    "late",
    "refusal_reason",
    "ended_at",
    "end_reason",
    "broken_by",
)
_LIVE = "b.state IN ('requested', 'tentative', 'approved')"


async def policy_at(tx: Transaction, now: datetime) -> Policy:
    """The limits in force at an instant."""
    return Policy(**await limits_at(tx, now))


# -- platforms


async def insert_platform(
    tx: Transaction, platform_id: UUID, owner_code: str, contact: str | None, description: Description
) -> None:
    """Makes room for a new platform, so that its row can be locked; of an existing one, only the owner's contact changes."""
    values = _description_values(description)
    await tx.execute(
        f"""INSERT INTO platform (platform_id, owner_code, owner_contact, feed_secret, version, {", ".join(values)})
            VALUES (:platform_id, :owner_code, :contact, :feed_secret, 0, {", ".join(_cast(name) for name in values)})
            ON CONFLICT (platform_id) DO UPDATE SET owner_contact = COALESCE(excluded.owner_contact, platform.owner_contact)
                WHERE platform.owner_code = excluded.owner_code""",
        platform_id=platform_id,
        owner_code=owner_code,
        contact=contact,
        feed_secret=uuid4(),
        **values,
    )


async def lock_platform(tx: Transaction, platform_id: UUID, around: Span | None = None) -> Platform | None:
    """The platform with its live bookings, its row locked; with what is offered and kept around a slot, if one is given."""
    row = await tx.fetch_one("SELECT * FROM platform WHERE platform_id = :id FOR UPDATE", id=platform_id)
    if row is None:
        return None
    units = await units_of(tx, platform_id)
    rows = await tx.fetch_all(
        f"""SELECT {_columns()} FROM booking b LEFT JOIN unit u USING (unit_id)
            WHERE b.platform_id = :id AND {_LIVE} ORDER BY b.requested_at, b.booking_id""",
        id=platform_id,
    )
    bookings = tuple(_booking(one) for one in rows)
    waiting = [one.span for one in bookings if one.state == "requested"] + ([around] if around else [])
    open_rows = await time_store.within(tx, "open_time", platform_id, [around] if around else [])
    busy_rows = await time_store.within(tx, "busy_time", platform_id, waiting)
    return Platform(
        platform_id,
        row.owner_code,
        description_of(row),
        tuple(Unit(one.unit_id, one.number, one.title) for one in units),
        bookings,
        tuple(Span(one.starts_at, one.ends_at) for one in open_rows),
        tuple(Busy(Span(one.starts_at, one.ends_at), one.unit_number) for one in busy_rows),
        row.version,
    )


async def save(tx: Transaction, before: Platform, decision: Decision) -> Decision:
    """Writes what a decision changed, emits its messages in version order; returns the decision with the new version."""
    after = decision.platform
    version = await tx.emit(decision.messages, aggregate_id=after.platform_id, version=before.version)
    if after == before and not decision.messages:
        return decision
    values = _description_values(after.description)
    await tx.execute(
        f"UPDATE platform SET version = :version, {', '.join(f'{name} = {_cast(name)}' for name in values)} WHERE platform_id = :id",
        id=after.platform_id,
        version=version,
        **values,
    )
    if after.units != before.units:
        await _save_units(tx, before, after)
    unit_ids = {unit.number: unit.unit_id for unit in after.units}
    known = {one.booking_id: one for one in before.bookings}
    changed = [one for one in after.bookings if known.get(one.booking_id) != one]
    if changed:
        now = await tx.now()
        # What ends or moves away is written before what takes its place: the constraint looks at each row.
        for one in sorted(changed, key=lambda one: (one.due_at is not None, one is not decision.booking)):
            await _save_booking(tx, after.platform_id, one, unit_ids.get(one.unit_number or 0), now)
    return replace(decision, platform=replace(after, version=version))


async def _save_units(tx: Transaction, before: Platform, after: Platform) -> None:
    gone = [unit.unit_id for unit in before.units[len(after.units) :]]
    # Of a unit that is taken away, past bookings forget which it was.
    await tx.execute("UPDATE booking SET unit_id = NULL WHERE unit_id = ANY(:gone)", gone=gone)
    await tx.execute("DELETE FROM unit WHERE unit_id = ANY(:gone)", gone=gone)
    for unit in after.units:
        await tx.execute(
            """INSERT INTO unit (unit_id, platform_id, number, title) VALUES (:unit_id, :platform_id, :number, :title)
               ON CONFLICT (unit_id) DO UPDATE SET title = excluded.title""",
            platform_id=after.platform_id,
            **unit.__dict__,
        )


async def _save_booking(tx: Transaction, platform_id: UUID, one: Booking, unit_id: UUID | None, now: datetime) -> None:
    values = {name: getattr(one, name) for name in _BOOKING_COLUMNS} | {
        "platform_id": platform_id,
        "unit_id": unit_id,
        "starts_at": one.span.starts_at,
        "ends_at": one.span.ends_at,
        "origin": one.origin.value,
        "refusal_reason": one.refusal_reason and one.refusal_reason.value,
        "end_reason": one.end_reason and one.end_reason.value,
        "broken_by": list(one.broken_by),
        "changed_at": now,
    }
    await tx.execute(
        f"""INSERT INTO booking ({", ".join(values)}) VALUES ({", ".join(":" + name for name in values)})
            ON CONFLICT (booking_id) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in values if name != "booking_id")}""",
        **values,
    )


async def platforms_due(tx: Transaction, after: UUID, limit: int) -> list[UUID]:
    """Platforms with a booking that time has ended and nobody has settled yet."""
    rows = await tx.fetch_all(
        """SELECT DISTINCT platform_id FROM booking WHERE due_at <= :now AND platform_id > :after
           ORDER BY platform_id LIMIT :limit""",
        now=await tx.now(),
        after=after,
        limit=limit,
    )
    return [row.platform_id for row in rows]


async def find_platform(tx: Transaction, platform_id: UUID) -> Any:
    """A platform that has been published, or None; unlocked."""
    return await tx.fetch_one("SELECT * FROM platform WHERE platform_id = :id AND version > 0", id=platform_id)


async def platforms_of(tx: Transaction, owner_code: str) -> Sequence[Row[Any]]:
    """An owner's platforms by title, with how many units each has."""
    return await tx.fetch_all(
        """SELECT p.*, (SELECT count(*) FROM unit u WHERE u.platform_id = p.platform_id) AS unit_count
           FROM platform p WHERE owner_code = :owner_code AND version > 0 ORDER BY title, platform_id""",
        owner_code=owner_code,
    )


async def platform_of_feed(tx: Transaction, secret: UUID) -> Any:
    """The platform whose calendar has this address, or None."""
    return await tx.fetch_one("SELECT * FROM platform WHERE feed_secret = :secret", secret=secret)


async def units_of(tx: Transaction, platform_id: UUID) -> Sequence[Row[Any]]:
    """The units of a platform by number."""
    return await tx.fetch_all("SELECT * FROM unit WHERE platform_id = :id ORDER BY number", id=platform_id)


# -- requesters and bookings


async def lock_requester(tx: Transaction, *, account: str, title: str, contact: str | None) -> UUID:
    """Creates the requester the first time; orders everything that they ask for."""
    row = await tx.fetch_one(
        """INSERT INTO requester (requester_id, account, requester_title, contact_email, feed_secret)
           VALUES (:id, :account, :title, :contact, :secret)
           ON CONFLICT (account) DO UPDATE SET requester_title = excluded.requester_title,
               contact_email = COALESCE(excluded.contact_email, requester.contact_email) RETURNING requester_id""",
        id=uuid4(),
        account=account,
        title=title,
        contact=contact,
        secret=uuid4(),
    )
    assert row is not None
    requester_id: UUID = row.requester_id
    return requester_id


async def find_requester(tx: Transaction, account: str) -> Any:
    """The requester of an account, or None."""
    return await tx.fetch_one("SELECT * FROM requester WHERE account = :account", account=account)


async def requester_of_feed(tx: Transaction, secret: UUID) -> Any:
    """The requester whose calendar has this address, or None."""
    return await tx.fetch_one("SELECT * FROM requester WHERE feed_secret = :secret", secret=secret)


async def conduct_of(tx: Transaction, requester_id: UUID, now: datetime, policy: Policy) -> Conduct:
    """What the policy looks at in a requester, who is locked; a booking that time has ended no longer counts."""
    row = await tx.fetch_one(
        """SELECT count(*) FILTER (WHERE due_at > :now) AS live,
                  count(*) FILTER (WHERE ended_at > :since AND (late OR state = 'no_show')) AS late
           FROM booking WHERE requester_id = :id""",
        id=requester_id,
        now=now,
        since=now - timedelta(days=policy.late_window_days),
    )
    assert row is not None
    return Conduct(row.live, row.late)


async def find_booking(tx: Transaction, booking_id: UUID) -> tuple[Booking, UUID] | None:
    """A booking as it is now and its platform, unlocked: only its identity and owners may be relied on."""
    row = await tx.fetch_one(
        f"SELECT {_columns()}, b.platform_id FROM booking b LEFT JOIN unit u USING (unit_id) WHERE booking_id = :id",
        id=booking_id,
    )
    return (_booking(row), row.platform_id) if row else None


async def set_purpose(tx: Transaction, booking_id: UUID, purpose: str) -> None:
    """What the requester wrote to the owner; never leaves this database."""
    await tx.execute("UPDATE booking SET purpose = :purpose WHERE booking_id = :id", purpose=purpose, id=booking_id)


async def bookings(
    tx: Transaction,
    *,
    requester_id: UUID | None = None,
    owner_code: str | None = None,
    platform_id: UUID | None = None,
    booking_id: UUID | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 500,
) -> Sequence[Row[Any]]:
    """Bookings with what each side may see of the other, by their begin."""
    return await tx.fetch_all(
        f"""SELECT {_columns()}, b.platform_id, b.purpose, b.changed_at, b.reminder_count, u.title AS unit_title, p.title, p.commune_code,
                   p.owner_code, p.owner_title, p.owner_contact, p.fictitious, r.requester_title, r.contact_email,
                   (SELECT count(*) FROM unit x WHERE x.platform_id = p.platform_id) AS unit_count
            FROM booking b JOIN platform p USING (platform_id) JOIN requester r USING (requester_id) LEFT JOIN unit u USING (unit_id)
            WHERE (CAST(:requester_id AS uuid) IS NULL OR b.requester_id = :requester_id)
              AND (CAST(:owner_code AS text) IS NULL OR p.owner_code = :owner_code)
              AND (CAST(:platform_id AS uuid) IS NULL OR b.platform_id = :platform_id)
              AND (CAST(:booking_id AS uuid) IS NULL OR b.booking_id = :booking_id)
              AND (CAST(:since AS timestamptz) IS NULL OR b.ends_at > :since)
              AND (CAST(:until AS timestamptz) IS NULL OR b.starts_at < :until)
            ORDER BY b.starts_at, b.requested_at, b.booking_id LIMIT :limit""",
        requester_id=requester_id,
        owner_code=owner_code,
        platform_id=platform_id,
        booking_id=booking_id,
        since=since,
        until=until,
        limit=limit,
    )


async def in_the_way(tx: Transaction, owner_code: str, now: datetime) -> set[UUID]:
    """Bookings that are not over and that fall on what an owner's imported calendar keeps."""
    rows = await tx.fetch_all(
        """SELECT DISTINCT b.booking_id FROM booking b JOIN platform p USING (platform_id)
                JOIN busy_time t ON t.platform_id = b.platform_id AND t.source = 'calendar'
                     AND t.starts_at < b.ends_at AND t.ends_at > b.starts_at
           WHERE p.owner_code = :owner AND b.state IN ('tentative', 'approved') AND b.ends_at > :now""",
        owner=owner_code,
        now=now,
    )
    return {row.booking_id for row in rows}


# -- rows


def _columns() -> str:
    columns = ", ".join(f"b.{name}" for name in _BOOKING_COLUMNS)
    return f"{columns}, b.starts_at, b.ends_at, u.number AS unit_number"


def _booking(row: Row[Any]) -> Booking:
    values = {name: getattr(row, name) for name in _BOOKING_COLUMNS}
    return Booking(
        **values
        | {
            "span": Span(row.starts_at, row.ends_at),
            "unit_number": row.unit_number,
            "origin": BookingOrigin(row.origin),
            "refusal_reason": BookingRefusalReason(row.refusal_reason) if row.refusal_reason else None,
            "end_reason": BookingEndReason(row.end_reason) if row.end_reason else None,
            "broken_by": tuple(row.broken_by),
        }
    )


def description_of(row: Row[Any]) -> Description:
    """The description in a row of `platform`."""
    values = {name: getattr(row, name) for name in _DESCRIPTION_COLUMNS}
    lists = {name: tuple(values[name]) for name in _LISTS}
    return Description(**values | lists | {"approval": BookingApproval(row.approval)})


def _description_values(description: Description) -> dict[str, Any]:
    values = {name: getattr(description, name) for name in _DESCRIPTION_COLUMNS}
    lists = {name: list(values[name]) for name in _LISTS}
    return values | lists | {"approval": description.approval.value, "access": json.dumps(dict(description.access))}


def _cast(name: str) -> str:
    return "CAST(:access AS jsonb)" if name == "access" else f":{name}"
