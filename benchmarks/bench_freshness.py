"""How fresh is the board: commit of a declaration → its read model, at 50 declarations a second, and each service's memory.

Printed as a ratio to the same run's physical floor: one produce-and-fetch round trip of a raw Kafka client. Starts a
stack of its own on free ports. Run it with `make bench`.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from uuid import uuid4

import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from common.embedded.stack import Stack
from common.testing import client_of, service_named, url_of
from measuring import quantiles, resident_megabytes, started

RATE_PER_SECOND = 50
SECONDS = 40
PROGRAMME_COUNT = 50
_POLL_SECONDS = 0.002


async def declare(partner: httpx.AsyncClient, programme_id: str, taken: int) -> None:
    """One declaration as seen now."""
    answer = await partner.post(
        "/v1/declarations",
        json={
            "programme_id": programme_id,
            "total_count": 10_000,
            "taken_count": taken,
            "observed_at": datetime.now(UTC).isoformat(),
        },
    )
    answer.raise_for_status()


async def freshness(stack: Stack) -> list[float]:
    """Seconds from the answer to a declaration (its commit) until a reader of the read model sees it."""
    structure_id, url = uuid4(), url_of(stack, "remediation-seats")
    agency = await client_of(stack, url, "bench-agency", "agency")
    body = {"structure_name": "Bench", "kind": "CFA", "commune_code": "76540", "fictitious": True}
    (await agency.put(f"/v1/structures/{structure_id}", json=body)).raise_for_status()
    partner = await client_of(stack, url, "bench-partner", "partner", structure_id=str(structure_id))
    programmes = [str(uuid4()) for _ in range(PROGRAMME_COUNT)]
    for programme in programmes:
        (
            await partner.put(f"/v1/programmes/{programme}", json={"title": "Bench", "age_min": 15, "age_max": 25})
        ).raise_for_status()
    # The first batch of each partition after a start is decoded in a guarding child process: measured apart, not here.
    for programme in programmes:
        await declare(partner, programme, 0)
    await asyncio.sleep(3)
    engine = create_async_engine(stack.postgres.url(service_named(stack, "projections").package))
    committed: dict[tuple[str, int], float] = {}
    seen: dict[tuple[str, int], float] = {}

    async def watch() -> None:
        """Reads the read model as fast as it can; a row that moved on has shown every earlier value."""
        last: dict[str, int] = {}
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            while True:
                rows = await connection.execute(text("SELECT programme_id, taken_count FROM board_programme"))
                now = time.perf_counter()
                for row in rows:
                    key = str(row.programme_id)
                    for taken in range(last.get(key, 0) + 1, row.taken_count + 1):
                        seen[key, taken] = now
                    last[key] = row.taken_count
                await asyncio.sleep(_POLL_SECONDS)

    async def one(number: int) -> None:
        key = programmes[number % PROGRAMME_COUNT], number // PROGRAMME_COUNT + 1
        await declare(partner, *key)
        committed[key] = time.perf_counter()

    watcher = asyncio.create_task(watch())
    began = time.perf_counter()
    tasks = []
    for number in range(RATE_PER_SECOND * SECONDS):
        await asyncio.sleep(max(0.0, began + number / RATE_PER_SECOND - time.perf_counter()))
        tasks.append(asyncio.create_task(one(number)))
    await asyncio.gather(*tasks)
    while committed.keys() - seen.keys():
        await asyncio.sleep(0.05)
    watcher.cancel()
    await asyncio.gather(watcher, return_exceptions=True)
    await engine.dispose()
    # The watcher may see a row before the client has read its answer: that is zero, not less.
    return [max(0.0, seen[key] - committed[key]) for key in committed]


async def floor(stack: Stack) -> list[float]:
    """Seconds for one record through the broker: produce with acks=all, fetch by a waiting consumer."""
    topic = "projections.pipeline.v1"
    producer = AIOKafkaProducer(bootstrap_servers=stack.bootstrap_servers, acks="all")
    consumer = AIOKafkaConsumer(bootstrap_servers=stack.bootstrap_servers)
    await producer.start()
    await consumer.start()
    consumer.assign([TopicPartition(topic, 0)])
    await consumer.seek_to_end()
    await consumer.getmany(timeout_ms=300)
    took = []
    for _ in range(200):
        began, mark = time.perf_counter(), uuid4().bytes
        await producer.send(topic, mark)
        while (await consumer.getone()).value != mark:
            pass
        took.append(time.perf_counter() - began)
    await producer.stop()
    await consumer.stop()
    return took


def main() -> None:
    """Starts, measures, prints."""
    with started() as stack:
        fresh = asyncio.run(freshness(stack))
        memory = ", ".join(
            f"{name} {resident_megabytes(stack, name):.0f} MB"
            for name, child in stack.children.items()
            if child.process
        )
        base = asyncio.run(floor(stack))
    (p50, p99), (base50, _) = quantiles(fresh), quantiles(base)
    print(
        f"commit → read model, {RATE_PER_SECOND}/s for {SECONDS} s, {len(fresh)} declarations: p50 {p50:.1f} ms, p99 {p99:.1f} ms"
    )
    print(f"one raw record through the same broker: p50 {base50:.1f} ms; ratio of medians {p50 / base50:.1f}")
    print(f"resident memory: {memory}")


if __name__ == "__main__":
    main()
