"""Everything about one person, and its erasure: name, address, invitations, requests, mails. That somebody was a member is kept of nobody."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from common.personal_data import forget_mails_and_answers, rows_about
from common.transaction import Transaction
from directory import domain, store
from directory.messages import MembershipEndReason

_ABOUT = {
    "person": "SELECT * FROM person WHERE lower(email) = :address",
    "memberships": """SELECT m.*, o.title FROM membership m JOIN organisation o USING (organisation_id)
                      JOIN person p USING (subject_hash) WHERE lower(p.email) = :address""",
    "invitations": "SELECT i.*, o.title FROM invitation i JOIN organisation o USING (organisation_id) WHERE i.email = :address",
    "requests": """SELECT r.*, o.title FROM access_request r JOIN organisation o USING (organisation_id)
                   JOIN person p USING (subject_hash) WHERE lower(p.email) = :address""",
    "mails": "SELECT recipient, subject, created_at, sent_at FROM mail WHERE recipient = :address",
}


async def export_address(tx: Transaction, address: str) -> dict[str, Any] | None:
    """Every row about whoever has an address, or None."""
    return await rows_about(tx, _ABOUT, address=address.strip().lower())


async def erase_address(tx: Transaction, address: str) -> int | None:
    """Ends what they may do, and forgets who it was; counts the memberships that are left, of nobody. None when nobody is known."""
    address = address.strip().lower()
    if await export_address(tx, address) is None:
        return None
    left = 0
    for person in await tx.fetch_all("SELECT subject_hash FROM person WHERE lower(email) = :address", address=address):
        nobody = uuid4().hex
        for row in await store.memberships_of(tx, person.subject_hash):
            await store.lock(tx, row.organisation_id)
            one = await store.membership(tx, row.membership_id)
            assert one is not None
            ended = domain.end(one, MembershipEndReason.ERASED, await tx.now())
            if ended.messages:
                await store.save_membership(tx, one, ended)
        left += await tx.execute(
            "UPDATE membership SET subject_hash = :nobody WHERE subject_hash = :hash",
            hash=person.subject_hash,
            nobody=nobody,
        )
        await tx.execute("DELETE FROM access_request WHERE subject_hash = :hash", hash=person.subject_hash)
        await tx.execute("DELETE FROM person WHERE subject_hash = :hash", hash=person.subject_hash)
    await tx.execute(
        "UPDATE invitation SET email = '', state = CASE WHEN state = 'sent' THEN 'withdrawn' ELSE state END WHERE email = :address",
        address=address,
    )
    await forget_mails_and_answers(tx, address, address)
    return left
