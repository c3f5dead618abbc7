"""What a service is, and its parts put together: nothing here connects to anything or runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fastapi import APIRouter

from common import contracts
from common.avro import Registry
from common.budget import Budget
from common.identity import Identity
from common.inbox import Inbox
from common.outbox import Relay
from common.rebuild import ReadModel
from common.reconcile import Aggregates, Agreement
from common.schema_ids import SchemaIds, codec_for, read_by, written_by
from common.settings import Settings
from common.telemetry import Metrics
from common.transaction import Database, Outlet
from common.verdicts import Consumes


@dataclass(eq=False)
class Runtime:
    """The parts of a running service, given to its routes and background tasks."""

    service: str
    settings: Settings
    metrics: Metrics
    contracts: contracts.Contracts
    database: Database
    schema_ids: SchemaIds
    agreement: Agreement
    relay: Relay
    inbox: Inbox | None
    identity: Identity
    registry: Registry
    budget: Budget

    async def close(self) -> None:
        """Closes every connection."""
        await self.identity.close()
        await self.registry.close()
        await self.database.close()


@dataclass(frozen=True)
class Service:
    """What one service adds to the core: its name, its table of topics, its aggregates, its routes and its sweepers."""

    name: str
    routes: Callable[[Runtime], APIRouter]
    consumes: Mapping[str, Consumes] = field(default_factory=dict)
    aggregates: Sequence[Aggregates] = ()
    read_models: Mapping[str, ReadModel] = field(default_factory=dict)
    background: Callable[[Runtime], list[Callable[[], Awaitable[None]]]] = lambda _: []
    settings: type[Settings] = Settings


def build_runtime(service: Service, given: Settings) -> Runtime:
    """Constructs the parts; connects to nothing yet."""
    known = contracts.load(given.schemas_dir)
    metrics = Metrics()
    codec = codec_for(known)
    emitted = known.emitted_by(service.name)
    outlet = Outlet(
        source=service.name,
        codec=codec,
        topics=emitted,
        message_bytes_max=given.message_bytes_max,
        development=given.development,
        public_url=given.public_url,
        link_secret=given.session_secret,
    )
    database = Database(given.database_url, outlet, pool_max=given.database_pool_max)
    registry = Registry(given.registry_url)
    schema_ids = SchemaIds(
        codec,
        database=database,
        registry=registry,
        contracts=known,
        written=written_by(known, service.name),
        read=read_by(known, service.name),
    )
    agreement = Agreement(
        service.name,
        database=database,
        contracts=known,
        schema_ids=schema_ids,
        bootstrap_servers=given.kafka_bootstrap_servers,
        aggregates=service.aggregates,
    )
    inbox = (
        Inbox(
            service.name,
            service.consumes,
            database=database,
            contracts=known,
            schema_ids=schema_ids,
            settings=given,
            metrics=metrics,
        )
        if service.consumes
        else None
    )
    return Runtime(
        service=service.name,
        settings=given,
        metrics=metrics,
        contracts=known,
        database=database,
        schema_ids=schema_ids,
        agreement=agreement,
        relay=Relay(database, given, metrics, agreement),
        inbox=inbox,
        identity=Identity(given),
        registry=registry,
        budget=Budget(given.commands_per_second_max, given.commands_burst_max),
    )
