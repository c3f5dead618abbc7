"""The raw topics, read with confluent-kafka and decoded with fastavro and the registry's schemas."""

from __future__ import annotations

import io
import json
import struct
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from confluent_kafka import Consumer, TopicPartition
from fastavro import parse_schema, schemaless_reader

_OURS = "estuaire."
_SILENCE_SECONDS_MAX = 30


@dataclass(frozen=True)
class Record:
    """One record; `fields` is None when its bytes are no listed record of this topic under its aggregate's key."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    name: str
    fields: dict[str, Any] | None

    @property
    def place(self) -> tuple[int, int]:
        """Partition and offset."""
        return self.partition, self.offset

    @property
    def key_text(self) -> str:
        """The key as the consumers store it."""
        return (self.key or b"").decode("utf-8", "replace").replace("\x00", "\ufffd")

    @property
    def version(self) -> int:
        """Aggregate version of a readable record."""
        assert self.fields is not None
        return int(self.fields["aggregate_version"])

    @property
    def event_id(self) -> str:
        """Event id of a readable record."""
        assert self.fields is not None
        return str(self.fields["event_id"])


@dataclass(frozen=True)
class Topic:
    """What topics.yaml says of it, and everything in it."""

    name: str
    owner: str
    guard: str
    records: list[Record]
    starts: dict[int, int]
    ends: dict[int, int]


class Log:
    """Reads every topic of topics.yaml from its start to its end."""

    def __init__(self, bootstrap_servers: str, registry_url: str, schemas_dir: Path) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._registry_url = registry_url
        self._schemas_dir = schemas_dir
        self._schemas: dict[int, Any] = {}

    def read(self, *, isolation: str = "read_committed") -> dict[str, Topic]:
        """All topics by name."""
        declared = yaml.safe_load((self._schemas_dir / "topics.yaml").read_text())
        # A name in braces is a family: partners' own topics, of which a world has none.
        single = {name: facts for name, facts in declared.items() if "{" not in name}
        listed = {name: self._listed(facts) for name, facts in single.items()}
        consumer = Consumer(
            {
                "bootstrap.servers": self._bootstrap_servers,
                "group.id": "fault-checker",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": isolation,
                "enable.partition.eof": True,
            }
        )
        try:
            known = consumer.list_topics(timeout=20).topics
            bounds = {
                (name, number): consumer.get_watermark_offsets(TopicPartition(name, number), 20)
                for name in single
                for number in sorted(known[name].partitions)
            }
            consumer.assign([TopicPartition(*place, low) for place, (low, _) in bounds.items()])
            found: dict[str, list[Record]] = {name: [] for name in single}
            for message in self._messages(consumer, {place for place, (low, high) in bounds.items() if low < high}):
                name = message.topic()
                found[name].append(self._record(name, listed[name], message))
        finally:
            consumer.close()
        return {
            name: Topic(
                name,
                facts["owner"],
                facts["guard"],
                sorted(found[name], key=lambda r: r.place),
                {number: low for (topic, number), (low, _) in bounds.items() if topic == name},
                {number: high for (topic, number), (_, high) in bounds.items() if topic == name},
            )
            for name, facts in single.items()
        }

    def _listed(self, facts: dict[str, Any]) -> set[str]:
        """Full names of the records that a topic may have."""
        schemas = [json.loads((self._schemas_dir / f"{path}.v1.avsc").read_text()) for path in facts["records"]]
        return {f"{schema['namespace']}.{schema['name']}" for schema in schemas}

    def _messages(self, consumer: Consumer, unread: set[tuple[str, int]]) -> Iterator[Any]:
        """Every message up to the end of each partition, past any control record."""
        heard_at = time.monotonic()
        while unread:
            # `consume` waits for that many messages or for the whole time.
            messages = consumer.consume(2000, 0.1)
            if messages:
                heard_at = time.monotonic()
            elif time.monotonic() > heard_at + _SILENCE_SECONDS_MAX:
                raise RuntimeError(f"{sorted(unread)} cannot be read to their ends")
            for message in messages:
                if message.error() is None:
                    yield message
                else:
                    unread.discard((message.topic(), message.partition()))

    def _record(self, topic: str, listed: set[str], message: Any) -> Record:
        key, value = message.key(), message.value()
        name, fields = self._decoded(value)
        if name not in listed or fields is None or str(fields.get("aggregate_id")).encode() != key:
            fields = None
        return Record(
            topic,
            message.partition(),
            message.offset(),
            key,
            value,
            list(message.headers() or []),
            name.rpartition(".")[2],
            fields,
        )

    def _decoded(self, value: bytes | None) -> tuple[str, dict[str, Any] | None]:
        if value is None or len(value) < 5 or value[0] != 0:
            return "", None
        (schema_id,) = struct.unpack("!I", value[1:5])
        schema = self._schema(schema_id)
        # Schemas that are not ours are planted to kill whoever decodes with them.
        if schema is None or not schema["name"].startswith(_OURS):
            return "", None
        source = io.BytesIO(value[5:])
        try:
            fields = schemaless_reader(source, schema, None)
        except Exception:
            return schema["name"], None
        whole = isinstance(fields, dict) and not source.read(1)
        return schema["name"], dict(fields) if whole and isinstance(fields, dict) else None

    def _schema(self, schema_id: int) -> Any:
        if schema_id not in self._schemas:
            try:
                with urllib.request.urlopen(f"{self._registry_url}/schemas/ids/{schema_id}", timeout=10) as answer:
                    self._schemas[schema_id] = parse_schema(json.loads(json.load(answer)["schema"]))
            except Exception:
                self._schemas[schema_id] = None
        return self._schemas[schema_id]
