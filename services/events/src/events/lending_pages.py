"""Pages of kits and of the directory of ambassadors, for those who ask and those who keep; and an ambassador's signed link."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID, uuid4

from fastapi import HTTPException, Request
from fastapi.responses import Response

from common.commands import Endpoint, Sent, Words, command
from common.desk import Desk, Routes, done
from common.http import Answer, answer
from common.identity import Principal
from common.links import subject_of
from common.pages import PARIS
from common.transaction import Transaction
from events import ambassador_handlers, ambassador_store, event_store, kit_store, lending_http, notices
from events.http import ORGANISERS, PROFESSIONALS, is_professional
from events.lending_http import keeps, taken_days
from events.messages import AmbassadorAnswer
from events.state import Description
from territory import places

_FIELDS = {
    "title": "nom",
    "rome_codes": "métiers",
    "rome_code": "métier",
    "commune_code": "commune",
    "first_on": "premier jour",
    "last_on": "dernier jour",
    "visit_on": "jour",
    "email": "adresse mail",
    "radius_km": "rayon",
}
WORDS = Words(_FIELDS)
# Begins what an ambassador's link stands for.
_AMBASSADOR = "ambassador/"


class LendingDesk(Desk):
    """The routes of kits and ambassadors."""

    def forms(self) -> Routes:
        """What may be sent about kits and ambassadors, and what is said when it is done."""

        def by_link(said: AmbassadorAnswer) -> Endpoint:
            return answer_visit.form(refused=self.asked_of, said=said)

        def answers(action: str) -> Endpoint:
            return lending_http.answer_loan.form(then=_noted, refused=self.kits_of, action=action)

        def returned(damaged: bool) -> Endpoint:
            return lending_http.return_kit.form(read=lambda _: {"damaged": damaged}, then=_noted, refused=self.kits_of)

        return {
            "/kits/{kit_id}": lending_http.describe_kit.form(
                read=_kit_typed,
                then=lambda _: done("/kits", "Kit enregistré."),
                refused=self.kits_of,
                words=WORDS,
            ),
            "/kits/{kit_id}/prets": lending_http.ask_for_kit.form(
                read=_loan_typed, then=_asked, refused=self.kits_of, words=WORDS
            ),
            "/kits/{kit_id}/remise-en-etat": lending_http.repair_kit.form(
                then=lambda _: done("/kits", "Kit remis en état."), refused=self.kits_of
            ),
            "/prets/{loan_id}/annulation": lending_http.give_loan_up.form(then=_noted, refused=self.kits_of),
            "/prets/{loan_id}/reservation": answers("reservation"),
            "/prets/{loan_id}/refus": answers("refusal"),
            "/prets/{loan_id}/sortie": answers("hand-over"),
            "/prets/{loan_id}/retour": returned(damaged=False),
            "/prets/{loan_id}/retour-abime": returned(damaged=True),
            "/ambassadeurs/visites": lending_http.ask_for_visit.form(
                read=_visit_typed,
                then=lambda _: done(
                    "/ambassadeurs", "Demande envoyée : nous vous écrivons dès que quelqu’un accepte.", "mes-visites"
                ),
                refused=self.directory,
                words=WORDS,
            ),
            "/ambassadeurs/visites/{visit_id}/annulation": lending_http.cancel_visit.form(
                then=lambda _: done("/ambassadeurs", "Demande annulée.", "mes-visites"), refused=self.directory
            ),
            "/ambassadeurs/{ambassador_id}": lending_http.describe_ambassador.form(
                read=_ambassador_typed,
                then=lambda _: done("/ambassadeurs", "Annuaire mis à jour.", "annuaire"),
                refused=self.directory,
                words=WORDS,
            ),
            "/ambassadeur/{token}/oui": by_link(AmbassadorAnswer.ACCEPTED),
            "/ambassadeur/{token}/non": by_link(AmbassadorAnswer.REFUSED),
        }

    # -- kits

    async def kits(self, request: Request) -> Response:
        """Kits with the days on which they are taken, one's own loans, and for a keeper what is asked."""
        return await self.kits_of(request, self.identity.session(request))

    async def kits_of(
        self, request: Request, principal: Principal | None, *, sent: Sent | None = None, **_: UUID
    ) -> Response:
        """The page, or the same after a form that was refused."""
        may_ask = is_professional(principal)
        async with self.database.transaction() as tx:
            now = await tx.now()
            today = now.astimezone(PARIS).date()
            rows = await kit_store.find_kits(tx)
            taken = await taken_days(tx, [row.kit_id for row in rows])
            account = principal.account if principal is not None else ""
            mine = await kit_store.loans(tx, borrower=account) if may_ask else []
            asked = await kit_store.loans(tx, keeper=account) if keeps(principal) else []
            events: list[tuple[UUID, Description]] = []
            if principal is not None and not principal.roles.isdisjoint(ORGANISERS):
                events = [
                    (row.event_id, event_store.description_of(row))
                    for row in await event_store.events_of(tx, account)
                    if row.state != "cancelled" and (row.ends_at is None or row.ends_at > now)
                ]
        return self.page(
            request,
            "kits.html",
            principal,
            sent=sent,
            rows=rows,
            taken=taken,
            mine=_shown(mine, today),
            asked=[one for one in _shown(asked, today) if one[0].state != "ended"],
            events=events,
            keeps=keeps(principal),
            may_ask=may_ask,
            today=today,
            new_id=uuid4(),
        )

    # -- ambassadors

    async def ambassadors(self, request: Request) -> Response:
        """Asks for a visit, follows one's own; for a keeper, the directory."""
        principal = self.who(request, *PROFESSIONALS)
        return await self.directory(request, principal)

    async def directory(
        self, request: Request, principal: Principal, *, sent: Sent | None = None, **_: UUID
    ) -> Response:
        """The page, or the same after a form that was refused."""
        async with self.database.transaction() as tx:
            now = await tx.now()
            visits = await ambassador_store.visits(tx, asker=principal.account)
            people = await ambassador_store.people(tx) if keeps(principal) else []
        return self.page(
            request,
            "ambassadors.html",
            principal,
            sent=sent,
            visits=visits,
            people=people,
            keeps=keeps(principal),
            today=now.astimezone(PARIS).date(),
            new_id=uuid4(),
        )

    # -- an ambassador's link

    async def asked(self, request: Request, token: str) -> Response:
        """What somebody of the directory is asked."""
        return await self.asked_of(request, None, token)

    async def asked_of(
        self, request: Request, _: Principal | None, token: str, *, sent: Sent | None = None
    ) -> Response:
        """The page, or the same with what became of the answer."""
        ambassador_id, visit_id = _asked_by(await ambassador_by_link(request, token))
        async with self.database.transaction() as tx:
            rows = await ambassador_store.visits(tx, visit_id=visit_id)
            now = await tx.now()
        if not rows:
            raise HTTPException(404, "Cette demande n'existe plus.")
        row = rows[0]
        waits = (
            row.state == "searching"
            and row.ambassador_id == ambassador_id
            and row.due_at is not None
            and row.due_at > now
        )
        comes = row.state == "accepted" and row.ambassador_id == ambassador_id
        return self.page(request, "asked.html", None, sent=sent, row=row, token=token, waits=waits, comes=comes)


async def ambassador_by_link(request: Request, token: str) -> Principal:
    """Stands for somebody of the directory and the visit that they are asked for, by their link."""
    subject = subject_of(request.app.state.runtime.settings.session_secret, notices.AMBASSADOR_LINK, token)
    if subject is None:
        raise HTTPException(403, "Ce lien n'est pas le bon ou n'est plus valable : reprenez celui du mail.")
    return Principal(f"{_AMBASSADOR}{subject}", frozenset())


@command(who=ambassador_by_link)
async def answer_visit(tx: Transaction, principal: Principal, said: AmbassadorAnswer) -> Answer:
    """Comes, or cannot."""
    return answer(await ambassador_handlers.answer(tx, *_asked_by(principal), said), {})


def _asked_by(principal: Principal) -> tuple[UUID, UUID]:
    """The ambassador, and the visit."""
    ambassador_id, _, visit_id = principal.subject.removeprefix(_AMBASSADOR).partition("/")
    return UUID(ambassador_id), UUID(visit_id)


def _noted(sent: Sent) -> Response:
    return done("/kits", "C’est noté.", "prets" if keeps(sent.principal) else "mes-prets")


def _asked(sent: Sent) -> Response:
    reserved = sent.content["state"] == "reserved"
    return done("/kits", "Kit réservé." if reserved else "Demande envoyée.", "mes-prets")


def _kit_typed(sent: Sent) -> dict[str, Any]:
    return {
        "title": sent.typed.get("title", ""),
        "contents": sent.typed.get("contents", "").replace("\r\n", "\n"),
        "rome_codes": _codes(sent.typed.get("rome", "")),
        "commune_code": places.find(sent.typed.get("commune", "")),
        "withdrawn": sent.typed.get("withdrawn") == "1",
    }


def _loan_typed(sent: Sent) -> dict[str, Any]:
    return {
        "first_on": sent.typed.get("du", ""),
        "last_on": sent.typed.get("au", ""),
        "event_id": sent.typed.get("evenement") or None,
    }


def _visit_typed(sent: Sent) -> dict[str, Any]:
    return {
        "rome_code": sent.typed.get("metier", ""),
        "kind": sent.typed.get("qui") or None,
        "commune_code": places.find(sent.typed.get("commune", "")),
        "visit_on": sent.typed.get("jour", ""),
        "details": sent.typed.get("details", "").replace("\r\n", "\n"),
    }


def _ambassador_typed(sent: Sent) -> dict[str, Any]:
    return {
        "email": sent.typed.get("adresse", ""),
        "title": sent.typed.get("nom", ""),
        "kind": sent.typed.get("qui", ""),
        "rome_codes": _codes(sent.typed.get("rome", "")),
        "commune_code": places.find(sent.typed.get("commune", "")),
        "radius_km": sent.typed.get("rayon", "30"),
        "host_siret": sent.typed.get("siret") or None,
        "withdrawn": sent.typed.get("retrait") == "1",
    }


def _codes(typed: str) -> list[str]:
    return [one.strip().upper() for one in typed.split(",") if one.strip()]


def _shown(rows: Any, today: date) -> list[tuple[Any, str]]:
    return [(row, kit_store.loan_of(row).shown_as(today)) for row in rows]
