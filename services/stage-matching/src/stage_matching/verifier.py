"""An independent check of a campaign's result, which shares no code with what computed it; what it refuses is not published.

It reads the frozen seats, seekers and lists, and judges each rule anew: capacity by week, eligibility, the order of the
lists, reserves, and that no seeker and host would rather have each other (no blocking pair).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from stage_matching.frozen import CampaignPolicy, FrozenOffer, FrozenSeeker
from territory import reference

_PROBLEMS_MAX = 100
# In the order in which hosts fill them.
_RESERVED_FIRST = ("PRIORITY_EDUCATION", "JOB_SEEKER", "UNDERREPRESENTED_SEX")


@dataclass(frozen=True)
class Result:
    """What is to be judged: each seeker's list of offers, best first, and the offer that they got, or None."""

    rankings: dict[UUID, list[UUID]]
    placements: dict[UUID, UUID | None]


def verify(
    offers: Sequence[FrozenOffer], seekers: Sequence[FrozenSeeker], policy: CampaignPolicy, seed: str, result: Result
) -> list[str]:
    """What is wrong, a sentence each, at most a hundred; an empty list when the result may be published."""
    judge = _Judge(offers, seekers, policy, seed, result)
    problems: list[str] = []
    for check in (judge.complete, judge.capacity, judge.lists, judge.rational, judge.stable):
        problems += check()
        if problems:
            break  # the later checks take the earlier ones for granted
    return problems[:_PROBLEMS_MAX]


class _Judge:
    def __init__(
        self,
        offers: Sequence[FrozenOffer],
        seekers: Sequence[FrozenSeeker],
        policy: CampaignPolicy,
        seed: str,
        result: Result,
    ) -> None:
        self.offers = {offer.offer_id: offer for offer in offers}
        self.seekers = {seeker.seeker_id: seeker for seeker in seekers}
        self.policy = policy
        self.result = result
        self.draw = {
            seeker.seeker_id: hashlib.sha256(f"{seed}:{seeker.seeker_id}".encode()).hexdigest() for seeker in seekers
        }
        self.served: dict[tuple[UUID, tuple[str, ...]], list[FrozenSeeker]] = defaultdict(list)
        for seeker_id, offer_id in result.placements.items():
            if offer_id is not None and seeker_id in self.seekers:
                self.served[offer_id, self.seekers[seeker_id].weeks].append(self.seekers[seeker_id])

    def complete(self) -> list[str]:
        """Every seeker has an answer, and nobody else has."""
        if self.seekers.keys() != self.result.placements.keys() or self.seekers.keys() != self.result.rankings.keys():
            return ["the result does not answer exactly the seekers of the campaign"]
        return []

    def capacity(self) -> list[str]:
        """No week of an offer has more people than seats, all spans together."""
        taken: dict[tuple[UUID, str], int] = defaultdict(int)
        for (offer_id, weeks), people in self.served.items():
            for week in weeks:
                taken[offer_id, week] += len(people)
        problems = []
        for (offer_id, week), count in taken.items():
            offer = self.offers.get(offer_id)
            if offer is None or count > offer.seats.get(week, 0):
                problems.append(
                    f"offer {offer_id} has {count} people in {week} for {offer.seats.get(week, 0) if offer else 0} seats"
                )
        return problems

    def lists(self) -> list[str]:
        """Lists name eligible offers within reach, once each, wish by wish, families by distance and then id; results are on them."""
        problems = []
        for seeker_id, ranking in self.result.rankings.items():
            seeker = self.seekers[seeker_id]
            problems += [f"seeker {seeker_id}: {why}" for why in self._wrong_with(seeker, ranking)]
            got = self.result.placements[seeker_id]
            if got is not None and got not in ranking:
                problems.append(f"seeker {seeker_id} got an offer that is not on their list")
        return problems

    def _wrong_with(self, seeker: FrozenSeeker, ranking: Sequence[UUID]) -> list[str]:
        if len(set(ranking)) < len(ranking):
            return ["an offer stands twice on the list"]
        wish, reached = -1, (0.0, UUID(int=0))
        for offer_id in ranking:
            offer = self.offers.get(offer_id)
            if offer is None:
                return [f"offer {offer_id} is not of this campaign"]
            km = reference.km_between(seeker.commune_code, offer.commune_code)
            too_young = seeker.age < max(offer.age_min, offer.hours_age_min)
            if seeker.audience not in offer.audiences or too_young or km > seeker.radius_km:
                return [f"offer {offer_id} does not take them"]
            if any(offer.seats.get(week, 0) < 1 for week in seeker.weeks):
                return [f"offer {offer_id} has no seat in their weeks"]
            further = (km, offer_id) > reached
            later = range(max(wish, 0), len(seeker.wishes))
            here = next((n for n in later if (n > wish or further) and _names(seeker.wishes[n], offer)), None)
            if here is None:
                return [f"offer {offer_id} stands where no wish of theirs put it"]
            wish, reached = here, (km, offer_id)
        return []

    def rational(self) -> list[str]:
        """Each host would choose whom it has: reserves are respected."""
        return [
            f"offer {offer_id} would not choose all whom it has in {weeks[0]}"
            for (offer_id, weeks), people in self.served.items()
            if len(self._choice(self.offers[offer_id], weeks, people)) < len(people)
        ]

    def stable(self) -> list[str]:
        """No seeker prefers an offer whose host would choose them over somebody whom it has."""
        problems = []
        last: dict[tuple[UUID, tuple[str, ...]], tuple[bool, int, str, str]] = {}
        for seeker_id, ranking in self.result.rankings.items():
            seeker, got = self.seekers[seeker_id], self.result.placements[seeker_id]
            for offer_id in ranking:
                if offer_id == got:
                    break
                offer, people = self.offers[offer_id], self.served.get((offer_id, seeker.weeks), [])
                if not offer.reserved and len(people) >= min(offer.seats.get(week, 0) for week in seeker.weeks):
                    # Without reserves a full offer wants whom it likes better than its last.
                    key = offer_id, seeker.weeks
                    if key not in last:
                        last[key] = max(self._place(offer, one) for one in people)
                    wanted = self._place(offer, seeker) < last[key]
                else:
                    wanted = any(one is seeker for one in self._choice(offer, seeker.weeks, [*people, seeker]))
                if wanted:
                    problems.append(f"seeker {seeker_id} and offer {offer_id} would rather have each other")
        return problems

    def _choice(self, offer: FrozenOffer, weeks: tuple[str, ...], people: list[FrozenSeeker]) -> list[FrozenSeeker]:
        """The host's choice by its definition: one reserved seat after the other, then one open seat after the other."""
        seats = min(offer.seats.get(week, 0) for week in weeks)
        if len(people) <= seats:
            return people
        waiting = sorted(people, key=lambda one: self._place(offer, one))
        chosen: list[FrozenSeeker] = []
        for category in _RESERVED_FIRST:
            for _ in range(offer.reserved.get(category, 0)):
                entitled = next((one for one in waiting if self._is(category, one, offer)), None)
                if entitled is not None and len(chosen) < seats:
                    chosen.append(entitled)
                    waiting.remove(entitled)
        return chosen + waiting[: seats - len(chosen)]

    def _place(self, offer: FrozenOffer, seeker: FrozenSeeker) -> tuple[bool, int, str, str]:
        km = reference.km_between(seeker.commune_code, offer.commune_code)
        band = len([bound for bound in self.policy.distance_bands_km if bound < km])
        return seeker.uai not in offer.partner_uais, band, self.draw[seeker.seeker_id], str(seeker.seeker_id)

    def _is(self, category: str, seeker: FrozenSeeker, offer: FrozenOffer) -> bool:
        if category == "PRIORITY_EDUCATION":
            return seeker.priority_education
        if category == "JOB_SEEKER":
            return seeker.audience == "JOB_SEEKER"
        known = [self.policy.underrepresented.get(code[:n]) for code in offer.rome_codes for n in (5, 3, 1)]
        return next((sex for sex in known if sex), None) == seeker.sex


def _names(wish: str, offer: FrozenOffer) -> bool:
    if len(wish) > 5:
        return wish == str(offer.offer_id)
    return any(code.startswith(wish) for code in offer.rome_codes)
