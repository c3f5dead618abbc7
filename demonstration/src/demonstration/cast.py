"""Who plays: fictitious structures of the real kinds, their programmes, prescribers. Drawn by seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from territory import reference

SEED = 76
STRUCTURE_COUNT = 60
PRESCRIBER_COUNT = 40

# Kind: heading, share of the sixty, ages, programmes (title, ROME, level, seats).
_KINDS: dict[str, tuple[str, int, tuple[int, int], list[tuple[str, str, str]]]] = {
    "ECOLE_DE_PRODUCTION": (
        "École de production",
        11,
        (15, 18),
        [
            ("CAP Menuisier fabricant", "H2206", "NO_DIPLOMA"),
            ("CAP Métallier", "H2911", "NO_DIPLOMA"),
            ("CAP Conducteur d’installations", "H2906", "NO_DIPLOMA"),
            ("Bac pro Usinage, en atelier", "H2903", "BREVET"),
        ],
    ),
    "MICRO_LYCEE": (
        "Micro-lycée",
        10,
        (16, 25),
        [
            ("Reprise en seconde générale", "K2107", "BREVET"),
            ("Reprise en première STMG", "M1607", "BREVET"),
            ("Bac général en deux ans", "K2107", "BREVET"),
            ("Bac pro Commerce, reprise", "D1214", "BREVET"),
        ],
    ),
    "E2C": (
        "E2C",
        10,
        (16, 25),
        [
            ("Parcours métiers du soin", "J1501", "NO_DIPLOMA"),
            ("Parcours logistique et industrie", "N1103", "NO_DIPLOMA"),
            ("Parcours projet professionnel", "K1801", "NO_DIPLOMA"),
        ],
    ),
    "EPIDE": ("EPIDE", 3, (17, 25), [("Parcours volontaire, internat de semaine", "K1801", "NO_DIPLOMA")]),
    "MISSION_LOCALE": (
        "Mission locale",
        12,
        (16, 25),
        [
            ("Accompagnement intensif, 4 mois", "K1801", "NO_DIPLOMA"),
            ("Atelier découverte des métiers", "K1801", "NO_DIPLOMA"),
        ],
    ),
    "CFA": (
        "CFA",
        14,
        (15, 29),
        [
            ("Prépa-apprentissage bâtiment", "F1703", "NO_DIPLOMA"),
            ("CAP Cuisine, entrée décalée", "G1602", "NO_DIPLOMA"),
            ("Prépa-apprentissage services", "K1304", "NO_DIPLOMA"),
            ("CAP Maçon, entrée décalée", "F1703", "NO_DIPLOMA"),
        ],
    ),
}
_PLACES = [
    "des Trois Marées",
    "du Grand Quai",
    "de la Falaise",
    "du Vieux Phare",
    "des Embruns",
    "du Petit Bocage",
    "de la Boucle",
    "des Peupliers",
    "du Banc de Sable",
    "de la Passerelle",
    "des Aulnes",
    "du Long Rivage",
    "de la Corderie",
    "des Sablons",
    "du Moulin Bleu",
    "de l’Écluse",
    "des Goélands",
    "du Verger",
    "de la Dune",
    "des Quatre Vents",
    "du Chenal",
    "de la Voilerie",
    "des Roseaux",
    "du Haut Pré",
    "de la Balise",
    "des Tilleuls",
    "du Fournil",
    "de la Craie",
    "du Marais Vert",
    "des Pommiers",
    "de l’Estran",
    "du Belvédère",
    "des Filatures",
    "de la Halle",
    "du Grand Large",
    "de la Tannerie",
    "des Saules",
    "du Cap Gris",
    "de la Verrerie",
    "des Lavandières",
    "du Port Sec",
    "de la Cale",
    "des Hauts Vents",
    "du Clos Neuf",
    "de la Briqueterie",
    "des Ormes",
    "du Pont Tournant",
    "de la Sente",
    "des Bouleaux",
    "du Gué",
    "de l’Anse",
    "des Marelles",
    "du Sémaphore",
    "de la Pointe Claire",
    "des Charmes",
    "du Bassin",
    "de la Meunerie",
    "des Noisetiers",
    "du Ruisseau",
    "des Brisants",
]
_NOT_THE_REGION = {"200040277"}  # intercommunalities that are mostly elsewhere


@dataclass
class Programme:
    """A programme as the demonstration plays it: what is public, and how many are really inside."""

    programme_id: UUID
    structure: Structure
    body: dict[str, Any]
    total_count: int
    taken_count: int


@dataclass(frozen=True)
class Structure:
    """A fictitious structure. `silence` is how lazily it declares: 0 every few days, 1 hardly ever."""

    structure_id: UUID
    structure_name: str
    kind: str
    commune_code: str
    silence: float

    @property
    def persona(self) -> str:
        """Its account at the development issuer."""
        return f"partner-{self.structure_id.hex[:6]}"


def identity(*parts: object) -> UUID:
    """The same identity for the same words, run after run."""
    return uuid5(NAMESPACE_URL, "urn:estuaire:demonstration:" + "/".join(str(part) for part in parts))


def structures(seed: int = SEED) -> list[Structure]:
    """Sixty structures over the five departments, more where more people live, one at least in every department."""
    draw = random.Random(seed)  # noqa: S311 - a play, not a secret
    towns = [c for c in reference.communes().values() if c.population >= 4000 and c.epci_siren not in _NOT_THE_REGION]
    kinds = [kind for kind, (_, number, _, _) in _KINDS.items() for _ in range(number)]
    places = list(_PLACES)
    draw.shuffle(kinds)
    draw.shuffle(places)
    chosen = [
        max((town for town in towns if town.department_code == code), key=lambda town: town.population)
        for code in sorted(reference.departments())
    ]
    while len(chosen) < STRUCTURE_COUNT:
        chosen.append(draw.choices(towns, weights=[town.population**0.75 for town in towns])[0])
    return [
        Structure(
            identity("structure", seed, number), f"{_KINDS[kind][0]} {place}", kind, town.code, draw.random() ** 2
        )
        for number, (kind, place, town) in enumerate(zip(kinds, places, chosen, strict=True))
    ]


def programmes(cast: list[Structure], today: date, seed: int = SEED) -> list[Programme]:
    """One to three programmes for each structure, with conditions that differ."""
    draw = random.Random(seed + 1)  # noqa: S311
    found = []
    for structure in cast:
        _, _, (age_min, age_max), titles = _KINDS[structure.kind]
        for title, rome, level in draw.sample(titles, min(len(titles), draw.choice((1, 1, 2, 2, 3)))):
            total = draw.choice((8, 10, 12, 12, 15, 15, 18, 20, 24))
            intake = draw.choice(
                (None, None, date(today.year + 1, 1, 4), date(today.year, 12, 14), date(today.year + 1, 2, 1))
            )
            body = {
                "title": title,
                "rome_codes": [rome],
                "age_min": age_min,
                "age_max": age_max,
                "level_min": level,
                "boarding": structure.kind == "EPIDE" or draw.random() < 0.15,
                "wheelchair_accessible": draw.random() < 0.55,
                "intake_on": intake.isoformat() if intake else None,
            }
            found.append(
                Programme(
                    identity("programme", structure.structure_id, title),
                    structure,
                    body,
                    total,
                    round(total * draw.uniform(0.5, 1.0)),
                )
            )
    return found


def personas(cast: list[Structure], seed: int = SEED) -> dict[str, dict[str, Any]]:
    """Accounts of the development issuer: the agency, an operator, prescribers, one partner per structure."""
    draw = random.Random(seed + 3)  # noqa: S311
    jobs = (
        "psychologue de l’éducation nationale",
        "conseiller MLDS",
        "conseillère de mission locale",
        "professeure principale",
    )
    colleges = draw.sample(reference.schools(), PRESCRIBER_COUNT)
    found: dict[str, dict[str, Any]] = {
        "agency": {
            "label": "Agence régionale de l’orientation (fictif)",
            "sub": "agency",
            "roles": ["agency"],
            "name": "Agence",
        },
        "operator": {"label": "Exploitante (fictif)", "sub": "operator", "roles": ["operator"], "name": "Exploitante"},
    }
    for number in range(1, PRESCRIBER_COUNT + 1):
        key, job, college = f"prescriber-{number:02d}", jobs[number % len(jobs)], colleges[number - 1]
        where = (
            f", {college.title} ({reference.communes()[college.commune_code].title})"
            if job.startswith("profess")
            else ""
        )
        found[key] = {
            "label": f"Prescriptrice {number:02d}, {job}{where} (fictif)",
            "sub": key,
            "roles": ["prescriber"],
            "email": f"{key}@prescripteurs.example",
            "name": f"Prescriptrice {number:02d}",
        }
    for structure in cast:
        found[structure.persona] = {
            "label": f"{structure.structure_name}, {reference.communes()[structure.commune_code].title} (fictif)",
            "sub": structure.persona,
            "roles": ["partner"],
            "structure_id": str(structure.structure_id),
            "email": f"{structure.persona}@structures.example",
            "name": structure.structure_name,
        }
    return found
