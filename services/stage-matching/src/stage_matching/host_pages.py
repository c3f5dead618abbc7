"""A host's pages: what to answer first, its offers and their seats, its charter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

from fastapi import HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError

from common.commands import Endpoint, Sent, Words, command
from common.desk import Desk, Routes, done
from common.http import Answer, answer
from common.identity import Principal
from common.pages import PARIS
from common.spreadsheet import refused_line
from common.transaction import Transaction
from stage_matching import handlers, hosts, http, search, store
from stage_matching.bodies import OfferBody
from stage_matching.http import host_of
from territory import reference, weeks

_WEEKS_SHOWN = 20
_FIELDS = {
    "title": "intitulé",
    "rome_codes": "codes ROME",
    "commune_code": "commune",
    "audiences": "publics",
    "age_min": "âge minimal",
    "seats": "places",
    "host_name": "nom",
    "siret": "SIRET",
    "kind": "nature",
    "reason": "raison",
    "commitments": "engagements",
}
_PROBLEMS = {"string_pattern_mismatch": "une lettre de A à N et quatre chiffres, comme M1805"}
WORDS = Words(_FIELDS)


class HostDesk(Desk):
    """The routes of a host."""

    def forms(self) -> Routes:
        """What a host may send, and what is said when it is done."""

        def host_acts(action: str, said: str) -> Endpoint:
            return http.host_acts.form(then=_told(said), refused=self.mine, action=action)

        def suspended(suspended: bool, said: str) -> Endpoint:
            return suspend.form(then=_told(said), refused=self.mine, suspended=suspended)

        return {
            "/mes-offres/organisme": http.describe_host.form(
                read=_host_typed, then=_told("Organisme enregistré."), refused=self.mine, words=WORDS
            ),
            "/mes-offres/engagement/charte": http.sign_charter.form(
                read=_commitments_typed, then=_told("Charte signée."), refused=self.mine, words=WORDS
            ),
            "/mes-offres/engagement/reprise": http.reinstate_oneself.form(
                then=_told("Vos offres sont visibles à nouveau."), refused=self.mine
            ),
            "/mes-offres/{offer_id}": self.save,
            "/mes-offres/{offer_id}/suspension": suspended(True, "Offre suspendue : elle n’est plus proposée."),
            "/mes-offres/{offer_id}/reprise": suspended(False, "Offre proposée à nouveau."),
            "/candidatures-recues/{application_id}/acceptation": host_acts(
                "acceptance", "Candidature acceptée : la place est gardée jusqu’à la confirmation."
            ),
            "/candidatures-recues/{application_id}/refus": http.refuse.form(
                then=_told("Candidature refusée : la personne est prévenue."), refused=self.mine, words=WORDS
            ),
            "/candidatures-recues/{application_id}/vue": host_acts(
                "view", "Noté : la personne sait que vous l’avez lue."
            ),
            "/candidatures-recues/{application_id}/signature": sign.form(
                then=_told("Convention signée."), refused=self.mine
            ),
        }

    async def offers(self, request: Request) -> Response:
        """What waits for an answer, the nearest deadline first; then the offers."""
        return await self.mine(request, self.who(request, "host"))

    async def mine(self, request: Request, principal: Principal, *, sent: Sent | None = None, **_: UUID) -> Response:
        """The page, or the same after a form that was refused."""
        host_id = host_of(principal)
        async with self.database.transaction() as tx:
            now = await tx.now()
            host = await hosts.find(tx, host_id)
            rows = await store.applications_of(tx, host_id=host_id)
            offers = [search.shown(row) for row in await store.offers_of(tx, host_id)]
        today = now.astimezone(PARIS).date()
        return self.page(
            request,
            "offers.html",
            principal,
            sent=sent,
            now=now,
            today=today,
            this_week=weeks.week_of(today),
            host=host,
            waiting=[r for r in rows if r.state in ("submitted", "seen") and r.due_at > now],
            accepted=[r for r in rows if r.state == "accepted" and r.due_at > now],
            expected=[r for r in rows if r.state == "confirmed" and r.iso_weeks[-1] >= weeks.week_of(today)],
            offers=offers,
            suggestions=reference.suggestions(),
        )

    async def edit(self, request: Request, offer_id: UUID | None = None) -> Response:
        """The form of a new offer, or of one of the host's."""
        principal = self.who(request, "host")
        async with self.database.transaction() as tx:
            known = {row.offer_id: row for row in await store.offers_of(tx, host_of(principal))}
        if offer_id is not None and offer_id not in known:
            raise HTTPException(404, "Cette offre n'existe pas.")
        return await self._form(request, principal, known.get(offer_id) if offer_id else None, offer_id or uuid4())

    async def _form(
        self, request: Request, principal: Principal, row: Any, offer_id: UUID, *, status: int = 200, problem: str = ""
    ) -> Response:
        async with self.database.transaction() as tx:
            today = (await tx.now()).astimezone(PARIS).date()
        known = {week["iso_week"]: week for week in (row.weeks or [])} if row is not None else {}
        first = weeks.following(today)
        # What is past and was given must stay in the offer; nobody changes it any longer.
        past = {week: seats["seats_count"] for week, seats in known.items() if week < first and seats["taken_count"]}
        shown = sorted({*weeks.span(first, _WEEKS_SHOWN), *(week for week in known if week >= first)})
        return self.page(
            request,
            "offer.html",
            principal,
            status,
            row=row,
            offer_id=offer_id,
            weeks=shown,
            past=past,
            known=known,
            suggestions=reference.suggestions(),
            problem=problem,
        )

    async def save(self, request: Request, offer_id: UUID) -> Response:
        """Publishes or changes an offer."""
        principal, form = await self.posted(request, "host")
        fields = await request.form()
        try:
            body = OfferBody.model_validate(
                {
                    "title": form.get("title", ""),
                    "kind": form.get("kind", ""),
                    "rome_codes": [one.strip().upper() for one in form.get("rome", "").split(",") if one.strip()],
                    "commune_code": reference.commune_code(form.get("commune", "")),
                    "audiences": [str(value) for value in fields.getlist("audience")],
                    "age_min": form.get("age_min", "14"),
                    "seats": {
                        name.removeprefix("seats_"): value
                        for name, value in form.items()
                        if name.startswith("seats_") and value not in ("", "0")
                    },
                    "reserved": {
                        name.removeprefix("reserved_"): value
                        for name, value in form.items()
                        if name.startswith("reserved_") and value not in ("", "0")
                    },
                    "partner_uais": [one.strip().upper() for one in form.get("partners", "").split(",") if one.strip()],
                    "suspended": form.get("suspended") == "1",
                }
            )
        except ValidationError as error:
            problem = refused_line(error, _FIELDS, _PROBLEMS).detail
            return await self._again(request, principal, offer_id, 422, problem)

        async def run(tx: Transaction) -> Answer:
            if await hosts.find(tx, host_of(principal)) is None:
                return 409, hosts.NOT_REGISTERED
            refusal = await handlers.describe_offer(tx, host_of(principal), offer_id, body.description(), body.seats)
            return answer(refusal, {})

        status, content = await self.execute(request, principal, form, run)
        if status >= 400:
            return await self._again(request, principal, offer_id, status, content["detail"])
        return RedirectResponse(f"/mes-offres?{urlencode({'fait': 'Offre enregistrée.'})}#o{offer_id}", 303)

    async def _again(
        self, request: Request, principal: Principal, offer_id: UUID, status: int, problem: str
    ) -> Response:
        async with self.database.transaction() as tx:
            known = {row.offer_id: row for row in await store.offers_of(tx, host_of(principal))}
        return await self._form(request, principal, known.get(offer_id), offer_id, status=status, problem=problem)


@command("host")
async def suspend(tx: Transaction, principal: Principal, offer_id: UUID, suspended: bool) -> Answer:
    """Takes an offer out of sight, or shows it again."""
    return answer(await handlers.suspend_offer(tx, host_of(principal), offer_id, suspended=suspended), {})


@command("host")
async def sign(tx: Transaction, principal: Principal, application_id: UUID) -> Answer:
    """The host signs the agreement of an application."""
    rows = await store.applications_of(tx, application_id=application_id)
    if not rows or rows[0].agreement_id is None:
        return answer(handlers.NOT_FOUND, None)
    return answer(await handlers.act_on_agreement(tx, rows[0].agreement_id, "host", "sign", host_of(principal)), {})


def _told(said: str) -> Callable[[Sent], Response]:
    return lambda _: done("/mes-offres", said)


def _host_typed(sent: Sent) -> dict[str, Any]:
    return {
        "host_name": sent.typed.get("host_name", ""),
        "siret": sent.typed.get("siret", "").replace(" ", ""),
        "kind": sent.typed.get("kind", ""),
        "commune_code": reference.commune_code(sent.typed.get("commune", "")),
    }


def _commitments_typed(sent: Sent) -> dict[str, Any]:
    chosen = sent.fields.getlist("commitment")
    if not chosen:
        raise ValueError("Choisissez au moins un engagement.")
    return {"commitments": chosen}
