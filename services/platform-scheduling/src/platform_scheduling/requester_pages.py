"""Whoever looks for a platform: search on a map, one platform and its week, book, move, give up, subscribe."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from fastapi import Request
from fastapi.responses import Response
from pydantic import Field, field_validator

from common import case_links
from common.bodies import YEARS
from common.commands import Form, Sent, Words
from common.desk import Desk, Routes, done
from common.identity import Principal
from common.pages import PARIS
from common.query import Query
from common.transaction import Transaction
from platform_scheduling import http, search, store, time_store, words
from platform_scheduling.bodies import CAPACITY_MAX
from platform_scheduling.http import FEED_PAST, REQUESTERS, account_of, published
from platform_scheduling.state import Span
from territory import maps, places, reference, weeks
from territory.equipment import EQUIPMENT

_SHOWN_COUNT, _DAYS_TRIED = 12, 21
FIELDS = {
    "group_size": "nombre de personnes",
    "habilitation_codes": "habilitations",
    "purpose": "projet",
    "starts_at": "début",
    "ends_at": "fin",
    "case_code": "code de la situation",
}
WORDS = Words(FIELDS)


class Wanted(Query):
    """A search; blanks and unknown values are left out, so that an old link never fails."""

    commune: places.WrittenPlace = places.NOWHERE
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

    def forms(self) -> Routes:
        """What a requester may send, and what is said when it is done."""
        return {
            "/plateaux/{platform_id}": http.book.form(
                read=_booking_typed, then=_booked, refused=self.again, words=WORDS, where={"platform_id": UUID}
            ),
            "/mes-reservations/{booking_id}/annulation": http.requester_cancels.form(
                then=lambda _: done("/mes-reservations", "Réservation annulée."), refused=self.booked
            ),
            "/mes-reservations/{booking_id}/deplacement": http.requester_moves.form(
                read=lambda sent: moved_to(sent) | _overlapping(sent),
                then=lambda _: done("/mes-reservations", "Réservation déplacée."),
                refused=self.booked,
                words=WORDS,
            ),
            "/mes-reservations/{booking_id}/situation": http.attach_case.form(
                read=lambda sent: case_links.typed_in(sent.typed),
                then=lambda _: done("/mes-reservations", "C’est noté."),
                refused=self.booked,
                words=WORDS,
            ),
        }

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
            if wanted.commune.code:
                asked: dict[str, Any] = {
                    "minutes": wanted.duree,
                    "group_size": wanted.personnes,
                    "equipment": wanted.equipement or None,
                    "accessible": wanted.accessible,
                }
                found = (await search.platforms(tx, wanted.commune.code, wanted.rayon, day, **asked))["platforms"]
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
            map=maps.around(counts, wanted.commune.code, wanted.rayon),
        )

    async def _other_days(
        self, tx: Transaction, wanted: Wanted, day: date, asked: Mapping[str, Any]
    ) -> list[tuple[date, int]]:
        """The next days on which something is free for the same wish, with how many platforms."""
        near = [code for _, code in reference.communes_within(wanted.commune.code, wanted.rayon)]
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

    async def again(self, request: Request, principal: Principal, platform_id: UUID, *, sent: Sent) -> Response:
        """The platform's page after a slot that was refused, with what was typed."""
        return await self._platform(request, principal, platform_id, sent.typed, sent=sent)

    async def _platform(
        self,
        request: Request,
        principal: Principal | None,
        platform_id: UUID,
        asked: Mapping[str, str],
        *,
        sent: Sent | None = None,
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
            sent=sent,
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
            can_wait=bool(sent and sent.content.get("can_wait")),
        )

    async def bookings(self, request: Request) -> Response:
        """What a requester has booked: to come first, then what is over."""
        return await self.booked(request, self.who(request, *REQUESTERS))

    async def booked(self, request: Request, principal: Principal, *, sent: Sent | None = None, **_: UUID) -> Response:
        """The page, or the same after a form that was refused."""
        async with self.database.transaction() as tx:
            now = await tx.now()
            policy = await store.policy_at(tx, now)
            requester = await store.find_requester(tx, account_of(principal))
            rows = (
                await store.bookings(tx, requester_id=requester.requester_id, since=now - FEED_PAST)
                if requester is not None
                else []
            )
            cases = await case_links.codes_of(tx, [row.booking_id for row in rows])
            calendar = tx.address(f"/calendriers/{requester.feed_secret}.ics") if requester is not None else None
        # An option whose time is over is shown so, whether it was settled or not.
        live = [row for row in rows if row.due_at is not None and row.due_at > now]
        return self.page(
            request,
            "bookings.html",
            principal,
            sent=sent,
            now=now,
            live=live,
            over=[row for row in reversed(rows) if row not in live][:20],
            late_hours=policy.late_cancellation_hours,
            late_from=now + timedelta(hours=policy.late_cancellation_hours),
            calendar=calendar,
            cases=cases,
        )


def moved_to(sent: Sent) -> dict[str, Any]:
    """The slot in a form that moves a booking."""
    return _slot_typed(sent.typed, "Choisissez un jour, une heure de début et une durée.")


def _slot_typed(typed: Form, otherwise: str) -> dict[str, Any]:
    try:
        span = words.paris_span(typed.get("jour", ""), typed.get("debut", ""), typed.get("duree", ""))
    except (ValueError, OverflowError):
        raise ValueError(otherwise) from None
    return {"starts_at": span.starts_at, "ends_at": span.ends_at}


def _booking_typed(sent: Sent) -> dict[str, Any]:
    slot = _slot_typed(sent.typed, "Choisissez un jour, une heure de début et une durée de la liste.")
    return slot | {
        "platform_id": sent.path["platform_id"],
        "group_size": sent.typed.get("personnes", ""),
        "habilitation_codes": sent.fields.getlist("habilitation"),
        "purpose": sent.typed.get("projet", "").replace("\r\n", "\n"),
        "in_line": sent.typed.get("file") == "1",
        **case_links.typed_in(sent.typed),
        **_overlapping(sent),
    }


def _overlapping(sent: Sent) -> dict[str, Any]:
    return {"overlapping": sent.typed.get("overlapping") == "yes"}


def _booked(sent: Sent) -> Response:
    said = {
        "approved": "Réservation acceptée.",
        "tentative": "Créneau gardé pour vous : le plateau doit encore répondre.",
        "requested": "Vous êtes en file : nous vous écrirons si le créneau se libère.",
    }
    return done("/mes-reservations", said[sent.content["state"]])


def _week(typed: str, day: date) -> str:
    try:
        weeks.monday(typed)
    except ValueError:
        return weeks.week_of(day)
    return typed
