"""Free slots over many platforms, in one query; and the free time of one platform."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from common.transaction import Transaction
from platform_scheduling import store
from platform_scheduling.state import Span
from territory import reference
from territory.working_time import PARIS

_PUBLIC = (
    "platform_id",
    "owner_title",
    "title",
    "commune_code",
    "equipment_codes",
    "rncp_codes",
    "capacity_count",
    "accessible",
    "habilitation_codes",
    "approval",
    "rules",
    "fictitious",
)

# Per platform: what its windows offer in a stretch of time, less what the owner keeps and what is held of each unit;
# a slot is free when one unit is. No window and no booking, its gap included, lasts two days, and no gap a day: the
# bounds on their begins let an index answer. An option whose time is over no longer holds anything, whether it was settled or not.
FREE_TIMES = """
WITH asked AS (SELECT CAST(:since AS timestamptz) AS since, CAST(:until AS timestamptz) AS until, CAST(:now AS timestamptz) AS now),
near AS (
    SELECT p.platform_id, limits.length_minutes_min AS minutes_min, limits.gap,
           tstzmultirange(CASE WHEN least(a.until, a.now + limits.horizon) > greatest(a.since, limits.earliest)
               THEN tstzrange(greatest(a.since, limits.earliest), least(a.until, a.now + limits.horizon)) ELSE 'empty' END) AS within
    FROM asked a, platform p, LATERAL (SELECT
        make_interval(days => COALESCE((p.access->>'horizon_days')::int, :horizon_days)) AS horizon,
        -- After the notice, from the next quarter of an hour on: nobody begins at 10:18.
        date_bin('15 minutes', a.now + make_interval(hours => COALESCE((p.access->>'notice_hours')::int, :notice_hours))
            + interval '899.999999 seconds', TIMESTAMPTZ '2000-01-01 00:00+00') AS earliest,
        make_interval(mins => COALESCE((p.access->>'gap_minutes')::int, :gap_minutes)) AS gap,
        COALESCE((p.access->>'length_minutes_min')::int, :length_minutes_min) AS length_minutes_min) limits
    WHERE p.commune_code = ANY(:communes) AND p.version > 0 AND NOT p.withdrawn AND p.capacity_count >= :group_size
      AND (CAST(:platform_id AS uuid) IS NULL OR p.platform_id = :platform_id)
      AND (CAST(:equipment AS text) IS NULL OR :equipment = ANY(p.equipment_codes))
      AND (NOT CAST(:accessible AS boolean) OR p.accessible)),
open AS (
    SELECT n.platform_id, n.gap, n.minutes_min, range_agg(tstzrange(o.starts_at, o.ends_at)) * n.within AS times
    FROM open_time o JOIN near n USING (platform_id)
    WHERE o.starts_at > (SELECT since - interval '2 days' FROM asked) AND o.starts_at < (SELECT until FROM asked)
      AND o.ends_at > (SELECT since FROM asked)
    GROUP BY n.platform_id, n.gap, n.minutes_min, n.within),
taken AS (
    SELECT b.platform_id, b.unit_number, tstzrange(b.starts_at, b.ends_at) AS span
    FROM asked a, busy_time b JOIN open USING (platform_id) WHERE b.starts_at < a.until AND b.ends_at > a.since
    UNION ALL
    SELECT b.platform_id, u.number, tstzrange(b.starts_at - open.gap, b.occupied_until)
    FROM asked a, booking b JOIN open USING (platform_id) JOIN unit u USING (unit_id)
    WHERE b.state IN ('tentative', 'approved') AND b.due_at > a.now
      AND b.starts_at > a.since - interval '2 days' AND b.starts_at < a.until + interval '1 day' AND b.occupied_until > a.since),
held AS (SELECT platform_id, unit_number, range_agg(span) AS times FROM taken GROUP BY platform_id, unit_number),
free AS (
    SELECT DISTINCT u.platform_id, open.minutes_min,
           unnest(open.times - COALESCE(of_unit.times, '{}') - COALESCE(of_all.times, '{}')) AS slot
    FROM unit u JOIN open USING (platform_id)
         LEFT JOIN held of_unit ON of_unit.platform_id = u.platform_id AND of_unit.unit_number = u.number
         LEFT JOIN held of_all ON of_all.platform_id = u.platform_id AND of_all.unit_number IS NULL)
SELECT platform_id, array_agg(lower(slot) ORDER BY slot) AS begins, array_agg(upper(slot) ORDER BY slot) AS ends
FROM free WHERE upper(slot) - lower(slot) >= make_interval(mins => greatest(:minutes, minutes_min))
GROUP BY platform_id
"""


def shown(row: Any) -> dict[str, Any]:
    """A platform's row as everybody may see it."""
    return {name: getattr(row, name) for name in _PUBLIC}


def day_span(day: date, days: int = 1) -> Span:
    """Whole days on the Paris clock; a day has 23 or 25 hours when the clocks change."""
    begin, end = (datetime.combine(one, time(0), PARIS).astimezone(UTC) for one in (day, day + timedelta(days=days)))
    return Span(begin, end)


async def free_slots(
    tx: Transaction,
    *,
    communes: Sequence[str],
    span: Span,
    minutes: int,
    group_size: int = 1,
    equipment: str | None = None,
    accessible: bool = False,
    platform_id: UUID | None = None,
) -> dict[UUID, list[Span]]:
    """Free time of at least so many minutes, by platform, within what may be booked from now on."""
    now = await tx.now()
    policy = await store.policy_at(tx, now)
    rows = await tx.fetch_all(
        FREE_TIMES,
        communes=list(communes),
        since=span.starts_at,
        until=span.ends_at,
        now=now,
        minutes=minutes,
        group_size=group_size,
        equipment=equipment,
        accessible=accessible,
        platform_id=platform_id,
        **{
            name: getattr(policy, name)
            for name in ("horizon_days", "notice_hours", "gap_minutes", "length_minutes_min")
        },
    )
    return {row.platform_id: _widest(map(Span, row.begins, row.ends)) for row in rows}


def _widest(slots: Iterable[Span]) -> list[Span]:
    """Without the slots of one unit that another unit's hold whole; by begin."""
    found: list[Span] = []
    for slot in sorted(slots, key=lambda one: (one.starts_at, -one.ends_at.timestamp())):
        if not found or slot.ends_at > found[-1].ends_at:
            found.append(slot)
    return found


async def platforms(
    tx: Transaction,
    commune_code: str,
    radius_km: int,
    day: date,
    *,
    minutes: int,
    group_size: int = 1,
    equipment: str | None = None,
    accessible: bool = False,
) -> dict[str, Any]:
    """Platforms with free time on a day around a place, nearest first; kilometres as the crow flies."""
    near = {code: km for km, code in reference.communes_within(commune_code, radius_km)}
    free = await free_slots(
        tx,
        communes=list(near),
        span=day_span(day),
        minutes=minutes,
        group_size=group_size,
        equipment=equipment,
        accessible=accessible,
    )
    rows = await tx.fetch_all("SELECT * FROM platform WHERE platform_id = ANY(:ids)", ids=list(free))
    found = [
        shown(row)
        | {
            "distance_km": near[row.commune_code],
            "free": free[row.platform_id],
        }
        for row in rows
    ]
    found.sort(key=lambda one: (one["distance_km"], str(one["platform_id"])))
    return {"as_of": await tx.now(), "platforms": found}


async def free_of(tx: Transaction, row: Any, span: Span) -> list[Span]:
    """The free time of one platform, in slots that are long enough for it."""
    found = await free_slots(tx, communes=[row.commune_code], span=span, minutes=1, platform_id=row.platform_id)
    return found.get(row.platform_id, [])
