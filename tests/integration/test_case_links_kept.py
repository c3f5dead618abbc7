"""How long an owner keeps the code of a case that is attached to something of its own; who is erased, and what a restore brings back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import permutations
from uuid import UUID, uuid4

import pytest

from common import case_links
from common.codes import new_code
from common.failures import Refusal
from common.generated import CaseLinked, CaseUnlinked
from common.reconcile import Aggregates
from common.runtime import Runtime
from common.sweepers import Sweeper
from common.testing import FreshRuntime, set_clock, swept
from common.transaction import Transaction
from events import handlers as event_handlers
from events import personal_data as registrants
from events import restate as event_restate
from events.handlers import Registered
from platform_scheduling import handlers as platform_handlers
from platform_scheduling import personal_data as requesters
from platform_scheduling import restate as platform_restate
from remediation_seats import handlers as seat_handlers
from stage_matching import agreement_handlers, hosts
from stage_matching import handlers as stage_handlers
from stage_matching import personal_data as seekers
from stage_matching import restate as stage_restate
from stage_matching.bodies import HostBody, OfferBody, RequestBody
from tests.integration import events as events_module
from tests.integration import platforms as platforms_module
from tests.integration.events import SCHOOL
from tests.integration.restating import restated
from tests.integration.stages import LATER, offer_body, request_body, siret
from tests.integration.test_case_links import admitted_hold


async def _a_hold(runtime: Runtime, code: str) -> UUID:
    return (await admitted_hold(runtime, code))[0]


async def _an_application(runtime: Runtime, code: str) -> UUID:
    host_id, offer_id = uuid4(), uuid4()
    facts = {"host_name": "H", "siret": siret(), "kind": "COMPANY", "commune_code": "76540"}
    offer = OfferBody.model_validate(offer_body({LATER: 1}))
    async with runtime.database.transaction() as tx:
        await hosts.describe(tx, host_id, HostBody.model_validate(facts).identity(), None)
        wish = RequestBody.model_validate(request_body(iso_weeks=[LATER], age=18, uai=SCHOOL)).wish()
        await stage_handlers.file_request(tx, "leaves", "leaves@example.org", wish)
        await stage_handlers.describe_offer(tx, host_id, offer_id, offer.description(), offer.seats)
        one = await stage_handlers.apply(tx, "leaves", offer_id, (LATER,), None)
        assert isinstance(one, UUID)
        assert await stage_handlers.accept(tx, host_id, one) is None
        assert await stage_handlers.confirm(tx, stage_handlers.Acting(account="leaves"), one) is None
        assert await agreement_handlers.attach_case(tx, SCHOOL, one, code) is None
    return one


async def _a_booking(runtime: Runtime, code: str) -> UUID:
    _, platform_id = await platforms_module.prepared(runtime)
    made = await platforms_module.booked_by(runtime, platform_id, "leaves", 20)
    assert not isinstance(made, Refusal)
    async with runtime.database.transaction() as tx:
        assert await platform_handlers.attach_case(tx, "leaves", made.booking_id, code) is None
    booking_id: UUID = made.booking_id
    return booking_id


async def _a_group(runtime: Runtime, code: str) -> UUID:
    event_id, (session_id,) = await events_module.prepared(runtime, {"days": 20})
    made = await events_module.registered(runtime, event_id, [session_id], "leaves", 3, group=True)
    assert isinstance(made, Registered)
    registration_id = made.registrations[session_id].registration_id
    async with runtime.database.transaction() as tx:
        assert await event_handlers.attach_case(tx, made.party_id, registration_id, case_code=code) is None
    return registration_id


@dataclass(frozen=True)
class Owner:
    """A service whose things may have a case."""

    package: str
    made: Callable[[Runtime, str], Awaitable[UUID]]
    sweepers: tuple[Sweeper, ...]
    # Days from now after which the thing is over.
    over_days: int
    aggregates: tuple[Aggregates, ...] = ()
    erase: Callable[[Transaction, str], Awaitable[int | None]] | None = None

    @property
    def topic(self) -> str:
        """Of its links."""
        return f"{self.package.replace('_', '-')}.case-links.v1"


OWNERS = (
    Owner("remediation_seats", _a_hold, (seat_handlers.settle_due, seat_handlers.forget_case_codes), 0),
    Owner(
        "stage_matching",
        _an_application,
        (agreement_handlers.forget_case_codes,),
        75,
        stage_restate.AGGREGATES,
        seekers.erase_seeker,
    ),
    Owner(
        "platform_scheduling",
        _a_booking,
        (platform_handlers.settle_due, platform_handlers.forget_case_codes),
        21,
        platform_restate.AGGREGATES,
        requesters.erase_requester,
    ),
    Owner(
        "events",
        _a_group,
        (event_handlers.forget_case_codes,),
        21,
        event_restate.AGGREGATES,
        registrants.erase_address,
    ),
)
of_each_owner = pytest.mark.parametrize("owner", OWNERS, ids=lambda owner: owner.package)
of_those_who_erase = pytest.mark.parametrize("owner", OWNERS[1:], ids=lambda owner: owner.package)


async def kept(runtime: Runtime, subject_id: UUID) -> str | None:
    """The code that a database has."""
    async with runtime.database.transaction() as tx:
        return (await case_links.codes_of(tx, [subject_id])).get(subject_id)


async def told_of(runtime: Runtime, topic: str) -> list[str]:
    """Records that were told of links."""
    async with runtime.database.transaction() as tx:
        rows = await tx.fetch_all("SELECT record FROM outbox WHERE topic = :topic ORDER BY id", topic=topic)
    return [row.record.rsplit(".", 1)[1] for row in rows]


@of_each_owner
async def test_a_code_is_forgotten_a_year_after_its_subject(fresh_runtime: FreshRuntime, owner: Owner) -> None:
    """Not a day before, and nobody is told; what is attached anew afterwards is kept for as long again."""
    async with fresh_runtime(owner.package, development=True) as runtime:
        code = new_code()
        subject_id = await owner.made(runtime, code)
        # Attached all the while: of what is over later than it was attached, a year is counted from there.
        for days in (owner.over_days, 340 if owner.over_days < 15 else 370):
            await set_clock(runtime, days)
            await swept(runtime, *owner.sweepers)
            assert await kept(runtime, subject_id) == code
        await set_clock(runtime, owner.over_days + 370)
        await swept(runtime, *owner.sweepers)
        assert await kept(runtime, subject_id) is None
        assert await told_of(runtime, owner.topic) == ["CaseLinked"]
        async with runtime.database.transaction() as tx:
            await case_links.attach(tx, subject_id, code)
        await set_clock(runtime, owner.over_days + 730)
        await swept(runtime, *owner.sweepers)
        assert await kept(runtime, subject_id) == code
        async with runtime.database.transaction() as tx:
            rows = await tx.fetch_all(
                "SELECT aggregate_version FROM outbox WHERE topic = :topic ORDER BY id", topic=owner.topic
            )
        assert [row.aggregate_version for row in rows] == [1, 2]


@of_those_who_erase
async def test_whoever_is_erased_has_no_code_left(fresh_runtime: FreshRuntime, owner: Owner) -> None:
    """A young person's case is detached, which the observatory is told; of a professional, the code of somebody else is forgotten."""
    async with fresh_runtime(owner.package, development=True) as runtime:
        subject_id = await owner.made(runtime, new_code())
        person = "leaves@example.org"
        async with runtime.database.transaction() as tx:
            assert owner.erase is not None
            assert await owner.erase(tx, person)
        assert await kept(runtime, subject_id) is None
        expected = ["CaseLinked", "CaseUnlinked"] if owner.package == "stage_matching" else ["CaseLinked"]
        assert await told_of(runtime, owner.topic) == expected


@of_those_who_erase
async def test_a_link_that_the_database_forgot(fresh_runtime: FreshRuntime, owner: Owner) -> None:
    """It comes back from the log; one that was detached later does not."""
    now = datetime.now(UTC)
    async with fresh_runtime(owner.package, development=True) as runtime:
        for order in permutations((38, 39)):
            subject_id = uuid4()
            linked = CaseLinked(
                occurred_at=now, aggregate_id=subject_id, aggregate_version=order[0], case_code="23456789AB"
            )
            unlinked = CaseUnlinked(occurred_at=now, aggregate_id=subject_id, aggregate_version=order[1])
            back = order[0] > order[1]
            records = await restated(runtime, owner.aggregates, owner.topic, subject_id, linked, unlinked)
            assert records == [("CaseLinked" if back else "CaseUnlinked", 41)]
            assert await kept(runtime, subject_id) == ("23456789AB" if back else None)
