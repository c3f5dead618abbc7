"""Tells anew what the log is ahead of, after this database was restored to an earlier point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from common.messages import Message
from common.reconcile import Aggregates, LastMessages
from common.transaction import Transaction
from directory import domain, store
from directory.messages import MembershipEnded, MembershipGranted, OrganisationDescribed, OrganisationState
from directory.state import Identity, Membership, Organisation


async def restate_organisation(tx: Transaction, organisation_id: UUID, last: LastMessages) -> Sequence[Message]:
    """The organisation as the log last told it, which this database takes over."""
    known = (await store.lock(tx, organisation_id)).get(organisation_id)
    told, now = last.of(OrganisationDescribed), await tx.now()
    if told is not None:
        identity = Identity(
            told.title,
            frozenset(told.kinds),
            told.commune_code,
            told.siret,
            told.uai,
            told.part_of,
            told.fictitious,
        )
        verified = told.state is OrganisationState.VERIFIED or (known is not None and known.was_verified)
        after = Organisation(
            organisation_id, identity, told.state, verified, told.merged_into, known.version if known else 0
        )
        await store.insert(tx, after, now)
        await store.write(tx, after)
        known = after
    assert known is not None
    return (domain.described(known, now),)


async def restate_membership(tx: Transaction, membership_id: UUID, last: LastMessages) -> Sequence[Message]:
    """The membership as the log last told it: who left stays away, whoever the restored database thinks is still there."""
    known = await store.membership(tx, membership_id)
    granted, ended, now = last.of(MembershipGranted), last.of(MembershipEnded), await tx.now()
    if granted is not None:
        before = known or Membership(
            membership_id, granted.organisation_id, granted.subject_hash, granted.role, granted.since_on
        )
        known = replace(
            before,
            organisation_id=granted.organisation_id,
            since_on=granted.since_on,
            until_on=granted.until_on,
            ended=None,
        )
    assert known is not None
    if ended is not None and not (granted and granted.aggregate_version > ended.aggregate_version):
        known = replace(known, ended=ended.reason)
    await store.put_membership(tx, known)
    told: tuple[Message, ...] = (domain.granted(known, now),)
    return told if known.ended is None else (*told, MembershipEnded(occurred_at=now, reason=known.ended))


AGGREGATES = (
    Aggregates("directory.organisations.v1", table="organisation", key="organisation_id", restate=restate_organisation),
    Aggregates("directory.memberships.v1", table="membership", key="membership_id", restate=restate_membership),
)
