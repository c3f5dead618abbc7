"""`estuaire lake`: the analysts' files by SQL, what they are, whether they are whole, and writing them anew."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import duckdb
import typer
from rich.progress import track
from rich.table import Table

from common import contracts
from common.repair import for_repair
from common.terminal import SCHEMAS, console, database_urls, fail, run
from dropout_observatory.lake import dictionary, ledger, reading
from dropout_observatory.lake.columns import Dataset, datasets
from dropout_observatory.lake.files import Folder
from dropout_observatory.lake.iceberg import Tables, catalogue_address

app = typer.Typer(help="The analysts' lake: every fact as Parquet.", no_args_is_help=True)
Address = Annotated[
    str,
    typer.Option("--lake", envvar="ESTUAIRE_LAKE_URL", help="A folder or an address; of the embedded run by itself."),
]
_PROMPT, _MORE = "lake> ", "  ... "


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="What to ask; without it, questions are read until `exit`.")] = "",
    lake: Address = "",
    csv: Annotated[bool, typer.Option("--csv", help="Prints comma-separated values.")] = False,
    database: Annotated[
        Path | None, typer.Option("--database", help="Writes the views to this DuckDB file, for a notebook.")
    ] = None,
) -> None:
    """Asks by SQL: a view for each record, such as SeatHeld; log.SeatHeld as the log has it, messages sent twice twice."""
    connection = _opened(folder_of(lake), str(database) if database else ":memory:")
    if query:
        _answer(connection, query, csv=csv)
    elif database:
        console.print(f"{database}: views over {len(_datasets())} records")
    else:
        _converse(connection)


def _converse(connection: duckdb.DuckDBPyConnection) -> None:
    names = ", ".join(sorted(dataset.name for dataset in _datasets().values())[:5])
    console.print(f"Questions end with a semicolon; `SHOW TABLES;` lists the views ({names}, …); `exit` ends.")
    asked = ""
    while True:
        try:
            line = input(_MORE if asked else _PROMPT)
        except EOFError:
            return
        if not asked and line.strip().rstrip(";") in ("exit", "quit"):
            return
        asked = f"{asked}\n{line}".strip()
        if asked.endswith(";"):
            with suppress(typer.Exit):  # said already; the next question may be a better one
                _answer(connection, asked, csv=False)
            asked = ""


def _answer(connection: duckdb.DuckDBPyConnection, query: str, *, csv: bool) -> None:
    try:
        answer = connection.sql(query)
        if answer is None:
            return
        if csv:
            answer.write_csv("/dev/stdout")
        else:
            answer.show(max_width=console.width, max_rows=100)
    except duckdb.Error as error:
        raise fail(str(error)) from None


@app.command()
def status(lake: Address = "") -> None:
    """Lists the records with their rows and files, and what could not be read."""
    manifest = _manifest(folder_of(lake))
    table = Table("record", "version", "rows", "files", "MB")
    for name, entry in manifest["datasets"].items():
        size = sum(file["byte_count"] for file in entry["files"]) / 1e6
        table.add_row(name, str(entry["version"]), f"{entry['row_count']:,}", str(len(entry["files"])), f"{size:.1f}")
    console.print(table)
    aside = sum(position["unreadable_count"] for position in manifest["positions"])
    if aside:
        console.print(
            f"{aside} records could not be read; the table lake_unreadable keeps them, each start tries again"
        )


@app.command()
def verify(
    lake: Address = "",
    catalogue: Annotated[
        str | None,
        typer.Option(
            envvar="ESTUAIRE_LAKE_CATALOGUE_URL", help="Of the Iceberg tables; beside a local lake by itself."
        ),
    ] = None,
) -> None:
    """Reads every file: its SHA-256 is the one noted, each offset of the log is there exactly once, the tables agree."""
    folder = folder_of(lake)
    total = sum(len(entry["files"]) for entry in _manifest(folder)["datasets"].values())
    damaged = list(reading.damaged(folder))
    for path in damaged:
        console.print(f"not the bytes that were written: {path}")
    if damaged:
        raise fail(f"{len(damaged)} of {total} files are damaged; put them back, or run `estuaire lake restart`")
    connection = _opened(folder)
    wrong = []
    for entry in track(reading.counted(folder, connection), description="counting", console=console, transient=True):
        if not entry.holds:
            wrong.append(entry)
            console.print(
                f"{entry.topic}/{entry.partition}: {entry.offset_count} offsets, {entry.row_count} rows and {entry.unreadable_count} unreadable"
            )
    if wrong:
        raise fail(f"{len(wrong)} partitions do not add up")
    console.print(f"{total} files are whole, and every offset is there once")
    _verify_tables(folder, catalogue_address(catalogue, folder))


def _verify_tables(folder: Folder, address: str) -> None:
    """Whether the Iceberg tables name the manifest's files; nothing where there are none."""
    tables = Tables(address, folder, _datasets())
    if not tables.exist():
        console.print("there are no Iceberg tables")
        return
    try:
        differences = tables.differences(_manifest(folder))
    except Exception as error:  # whatever a catalogue may answer
        raise fail(f"the Iceberg catalogue cannot be read: {error}") from None
    for entry in differences:
        console.print(f"{entry.table}: {entry.missing_count} files are missing, {entry.extra_count} are too many")
    if differences:
        raise fail(
            f"{len(differences)} Iceberg tables are behind; the lake's writer makes them follow, its log says why not"
        )
    console.print("the Iceberg tables name the same files")


@app.command("dictionary")
def write_dictionary(
    path: Annotated[Path, typer.Argument(help="A file that ends in .html or .json.")] = Path("dictionary.html"),
) -> None:
    """Writes the data dictionary: every field of every record, its type, its class of personal data, what it says."""
    words = {".html": dictionary.as_html, ".json": dictionary.as_json}.get(path.suffix)
    if words is None:
        raise fail(f"{path}: a name that ends in .html or .json")
    path.write_text(words(_datasets()))
    console.print(f"wrote {path}")


@app.command()
def restart(yes: Annotated[bool, typer.Option("--yes", help="Without asking.")] = False) -> None:
    """Has the lake written anew from the start of the log, after a topic was made anew or files were lost."""
    if not yes and not typer.confirm("Every file of the lake is taken away and written again. Go on?"):
        raise fail("nothing was changed")

    async def work() -> None:
        from dropout_observatory.app import service

        async with for_repair(service, database_urls()[service.name]) as runtime, runtime.database.transaction() as tx:
            await ledger.restart(tx)

    run(work())
    console.print(
        "the lake is empty; its writer begins at the start of the log, `estuaire lake status` shows how far it is"
    )


def _datasets() -> Mapping[str, Dataset]:
    return datasets(contracts.load(SCHEMAS))


def folder_of(address: str) -> Folder:
    """The folder of a lake, by its address or that of the embedded run."""
    if not address:
        from common.embedded.stack import EmbeddedSettings

        address = str(EmbeddedSettings().home / "lake")
    try:
        return Folder(address)
    except ValueError as error:
        raise fail(str(error)) from None


def _manifest(folder: Folder) -> dict[str, Any]:
    try:
        return folder.manifest()
    except FileNotFoundError:
        raise fail(
            f"{folder.root} has no lake yet; `make run` writes one, or say where it is by --lake or ESTUAIRE_LAKE_URL"
        ) from None


def _opened(folder: Folder, database: str = ":memory:") -> duckdb.DuckDBPyConnection:
    _manifest(folder)
    try:
        return reading.opened(folder, _datasets(), database)
    except duckdb.Error as error:
        raise fail(str(error)) from None
