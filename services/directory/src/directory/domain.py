"""The rules of organisations and memberships: state in, new state and messages out. No clock, no database, no HTTP."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from functools import cache
from uuid import UUID

from common.failures import Refusal
from directory.messages import (
    MemberRole,
    MembershipEnded,
    MembershipEndReason,
    MembershipGranted,
    OrganisationDescribed,
    OrganisationKind,
    OrganisationState,
)
from directory.state import Decision, Identity, Membership, Organisation, Policy
from territory import reference

_KIND_ORDER = list(OrganisationKind)


# -- organisations


def why_not(identity: Identity) -> Refusal | None:
    """What an identity lacks."""
    if identity.siret is None and identity.uai is None:
        return Refusal("no_number", "Donnez le SIRET de l’établissement, ou son UAI.")
    if OrganisationKind.SCHOOL in identity.kinds and identity.uai is None:
        return Refusal("no_uai", "Un établissement scolaire a un UAI : donnez-le.")
    return None


def register(organisation_id: UUID, identity: Identity, now: datetime, *, verified: bool) -> Decision[Organisation]:
    """An organisation says who it is; one that the agency registers, or a register brings, is verified at once."""
    organisation = Organisation(organisation_id, identity, state_of(verified=verified), verified)
    if (refusal := why_not(identity)) is not None:
        return Decision(organisation, refusal=refusal)
    return _told(organisation, now)


def describe(
    organisation: Organisation, identity: Identity, now: datetime, *, by_agency: bool
) -> Decision[Organisation]:
    """Another description. Whoever changes the number by which it was verified is verified anew, unless the agency does it."""
    if (refusal := why_not(identity)) is not None:
        return Decision(organisation, refusal=refusal)
    if not organisation.is_open:
        return Decision(organisation, refusal=NOT_OPEN)
    before = organisation.identity
    if identity == before:
        return Decision(organisation)
    other = (identity.siret, identity.uai) != (before.siret, before.uai) or not identity.kinds <= before.kinds
    verified = organisation.state is OrganisationState.VERIFIED and (by_agency or not other)
    return _told(
        replace(organisation, identity=identity, state=state_of(verified=verified), was_verified=verified), now
    )


def verify(organisation: Organisation, now: datetime) -> Decision[Organisation]:
    """Somebody who may has confirmed that it is who it says: its members may act."""
    if not organisation.is_open:
        return Decision(organisation, refusal=NOT_OPEN)
    if organisation.state is OrganisationState.VERIFIED:
        return Decision(organisation)
    return _told(replace(organisation, state=OrganisationState.VERIFIED, was_verified=True), now)


def doubt(organisation: Organisation, now: datetime) -> Decision[Organisation]:
    """It was verified by mistake: its members act no more until it is verified anew."""
    if not organisation.is_open:
        return Decision(organisation, refusal=NOT_OPEN)
    if organisation.state is OrganisationState.REGISTERED:
        return Decision(organisation)
    return _told(replace(organisation, state=OrganisationState.REGISTERED, was_verified=False), now)


def close(organisation: Organisation, now: datetime) -> Decision[Organisation]:
    """Nobody acts for it until it is reopened; who its members were is kept."""
    if organisation.state is OrganisationState.CLOSED:
        return Decision(organisation)
    if organisation.state is OrganisationState.MERGED:
        return Decision(organisation, refusal=NOT_OPEN)
    return _told(replace(organisation, state=OrganisationState.CLOSED), now)


def reopen(organisation: Organisation, now: datetime) -> Decision[Organisation]:
    """It is again what it was before it was closed or merged."""
    if organisation.is_open:
        return Decision(organisation)
    state = state_of(verified=organisation.was_verified)
    return _told(replace(organisation, state=state, merged_into=None), now)


def merge(organisation: Organisation, into: Organisation, now: datetime) -> Decision[Organisation]:
    """Another organisation stands for it: it was described twice."""
    if organisation.merged_into == into.organisation_id:
        return Decision(organisation)
    if not organisation.is_open or not into.is_open:
        return Decision(organisation, refusal=NOT_OPEN)
    if into.organisation_id == organisation.organisation_id:
        return Decision(organisation, refusal=Refusal("same", "C’est le même organisme : choisissez-en un autre."))
    if into.identity.part_of == organisation.organisation_id:
        return Decision(
            organisation, refusal=Refusal("own_site", "L’autre est un site de celui-ci : détachez-le d’abord.")
        )
    return _told(replace(organisation, state=OrganisationState.MERGED, merged_into=into.organisation_id), now)


def why_not_part_of(whole: Organisation, sites_count: int) -> Refusal | None:
    """Why an organisation cannot be a site of another: sites have no sites of their own."""
    if not whole.is_open:
        return NOT_OPEN
    if whole.identity.part_of is not None or sites_count:
        return Refusal("site_of_a_site", "Un site ne dépend pas d’un autre site : rattachez-le à l’organisme lui-même.")
    return None


NOT_OPEN = Refusal("not_open", "Cet organisme est fermé, ou remplacé par un autre : rouvrez-le d’abord.")


def state_of(*, verified: bool) -> OrganisationState:
    """Of an open organisation."""
    return OrganisationState.VERIFIED if verified else OrganisationState.REGISTERED


def _told(organisation: Organisation, now: datetime) -> Decision[Organisation]:
    return Decision(organisation, (described(organisation, now),))


def described(organisation: Organisation, now: datetime) -> OrganisationDescribed:
    """The whole of it."""
    identity = organisation.identity
    return OrganisationDescribed(
        occurred_at=now,
        title=identity.title,
        kinds=sorted(identity.kinds, key=_KIND_ORDER.index),
        siret=identity.siret,
        uai=identity.uai,
        commune_code=identity.commune_code,
        part_of=identity.part_of,
        state=organisation.state,
        merged_into=organisation.merged_into,
        fictitious=identity.fictitious,
    )


def contact_address(identity: Identity, policy: Policy) -> str | None:
    """Where a public school reads its mail, whoever works there; None for any other organisation."""
    public = identity.uai is not None and identity.uai in _public_schools()
    return (
        policy.school_contact.format(uai=identity.uai.lower())
        if public and identity.uai and policy.school_contact
        else None
    )


@cache
def _public_schools() -> frozenset[str]:
    return frozenset(school.uai for school in reference.schools() if school.public)


# -- memberships


def grant(membership: Membership, organisation: Organisation, now: datetime) -> Decision[Membership]:
    """Somebody may act for an organisation, in a role that it may give."""
    if not organisation.is_open:
        return Decision(membership, refusal=NOT_OPEN)
    if (refusal := why_not_role(organisation.identity, membership.role)) is not None:
        return Decision(membership, refusal=refusal)
    if membership.until_on is not None and membership.until_on < membership.since_on:
        return Decision(membership, refusal=DAYS)
    return Decision(membership, (granted(membership, now),))


def why_not_role(identity: Identity, role: MemberRole) -> Refusal | None:
    """Why an organisation cannot give a role."""
    if role in identity.roles:
        return None
    return Refusal(
        "role_not_given",
        "Cet organisme ne peut pas donner ce rôle : complétez d’abord ce qu’il est.",
        {"role": role.value, "roles": sorted(one.value for one in identity.roles)},
    )


def change(
    membership: Membership, until_on: date | None, manager: bool, today: date, now: datetime
) -> Decision[Membership]:
    """Until when it holds, and whether its member manages the others."""
    if membership.ended is not None:
        return Decision(membership, refusal=_ENDED)
    if until_on is not None and until_on < max(membership.since_on, today) and until_on != membership.until_on:
        return Decision(membership, refusal=DAYS)
    after = replace(membership, until_on=until_on, manager=manager)
    # Who manages is no matter for the other services.
    told = (granted(after, now),) if after.until_on != membership.until_on else ()
    return Decision(after, told)


def end(membership: Membership, reason: MembershipEndReason, now: datetime) -> Decision[Membership]:
    """They act in this role no more; ended twice is ended once."""
    if membership.ended is not None:
        return Decision(membership)
    return Decision(replace(membership, ended=reason), (MembershipEnded(occurred_at=now, reason=reason),))


def move(membership: Membership, into: UUID, moved_from: UUID | None, now: datetime) -> Decision[Membership]:
    """It is of another organisation from now on: the one that stands for its own, or its own again."""
    after = replace(membership, organisation_id=into, moved_from=moved_from)
    return Decision(after, (granted(after, now),))


def resume(membership: Membership, now: datetime) -> Decision[Membership]:
    """It ended because the same person had the role in the organisation that stood for theirs, and stands for it no more."""
    after = replace(membership, ended=None)
    return Decision(after, (granted(after, now),))


_ENDED = Refusal("ended", "Cet accès a pris fin : invitez la personne à nouveau.")
DAYS = Refusal("days_reversed", "Le dernier jour est avant le premier, ou déjà passé.")


def granted(membership: Membership, now: datetime) -> MembershipGranted:
    """The whole of it."""
    return MembershipGranted(
        occurred_at=now,
        subject_hash=membership.subject_hash,
        organisation_id=membership.organisation_id,
        role=membership.role,
        since_on=membership.since_on,
        until_on=membership.until_on,
    )
