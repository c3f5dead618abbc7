"""Schema ids, kept in the service's own database so that a start does not wait for the registry."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from aiokafka import ConsumerRecord

from common.avro import Codec, Registry, schema_id_of
from common.contracts import Contracts, full_name
from common.failures import Malformed, Unavailable
from common.transaction import Database

_ABSENT_SECONDS = 30.0
# A registry that was just started answers before it has read its own topic: so often it may not know what it once gave us.
UNKNOWN_COUNT_MAX = 60


class SchemaMismatch(Exception):
    """The registry gives another id, or no longer any, for a schema that we write: the service must not go on."""


class SchemaIds:
    """Fills the codec from the database, then from the registry."""

    def __init__(
        self,
        codec: Codec,
        *,
        database: Database,
        registry: Registry,
        contracts: Contracts,
        written: tuple[str, ...],
        read: tuple[str, ...] = (),
    ) -> None:
        self.codec = codec
        self._database = database
        self._registry = registry
        self._contracts = contracts
        self._written = written
        self._read = read
        self._schemas: dict[int, Any] = {}
        self._absent: dict[int, float] = {}
        self._unknown_count = 0

    @property
    def complete(self) -> bool:
        """Whether every record that we emit has its id."""
        return all(name in self.codec.ids for name in self._written)

    async def load(self) -> None:
        """Reads what earlier runs stored; a stored schema that is no longer our newest is not written with."""
        async with self._database.transaction() as tx:
            rows = await tx.fetch_all("SELECT schema_id, write_as, avro FROM known_schema")
        for row in rows:
            schema = json.loads(row.avro)
            newest = row.write_as in self._written and schema == self._contracts.latest(row.write_as)
            self._schemas[row.schema_id] = schema
            self.codec.learn(row.schema_id, schema, write_as=row.write_as if newest else None)

    async def agree_with_registry(self) -> None:
        """Asks the registry for every record that we write, and stores the ids; raises `SchemaMismatch` or `Unavailable`."""
        for name in self._written:
            schema = self._contracts.latest(name)
            schema_id = await self._registry.id_of(name, schema)
            known = self.codec.ids.get(name)
            if schema_id is None and known is None:
                raise Unavailable(
                    f"{name} is not registered yet: the deploy job runs `estuaire schemas register` first"
                )
            if schema_id is None and self._unknown_count < UNKNOWN_COUNT_MAX:
                self._unknown_count += 1
                raise Unavailable(f"{name} is not in the registry, which gave it id {known}: is it reading its topic?")
            if known is not None and known != schema_id:
                raise SchemaMismatch(
                    f"{name} has id {schema_id} in the registry and {known} in this database: another registry, or one that lost its storage"
                )
            if known is None and schema_id is not None:
                await self._store(schema_id, schema, write_as=name)
        self._unknown_count = 0
        await self._learn_what_is_read()

    async def _learn_what_is_read(self) -> None:
        """Ids of the records that others write, so that none is met for the first time while the registry is away."""
        for name in self._read:
            for schema in self._contracts.versions(name):
                if schema in self._schemas.values():
                    continue
                schema_id = await self._registry.id_of(name, schema)
                if schema_id is not None and not self.codec.knows(schema_id):
                    await self._store(schema_id, schema, write_as=None)

    async def learn(self, schema_id: int) -> None:
        """Makes a foreign id known if the registry knows it; raises `Unavailable` when it cannot be asked."""
        if time.monotonic() < self._absent.get(schema_id, 0.0):
            return
        schema = await self._registry.schema_of(schema_id)
        if schema is None:
            if len(self._absent) > 10_000:
                self._absent.clear()
            self._absent[schema_id] = time.monotonic() + _ABSENT_SECONDS
            return
        try:
            await self._store(schema_id, schema, write_as=None)
        except Malformed:
            self._absent[schema_id] = time.monotonic() + _ABSENT_SECONDS

    async def raw_schema(self, value: bytes | None) -> Any | None:
        """The schema behind a record's id, learnt if need be; None when nobody knows it."""
        schema_id = schema_id_of(value)
        if not self.codec.knows(schema_id):
            await self.learn(schema_id)
        return self._schemas.get(schema_id)

    async def _store(self, schema_id: int, schema: Any, *, write_as: str | None) -> None:
        self.codec.learn(schema_id, schema, write_as=write_as)
        self._schemas[schema_id] = schema
        async with self._database.transaction() as tx:
            await tx.execute(
                """INSERT INTO known_schema (schema_id, write_as, avro) VALUES (:id, :write_as, :schema)
                   ON CONFLICT (schema_id) DO UPDATE SET write_as = COALESCE(excluded.write_as, known_schema.write_as)""",
                id=schema_id,
                write_as=write_as,
                schema=json.dumps(schema),
            )


def written_by(contracts: Contracts, service: str) -> tuple[str, ...]:
    """Full names of the records that a service emits."""
    return tuple(sorted(contracts.emitted_by(service)))


def read_by(contracts: Contracts, service: str) -> tuple[str, ...]:
    """Full names of the records of the topics that a service consumes."""
    topics = [topic for topic in contracts.declared if service in topic.consumers]
    return tuple(sorted({full_name(contracts.latest(path)) for topic in topics for path in topic.records}))


def codec_for(contracts: Contracts) -> Codec:
    """A codec that resolves every record to our newest version of it."""
    return Codec(
        {full_name(versions[max(versions)]): versions[max(versions)] for versions in contracts.schemas.values()}
    )


def unknown_schema_ids(records: Sequence[ConsumerRecord], codec: Codec) -> set[int]:
    """Ids in these records that the codec has not learnt; records without an id are left to `Codec.decode`."""
    ids = set()
    for record in records:
        try:
            schema_id = schema_id_of(record.value)
        except Malformed:
            continue
        if not codec.knows(schema_id):
            ids.add(schema_id)
    return ids
