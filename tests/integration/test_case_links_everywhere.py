"""A case of the observatory attached to an application, a booking, a group: as to a hold, by whoever may, and told to nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count as count_from
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from common.codes import new_code
from common.embedded.stack import Stack
from common.generated import CaseLinked, CaseUnlinked
from common.pages import PARIS
from common.runtime import Runtime
from common.testing import FreshRuntime, Query, url_of
from dropout_observatory import links
from dropout_observatory.messages import (
    ApplicationConfirmed,
    ApplicationEnded,
    ApplicationEndReason,
    ApplicationOrigin,
    ApplicationSubmitted,
    Audience,
    BookingApproved,
    BookingOrigin,
    PartyKind,
    RegistrationMade,
    VisitorsCheckedIn,
)
from tests.integration.byte_stores import found_in
from tests.integration.conftest import eventually
from tests.integration.events import SCHOOL, Events
from tests.integration.observatory import SERVICE, Observatory, mistyped, month, report_body, reported
from tests.integration.platforms import Platforms, book, slot
from tests.integration.stages import NEXT, OTHER_SCHOOL, Stages, apply
from tests.integration.test_case_links import code_of, heard, kinds
from tests.integration.test_observatory import told


@pytest.fixture
def observatory(stack: Stack) -> Observatory:
    """The observatory of the running stack."""
    return Observatory(stack, url_of(stack, SERVICE))


@pytest.fixture
def stages(stack: Stack) -> Stages:
    """Stage matching of the running stack."""
    return Stages(stack)


@pytest.fixture
async def lake(fresh_runtime: FreshRuntime) -> AsyncIterator[Runtime]:
    """The observatory on a database of its own."""
    async with fresh_runtime("dropout_observatory", development=True) as made:
        yield made


@dataclass
class Followed:
    """Two cases of the observatory, and what their page says."""

    referent: httpx.AsyncClient
    first: tuple[UUID, str]
    second: tuple[UUID, str]

    async def has(self, which: tuple[UUID, str], *steps: tuple[str, str]) -> None:
        """Waits until a case has just these steps: kind and source."""

        async def so() -> bool:
            case = (await self.referent.get(f"/v1/cases/{which[0]}")).json()
            return {(one["kind"], one["source"]) for one in case["steps"]} == set(steps)

        await eventually(so)


async def followed(observatory: Observatory) -> Followed:
    """Two cases that a referent reported."""
    referent = await observatory.reporter()
    return Followed(referent, *[await reported(referent, left_month=month(), age=age) for age in (17, 18)])


async def attached_to(
    cases: Followed, path: str, own: httpx.AsyncClient, strangers: list[httpx.AsyncClient], *steps: tuple[str, str]
) -> None:
    """By the API: mistyped, unknown, another case, by somebody else, none; the first case is attached before and at the end."""
    await cases.has(cases.first, *steps)
    wrong = await own.put(path, json={"case_code": mistyped(cases.second[1])})
    assert wrong.status_code == 422, wrong.text
    for stranger in strangers:
        assert (await stranger.put(path, json={"case_code": None})).status_code == 403
    await cases.has(cases.first, *steps)
    for code, where in ((cases.second[1].lower(), cases.second), (new_code(), None), (cases.first[1], cases.first)):
        answer = await own.put(path, json={"case_code": code})
        assert answer.is_success, answer.text
        for one in (cases.first, cases.second):
            await cases.has(one, *(steps if one is where else ()))


async def test_an_application(stages: Stages, observatory: Observatory, query: Query) -> None:
    """Whoever accompanies attaches it; sent and confirmed are steps. Host, pupil and another school learn of no case."""
    cases = await followed(observatory)
    _, host = await stages.host()
    offer_id = await stages.offer(host, {NEXT: 1})
    seeker = await stages.seeker(age=18, uai=SCHOOL)
    school = await stages.client("link-school", "school", structure_id=SCHOOL)
    other = await stages.client("link-other", "school", structure_id=OTHER_SCHOOL)
    nobody = await stages.client("link-nobody", "prescriber", structure_id="mission-locale-nowhere")
    one = (await apply(seeker, offer_id)).json()["application_id"]
    path = f"/v1/applications/{one}/case"
    # Of an application that waits, nobody but its seeker and its host knows.
    assert (await school.put(path, json={"case_code": cases.first[1]})).status_code == 403
    assert (await host.post(f"/v1/received-applications/{one}/acceptance")).is_success
    agreement_id = (await seeker.post(f"/v1/applications/{one}/confirmation")).json()["agreement_id"]
    for party in (host, seeker):
        assert (await party.put(path, json={"case_code": cases.first[1]})).status_code == 403
    assert (await school.put(path, json={"case_code": cases.first[1]})).is_success
    steps = ("OFFERED", "APPLICATION"), ("ADMITTED", "APPLICATION")
    await attached_to(cases, path, school, [other, nobody], *steps)
    for party, shown in (
        (host, "/v1/applications"),
        (seeker, "/v1/applications"),
        (host, f"/v1/agreements/{agreement_id}"),
    ):
        assert cases.first[1] not in (await party.get(shown)).text
    stores = await found_in(stages.stack, query, cases.first[1], "stage-matching")
    assert sorted(stores) == ["stage-matching.case-links.v1", "stage-matching.case_link"]
    assert await found_in(stages.stack, query, str(cases.first[0]), "stage-matching") == []
    # Cancelled before its first day: nobody entered.
    assert (await school.post(f"/v1/agreements/{agreement_id}/cancellation")).is_success
    await cases.has(cases.first, ("OFFERED", "APPLICATION"))
    assert (await school.put(path, json={"case_code": None})).is_success
    await cases.has(cases.first)


async def test_a_booking(platforms: Platforms, observatory: Observatory, query: Query) -> None:
    """A structure attaches it as it books; approved is a step. The owner and another structure learn of no case."""
    cases = await followed(observatory)
    _, owner = await platforms.owner()
    platform_id = await platforms.platform(owner)
    requester, other = await platforms.requester(), await platforms.requester()
    assert (await book(requester, platform_id, slot(20, 9), case_code=mistyped(cases.first[1]))).status_code == 422
    made = await book(requester, platform_id, slot(20, 9), case_code=cases.first[1])
    assert made.status_code == 201, made.text
    assert cases.first[1] not in made.text
    booking_id = made.json()["booking_id"]
    assert (await owner.post(f"/v1/received-bookings/{booking_id}/approval")).is_success
    assert (await book(other, platform_id, slot(20, 14))).status_code == 201
    await attached_to(cases, f"/v1/bookings/{booking_id}/case", requester, [other, owner], ("OFFERED", "BOOKING"))
    for party, shown in ((owner, "/v1/received-bookings"), (other, "/v1/bookings")):
        assert cases.first[1] not in (await party.get(shown)).text
    stores = await found_in(platforms.stack, query, cases.first[1], "platform-scheduling")
    assert sorted(stores) == ["platform-scheduling.case-links.v1", "platform-scheduling.case_link"]
    assert await found_in(platforms.stack, query, str(cases.first[0]), "platform-scheduling") == []
    assert (await requester.put(f"/v1/bookings/{booking_id}/case", json={"case_code": None})).is_success
    await cases.has(cases.first)


async def test_a_group(events: Events, observatory: Observatory, query: Query) -> None:
    """A school attaches it as it registers a group; that it came is a step, unless it was counted by mistake."""
    cases = await followed(observatory)
    async with await events.organiser() as organiser, await events.school() as school:
        begin = datetime.now(UTC) + timedelta(hours=2)
        session = {"starts_at": begin.isoformat(), "ends_at": (begin + timedelta(hours=2)).isoformat()}
        event_id, (session_id,) = await events.event(organiser, session, title=f"Salon {uuid4().hex[:6]}")
        body = {
            "title": f"Relais {uuid4().hex[:6]}",
            "session_ids": [str(session_id)],
            "seat_count": 3,
            "overlapping": True,
        }
        groups = f"/v1/events/{event_id}/groups"
        assert (await school.post(groups, json=body | {"case_code": mistyped(cases.first[1])})).status_code == 422
        made = await school.post(groups, json=body | {"case_code": cases.first[1]})
        assert made.status_code == 201, made.text
        registration_id = made.json()["registrations"][0]["registration_id"]
        (row,) = (await organiser.get(f"/v1/sessions/{session_id}/registrations")).json()

        minutes = count_from(-60)

        async def came(number: int) -> None:
            at = datetime.now(UTC) + timedelta(minutes=next(minutes))
            reading = {"code": row["code"], "visitor_count": number, "at": at.isoformat()}
            path = f"/v1/sessions/{session_id}/check-ins"
            receipts = (await organiser.post(path, json={"check_ins": [reading]})).json()["receipts"]
            assert [one["outcome"] for one in receipts] == ["accepted"]

        await came(3)
        path = f"/v1/groups/{registration_id}/case"
        other = await events.school(OTHER_SCHOOL)
        await attached_to(cases, path, school, [other, organiser], ("OFFERED", "GROUP_REGISTRATION"))
        assert cases.first[1] not in (await organiser.get(f"/v1/sessions/{session_id}/registrations")).text
        stores = await found_in(events.stack, query, cases.first[1], "events")
        assert sorted(stores) == ["events.case-links.v1", "events.case_link"]
        assert await found_in(events.stack, query, str(cases.first[0]), "events") == []
        await came(0)
        await cases.has(cases.first)
        await came(2)
        await cases.has(cases.first, ("OFFERED", "GROUP_REGISTRATION"))
        assert (await school.put(path, json={"case_code": None})).is_success
        await cases.has(cases.first)


# -- what the observatory makes of it


def _applied(subject_id: UUID, at: datetime) -> ApplicationSubmitted:
    return ApplicationSubmitted(
        occurred_at=at,
        application_id=subject_id,
        seeker_id=uuid4(),
        audience=Audience.YOUNG_IN_INSERTION,
        department_code="76",
        iso_weeks=[NEXT],
        answer_due_at=at,
        weeks=[],
    )


def _confirmed(subject_id: UUID, at: datetime) -> ApplicationConfirmed:
    return ApplicationConfirmed(
        occurred_at=at,
        application_id=subject_id,
        seeker_id=uuid4(),
        origin=ApplicationOrigin.DIRECT,
        iso_weeks=[NEXT],
        weeks=[],
    )


def _cancelled(subject_id: UUID, at: datetime, reason: ApplicationEndReason) -> ApplicationEnded:
    return ApplicationEnded(
        occurred_at=at,
        application_id=subject_id,
        seeker_id=uuid4(),
        origin=ApplicationOrigin.DIRECT,
        reason=reason,
        seat_freed=True,
        weeks=[],
    )


def _approved(subject_id: UUID, at: datetime, origin: BookingOrigin = BookingOrigin.PERSON) -> BookingApproved:
    return BookingApproved(
        occurred_at=at,
        booking_id=subject_id,
        requester_id=uuid4(),
        origin=origin,
        unit_number=1,
        starts_at=at,
        ends_at=at,
        group_size=4,
    )


def _registered(subject_id: UUID, at: datetime, kind: PartyKind = PartyKind.GROUP) -> RegistrationMade:
    return RegistrationMade(
        occurred_at=at,
        registration_id=subject_id,
        party_id=uuid4(),
        party_kind=kind,
        seat_count=3,
        registered_count=3,
        offered_count=0,
        waiting_count=0,
    )


def _came(subject_id: UUID, at: datetime) -> VisitorsCheckedIn:
    return VisitorsCheckedIn(occurred_at=at, registration_id=subject_id, visitor_count=3, attended_count=3)


# By owner: what is told of a subject in its order, and which steps that is.
_TOLD: dict[str, tuple[tuple[Callable[[UUID, datetime], Any], ...], set[str]]] = {
    "stage-matching": ((_applied, _confirmed), {"OFFERED", "ADMITTED"}),
    "platform-scheduling": ((_approved,), {"OFFERED"}),
    "events": ((_registered, _came), {"OFFERED"}),
}
_FACTS = {
    "stage-matching": "stage-matching.offers.v1",
    "platform-scheduling": "platform-scheduling.platforms.v1",
    "events": "events.sessions.v1",
}


async def consumed(lake: Runtime, topic: str, message: Any) -> None:
    """A message of a topic is handled."""
    await heard(lake, links.CONSUMES[topic].handlers[type(message)], message)


@pytest.mark.parametrize("owner", _TOLD)
async def test_attached_before_between_and_after(lake: Runtime, owner: str) -> None:
    """The same steps, told once and again, days later too; the day is that of the first telling."""
    made, expected = _TOLD[owner]
    now = datetime.now(UTC)
    for place in range(len(made) + 1):
        case_id, subject_id = await told(lake, report_body()), uuid4()
        linked = CaseLinked(occurred_at=now, aggregate_id=subject_id, case_code=await code_of(lake, case_id))
        messages = [make(subject_id, now) for make in made]
        messages.insert(place, linked)
        for message in [*messages, linked, *(make(subject_id, now + timedelta(days=3)) for make in made)]:
            links_or_facts = f"{owner}.case-links.v1" if message is linked else _FACTS[owner]
            await consumed(lake, links_or_facts, message)
        assert await kinds(lake, case_id) == expected
        async with lake.database.transaction() as tx:
            days = await tx.fetch_all("SELECT DISTINCT happened_on FROM case_step WHERE case_id = :id", id=case_id)
        assert [row.happened_on for row in days] == [now.astimezone(PARIS).date()]
        unlinked = CaseUnlinked(occurred_at=now, aggregate_id=subject_id)
        await consumed(lake, f"{owner}.case-links.v1", unlinked)
        assert await kinds(lake, case_id) == set()


async def test_what_is_no_step(lake: Runtime) -> None:
    """An application that ended otherwise stays admitted, or not; an event's own booking and a family's visit are followed by nobody."""
    now = datetime.now(UTC)
    for reason, expected in (
        (ApplicationEndReason.AGREEMENT_CANCELLED, {"OFFERED"}),
        (ApplicationEndReason.WITHDRAWN, {"OFFERED", "ADMITTED"}),
    ):
        case_id, subject_id = await told(lake, report_body()), uuid4()
        linked = CaseLinked(occurred_at=now, aggregate_id=subject_id, case_code=await code_of(lake, case_id))
        await consumed(lake, "stage-matching.case-links.v1", linked)
        for message in (
            _applied(subject_id, now),
            _confirmed(subject_id, now),
            _cancelled(subject_id, now, reason),
        ):
            await consumed(lake, _FACTS["stage-matching"], message)
        assert await kinds(lake, case_id) == expected
    booking_id, registration_id = uuid4(), uuid4()
    await consumed(lake, _FACTS["platform-scheduling"], _approved(booking_id, now, BookingOrigin.EVENT))
    await consumed(lake, _FACTS["events"], _registered(registration_id, now, PartyKind.INDIVIDUAL))
    await consumed(lake, _FACTS["events"], _came(registration_id, now))
    async with lake.database.transaction() as tx:
        ids = [booking_id, registration_id]
        assert await tx.fetch_all("SELECT 1 FROM followed_subject WHERE subject_id = ANY(:ids)", ids=ids) == []
