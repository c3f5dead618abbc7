"""A database restored to an earlier point, and topics wiped, on real Kafka and PostgreSQL: listed, then ended."""

from __future__ import annotations

import asyncio
import importlib
import shutil
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from sqlalchemy import make_url

from common import contracts, services
from common.embedded.stack import Stack
from common.failures import Unavailable
from common.outbox import Relay
from common.reconcile import LOG_AHEAD, LOG_BEHIND, messages_of
from common.runtime import Runtime, Service, build_runtime
from common.settings import Settings
from common.telemetry import Metrics
from common.testing import FreshRuntime
from common.topics import create_topics
from events import ambassador_handlers, kit_handlers
from events.app import service as events_service
from events.bodies import AmbassadorBody, KitBody
from remediation_seats import store
from remediation_seats.app import service
from remediation_seats.messages import StructureKind


@dataclass
class World:
    """The seats service on topics of this test alone, with a relay that the test runs."""

    parts: Stack
    runtime: Runtime
    operator: Runtime
    topic: str
    names: list[str]

    async def describe(self, structure_id: UUID, name: str) -> None:
        """A structure is registered or renamed."""
        async with self.runtime.database.transaction() as tx:
            await store.save_structure(
                tx, structure_id, structure_name=name, kind=StructureKind.CFA, commune_code="76540",
                contact_email=None, fictitious=True,
            )  # fmt: skip

    @asynccontextmanager
    async def relaying(self) -> AsyncIterator[Relay]:
        """A relay's process while the block lasts; at its end it publishes what is left."""
        relay = Relay(self.runtime.database, self.runtime.settings, Metrics(), self.runtime.agreement)
        task = asyncio.create_task(relay.run())
        try:
            async with asyncio.timeout(20):
                while not relay.has_looked:
                    await asyncio.sleep(0.02)
            yield relay
        finally:
            relay.stop()
            await asyncio.wait_for(task, 20)

    async def told(self, field: str = "structure_name") -> dict[UUID, list[tuple[int, Any]]]:
        """(version, one field) of every message by aggregate, in the order of the log."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.parts.bootstrap_servers)
        await consumer.start()
        places = [TopicPartition(self.topic, number) for number in range(4)]
        consumer.assign(places)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(places)
        found: dict[UUID, list[tuple[int, Any]]] = defaultdict(list)
        while any([await consumer.position(place) < ends[place] for place in places]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    fields = self.runtime.schema_ids.codec.decode(record.value).fields
                    found[fields["aggregate_id"]].append((fields["aggregate_version"], fields.get(field)))
        await consumer.stop()
        return found

    @property
    def database(self) -> str:
        return self.runtime.settings.database_url.rpartition("/")[2]

    async def copy(self, source: str, copy: str) -> None:
        """Makes a database anew from another."""
        await self.runtime.database.engine.dispose()
        await self.operator.database.engine.dispose()
        owner = f'OWNER "{make_url(self.runtime.settings.database_url).username}"'
        self.parts.postgres.psql(f'DROP DATABASE IF EXISTS "{copy}" WITH (FORCE)')
        self.parts.postgres.psql(f'CREATE DATABASE "{copy}" TEMPLATE "{source}" {owner}')

    async def reconcile(self, *, apply: bool) -> tuple[bool, list[str]]:
        """What the command, a process of its own, would print."""
        lines: list[str] = []
        agreed = await self.operator.agreement.reconcile(lines.append, apply=apply)
        return agreed, lines


@pytest.fixture
async def world(parts: Stack, fresh_runtime: FreshRuntime, tmp_path: Path) -> AsyncIterator[World]:
    """The seats service's world, with what is told of structures."""
    async with world_of(service, "structures", parts, fresh_runtime, tmp_path) as made:
        yield made


@asynccontextmanager
async def world_of(
    service: Service, topic: str, parts: Stack, fresh_runtime: FreshRuntime, tmp_path: Path
) -> AsyncIterator[World]:
    """Topics under names of their own: the running stack fills the usual ones from its own databases."""
    folder, prefix = tmp_path / "avro", f"t{uuid4().hex}"
    shutil.copytree(parts.schemas_dir, folder)
    text = (folder / "topics.yaml").read_text().replace(f"\n{service.name}.", f"\n{prefix}.")
    (folder / "topics.yaml").write_text(text)
    known = contracts.load(folder)
    await create_topics(parts.bootstrap_servers, list(known.topics.values()))
    async with fresh_runtime(service.name.replace("-", "_"), schemas_dir=folder, outbox_lease_seconds=1.0) as runtime:
        renamed = [replace(a, topic=a.topic.replace(service.name, prefix, 1)) for a in service.aggregates]
        own = replace(service, aggregates=renamed)
        serving, operator = build_runtime(own, runtime.settings), build_runtime(own, runtime.settings)
        for made in (serving, operator):
            await made.schema_ids.load()
        await runtime.database.engine.dispose()  # a copy of a database needs it for itself
        names = [name for name in known.topics if name.startswith(prefix)]
        yield World(parts, serving, operator, f"{prefix}.{topic}.v1", names)
        for made in (serving, operator):
            await made.close()


def not_told_anew(service: Service) -> Iterator[str]:
    """What reconciling would not find: a topic's entry, the columns that this names, the class of a record."""
    known = contracts.load(Settings.model_fields["schemas_dir"].default)
    tables = importlib.import_module(f"{service.name.replace('-', '_')}.tables").metadata.tables
    entries = {one.topic: one for one in service.aggregates}
    owned = {name: one for name, one in known.topics.items() if (one.owner, one.guard) == (service.name, "version")}
    yield from entries.keys() ^ owned.keys()
    for name in entries.keys() & owned.keys():
        table = tables[entries[name].table]
        if [column.name for column in table.primary_key] != [entries[name].key_column] or "version" not in table.c:
            yield table.name
        yield from {contracts.full_name(known.latest(path)) for path in owned[name].records} - messages_of(
            service.name
        ).keys()


@pytest.mark.parametrize("package", [one.package for one in services.load()])
def test_every_aggregate_of_a_service_can_be_told_anew(package: str) -> None:
    """Each topic of facts has its table with id and version, each record its class; a missing entry, a wrong column are found."""
    made: Service = importlib.import_module(f"{package}.app").service
    assert list(not_told_anew(made)) == []
    for number, one in enumerate(made.aggregates):
        others = [other for place, other in enumerate(made.aggregates) if place != number]
        assert list(not_told_anew(replace(made, aggregates=others))) == [one.topic]
        assert list(not_told_anew(replace(made, aggregates=[*others, replace(one, key="version")]))) == [one.table]


async def test_a_restored_database_goes_on_above_the_log(world: World) -> None:
    """Nothing is accepted until the unknown messages are listed and their state is told anew, each key above its last."""
    kept, changed, forgotten = uuid4(), uuid4(), uuid4()
    async with world.relaying():
        await world.describe(kept, "kept")
        await world.describe(changed, "before the backup")
    await world.copy(world.database, f"backup_{world.database}")
    async with world.relaying() as relay:
        assert relay.disagreement is None
        await world.describe(changed, "after the backup")
        await world.describe(forgotten, "forgotten")
    await world.copy(f"backup_{world.database}", world.database)
    await world.describe(changed, "after the restore")  # accepted before anybody has looked

    async with world.relaying() as relay:
        assert relay.disagreement == LOG_AHEAD
        with pytest.raises(Unavailable, match=LOG_AHEAD):
            await world.describe(kept, "refused")
        agreed, lines = await world.reconcile(apply=False)
        assert not agreed and sum(" unknown " in f" {line}" for line in lines) == 2
        assert await world.reconcile(apply=False) == (agreed, lines)  # listing changes nothing
        agreed, _ = await world.reconcile(apply=True)
        assert agreed
        async with asyncio.timeout(10):
            while relay.disagreement:
                await asyncio.sleep(0.05)
        await world.describe(kept, "goes on")
        assert await world.reconcile(apply=False) == (True, [])
    assert await world.told() == {
        kept: [(1, "kept"), (2, "goes on")],
        changed: [
            (1, "before the backup"),
            (2, "after the backup"),
            (3, "after the restore"),
            (4, "after the restore"),
        ],
        forgotten: [(1, "forgotten"), (2, "forgotten")],
    }
    rows = await _rows(world, "SELECT structure_name FROM structure ORDER BY structure_name")
    assert rows == [("after the restore",), ("forgotten",), ("goes on",)]
    assert len(await _rows(world, "SELECT 1 FROM unknown_message")) == 2


@pytest.mark.parametrize("topic", ["kits", "ambassadors"])
async def test_what_a_restored_database_forgot_is_told_to_be_withdrawn(
    parts: Stack, fresh_runtime: FreshRuntime, tmp_path: Path, topic: str
) -> None:
    """By the whole way, from the bytes of the log to the service's own words: a kit and somebody of the directory."""
    forgotten = uuid4()
    async with world_of(events_service, topic, parts, fresh_runtime, tmp_path) as world:
        async with world.relaying():
            pass
        await world.copy(world.database, f"backup_{world.database}")
        async with world.relaying(), world.runtime.database.transaction() as tx:
            described: dict[str, Any] = {"title": "T", "rome_codes": ["L1401"], "commune_code": "50129"}
            if topic == "kits":
                kit = KitBody.model_validate(described).description()
                assert await kit_handlers.describe_kit(tx, "agency", None, forgotten, kit) is None
            else:
                one = AmbassadorBody.model_validate({**described, "email": "a@example.org"})
                await ambassador_handlers.describe(tx, forgotten, one.email, one.title, one.description())
        await world.copy(f"backup_{world.database}", world.database)
        async with world.relaying() as relay:
            assert relay.disagreement == LOG_AHEAD
            agreed, _ = await world.reconcile(apply=True)
            assert agreed
        told = (await world.told("withdrawn"))[forgotten]
    assert told[:2] == [(1, False), (2, True)]


async def test_a_wiped_topic_gets_again_what_the_outbox_has(world: World) -> None:
    """What is older than the outbox is listed; the rest is published again, in its order, once."""
    old, new = uuid4(), uuid4()
    async with world.relaying():
        await world.describe(old, "first")
        await world.describe(old, "second")
        await world.describe(new, "new")
    async with world.runtime.database.transaction() as tx:  # as pruning after a week does
        await tx.execute("DELETE FROM outbox WHERE key = :key AND aggregate_version = 1", key=str(old))
    admin = AIOKafkaAdminClient(bootstrap_servers=world.parts.bootstrap_servers)
    await admin.start()
    await admin.delete_topics(world.names)
    while set(world.names) & set(await admin.list_topics()):
        await asyncio.sleep(0.05)
    await admin.close()
    known = contracts.load(world.runtime.settings.schemas_dir)
    await create_topics(world.parts.bootstrap_servers, list(known.topics.values()))

    async with world.relaying() as relay:
        assert relay.disagreement == LOG_BEHIND
        agreed, lines = await world.reconcile(apply=True)
        assert agreed
        older = [line for line in lines if line.startswith("older")]
        assert older == [f"older     {world.topic} {old}: versions 1 to 1 are nowhere any longer"]
        async with asyncio.timeout(10):
            while relay.disagreement:
                await asyncio.sleep(0.05)
        await world.describe(new, "renamed")
    assert await world.told() == {old: [(2, "second")], new: [(1, "new"), (2, "renamed")]}


async def _rows(world: World, sql: str) -> list[Any]:
    async with world.runtime.database.transaction() as tx:
        return [tuple(row) for row in await tx.fetch_all(sql)]
