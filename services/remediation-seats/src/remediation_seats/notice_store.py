"""Loads and saves what notices speak of: alerts of prescribers, structures that are silent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row

from common.transaction import Transaction


class Silent(NamedTuple):
    """A programme whose declaration ages, and where its structure is reached."""

    contact_email: str
    title: str
    observed_at: datetime | None


# One that has never been declared ages from the day on which it was described.
_AGES = "p.open AND p.version > 0 AND COALESCE(p.observed_at, p.described_at) < :before"


async def silent_structures(tx: Transaction, before: datetime, key_prefix: str, after: UUID, limit: int) -> list[UUID]:
    """Structures with open programmes not declared since an instant, to whom no mail with this key was written."""
    rows = await tx.fetch_all(
        f"""SELECT DISTINCT structure_id FROM programme p JOIN structure s USING (structure_id)
            WHERE {_AGES} AND s.contact_email IS NOT NULL AND structure_id > :after
              AND NOT EXISTS (SELECT 1 FROM mail WHERE message_key = :prefix || s.structure_id AND recipient = s.contact_email)
            ORDER BY structure_id LIMIT :limit""",
        before=before,
        prefix=key_prefix,
        after=after,
        limit=limit,
    )
    return [row.structure_id for row in rows]


async def silent_programmes(tx: Transaction, structure_id: UUID, before: datetime) -> list[Silent]:
    """The open programmes of a structure that were not declared since an instant, by title; none when nobody can be written to."""
    rows = await tx.fetch_all(
        f"""SELECT s.contact_email, p.title, p.observed_at FROM programme p JOIN structure s USING (structure_id)
            WHERE {_AGES} AND s.contact_email IS NOT NULL AND structure_id = :id ORDER BY p.title""",
        before=before,
        id=structure_id,
    )
    return [Silent(row.contact_email, row.title, row.observed_at) for row in rows]


async def alerts(tx: Transaction, now: datetime, prescriber_id: str | None) -> Sequence[Row[Any]]:
    """Alerts that have not ended, newest first, with their prescriber's address."""
    return await tx.fetch_all(
        """SELECT a.*, r.contact_email FROM alert a JOIN prescriber r USING (prescriber_id)
           WHERE a.ends_at > :now AND (CAST(:prescriber_id AS text) IS NULL OR a.prescriber_id = :prescriber_id)
           ORDER BY a.created_at DESC, a.alert_id""",
        now=now,
        prescriber_id=prescriber_id,
    )


async def insert_alert(tx: Transaction, alert: Any) -> None:
    """Keeps an alert."""
    profile = {
        name: getattr(alert.profile, name) for name in ("age", "level", "needs_boarding", "needs_wheelchair_access")
    }
    values = {name: value for name, value in vars(alert).items() if name != "profile"} | profile
    await tx.execute(
        f"INSERT INTO alert ({', '.join(values)}) VALUES ({', '.join(':' + name for name in values)})", **values
    )


async def delete_alert(tx: Transaction, alert_id: UUID, prescriber_id: str) -> bool:
    """Ends a prescriber's own alert; False when it is not theirs, or not there."""
    return (
        await tx.execute(
            "DELETE FROM alert WHERE alert_id = :id AND prescriber_id = :prescriber",
            id=alert_id,
            prescriber=prescriber_id,
        )
        == 1
    )
