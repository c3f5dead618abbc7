"""The words of this service's pages."""

from __future__ import annotations

from common.pages import Pages
from remediation_seats.declarations import beyond_declared
from remediation_seats.messages import DeclineReason
from territory import places

KINDS = {
    "ECOLE_DE_PRODUCTION": "École de production",
    "MICRO_LYCEE": "Micro-lycée",
    "E2C": "École de la 2e chance",
    "EPIDE": "EPIDE",
    "MISSION_LOCALE": "Mission locale",
    "CFA": "CFA",
}
LEVELS = {
    "NO_DIPLOMA": "Sans diplôme",
    "BREVET": "Brevet",
    "CAP": "CAP",
    "BACCALAUREAT": "Baccalauréat",
}
DECLINES = {
    DeclineReason.CONDITIONS_NOT_MET: "Conditions d’entrée non remplies",
    DeclineReason.SEAT_TAKEN: "Place déjà prise",
    DeclineReason.PROGRAMME_POSTPONED: "Entrée reportée",
    DeclineReason.OTHER: "Autre raison",
}
STATES = {
    "held": "En attente de réponse",
    "confirmed": "Confirmée",
    "admitted": "Jeune accueilli",
    "no_show": "Jeune non venu",
    "declined": "Déclinée",
    "expired": "Expirée sans réponse",
    "withdrawn": "Rendue",
    "released": "Rendue : confirmé ailleurs",
}
PRESENCES = {"THERE": "Toujours là", "LEFT": "Parti", "NOT_KNOWN": "Je ne sais pas"}
RADII_KM = (10, 20, 30, 50, 100)

pages = Pages(
    "remediation_seats",
    {
        "KINDS": KINDS,
        "LEVELS": LEVELS,
        "DECLINES": DECLINES,
        "STATES": STATES,
        "PRESENCES": PRESENCES,
        "RADII_KM": RADII_KM,
        "beyond_declared": beyond_declared,
        "find_place": places.find,
    },
    shared=("territory",),
)
