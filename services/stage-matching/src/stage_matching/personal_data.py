"""Forgets a person; what is left of them is random ids and closed codes."""

from __future__ import annotations

from common import case_links
from common.transaction import Transaction
from stage_matching import agreement_store, handlers, requests, store
from stage_matching.handlers import Acting


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
        # No case of the observatory is theirs by what is left.
        await case_links.attach(tx, one.application_id, None)
    await requests.withdraw(tx, row.seeker_id)
    await tx.execute("UPDATE application SET letter = NULL WHERE seeker_id = :id", id=row.seeker_id)
    await tx.execute(
        "UPDATE seeker SET account = NULL, contact_email = NULL, display_name = NULL WHERE seeker_id = :id",
        id=row.seeker_id,
    )
    await agreement_store.erase_seeker(tx, row.seeker_id)
    await tx.execute("DELETE FROM mail WHERE recipient = :address", address=row.contact_email)
    # Answers are kept for repeated requests; a host's have the letters that it read.
    await tx.execute(
        "DELETE FROM idempotency_key WHERE caller = :account OR answer ->> 'application_id' = ANY(:ids)",
        account=row.account,
        ids=[str(one.application_id) for one in applications],
    )
    return len(applications)
