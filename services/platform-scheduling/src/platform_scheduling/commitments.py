"""What becomes of bookings when an owner changes what they were made of: one cell for each kind of change and of booking. Pure.

A booking holds as it was made unless the platform can no longer keep it: then it ends, by the rules of an owner who refuses or
cancels. What is only otherwise (equipment, place, access) is told to its requester, who may give it up; an event has no way to
be told but the release of its booking, after which its organiser looks for another platform.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from common.commitments import Commitment, Fate, Table
from common.commitments import Fate as F
from platform_scheduling.messages import BookingOrigin
from platform_scheduling.state import LIVE, Booking, Busy, Description, Platform


class Change(StrEnum):
    """What an owner may change under a booking."""

    WITHDRAWN = "platform_withdrawn"
    CAPACITY = "capacity_below_the_group"
    EQUIPMENT = "equipment_taken_away"
    PLACE = "moved_to_another_commune"
    ACCESS = "no_longer_accessible"
    HABILITATIONS = "habilitation_asked_for_anew"
    UNITS = "its_unit_taken_away"
    RULES = "rules_of_access_and_approval"
    OFFERED = "window_changed_or_dropped"
    KEPT = "its_time_kept_by_hand"
    CALENDAR = "its_time_kept_by_a_calendar"
    POLICY = "policy_of_the_Region"


class Kind(StrEnum):
    """Bookings that a change may break, by where they are in their life."""

    IN_LINE = "in_line"
    OPTION = "option"
    APPROVED = "approved"
    EVENT = "of_an_event"
    UNDER_WAY = "under_way"


TABLE = Table(
    Change,
    Kind,
    {
        #                     in line   option    approved  of an event  under way
        Change.WITHDRAWN: (F.ENDS, F.ENDS, F.ENDS, F.ENDS, F.STAYS),
        Change.CAPACITY: (F.ENDS, F.ENDS, F.ENDS, F.ENDS, F.STAYS),
        Change.EQUIPMENT: (F.CHANGES, F.CHANGES, F.CHANGES, F.ENDS, F.STAYS),
        Change.PLACE: (F.CHANGES, F.CHANGES, F.CHANGES, F.ENDS, F.STAYS),
        Change.ACCESS: (F.CHANGES, F.CHANGES, F.CHANGES, F.ENDS, F.STAYS),
        Change.HABILITATIONS: (F.CHANGES, F.CHANGES, F.CHANGES, F.ENDS, F.STAYS),
        # Who waits in line has no unit; the owner says first which other unit those that are held get, or none.
        Change.UNITS: (F.STAYS, F.BARS, F.BARS, F.BARS, F.BARS),
        # They hold for what is asked for from then on.
        Change.RULES: (F.STAYS, F.STAYS, F.STAYS, F.STAYS, F.STAYS),
        Change.OFFERED: (F.ENDS, F.STAYS, F.STAYS, F.STAYS, F.STAYS),
        # What is held is refused or cancelled first, one by one; who waits in line would wait for nothing.
        Change.KEPT: (F.ENDS, F.BARS, F.BARS, F.BARS, F.BARS),
        # An imported calendar is read again and again: what it falls on is named to the owner, and ends by hand or with its time.
        Change.CALENDAR: (F.STAYS, F.STAYS, F.STAYS, F.STAYS, F.STAYS),
        Change.POLICY: (F.STAYS, F.STAYS, F.STAYS, F.STAYS, F.STAYS),
    },
)

# How each change is said to whom it concerns.
SAID = {
    Change.WITHDRAWN: "Le plateau n’est plus proposé.",
    Change.CAPACITY: "Le plateau accueille désormais moins de personnes que votre groupe.",
    Change.EQUIPMENT: "Des équipements ne sont plus disponibles.",
    Change.PLACE: "Le plateau change de commune.",
    Change.ACCESS: "Le plateau n’est plus accessible en fauteuil.",
    Change.HABILITATIONS: "La personne qui encadre doit avoir une habilitation de plus.",
    Change.OFFERED: "Le plateau n’est plus proposé à ce moment.",
    Change.KEPT: "Le propriétaire garde ce moment pour lui.",
}
_STATES = {"requested": "en file d’attente", "tentative": "en attente de réponse", "approved": "acceptée"}


def said(changes: Sequence[str]) -> str:
    """What an owner changed, to whom it concerns; empty for nothing."""
    return " ".join(SAID[Change(change)] for change in changes)


def kind_of(one: Booking, now: datetime) -> Kind:
    """Where a live booking is in its life."""
    if one.span.starts_at <= now:
        return Kind.UNDER_WAY
    if one.origin == BookingOrigin.EVENT:
        return Kind.EVENT
    return {"requested": Kind.IN_LINE, "tentative": Kind.OPTION, "approved": Kind.APPROVED}[one.state]


def changes_of(before: Description, after: Description, one: Booking) -> list[Change]:
    """What another description changes for a booking."""
    found = {
        Change.WITHDRAWN: after.withdrawn and not before.withdrawn,
        Change.CAPACITY: one.group_size > after.capacity_count,
        Change.EQUIPMENT: not set(before.equipment_codes) <= set(after.equipment_codes),
        Change.PLACE: before.commune_code != after.commune_code,
        Change.ACCESS: before.accessible and not after.accessible,
        Change.HABILITATIONS: not set(after.habilitation_codes) <= set(before.habilitation_codes),
    }
    return [change for change, is_so in found.items() if is_so]


@dataclass(frozen=True)
class Broken:
    """A booking that does not stay as it is, and why."""

    booking: Booking
    fate: Fate
    changes: Sequence[Change]

    @property
    def said(self) -> str:
        """Why, to whom it concerns."""
        return said(self.changes)

    @property
    def commitment(self) -> Commitment:
        """As the owner may see it."""
        one = self.booking
        what = f"Réservation {_STATES[one.state]}, {one.group_size} personnes"
        return Commitment("booking", one.booking_id, one.span.starts_at, what, self.fate)


def by_description(platform: Platform, after: Description, now: datetime) -> list[Broken]:
    """The live bookings that another description ends or changes."""
    found = []
    for one in platform.bookings:
        if one.state in LIVE and (changes := changes_of(platform.description, after, one)):
            found.append(Broken(one, TABLE.fate_of(changes, kind_of(one, now)), changes))
    return [one for one in found if one.fate is not Fate.STAYS]


def by_windows(before: Platform, after: Platform, now: datetime) -> list[Broken]:
    """Who waits in line for time that other windows no longer offer; `open` of both is whole around all who wait."""
    return [
        Broken(one, TABLE.fate(Change.OFFERED, Kind.IN_LINE), [Change.OFFERED])
        for one in _in_line(before, now)
        if before.offers(one.span) and not after.offers(one.span)
    ]


def by_keeping(before: Platform, busy: Busy, now: datetime) -> list[Broken]:
    """Who waits in line for time that the owner keeps, whoever lets it go."""
    firm = tuple(one for one in before.bookings if one.state == "approved")
    earlier, after = replace(before, bookings=firm), replace(before, bookings=firm, busy=(*before.busy, busy))
    return [
        Broken(one, TABLE.fate(Change.KEPT, Kind.IN_LINE), [Change.KEPT])
        for one in _in_line(before, now)
        if earlier.free_unit(one.span, one.occupied_until) and not after.free_unit(one.span, one.occupied_until)
    ]


def _in_line(platform: Platform, now: datetime) -> list[Booking]:
    return [one for one in platform.bookings if one.state == "requested" and one.span.starts_at > now]
