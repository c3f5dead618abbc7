"""Read model of platform use: what is offered, what is booked of it, by territory, equipment and week.

A pure fold of platform scheduling's messages. Cancelled, refused and missed bookings use nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any, Literal
from uuid import UUID

from common import secrecy
from common.pages import PARIS
from common.rebuild import ReadModel
from common.transaction import Transaction
from common.verdicts import Consumes, Delivery
from projections import as_of, rows
from projections.as_of import AsOf
from projections.messages import (
    BookingApproved,
    BookingEnded,
    BookingHeld,
    BookingMoved,
    BookingRequested,
    BookingsRestated,
    PlatformDescribed,
    TimeOffered,
)
from projections.rows import Row
from projections.tables import UseBooking, UsePlatform
from territory import reference, weeks

TOPIC = "platform-scheduling.platforms.v1"
MESSAGES = (
    PlatformDescribed,
    TimeOffered,
    BookingRequested,
    BookingHeld,
    BookingApproved,
    BookingMoved,
    BookingEnded,
    BookingsRestated,
)
Period = Literal["4", "12", "52", "avenir"]
PERIODS: dict[Period, str] = {
    "12": "12 dernières semaines",
    "4": "4 dernières semaines",
    "52": "52 dernières semaines",
    "avenir": "8 semaines à venir",
}
_LIVE = ("requested", "tentative", "approved")
_PLATFORMS_SHOWN = 12


# -- the fold


async def fold(tx: Transaction, deliveries: Sequence[Delivery]) -> None:
    """Loads the rows of a batch, applies each message in order, writes them back."""
    platforms = await rows.load(tx, UsePlatform, [delivery.message.aggregate_id for delivery in deliveries])
    bookings = await rows.load(tx, UseBooking, list(_touched(deliveries)))
    restated = [d.message.aggregate_id for d in deliveries if isinstance(d.message, BookingsRestated)]
    for row in await tx.fetch_all("SELECT * FROM use_booking WHERE platform_id = ANY(:ids)", ids=restated):
        bookings.setdefault(row.booking_id, dict(row._mapping))
    for delivery in deliveries:
        message: Any = delivery.message
        platform = platforms.get(message.aggregate_id) or rows.blank(UsePlatform)
        match message:
            case PlatformDescribed():
                names = (
                    "owner_title",
                    "title",
                    "commune_code",
                    "capacity_count",
                    "unit_count",
                    "withdrawn",
                    "fictitious",
                )
                changed: Row = {name: getattr(message, name) for name in names}
                changed["equipment"] = [{"code": one.equipment_code, "title": one.title} for one in message.equipment]
            case TimeOffered():
                told = {week.iso_week: week.offered_minutes for week in message.weeks}
                changed = {"offered": dict(sorted({**platform["offered"], **told}.items()))}
            case BookingsRestated():
                changed, kept = {}, set(message.booking_ids)
                for key, one in bookings.items():
                    if one and one["platform_id"] == message.aggregate_id and one["state"] in _LIVE and key not in kept:
                        bookings[key] = one | {"state": "ended", "end_reason": "RESTATED"} | rows.place_in_log(delivery)
            case _:
                changed = {}
                bookings[message.booking_id] = apply_to_booking(bookings.get(message.booking_id), delivery)
        platforms[message.aggregate_id] = platform | changed | rows.stamp(delivery, "platform_id")
    await rows.save(tx, UsePlatform, list(platforms.values()))
    await rows.save(tx, UseBooking, [row for row in bookings.values() if row])


def _touched(deliveries: Sequence[Delivery]) -> Iterable[UUID]:
    for delivery in deliveries:
        booking_id = getattr(delivery.message, "booking_id", None)
        if booking_id is not None:
            yield booking_id


def apply_to_booking(row: Row | None, delivery: Delivery) -> Row:
    """One message onto one booking; of one that the log no longer begins, nothing is known."""
    message: Any = delivery.message
    if isinstance(message, BookingMoved | BookingEnded) and not row:
        return {}
    before = row or {"booking_id": message.booking_id, "platform_id": message.aggregate_id, "late": False}
    match message:
        case BookingEnded():
            changed: Row = {"state": "ended", "end_reason": message.reason.value, "late": message.late}
        case BookingMoved():
            state = "approved" if message.expires_at is None else "tentative"
            changed = {"state": state, "starts_at": message.starts_at, "ends_at": message.ends_at}
        case _:
            state = {"BookingRequested": "requested", "BookingHeld": "tentative"}.get(message.record_name(), "approved")
            names = ("starts_at", "ends_at", "group_size")
            changed = {name: getattr(message, name) for name in names} | {"state": state, "end_reason": None}
            changed["origin"] = message.origin.value
    return before | changed | rows.place_in_log(delivery)


MODEL = ReadModel(tables=(UsePlatform, UseBooking), folds={TOPIC: Consumes(messages=MESSAGES, fold=fold)})


# -- reading


@dataclass
class Use:
    """Offered and used minutes over units, and what became of the bookings."""

    title: str
    code: str = ""
    platform_count: int = 0
    offered_minutes: int = 0
    used_minutes: int = 0
    booking_count: int = 0

    @property
    def rate(self) -> float | None:
        """Used of offered; None when nothing was offered."""
        return self.used_minutes / self.offered_minutes if self.offered_minutes else None

    def add(self, row: Row) -> None:
        """Counts a platform in."""
        self.platform_count += 1
        self.offered_minutes += row["offered_minutes"]
        self.used_minutes += row["used_minutes"]
        self.booking_count += row["booking_count"]


@dataclass(frozen=True)
class PlatformUse:
    """What the page shows for a territory and a period."""

    total: Use
    cancelled_count: int
    late_count: int
    missed_count: int
    waiting_count: int
    people_count: int | None
    by_week: list[Use]
    by_equipment: list[Use]
    by_territory: list[Use]
    by_epci: dict[str, Use]
    platforms: list[Row] = field(default_factory=list)
    fictitious: bool = False


async def read_as_of(tx: Transaction) -> AsOf:
    """How complete the read model is."""
    return await as_of.read_as_of(tx, MODEL.topics)


def weeks_of(period: Period, now: datetime) -> tuple[str, ...]:
    """The ISO weeks of a period: those that are over, or the ones to come, this one included."""
    today = now.astimezone(PARIS).date()
    if period == "avenir":
        return weeks.span(weeks.week_of(today), 8)
    return weeks.span(weeks.week_of(today - timedelta(weeks=int(period))), int(period))


async def read(tx: Transaction, now: datetime, territory: str = "", period: Period = "12") -> PlatformUse:
    """Use in a department, an intercommunality or the whole region (empty)."""
    chosen = weeks_of(period, now)
    since, until = (
        datetime.combine(day, time(0), PARIS).astimezone(UTC)
        for day in (weeks.monday(chosen[0]), weeks.monday(chosen[-1]) + timedelta(days=7))
    )
    here = {
        code: place
        for code, place in reference.communes().items()
        if territory in ("", place.department_code, place.epci_siren)
    }
    asked = {"since": since, "until": until, "communes": list(here), "now": now}
    found = [dict(row._mapping) for row in await tx.fetch_all(_PLATFORMS, first=chosen[0], last=chosen[-1], **asked)]
    ends = await tx.fetch_one(_ENDS, **asked)
    assert ends is not None
    total = Use("Toute la Normandie")
    equipment: dict[str, Use] = {}
    territories: dict[str, Use] = {}
    epcis: dict[str, Use] = {}
    for row in found:
        total.add(row)
        place = here[row["commune_code"]]
        for one in row["equipment"]:
            equipment.setdefault(one["code"], Use(one["title"], one["code"])).add(row)
        department = reference.departments().get(place.department_code)
        epci = reference.epcis().get(place.epci_siren)
        if epci is not None:
            epcis.setdefault(epci.siren, Use(epci.title, epci.siren)).add(row)
        if department is not None and not territory:
            territories.setdefault(department.code, Use(department.title, department.code)).add(row)
    return PlatformUse(
        total=total,
        cancelled_count=ends.cancelled,
        late_count=ends.late,
        missed_count=ends.missed,
        waiting_count=ends.waiting,
        people_count=secrecy.shown(ends.people),
        by_week=await _by_week(tx, chosen, asked),
        by_equipment=sorted(equipment.values(), key=lambda use: (-use.offered_minutes, use.title)),
        by_territory=sorted((territories or epcis).values(), key=lambda use: (-use.offered_minutes, use.title)),
        by_epci=epcis,
        platforms=sorted(
            (row for row in found if row["offered_minutes"] or row["used_minutes"]),
            key=lambda row: (-row["used_minutes"], row["title"], str(row["platform_id"])),
        )[:_PLATFORMS_SHOWN],
        fictitious=any(row["fictitious"] for row in found),
    )


# A booking belongs to the week in which it begins.
_BOOKED = """
    SELECT platform_id, extract(epoch FROM ends_at - starts_at)::bigint / 60 AS minutes, starts_at
    FROM use_booking WHERE (state = 'approved' OR end_reason = 'DONE') AND starts_at >= :since AND starts_at < :until"""
_PLATFORMS = f"""
    SELECT p.platform_id, p.title, p.owner_title, p.commune_code, p.equipment, p.fictitious,
           COALESCE((SELECT sum(value::bigint) FROM jsonb_each_text(p.offered) WHERE key BETWEEN :first AND :last), 0)::bigint AS offered_minutes,
           COALESCE(b.minutes, 0)::bigint AS used_minutes, COALESCE(b.bookings, 0)::bigint AS booking_count
    FROM use_platform p
         LEFT JOIN (SELECT platform_id, sum(minutes) AS minutes, count(*) AS bookings FROM ({_BOOKED}) u GROUP BY platform_id) b USING (platform_id)
    WHERE p.commune_code = ANY(:communes)"""
_ENDS = """
    SELECT count(*) FILTER (WHERE end_reason LIKE 'CANCELLED%') AS cancelled, count(*) FILTER (WHERE late) AS late,
           count(*) FILTER (WHERE end_reason = 'NO_SHOW') AS missed,
           count(*) FILTER (WHERE state IN ('requested', 'tentative') AND starts_at > :now) AS waiting,
           COALESCE(sum(group_size) FILTER (WHERE state = 'approved' OR end_reason = 'DONE'), 0)::bigint AS people
    FROM use_booking JOIN use_platform p USING (platform_id)
    WHERE starts_at >= :since AND starts_at < :until AND p.commune_code = ANY(:communes)"""


async def _by_week(tx: Transaction, chosen: Sequence[str], asked: dict[str, Any]) -> list[Use]:
    found = {week: Use(week, week) for week in chosen}
    offered = await tx.fetch_all(
        """SELECT key AS iso_week, sum(value::bigint)::bigint AS minutes FROM use_platform p, jsonb_each_text(p.offered)
           WHERE key = ANY(:weeks) AND p.commune_code = ANY(:communes) GROUP BY key""",
        weeks=list(chosen),
        communes=asked["communes"],
    )
    for row in offered:
        found[row.iso_week].offered_minutes = row.minutes
    used = await tx.fetch_all(
        f"""SELECT to_char(b.starts_at AT TIME ZONE 'Europe/Paris', 'IYYY-"W"IW') AS iso_week, sum(b.minutes)::bigint AS minutes,
                   count(*) AS bookings
            FROM ({_BOOKED}) b JOIN use_platform p USING (platform_id) WHERE p.commune_code = ANY(:communes) GROUP BY 1""",
        since=asked["since"],
        until=asked["until"],
        communes=asked["communes"],
    )
    for row in used:
        found[row.iso_week].used_minutes = row.minutes
        found[row.iso_week].booking_count = row.bookings
    return list(found.values())
