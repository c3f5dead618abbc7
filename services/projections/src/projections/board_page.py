"""What a page of the seat board shows for one set of filters: pure functions over the read model's rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from common.pages import count
from common.query import texts
from projections.region_map import Territory
from projections.rows import Row
from territory import places, reference

PAGE_COUNT = 8

KINDS = {
    "ECOLE_DE_PRODUCTION": ("École de production", "wrench"),
    "MICRO_LYCEE": ("Micro-lycée", "book"),
    "E2C": ("École de la 2e chance", "path"),
    "EPIDE": ("EPIDE", "flag"),
    "MISSION_LOCALE": ("Mission locale", "compass"),
    "CFA": ("CFA", "case"),
}
CONDITIONS = {
    "sans-diplome": "Sans diplôme",
    "internat": "Internat",
    "fauteuil": "Accès fauteuil",
    "permanente": "Entrée permanente",
}
SORTS = {"libres": "places libres", "distance": "distance (à vol d’oiseau)", "fraicheur": "déclaration la plus récente"}
LEVELS = {
    "NO_DIPLOMA": "sans diplôme exigé",
    "BREVET": "brevet demandé",
    "CAP": "CAP demandé",
    "BACCALAUREAT": "baccalauréat demandé",
}


@dataclass(frozen=True)
class Filters:
    """The filters of an address; unknown values were dropped when it was read, so an old link never fails."""

    territory: str = ""
    commune: places.Place = places.NOWHERE
    age: int | None = None
    kinds: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    sort: str = "libres"
    shown: int = PAGE_COUNT

    @classmethod
    def read(cls, query: Any) -> Filters:
        """From a query string (multi-valued mapping)."""
        territory = query.get("territoire", "")
        age = query.get("age", "")
        shown = query.get("n", "")
        commune = places.find(texts(query).get("commune", ""))
        sort = query.get("tri", "")
        return cls(
            territory=territory if territory in reference.departments() or territory in reference.epcis() else "",
            commune=commune,
            age=int(age) if age.isascii() and age.isdigit() and 14 <= int(age[:4]) <= 99 else None,
            kinds=tuple(kind for kind in KINDS if kind in query.getlist("genre")),
            conditions=tuple(name for name in CONDITIONS if name in query.getlist("condition")),
            sort=sort if sort in SORTS else "distance" if commune.code else "libres",
            shown=min(int(shown), 500)
            if shown.isascii() and shown.isdigit() and len(shown) < 5 and int(shown) >= PAGE_COUNT
            else PAGE_COUNT,
        )

    def address(self, **changes: Any) -> str:
        """The same filters, some changed, as a query string."""
        wanted = replace(self, **changes)
        pairs: list[tuple[str, str]] = []
        pairs += [("territoire", wanted.territory)] if wanted.territory else []
        pairs += [("commune", wanted.commune.label)] if wanted.commune.typed else []
        pairs += [("age", str(wanted.age))] if wanted.age else []
        pairs += [("genre", kind) for kind in wanted.kinds] + [("condition", name) for name in wanted.conditions]
        pairs += [("tri", wanted.sort)] if wanted.sort != Filters.sort else []
        pairs += [("n", str(wanted.shown))] if wanted.shown != PAGE_COUNT else []
        return "?" + urlencode(pairs)


@dataclass(frozen=True)
class Board:
    """Everything the template needs of the rows."""

    programmes: list[Row]
    more_count: int
    free_count: int
    open_count: int
    excluded: list[str]
    territories: dict[str, Territory]
    table: list[tuple[str, Territory]]
    lifts: list[tuple[str, str, int]]
    changes: list[Row]


def _why_excluded(row: Row, filters: Filters) -> str | None:
    if filters.age is not None and not row["age_min"] <= filters.age <= row["age_max"]:
        return "hors âge"
    if filters.kinds and row["kind"] not in filters.kinds:
        return "d’un autre type"
    met = {
        "sans-diplome": row["level_min"] == "NO_DIPLOMA",
        "internat": row["boarding"],
        "fauteuil": row["wheelchair_accessible"],
        "permanente": row["intake_on"] is None,
    }
    return None if all(met[name] for name in filters.conditions) else "sans la condition demandée"


def _is_in(row: Row, territory: str) -> bool:
    return not territory or territory in (row["department_code"], row["epci_siren"])


def board(rows: Sequence[Row], filters: Filters) -> Board:
    """Filters, sorts, counts, and says what each filter excluded."""
    matching = [row for row in rows if _why_excluded(row, filters) is None]
    # Around a place that is not understood nothing is near.
    here = [row for row in matching if not filters.commune.problem and _is_in(row, filters.territory)]
    home = reference.communes().get(filters.commune.code)
    if home is not None:
        here = [{**row, "distance_km": home.km_to(reference.communes()[row["commune_code"]])} for row in here]
    reasons = Counter(why for row in rows if _is_in(row, filters.territory) and (why := _why_excluded(row, filters)))
    territories = _territories(matching)
    named = sorted(
        ((reference.epcis()[siren].title, territory) for siren, territory in territories.items()),
        key=lambda item: (-item[1].free_count, item[0]),
    )
    ordered = sorted(here, key=lambda row: _sort_key(row, filters.sort))
    return Board(
        programmes=ordered[: filters.shown],
        more_count=max(0, len(ordered) - filters.shown),
        free_count=sum(row["countable_free_count"] for row in here),
        open_count=sum(1 for row in here if row["countable_free_count"]),
        excluded=[f"{count} {why}" for why, count in sorted(reasons.items())],
        territories=territories,
        table=named,
        lifts=_lifts(rows, filters) if not here or not any(row["countable_free_count"] for row in here) else [],
        changes=sorted(rows, key=lambda row: (row["last_occurred_at"], str(row["programme_id"])), reverse=True)[:5],
    )


def _sort_key(row: Row, sort: str) -> tuple[Any, ...]:
    identity = (row["title"], str(row["programme_id"]))
    observed = -row["observed_at"].timestamp() if row["observed_at"] else 0.0
    match sort:
        case "distance" if "distance_km" in row:
            return (not row["countable_free_count"], round(row["distance_km"]), -row["countable_free_count"], *identity)
        case "fraicheur":
            return (observed, *identity)
        case _:
            return (-row["countable_free_count"], row["freshness"] in ("stale", "unknown"), *identity)


def _territories(rows: Sequence[Row]) -> dict[str, Territory]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row["epci_siren"] in reference.epcis():
            found.setdefault(row["epci_siren"], []).append(row)
    return {
        siren: Territory(
            free_count=sum(row["countable_free_count"] for row in members),
            structure_count=len({row["structure_id"] for row in members}),
            stale_only=all(row["freshness"] in ("stale", "unknown") for row in members),
        )
        for siren, members in found.items()
    }


def _lifts(rows: Sequence[Row], filters: Filters) -> list[tuple[str, str, int]]:
    """Which single filter, once lifted, opens something: label, address, seats."""
    candidates: list[tuple[str, dict[str, Any]]] = [
        ("Tous les types", {"kinds": ()}),
        ("Sans condition", {"conditions": ()}),
        ("Toute la Normandie", {"territory": ""}),
        ("Sans condition d’âge", {"age": None}),
    ]
    found = []
    for label, change in candidates:
        lifted = replace(filters, **change)
        seats = sum(
            row["countable_free_count"]
            for row in rows
            if _why_excluded(row, lifted) is None and _is_in(row, lifted.territory)
        )
        if lifted != filters and seats:
            found.append((label, filters.address(**change), seats))
    return found


# -- words


def change_text(row: Row) -> str:
    """What last happened to a programme, in words."""
    gained = row["free_change"]
    match row["last_record"]:
        case "SeatsDeclared":
            return f"{'+' if gained > 0 else '−'}{count(abs(gained), 'place')}" if gained else "déclaration confirmée"
        case "SeatHeld":
            return "1 retenue"
        case "HoldConfirmed":
            return "1 retenue confirmée"
        case "HoldExtended":
            return "1 retenue prolongée"
        case "YoungPersonAdmitted":
            return "1 admission"
        case "HoldEnded":
            return "1 retenue terminée"
        case _:
            return "parcours mis à jour"
