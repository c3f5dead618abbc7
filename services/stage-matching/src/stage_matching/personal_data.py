"""Forgets a person; what is left of them is random ids and closed codes."""

from __future__ import annotations

from uuid import UUID

from common.transaction import Transaction
from stage_matching import handlers, requests, store
from stage_matching.handlers import Acting
from stage_matching.messages import RequestEndReason


async def erase_seeker(tx: Transaction, person: str) -> int | None:
    """Erases one person in one transaction: how many applications are left without them; None when nobody is known."""
    row = await tx.fetch_one(
        "SELECT * FROM seeker WHERE account = :person OR contact_email = :person FOR UPDATE", person=person
    )
    if row is None or row.account is None:
        return None
    applications = await store.applications_of(tx, seeker_id=row.seeker_id)
    # Offers in the order in which everybody locks them.
    for one in sorted(applications, key=lambda one: one.offer_id):
        if one.due_at is not None:
            await handlers.withdraw(tx, Acting(account=row.account), one.application_id)
    await _end_request(tx, row.seeker_id)
    await tx.execute("UPDATE application SET letter = NULL WHERE seeker_id = :id", id=row.seeker_id)
    await tx.execute("UPDATE seeker SET account = NULL, contact_email = NULL WHERE seeker_id = :id", id=row.seeker_id)
    await tx.execute("DELETE FROM mail WHERE recipient = :address", address=row.contact_email)
    # Answers are kept for repeated requests; a host's have the letters that it read.
    await tx.execute(
        "DELETE FROM idempotency_key WHERE caller = :account OR answer ->> 'application_id' = ANY(:ids)",
        account=row.account,
        ids=[str(one.application_id) for one in applications],
    )
    return len(applications)


async def _end_request(tx: Transaction, seeker_id: UUID) -> None:
    rows = await tx.fetch_all(
        "SELECT * FROM request WHERE seeker_id = :id AND campaign_id IS NULL AND version > 0 FOR UPDATE", id=seeker_id
    )
    await requests.end(tx, rows, RequestEndReason.WITHDRAWN, await tx.now())
    await tx.execute("DELETE FROM request WHERE seeker_id = :id AND campaign_id IS NULL", id=seeker_id)
