"""The log by the eyes of a second consumer: its bounds and its records, whatever state the group's own consumer is in."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

_ANSWER_SECONDS_MAX = 5
# So few that their answers come in time on any machine: all at once, a hundred topics took a slow one longer, for ever, and
# twenty at once a machine with one busy core.
_LOT_COUNT = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LogView:
    """Connects when first asked; `drop` forgets a connection that failed."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._consumer: AIOKafkaConsumer | None = None

    async def bounds(
        self, partitions: Sequence[TopicPartition]
    ) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
        """First offset kept, and next offset to be written, of each partition."""
        consumer = await self._knowing(partitions)
        starts = await asyncio.wait_for(consumer.beginning_offsets(partitions), _ANSWER_SECONDS_MAX)
        ends = await asyncio.wait_for(consumer.end_offsets(partitions), _ANSWER_SECONDS_MAX)
        return starts, ends

    async def topics(self, pattern: str) -> list[str]:
        """Names of the topics that match, sorted."""
        consumer = await self._connected()
        names = await asyncio.wait_for(consumer.topics(), _ANSWER_SECONDS_MAX)
        return sorted(name for name in names if re.match(pattern, name))

    async def first_after(self, instants: Mapping[TopicPartition, datetime | None]) -> dict[TopicPartition, int | None]:
        """Of each partition, the first offset with a timestamp later than the instant, or None."""
        asked = {p: (at - _EPOCH) // timedelta(milliseconds=1) + 1 for p, at in instants.items() if at is not None}
        if not asked:
            return dict.fromkeys(instants)
        consumer = await self._knowing(asked)
        found = await asyncio.wait_for(consumer.offsets_for_times(asked), _ANSWER_SECONDS_MAX)
        return dict.fromkeys(instants) | {p: after.offset if after else None for p, after in found.items()}

    async def records(
        self, first: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
    ) -> AsyncIterator[list[ConsumerRecord]]:
        """What stands in each partition from an offset up to its end, in lots."""
        left = {partition for partition, offset in first.items() if offset < ends[partition]}
        if not left:
            return
        consumer = await self._connected()
        consumer.assign(sorted(left))
        for partition in left:
            consumer.seek(partition, first[partition])
        while left:
            lots = await asyncio.wait_for(
                consumer.getmany(*left, timeout_ms=_ANSWER_SECONDS_MAX * 500, max_records=500), _ANSWER_SECONDS_MAX
            )
            yield [record for lot in lots.values() for record in lot]
            for partition in list(left):
                if await consumer.position(partition) >= ends[partition]:
                    left.discard(partition)

    async def _knowing(self, partitions: Iterable[TopicPartition]) -> AIOKafkaConsumer:
        """Connected, and told who leads these partitions. Of several unknown topics in one question, aiokafka 0.14 learns
        one in each try, a tenth of a second apart: with fifty topics of partners the answer came too late, for ever.
        """
        consumer = await self._connected()
        unknown = list({p.topic: p for p in partitions if consumer.partitions_for_topic(p.topic) is None}.values())
        for begin in range(0, len(unknown), _LOT_COUNT):
            lot = unknown[begin : begin + _LOT_COUNT]
            each = asyncio.gather(*(consumer.beginning_offsets([partition]) for partition in lot))
            await asyncio.wait_for(each, _ANSWER_SECONDS_MAX)
        return consumer

    async def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._bootstrap_servers,
                request_timeout_ms=_ANSWER_SECONDS_MAX * 1000,
                auto_offset_reset="none",
                enable_auto_commit=False,
            )
            try:
                await asyncio.wait_for(consumer.start(), _ANSWER_SECONDS_MAX)
            except BaseException:
                with suppress(Exception):
                    await consumer.stop()
                raise
            self._consumer = consumer
        return self._consumer

    async def drop(self) -> None:
        """Closes the connection; the next question opens another."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with suppress(Exception):
                await asyncio.wait_for(consumer.stop(), 2)


def why_unreadable(offset: int, start: int, end: int, first_later: int | None) -> str | None:
    """Why reading cannot go on at a stored offset, or None: the log was cut, or the topic was made anew.

    `first_later` is the first offset with a timestamp that nothing applied has reached: in the log that the position
    belongs to, it does not stand before the position.
    """
    if offset < start:
        return "offset_below_log_start"
    if offset > end:
        return "offset_above_log_end"
    if first_later is not None and first_later < offset:
        return "log_made_anew"
    return None
