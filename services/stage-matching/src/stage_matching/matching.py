"""The official result of a campaign: student-proposing deferred acceptance with capacities and reserves.

Pure and deterministic: the same instance gives the same result, whatever the order in which seekers are listed.
Source: Gale & Shapley 1962; reserves as in Hafalir, Yenmez & Yildirim 2013, a seeker taking one seat and counting once.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappush, heappushpop

NO_WISH = -1
_TOLD_EVERY = 4096

# Seats of a pool kept for one category: its bit in `Instance.categories`, and how many seats; filled in this order.
Reserves = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Instance:
    """Who wishes for what, as flat arrays: the wishes of seeker `s`, best first, are `first[s] … first[s + 1] - 1`.

    A pool is an offer in one span of weeks. Among the wishes for one pool, priorities differ; the smaller, the more the
    host prefers that seeker. `categories` has the bits under which a wish may take a reserved seat.
    """

    first: Sequence[int]
    pool: Sequence[int]
    priority: Sequence[int]
    categories: Sequence[int]
    capacity: Sequence[int]
    reserves: Mapping[int, Reserves] = field(default_factory=dict)

    @property
    def seeker_count(self) -> int:
        """How many seekers there are."""
        return len(self.first) - 1


def deferred_acceptance(instance: Instance, progress: Callable[[int], None] = lambda _: None) -> array[int]:
    """The wish that each seeker obtains, as an index into `instance.pool`, or `NO_WISH`.

    Every seeker proposes to their best wish that has not refused them yet; a pool keeps whom its host prefers and
    refuses the rest, who go on. `told` hears now and then how many seekers have proposed; what it raises stops the run.
    """
    count, first, pool, priority = instance.seeker_count, instance.first, instance.pool, instance.priority
    capacity, reserves = instance.capacity, instance.reserves
    obtained = array("q", [NO_WISH]) * count
    # A seeker in a pool is one integer, so that heaps compare integers: the smallest is whom the host likes least.
    held: list[list[int]] = [[] for _ in capacity]
    for newcomer in range(count):
        seeker, wish = newcomer, first[newcomer]
        while wish < first[seeker + 1]:
            here, liking = held[pool[wish]], -(priority[wish] * count + seeker)
            if len(here) < capacity[pool[wish]]:
                heappush(here, liking)
                obtained[seeker] = wish
                break
            if not here:
                refused = liking
            elif pool[wish] in reserves:
                refused = _refused(here, (liking, wish), instance, obtained)
            else:
                refused = heappushpop(here, liking)
            if refused == liking:
                wish += 1
                continue
            obtained[seeker] = wish
            seeker = -refused % count
            wish, obtained[seeker] = obtained[seeker] + 1, NO_WISH
        if newcomer % _TOLD_EVERY == 0:
            progress(newcomer)
    return obtained


def _refused(here: list[int], newcomer: tuple[int, int], instance: Instance, obtained: array[int]) -> int:
    """Adds one seeker (liking, wish) to a full pool with reserved seats; takes out and returns whom its host does not choose."""
    liking, wish = newcomer
    pool, count = instance.pool[wish], instance.seeker_count

    def categories(known: int) -> int:
        return instance.categories[wish if known == liking else obtained[-known % count]]

    ranked = sorted([*here, liking], reverse=True)
    chosen = choose(ranked, instance.capacity[pool], instance.reserves[pool], categories)
    (refused,) = set(ranked) - set(chosen)
    here[:] = chosen
    heapify(here)
    return refused


def choose(ranked: Sequence[int], capacity: int, reserves: Reserves, bits: Callable[[int], int]) -> list[int]:
    """Whom a host chooses among applicants given best first: reserved seats in their order, then the rest for everyone.

    Substitutable, because an applicant takes one seat and counts once: whom a host refuses it would refuse among more.
    """
    chosen: list[int] = []
    for category, seats in reserves:
        taken = set(chosen)
        members = (one for one in ranked if one not in taken and bits(one) & category)
        chosen += [one for one, _ in zip(members, range(min(seats, capacity - len(chosen))), strict=False)]
    taken = set(chosen)
    return chosen + [one for one in ranked if one not in taken][: capacity - len(chosen)]


def lottery(seed: str, keys: Iterable[str]) -> dict[str, int]:
    """The one lottery of a campaign: each key's place, drawn by a published seed and anyone can draw it again.

    The order of the SHA-256 of `seed:key`, so that nobody's place depends on who else is listed before them.
    """
    drawn = sorted((hashlib.sha256(f"{seed}:{key}".encode()).digest(), key) for key in keys)
    return {key: place for place, (_, key) in enumerate(drawn)}
