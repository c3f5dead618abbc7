"""Pages of kits and of the directory of ambassadors, for those who ask and those who keep; and an ambassador's signed link."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID, uuid4

from fastapi import HTTPException, Request
from fastapi.responses import Response
from pydantic import ValidationError

from common.commands import Form
from common.desk import Desk, done
from common.failures import Refusal
from common.http import Answer, answer, status_of
from common.identity import Principal
from common.links import subject_of
from common.pages import PARIS
from common.spreadsheet import refused_line
from common.transaction import Transaction
from events import ambassador_handlers, ambassador_store, event_store, kit_handlers, kit_store, notices
from events.bodies import AmbassadorBody, KitBody, LoanBody, VisitBody
from events.http import ORGANISERS, PROFESSIONALS
from events.lending_http import KEEPER_ACTIONS, KEEPERS, ask_as, give_back, taken_days, visit_as
from events.messages import AmbassadorAnswer
from events.state import Description
from territory import reference

FIELDS = {
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
_LOAN_ACTIONS = {"reservation": "reservation", "refus": "refusal", "sortie": "hand-over"}


class LendingDesk(Desk):
    """The routes of kits and ambassadors."""

    # -- kits

    async def kits(self, request: Request) -> Response:
        """Kits with the days on which they are taken, one's own loans, and for a keeper what is asked."""
        principal = self.identity.session(request)
        return await self._kits(request, principal, said=request.query_params.get("fait", ""))

    async def _kits(
        self,
        request: Request,
        principal: Principal | None,
        *,
        status: int = 200,
        said: str = "",
        problem: str = "",
        typed: Form | None = None,
    ) -> Response:
        keeps = principal is not None and not principal.roles.isdisjoint(KEEPERS)
        may_ask = principal is not None and not principal.roles.isdisjoint(PROFESSIONALS)
        async with self.database.transaction() as tx:
            now = await tx.now()
            today = now.astimezone(PARIS).date()
            rows = await kit_store.find_kits(tx)
            taken = await taken_days(tx, [row.kit_id for row in rows])
            account = principal.account if principal is not None else ""
            mine = await kit_store.loans(tx, borrower=account) if may_ask else []
            asked = await kit_store.loans(tx, keeper=account) if keeps else []
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
            status,
            rows=rows,
            taken=taken,
            mine=_shown(mine, today),
            asked=[one for one in _shown(asked, today) if one[0].state != "ended"],
            events=events,
            keeps=keeps,
            may_ask=may_ask,
            today=today,
            new_id=uuid4(),
            suggestions=reference.suggestions(),
            typed=typed or {},
            said=said,
            problem=problem,
        )

    async def ask_for_kit(self, request: Request, kit_id: UUID) -> Response:
        """Asks for a kit."""
        principal, form = await self.posted(request, *PROFESSIONALS)
        try:
            body = LoanBody.model_validate(
                {
                    "first_on": form.get("du", ""),
                    "last_on": form.get("au", ""),
                    "event_id": form.get("evenement") or None,
                }
            )
        except ValidationError as error:
            problem = refused_line(error, FIELDS, {}).detail
            return await self._kits(request, principal, status=422, problem=problem, typed=form)

        async def run(tx: Transaction) -> Answer:
            result = await ask_as(tx, principal, kit_id, body)
            return answer(result, None) if isinstance(result, Refusal) else (201, {"state": result.state})

        status, content = await self.execute(request, principal, form, run)
        if status >= 400:
            return await self._kits(request, principal, status=status, problem=content["detail"], typed=form)
        return done("/kits", "Kit réservé." if content["state"] == "reserved" else "Demande envoyée.", "mes-prets")

    async def save_kit(self, request: Request, kit_id: UUID) -> Response:
        """A keeper adds or changes a kit."""
        principal, form = await self.posted(request, *KEEPERS)
        try:
            body = KitBody.model_validate(
                {
                    "title": form.get("title", ""),
                    "contents": form.get("contents", "").replace("\r\n", "\n"),
                    "rome_codes": _codes(form.get("rome", "")),
                    "commune_code": reference.commune_code(form.get("commune", "")),
                    "withdrawn": form.get("withdrawn") == "1",
                }
            )
        except ValidationError as error:
            problem = refused_line(error, FIELDS, {}).detail
            return await self._kits(request, principal, status=422, problem=problem, typed=form)

        async def run(tx: Transaction) -> Answer:
            refusal = await kit_handlers.describe_kit(
                tx, principal.account, principal.contact, kit_id, body.description()
            )
            return answer(refusal, {})

        status, content = await self.execute(request, principal, form, run)
        if status >= 400:
            return await self._kits(request, principal, status=status, problem=content["detail"], typed=form)
        return done("/kits", "Kit enregistré.")

    async def act_on_loan(self, request: Request, loan_id: UUID, action: str) -> Response:
        """Gives a loan up; a keeper reserves, refuses, hands over, takes back."""
        principal, form = await self.posted(request, *PROFESSIONALS)
        keeps = not principal.roles.isdisjoint(KEEPERS)

        async def run(tx: Transaction) -> Answer:
            account = principal.account
            refusal: Refusal | None
            if action == "annulation":
                refusal = await kit_handlers.give_up(tx, account, loan_id)
            elif keeps and action in _LOAN_ACTIONS:
                rule = KEEPER_ACTIONS[_LOAN_ACTIONS[action]]
                refusal = await kit_handlers.answer(tx, account, loan_id, rule)
            elif keeps and action in ("retour", "retour-abime"):
                refusal = await give_back(tx, principal, loan_id, damaged=action == "retour-abime")
            else:
                raise HTTPException(404, "Cette action n'existe pas.")
            return answer(refusal, {})

        status, content = await self.execute(request, principal, form, run)
        if status >= 400:
            return await self._kits(request, principal, status=status, problem=content["detail"])
        return done("/kits", "C’est noté.", "prets" if keeps else "mes-prets")

    async def mend_kit(self, request: Request, kit_id: UUID) -> Response:
        """A damaged kit is in order again."""
        principal, form = await self.posted(request, *KEEPERS)

        async def run(tx: Transaction) -> Answer:
            refusal = await kit_handlers.mend(tx, principal.account, kit_id)
            return answer(refusal, {})

        status, content = await self.execute(request, principal, form, run)
        if status >= 400:
            return await self._kits(request, principal, status=status, problem=content["detail"])
        return done("/kits", "Kit remis en état.")

    # -- ambassadors

    async def ambassadors(self, request: Request) -> Response:
        """Asks for a visit, follows one's own; for a keeper, the directory."""
        principal = self.who(request, *PROFESSIONALS)
        return await self._ambassadors(request, principal, said=request.query_params.get("fait", ""))

    async def _ambassadors(
        self,
        request: Request,
        principal: Principal,
        *,
        status: int = 200,
        said: str = "",
        problem: str = "",
        typed: Form | None = None,
    ) -> Response:
        keeps = not principal.roles.isdisjoint(KEEPERS)
        async with self.database.transaction() as tx:
            now = await tx.now()
            visits = await ambassador_store.visits(tx, asker=principal.account)
            people = await ambassador_store.people(tx) if keeps else []
        return self.page(
            request,
            "ambassadors.html",
            principal,
            status,
            visits=visits,
            people=people,
            keeps=keeps,
            today=now.astimezone(PARIS).date(),
            new_id=uuid4(),
            suggestions=reference.suggestions(),
            typed=typed or {},
            said=said,
            problem=problem,
        )

    async def ask_for_visit(self, request: Request) -> Response:
        """Wishes for somebody of a trade."""
        principal, form = await self.posted(request, *PROFESSIONALS)
        try:
            body = VisitBody.model_validate(
                {
                    "rome_code": form.get("metier", ""),
                    "kind": form.get("qui") or None,
                    "commune_code": reference.commune_code(form.get("commune", "")),
                    "visit_on": form.get("jour", ""),
                    "details": form.get("details", "").replace("\r\n", "\n"),
                }
            )
        except ValidationError as error:
            problem = refused_line(error, FIELDS, {}).detail
            return await self._ambassadors(request, principal, status=422, problem=problem, typed=form)

        async def run(tx: Transaction) -> Answer:
            result = await visit_as(tx, principal, body)
            return answer(result, None) if isinstance(result, Refusal) else (201, {})

        status, content = await self.execute(request, principal, form, run)
        if status >= 400:
            return await self._ambassadors(request, principal, status=status, problem=content["detail"], typed=form)
        return done("/ambassadeurs", "Demande envoyée : nous vous écrivons dès que quelqu’un accepte.", "mes-visites")

    async def cancel_visit(self, request: Request, visit_id: UUID) -> Response:
        """Gives a visit up."""
        principal, form = await self.posted(request, *PROFESSIONALS)

        async def run(tx: Transaction) -> Answer:
            refusal = await ambassador_handlers.cancel(tx, principal.account, visit_id)
            return answer(refusal, {})

        status, content = await self.execute(request, principal, form, run)
        if status >= 400:
            return await self._ambassadors(request, principal, status=status, problem=content["detail"])
        return done("/ambassadeurs", "Demande annulée.", "mes-visites")

    async def save_ambassador(self, request: Request, ambassador_id: UUID) -> Response:
        """A keeper adds somebody to the directory, or changes what it says."""
        principal, form = await self.posted(request, *KEEPERS)
        try:
            body = AmbassadorBody.model_validate(
                {
                    "email": form.get("adresse", ""),
                    "title": form.get("nom", ""),
                    "kind": form.get("qui", ""),
                    "rome_codes": _codes(form.get("rome", "")),
                    "commune_code": reference.commune_code(form.get("commune", "")),
                    "radius_km": form.get("rayon", "30"),
                    "host_siret": form.get("siret") or None,
                    "withdrawn": form.get("retrait") == "1",
                }
            )
        except ValidationError as error:
            problem = refused_line(error, FIELDS, {}).detail
            return await self._ambassadors(request, principal, status=422, problem=problem, typed=form)

        async def run(tx: Transaction) -> Answer:
            await ambassador_handlers.describe(tx, ambassador_id, body.email, body.title, body.description())
            return 200, {}

        status, content = await self.execute(request, principal, form, run)
        if status >= 400:
            return await self._ambassadors(request, principal, status=status, problem=content["detail"], typed=form)
        return done("/ambassadeurs", "Annuaire mis à jour.", "annuaire")

    # -- an ambassador's link

    async def asked(self, request: Request, token: str) -> Response:
        """What somebody of the directory is asked."""
        return await self._asked(request, token)

    async def _asked(self, request: Request, token: str, *, status: int = 200, problem: str = "") -> Response:
        ambassador_id, visit_id = self._link(token)
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
        return self.page(
            request, "asked.html", None, status, row=row, token=token, waits=waits, comes=comes, problem=problem
        )

    async def answer_visit(self, request: Request, token: str, action: str) -> Response:
        """Comes, or cannot."""
        ambassador_id, visit_id = self._link(token)
        said = {"oui": AmbassadorAnswer.ACCEPTED, "non": AmbassadorAnswer.REFUSED}.get(action)
        if said is None:
            raise HTTPException(404, "Cette réponse n'existe pas.")
        async with self.database.transaction() as tx:
            refusal = await ambassador_handlers.answer(tx, ambassador_id, visit_id, said)
        return await self._asked(
            request,
            token,
            status=status_of(refusal.reason) if refusal else 200,
            problem=refusal.detail if refusal else "",
        )

    def _link(self, token: str) -> tuple[UUID, UUID]:
        subject = subject_of(self.runtime.settings.session_secret, notices.AMBASSADOR_LINK, token)
        if subject is None:
            raise HTTPException(403, "Ce lien n'est pas le bon ou n'est plus valable : reprenez celui du mail.")
        ambassador_id, _, visit_id = subject.partition("/")
        return UUID(ambassador_id), UUID(visit_id)


def _codes(typed: str) -> list[str]:
    return [one.strip().upper() for one in typed.split(",") if one.strip()]


def _shown(rows: Any, today: date) -> list[tuple[Any, str]]:
    return [(row, kit_store.loan_of(row).shown_as(today)) for row in rows]
