"""What stands behind a platform: every change × every kind of booking, on a real database; both doors; what people are told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from common.commitments import ACCEPTS, ASKED, WOULD_BREAK, Fate
from common.failures import Refusal
from common.runtime import Runtime
from common.testing import FreshRuntime, Query
from common.transaction import Transaction
from platform_scheduling import handlers, platform_requests, store
from platform_scheduling.bodies import PlatformBody, WindowBody
from platform_scheduling.commitments import TABLE, Change, Kind
from platform_scheduling.messages import PlatformRequested
from platform_scheduling.state import Ask, Busy, Description, Span
from tests.integration.forms import logged_in, offered_again, problem_on
from tests.integration.platforms import SERVICE, Platforms, at, book, platform_body, slot, window_body

CELLS = [pytest.param(*cell, id="-".join(cell)) for cell in TABLE.cells]
DAYS = 20


@dataclass
class Behind:
    """A platform of two units with one booking behind it."""

    owner_code: str
    platform_id: UUID
    window_id: UUID
    booking_id: UUID
    body: dict[str, Any]

    @property
    def description(self) -> Description:
        """As it was described."""
        return PlatformBody.model_validate(self.body).description()


async def made(tx: Transaction, kind: Kind) -> Behind:
    """One booking of a kind; who waits in line does so behind the options of two others."""
    owner_code, platform_id, window_id = f"owner-{uuid4().hex[:8]}", uuid4(), uuid4()
    body = platform_body(owner_title="Lycée", accessible=True, equipment_codes=["usinage", "soudage"], units=["A", "B"])
    asked = PlatformBody.model_validate(body)
    assert await handlers.describe_platform(tx, owner_code, None, platform_id, asked.description(), asked.units) is None
    opened = WindowBody.model_validate(window_body()).window(window_id)
    assert await handlers.put_window(tx, owner_code, platform_id, opened) is None
    booking_id = await (booked_for_event(tx, platform_id) if kind is Kind.EVENT else booked(tx, platform_id, kind))
    if kind in (Kind.APPROVED, Kind.UNDER_WAY):
        assert await handlers.approve(tx, owner_code, booking_id) is None
    if kind is Kind.UNDER_WAY:
        now = await tx.now()
        await tx.execute(
            "UPDATE booking SET starts_at = :begun, ends_at = :end, occupied_until = :end, due_at = :end WHERE booking_id = :id",
            begun=now - timedelta(hours=1),
            end=now + timedelta(hours=1),
            id=booking_id,
        )
    return Behind(owner_code, platform_id, window_id, booking_id, body)


async def booked(tx: Transaction, platform_id: UUID, kind: Kind) -> UUID:
    """A group of ten of somebody who has an address."""
    found: Any = None
    for _ in range(3 if kind is Kind.IN_LINE else 1):
        account = f"somebody-{uuid4().hex[:8]}"
        found = await handlers.book(
            tx,
            account=account,
            title="Lycée voisin",
            contact=f"{account}@example.org",
            platform_id=platform_id,
            ask=Ask(uuid4(), Span(at(DAYS, 9), at(DAYS, 11)), 10, in_line=True),
            purpose="",
        )
    booking_id: UUID = found.booking_id
    return booking_id


async def booked_for_event(tx: Transaction, platform_id: UUID) -> UUID:
    """The booking of an event's request."""
    request_id = uuid4()
    asked = PlatformRequested(
        aggregate_id=request_id,
        for_event_id=uuid4(),
        platform_id=platform_id,
        organiser_id=uuid4(),
        starts_at=at(DAYS, 9),
        ends_at=at(DAYS, 11),
        group_size=10,
        habilitation_codes=[],
    )
    await handlers.book_for_event(tx, asked)
    booking_id: UUID = (await platform_requests.find(tx, request_id)).booking_id
    return booking_id


Does = Callable[[Transaction, Behind], Awaitable[Any]]


def describing(**changes: Any) -> Does:
    """Another description."""

    async def does(tx: Transaction, behind: Behind) -> Any:
        asked = PlatformBody.model_validate({**behind.body, **changes})
        return await handlers.describe_platform(
            tx, behind.owner_code, None, behind.platform_id, asked.description(), asked.units
        )

    return does


async def fewer_units(tx: Transaction, behind: Behind) -> Any:
    """The unit of the booking is taken away: units go from the last, so that it is given the last first."""
    await tx.execute(
        """UPDATE booking SET unit_id = (SELECT unit_id FROM unit WHERE platform_id = :platform AND number = 2)
           WHERE booking_id = :id AND unit_id IS NOT NULL""",
        platform=behind.platform_id,
        id=behind.booking_id,
    )
    if (await state_of(tx, behind)).state == "requested":
        # Whoever holds the second unit is not the one that this cell is about.
        await tx.execute(
            "DELETE FROM booking WHERE platform_id = :id AND unit_id = (SELECT unit_id FROM unit WHERE platform_id = :id AND number = 2)",
            id=behind.platform_id,
        )
        await tx.execute(
            "UPDATE booking SET state = 'approved' WHERE platform_id = :id AND unit_id IS NOT NULL",
            id=behind.platform_id,
        )
    return await describing(units=["A"])(tx, behind)


async def dropping(tx: Transaction, behind: Behind) -> Any:
    """The window that offered it is dropped."""
    return await handlers.drop_window(tx, behind.owner_code, behind.platform_id, behind.window_id)


async def keeping(tx: Transaction, behind: Behind) -> Any:
    """The owner keeps the time by hand; of others, those before one who waits in line, the owner has refused the options."""
    known = await state_of(tx, behind)
    if known.state == "requested":
        await tx.execute(
            "UPDATE booking SET starts_at = starts_at - interval '1 day', ends_at = ends_at - interval '1 day', "
            "occupied_until = occupied_until - interval '1 day' WHERE platform_id = :id AND state = 'tentative'",
            id=behind.platform_id,
        )
    busy = Busy(Span(known.starts_at, known.ends_at))
    return await handlers.block(tx, behind.owner_code, behind.platform_id, uuid4(), busy, "")


async def importing(tx: Transaction, behind: Behind) -> Any:
    """The owner's calendar keeps the time."""
    known = await state_of(tx, behind)
    found = await handlers.import_calendar(
        tx, behind.owner_code, behind.platform_id, [(Span(known.starts_at, known.ends_at), "")]
    )
    return found if isinstance(found, Refusal) else None


async def new_policy(tx: Transaction, _: Behind) -> Any:
    """From today on, the shortest of everything."""
    row = await tx.fetch_one("SELECT limits FROM policy ORDER BY valid_on DESC LIMIT 1")
    assert row is not None
    limits = {**row.limits, "length_minutes_max": 60, "horizon_days": 5, "bookings_per_requester_max": 1}
    await tx.execute(
        """INSERT INTO policy (valid_on, limits) VALUES ((CAST(:now AS timestamptz) AT TIME ZONE 'Europe/Paris')::date, CAST(:limits AS jsonb))
           ON CONFLICT (valid_on) DO UPDATE SET limits = excluded.limits""",
        now=await tx.now(),
        limits=json.dumps(limits),
    )


CHANGES: dict[Change, Does] = {
    Change.WITHDRAWN: describing(withdrawn=True),
    Change.CAPACITY: describing(capacity_count=6),
    Change.EQUIPMENT: describing(equipment_codes=["usinage"]),
    Change.PLACE: describing(commune_code="76351"),
    Change.ACCESS: describing(accessible=False),
    Change.HABILITATIONS: describing(habilitation_codes=["electrique"]),
    Change.UNITS: fewer_units,
    Change.RULES: describing(
        approval="AUTOMATIC", access={"horizon_days": 5, "length_minutes_max": 60}, rules="Blouse"
    ),
    Change.OFFERED: dropping,
    Change.KEPT: keeping,
    Change.CALENDAR: importing,
    Change.POLICY: new_policy,
}


async def state_of(tx: Transaction, behind: Behind) -> Any:
    """The booking as it is."""
    (row,) = await store.bookings(tx, booking_id=behind.booking_id)
    return row


async def mails_of(tx: Transaction, behind: Behind) -> list[Any]:
    """What its requester was sent."""
    return list(
        await tx.fetch_all(
            """SELECT m.subject, m.body FROM mail m JOIN requester r ON r.contact_email = m.recipient
               JOIN booking b USING (requester_id) WHERE b.booking_id = :id ORDER BY m.id""",
            id=behind.booking_id,
        )
    )


def test_no_cell_is_missing() -> None:
    """Each change is tried here, and its row has a fate for each kind of booking."""
    assert TABLE.missing == []
    assert set(CHANGES) == set(Change)


@pytest.fixture(scope="module")
async def runtime(fresh_runtime: FreshRuntime) -> AsyncIterator[Runtime]:
    """The service on a database of its own, for all cells."""
    async with fresh_runtime("platform_scheduling", development=True) as built:
        yield built


@pytest.mark.parametrize(("change", "kind"), CELLS)
async def test_every_cell(runtime: Runtime, change: Change, kind: Kind) -> None:
    """What is asked about is not done before it is accepted; then each booking is what its cell says, and its person knows."""
    fate = TABLE.fate(change, kind)
    async with runtime.database.transaction() as tx, tx.undone():
        behind = await made(tx, kind)
        before, told = await state_of(tx, behind), len(await mails_of(tx, behind))
        refusal = await CHANGES[change](tx, behind)
        if fate in ASKED:
            assert refusal is not None and refusal.reason == WOULD_BREAK, refusal
            shown = {one["id"]: one for one in refusal.facts["commitments"]}
            assert shown[str(behind.booking_id)]["becomes"] == fate
            kept = await state_of(tx, behind)
            assert (kept.state, len(await mails_of(tx, behind))) == (before.state, told)
            tx.accepted = refusal.facts[ACCEPTS]
            refusal = await CHANGES[change](tx, behind)
        if fate is Fate.BARS:
            assert refusal is not None and refusal.reason in ("unit_in_use", "booked"), refusal
        else:
            assert refusal is None, refusal
        after, mails = await state_of(tx, behind), await mails_of(tx, behind)
        if fate is Fate.ENDS:
            assert after.state in ("refused", "cancelled") and after.due_at is None
            if kind is Kind.EVENT:
                assert (await platform_requests.find(tx, after.request_id)).state == "refused"
            else:
                assert mails[-1].subject.startswith("Réservation close") and "/plateaux" in mails[-1].body
        else:
            assert (after.state, after.starts_at, after.due_at) == (before.state, after.starts_at, before.due_at)
        assert len(mails) - told == (kind is not Kind.EVENT and fate in (Fate.ENDS, Fate.CHANGES))


async def approved_group(platforms: Platforms, **more: Any) -> tuple[str, Any, UUID, str]:
    """An owner, its client, its platform, and a group of ten that it has accepted."""
    code, owner = await platforms.owner()
    platform_id = await platforms.platform(owner, **more)
    requester = await platforms.requester()
    one = (await book(requester, platform_id, slot(DAYS, 9), group_size=10)).json()
    answer = await owner.post(f"/v1/received-bookings/{one['booking_id']}/approval")
    assert answer.json()["state"] == "approved"
    return code, owner, platform_id, one["booking_id"]


async def test_software_is_shown_what_would_break_and_goes_on(platforms: Platforms, query: Query) -> None:
    """409 with the list; nothing is done before; who came since is asked about anew; then all of them end, and know."""
    _, owner, platform_id, booking_id = await approved_group(platforms)
    path, cut = f"/v1/platforms/{platform_id}", platform_body(capacity_count=6)
    asked = await owner.put(path, json=cut)
    assert asked.status_code == 409 and asked.headers["content-type"] == "application/problem+json"
    shown = asked.json()
    assert (shown["reason"], shown["count"], shown["detail"]) == (WOULD_BREAK, 1, "1 engagement serait rompu.")
    (one,) = shown["commitments"]
    assert one == {
        "kind": "booking",
        "id": booking_id,
        "when": at(DAYS, 9).isoformat(),
        "what": "Réservation acceptée, 10 personnes",
        "becomes": "ends",
    }
    assert (await owner.get(path)).json()["capacity_count"] == 12
    later = (await book(await platforms.requester(), platform_id, slot(DAYS, 14), group_size=8)).json()["booking_id"]
    again = await owner.put(path, json=cut, params={ACCEPTS: shown[ACCEPTS]})
    assert (again.status_code, again.json()["count"]) == (409, 2)
    key = {"Idempotency-Key": uuid4().hex}
    done = await owner.put(path, json=cut, params={ACCEPTS: again.json()[ACCEPTS]}, headers=key)
    assert done.status_code == 200
    assert (await owner.get(path)).json()["capacity_count"] == 6
    repeated = await owner.put(path, json=cut, params={ACCEPTS: again.json()[ACCEPTS]}, headers=key)
    assert (repeated.status_code, repeated.headers["idempotent-replay"]) == (200, "true")
    rows = await query(
        SERVICE, "SELECT booking_id, state, broken_by FROM booking WHERE platform_id = :id", id=platform_id
    )
    assert {str(row.booking_id): (row.state, row.broken_by) for row in rows} == {
        booking_id: ("cancelled", [Change.CAPACITY]),
        later: ("refused", [Change.CAPACITY]),
    }


async def test_who_fits_moves_up_where_a_group_no_longer_fits(platforms: Platforms) -> None:
    """The unit of a group that is too large goes to who waits in line for it."""
    _, owner = await platforms.owner()
    platform_id = await platforms.platform(owner)
    first, second = await platforms.requester(), await platforms.requester()
    assert (await book(first, platform_id, slot(DAYS, 9), group_size=10)).json()["state"] == "tentative"
    waits = (await book(second, platform_id, slot(DAYS, 9), group_size=5, in_line=True)).json()
    assert waits["state"] == "requested"
    path, cut = f"/v1/platforms/{platform_id}", platform_body(capacity_count=6)
    shown = (await owner.put(path, json=cut)).json()
    assert shown["count"] == 1
    assert (await owner.put(path, json=cut, params={ACCEPTS: shown[ACCEPTS]})).status_code == 200
    (now,) = (await second.get("/v1/bookings")).json()["bookings"]
    assert now["state"] == "tentative"


async def test_a_person_is_shown_what_would_break_and_chooses(platforms: Platforms, query: Query) -> None:
    """The page lists it with two ways on, keeps what was typed, and changes nothing; the button goes on."""
    code, owner, platform_id, booking_id = await approved_group(platforms, title="Atelier bois")
    sub = f"commitments-{uuid4().hex[:8]}"
    who = {"label": sub, "sub": sub, "roles": ["owner"], "email": f"{sub}@example.org", "name": "Atelier"}
    form = await logged_in(platforms.stack, platforms.url, "/mes-plateaux/nouveau", {**who, "structure_id": code})
    fields = {
        "title": "Atelier bois",
        "owner_title": "Lycée",
        "commune": "Rouen (76)",
        "capacity_count": "12",
        "units": "Plateau",
        "equipment": "usinage",
        "rules": "Tenue de travail",
        "withdrawn": "1",
    }
    page = await form.send(f"/mes-plateaux/{platform_id}", **fields)
    assert page.status_code == 409
    assert "1 engagement serait rompu" in problem_on(page)
    assert "Réservation acceptée, 10 personnes" in problem_on(page) and "prend fin" in problem_on(page)
    assert "Garder tel quel" in page.text and "Tenue de travail" in page.text
    assert (await owner.get(f"/v1/platforms/{platform_id}")).status_code == 200
    fields_again = offered_again(page)
    done = await form.client.post(f"/mes-plateaux/{platform_id}", data=fields_again)
    assert done.status_code == 303
    (row,) = await query(SERVICE, "SELECT requester_id, state FROM booking WHERE booking_id = :id", id=UUID(booking_id))
    assert row.state == "cancelled"
    # Whose it was reads who ended it, and why, as long as it is listed.
    login = await query(SERVICE, "SELECT account FROM requester WHERE requester_id = :id", id=row.requester_id)
    me = {**who, "sub": login[0].account, "label": login[0].account, "roles": ["prescriber"], "structure_id": None}
    mine = await logged_in(platforms.stack, platforms.url, "/mes-reservations", me)
    assert "Annulée par le plateau. Le plateau n’est plus proposé." in (await mine.client.get("/mes-reservations")).text
    assert (await form.client.post(f"/mes-plateaux/{platform_id}", data=fields_again)).status_code == 303


async def test_a_platform_that_is_withdrawn_releases_an_events_booking(fresh_runtime: FreshRuntime) -> None:
    """What was booked for an event is released on its topic, once."""
    async with fresh_runtime("platform_scheduling") as runtime, runtime.database.transaction() as tx:
        behind = await made(tx, Kind.EVENT)
        assert await handlers.approve(tx, behind.owner_code, behind.booking_id) is None
        refusal = await describing(withdrawn=True)(tx, behind)
        tx.accepted = refusal.facts[ACCEPTS]
        assert await describing(withdrawn=True)(tx, behind) is None
        row = await state_of(tx, behind)
        assert (row.state, (await platform_requests.find(tx, row.request_id)).state) == ("cancelled", "released")
        told = await tx.fetch_all("SELECT record FROM outbox WHERE key = :key ORDER BY id", key=str(row.request_id))
        assert [one.record.split(".")[-1] for one in told] == ["PlatformBooked", "PlatformReleased"]
