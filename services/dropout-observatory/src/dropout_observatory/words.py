"""The words of this service's pages and tables."""

from __future__ import annotations

from common.pages import Pages
from territory import places

LEVELS = {
    "COLLEGE": "Collège",
    "CAP": "CAP",
    "VOCATIONAL_BACCALAUREATE": "Bac professionnel",
    "GENERAL_BACCALAUREATE": "Bac général ou technologique",
    "OTHER": "Autre",
}
SCHOOL_KINDS = {
    "COLLEGE": "Collège",
    "GENERAL_LYCEE": "Lycée général ou technologique",
    "VOCATIONAL_LYCEE": "Lycée professionnel",
    "AGRICULTURAL_LYCEE": "Lycée agricole",
    "CFA": "CFA",
    "MFR": "Maison familiale rurale",
    "OTHER": "Autre",
}
BANDS = {
    "AGE_16": "16 ans",
    "AGE_17": "17 ans",
    "AGE_18_TO_20": "18 à 20 ans",
    "AGE_21_TO_25": "21 à 25 ans",
    "AGE_26_TO_29": "26 à 29 ans",
}
# What a form sends for a band: an age that is in it. The last one is refused, and says where to turn.
AGES = {16: "16 ans", 17: "17 ans", 18: "18 à 20 ans", 21: "21 à 25 ans", 26: "26 à 29 ans", 15: "Moins de 16 ans"}
AGE_OF_BAND = dict(zip(BANDS, AGES, strict=False))
FACTORS = {
    "MOBILITY": "Mobilité",
    "HOUSING": "Logement",
    "HEALTH": "Santé",
    "MONEY": "Argent",
    "ORIENTATION_NOT_CHOSEN": "Orientation subie",
    "FAMILY": "Social ou famille",
    "SCHOOL_CLIMATE": "Climat scolaire",
    "WORK": "Travail",
    "OTHER": "Autre",
}
SOURCES = {"REFERENT": "un établissement", "CFA": "un CFA", "PSAD": "une plateforme", "UNKNOWN": "le journal"}
STATES = {
    "reported": "Signalée",
    "accompanied": "Accompagnée",
    "offered": "Solution proposée",
    "admitted": "Entrée dans une solution",
    "ended": "Close",
    "withdrawn": "Retirée",
}
STEPS = {
    "ACCOMPANIED": "Accompagnement commencé",
    "OFFERED": "Solution proposée",
    "ADMITTED": "Entrée dans une solution",
    "CHECKED_AT_3_MONTHS": "Présence à 3 mois",
    "CHECKED_AT_6_MONTHS": "Présence à 6 mois",
    "ENDED": "Situation close",
}
ACCOMPANIERS = {
    "PSAD": "Plateforme (PSAD)",
    "MISSION_LOCALE": "Mission locale",
    "MLDS": "MLDS",
    "SCHOOL": "Établissement",
    "GUIDANCE_CENTRE": "CIO",
    "REMEDIATION_STRUCTURE": "Structure de remédiation",
    "SOCIAL_SERVICES": "Services sociaux",
    "OTHER": "Autre",
}
PRESENCES = {"THERE": "Présent", "LEFT": "Parti", "NOT_KNOWN": "Pas de réponse"}
OUTCOMES = {
    "BACK_IN_SCHOOL": "Retour en formation initiale",
    "TRAINING": "Formation",
    "APPRENTICESHIP": "Apprentissage",
    "WORK": "Emploi",
    "CIVIC_SERVICE": "Service civique",
    "OTHER_SOLUTION": "Autre solution",
    "MOVED_AWAY": "Parti du territoire",
    "CONTACT_LOST": "Contact perdu",
}
STEP_SOURCES = {
    "PROFESSIONAL": "",
    "SEAT_HOLD": "appris d’une place retenue",
    "STRUCTURE_ANSWER": "répondu par la structure",
    "APPLICATION": "appris d’une candidature à un stage",
    "BOOKING": "appris d’un plateau réservé",
    "GROUP_REGISTRATION": "appris d’un groupe venu à un évènement",
}
WITHDRAWALS = {
    "MISTAKE": "Signalée par erreur",
    "DUPLICATE": "Double d’une autre situation",
    "NOT_A_DROPOUT": "Le jeune n’avait pas décroché",
    "OTHER": "Autre raison",
}
DIMENSIONS = {
    "state": "État",
    "factor": "Facteur",
    "level_left": "Niveau quitté",
    "school_kind": "Établissement",
    "age_band": "Âge",
    "left_month": "Mois",
    "epci_siren": "Intercommunalité",
    "department_code": "Département",
    "source": "Signalé par",
}
# The words of a dimension's values, where they are not names of places or months.
LABELS = {"state": STATES, "factor": FACTORS, "level_left": LEVELS, "school_kind": SCHOOL_KINDS, "age_band": BANDS}

pages = Pages(
    "dropout_observatory",
    {
        "LEVELS": LEVELS,
        "SCHOOL_KINDS": SCHOOL_KINDS,
        "BANDS": BANDS,
        "AGES": AGES,
        "AGE_OF_BAND": AGE_OF_BAND,
        "FACTORS": FACTORS,
        "SOURCES": SOURCES,
        "STATES": STATES,
        "STEPS": STEPS,
        "ACCOMPANIERS": ACCOMPANIERS,
        "PRESENCES": PRESENCES,
        "OUTCOMES": OUTCOMES,
        "STEP_SOURCES": STEP_SOURCES,
        "WITHDRAWALS": WITHDRAWALS,
        "DIMENSIONS": DIMENSIONS,
        "find_place": places.find,
    },
    shared=("territory",),
)
