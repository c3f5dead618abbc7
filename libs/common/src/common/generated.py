"""Generated from schemas/avro by `make schemas`; do not edit."""

from __future__ import annotations

from common.messages import Message


class CaseLinked(Message):
    """
    A professional attached a case of the dropout observatory to what they hold, apply for or book. On no topic of facts.
    """

    namespace = "estuaire.common"

    case_code: str
    """
    The code that stands for the case on paper: ten characters, one of them a check.
    """


class CaseUnlinked(Message):
    """
    No case is attached any more.
    """

    namespace = "estuaire.common"


class RecordDeadLettered(Message):
    """
    A service could not read or apply a record and set it aside; its bytes stay in that service's database.
    """

    namespace = "estuaire.common"

    service: str
    """
    The service that set it aside.
    """
    topic: str
    """
    Topic of the record.
    """
    partition: int
    """
    Partition of the record.
    """
    offset: int
    """
    Offset of the record.
    """
    reason: str
    """
    Closed code of the reason, such as unknown_schema_id.
    """
    size_bytes: int
    """
    Size of the record's value.
    """
    sha256: str
    """
    SHA-256 of the record's value, in hexadecimal.
    """
    value: bytes | None = None
    """
    The original bytes; null when over 200 kB or from a partner's topic, whose bytes may hold personal data.
    """


class ServiceHealthReported(Message):
    """
    What a service knows of its own pipeline, every few seconds; only the latest matters.
    """

    namespace = "estuaire.common"

    service: str
    """
    The service that reports.
    """
    outbox_depth: int
    """
    Messages committed and not yet published.
    """
    outbox_age_seconds: float
    """
    Age of the oldest of them.
    """
    lag_count: int
    """
    Records published and not yet consumed, over its topics.
    """
    dead_letter_count: int
    """
    Dead letters that nobody has replayed or discarded.
    """
    parked_key_count: int
    """
    Keys that wait for a missing version.
    """
    stopped_partition_count: int
    """
    Partitions that a limit or a lost offset stopped.
    """
    unsent_count: int = 0
    """
    Mails committed and not yet accepted by the relay; 0 from a service that does not say.
    """
    unsent_age_seconds: float = 0.0
    """
    Age of the oldest of these mails.
    """
    undelivered_count: int = 0
    """
    Mails that were given up, and that nobody has sent again or discarded.
    """
