"""What time does to the parents' cafés: the pass seven days before, who comes first next time, reminders, forgetting."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial

from common.runtime import Runtime
from common.testing import accepting, set_clock, swept
from parents_cafes import handlers, season_handlers
from parents_cafes.handlers import Registered
from parents_cafes.state import Coordinator
from tests.integration.cafes import (
    AGENCY,
    cafe_row,
    days_before,
    filled,
    household,
    link_in,
    mails_of,
    opened,
    registered,
    registration_of,
    reviewed,
    settled,
    states_of,
)

# -- the pass


async def test_seven_six_and_five_become_one_of_eighteen(cafes_runtime: Runtime) -> None:
    """On one evening in three towns; everybody is written to once, and nobody is lost."""
    towns = ("76540", "76575", "76498")
    ids = [await opened(cafes_runtime, commune_code=code) for code in towns]
    for cafe_id, seats in zip(ids, (7, 6, 5), strict=True):
        await filled(cafes_runtime, cafe_id, seats)
    await set_clock(cafes_runtime, days_before(7.5))
    assert await reviewed(cafes_runtime) == 0, "not before its hour"
    await set_clock(cafes_runtime, days_before(6.9))
    assert await reviewed(cafes_runtime) == 3
    assert await reviewed(cafes_runtime) == 0, "twice is once"
    rows = [await cafe_row(cafes_runtime, one) for one in ids]
    assert sorted((row.state, row.taken_count) for row in rows) == [("confirmed", 18), ("merged", 0), ("merged", 0)]
    standing = next(row.cafe_id for row in rows if row.state == "confirmed")
    assert Counter((await states_of(cafes_runtime, standing)).values()) == {"registered": 18}
    moved = next(one for one in ids if one != standing)
    (subject, body), *more = (await mails_of(cafes_runtime, f"{moved.hex[:6]}-0"))[-1:]
    assert subject == "Votre café change de lieu : café des parents" and more == []
    assert "sans réponse, elles restent à vous" in body and "/mon-cafe/" in body
    coordinator = await mails_of(cafes_runtime, "agency")
    assert [one for one, _ in coordinator] == ["Cafés réunis"] * 2


async def test_seven_and_fourteen_do_not_merge(cafes_runtime: Runtime) -> None:
    """The seven's café is cancelled, they come first next time; the fourteen's takes place."""
    seven, fourteen = await opened(cafes_runtime), await opened(cafes_runtime, commune_code="76575")
    await filled(cafes_runtime, seven, 7)
    await filled(cafes_runtime, fourteen, 14)
    await set_clock(cafes_runtime, days_before(6.9))
    assert await reviewed(cafes_runtime) == 2
    assert (await cafe_row(cafes_runtime, seven)).state == "cancelled"
    assert (await cafe_row(cafes_runtime, fourteen)).state == "confirmed"
    who = f"{seven.hex[:6]}-3"
    row = await registration_of(cafes_runtime, who)
    assert (row.state, row.end_reason) == ("ended", "CAFE_CANCELLED")
    assert (await mails_of(cafes_runtime, who))[-1][0] == "Votre café n’a pas lieu : café des parents"
    # There is room for some of them in the same period already; they come first there too.
    result = await registered(cafes_runtime, fourteen, who)
    assert isinstance(result, Registered) and result.registration is not None and result.registration.priority == 2


async def test_a_parent_who_was_moved_keeps_changes_or_cancels_freely(cafes_runtime: Runtime) -> None:
    """For 48 hours, in one act each, seats held; silence keeps; declining a merge gives priority, and is never late."""
    source, target = await opened(cafes_runtime), await opened(cafes_runtime, commune_code="76575", on=0, hour=17)
    third = await opened(cafes_runtime, commune_code="14118", on=4)
    await filled(cafes_runtime, source, 6)
    await filled(cafes_runtime, target, 9)
    await set_clock(cafes_runtime, days_before(6.9))
    assert await reviewed(cafes_runtime) == 2
    names = [f"{source.hex[:6]}-{n}" for n in range(6)]
    rows = [await registration_of(cafes_runtime, who) for who in names]
    assert {(row.cafe_id, row.state, row.moved_from_id) for row in rows} == {(target, "registered", source)}
    async with cafes_runtime.database.transaction() as tx:
        assert await handlers.keep(tx, rows[0].holder_id, rows[0].registration_id) is None
    async with cafes_runtime.database.transaction() as tx:
        assert await handlers.change(tx, rows[1].holder_id, rows[1].registration_id, third, warned=False) is None
    async with cafes_runtime.database.transaction() as tx:
        assert await handlers.cancel(tx, rows[2].holder_id, rows[2].registration_id, warned=False) is None
    assert (await registration_of(cafes_runtime, names[0])).moved_until is None
    assert (await registration_of(cafes_runtime, names[1])).cafe_id == third
    assert (await registration_of(cafes_runtime, names[2])).end_reason == "MOVE_DECLINED"
    # Three days later the silent ones still have their seats; leaving in the last hours is late again.
    await set_clock(cafes_runtime, days_before(1))
    await settled(cafes_runtime)
    silent = await registration_of(cafes_runtime, names[3])
    assert (silent.state, silent.cafe_id) == ("registered", target)
    async with cafes_runtime.database.transaction() as tx:
        refusal = await handlers.cancel(tx, silent.holder_id, silent.registration_id, warned=False)
    assert refusal is not None and refusal.reason == "late_warning"
    assert (await cafe_row(cafes_runtime, target)).taken_count == 13


async def test_the_pass_in_two_replicas_late_and_twice_decides_once(cafes_runtime: Runtime) -> None:
    """Four sweepers at once over twelve small cafés, a day late: as many seats as before, each café decided once."""
    ids = [
        await opened(cafes_runtime, commune_code=code, on=n % 2)
        for n, code in enumerate(["76540", "76575", "76498"] * 4)
    ]
    for n, cafe_id in enumerate(ids):
        await filled(cafes_runtime, cafe_id, 1 + n % 5)
    await set_clock(cafes_runtime, days_before(5))
    await asyncio.gather(*(reviewed(cafes_runtime) for _ in range(4)))
    await set_clock(cafes_runtime, days_before(3.9))
    await asyncio.gather(*(reviewed(cafes_runtime) for _ in range(4)))
    rows = [await cafe_row(cafes_runtime, one) for one in ids]
    assert all(row.review_at is None and row.state in ("confirmed", "merged", "cancelled") for row in rows)
    assert all(row.taken_count <= 20 for row in rows)
    async with cafes_runtime.database.transaction() as tx:
        told = await tx.fetch_all("SELECT key, record, count(*) AS n FROM outbox GROUP BY key, record")
        seats = await tx.fetch_one("SELECT count(DISTINCT holder_id) AS n FROM registration")
        twice = await tx.fetch_all(
            "SELECT holder_id FROM registration WHERE state <> 'ended' GROUP BY holder_id HAVING count(*) > 1"
        )
    decided = Counter(
        row.key for row in told if row.record.rsplit(".")[-1] in ("CafeConfirmed", "CafeMerged", "CafeCancelled")
    )
    assert decided == {str(one): 1 for one in ids} and all(row.n == 1 for row in told if "Confirmed" in row.record)
    assert seats is not None and seats.n == sum(1 + n % 5 for n in range(12)) and twice == []


async def test_a_lapsed_offer_leaves_room_for_a_merge(cafes_runtime: Runtime) -> None:
    """Though no sweeper ran in the café that receives: what nobody took holds nothing."""
    source, target = (
        await opened(cafes_runtime, on=4),
        await opened(cafes_runtime, commune_code="76575", on=5, capacity_count=9),
    )
    await filled(cafes_runtime, target, 9, "t")
    await registered(cafes_runtime, target, "slow", 2)
    await filled(cafes_runtime, source, 2, "s")
    # Two seats come back three days before the pass, are offered, and nobody answers.
    await set_clock(cafes_runtime, days_before(10, of=4))
    for who in ("t-0", "t-1"):
        row = await registration_of(cafes_runtime, who)
        async with cafes_runtime.database.transaction() as tx:
            assert await handlers.cancel(tx, row.holder_id, row.registration_id, warned=False) is None
    assert (await registration_of(cafes_runtime, "slow")).state == "offered"
    await set_clock(cafes_runtime, days_before(6.9, of=4))
    assert await reviewed(cafes_runtime) == 1
    assert (await cafe_row(cafes_runtime, source)).merged_into_id == target
    assert (await cafe_row(cafes_runtime, target)).taken_count == 9


async def test_a_pass_that_comes_after_the_cafe_dissolves_nothing(cafes_runtime: Runtime) -> None:
    """Nobody was told otherwise, so it took place: held, by whichever sweeper looks first; one that was called off stays so."""
    late, off = await opened(cafes_runtime), await opened(cafes_runtime, on=1)
    await filled(cafes_runtime, late, 3)
    async with cafes_runtime.database.transaction() as tx:
        assert await accepting(tx, partial(season_handlers.call_off, tx, AGENCY, off)) is None
    await set_clock(cafes_runtime, days_before(-3))
    await reviewed(cafes_runtime)
    await settled(cafes_runtime)
    assert await reviewed(cafes_runtime) == 0
    assert [(await cafe_row(cafes_runtime, one)).state for one in (late, off)] == ["held", "cancelled"]
    assert (await cafe_row(cafes_runtime, late)).taken_count == 3


async def test_offers_in_four_sweepers_late_and_twice_are_made_once(cafes_runtime: Runtime) -> None:
    """Days after the offer lapsed: each seat reaches one household, told once, in the order of the line."""
    cafe_id = await opened(cafes_runtime, capacity_count=2, on=12)
    for who in ("one", "two", "a", "b", "c", "d"):
        await registered(cafes_runtime, cafe_id, who)
    for who in ("one", "two"):
        row = await registration_of(cafes_runtime, who)
        async with cafes_runtime.database.transaction() as tx:
            assert await handlers.cancel(tx, row.holder_id, row.registration_id, warned=False) is None

    async def sweep() -> None:
        await swept(cafes_runtime, handlers.settle_due, handlers.heal)

    for days in (2.5, 5):
        await set_clock(cafes_runtime, days)
        await asyncio.gather(*(sweep() for _ in range(4)))
    assert await states_of(cafes_runtime, cafe_id) == dict.fromkeys(("one", "two", "a", "b", "c", "d"), "ended")
    async with cafes_runtime.database.transaction() as tx:
        told = await tx.fetch_one("SELECT count(*) AS n FROM outbox WHERE record LIKE '%CafeSeatsOffered'")
    assert told is not None and told.n == 4
    assert (await cafe_row(cafes_runtime, cafe_id)).taken_count == 0


# -- early access, reminders, forgetting


async def test_who_found_no_place_is_written_to_and_comes_before_everybody(cafes_runtime: Runtime) -> None:
    """A café that opens near them is theirs first for 48 hours; a stranger is told when; one far away opens at once."""
    gone = await opened(cafes_runtime, on=1)
    await registered(cafes_runtime, gone, "loyal", 2)
    async with cafes_runtime.database.transaction() as tx:
        assert await accepting(tx, partial(season_handlers.call_off, tx, Coordinator("agency"), gone)) is None
    near, far = (
        await opened(cafes_runtime, commune_code="76575", on=2),
        await opened(cafes_runtime, commune_code="50129", on=3),
    )
    stranger = await registered(cafes_runtime, near, "stranger")
    assert isinstance(stranger, Registered) and stranger.refusal is not None
    assert stranger.refusal.reason == "not_open_yet"
    loyal = await registered(cafes_runtime, near, "loyal", 2)
    assert isinstance(loyal, Registered) and loyal.registration is not None
    assert isinstance(await registered(cafes_runtime, far, "stranger"), Registered)
    subjects = [subject for subject, _ in await mails_of(cafes_runtime, "loyal")]
    assert subjects.count("Un café des parents ouvre : vous passez avant") == 1


async def test_reminders_are_written_once_and_the_facilitator_has_the_list(cafes_runtime: Runtime) -> None:
    """Two days before; whoever waits is not reminded."""
    cafe_id = await opened(cafes_runtime, capacity_count=8)
    await filled(cafes_runtime, cafe_id, 8, "r")
    await registered(cafes_runtime, cafe_id, "waits")
    await set_clock(cafes_runtime, days_before(6.9))
    await reviewed(cafes_runtime)
    await mails_of(cafes_runtime, "r-0")
    await set_clock(cafes_runtime, days_before(1.9))
    for _ in range(2):
        await swept(cafes_runtime, season_handlers.remind)
    subjects = [subject for subject, _ in await mails_of(cafes_runtime, "r-0")]
    assert subjects.count("C’est bientôt : café des parents") == 1
    assert "C’est bientôt : café des parents" not in [subject for subject, _ in await mails_of(cafes_runtime, "waits")]
    (subject, body), *more = await mails_of(cafes_runtime, "anima")
    assert subject == "Votre café des parents : la liste" and not more and link_in(body).startswith("/animation/")


async def test_an_address_is_forgotten_when_it_is_of_no_more_use(cafes_runtime: Runtime) -> None:
    """A month after the café the address is gone and the hash is left, by which the household is known again."""
    cafe_id = await opened(cafes_runtime)
    await filled(cafes_runtime, cafe_id, 8, "h")
    before = await household(cafes_runtime, "h-0")
    await mails_of(cafes_runtime, "h-0")
    await set_clock(cafes_runtime, days_before(-5))
    await settled(cafes_runtime)

    async def forgotten() -> int:
        await swept(cafes_runtime, handlers.forget_requests, handlers.forget_households)
        async with cafes_runtime.database.transaction() as tx:
            row = await tx.fetch_one("SELECT count(*) FROM household WHERE email IS NULL AND email_hash IS NOT NULL")
        return int(row[0]) if row is not None else -1

    assert await forgotten() == 0
    await set_clock(cafes_runtime, days_before(-40))
    assert await forgotten() == 8
    assert await household(cafes_runtime, "h-0") == before
