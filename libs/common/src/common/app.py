"""Runs a service: relay, inbox, background work, routes and probes; and takes it apart in order."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import uvicorn
from fastapi import APIRouter, FastAPI
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text

from common import failpoints, settings, telemetry
from common.bodies import Addresses
from common.dead_letters import prune_foreign
from common.failures import Unavailable, ended
from common.health import HealthReporter
from common.http import Edge, add_problem_handlers, problem, prune_idempotency_keys
from common.mail import MailSender
from common.runtime import Runtime, Service, build_runtime
from common.schema_ids import SchemaMismatch
from common.settings import Settings

_log = logging.getLogger(__name__)


def build_app(service: Service, given: Settings) -> FastAPI:
    """The ASGI application of a service; its lifespan runs the relay, the inbox and the background tasks."""
    runtime = build_runtime(service, given)
    Addresses.utf8 = given.smtp_utf8

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(_until_loaded(runtime), name="schema-ids"),
        ]
        loaded = tasks[0]

        async def after_loaded(work: Callable[[], Awaitable[None]]) -> None:
            await asyncio.shield(loaded)
            await work()

        relay = asyncio.create_task(after_loaded(runtime.relay.run), name="relay")
        reporter = HealthReporter(
            service.name,
            database=runtime.database,
            inbox=runtime.inbox,
            settings=given,
            metrics=runtime.metrics,
            topic=f"{service.name}.pipeline.v1",
        )
        tasks += [
            asyncio.create_task(after_loaded(lambda: _check_registry(runtime))),
            asyncio.create_task(after_loaded(reporter.run)),
            asyncio.create_task(prune_idempotency_keys(runtime.database, given.idempotency_key_days)),
            asyncio.create_task(MailSender(service.name, runtime.database, given).run()),
        ]
        tasks += [asyncio.create_task(after_loaded(work)) for work in service.background(runtime)]
        if runtime.inbox is not None:
            tasks.append(asyncio.create_task(after_loaded(runtime.inbox.start)))
            if runtime.inbox.family is not None:
                tasks.append(asyncio.create_task(prune_foreign(runtime.database, runtime.inbox.family)))
        try:
            yield
        finally:
            # Drain: stop taking in, let the relay send what has been committed, then close.
            if runtime.inbox is not None:
                await runtime.inbox.stop()
            await ended(tasks)
            runtime.relay.stop()
            await asyncio.wait([relay], timeout=given.drain_seconds_max)
            await ended([relay])
            await runtime.close()

    app = FastAPI(title=f"Estuaire — {service.name}", version="1", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.runtime = runtime
    app.add_middleware(Edge, settings=given, metrics=runtime.metrics)
    add_problem_handlers(app)
    app.include_router(_probes(runtime))
    app.include_router(service.routes(runtime))
    return app


async def _until_loaded(runtime: Runtime) -> None:
    """Loads the schema ids from the database and asks the registry once; waits for it only when an id is missing."""
    while True:
        try:
            await runtime.schema_ids.load()
            break
        except Exception as error:
            _log.warning("the database is away (%s); trying again", type(error).__name__)
            await asyncio.sleep(1)
    await _confirm(runtime)
    while not runtime.schema_ids.complete:
        await asyncio.sleep(1)
        await _confirm(runtime)


async def _check_registry(runtime: Runtime) -> None:
    """Confirms ids read from the database as soon as the registry answers."""
    while not await _confirm(runtime):
        await asyncio.sleep(1)


async def _confirm(runtime: Runtime) -> bool:
    """Whether the registry agreed. When it contradicts, the service stops, and this never returns: nothing more is written."""
    try:
        await runtime.schema_ids.agree_with_registry()
    except Unavailable as error:
        _log.debug("schema ids are not confirmed yet: %s", error)
        return False
    except SchemaMismatch as mismatch:
        _log.critical("%s", mismatch)
        signal.raise_signal(signal.SIGTERM)
        await asyncio.Event().wait()
    return True


def _probes(runtime: Runtime) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/livez")
    async def livez() -> Response:
        """The loop turns and the consumers try; a part that is away, or a stopped partition, is no reason to restart."""
        if runtime.inbox is not None and runtime.inbox.frozen:
            return problem(
                503, "the consumer has records to read and has not tried for a minute", reason="consumer_frozen"
            )
        return PlainTextResponse("ok")

    @router.get("/readyz")
    async def readyz() -> Response:
        """The database answers, schema ids are known, the log agrees, the group has seen its assignment."""
        async with runtime.database.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        if not runtime.schema_ids.complete:
            return problem(503, "schema ids are not known yet: is the registry reachable?", reason="schema_ids_missing")
        if runtime.relay.disagreement or not runtime.relay.has_looked:
            return problem(
                503,
                "the log and the database disagree: run `estuaire reconcile`"
                if runtime.relay.disagreement
                else "the log has not been compared with the database yet",
                reason=runtime.relay.disagreement or "log_not_compared",
            )
        if runtime.inbox is not None and not runtime.inbox.ready:
            return problem(503, "the consumer has no assignment or cannot read its positions", reason="not_consuming")
        return PlainTextResponse("ok")

    router.add_api_route("/startupz", readyz, methods=["GET"])

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(runtime.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return router


def run(service: Service) -> None:
    """Entry point of a service's process: reads the settings, serves until SIGTERM, drains."""
    given = settings.load(service.settings)
    failpoints.check(development=given.development)
    telemetry.start(service.name, given)
    app = build_app(service, given)
    config = uvicorn.Config(
        app,
        host=given.http_host,
        port=given.http_port,
        log_config=None,
        access_log=False,
        server_header=False,
        # Longer than an ingress keeps an idle connection (60 s for nginx): closed from both ends at once, its next request is lost.
        timeout_keep_alive=75,
        # Streams to browsers never end by themselves; the rest finishes well before.
        timeout_graceful_shutdown=5,
    )
    uvicorn.Server(config).run()
