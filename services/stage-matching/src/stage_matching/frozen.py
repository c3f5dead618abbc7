"""What a campaign holds fast when it is frozen: the seats that it may give, its seekers, and the policy of that day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

Audience = Literal["PUPIL", "STUDENT", "YOUNG_IN_INSERTION", "ADULT_IN_RETRAINING", "JOB_SEEKER"]
Sex = Literal["FEMALE", "MALE", "UNDECLARED"]

# Under which a seat can be reserved, in the order in which reserved seats are filled, and the bit of each.
CATEGORIES = {"PRIORITY_EDUCATION": 1, "JOB_SEEKER": 2, "UNDERREPRESENTED_SEX": 4}


@dataclass(frozen=True)
class CampaignPolicy:
    """Rules of a campaign that the Region can change, as of the day of its freeze; distances in kilometres."""

    wishes_max: int
    offers_per_family_max: int
    distance_bands_km: tuple[float, ...]
    # ROME prefix to the sex that is under-represented there; the longest prefix counts.
    underrepresented: Mapping[str, Sex]


@dataclass(frozen=True, slots=True)
class FrozenOffer:
    """An offer as it was: the campaign gives at most `seats[week]` of its seats, whatever its host changes later."""

    offer_id: UUID
    commune_code: str
    rome_codes: tuple[str, ...]
    audiences: frozenset[str]
    age_min: int
    seats: Mapping[str, int]
    partner_uais: frozenset[str] = frozenset()
    reserved: Mapping[str, int] = field(default_factory=dict)
    # From which age on the law of that day forbids its hours to nobody.
    hours_age_min: int = 0

    def capacity(self, weeks: tuple[str, ...]) -> int:
        """Seats of a span: the least of its weeks."""
        return min((self.seats.get(week, 0) for week in weeks), default=0)

    @property
    def reserves(self) -> tuple[tuple[int, int], ...]:
        """Bit of the category and seats reserved to it, in the order in which they are filled."""
        return tuple((bit, self.reserved[name]) for name, bit in CATEGORIES.items() if name in self.reserved)


@dataclass(frozen=True, slots=True)
class FrozenSeeker:
    """A seeker of a campaign and their wishes, best first: an offer's id, or a ROME domain, family or code."""

    seeker_id: UUID
    audience: Audience
    commune_code: str
    radius_km: int
    weeks: tuple[str, ...]
    wishes: tuple[str, ...]
    age: int
    sex: Sex = "UNDECLARED"
    uai: str | None = None
    priority_education: bool = False


def underrepresented(rome_codes: tuple[str, ...], policy: CampaignPolicy) -> Sex | None:
    """The sex that is under-represented in an offer's trades, by its first code that the policy knows."""
    for code in rome_codes:
        for length in (5, 3, 1):
            if code[:length] in policy.underrepresented:
                return policy.underrepresented[code[:length]]
    return None
