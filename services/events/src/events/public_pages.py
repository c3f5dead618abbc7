"""What everybody may see: events on a list and a map, one event, registering; and what a party's signed link opens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import segno
from fastapi import HTTPException, Request
from fastapi.responses import Response
from pydantic import Field, field_validator

from common.bodies import YEARS, Body
from common.commands import Command, Endpoint, Sent, Words, command
from common.desk import Desk, Routes, done
from common.http import Answer, answer
from common.identity import Principal
from common.links import subject_of
from common.pages import PARIS
from common.query import Query
from common.transaction import Transaction
from events import event_store, handlers, http, notices, overlaps, party_store, personal_data, publication, store, words
from events.bodies import Seats
from events.event_store import description_of
from events.http import AHEAD_MAX, calendar_response, is_professional, shown_lottery, visible
from events.kinds import KINDS
from events.messages import EventAccess, EventKind
from territory import maps, places, reference, rome

_FIELDS = {
    "email": "adresse mail",
    "title": "nom",
    "seat_count": "nombre de personnes",
    "session_ids": "séances",
    "female_count": "femmes et filles",
    "male_count": "hommes et garçons",
}
WORDS = Words(_FIELDS, {"too_short": "choisissez au moins une séance"})
PERIODS = {"": "À venir", "7": "7 prochains jours", "30": "30 prochains jours", "90": "3 prochains mois"}
# Begins what a party's link stands for.
_PARTY = "party/"
_SHOWN_COUNT = 20
_SCHOOL_YEAR_MONTH = 9


class Wanted(Query):
    """A search; blanks and unknown values are left out, so that an old link never fails."""

    commune: places.WrittenPlace = places.NOWHERE
    rayon: int = Field(default=30, ge=1, le=200)
    genre: str = ""
    public: str = ""
    quand: str = ""
    n: int = Field(default=_SHOWN_COUNT, ge=1, le=500)

    @field_validator("genre")
    @classmethod
    def _a_kind(cls, typed: str) -> str:
        return typed if typed in {kind.value for kind in KINDS} else ""

    @field_validator("public")
    @classmethod
    def _an_audience(cls, typed: str) -> str:
        return typed if typed in words.AUDIENCES else ""

    @field_validator("quand")
    @classmethod
    def _a_period(cls, typed: str) -> str:
        return typed if typed in PERIODS else ""


class PublicDesk(Desk):
    """The routes of everybody, and of whoever has a link."""

    def forms(self) -> Routes:
        """What somebody without an account may send, and what is said when it is done."""

        def of_party(what: Command, said: str, **how: Any) -> Endpoint:
            return what.form(
                then=lambda sent: done(f"/inscription/{sent.path['token']}", said),
                refused=self.registered,
                words=WORDS,
                hidden={"registration_id": "registration_id"},
                **how,
            )

        return {
            "/evenements/{event_id}": http.register.form(read=_registration_typed, refused=self.shown, words=WORDS),
            "/inscription/{token}/acceptation": of_party(accept, "Les places sont à vous."),
            "/inscription/{token}/annulation": of_party(
                cancel, "C’est annulé : vos places vont à d’autres. Merci d’avoir prévenu."
            ),
            "/inscription/{token}/nombre": of_party(
                resize,
                "Le nombre de personnes est changé.",
                read=lambda sent: {"seat_count": sent.typed.get("personnes", "1")},
            ),
            "/inscription/{token}/effacement": self.erase,
        }

    async def find(self, request: Request) -> Response:
        """Events to come, day by day, with what is left in each; open to everyone, whole without JavaScript."""
        wanted = Wanted.read(request.query_params)
        async with self.database.transaction() as tx:
            now = await tx.now()
            until = now + (timedelta(days=int(wanted.quand)) if wanted.quand else AHEAD_MAX)
            rows = await event_store.sessions(tx, now, since=now, until=until, only_public=True)
        home = wanted.commune.code
        distances = {code: km for km, code in reference.communes_within(home, wanted.rayon)} if home else {}
        # Around a place that is not understood nothing is near.
        found = [row for row in rows if not wanted.commune.problem and _fits(row, wanted, distances)]
        events = [_card(sessions) for sessions in publication.by_event(found).values()]
        counts: dict[str, int] = {}
        for one in events:
            if one["what"].commune_code:
                counts[one["what"].commune_code] = counts.get(one["what"].commune_code, 0) + 1
        days: dict[date, list[Any]] = {}
        for one in events[: wanted.n]:
            days.setdefault(one["first"].starts_at.astimezone(PARIS).date(), []).append(one)
        return self.page(
            request,
            "find.html",
            self.identity.session(request),
            wanted=wanted,
            periods=PERIODS,
            event_count=len(events),
            days=days,
            distances=distances,
            more_count=max(0, len(events) - wanted.n),
            more=wanted.query(n=wanted.n + _SHOWN_COUNT),
            map=maps.around(counts, home, wanted.rayon),
        )

    async def programme(self, request: Request) -> Response:
        """The annual programme of a kind of event: a school year on one page, to print or to subscribe to."""
        asked = Wanted.read(request.query_params)
        kind = asked.genre or EventKind.IMMERSION_DAY.value
        async with self.database.transaction() as tx:
            now = await tx.now()
            today = now.astimezone(PARIS).date()
            typed = request.query_params.get("annee", "")[:4]
            current = today.year - (today.month < _SCHOOL_YEAR_MONTH)
            first = int(typed) if typed.isdigit() and int(typed) in YEARS else current
            since, until = (datetime(year, _SCHOOL_YEAR_MONTH, 1, tzinfo=PARIS) for year in (first, first + 1))
            rows = await event_store.sessions(tx, now, since=since, until=until, only_public=True)
        chosen = [row for row in rows if row.description["kind"] == kind and row.state in ("open", "held")]
        return self.page(
            request,
            "programme.html",
            self.identity.session(request),
            kind=kind,
            first=first,
            rows=[(row, description_of(row)) for row in chosen],
            now=now,
        )

    async def event(self, request: Request, event_id: UUID) -> Response:
        """One event: when, where, what is left; and the form to register."""
        return await self.shown(request, self.identity.session(request), event_id)

    async def shown(
        self, request: Request, principal: Principal | None, event_id: UUID, *, sent: Sent | None = None
    ) -> Response:
        """The page, or the same after the form was sent: what became of it, or why it was refused."""
        typed: Mapping[str, str] = sent.typed if sent else request.query_params
        invitation = typed.get("invitation") or None
        async with self.database.transaction() as tx:
            now = await tx.now()
            rows = await visible(request, tx, event_id, invitation, now)
            address = tx.address(f"/evenements/{event_id}")
            policy = await store.policy_at(tx, now)
        what = description_of(rows[0])
        open_rows = [row for row in rows if _takes_registrations(row, now)]
        return self.page(
            request,
            "event.html",
            principal,
            sent=sent,
            event_id=event_id,
            what=what,
            state=rows[0].event_state,
            days=_by_day(rows),
            rows=rows,
            trades=list(dict.fromkeys(rome.label(code) for code in what.rome_codes)),
            lottery={row.session_id: shown_lottery(row) for row in rows},
            open_rows=open_rows,
            may_register=what.access == EventAccess.OPEN or is_professional(principal) or bool(invitation),
            individual_rows=[row for row in open_rows if row.admission != "GROUPS"],
            group_rows=[row for row in open_rows if row.admission != "INDIVIDUALS"],
            is_cycle=KINDS[what.kind].is_cycle,
            party_seats_max=policy.party_seats_max,
            now=now,
            typed=typed,
            chosen=sent.fields.getlist("seance") if sent else [],
            invitation=invitation or "",
            document=publication.embedded(publication.json_ld(event_id, rows, address)),
            can_wait=bool(sent and sent.content.get("can_wait")),
            done=sent.content.get("registrations") if sent else None,
        )

    # -- by a signed link

    async def party(self, request: Request, token: str) -> Response:
        """What a party has registered for: its ticket, what it may change."""
        return await self.registered(request, None, token)

    async def registered(
        self, request: Request, _: Principal | None, token: str, *, sent: Sent | None = None, **__: UUID
    ) -> Response:
        """The page, or the same after a form that was refused."""
        party_id = _party_id(request, token)
        async with self.database.transaction() as tx:
            now = await tx.now()
            party = await party_store.find_party(tx, party_id)
            if party is None or party.email is None:
                raise HTTPException(404, "Cette inscription n'existe plus.")
            rows = await party_store.registrations(tx, party_ids=[party_id])
            policy = await store.policy_at(tx, now)
            beside = overlaps.beside(await overlaps.had_by_party(tx, now, party))
            pages = {one.party_id: notices.page_of(tx, party, one) for others in beside.values() for one in others}
        what = description_of(party)
        # An offer or a place in line whose time is over is shown so, whether it was settled or not.
        live = [
            row
            for row in rows
            if row.state != "ended" and not (row.due_at is not None and row.due_at <= now) and row.ends_at > now
        ]
        return self.page(
            request,
            "party.html",
            None,
            sent=sent,
            token=token,
            party=party,
            what=what,
            live=live,
            over=[row for row in rows if row not in live],
            beside=beside,
            pages=pages,
            now=now,
            code=party.code,
            qr=segno.make(party.code, error="q", micro=False).svg_inline(
                border=2, dark="#000", light="#fff", omitsize=True
            ),
            party_seats_max=policy.party_seats_max,
        )

    async def erase(self, request: Request, token: str) -> Response:
        """Erases everything that the service knows of whoever has the link."""
        party_id = _party_id(request, token)

        async def run(tx: Transaction) -> None:
            party = await party_store.find_party(tx, party_id)
            if party is not None and party.email is not None:
                await personal_data.erase_address(tx, party.email)

        await self.database.run(run)
        return self.page(request, "erased.html", None)

    async def calendar(self, request: Request, token: str) -> Response:
        """The sessions of a party, for its own calendar."""
        party_id = _party_id(request, token)
        async with self.database.transaction() as tx:
            now = await tx.now()
            party = await party_store.find_party(tx, party_id)
            if party is None:
                raise HTTPException(404, "Cette inscription n'existe plus.")
            mine = {
                row.session_id
                for row in await party_store.registrations(tx, party_ids=[party_id])
                if row.state in ("registered", "attended")
            }
            rows = [
                row for row in await event_store.sessions(tx, now, event_id=party.event_id) if row.session_id in mine
            ]
            title = description_of(party).title
            content = publication.calendar(title, rows, lambda one: tx.address(f"/evenements/{one}"), mine=True)
        return calendar_response(request, content, private=True)

    async def data(self, request: Request, token: str) -> Response:
        """Everything that the service knows of whoever has the link."""
        async with self.database.transaction() as tx:
            party = await party_store.find_party(tx, _party_id(request, token))
            found = await personal_data.export_address(tx, party.email) if party is not None and party.email else None
        if found is None:
            raise HTTPException(404, "Nous ne savons plus rien de vous.")
        content = json.dumps(found, ensure_ascii=False, indent=1, default=str)
        headers = {"Content-Disposition": 'attachment; filename="mes-donnees.json"', "Cache-Control": "no-store"}
        return Response(content, media_type="application/json", headers=headers)


class SizeBody(Body):
    """How many of a party come."""

    seat_count: Seats


async def party_by_link(request: Request, token: str) -> Principal:
    """Stands for the party that a link is for."""
    return Principal(f"{_PARTY}{_party_id(request, token)}", frozenset())


@command(who=party_by_link)
async def accept(tx: Transaction, principal: Principal, registration_id: UUID) -> Answer:
    """Takes the seats that were offered."""
    return answer(await handlers.accept(tx, _party_of(principal), registration_id), {})


@command(who=party_by_link)
async def cancel(tx: Transaction, principal: Principal, registration_id: UUID) -> Answer:
    """Leaves an offer or a place in line, or gives a registration up."""
    return answer(await handlers.cancel(tx, _party_of(principal), registration_id), {})


@command(who=party_by_link)
async def resize(tx: Transaction, principal: Principal, registration_id: UUID, body: SizeBody) -> Answer:
    """Changes how many come."""
    return answer(await handlers.resize(tx, _party_of(principal), registration_id, body.seat_count), {})


def _party_id(request: Request, token: str) -> UUID:
    subject = subject_of(request.app.state.runtime.settings.session_secret, notices.PARTY_LINK, token)
    if subject is None:
        raise HTTPException(403, "Ce lien n'est pas le bon ou n'est plus valable : reprenez celui du dernier mail.")
    return UUID(subject)


def _party_of(principal: Principal) -> UUID:
    return UUID(principal.subject.removeprefix(_PARTY))


def _registration_typed(sent: Sent) -> dict[str, Any]:
    return {
        "email": sent.typed.get("adresse", ""),
        "title": sent.typed.get("nom", ""),
        "seat_count": sent.typed.get("personnes", "1"),
        "female_count": sent.typed.get("femmes") or 0,
        "male_count": sent.typed.get("hommes") or 0,
        "session_ids": sent.fields.getlist("seance"),
        "wait": sent.typed.get("attente") == "1",
        "overlapping": sent.typed.get("overlapping") == "yes",
        "invitation": sent.typed.get("invitation") or None,
    }


def _fits(row: Any, wanted: Wanted, distances: Mapping[str, float]) -> bool:
    what = row.description
    return (
        row.event_state == "confirmed"
        and row.state == "open"
        and (not wanted.genre or what["kind"] == wanted.genre)
        and (not wanted.public or wanted.public in what["audiences"])
        and (not wanted.commune.code or what["commune_code"] in distances or what["attendance_mode"] == "ONLINE")
    )


def _card(sessions: list[Any]) -> dict[str, Any]:
    """An event in the list: its first session to come, how many there are, what is left in all."""
    counted = [one for one in sessions if one.capacity_count is not None]
    return {
        "event_id": sessions[0].event_id,
        "what": description_of(sessions[0]),
        "first": sessions[0],
        "last": sessions[-1],
        "session_count": len(sessions),
        "free_count": sum(one.free_count for one in counted),
        "capacity_count": sum(one.capacity_count for one in counted),
        "waiting_count": sum(one.waiting for one in counted),
        "has_free_entry": len(counted) < len(sessions),
    }


def _by_day(rows: list[Any]) -> dict[date, list[Any]]:
    found: dict[date, list[Any]] = {}
    for row in rows:
        found.setdefault(row.starts_at.astimezone(PARIS).date(), []).append(row)
    return found


def _takes_registrations(row: Any, now: datetime) -> bool:
    return (
        row.state == "open"
        and row.capacity_count is not None
        and row.starts_at > now
        and (row.opens_at is None or row.opens_at <= now)
    )
