"""Why each seeker obtained what they did: for every wish that was better, what stood in the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from stage_matching.candidates import Candidates
from stage_matching.matching import NO_WISH

# Every seat went to somebody of a partner school, nearer, drawn earlier, or who holds a reserved seat.
Obstacle = Literal["partner_school", "distance", "lottery", "reserve"]


@dataclass(frozen=True)
class WishOutcome:
    """What became of one wish: `obstacles` counts the offers behind it that were full, by what decided."""

    outcome: Literal["obtained", "full", "dropped", "not_needed"]
    obstacles: dict[str, int] = field(default_factory=dict)
    reason: str | None = None
    # For one offer decided by lot: the seeker's place, and the last place that was served.
    lottery_place: int | None = None
    lottery_last: int | None = None


def explain(candidates: Candidates, obtained: Sequence[int], wish_counts: Sequence[int]) -> Iterator[list[WishOutcome]]:
    """One list per seeker, one outcome per wish, in their order."""
    last = _last_served(candidates, obtained)
    for seeker, count in enumerate(wish_counts):
        yield _of_seeker(candidates, obtained[seeker], seeker, count, last)


def _last_served(candidates: Candidates, obtained: Sequence[int]) -> list[int]:
    """By pool, the priority of whom its host likes least among the served."""
    instance = candidates.instance
    last = [-1] * len(candidates.pools)
    for wish in obtained:
        if wish != NO_WISH:
            pool = instance.pool[wish]
            last[pool] = max(last[pool], instance.priority[wish])
    return last


def _of_seeker(candidates: Candidates, got: int, seeker: int, count: int, last: list[int]) -> list[WishOutcome]:
    instance = candidates.instance
    start, end = instance.first[seeker], instance.first[seeker + 1]
    own = NO_WISH if got == NO_WISH else candidates.wish_number[got]
    obstacles: dict[int, Counter[str]] = {}
    places: dict[int, tuple[int, int]] = {}
    for wish in range(start, end if got == NO_WISH else got):
        number, worst = candidates.wish_number[wish], last[instance.pool[wish]]
        why = _obstacle(candidates, wish, worst)
        obstacles.setdefault(number, Counter())[why] += 1
        if why == "lottery":
            people = instance.seeker_count
            places[number] = (instance.priority[wish] % people + 1, worst % people + 1)
    reasons = dict(candidates.dropped.get(seeker, ()))
    outcomes = []
    for number in range(count):
        before = dict(obstacles.get(number, {}))
        if number == own:
            outcomes.append(WishOutcome("obtained", before))
        elif own not in (NO_WISH, number) and number > own:
            outcomes.append(WishOutcome("not_needed"))
        elif before:
            place, served = places.get(number, (None, None)) if sum(before.values()) == 1 else (None, None)
            outcomes.append(WishOutcome("full", before, lottery_place=place, lottery_last=served))
        else:
            # A wish whose offers all stand behind an earlier wish has nothing of its own.
            outcomes.append(WishOutcome("dropped", reason=reasons.get(number, "repeated")))
    return outcomes


def _obstacle(candidates: Candidates, wish: int, worst: int) -> Obstacle:
    instance = candidates.instance
    if worst > instance.priority[wish]:
        return "reserve"
    bands = candidates.bands
    mine, theirs = candidates.tier(wish), worst // instance.seeker_count
    if mine // bands != theirs // bands:
        return "partner_school"
    return "distance" if mine != theirs else "lottery"
