"""The invariants of internships can fail: a small true world passes, and each planted lie is found by its invariant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.checker import stages
from tests.faults.checker.consumed import Consumed
from tests.faults.checker.log import Record, Topic
from tests.faults.checker.world import Database, World
from tests.faults.lies import planted, violated

WEEK, OFFER, HOST, SEEKER = "2027-W06", "offer", "host", "seeker"


class _Trace:
    hex = "trace"


def record(topic: str, version: int, name: str, key: str = OFFER, **fields: Any) -> Record:
    """One message, one second after the other."""
    envelope = {
        "event_id": f"{key}-{version}",
        "aggregate_version": version,
        "occurred_at": version,
        "correlation_id": _Trace,
    }
    return Record(topic, 0, version, key.encode(), b"", [], name, {**envelope, **fields})


def weeks(taken: int) -> list[dict[str, Any]]:
    """One week of two seats."""
    return [{"iso_week": WEEK, "seats_count": 2, "taken_count": taken, "free_count": 2 - taken}]


def true_world() -> World:
    """One offer; a direct application that was confirmed, a campaign's match that is accepted."""
    described: dict[str, Any] = {name: [] for name in ("rome_codes", "audiences")} | {
        "host_id": HOST,
        "title": "t",
        "kind": "k",
    }
    facts: dict[str, Any] = {"seeker_id": SEEKER, "origin": "DIRECT", "iso_weeks": [WEEK]}
    offers = [
        record(stages.OFFERS, 1, "OfferDescribed", **described, commune_code="c", suspended=False, weeks=weeks(0)),
        record(stages.OFFERS, 2, "ApplicationSubmitted", application_id="a", **facts, weeks=weeks(0)),
        record(stages.OFFERS, 3, "ApplicationAccepted", application_id="a", **facts, weeks=weeks(1)),
        record(stages.OFFERS, 4, "ApplicationConfirmed", application_id="a", **facts, weeks=weeks(1)),
        record(
            stages.OFFERS,
            5,
            "ApplicationAccepted",
            application_id="b",
            **facts | {"seeker_id": "pupil"},
            weeks=weeks(2),
        ),
    ]
    applications: list[dict[str, Any]] = [
        {"application_id": "a", "offer_id": OFFER, "seeker_id": SEEKER, "state": "confirmed", "iso_weeks": [WEEK], "campaign_id": None},
        {"application_id": "b", "offer_id": OFFER, "seeker_id": "pupil", "state": "accepted", "iso_weeks": [WEEK], "campaign_id": "c1"},
    ]  # fmt: skip
    service: dict[str, list[dict[str, Any]]] = {
        "application": applications,
        "offer_week": [{"offer_id": OFFER, "iso_week": WEEK, "taken_count": 2, "campaign_count": 0}],
        "offer": [{"offer_id": OFFER, "host_id": HOST}],
        "campaign": [{"campaign_id": "c1", "state": "published"}],
        "campaign_offer": [{"campaign_id": "c1", "number": 0, "offer_id": OFFER}],
        "request": [{"request_id": "r", "campaign_id": "c1", "seeker_id": "pupil", "obtained_offer": 0}],
    }
    topics = {
        name: Topic(name, stages.SERVICE, "version", found, {0: 0}, {0: 9})
        for name, found in ((stages.OFFERS, offers), (stages.HOSTS, []), (stages.REQUESTS, []))
    }
    made = {("projections", name): Consumed(accepted=topic.records) for name, topic in topics.items()}
    effects = {"ApplicationSubmitted": 1, "ApplicationAccepted": 2, "ApplicationConfirmed": 1}
    op = {"service": stages.SERVICE, "op": "apply", "op_id": "1", "trace_id": "trace", "role": "host", "host_id": HOST}
    history: list[dict[str, Any]] = [
        {"kind": "invoke", **op},
        {"kind": "ok", "op_id": "1", "status": 201, "effects": effects},
    ]
    world = World(topics, {stages.SERVICE: Database(service), "projections": Database({})}, history, made, {})
    world.databases["projections"] = Database({name: list(rows.values()) for name, rows in stages._fold(world).items()})
    return world


def _overbook(world: World) -> None:
    world.topics[stages.OFFERS].records[-1].fields["weeks"][0]["taken_count"] = 3  # type: ignore[index]


def _count(world: World) -> None:
    world.databases[stages.SERVICE]["offer_week"][0]["taken_count"] = 1


def _keep(world: World) -> None:
    world.databases[stages.SERVICE]["offer_week"][0]["campaign_count"] = 1


def _forget(world: World) -> None:
    del world.databases[stages.SERVICE]["application"][0]


def _confirm_twice(world: World) -> None:
    records = world.topics[stages.OFFERS].records
    twin = {**(records[3].fields or {}), "event_id": "twin", "aggregate_version": 6, "application_id": "z"}
    records.append(Record(stages.OFFERS, 0, 6, OFFER.encode(), b"", [], "ApplicationConfirmed", twin))


def _change_a_row(world: World) -> None:
    world.databases["projections"]["market_application"][0]["state"] = "submitted"


def _act_for_another(world: World) -> None:
    world.history[0]["host_id"] = "stranger"


def _answer_otherwise(world: World) -> None:
    world.history[1]["effects"] = {"ApplicationSubmitted": 1}


def _never_answer(world: World) -> None:
    del world.history[1]


def _give_twice(world: World) -> None:
    rows = world.databases[stages.SERVICE]["application"]
    rows.append({**rows[1], "application_id": "again"})


def _give_nothing(world: World) -> None:
    world.databases[stages.SERVICE]["application"][1]["campaign_id"] = None


def test_a_true_world_passes() -> None:
    """No invariant complains."""
    assert violated(true_world(), "S") == set()


@pytest.mark.parametrize(
    ("lie", "name"),
    [
        (_overbook, "S6"),
        (_count, "S6"),
        (_keep, "S6"),
        (_forget, "S7"),
        (_confirm_twice, "S8"),
        (_change_a_row, "S9"),
        (_act_for_another, "S16"),
        (_answer_otherwise, "S18"),
        (_never_answer, "S18"),
        (_give_twice, "S19"),
        (_give_nothing, "S19"),
    ],
)
def test_a_planted_lie_is_found(lie: Callable[[World], None], name: str) -> None:
    """Each by the invariant that it breaks."""
    assert name in violated(planted(true_world(), lie), "S")
