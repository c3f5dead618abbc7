"""The commands `erase` and `export` of a service: one transaction around the service's own SQL, and what they say."""

# No `from __future__ import annotations` here: typer reads the annotations, and these name local variables.
import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import typer

from common.repair import UNUSED_SECRET, for_repair
from common.runtime import Service
from common.terminal import console, database_urls, fail, run, session_secret
from common.transaction import Transaction

Found = TypeVar("Found")
Erase = Callable[[Transaction, str], Awaitable[int | None]]
Export = Callable[[Transaction, str], Awaitable[dict[str, Any] | None]]


def person_commands(
    service: Service,
    *,
    people: str,
    known_by: str,
    erase: Erase,
    erases: str,
    left: str,
    export: Export | None = None,
    keyed: bool = False,
) -> typer.Typer:
    """The command group of a service's `people`.

    `erase` forgets a person and counts what is `left` without them; `export` finds every row about one. Both answer None
    when nobody is known. `keyed`: people are found by a keyed hash, which takes the service's own secret.
    """
    app = typer.Typer(help=people, no_args_is_help=True)
    person_argument = typer.Argument(help=f"Give {known_by}.")

    async def within(work: Callable[[Transaction, str], Awaitable[Found | None]], person: str) -> Found:
        secret = session_secret() if keyed else UNUSED_SECRET
        async with for_repair(service, database_urls()[service.name], secret=secret) as runtime:
            found = await runtime.database.run(lambda tx: work(tx, person))
        if found is None:
            raise fail(f"nobody is known as {person!r}: give {known_by}")
        return found

    @app.callback()
    def _group() -> None:
        """Keeps each command a word of its own, also where there is only one."""

    @app.command("erase", help=erases)
    def erase_person(person: Annotated[str, person_argument]) -> None:
        async def once() -> None:
            console.print(f"erased; {await within(erase, person)} {left} are left, of nobody")

        run(once())

    if export is not None:
        found_by = export

        @app.command("export", help="Prints everything that the service knows of a person, as JSON.")
        def export_person(person: Annotated[str, person_argument]) -> None:
            async def once() -> None:
                # Plain standard output: it is for a file, and its lines must not be folded.
                print(json.dumps(await within(found_by, person), ensure_ascii=False, indent=1, default=str))

            run(once())

    return app
