"""An owner's pages: what to answer first, the platforms, one platform's description and time, and its week."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from fastapi import HTTPException, Request
from fastapi.responses import Response
from starlette.datastructures import FormData

from common.bodies import Body
from common.commands import Endpoint, Sent, Words, command
from common.desk import Desk, Routes, done
from common.http import Answer, answer
from common.identity import Principal
from common.mail import unreached
from common.pages import count
from common.transaction import Transaction
from platform_scheduling import handlers, owner_http, photos, store, time_store
from platform_scheduling.bodies import Note, PlatformBody
from platform_scheduling.http import busy_spans, owner_of
from platform_scheduling.requester_pages import moved_to
from territory import places

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
    "unit_number": "place",
    "caption": "légende",
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
            "/mes-plateaux/{platform_id}": save.form(
                read=_platform_typed,
                then=_changed("Plateau enregistré.", "plages"),
                refused=self.form,
                words=Words(FIELDS, _PROBLEMS),
            ),
            "/mes-plateaux/{platform_id}/plage-retrait": owner_http.drop_window.form(
                hidden={"window_id": "window_id"},
                then=_changed("Plage retirée ; les réservations restent.", "plages"),
                refused=self.form,
            ),
            "/mes-plateaux/{platform_id}/calendrier": owner_http.take_calendar.form(
                read=self._calendar_sent, then=_calendar_taken, refused=self.form
            ),
            "/mes-plateaux/{platform_id}/photo": add_photo.form(
                read=_photo_sent, then=_changed("Photo ajoutée.", "photos"), refused=self.form, words=WORDS
            ),
            "/mes-plateaux/{platform_id}/photo-retrait": owner_http.drop_photo.form(
                hidden={"number": "number"}, then=_changed("Photo retirée.", "photos"), refused=self.form
            ),
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
            lost = await unreached(tx, (row.contact_email for row in rows))
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
            unreached=lost,
            platforms=platforms,
        )

    # -- a platform's description

    async def edit(self, request: Request, platform_id: UUID | None = None) -> Response:
        """The form of a new platform, or of one of the owner's."""
        return await self.form(request, self.who(request, "owner"), platform_id)

    async def form(
        self, request: Request, principal: Principal, platform_id: UUID | None, *, sent: Sent | None = None, **_: Any
    ) -> Response:
        """The page, or the same after one of its forms was refused."""
        described = sent.fields if sent and "title" in sent.fields else None
        async with self.database.transaction() as tx:
            known = {row.platform_id: row for row in await store.platforms_of(tx, owner_of(principal))}
            row = known.get(platform_id) if platform_id else None
            if row is None and platform_id and not described:
                raise HTTPException(404, "Ce plateau n'existe pas.")
            platform_id = platform_id or uuid4()
            now = await tx.now()
            policy = await store.policy_at(tx, now)
            units = await store.units_of(tx, platform_id)
            shown = await time_store.photos_of(tx, platform_id)
            windows = await time_store.windows_of(tx, platform_id)
            busy_count, busy_hours = await time_store.calendar_ahead(tx, platform_id, now)
            feed = tx.address(f"/calendriers/{row.feed_secret}.ics") if row is not None else ""
        others = sorted(known.values(), key=lambda one: str(one.platform_id))
        return self.page(
            request,
            "edit.html",
            principal,
            sent=sent,
            row=row,
            platform_id=platform_id,
            ticked=_ticked(row, described),
            owner_title=row.owner_title if row else others[0].owner_title if others else principal.display or "",
            units=[unit.title for unit in units],
            photos=shown,
            photos_max=photos.PHOTOS_MAX,
            windows=windows,
            busy_count=busy_count,
            busy_hours=busy_hours,
            feed=feed,
            policy=policy,
        )

    async def _calendar_sent(self, sent: Sent) -> dict[str, Any]:
        spans = await busy_spans(self.database, await sent.file("calendar"))
        return {"spans": spans, "replace_with_nothing": sent.typed.get("vide") == "1"}


class PhotoBody(Body):
    """A photo that was written anew, and what is on it."""

    content: bytes
    caption: Note = ""


@command("owner")
async def add_photo(tx: Transaction, principal: Principal, platform_id: UUID, body: PhotoBody) -> Answer:
    """An owner shows a platform with one photo more, whose number nobody had to choose."""
    return answer(await handlers.add_photo(tx, owner_of(principal), platform_id, body.caption, body.content), {})


@command("owner")
async def save(tx: Transaction, principal: Principal, platform_id: UUID, body: PlatformBody) -> Answer:
    """An owner describes a platform; one that is fictitious stays so, which the form does not show."""
    row = await store.find_platform(tx, platform_id)
    kept = body.model_copy(update={"fictitious": row.fictitious}) if row is not None else body
    return await owner_http.describe_platform.run(tx, principal, platform_id, kept)


def _told(said: str) -> Callable[[Sent], Response]:
    """Back to the owner's page, or to the week that the form was on."""

    def then(sent: Sent) -> Response:
        back = sent.typed.get("retour", "")
        return done(back if back.startswith("/mes-plateaux/") else "/mes-plateaux", said)

    return then


def _changed(said: str, anchor: str) -> Callable[[Sent], Response]:
    return lambda sent: done(f"/mes-plateaux/{sent.path['platform_id']}", said, anchor)


def _calendar_taken(sent: Sent) -> Response:
    said = f"Calendrier lu : {sent.content['span_count']} créneaux occupés d’ici un an."
    if in_the_way := sent.content["bookings_in_the_way"]:
        said += (
            f" {count(len(in_the_way), 'réservation tombe', 'réservations tombent')} dessus : voyez « Mes plateaux »."
        )
    return _changed(said, "calendrier")(sent)


async def _photo_sent(sent: Sent) -> dict[str, Any]:
    return {"content": await photos.rewritten(await sent.file("photo")), "caption": sent.typed.get("caption", "")}


def _platform_typed(sent: Sent) -> dict[str, Any]:
    typed = sent.typed
    return {
        "owner_title": typed.get("owner_title", ""),
        "title": typed.get("title", ""),
        "commune_code": places.find(typed.get("commune", "")),
        "equipment_codes": sent.fields.getlist("equipment"),
        "rncp_codes": [one.strip().upper() for one in typed.get("rncp", "").split(",") if one.strip()],
        "capacity_count": typed.get("capacity_count", ""),
        "units": [one.strip() for one in typed.get("units", "").splitlines() if one.strip()],
        "accessible": typed.get("accessible") == "1",
        "habilitation_codes": sent.fields.getlist("habilitation"),
        "approval": typed.get("approval", "OWNER"),
        "access": {
            name.removeprefix("access_"): value for name, value in typed.items() if name.startswith("access_") and value
        },
        "rules": typed.get("rules", "").replace("\r\n", "\n"),
        "withdrawn": typed.get("withdrawn") == "1",
    }


def _ticked(row: Any, described: FormData | None) -> set[Any]:
    """The boxes of the description that are ticked: as they were sent, or as the platform has them."""
    if described is not None:
        # A box that is not ticked is not sent.
        return {*described.getlist("equipment"), *described.getlist("habilitation"), *described}
    if row is None:
        return set()
    flags = [name for name in ("accessible", "withdrawn") if getattr(row, name)]
    return {*row.equipment_codes, *row.habilitation_codes, *flags}
