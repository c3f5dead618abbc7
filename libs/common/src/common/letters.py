"""The dead letters of one batch: what is set aside with its reason and its bytes, told to others, and when it is too much."""

from __future__ import annotations

import hashlib
import json
import logging
from bisect import bisect_right
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4, uuid5

from aiokafka import ConsumerRecord
from sqlalchemy import Row

from common.failures import Malformed
from common.generated import RecordDeadLettered
from common.settings import Settings
from common.transaction import Transaction

_log = logging.getLogger(__name__)
_DEAD_LETTER_NAMESPACE = UUID("5f1c2a51-6a0e-4c0e-9c53-4a7d1b1f0e7a")


@dataclass(frozen=True)
class StoredRecord:
    """The parts of a ConsumerRecord that applying one needs, as a dead letter or a parked message kept them."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    timestamp: int = 0

    @classmethod
    def of(cls, row: Row[Any]) -> StoredRecord:
        """From a row of `dead_letter`."""
        headers = tuple((name, bytes.fromhex(value) if value is not None else None) for name, value in row.headers)
        return cls(
            row.topic, row.partition, row.offset, row.key and bytes(row.key), row.value and bytes(row.value), headers
        )


class Letters:
    """Collects what a batch sets aside; written once, in the batch's transaction."""

    def __init__(self, tx: Transaction, *, service: str, settings: Settings, emits: bool) -> None:
        self._tx = tx
        self._service = service
        self._settings = settings
        self._emits = emits
        self._letters: list[tuple[UUID, ConsumerRecord | StoredRecord, Malformed]] = []
        # Offsets of this partition's dead letters within the limits' reach, ascending; read with the first one.
        self._offsets: list[int] | None = None

    def add(self, record: ConsumerRecord | StoredRecord, malformed: Malformed) -> None:
        """Sets a record aside."""
        _log.warning("dead letter %s/%d/%d: %s", record.topic, record.partition, record.offset, malformed.reason)
        # The timestamp tells it from the record that had the same offset before the topic was made anew.
        place = f"{record.topic}/{record.partition}/{record.offset}/{record.timestamp or uuid4()}"
        self._letters.append((uuid5(_DEAD_LETTER_NAMESPACE, f"{self._service}/{place}"), record, malformed))

    async def save(self) -> None:
        """Writes what was set aside in this batch, in one statement: a topic may be flooded with what nobody can read."""
        if not self._letters:
            return
        records = [record for _, record, _ in self._letters]
        await self._tx.execute(
            """INSERT INTO dead_letter (id, topic, partition, "offset", key, value, headers, reason, detail, status)
               SELECT id, :topic, :partition, "offset", key, value, CAST(headers AS jsonb), reason, detail, 'open'
               FROM unnest(CAST(:ids AS uuid[]), CAST(:offsets AS bigint[]), CAST(:keys AS bytea[]), CAST(:contents AS bytea[]),
                           CAST(:headers AS text[]), CAST(:reasons AS text[]), CAST(:details AS text[]))
                    AS letter(id, "offset", key, value, headers, reason, detail)
               -- One that an operator replayed, which then waited for an earlier version, may fail only now.
               ON CONFLICT (topic, partition, "offset") DO UPDATE
                   SET status = 'open', reason = excluded.reason, detail = excluded.detail, resolved_at = NULL
                   WHERE dead_letter.status = 'replayed'""",
            topic=records[0].topic,
            partition=records[0].partition,
            ids=[letter_id for letter_id, _, _ in self._letters],
            offsets=[record.offset for record in records],
            keys=[record.key for record in records],
            contents=[record.value for record in records],
            headers=[_headers_json(record) for record in records],
            reasons=[malformed.reason for _, _, malformed in self._letters],
            details=[malformed.detail.replace("\x00", "\ufffd") for _, _, malformed in self._letters],
        )
        if not self._emits:
            return
        now = await self._tx.now()
        for letter_id, record, malformed in self._letters:
            value = record.value or b""
            message = RecordDeadLettered(
                occurred_at=now,
                service=self._service,
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                reason=malformed.reason,
                size_bytes=len(value),
                sha256=hashlib.sha256(value).hexdigest(),
                value=value if len(value) <= self._settings.dead_letter_published_bytes_max else None,
            )
            await self._tx.emit([message], aggregate_id=letter_id, version=0)

    async def over_the_limit(self, record: ConsumerRecord, limits_from: int) -> bool:
        """100 dead letters in a row, or 1 % of the last 10,000 records: that is a broken deploy, not a bad record."""
        window, run_max = self._settings.dead_letter_window_count, self._settings.dead_letter_run_max
        if self._offsets is None:
            rows = await self._tx.fetch_all(
                """SELECT "offset" FROM dead_letter WHERE topic = :topic AND partition = :partition
                     AND "offset" >= :limits_from AND "offset" > :after_window AND "offset" < :offset
                   ORDER BY "offset" """,
                offset=record.offset,
                after_window=record.offset - max(window, run_max),
                limits_from=limits_from,
                topic=record.topic,
                partition=record.partition,
            )
            self._offsets = [row.offset for row in rows]
        self._offsets.append(record.offset)
        of_run, of_window = (
            len(self._offsets) - bisect_right(self._offsets, record.offset - count) for count in (run_max, window)
        )
        over = of_run >= run_max or of_window > window * self._settings.dead_letter_window_ratio_max
        if over:
            _log.error(
                "%s/%d is stopped: too many dead letters; repair, then `estuaire dead-letters resume`",
                record.topic,
                record.partition,
            )
        return over


def key_of(record: ConsumerRecord) -> str:
    """A record's key as text that PostgreSQL can hold."""
    return (record.key or b"").decode("utf-8", "replace").replace("\x00", "\ufffd")


def _headers_json(record: ConsumerRecord) -> str:
    headers = [
        [name if isinstance(name, str) else str(name), value.hex() if value is not None else None]
        for name, value in record.headers
    ]
    return json.dumps(headers).replace("\\u0000", "\\ufffd")
