"""The parents' cafés against real parts: seats and order under concurrency, one café a period, verified addresses, the pass, constraints."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.exc import IntegrityError

from common.app import Runtime
from common.embedded.stack import Stack
from common.failures import Refusal
from common.links import signed_link
from common.testing import FreshRuntime, Query, set_clock, url_of
from parents_cafes import handlers, household_store, season_handlers
from parents_cafes.handlers import Registered
from parents_cafes.notices import REQUEST_LINK
from parents_cafes.state import Coordinator
from tests.integration.cafes import (
    SERVICE,
    TOPIC,
    Cafes,
    cafe_body,
    cafe_row,
    days_before,
    filled,
    household,
    link_in,
    mails_of,
    opened,
    planned,
    registered,
    registration_of,
    reviewed,
    states_of,
)
from tests.integration.conftest import eventually
from tests.integration.referee import read_topic


@pytest.fixture
def cafes(stack: Stack) -> Cafes:
    """The service of the running stack."""
    return Cafes(stack, url_of(stack, SERVICE))


@pytest.fixture
async def runtime(fresh_runtime: FreshRuntime) -> Any:
    """The service on a database of its own, its clock in the test's hand."""
    async with fresh_runtime("parents_cafes", development=True) as made:
        yield made


async def settled(runtime: Runtime) -> None:
    """The sweeper, until nothing is due."""
    async with runtime.database.transaction() as tx:
        while await handlers.settle_due(tx, 50):
            pass


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


async def test_one_household_at_once_in_many_cafes_has_one(runtime: Runtime) -> None:
    """Twelve cafés of a period, one household, all at once: one registration, eleven clear refusals."""
    ids = [await opened(runtime, on=n) for n in range(12)]
    results = await asyncio.gather(*(registered(runtime, one, "eager") for one in ids))
    made = [one for one in results if isinstance(one, Registered) and one.registration is not None]
    assert len(made) == 1
    reasons = Counter(one.refusal.reason for one in results if isinstance(one, Registered) and one.refusal)
    assert reasons == {"already_registered": 11}
    async with runtime.database.transaction() as tx:
        with pytest.raises(IntegrityError, match="registration_once_a_period"):
            await tx.execute(
                """INSERT INTO registration (registration_id, holder_id, seat_count, state, joined_at, priority, cafe_id,
                       school_year, period, code, revision)
                   SELECT :id, holder_id, 1, 'registered', joined_at, 0, :other, school_year, period, 'x', 1 FROM registration""",
                id=uuid4(),
                other=next(one for one in ids if one != made[0].cafe_id),
            )


async def test_the_database_refuses_one_seat_too_many(runtime: Runtime) -> None:
    """An UPDATE past the rule meets the constraint."""
    cafe_id = await opened(runtime)
    await filled(runtime, cafe_id, 20)
    with pytest.raises(IntegrityError, match="no_overbooking"):
        async with runtime.database.transaction() as tx:
            await tx.execute("UPDATE cafe SET taken_count = 21 WHERE cafe_id = :id", id=cafe_id)


async def test_a_venue_and_a_facilitator_are_in_one_place_at_a_time(runtime: Runtime) -> None:
    """Ten cafés at once in one venue, then ten with one facilitator: one of each stands, the rest are told why."""
    first = await cafe_row(runtime, await opened(runtime))
    other = await cafe_row(runtime, await opened(runtime, on=9))
    same_venue = cafe_body(first.venue_id, other.facilitator_id, on=3)
    results = await asyncio.gather(*(planned(runtime, uuid4(), same_venue) for _ in range(10)))
    assert Counter(one and one.reason for one in results) == {None: 1, "venue_taken": 9}
    elsewhere = cafe_body(other.venue_id, first.facilitator_id, on=0, hour=19)
    refused = await planned(runtime, uuid4(), elsewhere)
    assert refused is not None and refused.reason == "facilitator_taken"
    # The end of one is the beginning of the next; a cancelled one leaves room.
    after = cafe_body(first.venue_id, first.facilitator_id, on=0, hour=20)
    assert await planned(runtime, uuid4(), after) is None
    async with runtime.database.transaction() as tx:
        assert await season_handlers.call_off(tx, Coordinator("agency"), first.cafe_id) is None
    again = cafe_body(first.venue_id, first.facilitator_id, on=0, hour=18)
    assert await planned(runtime, uuid4(), again) is None


# -- the line


async def test_a_seat_that_comes_back_reaches_the_next_whatever_freed_it(runtime: Runtime) -> None:
    """Cancelled by the household or the coordinator, declined, expired, one parent fewer, a café changed, more seats."""
    cafe_id, elsewhere = await opened(runtime, capacity_count=2, on=10), await opened(runtime, on=11)
    for who in ("one", "two", *(f"w{n}" for n in range(7))):
        await registered(runtime, cafe_id, who)

    async def act(who: str, command: Any, **more: Any) -> None:
        row = await registration_of(runtime, who)
        async with runtime.database.transaction() as tx:
            assert await command(tx, row.holder_id, row.registration_id, **more) is None

    async def offered() -> list[str]:
        return [who for who, state in (await states_of(runtime, cafe_id)).items() if state == "offered"]

    await act("one", handlers.cancel, warned=False)
    assert await offered() == ["w0"]
    await act("w0", handlers.cancel, warned=False)
    assert await offered() == ["w1"]
    await act("w1", handlers.accept)
    two = await registration_of(runtime, "two")
    async with runtime.database.transaction() as tx:
        assert await season_handlers.cancel_for(tx, Coordinator("agency"), two.registration_id) is None
    assert await offered() == ["w2"]
    await act("w1", handlers.change, cafe_id=elsewhere, warned=False)
    assert await offered() == ["w2", "w3"]
    # Two days later nobody has answered: the next two have them, though no sweeper ran before somebody asked.
    await set_clock(runtime, 2.1)
    await registered(runtime, cafe_id, "late")
    assert await offered() == ["w4", "w5"]
    assert (await registration_of(runtime, "w2")).end_reason == "OFFER_EXPIRED"
    row = await cafe_row(runtime, cafe_id)
    body = cafe_body(row.venue_id, row.facilitator_id, on=10, capacity_count=3)
    assert await planned(runtime, cafe_id, body) is None
    assert await offered() == ["w4", "w5", "w6"]
    subjects = [subject for subject, _ in await mails_of(runtime, "w4")]
    assert subjects == ["Des places sont à vous : café des parents"], "one mail gathers what is owed"


async def test_an_offer_that_lapsed_elsewhere_stands_in_nobody_s_way(runtime: Runtime) -> None:
    """Though no sweeper ran: the household registers in another café of the period, and the next in line has the seat."""
    full, other = await opened(runtime, capacity_count=1, on=10), await opened(runtime, on=12)
    for who in ("holder", "slow", "next"):
        await registered(runtime, full, who)
    row = await registration_of(runtime, "holder")
    async with runtime.database.transaction() as tx:
        assert await handlers.cancel(tx, row.holder_id, row.registration_id, warned=False) is None
    await set_clock(runtime, 2.1)
    result = await registered(runtime, other, "slow")
    assert isinstance(result, Registered) and result.registration is not None
    assert await states_of(runtime, full) == {"holder": "ended", "slow": "ended", "next": "offered"}


async def test_who_missed_a_period_comes_first_in_the_next_one_s_line(runtime: Runtime) -> None:
    """Cancelled before not served before nothing before late leavers, each in the order of joining; nobody is excluded."""
    cafe_id = await opened(runtime, capacity_count=1)
    async with runtime.database.transaction() as tx:
        cafe = await tx.fetch_one("SELECT * FROM cafe WHERE cafe_id = :id", id=cafe_id)
        assert cafe is not None
    before = {"OCTOBER": "FEBRUARY", "DECEMBER": "OCTOBER", "FEBRUARY": "DECEMBER"}[cafe.period]
    year = int(cafe.school_year[:4]) - (cafe.period == "OCTOBER")
    past = await opened(runtime, on=20, open_it=False)
    for who, reason in (("late", "CANCELLED_LATE"), ("missed", "NOT_SERVED"), ("first", "CAFE_CANCELLED")):
        household_id = await household(runtime, who)
        async with runtime.database.transaction() as tx:
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
    await registered(runtime, cafe_id, "holder")
    for who in ("late", "nobody", "missed", "first", "nobody-2"):
        result = await registered(runtime, cafe_id, who)
        assert isinstance(result, Registered) and result.registration is not None
        assert result.registration.state == "waiting"
    served: list[str] = []
    for _ in range(5):
        holder = await registration_of(runtime, served[-1] if served else "holder")
        async with runtime.database.transaction() as tx:
            assert await handlers.cancel(tx, holder.holder_id, holder.registration_id, warned=False) is None
        (now_offered,) = [who for who, state in (await states_of(runtime, cafe_id)).items() if state == "offered"]
        served.append(now_offered)
    assert served == ["first", "missed", "nobody", "nobody-2", "late"]


# -- the pass


async def test_seven_six_and_five_become_one_of_eighteen(runtime: Runtime) -> None:
    """On one evening in three towns; everybody is written to once, and nobody is lost."""
    towns = ("76540", "76575", "76498")
    ids = [await opened(runtime, commune_code=code) for code in towns]
    for cafe_id, seats in zip(ids, (7, 6, 5), strict=True):
        await filled(runtime, cafe_id, seats)
    await set_clock(runtime, days_before(7.5))
    assert await reviewed(runtime) == 0, "not before its hour"
    await set_clock(runtime, days_before(6.9))
    assert await reviewed(runtime) == 3
    assert await reviewed(runtime) == 0, "twice is once"
    rows = [await cafe_row(runtime, one) for one in ids]
    assert sorted((row.state, row.taken_count) for row in rows) == [("confirmed", 18), ("merged", 0), ("merged", 0)]
    standing = next(row.cafe_id for row in rows if row.state == "confirmed")
    assert Counter((await states_of(runtime, standing)).values()) == {"registered": 18}
    moved = next(one for one in ids if one != standing)
    (subject, body), *more = (await mails_of(runtime, f"{moved.hex[:6]}-0"))[-1:]
    assert subject == "Votre café change de lieu : café des parents" and more == []
    assert "sans réponse, elles restent à vous" in body and "/mon-cafe/" in body
    coordinator = await mails_of(runtime, "agency")
    assert [one for one, _ in coordinator] == ["Cafés réunis"] * 2


async def test_seven_and_fourteen_do_not_merge(runtime: Runtime) -> None:
    """The seven's café is cancelled, they come first next time; the fourteen's takes place."""
    seven, fourteen = await opened(runtime), await opened(runtime, commune_code="76575")
    await filled(runtime, seven, 7)
    await filled(runtime, fourteen, 14)
    await set_clock(runtime, days_before(6.9))
    assert await reviewed(runtime) == 2
    assert (await cafe_row(runtime, seven)).state == "cancelled"
    assert (await cafe_row(runtime, fourteen)).state == "confirmed"
    who = f"{seven.hex[:6]}-3"
    row = await registration_of(runtime, who)
    assert (row.state, row.end_reason) == ("ended", "CAFE_CANCELLED")
    assert (await mails_of(runtime, who))[-1][0] == "Votre café n’a pas lieu : café des parents"
    # There is room for some of them in the same period already; they come first there too.
    result = await registered(runtime, fourteen, who)
    assert isinstance(result, Registered) and result.registration is not None and result.registration.priority == 2


async def test_a_parent_who_was_moved_keeps_changes_or_cancels_freely(runtime: Runtime) -> None:
    """For 48 hours, in one act each, seats held; silence keeps; declining a merge gives priority, and is never late."""
    source, target = await opened(runtime), await opened(runtime, commune_code="76575", on=0, hour=17)
    third = await opened(runtime, commune_code="14118", on=4)
    await filled(runtime, source, 6)
    await filled(runtime, target, 9)
    await set_clock(runtime, days_before(6.9))
    assert await reviewed(runtime) == 2
    names = [f"{source.hex[:6]}-{n}" for n in range(6)]
    rows = [await registration_of(runtime, who) for who in names]
    assert {(row.cafe_id, row.state, row.moved_from_id) for row in rows} == {(target, "registered", source)}
    async with runtime.database.transaction() as tx:
        assert await handlers.keep(tx, rows[0].holder_id, rows[0].registration_id) is None
    async with runtime.database.transaction() as tx:
        assert await handlers.change(tx, rows[1].holder_id, rows[1].registration_id, third, warned=False) is None
    async with runtime.database.transaction() as tx:
        assert await handlers.cancel(tx, rows[2].holder_id, rows[2].registration_id, warned=False) is None
    assert (await registration_of(runtime, names[0])).moved_until is None
    assert (await registration_of(runtime, names[1])).cafe_id == third
    assert (await registration_of(runtime, names[2])).end_reason == "MOVE_DECLINED"
    # Three days later the silent ones still have their seats; leaving in the last hours is late again.
    await set_clock(runtime, days_before(1))
    await settled(runtime)
    silent = await registration_of(runtime, names[3])
    assert (silent.state, silent.cafe_id) == ("registered", target)
    async with runtime.database.transaction() as tx:
        refusal = await handlers.cancel(tx, silent.holder_id, silent.registration_id, warned=False)
    assert refusal is not None and refusal.reason == "late_warning"
    assert (await cafe_row(runtime, target)).taken_count == 13


async def test_the_pass_in_two_replicas_late_and_twice_decides_once(runtime: Runtime) -> None:
    """Four sweepers at once over twelve small cafés, a day late: as many seats as before, each café decided once."""
    ids = [await opened(runtime, commune_code=code, on=n % 2) for n, code in enumerate(["76540", "76575", "76498"] * 4)]
    for n, cafe_id in enumerate(ids):
        await filled(runtime, cafe_id, 1 + n % 5)
    await set_clock(runtime, days_before(5))
    await asyncio.gather(*(reviewed(runtime) for _ in range(4)))
    await set_clock(runtime, days_before(3.9))
    await asyncio.gather(*(reviewed(runtime) for _ in range(4)))
    rows = [await cafe_row(runtime, one) for one in ids]
    assert all(row.review_at is None and row.state in ("confirmed", "merged", "cancelled") for row in rows)
    assert all(row.taken_count <= 20 for row in rows)
    async with runtime.database.transaction() as tx:
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


# -- early access, reminders, forgetting


async def test_who_found_no_place_is_written_to_and_comes_before_everybody(runtime: Runtime) -> None:
    """A café that opens near them is theirs first for 48 hours; a stranger is told when; one far away opens at once."""
    gone = await opened(runtime, on=1)
    await registered(runtime, gone, "loyal", 2)
    async with runtime.database.transaction() as tx:
        assert await season_handlers.call_off(tx, Coordinator("agency"), gone) is None
    near, far = await opened(runtime, commune_code="76575", on=2), await opened(runtime, commune_code="50129", on=3)
    stranger = await registered(runtime, near, "stranger")
    assert isinstance(stranger, Registered) and stranger.refusal is not None
    assert stranger.refusal.reason == "not_open_yet"
    loyal = await registered(runtime, near, "loyal", 2)
    assert isinstance(loyal, Registered) and loyal.registration is not None
    assert isinstance(await registered(runtime, far, "stranger"), Registered)
    subjects = [subject for subject, _ in await mails_of(runtime, "loyal")]
    assert subjects.count("Un café des parents ouvre : vous passez avant") == 1


async def test_reminders_are_written_once_and_the_facilitator_has_the_list(runtime: Runtime) -> None:
    """Two days before; whoever waits is not reminded."""
    cafe_id = await opened(runtime, capacity_count=8)
    await filled(runtime, cafe_id, 8, "r")
    await registered(runtime, cafe_id, "waits")
    await set_clock(runtime, days_before(6.9))
    await reviewed(runtime)
    await mails_of(runtime, "r-0")
    await set_clock(runtime, days_before(1.9))
    for _ in range(2):
        async with runtime.database.transaction() as tx:
            await season_handlers.remind(tx, 50)
    subjects = [subject for subject, _ in await mails_of(runtime, "r-0")]
    assert subjects.count("C’est bientôt : café des parents") == 1
    assert "C’est bientôt : café des parents" not in [subject for subject, _ in await mails_of(runtime, "waits")]
    (subject, body), *more = await mails_of(runtime, "anima")
    assert subject == "Votre café des parents : la liste" and not more and link_in(body).startswith("/animation/")


async def test_an_address_is_forgotten_when_it_is_of_no_more_use(runtime: Runtime) -> None:
    """A month after the café the address is gone and the hash is left, by which the household is known again."""
    cafe_id = await opened(runtime)
    await filled(runtime, cafe_id, 8, "h")
    before = await household(runtime, "h-0")
    await mails_of(runtime, "h-0")
    await set_clock(runtime, days_before(-5))
    await settled(runtime)

    async def forgotten() -> int:
        async with runtime.database.transaction() as tx:
            while await handlers.forget(tx, 50):
                pass
            row = await tx.fetch_one("SELECT count(*) FROM household WHERE email IS NULL AND email_hash IS NOT NULL")
        return int(row[0]) if row is not None else -1

    assert await forgotten() == 0
    await set_clock(runtime, days_before(-40))
    assert await forgotten() == 8
    assert await household(runtime, "h-0") == before


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


async def test_a_refusal_changes_nothing(runtime: Runtime) -> None:
    """Full and not waiting: no registration, no message; the household is known, and may wait after all."""
    cafe_id = await opened(runtime, capacity_count=1)
    await registered(runtime, cafe_id, "one")
    before = (await cafe_row(runtime, cafe_id)).version
    result = await registered(runtime, cafe_id, "two", wait=False)
    assert isinstance(result, Registered) and result.refusal is not None and result.refusal.reason == "full"
    assert (await cafe_row(runtime, cafe_id)).version == before
    waits = await registered(runtime, cafe_id, "two", wait=True)
    assert isinstance(waits, Registered) and waits.registration is not None
    async with runtime.database.transaction() as tx:
        nobody = await handlers.accept(tx, uuid4(), waits.registration.registration_id)
        assert isinstance(nobody, Refusal) and nobody.reason == "not_found"
        assert await household_store.find_registration(tx, uuid4()) is None
