"""Writes the rows of a read model whole: one statement per table and batch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlmodel import SQLModel

from common.transaction import Transaction
from common.verdicts import Delivery

Row = dict[str, Any]


async def load(tx: Transaction, table: type[SQLModel], ids: Sequence[UUID]) -> dict[UUID, Row]:
    """Rows of a table by their single-column key."""
    key = _key(table)
    found = await tx.fetch_all(f"SELECT * FROM {table.__tablename__} WHERE {key} = ANY(:ids)", ids=sorted(set(ids)))
    return {getattr(row, key): dict(row._mapping) for row in found}


async def save(tx: Transaction, table: type[SQLModel], rows: Sequence[Row]) -> None:
    """Inserts or replaces rows, whole."""
    if not rows:
        return
    columns = list(table.model_fields)
    await tx.execute(
        f"""INSERT INTO {table.__tablename__} ({", ".join(columns)})
            SELECT {", ".join(columns)} FROM jsonb_populate_recordset(NULL::{table.__tablename__}, CAST(:rows AS jsonb))
            ON CONFLICT ({_key(table)}) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in columns)}""",
        rows=json.dumps(rows, default=lambda value: value.isoformat() if hasattr(value, "isoformat") else str(value)),
    )


def blank(table: type[SQLModel]) -> Row:
    """A row of which nothing is told yet: the defaults of its columns."""
    return {name: field.get_default(call_default_factory=True) for name, field in table.model_fields.items()}


def stamp(delivery: Delivery, key: str) -> Row:
    """Whose row it is, the version that it has reached, and where its last change stands."""
    message = delivery.message
    return {key: message.aggregate_id, "aggregate_version": message.aggregate_version, **place_in_log(delivery)}


def place_in_log(delivery: Delivery) -> Row:
    """Where a row's last change stands."""
    return {"log_topic": delivery.topic, "log_partition": delivery.partition, "log_offset": delivery.offset}


def _key(table: type[SQLModel]) -> str:
    (key,) = table.__table__.primary_key.columns  # type: ignore[attr-defined]
    return str(key.name)
