"""Everything the invariants look at, read once when the system is at rest."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from tests.faults.checker.consumed import Consumed, Place, consumed
from tests.faults.checker.log import Log, Topic

Row = dict[str, Any]
SEATS = "remediation-seats"
PROGRAMMES = "remediation-seats.programmes.v1"
STRUCTURES = "remediation-seats.structures.v1"
_LOOKS_MAX = 5


@dataclass
class Database:
    """Rows of one service's database by table."""

    tables: dict[str, list[Row]]

    def __getitem__(self, table: str) -> list[Row]:
        return self.tables.get(table, [])


@dataclass
class World:
    """Topics, databases, the workload's history, and what each consumer should have made of each topic."""

    topics: dict[str, Topic]
    databases: dict[str, Database]
    history: list[Row]
    consumed: dict[tuple[str, str], Consumed]
    waived: dict[str, str]

    def of(self, kind: str) -> list[Row]:
        """Entries of one kind in the history, in order."""
        return [entry for entry in self.history if entry["kind"] == kind]

    @property
    def planted(self) -> set[tuple[str, int, int]]:
        """Records that the rig, not a relay, put on a topic."""
        return {(e["topic"], e["partition"], e["offset"]) for e in self.of("planted")}


async def load(given: dict[str, Any]) -> World:
    """Reads what the file describes: bootstrap, registry, schemas_dir, databases, consumers, history, waived."""
    log = Log(given["bootstrap"], given["registry"], Path(given["schemas_dir"]))
    for _ in range(_LOOKS_MAX):
        # Nobody of ours writes in transactions: what one isolation level hides, somebody planted. Unless the log still
        # grows: what a dying process had sent may be written after its death.
        topics, unread = log.read(), log.read(isolation="read_uncommitted")
        hidden = [n for n, t in topics.items() if [r.place for r in t.records] != [r.place for r in unread[n].records]]
        if not hidden:
            break
        time.sleep(1)
    assert not hidden, f"records are hidden in {', '.join(hidden)}"
    # A service that this cell does not run has nothing to say.
    databases = defaultdict(lambda: Database({}), {name: await _read(url) for name, url in given["databases"].items()})
    history = [json.loads(line) for line in Path(given["history"]).read_text().splitlines()]
    made: dict[tuple[str, str], Consumed] = {}
    for service, names in given["consumers"].items():
        rows = databases[service]["consumer_position"]
        for name in names:
            positions = {row["partition"]: row["next_offset"] for row in rows if row["topic"] == name}
            made[service, name] = consumed(topics[name], positions, letters(databases[service], name))
    return World(topics, databases, history, made, given.get("waived", {}))


def letters(database: Database, topic: str) -> dict[Place, Row]:
    """A consumer's dead letters of one topic by place."""
    return {(row["partition"], row["offset"]): row for row in database["dead_letter"] if row["topic"] == topic}


async def _read(url: str) -> Database:
    connection = await asyncpg.connect(url)
    try:
        names = await connection.fetch(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('public', 'referee') AND tablename <> 'known_schema'"
        )
        tables = {}
        for row in names:
            order = " ORDER BY seq" if row["schemaname"] == "referee" else ""
            found = await connection.fetch(f'SELECT * FROM {row["schemaname"]}."{row["tablename"]}"{order}')
            tables[row["tablename"]] = [dict(line) for line in found]
        return Database(tables)
    finally:
        await connection.close()
