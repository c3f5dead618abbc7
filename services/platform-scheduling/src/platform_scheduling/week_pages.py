"""The owner's week of one platform: what is offered, booked and kept; time is drawn or typed, and the sheet is printed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4

from fastapi import HTTPException, Request
from fastapi.responses import Response

from common.bodies import near
from common.commands import Form, Sent, command
from common.desk import Desk, Routes, done
from common.http import Answer
from common.identity import Principal
from common.mail import unreached
from common.pages import PARIS
from common.transaction import Transaction
from platform_scheduling import owner_http, search, store, time_store, week_grid, words
from platform_scheduling.bodies import BlockBody, WindowBody
from platform_scheduling.http import owner_of
from platform_scheduling.owner_pages import WORDS
from platform_scheduling.state import HOLDING
from platform_scheduling.windows import wall_clock_span
from territory import weeks


class WeekDesk(Desk):
    """The routes of a week."""

    def forms(self) -> Routes:
        """What an owner may send from a week, and what is said when it is done."""
        offered = offer_time.form(read=_window_typed, then=_told("Temps proposé."), refused=self.planned, words=WORDS)
        kept = keep_time.form(
            read=_block_typed, then=_told("Temps gardé : il n’est plus proposé."), refused=self.planned, words=WORDS
        )

        async def drawn(request: Request, platform_id: UUID) -> Response:
            """What was drawn or typed is offered or kept, as the form says."""
            chosen = kept if (await request.form()).get("quoi") == "garder" else offered
            return await chosen(request, platform_id=platform_id)

        return {
            "/mes-plateaux/{platform_id}/semaine/plage": drawn,
            "/mes-plateaux/{platform_id}/semaine/liberation": owner_http.drop_block.form(
                hidden={"block_id": "block_id"}, then=_told("Temps rendu."), refused=self.planned
            ),
        }

    async def week(self, request: Request, platform_id: UUID) -> Response:
        """The owner's week: windows, bookings, what is kept; to print as it is."""
        return await self.planned(request, self.who(request, "owner"), platform_id)

    async def planned(
        self, request: Request, principal: Principal, platform_id: UUID, *, sent: Sent | None = None, **_: UUID
    ) -> Response:
        """The page, or the same after a form that was refused."""
        asked = sent.typed if sent else request.query_params
        async with self.database.transaction() as tx:
            row = await store.find_platform(tx, platform_id)
            if row is None or row.owner_code != owner_of(principal):
                raise HTTPException(404, "Ce plateau n'existe pas.")
            now = await tx.now()
            monday = _monday(asked.get("semaine", ""), now.astimezone(PARIS).date())
            span = search.day_span(monday, 7)
            units = await store.units_of(tx, platform_id)
            opened = await time_store.within(tx, "open_time", platform_id, [span])
            busy = await time_store.within(tx, "busy_time", platform_id, [span])
            rows = await store.bookings(tx, platform_id=platform_id, since=span.starts_at, until=span.ends_at)
            lost = await unreached(tx, (r.contact_email for r in rows))
        shown = [
            r
            for r in rows
            if r.state in ("approved", "done") or (r.state in HOLDING | {"requested"} and r.due_at > now)
        ]
        return self.page(
            request,
            "week.html",
            principal,
            sent=sent,
            row=row,
            units=units,
            now=now,
            week=weeks.week_of(monday),
            earlier=weeks.week_of(monday - timedelta(days=7)),
            later=weeks.week_of(monday + timedelta(days=7)),
            grid=week_grid.grid(monday, len(units), opened, busy, [r for r in shown if r.unit_number]),
            bookings=shown,
            unreached=lost,
            blocks=[one for one in busy if one.source == "block"],
            today=now.astimezone(PARIS).date(),
        )


@command("owner")
async def offer_time(tx: Transaction, principal: Principal, platform_id: UUID, body: WindowBody) -> Answer:
    """The owner offers time by a window whose id nobody had to choose."""
    return await owner_http.put_window.run(tx, principal, platform_id, uuid4(), body)


@command("owner")
async def keep_time(tx: Transaction, principal: Principal, platform_id: UUID, body: BlockBody) -> Answer:
    """The owner keeps time for itself."""
    return await owner_http.put_block.run(tx, principal, platform_id, uuid4(), body)


def _told(said: str) -> Callable[[Sent], Response]:
    """Back to the week that the form was on."""

    def then(sent: Sent) -> Response:
        week = weeks.week_of(_monday(sent.typed.get("semaine", ""), datetime.now(UTC).date()))
        return done(f"/mes-plateaux/{sent.path['platform_id']}/semaine?semaine={week}", said)

    return then


def _window_typed(sent: Sent) -> dict[str, Any]:
    typed = sent.typed
    begin, minutes = _clock_typed(typed)
    return {
        "starts_at_local": begin,
        "length_minutes": minutes,
        "rrule": _rule(typed.get("repetition", ""), begin, typed.get("jusqu_au", "")),
        "in_school_holidays": typed.get("vacances") == "1",
        "in_public_holidays": typed.get("feries") == "1",
    }


def _block_typed(sent: Sent) -> dict[str, Any]:
    span = wall_clock_span(*_clock_typed(sent.typed))
    return {
        "starts_at": span.starts_at,
        "ends_at": span.ends_at,
        "unit_number": sent.typed.get("place") or None,
        "note": sent.typed.get("note", ""),
    }


def _clock_typed(typed: Form) -> tuple[datetime, int]:
    """On the Paris clock, when the time of a form begins and how many minutes later it ends."""
    try:
        day = date.fromisoformat(typed.get("jour", ""))
        begin, end = (
            datetime.combine(day, time.fromisoformat(typed.get(name, "")).replace(tzinfo=None))
            for name in ("debut", "fin")
        )
    except ValueError:
        raise ValueError("Choisissez un jour, un début et une fin qui le suit.") from None
    near(day)
    if end <= begin:
        end += timedelta(days=1)  # until after midnight
    return begin, round((end - begin).total_seconds() / 60)


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
    return f"{rule};UNTIL={until.replace('-', '')}" if rule and until else rule


def _monday(typed: str, today: date) -> date:
    try:
        return weeks.monday(typed)
    except ValueError:
        return weeks.monday(weeks.week_of(today))
