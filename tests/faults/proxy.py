"""A TCP proxy with weather: delay, jitter, resets, half-open connections, slices, bandwidth; seeded, changed while it runs."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

_CHUNK_BYTES = 65_536
# What may wait in a delay line before the proxy stops reading.
_QUEUE_CHUNKS_MAX = 256


@dataclass
class Weather:
    """What happens to bytes on their way, in both directions; ratios are per chunk read."""

    delay_seconds: float = 0.0
    jitter_seconds: float = 0.0
    reset_ratio: float = 0.0
    slice_bytes: int = _CHUNK_BYTES
    bytes_per_second: float = 0.0
    # Reads no more from either side, and keeps the sockets: the peer looks alive and never answers.
    half_open: bool = False


@dataclass
class Counts:
    """What the proxy did: the proof that a fault fired."""

    connections: int = 0
    chunks: int = 0
    bytes: int = 0
    resets: int = 0
    held: int = 0
    longest_delay_seconds: float = 0.0


@dataclass
class Proxy:
    """Listens on one address and forwards to another, 127.0.0.1 both unless told."""

    port: int
    target_port: int
    seed: int = 0
    host: str = "127.0.0.1"
    target_host: str = "127.0.0.1"
    weather: Weather = field(default_factory=Weather)
    counts: Counts = field(default_factory=Counts)

    def __post_init__(self) -> None:
        self._draw = random.Random(self.seed)
        self._pairs: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Proxy]:
        """Listens while the block lasts; every connection ends with it."""
        server = await asyncio.start_server(self._accept, self.host, self.port, limit=_CHUNK_BYTES)
        try:
            yield self
        finally:
            server.close()
            for task in list(self._pairs):
                task.cancel()
            await asyncio.gather(*self._pairs, return_exceptions=True)
            await server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pairs.add(task)
        task.add_done_callback(self._pairs.discard)
        self.counts.connections += 1
        try:
            there, back = await asyncio.open_connection(self.target_host, self.target_port, limit=_CHUNK_BYTES)
        except OSError:
            _reset(writer)
            return
        ways = [asyncio.create_task(self._carry(*way)) for way in ((reader, back), (there, writer))]
        try:
            # Whichever side ends first ends both: a reset goes through as a reset.
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            rough = any(way.exception() is not None for way in done)
        except asyncio.CancelledError:
            rough = False
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        for side in (writer, back):
            _reset(side) if rough else side.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction: what was read at an instant is written after its delay, in order."""
        line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_QUEUE_CHUNKS_MAX)
        loop = asyncio.get_running_loop()

        async def write() -> None:
            while True:
                due, data = await line.get()
                await asyncio.sleep(max(0.0, due - loop.time()))
                while self.weather.half_open:
                    await asyncio.sleep(0.05)
                if not data:
                    return
                for start in range(0, len(data), self.weather.slice_bytes):
                    part = data[start : start + self.weather.slice_bytes]
                    writer.write(part)
                    await writer.drain()
                    if self.weather.bytes_per_second:
                        await asyncio.sleep(len(part) / self.weather.bytes_per_second)
                    elif self.weather.slice_bytes < _CHUNK_BYTES:
                        await asyncio.sleep(0)

        writing = asyncio.create_task(write())
        try:
            while True:
                while self.weather.half_open:
                    self.counts.held += 1
                    await asyncio.sleep(0.05)
                data = await reader.read(_CHUNK_BYTES)
                weather = self.weather
                if data and self._draw.random() < weather.reset_ratio:
                    self.counts.resets += 1
                    raise ConnectionResetError
                delay = max(0.0, weather.delay_seconds + self._draw.uniform(-1, 1) * weather.jitter_seconds)
                self.counts.chunks += 1
                self.counts.bytes += len(data)
                self.counts.longest_delay_seconds = max(self.counts.longest_delay_seconds, delay)
                await line.put((loop.time() + delay, data))
                if not data:
                    await writing
                    return
        finally:
            writing.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await writing


def _reset(writer: asyncio.StreamWriter) -> None:
    """Closes with RST instead of FIN."""
    raw: socket.socket | None = writer.get_extra_info("socket")
    if raw is not None:
        with suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _main(port: int, target_host: str, target_port: int) -> None:
    async with Proxy(port, target_port, target_host=target_host).running():
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
