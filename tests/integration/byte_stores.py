"""Where a text stands: every table of a service and of the projections, every topic, every log, the metrics."""

from __future__ import annotations

import asyncio

from common import contracts
from common.embedded.stack import Stack
from common.testing import Query, http_client
from tests.integration.referee import read_topic


async def found_in(stack: Stack, query: Query, mark: str, service: str) -> list[str]:
    """The stores of one service, and what came out of it, that hold a text."""
    found = []
    for name in (service, "projections"):
        for table in await query(name, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
            sql = f'SELECT count(*) AS n FROM "{table.tablename}" t WHERE t::text LIKE :text'
            if (await query(name, sql, text=f"%{mark}%"))[0].n:
                found.append(f"{name}.{table.tablename}")
    for topic in contracts.load(stack.schemas_dir).topics.values():
        if topic.owner == service and any(
            mark in str(r) for r in await asyncio.to_thread(read_topic, stack, topic.name)
        ):
            found.append(topic.name)
    for log in (stack.settings.home / "logs").glob("*"):
        if log.is_file() and mark in log.read_text(errors="replace"):
            found.append(log.name)
    async with http_client() as client:
        for spec in stack.services:
            if mark in (await client.get(f"http://127.0.0.1:{spec.port(stack.settings)}/metrics")).text:
                found.append(f"metrics of {spec.name}")
    return found
