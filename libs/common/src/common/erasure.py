"""What every `erase` and `export` command of a service does around its own SQL: one transaction, and what it says."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from common.app import UNUSED_SECRET, Service, for_repair
from common.terminal import console, database_urls, fail, run
from common.transaction import Transaction


def erase_person(
    service: Service,
    work: Callable[[Transaction, str], Awaitable[int | None]],
    person: str,
    *,
    known_by: str,
    left: str,
    secret: str = UNUSED_SECRET,
) -> None:
    """Erases one person by a service's own work, which counts what is left without them; None when nobody is known."""

    async def once() -> None:
        async with for_repair(service, database_urls()[service.name], secret=secret) as runtime:
            count = await runtime.database.run(lambda tx: work(tx, person))
        if count is None:
            raise fail(f"nobody is known as {person!r}: give {known_by}")
        console.print(f"erased; {count} {left} are left, of nobody")

    run(once())


def export_person(
    service: Service,
    work: Callable[[Transaction, str], Awaitable[dict[str, Any] | None]],
    person: str,
    *,
    known_by: str,
    secret: str = UNUSED_SECRET,
) -> None:
    """Prints everything that a service's own work finds of one person, as JSON; None when nobody is known."""

    async def once() -> None:
        async with (
            for_repair(service, database_urls()[service.name], secret=secret) as runtime,
            runtime.database.transaction() as tx,
        ):
            found = await work(tx, person)
        if found is None:
            raise fail(f"nobody is known as {person!r}: give {known_by}")
        # Plain standard output: it is for a file, and its lines must not be folded.
        print(json.dumps(found, ensure_ascii=False, indent=1, default=str))

    run(once())
