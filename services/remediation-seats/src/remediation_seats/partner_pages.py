"""A partner's pages: seats to declare, holds to answer, a table to send, the topic of its software."""

from __future__ import annotations

import hashlib
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from common.dead_letters import let_go_on
from common.desk import Desk
from common.failures import Refusal
from common.http import Answer
from common.identity import Principal
from common.pages import PARIS
from common.spreadsheet import UnreadableTable, decoded
from common.transaction import Transaction
from remediation_seats import declarations, handlers, search, store
from remediation_seats.declarations import CSV_COLUMNS
from remediation_seats.domain import freshness
from remediation_seats.http import structure_of
from remediation_seats.messages import DeclarationWay, DeclineReason
from remediation_seats.partner_topics import SEATS


class PartnerDesk(Desk):
    """The routes of a partner."""

    async def my_places(self, request: Request) -> Response:
        """A structure's programmes, what waits for its answer, what is stale, and whether its topic is read."""
        principal = self.who(request, "partner")
        return principal if isinstance(principal, Response) else await self._mine(request, principal)

    async def _mine(self, request: Request, principal: Principal, *, status: int = 200, problem: str = "") -> Response:
        structure_id = structure_of(principal)
        topic = SEATS.format(structure_id=structure_id)
        async with self.database.transaction() as tx:
            now = await tx.now()
            policy = await store.policy_at(tx, now)
            structure = await store.structure(tx, structure_id)
            programmes = [
                search.shown(row)
                | {"freshness": freshness(row.observed_at, policy, now), "excess_count": row.excess_count}
                for row in await store.catalogue(tx, structure_id=structure_id)
            ]
            holds = await store.holds_of(tx, structure_id=structure_id)
            position = await tx.fetch_one(
                """SELECT next_offset, stopped_reason,
                          (SELECT reason FROM dead_letter d WHERE d.topic = c.topic ORDER BY "offset" DESC LIMIT 1) AS reason
                   FROM consumer_position c WHERE topic = :topic""",
                topic=topic,
            )
        live = [row for row in holds if row.due_at is not None and row.due_at > now]
        stale_first = {"stale": 0, "unknown": 0, "ageing": 1, "fresh": 2}
        return self.page(
            request,
            "mine.html",
            principal,
            status,
            now=now,
            today=now.astimezone(PARIS).date(),
            last_day=now.astimezone(PARIS).date() + timedelta(days=policy.arrival_days_max),
            structure=structure,
            programmes=sorted(programmes, key=lambda row: (stale_first[row["freshness"]], row["title"])),
            waiting=[row for row in live if row.state == "held"],
            expected=[row for row in live if row.state == "confirmed"],
            topic=position,
            said=request.query_params.get("fait", ""),
            problem=problem,
        )

    async def declare(self, request: Request, programme_id: UUID) -> Response:
        """The structure says what it sees now."""
        principal, form = await self.posted(request, "partner")

        async def run(tx: Transaction) -> Answer:
            line = {
                "programme_id": programme_id,
                "total_count": form.get("total_count", ""),
                "taken_count": form.get("taken_count", ""),
                "observed_at": await tx.now(),
            }
            (receipt,) = await declarations.declare(tx, structure_of(principal), [line], DeclarationWay.PAGE)
            refused = receipt["status"] == "refused"
            return (409, Refusal(receipt["reason"], receipt["detail"])) if refused else (200, receipt)

        status, content = await self.execute(request, principal, form, run)
        if status >= 400:
            return await self._mine(request, principal, status=status, problem=content["detail"])
        without = len(content.get("holds_without_seat", ()))
        said = "Places à jour." + (f" Attention : {without} retenue(s) sans place ; répondez-leur." if without else "")
        return RedirectResponse(f"/mes-places?{urlencode({'fait': said})}#p{programme_id}", 303)

    async def answer_hold(self, request: Request, hold_id: UUID, action: str) -> Response:
        """The structure confirms, declines, or says that the young person arrived."""
        principal, form = await self.posted(request, "partner")
        structure_id = structure_of(principal)
        said = {
            "confirmation": "Retenue confirmée : le prescripteur est prévenu.",
            "refus": "Retenue déclinée : le prescripteur est prévenu.",
            "accueil": "Jeune accueilli : la place est comptée comme occupée.",
        }
        if action not in said:
            raise HTTPException(404, "Cette action n'existe pas.")

        async def run(tx: Transaction) -> Answer:
            match action:
                case "confirmation":
                    refusal = await handlers.confirm_hold(tx, hold_id, structure_id, _date(form.get("arrival_on")))
                case "refus":
                    reason = DeclineReason(form.get("reason", DeclineReason.OTHER))
                    refusal = await handlers.decline_hold(tx, hold_id, structure_id, reason)
                case _:
                    refusal = await handlers.admit_young_person(tx, hold_id, structure_id)
            return (200, {}) if refusal is None else (409, refusal)

        try:
            status, content = await self.execute(request, principal, form, run)
        except ValueError:
            status, content = 422, {"detail": "Choisissez une date d’arrivée ou une raison de la liste."}
        if status >= 400:
            return await self._mine(request, principal, status=status, problem=content["detail"])
        return RedirectResponse(f"/mes-places?{urlencode({'fait': said[action]})}", 303)

    async def table(self, request: Request) -> Response:
        """Where a table is chosen."""
        principal = self.who(request, "partner")
        if isinstance(principal, Response):
            return principal
        return self.page(request, "table.html", principal, report=None, content="", problem="", columns=CSV_COLUMNS)

    async def send_table(self, request: Request) -> Response:
        """First a rehearsal with a report per line, then, with the same content sent back, for good."""
        principal, form = await self.posted(request, "partner")
        upload = (await request.form()).get("file")
        content = form.get("content", "").encode() if isinstance(upload, str) or upload is None else await upload.read()
        dry_run = form.get("step") != "send"
        facts: dict[str, Any] = {"report": None, "content": "", "problem": "", "columns": CSV_COLUMNS}
        try:
            table = declarations.read_csv(content)
        except UnreadableTable as error:
            return self.page(request, "table.html", principal, 422, **facts | {"problem": str(error)})

        async def run(tx: Transaction) -> Answer:
            return 200, await declarations.declare_table(tx, structure_of(principal), table, dry_run=dry_run)

        asked = {**form, "content": hashlib.sha256(content).hexdigest()}
        _, report = await self.execute(request, principal, asked, run)
        facts |= {"report": report, "content": decoded(content)}
        return self.page(request, "table.html", principal, **facts)

    async def table_template(self, request: Request) -> Response:
        """The structure's programmes with their last counts, for a spreadsheet to change."""
        principal = self.who(request, "partner")
        if isinstance(principal, Response):
            return principal
        async with self.database.transaction() as tx:
            now = await tx.now()
            rows = await store.catalogue(tx, structure_id=structure_of(principal))
        text = declarations.written_csv(rows, now)
        headers = {"Content-Disposition": 'attachment; filename="mes-places.csv"', "Cache-Control": "no-store"}
        return Response("\ufeff" + text, media_type="text/csv; charset=utf-8", headers=headers)

    async def resume_topic(self, request: Request) -> Response:
        """The partner has repaired its software and lets its own topic go on."""
        principal, _ = await self.posted(request, "partner")
        async with self.database.transaction() as tx:
            resumed = await let_go_on(tx, SEATS.format(structure_id=structure_of(principal)), 0, principal.subject)
        said = "La lecture de votre sujet reprend." if resumed else "Votre sujet n’est pas suspendu."
        return RedirectResponse(f"/mes-places?{urlencode({'fait': said})}", 303)


def _date(text: str | None) -> date:
    return date.fromisoformat(text or "")
