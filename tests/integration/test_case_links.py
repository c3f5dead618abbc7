"""A case of the observatory attached to a hold: told apart, in whatever order; and the question whether somebody is still there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest

from common import case_links
from common.codes import new_code
from common.embedded.stack import Stack
from common.failures import Refusal
from common.generated import CaseLinked, CaseUnlinked
from common.runtime import Runtime
from common.testing import FreshRuntime, http_client, set_clock, swept, url_of
from dropout_observatory import handlers as cases
from dropout_observatory import links
from dropout_observatory import store as case_store
from dropout_observatory.messages import (
    PresenceAnswered,
    SeatCounts,
    SeatHeld,
    StepSource,
    WithdrawalReason,
    YoungPersonAdmitted,
)
from dropout_observatory.messages import PresenceReply as Reply
from remediation_seats import handlers, presence
from remediation_seats.messages import DeclarationWay, EducationLevel, PresenceReply, StructureKind
from remediation_seats.restate import AGGREGATES
from remediation_seats.state import Conditions, Declaration, Profile
from tests.integration.conftest import Seats, eventually
from tests.integration.observatory import SERVICE, Observatory, mistyped, month, report_body, reported
from tests.integration.restating import restated
from tests.integration.test_observatory import AGENCY, told

LINKS, FACTS = "remediation-seats.case-links.v1", "remediation-seats.programmes.v1"
linked = partial(links.linked, source=StepSource.SEAT_HOLD)
_NO_SEATS = SeatCounts(total_count=0, taken_count=0, admitted_count=0, held_count=0, free_count=0, excess_count=0)


@pytest.fixture
def observatory(stack: Stack) -> Observatory:
    """The observatory of the running stack."""
    return Observatory(stack, url_of(stack, SERVICE))


@pytest.fixture
async def lake(fresh_runtime: FreshRuntime) -> AsyncIterator[Runtime]:
    """The observatory on a database of its own."""
    async with fresh_runtime("dropout_observatory", development=True) as made:
        yield made


@pytest.fixture
async def seats_runtime(fresh_runtime: FreshRuntime) -> AsyncIterator[Runtime]:
    """The seats service on a database of its own, its clock in the test's hand."""
    async with fresh_runtime("remediation_seats", development=True) as made:
        yield made


async def test_a_hold_for_a_case_is_a_step_of_its_way_back(seats: Seats, observatory: Observatory) -> None:
    """Held, admitted: each is on the case's page by itself; detached, it is taken back. The structure sees no case."""
    _, partner = await seats.structure()
    programme_id = await seats.programme(partner, 5)
    async with (
        await observatory.reporter() as referent,
        await seats.client(f"linker-{uuid4().hex[:6]}", "prescriber") as prescriber,
    ):
        case_id, code = await reported(referent, left_month=month())

        async def steps() -> list[tuple[str, str]]:
            case = (await referent.get(f"/v1/cases/{case_id}")).json()
            return [(one["kind"], one["source"]) for one in case["steps"]]

        wrong = {"programme_id": str(programme_id), "case_code": mistyped(code)}
        assert (await prescriber.post("/v1/holds", json=wrong)).status_code == 422
        body = {"programme_id": str(programme_id), "case_code": code.lower()}
        held = await prescriber.post("/v1/holds", json=body)
        assert held.status_code == 201, held.text
        hold_id = held.json()["hold_id"]

        async def offered() -> bool:
            return await steps() == [("OFFERED", "SEAT_HOLD")]

        await eventually(offered)
        assert code not in (await partner.get("/v1/holds")).text
        today = {"arrival_on": datetime.now(UTC).date().isoformat()}
        assert (await partner.post(f"/v1/received-holds/{hold_id}/confirmation", json=today)).is_success
        assert (await partner.post(f"/v1/received-holds/{hold_id}/admission")).is_success

        async def arrived() -> bool:
            return {kind for kind, _ in await steps()} == {"OFFERED", "ADMITTED"}

        await eventually(arrived)
        async with await seats.client("another", "prescriber") as other:
            assert (await other.put(f"/v1/holds/{hold_id}/case", json={"case_code": None})).status_code == 403
        assert (await prescriber.put(f"/v1/holds/{hold_id}/case", json={"case_code": None})).is_success

        async def nothing() -> bool:
            return await steps() == []

        await eventually(nothing)


# -- what the observatory makes of it


def seat_held(hold_id: UUID, at: datetime) -> SeatHeld:
    """As the seats service tells it."""
    return SeatHeld(occurred_at=at, hold_id=hold_id, young_person_id=uuid4(), expires_at=at, seats=_NO_SEATS)


def arrived(hold_id: UUID, at: datetime) -> YoungPersonAdmitted:
    """As the seats service tells it."""
    return YoungPersonAdmitted(occurred_at=at, hold_id=hold_id, young_person_id=uuid4(), seats=_NO_SEATS)


async def code_of(lake: Runtime, case_id: UUID) -> str:
    """The code on paper."""
    async with lake.database.transaction() as tx:
        row = await tx.fetch_one("SELECT code FROM dropout_case WHERE case_id = :id", id=case_id)
    assert row is not None
    return str(row.code)


async def heard(lake: Runtime, handler: Any, message: Any) -> None:
    """A message is handled."""
    async with lake.database.transaction() as tx:
        await handler(tx, message)


async def kinds(lake: Runtime, case_id: UUID) -> set[str]:
    """Which steps a case has."""
    async with lake.database.transaction() as tx:
        return {step.kind.value for step in (await case_store.lock(tx, [case_id]))[case_id].steps}


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
async def test_in_whatever_order_it_is_told(lake: Runtime, order: tuple[int, ...]) -> None:
    """Held, admitted, attached: the same way back, told again too, and at the same time."""
    case_id, hold_id, now = await told(lake, report_body()), uuid4(), datetime.now(UTC)
    code = await code_of(lake, case_id)
    acts = (
        (links.seat_held, seat_held(hold_id, now - timedelta(days=2))),
        (links.admitted, arrived(hold_id, now)),
        (linked, CaseLinked(occurred_at=now, aggregate_id=hold_id, case_code=code)),
    )
    for place in (*order, *order):
        await heard(lake, *acts[place])
    assert await kinds(lake, case_id) == {"OFFERED", "ADMITTED"}


async def test_at_the_same_time(lake: Runtime) -> None:
    """Whoever tells the day and whoever tells the case wait for each other: nothing falls between them."""
    for _ in range(10):
        case_id, hold_id, now = await told(lake, report_body()), uuid4(), datetime.now(UTC)
        attached = CaseLinked(occurred_at=now, aggregate_id=hold_id, case_code=await code_of(lake, case_id))
        await asyncio.gather(
            heard(lake, links.seat_held, seat_held(hold_id, now)),
            heard(lake, linked, attached),
            heard(lake, links.admitted, arrived(hold_id, now)),
        )
        assert await kinds(lake, case_id) == {"OFFERED", "ADMITTED"}


async def test_another_case_or_none(lake: Runtime) -> None:
    """What is attached to another case moves there; a code that is nobody's leads nowhere; a withdrawn case learns nothing."""
    first, second, withdrawn = [await told(lake, report_body(age=age)) for age in (16, 17, 20)]
    hold_id, now = uuid4(), datetime.now(UTC)
    await heard(lake, links.seat_held, seat_held(hold_id, now))
    async with lake.database.transaction() as tx:
        assert await cases.withdraw(tx, AGENCY, withdrawn, WithdrawalReason.MISTAKE, None) is None
    expected: list[tuple[str, UUID | None]] = [
        (await code_of(lake, first), first),
        (await code_of(lake, second), second),
        (await code_of(lake, withdrawn), None),
        (new_code(), None),
        (await code_of(lake, first), first),
    ]
    for code, where in expected:
        await heard(lake, linked, CaseLinked(occurred_at=now, aggregate_id=hold_id, case_code=code))
        found = [case_id for case_id in (first, second, withdrawn) if "OFFERED" in await kinds(lake, case_id)]
        assert found == ([where] if where else [])
    await heard(lake, links.unlinked, CaseUnlinked(occurred_at=now, aggregate_id=hold_id))
    assert await kinds(lake, first) == set()


async def test_two_holds_of_one_case(lake: Runtime) -> None:
    """Made on one day, they say the same, and are two steps: whichever is detached, the other's stays."""
    case_id, holds, now = await told(lake, report_body()), (uuid4(), uuid4()), datetime.now(UTC)
    code = await code_of(lake, case_id)
    for hold_id in holds:
        await heard(lake, links.seat_held, seat_held(hold_id, now))
        await heard(lake, linked, CaseLinked(occurred_at=now, aggregate_id=hold_id, case_code=code))
    for hold_id, left in zip(holds, ({"OFFERED"}, set()), strict=True):
        await heard(lake, links.unlinked, CaseUnlinked(occurred_at=now, aggregate_id=hold_id))
        assert await kinds(lake, case_id) == left


async def test_what_a_structure_answers_is_learnt(lake: Runtime) -> None:
    """Not known, then there: the later answer counts; what a professional noted of the same is kept."""
    case_id, hold_id, now = await told(lake, report_body(left_month=month(8))), uuid4(), datetime.now(UTC)
    attached = CaseLinked(occurred_at=now, aggregate_id=hold_id, case_code=await code_of(lake, case_id))
    await heard(lake, linked, attached)

    def said(reply: Reply, months: int = 3) -> PresenceAnswered:
        return PresenceAnswered(
            occurred_at=now, aggregate_id=hold_id, after_months=months, happened_on=now.date(), presence=reply
        )

    async def answers() -> list[str]:
        async with lake.database.transaction() as tx:
            case = (await case_store.lock(tx, [case_id]))[case_id]
        return [step.presence.value for step in case.steps if step.presence]

    await heard(lake, links.presence_answered, said(Reply.NOT_KNOWN))
    assert await answers() == ["NOT_KNOWN"]
    await heard(lake, links.presence_answered, said(Reply.THERE))
    assert await answers() == ["THERE"]
    # Of another number of months nobody asks.
    await heard(lake, links.presence_answered, said(Reply.LEFT, months=9))
    assert await answers() == ["THERE"]


# -- what the seats service tells and asks


async def admitted_hold(runtime: Runtime, case_code: str | None) -> tuple[UUID, UUID]:
    """A structure with an address, and somebody admitted there today: hold and structure."""
    structure_id, programme_id = uuid4(), uuid4()
    conditions = Conditions("Parcours", (), None, 16, 25, EducationLevel.NO_DIPLOMA, False, True, None)
    async with runtime.database.transaction() as tx:
        await handlers.describe_structure(
            tx,
            structure_id,
            structure_name="Structure",
            kind=StructureKind.CFA,
            commune_code="76540",
            contact_email=f"{structure_id}@structures.example",
            fictitious=True,
        )
        assert await handlers.describe_programme(tx, structure_id, programme_id, conditions) is None
        declaration = Declaration(5, 0, await tx.now(), DeclarationWay.HTTP)
        await handlers.declare_seats(tx, structure_id, [(programme_id, declaration)])
        held = await handlers.hold_seat(
            tx,
            programme_id=programme_id,
            code=None,
            prescriber_id="p",
            contact_email=None,
            profile=Profile(),
            case_code=case_code,
        )
        assert not isinstance(held, Refusal)
        today = (await tx.now()).date()
        assert await handlers.confirm_hold(tx, held["hold_id"], structure_id, today) is None
        assert await handlers.admit_young_person(tx, held["hold_id"], structure_id) is None
    return held["hold_id"], structure_id


async def outbox(runtime: Runtime, topic: str) -> list[tuple[str, bytes]]:
    """Record and bytes of what was told on a topic."""
    async with runtime.database.transaction() as tx:
        rows = await tx.fetch_all("SELECT record, value FROM outbox WHERE topic = :topic ORDER BY id", topic=topic)
    return [(row.record.rsplit(".", 1)[1], bytes(row.value)) for row in rows]


async def test_no_topic_of_facts_names_a_case(seats_runtime: Runtime) -> None:
    """The code is on the topic that the observatory alone reads, and on no other."""
    code = new_code()
    await admitted_hold(seats_runtime, code)
    assert [record for record, _ in await outbox(seats_runtime, LINKS)] == ["CaseLinked"]
    async with seats_runtime.database.transaction() as tx:
        rows = await tx.fetch_all("SELECT topic, value, headers FROM outbox")
    assert {row.topic for row in rows if code.encode() in bytes(row.value) or code in str(row.headers)} == {LINKS}


async def mails(runtime: Runtime, structure_id: UUID) -> int:
    """How often a structure was asked."""
    async with runtime.database.transaction() as tx:
        row = await tx.fetch_one(
            "SELECT count(*) AS n FROM mail WHERE recipient = :to AND message_key LIKE 'presence/%'",
            to=f"{structure_id}@structures.example",
        )
    assert row is not None
    return int(row.n)


async def replies(runtime: Runtime) -> list[str]:
    """What was told of presences."""
    codec = runtime.schema_ids.codec
    told_ = [codec.decode(value) for record, value in await outbox(runtime, LINKS) if record == "PresenceAnswered"]
    return [str(one.fields["presence"]) for one in told_]


async def test_who_is_asked_and_when(seats_runtime: Runtime) -> None:
    """Three months after, not before; reminded twice; after thirty days not known; a late answer replaces it. Nobody without a case."""
    hold_id, structure_id = await admitted_hold(seats_runtime, new_code())
    _, other = await admitted_hold(seats_runtime, None)
    sweepers = presence.ask_presence, presence.give_up
    asked = []
    for day in (88, 93, 95, 104, 114, 122, 125):
        await set_clock(seats_runtime, day)
        for _ in range(2):
            await swept(seats_runtime, *sweepers)
        asked.append((day, await mails(seats_runtime, structure_id), await replies(seats_runtime)))
    assert asked == [
        (88, 0, []),
        (93, 1, []),
        (95, 1, []),
        (104, 2, []),
        (114, 3, []),
        (122, 3, []),
        (125, 3, ["NOT_KNOWN"]),
    ]
    assert await mails(seats_runtime, other) == 0
    async with seats_runtime.database.transaction() as tx:
        refused = await presence.answer(tx, hold_id, 3, PresenceReply.THERE, other)
        assert refused is not None
        assert refused.reason == "not_your_structure"
        assert await presence.answer(tx, hold_id, 6, PresenceReply.THERE, structure_id) == presence.GONE
        for _ in range(2):
            assert await presence.answer(tx, hold_id, 3, PresenceReply.THERE, structure_id) is None
    assert await replies(seats_runtime) == ["NOT_KNOWN", "THERE"]
    # Attached to nothing any more, six months after concern nobody.
    async with seats_runtime.database.transaction() as tx:
        await case_links.attach(tx, hold_id, None)
    await set_clock(seats_runtime, 190)
    await swept(seats_runtime, *sweepers)
    assert await mails(seats_runtime, structure_id) == 3


async def test_a_link_that_the_database_forgot(seats_runtime: Runtime) -> None:
    """It comes back from the log; one that the log has later is taken over."""
    hold_id, now = uuid4(), datetime.now(UTC)
    attached = CaseLinked(occurred_at=now, aggregate_id=hold_id, aggregate_version=38, case_code="23456789AB")
    unlinked = CaseUnlinked(occurred_at=now, aggregate_id=hold_id, aggregate_version=39)
    assert await restated(seats_runtime, AGGREGATES, LINKS, hold_id, attached) == [("CaseLinked", 41)]
    async with seats_runtime.database.transaction() as tx:
        assert await case_links.codes_of(tx, [hold_id]) == {hold_id: "23456789AB"}
    records = await restated(seats_runtime, AGGREGATES, LINKS, hold_id, attached, unlinked)
    assert records[-1][0] == "CaseUnlinked"


async def test_the_mails_link_answers_without_an_account(seats: Seats, observatory: Observatory) -> None:
    """One page, three buttons, an answer that may be changed; a link of another use opens nothing."""
    async with http_client(base_url=seats.url, headers={"Accept": "text/html"}) as client:
        assert (await client.get("/presence/not-a-link")).status_code == 403
        assert (await client.post("/presence/not-a-link", data={"presence": "THERE"})).status_code == 403
