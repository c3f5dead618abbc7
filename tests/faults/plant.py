"""What the rig itself puts where only the services write: raw records on topics, rows in the outbox, schemas."""

from __future__ import annotations

import io
import json
import random
import struct
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg
from confluent_kafka import Producer
from fastavro import parse_schema, schemaless_writer

from tests.faults.rig import STRUCTURES, Cell, Rig

Raw = tuple[int, bytes | None, bytes | None, list[tuple[str, str | bytes | None]]]


def records(cell: Cell, topic: str, raw: Sequence[Raw]) -> None:
    """Produces (partition, key, value, headers) with a foreign client; each is noted as planted where it landed."""
    producer = Producer({"bootstrap.servers": cell.rig.bootstrap_servers, "linger.ms": 5})

    def landed(error: Any, message: Any) -> None:
        assert error is None, error
        cell.history.add("planted", topic=topic, partition=message.partition(), offset=message.offset())

    for partition, key, value, headers in raw:
        producer.produce(topic, value, key, partition, on_delivery=landed, headers=headers)
        producer.poll(0)
    assert producer.flush(30) == 0


def register(rig: Rig, schema: dict[str, Any]) -> int:
    """Registers a schema under its record's name; raises `urllib.error.HTTPError` when the registry refuses."""
    request = urllib.request.Request(
        f"{_registry(rig)}/subjects/{schema['namespace']}.{schema['name']}/versions",
        json.dumps({"schema": json.dumps(schema)}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return int(json.load(answer)["id"])


def latest(rig: Rig, record: str) -> tuple[int, dict[str, Any]]:
    """Id and schema of a record's newest version in the registry."""
    with urllib.request.urlopen(f"{_registry(rig)}/subjects/{record}/versions/latest", timeout=10) as answer:
        found = json.load(answer)
    return int(found["id"]), json.loads(found["schema"])


def _registry(rig: Rig) -> str:
    return f"http://127.0.0.1:{rig.settings.registry_port}/apis/ccompat/v7"


class StructureRow:
    """A structure as the service would write it: its row and its message, in a transaction that the rig holds open."""

    def __init__(self, rig: Rig, connection: asyncpg.Connection) -> None:
        self._rig = rig
        self._connection = connection
        self.structure_id, self.event_id = uuid4(), uuid4()
        self.outbox_id = 0

    async def insert(self) -> None:
        """Inserts both; nothing is committed."""
        schema_id, schema = latest(self._rig, "estuaire.remediation_seats.StructureDescribed")
        fields = {
            "event_id": str(self.event_id),
            "occurred_at": datetime.now(UTC),
            "aggregate_id": str(self.structure_id),
            "aggregate_version": 1,
            "correlation_id": str(uuid4()),
            "causation_id": None,
            "structure_name": "Structure de l'arbitre",
            "kind": "CFA",
            "commune_code": "76540",
            "fictitious": True,
        }
        sink = io.BytesIO(b"\x00" + struct.pack("!I", schema_id))
        sink.seek(0, io.SEEK_END)
        schemaless_writer(sink, parse_schema(schema), fields)
        await self._connection.execute(
            "INSERT INTO structure (structure_id, structure_name, kind, commune_code, fictitious, version)"
            " VALUES ($1, $2, 'CFA', '76540', true, 1)",
            self.structure_id,
            fields["structure_name"],
        )
        self.outbox_id = await self._connection.fetchval(
            "INSERT INTO outbox (topic, key, aggregate_version, event_id, record, value, headers)"
            " VALUES ($1, $2, 1, $3, 'estuaire.remediation_seats.StructureDescribed', $4, '{}') RETURNING id",
            STRUCTURES,
            str(self.structure_id),
            self.event_id,
            sink.getvalue(),
        )


def garbage(draw: random.Random, samples: Sequence[bytes], count: int) -> list[Raw]:
    """Mutations of real records and plain noise, each under a key of its own that is no aggregate's."""
    found: list[Raw] = []
    for number in range(count):
        value = bytearray(draw.choice(samples))
        kind = draw.randrange(7)
        if kind == 0:
            value = value[: draw.randrange(len(value))]
        elif kind == 1:
            value += draw.randbytes(draw.randrange(1, 40))
        elif kind == 2:
            value[1:5] = draw.randbytes(4)
        elif kind == 3:
            value[0] = draw.randrange(1, 256)
        elif kind == 4:
            value = bytearray(draw.randbytes(draw.randrange(300)))
        else:
            for _ in range(draw.randrange(1, 9)):
                value[draw.randrange(len(value))] = draw.randrange(256)
        header = draw.choice((None, b"", b"\xff\xfe", draw.randbytes(20)))
        key = draw.choice((None, f"garbage-{number}".encode(), b"\xff" + draw.randbytes(8)))
        found.append((draw.randrange(4), key, bytes(value), [("h", header), ("traceparent", b"\xff")]))
    return found


RECURSIVE = {
    "type": "record",
    "name": "Deep",
    "namespace": "probe.faults",
    "fields": [{"name": "child", "type": ["null", "Deep"], "default": None}],
}
