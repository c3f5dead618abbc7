"""One function per command on offers, applications and agreements: lock, settle, decide, save."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from common.commitments import Fate, ask
from common.failures import Refusal
from common.sweepers import Sweeper
from common.transaction import Transaction
from stage_matching import agreement_store, agreements, claims, commitments, domain, notices, requests, store, terms
from stage_matching.agreement_store import By
from stage_matching.agreements import Agreement, Role
from stage_matching.messages import AgreementParty, RefusalReason
from stage_matching.requests import Wish
from stage_matching.state import WAITING, Application, Decision, Description, Offer, Policy, Seeker
from stage_matching.terms import Hours
from territory import weeks
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
    display_name: str | None = None


_NOBODY_NAMED = By()
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
    decision = await _decide(
        tx, offer, lambda settled, _, now: _described(settled, description, seats, now, tx.accepted)
    )
    return decision.refusal


def _described(
    offer: Offer, description: Description, seats: Mapping[str, int], now: datetime, accepted: str | None
) -> Decision:
    """Another description, once what it breaks is accepted: who applied for a week that is gone is refused."""
    decision = domain.describe(offer, description, seats, now)
    broken = [] if decision.refusal is not None else commitments.broken(offer, description, seats)
    if refusal := ask([one.commitment for one in broken], accepted):
        return Decision(offer, refusal=refusal)
    for one in broken:
        if one.fate is Fate.ENDS:
            ended = domain.refuse(decision.offer, one.application, RefusalReason.DATES, now)
            decision = ended.then(decision.messages)
    told = {one.application.application_id: one.said for one in broken}
    return replace(decision, notes={**decision.notes, "told": told})


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
            return Refusal("already_confirmed", "Un stage est déjà confirmé pour une de ces semaines.")
        request = await store.request_of(tx, one.seeker_id)
        age = requests.age_in(request, one.iso_weeks[0])
        problem = terms.why_not_hours(hours, terms.limit_for(age, policy.hours))
        if problem is not None:
            return Refusal("hours", f"L’organisme doit d’abord changer les horaires de son offre. {problem}")
    decision = await _decide_on(tx, confirmed, one, lambda offer, known, _, now: domain.confirm(offer, known, now))
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


# -- agreements


async def act_on_agreement(
    tx: Transaction,
    agreement_id: UUID,
    role: Role,
    action: Literal["sign", "validate", "interrupt", "cancel"],
    party_id: str | UUID | None,
    by: By = _NOBODY_NAMED,
    *,
    seen_sha256: str | None = None,
    paper_of: Role | None = None,
) -> Refusal | None:
    """A party signs, records a signature on paper, validates, interrupts or cancels. `party_id` is as whom the caller acts."""
    locked = await _lock_agreement(tx, agreement_id, role, party_id)
    if isinstance(locked, Refusal):
        return locked
    one, offer, agreement = locked
    now = await tx.now()
    today = now.astimezone(PARIS).date()
    agreement, told, _ = agreements.settle(agreement, now)
    match action:
        case "sign":
            if paper_of is not None and (refusal := await _why_not_paper(tx, agreement, paper_of)) is not None:
                return refusal
            agreement, more, refusal = agreements.sign(
                agreement, role, now, reason=by.reason, seen_sha256=seen_sha256, paper_of=paper_of
            )
        case "validate":
            agreement, more, refusal = agreements.validate(
                agreement, role, now, reason=by.reason, seen_sha256=seen_sha256
            )
        case "interrupt":
            agreement, more, refusal = agreements.end(agreement, role, "interrupted", today, now, by.reason)
        case _:
            agreement, more, refusal = agreements.end(agreement, role, "cancelled", today, now)
    await agreement_store.save(tx, agreement, (*told, *more))
    if more:
        party = agreement.party_of(paper_of or role)
        assert party is not None
        await agreement_store.record(tx, agreement, action, party.value, by)
    if refusal is None and agreement.state == "interrupted":
        # Who left, or was sent home, may find another host for the weeks to come.
        await store.free_weeks(tx, one.application_id, weeks.following(today))
    if refusal is None and agreement.state == "cancelled":
        await store.free_weeks(tx, one.application_id)
        await _decide_on(tx, offer, one, lambda locked, known, _, at: domain.cancel(locked, known, at))
    return refusal


async def change_terms(
    tx: Transaction,
    agreement_id: UUID,
    role: Role,
    party_id: str | UUID,
    wanted: Mapping[str, Any],
    acted_by: str = "",
) -> Refusal | None:
    """The host, or whoever accompanies, proposes other terms: a new version, every signature falls, each party is asked again."""
    locked = await _lock_agreement(tx, agreement_id, role, party_id)
    if isinstance(locked, Refusal):
        return locked
    one, _, agreement = locked
    now = await tx.now()
    before = await agreement_store.terms_of(tx, agreement)
    after = terms.changed_by(before, wanted)
    policy = await store.policy_at(tx, now)
    if "hours" in wanted:
        age = before.age_below - 1 if before.age_below is not None else policy.minor_age
        problem = terms.why_not_hours(after.placement.hours, terms.limit_for(age, policy.hours))
        if any(each.weekday > before.ends_on.isoweekday() for each in after.placement.hours):
            problem = problem or f"Le stage finit un {terms.DAYS_FR[before.ends_on.weekday()]}."
        if problem is not None:
            return Refusal("hours", problem)
    agreement, told, _ = agreements.settle(agreement, now)
    changed, refusal = agreements.change_terms(agreement, role, after.sha256, now)
    if refusal is not None or changed == agreement:
        await agreement_store.save(tx, agreement, told)
        return refusal
    if after.placement.hours != before.placement.hours and not await store.move_hours(tx, one, after.placement.hours):
        return Refusal("already_confirmed", "Un autre stage est déjà confirmé à ces heures.")
    await agreement_store.keep_terms(tx, changed, after, made_by=acted_by or role)
    await agreement_store.save(tx, changed, (*told, agreement_store.drafted(changed, one, now)))
    await notices.write_of_changed_terms(tx, changed, before, after)
    return None


async def _lock_agreement(
    tx: Transaction, agreement_id: UUID, role: Role, party_id: str | UUID | None
) -> tuple[Application, Offer, Agreement] | Refusal:
    """An agreement that the caller may act on, in the order of everybody's locks."""
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
    assert offer is not None
    return one, offer, await agreement_store.lock(tx, agreement_id)


async def write_to_guardian(tx: Transaction, agreement_id: UUID, role: Role, party_id: str | UUID) -> Refusal | None:
    """A party asks that the guardian be written to again: to their own address and to no other, once a day."""
    locked = await _lock_agreement(tx, agreement_id, role, party_id)
    if isinstance(locked, Refusal):
        return locked
    _, _, agreement = locked
    known = (await agreement_store.terms_of(tx, agreement)).party("GUARDIAN")
    if known is None or known.email is None:
        return Refusal(
            "no_guardian_address", "Aucune adresse n’est connue : l’établissement recueille la signature sur papier."
        )
    if AgreementParty.GUARDIAN not in agreement.missing or agreement.state != "drafted":
        return Refusal("agreement_state", "Cette convention n’attend pas la signature du parent.")
    await notices.write_to_guardian(tx, agreement, known.email, on=(await tx.now()).date())
    return None


async def _why_not_paper(tx: Transaction, agreement: Agreement, paper_of: Role) -> Refusal | None:
    """Paper stands for whom no account and no link can stand for."""
    if paper_of == "guardian":
        return None
    one = await store.find_application(tx, agreement.application_id)
    assert one is not None
    row = await tx.fetch_one("SELECT account FROM seeker WHERE seeker_id = :id", id=one.seeker_id)
    if paper_of == "seeker" and row is not None and row.account is None:
        return None
    return Refusal("signs_here", "Cette personne a un compte : elle signe elle-même.")


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
