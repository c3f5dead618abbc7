"""How many commands one caller may send: a bucket for each, so that one that floods slows nobody but itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import ceil

_CALLER_COUNT_MAX = 10_000


class Budget:
    """Token buckets by caller, in this process: `burst` at once, `per_second` in the long run."""

    def __init__(self, per_second: float, burst: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def seconds_to_wait(self, caller: str) -> int:
        """Takes one command from the caller's bucket: 0 when there was one, else how long until there is."""
        now = self._clock()
        if len(self._buckets) > _CALLER_COUNT_MAX:
            # Who has been silent for long has a full bucket, and needs no entry.
            full = self._burst / self._per_second
            self._buckets = {name: bucket for name, bucket in self._buckets.items() if now - bucket[1] < full}
        left, at = self._buckets.get(caller, (float(self._burst), now))
        left = min(self._burst, left + (now - at) * self._per_second)
        taken = left >= 1
        self._buckets[caller] = (left - taken, now)
        return 0 if taken else ceil((1 - left) / self._per_second)
