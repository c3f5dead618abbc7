"""A read model rebuilt beside the live one: during traffic, after deaths, refused on a difference, switched without a gap."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID

import pytest

from common.embedded.stack import Stack
from common.rebuild import Rebuild
from common.repair import for_repair
from common.testing import Query, estuaire, http_client, service_named
from projections import seat_board
from projections.app import service as projections
from projections.tables import BoardProgramme
from tests.integration.conftest import Seats, declare, eventually

KILLED = 137
SHADOW = "SELECT 1 FROM pg_namespace WHERE nspname = 'rebuild_seat_board'"
FREE_COUNT = "SELECT free_count FROM board_programme WHERE programme_id = :id"


async def rebuild(
    stack: Stack, *arguments: str, failpoint: str = "", lot: int = 500, model: str = "seat-board"
) -> tuple[int, str]:
    """`estuaire rebuild` of one read model on the running stack: status and output."""
    return await estuaire(
        stack, "projections", "rebuild", model, *arguments,
        ESTUAIRE_CONSUME_BATCH_COUNT_MAX=str(lot), FAILPOINT=failpoint,
    )  # fmt: skip


async def until_shown(query: Query, programme_id: UUID, free_count: int) -> None:
    """Returns when the live rows have so many free seats of a programme."""

    async def shown() -> bool:
        return [row[0] for row in await query("projections", FREE_COUNT, id=programme_id)] == [free_count]

    await eventually(shown)


@asynccontextmanager
async def traffic(seats: Seats, board_url: str) -> AsyncIterator[list[str]]:
    """Declarations, and a reader who notes every answer that is not the whole board, while the block lasts."""
    _, partner = await seats.structure()
    programmes = [await seats.programme(partner, 9) for _ in range(5)]
    ended = asyncio.Event()
    gaps: list[str] = []

    async def write() -> None:
        taken = 0
        while not ended.is_set():
            taken = taken % 8 + 1
            for programme_id in programmes:
                assert (await declare(partner, programme_id, 9, taken)).status_code == 200

    async with http_client(base_url=board_url) as client:

        async def gap() -> str:
            answer = await client.get("/api/seats")
            shown = {row["programme_id"] for row in answer.json()["programmes"]} if answer.is_success else set()
            whole = {str(programme_id) for programme_id in programmes} <= shown
            return "" if whole else f"{answer.status_code}, {len(shown)} programmes"

        async def begun() -> bool:
            return not await gap()

        async def read() -> None:
            while not ended.is_set():
                if found := await gap():
                    gaps.append(found)
                await asyncio.sleep(0.02)

        await eventually(begun)
        tasks = [asyncio.create_task(write()), asyncio.create_task(read())]
        try:
            yield gaps
        finally:
            ended.set()
            await asyncio.gather(*tasks)


async def test_a_rebuild_killed_three_times_ends_the_same_during_traffic(
    seats: Seats, stack_urls: dict[str, str]
) -> None:
    """Killed after some lots, again and again, it goes on; the rows are the same and no reader sees a gap."""
    async with traffic(seats, stack_urls["projections"]) as gaps:
        await asyncio.sleep(3)
        for lots in (2, 6, 12):
            status, said = await rebuild(seats.stack, failpoint=f"rebuild.after_lot:exit:{lots}", lot=5)
            assert status == KILLED, said
        status, said = await rebuild(seats.stack)
        assert status == 0 and "going on with the rebuild" in said and "is switched" in said, said
        assert "same     board_programme" in said and "DIFFERS" not in said
    assert gaps == []


async def test_a_difference_is_refused_and_listed_then_accepted(
    seats: Seats, query: Query, stack_urls: dict[str, str]
) -> None:
    """A row that is not the fold of the log keeps the old rows live until an operator has looked."""
    _, partner = await seats.structure()
    programme_id = await seats.programme(partner, 9, 2)
    await until_shown(query, programme_id, 7)
    await query("projections", "UPDATE board_programme SET free_count = 77 WHERE programme_id = :id", id=programme_id)
    status, said = await rebuild(seats.stack)
    assert status == 1 and f"{programme_id}: free_count 77 → 7" in said and "DIFFERS" in said, said
    assert [row[0] for row in await query("projections", FREE_COUNT, id=programme_id)] == [77]
    async with http_client(base_url=stack_urls["projections"]) as client:
        before = (await client.get("/places")).text
        status, said = await rebuild(seats.stack, "--accept-differences")
        assert status == 0 and "switched, with the differences listed" in said, said
        after = (await client.get("/places")).text
    assert [row[0] for row in await query("projections", FREE_COUNT, id=programme_id)] == [7]
    # A browser that follows the old rows is told to start over.
    generations = [page.partition('data-from="')[2].partition("-")[0] for page in (before, after)]
    assert int(generations[1]) == int(generations[0]) + 1
    # The consumer goes on with the new rows.
    await declare(partner, programme_id, 9, 5)
    await until_shown(query, programme_id, 4)


async def test_what_was_filled_can_be_discarded(seats: Seats, query: Query) -> None:
    """An interrupted rebuild is thrown away on demand; the live rows were never touched."""
    programme_id = await seats.programme((await seats.structure())[1], 3)
    await until_shown(query, programme_id, 3)
    status, _ = await rebuild(seats.stack, failpoint="rebuild.after_lot:exit:1", lot=1)
    assert status == KILLED
    assert await query("projections", SHADOW)
    status, said = await rebuild(seats.stack, "--discard")
    assert status == 0, said
    assert not await query("projections", SHADOW)


async def test_an_interrupted_rebuild_is_in_no_other_models_way(seats: Seats, query: Query) -> None:
    """Each model has a schema of its own: another is rebuilt from its first record, and the interrupted one goes on after it."""
    programme_id = await seats.programme((await seats.structure())[1], 3)
    await until_shown(query, programme_id, 3)
    status, said = await rebuild(seats.stack, failpoint="rebuild.after_lot:exit:1", lot=1)
    assert status == KILLED, said
    status, said = await rebuild(seats.stack, model="stage-market")
    assert status == 0 and "going on" not in said and "stage-market is switched" in said, said
    status, said = await rebuild(seats.stack)
    assert status == 0 and "going on with the rebuild" in said and "seat-board is switched" in said, said


async def test_a_fold_that_writes_a_table_which_its_model_does_not_list_is_stopped(seats: Seats, query: Query) -> None:
    """Planted: a board whose description forgot the structures, which one of its folds writes; the live rows stay untouched."""
    structure_id, partner = await seats.structure()
    await until_shown(query, await seats.programme(partner, 3), 3)
    structures = "SELECT xmin, * FROM board_structure WHERE structure_id = :id"
    before = await query("projections", structures, id=structure_id)
    environment = seats.stack.environment(service_named(seats.stack, "projections"))
    kafka = seats.stack.bootstrap_servers
    async with for_repair(projections, environment["ESTUAIRE_DATABASE_URL"], kafka=kafka) as runtime:
        assert runtime.inbox is not None
        forgetful = replace(seat_board.MODEL, tables=(BoardProgramme,))
        work = Rebuild(
            "forgetful", forgetful,
            database=runtime.database, inbox=runtime.inbox, bootstrap_servers=kafka, lot_count=500,
        )  # fmt: skip
        try:
            with pytest.raises(ValueError, match=r'a fold of forgetful uses a table .* "board_structure"'):
                await work.run(lambda _: None, lambda *_: None, accept_differences=True)
        finally:
            await work.discard()
    assert before and await query("projections", structures, id=structure_id) == before
