"""Decodes records in a memory-capped child process, so that bytes which kill an interpreter kill only the child.

A 5 kB datum of a recursive schema segfaults Python: no `except` sees it. After every start the first batch of each
partition passes here record by record; there is no counter of crashes, so deploys and kills blame no record.
"""

from __future__ import annotations

import asyncio
import io
import json
import resource
import struct
import sys
from contextlib import suppress
from typing import Any

_ANSWER_SECONDS_MAX = 20
_LENGTHS = struct.Struct("!II")


class DecodeGuard:
    """Asks the child about one record at a time; starts it when needed, `close` ends it."""

    def __init__(self, memory_bytes_max: int) -> None:
        self._memory_bytes_max = memory_bytes_max
        self._child: asyncio.subprocess.Process | None = None

    async def survives(self, schema: Any, value: bytes) -> bool:
        """Whether a process outlives decoding `value` (a whole record, header included) with the writer's schema."""
        child = self._child
        if child is None or child.returncode is not None:
            child = self._child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "common.decode_guard",
                str(self._memory_bytes_max),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
        assert child.stdin is not None
        assert child.stdout is not None
        text = json.dumps(schema).encode()
        try:
            child.stdin.write(_LENGTHS.pack(len(text), len(value)) + text + value)
            await child.stdin.drain()
            await asyncio.wait_for(child.stdout.readexactly(1), _ANSWER_SECONDS_MAX)
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            await self.close()
            return False
        return True

    async def close(self) -> None:
        """Ends the child."""
        child, self._child = self._child, None
        if child is not None:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()


def _child() -> None:
    from fastavro import parse_schema, schemaless_reader

    limit = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    parsed: dict[bytes, Any] = {}
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while header := source.read(_LENGTHS.size):
        schema_length, value_length = _LENGTHS.unpack(header)
        text, value = source.read(schema_length), source.read(value_length)
        try:
            if text not in parsed:
                parsed[text] = parse_schema(json.loads(text))
            schemaless_reader(io.BytesIO(value[5:]), parsed[text], None)
        except MemoryError:
            sys.exit(1)
        except Exception:  # noqa: S110 - an error that Python can raise is the caller's to judge, in its own process
            pass
        sink.write(b".")
        sink.flush()


if __name__ == "__main__":
    _child()
