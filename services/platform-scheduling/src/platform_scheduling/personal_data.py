"""Forgets who booked; what is left of them is random ids, slots and group sizes."""

from __future__ import annotations

from common import case_links
from common.transaction import Transaction
from platform_scheduling import handlers, store
from platform_scheduling.handlers import Acting


async def erase_requester(tx: Transaction, person: str) -> int | None:
    """Erases one requester in one transaction: how many bookings are left without them; None when nobody is known."""
    row = await tx.fetch_one(
        "SELECT * FROM requester WHERE account = :person OR contact_email = :person FOR UPDATE", person=person
    )
    if row is None or row.account is None:
        return None
    now = await tx.now()
    bookings = await store.bookings(tx, requester_id=row.requester_id, limit=100_000)
    # Platforms in the order in which everybody locks them.
    for one in sorted(bookings, key=lambda one: one.platform_id):
        if one.due_at is not None and one.starts_at > now:
            await handlers.cancel(tx, Acting(account=row.account), one.booking_id)
    # The cases are other people's, of whom the observatory keeps what it has learnt.
    await case_links.forget(tx, [one.booking_id for one in bookings])
    ids = [str(one.booking_id) for one in bookings]
    await tx.execute("UPDATE booking SET purpose = NULL WHERE requester_id = :id", id=row.requester_id)
    await tx.execute(
        """UPDATE requester SET account = NULL, requester_title = 'Effacé', contact_email = NULL, feed_secret = gen_random_uuid()
           WHERE requester_id = :id""",
        id=row.requester_id,
    )
    # Those to owners name who asked.
    await tx.execute(
        """DELETE FROM mail WHERE recipient = :address
           OR split_part(message_key, ':', 2) = ANY(:ids)""",
        address=row.contact_email,
        ids=ids,
    )
    await tx.execute(
        "DELETE FROM idempotency_key WHERE caller IN (:account, :person) OR answer ->> 'booking_id' = ANY(:ids)",
        account=row.account,
        person=person,
        ids=ids,
    )
    return len(bookings)
