"""The terms of an agreement: what is copied when it is drawn up, its canonical text and hash, what changed, hours by age.

Pure: no clock, no database. Source of the limits on hours: the dated policy, whose first values cite the law.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

from territory import weeks

_DAY_MINUTES, _PAUSE_MINUTES = 24 * 60, 30
DAYS_FR = ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche")


@dataclass(frozen=True, order=True)
class Hours:
    """A stretch of presence on one day of every week: ISO weekday 1 to 7, times of the Paris clock as HH:MM."""

    weekday: int
    starts: str
    ends: str

    @property
    def minutes(self) -> tuple[int, int]:
        """Beginning and end as minutes of the day."""
        return _minutes(self.starts), _minutes(self.ends)


# What an offer that says nothing means: six hours a day, thirty a week, which every age may do.
USUAL_HOURS = tuple(
    Hours(weekday, starts, ends) for weekday in range(1, 6) for starts, ends in (("09:00", "12:00"), ("13:30", "16:30"))
)


@dataclass(frozen=True)
class Placement:
    """What an offer says of the days at the host's; blank where it says nothing."""

    address: str = ""
    tasks: str = ""
    tutor_name: str = ""
    rules: str = ""
    hours: tuple[Hours, ...] = USUAL_HOURS


@dataclass(frozen=True)
class Party:
    """Who signs: as what, the id under which they act here (a guardian has none), how they are called and written to."""

    party: str
    acts_as: str
    display_name: str
    email: str | None = None


@dataclass(frozen=True)
class Terms:
    """Everything that is signed, as a copy: nothing of it is read from a live offer, request or host afterwards."""

    title: str
    kind: str
    host_name: str
    siret: str
    commune_code: str
    commune: str
    iso_weeks: tuple[str, ...]
    starts_on: date
    ends_on: date
    audience: str
    # The seeker is younger than so many years; null for an adult.
    age_below: int | None
    parties: tuple[Party, ...]
    placement: Placement = field(default_factory=Placement)

    @property
    def canonical(self) -> str:
        """The one text of these terms: JSON with sorted keys, no blanks, NFC; its UTF-8 bytes are what is hashed."""
        plain = json.dumps(asdict(self), sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
        return unicodedata.normalize("NFC", plain)

    @property
    def sha256(self) -> str:
        """The digest that every signature names."""
        return digest(self.canonical)

    def party(self, *parties: str) -> Party | None:
        """The first of these among the parties."""
        return next((one for one in self.parties if one.party in parties), None)


def digest(canonical: str) -> str:
    """SHA-256 of a canonical text, in hexadecimal."""
    return hashlib.sha256(canonical.encode()).hexdigest()


def parsed(canonical: str) -> Terms:
    """The terms that a canonical text tells."""
    known: dict[str, Any] = json.loads(canonical)
    placement = known.pop("placement")
    return Terms(
        **known
        | {
            "iso_weeks": tuple(known["iso_weeks"]),
            "starts_on": date.fromisoformat(known["starts_on"]),
            "ends_on": date.fromisoformat(known["ends_on"]),
            "parties": tuple(Party(**one) for one in known["parties"]),
            "placement": placement_of(placement),
        }
    )


def placement_of(known: Mapping[str, Any]) -> Placement:
    """From its JSON; what is missing there is as in an offer that says nothing."""
    hours = tuple(Hours(**one) for one in known["hours"]) if known.get("hours") else USUAL_HOURS
    return Placement(**{**known, "hours": hours})


# -- changed terms

# What may be changed by agreement, in the order of the page; weeks and parties are fixed: another agreement has others.
CHANGEABLE = ("title", "address", "tasks", "tutor_name", "rules", "hours")
TERMS_FR = {
    "title": "intitulé",
    "address": "adresse",
    "tasks": "activités",
    "tutor_name": "tuteur",
    "rules": "règles",
    "hours": "jours et heures",
}


def changed_by(terms: Terms, wanted: Mapping[str, Any]) -> Terms:
    """The terms with some of `CHANGEABLE` replaced."""
    placement = {name: value for name, value in wanted.items() if name != "title"}
    return replace(terms, title=wanted.get("title", terms.title), placement=replace(terms.placement, **placement))


def what_changed(before: Terms, after: Terms) -> list[tuple[str, str, str]]:
    """Each term that differs: its French name, what it was, what it is."""
    pairs = [(name, _words(before, name), _words(after, name)) for name in CHANGEABLE]
    return [(TERMS_FR[name], old, new) for name, old, new in pairs if old != new]


def hours_words(hours: Sequence[Hours]) -> str:
    """ "lundi à jeudi 09:00-12:00 et 13:30-16:30, vendredi 09:00-12:00"."""
    by_day: dict[int, list[str]] = {}
    for one in sorted(hours):
        by_day.setdefault(one.weekday, []).append(f"{one.starts}-{one.ends}")
    runs: list[tuple[int, int, list[str]]] = []
    for weekday, spans in by_day.items():
        if runs and runs[-1][1:] == (weekday - 1, spans):
            runs[-1] = (runs[-1][0], weekday, spans)
        else:
            runs.append((weekday, weekday, spans))
    return ", ".join(
        f"{DAYS_FR[first - 1]}{f' à {DAYS_FR[last - 1]}' if last > first else ''} {' et '.join(spans)}"
        for first, last, spans in runs
    )


def _words(terms: Terms, name: str) -> str:
    if name == "hours":
        return hours_words(terms.placement.hours)
    return terms.title if name == "title" else str(getattr(terms.placement, name))


# -- hours and the law


@dataclass(frozen=True)
class HoursLimit:
    """The most that somebody younger than `age_below` (null: anybody) may be present, between which hours, with which rest.

    Rest: a pause of half an hour after so long a stretch, from one day to the next, and in a row in a week, of which Sunday is one.
    """

    age_below: int | None
    day_minutes_max: int
    week_minutes_max: int
    from_time: str = "06:00"
    until_time: str = "22:00"
    stretch_minutes_max: int | None = None
    night_minutes_min: int = 0
    rest_days_min: int = 1


def limit_for(age: int, limits: Sequence[HoursLimit]) -> HoursLimit | None:
    """The limit that holds for an age: that of the lowest age above it."""
    ordered = sorted(limits, key=lambda one: one.age_below if one.age_below is not None else 999)
    return next((one for one in ordered if one.age_below is None or age < one.age_below), None)


# Older than anybody: hours that are too long even for an adult.
_NOBODY = 100


def age_from(hours: Sequence[Hours], limits: Sequence[HoursLimit]) -> int:
    """The age from which on these hours are forbidden to nobody."""
    youngest, lawful_from = sorted({0, *(one.age_below for one in limits if one.age_below is not None)}), _NOBODY
    for age in reversed(youngest):
        if why_not_hours(hours, limit_for(age, limits)) is not None:
            break
        lawful_from = age
    return lawful_from


def why_not_hours(hours: Sequence[Hours], limit: HoursLimit | None) -> str | None:
    """What is wrong with days and hours, in a sentence; None when they may be."""
    if not hours:
        return "Indiquez au moins un jour et ses heures."
    ordered = sorted(hours)
    if any(one.minutes[0] >= one.minutes[1] for one in ordered):
        return "Une plage horaire finit avant de commencer."
    if any(one.weekday == other.weekday and one.ends > other.starts for one, other in pairwise(ordered)):
        return "Deux plages horaires du même jour se chevauchent."
    if limit is None:
        return None
    young = f"Avant {limit.age_below} ans" if limit.age_below is not None else "À tout âge"
    if limit.age_below is not None and any(one.weekday == 7 for one in ordered):
        return f"{young}, le dimanche est un jour de repos."
    days: dict[int, int] = {}
    for one in ordered:
        starts, ends = one.minutes
        days[one.weekday] = days.get(one.weekday, 0) + ends - starts
        if starts < _minutes(limit.from_time) or ends > _minutes(limit.until_time):
            return f"{young}, la présence se tient entre {limit.from_time} et {limit.until_time}."
    if max(days.values()) > limit.day_minutes_max:
        return f"{young}, la présence est de {limit.day_minutes_max // 60} h par jour au plus."
    if sum(days.values()) > limit.week_minutes_max:
        return f"{young}, la présence est de {limit.week_minutes_max // 60} h par semaine au plus."
    return _why_no_rest(ordered, limit, young)


def _why_no_rest(ordered: Sequence[Hours], limit: HoursLimit, young: str) -> str | None:
    """The same for rest: within a day, from one day to the next, and in a week."""
    begun = longest = 0
    before: Hours | None = None
    for one in ordered:
        starts, ends = one.minutes
        last = before.minutes[1] if before is not None else 0
        if before is None or before.weekday != one.weekday or starts - last >= _PAUSE_MINUTES:
            begun = starts
        longest = max(longest, ends - begun)
        follows = before is not None and one.weekday == before.weekday + 1
        if follows and _DAY_MINUTES - last + starts < limit.night_minutes_min:
            return f"{young}, {limit.night_minutes_min // 60} h de repos séparent un jour de présence du suivant."
        before = one
    if limit.stretch_minutes_max is not None and longest > limit.stretch_minutes_max:
        hours, minutes = divmod(limit.stretch_minutes_max, 60)
        return f"{young}, une pause de {_PAUSE_MINUTES} minutes vient après {hours} h {minutes:02} de présence au plus."
    if limit.rest_days_min > 1 and {1, 6} <= {one.weekday for one in ordered}:
        return f"{young}, deux jours de repos se suivent chaque semaine : le samedi ou le lundi est libre, avec le dimanche."
    return None


def collide(one: Sequence[Hours], other: Sequence[Hours]) -> bool:
    """Whether two sets of weekly hours have a moment in common."""
    return any(a.weekday == b.weekday and a.starts < b.ends and b.starts < a.ends for a in one for b in other)


def presence(iso_weeks: Sequence[str], hours: Sequence[Hours]) -> str:
    """All stretches of presence, as the text of a PostgreSQL multirange of Paris times."""
    stretches = [
        f"[{day}T{one.starts},{day}T{one.ends})"
        for week in iso_weeks
        for one in sorted(hours)
        for day in (weeks.monday(week) + timedelta(days=one.weekday - 1),)
    ]
    return f"{{{','.join(stretches)}}}"


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)
