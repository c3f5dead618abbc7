"""The observatory's pages: report on a phone, follow one's cases, tables, plenary figures. Whole without JavaScript."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from common.codes import normalised_code
from common.commands import Sent, Words
from common.desk import Desk, Routes, done, page_routes, table_file
from common.identity import Principal
from common.pages import PARIS
from common.runtime import Runtime
from common.spreadsheet import decoded, written_table
from common.transaction import Transaction
from dropout_observatory import handlers, http, reports, store
from dropout_observatory.http import FOLLOWERS, REPORTERS, viewer_of
from dropout_observatory.indicators.pages import IndicatorDesk
from dropout_observatory.reports import COLUMNS, FIELDS, PROBLEMS
from dropout_observatory.words import AGE_OF_BAND, DIMENSIONS, LABELS, STATES, pages
from territory import places, reference
from territory.months import month_of, months_after

WORDS = Words(FIELDS, PROBLEMS)
_OPEN = tuple(state for state in STATES if state not in ("ended", "withdrawn"))
# What a plenary looks at, each a table with its bars.
_FIGURES = ("state", "factor", "level_left", "age_band", "epci_siren")
_SHOWN_AT_FIRST_MONTHS = 12


def routes(runtime: Runtime) -> APIRouter:
    """The pages, their assets, and the login."""
    desk, indicators = ObservatoryDesk(runtime, pages), IndicatorDesk(runtime, pages)
    shown: Routes = {
        **indicators.routes(),
        "/": desk.home,
        "/communes": places.suggestions,
        "/signaler": desk.report,
        "/situations": desk.cases,
        "/situations/tableau": desk.table,
        "/situations/modele.csv": desk.table_template,
        "/situations/{case_id}": desk.case,
        "/pleniere": desk.figures,
    }
    return page_routes(runtime, pages, shown=shown, sent=desk.forms())


class ObservatoryDesk(Desk):
    """The routes of those who report and follow."""

    def forms(self) -> Routes:
        """What may be sent, and what is said when it is done."""
        of_case = "/situations/{case_id}"
        return {
            "/signaler": http.report_now.form(read=_report_of, then=_reported, refused=self.reporting, words=WORDS),
            "/situations/tableau": http.report_table.form(read=_table_sent, refused=self.tried),
            of_case: http.correct.form(
                read=_report_of, then=_told("Situation corrigée."), refused=self.shown, words=WORDS
            ),
            f"{of_case}/retrait": http.withdraw.form(
                read=_withdrawal_of,
                then=_told("Situation retirée : elle ne compte plus."),
                refused=self.shown,
                words=WORDS,
            ),
            f"{of_case}/retablissement": http.reinstate.form(
                then=_told("Situation rétablie : elle compte de nouveau."), refused=self.shown
            ),
            f"{of_case}/distincte": http.distinguish.form(then=_told("Noté : deux personnes."), refused=self.shown),
            f"{of_case}/etapes": http.follow.form(
                read=_step_of, then=_told("Étape notée."), refused=self.shown, words=WORDS
            ),
            f"{of_case}/etapes/{{step_id}}/retrait": http.take_back.form(
                then=_told("Étape retirée."), refused=self.shown
            ),
        }

    async def home(self, request: Request) -> Response:
        """Where a person's own work is; a stranger is told what there is."""
        principal = self.identity.session(request)
        if principal is None:
            return self.page(request, "welcome.html", None, **await IndicatorDesk(self.runtime, pages).door())
        return RedirectResponse("/signaler" if principal.roles & {"referent", "cfa"} else "/situations", 303)

    async def report(self, request: Request) -> Response:
        """The form of a report."""
        return await self.reporting(request, self.who(request, *REPORTERS))

    async def reporting(self, request: Request, principal: Principal, *, sent: Sent | None = None) -> Response:
        """The form, after a refusal with what was chosen; of what was reported before, it asks whether it is the same person."""
        same = sent if sent and sent.content.get("reason") == "same_facts" else None
        async with self.database.transaction() as tx:
            months = await _months(tx)
        return self.page(
            request,
            "report.html",
            principal,
            sent=sent,
            same=same,
            months=months,
            chosen=_chosen(sent),
        )

    async def cases(self, request: Request) -> Response:
        """One's cases: those that are due first, or those of a state."""
        principal = self.who(request, *FOLLOWERS)
        viewer, state = viewer_of(principal), request.query_params.get("etat", "")
        code = request.query_params.get("code", "").strip()
        async with self.database.transaction() as tx:
            now, since = await tx.now(), await handlers.silent_since(tx)
            counts = await store.state_counts(tx, viewer, since)
            states = (state,) if state in STATES else _OPEN
            rows = await store.listed(
                tx,
                viewer,
                states=states,
                silent_since=since if state == "du" else None,
                code=(normalised_code(code) or "-") if code else "",
            )
        return self.page(
            request,
            "cases.html",
            principal,
            now=now,
            since=since,
            rows=rows,
            counts=counts,
            chosen=state,
            code=code,
            commune_label=reference.commune_label,
            may_report=not principal.roles.isdisjoint(REPORTERS),
        )

    async def case(self, request: Request, case_id: UUID) -> Response:
        """One case: what is known, its way back, what may be the same person, what was known before."""
        return await self.shown(request, self.who(request, *FOLLOWERS), case_id=case_id)

    async def shown(
        self, request: Request, principal: Principal, *, case_id: UUID, sent: Sent | None = None, **_: UUID
    ) -> Response:
        """The page, or the same after a form that was refused."""
        async with self.database.transaction() as tx:
            found = await store.find(tx, case_id, viewer_of(principal))
            if found is None:
                raise HTTPException(404, handlers.NOT_FOUND.detail)
            case, row = found
            history = await store.history(tx, case_id)
            taken_back = await store.steps_taken_back(tx, case_id)
            alike = await store.alike(tx, case_id)
            months, now = await _months(tx), await tx.now()
        return self.page(
            request,
            "case.html",
            principal,
            sent=sent,
            case=case,
            row=row,
            new=request.query_params.get("nouvelle"),
            history=history,
            taken_back=taken_back,
            alike=alike,
            months=[*months, *([case.facts.left_month] if case.facts and case.facts.left_month not in months else [])],
            chosen=_chosen(sent) if sent and "left_month" in sent.typed else _chosen_of(case.facts),
            today=now.astimezone(PARIS).date(),
            now=now,
            commune_label=reference.commune_label,
            epci=reference.epcis().get(case.facts.epci_siren) if case.facts else None,
        )

    async def table(self, request: Request) -> Response:
        """Where a table is chosen."""
        return await self.tried(request, self.who(request, *REPORTERS))

    async def tried(self, request: Request, principal: Principal, *, sent: Sent | None = None) -> Response:
        """First a rehearsal with a report per line, then, with the same content sent back, for good."""
        reported = sent if sent and sent.status < 400 else None
        return self.page(
            request,
            "table.html",
            principal,
            sent=sent,
            report=reported.content if reported else None,
            content=decoded(await _content(reported)) if reported else "",
            repeated=reported.typed.get("repeated", "ask") if reported else "ask",
            columns=COLUMNS,
        )

    async def table_template(self, request: Request) -> Response:
        """A table with one line as an example."""
        self.who(request, *REPORTERS)
        example = ("2026-11", "CAP", "Lycée professionnel", "17", "Rouen (76)", "Mobilité, Orientation subie")
        return table_file("signalements.csv", written_table(COLUMNS, [example]))

    async def figures(self, request: Request) -> Response:
        """The caller's own cases counted for a plenary, as they were known on a day."""
        principal = self.who(request, *FOLLOWERS)
        async with self.database.transaction() as tx:
            now = await tx.now()
            months = await _months(tx)
            first, last = _span(request.query_params, months)
            known_at = _known_at(request.query_params.get("connu_le", ""), now)
            found = {
                by: await store.counts(tx, viewer_of(principal), by=by, first=first, last=last, known_at=known_at)
                for by in _FIGURES
            }
        return self.page(
            request,
            "figures.html",
            principal,
            months=months,
            first=first,
            last=last,
            known_on=known_at.astimezone(PARIS).date(),
            today=now.astimezone(PARIS).date(),
            figures={by: [(_label(by, row.value), row.n) for row in rows] for by, rows in found.items()},
            titles=DIMENSIONS,
        )


async def _months(tx: Transaction) -> list[date]:
    """The months in which somebody may have left, newest first."""
    this_month = month_of(await tx.now())
    policy = await handlers.policy(tx)
    return [months_after(this_month, -back) for back in range(policy.report_months_max + 1)]


def _span(query: Mapping[str, str], months: list[date]) -> tuple[date, date]:
    """The months that a page was asked for, in order; a year at first."""

    def month(name: str, otherwise: date) -> date:
        return next((one for one in months if f"{one:%Y-%m}" == query.get(name)), otherwise)

    first, last = month("de", months[min(_SHOWN_AT_FIRST_MONTHS, len(months) - 1)]), month("a", months[0])
    return min(first, last), max(first, last)


def _known_at(day: str, now: datetime) -> datetime:
    """The end of a day in Paris, or now."""
    try:
        end = datetime.combine(date.fromisoformat(day), datetime.max.time(), PARIS)
    except (ValueError, OverflowError):
        return now
    return min(end, now)


def _label(by: str, value: str) -> str:
    if by == "epci_siren":
        epci = reference.epcis().get(value)
        return epci.title if epci else value
    return LABELS[by].get(value, value)


# -- forms


def _report_of(sent: Sent) -> dict[str, Any]:
    typed = sent.typed
    facts: dict[str, Any] = {name: typed.get(name, "") for name in ("left_month", "level_left", "school_kind", "age")}
    facts |= {
        "school_uai": typed.get("school_uai", "").strip() or None,
        "commune_code": places.find(typed.get("commune", "")),
        "factors": [one for one in sent.fields.getlist("factors") if isinstance(one, str)],
    }
    return facts | ({"repeated": typed["repeated"]} if "repeated" in typed else {})


def _chosen(sent: Sent | None) -> dict[str, Any]:
    """What was chosen in a form, to be shown again."""
    typed = sent.typed if sent else {}
    names = ("left_month", "level_left", "school_kind", "age", "school_uai", "commune")
    return {name: typed.get(name, "") for name in names} | {"factors": sent.fields.getlist("factors") if sent else []}


def _chosen_of(facts: Any) -> dict[str, Any]:
    return {
        "left_month": f"{facts.left_month:%Y-%m}",
        "level_left": facts.level_left,
        "school_kind": facts.school_kind,
        "age": str(AGE_OF_BAND.get(facts.age_band, "")),
        "school_uai": facts.school_uai or "",
        "commune": reference.commune_label(facts.commune_code),
        "factors": facts.factors,
    }


def _step_of(sent: Sent) -> dict[str, Any]:
    return {name: value for name, value in sent.typed.items() if name not in ("csrf", "key") and value}


def _withdrawal_of(sent: Sent) -> dict[str, Any]:
    return {"reason": sent.typed.get("reason", ""), "duplicate_of": sent.typed.get("duplicate_of") or None}


async def _content(sent: Sent) -> bytes:
    return sent.typed["content"].encode() if "content" in sent.typed else await sent.file("file")


async def _table_sent(sent: Sent) -> dict[str, Any]:
    lines = reports.read_reports(await _content(sent))
    return {
        "lines": lines,
        "dry_run": sent.typed.get("step") != "send",
        "repeated": sent.typed.get("repeated", "ask"),
    }


def _reported(sent: Sent) -> Response:
    if sent.content["status"] == "known":
        return done(f"/situations/{sent.content['case_id']}", "Cette situation était déjà signalée.")
    return RedirectResponse(f"/situations/{sent.content['case_id']}?nouvelle=1", 303)


def _told(said: str) -> Any:
    return lambda sent: done(f"/situations/{sent.path['case_id']}", said)
