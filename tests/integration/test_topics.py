"""What a topic keeps, and for how long: judged by a broker that looks for what is too old twice a second."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from common import contracts
from common.contracts import Topic
from common.embedded import parts
from common.embedded.kafka import Kafka
from common.embedded.processes import free_port
from common.terminal import SCHEMAS
from common.topics import configuration, create_topics
from tests.integration.conftest import eventually

SEATS = contracts.load(SCHEMAS).families["partners.seats.{structure_id}.v1"]
_DAY_MILLISECONDS = 86_400_000


@pytest.fixture
async def broker() -> AsyncIterator[str]:
    """A Kafka of its own, for the other tests need none that deletes."""
    home = Path(tempfile.mkdtemp(prefix="estuaire-topics-"))
    often = {"log.retention.check.interval.ms": "500", "log.initial.task.delay.ms": "100"}
    kafka = Kafka(
        home,
        parts.fetch("kafka", print),
        port=free_port(),
        controller_port=free_port(),
        properties=often,
    )
    kafka.start()
    try:
        kafka.wait()
        yield kafka.bootstrap_servers
    finally:
        kafka.child.kill()
        shutil.rmtree(home, ignore_errors=True)


async def _made_without_us(broker: str, name: str, **more: str) -> None:
    """A topic as a release before made it: kept for the same days, dated by whoever sends."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    told = {**configuration(SEATS.of(name)), "message.timestamp.type": "CreateTime", **more}
    await admin.create_topics([NewTopic(name, 1, 1, topic_configs=told)])

    async def shown() -> bool:
        return name in await admin.list_topics()

    # A broker on a busy machine knows of its topic a moment after it has made it.
    await eventually(shown)
    await admin.close()


async def _configuration_of(broker: str, name: str) -> dict[str, str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    await admin.close()
    ((*_, entries),) = answer.resources
    return {entry[0]: entry[1] for entry in entries}


async def test_a_record_stamped_long_ago_is_kept_from_its_arrival(broker: str) -> None:
    """The broker deletes it from a topic that trusts the sender's clock; of a partner's, an absent reader still finds it."""
    kept, trusting, altered = (SEATS.of(uuid4()).name for _ in range(3))
    await create_topics(broker, [_named(kept)])
    for name in (trusting, altered):
        await _made_without_us(broker, name)
    await create_topics(broker, [_named(altered)])
    long_ago = int(time.time() * 1000) - 2 * SEATS.retention_days * _DAY_MILLISECONDS
    names = (kept, altered, trusting)
    async with AIOKafkaProducer(bootstrap_servers=broker) as producer:
        for name in names:
            await producer.send_and_wait(name, b"declared", timestamp_ms=long_ago)
    async with AIOKafkaConsumer(bootstrap_servers=broker, enable_auto_commit=False) as reader:
        places = {name: TopicPartition(name, 0) for name in names}

        async def deleted() -> bool:
            starts: dict[TopicPartition, int] = await reader.beginning_offsets([places[trusting]])
            return starts == {places[trusting]: 1}

        await eventually(deleted)
        assert await reader.beginning_offsets([places[kept], places[altered]]) == {
            places[kept]: 0,
            places[altered]: 0,
        }
        reader.assign([places[kept], places[altered]])
        await reader.seek_to_beginning()
        found = [await reader.getone() for _ in range(2)]
        assert {record.topic for record in found} == {kept, altered}
        assert all(record.value == b"declared" and record.timestamp > long_ago for record in found)


async def test_topics_that_exist_are_configured_as_they_are_declared(broker: str) -> None:
    """Members of a family too, found by their names; what an operator has set beside it stays, and a second time changes nothing."""
    name = SEATS.of(uuid4()).name
    await _made_without_us(broker, name, **{"segment.bytes": "2000000", "retention.ms": "1000000000"})
    for _ in range(2):
        assert await create_topics(broker, [], families=[SEATS]) == []
        now = await _configuration_of(broker, name)
        assert configuration(SEATS).items() <= now.items()
        assert now["message.timestamp.type"] == "LogAppendTime" and now["segment.bytes"] == "2000000"


def test_what_is_deleted_by_age_is_dated_by_the_broker() -> None:
    """Every topic that does not keep for ever; what keeps for ever has the sender's instant."""
    declared = contracts.load(SCHEMAS).declared
    dated = {topic.name for topic in declared if "message.timestamp.type" in configuration(topic)}
    assert dated == {topic.name for topic in declared if topic.retention_days >= 0}
    assert {SEATS.name, "partners.seat-replies.{structure_id}.v1"} <= dated


def _named(name: str) -> Topic:
    return SEATS.of(SEATS.parameter_in(name))
