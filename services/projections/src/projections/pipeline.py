"""Read model of the pipeline page: what each service says of its own outbox, lag and dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from common import contracts
from common.generated import RecordDeadLettered, ServiceHealthReported
from common.settings import Settings
from common.transaction import Transaction
from common.verdicts import Delivery
from projections import rows
from projections.rows import Row
from projections.tables import PipelineDeadLetter, PipelineService

MESSAGES = (ServiceHealthReported, RecordDeadLettered)
_SHOWN_MAX = 50


def topics() -> list[str]:
    """Where services tell how they are: a new one is shown when its topic is declared."""
    known = contracts.load(Settings.model_fields["schemas_dir"].default)
    return [
        name
        for name, topic in known.topics.items()
        if "common/ServiceHealthReported" in topic.records and "projections" in topic.consumers
    ]


async def fold(tx: Transaction, deliveries: Sequence[Delivery]) -> None:
    """The latest report of each service, and every dead letter."""
    services: dict[str, Row] = {}
    letters: dict[Any, Row] = {}
    for delivery in deliveries:
        message = delivery.message
        if isinstance(message, ServiceHealthReported):
            facts = message.model_dump(include=set(PipelineService.model_fields))
            services[message.service] = facts | rows.place_in_log(delivery)
        elif isinstance(message, RecordDeadLettered):
            letters[message.aggregate_id] = {
                "dead_letter_id": message.aggregate_id,
                "service": message.service,
                "source_topic": message.topic,
                "source_partition": message.partition,
                "source_offset": message.offset,
                "reason": message.reason,
                "size_bytes": message.size_bytes,
                "occurred_at": message.occurred_at,
                **rows.place_in_log(delivery),
            }
    await rows.save(tx, PipelineService, list(services.values()))
    await rows.save(tx, PipelineDeadLetter, list(letters.values()))


async def read(tx: Transaction) -> dict[str, Any]:
    """Services, positions of this projection, and the newest dead letters."""
    services = await tx.fetch_all("SELECT * FROM pipeline_service ORDER BY service")
    positions = await tx.fetch_all(
        """SELECT topic, count(*) AS partitions, sum(next_offset) AS applied, count(stopped_reason) AS stopped,
                  extract(epoch FROM clock_timestamp() - min(complete_at)) AS age_seconds
           FROM consumer_position GROUP BY topic ORDER BY topic"""
    )
    letters = await tx.fetch_all(
        "SELECT * FROM pipeline_dead_letter ORDER BY occurred_at DESC, dead_letter_id LIMIT :limit", limit=_SHOWN_MAX
    )
    return {
        "now": await tx.now(),
        "services": [dict(row._mapping) for row in services],
        "topics": [dict(row._mapping) for row in positions],
        "dead_letters": [dict(row._mapping) for row in letters],
    }
