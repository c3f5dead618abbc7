"""Loads and saves; all SQL of the service. Locks: organisations by ascending id, and what belongs to one only under its lock."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row

from common.policy import limits_at
from common.transaction import Transaction
from directory.messages import MemberRole, MembershipEndReason, OrganisationKind, OrganisationState
from directory.state import Decision, Identity, Membership, Organisation, Policy

LISTED_MAX = 200


async def policy_at(tx: Transaction, now: datetime) -> Policy:
    """The limits in force at an instant."""
    return Policy(**await limits_at(tx, now))


# -- organisations


async def insert(tx: Transaction, organisation: Organisation, now: datetime) -> None:
    """Makes room for a new one, and its lock; one that is there already stays."""
    await tx.execute(
        f"""INSERT INTO organisation ({_COLUMNS}, registered_at) VALUES ({_VALUES}, :now)
            ON CONFLICT (organisation_id) DO NOTHING""",
        now=now,
        **_values(organisation),
    )


async def lock(tx: Transaction, *organisation_ids: UUID) -> dict[UUID, Organisation]:
    """Organisations with their rows locked, by ascending id; one that is unknown is left out."""
    rows = await tx.fetch_all(
        "SELECT * FROM organisation WHERE organisation_id = ANY(:ids) ORDER BY organisation_id FOR UPDATE",
        ids=sorted(set(organisation_ids)),
    )
    return {row.organisation_id: _organisation(row) for row in rows}


async def find(tx: Transaction, organisation_id: UUID) -> Organisation | None:
    """An organisation, unlocked."""
    row = await tx.fetch_one("SELECT * FROM organisation WHERE organisation_id = :id", id=organisation_id)
    return _organisation(row) if row else None


async def row_of(tx: Transaction, organisation_id: UUID) -> Row[Any] | None:
    """An organisation for a page: with the titles of what it is a site of, and of what stands for it."""
    return await tx.fetch_one(
        """SELECT o.*, w.title AS whole_title, i.title AS into_title FROM organisation o
           LEFT JOIN organisation w ON w.organisation_id = o.part_of LEFT JOIN organisation i ON i.organisation_id = o.merged_into
           WHERE o.organisation_id = :id""",
        id=organisation_id,
    )


async def save(tx: Transaction, before: Organisation, decision: Decision[Organisation]) -> Organisation:
    """Tells and stores what a decision changed; the organisation as it is stored."""
    if not decision.messages:
        return before
    version = await tx.emit(decision.messages, aggregate_id=before.organisation_id, version=before.version)
    after = replace(decision.after, version=version)
    await write(tx, after)
    return after


async def write(tx: Transaction, organisation: Organisation) -> None:
    """Stores an organisation whose row is there."""
    values = _values(organisation)
    await tx.execute(
        f"UPDATE organisation SET {', '.join(f'{name} = :{name}' for name in values)} WHERE organisation_id = :organisation_id",
        **values,
    )


async def lock_numbers(tx: Transaction, identity: Identity) -> None:
    """Orders those who give one SIRET or UAI, so that the same organisation sent twice at once is seen."""
    for number in sorted(number for number in (identity.siret, identity.uai) if number):
        await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended(:number, 0))", number=number)


async def of_number(tx: Transaction, siret: str | None, uai: str | None) -> Sequence[Row[Any]]:
    """The open organisations that have one of these numbers."""
    return await tx.fetch_all(
        f"SELECT * FROM organisation WHERE (siret = :siret OR uai = :uai) AND {_OPEN} ORDER BY title, organisation_id",
        siret=siret,
        uai=uai,
    )


async def sites_count(tx: Transaction, organisation_id: UUID) -> int:
    """How many open sites it has."""
    row = await tx.fetch_one(
        f"SELECT count(*) AS n FROM organisation WHERE part_of = :id AND {_OPEN}", id=organisation_id
    )
    assert row is not None
    return int(row.n)


async def listed(
    tx: Transaction, *, text: str = "", kind: str | None = None, states: Collection[str], of_subject: str | None = None
) -> Sequence[Row[Any]]:
    """Organisations by title, that a text is in or whose number it is; `of_subject`: those that somebody acts for."""
    return await tx.fetch_all(
        f"""SELECT o.*, (SELECT count(DISTINCT m.subject_hash) FROM membership m
                         WHERE m.organisation_id = o.organisation_id AND m.ended IS NULL) AS members_count
            FROM organisation o
            WHERE o.state = ANY(:states)
              AND (:text = '' OR o.siret = :text OR o.uai = upper(:text) OR strpos(lower(o.title), lower(:text)) > 0)
              AND (CAST(:kind AS varchar) IS NULL OR :kind = ANY(o.kinds))
              AND (CAST(:subject AS varchar) IS NULL OR EXISTS (SELECT 1 FROM membership m
                   WHERE m.organisation_id = o.organisation_id AND m.subject_hash = :subject AND m.ended IS NULL))
            ORDER BY lower(o.title), o.organisation_id LIMIT {LISTED_MAX}""",
        text=text,
        kind=kind,
        states=list(states),
        subject=of_subject,
    )


async def states_counts(tx: Transaction) -> dict[str, int]:
    """How many organisations are in each state."""
    rows = await tx.fetch_all("SELECT state, count(*) AS n FROM organisation GROUP BY state")
    return {row.state: row.n for row in rows}


_OPEN = "state IN ('REGISTERED', 'VERIFIED')"
_NAMES = (
    "organisation_id",
    "title",
    "kinds",
    "commune_code",
    "siret",
    "uai",
    "part_of",
    "fictitious",
    "state",
    "was_verified",
    "merged_into",
    "version",
)
_COLUMNS, _VALUES = ", ".join(_NAMES), ", ".join(f":{name}" for name in _NAMES)


def _values(organisation: Organisation) -> dict[str, Any]:
    identity = organisation.identity
    return {
        "organisation_id": organisation.organisation_id,
        "title": identity.title,
        "kinds": sorted(identity.kinds),
        "commune_code": identity.commune_code,
        "siret": identity.siret,
        "uai": identity.uai,
        "part_of": identity.part_of,
        "fictitious": identity.fictitious,
        "state": organisation.state.value,
        "was_verified": organisation.was_verified,
        "merged_into": organisation.merged_into,
        "version": organisation.version,
    }


def _organisation(row: Row[Any]) -> Organisation:
    identity = Identity(
        row.title,
        frozenset(OrganisationKind(kind) for kind in row.kinds),
        row.commune_code,
        row.siret,
        row.uai,
        row.part_of,
        row.fictitious,
    )
    return Organisation(
        row.organisation_id, identity, OrganisationState(row.state), row.was_verified, row.merged_into, row.version
    )


# -- people


async def note_person(tx: Transaction, subject_hash: str, email: str | None, display_name: str | None) -> None:
    """Who they are by the issuer's last word; an address once told stays while none is told."""
    await tx.execute(
        """INSERT INTO person (subject_hash, email, display_name, seen_at) VALUES (:hash, :email, :name, clock_timestamp())
           ON CONFLICT (subject_hash) DO UPDATE SET email = COALESCE(excluded.email, person.email),
               display_name = COALESCE(excluded.display_name, person.display_name), seen_at = excluded.seen_at""",
        hash=subject_hash,
        email=email,
        name=display_name,
    )


async def person(tx: Transaction, subject_hash: str) -> Row[Any] | None:
    """What is known of somebody."""
    return await tx.fetch_one("SELECT * FROM person WHERE subject_hash = :hash", hash=subject_hash)


async def addresses_of_managers(tx: Transaction, organisation_id: UUID, today: date) -> list[str]:
    """Where those who manage an organisation read what is asked of them."""
    rows = await tx.fetch_all(
        f"""SELECT DISTINCT p.email FROM membership m JOIN person p USING (subject_hash)
            WHERE m.organisation_id = :id AND m.manager AND p.email IS NOT NULL AND {_HOLDS} ORDER BY p.email""",
        id=organisation_id,
        today=today,
    )
    return [row.email for row in rows]


async def addresses_of_agency(tx: Transaction, today: date) -> list[str]:
    """Where the agency reads what is asked of it."""
    rows = await tx.fetch_all(
        f"""SELECT DISTINCT p.email FROM membership m JOIN person p USING (subject_hash)
                JOIN organisation o USING (organisation_id)
            WHERE m.role = 'AGENCY' AND m.manager AND o.state = 'VERIFIED' AND p.email IS NOT NULL AND {_HOLDS} ORDER BY p.email""",
        today=today,
    )
    return [row.email for row in rows]


# -- memberships


async def membership(tx: Transaction, membership_id: UUID) -> Membership | None:
    """A membership; what is decided on it holds only under the lock of its organisation."""
    row = await tx.fetch_one("SELECT * FROM membership WHERE membership_id = :id", id=membership_id)
    return membership_of(row) if row else None


async def open_membership(
    tx: Transaction, organisation_id: UUID, subject_hash: str, role: MemberRole
) -> Membership | None:
    """The one that somebody has, under the organisation's lock."""
    row = await tx.fetch_one(
        """SELECT * FROM membership WHERE organisation_id = :id AND subject_hash = :hash AND role = :role AND ended IS NULL""",
        id=organisation_id,
        hash=subject_hash,
        role=role.value,
    )
    return membership_of(row) if row else None


async def memberships_of(tx: Transaction, subject_hash: str) -> Sequence[Row[Any]]:
    """What somebody may do, or may from a day on, with the organisation's state and title."""
    return await tx.fetch_all(
        """SELECT m.*, o.title, o.state, o.siret, o.uai, o.kinds FROM membership m JOIN organisation o USING (organisation_id)
           WHERE m.subject_hash = :hash AND m.ended IS NULL ORDER BY lower(o.title), o.organisation_id, m.role""",
        hash=subject_hash,
    )


async def members(tx: Transaction, organisation_id: UUID) -> Sequence[Row[Any]]:
    """Who acts for an organisation, and who did."""
    return await tx.fetch_all(
        """SELECT m.*, p.email, p.display_name FROM membership m LEFT JOIN person p USING (subject_hash)
           WHERE m.organisation_id = :id ORDER BY m.ended NULLS FIRST, p.display_name, p.email, m.role, m.membership_id""",
        id=organisation_id,
    )


async def of_organisation(
    tx: Transaction, organisation_id: UUID, ended: MembershipEndReason | None = None
) -> list[Membership]:
    """Its memberships, under its lock: those that are open, or ended for a reason."""
    rows = await tx.fetch_all(
        """SELECT * FROM membership WHERE organisation_id = :id AND ended IS NOT DISTINCT FROM CAST(:ended AS varchar)
           ORDER BY membership_id""",
        id=organisation_id,
        ended=ended and ended.value,
    )
    return [membership_of(row) for row in rows]


async def moved_from(tx: Transaction, organisation_id: UUID) -> list[Membership]:
    """Open memberships that came from an organisation, under the lock of the one that stands for it."""
    rows = await tx.fetch_all(
        "SELECT * FROM membership WHERE moved_from = :id AND ended IS NULL ORDER BY membership_id", id=organisation_id
    )
    return [membership_of(row) for row in rows]


async def roles_of(tx: Transaction, subject_hash: str, organisation_id: UUID, today: date) -> Sequence[Row[Any]]:
    """What somebody is today in an organisation, or in the one that it is a site of."""
    return await tx.fetch_all(
        f"""SELECT m.role, m.manager FROM membership m JOIN organisation o ON o.organisation_id = :id
            WHERE m.subject_hash = :hash AND m.organisation_id IN (o.organisation_id, o.part_of) AND {_HOLDS}""",
        id=organisation_id,
        hash=subject_hash,
        today=today,
    )


async def is_agency(tx: Transaction, subject_hash: str, today: date) -> bool:
    """Whether somebody works for the agency, and may look after everything here."""
    row = await tx.fetch_one(
        f"""SELECT 1 FROM membership m JOIN organisation o USING (organisation_id)
            WHERE m.subject_hash = :hash AND m.role = 'AGENCY' AND o.state = 'VERIFIED' AND {_HOLDS} LIMIT 1""",
        hash=subject_hash,
        today=today,
    )
    return row is not None


async def save_membership(tx: Transaction, before: Membership, decision: Decision[Membership]) -> None:
    """Tells and stores what a decision changed; a new one is put in."""
    version = await tx.emit(decision.messages, aggregate_id=before.membership_id, version=before.version)
    await put_membership(tx, replace(decision.after, version=version))


async def put_membership(tx: Transaction, membership: Membership) -> None:
    """Stores a membership, new or known."""
    values = {
        "membership_id": membership.membership_id,
        "organisation_id": membership.organisation_id,
        "subject_hash": membership.subject_hash,
        "role": membership.role.value,
        "since_on": membership.since_on,
        "until_on": membership.until_on,
        "manager": membership.manager,
        "ended": membership.ended and membership.ended.value,
        "moved_from": membership.moved_from,
        "version": membership.version,
    }
    await tx.execute(
        f"""INSERT INTO membership ({", ".join(values)}) VALUES ({", ".join(f":{name}" for name in values)})
            ON CONFLICT (membership_id) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in values)}""",
        **values,
    )


_HOLDS = "m.ended IS NULL AND m.since_on <= :today AND (m.until_on IS NULL OR m.until_on >= :today)"


def membership_of(row: Row[Any]) -> Membership:
    """As the rules have it."""
    return Membership(
        row.membership_id,
        row.organisation_id,
        row.subject_hash,
        MemberRole(row.role),
        row.since_on,
        row.until_on,
        row.manager,
        MembershipEndReason(row.ended) if row.ended else None,
        row.moved_from,
        row.version,
    )


# -- invitations and requests


async def invitation(tx: Transaction, invitation_id: UUID) -> Row[Any] | None:
    """An invitation with the title of its organisation."""
    return await tx.fetch_one(f"{_INVITATION} WHERE i.invitation_id = :id", id=invitation_id)


async def waiting_invitation(tx: Transaction, organisation_id: UUID, email: str, role: MemberRole) -> Row[Any] | None:
    """The one that waits at an address, under the organisation's lock."""
    return await tx.fetch_one(
        f"{_INVITATION} WHERE i.organisation_id = :id AND i.email = :email AND i.role = :role AND i.state = 'sent'",
        id=organisation_id,
        email=email,
        role=role.value,
    )


async def invitations_of(tx: Transaction, organisation_id: UUID) -> Sequence[Row[Any]]:
    """Those that wait for an answer, the newest first."""
    return await tx.fetch_all(
        f"{_INVITATION} WHERE i.organisation_id = :id AND i.state = 'sent' ORDER BY i.sent_at DESC, i.invitation_id",
        id=organisation_id,
    )


async def invitations_to(tx: Transaction, email: str, now: datetime) -> Sequence[Row[Any]]:
    """Those that wait at an address and may still be accepted."""
    return await tx.fetch_all(
        f"{_INVITATION} WHERE i.email = :email AND i.state = 'sent' AND i.expires_at > :now ORDER BY i.sent_at, i.invitation_id",
        email=email,
        now=now,
    )


_INVITATION = "SELECT i.*, o.title FROM invitation i JOIN organisation o USING (organisation_id)"


async def put_invitation(tx: Transaction, **values: Any) -> UUID:
    """Notes a new one."""
    invitation_id = uuid4()
    names = ", ".join(values)
    await tx.execute(
        f"""INSERT INTO invitation (invitation_id, state, {names}) VALUES (:id, 'sent', {", ".join(f":{name}" for name in values)})""",
        id=invitation_id,
        **values,
    )
    return invitation_id


async def change_invitation(tx: Transaction, invitation_id: UUID, **values: Any) -> None:
    """Changes some columns."""
    await tx.execute(
        f"UPDATE invitation SET {', '.join(f'{name} = :{name}' for name in values)} WHERE invitation_id = :id",
        id=invitation_id,
        **values,
    )


async def request(tx: Transaction, access_request_id: UUID) -> Row[Any] | None:
    """A request with who asks and for what."""
    return await tx.fetch_one(f"{_REQUEST} WHERE r.access_request_id = :id", id=access_request_id)


async def requests_to(tx: Transaction, organisation_id: UUID) -> Sequence[Row[Any]]:
    """What an organisation's managers have to answer, the oldest first."""
    return await tx.fetch_all(
        f"{_REQUEST} WHERE r.organisation_id = :id AND r.state = 'asked' ORDER BY r.asked_at, r.access_request_id",
        id=organisation_id,
    )


async def requests_by(tx: Transaction, subject_hash: str) -> Sequence[Row[Any]]:
    """What somebody has asked and nobody has answered."""
    return await tx.fetch_all(
        f"{_REQUEST} WHERE r.subject_hash = :hash AND r.state = 'asked' ORDER BY r.asked_at, r.access_request_id",
        hash=subject_hash,
    )


async def requests_waiting(tx: Transaction) -> Sequence[Row[Any]]:
    """Everything that waits for an answer, the oldest first."""
    return await tx.fetch_all(
        f"{_REQUEST} WHERE r.state = 'asked' ORDER BY r.asked_at, r.access_request_id LIMIT {LISTED_MAX}"
    )


_REQUEST = """SELECT r.*, o.title, o.state AS organisation_state, p.email, p.display_name FROM access_request r
              JOIN organisation o USING (organisation_id) JOIN person p USING (subject_hash)"""


async def ask(tx: Transaction, organisation_id: UUID, subject_hash: str, role: MemberRole, now: datetime) -> UUID:
    """Notes that somebody asks; asked twice, it is the same request."""
    known = await tx.fetch_one(
        """SELECT access_request_id FROM access_request
           WHERE organisation_id = :id AND subject_hash = :hash AND role = :role AND state = 'asked'""",
        id=organisation_id,
        hash=subject_hash,
        role=role.value,
    )
    if known is not None:
        found: UUID = known.access_request_id
        return found
    access_request_id = uuid4()
    await tx.execute(
        """INSERT INTO access_request (access_request_id, organisation_id, subject_hash, role, state, asked_at)
           VALUES (:request_id, :id, :hash, :role, 'asked', :now)""",
        request_id=access_request_id,
        id=organisation_id,
        hash=subject_hash,
        role=role.value,
        now=now,
    )
    return access_request_id


async def answer_request(tx: Transaction, access_request_id: UUID, state: str, now: datetime) -> None:
    """Notes what became of it."""
    await tx.execute(
        "UPDATE access_request SET state = :state, answered_at = :now WHERE access_request_id = :id",
        id=access_request_id,
        state=state,
        now=now,
    )
