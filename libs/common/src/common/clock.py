"""The development clock: an offset in each service's database, so that a school year can be played in minutes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

_STEP = re.compile(r"^(?P<sign>[+-])(?P<count>\d+(\.\d+)?)(?P<unit>[dhm])$")
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}


@dataclass(frozen=True)
class Reading:
    """What the rules see as now, and how far that is from the true time."""

    now: datetime
    offset_seconds: float


def offset_for(wanted: str, current: Reading) -> float:
    """The offset that `+3d`, `-6h` or a Paris date and time asks for; raises ValueError with what is accepted."""
    step = _STEP.match(wanted)
    if step:
        delta = timedelta(**{_UNITS[step["unit"]]: float(step["count"])}).total_seconds()
        return current.offset_seconds + (delta if step["sign"] == "+" else -delta)
    try:
        instant = datetime.fromisoformat(wanted)
    except ValueError:
        raise ValueError(f"{wanted!r} is no time: write now, +3d, -6h or 2027-02-05T09:00") from None
    instant = instant if instant.tzinfo else instant.replace(tzinfo=ZoneInfo("Europe/Paris"))
    return (instant - (current.now - timedelta(seconds=current.offset_seconds))).total_seconds()


async def read(database_url: str) -> Reading:
    """The clock of one service."""
    engine = create_async_engine(database_url)
    try:
        async with engine.connect() as connection:
            row = (
                await connection.execute(
                    text(
                        "SELECT clock_timestamp(), COALESCE((SELECT offset_seconds FROM development_clock WHERE id = 1), 0)"
                    )
                )
            ).one()
    finally:
        await engine.dispose()
    return Reading(row[0].astimezone(UTC) + timedelta(seconds=row[1]), float(row[1]))


async def write(database_urls: Sequence[str], offset_seconds: float) -> None:
    """Sets the clock of every service."""
    for url in database_urls:
        engine = create_async_engine(url)
        try:
            async with engine.begin() as connection:
                await connection.execute(
                    text(
                        """INSERT INTO development_clock (id, offset_seconds) VALUES (1, :offset)
                       ON CONFLICT (id) DO UPDATE SET offset_seconds = excluded.offset_seconds"""
                    ),
                    {"offset": offset_seconds},
                )
        finally:
            await engine.dispose()
