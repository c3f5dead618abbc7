"""What becomes of holds when a structure changes or closes a programme: one cell for each. Pure.

Nothing of a young person's situation is stored, so that nobody here knows whom another condition excludes: whoever holds a seat
is told, and decides. Seats that are declared are what is there: they cannot be refused, and the structure answers each hold that
they leave without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from common.commitments import Commitment, Fate, Table
from common.commitments import Fate as F
from remediation_seats.domain import LEVELS
from remediation_seats.state import Conditions, Hold, Programme


class Change(StrEnum):
    """What may change under a hold."""

    CLOSED = "programme_closed"
    AGE = "narrower_ages"
    LEVEL = "higher_level"
    BOARDING = "no_boarding_any_more"
    WHEELCHAIR = "no_longer_accessible"
    INTAKE = "another_intake"
    TRADE = "trade_taken_away"
    PLACE = "structure_elsewhere"
    SEATS = "fewer_seats_declared"
    POLICY = "policy_of_the_Region"


class Kind(StrEnum):
    """Holds, by where they are in their life."""

    HELD = "held"
    CONFIRMED = "confirmed"
    ADMITTED = "admitted"


_TOLD = (F.CHANGES, F.CHANGES, F.STAYS)
_KEPT = (F.STAYS, F.STAYS, F.STAYS)
TABLE = Table(
    Change,
    Kind,
    {
        # held, confirmed, admitted
        Change.CLOSED: (F.ENDS, F.ENDS, F.STAYS),
        Change.AGE: _TOLD,
        Change.LEVEL: _TOLD,
        Change.BOARDING: _TOLD,
        Change.WHEELCHAIR: _TOLD,
        Change.INTAKE: _TOLD,
        Change.TRADE: _TOLD,
        Change.PLACE: _TOLD,
        # Each stays held, in order, and none is given again: the structure reads how many are more than it declared, and which,
        # and answers them; whoever holds one is written to when it does, or when its time ends it.
        Change.SEATS: _KEPT,
        Change.POLICY: _KEPT,
    },
)
SAID = {
    Change.CLOSED: "Le parcours est fermé.",
    Change.AGE: "Le parcours n’accueille plus les mêmes âges.",
    Change.LEVEL: "Le parcours demande un niveau plus élevé.",
    Change.BOARDING: "Le parcours n’a plus d’internat.",
    Change.WHEELCHAIR: "Le parcours n’est plus accessible en fauteuil.",
    Change.INTAKE: "La prochaine entrée est à une autre date.",
    Change.TRADE: "Le parcours ne prépare plus aux mêmes métiers.",
    Change.PLACE: "La structure change de commune.",
}
_STATES = {Kind.HELD: "Retenue en attente de réponse", Kind.CONFIRMED: "Retenue confirmée"}


@dataclass(frozen=True)
class Broken:
    """A hold that does not stay as it was made, and why."""

    hold: Hold
    fate: Fate
    changes: Sequence[Change]

    @property
    def said(self) -> str:
        """Why, to its prescriber."""
        return " ".join(SAID[change] for change in self.changes)

    @property
    def commitment(self) -> Commitment:
        """As the structure may see it; `when` is the day of arrival, or until when it has to answer."""
        when = self.hold.arrival_on or self.hold.expires_at
        return Commitment("hold", self.hold.hold_id, when, _STATES[Kind(self.hold.state)], self.fate)


def changes_of(before: Conditions, after: Conditions) -> list[Change]:
    """What other conditions change for whoever holds a seat."""
    found = {
        Change.CLOSED: before.open and not after.open,
        Change.AGE: after.age_min > before.age_min or after.age_max < before.age_max,
        Change.LEVEL: LEVELS.index(after.level_min) > LEVELS.index(before.level_min),
        Change.BOARDING: before.boarding and not after.boarding,
        Change.WHEELCHAIR: before.wheelchair_accessible and not after.wheelchair_accessible,
        Change.INTAKE: before.intake_on != after.intake_on,
        Change.TRADE: not set(before.rome_codes) <= set(after.rome_codes),
    }
    return [change for change, is_so in found.items() if is_so]


def broken(programme: Programme, changes: Sequence[Change]) -> list[Broken]:
    """The live holds that changes end, or leave otherwise than they were made."""
    found = [Broken(one, TABLE.fate_of(changes, Kind(one.state)), changes) for one in programme.live]
    return [one for one in found if one.fate is not Fate.STAYS]
