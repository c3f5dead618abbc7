"""The words of this service's pages and mails."""

from __future__ import annotations

from common.pages import Pages
from territory import places, reference

KINDS = {
    "AGENCY": "Agence régionale de l’orientation",
    "SCHOOL": "Établissement scolaire",
    "TRAINING_BODY": "CFA ou organisme de formation",
    "REMEDIATION_STRUCTURE": "Structure de remédiation",
    "PRESCRIBER": "Prescripteur (mission locale, CIO…)",
    "PSAD": "Plateforme de suivi (PSAD)",
    "HOST": "Organisme d’accueil",
    "PLATFORM_OWNER": "Propriétaire de plateaux techniques",
    "COMPANY": "Entreprise",
    "ADMINISTRATION": "Administration",
    "ASSOCIATION": "Association",
}
ROLES = {
    "AGENCY": "Agence",
    "COORDINATOR": "Coordination d’un territoire",
    "OPERATOR": "Exploitation technique",
    "SCHOOL": "Établissement : groupes et campagnes",
    "REFERENT": "Référent décrochage",
    "PRESCRIBER": "Prescription de places",
    "CFA": "CFA : signalement",
    "PARTNER": "Places de remédiation",
    "PSAD": "Suivi des jeunes (PSAD)",
    "HOST": "Accueil de stagiaires",
    "OWNER": "Plateaux techniques",
}
STATES = {"REGISTERED": "À vérifier", "VERIFIED": "Vérifié", "CLOSED": "Fermé", "MERGED": "Remplacé"}
ENDS = {"LEFT": "parti", "WITHDRAWN": "retiré", "MERGED": "réuni avec un autre accès", "ERASED": "oublié"}
FIELDS = {
    "title": "Nom",
    "kinds": "Ce que c’est",
    "commune_code": "Commune",
    "siret": "SIRET",
    "uai": "UAI",
    "part_of": "Organisme dont c’est un site",
    "role": "Rôle",
    "email": "Adresse",
    "until_on": "Dernier jour",
    "into": "Organisme qui le remplace",
}

pages = Pages(
    "directory",
    {
        "KINDS": KINDS,
        "ROLES": ROLES,
        "STATES": STATES,
        "ENDS": ENDS,
        "commune_label": reference.commune_label,
        "find_place": places.find,
    },
    shared=("territory",),
)
