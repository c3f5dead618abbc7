"""An owner's pages: what to answer first, the platforms, one platform's description and time, and its week."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from fastapi import HTTPException, Request
from fastapi.responses import Response
from pydantic import ValidationError
from starlette.datastructures import UploadFile

from common.commands import Endpoint, Form, Sent, Words
from common.desk import Desk, Routes, done
from common.failures import Refusal
from common.http import Answer, answer
from common.identity import Principal
from common.spreadsheet import refused_line
from common.transaction import Transaction
from platform_scheduling import handlers, owner_http, photos, store, time_store
from platform_scheduling.bodies import PlatformBody
from platform_scheduling.http import busy_spans, owner_of
from platform_scheduling.requester_pages import moved_to
from territory import reference

FIELDS = {
    "owner_title": "nom du propriétaire",
    "title": "nom du plateau",
    "commune_code": "commune",
    "equipment_codes": "équipements",
    "rncp_codes": "certifications",
    "capacity_count": "personnes par place",
    "units": "places",
    "habilitation_codes": "habilitations",
    "access": "règles d’accès",
    "rules": "consignes",
    "starts_at_local": "début",
    "length_minutes": "durée",
    "rrule": "répétition",
    "reason": "raison",
    "starts_at": "début",
    "ends_at": "fin",
}
WORDS = Words(FIELDS)
_PROBLEMS = {"string_pattern_mismatch": "écrivez par exemple RNCP37489"}


class OwnerDesk(Desk):
    """The routes of an owner."""

    def forms(self) -> Routes:
        """What an owner may send, and what is said when it is done."""

        def acts(action: str, said: str) -> Endpoint:
            return owner_http.owner_acts.form(then=_told(said), refused=self.received, action=action)

        return {
            "/mes-plateaux/{platform_id}": self.save,
            "/mes-plateaux/{platform_id}/{action}": self.change,
            "/reservations-recues/{booking_id}/acceptation": acts(
                "approval", "Réservation acceptée : la personne est prévenue."
            ),
            "/reservations-recues/{booking_id}/refus": owner_http.refuse.form(
                # The week's button asks for no reason.
                read=lambda sent: {"reason": sent.typed.get("raison", "OTHER")},
                then=_told("Réservation refusée : la personne est prévenue."),
                refused=self.received,
                words=WORDS,
            ),
            "/reservations-recues/{booking_id}/annulation": acts(
                "cancellation", "Réservation annulée : la personne est prévenue."
            ),
            "/reservations-recues/{booking_id}/deplacement": owner_http.owner_moves.form(
                read=moved_to,
                then=_told("Réservation déplacée : la personne est prévenue."),
                refused=self.received,
                words=WORDS,
            ),
            "/reservations-recues/{booking_id}/absence": acts("no-show", "Absence notée."),
        }

    async def mine(self, request: Request) -> Response:
        """What waits for an answer, the nearest deadline first; then the platforms."""
        return await self.received(request, self.who(request, "owner"))

    async def received(
        self, request: Request, principal: Principal, *, sent: Sent | None = None, **_: UUID
    ) -> Response:
        """The page, or the same after a form that was refused."""
        owner = owner_of(principal)
        async with self.database.transaction() as tx:
            now = await tx.now()
            policy = await store.policy_at(tx, now)
            platforms = await store.platforms_of(tx, owner)
            rows = await store.bookings(tx, owner_code=owner, since=now - timedelta(days=policy.no_show_days))
            in_the_way = await store.in_the_way(tx, owner, now)
        live = [row for row in rows if row.due_at is not None and row.due_at > now]
        return self.page(
            request,
            "mine.html",
            principal,
            sent=sent,
            now=now,
            waiting=sorted((row for row in live if row.state == "tentative"), key=lambda row: row.due_at),
            in_line={row.platform_id for row in live if row.state == "requested"},
            approved=[row for row in live if row.state == "approved"],
            past=[row for row in rows if row.state == "done" or (row.state == "approved" and row.starts_at <= now)],
            in_the_way=in_the_way,
            platforms=platforms,
        )

    # -- a platform's description

    async def edit(self, request: Request, platform_id: UUID | None = None) -> Response:
        """The form of a new platform, or of one of the owner's."""
        principal = self.who(request, "owner")
        return await self._form(request, principal, platform_id or uuid4(), new=platform_id is None)

    async def _form(
        self,
        request: Request,
        principal: Principal,
        platform_id: UUID,
        *,
        new: bool = False,
        status: int = 200,
        problem: str = "",
        typed: Form | None = None,
    ) -> Response:
        async with self.database.transaction() as tx:
            known = {row.platform_id: row for row in await store.platforms_of(tx, owner_of(principal))}
            row = known.get(platform_id)
            if row is None and not new:
                raise HTTPException(404, "Ce plateau n'existe pas.")
            now = await tx.now()
            policy = await store.policy_at(tx, now)
            units = await store.units_of(tx, platform_id)
            shown = await time_store.photos_of(tx, platform_id)
            windows = await time_store.windows_of(tx, platform_id)
            busy_count = await time_store.busy_count(tx, platform_id, now, source="calendar")
            feed = tx.address(f"/calendriers/{row.feed_secret}.ics") if row is not None else ""
        others = sorted(known.values(), key=lambda one: str(one.platform_id))
        return self.page(
            request,
            "edit.html",
            principal,
            status,
            row=row,
            platform_id=platform_id,
            typed=typed or {},
            owner_title=row.owner_title if row else others[0].owner_title if others else principal.display or "",
            units=[unit.title for unit in units],
            photos=shown,
            photos_max=photos.PHOTOS_MAX,
            windows=windows,
            busy_count=busy_count,
            feed=feed,
            policy=policy,
            suggestions=reference.suggestions(),
            said=request.query_params.get("fait", ""),
            problem=problem,
        )

    async def save(self, request: Request, platform_id: UUID) -> Response:
        """Publishes or changes a platform."""
        principal, form = await self.posted(request, "owner")
        fields = await request.form()
        access = {
            name.removeprefix("access_"): value for name, value in form.items() if name.startswith("access_") and value
        }
        try:
            body = PlatformBody.model_validate(
                {
                    "owner_title": form.get("owner_title", ""),
                    "title": form.get("title", ""),
                    "commune_code": reference.commune_code(form.get("commune", "")),
                    "equipment_codes": [str(one) for one in fields.getlist("equipment")],
                    "rncp_codes": [one.strip().upper() for one in form.get("rncp", "").split(",") if one.strip()],
                    "capacity_count": form.get("capacity_count", ""),
                    "units": [one.strip() for one in form.get("units", "").splitlines() if one.strip()],
                    "accessible": form.get("accessible") == "1",
                    "habilitation_codes": [str(one) for one in fields.getlist("habilitation")],
                    "approval": form.get("approval", "OWNER"),
                    "access": access,
                    "rules": form.get("rules", "").replace("\r\n", "\n"),
                    "withdrawn": form.get("withdrawn") == "1",
                }
            )
        except ValidationError as error:
            problem = refused_line(error, FIELDS, _PROBLEMS).detail
            return await self._form(request, principal, platform_id, new=True, status=422, problem=problem, typed=form)

        async def run(tx: Transaction) -> Answer:
            row = await store.find_platform(tx, platform_id)
            kept = body.model_copy(update={"fictitious": row.fictitious}) if row is not None else body
            refusal = await handlers.describe_platform(
                tx, owner_of(principal), principal.contact, platform_id, kept.description(), kept.units
            )
            return answer(refusal, {})

        status, content = await self.execute(request, principal, form, run)
        if status >= 400:
            return await self._form(
                request, principal, platform_id, new=True, status=status, problem=content["detail"], typed=form
            )
        return done(f"/mes-plateaux/{platform_id}", "Plateau enregistré.", "plages")

    async def change(self, request: Request, platform_id: UUID, action: str) -> Response:
        """Photos, windows and the owner's own calendar."""
        principal, form = await self.posted(request, "owner")
        owner, fields = owner_of(principal), await request.form()
        said, anchor = "", ""
        command: Any = None
        try:
            match action:
                case "photo":
                    picture = await photos.rewritten(await _uploaded(fields.get("photo")))
                    number, caption = await self._photo_number(platform_id), form.get("caption", "")[:120]
                    command = partial(
                        handlers.put_photo,
                        owner_code=owner,
                        platform_id=platform_id,
                        number=number,
                        caption=caption,
                        content=picture,
                    )
                    said, anchor = "Photo ajoutée.", "photos"
                case "photo-retrait":
                    command = partial(
                        handlers.drop_photo,
                        owner_code=owner,
                        platform_id=platform_id,
                        number=int(form.get("number", "0")),
                    )
                    said, anchor = "Photo retirée.", "photos"
                case "plage-retrait":
                    window_id = UUID(form.get("window_id", ""))
                    command = partial(
                        handlers.drop_window, owner_code=owner, platform_id=platform_id, window_id=window_id
                    )
                    said, anchor = "Plage retirée ; les réservations restent.", "plages"
                case "calendrier":
                    spans = await busy_spans(request, await _uploaded(fields.get("calendar")))
                    command = partial(handlers.import_calendar, owner_code=owner, platform_id=platform_id, spans=spans)
                    said, anchor = f"Calendrier lu : {len(spans)} créneaux occupés d’ici un an.", "calendrier"
                case _:
                    raise HTTPException(404, "Cette action n'existe pas.")
        except ValueError as error:
            return await self._form(request, principal, platform_id, status=422, problem=f"{error}".rstrip(".") + ".")

        async def run(tx: Transaction) -> Answer:
            result = await command(tx)
            return answer(result, None) if isinstance(result, Refusal) else (200, {"in_the_way": len(result or [])})

        status, content = await self.execute(request, principal, form, run)
        if status >= 400:
            return await self._form(request, principal, platform_id, status=status, problem=content["detail"])
        if content["in_the_way"]:
            said += f" {content['in_the_way']} réservations tombent dessus : voyez « Mes plateaux »."
        return done(f"/mes-plateaux/{platform_id}", said, anchor)

    async def _photo_number(self, platform_id: UUID) -> int:
        async with self.database.transaction() as tx:
            taken = {row.number for row in await time_store.photos_of(tx, platform_id)}
        free = [number for number in range(1, photos.PHOTOS_MAX + 1) if number not in taken]
        if not free:
            raise ValueError(f"au plus {photos.PHOTOS_MAX} photos : retirez-en une")
        return free[0]


async def _uploaded(field: Any) -> bytes:
    if not isinstance(field, UploadFile) or not field.filename:
        raise ValueError("Choisissez un fichier")
    return await field.read()


def _told(said: str) -> Callable[[Sent], Response]:
    """Back to the owner's page, or to the week that the form was on."""

    def then(sent: Sent) -> Response:
        back = sent.typed.get("retour", "")
        return done(back if back.startswith("/mes-plateaux/") else "/mes-plateaux", said)

    return then
