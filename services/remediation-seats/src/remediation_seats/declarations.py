"""A declaration as it comes in: one line checked the same whatever the way, and the lines of a spreadsheet."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from common.failures import Refusal
from common.pages import PARIS
from common.transaction import Transaction
from remediation_seats import handlers
from remediation_seats.messages import DeclarationWay
from remediation_seats.state import Declaration

LINES_MAX = 500
CSV_COLUMNS = ("parcours", "places", "occupees", "observe_le")
_EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)
_SEATS_MAX = 10_000
_DATES = ("%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y")

Receipt = dict[str, Any]


class DeclarationLine(BaseModel):
    """Absolute seats as seen at `observed_at`."""

    model_config = ConfigDict(extra="forbid")

    programme_id: UUID
    total_count: int = Field(ge=0, le=_SEATS_MAX)
    taken_count: int = Field(ge=0, le=_SEATS_MAX)
    observed_at: AwareDatetime = Field(ge=_EARLIEST)
    sequence: int | None = Field(default=None, ge=0, le=2**53)

    @model_validator(mode="after")
    def _taken_within_total(self) -> DeclarationLine:
        if self.taken_count > self.total_count:
            raise ValueError("plus de places occupées que de places")
        return self

    def declaration(self, way: DeclarationWay) -> Declaration:
        """As the domain has it."""
        return Declaration(self.total_count, self.taken_count, self.observed_at.astimezone(UTC), way, self.sequence)


async def declare(
    tx: Transaction, structure_id: UUID, lines: Sequence[Mapping[str, Any] | Refusal], way: DeclarationWay
) -> list[Receipt]:
    """One receipt per line, in the order of the lines, for every way in; what cannot be read gets its own."""
    checked = [line if isinstance(line, Refusal) else _checked(line) for line in lines]
    good = [(line.programme_id, line.declaration(way)) for line in checked if isinstance(line, DeclarationLine)]
    receipts: Iterator[Receipt] = iter(await handlers.declare_seats(tx, structure_id, good))
    return [
        {"status": "refused", "reason": line.reason, "detail": line.detail}
        if isinstance(line, Refusal)
        else next(receipts)
        for line in checked
    ]


Table = Sequence[tuple[int, Mapping[str, Any] | Refusal]]


async def declare_table(tx: Transaction, structure_id: UUID, table: Table, *, dry_run: bool) -> dict[str, Any]:
    """The report on a table, a receipt per line; of a dry run nothing is kept, and its receipts are what would be."""

    async def receipts() -> list[Receipt]:
        return await declare(tx, structure_id, [line for _, line in table], DeclarationWay.CSV)

    if dry_run:
        async with tx.undone():
            found = await receipts()
    else:
        found = await receipts()
    lines = [{"line": number, **receipt} for (number, _), receipt in zip(table, found, strict=True)]
    return {"dry_run": dry_run, "receipts": lines}


def _checked(raw: Mapping[str, Any]) -> DeclarationLine | Refusal:
    try:
        return DeclarationLine.model_validate(raw)
    except ValidationError as error:
        return Refusal("invalid_line", " ; ".join(map(_in_french, error.errors()))[:500])


_FIELDS = {
    "programme_id": "parcours",
    "total_count": "places",
    "taken_count": "places occupées",
    "observed_at": "date d’observation",
    "sequence": "numéro d’ordre",
}
_PROBLEMS = {
    "missing": "manque",
    "extra_forbidden": "champ inconnu",
    "uuid_parsing": "identifiant illisible : copiez-le depuis « Mes places »",
    "uuid_type": "identifiant illisible : copiez-le depuis « Mes places »",
    "int_parsing": "un nombre entier est attendu",
    "int_type": "un nombre entier est attendu",
    "int_from_float": "un nombre entier est attendu",
    "greater_than_equal": "trop petit ou trop ancien",
    "less_than_equal": "trop grand",
    "timezone_aware": "ajoutez le fuseau horaire, par exemple 2026-11-24T14:30:00+01:00",
    "datetime_parsing": "date illisible, par exemple 24/11/2026 14:30",
    "datetime_from_date_parsing": "date illisible, par exemple 24/11/2026 14:30",
    "datetime_type": "date illisible, par exemple 24/11/2026 14:30",
    "datetime_object_invalid": "date illisible, par exemple 24/11/2026 14:30",
}


def _in_french(problem: Any) -> str:
    name = str(problem["loc"][0]) if problem["loc"] else ""
    said = _PROBLEMS.get(problem["type"], str(problem["msg"]).removeprefix("Value error, "))
    return f"{_FIELDS.get(name, name)} : {said}" if name else said


class UnreadableTable(Exception):
    """The file as a whole cannot be read; the message says what to do."""


def read_csv(content: bytes) -> list[tuple[int, Mapping[str, Any] | Refusal]]:
    """(line number in the file, line) of a semicolon table in UTF-8, with or without BOM, or in Windows-1252.

    Columns are found by their names, without regard to accents and case; others are left alone. A time without zone is
    Paris time. Raises `UnreadableTable`.
    """
    rows = csv.reader(io.StringIO(decoded(content), newline=""), delimiter=";", strict=True)
    try:
        header = [_bare(name) for name in next(rows, [])]
        missing = [name for name in CSV_COLUMNS if name not in header]
        if missing:
            raise UnreadableTable(
                f"Colonnes manquantes : {', '.join(missing)}. La première ligne doit nommer les colonnes, séparées par"
                " des points-virgules : " + ";".join(CSV_COLUMNS) + "."
            )
        places = [header.index(name) for name in CSV_COLUMNS]
        lines = [(rows.line_num, _line(row, places)) for row in rows if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise UnreadableTable(
            f"Ligne {rows.line_num} : guillemets ou caractères illisibles ({error}). Enregistrez le tableau en « CSV UTF-8 (point-virgule) »."
        ) from None
    if not lines:
        raise UnreadableTable("Le tableau n’a aucune ligne sous celle des titres.")
    if len(lines) > LINES_MAX:
        raise UnreadableTable(f"Le tableau a {len(lines)} lignes : envoyez-en {LINES_MAX} au plus à la fois.")
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


def written_csv(rows: Sequence[Any], now: datetime) -> str:
    """The catalogue's rows as a table that `read_csv` reads back; the instant is now, for a person about to count."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=";")
    writer.writerow(("parcours", "intitule", "places", "occupees", "observe_le"))
    for row in rows:
        # A spreadsheet would run a title that begins like a formula.
        title = f"'{row.title}" if row.title.startswith(("=", "+", "-", "@")) else row.title
        instant = now.astimezone(PARIS).strftime(_DATES[1])
        writer.writerow((row.programme_id, title, row.total_count, row.taken_count, instant))
    return out.getvalue()


def _bare(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return plain.strip().lower().replace(" ", "_")


def _line(row: Sequence[str], places: Sequence[int]) -> Mapping[str, Any] | Refusal:
    if len(row) <= max(places):
        return Refusal("invalid_line", f"{len(row)} colonnes seulement : il en manque.")
    programme, total, taken, observed = (row[place].strip() for place in places)
    if not observed:
        return Refusal("invalid_line", "date d’observation : manque ; écrivez quand les places ont été comptées.")
    return {
        "programme_id": programme,
        "total_count": total,
        "taken_count": taken,
        "observed_at": _instant(observed),
    }


def _instant(text: str) -> datetime | str:
    """The instant that a person wrote; a text that is none is left to the check, which says so."""
    for form in _DATES:
        try:
            return datetime.strptime(text, form).replace(tzinfo=PARIS)
        except ValueError:
            continue
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return text
    return read if read.tzinfo else read.replace(tzinfo=PARIS)
