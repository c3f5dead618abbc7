"""What an operator's command does with a service's own parts, whether the service runs or not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from common.rebuild import Progress, Rebuild
from common.reconcile import Say
from common.runtime import Runtime, Service, build_runtime

# For commands that sign nothing and look nobody up by a hash.
UNUSED_SECRET = "unused" * 8


@asynccontextmanager
async def for_repair(
    service: Service,
    database_url: str,
    *,
    kafka: str = "unused:9092",
    registry: str = "http://127.0.0.1:9/unused",
    secret: str = UNUSED_SECRET,
    public_url: str = "",
) -> AsyncIterator[Runtime]:
    """The parts of a service for an operator's command, whether the service runs or not; nothing of it is started.

    Whoever is known by a keyed hash is found with the service's own `secret`; mails lead to `public_url`.
    """
    given = service.settings(
        database_url=database_url,
        kafka_bootstrap_servers=kafka,
        registry_url=registry,
        issuer_url="https://unused.example",
        session_secret=secret,
        subject_secret=UNUSED_SECRET,
        public_url=public_url,
        http_port=1,
    )
    runtime = build_runtime(service, given)
    try:
        await runtime.schema_ids.load()
        yield runtime
    finally:
        await runtime.close()


async def reconcile(service: Service, database_url: str, kafka: str, registry: str, say: Say, *, apply: bool) -> bool:
    """`estuaire reconcile` for one service; True when its topics and its database agree."""
    async with for_repair(service, database_url, kafka=kafka, registry=registry) as runtime:
        if not runtime.schema_ids.complete:
            await runtime.schema_ids.agree_with_registry()
        return await runtime.agreement.reconcile(say, apply=apply)


async def rebuild(
    service: Service,
    name: str,
    addresses: tuple[str, str, str],
    say: Say,
    progress: Progress,
    *,
    accept: bool,
    drop: bool,
) -> bool:
    """`estuaire rebuild` of one read model; addresses of database, Kafka and registry. False when the rows differ."""
    if name not in service.read_models:
        raise ValueError(
            f"{service.name} has no read model {name!r}; it has: {', '.join(service.read_models) or 'none'}"
        )
    async with for_repair(service, addresses[0], kafka=addresses[1], registry=addresses[2]) as runtime:
        assert runtime.inbox is not None
        work = Rebuild(
            name,
            service.read_models[name],
            database=runtime.database,
            inbox=runtime.inbox,
            bootstrap_servers=addresses[1],
            lot_count=runtime.settings.consume_batch_count_max,
        )
        if drop:
            await work.discard()
            return True
        return await work.run(say, progress, accept_differences=accept)
