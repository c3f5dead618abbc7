"""A declaration as it comes in: one line checked the same whatever the way, and the lines of a spreadsheet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from common.failures import Refusal
from common.pages import PARIS
from common.spreadsheet import read_table, refused_line, written_table
from common.transaction import Transaction
from remediation_seats import handlers
from remediation_seats.messages import DeclarationSource, DeclarationWay
from remediation_seats.state import Declaration

LINES_MAX = 500
CSV_COLUMNS = ("parcours", "places", "occupees", "observe_le")
_EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)
_SEATS_MAX = 10_000
_DATES = ("%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y")

SeatCount = Annotated[int, Field(ge=0, le=_SEATS_MAX)]
Receipt = dict[str, Any]


def taken_within_total(total_count: int, taken_count: int) -> None:
    """`ValueError` when more seats are taken than there are."""
    if taken_count > total_count:
        raise ValueError("plus de places occupées que de places")


class DeclarationLine(BaseModel):
    """Absolute seats as seen at `observed_at`."""

    model_config = ConfigDict(extra="forbid")

    programme_id: UUID
    total_count: SeatCount
    taken_count: SeatCount
    observed_at: AwareDatetime = Field(ge=_EARLIEST)
    sequence: int | None = Field(default=None, ge=0, le=2**53)

    @model_validator(mode="after")
    def _taken_within_total(self) -> DeclarationLine:
        taken_within_total(self.total_count, self.taken_count)
        return self

    def declaration(self, way: DeclarationWay, source: DeclarationSource) -> Declaration:
        """As the domain has it."""
        at = self.observed_at.astimezone(UTC)
        return Declaration(self.total_count, self.taken_count, at, way, self.sequence, source)


async def declare(
    tx: Transaction,
    structure_id: UUID,
    lines: Sequence[Mapping[str, Any] | Refusal],
    way: DeclarationWay,
    source: DeclarationSource,
) -> list[Receipt]:
    """One receipt per line, in the order of the lines, for every way in; what cannot be read gets its own."""
    checked = [line if isinstance(line, Refusal) else _checked(line) for line in lines]
    good = [(line.programme_id, line.declaration(way, source)) for line in checked if isinstance(line, DeclarationLine)]
    declared = await handlers.declare_seats(tx, structure_id, good)
    receipts: Iterator[Receipt] = iter([_with_excess(receipt) for receipt in declared])
    return [
        {"status": "refused", "reason": line.reason, "detail": line.detail}
        if isinstance(line, Refusal)
        else next(receipts)
        for line in checked
    ]


def beyond_declared(count: int) -> str:
    """What a structure is told of holds that its declaration leaves without a seat: they are kept until it answers them."""
    if count == 1:
        return "1 place retenue de plus que déclarée : elle reste retenue, répondez-y ou déclarez plus de places."
    return f"{count} places retenues de plus que déclarées : elles le restent, répondez-y ou déclarez plus de places."


def _with_excess(receipt: Receipt) -> Receipt:
    without_seat = receipt.get("holds_without_seat")
    return receipt | {"detail": beyond_declared(len(without_seat))} if without_seat else receipt


Table = Sequence[tuple[int, Mapping[str, Any] | Refusal]]


async def declare_table(
    tx: Transaction, structure_id: UUID, table: Table, source: DeclarationSource, *, dry_run: bool
) -> dict[str, Any]:
    """The report on a table, a receipt per line; of a dry run nothing is kept, and its receipts are what would be."""

    async def receipts() -> list[Receipt]:
        return await declare(tx, structure_id, [line for _, line in table], DeclarationWay.CSV, source)

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
        return refused_line(error, FIELDS, PROBLEMS)


FIELDS = {
    "programme_id": "parcours",
    "total_count": "places",
    "taken_count": "places occupées",
    "observed_at": "date d’observation",
    "sequence": "numéro d’ordre",
    "arrival_on": "jour d’arrivée",
    "reason": "raison",
}
PROBLEMS = {
    "uuid_parsing": "identifiant illisible : copiez-le depuis « Mes places »",
    "uuid_type": "identifiant illisible : copiez-le depuis « Mes places »",
    "timezone_aware": "ajoutez le fuseau horaire, par exemple 2026-11-24T14:30:00+01:00",
    "datetime_parsing": "date illisible, par exemple 24/11/2026 14:30",
    "datetime_from_date_parsing": "date illisible, par exemple 24/11/2026 14:30",
    "datetime_type": "date illisible, par exemple 24/11/2026 14:30",
    "datetime_object_invalid": "date illisible, par exemple 24/11/2026 14:30",
}


def read_csv(content: bytes) -> Table:
    """(line number in the file, line) of a table of declarations. A time without zone is Paris time. Raises `UnreadableTable`."""
    return [
        (number, line if isinstance(line, Refusal) else _line(line))
        for number, line in read_table(content, CSV_COLUMNS, lines_max=LINES_MAX)
    ]


def written_csv(rows: Sequence[Any]) -> str:
    """The catalogue's rows as a table that `read_csv` reads back, without an instant: only who has counted can say when."""
    return written_table(
        ("parcours", "intitule", "places", "occupees", "observe_le"),
        [(row.programme_id, row.title, row.total_count, row.taken_count, "") for row in rows],
    )


def _line(cells: Mapping[str, str]) -> Mapping[str, Any] | Refusal:
    if not cells["observe_le"]:
        return Refusal(
            "invalid_line",
            "date d’observation : manque, et rien n’est déclaré ; écrivez quand les places ont été comptées, par exemple 24/11/2026 14:30.",
        )
    return {
        "programme_id": cells["parcours"],
        "total_count": cells["places"],
        "taken_count": cells["occupees"],
        "observed_at": _instant(cells["observe_le"]),
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
