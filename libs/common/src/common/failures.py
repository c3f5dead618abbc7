"""The ways in which handling a request or a message can go wrong, and which of them may be tried again.

Verdicts: accepted (no exception), refused (`Refusal`, an answer), `Malformed` (never succeeds), `Unavailable`
(tried again, order kept). Any other exception is a bug: three tries, then treated as Malformed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import exc
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

T = TypeVar("T")
_log = logging.getLogger(__name__)

# PostgreSQL says these to a transaction that it has rolled back whole: running it again is always right.
_ROLLED_BACK = {"40001", "40P01", "55P03"}
# Shutdown, too many connections, out of memory or disk, server starting: 53xxx, 57xxx, and 08xxx for connections;
# 3D000 and 42P01 for a database or a table that is not there (yet, or while it is restored).
_AWAY_CLASSES = ("08", "53", "57", "3D000", "42P01")
_ATTEMPTS_MAX, _ATTEMPT_DELAY_SECONDS_MAX = 5, 0.5


@dataclass(frozen=True)
class Refusal:
    """The rule said no: an answer, not an error.

    `reason` is a closed snake_case code that callers may branch on, `detail` a French sentence that says what to do,
    `facts` what the rule looked at.
    """

    reason: str
    detail: str
    facts: dict[str, Any] = field(default_factory=dict)


class Malformed(Exception):
    """A record that can never be handled; `reason` is a closed snake_case code."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class Unavailable(Exception):
    """A part that we depend on is away; the same attempt may succeed later.

    `again` is where a person tries again, when it is not the same address.
    """

    again: str | None = None


class Moved(Unavailable):
    """What a transaction locked is not where it was seen before the lock.

    Locks are taken once, in one order. Whoever would need another one now, which may come earlier in that order, gives
    the transaction up instead: waiting for it while holding the others is how deadlocks are made. The edge runs it again.
    """


def sqlstate(error: BaseException) -> str:
    """The SQLSTATE of a database error, or an empty text."""
    return str(getattr(getattr(error, "orig", error), "sqlstate", None) or "")


def is_unavailable(error: BaseException) -> bool:
    """Whether trying again later may succeed, as far as the error tells."""
    if isinstance(error, Unavailable | ConnectionError | asyncio.TimeoutError | exc.TimeoutError | exc.InterfaceError):
        return True
    if isinstance(error, exc.DBAPIError):
        state = sqlstate(error)
        return error.connection_invalidated or state in _ROLLED_BACK or state.startswith(_AWAY_CLASSES)
    return isinstance(error, OSError)


def was_rolled_back(error: BaseException) -> bool:
    """Whether the transaction was given up for the sake of another: by the database (deadlock, lock timeout), or by us (`Moved`)."""
    return isinstance(error, Moved) or (isinstance(error, exc.DBAPIError) and sqlstate(error) in _ROLLED_BACK)


async def forever(work: Callable[[], Awaitable[Any]], *, seconds: float, woken: asyncio.Event | None = None) -> None:
    """Runs `work` every so many seconds until cancelled, at once again while it returns True or when `woken`; a failure is logged.

    A part that is away is no failure: the next round may find it.
    """
    woken = woken or asyncio.Event()
    while True:
        woken.clear()
        try:
            more = await work()
        except Exception as error:
            more = False
            if not is_unavailable(error):
                _log.exception("%s failed; it goes on", getattr(work, "__qualname__", work))
        with suppress(TimeoutError):
            async with asyncio.timeout(0 if more is True else seconds):
                await woken.wait()


async def ended(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancels tasks until every one has ended.

    Once is not enough: Python 3.11's `wait_for` swallows a cancellation that comes in the instant of its result (gh-86296),
    and whoever works for ever goes on. The sender of mails did, by the SMTP library, at one of some dozens of stops under load.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=1)


async def retried(
    attempt: Callable[[], Awaitable[T]],
    *,
    when: Callable[[BaseException], bool],
    attempts_max: int,
    delay_seconds_max: float,
) -> T:
    """Runs `attempt` again while `when(error)`, with jittered exponential delays; the last error is raised."""
    async for trial in AsyncRetrying(
        retry=retry_if_exception(when),
        stop=stop_after_attempt(attempts_max),
        wait=wait_random_exponential(multiplier=0.05, max=delay_seconds_max),
        reraise=True,
    ):
        with trial:
            return await attempt()
    raise AssertionError("tenacity re-raises the last error")  # pragma: no cover


async def until_it_stands(attempt: Callable[[], Awaitable[T]]) -> T:
    """Runs what is one transaction; again, a few times, while it is given up for the sake of another."""
    return await retried(
        attempt, when=was_rolled_back, attempts_max=_ATTEMPTS_MAX, delay_seconds_max=_ATTEMPT_DELAY_SECONDS_MAX
    )
