"""Everything that the service knows of somebody, and forgetting it: the work of the command line and of the pages."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from common import case_links
from common.identity import PERSON
from common.personal_data import forget_contact, forget_mails_and_answers, rows_about
from common.transaction import Transaction
from events import handlers, http, party_store


async def export_address(tx: Transaction, address: str) -> dict[str, Any] | None:
    """All rows that speak of an address, by table; None when there is none."""
    return await rows_about(tx, _QUERIES, address=address.strip().lower())


_QUERIES = {
    "registrations": """SELECT e.description ->> 'title' AS event, s.title AS session, s.starts_at, p.title, p.code, p.kind,
            p.school_uai, p.female_count, p.male_count, r.seat_count, r.state, r.joined_at, r.visitor_count, r.end_reason
        FROM person o JOIN party p USING (person_id) JOIN event e USING (event_id) JOIN registration r USING (party_id)
            JOIN session s ON s.session_id = r.session_id WHERE o.email = :address ORDER BY s.starts_at""",
    "ambassador": """SELECT title, email, kind, rome_codes, commune_code, radius_km, host_siret, withdrawn, asked_at
        FROM ambassador WHERE email = :address""",
    "visits": """SELECT visit_on, rome_code, commune_code, asker_title, details, state FROM visit
        WHERE asker_contact = :address ORDER BY visit_on""",
    "organiser": """SELECT o.contact_email, o.account, e.description ->> 'title' AS event FROM organiser o
        LEFT JOIN event e USING (organiser_id) WHERE o.contact_email = :address""",
    "kits": "SELECT title, keeper_contact FROM kit WHERE keeper_contact = :address",
    "mails": "SELECT subject, sent_at FROM mail WHERE recipient = :address ORDER BY id",
}


async def erase_address(tx: Transaction, address: str) -> int | None:
    """Erases whoever writes from an address, in one transaction: how many registrations are left without them; None if nobody."""
    address = address.strip().lower()
    if await export_address(tx, address) is None:
        return None
    # In the order in which registrations lock: the person before sessions.
    await tx.execute("SELECT 1 FROM person WHERE email = :address FOR UPDATE", address=address)
    parties = await tx.fetch_all(
        "SELECT party_id FROM party JOIN person USING (person_id) WHERE email = :address ORDER BY party_id",
        address=address,
    )
    count = await erase_parties(tx, [party.party_id for party in parties])
    await tx.execute("UPDATE person SET email = NULL WHERE email = :address", address=address)
    # Whoever was asked for a visit is no longer there: the sweeper asks the next at once.
    ambassadors = await tx.fetch_all("SELECT ambassador_id FROM ambassador WHERE email = :address", address=address)
    ids = [row.ambassador_id for row in ambassadors]
    await tx.execute(
        "UPDATE ambassador SET email = NULL, title = NULL, withdrawn = true WHERE ambassador_id = ANY(:ids)", ids=ids
    )
    await tx.execute(
        "UPDATE visit SET due_at = clock_timestamp() WHERE state = 'searching' AND ambassador_id = ANY(:ids)", ids=ids
    )
    # A structure keeps its events and kits; somebody who acted for themselves is no longer named by their account.
    theirs = {"address": address, "person": f"{PERSON}%"}
    await tx.execute(
        """UPDATE visit SET asker = 'effacé' WHERE asker LIKE :person AND asker IN
               (SELECT account FROM organiser WHERE contact_email = :address) OR asker_contact = :address AND asker LIKE :person""",
        **theirs,
    )
    await tx.execute(
        """UPDATE visit SET asker_title = NULL, asker_contact = NULL, details = NULL WHERE asker_contact = :address""",
        address=address,
    )
    await tx.execute(
        """UPDATE kit SET keeper_contact = NULL, keeper = CASE WHEN keeper LIKE :person THEN 'effacé' ELSE keeper END
           WHERE keeper_contact = :address""",
        **theirs,
    )
    await forget_contact(tx, "organiser", address)
    await forget_mails_and_answers(tx, address, http.public(address).subject)
    return count


async def erase_parties(tx: Transaction, party_ids: list[UUID]) -> int:
    """Cancels what parties hold of sessions to come, and forgets their words; how many registrations are left of nobody."""
    now = await tx.now()
    rows = await party_store.registrations(tx, party_ids=party_ids, limit=100_000)
    # Sessions in the order in which everybody locks them, whichever party is in them.
    for row in sorted(rows, key=lambda row: row.session_id):
        if row.state in ("waiting", "offered", "registered") and row.starts_at > now:
            await handlers.cancel(tx, row.party_id, row.registration_id)
    # A group's case is somebody else's, of whom the observatory keeps what it has learnt.
    await case_links.forget(tx, [row.registration_id for row in rows])
    await tx.execute("UPDATE registration SET owed = NULL WHERE party_id = ANY(:ids)", ids=party_ids)
    await tx.execute("UPDATE party SET title = NULL WHERE party_id = ANY(:ids)", ids=party_ids)
    await tx.execute(
        "DELETE FROM mail WHERE split_part(message_key, ':', 2) = ANY(:ids)", ids=[str(one) for one in party_ids]
    )
    return len(rows)
