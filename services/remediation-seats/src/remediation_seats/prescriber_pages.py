"""A prescriber's pages: search for a young person, hold a place, follow one's holds, alerts."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Request
from fastapi.responses import RedirectResponse, Response
from pydantic import Field

from common import case_links
from common.bodies import Body
from common.commands import Form, Sent, Words, command
from common.desk import Desk, Routes, done
from common.failures import Refusal
from common.http import Answer, answer
from common.identity import Principal
from common.mail import unreached
from common.query import Query
from common.transaction import Transaction
from remediation_seats import http, notice_store, notices, search, store
from remediation_seats.state import Profile
from territory import maps, places, reference

_SHOWN_MAX = 40
WORDS = Words(
    {
        "programme_id": "parcours",
        "commune_code": "commune",
        "young_person_code": "code du jeune",
        "case_code": "code de la situation",
        "age": "âge",
        "level": "niveau",
        "kind": "structure",
    }
)


class Wish(Query):
    """What a prescriber looks for; blanks and unknown values are left out, so that an old link never fails."""

    # The programme that a page of another service points at: shown first, and open.
    parcours: str = ""
    commune: places.WrittenPlace = places.NOWHERE
    rayon: float = Field(default=30, gt=0, le=300)
    age: http.Age | None = None
    niveau: http.Level | None = None
    genre: http.Kind | None = None
    internat: bool = False
    fauteuil: bool = False

    @property
    def profile(self) -> Profile:
        """As the domain has it."""
        return Profile(self.age, self.niveau, self.internat, self.fauteuil)


class PrescriberDesk(Desk):
    """The routes of a prescriber."""

    def forms(self) -> Routes:
        """What a prescriber may send, and what is said when it is done."""
        return {
            "/trouver/retenue": http.hold_seat.form(read=_hold_of, then=_held, refused=self.found, words=WORDS),
            "/mes-retenues/{hold_id}/prolongation": http.prescriber_acts.form(
                then=lambda _: done("/mes-retenues", "Retenue prolongée."), refused=self.holds, action="extension"
            ),
            "/mes-retenues/{hold_id}/retrait": http.prescriber_acts.form(
                then=lambda _: done("/mes-retenues", "Place rendue."), refused=self.holds, action="withdrawal"
            ),
            "/mes-retenues/{hold_id}/situation": http.attach_case.form(
                read=lambda sent: case_links.typed_in(sent.typed),
                then=lambda _: done("/mes-retenues", "C’est noté."),
                refused=self.holds,
                words=WORDS,
            ),
            "/alertes": subscribe.form(
                read=_alert_of,
                then=lambda _: done("/mes-retenues", "Alerte créée.", "alertes"),
                refused=self.found,
                words=WORDS,
            ),
            "/alertes/{alert_id}/fin": unsubscribe.form(then=_unsubscribed, refused=self.holds),
        }

    async def find(self, request: Request) -> Response:
        """Places that fit, nearest first, then why the others do not."""
        return await self.found(request, self.who(request, "prescriber"))

    async def found(self, request: Request, principal: Principal, *, sent: Sent | None = None) -> Response:
        """The search; whatever was refused, it comes back, with the programme of the form first and open."""
        wish, code, situation = Wish.read(request.query_params), "", ""
        if sent is not None:
            # What to do about an unknown code is to leave it out; any other one is sent again.
            code = "" if sent.content["reason"] == "unknown_code" else sent.typed.get("code", "")
            situation = sent.typed.get("situation", "")
            wish = Wish.read({**sent.typed, "parcours": sent.typed.get("programme_id", "")})
        async with self.database.transaction() as tx:
            now = await tx.now()
            found = search.places(
                # Around a place that is not understood nothing is near.
                () if wish.commune.problem else await store.catalogue(tx),
                wish.profile,
                await store.policy_at(tx, now),
                now,
                commune_code=wish.commune.code or None,
                radius_km=wish.rayon,
                kind=wish.genre,
            )
            mine = [alert for alert, _ in await notices.alerts(tx, now, prescriber_id=principal.subject)]
        return self.page(
            request,
            "find.html",
            principal,
            sent=sent,
            now=now,
            wish=wish,
            code=code,
            situation=situation,
            fits=sorted(found["fits"], key=lambda place: str(place["programme_id"]) != wish.parcours)[:_SHOWN_MAX],
            more_count=max(0, len(found["fits"]) - _SHOWN_MAX),
            misfits=found["misfits"],
            commune_label=reference.commune_label(wish.commune.code),
            titles=reference.communes(),
            map=maps.around(_free_by_commune(found["fits"]), wish.commune.code, wish.rayon),
            alerts=mine,
        )

    async def my_holds(self, request: Request) -> Response:
        """A prescriber's holds, those that wait for something first, and their alerts."""
        return await self.holds(request, self.who(request, "prescriber"))

    async def holds(self, request: Request, principal: Principal, *, sent: Sent | None = None, **_: UUID) -> Response:
        """The page, or the same after a form that was refused."""
        async with self.database.transaction() as tx:
            now = await tx.now()
            rows = await store.holds_of(tx, prescriber_id=principal.subject)
            lost = await unreached(tx, (row.structure_email for row in rows))
            policy = await store.policy_at(tx, now)
            cases = await case_links.codes_of(tx, [row.hold_id for row in rows])
            alerts = [alert for alert, _ in await notices.alerts(tx, now, prescriber_id=principal.subject)]
        live = [row for row in rows if row.due_at is not None and row.due_at > now]
        return self.page(
            request,
            "holds.html",
            principal,
            sent=sent,
            now=now,
            live=sorted(live, key=lambda row: str(row.hold_id) != request.query_params.get("nouvelle")),
            ended=[row for row in rows if row not in live][:30],
            policy=policy,
            unreached=lost,
            cases=cases,
            alerts=alerts,
            commune_label=reference.commune_label,
            new=request.query_params.get("nouvelle", ""),
            first=bool(request.query_params.get("premier")),
        )


class AlertBody(Body):
    """Around which commune, and for whom, somebody wants to be told of a seat; a radius in kilometres."""

    commune_code: places.CommuneCode
    radius_km: float = Field(gt=0, le=300)
    age: http.Age | None = None
    level: http.Level | None = None
    needs_boarding: bool = False
    needs_wheelchair_access: bool = False
    kind: http.Kind | None = None


@command("prescriber")
async def subscribe(tx: Transaction, principal: Principal, body: AlertBody) -> Answer:
    """Asks to be written to when a seat opens for this wish."""
    result = await notices.subscribe(
        tx,
        principal.subject,
        principal.contact,
        commune_code=body.commune_code,
        radius_km=body.radius_km,
        profile=Profile(body.age, body.level, body.needs_boarding, body.needs_wheelchair_access),
        kind=body.kind,
    )
    return answer(result, None) if isinstance(result, Refusal) else (201, {"alert_id": result})


@command("prescriber")
async def unsubscribe(tx: Transaction, principal: Principal, alert_id: UUID) -> Answer:
    """Ends an alert."""
    return 200, {"ended": await notice_store.delete_alert(tx, alert_id, principal.subject)}


def _young_person_of(typed: Form) -> dict[str, Any]:
    return {
        "age": typed.get("age") or None,
        "level": typed.get("niveau") or None,
        "needs_boarding": typed.get("internat") == "1",
        "needs_wheelchair_access": typed.get("fauteuil") == "1",
    }


def _hold_of(sent: Sent) -> dict[str, Any]:
    typed = sent.typed
    facts = {"programme_id": typed.get("programme_id", ""), "young_person_code": typed.get("code", "").strip() or None}
    return facts | case_links.typed_in(typed) | _young_person_of(typed)


def _held(sent: Sent) -> Response:
    """To the hold; a new young person's code is shown there, to be written on paper."""
    seen = {"nouvelle": sent.content["hold_id"]} | ({} if sent.typed.get("code", "").strip() else {"premier": "1"})
    return RedirectResponse(f"/mes-retenues?{urlencode(seen)}", 303)


def _alert_of(sent: Sent) -> dict[str, Any]:
    around = Wish.read(sent.typed).commune
    if not around.typed:
        raise ValueError("Choisissez la commune du jeune : une alerte cherche autour d’un lieu.")
    place = {"commune_code": around, "radius_km": sent.typed.get("rayon") or 30}
    return place | {"kind": sent.typed.get("genre") or None} | _young_person_of(sent.typed)


def _unsubscribed(sent: Sent) -> Response:
    said = "Alerte supprimée." if sent.content["ended"] else "Cette alerte n’existe plus."
    return done("/mes-retenues", said, "alertes")


def _free_by_commune(fits: list[dict[str, Any]]) -> dict[str, int]:
    free: dict[str, int] = {}
    for place in fits:
        free[place["commune_code"]] = free.get(place["commune_code"], 0) + place["free_count"]
    return free
