"""Events on real PostgreSQL: seats under concurrency, waiting lists by every way in which a seat comes back, the door, the draw."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.exc import IntegrityError

from common.failures import Refusal, retried, was_rolled_back
from common.runtime import Runtime
from common.testing import FreshRuntime, Query, accepting, set_clock, swept
from events import event_handlers, event_store, handlers, party_store, store
from events.bodies import EventBody
from events.state import CheckIn
from territory import reference
from tests.integration.conftest import eventually
from tests.integration.events import (
    SCHOOL,
    Events,
    event_body,
    mails_of,
    planned,
    prepared,
    put_session,
    register,
    registered,
    seats_of,
    session_body,
    state_of,
)
from tests.integration.platforms import at, slot
from waiting_list.rules import Place, lottery_key, served


async def sweep(runtime: Runtime) -> None:
    """What the sweepers do, until nothing is left."""
    await swept(runtime, handlers.settle_due, handlers.release_after_absences)


async def of(runtime: Runtime, session_id: UUID, who: str) -> Any:
    """The newest registration of somebody in a session."""
    async with runtime.database.transaction() as tx:
        rows = [row for row in await party_store.registrations(tx, session_id=session_id) if row.party_title == who]
    return max(rows, key=lambda row: row.joined_at)


async def party_act(runtime: Runtime, act: Any, session_id: UUID, who: str, **more: Any) -> Refusal | None:
    """A party does something with its registration."""
    row = await of(runtime, session_id, who)
    async with runtime.database.transaction() as tx:
        result: Refusal | None = await act(tx, row.party_id, row.registration_id, **more)
        return result


# -- concurrency, over HTTP


async def test_a_thousand_at_once_on_three_hundred_seats(events: Events, query: Query) -> None:
    """1,000 parallel registrations, groups among them: exactly full, the line in the order of arrival, groups whole."""
    async with await events.organiser() as organiser, events.family() as family, await events.school() as school:
        event_id, (session_id,) = await events.event(organiser, {"capacity_count": 300})

        async def one(number: int) -> int:
            if number % 25 == 0:
                body = {
                    "title": f"Classe {number}",
                    "seat_count": 24,
                    "session_ids": [str(session_id)],
                    "wait": True,
                }
                return (await school.post(f"/v1/events/{event_id}/groups", json=body)).status_code
            email = f"famille-{number}-{event_id.hex[:6]}@example.org"
            seats = 1 + number % 3
            return (await register(family, event_id, [session_id], email, seat_count=seats, wait=True)).status_code

        answers = await asyncio.gather(*(one(number) for number in range(1000)))
        assert set(answers) == {201}
        (shown,) = await seats_of(family, event_id)
    rows = await query("events", "SELECT * FROM registration WHERE session_id = :id", id=session_id)
    taken = [row for row in rows if row.state == "registered"]
    waiting = sorted((row for row in rows if row.state == "waiting"), key=lambda row: row.joined_at)
    assert len(rows) == 1000 and len(taken) + len(waiting) == 1000
    seats = sum(row.seat_count for row in taken)
    # Exactly full: nobody waits whom what is left would fit, and single seats wait behind.
    assert seats == 300 and shown["free_count"] == 0
    assert {row.seat_count for row in taken if row.party_kind == "GROUP"} <= {24}
    assert shown["waiting_count"] == sum(row.seat_count for row in waiting)
    # Whoever has seats came before everybody in line who asks for no more.
    for row in taken:
        assert all(row.joined_at < other.joined_at for other in waiting if other.seat_count <= row.seat_count)
    stored = (await query("events", "SELECT taken_count FROM session WHERE session_id = :id", id=session_id))[0]
    assert stored.taken_count == 300


async def test_ten_times_the_same_address_is_once(events: Events, query: Query) -> None:
    """Ten parallel requests of one person: one registration, nine times `already_registered`."""
    async with await events.organiser() as organiser, events.family() as family:
        event_id, (session_id,) = await events.event(organiser)
        email = f"une-{event_id.hex[:6]}@example.org"
        answers = await asyncio.gather(
            *(register(family, event_id, [session_id], email.upper() if n % 2 else email) for n in range(10))
        )
        assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9
        reasons = {answer.json()["reason"] for answer in answers if answer.status_code == 409}
        assert reasons == {"already_registered"}
    rows = await query("events", "SELECT state FROM registration WHERE session_id = :id", id=session_id)
    assert [row.state for row in rows] == ["registered"]


async def test_the_database_refuses_what_the_code_would_let_pass(fresh_runtime: FreshRuntime) -> None:
    """Overbooking, a second live registration, a second pending offer, an overlapping loan: each by a constraint."""
    async with fresh_runtime("events", development=True) as runtime:
        event_id, (session_id, other) = await prepared(runtime, {"capacity_count": 1}, {"hour": 17})
        await registered(runtime, event_id, [session_id], "a")
        await registered(runtime, event_id, [session_id], "b")
        await registered(runtime, event_id, [other], "a")
        wrong = {
            "no_overbooking": "UPDATE session SET taken_count = 2 WHERE session_id = :id",
            "registration_once": """INSERT INTO registration SELECT gen_random_uuid(), holder_id, seat_count, 'registered', joined_at, priority,
                lottery_key, NULL, end_reason, ended_at, session_id, party_id, party_kind, school_uai, NULL, NULL, 0, NULL
                FROM registration WHERE session_id = :id AND state = 'registered'""",
            "registration_one_offer": """UPDATE registration SET state = 'offered', due_at = now() WHERE holder_id IN
                (SELECT holder_id FROM registration WHERE session_id = :id AND state = 'registered')""",
            "registration_that_waits_ends": "UPDATE registration SET due_at = NULL WHERE session_id = :id AND state = 'waiting'",
        }
        columns = """registration_id, holder_id, seat_count, state, joined_at, priority, lottery_key, due_at, end_reason, ended_at,
                session_id, party_id, party_kind, school_uai, visitor_count, visitor_count_at, revision, owed"""
        wrong["registration_once"] = wrong["registration_once"].replace(
            "INTO registration SELECT", f"INTO registration ({columns}) SELECT"
        )
        for constraint, sql in wrong.items():
            with pytest.raises(IntegrityError, match=constraint):
                async with runtime.database.transaction() as tx:
                    await tx.execute(sql, id=session_id)


# -- a seat comes back


async def full_with_a_line(runtime: Runtime, **more: Any) -> tuple[UUID, UUID]:
    """One seat taken by `first`, and `second`, then `third` in line."""
    event_id, (session_id,) = await prepared(runtime, {"capacity_count": 1, **more})
    for who in ("first", "second", "third"):
        await registered(runtime, event_id, [session_id], who)
    assert await state_of(runtime, session_id) == {"first": "registered", "second": "waiting", "third": "waiting"}
    return event_id, session_id


@pytest.mark.parametrize("way", ["cancelled", "organiser", "declined", "expired", "raised", "resized"])
async def test_a_seat_reaches_the_next_in_line_by_every_way(fresh_runtime: FreshRuntime, way: str) -> None:
    """Cancelled by the party or the organiser, an offer declined or expired, capacity raised, fewer people in a party."""
    async with fresh_runtime("events", development=True) as runtime:
        event_id, session_id = await full_with_a_line(runtime)
        next_in_line = "second"
        match way:
            case "cancelled":
                await party_act(runtime, handlers.cancel, session_id, "first")
            case "organiser":
                row = await of(runtime, session_id, "first")
                async with runtime.database.transaction() as tx:
                    assert await handlers.cancel_for(tx, "agency", row.registration_id) is None
            case "declined" | "expired":
                await party_act(runtime, handlers.cancel, session_id, "first")
                assert (await state_of(runtime, session_id))["second"] == "offered"
                if way == "declined":
                    await party_act(runtime, handlers.cancel, session_id, "second")
                else:
                    await set_clock(runtime, 2.01)
                    await sweep(runtime)
                next_in_line = "third"
            case "raised":
                assert await planned(runtime, event_id, session_id, capacity_count=2) is None
            case "resized":
                assert await planned(runtime, event_id, session_id, capacity_count=3) is None
                assert await state_of(runtime, session_id) == {
                    "first": "registered",
                    "second": "offered",
                    "third": "offered",
                }
                return
        states = await state_of(runtime, session_id)
        assert states[next_in_line] == "offered"
        assert await party_act(runtime, handlers.accept, session_id, next_in_line) is None
        assert (await state_of(runtime, session_id))[next_in_line] == "registered"
        subjects = [subject for subject, _ in await mails_of(runtime, next_in_line)]
        assert subjects[-1].startswith("Inscription confirmée")


async def test_fewer_people_free_seats_for_those_in_line(fresh_runtime: FreshRuntime) -> None:
    """A family of three that comes as one: two seats go to the next two."""
    async with fresh_runtime("events", development=True) as runtime:
        event_id, (session_id,) = await prepared(runtime, {"capacity_count": 3})
        await registered(runtime, event_id, [session_id], "family", 3)
        for who in ("one", "two", "three"):
            await registered(runtime, event_id, [session_id], who)
        await party_act(runtime, handlers.resize, session_id, "family", seat_count=1)
        states = await state_of(runtime, session_id)
        assert (states["one"], states["two"], states["three"]) == ("offered", "offered", "waiting")


async def test_a_group_is_served_whole_or_keeps_its_place(fresh_runtime: FreshRuntime) -> None:
    """Two seats come back: a class of five keeps its place in front, a couple behind it is offered; five later go to the class."""
    async with fresh_runtime("events", development=True) as runtime:
        event_id, (session_id,) = await prepared(runtime, {"capacity_count": 7})
        await registered(runtime, event_id, [session_id], "couple", 2)
        await registered(runtime, event_id, [session_id], "five", 5)
        await registered(runtime, event_id, [session_id], "class", 5, group=True)
        await registered(runtime, event_id, [session_id], "behind", 2)
        await party_act(runtime, handlers.cancel, session_id, "couple")
        states = await state_of(runtime, session_id)
        assert (states["class"], states["behind"]) == ("waiting", "offered")
        await party_act(runtime, handlers.cancel, session_id, "five")
        assert (await state_of(runtime, session_id))["class"] == "offered"
        # Of a school's classes, its mail says which.
        assert all("Groupe : class\n" in body for _, body in await mails_of(runtime, "class"))
        assert not any("Groupe :" in body for _, body in await mails_of(runtime, "behind"))


async def test_absences_in_a_cycle_give_the_seat_to_the_next(fresh_runtime: FreshRuntime) -> None:
    """Who missed two evenings without a word loses the third, is told, and the next in line is offered it."""
    async with fresh_runtime("events", development=True) as runtime:
        nights = [{"days": 10 + n, "hour": 18, "capacity_count": 2} for n in (0, 2, 20)]
        event_id, ids = await prepared(runtime, *nights, kind="FAMILY_CONFERENCES")
        await registered(runtime, event_id, ids, "absent", 1)
        await registered(runtime, event_id, ids, "faithful", 1)
        await registered(runtime, event_id, [ids[2]], "next", 1)
        assert (await state_of(runtime, ids[2]))["next"] == "waiting"
        for night, days in zip(ids[:2], (10, 12), strict=True):
            await set_clock(runtime, days + 0.75)
            row = await of(runtime, night, "faithful")
            async with runtime.database.transaction() as tx:
                readings = [CheckIn(row.code, None, await tx.now())]
                receipts = await handlers.check_in(tx, "agency", night, readings)
                assert not isinstance(receipts, Refusal) and receipts[0].outcome == "accepted"
            await set_clock(runtime, days + 2)
            await sweep(runtime)
            assert (await state_of(runtime, night))["absent"] == "absent"
        states = await state_of(runtime, ids[2])
        assert states == {"absent": "ended", "faithful": "registered", "next": "offered"}
        assert any("absences" in body for _, body in await mails_of(runtime, "absent"))


async def test_one_pending_offer_for_a_person(fresh_runtime: FreshRuntime) -> None:
    """Two seats come back in two sessions: who waits in both is offered one; once it is answered, the other follows."""
    async with fresh_runtime("events", development=True) as runtime:
        event_id, (one, two) = await prepared(runtime, {"capacity_count": 1}, {"capacity_count": 1, "hour": 17})
        for session_id in (one, two):
            await registered(runtime, event_id, [session_id], f"first-{session_id}")
        await registered(runtime, event_id, [one, two], "waits")
        for session_id in (one, two):
            await party_act(runtime, handlers.cancel, session_id, f"first-{session_id}")
        assert (await state_of(runtime, one))["waits"] == "offered"
        assert (await state_of(runtime, two))["waits"] == "waiting"
        await party_act(runtime, handlers.accept, one, "waits")
        await swept(runtime, handlers.heal)
        assert (await state_of(runtime, two))["waits"] == "offered"


async def test_many_offers_to_the_same_people_at_once(fresh_runtime: FreshRuntime) -> None:
    """Ten sessions freed in parallel, the same five people in every line: each has one pending offer, nobody fails."""
    async with fresh_runtime("events", development=True) as runtime:
        event_id, ids = await prepared(runtime, *({"capacity_count": 1, "hour": 8 + n} for n in range(10)))
        for n, session_id in enumerate(ids):
            await registered(runtime, event_id, [session_id], f"first-{n}")
        for n in range(5):
            await registered(runtime, event_id, ids, f"waits-{n}")

        async def free(n: int) -> None:
            # As the edge does with what the database rolled back for the sake of another.
            act = partial(party_act, runtime, handlers.cancel, ids[n], f"first-{n}")
            await retried(act, when=was_rolled_back, attempts_max=5, delay_seconds_max=0.5)

        await asyncio.gather(*(free(n) for n in range(10)))
        async with runtime.database.transaction() as tx:
            rows = await tx.fetch_all("SELECT holder_id FROM registration WHERE state = 'offered'")
        assert len(rows) == len({row.holder_id for row in rows}) == 5


async def test_reading_needs_no_sweeper(fresh_runtime: FreshRuntime) -> None:
    """A lapsed offer holds nothing, in what is read and in what is decided, though nobody swept."""
    async with fresh_runtime("events", development=True) as runtime:
        event_id, session_id = await full_with_a_line(runtime)
        await party_act(runtime, handlers.cancel, session_id, "first")
        await party_act(runtime, handlers.cancel, session_id, "third")
        await set_clock(runtime, 2.01)
        async with runtime.database.transaction() as tx:
            (row,) = await event_store.sessions(tx, await tx.now(), session_id=session_id)
        assert (row.offered, row.free_count) == (0, 1)
        refused = await party_act(runtime, handlers.accept, session_id, "second")
        assert refused is not None and refused.reason == "registration_state"
        result = await registered(runtime, event_id, [session_id], "late", wait=False)
        assert not isinstance(result, Refusal)


async def test_the_cut_off_ends_the_line_and_what_comes_back_later_is_for_who_comes(
    fresh_runtime: FreshRuntime,
) -> None:
    """The eve at 18:00: who waits is told that nobody left; a seat given up afterwards is free for everyone."""
    async with fresh_runtime("events", development=True) as runtime:
        event_id, session_id = await full_with_a_line(runtime, days=10, hour=14)
        await set_clock(runtime, (at(9, 19) - at(0, 0)) / timedelta(days=1) - _day_gone())
        await sweep(runtime)
        assert (await state_of(runtime, session_id))["second"] == "ended"
        assert any("aucune place" in body for _, body in await mails_of(runtime, "second"))
        await party_act(runtime, handlers.cancel, session_id, "first")
        result = await registered(runtime, event_id, [session_id], "second", wait=False)
        assert not isinstance(result, Refusal)


def _day_gone() -> float:
    """The part of the Paris day that is gone, so that a clock can be set to an hour of a day."""
    return (datetime.now(UTC) - at(0, 0)) / timedelta(days=1)


# -- the draw


async def test_a_draw_is_bound_before_and_can_be_redone(fresh_runtime: FreshRuntime) -> None:
    """Everybody waits until the draw; then seats go by the published seed, whole parties only, and the rest stays in line."""
    async with fresh_runtime("events", development=True) as runtime:
        draw_at = at(5, 12)
        event_id, (session_id,) = await prepared(
            runtime, {"capacity_count": 10, "allocation": "LOTTERY", "draw_at": draw_at.isoformat(), "days": 20}
        )
        asked = {f"p{n}": 1 + n % 4 for n in range(20)}
        for who, seats in asked.items():
            await registered(runtime, event_id, [session_id], who, seats)
        assert set((await state_of(runtime, session_id)).values()) == {"waiting"}
        await set_clock(runtime, 6)
        await sweep(runtime)
        async with runtime.database.transaction() as tx:
            rows = await party_store.registrations(tx, session_id=session_id)
            session = await store.lock_session(tx, session_id)
        assert session is not None and session.drawn_at == draw_at
        places = [
            Place(row.registration_id, row.seat_count, row.joined_at, 0, lottery_key(session.seed, row.registration_id))
            for row in rows
        ]
        drawn = {place.entry_id for place in served(10, places)}
        assert {row.registration_id for row in rows if row.state == "registered"} == drawn
        assert {row.state for row in rows if row.registration_id not in drawn} == {"waiting"}
        # A later seat goes to the next of the draw, before whoever came after it.
        await registered(runtime, event_id, [session_id], "after", 1)
        # The largest: its seats are enough for one of the rest, whatever was drawn.
        gone = max((row for row in rows if row.registration_id in drawn), key=lambda row: row.seat_count)
        await party_act(runtime, handlers.cancel, session_id, gone.party_title)
        rest = sorted((place for place in places if place.entry_id not in drawn), key=lambda place: place.order)
        assert served(gone.seat_count, rest)[0].entry_id in {
            row.registration_id for row in await _registrations(runtime, session_id) if row.state == "offered"
        }


async def test_who_acts_when_the_draw_is_due_keeps_its_place_in_it(fresh_runtime: FreshRuntime) -> None:
    """No sweeper ran: the draw is made by the party that changes how many come, and that was not drawn; its key is not lost."""
    async with fresh_runtime("events", development=True) as runtime:
        event_id, (session_id,) = await prepared(
            runtime, {"capacity_count": 2, "allocation": "LOTTERY", "draw_at": at(5, 12).isoformat(), "days": 20}
        )
        for n in range(4):
            await registered(runtime, event_id, [session_id], f"p{n}", 2)
        async with runtime.database.transaction() as tx:
            session = await store.lock_session(tx, session_id)
        assert session is not None
        keys = {
            row.party_title: lottery_key(session.seed, row.registration_id)
            for row in await _registrations(runtime, session_id)
        }
        await set_clock(runtime, 6)
        second = sorted(keys, key=lambda who: keys[who])[1]
        assert await party_act(runtime, handlers.resize, session_id, second, seat_count=1) is None
        rows = await _registrations(runtime, session_id)
        assert {row.party_title: row.lottery_key for row in rows} == keys


async def _registrations(runtime: Runtime, session_id: UUID) -> Any:
    async with runtime.database.transaction() as tx:
        return await party_store.registrations(tx, session_id=session_id)


# -- a cycle, changes, cancellations


async def test_one_registration_for_a_cycle_or_a_part_is_all_or_none(fresh_runtime: FreshRuntime) -> None:
    """Three evenings by one request; when one of them refuses, none is taken; who waits is in line where it is full."""
    async with fresh_runtime("events", development=True) as runtime:
        nights = [{"days": 10 + 7 * n, "capacity_count": 2} for n in range(3)]
        event_id, ids = await prepared(runtime, *nights, kind="FAMILY_CONFERENCES")
        await registered(runtime, event_id, [ids[1]], "earlier", 2)
        refused = await registered(runtime, event_id, ids, "family", 2, wait=False)
        assert isinstance(refused, Refusal) and refused.facts["session_id"] == str(ids[1])
        assert "family" not in await state_of(runtime, ids[0])
        result = await registered(runtime, event_id, ids, "family", 2)
        assert not isinstance(result, Refusal)
        assert [result.registrations[one].state for one in ids] == ["registered", "waiting", "registered"]
        (mail,) = await mails_of(runtime, "family")
        assert mail[1].count("\n- ") == 3


async def test_another_place_or_hour_and_a_cancellation_are_told_once_each(fresh_runtime: FreshRuntime) -> None:
    """Whoever comes reads one mail for each change, however often the sweeper runs; whoever left reads none."""
    async with fresh_runtime("events", development=True) as runtime:
        event_id, (session_id, other) = await prepared(runtime, {}, {"hour": 17})
        for who in ("one", "two", "gone"):
            await registered(runtime, event_id, [session_id, other], who)
        await party_act(runtime, handlers.cancel, session_id, "gone")
        await party_act(runtime, handlers.cancel, other, "gone")
        await mails_of(runtime, "one")
        assert await planned(runtime, event_id, session_id, hour=15, hall="Hall 2") is None

        async def describe(**more: Any) -> None:
            async with runtime.database.transaction() as tx:
                what = EventBody.model_validate(event_body(**more)).description()
                act = partial(event_handlers.describe_event, tx, "agency", None, event_id, what)
                assert await accepting(tx, act) is None

        subjects = [subject for subject, _ in await mails_of(runtime, "one")]
        assert [s.split(" :")[0] for s in subjects] == ["Inscription confirmée", "Horaire ou lieu changé"]
        await describe(place_title="Kindarena")
        await describe(place_title="Kindarena", title="Autre titre")
        async with runtime.database.transaction() as tx:
            assert await accepting(tx, partial(event_handlers.cancel, tx, "agency", event_id)) is None
        for _ in range(3):
            subjects = [subject for subject, _ in await mails_of(runtime, "one")]
        assert [s.split(" :")[0] for s in subjects] == [
            "Inscription confirmée",
            "Horaire ou lieu changé",
            # The place and the cancellation are owed at the same time: one mail, which says what counts.
            "Annulé",
        ]
        assert len(await mails_of(runtime, "two")) == 3
        assert [s.split(" :")[0] for s, _ in await mails_of(runtime, "gone")] == ["Inscription close"]
        assert set((await state_of(runtime, session_id)).values()) == {"ended"}


async def test_closed_events_are_for_who_is_invited(events: Events) -> None:
    """A committee is in no list and does not even say that it is there; its invitation opens it, a forged one does not."""
    async with await events.organiser("agency") as agency, events.family() as family:
        event_id, (session_id,) = await events.event(agency, kind="COMMITTEE", access="INVITATION")
        assert (await family.get(f"/v1/events/{event_id}")).status_code == 404
        listed = (await family.get("/v1/events")).json()["events"]
        assert str(event_id) not in {one["uid"] for one in listed}
        refused = await register(family, event_id, [session_id], "x@example.org")
        assert (refused.status_code, refused.json()["reason"]) == (409, "not_for_you")
        mine = (await agency.get("/v1/events/mine")).json()
        invitation = next(one["invitation"] for one in mine if one["event_id"] == str(event_id))
        assert (await family.get(f"/v1/events/{event_id}?invitation={invitation}")).status_code == 200
        other, _ = await events.event(agency, kind="COMMITTEE", access="INVITATION")
        assert (await family.get(f"/v1/events/{other}?invitation={invitation}")).status_code == 404
        forged = await register(family, event_id, [session_id], "x@example.org", invitation=invitation[:-3] + "abc")
        assert forged.status_code == 409
        invited = await register(family, event_id, [session_id], "x@example.org", invitation=invitation)
        assert invited.status_code == 201


async def test_an_organiser_touches_its_own_only(events: Events) -> None:
    """Description, sessions, publication, platform, cancellation, who is registered, the door: 403 to another."""
    async with await events.organiser() as mine, await events.organiser() as other, await events.school() as school:
        event_id, (session_id,) = await events.event(mine)
        group = {"title": f"3e {uuid4().hex[:6]}", "seat_count": 5, "session_ids": [str(session_id)]}
        made = (await school.post(f"/v1/events/{event_id}/groups", json=group)).json()["registrations"][0]
        need = {"platform_id": str(uuid4()), "group_size": 5, **slot(20, 9)}
        reading = {"check_ins": [{"code": "ABCDEFGHJK", "at": at(1, 9).isoformat()}]}
        answers = [
            await other.put(f"/v1/events/{event_id}", json=event_body()),
            await other.put(f"/v1/events/{event_id}/sessions/{session_id}", json=session_body()),
            await other.put(f"/v1/events/{event_id}/platform", json=need),
            await other.delete(f"/v1/events/{event_id}/platform"),
            await other.post(f"/v1/events/{event_id}/publication"),
            await other.post(f"/v1/events/{event_id}/cancellation"),
            await other.post(f"/v1/sessions/{session_id}/cancellation"),
            await other.get(f"/v1/sessions/{session_id}/registrations"),
            await other.post(f"/v1/sessions/{session_id}/check-ins", json=reading),
            await other.post(f"/v1/registrations/{made['registration_id']}/cancellation"),
        ]
        assert [answer.status_code for answer in answers] == [403] * len(answers)
        async with await events.school(next(one.uai for one in reference.schools() if one.uai != SCHOOL)) as another:
            answer = await another.post(f"/v1/groups/{made['registration_id']}/cancellation")
            assert (answer.status_code, answer.json()["reason"]) == (403, "not_yours")
        assert (await school.post(f"/v1/groups/{made['registration_id']}/cancellation")).status_code == 200


async def test_bad_requests_are_clear_problems(events: Events) -> None:
    """What a caller may get wrong, and what it is told; nothing is a 500."""
    async with await events.organiser() as organiser, events.family() as family, await events.school() as school:
        event_id, (session_id,) = await events.event(organiser)
        draft, _ = await events.event(organiser, publish=False)
        past = {"starts_at": at(-2, 9).isoformat(), "ends_at": at(-2, 10).isoformat(), "title": "x"}
        group = {"title": "3eB", "seat_count": 200, "session_ids": [str(session_id)]}
        base = f"/v1/events/{event_id}"
        cases = [
            (await register(family, event_id, [session_id], "pas une adresse"), 422, "invalid_request"),
            (await register(family, event_id, [], "a@example.org"), 422, "invalid_request"),
            (await register(family, event_id, [session_id], "a@example.org", seat_count=0), 422, "invalid_request"),
            (await register(family, event_id, [session_id], "a@example.org", seat_count=7), 409, "party_too_large"),
            (await register(family, event_id, [session_id], "a@example.org", female_count=3), 422, "invalid_request"),
            (await register(family, event_id, [uuid4()], "a@example.org"), 404, "not_found"),
            (await register(family, uuid4(), [session_id], "a@example.org"), 404, "not_found"),
            (await school.post(f"{base}/groups", json=group), 409, "group_too_large"),
            (await organiser.put(f"/v1/events/{draft}/sessions/{uuid4()}", json=past), 409, "in_the_past"),
            (await organiser.put(f"{base}/sessions/{uuid4()}", json=session_body(hours=-1)), 422, "invalid_request"),
            (await organiser.put(f"{base}/sessions/{uuid4()}", json=session_body(days=31)), 409, "kind"),
            (await organiser.put(base, json=event_body(kind="UNKNOWN")), 422, "invalid_request"),
            (await organiser.put(base, json=event_body(kind="COMPANY_VISIT")), 409, "kind"),
            (await organiser.put(base, json=event_body(online_url="javascript:alert(1)")), 422, "invalid_request"),
            (await organiser.post(f"{base}/publication"), 409, "event_state"),
        ]
        for n, (answer, status, reason) in enumerate(cases):
            assert (answer.status_code, answer.json().get("reason")) == (status, reason), (n, answer.text)
            assert answer.headers["content-type"].startswith("application/problem+json")
        assert (await family.get("/v1/events?since=2027-01-01T00:00:00")).status_code == 422


# -- the door


async def test_the_door_takes_readings_in_any_order_and_any_number_of_times(events: Events) -> None:
    """A batch sent three times by a device that was offline changes nothing the second time; each line has its receipt."""
    async with await events.organiser() as organiser, events.family() as family:
        begin = datetime.now(UTC) + timedelta(hours=2)
        session = {"starts_at": begin.isoformat(), "ends_at": (begin + timedelta(hours=2)).isoformat()}
        event_id, (session_id,) = await events.event(organiser, session)
        for n in range(3):
            email = f"porte-{n}-{event_id.hex[:6]}@example.org"
            assert (await register(family, event_id, [session_id], email, seat_count=2)).status_code == 201
        rows = (await organiser.get(f"/v1/sessions/{session_id}/registrations")).json()
        now = datetime.now(UTC)
        readings = [
            {"code": rows[0]["code"], "at": now.isoformat()},
            {"code": rows[1]["code"].lower(), "visitor_count": 1, "at": now.isoformat()},
            {"code": rows[0]["code"], "visitor_count": 1, "at": (now - timedelta(minutes=1)).isoformat()},
            {"code": "ABCDEFGHJK", "at": now.isoformat()},
        ]
        path = f"/v1/sessions/{session_id}/check-ins"
        first = (await organiser.post(path, json={"check_ins": readings})).json()["receipts"]
        assert [one["outcome"] for one in first] == ["accepted", "accepted", "unchanged", "refused"]
        assert first[3]["reason"] == "unknown_code"
        for batch in (readings, readings[::-1]):
            again = (await organiser.post(path, json={"check_ins": batch})).json()["receipts"]
            assert {one["outcome"] for one in again} == {"unchanged", "refused"}
        rows = (await organiser.get(f"/v1/sessions/{session_id}/registrations")).json()
        assert sorted(row["visitor_count"] or 0 for row in rows) == [0, 1, 2]
        # No more come in by a ticket than it is for, and whoever counts is told.
        (awaited,) = (row for row in rows if row["visitor_count"] is None)
        many = {"code": awaited["code"], "visitor_count": 5, "at": datetime.now(UTC).isoformat()}
        (receipt,) = (await organiser.post(path, json={"check_ins": [many]})).json()["receipts"]
        assert (receipt["outcome"], receipt["visitor_count"]) == ("accepted", 2) and "2\u202fpersonnes" in receipt[
            "detail"
        ]


@pytest.mark.parametrize("skew", [timedelta(0), timedelta(hours=3), timedelta(hours=-3)])
@pytest.mark.parametrize("named", [True, False])
async def test_a_reading_that_is_sent_again_undoes_no_correction(events: Events, skew: timedelta, named: bool) -> None:
    """Three came, corrected to one: the first batch again, both in one, or turned round leaves one, whatever the clock."""
    async with await events.organiser() as organiser, events.family() as family:
        begin = datetime.now(UTC) + timedelta(hours=2)
        session = {"starts_at": begin.isoformat(), "ends_at": (begin + timedelta(hours=2)).isoformat()}
        event_id, (session_id,) = await events.event(organiser, session)
        for n in range(2):
            email = f"relu-{n}-{event_id.hex[:6]}@example.org"
            assert (await register(family, event_id, [session_id], email, seat_count=4)).status_code == 201
        path = f"/v1/sessions/{session_id}"
        codes = [row["code"] for row in (await organiser.get(f"{path}/registrations")).json()]
        read_at = datetime.now(UTC) + skew

        def reading(code: str, count: int, minutes: int) -> dict[str, Any]:
            own = {"reading_id": str(uuid4())} if named else {}
            return {
                "code": code,
                "visitor_count": count,
                "at": (read_at + timedelta(minutes=minutes)).isoformat(),
                **own,
            }

        async def sent(*batch: dict[str, Any]) -> list[str]:
            answer = await organiser.post(f"{path}/check-ins", json={"check_ins": batch})
            return [one["outcome"] for one in answer.json()["receipts"]]

        three, one = reading(codes[0], 3, 0), reading(codes[0], 1, 1)
        assert (await sent(three), await sent(one)) == (["accepted"], ["accepted"])
        for batch in ([three], [three, one], [one, three], [three, three]):
            assert set(await sent(*batch)) == {"unchanged"}
        # A batch of its own, with the correction in it, from a device that had no network.
        assert await sent(reading(codes[1], 3, -20), reading(codes[1], 1, -10)) == ["accepted", "accepted"]
        rows = (await organiser.get(f"{path}/registrations")).json()
        assert [row["visitor_count"] for row in rows] == [1, 1]
        # And a correction of the correction is one, not something heard before.
        assert await sent(reading(codes[0], 3, 2)) == ["accepted"]


async def test_registrations_reach_the_log_with_their_counts(events: Events, query: Query) -> None:
    """Every message of a session is published in version order; the last one's counts are the rows' sums."""
    async with await events.organiser() as organiser, events.family() as family:
        event_id, (session_id,) = await events.event(organiser, {"capacity_count": 2})
        for n in range(3):
            await register(family, event_id, [session_id], f"log-{n}-{event_id.hex[:6]}@example.org", wait=True)
        await put_session(organiser, event_id, session_id=session_id, capacity_count=5)

    async def published() -> bool:
        rows = await query(
            "events", "SELECT published_at FROM outbox WHERE key = :key ORDER BY id", key=str(session_id)
        )
        return len(rows) == 6 and all(row.published_at for row in rows)

    await eventually(published)
