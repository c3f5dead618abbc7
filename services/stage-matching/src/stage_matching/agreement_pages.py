"""The pages of an agreement: the signed copy and what may be done with it, for each party; a list for whoever accompanies."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

from fastapi import Request
from fastapi.responses import Response

from common import case_links
from common.commands import Endpoint, Sent, Words
from common.desk import Desk, Routes, done
from common.identity import Principal
from common.pages import PARIS
from stage_matching import agreement_http, agreement_store
from stage_matching.agreement_http import SIGNATORIES, Version
from stage_matching.agreement_print import pdf
from stage_matching.agreements import LATE_FOR, LIFECYCLE, PARTIES, Role
from stage_matching.terms import parsed

ACCOMPANISTS = ("school", "prescriber", "agency")
# A form's path, and the act of the table that it does.
_ACTS = {
    "signature": ("signature", "sign", "Convention signée."),
    "validation": ("validation", "validate", "Convention validée."),
    "interruption": ("interruption", "interrupt", "Le stage est interrompu ; c’est noté."),
    "annulation": ("cancellation", "cancel", "Convention annulée."),
}
_PAPER_OF: dict[Role, str] = {"guardian": "responsable légal", "seeker": "stagiaire"}
_SPAN = re.compile(r"^([0-9]{1,2})[:hH]([0-9]{2})?-([0-9]{1,2})[:hH]([0-9]{2})?$")
WORDS = Words(
    {
        "title": "intitulé",
        "address": "adresse",
        "tasks": "activités",
        "tutor_name": "tuteur",
        "rules": "règles",
        "hours": "jours et heures",
        "case_code": "code de la situation",
    }
)


class AgreementDesk(Desk):
    """The routes of whoever has signed or has yet to."""

    def forms(self) -> Routes:
        """What a party may send, and what is said when it is done."""
        hidden = {"sha256": "sha256", "reason": "reason"}

        def acts(action: str, said: str) -> Endpoint:
            return agreement_http.act_on_agreement.form(
                then=_told(said), refused=self.one, action=action, hidden=hidden
            )

        return {
            "/conventions/{agreement_id}/termes": agreement_http.change_terms.form(
                read=_terms_typed,
                then=_told("Changements proposés : chaque partie est prévenue et signe à nouveau."),
                refused=self.one,
                words=WORDS,
            ),
            "/conventions/{agreement_id}/lien-parent": agreement_http.write_to_guardian.form(
                then=_told("Le lien est parti à l’adresse du parent, et à nulle autre."), refused=self.one
            ),
            "/conventions/{agreement_id}/situation": agreement_http.attach_case.form(
                read=lambda sent: case_links.typed_in(sent.typed),
                then=_told("C’est noté."),
                refused=self.one,
                words=WORDS,
                where={"agreement_id": UUID},
                hidden={"application_id": "application_id"},
            ),
            "/conventions/{agreement_id}/papier": agreement_http.record_paper.form(
                then=_told("Signature sur papier enregistrée."), refused=self.one, hidden=hidden | {"party": "party"}
            ),
            **{
                f"/conventions/{{agreement_id}}/{path}": acts(action, said) for path, (action, _, said) in _ACTS.items()
            },
        }

    async def agreements(self, request: Request) -> Response:
        """What a school, a prescriber or the agency accompanies."""
        principal = self.who(request, *ACCOMPANISTS)
        async with self.database.transaction() as tx:
            acts_as = (await agreement_http.party_of(tx, principal))[1]
            rows = await agreement_store.accompanied(tx, str(acts_as))
        return self.page(request, "agreements.html", principal, rows=[(row, parsed(row.content)) for row in rows])

    async def agreement(self, request: Request, agreement_id: UUID, version: Version = None) -> Response:
        """The signed copy, or that of an earlier version, on which nobody acts any more."""
        return await self.one(request, self.who(request, *SIGNATORIES), agreement_id, version=version)

    async def printed(self, request: Request, agreement_id: UUID, version: Version = None) -> Response:
        """The same on paper."""
        principal = self.who(request, *SIGNATORIES)
        async with self.database.transaction() as tx:
            row = await agreement_http.agreement_of(tx, principal, agreement_id, version)
            acts = await agreement_store.acts_of(tx, agreement_id)
        return await pdf_of(row, acts)

    async def one(
        self,
        request: Request,
        principal: Principal,
        agreement_id: UUID,
        *,
        version: int | None = None,
        sent: Sent | None = None,
        **_: Any,
    ) -> Response:
        """The page, or the same after a form that was refused."""
        async with self.database.transaction() as tx:
            row = await agreement_http.agreement_of(tx, principal, agreement_id, version)
            role = (await agreement_http.party_of(tx, principal))[0]
            acts = await agreement_store.acts_of(tx, agreement_id)
            # Whoever accompanies attached it; no other party learns of it.
            cases = await case_links.codes_of(tx, [row.application_id]) if role == "school" else {}
            today = (await tx.now()).astimezone(PARIS).date()
        agreement = agreement_store.from_row(row)
        phase = agreement.phase(today)
        own = agreement.party_of(role)
        may = set(LIFECYCLE.may(row.state, role, phase)) if row.terms_version == row.current_version else set()
        if own is not None and own.value in row.signed:
            may.discard("sign")
        late = {path: LATE_FOR.get(act, ()) if phase == "after" else () for path, (_, act, _) in _ACTS.items()}
        return self.page(
            request,
            "agreement.html",
            principal,
            sent=sent,
            row=row,
            terms=parsed(row.content),
            acts=acts,
            may=may,
            reasons=late,
            guardian_awaited=_guardian_awaited(row),
            accompanies=role == "school",
            case_code=cases.get(row.application_id, ""),
            papers=_papers(row) if "record paper" in may else {},
        )


async def pdf_of(row: Any, acts: Any) -> Response:
    """An agreement's PDF, to be read or printed; nobody's cache keeps it."""
    content = await asyncio.to_thread(pdf, parsed(row.content), row, acts)
    headers = {
        "Content-Disposition": f'inline; filename="convention-v{row.terms_version}.pdf"',
        "Cache-Control": "no-store",
    }
    return Response(content, media_type="application/pdf", headers=headers)


def _papers(row: Any) -> dict[str, str]:
    """Whose signature on paper may be recorded: that of who is missing, and has no account of their own."""
    missing = {party for party in row.parties if party not in row.signed}
    return {
        role: words
        for role, words in _PAPER_OF.items()
        if PARTIES[role][0].value in missing and (role == "guardian" or row.account is None)
    }


def _guardian_awaited(row: Any) -> bool:
    """Whether a guardian who has an address has yet to sign."""
    guardian = parsed(row.content).party("GUARDIAN")
    return (
        row.terms_version == row.current_version
        and row.state == "drafted"
        and guardian is not None
        and guardian.email is not None
        and "GUARDIAN" not in row.signed
    )


def _told(said: str) -> Callable[[Sent], Response]:
    return lambda sent: done(f"/conventions/{sent.path['agreement_id']}", said)


def _terms_typed(sent: Sent) -> dict[str, Any]:
    return {"title": sent.typed.get("title", "")} | placement_typed(sent)


def placement_typed(sent: Sent) -> dict[str, Any]:
    """The fields of a placement, of an offer or an agreement; `ValueError` for hours that cannot be read."""
    typed = sent.typed
    texts = {name: typed.get(name, "").replace("\r\n", "\n") for name in ("address", "tasks", "tutor_name", "rules")}
    return texts | {"hours": [one for day in range(1, 8) for one in _hours(day, typed.get(f"hours_{day}", ""))]}


def _hours(weekday: int, typed: str) -> list[dict[str, Any]]:
    found = []
    for span in typed.replace("–", "-").replace(" ", "").split(","):
        if not span:
            continue
        read = _SPAN.match(span)
        if read is None:
            raise ValueError(f"Heures « {typed[:40]} » : écrivez par exemple 9:00-12:00, 13:30-16:30.")
        hour, minute, until_hour, until_minute = read.groups(default="00")
        found.append({"weekday": weekday, "starts": f"{hour:0>2}:{minute}", "ends": f"{until_hour:0>2}:{until_minute}"})
    return found
