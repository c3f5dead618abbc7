"""Reads `schemas/avro`: the topics, their records, every published version of each schema."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from fastavro.schema import parse_schema

Schema = dict[str, Any]

_FILE = re.compile(r"^(?P<record>[A-Z][A-Za-z0-9]*)\.v(?P<version>[1-9][0-9]*)\.avsc$")


@dataclass(frozen=True)
class Topic:
    """One topic as `topics.yaml` declares it."""

    name: str
    owner: str
    consumers: tuple[str, ...]
    partitions: int
    retention_days: int
    guard: Literal["version", "latest"]
    data_class: Literal["public", "pseudonymous"]
    records: tuple[str, ...]


@dataclass(frozen=True)
class Contracts:
    """All topics, and all versions of all records (`<folder>/<Record>` to {version: schema})."""

    topics: dict[str, Topic]
    schemas: dict[str, dict[int, Schema]]

    def latest(self, record: str) -> Schema:
        """The newest version of a record, named `<folder>/<Record>` or by its full name."""
        versions = self.schemas[self._path_of(record)]
        return versions[max(versions)]

    def _path_of(self, record: str) -> str:
        if "/" in record:
            return record
        return next(path for path, versions in self.schemas.items() if full_name(versions[1]) == record)

    def emitted_by(self, service: str) -> dict[str, Topic]:
        """Full record name to the topic on which this service publishes it."""
        return {
            full_name(self.latest(path)): topic
            for topic in self.topics.values()
            if topic.owner == service
            for path in topic.records
        }


def full_name(schema: Schema) -> str:
    """`namespace.Name`, which is also the registry's subject (RecordNameStrategy)."""
    return f"{schema['namespace']}.{schema['name']}"


@cache
def load(folder: Path) -> Contracts:
    """Every `.avsc` and `topics.yaml` below the folder; read once per process."""
    return _read(folder)


def _read(folder: Path) -> Contracts:
    schemas: dict[str, dict[int, Schema]] = {}
    for path in sorted(folder.glob("*/*.avsc")):
        match = _FILE.match(path.name)
        if match is None:
            raise ValueError(f"{path}: a schema file is named <Record>.v<N>.avsc")
        schema = json.loads(path.read_text())
        parse_schema(schema, _write_hint=False)
        schemas.setdefault(f"{path.parent.name}/{match['record']}", {})[int(match["version"])] = schema
    declared: dict[str, dict[str, Any]] = yaml.safe_load((folder / "topics.yaml").read_text())
    topics = {
        name: Topic(name=name, **{key: _frozen(value) for key, value in entry.items()})
        for name, entry in declared.items()
    }
    return Contracts(topics=topics, schemas=schemas)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
