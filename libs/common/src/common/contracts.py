"""Reads `schemas/avro`: the topics, their records, every published version of each schema."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from fastavro.schema import parse_schema

Schema = dict[str, Any]

# A family has one topic for each partner; its name has a parameter in braces.
_PARAMETER = re.compile(r"\{[a-z_]+\}")
_FILE = re.compile(r"^(?P<record>[A-Z][A-Za-z0-9]*)\.v(?P<version>[1-9][0-9]*)\.avsc$")


@dataclass(frozen=True)
class Topic:
    """One topic as `topics.yaml` declares it, or a family of topics when its name has a parameter in braces."""

    name: str
    owner: str
    consumers: tuple[str, ...]
    partitions: int
    retention_days: int
    guard: Literal["version", "latest", "none"]
    data_class: Literal["public", "pseudonymous", "access", "partner"]
    records: tuple[str, ...]
    # Of a family: what the broker itself refuses, before anything of it is unpacked here.
    message_bytes_max: int | None = None

    @property
    def is_family(self) -> bool:
        """Whether the name stands for many topics."""
        return "{" in self.name

    @property
    def is_facts(self) -> bool:
        """Whether it is kept for ever, for rebuilds and for whoever analyses the facts; who may do what is no matter for these."""
        return self.retention_days < 0 and self.data_class != "access"

    @property
    def pattern(self) -> str:
        """The anchored expression that the names of a family's topics match."""
        literal = [re.escape(part) for part in _PARAMETER.split(self.name)]
        return "^" + "([0-9a-z-]+)".join(literal) + "$"

    def of(self, parameter: object) -> Topic:
        """The family's topic for one value of its parameter."""
        return replace(self, name=_PARAMETER.sub(str(parameter), self.name))

    def parameter_in(self, name: str) -> str | None:
        """The value of the parameter in the name of one of the family's topics; None for another topic's name."""
        found = re.match(self.pattern, name) if self.is_family else None
        return found[1] if found else None


@dataclass(frozen=True)
class Contracts:
    """All topics and families of topics, and all versions of all records (`<folder>/<Record>` to {version: schema})."""

    topics: dict[str, Topic]
    families: dict[str, Topic]
    schemas: dict[str, dict[int, Schema]]

    @property
    def declared(self) -> list[Topic]:
        """Topics, then families."""
        return [*self.topics.values(), *self.families.values()]

    def topic(self, name: str) -> Topic:
        """A topic by its name, also one of a family; raises `KeyError` for a name that nobody declared."""
        for family in self.families.values():
            if (parameter := family.parameter_in(name)) is not None:
                return family.of(parameter)
        return self.topics[name]

    def latest(self, record: str) -> Schema:
        """The newest version of a record, named `<folder>/<Record>` or by its full name."""
        versions = self.schemas[self._path_of(record)]
        return versions[max(versions)]

    def versions(self, record: str) -> list[Schema]:
        """Every version of a record, oldest first."""
        return [schema for _, schema in sorted(self.schemas[self._path_of(record)].items())]

    def _path_of(self, record: str) -> str:
        if "/" in record:
            return record
        return next(path for path, versions in self.schemas.items() if full_name(versions[1]) == record)

    def emitted_by(self, service: str) -> dict[str, Topic]:
        """Full record name to the topic, or family of topics, on which this service publishes it."""
        return {
            full_name(self.latest(path)): topic
            for topic in self.declared
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
    topics = [
        Topic(name=name, **{key: _frozen(value) for key, value in entry.items()}) for name, entry in declared.items()
    ]
    return Contracts(
        topics={topic.name: topic for topic in topics if not topic.is_family},
        families={topic.name: topic for topic in topics if topic.is_family},
        schemas=schemas,
    )


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
