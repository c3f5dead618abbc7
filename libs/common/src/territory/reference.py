"""Communes and intercommunalities of Normandie, with distances as the crow flies.

Source: INSEE COG 2026, La Poste, DGCL, IGN Admin Express; see data/README.md for licences.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache, lru_cache
from math import asin, cos, floor, radians, sin, sqrt
from pathlib import Path

_DATA = Path(__file__).with_name("data")
# Of the official geographic code (COG) that the communes are of.
GEOGRAPHY_YEAR = 2026
_EARTH_RADIUS_KM = 6371.0088


@dataclass(frozen=True)
class Commune:
    """A commune in force: INSEE code, name, department code, EPCI SIREN, a point inside it (WGS84 degrees)."""

    code: str
    title: str
    department_code: str
    epci_siren: str
    population: int
    postal_codes: tuple[str, ...]
    latitude: float
    longitude: float

    def km_to(self, other: Commune) -> float:
        """Great-circle distance between the two points, in kilometres."""
        a, b = radians(self.latitude), radians(other.latitude)
        h = sin((b - a) / 2) ** 2 + cos(a) * cos(b) * sin(radians(other.longitude - self.longitude) / 2) ** 2
        return 2 * _EARTH_RADIUS_KM * asin(sqrt(h))


@dataclass(frozen=True)
class FormerCommune:
    """A commune that merged: its INSEE code, its name, and the commune in force that it is a part of."""

    code: str
    title: str
    commune_code: str


@dataclass(frozen=True)
class Epci:
    """An intercommunality with at least one Norman commune."""

    siren: str
    title: str


@dataclass(frozen=True)
class Department:
    """One of the five departments."""

    code: str
    title: str


@dataclass(frozen=True)
class School:
    """An open collège: UAI, commune, pupils of grade 9 by sex, whether it is of priority education (REP, REP+).

    `social_position_index` (IPS) is of 2023; None where the source has none.
    """

    uai: str
    title: str
    commune_code: str
    grade9_count: int
    grade9_girls_count: int
    grade9_boys_count: int
    priority_education: bool
    pupil_count: int
    social_position_index: float | None
    public: bool


def _rows(name: str) -> list[dict[str, str]]:
    with (_DATA / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@cache
def communes() -> dict[str, Commune]:
    """Every commune by INSEE code."""
    return {
        row["insee_code"]: Commune(
            code=row["insee_code"],
            title=row["name"],
            department_code=row["department_code"],
            epci_siren=row["epci_siren"],
            population=int(row["population"] or 0),
            postal_codes=tuple(row["postal_codes"].split()),
            latitude=float(row["latitude"]),
            longitude=float(row["longitude"]),
        )
        for row in _rows("communes.csv")
    }


@cache
def former_communes() -> tuple[FormerCommune, ...]:
    """Every former commune; its INSEE code may be in force still, as that of the commune that it became a part of."""
    return tuple(
        FormerCommune(row["insee_code"], row["name"], row["current_insee_code"]) for row in _rows("former_communes.csv")
    )


@cache
def epcis() -> dict[str, Epci]:
    """Every intercommunality by SIREN."""
    return {row["siren"]: Epci(row["siren"], row["name"]) for row in _rows("epci.csv")}


@cache
def departments() -> dict[str, Department]:
    """The five departments by code."""
    return {row["code"]: Department(row["code"], row["name"]) for row in _rows("departments.csv")}


@cache
def schools() -> tuple[School, ...]:
    """The open collèges."""
    return tuple(
        School(
            row["uai"],
            row["name"],
            row["insee_code"],
            int(row["grade9_pupils"] or 0),
            int(row["grade9_girls"] or 0),
            int(row["grade9_boys"] or 0),
            bool(row["priority_education"]),
            int(row["pupils"] or 0),
            float(row["social_position_index"]) if row["social_position_index"] else None,
            row["sector"] == "Public",
        )
        for row in _rows("schools.csv")
    )


@lru_cache(maxsize=1 << 18)
def km_between(one: str, other: str) -> float:
    """Kilometres between two communes by code, to 100 m, so that bands and orders are the same on every machine."""
    return round(communes()[one].km_to(communes()[other]), 1)


@cache
def communes_within(code: str, km: float) -> tuple[tuple[float, str], ...]:
    """The communes within so many kilometres of one, itself included: distance and code, nearest first."""
    centre = communes()[code]
    # Cells beyond the circle's box hold nothing: a degree of latitude is 111 km, of longitude less.
    tall, wide = km / 111 + 0.01, km / (111 * cos(radians(centre.latitude))) * 1.05 + 0.01
    found = []
    for row in range(_cell(centre.latitude - tall), _cell(centre.latitude + tall) + 1):
        for column in range(_cell(centre.longitude - wide), _cell(centre.longitude + wide) + 1):
            for other in _grid().get((row, column), ()):
                away = round(centre.km_to(other), 1)
                if away <= km:
                    found.append((away, other.code))
    return tuple(sorted(found))


def nearest_commune(latitude: float, longitude: float, km_max: float = 30) -> str:
    """The code of the commune whose centre is nearest to a point (WGS 84 degrees); an empty text when none is near."""
    here = Commune("", "", "", "", 0, (), latitude, longitude)
    found = min((round(here.km_to(one), 1), one.code) for one in communes().values())
    return found[1] if found[0] <= km_max else ""


_CELL_DEGREES = 0.1


def _cell(degrees: float) -> int:
    return floor(degrees / _CELL_DEGREES)


@cache
def _grid() -> dict[tuple[int, int], list[Commune]]:
    cells: dict[tuple[int, int], list[Commune]] = {}
    for commune in communes().values():
        cells.setdefault((_cell(commune.latitude), _cell(commune.longitude)), []).append(commune)
    return cells


@cache
def priority_schools() -> frozenset[str]:
    """The UAI of the schools of priority education."""
    return frozenset(school.uai for school in schools() if school.priority_education)


def contours(name: str) -> Path:
    """The GeoJSON file of "epci" or "departments"."""
    return _DATA / f"{name}.geojson"


def commune_label(code: str) -> str:
    """ "Rouen (76)", or an empty text for a code that is not there."""
    commune = communes().get(code)
    return f"{commune.title} ({commune.department_code})" if commune else ""
