"""The report as one HTML file and as a tagged PDF (PDF/UA-1), of one document and the same drawings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from dropout_observatory.annual_report import palette, svg
from dropout_observatory.annual_report.document import Document
from dropout_observatory.annual_report.parts import Cell, Chapter, Grid, Number, Sentence, day, typeset
from dropout_observatory.annual_report.region_map import SILHOUETTE_WORDS, silhouette
from dropout_observatory.indicators.computing import first_instant
from dropout_observatory.release import SECRET

# Of every chapter with a plot by its key.
Drawings = Mapping[str, str]


def html(document: Document, drawings: Drawings) -> bytes:
    """One file that needs no other: no script, no address but those that one may follow."""
    environment = Environment(
        loader=PackageLoader("dropout_observatory"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    told = _facts(document) | {
        "document": document,
        "drawn": {one.key: _inline(one, drawings) for one in document.chapters if one.picture},
        "light": palette.css(palette.LIGHT),
        "dark": palette.css(palette.DARK),
        "is_number": lambda one: isinstance(one, Number),
        "SECRET": SECRET,
        "day": day,
    }
    return typeset(environment.get_template("annual_report.html").render(told)).encode()


def _inline(one: Chapter, drawings: Drawings) -> str:
    assert one.picture is not None
    return svg.for_page(drawings[one.key], one.key, one.picture.title, one.picture.description)


def pdf(document: Document, drawings: Drawings) -> bytes:
    """The same on paper. It carries the day of the release as its date, so that its bytes are those of the release."""
    made = compiled(document, drawings, "pdf", pdf_standards="ua-1")
    assert isinstance(made, bytes)
    return made


def compiled(document: Document, drawings: Drawings, kind: str, **how: Any) -> bytes | list[bytes]:
    """What the compiler makes of it: a PDF, or a picture of each page."""
    import typst  # its compiler and fonts are 40 MB, which only who prints needs

    source = files("dropout_observatory").joinpath("templates/annual_report.typ").read_text(encoding="utf-8")
    made: bytes | list[bytes] = typst.compile(  # type: ignore[call-overload]  # its options are named by whoever calls
        typeset(source).encode(),
        format=kind,
        sys_inputs={
            "told": typeset(json.dumps(_printed(document, drawings), ensure_ascii=False, separators=(",", ":")))
        },
        # Only the typefaces that it brings along: those of a machine would make other bytes.
        ignore_system_fonts=True,
        timestamp=first_instant(document.edition.shelf.head.known_on).astimezone(UTC),
        **how,
    )
    return made


def _facts(document: Document) -> dict[str, Any]:
    """What both say of the edition."""
    edition, head = document.edition, document.edition.shelf.head
    return {
        "title": document.title,
        "year": edition.year.replace("-", "\u2013"),
        "as_of": day(edition.as_of),
        "silhouette_words": SILHOUETTE_WORDS,
        "known_on": day(head.known_on),
        "number": head.number,
        "sha256": head.sha256,
        "previous": head.previous or "aucun : c’est le premier",
        "silhouette": silhouette(),
        "command": f"estuaire observatory report --school-year {edition.year} --as-of {edition.as_of}",
        "method": document.method,
        "limits": document.limits,
    }


def _printed(document: Document, drawings: Drawings) -> dict[str, Any]:
    return _facts(document) | {
        "keys": [
            {"title": one.title, "number": _cell(one.number)["text"], "about": one.about.text} for one in document.keys
        ],
        "chapters": [_page(one, drawings, document) for one in document.chapters],
        "known": [{"title": one.title, "text": one.text, "fault": one.fault} for one in document.known],
        "defined": [
            {
                "title": one.definition.title,
                "name": one.definition.name,
                "version": one.version,
                "differs": one.differs,
                "glossary": one.definition.glossary.strip(),
                "unit": one.definition.unit,
                "owner": one.definition.owner,
                "changes": [
                    f"Version {each.version}, {day(each.since)} : {each.what}" for each in one.definition.changes
                ],
                "sha256": one.definition.sha256,
            }
            for one in document.defined
        ],
        "annex": _grid(document.annex) if document.annex else None,
    }


def _page(one: Chapter, drawings: Drawings, document: Document) -> dict[str, Any]:
    # On paper a definition stands once, on the page of its indicator, if it has one.
    here = set(one.names) - ({other.key for other in document.chapters} - {one.key})
    return {
        "heading": one.heading,
        "said": _parts(one.said),
        "svg": svg.for_print(drawings[one.key]) if one.picture else None,
        "caption": one.picture.title if one.picture else None,
        "alt": f"{one.picture.title}. {one.picture.description}" if one.picture else None,
        "grids": [_grid(grid) for grid in one.grids],
        "notes": list(one.notes),
        "defined": [
            {"title": each.definition.title, "version": each.version, "glossary": each.definition.glossary.strip()}
            for each in document.defined
            if each.definition.name in here
        ],
    }


def _parts(one: Sentence) -> list[dict[str, Any]]:
    return [_cell(part) for part in one.parts]


def _grid(one: Grid) -> dict[str, Any]:
    rows = [{"label": words, "cells": [_cell(cell) for cell in cells]} for words, cells in one.rows]
    return {"caption": one.caption, "head": list(one.head), "rows": rows}


def _cell(one: Cell) -> dict[str, Any]:
    if isinstance(one, Number):
        return {"text": one.text, "number": True, "week": one.week}
    return {"text": one, "number": False, "week": ""}
