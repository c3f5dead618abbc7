"""The version guard, parked keys, dead letters and their limits, on real PostgreSQL with the service's own fold."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import TopicPartition

from common import dead_letters
from common.embedded.stack import Stack
from common.failures import Malformed, Unavailable
from common.letters import StoredRecord
from common.log_view import why_unreadable
from common.runtime import Runtime
from common.testing import FreshRuntime
from common.transaction import Transaction
from common.verdicts import Consumes, Delivery, Fenced

TOPIC = "remediation-seats.structures.v1"


@pytest.fixture
async def runtime(fresh_runtime: FreshRuntime) -> AsyncIterator[Runtime]:
    """The projections service on a database of its own."""
    async with fresh_runtime("projections", dead_letter_run_max=5) as made:
        async with made.database.transaction() as tx:
            await tx.execute(
                "INSERT INTO consumer_position (topic, partition, next_offset) VALUES (:topic, 0, 0)", topic=TOPIC
            )
        yield made


class Log:
    """Writes records as the owner would, at ever higher offsets."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.next_offset = 0

    def record(
        self, key: UUID, version: int, *, title: str = "S", event_id: UUID | None = None, value: bytes | None = None
    ) -> StoredRecord:
        from projections.messages import StructureDescribed, StructureKind

        if value is None:
            codec = self.runtime.schema_ids.codec
            schema = self.runtime.contracts.latest("remediation-seats/StructureDescribed")
            codec.learn(7_000, schema, write_as="estuaire.remediation_seats.StructureDescribed")
            value = codec.encode(
                StructureDescribed(
                    structure_name=f"{title}{version}",
                    kind=StructureKind.CFA,
                    commune_code="76540",
                    fictitious=True,
                    event_id=event_id or uuid4(),
                    occurred_at=datetime.now(UTC),
                    aggregate_id=key,
                    aggregate_version=version,
                    correlation_id=uuid4(),
                )
            )
        self.next_offset += 1
        return StoredRecord(TOPIC, 0, self.next_offset - 1, str(key).encode(), value, ())

    async def take(self, *records: StoredRecord, batch_refuses: Sequence[int] = ()) -> dict[str, int]:
        """One batch in one transaction, as the inbox does it, some offsets refused as a failed handler's; the verdicts."""
        assert self.runtime.inbox is not None
        async with self.runtime.database.transaction() as tx:
            batch = self.runtime.inbox.batch(tx, TOPIC)
            refused = {offset: Malformed("handler_failed") for offset in batch_refuses}
            await batch.run(records, refused, expected=records[0].offset)
        return batch.verdicts


async def rows(runtime: Runtime, sql: str, **values: Any) -> list[Any]:
    async with runtime.database.transaction() as tx:
        return list(await tx.fetch_all(sql, **values))


async def name_of(runtime: Runtime, key: UUID) -> str | None:
    found = await rows(runtime, "SELECT structure_name FROM board_structure WHERE structure_id = :key", key=key)
    return found[0].structure_name if found else None


async def make_known(runtime: Runtime, *schema_ids: int) -> None:
    """Lets an operator's command read what was written with these ids, as the service that learnt them did."""
    schema = json.dumps(runtime.contracts.latest("remediation-seats/StructureDescribed"))
    async with runtime.database.transaction() as tx:
        for schema_id in schema_ids:
            await tx.execute("INSERT INTO known_schema (schema_id, avro) VALUES (:id, :a)", id=schema_id, a=schema)


async def test_versions_in_order_apply_and_repeats_are_dropped(runtime: Runtime) -> None:
    """v = seen + 1 applies, lower is dropped, however often it comes."""
    log, key = Log(runtime), uuid4()
    first, second = log.record(key, 1), log.record(key, 2)
    assert await log.take(first, second) == {"accepted": 2}
    again = [log.record(key, 1), log.record(key, 2), log.record(key, 1)]
    assert (await log.take(*again))["duplicate"] == 3
    assert await name_of(runtime, key) == "S2"


async def test_the_same_version_under_another_event_id_is_told(runtime: Runtime) -> None:
    """A log ahead of its database shows here first."""
    log, key = Log(runtime), uuid4()
    assert await log.take(log.record(key, 1), log.record(key, 1)) == {"accepted": 1, "conflict": 1, "duplicate": 1}


async def test_a_gap_parks_the_key_and_the_missing_version_drains_it(runtime: Runtime) -> None:
    """Neighbours flow; nothing of the parked key is applied before its time, then all of it in order."""
    log, key, neighbour = Log(runtime), uuid4(), uuid4()
    assert await log.take(log.record(key, 1), log.record(key, 3), log.record(neighbour, 1), log.record(key, 4)) == {
        "accepted": 2,
        "parked": 2,
    }
    assert await name_of(runtime, key) == "S1"
    assert await log.take(log.record(key, 2)) == {"accepted": 3}
    assert await name_of(runtime, key) == "S4"
    assert await rows(runtime, "SELECT * FROM parked_message") == []


async def test_malformed_records_become_dead_letters_with_their_bytes_and_park_nothing(runtime: Runtime) -> None:
    """Reason, original bytes and position in one transaction; the next record goes on; a message tells of it."""
    log, key = Log(runtime), uuid4()
    bad = log.record(key, 1, value=b"\x00\x00\x00\x1b\x58garbage\x00")
    wrong_key = log.record(uuid4(), 1)
    wrong_key = StoredRecord(TOPIC, 0, wrong_key.offset, b"\xff\x00", wrong_key.value, (("h", None), ("x", b"\xff")))
    assert await log.take(bad, wrong_key, log.record(key, 1)) == {"malformed": 2, "accepted": 1}
    letters = await rows(runtime, 'SELECT * FROM dead_letter ORDER BY "offset"')
    assert [letter.reason for letter in letters] == ["undecodable", "key_is_not_the_aggregate"]
    assert bytes(letters[0].value) == bad.value and bytes(letters[1].key) == b"\xff\x00"
    assert letters[1].headers == [["h", None], ["x", "ff"]]
    assert (
        await rows(runtime, "SELECT count(*) AS n FROM outbox WHERE record = 'estuaire.common.RecordDeadLettered'")
    )[0].n == 2
    assert (await rows(runtime, "SELECT next_offset FROM consumer_position WHERE topic = :t", t=TOPIC))[
        0
    ].next_offset == 3


async def test_replay_repairs_and_discard_steps_over(runtime: Runtime, parts: Stack) -> None:
    """A dead letter's later versions wait; replay applies the same bytes, discard gives them up; both drain and leave an audit line."""
    url = str(runtime.database.engine.url.render_as_string(hide_password=False))
    log, repaired, lost = Log(runtime), uuid4(), uuid4()
    good = log.record(repaired, 1)
    unknown = b"\x00\x00\x00\x1b\x59" + (good.value or b"")[5:]
    first = StoredRecord(TOPIC, 0, good.offset, good.key, unknown, ())
    assert await log.take(first, log.record(repaired, 2), log.record(lost, 1, value=b"x"), log.record(lost, 2)) == {
        "malformed": 2,
        "parked": 2,
    }
    letters = await rows(runtime, 'SELECT id FROM dead_letter ORDER BY "offset"')
    with pytest.raises(Malformed, match="unknown_schema_id"):
        await dead_letters.replay("projections", url, str(letters[0].id))
    await make_known(runtime, 7_000, 7_001)
    assert "replayed" in await dead_letters.replay("projections", url, str(letters[0].id))
    assert await name_of(runtime, repaired) == "S2"
    assert "discarded" in await dead_letters.discard("projections", url, str(letters[1].id))
    assert await name_of(runtime, lost) == "S2"
    assert await rows(runtime, "SELECT 1 FROM dead_letter WHERE status = 'open'") == []
    assert [row.action for row in await rows(runtime, "SELECT action FROM dead_letter_audit ORDER BY id")] == [
        "replayed",
        "discarded",
    ]
    with pytest.raises(Malformed, match="no_such_dead_letter"):
        await dead_letters.discard("projections", url, str(letters[1].id))


async def test_letters_of_a_key_are_given_up_in_their_order(runtime: Runtime) -> None:
    """Discarding the later one would release the gap of the earlier, whose replay then found itself a duplicate."""
    url = str(runtime.database.engine.url.render_as_string(hide_password=False))
    log, key = Log(runtime), uuid4()
    first = log.record(key, 1)
    unknown = StoredRecord(TOPIC, 0, first.offset, first.key, b"\x00\x00\x00\x1b\x59" + (first.value or b"")[5:], ())
    await log.take(unknown, log.record(key, 2), log.record(key, 3, value=b"x"), log.record(key, 4))
    letters = await rows(runtime, 'SELECT id FROM dead_letter ORDER BY "offset"')
    with pytest.raises(Malformed, match=f"earlier_letter_open: {letters[0].id} .* comes first"):
        await dead_letters.discard("projections", url, str(letters[1].id))
    await make_known(runtime, 7_000, 7_001)
    await dead_letters.replay("projections", url, str(letters[0].id))
    assert await name_of(runtime, key) == "S2"
    await dead_letters.discard("projections", url, str(letters[1].id))
    assert await name_of(runtime, key) == "S4"


async def test_what_comes_after_a_letter_that_was_given_up_is_applied(runtime: Runtime) -> None:
    """Nothing waited when it was discarded, so its own version says what was stepped over."""
    url = str(runtime.database.engine.url.render_as_string(hide_password=False))
    log, key = Log(runtime), uuid4()
    await log.take(log.record(key, 1), refused := log.record(key, 2), batch_refuses=[refused.offset])
    await make_known(runtime, 7_000)
    letter = (await rows(runtime, "SELECT id FROM dead_letter"))[0]
    await dead_letters.discard("projections", url, str(letter.id))
    assert await log.take(log.record(key, 3)) == {"accepted": 1}
    assert await name_of(runtime, key) == "S3"


async def test_garbage_that_is_given_up_steps_over_no_later_letter(runtime: Runtime) -> None:
    """The later letter of the same key is still to be judged: replayed, it is applied, and what waited behind it."""
    url = str(runtime.database.engine.url.render_as_string(hide_password=False))
    log, key = Log(runtime), uuid4()
    garbage, later = log.record(key, 0, value=b"x"), log.record(key, 1)
    await log.take(garbage, later, log.record(key, 2), batch_refuses=[later.offset])
    await make_known(runtime, 7_000)
    letters = await rows(runtime, 'SELECT id FROM dead_letter ORDER BY "offset"')
    await dead_letters.discard("projections", url, str(letters[0].id))
    assert await name_of(runtime, key) is None
    assert "accepted': 2" in await dead_letters.replay("projections", url, str(letters[1].id))
    assert await name_of(runtime, key) == "S2"


async def test_too_many_dead_letters_stop_the_partition_until_resumed(runtime: Runtime) -> None:
    """A broken deploy must not empty a topic into the dead letters: it stops exactly at the limit."""
    url = str(runtime.database.engine.url.render_as_string(hide_password=False))
    log = Log(runtime)
    bad = [log.record(uuid4(), 1, value=b"x") for _ in range(9)]
    assert await log.take(*bad) == {"malformed": 5}
    with pytest.raises(Fenced):
        await log.take(*bad[5:])
    lines = await dead_letters.listing(url, include_resolved=False)
    assert sum("too_short" in line for line in lines) == 5 and any("dead_letter_limit" in line for line in lines)
    await dead_letters.resume("projections", url, TOPIC, 0)
    assert await log.take(*bad[5:]) == {"malformed": 4}


async def test_two_consumers_of_one_batch_have_one_effect(runtime: Runtime) -> None:
    """The stored offset is the fence: of eight parallel attempts one commits, the others roll back whole."""
    log = Log(runtime)
    batch = [log.record(uuid4(), 1) for _ in range(20)]
    outcomes = await asyncio.gather(*(log.take(*batch) for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(outcome, dict) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, Fenced) for outcome in outcomes) == 7
    assert (await rows(runtime, "SELECT count(*) AS n FROM board_structure"))[0].n == 20


async def test_a_database_restored_under_a_consumer_is_read_from_again(runtime: Runtime) -> None:
    """A position that is not where the consumer left it fences the batch: what the restored database lost is not skipped."""
    inbox = runtime.inbox
    assert inbox is not None
    log, partition = Log(runtime), TopicPartition(TOPIC, 0)
    batch: list[Any] = [log.record(uuid4(), 1) for _ in range(8)]
    inbox.positions.expected[partition] = 0
    await inbox._take(partition, batch[:4])
    assert inbox.positions.expected[partition] == 4
    async with runtime.database.transaction() as tx:
        await tx.execute("UPDATE consumer_position SET next_offset = 2 WHERE topic = :t", t=TOPIC)
        await tx.execute("DELETE FROM board_structure WHERE log_offset >= 2")
        await tx.execute("DELETE FROM aggregate_seen WHERE key <> ALL(SELECT structure_id::text FROM board_structure)")
    await inbox._take(partition, batch[4:])
    assert partition not in inbox.positions.expected
    stored = await rows(runtime, "SELECT next_offset FROM consumer_position WHERE topic = :t", t=TOPIC)
    assert stored[0].next_offset == 2
    # A consumer that has nothing to read sees it too.
    inbox.positions.expected[partition] = 4
    await inbox.positions.check_log()
    assert partition not in inbox.positions.expected
    inbox.positions.expected[partition] = 2
    await inbox._take(partition, batch[2:])
    assert (await rows(runtime, "SELECT count(*) AS n FROM board_structure"))[0].n == 8


async def test_a_consumer_that_waited_asks_the_database_where_it_stands(runtime: Runtime) -> None:
    """What was in memory before a part was away may be wrong after it: a commit that nobody saw, a restored database."""
    inbox = runtime.inbox
    assert inbox is not None

    async def away(tx: Transaction, deliveries: Sequence[Delivery]) -> None:
        raise Unavailable("a part")

    sound = inbox._consumes[TOPIC]
    inbox._consumes = {**inbox._consumes, TOPIC: Consumes(messages=sound.messages, fold=away)}
    log, partition = Log(runtime), TopicPartition(TOPIC, 0)
    inbox.positions.expected[partition] = 0
    batch: list[Any] = [log.record(uuid4(), 1)]
    await inbox._take(partition, batch)
    assert partition not in inbox.positions.expected
    assert await rows(runtime, "SELECT 1 FROM dead_letter") == []


async def test_a_bug_in_setting_aside_stops_the_partition_and_is_told(
    runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    """It is neither skipped nor read as waiting: stack trace, metric, a stop that an operator ends; then in order again."""
    inbox = runtime.inbox
    assert inbox is not None
    url = str(runtime.database.engine.url.render_as_string(hide_password=False))

    async def broken(tx: Transaction, record: Any, malformed: Malformed) -> None:
        raise RuntimeError("nobody can be told")

    sound = inbox._consumes[TOPIC]
    inbox._consumes = {**inbox._consumes, TOPIC: Consumes(messages=sound.messages, fold=sound.fold, tell=broken)}
    log, partition = Log(runtime), TopicPartition(TOPIC, 0)
    batch: list[Any] = [log.record(uuid4(), 1), log.record(uuid4(), 1, value=b"x"), log.record(uuid4(), 1)]
    inbox.positions.expected[partition] = 0
    await inbox._take(partition, batch)
    stopped = await rows(runtime, "SELECT next_offset, stopped_reason FROM consumer_position WHERE topic = :t", t=TOPIC)
    assert [tuple(row) for row in stopped] == [(1, "consumer_failed")]
    assert partition in inbox.positions.stopped and partition not in inbox.positions.expected
    assert "nobody can be told" in caplog.text and "cannot go on from 1" in caplog.text
    assert inbox._metrics.registry.get_sample_value("estuaire_consumer_failures_total", {"topic": TOPIC}) == 1
    inbox._consumes = {**inbox._consumes, TOPIC: sound}
    await dead_letters.resume("projections", url, TOPIC, 0)
    inbox.positions.expected[partition] = 1
    await inbox._take(partition, batch[1:])
    assert inbox.positions.expected[partition] == 3
    assert [row.reason for row in await rows(runtime, "SELECT reason FROM dead_letter")] == ["too_short"]


async def test_a_handler_that_fails_on_one_message_hinders_only_its_key(runtime: Runtime) -> None:
    """The batch is rolled back and redone one by one; three tries, then the dead letters; neighbours and order are kept."""
    inbox = runtime.inbox
    assert inbox is not None
    sound = inbox._consumes[TOPIC]
    tries = 0

    async def poisonous(tx: Transaction, deliveries: Sequence[Delivery]) -> None:
        nonlocal tries
        for delivery in deliveries:
            if delivery.message.structure_name == "poison1":  # type: ignore[attr-defined]
                tries += len(deliveries) == 1
                raise RuntimeError("a bug")
        assert sound.fold is not None
        await sound.fold(tx, deliveries)

    inbox._consumes = {**inbox._consumes, TOPIC: Consumes(messages=sound.messages, fold=poisonous)}
    log, before, poisoned, after = Log(runtime), uuid4(), uuid4(), uuid4()
    batch: list[Any] = [
        log.record(before, 1),
        log.record(poisoned, 1, title="poison"),
        log.record(poisoned, 2),
        log.record(after, 1),
    ]
    partition = TopicPartition(TOPIC, 0)
    inbox.positions.expected[partition] = 0
    await inbox._take(partition, batch)
    assert tries == 3
    assert [await name_of(runtime, key) for key in (before, poisoned, after)] == ["S1", None, "S1"]
    assert [row.reason for row in await rows(runtime, "SELECT reason FROM dead_letter")] == ["handler_failed"]
    assert [row.key for row in await rows(runtime, "SELECT key FROM parked_message")] == [str(poisoned)]
    assert inbox.positions.expected[partition] == 4


@pytest.mark.parametrize("by", ["fold", "handlers"])
@pytest.mark.parametrize("way", ["replay", "discard"])
async def test_what_waited_and_fails_is_the_dead_letter_and_not_what_let_it_go(
    runtime: Runtime, by: str, way: str
) -> None:
    """The record before it is applied, what waits behind it goes on waiting; the letter has its bytes and can be resolved."""
    inbox = runtime.inbox
    assert inbox is not None
    url = str(runtime.database.engine.url.render_as_string(hide_password=False))
    sound = inbox._consumes[TOPIC]
    assert sound.fold is not None

    async def poisonous(tx: Transaction, deliveries: Sequence[Delivery]) -> None:
        if any(delivery.message.structure_name == "poison3" for delivery in deliveries):  # type: ignore[attr-defined]
            raise RuntimeError("a bug")
        assert sound.fold is not None
        await sound.fold(tx, deliveries)

    async def handle(tx: Transaction, message: Any) -> None:
        await poisonous(tx, [Delivery(message, TOPIC, 0, 0)])

    broken = Consumes(messages=sound.messages, fold=poisonous)
    if by == "handlers":
        broken = Consumes(handlers=dict.fromkeys(sound.messages, handle))
    inbox._consumes = {**inbox._consumes, TOPIC: broken}
    log, key, partition = Log(runtime), uuid4(), TopicPartition(TOPIC, 0)
    batch: list[Any] = [
        log.record(key, 1),
        log.record(key, 3, title="poison"),
        log.record(key, 4),
        log.record(uuid4(), 1),
        log.record(key, 2),
    ]
    inbox.positions.expected[partition] = 0
    await inbox._take(partition, batch)
    assert inbox.positions.expected[partition] == 5
    assert await name_of(runtime, key) == "S2"
    letters = await rows(runtime, 'SELECT id, "offset", reason, detail, value, status FROM dead_letter')
    assert [(row.offset, row.reason, row.detail, row.status) for row in letters] == [
        (1, "handler_failed", "RuntimeError", "open")
    ]
    assert bytes(letters[0].value) == batch[1].value
    waiting = await rows(runtime, "SELECT version FROM parked_message WHERE key = :key", key=str(key))
    assert [row.version for row in waiting] == [4]
    await make_known(runtime, 7_000)
    resolve = dead_letters.replay if way == "replay" else dead_letters.discard
    await resolve("projections", url, str(letters[0].id))
    assert await name_of(runtime, key) == "S4"
    assert (
        await rows(runtime, "SELECT 1 FROM parked_message UNION ALL SELECT 1 FROM dead_letter WHERE status = 'open'")
        == []
    )


async def test_discarding_sets_aside_what_waited_and_fails(runtime: Runtime) -> None:
    """It used to raise the error of the record behind; now that one is the next dead letter, and its key waits for it."""
    url = str(runtime.database.engine.url.render_as_string(hide_password=False))
    log, key = Log(runtime), uuid4()
    assert await log.take(log.record(key, 1, value=b"x"), log.record(key, 2), log.record(key, 3)) == {
        "malformed": 1,
        "parked": 2,
    }
    await make_known(runtime, 7_000)
    async with runtime.database.transaction() as tx:
        await tx.execute(_POISON)
        await tx.execute(_POISONED)
    (first,) = await rows(runtime, "SELECT id FROM dead_letter")
    assert "discarded" in await dead_letters.discard("projections", url, str(first.id))
    (second,) = await rows(runtime, """SELECT id, "offset", reason FROM dead_letter WHERE status = 'open'""")
    assert (second.offset, second.reason) == (1, "handler_failed")
    assert [row.version for row in await rows(runtime, "SELECT version FROM parked_message")] == [3]
    with pytest.raises(Malformed, match="handler_failed"):
        await dead_letters.replay("projections", url, str(second.id))
    async with runtime.database.transaction() as tx:
        await tx.execute("DROP TRIGGER poison ON board_structure")
    assert "replayed" in await dead_letters.replay("projections", url, str(second.id))
    assert await name_of(runtime, key) == "S3"


_POISON = "CREATE FUNCTION poisoned() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'poison'; END $$"
_POISONED = """CREATE TRIGGER poison BEFORE INSERT OR UPDATE ON board_structure FOR EACH ROW
    WHEN (NEW.structure_name = 'S2') EXECUTE FUNCTION poisoned()"""


async def test_handlers_let_go_of_what_they_lock_after_a_tenth_of_a_second(runtime: Runtime) -> None:
    """A batch of commands of 40 ms each: a transaction takes three at most, and a stop waits for the one at hand only."""
    inbox = runtime.inbox
    assert inbox is not None
    handled: dict[int, list[int]] = {}

    async def slow(tx: Transaction, message: Any) -> None:
        row = await tx.fetch_one("SELECT pg_current_xact_id()::text AS xid")
        assert row is not None
        handled.setdefault(row.xid, []).append(message.aggregate_version)
        await asyncio.sleep(0.04)
        if message.aggregate_version == 11:
            inbox._stopping = True  # as SIGTERM does: the transaction at hand is finished, no other begun

    sound = inbox._consumes[TOPIC]
    inbox._consumes = {**inbox._consumes, TOPIC: Consumes(handlers=dict.fromkeys(sound.messages, slow))}
    log, partition, key = Log(runtime), TopicPartition(TOPIC, 0), uuid4()
    batch: list[Any] = [log.record(key, version) for version in range(1, 16)]
    inbox.positions.expected[partition] = 0
    await inbox._take(partition, batch)
    done = [version for versions in handled.values() for version in versions]
    assert done == list(range(1, len(done) + 1)) and 11 <= len(done) <= 13
    assert max(len(versions) for versions in handled.values()) <= 3
    stored = await rows(runtime, "SELECT next_offset FROM consumer_position WHERE topic = :t", t=TOPIC)
    assert stored[0].next_offset == inbox.positions.expected[partition] == len(done)


async def test_records_before_the_position_is_known_are_dropped_and_those_below_it_too(runtime: Runtime) -> None:
    """Batches from Kafka's committed offset arrive while the listener works (aiokafka #738): they must have no effect."""
    inbox = runtime.inbox
    assert inbox is not None
    log, partition = Log(runtime), TopicPartition(TOPIC, 0)
    batch: list[Any] = [log.record(uuid4(), 1) for _ in range(4)]
    await inbox._take(partition, batch)
    assert (await rows(runtime, "SELECT count(*) AS n FROM board_structure"))[0].n == 0
    inbox.positions.expected[partition] = 2
    async with runtime.database.transaction() as tx:
        await tx.execute("UPDATE consumer_position SET next_offset = 2 WHERE topic = :t", t=TOPIC)
    await inbox._take(partition, batch)
    assert (await rows(runtime, "SELECT count(*) AS n FROM board_structure"))[0].n == 2
    # Above the position: read again once, then a hole of control records is stepped over.
    later: list[Any] = [log.record(uuid4(), 1), log.record(uuid4(), 1)]
    await inbox._take(partition, later[1:])
    assert inbox.positions.expected[partition] == 4
    await inbox._take(partition, later[1:])
    assert inbox.positions.expected[partition] == 6


@pytest.mark.parametrize(
    ("offset", "first_later", "reason"),
    [
        (4, None, "offset_below_log_start"),
        (5, None, None),
        (9, 9, None),
        (10, None, "offset_above_log_end"),
        (8, 7, "log_made_anew"),
    ],
)
def test_an_offset_outside_the_log_is_told_and_never_skipped(
    offset: int, first_later: int | None, reason: str | None
) -> None:
    """Retention passed it, or the topic was made anew, even when it is long enough again: the partition stops."""
    assert why_unreadable(offset, 5, 9, first_later) == reason
