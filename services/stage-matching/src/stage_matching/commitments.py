"""What becomes of applications when a host changes an offer, or is suspended: one cell for each. Pure.

Seats that are given or promised are never taken back by fewer seats. Who applied for a week that is no longer offered, or is no
longer of those whom the offer is for, waits for nothing, and is told so; whom the host accepted all the same keeps the place.
Hours that the law forbids at somebody's age are not set over a place that is given or promised to them: nobody could confirm it.
What is confirmed is under an agreement, which is a copy: another description of the offer changes nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from common.commitments import Commitment, Fate, Table
from common.commitments import Fate as F
from common.failures import Refusal
from stage_matching.domain import why_not_admitted
from stage_matching.state import SEATED, WAITING, Application, Description, Offer, Policy, Seeker
from stage_matching.terms import age_from
from territory.weeks import monday, week_of
from territory.working_time import PARIS


class Change(StrEnum):
    """What may change under an application: by its host, by the agency, or by time."""

    WEEK = "week_no_longer_offered"
    SEATS = "fewer_seats_in_a_week"
    PLACE = "another_commune"
    TRADE = "trade_taken_away"
    PLACEMENT = "other_place_hours_or_tasks"
    AUDIENCE = "audience_or_age_that_excludes_them"
    HOURS = "hours_forbidden_at_their_age"
    RESERVED = "other_reserved_seats"
    SUSPENDED = "offer_suspended"
    HOST = "host_suspended_by_the_agency"
    SILENCE = "host_suspended_for_its_silence"
    LABEL = "label_withdrawn"
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
        # What a campaign froze are the conditions under which its seats are given.
        Change.AUDIENCE: (F.ENDS, F.CHANGES, F.STAYS, F.STAYS),
        Change.HOURS: (F.ENDS, F.BARS, F.STAYS, F.BARS),
        # They are for campaigns to come.
        Change.RESERVED: _KEPT,
        # Its host still answers who has applied; what was given is kept.
        Change.SUSPENDED: (F.CHANGES, F.STAYS, F.STAYS, F.STAYS),
        # An agreement is its parties' own: they are told, and each may end it. A campaign is computed again without the host.
        Change.HOST: (F.ENDS, F.ENDS, F.CHANGES, F.ENDS),
        # Time does it, so nobody is asked. A place that was given is given; what a campaign keeps was offered before.
        Change.SILENCE: (F.ENDS, F.STAYS, F.STAYS, F.STAYS),
        # A mark beside the host's name: no application was made under it. The host itself is told.
        Change.LABEL: _KEPT,
        Change.POLICY: _KEPT,
    },
)
SAID = {
    Change.WEEK: "L’organisme n’accueille plus cette semaine-là.",
    Change.PLACE: "L’offre change de commune.",
    Change.TRADE: "L’offre ne porte plus sur les mêmes métiers.",
    Change.PLACEMENT: "Le lieu, les horaires ou les tâches de l’offre changent.",
    Change.AUDIENCE: "L’offre s’adresse désormais à un autre public ou à un autre âge.",
    Change.HOURS: "Les nouveaux horaires de l’offre ne sont pas permis à votre âge.",
    Change.SUSPENDED: "L’organisme met cette offre en pause : elle n’est plus proposée pour l’instant, mais il peut encore vous répondre.",
    Change.HOST: "L’agence a suspendu les offres de cet organisme.",
    Change.SILENCE: "L’organisme ne répond plus.",
}
_WHAT = {
    Kind.WAITING: "Candidature en attente de réponse",
    Kind.ACCEPTED: "Candidature acceptée, à confirmer",
    Kind.CONFIRMED: "Stage confirmé, sous convention",
}


@dataclass(frozen=True)
class Broken:
    """An application that does not stay as it was made, and why."""

    application: Application
    kind: Kind
    fate: Fate
    changes: Sequence[Change]
    # Of the offer, where several are concerned.
    title: str = ""

    @property
    def said(self) -> str:
        """Why, to its seeker."""
        return " ".join(SAID[change] for change in self.changes)

    @property
    def commitment(self) -> Commitment:
        """As the host, or the agency, may see it."""
        one, titled = self.application, f", « {self.title} »" if self.title else ""
        first = monday(one.iso_weeks[0])
        return Commitment("application", one.application_id, first, f"{_WHAT[self.kind]}{titled}", self.fate)


def broken(
    offer: Offer, after: Description, seats: Mapping[str, int], seekers: Mapping[UUID, Seeker], policy: Policy
) -> list[Broken]:
    """The live applications that another description ends, bars or leaves otherwise than they were made; `seekers` by application."""
    before = offer.description
    for_all = {
        Change.PLACE: before.commune_code != after.commune_code,
        Change.TRADE: not set(before.rome_codes) <= set(after.rome_codes),
        Change.PLACEMENT: before.placement != after.placement,
        Change.SUSPENDED: after.suspended and not before.suspended,
    }
    found = []
    for one in offer.applications:
        seeker = seekers.get(one.application_id)
        excluded = _excluded(before, after, seeker, policy) if seeker is not None else None
        gone = any(week in offer.weeks and not seats.get(week) for week in one.iso_weeks)
        changes = {Change.WEEK: gone, Change.AUDIENCE: excluded == "audience", Change.HOURS: excluded == "hours"}
        found += _of(one, [change for change, is_so in {**changes, **for_all}.items() if is_so])
    return found


def _excluded(before: Description, after: Description, seeker: Seeker, policy: Policy) -> str | None:
    """Whether another description no longer admits somebody, and by its audience (or age) or by its hours."""
    was, now = why_not_admitted(before, seeker, policy), why_not_admitted(after, seeker, policy)
    if now is None or (was is not None and was.reason == now.reason):
        return None
    return "hours" if now.reason == "hours" else "audience"


def by_suspension(offer: Offer, change: Change, now: datetime) -> list[Broken]:
    """The live applications that the suspension of their host ends, or leaves otherwise than they were made; not what is past."""
    this_week = week_of(now.astimezone(PARIS).date())
    concerned = [one for one in offer.applications if one.iso_weeks[-1] >= this_week]
    return [replace(found, title=offer.description.title) for one in concerned for found in _of(one, [change])]


def of_campaign(campaign_id: UUID, title: str) -> Commitment:
    """A campaign that keeps seats of a host that is suspended, as the agency may see it."""
    said = f"Campagne « {title} », non publiée : elle est calculée à nouveau sans les places de cet organisme"
    return Commitment("campaign", campaign_id, None, said, TABLE.fate(Change.HOST, Kind.CAMPAIGN))


def why_barred(offer: Offer, after: Description, found: Sequence[Broken], policy: Policy) -> Refusal | None:
    """Why other hours may not be set: they are forbidden to somebody to whom a place is given, or may be to whom a campaign gives one."""
    promised = any(seats.campaign_count for seats in offer.weeks.values())
    lawful_from, was = (age_from(one.placement.hours, policy.hours) for one in (after, offer.description))
    if not (promised and lawful_from > was) and all(one.fate is not Fate.BARS for one in found):
        return None
    return Refusal(
        "hours_forbidden",
        "Ces horaires ne sont pas permis à l’âge de personnes à qui une place est donnée ou promise : "
        "refusez d’abord leurs candidatures, ou gardez les horaires.",
    )


def _of(one: Application, changes: Sequence[Change]) -> list[Broken]:
    """The application among what changes break, if they break it; only what concerns it is said of it."""
    if one.state not in WAITING | SEATED:
        return []
    kind = Kind.WAITING if one.state in WAITING else Kind(one.state)
    concerned = [change for change in changes if TABLE.fate(change, kind) is not Fate.STAYS]
    return [Broken(one, kind, TABLE.fate_of(concerned, kind), concerned)] if concerned else []
