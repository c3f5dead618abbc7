"""What a parent sees: cafés around, one café and how to ask for it, the verification of an address, the household's own page."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from uuid import UUID

import segno
from fastapi import HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from icalendar import Calendar
from pydantic import Field, field_validator

from common.calendars import entry
from common.commands import Endpoint, Sent, Words
from common.desk import Desk, Routes, done
from common.http import tagged
from common.identity import Principal
from common.query import Query
from common.transaction import Transaction
from parents_cafes import domain, household_store, http, notices, personal_data, season_store, store, words
from parents_cafes.messages import CafePeriod, CafeTheme
from parents_cafes.state import Period, Policy
from territory import maps, places, reference

WORDS = Words(
    {
        "email": "adresse mail",
        "title": "prénom ou nom",
        "seat_count": "nombre de parents",
        "registration_id": "inscription",
        "cafe_id": "café",
    },
    {"uuid_parsing": "n’existe pas"},
)
_CHANGES_SHOWN = 5
_DEGREES_DIGITS = 2


class Wanted(Query):
    """A search; blanks and unknown values are left out, so that an old link never fails."""

    commune: places.WrittenPlace = places.NOWHERE
    rayon: int = Field(default=30, ge=1, le=200)
    theme: str = ""

    @field_validator("theme")
    @classmethod
    def _a_theme(cls, typed: str) -> str:
        return typed if typed in {one.value for one in words.THEMES} else ""


class FamilyDesk(Desk):
    """The routes of everybody, and of whoever has a link."""

    def forms(self) -> Routes:
        """What somebody without an account may send, and what is said when it is done."""

        def act(action: http.Action, said: str) -> Endpoint:
            return http.act.form(
                read=_act_typed,
                then=lambda sent: done(f"/mon-cafe/{sent.path['token']}", said),
                refused=self.household,
                words=WORDS,
                action=action,
            )

        return {
            "/cafes/{cafe_id}": http.ask.form(read=_request_typed, refused=self.shown, words=WORDS),
            "/confirmer/{token}": http.confirm.form(
                read=lambda sent: {"wait": sent.typed.get("attente") == "1" or None},
                then=lambda sent: RedirectResponse(f"/mon-cafe/{sent.content['household']}", 303),
                refused=self.asked,
            ),
            "/mon-cafe/{token}/acceptation": act("acceptance", "Les places sont à vous."),
            "/mon-cafe/{token}/garder": act("keeping", "C’est noté : vous venez."),
            "/mon-cafe/{token}/annulation": act(
                "cancellation", "C’est annulé. Merci d’avoir prévenu : vos places vont à d’autres."
            ),
            "/mon-cafe/{token}/nombre": act("size", "Le nombre de parents est changé."),
            "/mon-cafe/{token}/changement": act("change", "C’est fait : voici votre nouveau café."),
            "/mon-cafe/{token}/inscription": act("registration", "C’est noté."),
            "/mon-cafe/{token}/effacement": self.erase,
        }

    async def find(self, request: Request) -> Response:
        """Cafés to come, nearest first where a place is given, by day otherwise; open to everyone."""
        wanted = Wanted.read(request.query_params)
        async with self.database.transaction() as tx:
            now = await tx.now()
            rows = await season_store.cafes(tx, now, only_public=True)
        home = wanted.commune.code
        distances = {code: km for km, code in reference.communes_within(home, wanted.rayon)} if home else {}
        found = [
            row
            for row in rows
            # Around a place that is not understood nothing is near.
            if (not wanted.commune.typed or row.commune_code in distances)
            and (not wanted.theme or row.theme == wanted.theme)
        ]
        counts: dict[str, int] = {}
        for row in found:
            counts[row.commune_code] = counts.get(row.commune_code, 0) + 1
        if home:
            # Near is what a parent asks for; with free seats before full ones at the same distance.
            found.sort(key=lambda row: (distances[row.commune_code], row.free_count == 0, row.starts_at, row.cafe_id))
        return self.page(
            request,
            "find.html",
            self.identity.session(request),
            wanted=wanted,
            found=found,
            distances=distances,
            now=now,
            map=maps.around(counts, home, wanted.rayon),
            lost=request.query_params.get("loin") == "1",
        )

    async def near_me(self, request: Request) -> Response:
        """Where a phone says that it is, to about a kilometre: the commune, and no longer the place."""
        try:
            here = [round(float(request.query_params[name]), _DEGREES_DIGITS) for name in ("lat", "lon")]
        except (KeyError, ValueError, OverflowError):
            return RedirectResponse("/cafes?loin=1", 303)
        inside = abs(here[0]) <= 90 and abs(here[1]) <= 180
        code = reference.nearest_commune(*here) if inside else ""
        near = Wanted.read({"commune": reference.commune_label(code)})
        return RedirectResponse(f"/cafes?{near.query()}" if code else "/cafes?loin=1", 303)

    async def cafe(self, request: Request, cafe_id: UUID) -> Response:
        """One café: when, where, what is left; and the form to ask for it."""
        return await self.shown(request, self.identity.session(request), cafe_id)

    async def shown(
        self, request: Request, principal: Principal | None, cafe_id: UUID, *, sent: Sent | None = None
    ) -> Response:
        """The page, or the same after the form was sent: where its link has gone, or why it was refused."""
        async with self.database.transaction() as tx:
            row = await http.announced(tx, cafe_id)
            now = await tx.now()
            policy = await store.policy_at(tx, now)
            into = await season_store.cafes(tx, now, cafe_ids=[row.merged_into_id]) if row.merged_into_id else ()
        return self.page(
            request,
            "cafe.html",
            principal,
            sent=sent,
            row=row,
            closed=domain.why_closed(store.cafe_of(row), 1, now),
            into=next(iter(into), None),
            minimum_count=min(policy.minimum_count, row.capacity_count),
            household_seats_max=policy.household_seats_max,
            request_hours=policy.request_hours,
            early=row.opens_at is not None and now < row.opens_at,
            now=now,
            sent_to=sent.typed["adresse"] if sent and not sent.problem else "",
        )

    # -- the link of a request

    async def verify(self, request: Request, token: str) -> Response:
        """What the link confirms. Opening it changes nothing: mail filters open links too."""
        return await self.asked(request, None, token)

    async def asked(self, request: Request, _: Principal | None, token: str, *, sent: Sent | None = None) -> Response:
        """The page, or the same after a confirmation that was refused, with what else there is."""
        if sent and sent.status == 404:
            raise HTTPException(404, sent.problem)
        request_id = http.subject(request, notices.REQUEST_LINK, token)
        async with self.database.transaction() as tx:
            asked = await household_store.lock_request(tx, request_id)
            now = await tx.now()
            if asked is None:
                raise HTTPException(404, "Ce lien n'est plus valable : demandez une place à nouveau.")
            (row,) = await season_store.cafes(tx, now, cafe_ids=[asked.cafe_id])
            others = await _others(tx, season_store.with_seats(row), asked.seat_count, now)
        return self.page(
            request,
            "verify.html",
            None,
            sent=sent,
            token=token,
            asked=asked,
            row=row,
            now=now,
            reason=sent.content["reason"] if sent else "",
            can_wait=bool(sent and sent.content.get("can_wait")),
            household=sent.content.get("household", "") if sent else "",
            others=others if sent else [],
        )

    # -- the household's own page

    async def mine(self, request: Request, token: str) -> Response:
        """What a household is registered for, and all that it may do about it."""
        return await self.household(request, None, token)

    async def household(
        self, request: Request, _: Principal | None, token: str, *, sent: Sent | None = None
    ) -> Response:
        """The page, or the same after a form that was refused; who leaves late is warned beside what it leaves."""
        household_id = http.subject(request, notices.HOUSEHOLD_LINK, token)
        async with self.database.transaction() as tx:
            now = await tx.now()
            household = await household_store.find_household(tx, household_id)
            if household is None:
                raise HTTPException(404, "Cette inscription n'existe plus.")
            rows = await household_store.registrations(tx, household_id=household_id)
            policy = await store.policy_at(tx, now)
            # An offer or a place in line whose time is over is shown so, whether it was settled or not.
            live = [
                row
                for row in rows
                if row.state != "ended" and not (row.due_at is not None and row.due_at <= now) and row.ends_at > now
            ]
            shown = []
            for row in sorted(live, key=lambda one: one.starts_at):
                (cafe,) = await season_store.cafes(tx, now, cafe_ids=[row.cafe_id])
                others = await _others(tx, season_store.with_seats(cafe), row.seat_count, now)
                one = store.registration_of(row)
                shown.append(
                    {
                        "row": row,
                        "cafe": cafe,
                        "others": others,
                        "may_choose": one.may_choose(now),
                        "late": domain.is_late(store.cafe_of(cafe), one, policy, now),
                        "qr": segno.make(row.code, error="q", micro=False).svg_inline(
                            border=2, dark="#000", light="#fff", omitsize=True
                        ),
                    }
                )
            openings = await _openings(tx, household_id, rows, policy, now)
        return self.page(
            request,
            "mine.html",
            None,
            sent=sent,
            token=token,
            shown=shown,
            over=[row for row in rows if row not in live],
            openings=openings,
            household_seats_max=policy.household_seats_max,
            late_hours=policy.late_hours,
            now=now,
            warned=sent.typed.get("registration_id") if sent and sent.content["reason"] == "late_warning" else None,
        )

    async def erase(self, request: Request, token: str) -> Response:
        """Erases everything that the service knows of whoever has the link."""
        household_id = http.subject(request, notices.HOUSEHOLD_LINK, token)
        await self.database.run(lambda tx: personal_data.erase_household(tx, household_id))
        return self.page(request, "erased.html", None)

    async def calendar(self, request: Request, token: str) -> Response:
        """The cafés of a household, for its own calendar."""
        household_id = http.subject(request, notices.HOUSEHOLD_LINK, token)
        async with self.database.transaction() as tx:
            rows = await household_store.registrations(tx, household_id=household_id)
        content = ical([row for row in rows if row.state in ("registered", "attended")])
        return tagged(request, content, "text/calendar", {"Cache-Control": "private, max-age=60"})

    async def data(self, request: Request, token: str) -> Response:
        """Everything that the service knows of whoever has the link."""
        household_id = http.subject(request, notices.HOUSEHOLD_LINK, token)
        async with self.database.transaction() as tx:
            found = await personal_data.export_household(tx, household_id)
        if found is None:
            raise HTTPException(404, "Nous ne savons plus rien de vous.")
        content = json.dumps(found, ensure_ascii=False, indent=1, default=str)
        headers = {"Content-Disposition": 'attachment; filename="mes-donnees.json"', "Cache-Control": "no-store"}
        return Response(content, media_type="application/json", headers=headers)


def _request_typed(sent: Sent) -> dict[str, Any]:
    return {
        "email": sent.typed.get("adresse", ""),
        "title": sent.typed.get("nom", ""),
        "seat_count": sent.typed.get("parents", "1"),
        "wait": sent.typed.get("attente") == "1",
    }


def _act_typed(sent: Sent) -> dict[str, Any]:
    return {
        "registration_id": sent.typed.get("registration_id") or UUID(int=0),
        "seat_count": sent.typed.get("parents", "1"),
        "cafe_id": sent.typed.get("cafe_id") or None,
        "warned": sent.typed.get("prevenu") == "1",
    }


async def _openings(
    tx: Transaction, household_id: UUID, rows: Any, policy: Policy, now: datetime
) -> list[dict[str, Any]]:
    """By period in which a household is not yet: what it is owed, and the cafés that it may ask for, nearest to its last one first."""
    found = []
    cafes = await season_store.cafes(tx, now, only_public=True)
    home = rows[0].commune_code if rows else None
    for period in sorted({Period(row.school_year, CafePeriod(row.period)) for row in cafes}, key=lambda one: one.order):
        conduct = await household_store.conduct_of(tx, household_id, period, policy, now)
        if conduct.is_in_period:
            continue
        priority = domain.priority_of(conduct)
        near = [
            (reference.km_between(home, row.commune_code) if home else None, row)
            for row in cafes
            if store.cafe_of(row).period == period and domain.why_closed(store.cafe_of(row), priority, now) is None
        ]
        near.sort(key=lambda one: (one[0] or 0.0, one[1].starts_at))
        found.append({"period": period, "priority": priority, "cafes": near[:_CHANGES_SHOWN]})
    return found


async def _others(tx: Transaction, cafe: Any, seat_count: int, now: datetime) -> list[tuple[float, Any]]:
    """Cafés of the same period with so many seats free, nearest first, each with its distance."""
    rows = await season_store.cafes(tx, now, period=cafe.period, only_public=True)
    home = cafe.plan.venue.commune_code
    found = [
        (reference.km_between(home, row.commune_code), row)
        for row in rows
        if row.cafe_id != cafe.cafe_id
        and row.free_count >= seat_count
        and (row.opens_at is None or row.opens_at <= now)
    ]
    return sorted(found, key=lambda one: (one[0], one[1].starts_at))[:_CHANGES_SHOWN]


def ical(rows: list[Any]) -> bytes:
    """A household's cafés as iCalendar: UID is the registration's id, so that a merge moves the entry."""
    found = Calendar()
    found.add("prodid", "-//Estuaire//Cafés des parents//FR")
    found.add("version", "2.0")
    for row in rows:
        one = entry(row.registration_id, row.revision, row.cafe_revision, changed_at=row.changed_at)
        one.add("dtstart", row.starts_at)
        one.add("dtend", row.ends_at)
        one.add("summary", f"Café des parents : {words.THEMES[CafeTheme(row.theme)]}")
        one.add("location", words.where(row))
        found.add_component(one)
    content: bytes = found.to_ical()
    return content
