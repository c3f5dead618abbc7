"""`/v1/indicators` and `/v1/releases`: what is published, for programs. Public, and the same for everybody: conditional by ETag."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from common.failures import Refusal
from common.http import database_of, problem, tagged
from dropout_observatory.indicators import downloads, shelf, shown
from dropout_observatory.indicators.catalogue import label
from dropout_observatory.indicators.definitions import Definition, definitions
from dropout_observatory.indicators.mismatch import mismatch
from dropout_observatory.indicators.releases import Head
from dropout_observatory.indicators.shelf import Shelf
from dropout_observatory.release import SECRET, Figure

router = APIRouter(prefix="/v1", tags=["indicators"])
_HEADERS = {"Cache-Control": "public, max-age=300", "Access-Control-Allow-Origin": "*"}
_SHARED = {**_HEADERS, "Access-Control-Expose-Headers": "ETag"}
ReleaseNumber = Annotated[
    int | None, Query(ge=1, le=99_999, description="Of an older release; the last one without it")
]
SchoolYear = Annotated[str, Query(max_length=9, description="As 2026-2027; all of them without it")]


@router.get("/indicators")
async def list_indicators(request: Request, release: ReleaseNumber = None) -> Response:
    """Every indicator with its first number, and the release that it is of; `release` is null before the first."""
    async with database_of(request).transaction() as tx:
        found = await shelf.look(tx, str(release or ""))
    if isinstance(found, Refusal):
        return _unknown(found)
    listed = [{**_head_of(one), "first": _first(one, found)} for one in definitions().values()]
    return _json(request, {"release": told_release(found.head) if found else None, "indicators": listed})


@router.get("/indicators/{name}.csv")
async def indicator_csv(
    request: Request, name: str, release: ReleaseNumber = None, school_year: SchoolYear = ""
) -> Response:
    """The table of an indicator: a line for each number, `status` secret where it is withheld; UTF-8, semicolons."""
    found = await _looked(request, name, release, school_year)
    if isinstance(found, Response):
        return found
    content = downloads.csv(downloads.lines(found[1]))
    return tagged(request, content, "text/csv; charset=utf-8", _file(name, found[0], "csv"))


@router.get("/indicators/{name}.parquet")
async def indicator_parquet(
    request: Request, name: str, release: ReleaseNumber = None, school_year: SchoolYear = ""
) -> Response:
    """The same as Parquet; `value` is null where `status` is secret."""
    found = await _looked(request, name, release, school_year)
    if isinstance(found, Response):
        return found
    content = await asyncio.to_thread(downloads.parquet, downloads.lines(found[1]))
    return tagged(request, content, "application/vnd.apache.parquet", _file(name, found[0], "parquet"))


@router.get("/indicators/{name}")
async def one_indicator(
    request: Request, name: str, release: ReleaseNumber = None, school_year: SchoolYear = ""
) -> Response:
    """An indicator in a release: its definition, every number, what is computed from them, and what to know of them."""
    found = await _looked(request, name, release, school_year)
    if isinstance(found, Response):
        return found
    at, views = found
    tables = await asyncio.to_thread(lambda: [_table(one, at) for one in views])
    told = {
        **_head_of(definitions()[name]),
        **definitions()[name].model_dump(mode="json", include={"glossary", "owner", "changes", "sql"}),
        "release": told_release(at.head),
        "labels": {dim: {code: label(dim, code) for code in views[0].codes(dim)} for dim in views[0].table.dimensions},
        "tables": tables,
    }
    return _json(request, told)


@router.get("/releases")
async def list_releases(request: Request) -> Response:
    """The chain: every release with the SHA-256 of its text and of the one before."""
    async with database_of(request).transaction() as tx:
        found = await shelf.look(tx, "")
    heads = found.heads if isinstance(found, Shelf) else ()
    return _json(request, {"releases": [told_release(one) for one in heads]})


@router.get("/releases/{number}")
async def one_release(request: Request, number: int) -> Response:
    """The text of a release as it was frozen, byte for byte: its SHA-256 is the one that the chain tells."""
    async with database_of(request).transaction() as tx:
        text = await shelf.text_of(tx, number)
    if text is None:
        return _unknown(Refusal("unknown_release", f"Il n’y a pas de relevé {number}."))
    name = {
        "Content-Disposition": f'inline; filename="releve-{number}.json"',
        "Cache-Control": "public, max-age=31536000",
    }
    return tagged(request, text.encode(), "application/json", {**_SHARED, **name})


# -- what is told


def told_release(head: Head) -> dict[str, Any]:
    """A release without its figures."""
    return {
        "number": head.number,
        "known_on": head.known_on.isoformat(),
        "week": shown.week(head.known_on),
        "sha256": head.sha256,
        "previous": head.previous,
        "published_at": head.published_at.isoformat(),
    }


def _head_of(one: Definition) -> dict[str, Any]:
    return {"name": one.name, "title": one.title, "unit": one.unit, "version": one.version, "sha256": one.sha256}


def _first(one: Definition, at: Shelf | None) -> dict[str, Any] | None:
    found = shown.view(one, at.release, at.weeks) if at else None
    if found is None:
        return None
    first = shown.first(found, found.totals[found.choice] if found.choice else "")
    number: Any = (
        _figure(first.figure)
        if first.figure
        else {"value": first.text and float(first.text.replace(",", ".").replace("\u202f", ""))}
    )
    return {"school_year": found.year, **number, "unit": first.unit, "about": first.about, "note": first.note}


def _figure(one: Figure) -> dict[str, Any]:
    return {"value": SECRET} if one.value is None else {"value": one.value, "as_of": one.as_of}


def _table(one: shown.View, at: Shelf) -> dict[str, Any]:
    table = one.table
    told: dict[str, Any] = {
        "school_year": one.year,
        "dimensions": list(table.dimensions),
        "kind": table.kind,
        "rounding": table.rounding,
        "cells": [{"at": list(key), **_figure(figure)} for key, figure in sorted(one.figures.items())],
        "messages": [
            asdict(each) for each in shown.messages(one, at.head.definitions, at.before, at.today, newest=at.newest)
        ],
    }
    if "delay" in table.dimensions:
        told["delays"] = {code: _quantiles(one, code) for code in one.choosable}
    if "month" in table.dimensions:
        told["signals"] = {code: asdict(each) for code, each in shown.watched(one, shelf.year_before(one, at)).items()}
    if "context" in table.dimensions and len(table.dimensions) == 1:
        told["observed_and_expected"] = [
            {"at": each.code, **(asdict(each.ratio) if each.ratio else {"observed": None})}
            for each in shelf.beside(one, at)
        ]
    if both := mismatch(one, shelf.waiting(one, at)):
        told["waiting"] = [{"at": each.code, **_figure(each.waiting)} for each in both.places]
    return told


def _quantiles(one: shown.View, territory: str) -> list[dict[str, Any]] | None:
    table = shown.delays(one, territory)
    return [asdict(each) for share in (0.25, 0.5, 0.75) if (each := table.quantile(share))] if table else None


# -- answers


async def _looked(
    request: Request, name: str, release: int | None, school_year: str
) -> Response | tuple[Shelf, list[shown.View]]:
    """The views of an indicator, of the school year that was asked for or of all; or why there are none."""
    definition = definitions().get(name)
    if definition is None:
        return _unknown(Refusal("unknown_indicator", "Il n’y a pas d’indicateur de ce nom."))
    async with database_of(request).transaction() as tx:
        found = await shelf.look(tx, str(release or ""))
    if isinstance(found, Refusal):
        return _unknown(found)
    if found is None:
        return _unknown(Refusal("no_release", "Aucun relevé n’est publié encore."))
    years = [school_year] if school_year else shown.school_years(name, found.release)
    views = [one for year in years if (one := shown.view(definition, found.release, found.weeks, year))]
    if not views:
        return _unknown(
            Refusal("not_in_release", f"Le relevé {found.head.number} n’a pas cet indicateur pour cette année.")
        )
    return found, views


def _unknown(refusal: Refusal) -> Response:
    return problem(404, refusal.detail, reason=refusal.reason)


def _json(request: Request, content: Mapping[str, Any]) -> Response:
    return tagged(request, json.dumps(content, ensure_ascii=False).encode(), "application/json", _SHARED)


def _file(name: str, at: Shelf, end: str) -> dict[str, str]:
    return {**_SHARED, "Content-Disposition": f'attachment; filename="{name}-{at.head.number}.{end}"'}
