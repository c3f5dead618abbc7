"""At least once, exactly one effect, ordered per key: under kill -9 of everything, and under rubbish on the topics."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka import Consumer, Producer, TopicPartition

from common.embedded.stack import Stack
from common.testing import PATIENCE_SECONDS, Query, http_client, service_named
from tests.integration.conftest import BoardOf, Seats, declare, eventually
from tests.integration.referee import Record, folded_counts, read_topic, versions_by_key

PROGRAMMES = "remediation-seats.programmes.v1"
# Who reads it.
READERS = ("projections", "dropout-observatory")


def restart(stack: Stack, name: str) -> None:
    """Starts a killed service again and waits until it is ready."""
    stack.children[name].start()
    stack.wait_ready(service_named(stack, name))


async def board_equals_the_log(stack: Stack, query: Query) -> list[Record]:
    """Waits until the projection has read everything, then compares every row with an independent fold of the raw topic."""

    async def read_to_the_end() -> bool:
        pending = await query(
            "remediation-seats",
            "SELECT count(*) AS n FROM outbox WHERE published_at IS NULL AND topic = :t",
            t=PROGRAMMES,
        )
        if pending[0].n:
            return False
        positions = {
            row.partition: row.next_offset
            for row in await query(
                "projections", "SELECT partition, next_offset FROM consumer_position WHERE topic = :t", t=PROGRAMMES
            )
        }
        records = await asyncio.to_thread(read_topic, stack, PROGRAMMES)
        ends: dict[int, int] = {}
        for record in records:
            ends[record.partition] = record.offset + 1
        return all(positions[partition] == end for partition, end in ends.items())

    await eventually(read_to_the_end)
    records = await asyncio.to_thread(read_topic, stack, PROGRAMMES)
    rows = await query("projections", "SELECT * FROM board_programme")
    shown = {
        str(r.programme_id): (
            r.aggregate_version,
            r.total_count,
            r.taken_count,
            r.admitted_count,
            r.held_count,
            r.free_count,
            r.excess_count,
        )
        for r in rows
    }
    assert shown == folded_counts(records)
    return records


async def test_kill_9_of_everything_under_load(stack: Stack, seats: Seats, query: Query) -> None:
    """Service (with its relay), projection and broker are killed in turn under load: nothing lost, nothing twice, order kept."""
    _, partner = await seats.structure()
    programmes = [await seats.programme(partner, 10_000) for _ in range(8)]
    accepted: dict[str, int] = {}
    base = datetime.now(UTC)
    stopping = asyncio.Event()

    async def write(number: int) -> None:
        """Declares for one programme until told to stop; an unanswered request is repeated with its key until answered."""
        taken = 0
        while not stopping.is_set():
            taken += 1
            key = uuid4().hex
            for _ in range(600):
                try:
                    answer = await declare_once(partner, programmes[number], taken, key, base)
                except httpx.HTTPError:
                    await asyncio.sleep(0.1)
                    continue
                if answer.status_code == 503:
                    await asyncio.sleep(0.1)
                    continue
                assert answer.status_code == 200, answer.text
                accepted[str(programmes[number])] = taken
                break
            else:
                raise AssertionError("the service did not come back within a minute")

    writers = [asyncio.create_task(write(number)) for number in range(len(programmes))]
    await asyncio.sleep(1)
    recoveries: dict[str, float] = {}
    for _round in range(2):
        for name in ("remediation-seats", "projections"):
            began = time.monotonic()
            await asyncio.to_thread(stack.children[name].kill)
            await asyncio.sleep(0.5)
            await asyncio.to_thread(restart, stack, name)
            recoveries[name] = time.monotonic() - began
            await asyncio.sleep(1)
        assert stack.kafka is not None
        await asyncio.to_thread(stack.kafka.child.kill)
        await asyncio.sleep(1)
        stack.kafka.start()  # in this thread: the kernel ends a child with the thread that started it
        await asyncio.to_thread(stack.kafka.wait)
        await asyncio.sleep(1)
    stopping.set()
    await asyncio.gather(*writers)
    records = await board_equals_the_log(stack, query)

    # I1, I2: what was committed is in the topic, and nothing else is.
    committed = {
        str(row.event_id)
        for row in await query("remediation-seats", "SELECT event_id FROM outbox WHERE topic = :t", t=PROGRAMMES)
    }
    published = [str(record.fields["event_id"]) for record in records if record.fields]
    assert set(published) == committed
    # I4: per key, first occurrences are 1, 2, 3 … in offset order.
    for key, versions in versions_by_key(records).items():
        assert versions == list(range(1, len(versions) + 1)), key
    # Every accepted declaration had one effect: the last accepted one is what the board shows.
    rows = {
        str(row.programme_id): row.taken_count
        for row in await query("projections", "SELECT programme_id, taken_count FROM board_programme")
    }
    assert accepted and {key: rows[key] for key in accepted} == accepted
    assert (await query("projections", "SELECT count(*) AS n FROM parked_message"))[0].n == 0
    print(
        f"{len(published)} messages, {len(published) - len(committed)} duplicates in the log, restart to ready {recoveries}"
    )


async def declare_once(
    partner: httpx.AsyncClient, programme_id: Any, taken: int, key: str, base: datetime
) -> httpx.Response:
    """A declaration with an Idempotency-Key; `observed_at` grows with `taken`, so the same request is the same body."""
    body = {
        "programme_id": str(programme_id),
        "total_count": 10_000,
        "taken_count": taken,
        "observed_at": (base + timedelta(microseconds=taken)).isoformat(),
    }
    return await partner.post("/v1/declarations", json=body, headers={"Idempotency-Key": key})


def a_valid_record(stack: Stack, topic: str) -> bytes:
    """The bytes of some record of the topic."""
    consumer = Consumer(
        {"bootstrap.servers": stack.bootstrap_servers, "group.id": "bytes", "enable.auto.commit": False}
    )
    for partition in range(4):
        if consumer.get_watermark_offsets(TopicPartition(topic, partition))[1]:
            consumer.assign([TopicPartition(topic, partition, 0)])
            break
    while (message := consumer.poll(10)) is not None:
        value = message.value()
        if value and value[0] == 0:
            consumer.close()
            return value
    raise AssertionError("the topic is empty")


async def test_rubbish_on_a_topic_becomes_dead_letters_and_hinders_nobody(
    stack: Stack, seats: Seats, board: BoardOf, query: Query
) -> None:
    """Random bytes, unknown ids, null and non-UTF-8 headers, trailing bytes, every compression: a dead letter each, neighbours flow."""
    _, partner = await seats.structure()
    programme_id = await seats.programme(partner, 9, 1)
    await eventually(lambda: is_free(board, str(programme_id), 8))
    before = (await query("projections", "SELECT count(*) AS n FROM dead_letter"))[0].n
    valid = a_valid_record(stack, PROGRAMMES)
    draw = random.Random(1)
    rubbish: list[tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]] = [
        (None, b"k", []),
        (b"", b"k", []),
        (b"\x00", b"k", []),
        (valid + b"!", b"k", []),
        (valid[:-3], b"k", []),
        (valid, b"not-the-aggregate", []),
        (b"\x00\x7f\xff\xff\xff" + valid[5:], b"k", []),
        (draw.randbytes(200), None, []),
        (b"\x00" + valid[1:5] + draw.randbytes(50), b"\xff\xfe", []),
        (b'{"json": true}', b"k", [("h", None)]),
        (valid[5:], b"k", [("h", b"\xff\xfe\x00"), ("traceparent", b"\xff")]),
    ]
    producer = AIOKafkaProducer(bootstrap_servers=stack.bootstrap_servers)
    await producer.start()
    for value, key, headers in rubbish:
        await producer.send_and_wait(PROGRAMMES, value, key=key, headers=headers, partition=draw.randrange(4))
    await producer.stop()
    for codec in ("gzip", "snappy", "lz4", "zstd"):
        foreign = Producer({"bootstrap.servers": stack.bootstrap_servers, "compression.type": codec, "linger.ms": 50})
        for number in range(3):
            foreign.produce(
                PROGRAMMES, b"compressed rubbish " * 50 + bytes([number]), key=codec, headers={"note": b"\xff"}
            )
        assert foreign.flush(20) == 0
    expected = before + len(rubbish) + 12

    async def all_set_aside() -> bool:
        return bool((await query("projections", "SELECT count(*) AS n FROM dead_letter"))[0].n == expected)

    await eventually(all_set_aside)
    reasons = {row.reason for row in await query("projections", "SELECT reason FROM dead_letter")}
    assert {
        "empty_value",
        "too_short",
        "trailing_bytes",
        "undecodable",
        "key_is_not_the_aggregate",
        "unknown_schema_id",
        "no_magic_byte",
    } <= reasons
    assert stack.children["projections"].running
    assert (await declare(partner, programme_id, 9, 2)).status_code == 200
    await eventually(lambda: is_free(board, str(programme_id), 7))
    async with http_client() as client:
        pipeline = (
            await client.get(
                f"http://127.0.0.1:{service_named(stack, 'projections').port(stack.settings)}/api/pipeline"
            )
        ).json()
    assert {letter["source_topic"] for letter in pipeline["dead_letters"]} == {PROGRAMMES}


async def is_free(board: BoardOf, programme_id: str, free: int) -> bool:
    """Whether the board shows this free count."""
    return (await board()).get(programme_id, {}).get("free_count") == free


async def test_a_record_that_kills_the_interpreter_is_set_aside_undecoded(
    stack: Stack, seats: Seats, board: BoardOf, query: Query
) -> None:
    """A 5,000-deep datum of a recursive schema segfaults Python; after a restart only the guarding child dies of it."""
    schema = {
        "type": "record",
        "name": "Deep",
        "namespace": f"probe.n{uuid4().hex}",
        "fields": [{"name": "child", "type": ["null", "Deep"], "default": None}],
    }
    request = urllib.request.Request(
        f"http://127.0.0.1:{stack.settings.registry_port}/apis/ccompat/v7/subjects/{schema['namespace']}.Deep/versions",
        json.dumps({"schema": json.dumps(schema)}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        schema_id = json.load(answer)["id"]
    _, partner = await seats.structure()
    programme_id = await seats.programme(partner, 3)
    await eventually(lambda: is_free(board, str(programme_id), 3))
    for name in READERS:
        await asyncio.to_thread(stack.children[name].stop)
    producer = AIOKafkaProducer(bootstrap_servers=stack.bootstrap_servers)
    await producer.start()
    for partition in range(4):
        await producer.send_and_wait(
            PROGRAMMES,
            b"\x00" + schema_id.to_bytes(4, "big") + b"\x02" * 100_000 + b"\x00",
            key=b"deep",
            partition=partition,
        )
    await producer.stop()
    assert (await declare(partner, programme_id, 3, 1)).status_code == 200
    for name in READERS:
        await asyncio.to_thread(restart, stack, name)
    await eventually(lambda: is_free(board, str(programme_id), 2))

    async def all_set_aside() -> bool:
        sql = "SELECT count(*) AS n FROM dead_letter WHERE reason = 'kills_the_interpreter'"
        return [(await query(name, sql))[0].n for name in READERS] == [4, 4]

    await eventually(all_set_aside)
    assert all(stack.children[name].running for name in READERS)


async def test_one_trace_from_the_request_to_the_consumer(stack: Stack, seats: Seats) -> None:
    """The caller's traceparent is in the message's header, and its trace id is the correlation id."""
    _, partner = await seats.structure()
    programme_id = await seats.programme(partner, 3)
    trace_id = uuid4().hex
    answer = await partner.post(
        "/v1/declarations",
        headers={"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"},
        json={
            "programme_id": str(programme_id),
            "total_count": 4,
            "taken_count": 0,
            "observed_at": datetime.now(UTC).isoformat(),
        },
    )
    assert answer.status_code == 200, answer.text

    async def published() -> bool:
        records = await asyncio.to_thread(read_topic, stack, PROGRAMMES)
        mine = [
            r
            for r in records
            if r.fields
            and r.key == str(programme_id)
            and r.name == "SeatsDeclared"
            and r.fields["seats"]["total_count"] == 4
        ]
        if not mine:
            return False
        assert mine[0].headers["traceparent"].decode().split("-")[1] == trace_id
        assert mine[0].fields is not None and mine[0].fields["correlation_id"].hex == trace_id
        assert (
            mine[0].headers["ce_type"] == b"estuaire.remediation_seats.SeatsDeclared"
            and mine[0].headers["ce_specversion"] == b"1.0"
        )
        return True

    await eventually(published)


@pytest.mark.parametrize("probe", ["livez", "readyz", "startupz"])
async def test_probes_answer(stack_urls: dict[str, str], probe: str) -> None:
    """Kubernetes asks these; /metrics has a sentence for each metric."""
    async with http_client() as client:
        for url in stack_urls.values():
            assert (await client.get(f"{url}/{probe}")).text == "ok"
            metrics = (await client.get(f"{url}/metrics")).text
            assert "# HELP estuaire_outbox_age_seconds Age of the oldest message" in metrics


async def test_a_terminated_service_drains(stack: Stack, seats: Seats, query: Query) -> None:
    """SIGTERM under load: what was taken in is answered and published before the process ends by itself; no 5xx."""
    _, partner = await seats.structure()
    programmes = [await seats.programme(partner, 100) for _ in range(4)]
    statuses: list[int] = []
    stopping = asyncio.Event()

    async def write(number: int) -> None:
        while not stopping.is_set():
            try:
                statuses.append((await declare(partner, programmes[number], 100, 1)).status_code)
            except httpx.HTTPError:
                await asyncio.sleep(0.05)

    writers = [asyncio.create_task(write(number)) for number in range(4)]

    async def under_load() -> bool:
        return len(statuses) > 50

    await eventually(under_load)
    began, child = time.monotonic(), stack.children["remediation-seats"]
    await asyncio.to_thread(child.stop, PATIENCE_SECONDS)
    print(f"drained within {time.monotonic() - began:.1f} s")
    killed = child.process is None or child.process.returncode == -signal.SIGKILL
    left = await query("remediation-seats", "SELECT count(*) AS n FROM outbox WHERE published_at IS NULL")
    stopping.set()
    await asyncio.gather(*writers)
    await asyncio.to_thread(restart, stack, "remediation-seats")
    assert set(statuses) == {200} and len(statuses) > 50
    assert left[0].n == 0
    assert not killed
