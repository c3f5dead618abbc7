"""An organiser's pages: their events with their fill, one event's description, sessions and platform, who is registered, the door."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from fastapi import HTTPException, Request
from fastapi.responses import Response
from pydantic import ValidationError

from common.commands import Form
from common.desk import Desk, done
from common.failures import Refusal
from common.http import Answer, answer
from common.identity import Principal
from common.pages import PARIS
from common.spreadsheet import refused_line, written_table
from common.transaction import Transaction
from events import event_handlers, event_store, handlers, kit_store, party_store, words
from events.bodies import EventBody, NeedBody, SessionBody
from events.event_store import description_of, event_of
from events.http import ORGANISERS, invitation_of
from events.messages import EventAccess
from events.organiser_http import organised_session
from territory import reference

FIELDS = {
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
_CSV_COLUMNS = ("seance", "debut", "nom", "adresse", "etablissement", "personnes", "etat", "venus", "code")


class OrganiserDesk(Desk):
    """The routes of an organiser."""

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
            said=request.query_params.get("fait", ""),
        )

    async def edit(self, request: Request, event_id: UUID | None = None) -> Response:
        """The form of a new event, or one of the organiser's with its sessions, its platform and its kits."""
        principal = self.who(request, *ORGANISERS)
        return await self._form(
            request,
            principal,
            event_id or uuid4(),
            new=event_id is None,
            said=request.query_params.get("fait", ""),
        )

    async def _form(
        self,
        request: Request,
        principal: Principal,
        event_id: UUID,
        *,
        new: bool = False,
        status: int = 200,
        problem: str = "",
        said: str = "",
        typed: Form | None = None,
    ) -> Response:
        async with self.database.transaction() as tx:
            now = await tx.now()
            known = {row.event_id: row for row in await event_store.events_of(tx, principal.account)}
            row = known.get(event_id)
            if row is None and not new:
                raise HTTPException(404, "Cet évènement n'existe pas.")
            sessions = await event_store.sessions(tx, now, event_id=event_id) if row is not None else []
            loans = await kit_store.loans(tx, event_id=event_id)
        what = description_of(row) if row is not None else None
        return self.page(
            request,
            "edit.html",
            principal,
            status,
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
            typed=typed or {},
            suggestions=reference.suggestions(),
            said=said,
            problem=problem,
        )

    async def save(self, request: Request, event_id: UUID) -> Response:
        """Writes or changes an event."""
        principal, form = await self.posted(request, *ORGANISERS)
        fields = await request.form()
        try:
            body = EventBody.model_validate(
                {
                    **{
                        name: form.get(name, "").strip() or None
                        for name in ("place_title", "host_siret", "online_url", "chat_url", "test_url")
                    },
                    "organiser_title": form.get("organiser_title", ""),
                    "kind": form.get("kind", ""),
                    "title": form.get("title", ""),
                    "summary": form.get("summary", "").replace("\r\n", "\n"),
                    "access": form.get("access", "OPEN"),
                    "attendance_mode": form.get("attendance_mode", "ON_SITE"),
                    "commune_code": reference.commune_code(form.get("commune", "")) or None,
                    "audiences": [str(one) for one in fields.getlist("audience")],
                    "rome_codes": [one.strip().upper() for one in form.get("rome", "").split(",") if one.strip()],
                    "under_represented": form.get("under_represented") == "1",
                    "stands": [_stand(line) for line in form.get("stands", "").splitlines() if line.strip()],
                }
            )
        except ValidationError as error:
            problem = refused_line(error, FIELDS, {}).detail
            return await self._form(request, principal, event_id, new=True, status=422, problem=problem, typed=form)

        async def run(tx: Transaction) -> Answer:
            event = await event_store.find_event(tx, event_id)
            fictitious = event.description.fictitious if event is not None else False
            kept = body.model_copy(update={"fictitious": fictitious})
            refusal = await event_handlers.describe_event(
                tx, principal.account, principal.contact, event_id, kept.description()
            )
            return answer(refusal, {})

        status, content = await self.execute(request, principal, form, run)
        if status >= 400:
            return await self._form(
                request, principal, event_id, new=True, status=status, problem=content["detail"], typed=form
            )
        return done(f"/mes-evenements/{event_id}", "Évènement enregistré.", "seances")

    async def change(self, request: Request, event_id: UUID, action: str) -> Response:
        """Sessions, the platform, publication, cancellation."""
        principal, form = await self.posted(request, *ORGANISERS)
        account = principal.account
        said, anchor = "", ""
        command: Any = None
        try:
            match action:
                case "seance":
                    session_id = UUID(form.get("session_id", ""))
                    plan = _session_body(form).plan()
                    command = partial(
                        event_handlers.put_session, account=account, event_id=event_id, session_id=session_id, plan=plan
                    )
                    said, anchor = "Séance enregistrée.", "seances"
                case "seance-annulation":
                    session_id = UUID(form.get("session_id", ""))
                    command = partial(event_handlers.cancel_session, account=account, session_id=session_id)
                    said, anchor = "Séance annulée : les inscrits sont prévenus.", "seances"
                case "plateau":
                    command = partial(
                        event_handlers.need_platform, account=account, event_id=event_id, need=_need_body(form).need()
                    )
                    said, anchor = "Plateau demandé ; l’évènement est confirmé quand il est réservé.", "plateau"
                case "plateau-retrait":
                    command = partial(event_handlers.drop_platform, account=account, event_id=event_id)
                    said, anchor = "L’évènement n’a plus besoin de plateau.", "plateau"
                case "publication":
                    command = partial(event_handlers.publish, account=account, event_id=event_id)
                    said = "Évènement publié."
                case "annulation":
                    command = partial(event_handlers.cancel, account=account, event_id=event_id)
                    said = "Évènement annulé : les inscrits sont prévenus."
                case _:
                    raise HTTPException(404, "Cette action n'existe pas.")
        except ValidationError as error:
            problem = refused_line(error, FIELDS, {}).detail
            return await self._form(request, principal, event_id, status=422, problem=problem, typed=form)
        except ValueError:
            problem = "Écrivez le jour, le début et la fin, et un nombre de places."
            return await self._form(request, principal, event_id, status=422, problem=problem, typed=form)

        async def run(tx: Transaction) -> Answer:
            refusal: Refusal | None = await command(tx)
            return answer(refusal, {})

        status, content = await self.execute(request, principal, form, run)
        if status >= 400:
            return await self._form(request, principal, event_id, status=status, problem=content["detail"], typed=form)
        return done(f"/mes-evenements/{event_id}", said, anchor)

    # -- who comes

    async def session(self, request: Request, session_id: UUID) -> Response:
        """Who is registered, who waits in which order, who came."""
        principal = self.who(request, *ORGANISERS)
        return await self._session(request, principal, session_id, said=request.query_params.get("fait", ""))

    async def _session(
        self,
        request: Request,
        principal: Principal,
        session_id: UUID,
        *,
        status: int = 200,
        said: str = "",
        problem: str = "",
    ) -> Response:
        async with self.database.transaction() as tx:
            row = await organised_session(tx, principal, session_id)
            registrations = await party_store.registrations(tx, session_id=session_id)
            now = await tx.now()
        live = [one for one in registrations if not (one.due_at is not None and one.due_at <= now)]
        return self.page(
            request,
            "session.html",
            principal,
            status,
            row=row,
            what=description_of(row),
            seated=[one for one in live if one.state in ("registered", "attended", "absent")],
            offered=[one for one in live if one.state == "offered"],
            waiting=[one for one in live if one.state == "waiting"],
            now=now,
            door_open=row.state == "open" and row.starts_at - timedelta(hours=12) <= now,
            said=said,
            problem=problem,
        )

    async def answer(self, request: Request, session_id: UUID, action: str) -> Response:
        """Cancels a registration for a party."""
        principal, form = await self.posted(request, *ORGANISERS)
        if action != "annulation":
            raise HTTPException(404, "Cette action n'existe pas.")
        try:
            registration_id = UUID(form.get("registration_id", ""))
        except ValueError:
            raise HTTPException(422, "Cette inscription n'existe pas.") from None

        async def run(tx: Transaction) -> Answer:
            refusal = await handlers.cancel_for(tx, principal.account, registration_id)
            return answer(refusal, {})

        status, content = await self.execute(request, principal, form, run)
        if status >= 400:
            return await self._session(request, principal, session_id, status=status, problem=content["detail"])
        return done(f"/seances/{session_id}", "Inscription annulée : la personne est prévenue.", "")

    async def table(self, request: Request, session_id: UUID) -> Response:
        """Who is registered, as a table for a spreadsheet."""
        principal = self.who(request, *ORGANISERS)
        async with self.database.transaction() as tx:
            row = await organised_session(tx, principal, session_id)
            registrations = await party_store.registrations(tx, session_id=session_id)
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
            )
            for one in registrations
            if one.state != "ended"
        ]
        content = "\ufeff" + written_table(_CSV_COLUMNS, lines)
        headers = {"Content-Disposition": 'attachment; filename="inscrits.csv"', "Cache-Control": "no-store"}
        return Response(content, media_type="text/csv; charset=utf-8", headers=headers)


def _session_body(form: Form) -> SessionBody:
    """A session as a form has it; `ValueError` when it does not read."""
    day = form.get("jour", "")
    draw = form.get("tirage", "")
    return SessionBody.model_validate(
        {
            "title": form.get("title", ""),
            "purpose": form.get("purpose", "CONFERENCE"),
            "starts_at": words.paris(day, form.get("debut", "")),
            "ends_at": words.paris(day, form.get("fin", "")),
            "hall": form.get("hall") or None,
            "speaker": form.get("speaker") or None,
            "online_url": form.get("online_url") or None,
            "admission": form.get("admission", "EVERYONE"),
            "capacity_count": form.get("places") or None,
            "allocation": "LOTTERY" if draw else "FIRST_COME",
            "draw_at": words.paris(draw, "12:00") if draw else None,
        }
    )


def _need_body(form: Form) -> NeedBody:
    """A need for a platform as a form has it: the platform's address or id; `ValueError` when it does not read."""
    typed = form.get("platform", "").rstrip("/").rsplit("/", 1)[-1]
    day = form.get("jour", "")
    return NeedBody(
        platform_id=UUID(typed),
        starts_at=words.paris(day, form.get("debut", "")),
        ends_at=words.paris(day, form.get("fin", "")),
        group_size=int(form.get("personnes", "")),
    )


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
