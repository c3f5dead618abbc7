"""The owner's week of one platform: what is offered, booked and kept; time is drawn or typed, and the sheet is printed."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4

from fastapi import HTTPException, Request
from fastapi.responses import Response
from pydantic import ValidationError

from common.commands import Form
from common.desk import Desk, done
from common.http import Answer, answer
from common.identity import Principal
from common.pages import PARIS
from common.spreadsheet import refused_line
from common.transaction import Transaction
from platform_scheduling import handlers, search, store, time_store, week_grid, words
from platform_scheduling.bodies import BlockBody, WindowBody
from platform_scheduling.http import owner_of
from platform_scheduling.owner_pages import FIELDS
from platform_scheduling.state import HOLDING
from platform_scheduling.windows import wall_clock_span
from territory import weeks


class WeekDesk(Desk):
    """The routes of a week."""

    async def week(self, request: Request, platform_id: UUID) -> Response:
        """The owner's week: windows, bookings, what is kept; to print as it is."""
        principal = self.who(request, "owner")
        return await self._week(request, principal, platform_id)

    async def _week(
        self,
        request: Request,
        principal: Principal,
        platform_id: UUID,
        *,
        status: int = 200,
        problem: str = "",
        typed: Form | None = None,
    ) -> Response:
        async with self.database.transaction() as tx:
            row = await store.find_platform(tx, platform_id)
            if row is None or row.owner_code != owner_of(principal):
                raise HTTPException(404, "Ce plateau n'existe pas.")
            now = await tx.now()
            monday = _monday((typed or request.query_params).get("semaine", ""), now.astimezone(PARIS).date())
            span = search.day_span(monday, 7)
            units = await store.units_of(tx, platform_id)
            opened = await time_store.within(tx, "open_time", platform_id, [span])
            busy = await time_store.within(tx, "busy_time", platform_id, [span])
            rows = await store.bookings(tx, platform_id=platform_id, since=span.starts_at, until=span.ends_at)
        shown = [
            r
            for r in rows
            if r.state in ("approved", "done") or (r.state in HOLDING | {"requested"} and r.due_at > now)
        ]
        return self.page(
            request,
            "week.html",
            principal,
            status,
            row=row,
            units=units,
            now=now,
            week=weeks.week_of(monday),
            earlier=weeks.week_of(monday - timedelta(days=7)),
            later=weeks.week_of(monday + timedelta(days=7)),
            grid=week_grid.grid(monday, len(units), opened, busy, [r for r in shown if r.unit_number]),
            bookings=shown,
            blocks=[one for one in busy if one.source == "block"],
            typed=typed or {},
            today=now.astimezone(PARIS).date(),
            said=request.query_params.get("fait", ""),
            problem=problem,
        )

    async def plan(self, request: Request, platform_id: UUID, action: str) -> Response:
        """Offers or keeps the time that was drawn or typed, or gives kept time back."""
        principal, form = await self.posted(request, "owner")
        owner = owner_of(principal)
        try:
            command, said = _planned(owner, platform_id, form, action)
        except ValidationError as error:
            problem = refused_line(error, FIELDS, {}).detail
            return await self._week(request, principal, platform_id, status=422, problem=problem, typed=form)
        except (ValueError, OverflowError):
            problem = "Choisissez un jour, un début et une fin qui le suit."
            return await self._week(request, principal, platform_id, status=422, problem=problem, typed=form)

        async def run(tx: Transaction) -> Answer:
            refusal = await command(tx)
            return answer(refusal, {})

        status, content = await self.execute(request, principal, form, run)
        if status >= 400:
            return await self._week(
                request, principal, platform_id, status=status, problem=content["detail"], typed=form
            )
        week = weeks.week_of(_monday(form.get("semaine", ""), datetime.now(UTC).date()))
        return done(f"/mes-plateaux/{platform_id}/semaine?semaine={week}", said, "")


def _planned(owner: str, platform_id: UUID, form: Form, action: str) -> tuple[Any, str]:
    """The command that a form of the week asks for, and what is said when it is done."""
    if action == "liberation":
        block_id = UUID(form.get("block_id", ""))
        return (lambda tx: handlers.unblock(tx, owner, platform_id, block_id)), "Temps rendu."
    if action != "plage":
        raise HTTPException(404, "Cette action n'existe pas.")
    day = date.fromisoformat(form.get("jour", ""))
    begin = datetime.combine(day, time.fromisoformat(form.get("debut", "")))
    end = datetime.combine(day, time.fromisoformat(form.get("fin", "")))
    if end <= begin:
        end += timedelta(days=1)  # until after midnight
    length = round((end - begin).total_seconds() / 60)
    if form.get("quoi") == "garder":
        span = wall_clock_span(begin, length)
        unit = form.get("place", "")
        block = BlockBody(
            starts_at=span.starts_at,
            ends_at=span.ends_at,
            unit_number=int(unit) if unit else None,
            note=form.get("note", ""),
        )
        return (
            lambda tx: handlers.block(tx, owner, platform_id, uuid4(), block.busy(), block.note)
        ), "Temps gardé : il n’est plus proposé."
    window = WindowBody(
        starts_at_local=begin,
        length_minutes=length,
        rrule=_rule(form.get("repetition", ""), begin, form.get("jusqu_au", "")),
        in_school_holidays=form.get("vacances") == "1",
        in_public_holidays=form.get("feries") == "1",
    )
    return (lambda tx: handlers.put_window(tx, owner, platform_id, window.window(uuid4()))), "Temps proposé."


def _rule(kind: str, begin: datetime, until: str) -> str | None:
    day = words.CODES[begin.weekday()]
    rank = (begin.day - 1) // 7 + 1
    rules = {
        "WEEKLY": f"FREQ=WEEKLY;BYDAY={day}",
        "FORTNIGHTLY": f"FREQ=WEEKLY;INTERVAL=2;BYDAY={day}",
        "WORKDAYS": "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR",
        # A fifth Monday is not in every month: the last one is.
        "MONTHLY": f"FREQ=MONTHLY;BYDAY={rank if rank < 5 else -1}{day}",
    }
    rule = rules.get(kind)
    return f"{rule};UNTIL={date.fromisoformat(until):%Y%m%d}" if rule and until else rule


def _monday(typed: str, today: date) -> date:
    try:
        return weeks.monday(typed)
    except ValueError:
        return weeks.monday(weeks.week_of(today))
