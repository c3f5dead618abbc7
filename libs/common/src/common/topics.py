"""Creates the topics that `topics.yaml` declares; never changes one that exists."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from common.contracts import Topic
from common.failures import Unavailable

_DAY_MILLISECONDS = 86_400_000
_REPLICAS_MAX = 3


class TopicRefused(Exception):
    """Kafka does not want a topic as it is declared."""


async def create_topics(bootstrap_servers: str, topics: Sequence[Topic], *, wait_seconds_max: float = 30) -> list[str]:
    """Creates those that the brokers lack and waits until they show them; returns their names. Raises `TopicRefused`.

    On three brokers or more each has three replicas.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        present = set(await admin.list_topics())
        replicas = min(_REPLICAS_MAX, len((await admin.describe_cluster())["brokers"]))
        missing = [_as_kafka_has_it(topic, replicas) for topic in topics if topic.name not in present]
        if missing:
            answer = await admin.create_topics(missing)
            for name, code, *_ in answer.topic_errors:
                if code and for_code(code) is not TopicAlreadyExistsError:
                    raise TopicRefused(f"Kafka refused the topic {name}: {for_code(code).__name__}")
        deadline = time.monotonic() + wait_seconds_max
        while not {topic.name for topic in topics} <= set(await admin.list_topics()):
            if time.monotonic() > deadline:
                raise Unavailable("Kafka did not show its new topics")
            await asyncio.sleep(0.1)
    finally:
        await admin.close()
    return [topic.name for topic in missing]


def _as_kafka_has_it(topic: Topic, replicas: int) -> NewTopic:
    return NewTopic(topic.name, topic.partitions, replicas, topic_configs=configuration(topic))


def configuration(topic: Topic) -> dict[str, str]:
    """What the broker is told of a topic."""
    return {
        "retention.ms": str(topic.retention_days * _DAY_MILLISECONDS if topic.retention_days >= 0 else -1),
        # The broker unpacks what a client compressed, and refuses a bomb that no consumer could see coming.
        "compression.type": "uncompressed",
        **({"max.message.bytes": str(topic.message_bytes_max)} if topic.message_bytes_max else {}),
    }
