"""What stands behind a programme: every change × every kind of hold, on a real database; what prescribers are told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from common.commitments import ACCEPTS, ASKED, WOULD_BREAK, Fate
from common.failures import Refusal
from common.runtime import Runtime
from common.testing import FreshRuntime
from common.transaction import Transaction
from remediation_seats import handlers, store
from remediation_seats.commitments import TABLE, Change, Kind
from remediation_seats.http import ProgrammeBody, StructureBody
from remediation_seats.messages import DeclarationWay
from remediation_seats.state import Declaration, Profile
from tests.integration.conftest import Seats, declare
from tests.integration.forms import logged_in

CELLS = [pytest.param(*cell, id="-".join(cell)) for cell in TABLE.cells]
BODY = {
    "title": "CAP Menuisier", "rome_codes": ["H2206", "H2201"], "age_min": 15, "age_max": 25, "boarding": True,
    "wheelchair_accessible": True,
}  # fmt: skip


@dataclass
class Behind:
    """A programme of five seats with one hold in it."""

    structure_id: UUID = field(default_factory=uuid4)
    programme_id: UUID = field(default_factory=uuid4)
    prescriber: str = field(default_factory=lambda: f"prescriber-{uuid4().hex[:8]}")
    hold_id: UUID = field(default_factory=uuid4)


async def made(tx: Transaction, kind: Kind) -> Behind:
    """One hold of a kind."""
    behind = Behind()
    await registering(tx, behind)
    assert await describing()(tx, behind) is None
    await declaring(tx, behind, 5)
    held = await handlers.hold_seat(
        tx,
        programme_id=behind.programme_id,
        code=None,
        prescriber_id=behind.prescriber,
        contact_email=f"{behind.prescriber}@example.org",
        profile=Profile(16),
    )
    assert not isinstance(held, Refusal), held
    behind.hold_id = held["hold_id"]
    if kind is not Kind.HELD:
        arrival_on = ((await tx.now()) + timedelta(days=2)).date()
        assert await handlers.confirm_hold(tx, behind.hold_id, behind.structure_id, arrival_on) is None
    if kind is Kind.ADMITTED:
        assert await handlers.admit_young_person(tx, behind.hold_id, behind.structure_id) is None
    return behind


async def registering(tx: Transaction, behind: Behind, commune_code: str = "76540") -> Refusal | None:
    """The agency registers the structure, or moves it."""
    body = StructureBody(structure_name="Structure", kind="CFA", commune_code=commune_code, fictitious=True)
    result = await handlers.describe_structure(tx, behind.structure_id, **dict(body))
    return result if isinstance(result, Refusal) else None


async def declaring(tx: Transaction, behind: Behind, total: int) -> None:
    """The structure declares its seats."""
    seen = Declaration(total, 0, await tx.now(), DeclarationWay.HTTP)
    (receipt,) = await handlers.declare_seats(tx, behind.structure_id, [(behind.programme_id, seen)])
    assert receipt["status"] == "accepted", receipt


Does = Callable[[Transaction, Behind], Awaitable[Refusal | None]]


def describing(**changes: Any) -> Does:
    """The programme, or another description of it."""

    async def does(tx: Transaction, behind: Behind) -> Refusal | None:
        conditions = ProgrammeBody.model_validate({**BODY, **changes}).conditions()
        return await handlers.describe_programme(tx, behind.structure_id, behind.programme_id, conditions)

    return does


async def new_policy(tx: Transaction, _: Behind) -> None:
    """From today on, one hold for each."""
    row = await tx.fetch_one("SELECT limits FROM policy ORDER BY valid_on DESC LIMIT 1")
    assert row is not None
    limits = {**row.limits, "holds_per_prescriber_max": 1, "hold_working_days": 1}
    await tx.execute(
        """INSERT INTO policy (valid_on, limits) VALUES ((CAST(:now AS timestamptz) AT TIME ZONE 'Europe/Paris')::date, CAST(:limits AS jsonb))
           ON CONFLICT (valid_on) DO UPDATE SET limits = excluded.limits""",
        now=await tx.now(),
        limits=json.dumps(limits),
    )


CHANGES: dict[Change, Does] = {
    Change.CLOSED: describing(open=False),
    Change.AGE: describing(age_min=17),
    Change.LEVEL: describing(level_min="CAP"),
    Change.BOARDING: describing(boarding=False),
    Change.WHEELCHAIR: describing(wheelchair_accessible=False),
    Change.INTAKE: describing(intake_on="2027-09-01"),
    Change.TRADE: describing(rome_codes=["H2206"]),
    Change.PLACE: lambda tx, behind: registering(tx, behind, "76351"),
    Change.SEATS: lambda tx, behind: declaring(tx, behind, 0),
    Change.POLICY: new_policy,
}


def test_no_cell_is_missing() -> None:
    """Each change is tried here, and its row has a fate for each kind of hold."""
    assert TABLE.missing == []
    assert set(CHANGES) == set(Change)


@pytest.fixture(scope="module")
async def runtime(fresh_runtime: FreshRuntime) -> AsyncIterator[Runtime]:
    """The service on a database of its own, for all cells."""
    async with fresh_runtime("remediation_seats", development=True) as built:
        yield built


async def mails_of(tx: Transaction, behind: Behind) -> list[Any]:
    """What the prescriber was sent."""
    return list(
        await tx.fetch_all(
            "SELECT subject, body FROM mail WHERE recipient = :who ORDER BY id", who=f"{behind.prescriber}@example.org"
        )
    )


@pytest.mark.parametrize(("change", "kind"), CELLS)
async def test_every_cell(runtime: Runtime, change: Change, kind: Kind) -> None:
    """What is asked about is not done before it is accepted; then each hold is what its cell says, and its prescriber knows."""
    fate = TABLE.fate(change, kind)
    async with runtime.database.transaction() as tx, tx.undone():
        behind = await made(tx, kind)
        before, told = await store.find_hold(tx, behind.hold_id), len(await mails_of(tx, behind))
        refusal = await CHANGES[change](tx, behind)
        if fate in ASKED:
            assert refusal is not None and refusal.reason == WOULD_BREAK, refusal
            (shown,) = refusal.facts["commitments"]
            assert (shown["id"], shown["becomes"]) == (str(behind.hold_id), fate)
            assert await store.find_hold(tx, behind.hold_id) == before
            tx.accepted = refusal.facts[ACCEPTS]
            refusal = await CHANGES[change](tx, behind)
        assert refusal is None, refusal
        after, mails = await store.find_hold(tx, behind.hold_id), await mails_of(tx, behind)
        assert before is not None and after is not None
        assert after.state == ("declined" if fate is Fate.ENDS else before.state)
        assert len(mails) - told == (fate in ASKED)
        if fate is Fate.ENDS:
            assert "Le parcours est fermé." in mails[-1].body and "/trouver" in mails[-1].body
        elif fate is Fate.CHANGES:
            assert mails[-1].subject.startswith("Le parcours change") and "/mes-retenues" in mails[-1].body


async def test_a_structure_reads_how_many_are_held_beyond_what_it_declares(seats: Seats) -> None:
    """Both holds are kept; software reads it in its receipt, the page how many, and which; an answer gives the seat to the other."""
    structure_id, partner = await seats.structure()
    programme_id = await seats.programme(partner, 2)
    sub = f"beyond-{programme_id.hex[:6]}"
    async with await seats.client(sub, "prescriber") as prescriber:
        ids = [
            (await prescriber.post("/v1/holds", json={"programme_id": str(programme_id), "age": 17})).json()["hold_id"]
            for _ in range(2)
        ]
        said = "1 place retenue de plus que déclarée"
        receipt = (await declare(partner, programme_id, 1, 0)).json()
        assert receipt["holds_without_seat"] == ids[1:] and said in receipt["detail"]
        (row,) = (await partner.get("/v1/programmes/mine")).json()
        assert (row["excess_count"], row["free_count"]) == (1, 0)
        assert {hold["state"] for hold in (await prescriber.get("/v1/holds")).json()} == {"held"}
        who = {
            "label": sub,
            "sub": f"{sub}-p",
            "roles": ["partner"],
            "email": f"{sub}@example.org",
            "name": "Structure",
        }
        person = await logged_in(seats.stack, seats.url, "/mes-places", who | {"structure_id": str(structure_id)})
        page = (await person.client.get("/mes-places")).text
        assert said in page
        assert [hold_id in card for card in page.split("<li ") if "sans place déclarée" in card for hold_id in ids] == [
            False,
            True,
        ]
        done = await person.send(f"/mes-places/{programme_id}", total_count=0, taken_count=0)
        assert "2+places+retenues" in done.headers["location"]
        table = (await partner.post("/v1/declarations/csv", content=csv_of(programme_id))).json()
        assert said in table["receipts"][0]["detail"]
        assert (
            await partner.post(f"/v1/received-holds/{ids[0]}/decline", json={"reason": "SEAT_TAKEN"})
        ).status_code == 200
        (row,) = (await partner.get("/v1/programmes/mine")).json()
        assert row["excess_count"] == 0
        page = (await person.client.get("/mes-places")).text
        assert "sans place déclarée" not in page and "de plus que déclarée" not in page


def csv_of(programme_id: UUID) -> bytes:
    """One seat, none taken, counted now."""
    return f"parcours;places;occupees;observe_le\n{programme_id};1;0;{datetime.now(UTC).isoformat()}\n".encode()


async def test_software_is_shown_the_holds_of_a_programme_that_closes(seats: Seats) -> None:
    """409 with the list, which names nobody; nothing is done before; then the hold is declined."""
    _, partner = await seats.structure()
    programme_id = await seats.programme(partner, 5)
    async with await seats.client(f"closing-{programme_id.hex[:6]}", "prescriber") as prescriber:
        held = (await prescriber.post("/v1/holds", json={"programme_id": str(programme_id), "age": 17})).json()
        path, closed = f"/v1/programmes/{programme_id}", {"title": "Fermé", "age_min": 15, "age_max": 25, "open": False}
        asked = await partner.put(path, json=closed)
        assert (asked.status_code, asked.json()["reason"], asked.json()["count"]) == (409, WOULD_BREAK, 1)
        assert held["young_person_code"] not in asked.text
        (row,) = (await partner.get("/v1/programmes/mine")).json()
        assert row["open"] is True
        done = await partner.put(path, json=closed, params={ACCEPTS: asked.json()[ACCEPTS]})
        assert done.status_code == 200, done.text
        (mine,) = (await prescriber.get("/v1/holds")).json()
        assert mine["state"] == "declined"
