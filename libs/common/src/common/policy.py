"""Dated limits: every service keeps its own in a table `policy` (`valid_on`, `limits`); the newest not in the future counts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from common.pages import PARIS
from common.transaction import Transaction


async def limits_at(tx: Transaction, now: datetime) -> dict[str, Any]:
    """The limits in force at an instant, by the day in Paris."""
    row = await tx.fetch_one(
        "SELECT limits FROM policy WHERE valid_on <= :day ORDER BY valid_on DESC LIMIT 1",
        day=now.astimezone(PARIS).date(),
    )
    assert row is not None, "the first migration stores a policy"
    return dict(row.limits)
