"""An organiser's pages: their events with their fill, one event's description, sessions and platform, who is registered, the door."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from fastapi import HTTPException, Request
from fastapi.responses import Response

from common.commands import Command, Endpoint, Form, Sent, Words, command
from common.desk import Desk, Routes, done, table_file
from common.http import Answer
from common.identity import Principal
from common.mail import unreached
from common.pages import PARIS
from common.spreadsheet import written_table
from common.transaction import Transaction
from events import event_store, kit_store, organiser_http, party_store, words
from events.bodies import EventBody
from events.event_store import description_of, event_of
from events.http import ORGANISERS, invitation_of
from events.messages import EventAccess
from events.organiser_http import organised_session
from territory import places

_FIELDS = {
    "organiser_title": "organisateur",
    "kind": "genre",
    "title": "titre",
    "summary": "présentation",
    "commune_code": "commune",
    "place_title": "lieu",
    "rome_codes": "métiers",
    "host_siret": "SIRET",
    "online_url": "lien",
    "chat_url": "tchat",
    "test_url": "test",
    "stands": "stands",
    "capacity_count": "places",
    "starts_at": "début",
    "ends_at": "fin",
    "draw_at": "tirage",
    "platform_id": "plateau",
    "group_size": "personnes",
}
WORDS = Words(_FIELDS, {"uuid_parsing": "donnez l’adresse de sa page"})
_CSV_COLUMNS = ("seance", "debut", "nom", "adresse", "etablissement", "personnes", "etat", "venus", "code", "courriel")


class OrganiserDesk(Desk):
    """The routes of an organiser."""

    def forms(self) -> Routes:
        """What an organiser may send, and what is said when it is done."""

        def of_event(what: Command, said: str, anchor: str = "", **how: Any) -> Endpoint:
            return what.form(
                then=lambda sent: done(f"/mes-evenements/{sent.path['event_id']}", said, anchor),
                refused=self.edited,
                words=WORDS,
                **how,
            )

        return {
            "/mes-evenements/{event_id}": of_event(
                describe_on_page, "Évènement enregistré.", "seances", read=_event_typed
            ),
            "/mes-evenements/{event_id}/seance": of_event(
                organiser_http.put_session,
                "Séance enregistrée.",
                "seances",
                read=_session_typed,
                hidden={"session_id": "session_id"},
            ),
            "/mes-evenements/{event_id}/seance-annulation": of_event(
                organiser_http.cancel_session,
                "Séance annulée : les inscrits sont prévenus.",
                "seances",
                where={"event_id": UUID},
                hidden={"session_id": "session_id"},
            ),
            "/mes-evenements/{event_id}/plateau": of_event(
                organiser_http.need_platform,
                "Plateau demandé ; l’évènement est confirmé quand il est réservé.",
                "plateau",
                read=_need_typed,
            ),
            "/mes-evenements/{event_id}/plateau-retrait": of_event(
                organiser_http.drop_platform, "L’évènement n’a plus besoin de plateau.", "plateau"
            ),
            "/mes-evenements/{event_id}/publication": of_event(organiser_http.publish, "Évènement publié."),
            "/mes-evenements/{event_id}/annulation": of_event(
                organiser_http.cancel_event, "Évènement annulé : les inscrits sont prévenus."
            ),
            "/seances/{session_id}/annulation": organiser_http.cancel_registration.form(
                then=lambda sent: done(
                    f"/seances/{sent.path['session_id']}", "Inscription annulée : la personne est prévenue."
                ),
                refused=self.expected,
                where={"session_id": UUID},
                hidden={"registration_id": "registration_id"},
            ),
        }

    async def mine(self, request: Request) -> Response:
        """The organiser's events: those to come with their fill, then those in preparation, then what is over."""
        principal = self.who(request, *ORGANISERS)
        async with self.database.transaction() as tx:
            now, account = await tx.now(), principal.account
            events = await event_store.events_of(tx, account)
            sessions: dict[UUID, list[Any]] = {}
            for row in await event_store.sessions(tx, now, organiser_account=account, limit=5000):
                sessions.setdefault(row.event_id, []).append(row)
        shown: list[dict[str, Any]] = [
            {"row": row, "what": description_of(row), "sessions": sessions.get(row.event_id, [])} for row in events
        ]
        over = [one for one in shown if one["row"].ends_at is not None and one["row"].ends_at <= now]
        return self.page(
            request,
            "mine.html",
            principal,
            now=now,
            live=[one for one in shown if one not in over],
            over=over[::-1],
        )

    async def edit(self, request: Request, event_id: UUID | None = None) -> Response:
        """The form of a new event, or one of the organiser's with its sessions, its platform and its kits."""
        principal = self.who(request, *ORGANISERS)
        return await self.edited(request, principal, event_id or uuid4(), new=event_id is None)

    async def edited(
        self,
        request: Request,
        principal: Principal,
        event_id: UUID,
        *,
        new: bool = False,
        sent: Sent | None = None,
        **_: UUID,
    ) -> Response:
        """The page; after a form that was refused also for what is not there, or not the organiser's."""
        async with self.database.transaction() as tx:
            now = await tx.now()
            known = {row.event_id: row for row in await event_store.events_of(tx, principal.account)}
            row = known.get(event_id)
            if row is None and not new and sent is None:
                raise HTTPException(404, "Cet évènement n'existe pas.")
            sessions = await event_store.sessions(tx, now, event_id=event_id) if row is not None else []
            loans = await kit_store.loans(tx, event_id=event_id)
        what = description_of(row) if row is not None else None
        return self.page(
            request,
            "edit.html",
            principal,
            sent=sent,
            event_id=event_id,
            row=row,
            what=what,
            event=event_of(row) if row is not None else None,
            sessions=sessions,
            loans=[(loan, kit_store.loan_of(loan).shown_as(now.astimezone(PARIS).date())) for loan in loans],
            organiser_title=what.organiser_title if what else principal.display or "",
            invitation=invitation_of(request, event_id) if what and what.access == EventAccess.INVITATION else "",
            public_url=self.runtime.settings.public_url,
            stand_lines="\n".join(_stand_line(one) for one in what.stands) if what else "",
            now=now,
        )

    # -- who comes

    async def session(self, request: Request, session_id: UUID) -> Response:
        """Who is registered, who waits in which order, who came."""
        principal = self.who(request, *ORGANISERS)
        return await self.expected(request, principal, session_id)

    async def expected(
        self, request: Request, principal: Principal, session_id: UUID, *, sent: Sent | None = None, **_: UUID
    ) -> Response:
        """The page, or the same after a form that was refused."""
        async with self.database.transaction() as tx:
            row = await organised_session(tx, principal, session_id)
            registrations = await party_store.registrations(tx, session_id=session_id)
            lost = await unreached(tx, (one.email for one in registrations))
            now = await tx.now()
        live = [one for one in registrations if not (one.due_at is not None and one.due_at <= now)]
        return self.page(
            request,
            "session.html",
            principal,
            sent=sent,
            row=row,
            what=description_of(row),
            seated=[one for one in live if one.state in ("registered", "attended", "absent")],
            offered=[one for one in live if one.state == "offered"],
            waiting=[one for one in live if one.state == "waiting"],
            unreached=lost,
            now=now,
            door_open=row.state == "open" and row.starts_at - timedelta(hours=12) <= now,
        )

    async def table(self, request: Request, session_id: UUID) -> Response:
        """Who is registered, as a table for a spreadsheet."""
        principal = self.who(request, *ORGANISERS)
        async with self.database.transaction() as tx:
            row = await organised_session(tx, principal, session_id)
            registrations = await party_store.registrations(tx, session_id=session_id)
            lost = await unreached(tx, (one.email for one in registrations))
        begin = f"{row.starts_at.astimezone(PARIS):%Y-%m-%d %H:%M}"
        lines = [
            (
                row.title,
                begin,
                one.party_title or "",
                one.email or "",
                one.school_uai or "",
                str(one.seat_count),
                words.STATES[one.state],
                str(one.visitor_count or ""),
                one.code,
                "non remis" if one.email in lost else "",
            )
            for one in registrations
            if one.state != "ended"
        ]
        return table_file("inscrits.csv", written_table(_CSV_COLUMNS, lines))


@command(*ORGANISERS)
async def describe_on_page(tx: Transaction, principal: Principal, event_id: UUID, body: EventBody) -> Answer:
    """Writes or changes an event; the form does not ask whether it is fictitious: it stays what it is."""
    event = await event_store.find_event(tx, event_id)
    fictitious = event is not None and event.description.fictitious
    kept = body.model_copy(update={"fictitious": fictitious})
    return await organiser_http.describe_event.run(tx, principal, event_id, kept)


def _event_typed(sent: Sent) -> dict[str, Any]:
    typed = sent.typed
    links = ("place_title", "host_siret", "online_url", "chat_url", "test_url")
    place = places.find(typed.get("commune", ""))
    return {
        **{name: typed.get(name, "").strip() or None for name in links},
        "organiser_title": typed.get("organiser_title", ""),
        "kind": typed.get("kind", ""),
        "title": typed.get("title", ""),
        "summary": typed.get("summary", "").replace("\r\n", "\n"),
        "access": typed.get("access", "OPEN"),
        "attendance_mode": typed.get("attendance_mode", "ON_SITE"),
        "commune_code": place if place.typed else None,
        "audiences": [str(one) for one in sent.fields.getlist("audience")],
        "rome_codes": [one.strip().upper() for one in typed.get("rome", "").split(",") if one.strip()],
        "under_represented": typed.get("under_represented") == "1",
        "stands": [_stand(line) for line in typed.get("stands", "").splitlines() if line.strip()],
    }


def _session_typed(sent: Sent) -> dict[str, Any]:
    typed, draw = sent.typed, sent.typed.get("tirage", "")
    return _when(typed) | {
        "title": typed.get("title", ""),
        "purpose": typed.get("purpose", "CONFERENCE"),
        "hall": typed.get("hall") or None,
        "speaker": typed.get("speaker") or None,
        "online_url": typed.get("online_url") or None,
        "admission": typed.get("admission", "EVERYONE"),
        "capacity_count": typed.get("places") or None,
        "allocation": "LOTTERY" if draw else "FIRST_COME",
        "draw_at": words.paris(draw, "12:00") if draw else None,
    }


def _need_typed(sent: Sent) -> dict[str, Any]:
    """A need for a platform as a form has it: the platform's address or id."""
    platform_id = sent.typed.get("platform", "").rstrip("/").rsplit("/", 1)[-1]
    return _when(sent.typed) | {"platform_id": platform_id, "group_size": sent.typed.get("personnes", "")}


def _when(typed: Form) -> dict[str, Any]:
    day = typed.get("jour", "")
    return {
        "starts_at": words.paris(day, typed.get("debut", "")),
        "ends_at": words.paris(day, typed.get("fin", "")),
    }


def _stand(line: str) -> dict[str, Any]:
    """A stand in a line: title ; hall ; trades ; address ; chat."""
    parts = [part.strip() for part in line.split(";")] + [""] * 5
    return {
        "title": parts[0],
        "hall": parts[1],
        "rome_codes": [one.strip().upper() for one in parts[2].split(",") if one.strip()],
        "url": parts[3] or None,
        "chat_url": parts[4] or None,
    }


def _stand_line(one: Any) -> str:
    return " ; ".join((one.title, one.hall, ", ".join(one.rome_codes), one.url, one.chat_url)).rstrip(" ;")
