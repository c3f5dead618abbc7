"""The invariants of internships: S6–S9, S16, S18, S19. Each function yields what it found wrong, in words."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from tests.faults.checker.judged import (
    beyond_authority,
    differences,
    disagreements,
    first_occurrences,
    one_effect_per_command,
    placed,
    shown_and_folded,
    stamped,
)
from tests.faults.checker.log import Record
from tests.faults.checker.world import Row, World

SERVICE = "stage-matching"
HOSTS, OFFERS, REQUESTS = (f"stage-matching.{name}.v1" for name in ("hosts", "offers", "requests"))
_STATES = {
    "ApplicationSubmitted": "submitted",
    "ApplicationSeen": "seen",
    "ApplicationAccepted": "accepted",
    "ApplicationConfirmed": "confirmed",
}
_ENDED = {
    "REFUSED": "refused",
    "HOST_SILENT": "expired",
    "SEEKER_SILENT": "expired",
    "WITHDRAWN": "withdrawn",
    "CONFIRMED_ELSEWHERE": "released",
    "HOST_SUSPENDED": "released",
    "AGREEMENT_CANCELLED": "cancelled",
}


def s6_no_overbooking(world: World) -> Iterator[str]:
    """No message has more seats taken than there are; the table has exactly what accepted and confirmed applications take."""
    for record in first_occurrences(world, OFFERS):
        assert record.fields is not None
        for week in record.fields["weeks"]:
            if not 0 <= week["taken_count"] <= week["seats_count"]:
                yield f"{record.key_text} v{record.version} {week['iso_week']}: {week['taken_count']} of {week['seats_count']}"
            if week["free_count"] != week["seats_count"] - week["taken_count"]:
                yield f"{record.key_text} v{record.version} {week['iso_week']}: free_count does not add up"
    database = world.databases[SERVICE]
    seated: Counter[tuple[str, str]] = Counter()
    for row in database["application"]:
        if row["state"] in ("accepted", "confirmed"):
            seated.update((str(row["offer_id"]), week) for week in row["iso_weeks"])
    kept: Counter[tuple[str, str]] = Counter()
    for row in database["freed_seat"]:
        kept.update((str(row["offer_id"]), week) for week in row["iso_weeks"])
    for row in database["offer_week"]:
        place = str(row["offer_id"]), row["iso_week"]
        if row["taken_count"] != seated[place]:
            yield f"{place}: {row['taken_count']} taken, but {seated[place]} applications are seated"
        if row["campaign_count"] != kept[place]:
            yield f"{place}: {row['campaign_count']} kept for campaigns, but {kept[place]} seats came back"


def s7_table_and_log_agree(world: World) -> Iterator[str]:
    """Every application is in the state that the log tells, and in no other table than the log's."""
    told: dict[str, str] = {}
    for record in first_occurrences(world, OFFERS):
        assert record.fields is not None
        if record.name == "ApplicationEnded":
            told[str(record.fields["application_id"])] = _ENDED[record.fields["reason"]]
        elif record.name in _STATES:
            told[str(record.fields["application_id"])] = _STATES[record.name]
    table = {str(row["application_id"]): row["state"] for row in world.databases[SERVICE]["application"]}
    yield from disagreements("application", table, told)


def s8_one_confirmed_a_week(world: World) -> Iterator[str]:
    """Nobody has two confirmed internships in one week at a time, as the log tells it."""
    spans: dict[tuple[str, str], list[tuple[Any, Any]]] = defaultdict(list)
    confirmed: dict[str, tuple[Any, str, list[str]]] = {}
    for record in first_occurrences(world, OFFERS):
        fields = record.fields
        assert fields is not None
        if record.name == "ApplicationConfirmed":
            confirmed[str(fields["application_id"])] = (
                fields["occurred_at"],
                str(fields["seeker_id"]),
                fields["iso_weeks"],
            )
        elif record.name == "ApplicationEnded" and str(fields["application_id"]) in confirmed:
            began, seeker, weeks = confirmed.pop(str(fields["application_id"]))
            for week in weeks:
                spans[seeker, week].append((began, fields["occurred_at"]))
    for began, seeker, weeks in confirmed.values():
        for week in weeks:
            spans[seeker, week].append((began, None))
    for who, mine in spans.items():
        mine.sort(key=lambda span: span[0])
        for (_, until), (begins, _) in pairwise(mine):
            if until is None or until > begins:
                yield f"{who} has two confirmed internships"


def s9_market_is_the_fold(world: World) -> Iterator[str]:
    """The market's four tables equal an independent fold of what the consumer accepted, every column."""
    expected = _fold(world)
    for table, key in (
        ("market_host", "host_id"),
        ("market_offer", "offer_id"),
        ("market_application", "application_id"),
        ("market_request", "request_id"),
    ):
        yield from differences(table, *shown_and_folded(world, table, key, expected[table]))


def _fold(world: World) -> dict[str, dict[str, Row]]:
    made: dict[str, dict[str, Row]] = {
        name: {} for name in ("market_host", "market_offer", "market_application", "market_request")
    }
    for record in world.consumed["projections", HOSTS].accepted:
        fields = record.fields or {}
        row = made["market_host"].get(record.key_text) or {
            "host_id": record.key_text,
            "host_name": "",
            "kind": "",
            "commune_code": "",
            "fictitious": False,
            "charter_ends_on": None,
            "label_ends_on": None,
            "suspended_reason": None,
        }
        match record.name:
            case "HostDescribed":
                row |= {name: fields[name] for name in ("host_name", "kind", "commune_code", "fictitious")}
            case "CharterSigned":
                row["charter_ends_on"] = fields["ends_on"]
            case "LabelAwarded":
                row["label_ends_on"] = fields["ends_on"]
            case "LabelWithdrawn":
                row["label_ends_on"] = None
            case "HostSuspended":
                row["suspended_reason"] = fields["reason"]
            case "HostReinstated":
                row["suspended_reason"] = None
        made["market_host"][record.key_text] = row | stamped(record)
    for record in world.consumed["projections", OFFERS].accepted:
        fields = record.fields or {}
        row = made["market_offer"].get(record.key_text, {"offer_id": record.key_text})
        if record.name == "OfferDescribed":
            names = ("host_id", "title", "kind", "rome_codes", "commune_code", "audiences", "suspended")
            row = row | {name: fields[name] for name in names}
        else:
            _fold_application(made["market_application"], record, fields)
        made["market_offer"][record.key_text] = row | {"weeks": fields["weeks"]} | stamped(record)
    for record in world.consumed["projections", REQUESTS].accepted:
        fields = record.fields or {}
        row = made["market_request"].get(record.key_text, {"request_id": record.key_text})
        if record.name == "RequestFiled":
            told = ("seeker_id", "campaign_id", "audience", "department_code", "rome_codes")
            row = row | {name: fields[name] for name in told}
            row |= {"filed_at": fields["occurred_at"], "end_reason": None}
        else:
            row = row | {"end_reason": fields["reason"]}
        made["market_request"][record.key_text] = row | stamped(record)
    return made


def _fold_application(table: dict[str, Row], record: Record, fields: Row) -> None:
    one, at = str(fields["application_id"]), fields["occurred_at"]
    row = table.get(one) or {
        "application_id": one,
        "offer_id": record.key_text,
        "seeker_id": fields.get("seeker_id"),
        "origin": fields.get("origin", "DIRECT"),
        "submitted_at": None,
        "answered_at": None,
        "ended_at": None,
        "end_reason": None,
    }
    row["state"] = _STATES.get(record.name, "ended")
    if record.name == "ApplicationSubmitted":
        row["submitted_at"] = at
    answers = record.name == "ApplicationAccepted" or fields.get("reason") == "REFUSED"
    if answers and row["answered_at"] is None:
        row["answered_at"] = at
    if record.name == "ApplicationEnded":
        row |= {"ended_at": at, "end_reason": fields["reason"]}
    table[one] = row | placed(record)


def s16_authority(world: World) -> Iterator[str]:
    """A host's command changed its own offers only; forbidden ones were refused."""
    owner = {str(row["offer_id"]): str(row["host_id"]) for row in world.databases[SERVICE]["offer"]}
    yield from beyond_authority(world, SERVICE, first_occurrences(world, OFFERS), "host", "host_id", owner)


def s18_one_effect_per_command(world: World) -> Iterator[str]:
    """Each command had, once, exactly the effect that its answer says, however often it was sent; none stays unanswered."""
    names = ("ApplicationSubmitted", "ApplicationAccepted", "ApplicationConfirmed")
    yield from one_effect_per_command(world, SERVICE, first_occurrences(world, OFFERS), exactly=names, once={})


def s19_campaigns_give_each_seat_once(world: World) -> Iterator[str]:
    """Of a published campaign, whoever obtained an offer was given it, once, and nobody else before a seat came back."""
    database = world.databases[SERVICE]
    offers = {(row["campaign_id"], row["number"]): row["offer_id"] for row in database["campaign_offer"]}
    given = Counter(
        (r["campaign_id"], r["seeker_id"], r["offer_id"]) for r in database["application"] if r["campaign_id"]
    )
    yield from (f"{one} was given {count} times" for one, count in given.items() if count > 1)
    states = {row["campaign_id"]: row["state"] for row in database["campaign"]}
    obtained = 0
    for row in database["request"]:
        if states.get(row["campaign_id"]) == "published" and row["obtained_offer"] is not None:
            obtained += 1
            if not given[row["campaign_id"], row["seeker_id"], offers[row["campaign_id"], row["obtained_offer"]]]:
                yield f"request {row['request_id']} was not given the offer that it obtained"
    if "published" in states.values() and not obtained:
        yield "the campaign gave nothing"
