"""The whole region's week in a workplace: 15,000 fictitious offers, and the real collèges' pupils of grade 9 with fictitious wishes.

Counts of pupils by school and sex are real (2021); homes, wishes, hosts and seats are drawn by seed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache

from territory import reference
from territory.identifiers import siret_is_valid
from territory.weeks import week_of

SEED = 1414
OFFER_COUNT = 15_000
PUPIL_COLUMNS = ("uai", "classe", "eleve", "sexe", "age", "commune_insee", "rayon_km", "semaine", "duree", "voeux")
OFFER_COLUMNS = (
    "siret",
    "organisme",
    "type",
    "intitule",
    "nature",
    "rome",
    "commune_insee",
    "publics",
    "age_min",
    "places",
)
_CLASS_SIZE = 26
_WEEK_COUNT = 10

# Trades shown, with the share of offers, and how many girls and boys wish for the family (out of a thousand wishes).
TRADES: tuple[tuple[str, str, str, int, int, int], ...] = (
    ("Garage automobile", "I1604", "I16", 60, 6, 70),
    ("Atelier de menuiserie", "H2206", "H22", 40, 8, 34),
    ("Bureau d’études mécaniques", "H1203", "H12", 25, 8, 26),
    ("Atelier de mécanique", "H2909", "H29", 40, 6, 38),
    ("Électricité du bâtiment", "F1602", "F16", 50, 6, 52),
    ("Chantier de maçonnerie", "F1703", "F17", 40, 3, 34),
    ("Cabinet d’architecture", "F1101", "F11", 20, 30, 24),
    ("Développement informatique", "M1805", "M18", 50, 16, 96),
    ("Service comptable", "M1203", "M12", 40, 26, 16),
    ("Secrétariat", "M1607", "M16", 40, 24, 6),
    ("Ressources humaines", "M1502", "M15", 20, 22, 8),
    ("Pharmacie", "J1202", "J12", 30, 56, 16),
    ("Soins infirmiers", "J1506", "J15", 50, 96, 14),
    ("Cabinet de kinésithérapie", "J1404", "J14", 20, 40, 34),
    ("Cabinet médical", "J1102", "J11", 15, 50, 22),
    ("Crèche", "K1202", "K12", 50, 84, 8),
    ("Aide à domicile", "K1304", "K13", 30, 26, 3),
    ("École élémentaire", "K2106", "K21", 60, 92, 24),
    ("Office notarial", "K1901", "K19", 20, 36, 18),
    ("Gendarmerie et secours", "K1705", "K17", 25, 20, 46),
    ("Médiathèque", "K1602", "K16", 25, 22, 8),
    ("Boulangerie", "D1102", "D11", 60, 26, 30),
    ("Salon de coiffure", "D1202", "D12", 50, 62, 10),
    ("Vente en magasin", "D1214", "D12", 60, 0, 0),
    ("Grande surface", "D1507", "D15", 50, 14, 16),
    ("Agence immobilière", "C1504", "C15", 25, 22, 18),
    ("Agence bancaire", "C1206", "C12", 20, 10, 14),
    ("Cuisine de restaurant", "G1602", "G16", 60, 26, 40),
    ("Service en salle", "G1803", "G18", 40, 12, 12),
    ("Office de tourisme", "G1101", "G11", 15, 16, 6),
    ("Centre équestre", "A1501", "A15", 30, 48, 4),
    ("Clinique vétérinaire", "A1504", "A15", 20, 0, 0),
    ("Exploitation agricole", "A1416", "A14", 60, 12, 40),
    ("Paysagiste", "A1203", "A12", 25, 5, 22),
    ("Rédaction d’un journal", "E1106", "E11", 15, 18, 12),
    ("Studio audiovisuel", "E1205", "E12", 20, 26, 30),
    ("Salle de spectacle", "L1301", "L13", 12, 14, 8),
    ("Transport routier", "N4101", "N41", 30, 3, 20),
    ("Plateforme logistique", "N1103", "N11", 35, 3, 12),
    ("Port et navigation", "N3102", "N31", 10, 4, 14),
)
_SIZES = ("entreprise", "entreprise", "artisan", "administration", "association")


def weeks_from(today: date) -> list[str]:
    """Ten school weeks, eight weeks ahead."""
    monday = today + timedelta(weeks=8, days=-today.weekday())
    return [week_of(monday + timedelta(weeks=number)) for number in range(_WEEK_COUNT)]


def offers(today: date, count: int = OFFER_COUNT, seed: int = SEED) -> Iterator[tuple[str, ...]]:
    """Lines of a table of offers: spread by the communes' population, each open in a few of the weeks."""
    rng = random.Random(seed)  # noqa: S311 - a play, not a secret
    codes = sorted(reference.communes())
    population = [reference.communes()[code].population for code in codes]
    weeks = weeks_from(today)
    shares = [trade[3] for trade in TRADES]
    for number in range(count):
        (code,) = rng.choices(codes, population)
        ((title, rome, *_),) = rng.choices(TRADES, shares)
        seats = ", ".join(
            f"{week}:{rng.choice((1, 1, 1, 2, 2, 3))}" for week in sorted(rng.sample(weeks, rng.randint(1, 4)))
        )
        place = reference.communes()[code].title
        yield (
            siret(number),
            f"{title} {place} {number + 1}",
            rng.choice(_SIZES),
            f"{title} à {place}",
            "observation",
            rome,
            code,
            "eleve",
            "14",
            seats,
        )


def pupils(today: date, seed: int = SEED, schools: int | None = None) -> Iterator[tuple[str, ...]]:
    """Lines of a table of pupils: each collège in its own week, homes around it, three to eight trades wished for."""
    rng = random.Random(seed + 1)  # noqa: S311
    weeks = weeks_from(today)
    families = list(dict.fromkeys(trade[2] for trade in TRADES))
    liked = {
        "F": [sum(trade[4] for trade in TRADES if trade[2] == family) for family in families],
        "M": [sum(trade[5] for trade in TRADES if trade[2] == family) for family in families],
    }
    for school in [s for s in reference.schools() if s.grade9_count][:schools]:
        week = rng.choice(weeks)
        people = ["F"] * school.grade9_girls_count + ["M"] * school.grade9_boys_count
        rng.shuffle(people)
        homes, weights = _homes(school.commune_code)
        for number, sex in enumerate(people):
            group = f"3{chr(ord('A') + number // _CLASS_SIZE)}"
            wanted = list(dict.fromkeys(rng.choices(families, liked[sex], k=rng.randint(3, 8))))
            yield (
                school.uai,
                group,
                f"{group}-{number % _CLASS_SIZE + 1:02d}",
                sex,
                rng.choice(("14", "14", "14", "15")),
                rng.choices(homes, weights)[0],
                rng.choice(("15", "30", "30")),
                week,
                "1",
                ", ".join(wanted),
            )


def siret(number: int) -> str:
    """A fictitious SIRET with a right key: no SIREN begins by 000."""
    head = f"000{number:010d}"
    return next(f"{head}{key}" for key in range(10) if siret_is_valid(f"{head}{key}"))


@cache
def _homes(code: str) -> tuple[list[str], list[float]]:
    near = reference.communes_within(code, 12)
    return [one for _, one in near], [reference.communes()[one].population / (1 + km) for km, one in near]
