"""Generated from schemas/avro by `make schemas`; do not edit."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from uuid import UUID

from common.messages import Message


class MembershipEndReason(StrEnum):
    """
    Why a membership ended.
    """

    UNKNOWN = 'UNKNOWN'
    LEFT = 'LEFT'
    WITHDRAWN = 'WITHDRAWN'
    MERGED = 'MERGED'
    ERASED = 'ERASED'


class MembershipEnded(Message):
    """
    Somebody acts for an organisation in this role no more.
    """

    namespace = "estuaire.directory"

    reason: MembershipEndReason
    """
    LEFT: the member went; WITHDRAWN: a manager or the agency ended it; MERGED: the same person has this role in the organisation that stands for theirs; ERASED: the person was forgotten.
    """


class MemberRole(StrEnum):
    """
    What a member does; the routes of the services ask for it in lower case.
    """

    UNKNOWN = 'UNKNOWN'
    AGENCY = 'AGENCY'
    COORDINATOR = 'COORDINATOR'
    OPERATOR = 'OPERATOR'
    SCHOOL = 'SCHOOL'
    REFERENT = 'REFERENT'
    PRESCRIBER = 'PRESCRIBER'
    CFA = 'CFA'
    PARTNER = 'PARTNER'
    PSAD = 'PSAD'
    HOST = 'HOST'
    OWNER = 'OWNER'


class MembershipGranted(Message):
    """
    Somebody may act for an organisation in a role, or anything of this changed; carries the whole.
    """

    namespace = "estuaire.directory"

    subject_hash: str
    """
    Keyed hash of the issuer's identity of the person or the software: the services that share the key know whom it stands for, nobody else does.
    """
    organisation_id: UUID
    """
    For which organisation.
    """
    role: MemberRole
    """
    In which role.
    """
    since_on: date
    """
    First day (Paris) on which it holds.
    """
    until_on: date | None = None
    """
    Last day (Paris) on which it holds; null: until it ends.
    """


class OrganisationKind(StrEnum):
    """
    What an organisation is here; it decides which roles its members may have.
    """

    UNKNOWN = 'UNKNOWN'
    AGENCY = 'AGENCY'
    SCHOOL = 'SCHOOL'
    TRAINING_BODY = 'TRAINING_BODY'
    REMEDIATION_STRUCTURE = 'REMEDIATION_STRUCTURE'
    PRESCRIBER = 'PRESCRIBER'
    PSAD = 'PSAD'
    HOST = 'HOST'
    PLATFORM_OWNER = 'PLATFORM_OWNER'
    COMPANY = 'COMPANY'
    ADMINISTRATION = 'ADMINISTRATION'
    ASSOCIATION = 'ASSOCIATION'


class OrganisationState(StrEnum):
    """
    Where an organisation is in its life.
    """

    UNKNOWN = 'UNKNOWN'
    REGISTERED = 'REGISTERED'
    VERIFIED = 'VERIFIED'
    CLOSED = 'CLOSED'
    MERGED = 'MERGED'


class OrganisationDescribed(Message):
    """
    An organisation was registered, or anything of it changed; carries the whole of what the others may know.
    """

    namespace = "estuaire.directory"

    title: str
    """
    Public name of the organisation, as people call it.
    """
    kinds: list[OrganisationKind]
    """
    What it is: at least one, each once, in the order of the symbols.
    """
    siret: str | None = None
    """
    SIRET of the establishment, 14 digits; several organisations may share one.
    """
    uai: str | None = None
    """
    UAI of a school or training centre; one open organisation has it.
    """
    commune_code: str
    """
    INSEE code of the commune (COG 2026).
    """
    part_of: UUID | None = None
    """
    The organisation whose site this is; its members act for the site too.
    """
    state: OrganisationState
    """
    REGISTERED: it says who it is; VERIFIED: somebody who may has confirmed it, and its members may act; CLOSED: nobody acts for it until it is reopened; MERGED: another stands for it.
    """
    merged_into: UUID | None = None
    """
    The organisation that stands for it, where it was merged.
    """
    fictitious: bool
    """
    True for the organisations of the demonstration, which do not exist.
    """
