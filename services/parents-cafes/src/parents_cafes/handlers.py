"""One function per command on registrations: lock, settle, decide, save, and give seats that came back to those in line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from uuid import UUID

from common.failures import Refusal
from common.sweepers import Sweeper
from common.transaction import Transaction
from parents_cafes import domain, household_store, notices, season_store, store
from parents_cafes.state import Ask, Cafe, Decision, Policy, Registration
from waiting_list.rules import serve_line
from waiting_list.store import claim

NOT_FOUND = Refusal("not_found", "Ce café ou cette inscription n’existe pas.")
LINK_IS_OVER = Refusal(
    "not_found", "Ce lien n’est plus valable : demandez une place à nouveau, un autre mail part aussitôt."
)


Rule = Callable[[Cafe, Policy, datetime], Decision]
OnRegistration = Callable[[Cafe, Registration, Policy, datetime], Decision]


@dataclass(frozen=True)
class Registered:
    """What became of a request: the household, and its registration; `refusal` when its address is verified and it has no place."""

    household_id: UUID
    cafe_id: UUID
    registration: Registration | None = None
    refusal: Refusal | None = None


# -- asking, then verifying


async def ask(
    tx: Transaction, cafe_id: UUID, email: str, title: str | None, seat_count: int, *, wait: bool
) -> Refusal | UUID:
    """Somebody asks for a café: a link goes to the address; nothing is taken, and nothing is said of who has which address."""
    (row,) = await season_store.cafes(tx, await tx.now(), cafe_ids=[cafe_id]) or (None,)
    if row is None or row.state == "planned":
        return NOT_FOUND
    now = await tx.now()
    policy = await store.policy_at(tx, now)
    # Whoever comes first in the period may ask before everybody may: their address says so later.
    if (closed := domain.why_closed(store.cafe_of(row), 1, now)) is not None:
        return closed
    if (refusal := domain.too_many(seat_count, policy)) is not None:
        return refusal
    if await household_store.requests_of_the_day(tx, email, now) >= policy.requests_per_day_max:
        detail = "Cette adresse a déjà reçu plusieurs liens aujourd’hui : regardez vos mails, et les indésirables."
        return Refusal("too_many_requests", detail, {"max": policy.requests_per_day_max})
    request_id = await household_store.file_request(
        tx,
        cafe_id=cafe_id,
        email=email,
        title=title,
        seat_count=seat_count,
        wait=wait,
        hours=policy.request_hours,
    )
    await notices.verify(tx, request_id, email, row, policy)
    return request_id


async def confirm(tx: Transaction, request_id: UUID, *, wait: bool | None = None) -> Refusal | Registered:
    """The link was followed, so the address is verified: the household takes its seats, waits, or learns why not."""
    request = await household_store.lock_request(tx, request_id)
    now = await tx.now()
    if request is None or (request.household_id is None and request.expires_at <= now):
        return LINK_IS_OVER
    if request.household_id is None:
        household_id = await household_store.household_for(tx, request.email, request.title)
        await household_store.close_request(tx, request_id, household_id)
    elif await household_store.lock_household(tx, request.household_id) is None:
        return LINK_IS_OVER
    else:
        household_id = request.household_id
        # A mail that is opened again shows what became of it, and asks for nothing anew.
        if await household_store.has_registered_since(tx, household_id, request.asked_at):
            return Registered(household_id, request.cafe_id)
    wait = request.wait if wait is None else wait
    return await register(tx, household_id, request.cafe_id, request.seat_count, wait=wait)


# -- a household


async def register(
    tx: Transaction, household_id: UUID, cafe_id: UUID, seat_count: int, *, wait: bool
) -> Refusal | Registered:
    """A household asks for seats in a café; one that has them already is told so, as who clicks twice should be."""
    if await household_store.lock_household(tx, household_id) is None:
        return NOT_FOUND
    # What time ended elsewhere, settled or not, is not to stand in its way.
    lapsed = await household_store.lapsed_elsewhere(tx, household_id, cafe_id, await tx.now())
    locked = await store.lock_cafes(tx, cafe_id, *lapsed, holder_id=household_id)
    if locked is None:
        return NOT_FOUND
    now = await tx.now()
    policy = await store.policy_at(tx, now)
    for key in lapsed:
        await settled(tx, locked[key], policy, now)
    cafe = locked[cafe_id]
    mine = next((one for one in cafe.registrations if one.holder_id == household_id), None)
    if mine is not None:
        # The second click of the same hand.
        cafe = await settled(tx, cafe, policy, now)
        here = cafe.known(mine.registration_id)
        if here is not None and here.state != "ended":
            return Registered(household_id, cafe_id, here)
    conduct = await household_store.conduct_of(tx, household_id, cafe.period, policy, now)
    asked = Ask(household_id, seat_count, wait)
    decision = await decide(tx, cafe, lambda c, p, at: domain.register(c, asked, conduct, p, at))
    return Registered(household_id, cafe_id, decision.registration, decision.refusal)


async def accept(tx: Transaction, household_id: UUID, registration_id: UUID) -> Refusal | None:
    """A household takes the seats that it was offered."""
    return await _of_household(tx, household_id, registration_id, lambda c, one, _, now: domain.accept(c, one, now))


async def keep(tx: Transaction, household_id: UUID, registration_id: UUID) -> Refusal | None:
    """A household that a merge moved says that it comes."""
    return await _of_household(tx, household_id, registration_id, lambda c, one, _, now: domain.keep(c, one, now))


async def cancel(tx: Transaction, household_id: UUID, registration_id: UUID, *, warned: bool) -> Refusal | None:
    """A household gives a registration, an offer or a place in line up."""
    return await _of_household(
        tx,
        household_id,
        registration_id,
        lambda c, one, policy, now: domain.cancel(c, one, "household", policy, now, warned=warned),
    )


async def resize(tx: Transaction, household_id: UUID, registration_id: UUID, seat_count: int) -> Refusal | None:
    """One parent more, or one fewer."""
    return await _of_household(
        tx,
        household_id,
        registration_id,
        lambda c, one, policy, now: domain.resize(c, one, seat_count, policy, now),
    )


async def change(
    tx: Transaction, household_id: UUID, registration_id: UUID, cafe_id: UUID, *, warned: bool
) -> Refusal | None:
    """A household goes to another café of the period: both are locked, ids ascending; who waits for what it leaves is served."""
    if not await _is_of_household(tx, household_id, registration_id):
        return NOT_FOUND
    found = await store.lock_pair(tx, registration_id, cafe_id)
    if found is None:
        return NOT_FOUND
    if found[0].cafe_id == found[1].cafe_id:
        return Refusal("same_cafe", "Vous êtes déjà inscrit à ce café.")
    now = await tx.now()
    policy = await store.policy_at(tx, now)
    source, target = [await settled(tx, one, policy, now) for one in found]
    one = source.known(registration_id)
    assert one is not None
    left, received = domain.change(source, one, target, policy, now, warned=warned)
    if left.refusal is not None:
        return left.refusal
    if left.registration is not None:
        # It ended here and begins there, and is never twice in the period.
        left = await store.save(tx, source, left, policy)
        await store.save(tx, target, received, policy)
    else:
        # First where the row goes, so that each sum is of the rows that are there.
        await store.save(tx, target, received, policy)
        left = await store.save(tx, source, left, policy)
    await serve(tx, left.cafe, policy, now)
    return None


async def leave_all(tx: Transaction, household_id: UUID) -> None:
    """A household, which is locked, gives up all that it has of cafés to come; they are locked first, ids ascending."""
    now = await tx.now()
    rows = await household_store.registrations(tx, household_id=household_id)
    to_come = [row for row in rows if row.state in ("waiting", "offered", "registered") and row.starts_at > now]
    locked = await store.lock_cafes(tx, *(row.cafe_id for row in to_come), holder_id=household_id)
    assert locked is not None
    for row in to_come:
        store.holding(locked[row.cafe_id], row.registration_id)
    for row in sorted(to_come, key=lambda row: row.cafe_id):
        await decide_on(
            tx,
            locked[row.cafe_id],
            row.registration_id,
            lambda c, one, policy, at: domain.cancel(c, one, "household", policy, at, warned=True),
        )


async def _is_of_household(tx: Transaction, household_id: UUID, registration_id: UUID) -> bool:
    if await household_store.lock_household(tx, household_id) is None:
        return False
    row = await household_store.find_registration(tx, registration_id)
    return row is not None and row.holder_id == household_id


async def _of_household(
    tx: Transaction, household_id: UUID, registration_id: UUID, rule: OnRegistration
) -> Refusal | None:
    if not await _is_of_household(tx, household_id, registration_id):
        return NOT_FOUND
    return await on_registration(tx, registration_id, rule)


# -- sweepers


async def _settle(tx: Transaction, cafe_id: UUID) -> None:
    cafe = await store.lock_cafe(tx, cafe_id)
    assert cafe is not None
    now = await tx.now()
    policy = await store.policy_at(tx, now)
    await settled(tx, cafe, policy, now)


async def _of_no_more_use(tx: Transaction, after: UUID, limit: int) -> list[UUID]:
    now = await tx.now()
    return await household_store.of_no_more_use(tx, await store.policy_at(tx, now), now, after, limit)


async def _forget(tx: Transaction, household_id: UUID) -> None:
    now = await tx.now()
    await household_store.forget(tx, await store.policy_at(tx, now), now, household_id)


# Nothing that reads or decides depends on their having run; the pass has its own way.
settle_due = Sweeper("settle_due", store.CAFES.due, _settle)
# Whether somebody waits beside free seats, whatever has happened: there should be nobody.
heal = Sweeper("heal", store.CAFES.with_free_seats_and_a_line, _settle)
# Addresses that are of no more use are gone by themselves.
forget_requests = Sweeper("forget_requests", household_store.never_verified, household_store.forget_request)
forget_households = Sweeper("forget_households", _of_no_more_use, _forget)


# -- the lines around every rule


async def on_registration(tx: Transaction, registration_id: UUID, rule: OnRegistration) -> Refusal | None:
    """Applies a rule to one registration, whose café is locked and settled first."""
    cafe = await store.lock_cafe_with(tx, registration_id)
    return NOT_FOUND if cafe is None else await decide_on(tx, cafe, registration_id, rule)


async def decide_on(tx: Transaction, cafe: Cafe, registration_id: UUID, rule: OnRegistration) -> Refusal | None:
    """The same for a café that is locked with this registration in it."""

    def with_it(locked: Cafe, policy: Policy, now: datetime) -> Decision:
        one = locked.known(registration_id)
        assert one is not None
        return rule(locked, one, policy, now)

    return (await decide(tx, cafe, with_it)).refusal


async def decide(tx: Transaction, cafe: Cafe, rule: Rule) -> Decision:
    """Settles what time made due, decides, saves; then those in line get what has become free."""
    now = await tx.now()
    policy = await store.policy_at(tx, now)
    cafe = await settled(tx, cafe, policy, now)
    decision = await store.save(tx, cafe, rule(cafe, policy, now), policy)
    return replace(decision, cafe=await serve(tx, decision.cafe, policy, now))


async def settled(tx: Transaction, cafe: Cafe, policy: Policy, now: datetime) -> Cafe:
    """A café, which is locked, with what time made due, saved, and its free seats given to those in line."""
    cafe = (await store.save(tx, cafe, domain.settle(cafe, now), policy)).cafe
    cafe = await serve(tx, cafe, policy, now)
    over_at = domain.over_at(cafe, policy)
    if over_at is not None and over_at <= now:
        cafe = (await store.save(tx, cafe, domain.hold(cafe, policy), policy)).cafe
    return cafe


async def serve(tx: Transaction, cafe: Cafe, policy: Policy, now: datetime) -> Cafe:
    """Offers what is free to those in line, in order; who has a pending offer elsewhere is passed over until it is answered."""
    until = policy.terms.offer_until(cafe.plan.starts_at, now)
    if until is None:
        return cafe

    async def give(at: Cafe, one: Registration) -> Cafe | None:
        if not await claim(tx, one.registration_id, until):
            return None
        at = replace(at, registrations=(*at.registrations, one))
        return (await store.save(tx, at, domain.offer(at, one, until, now), policy)).cafe

    line = partial(store.line, tx, cafe.cafe_id)
    return await serve_line(cafe, lambda at: domain.seats_to_give(at, policy, now), line, give)
