"""What stands behind an event, a kit and the directory: every change × every kind of promise, on a real database; what people are told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest

from common.commitments import ACCEPTS, ASKED, WOULD_BREAK, Fate
from common.failures import Refusal
from common.pages import PARIS
from common.runtime import Runtime
from common.testing import FreshRuntime, Query, accepting, swept
from common.transaction import Transaction
from events import ambassador_handlers, event_handlers, handlers, kit_handlers, kits, notices, party_store, words
from events.ambassador_store import Asker
from events.ambassadors import Visit
from events.bodies import AmbassadorBody, EventBody, KitBody, NeedBody, SessionBody
from events.commitments import TABLE, Change, Kind
from events.handlers import Applicant
from events.messages import AmbassadorAnswer, PartyKind
from events.state import CheckIn
from tests.integration.events import (
    SERVICE,
    Events,
    event_body,
    prepared,
    register,
    registered,
    session_body,
    state_of,
)
from tests.integration.forms import logged_in, offered_again, problem_on
from tests.integration.platforms import at, slot

CELLS = [pytest.param(*cell, False, id="-".join(cell)) for cell in TABLE.cells]
# The door opens hours before: for who has been read there, the session has begun.
CELLS += [pytest.param(change, Kind.BEGUN, True, id=f"{change}-read_at_the_door") for change in Change]
SEATS = {Kind.WAITING, Kind.OFFERED, Kind.REGISTERED, Kind.BEGUN}
LOANS = {Kind.LOAN_ASKED, Kind.LOAN, Kind.LOAN_OUT}


@dataclass
class Behind:
    """An event, a kit and two of the directory, with one promise of a kind."""

    event_id: UUID = field(default_factory=uuid4)
    session_id: UUID = field(default_factory=uuid4)
    kit_id: UUID = field(default_factory=uuid4)
    ambassador_id: UUID = field(default_factory=uuid4)
    promise_id: UUID = field(default_factory=uuid4)
    who: str = field(default_factory=lambda: f"somebody-{uuid4().hex[:8]}@example.org")


async def made(tx: Transaction, kind: Kind, *, came: bool = False) -> Behind:
    """One promise of a kind; who waits is two people, for a session of two seats of which somebody has one.

    Of a session that has begun, its people are there by the clock, or because they `came` before the hour.
    """
    behind = Behind()
    assert await describing(tx, behind) is None
    assert await planning(tx, behind) is None
    assert await event_handlers.publish(tx, "agency", behind.event_id) is None
    assert await keeping(tx, behind) is None
    for name, ambassador_id in (("first", behind.ambassador_id), ("second", uuid4())):
        assert await listing(tx, ambassador_id, name) is None
    if kind in SEATS:
        await _seated(tx, behind, kind, came=came)
    elif kind in LOANS:
        await _lent(tx, behind, kind)
    else:
        await _visited(tx, behind, kind)
    return behind


async def _seated(tx: Transaction, behind: Behind, kind: Kind, *, came: bool) -> None:
    if kind in (Kind.WAITING, Kind.OFFERED):
        seats = 1 if kind is Kind.WAITING else 2
        await _registers(tx, behind, f"before-{uuid4().hex[:6]}@example.org", seats)
    made = await _registers(tx, behind, behind.who, 2)
    behind.promise_id = made.registration_id
    if kind is Kind.OFFERED:
        (first, *_) = await tx.fetch_all(
            "SELECT registration_id FROM registration WHERE session_id = :id ORDER BY joined_at", id=behind.session_id
        )
        assert await handlers.cancel_for(tx, "agency", first.registration_id) is None
    if kind is Kind.BEGUN:
        now = (await tx.now()).replace(microsecond=0)
        begin = now + timedelta(hours=2 if came else -1)
        await tx.execute(
            "UPDATE session SET starts_at = :begin, ends_at = :ends, due_at = :ends WHERE session_id = :id",
            begin=begin,
            ends=begin + timedelta(hours=2),
            id=behind.session_id,
        )
        if came:
            party = await tx.fetch_one(
                "SELECT code FROM party JOIN registration USING (party_id) WHERE registration_id = :id",
                id=made.registration_id,
            )
            assert party is not None
            receipts = await handlers.check_in(tx, "agency", behind.session_id, [CheckIn(party.code, None, now)])
            assert not isinstance(receipts, Refusal) and receipts[0].outcome == "accepted", receipts


async def _registers(tx: Transaction, behind: Behind, email: str, seats: int) -> Any:
    one = Applicant(email, "3e B", PartyKind.GROUP, "0760017F")
    found = await handlers.register(tx, one, behind.event_id, {behind.session_id: seats}, wait=True)
    assert not isinstance(found, Refusal), found
    return found.registrations[behind.session_id]


async def _lent(tx: Transaction, behind: Behind, kind: Kind) -> None:
    today = (await tx.now()).astimezone(PARIS).date()
    days = (today, today + timedelta(days=2)) if kind is Kind.LOAN_OUT else (today + timedelta(days=9),) * 2
    loan = await kit_handlers.ask(
        tx, "agency", behind.who, behind.kit_id, *days, event_id=behind.event_id, keeps_kits=kind is not Kind.LOAN_ASKED
    )
    assert not isinstance(loan, Refusal), loan
    behind.promise_id = loan.loan_id
    if kind is Kind.LOAN_OUT:
        out: kit_handlers.OnLoan = lambda kit, one, now, day: kits.take_out(kit, one, day, now)  # noqa: E731
        assert await kit_handlers.answer(tx, "keeper", loan.loan_id, out) is None


async def _visited(tx: Transaction, behind: Behind, kind: Kind) -> None:
    asker = Asker("agency", "Lycée", behind.who, "", behind.event_id)
    wished = Visit(behind.promise_id, "agency", "H2206", None, "76540", at(12, 9).date())
    visit = await ambassador_handlers.ask_for(tx, asker, wished)
    assert isinstance(visit, Visit), visit
    assert visit.ambassador_id is not None
    behind.ambassador_id = visit.ambassador_id
    if kind is Kind.VISIT:
        said = AmbassadorAnswer.ACCEPTED
        assert await ambassador_handlers.answer(tx, visit.ambassador_id, visit.visit_id, said) is None


async def describing(tx: Transaction, behind: Behind, **more: Any) -> Any:
    """The event, or another description of it."""
    what = EventBody.model_validate(event_body(**more)).description()
    return await event_handlers.describe_event(tx, "agency", "agency@example.org", behind.event_id, what)


async def planning(tx: Transaction, behind: Behind, **more: Any) -> Any:
    """The session of two seats, or another plan of it; one that has begun keeps its hours."""
    row = await tx.fetch_one("SELECT starts_at, ends_at FROM session WHERE session_id = :id", id=behind.session_id)
    hours = {"starts_at": row.starts_at.isoformat(), "ends_at": row.ends_at.isoformat()} if row else {}
    plan = SessionBody.model_validate(session_body(capacity_count=2, **hours) | more).plan()
    return await event_handlers.put_session(tx, "agency", behind.event_id, behind.session_id, plan)


async def keeping(tx: Transaction, behind: Behind, **more: Any) -> Any:
    """The kit, or another description of it."""
    body = {"title": "Kit bois", "rome_codes": ["I1604"], "commune_code": "76540", **more}
    what = KitBody.model_validate(body).description()
    return await kit_handlers.describe_kit(tx, "keeper", "keeper@example.org", behind.kit_id, what)


async def listing(tx: Transaction, ambassador_id: UUID, name: str, **more: Any) -> Any:
    """Somebody of the directory."""
    body = {"email": f"{name}@example.org", "title": name, "rome_codes": ["H2206"], "commune_code": "76540", **more}
    one = AmbassadorBody.model_validate(body)
    return await ambassador_handlers.describe(tx, ambassador_id, one.email, one.title, one.description())


async def new_policy(tx: Transaction, _: Behind) -> Any:
    """From today on, the least of everything."""
    row = await tx.fetch_one("SELECT limits FROM policy ORDER BY valid_on DESC LIMIT 1")
    assert row is not None
    await tx.execute(
        """INSERT INTO policy (valid_on, limits) VALUES ((CAST(:now AS timestamptz) AT TIME ZONE 'Europe/Paris')::date, CAST(:limits AS jsonb))
           ON CONFLICT (valid_on) DO UPDATE SET limits = excluded.limits""",
        now=await tx.now(),
        limits=json.dumps({**row.limits, "party_seats_max": 1, "registrations_per_person_max": 1, "kit_days_max": 1}),
    )


async def other_audience(tx: Transaction, behind: Behind) -> Any:
    """Individuals alone from now on, another audience."""
    begun = await tx.fetch_one(
        "SELECT starts_at <= now() AS begun FROM session WHERE session_id = :id", id=behind.session_id
    )
    if begun is not None and not begun.begun:
        assert await planning(tx, behind, admission="INDIVIDUALS") is None
    return await describing(tx, behind, audiences=["adultes"])


async def platform_needed(tx: Transaction, behind: Behind) -> Any:
    """The event wants a workshop."""
    body = NeedBody.model_validate({"platform_id": str(uuid4()), "group_size": 5, **slot(20, 9)})
    return await event_handlers.need_platform(tx, "agency", behind.event_id, body.need())


async def moving(tx: Transaction, behind: Behind) -> Any:
    """Another hall."""
    return await planning(tx, behind, hall="Hall 2")


Does = Callable[[Transaction, Behind], Awaitable[Any]]
CHANGES: dict[Change, Does] = {
    Change.SEATS: lambda tx, one: planning(tx, one, capacity_count=1),
    Change.MOVED: moving,
    Change.SESSION_CANCELLED: lambda tx, one: event_handlers.cancel_session(tx, "agency", one.session_id),
    Change.PLACE: lambda tx, one: describing(tx, one, place_title="Kindarena"),
    Change.ACCESS: other_audience,
    Change.PLATFORM: platform_needed,
    Change.EVENT_CANCELLED: lambda tx, one: event_handlers.cancel(tx, "agency", one.event_id),
    Change.KIT_WITHDRAWN: lambda tx, one: keeping(tx, one, withdrawn=True),
    Change.KIT_PLACE: lambda tx, one: keeping(tx, one, commune_code="76351"),
    Change.AMBASSADOR_WITHDRAWN: lambda tx, one: listing(tx, one.ambassador_id, "first", withdrawn=True),
    Change.POLICY: new_policy,
}


async def promised(tx: Transaction, behind: Behind, kind: Kind) -> Any:
    """The promise as it is: its state, and what its party has yet to be written."""
    table, key = (
        ("registration", "registration_id")
        if kind in SEATS
        else ("loan", "loan_id")
        if kind in LOANS
        else ("visit", "visit_id")
    )
    row = await tx.fetch_one(f"SELECT * FROM {table} WHERE {key} = :id", id=behind.promise_id)
    assert row is not None
    return row


async def told(tx: Transaction, behind: Behind) -> int:
    """How many mails there are to whom something was promised, beside what is owed."""
    row = await tx.fetch_one("SELECT count(*) AS n FROM mail WHERE recipient = :who", who=behind.who)
    assert row is not None
    return int(row.n)


def test_no_cell_is_missing() -> None:
    """Each change is tried here, and its row has a fate for each kind."""
    assert TABLE.missing == []
    assert set(CHANGES) == set(Change)


@pytest.fixture(scope="module")
async def runtime(fresh_runtime: FreshRuntime) -> AsyncIterator[Runtime]:
    """The service on a database of its own, for all cells."""
    async with fresh_runtime("events", development=True) as built:
        yield built


@pytest.mark.parametrize(("change", "kind", "came"), CELLS)
async def test_every_cell(runtime: Runtime, change: Change, kind: Kind, came: bool) -> None:
    """What is asked about is not done before it is accepted; then each promise is what its cell says, and its people know."""
    fate = TABLE.fate(change, kind)
    async with runtime.database.transaction() as tx, tx.undone():
        behind = await made(tx, kind, came=came)
        await tx.execute("UPDATE registration SET owed = NULL")
        before, mails = await promised(tx, behind, kind), await told(tx, behind)
        refusal = await CHANGES[change](tx, behind)
        if fate in ASKED:
            assert refusal is not None and refusal.reason == WOULD_BREAK, refusal
            shown = {one["id"]: one for one in refusal.facts["commitments"]}
            assert shown[str(behind.promise_id)]["becomes"] == fate
            assert (await promised(tx, behind, kind), await told(tx, behind)) == (before, mails)
            tx.accepted = refusal.facts[ACCEPTS]
            refusal = await CHANGES[change](tx, behind)
        if fate is Fate.BARS:
            assert refusal is not None and refusal.reason in ("seats_taken", "session_over", "in_the_past"), refusal
        else:
            assert refusal is None, refusal
        after = await promised(tx, behind, kind)
        match fate:
            case Fate.ENDS:
                assert after.state in ("ended", "cancelled")
            case Fate.MOVES:
                assert after.state == "searching" and after.ambassador_id not in (None, before.ambassador_id)
            case _:
                assert after.state == before.state
        if kind in SEATS:
            expected = {Fate.CHANGES: "moved", Fate.ENDS: "outgrown" if change is Change.SEATS else "cancelled"}
            assert after.owed == expected.get(fate)
        elif kind in LOANS and change is Change.EVENT_CANCELLED and fate is Fate.ENDS:
            keeper = await tx.fetch_all("SELECT 1 FROM mail WHERE recipient = 'keeper@example.org'")
            assert len(keeper) == 1
        elif change is not Change.EVENT_CANCELLED:
            assert await told(tx, behind) - mails == (fate in ASKED)


async def test_a_party_that_no_longer_fits_is_told_so(fresh_runtime: FreshRuntime) -> None:
    """A session cut to one seat under two who wait: their place ends, and the mail says why and what they can do."""
    async with fresh_runtime("events", development=True) as runtime:
        event_id, (session_id,) = await prepared(runtime, {"capacity_count": 2})
        await registered(runtime, event_id, [session_id], "first", 1)
        await registered(runtime, event_id, [session_id], "couple", 2)
        await registered(runtime, event_id, [session_id], "alone", 1)
        assert (await state_of(runtime, session_id))["couple"] == "waiting"
        await swept(runtime, notices.write_owed)
        async with runtime.database.transaction() as tx:
            plan = SessionBody.model_validate(session_body(capacity_count=1)).plan()
            act = partial(event_handlers.put_session, tx, "agency", event_id, session_id, plan)
            refusal = await act()
            assert refusal is not None and refusal.reason == "seats_taken"
            rows = await tx.fetch_all("SELECT registration_id, seat_count, state FROM registration ORDER BY joined_at")
            assert await handlers.cancel_for(tx, "agency", rows[0].registration_id) is None
            shown = await act()
            assert shown is not None and shown.facts["count"] == 1
            assert await accepting(tx, act) is None
        assert (await state_of(runtime, session_id))["couple"] == "ended"
        await swept(runtime, notices.write_owed)
        async with runtime.database.transaction() as tx:
            (mail,) = await tx.fetch_all(
                "SELECT subject, body FROM mail WHERE recipient = 'couple@example.org' ORDER BY id DESC LIMIT 1"
            )
            (row,) = [row for row in await party_store.registrations(tx, session_id=session_id) if row.seat_count == 2]
        assert mail.subject.startswith("Inscription close") and "moins de places" in mail.body
        assert "moins de places" in words.ended(row)
        assert "nous vous écrivons" not in mail.body


async def test_both_doors_of_a_cancellation_ask(events: Events, query: Query) -> None:
    """The API answers 409 with the list, without a name; the page lists it with two ways on, and its button goes on."""
    sub = f"coordinator-{uuid4().hex[:8]}"
    async with await events.client(sub, "coordinator") as organiser, events.family() as family:
        event_id, (session_id,) = await events.event(organiser)
        email = f"famille-{event_id.hex[:6]}@example.org"
        assert (await register(family, event_id, [session_id], email, seat_count=2, title="Dupont")).status_code == 201
        path = f"/v1/events/{event_id}/cancellation"
        asked = await organiser.post(path)
        assert (asked.status_code, asked.json()["reason"], asked.json()["count"]) == (409, WOULD_BREAK, 1)
        assert email not in asked.text and "Dupont" not in asked.text
        who = {
            "label": sub,
            "sub": sub,
            "roles": ["coordinator"],
            "email": f"{sub}@example.org",
            "name": "Coordination",
        }
        form = await logged_in(events.stack, events.url, f"/mes-evenements/{event_id}", who)
        page = await form.send(f"/mes-evenements/{event_id}/annulation")
        assert page.status_code == 409 and "1 engagement serait rompu" in problem_on(page), page.text
        assert "Garder tel quel" in page.text
        assert (await organiser.get(f"/v1/events/{event_id}")).json()["state"] == "confirmed"
        done = await form.client.post(f"/mes-evenements/{event_id}/annulation", data=offered_again(page))
        assert done.status_code == 303
        assert (await organiser.get(f"/v1/events/{event_id}")).json()["state"] == "cancelled"
        rows = await query(SERVICE, "SELECT state FROM registration WHERE session_id = :id", id=session_id)
        assert [row.state for row in rows] == ["ended"]


async def test_who_has_come_before_the_hour_stands_behind_it_too(events: Events) -> None:
    """The door opens hours before: what is called off then is asked about, and ends for who has been read at the door."""
    begin = datetime.now(UTC) + timedelta(hours=2)
    when = {"starts_at": begin.isoformat(), "ends_at": (begin + timedelta(hours=2)).isoformat()}
    async with await events.organiser() as organiser, events.family() as family:
        event_id, (session_id,) = await events.event(organiser, when)
        await register(family, event_id, [session_id], f"tot-{uuid4().hex[:6]}@example.org", seat_count=2)
        (row,) = (await organiser.get(f"/v1/sessions/{session_id}/registrations")).json()
        reading = {"code": row["code"], "at": datetime.now(UTC).isoformat()}
        read = await organiser.post(f"/v1/sessions/{session_id}/check-ins", json={"check_ins": [reading]})
        assert read.json()["receipts"][0]["outcome"] == "accepted", read.text
        for path in (f"/v1/sessions/{session_id}/cancellation", f"/v1/events/{event_id}/cancellation"):
            asked = await organiser.post(path)
            assert (asked.status_code, asked.json()["reason"], asked.json()["count"]) == (409, WOULD_BREAK, 1)
        done = await organiser.post(path, params={ACCEPTS: asked.json()[ACCEPTS]})
        assert done.status_code == 200, done.text
        assert (await organiser.get(f"/v1/events/{event_id}")).json()["state"] == "cancelled"
