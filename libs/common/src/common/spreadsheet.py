"""Tables that people send from a spreadsheet: semicolons, UTF-8 with or without BOM, or Windows-1252; and what is wrong, in French."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from common.bodies import choices_of
from common.failures import Refusal

_PROBLEMS = {
    "missing": "manque",
    "extra_forbidden": "champ inconnu",
    "int_parsing": "un nombre entier est attendu",
    "int_type": "un nombre entier est attendu",
    "int_from_float": "un nombre entier est attendu",
    "greater_than_equal": "trop petit ou trop ancien",
    "less_than_equal": "trop grand",
    "string_too_short": "manque",
    "string_too_long": "trop long",
    "string_pattern_mismatch": "format incorrect",
    "enum": "valeur inconnue",
    "literal_error": "valeur inconnue",
    "too_short": "manque",
    "too_long": "trop de valeurs",
    "uuid_parsing": "identifiant illisible",
}

Line = dict[str, str] | Refusal


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


def decoded(content: bytes) -> str:
    """The text of a file; raises `UnreadableTable`."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UnreadableTable("Le fichier est en UTF-16 : enregistrez-le en « CSV UTF-8 (point-virgule) ».")
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise UnreadableTable("Ce n’est pas un texte : enregistrez le tableau en « CSV UTF-8 (point-virgule) ».")


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
        words = {**_PROBLEMS, **problems}.get(problem["type"], str(problem["msg"]).removeprefix("Value error, "))
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
    return {**nothing, **{name: row[place].strip() for name, place in places.items()}}
