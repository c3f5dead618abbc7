"""The public pages of the indicators, for whoever comes, and the data dictionary. They read frozen releases, and no case."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import HTTPException, Request
from fastapi.responses import Response

from common.desk import Desk, Routes
from common.failures import Refusal
from dropout_observatory.indicators import shelf, shown
from dropout_observatory.indicators.catalogue import label
from dropout_observatory.indicators.definitions import Definition, definitions
from dropout_observatory.indicators.mismatch import mismatch
from dropout_observatory.indicators.references import references
from dropout_observatory.indicators.shelf import Shelf
from dropout_observatory.lake import dictionary
from dropout_observatory.lake.contents import records
from territory import maps

# The list's order and headings; an indicator that is in none of them stands at its end.
_GROUPS = {
    "Combien, où, quand": ("cases-by-epci", "cases-by-month", "path-by-department"),
    "Pourquoi": ("cases-by-factor", "factors-by-level", "cases-by-context", "pupils-by-context"),
    "Et après": (
        "cases-waiting",
        "free-seats",
        "first-offer-delay",
        "presence-at-3-months",
        "presence-at-6-months",
        "outcomes",
        "cases-linked",
    ),
    "Avant : qui est atteint": ("internship-pupils", "internship-priority", "event-groups", "event-priority"),
}
# What a stranger is shown at the door.
AT_THE_DOOR = ("cases-by-epci", "first-offer-delay", "cases-waiting")
# Beside these the strategy's figures are drawn.
_WITH_REFERENCES = ("cases-by-epci", "cases-by-month", "cases-by-context")
_SHADES = ("c1", "c2", "c3", "c4", "c5")
_DARK = ("c4", "c5")
_SEATS = "/places"


class IndicatorDesk(Desk):
    """The pages that nobody needs to log in for."""

    def routes(self) -> Routes:
        """Path to what answers it."""
        return {
            "/indicateurs": self.index,
            "/indicateurs/{name}": self.indicator,
            "/dictionnaire": self.dictionary,
            "/map.svg": maps.outlines_svg,
        }

    async def index(self, request: Request) -> Response:
        """Every indicator with its first number."""
        found = await self._look(request)
        listed = [(heading, await self._cards(names, found)) for heading, names in self._groups()]
        facts = self._frame(found) | {"groups": listed, "references": references()}
        return self.page(request, "indicators.html", self.identity.session(request), **facts)

    async def indicator(self, request: Request, name: str) -> Response:
        """An indicator: its number first, then plot, map, table, and its definition beside them."""
        definition = definitions().get(name)
        if definition is None:
            raise HTTPException(404, "Il n’y a pas d’indicateur de ce nom. Voyez la liste des indicateurs.")
        found = await self._look(request)
        year = request.query_params.get("annee", "")
        view = shown.view(definition, found.release, found.weeks, year) if found else None
        if found and view is None and year:
            raise HTTPException(404, f"Le relevé {found.head.number} n’a pas cet indicateur pour cette année scolaire.")
        facts = self._frame(found) | {"definition": definition, "view": view}
        if found and view:
            chosen = self._chosen(request, view)
            facts |= await asyncio.to_thread(self._told, found, view, chosen)
        return self.page(request, "indicator.html", self.identity.session(request), **facts)

    async def dictionary(self, request: Request) -> Response:
        """Every field that the lake has, from the contracts, with its class of personal data."""
        datasets = records(self.runtime.contracts)
        facts: dict[str, Any] = {"described": dictionary.described(datasets), "classes": dictionary.CLASSES}
        return self.page(request, "dictionary.html", self.identity.session(request), **facts)

    async def door(self) -> dict[str, Any]:
        """What the first page shows a stranger."""
        async with self.database.transaction() as tx:
            found = await shelf.look(tx, "")
        at = found if isinstance(found, Shelf) else None
        return self._frame(at) | {"cards": await self._cards(AT_THE_DOOR, at)}

    # -- what a page is told

    async def _look(self, request: Request) -> Shelf | None:
        async with self.database.transaction() as tx:
            found = await shelf.look(tx, request.query_params.get("releve", ""))
        if isinstance(found, Refusal):
            raise HTTPException(404, found.detail)
        return found

    def _frame(self, found: Shelf | None) -> dict[str, Any]:
        return {
            "shelf": found,
            "asked": f"?releve={found.head.number}" if found and not found.newest else "",
            "shown": shown,
            "label": label,
        }

    def _groups(self) -> list[tuple[str, list[str]]]:
        known = definitions()
        groups = [(heading, [name for name in names if name in known]) for heading, names in _GROUPS.items()]
        rest = [name for name in known if not any(name in names for names in _GROUPS.values())]
        return [*groups, *([("Autres", rest)] if rest else [])]

    async def _cards(self, names: Any, found: Shelf | None) -> list[tuple[Definition, Any, Any]]:
        cards = []
        for name in names:
            view = shown.view(definitions()[name], found.release, found.weeks) if found else None
            first = shown.first(view, view.totals[view.choice] if view.choice else "") if view else None
            cards.append((definitions()[name], view, first))
        return cards

    def _chosen(self, request: Request, view: shown.View) -> str:
        """The code that is looked at; an unknown one is the whole, so that an old link never fails."""
        if view.choice is None:
            return ""
        asked = request.query_params.get(shown.CHOICES[view.choice], "")
        return asked if asked in view.choosable else view.totals[view.choice]

    def _told(self, found: Shelf, view: shown.View, chosen: str) -> dict[str, Any]:
        name, names = view.definition.name, view.table.dimensions
        waiting = shelf.waiting(view, found)
        delays = [(code, shown.delays(view, code)) for code in view.choosable] if "delay" in names else []
        return {
            "chosen": chosen,
            "years": shown.school_years(name, found.release),
            "first": shown.first(view, chosen),
            "bars": shown.bars(view, chosen),
            "delays": delays,
            "watched": shown.watched(view, shelf.year_before(view, found)) if "month" in names else {},
            "compared": shelf.beside(view, found) if names == ("context",) else [],
            "messages": shown.messages(view, found.head.definitions, found.before, found.today, newest=found.newest),
            "references": references() if name in _WITH_REFERENCES else None,
            "seats": next(
                (link.address for link in self.runtime.settings.navigation if link.address.endswith(_SEATS)), ""
            ),
            "mismatch": mismatch(view, waiting),
            "waiting": waiting,
            "map": _map(view, waiting),
        }


def _map(view: shown.View, waiting: shown.View | None) -> dict[str, Any] | None:
    """What the map of intercommunalities shows: classes, numbers, what is secret and what is old.

    Colour and number are of one figure; where those who wait stand beside it, the number is theirs.
    """
    coloured, told = view.by_epci(), waiting or view
    if not coloured:
        return None
    numbers = told.by_epci()
    known = {siren: figure.value for siren, figure in coloured.items() if figure.value is not None}
    bounds = shown.bounds(list(known.values()))
    shades = {siren: _SHADES[sum(value >= bound for bound in bounds)] for siren, value in known.items()}
    secret = [siren for siren, figure in numbers.items() if figure.value is None]
    old = {siren: told.weeks.get(one.as_of or 0, "") for siren, one in numbers.items() if told.is_old(one)}
    dark = {siren for siren, shade in shades.items() if shade in _DARK}
    published = {siren: round(one.value) for siren, one in numbers.items() if one.value is not None}
    labels = maps.labels(published, dark, old)

    def said(siren: str) -> str:
        figure = numbers[siren]
        number = "secret" if figure.value is None else shown.number(figure.value)
        words = f"{number}{f', du relevé {old[siren]}' if siren in old else ''}"
        if waiting is None:
            return words if figure.value is None else words.replace(number, f"{number} {view.definition.unit}", 1)
        return f"{shown.number(known[siren])} places libres à portée ; en attente : {words}"

    return {
        "tints": {siren: (shades.get(siren, "cs"), said(siren)) for siren in coloured},
        "labels": labels,
        "locks": maps.marks(secret, labels, dark),
        "legend": shown.classes(bounds),
        "secret": len(secret),
        "old": len(old),
        "facts": maps.region("")["facts"],
    }
