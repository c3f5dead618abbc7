"""The words of this service's pages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from common.pages import MONTHS, PARIS, Pages, day
from stage_matching.agreements import LATE_REASONS_FR, PARTIES_FR
from stage_matching.campaigns import STATES_FR as CAMPAIGN_STATES
from stage_matching.messages import RefusalReason
from stage_matching.requests import age_in
from stage_matching.terms import DAYS_FR, Hours, hours_words
from territory import places, reference, rome, weeks

AUDIENCES = {
    "PUPIL": "Élève",
    "STUDENT": "Étudiant",
    "YOUNG_IN_INSERTION": "Jeune en insertion",
    "ADULT_IN_RETRAINING": "Adulte en reconversion",
    "JOB_SEEKER": "Demandeur d’emploi",
}
HOST_KINDS = {
    "COMPANY": "Entreprise",
    "ADMINISTRATION": "Administration",
    "CRAFTSMAN": "Artisan",
    "ASSOCIATION": "Association",
}
OFFER_KINDS = {
    "OBSERVATION": "Stage d’observation",
    "IMMERSION": "Immersion",
    "MINI_STAGE": "Mini-stage",
    "TRAINING_PLACEMENT": "Stage de formation",
}
REFUSALS = {
    RefusalReason.NO_TUTOR: "Pas de tuteur disponible",
    RefusalReason.ACTIVITY: "Activité insuffisante",
    RefusalReason.DATES: "Dates impossibles",
    RefusalReason.SAFETY: "Sécurité du poste",
    RefusalReason.SEATS_TAKEN: "Places déjà données",
    RefusalReason.OTHER: "Autre raison",
}
STATES = {
    "submitted": "Envoyée",
    "seen": "Vue par l’organisme",
    "accepted": "Acceptée, à confirmer",
    "confirmed": "Confirmée",
    "refused": "Refusée",
    "expired": "Close sans réponse",
    "withdrawn": "Retirée",
    "released": "Close",
    "cancelled": "Annulée",
}
AGREEMENT_STATES = {
    "drafted": "à signer",
    "signed": "signée par tous, à valider",
    "validated": "validée",
    "completed": "terminée",
    "interrupted": "interrompue",
    "cancelled": "annulée",
}
PARTIES = PARTIES_FR
HOWS = {"account": "par son compte", "link": "par le lien reçu à son adresse", "paper": "sur papier"}
ACTS = {"sign": "signée", "validate": "validée", "interrupt": "interrompue", "cancel": "annulée"}
CATEGORIES = {
    "PRIORITY_EDUCATION": "éducation prioritaire",
    "JOB_SEEKER": "demandeurs d’emploi",
    "UNDERREPRESENTED_SEX": "mixité du métier",
}
STEPS = {
    "announce": "Annonce des demandes",
    "expand": "Recherche des places possibles",
    "solve": "Appariement",
    "alternative": "Calcul de la variante",
    "verify": "Vérification indépendante",
    "store": "Enregistrement des explications",
    "publish": "Publication des places",
    "close": "Clôture des demandes",
}
SCOPES = {"CLASS": "Une classe", "SCHOOL": "Un établissement", "TERRITORY": "Un territoire"}
OBSTACLES = {
    "lottery": "au tirage au sort",
    "distance": "à la distance : quelqu’un habite plus près",
    "partner_school": "à un établissement partenaire",
    "reserve": "à une place réservée",
}
DROPPED = {
    "audience": "l’offre s’adresse à un autre public",
    "age": "l’âge demandé est plus élevé",
    "hours": "ses horaires ne sont pas permis à cet âge",
    "weeks": "pas de place à cette période",
    "distance": "au-delà du rayon demandé",
    "unknown_offer": "l’offre n’est plus proposée",
    "nothing_near": "aucune offre de ce métier dans le rayon",
    "repeated": "ses offres étaient déjà dans un vœu précédent",
}
RADII_KM = (5, 10, 20, 30, 50, 100)


def week_words(week: str) -> str:
    """ "8 au 12 février"."""
    first = weeks.monday(week)
    last = first + timedelta(days=4)
    start = day(first) if first.month != last.month else str(first.day) if first.day > 1 else "1er"
    return f"{start} au {day(last)}"


def span_words(iso_weeks: list[str]) -> str:
    """ "8 au 12 février", or from the first Monday to the last Friday."""
    if len(iso_weeks) == 1:
        return week_words(iso_weeks[0])
    return f"{day(weeks.monday(iso_weeks[0]))} au {day(weeks.monday(iso_weeks[-1]) + timedelta(days=4))}"


def stamp(at: datetime) -> str:
    """ "29/11/2026 à 10:38": an instant on paper, with its year."""
    return f"{at.astimezone(PARIS):%d/%m/%Y à %H:%M}"


def day_hours(hours: Sequence[Hours], weekday: int) -> str:
    """The stretches of one weekday, as a field of a form has them."""
    return ", ".join(f"{one.starts}-{one.ends}" for one in hours if one.weekday == weekday)


def wish_words(wish: str, titles: dict[str, str]) -> str:
    """A wish as its pupil would say it."""
    return titles.get(wish, "offre retirée") if len(wish) > 5 else rome.label(wish)


def why_words(outcome: dict[str, Any]) -> str:
    """Why a wish was not obtained, in a sentence."""
    if outcome["outcome"] == "dropped":
        return f"Écarté : {DROPPED.get(outcome['reason'], outcome['reason'])}."
    if outcome["outcome"] == "not_needed":
        return "Pas examiné : un meilleur vœu est obtenu."
    obstacles: dict[str, int] = outcome.get("obstacles", {})
    total = sum(obstacles.values())
    if outcome["outcome"] == "obtained" and not total:
        return "Obtenu."
    if total == 1:
        (why,) = obstacles
        drawn = (
            f" (votre rang {outcome['lottery_place']}, dernier servi {outcome['lottery_last']})"
            if outcome.get("lottery_place")
            else ""
        )
        said = f"complet, la dernière place est allée {OBSTACLES[why]}{drawn}"
    else:
        by_count = sorted(obstacles.items(), key=lambda obstacle: -obstacle[1])
        how = [OBSTACLES[why].split(" :")[0] + (f" ({count})" if len(obstacles) > 1 else "") for why, count in by_count]
        said = f"{total} offres complètes, départagées {', '.join(how)}"
    if outcome["outcome"] == "obtained":
        return f"Obtenu. Plus près : {said}."
    return f"{said[0].upper()}{said[1:]}."


pages = Pages(
    "stage_matching",
    {
        "AUDIENCES": AUDIENCES,
        "HOST_KINDS": HOST_KINDS,
        "OFFER_KINDS": OFFER_KINDS,
        "REFUSALS": REFUSALS,
        "STATES": STATES,
        "AGREEMENT_STATES": AGREEMENT_STATES,
        "PARTIES": PARTIES,
        "HOWS": HOWS,
        "ACTS": ACTS,
        "LATE_REASONS": LATE_REASONS_FR,
        "DAYS": DAYS_FR,
        "hours_words": hours_words,
        "day_hours": day_hours,
        "stamp": stamp,
        "CATEGORIES": CATEGORIES,
        "CAMPAIGN_STATES": CAMPAIGN_STATES,
        "STEPS": STEPS,
        "SCOPES": SCOPES,
        "RADII_KM": RADII_KM,
        "DOMAINS": rome.DOMAINS,
        "FAMILIES": rome.FAMILIES,
        "trade": rome.label,
        "age_in": age_in,
        "MONTHS": MONTHS,
        "week_words": week_words,
        "span_words": span_words,
        "wish_words": wish_words,
        "why_words": why_words,
        "communes": reference.communes,
        "commune_label": reference.commune_label,
        "find_place": places.find,
    },
    shared=("territory",),
)
