"""Organisations that a table brought have no account: how one is shown to be theirs, and takes them over.

The establishment's contact says yes by a link that only its address receives, or the agency does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from common.failures import Refusal
from common.transaction import Transaction
from stage_matching import hosts

# What a link is for: to answer a claim, without an account; to take an organisation over, with the account that does.
ANSWER, TAKE_OVER = "host-claim", "host-take-over"
LINK_DAYS = 60
NOT_FOUND = Refusal("not_found", "Cette demande de reprise n’existe pas.")
_OVER = Refusal("claim_over", "Cet organisme a déjà son compte : il n’y a plus rien à reprendre.")
_OTHER_HOST = Refusal(
    "account_has_host",
    "Ce compte décrit déjà un autre organisme : reprenez celui-ci avec un compte à lui, ou écrivez à l’agence.",
)


async def host_of_account(tx: Transaction, structure_id: UUID) -> UUID:
    """The organisation that an account acts for: the one it took over, or the one of its own id."""
    row = await tx.fetch_one("SELECT host_id FROM host_account WHERE structure_id = :id", id=structure_id)
    return row.host_id if row else structure_id


async def ask(
    tx: Transaction, structure_id: UUID, siret: str, contact_email: str | None
) -> Refusal | dict[str, Any] | None:
    """An account gives the SIRET of an organisation that a table brought: what was asked, and of whom; None for any other SIRET."""
    host = await hosts.of_siret(tx, siret)
    if host is None or not host.claimable:
        return None
    if await hosts.find(tx, structure_id) is not None:
        return _OTHER_HOST
    claim = await tx.fetch_one(
        "SELECT claim_id FROM host_claim WHERE host_id = :host_id AND structure_id = :structure_id AND state = 'asked'",
        host_id=host.host_id,
        structure_id=structure_id,
    )
    claim_id = claim.claim_id if claim else uuid4()
    if claim is None:
        await tx.execute(
            """INSERT INTO host_claim (claim_id, host_id, structure_id, contact_email, state, asked_at)
               VALUES (:id, :host_id, :structure_id, :contact_email, 'asked', :now)""",
            id=claim_id,
            host_id=host.host_id,
            structure_id=structure_id,
            contact_email=contact_email,
            now=await tx.now(),
        )
        if host.contact_email is not None:
            link = tx.signed_address("/reprises", ANSWER, str(claim_id), LINK_DAYS)
            await tx.mail(
                message_key=f"claim:{claim_id}",
                recipient=host.contact_email,
                subject=f"Qui gère les stages de {host.host_name} ?",
                body=(
                    f"Un compte ({contact_email or 'sans adresse'}) demande à gérer les offres de stage de {host.host_name}.\n"
                    f"Si c’est bien quelqu’un de chez vous, acceptez ; sinon refusez :\n\n{link}"
                ),
            )
    who = "l’adresse connue de l’établissement" if host.contact_email is not None else "l’agence"
    detail = (
        f"Cet organisme a déjà des offres, venues d’un tableau. Nous demandons à {who} si votre compte est le sien."
    )
    return {"claim_id": claim_id, "asked": "contact" if host.contact_email is not None else "agency", "detail": detail}


async def take_over(tx: Transaction, host_id: UUID, structure_id: UUID, contact_email: str | None) -> Refusal | None:
    """An account takes over an organisation: whoever calls has shown that it may. All other claims on it are over."""
    host = await hosts.lock(tx, host_id)
    if host is None:
        return NOT_FOUND
    if await host_of_account(tx, structure_id) == host_id and not host.claimable:
        return None
    if not host.claimable:
        return _OVER
    if await hosts.find(tx, structure_id) is not None or await host_of_account(tx, structure_id) != structure_id:
        return _OTHER_HOST
    await tx.execute(
        "INSERT INTO host_account (structure_id, host_id) VALUES (:structure_id, :host_id)",
        structure_id=structure_id,
        host_id=host_id,
    )
    await tx.execute(
        "UPDATE host SET claimable = false, contact_email = COALESCE(:contact_email, contact_email) WHERE host_id = :id",
        id=host_id,
        contact_email=contact_email,
    )
    others = await tx.fetch_all(
        "UPDATE host_claim SET state = 'refused' WHERE host_id = :id AND state = 'asked' AND structure_id <> :structure_id RETURNING *",
        id=host_id,
        structure_id=structure_id,
    )
    await tx.execute("UPDATE host_claim SET state = 'accepted' WHERE host_id = :id AND state = 'asked'", id=host_id)
    for other in others:
        await _tell(tx, other, host.host_name, accepted=False)
    return None


async def decide(tx: Transaction, claim_id: UUID, *, accepted: bool) -> Refusal | None:
    """The contact or the agency answers; saying the same again changes nothing."""
    claim = await tx.fetch_one("SELECT * FROM host_claim WHERE claim_id = :id FOR UPDATE", id=claim_id)
    if claim is None:
        return NOT_FOUND
    if claim.state != "asked":
        same = (claim.state == "accepted") == accepted
        return None if same else Refusal("claim_over", "Il a déjà été répondu à cette demande : écrivez à l’agence.")
    if accepted:
        refusal = await take_over(tx, claim.host_id, claim.structure_id, claim.contact_email)
        if refusal is not None:
            return refusal
    else:
        await tx.execute("UPDATE host_claim SET state = 'refused' WHERE claim_id = :id", id=claim_id)
    host = await hosts.find(tx, claim.host_id)
    await _tell(tx, claim, host.host_name, accepted=accepted)
    return None


async def _tell(tx: Transaction, claim: Any, host_name: str, *, accepted: bool) -> None:
    if claim.contact_email is None:
        return
    said = (
        f"Votre compte gère désormais {host_name} : ses offres et les candidatures qui attendent sont ici.\n\n{tx.address('/mes-offres')}"
        if accepted
        else f"Votre demande pour {host_name} n’a pas été acceptée. Si c’est une erreur, écrivez à l’agence."
    )
    await tx.mail(
        message_key=f"claim-answer:{claim.claim_id}",
        recipient=claim.contact_email,
        subject=f"Votre demande pour {host_name}",
        body=said,
    )


async def why_unreachable(tx: Transaction, host_id: UUID) -> Refusal | None:
    """Why nobody would read an application to this organisation, if nobody would."""
    host = await hosts.find(tx, host_id)
    if host is None or not host.claimable or host.contact_email is not None:
        return None
    return Refusal(
        "host_unreachable",
        "Cet organisme n’a pas encore de compte, et nous n’avons pas d’adresse où lui écrire : appelez-le, ou choisissez une autre offre.",
    )


# -- what is read


async def find(tx: Transaction, claim_id: UUID) -> Any:
    """A claim with the organisation that it is about, or None."""
    return await tx.fetch_one(f"{_CLAIM} WHERE claim_id = :id", id=claim_id)


async def open_of(tx: Transaction, structure_id: UUID) -> Any:
    """What an account asked for and nobody has answered, or None."""
    return await tx.fetch_one(
        f"{_CLAIM} WHERE c.structure_id = :id AND c.state = 'asked' ORDER BY c.asked_at DESC LIMIT 1", id=structure_id
    )


async def waiting(tx: Transaction) -> Sequence[Any]:
    """Every claim that nobody has answered, the oldest first."""
    return await tx.fetch_all(f"{_CLAIM} WHERE c.state = 'asked' ORDER BY c.asked_at, c.claim_id LIMIT 500")


_CLAIM = """SELECT c.*, h.host_name, h.siret, h.commune_code, h.contact_email AS host_email,
                (SELECT count(*) FROM offer o WHERE o.host_id = h.host_id) AS offer_count
            FROM host_claim c JOIN host h USING (host_id)"""
