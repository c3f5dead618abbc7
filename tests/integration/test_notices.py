"""Mails: once for each occasion and recipient, also when the sender dies; reminders once a week; nothing of a person."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx

from common.testing import FreshRuntime, Query, service_named, swept
from remediation_seats.notices import remind_silent
from tests.integration.conftest import Seats, eventually
from tests.integration.test_seats_pages import mails_to, structure_with_contact


async def test_a_mail_arrives_once_under_kill_9(seats: Seats, query: Query) -> None:
    """The service is killed again and again while fifty holds are made: each structure gets one mail for each of them."""
    structure_id, partner = await structure_with_contact(seats)
    programme_id = await seats.programme(partner, 60, 0)
    child = seats.stack.children["remediation-seats"]
    ended = asyncio.Event()

    async def kill() -> None:
        while not ended.is_set():
            await asyncio.sleep(2.5)
            await asyncio.to_thread(child.kill)
            child.start()
            await asyncio.to_thread(seats.stack.wait_ready, service_named(seats.stack, "remediation-seats"))

    killing = asyncio.create_task(kill())
    held = set()
    for number in range(50):
        async with await seats.client(f"mail-{number}", "prescriber") as prescriber:
            body = {"programme_id": str(programme_id), "age": 17}
            for _ in range(200):
                try:
                    answer = await prescriber.post(
                        "/v1/holds", json=body, headers={"Idempotency-Key": f"mail-{number}"}
                    )
                except httpx.HTTPError:
                    await asyncio.sleep(0.1)
                    continue
                if answer.status_code == 201:
                    held.add(answer.json()["young_person_code"])
                    break
                await asyncio.sleep(0.1)
    ended.set()
    await killing
    assert len(held) == 50
    recipient = f"{structure_id}@structures.example"

    async def all_there() -> bool:
        return len(await mails_to(seats, recipient)) >= 50

    await eventually(all_there)
    await asyncio.sleep(5)
    mails = await mails_to(seats, recipient)
    # A mail that was accepted in the instant of a death is sent again under the same identity, which mailboxes drop.
    assert len({mail["id"] for mail in mails}) == 50
    assert {code for code in held if any(code in mail["body"] for mail in mails)} == held
    ((rows, sent),) = await query(
        "remediation-seats",
        "SELECT count(*), count(sent_at) FROM mail WHERE recipient = :recipient",
        recipient=recipient,
    )
    assert (rows, sent) == (50, 50)


async def test_a_silent_structure_is_reminded_once_a_week(fresh_runtime: FreshRuntime) -> None:
    """However often the sweeper runs, late or in two replicas; a declaration ends it, a new week begins it again."""
    async with fresh_runtime("remediation_seats") as runtime:
        structure_id, programme_id = uuid4(), uuid4()

        async def run(sql: str, **values: Any) -> list[Any]:
            async with runtime.database.transaction() as tx:
                return list(await tx.fetch_all(sql, **values))

        async def remind() -> int:
            return await swept(runtime, remind_silent)

        async def observed(days_ago: int) -> None:
            at = datetime.now(UTC) - timedelta(days=days_ago)
            await run(
                "UPDATE programme SET observed_at = :at WHERE programme_id = :id RETURNING 1", at=at, id=programme_id
            )

        await run(
            "INSERT INTO structure VALUES (:id, 'Structure', 'CFA', '76540', 'places@structures.example', true, 1) RETURNING 1",
            id=structure_id,
        )
        await run(
            """INSERT INTO programme (programme_id, structure_id, title, rome_codes, age_min, age_max, level_min, boarding,
                   wheelchair_accessible, open, total_count, taken_count, admitted_count, held_count, excess_count, version)
               VALUES (:id, :structure, 'Parcours', '{}', 15, 25, 'NO_DIPLOMA', false, false, true, 5, 0, 0, 0, 0, 1) RETURNING 1""",
            id=programme_id,
            structure=structure_id,
        )
        # Described a moment ago: whoever is about to declare is not told off.
        assert await remind() == 0
        await run("UPDATE programme SET described_at = now() - interval '8 days' RETURNING 1")
        assert await remind() == 1
        (mail,) = await run("DELETE FROM mail RETURNING body")
        assert "Parcours : jamais déclaré" in mail.body
        await observed(3)
        assert await remind() == 0
        await observed(8)
        assert sorted(await asyncio.gather(*(remind() for _ in range(4))))[-1] == 1
        assert await remind() == 0
        (mail,) = await run("SELECT body FROM mail")
        assert "Parcours" in mail.body and "/mes-places" in mail.body
        # Another week: the development clock moves the rules' now.
        await run(
            "INSERT INTO development_clock (id, offset_seconds) VALUES (1, :seconds) RETURNING 1", seconds=8 * 86_400.0
        )
        assert (await remind(), await remind()) == (1, 0)
