"""A school's or the agency's pages of a campaign, from the table of pupils to the printed lists, and why each got what they got."""

from __future__ import annotations

import asyncio
import hashlib
from itertools import groupby
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

from fastapi import HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from common.desk import Desk
from common.failures import Refusal
from common.http import Answer, answer
from common.identity import Principal
from common.pages import count
from common.spreadsheet import UnreadableTable, written_table
from common.transaction import Transaction
from stage_matching import campaign_store, campaigns, handlers
from stage_matching.campaign_http import (
    ACTS,
    checked_pupils,
    may_see_results,
    opener,
    pupils_added,
    readable,
)
from stage_matching.handlers import Acting
from stage_matching.imports import PUPIL_COLUMNS
from stage_matching.messages import CampaignScope
from territory import reference

_LIST_MAX = 1000
_SHOWN_REFUSED_MAX = 200
_ACTIONS = {
    "gel": ("freeze", "Campagne gelée : le calcul commence."),
    "calcul": ("computation", "Le calcul recommence."),
    "arret": ("stop", "Calcul arrêté."),
    "publication": ("publication", "La publication commence."),
    "cloture": ("closing", "La clôture commence."),
    "abandon": ("cancellation", "Campagne abandonnée : les places gardées sont rendues."),
}

_SCHOOL_SCOPES = {"CLASS": CampaignScope.CLASS, "SCHOOL": CampaignScope.SCHOOL}


class CampaignDesk(Desk):
    """The routes of whoever leads a campaign."""

    async def campaigns(self, request: Request) -> Response:
        """The campaigns, and the form of a new one."""
        principal = self.who(request, "school", "agency")
        return await self._all(request, principal)

    async def _all(self, request: Request, principal: Principal, *, status: int = 200, problem: str = "") -> Response:
        uai = opener(principal)
        async with self.database.transaction() as tx:
            rows = await campaign_store.listed(tx, uai)
        return self.page(
            request,
            "campaigns.html",
            principal,
            status,
            rows=rows,
            agency=uai is None,
            school=_school_title(uai),
            problem=problem,
        )

    async def open(self, request: Request) -> Response:
        """Opens a campaign."""
        principal, form = await self.posted(request, "school", "agency")
        uai, title = opener(principal), form.get("title", "").strip()[:200]
        if not title.isprintable() or not title:
            return await self._all(request, principal, status=422, problem="Donnez un titre à la campagne.")
        scope = CampaignScope.TERRITORY if uai is None else _SCHOOL_SCOPES.get(form.get("scope", "CLASS"))
        if scope is None:
            return await self._all(request, principal, status=422, problem="Choisissez une classe ou l’établissement.")
        campaign_id = uuid4()

        async def run(tx: Transaction) -> Answer:
            await campaigns.open_campaign(tx, campaign_id, title=title, scope=scope, uai=uai)
            return 200, {"campaign_id": campaign_id}

        status, content = await self.execute(request, principal, form, run)
        if status >= 400:
            return await self._all(request, principal, status=status, problem=content["detail"])
        return RedirectResponse(f"/campagnes/{content['campaign_id']}", 303)

    async def campaign(self, request: Request, campaign_id: UUID) -> Response:
        """One campaign: what to do next, how far the job is, and its figures."""
        principal = self.who(request, "school", "agency")
        return await self._one(request, principal, campaign_id)

    async def _one(
        self,
        request: Request,
        principal: Principal,
        campaign_id: UUID,
        *,
        status: int = 200,
        problem: str = "",
        report: Any = None,
    ) -> Response:
        uai = opener(principal)
        async with self.database.transaction() as tx:
            row = await readable(tx, campaign_id, uai)
            spans = await campaign_store.spans_of_schools(tx, campaign_id)
        return self.page(
            request,
            "campaign.html",
            principal,
            status,
            row=row,
            leads=uai is None or row.uai == uai,
            school=_school_title(row.uai),
            school_count=len(spans),
            results=may_see_results(row, uai),
            columns=PUPIL_COLUMNS,
            report=report,
            refused_max=_SHOWN_REFUSED_MAX,
            said=request.query_params.get("fait", ""),
            problem=problem,
        )

    async def progress(self, request: Request, campaign_id: UUID) -> Response:
        """The part of the page that moves while the job works."""
        principal = self.who(request, "school", "agency")
        async with self.database.transaction() as tx:
            row = await readable(tx, campaign_id, opener(principal))
        return self.page(request, "progress.html", principal, row=row)

    async def act(self, request: Request, campaign_id: UUID, action: str) -> Response:
        """Freezes, computes again, stops, publishes, closes, gives up."""
        principal, form = await self.posted(request, "school", "agency")
        if action not in _ACTIONS:
            raise HTTPException(404, "Cette action n'existe pas.")
        name, said = _ACTIONS[action]

        async def run(tx: Transaction) -> Answer:
            refusal = await ACTS[name](tx, campaign_id, opener(principal))
            return answer(refusal, {})

        status, content = await self.execute(request, principal, form, run)
        if status >= 400:
            return await self._one(request, principal, campaign_id, status=status, problem=content["detail"])
        return RedirectResponse(f"/campagnes/{campaign_id}?{urlencode({'fait': said})}", 303)

    async def try_table(self, request: Request, campaign_id: UUID) -> Response:
        """A rehearsal with a report line by line; the table is kept until it is sent for good."""
        principal, form = await self.posted(request, "school", "agency")
        upload = (await request.form()).get("file")
        content = b"" if isinstance(upload, str) or upload is None else await upload.read()
        uai = opener(principal)
        try:
            checked = await asyncio.to_thread(checked_pupils, content, uai)
        except UnreadableTable as error:
            return await self._one(request, principal, campaign_id, status=422, problem=str(error))

        async def run(tx: Transaction) -> Answer:
            await readable(tx, campaign_id, uai)
            await campaign_store.keep_table(tx, campaign_id, content)
            return await pupils_added(tx, campaign_id, uai, checked, keep="good", dry_run=True)

        asked = {**form, "table": hashlib.sha256(content).hexdigest()}
        status, report = await self.execute(request, principal, asked, run)
        if status >= 400:
            return await self._one(request, principal, campaign_id, status=status, problem=report["detail"])
        return await self._one(request, principal, campaign_id, report=report)

    async def keep_table(self, request: Request, campaign_id: UUID) -> Response:
        """Keeps the good lines of the table that was tried; what is wrong in it was shown."""
        principal, form = await self.posted(request, "school", "agency")
        uai = opener(principal)

        async def run(tx: Transaction) -> Answer:
            content = await campaign_store.take_table(tx, campaign_id)
            if not content:
                return 409, Refusal("no_table", "Le tableau n’est plus là : envoyez-le à nouveau.")
            checked = await asyncio.to_thread(checked_pupils, content, uai)
            return await pupils_added(tx, campaign_id, uai, checked, keep="good", dry_run=False)

        status, report = await self.execute(request, principal, form, run)
        if status >= 400:
            return await self._one(request, principal, campaign_id, status=status, problem=report["detail"])
        said = f"{count(report['kept_count'], 'élève enregistré', 'élèves enregistrés')}."
        return RedirectResponse(f"/campagnes/{campaign_id}?{urlencode({'fait': said})}", 303)

    async def table_template(self, request: Request) -> Response:
        """A table with one example, for a spreadsheet."""
        example = ("0760017F", "3A", "3A-01", "F", 14, "Canteleu (76)", 30, "2027-W06", 1, "H29, M18, J15")
        text = written_table(PUPIL_COLUMNS, [example])
        headers = {"Content-Disposition": 'attachment; filename="eleves.csv"', "Cache-Control": "no-store"}
        return Response("\ufeff" + text, media_type="text/csv; charset=utf-8", headers=headers)

    # -- results

    async def lists(self, request: Request, campaign_id: UUID) -> Response:
        """Published lists by school and class, to be printed: who goes where, by the school's own codes."""
        seen = await self._results(request, campaign_id)
        if isinstance(seen, Response):
            return seen
        principal, row, rows = seen
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
        seen = await self._results(request, campaign_id, request_id)
        if isinstance(seen, Response):
            return seen
        principal, row, rows = seen
        if not rows:
            raise HTTPException(404, "Cet élève n'est pas de cette campagne.")
        async with self.database.transaction() as tx:
            titles = await campaign_store.titles(tx, [wish for wish in rows[0].wishes if len(wish) > 5])
            proposals = await campaign_store.proposals(tx, campaign_id, rows[0].seeker_id)
        return self.page(
            request,
            "pupil.html",
            principal,
            row=row,
            one=rows[0],
            school=_school_title(rows[0].uai),
            titles=titles,
            proposals=proposals,
            may_answer="school" in principal.roles,
            said=request.query_params.get("fait", ""),
            problem=request.query_params.get("refus", ""),
        )

    async def answer(self, request: Request, campaign_id: UUID, request_id: UUID, action: str) -> Response:
        """The school confirms or gives back a proposal for its pupil."""
        principal, form = await self.posted(request, "school")
        handler = {"confirmation": handlers.confirm, "retrait": handlers.withdraw}.get(action)
        if handler is None:
            raise HTTPException(404, "Cette action n'existe pas.")
        try:
            application_id = UUID(form.get("application_id", ""))
        except ValueError:
            raise HTTPException(422, "Cette proposition est illisible.") from None

        async def run(tx: Transaction) -> Answer:
            refusal = await handler(tx, Acting(uai=opener(principal)), application_id)
            return answer(refusal, {})

        status, content = await self.execute(request, principal, form, run)
        said = {"refus": content["detail"]} if status >= 400 else {"fait": "C’est enregistré."}
        return RedirectResponse(f"/campagnes/{campaign_id}/eleves/{request_id}?{urlencode(said)}", 303)

    async def _results(
        self, request: Request, campaign_id: UUID, request_id: UUID | None = None
    ) -> tuple[Principal, Any, Any] | Response:
        principal = self.who(request, "school", "agency")
        uai = opener(principal)
        async with self.database.transaction() as tx:
            row = await readable(tx, campaign_id, uai)
            if not may_see_results(row, uai):
                raise HTTPException(404, "Les listes ne sont pas encore publiées.")
            wanted = uai or request.query_params.get("uai") or None
            rows = await campaign_store.results(tx, campaign_id, wanted, _LIST_MAX + 1, 0, request_id)
        return principal, row, rows


def _school_title(uai: str | None) -> str:
    return next((school.title for school in reference.schools() if school.uai == uai), uai or "")
