"""The door of a session: who is expected, and what a device has read; it works on when the network is away."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4, uuid5

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from common.commands import Sent, Words
from common.desk import Desk, Routes, done
from common.identity import Principal
from common.mail import unreached
from events import organiser_http, party_store
from events.event_store import description_of
from events.http import ORGANISERS
from events.organiser_http import organised_session

_OUTCOMES = {"accepted": "Pointé.", "unchanged": "Déjà pointé."}
# What is read later than now is read now: a code that somebody types has no clock but ours.
_NOW = "2100-01-01T00:00:00Z"
_TYPED = UUID("a3c1d0be-6f0c-4a0e-8f4f-6c1d4c5d5f21")


class DoorDesk(Desk):
    """The routes of whoever checks in."""

    def forms(self) -> Routes:
        """What a device has read; also one code typed in the form, without JavaScript."""
        return {
            "/seances/{session_id}/pointage": organiser_http.check_in.form(
                read=_readings, then=_told, refused=self.expected, words=Words({"check_ins": "code ou personnes"})
            )
        }

    async def door(self, request: Request, session_id: UUID) -> Response:
        """Check-in: works without a network once it is open; what was read is sent when there is one again."""
        return await self.expected(request, self.who(request, *ORGANISERS), session_id)

    async def expected(
        self, request: Request, principal: Principal, session_id: UUID, *, sent: Sent | None = None
    ) -> Response:
        """The page, or the same after a code that was refused."""
        if sent is not None and _is_of_device(sent):
            return _to_device(sent)
        async with self.database.transaction() as tx:
            row = await organised_session(tx, principal, session_id)
            registrations = await party_store.registrations(tx, session_id=session_id)
            lost = await unreached(tx, (one.email for one in registrations))
        expected = [
            {
                "code": one.code,
                "title": one.party_title or "",
                "seats": one.seat_count,
                "came": one.visitor_count,
                "email": one.email,
            }
            for one in registrations
            if one.state in ("registered", "attended", "absent")
        ]
        return self.page(
            request,
            "door.html",
            principal,
            sent=sent,
            row=row,
            what=description_of(row),
            expected=expected,
            unreached=lost,
        )


def _is_of_device(sent: Sent) -> bool:
    return "lectures" in sent.typed


def _to_device(sent: Sent) -> Response:
    return JSONResponse(dict(sent.content), sent.status)


def _readings(sent: Sent) -> dict[str, Any]:
    """The readings in a form: a JSON list of a device, or one code that somebody typed."""
    if not _is_of_device(sent):
        one = {"code": sent.typed.get("code", ""), "visitor_count": sent.typed.get("personnes") or None, "at": _NOW}
        # Each form that is filled in is a reading of its own; it has no clock that would tell it from an equal one.
        return {"check_ins": [one | {"reading_id": uuid5(_TYPED, sent.typed.get("key") or uuid4().hex)}]}
    try:
        return {"check_ins": json.loads(sent.typed["lectures"])}
    except ValueError:
        raise ValueError("Ces lectures sont illisibles.") from None


def _told(sent: Sent) -> Response:
    if _is_of_device(sent):
        return _to_device(sent)
    (receipt,) = sent.content["receipts"]
    said = " ".join(filter(None, (_OUTCOMES.get(receipt["outcome"]), receipt["detail"])))
    return done(f"/seances/{sent.path['session_id']}/pointage", said)
