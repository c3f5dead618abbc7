"""What a test's services are forked from: each is a process of its own, as if it had been executed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from common import failpoints
from common.embedded.forks import Forked, Forks
from common.embedded.processes import Child, EmbeddedError

_HERE = "tests.integration.test_forks"


def tell() -> None:
    """In the child: what it is."""
    print("told by a child", file=sys.stderr)
    told = {
        "argv": sys.argv,
        "environment": dict(os.environ),
        "armed": failpoints.ARMED,
        "random": random.random(),
        "uuid": str(uuid4()),
        "files": [os.readlink(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")[:-1]],
        "session": os.getsid(0),
        "signals": [signal.getsignal(number) is signal.SIG_DFL for number in (signal.SIGCHLD, signal.SIGTERM)],
    }
    print(json.dumps(told))
    sys.exit(3)


def sleep() -> None:
    """In the child: waits for its end."""
    time.sleep(300)


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """The server, with what a service imports."""
    started = Forks(tmp_path_factory.mktemp("forks"), ["common.app", _HERE])
    yield started
    started.close()


def child(forks: Forks, home: Path, function: str, **environment: str) -> Child:
    """A started child of the server."""
    made = Child(function, [f"{_HERE}:{function}"], home=home, env=environment, forks=forks)
    made.start()
    return made


def test_a_forked_process_has_everything_of_its_own(forks: Forks, tmp_path: Path) -> None:
    """Environment, failpoints read from it, session, random numbers, log; no file or handler of the server's."""
    said = []
    for number in (1, 2):
        one = child(forks, tmp_path, "tell", FAILPOINT="relay.after_send:exit:1", NUMBER=str(number))
        assert isinstance(one.process, Forked) and one.process.wait(30) == 3
        told, _, text = one.log_path.read_text().partition("\n")
        said.append(json.loads(text))
        assert told == "told by a child"
        assert said[-1]["environment"] == {"FAILPOINT": "relay.after_send:exit:1", "NUMBER": str(number)}
        assert said[-1]["armed"] and said[-1]["session"] == one.process.pid
        assert said[-1]["argv"] == [f"{_HERE}:tell"] and all(said[-1]["signals"])
        assert said[-1]["files"] == ["/dev/null", str(one.log_path), str(one.log_path)]
    assert said[0]["random"] != said[1]["random"] and said[0]["uuid"] != said[1]["uuid"]


def test_a_wrong_setting_ends_a_forked_process_as_it_ends_any(forks: Forks, tmp_path: Path) -> None:
    """The failpoint is read anew, and EX_CONFIG arrives; the server goes on."""
    one = child(forks, tmp_path, "tell", FAILPOINT="relay.nowhere:exit:1")
    assert one.process is not None and one.process.wait(30) == 78
    assert "FAILPOINT" in one.last_log_line()
    assert child(forks, tmp_path, "tell").process is not None


def test_each_end_is_told_to_whoever_waits(forks: Forks, tmp_path: Path) -> None:
    """SIGTERM and kill -9 arrive at one of three; several threads that wait get the same status, the others run on."""
    asked, killed, kept = (child(forks, tmp_path / name, "sleep") for name in "abc")
    statuses: list[int] = []

    def wait() -> None:
        assert killed.process is not None
        statuses.append(killed.process.wait(30))

    waiting = [threading.Thread(target=wait) for _ in range(4)]
    for thread in waiting:
        thread.start()
    killed.kill()
    for thread in waiting:
        thread.join()
    assert statuses == [-signal.SIGKILL] * 4 and not killed.running
    asked.stop()
    assert asked.process is not None and asked.process.returncode == -signal.SIGTERM
    assert kept.running and kept.process is not None
    with pytest.raises(subprocess.TimeoutExpired):
        kept.process.wait(0.01)
    kept.start()  # what a former start left is ended first
    assert kept.running
    kept.kill()


def test_what_is_forked_dies_with_the_server_and_is_known_to_be_dead(tmp_path: Path) -> None:
    """A killed test run leaves nothing: its server dies with it, and with that its services."""
    forks = Forks(tmp_path, [])
    one = child(forks, tmp_path, "sleep")
    assert one.process is not None
    process = psutil.Process(one.process.pid)
    psutil.Process(process.ppid()).kill()
    assert one.process.wait(30) == -signal.SIGKILL
    process.wait(30)
    with pytest.raises(EmbeddedError, match="has stopped"):
        child(forks, tmp_path, "sleep")
    forks.close()


def test_a_server_with_threads_forks_nothing(tmp_path: Path) -> None:
    """A module that starts a thread when it is imported is named by the log, not by a child that hangs one day."""
    (tmp_path / "threaded.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=[300], daemon=True).start()"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        forks = Forks(tmp_path, ["threaded"])
    finally:
        sys.path.remove(str(tmp_path))
    with pytest.raises(EmbeddedError, match="has stopped"):
        child(forks, tmp_path, "sleep")
    forks.close()
    assert "2 threads" in (tmp_path / "logs" / "forks.log").read_text()
