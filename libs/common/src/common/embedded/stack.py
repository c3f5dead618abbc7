"""The whole system on one machine: the real parts, then the services, in an order that wastes no second."""

from __future__ import annotations

import asyncio
import fcntl
import importlib.metadata
import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import httpx
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from common import contracts, migrations, schema_tools, services
from common.avro import Registry as RegistryClient
from common.embedded import parts
from common.embedded.forks import Forks
from common.embedded.kafka import Kafka
from common.embedded.postgres import Postgres
from common.embedded.processes import Child, EmbeddedError, check_port_is_free, free_port
from common.embedded.registry import Registry
from common.failures import Unavailable, retried
from common.services import ProcessSpec, ServiceSpec, port_variable
from common.settings import Settings
from common.topics import TopicRefused, create_topics

_FREE_BYTES_MIN = 1_500_000_000
_HEAL_COUNT_MAX, _HEAL_WINDOW_SECONDS = 5, 60.0


def _default_home() -> Path:
    return Path("/var/lib/estuaire") if os.geteuid() == 0 else Path.home() / ".local" / "share" / "estuaire"


class EmbeddedSettings(BaseSettings):
    """Where the embedded system keeps its data and listens; each field is read from `ESTUAIRE_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="ESTUAIRE_", extra="ignore")

    home: Path = Field(default_factory=_default_home)
    kafka_port: int = 9092
    kafka_controller_port: int = 9093
    registry_port: int = 8081
    registry_management_port: int = 9000
    postgres_port: int = 5433
    issuer_port: int = 8020
    mail_port: int = 8025
    smtp_port: int = 8026
    service_ports: dict[str, int] = Field(
        default_factory=dict, description="JSON; one of them alone: ESTUAIRE_<SERVICE>_PORT"
    )

    @classmethod
    def on_free_ports(cls, home: Path) -> EmbeddedSettings:
        """For tests, which run beside a running system."""
        ports: dict[str, Any] = {name: free_port() for name in cls.model_fields if name.endswith("_port")}
        listening = [one for service in installed_services() for one in (service.name, *service.process_names)]
        return cls(home=home, service_ports={name: free_port() for name in listening}, **ports)


def installed_services() -> list[ServiceSpec]:
    """The services of this checkout, the highest port first."""
    return sorted(services.load(), key=lambda service: -service.default_port)


Say = Callable[[str], None]


class Stack:
    """Starts, watches and stops everything. `start` raises `EmbeddedError` with one clear line.

    Tests have the services `forked`. A person's are executed: then each is what its script and its files are now. And
    only a person's database waits for the disk: what a kill -9 of the server leaves, the kernel has.
    """

    def __init__(
        self,
        settings: EmbeddedSettings,
        *,
        say: Say = lambda _: None,
        services: Sequence[ServiceSpec] | None = None,
        forked: bool = False,
    ) -> None:
        self.settings = settings
        self.services = installed_services() if services is None else services
        self._say = say
        self._forked = forked
        self.forks: Forks | None = None
        self._lock: IO[str] | None = None
        self.kafka: Kafka | None = None
        self.registry: Registry | None = None
        self.postgres = Postgres(settings.home, port=settings.postgres_port, waits_for_disk=not forked)
        self.children: dict[str, Child] = {}
        self._healed: dict[str, list[float]] = {}
        self.issuer_url = f"http://127.0.0.1:{settings.issuer_port}"
        self.kafka_listeners: dict[str, tuple[int, str]] = {}

    # -- start

    def start(self) -> None:
        """Everything up and ready, or an `EmbeddedError` and nothing left running."""
        try:
            self._prepare_home()
            self._start_parts()
            self._prepare_data()
            self._start_services()
        except BaseException:
            self.stop()
            raise

    def _prepare_home(self) -> None:
        home = self.settings.home
        try:
            home.mkdir(parents=True, exist_ok=True, mode=0o755)
            (home / "run").mkdir(exist_ok=True)
            self._lock = (home / "run" / "lock").open("w")
        except OSError as error:
            raise EmbeddedError(
                f"{home} cannot be used: {error.strerror}; set ESTUAIRE_HOME to a folder that you may write"
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise EmbeddedError(
                f"another run uses {home}; stop it with `make down`, or set ESTUAIRE_HOME to another folder"
            ) from None
        free = shutil.disk_usage(home).free
        if free < _FREE_BYTES_MIN:
            raise EmbeddedError(
                f"only {free / 1e6:.0f} MB are free for {home}; free at least {_FREE_BYTES_MIN / 1e6:.0f} MB or set ESTUAIRE_HOME to another disk"
            )
        (home / "run" / "pid").write_text(str(os.getpid()))

    def _start_parts(self) -> None:
        settings, home = self.settings, self.settings.home
        for name in type(settings).model_fields:
            if name.endswith("_port") and not name.startswith(("kafka", "registry", "postgres")):
                check_port_is_free(getattr(settings, name), f"ESTUAIRE_{name.upper()}")
        for service in self.services:
            check_port_is_free(service.port(settings), port_variable(service.name))
        for process in self.processes():
            check_port_is_free(process.port(settings), port_variable(process.full_name))
        if self._forked:
            self.forks = Forks(home, [*(service.module for service in self.services), "common.cli"])
        self._say("starting PostgreSQL")
        self.postgres.start()
        if not parts.cached():
            self._say("fetching Kafka and the schema registry (240 MB, once per user)")
        with ThreadPoolExecutor(2) as pool:
            registry_archive = pool.submit(parts.fetch, "registry", self._say)
            self.kafka = Kafka(
                home,
                parts.fetch("kafka", self._say),
                port=settings.kafka_port,
                controller_port=settings.kafka_controller_port,
                listeners=self.kafka_listeners,
            )
            self._say("starting Kafka")
            self.kafka.start()
            folder = parts.unpacked_registry(home, registry_archive.result()[0])
        self.registry = Registry(
            home,
            folder,
            port=settings.registry_port,
            management_port=settings.registry_management_port,
            bootstrap_servers=self.kafka.bootstrap_servers,
        )
        self._start_development()
        self.kafka.wait()
        self._say("starting the schema registry")
        self.registry.start()

    def _start_development(self) -> None:
        settings = self.settings
        development = Child(
            "development",
            [
                sys.executable,
                "-m",
                "common.embedded.development",
                settings.home,
                str(settings.issuer_port),
                str(settings.mail_port),
                str(settings.smtp_port),
            ],
            home=settings.home,
        )
        development.start()
        self.children["development"] = development

    def _prepare_data(self) -> None:
        self.postgres.wait()
        self._say("migrating the databases")
        self.postgres.create_databases([service.package for service in self.services])
        asyncio.run(self._migrate_and_create_topics())
        # A second start knows its schema ids from the databases, and need not wait for the registry.
        marker = self.settings.home / "schemas.registered"
        hashes = (self.schemas_dir / "published.sha256").read_text()
        if not marker.exists() or marker.read_text() != hashes:
            assert self.registry is not None
            self._say("waiting for the schema registry to register the schemas")
            self.registry.wait()
            asyncio.run(self._register())
            marker.write_text(hashes)

    @property
    def schemas_dir(self) -> Path:
        """`schemas/avro` of this checkout."""
        return Path(Settings.model_fields["schemas_dir"].default)

    async def _migrate_and_create_topics(self) -> None:
        for service in self.services:  # one after the other: Alembic's environment is global to the process
            await migrations.upgrade(self.postgres.url(service.package), service.package)
        await self._create_topics()

    async def _create_topics(self) -> None:
        declared = contracts.load(self.schemas_dir)
        families = list(declared.families.values())
        try:
            await create_topics(self.bootstrap_servers, list(declared.topics.values()), families=families)
        except (TopicRefused, Unavailable) as error:
            raise EmbeddedError(str(error)) from None

    async def _register(self) -> None:
        assert self.registry is not None
        client = RegistryClient(self.registry.url)
        declared = contracts.load(self.schemas_dir)
        try:
            # It says that it is ready before it is quick: on a busy machine its first answers come too late.
            await retried(
                lambda: schema_tools.register(declared, client),
                when=lambda error: isinstance(error, Unavailable),
                attempts_max=10,
                delay_seconds_max=5,
            )
        except Unavailable as error:
            raise EmbeddedError(f"the schemas could not be registered: {error}") from None
        finally:
            await client.close()

    @property
    def bootstrap_servers(self) -> str:
        """Address of the broker."""
        return f"127.0.0.1:{self.settings.kafka_port}"

    def environment(self, service: ServiceSpec) -> dict[str, str]:
        """What the service's process is told."""
        settings = self.settings
        port = service.port(settings)
        return {
            **os.environ,
            "ESTUAIRE_DATABASE_URL": self.postgres.url(service.package),
            "ESTUAIRE_KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "ESTUAIRE_REGISTRY_URL": f"http://127.0.0.1:{settings.registry_port}/apis/ccompat/v7",
            "ESTUAIRE_ISSUER_URL": self.issuer_url,
            "ESTUAIRE_DEVELOPMENT": "true",
            "ESTUAIRE_SESSION_SECRET": self._secret("session"),
            "ESTUAIRE_SUBJECT_SECRET": self._secret("subject"),
            "ESTUAIRE_HTTP_PORT": str(port),
            "ESTUAIRE_PUBLIC_URL": f"http://127.0.0.1:{port}",
            "ESTUAIRE_NAVIGATION": json.dumps(self._navigation()),
            "ESTUAIRE_SMTP_PORT": str(settings.smtp_port),
            # The clock of the demonstration walks fast; the sweeper follows closely.
            "ESTUAIRE_SWEEP_SECONDS": os.environ.get("ESTUAIRE_SWEEP_SECONDS", "2"),
            # Whoever commits wakes the relay; with one replica of each, nobody else does.
            "ESTUAIRE_OUTBOX_POLL_SECONDS": "1",
            # Somebody who tries the pages waits for a link.
            "ESTUAIRE_MAIL_POLL_SECONDS": "0.5",
        }

    def _secret(self, use: str) -> str:
        """Drawn once, and kept in the data directory."""
        secret = self.settings.home / f"{use}.secret"
        if not secret.exists():
            secret.touch(mode=0o600)
            secret.write_text(secrets.token_urlsafe(48))
        return secret.read_text()

    def _navigation(self) -> list[dict[str, str]]:
        """The pages that the installed services offer, in the order of the services' ports."""
        return [
            {
                "section": service.section,
                "label": label,
                "icon": icon,
                "address": f"http://127.0.0.1:{service.port(self.settings)}{path}",
            }
            for service in sorted(self.services, key=lambda service: service.default_port)
            for label, icon, path in service.pages
        ]

    def command_of(self, service: ServiceSpec) -> list[str | Path]:
        """What starts the service's process."""
        return [Path(sys.executable).with_name(service.name)]

    def child_of(
        self, service: ServiceSpec, *, environment: dict[str, str] | None = None, name: str | None = None
    ) -> Child:
        """The service's process, not started."""
        forks = self.forks_for(service)
        return Child(
            name or service.name,
            self.command_of(service) if forks is None else [f"{service.module}:main"],
            home=self.settings.home,
            env={**self.environment(service), **(environment or {})},
            forks=forks,
        )

    def forks_for(self, service: ServiceSpec) -> Forks | None:
        """What forks the service; None where it is executed."""
        return self.forks

    def _start_services(self) -> None:
        for service in self.services:
            self._say(f"starting {service.name}")
            self.children[service.name] = self.child_of(service)
            self.children[service.name].start()
        for process in self.processes():
            self._say(f"starting {process.full_name}")
            self.children[process.full_name] = self._child_of_process(process)
            self.children[process.full_name].start()
        for service in self.services:
            self.wait_ready(service)

    def processes(self) -> list[ProcessSpec]:
        """What services are made of beside the one that serves; tests start those that they speak of."""
        return [] if self._forked else [process for service in self.services for process in service.processes]

    def files_of(self, process: ProcessSpec) -> str:
        """Where a process has its files: in the data directory, unless the environment says otherwise."""
        return os.environ.get(process.variable, str(self.settings.home / process.name))

    def _child_of_process(self, process: ProcessSpec) -> Child:
        service = next(service for service in self.services if service.name == process.service)
        return Child(
            process.full_name,
            [*self.command_of(service), process.name],
            home=self.settings.home,
            env={
                **self.environment(service),
                "ESTUAIRE_HTTP_PORT": str(process.port(self.settings)),
                process.variable: self.files_of(process),
                # Somebody who tries the lake sees what has just happened.
                "ESTUAIRE_LAKE_FLUSH_SECONDS": os.environ.get("ESTUAIRE_LAKE_FLUSH_SECONDS", "5"),
                "ESTUAIRE_LAKE_COMPACT_SECONDS": os.environ.get("ESTUAIRE_LAKE_COMPACT_SECONDS", "60"),
            },
        )

    def wait_ready(self, service: ServiceSpec) -> None:
        """Returns when the service's readiness probe says so."""
        url = f"http://127.0.0.1:{service.port(self.settings)}/readyz"

        def ready() -> bool:
            try:
                return httpx.get(url, timeout=2).status_code == 200
            except httpx.HTTPError:
                return False

        self.children[service.name].wait_until(ready)

    # -- stop

    def stop(self) -> None:
        """Services and registry first, then Kafka, then PostgreSQL; each gets time to finish, none more than its share."""
        first = [*self.children.values(), *([self.registry.child] if self.registry is not None else [])]
        with ThreadPoolExecutor(len(first) or 1) as pool:
            list(pool.map(lambda child: child.stop(20), first))
        if self.forks is not None:
            self.forks.close()
            self.forks = None
        if self.kafka is not None:
            self.kafka.child.stop(15)
        if self.postgres.child is not None:
            self.postgres.child.stop(15)
        if self._lock is not None:
            (self.settings.home / "run" / "pid").unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def heal(self) -> None:
        """Starts again what stopped by itself, as Kubernetes would; gives up on what keeps stopping, with its last words."""
        parts = [
            part.child
            for part in (self.postgres, self.kafka, self.registry)
            if part is not None and part.child is not None
        ]
        for child in [*parts, *self.children.values()]:
            if child.process is None or child.running:
                continue
            now = time.monotonic()
            recent = self._healed[child.name] = [
                at for at in self._healed.get(child.name, []) if now - at < _HEAL_WINDOW_SECONDS
            ]
            if len(recent) >= _HEAL_COUNT_MAX:
                raise EmbeddedError(f"{child.name} keeps stopping: {child.last_log_line()} (log: {child.log_path})")
            recent.append(now)
            self._say(f"{child.name} stopped; starting it again (log: {child.log_path})")
            child.start()


def installed_demonstration() -> importlib.metadata.EntryPoint | None:
    """The entry point `demonstration` of the group `estuaire.demonstration`, if that member is installed."""
    found = list(importlib.metadata.entry_points(group="estuaire.demonstration"))
    return found[0] if found else None
