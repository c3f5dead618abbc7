"""Who manages the offers that a table brought: the establishment's contact answers by a link, its account takes over, the agency decides."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import HTTPException, Request
from fastapi.responses import Response

from common.commands import Sent, command
from common.desk import Desk, Routes, done
from common.http import Answer, answer
from common.identity import Principal
from common.links import subject_of
from common.transaction import Transaction
from stage_matching import claims, hosts, http

_STALE = "Ce lien est périmé ou incomplet : écrivez à l’agence."


class ClaimDesk(Desk):
    """The routes of claims."""

    def forms(self) -> Routes:
        """What each may answer, and what is said when it is done."""

        def agency(action: str, said: str) -> Any:
            return http.answer_claim.form(then=lambda _: done("/reprises", said), refused=self.waiting, action=action)

        return {
            "/reprendre/{link}": take_over.form(
                then=lambda _: done("/mes-offres", "Vous gérez désormais ces offres."), refused=self.offered
            ),
            "/reprises/{claim_id}/acceptation": agency("acceptance", "Accepté : le compte est prévenu."),
            "/reprises/{claim_id}/refus": agency("refusal", "Refusé : le compte est prévenu."),
            "/reprises/{link}/oui": answer_by_link.form(refused=self.asked, accepted=True),
            "/reprises/{link}/non": answer_by_link.form(refused=self.asked, accepted=False),
        }

    async def list(self, request: Request) -> Response:
        """What the agency has to decide."""
        return await self.waiting(request, self.who(request, "agency"))

    async def waiting(self, request: Request, principal: Principal, *, sent: Sent | None = None, **_: Any) -> Response:
        """The page, or the same after a form that was refused."""
        async with self.database.transaction() as tx:
            rows = await claims.waiting(tx)
        return self.page(request, "claims.html", principal, sent=sent, rows=rows)

    async def claim(self, request: Request, link: str) -> Response:
        """What an establishment's contact is asked."""
        return await self.asked(request, None, link)

    async def asked(self, request: Request, _: Principal | None, link: str, *, sent: Sent | None = None) -> Response:
        """The page, or the same once it is answered."""
        claim_id = _claim_of(await contact_by_link(request, link))
        async with self.database.transaction() as tx:
            row = await claims.find(tx, claim_id)
        if row is None:
            raise HTTPException(404, "Cette demande n’existe plus.")
        return self.page(request, "claim.html", None, sent=sent, row=row, link=link)

    async def offer(self, request: Request, link: str) -> Response:
        """What an account takes over by a link that an establishment's contact received."""
        return await self.offered(request, self.who(request, "host"), link)

    async def offered(self, request: Request, principal: Principal, link: str, *, sent: Sent | None = None) -> Response:
        """The page, or the same after it was refused."""
        async with self.database.transaction() as tx:
            row = await hosts.find(tx, _host_of(tx, link))
        return self.page(request, "take_over.html", principal, sent=sent, row=row, link=link)


@command("host")
async def take_over(tx: Transaction, principal: Principal, link: str) -> Answer:
    """An account takes over what the link names: only the establishment's contact received it."""
    refusal = await claims.take_over(tx, _host_of(tx, link), http.structure_of(principal), principal.contact)
    return answer(refusal, {})


async def contact_by_link(request: Request, link: str) -> Principal:
    """Stands for the contact of an establishment, by the link to a claim."""
    subject = subject_of(request.app.state.runtime.settings.session_secret, claims.ANSWER, link)
    if subject is None:
        raise HTTPException(403, _STALE)
    return Principal(f"host-contact/{subject}", frozenset())


@command(who=contact_by_link)
async def answer_by_link(tx: Transaction, principal: Principal, accepted: bool) -> Answer:
    """The contact says whether the account is the establishment's own."""
    return answer(await claims.decide(tx, _claim_of(principal), accepted=accepted), {})


def _claim_of(principal: Principal) -> UUID:
    return UUID(principal.subject.removeprefix("host-contact/"))


def _host_of(tx: Transaction, link: str) -> UUID:
    subject = tx.subject_of(claims.TAKE_OVER, link)
    if subject is None:
        raise HTTPException(403, _STALE)
    return UUID(subject)
