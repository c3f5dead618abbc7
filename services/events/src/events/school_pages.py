"""A school's groups: the arrival slots with room, registering a class, what is registered and what waits."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import HTTPException, Request
from fastapi.responses import Response
from pydantic import ValidationError

from common.commands import Form
from common.desk import Desk, done
from common.http import Answer, answer
from common.identity import Principal
from common.spreadsheet import refused_line
from common.transaction import Transaction
from events import event_store, handlers, party_store, publication
from events.bodies import GroupBody
from events.event_store import description_of
from events.http import AHEAD_MAX, group_of, of_school, register_as, uai_of

FIELDS = {"title": "classe ou groupe", "seat_count": "nombre de personnes", "session_ids": "créneau"}


class SchoolDesk(Desk):
    """The routes of a school."""

    async def groups(self, request: Request) -> Response:
        """The school's groups, and events that receive some."""
        principal = self.who(request, "school")
        return await self._groups(request, principal, said=request.query_params.get("fait", ""))

    async def _groups(
        self,
        request: Request,
        principal: Principal,
        *,
        status: int = 200,
        said: str = "",
        problem: str = "",
        can_wait: bool = False,
        typed: Form | None = None,
    ) -> Response:
        async with self.database.transaction() as tx:
            now = await tx.now()
            mine = await party_store.registrations(tx, school_uai=uai_of(principal))
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
        asked = (typed or {}).get("evenement") or request.query_params.get("evenement", "")
        return self.page(
            request,
            "groups.html",
            principal,
            status,
            live=live,
            over=[row for row in reversed(mine) if row not in live][:20],
            # Those that receive groups above all come first.
            events=publication.by_event(sorted(slots, key=lambda row: row.admission != "GROUPS")),
            titles=titles,
            asked=asked,
            now=now,
            typed=typed or {},
            can_wait=can_wait,
            said=said,
            problem=problem,
        )

    async def register(self, request: Request) -> Response:
        """Registers a group."""
        principal, form = await self.posted(request, "school")
        try:
            event_id = UUID(form.get("evenement", ""))
            body = GroupBody.model_validate(
                {
                    "title": form.get("groupe", ""),
                    "seat_count": form.get("personnes", ""),
                    "female_count": form.get("filles") or 0,
                    "male_count": form.get("garcons") or 0,
                    "session_ids": [form["creneau"]] if form.get("creneau") else [],
                    "wait": form.get("attente") == "1",
                }
            )
        except ValidationError as error:
            problem = refused_line(error, FIELDS, {"too_short": "choisissez-en un"}).detail
            return await self._groups(request, principal, status=422, problem=problem, typed=form)
        except ValueError:
            raise HTTPException(422, "Choisissez un évènement.") from None

        async def run(tx: Transaction) -> Answer:
            return await register_as(tx, event_id, body, group_of(principal, body))

        status, content = await self.execute(request, principal, form, run)
        if status >= 400:
            return await self._groups(
                request,
                principal,
                status=status,
                problem=content["detail"],
                can_wait=bool(content.get("can_wait")),
                typed=form,
            )
        state: Any = content["registrations"][0]["state"]
        return done("/mes-groupes", "Groupe inscrit." if state == "registered" else "Groupe en liste d’attente.")

    async def act(self, request: Request, registration_id: UUID, action: str) -> Response:
        """Gives a group up, or takes the seats that it was offered."""
        principal, form = await self.posted(request, "school")
        acts = {"annulation": handlers.cancel, "acceptation": handlers.accept}
        if action not in acts:
            raise HTTPException(404, "Cette action n'existe pas.")

        async def run(tx: Transaction) -> Answer:
            refusal = await of_school(tx, principal, registration_id, acts[action])
            return answer(refusal, {})

        status, content = await self.execute(request, principal, form, run)
        if status >= 400:
            return await self._groups(request, principal, status=status, problem=content["detail"])
        return done("/mes-groupes", "Groupe annulé." if action == "annulation" else "Les places sont à vous.")
