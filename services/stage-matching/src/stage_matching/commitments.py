"""What becomes of applications when a host changes an offer: one cell for each. Pure.

Seats that are given or promised are never taken back by fewer seats. Who applied for a week that is no longer offered waits for
nothing, and is told so. What is confirmed is under an agreement, which is a copy: another description of the offer changes nothing
of it. An offer that is suspended is out of sight for a while: its host still answers whoever has applied, or their time ends it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from common.commitments import Commitment, Fate, Table
from common.commitments import Fate as F
from stage_matching.state import SEATED, WAITING, Application, Description, Offer


class Change(StrEnum):
    """What a host may change under an application."""

    WEEK = "week_no_longer_offered"
    SEATS = "fewer_seats_in_a_week"
    PLACE = "another_commune"
    TRADE = "trade_taken_away"
    PLACEMENT = "other_place_hours_or_tasks"
    AUDIENCE = "another_audience_or_age"
    RESERVED = "other_reserved_seats"
    SUSPENDED = "offer_suspended"
    POLICY = "policy_of_the_Region"


class Kind(StrEnum):
    """Applications, by where they are in their life; seats that a campaign keeps while it computes."""

    WAITING = "waiting"
    ACCEPTED = "accepted"
    CONFIRMED = "confirmed"
    CAMPAIGN = "kept_by_a_campaign"


_KEPT = (F.STAYS, F.STAYS, F.STAYS, F.STAYS)
_TOLD = (F.CHANGES, F.CHANGES, F.STAYS, F.STAYS)
TABLE = Table(
    Change,
    Kind,
    {
        # waiting, accepted, confirmed, kept by a campaign
        Change.WEEK: (F.ENDS, F.BARS, F.BARS, F.BARS),
        # A seat may come back to who waits.
        Change.SEATS: (F.STAYS, F.BARS, F.BARS, F.BARS),
        Change.PLACE: _TOLD,
        Change.TRADE: _TOLD,
        Change.PLACEMENT: _TOLD,
        # They hold for who applies from then on; the host answers who has.
        Change.AUDIENCE: _KEPT,
        Change.RESERVED: _KEPT,
        Change.SUSPENDED: _KEPT,
        Change.POLICY: _KEPT,
    },
)
SAID = {
    Change.WEEK: "L’organisme n’accueille plus cette semaine-là.",
    Change.PLACE: "L’offre change de commune.",
    Change.TRADE: "L’offre ne porte plus sur les mêmes métiers.",
    Change.PLACEMENT: "Le lieu, les horaires ou les tâches de l’offre changent.",
}
_WHAT = {Kind.WAITING: "Candidature en attente de réponse", Kind.ACCEPTED: "Candidature acceptée, à confirmer"}


@dataclass(frozen=True)
class Broken:
    """An application that does not stay as it was made, and why."""

    application: Application
    kind: Kind
    fate: Fate
    changes: Sequence[Change]

    @property
    def said(self) -> str:
        """Why, to its seeker."""
        return " ".join(SAID[change] for change in self.changes)

    @property
    def commitment(self) -> Commitment:
        """As the host may see it."""
        one = self.application
        return Commitment(
            "application", one.application_id, None, f"{_WHAT[self.kind]}, {', '.join(one.iso_weeks)}", self.fate
        )


def broken(offer: Offer, after: Description, seats: Mapping[str, int]) -> list[Broken]:
    """The live applications that another description ends, or leaves otherwise than they were made."""
    before = offer.description
    told = {
        Change.PLACE: before.commune_code != after.commune_code,
        Change.TRADE: not set(before.rome_codes) <= set(after.rome_codes),
        Change.PLACEMENT: before.placement != after.placement,
    }
    found = []
    for one in offer.applications:
        if one.state not in WAITING | SEATED:
            continue
        kind = Kind.WAITING if one.state in WAITING else Kind(one.state)
        gone = any(week in offer.weeks and not seats.get(week) for week in one.iso_weeks)
        changes = [change for change, is_so in {Change.WEEK: gone, **told}.items() if is_so]
        fate = TABLE.fate_of(changes, kind)
        if fate in (Fate.ENDS, Fate.CHANGES):
            found.append(Broken(one, kind, fate, changes))
    return found
