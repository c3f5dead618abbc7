"""Traces, the one list of metrics, and JSON logs that carry the trace id."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

from opentelemetry import context, propagate, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from common.settings import Settings

_REPEAT_SECONDS = 10
_tracer = trace.get_tracer("estuaire")


class Metrics:
    """Every metric of a service process, one sentence each; nothing here ever carries a personal value."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.outbox_depth = Gauge(
            "estuaire_outbox_depth", "Messages committed and not yet acknowledged by Kafka.", registry=registry
        )
        self.outbox_age_seconds = Gauge(
            "estuaire_outbox_age_seconds", "Age of the oldest message not yet acknowledged by Kafka.", registry=registry
        )
        self.outbox_parked_keys = Gauge(
            "estuaire_outbox_parked_keys",
            "Keys held back because one of their messages can never be sent.",
            registry=registry,
        )
        self.outbox_published = Counter(
            "estuaire_outbox_published", "Messages that Kafka acknowledged.", ["topic"], registry=registry
        )
        self.producer_rebuilds = Counter(
            "estuaire_producer_rebuilds", "Producers thrown away after a produce error.", registry=registry
        )
        self.log_disagrees = Gauge(
            "estuaire_log_disagrees",
            "1 while the log and the database disagree: `estuaire reconcile`.",
            registry=registry,
        )
        self.relay_leader = Gauge(
            "estuaire_relay_leader", "1 while this process holds the relay's lease.", registry=registry
        )
        self.consumer_lag = Gauge(
            "estuaire_consumer_lag", "Records published and not yet applied.", ["topic", "partition"], registry=registry
        )
        self.freshness_seconds = Gauge(
            "estuaire_freshness_seconds",
            "Age of the instant up to which everything published is applied.",
            ["topic", "partition"],
            registry=registry,
        )
        self.verdicts = Counter(
            "estuaire_verdicts",
            "Records handled, by verdict: accepted, duplicate, unused, parked, malformed.",
            ["topic", "verdict"],
            registry=registry,
        )
        self.unavailable = Counter(
            "estuaire_unavailable", "Batches put off because the database or the broker was away.", registry=registry
        )
        self.fenced = Counter(
            "estuaire_fenced", "Batches rolled back because another consumer had moved the position.", registry=registry
        )
        self.consumer_failures = Counter(
            "estuaire_consumer_failures",
            "Partitions stopped by a bug: a record could neither be handled nor set aside.",
            ["topic"],
            registry=registry,
        )
        self.dead_letters_open = Gauge(
            "estuaire_dead_letters_open", "Dead letters that nobody has replayed or discarded.", registry=registry
        )
        self.parked_keys = Gauge("estuaire_parked_keys", "Keys that wait for a missing version.", registry=registry)
        self.partitions_stopped = Gauge(
            "estuaire_partitions_stopped",
            "Partitions stopped by a limit or a lost offset; they need an operator.",
            registry=registry,
        )
        self.version_conflicts = Counter(
            "estuaire_version_conflicts",
            "Messages whose version was already applied under another event id.",
            ["topic"],
            registry=registry,
        )
        self.handling_seconds = Histogram(
            "estuaire_handling_seconds",
            "Time to apply one batch of a partition, its transaction included.",
            ["topic"],
            registry=registry,
        )
        self.sweep_failures = Counter(
            "estuaire_sweep_failures",
            "Items that came due and could not be done: each is set aside and tried again later.",
            ["sweeper"],
            registry=registry,
        )
        self.requests = Counter(
            "estuaire_http_requests",
            "HTTP requests answered, by route and status.",
            ["route", "status"],
            registry=registry,
        )
        self.mail_waiting = Gauge(
            "estuaire_mail_waiting", "Mails committed and not yet accepted by the mail server.", registry=registry
        )
        self.mail_waiting_seconds = Gauge(
            "estuaire_mail_waiting_seconds", "Age of the oldest of them.", registry=registry
        )
        self.mail_failed = Gauge(
            "estuaire_mail_failed",
            "Mails that could not be delivered and that nobody has sent again or discarded.",
            ["state"],
            registry=registry,
        )


class _Sparing(logging.Filter):
    """Lets a library say the same thing once in ten seconds: aiokafka repeats itself ten times a second while a broker is away."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("aiokafka"):
            return True
        key, before = (record.name, record.msg), self._said.get((record.name, record.msg), float("-inf"))
        if record.created - before < _REPEAT_SECONDS:
            return False
        self._said[key] = record.created
        return True


class _JsonFormatter(logging.Formatter):
    """One JSON object per line. Exceptions are named with their place, never with their values: those may be personal."""

    def format(self, record: logging.LogRecord) -> str:
        span = trace.get_current_span().get_span_context()
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if span.is_valid:
            line["trace_id"] = format(span.trace_id, "032x")
        if record.exc_info and record.exc_info[0] is not None:
            frame = record.exc_info[2]
            while frame is not None and frame.tb_next is not None:
                frame = frame.tb_next
            line["error"] = record.exc_info[0].__name__
            if frame is not None:
                line["at_line"] = f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}"
        return json.dumps(line, ensure_ascii=False)


def start(service: str, settings: Settings) -> None:
    """Sets up logs and traces for the process; spans leave it only when a collector is configured."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter())
    handler.addFilter(_Sparing())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for noisy in ("aiokafka", "faststream", "httpx", "httpcore", "uvicorn.access", "uvicorn.error"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    if settings.otlp_endpoint:
        # Its import costs 10 MB, which a service without a collector need not spend.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.otlp_endpoint)))
    trace.set_tracer_provider(provider)


def carried() -> dict[str, str]:
    """The current trace context as headers (`traceparent`), to be stored in the outbox."""
    headers: dict[str, str] = {}
    propagate.inject(headers)
    return headers


@contextmanager
def span(name: str, carrier: Mapping[str, str] | None = None) -> Iterator[None]:
    """A span, continuing the trace that `carrier` brought when there is one."""
    token = context.attach(propagate.extract(carrier)) if carrier else None
    try:
        with _tracer.start_as_current_span(name):
            yield
    finally:
        if token is not None:
            context.detach(token)
