"""A coordinator's season: every café of a period by intercommunality, what the pass would do, what to open; and the list of the day."""

from __future__ import annotations

from datetime import datetime, timedelta
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
from common.spreadsheet import refused_line
from common.transaction import Transaction
from parents_cafes import (
    domain,
    household_store,
    http,
    notices,
    season_handlers,
    season_store,
    store,
    venue_store,
    words,
)
from parents_cafes.bodies import CafeBody, CheckInBody
from parents_cafes.season_http import COORDINATORS, coordinator_of, mine, planned
from territory import reference

FIELDS = {
    "theme": "thème",
    "venue_id": "lieu",
    "facilitator_id": "qui anime",
    "starts_at": "jour et début",
    "ends_at": "fin",
    "capacity_count": "places",
    "visitor_count": "nombre de parents",
}
_DAYS_SHOWN = 2


class SeasonDesk(Desk):
    """The routes of coordinators, and of whoever runs an exchange, by a signed link."""

    # -- the season

    async def season(self, request: Request) -> Response:
        """A period: fill by intercommunality, what the pass would make of each café, and where to open one."""
        principal = self.who(request, *COORDINATORS)
        async with self.database.transaction() as tx:
            now = await tx.now()
            policy = await store.policy_at(tx, now)
            current = policy.period_at(now.astimezone(PARIS).date())
            period = words.period_typed(request.query_params.get("periode", "")) or current
            rows = await season_store.cafes(tx, now, period=period)
            verdicts = await season_handlers.forecast(tx, period, policy, now)
            awaited = await household_store.awaited(tx, period)
        who = coordinator_of(principal)
        only_mine = request.query_params.get("les") != "toutes" and not who.may_all
        shown = [row for row in rows if not only_mine or row.coordinator_account == who.account]
        titles = {row.cafe_id: row for row in rows}
        territories: dict[str, list[Any]] = {}
        for row in shown:
            territories.setdefault(epci_of(row.commune_code), []).append(row)
        live = [row for row in shown if row.state in ("planned", "open", "confirmed", "held")]
        return self.page(
            request,
            "season.html",
            principal,
            period=period,
            periods=[period.before, period, period.after],
            only_mine=only_mine,
            territories=sorted(territories.items(), key=lambda item: epci_title(item[0])),
            epci_title=epci_title,
            live=live,
            taken=sum(row.registered + row.offered for row in live),
            capacity=sum(row.capacity_count for row in live if row.state != "planned"),
            waiting=sum(row.waiting for row in live),
            verdicts=verdicts,
            titles=titles,
            to_open=wanted_territories(
                shown, [one for one in awaited if not only_mine or one.coordinator_account == who.account]
            ),
            minimum_count=policy.minimum_count,
            review_days=policy.review_days,
            who=who,
            now=now,
            said=request.query_params.get("fait", ""),
        )

    # -- one café

    async def edit(self, request: Request, cafe_id: UUID | None = None) -> Response:
        """The form of a new café, or one of the coordinator's."""
        principal = self.who(request, *COORDINATORS)
        return await self._form(
            request, principal, cafe_id or uuid4(), new=cafe_id is None, said=request.query_params.get("fait", "")
        )

    async def _form(
        self,
        request: Request,
        principal: Principal,
        cafe_id: UUID,
        *,
        new: bool = False,
        status: int = 200,
        said: str = "",
        problem: str = "",
        typed: Form | None = None,
    ) -> Response:
        async with self.database.transaction() as tx:
            now = await tx.now()
            policy = await store.policy_at(tx, now)
            rows = await season_store.cafes(tx, now, cafe_ids=[cafe_id])
            row = await mine(tx, principal, cafe_id) if rows or not new else None
            venues, facilitators = await venue_store.venues(tx), await venue_store.facilitators(tx)
        return self.page(
            request,
            "edit.html",
            principal,
            status,
            cafe_id=cafe_id,
            row=row,
            venues=venues,
            facilitators=facilitators,
            capacity_max=policy.capacity_max,
            lead_days=policy.lead_days,
            periods=policy.periods,
            now=now,
            typed=typed or {},
            said=said,
            problem=problem,
        )

    async def save(self, request: Request, cafe_id: UUID) -> Response:
        """Plans a café, or changes one."""
        principal, form = await self.posted(request, *COORDINATORS)
        try:
            body = _cafe_body(form)
        except ValidationError as error:
            problem = refused_line(error, FIELDS, {}).detail
            return await self._form(request, principal, cafe_id, new=True, status=422, problem=problem, typed=form)
        except ValueError:
            problem = "Écrivez le jour, le début et la fin."
            return await self._form(request, principal, cafe_id, new=True, status=422, problem=problem, typed=form)

        async def run(tx: Transaction) -> Answer:
            rows = await season_store.cafes(tx, await tx.now(), cafe_ids=[cafe_id])
            kept = body.model_copy(update={"fictitious": rows[0].fictitious}) if rows else body
            return answer(await planned(tx, principal, cafe_id, kept), {})

        status, content = await self.execute(request, principal, form, run)
        if status >= 400:
            return await self._form(
                request, principal, cafe_id, new=True, status=status, problem=content["detail"], typed=form
            )
        return done(f"/saison/cafes/{cafe_id}", "Café enregistré.")

    async def change(self, request: Request, cafe_id: UUID, action: str) -> Response:
        """Opens or calls off; cancels for a household, or says how many came."""
        principal, form = await self.posted(request, *COORDINATORS)
        who = coordinator_of(principal)

        async def run(tx: Transaction) -> Answer:
            refusal: Refusal | None
            match action:
                case "ouverture":
                    refusal = await season_handlers.open_cafe(tx, who, cafe_id)
                case "annulation":
                    refusal = await season_handlers.call_off(tx, who, cafe_id)
                case "desinscription":
                    key = _uuid(form.get("registration_id", ""))
                    refusal = await season_handlers.cancel_for(tx, who, key)
                case "pointage":
                    await mine(tx, principal, cafe_id)
                    refusal = await _checked_in(tx, cafe_id, form)
                case _:
                    raise HTTPException(404, "Cette action n'existe pas.")
            return answer(refusal, {})

        status, content = await self.execute(request, principal, form, run)
        on_list = action in ("desinscription", "pointage")
        if status >= 400 and on_list:
            return await self._list(request, principal, cafe_id, status=status, problem=content["detail"])
        if status >= 400:
            return await self._form(request, principal, cafe_id, status=status, problem=content["detail"])
        said = {
            "ouverture": "Les inscriptions sont ouvertes.",
            "annulation": "Café annulé : les familles sont prévenues et passeront en premier.",
            "desinscription": "Inscription annulée.",
            "pointage": "Noté.",
        }
        return done(f"/saison/cafes/{cafe_id}{'/liste' if on_list else ''}", said[action])

    # -- the list of the day

    async def listed(self, request: Request, cafe_id: UUID) -> Response:
        """Who comes to a café of the coordinator's, and who waits in which order."""
        principal = self.who(request, *COORDINATORS)
        return await self._list(request, principal, cafe_id, said=request.query_params.get("fait", ""))

    async def _list(
        self,
        request: Request,
        principal: Principal,
        cafe_id: UUID,
        *,
        status: int = 200,
        said: str = "",
        problem: str = "",
    ) -> Response:
        async with self.database.transaction() as tx:
            row = await mine(tx, principal, cafe_id)
            found = await _list_of(tx, row)
        form = {"csrf": principal.csrf, "address": f"/saison/cafes/{cafe_id}"}
        return self.page(
            request, "list.html", principal, status, lists=[found], form=form, whole=True, said=said, problem=problem
        )

    async def facilitator(self, request: Request, token: str) -> Response:
        """By the link of who runs exchanges: the cafés of these days, with who comes."""
        return await self._facilitator(request, token, said=request.query_params.get("fait", ""))

    async def _facilitator(
        self, request: Request, token: str, *, status: int = 200, said: str = "", problem: str = ""
    ) -> Response:
        facilitator_id = http.subject(request, notices.FACILITATOR_LINK, token)
        async with self.database.transaction() as tx:
            now = await tx.now()
            if await venue_store.find_facilitator(tx, facilitator_id) is None:
                raise HTTPException(404, "Ce lien n'est plus valable.")
            rows = await season_store.cafes(tx, now, facilitator_id=facilitator_id)
            near = [row for row in rows if row.state in ("open", "confirmed", "held") and _is_near(row, now)]
            lists = [await _list_of(tx, row) for row in near]
        coming = [row for row in rows if row.state in ("open", "confirmed") and row.starts_at > now and row not in near]
        form = {"csrf": "", "address": f"/animation/{token}"}
        return self.page(
            request,
            "list.html",
            None,
            status,
            lists=lists,
            coming=coming,
            form=form,
            whole=False,
            said=said,
            problem=problem,
        )

    async def check_in_by_link(self, request: Request, token: str) -> Response:
        """How many of a household came, by who runs the exchange."""
        facilitator_id = http.subject(request, notices.FACILITATOR_LINK, token)
        form: Form = {name: value for name, value in (await request.form()).items() if isinstance(value, str)}

        async def run(tx: Transaction) -> Answer:
            cafe_id = _uuid(form.get("cafe_id", ""))
            rows = await season_store.cafes(tx, await tx.now(), cafe_ids=[cafe_id], facilitator_id=facilitator_id)
            if not rows:
                raise HTTPException(403, "Ce café est animé par quelqu'un d'autre.")
            return answer(await _checked_in(tx, cafe_id, form), {})

        principal = Principal(f"facilitator/{facilitator_id}", frozenset())
        status, content = await self.execute(request, principal, form, run)
        if status >= 400:
            return await self._facilitator(request, token, status=status, problem=content["detail"])
        return done(f"/animation/{token}", "Noté.")


def wanted_territories(rows: Any, awaited: Any) -> list[dict[str, Any]]:
    """Where families look for seats that are not there: who waits or comes first, what is free, which planned café could open."""
    found: dict[str, dict[str, Any]] = {}

    def of(commune_code: str) -> dict[str, Any]:
        siren = epci_of(commune_code)
        blank: dict[str, Any] = {"siren": siren, "waiting": 0, "awaited": 0, "free": 0, "planned": []}
        return found.setdefault(siren, blank)

    for row in rows:
        one = of(row.commune_code)
        if row.state == "planned":
            one["planned"].append(row)
        elif row.state in ("open", "confirmed"):
            one["waiting"] += row.waiting
            one["free"] += row.free_count
    for household in awaited:
        of(household.commune_code)["awaited"] += 1
    wanted = [one for one in found.values() if one["waiting"] + one["awaited"] > one["free"]]
    return sorted(wanted, key=lambda one: (-(one["waiting"] + one["awaited"] - one["free"]), epci_title(one["siren"])))


def epci_of(commune_code: str) -> str:
    """The intercommunality of a commune."""
    return reference.communes()[commune_code].epci_siren


def epci_title(siren: str) -> str:
    """What an intercommunality is called."""
    epci = reference.epcis().get(siren)
    return epci.title if epci is not None else siren


async def _list_of(tx: Transaction, row: Any) -> dict[str, Any]:
    """A café with who comes and who waits, as of now."""
    now = await tx.now()
    policy = await store.policy_at(tx, now)
    registrations = await household_store.registrations(tx, cafe_id=row.cafe_id)
    live = [one for one in registrations if not (one.due_at is not None and one.due_at <= now)]
    from_at, until_at = domain.check_in_window(store.cafe_of(row), policy)
    return {
        "row": row,
        "seated": [one for one in live if one.state in ("registered", "attended", "absent")],
        "offered": [one for one in live if one.state == "offered"],
        "waiting": [one for one in live if one.state == "waiting"],
        "can_check_in": from_at <= now <= until_at,
        "now": now,
    }


async def _checked_in(tx: Transaction, cafe_id: UUID, form: Form) -> Refusal | None:
    try:
        body = CheckInBody.model_validate(
            {"registration_id": form.get("registration_id", ""), "visitor_count": form.get("venus", "")}
        )
    except ValidationError as error:
        return Refusal("invalid_request", refused_line(error, FIELDS, {}).detail)
    return await season_handlers.check_in(tx, cafe_id, body.registration_id, body.visitor_count)


def _is_near(row: Any, now: datetime) -> bool:
    return bool(abs(row.starts_at - now) <= timedelta(days=_DAYS_SHOWN))


def _cafe_body(form: Form) -> CafeBody:
    """A café as a form has it; `ValueError` when it does not read."""
    on = form.get("jour", "")
    return CafeBody.model_validate(
        {
            "theme": form.get("theme", ""),
            "venue_id": form.get("venue_id", ""),
            "facilitator_id": form.get("facilitator_id", ""),
            "starts_at": words.paris(on, form.get("debut", "")),
            "ends_at": words.paris(on, form.get("fin", "")),
            "capacity_count": form.get("places", ""),
        }
    )


def _uuid(typed: str) -> UUID:
    try:
        return UUID(typed)
    except ValueError:
        raise HTTPException(422, "Cette inscription ou ce café n'existe pas.") from None
