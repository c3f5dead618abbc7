"""Whoever looks for a platform: search on a map, one platform and its week, book, move, give up, subscribe."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import Field, ValidationError, field_validator

from common.bodies import YEARS
from common.commands import Form
from common.desk import Desk
from common.failures import Refusal
from common.http import Answer
from common.identity import Principal
from common.pages import PARIS
from common.query import Query
from common.spreadsheet import refused_line
from common.transaction import Transaction
from platform_scheduling import handlers, search, store, time_store, words
from platform_scheduling.bodies import CAPACITY_MAX, BookingBody, SlotBody
from platform_scheduling.handlers import Party
from platform_scheduling.http import FEED_PAST, REQUESTERS, account_of, book_as, published
from platform_scheduling.state import Span
from territory import maps, reference, weeks
from territory.equipment import EQUIPMENT

_SHOWN_COUNT, _DAYS_TRIED = 12, 21
FIELDS = {
    "group_size": "nombre de personnes",
    "habilitation_codes": "habilitations",
    "purpose": "projet",
    "starts_at": "début",
    "ends_at": "fin",
}


class Wanted(Query):
    """A search; blanks and unknown values are left out, so that an old link never fails."""

    commune: reference.TypedCommune = ""
    rayon: int = Field(default=30, ge=1, le=200)
    equipement: str = ""
    jour: date | None = None
    personnes: int = Field(default=12, ge=1, le=CAPACITY_MAX)
    duree: int = Field(default=120, ge=15, le=1440)
    accessible: bool = False
    n: int = Field(default=_SHOWN_COUNT, ge=1, le=500)

    @field_validator("equipement")
    @classmethod
    def _a_known_one(cls, typed: str) -> str:
        return typed if typed in EQUIPMENT else ""

    @field_validator("jour")
    @classmethod
    def _near(cls, typed: date | None) -> date | None:
        return typed if typed is None or typed.year in YEARS else None


class RequesterDesk(Desk):
    """The routes of whoever books."""

    async def find(self, request: Request) -> Response:
        """Platforms with free time around a place on a day; open to everyone, whole without JavaScript."""
        principal, wanted = self.identity.session(request), Wanted.read(request.query_params)
        found: list[dict[str, Any]] = []
        other_days: list[tuple[date, int]] = []
        async with self.database.transaction() as tx:
            now = await tx.now()
            today = now.astimezone(PARIS).date()
            policy = await store.policy_at(tx, now)
            first = (now + timedelta(hours=policy.notice_hours)).astimezone(PARIS).date()
            day = wanted.jour or first
            if wanted.commune:
                asked: dict[str, Any] = {
                    "minutes": wanted.duree,
                    "group_size": wanted.personnes,
                    "equipment": wanted.equipement or None,
                    "accessible": wanted.accessible,
                }
                found = (await search.platforms(tx, wanted.commune, wanted.rayon, day, **asked))["platforms"]
                if not found:
                    other_days = await self._other_days(tx, wanted, max(day, first), asked)
        counts: dict[str, int] = {}
        for one in found:
            counts[one["commune_code"]] = counts.get(one["commune_code"], 0) + 1
        return self.page(
            request,
            "find.html",
            principal,
            wanted=wanted,
            day=day,
            first=first,
            last=today + timedelta(days=policy.horizon_days),
            platforms=found[: wanted.n],
            more_count=max(0, len(found) - wanted.n),
            more=wanted.query(n=wanted.n + _SHOWN_COUNT),
            other_days=[(one, count, wanted.query(jour=one.isoformat())) for one, count in other_days],
            suggestions=reference.suggestions(),
            map=maps.around(counts, wanted.commune, wanted.rayon),
        )

    async def _other_days(
        self, tx: Transaction, wanted: Wanted, day: date, asked: Mapping[str, Any]
    ) -> list[tuple[date, int]]:
        """The next days on which something is free for the same wish, with how many platforms."""
        near = [code for _, code in reference.communes_within(wanted.commune, wanted.rayon)]
        span = search.day_span(day, _DAYS_TRIED)
        free = await search.free_slots(tx, communes=near, span=span, **asked)
        counts: dict[date, set[UUID]] = {}
        for platform_id, slots in free.items():
            for slot in slots:
                counts.setdefault(slot.starts_at.astimezone(PARIS).date(), set()).add(platform_id)
        return [(one, len(ids)) for one, ids in sorted(counts.items())[:5]]

    async def platform(self, request: Request, platform_id: UUID) -> Response:
        """One platform: what it is, and its free time week by week."""
        return await self._platform(request, self.identity.session(request), platform_id, request.query_params)

    async def _platform(
        self,
        request: Request,
        principal: Principal | None,
        platform_id: UUID,
        asked: Mapping[str, str],
        *,
        status: int = 200,
        problem: str = "",
        can_wait: bool = False,
    ) -> Response:
        wanted = Wanted.read(asked)
        async with self.database.transaction() as tx:
            row = await published(tx, platform_id)
            now = await tx.now()
            policy = (await store.policy_at(tx, now)).of(row.access)
            first = (now + timedelta(hours=policy.notice_hours)).astimezone(PARIS).date()
            week = _week(asked.get("semaine", ""), wanted.jour or first)
            monday = weeks.monday(week)
            free = await search.free_of(tx, row, search.day_span(monday, 7))
            units = await store.units_of(tx, platform_id)
            photos = await time_store.photos_of(tx, platform_id)
        by_day: dict[date, list[Span]] = {monday + timedelta(days=n): [] for n in range(7)}
        for one in free:
            by_day.setdefault(one.starts_at.astimezone(PARIS).date(), []).append(one)
        return self.page(
            request,
            "platform.html",
            principal,
            status,
            row=row,
            units=units,
            photos=photos,
            policy=policy,
            week=week,
            earlier=weeks.week_of(monday - timedelta(days=7)) if monday > first else None,
            later=weeks.week_of(monday + timedelta(days=7))
            if monday + timedelta(days=7) <= first + timedelta(days=policy.horizon_days)
            else None,
            by_day=by_day,
            chosen=wanted.jour if wanted.jour in by_day else next((d for d, spans in by_day.items() if spans), None),
            asked=asked,
            can_book=principal is not None and not principal.roles.isdisjoint(REQUESTERS),
            problem=problem,
            can_wait=can_wait,
        )

    async def book(self, request: Request, platform_id: UUID) -> Response:
        """Asks for a slot."""
        principal, form = await self.posted(request, *REQUESTERS)
        try:
            span = words.paris_span(form.get("jour", ""), form.get("debut", ""), form.get("duree", ""))
        except (ValueError, OverflowError):
            problem = "Choisissez un jour, une heure de début et une durée de la liste."
            return await self._platform(request, principal, platform_id, form, status=422, problem=problem)
        try:
            body = BookingBody(
                platform_id=platform_id,
                starts_at=span.starts_at,
                ends_at=span.ends_at,
                group_size=form.get("personnes", ""),
                habilitation_codes=[str(one) for one in (await request.form()).getlist("habilitation")],
                purpose=form.get("projet", "").replace("\r\n", "\n"),
                in_line=form.get("file") == "1",
            )
        except ValidationError as error:
            problem = refused_line(error, FIELDS, {}).detail
            return await self._platform(request, principal, platform_id, form, status=422, problem=problem)

        async def run(tx: Transaction) -> Answer:
            result = await book_as(tx, principal, body)
            return (409, result) if isinstance(result, Refusal) else (201, {"state": result.state})

        status, content = await self.execute(request, principal, form, run)
        if status >= 400:
            can_wait = bool(content.get("can_wait"))
            return await self._platform(
                request, principal, platform_id, form, status=status, problem=content["detail"], can_wait=can_wait
            )
        said = {
            "approved": "Réservation acceptée.",
            "tentative": "Créneau gardé pour vous : le plateau doit encore répondre.",
            "requested": "Vous êtes en file : nous vous écrirons si le créneau se libère.",
        }
        return RedirectResponse(f"/mes-reservations?{urlencode({'fait': said[content['state']]})}", 303)

    async def bookings(self, request: Request) -> Response:
        """What a requester has booked: to come first, then what is over."""
        principal = self.who(request, *REQUESTERS)
        return await self._bookings(request, principal)

    async def _bookings(
        self, request: Request, principal: Principal, *, status: int = 200, problem: str = ""
    ) -> Response:
        async with self.database.transaction() as tx:
            now = await tx.now()
            policy = await store.policy_at(tx, now)
            requester = await store.find_requester(tx, account_of(principal))
            rows = (
                await store.bookings(tx, requester_id=requester.requester_id, since=now - FEED_PAST)
                if requester is not None
                else []
            )
            calendar = tx.address(f"/calendriers/{requester.feed_secret}.ics") if requester is not None else None
        # An option whose time is over is shown so, whether it was settled or not.
        live = [row for row in rows if row.due_at is not None and row.due_at > now]
        return self.page(
            request,
            "bookings.html",
            principal,
            status,
            now=now,
            live=live,
            over=[row for row in reversed(rows) if row not in live][:20],
            late_hours=policy.late_cancellation_hours,
            late_from=now + timedelta(hours=policy.late_cancellation_hours),
            calendar=calendar,
            said=request.query_params.get("fait", ""),
            problem=problem,
        )

    async def act(self, request: Request, booking_id: UUID, action: str) -> Response:
        """Gives a booking up, or moves it."""
        principal, form = await self.posted(request, *REQUESTERS)
        who = Party(account=account_of(principal))
        span: Span | None = None
        if action == "deplacement":
            try:
                span = moved_to(form)
            except (ValueError, OverflowError):
                problem = "Choisissez un jour, une heure de début et une durée."
                return await self._bookings(request, principal, status=422, problem=problem)
        elif action != "annulation":
            raise HTTPException(404, "Cette action n'existe pas.")

        async def run(tx: Transaction) -> Answer:
            if span is None:
                refusal = await handlers.cancel(tx, who, booking_id)
            else:
                refusal = await handlers.move(tx, who, booking_id, span)
            return (200, {}) if refusal is None else (409, refusal)

        status, content = await self.execute(request, principal, form, run)
        if status >= 400:
            return await self._bookings(request, principal, status=status, problem=content["detail"])
        said = "Réservation annulée." if span is None else "Réservation déplacée."
        return RedirectResponse(f"/mes-reservations?{urlencode({'fait': said})}", 303)


def moved_to(form: Form) -> Span:
    """The slot in a form that moves a booking; `ValueError` when it does not read."""
    span = words.paris_span(form.get("jour", ""), form.get("debut", ""), form.get("duree", ""))
    return SlotBody(starts_at=span.starts_at, ends_at=span.ends_at).span()


def _week(typed: str, day: date) -> str:
    try:
        weeks.monday(typed)
    except ValueError:
        return weeks.week_of(day)
    return typed
