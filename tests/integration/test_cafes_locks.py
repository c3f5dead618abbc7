"""Locks of the parents' cafés are taken once, in one order: whoever finds that a household was moved meanwhile begins anew."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from common.runtime import Runtime
from common.testing import never_in_a_circle, until_it_waits
from common.transaction import Transaction
from parents_cafes import handlers, household_store, personal_data, season_handlers
from parents_cafes.bodies import VenueBody
from parents_cafes.handlers import Registered
from tests.integration.cafes import AGENCY, cafe_body, cafe_row, opened, planned, registered

# As a merge locks a café; a foreign key to it may still be written meanwhile.
_LOCK = "SELECT 1 FROM cafe WHERE cafe_id = :id FOR NO KEY UPDATE"
Act = Callable[[Transaction, Registered, UUID, UUID], Awaitable[Any]]
_ACTS: dict[str, Act] = {
    "cancel": lambda tx, who, one, _: handlers.cancel(tx, who.household_id, one, warned=True),
    "change": lambda tx, who, one, other: handlers.change(tx, who.household_id, one, other, warned=True),
    "coordinator": lambda tx, _, one, __: season_handlers.cancel_for(tx, AGENCY, one),
    "erase": lambda tx, who, _, __: personal_data.erase_household(tx, who.household_id),
}


@pytest.mark.parametrize("name", _ACTS)
async def test_nobody_who_has_a_cafe_waits_for_a_lower_one(cafes_runtime: Runtime, name: str) -> None:
    """Whoever waits for the higher café while its household is moved to the lower one lets the higher go, and acts on the lower."""
    low, other, high = sorted([await opened(cafes_runtime, on=n) for n in range(3)])
    made = await registered(cafes_runtime, high, f"moves-{name}")
    assert isinstance(made, Registered) and made.registration is not None
    one = made.registration.registration_id
    database = cafes_runtime.database
    act = never_in_a_circle(lambda tx: _ACTS[name](tx, made, one, other))
    async with database.transaction() as both:
        async with database.transaction() as moving:
            await moving.fetch_one(_LOCK, id=high)
            acting = asyncio.create_task(database.run(act))
            await until_it_waits(moving, acting)
            await both.fetch_one(_LOCK, id=low)
            await moving.execute("UPDATE registration SET cafe_id = :low WHERE registration_id = :id", low=low, id=one)
        await until_it_waits(both, acting)
        await both.fetch_one(_LOCK, id=high)
    assert await acting in (None, 1)
    async with database.transaction() as tx:
        row = await tx.fetch_one("SELECT cafe_id, state FROM registration WHERE registration_id = :id", id=one)
    assert row is not None
    assert (row.cafe_id, row.state) == ((other, "registered") if name == "change" else (low, "ended"))


async def test_who_confirms_and_who_is_erased_wait_in_one_order(cafes_runtime: Runtime) -> None:
    """A household follows the link of its second request while it is erased: what was asked is locked before the household."""
    cafe_id = await opened(cafes_runtime)
    await registered(cafes_runtime, cafe_id, "leaves")
    database, address = cafes_runtime.database, "leaves@example.org"
    asked: dict[str, Any] = {"title": None, "seat_count": 1, "wait": True, "hours": 48}
    async with database.transaction() as tx:
        request_id = await household_store.file_request(tx, cafe_id=cafe_id, email=address, **asked)
    async with database.transaction() as tx:
        assert await household_store.lock_request(tx, request_id) is not None
        erase = never_in_a_circle(lambda tx: personal_data.erase_address(tx, address))
        erasing = asyncio.create_task(database.run(erase))
        await until_it_waits(tx, erasing)
        assert isinstance(await handlers.confirm(tx, request_id), Registered)
    assert await erasing == 1
    async with database.transaction() as tx:
        assert await personal_data.export_address(tx, address) is None


async def test_a_cafe_that_moves_while_somebody_registers_is_still_there(cafes_runtime: Runtime) -> None:
    """Whoever waits for a café whose venue becomes another finds it in the new one."""
    cafe_id, other = await opened(cafes_runtime), await opened(cafes_runtime, on=1)
    async with cafes_runtime.database.transaction() as tx:
        await tx.fetch_one(_LOCK, id=cafe_id)
        registering = asyncio.create_task(registered(cafes_runtime, cafe_id, "meanwhile"))
        await until_it_waits(tx, registering)
        await tx.execute(
            "UPDATE cafe SET venue_id = (SELECT venue_id FROM cafe WHERE cafe_id = :other) WHERE cafe_id = :id",
            other=other,
            id=cafe_id,
        )
    made = await registering
    assert isinstance(made, Registered) and made.registration is not None, made


async def test_a_cafe_is_planned_in_a_venue_as_it_is_by_then(cafes_runtime: Runtime) -> None:
    """Its coordinator waits for whoever describes the venue, and has no more seats than it contains."""
    cafe_id, there = await opened(cafes_runtime), await opened(cafes_runtime, on=1)
    venue_id = (await cafe_row(cafes_runtime, there)).venue_id
    body = cafe_body(venue_id, (await cafe_row(cafes_runtime, cafe_id)).facilitator_id)
    async with cafes_runtime.database.transaction() as tx:
        small = {"title": "Médiathèque", "kind": "ASSOCIATION", "commune_code": "76540", "capacity_count": 9}
        venue = VenueBody.model_validate(small).venue(venue_id)
        assert await season_handlers.describe_venue(tx, AGENCY, venue) is None
        planning = asyncio.create_task(planned(cafes_runtime, cafe_id, body))
        await until_it_waits(tx, planning)
    refusal = await planning
    assert refusal is not None and refusal.reason == "too_many_seats", refusal
