"""Of which release a report is: the last one that was known by a day and has the school year."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from common.pages import PARIS
from common.transaction import Transaction
from dropout_observatory.indicators import releases, shown
from dropout_observatory.indicators.definitions import Definition, definitions
from dropout_observatory.indicators.shelf import Shelf
from dropout_observatory.indicators.shown import View
from dropout_observatory.release import Release


class NoReleaseError(ValueError):
    """There is nothing to report on; the message says what to do."""


@dataclass(frozen=True)
class Edition:
    """A release as it stood on a day, which is the shelf's `today`, read for one school year. No clock is asked."""

    shelf: Shelf
    year: str

    @property
    def release(self) -> Release:
        """What every figure is of."""
        return self.shelf.release

    @property
    def as_of(self) -> date:
        """The day of the report."""
        return self.shelf.today

    @cached_property
    def views(self) -> dict[str, View]:
        """Every indicator that the release has of this school year, by name, in the order of the definitions."""
        found = ((one.name, self.view(one)) for one in definitions().values())
        return {name: view for name, view in found if view is not None}

    def view(self, one: Definition) -> View | None:
        """One of them."""
        return shown.view(one, self.release, self.shelf.weeks, self.year)


def checked_year(text: str) -> str:
    """A school year as it is written; raises `ValueError`."""
    found = re.fullmatch(r"(\d{4})-(\d{4})", text)
    if not found or int(found[2]) != int(found[1]) + 1:
        raise ValueError(f"{text!r} is no school year: write it as 2026-2027")
    return text


async def find(tx: Transaction, year: str, as_of: date) -> Edition:
    """The edition of a school year as of a day. Raises `NoReleaseError`.

    Of a day to come there is none: a release that is made until then would change it.
    """
    today = (await tx.now()).astimezone(PARIS).date()
    if as_of > today:
        raise NoReleaseError(
            f"{as_of} has not come yet, a release may still be made until then: give a day up to {today}"
        )
    heads = [one for one in await releases.heads(tx) if one.known_on <= as_of]
    for head in reversed(heads):
        text = await releases.text_of(tx, head.number)
        release = Release.read(text or "")
        if any(one.name.endswith(f"/{year}") for one in release.tables):
            return Edition(Shelf(tuple(heads), head, release, as_of), year)
    those = f"none of the {len(heads)} releases" if heads else "no release"
    raise NoReleaseError(
        f"{those} known on {as_of} or before has the school year {year}. `estuaire observatory releases` lists what there is, "
        "`estuaire observatory release --known-on DAY` makes one, of a day in that school year or the next"
    )
