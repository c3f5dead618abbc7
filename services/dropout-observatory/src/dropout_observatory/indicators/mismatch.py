"""The mismatch map: free seats within reach beside those who wait, from two indicators of one release. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from dropout_observatory.indicators.catalogue import label
from dropout_observatory.indicators.shown import View, siren_of
from dropout_observatory.release import Figure


@dataclass(frozen=True)
class Beside:
    """The seats that are free within reach of a place, and those who wait there."""

    code: str
    label: str
    seats: Figure
    waiting: Figure


@dataclass(frozen=True)
class Mismatch:
    """What free seats and those who wait tell together. `wait`: where somebody does, the most first; `hidden`: how many places do not say who waits."""

    places: tuple[Beside, ...]
    wait: tuple[Beside, ...]
    hidden: int

    @property
    def both(self) -> tuple[Beside, ...]:
        """Where somebody waits and seats are free within reach."""
        return tuple(one for one in self.wait if one.seats.value)

    @property
    def without(self) -> tuple[Beside, ...]:
        """Where somebody waits and none is."""
        return tuple(one for one in self.wait if not one.seats.value)

    def at(self, code: str) -> Beside:
        """Of one place."""
        return next(one for one in self.places if one.code == code)


def mismatch(seats: View, waiting: View | None) -> Mismatch | None:
    """Both beside each other, by intercommunality, the Region first; None where the release has only one of them."""
    if seats.place != "reach" or waiting is None or waiting.year != seats.year:
        return None
    places = [
        Beside(code, label("reach", code), seats.at(reach=code), waiting.at(territory=code, path="waiting"))
        for code in seats.codes("reach")
    ]
    epcis = [one for one in places if siren_of(one.code)]
    wait = sorted((one for one in epcis if one.waiting.value), key=lambda one: -(one.waiting.value or 0))
    return Mismatch(
        tuple(places),
        tuple(wait),
        sum(one.waiting.value is None for one in epcis),
    )
