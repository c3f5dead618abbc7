"""Starts and stops child processes that cannot outlive us: the kernel kills them when their parent dies."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from common.embedded.forks import Forked, Forks

_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15
_libc = ctypes.CDLL(None, use_errno=True)
# A start that takes seconds on an idle machine took minutes on a core that others used.
START_SECONDS_MAX = 600


class EmbeddedError(Exception):
    """A start that failed, worded for the person at the terminal: what happened and what to do, on one line."""


def die_with_parent() -> None:
    """Asks the kernel to kill this process when its parent dies."""
    # subprocess runs this after setuid, which would otherwise clear the request.
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def name_process(name: str) -> None:
    """What `top` shows for this process; the kernel keeps fifteen characters."""
    _libc.prctl(_PR_SET_NAME, name.encode())


class Child:
    """One supervised process with its log file and its pid file.

    The pid file lets a later run end what a killed run left, in the rare case that the kernel's signal was lost
    (a parent killed between fork and exec). With `forks` the command is one entry, "module:function", that they call.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        home: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: str | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        forks: Forks | None = None,
    ) -> None:
        self.name = name
        self.command = [str(part) for part in command]
        self.log_path = home / "logs" / f"{name}.log"
        self._pid_path = home / "run" / f"{name}.pid"
        self._env = dict(env) if env is not None else None
        self._cwd = cwd
        self._user = user
        self._stop_signal = stop_signal
        self._forks = forks
        self.process: subprocess.Popen[bytes] | Forked | None = None

    def start(self) -> None:
        """Starts the process; its output goes to `logs/<name>.log`, the previous run's to `logs/<name>.log.1`."""
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        self._pid_path.parent.mkdir(parents=True, exist_ok=True)
        self.end_leftover()
        if self.log_path.exists():
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        with self.log_path.open("wb") as log:
            self.process = self._executed(log) if self._forks is None else self._forked(self._forks, log)
        with suppress(psutil.NoSuchProcess):  # a forked one may have ended, and is nobody's zombie any longer
            self._pid_path.write_text(f"{self.process.pid} {psutil.Process(self.process.pid).create_time()}")

    def _executed(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=self._env,
            cwd=self._cwd,
            user=self._user,
            extra_groups=[] if self._user else None,
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - only a prctl call
        )

    def _forked(self, forks: Forks, log: IO[bytes]) -> Forked:
        (entry,) = self.command
        return forks.start(entry, env=os.environ if self._env is None else self._env, log=log)

    def end_leftover(self) -> None:
        """Kills the process that a former run recorded, if that very process still lives."""
        with suppress(OSError, ValueError, psutil.Error):
            pid, created = self._pid_path.read_text().split()
            process = psutil.Process(int(pid))
            if abs(process.create_time() - float(created)) < 1:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self.process is not None and self.process.poll() is None

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Blocks until `ready()`; an early exit raises at once with the last line of the log, standing still after ten minutes."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while not ready():
            if not self.running:
                raise EmbeddedError(
                    f"{self.name} stopped while starting: {self.last_log_line()} (log: {self.log_path})"
                )
            if time.monotonic() > deadline:
                raise EmbeddedError(f"{self.name} did not become ready in {START_SECONDS_MAX} s (log: {self.log_path})")
            time.sleep(0.1)

    def last_log_line(self) -> str:
        """The most telling line of the log: the first that names an error, else the last."""
        lines = [line for line in self.log_path.read_text(errors="replace").splitlines() if line.strip()]
        telling = [line for line in lines if any(w in line for w in ("FATAL", "ERROR", "Error", "No space left"))]
        return (telling or lines or ["(its log is empty)"])[-1].strip()[:300]

    def kill(self) -> None:
        """kill -9, for the tests that break things."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)

    def stop(self, timeout_seconds: float = 60) -> None:
        """Asks the process to stop and waits; kills it after the timeout."""
        if self.running and self.process is not None:
            self.process.send_signal(self._stop_signal)
            try:
                self.process.wait(timeout_seconds)
            except subprocess.TimeoutExpired:
                print(
                    f"{self.name} did not stop in {timeout_seconds:.0f} s and was killed; its data are safe (log: {self.log_path})",
                    file=sys.stderr,
                )
                self.kill()
        self._pid_path.unlink(missing_ok=True)


def port_is_open(port: int) -> bool:
    """Whether something accepts connections on this loopback port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def check_port_is_free(port: int, variable: str) -> None:
    """Raises one clear line when the port is taken, naming the variable that moves it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            holder = _holder_of(port)
            raise EmbeddedError(
                f"port {port} is in use{holder}; stop that program or set {variable} to a free port"
            ) from None


def _holder_of(port: int) -> str:
    with suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return ""


def free_port() -> int:
    """A loopback port that is free now, and that no other run of the tests is given before this process ends.

    Below the range from which the kernel takes ports for outgoing connections: one of those could take it meanwhile.
    """
    for port in random.sample(range(20_000, 32_000), 200):
        reservation = socket.socket(socket.AF_UNIX)
        with socket.socket() as probe, suppress(OSError):
            reservation.bind(f"\0estuaire-port-{port}")  # a name without a file: it goes with its process
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                _reservations.append(reservation)
                return port
        reservation.close()
    raise EmbeddedError("no free port between 20000 and 32000")


_reservations: list[socket.socket] = []
