"""Commands on campaigns: open, add pupils, freeze, publish, close, give up; and who is proposed a seat that came back."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any, Literal
from uuid import UUID

from common.failures import Refusal
from common.sweepers import Sweeper
from common.transaction import Transaction
from stage_matching import campaign_store, domain, frozen_store, imports, notices, requests, store
from stage_matching.candidates import host_priority
from stage_matching.matching import choose, lottery
from stage_matching.messages import (
    CampaignCancelled,
    CampaignFrozen,
    CampaignScope,
    RequestEndReason,
    SuspensionReason,
)
from stage_matching.state import Decision
from territory import reference

State = Literal["open", "frozen", "computed", "published", "closed", "cancelled"]
Act = Literal["add", "freeze", "compute", "publish", "close", "give_up"]

# From which states each act is possible; while the job works, none but giving up.
ALLOWED: dict[Act, frozenset[State]] = {
    "add": frozenset({"open"}),
    "freeze": frozenset({"open"}),
    "compute": frozenset({"frozen"}),
    "publish": frozenset({"computed"}),
    "close": frozenset({"published"}),
    "give_up": frozenset({"open", "frozen", "computed"}),
}
STATES_FR: dict[State, str] = {
    "open": "ouverte",
    "frozen": "gelée",
    "computed": "calculée",
    "published": "publiée",
    "closed": "close",
    "cancelled": "abandonnée",
}
NOT_FOUND = Refusal("not_found", "Cette campagne n’existe pas.")
NOT_YOURS = Refusal("not_yours", "Cette campagne est celle d’un autre établissement.")


async def open_campaign(
    tx: Transaction, campaign_id: UUID, *, title: str, scope: CampaignScope, uai: str | None
) -> Refusal | None:
    """Opens a campaign; the lottery's seed is drawn now and bound by its digest, before anybody has wished."""
    now, seed = await tx.now(), secrets.token_hex(16)
    if not await campaign_store.insert(tx, campaign_id, title=title, scope=scope, uai=uai, seed=seed, now=now):
        row = await campaign_store.lock(tx, campaign_id)
        same = (row.title, row.scope, row.uai) == (title, scope.value, uai)
        return None if same else Refusal("campaign_exists", "Une autre campagne porte cet identifiant.")
    row = await campaign_store.lock(tx, campaign_id)
    await campaign_store.save(tx, row, campaign_store.opened(scope, uai, seed, now))
    return None


async def why_not_add(tx: Transaction, campaign_id: UUID, uai: str | None) -> Refusal | None:
    """Why pupils may not be added by whoever acts, if they may not; the campaign is locked."""
    return why_not(await campaign_store.lock(tx, campaign_id), "add", uai)


async def add_pupils(
    tx: Transaction, campaign_id: UUID, uai: str | None, checked: Sequence[imports.Checked], *, replace: bool
) -> Refusal | tuple[list[imports.Checked], list[dict[str, Any]]]:
    """Adds the good lines of a table to a campaign that is still open: the lines with those refused now, and what was replaced.

    A line that would change a pupil whom another table brought needs `replace`.
    """
    refusal = await why_not_add(tx, campaign_id, uai)
    if refusal is not None:
        return refusal
    spans = await campaign_store.spans_of_schools(tx, campaign_id)
    known = await campaign_store.pupils(tx, campaign_id)
    lines, wishes, replaced = list(checked), [], []
    for place, (number, line) in enumerate(checked):
        if isinstance(line, Refusal):
            continue
        wish = line.wish()
        before = known.get((line.uai, line.pupil_code))
        changes = imports.pupil_changes(before, wish) if before else ""
        if (span := spans.get(line.uai, wish.iso_weeks)) != wish.iso_weeks:
            detail = f"semaine : l’établissement {line.uai} part déjà en {span[0]} dans cette campagne"
            lines[place] = number, Refusal("another_span", detail)
        elif changes and not replace:
            detail = f"élève « {line.pupil_code} » d’un autre tableau : {changes} ; si c’est quelqu’un d’autre, donnez-lui un autre code"
            lines[place] = number, Refusal("would_replace", detail)
        elif changes or before is None:
            wishes.append(wish)
            if changes:
                replaced.append({"line": number, "detail": f"élève « {line.pupil_code} » : {changes}"})
    if wishes:
        await campaign_store.add_pupils(tx, campaign_id, wishes)
    return lines, replaced


async def freeze(tx: Transaction, campaign_id: UUID, uai: str | None) -> Refusal | None:
    """Fixes wishes and policy, keeps the free seats within reach, and asks for the computation."""
    row = await campaign_store.lock(tx, campaign_id)
    refusal = why_not(row, "freeze", uai)
    if refusal is not None:
        return refusal
    spans = await campaign_store.spans(tx, campaign_id)
    if not spans:
        return Refusal("no_seekers", "La campagne n’a encore aucun élève : importez un tableau.")
    for (one, _), (other, _) in combinations(spans, 2):
        if set(one) & set(other):
            detail = f"Deux établissements partent en {'-'.join(one)} et {'-'.join(other)} : les périodes d’une campagne ne se chevauchent pas en partie."
            return Refusal("spans_overlap", detail)
    now = await tx.now()
    policy = await store.policy_at(tx, now)
    wanted: Counter[str] = Counter()
    for weeks, count in spans:
        wanted.update(dict.fromkeys(weeks, count))
    reach = {
        code
        for home, km in await campaign_store.homes(tx, campaign_id)
        for _, code in reference.communes_within(home, km)
    }
    offer_count = await frozen_store.keep_seats(tx, campaign_id, reach, wanted, ["PUPIL"], policy.hours)
    message = CampaignFrozen(
        occurred_at=now, seeker_count=sum(count for _, count in spans), offer_count=offer_count, seed=row.seed
    )
    limits = asdict(policy.campaign) | {"underrepresented": dict(policy.campaign.underrepresented)}
    await campaign_store.save(tx, row, message, state="frozen", limits=limits, work="compute", problems=None)
    return None


async def compute(tx: Transaction, campaign_id: UUID, uai: str | None) -> Refusal | None:
    """Asks again for a computation that was stopped or refused."""
    return await _ask(tx, campaign_id, "compute", uai, problems=None)


async def stop_work(tx: Transaction, campaign_id: UUID, uai: str | None) -> Refusal | None:
    """Stops the computation that runs; the campaign stays frozen. A publication that began goes to its end."""
    row = await campaign_store.lock(tx, campaign_id)
    refusal = _not_own(row, uai)
    if refusal is not None:
        return refusal
    if row.work != "compute":
        return Refusal("nothing_runs", "Aucun calcul n’est en cours.")
    await campaign_store.save(
        tx, row, None, work=None, step=None, lease_epoch=row.lease_epoch + 1, lease_expires_at=None
    )
    return None


async def publish(tx: Transaction, campaign_id: UUID, uai: str | None) -> Refusal | None:
    """Publishes a result in which the verifier found no fault: the job gives the seats, lot by lot."""
    return await _ask(tx, campaign_id, "publish", uai, step=None)


async def close(tx: Transaction, campaign_id: UUID, uai: str | None) -> Refusal | None:
    """Ends a published campaign: the job tells each request over; seats that come back from then on are everybody's."""
    return await _ask(tx, campaign_id, "close", uai, step=None)


async def give_up(tx: Transaction, campaign_id: UUID, uai: str | None) -> Refusal | None:
    """Gives a campaign up before its publication; the seats that it kept are free again."""
    row = await campaign_store.lock(tx, campaign_id)
    refusal = why_not(row, "give_up", uai)
    if refusal is not None:
        return refusal
    await frozen_store.let_seats_go(tx, campaign_id)
    await campaign_store.save(
        tx,
        row,
        CampaignCancelled(occurred_at=await tx.now()),
        state="cancelled",
        work=None,
        lease_epoch=row.lease_epoch + 1,
        lease_expires_at=None,
    )
    return None


async def keeping_seats_of(tx: Transaction, host_id: UUID) -> Sequence[Any]:
    """The campaigns that keep seats of a host and are not yet being published, locked by ascending id; before the host's offers."""
    return await tx.fetch_all(
        """SELECT * FROM campaign WHERE state IN ('frozen', 'computed') AND work IS DISTINCT FROM 'publish' AND campaign_id IN (
               SELECT c.campaign_id FROM campaign_offer c JOIN offer o USING (offer_id) WHERE o.host_id = :host_id AND c.seats <> '{}')
           ORDER BY campaign_id FOR UPDATE""",
        host_id=host_id,
    )


async def leave_out(tx: Transaction, row: Any, host_id: UUID) -> None:
    """The agency suspended a host: a campaign, locked, gives back the seats that it keeps there and is computed again without them."""
    offer_count = await frozen_store.let_seats_of_host_go(tx, row.campaign_id, host_id)
    seeker_count = (await campaign_store.find(tx, row.campaign_id)).seeker_count
    message = CampaignFrozen(
        occurred_at=await tx.now(), seeker_count=seeker_count, offer_count=offer_count, seed=row.seed
    )
    # One that its leader has stopped waits for them; what runs is begun again under another lease.
    work = "compute" if row.state == "computed" else row.work
    await campaign_store.save(
        tx,
        row,
        message,
        state="frozen",
        work=work,
        step=None,
        problems=None,
        figures=None,
        lease_epoch=row.lease_epoch + 1,
        lease_expires_at=None,
    )
    await notices.write_to_leader(tx, row)


async def _ask(
    tx: Transaction, campaign_id: UUID, work: Literal["compute", "publish", "close"], uai: str | None, **cleared: None
) -> Refusal | None:
    """Asks the job for work, with what an earlier one left behind cleared."""
    row = await campaign_store.lock(tx, campaign_id)
    refusal = why_not(row, work, uai)
    if refusal is None:
        await campaign_store.save(tx, row, None, work=work, **cleared)
    return refusal


def _not_own(row: Any, uai: str | None) -> Refusal | None:
    """`uai` is the school that acts; None is the agency, which may act on all."""
    if row is None:
        return NOT_FOUND
    return NOT_YOURS if uai is not None and row.uai != uai else None


def why_not(row: Any, act: Act, uai: str | None) -> Refusal | None:
    """Why whoever acts may not do it in the state of a campaign, or while its job works."""
    refusal = _not_own(row, uai)
    if refusal is not None:
        return refusal
    if row.state not in ALLOWED[act]:
        return Refusal("campaign_state", f"La campagne est {STATES_FR[row.state]} : cette action n’est pas possible.")
    if row.work is not None and act != "give_up":
        return Refusal("work_runs", "Un calcul ou une publication est en cours : attendez sa fin.")
    if row.work in ("publish", "close"):
        return Refusal("work_runs", "La publication a commencé : elle va à son terme.")
    return None


# -- seats that came back


# While a campaign is being published, its seats that came back wait for the end.
_FREED = "freed_seat f JOIN campaign c USING (campaign_id) WHERE c.work IS DISTINCT FROM 'publish'"


async def _freed(tx: Transaction, after: UUID, limit: int) -> list[UUID]:
    rows = await tx.fetch_all(
        f"SELECT f.application_id FROM {_FREED} AND f.application_id > :after ORDER BY f.application_id LIMIT :limit",
        after=after,
        limit=limit,
    )
    return [row.application_id for row in rows]


async def _propose_freed(tx: Transaction, application_id: UUID) -> bool:
    """A seat that came back to a published campaign goes to the unconfirmed seeker whom its host prefers among those who
    would rather have it; nobody there, it is everybody's again. True when it has to look again.
    """
    row = await tx.fetch_one(
        f"SELECT f.* FROM {_FREED} AND f.application_id = :id FOR UPDATE OF f SKIP LOCKED", id=application_id
    )
    if row is None:
        return False
    seeker_id = await _next_for(tx, row)
    if seeker_id is not None:
        await store.lock_seeker_id(tx, seeker_id)
    offer = await store.lock_offer(tx, row.offer_id)
    assert offer is not None
    now = await tx.now()
    policy, weeks = await store.policy_at(tx, now), tuple(row.iso_weeks)
    settled = domain.settle(offer, now)
    if offer.host_suspended == SuspensionReason.AGENCY:
        decision = Decision(domain.let_go(settled.offer, dict.fromkeys(weeks, 1)))
    elif seeker_id is not None and await _still_waits(tx, seeker_id, weeks):
        decision = domain.match(settled.offer, seeker_id, row.campaign_id, weeks, policy, now)
    elif seeker_id is not None:
        return True  # they confirmed meanwhile: who is next?
    else:
        decision = Decision(domain.let_go(settled.offer, dict.fromkeys(weeks, 1)))
    await tx.execute("DELETE FROM freed_seat WHERE application_id = :id", id=row.application_id)
    decision = await store.save(tx, offer, decision.then(settled.messages))
    await notices.follow(tx, decision)
    return False


# -- requests of a campaign that was given up


async def _left_behind(tx: Transaction, after: UUID, limit: int) -> list[UUID]:
    rows = await tx.fetch_all(
        """SELECT r.request_id FROM request r JOIN campaign c USING (campaign_id)
           WHERE c.state = 'cancelled' AND r.version > 0 AND r.ended_reason IS NULL AND r.request_id > :after
           ORDER BY r.request_id LIMIT :limit""",
        after=after,
        limit=limit,
    )
    return [row.request_id for row in rows]


async def _end_left_behind(tx: Transaction, request_id: UUID) -> None:
    """What was told of a pupil's wish ends with the campaign that was given up: nobody waits in the market for ever."""
    rows = await tx.fetch_all(
        "SELECT * FROM request WHERE request_id = :id AND ended_reason IS NULL FOR UPDATE", id=request_id
    )
    await requests.end(tx, rows, RequestEndReason.WITHDRAWN, await tx.now())


end_left_behind = Sweeper("end_left_behind", _left_behind, _end_left_behind)
propose_freed = Sweeper("propose_freed", _freed, _propose_freed)


async def _still_waits(tx: Transaction, seeker_id: UUID, weeks: tuple[str, ...]) -> bool:
    _, confirmed = await store.live_of_seeker(tx, seeker_id, await tx.now())
    return not confirmed & set(weeks)


async def _next_for(tx: Transaction, freed: Any) -> UUID | None:
    """Whom the host would choose for a seat, beside those whom the campaign gave it, among the unconfirmed who rank it
    above what they hold and have not given it up before.
    """
    campaign = await campaign_store.find(tx, freed.campaign_id)
    frozen = await tx.fetch_one(
        "SELECT * FROM campaign_offer WHERE campaign_id = :campaign AND offer_id = :offer",
        campaign=freed.campaign_id,
        offer=freed.offer_id,
    )
    if campaign.state != "published" or frozen is None:
        return None
    rows = await tx.fetch_all(
        """SELECT r.*, EXISTS (SELECT 1 FROM application a WHERE a.seeker_id = r.seeker_id AND a.campaign_id = r.campaign_id
                      AND a.offer_id = :offer AND a.state IN ('accepted', 'confirmed')) AS has_it
           FROM request r
           WHERE r.campaign_id = :campaign AND r.ranked_offers @> ARRAY[CAST(:number AS integer)] AND r.iso_weeks = CAST(:weeks AS varchar[])
               AND (EXISTS (SELECT 1 FROM application a WHERE a.seeker_id = r.seeker_id AND a.campaign_id = r.campaign_id
                        AND a.offer_id = :offer AND a.state IN ('accepted', 'confirmed'))
                 OR (NOT EXISTS (SELECT 1 FROM confirmed_week w WHERE w.seeker_id = r.seeker_id AND w.iso_week = ANY(r.iso_weeks))
                    AND NOT EXISTS (SELECT 1 FROM application a WHERE a.seeker_id = r.seeker_id AND a.campaign_id = r.campaign_id AND a.offer_id = :offer)
                    AND NOT EXISTS (SELECT 1 FROM application a JOIN campaign_offer c ON c.campaign_id = a.campaign_id AND c.offer_id = a.offer_id
                        WHERE a.seeker_id = r.seeker_id AND a.campaign_id = r.campaign_id AND a.state = 'accepted' AND a.due_at > :now
                            AND array_position(r.ranked_offers, c.number) < array_position(r.ranked_offers, CAST(:number AS integer)))))""",
        campaign=freed.campaign_id,
        offer=freed.offer_id,
        number=frozen.number,
        weeks=list(freed.iso_weeks),
        now=await tx.now(),
    )
    policy = store.campaign_policy(campaign.limits)
    places = lottery(campaign.seed, [str(row.seeker_id) for row in rows])
    offer = frozen_store.frozen_offer(frozen)
    ranked = []
    for row in rows:
        tier, bits = host_priority(offer, frozen_store.frozen_seeker(row), policy)
        ranked.append((tier, places[str(row.seeker_id)], row, bits))
    ranked.sort(key=lambda one: one[:2])
    held = sum(row.has_it for _, _, row, _ in ranked)
    chosen = choose(range(len(ranked)), held + 1, offer.reserves, lambda n: ranked[n][3])
    return next((ranked[n][2].seeker_id for n in chosen if not ranked[n][2].has_it), None)
