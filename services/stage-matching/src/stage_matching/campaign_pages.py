"""A school's or the agency's pages of a campaign, from the table of pupils to the printed lists, and why each got what they got."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import groupby
from typing import Any
from uuid import UUID, uuid4

from fastapi import HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel

from common import case_links
from common.commands import Endpoint, Sent, Words, command
from common.desk import Desk, Routes, done, table_file
from common.failures import Refusal
from common.http import Answer, answer
from common.identity import Principal
from common.pages import count
from common.spreadsheet import written_table
from common.transaction import Transaction
from stage_matching import agreement_http, campaign_http, campaign_store, campaigns, http
from stage_matching.campaign_http import (
    LEADERS,
    CampaignBody,
    checked_pupils,
    may_see_results,
    opener,
    pupils_added,
    readable,
)
from stage_matching.imports import PUPIL_COLUMNS
from territory import reference

_LIST_MAX = 1000
_SHOWN_REFUSED_MAX = 200
WORDS = Words(
    {"title": "titre", "scope": "portée", "case_code": "code de la situation"},
    {"literal_error": "choisissez une classe ou l’établissement"},
)


class CampaignDesk(Desk):
    """The routes of whoever leads a campaign."""

    def forms(self) -> Routes:
        """What whoever leads a campaign may send, and what is said when it is done."""

        def acts(action: str, said: str) -> Endpoint:
            return campaign_http.act.form(then=_told(said), refused=self.one, action=action)

        def recorded(sent: Sent) -> Response:
            return done("/campagnes/{campaign_id}/eleves/{request_id}".format(**sent.path), "C’est enregistré.")

        where, hidden = {"campaign_id": UUID, "request_id": UUID}, {"application_id": "application_id"}

        def answers(action: str) -> Endpoint:
            return http.seeker_acts.form(then=recorded, refused=self.result, where=where, hidden=hidden, action=action)

        return {
            "/campagnes": open_new.form(then=_opened, refused=self.all, words=WORDS),
            "/campagnes/{campaign_id}/gel": acts("freeze", "Campagne gelée : le calcul commence."),
            "/campagnes/{campaign_id}/calcul": acts("computation", "Le calcul recommence."),
            "/campagnes/{campaign_id}/arret": acts("stop", "Calcul arrêté."),
            "/campagnes/{campaign_id}/publication": acts("publication", "La publication commence."),
            "/campagnes/{campaign_id}/cloture": acts("closing", "La clôture commence."),
            "/campagnes/{campaign_id}/abandon": acts(
                "cancellation", "Campagne abandonnée : les places gardées sont rendues."
            ),
            "/campagnes/{campaign_id}/eleves": try_table.form(read=_table_typed, refused=self.one),
            "/campagnes/{campaign_id}/eleves/envoi": keep_table.form(then=_kept, refused=self.one),
            "/campagnes/{campaign_id}/eleves/{request_id}/situation": agreement_http.attach_case.form(
                read=lambda sent: case_links.typed_in(sent.typed),
                then=recorded,
                refused=self.result,
                words=WORDS,
                where=where,
                hidden=hidden,
            ),
            "/campagnes/{campaign_id}/eleves/{request_id}/confirmation": answers("confirmation"),
            "/campagnes/{campaign_id}/eleves/{request_id}/retrait": answers("withdrawal"),
        }

    async def campaigns(self, request: Request) -> Response:
        """The campaigns, and the form of a new one."""
        return await self.all(request, self.who(request, *LEADERS))

    async def all(self, request: Request, principal: Principal, *, sent: Sent | None = None) -> Response:
        """The page, or the same after a campaign that was refused."""
        uai = opener(principal)
        async with self.database.transaction() as tx:
            rows = await campaign_store.listed(tx, uai)
        return self.page(
            request,
            "campaigns.html",
            principal,
            sent=sent,
            rows=rows,
            agency=uai is None,
            school=_school_title(uai),
        )

    async def campaign(self, request: Request, campaign_id: UUID) -> Response:
        """One campaign: what to do next, how far the job is, and its figures."""
        return await self.one(request, self.who(request, *LEADERS), campaign_id)

    async def one(
        self, request: Request, principal: Principal, campaign_id: UUID, *, sent: Sent | None = None
    ) -> Response:
        """The page, or the same after a form: what was refused, or the report on a table that was tried."""
        uai = opener(principal)
        async with self.database.transaction() as tx:
            row = await readable(tx, campaign_id, uai)
            spans = await campaign_store.spans_of_schools(tx, campaign_id)
        return self.page(
            request,
            "campaign.html",
            principal,
            sent=sent,
            row=row,
            leads=uai is None or row.uai == uai,
            school=_school_title(row.uai),
            school_count=len(spans),
            results=may_see_results(row, uai),
            columns=PUPIL_COLUMNS,
            report=sent.content if sent and sent.status < 400 else None,
            refused_max=_SHOWN_REFUSED_MAX,
        )

    async def progress(self, request: Request, campaign_id: UUID) -> Response:
        """The part of the page that moves while the job works."""
        principal = self.who(request, *LEADERS)
        async with self.database.transaction() as tx:
            row = await readable(tx, campaign_id, opener(principal))
        return self.page(request, "progress.html", principal, row=row)

    async def table_template(self, request: Request) -> Response:
        """A table with one example, for a spreadsheet."""
        example = ("0760017F", "3A", "3A-01", "F", 14, "Canteleu (76)", 30, "2027-W06", 1, "H29, M18, J15")
        return table_file("eleves.csv", written_table(PUPIL_COLUMNS, [example]))

    # -- results

    async def lists(self, request: Request, campaign_id: UUID) -> Response:
        """Published lists by school and class, to be printed: who goes where, by the school's own codes."""
        principal = self.who(request, *LEADERS)
        row, rows = await self._results(request, principal, campaign_id)
        schools = [
            (_school_title(uai), [(group, list(own)) for group, own in groupby(people, key=lambda r: r.class_group)])
            for uai, people in groupby(rows[:_LIST_MAX], key=lambda r: r.uai)
        ]
        async with self.database.transaction() as tx:
            everybody = sorted(
                (_school_title(uai), uai) for uai in await campaign_store.spans_of_schools(tx, campaign_id)
            )
        return self.page(
            request,
            "lists.html",
            principal,
            row=row,
            schools=schools,
            more=len(rows) > _LIST_MAX,
            everybody=everybody if opener(principal) is None else [],
            chosen=request.query_params.get("uai", ""),
            max=_LIST_MAX,
        )

    async def pupil(self, request: Request, campaign_id: UUID, request_id: UUID) -> Response:
        """One pupil: what became of each wish and why; the school answers for them."""
        return await self.result(request, self.who(request, *LEADERS), campaign_id, request_id)

    async def result(
        self,
        request: Request,
        principal: Principal,
        campaign_id: UUID,
        request_id: UUID,
        *,
        sent: Sent | None = None,
        **_: UUID,
    ) -> Response:
        """The page, or the same after an answer that was refused."""
        row, rows = await self._results(request, principal, campaign_id, request_id)
        if not rows:
            raise HTTPException(404, "Cet élève n'est pas de cette campagne.")
        async with self.database.transaction() as tx:
            titles = await campaign_store.titles(tx, campaign_id, [wish for wish in rows[0].wishes if len(wish) > 5])
            proposals = await campaign_store.proposals(tx, campaign_id, rows[0].seeker_id)
            own = [one.application_id for one in proposals] if "school" in principal.roles else []
            cases = await case_links.codes_of(tx, own)
        return self.page(
            request,
            "pupil.html",
            principal,
            sent=sent,
            row=row,
            one=rows[0],
            school=_school_title(rows[0].uai),
            titles=titles,
            proposals=proposals,
            may_answer="school" in principal.roles,
            cases=cases,
        )

    async def _results(
        self, request: Request, principal: Principal, campaign_id: UUID, request_id: UUID | None = None
    ) -> tuple[Any, Any]:
        uai = opener(principal)
        async with self.database.transaction() as tx:
            row = await readable(tx, campaign_id, uai)
            if not may_see_results(row, uai):
                raise HTTPException(404, "Les listes ne sont pas encore publiées.")
            wanted = uai or request.query_params.get("uai") or None
            rows = await campaign_store.results(tx, campaign_id, wanted, _LIST_MAX + 1, 0, request_id)
        return row, rows


@command(*LEADERS)
async def open_new(tx: Transaction, principal: Principal, body: CampaignBody) -> Answer:
    """Opens a campaign whose id nobody had to choose."""
    return await campaign_http.open_campaign.run(tx, principal, uuid4(), body)


class TriedTable(BaseModel):
    """A table of pupils and what its lines came to."""

    content: bytes
    checked: list[Any]


@command(*LEADERS)
async def try_table(tx: Transaction, principal: Principal, campaign_id: UUID, body: TriedTable) -> Answer:
    """A rehearsal with a report line by line; the table is kept until it is sent for good."""
    uai = opener(principal)
    refusal = await campaigns.why_not_add(tx, campaign_id, uai)
    if refusal is not None:
        return answer(refusal, None)
    await campaign_store.keep_table(tx, campaign_id, body.content)
    return await pupils_added(tx, campaign_id, uai, body.checked, keep="good", dry_run=True, replace=False)


class KeptTable(BaseModel):
    """Whether the lines that change what another table brought are kept, too."""

    replace: bool = False


@command(*LEADERS)
async def keep_table(tx: Transaction, principal: Principal, campaign_id: UUID, body: KeptTable) -> Answer:
    """Keeps the good lines of the table that was tried; what is wrong in it was shown."""
    uai = opener(principal)
    refusal = await campaigns.why_not_add(tx, campaign_id, uai)
    if refusal is not None:
        return answer(refusal, None)
    content = await campaign_store.take_table(tx, campaign_id)
    if not content:
        return 409, Refusal("no_table", "Le tableau n’est plus là : envoyez-le à nouveau.")
    checked = await asyncio.to_thread(checked_pupils, content, uai)
    return await pupils_added(tx, campaign_id, uai, checked, keep="good", dry_run=False, replace=body.replace)


def _told(said: str) -> Callable[[Sent], Response]:
    return lambda sent: done(f"/campagnes/{sent.path['campaign_id']}", said)


async def _table_typed(sent: Sent) -> dict[str, Any]:
    assert sent.principal is not None
    content = await sent.file("file")
    return {"content": content, "checked": await asyncio.to_thread(checked_pupils, content, opener(sent.principal))}


def _opened(sent: Sent) -> Response:
    return RedirectResponse(f"/campagnes/{sent.content['campaign_id']}", 303)


def _kept(sent: Sent) -> Response:
    kept = count(sent.content["kept_count"], "élève enregistré", "élèves enregistrés")
    return done(f"/campagnes/{sent.path['campaign_id']}", f"{kept}.")


def _school_title(uai: str | None) -> str:
    return next((school.title for school in reference.schools() if school.uai == uai), uai or "")
