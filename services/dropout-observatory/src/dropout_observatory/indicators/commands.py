"""`estuaire observatory`: the releases of figures, made by hand, listed, attacked anew; and the annual report of one."""

from __future__ import annotations

import hashlib
from contextlib import AbstractAsyncContextManager
from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress, track
from rich.table import Table

from common import contracts
from common.repair import for_repair
from common.runtime import Runtime
from common.terminal import SCHEMAS, console, database_urls, fail, run
from dropout_observatory.annual_report import edition, writing
from dropout_observatory.app import service
from dropout_observatory.indicators import publishing, releases
from dropout_observatory.indicators.weekly import monday_of
from dropout_observatory.lake.columns import datasets
from dropout_observatory.lake.commands import Address, folder_of
from dropout_observatory.publication import NotPublishedError, chained, publishable
from dropout_observatory.release import Release

app = typer.Typer(help="The observatory's releases of figures, and its annual report.", no_args_is_help=True)


@app.command()
def release(
    known_on: Annotated[str, typer.Option(help="What was known at the first instant of this day (Paris).")] = "",
    lake: Address = "",
) -> None:
    """Makes the next release now: of the last Monday, or of another day since the last release."""

    async def work() -> None:
        async with _repair() as runtime:
            day = date.fromisoformat(known_on) if known_on else await _monday(runtime)
            with console.status(f"release of {day}") as status:
                try:
                    made = await publishing.publish(
                        runtime.database,
                        folder_of(lake),
                        datasets(contracts.load(SCHEMAS)),
                        day,
                        lambda step: status.update(f"release of {day}: {step}"),
                    )
                except publishing.RefusedError as error:
                    raise fail(f"nothing is published of {day}:\n{error}") from None
                except releases.OvertakenError as error:
                    raise fail(f"{error}; `estuaire observatory releases` lists them") from None
            shown = [figure.value is not None for table in made.figures.values() for figure in table.values()]
            console.print(f"release {made.number} of {day}: {sum(shown)} of {len(shown)} numbers, {made.sha256}")

    run(work())


@app.command("releases")
def list_releases() -> None:
    """Lists what was published, and the weeks that were refused."""

    async def work() -> None:
        async with _repair() as runtime, runtime.database.transaction() as tx:
            heads, refused = await releases.heads(tx), await releases.refused(tx)
        table = Table("release", "known on", "published", "definitions", "SHA-256")
        for head in heads:
            table.add_row(
                str(head.number),
                head.known_on.isoformat(),
                f"{head.published_at:%Y-%m-%d %H:%M}",
                str(len(head.definitions)),
                head.sha256,
            )
        console.print(table)
        for day, reasons in refused.items():
            console.print(f"none of {day}: {reasons[0]}" + (f" (and {len(reasons) - 1} more)" if reasons[1:] else ""))

    run(work())


@app.command()
def report(
    school_year: Annotated[str, typer.Option(help="As 2026-2027.")],
    as_of: Annotated[str, typer.Option(help="The last release known on this day or before it is the one reported on.")],
    to: Annotated[str, typer.Option(help="A folder; rapport-2026-2027 here without it.")] = "",
) -> None:
    """Writes the annual report of a school year: HTML, PDF, and its figures as CSV and Parquet; the same bytes each time."""

    async def work() -> None:
        year, folder = edition.checked_year(school_year), Path(to or f"rapport-{school_year}")
        async with _repair() as runtime, runtime.database.transaction() as tx:
            found = await edition.find(tx, year, date.fromisoformat(as_of))
        with Progress(console=console, transient=True) as bar:
            task = bar.add_task("", total=None)
            files = writing.made(
                found, lambda done, of, words: bar.update(task, completed=done, total=of, description=words)
            )
        writing.write(folder, files)
        for path, content in files.items():
            console.print(f"{len(content):>10,} {folder / path}")
        head, sums = found.shelf.head, hashlib.sha256(files[writing.SUMS]).hexdigest()
        console.print(f"of release {head.number}, known on {head.known_on}, {head.sha256}")
        console.print(f"{len(files)} files; {writing.SUMS} has {sums}")

    run(work())


@app.command()
def verify() -> None:
    """Each release follows the one before it, has the hash that was noted, and withstands the attack of whoever reads all of them.

    What organisations knew then of their own is not kept: that attack was made before each was published.
    """

    async def work() -> None:
        async with _repair() as runtime, runtime.database.transaction() as tx:
            texts, heads = await releases.all_texts(tx), await releases.heads(tx)
        for head, text in zip(heads, texts, strict=True):
            # Before it is read: of what somebody changed nothing may be readable.
            if hashlib.sha256(text.encode()).hexdigest() != head.sha256:
                raise fail(f"release {head.number} is not as it was published")
        chained([Release.read(text) for text in texts])
        for count in track(range(1, len(texts) + 1), description="attacking", console=console, transient=True):
            try:
                publishable(texts[:count], {})
            except NotPublishedError as error:
                raise fail(f"release {count} gives something away:\n{error}") from None
        console.print(f"{len(texts)} releases follow each other and withstand the attack")

    run(work())


def _repair() -> AbstractAsyncContextManager[Runtime]:
    return for_repair(service, database_urls()[service.name])


async def _monday(runtime: Runtime) -> date:
    async with runtime.database.transaction() as tx:
        return monday_of(await tx.now())
