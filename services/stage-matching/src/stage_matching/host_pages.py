"""A host's pages: what to answer first, its offers and their seats, its charter."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

from fastapi import HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError

from common.desk import Desk
from common.failures import Refusal
from common.http import Answer
from common.identity import Principal
from common.pages import PARIS
from common.spreadsheet import refused_line
from common.transaction import Transaction
from stage_matching import handlers, hosts, search, store
from stage_matching.bodies import HostBody, OfferBody
from stage_matching.http import host_of
from stage_matching.messages import Commitment, RefusalReason
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
}
_PROBLEMS = {"string_pattern_mismatch": "une lettre de A à N et quatre chiffres, comme M1805"}


class HostDesk(Desk):
    """The routes of a host."""

    async def offers(self, request: Request) -> Response:
        """What waits for an answer, the nearest deadline first; then the offers."""
        principal = self.who(request, "host")
        return await self._mine(request, principal)

    async def _mine(self, request: Request, principal: Principal, *, status: int = 200, problem: str = "") -> Response:
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
            status,
            now=now,
            today=today,
            this_week=weeks.week_of(today),
            host=host,
            waiting=[r for r in rows if r.state in ("submitted", "seen") and r.due_at > now],
            accepted=[r for r in rows if r.state == "accepted" and r.due_at > now],
            expected=[r for r in rows if r.state == "confirmed" and r.iso_weeks[-1] >= weeks.week_of(today)],
            offers=offers,
            suggestions=reference.suggestions(),
            said=request.query_params.get("fait", ""),
            problem=problem,
        )

    async def describe_host(self, request: Request) -> Response:
        """The organisation says who it is."""
        principal, form = await self.posted(request, "host")
        try:
            body = HostBody(
                host_name=form.get("host_name", ""),
                siret=form.get("siret", "").replace(" ", ""),
                kind=form.get("kind", ""),
                commune_code=reference.commune_code(form.get("commune", "")),
            )
        except ValidationError as error:
            refusal = refused_line(error, _FIELDS, {})
            return await self._mine(request, principal, status=422, problem=refusal.detail)

        async def run(tx: Transaction) -> Answer:
            refusal = await hosts.describe(tx, host_of(principal), body.identity(), principal.contact)
            return (200, {}) if refusal is None else (409, refusal)

        return await self._answered(request, principal, form, run, "Organisme enregistré.")

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
            return (200, {}) if refusal is None else (409, refusal)

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

    async def suspend(self, request: Request, offer_id: UUID, action: str) -> Response:
        """Takes an offer out of sight, or shows it again."""
        principal, form = await self.posted(request, "host")
        said = {"suspension": "Offre suspendue : elle n’est plus proposée.", "reprise": "Offre proposée à nouveau."}
        if action not in said:
            raise HTTPException(404, "Cette action n'existe pas.")

        async def run(tx: Transaction) -> Answer:
            refusal = await handlers.suspend_offer(tx, host_of(principal), offer_id, suspended=action == "suspension")
            return (200, {}) if refusal is None else (409, refusal)

        return await self._answered(request, principal, form, run, said[action])

    async def answer(self, request: Request, application_id: UUID, action: str) -> Response:
        """Accepts, refuses, marks as seen, signs."""
        principal, form = await self.posted(request, "host")
        host_id = host_of(principal)
        said = {
            "acceptation": "Candidature acceptée : la place est gardée jusqu’à la confirmation.",
            "refus": "Candidature refusée : la personne est prévenue.",
            "vue": "Noté : la personne sait que vous l’avez lue.",
            "signature": "Convention signée.",
        }
        if action not in said:
            raise HTTPException(404, "Cette action n'existe pas.")

        async def run(tx: Transaction) -> Answer:
            refusal: Refusal | None
            match action:
                case "acceptation":
                    refusal = await handlers.accept(tx, host_id, application_id)
                case "refus":
                    reason = form.get("reason", "")
                    known = RefusalReason(reason) if reason in RefusalReason.__members__ else RefusalReason.OTHER
                    refusal = await handlers.refuse(tx, host_id, application_id, known)
                case "vue":
                    refusal = await handlers.see(tx, host_id, application_id)
                case _:
                    rows = await store.applications_of(tx, application_id=application_id)
                    if not rows or rows[0].agreement_id is None:
                        return 404, handlers.NOT_FOUND
                    refusal = await handlers.act_on_agreement(tx, rows[0].agreement_id, "host", "sign", host_id)
            return (200, {}) if refusal is None else (409, refusal)

        return await self._answered(request, principal, form, run, said[action])

    async def engage(self, request: Request, action: str) -> Response:
        """Signs the charter, or says that the organisation answers again."""
        principal, form = await self.posted(request, "host")
        chosen = [
            Commitment(str(v)) for v in (await request.form()).getlist("commitment") if v in Commitment.__members__
        ]

        async def run(tx: Transaction) -> Answer:
            if action == "reprise":
                refusal = await hosts.reinstate(tx, host_of(principal), by_agency=False)
            elif chosen:
                refusal = await hosts.sign_charter(tx, host_of(principal), chosen)
            else:
                refusal = Refusal("no_commitment", "Choisissez au moins un engagement.")
            return (200, {}) if refusal is None else (409, refusal)

        said = "Charte signée." if action != "reprise" else "Vos offres sont visibles à nouveau."
        return await self._answered(request, principal, form, run, said)

    async def _answered(self, request: Request, principal: Principal, form: Any, run: Any, said: str) -> Response:
        status, content = await self.execute(request, principal, form, run)
        if status >= 400:
            return await self._mine(request, principal, status=status, problem=content["detail"])
        return RedirectResponse(f"/mes-offres?{urlencode({'fait': said})}", 303)
