"""Named points at which the fault suite makes a process die, stop, fail or wait; unset, each costs one test of a bool.

`FAILPOINT=relay.after_send:exit:3` makes the process exit when it gets there for the third time; `3+` means from the
third time on, `delay=0.5` waits half a second; several are separated by commas.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import dataclass
from typing import NoReturn

_EXIT_CONFIGURATION = 78  # EX_CONFIG of sysexits.h

NAMES = frozenset(
    {
        "relay.after_select",
        "relay.after_send",
        "relay.after_ack",
        "relay.before_mark",
        "relay.after_mark",
        "consumer.before_decode",
        "consumer.before_tx",
        "consumer.before_commit",
        "consumer.after_commit",
        "consumer.after_offset",
        "rebuild.after_lot",
        "lake.after_files",
        "lake.before_commit",
        "lake.after_commit",
        "lake.after_manifest",
        "lake.after_table",
        "lake.after_merge",
        "lake.after_merge_commit",
        "http.before_commit",
        "http.after_commit",
    }
)
EXIT_STATUS = 137


class FailpointError(Exception):
    """Raised by the action `raise`: an error that no code expects."""


@dataclass
class _Failpoint:
    action: str
    delay_seconds: float
    nth: int
    onwards: bool
    reached_count: int = 0


def _parse(text: str) -> dict[str, _Failpoint]:
    found = {}
    for item in filter(None, text.split(",")):
        try:
            name, action, nth = item.split(":")
            action, _, seconds = action.partition("=")
            delay_seconds = float(seconds) if action == "delay" else 0.0
            found[name] = _Failpoint(action, delay_seconds, int(nth.removesuffix("+")), nth.endswith("+"))
        except ValueError:
            _stop(f"FAILPOINT: {item!r} is not name:action:nth")
        if name not in NAMES:
            _stop(f"FAILPOINT: {name!r} is not one of {', '.join(sorted(NAMES))}")
        if action not in ("exit", "stop", "raise", "delay"):
            _stop(f"FAILPOINT: {action!r} is not one of exit, stop, raise, delay=<seconds>")
    return found


def _stop(problem: str) -> NoReturn:
    print(f"settings: {problem}", file=sys.stderr)
    sys.exit(_EXIT_CONFIGURATION)


_set = _parse(os.environ.get("FAILPOINT", ""))
ARMED = bool(_set)


def check(*, development: bool) -> None:
    """Stops the start of a production process that inherited a FAILPOINT."""
    if ARMED and not development:
        _stop("FAILPOINT is for the fault suite; unset it, or set ESTUAIRE_DEVELOPMENT=true")


async def reach(name: str) -> None:
    """Counts the arrival at a failpoint and does what was asked; callers test `ARMED` first."""
    point = _set.get(name)
    if point is None:
        return
    point.reached_count += 1
    if point.reached_count < point.nth or (point.reached_count > point.nth and not point.onwards):
        return
    # The rig takes this line as proof that the fault fired.
    os.write(2, f"failpoint {name} {point.action} {point.reached_count}\n".encode())
    if point.action == "exit":
        os._exit(EXIT_STATUS)
    elif point.action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif point.action == "raise":
        raise FailpointError(name)
    else:
        await asyncio.sleep(point.delay_seconds)
