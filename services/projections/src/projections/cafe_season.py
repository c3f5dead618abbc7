"""Read model of the parents' cafés: every café of a season with its fill, by intercommunality and theme.

A pure fold of the cafés service's messages. Who is registered is not kept; an offer is, with the instant at which it ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from common import secrecy
from common.rebuild import ReadModel
from common.transaction import Transaction
from common.verdicts import Consumes, Delivery
from projections import as_of, rows
from projections.as_of import AsOf
from projections.messages import (
    CafeCancelled,
    CafeConfirmed,
    CafeDescribed,
    CafeHeld,
    CafeMerged,
    CafeSeatsOffered,
    HouseholdLeft,
    HouseholdMoved,
    HouseholdQueued,
    HouseholdRegistered,
    HouseholdResized,
    HouseholdsRestated,
    ParentsCheckedIn,
)
from projections.rows import Row
from projections.tables import SeasonCafe
from territory import reference

TOPIC = "parents-cafes.cafes.v1"
MESSAGES = (
    CafeDescribed,
    CafeConfirmed,
    CafeMerged,
    CafeCancelled,
    CafeHeld,
    HouseholdRegistered,
    HouseholdQueued,
    CafeSeatsOffered,
    HouseholdMoved,
    HouseholdResized,
    HouseholdLeft,
    ParentsCheckedIn,
    HouseholdsRestated,
)
THEMES = {
    "AFTER_GRADE_9": "Après la troisième",
    "AFTER_BACCALAUREATE": "Après le bac, Parcoursup",
    "VOCATIONAL_PATHS": "Voie professionnelle et apprentissage",
    "TRADES": "Les métiers et ceux qui les font",
    "SUPPORTING_A_TEENAGER": "Accompagner son adolescent",
    "STEREOTYPES": "Des métiers sans clichés",
    "DIGITAL_TOOLS": "S’y retrouver sur les sites d’orientation",
}
PERIODS = {"OCTOBER": "octobre", "DECEMBER": "décembre", "FEBRUARY": "février"}
STATUSES = {
    "PLANNED": "En préparation",
    "OPEN": "Ouvert",
    "CONFIRMED": "Confirmé",
    "HELD": "Passé",
    "MERGED": "Réuni à un autre",
    "CANCELLED": "Annulé",
}
_DESCRIBED = (
    "school_year",
    "venue_title",
    "commune_code",
    "starts_at",
    "ends_at",
    "capacity_count",
    "target_count",
    "minimum_count",
    "opens_at",
    "fictitious",
)
_ENUMS = ("period", "theme", "venue_kind", "status")
_COUNTS = ("registered_count", "offered_count", "waiting_count")
# Seats of these are offered to the public, or were.
_STANDING = ("OPEN", "CONFIRMED", "HELD")


# -- the fold


async def fold(tx: Transaction, deliveries: Sequence[Delivery]) -> None:
    """Loads the cafés of a batch, applies each message in order, writes them back."""
    known = await rows.load(tx, SeasonCafe, [delivery.message.aggregate_id for delivery in deliveries])
    for delivery in deliveries:
        key = delivery.message.aggregate_id
        before = known.get(key) or rows.blank(SeasonCafe)
        known[key] = before | apply(before, delivery) | rows.stamp(delivery, "cafe_id")
    # Of a café that the log no longer begins, nothing is known.
    await rows.save(tx, SeasonCafe, [row for row in known.values() if row["starts_at"] is not None])


def apply(before: Row, delivery: Delivery) -> Row:
    """What one message changes in a café; every message on a household carries the counts after it."""
    message: Any = delivery.message
    counts = {name: getattr(message, name) for name in _COUNTS if hasattr(message, name)}
    told = {"described_at": message.occurred_at, "described_version": message.aggregate_version}
    match message:
        case CafeDescribed():
            changed = {name: getattr(message, name) for name in _DESCRIBED}
            return changed | {name: getattr(message, name).value for name in _ENUMS} | counts | told
        case CafeConfirmed():
            return {"status": "CONFIRMED"}
        case CafeMerged():
            gone = {"status": "MERGED", "merged_into_id": message.into_cafe_id}
            return (
                gone | told | {"moved_seat_count": message.moved_seat_count, "offers": {}, **dict.fromkeys(_COUNTS, 0)}
            )
        case CafeCancelled():
            return {"status": "CANCELLED", "offers": {}, **dict.fromkeys(_COUNTS, 0)} | told
        case CafeHeld():
            return {"status": "HELD", "was_counted": message.attended_count is not None}
        case CafeSeatsOffered():
            offer = {"seats": message.seat_count, "until": message.expires_at.isoformat()}
            return counts | {"offers": {**before["offers"], str(message.registration_id): offer}}
        case HouseholdsRestated():
            held = {"status": "HELD"} if message.held else {}
            return counts | held | {"offers": {}, "attended_count": message.attended_count}
        case ParentsCheckedIn():
            return {"attended_count": message.attended_count}
        case _:
            left = {key: one for key, one in before["offers"].items() if key != str(message.registration_id)}
            return counts | {"offers": left}


MODEL = ReadModel(tables=(SeasonCafe,), folds={TOPIC: Consumes(messages=MESSAGES, fold=fold)})


# -- reading


@dataclass(frozen=True)
class Asked:
    """What a page is asked for: a period (`2026-2027-DECEMBER`), a territory (department or intercommunality), a theme."""

    period: str = ""
    territory: str = ""
    theme: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Asked:
        """From a query string; what is unknown is left out, so that an old link never fails."""
        territories = {*reference.departments(), *reference.epcis()}
        period, territory, theme = (query.get(name, "") for name in ("periode", "territoire", "theme"))
        school_year, _, name = period.rpartition("-")
        return cls(
            period if name in PERIODS and len(school_year) == 9 else "",
            territory if territory in territories else "",
            theme if theme in THEMES else "",
        )


@dataclass
class Fill:
    """Cafés that stand, and their seats."""

    title: str
    code: str = ""
    cafe_count: int = 0
    capacity_count: int = 0
    taken_count: int = 0
    waiting_count: int = 0

    @property
    def rate(self) -> float | None:
        """Seats taken of those there are; None without any."""
        return self.taken_count / self.capacity_count if self.capacity_count else None

    def add(self, row: Row) -> None:
        """Counts a café in."""
        self.cafe_count += 1
        self.capacity_count += row["capacity_count"]
        self.taken_count += row["taken_count"]
        self.waiting_count += row["waiting_count"]


@dataclass(frozen=True)
class Season:
    """What the page shows of a period: fill in all, by intercommunality, department, theme; what became of the cafés."""

    period: str
    periods: list[str]
    total: Fill
    by_epci: dict[str, Fill]
    by_territory: list[Fill]
    by_theme: list[Fill]
    by_status: dict[str, int]
    # Of cafés that are to be decided: so many seats are missing to the minimum.
    below_minimum_count: int
    moved_seat_count: int
    attended_count: int | None
    cafes: list[Row] = field(default_factory=list)
    fictitious: bool = False


async def read_as_of(tx: Transaction) -> AsOf:
    """How complete the read model is."""
    return await as_of.read_as_of(tx, MODEL.topics)


async def read(tx: Transaction, now: datetime, asked: Asked) -> Season:
    """One period; the present or next one when none is asked for, else the last there was."""
    every = await cafes(tx, now)
    periods = sorted({period_of(row) for row in every}, key=_order)
    coming = [period_of(row) for row in every if row["ends_at"] > now]
    chosen = asked.period or min(coming, key=_order, default=periods[-1] if periods else "")
    found = [
        row
        for row in every
        if period_of(row) == chosen
        and (not asked.theme or row["theme"] == asked.theme)
        and _is_in(asked.territory, row["commune_code"])
    ]
    total = Fill("Toute la Normandie")
    epcis: dict[str, Fill] = {}
    territories: dict[str, Fill] = {}
    themes: dict[str, Fill] = {}
    by_status: dict[str, int] = {}
    for row in found:
        by_status[row["status"]] = by_status.get(row["status"], 0) + 1
        if row["status"] not in _STANDING:
            continue
        total.add(row)
        place = reference.communes()[row["commune_code"]]
        theme = str(row["theme"])
        themes.setdefault(theme, Fill(THEMES.get(theme, theme), theme)).add(row)
        epci, department = reference.epcis().get(place.epci_siren), reference.departments().get(place.department_code)
        if epci is not None:
            epcis.setdefault(epci.siren, Fill(epci.title, epci.siren)).add(row)
        if department is not None:
            territories.setdefault(department.code, Fill(department.title, department.code)).add(row)
    small = [row for row in found if row["status"] == "OPEN" and row["taken_count"] < row["minimum_count"]]
    return Season(
        period=chosen,
        periods=periods,
        total=total,
        by_epci=epcis,
        by_territory=sorted((epcis if asked.territory else territories).values(), key=_by_seats),
        by_theme=sorted(themes.values(), key=_by_seats),
        by_status=by_status,
        below_minimum_count=len(small),
        moved_seat_count=sum(row["moved_seat_count"] for row in found),
        # People, so by department or region and from eleven up only; seats are things.
        attended_count=None
        if asked.territory in reference.epcis()
        else secrecy.shown(sum(row["attended_count"] for row in found if row["was_counted"])),
        cafes=found,
        fictitious=any(row["fictitious"] for row in found),
    )


async def cafes(tx: Transaction, now: datetime) -> list[Row]:
    """Every café with the seats that are taken as of an instant: a lapsed offer holds nothing."""
    found = await tx.fetch_all(
        """SELECT c.*, COALESCE((SELECT sum((one ->> 'seats')::int) FROM jsonb_each(c.offers) AS o(key, one)
                                 WHERE (one ->> 'until')::timestamptz > :now), 0)::int AS held_count
           FROM season_cafe c ORDER BY starts_at, cafe_id""",
        now=now,
    )
    kept = [dict(row._mapping) for row in found]
    for row in kept:
        row["taken_count"] = row["registered_count"] + row["held_count"]
        # Those in line come before a newcomer.
        row["free_count"] = max(0, row["capacity_count"] - row["taken_count"] - row["waiting_count"])
    return kept


def period_of(row: Row) -> str:
    """The code of a café's period in addresses."""
    return f"{row['school_year']}-{row['period']}"


def period_words(code: str) -> str:
    """ "décembre 2026"."""
    school_year, _, name = code.rpartition("-")
    year = int(school_year[:4]) + (name == "FEBRUARY")
    return f"{PERIODS.get(name, name)} {year}"


def _order(code: str) -> tuple[str, int]:
    school_year, _, name = code.rpartition("-")
    return (school_year, list(PERIODS).index(name) if name in PERIODS else 0)


def _by_seats(fill: Fill) -> tuple[int, str]:
    return (-fill.capacity_count, fill.title)


def _is_in(territory: str, commune_code: str) -> bool:
    place = reference.communes().get(commune_code)
    return not territory or (place is not None and territory in (place.department_code, place.epci_siren))
