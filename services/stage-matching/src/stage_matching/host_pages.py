"""A host's pages: what to answer first, its offers and their seats, its charter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

from fastapi import HTTPException, Request
from fastapi.responses import Response

from common.commands import Endpoint, Form, Sent, Words, command
from common.desk import Desk, Routes, done
from common.http import Answer, answer
from common.identity import Principal
from common.mail import unreached
from common.pages import PARIS
from common.transaction import Transaction
from stage_matching import agreement_http, claims, handlers, hosts, http, search, store
from stage_matching.agreement_pages import placement_typed
from stage_matching.http import host_of
from stage_matching.terms import Placement, placement_of
from territory import places, weeks

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
                read=_host_typed, then=_described, refused=self.mine, words=WORDS
            ),
            "/mes-offres/engagement/charte": http.sign_charter.form(
                read=_commitments_typed, then=_told("Charte signée."), refused=self.mine, words=WORDS
            ),
            "/mes-offres/engagement/reprise": http.reinstate_oneself.form(
                then=_told("Vos offres sont visibles à nouveau."), refused=self.mine
            ),
            "/mes-offres/{offer_id}": http.describe_offer.form(
                read=_offer_typed,
                then=lambda sent: done("/mes-offres", "Offre enregistrée.", f"o{sent.path['offer_id']}"),
                refused=self.offer,
                words=Words(_FIELDS, _PROBLEMS),
            ),
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
            "/candidatures-recues/{application_id}/signature": agreement_http.sign.form(
                then=_told("Convention signée."), refused=self.mine, hidden={"sha256": "sha256"}
            ),
        }

    async def offers(self, request: Request) -> Response:
        """What waits for an answer, the nearest deadline first; then the offers."""
        return await self.mine(request, self.who(request, "host"))

    async def mine(self, request: Request, principal: Principal, *, sent: Sent | None = None, **_: UUID) -> Response:
        """The page, or the same after a form that was refused."""
        async with self.database.transaction() as tx:
            now, host_id = await tx.now(), await host_of(tx, principal)
            claim = await claims.open_of(tx, host_id)
            host = await hosts.find(tx, host_id)
            rows = await store.applications_of(tx, host_id=host_id)
            lost = await unreached(tx, (row.seeker_email for row in rows))
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
            unreached=lost,
            host=host,
            claim=claim,
            waiting=[r for r in rows if r.state in ("submitted", "seen") and r.due_at > now],
            accepted=[r for r in rows if r.state == "accepted" and r.due_at > now],
            expected=[r for r in rows if r.state == "confirmed" and r.iso_weeks[-1] >= weeks.week_of(today)],
            offers=offers,
        )

    async def edit(self, request: Request, offer_id: UUID | None = None) -> Response:
        """The form of a new offer, or of one of the host's."""
        return await self.offer(request, self.who(request, "host"), offer_id)

    async def offer(
        self, request: Request, principal: Principal, offer_id: UUID | None, *, sent: Sent | None = None
    ) -> Response:
        """The form, or the same after it was refused, with what was typed."""
        async with self.database.transaction() as tx:
            today = (await tx.now()).astimezone(PARIS).date()
            rows = await store.offers_of(tx, await host_of(tx, principal))
        row = next((row for row in rows if row.offer_id == offer_id), None)
        if offer_id is not None and row is None and sent is None:
            raise HTTPException(404, "Cette offre n'existe pas.")
        known = {week["iso_week"]: week for week in (row.weeks or [])} if row is not None else {}
        first = weeks.following(today)
        # What is past and was given must stay in the offer; nobody changes it any longer.
        past = {week: seats["seats_count"] for week, seats in known.items() if week < first and seats["taken_count"]}
        shown = sorted({*weeks.span(first, _WEEKS_SHOWN), *(week for week in known if week >= first)})
        return self.page(
            request,
            "offer.html",
            principal,
            sent=sent,
            row=row,
            offer_id=offer_id or uuid4(),
            audiences=sent.fields.getlist("audience") if sent else row.audiences if row else ["PUPIL"],
            weeks=shown,
            past=past,
            known=known,
            placement=placement_of(row.placement) if row is not None else Placement(),
        )


@command("host")
async def suspend(tx: Transaction, principal: Principal, offer_id: UUID, suspended: bool) -> Answer:
    """Takes an offer out of sight, or shows it again."""
    return answer(await handlers.suspend_offer(tx, await host_of(tx, principal), offer_id, suspended=suspended), {})


def _told(said: str) -> Callable[[Sent], Response]:
    return lambda _: done("/mes-offres", said)


def _described(sent: Sent) -> Response:
    """What a table has brought is asked for; anything else is written down."""
    return done("/mes-offres", sent.content.get("detail", "Organisme enregistré."))


def _host_typed(sent: Sent) -> dict[str, Any]:
    return {
        "host_name": sent.typed.get("host_name", ""),
        "siret": sent.typed.get("siret", "").replace(" ", ""),
        "kind": sent.typed.get("kind", ""),
        "commune_code": places.find(sent.typed.get("commune", "")),
    }


def _offer_typed(sent: Sent) -> dict[str, Any]:
    typed = sent.typed
    return {
        "title": typed.get("title", ""),
        "kind": typed.get("kind", ""),
        "rome_codes": _codes(typed.get("rome", "")),
        "commune_code": places.find(typed.get("commune", "")),
        "audiences": sent.fields.getlist("audience"),
        "age_min": typed.get("age_min", "14"),
        "seats": _counts(typed, "seats_"),
        "reserved": _counts(typed, "reserved_"),
        "partner_uais": _codes(typed.get("partners", "")),
        "suspended": typed.get("suspended") == "1",
        "placement": placement_typed(sent),
    }


def _codes(typed: str) -> list[str]:
    return [one.strip().upper() for one in typed.split(",") if one.strip()]


def _counts(typed: Form, prefix: str) -> dict[str, str]:
    return {
        name.removeprefix(prefix): value
        for name, value in typed.items()
        if name.startswith(prefix) and value not in ("", "0")
    }


def _commitments_typed(sent: Sent) -> dict[str, Any]:
    chosen = sent.fields.getlist("commitment")
    if not chosen:
        raise ValueError("Choisissez au moins un engagement.")
    return {"commitments": chosen}
