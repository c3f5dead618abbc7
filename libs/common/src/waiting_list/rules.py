"""The rules, pure: order, offers, cut-off, draw, counts. Instants in UTC; days begin and end on the Paris clock."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import Literal, Protocol, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

PARIS = ZoneInfo("Europe/Paris")

RegistrationState = Literal["waiting", "offered", "registered", "attended", "absent", "ended"]
LIVE: frozenset[RegistrationState] = frozenset({"waiting", "offered", "registered", "attended", "absent"})
# Seats of these are nobody else's.
SEATED: frozenset[RegistrationState] = frozenset({"registered", "attended", "absent"})
# As a refusal says them.
STATES_FR: dict[RegistrationState, str] = {
    "waiting": "en liste d’attente",
    "offered": "place proposée",
    "registered": "inscrit",
    "attended": "venu",
    "absent": "absent",
    "ended": "close",
}


@dataclass(frozen=True)
class Terms:
    """How long an offer holds its seats, shorter in the last days, and until which hour of the day before any is made."""

    offer_hours: int
    offer_hours_last: int
    last_days: int
    cut_off_hour: int

    def cut_off(self, begins_at: datetime) -> datetime:
        """When the list closes: an hour of the day before; who still waits then is not served."""
        eve = begins_at.astimezone(PARIS).date() - timedelta(days=1)
        return datetime.combine(eve, time(self.cut_off_hour), PARIS).astimezone(UTC)

    def offer_until(self, begins_at: datetime, now: datetime) -> datetime | None:
        """Until when an offer made now holds its seats; None when the list is closed."""
        closes_at = self.cut_off(begins_at)
        if now >= closes_at:
            return None
        soon = now >= begins_at - timedelta(days=self.last_days)
        return min(now + timedelta(hours=self.offer_hours_last if soon else self.offer_hours), closes_at)


@dataclass(frozen=True)
class Place:
    """A party's place in line. A higher priority comes first, then who was drawn, then who came first."""

    entry_id: UUID
    seat_count: int
    joined_at: datetime
    priority: int = 0
    lottery_key: str | None = None

    @property
    def order(self) -> tuple[int, bool, str, datetime, UUID]:
        """Sorts a line."""
        return (-self.priority, self.lottery_key is None, self.lottery_key or "", self.joined_at, self.entry_id)


class InLine(Protocol):
    """What is served of a registration."""

    @property
    def place(self) -> Place:
        """As the waiting list sees it."""


L = TypeVar("L")
E = TypeVar("E", bound=InLine)


class Entry(Protocol):
    """What is counted of a registration."""

    @property
    def state(self) -> RegistrationState:
        """Where it stands."""

    @property
    def seat_count(self) -> int:
        """Seats that it takes or asks for."""

    @property
    def visitor_count(self) -> int | None:
        """People of it who came."""


@dataclass(frozen=True)
class Counts:
    """Seats of a list by what became of them; `attended` are people."""

    registered: int = 0
    offered: int = 0
    waiting: int = 0
    attended: int = 0

    @property
    def taken(self) -> int:
        """Seats that are nobody else's."""
        return self.registered + self.offered

    def fields(self) -> dict[str, int]:
        """As messages carry them."""
        return {
            "registered_count": self.registered,
            "offered_count": self.offered,
            "waiting_count": self.waiting,
        }

    def changed(self, before: Entry | None, after: Entry | None) -> Counts:
        """After a registration came, went, or changed."""
        counts = self
        for one, sign in ((before, -1), (after, 1)):
            if one is None:
                continue
            counts = replace(
                counts,
                registered=counts.registered + sign * one.seat_count * (one.state in SEATED),
                offered=counts.offered + sign * one.seat_count * (one.state == "offered"),
                waiting=counts.waiting + sign * one.seat_count * (one.state == "waiting"),
                attended=counts.attended + sign * (one.visitor_count or 0) * (one.state == "attended"),
            )
        return counts


# The same order in SQL; the key is hexadecimal, so that its bytes and its text sort alike.
ORDER = 'priority DESC, lottery_key COLLATE "C" NULLS LAST, joined_at, registration_id'


def served(free_count: int, line: Sequence[Place]) -> list[Place]:
    """Who gets seats of those that are free: in order, each party whole; a party that asks for more is passed over."""
    found = []
    for place in sorted(line, key=lambda one: one.order):
        if place.seat_count <= free_count:
            free_count -= place.seat_count
            found.append(place)
    return found


async def serve_line(
    listed: L,
    free_count: Callable[[L], int],
    line: Callable[[int, Collection[UUID]], Awaitable[Sequence[E]]],
    give: Callable[[L, E], Awaitable[L | None]],
) -> L:
    """Gives free seats to those in line until they fit nobody; who may have none now is passed over, and keeps its place.

    `line` has the first whom so many seats would fit, without those passed over; `give` has the list with its seats given,
    or None when it could not.
    """
    passed: set[UUID] = set()
    while free := free_count(listed):
        found = {one.place.entry_id: one for one in await line(free, passed)}
        chosen = served(free, [one.place for one in found.values()])
        if not chosen:
            break
        for place in chosen:
            given = await give(listed, found[place.entry_id])
            if given is None:
                passed.add(place.entry_id)
            else:
                listed = given
    return listed


def lottery_key(seed: str, entry_id: UUID) -> str:
    """Where a draw puts an entry: the seed is bound before by its own hash, published after, so that anyone can redo it."""
    return hashlib.sha256(f"{seed}:{entry_id}".encode()).hexdigest()


def bound(seed: str) -> str:
    """What is published before the draw, and binds to its seed."""
    return hashlib.sha256(seed.encode()).hexdigest()
