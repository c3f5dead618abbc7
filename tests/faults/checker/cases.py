"""The invariants of the observatory's cases: D4, D7, D16, D18, D22, D23. Each function yields what it found wrong, in words."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from tests.faults.checker.judged import (
    disagreements,
    first_occurrences,
    not_refused,
    one_effect_per_command,
    told_by_command,
)
from tests.faults.checker.log import Record
from tests.faults.checker.world import PROGRAMMES, Row, World

SERVICE, CASES = "dropout-observatory", "dropout-observatory.cases.v1"
_LINKS = ".case-links.v1"
_FACTS = (
    "left_month", "level_left", "school_kind", "school_uai", "age_band", "commune_code", "epci_siren", "department_code",
    "geography_year", "factors",
)  # fmt: skip
_STEP = ("kind", "happened_on", "source", "accompanier", "presence", "outcome")
_REACHED = {
    "ended": {"ENDED"},
    "admitted": {"ADMITTED", "CHECKED_AT_3_MONTHS", "CHECKED_AT_6_MONTHS"},
    "offered": {"OFFERED"},
    "accompanied": {"ACCOMPANIED"},
}
# The message by which a command changes a case that is there.
_CHANGES = {
    "correct": "CaseCorrected",
    "withdrawal": "CaseWithdrawn",
    "reinstatement": "CaseCorrected",
    "step": "CaseFollowed",
    "take-back": "CaseFollowed",
}
# Where what a command says is known ever after, if it was answered with yes.
_KEPT = {"correct": "case_facts", "withdrawal": "case_facts", "step": "case_step"}
# Which step the messages of a hold make of it.
_LEARNT = {"SeatHeld": "OFFERED", "YoungPersonAdmitted": "ADMITTED"}
_PARIS = ZoneInfo("Europe/Paris")
_UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CODE = re.compile(rb"(?=([0-9A-Z]{10}))")


@dataclass
class Told:
    """What the log tells of all cases, each thing with the instant from which on it was known; by the keys of the tables."""

    cases: dict[str, Row] = field(default_factory=dict)
    facts: dict[str, Row] = field(default_factory=dict)
    steps: dict[str, Row] = field(default_factory=dict)
    # Steps that a message tells otherwise than one before it did, or again after they were taken back.
    changed: list[str] = field(default_factory=list)


def told(records: Iterable[Record]) -> Told:
    """Folds the messages of cases, in version order per case."""
    made, numbers, live = Told(), defaultdict[str, int](int), defaultdict[str, dict[str, Row]](dict)
    for record in records:
        fields, key = record.fields or {}, record.key_text
        at = fields["occurred_at"]
        case = made.cases.setdefault(key, {"withdrawn": None, "duplicate_of": None})
        case |= {"version": record.version, "last_news_at": at}
        if record.name == "CaseFollowed":
            _follow(made, live[key], record)
        else:
            numbers[key] += 1
            withdrawn = record.name == "CaseWithdrawn"
            known = fields["facts"] if not withdrawn else made.facts.get(f"{key}/{numbers[key] - 1}", {})
            row = {name: known.get(name) for name in _FACTS} | {"recorded_at": at, "withdrawn": withdrawn}
            made.facts[f"{key}/{numbers[key]}"] = row
            case["epci_siren"] = row["epci_siren"]
            case |= {"withdrawn": fields.get("reason"), "duplicate_of": _text(fields.get("duplicate_of"))}
        if record.name == "CaseReported":
            case |= {"source": fields["source"], "reported_at": at}
        kinds = {step["kind"] for step in live[key].values()}
        reached = next((state for state, its in _REACHED.items() if kinds & its), "reported")
        case["state"] = "withdrawn" if case["withdrawn"] else reached
    return made


def _follow(made: Told, live: dict[str, Row], record: Record) -> None:
    fields, key = record.fields or {}, record.key_text
    now = {str(step["step_id"]): {name: step[name] for name in _STEP} for step in fields["steps"]}
    for one, said in now.items():
        if one not in made.steps:
            stamps = {"case_id": key, "recorded_at": fields["occurred_at"], "taken_back_at": None}
            made.steps[one] = live[one] = said | stamps
        elif one not in live or any(live[one][name] != said[name] for name in _STEP):
            made.changed.append(f"{key} v{record.version} tells step {one} otherwise than it was told before")
    for one in live.keys() - now.keys():
        live.pop(one)["taken_back_at"] = fields["occurred_at"]


def d4_one_sequence(world: World) -> Iterator[str]:
    """A case is reported, once, first; its versions have no gap, its instants never go back, and its row stands at the last."""
    last: dict[str, Record] = {}
    for record in first_occurrences(world, CASES):
        key, before = record.key_text, last.get(record.key_text)
        nth = before.version + 1 if before else 1
        if record.version != nth:
            yield f"{key}: v{record.version} comes where v{nth} should"
        if (record.name == "CaseReported") != (before is None):
            yield f"{key}: {record.name} is v{record.version}"
        if before and (record.fields or {})["occurred_at"] < (before.fields or {})["occurred_at"]:
            yield f"{key}: v{record.version} was known before v{before.version} was"
        last[key] = record
    stands = {str(row["case_id"]): row["version"] for row in world.databases[SERVICE]["dropout_case"]}
    yield from disagreements("the version of", stands, {key: record.version for key, record in last.items()})


def d7_table_and_log_agree(world: World) -> Iterator[str]:
    """Every fact, correction, withdrawal and step of the tables is told, and the other way round: what, and known from when to when."""
    database, log = world.databases[SERVICE], told(first_occurrences(world, CASES))
    yield from log.changed
    names = (
        "withdrawn", "duplicate_of", "version", "last_news_at", "epci_siren", "source", "reported_at", "state",
    )  # fmt: skip
    cases = {str(row["case_id"]): _of(row, names) for row in database["dropout_case"]}
    facts = {
        f"{row['case_id']}/{row['number']}": _of(row, (*_FACTS, "recorded_at", "withdrawn"))
        for row in database["case_facts"]
    }
    steps = {
        str(row["step_id"]): _of(row, (*_STEP, "recorded_at", "taken_back_at")) | {"case_id": str(row["case_id"])}
        for row in database["case_step"]
    }
    yield from disagreements("case", cases, log.cases)
    yield from disagreements("what was known of", facts, log.facts)
    yield from disagreements("step", steps, log.steps)


def d16_authority(world: World) -> Iterator[str]:
    """A command changed a case of its account, of its platform's territory as it was then, or was the agency's; the forbidden was refused."""
    database = world.databases[SERVICE]
    account = {str(row["case_id"]): row["account"] for row in database["dropout_case"]}
    territory: dict[str, set[str]] = defaultdict(set)
    for row in database["psad_epci"]:
        territory[str(row["psad_id"])].add(row["epci_siren"])
    ops = {entry["trace_id"]: entry for entry in _ops(world)}
    lives_in: dict[str, str] = {}
    for record in first_occurrences(world, CASES):
        fields, key = record.fields or {}, record.key_text
        op = ops.get(fields["correlation_id"].hex)
        if op is None and record.name != "CaseFollowed":
            yield f"{record.name} about {key} was caused by no command"
        elif op is not None:
            may = op["account"] == account.get(key)
            if record.name != "CaseReported":
                may = may or op["role"] == "agency" or lives_in.get(key) in territory[op["account"]]
            if not may:
                yield f"{record.name} about {key} was caused by the {op['role']} {op['account']}"
        if "facts" in fields:
            lives_in[key] = fields["facts"]["epci_siren"]
    yield from not_refused(world, ops.values())


def d18_one_effect_per_command(world: World) -> Iterator[str]:
    """A command had one effect at most, however often it was sent, and none where it was refused; what was answered with yes is known."""
    records = first_occurrences(world, CASES)
    yield from one_effect_per_command(world, SERVICE, records, exactly=("CaseReported",), once={})
    by_command = told_by_command(records)
    answers = {entry["op_id"]: entry["status"] for entry in world.of("ok")}
    distinct = set()
    rows: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for table in set(_KEPT.values()):
        for row in world.databases[SERVICE][table]:
            rows[table, str(row["case_id"])].append(row)
    for op in _ops(world):
        yes, counts = answers.get(op["op_id"], 0) in (200, 201), by_command[op["trace_id"]]
        what, mine = f"{op['op']} {op['op_id']}", counts[_CHANGES.get(op["op"], "")] if yes else 0
        if mine > 1 or counts.total() - counts["CaseReported"] > mine:
            yield f"{what} caused {dict(counts)}, its answer was {answers.get(op['op_id'])}"
        kept = _KEPT.get(op["op"])
        if yes and kept and not any(_says(row, op.get("says", {})) for row in rows[kept, op["case_id"]]):
            yield f"{what} was answered with yes, and what it says was never known of {op['case_id']}"
        if yes and op["op"] == "distinction":
            distinct.add(tuple(sorted((op["case_id"], op["other_case_id"]))))
    pairs = {(str(row["case_id"]), str(row["other_case_id"])) for row in world.databases[SERVICE]["distinction"]}
    yield from (
        f"{' and '.join(pair)} are two people in the table or by a command, not by both" for pair in distinct ^ pairs
    )


def d22_no_topic_names_a_case(world: World) -> Iterator[str]:
    """In no byte of any record, but for the cases' own topic, is the id of a case; its code is on the topics of links alone."""
    rows = world.databases[SERVICE]["dropout_case"]
    ids, codes = {str(row["case_id"]).encode() for row in rows}, {row["code"].encode() for row in rows}
    for name, topic in world.topics.items():
        for record in topic.records:
            raw = b"\x00".join(filter(None, (record.key, record.value, *(value for _, value in record.headers))))
            named = ids.intersection(_UUID.findall(raw)) if name != CASES else set()
            if not name.endswith(_LINKS):
                named |= codes.intersection(_CODE.findall(raw))
            if named:
                yield f"{name}/{record.partition}/{record.offset}: {record.name} names a case"


def d23_links_are_steps(world: World) -> Iterator[str]:
    """What a hold that is attached to a case tells is a step of that case, once; of what is attached no more, none is left.

    A professional who noted the same, or a withdrawal, comes first: then there may be none. Attached are holds only: what else may
    be is the integration tests'.
    """
    database, attached = world.databases[SERVICE], _attached(world)
    days: dict[tuple[str, str], date] = {}
    for record in _accepted(world, PROGRAMMES):
        if record.name in _LEARNT:
            fields = record.fields or {}
            day = fields["occurred_at"].astimezone(_PARIS).date()
            days.setdefault((str(fields["hold_id"]), _LEARNT[record.name]), day)
    live: dict[tuple[str, str], list[date]] = defaultdict(list)
    noted: set[tuple[str, str, date]] = set()
    for row in database["case_step"]:
        subject, case_id = str(row["subject_id"]), str(row["case_id"])
        if row["subject_id"] is None:
            noted.add((case_id, row["kind"], row["happened_on"]))
            continue
        if row["taken_back_at"] is not None:
            continue
        live[subject, row["kind"]].append(row["happened_on"])
        if attached.get(subject) != case_id:
            yield f"step {row['step_id']} of {case_id} was learnt from {subject}, which is not attached to it"
    yield from (f"{subject} is {len(found)} times {kind}" for (subject, kind), found in live.items() if len(found) > 1)
    withdrawn = {str(row["case_id"]) for row in database["case_facts"] if row["withdrawn"]}
    for (subject, kind), day in days.items():
        case, found = attached.get(subject), live.get((subject, kind), [])
        if case is None or day in found:
            continue
        if found or not (case in withdrawn or (case, kind, day) in noted):
            yield f"{subject} was {kind} on {day}, case {case} has {[str(one) for one in found] or 'no such step'}"


def _attached(world: World) -> dict[str, str]:
    """What is attached to which case, by what the observatory has accepted."""
    case_of = {row["code"]: str(row["case_id"]) for row in world.databases[SERVICE]["dropout_case"]}
    attached = {}
    for topic in world.topics:
        for record in _accepted(world, topic) if topic.endswith(_LINKS) else ():
            fields = record.fields or {}
            if record.name == "CaseLinked" and fields["case_code"] in case_of:
                attached[record.key_text] = case_of[fields["case_code"]]
            elif record.name in ("CaseLinked", "CaseUnlinked"):
                attached.pop(record.key_text, None)
    return attached


def _accepted(world: World, topic: str) -> list[Record]:
    made = world.consumed.get((SERVICE, topic))
    return made.accepted if made is not None else []


def _ops(world: World) -> list[Row]:
    return [entry for entry in world.of("invoke") if entry.get("service") == SERVICE]


def _of(row: Row, names: Iterable[str]) -> Row:
    return {name: _text(row[name]) if name == "duplicate_of" else row[name] for name in names}


def _says(row: Row, said: Mapping[str, Any]) -> bool:
    """Whether a row has these values, which the history has as text."""
    return all(str(row[name]) == str(value) for name, value in said.items())


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
