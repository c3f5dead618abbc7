"""The service in the running system."""

from __future__ import annotations

import asyncio

import httpx

from common.embedded.stack import Stack
from common.testing import url_of

NAME = "{{ service.name }}"


async def test_it_is_ready_and_on_the_pipeline_page(stack: Stack) -> None:
    """It answers, and what it says of itself reaches the page of all services."""
    async with httpx.AsyncClient(timeout=30) as client:
        assert (await client.get(f"{url_of(stack, NAME)}/readyz")).status_code == 200
        page = f"{url_of(stack, 'projections')}/pipeline"
        async with asyncio.timeout(120):
            while NAME not in (await client.get(page)).text:
                await asyncio.sleep(0.5)
