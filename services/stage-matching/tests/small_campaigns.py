"""Small campaigns drawn at random, and by Hypothesis, for the tests of matching."""

from __future__ import annotations

import random
from array import array
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from uuid import UUID

from stage_matching.frozen import CATEGORIES, CampaignPolicy, FrozenOffer, FrozenSeeker
from stage_matching.matching import NO_WISH, Instance, Reserves

POLICY = CampaignPolicy(
    wishes_max=10,
    offers_per_family_max=5,
    distance_bands_km=(10, 30),
    underrepresented={"M18": "FEMALE", "J": "MALE", "K": "MALE", "F": "FEMALE"},
)
# Rouen, Le Petit-Quevilly, Elbeuf, Dieppe, Le Havre: 0 to 75 km from each other.
PLACES = ("76540", "76498", "76231", "76217", "76351")
ROME = ("M1805", "M1801", "J1506", "K1304", "F1703", "G1602")
WEEKS = ("2027-W06", "2027-W07")


def instance(
    lists: Sequence[Sequence[int]],
    likes: Sequence[Sequence[int]],
    capacity: Sequence[int],
    reserves: dict[int, Reserves] | None = None,
    bits: Sequence[int] | None = None,
) -> Instance:
    """From each seeker's pools, best first, and each pool's seekers, best first."""
    first, pool, priority, categories = array("q", [0]), array("i"), array("q"), bytearray()
    for seeker, wishes in enumerate(lists):
        for one in wishes:
            pool.append(one)
            priority.append(likes[one].index(seeker))
            categories.append(bits[seeker] if bits else 0)
        first.append(len(pool))
    return Instance(first, pool, priority, categories, array("i", capacity), reserves or {})


def drawn(rng: random.Random, seekers: int, pools: int, reserved: bool = True) -> Instance:
    """A tiny instance with incomplete lists, many-to-one capacities and overlapping reserves."""
    lists = [rng.sample(range(pools), rng.randint(0, pools)) for _ in range(seekers)]
    likes = [rng.sample(range(seekers), seekers) for _ in range(pools)]
    capacity = [rng.randint(0, 3) for _ in range(pools)]
    reserves = {p: tuple((bit, rng.randint(1, 2)) for bit in (1, 2, 4) if rng.random() < 0.5) for p in range(pools)}
    bits = [rng.randrange(8) for _ in range(seekers)]
    return instance(lists, likes, capacity, {p: r for p, r in reserves.items() if r} if reserved else {}, bits)


def pools_of(one: Instance, obtained: Sequence[int]) -> list[int]:
    """The pool that each seeker obtained, or -1."""
    return [NO_WISH if wish == NO_WISH else one.pool[wish] for wish in obtained]


def host_choice(one: Instance, pool: int, wishes: Sequence[int]) -> set[int]:
    """The host's choice among wishes for its pool, by its definition and not by the solver's code."""
    waiting = sorted(wishes, key=lambda w: one.priority[w])
    chosen: list[int] = []
    for bit, seats in one.reserves.get(pool, ()):
        for _ in range(seats):
            member = next((w for w in waiting if one.categories[w] & bit), None)
            if member is not None and len(chosen) < one.capacity[pool]:
                chosen.append(member)
                waiting.remove(member)
    return {*chosen, *waiting[: one.capacity[pool] - len(chosen)]}


def is_stable(one: Instance, obtained: Sequence[int]) -> bool:
    """Every host would choose whom it has, and no seeker prefers a pool that would choose them."""
    for pool in range(len(one.capacity)):
        has = {w for w in obtained if w != NO_WISH and one.pool[w] == pool}
        if host_choice(one, pool, sorted(has)) != has:
            return False
        for seeker, got in enumerate(obtained):
            better = range(one.first[seeker], one.first[seeker + 1] if got == NO_WISH else got)
            for wish in better:
                if one.pool[wish] == pool and wish in host_choice(one, pool, [*has, wish]):
                    return False
    return True


def every_stable_result(one: Instance) -> list[tuple[int, ...]]:
    """By exhaustive search: every assignment of wishes to seekers that is stable."""
    choices = [[NO_WISH, *range(one.first[s], one.first[s + 1])] for s in range(one.seeker_count)]
    return [tried for tried in product(*choices) if is_stable(one, tried)]


def campaign(rng: random.Random, seekers: int = 12, offers: int = 6) -> tuple[list[FrozenOffer], list[FrozenSeeker]]:
    """A campaign between real communes, with reserves, partner schools, two spans, and wishes of both kinds."""
    made = [
        FrozenOffer(
            offer_id=UUID(int=rng.getrandbits(128), version=4),
            commune_code=rng.choice(PLACES),
            rome_codes=tuple(rng.sample(ROME, rng.randint(1, 2))),
            audiences=frozenset(rng.sample(("PUPIL", "STUDENT", "JOB_SEEKER"), rng.randint(1, 3))),
            age_min=rng.choice((14, 14, 16)),
            seats={week: rng.randint(0, 3) for week in WEEKS},
            partner_uais=frozenset({"0760001A"} if rng.random() < 0.3 else ()),
            reserved={name: 1 for name in CATEGORIES if rng.random() < 0.3},
        )
        for _ in range(offers)
    ]
    # Some have hours that the law forbids to the young.
    made = [replace(offer, hours_age_min=(0, 0, 0, 15, 18)[offer.offer_id.int % 5]) for offer in made]
    people = [
        FrozenSeeker(
            seeker_id=UUID(int=rng.getrandbits(128), version=4),
            audience=rng.choice(("PUPIL", "PUPIL", "STUDENT", "JOB_SEEKER")),
            commune_code=rng.choice(PLACES),
            radius_km=rng.choice((10, 30, 80)),
            weeks=(rng.choice(WEEKS),),
            wishes=tuple(
                dict.fromkeys(
                    rng.choice((str(rng.choice(made).offer_id), rng.choice(ROME)[: rng.choice((1, 3, 5))]))
                    for _ in range(rng.randint(1, 5))
                )
            ),
            age=rng.choice((14, 15, 17, 30)),
            sex=rng.choice(("FEMALE", "MALE", "UNDECLARED")),
            uai=rng.choice((None, "0760001A", "0760002B")),
            priority_education=rng.random() < 0.3,
        )
        for _ in range(seekers)
    ]
    return made, people
