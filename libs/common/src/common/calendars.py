"""An entry of a calendar (RFC 5545) is the same wherever it is published: its UID, its SEQUENCE, when it changed."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from icalendar import Event


def entry(uid: UUID, *told: int, changed_at: datetime) -> Event:
    """An entry that has yet to say what it is about.

    `told` are the versions, of each aggregate that the entry shows, in which a reader could last see a change. A version is
    never given twice, not even after a restore, so that their sum, SEQUENCE, never goes down; and every service that has the
    messages has the same.
    """
    one = Event()
    one.add("uid", str(uid))
    one.add("sequence", sum(told))
    one.add("dtstamp", changed_at)
    one.add("last-modified", changed_at)
    return one
