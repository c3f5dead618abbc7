"""Start here: the process that writes the lake and has the weekly release made of it, `dropout-observatory lake`. One at a time; a
second takes over from the first."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import uvicorn
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from fastapi import APIRouter, FastAPI
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, generate_latest
from pydantic import Field

from common import failpoints, settings, telemetry
from common.failures import ended, forever, is_unavailable
from common.http import problem
from common.log_view import LogView
from common.runtime import Runtime, Service, build_runtime
from common.settings import Settings
from dropout_observatory.indicators.weekly import Weekly, WeeklyMetrics
from dropout_observatory.lake import ledger
from dropout_observatory.lake.columns import datasets
from dropout_observatory.lake.files import Folder
from dropout_observatory.lake.iceberg import Tables, catalogue_address
from dropout_observatory.lake.sink import Sink

_log = logging.getLogger(__name__)
# The lake is the observatory's: its database, its role in Kafka. It consumes no topic as the service does.
SERVICE = Service(name="dropout-observatory", routes=lambda _: APIRouter())
_AGAIN_SECONDS = 5


class LakeSettings(Settings):
    """What the writer of the lake is told beside what every process of the service is."""

    lake_url: str = Field(description="A folder, or an address that fsspec knows, such as s3://bucket/lake")
    lake_flush_count: int = Field(default=50_000, ge=1, description="Records after which files are written")
    lake_flush_seconds: float = Field(default=60.0, gt=0, description="At the latest")
    lake_compact_seconds: float = Field(default=3600.0, gt=0, description="How often small files are merged")
    lake_file_rows_max: int = Field(default=1_000_000, ge=1)
    lake_catalogue_url: str | None = Field(
        default=None,
        description="SQLAlchemy's address of the Iceberg catalogue, such as postgresql+psycopg://…?connect_timeout=5; "
        "without it, SQLite beside a local lake; empty: no Iceberg tables",
    )
    lake_tables_seconds: float = Field(default=300.0, ge=0, description="So much the Iceberg tables may be behind")
    release_weekly: bool = Field(default=True, description="Whether a release of figures is published each Monday")
    release_look_seconds: float = Field(default=30.0, gt=0, description="How often it looks whether a release is due")


class LakeMetrics:
    """What the writer of the lake tells Prometheus."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.rows = Counter("estuaire_lake_rows", "Rows written to the lake.", registry=registry)
        self.lag = Gauge("estuaire_lake_lag", "Records published and not yet in the lake.", registry=registry)
        self.waits = Gauge(
            "estuaire_lake_waits", "1 while something holds it up: the readiness probe says what.", registry=registry
        )
        self.tables_wait = Gauge(
            "estuaire_lake_tables_wait",
            "1 while the Iceberg tables do not follow; the lake itself goes on.",
            registry=registry,
        )
        self.unreadable = Gauge(
            "estuaire_lake_unreadable", "Records that the lake could not read and keeps aside.", registry=registry
        )

    def told(self, row_count: int, lag: int) -> None:
        """Hears how many rows were written, and how many records are left."""
        self.rows.inc(row_count)
        self.lag.set(lag)


def sink_of(runtime: Runtime, given: LakeSettings, metrics: LakeMetrics) -> Sink:
    """The writer, not started; raises `ValueError` for an address that cannot be used."""
    folder, known = Folder(given.lake_url), datasets(runtime.contracts)
    return Sink(
        folder,
        known,
        database=runtime.database,
        registry=runtime.registry,
        contracts=runtime.contracts,
        bootstrap_servers=given.kafka_bootstrap_servers,
        flush_count=given.lake_flush_count,
        flush_seconds=given.lake_flush_seconds,
        compact_seconds=given.lake_compact_seconds,
        file_rows_max=given.lake_file_rows_max,
        tables=Tables(catalogue_address(given.lake_catalogue_url, folder), folder, known),
        tables_seconds=given.lake_tables_seconds,
        told=metrics.told,
    )


async def ends_of(sink: Sink, log_view: LogView) -> Mapping[TopicPartition, int]:
    """Where the log ends now, of every partition of facts."""
    try:
        return (await log_view.bounds(await sink.partitions()))[1]
    finally:
        await log_view.drop()


def build_app(given: LakeSettings) -> FastAPI:
    """The process: the writer as a task, its probes and metrics as routes."""
    runtime, metrics = build_runtime(SERVICE, given), LakeMetrics()
    sink = sink_of(runtime, given, metrics)
    log_view = LogView(given.kafka_bootstrap_servers)
    weekly = Weekly(runtime.database, lambda: ends_of(sink, log_view), WeeklyMetrics(metrics.registry))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(write(sink), name="lake")]
        if given.release_weekly:
            weekly_round = forever(weekly.round, seconds=given.release_look_seconds)
            tasks.append(asyncio.create_task(weekly_round, name="releases"))
        try:
            yield
        finally:
            await ended(tasks)
            await runtime.close()

    app = FastAPI(title="Estuaire — lake", version="1", lifespan=lifespan, docs_url=None, redoc_url=None)

    @app.get("/livez")
    async def livez() -> Response:
        """The loop turns; what is away is no reason to restart."""
        return PlainTextResponse("ok")

    @app.get("/readyz")
    @app.get("/startupz")
    async def readyz() -> Response:
        """It writes: nothing holds it up."""
        return problem(503, sink.problem, reason="not_writing") if sink.problem else PlainTextResponse("ok")

    @app.get("/metrics")
    async def scraped() -> Response:
        metrics.waits.set(bool(sink.problem))
        metrics.tables_wait.set(bool(sink.tables.problem))
        async with runtime.database.transaction() as tx:
            metrics.unreadable.set(sum(row["unreadable_count"] for row in await ledger.positions(tx)))
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return app


async def write(sink: Sink) -> None:
    """Writes for ever; what is away, or waits for an operator, is tried again from what is stored."""
    while True:
        try:
            await sink.run()
        except ledger.Fenced as other:
            # Taking it back would have two of them take turns for ever; a restart of this process is a decision to.
            sink.problem = f"{other}; restart this process if it should be this one"
            _log.error("the lake is written by another process: this one stops writing")
            await asyncio.Event().wait()
        except Exception as error:
            sink.problem = str(error) or type(error).__name__
            if is_unavailable(error) or isinstance(error, KafkaError):
                _log.warning("the lake waits: %s", sink.problem)
            else:
                _log.exception("the lake stopped; it starts again")
        await asyncio.sleep(_AGAIN_SECONDS)


def main() -> None:
    """The process."""
    given = settings.load(LakeSettings)
    failpoints.check(development=given.development)
    telemetry.start("dropout-observatory-lake", given)
    config = uvicorn.Config(
        build_app(given),
        host=given.http_host,
        port=given.http_port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    uvicorn.Server(config).run()
