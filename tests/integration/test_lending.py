"""Kits and ambassadors on real PostgreSQL: loans under concurrency, with their event, late and damaged; who is asked, in turn."""

from __future__ import annotations

import asyncio
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.exc import IntegrityError

from common.failures import Refusal
from common.pages import PARIS
from common.runtime import Runtime
from common.testing import FreshRuntime, accepting, set_clock, swept
from events import ambassador_handlers, event_handlers, kit_handlers, kits
from events.ambassador_store import Asker
from events.ambassadors import Visit
from events.bodies import AmbassadorBody, KitBody
from events.kits import Loan
from events.messages import AmbassadorAnswer
from tests.integration.events import Events, prepared


def day(days: int) -> date:
    """A day, in Paris, so many from today."""
    return datetime.now(PARIS).date() + timedelta(days=days)


async def a_kit(runtime: Runtime) -> UUID:
    """A kit of the agency."""
    kit_id = uuid4()
    body = KitBody.model_validate({"title": "Kit", "rome_codes": ["I1604"], "commune_code": "76540"})
    async with runtime.database.transaction() as tx:
        assert await kit_handlers.describe_kit(tx, "agency", "a@example.org", kit_id, body.description()) is None
    return kit_id


async def asked(
    runtime: Runtime, kit_id: UUID, first: int, last: int, who: str = "school", **more: Any
) -> Refusal | Loan:
    """Somebody asks for a kit."""
    facts: dict[str, Any] = {"event_id": None, "keeps_kits": False, **more}
    async with runtime.database.transaction() as tx:
        return await kit_handlers.ask(tx, who, f"{who}@example.org", kit_id, day(first), day(last), **facts)


async def answered(runtime: Runtime, loan: Any, rule: kit_handlers.OnLoan) -> Refusal | None:
    """The keeper does something with a loan."""
    async with runtime.database.transaction() as tx:
        return await kit_handlers.answer(tx, "agency", loan.loan_id, rule)


def reserve(kit: kits.Kit, loan: Loan, now: datetime, _: date) -> kits.KitDecision:
    """As the keeper's button has it."""
    return kits.reserve(kit, loan, now)


async def test_twenty_reservations_at_once_of_the_same_days(fresh_runtime: FreshRuntime) -> None:
    """One is reserved, nineteen are told which days are taken; and the database refuses what the code would let pass."""
    async with fresh_runtime("events", development=True) as runtime:
        kit_id = await a_kit(runtime)
        loans = [await asked(runtime, kit_id, 5, 6, f"s{n}") for n in range(20)]
        answers = await asyncio.gather(*(answered(runtime, loan, reserve) for loan in loans))
        assert sum(answer is None for answer in answers) == 1
        assert {answer.reason for answer in answers if answer is not None} == {"kit_taken"}
        with pytest.raises(IntegrityError, match="no_double_loan"):
            async with runtime.database.transaction() as tx:
                await tx.execute("UPDATE loan SET state = 'reserved'")


async def test_a_kit_goes_with_its_event_and_comes_free_with_it(fresh_runtime: FreshRuntime) -> None:
    """Reserved at once for an event of those who keep the kits; the event is called off, the days are free."""
    async with fresh_runtime("events", development=True) as runtime:
        event_id, _ = await prepared(runtime, {"days": 20})
        kit_id = await a_kit(runtime)
        loan = await asked(runtime, kit_id, 19, 21, "agency", event_id=event_id, keeps_kits=True)
        assert isinstance(loan, Loan) and loan.state == "reserved"
        stranger = await asked(runtime, kit_id, 40, 41, "stranger", event_id=event_id)
        assert isinstance(stranger, Refusal) and stranger.reason == "not_yours"
        assert isinstance(await asked(runtime, kit_id, 22, 23), Refusal)
        async with runtime.database.transaction() as tx:
            assert await accepting(tx, partial(event_handlers.cancel, tx, "agency", event_id)) is None
        assert isinstance(await asked(runtime, kit_id, 22, 23), Loan)


async def test_late_damaged_and_unanswered(fresh_runtime: FreshRuntime) -> None:
    """A late kit is reminded of once; a damaged one is not lent until it is mended; a request that nobody answered ends."""
    async with fresh_runtime("events", development=True) as runtime:
        kit_id = await a_kit(runtime)
        loan = await asked(runtime, kit_id, 0, 1)
        silent = await asked(runtime, kit_id, 2, 2, "other")
        assert await answered(runtime, loan, reserve) is None
        assert await answered(runtime, loan, lambda k, one, now, today: kits.take_out(k, one, today, now)) is None
        await set_clock(runtime, 4)
        for _ in range(3):
            await swept(runtime, kit_handlers.end_unanswered, kit_handlers.write_of_late)
        async with runtime.database.transaction() as tx:
            mails = await tx.fetch_all("SELECT subject FROM mail WHERE recipient = 'school@example.org'")
            ended = await tx.fetch_one(
                "SELECT end_reason FROM loan WHERE loan_id = :id",
                id=silent.loan_id,  # type: ignore[union-attr]
            )
        assert [row.subject for row in mails] == ["Kit à rendre : Kit"]
        assert ended is not None and ended.end_reason == "EXPIRED"
        back: kit_handlers.OnLoan = lambda k, one, now, today: kits.give_back(  # noqa: E731
            k, one, damaged=True, today=today, now=now
        )
        assert await answered(runtime, loan, back) is None
        again = await answered(runtime, loan, back)
        assert again is not None and again.reason == "loan_state"
        refused = await asked(runtime, kit_id, 30, 31)
        assert isinstance(refused, Refusal) and refused.reason == "kit_unavailable"
        async with runtime.database.transaction() as tx:
            assert await kit_handlers.mend(tx, "agency", kit_id) is None
        assert isinstance(await asked(runtime, kit_id, 30, 31), Loan)


async def somebody(runtime: Runtime, name: str, commune: str = "76540") -> UUID:
    """A carpenter of the directory."""
    ambassador_id = uuid4()
    body = AmbassadorBody.model_validate(
        {"email": f"{name}@example.org", "title": name, "rome_codes": ["H2206"], "commune_code": commune}
    )
    async with runtime.database.transaction() as tx:
        await ambassador_handlers.describe(tx, ambassador_id, body.email, body.title, body.description())
    return ambassador_id


async def mailed(runtime: Runtime) -> list[tuple[str, str]]:
    """Who was written to, and what about."""
    async with runtime.database.transaction() as tx:
        rows = await tx.fetch_all("SELECT recipient, subject FROM mail ORDER BY id")
    return [(row.recipient.split("@")[0], row.subject.split(" ")[0]) for row in rows]


async def test_refused_silent_then_somebody_comes(fresh_runtime: FreshRuntime) -> None:
    """The nearest is asked first; a refusal and five silent working days go to the next; then both sides know each other."""
    async with fresh_runtime("events", development=True) as runtime:
        near = await somebody(runtime, "near")
        middle = await somebody(runtime, "middle", "76681")
        far = await somebody(runtime, "far", "76057")
        visit = Visit(uuid4(), "school", "H2206", None, "76540", day(40))
        async with runtime.database.transaction() as tx:
            made = await ambassador_handlers.ask_for(tx, Asker("school", "Collège", "c@example.org"), visit)
            assert isinstance(made, Visit) and made.ambassador_id == near
            assert await ambassador_handlers.answer(tx, near, visit.visit_id, AmbassadorAnswer.REFUSED) is None
        late = await answer_of(runtime, near, visit, AmbassadorAnswer.ACCEPTED)
        assert late is not None and late.reason == "visit_state"
        await set_clock(runtime, 9)
        # Nobody swept: the answer of who was silent comes too late all the same.
        late = await answer_of(runtime, middle, visit, AmbassadorAnswer.ACCEPTED)
        assert late is not None and late.reason == "visit_state"
        await swept(runtime, ambassador_handlers.pass_over_silent)
        assert await answer_of(runtime, far, visit, AmbassadorAnswer.ACCEPTED) is None
        assert await mailed(runtime) == [
            ("near", "Viendriez-vous"),
            ("middle", "Viendriez-vous"),
            ("far", "Viendriez-vous"),
            ("c", "Quelqu’un"),
            ("far", "Rendez-vous"),
        ]
        async with runtime.database.transaction() as tx:
            assert await ambassador_handlers.cancel(tx, "school", visit.visit_id) is None
        assert (await mailed(runtime))[-1] == ("far", "Visite")


async def answer_of(runtime: Runtime, who: UUID, visit: Visit, said: AmbassadorAnswer) -> Refusal | None:
    """Somebody of the directory answers by their link."""
    async with runtime.database.transaction() as tx:
        return await ambassador_handlers.answer(tx, who, visit.visit_id, said)


async def test_nobody_fits_and_nobody_can(fresh_runtime: FreshRuntime) -> None:
    """With nobody near the asker is told at once; when the last refuses, by mail."""
    async with fresh_runtime("events", development=True) as runtime:
        only = await somebody(runtime, "only")
        asker = Asker("school", "Collège", "c@example.org")
        async with runtime.database.transaction() as tx:
            far = Visit(uuid4(), "school", "H2206", None, "50129", day(40))
            refused = await ambassador_handlers.ask_for(tx, asker, far)
            assert isinstance(refused, Refusal) and refused.reason == "nobody_fits"
            visit = Visit(uuid4(), "school", "H2206", None, "76540", day(40))
            await ambassador_handlers.ask_for(tx, asker, visit)
        assert await answer_of(runtime, only, visit, AmbassadorAnswer.REFUSED) is None
        assert await mailed(runtime) == [("only", "Viendriez-vous"), ("c", "Personne")]


async def test_only_those_who_keep_them_change_kits_and_the_directory(events: Events) -> None:
    """A school may ask; it may not add a kit, answer a loan, read the directory; a keeper answers its own kits only."""
    async with await events.organiser() as keeper, await events.organiser() as other, await events.school() as school:
        kit_id, kit = uuid4(), {"title": "Kit", "rome_codes": ["I1604"], "commune_code": "76540"}
        assert (await keeper.put(f"/v1/kits/{kit_id}", json=kit)).status_code == 200
        days = {"first_on": f"{day(5)}", "last_on": f"{day(6)}"}
        loan_id = (await school.post(f"/v1/kits/{kit_id}/loans", json=days)).json()["loan_id"]
        refused = [
            await school.put(f"/v1/kits/{uuid4()}", json=kit),
            await school.post(f"/v1/loans/{loan_id}/reservation"),
            await school.get("/v1/ambassadors"),
            await other.post(f"/v1/loans/{loan_id}/reservation"),
            await other.put(f"/v1/kits/{kit_id}", json=kit),
            await other.post(f"/v1/loans/{loan_id}/return", json={}),
            await other.post(f"/v1/kits/{kit_id}/repair"),
            await other.post(f"/v1/loans/{loan_id}/cancellation"),
        ]
        assert [answer.status_code for answer in refused] == [403] * len(refused)
        assert (await keeper.post(f"/v1/loans/{loan_id}/reservation")).status_code == 200
        listed = (await school.get("/v1/loans")).json()["borrowed"]
        assert [one["state"] for one in listed if one["loan_id"] == loan_id] == ["reserved"]
        taken = next(one["taken"] for one in (await school.get("/v1/kits")).json() if one["kit_id"] == str(kit_id))
        assert taken == [{"first_on": f"{day(5)}", "free_on": f"{day(8)}"}]
        assert (await keeper.post(f"/v1/loans/{loan_id}/nonsense")).status_code == 404
