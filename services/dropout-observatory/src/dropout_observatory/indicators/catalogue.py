"""The dimensions of the figures: codes, how they add up, their French words, and which code of a case each of them includes.

A code means the same people for ever. That of an intercommunality has the year of the geography in which its boundary was
first as it is (`epci:242700573@2026`): one that gains a commune takes another code, and both ways of adding up are told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache

from dropout_observatory import words
from dropout_observatory.release import Dimension, Overlap, Sum
from territory import reference
from territory.months import months_after

ALL, REGION = "all", "region"
# As far as the search of seats and its alerts look unless told otherwise, as the crow flies.
REACH_KM = 30
MONTHS = {
    "09": "septembre",
    "10": "octobre",
    "11": "novembre",
    "12": "décembre",
    "01": "janvier",
    "02": "février",
    "03": "mars",
    "04": "avril",
    "05": "mai",
    "06": "juin",
    "07": "juillet",
    "08": "août",
}
# First week, week after the last, of the classes in which delays are counted; the last has no end.
WEEKS = ((0, 2), (2, 4), (4, 8), (8, 13), (13, 26), (26, None))
_FATES = {"offered": "Première proposition", "without": "Sans proposition à ce jour"}
_PRESENCES = {**words.PRESENCES, "NOT_ASKED": "Pas encore demandé"}
_OUTCOMES = {**words.OUTCOMES, "OPEN": "Situation ouverte"}
_WAITING, _NO_MORE = ("reported", "accompanied"), ("offered", "admitted", "ended")
# The mean social position index (IPS) of the collèges of a commune, or of the nearest one; the national mean of collèges is 105.
IPS_LIMITS = (95.0, 105.0)
_CONTEXTS = {
    "PRIORITY": "Éducation prioritaire",
    "IPS_LOW": "IPS inférieur à 95",
    "IPS_MIDDLE": "IPS de 95 à 105",
    "IPS_HIGH": "IPS de 105 ou plus",
}


@dataclass(frozen=True)
class Codes:
    """A dimension with its words: `levels` has the codes that may be shown, by level; `members` what counts in which of them."""

    dimension: Dimension
    labels: Mapping[str, str]
    levels: Mapping[str, tuple[str, ...]]
    # What a definition's SQL returns to each code that includes it, shown or not, the total first.
    members: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Geography:
    """The official geography of a year: of each commune by INSEE code, the SIREN of its intercommunality and its department."""

    year: int
    homes: Mapping[str, tuple[str, str]]


# The levels that a definition may name.
LEVELS_SHOWN: dict[str, tuple[str, ...]] = {
    "territory": ("region", "department", "epci"),
    "month": ("all", "month"),
    "factor": ("all", "factor"),
    "level": ("all", "level"),
    "path": ("all", "waiting", "step"),
    "delay": ("all", "fate", "class"),
    "presence": ("all", "presence"),
    "presence_6": ("all", "presence"),
    "outcome": ("all", "outcome"),
    "context": ("all", "context"),
    "reach": ("region", "epci"),
}


@cache
def catalogue() -> dict[str, Codes]:
    """Every dimension by name, as of the geography in force."""
    homes = _with_former(territory([_in_force()], _titles()))
    return {
        "territory": homes,
        "month": _plain("month", "month", "Année scolaire", MONTHS),
        "factor": _factors(),
        "level": _plain("level", "level", "Tous les niveaux", words.LEVELS),
        "path": _path(),
        "delay": _delays(),
        "presence": _plain("presence", "presence", "Toutes", _PRESENCES),
        "presence_6": _plain("presence_6", "presence", "Toutes", _PRESENCES),
        "outcome": _plain("outcome", "outcome", "Toutes", _OUTCOMES),
        "context": _plain("context", "context", "Tous les contextes", _CONTEXTS),
        "reach": _reach(homes),
    }


def label(dimension: str, code: str) -> str:
    """The French words of a code; the code itself where nobody knows it any more."""
    return catalogue()[dimension].labels.get(code, code)


def empty(dimension: str, school_year: str, known_on: date) -> tuple[str, ...]:
    """The codes in which nobody of a school year can be by a day, as everybody knows: months to come, weeks that have not passed."""
    begins = date(int(school_year[:4]), 9, 1)
    if dimension == "month":
        return tuple(code for n, code in enumerate(MONTHS) if months_after(begins, n) >= known_on)
    if dimension == "delay":
        weeks = (known_on - begins).days // 7
        return tuple(
            f"{fate}:{_span(first, after)}" for fate in _FATES for first, after in WEEKS if first > max(0, weeks)
        )
    return ()


# -- territory


def territory(geographies: Sequence[Geography], titles: Mapping[str, str]) -> Codes:
    """Region, departments and intercommunalities of some years, oldest first, all told in the communes of the newest.

    What is in one department and one intercommunality of each year is a part, which no table shows unless it is a whole one;
    everything else is a sum of parts. So whatever two ways of adding up tell together is known to publisher and attacker alike.
    """
    newest = geographies[-1]
    code_of: dict[tuple[str, str, frozenset[str]], str] = {}
    ways: dict[tuple[str, int], tuple[str, ...]] = {}
    for geography in geographies:
        for kind, place in (("epci", 0), ("dep", 1)):
            inside: dict[str, set[str]] = defaultdict(set)
            for commune in newest.homes:
                inside[geography.homes[commune][place]].add(commune)
            # The same communes as before: the same code, or nobody would know that both numbers are one.
            ways[kind, geography.year] = tuple(
                code_of.setdefault((kind, own, frozenset(communes)), f"{kind}:{own}@{geography.year}")
                for own, communes in sorted(inside.items())
            )
    around: dict[str, tuple[str, ...]] = {
        commune: tuple(code for (_, _, communes), code in code_of.items() if commune in communes)
        for commune in newest.homes
    }
    part_of: dict[tuple[str, ...], str] = {}
    for (kind, _, communes), code in code_of.items():
        inner = {around[commune] for commune in communes}
        if kind == "epci" and len(inner) == 1:
            part_of.setdefault(next(iter(inner)), code)
    for codes in around.values():
        part_of.setdefault(codes, "/".join(codes))
    sums = [Sum(REGION, way) for way in dict.fromkeys(ways.values())]
    for code in code_of.values():
        inner_parts = tuple(sorted(part for codes, part in part_of.items() if code in codes))
        sums += [Sum(code, inner_parts)] if inner_parts != (code,) else []
    return Codes(
        Dimension("territory", REGION, tuple(sums)),
        {REGION: "Normandie", **{code: titles.get(own, own) for (_, own, _), code in code_of.items()}},
        {"region": (REGION,), "department": ways["dep", newest.year], "epci": ways["epci", newest.year]},
        {commune: tuple(dict.fromkeys((REGION, *codes, part_of[codes]))) for commune, codes in around.items()},
    )


def _in_force() -> Geography:
    homes = {one.code: (one.epci_siren, one.department_code) for one in reference.communes().values()}
    return Geography(reference.GEOGRAPHY_YEAR, homes)


def _with_former(codes: Codes) -> Codes:
    """What was told of a commune that has merged since counts where it is now."""
    former = {code: codes.members[now] for code, now in _merged().items()}
    return replace(codes, members=former | dict(codes.members))


@cache
def _merged() -> dict[str, str]:
    """Of each former commune the one that it is a part of now, by INSEE code."""
    return {one.code: one.commune_code for one in reference.former_communes()}


def _reach(homes: Codes) -> Codes:
    """The intercommunalities from which one gets somewhere: of each place one or several, so that they do not add up."""
    shown = {name: homes.levels[name] for name in LEVELS_SHOWN["reach"]}
    epcis = shown["epci"]
    return Codes(
        Dimension("reach", REGION, overlaps=(Overlap(REGION, epcis),)),
        {code: homes.labels[code] for code in (REGION, *epcis)},
        shown,
        {code: (REGION, code) for code in epcis},
    )


def within_reach(commune: str) -> list[str]:
    """The intercommunalities with a commune from which one gets to this one, given by INSEE code of today or of before it merged; sorted.

    None where nobody knows the commune.
    """
    homes = catalogue()["territory"]
    at = commune if commune in reference.communes() else _merged().get(commune)
    if at is None:
        return []
    near = {code for _, other in reference.communes_within(at, REACH_KM) for code in homes.members[other]}
    return sorted(near.intersection(homes.levels["epci"]))


def _titles() -> dict[str, str]:
    departments = {one.code: one.title for one in reference.departments().values()}
    return departments | {one.siren: one.title for one in reference.epcis().values()}


# -- the others


def _plain(name: str, level: str, total: str, labels: Mapping[str, str]) -> Codes:
    """Everybody is in exactly one of the codes."""
    return Codes(
        Dimension(name, ALL, (Sum(ALL, tuple(labels)),)),
        {ALL: total, **labels},
        {ALL: (ALL,), level: tuple(labels)},
        {code: (ALL, code) for code in labels},
    )


def _factors() -> Codes:
    """A case has one factor or several."""
    plain = _plain("factor", "factor", "Tous les facteurs", words.FACTORS)
    return replace(plain, dimension=Dimension("factor", ALL, overlaps=(Overlap(ALL, tuple(words.FACTORS)),)))


def _path() -> Codes:
    """Where a case is on its way back; who has had no offer yet waits."""
    plain = _plain("path", "step", "Toutes", {step: words.STATES[step] for step in (*_WAITING, *_NO_MORE)})
    return replace(
        plain,
        dimension=Dimension("path", ALL, (Sum(ALL, ("waiting", *_NO_MORE)), Sum("waiting", _WAITING))),
        labels={**plain.labels, "waiting": "En attente d’une première proposition"},
        levels={**plain.levels, "waiting": ("waiting",)},
        members={**plain.members, **{step: (ALL, "waiting", step) for step in _WAITING}},
    )


def _delays() -> Codes:
    """A life table: how many weeks after it was reported a case was first offered something, or was last seen without."""
    spans = [_span(first, after) for first, after in WEEKS]
    classes = {fate: tuple(f"{fate}:{span}" for span in spans) for fate in _FATES}
    labels = {f"{fate}:{span}": f"{_FATES[fate]}, {_weeks_words(span)}" for fate in _FATES for span in spans}
    return Codes(
        Dimension("delay", ALL, (Sum(ALL, tuple(_FATES)), *(Sum(fate, inside) for fate, inside in classes.items()))),
        {ALL: "Toutes", **_FATES, **labels},
        {ALL: (ALL,), "fate": tuple(_FATES), "class": tuple(labels)},
        {code: (ALL, fate, code) for fate, inside in classes.items() for code in inside},
    )


def _span(first: int, after: int | None) -> str:
    return f"{first}-{after}" if after else f"{first}+"


def _weeks_words(span: str) -> str:
    first, _, after = span.partition("-")
    return f"de {first} à moins de {after} semaines" if after else f"{span[:-1]} semaines ou plus"


# -- contexts


@cache
def context_of_communes() -> dict[str, str]:
    """The school context of each commune by INSEE code: of its own collèges, or of the nearest."""
    homes: dict[str, list[reference.School]] = defaultdict(list)
    for school in reference.schools():
        homes[school.commune_code].append(school)
    contexts = {commune: _context(schools) for commune, schools in homes.items()}
    with_one = [reference.communes()[code] for code in sorted(contexts) if code in reference.communes()]
    return {
        code: contexts.get(code) or contexts[min(with_one, key=commune.km_to).code]
        for code, commune in reference.communes().items()
    }


def _context(schools: Sequence[reference.School]) -> str:
    """Priority education where a collège of a commune is; else by the mean index, each collège by its pupils."""
    if any(school.priority_education for school in schools):
        return "PRIORITY"
    told = [(one.social_position_index, one.pupil_count) for one in schools if one.social_position_index is not None]
    pupil_count = sum(count for _, count in told)
    if not pupil_count:
        return "IPS_MIDDLE"
    mean = sum(index * count for index, count in told) / pupil_count
    return "IPS_LOW" if mean < IPS_LIMITS[0] else "IPS_MIDDLE" if mean < IPS_LIMITS[1] else "IPS_HIGH"
