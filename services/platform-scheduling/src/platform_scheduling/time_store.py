"""Loads and saves the time of a platform, which is locked: windows, what they offer, what the owner keeps; and its photos."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from math import ceil
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row

from common.transaction import Transaction
from platform_scheduling.state import Busy, Span
from platform_scheduling.windows import Window
from territory import weeks
from territory.working_time import PARIS


async def within(
    tx: Transaction, table: Literal["open_time", "busy_time"], platform_id: UUID, spans: Sequence[Span]
) -> Sequence[Row[Any]]:
    """What windows offer, or what the owner keeps, from the first of some spans to the last."""
    if not spans:
        return []
    return await tx.fetch_all(
        f"SELECT * FROM {table} WHERE platform_id = :id AND starts_at < :until AND ends_at > :since ORDER BY starts_at",
        id=platform_id,
        since=min(span.starts_at for span in spans),
        until=max(span.ends_at for span in spans),
    )


async def windows_of(tx: Transaction, platform_id: UUID) -> list[Window]:
    """The owner's windows, oldest first."""
    rows = await tx.fetch_all(
        "SELECT * FROM offer_window WHERE platform_id = :id ORDER BY starts_at_local, window_id", id=platform_id
    )
    return [Window(**{name: getattr(row, name) for name in Window.__dataclass_fields__}) for row in rows]


async def put_window(tx: Transaction, platform_id: UUID, window: Window) -> bool:
    """Stores a window of a platform; False when its id is another platform's."""
    return (
        await tx.execute(
            """INSERT INTO offer_window (window_id, platform_id, starts_at_local, length_minutes, rrule, in_school_holidays, in_public_holidays)
           VALUES (:window_id, :platform_id, :starts_at_local, :length_minutes, :rrule, :in_school_holidays, :in_public_holidays)
           ON CONFLICT (window_id) DO UPDATE SET starts_at_local = excluded.starts_at_local, length_minutes = excluded.length_minutes,
               rrule = excluded.rrule, in_school_holidays = excluded.in_school_holidays, in_public_holidays = excluded.in_public_holidays
               WHERE offer_window.platform_id = excluded.platform_id""",
            platform_id=platform_id,
            **window.__dict__,
        )
        == 1
    )


async def drop_window(tx: Transaction, platform_id: UUID, window_id: UUID) -> bool:
    """Whether there was one to take away."""
    return (
        await tx.execute(
            "DELETE FROM offer_window WHERE window_id = :window_id AND platform_id = :platform_id",
            window_id=window_id,
            platform_id=platform_id,
        )
        == 1
    )


async def write_open_time(
    tx: Transaction, platform_id: UUID, occurrences: Mapping[UUID, Sequence[Span]], first: date, last: date
) -> None:
    """Replaces what windows offer from one day on; what began earlier stays as it was."""
    since = datetime.combine(first, time(0), PARIS).astimezone(UTC)
    await tx.execute(
        "DELETE FROM open_time WHERE platform_id = :id AND starts_at >= :since", id=platform_id, since=since
    )
    rows = [
        {"window_id": str(window_id), "starts_at": span.starts_at.isoformat(), "ends_at": span.ends_at.isoformat()}
        for window_id, spans in occurrences.items()
        for span in spans
    ]
    await tx.execute(
        """INSERT INTO open_time (window_id, starts_at, ends_at, platform_id)
           SELECT window_id, starts_at, ends_at, :id
           FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(window_id uuid, starts_at timestamptz, ends_at timestamptz)""",
        id=platform_id,
        rows=json.dumps(rows),
    )
    await tx.execute("UPDATE platform SET opened_until = :last WHERE platform_id = :id", id=platform_id, last=last)


async def to_open(
    tx: Transaction, today: date, horizon_days: int, ahead_days: int, after: UUID, limit: int
) -> list[UUID]:
    """Platforms whose windows are not written out so many days beyond their horizon, their own or the policy's."""
    rows = await tx.fetch_all(
        """SELECT platform_id FROM platform
           WHERE opened_until < CAST(:today AS date)
               + (COALESCE((access->>'horizon_days')::int, :horizon_days) + CAST(:ahead_days AS int))
             AND platform_id > :after ORDER BY platform_id LIMIT :limit""",
        today=today,
        horizon_days=horizon_days,
        ahead_days=ahead_days,
        after=after,
        limit=limit,
    )
    return [row.platform_id for row in rows]


async def changed_weeks(tx: Transaction, platform_id: UUID, first: date, last: date) -> dict[str, int]:
    """Minutes offered per ISO week, summed over the units, of the weeks whose sum is not what the log was last told; stores them."""
    monday = weeks.monday(weeks.week_of(first))
    listed = []
    while monday <= last:
        begin, end = (datetime.combine(day, time(0), PARIS).isoformat() for day in (monday, monday + timedelta(days=7)))
        listed.append({"iso_week": weeks.week_of(monday), "begins_at": begin, "ends_at": end})
        monday += timedelta(days=7)
    rows = await tx.fetch_all(
        """WITH open AS (SELECT range_agg(tstzrange(starts_at, ends_at)) AS times FROM open_time WHERE platform_id = :id),
                usable AS (SELECT (SELECT times FROM open) - COALESCE((SELECT range_agg(tstzrange(b.starts_at, b.ends_at)) FROM busy_time b
                               WHERE b.platform_id = :id AND (b.unit_number IS NULL OR b.unit_number = u.number)), '{}') AS times
                           FROM unit u WHERE u.platform_id = :id),
                summed AS (SELECT w.iso_week, COALESCE((SELECT round(sum(extract(epoch FROM upper(piece) - lower(piece))) / 60)
                               FROM usable, unnest(usable.times * tstzmultirange(tstzrange(w.begins_at, w.ends_at))) AS piece), 0) AS minutes
                           FROM jsonb_to_recordset(CAST(:weeks AS jsonb)) AS w(iso_week text, begins_at timestamptz, ends_at timestamptz))
           INSERT INTO offered_week (platform_id, iso_week, offered_minutes) SELECT :id, iso_week, minutes FROM summed s
               WHERE s.minutes <> COALESCE((SELECT offered_minutes FROM offered_week o WHERE o.platform_id = :id AND o.iso_week = s.iso_week), 0)
           ON CONFLICT (platform_id, iso_week) DO UPDATE SET offered_minutes = excluded.offered_minutes
           RETURNING iso_week, offered_minutes""",
        id=platform_id,
        weeks=json.dumps(listed),
    )
    return {row.iso_week: row.offered_minutes for row in sorted(rows, key=lambda row: str(row.iso_week))}


async def offered_weeks(tx: Transaction, platform_id: UUID) -> dict[str, int]:
    """What the log was told of every week."""
    rows = await tx.fetch_all(
        "SELECT iso_week, offered_minutes FROM offered_week WHERE platform_id = :id ORDER BY iso_week", id=platform_id
    )
    return {row.iso_week: row.offered_minutes for row in rows}


async def put_busy(
    tx: Transaction, platform_id: UUID, busy_id: UUID, busy: Busy, *, source: Literal["block", "calendar"], note: str
) -> bool:
    """Stores time that the owner keeps; False when its id is another platform's."""
    return (
        await tx.execute(
            """INSERT INTO busy_time (busy_id, platform_id, unit_number, source, starts_at, ends_at, note)
           VALUES (:busy_id, :platform_id, :unit_number, :source, :starts_at, :ends_at, :note)
           ON CONFLICT (busy_id) DO UPDATE SET unit_number = excluded.unit_number, starts_at = excluded.starts_at,
               ends_at = excluded.ends_at, note = excluded.note WHERE busy_time.platform_id = excluded.platform_id""",
            busy_id=busy_id,
            platform_id=platform_id,
            unit_number=busy.unit_number,
            source=source,
            starts_at=busy.span.starts_at,
            ends_at=busy.span.ends_at,
            note=note,
        )
        == 1
    )


async def drop_busy(tx: Transaction, platform_id: UUID, *, busy_id: UUID | None = None) -> int:
    """Takes one block away, or everything that came from the imported calendar; how many there were."""
    return await tx.execute(
        f"""DELETE FROM busy_time WHERE platform_id = :platform_id
            AND {"source = 'calendar'" if busy_id is None else "busy_id = :busy_id AND source = 'block'"}""",
        platform_id=platform_id,
        **({} if busy_id is None else {"busy_id": busy_id}),
    )


async def write_calendar(tx: Transaction, platform_id: UUID, spans: Sequence[tuple[Span, str]]) -> None:
    """Stores what an imported calendar keeps, whole."""
    rows = [
        {"starts_at": span.starts_at.isoformat(), "ends_at": span.ends_at.isoformat(), "note": note}
        for span, note in spans
    ]
    await tx.execute(
        """INSERT INTO busy_time (busy_id, platform_id, source, starts_at, ends_at, note)
           SELECT gen_random_uuid(), :id, 'calendar', starts_at, ends_at, note
           FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(starts_at timestamptz, ends_at timestamptz, note text)""",
        id=platform_id,
        rows=json.dumps(rows),
    )


async def block_count(tx: Transaction, platform_id: UUID, now: datetime) -> int:
    """How many blocks of the owner are not over."""
    row = await tx.fetch_one(
        "SELECT count(*) AS n FROM busy_time WHERE platform_id = :id AND source = 'block' AND ends_at > :now",
        id=platform_id,
        now=now,
    )
    assert row is not None
    return int(row.n)


async def calendar_ahead(tx: Transaction, platform_id: UUID, now: datetime) -> tuple[int, int]:
    """How many busy times of the owner's imported calendar are not over, and how many hours from now on they take together."""
    row = await tx.fetch_one(
        """WITH ahead AS (SELECT tstzrange(GREATEST(starts_at, CAST(:now AS timestamptz)), ends_at) AS span FROM busy_time
                          WHERE platform_id = :id AND source = 'calendar' AND ends_at > :now)
           SELECT (SELECT count(*) FROM ahead) AS n,
                  (SELECT COALESCE(sum(extract(epoch FROM upper(piece) - lower(piece))), 0) / 3600
                   FROM unnest((SELECT range_agg(span) FROM ahead)) AS piece) AS hours""",
        id=platform_id,
        now=now,
    )
    assert row is not None
    return int(row.n), ceil(row.hours)


async def put_photo(tx: Transaction, platform_id: UUID, number: int, caption: str, content: bytes) -> None:
    """Stores a photo, or replaces the one of this number."""
    await tx.execute(
        """INSERT INTO photo (platform_id, number, caption, content) VALUES (:id, :number, :caption, :content)
           ON CONFLICT (platform_id, number) DO UPDATE SET caption = excluded.caption, content = excluded.content""",
        id=platform_id,
        number=number,
        caption=caption,
        content=content,
    )


async def drop_photo(tx: Transaction, platform_id: UUID, number: int) -> bool:
    """Whether there was one to take away."""
    return (
        await tx.execute(
            "DELETE FROM photo WHERE platform_id = :id AND number = :number", id=platform_id, number=number
        )
        == 1
    )


async def photos_of(tx: Transaction, platform_id: UUID) -> Sequence[Row[Any]]:
    """Number and caption of each photo of a platform."""
    return await tx.fetch_all(
        "SELECT number, caption FROM photo WHERE platform_id = :id ORDER BY number", id=platform_id
    )


async def photo_content(tx: Transaction, platform_id: UUID, number: int) -> bytes | None:
    """A photo as JPEG."""
    row = await tx.fetch_one(
        "SELECT content FROM photo WHERE platform_id = :id AND number = :number", id=platform_id, number=number
    )
    return row.content if row is not None else None
