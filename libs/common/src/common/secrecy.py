"""Statistical secrecy: below so many people a number says who they are."""

from __future__ import annotations

PEOPLE_MIN = 11


def shown(people: int) -> int | None:
    """A count of people, or None when it is too small to be said; nobody at all is not said either."""
    return people if people >= PEOPLE_MIN else None
