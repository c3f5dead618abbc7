"""Forks services from one process that has imported them all; for tests, which start services some hundred times.

Imports are most of what a start costs. What is forked is a process as any other: with a pid, a session, an
environment and a log of its own, ended by kill -9, and dead with its parent. It runs the service's own `main`.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from common import failpoints
from common.embedded.processes import EmbeddedError, die_with_parent, name_process

# What a service imports only when it starts to serve.
_LATER = (
    "sqlalchemy.dialects.postgresql.asyncpg",
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
)
_REQUEST_BYTES_MAX = 200_000
# A pid, and later an exit status: each is written to its pipe in one piece.
_NUMBER = struct.Struct("i")


class Forked:
    """A forked process, as far as `subprocess.Popen` would show it; its parent, the server, tells how it ended."""

    def __init__(self, entry: str, reports: int) -> None:
        self._entry, self._reports = entry, reports
        self._lock = threading.Lock()
        self.returncode: int | None = None
        first = os.read(reports, _NUMBER.size)
        if not first:
            raise EmbeddedError(f"{entry} was not forked: the server that forks has stopped (log: logs/forks.log)")
        self.pid: int = _NUMBER.unpack(first)[0]

    def __del__(self) -> None:
        os.close(self._reports)

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """Returns when the process has ended; raises `subprocess.TimeoutExpired`."""
        status = self._ended(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(self._entry, timeout or 0)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        """Sends a signal to the process, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def _ended(self, seconds: float | None) -> int | None:
        if self.returncode is None:
            select.select([self._reports], [], [], seconds)
        with self._lock:
            # Looked at again: of several threads that waited, one reads the report.
            if self.returncode is None and select.select([self._reports], [], [], 0)[0]:
                last = os.read(self._reports, _NUMBER.size)
                # A server that is gone took its children with it.
                self.returncode = _NUMBER.unpack(last)[0] if last else -signal.SIGKILL
            return self.returncode


class Forks:
    """The server that forks, seen from the process that asks it to; it ends with `close`, or with that process."""

    def __init__(self, home: Path, modules: Sequence[str]) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        (home / "logs").mkdir(exist_ok=True)
        with theirs, (home / "logs" / "forks.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "common.embedded.forks", str(theirs.fileno()), *modules],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # It imports what we could. Of OpenBLAS, which numpy brings, no thread may be there when it forks.
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"},
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - only a prctl call
            )

    def start(self, entry: str, *, env: Mapping[str, str], log: IO[bytes], arguments: Sequence[str] = ()) -> Forked:
        """Forks a process that calls `entry`, written "module:function", with the command line's `arguments`."""
        reports, report = os.pipe()
        request = json.dumps({"entry": entry, "env": dict(env), "arguments": list(arguments)}).encode()
        # A server that is gone closes `report` as well, and then nothing can be read.
        with suppress(BrokenPipeError, ConnectionResetError):
            socket.send_fds(self._control, [request], [log.fileno(), report])
        os.close(report)
        return Forked(entry, reports)

    def close(self) -> None:
        """Ends the server; what it forked is ended before."""
        self._control.close()
        self._process.wait(10)


def _serve(control: socket.socket) -> Callable[[], Any]:
    """Forks on demand and tells each process's end until nobody asks any longer. Returns in a child: what to run there."""
    reports: dict[int, int] = {}
    woken, waker = socket.socketpair()
    waker.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    parent = os.getpid()
    # The child leaves this block too, and so closes what is the server's.
    with control, woken, waker:
        while True:
            for asked in select.select([control, woken], [], [])[0]:
                if asked is woken:
                    woken.recv(4096)
                    _report(reports)
                    continue
                request, fds, _, _ = socket.recv_fds(control, _REQUEST_BYTES_MAX, 2)
                if not request:
                    sys.exit()
                log, report = fds
                pid = os.fork()
                if not pid:
                    return _become(json.loads(request), parent, log, report, list(reports.values()))
                os.close(log)
                reports[pid] = report


def _report(reports: dict[int, int]) -> None:
    """Tells of each child that has ended."""
    while reports:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        report = reports.pop(pid)
        with suppress(BrokenPipeError):  # nobody waits for it any longer
            os.write(report, _NUMBER.pack(os.waitstatus_to_exitcode(status)))
        os.close(report)


def _become(request: dict[str, Any], server: int, log: int, report: int, others: Sequence[int]) -> Callable[[], Any]:
    """Turns a fresh fork into the process that was asked for."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    die_with_parent()
    if os.getppid() != server:
        os._exit(1)  # it died before we could ask to die with it
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.clear()
    os.environ.update(request["env"])
    module, _, function = request["entry"].partition(":")
    name_process(module)
    sys.argv = [request["entry"], *request["arguments"]]
    # From here on a signal reaches the process that was asked for.
    os.write(report, _NUMBER.pack(os.getpid()))
    for number in (log, report, *others):
        os.close(number)
    # The one module of ours that reads the environment when it is imported.
    importlib.reload(failpoints)
    run: Callable[[], Any] = getattr(importlib.import_module(module), function)
    return run


def _main() -> None:
    for module in (*sys.argv[2:], *_LATER):
        importlib.import_module(module)
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        sys.exit(f"{threads} threads after the imports: a fork would have one of them, and the locks of all")
    # What was imported stays for ever: a collection in a child would only copy its pages.
    gc.collect()
    gc.freeze()
    run = _serve(socket.socket(fileno=int(sys.argv[1])))
    sys.exit(run())


if __name__ == "__main__":
    _main()
