"""A coordinator's season: every café of a period by intercommunality, what the pass would do, what to open; and the list of the day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from fastapi import HTTPException, Request
from fastapi.responses import Response

from common.commands import Sent, Words, command
from common.desk import Desk, Routes, done
from common.http import Answer, answer
from common.identity import Principal
from common.mail import unreached
from common.pages import PARIS
from common.transaction import Transaction
from parents_cafes import (
    domain,
    household_store,
    http,
    notices,
    season_handlers,
    season_http,
    season_store,
    store,
    venue_store,
    words,
)
from parents_cafes.bodies import CheckInBody
from parents_cafes.season_http import COORDINATORS, coordinator_of, mine
from territory import reference

WORDS = Words(
    {
        "theme": "thème",
        "venue_id": "lieu",
        "facilitator_id": "qui anime",
        "starts_at": "jour et début",
        "ends_at": "fin",
        "capacity_count": "places",
        "registration_id": "inscription",
        "visitor_count": "nombre de parents",
    },
    {"uuid_parsing": "n’existe pas"},
)
_DAYS_SHOWN = 2


class SeasonDesk(Desk):
    """The routes of coordinators, and of whoever runs an exchange, by a signed link."""

    def forms(self) -> Routes:
        """What a coordinator, or whoever runs an exchange, may send, and what is said when it is done."""
        return {
            "/saison/cafes/{cafe_id}": season_http.put_cafe.form(
                read=_cafe_typed, then=_told("Café enregistré."), refused=self.cafe, words=WORDS
            ),
            "/saison/cafes/{cafe_id}/ouverture": season_http.open_cafe.form(
                then=_told("Les inscriptions sont ouvertes."), refused=self.cafe
            ),
            "/saison/cafes/{cafe_id}/annulation": season_http.cancel_cafe.form(
                then=_told("Café annulé : les familles sont prévenues et passeront en premier."), refused=self.cafe
            ),
            "/saison/cafes/{cafe_id}/desinscription": season_http.cancel_registration.form(
                then=_told("Inscription annulée.", "/liste"),
                refused=self.list_of_the_day,
                where={"cafe_id": UUID},
                hidden={"registration_id": "registration_id"},
            ),
            "/saison/cafes/{cafe_id}/pointage": season_http.check_in.form(
                read=_visitors_typed, then=_told("Noté.", "/liste"), refused=self.list_of_the_day, words=WORDS
            ),
            "/animation/{token}": check_in_by_link.form(
                read=_visitors_typed,
                then=lambda sent: done(f"/animation/{sent.path['token']}", "Noté."),
                refused=self.exchanges,
                words=WORDS,
                hidden={"cafe_id": "cafe_id"},
            ),
        }

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
        return await self.cafe(request, principal, cafe_id or uuid4(), new=cafe_id is None)

    async def cafe(
        self, request: Request, principal: Principal, cafe_id: UUID, *, new: bool = True, sent: Sent | None = None
    ) -> Response:
        """The page, or the same after a form that was refused; unless it may be `new`, 404 where there is no such café."""
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
            sent=sent,
            cafe_id=cafe_id,
            row=row,
            begun=row is not None and season_store.with_seats(row).has_begun(now),
            venues=venues,
            facilitators=facilitators,
            capacity_max=policy.capacity_max,
            lead_days=policy.lead_days,
            periods=policy.periods,
            now=now,
        )

    # -- the list of the day

    async def listed(self, request: Request, cafe_id: UUID) -> Response:
        """Who comes to a café of the coordinator's, and who waits in which order."""
        return await self.list_of_the_day(request, self.who(request, *COORDINATORS), cafe_id)

    async def list_of_the_day(
        self, request: Request, principal: Principal, cafe_id: UUID, *, sent: Sent | None = None, **_: UUID
    ) -> Response:
        """The page, or the same after a form that was refused."""
        async with self.database.transaction() as tx:
            found = await _list_of(tx, await mine(tx, principal, cafe_id))
        form = {"csrf": principal.csrf, "address": f"/saison/cafes/{cafe_id}"}
        return self.page(request, "list.html", principal, sent=sent, lists=[found], form=form, whole=True)

    async def facilitator(self, request: Request, token: str) -> Response:
        """By the link of who runs exchanges: the cafés of these days, with who comes."""
        return await self.exchanges(request, None, token)

    async def exchanges(
        self, request: Request, _: Principal | None, token: str, *, sent: Sent | None = None, **__: UUID
    ) -> Response:
        """The page, or the same after a form that was refused."""
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
            sent=sent,
            lists=lists,
            coming=coming,
            form=form,
            whole=False,
        )


@command(who=http.by_link("facilitator", notices.FACILITATOR_LINK))
async def check_in_by_link(tx: Transaction, principal: Principal, cafe_id: UUID, body: CheckInBody) -> Answer:
    """How many of a household came, by who runs the exchange."""
    if not await season_store.cafes(tx, await tx.now(), cafe_ids=[cafe_id], facilitator_id=http.id_of(principal)):
        raise HTTPException(403, "Ce café est animé par quelqu'un d'autre.")
    return answer(await season_handlers.check_in(tx, cafe_id, body.registration_id, body.visitor_count), {})


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
        "unreached": await unreached(tx, (one.email for one in live)),
        "can_check_in": from_at <= now <= until_at,
        "now": now,
    }


def _is_near(row: Any, now: datetime) -> bool:
    return bool(abs(row.starts_at - now) <= timedelta(days=_DAYS_SHOWN))


def _told(said: str, page: str = "") -> Callable[[Sent], Response]:
    return lambda sent: done(f"/saison/cafes/{sent.path['cafe_id']}{page}", said)


def _cafe_typed(sent: Sent) -> dict[str, Any]:
    typed = sent.typed
    on = typed.get("jour", "")
    try:
        starts_at, ends_at = words.paris(on, typed.get("debut", "")), words.paris(on, typed.get("fin", ""))
    except (ValueError, OverflowError):
        raise ValueError("Écrivez le jour, le début et la fin.") from None
    return {
        "theme": typed.get("theme", ""),
        "venue_id": typed.get("venue_id", ""),
        "facilitator_id": typed.get("facilitator_id", ""),
        "starts_at": starts_at,
        "ends_at": ends_at,
        "capacity_count": typed.get("places", ""),
        "fictitious": typed.get("fictif") == "1",
    }


def _visitors_typed(sent: Sent) -> dict[str, Any]:
    return {
        "registration_id": sent.typed.get("registration_id", ""),
        "visitor_count": sent.typed.get("venus", ""),
    }
