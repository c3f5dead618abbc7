"""Loads and saves people and their parties, and reads registrations with who they are; nothing of it leaves this database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row

from common.codes import new_code
from common.transaction import Transaction
from events.domain import Conduct
from events.messages import PartyKind
from events.store import REGISTRATION_COLUMNS
from waiting_list.rules import ORDER


async def lock_person(tx: Transaction, email: str) -> UUID:
    """The person of an address, made the first time; orders everything that they ask for."""
    row = await tx.fetch_one(
        """INSERT INTO person (person_id, email) VALUES (:id, :email)
           ON CONFLICT (email) DO UPDATE SET email = excluded.email RETURNING person_id""",
        id=uuid4(),
        email=email,
    )
    assert row is not None
    person_id: UUID = row.person_id
    return person_id


async def conduct_of(tx: Transaction, person_id: UUID, now: datetime) -> Conduct:
    """What the policy looks at in a person, who is locked."""
    row = await tx.fetch_one(
        """SELECT count(*) AS live FROM registration r JOIN session s USING (session_id)
           WHERE r.holder_id = :id AND r.state IN ('waiting', 'offered', 'registered') AND s.starts_at > :now
             AND (r.due_at IS NULL OR r.due_at > :now)""",
        id=person_id,
        now=now,
    )
    assert row is not None
    return Conduct(row.live)


async def party_for(
    tx: Transaction,
    event_id: UUID,
    person_id: UUID,
    *,
    kind: PartyKind,
    title: str | None,
    school_uai: str | None,
    female_count: int,
    male_count: int,
) -> UUID:
    """The party of a person in an event, whose words are renewed; every group of a school is another."""
    row = await tx.fetch_one(
        """INSERT INTO party (party_id, event_id, person_id, kind, title, school_uai, female_count, male_count, code, mail_count, created_at)
           VALUES (:id, :event_id, :person_id, :kind, :title, :school_uai, :female, :male, :code, 0, :now)
           ON CONFLICT (event_id, person_id) WHERE kind = 'INDIVIDUAL' DO UPDATE SET title = COALESCE(excluded.title, party.title),
               female_count = excluded.female_count, male_count = excluded.male_count RETURNING party_id""",
        id=uuid4(),
        event_id=event_id,
        person_id=person_id,
        kind=kind.value,
        title=title,
        school_uai=school_uai,
        female=female_count,
        male=male_count,
        code=new_code(),
        now=await tx.now(),
    )
    assert row is not None
    party_id: UUID = row.party_id
    return party_id


async def drop_empty_party(tx: Transaction, party_id: UUID) -> None:
    """Forgets a party that was made for a request which was refused."""
    await tx.execute(
        "DELETE FROM party p WHERE party_id = :id AND NOT EXISTS (SELECT 1 FROM registration r WHERE r.party_id = p.party_id)",
        id=party_id,
    )


async def find_party(tx: Transaction, party_id: UUID) -> Any:
    """A party with its person's address and its event, or None; unlocked."""
    return await tx.fetch_one(
        """SELECT p.*, o.email, e.description, e.state AS event_state FROM party p JOIN person o USING (person_id)
               JOIN event e USING (event_id) WHERE party_id = :id""",
        id=party_id,
    )


async def registrations(
    tx: Transaction,
    *,
    party_ids: Sequence[UUID] | None = None,
    session_id: UUID | None = None,
    school_uai: str | None = None,
    limit: int = 5000,
) -> Sequence[Row[Any]]:
    """Registrations with their party and session, by session, then as the line has them."""
    return await tx.fetch_all(
        f"""SELECT {", ".join(f"r.{name}" for name in REGISTRATION_COLUMNS)}, r.session_id, s.event_id, s.starts_at, s.ends_at,
                   s.title AS session_title, s.purpose, s.hall, s.online_url, s.state AS session_state, s.capacity_count,
                   p.title AS party_title, p.code, p.female_count, p.male_count, o.email
            FROM registration r JOIN session s USING (session_id) JOIN party p USING (party_id) JOIN person o USING (person_id)
            WHERE (CAST(:party_ids AS uuid[]) IS NULL OR r.party_id = ANY(:party_ids))
              AND (CAST(:session_id AS uuid) IS NULL OR r.session_id = :session_id)
              AND (CAST(:school_uai AS text) IS NULL OR p.school_uai = :school_uai)
            ORDER BY s.starts_at, s.session_id, r.state <> 'registered', {ORDER} LIMIT :limit""",
        party_ids=party_ids and list(party_ids),
        session_id=session_id,
        school_uai=school_uai,
        limit=limit,
    )


async def find_registration(tx: Transaction, registration_id: UUID) -> Any:
    """Where a registration belongs, or None; unlocked: only its identity may be relied on."""
    return await tx.fetch_one(
        """SELECT r.registration_id, r.session_id, r.party_id, s.event_id, p.school_uai
           FROM registration r JOIN session s USING (session_id) JOIN party p USING (party_id) WHERE registration_id = :id""",
        id=registration_id,
    )


async def registration_by_code(tx: Transaction, session_id: UUID, code: str) -> UUID | None:
    """The registration, newest first, of the party with a code in a session; None when the code is no party's there."""
    row = await tx.fetch_one(
        """SELECT r.registration_id FROM registration r JOIN party p USING (party_id)
           WHERE r.session_id = :session_id AND p.code = :code ORDER BY r.state = 'ended', r.joined_at DESC LIMIT 1""",
        session_id=session_id,
        code=code,
    )
    return row.registration_id if row is not None else None


async def first_seen(tx: Transaction, session_id: UUID, reading_id: UUID, registration_id: UUID) -> bool:
    """Keeps that a reading was counted; False when it has been. The session is locked."""
    fresh = await tx.execute(
        "INSERT INTO reading VALUES (:session_id, :reading_id, :registration_id) ON CONFLICT DO NOTHING",
        session_id=session_id,
        reading_id=reading_id,
        registration_id=registration_id,
    )
    return bool(fresh)


async def too_often_absent(
    tx: Transaction, absences_max: int, now: datetime, after: tuple[UUID, UUID], limit: int
) -> list[tuple[UUID, UUID]]:
    """Session and registration of what parties still hold in an event of which they missed too many sessions."""
    rows = await tx.fetch_all(
        """SELECT r.session_id, r.registration_id FROM registration r JOIN session s USING (session_id)
           WHERE r.state IN ('waiting', 'offered', 'registered') AND s.state = 'open' AND s.starts_at > :now
             AND (SELECT count(*) FROM registration a WHERE a.party_id = r.party_id AND a.state = 'absent') >= :absences_max
             AND (r.session_id, r.registration_id) > (:session_id, :registration_id)
           ORDER BY r.session_id, r.registration_id LIMIT :limit""",
        absences_max=absences_max,
        now=now,
        session_id=after[0],
        registration_id=after[1],
        limit=limit,
    )
    return [(row.session_id, row.registration_id) for row in rows]
