"""The releases for whoever reads: which one was asked for, and the chain around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

from common.failures import Refusal
from common.pages import PARIS
from common.transaction import Transaction
from dropout_observatory.indicators import releases, shown
from dropout_observatory.indicators.definitions import definitions
from dropout_observatory.indicators.releases import Head
from dropout_observatory.indicators.shown import Compared, View
from dropout_observatory.release import Release

_NUMBER_MAX = 99_999


@dataclass(frozen=True)
class Shelf:
    """A release with every other one's head, the first one first, and the day on which somebody reads."""

    heads: tuple[Head, ...]
    head: Head
    release: Release
    today: date

    @property
    def newest(self) -> bool:
        """Whether it is the last one."""
        return self.head == self.heads[-1]

    @property
    def weeks(self) -> Mapping[int, str]:
        """Of each release by its number, "S47"."""
        return {one.number: shown.week(one.known_on) for one in self.heads}

    @property
    def before(self) -> Mapping[str, Mapping[str, Any]]:
        """The definitions of the release before this one, or none."""
        return self.heads[self.head.number - 2].definitions if self.head.number > 1 else {}


@lru_cache(maxsize=8)
def _read(text: str) -> Release:
    return Release.read(text)


async def look(tx: Transaction, asked: str) -> Shelf | Refusal | None:
    """The release of a number as an address has it, the last one where it has none; None before the first."""
    heads = await releases.heads(tx)
    if asked and not (asked.isascii() and asked.isdigit() and 0 < int(asked[:6]) <= len(heads)):
        last = f"le dernier est le {heads[-1].number}" if heads else "aucun n’est publié encore"
        return Refusal("unknown_release", f"Il n’y a pas de relevé {asked[:20]} : {last}.")
    if not heads:
        return None
    head = heads[int(asked) - 1] if asked else heads[-1]
    text = await releases.text_of(tx, head.number)
    if text is None:
        raise LookupError(f"release {head.number} has no text")
    return Shelf(tuple(heads), head, _read(text), (await tx.now()).astimezone(PARIS).date())


async def text_of(tx: Transaction, number: int) -> str | None:
    """The frozen text of a release, or None where there is none of that number."""
    return await releases.text_of(tx, number) if 0 < number <= _NUMBER_MAX else None


def year_before(one: View, at: Shelf) -> View | None:
    """The same indicator a school year earlier, in the same release."""
    begins = int(one.year[:4])
    return shown.view(one.definition, at.release, at.weeks, f"{begins - 1}-{begins}")


def waiting(one: View, at: Shelf) -> View | None:
    """Who waits, in the same release and school year, beside what is within reach of places; None for any other indicator."""
    known = definitions().get("cases-waiting") if one.place == "reach" else None
    return shown.view(known, at.release, at.weeks, one.year) if known else None


def beside(one: View, at: Shelf) -> list[Compared]:
    """Observed against expected, from two other indicators of the same release."""
    known = definitions()
    pupils, cases = (
        shown.view(known[name], at.release, at.weeks, one.year) if name in known else None
        for name in ("pupils-by-context", "cases-by-epci")
    )
    return shown.compared(one, pupils, cases)
