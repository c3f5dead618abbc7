"""The pages: a partner's « Mes places », a prescriber's « Trouver une place », holds and alerts. Whole without JavaScript.

A form ends in the same handler as the API; its hidden key makes a second click harmless.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from common.app import Runtime
from common.dead_letters import let_go_on
from common.failures import Refusal
from common.http import Answer, execute
from common.identity import Principal, Role
from common.pages import PARIS, Pages
from common.transaction import Transaction
from remediation_seats import declarations, handlers, notice_store, notices, search, store
from remediation_seats.codes import normalised_code
from remediation_seats.declarations import CSV_COLUMNS, UnreadableTable
from remediation_seats.domain import freshness
from remediation_seats.messages import DeclarationWay, DeclineReason, EducationLevel, StructureKind
from remediation_seats.partner_topics import SEATS
from remediation_seats.state import Profile
from territory import outlines, reference

KINDS = {
    "ECOLE_DE_PRODUCTION": "École de production",
    "MICRO_LYCEE": "Micro-lycée",
    "E2C": "École de la 2e chance",
    "EPIDE": "EPIDE",
    "MISSION_LOCALE": "Mission locale",
    "CFA": "CFA",
}
LEVELS = {
    "NO_DIPLOMA": "Sans diplôme",
    "BREVET": "Brevet",
    "CAP": "CAP",
    "BACCALAUREAT": "Baccalauréat",
}
DECLINES = {
    DeclineReason.CONDITIONS_NOT_MET: "Conditions d’entrée non remplies",
    DeclineReason.SEAT_TAKEN: "Place déjà prise",
    DeclineReason.PROGRAMME_POSTPONED: "Entrée reportée",
    DeclineReason.OTHER: "Autre raison",
}
STATES = {
    "held": "En attente de réponse",
    "confirmed": "Confirmée",
    "admitted": "Jeune accueilli",
    "no_show": "Jeune non venu",
    "declined": "Déclinée",
    "expired": "Expirée sans réponse",
    "withdrawn": "Rendue",
    "released": "Rendue : confirmé ailleurs",
}
RADII_KM = (10, 20, 30, 50, 100)
_SHOWN_MAX = 40

_pages = Pages(
    "remediation_seats",
    {"KINDS": KINDS, "LEVELS": LEVELS, "DECLINES": DECLINES, "STATES": STATES, "RADII_KM": RADII_KM},
)

Form = Mapping[str, str]


class Wish(BaseModel):
    """What a prescriber looks for; blanks and unknown values are left out, so that an old link never fails."""

    model_config = ConfigDict(extra="ignore")

    # The programme that a page of another service points at: shown first, and open.
    parcours: str = ""
    commune: str = ""
    rayon: float = Field(default=30, gt=0, le=300)
    age: int | None = Field(default=None, ge=14, le=99)
    niveau: EducationLevel | None = None
    genre: StructureKind | None = None
    internat: bool = False
    fauteuil: bool = False

    @field_validator("commune")
    @classmethod
    def _a_norman_commune(cls, typed: str) -> str:
        return reference.commune_code(typed)

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Wish:
        """From a query string or a form."""
        given = {name: value for name, value in query.items() if name in cls.model_fields and value.strip()}
        while True:
            try:
                return cls(**given)
            except ValidationError as error:
                for problem in error.errors():
                    given.pop(str(problem["loc"][0]), None)

    @property
    def profile(self) -> Profile:
        """As the domain has it."""
        return Profile(self.age, self.niveau, self.internat, self.fauteuil)

    @property
    def query(self) -> str:
        """The same wish as the end of an address."""
        given = self.model_dump(exclude_defaults=True, mode="json")
        label = {"commune": reference.commune_label(self.commune)} if self.commune else {}
        return urlencode({name: "1" if value is True else value for name, value in (given | label).items()})


def routes(runtime: Runtime) -> APIRouter:
    """Every page of the service."""
    router = APIRouter(include_in_schema=False)
    router.include_router(_pages.assets())
    router.include_router(runtime.identity.router())
    desk = _Desk(runtime)

    router.add_api_route("/", desk.home, methods=["GET"])
    router.add_api_route("/map.svg", _map_svg, methods=["GET"])
    router.add_api_route("/trouver", desk.find, methods=["GET"])
    router.add_api_route("/trouver/retenue", desk.hold, methods=["POST"])
    router.add_api_route("/mes-retenues", desk.my_holds, methods=["GET"])
    router.add_api_route("/mes-retenues/{hold_id}/{action}", desk.act_on_own_hold, methods=["POST"])
    router.add_api_route("/alertes", desk.subscribe, methods=["POST"])
    router.add_api_route("/alertes/{alert_id}/fin", desk.unsubscribe, methods=["POST"])
    router.add_api_route("/mes-places", desk.my_places, methods=["GET"])
    router.add_api_route("/mes-places/tableau", desk.table, methods=["GET"])
    router.add_api_route("/mes-places/tableau", desk.send_table, methods=["POST"])
    router.add_api_route("/mes-places/modele.csv", desk.table_template, methods=["GET"])
    router.add_api_route("/mes-places/flux", desk.resume_topic, methods=["POST"])
    router.add_api_route("/mes-places/{programme_id}", desk.declare, methods=["POST"])
    router.add_api_route("/retenues-recues/{hold_id}/{action}", desk.answer_hold, methods=["POST"])
    return router


async def _map_svg() -> Response:
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(outlines.svg(), media_type="image/svg+xml", headers=headers)


class _Desk:
    """The pages' routes over one runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._database = runtime.database
        self._identity = runtime.identity

    # -- who, and with what form

    def _who(self, request: Request, role: Role) -> Principal | Response:
        """The person logged in, who must have the role; or the way to the login, and back here."""
        principal = self._identity.session(request)
        if principal is None:
            back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/login?{urlencode({'next': back})}", 303)
        return principal.require(role)

    async def _posted(self, request: Request, role: Role) -> tuple[Principal, Form]:
        principal, form = await self._identity.checked_form(request)
        return principal.require(role), form

    async def _execute(
        self, request: Request, principal: Principal, form: Form, command: Callable[[Transaction], Awaitable[Answer]]
    ) -> tuple[int, Any]:
        facts = sorted((name, value) for name, value in form.items() if name != "csrf")
        asked = f"{request.method} {request.url.path}\n{facts}"
        status, content, _ = await execute(self._database, principal, form.get("key") or None, asked, command)
        return status, content

    def _page(
        self, request: Request, template: str, principal: Principal | None, status: int = 200, **facts: Any
    ) -> Response:
        return _pages.page(
            template,
            status,
            path=request.url.path,
            navigation=self._runtime.settings.navigation,
            principal=principal,
            key=lambda: uuid4().hex,
            **facts,
        )

    async def home(self, request: Request) -> Response:
        """Where a person's own work is; a stranger is told what there is."""
        principal = self._identity.session(request)
        if principal is None:
            return self._page(request, "welcome.html", None)
        return RedirectResponse("/mes-places" if "partner" in principal.roles else "/trouver", 303)

    # -- prescribers

    async def find(self, request: Request) -> Response:
        """Places that fit, nearest first, then why the others do not."""
        principal = self._who(request, "prescriber")
        if isinstance(principal, Response):
            return principal
        return await self._found(request, principal, Wish.read(request.query_params))

    async def _found(
        self, request: Request, principal: Principal, wish: Wish, *, status: int = 200, problem: str = ""
    ) -> Response:
        async with self._database.transaction() as tx:
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
        return self._page(
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
            map=_map_of(found["fits"], wish),
            alerts=mine,
            problem=problem,
        )

    async def hold(self, request: Request) -> Response:
        """Holds a seat; the young person's code is shown on the next page, to be written on paper."""
        principal, form = await self._posted(request, "prescriber")
        wish, typed = Wish.read(form), form.get("code", "").strip()
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

        status, content = await self._execute(request, principal, form, run)
        if status >= 400:
            return await self._found(request, principal, wish, status=status, problem=content["detail"])
        seen = {"nouvelle": content["hold_id"]} | ({} if code else {"premier": "1"})
        return RedirectResponse(f"/mes-retenues?{urlencode(seen)}", 303)

    async def my_holds(self, request: Request) -> Response:
        """A prescriber's holds, those that wait for something first, and their alerts."""
        principal = self._who(request, "prescriber")
        return principal if isinstance(principal, Response) else await self._holds(request, principal)

    async def _holds(self, request: Request, principal: Principal, *, status: int = 200, problem: str = "") -> Response:
        async with self._database.transaction() as tx:
            now = await tx.now()
            rows = await store.holds_of(tx, prescriber_id=principal.subject)
            policy = await store.policy_at(tx, now)
            alerts = [alert for alert, _ in await notices.alerts(tx, now, prescriber_id=principal.subject)]
        live = [row for row in rows if row.due_at is not None and row.due_at > now]
        return self._page(
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
        principal, form = await self._posted(request, "prescriber")
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

        status, content = await self._execute(request, principal, form, run)
        if status >= 400:
            return await self._holds(request, principal, status=status, problem=content["detail"])
        return RedirectResponse(f"/mes-retenues?{urlencode({'fait': said})}", 303)

    async def subscribe(self, request: Request) -> Response:
        """Asks to be written to when a seat opens for this wish."""
        principal, form = await self._posted(request, "prescriber")
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

        status, content = await self._execute(request, principal, form, run)
        if status >= 400:
            return await self._found(request, principal, wish, status=status, problem=content["detail"])
        return RedirectResponse(f"/mes-retenues?{urlencode({'fait': 'Alerte créée.'})}#alertes", 303)

    async def unsubscribe(self, request: Request, alert_id: UUID) -> Response:
        """Ends an alert."""
        principal, _ = await self._posted(request, "prescriber")
        async with self._database.transaction() as tx:
            ended = await notice_store.delete_alert(tx, alert_id, principal.subject)
        said = "Alerte supprimée." if ended else "Cette alerte n’existe plus."
        return RedirectResponse(f"/mes-retenues?{urlencode({'fait': said})}#alertes", 303)

    # -- partners

    async def my_places(self, request: Request) -> Response:
        """A structure's programmes, what waits for its answer, what is stale, and whether its topic is read."""
        principal = self._who(request, "partner")
        return principal if isinstance(principal, Response) else await self._mine(request, principal)

    async def _mine(self, request: Request, principal: Principal, *, status: int = 200, problem: str = "") -> Response:
        structure_id = _structure_of(principal)
        topic = SEATS.format(structure_id=structure_id)
        async with self._database.transaction() as tx:
            now = await tx.now()
            policy = await store.policy_at(tx, now)
            structure = await store.structure(tx, structure_id)
            programmes = [
                search.shown(row)
                | {"freshness": freshness(row.observed_at, policy, now), "excess_count": row.excess_count}
                for row in await store.catalogue(tx, structure_id=structure_id)
            ]
            holds = await store.holds_of(tx, structure_id=structure_id)
            position = await tx.fetch_one(
                """SELECT next_offset, stopped_reason,
                          (SELECT reason FROM dead_letter d WHERE d.topic = c.topic ORDER BY "offset" DESC LIMIT 1) AS reason
                   FROM consumer_position c WHERE topic = :topic""",
                topic=topic,
            )
        live = [row for row in holds if row.due_at is not None and row.due_at > now]
        stale_first = {"stale": 0, "unknown": 0, "ageing": 1, "fresh": 2}
        return self._page(
            request,
            "mine.html",
            principal,
            status,
            now=now,
            today=now.astimezone(PARIS).date(),
            last_day=now.astimezone(PARIS).date() + timedelta(days=policy.arrival_days_max),
            structure=structure,
            programmes=sorted(programmes, key=lambda row: (stale_first[row["freshness"]], row["title"])),
            waiting=[row for row in live if row.state == "held"],
            expected=[row for row in live if row.state == "confirmed"],
            topic=position,
            said=request.query_params.get("fait", ""),
            problem=problem,
        )

    async def declare(self, request: Request, programme_id: UUID) -> Response:
        """The structure says what it sees now."""
        principal, form = await self._posted(request, "partner")

        async def run(tx: Transaction) -> Answer:
            line = {
                "programme_id": programme_id,
                "total_count": form.get("total_count", ""),
                "taken_count": form.get("taken_count", ""),
                "observed_at": await tx.now(),
            }
            (receipt,) = await declarations.declare(tx, _structure_of(principal), [line], DeclarationWay.PAGE)
            refused = receipt["status"] == "refused"
            return (409, Refusal(receipt["reason"], receipt["detail"])) if refused else (200, receipt)

        status, content = await self._execute(request, principal, form, run)
        if status >= 400:
            return await self._mine(request, principal, status=status, problem=content["detail"])
        without = len(content.get("holds_without_seat", ()))
        said = "Places à jour." + (f" Attention : {without} retenue(s) sans place ; répondez-leur." if without else "")
        return RedirectResponse(f"/mes-places?{urlencode({'fait': said})}#p{programme_id}", 303)

    async def answer_hold(self, request: Request, hold_id: UUID, action: str) -> Response:
        """The structure confirms, declines, or says that the young person arrived."""
        principal, form = await self._posted(request, "partner")
        structure_id = _structure_of(principal)
        said = {
            "confirmation": "Retenue confirmée : le prescripteur est prévenu.",
            "refus": "Retenue déclinée : le prescripteur est prévenu.",
            "accueil": "Jeune accueilli : la place est comptée comme occupée.",
        }
        if action not in said:
            raise HTTPException(404, "Cette action n'existe pas.")

        async def run(tx: Transaction) -> Answer:
            match action:
                case "confirmation":
                    refusal = await handlers.confirm_hold(tx, hold_id, structure_id, _date(form.get("arrival_on")))
                case "refus":
                    reason = DeclineReason(form.get("reason", DeclineReason.OTHER))
                    refusal = await handlers.decline_hold(tx, hold_id, structure_id, reason)
                case _:
                    refusal = await handlers.admit_young_person(tx, hold_id, structure_id)
            return (200, {}) if refusal is None else (409, refusal)

        try:
            status, content = await self._execute(request, principal, form, run)
        except ValueError:
            status, content = 422, {"detail": "Choisissez une date d’arrivée ou une raison de la liste."}
        if status >= 400:
            return await self._mine(request, principal, status=status, problem=content["detail"])
        return RedirectResponse(f"/mes-places?{urlencode({'fait': said[action]})}", 303)

    async def table(self, request: Request) -> Response:
        """Where a table is chosen."""
        principal = self._who(request, "partner")
        if isinstance(principal, Response):
            return principal
        return self._page(request, "table.html", principal, report=None, content="", problem="", columns=CSV_COLUMNS)

    async def send_table(self, request: Request) -> Response:
        """First a rehearsal with a report per line, then, with the same content sent back, for good."""
        principal, form = await self._posted(request, "partner")
        upload = (await request.form()).get("file")
        content = form.get("content", "").encode() if isinstance(upload, str) or upload is None else await upload.read()
        dry_run = form.get("step") != "send"
        facts: dict[str, Any] = {"report": None, "content": "", "problem": "", "columns": CSV_COLUMNS}
        try:
            table = declarations.read_csv(content)
        except UnreadableTable as error:
            return self._page(request, "table.html", principal, 422, **facts | {"problem": str(error)})

        async def run(tx: Transaction) -> Answer:
            return 200, await declarations.declare_table(tx, _structure_of(principal), table, dry_run=dry_run)

        asked = {**form, "content": hashlib.sha256(content).hexdigest()}
        _, report = await self._execute(request, principal, asked, run)
        facts |= {"report": report, "content": declarations.decoded(content)}
        return self._page(request, "table.html", principal, **facts)

    async def table_template(self, request: Request) -> Response:
        """The structure's programmes with their last counts, for a spreadsheet to change."""
        principal = self._who(request, "partner")
        if isinstance(principal, Response):
            return principal
        async with self._database.transaction() as tx:
            now = await tx.now()
            rows = await store.catalogue(tx, structure_id=_structure_of(principal))
        text = declarations.written_csv(rows, now)
        headers = {"Content-Disposition": 'attachment; filename="mes-places.csv"', "Cache-Control": "no-store"}
        return Response("\ufeff" + text, media_type="text/csv; charset=utf-8", headers=headers)

    async def resume_topic(self, request: Request) -> Response:
        """The partner has repaired its software and lets its own topic go on."""
        principal, _ = await self._posted(request, "partner")
        async with self._database.transaction() as tx:
            resumed = await let_go_on(tx, SEATS.format(structure_id=_structure_of(principal)), 0, principal.subject)
        said = "La lecture de votre sujet reprend." if resumed else "Votre sujet n’est pas suspendu."
        return RedirectResponse(f"/mes-places?{urlencode({'fait': said})}", 303)


def _structure_of(principal: Principal) -> UUID:
    try:
        return UUID(str(principal.structure_id))
    except ValueError:
        raise HTTPException(403, "Ce compte n'est rattaché à aucune structure.") from None


def _uuid(text: str | None) -> UUID:
    try:
        return UUID(text or "")
    except ValueError:
        raise HTTPException(404, "Ce parcours n'existe pas.") from None


def _date(text: str | None) -> date:
    return date.fromisoformat(text or "")


def _map_of(fits: list[dict[str, Any]], wish: Wish) -> dict[str, Any]:
    """The outlines with a dot per commune where something fits, and the young person's own."""
    shapes = outlines.outlines()
    free: dict[str, int] = {}
    for place in fits:
        free[place["commune_code"]] = free.get(place["commune_code"], 0) + place["free_count"]
    communes = reference.communes()
    dots = [
        {"x": x, "y": y, "free": count, "title": communes[code].title}
        for code, count in sorted(free.items(), key=lambda item: item[1])
        if code in communes
        for x, y in [shapes.place(communes[code])]
    ]
    home = shapes.place(communes[wish.commune]) if wish.commune else None
    return {
        "address": f"/map.svg?v={outlines.version()}",
        "box": _around(home, wish.rayon * 1000 * shapes.scale) if home else outlines.view_box(""),
        "departments": list(shapes.departments),
        "epcis": list(shapes.epcis),
        "dots": dots,
        "home": home,
        "radius": round(wish.rayon * 1000 * shapes.scale) if home else 0,
    }


def _around(center: tuple[int, int], radius: float) -> str:
    """A view box, three by two, that shows a circle whole."""
    height = radius * 2.3
    return f"{center[0] - height * 0.75:.0f} {center[1] - height / 2:.0f} {height * 1.5:.0f} {height:.0f}"
