"""Records and commits that come in another order, twice, broken or deadly."""

from __future__ import annotations

import asyncio
import signal
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from tests.faults import plant
from tests.faults.cells.registry import cell
from tests.faults.rig import LEDGER, PROGRAMMES, PROJECTIONS, SEATS, STRUCTURES, Cell
from tests.faults.workload import PARTITIONS, partition_of


@cell("13", "a transaction left open while others go on")
async def idle_transaction(cell: Cell) -> None:
    """Publication of the others continues; the late row with the low id is published after its commit."""
    async with cell.running():
        await _late_commit(cell, 45)


@cell("14", "commits in the other order than their ids", short=True)
async def commit_inversion(cell: Cell) -> None:
    """Both are published, the later id first."""
    async with cell.running():
        for _ in range(cell.kills):
            await _late_commit(cell, 0.2)


async def _late_commit(cell: Cell, seconds: float) -> None:
    early, late = [await asyncpg.connect(cell.rig.dsn(SEATS)) for _ in range(2)]
    await early.execute("SET idle_in_transaction_session_timeout = 0")
    first, second = plant.StructureRow(cell.rig, early), plant.StructureRow(cell.rig, late)
    await early.execute("BEGIN")
    await first.insert()
    await late.execute("BEGIN")
    await second.insert()
    await late.execute("COMMIT")
    is_published = "SELECT published_at IS NOT NULL FROM outbox WHERE id = $1"
    overtaken = await cell.eventually(SEATS, is_published, second.outbox_id)
    await asyncio.sleep(seconds)
    await cell.shown()
    await early.execute("COMMIT")
    cell.healed("late commit")
    published = await cell.eventually(SEATS, is_published, first.outbox_id)
    proof = f"outbox {second.outbox_id} was published before {first.outbox_id} was committed"
    cell.fired("commit inversion", proof if overtaken and first.outbox_id < second.outbox_id else None)
    assert published, "the late row was not published"
    await early.close()
    await late.close()


@cell("20", "every message of the topic again, up to five times")
async def duplicates(cell: Cell) -> None:
    """What was applied is dropped by its version, without a window of time."""
    async with cell.running():
        await asyncio.sleep(5)
        rows = await cell.rig.query(
            SEATS,
            "SELECT key, value, headers FROM outbox WHERE topic = $1 AND published_at IS NOT NULL ORDER BY id",
            PROGRAMMES,
        )
        again = [row for row in rows for _ in range(cell.draw.randrange(1, 6))]
        raw: list[plant.Raw] = [
            (partition_of(row["key"]), row["key"].encode(), bytes(row["value"]), []) for row in again
        ]
        await asyncio.to_thread(plant.records, cell, PROGRAMMES, raw)
        cell.healed("duplicates")
        cell.fired("duplicates", f"{len(raw)} records again" if raw else None, count=len(raw))
        await cell.shown()


@cell("22", "poison: a handler that fails on one message, every time", short=True)
async def poison(cell: Cell) -> None:
    """Three tries, then a dead letter; its key waits, its neighbours do not; repaired and replayed, nothing is left."""
    async with cell.running():
        await cell.rig.execute(PROJECTIONS, _POISON)
        for partition in range(PARTITIONS):
            structure_id = cell.workload.structures[partition]
            programme_id = await cell.workload.open_programme(structure_id, partition=partition, title="poison")
            cell.healed("poison")
            letter = await cell.eventually(
                PROJECTIONS, "SELECT id, reason FROM dead_letter WHERE key = $1", str(programme_id).encode()
            )
            waits = await cell.eventually(
                PROJECTIONS, "SELECT key FROM parked_message WHERE key = $1", str(programme_id)
            )
            await cell.shown(seconds_max=5)
            fired = letter is not None and letter["reason"] == "handler_failed" and waits
            cell.fired("poisoned message", f"dead letter {letter['id']}, its key waits" if fired else None)
        await cell.rig.execute(PROJECTIONS, "DROP TRIGGER poison ON board_programme")
        for row in await cell.rig.query(
            PROJECTIONS, "SELECT id FROM dead_letter WHERE status = 'open' ORDER BY created_at"
        ):
            await cell.estuaire(PROJECTIONS, "dead-letters", "replay", str(row["id"]))
        cell.history.add("repaired")


_POISON = """
CREATE FUNCTION poisoned() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'poison'; END $$;
CREATE TRIGGER poison BEFORE INSERT OR UPDATE ON board_programme FOR EACH ROW WHEN (NEW.title LIKE 'poison%')
    EXECUTE FUNCTION poisoned();
"""


@cell("23", "garbage: a thousand mutated records", short=True)
async def garbage(cell: Cell) -> None:
    """Each becomes a dead letter with its bytes; no process stops, the neighbours flow."""
    lenient = {"ESTUAIRE_DEAD_LETTER_RUN_MAX": "100000", "ESTUAIRE_DEAD_LETTER_WINDOW_RATIO_MAX": "1"}
    async with cell.running(**{PROJECTIONS: lenient, LEDGER: lenient}):
        await asyncio.sleep(2)
        rows = await cell.rig.query(SEATS, "SELECT value FROM outbox WHERE topic = $1 LIMIT 200", PROGRAMMES)
        raw = plant.garbage(cell.draw, [bytes(row["value"]) for row in rows], 1000)
        for start in range(0, len(raw), 100):
            await asyncio.to_thread(plant.records, cell, PROGRAMMES, raw[start : start + 100])
            await asyncio.sleep(0.1)
        cell.healed("garbage")
        await cell.shown()
        all_dead = await cell.eventually(PROJECTIONS, "SELECT count(*) = 1000 FROM dead_letter")
        cell.fired("garbage", "1000 dead letters" if all_dead else None, count=len(raw))
        assert not cell.restarts, cell.restarts


@cell("25", "a record that kills the interpreter", short=True)
async def interpreter_killer(cell: Cell) -> None:
    """The process dies, is started again, and sets the record aside undecoded."""
    cell.long_fault = True  # 30 s are allowed: two consumers start again
    async with cell.running():
        schema_id = plant.register(cell.rig, plant.RECURSIVE)
        deadly = b"\x00" + schema_id.to_bytes(4, "big") + b"\x02" * 100_000 + b"\x00"
        await cell.shown()  # the first batch of each partition passes the guarding child process
        for partition in range(2):
            cell.restarts.clear()
            plant.records(cell, PROGRAMMES, [(partition, b"deep", deadly, [])])
            cell.healed("interpreter killed")
            dead = [
                await cell.eventually(
                    name, "SELECT count(*) = $1 FROM dead_letter WHERE reason = 'kills_the_interpreter'", partition + 1
                )
                for name in (PROJECTIONS, LEDGER)
            ]
            killed = [status for _, status in cell.restarts if status == -signal.SIGSEGV]
            proof = f"{len(killed)} × SIGSEGV, set aside undecoded"
            cell.fired("interpreter killed", proof if killed and all(dead) else None)
            await cell.shown(seconds_max=30)


@cell("21", "versions of a key in another order, and some that never come")
async def out_of_order(cell: Cell) -> None:
    """A gap is seen, the key waits, nothing is applied out of order; what comes late ends the wait."""
    cell.waived = {"I4": "the rig put them on the topic in another order"}
    rig = cell.rig
    async with cell.running():
        await cell.shown()
        connection = await asyncpg.connect(rig.dsn(SEATS))
        waiting = 0
        for number in range(20):
            versions = list(range(1, 7))
            cell.draw.shuffle(versions)
            if number % 4 == 0:
                versions.remove(cell.draw.randrange(1, 5))
            async with connection.transaction():
                structure = plant.StructureRow(rig, connection)
                await structure.insert(versions)
            whole = len(versions) == 6
            expected = 6 if whole else next(n for n in range(1, 7) if n not in versions) - 1
            settled = await cell.eventually(
                PROJECTIONS,
                "SELECT COALESCE((SELECT version FROM aggregate_seen WHERE key = $1), 0) = $2"
                " AND (SELECT count(*) FROM parked_message WHERE key = $1) = $3",
                str(structure.structure_id),
                expected,
                0 if whole else len(versions) - expected,
            )
            waiting += not whole
            in_order = versions == sorted(versions)
            cell.fired("shuffled", f"{versions}: applied up to {expected}" if settled and not in_order else None)
        await connection.close()
        cell.healed("shuffled")
        said = rig.children[PROJECTIONS].log_path.read_text(errors="replace").count("a message is missing before")
        cell.fired("gaps", f"{said} gaps in its log, {waiting} keys still wait" if said else None)
        await cell.shown()


@cell("24", "incompatible schemas: registered, and produced past the registry")
async def incompatible_schema(cell: Cell) -> None:
    """The registry refuses every one; what was written with one all the same is a dead letter."""
    record = "estuaire.remediation_seats.StructureDescribed"
    async with cell.running():
        await cell.shown()
        schema_id, schema = plant.latest(cell.rig, record)
        fields = schema["fields"]
        name = next(f for f in fields if f["name"] == "structure_name")
        changes = {
            "a field is gone": [f for f in fields if f["name"] != "structure_name"],
            "a field has another type": [f for f in fields if f is not name] + [{**name, "type": "long"}],
            "a new field has no default": [*fields, {"name": "new", "type": "string"}],
            "a field is renamed": [f for f in fields if f is not name] + [{**name, "name": "title"}],
        }
        raw: list[plant.Raw] = []
        for change, changed in changes.items():
            refused = 0
            try:
                plant.register(cell.rig, {**schema, "fields": changed})
            except urllib.error.HTTPError as error:
                refused = error.code
            cell.fired(f"register: {change}", f"refused with {refused}" if refused in (409, 422) else None)
        # Past the registry: another record's bytes under our id, our fields in another order, an id of nobody.
        foreign = {
            "type": "record",
            "name": "Foreign",
            "namespace": "probe.faults",
            "fields": [{"name": "n", "type": "long"}],
        }
        foreign_id = plant.register(cell.rig, foreign)
        for number in range(40):
            body = plant.encoded(schema_id, foreign, {"n": number})
            odd = plant.encoded(foreign_id, foreign, {"n": number})
            nobody = plant.encoded(900_000 + number, foreign, {"n": number})
            raw += [(number % PARTITIONS, f"foreign-{number}".encode(), value, []) for value in (body, odd, nobody)]
        await asyncio.to_thread(plant.records, cell, STRUCTURES, raw)
        cell.healed("produced past the registry")
        dead = await cell.eventually(
            PROJECTIONS, "SELECT count(*) = $1, count(*) FROM dead_letter WHERE topic = $2", len(raw), STRUCTURES
        )
        cell.fired("produced past the registry", f"{dead[1]} dead letters" if dead else None, count=len(raw))
        await cell.shown()


@cell("27", "messages too large: in a request, and in the outbox")
async def oversize(cell: Cell) -> None:
    """Refused to who asks; one that is in the outbox all the same parks its key, and the others flow."""
    rig = cell.rig
    async with cell.running():
        await cell.shown()
        programme_id, structure_id = cell.workload.programmes[0]
        for size in (300_000, 3_000_000):
            body = {"title": "x" * size, "age_min": 15, "age_max": 25}
            status = await cell.workload.refused(structure_id, "PUT", f"/v1/programmes/{programme_id}", body)
            cell.fired(f"a title of {size} bytes", f"refused with {status}" if status in (413, 422) else None)
        connection = await asyncpg.connect(rig.dsn(SEATS))
        for padding in (1_100_000, 2_500_000):
            async with connection.transaction():
                structure = plant.StructureRow(rig, connection)
                (event_id,) = await structure.insert(padding=padding)
            cell.history.add("planted_unsendable", event_id=event_id)
            cell.healed("too large for its topic")
            parked = await cell.eventually(
                SEATS, "SELECT parked_reason IS NOT NULL, parked_reason FROM outbox WHERE id = $1", structure.outbox_id
            )
            cell.fired(f"{padding} bytes in the outbox", f"its key is parked: {parked[1]}" if parked else None)
            await cell.shown(seconds_max=10)
        await connection.close()


@cell("26", "a record that asks for 4 GB, and a compressed bomb, under 256 MB")
async def allocation(cell: Cell) -> None:
    """The kernel ends the process; the breaker sets the record aside; the bomb does not get past the broker."""
    cell.long_fault = True
    rig = cell.rig
    with memory_cgroup("estuaire-faults", 256_000_000) as group:
        rig.inside[PROJECTIONS] = ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh"]
        async with cell.running(**{PROJECTIONS: {"ESTUAIRE_DECODE_MEMORY_BYTES_MAX": "200000000"}}):
            await cell.shown()
            schema_id = plant.register(rig, plant.ALLOCATING)
            deadly = b"\x00" + schema_id.to_bytes(4, "big") + plant.ALLOCATION
            for partition in range(2):
                # The first batch of a partition passes the guarding child process; this bomb is for what comes later.
                structure_id = await cell.workload.register(partition=partition)
                await cell.eventually(
                    PROJECTIONS, "SELECT 1 FROM board_structure WHERE structure_id = $1", structure_id
                )
                cell.restarts.clear()
                plant.records(cell, STRUCTURES, [(partition, b"bomb", deadly, [])])
                cell.healed("allocation bomb")
                dead = await cell.eventually(
                    PROJECTIONS,
                    "SELECT count(*) = $1 FROM dead_letter WHERE reason = 'kills_the_interpreter'",
                    partition + 1,
                    seconds_max=60,
                )
                killed = [status for _, status in cell.restarts if status == -signal.SIGKILL]
                refusals = (group / "memory.failcnt").read_text().strip()
                proof = f"{len(killed)} × killed by the kernel, which refused memory {refusals} times"
                cell.fired("allocation bomb", proof if killed and dead else None)
                await cell.shown()
            said = await asyncio.to_thread(plant.compressed_bomb, rig, PROGRAMMES)
            cell.fired("zstd bomb", f"64 MB in 2 kB: the broker said {said}" if said else None)
            await cell.shown()
        del rig.inside[PROJECTIONS]


@contextmanager
def memory_cgroup(name: str, bytes_max: int) -> Iterator[Path]:
    """A memory control group (version 1) under a limit; yields its folder."""
    group = Path("/sys/fs/cgroup/memory") / name
    group.mkdir(exist_ok=True)
    (group / "memory.limit_in_bytes").write_text(str(bytes_max))
    try:
        yield group
    finally:
        group.rmdir()
