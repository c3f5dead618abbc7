"""Seats by HTTP, from the declaration to the live board, under concurrency."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import httpx

from common.app import build_app
from common.embedded.stack import Stack
from common.testing import Query, settings_for
from remediation_seats.app import service
from tests.integration.conftest import BoardOf, Seats, declare, eventually


async def test_a_declaration_reaches_the_board(seats: Seats, board: BoardOf) -> None:
    """HTTP → outbox → Kafka → fold → JSON."""
    _, partner = await seats.structure()
    programme_id = await seats.programme(partner, 12, 5)

    async def shown() -> bool:
        row = (await board()).get(str(programme_id))
        return row is not None and row["free_count"] == 7 and row["freshness"] == "fresh"

    await eventually(shown)


async def test_two_hundred_clients_on_twenty_seats(seats: Seats, board: BoardOf, query: Query) -> None:
    """Exactly 20 holds and 180 refusals with the reason; the database and the board agree."""
    _, partner = await seats.structure()
    programme_id = await seats.programme(partner, 20)
    clients = [await seats.client(f"crowd-{n}", "prescriber") for n in range(40)]
    answers = await asyncio.gather(
        *(clients[n % 40].post("/v1/holds", json={"programme_id": str(programme_id), "age": 17}) for n in range(200))
    )
    outcomes = Counter((answer.status_code, answer.json().get("reason")) for answer in answers)
    assert outcomes == {(201, None): 20, (409, "no_free_seat"): 180}
    live = await query(
        "remediation-seats",
        "SELECT count(*) AS n, count(DISTINCT young_person_id) AS people FROM hold WHERE programme_id = :id AND state = 'held'",
        id=programme_id,
    )
    assert (live[0].n, live[0].people) == (20, 20)
    assert (
        await query(
            "remediation-seats",
            "SELECT count(*) AS n FROM young_person y WHERE NOT EXISTS (SELECT 1 FROM hold h WHERE h.young_person_id = y.young_person_id)",
        )
    )[0].n == 0

    async def shown() -> bool:
        row = (await board()).get(str(programme_id), {})
        return (row.get("held_count"), row.get("free_count")) == (20, 0)

    await eventually(shown)


async def test_fifty_parallel_holds_of_one_prescriber_over_ten_programmes(seats: Seats) -> None:
    """Exactly five: the prescriber's row is locked before any programme."""
    _, partner = await seats.structure()
    programmes = [await seats.programme(partner, 30) for _ in range(10)]
    async with await seats.client(f"busy-{uuid4().hex[:6]}", "prescriber") as prescriber:
        answers = await asyncio.gather(
            *(prescriber.post("/v1/holds", json={"programme_id": str(programmes[n % 10])}) for n in range(50))
        )
    assert Counter((a.status_code, a.json().get("reason")) for a in answers) == {
        (201, None): 5,
        (409, "prescriber_limit"): 45,
    }


async def test_a_young_person_has_two_live_holds_at_most_and_a_confirmation_releases_the_others(
    seats: Seats, board: BoardOf
) -> None:
    """Parallel holds with one code: two. Confirming one releases the other, and the free counts say so."""
    _, partner = await seats.structure()
    programmes = [await seats.programme(partner, 5) for _ in range(4)]
    first = await seats.client(f"first-{uuid4().hex[:6]}", "prescriber")
    held = (await first.post("/v1/holds", json={"programme_id": str(programmes[0])})).json()
    others = [await seats.client(f"other-{n}-{uuid4().hex[:6]}", "prescriber") for n in range(3)]
    answers = await asyncio.gather(
        *(
            client.post(
                "/v1/holds", json={"programme_id": str(programme), "young_person_code": held["young_person_code"]}
            )
            for client, programme in zip(others, programmes[1:], strict=True)
        )
    )
    assert Counter((a.status_code, a.json().get("reason")) for a in answers) == {
        (201, None): 1,
        (409, "young_person_limit"): 2,
    }
    arrival = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
    confirmed = await partner.post(f"/v1/received-holds/{held['hold_id']}/confirmation", json={"arrival_on": arrival})
    assert confirmed.status_code == 200 and confirmed.json()["state"] == "confirmed"
    admitted = await partner.post(f"/v1/received-holds/{held['hold_id']}/admission")
    assert admitted.json()["state"] == "admitted"

    async def shown() -> bool:
        rows = await board()
        frees = [rows.get(str(programme), {}).get("free_count") for programme in programmes]
        return frees == [4, 5, 5, 5]

    await eventually(shown)


async def test_a_partner_touches_its_own_structure_only(seats: Seats) -> None:
    """Another's programme, another's hold: 403 each way in, and nothing changes."""
    _, mine = await seats.structure()
    _, theirs = await seats.structure()
    programme_id = await seats.programme(mine, 5)
    prescriber = await seats.client(f"p-{uuid4().hex[:6]}", "prescriber")
    hold_id = (await prescriber.post("/v1/holds", json={"programme_id": str(programme_id)})).json()["hold_id"]
    answers = [
        await theirs.put(f"/v1/programmes/{programme_id}", json={"title": "Volé", "age_min": 15, "age_max": 25}),
        await declare(theirs, programme_id, 1, 1),
        await theirs.post(f"/v1/received-holds/{hold_id}/confirmation", json={"arrival_on": "2030-01-01"}),
        await theirs.post(f"/v1/received-holds/{hold_id}/decline", json={"reason": "OTHER"}),
        await theirs.post(f"/v1/received-holds/{hold_id}/admission"),
    ]
    assert {(a.status_code, a.json()["reason"]) for a in answers} == {(403, "not_your_structure")}
    other = await seats.client(f"q-{uuid4().hex[:6]}", "prescriber")
    assert (await other.post(f"/v1/holds/{hold_id}/withdrawal")).json()["reason"] == "not_your_hold"
    bulk = await theirs.post(
        "/v1/declarations/bulk",
        json={
            "declarations": [
                {
                    "programme_id": str(programme_id),
                    "total_count": 9,
                    "taken_count": 0,
                    "observed_at": datetime.now(UTC).isoformat(),
                }
            ]
        },
    )
    assert bulk.json()["receipts"][0]["reason"] == "not_your_structure"
    (row,) = (await mine.get("/v1/programmes/mine")).json()
    assert (row["title"], row["total_count"], row["held_count"]) == (f"Parcours {programme_id.hex[:6]}", 5, 1)


async def test_bulk_gives_a_receipt_per_line(seats: Seats) -> None:
    """Accepted, superseded, refused and why, in the order of the lines; a wrong line does not stop the others."""
    _, partner = await seats.structure()
    programme_id = await seats.programme(partner, 10, 2)
    now = datetime.now(UTC)
    line = {"programme_id": str(programme_id), "total_count": 10, "taken_count": 3, "observed_at": now.isoformat()}
    answer = await partner.post(
        "/v1/declarations/bulk",
        json={
            "declarations": [
                line,
                line,
                {**line, "observed_at": (now + timedelta(seconds=1)).isoformat(), "taken_count": 4},
                {**line, "taken_count": 11},
                {**line, "programme_id": str(uuid4())},
                {**line, "observed_at": (now + timedelta(hours=1)).isoformat()},
                {"nonsense": 1},
            ]
        },
    )
    receipts = answer.json()["receipts"]
    assert [receipt["status"] for receipt in receipts] == [
        "accepted",
        "superseded",
        "accepted",
        "refused",
        "refused",
        "refused",
        "refused",
    ]
    assert [receipt.get("reason") for receipt in receipts[3:]] == [
        "invalid_line",
        "not_found",
        "observed_in_the_future",
        "invalid_line",
    ]
    assert receipts[2]["seats"]["free_count"] == 6


async def test_an_idempotency_key_gives_one_effect_and_one_answer(seats: Seats) -> None:
    """Twenty parallel requests with one key hold one seat; another body under that key is refused."""
    _, partner = await seats.structure()
    programme_id = await seats.programme(partner, 10)
    async with await seats.client(f"idem-{uuid4().hex[:6]}", "prescriber") as prescriber:
        send = {"json": {"programme_id": str(programme_id)}, "headers": {"Idempotency-Key": uuid4().hex}}
        answers = await asyncio.gather(*(prescriber.post("/v1/holds", **send) for _ in range(20)))  # type: ignore[arg-type]
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.json()["hold_id"] for answer in answers}) == 1
        other = await prescriber.post(
            "/v1/holds", json={"programme_id": str(programme_id), "age": 18}, headers=send["headers"]
        )
        assert (other.status_code, other.json()["reason"]) == (422, "idempotency_key_reused")
        assert len((await prescriber.get("/v1/holds")).json()) == 1


async def test_search_says_what_fits_and_why_the_rest_does_not(seats: Seats) -> None:
    """Nearest first; each misfit has its reasons."""
    _, partner = await seats.structure()
    open_programme = await seats.programme(partner, 5)
    full = await seats.programme(partner, 5, 5)
    async with await seats.client("searcher", "prescriber") as prescriber:
        found = (
            await prescriber.get("/v1/places", params={"age": 17, "commune_code": "76540", "radius_km": 10})
        ).json()
        assert str(open_programme) in [place["programme_id"] for place in found["fits"]]
        reasons = {
            place["programme_id"]: [reason["reason"] for reason in place["reasons"]] for place in found["misfits"]
        }
        assert reasons[str(full)] == ["no_free_seat"]
        far = (
            await prescriber.get(
                "/v1/places", params={"age": 40, "commune_code": "50129", "radius_km": 30, "boarding": True}
            )
        ).json()
        reasons = {place["programme_id"]: [reason["reason"] for reason in place["reasons"]] for place in far["misfits"]}
        assert reasons[str(open_programme)] == ["age", "boarding", "distance"]


async def test_rubbish_on_every_route_is_a_clear_problem_and_never_a_500(
    seats: Seats, stack_urls: dict[str, str]
) -> None:
    """Random bytes, wrong types, huge and deep bodies, NUL, lone surrogates, wrong tokens: RFC 9457 each time."""
    structure_id, partner = await seats.structure()
    programme_id = await seats.programme(partner, 5)
    prescriber = await seats.client("rubbish", "prescriber")
    agency = await seats.client("rubbish-agency", "agency")
    routes = [
        (agency, "PUT", f"/v1/structures/{structure_id}"),
        (partner, "PUT", f"/v1/programmes/{programme_id}"),
        (partner, "POST", "/v1/declarations"),
        (partner, "POST", "/v1/declarations/bulk"),
        (prescriber, "POST", "/v1/holds"),
        (partner, "POST", f"/v1/received-holds/{uuid4()}/confirmation"),
        (partner, "POST", f"/v1/received-holds/{uuid4()}/decline"),
    ]
    bodies = [
        b"",
        b"\x00\xff\xfe" * 100,
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"[" * 100_000,
        b"9" * 5000,
        b'{"title": "\\u0000"}',
        b'{"title": "\\ud800"}',
        b'{"programme_id": "' + b"a" * 10_000 + b'"}',
        b'{"declarations": [1, null, "x", [], {}]}',
        b"x" * 1_100_000,
        b'{"title":"x","age_min":1e999,"age_max":-99999999999999999999}',
        b'{"title":"a\\u0000b","age_min":15,"age_max":20}',
        b'{"structure_name":"a\\u0000b","kind":"CFA","commune_code":"76540"}',
        b'{"programme_id":"%s","total_count":99999999999,"taken_count":0,"observed_at":"2026-01-01T00:00:00Z"}'
        % str(programme_id).encode(),
        b'{"programme_id":"%s","total_count":1,"taken_count":0,"observed_at":"9999-12-31T23:59:59Z"}'
        % str(programme_id).encode(),
        b'{"programme_id":"%s","total_count":1,"taken_count":0,"observed_at":"0001-01-01T00:00:00+14:00"}'
        % str(programme_id).encode(),
    ]
    for client, method, path in routes:
        for body in bodies:
            answer = await client.request(method, path, content=body, headers={"Content-Type": "application/json"})
            if answer.status_code == 200 and "bulk" in path:
                assert {receipt["status"] for receipt in answer.json()["receipts"]} == {"refused"}
                continue
            assert 400 <= answer.status_code < 500, (path, body[:60], answer.status_code, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["status"] == answer.status_code and answer.json()["detail"]
    async with await seats.client("x", "prescriber") as client:
        for path in (
            "/v1/places?age=abc",
            "/v1/places?commune_code=%00",
            "/v1/places?radius_km=nan",
            "/v1/nothing",
            "/v1/holds/not-a-uuid/withdrawal",
            "/v1/places?level=UNKNOWN",
        ):
            answer = await (client.post(path) if "withdrawal" in path else client.get(path))
            assert 400 <= answer.status_code < 500 and answer.headers["content-type"] == "application/problem+json", (
                path
            )
        long_key = await client.post(
            "/v1/holds", json={"programme_id": str(programme_id)}, headers={"Idempotency-Key": "k" * 300}
        )
        assert long_key.status_code == 422
        for token in (".", "x", "a.b.c", client.headers["authorization"].split()[1][:-4] + "AAAA"):
            answer = await client.get("/v1/places", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
        for path in (
            "/places?age=%ff&territoire=%00&genre=x&n=-1&tri=%27&commune=%00",
            "/places?n=99999999999999",
            "/places?age=١٧",
            "/api/seats?age=999999",
            "/static/..%2fapp.py",
        ):
            answer = await client.get(stack_urls["projections"] + path)
            assert answer.status_code in (200, 404), path
    partner_reads = await partner.get("/v1/places")
    assert partner_reads.status_code == 403


async def test_a_hold_that_ends_while_its_confirmation_waits_is_not_confirmed(stack: Stack, seats: Seats) -> None:
    """The confirmation read the hold before it got the lock; what it decides on is the hold as it is after."""
    _, partner = await seats.structure()
    programme_id = await seats.programme(partner, 3)
    prescriber = await seats.client(f"prescriber-{uuid4()}", "prescriber")
    hold = (await prescriber.post("/v1/holds", json={"programme_id": str(programme_id)})).json()
    arrival = str(datetime.now(UTC).date() + timedelta(days=2))
    connection = await asyncpg.connect(stack.postgres.url("remediation_seats").replace("+asyncpg", ""))
    try:
        async with connection.transaction():
            await connection.execute("SELECT 1 FROM programme WHERE programme_id = $1 FOR UPDATE", programme_id)
            confirmation = asyncio.create_task(
                partner.post(f"/v1/received-holds/{hold['hold_id']}/confirmation", json={"arrival_on": arrival})
            )
            while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.02)
            await connection.execute(
                "UPDATE hold SET state = 'withdrawn', due_at = NULL, ended_at = clock_timestamp() WHERE hold_id = $1",
                UUID(hold["hold_id"]),
            )
            await connection.execute("UPDATE programme SET held_count = 0 WHERE programme_id = $1", programme_id)
        answer = await confirmation
    finally:
        await connection.close()
    assert (answer.status_code, answer.json()["reason"]) == (409, "hold_state")


async def test_an_idle_connection_is_not_closed_under_an_ingress(stack_urls: dict[str, str]) -> None:
    """Ingresses and clients keep a connection for a while, most for five seconds or more; a request on it is then served."""
    url = httpx.URL(stack_urls["remediation-seats"])
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        for idle_seconds in (0, 7):
            await asyncio.sleep(idle_seconds)
            writer.write(b"GET /livez HTTP/1.1\r\nHost: test\r\n\r\n")
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            assert head.startswith(b"HTTP/1.1 200")
            await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r")[0]))
    finally:
        writer.close()


async def test_a_partner_that_floods_is_told_to_wait(seats: Seats) -> None:
    """429 with Retry-After beyond its budget; another caller's is its own."""
    small = settings_for(
        seats.stack, seats.stack.postgres.url("remediation_seats"), commands_burst_max=3, commands_per_second_max=0.01
    )
    transport = httpx.ASGITransport(build_app(service, small))
    answers = []
    for _ in range(2):
        _, partner = await seats.structure()
        async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=partner.headers) as client:
            answers.append([await declare(client, uuid4(), 9, 3) for _ in range(4)])
    assert [[answer.status_code for answer in mine] for mine in answers] == [[404, 404, 404, 429]] * 2
    refused = answers[0][3]
    assert int(refused.headers["retry-after"]) >= 1 and refused.json()["reason"] == "too_many_requests"
