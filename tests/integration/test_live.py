"""The hub of a live page on a real database: whatever changed is shown, or the page is read anew."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest

from common.runtime import Runtime
from common.testing import FreshRuntime
from projections import seat_board
from projections.live import Hub, LiveModel
from projections.seat_board import PROGRAMMES_TOPIC, STRUCTURES_TOPIC

_PROGRAMMES = """
INSERT INTO board_programme (programme_id, structure_id, title, rome_codes, age_min, age_max, level_min, boarding,
    wheelchair_accessible, open, total_count, taken_count, admitted_count, held_count, free_count, excess_count, last_record,
    last_occurred_at, free_change, aggregate_version, log_topic, log_partition, log_offset)
SELECT gen_random_uuid(), :structure_id, 'P' || n, '{}', 16, 25, 'NO_DIPLOMA', false, false, true, 1, 0, 0, 0, 1, 0,
    'ProgrammeDescribed', clock_timestamp(), 0, 1, :topic, 0, n - 1 FROM generate_series(1, :count) n
"""


async def change(runtime: Runtime, count: int) -> None:
    """One batch of the consumer's that changes so many programmes."""
    async with runtime.database.transaction() as tx:
        structure_id = uuid4()
        await tx.execute(
            """INSERT INTO board_structure (structure_id, structure_name, kind, commune_code, fictitious, log_topic, log_partition,
                   log_offset) VALUES (:id, 'S', 'CFA', '76540', true, :topic, 0, 0)""",
            id=structure_id,
            topic=STRUCTURES_TOPIC,
        )
        await tx.execute(_PROGRAMMES, structure_id=structure_id, topic=PROGRAMMES_TOPIC, count=count)
        await tx.execute(
            "UPDATE consumer_position SET next_offset = :count WHERE topic = :topic",
            count=count,
            topic=PROGRAMMES_TOPIC,
        )


@pytest.mark.parametrize(("count", "reloads"), [(500, False), (501, True)])
async def test_no_change_is_dropped_however_many_come_at_once(
    fresh_runtime: FreshRuntime, count: int, reloads: bool
) -> None:
    """Each row that changed is sent; beyond what a page takes, it is told to read everything anew."""
    async with fresh_runtime("projections") as runtime:
        async with runtime.database.transaction() as tx:
            for topic in (STRUCTURES_TOPIC, PROGRAMMES_TOPIC):
                await tx.execute(
                    """INSERT INTO consumer_position (topic, partition, next_offset, complete_at)
                       VALUES (:topic, 0, 0, clock_timestamp())""",
                    topic=topic,
                )

        def render(row: Any, _: Any) -> dict[str, Any]:
            return {"title": row["title"]}

        hub = Hub(runtime.database, LiveModel(seat_board.read_as_of, seat_board.read_changed, render))
        poll = asyncio.create_task(hub.run())
        events = hub.events(None)
        shown: set[str] = set()
        reloaded = False
        try:
            async with asyncio.timeout(120):
                first = [await anext(events), await anext(events)]
                assert "event: board" in first[1]
                await change(runtime, count)
                while len(shown) < count and not reloaded:
                    event = await anext(events)
                    reloaded = "event: reload" in event
                    if "event: board" in event:
                        shown |= {one["title"] for one in json.loads(event.split("data: ", 1)[1])["changed"]}
        finally:
            poll.cancel()
        assert reloaded == reloads
