"""A prescriber's pages: search for a young person, hold a place, follow one's holds, alerts."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import Field

from common.codes import normalised_code
from common.desk import Desk
from common.failures import Refusal
from common.http import Answer
from common.identity import Principal
from common.query import Query
from common.transaction import Transaction
from remediation_seats import handlers, notice_store, notices, search, store
from remediation_seats.messages import EducationLevel, StructureKind
from remediation_seats.state import Profile
from territory import maps, reference

_SHOWN_MAX = 40


class Wish(Query):
    """What a prescriber looks for; blanks and unknown values are left out, so that an old link never fails."""

    # The programme that a page of another service points at: shown first, and open.
    parcours: str = ""
    commune: reference.TypedCommune = ""
    rayon: float = Field(default=30, gt=0, le=300)
    age: int | None = Field(default=None, ge=14, le=99)
    niveau: EducationLevel | None = None
    genre: StructureKind | None = None
    internat: bool = False
    fauteuil: bool = False

    @property
    def profile(self) -> Profile:
        """As the domain has it."""
        return Profile(self.age, self.niveau, self.internat, self.fauteuil)


class PrescriberDesk(Desk):
    """The routes of a prescriber."""

    async def find(self, request: Request) -> Response:
        """Places that fit, nearest first, then why the others do not."""
        principal = self.who(request, "prescriber")
        if isinstance(principal, Response):
            return principal
        return await self._found(request, principal, Wish.read(request.query_params))

    async def _found(
        self, request: Request, principal: Principal, wish: Wish, *, status: int = 200, problem: str = ""
    ) -> Response:
        async with self.database.transaction() as tx:
            now = await tx.now()
            found = search.places(
                await store.catalogue(tx),
                wish.profile,
                await store.policy_at(tx, now),
                now,
                commune_code=wish.commune or None,
                radius_km=wish.rayon,
                kind=wish.genre,
            )
            mine = [alert for alert, _ in await notices.alerts(tx, now, prescriber_id=principal.subject)]
        return self.page(
            request,
            "find.html",
            principal,
            status,
            now=now,
            wish=wish,
            fits=sorted(found["fits"], key=lambda place: str(place["programme_id"]) != wish.parcours)[:_SHOWN_MAX],
            more_count=max(0, len(found["fits"]) - _SHOWN_MAX),
            misfits=found["misfits"],
            communes=reference.suggestions(),
            commune_label=reference.commune_label(wish.commune),
            titles=reference.communes(),
            map=maps.around(_free_by_commune(found["fits"]), wish.commune, wish.rayon),
            alerts=mine,
            problem=problem,
        )

    async def hold(self, request: Request) -> Response:
        """Holds a seat; the young person's code is shown on the next page, to be written on paper."""
        principal, form = await self.posted(request, "prescriber")
        # Whatever is refused, the page comes back with this programme first and open.
        wish = Wish.read({**form, "parcours": form.get("programme_id", "")})
        typed = form.get("code", "").strip()
        code = normalised_code(typed) if typed else None
        if typed and code is None:
            problem = "Ce code comporte une erreur de frappe : vérifiez les dix caractères."
            return await self._found(request, principal, wish, status=422, problem=problem)

        async def run(tx: Transaction) -> Answer:
            result = await handlers.hold_seat(
                tx,
                programme_id=_uuid(form.get("programme_id")),
                code=code,
                prescriber_id=principal.subject,
                contact_email=principal.contact,
                profile=wish.profile,
            )
            return (409, result) if isinstance(result, Refusal) else (201, result)

        status, content = await self.execute(request, principal, form, run)
        if status >= 400:
            return await self._found(request, principal, wish, status=status, problem=content["detail"])
        seen = {"nouvelle": content["hold_id"]} | ({} if code else {"premier": "1"})
        return RedirectResponse(f"/mes-retenues?{urlencode(seen)}", 303)

    async def my_holds(self, request: Request) -> Response:
        """A prescriber's holds, those that wait for something first, and their alerts."""
        principal = self.who(request, "prescriber")
        return principal if isinstance(principal, Response) else await self._holds(request, principal)

    async def _holds(self, request: Request, principal: Principal, *, status: int = 200, problem: str = "") -> Response:
        async with self.database.transaction() as tx:
            now = await tx.now()
            rows = await store.holds_of(tx, prescriber_id=principal.subject)
            policy = await store.policy_at(tx, now)
            alerts = [alert for alert, _ in await notices.alerts(tx, now, prescriber_id=principal.subject)]
        live = [row for row in rows if row.due_at is not None and row.due_at > now]
        return self.page(
            request,
            "holds.html",
            principal,
            status,
            now=now,
            live=sorted(live, key=lambda row: str(row.hold_id) != request.query_params.get("nouvelle")),
            ended=[row for row in rows if row not in live][:30],
            policy=policy,
            alerts=alerts,
            commune_label=reference.commune_label,
            new=request.query_params.get("nouvelle", ""),
            first=bool(request.query_params.get("premier")),
            said=request.query_params.get("fait", ""),
            problem=problem,
        )

    async def act_on_own_hold(self, request: Request, hold_id: UUID, action: str) -> Response:
        """The prescriber asks for more time, or gives the seat back."""
        principal, form = await self.posted(request, "prescriber")
        acts = {
            "prolongation": (handlers.extend_hold, "Retenue prolongée."),
            "retrait": (handlers.withdraw_hold, "Place rendue."),
        }
        if action not in acts:
            raise HTTPException(404, "Cette action n'existe pas.")
        handler, said = acts[action]

        async def run(tx: Transaction) -> Answer:
            refusal = await handler(tx, hold_id, principal.subject)
            return (200, {}) if refusal is None else (409, refusal)

        status, content = await self.execute(request, principal, form, run)
        if status >= 400:
            return await self._holds(request, principal, status=status, problem=content["detail"])
        return RedirectResponse(f"/mes-retenues?{urlencode({'fait': said})}", 303)

    async def subscribe(self, request: Request) -> Response:
        """Asks to be written to when a seat opens for this wish."""
        principal, form = await self.posted(request, "prescriber")
        wish = Wish.read(form)
        if not wish.commune:
            problem = "Choisissez la commune du jeune : une alerte cherche autour d’un lieu."
            return await self._found(request, principal, wish, status=422, problem=problem)

        async def run(tx: Transaction) -> Answer:
            result = await notices.subscribe(
                tx,
                principal.subject,
                principal.contact,
                commune_code=wish.commune,
                radius_km=wish.rayon,
                profile=wish.profile,
                kind=wish.genre,
            )
            return (409, result) if isinstance(result, Refusal) else (201, {"alert_id": result})

        status, content = await self.execute(request, principal, form, run)
        if status >= 400:
            return await self._found(request, principal, wish, status=status, problem=content["detail"])
        return RedirectResponse(f"/mes-retenues?{urlencode({'fait': 'Alerte créée.'})}#alertes", 303)

    async def unsubscribe(self, request: Request, alert_id: UUID) -> Response:
        """Ends an alert."""
        principal, _ = await self.posted(request, "prescriber")
        async with self.database.transaction() as tx:
            ended = await notice_store.delete_alert(tx, alert_id, principal.subject)
        said = "Alerte supprimée." if ended else "Cette alerte n’existe plus."
        return RedirectResponse(f"/mes-retenues?{urlencode({'fait': said})}#alertes", 303)


def _uuid(text: str | None) -> UUID:
    try:
        return UUID(text or "")
    except ValueError:
        raise HTTPException(404, "Ce parcours n'existe pas.") from None


def _free_by_commune(fits: list[dict[str, Any]]) -> dict[str, int]:
    free: dict[str, int] = {}
    for place in fits:
        free[place["commune_code"]] = free.get(place["commune_code"], 0) + place["free_count"]
    return free
