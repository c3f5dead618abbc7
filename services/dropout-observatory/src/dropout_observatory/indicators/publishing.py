"""A release from the lake to the table of what was published: counted, protected, attacked, added; or noted as refused, with the cells."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from common.transaction import Database, Transaction
from dropout_observatory.indicators import computing, releases
from dropout_observatory.indicators.catalogue import catalogue
from dropout_observatory.indicators.definitions import Definition, definitions
from dropout_observatory.lake import reading
from dropout_observatory.lake.columns import Dataset
from dropout_observatory.lake.files import Folder
from dropout_observatory.publication import NotPublishedError, next_release
from dropout_observatory.release import Release, Rules
from dropout_observatory.secrecy import UnprotectableError

Say = Callable[[str], None]


class RefusedError(Exception):
    """There is no release of this day; the reasons name cells, never a person."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("\n".join(reasons))
        self.reasons = reasons


@dataclass(frozen=True)
class Before:
    """What a release follows and who told of what: read once, before the long work that no transaction waits for."""

    texts: tuple[str, ...]
    told_by: Mapping[UUID, str]


async def before(tx: Transaction) -> Before:
    """All releases so far, and of each case the organisation that reported it, which is on no topic."""
    rows = await tx.fetch_all("SELECT case_id, account FROM dropout_case")
    return Before(tuple(await releases.all_texts(tx)), {row.case_id: row.account for row in rows})


def prepared(
    folder: Folder,
    datasets: Mapping[str, Dataset],
    known_on: date,
    so_far: Before,
    say: Say,
    chosen: Mapping[str, Definition] | None = None,
) -> Release:
    """The release of a day, protected and attacked; the same from the same lake, whoever makes it.

    Raises `RefusedError` where nobody is known of or the attack finds something.
    """
    say("counting")
    with reading.opened(folder, datasets) as connection:
        computing.know(connection, known_on)
        years = _school_years(computing.school_years(connection), known_on, so_far.texts)
        if not years:
            raise RefusedError([f"nobody is known of by {known_on}"])
        wanted = chosen or definitions()
        counted = computing.count(connection, wanted.values(), catalogue(), years, known_on, so_far.told_by)
    say(f"protecting {sum(map(len, counted.cells.values()))} numbers of {', '.join(years)}, then attacking them")
    try:
        return next_release(
            so_far.texts,
            known_on.isoformat(),
            counted.dimensions,
            counted.tables,
            counted.cells,
            Rules(),
            counted.knowledge,
            {name: {"version": one.version, "sha256": one.sha256} for name, one in wanted.items()},
        )
    except NotPublishedError as error:
        raise RefusedError([str(finding) for finding in error.findings]) from None
    except UnprotectableError as error:
        raise RefusedError([str(error)]) from None


async def publish(
    database: Database, folder: Folder, datasets: Mapping[str, Dataset], known_on: date, say: Say
) -> Release:
    """Makes the release of a day and publishes it.

    Raises `RefusedError`, which is noted, and `OvertakenError` where another process published meanwhile.
    """
    async with database.transaction() as tx:
        so_far = await before(tx)
        now = await tx.now()
        heads = await releases.heads(tx)
    if computing.first_instant(known_on) > now:
        raise ValueError(f"{known_on} has not begun in Paris")
    if heads and heads[-1].known_on >= known_on:
        raise releases.OvertakenError(f"release {heads[-1].number} is of {heads[-1].known_on} already")
    try:
        release = await asyncio.to_thread(prepared, folder, datasets, known_on, so_far, say)
    except RefusedError as error:
        async with database.transaction() as tx:
            await releases.refuse(tx, known_on, error.reasons, await tx.now())
        raise
    async with database.transaction() as tx:
        await releases.add(tx, release, await tx.now())
    return release


def _school_years(found: list[str], known_on: date, texts: tuple[str, ...]) -> list[str]:
    """This school year and the one before it, of which there is still news; older ones once, in the first release."""
    this = computing.school_year_of(known_on)
    open_years = {this, f"{int(this[:4]) - 1}-{this[:4]}"}
    return [year for year in found if year in open_years or not texts]
