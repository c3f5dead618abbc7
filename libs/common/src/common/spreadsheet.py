"""Tables that people send: a workbook (XLSX), or CSV with semicolons in UTF-8 or Windows-1252; and what is wrong, in French."""

from __future__ import annotations

import csv
import io
import unicodedata
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

from pydantic import ValidationError

from common.bodies import choices_of, problem_words
from common.failures import Refusal

Line = dict[str, str] | Refusal

# What a route that takes a table says of its body in OpenAPI; whatever a file names as its type, it is read for what it is.
TABLE_BODY: dict[str, Any] = {
    "requestBody": {
        "content": {"text/csv": {}, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": {}},
        "required": True,
    }
}
# What the field of a form proposes to choose from.
TABLE_FILES = ".csv,.xlsx"
# A workbook is compressed: what it unpacks to, and the empty rows that it only implies, are bounded.
_UNPACKED_BYTES_MAX, _ROWS_MAX, _COLUMNS_MAX = 64 * 1024 * 1024, 200_000, 64
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2019\u2018\u02bc\u00b4`", "'"))


class UnreadableTable(ValueError):
    """The file as a whole cannot be read; the message says what to do."""


def read_table(
    content: bytes, columns: Sequence[str], *, lines_max: int, optional: Sequence[str] = ()
) -> list[tuple[int, Line]]:
    """(line number in the file, its cells by column) for each line that is not empty; a line that is too short is refused.

    Columns are found by their names, without regard to accents and case; others are left alone, and those that are optional
    and not there have empty cells. Raises `UnreadableTable`.
    """
    rows = csv.reader(io.StringIO(decoded(content), newline=""), delimiter=";", strict=True)
    try:
        header = [_bare(name) for name in next(rows, [])]
        missing = [name for name in columns if name not in (*header, *optional)]
        if missing:
            raise UnreadableTable(
                f"Colonnes manquantes : {', '.join(missing)}. La première ligne doit nommer les colonnes, séparées par"
                " des points-virgules : " + ";".join(columns) + "."
            )
        places = {name: header.index(name) for name in dict.fromkeys((*columns, *optional)) if name in header}
        nothing = dict.fromkeys(optional, "")
        lines = [(rows.line_num, _cells(row, places, nothing)) for row in rows if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise UnreadableTable(
            f"Ligne {rows.line_num} : guillemets ou caractères illisibles ({error}). Enregistrez le tableau en « CSV UTF-8 (point-virgule) »."
        ) from None
    if not lines:
        raise UnreadableTable("Le tableau n’a aucune ligne sous celle des titres.")
    if len(lines) > lines_max:
        raise UnreadableTable(f"Le tableau a {len(lines)} lignes : envoyez-en {lines_max} au plus à la fois.")
    return lines


def same(one: str, other: str) -> bool:
    """Whether two texts differ in nothing but how they were typed: composed accents, blanks, apostrophes."""
    return folded(one) == folded(other)


def folded(text: str) -> str:
    """A text by which it is compared: NFC, one blank for several, one apostrophe for all."""
    return " ".join(unicodedata.normalize("NFC", text).translate(_APOSTROPHES).split())


def decoded(content: bytes) -> str:
    """The text of a file, of a workbook as the CSV that it stands for; raises `UnreadableTable`."""
    if content.startswith(b"PK\x03\x04"):
        return _of_workbook(content)
    if content.startswith(b"\xd0\xcf\x11\xe0"):
        raise UnreadableTable(
            "C’est un classeur d’un ancien Excel (.xls), ou protégé par un mot de passe : enregistrez-le en « Classeur Excel (.xlsx) »."
        )
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UnreadableTable("Le fichier est en UTF-16 : enregistrez-le en « CSV UTF-8 (point-virgule) ».")
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise UnreadableTable("Ce n’est pas un texte : enregistrez le tableau en « CSV UTF-8 (point-virgule) ».")


def _of_workbook(content: bytes) -> str:
    """The one sheet that has anything, a line a row, so that line numbers are those that the spreadsheet shows."""
    # Every service starts without it, and few are ever sent a workbook.
    from openpyxl import load_workbook

    try:
        _check_size(content)
        with warnings.catch_warnings():
            # Of styles and extensions that it leaves alone.
            warnings.simplefilter("ignore")
            workbook = load_workbook(io.BytesIO(content), read_only=True, data_only=True)
            sheets = {sheet.title: text for sheet in workbook.worksheets if (text := _of_sheet(sheet)).strip()}
    except UnreadableTable:
        raise
    except Exception as error:
        # Whatever a broken file makes of the library.
        raise UnreadableTable(
            "Le classeur ne peut pas être lu : enregistrez-le à nouveau en « Classeur Excel (.xlsx) », ou en « CSV UTF-8 (point-virgule) »."
        ) from error
    if len(sheets) > 1:
        raise UnreadableTable(
            f"Le classeur a {len(sheets)} feuilles remplies ({', '.join(sheets)}) : n’en gardez qu’une."
        )
    return "".join(sheets.values())


def _check_size(content: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        if sum(member.file_size for member in packed.infolist()) > _UNPACKED_BYTES_MAX:
            raise UnreadableTable(
                "Le classeur est trop grand : enregistrez sa feuille en « CSV UTF-8 (point-virgule) »."
            )
        # Unpacks all, and refuses what is larger than it says.
        packed.testzip()


def _of_sheet(sheet: Any) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=";", lineterminator="\n")
    # What a sheet says of its size may be wrong.
    sheet.reset_dimensions()
    for number, row in enumerate(sheet.iter_rows(max_col=_COLUMNS_MAX, values_only=True), 1):
        if number > _ROWS_MAX:
            raise UnreadableTable("La feuille a trop de lignes.")
        cells = [_written(cell) for cell in row]
        writer.writerow(cells if any(cells) else [])
    return out.getvalue()


def _written(cell: Any) -> str:
    """A cell as its person sees it: a number without a comma that it does not need, a day as one writes it here."""
    match cell:
        case None:
            return ""
        case bool():
            return "oui" if cell else "non"
        case float() if cell.is_integer():
            return str(int(cell))
        case datetime() if cell.time() != time():
            return f"{cell:%d/%m/%Y %H:%M:%S}"
        case date():
            return f"{cell:%d/%m/%Y}"
        case _:
            return " ".join(str(cell).split())


def written_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table that `read_table` reads back; no cell begins a formula that a spreadsheet would run."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=";")
    writer.writerow(header)
    writer.writerows([_harmless(cell) for cell in row] for row in rows)
    return out.getvalue()


def refused_line(error: ValidationError, fields: Mapping[str, str], problems: Mapping[str, str]) -> Refusal:
    """What is wrong with a line, in the words of a service's own fields and kinds of problem, or of those of every table.

    Its facts are the choices, where a value may mean one of several things.
    """
    said = []
    for problem in error.errors():
        name = str(problem["loc"][0]) if problem["loc"] else ""
        words = problem_words(problem, problems)
        said.append(f"{fields.get(name, name)} : {words}" if name else words)
    return Refusal("invalid_line", " ; ".join(dict.fromkeys(said))[:500], choices_of(error.errors()))


def _harmless(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@")) else cell


def _bare(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return plain.strip().lower().replace(" ", "_")


def _cells(row: Sequence[str], places: Mapping[str, int], nothing: Mapping[str, str]) -> Line:
    if len(row) <= max(places.values()):
        return Refusal("invalid_line", f"{len(row)} colonnes seulement : il en manque.")
    return {**nothing, **{name: _tidy(row[place]) for name, place in places.items()}}


def _tidy(cell: str) -> str:
    return " ".join(unicodedata.normalize("NFC", cell).split())
