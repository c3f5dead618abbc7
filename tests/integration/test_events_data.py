"""Personal data of the events service: never outside it, all of it on demand, none of it after an erasure; and restoring."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from common.embedded.stack import Stack
from common.messages import Message
from common.personal_data import forget_mails_and_answers
from common.testing import FreshRuntime, Query, estuaire
from events import ambassador_handlers, event_handlers, handlers, kit_handlers
from events.ambassador_store import Asker
from events.ambassadors import Visit
from events.bodies import AmbassadorBody, KitBody, NeedBody
from events.messages import AmbassadorDescribed, AmbassadorKind, KitDescribed, PlatformRequested
from events.restate import AGGREGATES
from tests.integration.byte_stores import found_in
from tests.integration.conftest import eventually
from tests.integration.events import SERVICE, Events, prepared, register, registered
from tests.integration.platforms import at, slot
from tests.integration.restating import restated


async def test_somebody_is_in_this_database_alone_and_then_nowhere(stack: Stack, events: Events, query: Query) -> None:
    """A family, an ambassador, a borrower under one address: exported whole, then erased from every byte store."""
    mark = f"zx{uuid4().hex[:10]}"
    email = f"{mark}@example.org"
    async with await events.organiser("agency") as agency, events.family() as family:
        event_id, (session_id, other) = await events.event(agency, {"capacity_count": 1}, {"hour": 17})
        key = {"Idempotency-Key": f"key-{event_id}"}
        for target in ([session_id], [other]):
            body = {"email": email, "title": f"Madame {mark}", "session_ids": [str(one) for one in target]}
            answer = await family.post(f"/v1/events/{event_id}/registrations", json=body, headers=key)
            assert answer.status_code in (201, 422)
            key = {"Idempotency-Key": f"other-{event_id}"}
        await register(family, event_id, [session_id], f"next-{event_id.hex[:6]}@example.org", wait=True)
        ambassador = {"email": email, "title": f"Madame {mark}", "rome_codes": ["L1401"], "commune_code": "50129"}
        assert (await agency.put(f"/v1/ambassadors/{uuid4()}", json=ambassador)).status_code == 200
        borrower = await events.client(f"p-{mark}", "prescriber", email=email, name=f"Madame {mark}")
        visit = {"rome_code": "L1401", "commune_code": "50129", "visit_on": f"{at(40, 12):%Y-%m-%d}", "details": mark}
        assert (await borrower.post("/v1/visits", json=visit)).status_code == 201
        kit_id = uuid4()
        kit = {"title": "Kit de scène", "rome_codes": ["L1401"], "commune_code": "50129"}
        assert (await agency.put(f"/v1/kits/{kit_id}", json=kit)).status_code == 200
        days = {"first_on": f"{at(10, 12):%Y-%m-%d}", "last_on": f"{at(11, 12):%Y-%m-%d}"}
        assert (await borrower.post(f"/v1/kits/{kit_id}/loans", json=days)).status_code == 201

        async def written() -> bool:
            owed = await query("events", "SELECT count(*) AS n FROM registration WHERE owed IS NOT NULL")
            unsent = await query("events", "SELECT count(*) AS n FROM outbox WHERE published_at IS NULL")
            return bool(owed[0].n == 0 and unsent[0].n == 0)

        await eventually(written)
        stores = await found_in(stack, query, mark, SERVICE)
        allowed = {f"events.{name}" for name in ("person", "party", "ambassador", "mail", "visit", "organiser")}
        assert set(stores) and set(stores) <= allowed, stores
        status, said = await estuaire(stack, SERVICE, "registrants", "export", email)
        assert status == 0, said
        told = json.loads(said)
        assert [row["title"] for row in told["registrations"]] == [f"Madame {mark}"] * 2
        assert told["ambassador"] and told["visits"] and told["organiser"] and told["mails"]
        status, said = await estuaire(stack, SERVICE, "registrants", "erase", email.upper())
        assert status == 0 and "erased; 2 registrations" in said, said
        assert await found_in(stack, query, mark, SERVICE) == []
        # The seat that was given up with them went to the next in line.
        rows = await query("events", "SELECT state FROM registration WHERE session_id = :id", id=session_id)
        assert sorted(row.state for row in rows) == ["ended", "offered"]
        # Nobody can tell whether mail would get to who is no longer there.
        listed = (await agency.get(f"/v1/sessions/{session_id}/registrations")).json()
        assert {one["email"] is None: one["reachable"] for one in listed} == {True: None, False: True}
        assert (await estuaire(stack, SERVICE, "registrants", "export", email))[0] != 0
        status, said = await estuaire(stack, SERVICE, "registrants", "erase", email)
        assert status != 0 and "nobody is known" in said


async def test_an_erasure_takes_nobody_elses_mails(fresh_runtime: FreshRuntime) -> None:
    """An address is no pattern: what is written to, or of, somebody whose address is alike is kept."""
    async with fresh_runtime("events") as runtime, runtime.database.transaction() as tx:
        for key, recipient, body in (
            ("mine", "jean_dupont@example.org", "Bonjour"),
            ("of-me", "school@example.org", "Écrivez à jean_dupont@example.org"),
            ("alike", "jean-dupont@example.org", "Bonjour"),
            ("of-alike", "school@example.org", "Écrivez à jean-dupont@example.org"),
        ):
            await tx.mail(message_key=key, recipient=recipient, subject="", body=body)
        await forget_mails_and_answers(tx, "jean_dupont@example.org", "nobody")
        left = await tx.fetch_all("SELECT message_key FROM mail ORDER BY message_key")
        assert [row.message_key for row in left] == ["alike", "of-alike"]


async def _loaned(runtime: Any) -> UUID:
    """A kit with a loan that is agreed and one that is over."""
    kit_id = uuid4()
    body = KitBody.model_validate({"title": "Kit", "rome_codes": ["I1604"], "commune_code": "76540"})
    async with runtime.database.transaction() as tx:
        assert await kit_handlers.describe_kit(tx, "agency", None, kit_id, body.description()) is None
        for first in (10, 20):
            day = datetime.now(UTC).date() + timedelta(days=first)
            loan = await kit_handlers.ask(tx, "school", None, kit_id, day, day, event_id=None, keeps_kits=False)
            if first == 10:
                assert await kit_handlers.give_up(tx, "school", loan.loan_id) is None  # type: ignore[union-attr]
    return kit_id


async def test_after_a_restore_everything_is_told_as_it_stands(fresh_runtime: FreshRuntime) -> None:
    """Events, sessions with who lives in them, requests, kits, ambassadors: numbered above the log, what is gone is over."""
    async with fresh_runtime("events", development=True) as runtime:
        event_id, (session_id,) = await prepared(runtime, {"days": 20, "capacity_count": 1})
        for who in ("one", "two", "three"):
            await registered(runtime, event_id, [session_id], who)
        body = NeedBody.model_validate({"platform_id": str(uuid4()), "group_size": 5, **slot(20, 9)})
        async with runtime.database.transaction() as tx:
            await event_handlers.need_platform(tx, "agency", event_id, body.need())
            row = await tx.fetch_one("SELECT request_id FROM platform_request")
            assert row is not None
            one = AmbassadorBody.model_validate(
                {"email": "a@example.org", "title": "A", "rome_codes": ["H2206"], "commune_code": "76540"}
            )
            ambassador_id = uuid4()
            await ambassador_handlers.describe(tx, ambassador_id, one.email, one.title, one.description())
            visit = Visit(uuid4(), "school", "H2206", None, "76540", date.today() + timedelta(days=40))
            await ambassador_handlers.ask_for(tx, Asker("school"), visit)
        kit_id = await _loaned(runtime)

        async def names(topic: str, aggregate_id: UUID, *told: Message) -> list[str]:
            found = await restated(runtime, AGGREGATES, topic, aggregate_id, *told)
            assert [version for _, version in found] == list(range(41, 41 + len(found)))
            return [name for name, _ in found]

        assert await names("events.events.v1", event_id) == ["EventDescribed"]
        assert await names("events.sessions.v1", session_id) == [
            "SessionDescribed",
            "RegistrationsRestated",
            "RegistrationMade",
            "RegistrationQueued",
            "RegistrationQueued",
        ]
        # Calendars go on from the description that was told anew.
        async with runtime.database.transaction() as tx:
            kept = await tx.fetch_one(
                "SELECT described_version, version FROM session WHERE session_id = :id", id=session_id
            )
        assert kept is not None and (kept.described_version, kept.version) == (41, 45)
        assert await names("events.platform-requests.v1", row.request_id) == ["PlatformRequested"]
        assert await names("events.kits.v1", kit_id) == ["KitDescribed", "LoansRestated", "LoanRequested"]
        assert await names("events.ambassadors.v1", ambassador_id) == ["AmbassadorDescribed"]
        # What the database forgot is over for everybody.
        assert await names("events.events.v1", uuid4()) == ["EventCancelled"]
        assert await names("events.sessions.v1", uuid4()) == ["SessionCancelled"]
        asked = PlatformRequested(
            for_event_id=uuid4(),
            platform_id=uuid4(),
            organiser_id=uuid4(),
            starts_at=at(5, 9),
            ends_at=at(5, 10),
            group_size=5,
            habilitation_codes=[],
        )
        assert await names("events.platform-requests.v1", uuid4(), asked) == ["PlatformRequestWithdrawn"]
        kit = KitDescribed(
            title="Kit", rome_codes=[], commune_code="76540", withdrawn=False, out_of_order=False, fictitious=True
        )
        assert await names("events.kits.v1", uuid4(), kit) == ["KitDescribed", "LoansRestated"]
        known = AmbassadorDescribed(
            kind=AmbassadorKind.AMBASSADOR,
            rome_codes=["H2206"],
            department_code="76",
            withdrawn=False,
            fictitious=True,
        )
        assert await names("events.ambassadors.v1", uuid4(), known) == ["AmbassadorDescribed"]
        # What comes after goes on from there.
        async with runtime.database.transaction() as tx:
            found = await tx.fetch_one("SELECT registration_id, party_id FROM registration WHERE state = 'registered'")
            assert found is not None
            assert await handlers.cancel(tx, found.party_id, found.registration_id) is None
            version = await tx.fetch_one("SELECT version FROM session WHERE session_id = :id", id=session_id)
        assert version is not None and version.version > 45
