"""The door of a session: who is expected, and what a device has read; it works on when the network is away."""

from __future__ import annotations

import json
from datetime import datetime
from uuid import UUID

from fastapi import HTTPException, Request
from fastapi.responses import Response
from pydantic import ValidationError

from common.commands import Form
from common.desk import Desk, done
from common.failures import Refusal
from common.http import Answer, answer
from common.transaction import Transaction
from events import handlers, party_store
from events.bodies import CheckInsBody
from events.event_store import description_of
from events.http import ORGANISERS
from events.organiser_http import organised_session
from events.state import CheckIn


class DoorDesk(Desk):
    """The routes of whoever checks in."""

    async def door(self, request: Request, session_id: UUID) -> Response:
        """Check-in: works without a network once it is open; what was read is sent when there is one again."""
        principal = self.who(request, *ORGANISERS)
        async with self.database.transaction() as tx:
            row = await organised_session(tx, principal, session_id)
            registrations = await party_store.registrations(tx, session_id=session_id)
        expected = [
            {
                "code": one.code,
                "title": one.party_title or "",
                "seats": one.seat_count,
                "came": one.visitor_count,
            }
            for one in registrations
            if one.state in ("registered", "attended", "absent")
        ]
        return self.page(
            request,
            "door.html",
            principal,
            row=row,
            what=description_of(row),
            expected=expected,
            expected_json=json.dumps(expected, ensure_ascii=False),
        )

    async def read_at_door(self, request: Request, session_id: UUID) -> Response:
        """What a device has read; also one code typed in the form, without JavaScript."""
        principal, form = await self.posted(request, *ORGANISERS)
        async with self.database.transaction() as tx:
            now = await tx.now()
        readings = _readings(form, now)

        async def run(tx: Transaction) -> Answer:
            result = await handlers.check_in(tx, principal.account, session_id, readings)
            if isinstance(result, Refusal):
                return answer(result, None)
            return 200, {"receipts": [one.__dict__ for one in result]}

        status, content = await self.execute(request, principal, form, run)
        if "application/json" in request.headers.get("accept", ""):
            return Response(json.dumps(content, default=str), status, media_type="application/json")
        if status >= 400:
            raise HTTPException(status, content["detail"])
        (receipt,) = content["receipts"]
        said = {"accepted": "Pointé.", "unchanged": "Déjà pointé."}.get(receipt["outcome"], receipt["detail"])
        return done(f"/seances/{session_id}/pointage", said, "")


def _readings(form: Form, now: datetime) -> list[CheckIn]:
    """The readings in a form: a JSON list of a device, or one code that somebody typed."""
    if "lectures" in form:
        try:
            body = CheckInsBody.model_validate({"check_ins": json.loads(form["lectures"])})
        except (ValidationError, ValueError):
            raise HTTPException(422, "Ces lectures sont illisibles.") from None
        return [one.reading() for one in body.check_ins]
    typed = {"code": form.get("code", "")[:40] or "?", "at": now.isoformat()}
    if form.get("personnes", "").isdigit():
        typed["visitor_count"] = form["personnes"]
    return [one.reading() for one in CheckInsBody.model_validate({"check_ins": [typed]}).check_ins]
