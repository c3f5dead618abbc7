"""Cases of the dropout observatory: who may tell and see what, two times, doubles, tables, and what the log knows."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from datetime import UTC, date, datetime
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import pytest
from openpyxl import Workbook

from common.codes import normalised_code
from common.embedded.stack import Stack
from common.failures import Refusal
from common.runtime import Runtime
from common.testing import FreshRuntime, Query, set_clock, url_of
from dropout_observatory import handlers, store
from dropout_observatory.handlers import Repeated
from dropout_observatory.messages import (
    CaseCorrected,
    CaseFollowed,
    CaseReported,
    ReportSource,
    ReportWay,
    StepKind,
    WithdrawalReason,
)
from dropout_observatory.reports import ReportBody
from dropout_observatory.restate import AGGREGATES
from dropout_observatory.state import Facts, Step
from dropout_observatory.store import Viewer
from territory import reference
from tests.integration.observatory import ROUEN, SERVICE, TOPIC, Observatory, month, report_body, reported, towns
from tests.integration.restating import restated

_towns = count(10)


@pytest.fixture
def observatory(stack: Stack) -> Observatory:
    """The service of the running stack."""
    return Observatory(stack, url_of(stack, SERVICE))


@pytest.fixture
async def runtime(fresh_runtime: FreshRuntime) -> Any:
    """The service on a database of its own, its clock in the test's hand."""
    async with fresh_runtime("dropout_observatory", development=True) as made:
        yield made


def town() -> tuple[str, str]:
    """A commune and its intercommunality, which no other test of this file uses."""
    code = towns()[next(_towns)]
    return code, reference.communes()[code].epci_siren


AGENCY = Viewer("agency", agency=True)


async def told(runtime: Runtime, body: dict[str, Any], viewer: Viewer = AGENCY) -> UUID:
    """A case by the handler that every way in ends in."""
    async with runtime.database.transaction() as tx:
        facts = ReportBody.model_validate(body).facts(await handlers.policy(tx))
        assert isinstance(facts, Facts)
        result = await handlers.report(tx, viewer, ReportSource.REFERENT, facts, ReportWay.HTTP, Repeated.REPORT)
    assert not isinstance(result, Refusal)
    return result.case_id


async def messages_of(runtime: Runtime, case_id: UUID) -> list[str]:
    """The records that a case has emitted, in order."""
    async with runtime.database.transaction() as tx:
        rows = await tx.fetch_all(
            "SELECT record, value FROM outbox WHERE key = :key ORDER BY aggregate_version", key=str(case_id)
        )
    return [row.record.rsplit(".", 1)[1] for row in rows]


# -- reporting


async def test_a_case_is_closed_values_and_a_code(observatory: Observatory, query: Query) -> None:
    """The code has its check character; the commune's intercommunality and department are told with it."""
    async with await observatory.reporter() as referent:
        case_id, code = await reported(referent, factors=["WORK", "MOBILITY", "WORK"])
        case = (await referent.get(f"/v1/cases/{case_id}")).json()
    assert normalised_code(code) == code
    assert case["facts"] == {
        "left_month": f"{month(2)}-01",
        "level_left": "CAP",
        "school_kind": "VOCATIONAL_LYCEE",
        "school_uai": None,
        "age_band": "AGE_17",
        "commune_code": ROUEN,
        "epci_siren": reference.communes()[ROUEN].epci_siren,
        "department_code": "76",
        "geography_year": reference.GEOGRAPHY_YEAR,
        "factors": ["MOBILITY", "WORK"],
    }
    assert case["state"] == "reported"
    # Of an age only its band is anywhere.
    columns = await query(
        SERVICE, "SELECT column_name AS name FROM information_schema.columns WHERE table_schema = 'public'"
    )
    assert "age" not in {row.name for row in columns}


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"age": 15}, 409, "under_age"),
        ({"age": 30}, 409, "over_age"),
        ({"left_month": "2019-01"}, 422, "invalid_request"),
        ({"left_month": month(40)}, 409, "too_long_ago"),
        ({"left_month": month(-1)}, 409, "month_to_come"),
        ({"factors": []}, 422, "invalid_request"),
        ({"factors": ["UNKNOWN"]}, 422, "invalid_request"),
        ({"level_left": "UNKNOWN"}, 422, "invalid_request"),
        ({"commune_code": "Rouen"}, 422, "invalid_request"),
        ({"school_uai": "0760012B"}, 422, "invalid_request"),
        ({"name": "Camille"}, 422, "invalid_request"),
        ({"comment": "suivi par sa mère"}, 422, "invalid_request"),
    ],
)
async def test_what_is_not_a_case_writes_nothing(
    observatory: Observatory, query: Query, changes: dict[str, Any], status: int, reason: str
) -> None:
    """Under sixteen, free text, unknown words, a name as a code: refused in words, and nothing is kept of it."""
    async with await observatory.reporter() as referent:
        answer = await referent.post("/v1/cases", json=report_body(**changes))
        assert (answer.status_code, answer.json().get("reason")) == (status, reason)
        assert (await referent.get("/v1/cases")).json() == []


async def test_roles(observatory: Observatory) -> None:
    """Nobody else reports or sees; the agency sees and does not report."""
    async with await observatory.reporter("prescriber") as stranger:
        assert (await stranger.post("/v1/cases", json=report_body())).status_code == 403
        assert (await stranger.get("/v1/cases")).status_code == 403
    async with await observatory.agency() as agency:
        assert (await agency.post("/v1/cases", json=report_body())).status_code == 403
    async with await observatory.reporter("psad", "no-uuid") as lost:
        assert (await lost.get("/v1/cases")).status_code == 403


# -- who sees what


async def test_a_case_is_its_reporters_its_platforms_and_the_agencys(observatory: Observatory) -> None:
    """Anybody else is told that there is none, by every way in; a platform sees what a correction moves into its territory."""
    commune, epci = town()
    elsewhere, epci_elsewhere = town()
    async with (
        await observatory.reporter() as referent,
        await observatory.platform(epci) as platform,
        await observatory.platform(epci_elsewhere) as other,
        await observatory.agency() as agency,
    ):
        case_id, code = await reported(referent, commune_code=commune)
        for client in (referent, platform, agency):
            assert (await client.get(f"/v1/cases/{case_id}")).status_code == 200
            assert len((await client.get("/v1/cases", params={"case_code": code})).json()) == 1
        other_case, _ = await reported(other, commune_code=elsewhere)
        step = {"kind": "OFFERED", "happened_on": f"{month(1)}-02"}
        for method, path, body in (
            ("GET", "", None),
            ("PUT", "", report_body(commune_code=commune, age=18)),
            ("POST", "/withdrawal", {"reason": "MISTAKE"}),
            ("POST", "/reinstatement", None),
            ("POST", "/distinction", {"other_case_id": str(other_case)}),
            ("POST", "/steps", step),
            ("DELETE", f"/steps/{uuid4()}", None),
        ):
            answer = await other.request(method, f"/v1/cases/{case_id}{path}", json=body)
            assert answer.status_code == 404, (method, path)
        # Nor by what names it: as the case that stays, or as another person.
        for path, body in (
            ("/withdrawal", {"reason": "DUPLICATE", "duplicate_of": str(case_id)}),
            ("/distinction", {"other_case_id": str(case_id)}),
        ):
            assert (await other.post(f"/v1/cases/{other_case}{path}", json=body)).status_code == 404
        assert (await other.get("/v1/cases", params={"case_code": code})).json() == []
        span = {"first_month": month(12), "last_month": month()}
        assert (await other.get("/v1/cases/counts", params=span)).json()["counts"] == {"reported": 1}
        # It moves: the platform of where they live now sees it, and the first no more.
        moved = await referent.put(f"/v1/cases/{case_id}", json=report_body(commune_code=elsewhere))
        assert moved.status_code == 200
        assert (await other.get(f"/v1/cases/{case_id}")).status_code == 200
        assert (await platform.get(f"/v1/cases/{case_id}")).status_code == 404


async def test_an_intercommunality_has_one_platform(observatory: Observatory) -> None:
    """A second one is refused, at the same time too; what is no intercommunality is said."""
    _, epci = town()
    async with await observatory.agency() as agency:
        answers = await asyncio.gather(
            *(agency.put(f"/v1/psads/{uuid4()}", json={"title": "PSAD", "epcis": [epci]}) for _ in range(8))
        )
        assert Counter((one.status_code, one.json().get("reason")) for one in answers) == {
            (200, None): 1,
            (409, "followed_by_another"): 7,
        }
        unknown = await agency.put(f"/v1/psads/{uuid4()}", json={"title": "PSAD", "epcis": ["000000000"]})
        assert unknown.status_code == 422


async def test_a_case_that_moves_away_meanwhile_is_not_changed(runtime: Runtime) -> None:
    """Who saw it when they asked, and does no more when their turn comes, is told that there is none."""
    (commune, epci), (elsewhere, _), psad_id = town(), town(), uuid4()
    case_id = await told(runtime, report_body(commune_code=commune))
    async with runtime.database.transaction() as tx:
        assert await handlers.describe_psad(tx, psad_id, "PSAD", [epci]) is None
    waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

    async def withdraw() -> Refusal | None:
        async with runtime.database.transaction() as tx:
            platform = Viewer(str(psad_id), psad_id)
            return await handlers.withdraw(tx, platform, case_id, WithdrawalReason.MISTAKE, None)

    async with runtime.database.transaction() as moving:
        facts = ReportBody.model_validate(report_body(commune_code=elsewhere)).facts(await handlers.policy(moving))
        assert isinstance(facts, Facts)
        assert await handlers.correct(moving, AGENCY, case_id, facts) is None
        asking, waits = asyncio.create_task(withdraw()), False
        while not waits:
            await asyncio.sleep(0.01)
            async with runtime.database.transaction() as tx:
                waits = await tx.fetch_one(waiting) is not None
    assert await asking == handlers.NOT_FOUND


# -- two times


async def test_what_was_known_when(runtime: Runtime) -> None:
    """Every instant of a random history with corrections, withdrawals and steps: the counts are those of a simulation."""
    chance = random.Random(20261129)
    months = [month(back) for back in range(6)]
    known: dict[UUID, dict[str, Any]] = {}
    instants: list[tuple[datetime, dict[str, Counter[str]]]] = []
    for round_number in range(60):
        await set_clock(runtime, round_number / 24)
        act = chance.choice(("report", "report", "correct", "withdraw", "reinstate", "step", "take back"))
        if act == "report" or not known:
            body = report_body(left_month=chance.choice(months[2:]), age=chance.choice((16, 17, 19)))
            known[await told(runtime, body)] = {"body": body, "counts": True, "steps": {}}
        else:
            await _act(runtime, chance, act, known, months)
        async with runtime.database.transaction() as tx:
            instants.append((await tx.now(), _simulated(known)))
    first, last = (date.fromisoformat(f"{one}-01") for one in (months[-1], months[0]))
    async with runtime.database.transaction() as tx:
        for instant, expected in instants:
            for by, counts in expected.items():
                rows = await store.counts(tx, AGENCY, by=by, first=first, last=last, known_at=instant)
                assert {row.value: row.n for row in rows} == dict(counts), (instant, by)
        # Only what left in these months.
        one = date.fromisoformat(f"{months[2]}-01")
        rows = await store.counts(tx, AGENCY, by="left_month", first=one, last=one, known_at=instants[-1][0])
        assert {row.value for row in rows} <= {one.isoformat()}


async def _act(
    runtime: Runtime, chance: random.Random, act: str, known: dict[UUID, dict[str, Any]], months: list[str]
) -> None:
    case_id = chance.choice(sorted(known))
    case = known[case_id]
    async with runtime.database.transaction() as tx:
        if act == "correct":
            body = {**case["body"], "left_month": chance.choice(months[2:]), "age": chance.choice((16, 17, 19, 22))}
            facts = ReportBody.model_validate(body).facts(await handlers.policy(tx))
            assert isinstance(facts, Facts)
            if await handlers.correct(tx, AGENCY, case_id, facts) is None:
                case["body"] = body
        elif act == "withdraw":
            await handlers.withdraw(tx, AGENCY, case_id, WithdrawalReason.MISTAKE, None)
            case["counts"] = False
        elif act == "reinstate":
            await handlers.reinstate(tx, AGENCY, case_id)
            case["counts"] = True
        elif act == "step":
            kind = chance.choice((StepKind.OFFERED, StepKind.ADMITTED))
            step = Step(uuid4(), kind, date.fromisoformat(f"{months[1]}-{chance.randint(1, 28):02}"))
            if case["counts"] and (kind, step.happened_on) not in case["steps"].values():
                assert await handlers.follow(tx, AGENCY, case_id, step) is None
                case["steps"][step.step_id] = (kind, step.happened_on)
        elif case["steps"] and case["counts"]:
            step_id = chance.choice(sorted(case["steps"]))
            assert await handlers.take_back(tx, AGENCY, case_id, step_id) is None
            del case["steps"][step_id]


def _simulated(known: dict[UUID, dict[str, Any]]) -> dict[str, Counter[str]]:
    """What a register on paper would say at this instant."""
    bands = {16: "AGE_16", 17: "AGE_17", 19: "AGE_18_TO_20", 22: "AGE_21_TO_25"}
    live = [case for case in known.values() if case["counts"]]

    def state(case: dict[str, Any]) -> str:
        kinds = {kind for kind, _ in case["steps"].values()}
        return "admitted" if StepKind.ADMITTED in kinds else "offered" if kinds else "reported"

    return {
        "state": Counter(state(case) for case in live),
        "age_band": Counter(bands[case["body"]["age"]] for case in live),
        "left_month": Counter(f"{case['body']['left_month']}-01" for case in live),
        "factor": Counter(factor for case in live for factor in case["body"]["factors"]),
    }


async def test_a_question_about_then_is_answered_as_then(observatory: Observatory) -> None:
    """By the API: before a correction, and after it."""
    commune, _ = town()
    async with await observatory.reporter() as referent:
        case_id, _ = await reported(referent, commune_code=commune, age=16)
        before = datetime.now(UTC)
        assert (await referent.put(f"/v1/cases/{case_id}", json=report_body(commune_code=commune, age=20))).is_success
        span = {"first_month": month(12), "last_month": month(), "by": "age_band"}
        then = await referent.get("/v1/cases/counts", params={**span, "known_at": before.isoformat()})
        now = await referent.get("/v1/cases/counts", params=span)
        assert (then.json()["counts"], now.json()["counts"]) == ({"AGE_16": 1}, {"AGE_18_TO_20": 1})
        case = (await referent.get(f"/v1/cases/{case_id}")).json()
    assert [one["age_band"] for one in case["history"]] == ["AGE_16", "AGE_18_TO_20"]


async def test_a_way_back_step_by_step(runtime: Runtime) -> None:
    """Each change of it tells the whole of it, once; what was taken back is known to have been known."""
    case_id = await told(runtime, report_body())
    step = Step(uuid4(), StepKind.OFFERED, date.fromisoformat(f"{month(1)}-03"))
    for again in (step, Step(uuid4(), step.kind, step.happened_on)):
        async with runtime.database.transaction() as tx:
            assert await handlers.follow(tx, AGENCY, case_id, again) is None
    async with runtime.database.transaction() as tx:
        assert await handlers.take_back(tx, AGENCY, case_id, step.step_id) is None
    assert await messages_of(runtime, case_id) == ["CaseReported", "CaseFollowed", "CaseFollowed"]
    async with runtime.database.transaction() as tx:
        assert [row.step_id for row in await store.steps_taken_back(tx, case_id)] == [step.step_id]


async def test_a_case_without_news_is_due(runtime: Runtime) -> None:
    """After thirty days, until there is news or it is over."""
    case_id, closed = await told(runtime, report_body()), await told(runtime, report_body(age=20))
    async with runtime.database.transaction() as tx:
        assert await handlers.withdraw(tx, AGENCY, closed, WithdrawalReason.NOT_A_DROPOUT, None) is None

    async def due() -> tuple[list[UUID], int]:
        async with runtime.database.transaction() as tx:
            since = await handlers.silent_since(tx)
            rows = await store.listed(tx, AGENCY, states=["reported", "offered"], silent_since=since)
            return [row.case_id for row in rows], (await store.state_counts(tx, AGENCY, since))["due"]

    await set_clock(runtime, 29.9)
    assert await due() == ([], 0)
    await set_clock(runtime, 30.1)
    assert await due() == ([case_id], 1)
    async with runtime.database.transaction() as tx:
        step = Step(uuid4(), StepKind.OFFERED, date.fromisoformat(f"{month(1)}-03"))
        assert await handlers.follow(tx, AGENCY, case_id, step) is None
    assert await due() == ([], 0)


# -- doubles


async def test_two_sources_of_one_case_are_shown_and_never_merged(observatory: Observatory) -> None:
    """Each sees that there is another; two people are shown no more, a double is withdrawn and can be reinstated."""
    commune, epci = town()
    async with (
        await observatory.reporter() as referent,
        await observatory.reporter("cfa") as cfa,
        await observatory.platform(epci) as platform,
    ):
        first, _ = await reported(referent, commune_code=commune)
        # Another source sees other factors.
        answer = await cfa.post("/v1/cases", json=report_body(commune_code=commune, factors=["WORK"]))
        assert answer.json()["alike"] is True
        second = UUID(answer.json()["case_id"])
        # One fact otherwise is somebody else.
        other = await cfa.post("/v1/cases", json=report_body(commune_code=commune, age=16))
        assert other.json()["alike"] is False

        async def alike(case_id: UUID) -> list[str]:
            return [one["case_id"] for one in (await platform.get(f"/v1/cases/{case_id}")).json()["alike"]]

        assert (await alike(first), await alike(second)) == ([str(second)], [str(first)])
        for case_id, of in ((first, second), (second, first)):
            answer = await platform.post(
                f"/v1/cases/{case_id}/withdrawal", json={"reason": "DUPLICATE", "duplicate_of": str(of)}
            )
            # The second time, the case that would stay is withdrawn itself.
            assert (answer.status_code, answer.json().get("reason")) == (
                (200, None) if case_id == first else (409, "withdrawn")
            )
        assert await alike(second) == []
        assert (await platform.post(f"/v1/cases/{first}/reinstatement")).status_code == 200
        assert await alike(second) == [str(first)]
        assert (await platform.post(f"/v1/cases/{first}/distinction", json={"other_case_id": str(second)})).is_success
        assert (await alike(first), await alike(second)) == ([], [])


async def test_two_cases_cannot_become_each_others_double(observatory: Observatory) -> None:
    """At the same time, both ways: one stays."""
    commune, epci = town()
    async with await observatory.reporter() as referent, await observatory.platform(epci) as platform:
        for _ in range(5):
            pair = [(await reported(referent, commune_code=commune, repeated="report"))[0] for _ in range(2)]
            answers = await asyncio.gather(
                *(
                    platform.post(f"/v1/cases/{one}/withdrawal", json={"reason": "DUPLICATE", "duplicate_of": str(of)})
                    for one, of in (pair, reversed(pair))
                )
            )
            assert sorted(one.status_code for one in answers) == [200, 409]


async def test_the_same_words_again_are_asked_about(observatory: Observatory) -> None:
    """Twenty at once: one case. The same person is known, another one is reported."""
    commune, _ = town()
    async with await observatory.reporter() as referent:
        body = report_body(commune_code=commune)
        answers = await asyncio.gather(*(referent.post("/v1/cases", json=body) for _ in range(20)))
        assert Counter((one.status_code, one.json().get("reason")) for one in answers) == {
            (201, None): 1,
            (409, "same_facts"): 19,
        }
        (case_id,) = {one.json()["case_id"] for one in answers if one.status_code == 201}
        assert answers[-1].status_code == 201 or [k["case_id"] for k in answers[-1].json()["known"]] == [case_id]
        same = await referent.post("/v1/cases", json={**body, "repeated": "skip"})
        assert (same.status_code, same.json()["case_id"]) == (200, case_id)
        other = await referent.post("/v1/cases", json={**body, "repeated": "report"})
        assert other.status_code == 201
        assert len((await referent.get("/v1/cases")).json()) == 2


# -- batches and tables


async def test_a_batch_has_a_receipt_for_each(observatory: Observatory) -> None:
    """A wrong line stops no other."""
    commune, _ = town()
    good = report_body(commune_code=commune)
    async with await observatory.reporter("cfa") as cfa:
        answer = await cfa.post(
            "/v1/cases/bulk", json={"reports": [good, {**good, "age": 14}, {"x": 1}, {**good, "age": 20}]}
        )
        receipts = answer.json()["receipts"]
        assert [(one["line"], one["status"], one.get("reason")) for one in receipts] == [
            (1, "reported", None),
            (2, "refused", "under_age"),
            (3, "refused", "invalid_line"),
            (4, "reported", None),
        ]
        assert len((await cfa.get("/v1/cases")).json()) == 2


def table(*rows: str) -> bytes:
    """A table as people write it."""
    return "\n".join(("Mois;Niveau;Établissement;Âge;Commune;Facteurs", *rows)).encode()


async def test_a_rehearsal_says_what_the_table_will_say(observatory: Observatory) -> None:
    """All lines or none; a rehearsal writes nothing; the same table again is asked about, and leaves out what is known."""
    row = f"{month(1)};cap;Lycee professionnel;17;Elbeuf;mobilité, Orientation subie"
    wrong = f"{month(1)};CAP;Lycée professionnel;15;Elbeuf;Santé"
    async with await observatory.reporter() as referent:

        async def sent(content: bytes, **how: Any) -> dict[str, Any]:
            answer = await referent.post("/v1/cases/csv", content=content, params=how)
            assert answer.status_code == 200, answer.text
            return dict(answer.json())

        async def kept() -> int:
            return len((await referent.get("/v1/cases")).json())

        mixed = table(row, wrong)
        rehearsal = await sent(mixed, dry_run=True)
        real = await sent(mixed)
        assert (rehearsal["receipts"], rehearsal["kept_count"]) == (real["receipts"], real["kept_count"])
        assert [one["status"] for one in real["receipts"]] == ["reported", "refused"]
        assert "case_code" not in real["receipts"][0]
        assert await kept() == 0
        two = table(row, row)
        assert (await sent(two))["kept_count"] == 2
        assert {one["reason"] for one in (await sent(two, dry_run=True))["receipts"]} == {"same_facts"}
        three = table(row, row, row)
        again = await sent(three, repeated="skip")
        assert [one["status"] for one in again["receipts"]] == ["known", "known", "reported"]
        assert await kept() == 3
        assert (await sent(table(row), repeated="report"))["kept_count"] == 1
        assert await kept() == 4


async def test_a_workbook_and_what_is_wrong_with_a_cell(observatory: Observatory) -> None:
    """XLSX, French words, a month as a spreadsheet writes it; what is not of a list says the list."""
    workbook = Workbook()
    sheet = workbook.active
    assert sheet is not None
    when = date.fromisoformat(f"{month(1)}-01")
    sheet.append(["mois", "niveau", "etablissement", "age", "commune", "facteurs"])
    sheet.append([when, "Bac professionnel", "MFR", 18, "Yvetot", "Travail"])
    sheet.append([when, "doctorat", "MFR", 18, "Yvetot", "Travail"])
    sheet.append([when, "CAP", "MFR", 18, "76600", "Travail"])
    import io

    out = io.BytesIO()
    workbook.save(out)
    async with await observatory.reporter() as referent:
        answer = await referent.post("/v1/cases/csv", content=out.getvalue(), params={"dry_run": True})
        assert answer.status_code == 200, answer.text
        receipts = answer.json()["receipts"]
        assert [one["status"] for one in receipts] == ["reported", "refused", "refused"]
        assert "Bac professionnel" in receipts[1]["detail"]
        assert {one["commune_code"] for one in receipts[2]["choices"]} >= {"76351"}
        unreadable = await referent.post("/v1/cases/csv", content=b"a;b\n1;2\n")
        assert (unreadable.status_code, unreadable.json()["reason"]) == (422, "unreadable_table")


# -- the log


async def test_the_log_has_closed_values_only(runtime: Runtime) -> None:
    """Neither the code, nor who reported, nor the likeness are on the topic."""
    viewer = Viewer("org-secret-account")
    case_id = await told(runtime, report_body(), viewer)
    async with runtime.database.transaction() as tx:
        row = await tx.fetch_one("SELECT * FROM dropout_case WHERE case_id = :id", id=case_id)
        (sent,) = await tx.fetch_all("SELECT topic, value, headers FROM outbox WHERE key = :key", key=str(case_id))
    assert row is not None
    assert sent.topic == TOPIC
    whole = bytes(sent.value) + json.dumps(sent.headers).encode()
    for secret in (row.code, row.account, row.likeness):
        assert secret.encode() not in whole
    assert ROUEN.encode() in whole


async def test_a_case_that_the_database_forgot_comes_back_whole(runtime: Runtime) -> None:
    """Facts, steps and withdrawal as the log last told them; one that is known takes over what only the log knows."""
    case_id = await told(runtime, report_body())
    async with runtime.database.transaction() as tx:
        step = Step(uuid4(), StepKind.OFFERED, date.fromisoformat(f"{month(1)}-03"))
        assert await handlers.follow(tx, AGENCY, case_id, step) is None
        decoded = [
            runtime.schema_ids.codec.decode(bytes(row.value))
            for row in await tx.fetch_all("SELECT value FROM outbox WHERE key = :key ORDER BY id", key=str(case_id))
        ]
    first = CaseReported.model_validate(decoded[0].fields)
    messages = (first, CaseFollowed.model_validate(decoded[1].fields))
    for table_name in ("case_step", "case_facts", "dropout_case"):
        async with runtime.database.transaction() as tx:
            await tx.execute(f"DELETE FROM {table_name} WHERE case_id = :id", id=case_id)
    assert await restated(runtime, AGGREGATES, TOPIC, case_id, *messages) == [
        ("CaseCorrected", 41),
        ("CaseFollowed", 42),
    ]
    async with runtime.database.transaction() as tx:
        case = (await store.lock(tx, [case_id]))[case_id]
    assert (case.state, [one.step_id for one in case.steps], case.version) == ("offered", [step.step_id], 42)
    # The log is ahead of a case that is known.
    later = CaseCorrected.model_validate(
        {
            **first.model_dump(exclude={"source", "way"}),
            "facts": {**first.facts.model_dump(), "age_band": "AGE_16"},
        }
    )
    await restated(runtime, AGGREGATES, TOPIC, case_id, later)
    async with runtime.database.transaction() as tx:
        case = (await store.lock(tx, [case_id]))[case_id]
    assert case.facts is not None
    assert case.facts.age_band == "AGE_16"
