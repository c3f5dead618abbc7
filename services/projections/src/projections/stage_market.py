"""Read model of the stage market: supply and demand by department and trade, answer times, silence, engagement of hosts.

A pure fold of stage matching's messages. Counts of people are shown from eleven up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from common import secrecy
from common.pages import PARIS
from common.rebuild import ReadModel
from common.transaction import Transaction
from common.verdicts import Consumes, Delivery
from projections import as_of, rows
from projections.as_of import AsOf
from projections.messages import (
    ApplicationAccepted,
    ApplicationConfirmed,
    ApplicationEnded,
    ApplicationEndReason,
    ApplicationSeen,
    ApplicationSubmitted,
    CharterSigned,
    HostDescribed,
    HostReinstated,
    HostSuspended,
    LabelAwarded,
    LabelWithdrawn,
    OfferDescribed,
    RequestEnded,
    RequestFiled,
)
from projections.rows import Row
from projections.tables import MarketApplication, MarketHost, MarketOffer, MarketRequest
from territory import reference, rome, weeks

HOSTS_TOPIC, OFFERS_TOPIC = "stage-matching.hosts.v1", "stage-matching.offers.v1"
REQUESTS_TOPIC = "stage-matching.requests.v1"
HOST_MESSAGES = (HostDescribed, CharterSigned, LabelAwarded, LabelWithdrawn, HostSuspended, HostReinstated)
OFFER_MESSAGES = (
    OfferDescribed,
    ApplicationSubmitted,
    ApplicationSeen,
    ApplicationAccepted,
    ApplicationConfirmed,
    ApplicationEnded,
)
REQUEST_MESSAGES = (RequestFiled, RequestEnded)

ANSWERS_WINDOW = timedelta(days=60)
_ENGAGED_MAX = 20


# -- the fold


async def fold_hosts(tx: Transaction, deliveries: Sequence[Delivery]) -> None:
    """Loads the rows of a batch, applies each message in order, writes them back."""
    current = await rows.load(tx, MarketHost, [delivery.message.aggregate_id for delivery in deliveries])
    for delivery in deliveries:
        message: Any = delivery.message
        row = current.get(message.aggregate_id) or rows.blank(MarketHost)
        match message:
            case HostDescribed():
                names = ("host_name", "kind", "commune_code", "fictitious")
                changed: Row = {name: getattr(message, name) for name in names}
            case CharterSigned(ends_on=ends_on):
                changed = {"charter_ends_on": ends_on}
            case LabelAwarded(ends_on=ends_on):
                changed = {"label_ends_on": ends_on}
            case LabelWithdrawn():
                changed = {"label_ends_on": None}
            case HostSuspended(reason=reason):
                changed = {"suspended_reason": reason.value}
            case _:
                changed = {"suspended_reason": None}
        current[message.aggregate_id] = row | changed | rows.stamp(delivery, "host_id")
    await rows.save(tx, MarketHost, list(current.values()))


async def fold_offers(tx: Transaction, deliveries: Sequence[Delivery]) -> None:
    """An offer's messages change its weeks and, one at a time, its applications."""
    offers = await rows.load(tx, MarketOffer, [delivery.message.aggregate_id for delivery in deliveries])
    touched = [d.message.application_id for d in deliveries if not isinstance(d.message, OfferDescribed)]  # type: ignore[attr-defined]
    applications = await rows.load(tx, MarketApplication, touched)
    for delivery in deliveries:
        message: Any = delivery.message
        row = offers.get(message.aggregate_id, {})
        if isinstance(message, OfferDescribed):
            names = ("host_id", "title", "kind", "rome_codes", "commune_code", "suspended")
            row = row | {name: getattr(message, name) for name in names} | {"audiences": list(message.audiences)}
        else:
            key = message.application_id
            applications[key] = apply_to_application(applications.get(key), delivery)
        weeks = [week.model_dump() for week in message.weeks]
        offers[message.aggregate_id] = row | {"weeks": weeks} | rows.stamp(delivery, "offer_id")
    await rows.save(tx, MarketOffer, list(offers.values()))
    await rows.save(tx, MarketApplication, list(applications.values()))


def apply_to_application(row: Row | None, delivery: Delivery) -> Row:
    """One message onto one application; a match of a campaign begins accepted, without a submission."""
    message: Any = delivery.message
    at = message.occurred_at
    before = row or {
        "application_id": message.application_id,
        "offer_id": message.aggregate_id,
        "seeker_id": message.seeker_id,
        "origin": getattr(message, "origin", "DIRECT"),
        "submitted_at": None,
        "answered_at": None,
        "ended_at": None,
        "end_reason": None,
    }
    match message:
        case ApplicationSubmitted():
            changed: Row = {"state": "submitted", "submitted_at": at}
        case ApplicationSeen():
            changed = {"state": "seen"}
        case ApplicationAccepted():
            changed = {"state": "accepted", "answered_at": before["answered_at"] or at}
        case ApplicationConfirmed():
            changed = {"state": "confirmed"}
        case _:
            refused = message.reason == ApplicationEndReason.REFUSED and before["answered_at"] is None
            changed = {"state": "ended", "ended_at": at, "end_reason": message.reason.value}
            changed |= {"answered_at": at} if refused else {}
    return before | changed | rows.place_in_log(delivery)


async def fold_requests(tx: Transaction, deliveries: Sequence[Delivery]) -> None:
    """Filed again, a request is live again."""
    current = await rows.load(tx, MarketRequest, [delivery.message.aggregate_id for delivery in deliveries])
    for delivery in deliveries:
        message: Any = delivery.message
        row = current.get(message.aggregate_id, {})
        if isinstance(message, RequestFiled):
            names = ("seeker_id", "campaign_id", "audience", "department_code", "rome_codes")
            row = row | {name: getattr(message, name) for name in names}
            row |= {"filed_at": message.occurred_at, "end_reason": None}
        elif row:
            row = row | {"end_reason": message.reason.value}
        else:  # the log was cut before the request was filed: nothing is known of it
            continue
        current[message.aggregate_id] = row | rows.stamp(delivery, "request_id")
    await rows.save(tx, MarketRequest, list(current.values()))


MODEL = ReadModel(
    tables=(MarketOffer, MarketHost, MarketApplication, MarketRequest),
    folds={
        HOSTS_TOPIC: Consumes(messages=HOST_MESSAGES, fold=fold_hosts),
        OFFERS_TOPIC: Consumes(messages=OFFER_MESSAGES, fold=fold_offers),
        REQUESTS_TOPIC: Consumes(messages=REQUEST_MESSAGES, fold=fold_requests),
    },
)


# -- reading


@dataclass(frozen=True)
class Trade:
    """One ROME domain: seats to come and free, people without one, counted from eleven up (None below)."""

    code: str
    title: str
    seats_count: int
    free_count: int
    waiting_count: int | None


@dataclass(frozen=True)
class Answers:
    """Direct applications of the last sixty days whose answer came or was due."""

    answered_count: int
    silent_count: int
    median_days: float | None

    @property
    def silent_share(self) -> float | None:
        """Left without an answer, of all; None when there was none."""
        total = self.answered_count + self.silent_count
        return self.silent_count / total if total else None


@dataclass(frozen=True)
class Market:
    """What the page shows for one territory: the region, or a department."""

    trades: list[Trade]
    departments: list[tuple[str, str, int, int, int | None]]
    answers: Answers
    waiting_count: int | None
    hosts: list[Row]
    host_count: int
    suspended_count: int
    labelled_count: int
    fictitious: bool

    @property
    def free_count(self) -> int:
        """Seats to come that are free."""
        return sum(trade.free_count for trade in self.trades)


async def read_as_of(tx: Transaction) -> AsOf:
    """How complete the market is."""
    return await as_of.read_as_of(tx, MODEL.topics)


async def read(tx: Transaction, now: datetime, department: str = "") -> Market:
    """The market of a department, or of the whole region; weeks that have begun no longer count as supply."""
    communes = [c.code for c in reference.communes().values() if department in ("", c.department_code)]
    supply = await tx.fetch_all(
        """SELECT left(o.rome_codes[1], 1) AS domain, o.commune_code, sum(w.seats_count) AS seats, sum(w.free_count) AS free
           FROM market_offer o JOIN market_host h USING (host_id),
                jsonb_to_recordset(o.weeks) AS w(iso_week text, seats_count integer, free_count integer)
           WHERE NOT o.suspended AND h.suspended_reason IS NULL AND w.iso_week >= :first
           GROUP BY 1, 2""",
        first=weeks.following(now.astimezone(PARIS).date()),
    )
    demand = await tx.fetch_all(
        """SELECT r.department_code, d.domain, count(*) AS people
           FROM market_request r CROSS JOIN LATERAL (SELECT DISTINCT left(code, 1) AS domain FROM unnest(r.rome_codes) code UNION ALL SELECT '') d
           WHERE r.end_reason IS NULL AND NOT EXISTS (SELECT 1 FROM market_application a
               WHERE a.seeker_id = r.seeker_id AND a.state IN ('accepted', 'confirmed'))
           GROUP BY 1, 2"""
    )
    here = set(communes)
    waiting: dict[str, int] = {}
    for row in demand:
        if department in ("", row.department_code):
            waiting[row.domain] = waiting.get(row.domain, 0) + row.people
    seats = {code: [0, 0] for code in rome.DOMAINS}
    by_department = {code: [0, 0] for code in reference.departments()}
    for row in supply:
        place = reference.communes().get(row.commune_code)
        if place is not None and place.department_code in by_department:
            by_department[place.department_code][0] += row.seats
            by_department[place.department_code][1] += row.free
        if row.commune_code in here and row.domain in seats:
            seats[row.domain][0] += row.seats
            seats[row.domain][1] += row.free
    people = {row.department_code: row.people for row in demand if row.domain == ""}
    hosts = await tx.fetch_one(
        """SELECT count(*) AS hosts, count(*) FILTER (WHERE suspended_reason IS NOT NULL) AS suspended,
                  count(*) FILTER (WHERE label_ends_on >= :today) AS labelled, COALESCE(bool_or(fictitious), false) AS fictitious
           FROM market_host WHERE commune_code = ANY(:communes)""",
        communes=communes,
        today=now.astimezone(PARIS).date(),
    )
    assert hosts is not None
    return Market(
        trades=sorted(
            (
                Trade(code, rome.DOMAINS[code], total, free, secrecy.shown(waiting.get(code, 0)))
                for code, (total, free) in seats.items()
                if total or waiting.get(code)
            ),
            key=lambda trade: (-(trade.waiting_count or 0), -trade.free_count, trade.code),
        ),
        departments=[
            (code, reference.departments()[code].title, total, free, secrecy.shown(people.get(code, 0)))
            for code, (total, free) in by_department.items()
        ],
        answers=await _answers(tx, now, communes),
        waiting_count=secrecy.shown(waiting.get("", 0)),
        hosts=await _engaged(tx, now, communes),
        host_count=hosts.hosts,
        suspended_count=hosts.suspended,
        labelled_count=hosts.labelled,
        fictitious=hosts.fictitious,
    )


async def _answers(tx: Transaction, now: datetime, communes: Sequence[str]) -> Answers:
    row = await tx.fetch_one(
        """SELECT count(*) FILTER (WHERE a.answered_at IS NOT NULL) AS answered,
                  count(*) FILTER (WHERE a.end_reason = 'HOST_SILENT') AS silent,
                  percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM a.answered_at - a.submitted_at) / 86400)
                      FILTER (WHERE a.answered_at IS NOT NULL) AS median
           FROM market_application a JOIN market_offer o USING (offer_id)
           WHERE a.origin = 'DIRECT' AND COALESCE(a.answered_at, a.ended_at) > :since AND o.commune_code = ANY(:communes)""",
        since=now - ANSWERS_WINDOW,
        communes=list(communes),
    )
    assert row is not None
    return Answers(row.answered, row.silent, float(row.median) if row.median is not None else None)


async def _engaged(tx: Transaction, now: datetime, communes: Sequence[str]) -> list[Row]:
    """The hosts that took most interns in twelve months, with how they answer and their charter and label."""
    found = await tx.fetch_all(
        """SELECT h.*, count(*) FILTER (WHERE a.state = 'confirmed') AS confirmed_count,
                  count(*) FILTER (WHERE a.origin = 'DIRECT' AND a.answered_at IS NOT NULL) AS answered_count,
                  count(*) FILTER (WHERE a.end_reason = 'HOST_SILENT') AS silent_count
           FROM market_host h JOIN market_offer o USING (host_id) JOIN market_application a USING (offer_id)
           WHERE h.commune_code = ANY(:communes) AND COALESCE(a.answered_at, a.submitted_at, a.ended_at) > :since
           GROUP BY h.host_id HAVING count(*) FILTER (WHERE a.state = 'confirmed') > 0
           ORDER BY confirmed_count DESC, h.host_name, h.host_id LIMIT :limit""",
        communes=list(communes),
        since=now - timedelta(days=365),
        limit=_ENGAGED_MAX,
    )
    return [dict(row._mapping) for row in found]
