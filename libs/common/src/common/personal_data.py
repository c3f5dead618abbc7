"""What finding and forgetting somebody by their address has in common in every service that knows addresses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.identity import PERSON
from common.transaction import Transaction


async def rows_about(tx: Transaction, queries: Mapping[str, str], **who: str) -> dict[str, Any] | None:
    """All rows that speak of somebody, by the name of their query; None when there is none."""
    found = {name: [dict(row._mapping) for row in await tx.fetch_all(sql, **who)] for name, sql in queries.items()}
    return found if any(found.values()) else None


async def forget_contact(tx: Transaction, table: str, address: str) -> None:
    """A structure keeps what it owns, without a person to write to; somebody who acted for themselves is no longer named."""
    await tx.execute(
        f"""UPDATE {table} SET contact_email = NULL, account = CASE WHEN account LIKE :person THEN NULL ELSE account END
           WHERE contact_email = :address""",
        address=address,
        person=f"{PERSON}%",
    )


async def forget_mails_and_answers(tx: Transaction, address: str, caller: str) -> None:
    """Mails to an address or that name it, and the answers that were kept for what its caller might repeat."""
    await tx.execute("DELETE FROM mail WHERE recipient = :address OR strpos(body, :address) > 0", address=address)
    await tx.execute("DELETE FROM idempotency_key WHERE caller = :caller", caller=caller)
