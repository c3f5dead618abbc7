"""The releases that were published, in the service's database: added one after the other, never changed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from common.transaction import Transaction
from dropout_observatory.release import Release

# All but the text, which is long.
_HEAD = "number, known_on, sha256, previous, definitions, published_at"


class OvertakenError(Exception):
    """Another publisher was faster: what was computed follows a release that is no longer the last."""


@dataclass(frozen=True)
class Head:
    """What a release is, without its figures. `definitions`: name to `{"version": …, "sha256": …}`."""

    number: int
    known_on: date
    sha256: str
    previous: str | None
    definitions: Mapping[str, Mapping[str, Any]]
    published_at: datetime


async def heads(tx: Transaction) -> list[Head]:
    """Every release, the first one first."""
    return [
        Head(**row._mapping) for row in await tx.fetch_all(f"SELECT {_HEAD} FROM published_release ORDER BY number")
    ]


async def latest(tx: Transaction) -> Release | None:
    """The last release with its figures, or None before the first."""
    row = await tx.fetch_one("SELECT text FROM published_release ORDER BY number DESC LIMIT 1")
    return None if row is None else Release.read(row.text)


async def text_of(tx: Transaction, number: int) -> str | None:
    """The text of a release as it was published, or None where there is none of that number."""
    row = await tx.fetch_one("SELECT text FROM published_release WHERE number = :number", number=number)
    return None if row is None else str(row.text)


async def all_texts(tx: Transaction) -> list[str]:
    """The texts of every release in order."""
    return [row.text for row in await tx.fetch_all("SELECT text FROM published_release ORDER BY number")]


async def add(tx: Transaction, release: Release, now: datetime) -> None:
    """Publishes a release; raises `OvertakenError` unless it follows the last one.

    The number is the key and `previous` a reference that nobody shares: of two publishers at once, one waits here for the other's
    commit and then adds nothing.
    """
    last = await tx.fetch_one("SELECT number, known_on, sha256 FROM published_release ORDER BY number DESC LIMIT 1")
    follows = (last.number + 1, last.sha256) if last is not None else (1, None)
    if (release.number, release.previous) != follows or (last and release.known_on <= last.known_on.isoformat()):
        raise OvertakenError(f"release {release.number} of {release.known_on} does not follow the last one")
    added = await tx.execute(
        """INSERT INTO published_release (number, known_on, sha256, previous, text, definitions, published_at)
           VALUES (:number, :known_on, :sha256, :previous, :text, CAST(:definitions AS jsonb), :now)
           ON CONFLICT DO NOTHING""",
        number=release.number,
        known_on=date.fromisoformat(release.known_on),
        sha256=release.sha256,
        previous=release.previous,
        text=release.text(),
        definitions=json.dumps(release.definitions),
        now=now,
    )
    if not added:
        raise OvertakenError(f"release {release.number} was published by another process")
    await tx.execute(
        "DELETE FROM refused_release WHERE known_on = :known_on", known_on=date.fromisoformat(release.known_on)
    )


async def refuse(tx: Transaction, known_on: date, reasons: Sequence[str], now: datetime) -> None:
    """Notes why there is no release of a day."""
    await tx.execute(
        """INSERT INTO refused_release (known_on, reasons, refused_at) VALUES (:known_on, CAST(:reasons AS jsonb), :now)
           ON CONFLICT (known_on) DO UPDATE SET reasons = excluded.reasons, refused_at = excluded.refused_at""",
        known_on=known_on,
        reasons=json.dumps(list(reasons)),
        now=now,
    )


async def refused(tx: Transaction) -> dict[date, list[str]]:
    """The days of which there is no release though one was tried, and why."""
    rows = await tx.fetch_all("SELECT known_on, reasons FROM refused_release ORDER BY known_on")
    return {row.known_on: row.reasons for row in rows}
