"""What a technical platform is equipped for, with the trades that use it, and the safety habilitations that it may ask for.

Source: the product's own list, after the specialities of the Region's lycées professionnels and CFA; trades by ROME 4.0.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Equipment:
    """A kind of equipment: its code, French title, and the ROME codes of the trades that use it."""

    code: str
    title: str
    rome_codes: tuple[str, ...]


EQUIPMENT = {
    one.code: one
    for one in (
        Equipment("agroequipement", "Agroéquipement et machines agricoles", ("A1101", "A1416")),
        Equipment("audiovisuel", "Studio son et image", ("L1507", "L1508")),
        Equipment("automobile", "Atelier automobile", ("I1604",)),
        Equipment("boulangerie", "Fournil et laboratoire de pâtisserie", ("D1102", "D1104")),
        Equipment("carrosserie", "Carrosserie et peinture automobile", ("I1606",)),
        Equipment("chaudronnerie", "Chaudronnerie et tôlerie", ("H2902",)),
        Equipment("coiffure", "Salon de coiffure", ("D1202",)),
        Equipment("couture", "Atelier de couture et de mode", ("B1805", "H2402")),
        Equipment("cuisine", "Cuisine professionnelle et salle de restaurant", ("G1602", "G1803")),
        Equipment("electricite", "Électricité et domotique", ("F1602",)),
        Equipment("electronique", "Électronique et câblage", ("H1209", "H2602")),
        Equipment("engins", "Conduite d’engins et de chariots", ("F1302", "N1101")),
        Equipment("espaces-verts", "Aménagement paysager", ("A1203",)),
        Equipment("esthetique", "Cabine d’esthétique", ("D1208",)),
        Equipment("froid-thermique", "Froid, climatisation et chauffage", ("F1603", "I1306")),
        Equipment("imprimerie", "Impression et arts graphiques", ("E1308",)),
        Equipment("informatique", "Réseaux, systèmes et développement", ("M1801", "M1805", "I1401")),
        Equipment("laboratoire", "Laboratoire d’analyse", ("H1503",)),
        Equipment("logistique", "Plateforme logistique", ("N1103",)),
        Equipment("maconnerie", "Maçonnerie et gros œuvre", ("F1703",)),
        Equipment("maintenance", "Maintenance de lignes de production", ("I1304", "I1310")),
        Equipment("menuiserie", "Menuiserie et charpente bois", ("H2206", "F1501")),
        Equipment("prototypage", "Fabrication numérique et impression 3D", ("H1203", "H2903")),
        Equipment("robotique", "Robotique et automatismes", ("I1304", "H1208")),
        Equipment("soin", "Chambre de soins et de simulation", ("J1501", "K1302")),
        Equipment("soudage", "Soudage et tuyauterie", ("H2913", "H2914")),
        Equipment("usinage", "Usinage et machines à commande numérique", ("H2903",)),
    )
}

HABILITATIONS = {
    "autoclave": "Conduite d’autoclave",
    "caces-r482": "CACES R482, engins de chantier",
    "caces-r484": "CACES R484, ponts roulants",
    "caces-r489": "CACES R489, chariots de manutention",
    "electrique": "Habilitation électrique (NF C 18-510)",
    "fluides": "Manipulation de fluides frigorigènes",
    "hauteur": "Travail en hauteur (R408)",
    "hygiene": "Hygiène alimentaire (HACCP)",
    "sst": "Sauveteur secouriste du travail",
}


def equipment_title(code: str) -> str:
    """Its French title; the code itself when the list does not know it."""
    return EQUIPMENT[code].title if code in EQUIPMENT else code


def checked_habilitation(code: str) -> str:
    """A habilitation of the list; `ValueError` for another."""
    if code not in HABILITATIONS:
        raise ValueError(f"habilitation inconnue : {code[:40]}")
    return code
