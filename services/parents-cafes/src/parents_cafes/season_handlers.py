"""One function per command on a season: venues, facilitators, cafés planned, opened, called off; the pass, reminders, who came."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from uuid import UUID

from common.commitments import Commitment, Fate, ask
from common.failures import Refusal
from common.sweepers import NIL, Sweeper
from common.transaction import Transaction
from parents_cafes import (
    commitments,
    domain,
    handlers,
    household_store,
    notices,
    season,
    season_store,
    store,
    venue_store,
)
from parents_cafes.commitments import Change
from parents_cafes.messages import CafeCancellationReason
from parents_cafes.season import Verdict
from parents_cafes.state import Cafe, Coordinator, Decision, Period, Plan, Policy, Venue
from territory import reference
from waiting_list.rules import PARIS

NOT_YOURS = Refusal("not_yours", "Ce café, ce lieu ou cette personne est suivi par quelqu’un d’autre.")
NO_VENUE = Refusal("not_found", "Ce lieu n’existe pas : décrivez-le d’abord.")
NO_FACILITATOR = Refusal("not_found", "Cette personne n’est pas parmi celles qui animent : décrivez-la d’abord.")


# -- venues and facilitators


async def describe_venue(tx: Transaction, who: Coordinator, venue: Venue) -> Refusal | None:
    """Writes a venue; cafés to come in it are told anew where they are, and so is who plans them. What has begun keeps its seats."""
    known = await venue_store.keeper_of(tx, "venue", venue.venue_id)
    keeper_id = await venue_store.coordinator_for(tx, who)
    if known not in (None, keeper_id) and not who.may_all:
        return NOT_YOURS
    there = await venue_store.cafes_at(tx, venue.venue_id) if known is not None else []
    locked = await store.lock_cafes(tx, *there) or {}
    now = await tx.now()
    policy = await store.policy_at(tx, now)
    settled = [await handlers.settled(tx, one, policy, now) for one in locked.values()]
    planned: list[tuple[Cafe, Plan, list[Commitment]]] = []
    for cafe in settled:
        if not cafe.stands or cafe.plan.venue.venue_id != venue.venue_id or cafe.plan.venue == venue:
            continue
        seats = cafe.plan.capacity_count
        if not cafe.has_begun(now):
            seats = min(seats, venue.capacity_count)
        if cafe.counts.taken > seats:
            detail = f"Un café de ce lieu a {cafe.counts.taken} places prises : déplacez-le d’abord."
            return Refusal("seats_taken", detail, {"cafe_id": str(cafe.cafe_id), "taken_count": cafe.counts.taken})
        plan = replace(cafe.plan, venue=venue, capacity_count=seats)
        changes = commitments.by_plan(cafe.plan, plan, Change.VENUE_SMALLER)
        planned.append((cafe, plan, await commitments.registrations(tx, cafe, changes, now)))
    if refusal := ask([one for _, _, broken in planned for one in broken], tx.accepted):
        return refusal
    if not await venue_store.save_venue(tx, venue, known or keeper_id):
        return NOT_YOURS
    told = [(cafe, await _rewritten(tx, cafe, plan, broken, policy, now)) for cafe, plan, broken in planned]
    await notices.tell_coordinators(tx, who, told)
    return None


async def _rewritten(
    tx: Transaction, cafe: Cafe, plan: Plan, broken: list[Commitment], policy: Policy, now: datetime
) -> Cafe:
    """A café whose venue is another: it is told anew, and so is everybody in it; who no longer fits waits no more."""
    told = replace(cafe, plan=plan, revision=cafe.revision + 1)
    if plan.capacity_count != cafe.plan.capacity_count:
        assert await store.move_cafe(tx, told)
    saved = await store.save(tx, cafe, Decision(told, (season.described(told, policy, now),)), policy)
    if not cafe.has_begun(now):
        await _owe_the_change(tx, cafe, saved.cafe, policy, now)
    await _end_outgrown(tx, cafe.cafe_id, broken)
    return saved.cafe


async def _owe_the_change(tx: Transaction, before: Cafe, after: Cafe, policy: Policy, now: datetime) -> None:
    """Who comes, and who runs it, are told what is otherwise for them."""
    if word := season.word_of(before.plan, after.plan):
        await store.owe_the_change(tx, after, word, policy, now)
    await notices.tell_facilitator(tx, before, after)


async def _end_outgrown(tx: Transaction, cafe_id: UUID, broken: list[Commitment]) -> None:
    """Ends the places in line of households that no longer fit, and says why."""
    for one in broken:
        if one.becomes is Fate.ENDS:
            await handlers.on_registration(tx, one.id, lambda c, each, _, now: domain.outgrow(c, each, now))
            await store.owe(tx, one.id, "outgrown")


async def describe_facilitator(
    tx: Transaction, who: Coordinator, facilitator_id: UUID, title: str, email: str
) -> Refusal | None:
    """Writes who runs exchanges."""
    keeper_id = await venue_store.coordinator_for(tx, who)
    known = await venue_store.keeper_of(tx, "facilitator", facilitator_id)
    if known not in (None, keeper_id) and not who.may_all:
        return NOT_YOURS
    saved = await venue_store.save_facilitator(tx, facilitator_id, known or keeper_id, title, email)
    return None if saved else NOT_YOURS


# -- cafés


async def plan_cafe(tx: Transaction, who: Coordinator, cafe_id: UUID, plan: Plan) -> Refusal | None:
    """Plans a café, or changes one. Two at once in one venue, or run by one person, are refused by a constraint."""
    coordinator_id = await venue_store.coordinator_for(tx, who)
    if await venue_store.find_facilitator(tx, plan.facilitator_id) is None:
        return NO_FACILITATOR
    cafe = await store.lock_cafe(tx, cafe_id)
    if cafe is not None and cafe.coordinator_id != coordinator_id and not who.may_all:
        return NOT_YOURS
    now = await tx.now()
    policy = await store.policy_at(tx, now)
    if cafe is not None:
        cafe = await handlers.settled(tx, cafe, policy, now)
    before = cafe or Cafe(
        cafe_id, coordinator_id, plan, policy.period_at(plan.starts_at.astimezone(PARIS).date()), "planned"
    )
    decision = season.describe(before, plan, policy, now)
    if decision.refusal is not None or not decision.messages:
        return decision.refusal
    broken = await commitments.registrations(tx, before, commitments.by_plan(before.plan, plan), now)
    if refusal := ask(broken, tx.accepted):
        return refusal
    written = await (store.insert_cafe if cafe is None else store.move_cafe)(tx, decision.cafe)
    if not written:
        taken = await store.who_is_taken(tx, decision.cafe)
        return taken or Refusal(
            "venue_taken", "Quelqu’un vient de prendre ce lieu, cette personne ou ce café : recommencez."
        )
    saved = await store.save(tx, before, decision, policy)
    if cafe is not None:
        await _owe_the_change(tx, cafe, saved.cafe, policy, now)
        await notices.tell_coordinators(tx, who, [(cafe, saved.cafe)])
    await _end_outgrown(tx, cafe_id, broken)
    again = await store.lock_cafe(tx, cafe_id)
    assert again is not None
    await handlers.serve(tx, again, policy, now)
    return None


async def open_cafe(tx: Transaction, who: Coordinator, cafe_id: UUID) -> Refusal | None:
    """Opens registrations; households near that found no place before are written to, and come first."""
    cafe = await _lock_mine(tx, who, cafe_id)
    if isinstance(cafe, Refusal):
        return cafe
    now = await tx.now()
    policy = await store.policy_at(tx, now)
    home = cafe.plan.venue.commune_code
    near = [
        row
        for row in await household_store.awaited(tx, cafe.period)
        if reference.km_between(home, row.commune_code) <= policy.near_km
    ]
    decision = await store.save(tx, cafe, season.open_(cafe, policy, now, awaited=bool(near)), policy)
    if decision.messages:
        for row in near:
            await notices.invite(tx, row, decision.cafe)
        await notices.tell_coordinators(tx, who, [(cafe, decision.cafe)])
    return decision.refusal


async def call_off(tx: Transaction, who: Coordinator, cafe_id: UUID) -> Refusal | None:
    """The coordinator calls a café off; every household is told once, and comes first next time."""
    cafe = await _lock_mine(tx, who, cafe_id)
    if isinstance(cafe, Refusal):
        return cafe
    now = await tx.now()
    decision = season.call_off(cafe, CafeCancellationReason.CANCELLED_BY_COORDINATOR, now)
    if decision.refusal is not None or not decision.messages:
        return decision.refusal
    broken = await commitments.registrations(tx, cafe, lambda _: [Change.CANCELLED], now)
    if refusal := ask(broken, tx.accepted):
        return refusal
    saved = await store.save(tx, cafe, decision, await store.policy_at(tx, now))
    await notices.tell_facilitator(tx, cafe, saved.cafe)
    await notices.tell_coordinators(tx, who, [(cafe, saved.cafe)])
    return None


async def cancel_for(tx: Transaction, who: Coordinator, registration_id: UUID) -> Refusal | None:
    """The coordinator cancels for a household that phoned."""
    # Whose café it is is asked under the lock: a household may have gone to another's meanwhile.
    cafe = await store.lock_cafe_with(tx, registration_id)
    if cafe is None:
        return handlers.NOT_FOUND
    if not await _is_mine(tx, who, cafe):
        return NOT_YOURS
    return await handlers.decide_on(
        tx, cafe, registration_id, lambda c, one, policy, now: domain.cancel(c, one, "coordinator", policy, now)
    )


# -- the day itself


async def check_in(tx: Transaction, cafe_id: UUID, registration_id: UUID, visitor_count: int) -> Refusal | None:
    """Who runs a café, which the caller has looked up as theirs, says how many of a household are there."""
    cafe = await store.lock_cafe_with(tx, registration_id)
    if cafe is None or cafe.cafe_id != cafe_id:
        return handlers.NOT_FOUND
    return await handlers.decide_on(
        tx, cafe, registration_id, lambda c, one, policy, now: domain.check_in(c, one, visitor_count, policy, now)
    )


# -- the pass


async def _review(tx: Transaction, found: tuple[date, UUID]) -> bool:
    """The pass looks at one café, with the one that may receive its households; True when it has to look again."""
    _, cafe_id = found
    await season_store.lock_pass(tx)
    now = await tx.now()
    policy = await store.policy_at(tx, now)
    (row,) = await season_store.cafes(tx, now, cafe_ids=[cafe_id])
    if row.review_at is None or row.review_at > now:
        return False
    expected = await _verdict(tx, season_store.with_seats(row), policy, now)
    # Both are locked, ids ascending.
    ids = [cafe_id, *([expected.into_id] if expected.into_id is not None else [])]
    locked = await store.lock_cafes(tx, *ids)
    assert locked is not None
    now = await tx.now()
    settled = {key: await handlers.settled(tx, one, policy, now) for key, one in locked.items()}
    if settled[cafe_id].review_at is None:
        return False
    if await _verdict(tx, settled[cafe_id], policy, now) != expected:
        # Somebody was faster, or what was settled changes it: these locks are given back with the transaction.
        return True
    await _carry_out(tx, expected, settled, cafe_id, policy, now)
    return False


review_due = Sweeper("review_due", season_store.next_to_review, _review, first=(date.min, NIL))


async def _verdict(tx: Transaction, cafe: Cafe, policy: Policy, now: datetime) -> Verdict:
    return season.review(cafe, await season_store.candidates(tx, cafe, now), policy, now)


async def _carry_out(
    tx: Transaction, verdict: Verdict, locked: dict[UUID, Cafe], cafe_id: UUID, policy: Policy, now: datetime
) -> None:
    cafe = locked[cafe_id]
    match verdict.kind:
        case "confirm":
            await store.save(tx, cafe, season.confirm(cafe), policy)
        case "later":
            await store.save(tx, cafe, season.postpone(cafe, now), policy)
        case "cancel":
            gone = season.call_off(cafe, CafeCancellationReason.UNDER_MINIMUM, now)
            await store.save(tx, cafe, gone, policy)
            await notices.write_to_coordinator(tx, cafe, None, verdict.km)
        case "merge":
            assert verdict.into_id is not None
            target = locked[verdict.into_id]
            households = await store.live_registrations(tx, cafe_id)
            gone, received = season.merge(cafe, households, target, policy, now)
            # First where the rows go, so that each sum is of the rows that are there.
            saved = await store.save(tx, target, received, policy)
            await store.save(tx, cafe, gone, policy)
            await handlers.serve(tx, saved.cafe, policy, now)
            await notices.write_to_coordinator(tx, cafe, target, verdict.km)


async def forecast(tx: Transaction, period: Period, policy: Policy, now: datetime) -> dict[UUID, Verdict]:
    """What the pass would make of each open café of a period as it stands now; nothing is decided."""
    cafes = [season_store.with_seats(row) for row in await season_store.cafes(tx, now, period=period)]
    return season.forecast(cafes, reference.km_between, policy, now)


# -- reminders


_SOON = "reminded_at IS NULL AND state IN ('open', 'confirmed') AND starts_at > :now AND starts_at <= :until"


async def _reminded_until(tx: Transaction, now: datetime) -> datetime:
    return now + timedelta(hours=(await store.policy_at(tx, now)).reminder_hours)


async def _soon(tx: Transaction, after: UUID, limit: int) -> list[UUID]:
    now = await tx.now()
    rows = await tx.fetch_all(
        f"SELECT cafe_id FROM cafe WHERE {_SOON} AND cafe_id > :after ORDER BY cafe_id LIMIT :limit",
        now=now,
        until=await _reminded_until(tx, now),
        after=after,
        limit=limit,
    )
    return [row.cafe_id for row in rows]


async def _remind(tx: Transaction, cafe_id: UUID) -> None:
    """Some days before, each household is reminded once, and who runs the exchange gets the list."""
    now = await tx.now()
    if await tx.execute(
        f"UPDATE cafe SET reminded_at = :now WHERE cafe_id = :id AND {_SOON}",
        id=cafe_id,
        now=now,
        until=await _reminded_until(tx, now),
    ):
        await tx.execute(
            "UPDATE registration SET owed = COALESCE(owed, 'reminder') WHERE cafe_id = :id AND state = 'registered'",
            id=cafe_id,
        )
        await notices.write_to_facilitator(tx, cafe_id, now)


remind = Sweeper("remind", _soon, _remind)


# -- the lines around every rule


async def _lock_mine(tx: Transaction, who: Coordinator, cafe_id: UUID) -> Cafe | Refusal:
    """A café of theirs, locked and settled."""
    cafe = await store.lock_cafe(tx, cafe_id)
    if cafe is None:
        return handlers.NOT_FOUND
    if not await _is_mine(tx, who, cafe):
        return NOT_YOURS
    now = await tx.now()
    return await handlers.settled(tx, cafe, await store.policy_at(tx, now), now)


async def _is_mine(tx: Transaction, who: Coordinator, cafe: Cafe) -> bool:
    return who.may_all or (await venue_store.find_coordinator(tx, cafe.coordinator_id)).account == who.account
