"""What the rig itself puts where only the services write: raw records on topics, rows in the outbox, schemas."""

from __future__ import annotations

import io
import json
import random
import struct
import time
import urllib.request
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import asyncpg
from confluent_kafka import (
    OFFSET_END,
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from fastavro import parse_schema, schemaless_writer

from common.testing import envelope
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
    """A structure as the service would write it: its row and its messages, in a transaction that the rig holds open."""

    def __init__(self, rig: Rig, connection: asyncpg.Connection) -> None:
        self._rig = rig
        self._connection = connection
        self.structure_id = uuid4()
        self.outbox_id = 0

    async def insert(self, versions: Sequence[int] = (1,), *, padding: int = 0) -> list[str]:
        """Inserts the row and a message per version, in the order given; nothing is committed. Returns the event ids.

        `padding` bytes after the datum make a message that no broker takes.
        """
        schema_id, schema = latest(self._rig, "estuaire.remediation_seats.StructureDescribed")
        await self._connection.execute(
            "INSERT INTO structure (structure_id, structure_name, kind, commune_code, fictitious, version)"
            " VALUES ($1, $2, 'CFA', '76540', true, $3)",
            self.structure_id,
            f"Structure de l'arbitre {max(versions)}",
            max(versions),
        )
        event_ids = []
        for version in versions:
            fields = {
                **envelope(self.structure_id, version),
                "structure_name": f"Structure de l'arbitre {version}",
                "kind": "CFA",
                "commune_code": "76540",
                "fictitious": True,
            }
            self.outbox_id = await self._connection.fetchval(
                "INSERT INTO outbox (topic, key, aggregate_version, event_id, record, value, headers)"
                " VALUES ($1, $2, $3, $4, 'estuaire.remediation_seats.StructureDescribed', $5, '{}') RETURNING id",
                STRUCTURES,
                str(self.structure_id),
                version,
                fields["event_id"],
                encoded(schema_id, schema, fields) + bytes(padding),
            )
            event_ids.append(str(fields["event_id"]))
        return event_ids


def encoded(schema_id: int, schema: dict[str, Any], fields: dict[str, Any]) -> bytes:
    """A datum in the wire format."""
    sink = io.BytesIO()
    sink.write(b"\x00" + struct.pack("!I", schema_id))
    schemaless_writer(sink, parse_schema(schema), fields)
    return sink.getvalue()


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

# Five bytes that say "500 million nulls": a decoder that believes them asks for 4 GB.
ALLOCATING = {
    "type": "record",
    "name": "Bomb",
    "namespace": "probe.faults",
    "fields": [{"name": "nothing", "type": {"type": "array", "items": "null"}}],
}
_COUNT = 500_000_000
ALLOCATION = (
    bytes((2 * _COUNT >> shift) & 0x7F | 0x80 * (2 * _COUNT >> shift + 7 > 0) for shift in range(0, 35, 7)) + b"\x00"
)


def compressed_bomb(rig: Rig, topic: str) -> str:
    """Produces 64 MB of zeros as 2 kB of zstd; what the broker answered, or an empty text when it took them."""
    producer = Producer(
        {"bootstrap.servers": rig.bootstrap_servers, "compression.type": "zstd", "message.max.bytes": 100_000_000}
    )
    answers: list[str] = []
    producer.produce(
        topic, bytes(64_000_000), b"bomb", 0, on_delivery=lambda error, _: answers.append(str(error or ""))
    )
    assert producer.flush(60) == 0
    return answers[0]


def delete_records(rig: Rig, topic: str) -> int:
    """Deletes everything that partition 0 of a topic has, as retention would; the first offset that it keeps."""
    admin = AdminClient({"bootstrap.servers": rig.bootstrap_servers})
    place = TopicPartition(topic, 0, OFFSET_END)
    return int(admin.delete_records([place])[place].result(20).low_watermark)


def group_offsets(rig: Rig, group: str, topics: Sequence[str], kind: str) -> str:
    """Deletes a group's offsets, or moves them to the end or the start of every partition; what Kafka then says."""
    admin = AdminClient({"bootstrap.servers": rig.bootstrap_servers})
    if kind == "deleted":
        for _ in range(40):  # a static member that stopped is a member until its session ends
            try:
                admin.delete_consumer_groups([group])[group].result(20)
                break
            except KafkaException as error:
                if error.args[0].code() != KafkaError.NON_EMPTY_GROUP:
                    raise
                time.sleep(0.5)
        left = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(20)
        return f"{group} has no offset" if not left.topic_partitions else ""
    known = admin.list_topics(timeout=20).topics
    places = [TopicPartition(topic, number) for topic in topics for number in known[topic].partitions]
    consumer = Consumer({"bootstrap.servers": rig.bootstrap_servers, "group.id": "fault-rig"})
    bounds = [consumer.get_watermark_offsets(place, 10) for place in places]
    consumer.close()
    moved = [
        TopicPartition(place.topic, place.partition, high if kind == "moved to the end" else low)
        for place, (low, high) in zip(places, bounds, strict=True)
    ]
    admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, moved)])[group].result(20)
    return f"{group} {kind}: {sum(place.offset for place in moved)}"
