"""What somebody changes of a café: what its households and whoever plans it are told, once; and what no longer changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest

from common.failures import Refusal
from common.runtime import Runtime
from common.testing import Query, accepting, set_clock
from parents_cafes import personal_data, season_handlers, venue_store
from parents_cafes.bodies import VenueBody
from parents_cafes.state import Coordinator
from tests.integration.cafes import (
    AGENCY,
    SERVICE,
    Cafes,
    cafe_body,
    cafe_row,
    days_before,
    filled,
    first_day,
    mails_of,
    opened,
    planned,
    registered,
    registration_of,
    reviewed,
    states_of,
)
from tests.integration.forms import logged_in, problem_on
from tests.integration.test_cafes_pages import persona
from waiting_list.rules import PARIS

# The agency of the other tests plans its own cafés; this one helps everywhere.
CHIEF = replace(AGENCY, may_all=True)
MINE, OTHER = Coordinator("mine", "mine@example.org"), Coordinator("other", "other@example.org")


async def given_to(runtime: Runtime, who: Coordinator, *cafe_ids: UUID) -> None:
    """The agency's cafés are a coordinator's."""
    async with runtime.database.transaction() as tx:
        coordinator_id = await venue_store.coordinator_for(tx, who)
        await tx.execute(
            "UPDATE cafe SET coordinator_id = :who WHERE cafe_id = ANY(:ids)", who=coordinator_id, ids=list(cafe_ids)
        )


async def called_off(runtime: Runtime, who: Coordinator, cafe_id: UUID) -> Refusal | None:
    """A café is called off, and whoever does it has seen what would break."""
    async with runtime.database.transaction() as tx:
        refusal: Refusal | None = await accepting(tx, partial(season_handlers.call_off, tx, who, cafe_id))
        return refusal


async def described(runtime: Runtime, who: Coordinator, venue_id: UUID, **more: Any) -> Refusal | None:
    """A venue is as `opened` makes it, but for what is said; whoever does it has seen what would break."""
    body = {"title": "Médiathèque", "kind": "ASSOCIATION", "commune_code": "76540", "capacity_count": 100, **more}
    venue = VenueBody.model_validate(body).venue(venue_id)
    async with runtime.database.transaction() as tx:
        refusal: Refusal | None = await accepting(tx, partial(season_handlers.describe_venue, tx, who, venue))
        return refusal


# -- whoever plans a café


async def test_whose_cafe_the_agency_changes_reads_what_and_what_they_can_do(cafes_runtime: Runtime) -> None:
    """Opened, changed, called off: one mail each, with what it was; nothing when nothing changes, and nothing of one's own acts."""
    cafe_id = await opened(cafes_runtime, open_it=False)
    await given_to(cafes_runtime, MINE, cafe_id)
    async with cafes_runtime.database.transaction() as tx:
        assert await season_handlers.open_cafe(tx, CHIEF, cafe_id) is None
    await registered(cafes_runtime, cafe_id, "family")
    row = await cafe_row(cafes_runtime, cafe_id)
    body = cafe_body(row.venue_id, row.facilitator_id, on=1, hour=17, theme="TRADES", capacity_count=12)
    for _ in range(2):
        assert await planned(cafes_runtime, cafe_id, body, who=CHIEF) is None
    own = {**body, "theme": "STEREOTYPES"}
    assert await planned(cafes_runtime, cafe_id, own, who=MINE) is None
    async with cafes_runtime.database.transaction() as tx:
        new_id = uuid4()
        assert await season_handlers.describe_facilitator(tx, CHIEF, new_id, "Relais", "relais@example.org") is None
    assert await planned(cafes_runtime, cafe_id, own | {"facilitator_id": str(new_id)}, who=CHIEF) is None
    for _ in range(2):
        assert await called_off(cafes_runtime, CHIEF, cafe_id) is None
    (opening, changed, replaced, gone) = await mails_of(cafes_runtime, "mine")
    assert opening[0] == "Un café que vous suivez est ouvert" and "Les inscriptions sont ouvertes." in opening[1]
    assert changed[0] == "Un café que vous suivez change"
    for said in (
        "L’agence l’a décidé",
        "Thème : Les métiers et ceux qui les font (jusqu’ici : Accompagner son adolescent)",
        "Quand : ",
        "Places du café : 12 (jusqu’ici : 20)",
        "Les familles inscrites sont prévenues",
        f"/saison/cafes/{cafe_id}",
    ):
        assert said in changed[1], changed[1]
    assert "Quelqu’un d’autre" not in changed[1] and "Où :" not in changed[1] and "family" not in changed[1]
    assert "Quelqu’un d’autre l’anime." in replaced[1] and "Relais" not in replaced[1] and "Quand" not in replaced[1]
    assert gone[0] == "Un café que vous suivez est annulé" and "/saison/cafes/nouveau" in gone[1]
    assert [subject for subject, _ in await mails_of(cafes_runtime, "agency")] == []


async def test_whose_venue_somebody_else_changes_reads_it_once(cafes_runtime: Runtime) -> None:
    """A venue of several coordinators' cafés: one mail to each but who did it; a second word for the same thing is none."""
    ids = [await opened(cafes_runtime, on=n) for n in range(4)]
    venue_id = (await cafe_row(cafes_runtime, ids[0])).venue_id
    async with cafes_runtime.database.transaction() as tx:
        await tx.execute("UPDATE cafe SET venue_id = :venue", venue=venue_id)
        keeper_id = await venue_store.coordinator_for(tx, OTHER)
        await tx.execute("UPDATE venue SET keeper_id = :keeper", keeper=keeper_id)
    await given_to(cafes_runtime, MINE, *ids[:2])
    await given_to(cafes_runtime, OTHER, ids[2])
    await registered(cafes_runtime, ids[0], "family")
    for _ in range(2):
        assert await described(cafes_runtime, OTHER, venue_id, accessible=True, capacity_count=12) is None
    assert await described(cafes_runtime, CHIEF, venue_id, capacity_count=12) is None
    smaller, steps = await mails_of(cafes_runtime, "mine")
    assert smaller[0] == "Des cafés que vous suivez changent" and "Qui suit ce lieu l’a décrit autrement" in smaller[1]
    assert smaller[1].count("Places assises du lieu : 12 (jusqu’ici : 100)") == 2
    assert smaller[1].count("Places du café : 12 (jusqu’ici : 20)") == 2
    assert "Les familles inscrites" not in smaller[1], "nothing of theirs is otherwise"
    assert all(f"/saison/cafes/{one}" in smaller[1] for one in ids[:2])
    assert steps[1].count("Accessible en fauteuil : non (jusqu’ici : oui)") == 2
    assert "L’agence l’a décidé" in steps[1] and steps[1].count("Les familles inscrites sont prévenues") == 1
    assert [subject for subject, _ in await mails_of(cafes_runtime, "other")] == ["Un café que vous suivez change"]
    assert [subject for subject, _ in await mails_of(cafes_runtime, "agency")] == ["Un café que vous suivez change"]


async def test_who_is_erased_is_not_written_to(cafes_runtime: Runtime) -> None:
    """A café whose coordinator is nobody any longer is changed like any other."""
    cafe_id = await opened(cafes_runtime)
    await given_to(cafes_runtime, MINE, cafe_id)
    async with cafes_runtime.database.transaction() as tx:
        assert await personal_data.erase_address(tx, "mine@example.org") == 0
    assert await called_off(cafes_runtime, CHIEF, cafe_id) is None
    assert await mails_of(cafes_runtime, "mine") == []


# -- its households


@pytest.mark.parametrize("by", ["venue", "plan"])
async def test_a_place_where_no_wheelchair_gets_in_any_more_is_said(cafes_runtime: Runtime, by: str) -> None:
    """Whether the venue lost its access or the café moved: whoever comes or waits reads it, though the theme changes right after."""
    cafe_id, elsewhere = await opened(cafes_runtime, capacity_count=1), await opened(cafes_runtime, on=9)
    row = await cafe_row(cafes_runtime, cafe_id)
    assert await described(cafes_runtime, AGENCY, row.venue_id, accessible=True) is None
    for who in ("comes", "waits"):
        await registered(cafes_runtime, cafe_id, who)
        await mails_of(cafes_runtime, who)
    venue_id = row.venue_id
    if by == "venue":
        assert await described(cafes_runtime, AGENCY, venue_id) is None
    else:
        venue_id = (await cafe_row(cafes_runtime, elsewhere)).venue_id
    body = cafe_body(venue_id, row.facilitator_id, capacity_count=1)
    for theme in ("SUPPORTING_A_TEENAGER", "TRADES"):
        assert await planned(cafes_runtime, cafe_id, body | {"theme": theme}) is None
    for who, kept in (("comes", "annulez librement"), ("waits", "changez ou annulez")):
        subject, text = (await mails_of(cafes_runtime, who))[-1]
        assert subject == "Lieu plus accessible en fauteuil : café des parents"
        assert "Le lieu de votre café n’est plus accessible en fauteuil" in text and kept in text
        assert "les autres cafés qui ont de la place" in text and "/mon-cafe/" in text
    assert await described(cafes_runtime, AGENCY, venue_id, title="Annexe") is None
    subject, text = (await mails_of(cafes_runtime, "comes"))[-1]
    assert subject.startswith("Jour ou lieu changé") and "Ce lieu n’est pas accessible en fauteuil." in text


async def test_who_is_moved_where_no_wheelchair_gets_in_reads_it(cafes_runtime: Runtime) -> None:
    """The pass goes by distance and room; whoever needs an access has two days to choose another café."""
    source, target = await opened(cafes_runtime), await opened(cafes_runtime, hour=15)
    await filled(cafes_runtime, source, 2, "s")
    await filled(cafes_runtime, target, 8, "t")
    await set_clock(cafes_runtime, days_before(6.9))
    await reviewed(cafes_runtime)
    subject, text = (await mails_of(cafes_runtime, "s-0"))[-1]
    assert subject.startswith("Votre café change de lieu") and "Ce lieu n’est pas accessible en fauteuil." in text


# -- what time has made due


async def test_a_venue_is_described_on_what_is_true_by_now(cafes_runtime: Runtime) -> None:
    """Though no sweeper ran: an offer that lapsed keeps no seat of a smaller venue, and is over even where the change is refused."""
    cafe_id = await opened(cafes_runtime, capacity_count=3)
    venue_id = (await cafe_row(cafes_runtime, cafe_id)).venue_id
    await registered(cafes_runtime, cafe_id, "stays", 1)
    await registered(cafes_runtime, cafe_id, "goes", 2)
    await registered(cafes_runtime, cafe_id, "slow", 2)
    row = await registration_of(cafes_runtime, "goes")
    async with cafes_runtime.database.transaction() as tx:
        assert await season_handlers.cancel_for(tx, AGENCY, row.registration_id) is None
    assert (await states_of(cafes_runtime, cafe_id))["slow"] == "offered"
    await set_clock(cafes_runtime, 3)
    assert await described(cafes_runtime, AGENCY, venue_id, capacity_count=1) is None
    assert (await cafe_row(cafes_runtime, cafe_id)).capacity_count == 1
    assert (await registration_of(cafes_runtime, "slow")).end_reason == "OFFER_EXPIRED"


async def test_a_refusal_writes_what_was_due_and_nothing_else(cafes_runtime: Runtime) -> None:
    """A venue, or a plan, with fewer seats than are taken: whose offer lapsed is out, and the next in line has the seats."""
    cafe_id = await opened(cafes_runtime, capacity_count=3)
    row = await cafe_row(cafes_runtime, cafe_id)
    for who, seats in (("goes", 2), ("stays", 1), ("slow", 2), ("next", 2)):
        await registered(cafes_runtime, cafe_id, who, seats)
    async with cafes_runtime.database.transaction() as tx:
        goes = (await registration_of(cafes_runtime, "goes")).registration_id
        assert await season_handlers.cancel_for(tx, AGENCY, goes) is None
    await set_clock(cafes_runtime, 3)
    refusal = await described(cafes_runtime, AGENCY, row.venue_id, capacity_count=1)
    assert refusal is not None and refusal.facts["taken_count"] == 3
    states = await states_of(cafes_runtime, cafe_id)
    assert (states["slow"], states["next"]) == ("ended", "offered")
    await set_clock(cafes_runtime, 6)
    refusal = await planned(
        cafes_runtime, cafe_id, cafe_body(row.venue_id, row.facilitator_id, theme="TRADES", capacity_count=21)
    )
    assert refusal is not None and refusal.reason == "too_many_seats"
    assert (await states_of(cafes_runtime, cafe_id))["next"] == "ended"
    assert (await cafe_row(cafes_runtime, cafe_id)).theme == "SUPPORTING_A_TEENAGER"


# -- what has begun


async def test_what_has_begun_is_refused_alike_at_both_doors(cafes: Cafes, query: Query) -> None:
    """409 with a reason and the same sentence; the page says it before; who runs it is replaced, and the others find it as it was."""
    somebody = persona()
    async with await cafes.coordinator(sub=somebody["sub"]) as coordinator:
        cafe_id = await cafes.cafe(coordinator, on=23, hour=9)
        other = uuid4()
        person = {"title": "Relais", "email": f"relais-{other.hex[:6]}@example.org"}
        assert (await coordinator.put(f"/v1/facilitators/{other}", json=person)).status_code == 200
        begun = datetime.now(PARIS).replace(second=0, microsecond=0) - timedelta(hours=1)
        hours = {"starts_at": begun.isoformat(), "ends_at": (begun + timedelta(hours=2)).isoformat()}
        await query(
            SERVICE,
            """UPDATE cafe SET state = 'confirmed', review_at = NULL, starts_at = :starts, ends_at = :ends,
                   over_at = :ends WHERE cafe_id = :id""",
            starts=begun,
            ends=begun + timedelta(hours=2),
            id=cafe_id,
        )
        (row,) = await query(SERVICE, "SELECT venue_id, facilitator_id FROM cafe WHERE cafe_id = :id", id=cafe_id)
        body = cafe_body(row.venue_id, row.facilitator_id) | hours
        path = f"/v1/cafes/{cafe_id}"
        for changes in ({"theme": "TRADES"}, cafe_body(row.venue_id, row.facilitator_id, on=24), {"capacity_count": 9}):
            refused = await coordinator.put(path, json=body | changes)
            assert (refused.status_code, refused.json()["reason"]) == (409, "cafe_over"), refused.text
        form = await logged_in(cafes.stack, cafes.url, "/lieux", somebody)
        shown = await form.client.get(f"/saison/cafes/{cafe_id}")
        assert refused.json()["detail"] in shown.text and "Annuler le café" in shown.text
        page = await form.send(
            f"/saison/cafes/{cafe_id}",
            theme="TRADES",
            venue_id=row.venue_id,
            facilitator_id=row.facilitator_id,
            jour=(first_day() + timedelta(days=24)).isoformat(),
            debut="09:00",
            fin="10:30",
            places="20",
        )
        assert page.status_code == 409 and refused.json()["detail"] in problem_on(page)
        replaced = await coordinator.put(path, json=body | {"facilitator_id": str(other)})
        assert replaced.status_code == 200, replaced.text
        (now,) = await query(
            SERVICE, "SELECT theme, starts_at, facilitator_id FROM cafe WHERE cafe_id = :id", id=cafe_id
        )
        assert (now.theme, now.starts_at, now.facilitator_id) == ("SUPPORTING_A_TEENAGER", begun, other)


async def test_a_venue_changes_around_what_has_begun(cafes_runtime: Runtime) -> None:
    """A smaller venue, where no wheelchair gets in any more: whoever is there keeps their seats and is not written to."""
    cafe_id = await opened(cafes_runtime)
    row = await cafe_row(cafes_runtime, cafe_id)
    assert await described(cafes_runtime, AGENCY, row.venue_id, accessible=True) is None
    await filled(cafes_runtime, cafe_id, 8, "n")
    await mails_of(cafes_runtime, "n-0")
    await set_clock(cafes_runtime, days_before(6.9))
    await reviewed(cafes_runtime)
    await set_clock(cafes_runtime, days_before(0) + 0.01)
    told, before = await mails_of(cafes_runtime, "n-0"), await cafe_row(cafes_runtime, cafe_id)
    assert await described(cafes_runtime, AGENCY, row.venue_id, capacity_count=2) is None
    after = await cafe_row(cafes_runtime, cafe_id)
    assert (after.capacity_count, after.taken_count, after.version) == (20, 8, before.version + 1)
    assert await mails_of(cafes_runtime, "n-0") == told


async def test_who_came_early_is_asked_about(cafes_runtime: Runtime) -> None:
    """Checked in before the hour: calling the café off asks about them, too, and they are told."""
    cafe_id = await opened(cafes_runtime)
    await registered(cafes_runtime, cafe_id, "early")
    await set_clock(cafes_runtime, days_before(0.1))
    one = await registration_of(cafes_runtime, "early")
    async with cafes_runtime.database.transaction() as tx:
        assert await season_handlers.check_in(tx, cafe_id, one.registration_id, 1) is None
        shown = await season_handlers.call_off(tx, AGENCY, cafe_id)
        assert shown is not None
        (listed,) = shown.facts["commitments"]
        assert (listed["id"], listed["becomes"]) == (str(one.registration_id), "ends")
    assert await called_off(cafes_runtime, AGENCY, cafe_id) is None
    assert (await mails_of(cafes_runtime, "early"))[-1][0].startswith("Votre café n’a pas lieu")
