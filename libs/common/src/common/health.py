"""What a service knows of its own pipeline: gauges for Prometheus, and a message for the pipeline page."""

from __future__ import annotations

from uuid import NAMESPACE_URL, UUID, uuid5

from common import mail
from common.failures import forever
from common.generated import ServiceHealthReported
from common.inbox import Inbox
from common.settings import Settings
from common.telemetry import Metrics
from common.transaction import Database

_NUMBERS = """
SELECT (SELECT count(*) FROM outbox WHERE published_at IS NULL) AS outbox_depth,
       (SELECT COALESCE(extract(epoch FROM clock_timestamp() - min(created_at)), 0) FROM outbox
         WHERE published_at IS NULL AND topic <> :own) AS outbox_age_seconds,
       (SELECT count(DISTINCT key) FROM outbox WHERE parked_reason IS NOT NULL) AS outbox_parked_keys,
       (SELECT count(*) FROM dead_letter WHERE status = 'open') AS dead_letters,
       (SELECT count(DISTINCT (topic, key)) FROM parked_message) AS parked_keys,
       (SELECT count(*) FROM consumer_position WHERE stopped_reason IS NOT NULL) AS stopped_partitions
"""
_MAILS = f"""
SELECT {mail.STATE} AS state, count(*) AS mails, extract(epoch FROM clock_timestamp() - min(created_at)) AS age_seconds
FROM mail WHERE sent_at IS NULL GROUP BY 1
"""


class HealthReporter:
    """Reads the numbers every few seconds, sets the gauges, emits `ServiceHealthReported`."""

    def __init__(
        self, service: str, *, database: Database, inbox: Inbox | None, settings: Settings, metrics: Metrics, topic: str
    ) -> None:
        self._service = service
        self._database = database
        self._inbox = inbox
        self._settings = settings
        self._metrics = metrics
        self._topic = topic
        self._id: UUID = uuid5(NAMESPACE_URL, f"urn:estuaire:service:{service}")

    async def run(self) -> None:
        """Reports until cancelled."""
        await forever(self.report, seconds=self._settings.health_report_seconds)

    async def report(self) -> None:
        """Reads, sets, emits once."""
        async with self._database.transaction() as tx:
            row = await tx.fetch_one(_NUMBERS, own=self._topic)
            assert row is not None
            self._metrics.outbox_depth.set(row.outbox_depth)
            self._metrics.outbox_age_seconds.set(row.outbox_age_seconds)
            self._metrics.outbox_parked_keys.set(row.outbox_parked_keys)
            self._metrics.dead_letters_open.set(row.dead_letters)
            self._metrics.parked_keys.set(row.parked_keys)
            self._metrics.partitions_stopped.set(row.stopped_partitions)
            mails = {row.state: row for row in await tx.fetch_all(_MAILS)}
            waiting = [mails[state] for state in mail.WAITING if state in mails]
            waiting_count = sum(row.mails for row in waiting)
            waiting_seconds = float(max((row.age_seconds for row in waiting), default=0))
            failed = {state: mails[state].mails if state in mails else 0 for state in mail.FAILED}
            self._metrics.mail_waiting.set(waiting_count)
            self._metrics.mail_waiting_seconds.set(waiting_seconds)
            for state, count in failed.items():
                self._metrics.mail_failed.labels(state).set(count)
            # One unpublished report is enough: while Kafka is away they must not fill the outbox.
            if await tx.fetch_one(
                "SELECT 1 FROM outbox WHERE published_at IS NULL AND topic = :own AND key = :key",
                own=self._topic,
                key=str(self._id),
            ):
                return
            await tx.emit(
                [
                    ServiceHealthReported(
                        occurred_at=await tx.now(),
                        service=self._service,
                        outbox_depth=row.outbox_depth,
                        outbox_age_seconds=float(row.outbox_age_seconds),
                        lag_count=self._inbox.positions.lag if self._inbox else 0,
                        dead_letter_count=row.dead_letters,
                        parked_key_count=row.parked_keys,
                        stopped_partition_count=row.stopped_partitions,
                        unsent_count=waiting_count,
                        unsent_age_seconds=waiting_seconds,
                        undelivered_count=sum(failed.values()),
                    )
                ],
                aggregate_id=self._id,
                version=0,
            )
