"""A partner's pages: seats to declare, holds to answer, a table to send, the topic of its software."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from fastapi import HTTPException, Request
from fastapi.responses import Response

from common.commands import Sent, Words, command
from common.dead_letters import let_go_on
from common.desk import Desk, Routes, done, table_file
from common.http import Answer
from common.identity import Principal
from common.mail import unreached
from common.pages import PARIS
from common.spreadsheet import decoded
from common.transaction import Transaction
from remediation_seats import declarations, http, presence, search, store
from remediation_seats.declarations import CSV_COLUMNS, FIELDS, PROBLEMS
from remediation_seats.http import structure_of
from remediation_seats.messages import DeclarationSource
from remediation_seats.partner_topics import SEATS


class PartnerDesk(Desk):
    """The routes of a partner."""

    def forms(self) -> Routes:
        """What a partner may send, and what is said when it is done."""
        words = Words(FIELDS, PROBLEMS)
        return {
            "/mes-places/tableau": http.declare_table.form(read=_table_sent, refused=self.tried),
            "/mes-places/flux": resume_topic.form(then=_resumed, refused=self.mine),
            "/mes-places/{programme_id}": http.declare_now.form(then=_declared, refused=self.mine, words=words),
            "/retenues-recues/{hold_id}/confirmation": http.confirm.form(
                then=lambda _: done("/mes-places", "Retenue confirmée : le prescripteur est prévenu."),
                refused=self.mine,
                words=words,
            ),
            "/retenues-recues/{hold_id}/refus": http.decline.form(
                then=lambda _: done("/mes-places", "Retenue déclinée : le prescripteur est prévenu."),
                refused=self.mine,
                words=words,
            ),
            "/presences/{hold_id}/{after_months}": http.answer_presence.form(
                then=lambda _: done("/mes-places", "Merci, c’est noté."), refused=self.mine
            ),
            "/presence/{token}": http.answer_by_link.form(refused=self.presence_answered),
            "/retenues-recues/{hold_id}/accueil": http.admit.form(
                then=lambda _: done("/mes-places", "Jeune accueilli : la place est comptée comme occupée."),
                refused=self.mine,
            ),
        }

    async def my_places(self, request: Request) -> Response:
        """A structure's programmes, what waits for its answer, what is stale, and whether its topic is read."""
        return await self.mine(request, self.who(request, "partner"))

    async def mine(self, request: Request, principal: Principal, *, sent: Sent | None = None, **path: Any) -> Response:
        """The page, after a form that was refused with what was typed for the programme or hold of its path."""
        structure_id = structure_of(principal)
        topic = SEATS.format(structure_id=structure_id)
        async with self.database.transaction() as tx:
            now = await tx.now()
            policy = await store.policy_at(tx, now)
            structure = await store.structure(tx, structure_id)
            rows = await store.catalogue(tx, structure_id=structure_id)
            programmes = [search.own(row, policy, now) for row in rows]
            holds = await store.holds_of(tx, structure_id=structure_id)
            lost = await unreached(tx, (row.contact_email for row in holds))
            presences = await presence.open_questions(tx, structure_id)
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
            sent=sent,
            asked=path.get("programme_id") or path.get("hold_id"),
            now=now,
            today=now.astimezone(PARIS).date(),
            last_day=now.astimezone(PARIS).date() + timedelta(days=policy.arrival_days_max),
            structure=structure,
            programmes=sorted(programmes, key=lambda row: (stale_first[row["freshness"]], row["title"])),
            waiting=[row for row in live if row.state == "held"],
            expected=[row for row in live if row.state == "confirmed"],
            without_seat={hold_id for row in programmes for hold_id in _without_seat(row, live)},
            unreached=lost,
            presences=presences,
            topic=position,
        )

    async def presence(self, request: Request, token: str) -> Response:
        """One question with closed answers, by the link of a mail."""
        return await self.presence_answered(request, None, token=token)

    async def presence_answered(
        self, request: Request, _: Principal | None, *, token: str, sent: Sent | None = None
    ) -> Response:
        """The question, and what was answered."""
        hold_id, months = presence.asked_in(http.presence_subject(request, token))
        async with self.database.transaction() as tx:
            asked = await presence.question(tx, hold_id, months)
        if asked is None:
            raise HTTPException(404, presence.GONE.detail)
        answered = sent is not None and sent.status < 400
        return self.page(request, "presence.html", None, sent=sent, asked=asked, token=token, answered=answered)

    async def table(self, request: Request) -> Response:
        """Where a table is chosen."""
        return await self.tried(request, self.who(request, "partner"))

    async def tried(self, request: Request, principal: Principal, *, sent: Sent | None = None) -> Response:
        """First a rehearsal with a report per line, then, with the same content sent back, for good."""
        reported = sent if sent and sent.status < 400 else None
        return self.page(
            request,
            "table.html",
            principal,
            sent=sent,
            report=reported.content if reported else None,
            content=decoded(await _content(reported)) if reported else "",
            columns=CSV_COLUMNS,
        )

    async def table_template(self, request: Request) -> Response:
        """The structure's programmes with their last counts, for a spreadsheet to change."""
        principal = self.who(request, "partner")
        async with self.database.transaction() as tx:
            rows = await store.catalogue(tx, structure_id=structure_of(principal))
        return table_file("mes-places.csv", declarations.written_csv(rows))


@command("partner")
async def resume_topic(tx: Transaction, principal: Principal) -> Answer:
    """The partner has repaired its software and lets its own topic go on."""
    topic = SEATS.format(structure_id=structure_of(principal))
    return 200, {"resumed": await let_go_on(tx, topic, 0, principal.subject)}


def _without_seat(programme: Mapping[str, Any], live: Sequence[Any]) -> list[UUID]:
    """The holds of a programme that came last, which a lower declaration leaves without a seat."""
    holds = sorted((row.held_at, row.hold_id) for row in live if row.programme_id == programme["programme_id"])
    return [hold_id for _, hold_id in holds[max(0, len(holds) - programme["excess_count"]) :]]


async def _content(sent: Sent) -> bytes:
    return sent.typed["content"].encode() if "content" in sent.typed else await sent.file("file")


async def _table_sent(sent: Sent) -> dict[str, Any]:
    lines = declarations.read_csv(await _content(sent))
    return {"lines": lines, "dry_run": sent.typed.get("step") != "send", "source": DeclarationSource.PERSON}


def _resumed(sent: Sent) -> Response:
    resumed = sent.content["resumed"]
    return done("/mes-places", "La lecture de votre sujet reprend." if resumed else "Votre sujet n’est pas suspendu.")


def _declared(sent: Sent) -> Response:
    said = f"Places à jour. {sent.content.get('detail', '')}".strip()
    return done("/mes-places", said, f"p{sent.path['programme_id']}")
