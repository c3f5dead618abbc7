"""Erasing somebody touches all that they hold: it locks these things in the order of everybody else, ids ascending."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import combinations
from uuid import UUID, uuid4

from common.runtime import Runtime
from common.testing import FreshRuntime, never_in_a_circle, until_it_waits
from common.transaction import Transaction
from events import personal_data
from events.handlers import Registered
from platform_scheduling import personal_data as requesters
from stage_matching import handlers as stage_handlers
from stage_matching import hosts
from stage_matching import personal_data as seekers
from stage_matching.bodies import HostBody, OfferBody, RequestBody
from tests.integration import events, platforms
from tests.integration.stages import LATER, offer_body, request_body, siret

Erase = Callable[[Transaction], Awaitable[int | None]]


async def waits_for_the_lower_first(runtime: Runtime, erase: Erase, table: str, low: UUID, high: UUID) -> int | None:
    """Somebody has the lower row and then wants the higher one, while a person who is in both is erased; how many it erased."""
    lock = f"SELECT 1 FROM {table} WHERE {table}_id = :id FOR UPDATE"
    async with runtime.database.transaction() as tx:
        await tx.fetch_one(lock, id=low)
        erasing = asyncio.create_task(runtime.database.run(never_in_a_circle(erase)))
        await until_it_waits(tx, erasing)
        await tx.fetch_one(lock, id=high)
    return await erasing


async def test_sessions_of_all_parties_of_a_person(fresh_runtime: FreshRuntime) -> None:
    """Two parties, of two events: the party with the lower id is in the session with the higher one."""
    async with fresh_runtime("events", development=True) as runtime:
        held: list[tuple[UUID, UUID]] = []
        inverted: list[tuple[UUID, UUID]] = []
        while not inverted:
            event_id, (session_id,) = await events.prepared(runtime, {})
            made = await events.registered(runtime, event_id, [session_id], "leaves")
            assert isinstance(made, Registered)
            held = sorted([*held, (made.party_id, session_id)])
            inverted = [(two, one) for (_, one), (_, two) in combinations(held, 2) if one > two]

        async def erase(tx: Transaction) -> int | None:
            return await personal_data.erase_address(tx, "leaves@example.org")

        assert await waits_for_the_lower_first(runtime, erase, "session", *inverted[0]) == len(held)


async def test_platforms_of_a_requester(fresh_runtime: FreshRuntime) -> None:
    """The earlier booking is of the platform with the higher id."""
    async with fresh_runtime("platform_scheduling", development=True) as runtime:
        low, high = sorted([(await platforms.prepared(runtime))[1] for _ in range(2)])
        await platforms.booked_by(runtime, high, "leaves", 30)
        await platforms.booked_by(runtime, low, "leaves", 40)

        async def erase(tx: Transaction) -> int | None:
            return await requesters.erase_requester(tx, "leaves")

        assert await waits_for_the_lower_first(runtime, erase, "platform", low, high) == 2


async def test_offers_of_a_seeker(fresh_runtime: FreshRuntime) -> None:
    """The application that is due first is for the offer with the higher id."""
    host = HostBody.model_validate(
        {"host_name": "H", "siret": siret(), "kind": "COMPANY", "commune_code": "76540"}
    ).identity()
    wish = RequestBody.model_validate(request_body(iso_weeks=[LATER])).wish()
    offer = OfferBody.model_validate(offer_body({LATER: 1}))
    host_id, (low, high) = uuid4(), sorted([uuid4(), uuid4()])
    async with fresh_runtime("stage_matching", development=True) as runtime:
        async with runtime.database.transaction() as tx:
            await hosts.describe(tx, host_id, host, None)
            await stage_handlers.file_request(tx, "leaves", None, wish)
            for offer_id in (low, high):
                await stage_handlers.describe_offer(tx, host_id, offer_id, offer.description(), offer.seats)
                assert isinstance(await stage_handlers.apply(tx, "leaves", offer_id, (LATER,), None), UUID)
            await tx.execute("UPDATE application SET due_at = due_at - interval '1 hour' WHERE offer_id = :id", id=high)

        async def erase(tx: Transaction) -> int | None:
            return await seekers.erase_seeker(tx, "leaves")

        assert await waits_for_the_lower_first(runtime, erase, "offer", low, high) == 2
