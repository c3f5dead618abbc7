"""Whoever looks for an internship: search on a map, apply, follow, confirm, sign; and the parent who signs by a link."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal
from uuid import UUID

from fastapi import HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import Field, field_validator

from common.commands import Endpoint, Form, Sent, Words, command
from common.desk import Desk, Routes, done
from common.http import Answer, answer
from common.identity import Principal
from common.lifecycle import AFTER
from common.links import subject_of
from common.mail import unreached
from common.pages import PARIS
from common.query import Query
from common.transaction import Transaction
from stage_matching import agreement_handlers, agreement_http, agreement_store, handlers, http, search, store
from stage_matching.agreement_http import Version
from stage_matching.agreement_pages import pdf_of
from stage_matching.agreement_store import By
from stage_matching.agreements import LATE_FOR, LIFECYCLE, LateReason
from stage_matching.bodies import WEEKS_MAX
from stage_matching.messages import Audience
from stage_matching.notices import GUARDIAN_LINK
from stage_matching.terms import parsed
from territory import maps, places, weeks

_SHOWN_COUNT = 12
_WEEKS_SHOWN = 26
WORDS = Words(
    {
        "audience": "situation",
        "birth_month": "naissance",
        "age": "âge",
        "commune_code": "commune",
        "radius_km": "rayon",
        "iso_weeks": "semaines",
        "wishes": "métiers",
        "uai": "établissement",
        "guardian_email": "adresse du parent",
        "prescriber_id": "prescripteur",
        "offer_id": "offre",
        "letter": "lettre",
    }
)


class Wanted(Query):
    """A search; blanks and unknown values are left out, so that an old link never fails."""

    commune: places.WrittenPlace = places.NOWHERE
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
    """The routes of a seeker, and of the parent of one."""

    def forms(self) -> Routes:
        """What a seeker may send, and what is said when it is done; a parent signs."""

        def acts(action: str, said: str) -> Endpoint:
            return http.seeker_acts.form(then=_told(said), refused=self.mine, action=action)

        def parent(action: str) -> Endpoint:
            return act_as_guardian.form(
                refused=self.asked, action=action, hidden={"sha256": "sha256", "reason": "reason"}
            )

        applied = "Candidature envoyée. L’organisme est prévenu ; nous vous écrivons dès qu’il répond."
        return {
            "/stages/candidature": http.apply.form(
                read=_application_typed, then=_told(applied), refused=self.not_applied, words=WORDS
            ),
            "/mes-candidatures/moi": http.file_request.form(
                read=_request_typed, then=_told("C’est noté."), refused=self.mine, words=WORDS
            ),
            "/mes-candidatures/fin": http.withdraw_request.form(
                then=_told("C’est noté : vous ne cherchez plus."), refused=self.mine
            ),
            "/mes-candidatures/{application_id}/confirmation": acts(
                "confirmation", "Stage confirmé : signez la convention."
            ),
            "/mes-candidatures/{application_id}/retrait": acts("withdrawal", "Candidature retirée."),
            "/mes-candidatures/{application_id}/signature": agreement_http.sign.form(
                then=_told("Convention signée."), refused=self.mine, hidden={"sha256": "sha256"}
            ),
            "/convention/{token}": parent("sign"),
            "/convention/{token}/annulation": parent("cancel"),
            "/convention/{token}/interruption": parent("interrupt"),
            "/mes-candidatures/{agreement_id}/lien-parent": agreement_http.write_to_guardian.form(
                then=_told("Le lien est parti à l’adresse du parent, et à nulle autre."), refused=self.mine
            ),
        }

    async def find(self, request: Request) -> Response:
        """Offers around a place; open to everyone, whole without JavaScript."""
        return await self._found(request, self.identity.session(request), Wanted.read(request.query_params))

    async def not_applied(self, request: Request, principal: Principal, *, sent: Sent) -> Response:
        """The search with what was typed; who has not told who they are is asked that first."""
        if sent.content["reason"] == handlers.NO_REQUEST.reason:
            return RedirectResponse("/mes-candidatures?dabord=1#moi", 303)
        return await self._found(request, principal, Wanted.read(sent.typed), sent=sent)

    async def _found(
        self, request: Request, principal: Principal | None, wanted: Wanted, *, sent: Sent | None = None
    ) -> Response:
        offers: list[dict[str, Any]] = []
        async with self.database.transaction() as tx:
            now = await tx.now()
            if wanted.commune.code:
                found = await search.offers(
                    tx,
                    wanted.commune.code,
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
        # The offer of a form that comes back is shown first, and open.
        asked = sent.typed.get("offer_id") if sent else None
        offers.sort(key=lambda offer: str(offer["offer_id"]) != asked)
        return self.page(
            request,
            "find.html",
            principal,
            sent=sent,
            now=now,
            wanted=wanted,
            offers=offers[: wanted.n],
            more_count=max(0, len(offers) - wanted.n),
            more=wanted.query(n=wanted.n + _SHOWN_COUNT),
            weeks=weeks.span(first, _WEEKS_SHOWN),
            map=maps.around(seats, wanted.commune.code, wanted.rayon),
            seeker=principal is not None and "seeker" in principal.roles,
        )

    async def applications(self, request: Request) -> Response:
        """What a seeker sent and must confirm or sign, and what they told of themselves."""
        return await self.mine(request, self.who(request, "seeker"))

    async def mine(self, request: Request, principal: Principal, *, sent: Sent | None = None, **_: UUID) -> Response:
        """The page, or the same after a form that was refused."""
        async with self.database.transaction() as tx:
            now = await tx.now()
            account = principal.require("seeker").subject
            seeker_id = await store.lock_seeker(tx, account=account, contact_email=principal.contact)
            rows = await store.applications_of(tx, seeker_id=seeker_id)
            me = await store.request_of(tx, seeker_id)
            prescribers = await agreement_store.prescribers(tx)
            lost = await unreached(tx, (row.host_email for row in rows))
        live = [row for row in rows if row.state == "confirmed" or (row.due_at is not None and row.due_at > now)]
        first = {"accepted": 0, "confirmed": 1}
        return self.page(
            request,
            "applications.html",
            principal,
            sent=sent,
            now=now,
            live=sorted(live, key=lambda row: first.get(row.state, 2)),
            ended=[row for row in rows if row not in live][:30],
            me=me,
            weeks=weeks.span(weeks.following(now.astimezone(PARIS).date()), _WEEKS_SHOWN),
            prescribers=prescribers,
            unreached=lost,
            first_time=bool(request.query_params.get("dabord")),
        )

    # -- a parent, without an account

    async def guardian(self, request: Request, token: str, version: Version = None) -> Response:
        """What a parent is asked to sign."""
        return await self.asked(request, None, token, version=version)

    async def guardian_print(self, request: Request, token: str, version: Version = None) -> Response:
        """The same on paper."""
        agreement_id = _agreement_of(await guardian_by_link(request, token))
        async with self.database.transaction() as tx:
            row = agreement_http.found_version(await agreement_store.whole(tx, agreement_id, version))
            acts = await agreement_store.acts_of(tx, agreement_id)
        return await pdf_of(row, acts)

    async def asked(
        self,
        request: Request,
        principal: Principal | None,
        token: str,
        *,
        version: int | None = None,
        sent: Sent | None = None,
        **_: Any,
    ) -> Response:
        """The page, or the same once it is signed or refused."""
        agreement_id = _agreement_of(await guardian_by_link(request, token))
        async with self.database.transaction() as tx:
            found = await agreement_store.find(tx, agreement_id)
            if found is None:
                raise HTTPException(404, "Cette convention n'existe plus.")
            row = agreement_http.found_version(await agreement_store.whole(tx, agreement_id, version))
            acts = await agreement_store.acts_of(tx, agreement_id)
            today = (await tx.now()).astimezone(PARIS).date()
        phase = agreement_store.from_row(row).phase(today)
        return self.page(
            request,
            "guardian.html",
            None,
            sent=sent,
            row=row,
            terms=parsed(row.content),
            acts=acts,
            token=token,
            may=LIFECYCLE.may(row.state, "guardian", phase) if row.terms_version == row.current_version else (),
            reasons=LATE_FOR if phase == AFTER else {},
        )


async def guardian_by_link(request: Request, token: str) -> Principal:
    """Stands for the parent of a seeker, by the link to an agreement, which is what allows to sign it."""
    subject = subject_of(request.app.state.runtime.settings.session_secret, GUARDIAN_LINK, token)
    if subject is None:
        raise HTTPException(
            403,
            "Ce lien est périmé ou incomplet : demandez à l’établissement, à l’organisme ou à votre enfant qu’on vous l’envoie à nouveau.",
        )
    return Principal(f"guardian/{subject}", frozenset())


@command(who=guardian_by_link)
async def act_as_guardian(
    tx: Transaction,
    principal: Principal,
    action: Literal["sign", "interrupt", "cancel"],
    sha256: str | None = None,
    reason: LateReason | None = None,
) -> Answer:
    """The parent signs the terms that the page showed, or ends the agreement."""
    by = By(how="link", reason=reason)
    refusal = await agreement_handlers.act_on_agreement(
        tx, _agreement_of(principal), "guardian", action, None, by, seen_sha256=sha256 or None
    )
    return answer(refusal, {})


def _agreement_of(principal: Principal) -> UUID:
    return UUID(principal.subject.removeprefix("guardian/"))


def _told(said: str) -> Callable[[Sent], Response]:
    return lambda _: done("/mes-candidatures", said)


def _application_typed(sent: Sent) -> dict[str, Any]:
    return {
        "offer_id": sent.typed.get("offer_id", ""),
        "iso_weeks": _weeks_of(sent.typed),
        "letter": sent.typed.get("lettre", "").replace("\r\n", "\n") or None,
    }


def _request_typed(sent: Sent) -> dict[str, Any]:
    typed = sent.typed
    return {
        "audience": typed.get("public", ""),
        "birth_month": _birth_month(typed),
        "commune_code": places.find(typed.get("commune", "")),
        "radius_km": typed.get("rayon", "30"),
        "iso_weeks": _weeks_of(typed),
        "wishes": list(dict.fromkeys(typed[name] for name in ("v1", "v2", "v3") if typed.get(name))),
        "uai": typed.get("uai") or None,
        "guardian_email": typed.get("guardian_email") or None,
        "prescriber_id": typed.get("prescriber") or None,
    }


def _birth_month(typed: Form) -> str:
    """A month and a year of birth, as two fields have them."""
    month, year = typed.get("naissance_mois", ""), typed.get("naissance_annee", "").strip()
    if month not in map(str, range(1, 13)) or len(year) != 4:
        raise ValueError("naissance : choisissez le mois, et écrivez l’année en quatre chiffres.")
    return f"{year}-{month:0>2}"


def _weeks_of(typed: Form) -> tuple[str, ...]:
    """The weeks that a form names by the first and their number."""
    count = typed.get("duree", "1")
    if count not in map(str, range(1, WEEKS_MAX + 1)):
        raise ValueError("Choisissez une semaine de la liste, et une durée.")
    return weeks.span(typed.get("premiere", ""), int(count))
