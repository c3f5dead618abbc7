"""The job of a campaign, in a process of its own: computes or publishes under a lease, tells its progress, can be stopped.

Killed at any point, it is begun again by whichever replica finds the lease expired; what it computes is always the same,
and what it publishes is marked offer by offer, so nothing is given twice.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from array import array
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from statistics import fmean
from typing import Any
from uuid import UUID

from common import secrecy
from common.failures import forever
from common.runtime import Runtime
from common.transaction import Transaction
from stage_matching import campaign_store, domain, frozen_store, notices, requests, store
from stage_matching.candidates import Candidates, expand
from stage_matching.explanations import WishOutcome, explain
from stage_matching.frozen import FrozenOffer, FrozenSeeker
from stage_matching.matching import NO_WISH, deferred_acceptance
from stage_matching.messages import CampaignClosed, CampaignComputed, RequestEndReason
from stage_matching.most_served import most_served
from stage_matching.state import Decision
from stage_matching.verifier import Result, verify
from territory import reference

_log = logging.getLogger(__name__)
_POLL_SECONDS, _TELL_SECONDS = 1.0, 1.0
_LOT_COUNT, _OFFERS_PER_LOT = 1000, 100


class Stopped(Exception):
    """The job was cancelled, or another one has its lease."""


async def watch(runtime: Runtime) -> None:
    """In every replica: takes campaigns that have work and runs the job of each in a child process, until cancelled."""

    async def round_() -> bool:
        async with runtime.database.transaction() as tx:
            claimed = await campaign_store.claim(tx)
        if claimed is None:
            return False
        campaign_id, epoch = claimed
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "stage_matching.campaign_process", str(campaign_id), str(epoch), env=dict(os.environ)
        )
        try:
            status = await child.wait()
        except asyncio.CancelledError:
            child.terminate()
            await child.wait()
            raise
        if status != 0:
            _log.warning("the job of campaign %s ended with %d; it is begun again", campaign_id, status)
            await asyncio.sleep(_POLL_SECONDS)
        async with runtime.database.transaction() as tx:
            await campaign_store.give_lease_back(tx, campaign_id, epoch)
        return True

    await forever(round_, seconds=_POLL_SECONDS)


class Job:
    """One campaign's work under one epoch of its lease; every transaction of it ends when the lease is lost."""

    def __init__(self, runtime: Runtime, campaign_id: UUID, epoch: int) -> None:
        self._database = runtime.database
        self._campaign_id, self._epoch = campaign_id, epoch
        self._step, self._done, self._total, self._lost = "", 0, 0, False

    async def run(self) -> None:
        """Does what the campaign asks for. Raises `Stopped`."""
        storing = asyncio.create_task(self._store_progress())
        try:
            async with self._database.transaction() as tx:
                row = await campaign_store.find(tx, self._campaign_id)
            if row.work == "compute":
                await self._compute(row)
            elif row.work == "publish":
                await self._publish()
            elif row.work == "close":
                await self._close(row.seeker_count)
        finally:
            storing.cancel()
            with suppress(asyncio.CancelledError):
                await storing

    # -- progress and lease

    def _begin(self, step: str, total: int) -> Callable[[int], None]:
        """Names a step; the listener that it returns takes what is done, and stops the work once the lease is lost."""
        self._step, self._done, self._total = step, 0, total

        def progress(done: int) -> None:
            self._done = done
            if self._lost:
                raise Stopped

        return progress

    async def _store_progress(self) -> None:
        while not self._lost:
            async with self._database.transaction() as tx:
                self._lost = not await campaign_store.report(
                    tx, self._campaign_id, self._epoch, self._step, self._done, self._total
                )
            await asyncio.sleep(_TELL_SECONDS)

    @asynccontextmanager
    async def _fenced(self) -> AsyncIterator[tuple[Transaction, Any]]:
        """A transaction with the campaign's row locked, if the lease is still ours."""
        async with self._database.transaction() as tx:
            row = await campaign_store.lock(tx, self._campaign_id)
            if row.lease_epoch != self._epoch or row.work is None:
                raise Stopped
            yield tx, row

    # -- computation

    async def _compute(self, row: Any) -> None:
        async with self._database.transaction() as tx:
            offers = await frozen_store.frozen_offers(tx, self._campaign_id)
            known = await frozen_store.seekers(tx, self._campaign_id)
        people, policy = [seeker for _, seeker in known], store.campaign_policy(row.limits)
        await self._announce(len(people))
        progress = self._begin("expand", len(people))
        # In threads, so that progress is told and the lease renewed meanwhile.
        found = await asyncio.to_thread(expand, offers, people, policy, row.seed, progress)
        progress = self._begin("solve", len(people))
        obtained = await asyncio.to_thread(deferred_acceptance, found.instance, progress)
        self._begin("alternative", 0)
        alternative = await asyncio.to_thread(most_served, found.instance)
        self._begin("verify", 0)
        result = _result(offers, people, found, obtained)
        problems = await asyncio.to_thread(verify, offers, people, policy, row.seed, result)
        if problems:
            _log.critical("the verifier refuses the result of campaign %s: %s", self._campaign_id, problems[0])
            async with self._fenced() as (tx, locked):
                await campaign_store.save(tx, locked, None, work=None, step=None, problems=problems)
            return
        await self._store(known, found, obtained)
        figures = figures_of(offers, people, found, obtained) | {
            "most_served": {
                name: value
                for name, value in figures_of(offers, people, found, alternative).items()
                if name in ("served_count", "rank_counts", "mean_km")
            }
        }
        async with self._fenced() as (tx, locked):
            message = CampaignComputed(
                occurred_at=await tx.now(), served_count=figures["served_count"], seeker_count=len(people)
            )
            await campaign_store.save(
                tx, locked, message, state="computed", work=None, step=None, problems=None, figures=figures
            )

    async def _announce(self, count: int) -> None:
        """Tells every request of the campaign, once; what a job before this one told is skipped."""
        progress, done = self._begin("announce", count), 0
        while True:
            async with self._fenced() as (tx, _):
                rows = await tx.fetch_all(
                    "SELECT * FROM request WHERE campaign_id = :id AND version = 0 ORDER BY request_id LIMIT :limit",
                    id=self._campaign_id,
                    limit=_LOT_COUNT,
                )
                now = await tx.now()
                for row in rows:
                    message = requests.filed(row.seeker_id, row.campaign_id, requests.wish_of(row), now)
                    await tx.emit([message], aggregate_id=row.request_id, version=0)
                await tx.execute(
                    "UPDATE request SET version = 1 WHERE request_id = ANY(:ids)", ids=[row.request_id for row in rows]
                )
            done += len(rows)
            progress(done)
            if len(rows) < _LOT_COUNT:
                return

    async def _store(self, known: Sequence[tuple[UUID, FrozenSeeker]], found: Candidates, obtained: array[int]) -> None:
        """Each seeker's list, result and explanation; seen only once the campaign says that it is computed."""
        progress = self._begin("store", len(known))
        outcomes = explain(found, obtained, [len(seeker.wishes) for _, seeker in known])
        instance, rows = found.instance, []
        for index, (request_id, _) in enumerate(known):
            got = obtained[index]
            ranked = range(instance.first[index], instance.first[index + 1])
            rows.append(
                {
                    "request_id": request_id,
                    "ranked": [found.pools[instance.pool[wish]].offer for wish in ranked],
                    "offer": None if got == NO_WISH else found.pools[instance.pool[got]].offer,
                    "wish": None if got == NO_WISH else found.wish_number[got],
                    "explanation": [_shown(outcome) for outcome in next(outcomes)],
                }
            )
            if len(rows) == _LOT_COUNT or index == len(known) - 1:
                async with self._fenced() as (tx, _):
                    await campaign_store.store_results(tx, rows)
                rows = []
                progress(index + 1)

    # -- publication

    async def _publish(self) -> None:
        """Gives the seats, a lot of offers at a time in one transaction each, then says that all are given."""
        async with self._database.transaction() as tx:
            left = await campaign_store.unpublished(tx, self._campaign_id)
        progress = self._begin("publish", len(left))
        for start in range(0, len(left), _OFFERS_PER_LOT):
            async with self._fenced() as (tx, _):
                await self._publish_lot(tx, left[start : start + _OFFERS_PER_LOT])
            progress(min(start + _OFFERS_PER_LOT, len(left)))
        async with self._fenced() as (tx, locked):
            now = await tx.now()
            message = campaign_store.published(locked.figures, now)
            await campaign_store.save(tx, locked, message, state="published", published_at=now, work=None, step=None)

    async def _publish_lot(self, tx: Transaction, numbers: Sequence[int]) -> None:
        frozen, placed = await campaign_store.placements(tx, self._campaign_id, numbers)
        offers = await store.lock_offers(tx, [row.offer_id for row in frozen])
        now = await tx.now()
        policy = await store.policy_at(tx, now)
        for row in frozen:
            before = offers[row.offer_id]
            settled = domain.settle(before, now)
            decision = Decision(settled.offer, settled.messages)
            given: Counter[str] = Counter()
            for person in placed.get(row.number, ()):
                weeks = tuple(person.iso_weeks)
                given.update(weeks)
                matched = domain.match(decision.offer, person.seeker_id, self._campaign_id, weeks, policy, now)
                decision = matched.then(decision.messages)
            unused = {week: kept - given[week] for week, kept in row.seats.items()}
            await store.save(tx, before, Decision(domain.let_go(decision.offer, unused), decision.messages))
            await notices.follow(tx, settled)
            if given:
                await notices.write_to_host(tx, row.offer_id, self._campaign_id, len(placed[row.number]))
        await campaign_store.mark_published(tx, self._campaign_id, numbers)

    # -- closing

    async def _close(self, seeker_count: int) -> None:
        """Tells each request over, a lot at a time, then the campaign."""
        progress, done = self._begin("close", seeker_count), 0
        while True:
            async with self._fenced() as (tx, locked):
                rows = await campaign_store.lock_unended(tx, self._campaign_id, _LOT_COUNT)
                now = await tx.now()
                for reason, served in ((RequestEndReason.SERVED, True), (RequestEndReason.UNSERVED, False)):
                    await requests.end(tx, [row for row in rows if row.served == served], reason, now)
                if len(rows) < _LOT_COUNT:
                    confirmed = await campaign_store.confirmed_count(tx, self._campaign_id)
                    message = CampaignClosed(occurred_at=now, confirmed_count=confirmed)
                    await campaign_store.save(tx, locked, message, state="closed", work=None, step=None)
                    return
            done += len(rows)
            progress(done)


def _result(
    offers: Sequence[FrozenOffer], people: Sequence[FrozenSeeker], found: Candidates, obtained: Sequence[int]
) -> Result:
    """As the verifier wants it: offers by id, never our numbers."""
    instance = found.instance
    ids = [offers[one.offer].offer_id for one in found.pools]
    return Result(
        {
            seeker.seeker_id: [ids[one] for one in instance.pool[instance.first[n] : instance.first[n + 1]]]
            for n, seeker in enumerate(people)
        },
        {
            seeker.seeker_id: None if obtained[n] == NO_WISH else ids[instance.pool[obtained[n]]]
            for n, seeker in enumerate(people)
        },
    )


def figures_of(
    offers: Sequence[FrozenOffer], people: Sequence[FrozenSeeker], found: Candidates, obtained: Sequence[int]
) -> dict[str, Any]:
    """Served, rank histogram, mean kilometres, and by trade the people of each sex where there are enough of both."""
    instance, ranks, kilometres = found.instance, [0] * max((len(s.wishes) for s in people), default=0), []
    audiences: Counter[str] = Counter()
    trades: dict[str, Counter[str]] = {}
    for number, seeker in enumerate(people):
        got = obtained[number]
        if got == NO_WISH:
            continue
        offer = offers[found.pools[instance.pool[got]].offer]
        ranks[found.wish_number[got]] += 1
        kilometres.append(reference.km_between(seeker.commune_code, offer.commune_code))
        audiences[seeker.audience] += 1
        trades.setdefault(offer.rome_codes[0][:1], Counter())[seeker.sex] += 1
    return {
        "seeker_count": len(people),
        "served_count": len(kilometres),
        "rank_counts": ranks,
        "mean_km": round(fmean(kilometres), 1) if kilometres else None,
        "audiences": dict(audiences),
        "sexes_by_domain": {
            domain_: dict(sexes) for domain_, sexes in sorted(trades.items()) if sexes.total() >= secrecy.PEOPLE_MIN
        },
    }


def _shown(outcome: WishOutcome) -> dict[str, Any]:
    return {name: value for name, value in asdict(outcome).items() if value not in (None, {})}
