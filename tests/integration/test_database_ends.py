"""A session that PostgreSQL has ended is news of the database, whatever the driver makes of it, and no failure of ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from sqlalchemy.engine import make_url

from common.failures import is_unavailable
from common.testing import FreshRuntime
from common.transaction import Database


@asynccontextmanager
async def last_words(host: str, port: int) -> AsyncIterator[tuple[int, asyncio.Event]]:
    """A way to PostgreSQL on which its last words arrive and the end of the connection does not; its port, and when it has ended."""
    ended = asyncio.Event()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(host, port)
        asking = asyncio.create_task(carry(reader, to_server))
        await carry(from_server, writer)
        ended.set()
        await asking
        to_server.close()

    async with await asyncio.start_server(connected, "127.0.0.1") as server:
        yield server.sockets[0].getsockname()[1], ended


async def test_the_last_words_of_a_session(fresh_runtime: FreshRuntime) -> None:
    """Who asks between the words and the end is told to come back, and the next one gets a connection that lives."""
    async with fresh_runtime("remediation_seats") as runtime:
        url = make_url(runtime.settings.database_url)
        assert url.host is not None and url.port is not None
        async with last_words(url.host, url.port) as (port, ended):
            through = url.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)
            database = Database(through, runtime.database.outlet, pool_max=1)
            async with database.transaction() as tx:
                row = await tx.fetch_one("SELECT pg_backend_pid() AS pid")
            assert row is not None
            async with runtime.database.transaction() as tx:
                await tx.fetch_one("SELECT pg_terminate_backend(:pid)", pid=row.pid)
            await ended.wait()
            await asyncio.sleep(0.1)  # the words are read
            with pytest.raises(Exception, match="another operation") as caught:
                async with database.transaction() as tx:
                    await tx.fetch_one("SELECT 1")
            assert is_unavailable(caught.value), repr(caught.value)
            async with database.transaction() as tx:
                assert await tx.fetch_one("SELECT 1") is not None
            await database.engine.dispose()
