"""What every message carries beside its facts: the envelope, inside the record because sinks lose headers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import ClassVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict

ENVELOPE_FIELDS = ("event_id", "occurred_at", "aggregate_id", "aggregate_version", "correlation_id", "causation_id")

_NIL = UUID(int=0)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Part(BaseModel):
    """A record nested in a message."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Message(BaseModel):
    """A fact that travels on Kafka.

    Rules build messages from facts and `occurred_at` alone; `Transaction.emit` fills the rest of the envelope, so an
    unset envelope never leaves the process.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    namespace: ClassVar[str] = ""

    event_id: UUID = _NIL
    occurred_at: AwareDatetime = _EPOCH
    aggregate_id: UUID = _NIL
    aggregate_version: int = 0
    correlation_id: UUID = _NIL
    causation_id: UUID | None = None

    @classmethod
    def record_name(cls) -> str:
        """The name of the Avro record, which is the name of the class."""
        return cls.__name__


def by_full_name(classes: Iterable[type[Message]]) -> dict[str, type[Message]]:
    """Full record name to class."""
    return {f"{cls.namespace}.{cls.record_name()}": cls for cls in classes}


def last_version_of(
    kinds: tuple[type[Message], ...], messages: Sequence[Message], version: int, *, otherwise: int
) -> int:
    """The version of the last message of some kinds, where `version` is that of the last of all; `otherwise` if there is none."""
    numbered = zip(range(version, 0, -1), reversed(messages), strict=False)
    return next((number for number, message in numbered if isinstance(message, kinds)), otherwise)
