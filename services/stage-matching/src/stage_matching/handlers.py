"""One function per command on offers, applications and agreements: lock, settle, decide, save."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from common.failures import Refusal
from common.sweepers import Sweeper
from common.transaction import Transaction
from stage_matching import agreement_store, agreements, claims, domain, notices, requests, store
from stage_matching.agreements import Role
from stage_matching.messages import RefusalReason
from stage_matching.requests import Wish
from stage_matching.state import WAITING, Application, Decision, Description, Offer, Policy, Seeker
from territory.working_time import PARIS

NOT_FOUND = Refusal("not_found", "Cette offre, cette candidature ou cette convention n’existe pas.")
NOT_YOURS = Refusal("not_yours", "Elle appartient à quelqu’un d’autre.")
NO_REQUEST = Refusal("no_request", "Dites d’abord qui vous êtes et ce que vous cherchez.")

Rule = Callable[[Offer, Policy, datetime], Decision]


@dataclass(frozen=True)
class Acting:
    """Who acts for a seeker: the seeker, by their account, or the school of a pupil, by its UAI."""

    account: str | None = None
    uai: str | None = None


ApplicationRule = Callable[[Offer, Application, Policy, datetime], Decision]


# -- the host's side


async def describe_offer(
    tx: Transaction, host_id: UUID, offer_id: UUID, description: Description, seats: Mapping[str, int]
) -> Refusal | None:
    """A host publishes, changes or suspends one of its offers."""
    await store.insert_offer(tx, offer_id, host_id, description)
    offer = await store.lock_offer(tx, offer_id)
    assert offer is not None
    if offer.host_id != host_id:
        return NOT_YOURS
    decision = await _decide(tx, offer, lambda settled, _, now: domain.describe(settled, description, seats, now))
    return decision.refusal


async def suspend_offer(tx: Transaction, host_id: UUID, offer_id: UUID, *, suspended: bool) -> Refusal | None:
    """A host takes an offer out of sight for a while, or shows it again."""
    offer = await store.lock_offer(tx, offer_id)
    if offer is None:
        return NOT_FOUND
    if offer.host_id != host_id:
        return NOT_YOURS

    def rule(settled: Offer, _: Policy, now: datetime) -> Decision:
        seats = {week: known.seats_count for week, known in settled.weeks.items()}
        return domain.describe(settled, replace(settled.description, suspended=suspended), seats, now)

    return (await _decide(tx, offer, rule)).refusal


async def see(tx: Transaction, host_id: UUID, application_id: UUID) -> Refusal | None:
    """The host opens an application."""
    return await _on_received(tx, host_id, application_id, lambda offer, one, _, now: domain.see(offer, one, now))


async def accept(tx: Transaction, host_id: UUID, application_id: UUID) -> Refusal | None:
    """The host says yes."""
    return await _on_received(tx, host_id, application_id, domain.accept)


async def refuse(tx: Transaction, host_id: UUID, application_id: UUID, reason: RefusalReason) -> Refusal | None:
    """The host says no."""
    return await _on_received(
        tx, host_id, application_id, lambda offer, one, _, now: domain.refuse(offer, one, reason, now)
    )


# -- the seeker's side


async def file_request(tx: Transaction, account: str, contact_email: str | None, wish: Wish) -> UUID:
    """A seeker tells what they look for."""
    return await requests.file(tx, await store.lock_seeker(tx, account=account, contact_email=contact_email), wish)


async def apply(
    tx: Transaction, account: str, offer_id: UUID, iso_weeks: tuple[str, ...], letter: str | None
) -> Refusal | UUID:
    """A seeker applies for an offer: the id of the application."""
    seeker_id = await store.lock_seeker(tx, account=account)
    request = await store.request_of(tx, seeker_id)
    if request is None:
        return NO_REQUEST
    offer = await store.lock_offer(tx, offer_id)
    if offer is None or offer.version == 0:
        return NOT_FOUND
    if (unreachable := await claims.why_unreachable(tx, offer.host_id)) is not None:
        return unreachable
    live, confirmed = await store.live_of_seeker(tx, seeker_id, await tx.now())
    seeker = Seeker(seeker_id, request.audience, request.age, request.commune_code)
    decision = await _decide(
        tx,
        offer,
        lambda settled, policy, now: domain.submit(
            settled, seeker, iso_weeks, live_of_seeker=live, confirmed_weeks=confirmed, policy=policy, now=now
        ),
    )
    if decision.refusal is not None:
        return decision.refusal
    application_id = decision.notes["application_id"]
    assert isinstance(application_id, UUID)
    if letter:
        await store.set_letter(tx, application_id, letter)
    return application_id


async def withdraw(tx: Transaction, who: Acting, application_id: UUID) -> Refusal | None:
    """The seeker takes an application back."""
    one = await _of_seeker(tx, who, application_id)
    if isinstance(one, Refusal):
        return one
    return await _on_application(tx, one, None, lambda offer, known, _, now: domain.withdraw(offer, known, now))


async def confirm(tx: Transaction, who: Acting, application_id: UUID) -> Refusal | None:
    """The seeker says yes: the others for these weeks are released and the agreement is drawn up, in one transaction."""
    one = await _of_seeker(tx, who, application_id)
    if isinstance(one, Refusal):
        return one
    # The seeker's lock keeps their applications from growing while the offers are locked by ascending id.
    _, taken = await store.live_of_seeker(tx, one.seeker_id, await tx.now())
    if taken & set(one.iso_weeks) and one.state == "accepted":
        return Refusal("already_confirmed", "Un stage est déjà confirmé pour une de ces semaines.")
    offers = await store.lock_offers(tx, [one.offer_id, *await store.overlapping(tx, one)])
    decision = await _decide_on(
        tx, offers.pop(one.offer_id), one, lambda offer, known, _, now: domain.confirm(offer, known, now)
    )
    if decision.refusal is not None:
        return decision.refusal
    await store.confirm_weeks(tx, one)
    for other in offers.values():
        await _decide(tx, other, lambda settled, _, now: _release_overlapping(settled, one, now))
    request = await store.request_of(tx, one.seeker_id)
    policy = await store.policy_at(tx, await tx.now())
    await agreement_store.draw_up(tx, one, agreements.parties_of(request.age, policy.minor_age))
    return None


def _release_overlapping(offer: Offer, confirmed: Application, now: datetime) -> Decision:
    decision = Decision(offer)
    for one in offer.applications:
        if one.seeker_id == confirmed.seeker_id and set(one.iso_weeks) & set(confirmed.iso_weeks):
            decision = domain.release(decision.offer, one, now).then(decision.messages)
    return decision


# -- agreements


async def act_on_agreement(
    tx: Transaction,
    agreement_id: UUID,
    role: Role,
    action: Literal["sign", "validate", "interrupt", "cancel"],
    party_id: str | UUID | None,
) -> Refusal | None:
    """A party signs, validates, interrupts or cancels. `party_id` is the host's or seeker's id, or the school's UAI."""
    found = await agreement_store.find(tx, agreement_id)
    if found is None:
        return NOT_FOUND
    if party_id is not None and party_id not in found.parties_by_id[role]:
        return NOT_YOURS
    one = await store.find_application(tx, found.application_id)
    assert one is not None
    # Cancelling frees the seat, so the locks are those of an application: seeker, offer, then the agreement.
    await store.lock_seeker_id(tx, one.seeker_id)
    offer = await store.lock_offer(tx, one.offer_id)
    agreement = await agreement_store.lock(tx, agreement_id)
    assert offer is not None
    now = await tx.now()
    today = now.astimezone(PARIS).date()
    agreement, told, _ = agreements.settle(agreement, now)
    match action:
        case "sign":
            agreement, more, refusal = agreements.sign(agreement, role, now)
        case "validate":
            agreement, more, refusal = agreements.validate(agreement, role, now)
        case "interrupt":
            agreement, more, refusal = agreements.end(agreement, role, "interrupted", today, now)
        case _:
            agreement, more, refusal = agreements.end(agreement, role, "cancelled", today, now)
    await agreement_store.save(tx, agreement, (*told, *more))
    if refusal is None and agreement.state == "cancelled":
        await store.free_weeks(tx, one.application_id)
        await _decide_on(tx, offer, one, lambda locked, known, _, at: domain.cancel(locked, known, at))
    return refusal


# -- sweepers


async def _complete(tx: Transaction, agreement_id: UUID) -> None:
    """Ends a validated agreement whose last day has ended."""
    settled, messages, _ = agreements.settle(await agreement_store.lock(tx, agreement_id), await tx.now())
    await agreement_store.save(tx, settled, messages)


async def _settle(tx: Transaction, offer_id: UUID) -> None:
    offer = await store.lock_offer(tx, offer_id)
    assert offer is not None
    await _decide(tx, offer, lambda settled, _, __: Decision(settled))


async def _offers_of_suspended(tx: Transaction, after: UUID, limit: int) -> list[UUID]:
    rows = await tx.fetch_all(
        """SELECT DISTINCT a.offer_id FROM application a JOIN offer o USING (offer_id) JOIN host h USING (host_id)
           WHERE h.suspended_reason IS NOT NULL AND a.state IN ('submitted', 'seen') AND a.offer_id > :after
           ORDER BY a.offer_id LIMIT :limit""",
        after=after,
        limit=limit,
    )
    return [row.offer_id for row in rows]


async def _release_of_suspended(tx: Transaction, offer_id: UUID) -> None:
    """Whoever waits for the answer of a suspended host waits no longer; their mail says where to look."""
    offer = await store.lock_offer(tx, offer_id)
    assert offer is not None
    if offer.host_suspended:
        await _decide(tx, offer, lambda settled, _, now: _give_back_all(settled, now))


def _give_back_all(offer: Offer, now: datetime) -> Decision:
    decision = Decision(offer)
    for one in offer.applications:
        if one.state in WAITING:
            decision = domain.give_back(decision.offer, one, now).then(decision.messages)
    return decision


# Nothing that reads or decides depends on their having run.
settle_due = Sweeper("settle_due", store.offers_due, _settle)
complete_due = Sweeper("complete_due", agreement_store.agreements_due, _complete)
release_of_suspended = Sweeper("release_of_suspended", _offers_of_suspended, _release_of_suspended)


# -- the lines around every rule


async def _of_seeker(tx: Transaction, who: Acting, application_id: UUID) -> Application | Refusal:
    """An application of whom the caller may act for, that seeker locked."""
    seeker_id = await store.lock_seeker(tx, account=who.account) if who.account is not None else None
    one = await store.find_application(tx, application_id)
    if one is None:
        return NOT_FOUND
    if seeker_id is None:
        await store.lock_seeker_id(tx, one.seeker_id)
        if await store.school_of_application(tx, application_id) != who.uai:
            return NOT_YOURS
        return await store.find_application(tx, application_id) or one
    return one if one.seeker_id == seeker_id else NOT_YOURS


async def _on_received(tx: Transaction, host_id: UUID, application_id: UUID, rule: ApplicationRule) -> Refusal | None:
    one = await store.find_application(tx, application_id)
    return NOT_FOUND if one is None else await _on_application(tx, one, host_id, rule)


async def _on_application(
    tx: Transaction, one: Application, host_id: UUID | None, rule: ApplicationRule
) -> Refusal | None:
    offer = await store.lock_offer(tx, one.offer_id)
    assert offer is not None
    if host_id is not None and offer.host_id != host_id:
        return NOT_YOURS
    return (await _decide_on(tx, offer, one, rule)).refusal


async def _decide_on(tx: Transaction, offer: Offer, one: Application, rule: ApplicationRule) -> Decision:
    """Decides on an application of an offer that is locked; what `one` said before the lock may be over since."""
    known = await store.find_application(tx, one.application_id)
    assert known is not None

    def on_it(settled: Offer, policy: Policy, now: datetime) -> Decision:
        # Of those that had ended before the lock, none is loaded with the offer.
        live = {each.application_id: each for each in settled.applications}
        return rule(settled, live.get(known.application_id, known), policy, now)

    return await _decide(tx, offer, on_it)


async def _decide(tx: Transaction, offer: Offer, rule: Rule) -> Decision:
    """Settles what time made due, decides, saves both, writes to whom it concerns."""
    now = await tx.now()
    policy = await store.policy_at(tx, now)
    settled = domain.settle(offer, now)
    decision = await store.save(tx, offer, rule(settled.offer, policy, now).then(settled.messages))
    await notices.follow(tx, decision)
    return decision
