"""The rig: real parts and services as processes that a cell may kill, stop, cut and starve; a fresh world per cell."""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from common import contracts, migrations
from common.embedded import parts
from common.embedded.forks import Forks
from common.embedded.kafka import Kafka
from common.embedded.processes import Child, free_port
from common.embedded.stack import EmbeddedSettings, Stack
from common.failpoints import EXIT_STATUS
from common.services import ServiceSpec
from common.testing import estuaire
from tests.faults import ledger
from tests.faults.history import History
from tests.faults.workload import Commands, Workload

REPOSITORY = Path(__file__).parents[2]
SEATS, STAGES, PLATFORMS, EVENTS = "remediation-seats", "stage-matching", "platform-scheduling", "events"
CAFES, OBSERVATORY = "parents-cafes", "dropout-observatory"
PROJECTIONS, LEDGER = "projections", "ledger"
_SERVICES = (SEATS, STAGES, PLATFORMS, EVENTS, CAFES, OBSERVATORY, PROJECTIONS, LEDGER)
PROGRAMMES, STRUCTURES = "remediation-seats.programmes.v1", "remediation-seats.structures.v1"
# The topics that the projections fold.
FACTS = [
    PROGRAMMES,
    STRUCTURES,
    *(f"stage-matching.{name}.v1" for name in ("hosts", "offers", "requests")),
    "platform-scheduling.platforms.v1",
    "events.events.v1",
    "events.sessions.v1",
    "parents-cafes.cafes.v1",
]
REQUESTS_OF_EVENTS, ANSWERS_TO_EVENTS = "events.platform-requests.v1", "platform-scheduling.requests.v1"
# Which case of the observatory something is for.
LINKS = [f"{name}.case-links.v1" for name in (SEATS, STAGES, PLATFORMS, EVENTS)]
CONSUMERS = {
    PROJECTIONS: [
        *FACTS,
        "remediation-seats.pipeline.v1",
        "stage-matching.pipeline.v1",
        "platform-scheduling.pipeline.v1",
        "events.pipeline.v1",
        "parents-cafes.pipeline.v1",
        "dropout-observatory.pipeline.v1",
        "projections.pipeline.v1",
    ],
    PLATFORMS: [REQUESTS_OF_EVENTS],
    EVENTS: [ANSWERS_TO_EVENTS],
    OBSERVATORY: [
        PROGRAMMES,
        "stage-matching.offers.v1",
        "platform-scheduling.platforms.v1",
        "events.sessions.v1",
        *LINKS,
    ],
    LEDGER: [PROGRAMMES],
}
# Of these a world has what a cell says that it runs: the rig plays the events service, or nobody is there.
_WHERE_SAID = (EVENTS, OBSERVATORY)
# What a connection says that was kept while its database went away.
_GONE = (
    OSError,
    asyncpg.InterfaceError,
    # Its last words have come, and its end has not yet.
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)
_NEVER = ("", float("inf"), 0.0)
RTO_SECONDS, RTO_AFTER_LONG_SECONDS = 10.0, 60.0
# The short tier shares its machine with whoever works there: it judges that everything recovers, and prints how fast.
SHORT_TIER_SECONDS = 150.0

# Where a service in a network namespace of its own finds the broker.
REMOTE_KAFKA = "10.77.30.1"

# Every committed move of a position, and the seats at every commit, as the referee's triggers see them.
_REFEREE_POSITIONS = """
CREATE SCHEMA referee;
CREATE TABLE referee.position_history (seq BIGSERIAL, topic TEXT, partition INT, before BIGINT, after BIGINT);
CREATE FUNCTION referee.on_position() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO referee.position_history (topic, partition, before, after) VALUES (NEW.topic, NEW.partition, NULL, NEW.next_offset);
    ELSIF NEW.next_offset <> OLD.next_offset THEN
        INSERT INTO referee.position_history (topic, partition, before, after) VALUES (NEW.topic, NEW.partition, OLD.next_offset, NEW.next_offset);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER referee AFTER INSERT OR UPDATE ON consumer_position FOR EACH ROW EXECUTE FUNCTION referee.on_position();
"""
_REFEREE_SEATS = """
CREATE TABLE referee.seat_history (seq BIGSERIAL, programme_id UUID, version BIGINT, total_count INT, taken_count INT,
    admitted_count INT, held_count INT, excess_count INT, live_count INT);
CREATE FUNCTION referee.on_seats() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
    INSERT INTO referee.seat_history (programme_id, version, total_count, taken_count, admitted_count, held_count, excess_count, live_count)
    SELECT p.programme_id, p.version, p.total_count, p.taken_count, p.admitted_count, p.held_count, p.excess_count,
           (SELECT count(*) FROM public.hold h WHERE h.programme_id = p.programme_id AND h.state IN ('held', 'confirmed'))
    FROM public.programme p WHERE p.programme_id = NEW.programme_id;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER referee AFTER UPDATE ON programme DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION referee.on_seats();
"""


class _Ledger(ServiceSpec):
    @property
    def module(self) -> str:
        """Beside the rig, not installed."""
        return ledger.__name__


class SecondBroker(Kafka):
    """A broker of the same cluster without a vote: it leads partitions, and may die while the cluster answers."""

    def __init__(self, home: Path, jars: Sequence[Path], *, port: int, controller_port: int) -> None:
        super().__init__(home / "second", jars, port=port, controller_port=controller_port)
        self._first = home / "kafka" / "meta.properties"

    def start(self) -> None:
        """Joins the first broker's cluster."""
        self._home.mkdir(exist_ok=True)
        self._config.write_text(self._properties())
        if not self._data.exists():
            facts = dict(line.split("=", 1) for line in self._first.read_text().splitlines() if "=" in line)
            command = self._java(
                "kafka.tools.StorageTool", "format", "-t", facts["cluster.id"], "-c", str(self._config)
            )
            subprocess.run(command, check=True, capture_output=True)
        self.child.start()

    def _properties(self) -> str:
        text = super()._properties().replace("process.roles=broker,controller", "process.roles=broker")
        text = text.replace("node.id=1", "node.id=2")
        return text.replace(f",CONTROLLER://127.0.0.1:{self._controller_port}\n", "\n")


class Rig(Stack):
    """An embedded stack with the ledger beside the services, a proxied listener, and a world that can be made anew."""

    def __init__(self, home: Path) -> None:
        super().__init__(EmbeddedSettings.on_free_ports(home), forked=True)
        self.settings.service_ports[LEDGER] = free_port()
        self.services = [*self.services, _Ledger(LEDGER, 0)]
        # The broker as a fault proxy shows it, and as a service in a network namespace sees it.
        self.proxied_port, self.proxied_postgres_port, self.remote_port = free_port(), free_port(), free_port()
        self.kafka_listeners = {
            "PROXIED": (free_port(), f"127.0.0.1:{self.proxied_port}"),
            "REMOTE": (self.remote_port, f"{REMOTE_KAFKA}:{self.remote_port}"),
        }
        self.second_broker: SecondBroker | None = None
        self._leaving: SecondBroker | None = None
        # What stands before a service's command: `ip netns exec …`, a control group.
        self.inside: dict[str, list[str | Path]] = {}
        self.hosts: dict[str, str] = {}
        self.mutation = ""
        # Of each service, connections that nobody uses now.
        self._connections: dict[str, list[asyncpg.Connection]] = {}
        self.extra_environment: dict[str, dict[str, str]] = {}

    # -- what differs from `estuaire up`

    @property
    def schemas_dir(self) -> Path:
        """A copy of `schemas/avro` with the ledger's topic beside the others."""
        folder = self.settings.home / "schemas"
        if not folder.exists():
            shutil.copytree(super().schemas_dir, folder)
            with (folder / "topics.yaml").open("a") as file:
                file.write(
                    "ledger.pipeline.v1: {owner: ledger, consumers: [], partitions: 1, retention_days: 30, guard: latest,\n"
                    "  data_class: public, records: [common/ServiceHealthReported, common/RecordDeadLettered]}\n"
                )
        return folder

    def environment(self, service: ServiceSpec) -> dict[str, str]:
        """What every service of the rig is told."""
        return {
            **super().environment(service),
            "ESTUAIRE_SCHEMAS_DIR": str(self.schemas_dir),
            "ESTUAIRE_HEALTH_REPORT_SECONDS": "2",
            # The workload is one caller's of each kind, as no partner may be.
            "ESTUAIRE_COMMANDS_PER_SECOND_MAX": "1000000",
            "PYTHONPATH": str(REPOSITORY),
            **self.extra_environment.get(service.name, {}),
        }

    def command_of(self, service: ServiceSpec) -> list[str | Path]:
        """The service, or the service with one seeded bug, perhaps inside something."""
        inside = self.inside.get(service.name, [])
        if self.mutation:
            return [*inside, sys.executable, "-m", "tests.faults.mutated", self.mutation, service.name]
        if service.name == LEDGER:
            return [*inside, sys.executable, "-m", service.module]
        return [*inside, *super().command_of(service)]

    def forks_for(self, service: ServiceSpec) -> Forks | None:
        """A seeded bug is there before anything is imported, and what is inside something is executed there."""
        return None if self.mutation or service.name in self.inside else super().forks_for(service)

    async def _migrate_and_create_topics(self) -> None:
        for service in self.services:
            if service.name != LEDGER:
                await migrations.upgrade(self.postgres.url(service.package), service.package)
        for statements in (migrations.DELIVERY_1, migrations.DELIVERY_2, migrations.DELIVERY_3, ledger.TABLES):
            self.postgres.psql(f"SET ROLE ledger; {statements}", LEDGER)
        for service in self.services:
            self.postgres.psql(_REFEREE_POSITIONS, service.package)
        self.postgres.psql(_REFEREE_SEATS, "remediation_seats")
        for service in self.services:
            self.postgres.psql(f'ALTER DATABASE "{service.package}" RENAME TO "pristine_{service.package}"')
            self._create_from_pristine(service)
        await self._create_topics()

    def _start_services(self) -> None:
        """A world starts them."""

    # -- worlds

    def _create_from_pristine(self, service: ServiceSpec) -> None:
        name = service.package
        self.postgres.psql(f'CREATE DATABASE "{name}" TEMPLATE "pristine_{name}" OWNER "{name}"')

    def copy_database(self, name: str) -> None:
        """A backup of a service's database as it is now; the service does not run, and the rig lets go of it."""
        package = self.spec(name).package
        self.postgres.psql(f'DROP DATABASE IF EXISTS "backup_{package}"')
        self.postgres.psql(f'ALTER DATABASE "{package}" WITH ALLOW_CONNECTIONS false')
        self.postgres.psql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{package}'")
        self.postgres.psql(f'CREATE DATABASE "backup_{package}" TEMPLATE "{package}" OWNER "{package}"')
        self.postgres.psql(f'ALTER DATABASE "{package}" WITH ALLOW_CONNECTIONS true')

    def restore_database(self, name: str) -> None:
        """The service's database as it was at the backup."""
        package = self.spec(name).package
        self.postgres.psql(f'DROP DATABASE "{package}" WITH (FORCE)')
        self.postgres.psql(f'CREATE DATABASE "{package}" TEMPLATE "backup_{package}" OWNER "{package}"')

    def empty_database(self, name: str) -> None:
        """A service's database as its migrations leave it."""
        self.postgres.psql(f'DROP DATABASE IF EXISTS "{self.spec(name).package}" WITH (FORCE)')
        self._create_from_pristine(self.spec(name))

    async def fresh(self) -> None:
        """Empties every database and every topic; no service may run."""
        if self._leaving is not None:
            await asyncio.to_thread(self._leaving.child.stop)
            self._leaving = None
        await asyncio.to_thread(self._mend)
        for service in self.services:
            self.empty_database(service.name)
        await self.wipe_topics(list(contracts.load(self.schemas_dir).topics))

    def _mend(self) -> None:
        """Starts again what an earlier cell left dead, so that its failure stays its own."""
        for part in (self.postgres, self.kafka, self.registry):
            assert part is not None and part.child is not None
            if not part.child.running:
                part.start()
                part.wait()

    async def wipe_topics(self, names: list[str]) -> None:
        """Deletes topics and makes them anew."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap_servers)
        await admin.start()
        try:
            present = sorted(set(names) & set(await admin.list_topics()))
            if present:
                await admin.delete_topics(present)
            while set(names) & set(await admin.list_topics()):
                await asyncio.sleep(0.05)
            if self.second_broker is not None:
                places = {number: [2] for number in range(4)}
                await admin.create_topics(
                    [NewTopic(name, -1, -1, replica_assignments=places) for name in (PROGRAMMES, STRUCTURES)]
                )
        finally:
            await admin.close()
        await self._create_topics()

    def spec(self, name: str) -> ServiceSpec:
        """One service; `projections-1` is the second replica of `projections`."""
        return next(service for service in self.services if service.name == name)

    @asynccontextmanager
    async def two_brokers(self) -> AsyncIterator[SecondBroker]:
        """A second broker, which leads the facts topics of the world made meanwhile; it ends with that world."""
        port = free_port()
        broker = SecondBroker(
            self.settings.home,
            parts.fetch("kafka", lambda _: None),
            port=port,
            controller_port=self.settings.kafka_controller_port,
        )
        await asyncio.to_thread(broker.start)
        try:
            await asyncio.to_thread(broker.wait)
            self.second_broker = broker
            yield broker
        finally:
            self.second_broker, self._leaving = None, broker

    def start_service(self, name: str, *, ordinal: int = 0, **extra: str) -> Child:
        """Starts a replica without waiting; `extra` are further environment variables."""
        spec = self.spec(name)
        child_name = name if ordinal == 0 else f"{name}-{ordinal}"
        port = self.port_of(name, ordinal)
        changes = {"ESTUAIRE_HTTP_PORT": str(port), "ESTUAIRE_INSTANCE": str(ordinal), **extra}
        child = self.child_of(spec, environment=changes, name=child_name)
        self.children[child_name] = child
        child.start()
        return child

    def port_of(self, name: str, ordinal: int = 0) -> int:
        """Where a replica listens."""
        if ordinal:
            name = f"{name}-{ordinal}"
            self.settings.service_ports.setdefault(name, free_port())
        return self.settings.service_ports[name]

    def url_of(self, name: str, ordinal: int = 0) -> str:
        """Where a replica is reached."""
        return f"http://{self.hosts.get(name, '127.0.0.1')}:{self.port_of(name, ordinal)}"

    async def ready(self, name: str, ordinal: int = 0, *, seconds_max: float = SHORT_TIER_SECONDS) -> None:
        """Returns when the replica is ready."""
        deadline = time.monotonic() + seconds_max
        child_name = name if ordinal == 0 else f"{name}-{ordinal}"
        async with httpx.AsyncClient(timeout=2) as client:
            while time.monotonic() < deadline:
                if not self.children[child_name].running:
                    raise AssertionError(f"{child_name} stopped: {self.children[child_name].last_log_line()}")
                with suppress(httpx.HTTPError):
                    answer = await client.get(f"{self.url_of(name, ordinal)}/readyz")
                    if answer.status_code == 200:
                        return
                await asyncio.sleep(0.05)
        raise AssertionError(f"{child_name} did not become ready in {seconds_max:.0f} s")

    def dsn(self, name: str) -> str:
        """Address of a service's database for asyncpg, as the superuser."""
        return f"postgresql://postgres:{self.postgres.password}@127.0.0.1:{self.settings.postgres_port}/{self.spec(name).package}"

    async def query(self, name: str, sql: str, *values: Any) -> list[Any]:
        """Rows of one statement on a service's database, over a connection that is kept for the next."""
        idle = self._connections.setdefault(name, [])
        while True:
            kept = idle.pop() if idle else None
            connection = kept or await asyncpg.connect(self.dsn(name), timeout=5, statement_cache_size=0)
            try:
                rows = list(await connection.fetch(sql, *values, timeout=20))
            except BaseException as error:
                connection.terminate()
                # The database was away meanwhile: that is news of an old connection, and not of the database.
                if kept is not None and isinstance(error, _GONE):
                    continue
                raise
            idle.append(connection)
            return rows

    async def execute(self, name: str, sql: str) -> None:
        """Statements of the rig, as the service's own role."""
        await asyncio.to_thread(
            self.postgres.psql, f'SET ROLE "{self.spec(name).package}"; {sql}', self.spec(name).package
        )


def _shown_after(at: float, seen: Sequence[tuple[float, float]]) -> Iterator[float]:
    """When the board showed what was declared later than `at`."""
    return (shown_at for declared_at, shown_at in seen if declared_at > at)


class Cell:
    """One run of one cell: its history, its workload, its sentinels, the helpers of its faults."""

    def __init__(
        self, rig: Rig, number: str, seed: int, *, kills: int, bulk: int = 0, processes: int = 6, short: bool = False
    ) -> None:
        self.rig = rig
        self.number = number
        self.seed = seed
        self.kills = kills
        self.short = short
        # Enough to reach every failpoint within seconds; the long tier asks as fast as it is answered.
        self.commands_per_second = 25 if short else math.inf
        # With one process it is not the cell's subject: it is there so that nothing is idle.
        self._seats_per_second = 5 if short and processes == 1 else self.commands_per_second
        self.draw = random.Random(f"{number}/{seed}")
        folder = rig.settings.home / "cells"
        folder.mkdir(exist_ok=True)
        self.history = History(folder / f"{number}-{seed}{rig.mutation and '-' + rig.mutation}.jsonl")
        self.waived: dict[str, str] = {}
        self.long_fault = False
        # Which services it runs that run only where a cell says so.
        self.also: set[str] = set()
        self.restarts: list[tuple[str, int | None]] = []
        self.supervised = True
        self.recoveries: list[float] = []
        self.rest_seconds: float | None = None
        self.workload = Workload(
            self.history,
            seed=seed,
            endpoints=[rig.url_of(SEATS)],
            issuer_url=rig.issuer_url,
            bulk=bulk,
            processes=processes,
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._healed: list[tuple[str, float, float]] = []
        # Of each sentinel, when it was declared and when the board showed that.
        self._visible: list[list[tuple[float, float]]] = []

    # -- life of a cell

    @asynccontextmanager
    async def running(self, **environment: dict[str, str]) -> AsyncIterator[None]:
        """A fresh world with its services, workload and sentinels; at the end everything comes to rest."""
        rig = self.rig
        self._admit()
        await rig.fresh()
        rig.extra_environment = environment
        try:
            for name in (SEATS, PROJECTIONS, LEDGER):
                rig.start_service(name)
            await asyncio.gather(*(rig.ready(name) for name in (SEATS, PROJECTIONS, LEDGER)))
            await self.workload.prepare()
            self.workload.start(per_second=self._seats_per_second)
            self._tasks = [asyncio.create_task(self._watch()), asyncio.create_task(self._sample())]
            self._tasks += [asyncio.create_task(self._pulse(number)) for number in range(4)]
            yield
            await self._come_to_rest()
        finally:
            await self.workload.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            rig.extra_environment = {}
            await asyncio.to_thread(self._stop_services)
            self.history.close()

    async def join(self, loads: Mapping[str, Commands]) -> None:
        """Services, started one after the other, each with the workload that asks it; they are ready, and so are the workloads."""
        self._admit(*loads.values())
        for name in loads:
            self.rig.start_service(name)
            await self.rig.ready(name)
        for load in loads.values():
            await load.prepare()

    def _admit(self, *loads: Commands) -> None:
        """Gives everybody who asks for something an account."""
        personas = [load.personas() for load in (self.workload, *loads)]
        (self.rig.settings.home / "personas.json").write_text(
            json.dumps({name: persona for each in personas for name, persona in each.items()})
        )

    async def _come_to_rest(self) -> None:
        await self.workload.stop()
        await asyncio.gather(*self._tasks[2:])
        began = time.monotonic()
        seconds_max = self._recovery_seconds_max
        left = await self.backlog()
        while left and time.monotonic() - began < seconds_max:
            await asyncio.sleep(0.1)
            left = await self.backlog()
        self.rest_seconds = time.monotonic() - began if not left else seconds_max + 1
        self.history.add("quiesced", seconds=self.rest_seconds, seconds_max=seconds_max, left=left)
        for (fault, at, limit), (_, following, _) in zip(self._healed, [*self._healed[1:], _NEVER], strict=True):
            recovered = max(min(_shown_after(at, seen), default=following) for seen in self._visible) - at
            # A recovery that the next fault interrupted says nothing of this one.
            if at + recovered < following:
                self.recoveries.append(recovered)
                self.history.add("recovered", fault=fault, seconds=recovered, seconds_max=limit)

    def _stop_services(self) -> None:
        for name in list(self.rig.children):
            if name != "development":
                child = self.rig.children.pop(name)
                with suppress(ProcessLookupError):
                    if child.process is not None:
                        os.killpg(child.process.pid, signal.SIGCONT)
                child.stop(15)

    async def backlog(self) -> str:
        """What is not published or not consumed yet, in words; empty when all is done."""
        left = []
        for name in _SERVICES:
            rows = await self.rig.query(
                name,
                "SELECT topic, count(*) AS n FROM outbox WHERE published_at IS NULL AND parked_reason IS NULL"
                " GROUP BY topic",
            )
            left += [f"{row['n']} unpublished in {name}" for row in rows]
        ends = await asyncio.to_thread(self.ends)
        for name, topics in self.consumers.items():
            rows = await self.rig.query(name, "SELECT topic, partition, next_offset FROM consumer_position")
            stands = {(row["topic"], row["partition"]): row["next_offset"] for row in rows}
            for (topic, partition), end in ends.items():
                if topic in topics and not topic.endswith(".pipeline.v1") and stands.get((topic, partition), 0) < end:
                    left.append(f"{name}: {topic}/{partition} at {stands.get((topic, partition))} of {end}")
        return "; ".join(left)

    @property
    def consumers(self) -> dict[str, list[str]]:
        """Who reads what in this cell."""
        return {name: topics for name, topics in CONSUMERS.items() if self._runs(name)}

    def _runs(self, name: str) -> bool:
        return name not in _WHERE_SAID or name in self.also

    def ends(self, topics: Collection[str] = ()) -> dict[tuple[str, int], int]:
        """Where each partition of these topics ends; without any, of those that are consumed, but for the pipelines'."""
        from confluent_kafka import Consumer, TopicPartition

        read = {topic for names in self.consumers.values() for topic in names if not topic.endswith(".pipeline.v1")}
        consumer = Consumer({"bootstrap.servers": self.rig.bootstrap_servers, "group.id": "fault-rig"})
        try:
            return {
                (topic, number): consumer.get_watermark_offsets(TopicPartition(topic, number), 10)[1]
                for topic in sorted(topics or read)
                for number in range(4)
            }
        finally:
            consumer.close()

    # -- watching

    async def _watch(self) -> None:
        """Starts again what died, as Kubernetes would; cells that steer a process themselves take it out."""
        while True:
            await asyncio.sleep(0.05)
            for name, child in list(self.rig.children.items()):
                if self.supervised and child.process is not None and not child.running and name != "development":
                    self.history.add("restart", process=name, status=child.process.returncode)
                    self.restarts.append((name, child.process.returncode))
                    child.start()

    async def _sample(self) -> None:
        while True:
            processes = {}
            for name, child in self.rig.children.items():
                with suppress(psutil.Error, AttributeError):
                    assert child.process is not None
                    process = psutil.Process(child.process.pid)
                    processes[name] = (process.memory_info().rss, process.num_fds())
            dead = {}
            with suppress(Exception):
                rows = await self.rig.query(SEATS, "SELECT relname, n_dead_tup FROM pg_stat_user_tables")
                dead = {row["relname"]: row["n_dead_tup"] for row in rows if row["n_dead_tup"] > 1000}
            self.history.add("sample", processes=processes, dead_tuples=dead)
            await asyncio.sleep(1)

    async def _pulse(self, number: int) -> None:
        """Declares on a sentinel programme and waits until the board shows it, until the workload ends."""
        self._visible.append([])
        seen = self._visible[number]
        programme_id, taken = self.workload.sentinels[number], 0
        while not self.workload.stopping:
            taken = taken % 7 + 1
            declared_at = time.monotonic()
            await self.workload.declare(programme_id, self.workload.structures[0], 8, taken)
            await self.eventually(
                PROJECTIONS,
                "SELECT taken_count = $1 FROM board_programme WHERE programme_id = $2",
                taken,
                programme_id,
                seconds_max=None if self.short else RTO_AFTER_LONG_SECONDS,
            )
            seen.append((declared_at, time.monotonic()))
            # How fine a recovery is measured; each declaration is work for four processes.
            await asyncio.sleep(0.5 if self.short else 0.1)

    # -- faults

    def fired(self, fault: str, proof: str | None, *, count: int = 1) -> None:
        """Notes a fault and what proves that it fired; without a proof the checker fails the cell."""
        self.history.add("fault", fault=fault, proof=proof, count=count)

    def healed(self, fault: str) -> None:
        """From now the recovery is measured: until each partition's sentinel has been declared and shown again."""
        self._healed.append((fault, time.monotonic(), self._recovery_seconds_max))

    @property
    def _recovery_seconds_max(self) -> float:
        if self.short:
            return SHORT_TIER_SECONDS
        return RTO_AFTER_LONG_SECONDS if self.long_fault else RTO_SECONDS

    async def deaths(
        self,
        plan: Sequence[tuple[str, str, int]],
        *,
        then: Callable[[int], Awaitable[None]] | None = None,
        seconds_max: float = 120,
    ) -> None:
        """For each (service, failpoint, nth): the service runs armed until it exits there; then the next one.

        A service is started again at once, armed for its next death or, after the last, not at all; `then` is told how
        many have died before that.
        """
        self.supervised = False
        for number, (name, failpoint, nth) in enumerate(plan):
            child = self.rig.children[name]
            await asyncio.to_thread(child.kill)
            armed = self.rig.start_service(name, FAILPOINT=f"{failpoint}:exit:{nth}")
            if number:
                self.healed(f"{plan[number - 1][0]} died at {plan[number - 1][1]}")
            if number and plan[number - 1][0] != name:
                self.rig.start_service(plan[number - 1][0])
            deadline = time.monotonic() + seconds_max
            while armed.running and time.monotonic() < deadline:
                await asyncio.sleep(0.02)
            status = armed.process.returncode if armed.process is not None and not armed.running else None
            line = f"failpoint {failpoint} exit {nth}"
            said = line in armed.log_path.read_text(errors="replace")
            proof = f"exit status {status}, '{line}' in its log" if status == EXIT_STATUS and said else None
            self.fired(f"{name} dies at {failpoint}", proof)
            if then is not None:
                await then(number + 1)
        self.rig.start_service(plan[-1][0])
        self.healed(f"{plan[-1][0]} died at {plan[-1][1]}")
        self.supervised = True
        await self.rig.ready(plan[-1][0])
        await asyncio.sleep(1)

    async def shown(self, *, seconds_max: float = RTO_AFTER_LONG_SECONDS) -> None:
        """Returns when a declaration of every sentinel, made from now on, is on the board."""
        began = time.monotonic()
        if self.short:
            seconds_max = SHORT_TIER_SECONDS
        while not all(any(_shown_after(began, seen)) for seen in self._visible):
            for task in self._tasks:
                if task.done():
                    # Who has died shows nothing any more: its error is the news.
                    task.result()
            assert time.monotonic() < began + seconds_max, "the board does not follow"
            await asyncio.sleep(0.05)

    async def eventually(self, name: str, sql: str, *values: Any, seconds_max: float | None = None) -> Any:
        """The first row of a query as soon as its first column is true; None when that does not come."""
        deadline = time.monotonic() + (seconds_max or (SHORT_TIER_SECONDS if self.short else 30))
        while time.monotonic() < deadline:
            with suppress(*_GONE, asyncpg.PostgresError, TimeoutError):
                rows = await self.rig.query(name, sql, *values)
                if rows and rows[0][0]:
                    return rows[0]
            await asyncio.sleep(0.05)
        return None

    async def estuaire(self, name: str, *arguments: str, status: int = 0) -> str:
        """Runs the operators' command on one service's database; its output."""
        if name == LEDGER or self.rig.mutation:
            process = await self.estuaire_process(name, *arguments)
            out, _ = await process.communicate()
            ended, said = process.returncode, out.decode()
        else:
            ended, said = await estuaire(self.rig, name, *arguments, "--service", name)
        assert ended == status, said
        return said

    async def estuaire_process(self, name: str, *arguments: str, **extra: str) -> asyncio.subprocess.Process:
        """The operators' command, started; `extra` are further environment variables."""
        environment = {**self.rig.environment(self.rig.spec(name)), "ESTUAIRE_SERVICE": name, **extra}
        command: list[str | Path] = [Path(sys.executable).with_name("estuaire"), *arguments, "--service", name]
        if self.rig.mutation:
            command[:1] = [sys.executable, "-m", "tests.faults.mutated", self.rig.mutation, "estuaire"]
        if name == LEDGER:
            command = [sys.executable, "-m", "tests.faults.ledger", *arguments[:1]]
        return await asyncio.create_subprocess_exec(
            *command,
            env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip

    async def not_ready(self, name: str, reason: str) -> None:
        """Returns when the service says that it is not ready, and why."""
        async with httpx.AsyncClient(timeout=2) as client:
            for _ in range(300):
                with suppress(httpx.HTTPError):
                    answer = await client.get(f"{self.rig.url_of(name)}/readyz")
                    if answer.status_code == 503 and answer.json().get("reason") == reason:
                        return
                await asyncio.sleep(0.1)
        raise AssertionError(f"{name} never said {reason}")

    # -- the verdict

    async def check(self) -> dict[str, Any]:
        """Runs the checker as a process of its own; its report."""
        rig = self.rig
        world = {
            "bootstrap": rig.bootstrap_servers,
            "registry": f"http://127.0.0.1:{rig.settings.registry_port}/apis/ccompat/v7",
            "schemas_dir": str(rig.schemas_dir),
            "databases": {name: rig.dsn(name) for name in _SERVICES if self._runs(name)},
            "consumers": self.consumers,
            "history": str(self.history.path),
            "waived": self.waived,
        }
        path = self.history.path.with_suffix(".world.json")
        path.write_text(json.dumps(world))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.faults.checker", path,
            cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, errors = await process.communicate()
        if not out:
            raise AssertionError(f"the checker failed: {errors.decode()[-2000:]}")
        report: dict[str, Any] = json.loads(out)
        path.with_suffix(".report.json").write_text(out.decode())
        return report
