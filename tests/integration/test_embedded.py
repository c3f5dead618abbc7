"""What a person sees when the start cannot succeed, and what a killed run leaves: one clear line, and nothing."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from common.embedded.stack import EmbeddedSettings, installed_services
from common.testing import PATIENCE_SECONDS

ESTUAIRE = Path(sys.executable).with_name("estuaire")


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty data directory that the database's account may enter."""
    made = Path(tempfile.mkdtemp(prefix="estuaire-home-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def environment(home: Path) -> dict[str, str]:
    """Free ports for everything."""
    settings = EmbeddedSettings.on_free_ports(home)
    ports = {
        f"ESTUAIRE_{name.upper()}": str(getattr(settings, name))
        for name in EmbeddedSettings.model_fields
        if name.endswith("_port")
    }
    ports |= {
        f"ESTUAIRE_{name.replace('-', '_').upper()}_PORT": str(port) for name, port in settings.service_ports.items()
    }
    return {**os.environ, "ESTUAIRE_HOME": str(home), **ports}


def up(env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ESTUAIRE, "up", "--no-demonstration"],
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


@pytest.mark.parametrize(
    "variable", ["ESTUAIRE_KAFKA_PORT", "ESTUAIRE_POSTGRES_PORT", "ESTUAIRE_PROJECTIONS_PORT", "ESTUAIRE_MAIL_PORT"]
)
def test_a_busy_port_gets_one_clear_line(home: Path, variable: str) -> None:
    """The port, who holds it, and the variable that moves it."""
    env = environment(home)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", int(env[variable])))
        holder.listen()
        done = up(env)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and f"port {env[variable]} is in use" in done.stderr and variable in done.stderr


def test_no_network_gets_one_clear_line(home: Path) -> None:
    """An empty Maven cache and no way out: what could not be fetched, and what to do."""
    env = environment(home) | {
        "M2_REPO": str(home / "m2"),
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
        "NO_PROXY": "",
        "no_proxy": "",
    }
    done = up(env)
    assert done.returncode == 1
    assert (
        "could not be downloaded" in done.stderr
        and "check the network" in done.stderr
        and "Traceback" not in done.stderr
    )


def test_a_home_that_cannot_be_used_gets_one_clear_line(home: Path) -> None:
    """A file where the folder should be."""
    blocked = home / "file"
    blocked.write_text("")
    done = up(environment(home) | {"ESTUAIRE_HOME": str(blocked / "data")})
    assert done.returncode == 1 and "ESTUAIRE_HOME" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_gets_one_clear_line(home: Path) -> None:
    """Before anything is written."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", home], check=False, capture_output=True)
    assert mounted.returncode == 0, mounted.stderr
    try:
        done = up(environment(home))
    finally:
        subprocess.run(["umount", home], check=True)
    assert done.returncode == 1 and "MB are free" in done.stderr and done.stderr.count("\n") == 1


def test_a_killed_run_leaves_nothing_and_the_next_one_starts_fast(home: Path) -> None:
    """kill -9 of `estuaire up`: every child dies with it; the next start keeps the data and stops cleanly on Ctrl-C."""
    env = environment(home)

    def started(until: str) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            # As a script's background job: its shell has such a job ignore SIGINT, and children inherit that.
            ["sh", "-c", 'trap "" INT; exec "$@"', "sh", ESTUAIRE, "up", "--no-demonstration"],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if until in line:
                return process, "".join(lines)
        raise AssertionError("".join(lines))

    # The last service is on its way, the first ones may be ready: there is something of every kind to leave behind.
    first, said = started(f"starting {installed_services()[-1].name}")
    assert "waiting for the schema registry" in said
    children = psutil.Process(first.pid).children(recursive=True)
    assert len(children) >= 4 + len(installed_services()) - 1
    first.kill()
    first.wait()
    _, alive = psutil.wait_procs(children, timeout=PATIENCE_SECONDS)
    assert [process.name() for process in alive] == []
    second, said = started("ready")
    assert "waiting for the schema registry" not in said, "it knew its schema ids"
    second.send_signal(signal.SIGINT)
    output, _ = second.communicate(timeout=PATIENCE_SECONDS)
    assert second.returncode == 0 and "stopped; the data stay in" in output
    assert "was killed" not in output, output
    assert up_is_down(env)


def up_is_down(env: dict[str, str]) -> bool:
    """Whether `estuaire status` finds nothing running."""
    done = subprocess.run([ESTUAIRE, "status"], env=env, capture_output=True, text=True, check=False)
    return done.returncode == 1 and "not running" in done.stdout
