"""From a frozen campaign to the instance that is solved: who may wish for which seat, in what order, with what priority.

Sparse: a ROME family expands outwards from the seeker's commune and stops at the policy's limit; no dense matrix.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal
from uuid import UUID

from stage_matching.frozen import CATEGORIES, CampaignPolicy, FrozenOffer, FrozenSeeker, underrepresented
from stage_matching.matching import Instance, lottery
from territory import reference

# Why a wish gives no candidate at all.
Dropped = Literal["audience", "age", "hours", "weeks", "distance", "unknown_offer", "nothing_near"]
_TOLD_EVERY = 512


@dataclass(frozen=True)
class Pool:
    """The seats of one offer in one span of weeks."""

    offer: int
    weeks: tuple[str, ...]


@dataclass(frozen=True)
class Candidates:
    """The instance, and what its numbers stand for. `wish_number[i]` counts a seeker's own wishes from 0."""

    instance: Instance
    pools: Sequence[Pool]
    wish_number: Sequence[int]
    dropped: dict[int, list[tuple[int, Dropped]]]
    bands: int

    def tier(self, wish: int) -> int:
        """Host's priority without the lottery: the distance band, plus the number of bands when not of a partner school."""
        return self.instance.priority[wish] // self.instance.seeker_count


@dataclass
class _Expansion:
    offers: Sequence[FrozenOffer]
    policy: CampaignPolicy
    pools: list[Pool] = field(default_factory=list)
    _numbers: dict[tuple[int, tuple[str, ...]], int] = field(default_factory=dict)
    _known: dict[tuple[object, ...], tuple[tuple[int, int], ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.by_id = {offer.offer_id: number for number, offer in enumerate(self.offers)}
        self.by_place: dict[tuple[str, str], list[int]] = defaultdict(list)
        for number, offer in enumerate(self.offers):
            for prefix in {code[:length] for code in offer.rome_codes for length in (1, 3, 5)}:
                self.by_place[prefix, offer.commune_code].append(number)

    def of_family(self, seeker: FrozenSeeker, prefix: str) -> tuple[tuple[int, int], ...]:
        """Pools of a ROME family and their distance bands, nearest first, then by offer id; at most the policy's number."""
        key = (prefix, seeker.commune_code, seeker.radius_km, seeker.weeks, seeker.audience, seeker.age)
        if key not in self._known:
            found: list[tuple[int, int]] = []
            near = reference.communes_within(seeker.commune_code, seeker.radius_km)
            for km, group in groupby(near, key=lambda place: place[0]):
                at_this_distance = [number for _, code in group for number in self.by_place.get((prefix, code), ())]
                for number in sorted(at_this_distance, key=lambda number: self.offers[number].offer_id):
                    if why_not(self.offers[number], seeker) is None:
                        found.append((self.pool(number, seeker.weeks), distance_band(km, self.policy)))
                if len(found) >= self.policy.offers_per_family_max:
                    break
            self._known[key] = tuple(found[: self.policy.offers_per_family_max])
        return self._known[key]

    def of_offer(self, seeker: FrozenSeeker, wish: str) -> tuple[int, int] | Dropped:
        """The pool of one offer and its distance band, or why there is none."""
        number = self.by_id.get(UUID(wish))
        if number is None:
            return "unknown_offer"
        if (reason := why_not(self.offers[number], seeker)) is not None:
            return reason
        km = reference.km_between(seeker.commune_code, self.offers[number].commune_code)
        return (
            (self.pool(number, seeker.weeks), distance_band(km, self.policy)) if km <= seeker.radius_km else "distance"
        )

    def pool(self, number: int, weeks: tuple[str, ...]) -> int:
        """The number of a pool."""
        if (number, weeks) not in self._numbers:
            self._numbers[number, weeks] = len(self.pools)
            self.pools.append(Pool(number, weeks))
        return self._numbers[number, weeks]


def distance_band(km: float, policy: CampaignPolicy) -> int:
    """0 for the nearest distance band of the policy."""
    return sum(km > bound for bound in policy.distance_bands_km)


def host_priority(offer: FrozenOffer, seeker: FrozenSeeker, policy: CampaignPolicy) -> tuple[int, int]:
    """A host's priority for one seeker, the lottery aside, and the bits of the categories under which they may take a seat."""
    band = distance_band(reference.km_between(seeker.commune_code, offer.commune_code), policy)
    rare = underrepresented(offer.rome_codes, policy) == seeker.sex
    return _tier(offer, seeker, band, len(policy.distance_bands_km) + 1), _own_categories(seeker) | (
        CATEGORIES["UNDERREPRESENTED_SEX"] if rare else 0
    )


def _tier(offer: FrozenOffer, seeker: FrozenSeeker, band: int, bands: int) -> int:
    """The distance band for a partner school's pupils; everybody else comes after its last."""
    partner = seeker.uai is not None and seeker.uai in offer.partner_uais
    return band if partner else band + bands


def _own_categories(seeker: FrozenSeeker) -> int:
    """What does not depend on the offer."""
    return (seeker.priority_education and CATEGORIES["PRIORITY_EDUCATION"]) | (
        CATEGORIES["JOB_SEEKER"] if seeker.audience == "JOB_SEEKER" else 0
    )


def why_not(offer: FrozenOffer, seeker: FrozenSeeker) -> Literal["audience", "age", "hours", "weeks"] | None:
    """Why a seeker is not eligible to an offer, distance aside."""
    if seeker.audience not in offer.audiences:
        return "audience"
    if seeker.age < offer.age_min:
        return "age"
    if seeker.age < offer.hours_age_min:
        return "hours"
    return None if offer.capacity(seeker.weeks) else "weeks"


def expand(
    offers: Sequence[FrozenOffer],
    seekers: Sequence[FrozenSeeker],
    policy: CampaignPolicy,
    seed: str,
    progress: Callable[[int], None] = lambda _: None,
) -> Candidates:
    """Every seeker's ranked list of pools, with their hosts' priorities. `told` hears how many seekers are done."""
    expansion = _Expansion(offers, policy)
    drawn = lottery(seed, (str(seeker.seeker_id) for seeker in seekers))
    rare_sex = [underrepresented(offer.rome_codes, policy) for offer in offers]
    bands, count = len(policy.distance_bands_km) + 1, len(seekers)
    first, pool, priority = array("q", [0]), array("i"), array("q")
    categories, wish_number = bytearray(), bytearray()
    dropped: dict[int, list[tuple[int, Dropped]]] = {}
    for index, seeker in enumerate(seekers):
        place = drawn[str(seeker.seeker_id)]
        ranked: dict[int, tuple[int, int]] = {}  # pool to its band and the number of the wish that names it first
        for number, wish in enumerate(seeker.wishes):
            found = _of_wish(expansion, seeker, wish)
            if isinstance(found, str):
                dropped.setdefault(index, []).append((number, found))
                continue
            for one, band in found:
                ranked.setdefault(one, (band, number))
        own = _own_categories(seeker)
        for one, (band, number) in ranked.items():
            offer = expansion.pools[one].offer
            pool.append(one)
            priority.append(_tier(offers[offer], seeker, band, bands) * count + place)
            categories.append(own | (CATEGORIES["UNDERREPRESENTED_SEX"] if rare_sex[offer] == seeker.sex else 0))
            wish_number.append(number)
        first.append(len(pool))
        if index % _TOLD_EVERY == 0:
            progress(index)
    capacity = array("i", (offers[one.offer].capacity(one.weeks) for one in expansion.pools))
    reserves = {n: offers[one.offer].reserves for n, one in enumerate(expansion.pools) if offers[one.offer].reserved}
    instance = Instance(first, pool, priority, categories, capacity, reserves)
    return Candidates(instance, expansion.pools, wish_number, dropped, bands)


def _of_wish(expansion: _Expansion, seeker: FrozenSeeker, wish: str) -> Sequence[tuple[int, int]] | Dropped:
    if is_family(wish):
        return expansion.of_family(seeker, wish) or "nothing_near"
    found = expansion.of_offer(seeker, wish)
    return found if isinstance(found, str) else (found,)


def is_family(wish: str) -> bool:
    """Whether a wish names trades (`M`, `M18`, `M1805`) and not one offer."""
    return len(wish) <= 5
