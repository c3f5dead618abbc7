"""Loads and saves coordinators, venues and facilitators; names and addresses of people stay in this database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row

from common.transaction import Transaction
from parents_cafes.messages import VenueKind
from parents_cafes.state import Coordinator, Venue


async def coordinator_for(tx: Transaction, who: Coordinator) -> UUID:
    """The coordinator of an account, made the first time."""
    row = await tx.fetch_one(
        """INSERT INTO coordinator (coordinator_id, account, contact_email) VALUES (:id, :account, :email)
           ON CONFLICT (account) DO UPDATE SET contact_email = COALESCE(excluded.contact_email, coordinator.contact_email)
           RETURNING coordinator_id""",
        id=uuid4(),
        account=who.account,
        email=who.contact_email,
    )
    assert row is not None
    coordinator_id: UUID = row.coordinator_id
    return coordinator_id


async def find_coordinator(tx: Transaction, coordinator_id: UUID) -> Any:
    """Who plans a café: the account, and where it is written to; both are gone of whoever was erased."""
    return await tx.fetch_one("SELECT * FROM coordinator WHERE coordinator_id = :id", id=coordinator_id)


async def keeper_of(tx: Transaction, table: str, key: UUID) -> UUID | None:
    """Who described a venue or a facilitator, whose row is locked; None when it is new."""
    row = await tx.fetch_one(f"SELECT keeper_id FROM {table} WHERE {table}_id = :id FOR UPDATE", id=key)
    return row.keeper_id if row is not None else None


async def save_venue(tx: Transaction, venue: Venue, keeper_id: UUID) -> bool:
    """Writes a venue; False when somebody else has just made it."""
    return bool(
        await tx.execute(
            """INSERT INTO venue (venue_id, keeper_id, title, kind, commune_code, address, capacity_count, accessible)
           VALUES (:id, :keeper_id, :title, :kind, :commune_code, :address, :capacity_count, :accessible)
           ON CONFLICT (venue_id) DO UPDATE SET title = excluded.title, kind = excluded.kind, commune_code = excluded.commune_code,
               address = excluded.address, capacity_count = excluded.capacity_count, accessible = excluded.accessible
           WHERE venue.keeper_id = excluded.keeper_id""",
            id=venue.venue_id,
            keeper_id=keeper_id,
            title=venue.title,
            kind=venue.kind.value,
            commune_code=venue.commune_code,
            address=venue.address,
            capacity_count=venue.capacity_count,
            accessible=venue.accessible,
        )
    )


async def find_venue(tx: Transaction, venue_id: UUID) -> Venue | None:
    """A venue, which nobody describes otherwise until a café is planned in it; None when there is none."""
    row = await tx.fetch_one("SELECT * FROM venue WHERE venue_id = :id FOR SHARE", id=venue_id)
    return venue_of(row) if row is not None else None


async def venues(tx: Transaction) -> Sequence[Row[Any]]:
    """Every venue with its keeper's account."""
    return await tx.fetch_all(
        """SELECT v.*, o.account FROM venue v JOIN coordinator o ON o.coordinator_id = v.keeper_id ORDER BY v.title, v.venue_id"""
    )


async def cafes_at(tx: Transaction, venue_id: UUID) -> list[UUID]:
    """Cafés to come in a venue, by id: their descriptions follow when it changes."""
    rows = await tx.fetch_all(
        "SELECT cafe_id FROM cafe WHERE venue_id = :id AND state IN ('planned', 'open', 'confirmed') ORDER BY cafe_id",
        id=venue_id,
    )
    return [row.cafe_id for row in rows]


async def save_facilitator(tx: Transaction, facilitator_id: UUID, keeper_id: UUID, title: str, email: str) -> bool:
    """Writes a facilitator; False when somebody else has just made them."""
    return bool(
        await tx.execute(
            """INSERT INTO facilitator (facilitator_id, keeper_id, title, email) VALUES (:id, :keeper_id, :title, :email)
           ON CONFLICT (facilitator_id) DO UPDATE SET title = excluded.title, email = excluded.email
           WHERE facilitator.keeper_id = excluded.keeper_id""",
            id=facilitator_id,
            keeper_id=keeper_id,
            title=title,
            email=email,
        )
    )


async def find_facilitator(tx: Transaction, facilitator_id: UUID) -> Any:
    """A facilitator who is not erased, or None."""
    return await tx.fetch_one(
        "SELECT * FROM facilitator WHERE facilitator_id = :id AND email IS NOT NULL", id=facilitator_id
    )


async def facilitators(tx: Transaction) -> Sequence[Row[Any]]:
    """Every facilitator with their keeper's account."""
    return await tx.fetch_all(
        """SELECT f.*, o.account FROM facilitator f JOIN coordinator o ON o.coordinator_id = f.keeper_id
           WHERE f.email IS NOT NULL ORDER BY f.title, f.facilitator_id"""
    )


def venue_of(row: Row[Any]) -> Venue:
    """A venue in its row."""
    return Venue(
        row.venue_id,
        row.title,
        VenueKind(row.kind),
        row.commune_code,
        row.capacity_count,
        row.address,
        row.accessible,
    )
