"""Tables that people send, as CSV and as a workbook: what is read of them, and what is said of those that cannot be."""

from __future__ import annotations

import io
import zipfile
from datetime import date, datetime
from typing import Any

import pytest
from openpyxl import Workbook

from common.failures import Refusal
from common.spreadsheet import UnreadableTable, decoded, read_table, same


def workbook(*sheets: list[list[Any]]) -> bytes:
    """A workbook as a spreadsheet saves it."""
    book, out = Workbook(), io.BytesIO()
    book.remove(book.worksheets[0])
    for rows in sheets:
        sheet = book.create_sheet()
        for row in rows:
            sheet.append(row)
    book.save(out)
    return out.getvalue()


def test_a_workbook_is_read_like_the_table_that_it_shows() -> None:
    """Numbers, days, instants and blanks as a person sees them; line numbers as the spreadsheet shows them."""
    rows: list[list[Any]] = [
        ["Élève", "Âge", "Né le", "Vu le", "SIRET"],
        ["3A;1", 14, date(2012, 3, 1), datetime(2026, 11, 24, 14, 30), 12345678901234],
        [],
        ["  L’Aigle\n(61) ", 14.5, None, True, 3.0],
    ]
    columns = ("eleve", "age", "ne_le", "vu_le", "siret")
    assert read_table(workbook(rows, []), columns, lines_max=10) == [
        (2, dict(zip(columns, ("3A;1", "14", "01/03/2012", "24/11/2026 14:30:00", "12345678901234"), strict=True))),
        (4, dict(zip(columns, ("L’Aigle (61)", "14.5", "", "oui", "3"), strict=True))),
    ]


def test_cells_are_composed_and_have_one_blank() -> None:
    """Decomposed accents and other blanks are ways of typing, whatever the file is."""
    typed = "classe;eleve\n3e\u0300me\u00a0\u00a0B ;\u202f1\n".encode()
    assert read_table(typed, ("classe", "eleve"), lines_max=5) == [(2, {"classe": "3ème B", "eleve": "1"})]
    assert same("Atelier d'usinage", "Atelier\u00a0 d’usinage") and same("e\u0301te\u0301", "été")
    assert not same("Atelier", "atelier") and not same("3A", "3B")


def test_a_short_line_of_a_workbook_is_whole() -> None:
    """A spreadsheet does not say which empty cells a row has at its end."""
    ((_, line),) = read_table(workbook([["a", "b", "c"], ["1"]]), ("a", "b", "c"), lines_max=5)
    assert line == {"a": "1", "b": "", "c": ""}
    ((_, short),) = read_table(b"a;b;c\n1", ("a", "b", "c"), lines_max=5)
    assert isinstance(short, Refusal)


def bomb() -> bytes:
    """A workbook that unpacks to more than it may."""
    out = io.BytesIO(workbook([["a"], ["1"]]))
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/media/image1.png", bytes(80 * 1024 * 1024))
    return out.getvalue()


def far_away() -> bytes:
    """A sheet with one cell in a row that no spreadsheet has."""
    source, out = zipfile.ZipFile(io.BytesIO(workbook([["a"], ["1"]]))), io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        for name in source.namelist():
            content = source.read(name).replace(b'<row r="2">', b'<row r="900000000">')
            packed.writestr(name, content.replace(b'"A2"', b'"A900000000"'))
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (workbook([["a"], ["1"]], [["a"], ["2"]]), "2 feuilles remplies"),
        (workbook([[]]), "Colonnes manquantes"),
        (workbook([["a"]]), "aucune ligne"),
        (workbook([["a"], *[["1"]] * 6]), "5 au plus"),
        (workbook([["a"], ["1"]])[:-30], "ne peut pas être lu"),
        (b"PK\x03\x04 not at all", "ne peut pas être lu"),
        (b"\xd0\xcf\x11\xe0" + bytes(600), ".xlsx"),
        (bomb(), "trop grand"),
        (far_away(), "trop de lignes"),
    ],
    ids=["two sheets", "empty", "titles only", "too long", "cut", "no zip", "old", "bomb", "far away"],
)
def test_a_workbook_that_is_no_table_says_what_to_do(content: bytes, words: str) -> None:
    """One sentence, never an error of the library."""
    with pytest.raises(UnreadableTable, match=words):
        read_table(content, ("a",), lines_max=5)


def test_a_workbook_can_be_sent_back_as_text() -> None:
    """What a page keeps of a workbook reads as the workbook did, line numbers too."""
    content = workbook([["a", "b"], ['with "quotes"; and more', 1], [], ["=x", None]])
    again = decoded(content).encode()
    assert read_table(again, ("a", "b"), lines_max=5) == read_table(content, ("a", "b"), lines_max=5)
