"""The parents' cafés against real parts: seats and order under concurrency, one café a period, verified addresses, constraints."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.exc import IntegrityError

from common.embedded.stack import Stack
from common.failures import Refusal
from common.links import signed_link
from common.runtime import Runtime
from common.testing import Query, accepting, set_clock, until_it_waits
from common.transaction import Transaction
from parents_cafes import handlers, household_store, season_handlers, venue_store
from parents_cafes.handlers import Registered
from parents_cafes.notices import REQUEST_LINK
from parents_cafes.state import Coordinator
from tests.integration.cafes import (
    SERVICE,
    TOPIC,
    Cafes,
    cafe_body,
    cafe_row,
    filled,
    household,
    mails_of,
    opened,
    planned,
    registered,
    registration_of,
    states_of,
)
from tests.integration.conftest import eventually
from tests.integration.referee import read_topic

# -- seats under concurrency


async def test_two_hundred_households_at_once_on_twenty_seats(cafes: Cafes, query: Query) -> None:
    """By their links, at once: never more than twenty seats, the rest in line in the order in which the lock let them in."""
    async with await cafes.coordinator() as coordinator, cafes.family() as family:
        cafe_id = await cafes.cafe(coordinator)

        async def asked(n: int) -> str:
            body = {"email": f"p{n}-{cafe_id.hex[:6]}@example.org", "seat_count": 1 + n % 2}
            answer = await family.post(f"/v1/cafes/{cafe_id}/requests", json=body)
            assert answer.status_code == 202, answer.text
            return str(answer.json()["request_id"])

        ids = await asyncio.gather(*(asked(n) for n in range(200)))
        rows = await query(SERVICE, "SELECT taken_count FROM cafe WHERE cafe_id = :id", id=cafe_id)
        assert rows[0].taken_count == 0, "what is not verified takes nothing"
        links = await query(
            SERVICE,
            "SELECT message_key, recipient FROM mail WHERE message_key = ANY(:keys)",
            keys=[f"request:{one}" for one in ids],
        )
        assert len(links) == 200
        tokens = [cafes_token(cafes, one) for one in ids]
        answers = await asyncio.gather(
            *(family.post(f"/v1/requests/{token}/confirmation", json={}) for token in tokens)
        )
        assert {one.status_code for one in answers} == {201}, [one.text for one in answers if one.status_code != 201]
        states = Counter(one.json()["registration"]["state"] for one in answers)
        rows = await query(
            SERVICE,
            "SELECT state, seat_count, joined_at FROM registration WHERE cafe_id = :id ORDER BY joined_at",
            id=cafe_id,
        )
        assert len(rows) == 200
        seated = [row for row in rows if row.state == "registered"]
        assert sum(row.seat_count for row in seated) == 20 and states["registered"] == len(seated)
        assert states["waiting"] == 200 - len(seated)
        # Whoever waits and asks for no more seats than somebody who has them came later, or did not fit then.
        free = 20
        for row in rows:
            fits = row.seat_count <= free
            assert (row.state == "registered") == fits
            free -= row.seat_count if fits else 0
        taken = await query(SERVICE, "SELECT taken_count FROM cafe WHERE cafe_id = :id", id=cafe_id)
        assert taken[0].taken_count == 20


def cafes_token(cafes: Cafes, request_id: str) -> str:
    """The token that the mail of a request carries."""
    secret = (cafes.stack.settings.home / "session.secret").read_text()
    return signed_link(secret, REQUEST_LINK, request_id, 2)


async def test_one_household_at_once_in_many_cafes_has_one(cafes_runtime: Runtime) -> None:
    """Twelve cafés of a period, one household, all at once: one registration, eleven clear refusals."""
    ids = [await opened(cafes_runtime, on=n) for n in range(12)]
    results = await asyncio.gather(*(registered(cafes_runtime, one, "eager") for one in ids))
    made = [one for one in results if isinstance(one, Registered) and one.registration is not None]
    assert len(made) == 1
    reasons = Counter(one.refusal.reason for one in results if isinstance(one, Registered) and one.refusal)
    assert reasons == {"already_registered": 11}
    async with cafes_runtime.database.transaction() as tx:
        with pytest.raises(IntegrityError, match="registration_once_a_period"):
            await tx.execute(
                """INSERT INTO registration (registration_id, holder_id, seat_count, state, joined_at, priority, cafe_id,
                       school_year, period, code, revision)
                   SELECT :id, holder_id, 1, 'registered', joined_at, 0, :other, school_year, period, 'x', 1 FROM registration""",
                id=uuid4(),
                other=next(one for one in ids if one != made[0].cafe_id),
            )


async def test_the_database_refuses_one_seat_too_many(cafes_runtime: Runtime) -> None:
    """An UPDATE past the rule meets the constraint."""
    cafe_id = await opened(cafes_runtime)
    await filled(cafes_runtime, cafe_id, 20)
    with pytest.raises(IntegrityError, match="no_overbooking"):
        async with cafes_runtime.database.transaction() as tx:
            await tx.execute("UPDATE cafe SET taken_count = 21 WHERE cafe_id = :id", id=cafe_id)


async def test_a_venue_and_a_facilitator_are_in_one_place_at_a_time(cafes_runtime: Runtime) -> None:
    """Ten cafés at once in one venue, then ten with one facilitator: one of each stands, the rest are told why."""
    first = await cafe_row(cafes_runtime, await opened(cafes_runtime))
    other = await cafe_row(cafes_runtime, await opened(cafes_runtime, on=9))
    same_venue = cafe_body(first.venue_id, other.facilitator_id, on=3)
    results = await asyncio.gather(*(planned(cafes_runtime, uuid4(), same_venue) for _ in range(10)))
    assert Counter(one and one.reason for one in results) == {None: 1, "venue_taken": 9}
    elsewhere = cafe_body(other.venue_id, first.facilitator_id, on=0, hour=19)
    refused = await planned(cafes_runtime, uuid4(), elsewhere)
    assert refused is not None and refused.reason == "facilitator_taken"
    # The end of one is the beginning of the next; a cancelled one leaves room.
    after = cafe_body(first.venue_id, first.facilitator_id, on=0, hour=20)
    assert await planned(cafes_runtime, uuid4(), after) is None
    async with cafes_runtime.database.transaction() as tx:
        assert await accepting(tx, partial(season_handlers.call_off, tx, Coordinator("agency"), first.cafe_id)) is None
    again = cafe_body(first.venue_id, first.facilitator_id, on=0, hour=18)
    assert await planned(cafes_runtime, uuid4(), again) is None


# -- the line


async def test_a_seat_that_comes_back_reaches_the_next_whatever_freed_it(cafes_runtime: Runtime) -> None:
    """Cancelled by the household or the coordinator, declined, expired, one parent fewer, a café changed, more seats."""
    cafe_id, elsewhere = await opened(cafes_runtime, capacity_count=2, on=10), await opened(cafes_runtime, on=11)
    for who in ("one", "two", *(f"w{n}" for n in range(7))):
        await registered(cafes_runtime, cafe_id, who)

    async def act(who: str, command: Any, **more: Any) -> None:
        row = await registration_of(cafes_runtime, who)
        async with cafes_runtime.database.transaction() as tx:
            assert await command(tx, row.holder_id, row.registration_id, **more) is None

    async def offered() -> list[str]:
        return [who for who, state in (await states_of(cafes_runtime, cafe_id)).items() if state == "offered"]

    await act("one", handlers.cancel, warned=False)
    assert await offered() == ["w0"]
    await act("w0", handlers.cancel, warned=False)
    assert await offered() == ["w1"]
    await act("w1", handlers.accept)
    two = await registration_of(cafes_runtime, "two")
    async with cafes_runtime.database.transaction() as tx:
        assert await season_handlers.cancel_for(tx, Coordinator("agency"), two.registration_id) is None
    assert await offered() == ["w2"]
    await act("w1", handlers.change, cafe_id=elsewhere, warned=False)
    assert await offered() == ["w2", "w3"]
    # Two days later nobody has answered: the next two have them, though no sweeper ran before somebody asked.
    await set_clock(cafes_runtime, 2.1)
    await registered(cafes_runtime, cafe_id, "late")
    assert await offered() == ["w4", "w5"]
    assert (await registration_of(cafes_runtime, "w2")).end_reason == "OFFER_EXPIRED"
    row = await cafe_row(cafes_runtime, cafe_id)
    body = cafe_body(row.venue_id, row.facilitator_id, on=10, capacity_count=3)
    assert await planned(cafes_runtime, cafe_id, body) is None
    assert await offered() == ["w4", "w5", "w6"]
    subjects = [subject for subject, _ in await mails_of(cafes_runtime, "w4")]
    assert subjects == ["Des places sont à vous : café des parents"], "one mail gathers what is owed"


async def test_an_offer_that_lapsed_elsewhere_stands_in_nobody_s_way(cafes_runtime: Runtime) -> None:
    """Though no sweeper ran: the household registers in another café of the period, and the next in line has the seat."""
    full, other = await opened(cafes_runtime, capacity_count=1, on=10), await opened(cafes_runtime, on=12)
    for who in ("holder", "slow", "next"):
        await registered(cafes_runtime, full, who)
    row = await registration_of(cafes_runtime, "holder")
    async with cafes_runtime.database.transaction() as tx:
        assert await handlers.cancel(tx, row.holder_id, row.registration_id, warned=False) is None
    await set_clock(cafes_runtime, 2.1)
    result = await registered(cafes_runtime, other, "slow")
    assert isinstance(result, Registered) and result.registration is not None
    assert await states_of(cafes_runtime, full) == {"holder": "ended", "slow": "ended", "next": "offered"}


async def test_who_missed_a_period_comes_first_in_the_next_one_s_line(cafes_runtime: Runtime) -> None:
    """Cancelled before not served before nothing before late leavers, each in the order of joining; nobody is excluded."""
    cafe_id = await opened(cafes_runtime, capacity_count=1)
    async with cafes_runtime.database.transaction() as tx:
        cafe = await tx.fetch_one("SELECT * FROM cafe WHERE cafe_id = :id", id=cafe_id)
        assert cafe is not None
    before = {"OCTOBER": "FEBRUARY", "DECEMBER": "OCTOBER", "FEBRUARY": "DECEMBER"}[cafe.period]
    year = int(cafe.school_year[:4]) - (cafe.period == "OCTOBER")
    past = await opened(cafes_runtime, on=20, open_it=False)
    for who, reason in (("late", "CANCELLED_LATE"), ("missed", "NOT_SERVED"), ("first", "CAFE_CANCELLED")):
        household_id = await household(cafes_runtime, who)
        async with cafes_runtime.database.transaction() as tx:
            await tx.execute(
                """INSERT INTO registration (registration_id, holder_id, seat_count, state, joined_at, priority, end_reason, ended_at,
                       cafe_id, school_year, period, code, revision)
                   VALUES (:id, :holder, 1, 'ended', now(), 0, :reason, now(), :cafe, :school_year, :period, :code, 1)""",
                id=uuid4(),
                code=who,
                holder=household_id,
                reason=reason,
                cafe=past,
                school_year=f"{year}-{year + 1}",
                period=before,
            )
    await registered(cafes_runtime, cafe_id, "holder")
    for who in ("late", "nobody", "missed", "first", "nobody-2"):
        result = await registered(cafes_runtime, cafe_id, who)
        assert isinstance(result, Registered) and result.registration is not None
        assert result.registration.state == "waiting"
    served: list[str] = []
    for _ in range(5):
        holder = await registration_of(cafes_runtime, served[-1] if served else "holder")
        async with cafes_runtime.database.transaction() as tx:
            assert await handlers.cancel(tx, holder.holder_id, holder.registration_id, warned=False) is None
        (now_offered,) = [who for who, state in (await states_of(cafes_runtime, cafe_id)).items() if state == "offered"]
        served.append(now_offered)
    assert served == ["first", "missed", "nobody", "nobody-2", "late"]


# -- the address is verified


async def test_an_address_is_verified_before_it_has_a_seat(cafes: Cafes, query: Query) -> None:
    """The answer is the same whoever it is; a link works once, for its use; five a day for one address."""
    async with await cafes.coordinator() as coordinator, cafes.family() as family:
        cafe_id = await cafes.cafe(coordinator, on=5)
        email = f"v-{cafe_id.hex[:6]}@example.org"
        path = f"/v1/cafes/{cafe_id}/requests"
        answers = [await family.post(path, json={"email": email.upper(), "title": "Léa"}) for _ in range(6)]
        assert [one.status_code for one in answers] == [202] * 5 + [409]
        assert answers[5].json()["reason"] == "too_many_requests"
        assert all(set(one.json()) == {"request_id"} for one in answers[:5])
        # Nor more when they come at once.
        at_once = await asyncio.gather(
            *(family.post(path, json={"email": f"w-{cafe_id.hex[:6]}@example.org"}) for _ in range(30))
        )
        assert Counter(one.status_code for one in at_once) == {202: 5, 409: 25}
        token = cafes_token(cafes, answers[0].json()["request_id"])
        first = await family.post(f"/v1/requests/{token}/confirmation", json={})
        assert first.status_code == 201 and first.json()["registration"]["state"] == "registered"
        again = await family.post(f"/v1/requests/{token}/confirmation", json={})
        assert again.status_code == 201 and again.json()["registration"] is None
        other = cafes_token(cafes, answers[1].json()["request_id"])
        assert (await family.post(f"/v1/requests/{other}/confirmation", json={})).status_code == 201
        rows = await query(SERVICE, "SELECT count(*) AS n FROM registration WHERE cafe_id = :id", id=cafe_id)
        assert rows[0].n == 1
        household_token = first.json()["household"]
        for wrong in (household_token, token[:-2], "x"):
            assert (await family.post(f"/v1/requests/{wrong}/confirmation", json={})).status_code == 403
        act = {"registration_id": first.json()["registration"]["registration_id"]}
        assert (await family.post(f"/v1/households/{token}/cancellation", json=act)).status_code == 403
        # Another household's registration is not there for this link.
        stranger = await family.post(path, json={"email": f"s-{email}"})
        mine = await family.post(
            f"/v1/requests/{cafes_token(cafes, stranger.json()['request_id'])}/confirmation", json={}
        )
        path = f"/v1/households/{mine.json()['household']}/cancellation"
        assert (await family.post(path, json=act)).status_code == 404
        assert (await family.post(f"/v1/households/{household_token}/cancellation", json=act)).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"email": "nobody"},
        {"email": "a@example.org", "seat_count": 0},
        {"email": "a@example.org", "seat_count": "two"},
        {"email": "a@example.org", "title": "x" * 61},
        {"email": "a@example.org", "children": 3},
        [],
    ],
)
async def test_rubbish_is_a_problem(cafes: Cafes, body: Any) -> None:
    """422 with the field, never a 500."""
    async with cafes.family() as family:
        answer = await family.post(f"/v1/cafes/{uuid4()}/requests", json=body)
        assert answer.status_code == 422 and answer.headers["content-type"] == "application/problem+json"
        assert (await family.get(f"/v1/cafes/{uuid4()}")).status_code == 404
        assert (await family.get("/v1/cafes/nope")).status_code == 422


# -- authority


async def test_a_coordinator_touches_its_own_cafes_only(cafes: Cafes) -> None:
    """By every way in; the agency helps everywhere; a family has no way in at all."""
    async with (
        await cafes.coordinator() as mine,
        await cafes.coordinator() as other,
        await cafes.coordinator("agency") as agency,
        cafes.family() as family,
    ):
        cafe_id = await cafes.cafe(mine, on=6)
        (row,) = [one for one in (await mine.get("/v1/cafes/mine")).json() if one["cafe_id"] == str(cafe_id)]
        assert row["state"] == "open" and (await other.get("/v1/cafes/mine")).json() == []
        season = (await mine.get("/v1/season", params={"period": f"{row['school_year']}-{row['period']}"})).json()
        assert str(cafe_id) in {one["cafe_id"] for one in season["cafes"]}
        body = {"registration_id": str(uuid4()), "visitor_count": 1}
        tries: list[tuple[str, str, Any]] = [
            ("POST", f"/v1/cafes/{cafe_id}/opening", None),
            ("POST", f"/v1/cafes/{cafe_id}/cancellation", None),
            ("GET", f"/v1/cafes/{cafe_id}/registrations", None),
            ("POST", f"/v1/cafes/{cafe_id}/check-ins", body),
        ]
        for method, path, content in tries:
            assert (await other.request(method, path, json=content)).status_code == 403, path
            assert (await family.request(method, path, json=content)).status_code == 401, path
        assert (await agency.get(f"/v1/cafes/{cafe_id}/registrations")).status_code == 200
        assert (await agency.post(f"/v1/cafes/{cafe_id}/cancellation")).status_code == 200
        venue = {"title": "Ailleurs", "kind": "CAFE", "commune_code": "76540"}
        venue_id = uuid4()
        assert (await mine.put(f"/v1/venues/{venue_id}", json=venue)).status_code == 200
        assert (await other.put(f"/v1/venues/{venue_id}", json=venue)).status_code == 403
        assert (await family.put(f"/v1/venues/{venue_id}", json=venue)).status_code == 401
        # Nor when two describe one at the same moment: the second would have the first's list of families by mail.
        person = {"title": "Anima", "email": "anima@example.org"}
        for path, content in (("venues", venue), ("facilitators", person)):
            for _ in range(10):
                one = f"/v1/{path}/{uuid4()}"
                pair = await asyncio.gather(mine.put(one, json=content), other.put(one, json=content))
                assert sorted(answer.status_code for answer in pair) == [200, 403], one


async def test_what_goes_to_another_s_cafe_while_a_command_waits_is_theirs_no_longer(cafes_runtime: Runtime) -> None:
    """A household changes to another coordinator's café; who had it, and waited for the lock, neither cancels nor checks in there."""
    here, there = await opened(cafes_runtime, on=0), await opened(cafes_runtime, on=1)
    async with cafes_runtime.database.transaction() as tx:
        mine = Coordinator("mine", None)
        await tx.execute(
            "UPDATE cafe SET coordinator_id = :mine WHERE cafe_id = :here",
            mine=await venue_store.coordinator_for(tx, mine),
            here=here,
        )
    commands: list[Callable[[Transaction, UUID], Awaitable[Refusal | None]]] = [
        lambda tx, one: season_handlers.cancel_for(tx, mine, one),
        lambda tx, one: season_handlers.check_in(tx, here, one, 1),
    ]
    for n, command in enumerate(commands):
        made = await registered(cafes_runtime, here, f"goes-{n}")
        assert isinstance(made, Registered) and made.registration is not None
        one = made.registration.registration_id

        async def act(command: Any, one: UUID) -> Refusal | None:
            refusal: Refusal | None = await cafes_runtime.database.run(lambda tx: command(tx, one))
            return refusal

        async with cafes_runtime.database.transaction() as tx:
            assert await handlers.change(tx, made.household_id, one, there, warned=True) is None
            later = asyncio.create_task(act(command, one))
            await until_it_waits(tx, later)
        refusal = await later
        assert refusal is not None and refusal.reason == ("not_yours", "not_found")[n]
        assert (await states_of(cafes_runtime, there))[f"goes-{n}"] == "registered"


# -- what others hear


async def test_what_happens_reaches_the_log_with_its_counts(cafes: Cafes, stack: Stack, query: Query) -> None:
    """Described, opened, registered, queued, offered, left: in version order, each with the sums after it, and no address."""
    async with await cafes.coordinator() as coordinator, cafes.family() as family:
        cafe_id = await cafes.cafe(coordinator, on=8, capacity_count=1)
        homes = []
        for n in range(2):
            asked = await family.post(f"/v1/cafes/{cafe_id}/requests", json={"email": f"l{n}-{cafe_id}@example.org"})
            token = cafes_token(cafes, asked.json()["request_id"])
            homes.append((await family.post(f"/v1/requests/{token}/confirmation", json={})).json())
        act = {"registration_id": homes[0]["registration"]["registration_id"]}
        path = f"/v1/households/{homes[0]['household']}/cancellation"
        assert (await family.post(path, json=act)).status_code == 200

        async def published() -> bool:
            rows = await query(SERVICE, "SELECT count(*) AS n FROM outbox WHERE published_at IS NULL")
            return bool(rows[0].n == 0)

        await eventually(published)
        log = await asyncio.to_thread(read_topic, stack, TOPIC)
        records = [(one.name, one.fields or {}) for one in log if one.key == str(cafe_id)]
        names = [name for name, _ in records]
        assert names == [
            "CafeDescribed",
            "CafeDescribed",
            "HouseholdRegistered",
            "HouseholdQueued",
            "HouseholdLeft",
            "CafeSeatsOffered",
        ]
        assert [fields["aggregate_version"] for _, fields in records] == [1, 2, 3, 4, 5, 6]
        sums = [(f["registered_count"], f["offered_count"], f["waiting_count"]) for _, f in records]
        assert sums == [(0, 0, 0), (0, 0, 0), (1, 0, 0), (1, 0, 1), (0, 0, 1), (0, 1, 0)]
        assert "example.org" not in str(records)


async def test_a_refusal_changes_nothing(cafes_runtime: Runtime) -> None:
    """Full and not waiting: no registration, no message; the household is known, and may wait after all."""
    cafe_id = await opened(cafes_runtime, capacity_count=1)
    await registered(cafes_runtime, cafe_id, "one")
    before = (await cafe_row(cafes_runtime, cafe_id)).version
    result = await registered(cafes_runtime, cafe_id, "two", wait=False)
    assert isinstance(result, Registered) and result.refusal is not None and result.refusal.reason == "full"
    assert (await cafe_row(cafes_runtime, cafe_id)).version == before
    waits = await registered(cafes_runtime, cafe_id, "two", wait=True)
    assert isinstance(waits, Registered) and waits.registration is not None
    async with cafes_runtime.database.transaction() as tx:
        nobody = await handlers.accept(tx, uuid4(), waits.registration.registration_id)
        assert isinstance(nobody, Refusal) and nobody.reason == "not_found"
        assert await household_store.find_registration(tx, uuid4()) is None
