"""The log by the eyes of a second consumer: its bounds, whatever state the group's own consumer is in."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

_ANSWER_SECONDS_MAX = 5
_COMMIT_SECONDS_MAX = 10


class LogView:
    """Connects when first asked; `drop` forgets a connection that failed."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._consumer: AIOKafkaConsumer | None = None

    async def bounds(
        self, partitions: Sequence[TopicPartition]
    ) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
        """First offset kept, and next offset to be written, of each partition."""
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._bootstrap_servers, request_timeout_ms=_ANSWER_SECONDS_MAX * 1000
            )
            try:
                await asyncio.wait_for(consumer.start(), _ANSWER_SECONDS_MAX)
            except BaseException:
                with suppress(Exception):
                    await consumer.stop()
                raise
            self._consumer = consumer
        starts = await asyncio.wait_for(self._consumer.beginning_offsets(partitions), _ANSWER_SECONDS_MAX)
        ends = await asyncio.wait_for(self._consumer.end_offsets(partitions), _ANSWER_SECONDS_MAX)
        return starts, ends

    async def drop(self) -> None:
        """Closes the connection; the next question opens another."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with suppress(Exception):
                await asyncio.wait_for(consumer.stop(), 2)

    async def commit(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        """Writes a group's offsets from outside; a group with members has some already and refuses, which is fine."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self._bootstrap_servers, group_id=group, enable_auto_commit=False)
        await asyncio.wait_for(consumer.start(), _COMMIT_SECONDS_MAX)
        try:
            consumer.assign(list(offsets))
            with suppress(KafkaError):
                await asyncio.wait_for(consumer.commit(dict(offsets)), _COMMIT_SECONDS_MAX)
        finally:
            await consumer.stop()


def lost(offset: int, start: int, end: int) -> str | None:
    """Why a stored offset cannot be read, or None: the log was cut, or the topic was made anew."""
    if offset < start:
        return "offset_below_log_start"
    if offset > end:
        return "offset_above_log_end"
    return None
