"""The data dictionary: every field of every dataset, from the `doc`s of the contracts, with its class of personal data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import jinja2

from common.contracts import Schema
from dropout_observatory.lake.contents import PLACES, Record, fields_of

PersonalData = Literal["technical", "none", "pseudonym", "pseudonymous"]
# What each class means, as the dictionary says it to analysts.
CLASSES: Mapping[PersonalData, str] = {
    "technical": "de l’enveloppe ou du journal : aucune personne",
    "none": "une organisation, un lieu, un objet, un décompte : aucune personne",
    "pseudonym": "un identifiant aléatoire qui désigne une personne ou une famille dans un seul service",
    "pseudonymous": "ce qui est dit de cette personne ou famille, en valeurs fermées ; jamais publié sans protection",
}
_ENVELOPE = ("event_id", "occurred_at", "aggregate_version", "correlation_id", "causation_id")
# Every name that ends as an identifier's is in one of the two: a test looks for one that is in neither.
PSEUDONYMS = frozenset(
    {
        "application_id",
        "case_id",
        "duplicate_of",
        "hold_id",
        "household_id",
        "party_id",
        "registration_id",
        "registration_ids",
        "seeker_id",
        "step_id",
        "young_person_id",
    }
)
THINGS = frozenset(
    {
        "aggregate_id",
        "booking_id",
        "booking_ids",
        "borrower_id",
        "campaign_id",
        "for_event_id",
        "from_cafe_id",
        "host_id",
        "into_cafe_id",
        "loan_id",
        "loan_ids",
        "offer_id",
        "organiser_id",
        "platform_id",
        "requester_id",
        "structure_id",
        "venue_id",
        "visit_id",
    }
)
# Topics whose aggregate is itself somebody, under a pseudonym.
_ABOUT_SOMEBODY = frozenset(
    {"dropout-observatory.cases.v1", "stage-matching.requests.v1", "stage-matching.agreements.v1"}
)


@dataclass(frozen=True)
class Entry:
    """A field: its path in the dataset, its type and values, what it says."""

    path: str
    type: str
    nullable: bool
    personal_data: PersonalData
    values: tuple[str, ...]
    doc: str


def entries(dataset: Record) -> list[Entry]:
    """The fields of a dataset, the place in the log first."""
    schema = dataset.versions[-1]
    fields = list(fields_of(schema))
    names = {path.rpartition(".")[2] for path, _ in fields}
    somebody = dataset.topic.name in _ABOUT_SOMEBODY or bool(names & PSEUDONYMS)
    types = ("string", "int", "long")
    doc = "Where the row stands in the log."
    places = [Entry(name, kind, False, "technical", (), doc) for name, kind in zip(PLACES, types, strict=True)]
    return [*places, *(_entry(path, field, dataset, somebody=somebody) for path, field in fields)]


def _entry(path: str, field: Schema, dataset: Record, *, somebody: bool) -> Entry:
    name = field["name"]
    personal_data: PersonalData
    if name in _ENVELOPE:
        personal_data = "technical"
    elif name in PSEUDONYMS or (name == "aggregate_id" and dataset.topic.name in _ABOUT_SOMEBODY):
        personal_data = "pseudonym"
    else:
        personal_data = "pseudonymous" if somebody and name not in THINGS else "none"
    kind, nullable = field["type"], False
    if isinstance(kind, list):
        kind, nullable = next(branch for branch in kind if branch != "null"), True
    return Entry(path, _word(kind), nullable, personal_data, tuple(_symbols(kind)), field.get("doc", ""))


def _word(kind: Any) -> str:
    """A type as an analyst calls it."""
    match kind:
        case str():
            return kind.rpartition(".")[2]
        case {"logicalType": "decimal"}:
            return f"decimal({kind['precision']}, {kind.get('scale', 0)})"
        case {"logicalType": logical}:
            return str(logical).removesuffix("-micros").removesuffix("-millis")
        case {"type": "array", "items": items}:
            return f"list of {_word(items)}"
        case {"type": "enum" | "record" as word}:
            return str(word)
        case _:
            return str(kind["type"])


def _symbols(kind: Any) -> Iterator[str]:
    match kind:
        case {"type": "enum", "symbols": symbols}:
            yield from symbols
        case {"type": "array", "items": items}:
            yield from _symbols(items)


def as_json(datasets: Mapping[str, Record]) -> str:
    """The dictionary for programs."""
    found = {
        dataset.name: {
            "topic": dataset.topic.name,
            "version": dataset.version,
            "doc": dataset.versions[-1].get("doc", ""),
            "fields": [asdict(entry) for entry in entries(dataset)],
        }
        for dataset in sorted(datasets.values(), key=lambda dataset: dataset.name)
    }
    return json.dumps({"classes": CLASSES, "datasets": found}, ensure_ascii=False, indent=1)


def described(datasets: Mapping[str, Record]) -> list[tuple[Record, list[Entry]]]:
    """Every dataset with its fields, by name."""
    return [(dataset, entries(dataset)) for dataset in sorted(datasets.values(), key=lambda found: found.name)]


def as_html(datasets: Mapping[str, Record]) -> str:
    """The dictionary for people: one page, with its list of datasets first."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dropout_observatory.lake", "."), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("dictionary.html").render(described=described(datasets), classes=CLASSES)
