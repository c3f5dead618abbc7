"""Everything that the service knows of somebody, and forgetting it: the work of the command line and of the pages."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from common.personal_data import forget_contact, forget_mails_and_answers, rows_about
from common.transaction import Transaction
from parents_cafes import handlers, household_store, http


async def export_address(tx: Transaction, address: str) -> dict[str, Any] | None:
    """All rows that speak of an address, by table; None when there is none."""
    return await _export(tx, address.strip().lower(), household_store.hashed(tx, address))


async def export_household(tx: Transaction, household_id: UUID) -> dict[str, Any] | None:
    """The same for a household, whose address may be forgotten already."""
    row = await household_store.find_household(tx, household_id)
    return await _export(tx, row.email or "", row.email_hash) if row is not None else None


async def _export(tx: Transaction, address: str, email_hash: str) -> dict[str, Any] | None:
    return await rows_about(tx, _QUERIES, address=address, hash=email_hash)


_QUERIES = {
    "household": """SELECT household_id, email, title, created_at, mail_count FROM household
        WHERE email_hash = :hash OR email = :address""",
    "registrations": """SELECT v.title AS venue, v.commune_code, c.theme, c.starts_at, r.seat_count, r.state, r.joined_at,
            r.priority, r.code, r.visitor_count, r.end_reason, r.ended_at, r.moved_until
        FROM household h JOIN registration r ON r.holder_id = h.household_id JOIN cafe c USING (cafe_id)
            JOIN venue v USING (venue_id) WHERE h.email_hash = :hash ORDER BY c.starts_at""",
    "requests": """SELECT email, title, seat_count, wait, asked_at, expires_at FROM request
        WHERE email_hash = :hash OR email = :address ORDER BY asked_at""",
    "facilitator": "SELECT title, email FROM facilitator WHERE email = :address",
    "coordinator": "SELECT account, contact_email FROM coordinator WHERE contact_email = :address",
    "mails": "SELECT subject, sent_at FROM mail WHERE recipient = :address ORDER BY id",
}


async def erase_address(tx: Transaction, address: str) -> int | None:
    """Erases whoever writes from an address, in one transaction: how many registrations are left of nobody; None if nobody is."""
    address = address.strip().lower()
    if await export_address(tx, address) is None:
        return None
    by_hash = household_store.hashed(tx, address)
    await household_store.lock_requests(tx, email_hash=by_hash, email=address)
    row = await tx.fetch_one("SELECT household_id FROM household WHERE email_hash = :hash", hash=by_hash)
    count = await erase_household(tx, row.household_id) if row is not None else 0
    await tx.execute("DELETE FROM request WHERE email_hash = :hash OR email = :address", hash=by_hash, address=address)
    # Cafés keep who runs them as somebody without a name; another is found by their coordinator.
    await tx.execute("UPDATE facilitator SET title = NULL, email = NULL WHERE email = :address", address=address)
    await forget_contact(tx, "coordinator", address)
    await forget_mails_and_answers(tx, address, http.public(address).subject)
    return count


async def erase_household(tx: Transaction, household_id: UUID) -> int:
    """Cancels what a household holds of cafés to come, and forgets it, its hash too; how many registrations are left of nobody."""
    await household_store.lock_requests(tx, household_id=household_id)
    if await household_store.lock_household(tx, household_id) is None:
        return 0
    # Who is erased needs no warning.
    await handlers.leave_all(tx, household_id)
    rows = await household_store.registrations(tx, household_id=household_id)
    await tx.execute("UPDATE registration SET owed = NULL WHERE holder_id = :id", id=household_id)
    # Answers that were kept for a repeated request, with the household's link in them.
    await tx.execute(
        """DELETE FROM idempotency_key WHERE caller = 'household/' || :id
               OR caller IN (SELECT 'request/' || request_id FROM request WHERE household_id = CAST(:id AS uuid))""",
        id=str(household_id),
    )
    await tx.execute("DELETE FROM request WHERE household_id = :id", id=household_id)
    found = await tx.fetch_one("SELECT email FROM household WHERE household_id = :id", id=household_id)
    await tx.execute(
        "UPDATE household SET email = NULL, email_hash = NULL, title = NULL WHERE household_id = :id", id=household_id
    )
    await tx.execute(
        "DELETE FROM mail WHERE recipient = :email OR split_part(message_key, ':', 2) = :id",
        email=found.email if found is not None else None,
        id=str(household_id),
    )
    return len(rows)
