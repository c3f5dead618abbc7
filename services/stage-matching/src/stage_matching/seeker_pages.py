"""Whoever looks for an internship: search on a map, apply, follow, confirm, sign; and the parent who signs by a link."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import Field, ValidationError, field_validator

from common.commands import Form
from common.desk import Desk
from common.failures import Refusal
from common.http import Answer, answer, status_of
from common.identity import Principal
from common.links import signed_link, subject_of
from common.pages import PARIS
from common.query import Query
from common.spreadsheet import refused_line
from common.transaction import Transaction
from stage_matching import agreement_store, handlers, search, store
from stage_matching.bodies import WEEKS_MAX, ApplicationBody, RequestBody
from stage_matching.handlers import Acting
from stage_matching.messages import Audience
from territory import maps, reference, weeks

_SHOWN_COUNT = 12
_WEEKS_SHOWN = 26
_GUARDIAN = "guardian-signature"
_GUARDIAN_DAYS = 60
_FIELDS = {
    "audience": "situation",
    "age": "âge",
    "commune_code": "commune",
    "radius_km": "rayon",
    "iso_weeks": "semaines",
    "wishes": "métiers",
    "uai": "établissement",
}


class Wanted(Query):
    """A search; blanks and unknown values are left out, so that an old link never fails."""

    commune: reference.TypedCommune = ""
    rayon: int = Field(default=30, ge=1, le=200)
    metier: str = Field(default="", pattern=r"^[A-N]?([0-9]{2})?$")
    semaine: str = ""
    public: Audience | None = None
    n: int = Field(default=_SHOWN_COUNT, ge=1, le=500)

    @field_validator("semaine")
    @classmethod
    def _a_week(cls, typed: str) -> str:
        weeks.monday(typed)
        return typed


class SeekerDesk(Desk):
    """The routes of a seeker."""

    async def find(self, request: Request) -> Response:
        """Offers around a place; open to everyone, whole without JavaScript."""
        return await self._found(request, self.identity.session(request), Wanted.read(request.query_params))

    async def _found(
        self, request: Request, principal: Principal | None, wanted: Wanted, *, status: int = 200, problem: str = ""
    ) -> Response:
        offers: list[dict[str, Any]] = []
        async with self.database.transaction() as tx:
            now = await tx.now()
            if wanted.commune:
                found = await search.offers(
                    tx,
                    wanted.commune,
                    wanted.rayon,
                    rome=wanted.metier,
                    iso_week=wanted.semaine or None,
                    audience=wanted.public and wanted.public.value,
                )
                offers = found["offers"]
        seats: dict[str, int] = {}
        for offer in offers:
            free = sum(week["free_count"] for week in offer["weeks"] if wanted.semaine in ("", week["iso_week"]))
            seats[offer["commune_code"]] = seats.get(offer["commune_code"], 0) + free
        first = weeks.following(now.astimezone(PARIS).date())
        return self.page(
            request,
            "find.html",
            principal,
            status,
            now=now,
            wanted=wanted,
            offers=offers[: wanted.n],
            more_count=max(0, len(offers) - wanted.n),
            more=wanted.query(n=wanted.n + _SHOWN_COUNT),
            suggestions=reference.suggestions(),
            weeks=weeks.span(first, _WEEKS_SHOWN),
            map=maps.around(seats, wanted.commune, wanted.rayon),
            seeker=principal is not None and "seeker" in principal.roles,
            problem=problem,
        )

    async def apply(self, request: Request) -> Response:
        """Applies from the search."""
        principal, form = await self.posted(request, "seeker")
        wanted = Wanted.read(form)
        try:
            body = ApplicationBody(
                offer_id=UUID(form.get("offer_id", "")), iso_weeks=_weeks_of(form), letter=form.get("lettre") or None
            )
        except ValueError:
            problem = "Choisissez une semaine de la liste ; la lettre a deux mille signes au plus."
            return await self._found(request, principal, wanted, status=422, problem=problem)

        async def run(tx: Transaction) -> Answer:
            result = await handlers.apply(tx, principal.subject, body.offer_id, tuple(body.iso_weeks), body.letter)
            return answer(result, None) if isinstance(result, Refusal) else (201, {})

        status, content = await self.execute(request, principal, form, run)
        if status >= 400:
            if content["reason"] == "no_request":
                return RedirectResponse(f"/mes-candidatures?{urlencode({'dabord': '1'})}#moi", 303)
            return await self._found(request, principal, wanted, status=status, problem=content["detail"])
        said = "Candidature envoyée. L’organisme est prévenu ; nous vous écrivons dès qu’il répond."
        return RedirectResponse(f"/mes-candidatures?{urlencode({'fait': said})}", 303)

    async def applications(self, request: Request) -> Response:
        """What a seeker sent and must confirm or sign, and what they told of themselves."""
        principal = self.who(request, "seeker")
        return await self._mine(request, principal)

    async def _mine(self, request: Request, principal: Principal, *, status: int = 200, problem: str = "") -> Response:
        async with self.database.transaction() as tx:
            now = await tx.now()
            seeker_id = await store.lock_seeker(tx, account=principal.subject, contact_email=principal.contact)
            rows = await store.applications_of(tx, seeker_id=seeker_id)
            me = await store.request_of(tx, seeker_id)
        live = [row for row in rows if row.state == "confirmed" or (row.due_at is not None and row.due_at > now)]
        first = {"accepted": 0, "confirmed": 1}
        return self.page(
            request,
            "applications.html",
            principal,
            status,
            now=now,
            live=sorted(live, key=lambda row: first.get(row.state, 2)),
            ended=[row for row in rows if row not in live][:30],
            me=me,
            weeks=weeks.span(weeks.following(now.astimezone(PARIS).date()), _WEEKS_SHOWN),
            suggestions=reference.suggestions(),
            guardian_link=self._guardian_link,
            first_time=bool(request.query_params.get("dabord")),
            said=request.query_params.get("fait", ""),
            problem=problem,
        )

    def _guardian_link(self, agreement_id: UUID) -> str:
        token = signed_link(self.runtime.settings.session_secret, _GUARDIAN, str(agreement_id), _GUARDIAN_DAYS)
        return f"{self.runtime.settings.public_url}/convention/{token}"

    async def describe(self, request: Request) -> Response:
        """A seeker tells who they are, as far as hosts need to know, and what they look for."""
        principal, form = await self.posted(request, "seeker")
        try:
            body = RequestBody.model_validate(
                {
                    "audience": form.get("public", ""),
                    "age": form.get("age", ""),
                    "commune_code": reference.commune_code(form.get("commune", "")),
                    "radius_km": form.get("rayon", "30"),
                    "iso_weeks": _weeks_of(form),
                    "wishes": list(dict.fromkeys(form[name] for name in ("v1", "v2", "v3") if form.get(name))),
                    "sex": form.get("sexe") or "UNDECLARED",
                    "uai": form.get("uai") or None,
                }
            )
        except ValidationError as error:
            refusal = refused_line(error, _FIELDS, {})
            return await self._mine(request, principal, status=422, problem=refusal.detail)
        except ValueError as error:
            return await self._mine(request, principal, status=422, problem=str(error))

        async def run(tx: Transaction) -> Answer:
            await handlers.file_request(tx, principal.subject, principal.contact, body.wish())
            return 200, {}

        status, content = await self.execute(request, principal, form, run)
        if status >= 400:
            return await self._mine(request, principal, status=status, problem=content["detail"])
        return RedirectResponse(f"/mes-candidatures?{urlencode({'fait': 'C’est noté.'})}", 303)

    async def act(self, request: Request, application_id: UUID, action: str) -> Response:
        """Confirms or withdraws an application, signs its agreement."""
        principal, form = await self.posted(request, "seeker")
        acts = {
            "confirmation": "Stage confirmé : signez la convention.",
            "retrait": "Candidature retirée.",
            "signature": "Convention signée.",
        }
        if action not in acts:
            raise HTTPException(404, "Cette action n'existe pas.")

        async def run(tx: Transaction) -> Answer:
            who = Acting(account=principal.subject)
            match action:
                case "confirmation":
                    refusal = await handlers.confirm(tx, who, application_id)
                case "retrait":
                    refusal = await handlers.withdraw(tx, who, application_id)
                case _:
                    seeker_id = await store.lock_seeker(tx, account=principal.subject)
                    rows = await store.applications_of(tx, application_id=application_id)
                    if not rows or rows[0].agreement_id is None:
                        return 404, handlers.NOT_FOUND
                    refusal = await handlers.act_on_agreement(tx, rows[0].agreement_id, "seeker", "sign", seeker_id)
            return answer(refusal, {})

        status, content = await self.execute(request, principal, form, run)
        if status >= 400:
            return await self._mine(request, principal, status=status, problem=content["detail"])
        return RedirectResponse(f"/mes-candidatures?{urlencode({'fait': acts[action]})}", 303)

    # -- a parent, without an account

    async def guardian(self, request: Request, token: str) -> Response:
        """What a parent is asked to sign."""
        return await self._guardian(request, self._agreement_of(token), token)

    async def guardian_signs(self, request: Request, token: str) -> Response:
        """The parent signs; the link is what allows it."""
        agreement_id = self._agreement_of(token)
        async with self.database.transaction() as tx:
            refusal = await handlers.act_on_agreement(tx, agreement_id, "guardian", "sign", None)
        problem = refusal.detail if refusal else ""
        return await self._guardian(
            request, agreement_id, token, status=status_of(refusal.reason) if refusal else 200, problem=problem
        )

    def _agreement_of(self, token: str) -> UUID:
        subject = subject_of(self.runtime.settings.session_secret, _GUARDIAN, token)
        if subject is None:
            raise HTTPException(403, "Ce lien est périmé ou incomplet : demandez-en un nouveau à votre enfant.")
        return UUID(subject)

    async def _guardian(
        self, request: Request, agreement_id: UUID, token: str, *, status: int = 200, problem: str = ""
    ) -> Response:
        async with self.database.transaction() as tx:
            found = await agreement_store.find(tx, agreement_id)
            if found is None:
                raise HTTPException(404, "Cette convention n'existe plus.")
            (row,) = await store.applications_of(tx, application_id=found.application_id)
        return self.page(request, "guardian.html", None, status, row=row, token=token, problem=problem)


def _weeks_of(form: Form) -> list[str]:
    """The weeks that a form names by the first and their number."""
    count = form.get("duree", "1")
    # One week too many is refused like a thousand, without counting them all.
    return list(weeks.span(form.get("premiere", ""), min(int(count), WEEKS_MAX + 1) if count.isdigit() else 1))
