"""One function per command on offers and applications: lock, settle, decide, save."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from common.commitments import Fate, ask
from common.failures import Moved, Refusal
from common.sweepers import Sweeper
from common.transaction import Transaction
from stage_matching import (
    agreement_store,
    campaigns,
    claims,
    commitments,
    domain,
    hosts,
    notices,
    requests,
    store,
    terms,
)
from stage_matching.commitments import Broken, Change
from stage_matching.messages import RefusalReason, SuspensionReason
from stage_matching.requests import Wish
from stage_matching.state import Application, Decision, Description, Offer, Policy
from stage_matching.terms import Hours

NOT_FOUND = Refusal("not_found", "Cette offre, cette candidature ou cette convention n’existe pas.")
NOT_YOURS = Refusal("not_yours", "Elle appartient à quelqu’un d’autre.")
NO_REQUEST = Refusal("no_request", "Dites d’abord qui vous êtes et ce que vous cherchez.")

Rule = Callable[[Offer, Policy, datetime], Decision]


@dataclass(frozen=True)
class Acting:
    """Who acts for a seeker: the seeker, by their account, or the school of a pupil, by its UAI."""

    account: str | None = None
    uai: str | None = None
    display_name: str | None = None


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
    if refusal := domain.why_not_begun(offer, seats, await tx.now()):
        await store.drop_undescribed(tx, offer_id)
        return refusal
    return await _describe(tx, offer, description, seats)


async def suspend_offer(tx: Transaction, host_id: UUID, offer_id: UUID, *, suspended: bool) -> Refusal | None:
    """A host takes an offer out of sight for a while, or shows it again."""
    offer = await store.lock_offer(tx, offer_id)
    if offer is None:
        return NOT_FOUND
    if offer.host_id != host_id:
        return NOT_YOURS
    seats = {week: known.seats_count for week, known in offer.weeks.items()}
    return await _describe(tx, offer, replace(offer.description, suspended=suspended), seats)


async def _describe(
    tx: Transaction, offer: Offer, description: Description, seats: Mapping[str, int]
) -> Refusal | None:
    """Another description of an offer that is locked, once what it breaks is accepted."""
    seekers = await requests.applicants(tx, offer.offer_id)

    def rule(settled: Offer, policy: Policy, now: datetime) -> Decision:
        decision = domain.describe(settled, description, seats, now)
        if decision.refusal is not None:
            return decision
        broken = commitments.broken(settled, description, seats, seekers, policy)
        refusal = commitments.why_barred(settled, description, broken, policy) or ask(
            [one.commitment for one in broken], tx.accepted
        )
        if refusal is not None:
            return Decision(settled, refusal=refusal)

        def ended(locked: Offer, one: Broken) -> Decision:
            reason = RefusalReason.DATES if Change.WEEK in one.changes else RefusalReason.OTHER
            return domain.refuse(locked, one.application, reason, now)

        return _carried_out(decision, broken, ended)

    return (await _decide(tx, offer, rule)).refusal


def _carried_out(decision: Decision, broken: Sequence[Broken], ended: Callable[[Offer, Broken], Decision]) -> Decision:
    """What a change breaks ends by the rules of an application, and every seeker is told why."""
    for one in broken:
        if one.fate is Fate.ENDS:
            decision = ended(decision.offer, one).then(decision.messages)
    return replace(decision, notes={"told": {one.application.application_id: one.said for one in broken}})


async def suspend_host(tx: Transaction, host_id: UUID) -> Refusal | None:
    """The agency suspends an organisation, once what that breaks is accepted: who waits or is accepted is released, what is
    confirmed is told to its parties, and a campaign that keeps seats there is computed again without them.
    """
    known = await hosts.lock(tx, host_id)
    if known is None:
        return hosts.NOT_REGISTERED
    if known.suspended_reason == SuspensionReason.AGENCY:
        return None
    # The host before its offers, as a table locks them, and campaigns before offers, as a freeze does.
    keeping = await campaigns.keeping_seats_of(tx, host_id)
    offers = await store.lock_offers(tx, await store.offer_ids_of(tx, host_id))
    if await campaigns.keeping_seats_of(tx, host_id) != keeping:
        raise Moved("a campaign was frozen or published meanwhile")
    now = await tx.now()
    settled = [domain.settle(offer, now).offer for offer in offers.values()]
    listed = [one.commitment for offer in settled for one in commitments.by_suspension(offer, Change.HOST, now)]
    listed += [commitments.of_campaign(row.campaign_id, row.title) for row in keeping]
    if refusal := ask(listed, tx.accepted):
        return refusal
    await hosts.suspend(tx, host_id, SuspensionReason.AGENCY)
    for offer in offers.values():
        await _give_back(tx, offer, Change.HOST)
    for row in keeping:
        await campaigns.leave_out(tx, row, host_id)
    return None


async def _give_back(tx: Transaction, offer: Offer, change: Change, *, ended_only: bool = False) -> None:
    """What the suspension of its host ends is released, with a mail that says where to look; what it leaves is told, once."""

    def rule(settled: Offer, _: Policy, now: datetime) -> Decision:
        broken = commitments.by_suspension(settled, change, now)
        concerned = [one for one in broken if not ended_only or one.fate is Fate.ENDS]
        return _carried_out(
            Decision(settled), concerned, lambda locked, one: domain.give_back(locked, one.application, now)
        )

    await _decide(tx, offer, rule)


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


async def file_request(
    tx: Transaction, account: str, contact_email: str | None, wish: Wish, display_name: str | None = None
) -> UUID:
    """A seeker tells what they look for."""
    seeker_id = await store.lock_seeker(tx, account=account, contact_email=contact_email, display_name=display_name)
    return await requests.file(tx, seeker_id, wish)


async def withdraw_request(tx: Transaction, account: str) -> Refusal | None:
    """A seeker looks for nothing any longer; what they wait for is withdrawn first, by them."""
    seeker_id = await store.lock_seeker(tx, account=account)
    live, _ = await store.live_of_seeker(tx, seeker_id, await tx.now())
    if live:
        return Refusal("applications_wait", "Retirez d’abord vos candidatures en cours.", {"live_count": live})
    if await store.request_of(tx, seeker_id) is None:
        return NO_REQUEST
    await requests.withdraw(tx, seeker_id)
    return None


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
    during = terms.presence(iso_weeks, offer.description.placement.hours)
    live, confirmed = await store.live_of_seeker(tx, seeker_id, await tx.now(), during)
    seeker = requests.seeker_of(request, iso_weeks)
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
    offers = await store.lock_offers(tx, [one.offer_id, *await store.overlapping(tx, one)])
    confirmed = offers.pop(one.offer_id)
    hours = confirmed.description.placement.hours
    policy = await store.policy_at(tx, await tx.now())
    if one.state == "accepted":
        _, taken = await store.live_of_seeker(tx, one.seeker_id, await tx.now(), terms.presence(one.iso_weeks, hours))
        if taken & set(one.iso_weeks):
            return Refusal("already_confirmed", "Un stage est déjà confirmé à certaines de ces heures.")
        request = await store.request_of(tx, one.seeker_id)
        age = requests.age_in(request, one.iso_weeks[0])
        problem = terms.why_not_hours(hours, terms.limit_for(age, policy.hours))
        if problem is not None:
            return Refusal("hours", f"L’organisme doit d’abord changer les horaires de son offre. {problem}")
    decision = await decide_on(tx, confirmed, one, lambda offer, known, _, now: domain.confirm(offer, known, now))
    if decision.refusal is not None:
        return decision.refusal
    await store.confirm_weeks(tx, one, hours)
    for other in offers.values():
        await _decide(tx, other, lambda settled, _, now: _release_overlapping(settled, one, hours, now))
    agreement = await agreement_store.draw_up(tx, one, policy, who.display_name)
    await notices.ask_for_signature(tx, agreement, await agreement_store.terms_of(tx, agreement))
    return None


def _release_overlapping(offer: Offer, confirmed: Application, hours: Sequence[Hours], now: datetime) -> Decision:
    """What a seeker waits for at the same moments is released; another part of the week is left to them."""
    decision = Decision(offer)
    if not terms.collide(offer.description.placement.hours, hours):
        return decision
    for one in offer.applications:
        if one.seeker_id == confirmed.seeker_id and set(one.iso_weeks) & set(confirmed.iso_weeks):
            decision = domain.release(decision.offer, one, now).then(decision.messages)
    return decision


# -- sweepers


async def _settle(tx: Transaction, offer_id: UUID) -> None:
    offer = await store.lock_offer(tx, offer_id)
    assert offer is not None
    await _decide(tx, offer, lambda settled, _, __: Decision(settled))


async def _offers_of_suspended(tx: Transaction, after: UUID, limit: int) -> list[UUID]:
    rows = await tx.fetch_all(
        """SELECT DISTINCT a.offer_id FROM application a JOIN offer o USING (offer_id) JOIN host h USING (host_id)
           WHERE (h.suspended_reason IS NOT NULL AND a.state IN ('submitted', 'seen')
                  OR h.suspended_reason = 'AGENCY' AND a.state = 'accepted') AND a.offer_id > :after
           ORDER BY a.offer_id LIMIT :limit""",
        after=after,
        limit=limit,
    )
    return [row.offer_id for row in rows]


async def _release_of_suspended(tx: Transaction, offer_id: UUID) -> None:
    """Whoever waits for the answer of a suspended host waits no longer; nor does whom a campaign gave a seat there meanwhile."""
    offer = await store.lock_offer(tx, offer_id)
    assert offer is not None
    if offer.host_suspended is not None:
        change = Change.HOST if offer.host_suspended == SuspensionReason.AGENCY else Change.SILENCE
        await _give_back(tx, offer, change, ended_only=True)


# Nothing that reads or decides depends on their having run.
settle_due = Sweeper("settle_due", store.offers_due, _settle)
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
    return (await decide_on(tx, offer, one, rule)).refusal


async def decide_on(tx: Transaction, offer: Offer, one: Application, rule: ApplicationRule) -> Decision:
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
