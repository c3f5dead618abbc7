"""The invariants of the observatory's cases can fail: a small true world passes, and each planted lie is found by its invariant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from tests.faults.checker import cases
from tests.faults.checker.consumed import Consumed
from tests.faults.checker.log import Record, Topic
from tests.faults.checker.world import PROGRAMMES, Database, World
from tests.faults.lies import planted, violated
from tests.faults.test_stages_checker import record as made_record

ONE, TWO = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
CODE_ONE, CODE_TWO = "2345678923", "ABCDEFGHJK"
HOLD, LEFT_HOLD, PSAD, LINKS = "hold", "left-hold", "psad", "remediation-seats.case-links.v1"
# In Paris the day is the next one already.
BEGIN, DAY = datetime(2026, 11, 29, 23, 30, tzinfo=UTC), date(2026, 11, 30)
ROUEN: dict[str, Any] = {
    "left_month": date(2026, 9, 1), "level_left": "CAP", "school_kind": "CFA", "school_uai": None, "age_band": "AGE_17",
    "commune_code": "76540", "epci_siren": "rouen", "department_code": "76", "geography_year": 2026, "factors": ["MOBILITY"],
}  # fmt: skip
ELSEWHERE = ROUEN | {"commune_code": "76351", "epci_siren": "le-havre"}


def at(second: int) -> datetime:
    """An instant."""
    return BEGIN + timedelta(seconds=second)


def record(
    version: int, name: str, key: str = ONE, *, by: str = "elsewhere", topic: str = cases.CASES, **fields: Any
) -> Record:
    """One message, known at the second of its version, by a command's trace."""
    envelope = {"occurred_at": at(version), "correlation_id": SimpleNamespace(hex=by)}
    return made_record(topic, version, name, key, **envelope | fields)


def step(step_id: str, **fields: Any) -> dict[str, Any]:
    """A step as messages and rows have it."""
    nothing = dict.fromkeys(("accompanier", "presence", "outcome"))
    return {
        "step_id": step_id,
        "kind": "OFFERED",
        "happened_on": date(2026, 10, 3),
        "source": "PROFESSIONAL",
        **nothing,
        **fields,
    }


LEARNT = step("learnt", happened_on=DAY, source="SEAT_HOLD")


def true_world() -> World:
    """One case that moved to a platform's territory, whose step was taken back, and that was withdrawn; one that a hold is for."""
    log = [
        record(1, "CaseReported", by="report", source="REFERENT", way="HTTP", facts=ROUEN),
        record(2, "CaseFollowed", by="step", steps=[step("noted")]),
        record(3, "CaseFollowed", by="take-back", steps=[]),
        record(4, "CaseCorrected", by="correct", facts=ELSEWHERE),
        record(5, "CaseWithdrawn", by="withdrawal", reason="MISTAKE", duplicate_of=None),
        record(1, "CaseReported", TWO, by="report-two", source="CFA", way="HTTP", facts=ROUEN),
        record(2, "CaseFollowed", TWO, steps=[LEARNT]),
    ]
    links = [
        record(1, "CaseLinked", HOLD, topic=LINKS, case_code=CODE_TWO),
        record(1, "CaseLinked", LEFT_HOLD, topic=LINKS, case_code=CODE_TWO),
        record(2, "CaseUnlinked", LEFT_HOLD, topic=LINKS),
    ]
    programmes = [
        record(1, "SeatHeld", "programme", topic=PROGRAMMES, hold_id=HOLD),
        record(2, "SeatHeld", "programme", topic=PROGRAMMES, hold_id=LEFT_HOLD),
    ]
    of_topic = {cases.CASES: log, LINKS: links, PROGRAMMES: programmes}
    topics = {name: Topic(name, "", "version", records, {}, {}) for name, records in of_topic.items()}
    consumed = {(cases.SERVICE, name): Consumed(accepted=of_topic[name]) for name in (LINKS, PROGRAMMES)}
    return World(topics, {cases.SERVICE: Database(tables())}, history(), consumed, {})


def tables() -> dict[str, list[dict[str, Any]]]:
    """The database, written down by hand."""
    one = {
        "case_id": ONE,
        "code": CODE_ONE,
        "account": "org-a",
        "source": "REFERENT",
        "reported_at": at(1),
        "last_news_at": at(5),
    }
    one |= {"epci_siren": "le-havre", "state": "withdrawn", "withdrawn": "MISTAKE", "duplicate_of": None, "version": 5}
    two = {
        "case_id": TWO,
        "code": CODE_TWO,
        "account": "org-b",
        "source": "CFA",
        "reported_at": at(1),
        "last_news_at": at(2),
    }
    two |= {"epci_siren": "rouen", "state": "offered", "withdrawn": None, "duplicate_of": None, "version": 2}
    return {
        "dropout_case": [one, two],
        "case_facts": [
            {"case_id": ONE, "number": 1, "recorded_at": at(1), "withdrawn": False, **ROUEN},
            {"case_id": ONE, "number": 2, "recorded_at": at(4), "withdrawn": False, **ELSEWHERE},
            {"case_id": ONE, "number": 3, "recorded_at": at(5), "withdrawn": True, **ELSEWHERE},
            {"case_id": TWO, "number": 1, "recorded_at": at(1), "withdrawn": False, **ROUEN},
        ],
        "case_step": [
            {"case_id": ONE, "subject_id": None, "recorded_at": at(2), "taken_back_at": at(3), **step("noted")},
            {"case_id": TWO, "subject_id": HOLD, "recorded_at": at(2), "taken_back_at": None, **LEARNT},
        ],
        "psad_epci": [{"psad_id": PSAD, "epci_siren": "le-havre"}],
        "distinction": [{"case_id": ONE, "other_case_id": TWO}],
    }  # fmt: skip


def history() -> list[dict[str, Any]]:
    """Who asked for what, and every answer."""
    said = {"kind": "OFFERED", "happened_on": "2026-10-03"}
    asked: list[dict[str, Any]] = [
        {"op": "report", "trace_id": "report", "role": "referent", "account": "org-a", "effects": {"CaseReported": 1}},
        {"op": "report", "trace_id": "report-two", "role": "cfa", "account": "org-b", "effects": {"CaseReported": 1}},
        {"op": "step", "trace_id": "step", "role": "referent", "account": "org-a", "says": said},
        {"op": "take-back", "trace_id": "take-back", "role": "agency", "account": "agency", "effects": {"CaseFollowed": 1}},
        {"op": "correct", "trace_id": "correct", "role": "referent", "account": "org-a", "says": {"commune_code": "76351"}},
        {"op": "withdrawal", "trace_id": "withdrawal", "role": "psad", "account": PSAD, "says": {"withdrawn": True}},
        {"op": "distinction", "trace_id": "distinction", "role": "agency", "account": "agency", "other_case_id": TWO},
        {"op": "step", "trace_id": "again", "role": "referent", "account": "org-a", "says": said},
    ]  # fmt: skip
    invoked = [
        {"kind": "invoke", "op_id": one["trace_id"], "service": cases.SERVICE, "case_id": ONE} | one for one in asked
    ]
    return [
        *invoked,
        *({"kind": "ok", "op_id": one["op_id"], "status": 200, "effects": one.get("effects", {})} for one in invoked),
    ]


def row(world: World, table: str, number: int = 0) -> dict[str, Any]:
    """A row of a table."""
    return world.databases[cases.SERVICE][table][number]


def lie_in(number: int, topic: str = cases.CASES, **fields: Any) -> Callable[[World], Any]:
    """Another field in one of the messages."""
    return lambda w: w.topics[topic].records[number].fields.update(fields)  # type: ignore[union-attr]


def asked(world: World, trace_id: str, kind: str = "invoke") -> dict[str, Any]:
    """A command, or its answer."""
    return next(entry for entry in world.history if (entry["kind"], entry["op_id"]) == (kind, trace_id))


def more(*records: Record) -> Callable[[World], Any]:
    """Messages of cases that are told beside the true ones."""
    return lambda w: w.topics[cases.CASES].records.extend(records)


def bytes_on(topic: str, **parts: Any) -> Callable[[World], Any]:
    """Other bytes in the first record of a topic."""
    return lambda w: w.topics[topic].records.__setitem__(0, replace(w.topics[topic].records[0], **parts))


def accept(topic: str, name: str, key: str, **fields: Any) -> Callable[[World], Any]:
    """The observatory has taken one more message."""
    more = record(3, name, key, topic=topic, **fields)
    return lambda w: w.consumed[cases.SERVICE, topic].accepted.append(more)


LIES: dict[str, tuple[str, Callable[[World], Any]]] = {
    "a version is missing": ("D4", lambda w: w.topics[cases.CASES].records.pop(2)),
    "reported twice": ("D4", more(record(3, "CaseReported", TWO, by="x", source="CFA", facts=ROUEN))),
    "never reported": ("D4", lambda w: w.topics[cases.CASES].records.pop(5)),
    "known before what was known before": ("D4", lie_in(3, occurred_at=at(2))),
    "the row stands at another version": ("D4", lambda w: row(w, "dropout_case").update(version=4)),
    "a correction is not in the table": ("D7", lambda w: w.databases[cases.SERVICE]["case_facts"].pop(1)),
    "a correction is not told": ("D7", lambda w: w.databases[cases.SERVICE]["case_facts"].append({**row(w, "case_facts", 2), "number": 4})),
    "a fact was overwritten": ("D7", lambda w: row(w, "case_facts").update(age_band="AGE_16")),
    "a fact was known from another instant on": ("D7", lambda w: row(w, "case_facts", 1).update(recorded_at=at(3))),
    "a withdrawal is told with other words": ("D7", lie_in(4, reason="NOT_A_DROPOUT")),
    "a withdrawal is not among what was known": ("D7", lambda w: row(w, "case_facts", 2).update(withdrawn=False)),
    "a step is not in the table": ("D7", lambda w: w.databases[cases.SERVICE]["case_step"].pop(0)),
    "a step is not told": ("D7", lie_in(6, steps=[])),
    "a step is told on another day": ("D7", lie_in(1, steps=[step("noted", happened_on=DAY)])),
    "a step is told otherwise later": ("D7", lie_in(2, steps=[step("noted", kind="ADMITTED")])),
    "a step that was taken back comes again": ("D7", more(record(6, "CaseFollowed", by="x", steps=[step("noted")]))),
    "a step was taken back at another instant": ("D7", lambda w: row(w, "case_step").update(taken_back_at=at(4))),
    "a step that is told as taken back is not": ("D7", lambda w: row(w, "case_step").update(taken_back_at=None)),
    "the row has another state": ("D7", lambda w: row(w, "dropout_case", 1).update(state="reported")),
    "a case of another organisation was changed": ("D16", lambda w: asked(w, "correct").update(account="org-b")),
    "a platform changed what is not in its territory yet": ("D16", lambda w: asked(w, "correct").update(role="psad", account=PSAD)),
    "a platform changed what is in nobody's territory": ("D16", lambda w: row(w, "psad_epci").update(epci_siren="dieppe")),
    "a case is of another account than who reported it": ("D16", lambda w: row(w, "dropout_case", 1).update(account="org-a")),
    "the agency reported": ("D16", lambda w: asked(w, "report").update(role="agency", account="agency")),
    "nobody asked for a correction": ("D16", lie_in(3, correlation_id=SimpleNamespace(hex="nobody"))),
    "the forbidden was allowed": ("D16", lambda w: asked(w, "correct").update(forbidden=True)),
    "a report had no effect": ("D18", lambda w: asked(w, "report", "ok").update(effects={"CaseReported": 2})),
    "a report had an effect that nobody was told of": ("D18", lambda w: asked(w, "report", "ok").update(effects={})),
    "a step had two effects": ("D18", more(record(6, "CaseFollowed", by="step", steps=[step("b")]))),
    "a refused correction had an effect": ("D18", lambda w: asked(w, "correct", "ok").update(status=409)),
    "a step withdrew the case": ("D18", lie_in(4, correlation_id=SimpleNamespace(hex="again"))),
    "a step was answered with yes and is not known": ("D18", lambda w: asked(w, "again").update(says={"kind": "ENDED"})),
    "a command without an answer": ("D18", lambda w: w.history.pop()),
    "a distinction is lost": ("D18", lambda w: w.databases[cases.SERVICE]["distinction"].clear()),
    "a distinction that nobody made": ("D18", lambda w: w.history.remove(asked(w, "distinction"))),
    "a topic of facts has a case's id": ("D22", bytes_on(PROGRAMMES, value=b"\x00\x01H" + ONE.encode() + b"\x02")),
    "a header has it": ("D22", bytes_on(PROGRAMMES, headers=[("case", TWO.encode())])),
    "it is a key": ("D22", bytes_on(PROGRAMMES, key=TWO.encode())),
    "the topic of links has it": ("D22", bytes_on(LINKS, value=ONE.encode())),
    "a topic of facts has a case's code": ("D22", bytes_on(PROGRAMMES, value=b"\x14A" + CODE_TWO.encode() + b"B")),
    "the cases' topic has its code": ("D22", bytes_on(cases.CASES, value=CODE_ONE.encode())),
    "a link is no step": ("D23", lambda w: row(w, "case_step", 1).update(taken_back_at=at(4))),
    "a link is two steps": ("D23", lambda w: w.databases[cases.SERVICE]["case_step"].append(row(w, "case_step", 1) | {"step_id": "x"})),
    "a link is a step of another case": ("D23", lambda w: row(w, "case_step", 1).update(case_id=ONE)),
    "a link is a step on another day": ("D23", lambda w: row(w, "case_step", 1).update(happened_on=date(2026, 11, 29))),
    "a link that was taken back is a step": ("D23", lambda w: row(w, "case_step", 1).update(subject_id=LEFT_HOLD)),
    "a link that is taken back leaves its step": ("D23", accept(LINKS, "CaseUnlinked", HOLD)),
    "an admission was not learnt": ("D23", accept(PROGRAMMES, "YoungPersonAdmitted", "programme", hold_id=HOLD)),
}  # fmt: skip


def test_a_true_world_passes() -> None:
    """Nothing is found where nothing is wrong."""
    assert violated(true_world(), "D") == set()


@pytest.mark.parametrize("lie", LIES)
def test_each_lie_is_found(lie: str) -> None:
    """By the invariant that is there for it."""
    name, plant = LIES[lie]
    assert name in violated(planted(true_world(), plant), "D")


def test_what_a_professional_noted_comes_first() -> None:
    """No step is missed where the same was noted by hand, or where the case was withdrawn meanwhile."""
    noted, gone = true_world(), true_world()
    row(noted, "case_step", 1)["subject_id"] = None
    row(gone, "case_step", 1)["taken_back_at"] = at(3)
    row(gone, "case_facts", 3)["withdrawn"] = True
    assert [list(cases.d23_links_are_steps(world)) for world in (noted, gone)] == [[], []]
