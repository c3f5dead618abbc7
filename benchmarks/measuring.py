"""What the benchmarks of the running system have in common: a stack of their own, calls that are timed, and how both are told."""

from __future__ import annotations

import asyncio
import shutil
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from common.embedded.stack import EmbeddedSettings, Stack
from common.services import ServiceSpec

PARALLEL = 4


@contextmanager
def started(services: Sequence[ServiceSpec] | None = None) -> Iterator[Stack]:
    """A stack on free ports, thrown away at the end; of all services, if none are named."""
    home = Path(tempfile.mkdtemp(prefix="estuaire-bench-"))
    home.chmod(0o755)  # PostgreSQL runs under an account of its own when root runs the benchmark
    stack = Stack(EmbeddedSettings.on_free_ports(home), services=services)
    stack.start()
    try:
        yield stack
    finally:
        stack.stop()
        shutil.rmtree(home, ignore_errors=True)


async def timed(count: int, one: Callable[[int], Awaitable[Any]]) -> list[float]:
    """Seconds of each of so many calls, a few at a time."""
    took: list[float] = []
    slots = asyncio.Semaphore(PARALLEL)

    async def call(number: int) -> None:
        async with slots:
            began = time.perf_counter()
            await one(number)
            took.append(time.perf_counter() - began)

    await asyncio.gather(*(call(number) for number in range(count)))
    return took


def quantiles(seconds: list[float]) -> tuple[float, float]:
    """Median and 99th percentile, in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100)
    return 1000 * cuts[49], 1000 * cuts[98]


def print_ratio(name: str, http: list[float], sql: list[float]) -> None:
    """Prints calls over HTTP and their bare SQL, and the ratio."""
    (p50, p99), (bare50, bare99) = quantiles(http), quantiles(sql)
    print(
        f"{name}, {len(http)} times, {PARALLEL} at a time: p50 {p50:.1f} ms, p99 {p99:.1f} ms; bare SQL p50 {bare50:.1f} ms, "
        f"p99 {bare99:.1f} ms; ratio {p50 / bare50:.1f} (p50), {p99 / bare99:.1f} (p99)"
    )


def resident_megabytes(stack: Stack, name: str) -> float:
    """Resident memory of one of the stack's processes."""
    process = stack.children[name].process
    assert process is not None
    return float(psutil.Process(process.pid).memory_info().rss / 1e6)
