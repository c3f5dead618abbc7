"""A partner's own topic: foreign producers, answers, and a bad partner that pauses itself alone."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient, record_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from common.embedded.stack import Stack
from common.testing import Query, estuaire, service_named
from tests.integration.conftest import BoardOf, Seats, eventually

SERVICE = "remediation-seats"


async def operated(stack: Stack, *arguments: str, status: int = 0) -> str:
    """What the operators' command says, which ends with this status."""
    ended, said = await estuaire(stack, SERVICE, *arguments)
    assert ended == status, said
    return said


class Partner:
    """A structure with software of its own: confluent-kafka and its Avro serializer, nothing of ours."""

    def __init__(self, stack: Stack, structure_id: UUID, http: httpx.AsyncClient) -> None:
        self.structure_id = structure_id
        self.http = http
        self.topic = f"partners.seats.{structure_id}.v1"
        registry = SchemaRegistryClient({"url": f"http://127.0.0.1:{stack.settings.registry_port}/apis/ccompat/v7"})
        schema = registry.get_latest_version("estuaire.partners.DeclareSeats").schema.schema_str
        # Named on both sides: the library's own choice asks the registry for each record that it reads.
        strategy: Any = {"subject.name.strategy": record_subject_name_strategy}
        self._serialize = AvroSerializer(registry, schema, conf={"auto.register.schemas": False, **strategy})
        self._deserialize = AvroDeserializer(registry, conf=strategy)
        self._bootstrap = stack.bootstrap_servers
        self._producer = Producer({"bootstrap.servers": stack.bootstrap_servers, "linger.ms": 5})

    def declare(self, programme_id: UUID, total: int, taken: int, *, observed_at: datetime | None = None) -> None:
        """One record on the partner's topic."""
        fields = {
            "programme_id": str(programme_id),
            "total_count": total,
            "taken_count": taken,
            "observed_at": observed_at or datetime.now(UTC),
            "sequence": None,
        }
        value = self._serialize(fields, SerializationContext(self.topic, MessageField.VALUE))
        assert value is not None
        self.send([value])

    def send(self, values: list[bytes]) -> None:
        """Raw bytes."""
        refused: list[str] = []
        for value in values:
            self._producer.produce(
                self.topic, value, on_delivery=lambda error, _: refused.extend([str(error)] if error else [])
            )
            self._producer.poll(0)
        assert self._producer.flush(20) == 0 and not refused, refused

    async def answers(self, count: int, seconds_max: float = 40) -> list[dict[str, Any]]:
        """The first `count` answers, read by the partner's own consumer."""
        return await asyncio.to_thread(self._read, count, seconds_max)

    def _read(self, count: int, seconds_max: float) -> list[dict[str, Any]]:
        topic = f"partners.seat-replies.{self.structure_id}.v1"
        consumer = Consumer({"bootstrap.servers": self._bootstrap, "group.id": str(uuid4())})
        consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        found: list[dict[str, Any]] = []
        deadline = time.monotonic() + seconds_max
        while len(found) < count and time.monotonic() < deadline:
            message = consumer.poll(0.5)
            if message is not None and message.error() is None:
                answer = self._deserialize(message.value(), SerializationContext(topic, MessageField.VALUE))
                assert isinstance(answer, dict)
                found.append(answer)
        consumer.close()
        return found


async def new_partner(seats: Seats) -> Partner:
    """A registered structure with topics of its own."""
    structure_id, http = await seats.structure()
    said = await operated(seats.stack, "partners", "add", str(structure_id))
    assert f"partners.seats.{structure_id}.v1: created" in said
    return Partner(seats.stack, structure_id, http)


async def test_a_foreign_producer_declares_and_is_answered(seats: Seats, board: BoardOf) -> None:
    """confluent-kafka with its own serializer reaches the board; each record gets its answer, in order."""
    partner, other = await new_partner(seats), await new_partner(seats)
    mine, theirs = await seats.programme(partner.http, 5), await seats.programme(other.http, 5)
    later = datetime.now(UTC)
    partner.declare(mine, 12, 3, observed_at=later)
    partner.declare(mine, 12, 3, observed_at=later)
    partner.declare(theirs, 99, 0)
    partner.declare(mine, 3, 12)
    partner.declare(mine, 5, 1, observed_at=datetime.now(UTC) + timedelta(hours=2))
    partner.declare(uuid4(), 5, 1)

    async def shown() -> bool:
        row = (await board()).get(str(mine), {})
        return row.get("total_count") == 12 and row["taken_count"] == 3

    await eventually(shown)
    answers = await partner.answers(6)
    assert [(answer["offset"], answer["outcome"], answer["reason"]) for answer in answers] == [
        (0, "ACCEPTED", None),
        (1, "SUPERSEDED", None),
        (2, "REFUSED", "not_your_structure"),
        (3, "REFUSED", "invalid_line"),
        (4, "REFUSED", "observed_in_the_future"),
        (5, "REFUSED", "not_found"),
    ]
    assert answers[0]["free_count"] == 9 and "plus de places occupées" in answers[3]["advice"]
    assert (await board())[str(theirs)]["total_count"] == 5


async def test_a_bad_partner_pauses_itself_alone(seats: Seats, query: Query) -> None:
    """Others' ids, then a thousand rubbish records: nine are answered meanwhile; the tenth is paused and told why."""
    partners = [await new_partner(seats) for _ in range(10)]
    programmes = [await seats.programme(partner.http, 5) for partner in partners]
    bad, good = partners[9], partners[:9]
    draw = random.Random(5)
    for programme_id in programmes[:9]:
        bad.declare(programme_id, 9999, 0)
    bad.send([draw.randbytes(draw.randrange(1, 200)) for _ in range(1000)])
    began = time.monotonic()
    for partner, programme_id in zip(good, programmes, strict=False):
        partner.declare(programme_id, 7, 2)
    for partner in good:
        assert [answer["outcome"] for answer in await partner.answers(1)] == ["ACCEPTED"]
    print(f"nine partners were answered within {time.monotonic() - began:.0f} s")
    answers = await bad.answers(110)
    assert [answer["outcome"] for answer in answers] == ["REFUSED"] * 9 + ["UNREADABLE"] * 100 + ["PAUSED"]
    assert {answer["reason"] for answer in answers[:9]} == {"not_your_structure"}
    assert all(answer["reason"] and answer["advice"] for answer in answers)
    (row,) = await query(
        "remediation-seats",
        "SELECT next_offset, stopped_reason, (SELECT count(*) FROM dead_letter d WHERE d.topic = :topic) AS letters"
        " FROM consumer_position WHERE topic = :topic",
        topic=bad.topic,
    )
    assert tuple(row) == (109, "dead_letter_limit", 100)
    # Nothing of a partner's bytes leaves the service's database.
    assert not await query("remediation-seats", "SELECT 1 FROM outbox WHERE record LIKE '%RecordDeadLettered' LIMIT 1")
    assert bad.topic in await operated(seats.stack, "partners", "list")
    for _ in range(9):
        await operated(seats.stack, "dead-letters", "resume", bad.topic, "0", "-s", SERVICE)
        position = row.next_offset + 100

        async def paused_again(position: int = position) -> bool:
            ((offset, reason),) = await query(
                "remediation-seats",
                "SELECT next_offset, stopped_reason FROM consumer_position WHERE topic = :topic",
                topic=bad.topic,
            )
            return bool(offset == position and reason)

        await eventually(paused_again)
        row = type("Row", (), {"next_offset": position})
    await operated(seats.stack, "dead-letters", "resume", bad.topic, "0", "-s", "remediation-seats")
    bad.declare(programmes[9], 8, 1)
    assert (await bad.answers(1020))[-1]["outcome"] == "ACCEPTED"


@pytest.mark.parametrize("codec", ["zstd", "gzip", "lz4"])
async def test_what_inflates_beyond_the_limit_is_refused_by_the_broker(seats: Seats, codec: str) -> None:
    """Megabytes in a few bytes never reach a parser; an ordinary compressed record does."""
    partner = await new_partner(seats)
    programme_id = await seats.programme(partner.http, 5)
    producer = Producer(
        {
            "bootstrap.servers": seats.stack.bootstrap_servers,
            "compression.type": codec,
            "message.max.bytes": 100_000_000,
        }
    )
    errors: list[str] = []
    producer.produce(partner.topic, bytes(8_000_000), on_delivery=lambda error, _: errors.append(str(error or "")))
    assert producer.flush(30) == 0 and "too large" in errors[0].lower()
    partner.declare(programme_id, 6, 1)
    assert [answer["outcome"] for answer in await partner.answers(1)] == ["ACCEPTED"]


async def test_partners_add_says_what_is_wrong_and_repeats_itself(seats: Seats) -> None:
    """An unknown structure is refused; a second time nothing changes and the instructions come again."""
    said = await operated(seats.stack, "partners", "add", str(uuid4()), status=1)
    assert "no structure" in said and "PUT /v1/structures" in said
    partner = await new_partner(seats)
    again = await operated(seats.stack, "partners", "add", str(partner.structure_id))
    assert "was there" in again and again.count(partner.topic) >= 4 and "@" not in again.replace("@kafkajs", "")
    # The first sample is run as it stands, with the one word replaced that it asks for.
    programme_id = await seats.programme(partner.http, 5)
    sample = again.split("--- Python, with confluent-kafka ---")[1].split("\n--- ")[0]
    done = await asyncio.create_subprocess_exec(sys.executable, "-c", sample.replace("PARCOURS", str(programme_id)))
    assert await done.wait() == 0
    (answer,) = await partner.answers(1)
    assert (answer["outcome"], answer["free_count"]) == ("ACCEPTED", 12 - 9)


async def test_each_record_has_one_effect_and_one_answer_under_kill_9(seats: Seats, query: Query) -> None:
    """The service is killed again and again while 300 records come in: every one is applied once and answered once."""
    partner = await new_partner(seats)
    programme_id = await seats.programme(partner.http, 500)
    child = seats.stack.children["remediation-seats"]
    began = datetime.now(UTC)
    for number in range(300):
        partner.declare(programme_id, 500, number, observed_at=began + timedelta(milliseconds=number))
        if number % 75 == 74:
            await asyncio.to_thread(child.kill)
            child.start()
            await asyncio.to_thread(seats.stack.wait_ready, service_named(seats.stack, "remediation-seats"))

    async def all_read() -> bool:
        rows = await query(
            "remediation-seats", "SELECT next_offset FROM consumer_position WHERE topic = :topic", topic=partner.topic
        )
        return bool(rows and rows[0][0] == 300)

    await eventually(all_read)
    (declared,) = await query(
        "remediation-seats",
        """SELECT count(*) AS count, count(DISTINCT aggregate_version) AS versions FROM outbox
           WHERE key = :key AND record = 'estuaire.remediation_seats.SeatsDeclared'""",
        key=str(programme_id),
    )
    assert tuple(declared) == (301, 301)  # the first one came by HTTP
    answers = await query(
        "remediation-seats",
        "SELECT aggregate_version - 1 AS of_offset FROM outbox WHERE topic = :topic ORDER BY 1",
        topic=f"partners.seat-replies.{partner.structure_id}.v1",
    )
    assert [row.of_offset for row in answers] == list(range(300))
    # The relay may send an answer twice, under one identity; a reader sees each in order all the same.
    seen = {answer["event_id"]: answer for answer in await partner.answers(300)}
    assert [answer["outcome"] for answer in seen.values()] == ["ACCEPTED"] * len(seen)
