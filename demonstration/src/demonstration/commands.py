"""`estuaire region`: the whole region's week in a workplace, into a running system."""

from __future__ import annotations

from datetime import UTC, date, datetime

import typer
from rich.progress import track

from common.embedded.stack import EmbeddedSettings, Stack
from common.spreadsheet import written_table
from common.terminal import console, fail, run
from demonstration import region
from demonstration.caller import Caller
from demonstration.internships import SERVICE

app = typer.Typer(help="Demonstration: the whole region's week in a workplace.", no_args_is_help=False)
_LOT = 1000


@app.callback(invoke_without_command=True)
def load() -> None:
    """Sends 15,000 fictitious offers to the running system, and writes the table of 39,580 pupils to send on its page."""
    stack = Stack(EmbeddedSettings())
    table = stack.settings.home / "eleves.csv"
    today = datetime.now(UTC).date()
    table.write_text("\ufeff" + written_table(region.PUPIL_COLUMNS, list(region.pupils(today))), encoding="utf-8")
    run(_load(stack, today))
    console.print(
        f"\n  {table}\n  open /campagnes of stage matching as « Agence … », open a campaign, and send this table"
    )


async def _load(stack: Stack, today: date) -> None:
    offers = list(region.offers(today))
    async with Caller(stack, console.print) as caller:
        for start in track(range(0, len(offers), _LOT), description="offers"):
            content = written_table(region.OFFER_COLUMNS, offers[start : start + _LOT]).encode()
            params = {"fictitious": "true", "keep": "good", "replace": "true"}
            sent = await caller.call(SERVICE, "agency", "POST", "/v1/offers/csv", content=content, params=params)
            if sent is None:
                raise fail("the system does not answer: is `make run` up in another terminal?")
