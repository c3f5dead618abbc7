"""What stands behind a café: every change × every kind of registration, on a real database; what households are told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest

from common.commitments import ACCEPTS, ASKED, WOULD_BREAK, Fate
from common.failures import Refusal
from common.runtime import Runtime
from common.testing import FreshRuntime, accepting, set_clock
from common.transaction import Transaction
from parents_cafes import handlers, household_store, personal_data, season_handlers, store, venue_store
from parents_cafes.bodies import CafeBody, VenueBody
from parents_cafes.commitments import TABLE, Change, Kind
from parents_cafes.handlers import Registered
from tests.integration.cafes import (
    AGENCY,
    Cafes,
    cafe_body,
    cafe_row,
    days_before,
    filled,
    first_day,
    mails_of,
    opened,
    planned,
    registered,
    registration_of,
    reviewed,
    states_of,
)
from waiting_list.rules import PARIS

CELLS = [pytest.param(*cell, id="-".join(cell)) for cell in TABLE.cells]


@dataclass
class Behind:
    """A café of two seats in a venue of its own, with one registration of two."""

    venue_id: UUID = field(default_factory=uuid4)
    facilitator_id: UUID = field(default_factory=uuid4)
    cafe_id: UUID = field(default_factory=uuid4)
    registration_id: UUID = field(default_factory=uuid4)


async def made(tx: Transaction, kind: Kind) -> Behind:
    """One registration of a kind; who waits is two parents, for a café of two seats of which somebody has one."""
    behind = Behind()
    assert await placing()(tx, behind) is None
    for one in (behind.facilitator_id, other_facilitator(behind)):
        assert await season_handlers.describe_facilitator(tx, AGENCY, one, "Anima", "anima@example.org") is None
    assert await planning()(tx, behind) is None
    assert await season_handlers.open_cafe(tx, AGENCY, behind.cafe_id) is None
    await tx.execute("UPDATE cafe SET opens_at = now() WHERE cafe_id = :id", id=behind.cafe_id)
    before = None
    if kind in (Kind.WAITING, Kind.OFFERED):
        before = await _registers(tx, behind, 1 if kind is Kind.WAITING else 2)
    behind.registration_id = (await _registers(tx, behind, 2)).registration_id
    if kind is Kind.OFFERED:
        assert before is not None
        assert await season_handlers.cancel_for(tx, AGENCY, before.registration_id) is None
    if kind is Kind.BEGUN:
        now = (await tx.now()).replace(second=0, microsecond=0)
        await tx.execute(
            "UPDATE cafe SET state = 'confirmed', review_at = NULL, starts_at = :begun, ends_at = :ends, over_at = :over WHERE cafe_id = :id",
            begun=now - timedelta(hours=1),
            ends=now + timedelta(hours=1),
            over=now + timedelta(hours=5),
            id=behind.cafe_id,
        )
    return behind


def other_facilitator(behind: Behind) -> UUID:
    """Somebody else who runs exchanges."""
    return UUID(int=behind.facilitator_id.int ^ 1)


async def _registers(tx: Transaction, behind: Behind, seats: int) -> Any:
    who = f"home-{uuid4().hex[:8]}"
    household_id = await household_store.household_for(tx, f"{who}@example.org", who)
    found = await handlers.register(tx, household_id, behind.cafe_id, seats, wait=True)
    assert isinstance(found, Registered) and found.registration is not None, found
    return found.registration


Does = Callable[[Transaction, Behind], Awaitable[Refusal | None]]


def placing(**changes: Any) -> Does:
    """The venue, or another description of it."""

    async def does(tx: Transaction, behind: Behind) -> Refusal | None:
        body = {
            "title": "Médiathèque",
            "kind": "ASSOCIATION",
            "commune_code": "76540",
            "capacity_count": 2,
            "accessible": True,
        }
        venue = VenueBody.model_validate(body | changes).venue(behind.venue_id)
        return await season_handlers.describe_venue(tx, AGENCY, venue)

    return does


def planning(**changes: Any) -> Does:
    """The café, or another plan of it; one that has begun keeps its hours unless they are what changes."""

    async def does(tx: Transaction, behind: Behind) -> Refusal | None:
        row = await tx.fetch_one("SELECT starts_at, ends_at FROM cafe WHERE cafe_id = :id", id=behind.cafe_id)
        hours = {"starts_at": row.starts_at.isoformat(), "ends_at": row.ends_at.isoformat()} if row else {}
        body = cafe_body(behind.venue_id, behind.facilitator_id, **{"capacity_count": 2, **hours, **changes})
        if changes.get("facilitator"):
            body = {**body, "facilitator_id": str(other_facilitator(behind))}
            del body["facilitator"]
        if changes.get("longer"):
            assert row is not None
            body = {**body, "ends_at": (row.ends_at + timedelta(minutes=15)).isoformat()}
            del body["longer"]
        plan = CafeBody.model_validate(body)
        venue = await venue_store.find_venue(tx, plan.venue_id)
        assert venue is not None
        return await season_handlers.plan_cafe(tx, AGENCY, behind.cafe_id, plan.plan(venue))

    return does


async def in_another_period(tx: Transaction, behind: Behind) -> Refusal | None:
    """The first day of the next period."""
    policy = await store.policy_at(tx, await tx.now())
    day = first_day()
    while policy.period_of(day) in (None, policy.period_of(first_day())):
        day += timedelta(days=1)
    begin = datetime.combine(day, time(18), PARIS)
    hours = {"starts_at": begin.isoformat(), "ends_at": (begin + timedelta(minutes=90)).isoformat()}
    return await planning(**hours)(tx, behind)


async def erasing(tx: Transaction, _: Behind) -> None:
    """Who runs it and who plans it are somebody without a name."""
    for one in ("anima@example.org", "agency@example.org"):
        assert await personal_data.erase_address(tx, one) == 0


def passing(spare: int, *, into: bool = False) -> Does:
    """The pass looks at the café, of which so many seats are free; perhaps another has room."""

    async def does(tx: Transaction, behind: Behind) -> None:
        if into:
            there = Behind(facilitator_id=other_facilitator(behind))
            assert await placing(capacity_count=20)(tx, there) is None
            assert await planning(capacity_count=20)(tx, there) is None
            assert await season_handlers.open_cafe(tx, AGENCY, there.cafe_id) is None
        await tx.execute(
            "UPDATE cafe SET state = 'open', review_at = :now, capacity_count = taken_count + :spare WHERE cafe_id = :id",
            now=await tx.now(),
            spare=spare,
            id=behind.cafe_id,
        )
        assert not await season_handlers.review_due.one(tx, (date.min, behind.cafe_id))
        row = await tx.fetch_one("SELECT review_at FROM cafe WHERE cafe_id = :id", id=behind.cafe_id)
        assert row is not None and row.review_at is None, "the pass has decided"

    return does


def new_policy(**changes: Any) -> Does:
    """From today on; and the café is looked at since."""

    async def does(tx: Transaction, behind: Behind) -> None:
        row = await tx.fetch_one("SELECT limits FROM policy ORDER BY valid_on DESC LIMIT 1")
        assert row is not None
        await tx.execute(
            """INSERT INTO policy (valid_on, limits) VALUES ((CAST(:now AS timestamptz) AT TIME ZONE 'Europe/Paris')::date, CAST(:limits AS jsonb))
               ON CONFLICT (valid_on) DO UPDATE SET limits = excluded.limits""",
            now=await tx.now(),
            limits=json.dumps({**row.limits, **changes}),
        )
        await handlers.settle_due.one(tx, behind.cafe_id)

    return does


CHANGES: dict[Change, Does] = {
    Change.SEATS: planning(capacity_count=1),
    Change.MOVED: planning(longer=True),
    Change.PERIOD: in_another_period,
    Change.THEME: planning(theme="TRADES"),
    Change.CANCELLED: lambda tx, one: season_handlers.call_off(tx, AGENCY, one.cafe_id),
    Change.FOR_A_HOUSEHOLD: lambda tx, one: season_handlers.cancel_for(tx, AGENCY, one.registration_id),
    Change.VENUE: placing(accessible=False),
    Change.VENUE_SMALLER: placing(capacity_count=1),
    Change.FACILITATOR: planning(facilitator=True),
    Change.FACILITATOR_DESCRIBED: lambda tx, one: season_handlers.describe_facilitator(
        tx, AGENCY, one.facilitator_id, "Autrement", "autrement@example.org"
    ),
    Change.ERASED: erasing,
    Change.CONFIRMED: passing(0),
    Change.MERGED: passing(1, into=True),
    Change.UNDER_MINIMUM: passing(1),
    Change.POLICY: new_policy(household_seats_max=1, capacity_max=1, minimum_count=20),
    Change.PERIODS: new_policy(
        periods={"OCTOBER": ("04-01", "04-02"), "DECEMBER": ("05-01", "05-02"), "FEBRUARY": ("06-01", "06-02")}
    ),
}
# Announced with the registration, or asked for by the household itself.
UNASKED = {Change.FOR_A_HOUSEHOLD, Change.MERGED, Change.UNDER_MINIMUM}
# What each household is owed, by its state, or by what was changed.
MOVED = {"waiting": "offered", "offered": "offered", "registered": "merged"}
ENDED = {Change.CANCELLED: "cancelled", Change.UNDER_MINIMUM: "cancelled", Change.FOR_A_HOUSEHOLD: "ended"}
CHANGED = {Change.MOVED: "changed", Change.THEME: "theme", Change.VENUE: "inaccessible"}


async def promised(tx: Transaction, behind: Behind) -> Any:
    """The registration as it is, and what its household has yet to be told."""
    row = await tx.fetch_one("SELECT * FROM registration WHERE registration_id = :id", id=behind.registration_id)
    assert row is not None
    return row


def test_no_cell_is_missing() -> None:
    """Each change is tried here, and its row has a fate for each kind of registration."""
    assert TABLE.missing == []
    assert set(CHANGES) == set(Change)


@pytest.fixture(scope="module")
async def runtime(fresh_runtime: FreshRuntime) -> AsyncIterator[Runtime]:
    """The service on a database of its own, for all cells."""
    async with fresh_runtime("parents_cafes", development=True) as built:
        yield built


@pytest.mark.parametrize(("change", "kind"), CELLS)
async def test_every_cell(runtime: Runtime, change: Change, kind: Kind) -> None:
    """What is asked about is not done before it is accepted; then each registration is what its cell says, and is owed the word."""
    fate = TABLE.fate(change, kind)
    async with runtime.database.transaction() as tx, tx.undone():
        behind = await made(tx, kind)
        await tx.execute("UPDATE registration SET owed = NULL")
        before = await promised(tx, behind)
        refusal = await CHANGES[change](tx, behind)
        if fate in ASKED and change not in UNASKED:
            assert refusal is not None and refusal.reason == WOULD_BREAK, refusal
            shown = {one["id"]: one for one in refusal.facts["commitments"]}
            assert shown[str(behind.registration_id)]["becomes"] == fate
            assert await promised(tx, behind) == before
            tx.accepted = refusal.facts[ACCEPTS]
            refusal = await CHANGES[change](tx, behind)
        if fate is Fate.BARS:
            assert refusal is not None and refusal.reason in ("seats_taken", "cafe_over", "other_period"), refusal
        else:
            assert refusal is None, refusal
        row = await promised(tx, behind)
        assert (row.cafe_id != before.cafe_id) == (fate is Fate.MOVES)
        match fate:
            case Fate.ENDS:
                assert (row.state, row.owed) == ("ended", ENDED.get(change, "outgrown"))
            case Fate.MOVES:
                # There is room for whoever waits, too.
                assert row.state == before.state.replace("waiting", "offered") and row.owed == MOVED[before.state]
            case _:
                assert (row.state, row.owed) == (before.state, CHANGED[change] if fate is Fate.CHANGES else None)


async def test_a_household_that_no_longer_fits_is_told_so(fresh_runtime: FreshRuntime) -> None:
    """A venue that contains fewer than the café: who waits for more reads why, and waits no more."""
    async with fresh_runtime("parents_cafes", development=True) as runtime:
        cafe_id = await opened(runtime, capacity_count=2)
        await registered(runtime, cafe_id, "first", 1)
        await registered(runtime, cafe_id, "couple", 2)
        assert (await states_of(runtime, cafe_id))["couple"] == "waiting"
        async with runtime.database.transaction() as tx:
            row = await tx.fetch_one("SELECT * FROM cafe WHERE cafe_id = :id", id=cafe_id)
            assert row is not None
        body = cafe_body(row.venue_id, row.facilitator_id, capacity_count=1)
        async with runtime.database.transaction() as tx:
            venue = await venue_store.find_venue(tx, row.venue_id)
            assert venue is not None
            plan = CafeBody.model_validate(body).plan(venue)
            refusal = await season_handlers.plan_cafe(tx, AGENCY, cafe_id, plan)
            assert refusal is not None and refusal.facts["count"] == 1
        assert (await states_of(runtime, cafe_id))["couple"] == "waiting"
        assert await planned(runtime, cafe_id, body) is None
        assert (await states_of(runtime, cafe_id))["couple"] == "ended"
        subject, body_text = (await mails_of(runtime, "couple"))[-1]
        assert subject.startswith("Inscription close") and "vous n’attendez plus" in body_text


async def test_software_is_shown_whom_a_cancellation_concerns(cafes: Cafes) -> None:
    """An empty café is called off at once."""
    async with await cafes.coordinator() as coordinator:
        cafe_id = await cafes.cafe(coordinator)
        assert (await coordinator.post(f"/v1/cafes/{cafe_id}/cancellation")).status_code == 200


async def test_a_party_that_no_longer_fits_comes_before_others_next_time(fresh_runtime: FreshRuntime) -> None:
    """As it was promised when it was put in line: that is not its own choice."""
    async with fresh_runtime("parents_cafes", development=True) as runtime:
        cafe_id = await opened(runtime, capacity_count=2)
        await registered(runtime, cafe_id, "has", 1)
        await registered(runtime, cafe_id, "couple", 2)
        row = await cafe_row(runtime, cafe_id)
        assert await planned(runtime, cafe_id, cafe_body(row.venue_id, row.facilitator_id, capacity_count=1)) is None
        assert (await registration_of(runtime, "couple")).end_reason == "NOT_SERVED"
        result = await registered(runtime, await opened(runtime, on=3), "couple", 2)
        assert isinstance(result, Registered) and result.registration is not None
        assert result.registration.priority == 1


async def test_who_leaves_since_the_place_changed_is_not_late(fresh_runtime: FreshRuntime) -> None:
    """Two days to keep, change or cancel, though it is the eve; who keeps it has answered."""
    async with fresh_runtime("parents_cafes", development=True) as runtime:
        cafe_id = await opened(runtime)
        await filled(runtime, cafe_id, 8, "n")
        await set_clock(runtime, days_before(6.9))
        await reviewed(runtime)
        await set_clock(runtime, days_before(1))
        row = await cafe_row(runtime, cafe_id)
        body = {"title": "Ailleurs", "kind": "CAFE", "commune_code": "76351", "capacity_count": 100}
        venue = VenueBody.model_validate(body).venue(row.venue_id)
        async with runtime.database.transaction() as tx:
            assert await accepting(tx, partial(season_handlers.describe_venue, tx, AGENCY, venue)) is None
        assert "annulez librement" in (await mails_of(runtime, "n-0"))[-1][1]
        one, other = await registration_of(runtime, "n-0"), await registration_of(runtime, "n-1")
        async with runtime.database.transaction() as tx:
            assert await handlers.cancel(tx, one.holder_id, one.registration_id, warned=False) is None
            assert await handlers.keep(tx, other.holder_id, other.registration_id) is None
            refusal = await handlers.cancel(tx, other.holder_id, other.registration_id, warned=False)
        assert refusal is not None and refusal.reason == "late_warning"


async def test_who_has_the_list_is_told(fresh_runtime: FreshRuntime) -> None:
    """Somebody else runs it: the one no longer has it, the other has the list; called off, that one is told, too."""
    async with fresh_runtime("parents_cafes", development=True) as runtime:
        cafe_id, new_id = await opened(runtime), uuid4()
        async with runtime.database.transaction() as tx:
            await tx.execute("UPDATE cafe SET reminded_at = now() WHERE cafe_id = :id", id=cafe_id)
            assert await season_handlers.describe_facilitator(tx, AGENCY, new_id, "Neuf", "neuf@example.org") is None
        row = await cafe_row(runtime, cafe_id)
        assert await planned(runtime, cafe_id, cafe_body(row.venue_id, new_id)) is None
        assert (await mails_of(runtime, "anima"))[-1][0] == "Un café que vous n’animez plus"
        assert (await mails_of(runtime, "neuf"))[-1][0] == "Votre café des parents : la liste"
        async with runtime.database.transaction() as tx:
            assert await season_handlers.call_off(tx, AGENCY, cafe_id) is None
        assert (await mails_of(runtime, "neuf"))[-1][0] == "Un café que vous n’animez plus"
