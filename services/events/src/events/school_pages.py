"""A school's groups: the arrival slots with room, registering a class, what is registered and what waits."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import Request
from fastapi.responses import Response

from common import case_links
from common.commands import Sent, Words
from common.desk import Desk, Routes, done
from common.identity import Principal
from events import event_store, http, overlaps, party_store, publication
from events.event_store import description_of
from events.http import AHEAD_MAX, uai_of

_FIELDS = {
    "title": "classe ou groupe",
    "seat_count": "nombre de personnes",
    "session_ids": "créneau",
    "case_code": "code de la situation",
}


class SchoolDesk(Desk):
    """The routes of a school."""

    def forms(self) -> Routes:
        """What a school may send, and what is said when it is done."""
        return {
            "/mes-groupes": http.register_group.form(
                read=_group_typed,
                then=_registered,
                refused=self.groups_of,
                words=Words(_FIELDS, {"too_short": "choisissez-en un"}),
                hidden={"event_id": "evenement"},
            ),
            "/mes-groupes/{registration_id}/annulation": http.cancel_group.form(
                then=lambda _: done("/mes-groupes", "Groupe annulé."), refused=self.groups_of
            ),
            "/mes-groupes/{registration_id}/situation": http.attach_case.form(
                read=lambda sent: case_links.typed_in(sent.typed),
                then=lambda _: done("/mes-groupes", "C’est noté."),
                refused=self.groups_of,
                words=Words(_FIELDS),
            ),
            "/mes-groupes/{registration_id}/acceptation": http.accept_group.form(
                then=lambda _: done("/mes-groupes", "Les places sont à vous."), refused=self.groups_of
            ),
        }

    async def groups(self, request: Request) -> Response:
        """The school's groups, and events that receive some."""
        return await self.groups_of(request, self.who(request, "school"))

    async def groups_of(
        self, request: Request, principal: Principal, *, sent: Sent | None = None, **_: UUID
    ) -> Response:
        """The page, or the same after a form that was refused."""
        async with self.database.transaction() as tx:
            now, uai = await tx.now(), uai_of(principal)
            mine = await party_store.registrations(tx, school_uai=uai)
            cases = await case_links.codes_of(tx, [row.registration_id for row in mine])
            beside = overlaps.beside(await overlaps.had_by(tx, now, school_uai=uai))
            rows = await event_store.sessions(tx, now, since=now, until=now + AHEAD_MAX, only_public=True)
        titles = {row.event_id: description_of(row) for row in rows}
        slots = [
            row
            for row in rows
            if row.state == "open"
            and row.capacity_count is not None
            and row.admission != "INDIVIDUALS"
            and row.starts_at > now
        ]
        live = [
            row
            for row in mine
            if row.state != "ended" and row.ends_at > now and not (row.due_at is not None and row.due_at <= now)
        ]
        return self.page(
            request,
            "groups.html",
            principal,
            sent=sent,
            live=live,
            beside=beside,
            cases=cases,
            over=[row for row in reversed(mine) if row not in live][:20],
            # Those that receive groups above all come first.
            events=publication.by_event(sorted(slots, key=lambda row: row.admission != "GROUPS")),
            titles=titles,
            asked=(sent.typed if sent else request.query_params).get("evenement", ""),
            now=now,
            can_wait=bool(sent and sent.content.get("can_wait")),
        )


def _group_typed(sent: Sent) -> dict[str, Any]:
    slot = sent.typed.get("creneau")
    return {
        "title": sent.typed.get("groupe", ""),
        "seat_count": sent.typed.get("personnes", ""),
        "female_count": sent.typed.get("filles") or 0,
        "male_count": sent.typed.get("garcons") or 0,
        "session_ids": [slot] if slot else [],
        "wait": sent.typed.get("attente") == "1",
        **case_links.typed_in(sent.typed),
        "overlapping": sent.typed.get("overlapping") == "yes",
    }


def _registered(sent: Sent) -> Response:
    state = sent.content["registrations"][0]["state"]
    return done("/mes-groupes", "Groupe inscrit." if state == "registered" else "Groupe en liste d’attente.")
