"""What the rules speak of: organisations, memberships of people in them, and what a decision is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Generic, TypeVar
from uuid import UUID

from common.failures import Refusal
from common.messages import Message
from directory.messages import MemberRole, MembershipEndReason, OrganisationKind, OrganisationState

# Which roles an organisation may give its members, by what it is.
ROLES_OF: dict[OrganisationKind, frozenset[MemberRole]] = {
    OrganisationKind.AGENCY: frozenset({MemberRole.AGENCY, MemberRole.COORDINATOR, MemberRole.OPERATOR}),
    OrganisationKind.SCHOOL: frozenset({MemberRole.SCHOOL, MemberRole.PRESCRIBER, MemberRole.REFERENT}),
    OrganisationKind.TRAINING_BODY: frozenset({MemberRole.CFA}),
    OrganisationKind.REMEDIATION_STRUCTURE: frozenset({MemberRole.PARTNER}),
    OrganisationKind.PRESCRIBER: frozenset({MemberRole.PRESCRIBER}),
    OrganisationKind.PSAD: frozenset({MemberRole.PSAD}),
    OrganisationKind.HOST: frozenset({MemberRole.HOST}),
    OrganisationKind.PLATFORM_OWNER: frozenset({MemberRole.OWNER}),
}


@dataclass(frozen=True)
class Policy:
    """Limits that the agency can change; read for the instant of the decision from the `policy` table.

    `invitation_days`: how long an invitation may be accepted. `contact_days`: how long an establishment's contact may answer.
    `school_contact`: the address that each public school has, its UAI in place of `{uai}`; empty where there is none.
    """

    invitation_days: int
    contact_days: int
    school_contact: str


@dataclass(frozen=True)
class Identity:
    """What anybody may know of an organisation."""

    title: str
    kinds: frozenset[OrganisationKind]
    commune_code: str
    siret: str | None = None
    uai: str | None = None
    part_of: UUID | None = None
    fictitious: bool = False

    @property
    def roles(self) -> frozenset[MemberRole]:
        """Those that it may give."""
        return frozenset().union(*(ROLES_OF.get(kind, frozenset()) for kind in self.kinds))


@dataclass(frozen=True)
class Organisation:
    """The aggregate. `was_verified` remembers, while it is closed or merged, what it comes back as."""

    organisation_id: UUID
    identity: Identity
    state: OrganisationState = OrganisationState.REGISTERED
    was_verified: bool = False
    merged_into: UUID | None = None
    version: int = 0

    @property
    def is_open(self) -> bool:
        """Whether it may have members that act, now or once it is verified."""
        return self.state in (OrganisationState.REGISTERED, OrganisationState.VERIFIED)


@dataclass(frozen=True)
class Membership:
    """The aggregate: somebody, by keyed hash, acts for an organisation in a role. `manager`: may end those of colleagues, and be asked.

    `moved_from`: the organisation that was merged into this one, to which it goes back with it.
    """

    membership_id: UUID
    organisation_id: UUID
    subject_hash: str
    role: MemberRole
    since_on: date
    until_on: date | None = None
    manager: bool = False
    ended: MembershipEndReason | None = None
    moved_from: UUID | None = None
    version: int = 0

    def holds_on(self, day: date) -> bool:
        """Whether it holds on a day in Paris."""
        return self.ended is None and self.since_on <= day and (self.until_on is None or day <= self.until_on)


A = TypeVar("A", Organisation, Membership)


@dataclass(frozen=True)
class Decision(Generic[A]):
    """A new state, the messages that tell of it, and a refusal when the rule said no."""

    after: A
    messages: tuple[Message, ...] = ()
    refusal: Refusal | None = None
