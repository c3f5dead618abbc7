"""Creates the topics that `topics.yaml` declares, and brings the configuration of those that exist to what it declares."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from common.contracts import Topic
from common.failures import Unavailable

_DAY_MILLISECONDS = 86_400_000
_REPLICAS_MAX = 3
# Of a topic's own configuration, apart from the broker's defaults.
_OF_THE_TOPIC = 1


class TopicRefused(Exception):
    """Kafka does not want a topic as it is declared."""


async def create_topics(
    bootstrap_servers: str, topics: Sequence[Topic], *, families: Sequence[Topic] = (), wait_seconds_max: float = 30
) -> list[str]:
    """Creates those that the brokers lack and waits until they show them; returns their names. Raises `TopicRefused`.

    On three brokers or more each has three replicas. Those that exist, of `families` too, are configured as they are
    declared; what else an operator has set stays. Their partitions and replicas are never touched.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        present = set(await admin.list_topics())
        replicas = min(_REPLICAS_MAX, len((await admin.describe_cluster())["brokers"]))
        missing = {topic.name: _as_kafka_has_it(topic, replicas) for topic in topics if topic.name not in present}
        if missing:
            answer = await admin.create_topics(list(missing.values()))
            for name, code, *_ in answer.topic_errors:
                if code and for_code(code) is not TopicAlreadyExistsError:
                    raise TopicRefused(f"Kafka refused the topic {name}: {for_code(code).__name__}")
                if code:
                    # Made by somebody else a moment ago, and not shown yet: it is configured below like those that were there.
                    del missing[name]
        deadline = time.monotonic() + wait_seconds_max
        while not {topic.name for topic in topics} <= set(await admin.list_topics()):
            if time.monotonic() > deadline:
                raise Unavailable("Kafka did not show its new topics")
            await asyncio.sleep(0.1)
        members = [
            family.of(found)
            for name in present
            for family in families
            if (found := family.parameter_in(name)) is not None
        ]
        await _configure(admin, [*(topic for topic in topics if topic.name not in missing), *members])
    finally:
        await admin.close()
    return list(missing)


async def _configure(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> None:
    """Gives each its declared configuration, where it has another: what the request does not name would be reset, so it names all."""
    if not topics:
        return
    declared = {topic.name: configuration(topic) for topic in topics}
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in declared]
    changed = []
    for answer in await admin.describe_configs(asked):
        for _, _, _, name, entries in answer.resources:
            own = {entry[0]: entry[1] for entry in entries if entry[3] == _OF_THE_TOPIC}
            if own | declared[name] != own:
                changed.append(ConfigResource(ConfigResourceType.TOPIC, name, own | declared[name]))
    if not changed:
        return
    for answer in await admin.alter_configs(changed):
        for code, _, _, name, *_ in answer.resources:
            if code:
                raise TopicRefused(f"Kafka refused the configuration of {name}: {for_code(code).__name__}")


def _as_kafka_has_it(topic: Topic, replicas: int) -> NewTopic:
    return NewTopic(topic.name, topic.partitions, replicas, topic_configs=configuration(topic))


def configuration(topic: Topic) -> dict[str, str]:
    """What the broker is told of a topic."""
    return {
        "retention.ms": str(topic.retention_days * _DAY_MILLISECONDS if topic.retention_days >= 0 else -1),
        # The broker unpacks what a client compressed, and refuses a bomb that no consumer could see coming.
        "compression.type": "uncompressed",
        # What is deleted by its age is dated by the broker: a client may stamp what it sends as it likes, and what looks old
        # would be gone before an absent reader is back; what looks new would stay for ever.
        **({"message.timestamp.type": "LogAppendTime"} if topic.retention_days >= 0 else {}),
        **({"max.message.bytes": str(topic.message_bytes_max)} if topic.message_bytes_max else {}),
    }
