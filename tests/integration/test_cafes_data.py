"""Personal data of the parents' cafés: where it stands, export and erasure by command and by link; what a restore tells anew."""

from __future__ import annotations

import json
from uuid import uuid4

from common.embedded.stack import Stack
from common.testing import FreshRuntime, Query, estuaire, set_clock
from parents_cafes import handlers
from parents_cafes.restate import AGGREGATES
from tests.integration.byte_stores import found_in
from tests.integration.cafes import (
    SERVICE,
    TOPIC,
    Cafes,
    cafe_row,
    days_before,
    filled,
    opened,
    registered,
    registration_of,
    reviewed,
)
from tests.integration.conftest import eventually
from tests.integration.restating import restated
from tests.integration.test_cafes import cafes_token


async def test_a_person_stands_in_one_database_and_is_exported_and_erased_everywhere(
    stack: Stack, cafes: Cafes, query: Query
) -> None:
    """A parent, who runs exchanges and a coordinator under one address: found here alone, then nowhere; the seat goes to the next."""
    mark = f"zaz{uuid4().hex[:9]}"
    email = f"{mark}@example.org"
    async with await cafes.coordinator(sub=mark) as coordinator, cafes.family() as family:
        cafe_id = await cafes.cafe(coordinator, commune_code="27229", on=19, capacity_count=1)
        person = {"title": f"Madame {mark}", "email": email}
        assert (await coordinator.put(f"/v1/facilitators/{uuid4()}", json=person)).status_code == 200
        links = []
        for who, title in ((email, f"Madame {mark}"), (f"next-{uuid4().hex[:6]}@example.org", "")):
            body = {"email": who, "title": title}
            asked = await family.post(f"/v1/cafes/{cafe_id}/requests", json=body)
            token = cafes_token(cafes, asked.json()["request_id"])
            links.append((await family.post(f"/v1/requests/{token}/confirmation", json={})).json())
        await family.post(f"/v1/cafes/{cafe_id}/requests", json={"email": email})

        async def written() -> bool:
            owed = await query(SERVICE, "SELECT count(*) AS n FROM registration WHERE owed IS NOT NULL")
            unsent = await query(SERVICE, "SELECT count(*) AS n FROM outbox WHERE published_at IS NULL")
            return bool(owed[0].n == 0 and unsent[0].n == 0)

        await eventually(written)
        stores = await found_in(stack, query, mark, SERVICE)
        allowed = {f"{SERVICE}.{name}" for name in ("household", "request", "facilitator", "coordinator", "mail")}
        assert set(stores) and set(stores) <= allowed, stores
        status, said = await estuaire(stack, SERVICE, "households", "export", email.upper())
        assert status == 0, said
        told = json.loads(said)
        assert told["household"][0]["title"] == f"Madame {mark}" and len(told["registrations"]) == 1
        assert told["facilitator"] and told["coordinator"] and told["mails"] and told["requests"]
        # The same by the link, for whoever has it.
        data = (await family.get(f"/mon-cafe/{links[0]['household']}/mes-donnees.json")).json()
        assert data["household"] == told["household"]
        by_hash = await query(SERVICE, "SELECT email_hash FROM household WHERE email = :email", email=email)
        status, said = await estuaire(stack, SERVICE, "households", "erase", email.upper())
        assert status == 0 and "erased; 1 registrations" in said, said
        assert await found_in(stack, query, mark, SERVICE) == []
        assert await found_in(stack, query, by_hash[0].email_hash, SERVICE) == []
        rows = await query(SERVICE, "SELECT state FROM registration WHERE cafe_id = :id ORDER BY joined_at", id=cafe_id)
        assert [row.state for row in rows] == ["ended", "offered"]
        assert (await family.get(f"/mon-cafe/{links[0]['household']}")).status_code == 404
        status, said = await estuaire(stack, SERVICE, "households", "erase", email)
        assert status != 0 and "nobody is known" in said
        # Whoever comes back is new.
        asked = await family.post(f"/v1/cafes/{cafe_id}/requests", json={"email": email})
        token = cafes_token(cafes, asked.json()["request_id"])
        again = (await family.post(f"/v1/requests/{token}/confirmation", json={})).json()
        assert again["household"] != links[0]["household"] and again["registration"]["state"] == "waiting"


async def test_after_a_restore_every_cafe_is_told_as_it_stands(fresh_runtime: FreshRuntime) -> None:
    """Open with who lives in it, merged, cancelled, forgotten: numbered above the log; what comes after goes on from there."""

    async with fresh_runtime("parents_cafes", development=True) as runtime:
        full = await opened(runtime, capacity_count=1, on=15)
        for who in ("one", "two", "three"):
            await registered(runtime, full, who)
        small, large = await opened(runtime), await opened(runtime, commune_code="76575")
        await filled(runtime, small, 2)
        await filled(runtime, large, 8)
        alone = await opened(runtime, commune_code="50129")
        planned = await opened(runtime, on=20, open_it=False)
        await set_clock(runtime, days_before(6.9))
        await reviewed(runtime)

        async def names(cafe_id: object) -> list[str]:
            found = await restated(runtime, AGGREGATES, TOPIC, cafe_id)  # type: ignore[arg-type]
            assert [version for _, version in found] == list(range(41, 41 + len(found)))
            return [name for name, _ in found]

        assert await names(full) == [
            "CafeDescribed",
            "HouseholdsRestated",
            "HouseholdRegistered",
            "HouseholdQueued",
            "HouseholdQueued",
        ]
        assert await names(small) == ["CafeDescribed", "CafeMerged"]
        assert (await names(large)).count("HouseholdRegistered") == 10
        assert await names(alone) == ["CafeDescribed", "CafeCancelled"]
        assert await names(planned) == ["CafeDescribed", "HouseholdsRestated"]
        assert await names(uuid4()) == ["CafeCancelled"]
        row = await registration_of(runtime, "one")
        async with runtime.database.transaction() as tx:
            assert await handlers.cancel(tx, row.holder_id, row.registration_id, warned=False) is None
        assert (await cafe_row(runtime, full)).version > 45
